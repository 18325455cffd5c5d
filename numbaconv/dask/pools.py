"""Pools over lazy arrays: blocks of each, and what the blocks compute."""

from typing import Any

import dask.array as da
import numpy as np

from numbaconv.api import avg_pool as avg_doors
from numbaconv.api import max_pool as max_doors
from numbaconv.api import max_unpool as unpool_doors
from numbaconv.dask import arrays, blocks
from numbaconv.problem import cuts
from numbaconv.problem.arrays import Array
from numbaconv.problem.cuts import Cut, Sliding
from numbaconv.problem.pool_geometry import PoolGeometry

_MAX = {n: getattr(max_doors, f"max_pool{n}d") for n in (1, 2, 3)}
_MAX_BACKWARD = {n: getattr(max_doors, f"max_pool{n}d_backward") for n in (1, 2, 3)}
_UNPOOL = {n: getattr(unpool_doors, f"max_unpool{n}d") for n in (1, 2, 3)}
_AVERAGE = {n: getattr(avg_doors, f"avg_pool{n}d") for n in (1, 2, 3)}
_AVERAGE_BACKWARD = {n: getattr(avg_doors, f"avg_pool{n}d_backward") for n in (1, 2, 3)}


def max_pool(
    geometry: PoolGeometry, x: da.Array, *, with_indices: bool, parallel: bool
) -> da.Array | tuple[da.Array, da.Array]:
    """Return the largest of each window of a batched array, and where they are if wanted."""
    window, last = geometry.window, geometry.channels_last
    axes, along = _along(geometry, x)
    options: dict[str, Any] = {
        "ndim": window.ndim, "size": window.size, "kernel": window.kernel, "stride": window.stride,
        "dilation": window.dilation, "layout": arrays.layout_name(last), "parallel": parallel,
    }  # fmt: skip
    native = x.dtype.newbyteorder("=")
    values = blocks.build(max_block, [x], axes, along, dtype=native, **options)
    if not with_indices:
        return values
    where = blocks.build(index_block, [x], axes, along, dtype=np.dtype(np.int64), **options)
    return values, where


def average_pool(
    geometry: PoolGeometry,
    x: da.Array,
    *,
    count_include_pad: bool,
    divisor_override: int | None,
    dtype: np.dtype[Any],
    parallel: bool,
) -> da.Array:
    """Return the mean of each window of a batched array."""
    axes, along = _along(geometry, x)
    return blocks.build(
        average_block, [x], axes, along, dtype=dtype,
        **_average_options(geometry, count_include_pad, divisor_override, parallel),
    )  # fmt: skip


def average_pool_backward(
    geometry: PoolGeometry,
    grad: da.Array,
    *,
    count_include_pad: bool,
    divisor_override: int | None,
    parallel: bool,
) -> da.Array:
    """Return the gradient of `average_pool` with respect to its input, of a batched gradient."""
    axes = arrays.spatial_axes(geometry.window.ndim, geometry.channels_last)
    sliding = arrays.sliding(geometry.window)
    along = [
        cuts.adjoint(axis, grad.chunks[place]) for axis, place in zip(sliding, axes, strict=True)
    ]
    return blocks.build(
        average_backward_block, [grad], axes, along, dtype=grad.dtype.newbyteorder("="),
        sliding=tuple(sliding),
        **_average_options(geometry, count_include_pad, divisor_override, parallel),
    )  # fmt: skip


def scatter(
    operation: Any,
    grad: da.Array,
    indices: da.Array,
    geometry_last: bool,
    size: tuple[int, ...],
    parallel: bool,
    **window: Any,
) -> da.Array:
    """Return what `max_pool*_backward` or `max_unpool*` makes of whole channels.

    Indices may point anywhere in a channel, so spatial axes become one chunk.
    """
    ndim = len(size)
    axes = arrays.spatial_axes(ndim, geometry_last)
    grad = grad.rechunk(dict.fromkeys(axes, -1))
    indices = indices.rechunk(grad.chunks)
    chunks = list(grad.chunks)
    for axis, n in zip(axes, size, strict=True):
        chunks[axis] = (n,)
    native = grad.dtype.newbyteorder("=")
    return da.map_blocks(
        operation, grad, indices, size=size, layout=arrays.layout_name(geometry_last),
        parallel=parallel, **window, dtype=native, meta=np.empty((0,) * grad.ndim, native),
        chunks=tuple(chunks),
    )  # fmt: skip


def scatter_block(
    grad: Array, indices: Array, *, size: tuple[int, ...], layout: str, parallel: bool
) -> Array:
    """Return the input's gradient of a block of whole channels."""
    channels = grad.shape[-1] if layout == "channels_last" else grad.shape[1]
    image = (*size, channels) if layout == "channels_last" else (channels, *size)
    made: Array = _MAX_BACKWARD[len(size)](
        grad, indices, (len(grad), *image), layout=layout, parallel=parallel
    )
    return made


def unpool_block(
    x: Array, indices: Array, *, size: tuple[int, ...], layout: str, parallel: bool, kernel: Any,
    stride: Any, padding: Any,
) -> Array:  # fmt: skip
    """Return a block of whole channels, unpooled."""
    made: Array = _UNPOOL[len(size)](
        x, indices, kernel, stride, padding, output_size=size, layout=layout, parallel=parallel
    )
    return made


