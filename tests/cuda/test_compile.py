"""Every kernel compiles for two GPUs that are not here, without a spill of registers."""

import importlib
import itertools
import re
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
from cuda.bindings import nvjitlink
from numba.cuda.core import config

from numbaconv.cuda import (
    compiled,
    depthwise,
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


def ints(index, count=len(parameters.NAMES)):
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
            small_tile(work)
            if long or index is np.int64
            else tiles.pick_for_weights(*shape, work)
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
    q = ints(index, len(patches.FOLD_NAMES))
    for major in (True, False) if dtype is F32 else (True,):
        for kernel, masked in itertools.product(((1, 1, 1), (1, 3, 3), (1, 7, 7)), (True, False)):
            built = patches.columns.source(index, dtype, kernel, 2, masked, major)
            yield f"columns {kernel} {masked}", built, (x, x, p)
        for mode in (0, 2):
            yield "rows", patches.rows.source(index, dtype, mode, major), (x, x, p)
        for along in (True, False):
            yield "turned", patches.turned.source(index, dtype, major, along), (x, x, p)
        for kernel, stride in (((1, 1, 1), 1), ((1, 3, 3), 1), ((1, 3, 3), 2), ((1, 7, 7), 2)):
            fold = patches.fold.source(
                index, work_of(dtype), dtype, kernel, (1, stride, stride), (1, 1, 1), 2,
                major, not major,
            )  # fmt: skip
            yield f"fold {kernel} {stride}", fold, (x, x, x, q)
        fold = patches.fold_any.source(index, work_of(dtype), dtype, major, not major)
        yield "fold_any", fold, (x, x, x, q)


def depthwise_kernels(dtype, index=np.int32):
    work = work_of(dtype)
    arrays = (array(dtype), array(dtype), array(dtype), array(dtype), ints(index, 51))
    variants = [((1, 3, 3), 4, (1, 1), False)]
    if dtype is F32:
        variants = [
            (kernel, rows, step, fast)
            for kernel in ((1, 3, 3), (1, 7, 7), (3, 3, 3))
            for rows, step in ((1, (1, 3)), (4, (2, 1)), (8, (1, 1)))
            for fast in (False, True)
        ]
    for kernel, rows, step, fast in variants:
        built = depthwise.forward.source(
            index, work, dtype, kernel, rows, step, 3, False, fast
        )
        yield f"depthwise {kernel} {rows}", built, arrays
    yield "depthwise", depthwise.forward_any.source(index, work, dtype, False, False), arrays


def repairs(dtype, index=np.int32):
    x, work = array(dtype), work_of(dtype)
    yield "watch", hidden.watch.source(index, work), (x, array(index), ints(index, 14))
    for conjugated in (False, True) if np.dtype(dtype).kind == "c" else (False,):
        built = hidden.repair.source(index, work, dtype, conjugated)
        yield "repair", built, (x, x, x, x, array(index), ints(index), ints(index, 8))


def specimens(dtype):
    """Yield (name, Python function, kinds of arguments) of every kernel over a dtype."""
    yield from forward(dtype)
    yield from weight_sums(dtype)
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
        yield from weight_sums(dtype, index=np.int64, long=True)
        yield from repairs(dtype, index=np.int64)
        yield from moving(dtype, index=np.int64)
        yield from gathering(dtype, index=np.int64)
        yield from depthwise_kernels(dtype, index=np.int64)
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
    operands.place_of.cache_clear()
    operands.source_index.overloads.clear()
    operands.reached_from.overloads.clear()
    return request.param


@pytest.mark.parametrize("dtype", TYPES, ids=lambda t: t.__name__)
def test_kernels_compile_without_spills(dtype, capability):
    seen = set()
    for name, source, signature in specimens(dtype):
        ptx = compiled.assembly(source, signature, capability, getattr(source, "bounds", None))
        registers, stack, spilled = usage(ptx, capability)
        assert (stack, spilled) == (0, 0), f"{name}: {stack} bytes of stack, {spilled} of spills"
        assert registers <= 128, f"{name}: {registers} registers"
        seen.add(name.split(" ")[0])
    assert seen >= {"forward", "weight_sums", "pack", "copy", "columns", "rows", "turned", "fold",
                    "fold_any", "depthwise", "fold_axis", "finish", "pad"}  # fmt: skip


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
