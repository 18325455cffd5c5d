"""Converts runs of float16 to float32 and back, by the CPU's own instructions."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core.registry import cpu_target

from numbaconv.native import isa, link
from numbaconv.native.emit import I16, Emitter, dtype_code

_LANES = 16
_FLOAT = dtype_code(np.dtype(np.float32))


def available() -> bool:
    """Return whether the CPU has such instructions; LLVM would call a library for each element."""
    triple, _, features = cpu_target.target_context.codegen().magic_tuple()
    if str(triple).startswith(("aarch64", "arm64")):
        return True
    return not {"+f16c", "+avx512f"}.isdisjoint(str(features).split(","))


def widener() -> int:
    """Return the address of the function that converts float16 to float32.

    It is called with (to, x, count).
    """
    return link.address(_emit, min(_LANES, isa.host().nbytes // 4), 1)


def narrower() -> int:
    """Return the address of the function that rounds float32 to float16: to nearest, ties to even.

    It is called with (to, x, count).
    """
    return link.address(_emit, min(_LANES, isa.host().nbytes // 4), 0)


@link.native(3)
def _emit(b: Any, values: list[Any], lanes: int, widen: int) -> None:
    to, x, count = values

    def convert(e: Emitter, to: Any, x: Any) -> None:
        halves = ir.VectorType(ir.HalfType(), e.lanes)
        bits = ir.VectorType(I16, e.lanes)
        if widen:
            taken = b.load(b.inttoptr(x, bits.as_pointer()))
            taken.align = 2
            e.store(b.fpext(b.bitcast(taken, halves), e.vector), to)
        else:
            found = b.bitcast(b.fptrunc(e.load(x), halves), bits)
            done = b.store(found, b.inttoptr(to, bits.as_pointer()))
            done.align = 2

    from_bytes, to_bytes = (2, 4) if widen else (4, 2)
    done = Emitter(b, _FLOAT, lanes).i64(0)
    for width in (lanes, 1):
        e = Emitter(b, _FLOAT, width)
        left = b.sub(count, done)
        with e.loop(b.sdiv(left, e.i64(width)), [], "run") as loop:
            at = b.add(done, b.mul(loop.index, e.i64(width)))
            convert(
                e, b.add(to, b.mul(at, e.i64(to_bytes))), b.add(x, b.mul(at, e.i64(from_bytes)))
            )
            loop.next([])
        done = b.add(done, b.mul(b.sdiv(left, e.i64(width)), e.i64(width)))
