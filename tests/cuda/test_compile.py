"""Every kernel compiles for two GPUs that are not here, without a spill of registers."""

import importlib
import itertools
import re
import shutil
import subprocess
import tempfile
from importlib import metadata
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
from cuda.bindings import nvjitlink
from numba import config as config_of_numba
from numba.cuda.core import config

from numbaconv.cuda import (
    compiled,
    depthwise,
    folds,
    hidden,
    multiply,
    multiply_gradients,
    operands,
    parameters,
    patches,
    sums,
    tiles,
    weights,
)

if config.ENABLE_CUDASIM:
    pytest.skip("the simulator compiles nothing", allow_module_level=True)

TYPES = (
    np.float32, np.float64, np.complex64, np.complex128, np.float16, np.int32, np.int64, np.uint8,
)  # fmt: skip
F32 = np.float32


def array(dtype):
    return np.dtype(dtype)


def ints(index, count=None):
    count = count or len(parameters.NAMES)
    return ("i" if index is np.int32 else "q"), count


def work_of(dtype):
    kind = np.dtype(dtype)
    if kind == np.float16:
        return np.float32
    return np.int32 if kind.kind in "iu" and kind.itemsize < 4 else dtype


def tiles_of(work):
    with mock.patch.object(tiles, "SIMULATED", False):
        return {tiles.pick(rows, work) for rows in (8, 64, 512)}


def small_tile(work):
    with mock.patch.object(tiles, "SIMULATED", False):
        return tiles.pick_small(work)


def forward(dtype, index=np.int32, partial=False):
    work = work_of(dtype)
    for tile in tiles_of(work) if index is np.int32 else [small_tile(work)]:
        result = work if partial else dtype
        for wide in (False, True) if result is work else (False,):
            yield (
                f"forward {tile}",
                multiply.forward.source(tile, index, work, result, partial, wide),
                (array(work), array(index), array(dtype), array(dtype), array(result),
                 ints(index, len(multiply.NAMES))),
            )  # fmt: skip


def weight_sums(dtype, index=np.int32, conjugated="", long=False):
    work = work_of(dtype)
    shapes = [(8, 9), (8, 576), (64, 576), (512, 64), (512, 4608)]
    arrays = (array(dtype), array(dtype), array(work), ints(index, len(multiply_gradients.NAMES)))
    with mock.patch.object(tiles, "SIMULATED", False):
        found = {
            small_tile(work) if long or index is np.int64 else tiles.pick_for_weights(*shape, work)
            for shape in shapes
        }
    for tile, masked, flat in itertools.product(found, (True, False), (True, False)):
        if flat and not multiply_gradients.may_be_flat(tile, masked):
            continue
        tiled = multiply_gradients.weight_sums.source(
            tile, index, work, masked, flat, conjugated, long
        )
        yield f"weight_sums {tile} {masked} {flat}", tiled, arrays
    kinds = (*arrays[:3], ints(index, len(sums.TAP_NAMES)))
    for kernel in ((1, 3, 3), (1, 5, 5)) if dtype is F32 else ((1, 3, 3),):
        taps = sums.over_taps.source(256, index, work, kernel, 2, conjugated)
        yield "over_taps", taps, kinds
    arrays = (*arrays[:3], ints(index))
    for patches_too in (True, False):
        single = sums.over_positions.source(256, index, work, 0, conjugated, patches_too)
        yield "over_positions", single, arrays


def moving(dtype, index=np.int32):
    work = work_of(dtype)
    x, made = array(dtype), array(work)
    flags = (True, False) if np.dtype(dtype).kind == "c" else (False,)
    for flag in flags:
        pack = weights.pack.source(index, work, flag)
        yield "pack", pack, (x, made, array(index), ints(index, 24))
        yield "copy", sums.copy.source(index, dtype, flag), (x, x, ints(index, 17))
    for mode in (0, 1):
        yield "pad", sums.pad.source(index, dtype, mode), (x, x, ints(index, 17))
    yield "finish", weights.finish.source(index, work, dtype), (made, x, ints(index, 14))
    yield (
        "finish_forward",
        weights.finish_forward.source(index, work, dtype),
        (made, x, x, ints(index, 13)),
    )
    for mode in (1, 2, 3, 4):
        yield "fold_axis", sums.fold_axis.source(index, work, mode), (made, made, ints(index, 5))


