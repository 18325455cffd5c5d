"""Folding patches back: the kernels of col2im. Each row of the result has one writer."""

from typing import Any

import numba
import numpy as np

from numbaconv.arrays import Array, Place
from numbaconv.indexing import (
    WindowAxes,
    end_inside,
    first_inside,
    patch_index,
    reached_from,
    unpack_window,
)
from numbaconv.jit import device, kernel
from numbaconv.runs import add_run, fill_run


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
    target: Array,
    first: int,
    step: int,
) -> None:
    """Sum all that patches hold of input row (c, d, h), running along the row."""
    taps = window.kernel[0] * window.kernel[1] * window.kernel[2]
    size, width, stride = window.size[2], window.output[2], window.stride[2]
    fill_run(target, first, step, size)
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
                shift = e * window.dilation[2] - window.low[2]
                o = first_inside(shift, stride, width)
                n = end_inside(shift, stride, size, width) - o
                add_run(
                    cols,
                    line + k * element_step + o * position_step,
                    position_step,
                    target,
                    first + (o * stride + shift) * step,
                    stride * step,
                    n,
                )


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
    target: Array,
    first: int,
    channel_step: int,
    step: int,
) -> None:
    """Sum all that patches hold of input row (all channels, d, h), running along the channels."""
    taps = window.kernel[0] * window.kernel[1] * window.kernel[2]
    size, width, stride = window.size[2], window.output[2], window.stride[2]
    for w in range(size):
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
                shift = e * window.dilation[2] - window.low[2]
                for o in range(
                    first_inside(shift, stride, width), end_inside(shift, stride, size, width)
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
def col2im_columns(
    cols: Array,
    cols_place: Place,
    packed: Place,
    batch: int,
    channels: int,
    channel_major: bool,
    out: Array,
    out_place: Place,
) -> None:
    """Fold patches that are columns."""
    depth, height = packed[0], packed[1]
    # A task is one row of the result, which no other task writes.
    for index in numba.prange(batch * channels * depth * height):
        task: Any = np.int64(index)
        h = task % height
        d = task // height % depth
        c = task // (height * depth) % channels
        n = task // (height * depth * channels)
        fold_row_by_position(
            cols,
            cols_place[0] + n * cols_place[1],
            cols_place[2],
            cols_place[5],
            unpack_window(packed),
            c,
            channels,
            channel_major,
            d,
            h,
            out,
            out_place[0]
            + n * out_place[1]
            + c * out_place[2]
            + d * out_place[3]
            + h * out_place[4],
            out_place[5],
        )


@kernel
def col2im_rows(
    cols: Array,
    cols_place: Place,
    packed: Place,
    batch: int,
    channels: int,
    channel_major: bool,
    out: Array,
    out_place: Place,
) -> None:
    """Fold patches that are rows."""
    depth, height = packed[0], packed[1]
    # A task is one row of the result with all its channels, which no other task writes.
    for index in numba.prange(batch * depth * height):
        task: Any = np.int64(index)
        h = task % height
        d = task // height % depth
        n = task // (height * depth)
        fold_row_by_channel(
            cols,
            cols_place[0] + n * cols_place[1],
            cols_place[5],
            cols_place[2],
            unpack_window(packed),
            channels,
            channel_major,
            d,
            h,
            out,
            out_place[0] + n * out_place[1] + d * out_place[3] + h * out_place[4],
            out_place[2],
            out_place[5],
        )
