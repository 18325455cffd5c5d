"""Pooling's inner loops: the maximum or the mean of taps, a vector of outputs at a time."""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

from numbaconv.native import isa, link
from numbaconv.native.emit import DTYPES, I64, Emitter, dtype_code
from numbaconv.native.rows import NOTHING, every_second, gather

#: What `reducer` computes.
MAXIMUM, MAXIMUM_AND_INDEX, MEAN = 0, 1, 2
#: Int64 entries of a tap in its table: address, first output, end of outputs, index.
ENTRIES = 4
_TOGETHER = 8


def reducer(
    kind: int, step: int, dtype: np.dtype[Any], *, unsigned: bool, length: int, apart: int = 1
) -> int:
    """Return the address of the function that reduces the taps of a line of `length` outputs.

    It is called with (out, indices, length, table, taps, step_bytes, index_step, counts, factor,
    planes, plane, out_plane). Tap t has four entries in `table`: the address that output 0 reads,
    the first output and the end of the outputs that read an input there, and the index of what
    output 0 reads. Output j reads `j * step_bytes` further, of index ``j * index_step`` further;
    `step` is 1 or 2 where neighbours are that far apart, else 0. A mean is divided by
    ``counts[j] * factor`` (counts have a vector of slack); integers are truncated. The first
    maximum counts, and a NaN, the first one, wins. The same is done in `planes` planes, `plane`
    bytes apart, with results `out_plane` elements apart. Means are written `apart` elements from
    each other.
    """
    lanes = isa.host().lanes(dtype)
    while lanes > 4 and length <= lanes // 2:  # short lines need no long vectors
        lanes //= 2
    return link.address(_reducer, kind, step, lanes, dtype_code(dtype), int(unsigned), apart)


def _reducer(
    kind: int, step: int, lanes: int, code: int, unsigned: int, apart: int
) -> Callable[..., None]:
    def reduce(
        out: int, indices: int, length: int, table: int, taps: int, step_bytes: int,
        index_step: int, counts: int, factor: int, planes: int, plane: int, out_plane: int,
    ) -> None:  # fmt: skip
        _reduce(
            kind, step, lanes, code, unsigned, apart,
            (
                out, indices, length, table, taps, step_bytes, index_step, counts, factor, planes,
                plane, out_plane,
            ),
        )  # fmt: skip

    return reduce


@link.specialised
def _reduce(
    context: Any, kind: Any, step: Any, lanes: Any, code: Any, unsigned: Any, apart: Any,
    arguments: Any,
) -> Any:  # fmt: skip
    return link.body(_emit, (kind, step, lanes, code, unsigned, apart), arguments)


def _emit(
    b: Any, values: list[Any], kind: int, step: int, lanes: int, code: int, unsigned: int,
    apart: int,
) -> None:  # fmt: skip
    e = Emitter(b, code, lanes)
    out, indices, length, table, taps, step_bytes, index_step, counts, factor, *rest = values
    planes, plane, out_plane = rest
    wide = Emitter(b, dtype_code(np.dtype(np.int64)), lanes)
    nothing = wide.broadcast(e.i64(NOTHING))
    numbers = ir.Constant(ir.VectorType(I64, lanes), list(range(lanes)))
    vectors = b.sdiv(b.add(length, e.i64(lanes - 1)), e.i64(lanes))
    with e.loop(planes, [e.i64(0), out, indices], "planes") as each:
        shift, to, places = each.values
        with e.loop(vectors, [], "vectors") as outer:
            j = b.mul(outer.index, e.i64(lanes))
            inside = e.mask(0, b.sub(length, j))
            carried = [e.zero if kind == MEAN else _lowest(e, unsigned)]
            if kind == MAXIMUM_AND_INDEX:
                carried.append(nothing)
            with e.loop(taps, [table, *carried], "taps") as inner:
                entry, best, *found = inner.values
                mask = e.mask(
                    b.sub(e.load_int(e.at(entry, 8)), j), b.sub(e.load_int(e.at(entry, 16)), j)
                )
                address = b.add(e.load_int(entry), shift)
                value = _read(e, step, address, j, mask, step_bytes)
                if kind == MEAN:
                    best = e.add(best, value)
                else:
                    better = _greater(e, value, best, unsigned)
                    if kind == MAXIMUM_AND_INDEX:
                        better = b.or_(better, b.icmp_signed("==", found[0], nothing))
                    better = b.and_(better, mask)
                    best = b.select(better, value, best)
                    if found:
                        index = wide.broadcast(e.load_int(e.at(entry, 24)))
                        found = [b.select(better, index, found[0])]
                inner.next([e.at(entry, 8 * ENTRIES), best, *found])
            _, best, *found = inner.values
            if kind == MEAN:
                best = _divided(
                    e, best, e.load(e.at(counts, b.mul(j, e.i64(e.size)))), factor, unsigned
                )
            at = e.at(to, b.mul(j, e.i64(apart * e.size)))
            if apart > 1:
                e.store_every(best, at, apart, inside)
            else:
                e.store_masked(best, at, inside)
            if found:
                place = b.mul(b.add(wide.broadcast(j), numbers), wide.broadcast(index_step))
                none = b.icmp_signed("==", found[0], nothing)
                minus_one = wide.broadcast(e.i64(-1))
                wide.store_masked(
                    b.select(none, minus_one, b.add(found[0], place)),
                    e.at(places, b.mul(j, e.i64(8))), inside,
                )  # fmt: skip
            outer.next([])
        each.next(
            [
                b.add(shift, plane),
                e.at(to, b.mul(out_plane, e.i64(e.size))),
                e.at(places, b.mul(out_plane, e.i64(8))),
            ]
        )


