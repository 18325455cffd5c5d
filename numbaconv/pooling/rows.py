"""Pools of large windows, row by row: the plan, and when it pays (see `row_loops`)."""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from numbaconv.kernels import recording, threads, workspace
from numbaconv.native import isa, row_ops
from numbaconv.native.pool import MAXIMUM, MAXIMUM_AND_INDEX, MEAN
from numbaconv.native.rows import NOTHING, copier
from numbaconv.pooling import row_loops
from numbaconv.problem.arrays import Array, address
from numbaconv.problem.geometry import Window, three_axes
from numbaconv.problem.pool_geometry import PoolGeometry
from numbaconv.teams import jobs

# Rows of a window from which on they are combined in blocks.
_LEAST_BLOCKED = 4
# Bytes of the planes of a task, and of a worker's memory at most.
_BLOCK_BYTES, _MOST_MEMORY = 1 << 17, 1 << 26
# Results of a piece of a long signal, at least.
_PIECE = 1 << 12
# Nanoseconds, measured: of an operation on a row, and of each of its vectors, by kind.
_CALL = {MAXIMUM: 14.0, MAXIMUM_AND_INDEX: 22.0, MEAN: 14.0}
_VECTOR = {MAXIMUM: 1.2, MAXIMUM_AND_INDEX: 4.0, MEAN: 0.8}
# Of a vector of one tap where each window is reduced by itself, by kind; that many times as long
# where its elements are 2 apart, further apart, or pixels of all channels.
_TAP = {MAXIMUM: 2.4, MAXIMUM_AND_INDEX: 4.0, MEAN: 1.45}
_EVERY_SECOND, _BY_CELL = 1.4, 1.35
_GATHERED = {MAXIMUM: 2.4, MAXIMUM_AND_INDEX: 2.4, MEAN: 6.0}
_NOWHERE = 1 << 62
_INDEX = np.dtype(np.int64)


