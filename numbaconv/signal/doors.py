"""Convolution and correlation by the names of `scipy.signal`."""

import inspect
import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from numbaconv.api import scipys
from numbaconv.problem import arguments
from numbaconv.problem.arrays import Array
from numbaconv.signal import sums
from numbaconv.signal.sums import HandedOver, Prepared

_LOG = logging.getLogger("numbaconv.signal")


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
    asked = (in1, in2, mode, boundary, fillvalue)
    return _computed("convolve2d", asked, parallel)


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
    asked = (in1, in2, mode, boundary, fillvalue)
    return _computed("correlate2d", asked, parallel)


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
    return _computed("convolve", (in1, in2, mode, method), parallel)


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
    return _computed("correlate", (in1, in2, mode, method), parallel)


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
    name = getattr(function, "__name__", repr(function))
    if globals().get(name) is not function or name not in _PREPARE:
        raise ValueError(f"function must be one of {tuple(_PREPARE)}, got {function!r}")
    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    asked = tuple(value for key, value in bound.arguments.items() if key != "parallel")
    try:
        _PREPARE[name](*asked)
    except HandedOver as why:
        return f"scipy: {why}"
    return "numbaconv"


def _computed(name: str, asked: tuple[Any, ...], parallel: Any) -> Array:
    """Return the result of a call, from whoever takes it."""
    parallel = arguments.flag(parallel, "parallel")
    try:
        prepared = _PREPARE[name](*asked)
    except HandedOver as why:
        _LOG.debug("%s is SciPy's: %s", name, why)
        made: Array = scipys.function("scipy.signal", name)(*asked)
        return made
    return prepared.run(parallel)


def _convolve2d(in1: Any, in2: Any, mode: Any, boundary: Any, fillvalue: Any) -> Prepared:
    x, w = sums.operands(in1, in2, (2,))
    middle = [(n - 1) // 2 for n in w.shape]
    return Prepared(x, sums.turned(w), mode, middle, sums.border(boundary, fillvalue))


def _correlate2d(in1: Any, in2: Any, mode: Any, boundary: Any, fillvalue: Any) -> Prepared:
    x, w = sums.operands(in1, in2, (2,))
    middle = [n // 2 for n in w.shape]
    return Prepared(x, np.conj(w), mode, middle, sums.border(boundary, fillvalue))


def _convolve(in1: Any, in2: Any, mode: Any, method: Any) -> Prepared:
    x, w = sums.operands(in1, in2, (1, 2, 3))
    sums.check_method(x, w, mode, method)
    return Prepared(x, sums.turned(w), mode, [(n - 1) // 2 for n in w.shape], "zeros")


def _correlate(in1: Any, in2: Any, mode: Any, method: Any) -> Prepared:
    x, w = sums.operands(in1, in2, (1, 2, 3))
    sums.check_method(x, w, mode, method)
    return Prepared(x, np.conj(w), mode, [(n - 1) // 2 for n in w.shape], "zeros")


_PREPARE: dict[str, Callable[..., Prepared]] = {
    "convolve2d": _convolve2d, "correlate2d": _correlate2d, "convolve": _convolve,
    "correlate": _correlate,
}  # fmt: skip
