"""Transposed convolution of signals to one channel: a product of patches, and their overlap-add.

The input is turned, so that the channels of a position lie together: a convolution with 1x1 kernels
then makes each position's patch, which is a run of the result, to be added where it belongs. The
fast way to inverse transforms, whose patches are long.
"""

from typing import Any

import numpy as np

from numbaconv.adjoint import product
from numbaconv.kernels import recording, workspace
from numbaconv.kernels.indexing import first_inside
from numbaconv.kernels.jit import native_available
from numbaconv.kernels.long_sums import SHORT_SUM
from numbaconv.native import emit
from numbaconv.native.link import call, copy_bytes
from numbaconv.native.moves import adder
from numbaconv.native.transpose import transposer
from numbaconv.problem.arrays import Array, address
from numbaconv.problem.geometry import ConvGeometry
from numbaconv.routes.direct import plan as direct
from numbaconv.routes.direct import turns
from numbaconv.running.packed import Packed
from numbaconv.teams import jobs

# Cycles of an element that is turned, of one that is added, of a patch; of the calls.
_TURN, _ADD, _PATCH = 0.5, 0.5, 40.0
_CALL = 30_000.0
# Positions of an image that a worker turns at a time, and elements of the result that it sums.
_TURNED, _SUMMED = 64, 4096


def refusal(geometry: ConvGeometry, dtype: np.dtype[Any]) -> str | None:
    """Return why this cannot run a problem, or None."""
    window = geometry.window
    if geometry.in_channels > 1 or geometry.channels_last:
        return "it takes channels first, and results of one channel"
    if window.ndim > 1 or window.dilation != (1,):
        return "patches are runs of the result along one axis alone, without dilation"
    if window.overlap > SHORT_SUM or not emit.supports(dtype):
        return "its sums would be long, or of another dtype than there are vectors of"
    if _image_bytes(geometry, dtype) > product.MOST_BYTES:
        return "the patches of an image would not fit its memory"
    return native_available()


def cost(geometry: ConvGeometry, dtype: np.dtype[Any]) -> float:
    """Return the estimated cycles of one core, weights' packing included."""
    window = geometry.window
    positions = geometry.batch * window.positions
    moved = positions * (window.taps * _ADD + _PATCH + geometry.out_channels * _TURN)
    return _CALL + moved + direct.cost(_as_rows(geometry), dtype, prepared=False)


def _image_bytes(geometry: ConvGeometry, dtype: np.dtype[Any]) -> int:
    row = max(geometry.window.taps, geometry.out_channels)
    return geometry.window.positions * row * dtype.itemsize


def _as_rows(geometry: ConvGeometry) -> ConvGeometry:
    """Return the convolution that makes patches: channels last, of 1x1 kernels."""
    return product.as_product(geometry, geometry.window.taps, channels_last=True)


class Plan:
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
        self.inner = direct.plan(_as_rows(geometry), dtype)
        self.images = max(1, product.NEAR_BYTES // _image_bytes(geometry, dtype))

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
                turns.turn, workers, count, parts, _TURNED, channels, positions, size,
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
