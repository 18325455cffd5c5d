"""What the backend of NumPy's arrays has: see `numbaconv.api.backends.Backend`.

A function's module is imported when it is first asked for, so that ``import numbaconv`` is quick.
"""

import importlib
from typing import Any

from numbaconv.problem.arguments import as_array as take

__all__ = ["take"]

_MODULES = {
    "convolution": ("bias_grad", "convolve", "input_grad", "weight_grad"),
    "matrices": ("col2im", "im2col"),
    "pools": (
        "adaptive_avg_pool", "adaptive_avg_pool_backward", "adaptive_max_pool", "avg_pool",
        "avg_pool_backward", "max_pool", "max_pool_backward", "max_unpool",
    ),
}  # fmt: skip


def __getattr__(name: str) -> Any:
    for module, functions in _MODULES.items():
        if name in functions:
            found = getattr(importlib.import_module(f"numbaconv.host.{module}"), name)
            globals()[name] = found
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
