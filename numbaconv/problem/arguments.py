"""From what a caller passes to plain ints, tuples and dtypes, with the errors of the contract."""

import operator
from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from numbaconv.problem import types
from numbaconv.problem.formulas import dilated_size, same_padding
from numbaconv.problem.types import Layout, PaddingName, Patches

LAYOUTS: tuple[Layout, ...] = get_args(Layout)
PATCHES: tuple[Patches, ...] = get_args(Patches)
PADDINGS: tuple[PaddingName, ...] = get_args(PaddingName)

#: Strides, dilations, paddings and sizes are at most this, so that no int64 product of two
#: of them and no index of a kernel overflows.
LARGEST = 2**31 - 1

_DTYPES = tuple(np.dtype(c) for c in "bBhHiIlLqQefdFD")

# Characters of a value in a message.
_LONGEST_TEXT = 100

Pairs = tuple[tuple[int, int], ...]


def choice(value: Any, name: str, allowed: Sequence[str]) -> str:
    """Return `value`, which must be one of the strings `allowed`."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be one of {_listed(allowed)}, got {shortened(value)}")
    if value not in allowed:
        raise ValueError(f"{name} must be one of {_listed(allowed)}, got {value!r}")
    return value


def is_channels_last(layout: Any) -> bool:
    """Return whether a caller's `layout` puts the channels last."""
    return choice(layout, "layout", LAYOUTS) == "channels_last"


def flag(value: Any, name: str) -> bool:
    """Return `value`, which must be a bool."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {shortened(value)}")
    return bool(value)


def integer(
    value: Any,
    name: str,
    low: int,
    high: int = LARGEST,
    expected: str = "an int",
    whole: Any = None,
) -> int:
    """Return `value` as an int from `low` to `high`; floats and bools are no ints here.

    Errors say what was `expected`, and where `value` is an entry, show the `whole`.
    """
    if type(value) is int and low <= value <= high:
        return value
    shown = shortened(value if whole is None else whole)
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be {expected}, got {shown}")
    try:
        number = operator.index(value)
    except Exception:
        raise TypeError(f"{name} must be {expected}, got {shown}") from None
    if not low <= number <= high:
        entries = "" if whole is None else "hold ints "
        between = f"from {low} to {high}" if high < 2**62 else f"of at least {low}"
        be = "be " if whole is None else ""
        raise ValueError(f"{name} must {be}{entries}{between}, got {shown}")
    return number


def shortened(value: Any) -> str:
    """Return a value as messages show it: what it is, where it is long."""
    if isinstance(value, np.ndarray) and value.ndim > 1:
        return f"an array of shape {value.shape}"
    try:
        text = repr(value)
    except Exception:
        text = object.__repr__(value)
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 3]}..."


def per_axis(
    value: Any, name: str, ndim: int, low: int = 1, high: int = LARGEST
) -> tuple[int, ...]:
    """Return one int per spatial axis, from an int or a sequence of `ndim` ints."""
    expected = f"an int or one int per spatial axis ({ndim})"
    if not is_sequence(value):
        return (integer(value, name, low, high, expected),) * ndim
    values = list(value)
    if len(values) != ndim:
        raise ValueError(f"{name} must be {expected}, got {shortened(value)}")
    return tuple(integer(v, name, low, high, expected, whole=value) for v in values)


def padding_pairs(
    value: Any,
    size: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> Pairs:
    """Return a ``(low, high)`` pair per spatial axis from any form of ``padding``."""
    ndim = len(size)
    if isinstance(value, str):
        choice(value, "padding", PADDINGS)
        if value == "valid":
            return ((0, 0),) * ndim
        totals = [
            same_padding(n, k, s, d)
            for n, k, s, d in zip(size, kernel, stride, dilation, strict=True)
        ]
        return tuple(halves(total, value) for total in totals)
    return _explicit_pairs(value, ndim)


def transposed_padding(
    value: Any, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[Pairs, tuple[int, ...]]:
    """Return a transposed convolution's padding pairs, and the output padding they bring along."""
    ndim = len(kernel)
    none = (0,) * ndim
    if not isinstance(value, str):
        return _explicit_pairs(value, ndim), none
    choice(value, "padding", PADDINGS)
    if value == "valid":
        return ((0, 0),) * ndim, none
    totals = [
        dilated_size(k, d) - s for k, s, d in zip(kernel, stride, dilation, strict=True)
    ]  # fmt: skip
    pairs = tuple(halves(max(t, 0), value) for t in totals)
    return pairs, tuple(max(-t, 0) for t in totals)


