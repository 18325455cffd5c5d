"""Folding patches that are columns, or are made columns: tap by tap, to rows in slots."""

from typing import Any, NamedTuple

import numba
import numpy as np

from numbaconv.kernels.indexing import (
    Strides,
    WindowAxes,
    end_inside,
    end_reaching,
    fill_run,
    first_inside,
    first_reaching,
    patch_index,
    unpack_place,
    unpack_window,
)
from numbaconv.kernels.jit import device, kernel
from numbaconv.native import link
from numbaconv.problem.arrays import Array, Table
from numbaconv.reference.blocks import share
from numbaconv.reference.fold_blocks import Blocks, Part, Tools, part_of, tools_of, unpack_blocks

# Patches that are turned at once.
_PATCHES = 256


@kernel
def col2im_strips(
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
    """Fold patches that are columns, or are turned: tasks ``[begin, end)``."""
    for index in numba.prange(workers):
        worker: Any = np.int64(index)
        window, blocks = unpack_window(packed), unpack_blocks(cut)
        source, target = unpack_place(cols_place), unpack_place(out_place)
        sums = space[worker]
        tools = tools_of(functions, cols, space[worker], out)
        first, last = share(begin, end, worker, workers)
        for task in range(first, last):
            part = part_of(task, blocks, window.size)
            plane = blocks.rows * blocks.slots.slots * blocks.slots.pitch
            fill_run(sums, 0, 1, (part.c1 - part.c0) * blocks.planes * plane)
            start = source.base + part.image * source.image
            # From the last plane of patches to the first, so that each element gets its addends in
            # the order of the taps.
            low, reach = window.low[0], (window.kernel[0] - 1) * window.dilation[0]
            first_plane = first_reaching(
                part.d0, low, window.kernel[0], window.stride[0], window.dilation[0]
            )
            i = end_reaching(part.d1 - 1, low, window.stride[0], window.output[0]) - 1
            while i >= first_plane:
                if blocks.turned:
                    _turn_patches(part, window, blocks, i, start, source.channel, tools)
                for d in range(part.d0, part.d1):
                    tap = d + low - i * window.stride[0]
                    if 0 <= tap <= reach and tap % window.dilation[0] == 0:
                        _add_plane(
                            part, window, blocks, tap // window.dilation[0], i, start,
                            source.channel, (d - part.d0) * plane, tools,
                        )  # fmt: skip
                i -= 1
            for d in range(part.d0, part.d1):
                _write_out(part, d, window, blocks, out, target, tools)


class Reached(NamedTuple):
    """The positions of a plane of patches that reach a part."""

    j0: int
    j1: int
    o0: int
    o1: int


@device
def _reached(part: Part, window: WindowAxes) -> Reached:
    """Return which positions of a plane reach a part."""
    return Reached(
        first_reaching(
            part.h0, window.low[1], window.kernel[1], window.stride[1], window.dilation[1]
        ),
        end_reaching(part.h1 - 1, window.low[1], window.stride[1], window.output[1]),
        first_reaching(
            part.w0, window.low[2], window.kernel[2], window.stride[2], window.dilation[2]
        ),
        end_reaching(part.w1 - 1, window.low[2], window.stride[2], window.output[2]),
    )  # fmt: skip


@device
def _columns_at(blocks: Blocks, tools: Tools) -> int:
    """Return the address of the columns that a task turns."""
    plane = blocks.rows * blocks.slots.slots * blocks.slots.pitch
    return tools.sums + blocks.channel_block * blocks.planes * plane * tools.size


@device
def _turn_patches(
    part: Part, window: WindowAxes, blocks: Blocks, i: int, start: int, patch_step: int,
    tools: Tools,
) -> None:  # fmt: skip
    """Turn the patches of a plane that reach a part, with all taps of its channels."""
    at = _reached(part, window)
    if at.j1 <= at.j0 or at.o1 <= at.o0:
        return
    size, length = tools.size, at.o1 - at.o0
    taps = window.kernel[0] * window.kernel[1] * window.kernel[2]
    n = (at.j1 - at.j0) * length
    k = part.c0 * taps if blocks.channel_major else 0
    whole = length == window.output[2]
    count = n if whole else length
    for j in range(at.j0, at.j0 + 1 if whole else at.j1):
        position = (i * window.output[1] + j) * window.output[2] + at.o0
        for l0 in range(0, count, _PATCHES):
            m = min(_PATCHES, count - l0)
            link.call(
                tools.turn_patches,
                (
                    m, m, (part.c1 - part.c0) * taps,
                    tools.cols + (start + (position + l0) * patch_step + k) * size,
                    patch_step * size,
                    _columns_at(blocks, tools) + ((j - at.j0) * length + l0) * size, n * size,
                ),
            )  # fmt: skip


@device
def _add_plane(
    part: Part, window: WindowAxes, blocks: Blocks, a: int, i: int, start: int, step: int,
    first: int, tools: Tools,
) -> None:  # fmt: skip
    """Add what kernel plane a holds in plane i of patches to the sums of a plane, at `first`."""
    tap = a * window.kernel[1] * window.kernel[2]
    taps = window.kernel[0] * window.kernel[1] * window.kernel[2]
    if blocks.turned:
        at = _reached(part, window)
        n = (at.j1 - at.j0) * (at.o1 - at.o0)
        channels = part.c1 - part.c0
        k = tap if blocks.channel_major else tap * channels
        add_taps(
            part, window, blocks, _columns_at(blocks, tools) + k * n * tools.size,
            (taps if blocks.channel_major else 1) * n,
            (1 if blocks.channel_major else channels) * n, at.o1 - at.o0, at.j0, at.o0, first,
            tools,
        )  # fmt: skip
        return
    k = patch_index(part.c0, tap, blocks.channels, taps, blocks.channel_major != 0)
    plane = start + k * step + i * window.output[1] * window.output[2]
    add_taps(
        part, window, blocks, tools.cols + plane * tools.size,
        (taps if blocks.channel_major else 1) * step,
        (1 if blocks.channel_major else blocks.channels) * step, window.output[2], 0, 0, first,
        tools,
    )  # fmt: skip


@device
def add_taps(
    part: Part, window: WindowAxes, blocks: Blocks, base: int, channel_step: int, tap_step: int,
    row_step: int, j_base: int, o_base: int, first: int, tools: Tools,
) -> None:  # fmt: skip
    """Add what the taps of one kernel plane hold of a part to sums, those at `first`.

    From columns at an address, where the positions from (j_base, o_base) on of one plane are.
    """
    slots, size = blocks.slots, tools.size
    line = slots.slots * slots.pitch
    apart = blocks.planes * blocks.rows * line
    for b in range(window.kernel[1]):
        shift = b * window.dilation[1] - window.low[1] - part.h0
        j0 = first_inside(shift, window.stride[1], window.output[1])
        j1 = end_inside(shift, window.stride[1], part.h1 - part.h0, window.output[1])
        if j1 <= j0:
            continue
        row = j0 * window.stride[1] + shift
        for e in range(window.kernel[2]):
            along = e * window.dilation[2] - window.low[2] - part.w0
            o0 = first_inside(along, window.stride[2], window.output[2])
            o1 = end_inside(along, window.stride[2], part.w1 - part.w0, window.output[2])
            if o1 <= o0:
                continue
            slot = e % slots.slots
            entry = o0 + e // slots.slots * slots.shift - slot_start(part, window, slot)
            source = (b * window.kernel[2] + e) * tap_step + (j0 - j_base) * row_step + o0 - o_base
            to = first + row * line + slot * slots.pitch + entry
            for c in range(part.c1 - part.c0):
                link.call(
                    tools.add,
                    (
                        j1 - j0, (o1 - o0) * blocks.parts,
                        base + (source + c * channel_step) * size, row_step * size,
                        tools.sums + (to + c * apart) * size, window.stride[1] * line * size,
                    ),
                )  # fmt: skip


@device
def slot_start(part: Part, window: WindowAxes, slot: int) -> int:
    """Return the first output, as if there were any, that a slot's tap reads in a part."""
    reached = slot * window.dilation[2] - window.low[2] - part.w0
    return -(reached // window.stride[2])


@device
def _write_out(
    part: Part, d: int, window: WindowAxes, blocks: Blocks, out: Array, target: Strides,
    tools: Tools,
) -> None:  # fmt: skip
    """Write the sums of one plane of a part to the result."""
    slots, size, stride = blocks.slots, tools.size, window.stride[2]
    line = slots.slots * slots.pitch
    apart = blocks.planes * blocks.rows * line
    sums = tools.sums + (d - part.d0) * blocks.rows * line * size
    rows, channels, width = part.h1 - part.h0, part.c1 - part.c0, part.w1 - part.w0
    start = target.base + part.image * target.image + part.c0 * target.channel
    start += d * target.depth + part.h0 * target.row + part.w0 * target.column
    if slots.slots < stride:
        # Some positions no tap reads.
        for c in range(channels):
            for r in range(rows):
                to = start + c * target.channel + r * target.row
                fill_run(out, to, target.column, width)
    step = stride * target.column
    together = tools.turn_slots != 0 and width % stride == 0
    together = together and (window.low[2] + part.w0) % stride == 0
    if together:
        # The slots of a position lie together in the result.
        q = slot_start(part, window, 0)
        at = start + q * stride - window.low[2] - part.w0
        for c in range(channels):
            for r in range(rows):
                to = at + c * target.channel + r * target.row
                link.call(
                    tools.turn_slots,
                    (
                        stride, stride, width // stride, sums + (c * apart + r * line) * size,
                        slots.pitch * size, tools.out + to * size, stride * size,
                    ),
                )  # fmt: skip
        return
    for slot in range(slots.slots):
        q = slot_start(part, window, slot)
        w = q * stride + slot * window.dilation[2] - window.low[2] - part.w0
        n = (width - w + stride - 1) // stride
        if n <= 0:
            continue
        to = start + w * target.column
        if tools.turn != 0:
            for r in range(rows):
                link.call(
                    tools.turn,
                    (
                        channels, channels, n, sums + (r * line + slot * slots.pitch) * size,
                        apart * size, tools.out + (to + r * target.row) * size, step * size,
                    ),
                )  # fmt: skip
            continue
        for c in range(channels):
            link.call(
                tools.write,
                (
                    rows, n, sums + (c * apart + slot * slots.pitch) * size, line * size, step,
                    tools.out + (to + c * target.channel) * size, target.row * size,
                ),
            )  # fmt: skip
