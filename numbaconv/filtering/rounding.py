"""Sums in a type that may be a narrower one: rounded and clipped, or beside a threshold."""

from typing import Any

import numpy as np

from numbaconv.problem.arrays import Array


def rounded(array: Array, dtype: np.dtype[Any]) -> Array:
    """Return `array` as `dtype`: integers rounded and clipped, bools where it is one half or more.

    Floats stay what they are.
    """
    if dtype.kind == "b":
        return array >= 0.5
    if dtype.kind not in "iu":
        return array.astype(dtype, copy=False)
    if array.dtype.kind in "iu":
        return _clipped(array, dtype)
    info = np.iinfo(dtype)
    if info.bits <= 16:  # whose bounds every float holds
        whole = np.rint(array, dtype=np.result_type(array.dtype, np.float32))
        return whole.clip(info.min, info.max, out=whole).astype(dtype)
    # A float of the largest value rounds up beyond it: the type's own bound is put in after.
    whole = np.rint(array, dtype=np.float64)
    result = np.full(array.shape, info.max, dtype)
    whole.clip(info.min, info.max, out=whole)
    np.copyto(result, whole, where=whole < info.max, casting="unsafe")
    return result


def _clipped(array: Array, dtype: np.dtype[Any]) -> Array:
    info, given = np.iinfo(dtype), np.iinfo(array.dtype)
    least, most = max(int(info.min), int(given.min)), min(int(info.max), int(given.max))
    return array.clip(least, most).astype(dtype, copy=False)


def unwrapped(exact: Array, about: Array) -> Array:
    """Return 64-bit sums that have wrapped around, clipped where they have.

    Parameters
    ----------
    exact : ndarray
        int64 or uint64: the sums modulo 2**64.
    about : ndarray
        The same sums in float64, from which they are right by far less than 2**62.
    """
    info = np.iinfo(exact.dtype)
    middle = (int(info.max) + int(info.min)) // 2
    result = exact.copy()
    quarter = 2.0**62
    # Near a bound the wrapped sum lies on the other side of the range if it is beyond.
    high, low = about > info.max - quarter, about < info.min + quarter
    result[high & ((about > info.max + quarter) | (exact < middle))] = info.max
    result[low & ((about < info.min - quarter) | (exact > middle))] = info.min
    return result
