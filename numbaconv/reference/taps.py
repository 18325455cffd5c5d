"""Gathering a part of a patch for some positions: tap by tap, or position by position.

What tiles are built with whose parts of a patch are no whole channels (see
`numbaconv.reference.gather` for those that are).
"""

from numbaconv.kernels.indexing import (
    WindowAxes,
    end_inside,
    first_inside,
    source_index,
    split_axes,
)
from numbaconv.kernels.jit import device
from numbaconv.kernels.runs import copy_run, fill_run
from numbaconv.problem.arrays import Array
from numbaconv.problem.formulas import ZEROS
from numbaconv.reference.columns import shifted_rows


@device
def gather_edge(
    x: Array,
    start: int,
    x_step: int,
    shift: int,
    window: WindowAxes,
    j0: int,
    j1: int,
    target: Array,
    first: int,
    step: int,
) -> None:
    """Write what a tap reads beyond the ends of a row."""
    for j in range(j0, j1):
        w = source_index(j * window.stride[2] + shift, window.size[2], window.mode)
        if w < 0:
            target[first + (j - j0) * step] = 0
        else:
            target[first + (j - j0) * step] = x[start + w * x_step]


@device
def gather_tap(
    x: Array,
    start: int,
    strides: tuple[int, int, int],
    window: WindowAxes,
    tap: int,
    l0: int,
    l1: int,
    target: Array,
    first: int,
    step: int,
) -> None:
    """Write what one tap reads of one channel (at `start`) at output positions ``[l0, l1)``."""
    a, b, e = split_axes(tap, window.kernel)
    width, height = window.output[2], window.output[1]
    stride = window.stride[2]
    shift = e * window.dilation[2] - window.low[2]
    inside = first_inside(shift, stride, width)
    inside_end = max(inside, end_inside(shift, stride, window.size[2], width))
    j0 = l0 % width
    row = l0 // width % height
    plane = l0 // width // height
    left = l1 - l0
    whole = step == 1 and _rows_are_shifted(strides, window)
    while left > 0:
        d = plane * window.stride[0] + a * window.dilation[0] - window.low[0]
        d = source_index(d, window.size[0], window.mode)
        rows = height - row if whole and j0 == 0 else 0
        rows = min(rows, left // width)
        if rows > 0 and d >= 0:
            # All of these rows in one copy, many times as fast as row by row.
            h = row + b * window.dilation[1] - window.low[1]
            shifted_rows(
                x, start + d * strides[0], shift, h, window.size[1], width, target, first, rows
            )
            done = rows * width
            row += rows
        else:
            j1 = min(width, j0 + left)
            h = row * window.stride[1] + b * window.dilation[1] - window.low[1]
            h = source_index(h, window.size[1], window.mode)
            if d < 0 or h < 0:
                fill_run(target, first, step, j1 - j0)
            else:
                source = start + d * strides[0] + h * strides[1]
                i0 = min(max(inside, j0), j1)
                i1 = min(max(inside_end, i0), j1)
                gather_edge(x, source, strides[2], shift, window, j0, i0, target, first, step)
                copy_run(
                    x,
                    source + (i0 * stride + shift) * strides[2],
                    stride * strides[2],
                    target,
                    first + (i0 - j0) * step,
                    step,
                    i1 - i0,
                )
                edge = first + (i1 - j0) * step
                gather_edge(x, source, strides[2], shift, window, i1, j1, target, edge, step)
            done = j1 - j0
            row += 1
        if row == height:
            row = 0
            plane += 1
        first += done * step
        left -= done
        j0 = 0


@device
def _rows_are_shifted(strides: tuple[int, int, int], window: WindowAxes) -> bool:
    """Return whether a tap's output rows are the input's, one after the other, shifted."""
    return (
        window.mode == ZEROS
        and window.stride[1] == 1
        and window.stride[2] == 1
        and window.output[2] == window.size[2]
        and strides[2] == 1
        and strides[1] == window.size[2]
    )


@device
def gather_position(
    x: Array,
    start: int,
    channel_stride: int,
    strides: tuple[int, int, int],
    window: WindowAxes,
    position: int,
    channels: int,
    k0: int,
    k1: int,
    target: Array,
    first: int,
) -> None:
    """Write elements ``[k0, k1)`` of one patch, in the order tap, channel."""
    i, j, k = split_axes(position, window.output)
    d0 = i * window.stride[0] - window.low[0]
    h0 = j * window.stride[1] - window.low[1]
    w0 = k * window.stride[2] - window.low[2]
    for tap in range(k0 // channels, (k1 - 1) // channels + 1):
        a, b, e = split_axes(tap, window.kernel)
        d = source_index(d0 + a * window.dilation[0], window.size[0], window.mode)
        h = source_index(h0 + b * window.dilation[1], window.size[1], window.mode)
        w = source_index(w0 + e * window.dilation[2], window.size[2], window.mode)
        c0 = max(k0 - tap * channels, 0)
        c1 = min(k1 - tap * channels, channels)
        to = first + tap * channels + c0 - k0
        if d < 0 or h < 0 or w < 0:
            fill_run(target, to, 1, c1 - c0)
        else:
            source = start + d * strides[0] + h * strides[1] + w * strides[2]
            copy_run(x, source + c0 * channel_stride, channel_stride, target, to, 1, c1 - c0)
