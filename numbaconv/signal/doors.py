"""Convolution and correlation by the names of `scipy.signal`."""

from collections.abc import Callable
from typing import Any

import numpy as np

from numbaconv.api import scipys
from numbaconv.api.scipys import Doors
from numbaconv.problem import arguments
from numbaconv.problem.arrays import Array
from numbaconv.signal import sums
from numbaconv.signal.sums import Correlation

_DOORS = Doors("signal")


def convolve2d(
    in1: Any,
    in2: Any,
    mode: str = "full",
    boundary: str = "fill",
    fillvalue: Any = 0,
    *,
    parallel: bool = True,
) -> Array:
    """Convolve two images: `scipy.signal.convolve2d`.

    Parameters
    ----------
    in1, in2 : array_like
        Two-dimensional.
    mode : {"full", "valid", "same"}, optional
        Which positions of the result: all, those where one image lies inside the other, or those
        of `in1`'s size in the middle.
    boundary : {"fill", "wrap", "symm"}, optional
        What lies around `in1`.
    fillvalue : scalar, optional
        The constant of ``boundary="fill"``; others than 0 are SciPy's.
    parallel : bool, optional
        Use up to ``numba.get_num_threads()`` threads, or only the calling one.

    Returns
    -------
    ndarray
        Of the dtype that both have in common.

    Examples
    --------
    >>> import numpy as np
    >>> from numbaconv import signal
    >>> signal.convolve2d([[1, 2], [3, 4]], [[1, 1]])
    array([[1, 3, 2],
           [3, 7, 4]])
    """
    asked = {
        "in1": in1, "in2": in2, "mode": mode, "boundary": boundary, "fillvalue": fillvalue,
    }  # fmt: skip
    return _DOORS.computed("convolve2d", asked, parallel)


def correlate2d(
    in1: Any,
    in2: Any,
    mode: str = "full",
    boundary: str = "fill",
    fillvalue: Any = 0,
    *,
    parallel: bool = True,
) -> Array:
    """Correlate two images: `scipy.signal.correlate2d`.

    Parameters
    ----------
    in1, in2, mode, boundary, fillvalue, parallel
        As in `convolve2d`.

    Returns
    -------
    ndarray
        As `convolve2d`.

    Examples
    --------
    >>> import numpy as np
    >>> from numbaconv import signal
    >>> signal.correlate2d([[1, 2], [3, 4]], [[1, 0]], mode="valid")
    array([[1],
           [3]])
    """
    asked = {
        "in1": in1, "in2": in2, "mode": mode, "boundary": boundary, "fillvalue": fillvalue,
    }  # fmt: skip
    return _DOORS.computed("correlate2d", asked, parallel)


def convolve(
    in1: Any, in2: Any, mode: str = "full", method: str = "auto", *, parallel: bool = True
) -> Array:
    """Convolve two arrays of as many axes: `scipy.signal.convolve`.

    Parameters
    ----------
    in1, in2 : array_like
        Of one to three axes; of more they are SciPy's.
    mode, parallel
        As in `convolve2d`.
    method : {"auto", "direct", "fft"}, optional
        Sums are ours, transforms SciPy's. "auto" sums where `in2` is small, or where SciPy's
        `choose_conv_method` says so.

    Returns
    -------
    ndarray
        Of the dtype that both have in common.

    Examples
    --------
    >>> import numpy as np
    >>> from numbaconv import signal
    >>> signal.convolve([1, 2, 3], [0, 1, 2], mode="same")
    array([1, 4, 7])
    """
    asked = {"in1": in1, "in2": in2, "mode": mode, "method": method}
    return _DOORS.computed("convolve", asked, parallel)


def correlate(
    in1: Any, in2: Any, mode: str = "full", method: str = "auto", *, parallel: bool = True
) -> Array:
    """Correlate two arrays of as many axes: `scipy.signal.correlate`.

    Parameters
    ----------
    in1, in2, mode, method, parallel
        As in `convolve`.

    Returns
    -------
    ndarray
        As `convolve`.

    Examples
    --------
    >>> import numpy as np
    >>> from numbaconv import signal
    >>> signal.correlate([1, 2, 3, 2, 1], [1, 2], mode="valid")
    array([5, 8, 7, 4])
    """
    asked = {"in1": in1, "in2": in2, "mode": mode, "method": method}
    return _DOORS.computed("correlate", asked, parallel)


def choose_conv_method(
    in1: Any, in2: Any, mode: str = "full", measure: bool = False, *, parallel: bool = True
) -> Any:
    """Say which method SciPy takes to be the faster: `scipy.signal.choose_conv_method`.

    Parameters
    ----------
    in1, in2, mode
        As in `convolve`.
    measure : bool, optional
        Time both instead of estimating.
    parallel : bool, optional
        Has no meaning here.

    Returns
    -------
    str, or (str, dict)
        "direct" or "fft", and with `measure` the seconds of each.

    Examples
    --------
    >>> import numpy as np
    >>> from numbaconv import signal
    >>> signal.choose_conv_method(np.ones(10), np.ones(3))
    'direct'
    """
    arguments.flag(parallel, "parallel")
    return scipys.function("scipy.signal", "choose_conv_method")(in1, in2, mode, measure)


def route(function: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    """Say who computes a call: as `numbaconv.ndimage.route`, of this module's functions.

    Parameters
    ----------
    function : callable
        Of this module.
    *args, **kwargs
        What it would be called with.

    Returns
    -------
    str
        ``"numbaconv"``, or ``"scipy: "`` and why.

    Raises
    ------
    ValueError
        The function is none of this module.

    Examples
    --------
    >>> from numbaconv import signal
    >>> signal.route(signal.convolve, [1, 2, 3], [1, 2], method="fft")
    "scipy: method is 'fft'"
    """
    return _DOORS.route(function, args, kwargs)


@_DOORS.prepares("convolve2d")
def _convolve2d(in1: Any, in2: Any, mode: Any, boundary: Any, fillvalue: Any) -> Correlation:
    x, w = sums.operands(in1, in2, (2,))
    middle = [(n - 1) // 2 for n in w.shape]
    return Correlation(x, sums.turned(w), mode, middle, sums.border(boundary, fillvalue))


@_DOORS.prepares("correlate2d")
def _correlate2d(in1: Any, in2: Any, mode: Any, boundary: Any, fillvalue: Any) -> Correlation:
    x, w = sums.operands(in1, in2, (2,))
    middle = [n // 2 for n in w.shape]
    return Correlation(x, np.conj(w), mode, middle, sums.border(boundary, fillvalue))


@_DOORS.prepares("convolve")
def _convolve(in1: Any, in2: Any, mode: Any, method: Any) -> Correlation:
    x, w = sums.operands(in1, in2, (1, 2, 3))
    sums.check_method(x, w, mode, method)
    return Correlation(x, sums.turned(w), mode, [(n - 1) // 2 for n in w.shape], "zeros")


@_DOORS.prepares("correlate")
def _correlate(in1: Any, in2: Any, mode: Any, method: Any) -> Correlation:
    x, w = sums.operands(in1, in2, (1, 2, 3))
    sums.check_method(x, w, mode, method)
    return Correlation(x, np.conj(w), mode, [(n - 1) // 2 for n in w.shape], "zeros")
