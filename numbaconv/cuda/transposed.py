"""Transposed convolution on the device: small convolutions, or a product and col2im.

The cut into phases is `numbaconv.adjoint.axis_phases`, the CPU's.
"""

import itertools
import math
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from numbaconv.adjoint.axis_phases import MOST_PHASES, axis_phases
from numbaconv.cuda import (
    columns,
    convolve,
    copying,
    hidden,
    launch,
    matrices,
    parameters,
    product,
    sums,
)
from numbaconv.cuda.matrices import Matrix
from numbaconv.cuda.places import ImagePlace, Images, WeightPlace, Weights
from numbaconv.problem.formulas import PADDING_MODES
from numbaconv.problem.geometry import ConvGeometry, Window
from numbaconv.running.call import without_mode
from numbaconv.running.memo import kept

# Blocks that look for what is to be repaired.
_REPAIRING = 1056

# Channels of a result that are too few for a tile.
_FEW = 8


def choose(algorithm: str, geometry: ConvGeometry) -> str:
    """Return the algorithm of a problem; raise ValueError where the named one cannot run it."""
    if algorithm == "depthwise" and geometry.out_channels > geometry.groups:
        raise ValueError(
            f"algorithm='depthwise' cannot run this problem: a group has "
            f"{geometry.out_channels // geometry.groups} channels to sum, not 1"
        )
    if algorithm in ("auto", "exact"):
        few = geometry.in_channels // geometry.groups <= _FEW < geometry.out_channels
        if geometry.window.taps > 1 and few and geometry.groups == 1:
            return "im2col"  # a product of a row for each channel alone would be nearly empty
        if math.prod(geometry.window.stride) > MOST_PHASES:
            return "im2col"
    return algorithm


def run(
    algorithm: str,
    geometry: ConvGeometry,
    x: Images,
    kernels: Weights,
    bias: Any,
    out: Images,
    work: Any,
    conjugated: bool = False,
) -> None:
    """Enqueue the adjoint of a convolution: `x` has its output's shape, `out` its input's."""
    inner = without_mode(geometry)
    if inner is not geometry:
        _run_padded(algorithm, geometry, inner, x, kernels, out, work, conjugated)
    elif algorithm == "im2col" and geometry.out_channels and geometry.window.positions:
        _run_columns(geometry, x, kernels, bias, out, work, conjugated)
    else:
        _run_phases(algorithm, geometry, x, kernels.adjoint, bias, out, work, conjugated)
        if geometry.out_channels and geometry.window.positions and np.dtype(work).kind in "fc":
            _repair(geometry, x, kernels, bias, out, work, conjugated)


def _run_phases(
    algorithm: str,
    geometry: ConvGeometry,
    x: Images,
    kernels: Weights,
    bias: Any,
    out: Images,
    work: Any,
    conjugated: bool,
) -> None:
    """Make the positions of each remainder modulo the stride by a convolution of stride 1."""
    cleared, phases = _phases(algorithm, geometry)
    if cleared:
        # In one go, whose writes lie side by side; the phases that have something write over it.
        _run_nothing(geometry, x, kernels, bias, out, work)
    for phase in phases:
        convolve.run(
            phase.algorithm, phase.geometry, x.cut(phase.sources), kernels.chosen(phase.taps), bias,
            out.cut(phase.targets), work, conjugated,
        )  # fmt: skip


class _Phase(NamedTuple):
    """A convolution of stride 1, and what of the arrays it has to do with."""

    algorithm: str
    geometry: ConvGeometry
    sources: tuple[slice, ...]
    targets: tuple[slice, ...]
    taps: tuple[slice, ...]


