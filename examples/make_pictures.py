"""Make the README's picture: what im2col does, and what a convolution does to a photograph.

Run as ``python examples/make_pictures.py`` with ``pip install -e '.[docs]'``.
"""

from importlib import resources
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image

import numbaconv as nbc
from numbaconv.cli.filters import FILTERS

mpl.use("Agg")
import matplotlib.pyplot as plt
from matrices import draw, outline_patches

DOCS = Path(__file__).parent.parent / "docs"


def main():
    image = np.arange(1.0, 10).reshape(1, 3, 3)
    kernel = np.array([[[[1.0, 0], [0, -1]]], [[[1.0, 1], [1, 1]]]])
    columns = nbc.im2col(image, (2, 2))
    kernels = nbc.kernel_matrix(kernel)
    product = kernels @ columns
    figure = plt.figure(figsize=(11, 4.9))
    top = figure.add_gridspec(
        1, 4, width_ratios=[3, 4.4, 4.4, 4.4], top=0.92, bottom=0.44, left=0.01, right=0.99
    )
    axes = [figure.add_subplot(top[0, i]) for i in range(4)]
    draw(axes[0], image[0], "image, 3×3")
    outline_patches(axes[0])
    draw(axes[1], kernels, "two 2×2 kernels are rows  ×")
    draw(axes[2], columns, "im2col: a patch is a column  =", range(4))
    draw(axes[3], product, "one product, all outputs", range(4))
    bottom = figure.add_gridspec(1, 4, top=0.40, bottom=0.0, left=0.01, right=0.99, wspace=0.03)
    path = resources.files("sklearn.datasets.images") / "china.jpg"
    with path.open("rb") as file:
        photograph = np.asarray(Image.open(file))
    for i, name in enumerate([None, "gaussian", "sobel", "emboss"]):
        shown = photograph
        if name:
            kernels = FILTERS[name].kernels  # one, or the two of a gradient, for each channel
            weight = np.tile(kernels[:, None], (3, 1, 1, 1)).transpose(2, 3, 1, 0)
            shown = nbc.conv2d(photograph, weight, padding="same", groups=3, dtype=np.float32,
                               padding_mode="replicate", layout="channels_last")  # fmt: skip
            if FILTERS[name].magnitude:
                shown = np.hypot(shown[..., ::2], shown[..., 1::2])
            shown = np.clip(np.rint(shown), 0, 255).astype(np.uint8)
        axis = figure.add_subplot(bottom[0, i])
        axis.imshow(shown)
        axis.set_title(name or "a photograph", fontsize=11)
        axis.axis("off")
    figure.savefig(DOCS / "im2col.png", dpi=100)


if __name__ == "__main__":
    main()
