"""
A bank of filters
=================

Twelve Gabor filters, one convolution: how strongly each direction and scale is there, everywhere in
a photograph.
"""

import matplotlib.pyplot as plt
import numpy as np
import skimage

import numbaconv as nbc


def gabor(angle, wavelength, size=31):
    """Return a wave of a direction and length under a bell, without a mean."""
    y, x = np.mgrid[:size, :size] - size // 2
    along = x * np.cos(angle) + y * np.sin(angle)
    bell = np.exp(-(x**2 + y**2) / (2 * (0.5 * wavelength) ** 2))
    wave = bell * np.cos(2 * np.pi * along / wavelength)
    wave -= bell * (wave.sum() / bell.sum())
    return wave / np.abs(wave).sum()


image = skimage.img_as_float32(skimage.data.camera())
angles = np.arange(4) * np.pi / 4
bank = np.stack([gabor(a, w) for w in (4, 8, 16) for a in angles])[:, None].astype("float32")

# %%
# All filters at once: an image of one channel becomes one of twelve. Beyond the border lies the
# image's reflection.

maps = nbc.conv2d(image[None], bank, padding="same", padding_mode="reflect")
print(maps.shape, nbc.explain((1, *image.shape), bank.shape, padding="same").algorithm)

figure, axes = plt.subplots(4, 6, figsize=(10, 7), layout="constrained")
pairs = zip(bank[:, 0], maps, axes[:, ::2].T.flat, axes[:, 1::2].T.flat, strict=True)
for kernel, response, left, right in pairs:
    left.imshow(kernel, cmap="gray")
    right.imshow(np.abs(response), cmap="magma", vmax=np.percentile(np.abs(response), 99.5))
    left.axis("off")
    right.axis("off")

# %%
# The strongest direction of each pixel, of all three scales.

energy = (maps.reshape(3, 4, *image.shape) ** 2).sum(axis=0)
direction = energy.argmax(axis=0)
strength = np.sqrt(energy.max(axis=0))
colours = plt.cm.hsv(direction / 4)[..., :3] * np.clip(strength / 0.15, 0, 1)[..., None]
figure, axes = plt.subplots(1, 2, figsize=(9, 4.5), layout="constrained")
axes[0].imshow(image, cmap="gray")
axes[1].imshow(colours)
for axis in axes:
    axis.axis("off")