def max_block(
    x: Array, *, cuts: tuple[Cut, ...], ndim: int, kernel: Any, stride: Any, dilation: Any,
    layout: str, parallel: bool, size: Any,
) -> Array:  # fmt: skip
    """Return a block of maxima."""
    made: Array = _MAX[ndim](
        x, kernel, stride, tuple((cut.low, cut.high) for cut in cuts), dilation, layout=layout,
        parallel=parallel,
    )  # fmt: skip
    return made


def index_block(
    x: Array, *, cuts: tuple[Cut, ...], ndim: int, kernel: Any, stride: Any, dilation: Any,
    layout: str, parallel: bool, size: tuple[int, ...],
) -> Array:  # fmt: skip
    """Return a block of the maxima's places, counted in the whole channel."""
    _, where = _MAX[ndim](
        x, kernel, stride, tuple((cut.low, cut.high) for cut in cuts), dilation,
        return_indices=True, layout=layout, parallel=parallel,
    )  # fmt: skip
    part = x.shape[1:-1] if layout == "channels_last" else x.shape[2:]
    # A dilated window may cover nothing but padding: -1.
    places = np.unravel_index(np.maximum(where, 0), part)
    shifted = tuple(p + cut.first for p, cut in zip(places, cuts, strict=True))
    made: Array = np.where(where < 0, where, np.ravel_multi_index(shifted, size))
    return made


def average_block(
    x: Array, *, cuts: tuple[Cut, ...], highs: Any, ndim: int,
    kernel: Any, stride: Any, dilation: Any, **options: Any,
) -> Array:  # fmt: skip
    """Return a block of means."""
    padding, ceil = _padding(cuts, highs)
    made: Array = _AVERAGE[ndim](
        x, kernel, stride, padding, dilation=dilation, ceil_mode=ceil, **options
    )
    return made


def average_backward_block(
    grad: Array, *, cuts: tuple[Cut, ...], highs: Any, ndim: int,
    kernel: Any, stride: Any, dilation: Any, sliding: tuple[Sliding, ...], **options: Any,
) -> Array:  # fmt: skip
    """Return a block of the input's gradient: that of all the windows that reach it, cut out."""
    last = options["layout"] == "channels_last"
    needed = tuple(_reading(s, cut) for s, cut in zip(sliding, cuts, strict=True))
    padding, ceil = _padding(needed, highs)
    size = tuple(r.last - r.first for r in needed)
    channels = grad.shape[-1] if last else grad.shape[1]
    image = (*size, channels) if last else (channels, *size)
    whole = _AVERAGE_BACKWARD[ndim](
        grad, (len(grad), *image), kernel, stride, padding, dilation=dilation, ceil_mode=ceil,
        **options,
    )  # fmt: skip
    # The block may reach beyond all windows, where nothing flows.
    index, pairs = [slice(None)] * grad.ndim, [(0, 0)] * grad.ndim
    for axis, r, cut in zip(arrays.spatial_axes(ndim, last), needed, cuts, strict=True):
        start, stop = max(cut.start, r.first), min(cut.stop, r.last)
        if stop <= start:
            start = stop = r.first
            pairs[axis] = (0, cut.length)
        else:
            pairs[axis] = (start - cut.start, cut.stop - stop)
        index[axis] = slice(start - r.first, stop - r.first)
    made: Array = np.pad(whole[tuple(index)], pairs)
    return made


def _reading(axis: Sliding, cut: Cut) -> Cut:
    """Return what the windows of an adjoint's block read."""
    return cuts.reading(axis, cut.first, cut.last)


def _padding(found: tuple[Cut, ...], highs: Any) -> tuple[Any, bool]:
    """Return the padding of a block, and whether its last window may end beyond the padding.

    The divisor of a mean counts no position beyond the caller's high padding: a block with such a
    window gets that padding, and rounds up.
    """
    padding = tuple((cut.low, min(cut.high, high)) for cut, high in zip(found, highs, strict=True))
    return padding, any(cut.high > high for cut, high in zip(found, highs, strict=True))


def _average_options(
    geometry: PoolGeometry, count_include_pad: bool, divisor_override: int | None, parallel: bool
) -> dict[str, Any]:
    window = geometry.window
    return {
        "highs": geometry.high, "ndim": window.ndim,
        "kernel": window.kernel, "stride": window.stride, "dilation": window.dilation,
        "count_include_pad": count_include_pad, "divisor_override": divisor_override,
        "layout": arrays.layout_name(geometry.channels_last), "parallel": parallel,
    }  # fmt: skip


def _along(geometry: PoolGeometry, x: da.Array) -> tuple[tuple[int, ...], list[list[Cut]]]:
    """Return the spatial axes, and the blocks of a pool's outputs along each."""
    axes = arrays.spatial_axes(geometry.window.ndim, geometry.channels_last)
    sliding = arrays.sliding(geometry.window)
    return axes, [
        cuts.forward(axis, x.chunks[place]) for axis, place in zip(sliding, axes, strict=True)
    ]
