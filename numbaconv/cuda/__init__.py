"""Convolution on NVIDIA GPUs: numbaconv's functions over device arrays, by `numba.cuda` kernels.

Needs the extra ``numbaconv[cuda]``. Import it by name: ``import numbaconv.cuda``.
"""

from importlib import metadata

import numpy as np

try:
    import numba.cuda.core.config
except ImportError as error:
    raise ImportError(
        "numbaconv.cuda needs the numba-cuda package: pip install 'numbaconv[cuda]'"
    ) from error
try:
    import numba.cuda.np.arrayobj  # noqa: F401  (what every compilation imports)
except AttributeError as error:
    raise ImportError(
        f"numba-cuda {metadata.version('numba-cuda')} cannot compile under NumPy {np.__version__} "
        f"({error}): pip install 'numbaconv[cuda]' brings a pair that works"
    ) from error

from numbaconv.cuda.backward import (
    conv1d_backward,
    conv2d_backward,
    conv3d_backward,
    conv_transpose1d_backward,
    conv_transpose2d_backward,
    conv_transpose3d_backward,
)
from numbaconv.cuda.conv import conv1d, conv2d, conv3d
from numbaconv.cuda.conv_transpose import conv_transpose1d, conv_transpose2d, conv_transpose3d
from numbaconv.cuda.im2col import col2im, im2col
from numbaconv.cuda.input_gradients import (
    conv1d_input_grad,
    conv2d_input_grad,
    conv3d_input_grad,
    conv_transpose1d_input_grad,
    conv_transpose2d_input_grad,
    conv_transpose3d_input_grad,
)
from numbaconv.cuda.weight_gradients import (
    conv1d_weight_grad,
    conv2d_weight_grad,
    conv3d_weight_grad,
    conv_transpose1d_weight_grad,
    conv_transpose2d_weight_grad,
    conv_transpose3d_weight_grad,
)

__all__ = [
    "col2im",
    "conv1d",
    "conv1d_backward",
    "conv1d_input_grad",
    "conv1d_weight_grad",
    "conv2d",
    "conv2d_backward",
    "conv2d_input_grad",
    "conv2d_weight_grad",
    "conv3d",
    "conv3d_backward",
    "conv3d_input_grad",
    "conv3d_weight_grad",
    "conv_transpose1d",
    "conv_transpose1d_backward",
    "conv_transpose1d_input_grad",
    "conv_transpose1d_weight_grad",
    "conv_transpose2d",
    "conv_transpose2d_backward",
    "conv_transpose2d_input_grad",
    "conv_transpose2d_weight_grad",
    "conv_transpose3d",
    "conv_transpose3d_backward",
    "conv_transpose3d_input_grad",
    "conv_transpose3d_weight_grad",
    "im2col",
]
