"""A call of a layer or a function, launched again without its way through Python."""

import ctypes
import functools
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from numbaconv.kernels import held, recording, threads
from numbaconv.kernels.workspace import Workspace
from numbaconv.nopython import programs, runtime
from numbaconv.problem.arrays import Array, empty
from numbaconv.problem.geometry import Ints

#: Which of the calls of a kind that go the long way are recorded, which takes what it saves later
#: some hundred times: not the first few, and now and then another, for what was forgotten since.
RECORDED = (10, 100, 10_000)
# By the number of inputs and results: the address of a word that holds the runtime block's, theirs,
# and the status.
_BLOCKS = [ctypes.c_int64 * (places + 2) for places in range(6)]
_from_buffer, _addressof = ctypes.c_char.from_buffer, ctypes.addressof
# Bytes of a program and of its tables, beside the weights.
_LARGEST = 1 << 17
# Of processes: a child has none of its parent's threads, which programs share work with.
_forks = 0


def _after_fork() -> None:
    """Let a child launch nothing that its parent recorded."""
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@functools.cache
def _anchor() -> Any:
    """Return the word that a block begins with the address of."""
    return np.array([runtime.block().ctypes.data], np.int64)


@functools.cache
def _runner() -> Callable[[int, int, int], None]:
    kind = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
    return kind(int(runtime.block()[runtime.RUN]))


class Calls:
    """How often calls of a kind went the long way."""

    __slots__ = ("_count",)

    def __init__(self) -> None:
        self._count = 0

    def is_to_be_recorded(self) -> bool:
        """Return whether this call, one more, is to be recorded."""
        self._count += 1
        return self._count in RECORDED


class Replay:
    """What a call launched, to be launched again for arrays of the same shape and dtype.

    Parameters
    ----------
    words : ndarray of int64
        The program.
    kept : tuple
        What it reads, to be kept alive: tables, and weights.
    results : list of tuple
        Their shapes and dtypes.
    count : int
        How many threads the caller must let Numba use, or 0 where that makes no difference.
    """

    __slots__ = ("_anchor", "_count", "_forks", "_program", "_results", "_run", "kept")

    def __init__(
        self, words: Array, kept: tuple[Any, ...], results: list[tuple[Ints, np.dtype[Any]]],
        count: int,
    ) -> None:  # fmt: skip
        self.kept = words, *kept
        self._count, self._forks = count, _forks
        self._program, self._anchor = int(words.ctypes.data), int(_anchor().ctypes.data)
        self._run, self._results = _runner(), results

    def __call__(self, *inputs: Array) -> Any:
        """Return the result, or results, for contiguous arrays; None if Python has to find it."""
        if self._forks != _forks or (self._count and threads.asked_for() != self._count):
            return None
        made = [empty(*result) for result in self._results]
        places = [_addressof(_from_buffer(array)) for array in (*inputs, *made)]
        block = _BLOCKS[len(places)](self._anchor, *places)
        at = _addressof(block)
        self._run(self._program, at, at + 8 * len(places) + 8)
        if block[-1]:
            return None
        return made[0] if len(made) == 1 else tuple(made)


def record(
    run: Callable[[], Any], inputs: tuple[Array, ...], weights: tuple[Any, ...]
) -> tuple[Any, Any]:
    """Return the result of a call, and its `Replay`, or None where there can be none.

    Parameters
    ----------
    run : callable
        The call: it returns a new array, or a tuple of some.
    inputs : tuple of ndarray
        What it reads, contiguous, and other arrays in every call.
    weights : tuple
        Arrays and workspaces, among others, that are the same in every call.
    """
    constants = [
        (w.address, w.reach) if isinstance(w, Workspace) else (w.ctypes.data, max(w.nbytes, 1))
        for w in weights
        if isinstance(w, np.ndarray | Workspace)
    ]
    with recording.recording() as recorder:
        recorder.constants += constants
        found = run()
    made = list(found) if type(found) is tuple else [found]
    words = None
    if all(array.size for array in (*inputs, *made)):
        places = [(array, entry + 1) for entry, array in enumerate((*inputs, *made))]
        words = programs.words_of(recorder, places, made)
    if words is None or held.measured((words, recorder.kept)) > _LARGEST:
        return found, None
    results = [(array.shape, array.dtype) for array in made]
    return found, Replay(words, (recorder.kept, weights), results, recorder.threads)
