"""Transposed convolution as one product and an overlap-add, in two ways.

A convolution with 1x1 kernels, one for each weight of an input channel, makes the patches of some
images, which are then added where they belong. So no phase is left with few rows to multiply: the
fast way where strides are large, or results have few channels.

- `Columns`: patches are the columns that col2im folds (`numbaconv.reference.fold_strips`).
- `Runs`, for signals of one channel: the input is turned, so that the channels of a position lie
  together; a position's patch is then a run of the result. The fast way to inverse transforms,
  whose patches are long.
"""

import math
from typing import Any

import numpy as np

from numbaconv.kernels import recording, workspace
from numbaconv.kernels.indexing import first_inside
from numbaconv.kernels.jit import native_available
from numbaconv.kernels.long_sums import SHORT_SUM
from numbaconv.native import emit
from numbaconv.native.link import call, copy_bytes
from numbaconv.native.moves import adder
from numbaconv.native.transpose import transposer
from numbaconv.problem.arrays import Array, address, flatten
from numbaconv.problem.geometry import ConvGeometry, Window
from numbaconv.reference import fold_strips
from numbaconv.routes.direct import across, cut
from numbaconv.routes.direct import plan as direct
from numbaconv.running.packed import Packed
from numbaconv.teams import jobs

# Bytes of the patches that are made at once, where an image has no more, and at most.
_NEAR_BYTES, _MOST_BYTES = 1 << 22, 1 << 24
# Cycles of a byte of columns that is folded, and how many more a stride of the last axis costs; of
# a call of both.
_FOLD, _FAR = 1.0, 0.02
_CALL = 100_000.0
# The same of an element that is turned, of one that is added, of a patch; of the calls.
_TURN, _ADD, _PATCH = 0.5, 0.5, 40.0
_RUN_CALLS = 30_000.0
# Positions of an image that a worker turns at a time, and elements of the result that it sums.
_TURNED, _SUMMED = 64, 4096


def _as_product(geometry: ConvGeometry, outputs: int, *, channels_last: bool) -> ConvGeometry:
    """Return the 1x1 convolution of all positions, as one axis, that has so many outputs."""
    one = (1,)
    window = Window((geometry.window.positions,), one, one, one, ((0, 0),))
    return ConvGeometry(
        geometry.batch, geometry.out_channels, outputs, 1, window, channels_last
    )  # fmt: skip


def _refusal(geometry: ConvGeometry, dtype: np.dtype[Any], nbytes: int) -> str | None:
    """Return why none of these can run a problem whose patches of an image take so many bytes."""
    if geometry.window.overlap > SHORT_SUM or not emit.supports(dtype):
        return "its sums would be long, or of another dtype than there are vectors of"
    if nbytes > _MOST_BYTES:
        return "the patches of an image would not fit its memory"
    return native_available()