def halves(total: int, padding: str) -> tuple[int, int]:
    """Return the low and high part of a total that "same" or "same_lower" asks for."""
    small, large = total // 2, total - total // 2
    return (small, large) if padding == "same" else (large, small)


def _explicit_pairs(value: Any, ndim: int) -> Pairs:
    """Return a ``(low, high)`` pair per spatial axis from ints, one per axis, or pairs."""
    expected = (
        f"an int, one int or one (low, high) pair per spatial axis ({ndim}), or one of "
        f"{_listed(PADDINGS)}"
    )
    if not is_sequence(value):
        number = integer(value, "padding", 0, expected=expected)
        return ((number, number),) * ndim
    entries = list(value)
    pairs = [is_sequence(v) for v in entries]
    if len(entries) != ndim or any(len(v) != 2 for v in entries if is_sequence(v)):
        raise ValueError(f"padding must be {expected}, got {shortened(value)}")
    if any(pairs) and not all(pairs):
        raise TypeError(f"padding must be {expected}, got {shortened(value)}")
    found = []
    for entry in entries:
        low, high = entry if pairs[0] else (entry, entry)
        found.append(
            (
                integer(low, "padding", 0, expected=expected, whole=value),
                integer(high, "padding", 0, expected=expected, whole=value),
            )
        )
    return tuple(found)


def supported(dtype: npt.DTypeLike, name: str) -> np.dtype[Any]:
    """Return `dtype` in native byte order, or raise TypeError if it is none of ours."""
    try:
        result = np.dtype(dtype)
    except Exception:
        raise TypeError(
            f"{name} must be a dtype that NumPy knows, got {shortened(dtype)}"
        ) from None
    if result.kind not in "iufc" or result.newbyteorder("=") not in _DTYPES:
        raise TypeError(
            f"{name} must be float16, float32, float64, complex64, complex128 or an integer "
            f"type, got {result}"
        )
    # One object for each dtype, so that it can be told by identity.
    return np.dtype(result.newbyteorder("=").str)


