"""``numbaconv apply``: a batch of images through one convolution, quietly."""

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import click
from PIL import Image

from numbaconv.cli import streams
from numbaconv.cli.job import Job
from numbaconv.cli.pictures import run as pictures
from numbaconv.cli.pictures.inputs import suffixes


def run(job: Job) -> int:
    """Do the job, say what came of it, and return the exit status."""
    images = _is_images(job)
    files = [job.montage] if images else [job.target, job.montage]
    for path in files:
        if path is not None and not path.parent.is_dir():
            raise ValueError(f"{path} cannot be written: there is no folder {path.parent}")
    if job.montage is not None and job.montage.suffix.lower() != ".png":
        raise ValueError(f"--montage takes a .png file, got {job.montage}")
    with quiet_libraries():
        if images:
            return pictures.run(job, job.convolution(images=True))
        source = streams.open_source(job)
        return streams.run(job, source, job.convolution(images=False))


def _is_images(job: Job) -> bool:
    """Return whether INPUT is a folder of images, or one image."""
    if job.source.is_dir():
        return not streams.is_zarr(job.source)
    return job.source.suffix.lower() in suffixes()


_PACKAGE = Path(__file__).parent.parent


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Let other people's libraries say nothing, and our own warn in a line of the command's.

    What is wrong with a file is an exception. Pillow's limit on pixels is lifted, too: images are
    measured where they are opened.
    """
    before, logger = Image.MAX_IMAGE_PIXELS, logging.getLogger("tifffile")
    disabled = logger.disabled
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = _shown
        Image.MAX_IMAGE_PIXELS, logger.disabled = None, True
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS, logger.disabled = before, disabled


def _shown(
    message: Warning | str, category: type[Warning], filename: str, lineno: int,
    file: TextIO | None = None, line: str | None = None,
) -> None:  # fmt: skip
    if _PACKAGE in Path(filename).parents:
        click.echo(f"numbaconv: {message}", err=True)
