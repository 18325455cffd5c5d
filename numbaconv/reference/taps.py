"""Gathering a part of the column matrix for some positions, as tiles need it.

As columns, channel by channel: where taps share what they read, the input rows that a tile reads
are first staged in the workspace, with what the padding holds, so that each tap copies rows of one
length from there. As rows, position by position. (`numbaconv.reference.gather` is for the whole
matrix.)
"""

from typing import Any, NamedTuple

import numpy as np

from numbaconv.kernels.indexing import (
    WindowAxes,
    copy_run,
    end_inside,
    fill_run,
    first_inside,
    source_index,
    split_axes,
)
from numbaconv.kernels.jit import device, native_available
from numbaconv.native import emit, link
from numbaconv.native.moves import bits_of, mover
from numbaconv.problem.arrays import Array, Table
from numbaconv.problem.formulas import dilated_size
from numbaconv.problem.geometry import Window, three_axes


class Reading(NamedTuple):
    """How a worker reads an image.

    Attributes
    ----------
    stage : int
        Elements of the stage; 0 where taps share too little, and are read one by one.
    read, pick : int
        Addresses of a `numbaconv.native.moves.mover` from the image, and from the stage; or 0.
    """

    stage: int
    read: int
    pick: int

    @classmethod
    def of(
        cls, place: Table, window: Window, dtype: np.dtype[Any], positions: int
    ) -> "Reading":  # fmt: skip
        """Return how an image at `place` is read for tiles of so many positions."""
        stage = stage_elements(window, positions)
        bits = bits_of(dtype)
        if not emit.supports(bits) or native_available() is not None:
            return cls(stage, 0, 0)
        stride = window.stride[-1]
        read = mover(int(place[5]) * (1 if stage else stride), bits)
        return cls(stage, read, mover(stride, bits) if stage else 0)


