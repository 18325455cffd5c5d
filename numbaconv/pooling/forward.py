"""Runs the forward passes: maxima with and without indices, and means."""

import math
from dataclasses import replace
from typing import Any, Protocol, Union

import numpy as np

from numbaconv.kernels import recording, threads
from numbaconv.kernels.jit import native_available
from numbaconv.native import isa
from numbaconv.native.pool import (
    LONG_MEAN,
    MAXIMUM,
    MAXIMUM_AND_INDEX,
    MEAN,
    SHORT_SUM,
    reducer,
)
from numbaconv.pooling import boxes, loops, planes, rows
from numbaconv.problem.arrays import Array, address, empty, is_direct, native
from numbaconv.problem.geometry import Ints, three_axes
from numbaconv.problem.pool_geometry import PoolGeometry
from numbaconv.running import results
from numbaconv.running.results import assign, converted
from numbaconv.teams import jobs

#: Window by window, in vectors of results or of taps, row by row, or plane by plane.
AnyPlan = Union["Plan", rows.Plan, rows.Pieces, planes.Plan, boxes.Plan]


class Batched(Protocol):
    """A problem that knows whether its arrays have a batch axis."""

    @property
    def batched(self) -> bool:
        """Whether they have."""


class Reduction(Protocol):
    """A plan of any kind of pool."""

    output_shape: Ints
    dtype: np.dtype[Any]

    @property
    def geometry(self) -> Batched:
        """The problem."""

    def run(self, x: Array, out: Array, indices: Array | None, parallel: bool) -> None:
        """Reduce a batched array, whose last axis is contiguous, to contiguous ones."""


# Elements that are reduced in about the time of a multiplication of a convolution.
_WORK = 2
# Bytes of the planes whose lines are reduced one after the other.
_BLOCK_BYTES = 1 << 17
# Taps of a task: small enough for launches of a bounded length, where they are many.
TASK_TAPS = 1 << 24
# Elements of a plane whose mean is best taken with those of others.
_SMALL_PLANE = 256
# Outputs of a line where one table of counts serves all lines.
_MOST_PIECE = 1 << 14


