"""The register tile: the one kernel that multiplies, for direct convolution and Winograd alike.

It keeps MR rows by NV vectors of the product in registers over its whole loop of k, the design of
K. Goto, R. van de Geijn, "Anatomy of High-Performance Matrix Multiplication", ACM TOMS 34 (2008),
section 4. The left operand is packed, MR elements for each k. The right operand is read through a
table of byte offsets, one for each k: a row of an image, a channel, or a slice of a panel.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba.extending import intrinsic

from numbaconv.native import isa, link
from numbaconv.native.emit import I64, Emitter, dtype_code

# Rounds of k ahead of which operands are fetched, and the unrolling: measured by benchmarks/peak.py.
import os
_AHEAD_LEFT = int(os.environ.get("PA","16"))
_AHEAD_RIGHT = int(os.environ.get("PB","4"))
_UNROLL = int(os.environ.get("UN","2"))


def tile(rows: int, vectors: int, dtype: np.dtype[Any], *, masked: bool) -> int:
    """Return the address of the tile that multiplies ``(rows, k) x (k, vectors * lanes)``.

    It is called with (k, a, b, offsets, c, c_stride, bias, accumulate, valid_rows, width): `a`
    points to packed rows, ``b + offsets[i]`` to the i-th row of the right operand, `c` to the
    result, whose rows are `c_stride` bytes apart, `bias` to one element a row. The sums start from
    the bias, or with `accumulate` from what is in `c`. Only `valid_rows` rows are written, and with
    `masked` only `width` columns are read and written.
    """
    code = dtype_code(dtype)
    return link.address(_tile, rows, vectors, isa.host().lanes(dtype), code, int(masked))


def _tile(mr: int, nv: int, lanes: int, code: int, masked: int) -> Callable[..., None]:
    def tile(
        k: int, a: int, b: int, offsets: int, c: int, c_stride: int, bias: int, accumulate: int,
        valid_rows: int, width: int,
    ) -> None:  # fmt: skip
        _multiply(
            mr, nv, lanes, code, masked,
            (k, a, b, offsets, c, c_stride, bias, accumulate, valid_rows, width),
        )  # fmt: skip

    return tile


@intrinsic(prefer_literal=True)
def _multiply(
    context: Any, mr: Any, nv: Any, lanes: Any, code: Any, masked: Any, arguments: Any
) -> Any:
    return link.body(_emit, (mr, nv, lanes, code, masked), arguments)


def _emit(b: Any, values: list[Any], mr: int, nv: int, lanes: int, code: int, masked: int) -> None:
    k, left, right, offsets, c, c_stride, bias, accumulate, valid_rows, width = values
    e = Emitter(b, code, lanes)
    step = lanes * e.size
    masks = [
        e.mask(0, b.sub(width, e.i64(v * lanes))) if masked else None for v in range(nv)
    ]

    def load(address: Any, v: int) -> Any:
        at = e.at(address, v * step)
        return e.load_masked(at, masks[v]) if masked else e.load(at)

    def store(value: Any, address: Any, v: int) -> None:
        at = e.at(address, v * step)
        if masked:
            e.store_masked(value, at, masks[v])
        else:
            e.store(value, at)

    # The sums start from the bias or from the result. Rows that do not exist start from the last.
    fresh, resumed, start = (b.append_basic_block(n) for n in ("fresh", "resumed", "start"))
    b.cbranch(b.icmp_signed("==", accumulate, e.i64(0)), fresh, resumed)
    b.position_at_end(fresh)
    biases = [e.splat(e.at(bias, m * e.size)) for m in range(mr)]
    b.branch(start)
    b.position_at_end(resumed)
    last = b.sub(valid_rows, e.i64(1))
    held = []
    for m in range(mr):
        row = b.select(b.icmp_signed("<", last, e.i64(m)), last, e.i64(m))
        held += [load(e.at(c, b.mul(row, c_stride)), v) for v in range(nv)]
    b.branch(start)
    b.position_at_end(start)
    sums = []
    for m in range(mr):
        for v in range(nv):
            phi = b.phi(e.vector)
            phi.add_incoming(biases[m], fresh)
            phi.add_incoming(held[m * nv + v], resumed)
            sums.append(phi)

    def advance(left: Any, table: Any, sums: list[Any]) -> list[Any]:
        row = e.at(right, e.load_int(table))
        vectors = [load(row, v) for v in range(nv)]
        if _AHEAD_LEFT: e.prefetch(e.at(left, _AHEAD_LEFT * mr * e.size))
        if _AHEAD_RIGHT:
            ahead = e.at(right, e.load_int(e.at(table, 8*_AHEAD_RIGHT)))
            for v in range(nv):
                e.prefetch(e.at(ahead, v*step))
        new = []
        for m in range(mr):
            factor = e.splat(e.at(left, m * e.size))
            new += [e.multiply_add(factor, vectors[v], sums[m * nv + v]) for v in range(nv)]
        return new

    with e.loop(b.sdiv(k, e.i64(_UNROLL)), [left, offsets, *sums], "unrolled") as loop:
        a, table, *sums = loop.values
        for _ in range(_UNROLL):
            sums = advance(a, table, sums)
            a, table = e.at(a, mr * e.size), e.at(table, 8)
        loop.next([a, table, *sums])
    with e.loop(b.srem(k, e.i64(_UNROLL)), loop.values, "rest") as loop:
        a, table, *sums = loop.values
        sums = advance(a, table, sums)
        loop.next([e.at(a, mr * e.size), e.at(table, 8), *sums])
    sums = loop.values[2:]

    done = b.append_basic_block("done")
    for m in range(mr):
        for v in range(nv):
            store(sums[m * nv + v], c, v)
        c = b.add(c, c_stride)
        if m + 1 < mr:
            more = b.append_basic_block("row")
            b.cbranch(b.icmp_signed("<", e.i64(m + 1), valid_rows), more, done)
            b.position_at_end(more)
    b.branch(done)
    b.position_at_end(done)
