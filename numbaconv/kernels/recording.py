"""Records what a call launches, so that jitted code can launch it again without Python.

While a call is recorded, `threads` and `workspace` beside this report each launch and the memory
that it borrows. A recording is of use only if all that the call did is in it; what does its
work in kernels alone says so by `approve`. Every address among a launch's arguments must lie in an
input, an output, borrowed memory, or a constant that was named; otherwise nothing is recorded.
"""

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

# Integers from here on are taken for addresses: sizes and strides of what is worth it are smaller.
_LEAST_ADDRESS = 1 << 32

#: How many calls are being recorded, in all threads: a cheap test for the usual none.
active = 0
_counting = threading.Lock()


def _after_fork() -> None:
    """Let a child record nothing of what its parent did."""
    global active, _counting
    active, _counting = 0, threading.Lock()
    _local.recorder = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class _Local(threading.local):
    recorder: "Recorder | None" = None


_local = _Local()


class Recorder:
    """What one call did."""

    def __init__(self) -> None:
        #: (compiled function, arguments, how many pieces of memory were borrowed before)
        self.launches: list[tuple[Any, tuple[Any, ...], int]] = []
        self.borrowed: list[tuple[int, int]] = []  # (address, bytes)
        self.cleared: list[tuple[int, int]] = []  # borrowed memory that began as zeros
        self.owners: list[Any] = []  # so that nothing else comes to lie there meanwhile
        self.constants: list[tuple[int, int]] = []
        self.checks: list[int] = []
        self.kept: list[Any] = []
        self.threads = 0
        self.in_a_layer = False
        self.approved = self.refused = False


@contextmanager
def recording() -> Iterator[Recorder]:
    """Record what the calling thread does."""
    global active
    recorder = _local.recorder = Recorder()
    with _counting:
        active += 1
    try:
        yield recorder
    finally:
        with _counting:
            active -= 1
        _local.recorder = None


def launched(function: Any, arguments: tuple[Any, ...]) -> None:
    """Note that a compiled kernel ran."""
    recorder = _local.recorder
    if recorder is not None:
        recorder.launches.append((function, arguments, len(recorder.borrowed)))


def borrowed(address: int, nbytes: int, owner: Any, *, cleared: bool = False) -> None:
    """Note memory whose contents are the call's own."""
    recorder = _local.recorder
    if recorder is not None:
        recorder.borrowed.append((address, nbytes))
        recorder.owners.append(owner)
        if cleared:
            recorder.cleared.append((address, nbytes))


def borrowed_array(array: Any, *, cleared: bool = False) -> None:
    """Note the memory under an array, with all that its base has around it."""
    whole = array
    while isinstance(whole.base, np.ndarray):
        whole = whole.base
    borrowed(whole.ctypes.data, whole.nbytes, whole, cleared=cleared)


def depends_on_threads(count: int) -> None:
    """Note that the call would do otherwise with another number of threads."""
    recorder = _local.recorder
    if recorder is not None:
        recorder.threads = count


def ran_in_a_layer() -> None:
    """Note that threads of Numba's layer ran a kernel."""
    recorder = _local.recorder
    if recorder is not None:
        recorder.in_a_layer = True


def keep(*objects: Any, constants: Iterable[Any] = (), check: Any = None) -> None:
    """Keep objects alive that launches read.

    Parameters
    ----------
    objects
        Whatever holds memory that tables point to.
    constants : iterable of ndarray
        Arrays whose addresses are among the arguments.
    check : ndarray, optional
        An int64 of the call's own memory: if it is not 0 afterwards, the call must go another way.
    """
    recorder = _local.recorder
    if recorder is not None:
        recorder.kept += objects
        for array in constants:
            recorder.kept.append(array)
            recorder.constants.append((array.ctypes.data, max(array.nbytes, 1)))
        if check is not None:
            recorder.checks.append(check.ctypes.data)


def approve() -> None:
    """Say that launches, and what they borrow, are all that the call does."""
    recorder = _local.recorder
    if recorder is not None:
        recorder.approved = True


def refuse() -> None:
    """Say that this call's data went a way of its own, which others must not follow."""
    recorder = _local.recorder
    if recorder is not None:
        recorder.refused = True


def addresses_are_small() -> bool:
    """Return whether addresses may look like sizes, as where a program's heap lies low."""
    return not is_address(np.zeros(1).ctypes.data)


def is_address(value: int) -> bool:
    """Return whether an integer among a launch's arguments must be an address."""
    return abs(value) >= _LEAST_ADDRESS
