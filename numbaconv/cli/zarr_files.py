"""Batches from and to zarr arrays, with what they say of themselves.

OME-Zarr: the metadata of multiscale images, version 0.4 and later (https://ngff.openmicroscopy.org).
"""

import copy
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numbaconv.cli.files import Batch
from numbaconv.filtering.planes import PlaneWindow
from numbaconv.problem.arrays import Array

# Bytes of a chunk at most: Blosc refuses 2 GiB.
_CHUNK_BYTES = 1 << 28


def _zarr() -> Any:
    try:
        import zarr
    except ImportError:
        raise ValueError("a .zarr needs zarr: pip install 'numbaconv[dask]'") from None
    return zarr


class ZarrSource:
    """A zarr array of shape ``(N, C, *spatial)``: only the batch at hand is ever read.

    Parameters
    ----------
    path : Path
        Of an array, or of a group of multiscale images, of which the first level is meant.
    channels_last : bool
        Whether it is of shape ``(N, *spatial, C)``.
    """

    def __init__(self, path: Path, channels_last: bool) -> None:
        zarr = _zarr()
        #: Where the array lies in its group, if the group is the INPUT.
        self.inside: str | None = None
        #: What the group says, if it is one of multiscale images.
        self.group: dict[str, Any] = {}
        try:
            found = zarr.open(str(path), mode="r")
            if isinstance(found, zarr.Group):
                self.group = dict(found.attrs)
                self.inside = _first_level(self.group)
                if self.inside is None:
                    raise ValueError("it is a group; give one of the arrays in it")
                found = found[self.inside]
        except Exception as error:
            raise ValueError(f"{path} cannot be read as a zarr array: {error}") from None
        self.array = found
        if self.array.ndim < 3:
            raise ValueError(f"{path} must hold one array of shape (N, C, *spatial)")
        self.count = self.array.shape[0]
        self.channels_last = channels_last
        self.nbytes = math.prod(self.array.shape[1:]) * self.array.dtype.itemsize
        stored = getattr(self.array, "shards", None) or self.array.chunks
        #: Images that are stored, and so read, together.
        self.together = stored[0]

    def batches(self, size: int, skip: int = 0) -> Iterator[Batch]:
        """Yield all images but the first `skip`, at most `size` at a time."""
        for n in range(skip, self.count, size):
            images: Array = self.array[n : n + size]
            yield Batch(images, [str(n + i) for i in range(len(images))])


