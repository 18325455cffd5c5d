"""What libraries would say by themselves in the middle of a run."""

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import click
from PIL import Image

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
