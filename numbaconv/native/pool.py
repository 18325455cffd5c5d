"""Pooling's inner loops: the maximum or the mean of taps, a vector of outputs at a time."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir

from numbaconv.native import isa, link
from numbaconv.native.emit import I64, Emitter, dtype_code
from numbaconv.native.row_ops import divided, lowest, wins
from numbaconv.native.rows import NOTHING, every_second, gather

#: What `reducer` computes; a `LONG_MEAN` is one of more than `SHORT_SUM` taps.
MAXIMUM, MAXIMUM_AND_INDEX, MEAN, LONG_MEAN = 0, 1, 2, 3
#: Taps of a mean that are summed in a row: the mean of uniform numbers stays exact to 1e-6.
SHORT_SUM = 64
# Taps of a row, and of a window, that have code of their own.
_MOST_UNROLLED = 16
_SMALL_WINDOW = 25


def reducer(
    kind: int, step: int, dtype: np.dtype[Any], *, unsigned: bool, length: int, columns: bool,
    deep: bool, tall: int, wide: int,
) -> int:  # fmt: skip
    """Return the address of the function that reduces the taps of a line of `length` outputs.

    It is called with (out, indices, length, source, deep, tall, wide, deep_step, tall_step,
    wide_step, index, deep_index, tall_index, wide_index, column, column_step, column_dilation,
    in_width, step_bytes, index_step, counts, factor, planes, plane, out_plane). The taps are
    ``deep * tall * wide``, the steps between them in bytes; output 0 reads its first tap at
    `source`, of index `index`, and output j reads `j * step_bytes` further, of index
    ``j * index_step`` further; `step` is 1 or 2 where neighbours are that far apart, else 0. With
    `columns` output j has the e-th tap of a row only where ``column + j * column_step + e *
    column_dilation`` is at least 0 and below `in_width`; `column_step` counts if `step` is 0.
    Then there are `tall` rows at most, of at most `wide` taps, and without `deep` one along the
    first axis.

    A mean is divided by ``counts[j] * factor`` (counts have a vector of slack); integers are
    truncated. The first maximum counts, and a NaN, the first one, wins. The same is done in
    `planes` planes, `plane` bytes apart, with results `out_plane` elements apart.
    """
    lanes = isa.host().lanes(dtype)
    while lanes > 4 and length <= lanes // 2:  # short lines need no long vectors
        lanes //= 2
    if not columns or wide > _MOST_UNROLLED:
        tall = wide = 0
    elif tall * wide > _SMALL_WINDOW or kind == LONG_MEAN:
        tall = 0
    return link.address(
        _emit, kind, step, lanes, dtype_code(dtype), int(unsigned), int(columns), int(deep), tall,
        wide,
    )  # fmt: skip


class _Line(NamedTuple):
    """The arguments of a reducer, as values."""

    out: Any
    indices: Any
    length: Any
    source: Any
    deep: Any
    tall: Any
    wide: Any
    deep_step: Any
    tall_step: Any
    wide_step: Any
    index: Any
    deep_index: Any
    tall_index: Any
    wide_index: Any
    column: Any
    column_step: Any
    column_dilation: Any
    in_width: Any
    step_bytes: Any
    index_step: Any
    counts: Any
    factor: Any
    planes: Any
    plane: Any
    out_plane: Any


@link.native(25)
def _emit(
    b: Any, values: list[Any], kind: int, step: int, lanes: int, code: int, unsigned: int,
    columns: int, is_deep: int, rows: int, unrolled: int,
) -> None:  # fmt: skip
    e, line = Emitter(b, code, lanes), _Line(*values)
    wide = Emitter(b, dtype_code(np.dtype(np.int64)), lanes)
    numbers = ir.Constant(ir.VectorType(I64, lanes), list(range(lanes)))
    reduction = _Reduction(e, kind, unsigned)
    vectors = b.sdiv(b.add(line.length, e.i64(lanes - 1)), e.i64(lanes))
    with e.loop(vectors, [], "vectors") as outer:
        # What is the same for all planes is found once.
        j = b.mul(outer.index, e.i64(lanes))
        inside = e.mask(0, b.sub(line.length, j))
        taps = _Taps(e, line, step, j, inside, masked=columns == 1, unrolled=unrolled)
        counts = e.at(line.counts, b.mul(j, e.i64(e.size)))
        place = b.mul(b.add(wide.broadcast(j), numbers), wide.broadcast(line.index_step))
        to = e.at(line.out, b.mul(j, e.i64(e.size)))
        places = e.at(line.indices, b.mul(j, e.i64(8)))
        with e.loop(line.planes, [line.source, to, places], "planes") as each:
            source, to, places = each.values
            carried = _over_taps(taps, reduction, source, is_deep == 1, rows)
            best = reduction.result(carried, counts, line.factor)
            e.store_masked(best, to, inside)
            if kind == MAXIMUM_AND_INDEX:
                none = b.icmp_signed("==", carried[1], wide.broadcast(e.i64(NOTHING)))
                found = b.select(none, wide.broadcast(e.i64(-1)), b.add(carried[1], place))
                wide.store_masked(found, places, inside)
            each.next(
                [
                    b.add(source, line.plane),
                    e.at(to, b.mul(line.out_plane, e.i64(e.size))),
                    e.at(places, b.mul(line.out_plane, e.i64(8))),
                ]
            )
        outer.next([])


class _Taps:
    """Reads a vector of outputs' taps, zero (and not in the mask) where there is none."""

    def __init__(
        self, e: Emitter, line: _Line, step: int, j: Any, inside: Any, *, masked: bool,
        unrolled: int,
    ) -> None:  # fmt: skip
        self.e, self.line, self.step, self.j = e, line, step, j
        self.inside, self.masked = inside, masked
        b = e.b
        self.lanes = ir.Constant(ir.VectorType(I64, e.lanes), list(range(e.lanes)))
        self.steps = None if step else b.mul(self.lanes, e.broadcast(line.step_bytes))
        if masked:
            self.column_step = line.column_step if step == 0 else e.i64(step)
            self.first = b.add(line.column, b.mul(j, self.column_step))
        # The masks of a short row are the same for all rows.
        self.masks = []
        for n in range(unrolled):
            at = b.add(self.first, b.mul(line.column_dilation, e.i64(n)))
            exists = b.icmp_signed("<", e.i64(n), line.wide)
            self.masks.append(self.mask(b.select(exists, at, e.i64(-(1 << 19)))))

    def read(self, address: Any, mask: Any) -> Any:
        """Return the values of the tap that output 0 reads at an address."""
        e, b, j = self.e, self.e.b, self.j
        if self.step == 1:
            return e.load_masked(e.at(address, b.mul(j, e.i64(e.size))), mask)
        if self.step == 2:
            return every_second(e, mask, b.mul(j, e.i64(2 * e.size)))(address)
        first = e.broadcast(e.at(address, b.mul(j, self.line.step_bytes)))
        return gather(e, b.add(first, self.steps), mask)

    def mask(self, column: Any) -> Any:
        """Return which outputs have a tap, of which the first is at a column of the row."""
        e, b, width = self.e, self.e.b, self.line.in_width
        if not self.masked:
            return self.inside
        if self.step:
            return e.mask(b.sub(e.i64(0), column), b.sub(width, column), step=self.step)
        columns = b.mul(self.lanes, e.broadcast(self.column_step))
        columns = b.add(columns, e.broadcast(column))
        return b.and_(
            b.and_(
                b.icmp_signed(">=", columns, e.broadcast(e.i64(0))),
                b.icmp_signed("<", columns, e.broadcast(width)),
            ),
            self.inside,
        )


