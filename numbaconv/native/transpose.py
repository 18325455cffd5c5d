"""Transposes a matrix in squares that fit the registers."""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

from numbaconv.native import isa, link
from numbaconv.native.emit import I1, Emitter, dtype_code

_LARGEST_SQUARE = 16
# Rows that are fetched ahead.
_AHEAD = 32


def transposer(
    dtype: np.dtype[Any], step: int = 1, *, table: bool = False, ahead: bool = False
) -> int:
    """Return the address of the function that transposes a matrix.

    It is called with (rows, all_rows, columns, source, source_stride, to, to_stride), strides in
    bytes: element (r, c) of `rows` by `columns` goes to (c, r). Each row of the result has
    `all_rows` elements, zero from `rows` on, `step` elements apart. Nothing else is read or
    written.

    With a `table`, rows lie anywhere: `source_stride` is the address of an int64 for each row, how
    far from `source` it begins, and of zeros behind them up to a whole vector of rows.

    Rows that lie far apart are fetched `ahead`, some before they are read.
    """
    lanes = min(isa.host().lanes(dtype), _LARGEST_SQUARE)
    return link.address(_emit, lanes, dtype_code(dtype), step, int(table), int(ahead))


@link.native(7)
def _emit(
    b: Any, values: list[Any], lanes: int, code: int, step: int, table: int, ahead: int
) -> None:
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
        column = e.at(source, b.mul(c, e.i64(e.size)))
        if table:
            places = e.at(source_stride, b.mul(r, e.i64(8)))
            origins = [e.at(column, e.load_int(e.at(places, 8 * i))) for i in range(lanes)]
        else:
            origin = e.at(column, b.mul(r, source_stride))
            origins = [e.at(origin, b.mul(e.i64(i), source_stride)) for i in range(lanes)]
        target = e.at(to, b.add(b.mul(c, to_stride), b.mul(r, e.i64(step * e.size))))
        left_rows, left_columns = b.sub(rows, r), b.sub(columns, c)
        whole = b.and_(
            b.icmp_signed(">=", left_rows, side), b.icmp_signed(">=", left_columns, side)
        )
        inside, edge, done = (b.append_basic_block(n) for n in ("inside", "edge", "done"))
        b.cbranch(whole, inside, edge)

        b.position_at_end(inside)
        taken = [e.load(origin) for origin in origins]
        if ahead:
            further = b.mul(source_stride, e.i64(_AHEAD))
            for origin in origins:
                e.prefetch(e.at(origin, further))
        for i, vector in enumerate(e.transpose(taken)):
            at = e.at(target, b.mul(e.i64(i), to_stride))
            if table:
                # Patches are long: the lines of the next ones are fetched meanwhile.
                e.prefetch(e.at(at, b.mul(to_stride, e.i64(lanes))), write=True)
            if step > 1:
                every = ir.Constant(ir.VectorType(I1, lanes), [1] * lanes)
                e.store_every(vector, at, step, every)
            else:
                e.store(vector, at)
        b.branch(done)

        b.position_at_end(edge)
        readable = e.mask(0, left_columns)
        none = ir.Constant(ir.VectorType(I1, lanes), [0] * lanes)
        writeable = e.mask(0, b.sub(all_rows, r))
        taken = []
        for i, origin in enumerate(origins):
            exists = b.icmp_signed("<", e.i64(i), left_rows)
            taken.append(e.load_masked(origin, b.select(exists, readable, none)))
        for i, vector in enumerate(e.transpose(taken)):
            exists = b.icmp_signed("<", e.i64(i), left_columns)
            at = e.at(target, b.mul(e.i64(i), to_stride))
            mask = b.select(exists, writeable, none)
            if step > 1:
                e.store_every(vector, at, step, mask)
            else:
                e.store_masked(vector, at, mask)
        b.branch(done)

        b.position_at_end(done)
        down.next([])
        across.next([])


def panel_packer(rows: int, dtype: np.dtype[Any]) -> int:
    """Return the address of the function that turns `rows` rows into a panel.

    It is called with (columns, source, source_stride, to): element (r, c) goes to
    ``to + (c * rows + r) * itemsize``. Up to a vector behind the panel is overwritten. For whole
    squares, nothing is masked: three times as fast as `transposer` where rows do not fill one.
    """
    return link.address(_emit_pack, rows, isa.host().lanes(dtype), dtype_code(dtype))


