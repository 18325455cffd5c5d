"""The loops of direct convolution, in addresses and bytes: one machine code for all dtypes."""

from typing import NamedTuple

from numbaconv.kernels.jit import device, unpacker
from numbaconv.native.link import call, copy_bytes, fetch_add
from numbaconv.native.rows import NOTHING
from numbaconv.problem.arrays import Table
from numbaconv.teams.jobs import fork_join, fork_tasks, team_kernel, team_part

#: More vectors, or rows, than this are in no tile.
MOST_VECTORS = 8
MOST_ROWS = 28


class Shape(NamedTuple):
    """What the loops need to know, all int64; sizes in elements, strides and bytes in bytes.

    A *chunk* is some output positions of one image, group and output depth; a *cut* is a share of
    its output channels; a *run* is positions whose reads are contiguous for every tap.
    """

    size: int  # bytes of an element
    lanes: int  # elements of a vector
    tile_rows: int
    tile_vectors: int
    panel: int  # bytes of a panel of packed weights
    channels: int  # of a group
    channel_block: int  # channels that are loaded at once
    outputs: int  # of a group
    groups: int
    taps: int
    depths: int  # output positions along the first axis
    positions: int  # of one depth
    width: int  # output positions along the last axis
    chunk: int  # output positions of a chunk
    cuts: int
    flat: int  # whether a chunk is one run; else each output row is one
    run_pitch: int  # bytes between the reads of two runs
    in_place: int  # whether tiles read the input itself
    x_image: int
    x_channel: int
    x_depth: int
    x_row: int
    x_column: int
    in_depth: int
    in_height: int
    in_width: int
    stride_depth: int
    stride_height: int
    low_depth: int
    low_height: int
    spaces: int  # copies of a plane in the workspace: shifts or phases of its columns
    space_rows: int  # rows of each
    space_width: int  # elements of each row
    space_plane: int  # bytes of a channel in the workspace
    worker_bytes: int
    tile_offset: int  # where in a worker's memory a tile of channels last waits to be stored
    channels_last: int
    swapped: int  # whether tiles are pixels by channels
    tile_pixels: int  # the most pixels of such a tile
    out_image: int
    out_channel: int
    out_depth: int
    out_row: int
    out_column: int


unpack = unpacker(Shape)


@team_kernel
def convolve(
    team: int,
    workers: int,
    images: int,
    x: int,
    weight: int,
    bias: int,
    out: int,
    memory: int,
    counter: Table,
    packed: Table,
    tiles: Table,
    movers: Table,
    offsets: Table,
    row_list: Table,
    column_list: Table,
    row_table: Table,
) -> None:
    """Run all tasks; each worker fetches the next until none is left."""
    counter[0] = 0
    shared = (
        images, x, weight, bias, out, memory, counter, packed, tiles, movers, offsets, row_list,
        column_list, row_table,
    )  # fmt: skip
    fork_join(team, workers, _work, shared)


@team_part
def _work(
    worker: int,
    images: int,
    x: int,
    weight: int,
    bias: int,
    out: int,
    memory: int,
    counter: Table,
    packed: Table,
    tiles: Table,
    movers: Table,
    offsets: Table,
    row_list: Table,
    column_list: Table,
    row_table: Table,
) -> None:
    s = unpack(packed)
    own = memory + worker * s.worker_bytes
    chunks = (s.positions + s.chunk - 1) // s.chunk
    tasks = images * s.groups * s.depths * chunks * s.cuts
    blocks = (s.outputs + s.tile_rows - 1) // s.tile_rows
    share = (blocks + s.cuts - 1) // s.cuts
    loaded = -1
    while True:
        task = fetch_add(counter.ctypes.data)
        if task >= tasks:
            break
        cut = task % s.cuts
        rest = task // s.cuts
        p0 = rest % chunks * s.chunk
        p1 = min(p0 + s.chunk, s.positions)
        part = rest // chunks
        depth = part % s.depths
        group = part // s.depths % s.groups
        image = part // s.depths // s.groups
        for c0 in range(0, s.channels, s.channel_block):
            c1 = min(c0 + s.channel_block, s.channels)
            source = x + image * s.x_image + (group * s.channels + c0) * s.x_channel
            if s.in_place:
                row = p0 // s.width
                reads = source + depth * s.stride_depth * s.x_depth
                reads += row * s.stride_height * s.x_row + (p0 - row * s.width) * s.x_column
            else:
                key = rest * s.channels + c0
                if key != loaded:
                    _load(
                        s, source, c1 - c0, own, depth, p0 // s.width, movers,
                        row_list, column_list, row_table[worker],
                    )  # fmt: skip
                    loaded = key
                reads = own
            for block in range(cut * share, min(cut * share + share, blocks)):
                panel = weight + (group * blocks + block) * s.panel
                first = group * s.outputs + block * s.tile_rows
                _multiply(
                    s, (c1 - c0) * s.taps, panel + c0 * s.taps * s.tile_rows * s.size,
                    bias + (group * blocks + block) * s.tile_rows * s.size,
                    min(s.tile_rows, s.outputs - block * s.tile_rows), reads, c0 > 0,
                    image, depth, first, p0, p1, out, own + s.tile_offset, tiles, movers, offsets,
                )  # fmt: skip


