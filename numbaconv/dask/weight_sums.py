"""Gradients with respect to weights and biases: a sum in each block, added up as a tree."""

from typing import Any

import dask.array as da
import numpy as np

from numbaconv import call, cuts
from numbaconv.arrays import Array
from numbaconv.cuts import Cut
from numbaconv.dask import arrays, blocks
from numbaconv.geometry import ConvGeometry
from numbaconv.weight_gradients import conv1d_weight_grad, conv2d_weight_grad, conv3d_weight_grad

_WEIGHT_GRADS = {1: conv1d_weight_grad, 2: conv2d_weight_grad, 3: conv3d_weight_grad}

# Partial sums that one task of the tree adds.
_BRANCHES = 8


def weight_grad(
    geometry: ConvGeometry,
    x: da.Array,
    shape: tuple[int, ...],
    grad: da.Array,
    dtype: np.dtype[Any],
    algorithm: str,
    parallel: bool,
    conjugate: str,
) -> da.Array:
    """Return the sums of gradients times patches over all positions of batched arrays.

    `conjugate` says which of ``"x"`` and ``"grad"`` is taken so where they are complex.
    """
    if geometry.window.padding_mode != "zeros":
        x = arrays.padded(x, geometry)
        geometry = call.without_mode(geometry)
    window, last = geometry.window, geometry.channels_last
    axes = arrays.spatial_axes(window.ndim, last)
    channel = x.ndim - 1 if last else 1
    x = x.rechunk({channel: -1, 0: grad.chunks[0]})
    grad = grad.rechunk({channel: -1})
    along = []
    for axis, place in zip(arrays.sliding(window), axes, strict=True):
        along.append(cuts.readings(axis, grad.chunks[place]))
    work = np.dtype(np.float32) if dtype == np.float16 else dtype
    parts = blocks.build(
        patch_sums, [x], axes, along, dtype=work, appended=shape, mates=[grad], shape=shape,
        ndim=window.ndim,
        stride=window.stride, dilation=window.dilation, groups=geometry.groups,
        layout="channels_last" if last else "channels_first", dtype_name=work.str,
        algorithm=algorithm, parallel=parallel, conjugate=conjugate,
    )  # fmt: skip
    total = parts.sum(axis=tuple(range(x.ndim)), dtype=work, split_every=_BRANCHES)
    return total.astype(dtype)


def patch_sums(
    x: Array,
    grad: Array,
    *,
    cuts: tuple[Cut, ...],
    shape: tuple[int, ...],
    ndim: int,
    stride: Any,
    dilation: Any,
    groups: int,
    layout: str,
    dtype_name: str,
    algorithm: str,
    parallel: bool,
    conjugate: str,
) -> Array:
    """Return what a block of gradients adds to the weights' gradient, with leading axes of 1."""
    if conjugate == "grad" and np.iscomplexobj(x):
        x, grad = np.conj(x), np.conj(grad)
    total = _WEIGHT_GRADS[ndim](
        x, shape, grad, stride, tuple((cut.low, cut.high) for cut in cuts), dilation, groups,
        layout=layout, dtype=dtype_name, algorithm=algorithm, parallel=parallel,
    )  # fmt: skip
    return total.reshape((1,) * x.ndim + shape)


def bias_grad(grad: da.Array, channel: int, dtype: np.dtype[Any]) -> da.Array:
    """Return the sums of a batched gradient over all axes but the channels."""
    work = np.dtype(np.float32) if dtype == np.float16 else dtype
    axes = tuple(axis for axis in range(grad.ndim) if axis != channel)
    return grad.sum(axis=axes, dtype=work, split_every=_BRANCHES).astype(dtype)