class ZarrSink:
    """A zarr array, stored as its source is.

    Parameters
    ----------
    path : Path
        Of a folder that does not exist yet, or holds the first `done` results.
    source : ZarrSource
        Whose chunks, shards, filters, compression, names and attributes are the result's.
    window : PlaneWindow
        How the kernel moves: what that makes of the scale of multiscale images.
    size : tuple of int
        The kernel's, along the spatial axes.
    done : int
        Results that are there already.
    """

    def __init__(
        self, path: Path, source: ZarrSource, window: PlaneWindow, size: tuple[int, ...], done: int
    ) -> None:
        self._path, self._source, self._window, self._done = path, source, window, done
        self._size = size
        self._array: Any = None

    def write(self, results: Array, names: list[str]) -> None:
        """Write the results of the next batch."""
        if self._array is None:
            shape = (self._source.array.shape[0], *results.shape[1:])
            self._array = self._found(shape, results) if self._done else self._made(shape, results)
        self._array[self._done : self._done + len(results)] = results
        self._done += len(results)

    def close(self) -> None:
        """Nothing is kept back."""

    @property
    def _place(self) -> Path:
        inside = self._source.inside
        return self._path if inside is None else self._path / inside

    def _found(self, shape: tuple[int, ...], results: Array) -> Any:
        array = _zarr().open_array(str(self._place), mode="r+")
        if (array.shape, array.dtype) != (shape, results.dtype):
            raise ValueError(
                f"{self._path} is of shape {array.shape} and dtype {array.dtype}, the results make "
                f"{shape} and {results.dtype}"
            )
        return array

    def _made(self, shape: tuple[int, ...], results: Array) -> Any:
        zarr, given = _zarr(), self._source.array
        version = given.metadata.zarr_format
        if self._source.inside is not None:
            attributes = _of_level(self._source, results, self._window, self._size)
            zarr.create_group(
                str(self._path), zarr_format=version, attributes=attributes, overwrite=True
            )
        chunks = _chunks(given.chunks, given.shape, shape, results.dtype.itemsize)
        options: dict[str, Any] = {}
        if getattr(given, "shards", None):
            options["shards"] = tuple(
                c * max(1, s // g)
                for c, s, g in zip(chunks, given.shards, given.chunks, strict=True)
            )
        if given.dtype == results.dtype:
            # Filters, and the value of what was never written, are made for a type.
            options |= {"filters": given.filters or None, "fill_value": given.fill_value}
        if version == 3:
            options["dimension_names"] = given.metadata.dimension_names
            options["chunk_key_encoding"] = given.metadata.chunk_key_encoding
        else:
            separator = given.metadata.dimension_separator
            options["chunk_key_encoding"] = {"name": "v2", "separator": separator}
        return zarr.create_array(
            store=str(self._place), shape=shape, dtype=results.dtype, chunks=chunks, overwrite=True,
            compressors=given.compressors or None, zarr_format=version,
            attributes=dict(given.attrs), **options,
        )  # fmt: skip


def _chunks(
    given: tuple[int, ...], old: tuple[int, ...], new: tuple[int, ...], itemsize: int
) -> tuple[int, ...]:
    """Return chunks like the input's: whole axes stay whole, and none grows too large."""
    chunks = [n if c >= o else min(c, n) for c, o, n in zip(given, old, new, strict=True)]
    while math.prod(chunks) * itemsize > _CHUNK_BYTES:
        axis = chunks.index(max(chunks))
        chunks[axis] = -(-chunks[axis] // 2)
    return tuple(chunks)


def _multiscales(group: dict[str, Any]) -> list[Any]:
    """Return the list of multiscale images of a group, which later versions keep under "ome"."""
    found = group.get("ome", group)
    images = found.get("multiscales", []) if isinstance(found, dict) else []
    return images if isinstance(images, list) else []


def _first_level(group: dict[str, Any]) -> str | None:
    """Return the path of the first level, or None."""
    try:
        return str(_multiscales(group)[0]["datasets"][0]["path"])
    except (IndexError, KeyError, TypeError):
        return None


def _first_middle(size: int, kernel: int, window: PlaneWindow) -> float:
    """Return where the middle of the first window lies along an axis, in pixels of the input."""
    low = window.low(size, kernel)
    # A kernel of even size has its middle between two pixels; "same" takes the one before.
    return float(window.dilation * (kernel - 1) // 2 - low)


def _of_level(
    source: ZarrSource, results: Array, window: PlaneWindow, size: tuple[int, ...]
) -> dict[str, Any]:
    """Return what the group of the results says: of the first level alone, and true of it."""
    told = copy.deepcopy(source.group)
    spatial = range(1, results.ndim - 1) if source.channels_last else range(2, results.ndim)
    for image in _multiscales(told)[:1]:
        image["datasets"] = image["datasets"][:1]
        transforms = image["datasets"][0].get("coordinateTransformations", [])
        scales = [t["scale"] for t in transforms if t.get("type") == "scale"]
        shifts = [t["translation"] for t in transforms if t.get("type") == "translation"]
        if not scales or len(scales[0]) != results.ndim:
            continue
        for axis in spatial:
            # The first result lies where the middle of the first window does.
            middle = _first_middle(source.array.shape[axis], size[axis - spatial[0]], window)
            if shifts:
                shifts[0][axis] += middle * scales[0][axis]
            elif middle:
                shifts.append([0.0] * results.ndim)
                transforms.append({"type": "translation", "translation": shifts[0]})
                shifts[0][axis] = middle * scales[0][axis]
            scales[0][axis] *= window.stride
    images = _multiscales(told)
    del images[1:]
    return told