class Plan:
    """Everything that follows from geometry and dtype; parameters as of `forward.Plan`."""

    def __init__(
        self, geometry: PoolGeometry, dtype: np.dtype[Any], kind: int, include_pad: bool,
        divisor: int | None,
    ) -> None:  # fmt: skip
        self.output_shape = geometry.output_shape
        counts = geometry.counts(include_pad, divisor)
        self.geometry, self.dtype, self.kind = geometry, dtype, kind
        window = geometry.window
        signed = np.dtype(dtype.str.replace("u", "i")) if dtype.kind == "u" else dtype
        mean, indexed = kind == MEAN, kind == MAXIMUM_AND_INDEX
        op = row_ops.SUM if mean else row_ops.MAXIMUM
        self.mean, self.indexed = mean, indexed
        self.work_dtype = dtype
        if mean:
            self.work_dtype = np.dtype(np.float64 if dtype.kind == "f" else dtype)
        work = self.work_dtype.itemsize
        self.cell = geometry.channels if geometry.channels_last else 1
        self.planes = 1 if geometry.channels_last else geometry.channels
        (_, tall, wide), (*_, across) = (three_axes(v, 1) for v in (window.kernel, window.output))
        step, apart = three_axes(window.stride, 1)[2], three_axes(window.dilation, 1)[2]
        low, width = (
            three_axes(tuple(p for p, _ in window.padding), 0)[2],
            three_axes(window.size, 1)[2],
        )
        self.blocked = is_blocked(window)
        padded = max((across - 1) * step + (wide - 1) * apart + 1, low + width) * self.cell
        behind = 8 * isa.host().lanes(signed) + 64  # a vector, or one of places
        self.pitch = -(-(padded * (8 if indexed else work) + behind) // 64) * 64
        held = row_loops.ROWS + (2 * tall if self.blocked else 0)
        self.worker_bytes = held * self.pitch * (2 if indexed else 1)
        self.places = held * self.pitch
        self.whole = across == 1 and apart == 1 and not indexed
        lowest = -np.inf if dtype.kind == "f" else 0 if dtype.kind == "u" else np.iinfo(dtype).min
        slack = isa.host().nbytes
        self.nothing = np.full(padded + slack, 0 if mean else lowest, self.work_dtype)
        self.nowhere = np.full(padded + slack if indexed else 1, _NOWHERE, np.int64)
        self.columns = np.full(width * self.cell + slack if indexed else 1, _NOWHERE, np.int64)
        if indexed:
            self.columns[:-slack] = np.arange(width).repeat(self.cell)
        self.axis_counts = counts[:2]
        of_columns = np.broadcast_to(counts[2], across).repeat(self.cell)
        self.counts = of_columns.astype(np.float64 if dtype.kind == "f" else np.int64)
        self.picked = _picked(across, step, self.work_dtype)
        self.picked_places = _picked(across, step, _INDEX)
        combine = row_ops.index_combiner(dtype) if indexed else row_ops.combiner(
            op, self.work_dtype)  # fmt: skip
        picks = self.cell == 1 and step > 1 and across > 1
        picked = self.work_dtype if mean else signed
        picked = np.dtype(picked.str.replace("u", "i"))
        self.natives = np.array(
            row_loops.Natives(
                combine=combine,
                bring=row_ops.bringer(op, dtype, widen=mean and dtype.kind == "f"),
                copy=row_ops.bringer(op, self.work_dtype),
                shift=row_ops.shifter() if indexed else 0,
                fold=row_ops.folder(op, self.work_dtype)
                if self.whole and self.cell == 1 else 0,
                pick=copier(step, picked, exact=True) if picks else 0,
                pick_places=copier(step, _INDEX, exact=True) if picks and indexed else 0,
                divide=row_ops.divider(dtype) if mean else 0,
                nothing=address(self.nothing), nowhere=address(self.nowhere),
                columns=address(self.columns), picked=address(self.picked),
                picked_places=address(self.picked_places), counts=address(self.counts),
            ), np.int64,
        )  # fmt: skip
        self.window = window.packed
        self.elements = geometry.channels * math.prod(window.size)
        self.shapes: dict[Any, tuple[Array, int]] = {}

    def run(self, x: Array, out: Array, indices: Array | None, parallel: bool) -> None:
        """Reduce a batched array, whose last axis is contiguous, to contiguous ones."""
        images = len(x)
        x = self._suitable(x)
        workers = jobs.team_size(1 << 30, work=images * self.elements * 4, parallel=parallel)
        key = x.strides, images, workers
        found = self.shapes.get(key)
        if found is None:
            if len(self.shapes) > 16:
                self.shapes.clear()
            found = self.shapes[key] = self._shape(x, workers)
        shape, tasks = found
        space = workspace.take(self.worker_bytes * workers)
        for begin, end in threads.ranges(tasks, 8 * images * self.elements, threads.MOST_TAPS):
            jobs.run(
                row_loops.reduce_rows, workers, begin, end, address(x), address(out),
                0 if indices is None else address(indices), space.address, shape, self.natives,
                self.window, *self.axis_counts,
            )  # fmt: skip
        workspace.give_back(space)
        if recording.active:
            recording.keep(self)

    def _suitable(self, x: Array) -> Array:
        """Return an input whose rows are runs of cells."""
        last = self.geometry.channels_last
        if last and x.shape[-2] > 1 and x.strides[-2] != x.shape[-1] * x.itemsize:
            return np.ascontiguousarray(x)
        return x

    def _shape(self, x: Array, workers: int) -> tuple[Array, int]:
        """Return the packed `row_loops.Shape` for an input of these strides, and its tasks."""
        geometry = self.geometry
        batch, *rest = x.strides
        channel, spatial = (0, rest[:-1]) if geometry.channels_last else (rest[0], rest[1:])
        depth, row, _ = three_axes(tuple(spatial), 0)
        planes = len(x) * self.planes
        depths, rows, _ = three_axes(geometry.window.output, 1)
        nbytes = max(1, self.elements * x.itemsize // self.planes)
        block = max(1, min(_BLOCK_BYTES // nbytes, -(-planes // (4 * workers))))
        tasks = -(-planes // block) * depths
        strips = 1
        if tasks < 4 * workers:
            # A strip begins with the rows of a whole window.
            tall, stride = (
                three_axes(v, 1)[1] for v in (geometry.window.kernel, geometry.window.stride)
            )
            halves = rows * stride // (2 * tall) if self.blocked else rows
            strips = max(1, min(-(-4 * workers // tasks), max(workers, halves), rows))
        shape = row_loops.Shape(
            size=x.itemsize, work=self.work_dtype.itemsize, cell=self.cell,
            lanes=isa.host().nbytes // self.work_dtype.itemsize, planes=planes,
            channels=self.planes, block=block, strips=strips, blocked=int(self.blocked),
            mean=int(self.mean), indexed=int(self.indexed), whole=int(self.whole), x_image=batch,
            x_plane=channel, x_depth=depth, x_row=row, pitch=self.pitch,
            worker_bytes=self.worker_bytes, places=self.places,
        )  # fmt: skip
        return np.array(shape, np.int64), tasks * strips


def planned(geometry: PoolGeometry, *how: Any) -> "Plan | Pieces":
    """Return the plan of a problem, whose parameters are those of `Plan`."""
    window = geometry.window
    span = (window.kernel[-1] - 1) * window.dilation[-1] + 1
    long = window.ndim == 1 and window.output[0] >= 4 * max(_PIECE, span)
    return Pieces(geometry, *how) if long else Plan(geometry, *how)


def is_blocked(window: Window) -> bool:
    """Return whether the rows of windows are combined in blocks."""
    tall, stride = three_axes(window.kernel, 1)[1], three_axes(window.stride, 1)[1]
    apart = three_axes(window.dilation, 1)[1]
    return apart == 1 and tall >= max(_LEAST_BLOCKED, 2 * stride + 2)


class Pieces:
    """Long signals in pieces that stay in the caches, each as an image; parameters as of `Plan`.

    What the padding meets, and what is left over, are plans of their own.
    """

    def __init__(
        self, geometry: PoolGeometry, dtype: np.dtype[Any], kind: int, include_pad: bool,
        divisor: int | None,
    ) -> None:  # fmt: skip
        self.geometry, self.dtype, self.output_shape = geometry, dtype, geometry.output_shape
        self.last = geometry.channels_last
        window = geometry.window
        (n,), (k,), (s,), (d,), ((low, _),) = (
            window.size, window.kernel, window.stride, window.dilation, window.padding
        )  # fmt: skip
        span, outputs = (k - 1) * d + 1, window.output[0]
        self.piece, self.step = max(_PIECE, span), s
        first = -(-low // s)
        self.pieces = ((n + low - span) // s + 1 - first) // self.piece
        end = first + self.pieces * self.piece
        self.parts: list[tuple[int, int, int, int, Plan]] = []
        for begin, stop in ((0, first), (first, first + self.piece), (end, outputs)):
            start, until = begin * s - low, (stop - 1) * s - low + span
            if begin == stop:
                continue
            pads = (max(0, -start), max(0, until - n))
            size = min(n, until) - max(0, start)
            part = Window((size,), (k,), (s,), (d,), (pads,))
            images = self.pieces if begin == first else 1
            channels = geometry.channels if self.last else 1
            asked = replace(geometry, batch=images, channels=channels, window=part)
            plan = Plan(asked, dtype, kind, include_pad, divisor)
            self.parts.append((begin, images, max(0, start), size, plan))

    def run(self, x: Array, out: Array, indices: Array | None, parallel: bool) -> None:
        """Reduce a batched array, whose last axis is contiguous, to contiguous ones."""
        if recording.active and indices is not None:
            recording.refuse()
        far = self.piece * self.step
        for place in np.ndindex(x.shape[: 1 if self.last else 2]):
            row = x[place]
            for begin, images, start, size, plan in self.parts:
                cut = slice(begin, begin + images * plan.geometry.window.output[0])
                shape = (images, -1, *row.shape[1:]) if self.last else (images, 1, -1)
                pieces = np.lib.stride_tricks.as_strided(
                    row[start:], (images, size, *row.shape[1:]),
                    (far * row.strides[0], *row.strides),
                )  # fmt: skip
                source = pieces if self.last else pieces[:, None]
                places = None if indices is None else indices[place][cut].reshape(shape)
                plan.run(source, out[place][cut].reshape(shape), places, parallel)
                if places is not None:
                    places += (np.arange(images) * far + start)[:, None, None]


def _picked(across: int, step: int, dtype: np.dtype[Any]) -> Array:
    """Return what a copier needs: where its one row begins, and each element of that."""
    places = np.full(1 + across + 2 * isa.host().lanes(dtype), NOTHING, np.int64)
    places[0] = 0
    places[1 : 1 + across] = np.arange(across) * step * dtype.itemsize
    return places


def nanoseconds(geometry: PoolGeometry, dtype: np.dtype[Any], kind: int) -> tuple[float, float]:
    """Return about how long a row of results takes: of whole rows, and each window by itself.

    Rows that cannot be taken take for ever.
    """
    window = geometry.window
    if geometry.batch == 0 or geometry.channels == 0 or dtype.kind == "c":
        return math.inf, 0.0
    if not all_reach(geometry):
        return math.inf, 0.0
    if window.positions == 1 and not geometry.channels_last:
        return math.inf, 0.0  # vectors of planes take that
    depth, tall, wide = three_axes(window.kernel, 1)
    _, down, step = three_axes(window.stride, 1)
    across, width = three_axes(window.output, 1)[2], three_axes(window.size, 1)[2]
    last = geometry.channels_last
    cell = geometry.channels if last else 1
    vectors = -(-width * cell * (8 if kind == MEAN else dtype.itemsize) // isa.host().nbytes)
    blocked = is_blocked(window)
    along = math.log2(wide) * (2 if kind == MEAN else 1) + 2
    operations = depth * (2 * down + 2 if blocked else 2 * tall) + along
    rows = operations * (_CALL[kind] + _VECTOR[kind] * vectors)
    apart = (
        _BY_CELL if last else _EVERY_SECOND if step == 2 else _GATHERED[kind] if step > 2 else 1.0
    )
    taps = window.taps * _TAP[kind] * apart
    each = taps * -(-across * cell * dtype.itemsize // isa.host().nbytes)
    memory = (2 * tall if blocked else 0) + row_loops.ROWS
    fits = memory * width * cell * 8 < _MOST_MEMORY
    return rows if fits else math.inf, each


def all_reach(geometry: PoolGeometry) -> bool:
    """Return whether every window has a tap in the input, whatever its position.

    Windows begin in the input, or before it by less than their span: then one of their taps is
    among its first `dilation` elements.
    """
    window = geometry.window
    return all(d <= n for d, n in zip(window.dilation, window.size, strict=True))
