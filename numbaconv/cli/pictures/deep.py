"""What Pillow would cut to 8 bits or cannot page through: PNG of 16 bits a colour, and TIFF.

Imagecodecs and tifffile read and write them.
"""

import contextlib
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from numbaconv.cli.pictures.metadata import orientation, turned, upright_exif
from numbaconv.cli.pictures.picture import Carried, Frame, Picture, imported
from numbaconv.problem.arrays import Array

_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# PNG's chunks that say something of the image beside its pixels.
_CHUNKS = (
    b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"cICP", b"mDCV", b"cLLI", b"pHYs", b"eXIf", b"tEXt",
    b"zTXt", b"iTXt", b"tIME",
)  # fmt: skip
# TIFF's tags of words and of the camera, and how tifffile names their types: ASCII.
_WORDS = (269, 271, 272, 285, 306, 315, 316, 33432)
_ASCII = 2
# TIFF's photometric interpretations whose numbers are taken as they are.
_PHOTOMETRIC = {0: "L", 1: "L", 2: "RGB", 5: "CMYK", 8: "LAB", 32803: "L"}


def kind_of(path: Path) -> str | None:
    """Return ``"PNG"`` or ``"TIFF"`` if this module is the one to read a file, else None."""
    with open(path, "rb") as file:
        head = file.read(26)
        if head.startswith(_PNG):
            # Depth and type of colours: grey of 16 bits is nothing that Pillow cuts.
            return "PNG" if head[24:26] in (b"\x10\x02", b"\x10\x04", b"\x10\x06") else None
        if not head.startswith(_TIFF):
            return None
        file.seek(0)
        tifffile = imported("tifffile")
        try:
            with tifffile.TiffFile(file) as tiff:
                pages = list(tiff.pages)
                simple = pages[0].dtype in (np.uint8, np.bool_) and len(pages) == 1
                known = all(
                    page.photometric in _PHOTOMETRIC and page.dtype not in (None, np.bool_)
                    for page in pages
                )
        except Exception:  # whatever a broken file raises: Pillow shall say what is wrong
            return None
        return "TIFF" if known and not simple else None


@contextlib.contextmanager
def opened(path: Path, kind: str, check: Callable[[tuple[int, int]], None]) -> Iterator[Picture]:
    """Yield such a file, open; `check` sees its width and height first."""
    if kind == "PNG":
        data = path.read_bytes()
        size = struct.unpack(">II", data[16:24])
        check(size)
        carried = Carried()
        nbytes = size[0] * size[1] * 8
        yield Picture("PNG", 1, nbytes, carried, _png(data, carried))
        return
    with imported("tifffile").TiffFile(path) as tiff:
        pages = list(tiff.pages)
        check((pages[0].imagewidth, pages[0].imagelength))
        carried = Carried(options={"bigtiff": tiff.is_bigtiff})
        nbytes = max(page.nbytes for page in pages)
        yield Picture("TIFF", len(pages), nbytes, carried, _pages(pages))


def write(kind: str, frames: Iterator[Frame], carried: Carried, file: IO[bytes]) -> None:
    """Write frames whose numbers have more than 8 bits, or pages of a TIFF."""
    if kind == "PNG":
        file.write(_png_bytes(next(frames).pixels, carried))
        return
    with imported("tifffile").TiffWriter(file, bigtiff=carried.options.get("bigtiff")) as tiff:
        for frame in frames:
            _write_page(tiff, frame, carried)


def _png(data: bytes, carried: Carried) -> Iterator[Frame]:
    pixels = imported("imagecodecs").png_decode(data)
    chunks = [chunk for chunk in _chunks(data) if chunk[0] in _CHUNKS]
    exif = dict(chunks).get(b"eXIf")
    carried.options["chunks"] = [(n, upright_exif(d) if n == b"eXIf" else d) for n, d in chunks]
    alpha = pixels.shape[-1] in (2, 4)
    yield Frame(turned(pixels, orientation(exif)), alpha, "deep")


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = len(_PNG)
    while place + 12 <= len(data):
        size, name = struct.unpack_from(">I4s", data, place)
        yield name, data[place + 8 : place + 8 + size]
        place += 12 + size


