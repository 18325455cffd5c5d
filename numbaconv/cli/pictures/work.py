"""Threads that decode, filter and encode one image after another, and what became of each.

Every thread takes an image through all of its stages, so that the images in memory are as many as
threads, and fewer where they are large.
"""

import collections
import contextlib
import errno
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from numbaconv.cli.convolving import Convolution
from numbaconv.cli.files import replaced
from numbaconv.cli.pictures.picture import Frame, Picture
from numbaconv.cli.pictures.reading import opened
from numbaconv.cli.pictures.writing import as_image, kind_for, write
from numbaconv.filtering.planes import PlaneWindow
from numbaconv.problem.arrays import Array

#: What is timed of every image.
STAGES = ("decode", "filter", "encode")

# Bytes of images in memory at a time; a single larger one is taken alone.
_BUDGET = 640 << 20
# Bytes that an image takes on its way, for each that its pixels have: as Pillow's, as an array, the
# result, and that as Pillow's again.
_COPIES = 5
# Errors of writing that the next image would meet as well.
_FATAL = (
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EFBIG,
)  # fmt: skip


class WriteError(OSError):
    """The output cannot be written: it is not this image's fault."""


@dataclass(frozen=True)
class Task:
    """An image to be done.

    Parameters
    ----------
    number : int
        Its place among the inputs.
    source, target : Path
        Its files.
    shown : bool
        Whether the contact sheet wants to see it.
    write : bool
        Whether it is to be written, too.
    """

    number: int
    source: Path
    target: Path
    shown: bool
    write: bool = True


@dataclass
class Done:
    """What became of an image.

    Parameters
    ----------
    task : Task
        The image.
    error : BaseException, optional
        Why it failed.
    pixels, read, written : int
        Pixels of the input, bytes of the input file and of the output file.
    seconds : dict
        Of ``"decode"``, ``"filter"`` and ``"encode"``.
    pair : tuple of ndarray, optional
        The first frame before and after.
    lost : set of str
        What could not be kept.
    """

    task: Task
    error: BaseException | None = None
    pixels: int = 0
    read: int = 0
    written: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    pair: tuple[Array, Array] | None = None
    lost: set[str] = field(default_factory=set)


class _Budget:
    """Lets images in while their bytes fit; one that never would is let in alone."""

    def __init__(self, size: int) -> None:
        self._size, self._held = size, 0
        self._changed = threading.Condition()
        self._turn = threading.Lock()  # whoever came first goes first, large or small

    def take(self, size: int, stop: threading.Event, *, wait: bool) -> bool:
        """Let an image in; without `wait`, return whether that was possible at once."""
        if not self._turn.acquire(blocking=wait):
            return False
        try:
            with self._changed:
                while self._held and self._held + size > self._size and not stop.is_set():
                    if not wait:
                        return False
                    self._changed.wait(0.1)
                self._held += size
                return True
        finally:
            self._turn.release()

    def give(self, size: int) -> None:
        """Let an image out."""
        with self._changed:
            self._held -= size
            self._changed.notify_all()


class _Begun:
    """An image that is open, and its first frame decoded.

    Parameters
    ----------
    task : Task
        The image.
    """

    def __init__(self, task: Task) -> None:
        self.done = Done(task)
        self.clock = _Clock(self.done.seconds)
        self._open = contextlib.ExitStack()
        self.picture: Picture
        self.first: Frame

    def go(self, large: bool, budget: _Budget, stop: threading.Event, *, wait: bool) -> bool:
        """Open and decode; return False if there is no room for it now."""
        task = self.done.task
        self.done.read = task.source.stat().st_size
        with contextlib.ExitStack() as opening:
            self.picture = opening.enter_context(opened(task.source, large=large))
            size = self.picture.nbytes * _COPIES
            if not budget.take(size, stop, wait=wait):
                return False
            opening.callback(budget.give, size)
            self.first = next(self.picture.frames)
            self._open = opening.pop_all()
        self.clock.enter("waiting")
        return True

    def close(self) -> None:
        """Let go of the file and of the memory."""
        self._open.close()


