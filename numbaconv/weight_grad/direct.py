"""The weight gradient by the register tile of `numbaconv.native.tile`, without a column matrix.

The sum runs over output positions, so both operands are turned in a worker's cache, chunk by chunk:
the output's gradient to panels of a few channels a position, the input to pixels of a block of
channels, which all taps of the kernel share, each through a shift of its own. Where channels are
few, patches are laid out instead. A task keeps the sums of its output channels and patch elements
in the order of the chunks; chunks are dealt out to *slots*, which are added up in the end. None of
it depends on the number of threads.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from numbaconv.kernels import held, threads, workspace
from numbaconv.kernels.jit import native_available
from numbaconv.kernels.slots import Slots
from numbaconv.native import emit, isa
from numbaconv.native.rows import column_table, copier
from numbaconv.native.tile import tile
from numbaconv.native.transpose import panel_packer, transposer
from numbaconv.problem.arrays import Array, address
from numbaconv.problem.formulas import end_inside, first_inside
from numbaconv.problem.geometry import ConvGeometry, three_axes
from numbaconv.routes.direct import infinite
from numbaconv.routes.direct.pixel_cut import Span
from numbaconv.routes.direct.places import contiguous_strides, of_result
from numbaconv.teams import jobs
from numbaconv.weight_grad import grouped, loops
from numbaconv.weight_grad.cut import best_cut

# Chunks of a slot that are added one after another.
_MOST_CHUNKS = 1024
# Columns of the input that may be loaded for each that is used, before patches are better.
_MOST_SPREAD = 4
# What a run of positions costs beside these, in positions; and the share of all products up to
# which those with padding are left out.
_RUN, _MOST_SEEN = 3, 0.9
# Vectors of channels, tap by tap, over those of patches, from which on patches are laid out.
_MOST_BLOCKS = 1.5
# Vectors of a tile at most.
_MOST_VECTORS = 4


def refusal(geometry: ConvGeometry, dtype: np.dtype[Any]) -> str | None:
    """Return why this route cannot run the problem, or None."""
    if not emit.supports(dtype):
        return f"it has no kernel for {dtype}; use algorithm='im2col'"
    return native_available()


@dataclass
class Sums:
    """The running sums of a call, and the memory that they take."""

    slots: Slots
    memory: workspace.Workspace
    shape: Array
    leaks: Array | None = None  # which sums are to be NaN, ``(output, tap)``


class Plan:
    """Everything that follows from geometry and dtype.

    Parameters
    ----------
    geometry : ConvGeometry
        The convolution, with padding of zeros.
    dtype : dtype
        One that `refusal` accepts.
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
        self.space_width = (self.output[2] - 1) * self.stride[2]
        self.space_width += (self.kernel[2] - 1) * self.dilation[2] + 1
        #: What taps see, where the rest is left out; then no columns of padding are loaded.
        self.seen = self._seen()
        exact = len(self.seen) > 0
        self.patches = not exact and self._lays_patches_out()
        self.low_width = 0 if exact else self.low[2]
        if exact:
            self.space_width = self.input[2]
        self.rows, self.vectors = self._tile_shape()
        self.width = self.vectors * self.lanes
        self.out_blocks = -(-self.outputs // self.rows)
        self.block_units = -(
            -(geometry.patch_size if self.patches else self.channels) // self.width
        )
        self.blocks = self.block_units * (1 if self.patches else self.taps)
        self.tile_bytes = self.rows * self.width * self.size
        self.cut = best_cut(self)
        self.images_at_once = max(1, self.cut.images)
        self.images_a_sum = self._images_a_sum()
        self.work = geometry.out_channels * window.positions * geometry.patch_size
        self.zeros = np.zeros(max(self.rows, self.width), dtype)
        self.tile_row_offsets = np.arange(self.rows, dtype=np.int64) * self.width * self.size
        self.natives = self._natives()
        self.tables = self._tables()
        self.scratch = threads.Scratch(1, (self.cut.rows,))
        self.flags = threads.Scratch(1)
        self.shapes: dict[int, Array] = {}

    def _images_a_sum(self) -> int:
        """Return how many images a slot takes whose chunks are added one after another."""
        cut = self.cut
        if cut.images:
            return _MOST_CHUNKS * cut.slots * cut.images
        return max(1, _MOST_CHUNKS * cut.slots // (self.output[0] * -(-self.output[1] // cut.rows)))

    def _seen(self) -> Array:
        """Return for each tap its depth, and the rows and columns of the result that it reads for.

        Nothing, where leaving out what lies in the padding does not pay.
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
            run = columns[e].length + (_RUN if columns[e].length < self.output[2] else 0)
            total += depths[a].length * rows[b].length * run
            found.append([a * self.dilation[0] - self.low[0], *rows[b], *columns[e]])
        if total > _MOST_SEEN * self.taps * self.geometry.window.positions:
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

    def _natives(self) -> Array:
        step = 0 if self.geometry.channels_last or self.stride[2] > 2 else self.stride[2]
        positions = max(self.cut.images, 1) * self.cut.rows * self.output[2]
        return np.array(
            [
                tile(self.rows, self.vectors, self.dtype, masked=False, terms=positions),
                transposer(self.dtype),
                copier(step, self.dtype),
                copier(1, self.dtype),
                panel_packer(self.rows, self.dtype),
                panel_packer(self.width, self.dtype),
            ],
            np.int64,
        )

    def _tables(self) -> tuple[Array, ...]:
        """Return where positions, blocks, patch elements, columns and pixels are found."""
        cut, pixel = self.cut, self.width * self.size
        images = max(cut.images, 1)
        image, row, column = (
            np.arange(n) for n in (images, cut.rows, self.output[2])
        )  # fmt: skip
        if self.patches:
            count = images * cut.rows * self.output[2]
            offsets = np.arange(count) * pixel
            starts = np.arange(self.blocks) * cut.space
        else:
            plane = self.kernel[0] * cut.span
            lines = (image * plane)[:, None, None] + (row * self.row_stride)[:, None]
            offsets = ((lines * self.space_width) + column * self.stride[2]) * pixel
            a, b, e = (np.arange(k) for k in self.kernel)
            shift = (a * cut.span)[:, None, None] + (b * self.dilation[1])[:, None]
            shift = shift * self.space_width + e * self.dilation[2]
            shift = shift - (self.low[2] - self.low_width)
            starts = (np.arange(self.block_units) * cut.space)[:, None] + shift.ravel() * pixel
        x_column = contiguous_strides(self.geometry, self.size)[4]
        g_column = of_result(self.geometry, self.size).column
        read = column_table(
            self.input[2], self.kernel[2], self.stride[2], self.dilation[2], self.low[2],
            self.output[2], x_column, self.lanes,
        )  # fmt: skip
        pixels = np.arange(max(self.input[2], self.output[2]) + 1, dtype=np.int64)
        return (
            np.concatenate([offsets.ravel(), np.zeros(32)]).astype(np.int64),
            starts.ravel().astype(np.int64),
            self._elements(),
            read,
            np.stack([pixels * x_column, pixels * g_column]),
        )

    def _elements(self) -> Array:
        """Return for each patch element its channel, taps along depth and height, and column."""
        if not self.patches:
            return np.zeros((1, 4), np.int64)
        k = np.arange(self.geometry.patch_size)
        if self.geometry.channels_last:
            channel, tap = k % self.channels, k // self.channels
        else:
            channel, tap = k // self.taps, k % self.taps
        a, rest = np.divmod(tap, self.kernel[1] * self.kernel[2])
        b, e = np.divmod(rest, self.kernel[2])
        table = [channel, a * self.dilation[0], b * self.dilation[1], e]
        return np.ascontiguousarray(np.stack(table, axis=1).astype(np.int64))

    def readable(self, array: Array) -> bool:
        """Return whether an array of the right dtype is read where it is."""
        return bool(array.flags.c_contiguous)

    def start(self, images: int) -> Sums:
        """Return sums of nothing, for so many images in all."""
        cut, geometry = self.cut, self.geometry
        chunks = -(-images // cut.images) if cut.images else images * self.output[0] * -(
            -self.output[1] // cut.rows)  # fmt: skip
        slots = min(cut.slots, chunks)
        nbytes = slots * geometry.groups * self.out_blocks * self.blocks * self.tile_bytes
        shape = self.shapes.get(slots)
        if shape is None:
            shape = self.shapes[slots] = self._shape(slots)
        memory = workspace.take(nbytes)
        values = memory.view(self.dtype, (slots, nbytes // (slots * self.size)))
        return Sums(Slots(values), memory, shape)

    def _shape(self, slots: int) -> Array:
        cut, geometry = self.cut, self.geometry
        x = contiguous_strides(geometry, self.size)
        g = of_result(geometry, self.size)
        shape = loops.Shape(
            size=self.size, tile_rows=self.rows, tile_width=self.width, outputs=self.outputs,
            channels=self.channels, taps=self.taps, groups=geometry.groups,
            out_blocks=self.out_blocks, blocks=self.blocks, out_cuts=cut.out_cuts, cuts=cut.cuts,
            slots=slots, chunk_images=cut.images, chunk_rows=cut.rows, depths=self.output[0],
            rows=self.output[1], width=self.output[2], in_depth=self.input[0],
            in_height=self.input[1], in_width=self.input[2], kernel_depth=self.kernel[0],
            stride_depth=self.stride[0], stride_height=self.stride[1], stride_width=self.stride[2],
            dilation_depth=self.dilation[0], low_depth=self.low[0], low_height=self.low[1],
            low_width=self.low_width, row_step=self.row_step, span=cut.span,
            space_width=self.space_width, patches=int(self.patches),
            channels_last=int(geometry.channels_last), x_image=x[0], x_channel=x[1], x_depth=x[2],
            x_row=x[3], x_column=x[4], g_image=g.image, g_channel=g.channel, g_depth=g.depth,
            g_row=g.row, g_column=g.column, panel=cut.panel, space=cut.space,
            space_offset=cut.space_offset, scratch_offset=cut.scratch_offset,
            worker_bytes=cut.worker_bytes,
        )  # fmt: skip
        return np.array(shape, np.int64)

    def add(self, sums: Sums, x: Array, grad: Array, first: int, parallel: bool) -> None:
        """Add what some images come to, of which the first is number `first`."""
        cut, images = self.cut, len(x)
        tasks = len(sums.slots) * self.geometry.groups * cut.out_cuts * cut.cuts
        workers = jobs.team_size(tasks, work=images * self.work, parallel=parallel)
        space = workspace.take(cut.worker_bytes * workers)
        counter, table = scratch = self.scratch.take(workers)
        jobs.run(
            loops.accumulate, workers, address(x), address(grad), sums.memory.address,
            address(self.zeros), space.address, first, images, counter, sums.shape, self.natives,
            *self.tables, self.seen, table,
        )  # fmt: skip
        workspace.give_back(space)
        self.scratch.give_back(scratch)
        checked = len(self.seen) > 0 and self.dtype.kind == "f"
        if checked and infinite.among(grad, self.flags, parallel):
            leaks = self._leaks(grad)
            sums.leaks = leaks if sums.leaks is None else sums.leaks | leaks

    def _leaks(self, grad: Array) -> Array:
        """Return which outputs' gradients are not finite where a tap, ``(output, tap)``, sees none.

        Times the zeros of padding they are NaN.
        """
        wrong = ~np.isfinite(grad).all(axis=0)
        if self.geometry.channels_last:
            wrong = np.moveaxis(wrong, -1, 0)
        wrong = wrong.reshape(-1, *self.output)
        every = wrong.any(axis=(1, 2, 3))
        leaks = np.zeros((len(wrong), self.taps), bool)
        depths = np.arange(self.output[0]) * self.stride[0]
        for tap, (shift, r0, r1, q0, q1) in enumerate(self.seen):
            outside = wrong.copy()
            inside = (depths + shift >= 0) & (depths + shift < self.input[0])
            outside[:, inside, r0:r1, q0:q1] = False
            leaks[:, tap] = every & outside.any(axis=(1, 2, 3))
        return leaks

    def drain(self, sums: Sums) -> None:
        """Set aside what the sums have come to, and let them begin at zero."""
        sums.slots.drain()

    def finish(self, sums: Sums, out: Array, parallel: bool) -> None:
        """Write the gradient to `out`, in the caller's layout."""
        total = sums.slots.total()
        direct = out.dtype == self.dtype and out.flags.carray
        target = out if direct else np.empty(out.shape, self.dtype)
        workers = jobs.team_size(self.out_blocks, work=total.size, parallel=parallel)
        jobs.run(
            loops.finish, workers, sums.memory.address, address(target), sums.shape,
            transposer(self.dtype), copier(1, self.dtype, exact=True), self.tile_row_offsets,
        )  # fmt: skip
        workspace.give_back(sums.memory)
        if sums.leaks is not None:
            self._spoil(target, sums.leaks)
        if not direct:
            out[...] = target

    def _spoil(self, target: Array, leaks: Array) -> None:
        """Write NaN where gradients that are not finite have met padding."""
        outputs = self.geometry.out_channels
        if self.geometry.channels_last:
            target.reshape(self.taps, -1, outputs).swapaxes(1, 2)[leaks.T] = np.nan
        else:
            target.reshape(outputs, -1, self.taps).swapaxes(1, 2)[leaks] = np.nan


@held.shared
def plan(geometry: ConvGeometry, dtype: np.dtype[Any]) -> Plan | grouped.Plan:
    """Return the plan of a problem."""
    if grouped.takes(geometry, dtype):
        return grouped.Plan(geometry, dtype)
    return Plan(geometry, dtype)
