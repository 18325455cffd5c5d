"""Folding patches that are rows of channels: run by run, to the result itself."""

from typing import Any

import numba
import numpy as np

from numbaconv.kernels.indexing import (
    WindowAxes,
    end_inside,
    first_inside,
    reached_from,
    unpack_place,
    unpack_window,
)
from numbaconv.kernels.jit import device, kernel
from numbaconv.kernels.runs import fill_run
from numbaconv.native import link
from numbaconv.problem.arrays import Array, Table
from numbaconv.reference.blocks import share
from numbaconv.reference.fold_blocks import Blocks, Part, Tools, part_of, tools_of, unpack_blocks


@kernel
def col2im_runs(
    workers: int,
    begin: int,
    end: int,
    cols: Array,
    cols_place: Table,
    packed: Table,
    cut: Table,
    out: Array,
    out_place: Table,
    space: Array,
    functions: Table,
) -> None:
    """Fold patches that are rows, with all channels of a tap together: tasks ``[begin, end)``."""
    for index in numba.prange(workers):
        worker: Any = np.int64(index)
        window, blocks = unpack_window(packed), unpack_blocks(cut)
        source, target = unpack_place(cols_place), unpack_place(out_place)
        tools = tools_of(functions, cols, space[worker], out)
        first, last = share(begin, end, worker, workers)
        for task in range(first, last):
            part = part_of(task, blocks, window.size)
            for row in range((part.d1 - part.d0) * (part.h1 - part.h0)):
                d = part.d0 + row // (part.h1 - part.h0)
                h = part.h0 + row % (part.h1 - part.h0)
                to = target.base + part.image * target.image + d * target.depth
                to += h * target.row + part.w0 * blocks.channels
                fill_run(out, to, 1, (part.w1 - part.w0) * blocks.channels)
                start = source.base + part.image * source.image
                _add_runs(part, d, h, window, blocks, start, source.channel, to, tools)


@device
def _add_runs(
    part: Part, d: int, h: int, window: WindowAxes, blocks: Blocks, start: int, patch_step: int,
    to: int, tools: Tools,
) -> None:  # fmt: skip
    """Add all that patches hold of a piece of a result row, which is at `to`."""
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
            tap = (a * window.kernel[1] + b) * window.kernel[2]
            source = start + tap * blocks.channels
            source += (i * window.output[1] + j) * window.output[2] * patch_step
            if window.dilation[2] == 1:
                _add_dense(part, window, blocks, source, patch_step, to, tools)
                continue
            for e in range(window.kernel[2]):
                shift = e * window.dilation[2] - window.low[2] - part.w0
                o0 = first_inside(shift, window.stride[2], window.output[2])
                o1 = end_inside(shift, window.stride[2], part.w1 - part.w0, window.output[2])
                if o0 < o1:
                    _add_run(
                        blocks, o1 - o0, 1, source + e * blocks.channels + o0 * patch_step,
                        patch_step, to + (o0 * window.stride[2] + shift) * blocks.channels,
                        window.stride[2], tools,
                    )  # fmt: skip


@device
def _add_dense(
    part: Part, window: WindowAxes, blocks: Blocks, source: int, patch_step: int, to: int,
    tools: Tools,
) -> None:  # fmt: skip
    """Add the runs of all taps along the row at once, from the last position to the first.

    So each element gets its addends in the order of the taps.
    """
    stride, wide, width = window.stride[2], window.kernel[2], part.w1 - part.w0
    shift = -window.low[2] - part.w0
    lowest = first_inside(shift + wide - 1, stride, window.output[2])
    highest = end_inside(shift, stride, width, window.output[2])
    # Those whose taps all lie in the piece.
    whole0 = max(lowest, first_inside(shift, stride, window.output[2]))
    whole1 = min(highest, end_inside(shift + wide - 1, stride, width, window.output[2]))
    if whole1 <= whole0:
        whole0, whole1 = lowest, lowest
    o = highest - 1
    while o >= lowest:
        if o == whole1 - 1 and whole1 > whole0:
            at = to + (o * stride + shift) * blocks.channels
            _add_run(
                blocks, whole1 - whole0, wide, source + o * patch_step, -patch_step, at, -stride,
                tools,
            )  # fmt: skip
            o = whole0 - 1
            continue
        w = o * stride + shift
        e0, e1 = max(0, -w), min(wide, width - w)
        if e1 > e0:
            _add_run(
                blocks, 1, e1 - e0, source + o * patch_step + e0 * blocks.channels, 0,
                to + (w + e0) * blocks.channels, 0, tools,
            )  # fmt: skip
        o -= 1


@device
def _add_run(
    blocks: Blocks, count: int, taps: int, source: int, patch_step: int, to: int, positions: int,
    tools: Tools,
) -> None:  # fmt: skip
    """Add so many taps with all channels, for `count` patches, `positions` apart in the result."""
    link.call(
        tools.add,
        (
            count, taps * blocks.channels * blocks.parts, tools.cols + source * tools.size,
            patch_step * tools.size, tools.out + to * tools.size,
            positions * blocks.channels * tools.size,
        ),
    )  # fmt: skip
