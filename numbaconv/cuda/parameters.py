"""The integers of a problem, as one tuple that kernels index by these names.

Numba passes a tuple of ints as so many kernel parameters, which lie in constant memory.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

NAMES = (
    # A matrix product of each group: M x K times K x N; K is cut into parts of SPLIT_K; the blocks
    # of threads that have work.
    "M", "N", "K", "GROUPS", "SPLIT_K", "BLOCKS",
    # The input channels of a group.
    "CHANNELS",
    # The array that patches are gathered from: where it begins, its strides in elements, its size.
    "BASE", "S_N", "S_C", "S_D", "S_H", "S_W", "D", "H", "W",
    # Output positions, kernel, stride, dilation and low padding, along each axis.
    "OUT_D", "OUT_H", "OUT_W", "K_D", "K_H", "K_W", "STRIDE_D", "STRIDE_H", "STRIDE_W",
    "DIL_D", "DIL_H", "DIL_W", "LOW_D", "LOW_H", "LOW_W",
    # The array of output positions: where it begins, and its strides.
    "O_BASE", "O_N", "O_C", "O_D", "O_H", "O_W",
    # Whether there is a bias.
    "BIASED",
)  # fmt: skip

#: Sizes and offsets up to this are passed as int32, whose arithmetic is several times as fast; the
#: rest is room for indices that run past the end.
NARROW = 2**31 - 2**17

INDEX: dict[str, int] = {name: place for place, name in enumerate(NAMES)}


def index_type(*numbers: int) -> Any:
    """Return the type of index that holds numbers as large as these, of either sign."""
    return np.int32 if max(map(abs, numbers)) <= NARROW else np.int64


def pack(values: Mapping[str, int], *sizes: int) -> tuple[Any, tuple[Any, ...]]:
    """Return the type of index of a problem, and the tuple of its ints; every name needs a value.

    The type holds all values, padded coordinates, and the sizes of memory that is indexed.
    """
    padded = [
        (values[f"OUT_{axis}"] + values[f"K_{axis}"]) * values[f"STRIDE_{axis}"]
        + values[axis]
        + 2 * values[f"LOW_{axis}"]
        + values[f"K_{axis}"] * values[f"DIL_{axis}"]
        for axis in "DHW"
    ]
    index = index_type(*values.values(), *padded, *sizes)
    return index, tuple(index(values[name]) for name in NAMES)


def divisors(counts: Iterable[int], index: Any) -> Iterator[int]:
    """Return the ints of several divisors, one after the other."""
    return (part for n in counts for part in divisor(n, index))


def divisor(n: int, index: Any) -> tuple[int, int]:
    """Return a positive divisor as `numbaconv.cuda.operands` divides by it: (multiplier, shift)."""
    n = max(n, 1)
    if index is not np.int32:
        return n, 0
    shift = (n - 1).bit_length()
    multiplier = ((1 << 32) * ((1 << shift) - n)) // n + 1
    return multiplier - (1 << 32 if multiplier >= 1 << 31 else 0), shift
