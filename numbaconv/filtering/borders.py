"""What lies beyond the ends of an axis, by SciPy's names of it."""

import numpy as np

from numbaconv.problem.arrays import Array

#: In a table of `places`: the constant.
CONSTANT = -1
#: SciPy's names of the same thing.
MODES = {
    "reflect": "reflect", "grid-mirror": "reflect", "mirror": "mirror", "nearest": "nearest",
    "wrap": "wrap", "grid-wrap": "wrap", "constant": "constant", "grid-constant": "constant",
}  # fmt: skip


def places(size: int, before: int, after: int, mode: str) -> Array:
    """Return which element stands at each position from `before` the first to `after` the last.

    Examples
    --------
    >>> places(4, 3, 2, "reflect").tolist(), places(4, 2, 2, "mirror").tolist()
    ([2, 1, 0, 0, 1, 2, 3, 3, 2], [2, 1, 0, 1, 2, 3, 2, 1])
    """
    at = np.arange(-before, size + after, dtype=np.int64)
    if mode == "nearest":
        return np.clip(at, 0, size - 1)
    if mode == "wrap":
        return at % size
    if mode == "reflect":
        at %= 2 * size
        return np.where(at < size, at, 2 * size - 1 - at)
    if mode == "mirror":
        period = max(2 * size - 2, 1)
        at %= period
        return np.where(at < size, at, period - at)
    return np.where((at >= 0) & (at < size), at, CONSTANT)
