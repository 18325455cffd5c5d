"""Recorded calls as programs of integers, and the table of a site in which they are found.

A program is one array of int64: the bytes of memory it borrows, where its parts begin, and the
shapes of its results; then its launches, the words that it must find zero after them, and the
memory that it clears before. A launch is the address of a compiled kernel and its arguments as
Numba passes them (an array is a struct of ints), some of them to be moved by where an input, an
output or the borrowed memory lies this time.
"""

import os
import threading
import weakref
from collections.abc import Sequence
from typing import Any

import numba
import numpy as np

from numbaconv.kernels import held, recording
from numbaconv.kernels import threads as layers
from numbaconv.nopython import runtime
from numbaconv.problem.arrays import reach

# The words of a program before the shapes of its results.
HEADER = 5
_MEMORY = -1
_ALIGNMENT = 64
# Programs of a site, beyond which no more are recorded, and how often a call is tried.
_MOST_PROGRAMS = 1024
_MOST_TRIES = 3

_sites: "weakref.WeakSet[Site]" = weakref.WeakSet()
_changing = threading.Lock()
_entry_points: dict[Any, int] = {}


def _after_fork() -> None:
    """Drop programs that run in threads which a child of the omp layer does not have."""
    global _changing
    _changing = threading.Lock()
    for site in sites():
        site.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class _RefusedError(Exception):
    """A recording of which no program can be made."""


def sites() -> list["Site"]:
    """Return the calls in jitted code that this process has made."""
    return list(_sites)


def held_nbytes() -> int:
    """Return the bytes of all programs, and of what they keep."""
    return held.measured([(site.programs, site._tables) for site in sites()])


_nbytes = 0


def _has_room(size: int) -> bool:
    """Return whether a program may be kept: running code may be in any of those that are."""
    global _nbytes
    if _nbytes + size > held.PROGRAMS:
        _nbytes = held_nbytes()  # some may have gone with their code
    if _nbytes + size > held.PROGRAMS:
        return False
    _nbytes += size
    return True


class Site:
    """A call in somebody's jitted code, and what was recorded there.

    Parameters
    ----------
    values : int
        How many integers, beside addresses, say what is to be done.

    Attributes
    ----------
    block : ndarray of int64
        What compiled code reads: where `runtime`'s block and the table lie.
    """

    def __init__(self, values: int) -> None:
        self.values = values
        self.block = np.array([runtime.block().ctypes.data, 0], np.int64)
        self.programs: list[tuple[np.ndarray[Any, Any], Any]] = []
        self._seen: dict[tuple[int, ...], int] = {}
        self._tables: list[Any] = []
        self._grow(16)
        _sites.add(self)

    @property
    def address(self) -> int:
        """Where compiled code finds the site."""
        return int(self.block.ctypes.data)

    def wants(self, values: tuple[int, ...]) -> bool:
        """Return whether a call with these values is to be recorded: from the second on."""
        count = self._seen.get(values, 0)
        if count == 0 and len(self._seen) >= 4 * _MOST_PROGRAMS:
            self._seen.clear()
        self._seen[values] = count + 1
        return 0 < count <= _MOST_TRIES and len(self.programs) < _MOST_PROGRAMS

    def add(
        self, values: tuple[int, ...], recorder: recording.Recorder, places: list[tuple[Any, int]],
        results: Sequence[Any],
    ) -> None:  # fmt: skip
        """Let compiled code find what was recorded.

        Parameters
        ----------
        values : tuple of int
            Of the call.
        recorder : Recorder
            What it did.
        places : list of (ndarray, int)
            Inputs and outputs, and the entry of the call's block in which each one's address is.
        results : sequence of ndarray
            What it returned.
        """
        words = words_of(recorder, places, results)
        if words is None:
            return
        size = held.measured((words, recorder.kept))
        with _changing:
            if not _has_room(size):
                return
            self.programs.append((words, recorder.kept))
            if 2 * len(self.programs) > self._capacity:
                self._grow(2 * self._capacity)
            self._insert(values, recorder.threads, words)

    def forget(self) -> None:
        """Drop all programs, for a process that can no longer run them."""
        self.programs, self._seen = [], {}
        self._grow(16)

    def _grow(self, capacity: int) -> None:
        """Replace the table; the old one stays, somebody may be reading it."""
        self._capacity = capacity
        old = self._tables[-1] if self._tables and self.programs else None
        table = np.zeros(1 + capacity * runtime.entry_words(self.values), np.int64)
        table[0] = capacity - 1
        self._tables.append(table)
        if old is not None:
            for entry in old[1:].reshape(-1, runtime.entry_words(self.values)):
                if entry[0]:
                    self._put(tuple(entry[3:].tolist()), entry[:3].tolist())
        runtime.publish(self.address + 8, int(table.ctypes.data))

    def _insert(self, values: tuple[int, ...], workers: int, words: Any) -> None:
        self._put(values, [int(words.ctypes.data), runtime.hashed(values), workers])

    def _put(self, values: tuple[int, ...], head: list[int]) -> None:
        entries = self._tables[-1][1:].reshape(self._capacity, -1)
        at = head[1] & (self._capacity - 1)
        while entries[at, 0]:
            at = (at + 1) & (self._capacity - 1)
        entries[at, 1:3], entries[at, 3:] = head[1:], values
        # The program's address last: an entry that has one is whole.
        runtime.publish(int(entries[at].ctypes.data), head[0])


def words_of(
    recorder: recording.Recorder, places: list[tuple[Any, int]], results: Sequence[Any]
) -> Any:
    """Return what was recorded as a program, or None if none can be made of it."""
    try:
        return _program(recorder, places, results)
    except _RefusedError:
        return None


