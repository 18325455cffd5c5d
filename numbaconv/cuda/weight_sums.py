"""The gradient with respect to weights, and to a bias: sums over all positions of the batch."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from numbaconv.cuda import (
    columns,
    copying,
    launch,
    multiply_gradients,
    operands,
    parameters,
    sums,
    tiles,
    weights,
)
from numbaconv.cuda.arrays import DeviceArray
from numbaconv.cuda.places import Images, Weights
from numbaconv.cuda.product import (
    digits,
    mode_of,
    splits,
    window_values,
)
from numbaconv.cuda.tiles import MOST, Tile
from numbaconv.problem.geometry import ConvGeometry, three_axes

# Bytes of partial sums at most, into how many parts a product is cut, and blocks of single sums.
_MOST_BYTES, _MOST_PARTS, _SUMS = 1 << 28, 512, 1056


def choose(algorithm: str) -> str:
    """Return the algorithm that runs; raise ValueError for one that cannot."""
    if algorithm == "depthwise":
        raise ValueError(
            "algorithm='depthwise' cannot run this problem: the weight gradient has 'im2col', "
            "'direct' only"
        )
    return "direct" if algorithm in ("auto", "exact") else algorithm


def run(
    algorithm: str,
    geometry: ConvGeometry,
    x: Images,
    grad: Images,
    target: Weights,
    work: Any,
    conjugated: str,
) -> None:
    """Enqueue the products of gradients and patches, summed over all positions of the batch.

    The caller holds `numbaconv.cuda.launch.lock`. `conjugated` says which of ``"x"`` and ``"grad"``
    is taken so, or neither.
    """
    if geometry.batch and (
        algorithm == "im2col" or (geometry.window.mirrors and not copying.can_pad(geometry))
    ):
        _run_columns(geometry, x, grad, target, work, conjugated)
        return
    cut = _Cut.of(geometry, work)
    parts = launch.borrow("parts", cut.elements * cut.parts, np.dtype(work), grad.stream)
    _enqueue(cut, geometry, x, grad, parts, work, conjugated)
    _finish(geometry, cut.parts, parts, target, work, grad.stream)


@dataclass(frozen=True)
class _Cut:
    """How the sums are shared out: ``rows x columns`` of each group, in parts of the positions."""

    rows: int
    columns: int
    summed: int
    tile: Tile
    tiled: bool
    by_outputs: bool
    blocks: int
    part: int
    parts: int
    elements: int

    @classmethod
    def of(cls, geometry: ConvGeometry, work: Any) -> "_Cut":
        rows, columns = geometry.out_channels // geometry.groups, geometry.patch_size
        summed = geometry.batch * geometry.window.positions
        tile = tiles.pick_for_weights(rows, columns, work)
        elements = geometry.groups * rows * columns
        # Where a tile would be mostly empty, a block makes one sum.
        by_outputs = False
        tiled = rows * columns * 4 >= tile.rows * tile.columns
        if tiled:
            blocks = -(-rows // tile.rows) * -(-columns // tile.columns) * geometry.groups
            size = elements * np.dtype(work).itemsize
            parts = splits(blocks, size, tile, summed, _MOST_PARTS)
            # Sums so long that their parts would take more memory than this are wide ones.
            parts = max(1, min(parts, _MOST_BYTES // max(size, 1)))
        else:
            # All taps of an output at once, where it has but one channel.
            by_outputs = cls.is_by_outputs(geometry)
            blocks = geometry.out_channels if by_outputs else elements
            parts = max(-(-_SUMS // max(blocks, 1)), _least_parts(summed))
        part = max(-(-summed // parts // tile.depth), 1) * tile.depth
        parts = max(1, -(-summed // part))
        cut = cls(rows, columns, summed, tile, tiled, by_outputs, blocks, part, parts, elements)
        return cut.cut_by(tiles.pick_small(work), geometry.groups) if tiled and part > MOST else cut

    @staticmethod
    def is_by_outputs(geometry: ConvGeometry) -> bool:
        """Return whether `numbaconv.cuda.sums.over_taps` has a kernel for this problem."""
        window = geometry.window
        return (
            geometry.in_channels == geometry.groups
            and 1 < window.taps <= launch.MOST_UNROLLED
            and not window.mirrors
        )

    def cut_by(self, tile: Tile, groups: int) -> "_Cut":
        """Return the same parts by another tile, of the same depth."""
        blocks = -(-self.rows // tile.rows) * -(-self.columns // tile.columns) * groups
        return replace(self, tile=tile, blocks=blocks)


def _enqueue(
    cut: _Cut,
    geometry: ConvGeometry,
    x: Images,
    grad: Images,
    parts: Any,
    work: Any,
    conjugated: str,
) -> None:
    """Enqueue the sums of each part, ``(part, group, output, element of a patch)``."""
    if cut.tiled:
        _enqueue_tiles(cut, geometry, x, grad, parts, work, conjugated)
        return
    if cut.by_outputs:
        _enqueue_taps(cut, geometry, x, grad, parts, work, conjugated)
        return
    values = {
        **window_values(geometry), **x.place.as_input, **grad.place.as_output,
        "M": cut.rows, "N": cut.columns, "K": cut.summed, "SPLIT_K": cut.part,
        "BLOCKS": cut.blocks * cut.parts, "BIASED": 0,
    }  # fmt: skip
    index, p = parameters.pack(
        values, x.data.size, grad.data.size, cut.elements * cut.parts, cut.summed + cut.part
    )
    threads = sum_threads()
    kernel = sums.over_positions(threads, index, work, mode_of(geometry), conjugated, True)
    kernel[cut.blocks * cut.parts, threads, grad.stream](grad.data, x.data, parts, p)


def _enqueue_taps(
    cut: _Cut,
    geometry: ConvGeometry,
    x: Images,
    grad: Images,
    parts: Any,
    work: Any,
    conjugated: str,
) -> None:
    """Enqueue the sums of each part, a block for all taps of an output."""
    window = geometry.window
    output, strides = three_axes(window.output, 1), three_axes(window.stride, 1)
    kernel, dilations = three_axes(window.kernel, 1), three_axes(window.dilation, 1)
    low = three_axes(tuple(p for p, _ in window.padding), 0)
    corner = x.base - sum(n * s for n, s in zip(low, x.steps, strict=True))
    ints = (
        geometry.out_channels, cut.rows, cut.summed, cut.part, window.taps,
        corner, x.image, x.channel, *x.steps, *x.size, *output, *strides, *dilations, *low,
        grad.base, grad.image, grad.channel, *grad.steps,
    )  # fmt: skip
    reach = (
        ((n + k) * s + size + k * d) * (step or 1)
        for n, k, s, size, d, step in zip(
            output, kernel, strides, x.size, dilations, x.steps, strict=True
        )
    )
    index = parameters.index_type(
        *ints, *reach, x.data.size, grad.data.size, cut.elements * cut.parts,
        cut.summed + cut.part + sum_threads(), geometry.batch * x.image,
        geometry.groups * x.channel, geometry.batch * grad.image,
        geometry.out_channels * grad.channel,
    )  # fmt: skip
    threads = sum_threads()
    built = sums.over_taps(threads, index, work, kernel, operands.axes_of(output), conjugated)
    built[geometry.out_channels * cut.parts, threads, grad.stream](
        grad.data, x.data, parts, tuple(map(index, (*ints, *parameters.divisors(output, index))))
    )


def _enqueue_tiles(
    cut: _Cut,
    geometry: ConvGeometry,
    x: Images,
    grad: Images,
    parts: Any,
    work: Any,
    conjugated: str,
) -> None:
    """Enqueue the sums of each part by tiles."""
    window = geometry.window
    if window.mirrors:
        geometry, x = copying.pad(geometry, x)
        window = geometry.window
    output, strides = three_axes(window.output, 1), three_axes(window.stride, 1)
    far = digits(cut.tile.depth, output)
    ints = (
        cut.rows, cut.columns, cut.summed, cut.part, geometry.groups,
        geometry.in_channels // geometry.groups,
        x.base, x.image, x.channel, *x.steps, *x.size,
        *output, *three_axes(window.kernel, 1), *strides, *three_axes(window.dilation, 1),
        *three_axes(tuple(p for p, _ in window.padding), 0),
        grad.base, grad.image, grad.channel, *grad.steps,
        *far,
    )  # fmt: skip
    index = parameters.index_type(
        *ints, x.data.size, grad.data.size, cut.elements * cut.parts, cut.summed + cut.part,
        *(
            ((n + k) * s + size + k * d) * step
            for n, k, s, size, d, step in zip(
                output, three_axes(window.kernel, 1), strides, x.size,
                three_axes(window.dilation, 1), x.steps, strict=True,
            )
        ),
        geometry.batch * x.image, geometry.in_channels * x.channel,
        geometry.batch * grad.image, geometry.out_channels * grad.channel,
    )  # fmt: skip
    if index is not np.int32 and cut.tile != tiles.pick_small(work):
        small = cut.cut_by(tiles.pick_small(work), geometry.groups)
        _enqueue_tiles(small, geometry, x, grad, parts, work, conjugated)
        return
    tile, masked = cut.tile, window.is_padded
    flat = output[0] == x.size[0] == three_axes(window.kernel, 1)[0] == 1 and (
        window.ndim < 3 or not any(window.padding[0])
    )
    flat = flat and multiply_gradients.may_be_flat(tile, masked)
    kernel = multiply_gradients.weight_sums(
        tile, index, work, masked, flat, conjugated, cut.part > MOST
    )
    kernel[cut.blocks * cut.parts, tile.threads, grad.stream](
        grad.data, x.data, parts, tuple(map(index, ints))
    )


def _finish(
    geometry: ConvGeometry, count: int, parts: Any, target: Weights, work: Any, stream: Any
) -> None:
    """Enqueue the addition of the parts, into their place."""
    rows, columns = geometry.out_channels // geometry.groups, geometry.patch_size
    elements = geometry.groups * rows * columns
    ints = (
        count, rows, columns, *target.taps, elements, target.base, target.group, target.output,
        target.channel, *target.steps,
    )  # fmt: skip
    index = parameters.index_type(*ints, target.data.size, parts.size)
    kernel = weights.finish(index, work, target.dtype.type)
    kernel[(*launch.grid(elements), stream)](parts, target.data, tuple(map(index, ints)))


def _run_columns(
    geometry: ConvGeometry, x: Images, grad: Images, target: Weights, work: Any, conjugated: str
) -> None:
    """Take the reference's way: a column matrix in memory, and one product for some images."""
    chunks = columns.chunks(geometry, work)
    matrices = [columns.pointwise(geometry, images) for _, images in chunks]
    cuts = [_Cut.of(matrix, work) for matrix in matrices]
    elements = cuts[0].elements
    count = sum(cut.parts for cut in cuts)
    parts = launch.borrow("parts", elements * count, np.dtype(work), grad.stream)
    done = 0
    for (first, images), matrix, cut in zip(chunks, matrices, cuts, strict=True):
        cols = columns.gather(geometry, x.part(first), images, work)
        read = columns.flat(cols, matrix.in_channels, matrix.window.size, work, grad.stream)
        place = parts[done * elements :]
        _enqueue(cut, matrix, read, grad.part(first), place, work, conjugated)
        done += cut.parts
    _finish(geometry, count, parts, target, work, grad.stream)


