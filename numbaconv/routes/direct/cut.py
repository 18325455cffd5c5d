"""How direct convolution cuts a problem: its register tile, chunks of positions, shares of outputs.

Estimates are in multiply-adds of a vector, but for `cost`. None of it changes a bit of the result.
"""

import math
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from numbaconv.native import isa
from numbaconv.problem.arrays import Array
from numbaconv.problem.geometry import ConvGeometry, three_axes
from numbaconv.routes import cycles
from numbaconv.routes.direct import loops

# Cycles of any call, and of one that packs weights.
_CALL, _PACKING_CALL = 12_000.0, 20_000.0
# Of a vector of results that is stored, of a group of an image, of a channel that is copied.
_STORE, _GROUP, _CHANNEL = 3.4, 650.0, 100.0
# How much dearer groups of a single output are, whose tiles have one row.
_SINGLE = 2.0
# Vectors of a row from which on its end matters little.
_LONG_ROW = 8
#: Bytes of a worker's copies that still leave room for weights in 2 MiB of L2.
SPACE_BYTES = 1 << 20
#: Elements that one thread copies in the time of one vector multiply-add of the tile.
COPIED_PER_MULTIPLY = 4.0
# The share of a task that a worker is expected to be late.
_STRAGGLER = 0.3
# What a tile costs beside its sums, in rounds of k, and a task in multiply-adds.
_TILE_OVERHEAD = 24
TASK_OVERHEAD = 400
# Chunks a depth, and shares of the output channels, that are considered.
_CHUNKS = (*range(1, 17), 20, 24, 32, 48, 64, 96, 128, 256, 512)
#: Pixels of a swapped tile that keep the multipliers busy.
LEAST_PIXELS = 5
_CUTS = (1, 2, 3, 4, 6, 8, 16, 32)


class Tiled(Protocol):
    """What is known of a problem, once its tile is chosen, and read here.

    Triples are along the three axes that kernels see.
    """

    geometry: ConvGeometry
    kernel: tuple[int, int, int]
    output: tuple[int, int, int]
    stride: tuple[int, int, int]
    dilation: tuple[int, int, int]
    #: Input channels of a group, elements of a patch, bytes of an element, elements of a vector.
    channels: int
    k: int
    size: int
    lanes: int
    #: The tile: whether its vectors lie along channels; rows, vectors, pixels; blocks of rows.
    swapped: bool
    rows: int
    vectors: int
    pixels: int
    blocks: int
    #: Whether results are apart, kernels are 1x1, images are read where they lie.
    spread: bool
    pointwise: bool
    in_place: bool


