"""Matrices drawn with a number in every cell, for the pictures of what im2col does."""

import numpy as np
from matplotlib.patches import Rectangle

TINTS = ["#4477aa", "#ee6677", "#228833", "#ccbb44"]


def draw(axes, matrix, title, columns=None, rows=None):
    """Draw a matrix with its numbers; `columns`, or `rows`, say the tint of each."""
    height, width = matrix.shape
    for (i, j), value in np.ndenumerate(matrix):
        colour = "white"
        if columns is not None:
            colour = TINTS[columns[j]]
        elif rows is not None:
            colour = TINTS[rows[i]]
        axes.add_patch(
            Rectangle((j, -i), 1, 1, facecolor=colour, alpha=1 if colour == "white" else 0.35,
                      edgecolor="black", linewidth=0.8)
        )  # fmt: skip
        axes.text(j + 0.5, -i + 0.5, f"{value:g}", ha="center", va="center")
    axes.set_title(title, fontsize=11)
    axes.set_xlim(-0.2, width + 0.2)
    axes.set_ylim(-height + 0.8, 1.4)
    axes.set_aspect("equal")
    axes.axis("off")


def outline_patches(axes):
    """Outline the four patches of 2 by 2 of a drawn matrix of 3 by 3, in their tints."""
    for tint, (i, j) in enumerate(np.ndindex(2, 2)):
        shift = 0.05 * tint
        axes.add_patch(
            Rectangle((j + shift, -i - 1 + shift), 2 - 2 * shift, 2 - 2 * shift, fill=False,
                      edgecolor=TINTS[tint], linewidth=2.4)
        )  # fmt: skip
