"""How this package compiles: the jit options, the kernels' twins, and nothing else."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import numba

from numbaconv.kernels.cache import KernelCache
from numbaconv.problem.arrays import Array

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

# error_model="numpy" drops a test for zero at every division. No fastmath: it would break NaN.
OPTIONS: dict[str, Any] = {"nopython": True, "nogil": True, "error_model": "numpy"}
# Nobody calls a helper from Python or C, so the functions that would let them are not compiled.
_HELPER: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


@dataclass(frozen=True)
class Kernel:
    """One source compiled twice: `threaded` runs its ``prange`` in parallel, `serial` does not."""

    serial: Callable[..., None]
    threaded: Callable[..., None]


def kernel(function: Callable[..., None]) -> Kernel:
    """Return the twins of `function`, each with a place in the package's cache."""
    return Kernel(_cached(function, parallel=False), _cached(function, parallel=True))


def device(function: F) -> F:
    """Compile a helper that only kernels call, never Python; it is cached as a part of them."""
    return numba.jit(**OPTIONS, **_HELPER)(function)  # type: ignore[no-any-return]


def inlined(function: F) -> F:
    """Compile a helper into its callers: for what runs so often that a call's cost shows."""
    return numba.jit(**OPTIONS, **_HELPER, forceinline=True)(function)  # type: ignore[no-any-return]


def unpacker(kind: Callable[..., T]) -> Callable[[Array], T]:
    """Return a helper that makes a named tuple of a table that holds its ints in their order.

    Its fields are ints, tuples of ints, or such named tuples themselves.
    """
    names: dict[str, Any] = {}
    count = itertools.count()

    def words(part: Any) -> str:
        if part is int:
            return f"table[{next(count)}]"
        if get_origin(part) is tuple:
            return f"({', '.join(map(words, get_args(part)))})"
        names[part.__name__] = part
        return f"{part.__name__}({', '.join(map(words, get_type_hints(part).values()))})"

    exec(f"def unpack(table):\n    return {words(kind)}", names)
    function: Callable[[Array], T] = names["unpack"]
    named(function, kind)
    return device(function)


def named(function: Callable[..., Any], of: Callable[..., Any], *parameters: int) -> None:
    """Name a generated function, so that no other has its name: machine code goes by that.

    Of two by one name, cached by two processes, a third process would run one for both.
    """
    function.__module__ = of.__module__
    function.__qualname__ = f"{function.__name__}_{of.__qualname__}{parameters or ''}"


def _cached(function: Callable[..., None], *, parallel: bool) -> Callable[..., None]:
    options = OPTIONS | {"parallel": parallel}
    dispatcher = numba.jit(**options)(function)
    if not numba.config.DISABLE_JIT:
        dispatcher._cache = KernelCache(function, options)
    return dispatcher  # type: ignore[no-any-return]


def native_available() -> str | None:
    """Return why kernels of explicit vectors cannot run in this process, or None."""
    if numba.config.DISABLE_JIT:
        return "NUMBA_DISABLE_JIT is set, and its kernels exist as machine code only"
    return None
