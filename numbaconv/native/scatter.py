"""Adding or writing values at indices: what flows back through a maximum."""

from typing import Any

import numpy as np

from numbaconv.native import link
from numbaconv.native.emit import I64, Emitter, dtype_code

_TOGETHER = 8


def scatterer(dtype: np.dtype[Any], *, add: bool, dense: bool) -> int:
    """Return the address of the function that adds (or writes) values at indices.

    It is called with (target, outer_step, inner_step, index_step, size, values, indices, outer,
    inner, wrong): values and indices are contiguous, ``(outer, inner)``, and the element of each
    value is ``target + i * outer_step + j * inner_step + index * index_step`` bytes, for indices
    below `size`. -1 is left out, and of any other the address `wrong` gets a 1. Where the planes of
    a result are `dense`, one for each i, `inner_step` is 0 and `index_step` the size of an element,
    whatever is passed.
    """
    return link.address(_emit_scatter, int(add), int(dense), dtype_code(dtype))


@link.native(10)
def _emit_scatter(b: Any, values: list[Any], add: int, dense: int, code: int) -> None:
    target, outer_step, inner_step, index_step, size, source, indices, outer, inner, wrong = values
    e = Emitter(b, code, 1)
    if dense:
        inner_step, index_step = e.i64(0), e.i64(e.size)
    kind = e.element.as_pointer()

    def put(index: Any, at: Any, base: Any) -> None:
        """Add or write one value, of which is known that it has a place."""
        pointer = b.inttoptr(e.at(base, b.mul(index, index_step)), kind)
        value = b.load(b.inttoptr(at, kind))
        value.align = e.size
        if add:
            held = b.load(pointer)
            value = b.fadd(held, value) if e.is_float else b.add(held, value)
        b.store(value, pointer)

    def check(index: Any, at: Any, base: Any) -> None:
        """Do that for an index below `size`."""
        inside, outside, error, done = (
            b.append_basic_block(n) for n in ("inside", "outside", "error", "done")
        )
        b.cbranch(b.icmp_unsigned("<", index, size), inside, outside)
        b.position_at_end(inside)
        put(index, at, base)
        b.branch(done)
        b.position_at_end(outside)
        b.cbranch(b.icmp_signed("==", index, e.i64(-1)), done, error)
        b.position_at_end(error)
        b.store(e.i64(1), b.inttoptr(wrong, I64.as_pointer()))
        b.branch(done)
        b.position_at_end(done)

    with e.loop(outer, [source, indices, target], "outer") as planes:
        first, first_place, begin = planes.values
        with e.loop(b.sdiv(inner, e.i64(_TOGETHER)), [first, first_place, begin], "many") as loop:
            at, place, base = loop.values
            found = [e.load_int(e.at(place, 8 * i)) for i in range(_TOGETHER)]
            known, unknown, done = (b.append_basic_block(n) for n in ("known", "unknown", "next"))
            good = b.icmp_unsigned("<", found[0], size)
            for index in found[1:]:
                good = b.and_(good, b.icmp_unsigned("<", index, size))
            b.cbranch(good, known, unknown)
            for way, block in ((put, known), (check, unknown)):
                b.position_at_end(block)
                for i, index in enumerate(found):
                    way(index, e.at(at, i * e.size), e.at(base, b.mul(inner_step, e.i64(i))))
                b.branch(done)
            b.position_at_end(done)
            loop.next([e.at(at, _TOGETHER * e.size), e.at(place, 8 * _TOGETHER),
                       e.at(base, b.mul(inner_step, e.i64(_TOGETHER)))])  # fmt: skip
        with e.loop(b.srem(inner, e.i64(_TOGETHER)), loop.values, "rest") as loop:
            at, place, base = loop.values
            check(e.load_int(place), at, base)
            loop.next([e.at(at, e.size), e.at(place, 8), e.at(base, inner_step)])
        planes.next([*loop.values[:2], e.at(begin, outer_step)])
