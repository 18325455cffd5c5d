"""What comes in: lazy arrays, checked, with a batch axis, and padded where a mode asks for it."""

from typing import Any

import dask.array as da
import numpy as np

from numbaconv.problem import arguments
from numbaconv.problem.cuts import Sliding
from numbaconv.problem.formulas import PADDING_MODES, source_index
from numbaconv.problem.geometry import ConvGeometry, Window


def lazy(value: Any, name: str) -> da.Array:
    """Return a caller's dask array, whose chunks must be known."""
    if not isinstance(value, da.Array):
        raise TypeError(
            f"{name} must be a dask array, got {type(value).__name__}: "
            f"dask.array.from_array({name}, chunks=...) makes one"
        )
    if np.isnan(value.shape).any() or any(np.isnan(c).any() for c in value.chunks):
        raise ValueError(
            f"{name} must have known chunks, got {value.chunks}: call compute_chunk_sizes()"
        )
    chunks = tuple(tuple(n for n in c if n) or (0,) for c in value.chunks)
    return value if chunks == value.chunks else value.rechunk(chunks)


def shared(value: Any, name: str) -> Any:
    """Return weights or a bias: dask's array as it is, anything else as NumPy's."""
    return lazy(value, name) if isinstance(value, da.Array) else arguments.as_array(value, name)


def batched(x: da.Array, already: bool) -> da.Array:
    """Return an array with its batch axis."""
    return x if already else x[None]


def unbatched(y: da.Array, keep: bool) -> da.Array:
    """Return an array without the batch axis that `batched` gave it."""
    return y if keep else y[0]


def layout_name(channels_last: bool) -> str:
    """Return the layout as the public functions call it."""
    return "channels_last" if channels_last else "channels_first"


def spatial_axes(ndim: int, channels_last: bool) -> tuple[int, ...]:
    """Return the spatial axes of a batched array."""
    first = 1 if channels_last else 2
    return tuple(range(first, first + ndim))


def sliding(window: Window, high: tuple[int, ...] | None = None) -> list[Sliding]:
    """Return how a window slides along each axis."""
    highs = high or tuple(h for _, h in window.padding)
    return [
        Sliding(n, k, s, d, low, h, o)
        for n, k, s, d, (low, _), h, o in zip(
            window.size, window.kernel, window.stride, window.dilation, window.padding, highs,
            window.output, strict=True,
        )
    ]  # fmt: skip


def padded(x: da.Array, geometry: ConvGeometry) -> da.Array:
    """Return a batched array with its padding, which is not of zeros."""
    window = geometry.window
    mode = PADDING_MODES[window.padding_mode]
    axes = spatial_axes(window.ndim, geometry.channels_last)
    for axis, n, (low, high) in zip(axes, window.size, window.padding, strict=True):
        sides = [range(-low, 0), range(n, n + high)]
        left, right = ([source_index(i, n, mode) for i in side] for side in sides)
        parts = [da.take(x, left, axis) if left else None, x,
                 da.take(x, right, axis) if right else None]  # fmt: skip
        x = da.concatenate([p for p in parts if p is not None], axis)
    return x


def channel_chunks(x: da.Array, axis: int, group: int) -> da.Array:
    """Return an array whose chunks of channels hold whole groups, or all channels."""
    edges = np.cumsum(x.chunks[axis])
    return x if not (edges % max(group, 1)).any() else x.rechunk({axis: -1})


def cropped(x: da.Array, geometry: ConvGeometry) -> da.Array:
    """Return the part of a batched array that the windows of `ConvGeometry.cropped` slide over."""
    index = [slice(None)] * x.ndim
    axes = spatial_axes(geometry.window.ndim, geometry.channels_last)
    for axis, n in zip(axes, geometry.window.size, strict=True):
        index[axis] = slice(n)
    return x[tuple(index)]
