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
    """Filter copies of some planes, or of some rows and of those that they reach, at a time."""
    outer, planes = [math.prod(x.shape[:a]) for a in range(x.ndim)], planned.planes * planned.depth
    axis = min(a for a in range(x.ndim) if outer[a] == planes and x.shape[a] > 1)
    if axis and planned.depth == 1:
        step = max(1, MOST_COPIED * len(x) // x.nbytes)
        for first in range(0, len(x), step):
            last = min(first + step, len(x))
            part = _part(planned, (last - first) * planes // len(x), planned.rows)
            if step == 1:
                run(part, x[first], out[first], parallel)
            else:
                run(part, x[first:last], out[first:last], parallel)
        return
    _run_by_rows(planned, x, out, axis, parallel)


def _part(planned: Filter, planes: int, rows: int) -> Filter:
    """Return the same filter of fewer planes, or of another number of rows."""
    part = copy.copy(planned)
    part.planes, part.rows = planes, rows
    size, whole = planes * rows, planned.planes * planned.rows
    part.work_of_all = -(-planned.work_of_all * size // whole)
    part.schedules = {}
    return part


def _run_by_rows(planned: Filter, x: Array, out: Array, axis: int, parallel: bool) -> None:
    """Filter copies of some rows, those of an axis, and of those that they reach, at a time."""
    source, to = np.moveaxis(x, axis, 0), np.moveaxis(out, axis, 0)
    above, below = planned.above, planned.ring - 1 - planned.above
    constant = borders.CONSTANT in planned.row_places
    n, part = len(source), planned
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
        count = len(rows) * planned.rows // n
        if part is planned or part.rows != count:
            part = _part(planned, planned.planes, count)
            mode = "constant" if constant else "nearest"
            part.row_places = borders.beyond(count, above, below, mode)
        result = np.empty(near.shape, planned.result)
        part.run(near, result, parallel)
        to[first:last] = np.moveaxis(result, axis, 0)[first - begin : last - begin]