def gathering(dtype, index=np.int32):
    x, p = array(dtype), ints(index, len(patches.NAMES))
    q = ints(index, len(folds.NAMES))
    for major in (True, False) if dtype is F32 else (True,):
        kernels = ((1, 1, 1), (1, 3, 3), (1, 7, 7)) if dtype is F32 else ((1, 3, 3),)
        for kernel, masked in itertools.product(kernels, (True, False)):
            built = patches.columns.source(index, dtype, kernel, 2, masked, major)
            yield f"columns {kernel} {masked}", built, (x, x, p)
        for mode in (0, 2):
            yield "rows", patches.rows.source(index, dtype, mode, major), (x, x, p)
        for along in (True, False):
            yield "turned", patches.turned.source(index, dtype, major, along), (x, x, p)
        cells = (((1, 1, 1), 1), ((1, 3, 3), 1), ((1, 3, 3), 2), ((1, 7, 7), 2))
        for kernel, stride in cells if dtype is F32 else cells[1:3]:
            fold = folds.fold.source(
                index, work_of(dtype), dtype, kernel, (1, stride, stride), (1, 1, 1), 2,
                major, not major,
            )  # fmt: skip
            yield f"fold {kernel} {stride}", fold, (x, x, x, q)
        fold = folds.fold_any.source(index, work_of(dtype), dtype, major, not major)
        yield "fold_any", fold, (x, x, x, q)


def depthwise_kernels(dtype, index=np.int32):
    work = work_of(dtype)
    arrays = (array(dtype), array(dtype), array(dtype), array(dtype), ints(index, 51))
    variants = [((1, 3, 3), 4, (1, 1), False)]
    if dtype is F32:
        variants = [
            (kernel, rows, step, fast)
            for kernel in ((1, 3, 3), (1, 7, 7))
            for rows, step, fast in ((1, (1, 3), True), (4, (2, 1), False), (8, (1, 1), False))
        ]
    for kernel, rows, step, fast in variants:
        built = depthwise.forward.source(index, work, dtype, kernel, rows, step, 3, False, fast)
        yield f"depthwise {kernel} {rows}", built, arrays
    yield "depthwise", depthwise.forward_any.source(index, work, dtype, False, False), arrays


def repairs(dtype, index=np.int32):
    x, work = array(dtype), work_of(dtype)
    yield "watch", hidden.watch.source(index, work), (x, array(index), ints(index, 14))
    for conjugated in (False, True) if np.dtype(dtype).kind == "c" else (False,):
        built = hidden.repair.source(index, work, dtype, conjugated)
        yield "repair", built, (x, x, x, x, array(index), ints(index), ints(index, 8))


def specimens(dtype, capability):
    """Yield (name, Python function, kinds of arguments) of every kernel over a dtype.

    For an older GPU those that are tuned to the last register.
    """
    yield from forward(dtype)
    yield from weight_sums(dtype)
    if capability < (9, 0):
        return
    if np.dtype(dtype).kind in "fc":
        yield from weight_sums(dtype, long=True)
        yield from repairs(dtype)
    yield from moving(dtype)
    yield from gathering(dtype)
    yield from depthwise_kernels(dtype)
    if dtype is F32:
        yield from forward(dtype, partial=True)
        yield from forward(dtype, index=np.int64)
        yield from weight_sums(dtype, index=np.int64)