class Columns:
    """A problem of one group, channels first, by columns.

    Parameters
    ----------
    geometry : ConvGeometry
        The convolution that this is the adjoint of, with padding of zeros.
    dtype : dtype
        Of all arrays.
    """

    replayable = False

    def __init__(self, geometry: ConvGeometry, dtype: np.dtype[Any]) -> None:
        self.geometry, self.dtype = geometry, dtype
        self.inner = direct.Plan(self.convolution(geometry), dtype)
        self.images = max(1, _NEAR_BYTES // self.image_bytes(geometry, dtype))
        self.shape = geometry.in_channels * geometry.window.taps, geometry.window.positions
        # Kernels are the columns of a matrix as they lie.
        row = self.shape[0] * dtype.itemsize
        self.rows = np.arange(geometry.out_channels, dtype=np.int64) * row

    @classmethod
    def refusal(cls, geometry: ConvGeometry, dtype: np.dtype[Any]) -> str | None:
        """Return why this cannot run a problem, or None."""
        if geometry.groups > 1 or geometry.channels_last:
            return "it takes channels first, in one group"
        return _refusal(geometry, dtype, cls.image_bytes(geometry, dtype))

    @classmethod
    def cost(cls, geometry: ConvGeometry, dtype: np.dtype[Any]) -> float:
        """Return the estimated cycles of one core, weights' packing included."""
        nbytes = geometry.batch * cls.image_bytes(geometry, dtype)
        fold = nbytes * (_FOLD + _FAR * geometry.window.stride[-1])
        columns = cls.convolution(geometry)
        product = cut.with_call(columns, cut.cycles_of(columns, dtype), prepared=False)
        return _CALL + fold + product

    @staticmethod
    def image_bytes(geometry: ConvGeometry, dtype: np.dtype[Any]) -> int:
        """Return the bytes of the columns of an image."""
        elements = geometry.in_channels * geometry.window.taps
        return elements * geometry.window.positions * dtype.itemsize

    @staticmethod
    def convolution(geometry: ConvGeometry) -> ConvGeometry:
        """Return the convolution that makes columns."""
        outputs = geometry.in_channels * geometry.window.taps
        return _as_product(geometry, outputs, channels_last=False)

    @property
    def pack_key(self) -> tuple[Any, ...]:
        """What the packed form of the weights depends on, beside the weights."""
        return "product", self.inner.pack_key

    def pack(self, weight: Array, bias: Array | None, parallel: bool, *, keep: bool) -> Packed:
        """Return the weights as panels of the product."""
        packed = self.inner.pack_columns(weight, self.rows, None, parallel, keep=keep)
        return packed._replace(bias=bias)

    def run(self, x: Array, packed: Packed, out: Array, parallel: bool) -> None:
        """Write the transposed convolution to `out`."""
        geometry = self.geometry
        for n in range(0, len(x), self.images):
            images = x[n : n + self.images]
            count = len(images)
            shape = count, *self.shape
            space = workspace.take(math.prod(shape) * self.dtype.itemsize)
            columns = space.view(self.dtype, shape)
            source = images.reshape(count, geometry.out_channels, -1)
            self.inner.run(source, packed, columns, parallel)
            target = out[n : n + count]
            fold_strips.col2im(
                flatten(columns, channels_last=False), flatten(target, channels_last=False),
                geometry.window, (count, geometry.in_channels), self.dtype, channels_last=False,
                as_rows=False, parallel=parallel,
            )  # fmt: skip
            workspace.give_back(space)
            if packed.bias is not None:
                target += packed.bias.reshape(-1, *(1,) * geometry.window.ndim)
        if packed.bias is not None:
            recording.refuse()

    def workspace_nbytes(self, images: int, workers: int) -> int:
        """Return the memory that `run` borrows."""
        count = min(images, self.images)
        columns = count * self.image_bytes(self.geometry, self.dtype)
        return columns + self.inner.workspace_nbytes(count, workers)


class Runs:
    """A problem along one axis whose result has one channel, channels first.

    Parameters
    ----------
    geometry : ConvGeometry
        The convolution that this is the adjoint of, with padding of zeros.
    dtype : dtype
        Of all arrays.
    """

    replayable = True

    def __init__(self, geometry: ConvGeometry, dtype: np.dtype[Any]) -> None:
        self.geometry, self.dtype = geometry, dtype
        self.inner = direct.plan(self.convolution(geometry), dtype)
        self.images = max(1, _NEAR_BYTES // self.image_bytes(geometry, dtype))

    @classmethod
    def refusal(cls, geometry: ConvGeometry, dtype: np.dtype[Any]) -> str | None:
        """Return why this cannot run a problem, or None."""
        window = geometry.window
        if geometry.in_channels > 1 or geometry.channels_last:
            return "it takes channels first, and results of one channel"
        if window.ndim > 1 or window.dilation != (1,):
            return "patches are runs of the result along one axis alone, without dilation"
        return _refusal(geometry, dtype, cls.image_bytes(geometry, dtype))

    @classmethod
    def cost(cls, geometry: ConvGeometry, dtype: np.dtype[Any]) -> float:
        """Return the estimated cycles of one core, weights' packing included."""
        window = geometry.window
        positions = geometry.batch * window.positions
        moved = positions * (window.taps * _ADD + _PATCH + geometry.out_channels * _TURN)
        product = direct.cost(cls.convolution(geometry), dtype, prepared=False)
        return _RUN_CALLS + moved + product

    @staticmethod
    def image_bytes(geometry: ConvGeometry, dtype: np.dtype[Any]) -> int:
        """Return the bytes of the patches of an image, or of itself turned."""
        row = max(geometry.window.taps, geometry.out_channels)
        return geometry.window.positions * row * dtype.itemsize

    @staticmethod
    def convolution(geometry: ConvGeometry) -> ConvGeometry:
        """Return the convolution that makes patches: channels last, of 1x1 kernels."""
        return _as_product(geometry, geometry.window.taps, channels_last=True)

    @property
    def pack_key(self) -> tuple[Any, ...]:
        """What the packed form of the weights depends on, beside the weights."""
        return "rows", self.inner.pack_key

    def pack(self, weight: Array, bias: Array | None, parallel: bool, *, keep: bool) -> Packed:
        """Return the weights as panels of the product: a channel's taps lie as it takes them."""
        matrix = weight.reshape(1, self.geometry.out_channels, -1)
        return self.inner.pack(matrix, None, parallel, keep=keep)._replace(bias=bias)

    def run(self, x: Array, packed: Packed, out: Array, parallel: bool) -> None:
        """Write the transposed convolution to `out`."""
        window, size = self.geometry.window, self.dtype.itemsize
        positions, channels, taps = window.positions, self.geometry.out_channels, window.taps
        for n in range(0, len(x), self.images):
            images = x[n : n + self.images]
            count = len(images)
            turned = workspace.take(count * positions * channels * size)
            space = workspace.take(count * positions * taps * size)
            source = turned.view(self.dtype, (count, positions, channels))
            rows = space.view(self.dtype, (count, positions, taps))
            parts = -(-positions // _TURNED)
            workers = jobs.team_size(count * parts, work=source.size, parallel=parallel)
            jobs.run(
                across.turn, workers, count, parts, _TURNED, channels, positions, size,
                address(images), channels * positions * size, positions * size, address(source),
                positions * channels * size, channels * size, transposer(self.dtype),
            )  # fmt: skip
            self.inner.run(source, packed, rows, parallel)
            workspace.give_back(turned)
            length, low = window.size[0], window.padding[0][0]
            pieces = -(-length // _SUMMED)
            workers = jobs.team_size(count * pieces, work=rows.size, parallel=parallel)
            jobs.run(
                overlap_add, workers, count, pieces, address(rows), address(out[n:]), positions,
                taps, window.stride[0], low, length, size, adder(self.dtype),
                transposer(self.dtype),
            )  # fmt: skip
            workspace.give_back(space)
        if packed.bias is not None:
            recording.refuse()
            out += packed.bias

    def workspace_nbytes(self, images: int, workers: int) -> int:
        """Return the memory that `run` borrows."""
        count, window = min(images, self.images), self.geometry.window
        each = window.positions * (window.taps + self.geometry.out_channels) * self.dtype.itemsize
        return count * each + self.inner.workspace_nbytes(count, workers)


@jobs.team_kernel
def overlap_add(
    team: int, workers: int, images: int, pieces: int, rows: int, to: int, positions: int,
    taps: int, stride: int, low: int, length: int, size: int, add: int, clear: int,
) -> None:  # fmt: skip
    """Sum images' patches where they belong in signals of some length, a piece at a time."""
    shared = pieces, rows, to, positions, taps, stride, low, length, size, add, clear
    jobs.fork_tasks(team, workers, images * pieces, _sum_piece, shared)


@jobs.team_part
def _sum_piece(
    task: int, worker: int, pieces: int, rows: int, to: int, positions: int, taps: int,
    stride: int, low: int, length: int, size: int, add: int, clear: int,
) -> None:  # fmt: skip
    image = task // pieces
    begin = task % pieces * _SUMMED
    end = min(begin + _SUMMED, length)
    at = to + (image * length + begin) * size
    # Patches that reach into the piece, the last one first: addends in the order of the taps. What
    # lies in front of `filled` has none so far.
    filled = end - begin
    first = first_inside(taps - 1 - low - begin, stride, positions)
    for patch in range(min((end - 1 + low) // stride, positions - 1), first - 1, -1):
        place = patch * stride - low - begin
        e0, e1 = max(0, -place), min(taps, end - begin - place)
        source = rows + ((image * positions + patch) * taps + e0) * size
        w0, w1 = place + e0, place + e1
        if w1 < filled:
            call(clear, (0, filled - w1, 1, at, 0, at + w1 * size, 0))
        fresh = min(w1, filled) - w0
        copy_bytes(at + w0 * size, source, fresh * size)
        if w1 > filled:
            call(add, (1, w1 - filled, source + fresh * size, 0, at + filled * size, 0))
        filled = w0
    call(clear, (0, filled, 1, at, 0, at, 0))