@device
def _load(
    s: Shape,
    source: int,
    channels: int,
    to: int,
    depth: int,
    first_row: int,
    movers: Table,
    row_list: Table,
    column_list: Table,
    row_table: Table,
) -> None:
    """Copy what a chunk reads: for each channel its rows, as often as there are shifts."""
    # A shorter last chunk still fills all rows, with zeros where there is nothing.
    for r in range(s.space_rows):
        d = depth * s.stride_depth + row_list[0, r] - s.low_depth
        h = first_row * s.stride_height + row_list[1, r] - s.low_height
        inside = 0 <= d < s.in_depth and 0 <= h < s.in_height
        row_table[r] = d * s.x_depth + h * s.x_row if inside else NOTHING
    pitch = s.space_width * s.size
    for space in range(s.spaces):
        low, high, start = column_list[space, 0], column_list[space, 1], column_list[space, 2]
        begin = to + space * s.space_rows * pitch
        if not s.channels_last:
            for c in range(channels):
                call(
                    movers[0],
                    (
                        begin + c * s.space_plane, pitch, source + c * s.x_channel + start,
                        row_table.ctypes.data, s.space_rows, s.space_width, low, high,
                        column_list[space, 4:].ctypes.data,
                    ),
                )  # fmt: skip
            continue
        # Channels last: a row of pixels is a matrix, pixels by channels, to be transposed.
        for r in range(s.space_rows):
            at = begin + r * pitch
            row = row_table[r]
            if row == NOTHING:
                low_end, high_end = s.space_width, s.space_width
            else:
                low_end, high_end = low, high
                call(
                    movers[1],
                    (
                        high - low, high - low, channels,
                        source + row + start + low * column_list[space, 3], column_list[space, 3],
                        at + low * s.size, s.space_plane,
                    ),
                )  # fmt: skip
            _clear(at, low_end, s, channels, movers)
            _clear(at + high_end * s.size, s.space_width - high_end, s, channels, movers)


@device
def _clear(at: int, count: int, s: Shape, channels: int, movers: Table) -> None:
    """Write zeros to `count` elements of every channel."""
    if count > 0:
        call(movers[1], (0, count, channels, at, 0, at, s.space_plane))


@device
def _multiply(
    s: Shape,
    k: int,
    panel: int,
    bias: int,
    rows: int,
    reads: int,
    accumulate: bool,
    image: int,
    depth: int,
    first: int,
    p0: int,
    p1: int,
    out: int,
    waiting: int,
    tiles: Table,
    movers: Table,
    offsets: Table,
) -> None:
    """Compute one block of output channels at the positions of a chunk."""
    if s.swapped:
        _multiply_pixels(
            s, k, panel, bias, rows, reads, accumulate, image, depth, first, p0, p1, out, waiting,
            tiles, movers, offsets,
        )  # fmt: skip
    else:
        _multiply_channels(
            s, k, panel, bias, rows, reads, accumulate, image, depth, first, p0, p1, out, waiting,
            tiles, movers, offsets,
        )  # fmt: skip


