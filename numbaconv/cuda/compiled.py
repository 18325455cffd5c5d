"""Kernels as machine code: compiled once a type, kept on the disk, launched by a prepared block.

Numba turns a Python function into PTX. From there on it is NVIDIA's: the linker makes machine code,
which lies in the cache of the CPU's kernels, and the driver launches it. An array is passed as a
pointer to its first element, a tuple of ints as so many parameters. What a launch costs is writing
its pointers and ints into a block of memory that is laid out when the kernel is loaded.
"""

import ctypes
import functools
import re
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from cuda.bindings import driver, nvjitlink
from numba import cuda
from numba.cuda import types
from numba.cuda.np.numpy_support import from_dtype

from numbaconv.cuda import recording
from numbaconv.cuda.recording import Memory
from numbaconv.kernels import cache

_CODES = {np.dtype(np.int32): "i", np.dtype(np.int64): "q"}


class Kernel:
    """One specialisation of a kernel, for all types of its arrays.

    ``kernel[blocks, threads, stream](*arguments)`` enqueues it, as a kernel of Numba's.

    Parameters
    ----------
    name : str
        Of what was built, with all that it was built from: equal names mean equal code.
    function : callable
        The Python function.
    bounds : tuple of int or None
        The most threads of a block, and the blocks that a multiprocessor should hold.
    """

    def __init__(
        self, name: str, function: Callable[..., None], bounds: tuple[int, int] | None
    ) -> None:
        self.name = name
        self._function = function
        self._bounds = bounds
        self._loaded: dict[Any, Loaded] = {}

    def __getitem__(self, where: tuple[int, int, Any]) -> Callable[..., None]:
        return functools.partial(self._launch, *where)

    def _launch(self, blocks: int, threads: int, stream: Any, *arguments: Any) -> None:
        context = cuda.current_context()
        key = (id(context), *map(_kind, arguments))
        loaded = self._loaded.get(key)
        if loaded is None or loaded.context is not context:
            loaded = self._loaded[key] = Loaded(self, context, key[1:])
        if recording.active is not None:
            recording.active.launch(loaded, blocks, threads, arguments)
        loaded.launch(blocks, threads, stream, arguments)

    def machine_code(
        self, kinds: tuple[Any, ...], capability: tuple[int, int]
    ) -> tuple[bytes, bytes]:
        """Return the kernel's name in its code, and the code, for arguments of these kinds."""
        key = repr((self.name, self._bounds, kinds, capability, _versions())).encode()
        found = cache.load(key)
        if found is None:
            ptx = assembly(self._function, kinds, capability, self._bounds)
            entry = re.search(r"\.entry\s+([\w$]+)", ptx)
            assert entry is not None
            found = entry[1].encode() + b"\0" + link(ptx, capability)
            cache.save(key, found)
        name, code = found.split(b"\0", 1)
        return name, code


