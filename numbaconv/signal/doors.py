"""Convolution and correlation by the names of `scipy.signal`."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from numbaconv.api import scipys
from numbaconv.api.scipys import Doors, HandedOver
from numbaconv.problem import arguments
from numbaconv.problem.arrays import Array
from numbaconv.problem.types import PaddingMode

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
def _convolve2d(in1: Any, in2: Any, mode: Any, boundary: Any, fillvalue: Any) -> "Correlation":
    x, w = operands(in1, in2, (2,))
    middle = [(n - 1) // 2 for n in w.shape]
    return Correlation(x, turned(w), mode, middle, border(boundary, fillvalue))


@_DOORS.prepares("correlate2d")
def _correlate2d(in1: Any, in2: Any, mode: Any, boundary: Any, fillvalue: Any) -> "Correlation":
    x, w = operands(in1, in2, (2,))
    middle = [n // 2 for n in w.shape]
    return Correlation(x, np.conj(w), mode, middle, border(boundary, fillvalue))


@_DOORS.prepares("convolve")
def _convolve(in1: Any, in2: Any, mode: Any, method: Any) -> "Correlation":
    x, w = operands(in1, in2, (1, 2, 3))
    check_method(x, w, mode, method)
    return Correlation(x, turned(w), mode, [(n - 1) // 2 for n in w.shape], "zeros")


@_DOORS.prepares("correlate")
def _correlate(in1: Any, in2: Any, mode: Any, method: Any) -> "Correlation":
    x, w = operands(in1, in2, (1, 2, 3))
    check_method(x, w, mode, method)
    return Correlation(x, np.conj(w), mode, [(n - 1) // 2 for n in w.shape], "zeros")


# Elements of the smaller array up to which summing is not slower than SciPy's transforms.
_FEW = 512
_BORDERS: dict[str, PaddingMode] = {"fill": "zeros", "wrap": "circular", "symm": "symmetric"}


class Correlation:
    """A correlation that ours can compute.

    Parameters
    ----------
    x, weights : ndarray
        Of as many axes.
    mode : str
        "full", "valid" or "same".
    middle : sequence of int
        Where results of the middle begin among all, along each axis.
    padding_mode : str
        Of `numbaconv.conv2d`.
    """

    def __init__(
        self,
        x: Array,
        weights: Array,
        mode: Any,
        middle: Sequence[int],
        padding_mode: PaddingMode,
    ) -> None:
        if mode not in ("full", "valid", "same"):
            raise HandedOver(f"mode is {mode!r}")
        if x.ndim == 1 and weights.dtype.kind in "fc" and not np.isfinite(weights).all():
            # SciPy has no zeros beyond the ends of a row, which infinities would make NaN.
            raise HandedOver("in2 is not finite")
        if mode != "full" and any(k > n for k, n in zip(weights.shape, x.shape, strict=True)):
            raise HandedOver(f"in2 of {weights.shape} is longer than in1 of {x.shape}")
        self.x, self.weights, self.padding_mode = x, weights, padding_mode
        self.dtype = np.result_type(x, weights)
        self.padding = []
        for k, start in zip(weights.shape, middle, strict=True):
            first, last = {"full": (0, 0), "valid": (k - 1, k - 1), "same": (start, k - 1 - start)}[
                mode
            ]
            self.padding.append((k - 1 - first, k - 1 - last))

    def run(self, parallel: bool) -> Array:
        """Return the result: of floats from sums in double precision."""
        import numbaconv

        work = self.dtype
        if work.kind in "fc":
            work = np.result_type(work, np.float64)
        functions = {1: numbaconv.conv1d, 2: numbaconv.conv2d, 3: numbaconv.conv3d}
        made = functions[self.x.ndim](
            self.x.astype(work, copy=False)[None, None],
            np.ascontiguousarray(self.weights, work)[None, None], padding=tuple(self.padding),
            padding_mode=self.padding_mode, algorithm="exact", parallel=parallel,
        )  # fmt: skip
        found: Array = made[0, 0].astype(self.dtype, copy=False)
        return found


def operands(in1: Any, in2: Any, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """Return both arrays."""
    try:
        x, w = np.asarray(in1), np.asarray(in2)
    except Exception as error:
        raise HandedOver(f"there is no array: {error}") from None
    for array, name in ((x, "in1"), (w, "in2")):
        if array.ndim not in axes or array.size == 0:
            raise HandedOver(f"{name} has shape {array.shape}")
        native = array.dtype.newbyteorder("=")
        if native.kind not in "iufc" or native.itemsize > 8 * (1 + (native.kind == "c")):
            raise HandedOver(f"{name} is of dtype {array.dtype}")
        if native == np.float16:
            raise HandedOver(f"{name} is of dtype float16")
    if x.ndim != w.ndim:
        raise HandedOver(f"in1 has {x.ndim} axes, in2 {w.ndim}")
    return x, w


def turned(weights: Array) -> Array:
    """Return weights in the opposite order along all axes."""
    return weights[(slice(None, None, -1),) * weights.ndim]


def border(boundary: Any, fillvalue: Any) -> PaddingMode:
    """Return the padding mode of a boundary."""
    if boundary not in _BORDERS:
        raise HandedOver(f"boundary is {boundary!r}")
    plain = isinstance(fillvalue, int | float | np.integer | np.floating)
    if boundary == "fill" and not (plain and fillvalue == 0):
        raise HandedOver(f"fillvalue is {fillvalue!r}")
    return _BORDERS[boundary]


def check_method(x: Array, weights: Array, mode: Any, method: Any) -> None:
    """Hand over what transforms are for."""
    if method not in ("auto", "direct"):
        raise HandedOver(f"method is {method!r}")
    if method == "auto" and min(x.size, weights.size) > _FEW:
        chosen = scipys.function("scipy.signal", "choose_conv_method")(x, weights, mode)
        if chosen != "direct":
            raise HandedOver(f"method 'auto' is {chosen!r}")
