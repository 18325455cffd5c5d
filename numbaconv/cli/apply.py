"""``numbaconv apply``: a batch of images through one convolution, streamed."""

import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from numbaconv.arrays import Array
from numbaconv.cli.files import (
    UNREADABLE,
    Batch,
    ImageSink,
    ImageSource,
    NpySink,
    NpySource,
    Sink,
    Source,
    replaced,
)
from numbaconv.cli.filters import FILTERS, clipped
from numbaconv.cli.interrupts import interruptible
from numbaconv.cli.montage import Montage
from numbaconv.conv import conv1d, conv2d, conv3d

_CONVS = {1: conv1d, 2: conv2d, 3: conv3d}


@dataclass(frozen=True)
class Job:
    """What the command line asks for."""

    source: Path
    target: Path
    weights: Path | None
    kernel: str | None
    window: dict[str, Any]
    groups: int
    layout: str
    batch: int
    montage: Path | None
    quiet: bool


class Convolution:
    """The job's weights, and how a batch goes through them."""

    def __init__(self, job: Job, channels_last: bool, as_images: bool) -> None:
        self._job = job
        self._channels_last = channels_last
        self._as_images = as_images
        self._weight: Array | None = None
        self._bias: Array | None = None
        if job.weights is not None:
            self._weight, self._bias = _load(job.weights)
            if self._weight.ndim not in (3, 4, 5) or self._weight.size == 0:
                raise ValueError(
                    f"the weights must have 3 to 5 axes, none empty, got shape {self._weight.shape}"
                )
        if self._weight is not None and channels_last and job.layout == "channels_first":
            # Images lie channels last, whatever the layout of the weights that a person saved.
            self._weight = np.moveaxis(self._weight, (0, 1), (-1, -2))
        self.flops = 0

    def __call__(self, images: Array) -> Array:
        """Return the results for a batch."""
        axis = -1 if self._channels_last else 1
        channels = images.shape[axis]
        named = FILTERS[self._job.kernel] if self._job.kernel else None
        if named is None:
            weight, groups = self._weight, self._job.groups
        else:
            weight, groups = named.weight(channels, self._channels_last), channels
        assert weight is not None
        ndim = weight.ndim - 2
        if images.ndim != ndim + 2:
            raise ValueError(
                f"INPUT must have {ndim + 2} axes with these weights, got shape {images.shape}"
            )
        in_float32 = named is not None or self._as_images
        products = _CONVS[ndim](
            images,
            weight,
            self._bias,
            groups=groups,
            layout="channels_last" if self._channels_last else "channels_first",
            dtype=np.float32 if in_float32 else None,
            **self._job.window,
        )
        spatial_taps = math.prod(weight.shape[:-1] if self._channels_last else weight.shape[1:])
        self.flops += 2 * products.size * spatial_taps
        if named is not None:
            products = named.combine(products, channels, self._channels_last)
        return clipped(products, images.dtype.newbyteorder("=")) if in_float32 else products


def run(job: Job) -> str:
    """Do the job and return a line that sums it up."""
    source = _open_source(job)
    convolve = Convolution(job, source.channels_last, isinstance(source, ImageSource))
    montage = Montage(source.channels_last, job.kernel or "output") if job.montage else None
    seconds = 0.0
    warm = False
    begin = time.perf_counter()
    with (
        _open_sink(job, source) as sink,
        _progress(job, source.count) as bar,
        interruptible() as check_interrupt,
    ):
        for batch in source.batches(job.batch):
            check_interrupt()
            if not warm:
                # Compiled, or loaded from the cache, before the clock of the convolution starts.
                _named_errors(convolve, Batch(batch.images[:1], batch.names[:1]))
                convolve.flops, warm = 0, True
            start = time.perf_counter()
            results = _named_errors(convolve, batch)
            seconds += time.perf_counter() - start
            sink.write(results, batch.names)
            if montage:
                montage.add(batch.images, results, batch.names)
            bar.update(len(batch.names))
    if montage and job.montage:
        montage.save(job.montage)
    total = time.perf_counter() - begin
    return (
        f"{source.count} images in {total:.2f} s: {source.count / total:.1f} images/s; "
        f"convolution {seconds:.2f} s, {convolve.flops / max(seconds, 1e-9) / 1e9:.2f} GFLOP/s; "
        f"wrote {job.target}" + (f" and {job.montage}" if job.montage else "")
    )


def _named_errors(convolve: Convolution, batch: Batch) -> Array:
    """Convolve a batch; where that fails, say for which image."""
    try:
        return convolve(batch.images)
    except (ValueError, TypeError) as error:
        raise type(error)(f"{batch.names[0]}: {error}") from None


def _open_source(job: Job) -> Source:
    files = [job.montage] if job.source.is_dir() else [job.target, job.montage]
    for path in files:
        if path is not None and not path.parent.is_dir():
            raise ValueError(f"{path} cannot be written: {path.parent} is no folder")
    if job.source.is_dir():
        if job.target.suffix == ".npy":
            raise ValueError("a folder of images gives a folder of images, not an .npy file")
        if job.target.exists() and job.target.samefile(job.source):
            raise ValueError("OUTPUT must be another folder than INPUT")
        return ImageSource(job.source)
    if job.source.suffix != ".npy" or job.target.suffix != ".npy":
        raise ValueError(
            "INPUT and OUTPUT must be two .npy files or two folders of images, "
            f"got {job.source} and {job.target}"
        )
    source = NpySource(job.source, job.layout == "channels_last")
    if source.array.size == 0:
        raise ValueError(f"{job.source} holds no images: its shape is {source.array.shape}")
    return source


@contextlib.contextmanager
def _open_sink(job: Job, source: Source) -> Iterator[Sink]:
    if isinstance(source, ImageSource):
        yield ImageSink(job.target)
    else:
        with replaced(job.target) as file:
            yield NpySink(file, source.count)


def _progress(job: Job, count: int) -> Any:
    return tqdm(total=count, unit="image", disable=True if job.quiet else None)


def _load(path: Path) -> tuple[Array, Array | None]:
    """Return the arrays of a weights file."""
    try:
        with open(path, "rb") as file:
            arrays = np.load(file, allow_pickle=False)
            if not isinstance(arrays, np.lib.npyio.NpzFile):
                raise ValueError("it holds a single array")
            if "weight" not in arrays:
                raise ValueError(f"it has no array 'weight' but {sorted(arrays)}")
            return arrays["weight"], arrays.get("bias")
    except UNREADABLE as error:
        raise ValueError(f"{path} cannot be read as an .npz file of weights: {error}") from None