def _lowest(e: Emitter, unsigned: int) -> Any:
    if e.is_float:
        return ir.Constant(e.vector, [float("-inf")] * e.lanes)
    return ir.Constant(e.vector, [0 if unsigned else -(2 ** (8 * e.size - 1))] * e.lanes)


def _read(e: Emitter, step: int, address: Any, j: Any, mask: Any, step_bytes: Any) -> Any:
    """Return what a vector of outputs reads of one tap, zero where the mask is not set."""
    b = e.b
    if step == 1:
        return e.load_masked(e.at(address, b.mul(j, e.i64(e.size))), mask)
    if step == 2:
        return every_second(e, mask, b.mul(j, e.i64(2 * e.size)))(address)
    numbers = ir.Constant(ir.VectorType(I64, e.lanes), list(range(e.lanes)))
    first = e.broadcast(e.at(address, b.mul(j, step_bytes)))
    return gather(e, b.add(first, b.mul(numbers, e.broadcast(step_bytes))), mask)


def _greater(e: Emitter, value: Any, best: Any, unsigned: int) -> Any:
    """Return where a value wins: it is greater, or the first NaN."""
    b = e.b
    if not e.is_float:
        compare = b.icmp_unsigned if unsigned else b.icmp_signed
        return compare(">", value, best)
    first_nan = b.and_(b.fcmp_unordered("uno", value, value), b.fcmp_ordered("ord", best, best))
    return b.or_(b.fcmp_ordered(">", value, best), first_nan)


def _divided(e: Emitter, total: Any, counts: Any, factor: Any, unsigned: int) -> Any:
    b = e.b
    if e.is_float:
        return b.fdiv(total, b.fmul(counts, e.broadcast(b.sitofp(factor, e.element))))
    narrow = factor if e.size == 8 else b.trunc(factor, e.element)
    divisor = b.mul(counts, e.broadcast(narrow))
    return b.udiv(total, divisor) if unsigned else b.sdiv(total, divisor)


def scatterer(dtype: np.dtype[Any], *, add: bool, dense: bool) -> int:
    """Return the address of the function that adds (or writes) values at indices.

    It is called with (target, outer_step, inner_step, index_step, size, values, indices, outer,
    inner, wrong): values and indices are contiguous, ``(outer, inner)``, and the element of each
    value is ``target + i * outer_step + j * inner_step + index * index_step`` bytes, for indices
    below `size`. -1 is left out, and of any other the address `wrong` gets a 1. Where the planes of
    a result are `dense`, one for each i, `inner_step` is 0 and `index_step` the size of an element,
    whatever is passed.
    """
    return link.address(_scatterer, int(add), int(dense), dtype_code(dtype))


def _scatterer(add: int, dense: int, code: int) -> Callable[..., None]:
    def scatter(
        target: int, outer_step: int, inner_step: int, index_step: int, size: int, values: int,
        indices: int, outer: int, inner: int, wrong: int,
    ) -> None:  # fmt: skip
        _scatter(
            add, dense, code,
            (
                target, outer_step, inner_step, index_step, size, values, indices, outer, inner,
                wrong,
            ),
        )  # fmt: skip

    return scatter


@link.specialised
def _scatter(context: Any, add: Any, dense: Any, code: Any, arguments: Any) -> Any:
    return link.body(_emit_scatter, (add, dense, code), arguments)


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


def supports(dtype: np.dtype[Any]) -> bool:
    """Return whether these functions exist for a dtype, or for its signed twin."""
    return dtype in DTYPES or (dtype.kind == "u" and dtype.itemsize <= 8)
