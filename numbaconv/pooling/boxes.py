"""Means of windows that share little, each by itself, and their gradients; plans and loops."""

import math
from typing import Any

import numpy as np

from numbaconv.kernels import recording, threads
from numbaconv.kernels.jit import device
from numbaconv.native import isa
from numbaconv.native.boxes import averager, sharer, vectors
from numbaconv.native.link import call
from numbaconv.problem.arrays import Array, Table, address
from numbaconv.problem.geometry import three_axes
from numbaconv.problem.pool_geometry import AdaptiveGeometry, PoolGeometry
from numbaconv.teams import jobs
from numbaconv.teams.jobs import tasks_kernel

# Bytes of the planes of a task.
_TASK_BYTES = 1 << 16
# Elements of an adaptive window, at least, and a window's columns, at most.
_LEAST_AREA, _WIDEST = 6, 64
# Rows and elements of a row that are written together, and of planes taken as a row, at most.
_ROWS, _RUN, _JOINED = 64, 1 << 12, 1 << 14
# Nanoseconds, measured: of a window, and of each of its vectors.
_WINDOW, _VECTOR = 2.3, 1.1
AnyGeometry = AdaptiveGeometry | PoolGeometry


class Plan:
    """Everything that follows from geometry and dtype; the first of three axes is one element.

    Parameters
    ----------
    geometry : AdaptiveGeometry or PoolGeometry
        The problem, with channels first.
    dtype : dtype
        Of the computation.
    divisor : int
        What a mean is divided by, 0 for the elements of its window.
    """

    def __init__(self, geometry: AnyGeometry, dtype: np.dtype[Any], divisor: int = 0) -> None:
        self.geometry, self.dtype = geometry, dtype
        self.output_shape = geometry.output_shape
        (_, rows, columns), sizes = _joined(geometry)
        self.joined = sizes != three_axes(geometry.size, 1)
        self.rows, self.columns = (np.ascontiguousarray(a.T) for a in (rows, columns))
        self.divisor = divisor
        self.native = averager(dtype, int((columns[1] - columns[0]).max()))

    def run(self, x: Array, out: Array, indices: Array | None, parallel: bool) -> None:
        """Reduce a batched array, whose last axis is contiguous, to contiguous ones."""
        x = np.ascontiguousarray(x) if self.joined else x
        planes, channels = len(x) * x.shape[1], x.shape[1]
        plane, row = x.strides[1], 0 if x.ndim == 3 else x.strides[2]
        if len(x) > 1 and channels > 1 and x.strides[0] != channels * plane:
            for n in range(len(x)):
                self.run(x[n : n + 1], out[n : n + 1], None, parallel)
            return
        plane = x.strides[0] if channels == 1 else plane
        work = 2 * x.size
        workers = jobs.team_size(1 << 30, work=work, parallel=parallel)
        lines = len(self.columns if len(self.rows) == 1 else self.rows)
        block, strips = _tasks(planes, x.nbytes // planes, lines, workers)
        for begin, end in threads.ranges(-(-planes // block) * strips, work, threads.MOST_TAPS):
            jobs.run(
                reduce, workers, begin, end, self.native, block, strips, planes,
                address(x), plane, row, address(out), x.itemsize, self.rows, self.columns,
                self.divisor,
            )  # fmt: skip
        if recording.active:
            recording.keep(self, constants=(self.rows, self.columns))


def nanoseconds(geometry: PoolGeometry, dtype: np.dtype[Any]) -> float:
    """Return about how long a row of means takes, or infinity where they are not taken."""
    window = geometry.window
    _, tall, wide = three_axes(window.kernel, 1)
    if (
        geometry.channels_last
        or window.ndim == 3
        or (window.ndim == 2 and wide > _WIDEST)  # rows are read in order, which is faster
        or set(window.dilation) != {1}
    ):
        return math.inf
    return three_axes(window.output, 1)[2] * (_WINDOW + _VECTOR * tall * vectors(dtype, wide))


def suits(geometry: AdaptiveGeometry) -> bool:
    """Return whether each window of an adaptive mean is best taken by itself."""
    _, tall, wide = (
        -(-n // m)
        for n, m in zip(three_axes(geometry.size, 1), three_axes(geometry.output, 1), strict=True)
    )
    planar = not geometry.channels_last and len(geometry.size) < 3
    return planar and tall * wide >= _LEAST_AREA and wide <= _WIDEST


def divisor_of(geometry: PoolGeometry, include_pad: bool, divisor: int | None) -> int | None:
    """Return what all means are divided by, 0 for their windows' elements, None for neither."""
    counts = geometry.counts(include_pad, divisor)
    if all(bool(np.all(a == a[0])) for a in counts):
        return math.prod(int(a[0]) for a in counts)
    return None if include_pad else 0


class Gradient:
    """The gradient of means: each element gets a share of each window that holds it.

    Parameters
    ----------
    geometry : AdaptiveGeometry or PoolGeometry
        The forward's; windows are not dilated.
    dtype : dtype
        float32 or float64.
    counts : tuple of ndarray
        For three axes the elements of each window, or one number for all.
    """

    def __init__(
        self, geometry: AnyGeometry, dtype: np.dtype[Any], counts: tuple[Array, ...]
    ) -> None:
        self.geometry, self.dtype = geometry, dtype
        self.last = geometry.channels_last
        bounds, sizes = _joined(geometry)
        if sizes != three_axes(geometry.size, 1):
            counts = counts[0], np.ones(1, np.int64), counts[1] * counts[2]
        most = sizes[0], _ROWS, _RUN
        self.groups = [_groups(b, n, 0, m) for b, n, m in zip(bounds, sizes, most, strict=True)]
        self.masks = np.full((1, 1), -1, np.int64)
        lanes = isa.host().lanes(dtype)
        if not self.last and sizes[2] < lanes * len(self.groups[2]):
            self.groups[2] = _groups(bounds[2], sizes[2], lanes, lanes)
            self.masks = _masks(self.groups[2], bounds[2])
        elif not self.last:
            windows = int((self.groups[2][:, 3] - self.groups[2][:, 2]).max())
            self.masks = np.full((len(self.groups[2]), windows), -1, np.int64)
        exact = dtype.itemsize == 8
        self.counts = tuple(
            np.broadcast_to(c if exact else 1.0 / c, b.shape[1]).astype(np.float64)
            for c, b in zip(counts, bounds, strict=True)
        )  # fmt: skip
        self.row = int(sizes[0] == sizes[1] == 1)
        self.native = sharer(dtype, last=self.last)
        self.steps, self.grad_steps = (
            np.array(self._steps(axes), np.int64)
            for axes in (sizes, three_axes(geometry.output, 1))
        )

    def _steps(self, axes: tuple[int, ...]) -> tuple[int, int, int]:
        """Return the bytes of a plane, a depth and a row."""
        row = axes[2] * self.dtype.itemsize * (self.geometry.channels if self.last else 1)
        return math.prod(axes[:2]) * row, axes[1] * row, row

    def run(self, grad: Array, out: Array, parallel: bool) -> None:
        """Write the gradients of some images to contiguous memory, from contiguous ones."""
        planes = len(grad) * (1 if self.last else self.geometry.channels)
        work = 4 * (out.size + grad.size)
        workers = jobs.team_size(1 << 30, work=work, parallel=parallel)
        lines = len(self.groups[2 if self.row else 1])
        block, strips = _tasks(planes, out.nbytes // planes, lines, workers)
        constants = self.steps, self.grad_steps, *self.groups, *self.counts, self.masks
        for begin, end in threads.ranges(-(-planes // block) * strips, work, threads.MOST_TAPS):
            jobs.run(
                share, workers, begin, end, self.native, block, strips, planes,
                address(out), self.steps, address(grad), self.grad_steps,
                self.geometry.channels if self.last else 1, self.row,
                *self.groups, *self.counts, self.masks,
            )  # fmt: skip
        if recording.active:
            recording.keep(constants=constants)
            recording.approve()


def _joined(geometry: AnyGeometry) -> tuple[Any, tuple[int, int, int]]:
    """Return bounds and sizes for three axes; planes that one window covers are one row."""
    bounds, (depth, height, width) = geometry.bounds(), three_axes(geometry.size, 1)
    whole = np.array([[0], [height]]), np.array([[0], [width]])
    if height > 1 and height * width <= _JOINED and all(map(np.array_equal, bounds[1:], whole)):
        height, width = 1, height * width
        bounds = bounds[0], np.array([[0], [1]]), np.array([[0], [width]])
    return bounds, (depth, height, width)


def _tasks(planes: int, nbytes: int, lines: int, workers: int) -> tuple[int, int]:
    """Return the planes of a task, and into how many strips of rows, or of a row, they are cut."""
    block = max(1, min(_TASK_BYTES // max(nbytes, 1), -(-planes // (4 * workers))))
    tasks = -(-planes // block)
    strips = max(nbytes * block // _TASK_BYTES, -(-4 * workers // tasks)) if workers > 1 else 1
    return block, max(1, min(lines, strips))


def _groups(bounds: Array, size: int, step: int, most: int) -> Table:
    """Return runs of elements: (first, end, first window that holds one, end of the windows).

    Runs are of `step` elements, or else of those that the same windows hold, `most` at most.
    """
    begins = np.arange(0, size, step or most)
    if not step:
        begins = np.unique(np.concatenate([begins, *bounds]))
        begins = begins[begins < size]
    ends = np.append(begins[1:], size)
    first = np.searchsorted(bounds[1], begins, side="right")
    end = np.maximum(first, np.searchsorted(bounds[0], ends - 1, side="right"))
    return np.stack([begins, ends, first, end], axis=1).astype(np.int64)


def _masks(vectors: Table, bounds: Array) -> Table:
    """Return for each vector of elements which of them its windows hold, as bits of int64."""
    begins, ends, first, end = (column[:, None] for column in vectors.T)
    windows = first + np.arange(int((end - first).max()))
    starts, stops = (side[np.minimum(windows, len(side) - 1)] for side in bounds)
    low, high = (np.clip(side, begins, ends) - begins for side in (starts, stops))
    return np.where(windows < end, (1 << high) - (1 << low), 0).astype(np.int64)


@device
def _cut(
    task: int, strips: int, block: int, planes: int, row: bool, down: int, across: int
) -> tuple[int, int, int, int, int, int]:  # fmt: skip
    """Return the first plane of a task, how many, its rows and columns, as first and end."""
    strip, first = task % strips, task // strips * block
    lines = across if row else down
    begin, end = strip * lines // strips, (strip + 1) * lines // strips
    count = min(block, planes - first)
    if row:
        return first, count, 0, down, begin, end
    return first, count, begin, end, 0, across


@tasks_kernel
def reduce(
    index: int, worker: int, begin: int, native: int, block: int, strips: int, planes: int, x: int,
    x_plane: int, x_row: int, out: int, size: int, rows: Table, columns: Table, divisor: int,
) -> None:  # fmt: skip
    """Reduce the windows of the tasks from `begin` to `end`."""
    down, across = len(rows), len(columns)
    first, count, top, bottom, left, right = _cut(
        begin + index, strips, block, planes, down == 1, down, across
    )
    plane = down * across * size
    call(
        native,
        (
            count, bottom - top, x + first * x_plane, x_plane, x_row,
            out + first * plane + (top * across + left) * size, plane,
            rows.ctypes.data + 16 * top, right - left, columns.ctypes.data + 16 * left, divisor,
        ),
    )  # fmt: skip


@tasks_kernel
def share(
    index: int, worker: int, begin: int, native: int, block: int, strips: int, planes: int,
    out: int, steps: Table, grad: int, grad_steps: Table, cell: int, row: int, depths: Table,
    rows: Table, columns: Table, counts: Table, row_counts: Table, column_counts: Table,
    masks: Table,
) -> None:  # fmt: skip
    """Write the gradients of the tasks from `begin` to `end`."""
    first, count, top, bottom, left, right = _cut(
        begin + index, strips, block, planes, row != 0, len(rows), len(columns)
    )
    most = masks.shape[1]
    for z in range(len(depths)):
        call(
            native,
            (
                count, depths[z, 0], depths[z, 1], depths[z, 2], depths[z, 3], bottom - top,
                right - left, cell, out + first * steps[0], steps[0], steps[1], steps[2],
                grad + first * grad_steps[0], grad_steps[0], grad_steps[1], grad_steps[2],
                rows.ctypes.data + 32 * top, columns.ctypes.data + 32 * left, counts.ctypes.data,
                row_counts.ctypes.data, column_counts.ctypes.data,
                masks.ctypes.data + 8 * most * left, most,
            ),
        )  # fmt: skip
