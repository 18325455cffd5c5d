"""The register tile: the one kernel that multiplies, for direct convolution and Winograd alike.

It keeps MR rows by NV vectors of the product in registers over its whole loop of k, the design of
K. Goto, R. van de Geijn, "Anatomy of High-Performance Matrix Multiplication", ACM TOMS 34 (2008),
section 4. The left operand is packed, MR elements for each k. The right operand is read through a
table of byte offsets, one for each k: a row of an image, a channel, or a slice of a panel.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

from numbaconv.kernels.long_sums import LONGEST, PART
from numbaconv.native import isa, link
from numbaconv.native.emit import I1, Emitter, dtype_code

# Rounds of k ahead of which operands are fetched, and the unrolling (docs/performance.md).
_AHEAD_PACKED = 16
_AHEAD_TABLE = 8
_UNROLL = 2
# Added to the kind of a tile whose sums are long.
_LONG = 4


def tile(
    rows: int, vectors: int, dtype: np.dtype[Any], *, masked: bool, swapped: bool = False,
    step: int = 1, terms: int,
) -> int:  # fmt: skip
    """Return the address of the tile that multiplies ``(rows, k) x (k, vectors * lanes)``.

    It is called with (k, a, b, offsets, c, c_stride, bias, accumulate, valid_rows, width): `a`
    points to packed rows, ``b + offsets[i]`` to the i-th row of the right operand, `c` to the
    result, whose rows are `c_stride` bytes apart, `bias` to one element a row. The sums start from
    the bias, or with `accumulate` are added to what is in `c`. Only `valid_rows` rows are written,
    and with `masked` only `width` columns are read and written.

    A `swapped` tile is the transpose: ``a + offsets[i]`` points to the left operand's i-th rows
    (pixels), `b` to a packed right operand (weights), and the bias is one element a column.

    With a `step` the elements of a row of the result are so far apart; what lies between stays. It
    is called with at most so many `terms`, k.
    """
    kind = 2 * swapped + masked
    if terms > LONGEST and dtype.kind == "f":
        kind += _LONG
    lanes, code = isa.host().lanes(dtype), dtype_code(dtype)
    return link.address(_emit, rows, vectors, lanes, code, kind, step)


@link.native(10)
def _emit(
    b: Any, values: list[Any], mr: int, nv: int, lanes: int, code: int, kind: int, apart: int
) -> None:
    long, swapped, masked = kind >= _LONG, kind % _LONG >= 2, kind % 2 == 1
    k, left, right, offsets, c, c_stride, bias, accumulate, valid_rows, width = values
    e = Emitter(b, code, lanes)
    step = lanes * e.size
    masks = [e.mask(0, b.sub(width, e.i64(v * lanes))) if masked else None for v in range(nv)]

    def load(address: Any, v: int) -> Any:
        at = e.at(address, v * step)
        return e.load_masked(at, masks[v]) if masked else e.load(at)

    every = ir.Constant(ir.VectorType(I1, lanes), [1] * lanes)

    def resume(address: Any, v: int) -> Any:
        if apart == 1:
            return load(address, v)
        at = e.at(address, v * step * apart)
        return e.load_every(at, apart, masks[v] if masked else every)

    def store(value: Any, address: Any, v: int) -> None:
        at = e.at(address, v * step * apart)
        if apart > 1:
            e.store_every(value, at, apart, masks[v] if masked else every)
        elif masked:
            e.store_masked(value, at, masks[v])
        else:
            e.store(value, at)

    for m in range(mr):
        # The result's lines are fetched while the sums are formed: stores seldom find them near.
        for v in range(nv * apart):
            e.prefetch(e.at(e.at(c, b.mul(c_stride, e.i64(m))), v * step), write=True)
    # The sums start from the bias, or where they are added to the result, from zero.
    fresh, added, start = (b.append_basic_block(n) for n in ("fresh", "added", "start"))
    before = b.block
    b.cbranch(b.icmp_signed("==", accumulate, e.i64(0)), fresh, start)
    b.position_at_end(fresh)
    if swapped:
        biases = [e.load(e.at(bias, v * step)) for v in range(nv)] * mr
    else:
        biases = [e.splat(e.at(bias, m * e.size)) for m in range(mr) for _ in range(nv)]
    b.branch(start)
    b.position_at_end(start)
    sums = []
    for value in biases:
        phi = b.phi(e.vector)
        phi.add_incoming(value, fresh)
        phi.add_incoming(e.zero, before)
        sums.append(phi)

    packed_step = (nv * lanes if swapped else mr) * e.size

    def advance(packed: Any, table: Any, sums: list[Any]) -> list[Any]:
        """Return the sums after one round of k."""
        found = e.at(left if swapped else right, e.load_int(table))
        rows, columns = (found, packed) if swapped else (packed, found)
        whole = swapped or not masked  # a packed operand is padded
        vectors = [
            e.load(e.at(columns, v * step)) if whole else load(columns, v) for v in range(nv)
        ]
        e.prefetch(e.at(packed, _AHEAD_PACKED * packed_step))
        ahead = e.at(left if swapped else right, e.load_int(e.at(table, 8 * _AHEAD_TABLE)))
        for v in range(1 if swapped else nv):
            e.prefetch(e.at(ahead, v * step))
        new = []
        for m in range(mr):
            factor = e.splat(e.at(rows, m * e.size))
            new += [e.multiply_add(factor, vectors[v], sums[m * nv + v]) for v in range(nv)]
        return new

    def rounds(k: Any, packed: Any, table: Any, sums: list[Any]) -> list[Any]:
        """Return (packed, table, *sums) after `k` rounds."""
        with e.loop(b.sdiv(k, e.i64(_UNROLL)), [packed, table, *sums], "unrolled") as loop:
            packed, table, *sums = loop.values
            for _ in range(_UNROLL):
                sums = advance(packed, table, sums)
                packed, table = e.at(packed, packed_step), e.at(table, 8)
            loop.next([packed, table, *sums])
        with e.loop(b.srem(k, e.i64(_UNROLL)), loop.values, "rest") as loop:
            packed, table, *sums = loop.values
            sums = advance(packed, table, sums)
            loop.next([e.at(packed, packed_step), e.at(table, 8), *sums])
        return list(loop.values)

    operand = right if swapped else left
    if long:
        sums = in_parts(e, k, PART, rounds, [operand, offsets], sums)
    else:
        sums = rounds(k, operand, offsets, sums)[2:]

    done, plain = (b.append_basic_block(n) for n in ("done", "plain"))
    b.cbranch(b.icmp_signed("==", accumulate, e.i64(0)), plain, added)
    for block in (plain, added):
        b.position_at_end(block)
        at = c
        for m in range(mr):
            for v in range(nv):
                value = sums[m * nv + v]
                store(value if block is plain else e.add(resume(at, v), value), at, v)
            at = b.add(at, c_stride)
            if m + 1 < mr:
                more = b.append_basic_block("row")
                b.cbranch(b.icmp_signed("<", e.i64(m + 1), valid_rows), more, done)
                b.position_at_end(more)
        b.branch(done)
    b.position_at_end(done)


def in_parts(
    e: Emitter, k: Any, most: int, rounds: Callable[..., list[Any]], carried: list[Any],
    sums: list[Any],
) -> list[Any]:  # fmt: skip
    """Return sums after `k` rounds, `most` at a time: see `numbaconv.kernels.long_sums`.

    ``rounds(k, *carried, sums)`` returns what both lists are after so many.
    """
    b, count, first = e.b, len(sums), len(carried)
    parts = b.sdiv(b.add(k, e.i64(most - 1)), e.i64(most))
    # What the compiler cannot keep in registers between the parts it puts on the stack.
    with e.loop(parts, [*carried, *sums, *[e.zero] * count], "parts") as loop:
        carried, held = list(loop.values[:first]), list(loop.values[first:])
        left = b.sub(k, b.mul(loop.index, e.i64(most)))
        left = b.select(b.icmp_signed("<", left, e.i64(most)), left, e.i64(most))
        found = rounds(left, *carried, [e.zero] * count)
        pairs = [
            e.two_sum(high, low, value)
            for high, low, value in zip(held[:count], held[count:], found[first:], strict=True)
        ]
        loop.next([*found[:first], *(high for high, _ in pairs), *(low for _, low in pairs)])
    held = list(loop.values[first:])
    return [e.whole_sum(*pair) for pair in zip(held[:count], held[count:], strict=True)]
