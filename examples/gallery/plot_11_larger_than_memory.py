"""
An image that is larger than memory
===================================

Dask cuts an array into chunks that are made when they are needed; numbaconv convolves dask arrays
chunk by chunk, with the borders that neighbours share. Here: 6.7 gigabytes of a night sky that
never are in memory at once.
"""

import resource
import time

import dask
import dask.array as da
import matplotlib.pyplot as plt
import numpy as np
import skimage

import numbaconv as nbc

tile = skimage.color.rgb2gray(skimage.data.hubble_deep_field()).astype("float32")
tile = np.pad(tile, [(0, 2048 - tile.shape[0]), (0, 2048 - tile.shape[1])], mode="symmetric")


def part_of_the_sky(block_info=None):
    """Return a chunk: the picture turned, and of another brightness, by where it is."""
    row, column = block_info[None]["chunk-location"][-2:]
    brightness = 1 + 0.4 * np.sin(row / 3) * np.cos(column / 4)
    return (brightness * np.rot90(tile, row + 2 * column)).astype("float32")[None]


chunks = ((1,), (2048,) * 20, (2048,) * 20)
sky = da.map_blocks(part_of_the_sky, chunks=chunks, dtype="float32")
print(f"{sky.shape}, {sky.nbytes / 1e9:.1f} GB in {sky.npartitions} chunks")

# %%
# Detail is what a Gaussian takes away; its mean over squares of 64 by 64 shows where the sky is
# busy. Nothing runs before ``compute``.

y = np.arange(-6, 7)
bell = np.exp(-(y**2) / 8)
gaussian = np.outer(bell, bell) / bell.sum() ** 2
kernel = -gaussian
kernel[6, 6] += 1
kernel = kernel.astype("float32")[None, None]

detail = nbc.conv2d(sky, kernel, padding=6, padding_mode="reflect")
busy = nbc.avg_pool2d(abs(detail), 64)

begin = time.perf_counter()
with dask.config.set(scheduler="threads", num_workers=2):
    overview = busy.compute()
took = time.perf_counter() - begin
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
print(f"{took:.1f} s, {sky.nbytes / 1e9 / took:.2f} GB/s; at most {peak:.2f} GB of memory")

figure, axes = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
axes[0].imshow(tile, cmap="gray", vmax=0.5)
axes[0].set_title("one chunk of 400")
axes[1].imshow(overview[0], cmap="magma")
axes[1].set_title("detail of all, by squares of 64x64")
for axis in axes:
    axis.axis("off")
