"""Convolution on NVIDIA GPUs: numbaconv's functions over device arrays, by `numba.cuda` kernels.

Needs the extra ``numbaconv[cuda]``. `numbaconv.conv2d` and its kin take anything with
``__cuda_array_interface__``, or on such a device by DLPack, of any strides; the functions here are
the same ones, by the same names, and refuse arrays of another kind.

Results are `out`, or new arrays of the kind of `x` (PyTorch's, CuPy's, else Numba's). They are
written on the stream that the interface of the first argument names (or else of another one);
nothing is waited for.
``algorithm="im2col"`` makes the column matrix in device memory and multiplies it, by cuBLAS where
CuPy is installed; ``"direct"`` gathers patches into shared memory as they are multiplied;
``"depthwise"`` needs groups of one input channel. All form and sum every product. ``parallel`` has
no meaning here. The source is S. Chetlur et al., "cuDNN: Efficient primitives for deep learning",
arXiv:1410.0759, section 3.

Examples
--------
>>> import numpy as np
>>> from numba import cuda
>>> import numbaconv as nbc
>>> image = cuda.to_device(np.arange(25.0).reshape(1, 1, 5, 5))
>>> nbc.conv2d(image, cuda.to_device(np.ones((1, 1, 3, 3)))).copy_to_host()
array([[[[ 54.,  63.,  72.],
         [ 99., 108., 117.],
         [144., 153., 162.]]]])
>>> cols = nbc.im2col(cuda.to_device(np.arange(9.0).reshape(1, 3, 3)), (2, 2))
>>> cols.copy_to_host()
array([[0., 1., 3., 4.],
       [1., 2., 4., 5.],
       [3., 4., 6., 7.],
       [4., 5., 7., 8.]])
>>> nbc.col2im(cols, (3, 3), (2, 2)).copy_to_host()
array([[[ 0.,  2.,  2.],
        [ 6., 16., 10.],
        [ 6., 14.,  8.]]])
"""

from collections.abc import Callable
from importlib import metadata
from typing import ParamSpec, TypeVar

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

import numbaconv as doors
from numbaconv.api.backends import narrowed
from numbaconv.cuda import arrays

P = ParamSpec("P")
R = TypeVar("R")


def _on_device(door: Callable[P, R]) -> Callable[P, R]:
    """Return a door that refuses what does not lie on the device."""
    return narrowed(door, __name__, "device", arrays.take)


col2im = _on_device(doors.col2im)
conv1d = _on_device(doors.conv1d)
conv1d_backward = _on_device(doors.conv1d_backward)
conv1d_input_grad = _on_device(doors.conv1d_input_grad)
conv1d_weight_grad = _on_device(doors.conv1d_weight_grad)
conv2d = _on_device(doors.conv2d)
conv2d_backward = _on_device(doors.conv2d_backward)
conv2d_input_grad = _on_device(doors.conv2d_input_grad)
conv2d_weight_grad = _on_device(doors.conv2d_weight_grad)
conv3d = _on_device(doors.conv3d)
conv3d_backward = _on_device(doors.conv3d_backward)
conv3d_input_grad = _on_device(doors.conv3d_input_grad)
conv3d_weight_grad = _on_device(doors.conv3d_weight_grad)
conv_transpose1d = _on_device(doors.conv_transpose1d)
conv_transpose1d_backward = _on_device(doors.conv_transpose1d_backward)
conv_transpose1d_input_grad = _on_device(doors.conv_transpose1d_input_grad)
conv_transpose1d_weight_grad = _on_device(doors.conv_transpose1d_weight_grad)
conv_transpose2d = _on_device(doors.conv_transpose2d)
conv_transpose2d_backward = _on_device(doors.conv_transpose2d_backward)
conv_transpose2d_input_grad = _on_device(doors.conv_transpose2d_input_grad)
conv_transpose2d_weight_grad = _on_device(doors.conv_transpose2d_weight_grad)
conv_transpose3d = _on_device(doors.conv_transpose3d)
conv_transpose3d_backward = _on_device(doors.conv_transpose3d_backward)
conv_transpose3d_input_grad = _on_device(doors.conv_transpose3d_input_grad)
conv_transpose3d_weight_grad = _on_device(doors.conv_transpose3d_weight_grad)
im2col = _on_device(doors.im2col)

__all__ = sorted(
    name for name in doors.__all__ if getattr(globals().get(name), "__module__", "") == __name__
)
