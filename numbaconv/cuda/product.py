"""Products of packed weights, patches and gradients: how they are cut, and their launches."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from numbaconv.cuda import launch, multiply, parameters, tiles, weights
from numbaconv.cuda.places import ImagePlace, Images, WeightPlace, Weights
from numbaconv.cuda.tiles import MOST, Tile
from numbaconv.problem.formulas import PADDING_MODES
from numbaconv.problem.geometry import Axes, ConvGeometry, Window, three_axes
from numbaconv.running.memo import kept

# Blocks of 256 threads that a large GPU works on at a time, the FLOPs a second of each, the bytes a
# second of its memory, and the seconds before a block multiplies.
_PLACES, _FLOPS, _BANDWIDTH, _PROLOGUE = 264, 1.2e11, 3e12, 2e-6
# The least part of a sum that is worth a block, and into how many parts one is cut at most, unless
# parts would be of more terms than may be added one after another.
_LEAST_PART, _MOST_PARTS = 64, 32
# Bytes of partial sums that are kept at a time.
_MOST_BYTES = 1 << 28
# Bits of a mask of padding, less the sign.
_MASK_BITS = 31


def window_values(geometry: ConvGeometry) -> dict[str, int]:
    """Return the parameters that say how the window slides."""
    window = geometry.window
    low = tuple(p for p, _ in window.padding)
    columns = (
        ("OUT", window.output, 1), ("K", window.kernel, 1), ("STRIDE", window.stride, 1),
        ("DIL", window.dilation, 1), ("LOW", low, 0),
    )  # fmt: skip
    values = {"CHANNELS": geometry.in_channels // geometry.groups, "GROUPS": geometry.groups}
    for name, axes, fill in columns:
        for axis, value in zip("DHW", three_axes(axes, fill), strict=True):
            values[f"{name}_{axis}"] = value
    return values


def digits(count: int, shape: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Return `count` in digits of an array of shape (any, *shape)."""
    found = []
    for n in reversed(shape):
        found.append(count % max(n, 1))
        count //= max(n, 1)
    third, second, first = found
    return count, first, second, third


def mode_of(geometry: ConvGeometry) -> int:
    """Return the padding mode as kernels know it."""
    return PADDING_MODES[geometry.window.padding_mode]


