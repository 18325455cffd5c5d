"""Runs the backward pass of average pooling: each window's share flows back to its taps.

Where windows share little, each input's windows are found one by one. Else an input sums what lies
within a window's reach: shares, with zeros between them, are pooled with stride 1.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from numbaconv.kernels import recording
from numbaconv.native.pool import MEAN
from numbaconv.pooling import boxes, forward
from numbaconv.problem.arrays import Array, as_batch, native
from numbaconv.problem.geometry import Window
from numbaconv.problem.pool_geometry import PoolGeometry
from numbaconv.running import results

# Windows along an axis that hold an element, where they share little, and vectors of a row.
_FEW, _MOST_CELLS = 4, 1 << 17
# Elements of images whose shares are laid out at once.
_LAID = 1 << 17
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
        self.geometry, self.dtype = geometry, dtype
        window = geometry.window
        # Where all windows divide alike, the sums are divided, else each window's share is.
        factor = boxes.divisor_of(geometry, include_pad, divisor)
        self.divisors = None if factor else self._counts(include_pad)
        sizes, pads = [], []
        for n, o, k, s, d, (low, _) in zip(
            window.size, window.output, window.kernel, window.stride, window.dilation,
            window.padding, strict=True,
        ):  # fmt: skip
            reach = (k - 1) * d
            sizes.append(max((o - 1) * s + 1, n + low - reach))
            pads.append((reach - low, n + low - sizes[-1]))
        self.sizes = tuple(sizes)
        ones = (1,) * window.ndim
        sums = Window(self.sizes, window.kernel, ones, window.dilation, tuple(pads))
        self.sums = forward.planned(
            replace(geometry, window=sums), dtype, MEAN, include_pad=True, divisor=factor or 1
        )
        self.as_they_lie = self.divisors is None and self.sizes == window.output

    def _counts(self, include_pad: bool) -> Array:
        """Return what the windows of an image are divided by."""
        depths, rows, columns = self.geometry.counts(include_pad)
        counts = (depths[:, None, None] * rows[:, None] * columns).astype(self.dtype)
        counts = counts.reshape(counts.shape[3 - self.geometry.window.ndim :])
        return counts[..., None] if self.geometry.channels_last else counts

    def run(self, grad: Array, out: Array, parallel: bool) -> None:
        """Spread contiguous gradients of some images over contiguous memory."""
        if self.as_they_lie:
            self.sums.run(grad, out, None, parallel)
            if recording.active:
                recording.approve()
            return
        last = self.geometry.channels_last
        every: tuple[Any, ...] = tuple(
            slice(0, (o - 1) * s + 1, s)
            for o, s in zip(self.geometry.output, self.geometry.window.stride, strict=True)
        )
        every = (slice(None), *every) if last else (..., *every)
        shape = (*self.sizes, grad.shape[-1]) if last else (grad.shape[1], *self.sizes)
        step = max(1, _LAID // math.prod(shape))
        for n in range(0, len(grad), step):
            shares = grad[n : n + step]
            laid = np.zeros((len(shares), *shape), self.dtype)
            laid[every] = shares if self.divisors is None else shares / self.divisors
            self.sums.run(laid, out[n : n + step], None, parallel)


AnyPlan = Plan | boxes.Gradient


def planned(
    geometry: PoolGeometry, dtype: np.dtype[Any], include_pad: bool, divisor: int | None
) -> AnyPlan:
    """Return the plan of a gradient of this dtype; that of complex ones is of a part."""
    forward.require_machine_code()
    work, window = work_dtype(dtype), geometry.window
    if not _share_little(window):
        return Plan(geometry, work, include_pad, divisor)
    return boxes.Gradient(geometry, work, geometry.counts(include_pad, divisor))


def _share_little(window: Window) -> bool:
    """Return whether few windows hold an element, and a row's are so few that tables list them."""
    if set(window.dilation) != {1}:
        return False
    axes = zip(window.kernel, window.stride, window.output, strict=True)
    holding = [min(-(-k // s), o) for k, s, o in axes]
    return (
        max(holding) <= _FEW
        and (window.stride[-1] > 1 or holding[-1] == 1)
        and min(2 * window.output[-1], window.size[-1] >> 4) <= _MOST_CELLS
    )


def work_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype in which gradients are summed, or the parts of complex ones."""
    work = dtype.newbyteorder("=")
    if work == np.float16:
        return np.dtype(np.float32)
    return np.dtype(f"f{work.itemsize // 2}") if work.kind == "c" else work


def spread(plan: AnyPlan, grad: Array, out: Any, parallel: bool) -> Array:
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


def _run(plan: AnyPlan, grad: Array, out: Array, parallel: bool) -> None:
    """Spread all images at once, or one by one through suitable copies."""
    if all(a.dtype == plan.dtype and a.flags.carray for a in (grad, out)):
        plan.run(grad, out, parallel)
        return
    for n in range(len(grad)):
        fresh = np.empty(out[n : n + 1].shape, plan.dtype)
        plan.run(np.require(grad[n : n + 1], plan.dtype, _SUITABLE), fresh, parallel)
        out[n : n + 1] = fresh
