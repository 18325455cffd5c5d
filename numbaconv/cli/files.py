"""Batches from and to files: .npy files and folders of images.

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
from PIL import Image, ImageOps

from numbaconv.arrays import Array

# What NumPy raises for files that are no arrays.
UNREADABLE = (ValueError, OSError, EOFError, OverflowError, zipfile.BadZipFile, zlib.error)

# What each of Pillow's modes is read as. Grey stays grey; all others become RGB.
_GREY = {"1": "L", "LA": "L", "La": "L"}
_KEPT = ("L", "RGB", "F", "I;16", "I;16L", "I;16B", "I;16N")


@dataclass(frozen=True)
class Batch:
    """Images of one shape and dtype, and what each is called."""

    images: Array
    names: list[str]


class Source(Protocol):
    """Where batches come from."""

    count: int
    channels_last: bool

    def batches(self, size: int, skip: int = 0) -> Iterator[Batch]:
        """Yield all images but the first `skip`, at most `size` at a time."""


class Sink(Protocol):
    """Where results go."""

    def write(self, results: Array, names: list[str]) -> None:
        """Take the results of the next batch."""

    def close(self) -> None:
        """Hand everything to the operating system."""


class NpySource:
    """An .npy file, memory-mapped: only the batch at hand is ever read."""

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

    def batches(self, size: int, skip: int = 0) -> Iterator[Batch]:
        """Yield all images but the first `skip`, at most `size` at a time."""
        for n in range(skip, self.count, size):
            images = np.array(self.array[n : n + size])  # read here, not in the kernel
            yield Batch(images, [str(n + i) for i in range(len(images))])


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


class ImageSource:
    """The images of a folder, in the order of their names."""

    channels_last = True

    def __init__(self, folder: Path) -> None:
        formats = Image.registered_extensions()
        known = {suffix for suffix, kind in formats.items() if kind in Image.SAVE}
        self.paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in known)
        if not self.paths:
            raise ValueError(f"{folder} holds no images that can be read and written")
        self.count = len(self.paths)

    def batches(self, size: int, skip: int = 0) -> Iterator[Batch]:
        """Yield all images but the first `skip`, those of one shape in a row together."""
        images: list[Array] = []
        names: list[str] = []
        for path in self.paths[skip:]:
            image = read_image(path)
            new = images and (image.shape, image.dtype) != (images[0].shape, images[0].dtype)
            if new or len(images) == size:
                yield Batch(np.stack(images), names)
                images, names = [], []
            images.append(image)
            names.append(path.name)
        if images:
            yield Batch(np.stack(images), names)


class ImageSink:
    """A folder of images."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def write(self, results: Array, names: list[str]) -> None:
        """Write each result as an image, under its input's name."""
        for image, name in zip(results, names, strict=True):
            with replaced(self._folder / name) as file:
                save_image(image, file, name)

    def close(self) -> None:
        """Nothing is kept back."""


def read_image(path: Path) -> Array:
    """Return an image as ``(H, W, C)``, grey or RGB; transparency is dropped."""
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode not in (*_KEPT, "I"):
                upright = upright.convert(_GREY.get(upright.mode, "RGB"))
            array = np.asarray(upright)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be read as an image: {error}") from None
    if array.dtype.kind == "i":  # how Pillow opens 16-bit images of some formats
        if array.min() < 0 or array.max() > np.iinfo(np.uint16).max:
            raise ValueError(f"{path} cannot be read as an image: it has more than 16 bits")
        array = array.astype(np.uint16)
    return array[..., None] if array.ndim == 2 else array


def save_image(image: Array, file: IO[bytes], name: str) -> None:
    """Write ``(H, W, 1)`` or ``(H, W, 3)`` in the format of the name's extension."""
    if image.shape[-1] not in (1, 3):
        raise ValueError(
            f"{image.shape[-1]} output channels make no image; for an image OUTPUT the weights "
            "must have 1 or 3, else give an .npy INPUT and OUTPUT"
        )
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    kind = Image.registered_extensions()[Path(name).suffix.lower()]
    picture.save(file, kind, **({"quality": 95} if kind == "JPEG" else {}))


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[IO[bytes]]:
    """Open a file beside `path` that takes its place when it is whole, or vanishes."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".numbaconv-", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
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
