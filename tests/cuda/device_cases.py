"""Problems for the device's tests: small enough for the simulator, different along each axis."""

import numpy as np
from numba import cuda
from problems import Case

#: Forward problems: groups, dilation, strides that do not divide, all dimensions, all modes.
CASES = [
    Case(2, 4, 6, 2, (6, 5), (3, 2), (1, 1), ((1, 0), (0, 2)), (1, 1)),
    Case(1, 3, 5, 1, (7, 6), (2, 3), (2, 3), ((1, 2), (2, 1)), (2, 1)),
    Case(2, 3, 17, 1, (4, 5), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    Case(1, 3, 6, 3, (6, 7), (3, 3), (1, 2), ((1, 1), (0, 1)), (1, 1)),
    Case(1, 2, 2, 2, (9, 4), (3, 2), (1, 1), ((2, 0), (1, 1)), (1, 2)),
    Case(1, 2, 3, 1, (9,), (4,), (2,), ((1, 3),), (2,)),
    Case(1, 2, 2, 1, (3, 4, 5), (2, 1, 3), (1, 2, 1), ((0, 1), (0, 0), (1, 1)), (1, 1, 2)),
    Case(1, 2, 3, 1, (4, 3), (2, 3), (1, 1), ((2, 1), (4, 3)), (1, 1), "reflect"),
    Case(1, 2, 3, 1, (3, 4), (2, 2), (2, 1), ((1, 2), (0, 3)), (1, 2), "replicate"),
    Case(1, 2, 2, 2, (4, 3), (3, 2), (1, 1), ((5, 2), (1, 4)), (1, 1), "circular"),
    Case(1, 2, 2, 1, (4, 3), (2, 3), (1, 1), ((5, 2), (1, 4)), (1, 1), "symmetric"),
]

#: The layout is but strides to a kernel: one route takes both.
ROUTES = [
    ("im2col", "channels_first"), ("direct", "channels_first"), ("direct", "channels_last"),
]  # fmt: skip


def fill(memory, value):
    """Set all elements of an array of ours, or of flat memory."""
    array = memory if hasattr(memory, "copy_to_device") else cuda.as_cuda_array(memory)
    array.copy_to_device(np.full(array.shape, value, array.dtype))


def named(case):
    return f"{case.ndim}d-g{case.groups}-{case.mode}-{case.kernel}"
