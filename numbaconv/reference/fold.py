"""Folding patches back: the kernels of col2im. Each position of the result has one writer."""

from typing import Any

import numba
import numpy as np

from numbaconv.kernels.indexing import (
    WindowAxes,
    add_run,
    copy_run,
    end_inside,
    fill_run,
    first_inside,
    patch_index,
    reached_from,
    unpack_place,
    unpack_window,
)
from numbaconv.kernels.jit import device, kernel
from numbaconv.kernels.long_sums import whole_sums
from numbaconv.problem.arrays import Array, Table

#: Positions of a row whose long sums are formed at once, in a workspace of twice as many.
SEGMENT = 512


@device
def fold_row_by_position(
    cols: Array,
    start: int,
    element_step: int,
    position_step: int,
    window: WindowAxes,
    c: int,
    channels: int,
    channel_major: bool,
    d: int,
    h: int,
    w0: int,
    w1: int,
    target: Array,
    first: int,
    step: int,
    waiting: Array,
) -> None:
    """Sum all that patches hold of positions [w0, w1) of input row (c, d, h), along the row.

    Where there is anything in `waiting`, of `SEGMENT` positions twice, sums are long, and are
    formed there with compensation.
    """
    if waiting.size == 0:
        fill_run(target, first, step, w1 - w0)
        _fold_taps(
            cols, start, element_step, position_step, window, c, channels, channel_major, d, h, w0,
            w1, target, first, step, waiting,
        )  # fmt: skip
        return
    high, low = waiting[:SEGMENT], waiting[SEGMENT:]
    for w in range(w0, w1, SEGMENT):
        n = min(SEGMENT, w1 - w)
        fill_run(high, 0, 1, n)
        fill_run(low, 0, 1, n)
        _fold_taps(
            cols, start, element_step, position_step, window, c, channels, channel_major, d, h, w,
            w + n, high, 0, 1, low,
        )  # fmt: skip
        whole_sums(high, low, high[:n])
        copy_run(high, 0, 1, target, first + (w - w0) * step, step, n)


@device
def _fold_taps(
    cols: Array,
    start: int,
    element_step: int,
    position_step: int,
    window: WindowAxes,
    c: int,
    channels: int,
    channel_major: bool,
    d: int,
    h: int,
    w0: int,
    w1: int,
    target: Array,
    first: int,
    step: int,
    low: Array,
) -> None:
    """Add all taps to what is there; where there is `low`, with compensation."""
    taps = window.kernel[0] * window.kernel[1] * window.kernel[2]
    width, stride = window.output[2], window.stride[2]
    for a in range(window.kernel[0]):
        i = reached_from(
            d + window.low[0], a * window.dilation[0], window.stride[0], window.output[0]
        )
        if i < 0:
            continue
        for b in range(window.kernel[1]):
            j = reached_from(
                h + window.low[1], b * window.dilation[1], window.stride[1], window.output[1]
            )
            if j < 0:
                continue
            line = start + (i * window.output[1] + j) * width * position_step
            for e in range(window.kernel[2]):
                tap = (a * window.kernel[1] + b) * window.kernel[2] + e
                k = patch_index(c, tap, channels, taps, channel_major)
                shift = e * window.dilation[2] - window.low[2] - w0
                o = first_inside(shift, stride, width)
                n = end_inside(shift, stride, w1 - w0, width) - o
                source = line + k * element_step + o * position_step
                at = o * stride + shift
                if low.size == 0:
                    add_run(
                        cols, source, position_step, target, first + at * step, stride * step, n
                    )
                else:
                    _add_exactly(cols, source, position_step, target, low, at, stride, n)


@device
def _add_exactly(
    source: Array, start: int, stride: int, high: Array, low: Array, first: int, step: int, n: int
) -> None:
    """Add `n` elements of `source` to compensated sums."""
    for j in range(n):
        at, part = first + j * step, source[start + j * stride]
        total = high[at] + part
        taken = total - high[at]
        low[at] += (high[at] - (total - taken)) + (part - taken)
        high[at] = total


