"""How the positions of a transposed convolution fall into phases, one axis at a time."""

import math
from typing import NamedTuple

#: Phases up to which small convolutions beat one GEMM and col2im.
MOST_PHASES = 16


class AxisPhase(NamedTuple):
    """Every stride-th position of the result along one axis, and the convolution that makes it."""

    first: int
    taps: slice  # of the kernel, flipped
    kernel: int
    dilation: int
    low: int  # padding of the input; where negative, so many positions are cut off
    high: int


def axis_phases(
    size: int, outputs: int, kernel: int, stride: int, dilation: int, low: int
) -> list[AxisPhase]:
    """Return the phases along an axis of the window's size, kernel, stride and so on."""
    between = stride // math.gcd(stride, dilation)  # taps of a phase are so far apart
    step = dilation // math.gcd(stride, dilation)
    found = []
    for first in range(min(stride, size)):
        remainder, place = (first + low) % stride, (first + low) // stride
        count = -(-(size - first) // stride)
        start = next((k for k in range(min(between, kernel)) if k * dilation % stride == remainder),
                     kernel)  # fmt: skip
        taps = -(-(kernel - start) // between)
        last = start + (taps - 1) * between
        reach = (taps - 1) * step
        front = reach + (start * dilation - remainder) // stride - place
        back = count - 1 + reach - front - (outputs - 1)
        if taps == 0 or outputs + min(front, 0) + min(back, 0) <= 0:
            taps, last, front, back = 0, 0, 0, 0
        chosen = slice(last, None, -between)
        found.append(AxisPhase(first, chosen, taps, step if taps > 1 else 1, front, back))
    return found
