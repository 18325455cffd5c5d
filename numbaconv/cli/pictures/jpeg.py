"""Usual JPEGs, grey and RGB: straight between file and array, by imagecodecs.

Pillow's own copy of an image has four bytes a pixel, and Pillow holds Python's lock while it
encodes, so two threads are no faster than one. The segments that carry metadata are as in ITU-T
T.81, B.1, JFIF 1.02, Exif 2.3 (4.7.2) and ICC.1:2022 (B.4).
"""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, JpegImagePlugin

from numbaconv.cli.pictures.metadata import marked
from numbaconv.cli.pictures.picture import Carried, Frame, imported
from numbaconv.problem.arrays import Array

_START, _END = b"\xff\xd8", b"\xff\xd9"
_XMP, _ICC = b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0"
_LONGEST = 65533  # bytes of a segment's data
_SUBSAMPLING = {0: "444", 1: "422", 2: "420"}


def decoded(image: Image.Image) -> Array | None:
    """Return the pixels of an open JPEG, or None if Pillow has to decode it."""
    if image.format != "JPEG" or image.mode not in ("L", "RGB"):
        return None
    data = Path(getattr(image, "filename", "")).read_bytes()
    if not data.endswith(_END):
        return None  # cut short, or with something behind it: Pillow shall say
    pixels: Array = imported("imagecodecs").jpeg8_decode(data)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def takes(frame: Frame) -> bool:
    """Return whether a frame is one that `encoded` can write."""
    shape, dtype = frame.pixels.shape, frame.pixels.dtype
    # No axis of a JPEG is longer than 16 bits can say.
    return not frame.alpha and dtype == np.uint8 and shape[2] in (1, 3) and max(shape) < 65500


def encoded(pixels: Array, carried: Carried, lost: Callable[[str], None]) -> bytes:
    """Return ``(H, W, 1)`` or ``(H, W, 3)`` as a JPEG with what it carries."""
    options = carried.options
    sampling = _SUBSAMPLING.get(options.get("subsampling", 2), "420")
    grey = pixels.shape[2] == 1
    data: bytes = imported("imagecodecs").jpeg8_encode(
        np.ascontiguousarray(pixels[..., 0] if grey else pixels), level=options.get("quality", 95),
        subsampling=None if grey else sampling,
    )  # fmt: skip
    rest = data[2:]
    if rest[:2] == b"\xff\xe0":  # the encoder's own JFIF segment
        rest = rest[2 + struct.unpack_from(">H", rest, 2)[0] :]
    unit, density = (0, (1, 1)) if carried.dpi is None else (1, carried.dpi)
    across, down = (min(65535, max(1, round(value))) for value in density)
    head = [(0xE0, b"JFIF\0" + struct.pack(">HBHHBB", 0x0101, unit, across, down, 0, 0))]
    if carried.exif is not None:
        head.append((0xE1, marked(carried.exif)))
    if carried.xmp is not None:
        head.append((0xE1, _XMP + carried.xmp))
    if carried.icc is not None:
        room = _LONGEST - len(_ICC) - 2
        parts = [carried.icc[n : n + room] for n in range(0, len(carried.icc), room)]
        head += [(0xE2, _ICC + bytes([n + 1, len(parts)]) + p) for n, p in enumerate(parts)]
    if carried.comment is not None:
        head.append((0xFE, carried.comment))
    segments = [_START]
    for marker, content in head:
        if len(content) > _LONGEST:
            lost("metadata of more than 64 kB are not kept in a JPEG file")
        else:
            segments.append(struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content)
    return b"".join([*segments, rest])


def options_of(image: Any) -> dict[str, Any]:
    """Return how a JPEG was made, as far as it is made so again."""
    sampling = JpegImagePlugin.get_sampling(image)
    return {"quality": 95} | ({"subsampling": sampling} if sampling >= 0 else {})
