"""The workers of this process: started when work is first shared, ended with the interpreter.

They are threads of Python's that run nothing but machine code, without the GIL, and sleep on
CPython's own locks, which exist on every platform and need no GIL. A forked child has none of its
parent's; it starts its own when it first shares work.
"""

import _thread
import atexit
import ctypes
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from numbaconv.native import link
from numbaconv.teams import protocol

# How often to look for work, or for the end of a job, before sleeping: some 0.1 to 0.3 ms. With a
# quarter of it, callers of tasks that take some 0.1 ms slept at the end of a job (3 % of 1.5 ms).
_PATIENCE = 5000
# Seconds for workers to end in, with the interpreter.
_ENDING = 1.0


class Pool:
    """Memory that workers and callers share, and the workers.

    Parameters
    ----------
    limit : int
        How many threads may be at work, callers among them.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        nbytes = protocol.FIRST_WORKER + limit * protocol.WORKER
        self._memory = np.zeros(nbytes // 8 + 32, np.int64)
        start = int(self._memory.ctypes.data)
        #: Where `protocol` finds it, at the beginning of a cache line.
        self.address = -(-start // 128) * 128
        #: The memory, for recordings.
        self.words = self._memory[(self.address - start) // 8 :]
        self._starting = threading.Lock()
        api = ctypes.pythonapi
        self._allocate: Any = api.PyThread_allocate_lock
        self._allocate.restype = ctypes.c_void_p
        self._acquire: Any = api.PyThread_acquire_lock
        self._acquire.argtypes = ctypes.c_void_p, ctypes.c_int
        self._set(protocol.ACQUIRE, ctypes.cast(api.PyThread_acquire_lock, ctypes.c_void_p).value)
        self._set(protocol.RELEASE, ctypes.cast(api.PyThread_release_lock, ctypes.c_void_p).value)
        self._set(protocol.RUN, link.address(protocol.run_function))
        self._set(protocol.PATIENCE, _PATIENCE)
        self._set(protocol.LIMIT, limit)
        for desk in range(protocol.DESK_COUNT):
            at = protocol.DESKS + desk * protocol.DESK
            self._set(at + protocol.DESK_LOCK, self._lock())
        self._live = _native(protocol.live_function, 2)
        self._stop = _native(protocol.stop_function, 1)

    def _set(self, offset: int, value: int | None) -> None:
        assert value is not None
        self.words[offset // 8] = value

    def _lock(self) -> int:
        """Return a lock that is taken, so that the next to take it sleeps until it is freed."""
        lock = int(self._allocate())
        self._acquire(lock, 1)
        return lock

    @property
    def workers(self) -> int:
        """The threads that have been started."""
        return int(self.words[protocol.WORKERS // 8])

    def ensure(self, members: int) -> None:
        """Start workers until a job can have so many members."""
        if members - 1 <= self.workers:
            return
        with self._starting:
            while self.workers < min(members, self.limit) - 1:
                at = protocol.FIRST_WORKER + self.workers * protocol.WORKER
                self._set(at + protocol.WORKER_LOCK, self._lock())
                self.words[protocol.LIVING // 8] += 1
                self.words[protocol.WORKERS // 8] += 1
                _thread.start_new_thread(self._live, (self.address, self.address + at))

    def stop(self) -> None:
        """End the workers, and wait until they have ended."""
        self._stop(self.address)
        deadline = time.monotonic() + _ENDING
        while self.words[protocol.LIVING // 8] > 0 and time.monotonic() < deadline:
            time.sleep(0.0005)


def compile_protocol() -> None:
    """Compile what workers and callers do, as the first shared work would."""
    for make in (protocol.run_function, protocol.live_function, protocol.stop_function):
        link.address(make)


def _native(make: Callable[..., Callable[..., None]], count: int) -> Callable[..., None]:
    """Return a native function that Python can call; it runs without the GIL."""
    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * count)
    return kind(link.address(make))


_pool: Pool | None = None
_making = threading.Lock()


def _after_fork() -> None:
    """Forget the parent's pool, whose workers a child does not have, nor waits for at its end."""
    global _pool, _making
    if _pool is not None:
        _pool.words[protocol.LIVING // 8] = 0
    _pool, _making = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def current(members: int) -> Pool:
    """Return this process's pool, with workers for a job of so many members."""
    global _pool
    found = _pool
    if found is None:
        with _making:
            found = _pool
            if found is None:
                found = _pool = Pool(
                    min(int(numba.config.NUMBA_NUM_THREADS), protocol.MOST_MEMBERS)
                )
                atexit.register(found.stop)
    found.ensure(members)
    return found


def running() -> Pool | None:
    """Return this process's pool, if it has one."""
    return _pool
