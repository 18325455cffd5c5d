"""Volumes whose kernels touch one axis, or one plane: neighbouring axes of the rest are one axis.

A kernel of ``(k, 1, 1)`` slides over a plane whose rows are whole planes of the volume, and with
channels last one of ``(1, k, k)`` over a batch of all the volume's planes: longer rows, and nothing
is copied once for each depth.
"""

import math
from dataclasses import replace

from numbaconv.problem.geometry import ConvGeometry, Window


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