class Plan:
    """Everything that follows from geometry and dtype.

    Parameters
    ----------
    geometry : PoolGeometry
        The problem.
    dtype : dtype
        Of the computation.
    kind : int
        What to compute, of `numbaconv.native.pool`.
    include_pad : bool
        Whether a mean counts padded taps.
    divisor : int or None
        What a mean is divided by instead.
    """

    def __init__(
        self, geometry: PoolGeometry, dtype: np.dtype[Any], kind: int, include_pad: bool,
        divisor: int | None,
    ) -> None:  # fmt: skip
        require_machine_code()
        window = geometry.window
        self.output_shape = geometry.output_shape
        # One result a plane: channels are taken as the last axis, whose neighbours are far apart.
        self.turned = not geometry.channels_last and window.positions == 1
        if self.turned:
            geometry = replace(geometry, channels_last=True)
        self.geometry, self.dtype, self.kind = geometry, dtype, kind
        unsigned = dtype.kind == "u"
        signed = np.dtype(dtype.str.replace("u", "i")) if unsigned else dtype
        if kind == MEAN and window.taps > SHORT_SUM:
            kind = LONG_MEAN
        stride, width = three_axes(window.stride, 1)[2], three_axes(window.output, 1)[2]
        step = 1 if geometry.channels_last else stride if stride <= 2 else 0
        if self.turned:
            step = 0
        length = geometry.channels if geometry.channels_last else width
        self.native = reducer(
            kind, step, signed, unsigned=unsigned, length=length,
            columns=not geometry.channels_last, deep=window.ndim == 3,
            tall=three_axes(window.kernel, 1)[1], wide=three_axes(window.kernel, 1)[2],
        )  # fmt: skip
        depths, rows, columns = geometry.counts(include_pad, divisor)
        slack = isa.host().lanes(signed)
        # Of a row whose outputs have as many taps each, a piece stands for all.
        self.uniform = geometry.channels_last or bool(np.all(columns == columns[0]))
        held = min(length, _MOST_PIECE) if self.uniform and not geometry.channels_last else length
        self.counts = np.ones(held + slack, signed)
        if not geometry.channels_last and kind in (MEAN, LONG_MEAN):
            self.counts[:held] = columns[:held] if len(columns) > 1 else columns[0]
        self.axis_counts = depths, rows, columns
        self.window = window.packed
        self.scratch = threads.Scratch(1)
        self.shapes: dict[Any, tuple[Array, int]] = {}
        self.outputs, self.taps = geometry.channels * window.positions, window.taps
        self.work = self.outputs * self.taps // _WORK

    def run(self, x: Array, out: Array, indices: Array | None, parallel: bool) -> None:
        """Reduce a batched array, whose last axis is contiguous, to contiguous ones."""
        if self.turned:
            x = np.moveaxis(x, 1, -1)
        images = len(x)
        outputs = images * self.outputs
        workers = jobs.team_size(outputs, work=images * self.work, parallel=parallel)
        key = x.strides, images, workers
        found = self.shapes.get(key)
        if found is None:
            if len(self.shapes) > 16:
                self.shapes.clear()
            found = self.shapes[key] = self._shape(x, workers)
        shape, tasks = found
        scratch = self.scratch.take(workers)
        for begin, end in threads.ranges(tasks, outputs * self.taps, threads.MOST_TAPS):
            jobs.run(
                loops.reduce, workers, begin, end, address(x), address(out),
                0 if indices is None else address(indices), self.native, *scratch, shape,
                self.window, address(self.counts), *self.axis_counts,
            )  # fmt: skip
        self.scratch.give_back(scratch)
        if recording.active:
            recording.keep(constants=(self.counts,))

    def _shape(self, x: Array, workers: int) -> tuple[Array, int]:
        """Return the packed `loops.Shape` for an input of these strides, and its tasks."""
        geometry, images = self.geometry, len(x)
        batch, *rest = x.strides
        if geometry.channels_last:
            *spatial, channel = rest
        else:
            channel, *spatial = rest
        steps = list(three_axes(tuple(spatial), 0))
        if not geometry.channels_last and x.shape[-1] == 1:
            steps[2] = x.itemsize
        planes, groups, group_step, step = geometry.channels, images, batch, channel
        if geometry.channels_last:
            planes, groups, group_step, step = images, 1, 0, batch
        elif images == 1 or geometry.channels == 1 or batch == channel * geometry.channels:
            step = batch if geometry.channels == 1 else channel
            planes, groups, group_step = images * geometry.channels, 1, 0
        # Blocks of planes whose inputs stay in the cache, several for each worker.
        nbytes = max(1, math.prod(geometry.window.size) * x.itemsize)
        nbytes *= geometry.channels if geometry.channels_last else 1
        block = max(1, min(_BLOCK_BYTES // nbytes, -(-planes * groups // (4 * workers))))
        *rows, width = three_axes(geometry.window.output, 1)
        piece, parts = cut_lines(
            planes, block, groups, math.prod(rows), width, geometry.window.taps, workers,
            whole=geometry.channels_last, across=geometry.channels,
            most=_MOST_PIECE if self.uniform else width,
        )  # fmt: skip
        shape = loops.Shape(
            x.itemsize, geometry.channels, int(geometry.channels_last), planes, groups, block,
            parts, piece, int(self.uniform), group_step, step,
            channel if self.turned else x.itemsize, *steps,
        )  # fmt: skip
        return np.array(shape, np.int64), groups * -(-planes // block) * parts


def cut_lines(
    planes: int,
    block: int,
    groups: int,
    rows: int,
    width: int,
    taps: int,
    workers: int,
    *,
    whole: bool,
    across: int,
    most: int,
) -> tuple[int, int]:
    """Return (outputs of a line, parts of the lines): enough tasks, none of which takes long.

    Lines are of `width` outputs in each of the `rows` of a plane, cut into `most` outputs at most;
    where they are `whole`, they are outputs of `across` channels, and are not cut.
    """
    piece = 1 if whole else min(width, most, max(64, TASK_TAPS // taps))
    lines = rows * -(-width // piece)
    parts = min(lines, 4 * workers) if -(-planes // block) * groups < 4 * workers else 1
    outputs = block * rows * width * (across if whole else 1)
    return piece, min(lines, max(parts, outputs * taps // TASK_TAPS))


def planned(
    geometry: PoolGeometry, dtype: np.dtype[Any], kind: int, include_pad: bool,
    divisor: int | None,
) -> AnyPlan:  # fmt: skip
    """Return the plan of a problem: what reads least of the input twice."""
    require_machine_code()
    chosen: Any = Plan
    if geometry.batch and geometry.channels and planes.takes(geometry, kind):
        if kind == MEAN and geometry.window.taps <= _SMALL_PLANE:
            return boxes.Plan(geometry, dtype, divisor or 0)
        chosen = planes.Plan
    else:
        by_rows, each = rows.nanoseconds(geometry, dtype, kind)
        by = boxes.divisor_of(geometry, include_pad, divisor) if kind == MEAN else None
        if by is not None and boxes.nanoseconds(geometry, dtype) < min(by_rows, each):
            return boxes.Plan(geometry, dtype, by)
        if by_rows < each:
            chosen = rows.planned
    found: AnyPlan = chosen(geometry, dtype, kind, include_pad, divisor)
    return found


def maximum_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype in which maxima of a dtype are found."""
    work = dtype.newbyteorder("=")
    return np.dtype(np.float32) if work == np.float16 else work


def mean_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype in which means of a dtype are computed, or the parts of complex ones."""
    work = dtype.newbyteorder("=")
    if dtype.kind == "c":
        return np.dtype(f"f{dtype.itemsize // 2}")
    if dtype.kind in "iu":
        return np.dtype(np.uint64 if work == np.uint64 else np.int64)
    return np.dtype(np.float32) if work == np.float16 else work


def maximum_plan(
    geometry: PoolGeometry, dtype: np.dtype[Any], *, indices: bool
) -> AnyPlan:  # fmt: skip
    """Return the plan of a maximum over an array of this dtype."""
    work = maximum_dtype(dtype)
    return planned(geometry, work, MAXIMUM_AND_INDEX if indices else MAXIMUM, True, None)


def mean_plan(
    geometry: PoolGeometry, dtype: np.dtype[Any], include_pad: bool, divisor: int | None
) -> AnyPlan:
    """Return the plan of a mean over an array of this dtype; that of complex ones is of a part."""
    return planned(geometry, mean_dtype(dtype), MEAN, include_pad, divisor)


def maximum(
    plan: Reduction, x: Array, out: Any, parallel: bool, *, indices: bool
) -> tuple[Array, Array | None]:
    """Return the maxima and, if wanted, where they are."""
    shape = plan.output_shape
    places = empty(shape, np.dtype(np.int64)) if indices else None

    def compute(target: Array) -> None:
        if target.size:
            _run(plan, x, target, places, parallel)

    return results.into(out, shape, native(x.dtype), (x,), compute), places


def mean(plan: Reduction, x: Array, out: Any, parallel: bool) -> Array:
    """Return the means; integers are summed in 64 bits and truncated."""
    dtype = native(x.dtype)

    def compute(target: Array) -> None:
        if target.size and dtype.kind == "c":
            _run(plan, x.real, target.real, None, parallel)
            _run(plan, x.imag, target.imag, None, parallel)
        elif target.size:
            _run(plan, x, target, None, parallel)

    return results.into(out, plan.output_shape, dtype, (x,), compute)


def require_machine_code() -> None:
    """Raise RuntimeError where pools, which have no other form, cannot run."""
    reason = native_available()
    if reason is not None:
        raise RuntimeError(f"pools cannot run: {reason}")


def _run(
    this: Reduction, x: Array, out: Array, indices: Array | None, parallel: bool
) -> None:  # fmt: skip
    """Reduce all images at once, or one by one through suitable copies."""
    if not this.geometry.batched:
        x, out = x[None], out[None]
        indices = None if indices is None else indices[None]
    lies_well = is_direct(x, this.dtype) and (
        x.strides[-1] == x.itemsize or x.shape[-1] == 1
    )  # fmt: skip
    if lies_well and is_direct(out, this.dtype) and out.flags.c_contiguous:
        this.run(x, out, indices, parallel)
        if recording.active:
            recording.approve()
        return
    for n in range(len(x)):
        source, target = x[n : n + 1], out[n : n + 1]
        if not lies_well:
            source = converted(source, this.dtype, parallel)
        places = None if indices is None else indices[n : n + 1]
        if is_direct(target, this.dtype) and target.flags.c_contiguous:
            this.run(source, target, places, parallel)
        else:
            fresh = np.empty(target.shape, this.dtype)
            this.run(source, fresh, places, parallel)
            assign(target, fresh, parallel)
