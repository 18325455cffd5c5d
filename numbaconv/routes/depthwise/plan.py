"""Direct sums, plane by plane: depthwise convolution, and image filters of a few channels.

With one input channel a group there is nothing to multiply as matrices. A task sums some rows of an
output plane (channels first) or a row of output pixels (channels last) in registers, reading the
input where it is: padded columns are masked, padded rows are a row of zeros.

P. Zhang, E. Lo, B. Lu, "High Performance Depthwise and Pointwise Convolutions on Mobile Devices",
AAAI 2020, section 3, argues for sums in registers over whole rows.
"""

import math
from typing import Any

import numpy as np

from numbaconv.kernels import held, recording, threads
from numbaconv.kernels.jit import native_available
from numbaconv.kernels.long_sums import LONGEST
from numbaconv.native import emit, isa
from numbaconv.native.depthwise import MOST_UNROLLED, band, pixels, small_planes
from numbaconv.problem.arrays import Array, address
from numbaconv.problem.geometry import ConvGeometry, three_axes
from numbaconv.routes import cycles
from numbaconv.routes.depthwise import loops
from numbaconv.routes.direct import places
from numbaconv.running.packed import Packed
from numbaconv.teams import jobs

#: What this route is (see `numbaconv.routes.Algorithm`).
EXACT, READS, WRITES_ANY, OWN_PADDING = True, "rows", False, False
# Cycles of any call.
_CALL = 11_000.0
# Of a tap of a vector that is summed, where strides leave vectors whole and where they do not; of a
# plane, of another channel that it sums, of a byte of the output.
_SUM, _SUM_APART = 0.58, 11.0
# How much longer the sums of one output row take, each of which waits for the one before.
_ALONE = 3.2
_PLANE, _CHANNEL = 30.0, 170.0
_BYTE = 0.15

#: Input channels a group up to which sums beat products of matrices.
MOST_CHANNELS = 8
# Padded positions that a kernel may span, beyond some times the input: each has a table's entry.
_MOST_REACH = 1 << 14
# Elements of the input that one task reads.
_TASK_ELEMENTS = 1 << 16
# Multiplications that a worker takes at a time, so that workers seldom meet at the counter.
_TASK_PRODUCTS = 1 << 16


def refusal(geometry: ConvGeometry, dtype: np.dtype[Any]) -> str | None:
    """Return why this route cannot run the problem, or None."""
    channels = geometry.in_channels // geometry.groups
    if not emit.supports(dtype):
        return f"it has no kernel for {dtype}; use algorithm='im2col'"
    if geometry.channels_last and channels > 1:
        return f"with channels last it takes one input channel a group, got {channels}"
    if channels > MOST_CHANNELS:
        return f"it takes at most {MOST_CHANNELS} input channels a group, got {channels}"
    deep, tall, wide = three_axes(geometry.window.kernel, 1)
    together = geometry.window.taps if geometry.channels_last else tall * wide
    if max(together, channels * deep) > LONGEST:
        return f"it sums at most {LONGEST} taps together, got a kernel of {geometry.window.kernel}"
    if max(_reach(geometry)[1:]) > _MOST_REACH + 8 * max(geometry.window.size):
        return "the dilated kernel spans far more than the input"
    return native_available()


def _reach(geometry: ConvGeometry) -> tuple[int, ...]:
    """Return how many padded positions one output's kernel and one step span, along each axis."""
    window = geometry.window
    spans = (
        (k - 1) * d + s + 1
        for k, d, s in zip(window.kernel, window.dilation, window.stride, strict=True)
    )
    return three_axes(tuple(spans), 1)


