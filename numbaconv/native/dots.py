"""Products of one run of elements with several others, summed in the lanes of vectors."""

from collections.abc import Callable
from typing import Any

import numpy as np

from numbaconv.native import isa, link
from numbaconv.native.emit import Emitter, dtype_code

#: Runs of one call at most: so many addresses find a register each.
MOST = 10


def dots(runs: int, dtype: np.dtype[Any]) -> int:
    """Return the address of the function that multiplies a run by so many others.

    It is called with (length, one, base, places, sums). Run i begins at ``base + places[i]``; the
    products of its element j and of that of `one` are added to lane ``j % lanes`` of vector i of
    `sums`, in the order of j. Nothing else is read or written. Distances are in bytes.
    """
    return link.address(_dots, runs, isa.host().lanes(dtype), dtype_code(dtype))


def _dots(runs: int, lanes: int, code: int) -> Callable[..., None]:
    def multiply(length: int, one: int, base: int, places: int, sums: int) -> None:
        _multiply(runs, lanes, code, (length, one, base, places, sums))

    return multiply


@link.specialised
def _multiply(context: Any, runs: Any, lanes: Any, code: Any, arguments: Any) -> Any:
    return link.body(_emit, (runs, lanes, code), arguments)


def _emit(b: Any, values: list[Any], runs: int, lanes: int, code: int) -> None:
    length, one, base, places, sums = values
    e = Emitter(b, code, lanes)
    step = lanes * e.size
    others = [e.at(base, e.load_int(e.at(places, 8 * i))) for i in range(runs)]
    totals = [e.load(e.at(sums, i * step)) for i in range(runs)]
    whole, left = b.sdiv(length, e.i64(lanes)), b.srem(length, e.i64(lanes))
    with e.loop(whole, totals, "vectors") as loop:
        at = b.mul(loop.index, e.i64(step))
        factor = e.load(b.add(one, at))
        loop.next(
            [
                e.multiply_add(factor, e.load(b.add(other, at)), total)
                for other, total in zip(others, loop.values, strict=True)
            ]
        )
    totals = list(loop.values)
    more, done = (b.append_basic_block(name) for name in ("more", "done"))
    before = b.block
    b.cbranch(b.icmp_signed(">", left, e.i64(0)), more, done)
    b.position_at_end(more)
    at, mask = b.mul(whole, e.i64(step)), e.mask(0, left)
    factor = e.load_masked(b.add(one, at), mask)
    last = [
        e.multiply_add(factor, e.load_masked(b.add(other, at), mask), total)
        for other, total in zip(others, totals, strict=True)
    ]
    more = b.block
    b.branch(done)
    b.position_at_end(done)
    for i in range(runs):
        total = b.phi(totals[i].type)
        total.add_incoming(totals[i], before)
        total.add_incoming(last[i], more)
        totals[i] = total
    for i in range(runs):
        e.store(totals[i], e.at(sums, i * step))