@device
def _multiply_channels(
    s: Shape,
    k: int,
    panel: int,
    bias: int,
    rows: int,
    reads: int,
    accumulate: bool,
    image: int,
    depth: int,
    first: int,
    p0: int,
    p1: int,
    out: int,
    waiting: int,
    tiles: Table,
    movers: Table,
    offsets: Table,
) -> None:
    """Compute one block of output channels with tiles of channels by pixels."""
    table = offsets.ctypes.data
    step = s.tile_vectors * s.lanes
    run = p1 - p0 if s.flat else s.width
    line = _first_line(s, image, depth, first, p0, out)
    for r in range((p1 - p0) // run):
        for q in range(0, run, step):
            n = min(step, run - q)
            tile = tiles[0 if n == step else (n + s.lanes - 1) // s.lanes]
            b = reads + r * s.run_pitch + q * s.size
            c = line + r * s.out_row + q * s.out_column
            if not s.channels_last:
                call(tile, (k, panel, b, table, c, s.out_channel, bias, accumulate, rows, n))
                continue
            pitch = step * s.size
            if accumulate:
                call(movers[1], (n, n, rows, c, s.out_column, waiting, pitch))
            call(tile, (k, panel, b, table, waiting, pitch, bias, accumulate, rows, n))
            call(movers[1], (rows, rows, n, waiting, pitch, c, s.out_column))


@device
def _first_line(s: Shape, image: int, depth: int, first: int, p0: int, out: int) -> int:
    """Return where the results of output channel `first` at position `p0` of a depth go."""
    at = out + image * s.out_image + first * s.out_channel + depth * s.out_depth
    return at + (p0 * s.out_column if s.flat else p0 // s.width * s.out_row)


@device
def _multiply_pixels(
    s: Shape,
    k: int,
    panel: int,
    bias: int,
    rows: int,
    reads: int,
    accumulate: bool,
    image: int,
    depth: int,
    first: int,
    p0: int,
    p1: int,
    out: int,
    waiting: int,
    tiles: Table,
    movers: Table,
    offsets: Table,
) -> None:
    """Compute one block of output channels with tiles of pixels by channels.

    Pixels are cut evenly, so no lane is empty however few there are.
    """
    table = offsets.ctypes.data
    run = p1 - p0 if s.flat else s.width
    cuts = (run + s.tile_pixels - 1) // s.tile_pixels
    least = run // cuts
    larger = run - cuts * least
    line = _first_line(s, image, depth, first, p0, out)
    pitch = s.tile_vectors * s.lanes * s.size
    for r in range((p1 - p0) // run):
        q = 0
        for i in range(cuts):
            n = least + 1 if i < larger else least
            a = reads + r * s.run_pitch + q * s.size
            c = line + r * s.out_row + q * s.out_column
            if s.channels_last:
                call(
                    tiles[n], (k, a, panel, table, c, s.out_column, bias, accumulate, n, rows)
                )  # fmt: skip
            else:
                if accumulate:
                    call(movers[1], (rows, rows, n, c, s.out_channel, waiting, pitch))
                call(
                    tiles[n], (k, a, panel, table, waiting, pitch, bias, accumulate, n, rows)
                )  # fmt: skip
                call(movers[2], (n, n, rows, waiting, pitch, c, s.out_channel))
            q += n


@team_kernel
def lay_bias(
    team: int, workers: int, bias: int, to: int, groups: int, nbytes: int, group_bytes: int
) -> None:
    """Copy the `nbytes` of each group's bias to where the group begins in its padded form."""
    for group in range(groups):
        copy_bytes(to + group * group_bytes, bias + group * nbytes, nbytes)


@team_kernel
def pack(
    team: int, workers: int, weight: int, to: int, panels: int, blocks: int, rows: int,
    outputs: int, k: int, row_bytes: int, panel_bytes: int, size: int, transposer: int,
) -> None:  # fmt: skip
    """Lay ``(groups * outputs, k)`` weights out as panels: `rows` elements for each k."""
    shared = weight, to, blocks, rows, outputs, k, row_bytes, panel_bytes, size, transposer
    fork_tasks(team, workers, panels, _pack_panel, shared)


@team_part
def _pack_panel(
    panel: int, worker: int, weight: int, to: int, blocks: int, rows: int, outputs: int, k: int,
    row_bytes: int, panel_bytes: int, size: int, transposer: int,
) -> None:  # fmt: skip
    group = panel // blocks
    block = panel % blocks
    first = group * outputs + block * rows
    call(
        transposer,
        (
            min(rows, outputs - block * rows), rows, k, weight + first * row_bytes, row_bytes,
            to + panel * panel_bytes, rows * size,
        ),
    )  # fmt: skip


@team_kernel
def pack_columns(
    team: int, workers: int, weight: int, to: int, panels: int, blocks: int, rows: int,
    outputs: int, k: int, panel_bytes: int, size: int, copier: int, table: Table,
) -> None:  # fmt: skip
    """Lay ``(k, groups * outputs)`` weights, whose rows begin at `table`, out as panels."""
    shared = weight, to, blocks, rows, outputs, k, panel_bytes, size, copier, table
    fork_tasks(team, workers, panels, _pack_columns_panel, shared)


@team_part
def _pack_columns_panel(
    panel: int, worker: int, weight: int, to: int, blocks: int, rows: int, outputs: int, k: int,
    panel_bytes: int, size: int, copier: int, table: Table,
) -> None:  # fmt: skip
    group = panel // blocks
    block = panel % blocks
    first = group * outputs + block * rows
    call(
        copier,
        (
            to + panel * panel_bytes, rows * size, weight + first * size, table.ctypes.data, k,
            rows, 0, min(rows, outputs - block * rows), 0,
        ),
    )  # fmt: skip
