"""The weight gradient where groups have few input channels, channels first: products of rows.

The gradient of an element of a patch is the product of the output's gradient and of the input as
that element sees it. Rows of the input are copied, strides and padding resolved, so that each
element's inputs follow each other as the gradients do; some elements for some outputs at a time
then keep their sums in vectors. So no lane is wasted where patches are small, and gradients are
read as they lie.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from numbaconv.kernels import recording, threads, workspace
from numbaconv.kernels.long_sums import Total
from numbaconv.native import isa
from numbaconv.native.dots import MOST, dots, lane_adder, most_ones, spiller
from numbaconv.native.moves import adder
from numbaconv.native.rows import column_table, copier
from numbaconv.problem.arrays import Array, address
from numbaconv.problem.geometry import ConvGeometry, three_axes
from numbaconv.routes.direct import cut
from numbaconv.routes.direct.places import contiguous_strides, of_result
from numbaconv.running.memo import kept
from numbaconv.teams import jobs
from numbaconv.weight_grad import row_loops

# Bytes of a worker's copies at most; columns of a piece of a row.
_MOST_BYTES = 1 << 19
_PIECES = (8192, 2048, 512, 128)
_ROWS = (64, 32, 16, 8, 4, 2, 1)
# Vectors of products that are added one after another; of more, parts, with compensation.
_PART = 512
# Bytes of a table of columns, and of the sums of all slots.
_TABLE_BYTES, _SLOT_BYTES = 1 << 22, 1 << 22
# Vectors of a plane, if a group of several has several channels.
_LEAST_VECTORS = 8
# Input channels of a group, and sums.
_MOST_CHANNELS, _MOST_SUMS = 8, 1 << 16
# Tasks that keep threads busy, those where copies are dear, and the work of one, in products.
_ENOUGH_TASKS, _FEW_TASKS = 8, 4
_ENOUGH_WORK = 1 << 19
# Outputs of a task that are worth the copies.
_ENOUGH_OUTPUTS = 16
# Cycles: of a vector of products, of one that is read for them, and how many times as long they
# take with so many bytes of copies; of a vector that is copied, by its stride (1, 2, more); of sums
# that are read and written.
_PRODUCT, _LOAD = 0.65, 0.9
_RAGGED = 1.15  # times as long, where rows are no whole vectors and follow each other nowhere
_FAR = ((28 << 10, 1.0), (1 << 18, 1.15), (math.inf, 1.5))
_COPIES = (3.0, 6.0, 20.0)
_SUM = 4.0


def takes(geometry: ConvGeometry, dtype: np.dtype[Any]) -> bool:
    """Return whether this can compute a problem that `numbaconv.weight_grad.direct` accepts."""
    window, channels = geometry.window, geometry.in_channels // geometry.groups
    if geometry.channels_last or channels > _MOST_CHANNELS or window.taps == 1:
        return False
    if geometry.out_channels * geometry.patch_size > _MOST_SUMS:
        return False
    vectors = -(-window.positions // isa.host().lanes(dtype))
    if geometry.groups > 1 and channels > 1 and vectors < _LEAST_VECTORS:
        return False  # a tile has all channels at once
    if window.stride[-1] > 2 and window.kernel[-1] * window.output[-1] * 8 > _TABLE_BYTES:
        return False
    return chunks_of(geometry, dtype).nbytes <= _MOST_BYTES


def cycles(geometry: ConvGeometry, dtype: np.dtype[Any]) -> float:
    """Return the estimated cycles of a position, for all outputs of a group."""
    return chunks_of(geometry, dtype).cycles


class Chunks:
    """Rows of the result, and columns of these, that are taken at a time, and the copies for them.

    Parameters
    ----------
    geometry : ConvGeometry
        The convolution.
    dtype : dtype
        Of all arrays.
    rows, piece : int
        Of a chunk: its rows, and their columns.
    together : int
        Pairs of a channel and a kernel depth whose copies are held at once: a divisor of all.
    flat : bool
        Whether each kernel column has copies of its own, in which rows of the result follow each
        other; else near ones share a line, from which they read at different places.
    """

    def __init__(
        self, geometry: ConvGeometry, dtype: np.dtype[Any], rows: int, piece: int, together: int,
        *, flat: bool,
    ) -> None:  # fmt: skip
        self.rows, self.piece, self.together, self.flat = rows, piece, together, flat
        window, size, lanes = geometry.window, dtype.itemsize, isa.host().lanes(dtype)
        self.kernel, stride = three_axes(window.kernel, 1), three_axes(window.stride, 1)
        down, across = (np.arange(k) * d for k, d in zip(
            self.kernel[1:], three_axes(window.dilation, 1)[1:], strict=True))  # fmt: skip
        self.heights, self.first_rows = cut.phases(down, stride[1], rows)
        if flat:
            self.starts, self.reach = across, 0
            self.line_of, self.first_columns = np.arange(len(across)), np.zeros_like(across)
        else:
            groups, first = cut.row_groups(across, stride[2], piece)
            ends = np.cumsum([span for _, span in groups])
            self.starts = np.array([start for start, _ in groups], np.int64)
            self.line_of = np.searchsorted(ends, first, side="right")
            self.first_columns = first - np.array([0, *ends[:-1]], np.int64)[self.line_of]
            self.reach = max(span for _, span in groups) - piece
        self.pitch = piece + self.reach
        self.units = geometry.in_channels // geometry.groups * self.kernel[0]
        nbytes = len(self.heights) * self.pitch * size + lanes * size
        self.space = -(-nbytes // 64) * 64
        self.nbytes = self.space * together * len(self.starts)
        outputs = geometry.out_channels // geometry.groups
        sums = outputs * geometry.patch_size
        #: Slots, among which chunks are dealt out, and parts of the outputs of a group.
        enough = _ENOUGH_TASKS if stride[2] <= 2 else _FEW_TASKS
        slot = geometry.groups * sums * lanes * size
        self.slots = max(1, min(enough // geometry.groups, _SLOT_BYTES // slot))
        self.cuts = min(outputs // _ENOUGH_OUTPUTS, enough // (geometry.groups * self.slots))
        self.cuts = max(1, self.cuts)
        #: Vectors of products of a chunk, for each sum.
        self.vectors = -(-rows * piece // lanes) if flat else rows * -(-piece // lanes)
        #: Elements of a patch that are summed at a time, and outputs.
        self.elements = together * self.kernel[1] * self.kernel[2]
        self.parts = -(-self.elements // MOST)
        self.others = -(-self.elements // self.parts)
        self.ones = min(-(-outputs // self.cuts), most_ones(self.others))
        loads = (self.ones + self.others) / (self.ones * self.others)
        product = max(_PRODUCT, _LOAD * loads)
        product *= _RAGGED if not flat and rows > 1 and piece % lanes else 1.0
        product *= next(far for most, far in _FAR if self.nbytes <= most)
        copied = self.units * len(self.starts) * len(self.heights) * -(-self.pitch // lanes)
        copy = _COPIES[min(stride[2], 3) - 1] * self.cuts
        #: Estimated, of a position, for all outputs of a group.
        self.cycles = (sums * (self.vectors * product + _SUM) + copied * copy) / (rows * piece)

    def places(self, size: int) -> Array:
        """Return how far from the first the copies for each of the elements lie, in bytes."""
        lines = np.arange(self.together)[:, None] * len(self.starts) + self.line_of
        rows = self.first_rows[:, None] * self.pitch + self.first_columns
        found = lines[:, None] * self.space + rows * size
        return np.ascontiguousarray(found.ravel(), np.int64)


@kept
def chunks_of(geometry: ConvGeometry, dtype: np.dtype[Any]) -> Chunks:
    """Return the chunks of the least estimate."""
    *_, height, width = three_axes(geometry.window.output, 1)
    units = geometry.in_channels // geometry.groups * three_axes(geometry.window.kernel, 1)[0]
    tall = [height, *(n for n in _ROWS if n < height)]
    wide = [width, *(n for n in _PIECES if n < width)]
    found = [
        Chunks(geometry, dtype, rows, piece, together, flat=flat)
        for flat in (True, False)
        for piece in wide
        for rows in tall
        if not flat or piece == width or rows == 1
        for together in range(1, units + 1)
        if units % together == 0
    ]
    return min(found, key=lambda chunks: (chunks.nbytes > _MOST_BYTES, chunks.cycles))


@dataclass
class Sums:
    """The running sums of a call, ``(slots, 1 or 3, vectors, lanes)``, and their memory."""

    values: Array
    memory: workspace.Workspace


class Plan:
    """Everything that follows from geometry and dtype.

    Parameters
    ----------
    geometry : ConvGeometry
        The convolution, with padding of zeros, of groups of few input channels.
    dtype : dtype
        Of all arrays.
    """

    images_at_once = 1
    images_a_sum = 1 << 62

    def __init__(self, geometry: ConvGeometry, dtype: np.dtype[Any]) -> None:
        self.geometry, self.dtype, self.size = geometry, dtype, dtype.itemsize
        window, self.lanes = geometry.window, isa.host().lanes(dtype)
        self.work = geometry.out_channels * window.positions * geometry.patch_size
        output, stride = three_axes(window.output, 1), three_axes(window.stride, 1)
        size, low = three_axes(window.size, 1), three_axes(tuple(p for p, _ in window.padding), 0)
        self.chunks = chunks = chunks_of(geometry, dtype)
        self.row_list = np.array(chunks.heights, np.int64)
        self.places = chunks.places(self.size)
        patch, outputs = geometry.patch_size, geometry.out_channels // geometry.groups
        parts, ones = chunks.parts, chunks.ones
        x, g = contiguous_strides(geometry, self.size), of_result(geometry, self.size)
        steps = stride[2] <= 2
        shape = row_loops.Shape(
            size=self.size, vector=self.lanes * self.size, groups=geometry.groups,
            channels=geometry.in_channels // geometry.groups, outputs=outputs, ones=ones,
            cuts=chunks.cuts, depths=output[0], rows=output[1], width=output[2],
            chunk=chunks.rows, piece=chunks.piece, patch=patch, kernel_depth=chunks.kernel[0],
            lines=len(chunks.starts), reach=chunks.reach, pitch=chunks.pitch,
            flat=int(chunks.flat), together=chunks.together, parts=parts,
            stride_depth=stride[0], stride_height=stride[1],
            dilation_depth=three_axes(window.dilation, 1)[0], low_depth=low[0], low_height=low[1],
            in_depth=size[0], in_height=size[1], x_image=x[0], x_channel=x[1], x_depth=x[2],
            x_row=x[3], x_step=stride[2] * x[4] if steps else 0, g_image=g.image,
            g_channel=g.channel, g_depth=g.depth, space=chunks.space, most=_PART,
            worker_bytes=chunks.nbytes,
        )  # fmt: skip
        #: Of an image: chunks, and vectors of products of each.
        down, across = -(-output[1] // chunks.rows), -(-output[2] // chunks.piece)
        self.chunks_an_image = output[0] * down * across
        self.shape = np.array(shape, np.int64)
        self.columns = column_table(
            size[2], chunks.starts - low[2], stride[2], output[2] + chunks.reach, x[4],
            self.lanes, every=not steps,
        )  # fmt: skip
        # Of each part: its first element, and its functions, for so many outputs.
        self.parts = np.zeros((parts, 1 + ones), np.int64)
        sizes = {outputs // chunks.cuts, -(-outputs // chunks.cuts)}
        counts = {min(ones, n) for n in sizes} | {n % ones for n in sizes}
        bounds = [i * chunks.elements // parts for i in range(parts + 1)]
        for line, (start, end) in zip(self.parts, itertools.pairwise(bounds), strict=True):
            line[0] = start
            for count in counts - {0}:
                line[count] = dots(count, end - start, dtype)
        natives = copier(stride[2] if steps else 0, dtype), spiller(dtype)
        self.natives = np.array(natives, np.int64)
        self.scratch = threads.Scratch(1, (len(chunks.heights),))

    def readable(self, array: Array) -> bool:
        """Return whether an array of the right dtype is read where it is."""
        return bool(array.flags.c_contiguous)

    def start(self, images: int) -> Sums:
        """Return sums of nothing."""
        vectors = self.geometry.out_channels * self.geometry.patch_size
        chunks = images * self.chunks_an_image
        long = self.dtype.kind == "f" and chunks * self.chunks.vectors > _PART
        slots = max(1, min(self.chunks.slots, chunks, images * self.work // _ENOUGH_WORK))
        shape = slots, 3 if long else 1, vectors, self.lanes
        count = math.prod(shape)
        # Lanes are added of whole squares of vectors.
        memory = workspace.take((count + 16 * self.lanes) * self.size)
        values = memory.view(self.dtype, (count,)).reshape(shape)
        values[...] = 0
        if recording.active:
            recording.borrowed(memory.address, values.nbytes, memory, cleared=True)
        return Sums(values, memory)

    def add(self, sums: Sums, x: Array, grad: Array, first: int, parallel: bool) -> None:
        """Add what some images come to."""
        images, (slots, kinds, *_) = len(x), sums.values.shape
        tasks = self.geometry.groups * self.chunks.cuts * slots
        workers = jobs.team_size(tasks, work=images * self.work, parallel=parallel)
        space = workspace.take(self.chunks.nbytes * workers)
        counter, table = scratch = self.scratch.take(workers)
        jobs.run(
            row_loops.accumulate, workers, address(x), address(grad), sums.memory.address, slots,
            int(kinds > 1), space.address, images, counter, self.shape, self.natives, self.parts,
            self.row_list, self.columns, self.places, table,
        )  # fmt: skip
        workspace.give_back(space)
        self.scratch.give_back(scratch)

    def drain(self, sums: Sums) -> None:
        """Do nothing: long sums are compensated already."""

    def finish(self, sums: Sums, out: Array, parallel: bool) -> None:
        """Write the gradient to `out`: slots are added, and then the lanes, in their order."""
        slots, kinds, vectors, lanes = sums.values.shape
        if kinds > 1:
            _, high, low = sums.values.swapaxes(0, 1)
            with np.errstate(invalid="ignore", over="ignore"):
                first, *others = np.where(low == low, high + low, high)
            found = Total(first)
            for part in others:
                found.add(part)
            sums.values[0, 0] = found.value
        elif slots > 1:
            jobs.run(
                row_loops.add_slots, 1, slots, sums.memory.address, vectors * lanes * self.size,
                self.size, adder(self.dtype),
            )  # fmt: skip
        direct = out.dtype == self.dtype and out.flags.carray
        target = out if direct else np.empty(out.shape, self.dtype)
        workers = jobs.team_size(1 << 30, work=target.size * 4, parallel=parallel)
        jobs.run(
            row_loops.add_lanes, workers, target.size, sums.memory.address, address(target),
            self.size, self.lanes * self.size, lane_adder(self.dtype),
        )  # fmt: skip
        workspace.give_back(sums.memory)
        if not direct:
            out[...] = target
        elif kinds == 1 and recording.active:
            recording.approve()