@kept
def _phases(algorithm: str, geometry: ConvGeometry) -> tuple[bool, list[_Phase]]:
    """Return whether the result is cleared first, and the phases."""
    window = geometry.window
    axes = zip(
        window.size, window.output, window.kernel, window.stride, window.dilation,
        (low for low, _ in window.padding), strict=True,
    )  # fmt: skip
    phases = list(itertools.product(*(axis_phases(*axis) for axis in axes)))
    hollow = [not all(q.kernel for q in parts) for parts in phases]
    cleared = any(hollow) and not all(hollow) and window.positions > 0
    if cleared:
        phases = [parts for parts, none in zip(phases, hollow, strict=True) if not none]
    found = []
    for parts in phases:
        targets = tuple(slice(q.first, None, s) for q, s in zip(parts, window.stride, strict=True))
        empty = not all(q.kernel for q in parts) or not window.positions
        sources = tuple(
            slice(max(-q.low, 0), n - max(-q.high, 0))
            for q, n in zip(parts, window.output, strict=True)
        )
        size = tuple(len(range(n)[s]) for n, s in zip(window.size, targets, strict=True))
        # Where no tap reaches, nothing is summed: a convolution of no channels.
        small = ConvGeometry(
            geometry.batch,
            0 if empty else geometry.out_channels,
            geometry.in_channels,
            geometry.groups,
            Window(size, (1,) * len(size), (1,) * len(size), (1,) * len(size),
                   ((0, 0),) * len(size))
            if empty
            else Window(
                size=tuple(len(range(n)[s]) for n, s in zip(window.output, sources, strict=True)),
                kernel=tuple(q.kernel for q in parts),
                stride=(1,) * len(parts),
                dilation=tuple(q.dilation for q in parts),
                padding=tuple((max(q.low, 0), max(q.high, 0)) for q in parts),
            ),
        )  # fmt: skip
        chosen = convolve.choose(algorithm, small) if not empty else "direct"
        found.append(_Phase(chosen, small, sources, targets, tuple(q.taps for q in parts)))
    return cleared, found


def _run_nothing(
    geometry: ConvGeometry, x: Images, kernels: Weights, bias: Any, out: Images, work: Any
) -> None:
    """Make a result of no terms: zeros, or the bias."""
    size = out.size[3 - geometry.window.ndim :]
    ones = (1,) * len(size)
    empty = ConvGeometry(
        geometry.batch, 0, geometry.in_channels, geometry.groups,
        Window(size, ones, ones, ones, ((0, 0),) * len(size)),
    )  # fmt: skip
    convolve.run("direct", empty, x, kernels, bias, out, work)


def _repair(
    geometry: ConvGeometry,
    x: Images,
    kernels: Weights,
    bias: Any,
    out: Images,
    work: Any,
    conjugated: bool,
) -> None:
    """Undo what the phases' own padding has made of weights that are not finite."""
    count = geometry.batch * geometry.in_channels * math.prod(out.size)
    if not count or geometry.window.taps == 1:
        return
    index, p, watch, places = _repair_ints(
        geometry, x.place, kernels.place, out.place, count, bias is not None
    )
    stamp = launch.stamp(index)
    seen = launch.borrow("seen", 1, np.dtype(index), out.stream)
    watched = hidden.watch(index, work)
    watched[(*launch.grid(int(watch[0])), out.stream)](kernels.data, seen, (*watch, stamp))
    kernel = hidden.repair(index, work, out.dtype.type, conjugated)
    blocks, threads = launch.grid(count)
    kernel[min(blocks, _REPAIRING), threads, out.stream](
        x.data, kernels.data, kernels.data if bias is None else bias, out.data, seen, p,
        (*places, stamp),
    )  # fmt: skip


@kept
def _repair_ints(
    geometry: ConvGeometry, x: ImagePlace, kernels: WeightPlace, out: ImagePlace, count: int,
    biased: bool,
) -> tuple[Any, ...]:  # fmt: skip
    """Return the type of index, and the ints of `hidden.repair`, of `hidden.watch`, and of both.

    The stamp of a call follows the last two.
    """
    outputs = geometry.out_channels // geometry.groups
    channels = geometry.in_channels // geometry.groups
    weights = geometry.out_channels * channels * geometry.window.taps
    values = {
        **product.window_values(geometry), **out.as_input, **x.as_output,
        "M": outputs, "N": count, "K": 0, "SPLIT_K": 0, "BLOCKS": 0, "BIASED": int(biased),
    }  # fmt: skip
    values["CHANNELS"] = channels
    places = (kernels.base, kernels.group, kernels.output, kernels.channel, *kernels.steps)
    index, p = parameters.pack(values, x.elements, out.elements, kernels.elements, *places, weights)
    watch = (weights, outputs, channels, *kernels.taps, *places)
    return index, p, tuple(map(index, watch)), tuple(map(index, places))


