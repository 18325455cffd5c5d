"""Gathering patches into a matrix: the kernels of im2col, and the helpers that conv's tiles share.

A patch matrix is addressed as flat memory with two steps: from one patch element to the next and
from one output position to the next.
"""

from typing import Any

import numba
import numpy as np

from numbaconv.kernels.indexing import (
    WindowAxes,
    end_inside,
    first_inside,
    patch_index,
    source_index,
    spatial_strides,
    split_axes,
    unpack_window,
)
from numbaconv.kernels.jit import device, kernel
from numbaconv.kernels.runs import copy_run, fill_run
from numbaconv.problem.arrays import Array, Place
from numbaconv.problem.formulas import ZEROS


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
            gather_shifted_rows(
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
def gather_shifted_rows(
    x: Array,
    start: int,
    shift: int,
    h0: int,
    height: int,
    width: int,
    target: Array,
    first: int,
    rows: int,
) -> None:
    """Write rows ``h0, h0 + 1, ...`` of a plane, each shifted, with zeros beyond the edges."""
    r0 = min(max(0, -h0), rows)
    r1 = max(r0, min(rows, height - h0))
    left = min(max(0, -shift), width)
    right = min(max(0, shift), width)
    if left == width or right == width:
        r1 = r0
    fill_run(target, first, 1, r0 * width)
    fill_run(target, first + r1 * width, 1, (rows - r1) * width)
    if r1 == r0:
        return
    # From the first to the last element inside; what runs across the ends of rows is wrong.
    n = (r1 - r0) * width - left - right
    copy_run(
        x, start + (h0 + r0) * width + left + shift, 1, target, first + r0 * width + left, 1, n
    )
    for r in range(r0, r1):
        fill_run(target, first + r * width, 1, left)
        fill_run(target, first + (r + 1) * width - right, 1, right)


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


@kernel
def im2col_columns(
    begin: int,
    end: int,
    x: Array,
    x_place: Place,
    packed: Place,
    batch: int,
    channels: int,
    channel_major: bool,
    block: int,
    cols: Array,
    cols_place: Place,
) -> None:
    """Write patches as columns; a task is `block` output positions of one channel.

    Of all tasks, those from `begin` to `end`.
    """
    positions = packed[6] * packed[7] * packed[8]
    taps = packed[3] * packed[4] * packed[5]
    blocks = (positions + block - 1) // block
    for index in numba.prange(end - begin):
        task: Any = begin + np.int64(index)
        window = unpack_window(packed)
        n = task // (channels * blocks)
        c = task // blocks % channels
        l0 = task % blocks * block
        source = x_place[0] + n * x_place[1] + c * x_place[2]
        target = cols_place[0] + n * cols_place[1] + l0 * cols_place[5]
        for tap in range(taps):
            gather_tap(
                x,
                source,
                spatial_strides(x_place),
                window,
                tap,
                l0,
                min(l0 + block, positions),
                cols,
                target + patch_index(c, tap, channels, taps, channel_major) * cols_place[2],
                cols_place[5],
            )


@kernel
def im2col_rows(
    begin: int,
    end: int,
    x: Array,
    x_place: Place,
    packed: Place,
    batch: int,
    channels: int,
    channel_major: bool,
    block: int,
    cols: Array,
    cols_place: Place,
) -> None:
    """Write patches as rows; a task is `block` output positions of all channels."""
    positions = packed[6] * packed[7] * packed[8]
    taps = packed[3] * packed[4] * packed[5]
    blocks = (positions + block - 1) // block
    for index in numba.prange(end - begin):
        task: Any = begin + np.int64(index)
        window = unpack_window(packed)
        n = task // blocks
        l0 = task % blocks * block
        l1 = min(l0 + block, positions)
        source = x_place[0] + n * x_place[1]
        target = cols_place[0] + n * cols_place[1] + l0 * cols_place[2]
        if not channel_major and cols_place[5] == 1:
            for position in range(l0, l1):
                gather_position(
                    x,
                    source,
                    x_place[2],
                    spatial_strides(x_place),
                    window,
                    position,
                    channels,
                    0,
                    channels * taps,
                    cols,
                    target + (position - l0) * cols_place[2],
                )
        else:
            for c in range(channels):
                for tap in range(taps):
                    gather_tap(
                        x,
                        source + c * x_place[2],
                        spatial_strides(x_place),
                        window,
                        tap,
                        l0,
                        l1,
                        cols,
                        target + patch_index(c, tap, channels, taps, channel_major) * cols_place[5],
                        cols_place[2],
                    )