def more_specimens():
    """Yield the same for indices of 64 bits, and for conjugated operands."""
    yield from weight_sums(F32, index=np.int64, long=True)
    yield from repairs(F32, index=np.int64)
    yield from moving(F32, index=np.int64)
    yield from gathering(F32, index=np.int64)
    yield from depthwise_kernels(F32, index=np.int64)
    yield from weight_sums(np.complex64, conjugated="x")
    yield from weight_sums(np.complex64, conjugated="grad")


def usage(ptx, capability):
    """Return what ptxas says of a kernel: (registers, bytes of stack, bytes of spills)."""
    options = [f"-arch=sm_{capability[0]}{capability[1]}", "-verbose", "-Xptxas=-v"]
    linker = nvjitlink.create(len(options), options)
    try:
        text = ptx.encode() + b"\0"
        nvjitlink.add_data(linker, nvjitlink.InputType.PTX, text, len(text), "kernel")
        nvjitlink.complete(linker)
        log = bytearray(nvjitlink.get_info_log_size(linker))
        nvjitlink.get_info_log(linker, log)
    finally:
        nvjitlink.destroy(linker)
    said = log.decode()
    stack, stores, loads = map(
        int,
        re.search(
            r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", said
        ).groups(),
    )
    return int(re.search(r"[Uu]sed (\d+) registers", said)[1]), stack, stores + loads


@pytest.fixture(params=[(8, 0), (9, 0)], ids=["8.0", "9.0"])
def capability(request, monkeypatch):
    """A compute capability, for which device functions are compiled, too."""
    dispatcher = importlib.import_module("numba.cuda.dispatcher")
    monkeypatch.setattr(
        dispatcher, "get_current_device",
        lambda: SimpleNamespace(compute_capability=request.param),
    )  # fmt: skip
    operands.functions.cache_clear()
    operands.place_of.cache_clear()
    operands.source_index.overloads.clear()
    operands.reached_from.overloads.clear()
    return request.param


def compile_all(found, capability):
    """Compile kernels, which must not spill registers; return what their names begin with."""
    seen = set()
    for name, source, signature in found:
        ptx = compiled.assembly(source, signature, capability, getattr(source, "bounds", None))
        registers, stack, spilled = usage(ptx, capability)
        assert (stack, spilled) == (0, 0), f"{name}: {stack} bytes of stack, {spilled} of spills"
        assert registers <= 128, f"{name}: {registers} registers"
        seen.add(name.split(" ")[0])
    return seen


@pytest.mark.long
@pytest.mark.parametrize("capability", [(9, 0)], indirect=True)
def test_more_kernels_compile_without_spills(capability):
    assert compile_all(more_specimens(), capability)


@pytest.mark.parametrize(
    ("dtype", "capability"),
    [*((t, (9, 0)) for t in TYPES), (F32, (8, 0)), (np.complex64, (8, 0))],
    ids=lambda v: getattr(v, "__name__", str(v)),
    indirect=["capability"],
)
def test_kernels_compile_without_spills(dtype, capability):
    seen = compile_all(specimens(dtype, capability), capability)
    expected = {"forward", "weight_sums"}
    if capability == (9, 0):
        expected |= {"pack", "copy", "columns", "rows", "turned", "fold", "fold_any", "depthwise",
                     "fold_axis", "finish", "pad", "over_taps", "over_positions"}  # fmt: skip
    assert seen >= expected


def largest_loop(code):
    """Return the instructions of the longest loop of machine code, by NVIDIA's disassembler."""
    found = shutil.which("nvdisasm") or next(
        (str(f.locate()) for f in _files("nvidia-cuda-nvdisasm") if f.name == "nvdisasm"), None
    )
    if found is None:
        pytest.skip("needs nvdisasm, of the package nvidia-cuda-nvdisasm")
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(code)
        file.flush()
        text = subprocess.run(
            [found, "-c", "-novliw", file.name], capture_output=True, text=True, check=True
        ).stdout
    instructions, labels = [], {}
    for line in text.splitlines():
        if label := re.match(r"\s*(\.L_x_\d+):", line):
            labels[label[1]] = len(instructions)
        elif instruction := re.match(r"\s+/\*[0-9a-f]{4,}\*/\s+(.*?);", line):
            instructions.append(instruction[1])
    loops = [[]]
    for i, instruction in enumerate(instructions):
        target = re.search(r"BRA.*?`\((\.L_x_\d+)\)", instruction)
        if target and labels[target[1]] <= i:
            loops.append(instructions[labels[target[1]] : i + 1])
    return max(loops, key=len)


