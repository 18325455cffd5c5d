"""Operations on whole rows, for pools of large windows: what wins, sums, and what becomes of them.

Rows are runs of elements at addresses. Those of our own have room for a vector behind them, which
is read and written with them: masked stores are not forwarded to the loads of the next operation.
What `bringer` and `shifter` put there changes nothing. A row of maxima may have a row of int64
beside it: where its maxima are. Of equals the smaller place wins, and a NaN wins over numbers.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

from numbaconv.native import isa, link
from numbaconv.native.emit import Emitter, dtype_code

#: What combines two values.
MAXIMUM, SUM = 0, 1
_INDEX = np.dtype(np.int64)
_DOUBLE = np.dtype(np.float64)
# Vectors that `folder` carries, so that one addition need not wait for another.
_CARRIED = 4


def combiner(op: int, dtype: np.dtype[Any]) -> int:
    """Return the address of the function that combines two rows.

    It is called with (to, x, y, count), all rows of our own. `to` may be `x`, or `y` if that lies
    behind.
    """
    code, lanes = _element(dtype)
    return link.address(_emit_combine, op, lanes, code, int(dtype.kind == "u"))


@link.native(4)
def _emit_combine(
    b: Any, values: list[Any], op: int, lanes: int, code: int, unsigned: int
) -> None:  # fmt: skip
    to, x, y, count = values
    e = Emitter(b, code, lanes)

    with e.loop(_vectors(e, count), [], "row") as loop:
        at = b.mul(loop.index, e.i64(e.lanes * e.size))
        held, new = (e.load(b.add(row, at)) for row in (x, y))
        e.store(_better(e, op, held, new, unsigned), b.add(to, at))
        loop.next([])


def index_combiner(dtype: np.dtype[Any]) -> int:
    """Return the address of the function that combines rows of maxima and of their places.

    It is called with (to, to_places, x, x_places, y, y_places, count).
    """
    code, lanes = _element(dtype)
    return link.address(_emit_indices, lanes, code, int(dtype.kind == "u"))


@link.native(7)
def _emit_indices(b: Any, values: list[Any], lanes: int, code: int, unsigned: int) -> None:
    to, to_places, x, x_places, y, y_places, count = values
    e, places = Emitter(b, code, lanes), Emitter(b, dtype_code(_INDEX), lanes)

    with e.loop(_vectors(e, count), [], "row") as loop:
        at = b.mul(loop.index, e.i64(e.lanes * e.size))
        beside = b.mul(at, e.i64(8 // e.size))
        held, new = (e.load(b.add(row, at)) for row in (x, y))
        held_at, new_at = (places.load(b.add(row, beside)) for row in (x_places, y_places))
        greater, loses = wins(e, held, new, unsigned), wins(e, new, held, unsigned)
        earlier = b.icmp_signed("<", new_at, held_at)
        better = b.or_(greater, b.and_(b.not_(loses), earlier))
        e.store(b.select(better, new, held), b.add(to, at))
        places.store(b.select(better, new_at, held_at), b.add(to_places, beside))
        loop.next([])


def folder(op: int, dtype: np.dtype[Any]) -> int:
    """Return the address of the function that combines all elements of a row.

    It is called with (to, x, count): one element is written. Floats are summed in float64.
    """
    code, lanes = _element(dtype)
    return link.address(_emit_fold, op, lanes, code, int(dtype.kind == "u"))


@link.native(3)
def _emit_fold(
    b: Any, values: list[Any], op: int, lanes: int, code: int, unsigned: int
) -> None:  # fmt: skip
    to, x, count = values
    e = Emitter(b, code, lanes)
    double = e.is_float and op == SUM
    into = Emitter(b, dtype_code(_DOUBLE), lanes) if double else e
    start = into.zero if op == SUM else lowest(e, unsigned)

    def widened(value: Any) -> Any:
        return b.fpext(value, into.vector) if double and e.size < 8 else value

    whole = b.sdiv(count, e.i64(lanes * _CARRIED))
    with e.loop(whole, [x, *[start] * _CARRIED], "whole") as loop:
        at, *held = loop.values
        new = [
            _better(into, op, value, widened(e.load(e.at(at, i * lanes * e.size))), unsigned)
            for i, value in enumerate(held)
        ]
        loop.next([e.at(at, lanes * _CARRIED * e.size), *new])
    at, *held = loop.values
    left = b.srem(count, e.i64(lanes * _CARRIED))
    with e.loop(_vectors(e, left), [held[0]], "rest") as loop:
        first = b.mul(loop.index, e.i64(lanes))
        mask = e.mask(0, b.sub(left, first))
        value = e.load_masked(e.at(at, b.mul(first, e.i64(e.size))), mask)
        value = b.select(mask, widened(value), start)
        loop.next([_better(into, op, loop.values[0], value, unsigned)])
    held = [*loop.values, *held[1:]]
    while len(held) > 1:
        held = [
            _better(into, op, p, q, unsigned)
            for p, q in zip(held[::2], held[1::2], strict=True)
        ]  # fmt: skip
    value, width = held[0], lanes // 2
    while width:
        other = into.shuffle(value, value, [(lane + width) % lanes for lane in range(lanes)])
        value = _better(into, op, value, other, unsigned)
        width //= 2
    one = b.extract_element(value, ir.Constant(ir.IntType(32), 0))
    into.store(one, to)


def shifter() -> int:
    """Return the address of the function that adds an int64 to a row of them.

    It is called with (to, x, number, count).
    """
    return link.address(_emit_shift, isa.host().lanes(_INDEX))


@link.native(4)
def _emit_shift(b: Any, values: list[Any], lanes: int) -> None:
    to, x, number, count = values
    e = Emitter(b, dtype_code(_INDEX), lanes)
    added = e.broadcast(number)
    with e.loop(_vectors(e, count), [], "row") as loop:
        at = b.mul(loop.index, e.i64(e.lanes * e.size))
        e.store(b.add(e.load(b.add(x, at)), added), b.add(to, at))
        loop.next([])


def bringer(op: int, dtype: np.dtype[Any], *, widen: bool = False) -> int:
    """Return the address of the function that copies a row, to one of our own.

    It is called with (to, x, count). With `widen` floats become float64.
    """
    code, lanes = _element(dtype)
    return link.address(_emit_bring, op, lanes, code, int(dtype.kind == "u"), int(widen))


@link.native(3)
def _emit_bring(
    b: Any, values: list[Any], op: int, lanes: int, code: int, unsigned: int, widen: int
) -> None:
    to, x, count = values
    e = Emitter(b, code, lanes)
    into = Emitter(b, dtype_code(_DOUBLE), lanes) if widen else e

    def step(at: Any, mask: Any) -> None:
        value = _load(e, b.add(x, at), mask)
        if op == MAXIMUM and mask is not None:
            value = b.select(mask, value, lowest(e, unsigned))
        if into.size > e.size:
            value = b.fpext(value, into.vector)
        into.store(value, b.add(to, b.mul(at, e.i64(into.size // e.size))))

    _over_row(e, count, step)


def divider(dtype: np.dtype[Any]) -> int:
    """Return the address of the function that makes means of a row of sums.

    It is called with (to, sums, counts, factor, count): sums and counts are float64 for floats,
    int64 for integers, which are truncated.
    """
    code, lanes = _element(dtype)
    return link.address(_emit_divide, lanes, code, int(dtype.kind == "u"))


@link.native(5)
def _emit_divide(b: Any, values: list[Any], lanes: int, code: int, unsigned: int) -> None:
    to, sums, counts, factor, count = values
    e = Emitter(b, code, lanes)
    wide = Emitter(b, dtype_code(_DOUBLE if e.is_float else _INDEX), lanes)

    def step(at: Any, mask: Any) -> None:
        beside = b.mul(at, e.i64(wide.size // e.size))
        total = _load(wide, b.add(sums, beside), mask)
        divisors = _load(wide, b.add(counts, beside), mask)
        if mask is not None:
            ones = wide.constant(1.0) if e.is_float else wide.broadcast(e.i64(1))
            divisors = b.select(mask, divisors, ones)
        value = divided(wide, total, divisors, factor, unsigned)
        if e.is_float and e.size < 8:
            value = b.fptrunc(value, e.vector)
        _store(e, value, b.add(to, at), mask)

    _over_row(e, count, step)


def divided(e: Emitter, total: Any, counts: Any, factor: Any, unsigned: int) -> Any:
    """Return sums over counts times a factor; integers are truncated."""
    b = e.b
    if e.is_float:
        return b.fdiv(total, b.fmul(counts, e.broadcast(b.sitofp(factor, e.element))))
    narrow = factor if e.size == 8 else b.trunc(factor, e.element)
    if not unsigned:
        return b.sdiv(total, b.mul(counts, e.broadcast(narrow)))
    zero = ir.Constant(e.element, 0)
    negative = b.icmp_signed("<", narrow, zero)
    positive = b.select(negative, b.sub(zero, narrow), narrow)
    found = b.udiv(total, b.mul(counts, e.broadcast(positive)))
    return b.select(negative, b.sub(e.zero, found), found)


def _element(dtype: np.dtype[Any]) -> tuple[int, int]:
    """Return the code of an element's bits, and the lanes of a vector of at most 64 bits each."""
    bits = np.dtype(f"i{dtype.itemsize}") if dtype.kind == "u" else dtype
    return dtype_code(bits), isa.host().lanes(bits)


