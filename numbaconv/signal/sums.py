"""What the doors of `numbaconv.signal` share: which calls are ours, and the sums that they are."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from numbaconv.api import scipys
from numbaconv.api.scipys import HandedOver
from numbaconv.problem.arrays import Array
from numbaconv.problem.types import PaddingMode

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
