"""Winograd's transforms of input tiles, weights and products, a vector of tiles at a time.

A lane is a tile (or, for weights, an output channel), so the arithmetic needs no shuffles; tiles
are turned into lanes by loads of four floats and 4x4 transpositions inside the vector.

Where channels are last a lane is a channel, so nothing is turned. Every pixel of a tile has an
address of its own, in a table: what lies outside of an image is read from a line of zeros, and
written where nobody reads.

The matrices are Toom-Cook's, from interpolation points: ``Y = A.T ((G w) * (B.T x))`` computes m
outputs of an r-tap filter with m + r - 1 multiplications: A. Lavin, S. Gray, "Fast Algorithms for
Convolutional Neural Networks", CVPR 2016, section 2. The points 0, +-1/sqrt(2), +-sqrt(2) keep the
error of n = 6 four times below that of the customary 0, +-1, +-2 (docs/performance.md has the
measurement); B. Barabasz et al., "Error Analysis and Improving the Accuracy of Winograd Convolution
for Deep Neural Networks", ACM TOMS 46 (2020).
"""

import functools
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from numbaconv.native import isa, link
from numbaconv.native.emit import DTYPES, Emitter, dtype_code

_Matrix = npt.NDArray[np.float64]

_ROOT = math.sqrt(2.0)
# The finite points by n; infinity is always the last.
_POINTS: dict[int, tuple[float, ...]] = {
    4: (0.0, 1.0, -1.0),
    6: (0.0, 1 / _ROOT, -1 / _ROOT, _ROOT, -_ROOT),
}
_FLOAT = DTYPES[dtype_code(np.dtype("f4"))]


def input_transform(tall: int, wide: int) -> int:
    """Return the address of ``B.T x B`` for tiles of `tall` by `wide` inputs.

    It is called with (buffer, tiles, pitch, to, stride): `tiles` is a table of one byte offset a
    lane; rows of a tile are `pitch` bytes apart; element (i, j) of the result goes to
    ``to + (i * wide + j) * stride``.
    """
    return link.address(_input, tall, wide, isa.host().lanes(_FLOAT))


def output_transform(m_tall: int, r_tall: int, m_wide: int, r_wide: int) -> int:
    """Return the address of ``A.T y A``.

    It is called with (products, stride, to, tiles, pitch, bias, flag): the result of each lane goes
    to ``to`` plus its offset in `tiles`, with the one bias added. The int64 at `flag` becomes 1
    where a result is not finite.
    """
    return link.address(_output, m_tall, r_tall, m_wide, r_wide, isa.host().lanes(_FLOAT))


def weight_transform(m_tall: int, r_tall: int, m_wide: int, r_wide: int) -> int:
    """Return the address of ``G w G.T`` over packed panels.

    It is called with (panel, channels, rows, to, stride): `panel` holds for each channel its taps,
    `rows` elements each; the result's element (i, j) of channel c goes to
    ``to + (i * n + j) * stride + c * rows * 4``.
    """
    return link.address(_weight, m_tall, r_tall, m_wide, r_wide, isa.host().lanes(_FLOAT))


def _combine(e: Emitter, factors: Any, vectors: list[Any]) -> Any:
    """Return the sum of factor times vector, in the fewest operations."""
    terms = [(float(f), v) for f, v in zip(factors, vectors, strict=True) if f != 0]
    terms.sort(key=lambda term: (term[0] != 1, term[0] != -1))
    factor, total = terms[0]
    if factor != 1:
        total = e.scaled(factor, total)
    for factor, vector in terms[1:]:
        if factor == 1:
            total = e.add(total, vector)
        elif factor == -1:
            total = e.sub(total, vector)
        else:
            total = e.multiply_add(e.constant(factor), vector, total)
    return total


