"""Filters of arrays that cannot be read as they lie: copies of some rows at a time."""

import copy
import math

import numpy as np

from numbaconv.filtering import borders
from numbaconv.filtering.sums import Filter
from numbaconv.problem.arrays import Array

#: Bytes of an array that are copied at once.
MOST_COPIED = 1 << 23


def run(planned: Filter, x: Array, out: Array, parallel: bool) -> None:
    """Run a filter over an array as it lies, or over copies of it.

    Parameters
    ----------
    planned : Filter
        Of the whole array.
    x, out : ndarray
        The array, of any strides and byte order, and where the result goes.
    parallel : bool
        As of the filter.
    """
    if planned.reads(x):
        planned.run(x, out, parallel)
    elif x.nbytes <= MOST_COPIED or planned.rows == 1:
        planned.run(np.ascontiguousarray(x, planned.source), out, parallel)
    else:
        _run_in_parts(planned, x, out, parallel)


def _run_in_parts(planned: Filter, x: Array, out: Array, parallel: bool) -> None:
    """Filter copies of some rows, and of those that they reach, at a time."""
    outer, planes = [math.prod(x.shape[:a]) for a in range(x.ndim)], planned.planes * planned.depth
    axis = min(a for a in range(x.ndim) if outer[a] == planes and x.shape[a] > 1)
    source, to = np.moveaxis(x, axis, 0), np.moveaxis(out, axis, 0)
    above, below = planned.above, planned.ring - 1 - planned.above
    constant = borders.CONSTANT in planned.row_places
    n, part = len(source), copy.copy(planned)
    strip = max(MOST_COPIED // 2 * n // x.nbytes, planned.ring)
    for first in range(0, n, strip):
        last = min(first + strip, n)
        begin, end = first - above, last + below
        if constant:
            # The part adds rows of it by itself: they may follow a sum along the rows.
            begin, end = max(begin, 0), min(end, n)
        near = np.empty((*x.shape[:axis], end - begin, *x.shape[axis + 1 :]), planned.source)
        rows = np.moveaxis(near, axis, 0)
        a, b = max(begin, 0), min(end, n)
        rows[a - begin : b - begin] = source[a:b]
        for k in range(begin, a):
            rows[k - begin] = source[planned.row_places[k + above]]
        for k in range(b, end):
            rows[k - begin] = source[planned.row_places[k - n + above]]
        if part.rows != len(rows) * planned.rows // n:
            part.rows = len(rows) * planned.rows // n
            mode = "constant" if constant else "nearest"
            part.row_places = borders.beyond(part.rows, above, below, mode)
            part.work_of_all = planned.work_of_all * len(rows) // n
            part.schedules = {}
        result = np.empty(near.shape, planned.result)
        part.run(near, result, parallel)
        to[first:last] = np.moveaxis(result, axis, 0)[first - begin : last - begin]
