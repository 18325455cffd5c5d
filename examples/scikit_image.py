"""scikit-image's filters on numbaconv, unchanged: the same pictures, in less time.

Run as ``python examples/scikit_image.py`` where scikit-image is installed; prints for each filter
the time on SciPy, the time on numbaconv in its place, and the largest difference of the results.
"""

import time

import numpy as np
import skimage
from skimage import filters

import numbaconv as nbc


def least(call):
    """Return the least time of some calls, in milliseconds, and the result."""
    result, found = call(), []
    for _ in range(3):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return 1e3 * min(found), result


def main():
    rng = np.random.default_rng(0)
    image = rng.random((1500, 2100))
    calls = {
        "gaussian": lambda: filters.gaussian(image, sigma=3),
        "sobel": lambda: filters.sobel(image),
        "prewitt": lambda: filters.prewitt(image),
        "difference_of_gaussians": lambda: filters.difference_of_gaussians(image, 2, 8),
        "unsharp_mask": lambda: filters.unsharp_mask(image, radius=4),
        "laplace": lambda: filters.laplace(image),
        "corner_harris": lambda: skimage.feature.corner_harris(image),
    }
    for name, call in calls.items():
        before, expected = least(call)
        with nbc.patch_scipy():
            after, found = least(call)
        difference = np.abs(found - expected).max()
        print(
            f"{name:24} {before:7.1f} ms  {after:6.1f} ms  {before / after:5.1f}  {difference:.1e}"
        )


if __name__ == "__main__":
    main()
