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
from matplotlib.patches import Rectangle

DOCS = Path(__file__).parent.parent / "docs"
TINTS = ["#4477aa", "#ee6677", "#228833", "#ccbb44"]


def grid(axes, matrix, title, tints=None):
    """Draw a matrix with its numbers; `tints` colours columns."""
    rows, columns = matrix.shape
    for i in range(rows):
        for j in range(columns):
            colour = TINTS[tints[j]] if tints is not None else "white"
            axes.add_patch(
                Rectangle((j, -i), 1, 1, facecolor=colour, alpha=0.35 if tints is not None else 1,
                          edgecolor="black", linewidth=0.8)
            )  # fmt: skip
            axes.text(j + 0.5, -i + 0.5, f"{matrix[i, j]:g}", ha="center", va="center")
    axes.set_title(title, fontsize=11)
    axes.set_xlim(-0.2, columns + 0.2)
    axes.set_ylim(-rows + 0.8, 1.4)
    axes.set_aspect("equal")
    axes.axis("off")


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
    grid(axes[0], image[0], "image, 3×3")
    for tint, (i, j) in enumerate(np.ndindex(2, 2)):
        shift = 0.05 * tint
        axes[0].add_patch(
            Rectangle((j + shift, -i - 1 + shift), 2 - 2 * shift, 2 - 2 * shift, fill=False,
                      edgecolor=TINTS[tint], linewidth=2.4)
        )  # fmt: skip
    grid(axes[1], kernels, "two 2×2 kernels are rows  ×")
    grid(axes[2], columns, "im2col: a patch is a column  =", range(4))
    grid(axes[3], product, "one product, all outputs", range(4))
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
