"""The way out: where a result is written, and what a caller's `out` must be."""

from collections.abc import Callable
from typing import Any

import numpy as np

from numbaconv.problem import arguments
from numbaconv.problem.arrays import Array, empty, overlaps_itself
from numbaconv.problem.geometry import Ints


def into(
    out: Any, shape: Ints, dtype: np.dtype[Any], inputs: tuple[Array, ...],
    compute: Callable[[Array], None],
) -> Array:  # fmt: skip
    """Return the caller's `out`, or a new array, with what `compute` writes to an array.

    Where `out` shares memory with an input, or with itself, `compute` gets another array, which is
    copied.
    """
    if out is None:
        fresh = empty(shape, dtype)
        compute(fresh)
        return fresh
    result = arguments.check_out(out, shape, dtype)
    collides = result.size and (
        overlaps_itself(result) or any(np.may_share_memory(result, a) for a in inputs)
    )
    target = np.empty(shape, dtype) if collides else result
    compute(target)
    if collides:
        result[...] = target
    given: Array = out
    return given
