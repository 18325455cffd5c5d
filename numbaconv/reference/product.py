"""The product of two contiguous matrices inside kernels: BLAS for floats, a loop for integers."""

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from numbaconv.kernels.jit import OPTIONS, device
from numbaconv.problem.arrays import Array


def multiply(a: Array, b: Array, out: Array) -> None:
    """Write ``a @ b`` to `out`; integers wrap. In kernels it is compiled by the dtype."""
    np.dot(a, b, out)


@overload(multiply, jit_options=OPTIONS)  # type: ignore[untyped-decorator]
def _multiply(a: Any, b: Any, out: Any) -> Any:
    if isinstance(a.dtype, types.Integer):
        return _multiply_integers

    def impl(a: Any, b: Any, out: Any) -> None:
        np.dot(a, b, out)

    return impl


def _multiply_integers(a: Any, b: Any, out: Any) -> None:
    # Four rows at a time: each row of b is then loaded a quarter as often.
    rows = a.shape[0]
    quads = rows - rows % 4
    for i in range(rows):
        for j in range(b.shape[1]):
            out[i, j] = 0
    for i in range(0, quads, 4):
        for k in range(a.shape[1]):
            add_four(a[i, k], a[i + 1, k], a[i + 2, k], a[i + 3, k], b[k], out, i)
    for i in range(quads, rows):
        for k in range(a.shape[1]):
            add_multiple(a[i, k], b[k], out[i])


@device
def add_four(a0: Any, a1: Any, a2: Any, a3: Any, row: Array, out: Array, i: int) -> None:
    """Add multiples of one row to four rows of `out`."""
    o0, o1, o2, o3 = out[i], out[i + 1], out[i + 2], out[i + 3]
    for j in range(row.size):
        o0[j] += a0 * row[j]
        o1[j] += a1 * row[j]
        o2[j] += a2 * row[j]
        o3[j] += a3 * row[j]


@device
def add_multiple(a: Any, row: Array, out: Array) -> None:
    """Add a multiple of one row to another."""
    for j in range(row.size):
        out[j] += a * row[j]
