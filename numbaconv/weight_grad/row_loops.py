"""The loops of `numbaconv.weight_grad.rows`, in addresses and bytes."""

from typing import NamedTuple

from numbaconv.kernels.jit import device, unpacker
from numbaconv.native.link import call, fetch_add
from numbaconv.native.rows import NOTHING
from numbaconv.problem.arrays import Table
from numbaconv.teams.jobs import fork_join, fork_tasks, team_kernel, team_part

# Vectors whose lanes a task adds.
_ADDED = 1024


class Shape(NamedTuple):
    """What the loops need to know, all int64; distances in bytes."""

    size: int  # of an element
    vector: int
    groups: int
    channels: int  # of a group
    outputs: int  # of a group
    ones: int  # that are summed at a time
    cuts: int  # of the outputs of a group
    depths: int
    rows: int
    width: int
    chunk: int  # rows of the result that are taken at a time
    piece: int  # columns of these
    patch: int
    kernel_depth: int
    lines: int  # that a row of the input is copied to
    reach: int  # how much longer these are than rows of the result
    pitch: int  # elements from one to the next
    together: int  # pairs of a channel and a kernel depth whose copies are held at once
    flat: int  # whether rows of the result follow each other as those of copies do
    parts: int  # in which the elements of those are summed
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
    x_step: int  # between what neighbours read, where that is not in a table
    g_image: int
    g_channel: int
    g_depth: int
    space: int  # of the copies of rows as one of their lines
    most: int  # vectors that are added one after another
    worker_bytes: int


_unpack = unpacker(Shape)


@team_kernel
def accumulate(
    team: int, workers: int, x: int, grad: int, sums: int, slots: int, long: int, memory: int,
    images: int, counter: Table, packed: Table, natives: Table, parts: Table, heights: Table,
    columns: Table, places: Table, row_table: Table,
) -> None:  # fmt: skip
    """Add the products of some images to the sums ``(slot, output, element of a patch, lane)``.

    If sums are `long`, those of a slot are followed by two of their size, with what they have come
    to: see `numbaconv.kernels.long_sums`.
    """
    counter[0] = 0
    shared = (
        x, grad, sums, slots, long, memory, images, counter, packed, natives, parts, heights,
        columns, places, row_table,
    )  # fmt: skip
    fork_join(team, workers, _work, shared)


@team_part
def _work(
    worker: int, x: int, grad: int, sums: int, slots: int, long: int, memory: int, images: int,
    counter: Table, packed: Table, natives: Table, parts: Table, heights: Table, columns: Table,
    places: Table, row_table: Table,
) -> None:  # fmt: skip
    s = _unpack(packed)
    own = memory + worker * s.worker_bytes
    filter_bytes = s.patch * s.vector
    all_bytes = s.groups * s.outputs * filter_bytes
    units = s.channels * s.kernel_depth
    elements = s.patch // units
    down, across = (s.rows + s.chunk - 1) // s.chunk, (s.width + s.piece - 1) // s.piece
    while True:
        task = fetch_add(counter.ctypes.data)
        if task >= s.groups * s.cuts * slots:
            break
        slot, rest = task % slots, task // slots
        cut, group = rest % s.cuts, rest // s.cuts
        o0 = group * s.outputs + cut * s.outputs // s.cuts
        o1 = group * s.outputs + (cut + 1) * s.outputs // s.cuts
        base = sums + slot * all_bytes * (3 if long else 1)
        added = 0
        for chunk in range(slot, images * s.depths * down * across, slots):
            q0, rest = chunk % across * s.piece, chunk // across
            row, rest = rest % down * s.chunk, rest // down
            depth, image = rest % s.depths, rest // s.depths
            width, rows = min(s.piece, s.width - q0), min(s.chunk, s.rows - row)
            count = rows * width
            vectors = (count * s.size + s.vector - 1) // s.vector
            if not s.flat:
                vectors = rows * ((width * s.size + s.vector - 1) // s.vector)
            if long and added + vectors > s.most:
                _spill(base, all_bytes, o0 * filter_bytes, (o1 - o0) * s.patch, natives)
                added = 0
            added += vectors
            source = x + image * s.x_image + group * s.channels * s.x_channel + q0 * s.x_step
            gradients = grad + image * s.g_image + depth * s.g_depth
            gradients += (row * s.width + q0) * s.size
            for unit in range(0, units, s.together):
                _copy(s, source, own, unit, depth, row, q0, width, natives, heights, columns,
                      row_table[worker])  # fmt: skip
                for o in range(o0, o1, s.ones):
                    ones = min(s.ones, o1 - o)
                    for part in range(s.parts):
                        first = parts[part, 0]
                        to = base + o * filter_bytes + (unit * elements + first) * s.vector
                        call(
                            parts[part, ones],
                            (
                                1 if s.flat else rows, count if s.flat else width,
                                gradients + o * s.g_channel, s.width * s.size, s.g_channel, own,
                                s.pitch * s.size, places[first:].ctypes.data, to, filter_bytes,
                            ),
                        )  # fmt: skip
        if long:
            _spill(base, all_bytes, o0 * filter_bytes, (o1 - o0) * s.patch, natives)


@device
def _spill(base: int, step: int, first: int, vectors: int, natives: Table) -> None:
    """Add some sums to what they have come to, and let them begin at zero."""
    at = base + first
    call(natives[1], (vectors, at, at + step, at + 2 * step))


@device
def _copy(
    s: Shape, source: int, to: int, first: int, depth: int, row: int, q0: int, width: int,
    natives: Table, heights: Table, columns: Table, table: Table,
) -> None:  # fmt: skip
    """Copy the rows that a chunk reads, of some channels and depths, to each of their lines."""
    for unit in range(s.together):
        c, a = (first + unit) // s.kernel_depth, (first + unit) % s.kernel_depth
        d = depth * s.stride_depth + a * s.dilation_depth - s.low_depth
        for r in range(len(heights)):
            h = row * s.stride_height + heights[r] - s.low_height
            inside = 0 <= d < s.in_depth and 0 <= h < s.in_height
            table[r] = d * s.x_depth + h * s.x_row if inside else NOTHING
        for line in range(s.lines):
            call(
                natives[0],
                (
                    to + (unit * s.lines + line) * s.space, s.pitch * s.size,
                    source + c * s.x_channel + columns[line, 2], table.ctypes.data, len(heights),
                    width + s.reach, columns[line, 0] - q0, columns[line, 1] - q0,
                    columns[line, 3 + q0 :].ctypes.data,
                ),
            )  # fmt: skip


@team_kernel
def add_slots(
    team: int, workers: int, slots: int, sums: int, nbytes: int, size: int, adder: int
) -> None:
    """Add the sums of all slots to those of the first."""
    for slot in range(1, slots):
        call(adder, (1, nbytes // size, sums + slot * nbytes, 0, sums, 0))


@team_kernel
def add_lanes(
    team: int, workers: int, vectors: int, source: int, to: int, size: int, vector: int, adder: int
) -> None:
    """Write the sum of the lanes of each vector."""
    tasks = (vectors + _ADDED - 1) // _ADDED
    fork_tasks(team, workers, tasks, _add_lanes, (vectors, source, to, size, vector, adder))


@team_part
def _add_lanes(
    task: int, worker: int, vectors: int, source: int, to: int, size: int, vector: int, adder: int
) -> None:
    first = task * _ADDED
    count = min(_ADDED, vectors - first)
    call(adder, (count, source + first * vector, to + first * size))
