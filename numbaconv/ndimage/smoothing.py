"""Gaussian and uniform filters by SciPy's names."""

import math
from typing import Any

import numpy as np

from numbaconv.api.scipys import HandedOver, Prepared
from numbaconv.ndimage import handing
from numbaconv.ndimage.handing import DOORS, Arrays, Separable, by_axis, prepares
from numbaconv.problem.arrays import Array

# Deviations that are none.
_LEAST_SIGMA = 1e-15


def gaussian_weights(sigma: Any, order: int, radius: int) -> Array:
    """Return the weights of a Gaussian's derivative, to correlate with.

    A derivative is a polynomial times the Gaussian: each derivation of ``q(x) * phi(x)`` gives
    ``(q'(x) - x / sigma**2 * q(x)) * phi(x)``.
    """
    variance = sigma * sigma
    x = np.arange(-radius, radius + 1)
    phi = np.exp(-0.5 / variance * x**2)
    phi = phi / phi.sum()
    weights: Array = phi
    if order == 0:
        return weights
    powers = np.arange(order + 1)
    q = np.zeros(order + 1)
    q[0] = 1
    step = np.diag(powers[1:], 1) + np.diag(np.ones(order) / -variance, -1)
    for _ in range(order):
        q = step.dot(q)
    weights = (x[:, None] ** powers).dot(q) * phi
    return weights[::-1]


def gaussian_filter1d(
    input: Any,
    sigma: float,
    axis: int = -1,
    order: int = 0,
    output: Any = None,
    mode: str = "reflect",
    cval: float = 0.0,
    truncate: float = 4.0,
    *,
    radius: int | None = None,
    parallel: bool = True,
) -> Array:
    """Smooth along one axis: `scipy.ndimage.gaussian_filter1d`.

    Parameters
    ----------
    input, axis, output, mode, cval, parallel
        As in `numbaconv.ndimage.correlate1d`.
    sigma : float
        The standard deviation, in elements.
    order : int, optional
        Of the derivative; 0 smooths.
    truncate : float, optional
        The radius of the weights, in standard deviations.
    radius : int, optional
        The same in elements.

    Returns
    -------
    ndarray
        Of `input`'s shape, and its dtype or that of `output`.

    Examples
    --------
    >>> import numpy as np
    >>> from numbaconv import ndimage
    >>> ndimage.gaussian_filter1d([1.0, 2.0, 3.0, 4.0, 5.0], 1).round(3)
    array([1.427, 2.068, 3.   , 3.932, 4.573])
    """
    asked = {
        "input": input, "sigma": sigma, "axis": axis, "order": order, "output": output,
        "mode": mode, "cval": cval, "truncate": truncate, "radius": radius,
    }  # fmt: skip
    return DOORS.computed("gaussian_filter1d", asked, parallel)


@prepares("gaussian_filter1d")
def _gaussian_filter1d(
    input: Any, sigma: Any, axis: Any, order: Any, output: Any, mode: Any, cval: Any,
    truncate: Any, radius: Any,
) -> Prepared:  # fmt: skip
    arrays = Arrays(input, output)
    taps = _gaussian(sigma, order, truncate, radius)
    return Separable(arrays, [handing.one_sum(arrays.axis(axis), taps, mode, 0)], cval)


def gaussian_filter(
    input: Any,
    sigma: Any,
    order: Any = 0,
    output: Any = None,
    mode: Any = "reflect",
    cval: float = 0.0,
    truncate: float = 4.0,
    *,
    radius: Any = None,
    axes: Any = None,
    parallel: bool = True,
) -> Array:
    """Smooth along all axes: `scipy.ndimage.gaussian_filter`.

    Parameters
    ----------
    input, output, cval, parallel
        As in `numbaconv.ndimage.correlate1d`.
    sigma, order, radius, mode
        As in `gaussian_filter1d`, or one for each axis.
    truncate : float, optional
        As in `gaussian_filter1d`.
    axes : tuple of int, optional
        The axes to smooth along; by default all.

    Returns
    -------
    ndarray
        Of `input`'s shape, and its dtype or that of `output`; so are the results after each axis.

    Examples
    --------
    >>> import numpy as np
    >>> from numbaconv import ndimage
    >>> image = np.zeros((5, 5))
    >>> image[2, 2] = 100
    >>> ndimage.gaussian_filter(image, 1, radius=1).round(1)
    array([[ 0. ,  0. ,  0. ,  0. ,  0. ],
           [ 0. ,  7.5, 12.4,  7.5,  0. ],
           [ 0. , 12.4, 20.4, 12.4,  0. ],
           [ 0. ,  7.5, 12.4,  7.5,  0. ],
           [ 0. ,  0. ,  0. ,  0. ,  0. ]])
    """
    asked = {
        "input": input, "sigma": sigma, "order": order, "output": output, "mode": mode,
        "cval": cval, "truncate": truncate, "radius": radius, "axes": axes,
    }  # fmt: skip
    return DOORS.computed("gaussian_filter", asked, parallel)


