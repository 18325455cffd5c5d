"""Classic image filters by name, so that nobody needs a weights file to see a convolution.

``NAME`` or ``NAME:SIZE``; each goes over every channel by itself.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from numbaconv.filtering.planes import Taps
from numbaconv.problem.arrays import Array

# Standard deviations that a Gaussian reaches to, as in SciPy.
_REACH = 4.0
# The widest kernel: beyond it a mistake is likelier than a wish.
_WIDEST = 2001


def _taps(*kernels: Any, magnitude: bool = False) -> Taps:
    return Taps(np.array(kernels, np.float64), magnitude=magnitude)


def _separable(*pairs: tuple[Any, Any], magnitude: bool = False) -> Taps:
    """Return kernels of two factors, of which each pair is (vertical, horizontal)."""
    vertical, horizontal = (np.array(part, np.float64) for part in zip(*pairs, strict=True))
    return Taps(vertical[:, :, None], horizontal[:, None, :], magnitude)


_BINOMIAL = np.array([1, 4, 6, 4, 1]) / 16
_SMOOTH, _SLOPE = (1, 2, 1), (-1, 0, 1)

#: The filters whose size is what it is.
FILTERS = {
    "box": _separable(([1 / 3] * 3, [1 / 3] * 3)),
    "gaussian": _separable((_BINOMIAL, _BINOMIAL)),
    "sobel": _separable((_SMOOTH, _SLOPE), (_SLOPE, _SMOOTH), magnitude=True),
    "laplacian": _taps([[0, 1, 0], [1, -4, 1], [0, 1, 0]], magnitude=True),
    "sharpen": _taps([[0, -1, 0], [-1, 5, -1], [0, -1, 0]]),
    "emboss": _taps([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]),
}


def _bell(sigma: float, order: int = 0) -> Array:
    """Return a Gaussian of the sum 1, or its second derivative, sampled at integers."""
    radius = int(_REACH * sigma + 0.5)
    if 2 * radius + 1 > _WIDEST:
        raise ValueError(f"a Gaussian of {sigma:g} is {2 * radius + 1} pixels wide")
    x = np.arange(-radius, radius + 1)
    bell = np.exp(-0.5 * np.square(x / sigma))
    bell /= bell.sum()
    return bell if order == 0 else bell * (np.square(x) - sigma**2) / sigma**4


def _box(size: float) -> Taps:
    if size != int(size):
        raise ValueError("a box has a whole number of pixels")
    if size > _WIDEST:
        raise ValueError(f"a box has at most {_WIDEST} pixels a side")
    sides = np.full(int(size), 1 / size)
    return _separable((sides, sides))


def _gaussian(sigma: float) -> Taps:
    bell = _bell(sigma)
    return _separable((bell, bell))


def _laplacian(sigma: float) -> Taps:
    """Return the Laplacian of a Gaussian, whose sum is made 0."""
    bell, second = _bell(sigma), _bell(sigma, 2)
    kernel = np.outer(second, bell) + np.outer(bell, second)
    return _taps(kernel - kernel.mean(), magnitude=True)


def _sobel(sigma: float) -> Taps:
    """Return the derivatives of an image that is smoothed by a Gaussian."""
    bell = _bell(sigma)
    slope = bell * (np.arange(bell.size) - bell.size // 2) / sigma**2
    return _separable((bell, slope), (slope, bell), magnitude=True)


def _sharpen(sigma: float) -> Taps:
    """Return an unsharp mask: twice the image, less its Gaussian."""
    bell = _bell(sigma)
    kernel = -np.outer(bell, bell)
    kernel[bell.size // 2, bell.size // 2] += 2
    return _taps(kernel)


# What a number behind the colon makes of a name.
_SIZED: dict[str, Callable[[float], Taps]] = {
    "box": _box,
    "gaussian": _gaussian,
    "sobel": _sobel,
    "laplacian": _laplacian,
    "sharpen": _sharpen,
}
#: What users may write.
FORMS = ", ".join([*FILTERS, *(f"{name}:SIZE" for name in _SIZED)])


def named(text: str) -> Taps:
    """Return the filter that a user names, as ``gaussian`` or ``gaussian:2.5``."""
    name, colon, size = text.partition(":")
    if name not in FILTERS:
        raise ValueError(f"{text!r} is no filter; these are: {FORMS}")
    if not colon:
        return FILTERS[name]
    if name not in _SIZED:
        raise ValueError(f"{name} takes no size, got {text!r}")
    try:
        value = float(size)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ValueError(f"the size of {name} must be a number above 0, got {size!r}")
    return _SIZED[name](value)
