"""Products of each of some runs of elements with several others, summed in the lanes of vectors.

And what becomes of such sums: parts of long ones are added with compensation, lanes to one element.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from numbaconv.native import isa, link
from numbaconv.native.emit import Emitter, dtype_code

#: Other runs of one call at most: so many addresses find a register each, beside three more.
MOST = 9


def most_ones(others: int) -> int:
    """Return how many runs of the first kind go with so many others: all sums are in registers."""
    return max(1, min(4, (isa.host().registers - 2) // (others + 1)))


def dots(ones: int, others: int, dtype: np.dtype[Any]) -> int:
    """Return the address of the function that multiplies each of some runs by so many others.

    It is called with (rows, length, one, one_row, one_step, base, other_row, places, sums,
    sums_step). Runs have rows of so many elements, `one_row` or `other_row` apart. Those of the
    first kind are `one_step` apart, run i of the others begins at ``base + places[i]``. The
    products of elements j of a row are added to lane ``j % lanes`` of vector i of the sums of each
    one, which are `sums_step` apart, row by row, in the order of j. Nothing else is read or
    written; distances are in bytes.
    """
    return link.address(_emit, ones, others, isa.host().lanes(dtype), dtype_code(dtype))


@link.native(10)
def _emit(b: Any, values: list[Any], ones: int, others: int, lanes: int, code: int) -> None:
    rows, length, one, one_row, one_step, base, other_row, places, sums, sums_step = values
    e = Emitter(b, code, lanes)
    step = lanes * e.size
    runs = [e.at(base, e.load_int(e.at(places, 8 * i))) for i in range(others)]
    firsts, lines = [one], [sums]
    for _ in range(1, ones):
        firsts.append(b.add(firsts[-1], one_step))
        lines.append(b.add(lines[-1], sums_step))
    at_sums = [e.at(line, i * step) for line in lines for i in range(others)]

    def advance(read: Callable[[Any], Any], at: Any, other: Any, totals: list[Any]) -> list[Any]:
        """Return the sums after the vectors at some places of all runs."""
        factors = [read(b.add(first, at)) for first in firsts]
        new = list(totals)
        for i, run in enumerate(runs):
            value = read(b.add(run, other))
            for m, factor in enumerate(factors):
                new[m * others + i] = e.multiply_add(factor, value, totals[m * others + i])
        return new

    def masked(left: Any) -> Callable[[Any], Any]:
        mask = e.mask(0, left)
        return lambda address: e.load_masked(address, mask)

    def store(totals: list[Any]) -> None:
        for to, total in zip(at_sums, totals, strict=True):
            e.store(total, to)

    def row_by_row(count: Any, reader: Callable[[Any], Callable[[Any], Any]]) -> list[Any]:
        """Return the sums over so many vectors of all rows; how to load depends on what is left."""
        before = [e.load(at) for at in at_sums]
        with e.loop(rows, [e.i64(0), e.i64(0), *before], "rows") as row:
            at, other, *totals = row.values
            with e.loop(count, [at, other, length, *totals], "vectors") as loop:
                here, there, rest, *now = loop.values
                now = advance(reader(rest), here, there, now)
                further = [b.add(place, e.i64(step)) for place in (here, there)]
                loop.next([*further, b.sub(rest, e.i64(lanes)), *now])
            _, _, _, *totals = loop.values
            row.next([b.add(at, one_row), b.add(other, other_row), *totals])
        return row.values[2:]

    whole, left = b.sdiv(length, e.i64(lanes)), b.srem(length, e.i64(lanes))
    rest = b.icmp_signed(">", left, e.i64(0))
    ragged, plain, tail, done = (b.append_basic_block(n) for n in ("rag", "plain", "tail", "done"))
    # Sums that two ways lead to would be moved about at the end of each row: rows are whole, or all
    # of their vectors are masked; what is left of a single row comes after it.
    b.cbranch(b.and_(rest, b.icmp_signed(">", rows, e.i64(1))), ragged, plain)
    b.position_at_end(ragged)
    store(row_by_row(b.add(whole, e.i64(1)), masked))
    b.branch(done)
    b.position_at_end(plain)
    store(row_by_row(whole, lambda _: e.load))
    b.cbranch(rest, tail, done)
    b.position_at_end(tail)
    behind = b.mul(whole, e.i64(step))
    store(advance(masked(left), behind, behind, [e.load(to) for to in at_sums]))
    b.branch(done)
    b.position_at_end(done)


def spiller(dtype: np.dtype[Any]) -> int:
    """Return the address of the function that adds vectors to compensated sums, and clears them.

    It is called with (count, sums, high, low): see `numbaconv.kernels.long_sums`.
    """
    return link.address(_emit_spill, isa.host().lanes(dtype), dtype_code(dtype))


@link.native(4)
def _emit_spill(b: Any, values: list[Any], lanes: int, code: int) -> None:
    count, sums, high, low = values
    e = Emitter(b, code, lanes)
    with e.loop(count, [e.i64(0)], "vectors") as loop:
        (at,) = loop.values
        part, before = e.load(b.add(sums, at)), e.load(b.add(high, at))
        total = e.add(before, part)
        taken = e.sub(total, before)
        lost = e.add(e.sub(before, e.sub(total, taken)), e.sub(part, taken))
        e.store(e.add(e.load(b.add(low, at)), lost), b.add(low, at))
        e.store(total, b.add(high, at))
        e.store(e.zero, b.add(sums, at))
        loop.next([b.add(at, e.i64(lanes * e.size))])


def lane_adder(dtype: np.dtype[Any]) -> int:
    """Return the address of the function that adds the lanes of each of some vectors, in order.

    It is called with (count, source, to): one element is written for each vector, of which up to
    15 more are read.
    """
    return link.address(_emit_lanes, isa.host().lanes(dtype), dtype_code(dtype))


@link.native(3)
def _emit_lanes(b: Any, values: list[Any], lanes: int, code: int) -> None:
    count, source, to = values
    e = Emitter(b, code, lanes)
    side = min(lanes, 16)
    squares = b.sdiv(b.add(count, e.i64(side - 1)), e.i64(side))
    with e.loop(squares, [source, to, count], "squares") as loop:
        at, target, left = loop.values
        vectors = []
        for i in range(side):
            pieces = [
                e.load(e.at(at, (i * lanes + first) * e.size), side)
                for first in range(0, lanes, side)
            ]
            vectors.append(functools.reduce(e.add, pieces))
        total = functools.reduce(e.add, e.transpose(vectors, side))
        e.store_masked(total, target, e.mask(0, left, lanes=side))
        step = side * e.size
        loop.next([e.at(at, step * lanes), e.at(target, step), b.sub(left, e.i64(side))])
