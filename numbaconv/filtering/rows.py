"""The loops: a few rows of the input, converted, summed into one row, rounded, and stored.

What a filter needs at a time is as many rows as its kernel is high. They are kept, converted and
with their borders, in a ring that fits into a core's cache, so an image is read once and written
once, whatever its type, and nothing of its size is ever held beside it.
"""

from typing import NamedTuple

import numpy as np

from numbaconv.kernels.jit import device
from numbaconv.problem.arrays import Array
from numbaconv.teams.jobs import fork_tasks, team_kernel, team_part

# Elements that are summed at a time, so that sums and a piece of each row stay in the L1 cache.
_PIECE = 1024


class RowWindow(NamedTuple):
    """How the kernel moves, and where its padded rows come from."""

    #: Along rows and columns alike.
    stride: int
    dilation: int
    #: Elements from one pixel to the next in a row: the channels that lie side by side.
    step: int
    #: The padded columns that are columns of the input, from its first on.
    begin: int
    end: int
    #: Whether taps of zero are left out, which no NaN or infinity can tell.
    sparse: bool


class Finish(NamedTuple):
    """What is done with the sums."""

    #: Whether the root of the sum of squares is wanted.
    magnitude: bool
    #: Whether they are rounded, and between which bounds they are kept then.
    rounded: bool
    least: float
    most: float


@team_kernel
def filter_rows(
    team: int, workers: int, x: Array, y: Array, sources: Array, columns: Array, vertical: Array,
    horizontal: Array, separable: bool, bias: float, window: RowWindow, finish: Finish, bands: int,
) -> None:  # fmt: skip
    """Correlate the planes of `x` with M kernels and store one result.

    Parameters
    ----------
    x : ndarray
        ``(planes, H, W * step)``, rows contiguous.
    y : ndarray
        ``(planes, outputs, columns * step)``, rows contiguous.
    sources, columns : ndarray
        int64: the row and the column of `x` that stand at each padded one, or -1 for zeros.
    vertical, horizontal : ndarray
        ``(M, KH, KW)`` taps and ``(0, 0, 0)``, or their two factors ``(M, KH, 1)`` and
        ``(M, 1, KW)``, in the type of the sums.
    separable : bool
        Whether they are factors.
    bias : float
        Of the type of the sums, added to them.
    window : RowWindow
    finish : Finish
    bands : int
        Into how many parts the rows of a plane are cut.
    """
    shared = (
        x, y, bands, sources, columns, vertical, horizontal, separable, bias, window, finish,
    )  # fmt: skip
    fork_tasks(team, workers, len(x) * bands, _band, shared)


@team_part
def _band(
    task: int, worker: int, planes: Array, results: Array, bands: int, sources: Array,
    columns: Array, vertical: Array, horizontal: Array, separable: bool, bias: float,
    window: RowWindow, finish: Finish,
) -> None:  # fmt: skip
    """Make a part of the rows of a plane."""
    plane, band = task // bands, task % bands
    x, y = planes[plane], results[plane]
    begin, end = len(y) * band // bands, len(y) * (band + 1) // bands
    count, height, width = vertical.shape
    if separable:
        width = horizontal.shape[2]
    step, length = window.step, columns.size * window.step
    span = (height - 1) * window.dilation + 1
    apart = window.dilation * step
    summed = length - (width - 1) * apart
    ring = np.empty((span, length), vertical.dtype)
    sums = np.empty((count, length), vertical.dtype)
    folded = np.empty((1, length), vertical.dtype)
    # Taps: the rows of the kernel that they stand in, how far they are shifted, and their weights.
    most = height * vertical.shape[2]
    rows, shifts = np.empty((count, most), np.int64), np.empty((count, most), np.int64)
    weights, taps = np.empty((count, most), vertical.dtype), np.empty(count, np.int64)
    across, slots = np.arange(width) * apart, np.zeros(max(most, width), np.int64)
    for m in range(count):
        taps[m] = _list_taps(vertical[m], apart, rows[m], shifts[m], weights[m], window)
    zeros, none = np.zeros(width, np.int64), bias * 0
    loaded = 0
    for o in range(begin, end):
        top = o * window.stride
        loaded = max(loaded, top)
        while loaded < top + span:
            _load(x, ring[loaded % span], sources[loaded], columns, window)
            loaded += 1
        for m in range(count):
            for t in range(taps[m]):
                slots[t] = (top + rows[m, t] * window.dilation) % span
            # One place that sums, in a loop: it is large, and would be compiled once a place.
            lines, target, places = ring, folded[0] if separable else sums[m], slots
            apart_by, factors, count_of = shifts[m], weights[m], taps[m]
            reach, start = length if separable else summed, none if separable else bias
            for stage in range(2 if separable else 1):
                if stage == 1:
                    lines, target, places = folded, sums[m], zeros
                    apart_by, factors, count_of = across, horizontal[m, 0], width
                    reach, start = summed, bias
                _combine(target, lines, places, apart_by, factors, count_of, reach, start)
        _store(sums, y[o], summed, window, finish)


