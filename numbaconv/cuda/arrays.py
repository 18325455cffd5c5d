"""Arrays on the device: what comes in by the CUDA array interface, checked and as flat memory."""

import math
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from cuda.core.utils import StridedMemoryView
from numba import cuda

from numbaconv.cuda import launch
from numbaconv.cuda.recording import Memory
from numbaconv.problem.types import kind
from numbaconv.running.memo import kept

Ints = tuple[int, ...]


# What the interfaces call the default stream of all threads.
_DEFAULT_STREAM = 1

# What addresses are told apart by: kernels read and write at most so many bytes at once.
_VECTOR = 16


@dataclass(frozen=True, eq=False, slots=True)
class Layout:
    """How an array lies in memory, wherever that is; equal to itself alone.

    Parameters
    ----------
    shape, strides : tuple of int
        As NumPy's, but strides count elements.
    dtype : dtype
        Of the elements.
    base : int
        Where the first element stands in the memory of all.
    count : int
        How many elements that memory has.
    """

    shape: Ints
    strides: Ints
    dtype: np.dtype[Any]
    base: int
    count: int


#: What the work on an array depends on beside its elements: its layout and its alignment.
Form = tuple[Layout, int]


@dataclass(slots=True)
class DeviceArray:
    """An array on the device, as a place in flat memory; never changed.

    Each call makes some, which takes a third of the time if they are not frozen.

    Parameters
    ----------
    data : device array
        Flat memory that holds all elements; keeps the owner alive.
    layout : Layout
        How they lie there.
    start : int
        The address of the lowest byte.
    stream : stream
        What the interface names, or 0.
    writeable : bool
        Whether the interface allows writing.
    owner : object
        The caller's array.
    """

    data: Any
    layout: Layout
    start: int
    stream: Any
    writeable: bool = True
    owner: Any = None

    @property
    def shape(self) -> Ints:
        """As NumPy's."""
        return self.layout.shape

    @property
    def strides(self) -> Ints:
        """As NumPy's, but in elements."""
        return self.layout.strides

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the elements."""
        return self.layout.dtype

    @property
    def base(self) -> int:
        """Where the first element stands."""
        return self.layout.base

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.layout.shape)

    @property
    def form(self) -> Form:
        """All that a recording of the work on it depends on."""
        return self.layout, self.start % _VECTOR

    @property
    def stop(self) -> int:
        """The address behind the highest byte."""
        return self.start + self.layout.count * self.layout.dtype.itemsize

    def batched(self, already: bool) -> "DeviceArray":
        """Return the array with a batch axis."""
        if already:
            return self
        own = self.layout
        layout = Layout((1, *own.shape), (0, *own.strides), own.dtype, own.base, own.count)
        return DeviceArray(self.data, layout, self.start, self.stream, self.writeable, self.owner)

    def overlaps(self, other: "DeviceArray") -> bool:
        """Return whether two arrays might share memory."""
        return self.start < other.stop and other.start < self.stop

    def overlaps_itself(self) -> bool:
        """Return whether two indices might share memory (never False where they do)."""
        return _overlaps_itself(self.layout)


@kept
def _overlaps_itself(layout: Layout) -> bool:
    """Return whether two indices of a layout might share memory."""
    end = 1
    axes = zip(layout.strides, layout.shape, strict=True)
    for stride, n in sorted((abs(s), n) for s, n in axes):
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
    given = interface.get("strides")
    layout = _layout(
        tuple(interface["shape"]), None if given is None else tuple(given), interface["typestr"],
        name, type(value).__name__,
    )  # fmt: skip
    if interface.get("mask") is not None:
        raise ValueError(f"{name} must have no mask")
    address, read_only = interface["data"]
    itemsize = layout.dtype.itemsize
    address = address or 0 if layout.count else 0
    if address % itemsize:
        raise ValueError(
            f"{name} must be aligned: address {address} is no multiple of its {itemsize} bytes"
        )
    start = address - layout.base * itemsize
    data = _flat(interface.get("view", value), start, layout.count, layout.dtype)
    if launch.has_several_devices() and start:
        launch.check_device(start, name)
    stream = launch.stream_of(_stream(value, interface))
    return DeviceArray(data, layout, start, stream, not read_only, value)


@kept
def _layout(shape: Ints, given: Ints | None, typestr: str, name: str, kind: str) -> Layout:
    """Return the layout that an interface describes; arrays of the same ones come again."""
    dtype = np.dtype(typestr)
    if dtype.kind not in "biufc":
        raise TypeError(f"{name} must be an array of numbers, got {kind} of dtype {dtype}")
    if not dtype.isnative:
        raise TypeError(f"{name} must be of the device's byte order, got dtype {dtype}")
    itemsize = dtype.itemsize
    steps = contiguous(shape, itemsize) if given is None or 0 in shape else given
    if any(s % itemsize for s, n in zip(steps, shape, strict=True) if n > 1):
        raise ValueError(
            f"{name} must be aligned: strides {steps} are no multiples of its {itemsize} bytes"
        )
    strides = tuple(s // itemsize if n > 1 else 0 for s, n in zip(steps, shape, strict=True))
    reached = [(n - 1) * s for s, n in zip(strides, shape, strict=True) if n > 1]
    count = 0 if 0 in shape else sum(map(abs, reached)) + 1
    return Layout(shape, strides, dtype, -sum(r for r in reached if r < 0), count)


def of(array: Any, stream: Any) -> DeviceArray:
    """Return an array of our own, from `numbaconv.cuda.launch.allocate`."""
    taken = take(array, "result")
    return DeviceArray(taken.data, taken.layout, taken.start, stream)


def contiguous(shape: Ints, step: int = 1) -> Ints:
    """Return the strides of a C-contiguous array whose elements are `step` apart."""
    strides = []
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))


def over(data: Any, shape: Ints, dtype: np.dtype[Any], stream: Any) -> DeviceArray:
    """Return the C-contiguous array of a shape at the beginning of flat memory."""
    layout = Layout(shape, contiguous(shape), dtype, 0, math.prod(shape))
    return DeviceArray(data, layout, 0, stream)


def check_out(array: DeviceArray, shape: Ints, dtype: np.dtype[Any]) -> None:
    """Raise where a caller's `out` is not writeable, or not of this shape and dtype."""
    if array.dtype != dtype:
        raise TypeError(f"out must have dtype {dtype}, got {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"out must have shape {shape}, got {array.shape}")
    if not array.writeable:
        raise ValueError("out must be writeable, got a read-only array")


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
    if interface is None and kind(value) == "device":
        interface = _by_dlpack(value)
    if interface is None:
        raise TypeError(
            f"{name} must be an array on the device (by __cuda_array_interface__ or DLPack), got "
            f"{type(value).__name__}: copy it there first, for example with "
            f"numba.cuda.to_device({name})"
        )
    return interface  # type: ignore[no-any-return]


def _by_dlpack(value: Any) -> dict[str, Any]:
    """Return the description of an array that hands itself on by DLPack alone.

    Its owner lets CUDA's default stream wait for what it has enqueued, which is named here.
    """
    view = StridedMemoryView.from_dlpack(value, stream_ptr=_DEFAULT_STREAM)
    dtype = np.dtype(view.dtype)
    steps = view.strides
    return {
        "shape": view.shape, "typestr": dtype.str, "data": (view.ptr, view.readonly),
        "strides": None if steps is None else tuple(s * dtype.itemsize for s in steps),
        "stream": _DEFAULT_STREAM, "view": view,
    }  # fmt: skip


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