def _apply(e: Emitter, matrix: _Matrix, vectors: list[Any]) -> list[Any]:
    """Return the matrix times the vectors.

    Points come in pairs +p, -p, whose rows differ in the signs of odd columns only: their even and
    odd parts are computed once.
    """
    rows = len(matrix)
    columns = len(vectors)
    even = [k for k in range(columns) if k % 2 == 0]
    odd = [k for k in range(columns) if k % 2 == 1]
    results: list[Any] = []
    i = 0
    while i < rows:
        row = matrix[i]
        if i + 1 < rows and np.any(row[odd]) and np.any(row[even]):
            mirrored = row.copy()
            mirrored[odd] *= -1
            sign = 1 if np.allclose(matrix[i + 1], mirrored) else 0
            sign = -1 if np.allclose(matrix[i + 1], -mirrored) else sign
            if sign:
                a = _combine(e, row[even], [vectors[k] for k in even])
                b = _combine(e, row[odd], [vectors[k] for k in odd])
                results += [e.add(a, b), e.sub(a, b) if sign == 1 else e.sub(b, a)]
                i += 2
                continue
        results.append(_combine(e, row, vectors))
        i += 1
    return results


def _apply_transposed(e: Emitter, matrix: _Matrix, vectors: list[Any]) -> list[Any]:
    """Return the matrix times the vectors where *columns* come in pairs +p, -p (that is, A.T)."""
    m, n = matrix.shape
    if n == 1:
        return list(vectors)
    sums = [e.add(vectors[j], vectors[j + 1]) for j in range(1, n - 1, 2)]
    differences = [e.sub(vectors[j], vectors[j + 1]) for j in range(1, n - 1, 2)]
    return [
        _combine(
            e,
            [matrix[i, 0], *matrix[i, 1 : n - 1 : 2], matrix[i, n - 1]],
            [vectors[0], *(sums if i % 2 == 0 else differences), vectors[n - 1]],
        )
        for i in range(m)
    ]


def _load_columns(e: Emitter, rows: list[Any], count: int) -> list[Any]:
    """Return the first `count` floats at each lane's address, as one vector a column."""
    blocks = e.lanes // 4
    columns: list[Any] = []
    if count > 4 and e.lanes == 16:
        # One load of eight floats a tile: half of the instructions of two loads of four.
        pairs = [e.concatenate([e.load(rows[k], 8), e.load(rows[k + 8], 8)]) for k in range(8)]
        near, far = e.transpose(pairs[:4], 4), e.transpose(pairs[4:], 4)
        quarter = [list(range(4 * i, 4 * i + 4)) for i in range(8)]
        for first, width in ((0, 4), (1, count - 4)):
            picks = quarter[first] + quarter[4 + first] + quarter[2 + first] + quarter[6 + first]
            columns += [e.shuffle(near[j], far[j], picks) for j in range(width)]
        return columns
    for first in range(0, count, 4):
        squares = [
            e.concatenate([e.load(e.at(rows[4 * b + k], 4 * first), 4) for b in range(blocks)])
            for k in range(4)
        ]
        columns += e.transpose(squares, 4)
    return columns[:count]


def _store_columns(e: Emitter, columns: list[Any], rows: list[Any]) -> None:
    """Store one vector a column as the floats at each lane's address."""
    blocks = e.lanes // 4
    if len(columns) == 4:
        for k, vector in enumerate(e.transpose(columns, 4)):
            for b in range(blocks):
                part = e.shuffle(vector, vector, range(4 * b, 4 * b + 4))
                e.store(part, rows[4 * b + k])
        return
    for lane, row in enumerate(rows):
        for j, vector in enumerate(columns):
            if len(columns) == 2 and j == 0:
                e.store(e.shuffle(vector, columns[1], (lane, e.lanes + lane)), row)
            elif len(columns) != 2:
                e.store(e.shuffle(vector, vector, (lane,)), e.at(row, 4 * j))


def _lane_addresses(e: Emitter, base: Any, tiles: Any) -> list[Any]:
    return [e.at(base, e.load_int(e.at(tiles, 8 * lane))) for lane in range(e.lanes)]


