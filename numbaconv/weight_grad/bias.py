"""The gradient with respect to a bias: the sum of each channel over images and positions."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from numbaconv.kernels.long_sums import Total, sum_rows
from numbaconv.problem.arrays import Array

# Elements of images that are summed, and converted where need be, at once.
_SUMMED = 1 << 20


def channel_sums(images: Array, last: bool, result: np.dtype[Any]) -> Array:
    """Return the sum of each channel of a batch, added up with compensation."""
    work = np.dtype(np.float32) if result == np.float16 else result
    channels = images.shape[-1 if last else 1]
    total = Total(np.zeros(channels, work))
    for part in _pieces(images, last):
        matrix = np.ascontiguousarray(part, work)
        if last:
            total.add(sum_rows(matrix.reshape(-1, channels)))
        else:
            # Images first, whose elements lie in vectors: several times as fast as all at once.
            total.add(sum_rows(matrix).reshape(channels, -1).sum(axis=1, dtype=work))
    return total.value.astype(result, copy=False)


def _pieces(images: Array, last: bool) -> Iterator[Array]:
    """Yield a few images at a time, or parts of large ones, none of them empty."""
    size = math.prod(images.shape[1:])
    if not images.size:
        return
    if size <= _SUMMED or images.ndim < 3:
        step = _SUMMED // size if size <= _SUMMED else 1
        for n in range(0, len(images), max(step, 1)):
            yield images[n : n + max(step, 1)]
        return
    axis = 1 if last else 2
    step = max(1, _SUMMED * images.shape[axis] // size)
    for image in images:
        lines = np.moveaxis(image[None], axis, 0)
        for n in range(0, len(lines), step):
            yield np.moveaxis(lines[n : n + step], 0, axis)
