"""Who runs a kernel: the calling thread or Numba's threads, and never in a way that aborts.

Under the workqueue layer, two Python threads in parallel kernels at once abort the process: they
take turns here. A child forked after the omp layer has started is killed in its first parallel
kernel: it runs the serial twins.
"""

import collections
import contextlib
import os
import threading
from collections.abc import Iterator
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba.np.ufunc import parallel as numba_parallel

from numbaconv.kernels import cores, held, recording
from numbaconv.kernels.jit import Kernel

_turns = threading.Lock()
_forked_from_omp = False


def _after_fork() -> None:
    """Replace a lock that another thread of the parent may hold, and remember a lost layer."""
    global _turns, _forked_from_omp
    _turns = threading.Lock()
    if numba_parallel._is_initialized and numba.threading_layer() == "omp":
        _forked_from_omp = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


#: Taps of pools, summed or compared, that take a thread some tenths of a second at most.
MOST_TAPS = 1 << 28
#: Elements that are moved, some nanoseconds each at worst.
MOST_MOVED = 1 << 27
# Multiplications, or elements moved, below which waking the threads costs more than they save.
_SERIAL_WORK = 1 << 16
# Elements of int64 in a cache line, of which processors fetch two at a time.
_LINE = 16
# Tables of finished calls that are kept, and the bytes of the largest.
_MOST_IDLE = 2
_LARGEST_IDLE = 1 << 20


def worker_count(tasks: int, *, work: int, parallel: bool) -> int:
    """Return how many threads may share `tasks`; with ``parallel=False`` no layer is touched.

    `work` counts the multiplications, or the elements moved.
    """
    return 1 if _forked_from_omp else sharing(tasks, work=work, parallel=parallel)


def ranges(tasks: int, work: int, most: int) -> Iterator[tuple[int, int]]:
    """Yield (begin, end) of consecutive tasks that are at most so much work, but one at least.

    All but the last are as many. Python sees Ctrl-C between launches, so none takes long.
    """
    step = max(1, tasks * most // max(work, 1))
    step = max(1, -(-tasks // max(1, -(-tasks // step))))
    for begin in range(0, tasks, step):
        yield begin, min(begin + step, tasks)


def sharing(tasks: int, *, work: int, parallel: bool) -> int:
    """Return how many threads may share `tasks`, whoever they are."""
    if not parallel or tasks <= 1 or work < _SERIAL_WORK:
        return 1
    return min(tasks, thread_count())


def asked_for() -> int:
    """Return how many threads the caller lets Numba use, without starting any."""
    # Asking Numba would start its threads; before it has any, nobody has set their number.
    if numba_parallel._is_initialized:
        return int(numba.get_num_threads())
    return int(numba.config.NUMBA_NUM_THREADS)


def thread_count() -> int:
    """Return how many threads a call may use, without starting any."""
    most, count = int(numba.config.NUMBA_NUM_THREADS), asked_for()
    if recording.active:
        recording.depends_on_threads(count)
    return min(count, cores.default_threads()) if count == most else count


_warming = threading.local()


@contextlib.contextmanager
def both_twins() -> Iterator[None]:
    """Run every kernel as both of its twins, for the sake of compiling them."""
    _warming.active = True
    try:
        yield
    finally:
        _warming.active = False


def run(kernel: Kernel, workers: int, *args: Any) -> None:
    """Run a kernel, with Numba's threads if there is to be more than one worker."""
    if getattr(_warming, "active", False):
        kernel.serial(*args)
        if not _forked_from_omp:
            with _turn():
                kernel.threaded(*args)
    elif workers == 1:
        kernel.serial(*args)
    else:
        with _turn():
            kernel.threaded(*args)
    if recording.active:
        if workers > 1:
            recording.ran_in_a_layer()
        recording.launched(kernel.serial if workers == 1 else kernel.threaded, args)


def shared_counter(count: int = 1) -> npt.NDArray[np.int64]:
    """Return int64 counters that share their cache line with nothing else."""
    found = np.zeros(count + 2 * _LINE, np.int64)[_LINE : _LINE + count]
    if recording.active:
        recording.borrowed_array(found, cleared=True)
    return found


def tables(workers: int, *shape: int) -> npt.NDArray[np.int64]:
    """Return an int64 table of at least a shape for each worker; no two share a cache line.

    Always contiguous, also for one worker, so that kernels are compiled for one kind of array.
    """
    *rest, last = shape
    found = np.zeros((workers, *rest, last + 2 * _LINE), np.int64)
    if recording.active:
        recording.borrowed_array(found, cleared=True)
    return found


class Scratch:
    """Counters and tables of finished calls, kept for the next one.

    Parameters
    ----------
    counters : int
        How many counters a call needs.
    shapes : tuple of tuple of int
        The shapes of its tables, for one worker.
    """

    def __init__(self, counters: int, *shapes: tuple[int, ...]) -> None:
        self.counters, self.shapes = counters, shapes
        self._idle: collections.deque[tuple[Any, ...]] = collections.deque(maxlen=_MOST_IDLE)

    def take(self, workers: int) -> tuple[Any, ...]:
        """Return counters, and a table of each shape for at least so many workers."""
        try:
            found = self._idle.pop()
        except IndexError:
            found = ()
        if not found or (self.shapes and len(found[1]) < workers):
            made = shared_counter(self.counters), *(tables(workers, *s) for s in self.shapes)
            held.grew(made)
            return made
        if recording.active:
            for array in found:
                recording.borrowed_array(array)
        return found

    def give_back(self, scratch: tuple[Any, ...]) -> None:
        """Let a later call have them."""
        if sum(array.nbytes for array in scratch) <= _LARGEST_IDLE:
            self._idle.append(scratch)


def threading_layer() -> str:
    """Return the name of Numba's threading layer, which it starts if need be."""
    numba_parallel._launch_threads()
    return str(numba.threading_layer())


def _turn() -> contextlib.AbstractContextManager[Any]:
    return _turns if threading_layer() == "workqueue" else contextlib.nullcontext()
