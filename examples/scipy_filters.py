"""A photograph through SciPy's filters, on numbaconv: one picture of four results.

Run as ``python examples/scipy_filters.py PICTURE.png``; needs the extras ``cli`` (Pillow) and
``samples`` (the photograph).
"""

import sys
from importlib import resources
from pathlib import Path

import numpy as np
from PIL import Image

from numbaconv import ndimage

# Columns and rows of the photograph that are shown.
_CROP = np.s_[60:360, 120:480]


def photograph():
    """Return a photograph in grey, from 0 to 1."""
    with resources.as_file(resources.files("sklearn.datasets.images") / "china.jpg") as path:
        grey = np.asarray(Image.open(path).convert("L"), np.float32) / 255
    return grey[_CROP]


def results(image):
    """Return what four filters make of an image, each from 0 to 1."""
    smooth = ndimage.gaussian_filter(image, sigma=4)
    edges = ndimage.gaussian_gradient_magnitude(image, sigma=1)
    sharp = image + 1.5 * (image - ndimage.gaussian_filter(image, sigma=2))
    relief = ndimage.maximum_filter(image, 7) - ndimage.minimum_filter(image, 7)
    return [smooth, edges / edges.max(), np.clip(sharp, 0, 1), relief]


def main(path):
    first, *others = results(photograph())
    rows = np.hstack([first, others[0]]), np.hstack(others[1:])
    Image.fromarray(np.uint8(255 * np.vstack(rows))).save(path, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
