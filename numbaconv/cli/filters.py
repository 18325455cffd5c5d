"""Classic image filters by name, so that nobody needs a weights file to see a convolution."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from numbaconv.arrays import Array


@dataclass(frozen=True)
class Filter:
    """One or two kernels, each applied to every channel by itself.

    Parameters
    ----------
    kernels : ndarray
        ``(M, K, K)`` float32.
    magnitude : bool
        Whether the result is the root of the sum of the squares of the M results: for filters
        whose results have signs.
    """

    kernels: Array
    magnitude: bool = False

    def weight(self, channels: int, channels_last: bool) -> Array:
        """Return depthwise weights for images of so many channels."""
        weight = np.tile(self.kernels[:, None], (channels, 1, 1, 1))
        return np.moveaxis(weight, (0, 1), (3, 2)) if channels_last else weight

    def combine(self, products: Array, channels: int, channels_last: bool) -> Array:
        """Return one result a channel from the M of each."""
        if not self.magnitude:
            return products
        axis = products.ndim - 1 if channels_last else 1
        shape = list(products.shape)
        shape[axis : axis + 1] = [channels, len(self.kernels)]
        squares: Array = np.square(products.reshape(shape)).sum(axis=axis + 1)
        return np.sqrt(squares)


def _filter(*kernels: Any, magnitude: bool = False) -> Filter:
    return Filter(np.array(kernels, np.float32), magnitude)


_BINOMIAL = np.array([1, 4, 6, 4, 1]) / 16
_SOBEL = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])

FILTERS = {
    "box": _filter(np.full((3, 3), 1 / 9)),
    "gaussian": _filter(np.outer(_BINOMIAL, _BINOMIAL)),
    "sobel": _filter(_SOBEL, _SOBEL.T, magnitude=True),
    "laplacian": _filter([[0, 1, 0], [1, -4, 1], [0, 1, 0]], magnitude=True),
    "sharpen": _filter([[0, -1, 0], [-1, 5, -1], [0, -1, 0]]),
    "emboss": _filter([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]),
}


def clipped(array: Array, dtype: np.dtype[Any]) -> Array:
    """Return `array` in an image's type: rounded and clipped where that is an integer type."""
    if dtype.kind not in "iu":
        return array.astype(dtype, copy=False)
    info = np.iinfo(dtype)
    # A float of the largest value rounds up beyond it: the type's own bound is put in after.
    rounded = np.rint(array, dtype=np.float64).clip(info.min, info.max)
    result = np.zeros(array.shape, dtype)
    result[rounded >= info.max] = info.max
    np.copyto(result, rounded, where=rounded < info.max, casting="unsafe")
    return result
