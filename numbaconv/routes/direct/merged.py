"""Volumes whose kernels touch one axis, or one plane: neighbouring axes of the rest are one axis.

A kernel of ``(k, 1, 1)`` slides over a plane whose rows are whole planes of the volume, and with
channels last one of ``(1, k, k)`` over a batch of all the volume's planes: longer rows, and nothing
is copied once for each depth.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from numbaconv.problem.arrays import Array
from numbaconv.problem.geometry import ConvGeometry, Window
from numbaconv.running.packed import Packed


def merged(geometry: ConvGeometry) -> ConvGeometry | None:
    """Return the same problem over fewer axes, with arrays of the same memory, or None."""
    window = geometry.window
    free = [
        k == s == 1 and not any(p)
        for k, s, p in zip(window.kernel, window.stride, window.padding, strict=True)
    ]
    if window.ndim != 3 or all(free):
        return None
    if free[1] and free[2]:
        return replace(geometry, window=_window(window, slice(0, 1), window.size[1:]))
    if free[0] and geometry.channels_last:
        batch = geometry.batch * window.size[0]
        return replace(geometry, batch=batch, window=_window(window, slice(1, 3), ()))
    return None


def _window(window: Window, kept: slice, merged: tuple[int, ...]) -> Window:
    """Return a window over the axes that are kept, and one of those that are merged, if any."""
    more = 1 if merged else 0
    return replace(
        window, size=window.size[kept] + (math.prod(merged),) * more,
        kernel=window.kernel[kept] + (1,) * more, stride=window.stride[kept] + (1,) * more,
        dilation=window.dilation[kept] + (1,) * more,
        padding=window.padding[kept] + ((0, 0),) * more,
    )  # fmt: skip


class Plan:
    """A problem that runs as one over fewer axes.

    Parameters
    ----------
    geometry : ConvGeometry
        What `merged` returned.
    dtype : dtype
        Of all arrays.
    plan : callable
        Returns the plan of a problem.
    """

    def __init__(
        self, geometry: ConvGeometry, dtype: np.dtype[Any],
        plan: Callable[[ConvGeometry, np.dtype[Any]], Any],
    ) -> None:  # fmt: skip
        self.inner = plan(geometry, dtype)
        self.input, self.output = (
            replace(geometry, batched=False).input_shape,
            replace(geometry, batched=False).output_shape,
        )
        self.replayable = self.inner.replayable
        self.chosen_gain = self.inner.chosen_gain

    @property
    def pack_key(self) -> Any:
        """What the packed form of the weights depends on, beside the weights."""
        return self.inner.pack_key

    @property
    def packed_nbytes(self) -> int:
        """The size of packed weights."""
        return int(self.inner.packed_nbytes)

    def pack(self, weight: Array, bias: Array | None, parallel: bool, *, keep: bool) -> Packed:
        """Return packed weights: those of fewer axes lie alike."""
        packed: Packed = self.inner.pack(weight, bias, parallel, keep=keep)
        return packed

    def run(self, x: Array, packed: Packed, out: Array, parallel: bool) -> None:
        """Write the convolution to `out`."""
        target = out.reshape(-1, *self.output)
        source = np.ascontiguousarray(x).reshape(len(target), *self.input)  # which may be empty
        self.inner.run(source, packed, target, parallel)

    def workspace_nbytes(self, images: int, workers: int) -> int:
        """Return the memory that `run` borrows, with as many merged images."""
        return int(self.inner.workspace_nbytes(images, workers))
