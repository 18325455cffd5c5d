"""How a result of col2im is cut into tasks, and what a worker sums it with."""

import math
from typing import NamedTuple

from numbaconv.kernels.jit import device, unpacker
from numbaconv.problem.arrays import Array, Table
from numbaconv.problem.geometry import Axes
from numbaconv.reference.lines import Slots, packed_fields


class Blocks(NamedTuple):
    """How col2im is cut into tasks.

    Attributes
    ----------
    images, channels, channel_block : int
        Of the result.
    planes, rows, piece : int
        Planes of the result of a task, rows of each, and positions of each row.
    slots : Slots
        In which rows are summed.
    channel_major : int
        Whether a patch begins with all taps of a channel.
    turned : int
        Positions of the columns that a task turns at most; 0 where patches are columns.
    parts : int
        Numbers of an element: 2 of complex ones.
    """

    images: int
    channels: int
    channel_block: int
    planes: int
    rows: int
    piece: int
    slots: Slots
    channel_major: int
    turned: int
    parts: int

    def tasks(self, size: Axes) -> int:
        """Return how many tasks there are for a result of this size."""
        pieces = -(-size[2] // self.piece)
        blocks = -(-self.channels // self.channel_block)
        planes = -(-size[0] // self.planes)
        return self.images * blocks * planes * -(-size[1] // self.rows) * pieces

    def elements(self, kernel: Axes) -> int:
        """Return the elements of a task's workspace."""
        sums = self.channel_block * self.planes * self.rows * self.slots.entries
        return sums + self.channel_block * math.prod(kernel) * self.turned

    @property
    def packed(self) -> Table:
        """All fields, as kernels get them."""
        return packed_fields(self)


#: Of `Blocks.packed`.
unpack_blocks = unpacker(Blocks)


class Tools(NamedTuple):
    """Native functions and the memory that they work on, as addresses.

    Attributes
    ----------
    add : int
        A `numbaconv.native.moves.adder`.
    write : int
        A `mover` or `spreader` of the step between what a slot's neighbours are written to.
    turn : int
        A `numbaconv.native.transpose.transposer`, or 0 where channels are written one by one.
    turn_patches : int
        Another, of patches that are rows, or 0.
    turn_slots : int
        Another, where the slots of a position may lie together in the result, or 0.
    cols, sums, out : int
        Where the patch matrix, the workspace and the result begin.
    size : int
        Of an element.
    """

    add: int
    write: int
    turn: int
    turn_patches: int
    turn_slots: int
    cols: int
    sums: int
    out: int
    size: int


@device
def tools_of(functions: Table, cols: Array, sums: Array, out: Array) -> Tools:
    """Return what a worker works with."""
    return Tools(
        functions[0], functions[1], functions[2], functions[3], functions[4], cols.ctypes.data,
        sums.ctypes.data, out.ctypes.data, cols.itemsize,
    )  # fmt: skip


class Part(NamedTuple):
    """What a task sums: some channels of an image, planes of these, rows, and a piece of each."""

    image: int
    c0: int
    c1: int
    d0: int
    d1: int
    h0: int
    h1: int
    w0: int
    w1: int


@device
def part_of(task: int, blocks: Blocks, size: tuple[int, int, int]) -> Part:
    """Return what a task sums; those of the same channels follow one another."""
    pieces = (size[2] + blocks.piece - 1) // blocks.piece
    parts = (size[1] + blocks.rows - 1) // blocks.rows
    channel_blocks = (blocks.channels + blocks.channel_block - 1) // blocks.channel_block
    w0 = task % pieces * blocks.piece
    rest = task // pieces
    h0 = rest % parts * blocks.rows
    rest //= parts
    planes = (size[0] + blocks.planes - 1) // blocks.planes
    d0 = rest % planes * blocks.planes
    rest //= planes
    c0 = rest % channel_blocks * blocks.channel_block
    return Part(
        rest // channel_blocks, c0, min(c0 + blocks.channel_block, blocks.channels), d0,
        min(d0 + blocks.planes, size[0]), h0, min(h0 + blocks.rows, size[1]), w0,
        min(w0 + blocks.piece, size[2]),
    )  # fmt: skip
