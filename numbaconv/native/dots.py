"""Products of each of some runs of elements with several others, summed in the lanes of vectors."""

from collections.abc import Callable
from typing import Any

import numpy as np

from numbaconv.native import isa, link
from numbaconv.native.emit import Emitter, dtype_code

#: Other runs of one call at most: so many addresses find a register each.
MOST = 10


def most_ones(others: int) -> int:
    """Return how many runs of the first kind go with so many others: all sums are in registers."""
    return max(1, min(4, (isa.host().registers - 1) // (others + 1)))


def dots(ones: int, others: int, dtype: np.dtype[Any]) -> int:
    """Return the address of the function that multiplies each of some runs by so many others.

    It is called with (length, one, one_step, base, places, sums, sums_step). Runs of the first kind
    are `one_step` apart, run i of the others begins at ``base + places[i]``. The products of their
    elements j are added to lane ``j % lanes`` of vector i of the sums of each one, which are
    `sums_step` apart, in the order of j. Nothing else is read or written; distances are in bytes.
    """
    return link.address(_emit, ones, others, isa.host().lanes(dtype), dtype_code(dtype))


@link.native(7)
def _emit(b: Any, values: list[Any], ones: int, others: int, lanes: int, code: int) -> None:
    length, one, one_step, base, places, sums, sums_step = values
    e = Emitter(b, code, lanes)
    step = lanes * e.size
    runs = [e.at(base, e.load_int(e.at(places, 8 * i))) for i in range(others)]
    firsts, rows = [one], [sums]
    for _ in range(1, ones):
        firsts.append(b.add(firsts[-1], one_step))
        rows.append(b.add(rows[-1], sums_step))
    at_sums = [e.at(row, i * step) for row in rows for i in range(others)]

    def advance(read: Callable[[Any], Any], at: Any, totals: list[Any]) -> list[Any]:
        """Return the sums after the vectors at some place of all runs."""
        factors = [read(b.add(first, at)) for first in firsts]
        new = list(totals)
        for i, run in enumerate(runs):
            value = read(b.add(run, at))
            for m, factor in enumerate(factors):
                new[m * others + i] = e.multiply_add(factor, value, totals[m * others + i])
        return new

    whole, left = b.sdiv(length, e.i64(lanes)), b.srem(length, e.i64(lanes))
    with e.loop(whole, [e.load(at) for at in at_sums], "vectors") as loop:
        loop.next(advance(e.load, b.mul(loop.index, e.i64(step)), loop.values))
    totals = list(loop.values)
    more, done = (b.append_basic_block(name) for name in ("more", "done"))
    before = b.block
    b.cbranch(b.icmp_signed(">", left, e.i64(0)), more, done)
    b.position_at_end(more)
    mask = e.mask(0, left)
    last = advance(lambda at: e.load_masked(at, mask), b.mul(whole, e.i64(step)), totals)
    more = b.block
    b.branch(done)
    b.position_at_end(done)
    found = []
    for total, masked in zip(totals, last, strict=True):
        found.append(b.phi(total.type))
        found[-1].add_incoming(total, before)
        found[-1].add_incoming(masked, more)
    for at, total in zip(at_sums, found, strict=True):
        e.store(total, at)