@prepares("gaussian_filter")
def _gaussian_filter(
    input: Any, sigma: Any, order: Any, output: Any, mode: Any, cval: Any, truncate: Any,
    radius: Any, axes: Any,
) -> Prepared:  # fmt: skip
    arrays = Arrays(input, output)
    each = by_axis(arrays, axes, sigma=sigma, order=order, mode=mode, radius=radius)
    sums = []
    for axis, deviation, derivative, name, reach in each:
        if _number(deviation, "sigma") > _LEAST_SIGMA:
            taps = _gaussian(deviation, derivative, truncate, reach)
            sums.append(handing.one_sum(axis, taps, name, 0))
    return Separable(arrays, sums, cval)


def _gaussian(sigma: Any, order: Any, truncate: Any, radius: Any) -> Array:
    deviation, derivative = _number(sigma, "sigma"), handing.integer(order, "order")
    reach = int(_number(truncate, "truncate") * deviation + 0.5)
    if radius is not None:
        reach = handing.integer(radius, "radius")
    if derivative < 0 or reach < 0 or deviation == 0:
        raise HandedOver(f"order is {order!r}, radius {radius!r}, sigma {sigma!r}")
    # As SciPy has it: the square of a float32 is one.
    given = sigma if isinstance(sigma, np.floating) else deviation
    return np.ascontiguousarray(gaussian_weights(given, derivative, reach), np.float64)


def _number(value: Any, name: str) -> float:
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise HandedOver(f"{name} is {value!r}") from None
    if not math.isfinite(found):
        raise HandedOver(f"{name} is {value!r}")
    return found


def uniform_filter1d(
    input: Any,
    size: int,
    axis: int = -1,
    output: Any = None,
    mode: str = "reflect",
    cval: float = 0.0,
    origin: int = 0,
    *,
    parallel: bool = True,
) -> Array:
    """Average along one axis: `scipy.ndimage.uniform_filter1d`.

    Nothing is taken back from a running sum: what is beside a NaN, or beside a much larger number,
    is as exact as elsewhere.

    Parameters
    ----------
    input, axis, output, mode, cval, origin, parallel
        As in `numbaconv.ndimage.correlate1d`.
    size : int
        The elements that are averaged.

    Returns
    -------
    ndarray
        Of `input`'s shape, and its dtype or that of `output`.

    Examples
    --------
    >>> import numpy as np
    >>> from numbaconv import ndimage
    >>> ndimage.uniform_filter1d([2, 8, 0, 4, 1, 9, 9, 0], size=3)
    array([4, 3, 4, 1, 4, 6, 6, 3])
    """
    asked = {
        "input": input, "size": size, "axis": axis, "output": output, "mode": mode, "cval": cval,
        "origin": origin,
    }  # fmt: skip
    return DOORS.computed("uniform_filter1d", asked, parallel)


@prepares("uniform_filter1d")
def _uniform_filter1d(
    input: Any, size: Any, axis: Any, output: Any, mode: Any, cval: Any, origin: Any
) -> Prepared:
    arrays = Arrays(input, output)
    count = positive(size)
    found = handing.one_sum(arrays.axis(axis), np.ones(count), mode, origin, divisor=count)
    return Separable(arrays, [found], cval)


def uniform_filter(
    input: Any,
    size: Any = 3,
    output: Any = None,
    mode: Any = "reflect",
    cval: float = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
    parallel: bool = True,
) -> Array:
    """Average over windows: `scipy.ndimage.uniform_filter`.

    Parameters
    ----------
    input, output, cval, parallel
        As in `numbaconv.ndimage.correlate1d`.
    size, mode, origin
        As in `uniform_filter1d`, or one for each axis.
    axes : tuple of int, optional
        The axes to average along; by default all.

    Returns
    -------
    ndarray
        Of `input`'s shape, and its dtype or that of `output`.

    Examples
    --------
    >>> import numpy as np
    >>> from numbaconv import ndimage
    >>> ndimage.uniform_filter(np.eye(3), size=3, mode="constant").round(2)
    array([[0.22, 0.22, 0.11],
           [0.22, 0.33, 0.22],
           [0.11, 0.22, 0.22]])
    """
    asked = {
        "input": input, "size": size, "output": output, "mode": mode, "cval": cval,
        "origin": origin, "axes": axes,
    }  # fmt: skip
    return DOORS.computed("uniform_filter", asked, parallel)


@prepares("uniform_filter")
def _uniform_filter(
    input: Any, size: Any, output: Any, mode: Any, cval: Any, origin: Any, axes: Any
) -> Prepared:
    arrays = Arrays(input, output)
    sums = []
    for axis, one, name, shift in by_axis(arrays, axes, size=size, mode=mode, origin=origin):
        count = positive(one)
        if count > 1:
            sums.append(handing.one_sum(axis, np.ones(count), name, shift, divisor=count))
    return Separable(arrays, sums, cval)


def positive(size: Any) -> int:
    """Return a size, at least 1."""
    found = handing.integer(size, "size")
    if found < 1:
        raise HandedOver(f"size is {size!r}")
    return found
