"""How the direct weight gradient is laid out: its tile, its patches, its cut into tasks.

And so how a worker's memory is.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from numbaconv.native import isa
from numbaconv.problem.arrays import Array
from numbaconv.problem.cuts import even_block
from numbaconv.problem.formulas import end_inside, first_inside
from numbaconv.problem.geometry import ConvGeometry, three_axes
from numbaconv.routes.direct.pixel_cut import Span

# Columns of the input that may be loaded for each that is used, before patches are better.
_MOST_SPREAD = 4
# What a run of positions costs beside these, in positions; and the share of all products up to
# which those with padding are left out.
_RUN, _MOST_SEEN = 3, 0.9
# Vectors of channels, tap by tap, over those of patches, from which on patches are laid out.
_MOST_BLOCKS = 1.5
# Vectors of a tile at most.
_MOST_VECTORS = 4
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


class Layout:
    """What follows from geometry and dtype before anything is allocated.

    Parameters
    ----------
    geometry : ConvGeometry
        The convolution, with padding of zeros; its batch is how many images to interleave.
    dtype : dtype
        One that `numbaconv.weight_grad.direct.refusal` accepts.
    """

    def __init__(self, geometry: ConvGeometry, dtype: np.dtype[Any]) -> None:
        self.geometry, self.dtype, self.size = geometry, dtype, dtype.itemsize
        window = geometry.window
        self.lanes = isa.host().lanes(dtype)
        self.channels = geometry.in_channels // geometry.groups
        self.outputs = geometry.out_channels // geometry.groups
        self.taps = window.taps
        self.kernel = three_axes(window.kernel, 1)
        self.input = three_axes(window.size, 1)
        self.output = three_axes(window.output, 1)
        self.stride = three_axes(window.stride, 1)
        self.dilation = three_axes(window.dilation, 1)
        self.low = three_axes(tuple(low for low, _ in window.padding), 0)
        # Along an axis of one tap only the rows that count are loaded.
        self.row_step = self.stride[1] if self.kernel[1] == 1 else 1
        self.row_stride = self.stride[1] // self.row_step
        #: What taps see, where the rest is left out; then no columns of padding are loaded.
        self.seen = self._seen(geometry.batch)
        self._lay_out()
        if self.exact and len(self._seen(max(1, self.cut.images))) == 0:
            self.seen = np.zeros((0, 5), np.int64)
            self._lay_out()
        #: Images whose equal positions follow each other, so that runs of what a tap sees are long.
        self.interleaved = max(1, self.cut.images) if self.exact else 1

    def _lay_out(self) -> None:
        """Choose the tile and the cut, with what taps see known."""
        window = self.geometry.window
        self.exact = len(self.seen) > 0
        self.space_width = (self.output[2] - 1) * self.stride[2]
        self.space_width += (self.kernel[2] - 1) * self.dilation[2] + 1
        self.patches = not self.exact and self._lays_patches_out()
        self.low_width = self.low[2]
        if self.exact:
            self.low_width, self.space_width = 0, self.input[2]
        self.rows, self.vectors = self._tile_shape()
        self.width = self.vectors * self.lanes
        self.out_blocks = -(-self.outputs // self.rows)
        elements = self.channels * (window.taps if self.patches else 1)
        self.block_units = -(-elements // self.width)
        self.blocks = self.block_units * (1 if self.patches else self.taps)
        self.tile_bytes = self.rows * self.width * self.size
        self.cut = _best_cut(self)

    def _seen(self, images: int) -> Array:
        """Return for each tap its depth, and the rows and columns of the result that it reads for.

        Nothing, where leaving out what lies in the padding does not pay with so many images that
        are `interleaved`.
        """
        none = np.zeros((0, 5), np.int64)
        if (
            self._wastes_lanes()
            or self.taps == 1
            or self.stride[2] > 2
            or not self.geometry.window.is_padded
        ):
            return none
        depths, rows, columns = (
            [
                Span(first_inside(e * d - low, s, n), end_inside(e * d - low, s, size, n))
                for e in range(k)
            ]
            for k, d, low, s, size, n in zip(
                self.kernel, self.dilation, self.low, self.stride, self.input, self.output,
                strict=True,
            )
        )  # fmt: skip
        found, total = [], 0
        for a, b, e in np.ndindex(*self.kernel):
            run = columns[e].length * images + (_RUN if columns[e].length < self.output[2] else 0)
            total += depths[a].length * rows[b].length * run
            found.append([a * self.dilation[0] - self.low[0], *rows[b], *columns[e]])
        if total > _MOST_SEEN * self.taps * self.geometry.window.positions * images:
            return none
        return np.array(found, np.int64)

    def _wastes_lanes(self) -> bool:
        """Return whether there are so few channels that tap by tap many lanes would be empty."""
        blocks = -(-self.channels // self.lanes) * self.taps
        return blocks > _MOST_BLOCKS * -(-self.channels * self.taps // self.lanes)

    def _lays_patches_out(self) -> bool:
        """Return whether patches are laid out: channels are few, or more would be loaded."""
        spread = (self.kernel[1] - 1) * self.dilation[1] + 1 > _MOST_SPREAD * self.kernel[1]
        used = self.output[2] * self.stride[2] + self.kernel[2]
        spread = spread or self.space_width > _MOST_SPREAD * used or self.stride[2] > 2
        return self.taps > 1 and (spread or self._wastes_lanes())

    def _tile_shape(self) -> tuple[int, int]:
        """Return (output channels, vectors) of the tile that computes the least in vain."""
        elements = self.channels * (self.taps if self.patches else 1)
        registers = isa.host().registers
        best, found = math.inf, (1, 1)
        for vectors in range(1, _MOST_VECTORS + 1):
            # Sums, the vectors of one position, and a broadcast.
            most = min((registers - 1 - vectors) // vectors, isa.host().narrow[0])
            out_blocks = -(-self.outputs // most)
            rows = -(-self.outputs // out_blocks)
            blocks = -(-elements // (vectors * self.lanes))
            # Each round of a tile also loads its vectors, its broadcasts and a table's entry.
            loads = 0.1 * rows + 0.5 * vectors + 1
            cost = out_blocks * blocks * (rows * vectors + loads)
            if cost < best:
                best, found = cost, (rows, vectors)
        return found


def _best_cut(plan: Layout) -> Cut:
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


def _cut(plan: Layout, out_cuts: int, cuts: int, slots: int) -> Cut:
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
