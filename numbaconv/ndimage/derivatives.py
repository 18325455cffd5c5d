"""Derivative filters by SciPy's names."""

from collections.abc import Callable
from typing import Any

import numpy as np

from numbaconv.api import scipys
from numbaconv.api.scipys import HandedOver, Prepared
from numbaconv.ndimage import handing
from numbaconv.ndimage.correlation import correlate1d
from numbaconv.ndimage.handing import DOORS, Arrays, Separable, by_axis, prepares
from numbaconv.ndimage.smoothing import gaussian_filter
from numbaconv.problem import arguments
from numbaconv.problem.arrays import Array


def prewitt(
    input: Any,
    axis: int = -1,
    output: Any = None,
    mode: Any = "reflect",
    cval: float = 0.0,
    *,
    parallel: bool = True,
) -> Array:
    """Return Prewitt's derivative: `scipy.ndimage.prewitt`.

    Parameters
    ----------
    input, axis, output, cval, parallel
        As in `numbaconv.ndimage.correlate1d`.
    mode : str or sequence of str, optional
        As there, or one for each axis.

    Returns
    -------
    ndarray
        Of `input`'s shape, and its dtype or that of `output`.

    Examples
    --------
    >>> import numpy as np
    >>> from numbaconv import ndimage
    >>> ndimage.prewitt(np.arange(9.0).reshape(3, 3))
    array([[3., 6., 3.],
           [3., 6., 3.],
           [3., 6., 3.]])
    """
    asked = {"input": input, "axis": axis, "output": output, "mode": mode, "cval": cval}
    return DOORS.computed("prewitt", asked, parallel)


def sobel(
    input: Any,
    axis: int = -1,
    output: Any = None,
    mode: Any = "reflect",
    cval: float = 0.0,
    *,
    parallel: bool = True,
) -> Array:
    """Return Sobel's derivative: `scipy.ndimage.sobel`.

    Parameters
    ----------
    input, axis, output, mode, cval, parallel
        As in `prewitt`.

    Returns
    -------
    ndarray
        As `prewitt`.

    Examples
    --------
    >>> import numpy as np
    >>> from numbaconv import ndimage
    >>> ndimage.sobel(np.arange(9.0).reshape(3, 3), axis=0)
    array([[12., 12., 12.],
           [24., 24., 24.],
           [12., 12., 12.]])
    """
    asked = {"input": input, "axis": axis, "output": output, "mode": mode, "cval": cval}
    return DOORS.computed("sobel", asked, parallel)


@prepares("prewitt")
def _prewitt(**asked: Any) -> Prepared:
    return _smoothed_difference((1, 1, 1), **asked)


@prepares("sobel")
def _sobel(**asked: Any) -> Prepared:
    return _smoothed_difference((1, 2, 1), **asked)


def _smoothed_difference(
    smooth: tuple[int, ...], input: Any, axis: Any, output: Any, mode: Any, cval: Any
) -> Prepared:
    arrays = Arrays(input, output)
    first = arrays.axis(axis)
    modes = handing.sequence(mode, arrays.ndim, "mode")
    difference = np.array([-1.0, 0.0, 1.0])
    others = [axis for axis in range(arrays.ndim) if axis != first]
    smoothing = np.array(smooth, float)
    sums = [
        handing.one_sum(first, difference, modes[first], 0),
        *(handing.one_sum(axis, smoothing, modes[axis], 0) for axis in others),
    ]
    return Separable(arrays, sums, cval)


def generic_laplace(
    input: Any,
    derivative2: Callable[..., Any],
    output: Any = None,
    mode: Any = "reflect",
    cval: float = 0.0,
    extra_arguments: Any = (),
    extra_keywords: Any = None,
    *,
    axes: Any = None,
    parallel: bool = True,
) -> Array:
    """Add up second derivatives: `scipy.ndimage.generic_laplace`.

    Parameters
    ----------
    input, output, mode, cval
        As in `prewitt`.
    derivative2 : callable
        Called as ``derivative2(input, axis, output, mode, cval, *args, **kwargs)``.
    extra_arguments, extra_keywords : sequence, dict, optional
        What it also gets.
    axes : tuple of int, optional
        The axes of the derivatives; by default all.
    parallel : bool, optional
        Has no meaning here: it is for `derivative2`.

    Returns
    -------
    ndarray
        Of `input`'s shape, and its dtype or that of `output`.

    Examples
    --------
    >>> import numpy as np
    >>> from numbaconv import ndimage
    >>> def second(x, axis, output, mode, cval):
    ...     return ndimage.correlate1d(x, [1, -2, 1], axis, output, mode, cval)
    >>> ndimage.generic_laplace(np.array([0.0, 1.0, 4.0, 9.0]), second)
    array([ 1.,  2.,  2., -5.])
    """
    asked = (input, derivative2, output, mode, cval, extra_arguments, extra_keywords)
    return _generic("generic_laplace", asked, axes, parallel)


def generic_gradient_magnitude(
    input: Any,
    derivative: Callable[..., Any],
    output: Any = None,
    mode: Any = "reflect",
    cval: float = 0.0,
    extra_arguments: Any = (),
    extra_keywords: Any = None,
    *,
    axes: Any = None,
    parallel: bool = True,
) -> Array:
    """Return the gradient's length: `scipy.ndimage.generic_gradient_magnitude`.

    Parameters
    ----------
    input, output, mode, cval
        As in `prewitt`.
    derivative : callable
        Called as ``derivative(input, axis, output, mode, cval, *args, **kwargs)``.
    extra_arguments, extra_keywords, axes, parallel
        As in `generic_laplace`.

    Returns
    -------
    ndarray
        Of `input`'s shape, and its dtype or that of `output`.

    Examples
    --------
    >>> import numpy as np
    >>> from numbaconv import ndimage
    >>> ndimage.generic_gradient_magnitude(np.array([0.0, 1.0, 4.0, 9.0]), ndimage.prewitt)
    array([1., 4., 8., 5.])
    """
    asked = (input, derivative, output, mode, cval, extra_arguments, extra_keywords)
    return _generic("generic_gradient_magnitude", asked, axes, parallel)


