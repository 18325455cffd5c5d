"""The types of arguments that many doors share, and of which kind an array is."""

import sys
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

#: One int for all spatial axes, or one per axis.
IntOrAxes: TypeAlias = int | Sequence[int]
#: As `IntOrAxes`, or a (low, high) pair per axis, or a name.
PaddingName: TypeAlias = Literal["valid", "same", "same_lower"]
Padding: TypeAlias = int | Sequence[int] | Sequence[tuple[int, int]] | PaddingName
#: What the padding holds.
PaddingMode: TypeAlias = Literal["zeros", "reflect", "replicate", "circular", "symmetric"]
#: Where the channel axis stands.
Layout: TypeAlias = Literal["channels_first", "channels_last"]
#: Which way patches lie in their matrix.
Patches: TypeAlias = Literal["columns", "rows"]
#: How a convolution is computed.
Algorithm: TypeAlias = Literal[
    "auto", "exact", "im2col", "direct", "depthwise", "winograd", "fft"
]  # fmt: skip


# DLPack's numbers of CUDA's memory, and of CUDA's managed memory.
_DLPACK_CUDA = (2, 13)


def kind(value: Any) -> str:
    """Return "host", "dask" or "device"; nothing is imported to find out."""
    module = sys.modules.get("dask.array")
    if module is not None and isinstance(value, module.Array):
        return "dask"
    return "device" if _is_on_device(value) else "host"


def _is_on_device(value: Any) -> bool:
    """Return whether a value has the CUDA array interface, or is CUDA's by DLPack."""
    if type(value).__module__.startswith("numba.cuda."):
        return True  # in Numba's simulator arrays have no interface
    try:
        if hasattr(value, "__cuda_array_interface__"):
            return True
    except Exception:
        return True  # PyTorch's tensors that require a gradient raise when asked
    ask = getattr(value, "__dlpack_device__", None)
    return ask is not None and not isinstance(value, np.ndarray) and ask()[0] in _DLPACK_CUDA


def refuse_foreign(value: Any, name: str) -> None:
    """Raise TypeError for an array of another kind among NumPy's."""
    found = kind(value)
    if found == "dask":
        raise TypeError(
            f"{name} must be a NumPy array as the others are, got a dask array: call "
            f"{name}.compute(), or make x and gradients dask arrays by dask.array.from_array"
        )
    if found == "device":
        raise TypeError(
            f"{name} must be a NumPy array as the others are, got {type(value).__name__}, which "
            "lies on a device: copy it to the host first, or copy all others to the device, for "
            "example with numba.cuda.to_device"
        )
