"""Copying, filling and adding stretches of flat memory, at any step: the kernels' inner loops."""

from numbaconv.kernels.jit import device
from numbaconv.problem.arrays import Array


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