@link.native(5)
def _input(b: Any, values: list[Any], tall: int, wide: int, lanes: int) -> None:
    buffer, tiles, pitch, to, stride = values
    e = Emitter(b, dtype_code(_FLOAT), lanes)
    down, across = _transform_of(tall), _transform_of(wide)
    starts = _lane_addresses(e, buffer, tiles)
    rows = []
    for i in range(tall):
        offset = b.mul(pitch, e.i64(i))
        columns = _load_columns(e, [e.at(start, offset) for start in starts], wide)
        rows.append(_apply(e, across, columns))
    for j in range(wide):
        column = _apply(e, down, [rows[i][j] for i in range(tall)])
        for i in range(tall):
            e.store(column[i], e.at(to, b.mul(stride, e.i64(i * wide + j))))


def _transform_of(n: int) -> _Matrix:
    """Return B.T, which depends on n alone."""
    return _matrices(n, 1)[2] if n == 1 else _matrices(n - 2, 3)[2]


@link.native(7)
def _output(b: Any, values: list[Any], mt: int, rt: int, mw: int, rw: int, lanes: int) -> None:
    products, stride, to, tiles, pitch, bias, flag = values
    e = Emitter(b, dtype_code(_FLOAT), lanes)
    down, across = _matrices(mt, rt)[0], _matrices(mw, rw)[0]
    tall, wide = down.shape[1], across.shape[1]
    columns = []
    for j in range(wide):
        taken = [e.load(e.at(products, b.mul(stride, e.i64(i * wide + j)))) for i in range(tall)]
        columns.append(_apply_transposed(e, down, taken))
    starts = _lane_addresses(e, to, tiles)
    offset = e.splat(bias)
    check = e.zero
    for i in range(mt):
        row = _apply_transposed(e, across, [columns[j][i] for j in range(wide)])
        row = [e.add(vector, offset) for vector in row]
        for vector in row:
            # 0 for what is finite, else NaN.
            check = e.add(check, e.sub(vector, vector))
        step = b.mul(pitch, e.i64(i))
        _store_columns(e, row, [e.at(start, step) for start in starts])
    _note_infinite(e, check, flag)


def _note_infinite(e: Emitter, check: Any, flag: Any) -> None:
    """Set the int64 at `flag` to 1 if a lane of `check` is NaN."""
    b = e.b
    bad = b.fcmp_unordered("!=", check, e.zero)
    bits = b.bitcast(bad, _integer(e.lanes))
    found, clean = b.append_basic_block("found"), b.append_basic_block("clean")
    b.cbranch(b.icmp_unsigned("!=", bits, bits.type(0)), found, clean)
    b.position_at_end(found)
    b.store(e.i64(1), e._pointer(flag, e.i64(1).type))
    b.branch(clean)
    b.position_at_end(clean)


def _integer(bits: int) -> Any:
    from llvmlite import ir

    return ir.IntType(bits)


@link.native(5)
def _weight(b: Any, values: list[Any], mt: int, rt: int, mw: int, rw: int, lanes: int) -> None:
    panel, channels, rows, to, stride = values
    e = Emitter(b, dtype_code(_FLOAT), lanes)
    down, across = _matrices(mt, rt)[1], _matrices(mw, rw)[1]
    tall, wide = len(down), len(across)
    row_bytes = b.mul(rows, e.i64(4))
    vectors = b.sdiv(b.add(rows, e.i64(lanes - 1)), e.i64(lanes))
    with e.loop(vectors, [], "vectors") as outer:
        start = b.mul(outer.index, e.i64(4 * lanes))
        inside = e.mask(0, b.sub(rows, b.mul(outer.index, e.i64(lanes))))
        with e.loop(channels, [e.at(panel, start), e.at(to, start)], "channels") as inner:
            source, target = inner.values
            taps = [
                e.load_masked(e.at(source, b.mul(row_bytes, e.i64(t))), inside)
                for t in range(rt * rw)
            ]
            columns = [_apply(e, down, [taps[i * rw + j] for i in range(rt)]) for j in range(rw)]
            for i in range(tall):
                row = _apply(e, across, [columns[j][i] for j in range(rw)])
                for j in range(wide):
                    at = e.at(target, b.mul(stride, e.i64(i * wide + j)))
                    e.store_masked(row[j], at, inside)
            inner.next([e.at(source, b.mul(row_bytes, e.i64(rt * rw))), e.at(target, row_bytes)])
        outer.next([])


