"""Runs the backward pass of average pooling: each window's share flows back to its taps.

An input sums what the windows that reach it bring. Along a row, inputs a stride apart are reached
by neighbouring windows, so each phase of the stride is a line for the same native function as the
forward's.
"""

import math
from typing import Any

import numpy as np

from numbaconv.kernels import recording, threads
from numbaconv.native import isa
from numbaconv.native.pool import LONG_MEAN, MEAN, SHORT_SUM, reducer
from numbaconv.pooling import loops
from numbaconv.pooling.forward import MOST_PIECE, cut_lines, require_machine_code
from numbaconv.problem.arrays import Array, address, as_batch, native
from numbaconv.problem.geometry import Window, three_axes
from numbaconv.problem.pool_geometry import PoolGeometry
from numbaconv.running import results
from numbaconv.teams import jobs

# Strides up to which phases are written; beyond, each position by itself.
_MOST_PHASES = 8
# Bytes of the results of a block of planes, and elements of images that are divided at once.
_BLOCK_BYTES = 1 << 17
_DIVIDED = 1 << 17
_SUITABLE: Any = ("C_CONTIGUOUS", "ALIGNED")


class Plan:
    """Everything that follows from geometry, dtype and what means are divided by.

    Parameters
    ----------
    geometry : PoolGeometry
        The forward's.
    dtype : dtype
        float32 or float64.
    include_pad : bool
        Whether a mean counts padded taps.
    divisor : int or None
        What a mean is divided by instead.
    """

    def __init__(
        self, geometry: PoolGeometry, dtype: np.dtype[Any], include_pad: bool, divisor: int | None
    ) -> None:
        require_machine_code()
        self.geometry, self.dtype = geometry, dtype
        window = geometry.window
        self.axis_counts = geometry.counts(include_pad)
        # Where all windows divide alike, the sums are divided, else each window's share is.
        self.uniform = divisor is not None or all(
            bool(np.all(a == a[0])) for a in self.axis_counts
        )  # fmt: skip
        self.factor = 1
        if divisor is not None:
            self.factor = divisor
        elif self.uniform:
            self.factor = math.prod(int(a[0]) for a in self.axis_counts)
        size, stride = (three_axes(a, 1)[2] for a in (window.size, window.stride))
        last = geometry.channels_last
        self.phases = size if last or stride > _MOST_PHASES else min(stride, size)
        apart = 1 if last or self.phases == size else stride
        length = geometry.channels if last else -(-size // self.phases)
        kind = MEAN if window.taps <= SHORT_SUM else LONG_MEAN
        self.inverses = _inverses(window)
        tall, wide = (
            -(-k // int(every))
            for k, every in zip(three_axes(window.kernel, 1)[1:], self.inverses[2::2], strict=True)
        )
        self.native = reducer(
            kind, 1, dtype, unsigned=False, length=length, columns=not last, deep=window.ndim == 3,
            tall=tall, wide=wide, apart=apart,
        )  # fmt: skip
        held = length if last else min(length, MOST_PIECE)
        self.counts = np.ones(held + isa.host().lanes(dtype), dtype)
        self.window = window.packed
        self.scratch = threads.Scratch(1)

    def run(self, grad: Array, out: Array, parallel: bool) -> None:
        """Spread contiguous gradients of some images over contiguous memory."""
        window = self.geometry.window
        if window.kernel == window.size and not window.is_padded:
            # One window that covers all: NumPy repeats its share at the speed of memory.
            out[...] = grad / self.dtype.type(self.factor)
            return
        if self.uniform:
            self._run(grad, out, parallel)
            if recording.active:
                recording.keep(constants=(self.counts,))
                recording.approve()
            return
        step = max(1, _DIVIDED // max(grad[0].size, 1))
        divisors = self._divisors()
        for n in range(0, len(grad), step):
            self._run(grad[n : n + step] / divisors, out[n : n + step], parallel)

    def _divisors(self) -> Array:
        """Return what the windows of an image are divided by."""
        depths, rows, columns = self.axis_counts
        counts = depths[:, None, None] * rows[:, None] * columns
        shape = three_axes(self.geometry.window.output, 1)
        counts = np.broadcast_to(counts, shape).reshape(self.geometry.window.output)
        counts = counts.astype(self.dtype)
        return counts[..., None] if self.geometry.channels_last else counts

    def _run(self, grad: Array, out: Array, parallel: bool) -> None:
        geometry, size = self.geometry, self.dtype.itemsize
        last = geometry.channels_last
        _, height, width = three_axes(geometry.window.output, 1)
        pixel = geometry.channels * size if last else size
        plane = geometry.window.positions * pixel
        planes = len(grad) if last else len(grad) * geometry.channels
        work = out.size * geometry.window.taps
        workers = jobs.team_size(planes * height, work=work, parallel=parallel)
        nbytes = out.nbytes // planes
        block = max(1, min(_BLOCK_BYTES // nbytes, -(-planes // (4 * workers))))
        depth, rows, columns = three_axes(geometry.window.size, 1)
        piece, parts = cut_lines(
            planes, block, 1, depth * rows * self.phases, -(-columns // self.phases),
            geometry.window.taps, workers, whole=last, across=geometry.channels, most=MOST_PIECE,
        )  # fmt: skip
        shape = loops.Shape(
            size=size, channels=geometry.channels, channels_last=int(last), planes=planes, groups=1,
            block=block, parts=parts, piece=piece, uniform=1, x_group=0, x_plane=plane,
            x_channel=size,
            x_depth=height * width * pixel, x_row=width * pixel, x_column=pixel,
        )  # fmt: skip
        packed = np.array(shape, np.int64)
        scratch = self.scratch.take(workers)
        tasks = -(-planes // block) * parts
        for begin, end in threads.ranges(tasks, work, threads.MOST_TAPS):
            jobs.run(
                loops.spread, workers, begin, end, address(grad), address(out),
                self.native, *scratch, packed, self.window, self.inverses, self.phases,
                self.factor, address(self.counts),
            )  # fmt: skip
        self.scratch.give_back(scratch)


def _inverses(window: Window) -> Array:
    """Return for each axis how far apart taps are that reach one input, and an inverse.

    See `numbaconv.problem.formulas.reaching_tap`.
    """
    found = []
    for stride, dilation in zip(
        three_axes(window.stride, 1), three_axes(window.dilation, 1), strict=True
    ):
        common = math.gcd(stride, dilation)
        apart = stride // common
        found += [apart, pow(dilation // common, -1, apart) if apart > 1 else 0]
    return np.array(found, np.int64)


def planned(
    geometry: PoolGeometry, dtype: np.dtype[Any], include_pad: bool, divisor: int | None
) -> Plan:
    """Return the plan of a gradient of this dtype; that of complex ones is of a part."""
    work = dtype.newbyteorder("=")
    if work == np.float16:
        work = np.dtype(np.float32)
    elif work.kind == "c":
        work = np.dtype(f"f{work.itemsize // 2}")
    return Plan(geometry, work, include_pad, divisor)


def spread(plan: Plan, grad: Array, out: Any, parallel: bool) -> Array:
    """Return the gradient of the input, from that of the means."""
    dtype, geometry = native(grad.dtype), plan.geometry

    def compute(target: Array) -> None:
        if not target.size:
            return
        source, images = as_batch(grad, geometry.batched), as_batch(target, geometry.batched)
        if dtype.kind == "c":
            _run(plan, source.real, images.real, parallel)
            _run(plan, source.imag, images.imag, parallel)
        else:
            _run(plan, source, images, parallel)

    return results.into(out, geometry.input_shape, dtype, (grad,), compute)


def _run(plan: Plan, grad: Array, out: Array, parallel: bool) -> None:
    """Spread all images at once, or one by one through suitable copies."""
    if all(a.dtype == plan.dtype and a.flags.carray for a in (grad, out)):
        plan.run(grad, out, parallel)
        return
    for n in range(len(grad)):
        fresh = np.empty(out[n : n + 1].shape, plan.dtype)
        plan.run(np.require(grad[n : n + 1], plan.dtype, _SUITABLE), fresh, parallel)
        out[n : n + 1] = fresh
