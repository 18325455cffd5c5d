"""Any NumPy array as kernels read it: one flat, writeable, contiguous view, an offset and strides.

All kernels take arrays in this one form, so C, Fortran, strided, negative-stride and read-only
arrays share their machine code and nothing is copied. Only what is unaligned, byte-swapped or of
another dtype must be converted, and the callers do that image by image.
"""

import ctypes
import itertools
import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
#: Numbers that a kernel takes, as one array of int64.
Table = npt.NDArray[np.int64]


class Flat(NamedTuple):
    """The memory of an array.

    Attributes
    ----------
    data : ndarray, 1-D
        All elements between the array's first and last in memory.
    place : ndarray of int64
        The offset of element ``(0, 0, ...)`` in `data`, then the strides, in elements: of batch
        and channel, then of the three spatial axes.
    """

    data: Array
    place: Table


class _Memory:
    """The array interface of a stretch of memory, and what keeps that memory alive."""

    def __init__(self, owner: Array, address: int, count: int) -> None:
        self.owner = owner
        self.__array_interface__ = {
            # Kernels never write to an input; marking it writeable here saves a second
            # machine-code version for read-only arrays.
            "data": (address, False),
            "typestr": owner.dtype.str,
            "shape": (count,),
            "version": 3,
        }


_from_buffer, _addressof = ctypes.c_char.from_buffer, ctypes.addressof
#: Bytes of a cache line.
LINE = 64
# Bytes of an array from which on a microsecond more is little.
_LARGE = 1 << 18


def native(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return a dtype in this machine's byte order; `newbyteorder` makes a new one each time."""
    return dtype if dtype.isnative else dtype.newbyteorder("=")


def address(array: Array) -> int:
    """Return where an array's first element lies."""
    # A quarter of the time of array.ctypes.data, but only for what is contiguous and writeable.
    try:
        return _addressof(_from_buffer(array))
    except (TypeError, ValueError, BufferError):
        return array.ctypes.data


def empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return a new array for a result; a large one begins at a cache line.

    What malloc maps for NumPy begins 16 bytes behind one, so that every vector that is stored
    would cross into the next (docs/performance.md).
    """
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes < _LARGE:
        return np.empty(shape, dtype)
    memory = np.empty(nbytes + LINE, np.uint8)
    return np.ndarray(shape, dtype, memory, -address(memory) % LINE)


def as_batch(array: Array, batched: bool) -> Array:
    """Return `array` with its batch axis."""
    return array if batched else array[None]


def is_direct(array: Array, dtype: np.dtype[Any]) -> bool:
    """Return whether kernels of `dtype` can read the array where it is."""
    return (
        array.dtype == dtype
        and array.flags.aligned
        and all(s % array.itemsize == 0 for s in array.strides)
    )


def overlaps_itself(array: Array) -> bool:
    """Return whether two indices might share memory (never False where they do)."""
    axes = sorted((abs(s), n) for s, n in zip(array.strides, array.shape, strict=True) if n > 1)
    end = array.itemsize
    for stride, n in axes:
        if stride < end:
            return True
        end = stride * (n - 1) + end
    return False


def reach(array: Array) -> tuple[int, int]:
    """Return the bytes from an array's first element to its lowest, and behind its highest."""
    low = high = 0
    for n, stride in zip(array.shape, array.strides, strict=True):
        reached = max(n - 1, 0) * stride
        if reached < 0:
            low += reached
        else:
            high += reached
    return low, high + array.itemsize


class Extent(NamedTuple):
    """Where the elements of arrays of some shape and strides lie in memory.

    Attributes
    ----------
    low : int
        Bytes from an array's first element to its lowest in memory.
    elements : int
        Those from there to the highest, with all between.
    place : ndarray of int64
        See `Flat`.
    """

    low: int
    elements: int
    place: Table

    @classmethod
    def of(cls, array: Array, *, channels_last: bool) -> "Extent":
        """Return the extent of a batched array that `is_direct`."""
        size = array.itemsize
        low, high = reach(array)
        batch, *rest = (s // size for s in array.strides)
        if channels_last:
            *spatial, channel = rest
        else:
            channel, *spatial = rest
        missing = [0] * (3 - len(spatial))
        place = np.array([-low // size, batch, channel, *missing, *spatial], np.int64)
        return cls(low, (high - low) // size, place)

    def memory(self, array: Array) -> Array:
        """Return the memory of an array of this extent, as `Flat.data`."""
        return np.asarray(_Memory(array, array.ctypes.data + self.low, self.elements))


def flatten(array: Array, *, channels_last: bool) -> Flat:
    """Return the `Flat` of a batched array that `is_direct`."""
    extent = Extent.of(array, channels_last=channels_last)
    return Flat(extent.memory(array), extent.place)


def spatial_walk(array: Array, *, channels_last: bool) -> Table:
    """Return the spatial sizes and strides of a batched array: as one long row where it is one.

    Three sizes, then three strides in elements.
    """
    stop = array.ndim - 1 if channels_last else array.ndim
    axes = range(1 if channels_last else 2, stop)
    steps = [(array.shape[a], array.strides[a] // array.itemsize) for a in axes]
    long = [(n, step) for n, step in steps if n > 1] or [(1, 1)]
    if all(outer == inner * n for (_, outer), (n, inner) in itertools.pairwise(long)):
        steps = [(math.prod(n for n, _ in long), long[-1][1])]
    steps = [(1, 0)] * (3 - len(steps)) + steps
    return np.array([n for n, _ in steps] + [step for _, step in steps], np.int64)


def writeable(array: Array) -> Array:
    """Return a C-contiguous array, marked writeable so that kernels need no second version."""
    if array.flags.writeable:
        return array
    alias = np.asarray(_Memory(array, array.ctypes.data, array.size))
    return alias.reshape(array.shape)