def _files(distribution):
    try:
        return metadata.files(distribution) or []
    except metadata.PackageNotFoundError:
        return []


def share_of_multiply_adds(source, kinds):
    """Return the share of a kernel's main loop that multiplies and adds."""
    ptx = compiled.assembly(source, kinds, (9, 0), getattr(source, "bounds", None))
    loop = largest_loop(compiled.link(ptx, (9, 0)))
    named = [re.sub(r"^@!?U?P\w+\s+", "", i).split(".")[0].split(" ")[0] for i in loop]
    return named.count("FFMA") / len(named)


@pytest.mark.parametrize("capability", [(9, 0)], indirect=True)
def test_main_loops_multiply_and_add(capability):
    """What is not a multiply-add takes the place of one: counted, since no GPU is here."""
    least = {128: 0.68, 64: 0.54, 32: 0.54}
    for name, source, kinds in forward(F32):
        rows = int(re.search(r"rows=(\d+)", name)[1])
        share = share_of_multiply_adds(source, kinds)
        assert share >= least[rows], f"{name}: {share:.2f}"
    for name, source, kinds in weight_sums(F32):
        if "rows=64, columns=128" in name or "rows=128" in name:
            share = share_of_multiply_adds(source, kinds)
            # Three axes, of which the first is more than one position, take a little more.
            flat = name.endswith("True") or "rows=128, columns=128" in name
            assert share >= (0.59 if flat else 0.57), f"{name}: {share:.2f}"


def test_memory_goes_with_its_context(monkeypatch):
    """A context that is reset is another object, which keeps nothing yet."""
    from numba.cuda.cudadrv.driver import Context

    from numbaconv.cuda import launch

    def enter_new_context():
        context = Context.__new__(Context)
        context.extras = {}
        monkeypatch.setattr(launch.cuda, "current_context", lambda: context)

    monkeypatch.setattr(launch, "allocate", lambda shape, *_: np.empty(shape))
    monkeypatch.setattr(launch, "flat", lambda array: array)
    kind = np.dtype("f4")
    enter_new_context()
    first = launch.borrow("parts", 10, kind, 0)
    assert launch.borrow("parts", 10, kind, 0) is first
    assert launch.borrow("weights", 10, kind, 0) is not first
    enter_new_context()
    assert launch.borrow("parts", 10, kind, 0) is not first


@pytest.mark.parametrize("capability", [(9, 0)], indirect=True)
def test_machine_code_is_kept_on_the_disk(capability, tmp_path, monkeypatch):
    """A second process finds it under all that it depends on, and does not compile."""
    monkeypatch.setattr(config_of_numba, "CACHE_DIR", str(tmp_path))
    kinds = (array(F32), array(F32), ints(np.int32, 14))

    def kernel(result):
        build = weights.finish.source
        return compiled.Kernel(f"finish {result}", build(np.int32, F32, result), None)

    name, code = kernel(F32).machine_code(kinds, capability)
    assert name.startswith(b"_Z")
    assert code.startswith(b"\x7fELF")
    assert len(list(tmp_path.rglob("*.bin"))) == 1

    class CompiledAgainError(Exception):
        pass

    def refuse(*_):
        raise CompiledAgainError

    monkeypatch.setattr(compiled, "assembly", refuse)
    assert kernel(F32).machine_code(kinds, capability) == (name, code)
    with pytest.raises(CompiledAgainError):
        kernel(np.float64).machine_code(kinds, capability)
    with pytest.raises(CompiledAgainError):
        kernel(F32).machine_code(kinds, (8, 0))
