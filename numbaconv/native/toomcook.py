"""The matrices of Winograd's minimal filtering, from interpolation points (Toom-Cook).

``Y = A.T ((G w) * (B.T x))`` computes m outputs of an r-tap filter with m + r - 1 multiplications:
A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, section 2. The
points 0, +-1/sqrt(2), +-sqrt(2) keep the error of n = 6 four times below that of the customary
0, +-1, +-2 (docs/performance.md has the measurement); B. Barabasz et al., "Error Analysis and
Improving the Accuracy of Winograd Convolution for Deep Neural Networks", ACM TOMS 46 (2020).
"""

import functools
import math

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

_ROOT = math.sqrt(2.0)
# The finite points by n; infinity is always the last.
_POINTS: dict[int, tuple[float, ...]] = {
    4: (0.0, 1.0, -1.0),
    6: (0.0, 1 / _ROOT, -1 / _ROOT, _ROOT, -_ROOT),
}


@functools.cache
def matrices(m: int, r: int) -> tuple[Matrix, Matrix, Matrix]:
    """Return ``A.T`` (m, n), ``G`` (n, r) and ``B.T`` (n, n) for n = m + r - 1."""
    n = m + r - 1
    if n == 1:
        return np.ones((1, 1)), np.ones((1, 1)), np.ones((1, 1))
    points = np.array(_POINTS[n])
    at, g, bt = np.zeros((m, n)), np.zeros((n, r)), np.zeros((n, n))
    for j, point in enumerate(points):
        others = np.delete(points, j)
        at[:, j] = point ** np.arange(m)
        g[j] = point ** np.arange(r) / np.prod(point - others)
        bt[j, : n - 1] = np.poly(others)[::-1]
    at[m - 1, n - 1] = g[n - 1, r - 1] = 1
    bt[n - 1] = np.poly(points)[::-1]
    for matrix in (at, g, bt):
        matrix[np.abs(matrix) < 1e-12] = 0
    return at, g, bt
