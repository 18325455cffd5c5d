"""Where kernels meet the device: compilation on first use, streams, memory that calls reuse."""

import functools
import itertools
import secrets
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import cuda
from numba.cuda.core import config

from numbaconv.cuda import recording
from numbaconv.cuda.recording import Memory

#: Whether kernels run in Numba's CUDA simulator (``NUMBA_ENABLE_CUDASIM=1``), without a GPU.
SIMULATED: bool = bool(config.ENABLE_CUDASIM)

#: A kernel's launches and the memory they borrow belong together: held while a call enqueues.
lock = threading.RLock()

# A thread of the simulator is a thread of Python.
_THREADS = 16 if SIMULATED else 256

# Bytes that are kept for a context at most: a larger block goes back when its call ends, and the
# oldest make room.
_MOST_KEPT = 1 << 29
# Blocks of memory that are kept for a context, and streams that are known, at most.
_MOST_BLOCKS, _MOST_STREAMS = 64, 256
_OUT_OF_MEMORY = 2  # CUDA_ERROR_OUT_OF_MEMORY
_PER_THREAD = 2  # what the interface calls the default stream of the calling thread

# What tells one call's finding from another's in memory that both have borrowed.
_stamps = itertools.count(secrets.randbits(30))

_simulated_blocks: dict[Any, Any] = {}
_streams: dict[int, Any] = {}


def factory(build: Callable[..., Callable[..., None]]) -> Callable[..., Any]:
    """Return a function that builds each specialisation of a kernel once.

    Its attribute ``source`` is `build`, which returns the Python function; that may have an
    attribute ``bounds``: the threads of a block, and the blocks that a multiprocessor should hold.
    """

    @functools.cache
    def compiled(*parameters: Any) -> Any:
        function = build(*parameters)
        if SIMULATED:
            return cuda.jit(function)
        from numbaconv.cuda.compiled import Kernel

        name = f"{build.__module__}.{build.__qualname__}{parameters!r}"
        return Kernel(name, function, getattr(function, "bounds", None))

    compiled.source = build  # type: ignore[attr-defined]
    return compiled


def bounded(function: Callable[..., None], bounds: tuple[int, int]) -> Callable[..., None]:
    """Return a kernel's function with its attribute ``bounds`` set."""
    function.bounds = bounds  # type: ignore[attr-defined]
    return function


def device(function: Callable[..., Any]) -> Any:
    """Compile what only kernels call.

    Its module must not name ``cuda``: the simulator swaps that name while it runs, in all threads.
    """
    return cuda.jit(device=True)(function)


#: Loops over more taps than this are not unrolled.
MOST_UNROLLED = 49


def unrolled(count: int, make: Callable[[int], Callable[..., Any]]) -> Any:
    """Return a device function that runs ``make(0)``, ``make(1)`` and so on, over its arguments.

    A loop whose body is large is not unrolled by the compiler, and arrays that it indexes then lie
    in memory instead of registers.
    """
    if count == 1:
        return device(make(0))
    half = count // 2
    first = unrolled(half, make)
    second = unrolled(count - half, lambda i: make(half + i))
    return device(_one_after_the_other(first, second))


def _one_after_the_other(first: Any, second: Any) -> Callable[..., None]:
    def both(*arguments: Any) -> None:
        first(*arguments)
        second(*arguments)

    return both


