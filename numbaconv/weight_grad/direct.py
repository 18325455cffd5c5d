"""The weight gradient by the register tile of `numbaconv.native.tile`, without a column matrix.

The sum runs over output positions, so both operands are turned in a worker's cache, chunk by chunk:
the output's gradient to panels of a few channels a position, the input to pixels of a block of
channels, which all taps of the kernel share, each through a shift of its own. Where channels are
few, patches are laid out instead. A task keeps the sums of its output channels and patch elements
in the order of the chunks; chunks are dealt out to *slots*, which are added up in the end. None of
it depends on the number of threads.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from numbaconv.kernels import held, recording, threads, workspace
from numbaconv.kernels.jit import native_available
from numbaconv.kernels.long_sums import Slots
from numbaconv.native import emit
from numbaconv.native.moves import adder
from numbaconv.native.rows import column_table, copier
from numbaconv.native.tile import tile
from numbaconv.native.transpose import panel_packer, transposer
from numbaconv.problem.arrays import Array, address
from numbaconv.problem.geometry import ConvGeometry
from numbaconv.routes.direct import infinite
from numbaconv.routes.direct.places import contiguous_strides, of_result
from numbaconv.running.memo import kept
from numbaconv.teams import jobs
from numbaconv.weight_grad import loops, row_loops, rows
from numbaconv.weight_grad.layout import Layout

# Chunks of a slot that are added one after another.
_MOST_CHUNKS = 1024


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


class Plan(Layout):
    """Everything that follows from geometry and dtype.

    Parameters
    ----------
    geometry : ConvGeometry
        The convolution, with padding of zeros; its batch is how many images to interleave.
    dtype : dtype
        One that `refusal` accepts.
    """

    def __init__(self, geometry: ConvGeometry, dtype: np.dtype[Any]) -> None:
        super().__init__(geometry, dtype)
        self.images_at_once = max(1, self.cut.images)
        self.images_a_sum = self._images_a_sum()
        self.work = geometry.out_channels * geometry.window.positions * geometry.patch_size
        self.zeros = np.zeros(max(self.rows, self.width), dtype)
        self.tile_row_offsets = np.arange(self.rows, dtype=np.int64) * self.width * self.size
        # Of columns that are copied; 0 where they are looked up.
        self.step = 0 if geometry.channels_last or self.stride[2] > 2 else self.stride[2]
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

    def _natives(self) -> Array:
        positions = max(self.cut.images, 1) * self.cut.rows * self.output[2]
        return np.array(
            [
                tile(self.rows, self.vectors, self.dtype, masked=False, terms=positions),
                transposer(self.dtype),
                copier(self.step, self.dtype),
                copier(1, self.dtype),
                panel_packer(self.rows, self.dtype),
                panel_packer(self.width, self.dtype),
                copier(1, self.dtype, exact=True),
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
            if self.interleaved > 1:
                line = (row * self.row_stride * self.space_width)[:, None]
                at = line + column * self.stride[2]
                offsets = (at[..., None] * images + image) * pixel
            a, b, e = (np.arange(k) for k in self.kernel)
            shift = (a * cut.span)[:, None, None] + (b * self.dilation[1])[:, None]
            shift = shift * self.space_width + e * self.dilation[2]
            shift = shift - (self.low[2] - self.low_width)
            shift = shift.ravel() * self.interleaved * pixel
            starts = (np.arange(self.block_units) * cut.space)[:, None] + shift
        x_column = contiguous_strides(self.geometry, self.size)[4]
        g_column = of_result(self.geometry, self.size).column
        read = column_table(
            self.input[2], np.arange(self.kernel[2]) * self.dilation[2] - self.low[2],
            self.stride[2], self.output[2], x_column, self.lanes, every=self.step == 0,
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
            low_width=self.low_width, interleaved=self.interleaved, row_step=self.row_step,
            span=cut.span, space_width=self.space_width, patches=int(self.patches),
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
        checked = self.exact and self.dtype.kind == "f"
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
        slots = sums.slots
        if slots.drained is not None:
            slots.total()
        elif len(slots) > 1:
            jobs.run(
                row_loops.add_slots, 1, len(slots), sums.memory.address, slots.values[0].nbytes,
                self.size, adder(self.dtype),
            )  # fmt: skip
        direct = out.dtype == self.dtype and out.flags.carray
        target = out if direct else np.empty(out.shape, self.dtype)
        workers = jobs.team_size(self.out_blocks, work=slots.values[0].size, parallel=parallel)
        jobs.run(
            loops.finish, workers, sums.memory.address, address(target), sums.shape,
            transposer(self.dtype), copier(1, self.dtype, exact=True), self.tile_row_offsets,
        )  # fmt: skip
        workspace.give_back(sums.memory)
        if sums.leaks is not None:
            self._spoil(target, sums.leaks)
        if not direct:
            out[...] = target
        elif slots.drained is None and recording.active:
            recording.keep(constants=(self.zeros,))
            recording.approve()

    def _spoil(self, target: Array, leaks: Array) -> None:
        """Write NaN where gradients that are not finite have met padding."""
        outputs = self.geometry.out_channels
        if self.geometry.channels_last:
            target.reshape(self.taps, -1, outputs).swapaxes(1, 2)[leaks.T] = np.nan
        else:
            target.reshape(outputs, -1, self.taps).swapaxes(1, 2)[leaks] = np.nan


@held.shared
def plan(geometry: ConvGeometry, dtype: np.dtype[Any]) -> Plan | rows.Plan:
    """Return the plan of a problem."""
    return rows.Plan(geometry, dtype) if by_rows(geometry, dtype) else Plan(geometry, dtype)


@kept
def by_rows(geometry: ConvGeometry, dtype: np.dtype[Any]) -> bool:
    """Return whether a problem is computed by products of rows, whose memory no image enlarges."""
    return rows.takes(geometry, dtype) and (
        geometry.groups > 1 or rows.cycles(geometry, dtype) < Layout(geometry, dtype).cut.cycles
    )
