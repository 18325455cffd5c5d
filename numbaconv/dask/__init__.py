"""numbaconv's functions over `dask.array`: lazily, in any chunks, on one machine or many.

Needs the extra ``numbaconv[dask]``. `numbaconv.conv2d` and its kin take dask arrays; the functions
here are the same ones, by the same names, and refuse arrays of another kind.

An array may be in any chunks: where windows cross from one to the next, a block gets its
neighbours' borders, and results over chunks of channels are added up. Results have a block for each
chunk: that of the windows whose middle lies in it. Weights and biases may be dask's or NumPy's;
every task gets all of them. The gradient of the weights is one chunk, added as a tree; what goes by
indices (`max_pool*_backward`, `max_unpool*`) makes one chunk of spatial axes. ``algorithm="auto"``
chooses once, from the whole problem. There is no ``out``, and ``parallel`` has no meaning: a task
uses the thread that Dask runs it in.

Examples
--------
>>> import dask.array as da
>>> import numpy as np
>>> import numbaconv as nbc
>>> images = da.ones((8, 3, 100, 100), chunks=(4, 3, 50, 30), dtype=np.float32)
>>> maps = nbc.conv2d(images, np.ones((2, 3, 3, 3), np.float32), padding="same")
>>> maps.chunks
((4, 4), (2,), (50, 50), (30, 30, 30, 10))
>>> float(maps[0, 0, 49, 29].compute())
27.0
>>> x, grad = (da.ones((4, 1, n, n), chunks=(1, 1, 5, 4)) for n in (11, 9))
>>> nbc.conv2d_weight_grad(x, (1, 1, 3, 3), grad)[0, 0].compute()
array([[324., 324., 324.],
       [324., 324., 324.],
       [324., 324., 324.]])
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

try:
    import dask.array  # noqa: F401
except ImportError as error:
    raise ImportError("numbaconv.dask needs Dask: pip install 'numbaconv[dask]'") from error

import numbaconv as doors
from numbaconv.api.backends import narrowed
from numbaconv.dask import arrays

P = ParamSpec("P")
R = TypeVar("R")


def _lazy(door: Callable[P, R]) -> Callable[P, R]:
    """Return a door that refuses what is not a dask array."""
    return narrowed(door, __name__, "dask", arrays.lazy)


adaptive_avg_pool1d = _lazy(doors.adaptive_avg_pool1d)
adaptive_avg_pool1d_backward = _lazy(doors.adaptive_avg_pool1d_backward)
adaptive_avg_pool2d = _lazy(doors.adaptive_avg_pool2d)
adaptive_avg_pool2d_backward = _lazy(doors.adaptive_avg_pool2d_backward)
adaptive_avg_pool3d = _lazy(doors.adaptive_avg_pool3d)
adaptive_avg_pool3d_backward = _lazy(doors.adaptive_avg_pool3d_backward)
adaptive_max_pool1d = _lazy(doors.adaptive_max_pool1d)
adaptive_max_pool2d = _lazy(doors.adaptive_max_pool2d)
adaptive_max_pool3d = _lazy(doors.adaptive_max_pool3d)
avg_pool1d = _lazy(doors.avg_pool1d)
avg_pool1d_backward = _lazy(doors.avg_pool1d_backward)
avg_pool2d = _lazy(doors.avg_pool2d)
avg_pool2d_backward = _lazy(doors.avg_pool2d_backward)
avg_pool3d = _lazy(doors.avg_pool3d)
avg_pool3d_backward = _lazy(doors.avg_pool3d_backward)
conv1d = _lazy(doors.conv1d)
conv1d_backward = _lazy(doors.conv1d_backward)
conv1d_input_grad = _lazy(doors.conv1d_input_grad)
conv1d_weight_grad = _lazy(doors.conv1d_weight_grad)
conv2d = _lazy(doors.conv2d)
conv2d_backward = _lazy(doors.conv2d_backward)
conv2d_input_grad = _lazy(doors.conv2d_input_grad)
conv2d_weight_grad = _lazy(doors.conv2d_weight_grad)
conv3d = _lazy(doors.conv3d)
conv3d_backward = _lazy(doors.conv3d_backward)
conv3d_input_grad = _lazy(doors.conv3d_input_grad)
conv3d_weight_grad = _lazy(doors.conv3d_weight_grad)
conv_transpose1d = _lazy(doors.conv_transpose1d)
conv_transpose1d_backward = _lazy(doors.conv_transpose1d_backward)
conv_transpose1d_input_grad = _lazy(doors.conv_transpose1d_input_grad)
conv_transpose1d_weight_grad = _lazy(doors.conv_transpose1d_weight_grad)
conv_transpose2d = _lazy(doors.conv_transpose2d)
conv_transpose2d_backward = _lazy(doors.conv_transpose2d_backward)
conv_transpose2d_input_grad = _lazy(doors.conv_transpose2d_input_grad)
conv_transpose2d_weight_grad = _lazy(doors.conv_transpose2d_weight_grad)
conv_transpose3d = _lazy(doors.conv_transpose3d)
conv_transpose3d_backward = _lazy(doors.conv_transpose3d_backward)
conv_transpose3d_input_grad = _lazy(doors.conv_transpose3d_input_grad)
conv_transpose3d_weight_grad = _lazy(doors.conv_transpose3d_weight_grad)
max_pool1d = _lazy(doors.max_pool1d)
max_pool1d_backward = _lazy(doors.max_pool1d_backward)
max_pool2d = _lazy(doors.max_pool2d)
max_pool2d_backward = _lazy(doors.max_pool2d_backward)
max_pool3d = _lazy(doors.max_pool3d)
max_pool3d_backward = _lazy(doors.max_pool3d_backward)
max_unpool1d = _lazy(doors.max_unpool1d)
max_unpool2d = _lazy(doors.max_unpool2d)
max_unpool3d = _lazy(doors.max_unpool3d)

__all__ = sorted(
    name for name in doors.__all__ if getattr(globals().get(name), "__module__", "") == __name__
)