def stage_elements(window: Window, positions: int) -> int:
    """Return the elements of the stage of a tile of whole rows, or of a part of one."""
    width = min(window.output[-1], positions)
    rows = -(-positions // width)
    _, *kernel = three_axes(window.kernel, 1)
    _, *stride = three_axes(window.stride, 1)
    _, *dilation = three_axes(window.dilation, 1)
    height, width = (
        (n - 1) * s + dilated_size(k, d)
        for n, s, k, d in zip((rows, width), stride, kernel, dilation, strict=True)
    )
    taps = kernel[0] * kernel[1]
    return height * width if taps > 1 and height * width <= taps * positions else 0


class Reader(NamedTuple):
    """A `Reading`, and where the image and the workspace begin in memory."""

    stage: int
    read: int
    pick: int
    x: int
    target: int
    size: int


@device
def reader_of(reading: Table, x: Array, target: Array) -> Reader:
    """Return a worker's reader."""
    return Reader(
        reading[0], reading[1], reading[2], x.ctypes.data, target.ctypes.data, x.itemsize
    )  # fmt: skip


class Rows(NamedTuple):
    """Rows to copy: of some elements each, from a padded coordinate on, at steps.

    Attributes
    ----------
    h0, h_step, rows : int
        The first padded row, from one to the next, and how many.
    w0, w_step, width : int
        The same along a row.
    """

    h0: int
    h_step: int
    rows: int
    w0: int
    w_step: int
    width: int


@device
def gather_elements(
    x: Array, start: int, channel: int, strides: tuple[int, int, int], window: WindowAxes, k0: int,
    k1: int, l0: int, l1: int, target: Array, stage: int, reader: Reader,
) -> None:  # fmt: skip
    """Write elements ``[k0, k1)`` of the patches at ``[l0, l1)`` as rows of a matrix.

    In the order channel, tap; of channels that lie `channel` apart, the first of them at `start`.
    The workspace has room for a stage from element `stage` on.
    """
    taps = window.kernel[0] * window.kernel[1] * window.kernel[2]
    plane_taps = window.kernel[1] * window.kernel[2]
    width, height = window.output[2], window.output[1]
    first = 0
    while first < l1 - l0:
        # Some rows of a plane, or a part of one.
        line, j0 = (l0 + first) // width, (l0 + first) % width
        plane, row = line // height, line % height
        left = l1 - l0 - first
        rows, n = 1, min(width - j0, left)
        if j0 == 0 and left >= width:
            rows = min(height - row, left // width)
        h0 = row * window.stride[1] - window.low[1]
        w0 = j0 * window.stride[2] - window.low[2]
        k = k0
        while k < k1:
            # The taps of one plane of a kernel.
            c, tap = k // taps, k % taps
            a, t0 = tap // plane_taps, tap % plane_taps
            t1 = min(plane_taps, t0 + k1 - k)
            d = plane * window.stride[0] + a * window.dilation[0] - window.low[0]
            d = source_index(d, window.size[0], window.mode)
            to = (k - k0) * (l1 - l0) + first
            if d < 0:
                for t in range(t1 - t0):
                    fill_run(target, to + t * (l1 - l0), 1, rows * n)
            else:
                _gather_taps(
                    x, start + c * channel + d * strides[0], strides, window, t0, t1,
                    Rows(h0, window.stride[1], rows, w0, window.stride[2], n), target, to, l1 - l0,
                    stage, reader,
                )  # fmt: skip
            k += t1 - t0
        first += rows * n


@device
def _gather_taps(
    x: Array, start: int, strides: tuple[int, int, int], window: WindowAxes, t0: int, t1: int,
    rows: Rows, target: Array, first: int, apart: int, stage: int, reader: Reader,
) -> None:  # fmt: skip
    """Write what some taps of a plane's kernel read of it, each `apart` from the one before."""
    kernel_width = window.kernel[2]
    b0, b1 = t0 // kernel_width, (t1 - 1) // kernel_width
    top = rows.h0 + b0 * window.dilation[1]
    height = (rows.rows - 1) * rows.h_step + (b1 - b0) * window.dilation[1] + 1
    width = (rows.width - 1) * rows.w_step + (kernel_width - 1) * window.dilation[2] + 1
    inside = (
        top >= 0 and rows.w0 >= 0
        and top + height <= window.size[1] and rows.w0 + width <= window.size[2]
    )  # fmt: skip
    source, pitch = 0, width
    if reader.stage:
        if inside and strides[2] == 1 and reader.pick != 0:
            source = reader.x + (start + top * strides[1] + rows.w0) * reader.size
            pitch = strides[1]
        else:
            source = reader.target + stage * reader.size
            whole = Rows(top, 1, height, rows.w0, 1, width)
            _copy_rows(x, start, strides, window, whole, target, stage, reader)
    b, e = b0, t0 - b0 * kernel_width
    for _ in range(t0, t1):
        down, along = (b - b0) * window.dilation[1], e * window.dilation[2]
        if not reader.stage:
            some = Rows(
                top + down, rows.h_step, rows.rows, rows.w0 + along, rows.w_step, rows.width
            )  # fmt: skip
            _copy_rows(x, start, strides, window, some, target, first, reader)
        elif reader.pick != 0:
            link.call(
                reader.pick,
                (
                    rows.rows, rows.width, source + (down * pitch + along) * reader.size,
                    rows.h_step * pitch * reader.size, rows.w_step,
                    reader.target + first * reader.size, rows.width * reader.size,
                ),
            )  # fmt: skip
        else:
            for r in range(rows.rows):
                at = stage + (down + r * rows.h_step) * width + along
                to = first + r * rows.width
                copy_run(target, at, rows.w_step, target, to, 1, rows.width)
        first += apart
        e += 1
        if e == kernel_width:
            e = 0
            b += 1


@device
def _copy_rows(
    x: Array, start: int, strides: tuple[int, int, int], window: WindowAxes, rows: Rows,
    target: Array, first: int, reader: Reader,
) -> None:  # fmt: skip
    """Copy rows of the plane at `start`, with what the padding holds, one after the other."""
    i0 = first_inside(rows.w0, rows.w_step, rows.width)
    i1 = max(i0, end_inside(rows.w0, rows.w_step, window.size[2], rows.width))
    r0 = first_inside(rows.h0, rows.h_step, rows.rows)
    r1 = max(r0, end_inside(rows.h0, rows.h_step, window.size[1], rows.rows))
    step, pitch = rows.w_step * strides[2], rows.h_step * strides[1]
    r = 0
    while r < rows.rows:
        # A row of the padding, or all those inside at once.
        count = r1 - r if r0 <= r < r1 else 1
        h = source_index(rows.h0 + r * rows.h_step, window.size[1], window.mode)
        to = first + r * rows.width
        r += count
        if h < 0:
            fill_run(target, to, 1, rows.width)
            continue
        at = start + h * strides[1]
        column = at + (rows.w0 + i0 * rows.w_step) * strides[2]
        if reader.read != 0:
            link.call(
                reader.read,
                (
                    count, i1 - i0, reader.x + column * reader.size, pitch * reader.size, step,
                    reader.target + (to + i0) * reader.size, rows.width * reader.size,
                ),
            )  # fmt: skip
        else:
            for i in range(count):
                copy_run(
                    x, column + i * pitch, step, target, to + i0 + i * rows.width, 1, i1 - i0
                )  # fmt: skip
        # What is read beyond the ends of rows.
        for edge in range(i0 + rows.width - i1):
            j = edge if edge < i0 else edge - i0 + i1
            w = source_index(rows.w0 + j * rows.w_step, window.size[2], window.mode)
            if w < 0:
                for i in range(count):
                    target[to + j + i * rows.width] = 0
            else:
                for i in range(count):
                    target[to + j + i * rows.width] = x[at + i * pitch + w * strides[2]]


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