class Workers:
    """Threads at work on images.

    Parameters
    ----------
    tasks : sequence of Task
        The images.
    convolve : Convolution
        What is done to each.
    window : PlaneWindow
        How its kernel moves: where alpha is taken from.
    count : int
        Threads.
    large : bool
        Whether very large images are taken.
    drop_alpha : bool
        Whether alpha is dropped.
    stop_on_error : bool
        Whether no image is begun any more when one has failed.
    """

    def __init__(
        self, tasks: Sequence[Task], convolve: Convolution, window: PlaneWindow, *, count: int,
        large: bool, drop_alpha: bool, stop_on_error: bool,
    ) -> None:  # fmt: skip
        self._tasks, self._convolve, self._window = iter(tasks), convolve, window
        self._large, self._drop_alpha, self._fragile = large, drop_alpha, stop_on_error
        # Threads that share one image would wait for each other where there is one each.
        self._parallel = count > 1 and len(tasks) == 1
        self._lock, self._stop, self._ready = threading.Lock(), threading.Event(), threading.Event()
        self._waiting: collections.deque[Task] = collections.deque()
        self._found: queue.SimpleQueue[Done | None] = queue.SimpleQueue()
        self._budget = _Budget(_BUDGET)
        self._threads = [
            threading.Thread(target=self._work, name=f"numbaconv-{n}")
            for n in range(max(1, min(count, len(tasks))))
        ]

    def __enter__(self) -> "Workers":
        for thread in self._threads:
            thread.start()
        # Numba loads its machinery, and the kernels, in one thread: meanwhile the others decode.
        try:
            self._convolve.prepare()
        except BaseException:
            self.__exit__()
            raise
        self._ready.set()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._ready.set()
        for thread in self._threads:
            thread.join()

    def results(self) -> Iterator[Done]:
        """Yield what becomes of the images, in the order in which they end."""
        left = len(self._threads)
        while left:
            done = self._found.get()
            if done is None:
                left -= 1
            else:
                yield done

    def _work(self) -> None:
        """Take images until there is none; while kernels are loaded, decode what fits."""
        begun: collections.deque[_Begun] = collections.deque()
        more = True
        try:
            while (more or begun) and not self._stop.is_set():
                if more and not (begun and self._ready.is_set()):
                    more = self._begin(begun)
                elif begun:
                    self._ready.wait()
                    self._end(begun.popleft())
        finally:
            for one in begun:
                one.close()
            self._found.put(None)

    def _begin(self, begun: "collections.deque[_Begun]") -> bool:
        """Decode the next image; return False if there is none, or no room beside the others."""
        with self._lock:
            task = self._waiting.popleft() if self._waiting else next(self._tasks, None)
        if task is None:
            return False
        one = _Begun(task)
        try:
            if one.go(self._large, self._budget, self._stop, wait=not begun):
                begun.append(one)
                return True
        except BaseException as error:  # of whatever kind: libraries that decode raise any
            one.close()
            self._failed(one.done, error)
            return True
        with self._lock:
            self._waiting.append(task)
        self._ready.wait()
        return True

    def _end(self, one: _Begun) -> None:
        """Filter an image and write it."""
        done, task = one.done, one.done.task
        try:
            one.clock.enter("encode")
            frames = self._filtered(_chain(one.first, one.picture.frames), done, one.clock)
            first = next(frames)
            if task.write:
                kind = kind_for(task.target)
                with _writing(task.target) as file:
                    write(one.picture, _chain(first, frames), kind, file, done.lost.add)
                    done.written = file.tell()
            one.clock.enter(None)
        except _StoppedError:
            return
        except BaseException as error:
            self._failed(done, error)
            return
        finally:
            one.close()
        self._found.put(done)

    def _failed(self, done: Done, error: BaseException) -> None:
        done.error = error
        if self._fragile:
            self._stop.set()
        self._found.put(done)

    def _filtered(self, frames: Iterator[Frame], done: Done, clock: "_Clock") -> Iterator[Frame]:
        """Yield the results for frames as they are asked for."""
        outer = clock.enter("decode")
        for frame in frames:
            if self._stop.is_set():
                raise _StoppedError
            given = frame.opaque() if self._drop_alpha else frame
            clock.enter("filter")
            result = self._frame(given)
            height, width = given.pixels.shape[:2]
            done.pixels += height * width
            if done.task.shown and done.pair is None:
                done.pair = _shown(given), _shown(result)
            clock.enter(outer)
            yield result
            outer = clock.enter("decode")
        clock.enter(outer)

    def _frame(self, frame: Frame) -> Frame:
        """Return a frame filtered, its alpha as it was."""
        if not frame.alpha:
            pixels = self._convolve.picture(frame.pixels, parallel=self._parallel)
            return Frame(pixels, False, frame.mode, frame.shown)
        colours = np.ascontiguousarray(frame.colours)
        found = self._convolve.picture(colours, parallel=self._parallel)
        window = self._window
        (rows, columns), size = self._convolve.size, frame.pixels.shape
        there = np.ix_(window.centres(size[0], rows), window.centres(size[1], columns))
        alpha = frame.pixels[..., -1][there]
        pixels = np.concatenate([found, alpha[..., None]], axis=-1)
        return Frame(pixels, True, frame.mode, frame.shown)


def _shown(frame: Frame) -> Array:
    """Return a frame as a contact sheet shows it."""
    if frame.mode in ("CMYK", "LAB"):
        return np.asarray(as_image(frame).convert("RGB"))
    return frame.colours


class _StoppedError(Exception):
    """Nobody wants the rest of an image any more."""


class _Clock:
    """Adds the time between two calls to the stage that was entered before."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self._seconds, self._stage = seconds, "decode"
        self._since = time.perf_counter()

    def enter(self, stage: str | None) -> str:
        """Begin a stage and return the one before."""
        now = time.perf_counter()
        before = self._stage
        if before in self._seconds:
            self._seconds[before] += now - self._since
        self._since, self._stage = now, stage or before
        return before


@contextlib.contextmanager
def _writing(target: Path) -> Iterator[IO[bytes]]:
    """Open the output; what ails the disk is told from what ails the image."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replaced(target) as file:
            yield file
    except OSError as error:
        if error.errno in _FATAL:
            raise WriteError(error.errno, error.strerror or "", str(target)) from error
        raise


def _chain(first: Frame, rest: Iterator[Frame]) -> Iterator[Frame]:
    yield first
    yield from rest
