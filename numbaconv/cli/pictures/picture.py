"""What an image is between file and filter: frames of pixels, and what travels with them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np

from numbaconv.problem.arrays import Array


@dataclass
class Frame:
    """One image of a file.

    Parameters
    ----------
    pixels : ndarray
        ``(H, W, C)``, alpha last if there is any.
    alpha : bool
        Whether the last channel is alpha, which no filter touches.
    mode : str
        What Pillow calls the channels without alpha: ``"L"``, ``"RGB"``, ``"CMYK"``, ...;
        ``"deep"`` if Pillow has no name for them.
    shown : dict
        How long an animation shows it; of a page, how it was stored.
    """

    pixels: Array
    alpha: bool
    mode: str
    shown: dict[str, Any] = field(default_factory=dict)

    @property
    def colours(self) -> Array:
        """The channels without alpha."""
        return self.pixels[..., :-1] if self.alpha else self.pixels

    def opaque(self) -> "Frame":
        """Return the frame without alpha."""
        if not self.alpha:
            return self
        return Frame(np.ascontiguousarray(self.colours), False, self.mode, self.shown)


@dataclass
class Carried:
    """What an image carries beside its pixels.

    Parameters
    ----------
    icc, exif, xmp : bytes, optional
        The colour profile; EXIF, whose orientation has been applied and cleared; XMP.
    dpi : tuple of float, optional
        Pixels an inch, across and down.
    comment : bytes, optional
        Of a JPEG or a GIF.
    text : dict
        Of a PNG: what its words say.
    loop : int, optional
        How often an animation runs; 0 for ever.
    left : str, optional
        What of the file is not taken.
    options : dict
        How its format was used, as its writer takes it: subsampling, lossless, compression.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    comment: bytes | None = None
    text: dict[str, Any] = field(default_factory=dict)
    loop: int | None = None
    left: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class Picture:
    """An image file that is open.

    Parameters
    ----------
    kind : str
        Its format, as Pillow calls it.
    count : int
        Frames, or pages.
    nbytes : int
        Of the pixels that are in memory together: one frame, or all of an animation.
    carried : Carried
        What travels.
    frames : iterator of Frame
        Decoded as they are asked for.
    """

    kind: str
    count: int
    nbytes: int
    carried: Carried
    frames: Iterator[Frame]


def imported(name: str) -> Any:
    """Return a library that only some images need, or say how to install it."""
    try:
        return import_module(name)
    except ImportError:
        raise ValueError(f"it needs {name}: pip install 'numbaconv[cli]'") from None