@device
def fold_row_by_channel(
    cols: Array,
    start: int,
    element_step: int,
    position_step: int,
    window: WindowAxes,
    channels: int,
    channel_major: bool,
    d: int,
    h: int,
    w0: int,
    w1: int,
    target: Array,
    first: int,
    channel_step: int,
    step: int,
) -> None:
    """Sum all that patches hold of positions [w0, w1) of a row, running along the channels."""
    taps = window.kernel[0] * window.kernel[1] * window.kernel[2]
    width, stride = window.output[2], window.stride[2]
    for w in range(w1 - w0):
        fill_run(target, first + w * step, channel_step, channels)
    between = (taps if channel_major else 1) * element_step
    for a in range(window.kernel[0]):
        i = reached_from(
            d + window.low[0], a * window.dilation[0], window.stride[0], window.output[0]
        )
        if i < 0:
            continue
        for b in range(window.kernel[1]):
            j = reached_from(
                h + window.low[1], b * window.dilation[1], window.stride[1], window.output[1]
            )
            if j < 0:
                continue
            line = start + (i * window.output[1] + j) * width * position_step
            for e in range(window.kernel[2]):
                tap = (a * window.kernel[1] + b) * window.kernel[2] + e
                k = patch_index(0, tap, channels, taps, channel_major)
                shift = e * window.dilation[2] - window.low[2] - w0
                for o in range(
                    first_inside(shift, stride, width), end_inside(shift, stride, w1 - w0, width)
                ):
                    add_run(
                        cols,
                        line + k * element_step + o * position_step,
                        between,
                        target,
                        first + (o * stride + shift) * step,
                        channel_step,
                        channels,
                    )


@kernel
def col2im_by_position(
    workers: int,
    begin: int,
    end: int,
    cols: Array,
    cols_place: Table,
    element_step: int,
    position_step: int,
    packed: Table,
    channels: int,
    channel_major: bool,
    piece: int,
    out: Array,
    out_place: Table,
    waiting: Array,
) -> None:
    """Fold patches, which are columns (or rows, whose sums are long); some of all tasks.

    A task is `piece` positions of a row of one channel. The steps are the distances between the
    elements of a patch, and between patches.
    """
    for index in numba.prange(workers):
        worker: Any = np.int64(index)
        window = unpack_window(packed)
        source, target = unpack_place(cols_place), unpack_place(out_place)
        depth, height, width = window.size
        pieces = (width + piece - 1) // piece
        first = begin + worker * (end - begin) // workers
        last = begin + (worker + 1) * (end - begin) // workers
        for task in range(first, last):
            w0 = task % pieces * piece
            row = task // pieces
            h = row % height
            d = row // height % depth
            c = row // (height * depth) % channels
            n = row // (height * depth * channels)
            to = target.base + n * target.image + c * target.channel + d * target.depth
            fold_row_by_position(
                cols,
                source.base + n * source.image,
                element_step,
                position_step,
                window,
                c,
                channels,
                channel_major,
                d,
                h,
                w0,
                min(w0 + piece, width),
                out,
                to + h * target.row + w0 * target.column,
                target.column,
                waiting[worker],
            )


@kernel
def col2im_by_channel(
    begin: int,
    end: int,
    cols: Array,
    cols_place: Table,
    packed: Table,
    channels: int,
    channel_major: bool,
    piece: int,
    out: Array,
    out_place: Table,
) -> None:
    """Fold patches that are rows; a task is `piece` positions of a row with all its channels."""
    for index in numba.prange(end - begin):
        task: Any = begin + np.int64(index)
        window = unpack_window(packed)
        source, target = unpack_place(cols_place), unpack_place(out_place)
        depth, height, width = window.size
        pieces = (width + piece - 1) // piece
        w0 = task % pieces * piece
        row = task // pieces
        h = row % height
        d = row // height % depth
        n = row // (height * depth)
        to = target.base + n * target.image + d * target.depth + h * target.row
        fold_row_by_channel(
            cols,
            source.base + n * source.image,
            source.column,
            source.channel,
            window,
            channels,
            channel_major,
            d,
            h,
            w0,
            min(w0 + piece, width),
            out,
            to + w0 * target.column,
            target.channel,
            target.column,
        )
