"""Batches from and to zarr arrays."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numbaconv.arrays import Array
from numbaconv.cli.files import Batch


def _zarr() -> Any:
    try:
        import zarr
    except ImportError:
        raise ValueError("a .zarr needs zarr: pip install 'numbaconv[dask]'") from None
    return zarr


class ZarrSource:
    """A zarr array of shape ``(N, C, *spatial)``: only the batch at hand is ever read."""

    def __init__(self, path: Path, channels_last: bool) -> None:
        zarr = _zarr()
        try:
            self.array = zarr.open_array(str(path), mode="r")
        except Exception as error:
            raise ValueError(f"{path} cannot be read as a zarr array: {error}") from None
        if self.array.ndim < 3:
            raise ValueError(f"{path} must hold one array of shape (N, C, *spatial)")
        self.count = self.array.shape[0]
        self.channels_last = channels_last

    def batches(self, size: int, skip: int = 0) -> Iterator[Batch]:
        """Yield all images but the first `skip`, at most `size` at a time."""
        for n in range(skip, self.count, size):
            images: Array = self.array[n : n + size]
            yield Batch(images, [str(n + i) for i in range(len(images))])


class ZarrSink:
    """A zarr array, compressed as its source is, in a chunk for each batch.

    Parameters
    ----------
    path : Path
        Of a folder that does not exist yet, or holds the first `done` results.
    source : ZarrSource
        Whose count and compression are the result's.
    batch : int
        Images in a chunk.
    done : int
        Results that are there already.
    """

    def __init__(self, path: Path, source: ZarrSource, batch: int, done: int) -> None:
        self._path, self._source, self._batch, self._done = path, source.array, batch, done
        self._array: Any = None

    def write(self, results: Array, names: list[str]) -> None:
        """Write the results of the next batch."""
        zarr = _zarr()
        if self._array is None and self._done:
            self._array = zarr.open_array(str(self._path), mode="r+")
            expected = (self._source.shape[0], *results.shape[1:]), results.dtype
            if (self._array.shape, self._array.dtype) != expected:
                raise ValueError(
                    f"{self._path} is of shape {self._array.shape} and dtype {self._array.dtype}, "
                    f"the results make {expected[0]} and {expected[1]}"
                )
        elif self._array is None:
            shape = (self._source.shape[0], *results.shape[1:])
            self._array = zarr.create_array(
                store=str(self._path), shape=shape, dtype=results.dtype,
                chunks=(min(self._batch, shape[0]), *shape[1:]), overwrite=True,
                compressors=self._source.compressors,
                zarr_format=self._source.metadata.zarr_format,
            )  # fmt: skip
        self._array[self._done : self._done + len(results)] = results
        self._done += len(results)

    def close(self) -> None:
        """Nothing is kept back."""
