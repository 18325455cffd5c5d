"""
Sharpening and deblurring
=========================

An unsharp mask adds what a Gaussian takes away. Knowing the blur, one can do better: Richardson and
Lucy's iteration asks again and again which image would have been blurred to the one that is there.
"""

import matplotlib.pyplot as plt
import numpy as np
import skimage

import numbaconv as nbc
from numbaconv import ndimage

sharp = skimage.img_as_float32(skimage.data.coffee()).transpose(2, 0, 1)

# %%
# Blurred by a motion along a diagonal, with noise.

length = 15
motion = np.zeros((length, length), "float32")
motion[np.arange(length), length - 1 - np.arange(length)] = 1 / length
weight = np.broadcast_to(motion, (3, 1, length, length))


def blur(image, weight):
    """Convolve each channel by itself."""
    return nbc.conv2d(image, weight, padding="same", padding_mode="reflect", groups=3)


rng = np.random.default_rng(0)
blurred = blur(sharp, weight) + 0.005 * rng.standard_normal(sharp.shape, dtype="float32")
masked = 2 * blurred - ndimage.gaussian_filter(blurred, (0, 3, 3))

# %%
# W. H. Richardson, "Bayesian-based iterative method of image restoration", J. Opt. Soc. Am. 62
# (1972): the estimate is multiplied by how much too dark it is, correlated with the blur.

estimate = np.full_like(blurred, 0.5)
mirrored = weight[..., ::-1, ::-1]
for _ in range(30):
    ratio = blurred / np.maximum(blur(estimate, weight), 1e-3)
    estimate *= blur(ratio, mirrored)

figure, axes = plt.subplots(2, 2, figsize=(9, 6.4), layout="constrained")
for axis, (name, image) in zip(
    axes.flat,
    {
        "sharp": sharp, "blurred": blurred, "unsharp mask": masked,
        "Richardson and Lucy, 30 steps": estimate,
    }.items(),
    strict=True,
):  # fmt: skip
    error = np.sqrt(np.mean((image - sharp) ** 2))
    axis.imshow(np.clip(image.transpose(1, 2, 0), 0, 1)[100:300, 150:450])
    axis.set_title(f"{name}, error {error:.3f}" if image is not sharp else name, fontsize=10)
    axis.axis("off")