@device
def _list_taps(
    kernel: Array, apart: int, rows: Array, shifts: Array, weights: Array, window: RowWindow
) -> int:
    """Write down where each tap stands, and its weight; return how many there are."""
    count = 0
    for k in range(kernel.shape[0]):
        for j in range(kernel.shape[1]):
            if kernel[k, j] != 0 or not window.sparse:
                rows[count], shifts[count], weights[count] = k, j * apart, kernel[k, j]
                count += 1
    return count


@device
def _combine(
    row: Array, lines: Array, slots: Array, shifts: Array, weights: Array, count: int, length: int,
    bias: float,
) -> None:  # fmt: skip
    """Sum shifted lines, each times its weight, a piece at a time and some of them in one go."""
    for start in range(0, length, _PIECE):
        stop = min(start + _PIECE, length)
        # Slices, whose indices need no test for being negative: so that loops become vectors.
        total = row[start:stop]
        for i in range(total.size):
            total[i] = bias
        t = 0
        while t + 5 <= count:
            a = lines[slots[t]][start + shifts[t] : stop + shifts[t]]
            b = lines[slots[t + 1]][start + shifts[t + 1] : stop + shifts[t + 1]]
            c = lines[slots[t + 2]][start + shifts[t + 2] : stop + shifts[t + 2]]
            d = lines[slots[t + 3]][start + shifts[t + 3] : stop + shifts[t + 3]]
            e = lines[slots[t + 4]][start + shifts[t + 4] : stop + shifts[t + 4]]
            u, v, w = weights[t], weights[t + 1], weights[t + 2]
            x, y = weights[t + 3], weights[t + 4]
            for i in range(total.size):
                total[i] += u * a[i] + v * b[i] + w * c[i] + x * d[i] + y * e[i]
            t += 5
        while t + 2 <= count:
            a = lines[slots[t]][start + shifts[t] : stop + shifts[t]]
            b = lines[slots[t + 1]][start + shifts[t + 1] : stop + shifts[t + 1]]
            u, v = weights[t], weights[t + 1]
            for i in range(total.size):
                total[i] += u * a[i] + v * b[i]
            t += 2
        if t < count:
            a, u = lines[slots[t]][start + shifts[t] : stop + shifts[t]], weights[t]
            for i in range(total.size):
                total[i] += u * a[i]


@device
def _load(x: Array, line: Array, source: int, columns: Array, window: RowWindow) -> None:
    """Convert a row of the input, with its borders."""
    if source < 0:
        line[:] = 0
        return
    row = x[source]
    step = window.step
    count = (window.end - window.begin) * step
    inside = line[window.begin * step : window.end * step]
    given = row[:count]
    for i in range(inside.size):
        inside[i] = given[i]
    for part in range(2):
        begin, end = (0, window.begin) if part == 0 else (window.end, columns.size)
        for p in range(begin, end):
            for c in range(step):
                line[p * step + c] = row[columns[p] * step + c] if columns[p] >= 0 else 0


@device
def _store(sums: Array, out: Array, summed: int, window: RowWindow, finish: Finish) -> None:
    """Finish a row of sums, and write those of them that the stride wants."""
    first = sums[0]
    if finish.magnitude:
        if len(sums) == 1:
            for i in range(summed):
                first[i] = abs(first[i])
        else:
            for i in range(summed):
                first[i] *= first[i]
            for m in range(1, len(sums)):
                more = sums[m]
                for i in range(summed):
                    first[i] += more[i] * more[i]
            for i in range(summed):
                first[i] = np.sqrt(first[i])
    step, stride = window.step, window.stride
    if stride != 1:
        for p in range(out.size // step):
            for c in range(step):
                first[p * step + c] = first[p * stride * step + c]
    if not finish.rounded:
        for i in range(out.size):
            out[i] = first[i]
        return
    for i in range(out.size):
        value = np.rint(first[i])
        value = value if value > finish.least else finish.least
        out[i] = value if value < finish.most else finish.most
