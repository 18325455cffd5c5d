"""Compiles native functions to addresses, and calls an address from a kernel.

A native function takes and returns nothing but 64-bit integers (sizes, strides, addresses). Each
is one file in the package's cache. A kernel gets addresses at run time, so it is compiled once for
all register tiles and dtypes.
"""

import inspect
import os
import threading
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.ccallback import CFunc
from numba.extending import intrinsic

from numbaconv.kernels.cache import KernelCache
from numbaconv.kernels.jit import OPTIONS, named
from numbaconv.native.emit import I8, I64

_compiling = threading.Lock()
_compiled: dict[tuple[Any, ...], Any] = {}


def address(make: Callable[..., Callable[..., None]], *parameters: int) -> int:
    """Return the address of the native function that ``make(*parameters)`` returns.

    `make` returns a Python function of integer arguments over closure cells that hold plain ints;
    it is compiled at the first call with these parameters, and lives as long as the process.
    """
    key = (make, *parameters)
    found = _compiled.get(key)
    if found is None:
        with _compiling:
            found = _compiled.get(key)
            if found is None:
                found = _compiled[key] = _compile(make(*parameters))
    return int(found.address)


def is_native(value: int) -> bool:
    """Return whether an integer is the address of a function that this process has compiled."""
    return any(value == int(found.address) for found in list(_compiled.values()))


def _after_fork() -> None:
    """Replace a lock that another thread of the parent may hold."""
    global _compiling
    _compiling = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _compile(function: Callable[..., None]) -> Any:
    arguments = function.__code__.co_argcount
    signature = (types.intp,) * arguments, types.void
    native: Any = CFunc(function, signature, {}, OPTIONS)
    native._cache = KernelCache(function, OPTIONS)
    native.compile()
    return native


def native(count: int) -> Callable[[Callable[..., None]], Callable[..., Callable[..., None]]]:
    """Make of a function that emits code what `address` takes, for native functions.

    It is called as ``emit(builder, values, *parameters)``, with a list of the `count` arguments of
    the native function.
    """

    def decorate(emit: Callable[..., None]) -> Callable[..., Callable[..., None]]:
        parameters = "".join(f"{name}, " for name in list(inspect.signature(emit).parameters)[2:])
        arguments = "".join(f"v{i}, " for i in range(count))
        # Numba compiles a Python function of so many arguments, with the parameters in cells.
        source = (
            f"def make({parameters}):\n"
            f"    def native({arguments}):\n"
            f"        emit({parameters}({arguments}))\n"
            f"    return native"
        )
        names: dict[str, Any] = {"emit": _emits(emit)}
        exec(source, names)  # as `collections.namedtuple` does

        def make(*parameters: int) -> Callable[..., None]:
            function: Callable[..., None] = names["make"](*parameters)
            named(function, emit, *parameters)
            return function

        return make

    return decorate


def _emits(emit: Callable[..., None]) -> Any:
    """Make an intrinsic of what emits code: of as many literal ints, and a tuple of int64."""

    def typed(context: Any, *given: Any) -> Any:
        *literals, arguments = given
        kinds = [types.literal(kind.literal_value) for kind in literals]

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            unpacked = [builder.extract_value(values[-1], i) for i in range(arguments.count)]
            emit(builder, unpacked, *(kind.literal_value for kind in kinds))
            return context.get_dummy_value()

        return types.void(*kinds, arguments), codegen

    # Numba binds a call's arguments to these names.
    names = ["context", *list(inspect.signature(emit).parameters)[2:], "arguments"]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, kind) for name in names]
    typed.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    typed.__name__ = emit.__name__
    return specialised(typed)


def specialised(function: Callable[..., Any]) -> Any:
    """Make an intrinsic whose int arguments are literals where the caller's are constants."""
    return intrinsic(prefer_literal=True)(function)


@specialised
def call(context: Any, function: Any, arguments: Any) -> Any:
    """``call(address, (argument, ...))`` calls a native function; all are int64."""
    count = arguments.count
    signature = types.void(types.intp, types.UniTuple(types.intp, count))

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [I64] * count)
        target = builder.inttoptr(values[0], kind.as_pointer())
        builder.call(target, [builder.extract_value(values[1], i) for i in range(count)])
        return context.get_dummy_value()

    return signature, codegen


@specialised
def fetch_add(context: Any, counter: Any) -> Any:
    """``fetch_add(address)`` adds 1 to a shared int64 and returns what it was."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointer = builder.inttoptr(values[0], I64.as_pointer())
        return builder.atomic_rmw("add", pointer, ir.Constant(I64, 1), "monotonic")

    return types.int64(types.intp), codegen


@specialised
def fence(context: Any) -> Any:
    """``fence()`` lets other threads see what was stored past the caches before."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), codegen


@specialised
def load_float(context: Any, address: Any) -> Any:
    """``load_float(address)`` returns the float32 there."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.load(builder.inttoptr(values[0], ir.FloatType().as_pointer()))

    return types.float32(types.intp), codegen


@specialised
def copy_bytes(context: Any, to: Any, source: Any, nbytes: Any) -> Any:
    """``copy_bytes(to, source, nbytes)`` copies memory that does not overlap."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointers = [builder.inttoptr(value, I8.as_pointer()) for value in values[:2]]
        cgutils.raw_memcpy(builder, *pointers, values[2], 1)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), codegen
