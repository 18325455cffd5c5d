"""What outlives a call: plans and memory that later calls find again, and the limit of it all.

Plans (with their tables) are remembered by their signatures, workspaces wait for the next borrower,
and programs are kept for jitted code. Each has a share of one limit; the oldest goes first.
Kernels, which are machine code, do not count: their number is that of the kinds of problems, not of
their sizes.
"""

import collections
import os
import sys
import threading
import weakref
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")

#: Bytes that are held at most: of workspaces, of plans, of programs, and of what those borrow.
WORKSPACES, PLANS, PROGRAMS, BORROWED = 40 << 20, 10 << 20, 6 << 20, 8 << 20
LIMIT = WORKSPACES + PLANS + PROGRAMS + BORROWED
# Plans that are found again though nothing else refers to them any more.
_RECENT = 8
# What is kept after the oldest had to go, so that this is seldom.
_KEPT_SHARE = 0.75
# Of an object beside the memory of its arrays, and of an entry with its key.
_OBJECT, _ENTRY = 100, 1000

_entries: collections.OrderedDict[Hashable, Any] = collections.OrderedDict()
_nbytes = 0
_changing = threading.Lock()


def _after_fork() -> None:
    """Replace a lock that another thread of the parent may hold."""
    global _changing
    _changing = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@dataclass(frozen=True)
class Memory:
    """Bytes that numbaconv holds between calls; see `memory`.

    Attributes
    ----------
    plans : int
        Of what is known about the shapes of earlier calls.
    workspaces : int
        Of memory that calls borrow.
    programs : int
        Of what jitted code has recorded, with the memory that it borrows.
    limit : int
        What all of it is at most.
    """

    plans: int
    workspaces: int
    programs: int
    limit: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.plans + self.workspaces + self.programs


def memory() -> Memory:
    """Say how much memory numbaconv holds between calls.

    Layers hold their weights, and machine code stays as long as the process; neither is counted.

    Returns
    -------
    Memory
        Bytes, by what they are for, and their limit.

    See Also
    --------
    release_memory : Give it back.

    Examples
    --------
    >>> import numbaconv as nbc
    >>> held = nbc.memory()
    >>> held.total <= held.limit
    True
    """
    workspaces = sys.modules.get("numbaconv.kernels.workspace")
    programs = sys.modules.get("numbaconv.nopython.programs")
    runtime = sys.modules.get("numbaconv.nopython.runtime")
    return Memory(
        _plans_nbytes(),
        workspaces.held_nbytes() if workspaces else 0,
        (programs.held_nbytes() if programs else 0) + (runtime.held_nbytes() if runtime else 0),
        LIMIT,
    )


def release_memory() -> None:
    """Give back what numbaconv holds between calls: the next call of each kind plans anew.

    What jitted code and layers have recorded stays.

    Examples
    --------
    >>> import numbaconv as nbc
    >>> nbc.release_memory()
    >>> nbc.memory().plans
    0
    """
    global _nbytes
    with _changing:
        _entries.clear()
        _nbytes = 0
    for recent in _recents:
        recent.clear()
    workspaces = sys.modules.get("numbaconv.kernels.workspace")
    if workspaces:
        workspaces.release()
    runtime = sys.modules.get("numbaconv.nopython.runtime")
    if runtime:
        runtime.release()


def make_room(kept: dict[Any, Any], most: int) -> None:
    """Drop the oldest of what somebody else keeps, until one more makes at most so many."""
    while len(kept) >= most:
        kept.pop(next(iter(tuple(kept)), None), None)  # other threads may change it meanwhile


def find(key: Hashable) -> Any:
    """Return what was kept under a key, or None."""
    return _entries.get(key)


def keep(key: Hashable, value: Any) -> None:
    """Keep a value for later calls, until there are too many newer ones."""
    global _nbytes
    size = measured(value) + _ENTRY
    with _changing:
        _entries[key] = value
        _nbytes += size
    _shrink()


def grew(value: Any) -> None:
    """Say that something that is kept has come to hold a value, too."""
    global _nbytes
    _nbytes += measured(value)
    _shrink()


def _shrink() -> None:
    """Forget the oldest until what is left fits its share."""
    global _nbytes
    if _nbytes <= PLANS:
        return
    with _changing:
        left = _plans_nbytes()
        while left > PLANS * _KEPT_SHARE and _entries:
            _, value = _entries.popitem(last=False)
            left -= measured(value) + _ENTRY
        _nbytes = _plans_nbytes()


def _plans_nbytes() -> int:
    values = list(_entries.values())
    return measured(values) + _ENTRY * len(values) if values else 0


_recents: list[collections.deque[Any]] = []


def shared(build: Callable[..., T]) -> Callable[..., T]:
    """Return a function that builds one object for the same arguments, as long as anybody has it.

    The few newest are found again in any case.
    """
    alive: weakref.WeakValueDictionary[Hashable, Any] = weakref.WeakValueDictionary()
    recent: collections.deque[Any] = collections.deque(maxlen=_RECENT)
    _recents.append(recent)

    def of(*key: Any) -> T:
        value = alive.get(key)
        if value is None:
            value = alive[key] = build(*key)
            recent.append(value)
        found: T = value
        return found

    return of


def measured(value: Any) -> int:
    """Return the bytes of the arrays that an object holds, and a little for each object."""
    seen: set[int] = set()
    roots: set[int] = set()  # arrays that own their memory
    waiting = [value]
    total = 0
    while waiting:
        one = waiting.pop()
        if id(one) in seen or one is None or isinstance(one, int | float | str | bytes | np.dtype):
            continue
        seen.add(id(one))
        total += _OBJECT
        if isinstance(one, np.ndarray):
            while isinstance(one.base, np.ndarray):
                one = one.base
            if id(one) not in roots:
                roots.add(id(one))
                total += one.nbytes
        elif isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list | tuple | set | frozenset | collections.deque):
            waiting += one
        elif not isinstance(one, type) and not callable(getattr(one, "__code__", None)):
            waiting += getattr(one, "__dict__", {}).values()
            for name in getattr(type(one), "__slots__", ()):
                waiting.append(getattr(one, name, None))
    return total