@link.native(4)
def _emit_pack(b: Any, values: list[Any], rows: int, lanes: int, code: int) -> None:
    columns, source, source_stride, to = values
    e = Emitter(b, code, lanes)
    side = min(lanes, _LARGEST_SQUARE)
    pitch = rows * e.size
    # Rows in groups of a vector; what a short last group leaves empty is overwritten by the next
    # column's first group, which is stored later.
    groups = [range(first, min(first + side, rows)) for first in range(0, rows, side)]

    def squares(read: Callable[[Any], Any]) -> list[list[Any]]:
        zero = ir.Constant(ir.VectorType(e.element, side), None)
        return [
            e.transpose([read(b.mul(e.i64(r), source_stride)) for r in group]
                        + [zero] * (side - len(group)), side)
            for group in groups
        ]  # fmt: skip

    def store(turned: list[list[Any]], column: int, at: Any) -> None:
        for group, vectors in zip(groups, turned, strict=True):
            e.store(vectors[column], e.at(at, group.start * e.size))

    whole = b.sdiv(columns, e.i64(side))
    with e.loop(whole, [source, to], "squares") as loop:
        at, target = loop.values
        turned = squares(lambda offset: e.load(e.at(at, offset), side))
        for column in range(side):
            store(turned, column, e.at(target, column * pitch))
        loop.next([e.at(at, side * e.size), e.at(target, side * pitch)])
    at, target = loop.values
    left = b.srem(columns, e.i64(side))
    mask = e.mask(0, left, lanes=side)
    turned = squares(lambda offset: e.load_masked(e.at(at, offset), mask))
    done = b.append_basic_block("done")
    for column in range(side - 1):
        more = b.append_basic_block("column")
        b.cbranch(b.icmp_signed("<", e.i64(column), left), more, done)
        b.position_at_end(more)
        store(turned, column, e.at(target, column * pitch))
    b.branch(done)
    b.position_at_end(done)


def kernel_packer(rows: int, dtype: np.dtype[Any]) -> int:
    """Return the address of the function that packs kernels whose channels are exchanged.

    It is called with (count, taps, valid, source, row_step, step, targets, steps): tap t of row r
    of the i-th of `count` kernels is read at ``source + i * step + r * row_step + t * itemsize``
    and written to ``targets[t] + i * steps[t] + r * itemsize``, for all `rows` rows; those from
    `valid` on repeat the last.
    """
    return link.address(_emit_kernels, rows, isa.host().lanes(dtype), dtype_code(dtype))


@link.native(8)
def _emit_kernels(b: Any, values: list[Any], rows: int, lanes: int, code: int) -> None:
    count, taps, valid, source, row_step, step, targets, steps = values
    e = Emitter(b, code, lanes)
    side = min(lanes, _LARGEST_SQUARE)
    last = b.sub(valid, e.i64(1))
    offsets = []
    for r in range(rows):
        row = b.select(b.icmp_signed("<", last, e.i64(r)), last, e.i64(r))
        offsets.append(b.mul(row, row_step))
    zero = ir.Constant(ir.VectorType(e.element, side), None)
    squares = b.sdiv(b.add(taps, e.i64(side - 1)), e.i64(side))
    with e.loop(count, [source, e.i64(0)], "kernels") as each:
        kernel, number = each.values
        with e.loop(squares, [], "taps") as across:
            first = b.mul(across.index, e.i64(side))
            left = b.sub(taps, first)
            mask = e.mask(0, left, lanes=side)
            start = e.at(kernel, b.mul(first, e.i64(e.size)))
            turned = []
            for begin in range(0, rows, side):
                group = offsets[begin : begin + side]
                taken = [e.load_masked(e.at(start, offset), mask) for offset in group]
                turned.append(e.transpose(taken + [zero] * (side - len(group)), side))
            done = b.append_basic_block("done")
            for t in range(side):
                entry = b.mul(b.add(first, e.i64(t)), e.i64(8))
                to = e.load_int(e.at(targets, entry))
                to = b.add(to, b.mul(number, e.load_int(e.at(steps, entry))))
                for i, vectors in enumerate(turned):
                    held = min(side, rows - i * side)
                    at = e.at(to, i * side * e.size)
                    if held == side:
                        e.store(vectors[t], at)
                    else:
                        exact = ir.Constant(
                            ir.VectorType(I1, side), [int(j < held) for j in range(side)]
                        )
                        e.store_masked(vectors[t], at, exact)
                if t + 1 < side:
                    more = b.append_basic_block("tap")
                    b.cbranch(b.icmp_signed("<", e.i64(t + 1), left), more, done)
                    b.position_at_end(more)
            b.branch(done)
            b.position_at_end(done)
            across.next([])
        each.next([e.at(kernel, step), b.add(number, e.i64(1))])
