"""Copies rows of an image into a workspace, with the zeros of their padding."""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils

from numbaconv.native import isa, link
from numbaconv.native.emit import I1, I32, I64, Emitter, dtype_code
from numbaconv.problem.arrays import Array
from numbaconv.problem.formulas import end_inside, first_inside

#: In a table of row or column offsets: there is no such row, its elements are zeros.
NOTHING = -(2**63)


def copier(step: int, dtype: np.dtype[Any], *, exact: bool = False) -> int:
    """Return the address of the function that copies rows, taking every `step`-th element.

    It is called with (to, to_stride, source, rows, count, length, low, high, columns): row r of
    `count` goes to ``to + r * to_stride``; element j of its `length` comes from
    ``source + rows[r] + j * step * itemsize`` where ``low <= j < high``, else it is zero. Rows
    whose offset is `NOTHING` are zeros. Steps over 2 are read through `columns`, a table of byte
    offsets for all j, which is padded to whole vectors with `NOTHING`.

    Unless `exact`, up to one vector behind a row is overwritten: rows go upwards, without gaps that
    matter, and a vector of slack follows the last.
    """
    kind = step if step in (1, 2) else 0
    return link.address(_emit, kind, int(exact), isa.host().lanes(dtype), dtype_code(dtype))


def column_table(
    size: int, starts: Array, stride: int, width: int, nbytes: int, lanes: int, *, every: bool
) -> Array:  # fmt: skip
    """Return low, high, start and a table of offsets for what is read from each of some columns on.

    Columns of the input are `nbytes` apart, of which every `stride`-th is read, `width` in all; the
    table has two vectors of `NOTHING` behind it. It has nothing but these unless `every` offset is
    asked for, which copiers that step do without.
    """
    found = np.full((len(starts), 3 + width * every + 2 * lanes), NOTHING, np.int64)
    for row, start in zip(found, starts.tolist(), strict=True):
        first = first_inside(start, stride, width)
        end = max(first, end_inside(start, stride, size, width))
        row[:3] = first, end, start * nbytes
        if every:
            row[3 + first : 3 + end] = np.arange(first, end) * stride * nbytes
    return found


@link.native(9)
def _emit(b: Any, values: list[Any], kind: int, exact: int, lanes: int, code: int) -> None:
    to, to_stride, source, rows, count, length, low, high, columns = values
    e = Emitter(b, code, lanes)
    vectors = b.sdiv(b.add(length, e.i64(lanes - 1)), e.i64(lanes))
    # The last vector of all rows first: what it writes behind its row is then overwritten by the
    # first vector of the next.
    with e.loop(vectors, [], "vectors") as outer:
        vector = b.sub(b.sub(vectors, e.i64(1)), outer.index)
        j = b.mul(vector, e.i64(lanes))
        inside = e.mask(0, b.sub(length, j)) if exact else None
        read = _reader(e, kind, j, b.sub(low, j), b.sub(high, j), columns)
        target = e.at(to, b.mul(j, e.i64(e.size)))
        with e.loop(count, [target, rows], "rows") as inner:
            at, table = inner.values
            offset = e.load_int(table)
            missing = b.icmp_signed("==", offset, e.i64(NOTHING))
            empty, present, stored = (b.append_basic_block(n) for n in ("no", "yes", "stored"))
            b.cbranch(missing, empty, present)
            b.position_at_end(present)
            value = read(e.at(source, offset))
            b.branch(stored)
            b.position_at_end(empty)
            b.branch(stored)
            b.position_at_end(stored)
            row = b.phi(e.vector)
            row.add_incoming(value, present)
            row.add_incoming(e.zero, empty)
            if exact:
                e.store_masked(row, at, inside)
            else:
                e.store(row, at)
            inner.next([b.add(at, to_stride), e.at(table, 8)])
        outer.next([])


def _reader(
    e: Emitter, kind: int, j: Any, low: Any, high: Any, columns: Any
) -> Callable[[Any], Any]:
    """Return what emits the read of one vector of a row, given where the row begins."""
    b = e.b
    if kind == 0:
        offsets = b.inttoptr(
            e.at(columns, b.mul(j, e.i64(8))), ir.VectorType(I64, e.lanes).as_pointer()
        )
        table = b.load(offsets)
        table.align = 8
        nothing = e.broadcast(e.i64(NOTHING))
        inside = b.icmp_signed("!=", table, nothing)
        return lambda row: gather(e, b.add(table, e.broadcast(row)), inside)
    mask = e.mask(low, high)
    if kind == 1:
        start = b.mul(j, e.i64(e.size))
        return lambda row: e.load_masked(e.at(row, start), mask)
    return every_second(e, mask, b.mul(j, e.i64(2 * e.size)))


def every_second(e: Emitter, mask: Any, start: Any) -> Callable[[Any], Any]:
    """Return what emits the read of every second element from `start` bytes into a row."""
    none = ir.Constant(ir.VectorType(I1, e.lanes), None)

    def spread(first: int) -> Any:
        picks = [first + i // 2 if i % 2 == 0 else e.lanes for i in range(e.lanes)]
        return e.shuffle(mask, none, picks)

    masks = spread(0), spread(e.lanes // 2)

    def read(row: Any) -> Any:
        at = e.at(row, start)
        x = e.load_masked(at, masks[0])
        y = e.load_masked(e.at(at, e.lanes * e.size), masks[1])
        return e.shuffle(x, y, range(0, 2 * e.lanes, 2))

    return read


def gather(e: Emitter, addresses: Any, mask: Any) -> Any:
    """Return the elements at a vector of addresses, zero where the mask is not set."""
    b = e.b
    pointers = ir.VectorType(e.element.as_pointer(), e.lanes)
    kind = ir.FunctionType(e.vector, [pointers, I32, mask.type, e.vector])
    letter = f"{'f' if e.is_float else 'i'}{8 * e.size}"
    name = f"llvm.masked.gather.v{e.lanes}{letter}.v{e.lanes}p0"
    function = cgutils.get_or_insert_function(b.module, kind, name)
    return b.call(
        function, [b.inttoptr(addresses, pointers), ir.Constant(I32, e.size), mask, e.zero]
    )
