"""How the direct weight gradient is cut into tasks, and how a worker's memory is laid out."""

import math
from dataclasses import dataclass, replace
from typing import Protocol

from numbaconv.problem.cuts import even_block
from numbaconv.problem.geometry import Axes, ConvGeometry

# Bytes of a worker's chunk.
_CHUNK_BYTES = 3 << 18
# Sums that are kept at most, their bytes, and the tasks that keep threads busy.
_MOST_SLOTS = 16
_SLOT_BYTES = 1 << 22
_ENOUGH_TASKS = 8
# Positions of a chunk of several images, from which on reading its sums costs little.
_ENOUGH_POSITIONS = 256
#: Images of a chunk that are interleaved at most, where runs of positions are short.
INTERLEAVED = 8
# Cycles: of an element that is turned, of one that a patch copies, of a byte of sums.
_TURN = 0.4
_COPY = 0.3
_SUM = 0.15


class Problem(Protocol):
    """What is known of a problem before it is cut: of a `numbaconv.weight_grad.layout.Layout`."""

    geometry: ConvGeometry
    size: int
    kernel: Axes
    output: Axes
    dilation: Axes
    #: Input rows between those of two output rows, of those that are loaded; columns loaded.
    row_stride: int
    space_width: int
    patches: bool
    #: Whether positions in the padding are left out: runs of the rest should be long.
    exact: bool
    #: Of a tile: output channels, patch elements, bytes of its sums.
    rows: int
    vectors: int
    width: int
    tile_bytes: int
    #: Blocks of output channels, of patch elements, and those that stay together.
    out_blocks: int
    blocks: int
    block_units: int


@dataclass(frozen=True)
class Cut:
    """How a problem is cut, and how a worker's memory is laid out."""

    images: int  # of a chunk, or 0 where it is rows of one image
    rows: int
    span: int
    out_cuts: int
    cuts: int
    slots: int
    panel: int
    space: int
    space_offset: int
    scratch_offset: int
    worker_bytes: int
    cycles: float = math.inf  # of a position, estimated


def best_cut(plan: Problem) -> Cut:
    """Return the cut of the least estimated time a position, from geometry and dtype alone."""
    sums = plan.geometry.groups * plan.out_blocks * plan.blocks * plan.tile_bytes
    slots = max(1, min(_MOST_SLOTS, _SLOT_BYTES // sums))
    best: tuple[float, Cut] | None = None
    for out_cuts in _cuts(plan.out_blocks):
        for cuts in _cuts(plan.block_units):
            cut = _cut(plan, out_cuts, cuts, slots)
            positions = max(cut.images, 1) * cut.rows * plan.output[2]
            outputs = plan.out_blocks * plan.rows
            elements = plan.block_units * plan.width
            loaded = elements * (_TURN + _COPY * plan.patches) * out_cuts
            if not plan.patches:
                loaded *= plan.kernel[0] * cut.span * plan.space_width * max(cut.images, 1)
                loaded /= positions
            loaded += outputs * _TURN * cuts
            summed = plan.out_blocks * plan.blocks * plan.tile_bytes * _SUM / positions
            cost = loaded + summed
            tasks = slots * plan.geometry.groups * out_cuts * cuts
            products = plan.out_blocks * plan.rows * plan.blocks * plan.vectors / 2
            cost = (cost + products) * max(1.0, _ENOUGH_TASKS / tasks) ** 0.5
            if best is None or cost < best[0]:
                best = cost, replace(cut, cycles=cost)
    assert best is not None
    return best[1]


def _cuts(blocks: int) -> list[int]:
    return [n for n in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32) if n <= blocks]


def _cut(plan: Problem, out_cuts: int, cuts: int, slots: int) -> Cut:
    """Return the cut with the most positions a chunk that fit a worker's cache."""
    out_blocks, units = -(-plan.out_blocks // out_cuts), -(-plan.block_units // cuts)
    pixel = plan.width * plan.size
    depths, height, width = plan.output

    def layout(images: int, rows: int) -> Cut:
        positions = max(images, 1) * rows * width
        span = (rows - 1) * plan.row_stride + (plan.kernel[1] - 1) * plan.dilation[1] + 1
        panel = positions * plan.rows * plan.size
        pixels = positions
        if not plan.patches:
            pixels = max(images, 1) * plan.kernel[0] * span * plan.space_width
        # A little more, so that blocks do not lie pages apart; and a vector behind the last.
        panel, space = _odd_lines(panel + 128), _odd_lines(pixels * pixel + 64)
        scratch = _odd_lines(positions * pixel + 128) if plan.patches else 0
        space_offset = out_blocks * panel
        scratch_offset = space_offset + units * space
        return Cut(
            images, rows, span, out_cuts, cuts, slots, panel, space, space_offset, scratch_offset,
            scratch_offset + scratch,
        )  # fmt: skip

    if depths == 1 and layout(1, height).worker_bytes <= _CHUNK_BYTES:
        images, batch = 1, plan.geometry.batch
        # No more than pays: chunks are what slots, and so threads, share.
        while (
            images * height * width < _ENOUGH_POSITIONS or (plan.exact and images < batch)
        ) and layout(2 * images, height).worker_bytes <= _CHUNK_BYTES:
            images *= 2
        if plan.exact:
            # As many in each chunk: there is room for all of them.
            images = even_block(batch, images)
        return layout(images, height)
    fitting = [n for n in range(1, height) if layout(0, n).worker_bytes <= _CHUNK_BYTES]
    most = fitting[-1] if fitting else 1
    return layout(0, -(-height // -(-height // most)))


def _odd_lines(nbytes: int) -> int:
    """Return at least so many bytes, an odd number of cache lines."""
    lines = math.ceil(nbytes / 64)
    return 64 * (lines + 1 - lines % 2)
