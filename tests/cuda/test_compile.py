"""Every kernel compiles for two GPUs that are not here, without a spill of registers."""

import importlib
import itertools
import re
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
from cuda.bindings import nvjitlink
from numba import cuda
from numba.cuda import types
from numba.cuda.core import config
from numba.cuda.np.numpy_support import from_dtype

from numbaconv.cuda import (
    depthwise,
    hidden,
    operands,
    parameters,
    patches,
    product,
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
    return types.Array(from_dtype(np.dtype(dtype)), 1, "C")


def ints(index, count=None):
    count = count or len(parameters.NAMES)
    return types.UniTuple(from_dtype(np.dtype(index)), count)


def work_of(dtype):
    kind = np.dtype(dtype)
    if kind == np.float16:
        return np.float32
    return np.int32 if kind.kind in "iu" and kind.itemsize < 4 else dtype


def tiles_of(work):
    with mock.patch("numbaconv.cuda.launch.SIMULATED", False):
        return {product.pick_tile(*s, work) for s in ((8, 1000), (64, 1000), (512, 100_000))}


def forward(dtype, index=np.int32, mode=0, partial=False, tile=None, long=False):
    work = work_of(dtype)
    for shape in [tile] if tile else tiles_of(work):
        if long and shape.rows * shape.columns > 64 * 64:
            continue  # which no long sum takes
        result = work if partial else dtype
        yield (
            f"forward {shape}",
            tiles.forward.source(shape, index, work, result, mode, partial, long),
            (array(work), array(dtype), array(dtype), array(result), ints(index)),
        )


def weight_sums(dtype, index=np.int32, mode=0, conjugated="", long=False):
    from numbaconv.cuda import weight_sums

    work = work_of(dtype)
    arrays = (array(dtype), array(dtype), array(work), ints(index))
    with mock.patch("numbaconv.cuda.launch.SIMULATED", False):
        tile, threads = weight_sums.pick_weight_tile(work), weight_sums.sum_threads()
    tiled = tiles.weight_sums.source(tile, index, work, mode, conjugated, long)
    yield "weight_sums", tiled, arrays
    for patches_too in (True, False):
        single = sums.over_positions.source(threads, index, work, mode, conjugated, patches_too)
        yield "over_positions", single, arrays


def moving(dtype, index=np.int32):
    work = work_of(dtype)
    x, made = array(dtype), array(work)
    flags = (True, False) if np.dtype(dtype).kind == "c" else (False,)
    for flag in flags:
        yield "pack", weights.pack.source(index, work, flag), (x, made, ints(index, 13))
        yield "copy", sums.copy.source(index, dtype, flag), (x, x, ints(index, 17))
    yield "finish", weights.finish.source(index, work, dtype), (made, x, ints(index, 14))
    yield (
        "finish_forward",
        weights.finish_forward.source(index, work, dtype),
        (made, x, x, ints(index, 13)),
    )
    for mode in (1, 2, 3, 4):
        yield "fold_axis", sums.fold_axis.source(index, work, mode), (made, made, ints(index, 5))


def gathering(dtype, index=np.int32, mode=0):
    x, p = array(dtype), ints(index)
    for major in (True, False) if dtype is F32 else (True,):
        yield "columns", patches.im2col_columns.source(index, dtype, mode, major), (x, x, p)
        yield "rows", patches.im2col_rows.source(index, dtype, mode, major), (x, x, p)
        fold = patches.col2im.source(index, work_of(dtype), dtype, major, not major)
        yield "col2im", fold, (x, x, x, p)


def depthwise_kernels(dtype, index=np.int32, mode=0):
    work = work_of(dtype)
    arrays = (array(work), array(dtype), array(dtype), array(dtype), ints(index))
    variants = [((1, 3, 3), depthwise.ROWS, False)]
    if dtype is F32:
        variants = itertools.product(((1, 3, 3), (1, 7, 7)), (1, depthwise.ROWS), (False, True))
    for kernel, rows, fast in variants:
        built = depthwise.forward.source(index, work, dtype, mode, kernel, rows, fast)
        yield f"depthwise {kernel} {rows}", built, arrays
    yield "depthwise", depthwise.forward_any.source(index, work, dtype, mode, False), arrays


def repairs(dtype, index=np.int32):
    x, work = array(dtype), work_of(dtype)
    for conjugated in (False, True) if np.dtype(dtype).kind == "c" else (False,):
        built = hidden.repair.source(index, work, dtype, conjugated)
        yield "repair", built, (x, x, x, x, ints(index), ints(index, 7))


def specimens(dtype):
    """Yield (name, Python function, types) of every kernel over a dtype."""
    yield from forward(dtype)
    yield from weight_sums(dtype)
    if np.dtype(dtype).kind in "fc":
        yield from forward(dtype, long=True)
        yield from weight_sums(dtype, long=True)
        yield from repairs(dtype)
    yield from moving(dtype)
    yield from gathering(dtype)
    yield from depthwise_kernels(dtype)
    if dtype is F32:
        for mode in (1, 2, 3):
            yield from forward(dtype, mode=mode, tile=tiles.Tile(64, 64, 16, 8, 4))
        yield from forward(dtype, partial=True)
        yield from forward(dtype, index=np.int64, tile=tiles.Tile(64, 64, 16, 8, 4))
        yield from forward(dtype, index=np.int64, tile=tiles.Tile(64, 64, 16, 8, 4), long=True)
        yield from weight_sums(dtype, index=np.int64, long=True)
        yield from repairs(dtype, index=np.int64)
        yield from weight_sums(dtype, index=np.int64, mode=1)
        yield from moving(dtype, index=np.int64)
        yield from gathering(dtype, index=np.int64, mode=3)
        yield from depthwise_kernels(dtype, mode=2)
    if dtype is np.complex64:
        yield from weight_sums(dtype, conjugated="x")
        yield from weight_sums(dtype, conjugated="grad")


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
    operands.source_index.overloads.clear()
    operands.reached_from.overloads.clear()
    return request.param


@pytest.mark.parametrize("dtype", TYPES, ids=lambda t: t.__name__)
def test_kernels_compile_without_spills(dtype, capability):
    seen = set()
    for name, source, signature in specimens(dtype):
        ptx, _ = cuda.compile(
            source, signature, cc=capability, device=False, abi="numba", lineinfo=False
        )
        registers, stack, spilled = usage(ptx, capability)
        assert (stack, spilled) == (0, 0), f"{name}: {stack} bytes of stack, {spilled} of spills"
        assert registers * 256 <= 65536, f"{name}: {registers} registers, too many for a block"
        seen.add(name.split(" ")[0])
    assert seen >= {"forward", "weight_sums", "pack", "copy", "columns", "rows", "col2im",
                    "depthwise", "fold_axis", "finish"}  # fmt: skip


def test_tiles_leave_room_for_two_blocks(capability):
    for _, source, signature in forward(F32):
        ptx, _ = cuda.compile(source, signature, cc=capability, device=False, abi="numba")
        assert usage(ptx, capability)[0] <= 128


def test_tiles_are_loaded_in_vectors_and_multiplied_by_fma(capability):
    tile = tiles.Tile(128, 128, 8, 8, 8)
    ((_, source, signature),) = forward(F32, tile=tile)
    ptx, _ = cuda.compile(source, signature, cc=capability, device=False, abi="numba")
    assert ptx.count("ld.shared.v4.f32") == 4
    assert len(re.findall(r"ld\.shared\.f32", ptx)) == 0
    assert ptx.count("fma.rn.f32") == tile.thread_rows * tile.thread_columns


def test_memory_goes_with_its_context(monkeypatch):
    """A context that is reset is another object, which keeps nothing yet."""
    from numba.cuda.cudadrv.driver import Context

    from numbaconv.cuda import launch

    def enter_new_context():
        context = Context.__new__(Context)
        context.extras = {}
        monkeypatch.setattr(launch.cuda, "current_context", lambda: context)

    monkeypatch.setattr(launch, "allocate", lambda shape, *_: np.empty(shape))
    kind = np.dtype("f4")
    enter_new_context()
    first = launch.borrow("parts", 10, kind, 0)
    assert launch.borrow("parts", 10, kind, 0) is first
    assert launch.borrow("weights", 10, kind, 0) is not first
    enter_new_context()
    assert launch.borrow("parts", 10, kind, 0) is not first


def test_small_grids_are_filled_up():
    """Numba warns of fewer than 128 blocks."""
    from numbaconv.cuda import launch

    assert launch.grid(1) == (128, 256)
    assert launch.grid(256 * 1000) == (1000, 256)
    assert launch.blocks(5) == 128