def input_transform_last(tall: int, wide: int) -> int:
    """Return the address of ``B.T x B`` for the channels of a tile of `tall` by `wide` pixels.

    It is called with (pixels, channels, to, stride): `pixels` is a table of their addresses;
    element (i, j) of the result goes to ``to + (i * wide + j) * stride``, whole vectors of it.
    """
    return link.address(_input_last, tall, wide, isa.host().lanes(_FLOAT))


def output_transform_last(m_tall: int, r_tall: int, m_wide: int, r_wide: int) -> int:
    """Return the address of ``A.T y A`` for the output channels of a tile.

    It is called with (products, stride, pixels, channels, bias, flag): element (i, j) lies at
    ``products + (i * n + j) * stride``, and the results go to the addresses in the table `pixels`,
    with a bias for each channel. The int64 at `flag` becomes 1 where a result is not finite.
    """
    return link.address(_output_last, m_tall, r_tall, m_wide, r_wide, isa.host().lanes(_FLOAT))


@link.native(4)
def _input_last(b: Any, values: list[Any], tall: int, wide: int, lanes: int) -> None:
    pixels, channels, to, stride = values
    e = Emitter(b, dtype_code(_FLOAT), lanes)
    down, across = _transform_of(tall), _transform_of(wide)
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
            rows.append(_apply(e, across, row))
        for j in range(wide):
            column = _apply(e, down, [rows[i][j] for i in range(tall)])
            for i in range(tall):
                step = b.mul(stride, e.i64(i * wide + j))
                e.store(column[i], b.add(b.add(to, step), at))
        loop.next([b.add(at, e.i64(lanes * e.size))])


@link.native(6)
def _output_last(b: Any, values: list[Any], mt: int, rt: int, mw: int, rw: int, lanes: int) -> None:
    products, stride, pixels, channels, bias, flag = values
    e = Emitter(b, dtype_code(_FLOAT), lanes)
    down, across = _matrices(mt, rt)[0], _matrices(mw, rw)[0]
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
            columns.append(_apply_transposed(e, down, taken))
        offset = e.load(b.add(bias, at))
        for i in range(mt):
            row = _apply_transposed(e, across, [columns[j][i] for j in range(wide)])
            for j, vector in enumerate(row):
                value = e.add(vector, offset)
                # 0 for what is finite, else NaN.
                check = e.add(check, e.sub(value, value))
                pixel = e.load_int(e.at(pixels, 8 * (i * mw + j)))
                e.store_masked(value, b.add(pixel, at), inside)
        loop.next([b.add(at, e.i64(lanes * e.size)), check])
    _note_infinite(e, loop.values[1], flag)


@functools.cache
def _matrices(m: int, r: int) -> tuple[_Matrix, _Matrix, _Matrix]:
    """Return ``A.T`` (m, n), ``G`` (n, r) and ``B.T`` (n, n) for n = m + r - 1."""
    n = m + r - 1
    if n == 1:
        return np.ones((1, 1)), np.ones((1, 1)), np.ones((1, 1))
    points = np.array(_POINTS[n])
    at, g, bt = np.zeros((m, n)), np.zeros((n, r)), np.zeros((n, n))
    for j, point in enumerate(points):
        others = np.delete(points, j)
        at[:, j] = point ** np.arange(m)
        g[j] = point ** np.arange(r) / np.prod(point - others)
        bt[j, : n - 1] = np.poly(others)[::-1]
    at[m - 1, n - 1] = g[n - 1, r - 1] = 1
    bt[n - 1] = np.poly(points)[::-1]
    for matrix in (at, g, bt):
        matrix[np.abs(matrix) < 1e-12] = 0
    return at, g, bt
