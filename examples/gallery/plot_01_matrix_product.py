r"""
Convolution as a matrix product
===============================

What a convolution computes, laid out so that one matrix product computes it: an image of three
channels, two kernels, and a number in every cell. All numbers below are the library's own output.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np

import numbaconv as nbc

sys.path.insert(0, "..")  # the script runs in its own folder
from matrices import draw, outline_patches

# %%
# An image and two kernels
# ------------------------
#
# The image has three channels of 3 by 3 pixels; each kernel has as many channels, of 2 by 2
# weights.

image = np.arange(27.0).reshape(3, 3, 3) % 10
kernels = np.array([
    [[[1, 0], [0, -1]], [[0, 1], [1, 0]], [[1, 1], [0, 0]]],
    [[[0, 2], [0, 0]], [[-1, 0], [0, 1]], [[0, 0], [1, 0]]],
], dtype=float)  # fmt: skip

figure, axes = plt.subplots(3, 3, figsize=(6, 6), layout="constrained")
for c in range(3):
    draw(axes[0, c], image[c], f"image, channel {c}")
    for k in range(2):
        draw(axes[1 + k, c], kernels[k, c], f"kernel {k}, channel {c}")

# %%
# The input matrix
# ----------------
#
# A kernel fits at four places. What it covers at each is a *patch* of 3 channels times 4 pixels:
# :func:`numbaconv.im2col` lays each patch out as a column, channel after channel. Pixels that
# several patches share stand in several columns.

patches = nbc.im2col(image, (2, 2))
patches.shape

# %%

figure, axes = plt.subplots(1, 2, figsize=(7, 6), layout="constrained", width_ratios=[1, 1.3])
draw(axes[0], image[0], "channel 0, and the four patches")
outline_patches(axes[0])
draw(axes[1], patches, "input matrix: a patch a column", columns=range(4))

# %%
# The kernel matrix
# -----------------
#
# :func:`numbaconv.kernel_matrix` lays each kernel out as a row, in the same order.

matrix = nbc.kernel_matrix(kernels)
figure, axes = plt.subplots(figsize=(7, 1.8), layout="constrained")
draw(axes, matrix, "kernel matrix: a kernel a row", rows=range(2))

# %%
# One product
# -----------
#
# A row times a column is the sum of products that the convolution takes at one place. All of them
# are one matrix product, for which machines and libraries are made; its rows are the output's
# channels, and folded to 2 by 2 they are what :func:`numbaconv.conv2d` returns.

product = matrix @ patches
result = nbc.conv2d(image, kernels)
assert np.array_equal(product.reshape(2, 2, 2), result)

figure, axes = plt.subplots(1, 3, figsize=(8, 2.2), layout="constrained", width_ratios=[2, 1, 1])
draw(axes[0], product, "product", columns=range(4))
draw(axes[1], result[0], "output, channel 0")
draw(axes[2], result[1], "output, channel 1")

# %%
# That is ``algorithm="im2col"``, the reference: the input matrix is made tile by tile, so that it
# never lies in memory as a whole, and ``np.dot`` multiplies.
#
# Stride, padding and dilation
# ----------------------------
#
# They change which pixels a patch takes, and nothing else. With a padding of 1 and a stride of 2
# there are four patches again, most of them with zeros from beyond the border.

figure, axes = plt.subplots(1, 2, figsize=(7, 6), layout="constrained")
draw(axes[0], nbc.im2col(image, (2, 2), stride=2, padding=1), "stride 2, padding 1",
     columns=range(4))  # fmt: skip
draw(axes[1], nbc.im2col(image, (2, 2), dilation=2), "dilation 2: one patch, its corners",
     columns=range(1))  # fmt: skip

# %%
# Back: col2im
# ------------
#
# :func:`numbaconv.col2im` adds every column back to where its patch lay. What patches share is
# added several times: folding columns of ones counts in how many patches each pixel is.

counts = nbc.col2im(np.ones_like(patches), (3, 3), (2, 2))
figure, axes = plt.subplots(figsize=(2.2, 2.2), layout="constrained")
draw(axes, counts[0], "patches over each pixel")

# %%
# The gradients
# -------------
#
# The product :math:`Y = K X` of the kernel matrix and the input matrix has two gradients, each a
# product, too. With :math:`G`, the gradient with respect to :math:`Y`:
#
# - with respect to the kernels: :math:`G X^T`, whose rows fold to kernels;
# - with respect to the input matrix: :math:`K^T G`, whose columns col2im folds to an image.

gradient = np.array([[1.0, 0, 0, 2], [0, -1, 1, 0]])
to_kernels = gradient @ patches.T
to_patches = matrix.T @ gradient
to_image = nbc.col2im(to_patches, (3, 3), (2, 2))

shaped = gradient.reshape(2, 2, 2)
assert np.array_equal(to_kernels.reshape(kernels.shape),
                      nbc.conv2d_weight_grad(image, kernels.shape, shaped))  # fmt: skip
assert np.array_equal(to_image, nbc.conv2d_input_grad(image.shape, kernels, shaped))

figure, axes = plt.subplots(1, 4, figsize=(9, 5), layout="constrained", width_ratios=[2, 1, 1, 1])
draw(axes[0], to_patches, "gradient of the input matrix", columns=range(4))
for c in range(3):
    draw(axes[1 + c], to_image[c], f"image, channel {c}")

# %%
# Where the faster routes leave the matrix behind
# -----------------------------------------------
#
# The input matrix repeats each pixel as often as patches share it: nine times for a kernel of 3 by
# 3. ``"direct"`` multiplies the same matrices without making the first: a table says where in the
# image each of its elements lies. ``"depthwise"`` is for kernels of one channel, whose matrices
# would be rows. ``"winograd"`` and ``"fft"`` need fewer multiplications than the product has.
# :func:`numbaconv.explain` tells what ``"auto"`` chooses, and why.

print(nbc.explain((8, 64, 56, 56), (64, 64, 3, 3), padding=1))