class Plan:
    """Everything that follows from geometry and dtype.

    Parameters
    ----------
    geometry : ConvGeometry
        The problem; its batch does not matter.
    dtype : dtype
        One that `refusal` accepts.
    """

    replayable = True

    def __init__(self, geometry: ConvGeometry, dtype: np.dtype[Any]) -> None:
        self.geometry, self.dtype = geometry, dtype
        window = geometry.window
        self.kernel = three_axes(window.kernel, 1)
        self.input = three_axes(window.size, 1)
        self.output = three_axes(window.output, 1)
        self.stride = three_axes(window.stride, 1)
        self.dilation = three_axes(window.dilation, 1)
        self.low = three_axes(tuple(low for low, _ in window.padding), 0)
        self.channels = geometry.in_channels // geometry.groups
        self.multiplier = geometry.out_channels // geometry.groups
        self.no_bias = np.zeros(geometry.out_channels, dtype)
        lanes = isa.host().lanes(dtype)
        widest = max(self.input[2], 1) + 2 * lanes
        if geometry.channels_last:
            self.band = min(6, self.output[2])
            self.rows = 1
            widest = geometry.in_channels + 2 * lanes
        else:
            self.band = self._rows_at_once()
            per_row = self.input[2] * self.stride[1]
            rows = max(self.band, _TASK_ELEMENTS // max(per_row, 1))
            self.rows = min(-(-rows // self.band) * self.band, self.output[1])
        self.zeros = np.zeros(widest, dtype)
        products = self.rows * self.output[2] * geometry.patch_size
        if geometry.channels_last:
            products *= geometry.out_channels
        self.grain = max(1, _TASK_PRODUCTS // max(products, 1))
        reach = [(k - 1) * d for k, d in zip(self.kernel, self.dilation, strict=True)]
        self.table_rows = (self.rows - 1) * self.stride[1] + reach[1] + 1
        self.table_columns = (self.output[2] - 1) * self.stride[2] + reach[2] + 1
        if geometry.channels_last:
            self.table_entries = self.kernel[0] * self.kernel[1] * self.table_columns
            self.row_tasks = self.output[0] * self.output[1]
        else:
            self.table_entries = self.table_rows
            parts = -(-self.output[1] // self.rows)
            self.row_tasks = geometry.out_channels * self.output[0] * parts
        # Sums cost less than products of matrices, those of a row alone hardly: a thread is woken
        # for so many more of them.
        alone = max(1.0, _ALONE / self.output[1])
        products = geometry.out_channels * geometry.window.positions * geometry.patch_size
        self.work = int(products * alone / 4)
        self.zeros_address, self.no_bias_address = address(self.zeros), address(self.no_bias)
        self.small = (
            not geometry.channels_last
            and self.channels == self.multiplier == 1
            and self.kernel[0] == self.output[0] == self.input[0] == 1
            and geometry.window.taps <= MOST_UNROLLED
            and self.dilation == (1, 1, 1)
            and max(self.stride) <= 2
            and self.rows == self.band == self.output[1]
            and self.low[0] == 0
        )
        self.natives = self._natives()
        self.scratch = threads.Scratch(1, (self.table_entries,))
        spread = np.arange(geometry.out_channels + 2 * lanes) // max(self.multiplier, 1)
        self.lanes_table = (spread * dtype.itemsize).astype(np.int64)
        self.shapes: dict[tuple[int, ...], Array] = {}

    def _rows_at_once(self) -> int:
        """Return the height of a band: one that divides the output where there is one."""
        most = 14 if isa.host().registers == 32 else 4
        height = self.output[1]
        return next((n for n in range(min(most, height), 3, -1) if height % n == 0), min(4, height))

    def _natives(self) -> Array:
        if self.geometry.channels_last:
            spread = self.multiplier > 1
            found = [pixels(n, self.dtype, spread=spread) for n in {self.band: 0, 1: 0}]
        else:
            kernel, stride, dilation = self.kernel[1:], self.stride[1:], self.dilation[1:]
            if self.small:
                native = small_planes(
                    self.input[1], self.low[1], self.output[1], self.dtype, kernel, stride
                )
                return np.array([native], np.int64)
            heights = {self.band: 0} | ({1: 0} if self.output[1] % self.band else {})
            resumes = [False] + [True] * (self.channels * self.kernel[0] > 1)
            pairs = [
                [band(n, self.dtype, kernel, stride, dilation, accumulate=a) for n in heights]
                for a in resumes
            ]
            return np.array([n for pair in pairs for n in (pair * 2)[:2]], np.int64)
        return np.array((found * 2)[:2], np.int64)

    def shape(self, x: Array) -> Array:
        """Return the packed `loops.Shape` for an input of these strides."""
        found = self.shapes.get(x.strides)
        if found is None:
            geometry = self.geometry
            strides = places.byte_strides(x, geometry)
            fields: list[int] = [
                self.dtype.itemsize, self.channels, geometry.out_channels, self.multiplier,
                *self.input, *self.output, *self.kernel, *self.stride, *self.dilation, *self.low,
                *strides, int(self.small), self.grain, self.rows, self.band, self.table_rows,
                self.table_columns,
            ]  # fmt: skip
            shape = loops.Shape(*fields)
            if len(self.shapes) > 16:
                self.shapes.clear()
            found = self.shapes[x.strides] = np.array(shape, np.int64)
        return found

    @property
    def pack_key(self) -> tuple[()]:
        """Nothing: weights stay as they are."""
        return ()

    def pack(self, weight: Array, bias: Array | None, parallel: bool, *, keep: bool) -> Packed:
        """Return the weights as they are."""
        place = self.no_bias_address if bias is None else address(bias)
        return Packed(weight, bias, address(weight), place, (self,))

    def run(self, x: Array, packed: Packed, out: Array, parallel: bool) -> None:
        """Write the convolution to `out`."""
        images = len(x)
        rows = images * self.row_tasks
        workers = jobs.team_size(rows, work=images * self.work, parallel=parallel)
        last = self.geometry.channels_last
        counter, tables = scratch = self.scratch.take(workers)
        jobs.run(
            loops.pixels if last else loops.planes, workers, images, address(x),
            packed.address, packed.bias_address, address(out), self.zeros_address, counter,
            self.shape(x), self.natives, tables, *((self.lanes_table,) if last else ()),
        )  # fmt: skip
        self.scratch.give_back(scratch)
        if recording.active:
            recording.keep(constants=(self.no_bias, self.zeros))

    def workspace_nbytes(self, images: int, workers: int) -> int:
        """Return the memory of the tables of addresses."""
        return workers * self.table_entries * 8


@held.shared
def plan(geometry: ConvGeometry, dtype: np.dtype[Any]) -> Plan:
    """Return the plan of a problem."""
    return Plan(geometry, dtype)


def cost(geometry: ConvGeometry, dtype: np.dtype[Any], *, prepared: bool) -> float:
    """Return the estimated cycles of one core; `prepared` leaves the packing of weights out."""
    lanes = isa.host().lanes(dtype)
    *_, width = geometry.window.output
    rows = geometry.batch * geometry.window.positions // max(width, 1)
    multiply = cycles.MULTIPLY[dtype.str[1:]] / cycles.MULTIPLY["f4"]
    if geometry.channels_last:
        vectors = rows * width * math.ceil(geometry.out_channels / lanes)
    else:
        vectors = rows * math.ceil(width / lanes) * geometry.out_channels
    sums = _SUM if geometry.window.taps <= 49 else 2 * _SUM
    if geometry.window.stride[-1] > 2 and not geometry.channels_last:
        sums = _SUM_APART
    height = (1, *geometry.window.output)[-2]
    if not geometry.channels_last:
        sums *= max(1.0, _ALONE / height)
    nbytes = rows * width * geometry.out_channels * dtype.itemsize
    more = geometry.in_channels // geometry.groups - 1
    planes = geometry.batch * geometry.out_channels * (_PLANE + _CHANNEL * more)
    return float(
        _CALL + vectors * (geometry.patch_size * sums * multiply + 3) + nbytes * _BYTE + planes
    )
