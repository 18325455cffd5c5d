"""Pools over lazy arrays: blocks of each, and what the blocks compute."""

from typing import Any

import dask.array as da
import numpy as np

from numbaconv.dask import arrays, blocks
from numbaconv.host import pools as host
from numbaconv.problem import cuts
from numbaconv.problem.arrays import Array
from numbaconv.problem.cuts import Cut, Sliding
from numbaconv.problem.geometry import join_shape
from numbaconv.problem.options import AdaptiveOptions, PoolOptions, ScatterOptions, UnpoolOptions
from numbaconv.problem.pool_geometry import PoolGeometry

#: Whether padding counts, and what a mean is divided by instead.
Divisor = tuple[bool, int | None]


def max_pool(
    geometry: PoolGeometry, x: da.Array, *, with_indices: bool
) -> da.Array | tuple[da.Array, da.Array]:
    """Return the largest of each window of a batched array, and where they are if wanted."""
    axes, along = _along(geometry, x)
    asked, native = _options(geometry), x.dtype.newbyteorder("=")
    values = blocks.build(max_block, [x], axes, along, dtype=native, asked=asked)
    if not with_indices:
        return values
    where = blocks.build(
        index_block, [x], axes, along, dtype=np.dtype(np.int64), asked=asked,
        size=geometry.window.size,
    )  # fmt: skip
    return values, where


def average_pool(
    geometry: PoolGeometry, x: da.Array, counted: Divisor, dtype: np.dtype[Any]
) -> da.Array:
    """Return the mean of each window of a batched array."""
    axes, along = _along(geometry, x)
    return blocks.build(
        average_block, [x], axes, along, dtype=dtype, highs=geometry.high,
        asked=_options(geometry, counted),
    )  # fmt: skip


def average_pool_backward(
    geometry: PoolGeometry, grad: da.Array, counted: Divisor
) -> da.Array:  # fmt: skip
    """Return the gradient of `average_pool` with respect to its input, of a batched gradient."""
    axes = arrays.spatial_axes(geometry.window.ndim, geometry.channels_last)
    sliding = arrays.sliding(geometry.window)
    along = [
        cuts.adjoint(axis, grad.chunks[place]) for axis, place in zip(sliding, axes, strict=True)
    ]
    return blocks.build(
        average_backward_block, [grad], axes, along, dtype=grad.dtype.newbyteorder("="),
        sliding=tuple(sliding), highs=geometry.high, asked=_options(geometry, counted),
    )  # fmt: skip


def scatter(
    operation: Any,
    values: da.Array,
    indices: da.Array,
    size: tuple[int, ...],
    asked: ScatterOptions | UnpoolOptions,
) -> da.Array:
    """Return what `max_pool*_backward` or `max_unpool*` makes of whole channels.

    Indices may point anywhere in a channel, so spatial axes become one chunk.
    """
    axes = arrays.spatial_axes(len(size), asked.layout == "channels_last")
    values = values.rechunk(dict.fromkeys(axes, -1))
    indices = indices.rechunk(values.chunks)
    chunks = list(values.chunks)
    for axis, n in zip(axes, size, strict=True):
        chunks[axis] = (n,)
    native = values.dtype.newbyteorder("=")
    return da.map_blocks(
        operation, values, indices, size=size, asked=asked, dtype=native,
        meta=np.empty((0,) * values.ndim, native), chunks=tuple(chunks),
    )  # fmt: skip


def adapt(
    operation: Any,
    x: da.Array,
    size: tuple[int, ...],
    asked: AdaptiveOptions,
    dtype: np.dtype[Any] | None = None,
) -> da.Array:
    """Map whole channels of a batched array to blocks of a spatial size, of its dtype or another.

    Windows of an adaptive pool depend on the size of the whole, so spatial axes become one chunk.
    """
    axes = arrays.spatial_axes(len(size), asked.layout == "channels_last")
    x = x.rechunk(dict.fromkeys(axes, -1))
    chunks = list(x.chunks)
    for axis, n in zip(axes, size, strict=True):
        chunks[axis] = (n,)
    native = x.dtype.newbyteorder("=") if dtype is None else dtype
    return da.map_blocks(
        operation, x, size=size, asked=asked, dtype=native,
        meta=np.empty((0,) * x.ndim, native), chunks=tuple(chunks),
    )  # fmt: skip


def adaptive_max_block(x: Array, *, size: tuple[int, ...], asked: AdaptiveOptions) -> Array:
    """Return the maxima of a block of whole channels."""
    options = asked._replace(output_size=size)
    made: Array = host.adaptive_max_pool(options, x, False, None, False)
    return made


def adaptive_index_block(x: Array, *, size: tuple[int, ...], asked: AdaptiveOptions) -> Array:
    """Return where the maxima of a block of whole channels are."""
    options = asked._replace(output_size=size)
    made: Array = host.adaptive_max_pool(options, x, True, None, False)[1]
    return made


def adaptive_average_block(x: Array, *, size: tuple[int, ...], asked: AdaptiveOptions) -> Array:
    """Return the means of a block of whole channels."""
    return host.adaptive_avg_pool(asked._replace(output_size=size), x, None, False)


