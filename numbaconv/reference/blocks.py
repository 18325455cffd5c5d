"""How im2col is cut into tasks, and where a task finds what it needs."""

from typing import NamedTuple

from numbaconv.kernels.indexing import WindowAxes, source_index
from numbaconv.kernels.jit import device, unpacker
from numbaconv.native import link
from numbaconv.problem.arrays import Array, Table
from numbaconv.problem.geometry import Axes
from numbaconv.reference.lines import Image, Movers, Slots, Steps, packed_fields

#: What is written past the caches, in runs of so many elements or more, of which some are left out
#: where there are fewer; and positions that are then turned at once, or a multiple.
STREAMED = 1024
LEAST_STREAMED = 384
TURNED = 16


class Blocks(NamedTuple):
    """How im2col is cut into tasks, and each task into what fits its workspace.

    Attributes
    ----------
    images, channels : int
        Of the input.
    channel_block, depth_block, height_block : int
        Channels, and kernel positions along the first two axes, whose strips are in the workspace
        at once.
    rows, strip, piece : int
        Output rows of a task, those of a strip, and positions of each.
    down, across : Slots
        Of strips, and of lines.
    steps : Steps
        Of the workspace.
    channel_major, by_runs, shifted, direct : int
        Whether a patch begins with all taps of a channel; whether rows are copied run by run;
        whether a tap's output rows are the input's, one after the other, moved; whether windows
        share nothing and lie inside, so that columns are read where they are.
    compact : int
        Elements of a workspace in which columns are formed before they are turned, where output
        rows are too short to be turned alone; else 0.
    staged : int
        Elements of a workspace in which what is written together is formed, to go past the caches
        from there; 0 where it is written at once.
    turned : int
        Whether what lies together is turned rather than picked.
    together, cleared : int
        See `Movers`.
    """

    images: int
    channels: int
    channel_block: int
    depth_block: int
    height_block: int
    rows: int
    strip: int
    piece: int
    down: Slots
    across: Slots
    steps: Steps
    channel_major: int
    by_runs: int
    shifted: int
    direct: int
    compact: int
    staged: int
    turned: int
    together: int
    cleared: int

    @property
    def elements(self) -> int:
        """The elements of all strips of a stretch, where there are any."""
        if self.by_runs or self.shifted or self.direct:
            return 0
        strips = self.channel_block * self.depth_block
        return strips * self.down.entries * self.across.entries

    def tasks(self, output: Axes) -> int:
        """Return how many tasks there are."""
        rows, pieces = -(-output[0] * output[1] // self.rows), -(-output[2] // self.piece)
        return self.images * -(-self.channels // self.channel_block) * rows * pieces

    @property
    def packed(self) -> Table:
        """All fields, as kernels get them."""
        return packed_fields(self)


#: Of `Blocks.packed`.
unpack_blocks = unpacker(Blocks)


@device
def strip_elements(blocks: Blocks) -> int:
    """Return the elements of all strips of a stretch; columns that are turned follow them."""
    if blocks.by_runs or blocks.shifted or blocks.direct:
        return 0
    line = blocks.across.slots * blocks.across.pitch
    return blocks.channel_block * blocks.depth_block * blocks.down.slots * blocks.down.pitch * line


@device
def stage_at(blocks: Blocks) -> int:
    """Return where the stage begins in a workspace."""
    return strip_elements(blocks) + blocks.compact


class Stretch(NamedTuple):
    """What a task fills: some channels of an image, and the same piece of some output rows."""

    image: int
    c0: int
    c1: int
    row: int
    row_end: int
    w0: int
    n: int


@device
def stretch(task: int, blocks: Blocks, output: tuple[int, int, int]) -> Stretch:
    """Return what a task fills; those of the same channels follow one another."""
    rows = output[0] * output[1]
    pieces = (output[2] + blocks.piece - 1) // blocks.piece
    parts = (rows + blocks.rows - 1) // blocks.rows
    channel_blocks = (blocks.channels + blocks.channel_block - 1) // blocks.channel_block
    w0 = task % pieces * blocks.piece
    rest = task // pieces
    row = rest % parts * blocks.rows
    rest //= parts
    c0 = rest % channel_blocks * blocks.channel_block
    return Stretch(
        rest // channel_blocks, c0, min(c0 + blocks.channel_block, blocks.channels),
        row, min(row + blocks.rows, rows), w0, min(blocks.piece, output[2] - w0),
    )  # fmt: skip


@device
def image_at(place: Table, image: int) -> Image:
    """Return where an image of the input lies."""
    return Image(place[0] + image * place[1], place[2], place[3], place[4], place[5])


@device
def clear(lines: Array) -> None:
    """Write zeros to a whole workspace."""
    for i in range(lines.size):
        lines[i] = 0


@device
def plane(i: int, a: int, window: WindowAxes) -> int:
    """Return the plane of the input that kernel plane a reads for output plane i, or -1."""
    d = i * window.stride[0] + a * window.dilation[0] - window.low[0]
    return source_index(d, window.size[0], window.mode)


@device
def movers_of(functions: Table, x: Array, lines: Array, cols: Array, blocks: Blocks) -> Movers:
    """Return what a worker moves with; its workspace is cleared where that is asked for."""
    if blocks.cleared:
        clear(lines)
    return Movers(
        functions[0], functions[1], functions[2], functions[3], functions[4], x.ctypes.data,
        lines.ctypes.data, cols.ctypes.data, x.itemsize, blocks.together, blocks.cleared,
    )  # fmt: skip


@device
def share(begin: int, end: int, worker: int, workers: int) -> tuple[int, int]:
    """Return which of the tasks ``[begin, end)`` are a worker's: some that follow one another."""
    tasks = end - begin
    return begin + worker * tasks // workers, begin + (worker + 1) * tasks // workers


@device
def finish(movers: Movers) -> None:
    """Let other threads see what a worker has written past the caches."""
    if movers.stream != 0:
        link.fence()
