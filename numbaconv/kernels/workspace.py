"""Memory that calls borrow and give back, so that fresh pages are not touched at every call."""

import os
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from numbaconv.kernels import held, recording

_ALIGNMENT = 64
# What is kept between calls: at most this many buffers.
_MOST_KEPT = 8


class Workspace:
    """Uninitialised memory that begins at a multiple of 64 bytes.

    Parameters
    ----------
    nbytes : int
        How much.
    """

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes
        self._memory: npt.NDArray[np.uint8] = np.empty(nbytes + _ALIGNMENT, np.uint8)
        start = self._memory.ctypes.data
        self.address = -(-start // _ALIGNMENT) * _ALIGNMENT
        #: The bytes from there to the end.
        self.reach = start + self._memory.nbytes - self.address

    def view(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """Return the first bytes as an array."""
        offset = self.address - self._memory.ctypes.data
        return np.ndarray(shape, dtype, self._memory, offset)


# The oldest first.
_idle: list[Workspace] = []
_changing = threading.Lock()


def _after_fork() -> None:
    """Replace a lock that another thread of the parent may hold."""
    global _changing
    _changing = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def take(nbytes: int) -> Workspace:
    """Return a workspace of at least `nbytes`: the smallest that was given back, if one will do."""
    space = None
    with _changing:
        for one in _idle:
            if one.nbytes >= nbytes and (space is None or one.nbytes < space.nbytes):
                space = one
        if space is not None:
            _idle.remove(space)
    if space is None:
        space = Workspace(nbytes)
    if recording.active:
        recording.borrowed(space.address, min(nbytes + _ALIGNMENT, space.reach), space)
    return space


def give_back(space: Workspace) -> None:
    """Let later calls have a workspace; the oldest go where there are too many."""
    if space.nbytes > held.WORKSPACES:
        return
    with _changing:
        _idle.append(space)
        while len(_idle) > _MOST_KEPT or sum(s.nbytes for s in _idle) > held.WORKSPACES:
            _idle.pop(0)


def held_nbytes() -> int:
    """Return the bytes that wait for a borrower."""
    with _changing:
        return sum(space.nbytes for space in _idle)


def release() -> None:
    """Give all of them back to the system."""
    with _changing:
        _idle.clear()
