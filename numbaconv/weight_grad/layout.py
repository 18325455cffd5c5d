"""How the direct weight gradient of a problem is laid out: its tile, its patches, its cut."""

import math
from typing import Any

import numpy as np

from numbaconv.native import isa
from numbaconv.problem.arrays import Array
from numbaconv.problem.formulas import end_inside, first_inside
from numbaconv.problem.geometry import ConvGeometry, three_axes
from numbaconv.routes.direct.pixel_cut import Span
from numbaconv.weight_grad.cut import best_cut

# Columns of the input that may be loaded for each that is used, before patches are better.
_MOST_SPREAD = 4
# What a run of positions costs beside these, in positions; and the share of all products up to
# which those with padding are left out.
_RUN, _MOST_SEEN = 3, 0.9
# Vectors of channels, tap by tap, over those of patches, from which on patches are laid out.
_MOST_BLOCKS = 1.5
# Vectors of a tile at most.
_MOST_VECTORS = 4


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
        self.cut = best_cut(self)

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
