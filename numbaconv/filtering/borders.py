"""What lies beyond the ends of an axis, by SciPy's names of it."""

import numpy as np

from numbaconv.kernels.jit import device
from numbaconv.problem.arrays import Array, Table

#: In a table of `beyond`: the constant.
CONSTANT = -1
#: SciPy's names of the same thing.
MODES = {
    "reflect": "reflect", "grid-mirror": "reflect", "mirror": "mirror", "nearest": "nearest",
    "wrap": "wrap", "grid-wrap": "wrap", "constant": "constant", "grid-constant": "constant",
}  # fmt: skip


def beyond(size: int, before: int, after: int, mode: str) -> Array:
    """Return which elements stand at the positions before an axis's first, and behind its last.

    Examples
    --------
    >>> beyond(4, 3, 2, "reflect").tolist(), beyond(4, 2, 2, "mirror").tolist()
    ([2, 1, 0, 3, 2], [2, 1, 2, 1])
    """
    at: Array = np.concatenate([np.arange(-before, 0), np.arange(size, size + after)])
    if mode == "nearest":
        return np.minimum(np.maximum(at, 0), size - 1)
    if mode == "wrap":
        return np.mod(at, size)
    if mode == "reflect":
        at %= 2 * size
        return np.where(at < size, at, 2 * size - 1 - at)
    if mode == "mirror":
        period = max(2 * size - 2, 1)
        at %= period
        return np.where(at < size, at, period - at)
    return np.full(len(at), CONSTANT)


@device
def place(at: int, size: int, before: int, table: Table) -> int:
    """Return which element stands at a position, by a table of `beyond`."""
    if at < 0:
        return table[at + before]  # type: ignore[no-any-return]
    return at if at < size else table[before + at - size]