def grid(count: int) -> tuple[int, int]:
    """Return the blocks, and the threads of each, of a kernel of so many independent threads."""
    return -(-count // _THREADS), _THREADS


def stream_of(pointer: int | None) -> Any:
    """Return the stream that an array's interface names, as Numba takes it; 0 where it names none.

    One object stands for one stream, so that streams are compared by identity.
    """
    if pointer is None or SIMULATED:
        return 0
    found = _streams.get(pointer)
    if found is None:
        while len(_streams) >= _MOST_STREAMS:
            _streams.pop(next(iter(_streams)), None)
        found = _streams.setdefault(pointer, cuda.external_stream(pointer))
    return found


@functools.cache
def has_several_devices() -> bool:
    """Return whether arrays may lie on another device than the current one."""
    return not SIMULATED and len(cuda.gpus) > 1


def check_device(address: int, name: str) -> None:
    """Raise ValueError where an array's memory is on another device than the current one."""
    from numbaconv.cuda import compiled

    here, there = cuda.current_context().device.id, compiled.device_of(address)
    if there not in (None, here):
        raise ValueError(
            f"{name} must lie on the current device, which is {here}, but lies on device {there}: "
            f"make that the current one, for example by `with numba.cuda.gpus[{there}]:`"
        )


def wait(stream: Any, others: tuple[Any, ...]) -> None:
    """Make `stream` wait for what has been enqueued on the other streams."""
    for other in others:
        if other is not stream and other != 0:
            event = cuda.event(timing=False)
            event.record(other)
            event.wait(stream)


def release(stream: Any, others: tuple[Any, ...]) -> None:
    """Make the other streams wait for what has been enqueued on `stream`."""
    waiting = [other for other in others if other is not stream]
    if waiting and not (stream == 0 and all(other == 0 for other in waiting)):
        event = cuda.event(timing=False)
        event.record(stream)
        for other in waiting:
            event.wait(other)


def allocate(shape: tuple[int, ...], dtype: np.dtype[Any], stream: Any) -> Any:
    """Return a new device array, whose interface names `stream`."""
    try:
        return cuda.device_array(shape, dtype, stream=stream)
    except Exception as error:
        if getattr(error, "code", None) != _OUT_OF_MEMORY:
            raise
    _kept().clear()
    try:
        return cuda.device_array(shape, dtype, stream=stream)
    except Exception as error:
        if getattr(error, "code", None) != _OUT_OF_MEMORY:
            raise
    raise MemoryError(f"no room on the device for an array of shape {shape} and dtype {dtype}")


def flat(array: Any) -> Any:
    """Return a device array of our own as flat memory."""
    if SIMULATED:
        return array
    pointer = array.device_ctypes_pointer.value or 0
    return Memory(pointer, array.size, array.dtype, array)


def copy(source: Any, base: int, target: Any, to: int, count: int, stream: Any) -> None:
    """Enqueue the copy of `count` elements that follow each other in memory."""
    if not count:
        return
    if SIMULATED:
        target[to : to + count].copy_to_device(source[base : base + count])
        return
    from numbaconv.cuda import compiled

    compiled.copy(source[base:], target[to:], count, stream)


def stamp(index: Any) -> Any:
    """Return a number that a call can be known by, of the type of an index.

    One that happens to be in the memory already costs time alone.
    """
    made = index(next(_stamps) & 0x7FFFFFFF)
    if recording.active is not None:
        recording.active.stamps.append(made)
    return made


def _kept() -> dict[Any, Any]:
    """Return the memory that the current context keeps; one that is reset begins with none."""
    if SIMULATED:
        return _simulated_blocks
    return cuda.current_context().extras.setdefault("numbaconv", {})  # type: ignore[no-any-return]


def _place(stream: Any) -> tuple[int, int]:
    """Return what tells a stream from all others: its pointer, and where need be the thread."""
    pointer = int(stream) if stream != 0 and not SIMULATED else 0
    own = pointer == _PER_THREAD or (
        pointer == 0 and bool(getattr(config, "CUDA_PER_THREAD_DEFAULT_STREAM", False))
    )
    return pointer, threading.get_ident() if own else 0


def borrow(purpose: str, count: int, dtype: np.dtype[Any], stream: Any) -> Any:
    """Return memory for at least `count` elements until `lock` is released.

    It is kept for the next call on the same stream, which runs after this one.
    """
    count = max(count, 1)
    found = _borrow(purpose, count, dtype, stream)
    if recording.active is not None:
        recording.active.borrow(purpose, count, dtype, found)
    return found


def _borrow(purpose: str, count: int, dtype: np.dtype[Any], stream: Any) -> Any:
    if count * dtype.itemsize >= _MOST_KEPT:
        return flat(allocate((count,), dtype, stream))
    kept = _kept()
    key = (purpose, dtype, _place(stream))
    found = kept.pop(key, None)
    if found is not None and found.size >= count:
        kept[key] = found  # the last in the order of use
        return found
    kept[key] = found = flat(allocate((count,), dtype, stream))
    nbytes = sum(block.nbytes for block in kept.values())
    while len(kept) > _MOST_BLOCKS or nbytes > _MOST_KEPT:
        nbytes -= kept.pop(next(iter(kept))).nbytes
    return found
