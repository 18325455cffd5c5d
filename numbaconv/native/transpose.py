"""Transposes a matrix in squares that fit the registers."""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

from numbaconv.native import isa, link
from numbaconv.native.emit import I1, Emitter, dtype_code

_LARGEST_SQUARE = 16


def transposer(dtype: np.dtype[Any]) -> int:
    """Return the address of the function that transposes a matrix.

    It is called with (rows, all_rows, columns, source, source_stride, to, to_stride), strides in
    bytes: element (r, c) of `rows` by `columns` goes to (c, r). Each row of the result has
    `all_rows` elements, zero from `rows` on. Nothing else is read or written.
    """
    lanes = min(isa.host().lanes(dtype), _LARGEST_SQUARE)
    return link.address(_transposer, lanes, dtype_code(dtype))


def _transposer(lanes: int, code: int) -> Callable[..., None]:
    def transpose(
        rows: int, all_rows: int, columns: int, source: int, source_stride: int, to: int,
        to_stride: int,
    ) -> None:  # fmt: skip
        _transpose(lanes, code, (rows, all_rows, columns, source, source_stride, to, to_stride))

    return transpose


@link.specialised
def _transpose(context: Any, lanes: Any, code: Any, arguments: Any) -> Any:
    return link.body(_emit, (lanes, code), arguments)


def _emit(b: Any, values: list[Any], lanes: int, code: int) -> None:
    rows, all_rows, columns, source, source_stride, to, to_stride = values
    e = Emitter(b, code, lanes)
    side = e.i64(lanes)

    def squares(n: Any) -> Any:
        return b.sdiv(b.add(n, e.i64(lanes - 1)), side)

    with (
        e.loop(squares(columns), [], "columns") as across,
        e.loop(squares(all_rows), [], "rows") as down,
    ):
        r, c = b.mul(down.index, side), b.mul(across.index, side)
        origin = e.at(source, b.add(b.mul(r, source_stride), b.mul(c, e.i64(e.size))))
        target = e.at(to, b.add(b.mul(c, to_stride), b.mul(r, e.i64(e.size))))
        left_rows, left_columns = b.sub(rows, r), b.sub(columns, c)
        whole = b.and_(
            b.icmp_signed(">=", left_rows, side), b.icmp_signed(">=", left_columns, side)
        )
        inside, edge, done = (b.append_basic_block(n) for n in ("inside", "edge", "done"))
        b.cbranch(whole, inside, edge)

        b.position_at_end(inside)
        taken = [e.load(e.at(origin, b.mul(e.i64(i), source_stride))) for i in range(lanes)]
        for i, vector in enumerate(e.transpose(taken)):
            e.store(vector, e.at(target, b.mul(e.i64(i), to_stride)))
        b.branch(done)

        b.position_at_end(edge)
        readable = e.mask(0, left_columns)
        none = ir.Constant(ir.VectorType(I1, lanes), [0] * lanes)
        writeable = e.mask(0, b.sub(all_rows, r))
        taken = []
        for i in range(lanes):
            exists = b.icmp_signed("<", e.i64(i), left_rows)
            at = e.at(origin, b.mul(e.i64(i), source_stride))
            taken.append(e.load_masked(at, b.select(exists, readable, none)))
        for i, vector in enumerate(e.transpose(taken)):
            exists = b.icmp_signed("<", e.i64(i), left_columns)
            at = e.at(target, b.mul(e.i64(i), to_stride))
            e.store_masked(vector, at, b.select(exists, writeable, none))
        b.branch(done)

        b.position_at_end(done)
        down.next([])
        across.next([])
