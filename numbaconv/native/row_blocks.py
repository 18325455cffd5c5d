"""Weighted sums for several neighbouring rows of a result at once: what `weighted` adds up singly.

Neighbouring rows of the result read almost the same rows: each is loaded, and made float64, once
for all of them. Every sum adds its products in the same order as `weighted`'s, and is the same.
"""

from typing import Any

import numpy as np

from numbaconv.native import isa, link
from numbaconv.native.emit import Emitter, dtype_code
from numbaconv.native.weighted import (
    ANTISYMMETRIC,
    IN_ORDER,
    PLAIN,
    SYMMETRIC,
    element,
    in_blocks,
    widened,
)

_DOUBLE = np.dtype(np.float64)
# Rows of a block at most, by the lanes of a vector: there are twice as many registers of eight.
_MOST_ROWS = {8: 4, 4: 2, 2: 2}


def most_rows(taps: int) -> int:
    """Return of how many rows a block is where sums go over so many rows; 1 for none."""
    return max(min(_MOST_ROWS[isa.host().lanes(_DOUBLE)], taps), 1)


def block_adder(kind: int, dtype: np.dtype[Any], rows: int) -> int:
    """Return the address of the function that sums rows of a dtype for `rows` rows of a result.

    It is called with (depth, taps, columns, table, weights, to, pitch, length). `table` holds the
    addresses of a window's rows, by plane, row and column: of ``taps + rows - 1`` rows a plane, the
    first result's from the first on. The sums go to `rows` rows, `pitch` bytes apart. In order the
    weights are those of the window; others are one plane and one column, and theirs are in the
    order of `weighted.adder`'s.
    """
    lanes = isa.host().lanes(_DOUBLE)
    return link.address(_emit_block_adder, kind, *element(dtype), lanes, rows)


@link.native(8)
def _emit_block_adder(
    b: Any, values: list[Any], kind: int, code: int, unsigned: int, lanes: int, rows: int
) -> None:
    depth, taps, columns, table, weights, to, pitch, length = values
    e, into = Emitter(b, code, lanes), Emitter(b, dtype_code(_DOUBLE), lanes)
    emit = _Pairs if kind in (SYMMETRIC, ANTISYMMETRIC) else _Ordered
    vectors = emit.vectors if lanes == 8 else emit.vectors_of_few

    def block(first: Any, count: int, mask: Any) -> None:
        part = emit(e, into, unsigned, kind, rows, first, count, mask)
        sums = part.sums(depth, taps, columns, table, weights)
        target = e.at(to, b.mul(first, e.i64(8)))
        for j in range(rows):
            for v in range(count):
                value, at = sums[j * count + v], e.at(target, 8 * v * lanes)
                if mask is None:
                    into.store(value, at)
                else:
                    into.store_masked(value, at, mask)
            target = b.add(target, pitch)

    in_blocks(e, length, block, vectors)


class _Part:
    """The sums of some vectors of a block of rows.

    Parameters
    ----------
    e, into : Emitter
        Of the rows, and of the sums.
    unsigned : int
        Whether the rows' whole numbers have no sign.
    kind, rows : int
        Of the sums, and how many rows of the result.
    first : ir.Value
        The first element.
    count : int
        Vectors of a row.
    mask : ir.Value or None
        Of the last vector.
    """

    #: Vectors of a row that are summed at once, where there are 32 registers, and fewer.
    vectors = 4
    vectors_of_few = 4

    def __init__(
        self, e: Emitter, into: Emitter, unsigned: int, kind: int, rows: int, first: Any,
        count: int, mask: Any,
    ) -> None:  # fmt: skip
        self.e, self.into, self.unsigned = e, into, unsigned
        self.kind, self.rows, self.count, self.mask = kind, rows, count, mask
        self.start = e.b.mul(first, e.i64(e.size))

    def read(self, entry: Any) -> list[Any]:
        """Return the vectors of the row whose address is at `entry`, in float64."""
        e, found = self.e, []
        row = e.b.add(e.load_int(entry), self.start)
        for v in range(self.count):
            at = e.at(row, v * e.lanes * e.size)
            value = e.load(at) if self.mask is None else e.load_masked(at, self.mask)
            found.append(widened(e, self.into, value, self.unsigned))
        return found

    def added(self, held: Any, value: Any, factor: Any) -> Any:
        """Return a sum and one more product, which is rounded first."""
        return self.e.b.fadd(held, self.e.b.fmul(value, factor))


