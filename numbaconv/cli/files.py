"""Batches from and to .npy files, and how a file appears as a whole.

A source yields `Batch`es; a sink takes the results in the same order. Nothing is ever half-written
under its final name.
"""

import contextlib
import math
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np

from numbaconv.problem.arrays import Array

# What NumPy raises for files that are no arrays.
UNREADABLE = (ValueError, OSError, EOFError, OverflowError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Batch:
    """Images of one shape and dtype, and what each is called."""

    images: Array
    names: list[str]


class Source(Protocol):
    """Where batches come from."""

    count: int
    channels_last: bool
    #: Of one image.
    nbytes: int

    def batches(self, size: int, skip: int = 0) -> Iterator[Batch]:
        """Yield all images but the first `skip`, at most `size` at a time."""


class Sink(Protocol):
    """Where results go."""

    def write(self, results: Array, names: list[str]) -> None:
        """Take the results of the next batch."""

    def close(self) -> None:
        """Hand everything to the operating system."""


class NpySource:
    """An .npy file: only the batch at hand is ever read."""

    def __init__(self, path: Path, channels_last: bool) -> None:
        try:
            with open(path, "rb") as file:
                if file.read(6) != np.lib.format.MAGIC_PREFIX:
                    raise ValueError("it does not begin as one")
            self.array = np.load(path, mmap_mode="r", allow_pickle=False)
        except UNREADABLE as error:
            reason = "it holds Python objects" if "objects" in str(error) else error
            raise ValueError(f"{path} cannot be read as an .npy file: {reason}") from None
        if self.array.ndim < 3:
            shape = "(N, *spatial, C)" if channels_last else "(N, C, *spatial)"
            raise ValueError(f"{path} must hold one array of shape {shape}, got {self.array.shape}")
        self.count = len(self.array)
        self.channels_last = channels_last
        self.nbytes = self.array[:1].nbytes
        self._path = path

    def batches(self, size: int, skip: int = 0) -> Iterator[Batch]:
        """Yield all images but the first `skip`, at most `size` at a time."""
        array = self.array
        if not array.flags.c_contiguous or self.nbytes == 0:
            for n in range(skip, self.count, size):
                images = np.array(array[n : n + size])  # read here, not in the kernel
                yield Batch(images, [str(n + i) for i in range(len(images))])
            return
        # Read, not mapped: pages of a mapping would count as memory of this process.
        with open(self._path, "rb", buffering=0) as file:
            file.seek(array.offset + skip * self.nbytes)
            for n in range(skip, self.count, size):
                images = np.empty((min(size, self.count - n), *array.shape[1:]), array.dtype)
                _fill(file, memoryview(images).cast("B"))
                yield Batch(images, [str(n + i) for i in range(len(images))])


def _fill(file: IO[bytes], left: memoryview) -> None:
    """Read until all bytes are there."""
    while left:
        count = file.readinto(left)  # type: ignore[attr-defined]
        if not count:
            raise ValueError("the .npy file ends before its array does")
        left = left[count:]


class NpySink:
    """An .npy file, written from front to back.

    Parameters
    ----------
    path : Path
        Of a file that is made, or holds the first `done` results.
    count : int
        Results in all.
    done : int
        Results that are there already; whatever follows them is written again.
    """

    def __init__(self, path: Path, count: int, done: int = 0) -> None:
        # Without Python's buffer: what `write` returns from is the operating system's, and may be
        # counted as done.
        self._file: IO[bytes] = open(path, "r+b" if done else "wb", buffering=0)  # noqa: SIM115
        self._count = count
        self._found: tuple[tuple[int, ...], np.dtype[Any]] | None = None
        self._started = bool(done)
        if done:
            self._go_on(path, done)

    def _go_on(self, path: Path, done: int) -> None:
        """Stand behind the first `done` results of a file."""
        try:
            np.lib.format.read_magic(self._file)
            shape, _, dtype = np.lib.format.read_array_header_2_0(self._file)
            place = self._file.tell() + done * math.prod(shape[1:]) * dtype.itemsize
            whole = shape[0] == self._count and os.fstat(self._file.fileno()).st_size >= place
        except ValueError:
            whole = False
        if not whole:
            self._file.close()
            raise ValueError(f"{path} does not hold the {done} results that its note says")
        self._found = shape[1:], dtype
        self._file.seek(place)
        self._file.truncate()

    def write(self, results: Array, names: list[str]) -> None:
        """Append the results of the next batch."""
        if not self._started:
            header = np.lib.format.header_data_from_array_1_0(results[:1])
            header |= {"shape": (self._count, *results.shape[1:]), "fortran_order": False}
            np.lib.format.write_array_header_2_0(self._file, header)
            self._started = True
        if self._found is not None and self._found != (results.shape[1:], results.dtype):
            shape, dtype = self._found
            raise ValueError(
                f"the results are of shape {results.shape[1:]} and dtype {results.dtype}, those of "
                f"the run that was interrupted of {shape} and {dtype}"
            )
        left = memoryview(np.ascontiguousarray(results)).cast("B")
        while left:
            left = left[self._file.write(left) :]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[IO[bytes]]:
    """Open a file beside `path` that takes its place when it is whole, or vanishes."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".numbaconv-", suffix=".part")
    os.close(handle)
    try:
        with open(name, "wb") as file:  # by its name, which some libraries want to know
            yield file
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def _umask() -> int:
    """Return the mask that a plainly opened file would have got."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
