"""Memory that calls borrow and give back, so that fresh pages are not touched at every call."""

from typing import Any

import numpy as np
import numpy.typing as npt

from numbaconv import recording

_ALIGNMENT = 64
# What is kept between calls: at most this many buffers, none larger than this.
_MOST_KEPT = 4
_LARGEST_KEPT = 1 << 26


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


_idle: list[Workspace] = []


def take(nbytes: int) -> Workspace:
    """Return a workspace of at least `nbytes`: one that was given back, if it is large enough."""
    # Lists pop and append in one step, so threads need no lock.
    try:
        space = _idle.pop()
    except IndexError:
        space = Workspace(nbytes)
    if space.nbytes < nbytes:
        space = Workspace(nbytes)
    if recording.active:
        recording.borrowed(space.address, min(nbytes + _ALIGNMENT, space.reach), space)
    return space


def give_back(space: Workspace) -> None:
    """Let later calls have a workspace."""
    if space.nbytes <= _LARGEST_KEPT and len(_idle) < _MOST_KEPT:
        _idle.append(space)