def _program(
    recorder: recording.Recorder, places: list[tuple[Any, int]], results: Sequence[Any]
) -> Any:
    if not recorder.approved or recorder.refused or not recorder.launches:
        raise _RefusedError
    if recording.addresses_are_small():
        raise _RefusedError
    if recorder.in_a_layer and layers.threading_layer() == "workqueue":
        raise _RefusedError  # its calls take turns, which compiled code cannot
    memory = _Memory(recorder, places)
    launches: list[int] = []
    for function, arguments, borrowed in recorder.launches:
        memory.borrowed = borrowed
        fixed, moved = _flattened(arguments, memory)
        if len(fixed) > runtime.MOST_ARGUMENTS:
            raise _RefusedError
        launches += [_entry_point(function, arguments), len(fixed), len(moved), *fixed]
        launches += [word for move in moved for word in move]
    memory.borrowed = len(recorder.borrowed)
    checks = [memory.offset(address) for address in recorder.checks]
    clears = [
        word for address, n in recorder.cleared for word in (memory.offset(address), n)
    ]  # fmt: skip
    shapes = [n for array in results for n in array.shape]
    starts = np.cumsum([HEADER + len(shapes), 1 + len(launches), 1 + len(checks)]).tolist()
    words = [memory.nbytes, *starts, 0, *shapes, len(recorder.launches), *launches]
    words += [len(checks), *checks, len(recorder.cleared), *clears]
    return np.array(words, np.int64)


class _Memory:
    """Where each address of a recording lies: in an argument, in borrowed memory, or fixed."""

    def __init__(self, recorder: recording.Recorder, places: list[tuple[Any, int]]) -> None:
        self.ranges: list[tuple[int, int, int, int]] = []  # (begin, end, block entry, offset)
        for array, entry in places:
            first, (low, high) = array.ctypes.data, reach(array)
            self.ranges.append((first + low, first + high, entry, -low))
        self.nbytes = 0
        for begin, end in _merged(recorder.borrowed):
            # Every piece keeps its place in a cache line.
            start = self.nbytes + begin % _ALIGNMENT
            self.ranges.append((begin, end, _MEMORY, -start))
            self.nbytes = -(-(start + end - begin) // _ALIGNMENT) * _ALIGNMENT
        self.ranges.sort()
        if any(not recording.is_address(begin) for begin, *_ in self.ranges):
            raise _RefusedError
        for (_, end, *_), (begin, *_) in zip(self.ranges, self.ranges[1:], strict=False):
            if begin < end:
                raise _RefusedError  # one array lies in another: which is meant cannot be told
        self.constants = recorder.constants
        self.pieces = recorder.borrowed
        #: What launches read that is the same in every call.
        self.kept = recorder.kept
        #: How many pieces of memory had been borrowed so far.
        self.borrowed = 0

    def move(self, address: int) -> tuple[int, int] | None:
        """Return what an address is relative to (an entry of the block) and how far, or None."""
        for begin, end, entry, offset in self.ranges:
            if begin <= address < end and (entry != _MEMORY or self._is_borrowed(address)):
                return entry, address - begin - offset
        return None

    def _is_borrowed(self, address: int) -> bool:
        return any(b <= address < b + n for b, n in self.pieces[: self.borrowed])

    def offset(self, address: int) -> int:
        """Return where in borrowed memory an address lies."""
        found = self.move(address)
        if found is None or found[0] != _MEMORY:
            raise _RefusedError
        return found[1]

    def is_fixed(self, address: int) -> bool:
        """Return whether an address is the same in every call."""
        from numbaconv.native import link

        inside = any(begin <= address < begin + n for begin, n in self.constants)
        return inside or link.is_native(address)


def _merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return (begin, end) of stretches of memory, those that overlap as one."""
    found: list[tuple[int, int]] = []
    for begin, nbytes in sorted(ranges):
        end = begin + nbytes
        if found and begin < found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((begin, end))
    return found


def _flattened(
    arguments: tuple[Any, ...], memory: _Memory
) -> tuple[list[int], list[tuple[int, int, int]]]:
    """Return a launch's arguments as words, and (index, block entry, offset) of those that move."""
    words: list[int] = []
    moved: list[tuple[int, int, int]] = []
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            data = argument.ctypes.data
            found = memory.move(data)
            if found is not None:
                moved.append((len(words) + 4, *found))
            elif argument.dtype == np.int64 or memory.is_fixed(data):
                memory.kept.append(argument)  # sizes, strides, offsets: the call's values fix them
            else:
                raise _RefusedError  # a copy of somebody's data
            words += [0, 0, argument.size, argument.itemsize, data, *argument.shape]
            words += argument.strides
            continue
        if not isinstance(argument, int | np.integer | np.bool_):
            raise _RefusedError
        value = int(argument)
        if recording.is_address(value):
            found = memory.move(value)
            if found is not None:
                moved.append((len(words), *found))
            elif not memory.is_fixed(value):
                raise _RefusedError
        words.append(value)
    return words, moved


def _entry_point(function: Any, arguments: tuple[Any, ...]) -> int:
    """Return the address of a dispatcher's machine code for these arguments."""
    kinds = tuple(numba.typeof(argument) for argument in arguments)
    compiled = function.overloads.get(kinds)
    if compiled is None:
        raise _RefusedError
    # Asked for once: llvmlite takes a lock for it, which a forked child may find taken. By function
    # and types: what the disk cache returns may share its name with another process's entry.
    found = _entry_points.get((function, kinds))
    if found is None:
        name = compiled.fndesc.llvm_func_name
        found = _entry_points[function, kinds] = int(compiled.library.get_pointer_to_function(name))
    return found
