"""Arrays on the device: what comes in by the CUDA array interface, checked and as flat memory."""

import math
import sys
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numba import cuda

from numbaconv.cuda import launch
from numbaconv.cuda.memory import Memory
from numbaconv.running.memo import kept

Ints = tuple[int, ...]


@dataclass(frozen=True)
class DeviceArray:
    """An array on the device, as a place in flat memory.

    Parameters
    ----------
    data : device array
        Flat memory that holds all elements; keeps the owner alive.
    base : int
        Where the first element stands in it.
    shape, strides : tuple of int
        As NumPy's, but strides count elements.
    dtype : dtype
        Of the elements.
    span : tuple of int
        The addresses of the lowest byte, and of the one behind the highest.
    stream : stream
        What the interface names, or 0.
    writeable : bool
        Whether the interface allows writing.
    """

    data: Any
    base: int
    shape: Ints
    strides: Ints
    dtype: np.dtype[Any]
    span: tuple[int, int]
    stream: Any
    writeable: bool = True

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    def batched(self, already: bool) -> "DeviceArray":
        """Return the array with a batch axis."""
        if already:
            return self
        return DeviceArray(
            self.data, self.base, (1, *self.shape), (0, *self.strides), self.dtype, self.span,
            self.stream, self.writeable,
        )  # fmt: skip

    def overlaps(self, other: "DeviceArray") -> bool:
        """Return whether two arrays might share memory."""
        return self.span[0] < other.span[1] and other.span[0] < self.span[1]

    def overlaps_itself(self) -> bool:
        """Return whether two indices might share memory (never False where they do)."""
        end = 1
        for stride, n in sorted((abs(s), n) for s, n in zip(self.strides, self.shape, strict=True)):
            if n > 1:
                if stride < end:
                    return True
                end = stride * (n - 1) + end
        return False


def take(value: Any, name: str) -> DeviceArray:
    """Return a caller's array, which must lie on the device and hold numbers."""
    if isinstance(value, DeviceArray):
        return value
    interface = _interface(value, name)
    shape = tuple(interface["shape"])
    dtype = np.dtype(interface["typestr"])
    if dtype.kind not in "biufc":
        raise TypeError(
            f"{name} must be an array of numbers, got {type(value).__name__} of dtype {dtype}"
        )
    if not dtype.isnative:
        raise TypeError(f"{name} must be of the device's byte order, got dtype {dtype}")
    if interface.get("mask") is not None:
        raise ValueError(f"{name} must have no mask")
    given = interface.get("strides")
    address, read_only = interface["data"]
    address = 0 if 0 in shape else address or 0
    layout = _layout(shape, None if given is None else tuple(given), dtype.itemsize)
    if layout is None or address % dtype.itemsize:
        steps = given or contiguous(shape, dtype.itemsize)
        raise ValueError(
            f"{name} must be aligned: address {address} and strides {steps} are no multiples "
            f"of its {dtype.itemsize} bytes"
        )
    strides, low, count = layout
    start = address + low * dtype.itemsize
    data = _flat(value, start, count, dtype)
    stream = launch.stream_of(_stream(value, interface))
    span = (start, start + count * dtype.itemsize)
    return DeviceArray(data, -low, shape, strides, dtype, span, stream, not read_only)


@kept
def _layout(shape: Ints, given: Ints | None, itemsize: int) -> tuple[Ints, int, int] | None:
    """Return strides in elements, where the lowest element stands, and how many are reached.

    Or None, where a stride is no multiple of an element. Arrays of the same shapes come again.
    """
    steps = contiguous(shape, itemsize) if given is None or 0 in shape else given
    if any(s % itemsize for s, n in zip(steps, shape, strict=True) if n > 1):
        return None
    strides = tuple(s // itemsize if n > 1 else 0 for s, n in zip(steps, shape, strict=True))
    reached = [(n - 1) * s for s, n in zip(strides, shape, strict=True) if n > 1]
    count = 0 if 0 in shape else sum(map(abs, reached)) + 1
    return strides, sum(r for r in reached if r < 0), count


def of(array: Any, stream: Any) -> DeviceArray:
    """Return an array of our own, from `numbaconv.cuda.launch.allocate`."""
    return replace(take(array, "result"), stream=stream)


def contiguous(shape: Ints, step: int = 1) -> Ints:
    """Return the strides of a C-contiguous array whose elements are `step` apart."""
    strides = []
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))


def over(data: Any, shape: Ints, dtype: np.dtype[Any], stream: Any) -> DeviceArray:
    """Return the C-contiguous array of a shape at the beginning of flat memory."""
    return DeviceArray(data, 0, shape, contiguous(shape), dtype, (0, 0), stream)


def check_out(value: Any, shape: Ints, dtype: np.dtype[Any]) -> DeviceArray:
    """Return a caller's `out`, which must be writeable and of this shape and dtype."""
    array = take(value, "out")
    if array.dtype != dtype:
        raise TypeError(f"out must have dtype {dtype}, got {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"out must have shape {shape}, got {array.shape}")
    if not array.writeable:
        raise ValueError("out must be writeable, got a read-only array")
    return array


def common_stream(*arrays: DeviceArray | None) -> Any:
    """Return the stream to work on, the first that an array names; it waits for the others."""
    streams = [a.stream for a in arrays if a is not None and a.stream != 0]
    if not streams:
        return 0
    launch.wait(streams[0], tuple(streams[1:]))
    return streams[0]


def _stream(value: Any, interface: dict[str, Any]) -> int | None:
    """Return the stream that an array was made on: what its interface names, or PyTorch's current.

    PyTorch's tensors name none, though what made them may still run on a stream of the user's.
    """
    named: int | None = interface.get("stream")
    torch = sys.modules.get("torch")
    if named is not None or torch is None or not isinstance(value, torch.Tensor):
        return named
    current: int = torch.cuda.current_stream(value.device).cuda_stream
    return current or None


def _interface(value: Any, name: str) -> dict[str, Any]:
    """Return the description of a device array."""
    if launch.SIMULATED and isinstance(getattr(value, "_ary", None), np.ndarray):
        described: dict[str, Any] = value._ary.__array_interface__
        return described
    if getattr(value, "requires_grad", False):
        raise TypeError(
            f"{name} must be an array without a gradient, got a tensor that requires one: "
            f"PyTorch does not see what is computed here; pass {name}.detach()"
        )
    interface = getattr(value, "__cuda_array_interface__", None)
    if interface is None:
        raise TypeError(
            f"{name} must be an array on the device (with __cuda_array_interface__), got "
            f"{type(value).__name__}: copy it there first, for example with "
            f"numba.cuda.to_device({name})"
        )
    return interface  # type: ignore[no-any-return]


def _flat(owner: Any, start: int, count: int, dtype: np.dtype[Any]) -> Any:
    """Return flat device memory of another object, without a copy."""
    if not launch.SIMULATED:
        return Memory(start, count, dtype, owner)
    if count == 0:
        return cuda.device_array((1,), dtype)  # kernels get an array, and read nothing
    from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray

    described = {"shape": (count,), "typestr": dtype.str, "data": (start, False), "version": 3}
    return FakeCUDAArray(np.asarray(_Described(owner, described)))


class _Described:
    """Host memory of another object, by its interface."""

    def __init__(self, owner: Any, described: dict[str, Any]) -> None:
        self.owner = owner
        self.__array_interface__ = described
