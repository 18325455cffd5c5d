"""The reference route of transposed convolution: one GEMM makes columns, and col2im folds them.

A task owns a box of the result: some channels and some positions along each axis. It multiplies the
transposed kernel matrix by the input positions that reach the box, and folds the columns into the
box, so that each element has one writer and the whole column matrix never exists. Boxes depend on
one image's geometry and on the dtype only.

V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning", arXiv:1603.07285,
section 4, has the relation to convolution.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numba
import numpy as np

from numbaconv.kernels import threads
from numbaconv.kernels.indexing import (
    WindowAxes,
    copy_run,
    end_reaching,
    first_reaching,
    split_axes,
    unpack_place,
    unpack_window,
)
from numbaconv.kernels.jit import device, kernel, unpacker
from numbaconv.kernels.long_sums import LONGEST, PART, SHORT_SUM, fold_part, whole_sums
from numbaconv.problem.arrays import Array, Table, flatten, writeable
from numbaconv.problem.geometry import Axes, ConvGeometry, three_axes
from numbaconv.reference import blas
from numbaconv.reference.blas import multiply
from numbaconv.reference.fold import SEGMENT, fold_row_by_position
from numbaconv.running.packed import Packed

# Bytes of a box's input and columns, and the patch elements that it has at most.
_BOX_BYTES = 1 << 21
_MOST_ELEMENTS = 1152


@dataclass(frozen=True)
class Box:
    """The largest box of a task: channels of a group, and positions along each axis."""

    channels: int
    positions: Axes
    outputs: int  # whose products with the kernel matrix are summed at once
    long_columns: bool  # whether there are more of them
    long_folds: bool  # whether more columns are folded into a position than are added in a row
    workspace: int  # elements

    @classmethod
    def of(cls, geometry: ConvGeometry, dtype: np.dtype[Any]) -> "Box":
        """Return the cut for a problem, from one image's geometry and the dtype."""
        window = geometry.window
        in_group = geometry.in_channels // geometry.groups
        channels = max(1, min(in_group, _MOST_ELEMENTS // window.taps))
        size = list(three_axes(window.size, 1))

        group_outputs = geometry.out_channels // geometry.groups
        outputs = group_outputs if group_outputs <= LONGEST else PART
        long_columns, long_folds = group_outputs > LONGEST, window.overlap > SHORT_SUM
        # Columns, and where they are long sums, the product of a part and what rounding takes.
        copies = 3 if long_columns else 1

        def elements() -> int:
            reached = math.prod(_reached(geometry, tuple(size)))  # type: ignore[arg-type]
            return reached * (outputs + copies * channels * window.taps)

        while elements() * dtype.itemsize > _BOX_BYTES:
            # Rows first: they cost the least to compute twice where boxes meet.
            axis = next((a for a, least in ((1, 4), (0, 1), (2, 64), (1, 1)) if size[a] > least), 3)
            if axis < 3:
                size[axis] = -(-size[axis] // 2)
            elif channels > 1:
                channels = -(-channels // 2)
            elif size[2] > 1:
                size[2] = -(-size[2] // 2)
            else:
                break
        workspace = elements() + (2 * SEGMENT if long_folds else 0)
        return cls(
            channels, (size[0], size[1], size[2]), outputs, long_columns, long_folds, workspace
        )


def _reached(geometry: ConvGeometry, size: Axes) -> Axes:
    """Return how many outputs, at most, have a window that meets a box of this size."""
    window = geometry.window
    axes = (window.kernel, window.stride, window.dilation, window.output)
    found = tuple(
        min(n, (d * (k - 1) + box - 1) // s + 1)
        for box, (k, s, d, n) in zip(
            size, zip(*(three_axes(a, 1) for a in axes), strict=True), strict=True
        )
    )
    return found[0], found[1], found[2]


@dataclass(frozen=True)
class Plan:
    """A problem of the reference route.

    Parameters
    ----------
    geometry : ConvGeometry
        The convolution that this is the adjoint of.
    dtype : dtype
        Of all arrays.
    """

    geometry: ConvGeometry
    dtype: np.dtype[Any]

    replayable = False

    @property
    def pack_key(self) -> tuple[()]:
        """Nothing: the form of the weights does not depend on the problem."""
        return ()

    def pack(self, weight: Array, bias: Array | None, parallel: bool, *, keep: bool) -> Packed:
        """Return the transposed kernel matrices, ``(groups, K * O/groups)``.

        Each block of outputs whose products are summed at once is a contiguous ``(K, outputs)``.
        """
        geometry = self.geometry
        if geometry.channels_last:
            weight = np.moveaxis(weight, (-1, -2), (0, 1))
        outputs = geometry.out_channels // geometry.groups
        matrix = weight.reshape(geometry.groups, outputs, geometry.patch_size)
        if outputs <= LONGEST:
            flat = np.ascontiguousarray(matrix.swapaxes(1, 2)).reshape(geometry.groups, -1)
            return Packed(writeable(flat), bias)
        flat = np.empty((geometry.groups, matrix[0].size), matrix.dtype)
        for group, to in zip(matrix, flat, strict=True):
            for o in range(0, outputs, PART):
                block = group[o : o + PART].T
                to[o * len(block) :][: block.size].reshape(block.shape)[...] = block
        return Packed(flat, bias)

    def run(self, x: Array, packed: Packed, out: Array, parallel: bool) -> None:
        """Write the transposed convolution to `out`; arrays of any strides will do."""
        geometry = self.geometry
        box = Box.of(geometry, self.dtype)
        groups = geometry.groups
        in_group = geometry.in_channels // groups
        depths, rows, columns = (
            -(-n // b)
            for n, b in zip(three_axes(geometry.window.size, 1), box.positions, strict=True)
        )
        tasks = len(x) * groups * -(-in_group // box.channels) * depths * rows * columns
        work = len(x) * geometry.window.positions * geometry.out_channels * geometry.patch_size
        workers = threads.worker_count(tasks, work=work, parallel=parallel)
        source = flatten(x, channels_last=geometry.channels_last)
        target = flatten(out, channels_last=geometry.channels_last)
        bias = np.zeros(0, self.dtype) if packed.bias is None else packed.bias
        cut = Cut(
            in_group, groups, geometry.out_channels // groups, box.channels, *box.positions, depths,
            rows, columns, box.outputs, box.long_columns, box.long_folds,
        )  # fmt: skip
        with blas.single_threaded():
            threads.run(
                _fold_products, workers, workers, tasks, source.data, source.place,
                geometry.window.packed,
                np.array(cut, np.int64),
                packed.weight, bias, np.empty((workers, box.workspace), self.dtype),
                target.data, target.place,
            )  # fmt: skip

    def workspace_nbytes(self, images: int, workers: int) -> int:
        """Return the memory that `run` allocates."""
        return workers * Box.of(self.geometry, self.dtype).workspace * self.dtype.itemsize


class Cut(NamedTuple):
    """How a problem is cut into tasks, as kernels take it."""

    in_group: int
    groups: int
    outputs: int  # of a group
    channels: int  # of a box
    depths: int
    rows: int
    columns: int
    depth_parts: int
    row_parts: int
    column_parts: int
    part: int  # outputs whose products are summed at once
    long_columns: int
    long_folds: int


_unpack = unpacker(Cut)


@kernel
def _fold_products(
    workers: int,
    tasks: int,
    x: Array,
    x_place: Table,
    packed: Table,
    cut: Table,
    weight: Array,
    bias: Array,
    workspace: Array,
    out: Array,
    out_place: Table,
) -> None:
    for index in numba.prange(workers):
        worker: Any = np.int64(index)
        for task in range(worker * tasks // workers, (worker + 1) * tasks // workers):
            _fold_box(
                task, x, x_place, packed, cut, weight, bias, workspace[worker], out,
                out_place,
            )  # fmt: skip


@device
def _fold_box(
    task: int,
    x: Array,
    x_place: Table,
    packed: Table,
    cut: Table,
    weight: Array,
    bias: Array,
    workspace: Array,
    out: Array,
    out_place: Table,
) -> None:
    """Compute one box of the result."""
    window, c = unpack_window(packed), _unpack(cut)
    source, target = unpack_place(x_place), unpack_place(out_place)
    in_group, outputs = c.in_group, c.outputs
    box = split_axes(
        task % (c.depth_parts * c.row_parts * c.column_parts),
        (c.depth_parts, c.row_parts, c.column_parts),
    )
    rest = task // (c.depth_parts * c.row_parts * c.column_parts)
    blocks = (in_group + c.channels - 1) // c.channels
    c0 = rest % blocks * c.channels
    c1 = min(c0 + c.channels, in_group)
    group = rest // blocks % c.groups
    image = rest // blocks // c.groups
    d0, d1, d_low, d_end = _reach(box[0], c.depths, window, 0)
    h0, h1, h_low, h_end = _reach(box[1], c.rows, window, 1)
    w0, w1, w_low, w_end = _reach(box[2], c.columns, window, 2)
    depths, heights, widths = d_end - d_low, h_end - h_low, w_end - w_low
    n = depths * heights * widths
    taps = window.kernel[0] * window.kernel[1] * window.kernel[2]
    size = (c1 - c0) * taps
    columns = workspace[c.part * n : c.part * n + size * n]
    if n > 0:
        start = source.base + image * source.image + group * outputs * source.channel
        start += d_low * source.depth + h_low * source.row + w_low * source.column
        for o0 in range(0, outputs, c.part):
            count = min(c.part, outputs - o0)
            for o in range(count):
                for d in range(depths):
                    for h in range(heights):
                        at = start + (o0 + o) * source.channel + d * source.depth + h * source.row
                        to = o * n + (d * heights + h) * widths
                        copy_run(x, at, source.column, workspace, to, 1, widths)
            reached = workspace[: count * n].reshape(count, n)
            first = in_group * taps * o0 + c0 * taps * count
            rows = weight[group, first : first + size * count].reshape(size, count)
            if not c.long_columns:
                multiply(rows, reached, columns.reshape(size, n))
                continue
            begin = c.part * n + size * n
            product = workspace[begin : begin + size * n]
            low = workspace[begin + size * n : begin + 2 * size * n]
            multiply(rows, reached, product.reshape(size, n))
            fold_part(product, columns, low, o0 == 0)
            if o0 + count == outputs:
                whole_sums(columns, low, columns)
    waiting = workspace[:0]
    if c.long_folds:
        waiting = workspace[workspace.size - 2 * SEGMENT :]
    inner = WindowAxes(
        (d1 - d0, h1 - h0, w1 - w0),
        window.kernel,
        (depths, heights, widths),
        window.stride,
        window.dilation,
        (
            window.low[0] + d0 - d_low * window.stride[0],
            window.low[1] + h0 - h_low * window.stride[1],
            window.low[2] + w0 - w_low * window.stride[2],
        ),
        window.mode,
    )
    for number in range(c0, c1):
        channel = group * in_group + number
        for d in range(d1 - d0):
            for h in range(h1 - h0):
                to = target.base + image * target.image + channel * target.channel
                to += (d0 + d) * target.depth + (h0 + h) * target.row + w0 * target.column
                fold_row_by_position(
                    columns, 0, n, 1, inner, number - c0, c1 - c0, True, d, h, 0, w1 - w0, out, to,
                    target.column, waiting,
                )  # fmt: skip
                if bias.size:
                    for w in range(w1 - w0):
                        out[to + w * target.column] += bias[channel]


@device
def _reach(index: int, length: int, window: WindowAxes, axis: int) -> tuple[int, int, int, int]:
    """Return a box's begin and end along an axis, and those of the outputs that reach it."""
    begin = index * length
    end = min(begin + length, window.size[axis])
    low = first_reaching(
        begin, window.low[axis], window.kernel[axis], window.stride[axis], window.dilation[axis]
    )
    stop = end_reaching(end - 1, window.low[axis], window.stride[axis], window.output[axis])
    return begin, end, low, max(low, stop)
