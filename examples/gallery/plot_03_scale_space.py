"""
Scale space: finding galaxies
=============================

Smooth by larger and larger Gaussians; the difference of neighbours is largest where something of
just that size lies. `numbaconv.ndimage` has SciPy's filters by SciPy's names.
"""

import matplotlib.pyplot as plt
import numpy as np
import skimage

from numbaconv import ndimage

image = skimage.color.rgb2gray(skimage.data.hubble_deep_field()).astype("float32")

# %%
# A stack of smoothed images, and the differences of neighbours, scaled so that sizes compare.

sigmas = 1.5 * 1.4 ** np.arange(8)
smooth = np.stack([ndimage.gaussian_filter(image, sigma) for sigma in sigmas])
differences = (smooth[:-1] - smooth[1:]) / 0.4

figure, axes = plt.subplots(2, 4, figsize=(10, 4.8), layout="constrained")
for axis, picture, sigma in zip(axes[0], smooth[::2], sigmas[::2], strict=True):
    axis.imshow(picture, cmap="gray", vmax=0.4)
    axis.set_title(f"sigma {sigma:.1f}", fontsize=10)
for axis, picture in zip(axes[1], differences[::2], strict=True):
    axis.imshow(picture, cmap="RdBu", vmin=-0.15, vmax=0.15)
for axis in axes.flat:
    axis.axis("off")

# %%
# What is the largest of its neighbourhood, in space and scale, is a blob: a maximum over 3 by 9 by
# 9 windows of the volume finds them.

largest = ndimage.maximum_filter(differences, size=(3, 9, 9))
scale, y, x = np.nonzero((differences == largest) & (differences > 0.15))
print(len(x), "galaxies and stars")

figure, axis = plt.subplots(figsize=(8, 7), layout="constrained")
axis.imshow(image, cmap="gray", vmax=0.5)
axis.scatter(x, y, s=(2.4 * sigmas[scale]) ** 2, facecolors="none", edgecolors="C1", linewidths=0.8)
axis.axis("off")
