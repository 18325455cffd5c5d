"""Weighted sums of rows in float64, in SciPy's order, and extremes: what its filters compute.

A product is rounded before it is added: SciPy's machine code does so on x86, and whole numbers that
are cut off after the sum show the difference. Rows are of any real dtype, and are converted where
they are read; sums are converted as C does it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

from numbaconv.native import isa, link
from numbaconv.native.emit import DTYPES, I32, I64, Emitter, dtype_code

#: A sum over rows, each with a weight; or over a row and pairs of others, added or subtracted; or
#: as the first, from zero on: minus zero is lost.
PLAIN, SYMMETRIC, ANTISYMMETRIC, IN_ORDER = 0, 1, 2, 3
#: What wins of some elements.
LARGEST, SMALLEST = 0, 1
_DOUBLE = np.dtype(np.float64)
# Vectors of sums that are carried over the taps.
_CARRIED = 4


def supports(dtype: np.dtype[Any]) -> bool:
    """Return whether rows may be of this dtype."""
    return dtype.isnative and dtype.kind in "iuf" and _signed(dtype) in DTYPES


def _signed(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(dtype.str.replace("u", "i"))


def element(dtype: np.dtype[Any]) -> tuple[int, int]:
    """Return the code of an element as a vector's, and whether it has no sign."""
    return dtype_code(_signed(dtype)), int(dtype.kind == "u")


def adder(kind: int, dtype: np.dtype[Any]) -> int:
    """Return the address of the function that sums rows of a dtype.

    It is called with (taps, rows, weights, to, length): `rows` is a table of addresses, of a row
    for each of the `taps`; of pairs the middle row's, and then two for each further tap. The
    float64 row of sums goes to `to`.
    """
    return link.address(_emit_adder, kind, *element(dtype), isa.host().lanes(_DOUBLE))


def converter(dtype: np.dtype[Any], *, back: bool) -> int:
    """Return the address of the function that makes float64 of a row of a dtype, or goes `back`.

    It is called with (to, source, length). Whole numbers are cut off, and wrap.
    """
    return link.address(_emit_converter, int(back), *element(dtype), isa.host().lanes(_DOUBLE))


def chooser(kind: int, dtype: np.dtype[Any]) -> int:
    """Return the address of the function that finds the largest, or smallest, of some rows.

    It is called as that of `adder`; weights are not read. Rows are of `dtype`, as is the result.
    """
    return link.address(_emit_chooser, kind, *element(dtype), isa.host().lanes(dtype))


def divider() -> int:
    """Return the address of the function that divides a row of float64 by a whole number.

    It is called with (to, source, number, length). Quotients are rounded as a division rounds
    them: a product with the reciprocal is at most one unit off, and the remainder shows it. P.
    Markstein, "Computation of elementary functions on the IBM RISC System/6000 processor", IBM J.
    Res. Dev. 34 (1990), theorem 5.
    """
    return link.address(_emit_divider, isa.host().lanes(_DOUBLE), int(isa.host().name != "SSE"))


@link.native(4)
def _emit_divider(b: Any, values: list[Any], lanes: int, fuses: int) -> None:
    to, source, number, length = values
    e = Emitter(b, dtype_code(_DOUBLE), lanes)
    divisor = e.broadcast(b.sitofp(number, e.element))
    reciprocal = b.fdiv(e.constant(1.0), divisor)

    def quotient(value: Any) -> Any:
        if not fuses:
            return b.fdiv(value, divisor)
        near = b.fmul(value, reciprocal)
        left = e.multiply_add(b.fneg(near), divisor, value)
        found = e.multiply_add(left, reciprocal, near)
        # Infinities leave no remainder.
        return b.select(b.fcmp_ordered("ord", found, found), found, near)

    def block(first: Any, vectors: int, mask: Any) -> None:
        start = b.mul(first, e.i64(8))
        for v in range(vectors):
            at = e.at(start, 8 * v * lanes)
            place = b.add(source, at)
            value = e.load(place) if mask is None else e.load_masked(place, mask)
            if mask is None:
                e.store(quotient(value), b.add(to, at))
            else:
                e.store_masked(quotient(value), b.add(to, at), mask)

    in_blocks(e, length, block)


def widened(e: Emitter, into: Emitter, value: Any, unsigned: int) -> Any:
    """Return a vector of a row as doubles."""
    if e.is_float:
        return value if e.size == 8 else e.b.fpext(value, into.vector)
    return (e.b.uitofp if unsigned else e.b.sitofp)(value, into.vector)


def _narrowed(e: Emitter, into: Emitter, value: Any, unsigned: int) -> Any:
    """Return doubles as elements of `e`; C's casts of what fits, and of negative numbers, wrap."""
    b = e.b
    if e.is_float:
        return value if e.size == 8 else b.fptrunc(value, e.vector)
    if e.size < 4:
        wide = b.fptosi(value, ir.VectorType(I32, e.lanes))
        return b.trunc(wide, e.vector)
    if not unsigned:
        return b.fptosi(value, e.vector)
    if e.size == 4:
        return b.trunc(b.fptosi(value, ir.VectorType(I64, e.lanes)), e.vector)
    # What is negative is taken apart: its conversion to an unsigned number is not defined.
    negative = b.fcmp_ordered("<", value, into.zero)
    magnitude = b.select(negative, b.fsub(into.zero, value), value)
    found = b.fptoui(magnitude, e.vector)
    return b.select(negative, b.sub(e.zero, found), found)


