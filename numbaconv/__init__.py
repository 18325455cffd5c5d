"""numbaconv: fast convolution for NumPy arrays, in pure Python and Numba."""

from numbaconv.conv import conv1d, conv2d, conv3d
from numbaconv.explanation import Plan, algorithms, explain
from numbaconv.im2col import col2im, im2col, kernel_matrix
from numbaconv.layers import Conv1d, Conv2d, Conv3d

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "Plan",
    "algorithms",
    "col2im",
    "conv1d",
    "conv2d",
    "conv3d",
    "explain",
    "im2col",
    "kernel_matrix",
]
