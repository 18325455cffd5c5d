"""Calls whose shapes have come before: what one of them enqueued, at the addresses of the next.

Numbers of a launch are laid out once; what is written anew are its pointers, and where need be the
stamp of the call.
"""

import struct
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import cuda

from numbaconv.cuda import compiled, launch, recording
from numbaconv.cuda.arrays import DeviceArray, Form, Ints
from numbaconv.cuda.recording import Memory

_POINTER = struct.calcsize("P")


class Recording:
    """What a call has enqueued.

    Parameters
    ----------
    recorder : Recorder
        Who was told of it all.
    shape, dtype : tuple of int, dtype
        Of the result.
    target : Form
        The form of the array that it was made in.
    """

    def __init__(
        self, recorder: recording.Recorder, shape: Ints, dtype: np.dtype[Any], target: Form
    ) -> None:
        self.shape, self.dtype = shape, dtype
        self._target = target
        # Weakly: what is kept is measured, and a context is not of ours.
        self._context = weakref.ref(cuda.current_context())
        self._borrowed = tuple(recorder.borrowed)
        stamps = recorder.stamps
        self._kinds = tuple(type(stamp) for stamp in stamps)
        self._steps = tuple(
            _Launch(step, stamps) if isinstance(step, recording.Launched) else _Copy(step)
            for step in recorder.steps
        )

    def fits(self, target: DeviceArray) -> bool:
        """Return whether it can be enqueued again, for a result like this one."""
        return target.form == self._target and cuda.current_context() is self._context()

    def enqueue(self, memories: tuple[Memory, ...], stream: Any) -> None:
        """Enqueue it again, for the memories of arrays of the same forms."""
        borrowed = [launch.borrow(*what, stream) for what in self._borrowed]
        addresses = [memory.pointer for memory in (*memories, *borrowed)]
        stamps = [launch.stamp(kind) for kind in self._kinds]
        handle = compiled.handle_of(stream)
        for step in self._steps:
            step.enqueue(addresses, stamps, handle)


class _Launch:
    """A launch whose numbers are laid out."""

    def __init__(self, step: recording.Launched, stamps: list[Any]) -> None:
        kernel = step.kernel
        self._function, self._blocks, self._threads = kernel.function, step.blocks, step.threads
        self._places = step.pointers
        self._block = kernel.new_block()
        kernel.pack.pack_into(self._block.memory, 0, *(0 for _ in step.pointers), *step.ints)
        self._pointers = struct.Struct(f"@{len(step.pointers)}P")
        # Which stamp is which number.
        self._stamped = [
            (number, self._block.offsets[place], np.dtype(type(value)).char)
            for place, value in enumerate(step.ints, len(step.pointers))
            for number, stamp in enumerate(stamps)
            if value is stamp
        ]

    def enqueue(self, addresses: list[int], stamps: list[Any], handle: int) -> None:
        block = self._block
        self._pointers.pack_into(
            block.memory, 0, *[addresses[number] + offset for number, offset in self._places]
        )
        for number, offset, code in self._stamped:
            struct.pack_into(f"@{code}", block.memory, offset, stamps[number])
        compiled.enqueue(self._function, self._blocks, self._threads, block, handle)


class _Copy:
    """A copy of bytes."""

    def __init__(self, step: recording.Copied) -> None:
        self._step = step

    def enqueue(self, addresses: list[int], _: list[Any], handle: int) -> None:
        (source, skipped), (target, before), nbytes = self._step
        compiled.copy_bytes(addresses[source] + skipped, addresses[target] + before, nbytes, handle)


def record(
    compute: Callable[[DeviceArray, Any], None],
    inputs: tuple[DeviceArray, ...],
    target: DeviceArray,
    stream: Any,
) -> Recording | None:
    """Run a computation, and return what it enqueued if that can be enqueued again."""
    recorder = recording.Recorder(tuple(array.data for array in (*inputs, target)))
    before, recording.active = recording.active, recorder
    try:
        compute(target, stream)
    finally:
        recording.active = before
    if not recorder.is_whole:
        return None
    return Recording(recorder, target.shape, target.dtype, target.form)
