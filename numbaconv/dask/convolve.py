"""Convolutions over lazy arrays: blocks of one, and what the blocks compute.

Gradients of weights and biases are a sum in each block, added up as a tree.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import dask.array as da
import numpy as np

from numbaconv.adjoint import padding
from numbaconv.adjoint.choice import resolve as resolve_adjoint
from numbaconv.dask import arrays, blocks
from numbaconv.host import convolution
from numbaconv.kernels.long_sums import channel_sums
from numbaconv.problem import cuts
from numbaconv.problem.arrays import Array
from numbaconv.problem.cuts import Cut
from numbaconv.problem.geometry import ConvGeometry
from numbaconv.problem.options import ConvOptions
from numbaconv.running import call, planning, strips

# Partial sums that one task of the tree adds, at least.
_BRANCHES = 8


def forward(
    geometry: ConvGeometry,
    x: da.Array,
    weight: Any,
    bias: Any,
    dtype: np.dtype[Any],
    algorithm: Any,
) -> da.Array:
    """Return the convolution of a batched array, its algorithm chosen from the whole problem."""
    found = planning.choose(geometry, dtype, algorithm)
    chosen = algorithm if found.empty else found.algorithm
    if geometry.window.padding_mode != "zeros":
        x = arrays.padded(x, geometry)
        geometry = call.without_mode(geometry)
    window, last = geometry.window, geometry.channels_last
    axes = arrays.spatial_axes(window.ndim, last)
    along = [
        cuts.forward(axis, x.chunks[place])
        for axis, place in zip(arrays.sliding(window), axes, strict=True)
    ]
    options = ConvOptions(
        ndim=window.ndim, stride=window.stride, dilation=window.dilation,
        layout=arrays.layout_name(last), algorithm=chosen,
    )  # fmt: skip
    channel = x.ndim - 1 if last else 1
    parts = []
    split = _parts(x, weight, bias, geometry, channel, input_axis=1, output_axis=0)
    for part, kernels, offsets, groups, outputs, work in split(dtype):
        parts.append(
            blocks.build(
                conv_block, [part], axes, along, channels=(channel, outputs), dtype=work,
                shared=(blocks.delayed(kernels), blocks.delayed(offsets)),
                asked=options._replace(groups=groups, dtype=work.str),
            )
        )  # fmt: skip
    return _together(parts, geometry.groups, channel, dtype)


def adjoint(
    geometry: ConvGeometry,
    x: da.Array,
    weight: Any,
    bias: Any,
    dtype: np.dtype[Any],
    algorithm: Any,
) -> da.Array:
    """Return the transposed convolution of a batched array: the adjoint of a geometry.

    With a padding mode it is the gradient of a convolution with that mode.
    """
    chosen = _chosen_adjoint(geometry, dtype, algorithm)
    inner = call.without_mode(geometry)
    # What is folded is summed once more: float16 is rounded after that.
    made = np.dtype(np.float32) if inner is not geometry and dtype == np.float16 else dtype
    window, last = inner.window, inner.channels_last
    axes = arrays.spatial_axes(window.ndim, last)
    along = [
        cuts.adjoint(axis, x.chunks[place])
        for axis, place in zip(arrays.sliding(window), axes, strict=True)
    ]
    options = ConvOptions(
        ndim=window.ndim, stride=window.stride, dilation=window.dilation,
        layout=arrays.layout_name(last), algorithm=chosen, transposed=True,
    )  # fmt: skip
    channel = x.ndim - 1 if last else 1
    parts = []
    split = _parts(x, weight, bias, inner, channel, input_axis=0, output_axis=1)
    for part, kernels, offsets, groups, outputs, work in split(made):
        parts.append(
            blocks.build(
                transposed_block, [part], axes, along, channels=(channel, outputs), dtype=work,
                shared=(blocks.delayed(kernels), blocks.delayed(offsets)),
                asked=options._replace(groups=groups, dtype=work.str),
            )
        )  # fmt: skip
    result = _together(parts, geometry.groups, channel, made)
    if inner is geometry:
        return result
    # What padding has read twice flows back over whole axes.
    whole = result.rechunk(dict.fromkeys(axes, -1))
    chunks = list(whole.chunks)
    for axis, n in zip(axes, geometry.window.size, strict=True):
        chunks[axis] = (n,)
    return da.map_blocks(
        folded_block, whole, geometry=geometry, dtype_name=dtype.str, dtype=dtype,
        meta=np.empty((0,) * x.ndim, dtype), chunks=tuple(chunks),
    )  # fmt: skip


def folded_block(padded: Array, *, geometry: ConvGeometry, dtype_name: str) -> Array:
    """Return a block of a gradient whose padding has flowed back."""
    return padding.folded(padded, geometry).astype(dtype_name, copy=False)


def conv_block(
    x: Array, weight: Array, bias: Array | None, *, cuts: tuple[Cut, ...], asked: ConvOptions
) -> Array:
    """Return a block of a convolution from the part of the input under its windows."""
    options = asked._replace(padding=tuple((cut.low, cut.high) for cut in cuts))
    if options.algorithm not in ("auto", "exact"):
        any_route = options._replace(algorithm="exact")
        found = convolution.resolve(any_route, (x.shape, x.dtype), (weight.shape, weight.dtype))
        if options.algorithm not in found.costs:
            options = any_route  # a block at the border may be too small for the whole's algorithm
    return convolution.convolve(options, x, weight, bias, None, False)


def transposed_block(
    x: Array, weight: Array, bias: Array | None, *, cuts: tuple[Cut, ...], asked: ConvOptions
) -> Array:
    """Return a block of a transposed convolution from the inputs that reach it."""
    options = asked._replace(
        padding=tuple((cut.low, cut.high) for cut in cuts),
        output_padding=tuple(cut.extra for cut in cuts),
    )
    return convolution.convolve(options, x, weight, bias, None, False)


def _chosen_adjoint(geometry: ConvGeometry, dtype: np.dtype[Any], algorithm: Any) -> str:
    """Return what every block is asked for, from the whole problem."""
    found = resolve_adjoint(geometry, dtype, algorithm)
    if algorithm != "auto" or found.empty or found.algorithm == "im2col":
        return str(algorithm if found.empty or algorithm != "auto" else "im2col")
    plan: Any = found.plan
    if isinstance(plan, padding.Plan):
        plan = plan.inner.plan
    plans = [box.call.plan for box in plan.boxes] if isinstance(plan, strips.Plan) else [plan]
    names = {phase.call.algorithm for one in plans for phase in getattr(one, "phases", ())}
    return "winograd" if names == {"winograd"} else "exact" if "winograd" not in names else "auto"


def _parts(
    x: da.Array,
    weight: Any,
    bias: Any,
    geometry: ConvGeometry,
    channel: int,
    input_axis: int,
    output_axis: int,
) -> Any:
    """Return a generator function of problems over each chunk of channels.

    It yields the part of the array, its weights, its bias, its groups, the channels that it makes,
    and the dtype in which its results are added.
    """
    last, groups = geometry.channels_last, geometry.groups
    where_input = weight.ndim - 1 - input_axis if last else input_axis
    where_output = weight.ndim - 1 - output_axis if last else output_axis
    all_inputs = x.shape[channel]
    outputs = geometry.out_channels if output_axis == 0 else geometry.in_channels
    x = arrays.channel_chunks(x, channel, all_inputs // groups if groups > 1 else 1)
    count = x.numblocks[channel]

    def split(dtype: np.dtype[Any]) -> Iterator[tuple[Any, ...]]:
        if count == 1:
            yield x, weight, bias, groups, outputs, dtype
            return
        work = np.dtype(np.float32) if dtype == np.float16 and groups == 1 else dtype
        start = 0
        for length in x.chunks[channel]:
            stop = start + length
            part = x[_index(x.ndim, channel, start, stop)]
            if groups == 1:
                kernels = weight[_index(weight.ndim, where_input, start, stop)]
                yield part, kernels, bias if start == 0 else None, 1, outputs, work
            else:
                # Whole groups: of outputs too, wherever the weights have them.
                share = all_inputs // groups
                low, high = start // share, stop // share
                made = outputs // groups
                axis, each = (where_output, made) if output_axis == 0 else (where_input, share)
                kernels = weight[_index(weight.ndim, axis, low * each, high * each)]
                offsets = None if bias is None else bias[low * made : high * made]
                yield part, kernels, offsets, high - low, (high - low) * made, work
            start = stop

    return split


def _together(parts: list[da.Array], groups: int, channel: int, dtype: np.dtype[Any]) -> da.Array:
    """Return the results of chunks of channels as one: summed, or side by side where grouped."""
    if len(parts) == 1:
        return parts[0]
    if groups > 1:
        return da.concatenate(parts, axis=channel)
    while len(parts) > 1:  # in pairs: a sum of so many channels has few roundings
        pairs = [parts[n : n + 2] for n in range(0, len(parts), 2)]
        parts = [pair[0] + pair[1] if len(pair) == 2 else pair[0] for pair in pairs]
    return parts[0].astype(dtype)


def _index(ndim: int, axis: int, start: int, stop: int) -> tuple[slice, ...]:
    index = [slice(None)] * ndim
    index[axis] = slice(start, stop)
    return tuple(index)


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
    total = convolution.weight_grad(options, x, shape, grad, None, False)
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
