"""``numbaconv apply``: a batch of images through one convolution, streamed."""

import contextlib
import hashlib
import math
import os
import time
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
)
from numbaconv.cli.filters import FILTERS, clipped
from numbaconv.cli.interrupts import Interrupts, interruptible
from numbaconv.cli.montage import MOST, Montage
from numbaconv.cli.pipeline import Behind, ahead
from numbaconv.cli.unfinished import Unfinished
from numbaconv.cli.zarr_files import ZarrSink, ZarrSource
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
    resume: bool
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
                    f"'weight' of {job.weights} must have 3 to 5 axes, none empty, got shape "
                    f"{self._weight.shape}"
                )
        if self._weight is not None and channels_last and job.layout == "channels_first":
            # Images lie channels last, whatever the layout of the weights that a person saved.
            self._weight = np.moveaxis(self._weight, (0, 1), (-1, -2))
        self.flops = 0
        #: Whether Numba's threads take part.
        self.parallel = True

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
                f"INPUT must have {ndim + 2} axes for {self._job.weights or self._job.kernel}, "
                f"got {images.ndim}"
            )
        if named is None:
            expected = weight.shape[-2 if self._channels_last else 1] * groups
            if channels != expected:
                raise ValueError(
                    f"{self._job.weights} takes {expected} channels with --groups {groups}, "
                    f"the input has {channels}"
                )
        in_float32 = named is not None or self._as_images
        products = _CONVS[ndim](
            images,
            weight,
            self._bias,
            groups=groups,
            layout="channels_last" if self._channels_last else "channels_first",
            dtype=np.float32 if in_float32 else None,
            parallel=self.parallel,
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
    begin = time.perf_counter()
    with (
        interruptible() as interrupts,
        contextlib.closing(_unfinished(job, source)) as unfinished,
    ):
        skipped = unfinished.done
        try:
            seconds = _stream(job, source, convolve, unfinished, montage, interrupts)
        except BaseException:
            interrupts.held = True
            unfinished.interrupted()
            raise
        interrupts.held = True
        unfinished.finish()
        interrupts.held = False
        if montage and job.montage:
            if skipped:
                _add_first(montage, source, convolve, job.batch)
            montage.save(job.montage)
    total = time.perf_counter() - begin
    count = source.count - skipped
    return (
        f"{count} images in {total:.2f} s: {count / total:.1f} images/s; "
        f"convolution {seconds:.2f} s, {convolve.flops / max(seconds, 1e-9) / 1e9:.2f} GFLOP/s; "
        f"wrote {job.target}"
        + (f" and {job.montage}" if job.montage else "")
        + (f"; {skipped} images were there already" if skipped else "")
    )


def _stream(
    job: Job,
    source: Source,
    convolve: Convolution,
    unfinished: Unfinished,
    montage: Montage | None,
    interrupts: Interrupts,
) -> float:
    """Convolve what is not done yet; return the seconds that the convolutions took."""
    seconds = 0.0
    warm = False
    skipped = unfinished.done
    with (
        _progress(job, source.count, skipped) as bar,
        contextlib.closing(_open_sink(job, source, unfinished)) as sink,
        Behind(sink, unfinished, bar) as behind,
    ):
        ended = time.perf_counter()
        for batch in ahead(source.batches(job.batch, skipped)):
            interrupts()
            if not warm and len(batch.names) > 1:
                # Compiled, or loaded from the cache, before the convolution's clock starts.
                _named_errors(convolve, source, Batch(batch.images[:1], batch.names[:1]))
                convolve.flops = 0
            warm = True
            start = time.perf_counter()
            results = _named_errors(convolve, source, batch)
            spent = time.perf_counter() - start
            seconds += spent
            # Where files take longer than sums, Numba's threads would spin on the cores that read
            # and write. The bits are the same.
            convolve.parallel = start - ended < spent
            ended = time.perf_counter()
            behind.write(results, batch.names)
            if montage and not skipped:
                montage.add(batch.images, results, batch.names)
    return seconds


def _add_first(montage: Montage, source: Source, convolve: Convolution, size: int) -> None:
    """Show the first images of a run that an earlier one began."""
    seen, flops = 0, convolve.flops
    for batch in source.batches(min(size, MOST)):
        montage.add(batch.images, convolve(batch.images), batch.names)
        seen += len(batch.names)
        if seen >= MOST:
            break
    convolve.flops = flops


def _named_errors(convolve: Convolution, source: Source, batch: Batch) -> Array:
    """Convolve a batch; where that fails for a file of a folder, say for which."""
    try:
        return convolve(batch.images)
    except (ValueError, TypeError) as error:
        if not isinstance(source, ImageSource):
            raise
        raise type(error)(f"{batch.names[0]}: {error}") from None


def _open_source(job: Job) -> Source:
    files = [job.montage] if _is_images(job.source) else [job.target, job.montage]
    for path in files:
        if path is not None and not path.parent.is_dir():
            raise ValueError(f"{path} cannot be written: there is no folder {path.parent}")
    if job.montage is not None and job.montage.suffix.lower() != ".png":
        raise ValueError(f"--montage takes a .png file, got {job.montage}")
    if _is_images(job.source):
        if job.target.suffix in (".npy", ".zarr"):
            raise ValueError(
                f"a folder of images gives a folder of images, not a {job.target.suffix}"
            )
        if job.target.exists() and job.target.samefile(job.source):
            raise ValueError("OUTPUT must be another folder than INPUT")
        return ImageSource(job.source)
    kind = job.source.suffix
    if kind not in (".npy", ".zarr") or job.target.suffix != kind:
        raise ValueError(
            "INPUT and OUTPUT must be two .npy files, two .zarr arrays or two folders of images, "
            f"got {job.source} and {job.target}"
        )
    if job.target.exists() and job.target.samefile(job.source):
        raise ValueError(f"OUTPUT must be another {kind} than INPUT")
    last = job.layout == "channels_last"
    source = NpySource(job.source, last) if kind == ".npy" else ZarrSource(job.source, last)
    if 0 in source.array.shape:
        raise ValueError(
            f"{job.source} holds no images, or empty ones: its shape is {source.array.shape}"
        )
    return source


def _is_images(path: Path) -> bool:
    return path.is_dir() and path.suffix != ".zarr"


def _open_sink(job: Job, source: Source, unfinished: Unfinished) -> Sink:
    if isinstance(source, ImageSource):
        return ImageSink(job.target)
    if isinstance(source, ZarrSource):
        return ZarrSink(unfinished.part, source, job.batch, unfinished.done)
    return NpySink(unfinished.part, source.count, unfinished.done)


def _unfinished(job: Job, source: Source) -> Unfinished:
    """Return what an earlier run has left; its note names all that the results depend on."""
    described: dict[str, Any] = {
        "weights": hashlib.sha256(job.weights.read_bytes()).hexdigest() if job.weights else None,
        "kernel": job.kernel, "groups": job.groups, "layout": job.layout, **job.window,
        "input": str(job.source.resolve()),
    }  # fmt: skip
    if isinstance(source, ImageSource):
        described["contents"] = _contents(source.paths)
        return Unfinished(job.target, described, keep=job.resume, in_place=True)
    array: Any = source.array  # type: ignore[attr-defined]
    files = [job.source]
    if job.source.is_dir():
        files = sorted(path for path in job.source.rglob("*") if path.is_file())
    described |= {
        "shape": list(array.shape), "dtype": str(array.dtype), "contents": _contents(files),
    }  # fmt: skip
    return Unfinished(job.target, described, keep=job.resume, in_place=False)


def _contents(files: list[Path]) -> str:
    """Return a hash of the names, sizes and times of an input's files."""
    told = hashlib.sha256()
    for file in files:
        status = file.stat()
        told.update(os.fsencode(file.name) + f" {status.st_size} {status.st_mtime_ns}\n".encode())
    return told.hexdigest()


def _progress(job: Job, count: int, done: int) -> Any:
    return tqdm(total=count, initial=done, unit="image", disable=True if job.quiet else None)


def _load(path: Path) -> tuple[Array, Array | None]:
    """Return the arrays of a weights file."""
    try:
        with open(path, "rb") as file:
            arrays = np.load(file, allow_pickle=False)
            if not isinstance(arrays, np.lib.npyio.NpzFile):
                raise ValueError("it holds a single array")
            others = sorted(set(arrays) - {"weight", "bias"})
            if "weight" not in arrays:
                raise ValueError(f"it has no array 'weight' but {others}")
            if others:
                raise ValueError(f"it takes 'weight' and 'bias', and has {others}, too")
            return arrays["weight"], arrays.get("bias")
    except UNREADABLE as error:
        reason = "it is none, or holds Python objects" if "pickle" in str(error) else error
        raise ValueError(f"{path} cannot be read as an .npz file of weights: {reason}") from None
