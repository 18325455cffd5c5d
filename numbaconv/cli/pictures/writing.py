"""Images to files, with what they carry, and a word about what a format cannot."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, PngImagePlugin

from numbaconv.cli.pictures import deep, jpeg
from numbaconv.cli.pictures.metadata import marked
from numbaconv.cli.pictures.picture import Carried, Frame, Picture

# What each format can take beside 8-bit pixels; others take nothing.
_TAKES = {
    "JPEG": {"icc", "exif", "xmp", "dpi", "comment", "cmyk"},
    "PNG": {"icc", "exif", "xmp", "dpi", "text", "frames", "alpha", "16 bits"},
    "WEBP": {"icc", "exif", "xmp", "frames", "alpha"},
    "AVIF": {"icc", "exif", "xmp", "frames", "alpha"},
    "TIFF": {"icc", "exif", "dpi", "frames", "alpha", "16 bits", "floats", "cmyk"},
    "GIF": {"comment", "frames", "alpha"},
    "JPEG2000": {"alpha", "16 bits"},
    "BMP": {"dpi", "alpha"},
    "DIB": {"dpi", "alpha"},
    "PPM": {"16 bits"},
    "TGA": {"alpha"}, "ICO": {"alpha"}, "ICNS": {"alpha"}, "SGI": {"alpha"}, "QOI": {"alpha"},
    "DDS": {"alpha"}, "IM": {"floats", "16 bits", "cmyk", "alpha"},
}  # fmt: skip
_CALLED = {
    "icc": "an ICC profile", "exif": "EXIF", "xmp": "XMP", "dpi": "a resolution",
    "comment": "a comment", "text": "texts", "frames": "several images", "alpha": "alpha",
    "16 bits": "16 bits", "floats": "floats", "cmyk": "CMYK",
}  # fmt: skip
_ALPHA = {"L": "LA", "RGB": "RGBA"}
_CHANNELS = {"L": 1, "RGB": 3, "CMYK": 4, "LAB": 3}
# How a format is written that the image has not come in.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95}, "WEBP": {"quality": 95}, "AVIF": {"quality": 95},
}  # fmt: skip


def kind_for(path: Path) -> str:
    """Return the format, as Pillow calls it, that a name asks for."""
    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind is None or kind not in Image.SAVE:
        raise ValueError(f"{path} has no extension of an image that can be written")
    return kind


def write(
    picture: Picture, frames: Iterator[Frame], kind: str, file: IO[bytes],
    lost: Callable[[str], None],
) -> None:  # fmt: skip
    """Write filtered frames in a format.

    Parameters
    ----------
    picture : Picture
        The image that they were.
    frames : iterator of Frame
        The results; what the picture carries is known when the first of them is.
    kind : str
        The format, as Pillow calls it.
    file : file
        Open for writing.
    lost : function
        Called with what is not kept, or cannot be carried.
    """
    takes = _TAKES.get(kind, set())

    def without(what: str) -> None:
        lost(f"a {kind} file does not carry {_CALLED[what]}")

    first = next(frames)
    carried = picture.carried
    if carried.left:
        lost(f"{carried.left} are not kept")
    if kind != picture.kind:
        # Chunks and tags that travel as they are, within a format only.
        if any(carried.options.get(n) for n in ("chunks", "tiffinfo")) or _has_pages(carried):
            lost(f"a {kind} file does not carry what a {picture.kind} file says of itself")
        carried = replace(carried, options=_DEFAULTS.get(kind, {}))
    if picture.count > 1 and "frames" not in takes:
        without("frames")
        frames = iter(())
    fitting = (_fitting(f, kind, takes, without) for f in itertools.chain([first], frames))
    if _is_deep(kind, first, carried):
        if kind == "TIFF" and carried.exif:
            without("exif")  # travels in other forms of the format only
        deep.write(kind, fitting, carried, file)
        return
    carried = _kept(carried, takes, without)
    colours = first.pixels.shape[-1] - first.alpha
    if carried.icc and _CHANNELS.get(first.mode, colours) != colours:
        lost("an ICC profile of other channels is not kept")
        carried = replace(carried, icc=None)
    fitted = list(fitting)
    if kind == "JPEG" and jpeg.takes(fitted[0]):
        file.write(jpeg.encoded(fitted[0].pixels, carried, lost))
    else:
        _by_pillow(kind, fitted, carried, file)


def _kept(carried: Carried, takes: set[str], without: Callable[[str], None]) -> Carried:
    """Return what a format can carry of it."""
    lost: dict[str, Any] = {}
    for name in ("comment", "dpi", "exif", "icc", "text", "xmp"):
        if getattr(carried, name) and name not in takes:
            without(name)
            lost[name] = {} if name == "text" else None
    return replace(carried, **lost)


def _by_pillow(kind: str, frames: list[Frame], carried: Carried, file: IO[bytes]) -> None:
    images = [as_image(frame) for frame in frames]
    options = _options(kind, carried)
    if len(images) > 1:
        options |= {"save_all": True, "append_images": images[1:]}
        durations = [frame.shown.get("duration") for frame in frames]
        if None not in durations:
            options["duration"] = durations
        if carried.loop is not None and kind != "TIFF":
            options["loop"] = carried.loop
        if kind == "GIF" and frames[0].alpha:
            options["disposal"] = 2  # frames are whole: none shows through the next one's holes
    images[0].save(file, kind, **options)


def _has_pages(carried: Carried) -> bool:
    """Return whether an image is a TIFF whose pages say how they were stored."""
    return "bigtiff" in carried.options


def _is_deep(kind: str, frame: Frame, carried: Carried) -> bool:
    """Return whether Pillow has no mode for such a frame in such a format."""
    channels, dtype = frame.pixels.shape[-1], frame.pixels.dtype
    if kind == "PNG":
        return bool(dtype == np.uint16 and channels > 1)
    if kind != "TIFF":
        return False
    simple = dtype == np.uint8 or (channels == 1 and dtype in (np.uint16, np.float32))
    return not simple or _has_pages(carried)


def _fitting(
    frame: Frame, kind: str, takes: set[str], without: Callable[[str], None]
) -> Frame:  # fmt: skip
    """Return a frame in a form that a format takes."""
    if frame.alpha and "alpha" not in takes:
        without("alpha")
        frame = frame.opaque()
    pixels, mode = frame.pixels, frame.mode
    if mode in ("CMYK", "LAB") and "cmyk" not in takes:
        without("cmyk")
        image = as_image(frame).convert("RGB")
        return Frame(np.asarray(image), False, "RGB", frame.shown)
    if pixels.dtype == np.uint8 or "floats" in takes:
        return frame
    deep_png = kind == "PNG" and pixels.dtype == np.uint16
    if deep_png or (pixels.dtype == np.uint16 and "16 bits" in takes and pixels.shape[-1] == 1):
        return frame
    if pixels.dtype != np.uint16:
        raise ValueError(f"a {kind} file does not hold numbers of type {pixels.dtype}")
    without("16 bits")
    mode = "RGB" if pixels.shape[-1] - frame.alpha == 3 else "L"
    eight = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return Frame(eight, frame.alpha, mode, frame.shown)


def as_image(frame: Frame) -> Image.Image:
    """Return a frame as Pillow has it."""
    pixels = frame.pixels
    channels = pixels.shape[-1] - frame.alpha
    if pixels.dtype != np.uint8:
        if pixels.shape[-1] == 1 and pixels.dtype in (np.uint16, np.float32):
            return Image.fromarray(np.ascontiguousarray(pixels[..., 0]))
        raise ValueError(f"{channels} channels of {pixels.dtype} cannot be written")
    mode = frame.mode if channels == _CHANNELS.get(frame.mode) else {1: "L", 3: "RGB"}.get(channels)
    if mode is None:
        raise ValueError(
            f"{channels} output channels make no image; for an image OUTPUT the weights must have "
            "1 or 3, else give an .npy INPUT and OUTPUT"
        )
    mode = _ALPHA[mode] if frame.alpha else mode
    size = pixels.shape[1], pixels.shape[0]
    return Image.frombuffer(mode, size, np.ascontiguousarray(pixels), "raw", mode, 0, 1)


def _options(kind: str, carried: Carried) -> dict[str, Any]:
    """Return what `Image.save` is told."""
    options = dict(carried.options)
    if carried.icc is not None:
        options["icc_profile"] = carried.icc
    if carried.dpi is not None:
        options["dpi"] = carried.dpi
    if carried.comment is not None:
        options["comment"] = carried.comment
    if carried.exif is not None:
        options["exif"] = marked(carried.exif)
    if kind == "PNG":
        words = PngImagePlugin.PngInfo()
        for name, text in carried.text.items():
            words.add_text(name, text)
        if carried.xmp:
            words.add_itxt("XML:com.adobe.xmp", carried.xmp.decode("utf-8", "replace"))
        options["pnginfo"] = words
    elif carried.xmp is not None:
        options["xmp"] = carried.xmp
    if kind == "WEBP" and options.get("lossless"):
        options["exact"] = True  # the colours that lie under transparent pixels, too
    return options
