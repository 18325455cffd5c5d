"""The stages of Winograd convolution for a block of tiles: find, transform, multiply, store."""

from typing import NamedTuple

from numbaconv.kernels.jit import device, unpacker
from numbaconv.native.link import call
from numbaconv.native.rows import NOTHING
from numbaconv.problem.arrays import Table


class Shape(NamedTuple):
    """What the loops need to know. Sizes in elements or tiles; strides and bytes in bytes.

    A *panel* is as many tiles as the register tile has columns; a *block* is the panels that one
    task transforms; a tile is m_tall by m_wide outputs. Tiles are numbered through all images.
    """

    lanes: int
    tile_rows: int  # output channels of the register tile
    panel: int  # tiles of a panel
    block: int  # panels of a block
    channels: int
    outputs: int
    out_blocks: int  # blocks of tile_rows output channels
    out_group: int  # blocks of output channels that are multiplied before any is transformed back
    cuts: int  # shares of the output channels
    channel_cuts: int  # shares of the channels, where blocks share their transformed input
    shared: int  # whether all workers transform a group of blocks before any multiplies
    group: int  # blocks of such a group
    n_tall: int
    n_wide: int
    m_tall: int
    m_wide: int
    across: int  # tiles along the last axis
    down: int  # tiles of an image along the first
    height: int
    width: int
    out_height: int
    out_width: int
    low_height: int
    low: int  # columns of the buffer before the first input column ...
    high: int  # ... and behind the last
    pitch: int  # bytes of a buffer row
    x_image: int
    x_channel: int
    x_row: int
    whole: int  # whether tiles fill the output exactly, so that they are stored in place
    out_pitch: int  # bytes of a row of what tiles are stored to
    xi_stride: int  # bytes between two elements of transformed tiles, of one panel
    panel_bytes: int  # of a transformed panel
    weight_xi: int  # bytes between two elements of transformed weights
    weight_block: int  # bytes of a block of them
    tiles_offset: int  # where in a worker's memory: transformed tiles,
    products_offset: int  # products,
    buffer_offset: int  # input rows
    out_offset: int  # and output rows
    worker_bytes: int


unpack = unpacker(Shape)


@device
def tiles_of(s: Shape, block: int, images: int) -> tuple[int, int]:
    """Return the first tile of a block and the end of its tiles."""
    t0 = block * s.block * s.panel
    return t0, min(t0 + s.block * s.panel, images * s.down * s.across)


