"""Filters: sums and extremes over one axis, over two in turn, sums over windows of up to three."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from numbaconv.filtering import borders, sum_loops
from numbaconv.kernels import held, threads, workspace
from numbaconv.kernels.jit import native_available
from numbaconv.native import row_blocks, weighted
from numbaconv.problem.arrays import Array, address
from numbaconv.teams import jobs

# Elements of a piece of a row where rows need no others.
_PIECE = 1 << 12
# Bytes of a worker's memory that two sums in turn, and windows, may take.
_MOST_MEMORY = 1 << 23
# Taps of a launch, which take some tenths of a second: of several a vector holds.
_MOST_WORK = 4 * threads.MOST_TAPS
# Numbers of workers, and strides, for which a plan keeps its tables.
_MOST_SCHEDULES = 4
# Rows of a strip, for each that it computes beside its own.
_LEAST_ROWS = 4
# Elements of rows that are worth a call.
_LEAST_ROW = 64
# Rows of a symmetric sum whose sharing is worth a block.
_LEAST_PAIRED = 5
# Weights that make no difference.
_NOTHING = np.finfo(np.float64).eps


@dataclass(frozen=True)
class Sum:
    """A weighted sum over neighbours along one axis, or the largest or smallest of them.

    Parameters
    ----------
    axis : int
        Which.
    weights : ndarray of float64
        By position, from the first neighbour on.
    origin : int
        How far the middle is behind that of the weights.
    mode : str
        What lies beyond the ends, of `numbaconv.filtering.borders`.
    divisor : int
        Of the sum, or 0.
    extreme : int or None
        What wins instead, of `numbaconv.native.weighted`.
    in_order : bool
        Whether products are added from the first on, without those of no weight, as over windows.
    """

    axis: int
    weights: Array
    origin: int
    mode: str
    divisor: int = 0
    extreme: int | None = None
    in_order: bool = False

    @property
    def key(self) -> tuple[Hashable, ...]:
        """What tells it from others."""
        return (
            self.axis, self.weights.tobytes(), self.origin, self.mode, self.divisor, self.extreme,
            self.in_order,
        )  # fmt: skip

    @property
    def before(self) -> int:
        """The neighbours before an element that are summed (fewer than none: behind it)."""
        return len(self.weights) // 2 + self.origin

    @property
    def reach(self) -> tuple[int, int]:
        """The neighbours before and behind that must be there."""
        return max(self.before, 0), max(len(self.weights) - 1 - self.before, 0)


def takes(dtype: np.dtype[Any]) -> bool:
    """Return whether arrays may be of this dtype."""
    return native_available() is None and weighted.supports(dtype)


class _Taps:
    """The taps of a sum in SciPy's order, and the function that adds them up."""

    def __init__(self, asked: Sum | None, dtype: np.dtype[Any], *, blocks: bool = False) -> None:
        self.count, self.native, self.kind = 0, 0, weighted.PLAIN
        self.several, self.block, self.first, self.size = 0, 1, 0, 0
        self.places = np.zeros(0, np.int64)
        self.weights = np.zeros(0)
        if asked is None:
            return
        w, size = asked.weights, len(asked.weights)
        low, _ = asked.reach
        shift = low - asked.before  # of position 0 of the weights, from the first that is there
        half = size // 2
        plain = asked.divisor or asked.in_order or asked.extreme is not None
        if size % 2 and not plain:
            mirrored = w[::-1]
            if np.all(np.abs(w - mirrored) <= _NOTHING):
                self.kind = weighted.SYMMETRIC
            elif np.all(np.abs(w + mirrored)[:half] <= _NOTHING):
                self.kind = weighted.ANTISYMMETRIC
        if self.kind == weighted.PLAIN:
            # The last first, but over windows.
            order = np.roll(np.arange(size), 1)
            if asked.in_order or asked.divisor:
                self.kind = weighted.IN_ORDER
                order = np.flatnonzero(np.abs(w) > _NOTHING)
        else:
            pairs = np.stack([np.arange(half), size - 1 - np.arange(half)], axis=1)
            order = np.concatenate([[half], pairs.ravel()])
        self.places = (order + shift).astype(np.int64)
        plain = self.kind in (weighted.PLAIN, weighted.IN_ORDER)
        used = order if plain else order[[0, *range(1, len(order), 2)]]
        self.weights = np.ascontiguousarray(w[used])
        self.count = len(self.weights)
        if asked.extreme is not None:
            self.native = weighted.chooser(asked.extreme, dtype)
            return
        self.native = weighted.adder(self.kind, dtype)
        self.first, self.size = shift, size
        # In order, those without a weight are left out: blocks take whole windows.
        if blocks and (self.kind != weighted.IN_ORDER or self.count == size):
            self.take_blocks(size - (self.kind == weighted.PLAIN), dtype)

    def take_blocks(self, rows: int, dtype: np.dtype[Any]) -> None:
        """Sum several rows of the result at once, whose windows are so many rows."""
        pairs = self.kind in (weighted.SYMMETRIC, weighted.ANTISYMMETRIC)
        if pairs and rows < _LEAST_PAIRED:
            return
        self.block = row_blocks.most_rows(rows)
        if self.block > 1:
            self.several = row_blocks.block_adder(self.kind, dtype, self.block)