class Block:
    """Memory for the parameters of launches.

    Parameters
    ----------
    layout : str
        A letter of `struct` for each.
    """

    def __init__(self, layout: str) -> None:
        self.offsets, end = [], 0
        for letter in layout:
            size = struct.calcsize("@" + letter)
            self.offsets.append(-(-end // size) * size)
            end = self.offsets[-1] + size
        self.memory = ctypes.create_string_buffer(max(end, 1))
        first = ctypes.addressof(self.memory)
        self._places = (ctypes.c_void_p * max(len(layout), 1))(
            *(first + offset for offset in self.offsets)
        )
        #: The address of the parameters' addresses, which is what the driver takes.
        self.address = ctypes.addressof(self._places)


class Loaded:
    """A kernel in a context, for one combination of types."""

    def __init__(self, kernel: Kernel, context: Any, kinds: tuple[Any, ...]) -> None:
        self.context = context
        name, code = kernel.machine_code(kinds, tuple(context.device.compute_capability))
        self._module = _checked(driver.cuModuleLoadData(code))
        self.function = _checked(driver.cuModuleGetFunction(self._module, name))
        self.layout = layout_of(kinds)
        self.pack = struct.Struct("@" + self.layout)
        self._block = self.new_block()

    def new_block(self) -> Block:
        """Return memory for the parameters of a launch that comes again."""
        return Block(self.layout)

    def launch(self, blocks: int, threads: int, stream: Any, arguments: tuple[Any, ...]) -> None:
        """Enqueue it."""
        values: list[Any] = []
        for argument in arguments:
            if isinstance(argument, Memory):
                values.append(argument.pointer)
            elif isinstance(argument, tuple):
                values.extend(argument)
            else:
                values.append(argument)
        self.pack.pack_into(self._block.memory, 0, *values)
        enqueue(self.function, blocks, threads, self._block, handle_of(stream))


def enqueue(function: Any, blocks: int, threads: int, block: Block, handle: int) -> None:
    """Enqueue a kernel's function, whose parameters are written; the driver copies them."""
    (status,) = driver.cuLaunchKernel(
        function, blocks, 1, 1, threads, 1, 1, 0, handle, block.address, 0
    )
    if status != 0:
        _check(status)


def handle_of(stream: Any) -> int:
    """Return a stream as the driver knows it."""
    return 0 if stream == 0 else int(stream)


def layout_of(kinds: tuple[Any, ...]) -> str:
    """Return a letter of `struct` for each parameter, of arguments of these kinds."""
    return "".join(kind[0] * kind[1] if isinstance(kind, tuple) else "P" for kind in kinds)


def _kind(argument: Any) -> Any:
    """Return what an argument is compiled for: a dtype's letter, or the ints of a tuple."""
    if isinstance(argument, Memory):
        return argument.dtype
    if isinstance(argument, tuple):
        return _CODES[argument[0].dtype], len(argument)
    return _CODES[argument.dtype], 1


def assembly(
    function: Callable[..., None],
    kinds: tuple[Any, ...],
    capability: tuple[int, int],
    bounds: tuple[int, int] | None,
) -> str:
    """Return the PTX of a kernel's Python function."""
    signature = tuple(
        types.UniTuple(types.int32 if kind[0] == "i" else types.int64, kind[1])
        if isinstance(kind, tuple)
        else types.CPointer(from_dtype(kind))
        for kind in kinds
    )
    text, _ = cuda.compile(
        function, signature, cc=capability, device=False, abi="numba", lineinfo=False,
        launch_bounds=bounds,
    )  # fmt: skip
    return str(text)


def link(ptx: str, capability: tuple[int, int]) -> bytes:
    """Return the machine code of PTX."""
    options = [f"-arch=sm_{capability[0]}{capability[1]}"]
    linker = nvjitlink.create(len(options), options)
    try:
        text = ptx.encode() + b"\0"
        nvjitlink.add_data(linker, nvjitlink.InputType.PTX, text, len(text), "kernel")
        nvjitlink.complete(linker)
        code = bytearray(nvjitlink.get_linked_cubin_size(linker))
        nvjitlink.get_linked_cubin(linker, code)
    finally:
        nvjitlink.destroy(linker)
    return bytes(code)


@functools.cache
def _versions() -> tuple[Any, ...]:
    """Return the versions of what turns a function into machine code."""
    from importlib import metadata

    return metadata.version("numba-cuda"), nvjitlink.version()


def copy(source: Memory, target: Memory, count: int, stream: Any) -> None:
    """Enqueue the copy of the first elements of memory."""
    nbytes = count * source.dtype.itemsize
    if recording.active is not None:
        recording.active.copy(source, target, nbytes)
    copy_bytes(source.pointer, target.pointer, nbytes, handle_of(stream))


def copy_bytes(source: int, target: int, nbytes: int, handle: int) -> None:
    """Enqueue the copy of what lies at an address to another one."""
    (status,) = driver.cuMemcpyDtoDAsync(target, source, nbytes, handle)
    _check(status)


def device_of(address: int) -> int | None:
    """Return the number of the device whose memory is at an address; None for managed memory."""
    attribute = driver.CUpointer_attribute
    status, managed = driver.cuPointerGetAttribute(
        attribute.CU_POINTER_ATTRIBUTE_IS_MANAGED, address
    )
    _check(status)
    if managed:
        return None
    status, number = driver.cuPointerGetAttribute(
        attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, address
    )
    _check(status)
    return int(number)


def _checked(result: tuple[Any, ...]) -> Any:
    status, *values = result
    _check(status)
    return values[0]


def _check(status: Any) -> None:
    """Raise what a call of the driver's has failed with."""
    if status != 0:
        _, text = driver.cuGetErrorString(status)
        raise RuntimeError(f"CUDA: {text.decode() if text else status}")
