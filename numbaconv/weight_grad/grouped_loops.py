"""The loops of `numbaconv.weight_grad.grouped`, in addresses and bytes."""

from typing import NamedTuple

from numbaconv.kernels.jit import device
from numbaconv.native.link import call, fetch_add
from numbaconv.native.rows import NOTHING
from numbaconv.problem.arrays import Table
from numbaconv.teams.jobs import fork_join, team_kernel, team_part


class Shape(NamedTuple):
    """What the loops need to know, all int64; distances in bytes."""

    size: int  # of an element
    vector: int
    groups: int
    channels: int  # of a group
    outputs: int  # of a group
    ones: int  # that are summed at a time
    depths: int
    rows: int
    width: int
    chunk: int  # rows of the result that are taken at a time
    kernel_depth: int
    taps: int  # of a plane of the kernel
    kernel_width: int
    parts: int  # in which these are summed
    stride_depth: int
    stride_height: int
    dilation_depth: int
    low_depth: int
    low_height: int
    in_depth: int
    in_height: int
    x_image: int
    x_channel: int
    x_depth: int
    x_row: int
    g_image: int
    g_channel: int
    g_depth: int
    space: int  # of the copies of a kernel column
    worker_bytes: int


@device
def _unpack(p: Table) -> Shape:
    """Return the fields from an array of them."""
    return Shape(
        p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[9], p[10], p[11], p[12], p[13],
        p[14], p[15], p[16], p[17], p[18], p[19], p[20], p[21], p[22], p[23], p[24], p[25], p[26],
        p[27], p[28], p[29],
    )  # fmt: skip


@team_kernel
def accumulate(
    team: int, workers: int, x: int, grad: int, sums: int, memory: int, images: int,
    counter: Table, packed: Table, copier: int, parts: Table, heights: Table, columns: Table,
    places: Table, row_table: Table,
) -> None:  # fmt: skip
    """Add the products of some images to the sums ``(output, channel, tap, lane)``."""
    counter[0] = 0
    shared = (
        x, grad, sums, memory, images, counter, packed, copier, parts, heights, columns, places,
        row_table,
    )  # fmt: skip
    fork_join(team, workers, _work, shared)


@team_part
def _work(
    worker: int, x: int, grad: int, sums: int, memory: int, images: int, counter: Table,
    packed: Table, copier: int, parts: Table, heights: Table, columns: Table, places: Table,
    row_table: Table,
) -> None:  # fmt: skip
    s = _unpack(packed)
    own = memory + worker * s.worker_bytes
    rows = row_table[worker]
    filter_bytes = s.kernel_depth * s.taps * s.vector
    while True:
        group = fetch_add(counter.ctypes.data)
        if group >= s.groups:
            break
        for step in range(images * s.depths * s.kernel_depth * s.channels):
            c, rest = step % s.channels, step // s.channels
            a, rest = rest % s.kernel_depth, rest // s.kernel_depth
            depth, image = rest % s.depths, rest // s.depths
            d = depth * s.stride_depth + a * s.dilation_depth - s.low_depth
            if d < 0 or d >= s.in_depth:
                continue
            channel = group * s.channels + c
            plane = x + image * s.x_image + channel * s.x_channel + d * s.x_depth
            gradients = grad + image * s.g_image + depth * s.g_depth
            for row in range(0, s.rows, s.chunk):
                _copy(s, plane, own, row, copier, heights, columns, rows)
                count = min(s.chunk, s.rows - row) * s.width
                for first in range(0, s.outputs, s.ones):
                    o = group * s.outputs + first
                    ones = min(s.ones, s.outputs - first)
                    one = gradients + o * s.g_channel + row * s.width * s.size
                    total = sums + (o * s.channels + c) * filter_bytes + a * s.taps * s.vector
                    for part in range(s.parts):
                        tap = parts[part, 0]
                        call(
                            parts[part, ones],
                            (
                                count, one, s.g_channel, own, places[tap:].ctypes.data,
                                total + tap * s.vector, s.channels * filter_bytes,
                            ),
                        )  # fmt: skip


@device
def _copy(
    s: Shape, plane: int, to: int, first_row: int, copier: int, heights: Table, columns: Table,
    rows: Table,
) -> None:  # fmt: skip
    """Copy the rows that a chunk reads, once for each column of the kernel."""
    for r in range(len(heights)):
        h = first_row * s.stride_height + heights[r] - s.low_height
        rows[r] = h * s.x_row if 0 <= h < s.in_height else NOTHING
    for e in range(s.kernel_width):
        call(
            copier,
            (
                to + e * s.space, s.width * s.size, plane + columns[e, 2], rows.ctypes.data,
                len(heights), s.width, columns[e, 0], columns[e, 1], columns[e, 3:].ctypes.data,
            ),
        )  # fmt: skip
