"""Means of windows that share little, of whole planes, and the shares that flow back."""

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir

from numbaconv.native import isa, link
from numbaconv.native.emit import I32, Emitter, dtype_code
from numbaconv.native.row_ops import divided as quotient

_DOUBLE, _INT = np.dtype(np.float64), np.dtype(np.int64)
# Vectors of a row of gradients, or runs of pixels, that are written to each row.
_SHORT_ROW = 8
# Lanes of a window's vectors, at least.
_LEAST_LANES = 4


def averager(dtype: np.dtype[Any], widest: int) -> int:
    """Return the address of the function that takes the mean of each window of some planes.

    It is called with (planes, down, x, x_plane, x_row, to, to_plane, rows, across, columns,
    divisor), strides in bytes: `rows` is the address of where each of `down` windows begins and
    ends, two int64, `columns` that of `across` ones, of `widest` elements at most. Sums are
    divided by the divisor, or by the elements of the window if that is 0. Floats are summed in
    float64; integers, of 64 bits, are truncated.
    """
    unsigned = dtype.kind == "u"
    code = dtype_code(_INT if unsigned else dtype)
    return link.address(_emit_means, _lanes(dtype, widest), code, int(unsigned))


def vectors(dtype: np.dtype[Any], width: int) -> int:
    """Return in how many vectors a row of a window is read."""
    return -(-width // _lanes(dtype, width))


def _lanes(dtype: np.dtype[Any], widest: int) -> int:
    lanes = isa.host().nbytes // dtype.itemsize
    while lanes > _LEAST_LANES and lanes >= 2 * widest:
        lanes //= 2
    return lanes


@link.native(11)
def _emit_means(b: Any, values: list[Any], lanes: int, code: int, unsigned: int) -> None:
    planes, down, x, x_plane, x_row, to, to_plane, rows, across, columns, divisor = values
    e = Emitter(b, code, lanes)
    wide = Emitter(b, dtype_code(_DOUBLE if e.is_float else _INT), lanes)
    one = Emitter(b, dtype_code(_DOUBLE if e.is_float else _INT), 1)
    nbytes, first = e.i64(lanes * e.size), ir.Constant(I32, 0)

    def plus(total: Any, part: Any) -> Any:
        return wide.add(total, _widened(e, wide.vector, part))

    with (
        e.loop(planes, [], "planes") as plane,
        e.loop(down, [], "down") as row,
        e.loop(across, [], "across") as column,
    ):
        (top, bottom), (left, right) = (
            _ints(e, rows, row.index, 2),
            _ints(e, columns, column.index, 2),
        )
        height, width = b.sub(bottom, top), b.sub(right, left)
        at = e.at(e.at(x, b.mul(plane.index, x_plane)), b.mul(top, x_row))
        at = e.at(at, b.mul(left, e.i64(e.size)))
        whole = b.sdiv(b.sub(width, e.i64(1)), e.i64(lanes))
        behind = b.mul(whole, nbytes)
        mask = e.mask(0, b.sub(width, b.mul(whole, e.i64(lanes))))
        with e.loop(height, [at, wide.zero, wide.zero], "rows") as inner:
            at, total, rest = inner.values
            with e.loop(whole, [total], "vectors") as loop:
                part = e.load(e.at(at, b.mul(loop.index, nbytes)))
                loop.next([plus(loop.values[0], part)])
            rest = plus(rest, e.load_masked(e.at(at, behind), mask))
            inner.next([b.add(at, x_row), *loop.values, rest])
        total, half = wide.add(*inner.values[1:]), lanes // 2
        while half:
            picks = [(lane + half) % lanes for lane in range(lanes)]
            total = wide.add(total, wide.shuffle(total, total, picks))
            half //= 2
        counted = b.icmp_signed("==", divisor, e.i64(0))
        factor = b.select(counted, b.mul(height, width), divisor)
        ones = one.constant(1.0) if e.is_float else one.broadcast(e.i64(1))
        mean = quotient(one, one.broadcast(b.extract_element(total, first)), ones, factor, unsigned)
        mean = _narrowed(e, e.element, b.extract_element(mean, first))
        place = b.add(b.mul(row.index, across), column.index)
        e.store(mean, e.at(e.at(to, b.mul(plane.index, to_plane)), b.mul(place, e.i64(e.size))))
        for loop in (column, row, plane):
            loop.next([])


def sharer(dtype: np.dtype[Any], *, last: bool) -> int:
    """Return the address of the function that writes rows of some planes' gradients.

    It is called with (planes, z0, z1, d0, d1, groups, cells, cell, to, to_plane, to_depth, to_row,
    grad, grad_plane, grad_depth, grad_row, down, across, counts, row_counts, column_counts, masks,
    most): elements from `z0` to `z1` along the first axis are in windows from `d0` to `d1`. Of
    `down`, the `groups`, and of `across`, the `cells`, are four int64 each: the first element and
    the end, and the first window and the end. Counts are float64, their product the elements of a
    window, for float64; for float32, of their inverses, which are exact enough. Strides are in
    bytes.

    With channels `last`, `cell` is their number (else 1), and the elements of `across` are pixels
    in the same windows. Else in `masks` are `most` int64 for each: the lanes that a window holds,
    as bits, of one window after the other; what is longer than a vector is in the same windows.
    Sums are in float64, those of float64 itself compensated.
    """
    return link.address(_emit_shares, isa.host().lanes(dtype), dtype_code(dtype), int(last))


class _Shares(NamedTuple):
    """The arguments of a sharer, as values."""

    planes: Any
    z0: Any
    z1: Any
    d0: Any
    d1: Any
    groups: Any
    cells: Any
    cell: Any
    to: Any
    to_plane: Any
    to_depth: Any
    to_row: Any
    grad: Any
    grad_plane: Any
    grad_depth: Any
    grad_row: Any
    down: Any
    across: Any
    counts: Any
    row_counts: Any
    column_counts: Any
    masks: Any
    most: Any


@link.native(23)
def _emit_shares(b: Any, values: list[Any], lanes: int, code: int, last: int) -> None:
    a, e = _Shares(*values), Emitter(b, code, lanes)
    pixel, nbytes = b.mul(a.cell, e.i64(e.size)), e.i64(lanes * e.size)
    short = b.icmp_signed("<=", a.cells, e.i64(_SHORT_ROW))
    deep = b.icmp_signed(">", b.sub(a.z1, a.z0), e.i64(1))

    def vectors_of(count: Any) -> Any:
        return b.sdiv(b.add(count, e.i64(lanes - 1)), e.i64(lanes))

    with e.loop(a.groups, [], "down") as row:
        h0, h1, r0, r1 = _ints(e, a.down, row.index, 4)
        first = b.add(a.to, b.add(b.mul(h0, a.to_row), b.mul(a.z0, a.to_depth)))
        # Of short rows all; what has just been stored in part is slow to load.
        written = b.select(short, b.sub(h1, h0), e.i64(1))
        with (
            e.loop(a.cells, [], "across") as column,
            e.loop(vectors_of(a.cell), [], "channels") as part,
        ):
            # What is the same for all planes is found once.
            w0, w1, c0, c1 = _ints(e, a.across, column.index, 4)
            offset = b.mul(part.index, nbytes)
            left = b.sub(a.cell, b.mul(part.index, e.i64(lanes))) if last else b.sub(w1, w0)
            inside = e.mask(0, left)
            masks = None if last else e.at(a.masks, b.mul(column.index, b.mul(a.most, e.i64(8))))
            with e.loop(a.planes, [], "planes") as plane:
                source = b.add(a.grad, b.add(b.mul(plane.index, a.grad_plane), offset))
                total = _sum_of_shares(e, a, source, (r0, r1, c0, c1), inside, masks)
                to = b.add(first, b.add(b.mul(plane.index, a.to_plane), offset))
                with (
                    e.loop(written, [], "written") as h,
                    e.loop(b.sub(w1, w0) if last else vectors_of(left), [], "pixels") as w,
                ):
                    step = w.index if last else b.mul(w.index, e.i64(lanes))
                    at = b.add(b.mul(h.index, a.to_row), b.mul(b.add(w0, step), pixel))
                    mask = inside if last else e.mask(0, b.sub(left, step))
                    e.store_masked(total, b.add(to, at), mask)
                    w.next([])
                    h.next([])
                plane.next([])
            part.next([])
            column.next([])
        # The other rows in the same windows are copies.
        with (
            b.if_then(b.or_(deep, b.icmp_signed(">", b.sub(h1, h0), written))),
            e.loop(a.planes, [], "planes") as plane,
        ):
            to = b.add(first, b.mul(plane.index, a.to_plane))
            _copy_rows(e, a, b.sub(h1, h0), written, to)
            plane.next([])
        row.next([])


def _sum_of_shares(
    e: Emitter, a: _Shares, source: Any, windows: tuple[Any, ...], inside: Any, masks: Any
) -> Any:
    """Return what a vector of elements gets of some windows; with `masks`, each of some of them."""
    b, wide = e.b, Emitter(e.b, dtype_code(_DOUBLE), e.lanes)
    divided = b.fdiv if e.size == 8 else b.fmul
    r0, r1, c0, c1 = windows

    def number(table: Any, index: Any) -> Any:
        at = e.at(table, b.mul(index, e.i64(8)))
        return b.load(b.inttoptr(at, wide.element.as_pointer()))

    with e.loop(b.sub(a.d1, a.d0), [wide.zero] * 2, "depths") as d:
        z = b.add(a.d0, d.index)
        with e.loop(b.sub(r1, r0), d.values, "rows") as r:
            y = b.add(r0, r.index)
            of_row = b.fmul(number(a.counts, z), number(a.row_counts, y))
            at = b.add(source, b.add(b.mul(z, a.grad_depth), b.mul(y, a.grad_row)))
            with e.loop(b.sub(c1, c0), r.values, "windows") as c:
                x = b.add(c0, c.index)
                count = b.fmul(of_row, number(a.column_counts, x))
                at = e.at(at, b.mul(x, b.mul(a.cell, e.i64(e.size))))
                if masks is None:
                    share = _widened(e, wide.vector, e.load_masked(at, inside))
                    share = divided(share, wide.broadcast(count))
                else:
                    (bits,) = _ints(e, masks, c.index, 1)
                    held = b.bitcast(b.trunc(bits, ir.IntType(e.lanes)), inside.type)
                    share = _widened(e, wide.element, e.load_element(at))
                    share = b.select(held, wide.broadcast(divided(share, count)), wide.zero)
                high, low = c.values
                compensated = wide.two_sum(high, low, share)
                c.next([b.fadd(high, share), low] if e.size < 8 else list(compensated))
            r.next(c.values)
        d.next(r.values)
    total = wide.whole_sum(*d.values) if e.size == 8 else d.values[0]
    return _narrowed(e, e.vector, total)


def _copy_rows(e: Emitter, a: _Shares, height: Any, written: Any, first: Any) -> None:
    """Copy a row to all others of a group but those that are `written`."""
    b, nbytes = e.b, e.i64(e.lanes * e.size)
    whole, left = b.sdiv(a.to_row, nbytes), b.sdiv(b.srem(a.to_row, nbytes), e.i64(e.size))
    behind, inside = b.mul(whole, nbytes), e.mask(0, left)
    with (
        e.loop(b.sub(a.z1, a.z0), [], "to_depths") as z,
        e.loop(height, [], "to_rows") as h,
    ):
        at = b.add(first, b.add(b.mul(z.index, a.to_depth), b.mul(h.index, a.to_row)))
        left_out = b.icmp_signed(">=", h.index, written)
        with b.if_then(b.or_(left_out, b.icmp_signed(">", z.index, e.i64(0)))):
            with e.loop(whole, [], "copy") as loop:
                here = b.mul(loop.index, nbytes)
                e.store(e.load(e.at(first, here)), e.at(at, here))
                loop.next([])
            e.store_masked(e.load_masked(e.at(first, behind), inside), e.at(at, behind), inside)
        h.next([])
        z.next([])


def _ints(e: Emitter, table: Any, index: Any, count: int) -> list[Any]:
    """Return the int64 of a row of a table."""
    at = e.at(table, e.b.mul(index, e.i64(8 * count)))
    return [e.load_int(e.at(at, 8 * i)) for i in range(count)]


def _widened(e: Emitter, kind: Any, value: Any) -> Any:
    return e.b.fpext(value, kind) if e.is_float and e.size < 8 else value


def _narrowed(e: Emitter, kind: Any, value: Any) -> Any:
    return e.b.fptrunc(value, kind) if e.is_float and e.size < 8 else value
