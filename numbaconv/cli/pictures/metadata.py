"""EXIF and XMP as bytes: the orientation is read, applied to the pixels, and cleared."""

import contextlib
import re
import struct

import numpy as np

from numbaconv.problem.arrays import Array

#: What EXIF begins with in a JPEG.
EXIF_MARK = b"Exif\0\0"
_ORIENTATION = 0x0112
_IN_XMP = re.compile(
    rb"""\s*tiff:Orientation=["'][0-9]["']|<tiff:Orientation>[0-9]</tiff:Orientation>"""
)


def orientation(exif: bytes | None) -> int:
    """Return the orientation that EXIF tells; 1, upright, if it tells none."""
    found = _entry(exif)
    return 1 if found is None else found[2]


def upright_exif(exif: bytes) -> bytes:
    """Return EXIF data whose orientation is 1; nothing else of them changes."""
    found = _entry(exif)
    if found is None or found[2] == 1:
        return exif
    place, order, _ = found
    return exif[:place] + struct.pack(order + "H", 1) + exif[place + 2 :]


def marked(exif: bytes) -> bytes:
    """Return EXIF data that begin as a JPEG's do; some formats keep them without."""
    return exif if exif.startswith(EXIF_MARK) else EXIF_MARK + exif


def upright_xmp(xmp: bytes) -> bytes:
    """Return XMP without an orientation."""
    return _IN_XMP.sub(b"", xmp)


def turned(pixels: Array, how: int) -> Array:
    """Return ``(H, W, ...)`` pixels as an orientation wants them seen (TIFF 6.0, Orientation)."""
    if how >= 5:
        pixels = pixels.swapaxes(0, 1)
    if how in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if how in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _entry(exif: bytes | None) -> tuple[int, str, int] | None:
    """Return where the orientation's value stands, the byte order, and the value."""
    if exif is None:
        return None
    start = len(EXIF_MARK) if exif.startswith(EXIF_MARK) else 0
    order = {b"II": "<", b"MM": ">"}.get(exif[start : start + 2])
    if order is None:
        return None
    with contextlib.suppress(struct.error):
        place = start + struct.unpack_from(order + "I", exif, start + 4)[0]
        (count,) = struct.unpack_from(order + "H", exif, place)
        for entry in range(place + 2, place + 2 + 12 * count, 12):
            tag, kind, length = struct.unpack_from(order + "HHI", exif, entry)
            if (tag, kind, length) == (_ORIENTATION, 3, 1):
                (value,) = struct.unpack_from(order + "H", exif, entry + 8)
                return entry + 8, order, value if 1 <= value <= 8 else 1
    return None
