"""Correlation and convolution, along one axis and over windows, by SciPy's names."""

from typing import Any

import numpy as np

from numbaconv.api.scipys import HandedOver, Prepared
from numbaconv.ndimage import handing
from numbaconv.ndimage.handing import DOORS, Arrays, Separable, Windowed, prepares
from numbaconv.problem.arrays import Array


def correlate1d(
    input: Any,
    weights: Any,
    axis: int = -1,
    output: Any = None,
    mode: str = "reflect",
    cval: float = 0.0,
    origin: int = 0,
    *,
    parallel: bool = True,
) -> Array:
    """Correlate along one axis: `scipy.ndimage.correlate1d`.

    Parameters
    ----------
    input : array_like
        Of any shape and real dtype.
    weights : array_like
        One-dimensional.
    axis : int, optional
        Along which.
    output : ndarray or dtype, optional
        Where to write, or of which dtype the result is; by default `input`'s.
    mode : str, optional
        What lies beyond the ends: "reflect", "mirror", "nearest", "wrap", "constant", or one of
        the ``"grid-"`` names.
    cval : float, optional
        The constant of ``mode="constant"``.
    origin : int, optional
        Where the weights' middle is, from their own.
    parallel : bool, optional
        Use up to ``numba.get_num_threads()`` threads, or only the calling one.

    Returns
    -------
    ndarray
        Of `input`'s shape: sums in float64, converted to its dtype as C does it.

    Examples
    --------
    >>> import numpy as np
    >>> from numbaconv import ndimage
    >>> ndimage.correlate1d(np.array([2, 8, 0, 4, 1, 9]), weights=[1, 3])
    array([ 8, 26,  8, 12,  7, 28])
    """
    asked = {
        "input": input, "weights": weights, "axis": axis, "output": output, "mode": mode,
        "cval": cval, "origin": origin,
    }  # fmt: skip
    return DOORS.computed("correlate1d", asked, parallel)


@prepares("correlate1d")
def _correlate1d(
    input: Any, weights: Any, axis: Any, output: Any, mode: Any, cval: Any, origin: Any
) -> Prepared:
    arrays, taps = Arrays(input, output), _weights(weights, 1)
    return Separable(arrays, [handing.one_sum(arrays.axis(axis), taps, mode, origin)], cval)


def convolve1d(
    input: Any,
    weights: Any,
    axis: int = -1,
    output: Any = None,
    mode: str = "reflect",
    cval: float = 0.0,
    origin: int = 0,
    *,
    parallel: bool = True,
) -> Array:
    """Convolve along one axis: `scipy.ndimage.convolve1d`.

    Parameters
    ----------
    input, weights, axis, output, mode, cval, origin, parallel
        As in `correlate1d`.

    Returns
    -------
    ndarray
        As `correlate1d`.

    Examples
    --------
    >>> import numpy as np
    >>> from numbaconv import ndimage
    >>> ndimage.convolve1d(np.array([2, 8, 0, 4, 1, 9]), weights=[1, 3])
    array([14, 24,  4, 13, 12, 36])
    """
    asked = {
        "input": input, "weights": weights, "axis": axis, "output": output, "mode": mode,
        "cval": cval, "origin": origin,
    }  # fmt: skip
    return DOORS.computed("convolve1d", asked, parallel)


@prepares("convolve1d")
def _convolve1d(
    input: Any, weights: Any, axis: Any, output: Any, mode: Any, cval: Any, origin: Any
) -> Prepared:
    arrays, taps = Arrays(input, output), _weights(weights, 1)[::-1]
    turned = _turned(handing.integer(origin, "origin"), len(taps))
    return Separable(arrays, [handing.one_sum(arrays.axis(axis), taps, mode, turned)], cval)