def tile_shape(outputs: int, lanes: int) -> tuple[int, int]:
    """Return (rows, vectors) of the tile for this many output channels of a group."""
    host = isa.host()
    most, vectors = host.tile
    blocks = -(-outputs // most)
    rows = -(-outputs // blocks)
    if rows < most:
        # Fewer rows leave registers for more vectors: sums, one vector each, and a broadcast.
        vectors = max(vectors, min(loops.MOST_VECTORS, (host.registers - 1) // (rows + 1)))
    return rows, vectors


def choose_tile(
    geometry: ConvGeometry, lanes: int, *, spread: bool = False
) -> tuple[bool, int, int, int]:
    """Return (swapped, output channels of a block, vectors, pixels of a swapped tile).

    A tile's vectors lie along the pixels, and its rows are output channels; where few pixels would
    leave lanes empty, and where channels are last, the other way round. Where results are `spread`,
    no vector and no tile crosses the end of a row.
    """
    outputs = geometry.out_channels // geometry.groups
    rows, vectors = tile_shape(outputs, lanes)
    pixels, wide = isa.host().tile
    if outputs <= lanes:
        pixels, wide = isa.host().narrow
    *_, width = geometry.window.output
    positions = geometry.window.positions
    plain: float = positions // width * -(-width // lanes)
    swapped: float = positions * -(-outputs // (wide * lanes)) * wide * geometry.patch_size
    if spread:
        if width <= lanes:
            most, vectors = isa.host().narrow
            rows = -(-outputs // -(-outputs // most))
        # A tile of fewer pixels than that waits for its sums.
        swapped *= max(1, LEAST_PIXELS / width)
    else:
        plain = min(plain, -(-positions // lanes) * 1.02)
    plain *= -(-outputs // rows) * rows * geometry.patch_size
    # What has to be transposed on the way out costs about a cycle an element.
    moved = 2.0 * positions * outputs
    if geometry.channels_last:
        plain += moved
    else:
        swapped += moved
    if swapped < plain and outputs > 1:
        return True, wide * lanes, wide, pixels
    return False, rows, vectors, 0


def prefers_flat(plan: Tiled, rows: int) -> bool:
    """Return whether a copy for each kernel column pays for runs that cross output rows."""
    if plan.spread:
        return False  # the rows of the result do not follow each other
    width, lanes, taps = plan.output[2], plan.lanes, plan.kernel[2]
    outputs = plan.blocks * plan.rows
    flat = -(-rows * width // lanes) * outputs + taps * rows * width / COPIED_PER_MULTIPLY
    padded = width + (taps - 1) * plan.dilation[2] // plan.stride[2]
    lines = rows * -(-width // lanes) * outputs + rows * padded / COPIED_PER_MULTIPLY
    # A plane with its padding would hold far more than is read of it where dilation is wide.
    return flat < lines or padded > 2 * taps * width + 64


def channel_block(plan: Tiled, plane: int) -> int:
    """Return how many channels are loaded at once: all, unless they outgrow the cache by far."""
    if plan.in_place or plan.channels * plane <= 4 * SPACE_BYTES:
        return max(plan.channels, 1)
    if plan.spread and plan.swapped and not plan.geometry.channels_last:
        return plan.channels  # its results cannot be read back
    blocks = -(-plan.channels * plane // (2 * SPACE_BYTES))
    return -(-plan.channels // blocks)


def phases(taps: Array, stride: int, rows: int) -> tuple[list[int], Array]:
    """Return the padded input heights of all workspace rows, and where each tap's first one is."""
    groups, first = row_groups(taps, stride, rows)
    return [start + i * stride for start, span in groups for i in range(span)], first


def row_groups(taps: Array, stride: int, rows: int) -> tuple[list[tuple[int, int]], Array]:
    """Return (padded height, rows) of each run of workspace rows, and each tap's first row."""
    groups: list[tuple[int, int]] = []
    count = 0
    first = np.zeros(len(taps), np.int64)
    phases = taps % stride
    for phase in np.unique(phases):
        of_phase = np.flatnonzero(phases == phase)
        reach = int(taps[of_phase].max() - taps[of_phase].min()) // stride
        # Distant taps have rows of their own; near ones share.
        shared = rows + reach < rows * len(of_phase)
        for group in [of_phase] if shared else [[t] for t in of_phase]:
            start = int(taps[group[0]])
            span = rows + (int(taps[group[-1]]) - start) // stride
            for tap in group:
                first[tap] = count + (taps[tap] - start) // stride
            groups.append((start, span))
            count += span
    return groups, first


def best_cut(plan: Tiled, images: int, workers: int) -> tuple[int, int, float]:
    """Return (positions a chunk, shares of the outputs, time) of the least estimated time."""
    width, lines = plan.output[2], plan.output[1]
    unit, total, depths = width, width * lines, plan.output[0]
    if plan.pointwise:
        unit = plan.pixels if plan.swapped else plan.vectors * plan.lanes
        total *= depths
        lines, depths = -(-total // unit), 1
    parts = images * plan.geometry.groups * depths
    best = (float("inf"), 0, 0)
    candidates = {-(-lines // n) for n in _CHUNKS if n <= lines} | {1, 2, 4}
    for rows in sorted((n for n in candidates if n <= lines), reverse=True):
        chunk = min(rows * unit, total)
        chunks = -(-total // chunk)
        copied, space = _copied(plan, rows, chunk)
        if space > SPACE_BYTES:
            copied *= 2
            if rows > 4:
                continue
        vectors = _vectors(plan, rows, chunk)
        for cuts, share in shares(plan.blocks, workers):
            outputs = share * plan.rows
            # Weights come from beyond the cache, at about as many elements a cycle.
            moved = copied + outputs * plan.k / COPIED_PER_MULTIPLY
            task = outputs * vectors * (plan.k + _TILE_OVERHEAD) + moved + TASK_OVERHEAD
            time = rounds(parts * chunks * cuts, workers) * task
            if time < best[0] * 0.995:
                best = (time, chunk, cuts)
    return best[1], best[2], best[0]


def shares(blocks: int, workers: int) -> Iterator[tuple[int, int]]:
    """Yield in how many shares blocks of outputs may be cut, and how many blocks each has."""
    for count in _CUTS:
        if count > min(blocks, 4 * workers):
            break
        share = -(-blocks // count)
        yield -(-blocks // share), share


def rounds(tasks: int, workers: int) -> float:
    """Return after how many tasks in a row all are done."""
    # The last task of a slow worker is waited for, so many small tasks are better.
    return -(-tasks // workers) + (_STRAGGLER if workers > 1 else 0.0)


def _copied(plan: Tiled, rows: int, chunk: int) -> tuple[float, int]:
    """Return the cost of bringing a chunk's input near, and its bytes there."""
    if plan.in_place:
        elements = plan.channels * chunk
        return elements / COPIED_PER_MULTIPLY, elements * plan.size
    flat = prefers_flat(plan, rows)
    spread = plan.kernel[2] if flat else min(plan.stride[2], plan.kernel[2])
    taps = np.arange(plan.kernel[1]) * plan.dilation[1]
    heights = sum(span for _, span in row_groups(taps, plan.stride[1], rows)[0])
    elements = plan.channels * plan.kernel[0] * heights * spread * plan.output[2]
    return elements / COPIED_PER_MULTIPLY + 10 * plan.channels, elements * plan.size


def _vectors(plan: Tiled, rows: int, chunk: int) -> float:
    """Return the vectors of positions of a chunk that are multiplied, empty lanes included."""
    if plan.swapped:
        # A tile of fewer pixels takes little less time.
        tiles = -(-chunk // plan.pixels)
        return max(chunk, tiles * plan.pixels * 0.9) / plan.lanes
    if (plan.in_place and not plan.spread) or prefers_flat(plan, rows):
        return -(-chunk // plan.lanes)
    return rows * -(-plan.output[2] // plan.lanes)


def cycles_of(geometry: ConvGeometry, dtype: np.dtype[Any]) -> float:
    """Return the estimated cycles of one core by tiles of channels, without calls and packing."""
    lanes = isa.host().lanes(dtype)
    outputs = geometry.out_channels // geometry.groups
    channels = geometry.in_channels // geometry.groups
    rows, wide = tile_shape(outputs, lanes)
    blocks = geometry.groups * math.ceil(outputs / rows)
    vectors = cycles.vectors(geometry, lanes)
    multiply = cycles.MULTIPLY[dtype.str[1:]]
    one = rows * geometry.patch_size * multiply + cycles.TILE / wide + _STORE * rows
    total = vectors * blocks * one
    kernel = three_axes(geometry.window.kernel, 1)
    positions = geometry.batch * geometry.window.positions
    if not geometry.window.is_pointwise:
        # Rows are copied once for each column of the kernel, long ones of a line for each phase.
        line = kernel[1] == 1 and geometry.window.output[-1] >= _LONG_ROW * lanes
        copies = min(kernel[2], geometry.window.stride[-1]) if line else kernel[2]
        total += positions * geometry.in_channels * kernel[0] * copies * cycles.COPY
        total += geometry.batch * geometry.groups * (_GROUP + _CHANNEL * channels)
    if geometry.channels_last:
        turned = geometry.in_channels * kernel[2] + geometry.out_channels
        total += positions * turned * cycles.TRANSPOSE
    return total * _SINGLE if outputs == 1 and geometry.groups > 1 else total


def with_call(geometry: ConvGeometry, total: float, *, prepared: bool) -> float:
    """Return so many cycles with those of a call, and of packing weights if it does that."""
    if prepared:
        return float(_CALL + total)
    return float(_PACKING_CALL + total + cycles.weights(geometry) * cycles.PACK)
