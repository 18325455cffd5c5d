"""``numbaconv apply`` on a folder of images, or on one."""

import contextlib
import time
from typing import Any

import click

from numbaconv.cli.convolving import Convolution
from numbaconv.cli.job import Job, contents
from numbaconv.cli.montage import MOST, Montage
from numbaconv.cli.pictures.inputs import Inputs, find, suffixes
from numbaconv.cli.pictures.work import STAGES, Done, Task, Workers, WriteError
from numbaconv.cli.pipeline import interruptible, megabytes, progress, quantity, tail
from numbaconv.cli.unfinished import Unfinished


def run(job: Job, convolve: Convolution) -> int:
    """Filter the images; return the exit status."""
    inputs = find(job.source, job.recursive, job.target if job.target.is_dir() else None)
    tasks = _tasks(job, inputs)
    begin = time.perf_counter()
    with (
        interruptible() as interrupts,
        contextlib.closing(_unfinished(job, inputs, tasks)) as unfinished,
    ):
        progressed = _Progress(job, inputs, unfinished)
        try:
            progressed.go(tasks, convolve)
        except BaseException:
            interrupts.held = True
            unfinished.interrupted()
            raise
        interrupts.held = True
        unfinished.finish()
        interrupts.held = False
        if progressed.montage and job.montage:
            progressed.montage.save(job.montage)
    return progressed.close(time.perf_counter() - begin)


def _tasks(job: Job, inputs: Inputs) -> list[Task]:
    if job.source.is_dir():
        if job.target.suffix.lower() in suffixes() | {".npy", ".zarr"} and not job.target.is_dir():
            raise ValueError(f"a folder of images gives a folder of images, not {job.target}")
        if job.target.exists() and not job.target.is_dir():
            raise ValueError(f"OUTPUT {job.target} is a file, INPUT is a folder")
        targets = [job.target / name for name in inputs.names]
    elif job.target.is_dir():
        targets = [job.target / job.source.name]
    else:
        targets = [job.target]
    if job.target.exists() and job.target.samefile(job.source):
        raise ValueError("OUTPUT must be another folder than INPUT")
    if not job.source.is_dir() and targets[0].exists() and targets[0].samefile(job.source):
        raise ValueError("OUTPUT must be another file than INPUT")
    return [
        Task(number, inputs.root / name, target, shown=job.montage is not None and number < MOST)
        for number, (name, target) in enumerate(zip(inputs.names, targets, strict=True))
    ]


def _unfinished(job: Job, inputs: Inputs, tasks: list[Task]) -> Unfinished:
    named = zip((task.source for task in tasks), map(str, inputs.names), strict=True)
    described = job.described | {"contents": contents(named)}
    folder = job.target if job.source.is_dir() else tasks[0].target.absolute().parent
    return Unfinished(folder, described, keep=job.resume, in_place=True)


class _Progress:
    """What has become of the images so far."""

    def __init__(self, job: Job, inputs: Inputs, unfinished: Unfinished) -> None:
        self._job, self._inputs, self._unfinished = job, inputs, unfinished
        self.montage = Montage(True, job.title) if job.montage else None
        self._skipped = unfinished.done
        self._ended: set[int] = set()
        self._failed: dict[int, str] = dict(unfinished.failed)
        self._lost: set[str] = set()
        self._count = 0
        self._sums = dict.fromkeys(("pixels", "read", "written"), 0)
        self._seconds = dict.fromkeys(STAGES, 0.0)

    def go(self, tasks: list[Task], convolve: Convolution) -> None:
        """Have the images done that are not done yet, and shown those that are."""
        job = self._job
        again = sorted(self._failed)
        self._failed.clear()
        there = [t for t in tasks[: self._skipped] if t.shown and t.number not in again]
        shown = [Task(t.number, t.source, t.target, True, write=False) for t in there]
        todo = shown + [tasks[n] for n in again] + tasks[self._skipped :]
        with (
            progress(len(tasks), self._skipped - len(again), "image", quiet=job.quiet) as bar,
            Workers(
                todo, convolve, job.window, count=job.threads, large=job.large_images,
                drop_alpha=job.drop_alpha, stop_on_error=not job.skip_errors,
            ) as workers,
        ):  # fmt: skip
            for done in workers.results():
                if done.error is not None:
                    self._failure(done, bar)
                if self.montage and done.pair is not None:
                    self.montage.add_pair(done.task.number, *done.pair, self._name(done.task))
                for words in sorted(done.lost - self._lost):
                    bar.clear()
                    self._say(f"{self._name(done.task)}: {words} (said once)")
                self._lost |= done.lost
                if done.task.write:
                    self._note(done)
                    bar.update()

    def _failure(self, done: Done, bar: Any) -> None:
        error = done.error
        assert error is not None
        if isinstance(error, WriteError) or not isinstance(error, Exception):
            raise error
        name, reason = self._name(done.task), _words(error)
        if not self._job.skip_errors:
            raise ValueError(f"{name}: {reason}") from error
        # What an earlier run has made of it is not what this one makes.
        done.task.target.unlink(missing_ok=True)
        bar.clear()
        self._say(f"{name}: {reason}")
        self._failed[done.task.number] = reason

    def _note(self, done: Done) -> None:
        """Count an image; the note of a run that may be gone on with counts from the first on."""
        if done.error is None:
            self._count += 1
            for name in self._sums:
                self._sums[name] += getattr(done, name)
        for stage in STAGES:
            self._seconds[stage] += done.seconds[stage]
        if done.task.number < self._skipped:
            return
        self._ended.add(done.task.number)
        advanced = 0
        while self._unfinished.done + advanced in self._ended:
            self._ended.remove(self._unfinished.done + advanced)
            advanced += 1
        if advanced:
            self._unfinished.failed = {
                n: r for n, r in self._failed.items() if n < self._unfinished.done + advanced
            }
            self._unfinished.advance(advanced)

    def close(self, total: float) -> int:
        """Print the summary, and return the exit status."""
        left, failed, job = self._inputs.left_alone, len(self._failed), self._job
        if failed:
            everything = len(self._inputs.names)
            self._say(f"{failed} of {quantity(everything, 'image')} failed")
        if not job.quiet:
            sums, rate = self._sums, 1 / max(total, 1e-9)
            stages = ", ".join(f"{stage} {self._seconds[stage]:.2f} s" for stage in STAGES)
            click.echo(
                f"{quantity(self._count, 'image')} in {total:.2f} s: {self._count * rate:.1f} "
                f"images/s, {sums['pixels'] / 1e6 * rate:.1f} megapixels/s, "
                f"{megabytes(sums['read'] * rate)}/s read, {megabytes(sums['written'] * rate)}/s "
                f"written; {stages} on {quantity(job.threads, 'thread')}"
                f"{tail()}; wrote {job.target}"
                + (f" and {job.montage}" if job.montage else "")
                + (f"; {self._skipped} images were there already" if self._skipped else "")
            )
            if left:
                click.echo(left)
        return 1 if failed else 0

    def _name(self, task: Task) -> str:
        return str(self._inputs.names[task.number])

    def _say(self, words: str) -> None:
        click.echo(f"numbaconv: {' '.join(words.split())}", err=True)


def _words(error: Exception) -> str:
    """Return why an image failed, in the words of whoever noticed."""
    words = str(error)
    if isinstance(error, OSError | SyntaxError | EOFError):
        return f"it cannot be read as an image: {words or type(error).__name__}"
    if isinstance(error, ValueError | TypeError) and words:
        return words
    if isinstance(error, MemoryError):
        return words or "there is not enough memory"
    return f"{type(error).__name__}: {words}"
