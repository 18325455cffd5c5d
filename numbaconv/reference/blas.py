"""Keeps the BLAS behind Numba's ``np.dot`` to one thread while kernels run.

Each thread of a kernel multiplies its own tiles. A BLAS with threads of its own would fight them
for the cores. Its limit is global to the process, so calls are counted: the first sets it, and the
last puts back what was there.
"""

import contextlib
import functools
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from numbaconv.kernels.jit import OPTIONS, device
from numbaconv.problem.arrays import Array

_lock = threading.Lock()
_callers: set[object] = set()
_before: list[tuple[Any, int]] = []


@contextlib.contextmanager
def single_threaded() -> Iterator[None]:
    """Limit SciPy's BLAS to one thread until the last caller leaves, however it leaves."""
    caller = object()
    own: list[tuple[Any, int]] = []
    libraries = _libraries()
    try:
        with _lock:
            if not _callers:
                _limit([c for c in libraries if not _is_limited_per_thread(c)], _before)
            _callers.add(caller)
            _limit([c for c in libraries if _is_limited_per_thread(c)], own)
        yield
    finally:
        # Right wherever an interrupt struck above: a caller that never came in is not missed.
        with _lock:
            _restore(own)
            _callers.discard(caller)
            if not _callers:
                _restore(_before)


def _limit(libraries: list[Any], before: list[tuple[Any, int]]) -> None:
    for library in libraries:
        before.append((library, library.get_num_threads()))
        _set(library, 1)


def _restore(before: list[tuple[Any, int]]) -> None:
    while before:
        library, threads = before[-1]
        _set(library, threads)
        before.pop()


def _is_limited_per_thread(library: Any) -> bool:
    """Return whether a limit holds for the Python thread that sets it, not for the process."""
    return bool(library.internal_api == "openblas" and library.threading_layer == "openmp")


def _set(library: Any, threads: int) -> None:
    # threadpoolctl 3.8 lets only the first Python thread that sets OpenBLAS's limit change it, and
    # ignores all others. Here the first caller limits and the last restores, in any threads.
    forget = getattr(library, "clear_controlling_thread", None)
    if forget is None:
        library.set_num_threads(threads)
    else:
        forget(force=True)
        library.set_num_threads(threads)
        forget(force=True)


def load() -> None:
    """Load the BLAS that Numba's ``np.dot`` calls, as the first convolution would."""
    _libraries()


@functools.cache
def _libraries() -> list[Any]:
    """Return the controllers of the BLAS libraries that Numba's ``np.dot`` may call.

    NumPy's wheel carries a BLAS of its own, which is not Numba's: it is left alone.
    """
    import scipy
    import scipy.linalg.cython_blas  # loads the library that Numba binds to
    from threadpoolctl import ThreadpoolController

    found = ThreadpoolController().select(user_api="blas").lib_controllers
    package = Path(scipy.__file__).parent
    shipped = [c for c in found if _is_shipped_with(Path(c.filepath), package)]
    return shipped or list(found)


def _is_shipped_with(library: Path, package: Path) -> bool:
    """Return whether a library lies where wheels put what `package` brings along."""
    bundled = package.parent / f"{package.name}.libs"
    return library.is_relative_to(bundled) or library.is_relative_to(package)


def _after_fork_in_child() -> None:
    """In a forked child no call is running, whatever other threads of the parent were doing."""
    _callers.clear()
    _restore(_before)
    _lock.release()


# Forks wait for a change of limits to be whole, so that a child knows what to put back.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_lock.acquire,
        after_in_parent=_lock.release,
        after_in_child=_after_fork_in_child,
    )


def multiply(a: Array, b: Array, out: Array) -> None:
    """Write ``a @ b`` to `out`; integers wrap. In kernels it is compiled by the dtype."""
    np.dot(a, b, out)


@overload(multiply, jit_options=OPTIONS)  # type: ignore[untyped-decorator]
def _multiply(a: Any, b: Any, out: Any) -> Any:
    if isinstance(a.dtype, types.Integer):
        return _multiply_integers

    def impl(a: Any, b: Any, out: Any) -> None:
        np.dot(a, b, out)

    return impl


def _multiply_integers(a: Any, b: Any, out: Any) -> None:
    # Four rows at a time: each row of b is then loaded a quarter as often.
    rows = a.shape[0]
    quads = rows - rows % 4
    for i in range(rows):
        for j in range(b.shape[1]):
            out[i, j] = 0
    for i in range(0, quads, 4):
        for k in range(a.shape[1]):
            add_four(a[i, k], a[i + 1, k], a[i + 2, k], a[i + 3, k], b[k], out, i)
    for i in range(quads, rows):
        for k in range(a.shape[1]):
            add_multiple(a[i, k], b[k], out[i])


@device
def add_four(a0: Any, a1: Any, a2: Any, a3: Any, row: Array, out: Array, i: int) -> None:
    """Add multiples of one row to four rows of `out`."""
    o0, o1, o2, o3 = out[i], out[i + 1], out[i + 2], out[i + 3]
    for j in range(row.size):
        o0[j] += a0 * row[j]
        o1[j] += a1 * row[j]
        o2[j] += a2 * row[j]
        o3[j] += a3 * row[j]


@device
def add_multiple(a: Any, row: Array, out: Array) -> None:
    """Add a multiple of one row to another."""
    for j in range(row.size):
        out[j] += a * row[j]
