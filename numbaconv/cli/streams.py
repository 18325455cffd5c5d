"""``numbaconv apply`` on arrays: batches, read ahead and written behind."""

import contextlib
import time
from pathlib import Path

import click
import numba

from numbaconv.cli.convolving import Convolution
from numbaconv.cli.files import NpySink, NpySource, Sink, Source
from numbaconv.cli.job import Job, contents
from numbaconv.cli.montage import MOST, Montage
from numbaconv.cli.pipeline import (
    Behind,
    Interrupts,
    ahead,
    interruptible,
    megabytes,
    progress,
    quantity,
    tail,
)
from numbaconv.cli.unfinished import Unfinished
from numbaconv.cli.zarr_files import ZarrSink, ZarrSource
from numbaconv.problem.arrays import Array

# Bytes of a batch at most, if it has more than one image: three of them are in memory, and results.
_BATCH_BYTES = 48 << 20


def run(job: Job, source: Source, convolve: Convolution) -> int:
    """Filter the arrays, and return the exit status."""
    numba.set_num_threads(min(job.threads, numba.config.NUMBA_NUM_THREADS))
    montage = Montage(source.channels_last, job.title) if job.montage else None
    begin = time.perf_counter()
    with (
        interruptible() as interrupts,
        contextlib.closing(_unfinished(job, source)) as unfinished,
    ):
        skipped = unfinished.done
        try:
            stream = _Stream(job, source, convolve, montage)
            stream.go(unfinished, interrupts)
        except BaseException:
            interrupts.held = True
            unfinished.interrupted()
            raise
        interrupts.held = True
        unfinished.finish()
        interrupts.held = False
        if montage and job.montage:
            if skipped:
                _add_first(montage, source, convolve, stream.batch)
            montage.save(job.montage)
    if not job.quiet:
        click.echo(stream.summary(time.perf_counter() - begin, skipped))
    return 0


class _Stream:
    """Batches on their way through the convolution."""

    def __init__(
        self, job: Job, source: Source, convolve: Convolution, montage: Montage | None
    ) -> None:
        self._job, self._source, self._convolve, self._montage = job, source, convolve, montage
        self.batch = _batch_size(job.batch, source)
        self._seconds = dict.fromkeys(("read", "filter", "write"), 0.0)
        self._flops = self._pixels = self._bytes = 0

    def go(self, unfinished: Unfinished, interrupts: Interrupts) -> None:
        """Convolve what is not done yet."""
        job, source = self._job, self._source
        warm, parallel, axis = False, True, -1 if source.channels_last else 1
        skipped = unfinished.done
        with (
            progress(source.count, skipped, "image", quiet=job.quiet) as bar,
            contextlib.closing(_open_sink(job, source, self._convolve, unfinished)) as sink,
            Behind(sink, unfinished, bar, self._seconds) as behind,
        ):
            ended = time.perf_counter()
            for batch in ahead(source.batches(self.batch, skipped), self._seconds):
                interrupts()
                if not warm and len(batch.names) > 1:
                    # Compiled, or loaded from the cache, before the convolution's clock starts.
                    self._convolved(batch.images[:1], parallel=True)
                warm = True
                start = time.perf_counter()
                results = self._convolved(batch.images, parallel=parallel)
                spent = time.perf_counter() - start
                self._seconds["filter"] += spent
                self._pixels += batch.images.size // batch.images.shape[axis]
                self._bytes += results.nbytes
                self._flops += self._convolve.flops(results)
                # Where files take longer than sums, Numba's threads would spin on the cores that
                # read and write. The bits are the same.
                parallel = start - ended < spent
                ended = time.perf_counter()
                behind.write(results, batch.names)
                if self._montage and not skipped:
                    self._montage.add(batch.images, results, batch.names)

    def _convolved(self, images: Array, *, parallel: bool) -> Array:
        return self._convolve.arrays(images, self._source.channels_last, parallel=parallel)

    def summary(self, total: float, skipped: int) -> str:
        """Return the line that sums it up."""
        job, count = self._job, self._source.count - skipped
        rate = 1 / max(total, 1e-9)
        stages = ", ".join(f"{stage} {spent:.2f} s" for stage, spent in self._seconds.items())
        return (
            f"{quantity(count, 'image')} in {total:.2f} s: {count * rate:.1f} images/s, "
            f"{self._pixels / 1e6 * rate:.1f} megapixels/s, "
            f"{megabytes(count * self._source.nbytes * rate)}/s read, "
            f"{megabytes(self._bytes * rate)}/s written; {stages}, "
            f"{self._flops / max(self._seconds['filter'], 1e-9) / 1e9:.2f} GFLOP/s{tail()}; "
            f"wrote {job.target}"
            + (f" and {job.montage}" if job.montage else "")
            + (f"; {skipped} images were there already" if skipped else "")
        )


