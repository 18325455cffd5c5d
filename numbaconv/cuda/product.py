"""Products of packed weights, patches and gradients: how they are cut, and their launches."""

from typing import Any

import numpy as np

from numbaconv.cuda import launch, parameters, tiles, weights
from numbaconv.cuda.places import Images, Weights
from numbaconv.cuda.tiles import Tile
from numbaconv.cuda.wide import MOST
from numbaconv.problem.formulas import PADDING_MODES
from numbaconv.problem.geometry import ConvGeometry, three_axes

# Blocks that fill a large GPU, and the least part of K that a block of a split sums.
_BLOCKS, _LEAST_SPLIT = 264, 256


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


def digits(count: int, shape: tuple[int, int, int]) -> dict[str, int]:
    """Return `count` as the step of `numbaconv.cuda.operands`, in digits of (any, *shape)."""
    found = []
    for n in reversed(shape):
        found.append(count % max(n, 1))
        count //= max(n, 1)
    return {f"STEP_{i}": value for i, value in enumerate([count, *reversed(found)])}


def mode_of(geometry: ConvGeometry) -> int:
    """Return the padding mode as kernels know it."""
    return PADDING_MODES[geometry.window.padding_mode]


def splits(tile_count: int, summed: int) -> int:
    """Return into how many parts the summed dimension is cut, so that there is work for a GPU.

    It depends on the problem alone, not on the device, and with it the order of the sums.
    """
    if tile_count * 2 > _BLOCKS or summed < 2 * _LEAST_SPLIT:
        return 1
    return max(1, min(_BLOCKS // tile_count, summed // _LEAST_SPLIT))


def pack(geometry: ConvGeometry, kernels: Weights, work: Any, conjugated: bool, stream: Any) -> Any:
    """Return weights as ``(group, element of a patch, output)``, in borrowed memory."""
    outputs, patch = geometry.out_channels // geometry.groups, geometry.patch_size
    count = geometry.groups * outputs * patch
    packed = launch.borrow("weights", count, np.dtype(work), stream)
    if count:
        ints = (
            outputs, patch, *kernels.taps, count, kernels.base, kernels.group, kernels.output,
            kernels.channel, *kernels.steps,
        )  # fmt: skip
        index = parameters.index_type(*ints, kernels.data.size)
        kernel = weights.pack(index, work, conjugated)
        kernel[(*launch.grid(count), stream)](kernels.data, packed, tuple(map(index, ints)))
    return packed


def multiply(
    geometry: ConvGeometry,
    x: Images,
    packed: Any,
    bias: Any,
    out: Images,
    work: Any,
    planned: int | None = None,
) -> None:
    """Enqueue the product of packed weights and the patches of `x`.

    It is cut as for `planned` images, so that a last few are summed as those before them.
    """
    rows, summed = geometry.out_channels // geometry.groups, geometry.patch_size
    positions = geometry.window.positions
    columns = geometry.batch * positions
    intended = columns if planned is None else planned * positions
    tile = pick_tile(rows, intended, work)
    if summed > MOST and tile.rows * tile.columns > 64 * 64 and not launch.SIMULATED:
        # Twice as many sums do not fit the registers of a larger tile, unless its parts are short.
        tile = Tile(64, 64, 16, 8, 4)
    row_tiles = -(-rows // tile.rows) * geometry.groups
    parts = splits(row_tiles * -(-intended // tile.columns), summed)
    part = -(-summed // parts // tile.depth) * tile.depth if summed else tile.depth
    parts = max(1, -(-summed // part))
    blocks = row_tiles * -(-columns // tile.columns) * parts
    elements = geometry.groups * rows * columns
    values = {
        **window_values(geometry), **x.as_input, **out.as_output,
        **digits(tile.threads // tile.columns, three_axes(geometry.window.kernel, 1)),
        "M": rows, "N": columns, "K": summed, "SPLIT_K": part, "BLOCKS": blocks,
        "BIASED": int(bias is not None),
    }  # fmt: skip
    index, p = parameters.pack(
        values, x.data.size, out.data.size, packed.size, elements * parts, summed + part
    )
    result = out.dtype.type
    target, partial = out.data, parts > 1
    if partial:
        target = launch.borrow("parts", elements * parts, np.dtype(work), out.stream)
    kernel = tiles.forward(
        tile, index, work, work if partial else result, mode_of(geometry), partial, part > MOST
    )
    offsets = packed if bias is None else bias
    kernel[launch.blocks(blocks), tile.threads, out.stream](packed, x.data, offsets, target, p)
    if partial:
        ints = (
            parts, columns, *three_axes(geometry.window.output, 1), elements, values["BIASED"],
            out.base, out.image, out.channel, *out.steps,
        )  # fmt: skip
        finish = weights.finish_forward(index, work, result)
        finish[(*launch.grid(elements), out.stream)](
            target, offsets, out.data, tuple(map(index, ints))
        )


def pick_tile(rows: int, columns: int, work: Any) -> Tile:
    """Return the tile for a product of so many rows and columns."""
    size = np.dtype(work).itemsize
    if launch.SIMULATED:  # a thread of the simulator is a thread of Python
        own = max(16 // size, 2)
        return Tile(8 * own // 2, 8 * own // 2, 4, own, own)
    if size == 16:
        return Tile(32, 32, 8, 2, 2)
    if size == 8:
        return Tile(64, 64, 8, 4, 4)
    if rows <= 32:
        return Tile(32, 128, 8, 4, 8)
    if rows <= 64 or -(-rows // 128) * -(-columns // 128) * 2 < _BLOCKS:
        return Tile(64, 64, 16, 8, 4)
    return Tile(128, 128, 8, 8, 8)
