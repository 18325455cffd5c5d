"""How the tiled products are cut: a block of threads makes a tile, a thread some sums of it.

And what their long sums are added in: see `numbaconv.kernels.long_sums`.

V. Volkov, J. W. Demmel, "Benchmarking GPUs to tune dense linear algebra", SC 2008, section 5, has
the register blocking.
"""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba.cuda import types
from numba.cuda.extending import intrinsic

from numbaconv.cuda.launch import SIMULATED

#: Bytes of the widest access.
WIDTH = 16
#: The simulator knows no alignment.
ALIGNMENT = None if SIMULATED else WIDTH

#: Terms that one thread adds one after another; every depth of a tile divides it.
MOST = 2048

_WIDER = {np.float32: np.float64, np.complex64: np.complex128}
# Threads of a multiprocessor that keep it busy, with as many registers as each then has: 128.
_BUSY = 512


@dataclass(frozen=True)
class Tile:
    """The shape of a block's work.

    Parameters
    ----------
    rows, columns, depth : int
        Of the block's tile, and of the panels that it multiplies at a time.
    thread_rows, thread_columns : int
        The sums of one thread.
    """

    rows: int
    columns: int
    depth: int
    thread_rows: int
    thread_columns: int

    @property
    def threads(self) -> int:
        """The threads of a block."""
        return self.rows // self.thread_rows * (self.columns // self.thread_columns)

    @property
    def resident(self) -> int:
        """The blocks that a multiprocessor should hold."""
        return max(1, _BUSY // self.threads)

    @property
    def bounds(self) -> tuple[int, int]:
        """What the compiler is told: threads of a block, and blocks of a multiprocessor."""
        return self.threads, self.resident

    @property
    def warp(self) -> tuple[int, int]:
        """The threads of a warp, down and across: nearly square, so that they share operands."""
        down, across = self.rows // self.thread_rows, self.columns // self.thread_columns
        return (4, 8) if down % 4 == 0 and across % 8 == 0 else (1, across)


def pick(rows: int, work: Any) -> Tile:
    """Return the tile for a product of so many rows of weights."""
    size = np.dtype(work).itemsize
    if SIMULATED:  # a thread of the simulator is a thread of Python
        own = max(16 // size, 2)
        return Tile(4 * own, 4 * own, 4, own, own)
    if size == 16:
        return Tile(32, 32, 8, 2, 2)
    if size == 8:
        return Tile(64, 64, 8, 4, 4)
    if rows <= 32:
        return Tile(32, 128, 8, 4, 8)
    if np.dtype(work).kind == "i":
        return Tile(64, 64, 8, 4, 4)  # products of ints take more registers
    return Tile(64 if rows <= 64 else 128, 128, 8, 8, 8)


def pick_small(work: Any) -> Tile:
    """Return the tile where indices, or sums, take two registers, and a larger one runs out."""
    kind = np.dtype(work)
    if SIMULATED or kind.itemsize == 16:
        return pick(64, work)
    return Tile(32, 32, 8, 2, 2) if kind.kind == "c" else Tile(64, 64, 8, 4, 4)


def pick_for_weights(rows: int, columns: int, work: Any) -> Tile:
    """Return the tile for weight gradients of so many outputs and elements of a patch."""
    if SIMULATED or np.dtype(work).itemsize > 4:
        return pick(rows, work)
    if rows <= 32:
        return Tile(32, 32 if columns <= 32 else 64, 8, 4, 4)
    if rows <= 64:
        return Tile(64, 128, 8, 8, 4)
    return Tile(128, 64, 8, 8, 4) if columns <= 64 else Tile(128, 128, 8, 8, 8)


def wider(work: Any) -> Any:
    """Return the type in which parts of sums of `work` are added: float64 for float32."""
    return _WIDER.get(work, work)


@functools.cache
def copier(count: int, width: int) -> Any:
    """Return ``copy(source, at, target, to)``: `count` elements, of `width` bytes in all, at once.

    Both are arrays, or pointers, of which these places are aligned to `width`.
    """
    if SIMULATED:

        def one_by_one(source: Any, at: Any, target: Any, to: Any) -> None:
            for i in range(count):
                target[to + i] = source[at + i]

        return one_by_one

    def copy_vector(typingctx: Any, source: Any, at: Any, target: Any, to: Any) -> Any:
        signature = types.void(source, at, target, to)

        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> None:
            word = ir.IntType(32) if width % 4 == 0 else ir.IntType(8 * width)
            lanes = max(1, width // 4)
            vector = (ir.VectorType(word, lanes) if lanes > 1 else word).as_pointer()
            addresses = []
            for kind, index_kind, place, index in (
                (signature.args[0], signature.args[1], arguments[0], arguments[1]),
                (signature.args[2], signature.args[3], arguments[2], arguments[3]),
            ):
                is_pointer = isinstance(kind, types.CPointer)
                data = (
                    place if is_pointer else context.make_array(kind)(context, builder, place).data
                )
                wide = context.cast(builder, index, index_kind, types.intp)
                addresses.append(builder.bitcast(builder.gep(data, [wide]), vector))
            builder.store(builder.load(addresses[0], align=width), addresses[1], align=width)

        return signature, codegen

    return intrinsic(copy_vector)


def copy_of(work: Any) -> Any:
    """Return the copy of as many elements as the widest access holds."""
    return copier(WIDTH // work(0).itemsize, WIDTH)