def _batch_size(wanted: int, source: Source) -> int:
    """Return how many images are taken at a time: few enough to fit, and whole chunks."""
    most = max(1, _BATCH_BYTES // max(1, source.nbytes))
    size = min(wanted, most)
    together = source.together if isinstance(source, ZarrSource) else 1
    if size < together <= 2 * most:
        return together
    return max(1, size // together * together) if size >= together else size


def _add_first(montage: Montage, source: Source, convolve: Convolution, size: int) -> None:
    """Show the first images of a run that an earlier one began."""
    seen = 0
    for batch in source.batches(min(size, MOST)):
        results = convolve.arrays(batch.images, source.channels_last, parallel=True)
        montage.add(batch.images, results, batch.names)
        seen += len(batch.names)
        if seen >= MOST:
            break


def open_source(job: Job) -> Source:
    """Return the arrays of a job, or say what is wrong with its INPUT or OUTPUT."""
    zarr = is_zarr(job.source)
    kind = ".zarr" if zarr else ".npy"
    if not zarr and (job.source.suffix != kind or job.target.suffix != kind):
        raise ValueError(
            "INPUT and OUTPUT must be two .npy files, two .zarr arrays or two folders of images, "
            f"got {job.source} and {job.target}"
        )
    if zarr and job.target.suffix == ".npy":
        raise ValueError(
            f"INPUT and OUTPUT must be two .zarr arrays, got {job.source} and {job.target}"
        )
    if job.target.exists() and job.target.samefile(job.source):
        raise ValueError(f"OUTPUT must be another {kind} than INPUT")
    last = job.channels_last
    source = ZarrSource(job.source, last) if zarr else NpySource(job.source, last)
    if 0 in source.array.shape:
        raise ValueError(
            f"{job.source} holds no images, or empty ones: its shape is {source.array.shape}"
        )
    return source


def is_zarr(path: Path) -> bool:
    """Return whether a folder is a zarr array or group, or is called one."""
    marks = ("zarr.json", ".zarray", ".zgroup")
    return path.is_dir() and (
        path.suffix == ".zarr" or any((path / mark).is_file() for mark in marks)
    )


def _open_sink(job: Job, source: Source, convolve: Convolution, unfinished: Unfinished) -> Sink:
    if isinstance(source, ZarrSource):
        return ZarrSink(unfinished.part, source, job.window, convolve.size, unfinished.done)
    return NpySink(unfinished.part, source.count, unfinished.done)


def _unfinished(job: Job, source: Source) -> Unfinished:
    """Return what an earlier run has left; its note names all that the results depend on."""
    array = source.array  # type: ignore[attr-defined]
    files = [job.source]
    if job.source.is_dir():
        files = sorted(path for path in job.source.rglob("*") if path.is_file())
    described = job.described | {
        "shape": list(array.shape), "dtype": str(array.dtype),
        "contents": contents((file, file.name) for file in files),
    }  # fmt: skip
    return Unfinished(job.target, described, keep=job.resume, in_place=False)