def correlate(
    input: Any,
    weights: Any,
    output: Any = None,
    mode: str = "reflect",
    cval: float = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
    parallel: bool = True,
) -> Array:
    """Correlate with weights of as many axes: `scipy.ndimage.correlate`.

    Parameters
    ----------
    input : array_like
        Of any shape and real dtype.
    weights : array_like
        With an axis for each of the input's, or of `axes`.
    output, mode, cval, parallel
        As in `correlate1d`.
    origin : int or sequence of int
        As in `correlate1d`, or one for each axis.
    axes : tuple of int, optional
        The axes to correlate along; by default all.

    Returns
    -------
    ndarray
        As `correlate1d`.

    Examples
    --------
    >>> import numpy as np
    >>> from numbaconv import ndimage
    >>> image = np.arange(12).reshape(3, 4)
    >>> ndimage.correlate(image, np.ones((3, 3)), mode="constant")
    array([[10, 18, 24, 18],
           [27, 45, 54, 39],
           [26, 42, 48, 34]])
    """
    asked = {
        "input": input, "weights": weights, "output": output, "mode": mode, "cval": cval,
        "origin": origin, "axes": axes,
    }  # fmt: skip
    return DOORS.computed("correlate", asked, parallel)


@prepares("correlate")
def _correlate(
    input: Any, weights: Any, output: Any, mode: Any, cval: Any, origin: Any, axes: Any
) -> Prepared:
    return _windowed(input, weights, output, mode, cval, origin, axes, turned=False)


def convolve(
    input: Any,
    weights: Any,
    output: Any = None,
    mode: str = "reflect",
    cval: float = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
    parallel: bool = True,
) -> Array:
    """Convolve with weights of as many axes: `scipy.ndimage.convolve`.

    Parameters
    ----------
    input, weights, output, mode, cval, origin, axes, parallel
        As in `correlate`.

    Returns
    -------
    ndarray
        As `correlate1d`.

    Examples
    --------
    >>> import numpy as np
    >>> from numbaconv import ndimage
    >>> impulse = np.zeros((3, 3), int)
    >>> impulse[1, 1] = 1
    >>> ndimage.convolve(impulse, np.arange(9).reshape(3, 3))
    array([[0, 1, 2],
           [3, 4, 5],
           [6, 7, 8]])
    """
    asked = {
        "input": input, "weights": weights, "output": output, "mode": mode, "cval": cval,
        "origin": origin, "axes": axes,
    }  # fmt: skip
    return DOORS.computed("convolve", asked, parallel)


@prepares("convolve")
def _convolve(
    input: Any, weights: Any, output: Any, mode: Any, cval: Any, origin: Any, axes: Any
) -> Prepared:
    return _windowed(input, weights, output, mode, cval, origin, axes, turned=True)


def _windowed(
    x: Any, weights: Any, output: Any, mode: Any, cval: Any, origin: Any, axes: Any, *, turned: bool
) -> Prepared:
    arrays = Arrays(x, output)
    chosen = arrays.axes(axes)
    taps = _weights(weights, len(chosen))
    if turned:
        taps = taps[(slice(None, None, -1),) * taps.ndim]
    # SciPy's weights follow the array's axes, whatever the order of `axes`. Origins follow that
    # order, unless it holds all axes.
    sizes, origins, modes = [1] * arrays.ndim, [0] * arrays.ndim, ["reflect"] * arrays.ndim
    for axis, n in zip(sorted(chosen), taps.shape, strict=True):
        sizes[axis] = n
    each = handing.sequence(origin, len(chosen), "origin")
    order = chosen if len(chosen) < arrays.ndim else range(arrays.ndim)
    for axis, shift in zip(order, each, strict=True):
        one = handing.integer(shift, "origin")
        found = handing.one_sum(
            axis, np.ones(sizes[axis]), mode, _turned(one, sizes[axis]) if turned else one
        )
        modes[axis], origins[axis] = found.mode, found.origin
    return Windowed(arrays, np.ascontiguousarray(taps.reshape(sizes)), origins, modes, cval)


def _weights(weights: Any, ndim: int) -> Array:
    """Return weights as float64."""
    try:
        found = np.asarray(weights)
        if found.dtype.kind not in "biuf":
            raise TypeError(f"they are of {found.dtype}")
        found = found.astype(np.float64)
    except Exception as error:
        raise HandedOver(f"weights are no real numbers: {error}") from None
    if found.ndim != ndim or found.size == 0:
        raise HandedOver(f"weights have shape {found.shape}, for {ndim} axes")
    return found


def _turned(origin: int, size: int) -> int:
    """Return the origin of weights that have been reversed."""
    return -origin if size % 2 else -origin - 1
