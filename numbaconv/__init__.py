"""numbaconv: fast convolution for NumPy arrays, in pure Python and Numba."""

import importlib
import inspect
from typing import TYPE_CHECKING, Any

from numbaconv import nopython
from numbaconv.api.adaptive_avg_pool import (
    adaptive_avg_pool1d,
    adaptive_avg_pool1d_backward,
    adaptive_avg_pool2d,
    adaptive_avg_pool2d_backward,
    adaptive_avg_pool3d,
    adaptive_avg_pool3d_backward,
)
from numbaconv.api.adaptive_max_pool import (
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
)
from numbaconv.api.avg_pool import (
    avg_pool1d,
    avg_pool1d_backward,
    avg_pool2d,
    avg_pool2d_backward,
    avg_pool3d,
    avg_pool3d_backward,
)
from numbaconv.api.backward import (
    conv1d_backward,
    conv2d_backward,
    conv3d_backward,
    conv_transpose1d_backward,
    conv_transpose2d_backward,
    conv_transpose3d_backward,
)
from numbaconv.api.conv import conv1d, conv2d, conv3d
from numbaconv.api.conv_transpose import conv_transpose1d, conv_transpose2d, conv_transpose3d
from numbaconv.api.input_grad import (
    conv1d_input_grad,
    conv2d_input_grad,
    conv3d_input_grad,
    conv_transpose1d_input_grad,
    conv_transpose2d_input_grad,
    conv_transpose3d_input_grad,
)
from numbaconv.api.matrices import col2im, im2col, kernel_matrix
from numbaconv.api.max_pool import (
    max_pool1d,
    max_pool1d_backward,
    max_pool2d,
    max_pool2d_backward,
    max_pool3d,
    max_pool3d_backward,
)
from numbaconv.api.max_unpool import max_unpool1d, max_unpool2d, max_unpool3d
from numbaconv.api.weight_grad import (
    conv1d_weight_grad,
    conv2d_weight_grad,
    conv3d_weight_grad,
    conv_transpose1d_weight_grad,
    conv_transpose2d_weight_grad,
    conv_transpose3d_weight_grad,
)
from numbaconv.kernels.held import Memory, memory, release_memory
from numbaconv.problem.parsing import Gradients
from numbaconv.problem.types import Algorithm, IntOrAxes, Layout, Padding, PaddingMode, Patches

if TYPE_CHECKING:
    from numbaconv.api.explain import Plan, algorithms, explain
    from numbaconv.api.layers import Conv1d, Conv2d, Conv3d
    from numbaconv.api.scipys import patch_scipy, unpatch_scipy
    from numbaconv.api.warmup import warmup

__all__ = [
    "Algorithm",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "Gradients",
    "IntOrAxes",
    "Layout",
    "Memory",
    "Padding",
    "PaddingMode",
    "Patches",
    "Plan",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool1d_backward",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool2d_backward",
    "adaptive_avg_pool3d",
    "adaptive_avg_pool3d_backward",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "algorithms",
    "avg_pool1d",
    "avg_pool1d_backward",
    "avg_pool2d",
    "avg_pool2d_backward",
    "avg_pool3d",
    "avg_pool3d_backward",
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
    "explain",
    "im2col",
    "kernel_matrix",
    "max_pool1d",
    "max_pool1d_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "max_pool3d",
    "max_pool3d_backward",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "memory",
    "patch_scipy",
    "release_memory",
    "unpatch_scipy",
    "warmup",
]

# What is imported when it is first asked for, so that ``import numbaconv`` is quick.
_LATER = {
    "explain": ("Plan", "algorithms", "explain"),
    "layers": ("Conv1d", "Conv2d", "Conv3d"),
    "scipys": ("patch_scipy", "unpatch_scipy"),
    "warmup": ("warmup",),
}

nopython.register(found for found in list(globals().values()) if inspect.isfunction(found))


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("numbaconv")
    for module, names in _LATER.items():
        if name in names:
            found = getattr(importlib.import_module(f"numbaconv.api.{module}"), name)
            globals()[name] = found
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(globals() | dict.fromkeys(__all__))