def _cells(size: int, asked: Sum, cell: int) -> Array:
    """Return which elements of a row stand beyond its ends, its neighbours in cells."""
    found = borders.beyond(size, *asked.reach, asked.mode)[:, None] * cell
    found = np.where(found < 0, borders.CONSTANT, found + np.arange(cell))
    return found.reshape(-1)


def _doublings(along: Sum | None) -> int:
    """Return how often sums of equal weights are doubled, or 0 where that is not worth it."""
    size = 0 if along is None or not along.divisor else len(along.weights)
    doublings = max(size.bit_length() - 1, 0)
    return doublings if 2 * (2 * doublings + size.bit_count()) < size else 0


_DOUBLE = np.dtype(np.float64)
# Forms in which rows wait in a ring.
_WAITING = sum_loops.ALONG_DOWN, sum_loops.WINDOW
_NO_SUM = Sum(0, np.ones(1), 0, "reflect")


class Filter:
    """One pass over an array: a sum, two in turn, or a sum over windows.

    Parameters
    ----------
    shape : tuple of int
        ``(planes, rows, width)``.
    source, result : dtype
        Of the arrays.
    down, along : Sum or None
        Over rows, and over the elements of a row.
    form : int
        Of `sum_loops`: which comes first.
    cval : float
        What lies beyond the ends where that is a constant.
    cell : int, optional
        Elements of a row between neighbours: those of trailing axes, which nothing is summed over.
    """

    def __init__(
        self, shape: tuple[int, int, int], source: np.dtype[Any], result: np.dtype[Any],
        down: Sum | None, along: Sum | None, form: int, cval: float, cell: int = 1,
    ) -> None:  # fmt: skip
        self.planes, self.rows, self.width = shape
        self.cell = cell
        self.source, self.result, self.form = source, result, form
        found = down or along
        #: Of rows in memory: extremes are found in the input's own type.
        self.work = source if found is not None and found.extreme is not None else _DOUBLE
        first = source if form in (sum_loops.DOWN, sum_loops.DOWN_ALONG) else self.work
        self.down, self.along = _Taps(down, first, blocks=True), _Taps(along, self.work)
        self.above, below = (0, 0) if down is None else down.reach
        self.low, self.high = (0, 0) if along is None else along.reach
        self.low, self.high = self.low * cell, self.high * cell
        self.ring = self.above + below + 1
        self.depth = self.ring_planes = 1
        self.before = 0
        last, first_sum = (down, along) if form == sum_loops.ALONG_DOWN else (along, down)
        self.divisor = (last or first_sum or _NO_SUM).divisor
        self.first_divisor = 0 if last is None or first_sum is None else first_sum.divisor
        nothing = np.zeros(1, np.int64)
        self.row_places = self.places = self.plane_places = nothing
        if down is not None:
            self.row_places = borders.beyond(self.rows, self.above, below, down.mode)
        if along is not None:
            self.places = _cells(self.width // cell, along, cell)
            self.along.places *= cell
        #: Planes, rows and columns of what blocks sum, and their first positions.
        self.box, self.first = (1, self.down.size, 1), (0, self.down.first, 0)
        self.doublings = _doublings(along)
        zeros = np.zeros_like(self.down.places)
        self.window = np.stack([zeros, self.down.places, zeros])
        if form != sum_loops.WINDOW:
            self._lay(cval)

    def _lay(self, cval: float) -> None:
        """Find what a worker's memory holds, and the addresses."""
        cut = self.form in (sum_loops.DOWN, sum_loops.ALONG)
        self.piece = min(self.width, _PIECE) if cut else self.width
        held = self.low + self.piece + self.high
        self.pitch = -(-held * self.work.itemsize // 64) * 64 + 64
        self.block = self.down.block
        self.slots = self.ring + self.block - 1
        waiting = self.slots * self.ring_planes if self.form in _WAITING else 0
        self.doubled = (2 * self.block + waiting) * self.pitch
        self.worker_bytes = self.doubled + self.doublings * self.pitch
        self.constant = np.full(held, np.array(cval).astype(self.work))
        self.constant_input = np.zeros(1, self.source)
        if self.form in (sum_loops.DOWN, sum_loops.DOWN_ALONG):
            self.constant_input = np.full(held, np.array(cval).astype(self.source))
        divides = self.divisor or self.first_divisor
        same = self.result == self.work
        widen = 0
        if self.source != self.work:
            widen = weighted.converter(self.source, back=False)
        self.natives = np.array(
            sum_loops.Natives(
                widen=widen,
                add_down=self.down.native, add_block=self.down.several,
                add_along=self.along.native,
                round=0 if same else weighted.converter(self.result, back=True),
                unround=0 if same else weighted.converter(self.result, back=False),
                divide=weighted.divider() if divides else 0,
                weights_down=address(self.down.weights),
                weights_along=address(self.along.weights), constant=address(self.constant),
                constant_input=address(self.constant_input),
            ), np.int64,
        )  # fmt: skip
        boxes = self.box[0] * (self.box[1] + self.block - 1) * self.box[2]
        listed = max(len(self.down.places), len(self.along.places), boxes) + 1
        self.lists = threads.Scratch(1, (listed,))
        along_taps = 4 * self.doublings if self.doublings else self.along.count
        taps = self.down.count + along_taps + 4
        self.work_of_all = self.planes * self.depth * self.rows * self.width * taps
        self.schedules: dict[tuple[int, ...], tuple[Array, int]] = {}

    def reads(self, x: Array) -> bool:
        """Return whether an array can be read as it lies: rows are contiguous, elements native."""
        return x.dtype == self.source and x.flags.aligned and self.strides_of(x) is not None

    def run(self, x: Array, out: Array, parallel: bool) -> None:
        """Filter an array that can be read as it lies to a contiguous one of the result's type."""
        strides = self.strides_of(x)
        assert strides is not None
        workers = jobs.team_size(1 << 30, work=self.work_of_all, parallel=parallel)
        found = self.schedules.get((workers, *strides))
        if found is None:
            if len(self.schedules) >= _MOST_SCHEDULES:
                self.schedules.clear()
            found = self.schedules[workers, *strides] = self._schedule(workers, *strides)
        packed, tasks = found
        space, scratch = workspace.take(workers * self.worker_bytes), self.lists.take(workers)
        for begin, end in threads.ranges(tasks, self.work_of_all, _MOST_WORK):
            jobs.run(
                sum_loops.filter_rows, workers, begin, end, address(x), address(out),
                space.address, packed, self.natives, self.places, self.row_places,
                self.plane_places, self.window, self.along.places, scratch[1],
            )  # fmt: skip
        workspace.give_back(space)
        self.lists.give_back(scratch)

    def strides_of(self, x: Array) -> tuple[int, int] | None:
        """Return the bytes between planes and between rows of an array, or None if they vary."""
        axes = [(n, step) for n, step in zip(x.shape, x.strides, strict=True) if n > 1]
        found = []
        for size in (self.width, self.rows, self.planes * self.depth):
            count, least = 1, 0
            while count < size:
                n, step = axes.pop()
                if count > 1 and step != least * count:
                    return None
                least = step if count == 1 else least
                count *= n
            found.append(least)
        if self.width > 1 and found[0] != x.itemsize:
            return None
        return found[2], found[1]

    def _schedule(self, workers: int, x_plane: int, x_row: int) -> tuple[Array, int]:
        """Return the packed `sum_loops.Shape`, and its tasks."""
        planes = self.planes * self.depth
        pieces = -(-self.width // self.piece)
        # A launch has work for all, and none of its tasks takes long.
        tasks = 4 * workers * -(-self.work_of_all // _MOST_WORK)
        again = self.ring if self.form in _WAITING else 0
        most = max(1, self.rows // max(1, _LEAST_ROWS * again))
        strips = max(1, min(self.rows, -(-tasks // (planes * pieces)), most))
        shape = sum_loops.Shape(
            form=self.form, planes=planes, depth=self.depth, rows=self.rows, width=self.width,
            x_plane=x_plane, x_row=x_row, size=self.source.itemsize, work=self.work.itemsize,
            out_size=self.result.itemsize, strips=strips, pieces=pieces, piece=self.piece,
            low=self.low, high=self.high,
            above=self.above, ring=self.ring, slots=self.slots,
            before=self.before, ring_planes=self.ring_planes,
            taps_down=self.down.count, taps_along=self.along.count,
            sums_down=len(self.down.places), sums_along=len(self.along.places), pitch=self.pitch,
            worker_bytes=self.worker_bytes, divisor=self.divisor,
            first_divisor=self.first_divisor, block=self.block, box_planes=self.box[0],
            box_rows=self.box[1], box_columns=self.box[2], first_plane=self.first[0],
            first_row=self.first[1], first_column=self.first[2], column=self.cell,
            doublings=self.doublings, doubled=self.doubled, length_along=self.along.size,
        )  # fmt: skip
        return np.array(shape, np.int64), planes * strips * pieces


class Window(Filter):
    """A sum over windows of up to three axes.

    Parameters
    ----------
    shape : tuple of int
        ``(planes, depth, rows, width)``.
    source, result : dtype
        Of the arrays.
    weights : ndarray of float64
        Along depth, rows and width.
    origins, modes : tuple
        Along those, as of `Sum`.
    cval : float
        What lies beyond the ends where that is a constant.
    cell : int, optional
        As of `Filter`.
    """

    def __init__(
        self, shape: tuple[int, int, int, int], source: np.dtype[Any], result: np.dtype[Any],
        weights: Array, origins: tuple[int, ...], modes: tuple[str, ...], cval: float,
        cell: int = 1,
    ) -> None:  # fmt: skip
        planes, depth, rows, width = shape
        super().__init__(
            (planes, rows, width), source, result, None, None, sum_loops.WINDOW, cval, cell
        )
        self.depth = depth
        sums = [Sum(a, np.ones(n), o, m) for a, (n, o, m) in enumerate(
            zip(weights.shape, origins, modes, strict=True)
        )]  # fmt: skip
        (self.before, behind), (self.above, below), (low, high) = (s.reach for s in sums)
        self.low, self.high = low * cell, high * cell
        self.ring_planes, self.ring = self.before + behind + 1, self.above + below + 1
        self.plane_places, self.row_places = (
            borders.beyond(n, *s.reach, s.mode)
            for n, s in zip((depth, rows), sums[:2], strict=True)
        )
        self.places = _cells(width // cell, sums[2], cell)
        kept = np.abs(weights) > _NOTHING
        self.down.kind, self.down.count = weighted.IN_ORDER, int(kept.sum())
        self.down.weights = np.ascontiguousarray(weights[kept])
        self.down.native = weighted.adder(weighted.IN_ORDER, _DOUBLE)
        shifts = [s.reach[0] - s.before for s in sums]
        self.window = np.stack(
            [at + shift for at, shift in zip(np.nonzero(kept), shifts, strict=True)]
        ).astype(np.int64)  # fmt: skip
        self.window[2] *= cell
        self.down.places = self.window[1]
        if kept.all():
            self.box = weights.shape
            self.first = shifts[0], shifts[1], shifts[2] * cell
            self.down.take_blocks(weights.shape[1], _DOUBLE)
        self._lay(cval)


def window(
    shape: tuple[int, int, int, int], source: np.dtype[Any], result: np.dtype[Any],
    weights: Array, origins: tuple[int, ...], modes: tuple[str, ...], cval: float, cell: int,
) -> Window:  # fmt: skip
    """Return the remembered plan of a sum over windows."""
    of_weights = weights.shape, weights.tobytes()
    constant = np.float64(cval).tobytes()
    key = ("window", shape, source, result, *of_weights, origins, modes, constant, cell)
    found: Window | None = held.find(key)
    if found is None:
        found = Window(shape, source, result, weights, origins, modes, cval, cell)
        held.keep(key, found)
    return found


def fits(planned: Filter) -> bool:
    """Return whether a worker's memory for a filter is not too large."""
    return planned.worker_bytes <= _MOST_MEMORY


def separable(
    shape: tuple[int, ...], sums: Sequence[Sum], source: np.dtype[Any], result: np.dtype[Any],
    cval: float,
) -> list[Filter]:  # fmt: skip
    """Return the passes over a contiguous array, two sums in one where that can be.

    They are remembered, as all plans are.
    """
    key = ("filter", shape, *(one.key for one in sums), source, result, np.float64(cval).tobytes())
    found: list[Filter] | None = held.find(key)
    if found is None:
        found = _separable(shape, sums, source, result, cval)
        held.keep(key, found)
    return found


def _separable(
    shape: tuple[int, ...], sums: Sequence[Sum], source: np.dtype[Any], result: np.dtype[Any],
    cval: float,
) -> list[Filter]:  # fmt: skip
    passes, rest = [], list(sums)
    while rest:
        fused = None
        if len(rest) > 1:
            fused = _fused(shape, source, result, rest[0], rest[1], cval)
        passes.append(fused or _single(shape, source, result, rest[0], cval))
        source = result
        del rest[: 2 if fused else 1]
    return passes


def _single(
    shape: tuple[int, ...], source: np.dtype[Any], result: np.dtype[Any], asked: Sum, cval: float
) -> Filter:
    outer, n = math.prod(shape[: asked.axis]), shape[asked.axis]
    inner = math.prod(shape[asked.axis + 1 :])
    if inner == 1:
        return Filter((1, outer, n), source, result, None, asked, sum_loops.ALONG, cval)
    if inner < _LEAST_ROW and n * inner <= _PIECE:
        whole = (1, outer, n * inner)
        return Filter(whole, source, result, None, asked, sum_loops.ALONG, cval, inner)
    return Filter((outer, n, inner), source, result, asked, None, sum_loops.DOWN, cval)


def _fused(
    shape: tuple[int, ...], source: np.dtype[Any], result: np.dtype[Any], first: Sum,
    second: Sum, cval: float,
) -> Filter | None:  # fmt: skip
    """Return both sums as one pass, if they are over neighbouring axes, few elements apart."""
    upper = min(first.axis, second.axis)
    cell = math.prod(shape[upper + 2 :])
    if abs(first.axis - second.axis) != 1 or cell >= _LEAST_ROW:
        return None
    form = sum_loops.DOWN_ALONG if first.axis == upper else sum_loops.ALONG_DOWN
    down, along = (first, second) if form == sum_loops.DOWN_ALONG else (second, first)
    size = math.prod(shape[:upper]), shape[upper], shape[upper + 1] * cell
    planned = Filter(size, source, result, down, along, form, cval, cell)
    return planned if fits(planned) else None