def adaptive_back_block(grad: Array, *, size: tuple[int, ...], asked: AdaptiveOptions) -> Array:
    """Return the gradient of a block of whole channels."""
    shape = _image_shape(grad, size, asked.layout)
    return host.adaptive_avg_pool_backward(asked, grad, shape, None, False)


def scatter_block(
    grad: Array, indices: Array, *, size: tuple[int, ...], asked: ScatterOptions
) -> Array:
    """Return the input's gradient of a block of whole channels."""
    shape = _image_shape(grad, size, asked.layout)
    return host.max_pool_backward(asked._replace(input_shape=shape), grad, indices, None, False)


def unpool_block(
    x: Array, indices: Array, *, size: tuple[int, ...], asked: UnpoolOptions
) -> Array:  # fmt: skip
    """Return a block of whole channels, unpooled."""
    return host.max_unpool(asked._replace(output_size=size), x, indices, None, False)


def max_block(x: Array, *, cuts: tuple[Cut, ...], asked: PoolOptions) -> Array:
    """Return a block of maxima."""
    made: Array = host.max_pool(_padded(asked, cuts), x, False, None, False)
    return made


def index_block(
    x: Array, *, cuts: tuple[Cut, ...], asked: PoolOptions, size: tuple[int, ...]
) -> Array:
    """Return a block of the maxima's places, counted in the whole channel."""
    _, where = host.max_pool(_padded(asked, cuts), x, True, None, False)
    part = x.shape[1:-1] if asked.layout == "channels_last" else x.shape[2:]
    # A dilated window may cover nothing but padding: -1.
    places = np.unravel_index(np.maximum(where, 0), part)
    shifted = tuple(p + cut.first for p, cut in zip(places, cuts, strict=True))
    made: Array = np.where(where < 0, where, np.ravel_multi_index(shifted, size))
    return made


def average_block(x: Array, *, cuts: tuple[Cut, ...], asked: PoolOptions, highs: Any) -> Array:
    """Return a block of means."""
    return host.avg_pool(_padded(asked, cuts, highs), x, None, False)


def average_backward_block(
    grad: Array, *, cuts: tuple[Cut, ...], asked: PoolOptions, highs: Any,
    sliding: tuple[Sliding, ...],
) -> Array:  # fmt: skip
    """Return a block of the input's gradient: that of all the windows that reach it, cut out."""
    needed = tuple(_reading(s, cut) for s, cut in zip(sliding, cuts, strict=True))
    size = tuple(r.last - r.first for r in needed)
    shape = _image_shape(grad, size, asked.layout)
    whole = host.avg_pool_backward(_padded(asked, needed, highs), grad, shape, None, False)
    # The block may reach beyond all windows, where nothing flows.
    index, pairs = [slice(None)] * grad.ndim, [(0, 0)] * grad.ndim
    axes = arrays.spatial_axes(asked.ndim, asked.layout == "channels_last")
    for axis, r, cut in zip(axes, needed, cuts, strict=True):
        start, stop = max(cut.start, r.first), min(cut.stop, r.last)
        if stop <= start:
            start = stop = r.first
            pairs[axis] = (0, cut.length)
        else:
            pairs[axis] = (start - cut.start, cut.stop - stop)
        index[axis] = slice(start - r.first, stop - r.first)
    made: Array = np.pad(whole[tuple(index)], pairs)
    return made


def _image_shape(like: Array, size: tuple[int, ...], layout: str) -> tuple[int, ...]:
    """Return the shape of a batched array of this spatial size, its channels those of another."""
    last = layout == "channels_last"
    return join_shape(True, len(like), like.shape[-1 if last else 1], size, last)


def _reading(axis: Sliding, cut: Cut) -> Cut:
    """Return what the windows of an adjoint's block read."""
    return cuts.reading(axis, cut.first, cut.last)


def _padded(asked: PoolOptions, found: tuple[Cut, ...], highs: Any = None) -> PoolOptions:
    """Return the options of a block.

    The divisor of a mean counts no position beyond the caller's high padding (`highs`): a block
    with such a window gets that padding, and rounds up.
    """
    if highs is None:
        return asked._replace(padding=tuple((cut.low, cut.high) for cut in found))
    pairs = tuple((cut.low, min(cut.high, high)) for cut, high in zip(found, highs, strict=True))
    beyond = any(cut.high > high for cut, high in zip(found, highs, strict=True))
    return asked._replace(padding=pairs, ceil_mode=beyond)


def _options(geometry: PoolGeometry, counted: Divisor = (True, None)) -> PoolOptions:
    window = geometry.window
    return PoolOptions(
        ndim=window.ndim, kernel_size=window.kernel, stride=window.stride,
        dilation=window.dilation, layout=arrays.layout_name(geometry.channels_last),
        count_include_pad=counted[0], divisor_override=counted[1],
    )  # fmt: skip


def _along(geometry: PoolGeometry, x: da.Array) -> tuple[tuple[int, ...], list[list[Cut]]]:
    """Return the spatial axes, and the blocks of a pool's outputs along each."""
    axes = arrays.spatial_axes(geometry.window.ndim, geometry.channels_last)
    sliding = arrays.sliding(geometry.window)
    return axes, [
        cuts.forward(axis, x.chunks[place]) for axis, place in zip(sliding, axes, strict=True)
    ]
