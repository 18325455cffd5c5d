"""Batches read ahead and written behind, what interrupts them, and the last words."""

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

from tqdm import tqdm

from numbaconv.cli.files import Batch, Sink
from numbaconv.cli.unfinished import Unfinished
from numbaconv.problem.arrays import Array


def ahead(batches: Iterator[Batch], seconds: dict[str, float]) -> Iterator[Batch]:
    """Yield batches, of which one more is read meanwhile in a thread.

    What reading takes is added to ``seconds["read"]``.
    """

    def read() -> Batch | None:
        begin = time.perf_counter()
        batch = next(batches, None)
        seconds["read"] += time.perf_counter() - begin
        return batch

    with ThreadPoolExecutor(1, "numbaconv-read") as pool:
        coming = pool.submit(read)
        while (batch := coming.result()) is not None:
            coming = pool.submit(read)
            yield batch


class Behind:
    """Writes a batch in a thread, and counts it when it is written.

    Parameters
    ----------
    sink : Sink
        Where results go.
    unfinished : Unfinished
        Who is told how many are there.
    bar : tqdm
        Who shows it.
    seconds : dict
        What writing takes is added to its ``"write"``.
    """

    def __init__(
        self, sink: Sink, unfinished: Unfinished, bar: Any, seconds: dict[str, float]
    ) -> None:
        self._sink, self._unfinished, self._bar = sink, unfinished, bar
        self._seconds = seconds
        self._pool = ThreadPoolExecutor(1, "numbaconv-write")
        self._last: Future[None] | None = None

    def __enter__(self) -> "Behind":
        return self

    def write(self, results: Array, names: list[str]) -> None:
        """Have results written; wait until those before them are."""
        if self._last is not None:
            self._last.result()
        self._last = self._pool.submit(self._write, results, names)

    def _write(self, results: Array, names: list[str]) -> None:
        begin = time.perf_counter()
        self._sink.write(results, names)
        self._seconds["write"] += time.perf_counter() - begin
        self._unfinished.advance(len(names))
        self._bar.update(len(names))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._pool.shutdown(wait=True)
        except KeyboardInterrupt:
            # No more than one comes: nobody may touch the output while it is being written.
            self._pool.shutdown(wait=True)
            raise
        if self._last is not None and error is None:
            self._last.result()


class Terminated(KeyboardInterrupt):
    """SIGTERM: an interruption, too, with another exit status."""


class Interrupts:
    """What signals have come; the first one raises where it comes, if it is not held back."""

    def __init__(self) -> None:
        self._pressed: type[KeyboardInterrupt] | None = None
        self.held = False

    def __call__(self) -> None:
        """Raise what has come since the start."""
        if self._pressed:
            raise self._pressed

    def note(self, number: int, frame: object) -> None:
        """Handle a signal."""
        first = self._pressed is None
        if first:
            self._pressed = Terminated if number == signal.SIGTERM else KeyboardInterrupt
        if first and not self.held:  # a second one shall not break into the cleaning up
            self()


@contextlib.contextmanager
def interruptible() -> Iterator[Interrupts]:
    """Yield what raises KeyboardInterrupt when it is called, if Ctrl-C was pressed since the start.

    SIGTERM raises `Terminated` meanwhile, if nobody else handles it. While its `held` is true,
    signals are only remembered.
    """
    interrupts = Interrupts()
    before = {}
    if threading.current_thread() is threading.main_thread():
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as behind nohup
            before[signal.SIGINT] = signal.signal(signal.SIGINT, interrupts.note)
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            before[signal.SIGTERM] = signal.signal(signal.SIGTERM, interrupts.note)
    try:
        yield interrupts
        interrupts()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def progress(count: int, done: int, unit: str, *, quiet: bool) -> Any:
    """Return a bar; it shows itself on a terminal only, and not if the run is to be quiet."""
    return tqdm(total=count, initial=done, unit=unit, disable=True if quiet else None)


def quantity(count: int, name: str) -> str:
    """Return a number of things, as ``3 images`` or ``1 image``."""
    return f"{count} {name}" + "s" * (count != 1)


def megabytes(count: float) -> str:
    """Return a number of bytes, in MB, or of bytes a second."""
    return f"{count / 1e6:.1f} MB"


def peak_memory() -> int | None:
    """Return the most bytes that this process has had resident, where the system tells."""
    with contextlib.suppress(OSError, StopIteration):
        # Linux's `ru_maxrss` is that of the process that started this one, if it was larger.
        with open("/proc/self/status") as status:
            line = next(line for line in status if line.startswith("VmHWM:"))
        return int(line.split()[1]) << 10
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def tail() -> str:
    """Return the last words of a summary."""
    peak = peak_memory()
    return "" if peak is None else f"; at most {peak / 2**20:.0f} MiB of memory"
