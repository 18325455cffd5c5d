"""Sums over the taps of one plane, without a patch: depthwise convolution and image filters.

A lane is an output position along the row (channels first) or a channel (channels last). Columns
that the padding would hold are masked, rows that it would hold are read from a row of zeros, so the
input is read where it is.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

from numbaconv.native import isa, link
from numbaconv.native.emit import I64, Emitter, dtype_code
from numbaconv.native.rows import every_second, gather

#: Kernels up to this many taps, dense and of stride 1 or 2, have code of their own.
MOST_UNROLLED = 49
#: Taps whose weights stay in registers.
_MOST_HELD = 9


def band(
    rows: int, dtype: np.dtype[Any], kernel: tuple[int, int], stride: tuple[int, int],
    dilation: tuple[int, int], *, accumulate: bool,
) -> int:  # fmt: skip
    """Return the address of the function that convolves one plane into `rows` output rows.

    It is called with (table, weights, bias, to, to_stride, out_width, in_width, low,
    kernel_height, kernel_width, row_step, row_dilation, column_dilation, column_step): `table`
    holds the address of each padded input row from the first that the band reads; the sums start
    from the one bias, or with `accumulate` are added to what is at `to`. Strides are in bytes, the
    rest in elements.
    """
    unrolled = (
        kernel[0] * kernel[1] <= MOST_UNROLLED
        and dilation == (1, 1)
        and stride[1] in (1, 2)
        and stride[0] in (1, 2)
    )
    tall, wide, step = (*kernel, stride[0]) if unrolled else (0, 0, 0)
    across = stride[1] if stride[1] in (1, 2) else 0
    lanes = isa.host().lanes(dtype)
    return link.address(
        _emit_band, rows, tall, wide, step, across, int(accumulate), lanes, dtype_code(dtype)
    )


def small_planes(
    in_height: int, low: int, rows: int, dtype: np.dtype[Any], kernel: tuple[int, int],
    stride: tuple[int, int],
) -> int:  # fmt: skip
    """Return the address of the function that convolves many small planes, each with its kernel.

    All sizes but the width are literal, so nothing is decided for each plane. It is called with (x,
    x_plane, x_row, weights, bias, to, to_plane, to_row, out_width, in_width, low, column_step,
    count).
    """
    return link.address(
        _emit_planes, in_height, low, rows, *kernel, *stride, isa.host().lanes(dtype),
        dtype_code(dtype),
    )  # fmt: skip


def pixels(count: int, dtype: np.dtype[Any], *, spread: bool) -> int:
    """Return the address of the function that convolves all channels at `count` output pixels.

    It is called with (table, tap_rows, kernel_height, kernel_width, pixel_step, column_dilation,
    weights, bias, to, channels, lanes_table): ``table + a * tap_rows`` holds the addresses of the
    padded pixels of the input row of tap row a. With `spread` an output channel reads the input
    channel whose byte offset `lanes_table` gives.
    """
    lanes = isa.host().lanes(dtype)
    return link.address(_emit_pixels, count, int(spread), lanes, dtype_code(dtype))


@link.native(14)
def _emit_band(
    b: Any, values: list[Any], rows: int, tall: int, wide: int, step: int, across: int,
    resumed: int, lanes: int, code: int,
) -> None:  # fmt: skip
    (
        table, weights, bias, to, to_stride, out_width, in_width, low, *_, column_step,
    ) = values  # fmt: skip
    e = Emitter(b, code, lanes)
    start = e.splat(bias)
    held: dict[tuple[int, int], Any] = {}
    if tall * wide <= _MOST_HELD:
        for i in range(tall):
            for j in range(wide):
                held[i, j] = e.splat(e.at(weights, (i * wide + j) * e.size))

    def weight(i: int, j: int) -> Any:
        found = held.get((i, j))
        return e.splat(e.at(weights, (i * wide + j) * e.size)) if found is None else found

    blocks = b.sdiv(b.add(out_width, e.i64(lanes - 1)), e.i64(lanes))
    with e.loop(blocks, [], "columns") as loop:
        j0 = b.mul(loop.index, e.i64(lanes))
        inside = e.mask(0, b.sub(out_width, j0))
        target = e.at(to, b.mul(j0, e.i64(e.size)))
        sums = [e.zero if resumed else start] * rows
        first = b.sub(b.mul(j0, column_step), low)
        if tall:
            reads = [
                _column_reader(e, across, b.add(first, e.i64(j)), in_width, column_step)
                for j in range(wide)
            ]
            for r in range((rows - 1) * step + tall):
                # Loaded here: there are too many rows to keep their addresses in registers.
                row = e.load_int(e.at(table, 8 * r))
                users = [(i, r - i * step) for i in range(rows) if 0 <= r - i * step < tall]
                if not users:
                    continue
                for j in range(wide):
                    value = reads[j](row)
                    for i, a in users:
                        sums[i] = e.multiply_add(weight(a, j), value, sums[i])
        else:
            sums = _sum_taps(e, sums, first, table, weights, across, values)
        for total in sums:
            if resumed:
                total = e.add(e.load_masked(target, inside), total)
            e.store_masked(total, target, inside)
            target = b.add(target, to_stride)
        loop.next([])


@link.native(13)
def _emit_planes(
    b: Any, values: list[Any], in_height: int, low: int, rows: int, tall: int, wide: int,
    step: int, across: int, lanes: int, code: int,
) -> None:  # fmt: skip
    (
        x, x_plane, x_row, weights, bias, to, to_plane, to_row, out_width, in_width, first,
        column_step, count,
    ) = values  # fmt: skip
    e = Emitter(b, code, lanes)
    blocks = b.sdiv(b.add(out_width, e.i64(lanes - 1)), e.i64(lanes))
    with e.loop(blocks, [], "columns") as columns:
        j0 = b.mul(columns.index, e.i64(lanes))
        inside = e.mask(0, b.sub(out_width, j0))
        column = b.sub(b.mul(j0, column_step), first)
        reads = [
            _column_reader(e, across, b.add(column, e.i64(j)), in_width, column_step)
            for j in range(wide)
        ]
        start = e.at(to, b.mul(j0, e.i64(e.size)))
        with e.loop(count, [x, weights, bias, start], "planes") as planes:
            plane, taps, offset, target = planes.values
            held: dict[tuple[int, int], Any] = {}

            def weight(i: int, j: int) -> Any:
                if (i, j) not in held:
                    held[i, j] = e.splat(e.at(taps, (i * wide + j) * e.size))
                return held[i, j]

            sums = [e.splat(offset)] * rows
            row = plane
            for r in range((rows - 1) * step + tall):
                users = [(i, r - i * step) for i in range(rows) if 0 <= r - i * step < tall]
                exists = 0 <= r - low < in_height
                for j in range(wide):
                    # Zeros of the padding take part, so that 0 times infinity shows.
                    value = reads[j](row) if exists and users else e.zero
                    for i, a in users:
                        sums[i] = e.multiply_add(weight(a, j), value, sums[i])
                if exists:
                    row = b.add(row, x_row)
            at = target
            for total in sums:
                e.store_masked(total, at, inside)
                at = b.add(at, to_row)
            planes.next([
                b.add(plane, x_plane), e.at(taps, tall * wide * e.size), e.at(offset, e.size),
                b.add(target, to_plane),
            ])  # fmt: skip
        columns.next([])


def _sum_taps(
    e: Emitter,
    sums: list[Any],
    first: Any,
    table: Any,
    weights: Any,
    across: int,
    values: list[Any],
) -> list[Any]:
    """Emit the loops over the taps of a kernel of any size."""
    b = e.b
    in_width = values[6]
    kernel_height, kernel_width, row_step, row_dilation, column_dilation, column_step = values[8:]
    with e.loop(kernel_height, [table, weights, *sums], "tap.rows") as outer:
        rows_of_tap, at, *sums = outer.values
        starts = [
            e.load_int(e.at(rows_of_tap, b.mul(b.mul(row_step, e.i64(i)), e.i64(8))))
            for i in range(len(sums))
        ]
        with e.loop(kernel_width, [at, first, *sums], "taps") as inner:
            here, column, *inner_sums = inner.values
            read = _column_reader(e, across, column, in_width, column_step)
            factor = e.splat(here)
            inner_sums = [
                e.multiply_add(factor, read(start), total)
                for start, total in zip(starts, inner_sums, strict=True)
            ]
            inner.next([e.at(here, e.size), b.add(column, column_dilation), *inner_sums])
        at, _, *sums = inner.values
        outer.next([b.add(rows_of_tap, b.mul(row_dilation, e.i64(8))), at, *sums])
    return list(outer.values[2:])


def _column_reader(
    e: Emitter, across: int, column: Any, in_width: Any, column_step: Any
) -> Callable[[Any], Any]:
    """Return what emits the read of a vector of a row from input column `column` on.

    Lane j reads column ``column + j * column_step``; those outside [0, in_width) are zeros.
    """
    b = e.b
    offset = b.mul(column, e.i64(e.size))
    low, high = b.sub(e.i64(0), column), b.sub(in_width, column)
    if across == 1:
        mask = e.mask(low, high)
        return lambda row: e.load_masked(b.add(row, offset), mask)
    if across == 2:
        mask = e.mask(low, high, step=2)
        return every_second(e, mask, offset)
    lanes = ir.Constant(ir.VectorType(I64, e.lanes), list(range(e.lanes)))
    places = b.mul(lanes, e.broadcast(column_step))
    mask = b.and_(
        b.icmp_signed(">=", places, e.broadcast(low)), b.icmp_signed("<", places, e.broadcast(high))
    )
    places = b.mul(places, e.broadcast(e.i64(e.size)))
    return lambda row: gather(e, b.add(places, e.broadcast(b.add(row, offset))), mask)


@link.native(11)
def _emit_pixels(b: Any, values: list[Any], count: int, spread: int, lanes: int, code: int) -> None:
    (
        table, tap_rows, kernel_height, kernel_width, pixel_step, column_dilation, weights, bias,
        to, channels, lanes_table,
    ) = values  # fmt: skip
    e = Emitter(b, code, lanes)
    row_bytes = b.mul(channels, e.i64(e.size))
    blocks = b.sdiv(b.add(channels, e.i64(lanes - 1)), e.i64(lanes))
    with e.loop(blocks, [], "channels") as loop:
        c = b.mul(loop.index, e.i64(lanes))
        inside = e.mask(0, b.sub(channels, c))
        offset = b.mul(c, e.i64(e.size))
        if spread:
            kind = ir.VectorType(I64, lanes)
            place = b.inttoptr(e.at(lanes_table, b.mul(c, e.i64(8))), kind.as_pointer())
            sources = b.load(place)
            sources.align = 8

        def read(
            pixel: Any, offset: Any = offset, inside: Any = inside,
            sources: Any = sources if spread else None,
        ) -> Any:  # fmt: skip
            if sources is None:
                return e.load_masked(b.add(pixel, offset), inside)
            return gather(e, b.add(sources, e.broadcast(pixel)), inside)

        start = e.load_masked(e.at(bias, offset), inside)
        carried = [table, e.at(weights, offset), *([start] * count)]
        with e.loop(kernel_height, carried, "tap.rows") as outer:
            row, at, *sums = outer.values
            with e.loop(kernel_width, [row, at, *sums], "taps") as inner:
                entry, here, *inner_sums = inner.values
                factor = e.load_masked(here, inside)
                new = []
                for i, total in enumerate(inner_sums):
                    pixel = e.load_int(e.at(entry, b.mul(b.mul(pixel_step, e.i64(i)), e.i64(8))))
                    new.append(e.multiply_add(factor, read(pixel), total))
                inner.next(
                    [e.at(entry, b.mul(column_dilation, e.i64(8))), b.add(here, row_bytes), *new]
                )
            _, here, *sums = inner.values
            outer.next([b.add(row, tap_rows), here, *sums])
        for i, total in enumerate(outer.values[2:]):
            at = e.at(e.at(to, offset), b.mul(row_bytes, e.i64(i)))
            e.store_masked(total, at, inside)
        loop.next([])