class _Ordered(_Part):
    """Products from the first tap on; where they are not `IN_ORDER`, the last tap's before."""

    def sums(self, depth: Any, taps: Any, columns: Any, table: Any, weights: Any) -> list[Any]:
        e, into, rows, count = self.e, self.into, self.rows, self.count
        b = e.b
        zero = into.zero if self.kind == IN_ORDER else into.constant(-0.0)
        sums = [zero] * (rows * count)
        if self.kind == PLAIN:
            factor = into.splat(weights)
            last = b.sub(taps, e.i64(1))
            for j in range(rows):
                entry = e.at(table, b.mul(b.add(last, e.i64(j)), e.i64(8)))
                for v, value in enumerate(self.read(entry)):
                    sums[j * count + v] = self.added(zero, value, factor)
            taps, weights = last, e.at(weights, 8)
        # How far the weights of neighbouring rows of the result are apart.
        step = b.mul(columns, e.i64(8))
        middle = b.mul(b.sub(taps, e.i64(rows - 1)), columns)
        with e.loop(depth, [table, weights, *sums], "planes") as planes:
            entry, weight, *held = planes.values
            for first in range(rows):
                entry, weight, held = self._over(
                    middle if first == rows - 1 else columns, range(first + 1), step, entry,
                    weight, held,
                )  # fmt: skip
            for first in range(1, rows):
                entry, weight, held = self._over(
                    columns, range(first, rows), step, entry, weight, held
                )
            # The last row of a plane is `rows - 1` rows behind the last weight.
            weight = b.sub(weight, b.mul(step, e.i64(rows - 1)))
            planes.next([entry, weight, *held])
        return planes.values[2:]

    def _over(
        self, entries: Any, results: range, step: Any, entry: Any, weight: Any, held: list[Any]
    ) -> tuple[Any, Any, list[Any]]:  # fmt: skip
        """Add some entries' products to some rows of the result."""
        e, count = self.e, self.count
        with e.loop(entries, [entry, weight, *held], "entries") as loop:
            entry, weight, *held = loop.values
            values, new = self.read(entry), list(held)
            for j in results:
                factor = self.into.splat(e.b.sub(weight, e.b.mul(step, e.i64(j))))
                for v in range(count):
                    at = j * count + v
                    new[at] = self.added(new[at], values[v], factor)
            loop.next([e.at(entry, 8), e.at(weight, 8), *new])
        entry, weight, *held = loop.values
        return entry, weight, held


class _Pairs(_Part):
    """The middle row's product, then those of pairs, from the outermost on.

    The rows of a pair move by one from tap to tap: of the rows of a block, one is new at each end.
    """

    vectors = 2
    vectors_of_few = 2

    def sums(self, depth: Any, taps: Any, columns: Any, table: Any, weights: Any) -> list[Any]:
        e, rows, count = self.e, self.rows, self.count
        b = e.b
        pairs = b.sdiv(taps, e.i64(2))
        factor = self.into.splat(weights)
        middle = e.at(table, b.mul(pairs, e.i64(8)))
        held = [
            b.fmul(value, factor) for j in range(rows) for value in self.read(e.at(middle, 8 * j))
        ]
        low = table
        high = e.at(table, b.mul(b.sub(taps, e.i64(1)), e.i64(8)))
        lows = [value for j in range(rows) for value in self.read(e.at(low, 8 * j))]
        highs = [value for j in range(rows) for value in self.read(e.at(high, 8 * j))]
        whole = b.sdiv(pairs, e.i64(rows))
        size = rows * count
        carried = [low, high, e.at(weights, 8), *held, *lows, *highs]
        with e.loop(whole, carried, "pairs") as loop:
            low, high, weight, *rest = loop.values
            held, lows, highs = rest[:size], rest[size : 2 * size], rest[2 * size :]
            for step in range(rows):
                held = self._step(held, lows, highs, e.at(weight, 8 * step))
                lows = [*lows[count:], *self.read(e.at(low, 8 * (step + rows)))]
                highs = [*self.read(e.at(high, -8 * (step + 1))), *highs[:-count]]
            further = [e.at(low, 8 * rows), e.at(high, -8 * rows), e.at(weight, 8 * rows)]
            loop.next([*further, *held, *lows, *highs])
        low, high, weight, *rest = loop.values
        left = b.sub(pairs, b.mul(whole, e.i64(rows)))
        with e.loop(left, [low, high, weight, *rest], "left") as loop:
            low, high, weight, *rest = loop.values
            held, lows, highs = rest[:size], rest[size : 2 * size], rest[2 * size :]
            held = self._step(held, lows, highs, weight)
            lows = [*lows[count:], *self.read(e.at(low, 8 * rows))]
            highs = [*self.read(e.at(high, -8)), *highs[:-count]]
            loop.next([e.at(low, 8), e.at(high, -8), e.at(weight, 8), *held, *lows, *highs])
        return loop.values[3 : 3 + size]

    def _step(
        self, held: list[Any], lows: list[Any], highs: list[Any], weight: Any
    ) -> list[Any]:  # fmt: skip
        b, factor = self.e.b, self.into.splat(weight)
        both = b.fadd if self.kind == SYMMETRIC else b.fsub
        return [
            self.added(total, both(low, high), factor)
            for total, low, high in zip(held, lows, highs, strict=True)
        ]