def _generic(name: str, asked: tuple[Any, ...], axes: Any, parallel: Any) -> Array:
    """Return the result of one of SciPy's generic filters, older ones of which take no axes."""
    arguments.flag(parallel, "parallel")
    given = {} if axes is None else {"axes": axes}
    made: Array = scipys.function("scipy.ndimage", name)(*asked, **given)
    return made


def laplace(
    input: Any,
    output: Any = None,
    mode: Any = "reflect",
    cval: float = 0.0,
    *,
    axes: Any = None,
    parallel: bool = True,
) -> Array:
    """Return the Laplacian from second differences: `scipy.ndimage.laplace`.

    Parameters
    ----------
    input, output, mode, cval, parallel
        As in `prewitt`.
    axes : tuple of int, optional
        The axes of the differences; by default all.

    Returns
    -------
    ndarray
        Of `input`'s shape, and its dtype or that of `output`.

    Examples
    --------
    >>> import numpy as np
    >>> from numbaconv import ndimage
    >>> ndimage.laplace(np.array([0, 1, 4, 9, 16]))
    array([ 1,  2,  2,  2, -7])
    """

    def second(x: Any, axis: int, output: Any, mode: Any, cval: Any) -> Any:
        return correlate1d(x, [1, -2, 1], axis, output, mode, cval, 0, parallel=parallel)

    return generic_laplace(input, second, output, mode, cval, axes=axes)


def gaussian_laplace(
    input: Any,
    sigma: Any,
    output: Any = None,
    mode: Any = "reflect",
    cval: float = 0.0,
    *,
    axes: Any = None,
    parallel: bool = True,
    **kwargs: Any,
) -> Array:
    """Return the Laplacian from a Gaussian's second derivatives: `scipy.ndimage.gaussian_laplace`.

    Parameters
    ----------
    input, output, mode, cval, axes, parallel
        As in `laplace`.
    sigma : float or sequence of float
        The standard deviation, or one for each axis.
    **kwargs
        For `gaussian_filter`.

    Returns
    -------
    ndarray
        Of `input`'s shape, and its dtype or that of `output`.

    Examples
    --------
    >>> import numpy as np
    >>> from numbaconv import ndimage
    >>> ndimage.gaussian_laplace(np.array([0.0, 0.0, 8.0, 0.0, 0.0]), 1).round(2)
    array([ 1.58,  0.02, -3.19,  0.02,  1.58])
    """
    asked = (input, sigma, output, mode, cval, axes, parallel, kwargs)
    return _of_gaussians("gaussian_laplace", generic_laplace, 2, *asked)


def gaussian_gradient_magnitude(
    input: Any,
    sigma: Any,
    output: Any = None,
    mode: Any = "reflect",
    cval: float = 0.0,
    *,
    axes: Any = None,
    parallel: bool = True,
    **kwargs: Any,
) -> Array:
    """Return a gradient's length: `scipy.ndimage.gaussian_gradient_magnitude`.

    Parameters
    ----------
    input, sigma, output, mode, cval, axes, parallel, **kwargs
        As in `gaussian_laplace`.

    Returns
    -------
    ndarray
        Of `input`'s shape, and its dtype or that of `output`.

    Examples
    --------
    >>> import numpy as np
    >>> from numbaconv import ndimage
    >>> ndimage.gaussian_gradient_magnitude(np.arange(7.0) * 2, 1).round(2)
    array([0.73, 1.7 , 1.97, 2.  , 1.97, 1.7 , 0.73])
    """
    asked = (input, sigma, output, mode, cval, axes, parallel, kwargs)
    return _of_gaussians("gaussian_gradient_magnitude", generic_gradient_magnitude, 1, *asked)


def _of_gaussians(
    name: str, generic: Callable[..., Array], order: int, input: Any, sigma: Any, output: Any,
    mode: Any, cval: Any, axes: Any, parallel: bool, kwargs: dict[str, Any],
) -> Array:  # fmt: skip
    """Return what a generic filter makes of derivatives of a Gaussian."""
    ndim = np.asarray(input).ndim
    deviations = _of_all_axes(sigma, input, axes) if name == "gaussian_laplace" else sigma

    def derivative(x: Any, axis: int, output: Any, mode: Any, cval: Any, **kwargs: Any) -> Any:
        orders = [0] * ndim
        orders[axis] = order
        return gaussian_filter(
            x, deviations, orders, output, mode, cval, parallel=parallel, **kwargs
        )

    return generic(input, derivative, output, mode, cval, (), kwargs, axes=axes)


def _of_all_axes(sigma: Any, x: Any, axes: Any) -> Any:
    """Return a deviation for each axis of an array: 0 where there is no derivative.

    SciPy's gradient takes one for each axis, its Laplacian one for each of `axes`; with all axes
    they follow those of the array.
    """
    try:
        arrays = Arrays(x, None)
        each = list(by_axis(arrays, axes, sigma=sigma))
    except HandedOver:
        return sigma  # which SciPy refuses
    if len(each) == arrays.ndim:
        return [one for _, one in each]
    found: list[Any] = [0] * arrays.ndim
    for axis, one in each:
        found[axis] = one
    return found
