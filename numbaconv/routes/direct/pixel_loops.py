"""The loops of direct convolution by tiles of pixels, in addresses and bytes (see `pixels`)."""

from typing import NamedTuple

from numbaconv.kernels.jit import device, unpacker
from numbaconv.native.link import call, fetch_add
from numbaconv.native.rows import NOTHING
from numbaconv.problem.arrays import Table
from numbaconv.teams.jobs import fork_join, team_kernel, team_part

#: Words of a tile in a list: where its first pixel is read, and written; the tiles of whole blocks
#: of output channels and of the last; where its runs are listed, how many, and how long.
TILE_WORDS = 7


class Shape(NamedTuple):
    """What the loops need to know, all int64; distances in bytes.

    A *chunk* is some output rows of one image and output depth; a *cut* is a share of its blocks of
    output channels; a *load* is the channels that lie in a worker's memory at once: all, or those
    of a group.
    """

    size: int  # of an element
    panel: int  # of a block's packed weights
    block: int  # output channels of a block
    blocks: int  # of a group
    outputs: int  # of a group
    loads: int
    load_groups: int  # groups of a load
    load_step: int  # between the inputs of two loads
    group_step: int  # between the inputs of two groups of a load
    depths: int
    rows: int  # output rows of a depth
    chunk: int
    width: int  # output positions of a row
    cuts: int
    in_place: int  # whether tiles read the input itself
    planes: int  # of a load, to be copied
    plane_step: int  # between planes in the input,
    space_plane: int  # and in a worker's memory
    space_rows: int
    space_width: int  # elements
    low: int  # elements of padding in front of a row
    high: int  # where its elements end
    stride_depth: int
    stride_height: int
    low_depth: int
    low_height: int
    in_depth: int
    in_height: int
    x_image: int
    x_depth: int
    x_row: int
    x_step: int  # between elements of a run
    weight_step: int
    pixel_step: int  # between pixels of a tile
    out_image: int
    out_channel: int
    out_depth: int
    out_row: int
    tile_step: int  # between pixels of a tile in the result, or in memory
    turned: int  # whether results go through memory, to be turned to rows of channels
    sums_offset: int  # where in a worker's memory that is
    worker_bytes: int
    ahead: int  # whether tiles fetch what the next one reads
    corner: int  # between the first tap of the first position and the input, in place


unpack = unpacker(Shape)


@team_kernel
def convolve(
    team: int, workers: int, images: int, x: int, weight: int, bias: int, out: int, memory: int,
    counter: Table, packed: Table, movers: Table, row_list: Table, chunks: Table, tiles: Table,
    runs: Table, row_table: Table,
) -> None:  # fmt: skip
    """Run all tasks; each worker fetches the next until none is left."""
    counter[0] = 0
    shared = (
        images, x, weight, bias, out, memory, counter, packed, movers, row_list, chunks, tiles,
        runs, row_table,
    )  # fmt: skip
    fork_join(team, workers, _work, shared)


@team_part
def _work(
    worker: int, images: int, x: int, weight: int, bias: int, out: int, memory: int,
    counter: Table, packed: Table, movers: Table, row_list: Table, chunks: Table, tiles: Table,
    runs: Table, row_table: Table,
) -> None:  # fmt: skip
    s = unpack(packed)
    own = memory + worker * s.worker_bytes
    count = (s.rows + s.chunk - 1) // s.chunk
    tasks = images * s.loads * s.depths * count * s.cuts
    blocks = s.load_groups * s.blocks
    share = (blocks + s.cuts - 1) // s.cuts
    loaded = -1
    while True:
        task = fetch_add(counter.ctypes.data)
        if task >= tasks:
            break
        cut = task % s.cuts
        rest = task // s.cuts
        chunk = rest % count
        depth = rest // count % s.depths
        load = rest // count // s.depths % s.loads
        image = rest // count // s.depths // s.loads
        row = chunk * s.chunk
        source = x + image * s.x_image + load * s.load_step
        if s.in_place:
            reads = source - s.corner + depth * s.stride_depth * s.x_depth
            reads += row * s.stride_height * s.x_row
        else:
            if loaded != rest:
                _load(s, source, own, depth, row, movers[0], row_list, row_table[worker])
                loaded = rest
            reads = own
        to = out + image * s.out_image + depth * s.out_depth + row * s.out_row
        for number in range(cut * share, min(cut * share + share, blocks)):
            group = load * s.load_groups + number // s.blocks
            block = number % s.blocks
            panel = group * s.blocks + block
            channels = min(s.block, s.outputs - block * s.block)
            target = to + (group * s.outputs + block * s.block) * s.out_channel
            _multiply(
                s, reads + number // s.blocks * s.group_step, weight + panel * s.panel,
                bias + panel * s.block * s.size, channels, own + s.sums_offset, target,
                chunks[depth, chunk, 0], chunks[depth, chunk, 1], tiles, runs.ctypes.data,
            )  # fmt: skip
            if s.turned:
                pixels = min(s.chunk, s.rows - row) * s.width
                call(
                    movers[1],
                    (
                        pixels, pixels, channels, own + s.sums_offset, s.block * s.size, target,
                        s.out_channel,
                    ),
                )  # fmt: skip


@device
def _load(
    s: Shape, source: int, to: int, depth: int, first_row: int, copier: int, row_list: Table,
    row_table: Table,
) -> None:  # fmt: skip
    """Copy the rows that a chunk reads, with zeros where there is padding."""
    for r in range(s.space_rows):
        d = depth * s.stride_depth + row_list[0, r] - s.low_depth
        h = first_row * s.stride_height + row_list[1, r] - s.low_height
        inside = 0 <= d < s.in_depth and 0 <= h < s.in_height
        row_table[r] = d * s.x_depth + h * s.x_row if inside else NOTHING
    for plane in range(s.planes):
        call(
            copier,
            (
                to + plane * s.space_plane, s.space_width * s.size,
                source + plane * s.plane_step - s.low * s.size, row_table.ctypes.data,
                s.space_rows, s.space_width, s.low, s.high, 0,
            ),
        )  # fmt: skip


@device
def _multiply(
    s: Shape, reads: int, panel: int, bias: int, channels: int, sums: int, target: int, first: int,
    count: int, tiles: Table, runs: int,
) -> None:  # fmt: skip
    """Compute one block of output channels at the pixels of a chunk."""
    to = sums if s.turned else target
    kind = 2 if 2 * channels > s.block else 3
    for i in range(first, first + count):
        call(
            tiles[i, kind],
            (
                tiles[i, 5], tiles[i, 6], reads + tiles[i, 0], s.x_step, s.pixel_step, panel,
                s.weight_step, runs + tiles[i, 4], to + tiles[i, 1], s.tile_step, bias, channels,
                s.ahead,
            ),
        )  # fmt: skip
