"""New arrays of the caller's kind: PyTorch's and CuPy's, from their own pools of memory."""

import sys
from typing import Any

import numpy as np

from numbaconv.cuda.arrays import Ints


def empty(like: Any, shape: Ints, dtype: np.dtype[Any]) -> Any:
    """Return a new array of the library that an array is of; None for Numba's own.

    None as well for what is neither PyTorch's nor CuPy's, and for a dtype that the library lacks.
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(like, torch.Tensor):
        kind = getattr(torch, dtype.name, None)
        return None if kind is None else torch.empty(shape, dtype=kind, device=like.device)
    cupy = sys.modules.get("cupy")
    if cupy is not None and isinstance(like, cupy.ndarray):
        return cupy.empty(shape, dtype)
    return None
