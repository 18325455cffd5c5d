"""Where kernels meet the device: compilation on first use, streams, memory that calls reuse."""

import functools
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import cuda
from numba.cuda.core import config

#: Whether kernels run in Numba's CUDA simulator (``NUMBA_ENABLE_CUDASIM=1``), without a GPU.
SIMULATED: bool = bool(config.ENABLE_CUDASIM)

#: A kernel's launches and the memory they borrow belong together: held while a call enqueues.
lock = threading.RLock()

# A thread of the simulator is a thread of Python.
_THREADS = 16 if SIMULATED else 256

# Blocks of memory of this many bytes and more go back when their call ends.
_MOST_KEPT = 1 << 26


class _Simulator:
    """Stands for the simulator's context, of which it makes many."""


_simulator = _Simulator()
_kept: Any = weakref.WeakKeyDictionary()
_streams: dict[int, Any] = {}


def factory(build: Callable[..., Callable[..., None]]) -> Callable[..., Any]:
    """Return a function that builds, and compiles, each specialisation of a kernel once.

    Its attribute ``source`` is `build`, which returns the Python function.
    """

    @functools.cache
    def compiled(*parameters: Any) -> Any:
        return cuda.jit(build(*parameters))

    compiled.source = build  # type: ignore[attr-defined]
    return compiled


def device(function: Callable[..., Any]) -> Any:
    """Compile what only kernels call.

    Its module must not name ``cuda``: the simulator swaps that name while it runs, in all threads.
    """
    return cuda.jit(device=True)(function)


def grid(count: int) -> tuple[int, int]:
    """Return the blocks, and the threads of each, of a kernel of so many independent threads."""
    return -(-count // _THREADS), _THREADS


def stream_of(pointer: int | None) -> Any:
    """Return the stream that an array's interface names, as Numba takes it; 0 where it names none.

    One object stands for one stream, so that streams are compared by identity.
    """
    if pointer is None or SIMULATED:
        return 0
    if pointer not in _streams:
        _streams[pointer] = cuda.external_stream(pointer)
    return _streams[pointer]


def wait(stream: Any, others: tuple[Any, ...]) -> None:
    """Make `stream` wait for what has been enqueued on the other streams."""
    for other in others:
        if other is not stream and other != 0:
            event = cuda.event(timing=False)
            event.record(other)
            event.wait(stream)


def allocate(shape: tuple[int, ...], dtype: np.dtype[Any], stream: Any) -> Any:
    """Return a new device array, whose interface names `stream`."""
    return cuda.device_array(shape, dtype, stream=stream)


def borrow(purpose: str, count: int, dtype: np.dtype[Any], stream: Any) -> Any:
    """Return memory for at least `count` elements until `lock` is released.

    It is kept for the next call on the same stream, which runs after this one.
    """
    count = max(count, 1)
    if count * dtype.itemsize >= _MOST_KEPT:
        return allocate((count,), dtype, stream)
    # A context that is reset takes its memory along.
    blocks = _kept.setdefault(_simulator if SIMULATED else cuda.current_context(), {})
    key = (purpose, dtype, id(stream))
    if key not in blocks or blocks[key].size < count:
        blocks[key] = allocate((count,), dtype, stream)
    return blocks[key]