def sum_bias(
    batch: int, channels: int, grad: Images, target: DeviceArray, work: Any, stream: Any
) -> None:
    """Enqueue the sums of gradients over images and positions."""
    depth, height, width = grad.size
    summed = batch * depth * height * width
    parts = max(-(-_SUMS // max(channels, 1)), _least_parts(summed))
    part = max(1, -(-summed // parts))
    parts = max(1, -(-summed // part))
    none = {**columns.flat(grad.data, 1, (1,), work, stream).place.as_input, **grad.place.as_output}
    values = {
        **none, "M": channels, "N": 1, "K": summed, "GROUPS": 1,
        "CHANNELS": 1, "SPLIT_K": part, "BLOCKS": channels * parts, "BIASED": 0,
        "OUT_D": depth, "OUT_H": height, "OUT_W": width,
        **{f"{name}_{axis}": 1 for name in ("K", "STRIDE", "DIL") for axis in "DHW"},
        **{f"LOW_{axis}": 0 for axis in "DHW"},
    }  # fmt: skip
    index, p = parameters.pack(values, grad.data.size, summed + part)
    total = launch.borrow("parts", channels * parts, np.dtype(work), stream)
    threads = sum_threads()
    kernel = sums.over_positions(threads, index, work, 0, "", False)
    kernel[channels * parts, threads, stream](grad.data, grad.data, total, p)
    step = target.strides[0]
    ints = (parts, channels, 1, 1, 1, 1, channels, target.base, 0, step, 0, 0, 0, 0)
    index = parameters.index_type(*ints, target.data.size, total.size)
    finish = weights.finish(index, work, target.dtype.type)
    finish[(*launch.grid(channels), stream)](total, target.data, tuple(map(index, ints)))


def _least_parts(summed: int) -> int:
    """Return into how many parts a sum is cut at least, so that no thread adds too many terms."""
    return max(1, -(-summed // (MOST * sum_threads())))


def sum_threads() -> int:
    """Return the threads of a block that makes one sum."""
    return 2 if launch.SIMULATED else 256