@kept
def splits(made: int, size: int, tile: Tile, summed: int, limit: int = _MOST_PARTS) -> int:
    """Return into how many parts the summed dimension is cut: what is estimated to end first.

    A GPU of `_PLACES` blocks of 256 threads works in waves, of which the last may be nearly empty;
    parts make the waves shorter, but are written and read again. The estimate depends on the
    problem alone, not on the device, and with it the order of the sums.

    Parameters
    ----------
    made : int
        The tiles of the result.
    size : int
        The bytes of the result.
    tile : Tile
        The cut.
    summed : int
        The terms of a sum.
    limit : int
        The most parts, but where sums are long.
    """
    places = _PLACES * 256 // tile.threads
    least = max(1, -(-summed // MOST))
    most = max(least, min(limit, summed // _LEAST_PART))
    whole = 2.0 * tile.rows * tile.columns * summed / (_FLOPS * tile.threads / 256)
    best, parts = math.inf, least
    for count in range(least, most + 1):
        seconds = -(-made * count // places) * (whole / count + _PROLOGUE)
        if count > 1:
            seconds += 2 * count * size / _BANDWIDTH + _PROLOGUE
        if seconds < best:
            best, parts = seconds, count
    return parts


@dataclass(frozen=True)
class Cut:
    """How a product is cut.

    Parameters
    ----------
    tile : Tile
        Of a block.
    part, parts : int
        The terms that a block sums, and how many blocks make a sum.
    images : int
        How many images are multiplied at a time, so that partial sums find room.
    index : type
        That holds every index.
    """

    tile: Tile
    part: int
    parts: int
    images: int
    index: Any


@dataclass(frozen=True)
class Packed:
    """Weights as ``(group, element of a patch, output)``, and where those elements lie.

    Parameters
    ----------
    data, table : device array
        The weights, and the table of `numbaconv.cuda.weights.pack`.
    pitch, summed : int
        The outputs and the elements of a patch, filled up.
    """

    data: Any
    table: Any
    pitch: int
    summed: int


def cut(
    geometry: ConvGeometry,
    x: Images,
    kernels: Weights,
    out: Images,
    work: Any,
    planned: int | None = None,
) -> Cut:
    """Return how a product is cut; as for `planned` images, so that a last few are as the rest."""
    return _cut(geometry, x.place, kernels.place, out.place, work, planned)


@kept
def _cut(
    geometry: ConvGeometry,
    x: ImagePlace,
    kernels: WeightPlace,
    out: ImagePlace,
    work: Any,
    planned: int | None,
) -> Cut:
    """Return the cut, remembered for problems that come again."""
    rows, images = geometry.out_channels // geometry.groups, planned or geometry.batch
    tile = tiles.pick(rows, work)
    summed = _filled(geometry.patch_size, tile.depth)
    columns = images * geometry.window.positions
    made = -(-rows // tile.rows) * geometry.groups * -(-columns // tile.columns)
    size = geometry.out_channels * columns * np.dtype(work).itemsize
    parts = splits(made, size, tile, summed)
    part = max(-(-summed // parts // tile.depth), 1) * tile.depth
    parts = max(1, -(-summed // part))
    step = max(1, images if parts == 1 else _MOST_BYTES * images // max(parts * size, 1))
    step = min(step, max(images, 1))
    taps, padded = three_axes(geometry.window.kernel, 1), []
    values = window_values(geometry)
    for axis, name in enumerate("DHW"):
        padded.append(
            (values[f"OUT_{name}"] + taps[axis]) * values[f"STRIDE_{name}"] + x.size[axis]
            + 2 * values[f"LOW_{name}"] + taps[axis] * values[f"DIL_{name}"]
        )  # fmt: skip
    group_channels = geometry.in_channels // geometry.groups
    index = parameters.index_type(
        x.base, x.elements, out.base, out.elements, kernels.base, kernels.elements, *padded,
        geometry.groups * summed * _filled(rows, tile.rows), 2 * summed,
        parts * step * geometry.out_channels * geometry.window.positions, columns + tile.columns,
        *(n * s for n, s in ((images, x.image), (geometry.in_channels, x.channel))),
        *(n * s for n, s in ((images, out.image), (geometry.out_channels, out.channel))),
        *(n * s for n, s in zip(padded, x.steps, strict=True)),
        *(n * s for n, s in zip(out.size, out.steps, strict=True)),
        group_channels * kernels.channel, rows * kernels.output, kernels.group * geometry.groups,
    )  # fmt: skip
    if index is not np.int32:
        tile = tiles.pick_small(work)
    return Cut(tile, part, parts, step, index)


def pack(
    cut: Cut,
    geometry: ConvGeometry,
    x: Images,
    kernels: Weights,
    work: Any,
    conjugated: bool,
    *,
    tight: bool = False,
) -> Packed:
    """Return weights for the patches that `geometry` takes from `x`, in borrowed memory.

    With `tight` they are not filled up, for a product that is not ours.
    """
    outputs, patch = geometry.out_channels // geometry.groups, geometry.patch_size
    pitch = outputs if tight else _filled(outputs, cut.tile.rows)
    summed = patch if tight else _filled(patch, cut.tile.depth)
    ints = _pack_ints(cut.index, geometry, x.place, kernels.place, pitch, summed)
    count = geometry.groups * summed * pitch
    packed = launch.borrow("weights", count, np.dtype(work), x.stream)
    table = launch.borrow("table", 2 * summed, np.dtype(cut.index), x.stream)
    if count:
        side = weights.SIDE
        blocks = geometry.groups * -(-pitch // side) * -(-summed // side)
        kernel = weights.pack(cut.index, work, conjugated)
        kernel[blocks, weights.THREADS, x.stream](kernels.data, packed, table, ints)
    return Packed(packed, table, pitch, summed)


@kept
def _pack_ints(
    index: Any, geometry: ConvGeometry, x: ImagePlace, kernels: WeightPlace, pitch: int, summed: int
) -> tuple[Any, ...]:
    """Return the ints of `numbaconv.cuda.weights.pack`."""
    window = geometry.window
    outputs, patch = geometry.out_channels // geometry.groups, geometry.patch_size
    far = (d * s for d, s in zip(three_axes(window.dilation, 1), x.steps, strict=True))
    ints = (
        outputs, pitch, patch, summed, *kernels.taps, kernels.base, kernels.group, kernels.output,
        kernels.channel, *kernels.steps, *three_axes(window.kernel, 1), *mask_taps(window),
        x.channel, *far,
    )  # fmt: skip
    return tuple(map(index, ints))


def mask_taps(window: Window) -> Axes:
    """Return how many bits each axis takes in a mask of what lies in the padding."""
    padded = [False] * (3 - window.ndim) + [max(p) > 0 for p in window.padding]
    taps = three_axes(window.kernel, 1)
    first, second, third = (n if p else 0 for n, p in zip(taps, padded, strict=True))
    return first, second, third


def fits_mask(window: Window) -> bool:
    """Return whether tiles can tell the padding: of zeros, and with bits enough for its taps."""
    taps = mask_taps(window)
    return not any(taps) or (window.padding_mode == "zeros" and sum(taps) <= _MASK_BITS)


def multiply_packed(
    cut: Cut,
    geometry: ConvGeometry,
    x: Images,
    packed: Packed,
    bias: Any,
    out: Images,
    work: Any,
) -> None:
    """Enqueue the product of packed weights and the patches of `x`, whose padding fits a mask."""
    if geometry.batch <= cut.images:
        _multiply_some(cut, geometry, x, packed, bias, out, work)
        return
    for first in range(0, geometry.batch, cut.images):
        some = replace(geometry, batch=min(cut.images, geometry.batch - first))
        _multiply_some(cut, some, x.part(first), packed, bias, out.part(first), work)


def _multiply_some(
    cut: Cut,
    geometry: ConvGeometry,
    x: Images,
    packed: Packed,
    bias: Any,
    out: Images,
    work: Any,
) -> None:
    """Enqueue the product for images whose partial sums are kept at the same time."""
    window, tile, index = geometry.window, cut.tile, cut.index
    rows = geometry.out_channels // geometry.groups
    columns = geometry.batch * window.positions
    elements = geometry.out_channels * columns
    output = three_axes(window.output, 1)
    ints = _multiply_ints(
        cut, geometry, x.place, out.place, packed.pitch, packed.summed, bias is not None
    )
    result = out.dtype.type
    target, partial = out.data, cut.parts > 1
    if partial:
        target = launch.borrow("parts", elements * cut.parts, np.dtype(work), out.stream)
    lanes = tiles.WIDTH // np.dtype(work).itemsize
    wide = columns % lanes == 0 if partial else _is_wide(out, output, lanes, work)
    kernel = multiply.forward(tile, index, work, work if partial else result, partial, wide)
    offsets = packed.data if bias is None else bias
    blocks = -(-rows // tile.rows) * geometry.groups * -(-columns // tile.columns) * cut.parts
    kernel[blocks, tile.threads, out.stream](
        packed.data, packed.table, x.data, offsets, target, ints
    )
    if partial:
        ints = (
            cut.parts, columns, *output, elements, int(bias is not None),
            out.base, out.image, out.channel, *out.steps,
        )  # fmt: skip
        finish = weights.finish_forward(index, work, result)
        finish[(*launch.grid(elements), out.stream)](
            target, offsets, out.data, tuple(map(index, ints))
        )


@kept
def _multiply_ints(
    cut: Cut,
    geometry: ConvGeometry,
    x: ImagePlace,
    out: ImagePlace,
    pitch: int,
    summed: int,
    biased: bool,
) -> tuple[Any, ...]:
    """Return the ints of `numbaconv.cuda.multiply.forward`."""
    window = geometry.window
    strides, output = three_axes(window.stride, 1), three_axes(window.output, 1)
    low = three_axes(tuple(p for p, _ in window.padding), 0)
    corner = x.base - sum(n * s for n, s in zip(low, x.steps, strict=True))
    group_channels = geometry.in_channels // geometry.groups
    ints = (
        geometry.out_channels // geometry.groups, pitch, geometry.batch * window.positions, summed,
        cut.part, geometry.groups, corner, x.image, group_channels * x.channel,
        *(s * n for s, n in zip(strides, x.steps, strict=True)), *x.size,
        *output, *strides, *three_axes(window.dilation, 1), *low, *mask_taps(window),
        out.base, out.image, out.channel, *out.steps, int(biased),
    )  # fmt: skip
    return tuple(map(cut.index, ints))


def _is_wide(out: Images, output: Axes, lanes: int, work: Any) -> bool:
    """Return whether positions can be written `lanes` at a time, aligned."""
    step = 1
    for n, s in zip(reversed(output), reversed(out.steps), strict=True):
        if n > 1 and s != step:
            return False
        step *= n
    places = (step, out.base + getattr(out.data, "pointer", 0) // out.dtype.itemsize, out.image)
    return out.dtype == work and not any(n % lanes for n in (*places, out.channel))


def _filled(count: int, multiple: int) -> int:
    """Return the multiple that holds a count."""
    return -(-count // multiple) * multiple
