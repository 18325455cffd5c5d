"""The reference route: a column matrix, tile by tile, times the kernel matrix, through np.dot.

A tile is some output positions of one image and group. Its column matrix is built in a workspace
that stays in the L2 cache, and is multiplied there by one thread, so that neither the whole column
matrix nor a BLAS with threads of its own ever exists. Long patches and many output channels are
blocked too, which bounds the workspace. All block sizes depend on one image's geometry and on the
dtype only, so that no result depends on the batch or on the number of threads.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numba
import numpy as np

from numbaconv.kernels import threads
from numbaconv.kernels.indexing import (
    spatial_strides,
    split_axes,
    split_index,
    unpack_place,
    unpack_walk,
    unpack_window,
)
from numbaconv.kernels.jit import device, kernel
from numbaconv.kernels.long_sums import LONGEST, fold_part, whole_sums
from numbaconv.kernels.runs import add_run, copy_run
from numbaconv.native import isa
from numbaconv.problem.arrays import Array, Table, flatten, spatial_walk, writeable
from numbaconv.problem.cuts import even_block
from numbaconv.problem.geometry import Axes, ConvGeometry
from numbaconv.reference import blas, pointwise
from numbaconv.reference.problem import Problem, kernels_as_columns, kernels_as_rows
from numbaconv.reference.product import multiply
from numbaconv.reference.taps import gather_position, gather_tap
from numbaconv.routes import cycles
from numbaconv.running.packed import Packed

#: What this route is (see `numbaconv.routes.Algorithm`).
EXACT, READS, WRITES_ANY, OWN_PADDING = True, "any", True, True
# Cycles of any call.
_CALL = 200_000.0
# Of a product, and how much dearer sums are here than in a register tile.
_PRODUCT = 3000.0
_REFERENCE = 2.0

# Bytes of one block of the column matrix, and of one block of its product. Measured on cores with
# 2 MiB of L2 (benchmarks/tiles.py): half of that for the columns costs long patches up to a third.
_COLUMN_BYTES = 1 << 21
_PRODUCT_BYTES = 1 << 19
# Positions a tile where patches are short, and where they are long.
_MOST_POSITIONS = 512
_LEAST_POSITIONS = 96
# Elements of a patch in one GEMM.
_LONGEST_BLOCK = 2304
# Channels of a group from which on channels-last patches are rows.
_LEAST_CHANNEL_RUN = 8
# Output channels a task where the tiles are too few to share among threads.
_SHARED_OUTPUTS = 64


@dataclass(frozen=True)
class Blocks:
    """How a problem is cut: positions, patch elements and output channels of one GEMM.

    Where patches are `long`, the products of their parts are added with compensation.
    """

    positions: int
    elements: int
    outputs: int
    long: bool

    @classmethod
    def of(cls, geometry: ConvGeometry, dtype: np.dtype[Any]) -> "Blocks":
        """Return the cut for a problem, from one image's geometry and the dtype."""
        total = geometry.window.positions
        elements = even_block(geometry.patch_size, _LONGEST_BLOCK)
        fitting = _COLUMN_BYTES // (elements * dtype.itemsize)
        positions = even_block(total, max(_LEAST_POSITIONS, min(_MOST_POSITIONS, fitting)))
        most = _PRODUCT_BYTES // (positions * dtype.itemsize)
        if total <= 4 * positions and geometry.groups == 1:
            most = min(most, _SHARED_OUTPUTS)
        outputs = even_block(geometry.out_channels // geometry.groups, most)
        return cls(positions, elements, outputs, geometry.patch_size > LONGEST)

    @property
    def workspace(self) -> int:
        """The elements of a block of columns, of its product, and of the sums of long ones."""
        return self.positions * (self.elements + self.outputs * (3 if self.long else 1))


def refusal(geometry: ConvGeometry, dtype: np.dtype[Any]) -> str | None:
    """Return why this route cannot run the problem: it always can."""
    return None


@dataclass(frozen=True)
class Plan:
    """A problem of the reference route: there is little to know ahead.

    Parameters
    ----------
    geometry : ConvGeometry
        The problem.
    dtype : dtype
        Of all arrays.
    """

    geometry: ConvGeometry
    dtype: np.dtype[Any]

    replayable = False

    @property
    def _is_cut(self) -> bool:
        """Whether there are tiles, and so blocks of the kernel matrix."""
        return self.geometry.patch_size > 0 and not pointwise.fits(self.geometry)

    @property
    def pack_key(self) -> tuple[Any, ...]:
        """What the form of the weights depends on: how their matrix is cut, if at all."""
        if not self._is_cut:
            return ()
        blocks = Blocks.of(self.geometry, self.dtype)
        return blocks.elements, blocks.outputs, _positions_are_rows(self.geometry)

    def pack(self, weight: Array, bias: Array | None, parallel: bool, *, keep: bool) -> Packed:
        """Return the weights as they are, and the kernel matrix with each block contiguous."""
        if not self._is_cut:
            return Packed(weight, bias)
        return Packed(weight, bias, alive=(_packed_weight(self.geometry, self.dtype, weight),))

    def run(self, x: Array, packed: Packed, out: Array, parallel: bool) -> None:
        """Write the convolution to `out`; arrays of any strides will do."""
        problem = Problem(self.geometry, x, packed.weight, packed.bias, out)
        with blas.single_threaded():
            if pointwise.fits(self.geometry):
                pointwise.run(problem, parallel)
            else:
                _run_tiles(problem, packed.alive[0], parallel)

    def workspace_nbytes(self, images: int, workers: int) -> int:
        """Return the memory that `run` allocates."""
        if pointwise.fits(self.geometry):
            return 0
        blocks = Blocks.of(self.geometry, self.dtype)
        return workers * blocks.workspace * self.dtype.itemsize


def plan(geometry: ConvGeometry, dtype: np.dtype[Any]) -> Plan:
    """Return the plan of a problem."""
    return Plan(geometry, dtype)


def _run_tiles(problem: Problem, matrix: Array, parallel: bool) -> None:
    geometry = problem.geometry
    blocks = Blocks.of(geometry, problem.dtype)
    groups = geometry.groups
    outputs = geometry.out_channels // groups
    tiles = problem.images * groups * -(-geometry.window.positions // blocks.positions)
    tasks = tiles * -(-outputs // blocks.outputs)
    workers = threads.worker_count(tasks, work=problem.products, parallel=parallel)
    x = flatten(problem.x, channels_last=geometry.channels_last)
    out = flatten(problem.out, channels_last=geometry.channels_last)
    as_rows = _positions_are_rows(geometry)
    cut = Cut(
        problem.images, geometry.in_channels // groups, groups, outputs, blocks.positions,
        blocks.elements, blocks.outputs, blocks.long,
    )  # fmt: skip
    threads.run(
        _positions_by_outputs if as_rows else _outputs_by_positions,
        workers,
        workers,
        x.data,
        x.place,
        geometry.window.packed,
        np.array(cut, np.int64),
        matrix,
        problem.bias_or_neutral,
        np.empty((workers, blocks.workspace), problem.dtype),
        out.data,
        out.place,
        spatial_walk(problem.out, channels_last=geometry.channels_last),
    )


def _positions_are_rows(geometry: ConvGeometry) -> bool:
    """Return whether patches are rows: channels last, where runs of channels are long enough.

    Below that, patches are gathered as columns from the same memory (measured by
    benchmarks/tiles.py: 3 channels, 7x7, twice as fast; one channel a group 4 to 8 times).
    """
    return geometry.channels_last and geometry.in_channels // geometry.groups >= _LEAST_CHANNEL_RUN


def _packed_weight(geometry: ConvGeometry, dtype: np.dtype[Any], weight: Array) -> Array:
    """Return the kernel matrix with each block of it contiguous, as one flat array.

    Where kernels are rows a block is (all outputs, some elements); as columns it is (some elements,
    some outputs). A kernel matrix that is one such block already is taken as it is.
    """
    blocks, as_columns = Blocks.of(geometry, dtype), _positions_are_rows(geometry)
    if as_columns:
        matrix, outputs_step = kernels_as_columns(geometry, weight), blocks.outputs
        one_block = matrix.shape[1:] == (blocks.elements, blocks.outputs)
    else:
        matrix = kernels_as_rows(geometry, weight)
        outputs_step, one_block = matrix.shape[1], matrix.shape[2] == blocks.elements
    if one_block and matrix.flags.c_contiguous:
        return writeable(matrix.reshape(-1))
    packed = np.empty(matrix.size, matrix.dtype)
    done = 0
    for group in matrix.swapaxes(1, 2) if as_columns else matrix:
        for o in range(0, group.shape[0], outputs_step):
            for k in range(0, group.shape[1], blocks.elements):
                block = group[o : o + outputs_step, k : k + blocks.elements]
                if as_columns:
                    block = block.T
                packed[done : done + block.size].reshape(block.shape)[...] = block
                done += block.size
    return packed


class Cut(NamedTuple):
    """A problem and its `Blocks`, as kernels take them."""

    images: int
    channels: int  # of a group
    groups: int
    outputs: int  # of a group
    positions: int
    elements: int
    output_block: int
    long: int


@device
def _unpack(cut: Table) -> Cut:
    return Cut(cut[0], cut[1], cut[2], cut[3], cut[4], cut[5], cut[6], cut[7])


@device
def _count(packed: Table, cut: Table) -> tuple[int, int]:
    """Return the number of tiles, and of blocks of outputs."""
    output, c = unpack_window(packed).output, _unpack(cut)
    tiles = (output[0] * output[1] * output[2] + c.positions - 1) // c.positions
    return c.images * c.groups * tiles, (c.outputs + c.output_block - 1) // c.output_block


@kernel
def _outputs_by_positions(
    workers: int,
    x: Array,
    x_place: Table,
    packed: Table,
    cut: Table,
    weight: Array,
    bias: Array,
    workspace: Array,
    out: Array,
    out_place: Table,
    walk: Table,
) -> None:
    tiles, blocks = _count(packed, cut)
    for index in numba.prange(workers):
        worker: Any = np.int64(index)
        task = worker * tiles * blocks // workers
        end = (worker + 1) * tiles * blocks // workers
        while task < end:
            block = task % blocks
            block_end = min(blocks, block + end - task)
            _columns_tile(
                task // blocks, block, block_end, x, x_place, packed, cut, weight, bias,
                workspace[worker], out, out_place, walk,
            )  # fmt: skip
            task += block_end - block


@device
def _columns_tile(
    tile: int,
    block: int,
    block_end: int,
    x: Array,
    x_place: Table,
    packed: Table,
    cut: Table,
    weight: Array,
    bias: Array,
    workspace: Array,
    out: Array,
    out_place: Table,
    walk: Table,
) -> None:
    """Multiply (outputs, elements) by (elements, positions) for some output blocks of a tile."""
    window, c = unpack_window(packed), _unpack(cut)
    source, target = unpack_place(x_place), unpack_place(out_place)
    outputs = c.outputs
    taps = window.kernel[0] * window.kernel[1] * window.kernel[2]
    image, group, l0, l1 = _locate(tile, window.output, c.groups, c.positions)
    length = c.channels * taps
    start = source.base + image * source.image + group * c.channels * source.channel
    to = target.base + image * target.image + group * outputs * target.channel
    n = l1 - l0
    # The parts of long sums are formed for one block of outputs at a time.
    step = 1 if c.long else block_end - block
    for b0 in range(block, block_end, step):
        for k0 in range(0, length, c.elements):
            k1 = min(k0 + c.elements, length)
            for k in range(k0, k1):
                channel, tap = split_index(k, c.channels, taps, True)
                gather_tap(
                    x, start + channel * source.channel, spatial_strides(x_place), window, tap, l0,
                    l1, workspace, (k - k0) * n, 1,
                )  # fmt: skip
            columns = workspace[: (k1 - k0) * n].reshape(k1 - k0, n)
            last = min((b0 + step) * c.output_block, outputs)
            for o0 in range(b0 * c.output_block, last, c.output_block):
                m = min(c.output_block, outputs - o0)
                first = group * outputs * length + outputs * k0 + o0 * (k1 - k0)
                rows = weight[first : first + m * (k1 - k0)].reshape(m, k1 - k0)
                product = workspace[(k1 - k0) * n : (k1 - k0 + m) * n]
                multiply(rows, columns, product.reshape(m, n))
                if c.long and not _sum_parts(product, workspace, c, k0, k1 == length):
                    continue
                for o in range(m):
                    offset = bias[group * outputs + o0 + o]
                    first = to + (o0 + o) * target.channel
                    row = product[o * n : (o + 1) * n]
                    _store_row(row, offset, k0 > 0 and not c.long, l0, out, first, walk)


@device
def _sum_parts(product: Array, workspace: Array, c: Cut, k0: int, last: bool) -> bool:
    """Add a part of long sums to those so far; of the last, make the product the whole."""
    begin = c.positions * (c.elements + c.output_block)
    size = c.positions * c.output_block
    high = workspace[begin : begin + product.size]
    low = workspace[begin + size : begin + size + product.size]
    fold_part(product, high, low, k0 == 0)
    if last:
        whole_sums(high, low, product)
    return last


@device
def _store_row(
    product: Array, offset: Any, accumulate: bool, l0: int, out: Array, start: int, walk: Table
) -> None:
    """Write or add one channel's products at output positions from `l0` on."""
    sizes, steps = unpack_walk(walk)
    d, h, w = split_axes(l0, sizes)
    done = 0
    while done < product.size:
        n = min(product.size - done, sizes[2] - w)
        first = start + d * steps[0] + h * steps[1] + w * steps[2]
        row = product[done : done + n]
        if not accumulate:
            for j in range(n):
                row[j] += offset
        _store_run(row, accumulate, out, first, steps[2])
        done += n
        w = 0
        h += 1
        if h == sizes[1]:
            h = 0
            d += 1


@device
def _store_run(row: Array, accumulate: bool, out: Array, first: int, step: int) -> None:
    """Write or add a row at `step`."""
    if accumulate:
        add_run(row, 0, 1, out, first, step, row.size)
    else:
        copy_run(row, 0, 1, out, first, step, row.size)


@kernel
def _positions_by_outputs(
    workers: int,
    x: Array,
    x_place: Table,
    packed: Table,
    cut: Table,
    weight: Array,
    bias: Array,
    workspace: Array,
    out: Array,
    out_place: Table,
    walk: Table,
) -> None:
    tiles, blocks = _count(packed, cut)
    for index in numba.prange(workers):
        worker: Any = np.int64(index)
        task = worker * tiles * blocks // workers
        end = (worker + 1) * tiles * blocks // workers
        while task < end:
            block = task % blocks
            block_end = min(blocks, block + end - task)
            _rows_tile(
                task // blocks, block, block_end, x, x_place, packed, cut, weight, bias,
                workspace[worker], out, out_place, walk,
            )  # fmt: skip
            task += block_end - block


@device
def _rows_tile(
    tile: int,
    block: int,
    block_end: int,
    x: Array,
    x_place: Table,
    packed: Table,
    cut: Table,
    weight: Array,
    bias: Array,
    workspace: Array,
    out: Array,
    out_place: Table,
    walk: Table,
) -> None:
    """Multiply (positions, elements) by (elements, outputs) for some output blocks of a tile."""
    window, c = unpack_window(packed), _unpack(cut)
    source, target = unpack_place(x_place), unpack_place(out_place)
    outputs = c.outputs
    length = c.channels * window.kernel[0] * window.kernel[1] * window.kernel[2]
    image, group, l0, l1 = _locate(tile, window.output, c.groups, c.positions)
    start = source.base + image * source.image + group * c.channels * source.channel
    to = target.base + image * target.image + group * outputs * target.channel
    n = l1 - l0
    step = 1 if c.long else block_end - block
    for b0 in range(block, block_end, step):
        for k0 in range(0, length, c.elements):
            k1 = min(k0 + c.elements, length)
            for position in range(l0, l1):
                gather_position(
                    x, start, source.channel, spatial_strides(x_place), window, position,
                    c.channels, k0, k1, workspace, (position - l0) * (k1 - k0),
                )  # fmt: skip
            rows = workspace[: n * (k1 - k0)].reshape(n, k1 - k0)
            last = min((b0 + step) * c.output_block, outputs)
            for o0 in range(b0 * c.output_block, last, c.output_block):
                m = min(c.output_block, outputs - o0)
                first = group * outputs * length + o0 * length + m * k0
                matrix = weight[first : first + m * (k1 - k0)].reshape(k1 - k0, m)
                product = workspace[n * (k1 - k0) : n * (k1 - k0 + m)]
                multiply(rows, matrix, product.reshape(n, m))
                if c.long and not _sum_parts(product, workspace, c, k0, k1 == length):
                    continue
                _store_positions(
                    product.reshape(n, m), bias, group * outputs + o0, k0 > 0 and not c.long,
                    l0, out, to + o0 * target.channel, target.channel, walk,
                )  # fmt: skip


@device
def _store_positions(
    product: Array,
    bias: Array,
    first_output: int,
    accumulate: bool,
    l0: int,
    out: Array,
    start: int,
    step: int,
    walk: Table,
) -> None:
    """Write or add all products of output positions from `l0` on."""
    sizes, steps = unpack_walk(walk)
    for i in range(product.shape[0]):
        d, h, w = split_axes(l0 + i, sizes)
        first = start + d * steps[0] + h * steps[1] + w * steps[2]
        row = product[i]
        if not accumulate:
            for o in range(row.size):
                row[o] += bias[first_output + o]
        _store_run(row, accumulate, out, first, step)


@device
def _locate(tile: int, output: Axes, groups: int, block: int) -> tuple[int, int, int, int]:
    """Return (image, group, first position, end position) of a tile."""
    positions = output[0] * output[1] * output[2]
    tiles = (positions + block - 1) // block
    l0 = tile % tiles * block
    return tile // tiles // groups, tile // tiles % groups, l0, min(l0 + block, positions)


def cost(geometry: ConvGeometry, dtype: np.dtype[Any], *, prepared: bool) -> float:
    """Return the estimated cycles of one core; `prepared` leaves the packing of weights out."""
    lanes = isa.host().nbytes / dtype.itemsize
    factor = {"f": 1.0, "c": 4.0}.get(dtype.kind, 8.0)
    columns = geometry.batch * geometry.window.positions * geometry.patch_size * geometry.groups
    products = geometry.batch * geometry.groups * _PRODUCT
    sums = geometry.flops / 4 / lanes * factor + columns * cycles.COPY
    return float(_CALL + _REFERENCE * sums + products)
