"""What a call on the device costs the host, with a driver that does nothing: no GPU is needed.

::

    python -m benchmarks.cuda.host

Each call has been made before with the same shapes. Least and median of some hundred, in
microseconds.
"""

import math
import statistics
import struct
import time
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
from numba import cuda

import numbaconv as nbc
from numbaconv.cuda import compiled, launch


class _Array:
    """An array of no memory at an address of its own."""

    _addresses = iter(range(0x7F00_0000_0000, 0x7FFF_0000_0000, 1 << 30))

    def __init__(self, *shape: int, dtype: Any = "f4") -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self.size = math.prod(shape)
        self.nbytes = self.size * self.dtype.itemsize
        self.device_ctypes_pointer = SimpleNamespace(value=next(self._addresses))

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape, "typestr": self.dtype.str, "strides": None, "version": 2,
            "data": (self.device_ctypes_pointer.value, False),
        }  # fmt: skip


def _load(self: Any, kernel: Any, context: Any, kinds: tuple[Any, ...]) -> None:
    """Prepare a kernel that is never compiled."""
    layout = "".join(k[0] * k[1] if isinstance(k, tuple) else "P" for k in kinds)
    self.context, self._function, self._parameters = context, None, 0
    self._pack = struct.Struct("@" + layout)
    self._block = bytearray(self._pack.size)


def main() -> None:
    """Print a line for each function."""
    x, weight, y = _Array(32, 128, 28, 28), _Array(128, 128, 3, 3), _Array(32, 128, 28, 28)
    cols = _Array(32, 1152, 784)
    calls = {
        "conv2d": lambda: nbc.conv2d(x, weight, padding=1, out=y),
        "conv2d_input_grad": lambda: nbc.conv2d_input_grad(x.shape, weight, y, padding=1, out=x),
        "conv2d_weight_grad": lambda: nbc.conv2d_weight_grad(
            x, weight.shape, y, padding=1, out=weight
        ),
        "im2col": lambda: nbc.im2col(x, (3, 3), padding=1, out=cols),
    }
    context = SimpleNamespace(extras={}, device=SimpleNamespace(compute_capability=(9, 0)))
    nothing = SimpleNamespace(
        cuLaunchKernel=lambda *_: (0,), cuMemcpyDtoDAsync=lambda *_: (0,)
    )  # fmt: skip
    replaced = SimpleNamespace(jit=cuda.jit, current_context=lambda: context, compile=cuda.compile)
    with (
        mock.patch.object(launch, "cuda", replaced),
        mock.patch.object(compiled, "cuda", replaced),
        mock.patch.object(compiled, "driver", nothing),
        mock.patch.object(compiled._Loaded, "__init__", _load),
        mock.patch.object(launch, "allocate", lambda shape, dtype, _: _Array(*shape, dtype=dtype)),
    ):
        for name, call in calls.items():
            for _ in range(50):
                call()
            times = []
            for _ in range(400):
                start = time.perf_counter()
                call()
                times.append(1e6 * (time.perf_counter() - start))
            print(f"{name:20} {min(times):6.0f} {statistics.median(times):6.0f}")


if __name__ == "__main__":
    main()
