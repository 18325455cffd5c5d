"""How this package compiles: the jit options, the kernels' twins, and nothing else."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numba

from numbaconv.kernels.cache import KernelCache

F = TypeVar("F", bound=Callable[..., Any])

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
