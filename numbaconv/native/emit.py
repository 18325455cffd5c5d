"""A small vocabulary over llvmlite's builder: vectors of one dtype, at addresses in bytes."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils

#: Element types by the code that kernels are specialised with (an int can be a literal argument).
DTYPES = tuple(np.dtype(name) for name in ("f4", "f8", "i1", "i2", "i4", "i8"))

I1, I8, I16, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))


def dtype_code(dtype: np.dtype[Any]) -> int:
    """Return the code of an element type."""
    return DTYPES.index(dtype)


def supports(dtype: np.dtype[Any]) -> bool:
    """Return whether there are vectors of this element type."""
    return dtype in DTYPES


class Emitter:
    """Emits operations on vectors of `lanes` elements of one dtype.

    Parameters
    ----------
    builder : llvmlite.ir.IRBuilder
        Where instructions go.
    code, lanes : int
        The element's code (see `dtype_code`) and the elements of a vector.
    """

    def __init__(self, builder: Any, code: int, lanes: int) -> None:
        dtype = DTYPES[code]
        self.b = builder
        self.lanes = lanes
        self.size = dtype.itemsize
        self.is_float = dtype.kind == "f"
        if self.is_float:
            self.element: Any = ir.FloatType() if dtype.itemsize == 4 else ir.DoubleType()
        else:
            self.element = ir.IntType(8 * dtype.itemsize)
        self.vector = ir.VectorType(self.element, lanes)
        self.zero = ir.Constant(self.vector, None)
        self._letter = f"{'f' if self.is_float else 'i'}{8 * dtype.itemsize}"

    # Addresses are 64-bit integers until they are used.

    def at(self, address: Any, offset: Any = 0) -> Any:
        """Return ``address + offset``, in bytes."""
        if isinstance(offset, int):
            if offset == 0:
                return address
            offset = self.i64(offset)
        return self.b.add(address, offset)

    def i64(self, value: int) -> Any:
        """Return a 64-bit constant."""
        return ir.Constant(I64, int(value))

    def _pointer(self, address: Any, kind: Any) -> Any:
        return self.b.inttoptr(address, kind.as_pointer())

    def load_int(self, address: Any) -> Any:
        """Return the int64 at an address."""
        return self.b.load(self._pointer(address, I64))

    def load(self, address: Any, lanes: int | None = None) -> Any:
        """Return the vector at an address of any alignment."""
        kind = self.vector if lanes is None else ir.VectorType(self.element, lanes)
        value = self.b.load(self._pointer(address, kind))
        value.align = self.size
        return value

    def store(self, value: Any, address: Any) -> None:
        """Store a vector (or an element) at an address of any alignment."""
        done = self.b.store(value, self._pointer(address, value.type))
        done.align = self.size

    def store_past_caches(self, value: Any, address: Any) -> None:
        """Store a vector at an address that its size divides, not to be read soon."""
        done = self.b.store(value, self._pointer(address, value.type))
        done.align = value.type.count * self.size
        done.set_metadata("nontemporal", self.b.module.add_metadata([ir.Constant(I32, 1)]))

    def load_element(self, address: Any) -> Any:
        """Return the one element at an address."""
        value = self.b.load(self._pointer(address, self.element))
        value.align = self.size
        return value

    def splat(self, address: Any) -> Any:
        """Return a vector of the one element at an address."""
        return self.broadcast(self.load_element(address))

    def broadcast(self, value: Any, lanes: int | None = None) -> Any:
        """Return a vector whose elements are all `value`."""
        lanes = self.lanes if lanes is None else lanes
        undefined = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
        first = self.b.insert_element(undefined, value, ir.Constant(I32, 0))
        return self.b.shuffle_vector(
            first, undefined, ir.Constant(ir.VectorType(I32, lanes), [0] * lanes)
        )

    def multiply_add(self, x: Any, y: Any, z: Any) -> Any:
        """Return ``x * y + z``: fused where the machine fuses, wrapping for integers."""
        if not self.is_float:
            return self.b.add(self.b.mul(x, y), z)
        # Not llvm.fma, which calls a library function a lane where the machine has no such thing.
        name = f"llvm.fmuladd.v{x.type.count}{self._letter}"
        kind = ir.FunctionType(x.type, [x.type] * 3)
        return self.b.call(cgutils.get_or_insert_function(self.b.module, kind, name), [x, y, z])

    def add(self, x: Any, y: Any) -> Any:
        """Return ``x + y``."""
        return self.b.fadd(x, y) if self.is_float else self.b.add(x, y)

    def sub(self, x: Any, y: Any) -> Any:
        """Return ``x - y``."""
        return self.b.fsub(x, y) if self.is_float else self.b.sub(x, y)

    def two_sum(self, high: Any, low: Any, part: Any) -> tuple[Any, Any]:
        """Return a compensated sum, in two parts, with one more addend.

        D. Knuth, "The Art of Computer Programming" 2, section 4.2.2, theorem B: what rounding takes
        from ``high + part`` is itself a number of the dtype, and is kept in `low`.
        """
        b = self.b
        if not self.is_float:
            return b.add(high, part), low
        total = b.fadd(high, part)
        taken = b.fsub(total, high)
        lost = b.fadd(b.fsub(high, b.fsub(total, taken)), b.fsub(part, taken))
        return total, b.fadd(low, lost)

    def whole_sum(self, high: Any, low: Any) -> Any:
        """Return the value of a compensated sum; infinities have no rounding errors."""
        if not self.is_float:
            return high
        known = self.b.fcmp_ordered("ord", low, low)
        return self.b.select(known, self.b.fadd(high, low), high)

    def scaled(self, factor: float, x: Any) -> Any:
        """Return ``factor * x``."""
        return self.b.fmul(self.constant(factor), x)

    def constant(self, value: float) -> Any:
        """Return a vector of one constant float, rounded to the dtype."""
        rounded = float(np.float32(value)) if self.size == 4 else float(value)
        return ir.Constant(self.vector, [rounded] * self.lanes)

    def mask(self, low: Any, high: Any, step: int = 1, lanes: int | None = None) -> Any:
        """Return which lanes ``j`` have ``low <= j * step < high`` (64-bit scalars; low may be 0).

        Computed in 32 bits: both ends are clamped first.
        """
        lanes = self.lanes if lanes is None else lanes
        kind = ir.VectorType(I32, lanes)
        index = ir.Constant(kind, [j * step for j in range(lanes)])
        inside = self.b.icmp_signed("<", index, self.broadcast(self._clamped(high), lanes))
        if isinstance(low, int) and low == 0:
            return inside
        return self.b.and_(
            inside, self.b.icmp_signed(">=", index, self.broadcast(self._clamped(low), lanes))
        )

    def _clamped(self, value: Any) -> Any:
        for name, limit in (("smax", -(2**20)), ("smin", 2**20)):
            kind = ir.FunctionType(I64, [I64, I64])
            function = cgutils.get_or_insert_function(self.b.module, kind, f"llvm.{name}.i64")
            value = self.b.call(function, [value, self.i64(limit)])
        return self.b.trunc(value, I32)

    def load_masked(self, address: Any, mask: Any) -> Any:
        """Return the vector at an address, zero in lanes that are not in the mask, unread there."""
        vector = ir.VectorType(self.element, mask.type.count)
        kind = ir.FunctionType(vector, [vector.as_pointer(), I32, mask.type, vector])
        function = self._masked("load", kind, vector)
        return self.b.call(
            function,
            [
                self._pointer(address, vector),
                ir.Constant(I32, self.size),
                mask,
                ir.Constant(vector, None),
            ],
        )

    def store_masked(self, value: Any, address: Any, mask: Any) -> None:
        """Store the lanes of a vector that are in the mask."""
        kind = ir.FunctionType(ir.VoidType(), [value.type, value.type.as_pointer(), I32, mask.type])
        self.b.call(
            self._masked("store", kind, value.type),
            [value, self._pointer(address, value.type), ir.Constant(I32, self.size), mask],
        )

    def load_every(self, address: Any, step: int, mask: Any) -> Any:
        """Return every `step`-th element from an address on, zero in lanes not in the mask."""
        found = self.zero
        for part, (lanes, masked) in enumerate(self._parts(step, mask)):
            value = self.load_masked(self.at(address, part * self.lanes * self.size), masked)
            picks = list(range(self.lanes))
            for lane, target in lanes.items():
                picks[target] = self.lanes + lane
            found = self.shuffle(found, value, picks)
        return found

    def store_every(self, value: Any, address: Any, step: int, mask: Any) -> None:
        """Store the lanes of a vector that are in the mask to every `step`-th element."""
        for part, (lanes, masked) in enumerate(self._parts(step, mask)):
            picks = [lanes.get(lane, 0) for lane in range(self.lanes)]
            at = self.at(address, part * self.lanes * self.size)
            self.store_masked(self.shuffle(value, value, picks), at, masked)

    def _parts(self, step: int, mask: Any) -> list[tuple[dict[int, int], Any]]:
        """Return for each of the `step` vectors in memory {its lane: our lane}, and its mask."""
        none = ir.Constant(ir.VectorType(I1, self.lanes), None)
        found = []
        for part in range(step):
            first = part * self.lanes
            lanes = {
                lane: (first + lane) // step
                for lane in range(self.lanes)
                if (first + lane) % step == 0
            }
            picks = [lanes.get(lane, self.lanes) for lane in range(self.lanes)]
            found.append((lanes, self.shuffle(mask, none, picks)))
        return found

    def _masked(self, verb: str, kind: Any, vector: Any) -> Any:
        name = f"llvm.masked.{verb}.v{vector.count}{self._letter}.p0"
        return cgutils.get_or_insert_function(self.b.module, kind, name)

    def shuffle(self, x: Any, y: Any, lanes: Iterable[int]) -> Any:
        """Return the chosen lanes of x, then y."""
        index = [int(lane) for lane in lanes]
        return self.b.shuffle_vector(x, y, ir.Constant(ir.VectorType(I32, len(index)), index))

    def concatenate(self, parts: list[Any]) -> Any:
        """Return vectors one after another (a power of two of them)."""
        while len(parts) > 1:
            n = parts[0].type.count
            parts = [
                self.shuffle(parts[i], parts[i + 1], range(2 * n)) for i in range(0, len(parts), 2)
            ]
        return parts[0]

    def transpose(self, rows: list[Any], block: int | None = None) -> list[Any]:
        """Transpose `block` by `block` elements in each part of `block` lanes of as many vectors.

        With ``block == lanes``, the default, the whole square. log2(block) rounds of shuffles.
        """
        block = self.lanes if block is None else block
        total = rows[0].type.count
        width = 1
        while width < block:
            rows = list(rows)
            for i in range(block):
                if i & width:
                    continue
                x, y = rows[i], rows[i + width]
                low, high = [], []
                for lane in range(total):
                    own = lane & ~width
                    if lane & width:
                        low.append(total + own)
                        high.append(total + own + width)
                    else:
                        low.append(lane)
                        high.append(lane + width)
                rows[i], rows[i + width] = self.shuffle(x, y, low), self.shuffle(x, y, high)
            width *= 2
        return rows

    def prefetch(self, address: Any, *, write: bool = False) -> None:
        """Ask for the cache line at an address, of any validity."""
        kind = ir.FunctionType(ir.VoidType(), [I8.as_pointer(), I32, I32, I32])
        function = cgutils.get_or_insert_function(self.b.module, kind, "llvm.prefetch.p0")
        self.b.call(
            function,
            [self._pointer(address, I8), ir.Constant(I32, int(write)), ir.Constant(I32, 3),
             ir.Constant(I32, 1)],
        )  # fmt: skip

    def loop(self, count: Any, carried: list[Any], name: str = "loop") -> "Loop":
        """Open a loop of `count` rounds (possibly none) that carries values from round to round."""
        return Loop(self.b, count, carried, name)


class Loop:
    """A counted loop under construction: a context manager.

    Inside, `index` is the round and `values` the carried values; `next` says what the next round
    gets. Afterwards `values` is what the last round left.
    """

    def __init__(self, builder: Any, count: Any, carried: list[Any], name: str) -> None:
        self.b = builder
        self.count = count
        self.first = carried
        self.name = name

    def __enter__(self) -> "Loop":
        b = self.b
        before = b.block
        self._body = b.append_basic_block(f"{self.name}.body")
        self._end = b.append_basic_block(f"{self.name}.end")
        zero = ir.Constant(I64, 0)
        b.cbranch(b.icmp_signed(">", self.count, zero), self._body, self._end)
        b.position_at_end(self._body)
        self.index = b.phi(I64)
        self.index.add_incoming(zero, before)
        self.values = []
        for value in self.first:
            phi = b.phi(value.type)
            phi.add_incoming(value, before)
            self.values.append(phi)
        self._before = before
        self._phis = list(self.values)
        return self

    def next(self, values: list[Any]) -> None:
        """Say what the next round gets."""
        self._next = values

    def __exit__(self, *error: object) -> None:
        if error[0] is not None:
            return
        b = self.b
        last = b.block
        following = b.add(self.index, ir.Constant(I64, 1))
        self.index.add_incoming(following, last)
        for phi, value in zip(self._phis, self._next, strict=True):
            phi.add_incoming(value, last)
        b.cbranch(b.icmp_signed("<", following, self.count), self._body, self._end)
        b.position_at_end(self._end)
        self.values = []
        for first, value in zip(self.first, self._next, strict=True):
            phi = b.phi(value.type)
            phi.add_incoming(first, self._before)
            phi.add_incoming(value, last)
            self.values.append(phi)
