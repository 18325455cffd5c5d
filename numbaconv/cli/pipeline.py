"""Reading the next batch, and writing the last, while one is convolved."""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

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