def result_dtype(dtype: npt.DTypeLike | None, **operands: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype of the result, to which every operand can be converted."""
    if dtype is None:
        for name, kind in operands.items():
            if kind.kind != "b":  # which takes the other's dtype
                supported(kind, f"the dtype of {name}")
        try:
            common = np.result_type(*operands.values())
        except TypeError:
            kinds = " and ".join(f"{name} {kind}" for name, kind in operands.items())
            raise TypeError(f"no common dtype for {kinds}") from None
        result = supported(common, f"the dtype of {' and '.join(operands)}")
    else:
        result = supported(dtype, "dtype")
    for name, kind in operands.items():
        convertible(kind, result, name)
    return result


def convertible(source: np.dtype[Any], dtype: np.dtype[Any], name: str) -> None:
    """Raise TypeError unless NumPy's same_kind rule (or integer wrapping) allows the conversion."""
    wraps = source.kind in "iu" and dtype.kind in "iu"
    if not (wraps or np.can_cast(source, dtype, "same_kind")):
        raise TypeError(
            f"{name} of dtype {source} cannot be converted to {dtype}, the dtype of the result"
        )


def check_out(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return `out` as a plain array, which must be writeable and of this shape and dtype."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a NumPy array, got {type(out).__name__}")
    _refuse_masked(out, "out")
    array: npt.NDArray[Any] = np.asarray(out)  # a subclass may say what it likes of its shape
    if array.dtype != dtype:
        raise TypeError(f"out must have dtype {dtype}, got {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"out must have shape {shape}, got {array.shape}")
    if not array.flags.writeable:
        raise ValueError("out must be writeable, got a read-only array")
    return array


def check_grad(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """Raise ValueError unless the gradient of a result has the result's shape."""
    if shape != expected:
        raise ValueError(
            f"grad_output must have the shape of the forward's result, {expected}, got {shape}"
        )


def check_bias(
    shape: tuple[int, ...], given: np.dtype[Any], outputs: int, dtype: np.dtype[Any]
) -> None:
    """Raise unless a bias has one value for each output channel, that the result's dtype takes."""
    if shape != (outputs,):
        raise ValueError(
            f"bias must have shape ({outputs},), one for each output channel, got {shape}"
        )
    if not np.can_cast(given, dtype, "same_kind"):
        raise TypeError(
            f"bias of dtype {given} cannot be converted to {dtype}, the dtype of the result"
        )


def check_addressable(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Raise ValueError if a result of this shape cannot exist on any machine."""
    count = dtype.itemsize
    for n in shape:
        count *= max(n, 1)
    if count > 2**63 - 1:
        raise ValueError(f"the result would have shape {shape}, too large to address")


def as_array(value: Any, name: str) -> npt.NDArray[Any]:
    """Return `value` as a plain array of numbers."""
    if type(value) is np.ndarray and value.dtype.kind in "biufc":
        return value
    _refuse_masked(value, name)
    types.refuse_foreign(value, name)
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(
            f"{name} must be an array, got rows of different lengths: {shortened(value)}"
        ) from None
    if array.dtype.kind not in "biufc":
        shown = shortened(value)
        if isinstance(value, np.ndarray):
            shown = f"an array of dtype {array.dtype}"
        raise TypeError(f"{name} must be an array of numbers, got {shown}")
    return array


def _refuse_masked(value: Any, name: str) -> None:
    """Raise TypeError for a masked array, or a sequence of them: masks would be ignored."""
    # Known by its attributes: numpy.ma is not imported for the sake of a check.
    values = value if isinstance(value, list | tuple) else (value,)
    arrays = [v for v in values if isinstance(v, np.ndarray)]
    if any(hasattr(array, "mask") and hasattr(array, "filled") for array in arrays):
        raise TypeError(
            f"{name} must not be a masked array, whose mask would be ignored: "
            f"pass {name}.filled(...)"
        )


def shape(value: Any, name: str) -> tuple[int, ...]:
    """Return a shape as a tuple of ints."""
    if not is_sequence(value):
        raise TypeError(f"{name} must be a tuple of ints, got {shortened(value)}")
    return tuple(integer(n, name, 0, 2**62, "a tuple of ints", whole=value) for n in value)


def output_size(value: Any, ndim: int, channels_last: bool) -> tuple[int, ...]:
    """Return a caller's `output_size` as one int per spatial axis, without batch and channels."""
    if not is_sequence(value):
        return per_axis(value, "output_size", ndim, low=0)
    given = shape(value, "output_size")
    if len(given) in (ndim + 1, ndim + 2):
        given = given[-1 - ndim : -1] if channels_last else given[-ndim:]
    if len(given) != ndim:
        raise ValueError(
            f"output_size must have one int per spatial axis ({ndim}), got {value!r}"
        )  # fmt: skip
    return given


def is_sequence(value: Any) -> bool:
    """Return whether `value` has entries, one for each axis."""
    return isinstance(value, Sequence | np.ndarray) and not (
        isinstance(value, str | bytes) or (isinstance(value, np.ndarray) and value.ndim == 0)
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))
