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
_running = 0
_before: list[tuple[Any, int]] = []


@contextlib.contextmanager
def single_threaded() -> Iterator[None]:
    """Limit SciPy's BLAS to one thread until the last caller leaves, however it leaves."""
    own = [(c, c.get_num_threads()) for c in _libraries() if _is_limited_per_thread(c)]
    for library, _ in own:
        _set(library, 1)
    _enter()
    try:
        yield
    finally:
        _leave()
        for library, threads in own:
            _set(library, threads)


def _enter() -> None:
    global _running
    libraries = [c for c in _libraries() if not _is_limited_per_thread(c)]
    with _lock:
        if _running == 0:
            for library in libraries:
                _before.append((library, library.get_num_threads()))
                _set(library, 1)
        _running += 1


def _leave() -> None:
    global _running
    with _lock:
        _running -= 1
        if _running == 0:
            _restore()


def _restore() -> None:
    while _before:
        library, threads = _before.pop()
        _set(library, threads)


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


def _after_fork() -> None:
    """In a forked child no call is running, whatever other threads of the parent were doing."""
    global _lock, _running
    _lock = threading.Lock()
    _running = 0
    _restore()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
