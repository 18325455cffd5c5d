"""
A volume: slices of a head
==========================

The same filters over three axes, with voxels that are not cubes. The scan is nibabel's own.
"""

from importlib import resources

import matplotlib.pyplot as plt
import nibabel
import numpy as np

import numbaconv as nbc
from numbaconv import ndimage

path = resources.files("nibabel") / "tests" / "data" / "example4d.nii.gz"
scan = nibabel.load(path)
volume = np.asarray(scan.dataobj)[..., 0].astype("float32")
spacing = np.array(scan.header.get_zooms()[:3])
print(volume.shape, "voxels of", spacing, "mm")

# %%
# A Gaussian of 3 millimetres is of another width along each axis, in voxels. The length of its
# gradient shows the borders of tissues.

sigma = 3 / spacing
smooth = ndimage.gaussian_filter(volume, sigma)
edges = ndimage.gaussian_gradient_magnitude(volume, sigma / 2)

figure, axes = plt.subplots(3, 4, figsize=(9, 8), layout="constrained")
for row, (name, array) in zip(
    axes, (("scan", volume), ("smooth", smooth), ("gradient", edges)), strict=True
):
    for axis, z in zip(row, (6, 10, 14, 18), strict=True):
        axis.imshow(np.rot90(array[..., z]), cmap="gray", aspect=spacing[1] / spacing[0])
        axis.axis("off")
    row[0].set_title(name)

# %%
# A kernel of one's own: how much brighter a voxel is than the shell around it.

z, y, x = np.mgrid[-2:3, -2:3, -2:3]
shell = (abs(z) == 2) | (abs(y) == 2) | (abs(x) == 2)
kernel = np.where(shell, -1 / shell.sum(), 1 / (~shell).sum()).astype("float32")
contrast = nbc.conv3d(volume[None], kernel[None, None], padding="same", padding_mode="replicate")[0]

figure, axes = plt.subplots(1, 4, figsize=(9, 3), layout="constrained")
for axis, z in zip(axes, (6, 10, 14, 18), strict=True):
    axis.imshow(np.rot90(contrast[..., z]), cmap="RdBu", vmin=-60, vmax=60)
    axis.axis("off")
