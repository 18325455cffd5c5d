"""Maximum and minimum filters by SciPy's names."""

from typing import Any

import numpy as np

from numbaconv.api.scipys import HandedOver, Prepared
from numbaconv.native.weighted import LARGEST, SMALLEST
from numbaconv.ndimage import handing
from numbaconv.ndimage.handing import DOORS, Arrays, Separable, by_axis, prepares
from numbaconv.ndimage.smoothing import positive
from numbaconv.problem.arrays import Array


def maximum_filter1d(
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
    """Return the largest neighbour along one axis: `scipy.ndimage.maximum_filter1d`.

    A NaN is the largest, and the smallest, of its neighbours; SciPy's results around one depend on
    the order of its comparisons.

    Parameters
    ----------
    input, axis, output, mode, cval, origin, parallel
        As in `numbaconv.ndimage.correlate1d`.
    size : int
        The elements that are compared.

    Returns
    -------
    ndarray
        Of `input`'s shape, and its dtype or that of `output`.

    Examples
    --------
    >>> import numpy as np
    >>> from numbaconv import ndimage
    >>> ndimage.maximum_filter1d([2, 8, 0, 4, 1, 9, 9, 0], size=3)
    array([8, 8, 8, 4, 9, 9, 9, 9])
    """
    asked = {
        "input": input, "size": size, "axis": axis, "output": output, "mode": mode, "cval": cval,
        "origin": origin,
    }  # fmt: skip
    return DOORS.computed("maximum_filter1d", asked, parallel)


def minimum_filter1d(
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
    """Return the smallest neighbour along one axis: `scipy.ndimage.minimum_filter1d`.

    Parameters
    ----------
    input, size, axis, output, mode, cval, origin, parallel
        As in `maximum_filter1d`.

    Returns
    -------
    ndarray
        As `maximum_filter1d`.

    Examples
    --------
    >>> import numpy as np
    >>> from numbaconv import ndimage
    >>> ndimage.minimum_filter1d([2, 8, 0, 4, 1, 9, 9, 0], size=3)
    array([2, 0, 0, 0, 1, 1, 0, 0])
    """
    asked = {
        "input": input, "size": size, "axis": axis, "output": output, "mode": mode, "cval": cval,
        "origin": origin,
    }  # fmt: skip
    return DOORS.computed("minimum_filter1d", asked, parallel)


@prepares("maximum_filter1d")
def _maximum_filter1d(**asked: Any) -> Prepared:
    return _along(LARGEST, **asked)


@prepares("minimum_filter1d")
def _minimum_filter1d(**asked: Any) -> Prepared:
    return _along(SMALLEST, **asked)


def _along(
    extreme: int, input: Any, size: Any, axis: Any, output: Any, mode: Any, cval: Any, origin: Any
) -> Prepared:
    arrays = Arrays(input, output)
    weights = np.ones(positive(size))
    found = handing.one_sum(arrays.axis(axis), weights, mode, origin, extreme=extreme)
    return Separable(arrays, [found], cval)


def maximum_filter(
    input: Any,
    size: Any = None,
    footprint: Any = None,
    output: Any = None,
    mode: Any = "reflect",
    cval: float = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
    parallel: bool = True,
) -> Array:
    """Return the largest element of each window: `scipy.ndimage.maximum_filter`.

    Parameters
    ----------
    input, output, cval, parallel
        As in `numbaconv.ndimage.correlate1d`.
    size, mode, origin
        As in `maximum_filter1d`, or one for each axis.
    footprint : array_like of bool, optional
        The elements of a window, instead of its `size`; others than boxes are SciPy's.
    axes : tuple of int, optional
        The axes of the window; by default all.

    Returns
    -------
    ndarray
        Of `input`'s shape, and its dtype or that of `output`.

    Examples
    --------
    >>> import numpy as np
    >>> from numbaconv import ndimage
    >>> ndimage.maximum_filter(np.eye(4, dtype=int), size=(1, 2))
    array([[1, 1, 0, 0],
           [0, 1, 1, 0],
           [0, 0, 1, 1],
           [0, 0, 0, 1]])
    """
    asked = {
        "input": input, "size": size, "footprint": footprint, "output": output, "mode": mode,
        "cval": cval, "origin": origin, "axes": axes,
    }  # fmt: skip
    return DOORS.computed("maximum_filter", asked, parallel)


def minimum_filter(
    input: Any,
    size: Any = None,
    footprint: Any = None,
    output: Any = None,
    mode: Any = "reflect",
    cval: float = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
    parallel: bool = True,
) -> Array:
    """Return the smallest element of each window: `scipy.ndimage.minimum_filter`.

    Parameters
    ----------
    input, size, footprint, output, mode, cval, origin, axes, parallel
        As in `maximum_filter`.

    Returns
    -------
    ndarray
        As `maximum_filter`.

    Examples
    --------
    >>> import numpy as np
    >>> from numbaconv import ndimage
    >>> ndimage.minimum_filter(1 - np.eye(4, dtype=int), size=(2, 1))
    array([[0, 1, 1, 1],
           [0, 0, 1, 1],
           [1, 0, 0, 1],
           [1, 1, 0, 0]])
    """
    asked = {
        "input": input, "size": size, "footprint": footprint, "output": output, "mode": mode,
        "cval": cval, "origin": origin, "axes": axes,
    }  # fmt: skip
    return DOORS.computed("minimum_filter", asked, parallel)


@prepares("maximum_filter")
def _maximum_filter(**asked: Any) -> Prepared:
    return _box(LARGEST, **asked)


@prepares("minimum_filter")
def _minimum_filter(**asked: Any) -> Prepared:
    return _box(SMALLEST, **asked)


def _box(
    extreme: int, input: Any, size: Any, footprint: Any, output: Any, mode: Any, cval: Any,
    origin: Any, axes: Any,
) -> Prepared:  # fmt: skip
    arrays = Arrays(input, output)
    if footprint is not None:
        if size is not None:
            raise HandedOver("there are a size and a footprint")
        found = np.asarray(footprint, bool)
        if found.ndim != len(arrays.axes(axes)) or not found.all():
            raise HandedOver(f"the footprint of shape {found.shape} is no box")
        size = found.shape
    sums = []
    for axis, one, name, shift in by_axis(arrays, axes, size=size, mode=mode, origin=origin):
        count = positive(one)
        if count > 1:
            sums.append(handing.one_sum(axis, np.ones(count), name, shift, extreme=extreme))
    return Separable(arrays, sums, cval)