def in_blocks(
    e: Emitter, length: Any, block: Callable[[Any, int, Any], None], vectors: int = _CARRIED
) -> None:
    """Emit ``block(first, vectors, mask)`` for some vectors at once, and for the rest."""
    b, many = e.b, e.lanes * vectors
    whole = b.sdiv(length, e.i64(many))
    with e.loop(whole, [], "whole") as loop:
        block(b.mul(loop.index, e.i64(many)), vectors, None)
        loop.next([])
    done = b.mul(whole, e.i64(many))
    rest = b.sdiv(b.add(b.sub(length, done), e.i64(e.lanes - 1)), e.i64(e.lanes))
    with e.loop(rest, [], "rest") as loop:
        first = b.add(done, b.mul(loop.index, e.i64(e.lanes)))
        block(first, 1, e.mask(0, b.sub(length, first)))
        loop.next([])


@link.native(5)
def _emit_chooser(
    b: Any, values: list[Any], kind: int, code: int, unsigned: int, lanes: int
) -> None:  # fmt: skip
    taps, rows, _, to, length = values
    e = Emitter(b, code, lanes)

    def block(first: Any, vectors: int, mask: Any) -> None:
        start = b.mul(first, e.i64(e.size))

        def read(entry: Any, v: int) -> Any:
            at = e.at(b.add(e.load_int(entry), start), v * lanes * e.size)
            return e.load(at) if mask is None else e.load_masked(at, mask)

        held = [read(rows, v) for v in range(vectors)]
        with e.loop(b.sub(taps, e.i64(1)), [e.at(rows, 8), *held], "taps") as loop:
            entry, *held = loop.values
            new = [
                _winner(e, kind, value, read(entry, v), unsigned) for v, value in enumerate(held)
            ]
            loop.next([e.at(entry, 8), *new])
        target = b.add(to, start)
        for v, value in enumerate(loop.values[1:]):
            if mask is None:
                e.store(value, e.at(target, v * lanes * e.size))
            else:
                e.store_masked(value, target, mask)

    in_blocks(e, length, block)


def _winner(e: Emitter, kind: int, held: Any, new: Any, unsigned: int) -> Any:
    """Return the winner in each lane; a NaN wins."""
    sign = ">" if kind == LARGEST else "<"
    if e.is_float:
        wins = e.b.or_(e.b.fcmp_ordered(sign, new, held), e.b.fcmp_unordered("uno", new, new))
        return e.b.select(wins, new, held)
    compare = e.b.icmp_unsigned if unsigned else e.b.icmp_signed
    return e.b.select(compare(sign, new, held), new, held)


@link.native(5)
def _emit_adder(b: Any, values: list[Any], kind: int, code: int, unsigned: int, lanes: int) -> None:
    taps, rows, weights, to, length = values
    e, into = Emitter(b, code, lanes), Emitter(b, dtype_code(_DOUBLE), lanes)
    pairs = kind in (SYMMETRIC, ANTISYMMETRIC)

    def block(first: Any, vectors: int, mask: Any) -> None:
        """Sum some vectors of all rows."""
        start = b.mul(first, e.i64(e.size))

        def read(entry: Any, v: int) -> Any:
            at = e.at(b.add(e.load_int(entry), start), v * lanes * e.size)
            value = e.load(at) if mask is None else e.load_masked(at, mask)
            return widened(e, into, value, unsigned)

        zero = into.zero if kind == IN_ORDER else into.constant(-0.0)
        sums, table, count, weight = [zero] * vectors, rows, taps, weights
        if pairs:
            factor = into.splat(weights)
            sums = [b.fmul(read(rows, v), factor) for v in range(vectors)]
            table, weight = e.at(rows, 8), e.at(weights, 8)
            count = b.sub(taps, e.i64(1))
        with e.loop(count, [table, weight, *sums], "taps") as loop:
            entry, at, *held = loop.values
            factor, new = into.splat(at), []
            for v in range(vectors):
                value = read(entry, v)
                if pairs:
                    other = read(e.at(entry, 8), v)
                    value = (b.fadd if kind == SYMMETRIC else b.fsub)(value, other)
                new.append(b.fadd(held[v], b.fmul(value, factor)))
            loop.next([e.at(entry, 16 if pairs else 8), e.at(at, 8), *new])
        target = e.at(to, b.mul(first, e.i64(8)))
        for v, value in enumerate(loop.values[2:]):
            if mask is None:
                into.store(value, e.at(target, 8 * v * lanes))
            else:
                into.store_masked(value, target, mask)

    in_blocks(e, length, block)


@link.native(3)
def _emit_converter(
    b: Any, values: list[Any], back: int, code: int, unsigned: int, lanes: int
) -> None:  # fmt: skip
    to, source, length = values
    e, into = Emitter(b, code, lanes), Emitter(b, dtype_code(_DOUBLE), lanes)
    of, makes = (into, e) if back else (e, into)

    def block(first: Any, mask: Any) -> None:
        at = e.at(source, b.mul(first, e.i64(of.size)))
        value = of.load(at) if mask is None else of.load_masked(at, mask)
        made = (_narrowed if back else widened)(e, into, value, unsigned)
        target = e.at(to, b.mul(first, e.i64(makes.size)))
        if mask is None:
            makes.store(made, target)
        else:
            makes.store_masked(made, target, mask)

    whole = b.sdiv(length, e.i64(lanes))
    with e.loop(whole, [], "whole") as loop:
        block(b.mul(loop.index, e.i64(lanes)), None)
        loop.next([])
    first = b.mul(whole, e.i64(lanes))
    with e.loop(
        b.select(b.icmp_signed("<", first, length), e.i64(1), e.i64(0)), [], "rest"
    ) as loop:
        block(first, e.mask(0, b.sub(length, first)))
        loop.next([])
