"""Adaptive pools: the plan of windows that no plain pool has, and their gradient."""

import math
from typing import Any

import numpy as np

from numbaconv.kernels import recording, threads, workspace
from numbaconv.native import isa, row_ops
from numbaconv.native.pool import MAXIMUM, MAXIMUM_AND_INDEX, MEAN
from numbaconv.native.rows import copier
from numbaconv.pooling import adaptive_loops, boxes, forward, row_loops, spread
from numbaconv.problem.arrays import Array, address
from numbaconv.problem.geometry import three_axes
from numbaconv.problem.pool_geometry import AdaptiveGeometry, PoolGeometry
from numbaconv.teams import jobs

# Bytes of the planes of a task.
_BLOCK_BYTES = 1 << 17
# Elements of planes, and of results, that are small: they are combined as a whole, so many at once.
_SMALL, _FLAT = 1 << 11, 1 << 11
# Bytes of a row in memory, where it can be cut, and of images that are copied at once.
_ROW_BYTES, _COPIED_BYTES = 1 << 19, 1 << 22


class Plan:
    """Everything that follows from geometry and dtype.

    Parameters
    ----------
    geometry : AdaptiveGeometry
        The problem.
    dtype : dtype
        Of the computation.
    kind : int
        What to compute, of `numbaconv.native.pool`.
    """

    def __init__(self, geometry: AdaptiveGeometry, dtype: np.dtype[Any], kind: int) -> None:
        forward.require_machine_code()
        self.geometry, self.dtype = geometry, dtype
        self.output_shape = geometry.output_shape
        self.mean, self.indexed = kind == MEAN, kind == MAXIMUM_AND_INDEX
        self.work_dtype = np.dtype(np.float64) if self.mean and dtype.kind == "f" else dtype
        op = row_ops.SUM if self.mean else row_ops.MAXIMUM
        self.cell = geometry.channels if geometry.channels_last else 1
        self.planes = 1 if geometry.channels_last else geometry.channels
        depth, self.height, self.width = three_axes(geometry.size, 1)
        deep, down, across = three_axes(geometry.output, 1)
        behind = 8 * isa.host().lanes(dtype) + 64  # a vector, or one of places
        plane = self.height * self.width
        small = max(plane, down * across) <= _SMALL
        self.flat = self.cell == 1 and depth == deep == 1 and small
        self.together = max(1, _FLAT // plane) if self.flat else 1
        self.bounds = geometry.bounds()
        item = 8 if self.indexed else self.work_dtype.itemsize
        self.pieces = self._pieces(_ROW_BYTES // item)
        of_row = int((self.pieces[:, 1::2] - self.pieces[:, ::2]).max()) * self.cell
        if self.flat:
            of_row = max(self.together * plane, down * across)
        self.pitch = -(-(of_row * item + behind) // 64) * 64
        held = adaptive_loops.HELD_FLAT if self.flat else adaptive_loops.HELD
        self.places = held * self.pitch
        self.worker_bytes = self.places * (2 if self.indexed else 1)
        sizes = [ends - starts for starts, ends in self.bounds]
        self.axis_counts = sizes[0], sizes[1]
        counts = sizes[2].repeat(self.cell)
        if self.flat:
            counts = (sizes[1][:, None] * sizes[2]).reshape(-1)
        self.counts = counts.astype(np.float64 if dtype.kind == "f" else np.int64)
        self.shortest = [int((ends - starts).min()) for starts, ends in self.bounds]
        self.columns = self._columns()
        self.zero = np.zeros(1, np.int64)
        # What is picked, and where its places are; none behind it.
        picked = len(counts) if self.cell == 1 else 1
        self.picks = threads.Scratch(1, (2, picked + isa.host().nbytes))
        combine = row_ops.combiner(op, self.work_dtype)
        if self.indexed:
            combine = row_ops.index_combiner(dtype)
        self.natives = np.array(
            row_loops.Natives(
                combine=combine,
                bring=row_ops.bringer(op, dtype, widen=self.mean and dtype.kind == "f"),
                copy=row_ops.bringer(op, self.work_dtype),
                shift=row_ops.shifter() if self.indexed else 0,
                fold=0, pick=self._picker(self.work_dtype),
                pick_places=self._picker(np.dtype(np.int64)) if self.indexed else 0,
                divide=row_ops.divider(dtype) if self.mean else 0,
                nothing=0, nowhere=0, columns=address(self.columns), picked=0, picked_places=0,
                counts=address(self.counts),
            ), np.int64,
        )  # fmt: skip
        self.elements = geometry.channels * math.prod(geometry.size)

    def _pieces(self, most: int) -> Array:
        """Return the results of a row, cut: (first, end, first element, end of the elements).

        A piece has at most so many elements, unless one window has more.
        """
        starts, ends = self.bounds[2]
        most = max(1, most // self.cell)
        found, first = [], 0
        while first < len(starts):
            begin = starts[first]
            end = int(np.searchsorted(ends, begin + most, side="right"))
            end = max(first + 1, min(end, first + most))
            found.append((first, end, begin, ends[end - 1]))
            first = end
        return np.array(found, np.int64)

    def _picker(self, dtype: np.dtype[Any]) -> int:
        """Return what copies elements from anywhere, of this size."""
        return copier(3, np.dtype(dtype.str.replace("u", "i")), exact=True)

    def _columns(self) -> Array:
        """Return the place of each element of a row, or of planes, that maxima have beside them."""
        if not self.indexed:
            return self.bounds[0]  # which nobody reads
        of_row = np.arange(self.width).repeat(self.cell)
        if self.flat:
            of_row = np.tile(np.arange(self.height * self.width), self.together)
        return np.pad(of_row, (0, isa.host().nbytes)).astype(np.int64)

    def run(self, x: Array, out: Array, indices: Array | None, parallel: bool) -> None:
        """Reduce a batched array, whose last axis is contiguous, to contiguous ones."""
        apart = x.shape[-2] > 1 and x.strides[-2] != x.shape[-1] * x.itemsize
        if (self.flat or (self.geometry.channels_last and apart)) and not x.flags.c_contiguous:
            step = max(1, _COPIED_BYTES // max(x[0].nbytes, 1))
            for n in range(0, len(x), step):
                part = None if indices is None else indices[n : n + step]
                copied = np.ascontiguousarray(x[n : n + step])
                self._run(copied, out[n : n + step], part, parallel)
            return
        self._run(x, out, indices, parallel)

    def _run(self, x: Array, out: Array, indices: Array | None, parallel: bool) -> None:
        workers = jobs.team_size(1 << 30, work=len(x) * self.elements * 4, parallel=parallel)
        shape, tasks = self._shape(x, workers)
        packed = np.array(shape, np.int64)
        space, scratch = workspace.take(self.worker_bytes * workers), self.picks.take(workers)
        picks = scratch[1]
        taps = 8 * max(len(x) * self.elements, out.size)
        memory = 0 if indices is None else address(indices), space.address
        _, *shortest = self.shortest
        for begin, end in threads.ranges(tasks, taps, threads.MOST_TAPS):
            if self.flat:
                jobs.run(
                    adaptive_loops.reduce_planes, workers, begin, end, address(x), address(out),
                    *memory, packed, self.natives, *self.bounds[1:], *shortest, self.height,
                    self.width, self.zero, picks,
                )  # fmt: skip
            else:
                jobs.run(
                    adaptive_loops.reduce_rows, workers, begin, end, address(x), address(out),
                    *memory, packed, self.natives, *self.bounds, *self.axis_counts, shortest[1],
                    self.height, self.width, self.zero, picks, self.pieces,
                )  # fmt: skip
        workspace.give_back(space)
        self.picks.give_back(scratch)
        if recording.active:
            recording.keep(self)

    def _shape(self, x: Array, workers: int) -> tuple[row_loops.Shape, int]:
        """Return the shape for an input of these strides, and its tasks."""
        geometry, last = self.geometry, self.geometry.channels_last
        batch, *rest = x.strides
        channel, spatial = (0, rest[:-1]) if last else (rest[0], rest[1:])
        depth, row, _ = three_axes(tuple(spatial), 0)
        planes = len(x) * self.planes
        nbytes = max(1, self.elements * x.itemsize // self.planes)
        block = max(1, min(_BLOCK_BYTES // nbytes, -(-planes // (4 * workers))))
        if self.flat:
            block = min(block, self.together)
        tasks = -(-planes // block)
        lines = math.prod(three_axes(geometry.output, 1)[:2])
        strips = 1
        if tasks < 4 * workers and not self.flat:
            strips = min(lines, -(-4 * workers // tasks))
        shape = row_loops.Shape(
            size=x.itemsize, work=self.work_dtype.itemsize, cell=self.cell,
            lanes=isa.host().nbytes // self.work_dtype.itemsize, planes=planes,
            channels=self.planes, block=block, strips=strips, blocked=0, mean=int(self.mean),
            indexed=int(self.indexed), whole=0, x_image=batch, x_plane=channel, x_depth=depth,
            x_row=row, pitch=self.pitch, worker_bytes=self.worker_bytes, places=self.places,
        )  # fmt: skip
        return shape, tasks * strips


#: A plain pool has the same windows, or none has.
AnyPlan = Plan | forward.AnyPlan


def maximum_plan(geometry: AdaptiveGeometry, dtype: np.dtype[Any], *, indices: bool) -> AnyPlan:
    """Return the plan of a maximum over an array of this dtype."""
    plain = geometry.as_pool()
    if plain is not None:
        asked = PoolGeometry.parse(plain, geometry.input_shape)
        return forward.maximum_plan(asked, dtype, indices=indices)
    kind = MAXIMUM_AND_INDEX if indices else MAXIMUM
    return Plan(geometry, forward.maximum_dtype(dtype), kind)


def mean_plan(geometry: AdaptiveGeometry, dtype: np.dtype[Any]) -> AnyPlan:
    """Return the plan of a mean over an array of this dtype; that of complex ones is of a part."""
    plain = geometry.as_pool()
    if plain is not None:
        asked = PoolGeometry.parse(plain, geometry.input_shape)
        return forward.mean_plan(asked, dtype, True, None)
    work = forward.mean_dtype(dtype)
    if geometry.batch and geometry.channels and boxes.suits(geometry):
        forward.require_machine_code()
        return boxes.Plan(geometry, work)
    return Plan(geometry, work, MEAN)


def gradient_plan(geometry: AdaptiveGeometry, dtype: np.dtype[Any]) -> spread.AnyPlan:
    """Return the plan of the gradient of a mean."""
    plain = geometry.as_pool()
    if plain is None:
        forward.require_machine_code()
        sizes = tuple(ends - starts for starts, ends in geometry.bounds())
        return boxes.Gradient(geometry, spread.work_dtype(dtype), sizes)
    asked = PoolGeometry.parse(plain, geometry.input_shape, "input_shape")
    return spread.planned(asked, dtype, True, None)
