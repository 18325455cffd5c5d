"""numbaconv: fast convolution for NumPy arrays, in pure Python and Numba."""

from numbaconv.conv import conv1d, conv2d, conv3d
from numbaconv.im2col import col2im, im2col, kernel_matrix

__all__ = ["col2im", "conv1d", "conv2d", "conv3d", "im2col", "kernel_matrix"]
