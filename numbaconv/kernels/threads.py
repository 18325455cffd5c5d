"""Who runs a kernel: the calling thread or Numba's, as many as there are cores for, never aborting.

Under the workqueue layer, two Python threads in parallel kernels at once abort the process: they
take turns here. A child forked after the omp layer has started is killed in its first parallel
kernel: it runs the serial twins.
"""

import collections
import contextlib
import functools
import math
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba.np.ufunc import parallel as numba_parallel

from numbaconv.kernels import held, recording
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
    return min(count, default_threads()) if count == most else count


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


_ROOT = Path("/sys/fs/cgroup")


@functools.cache
def default_threads() -> int:
    """Return the number of threads where nobody has set one: never more than `allowed` cores.

    ``NUMBA_NUM_THREADS`` and `numba.set_num_threads` say it otherwise.
    """
    most = int(numba.config.NUMBA_NUM_THREADS)
    return most if "NUMBA_NUM_THREADS" in os.environ else min(most, allowed())


def allowed(root: Path = _ROOT, groups: Path = Path("/proc/self/cgroup")) -> int:
    """Return how many cores this process may keep busy at once, at least 1.

    The affinity of the process (or ``PYTHON_CPU_COUNT``), and the quota of its container: of each
    control group from its own to the root, version 2 (``cpu.max``) or 1 (``cpu.cfs_quota_us`` over
    ``cpu.cfs_period_us``), the least; half a core counts as one.
    """
    quotas = [_quota(folder) for folder in _folders(root, groups)]
    return max(1, math.ceil(min([float(_cores()), *(q for q in quotas if q is not None)])))


def _cores() -> int:
    # os.process_cpu_count is new in Python 3.13.
    count = getattr(os, "process_cpu_count", None)
    if count is not None:
        return count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _folders(root: Path, groups: Path) -> list[Path]:
    """Return the folders of the control groups that this process is in, from root to leaf."""
    found = [root, root / "cpu", root / "cpu,cpuacct"]
    try:
        lines = groups.read_text().splitlines()
    except OSError:
        return found
    for line in lines:
        _, controllers, path = line.split(":", 2)
        bases = [root] if not controllers else []
        if "cpu" in controllers.split(","):
            bases = [root / controllers, root / "cpu"]
        parts = [part for part in path.split("/") if part]
        for base in bases:
            found += [base.joinpath(*parts[:n]) for n in range(1, len(parts) + 1)]
    return found


def _quota(folder: Path) -> float | None:
    """Return the cores that a control group may use, or None where it may use all."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError):  # no such file; or "max"
        return None
