"""Pools of whole images: each plane is read once, in pieces that threads share."""

import math
from typing import Any

import numpy as np

from numbaconv.kernels import recording, threads, workspace
from numbaconv.kernels.jit import device
from numbaconv.native import row_ops
from numbaconv.native.link import call, copy_bytes
from numbaconv.native.pool import MAXIMUM_AND_INDEX, MEAN
from numbaconv.problem.arrays import Array, address
from numbaconv.problem.pool_geometry import PoolGeometry
from numbaconv.teams import jobs
from numbaconv.teams.jobs import tasks_kernel, team_kernel

# Elements of a piece: the sums of pieces are summed, so it must not depend on threads.
_PIECE = 1 << 16
# Elements of the planes of a task, where they are small.
_TASK = 1 << 14


class Plan:
    """Everything that follows from geometry and dtype; parameters as of `forward.Plan`."""

    def __init__(
        self, geometry: PoolGeometry, dtype: np.dtype[Any], kind: int, include_pad: bool,
        divisor: int | None,
    ) -> None:  # fmt: skip
        self.geometry, self.dtype, self.kind = geometry, dtype, kind
        self.output_shape = geometry.output_shape
        self.count = math.prod(geometry.window.size)
        mean = kind == MEAN
        self.work_dtype = np.dtype(np.float64) if mean and dtype.kind == "f" else dtype
        op = row_ops.SUM if mean else row_ops.MAXIMUM
        self.fold = row_ops.folder(op, dtype)
        self.fold_pieces = row_ops.folder(op, self.work_dtype)
        self.divide = row_ops.divider(dtype) if mean else 0
        self.ones = np.ones(1, np.float64 if dtype.kind == "f" else np.int64)
        self.divisor = self.count if divisor is None else divisor
        self.pieces = -(-self.count // _PIECE)
        self.together = max(1, _TASK // self.count)

    def run(self, x: Array, out: Array, indices: Array | None, parallel: bool) -> None:
        """Reduce a batched array, whose last axis is contiguous, to contiguous ones."""
        x = np.ascontiguousarray(x)
        planes = len(x) * self.geometry.channels
        workers = jobs.team_size(1 << 30, work=planes * self.count, parallel=parallel)
        work = self.work_dtype.itemsize
        space = workspace.take(planes * self.pieces * work + 64)
        tasks = -(-planes // self.together) * self.pieces
        finish = address(out), self.divide, address(self.ones), self.divisor
        for begin, end in threads.ranges(tasks, planes * self.count, threads.MOST_TAPS):
            jobs.run(
                fold_pieces, workers, begin, end, address(x), space.address, planes, self.together,
                self.count, self.pieces, x.itemsize, work, self.fold, *finish,
            )  # fmt: skip
        if self.pieces > 1:
            jobs.run(
                finish_planes, 1, space.address, planes, self.pieces, x.itemsize, work,
                self.fold_pieces, *finish,
            )  # fmt: skip
        workspace.give_back(space)
        if recording.active:
            recording.keep(constants=(self.ones,))


def takes(geometry: PoolGeometry, kind: int) -> bool:
    """Return whether a problem is one window for each plane, all of it, without indices."""
    window = geometry.window
    return (
        window.positions == 1
        and not window.is_padded
        and window.kernel == window.size
        and kind != MAXIMUM_AND_INDEX
        and not geometry.channels_last
    )


@tasks_kernel
def fold_pieces(
    index: int, worker: int, begin: int, x: int, sums: int, planes: int, together: int,
    count: int, pieces: int, size: int, work: int, fold: int, out: int, divide: int, ones: int,
    divisor: int,
) -> None:  # fmt: skip
    """Reduce the pieces of some tasks: a piece of a plane, or some small planes."""
    task = begin + index
    piece = task % pieces
    first = task // pieces * together
    start = piece * _PIECE
    length = min(_PIECE, count - start)
    for plane in range(first, min(first + together, planes)):
        source = x + (plane * count + start) * size
        at = sums + (plane * pieces + piece) * work
        call(fold, (at, source, length))
        if pieces == 1:
            _finish(at, out + plane * size, size, divide, ones, divisor)


@team_kernel
def finish_planes(
    team: int, workers: int, sums: int, planes: int, pieces: int, size: int, work: int, fold: int,
    out: int, divide: int, ones: int, divisor: int,
) -> None:  # fmt: skip
    """Reduce what the pieces of each plane came to, and write the results."""
    for plane in range(planes):
        at = sums + plane * pieces * work
        call(fold, (at, at, pieces))
        _finish(at, out + plane * size, size, divide, ones, divisor)


@device
def _finish(at: int, to: int, size: int, divide: int, ones: int, divisor: int) -> None:
    if divide != 0:
        call(divide, (to, at, ones, divisor, 1))
    else:
        copy_bytes(to, at, size)
