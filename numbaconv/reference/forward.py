"""The reference route: a column matrix, tile by tile, times the kernel matrix, through np.dot.

A tile is some output positions of one image and group. Its column matrix is built in a workspace
that stays in the L2 cache, and is multiplied there by one thread, so that neither the whole column
matrix nor a BLAS with threads of its own ever exists. Long patches and many output channels are
blocked too, which bounds the workspace. All block sizes depend on one image's geometry and on the
dtype only, so that no result depends on the batch or on the number of threads.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from numbaconv.kernels import threads, workspace
from numbaconv.kernels.long_sums import LONGEST
from numbaconv.native import isa
from numbaconv.problem.arrays import Array, Extent, Table, spatial_walk, writeable
from numbaconv.problem.cuts import even_block
from numbaconv.problem.geometry import ConvGeometry
from numbaconv.reference import blas, pointwise
from numbaconv.reference.problem import Problem, kernels_as_columns, kernels_as_rows, neutral_bias
from numbaconv.reference.taps import Reading, stage_elements
from numbaconv.reference.tiles import Cut, outputs_by_positions, positions_by_outputs
from numbaconv.routes import cycles
from numbaconv.running.packed import Packed

#: What this route is (see `numbaconv.routes.Algorithm`).
EXACT, READS, WRITES_ANY, OWN_PADDING = True, "any", True, True
# Cycles of any call, and of a product; of a vector multiply-add of floats, of complex numbers, and
# of integers, by a loop.
_CALL, _PRODUCT = 100_000.0, 900.0
_MULTIPLY = {"f": 1.0, "c": 8.0, "i": 16.0, "u": 16.0}
# Of an element of the column matrix, and of a run of channels that is copied there; of a result; of
# a weight that the BLAS copies for each product.
_COLUMN, _RUN, _RESULT, _WEIGHT = 0.22, 40.0, 0.9, 1.35

# Bytes of one block of the column matrix, and of one block of its product: what the L2 cache holds.
_COLUMN_BYTES = 1 << 20
_PRODUCT_BYTES = 1 << 19
# Positions a tile where patches are short, and where they are long.
_MOST_POSITIONS = 512
_LEAST_POSITIONS = 96
# Elements of a patch in one GEMM.
_LONGEST_BLOCK = 576
# OpenBLAS multiplies so few elements as they lie; more are copied first, which costs as much as the
# product where output channels are few (benchmarks/products.py).
_SMALL_PRODUCT = 1_000_000
_SMALL_OUTPUTS = 48
_SMALL_BLOCK = 144
# Positions from which on an image is more than one tile, for threads to share.
_LEAST_SHARED = 48
# Channels of a group from which on channels-last patches are rows.
_LEAST_CHANNEL_RUN = 8
# Output channels a task where the tiles are too few to share among threads.
_SHARED_OUTPUTS = 64
# Elements of which some are a whole cache line, whatever the dtype.
_LINE = 64


@dataclass(frozen=True)
class Blocks:
    """How a problem is cut: positions, patch elements and output channels of one GEMM.

    An image has so many `tiles`, cut from a `run` of positions: from an output row, or from all
    rows together. Where patches are `long`, the products of their parts are added with
    compensation.
    """

    run: int
    positions: int
    elements: int
    outputs: int
    long: bool
    tiles: int

    @classmethod
    def of(cls, geometry: ConvGeometry, dtype: np.dtype[Any]) -> "Blocks":
        """Return the cut for a problem, from one image's geometry and the dtype."""
        width, total = geometry.window.output[-1], geometry.window.positions
        group_outputs = geometry.out_channels // geometry.groups
        small = group_outputs <= _SMALL_OUTPUTS and not _positions_are_rows(geometry)
        elements = even_block(geometry.patch_size, _SMALL_BLOCK if small else _LONGEST_BLOCK)
        fitting = _COLUMN_BYTES // (elements * dtype.itemsize)
        if small:
            fitting = min(fitting, _SMALL_PRODUCT // max(1, elements * group_outputs))
        most = max(_LEAST_POSITIONS, min(_MOST_POSITIONS, fitting))
        most = min(most, max(_LEAST_SHARED, -(-total // 2)))
        run, positions = width, even_block(width, most)
        if width <= most:
            # Whole rows, and so all positions in one run.
            run, positions = total, width * even_block(total // width, most // width)
        most = _PRODUCT_BYTES // (positions * dtype.itemsize)
        if total <= 4 * positions and geometry.groups == 1:
            most = min(most, _SHARED_OUTPUTS)
        outputs = even_block(group_outputs, most)
        tiles = total // run * -(-run // positions)
        return cls(run, positions, elements, outputs, geometry.patch_size > LONGEST, tiles)

    @property
    def workspace(self) -> int:
        """The elements of a block of columns, of its product, and of the sums of long ones."""
        return self.positions * (self.elements + self.outputs * (3 if self.long else 1))


def refusal(geometry: ConvGeometry, dtype: np.dtype[Any]) -> str | None:
    """Return why this route cannot run the problem: it always can."""
    return None


class _Placed(NamedTuple):
    """Where arrays of some strides lie, as kernels get it, and how their input is read."""

    key: tuple[Any, ...]
    x: Extent
    out: Extent
    walk: Table
    reading: Reading
    reading_table: Table


class Plan:
    """A problem of the reference route.

    Parameters
    ----------
    geometry : ConvGeometry
        The problem.
    dtype : dtype
        Of all arrays.
    """

    replayable = False

    def __init__(self, geometry: ConvGeometry, dtype: np.dtype[Any]) -> None:
        self.geometry, self.dtype = geometry, dtype
        self._blocks: Blocks | None = None
        self._as_rows = _positions_are_rows(geometry)
        self._placed: _Placed | None = None
        if (
            geometry.patch_size > 0
            and geometry.window.positions > 0
            and not pointwise.fits(geometry)
        ):
            self._blocks = Blocks.of(geometry, dtype)
            self._packed_window = geometry.window.packed
            self._products = geometry.out_channels * geometry.window.positions * geometry.patch_size
            self._neutral = neutral_bias(geometry.out_channels, dtype)

    @property
    def pack_key(self) -> tuple[Any, ...]:
        """What the form of the weights depends on: how their matrix is cut, if at all."""
        if self._blocks is None:
            return ()
        return self._blocks.elements, self._blocks.outputs, self._as_rows

    def pack(self, weight: Array, bias: Array | None, parallel: bool, *, keep: bool) -> Packed:
        """Return the weights as they are, and the kernel matrix with each block contiguous."""
        if self._blocks is None:
            return Packed(weight, bias)
        return Packed(
            weight,
            bias,
            alive=(_packed_weight(self.geometry, self._blocks, weight, as_columns=self._as_rows),),
        )

    def run(self, x: Array, packed: Packed, out: Array, parallel: bool) -> None:
        """Write the convolution to `out`; arrays of any strides will do."""
        with blas.single_threaded():
            if self._blocks is None:
                problem = Problem(self.geometry, x, packed.weight, packed.bias, out)
                pointwise.run(problem, parallel)
            else:
                self._run_tiles(self._blocks, x, packed, out, parallel)

    def workspace_nbytes(self, images: int, workers: int) -> int:
        """Return the memory that `run` allocates."""
        if self._blocks is None:
            return 0
        stage = stage_elements(self.geometry.window, self._blocks.positions)
        return workers * (self._blocks.workspace + stage) * self.dtype.itemsize

    def _place(self, blocks: Blocks, x: Array, out: Array) -> _Placed:
        """Return where arrays lie: for strides that were the last ones too, what was found then."""
        key, found = (x.shape, x.strides, out.strides), self._placed
        if found is None or found.key != key:
            channels_last = self.geometry.channels_last
            extent = Extent.of(x, channels_last=channels_last)
            reading = Reading.of(
                extent.place, self.geometry.window, self.dtype, blocks.positions
            )  # fmt: skip
            found = self._placed = _Placed(
                key, extent, Extent.of(out, channels_last=channels_last),
                spatial_walk(out, channels_last=channels_last), reading, np.array(reading),
            )  # fmt: skip
        return found

    def _run_tiles(
        self, blocks: Blocks, x: Array, packed: Packed, out: Array, parallel: bool
    ) -> None:
        geometry, images = self.geometry, len(x)
        groups = geometry.groups
        outputs = geometry.out_channels // groups
        tiles = images * groups * blocks.tiles
        tasks = tiles * -(-outputs // blocks.outputs)
        workers = threads.worker_count(tasks, work=images * self._products, parallel=parallel)
        placed = self._place(blocks, x, out)
        cut = Cut(
            images, geometry.in_channels // groups, groups, outputs, blocks.run,
            blocks.positions, blocks.elements, blocks.outputs, blocks.long,
        )  # fmt: skip
        # Whole cache lines for each worker.
        elements = -(-(blocks.workspace + placed.reading.stage) // _LINE) * _LINE
        space = workspace.take(workers * elements * self.dtype.itemsize)
        threads.run(
            positions_by_outputs if self._as_rows else outputs_by_positions, workers, workers,
            placed.x.memory(x), placed.x.place, self._packed_window, np.array(cut, np.int64),
            packed.alive[0], self._neutral if packed.bias is None else packed.bias,
            space.view(self.dtype, (workers, elements)), placed.out.memory(out), placed.out.place,
            placed.walk, placed.reading_table,
        )  # fmt: skip
        workspace.give_back(space)


def plan(geometry: ConvGeometry, dtype: np.dtype[Any]) -> Plan:
    """Return the plan of a problem."""
    return Plan(geometry, dtype)


def _positions_are_rows(geometry: ConvGeometry) -> bool:
    """Return whether patches are rows: channels last, where runs of channels are long enough.

    Below that, patches are gathered as columns from the same memory (measured by
    benchmarks/tiles.py: 3 channels, 7x7, twice as fast; one channel a group 4 to 8 times).
    """
    return geometry.channels_last and geometry.in_channels // geometry.groups >= _LEAST_CHANNEL_RUN


def _packed_weight(
    geometry: ConvGeometry, blocks: Blocks, weight: Array, *, as_columns: bool
) -> Array:
    """Return the kernel matrix with each block of it contiguous, as one flat array.

    Where kernels are rows a block is (all outputs, some elements); as columns it is (some elements,
    some outputs). A kernel matrix that is one such block already is taken as it is.
    """
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


def cost(geometry: ConvGeometry, dtype: np.dtype[Any], *, prepared: bool) -> float:
    """Return the estimated cycles of one core; `prepared` leaves the packing of weights out."""
    lanes = isa.host().nbytes / dtype.itemsize
    window = geometry.window
    positions = geometry.batch * window.positions
    products = geometry.batch * -(-window.positions // _MOST_POSITIONS)
    total = geometry.flops / 4 / lanes * _MULTIPLY.get(dtype.kind, _MULTIPLY["i"])
    total += products * geometry.groups * _PRODUCT + positions * geometry.out_channels * _RESULT
    as_rows = _positions_are_rows(geometry)
    if not window.is_pointwise:
        row = geometry.patch_size * _COLUMN + (window.taps * _RUN if as_rows else 0.0)
        total += positions * geometry.groups * row
    if not as_rows:
        total += products * cycles.weights(geometry) * _WEIGHT
    return float(_CALL + total)
