"""Gradients with respect to weights and biases: a sum in each block, added up as a tree."""

from functools import partial
from typing import Any

import dask.array as da
import numpy as np

from numbaconv.dask import arrays, blocks
from numbaconv.host import weight_gradient
from numbaconv.problem import cuts
from numbaconv.problem.arrays import Array
from numbaconv.problem.cuts import Cut
from numbaconv.problem.geometry import ConvGeometry
from numbaconv.problem.options import ConvOptions
from numbaconv.running import call
from numbaconv.weight_grad.bias import channel_sums

# Partial sums that one task of the tree adds, at least.
_BRANCHES = 8


def weight_grad(
    geometry: ConvGeometry,
    x: da.Array,
    shape: tuple[int, ...],
    grad: da.Array,
    dtype: np.dtype[Any],
    algorithm: str,
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
    asked = ConvOptions(
        ndim=window.ndim, stride=window.stride, dilation=window.dilation, groups=geometry.groups,
        layout=arrays.layout_name(last), dtype=work.str, algorithm=algorithm,
    )  # fmt: skip
    parts = blocks.build(
        patch_sums, [x], axes, along, dtype=work, appended=shape, mates=[grad], shape=shape,
        asked=asked, conjugate=conjugate,
    )  # fmt: skip
    total = parts.sum(axis=tuple(range(x.ndim)), dtype=_wider(work), split_every=_BRANCHES)
    return total.astype(dtype)


def _wider(work: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype in which the sums of blocks are added: see `numbaconv.kernels.long_sums`."""
    return {"f": np.dtype(np.float64), "c": np.dtype(np.complex128)}.get(work.kind, work)


def patch_sums(
    x: Array, grad: Array, *, cuts: tuple[Cut, ...], shape: tuple[int, ...], asked: ConvOptions,
    conjugate: str,
) -> Array:  # fmt: skip
    """Return what a block of gradients adds to the weights' gradient, with leading axes of 1."""
    if conjugate == "grad" and np.iscomplexobj(x):
        x, grad = np.conj(x), np.conj(grad)
    options = asked._replace(padding=tuple((cut.low, cut.high) for cut in cuts))
    total = weight_gradient.weight_grad(options, x, shape, grad, None, False)
    return total.reshape((1,) * x.ndim + shape)


def bias_grad(grad: da.Array, channel: int, dtype: np.dtype[Any]) -> da.Array:
    """Return the sums of a batched gradient over all axes but the channels."""
    work = np.dtype(np.float32) if dtype == np.float16 else dtype
    last = channel == grad.ndim - 1
    total = da.reduction(
        grad, chunk=partial(_block_sums, last=last, dtype_name=work.str),
        aggregate=partial(np.sum, dtype=_wider(work)),
        axis=tuple(axis for axis in range(grad.ndim) if axis != channel), dtype=_wider(work),
        split_every=_BRANCHES, meta=np.empty(0, _wider(work)),
    )  # fmt: skip
    return total.astype(dtype)


def _block_sums(
    grad: Array, axis: tuple[int, ...], keepdims: bool, *, last: bool, dtype_name: str
) -> Array:
    """Return the sum of each channel of a block, with its axes."""
    total = channel_sums(grad, last, np.dtype(dtype_name))
    return total.reshape([1 if n in axis else len(total) for n in range(grad.ndim)])
