"""How kernels find their way: windows, patches and axes as jitted functions, and runs of memory.

In a patch the order is channel, tap (`channel_major`) or tap, channel.
"""

from typing import NamedTuple

from numbaconv.kernels.jit import device, unpacker
from numbaconv.problem import formulas
from numbaconv.problem.arrays import Array, Table
from numbaconv.problem.geometry import Axes

source_index = device(formulas.source_index)
first_inside = device(formulas.first_inside)
end_inside = device(formulas.end_inside)
first_reaching = device(formulas.first_reaching)
end_reaching = device(formulas.end_reaching)
reached_from = device(formulas.reached_from)


class Strides(NamedTuple):
    """Where an array's first element stands inside a kernel, and how far its axes' steps lead."""

    base: int
    image: int
    channel: int
    depth: int
    row: int
    column: int


unpack_place = unpacker(Strides)


class Walk(NamedTuple):
    """The spatial sizes and steps of an array, inside a kernel."""

    sizes: Axes
    steps: Axes


#: Of `numbaconv.problem.arrays.spatial_walk`.
unpack_walk = unpacker(Walk)


class WindowAxes(NamedTuple):
    """A window inside a kernel, always of three spatial axes."""

    size: Axes
    kernel: Axes
    output: Axes
    stride: Axes
    dilation: Axes
    low: Axes
    mode: int


#: Of `Window.packed`.
unpack_window = unpacker(WindowAxes)


@device
def patch_index(c: int, tap: int, channels: int, taps: int, channel_major: bool) -> int:
    """Return where channel `c` at kernel position `tap` stands in a patch."""
    return c * taps + tap if channel_major else tap * channels + c


@device
def split_axes(i: int, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return the three indices of flat index `i` in an array of this shape."""
    rest = i // shape[2]
    return rest // shape[1], rest % shape[1], i % shape[2]


@device
def spatial_strides(place: Table) -> tuple[int, int, int]:
    """Return the strides of the three spatial axes from a `Flat.place`."""
    return place[3], place[4], place[5]


@device
def copy_run(
    source: Array, start: int, stride: int, target: Array, first: int, step: int, n: int
) -> None:
    """Copy `n` elements of `source` at `stride` to `target` at `step`."""
    if stride == 1 and step == 1:
        # Through views that begin at 0, so that Numba drops its test for negative indices and
        # LLVM makes vectors of it.
        s = source[start : start + n]
        t = target[first : first + n]
        for j in range(n):
            t[j] = s[j]
    elif step == 1:
        t = target[first : first + n]
        for j in range(n):
            t[j] = source[start + j * stride]
    else:
        for j in range(n):
            target[first + j * step] = source[start + j * stride]


@device
def fill_run(target: Array, first: int, step: int, n: int) -> None:
    """Write `n` zeros."""
    if step == 1:
        t = target[first : first + n]
        for j in range(n):
            t[j] = 0
    else:
        for j in range(n):
            target[first + j * step] = 0


@device
def add_run(
    source: Array, start: int, stride: int, target: Array, first: int, step: int, n: int
) -> None:
    """Add `n` elements of `source` at `stride` to those of `target` at `step`."""
    if stride == 1 and step == 1:
        s = source[start : start + n]
        t = target[first : first + n]
        for j in range(n):
            t[j] += s[j]
    else:
        for j in range(n):
            target[first + j * step] += source[start + j * stride]