@device
def find_rows(s: Shape, t0: int, t1: int, tables: Table, runs: Table) -> int:
    """Fill the tables of a block: its runs, input rows, and each tile's place in and out.

    A run is the tiles of one image: ``runs[r]`` is (image, first tile, end tile, first buffer row
    of the input, of the output). ``tables[0]`` holds the offsets of all input rows, ``tables[1]``
    and ``tables[2]`` the places of the tiles, the last repeated to whole vectors. Returns the
    number of runs; ``runs[-1]`` is (input rows, first column, columns): a block within one row of
    tiles needs a part of each input row only.
    """
    per_image = s.down * s.across
    count = rows = out_rows = first = 0
    columns = s.pitch // 4
    t = t0
    while t < t1:
        image = t // per_image
        a0, a1 = t - image * per_image, min(t1 - image * per_image, per_image)
        y0, y1 = a0 // s.across, (a1 - 1) // s.across
        runs[count, 0], runs[count, 1], runs[count, 2] = image, a0, a1
        runs[count, 3], runs[count, 4] = rows, out_rows
        if y0 == y1 and a1 - a0 == t1 - t0:
            first = a0 % s.across * s.m_wide
            columns = (a1 - a0 - 1) * s.m_wide + s.n_wide
        for a in range(a0, a1):
            y, column = a // s.across, a % s.across
            row = rows + (y - y0) * s.m_tall
            tables[1, t - t0 + a - a0] = row * s.pitch + (column * s.m_wide - first) * 4
            if s.whole:
                place = image * s.outputs * s.out_height + y * s.m_tall
            else:
                place = out_rows + (y - y0) * s.m_tall
            tables[2, t - t0 + a - a0] = place * s.out_pitch + column * s.m_wide * 4
        for row in range(y0 * s.m_tall, y1 * s.m_tall + s.n_tall):
            h = row - s.low_height
            inside = 0 <= h < s.height
            tables[0, rows] = image * s.x_image + h * s.x_row if inside else NOTHING
            rows += 1
        out_rows += (y1 - y0 + 1) * s.m_tall
        count += 1
        t += a1 - a0
    n = t1 - t0
    for i in range(n, (n + s.panel - 1) // s.panel * s.panel):
        tables[1, i] = tables[1, n - 1]
        tables[2, i] = tables[2, n - 1]
    runs[-1, 0], runs[-1, 1], runs[-1, 2] = rows, first, columns
    return count


@device
def transform(
    s: Shape,
    x: int,
    c0: int,
    c1: int,
    tiles: int,
    to: int,
    own: int,
    natives: Table,
    tables: Table,
    runs: Table,
    count: int,
) -> None:
    """Transform the tiles of a block, for some channels."""
    buffer = own + s.buffer_offset
    places = tables[1].ctypes.data
    first, columns = runs[-1, 1], runs[-1, 2]
    for c in range(c0, c1):
        call(
            natives[0],
            (
                buffer, s.pitch, x + c * s.x_channel + (first - s.low) * 4, tables[0].ctypes.data,
                runs[-1, 0], columns, s.low - first, s.high - first, 0,
            ),
        )  # fmt: skip
        for t in range(0, tiles, s.lanes):
            panel = to + t // s.panel * s.panel_bytes
            call(
                natives[1],
                (
                    buffer, places + 8 * t, s.pitch,
                    panel + (c * s.panel + t % s.panel) * 4, s.xi_stride,
                ),
            )  # fmt: skip


@device
def multiply(
    s: Shape,
    weight: int,
    bias: int,
    out: int,
    transformed: int,
    own: int,
    first: int,
    end: int,
    t0: int,
    t1: int,
    counter: Table,
    natives: Table,
    offsets: Table,
    tables: Table,
    runs: Table,
    count: int,
) -> None:
    """Multiply a block of tiles with some blocks of output channels, and transform the products."""
    products = own + s.products_offset
    n = s.n_tall * s.n_wide
    panels = (t1 - t0 + s.panel - 1) // s.panel
    product_xi = s.tile_rows * s.panel * 4
    product_panel = n * product_xi
    for o0 in range(first, end, s.out_group):
        o1 = min(o0 + s.out_group, end)
        for xi in range(n):
            for o in range(o0, o1):
                for p in range(panels):
                    call(
                        natives[2],
                        (
                            s.channels, weight + o * s.weight_block + xi * s.weight_xi,
                            transformed + p * s.panel_bytes + xi * s.xi_stride,
                            offsets.ctypes.data,
                            products + ((o - o0) * s.block + p) * product_panel + xi * product_xi,
                            s.panel * 4, natives[5], 0, s.tile_rows, s.panel,
                        ),
                    )  # fmt: skip
        for o in range(o0, o1):
            for m in range(min(s.tile_rows, s.outputs - o * s.tile_rows)):
                _transform_back(
                    s, bias, out, products + (o - o0) * s.block * product_panel + m * s.panel * 4,
                    product_panel, product_xi, own, o * s.tile_rows + m, t1 - t0, counter,
                    natives, offsets, tables, runs, count,
                )  # fmt: skip


@device
def _transform_back(
    s: Shape,
    bias: int,
    out: int,
    products: int,
    product_panel: int,
    product_xi: int,
    own: int,
    channel: int,
    tiles: int,
    counter: Table,
    natives: Table,
    offsets: Table,
    tables: Table,
    runs: Table,
    count: int,
) -> None:
    """Transform one output channel's products and store them."""
    to = out + channel * s.out_height * s.out_pitch if s.whole else own + s.out_offset
    for t in range(0, tiles, s.lanes):
        call(
            natives[3],
            (
                products + t // s.panel * product_panel + t % s.panel * 4, product_xi, to,
                tables[2].ctypes.data + 8 * t, s.out_pitch, bias + channel * 4,
                counter.ctypes.data + 8,
            ),
        )  # fmt: skip
    if not s.whole:
        _store(s, to, out, channel, natives, offsets, runs, count)


@device
def _store(
    s: Shape,
    source: int,
    out: int,
    channel: int,
    natives: Table,
    offsets: Table,
    runs: Table,
    count: int,
) -> None:
    """Copy a channel's output rows to where they belong, without what juts out of the image."""
    for r in range(count):
        image, a0, a1 = runs[r, 0], runs[r, 1], runs[r, 2]
        first = (image * s.outputs + channel) * s.out_height * s.out_width
        y0 = a0 // s.across
        a = a0
        while a < a1:
            y, x0 = a // s.across, a % s.across
            # A part of one row of tiles, or as many whole rows as there are.
            if x0 or a1 - a < s.across:
                x1, lines = min(s.across, x0 + a1 - a), 1
            else:
                x1, lines = s.across, (a1 - a) // s.across
            row = y * s.m_tall
            c0 = x0 * s.m_wide
            call(
                natives[4],
                (
                    out + (first + row * s.out_width + c0) * 4,
                    s.out_width * 4,
                    source + (runs[r, 4] + (y - y0) * s.m_tall) * s.out_pitch + c0 * 4,
                    natives[6], min(lines * s.m_tall, s.out_height - row),
                    min(x1 * s.m_wide, s.out_width) - c0, 0, s.out_width, 0,
                ),
            )  # fmt: skip
            a += (x1 - x0) * lines
