"""im2col and col2im of whole arrays: results, copies of what kernels cannot take, and launches."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from numbaconv.kernels import recording, threads, workspace
from numbaconv.kernels.long_sums import SHORT_SUM
from numbaconv.problem import arguments
from numbaconv.problem.arrays import Array, as_batch, empty, flatten, is_direct, overlaps_itself
from numbaconv.problem.geometry import Ints
from numbaconv.problem.options import PatchOptions
from numbaconv.problem.patch_geometry import PatchGeometry
from numbaconv.running.memo import remembered

# Fills an array from another one.
Operation = Callable[[PatchGeometry, Array, Array, bool], None]
# Positions of a row of the result that are a task.
_PIECE = 1 << 14


def im2col(options: PatchOptions, x: Any, out: Any, parallel: Any) -> Array:
    """Return the matrix of an image's patches."""
    array = arguments.as_array(x, "x")
    dtype = arguments.supported(array.dtype, "the dtype of x")
    geometry = remembered(_parse, options, array.shape)
    target = _target(out, geometry.matrix_shape, dtype)
    return _run(_gather, geometry, array, target, out, parallel)


def col2im(options: PatchOptions, cols: Any, out: Any, parallel: Any) -> Array:
    """Return the image that sums a matrix of patches where they overlap."""
    array = arguments.as_array(cols, "cols")
    dtype = arguments.supported(array.dtype, "the dtype of cols")
    geometry = remembered(_parse_folded, options, array.shape)
    target = _target(out, geometry.image_shape, dtype)
    return _run(_fold, geometry, array, target, out, parallel)


# Functions, for the memo: a bound method is a new object whenever it is asked for.
def _parse(options: PatchOptions, shape: Ints) -> PatchGeometry:
    return PatchGeometry.parse(options, shape)


def _parse_folded(options: PatchOptions, shape: Ints) -> PatchGeometry:
    return PatchGeometry.parse_folded(options, shape)


def _target(out: Any, shape: Ints, dtype: np.dtype[Any]) -> Array:
    """Return the caller's `out`, or a new array."""
    arguments.check_addressable(shape, dtype)
    return empty(shape, dtype) if out is None else arguments.check_out(out, shape, dtype)


def _run(
    operation: Operation, geometry: PatchGeometry, array: Array, result: Array, out: Any,
    parallel: Any,
) -> Array:  # fmt: skip
    """Return `out`, or the result, filled by an operation."""
    parallel = arguments.flag(parallel, "parallel")
    if result.size:
        source, target = as_batch(array, geometry.batched), as_batch(result, geometry.batched)
        operation(geometry, source, target, parallel)
        # A recorded call is for replay where it went through no copies.
        if recording.active and all(is_direct(a, result.dtype) for a in (source, target)):
            recording.approve()
    return result if out is None else out


def _gather(geometry: PatchGeometry, x: Array, out: Array, parallel: bool) -> None:
    """Fill `out`, image by image where an array must go through a copy."""
    if overlaps_itself(out) or np.may_share_memory(x, out):
        _through_copy(_gather, geometry, x, out, parallel)
        return
    if not (is_direct(x, out.dtype) and is_direct(out, out.dtype)) and len(x) > 1:
        for n in range(len(x)):
            _gather(geometry, x[n : n + 1], out[n : n + 1], parallel)
        return
    if not is_direct(out, out.dtype):
        _through_copy(_gather, geometry, x, out, parallel)
        return
    if not is_direct(x, out.dtype):
        x = x.astype(out.dtype)
    from numbaconv.reference import gather  # here: the kernels are not needed to import the package

    gather.im2col(
        x, out, geometry.window, channels_last=geometry.channels_last, as_rows=geometry.as_rows,
        parallel=parallel,
    )  # fmt: skip


def _fold(geometry: PatchGeometry, cols: Array, out: Array, parallel: bool) -> None:
    """Fill `out`, image by image where an array must go through a copy."""
    work = np.dtype(np.float32) if out.dtype == np.float16 else out.dtype
    if overlaps_itself(out) or np.may_share_memory(cols, out):
        _through_copy(_fold, geometry, cols, out, parallel)
        return
    if not (is_direct(cols, work) and is_direct(out, work)):
        for n in range(len(cols)):
            source, target = cols[n : n + 1], out[n : n + 1]
            if not is_direct(source, work):
                source = source.astype(work)
            if is_direct(target, work):
                _fold(geometry, source, target, parallel)
            else:
                _through_copy(_fold, geometry, source, target, parallel, work)
        return
    _fold_direct(geometry, cols, out, parallel)


def _through_copy(
    operation: Operation, geometry: PatchGeometry, source: Array, out: Array, parallel: bool,
    dtype: np.dtype[Any] | None = None,
) -> None:  # fmt: skip
    """Fill `out` by way of another array."""
    fresh = np.empty(out.shape, dtype or out.dtype)
    operation(geometry, source, fresh, parallel)
    out[...] = fresh


def _fold_direct(geometry: PatchGeometry, cols: Array, out: Array, parallel: bool) -> None:
    """Fill `out`, where both arrays are as kernels take them."""
    # Here: the kernels are not needed to import the package.
    from numbaconv.reference import fold, fold_strips

    work, window, channels = out.dtype, geometry.window, geometry.channels
    channels_last, as_rows = geometry.channels_last, geometry.as_rows
    flat = flatten(cols, channels_last=False)
    result = flatten(out, channels_last=channels_last)
    long = window.overlap > SHORT_SUM
    if not long and fold_strips.fits(flat, work):
        fold_strips.col2im(
            flat, result, window, (len(out), channels), work, channels_last=channels_last,
            as_rows=as_rows, parallel=parallel,
        )  # fmt: skip
        return
    by_channel = as_rows and not long
    piece = min(window.size[-1], _PIECE)
    tasks = len(out) * math.prod(window.size[:-1]) * -(-window.size[-1] // piece)
    tasks *= 1 if by_channel else channels
    workers = threads.worker_count(tasks, work=cols.size, parallel=parallel)
    step = int(flat.place[2]), int(flat.place[5])
    element_step, position_step = step[::-1] if as_rows else step
    space, waiting = None, result.data[:0].reshape(workers, 0)
    if long:
        space = workspace.take(workers * 2 * fold.SEGMENT * work.itemsize)
        waiting = space.view(work, (workers, 2 * fold.SEGMENT))
    for begin, end in threads.ranges(tasks, cols.size, threads.MOST_MOVED):
        if by_channel:
            threads.run(
                fold.col2im_by_channel, workers, begin, end, flat.data, flat.place, window.packed,
                channels, not channels_last, piece, result.data, result.place,
            )  # fmt: skip
        else:
            threads.run(
                fold.col2im_by_position, workers, workers, begin, end, flat.data, flat.place,
                element_step, position_step, window.packed, channels, not channels_last, piece,
                result.data, result.place, waiting,
            )  # fmt: skip
    if space is not None:
        workspace.give_back(space)
