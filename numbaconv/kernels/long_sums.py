"""Sums of many terms: parts of a few thousand, added with compensation.

One running float32 sum of ones stops at 2**24, and its error grows with the number of its terms. No
sum here runs over more than `LONGEST` terms: longer ones are cut into parts whose sums are added by
D. Knuth's two-sum ("The Art of Computer Programming" 2, section 4.2.2, theorem B), which keeps what
rounding takes away, so that the parts add no error of their own. For integers, which wrap, the same
arithmetic adds exactly.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from numbaconv.kernels.jit import device
from numbaconv.problem.arrays import Array

#: Terms that are summed one after another; of more, parts of at most `PART`.
LONGEST = 4096
PART = 2048
#: Addends of col2im, which may be sums themselves, that are added one after another.
SHORT_SUM = 1024
# Elements of images that NumPy sums, and converts where need be, at once; terms of a part.
_SUMMED = 1 << 20
_FEW = 256


@device
def fold_part(part: Array, high: Array, low: Array, fresh: bool) -> None:
    """Add a part to compensated sums, or where they are `fresh` begin them."""
    if fresh:
        for i in range(part.size):
            high[i] = part[i]
            low[i] = 0
    else:
        for i in range(part.size):
            total = high[i] + part[i]
            taken = total - high[i]
            low[i] += (high[i] - (total - taken)) + (part[i] - taken)
            high[i] = total


@device
def whole_sums(high: Array, low: Array, out: Array) -> None:
    """Write the values of compensated sums; infinities have no rounding errors."""
    for i in range(out.size):
        lost = low[i]
        if lost == lost:
            out[i] = high[i] + lost
        else:
            out[i] = high[i]


class Total:
    """A compensated sum of arrays of one shape.

    Parameters
    ----------
    first : ndarray
        The first of them, which is kept.
    """

    def __init__(self, first: Array) -> None:
        self.high, self.low = first, np.zeros_like(first)

    def add(self, part: Array) -> None:
        """Add one more."""
        with np.errstate(invalid="ignore", over="ignore"):
            total = self.high + part
            taken = total - self.high
            self.low += (self.high - (total - taken)) + (part - taken)
            self.high = total

    @property
    def value(self) -> Array:
        """The sum."""
        with np.errstate(invalid="ignore", over="ignore"):
            return np.where(self.low == self.low, self.high + self.low, self.high)


class Slots:
    """Running sums of equal shapes, and what was drained from them.

    Parameters
    ----------
    values : ndarray
        ``(slots, ...)``: the sums, which are added to in place.
    """

    def __init__(self, values: Array) -> None:
        self.values = values
        #: What was set aside.
        self.drained: Total | None = None

    def __len__(self) -> int:
        return len(self.values)

    def drain(self) -> None:
        """Set aside what the sums have come to, and let them begin at zero."""
        total = self._added()
        if self.drained is None:
            self.drained = Total(total.copy())
        else:
            self.drained.add(total)
        self.values[...] = 0

    def total(self) -> Array:
        """Return what all have come to: the first slot, in the order of the slots."""
        total = self._added()
        if self.drained is not None:
            self.drained.add(total)
            total[...] = self.drained.value
        return total

    def _added(self) -> Array:
        """Return the first slot, to which all others were added."""
        first: Array = self.values[0]
        with np.errstate(invalid="ignore"):  # infinities of both signs: NaN, as in the kernels
            for slot in self.values[1:]:
                first += slot
        return first


def sum_rows(matrix: Array) -> Array:
    """Return the sums over the first axis, in parts and parts of parts, all in the matrix's dtype.

    NumPy adds along any axis but the last one term after another.
    """
    while len(matrix) > 1:
        whole = len(matrix) // _FEW * _FEW
        parts = matrix[:whole].reshape(-1, _FEW, *matrix.shape[1:]).sum(axis=1, dtype=matrix.dtype)
        if whole < len(matrix):
            rest: Any = matrix[whole:].sum(axis=0, dtype=matrix.dtype, keepdims=True)
            parts = np.concatenate([parts, rest])
        matrix = parts
    return matrix[0] if len(matrix) else np.zeros(matrix.shape[1:], matrix.dtype)


def channel_sums(images: Array, last: bool, result: np.dtype[Any]) -> Array:
    """Return the sum of each channel of a batch, added up with compensation."""
    work = np.dtype(np.float32) if result == np.float16 else result
    channels = images.shape[-1 if last else 1]
    total: Total | None = None
    for part in _pieces(images, last):
        matrix = np.ascontiguousarray(part, work)
        if last:
            found = sum_rows(matrix.reshape(-1, channels))
        else:
            # Images first, whose elements lie in vectors: several times as fast as all at once.
            found = sum_rows(matrix).reshape(channels, -1).sum(axis=1, dtype=work)
        if total is None:
            total = Total(found)
        else:
            total.add(found)
    value = np.zeros(channels, work) if total is None else total.value
    return value.astype(result, copy=False)


def _pieces(images: Array, last: bool) -> Iterator[Array]:
    """Yield a few images at a time, or parts of large ones, none of them empty."""
    size = math.prod(images.shape[1:])
    if not images.size:
        return
    if size <= _SUMMED or images.ndim < 3:
        step = _SUMMED // size if size <= _SUMMED else 1
        for n in range(0, len(images), max(step, 1)):
            yield images[n : n + max(step, 1)]
        return
    axis = 1 if last else 2
    step = max(1, _SUMMED * images.shape[axis] // size)
    for image in images:
        lines = np.moveaxis(image[None], axis, 0)
        for n in range(0, len(lines), step):
            yield np.moveaxis(lines[n : n + step], 0, axis)
