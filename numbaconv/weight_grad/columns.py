"""Which columns of the input each column of the kernel reads, as copiers of rows take it."""

import numpy as np

from numbaconv.native.rows import NOTHING
from numbaconv.problem.arrays import Array
from numbaconv.problem.formulas import end_inside, first_inside


def table(
    size: int, kernel: int, stride: int, dilation: int, low: int, width: int, nbytes: int,
    lanes: int,
) -> Array:  # fmt: skip
    """Return low, high, start and a table of offsets for the columns that each tap reads.

    Columns of the input are `nbytes` apart, `width` of the result; the table has two vectors of
    `NOTHING` behind it.
    """
    found = np.full((kernel, 3 + width + 2 * lanes), NOTHING, np.int64)
    for e in range(kernel):
        start = e * dilation - low
        first = first_inside(start, stride, width)
        end = max(first, end_inside(start, stride, size, width))
        found[e, :3] = first, end, start * nbytes
        found[e, 3 + first : 3 + end] = np.arange(first, end) * stride * nbytes
    return found
