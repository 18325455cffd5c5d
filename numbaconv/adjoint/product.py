"""Transposed convolution as one product and an overlap-add.

A convolution with 1x1 kernels, one for each weight of an input channel, makes the columns of some
images; what col2im does (`numbaconv.reference.fold_strips`) folds them. So no phase is left with
few rows to multiply: the fast way where strides are large, or results have few channels.
"""

import math
from typing import Any

import numpy as np

from numbaconv.kernels import recording, workspace
from numbaconv.kernels.jit import native_available
from numbaconv.kernels.long_sums import SHORT_SUM
from numbaconv.native import emit
from numbaconv.problem.arrays import Array, flatten
from numbaconv.problem.geometry import ConvGeometry, Window
from numbaconv.reference import fold_strips
from numbaconv.routes.direct import cut
from numbaconv.routes.direct import plan as direct
from numbaconv.running.packed import Packed

#: Bytes of the columns that are made at once, where an image has no more, and at most.
NEAR_BYTES, MOST_BYTES = 1 << 22, 1 << 24
# Cycles of a byte of columns that is folded, and how many more a stride of the last axis costs; of
# a call of both.
_FOLD, _FAR = 1.0, 0.02
_CALL = 100_000.0


def refusal(geometry: ConvGeometry, dtype: np.dtype[Any]) -> str | None:
    """Return why this cannot run a problem, or None."""
    window = geometry.window
    if geometry.groups > 1 or geometry.channels_last:
        return "it takes channels first, in one group"
    if window.overlap > SHORT_SUM or not emit.supports(dtype):
        return "its sums would be long, or of another dtype than there are vectors of"
    if _image_bytes(geometry, dtype) > MOST_BYTES:
        return "the columns of an image would not fit its memory"
    return native_available()


def cost(geometry: ConvGeometry, dtype: np.dtype[Any]) -> float:
    """Return the estimated cycles of one core, weights' packing included."""
    nbytes = geometry.batch * _image_bytes(geometry, dtype)
    fold = nbytes * (_FOLD + _FAR * geometry.window.stride[-1])
    columns = _as_columns(geometry)
    product = cut.with_call(columns, cut.cycles_of(columns, dtype), prepared=False)
    return _CALL + fold + product


def _image_bytes(geometry: ConvGeometry, dtype: np.dtype[Any]) -> int:
    elements = geometry.in_channels * geometry.window.taps
    return elements * geometry.window.positions * dtype.itemsize


def _as_columns(geometry: ConvGeometry) -> ConvGeometry:
    """Return the convolution that makes columns."""
    outputs = geometry.in_channels * geometry.window.taps
    return as_product(geometry, outputs, channels_last=False)


def as_product(geometry: ConvGeometry, outputs: int, *, channels_last: bool) -> ConvGeometry:
    """Return the 1x1 convolution of all positions, as one axis, that has so many outputs."""
    one = (1,)
    window = Window((geometry.window.positions,), one, one, one, ((0, 0),))
    return ConvGeometry(
        geometry.batch, geometry.out_channels, outputs, 1, window, channels_last
    )  # fmt: skip


class Plan:
    """A problem of one group, channels first.

    Parameters
    ----------
    geometry : ConvGeometry
        The convolution that this is the adjoint of, with padding of zeros.
    dtype : dtype
        Of all arrays.
    """

    def __init__(self, geometry: ConvGeometry, dtype: np.dtype[Any]) -> None:
        self.geometry, self.dtype = geometry, dtype
        self.inner = direct.Plan(_as_columns(geometry), dtype)
        self.images = max(1, NEAR_BYTES // _image_bytes(geometry, dtype))
        self.shape = geometry.in_channels * geometry.window.taps, geometry.window.positions
        # Kernels are the columns of a matrix as they lie.
        row = self.shape[0] * dtype.itemsize
        self.rows = np.arange(geometry.out_channels, dtype=np.int64) * row

    replayable = False

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
        columns = count * _image_bytes(self.geometry, self.dtype)
        return columns + self.inner.workspace_nbytes(count, workers)