def _over_taps(
    taps: _Taps, reduction: "_Reduction", source: Any, is_deep: bool, few: int
) -> list[Any]:
    """Emit the loops over the taps; return what they carry to their end."""
    e, b, line = taps.e, taps.e.b, taps.line
    column = taps.first if taps.masked else e.i64(0)

    def short(address: Any, index: Any, carried: list[Any]) -> list[Any]:
        for mask in taps.masks:
            carried = reduction.take(carried, taps.read(address, mask), mask, index)
            address, index = b.add(address, line.wide_step), b.add(index, line.wide_index)
        return carried

    def run(first: list[Any], count: Any, carried: list[Any]) -> list[Any]:
        with e.loop(count, [*first, *carried], "wide") as loop:
            at, place, here, *held = loop.values
            mask = taps.mask(here)
            held = reduction.take(held, taps.read(at, mask), mask, place)
            loop.next(
                [b.add(at, line.wide_step), b.add(place, line.wide_index),
                 b.add(here, line.column_dilation), *held]
            )  # fmt: skip
        return list(loop.values)

    def parts(
        count: Any, most: int, carried: list[Any], first: list[Any],
        some: Callable[[Any, list[Any], list[Any]], list[Any]],
    ) -> list[Any]:  # fmt: skip
        """Return (*first, *carried) after `count` taps or rows of a long mean, `most` at a time."""
        rounds = b.sdiv(b.add(count, e.i64(most - 1)), e.i64(most))
        with e.loop(rounds, [*first, *carried], "parts") as loop:
            at, held = list(loop.values[: len(first)]), list(loop.values[len(first) :])
            left = b.sub(count, b.mul(loop.index, e.i64(most)))
            left = b.select(b.icmp_signed("<", left, e.i64(most)), left, e.i64(most))
            *at, total = some(left, at, [e.zero])
            loop.next([*at, *reduction.fold(held, total)])
        return list(loop.values)

    def few_rows(row: Any, first: Any, carried: list[Any]) -> list[Any]:
        """Rows one by one, each of which may not exist."""
        done = b.append_basic_block("done")
        ends = []
        for n in range(few):
            ends.append((b.block, carried))
            more = b.append_basic_block("row")
            b.cbranch(b.icmp_signed("<", e.i64(n), line.tall), more, done)
            b.position_at_end(more)
            carried = short(row, first, carried)
            row, first = b.add(row, line.tall_step), b.add(first, line.tall_index)
        ends.append((b.block, carried))
        b.branch(done)
        b.position_at_end(done)
        found = []
        for number, value in enumerate(carried):
            phi = b.phi(value.type)
            for block, values in ends:
                phi.add_incoming(values[number], block)
            found.append(phi)
        return found

    def short_rows(count: Any, first: list[Any], carried: list[Any]) -> list[Any]:
        with e.loop(count, [*first, *carried], "tall") as loop:
            row, index, *held = loop.values
            held = short(row, index, held)
            loop.next([b.add(row, line.tall_step), b.add(index, line.tall_index), *held])
        return list(loop.values)

    def long_rows(address: Any, index: Any, carried: list[Any]) -> list[Any]:
        with e.loop(line.tall, [address, index, *carried], "tall") as loop:
            row, first, *held = loop.values
            begin = [row, first, column]
            if reduction.kind == LONG_MEAN:
                held = parts(
                    line.wide, SHORT_SUM, held, begin,
                    lambda count, at, sums: run(at, count, sums),
                )[3:]  # fmt: skip
            else:
                held = run(begin, line.wide, held)[3:]
            loop.next([b.add(row, line.tall_step), b.add(first, line.tall_index), *held])
        return list(loop.values[2:])

    def rows(address: Any, index: Any, carried: list[Any]) -> list[Any]:
        if few:
            return few_rows(address, index, carried)
        if not taps.masks:
            return long_rows(address, index, carried)
        begin = [address, index]
        if reduction.kind == LONG_MEAN:
            most = SHORT_SUM // len(taps.masks)
            return parts(line.tall, most, carried, begin, short_rows)[2:]
        return short_rows(line.tall, begin, carried)[2:]

    start = reduction.start()
    if not is_deep:
        return rows(source, line.index, start)
    with e.loop(line.deep, [source, line.index, *start], "deep") as deep:
        at, place, *held = deep.values
        held = rows(at, place, held)
        deep.next([b.add(at, line.deep_step), b.add(place, line.deep_index), *held])
    return list(deep.values[2:])


