"""Winograd's transforms where channels are last: a lane is a channel, so nothing is turned.

Every pixel of a tile has an address of its own, in a table: what lies outside of an image is read
from a line of zeros, and written where nobody reads.
"""

from typing import Any

import numpy as np

from numbaconv.native import isa, link, toomcook
from numbaconv.native.emit import Emitter, dtype_code
from numbaconv.native.winograd import apply, apply_transposed, note_infinite, transform_of

_FLOAT = np.dtype(np.float32)


def input_transform(tall: int, wide: int) -> int:
    """Return the address of ``B.T x B`` for the channels of a tile of `tall` by `wide` pixels.

    It is called with (pixels, channels, to, stride): `pixels` is a table of their addresses;
    element (i, j) of the result goes to ``to + (i * wide + j) * stride``, whole vectors of it.
    """
    return link.address(_input, tall, wide, isa.host().lanes(_FLOAT))


def output_transform(m_tall: int, r_tall: int, m_wide: int, r_wide: int) -> int:
    """Return the address of ``A.T y A`` for the output channels of a tile.

    It is called with (products, stride, pixels, channels, bias, flag): element (i, j) lies at
    ``products + (i * n + j) * stride``, and the results go to the addresses in the table `pixels`,
    with a bias for each channel. The int64 at `flag` becomes 1 where a result is not finite.
    """
    return link.address(_output, m_tall, r_tall, m_wide, r_wide, isa.host().lanes(_FLOAT))


@link.native(4)
def _input(b: Any, values: list[Any], tall: int, wide: int, lanes: int) -> None:
    pixels, channels, to, stride = values
    e = Emitter(b, dtype_code(_FLOAT), lanes)
    down, across = transform_of(tall), transform_of(wide)
    vectors = b.sdiv(b.add(channels, e.i64(lanes - 1)), e.i64(lanes))
    with e.loop(vectors, [e.i64(0)], "vectors") as loop:
        (at,) = loop.values
        inside = e.mask(0, b.sub(channels, b.mul(loop.index, e.i64(lanes))))
        rows = []
        for i in range(tall):
            row = []
            for j in range(wide):
                pixel = e.load_int(e.at(pixels, 8 * (i * wide + j)))
                row.append(e.load_masked(b.add(pixel, at), inside))
            rows.append(apply(e, across, row))
        for j in range(wide):
            column = apply(e, down, [rows[i][j] for i in range(tall)])
            for i in range(tall):
                step = b.mul(stride, e.i64(i * wide + j))
                e.store(column[i], b.add(b.add(to, step), at))
        loop.next([b.add(at, e.i64(lanes * e.size))])


@link.native(6)
def _output(b: Any, values: list[Any], mt: int, rt: int, mw: int, rw: int, lanes: int) -> None:
    products, stride, pixels, channels, bias, flag = values
    e = Emitter(b, dtype_code(_FLOAT), lanes)
    down, across = toomcook.matrices(mt, rt)[0], toomcook.matrices(mw, rw)[0]
    tall, wide = down.shape[1], across.shape[1]
    vectors = b.sdiv(b.add(channels, e.i64(lanes - 1)), e.i64(lanes))
    with e.loop(vectors, [e.i64(0), e.zero], "vectors") as loop:
        at, check = loop.values
        inside = e.mask(0, b.sub(channels, b.mul(loop.index, e.i64(lanes))))
        columns = []
        for j in range(wide):
            taken = [
                e.load(b.add(b.add(products, b.mul(stride, e.i64(i * wide + j))), at))
                for i in range(tall)
            ]
            columns.append(apply_transposed(e, down, taken))
        offset = e.load(b.add(bias, at))
        for i in range(mt):
            row = apply_transposed(e, across, [columns[j][i] for j in range(wide)])
            for j, vector in enumerate(row):
                value = e.add(vector, offset)
                # 0 for what is finite, else NaN.
                check = e.add(check, e.sub(value, value))
                pixel = e.load_int(e.at(pixels, 8 * (i * mw + j)))
                e.store_masked(value, b.add(pixel, at), inside)
        loop.next([b.add(at, e.i64(lanes * e.size)), check])
    note_infinite(e, loop.values[1], flag)
