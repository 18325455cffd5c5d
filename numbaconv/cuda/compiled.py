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

from numbaconv.cuda.memory import Memory
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
        self._name = name
        self._function = function
        self._bounds = bounds
        self._loaded: dict[Any, _Loaded] = {}

    def __getitem__(self, where: tuple[int, int, Any]) -> Callable[..., None]:
        return functools.partial(self._launch, *where)

    def _launch(self, blocks: int, threads: int, stream: Any, *arguments: Any) -> None:
        context = cuda.current_context()
        key = (id(context), *map(_kind, arguments))
        loaded = self._loaded.get(key)
        if loaded is None or loaded.context is not context:
            loaded = self._loaded[key] = _Loaded(self, context, key[1:])
        loaded.launch(blocks, threads, stream, arguments)

    def machine_code(
        self, kinds: tuple[Any, ...], capability: tuple[int, int]
    ) -> tuple[bytes, bytes]:
        """Return the kernel's name in its code, and the code, for arguments of these kinds."""
        key = repr((self._name, self._bounds, kinds, capability, _versions())).encode()
        found = cache.load(key)
        if found is None:
            ptx = assembly(self._function, kinds, capability, self._bounds)
            entry = re.search(r"\.entry\s+([\w$]+)", ptx)
            assert entry is not None
            found = entry[1].encode() + b"\0" + link(ptx, capability)
            cache.save(key, found)
        name, code = found.split(b"\0", 1)
        return name, code


class _Loaded:
    """A kernel in a context, for one combination of types."""

    def __init__(self, kernel: Kernel, context: Any, kinds: tuple[Any, ...]) -> None:
        self.context = context
        name, code = kernel.machine_code(kinds, tuple(context.device.compute_capability))
        self._module = _checked(driver.cuModuleLoadData(code))
        self._function = _checked(driver.cuModuleGetFunction(self._module, name))
        layout = "".join(
            kind * count if isinstance(kind, str) else "P"
            for kind, count in (k if isinstance(k, tuple) else (k, 1) for k in kinds)
        )
        self._pack = struct.Struct("@" + layout)
        self._block = ctypes.create_string_buffer(max(self._pack.size, 1))
        first = ctypes.addressof(self._block)
        places, offset = [], 0
        for code_letter in layout:
            size = struct.calcsize("@" + code_letter)
            offset = -(-offset // size) * size
            places.append(first + offset)
            offset += size
        self._places = (ctypes.c_void_p * max(len(places), 1))(*places)
        self._parameters = ctypes.addressof(self._places)

    def launch(self, blocks: int, threads: int, stream: Any, arguments: tuple[Any, ...]) -> None:
        values: list[Any] = []
        for argument in arguments:
            if isinstance(argument, Memory):
                values.append(argument.pointer)
            elif isinstance(argument, tuple):
                values.extend(argument)
            else:
                values.append(argument)
        self._pack.pack_into(self._block, 0, *values)
        handle = 0 if stream == 0 else int(stream)
        (status,) = driver.cuLaunchKernel(
            self._function, blocks, 1, 1, threads, 1, 1, 0, handle, self._parameters, 0
        )
        if status != 0:
            _check(status)


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
    handle = 0 if stream == 0 else int(stream)
    (status,) = driver.cuMemcpyDtoDAsync(
        target.pointer, source.pointer, count * source.dtype.itemsize, handle
    )
    _check(status)


def _checked(result: tuple[Any, ...]) -> Any:
    status, *values = result
    _check(status)
    return values[0]


def _check(status: Any) -> None:
    """Raise what a call of the driver's has failed with."""
    if status != 0:
        _, text = driver.cuGetErrorString(status)
        raise RuntimeError(f"CUDA: {text.decode() if text else status}")