def _run_columns(
    geometry: ConvGeometry,
    x: Images,
    kernels: Weights,
    bias: Any,
    out: Images,
    work: Any,
    conjugated: bool,
) -> None:
    """Multiply by the transposed weights, and fold the columns."""
    window = geometry.window
    taps, positions = window.taps, window.positions
    group_outputs = geometry.out_channels // geometry.groups
    length = geometry.in_channels * taps
    # The weights as (output, channel and tap), which is their own order if they are channels first:
    # those of a convolution of kernel 1, whose outputs are the channels and taps.
    channels = geometry.in_channels // geometry.groups
    held = launch.borrow(
        "weights in order", geometry.out_channels * channels * taps, np.dtype(work), out.stream
    )
    source = Images(
        kernels.data, kernels.dtype, kernels.base, kernels.output, kernels.channel, kernels.steps,
        kernels.taps, out.stream,
    )  # fmt: skip
    copying.copy(
        source, columns.flat(held, channels, window.kernel, work, out.stream),
        geometry.out_channels, channels, conjugated,
    )  # fmt: skip
    rows = channels * taps
    matrix = Weights(held, np.dtype(work), 0, group_outputs * rows, 1, rows, (0, 0, 0), (1, 1, 1))
    packed = None
    ones = (1,) * window.ndim
    chunks = columns.chunks(geometry, work)
    planned = chunks[0][1]
    for first, images in chunks:
        small = ConvGeometry(
            images, geometry.out_channels, length, geometry.groups,
            Window(window.output, ones, ones, ones, ((0, 0),) * window.ndim),
        )  # fmt: skip
        cols = launch.borrow("columns", images * length * positions, np.dtype(work), out.stream)
        target = columns.flat(cols, length, window.output, work, out.stream)
        assert small.patch_size == group_outputs
        source = x.part(first)
        if packed is None:
            cut = product.cut(small, source, matrix, target, work, planned)
            packed = product.pack(cut, small, source, matrix, work, False)
        product.multiply_packed(cut, small, source, packed, None, target, work)
        matrices.fold(
            replace(geometry, batch=images), Matrix.of_columns(cols, length, positions),
            out.part(first), bias, work, True,
        )  # fmt: skip


def _run_padded(
    algorithm: str,
    geometry: ConvGeometry,
    inner: ConvGeometry,
    x: Images,
    kernels: Weights,
    out: Images,
    work: Any,
    conjugated: bool,
) -> None:
    """Make the gradient of the padded input, then fold its axes, one after the other."""
    window = geometry.window
    size = list(inner.window.size)
    lines = geometry.batch * geometry.in_channels
    stream, kind = out.stream, np.dtype(work)
    here = launch.borrow("padded", lines * math.prod(size), kind, stream)
    padded = columns.flat(here, geometry.in_channels, tuple(size), work, stream)
    contiguous = replace(inner, channels_last=False)
    run(algorithm, contiguous, x, kernels, None, padded, work, conjugated)
    for axis, (n, (low, high)) in enumerate(zip(window.size, window.padding, strict=True)):
        if low + high == 0:
            continue
        outer, inside = lines * math.prod(size[:axis]), math.prod(size[axis + 1 :])
        size[axis] = n
        there = launch.borrow(f"folded {axis}", lines * math.prod(size), kind, stream)
        index = parameters.index_type(here.size, there.size, low + n + high)
        kernel = sums.fold_axis(index, work, PADDING_MODES[window.padding_mode])
        kernel[(*launch.grid(outer * n * inside), stream)](
            here, there, tuple(map(index, (outer, n, inside, low, high)))
        )
        here = there
    source = columns.flat(here, geometry.in_channels, tuple(size), work, stream)
    copying.copy(source, out, geometry.batch, geometry.in_channels)