class _Reduction:
    """What is carried from tap to tap, and what becomes of it."""

    def __init__(self, e: Emitter, kind: int, unsigned: int) -> None:
        self.e, self.kind, self.unsigned = e, kind, unsigned
        self.double = ir.VectorType(ir.DoubleType(), e.lanes)
        self.compensated = e.is_float and e.size == 8

    def start(self) -> list[Any]:
        """Return what is carried before the first tap."""
        e = self.e
        if self.kind == MEAN:
            return [e.zero]
        if self.kind == LONG_MEAN:
            if self.compensated:
                return [e.zero, e.zero]
            return [ir.Constant(self.double, None) if e.is_float else e.zero]
        found = [lowest(e, self.unsigned)]
        if self.kind == MAXIMUM_AND_INDEX:
            found.append(Emitter(e.b, dtype_code(np.dtype(np.int64)), e.lanes).broadcast(
                e.i64(NOTHING)))  # fmt: skip
        return found

    def take(self, carried: list[Any], value: Any, mask: Any, index: Any) -> list[Any]:
        """Return what is carried after one more tap."""
        e, b = self.e, self.e.b
        if self.kind in (MEAN, LONG_MEAN):
            return [e.add(carried[0], value)]
        best = carried[0]
        better = wins(e, best, value, self.unsigned)
        if self.kind == MAXIMUM_AND_INDEX:
            better = b.or_(
                better, b.icmp_signed("==", carried[1], e.broadcast(e.i64(NOTHING)))
            )  # fmt: skip
        better = b.and_(better, mask)
        found = [b.select(better, value, best)]
        if self.kind == MAXIMUM_AND_INDEX:
            found.append(b.select(better, e.broadcast(index), carried[1]))
        return found

    def fold(self, carried: list[Any], part: Any) -> list[Any]:
        """Return the sum of a long mean with one more part, added in float64 or better."""
        e, b = self.e, self.e.b
        if self.compensated:
            return list(e.two_sum(carried[0], carried[1], part))
        if e.is_float:
            return [b.fadd(carried[0], b.fpext(part, self.double))]
        return [e.add(carried[0], part)]

    def result(self, carried: list[Any], counts: Any, factor: Any) -> Any:
        """Return the results, of means divided by the counts at an address."""
        e, b = self.e, self.e.b
        if self.kind not in (MEAN, LONG_MEAN):
            return carried[0]
        divisors = e.load(counts)
        if self.kind == LONG_MEAN and e.is_float and not self.compensated:
            scale = b.sitofp(factor, ir.DoubleType())
            divisor = b.fmul(b.fpext(divisors, self.double), e.broadcast(scale))
            return b.fptrunc(b.fdiv(carried[0], divisor), e.vector)
        total = carried[0]
        if self.kind == LONG_MEAN and self.compensated:
            total = e.whole_sum(*carried)
        return divided(e, total, divisors, factor, self.unsigned)
