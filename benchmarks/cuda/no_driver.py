"""A driver that does nothing but say what it is told to do: for what needs no GPU."""

import contextlib
import ctypes
import itertools
import math
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
from numba import cuda

from numbaconv.cuda import compiled, launch, replay


class Array:
    """An array of no memory at an address of its own.

    Parameters
    ----------
    *shape : int
        Its shape.
    dtype : dtype, optional
        Of its elements.
    strides : tuple of int, optional
        In bytes; by default those of a contiguous one.
    """

    _addresses = itertools.count(0x7F00_0000_0000, 1 << 30)

    def __init__(
        self, *shape: int, dtype: Any = "f4", strides: tuple[int, ...] | None = None
    ) -> None:
        self.shape, self.dtype, self.strides = shape, np.dtype(dtype), strides
        self.size = math.prod(shape)
        self.nbytes = self.size * self.dtype.itemsize
        self.device_ctypes_pointer = SimpleNamespace(value=next(self._addresses))

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape, "typestr": self.dtype.str, "strides": self.strides, "version": 2,
            "data": (self.device_ctypes_pointer.value, False),
        }  # fmt: skip


class _Context:
    """The only context of the only device."""

    def __init__(self) -> None:
        self.extras: dict[str, Any] = {}
        self.device = SimpleNamespace(compute_capability=(9, 0), id=0)


class _Driver:
    """What `numbaconv.cuda.compiled` asks of the driver.

    Parameters
    ----------
    told : list or None
        Where it is written down what is enqueued: ``(kernel, blocks, threads, parameters)`` and
        ``("copy", target, source, bytes)``.
    """

    _TYPES = {"P": ctypes.c_uint64, "i": ctypes.c_int32, "q": ctypes.c_int64}

    def __init__(self, told: list[Any] | None) -> None:
        self._told = told

    # Named as the driver's functions are.
    def cuModuleLoadData(self, code: bytes) -> tuple[int, bytes]:  # noqa: N802
        return 0, code

    def cuModuleGetFunction(  # noqa: N802
        self, module: bytes, name: bytes
    ) -> tuple[int, tuple[bytes, str]]:
        return 0, (name, module.decode())

    def cuLaunchKernel(  # noqa: N802
        self, function: tuple[bytes, str], *details: Any
    ) -> tuple[int]:
        if self._told is not None:
            name, layout = function
            blocks, threads, address = details[0], details[3], details[8]
            places = (ctypes.c_void_p * len(layout)).from_address(address)
            values = tuple(
                self._TYPES[letter].from_address(place).value
                for letter, place in zip(layout, places, strict=True)
            )
            self._told.append((name, blocks, threads, values))
        return (0,)

    def cuMemcpyDtoDAsync(  # noqa: N802
        self, target: int, source: int, nbytes: int, _: int
    ) -> tuple[int]:
        if self._told is not None:
            self._told.append(("copy", target, source, nbytes))
        return (0,)


def _machine_code(
    self: compiled.Kernel, kinds: tuple[Any, ...], _: tuple[int, int]
) -> tuple[bytes, bytes]:
    """Return a kernel's name, and the letters of its parameters for its code."""
    return repr((self.name, kinds)).encode(), compiled.layout_of(kinds).encode()


@contextlib.contextmanager
def no_driver(told: list[Any] | None = None) -> Iterator[None]:
    """Let calls on the device run without one, on arrays of `Array`."""
    context = _Context()
    replaced = SimpleNamespace(
        jit=cuda.jit, current_context=lambda: context, compile=cuda.compile, gpus=[0]
    )

    def allocate(shape: tuple[int, ...], dtype: Any, _: Any) -> Array:
        return Array(*shape, dtype=dtype)

    with (
        mock.patch.object(launch, "cuda", replaced),
        mock.patch.object(compiled, "cuda", replaced),
        mock.patch.object(replay, "cuda", replaced),
        mock.patch.object(compiled, "driver", _Driver(told)),
        mock.patch.object(compiled.Kernel, "machine_code", _machine_code),
        mock.patch.object(launch, "allocate", allocate),
    ):
        yield
