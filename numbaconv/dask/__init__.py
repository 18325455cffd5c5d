"""numbaconv's functions over `dask.array`: lazily, in any chunks, on one machine or many.

Needs the extra ``numbaconv[dask]``. Import it by name: ``import numbaconv.dask``.
"""

try:
    import dask.array  # noqa: F401
except ImportError as error:
    raise ImportError("numbaconv.dask needs Dask: pip install 'numbaconv[dask]'") from error

from numbaconv.dask.average_pooling import (
    avg_pool1d,
    avg_pool1d_backward,
    avg_pool2d,
    avg_pool2d_backward,
    avg_pool3d,
    avg_pool3d_backward,
)
from numbaconv.dask.backward import (
    conv1d_backward,
    conv2d_backward,
    conv3d_backward,
    conv_transpose1d_backward,
    conv_transpose2d_backward,
    conv_transpose3d_backward,
)
from numbaconv.dask.conv import (
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)
from numbaconv.dask.input_gradients import (
    conv1d_input_grad,
    conv2d_input_grad,
    conv3d_input_grad,
    conv_transpose1d_input_grad,
    conv_transpose2d_input_grad,
    conv_transpose3d_input_grad,
)
from numbaconv.dask.max_pooling import (
    max_pool1d,
    max_pool1d_backward,
    max_pool2d,
    max_pool2d_backward,
    max_pool3d,
    max_pool3d_backward,
    max_unpool1d,
    max_unpool2d,
    max_unpool3d,
)
from numbaconv.dask.weight_gradients import (
    conv1d_weight_grad,
    conv2d_weight_grad,
    conv3d_weight_grad,
    conv_transpose1d_weight_grad,
    conv_transpose2d_weight_grad,
    conv_transpose3d_weight_grad,
)

__all__ = [
    "avg_pool1d",
    "avg_pool1d_backward",
    "avg_pool2d",
    "avg_pool2d_backward",
    "avg_pool3d",
    "avg_pool3d_backward",
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
    "max_pool1d",
    "max_pool1d_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "max_pool3d",
    "max_pool3d_backward",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
]