def _vectors(e: Emitter, count: Any) -> Any:
    return e.b.sdiv(e.b.add(count, e.i64(e.lanes - 1)), e.i64(e.lanes))


def _over_row(e: Emitter, count: Any, step: Callable[[Any, Any], None]) -> None:
    """Emit ``step(bytes, None)`` for the whole vectors of a row, then one with a mask."""
    b = e.b
    nbytes = e.lanes * e.size
    with e.loop(b.sdiv(count, e.i64(e.lanes)), [], "row") as loop:
        step(b.mul(loop.index, e.i64(nbytes)), None)
        loop.next([])
    left = b.srem(count, e.i64(e.lanes))
    with b.if_then(b.icmp_signed(">", left, e.i64(0))):
        step(b.mul(b.sdiv(count, e.i64(e.lanes)), e.i64(nbytes)), e.mask(0, left))


def _load(e: Emitter, address: Any, mask: Any) -> Any:
    return e.load(address) if mask is None else e.load_masked(address, mask)


def _store(e: Emitter, value: Any, address: Any, mask: Any) -> None:
    if mask is None:
        e.store(value, address)
    else:
        e.store_masked(value, address, mask)


def _better(e: Emitter, op: int, held: Any, new: Any, unsigned: int) -> Any:
    if op == SUM:
        return e.add(held, new)
    return e.b.select(wins(e, held, new, unsigned), new, held)


def wins(e: Emitter, held: Any, new: Any, unsigned: int) -> Any:
    """Return in which lanes a new value wins: it is greater, or the first NaN."""
    b = e.b
    if not e.is_float:
        compare = b.icmp_unsigned if unsigned else b.icmp_signed
        return compare(">", new, held)
    first_nan = b.and_(b.fcmp_unordered("uno", new, new), b.fcmp_ordered("ord", held, held))
    return b.or_(b.fcmp_ordered(">", new, held), first_nan)


def lowest(e: Emitter, unsigned: int) -> Any:
    """Return what no value loses to."""
    if e.is_float:
        return ir.Constant(e.vector, [float("-inf")] * e.lanes)
    return ir.Constant(e.vector, [0 if unsigned else -(2 ** (8 * e.size - 1))] * e.lanes)