def _png_bytes(pixels: Array, carried: Carried) -> bytes:
    encoded: bytes = imported("imagecodecs").png_encode(np.ascontiguousarray(pixels))
    first = len(_PNG) + 12 + 13  # behind the header
    added = b""
    for name, data in carried.options.get("chunks", ()):
        check = zlib.crc32(name + data)
        added += struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)
    return encoded[:first] + added + encoded[first:]


def _pages(pages: list[Any]) -> Iterator[Frame]:
    for page in pages:
        pixels = page.asarray()
        if pixels.dtype.kind not in "iuf":
            raise ValueError(f"it holds numbers of type {pixels.dtype}")
        if pixels.ndim == 2:
            pixels = pixels[..., None]
        elif page.planarconfig == 2:
            pixels = np.moveaxis(pixels, 0, -1)
        if pixels.ndim != 3:
            raise ValueError(f"a page of it has {pixels.ndim} axes")
        extra = page.extrasamples
        alpha = len(extra) == 1 and extra[0] in (1, 2)
        mode = _PHOTOMETRIC[page.photometric] if page.dtype == np.uint8 else "deep"
        tag = page.tags.get(274)
        pixels = turned(pixels.astype(pixels.dtype.newbyteorder("="), copy=False),
                        1 if tag is None else int(tag.value))  # fmt: skip
        yield Frame(pixels, alpha, mode, _page_options(page))


def _page_options(page: Any) -> dict[str, Any]:
    """Return how a page was stored, and what it says, as tifffile's `write` takes it."""
    names = {1: None, 5: "lzw", 8: "zlib", 32946: "zlib", 50000: "zstd", 34925: "lzma"}
    options: dict[str, Any] = {
        "compression": names.get(int(page.compression)), "photometric": page.photometric,
        "planarconfig": "separate" if page.planarconfig == 2 else None,
        "extrasamples": [int(e) for e in page.extrasamples],
        "resolution": page.resolution, "resolutionunit": page.resolutionunit,
        "predictor": page.predictor not in (None, 1),
        "rowsperstrip": None if page.is_tiled else page.rowsperstrip,
        "tile": page.tile if page.is_tiled else None,
        "description": page.description or None,
    }  # fmt: skip
    profile = page.tags.get(34675)
    options["iccprofile"] = None if profile is None else profile.value
    options["software"] = page.software or False
    tags = [(code, page.tags.get(code)) for code in _WORDS]
    options["extratags"] = [
        (code, _ASCII, 0, tag.value, True) for code, tag in tags if tag is not None
    ]
    return options


def _write_page(tiff: Any, frame: Frame, carried: Carried) -> None:
    pixels, options = frame.pixels, dict(frame.shown)
    channels = pixels.shape[-1]
    extra = options.pop("extrasamples", [2] if frame.alpha else [])
    photometric = options.pop("photometric", None)
    colours = channels - len(extra)
    if photometric is None or colours not in _colours(int(photometric)):
        photometric = "rgb" if colours == 3 else "minisblack"
        extra = [2] if frame.alpha else []
        if not frame.alpha and channels not in (1, 3):
            extra = [0] * (channels - 1)
        options["iccprofile"] = None
    planar = options.pop("planarconfig", None)
    if channels == 1:
        planar = None
    if planar == "separate":
        pixels = np.moveaxis(pixels, -1, 0)
    if options.get("compression") is None or pixels.dtype.kind == "f":
        options["predictor"] = options.get("compression") is not None and options.get("predictor")
    if options.get("rowsperstrip") is None or options.get("tile"):
        options.pop("rowsperstrip", None)
    tiff.write(
        np.ascontiguousarray(pixels if channels > 1 else pixels[..., 0]),
        photometric=photometric, planarconfig=planar or ("contig" if channels > 1 else None),
        extrasamples=extra or None, metadata=None, **options,
    )  # fmt: skip


def _colours(photometric: int) -> tuple[int, ...]:
    return {0: (1,), 1: (1,), 2: (3,), 5: (4,), 8: (1, 3), 32803: (1,)}.get(photometric, ())
