"""Words of memory that threads share: read, written and exchanged in one step.

All are int64 at an address. Every access is sequentially consistent: what one thread writes before
another word, nobody sees after it.
"""

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from numbaconv.native import link
from numbaconv.native.emit import I32, I64

_ORDER = "seq_cst"


def _pointer(b: Any, address: Any) -> Any:
    return b.inttoptr(address, I64.as_pointer())


@link.specialised
def load(context: Any, address: Any) -> Any:
    """``load(address)`` returns the word there."""

    def codegen(context: Any, b: Any, signature: Any, values: Any) -> Any:
        return b.load_atomic(_pointer(b, values[0]), _ORDER, 8)

    return types.int64(types.intp), codegen


@link.specialised
def store(context: Any, address: Any, value: Any) -> Any:
    """``store(address, value)`` writes a word."""

    def codegen(context: Any, b: Any, signature: Any, values: Any) -> Any:
        b.store_atomic(values[1], _pointer(b, values[0]), _ORDER, 8)
        return context.get_dummy_value()

    return types.void(types.intp, types.int64), codegen


@link.specialised
def exchange(context: Any, address: Any, value: Any) -> Any:
    """``exchange(address, value)`` writes a word and returns what was there."""

    def codegen(context: Any, b: Any, signature: Any, values: Any) -> Any:
        return b.atomic_rmw("xchg", _pointer(b, values[0]), values[1], _ORDER)

    return types.int64(types.intp, types.int64), codegen


@link.specialised
def add(context: Any, address: Any, value: Any) -> Any:
    """``add(address, value)`` adds to a word and returns what it was."""

    def codegen(context: Any, b: Any, signature: Any, values: Any) -> Any:
        return b.atomic_rmw("add", _pointer(b, values[0]), values[1], _ORDER)

    return types.int64(types.intp, types.int64), codegen


@link.specialised
def replace(context: Any, address: Any, old: Any, new: Any) -> Any:
    """``replace(address, old, new)`` writes `new` where `old` is; returns 1 if it was, else 0."""

    def codegen(context: Any, b: Any, signature: Any, values: Any) -> Any:
        found = b.cmpxchg(_pointer(b, values[0]), values[1], values[2], _ORDER, _ORDER)
        return b.zext(b.extract_value(found, 1), I64)

    return types.int64(types.intp, types.int64, types.int64), codegen


@link.specialised
def pause(context: Any) -> Any:
    """``pause()`` tells the processor that the thread waits for another one."""

    def codegen(context: Any, b: Any, signature: Any, values: Any) -> Any:
        triple = str(context.codegen().magic_tuple()[0])
        arguments: list[Any] = []
        name = "llvm.x86.sse2.pause"
        if triple.startswith(("aarch64", "arm64")):
            name, arguments = "llvm.aarch64.hint", [ir.Constant(I32, 1)]
        elif not triple.startswith(("x86_64", "i686", "amd64")):
            return context.get_dummy_value()
        kind = ir.FunctionType(ir.VoidType(), [value.type for value in arguments])
        b.call(cgutils.get_or_insert_function(b.module, kind, name), arguments)
        return context.get_dummy_value()

    return types.void(), codegen


@link.specialised
def clock(context: Any) -> Any:
    """``clock()`` returns a time in ticks of some length, or 0 on processors without a counter."""

    def codegen(context: Any, b: Any, signature: Any, values: Any) -> Any:
        triple = str(context.codegen().magic_tuple()[0])
        if triple.startswith(("x86_64", "i686", "amd64")):
            name = "llvm.readcyclecounter"
        elif triple.startswith(("aarch64", "arm64")):
            name = "llvm.readsteadycounter"  # the other is for the kernel alone
        else:
            return ir.Constant(I64, 0)
        kind = ir.FunctionType(I64, [])
        return b.call(cgutils.get_or_insert_function(b.module, kind, name), [])

    return types.int64(), codegen
