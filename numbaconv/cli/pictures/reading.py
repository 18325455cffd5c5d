"""Opening image files: Pillow's formats, and by way of `deep` what Pillow would cut to 8 bits."""

import contextlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageSequence, UnidentifiedImageError

from numbaconv.cli.pictures import deep, jpeg
from numbaconv.cli.pictures.metadata import orientation, turned, upright_exif, upright_xmp
from numbaconv.cli.pictures.picture import Carried, Frame, Picture
from numbaconv.problem.arrays import Array

#: Pixels of an image that is not taken without being asked for: Pillow's own limit.
MOST_PIXELS = 178_956_970

# What each of Pillow's modes is read as: (mode, whether alpha comes with it).
_READ_AS = {
    "1": ("L", False), "L": ("L", False), "LA": ("L", True), "La": ("L", True),
    "RGB": ("RGB", False), "RGBA": ("RGB", True), "RGBa": ("RGB", True), "PA": ("RGB", True),
    "CMYK": ("CMYK", False), "LAB": ("LAB", False), "F": ("F", False), "I": ("I", False),
}  # fmt: skip
_WITH_ALPHA = {"L": "LA", "RGB": "RGBA"}
# Compressions of a TIFF that lose nothing.
_LOSSLESS = ("tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "zstd", "lzma")
# A TIFF's tags of words and of the camera, which say nothing of how the pixels are stored; the
# last two hold EXIF and GPS.
_TAGS = (269, 270, 271, 272, 285, 305, 306, 315, 316, 33432, 34665, 34853)


@contextlib.contextmanager
def opened(path: Path, *, large: bool) -> Iterator[Picture]:
    """Yield an image file that is open.

    Parameters
    ----------
    path : Path
        Of the file.
    large : bool
        Whether images of more than `MOST_PIXELS` are taken.

    Raises
    ------
    ValueError
        If it is larger, or no image that can be read.
    """
    if path.stat().st_size == 0:
        raise ValueError("it is empty")
    kind = deep.kind_of(path)
    if kind is not None:
        with deep.opened(path, kind, check=lambda size: _check(size, large)) as picture:
            yield picture
        return
    try:
        image = Image.open(path)
    except UnidentifiedImageError:
        raise ValueError("it cannot be read as an image") from None
    with image:
        _check(image.size, large)
        yield _picture(image)


def _check(size: tuple[int, int], large: bool) -> None:
    if size[0] * size[1] > MOST_PIXELS and not large:
        raise ValueError(
            f"it has {size[0] * size[1] / 1e6:.0f} megapixels, more than {MOST_PIXELS / 1e6:.0f}: "
            "--large-images takes it"
        )


def _picture(image: Image.Image) -> Picture:
    kind, count = image.format or "", getattr(image, "n_frames", 1)
    carried = Carried(options=_options(image))
    if kind == "MPO":  # a photograph, and beside it what a camera adds: a preview, or a gain map
        carried.left = "the other images of a multi-picture file" if count > 1 else None
        kind, count = "JPEG", 1
    wide = 4 if image.mode in ("I", "F") or image.mode.startswith("I;16") else 1
    together = count if kind in ("GIF", "PNG", "WEBP", "AVIF", "TIFF") else 1
    nbytes = image.size[0] * image.size[1] * len(image.getbands()) * wide * together
    return Picture(kind, count, nbytes, carried, _frames(image, carried, count))


def _frames(image: Image.Image, carried: Carried, count: int) -> Iterator[Frame]:
    """Decode frame after frame; what travels with the image is known when the first is there."""
    for number, frame in enumerate(ImageSequence.Iterator(image)):
        if number == count:
            return
        quickly = jpeg.decoded(frame)
        if quickly is None:
            frame.load()
        # Pillow itself turns a TIFF as it loads it.
        how = 1 if image.format == "TIFF" else orientation(frame.info.get("exif"))
        if number == 0:
            _carry(carried, frame, how)
        duration = {k: frame.info[k] for k in ("duration",) if k in frame.info and count > 1}
        pixels, alpha, mode = _read(frame) if quickly is None else (quickly, False, frame.mode)
        yield Frame(turned(pixels, how), alpha, mode, duration)


def _carry(carried: Carried, image: Image.Image, how: int) -> None:
    """Note what travels with an image that is loaded."""
    info = image.info
    carried.icc = info.get("icc_profile") or None
    exif, xmp = info.get("exif"), info.get("xmp", info.get("XML:com.adobe.xmp"))
    carried.exif = None if exif is None else upright_exif(exif)
    xmp = xmp.encode() if isinstance(xmp, str) else xmp
    carried.xmp = upright_xmp(xmp) if xmp and how != 1 else xmp
    dpi = info.get("dpi")
    if dpi is not None and all(0 < float(value) < 1e6 for value in dpi):
        across, down = float(dpi[0]), float(dpi[1])
        carried.dpi = (down, across) if how >= 5 else (across, down)
    comment = info.get("comment")
    carried.comment = comment.encode() if isinstance(comment, str) else comment
    words = getattr(image, "text", {}) if image.format == "PNG" else {}
    carried.text = {k: v for k, v in words.items() if k != "XML:com.adobe.xmp"}
    carried.loop = info.get("loop")
    if image.format == "TIFF":
        tags = image.getexif()
        for tag in set(tags) - set(_TAGS):
            del tags[tag]
        carried.options["tiffinfo"] = tags


def _read(image: Image.Image) -> tuple[Array, bool, str]:
    """Return (pixels, whether alpha is the last channel, the mode without it)."""
    mode = image.mode
    if mode == "P" or (mode in ("L", "RGB", "1") and "transparency" in image.info):
        clear = "transparency" in image.info
        grey = mode in ("L", "1")
        mode = ("LA" if clear else "L") if grey else ("RGBA" if clear else "RGB")
        image = image.convert(mode)
    if mode.startswith("I;16"):
        return _pixels(image), False, "I;16"
    name, alpha = _READ_AS.get(mode, ("RGB", False))
    wanted = _WITH_ALPHA[name] if alpha else name
    pixels = _pixels(image if mode == wanted else image.convert(wanted))
    if name != "I":
        return pixels, alpha, name
    # How Pillow opens 16-bit images of some formats.
    if pixels.min() < 0 or pixels.max() > np.iinfo(np.uint16).max:
        raise ValueError("it has more than 16 bits")
    return pixels.astype(np.uint16), False, "I;16"


def _pixels(image: Image.Image) -> Array:
    pixels = np.asarray(image)
    native = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    return native[..., None] if native.ndim == 2 else native


def _options(image: Image.Image) -> dict[str, Any]:
    """Return how the format was used, as `Image.save` takes it."""
    kind = image.format
    if kind in ("JPEG", "MPO"):
        return jpeg.options_of(image)
    if kind == "WEBP":
        return {"lossless": True} if _lossless_webp(image) else {"quality": 95}
    if kind == "AVIF":
        return {"quality": 95}
    if kind == "TIFF":
        compression = image.info.get("compression")
        return {"compression": compression} if compression in _LOSSLESS else {}
    return {}


def _lossless_webp(image: Image.Image) -> bool:
    """Return whether the image data of a WebP file are of the lossless kind."""
    stream: Any = getattr(image, "fp", None)
    place = stream.tell()
    try:
        stream.seek(8)
        at = 12
        while True:
            stream.seek(at)
            name, size = struct.unpack("<4sI", stream.read(8))
            if name in (b"VP8L", b"VP8 "):
                return bool(name == b"VP8L")
            # The chunks of an animation's frame lie inside it, behind 16 bytes of its own.
            at += 8 + (16 if name == b"ANMF" else size + size % 2)
    except struct.error:
        return False
    finally:
        stream.seek(place)
