"""
Template matching
=================

Where does a word stand on a page? The normalised correlation of a template with every window,
from three filters: one correlation and two means.
"""

import matplotlib.pyplot as plt
import numpy as np
import skimage

import numbaconv as nbc
from numbaconv import ndimage

page = skimage.data.page().astype("float64")
template = page[50:65, 166:223]
print("template", template.shape, "page", page.shape)

# %%
# Correlation grows with brightness, too. Less the windows' means, and divided by their spreads, it
# is 1 for the template itself and less elsewhere.

pattern = template - template.mean()
pattern /= np.sqrt((pattern**2).sum())
match = nbc.conv2d(page[None], pattern[None, None], padding="same", padding_mode="replicate")[0]
size = template.shape
mean = ndimage.uniform_filter(page, size, mode="nearest")
spread = ndimage.uniform_filter(page**2, size, mode="nearest") - mean**2
score = match / np.sqrt(template.size * np.maximum(spread, 1))

# %%
# The best matches, none too near another.

peaks = (score == ndimage.maximum_filter(score, size=15)) & (score > 0.6)
found = np.argwhere(peaks)
print(len(found), "places")

figure, axes = plt.subplots(2, 1, figsize=(9, 9), layout="constrained")
axes[0].imshow(page, cmap="gray")
for y, x in found:
    axes[0].add_patch(
        plt.Rectangle((x - size[1] / 2, y - size[0] / 2), size[1], size[0], fill=False, color="C1")
    )
axes[0].set_title("the word of the template, and where it stands again")
axes[1].imshow(score, cmap="magma", vmin=0)
axes[1].set_title("normalised correlation")
for axis in axes:
    axis.axis("off")
