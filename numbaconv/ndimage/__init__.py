"""SciPy's doors: filters of `scipy.ndimage`, by its names, signatures and results, on our kernels.

``from numbaconv import ndimage`` instead of ``from scipy import ndimage`` is all that changes.
Sums are formed in float64, in SciPy's order, and converted to the result's type as SciPy converts
them: whole numbers are the same. What our kernels do not take is computed by SciPy itself; `route`
says of a call who computes it, and the logger ``numbaconv.ndimage`` tells, too.

Examples
--------
>>> import numpy as np
>>> from numbaconv import ndimage
>>> image = np.random.default_rng(0).random((200, 300))
>>> smooth = ndimage.gaussian_filter(image, sigma=3)
>>> ndimage.route(ndimage.gaussian_filter, image, sigma=3)
'numbaconv'
>>> ndimage.route(ndimage.maximum_filter, image, footprint=[[0, 1], [1, 1]])
'scipy: the footprint of shape (2, 2) is no box'
"""

import inspect
from collections.abc import Callable
from typing import Any

from numbaconv.ndimage.correlation import convolve, convolve1d, correlate, correlate1d
from numbaconv.ndimage.derivatives import (
    gaussian_gradient_magnitude,
    gaussian_laplace,
    generic_gradient_magnitude,
    generic_laplace,
    laplace,
    prewitt,
    sobel,
)
from numbaconv.ndimage.extremes import (
    maximum_filter,
    maximum_filter1d,
    minimum_filter,
    minimum_filter1d,
)
from numbaconv.ndimage.handing import DOORS
from numbaconv.ndimage.smoothing import (
    gaussian_filter,
    gaussian_filter1d,
    uniform_filter,
    uniform_filter1d,
)

__all__ = [
    "convolve",
    "convolve1d",
    "correlate",
    "correlate1d",
    "gaussian_filter",
    "gaussian_filter1d",
    "gaussian_gradient_magnitude",
    "gaussian_laplace",
    "generic_gradient_magnitude",
    "generic_laplace",
    "laplace",
    "maximum_filter",
    "maximum_filter1d",
    "minimum_filter",
    "minimum_filter1d",
    "prewitt",
    "route",
    "sobel",
    "uniform_filter",
    "uniform_filter1d",
]

# Sums of other filters: what computes them.
_PARTS = {
    "laplace": "correlate1d", "gaussian_laplace": "gaussian_filter",
    "gaussian_gradient_magnitude": "gaussian_filter",
    "generic_laplace": "the function that it gets",
    "generic_gradient_magnitude": "the function that it gets",
}  # fmt: skip


def route(function: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    """Say who computes a call.

    Parameters
    ----------
    function : callable
        Of this module.
    *args, **kwargs
        What it would be called with.

    Returns
    -------
    str
        ``"numbaconv"``, or ``"scipy: "`` and why; of sums of other filters which those are.

    Raises
    ------
    ValueError
        The function is none of this module.

    Examples
    --------
    >>> from numbaconv import ndimage
    >>> ndimage.route(ndimage.sobel, [[True, False]])
    'scipy: input is of dtype bool'
    >>> ndimage.route(ndimage.laplace, [[1, 2]])
    'a sum of correlate1d'
    """
    name = getattr(function, "__name__", "")
    if name in _PARTS and globals()[name] is function:
        inspect.signature(function).bind(*args, **kwargs)
        return f"a sum of {_PARTS[name]}"
    return DOORS.route(function, args, kwargs)
