"""A contact sheet: inputs beside outputs."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from numbaconv.cli.files import replaced
from numbaconv.problem.arrays import Array

#: How many pairs a sheet shows at the most.
MOST = 12
_SIDE, _GAP, _LINE = 360, 16, 26


class Montage:
    """Collects the first pairs of a run as small pictures."""

    def __init__(self, channels_last: bool, title: str) -> None:
        self._channels_last = channels_last
        self._title = title
        self._rows: dict[int, tuple[str, Image.Image, Image.Image]] = {}

    def add(self, images: Array, results: Array, names: list[str]) -> None:
        """Keep pairs of the next images while there is room."""
        for image, result, name in zip(images, results, names, strict=True):
            if len(self._rows) == MOST:
                return
            self.add_pair(len(self._rows), image, result, name)

    def add_pair(self, number: int, image: Array, result: Array, name: str) -> None:
        """Keep a pair, which the sheet shows by its number."""
        self._rows[number] = name, self._thumbnail(image), self._thumbnail(result)

    def save(self, path: Path) -> None:
        """Write the sheet as a PNG file."""
        height = sum(max(a.height, b.height) + _LINE + _GAP for _, a, b in self._rows.values())
        sheet = Image.new("RGB", (2 * _SIDE + 3 * _GAP, _LINE + _GAP + height), "white")
        draw = ImageDraw.Draw(sheet)
        font = ImageFont.load_default(16)
        draw.text((_GAP, _GAP // 2), "input", "black", font)
        draw.text((2 * _GAP + _SIDE, _GAP // 2), self._title, "black", font)
        top = _LINE + _GAP
        for _, (name, image, result) in sorted(self._rows.items()):
            sheet.paste(image, (_GAP, top))
            sheet.paste(result, (2 * _GAP + _SIDE, top))
            top += max(image.height, result.height)
            draw.text((_GAP, top + 4), name, "dimgray", font)
            top += _LINE + _GAP
        with replaced(path) as file:
            sheet.save(file, "PNG")

    def _thumbnail(self, image: Array) -> Image.Image:
        picture = as_picture(image if self._channels_last else np.moveaxis(image, 0, -1))
        scale = _SIDE / max(picture.size)
        size = tuple(max(1, round(n * scale)) for n in picture.size)
        smooth = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST
        return picture.resize((size[0], size[1]), smooth)


def as_picture(image: Array) -> Image.Image:
    """Return an ``(H, W, C)`` array as a picture: bytes as they are, others from least to most.

    Of signals the one row and of volumes the middle plane is shown; of other than 1 or 3 channels
    the first.
    """
    while image.ndim > 3:
        image = image[image.shape[0] // 2]
    if image.ndim == 2:
        image = image[None]
    image = image[..., :3] if image.shape[-1] == 3 else image[..., 0]
    if image.dtype != np.uint8:
        values = (np.abs(image) if image.dtype.kind == "c" else image).astype(float)
        finite = values[np.isfinite(values)]
        low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
        values = np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low
        span = high - low
        image = np.rint(values * (255 / span if span else 0)).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(image)).convert("RGB")
