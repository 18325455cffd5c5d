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
