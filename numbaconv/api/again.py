"""Small calls that come again and again, launched as one of them was recorded."""

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from numbaconv.api import backends
from numbaconv.kernels import held, recording
from numbaconv.nopython import replay
from numbaconv.problem.arrays import Array
from numbaconv.running import memo

# Elements of arrays up to which microseconds matter.
_MOST_ELEMENTS = 1 << 16


class _Calls(replay.Calls):
    """The calls of one kind, and what was recorded of them."""

    __slots__ = ("replay",)

    def __init__(self) -> None:
        super().__init__()
        self.replay: replay.Replay | None = None


def run(
    name: str, like: Any, options: Any, arguments: tuple[Any, ...], out: Any, parallel: Any
) -> Array:
    """Return what a function of the backend of `like` returns, or as it was recorded."""

    def call() -> Any:
        return getattr(backends.of(like), name)(options, *arguments, out, parallel)

    if type(like) is not np.ndarray or out is not None or parallel is not True or recording.active:
        return call()  # type: ignore[no-any-return]
    key = _key(name, options, arguments)
    if key is None:
        return call()  # type: ignore[no-any-return]
    arrays = tuple(value for value in arguments if type(value) is np.ndarray)
    found: Array = _run(key, arrays, call)
    return found


def _key(name: str, options: Any, arguments: tuple[Any, ...]) -> Hashable:
    """Return what a recording depends on, or None if there can be none."""
    if not memo.is_plain(options.numbers):
        return None
    known: list[Any] = [name, options, *map(type, options)]
    for value in arguments:
        kind = type(value)
        if kind is np.ndarray and value.flags.carray and value.size <= _MOST_ELEMENTS:
            known += value.shape, value.dtype
        elif kind is bool or memo.is_plain((value,)):
            known += kind, value
        else:
            return None
    return tuple(known)


def _run(key: Hashable, arrays: tuple[Array, ...], call: Callable[[], Any]) -> Any:
    try:
        calls: _Calls | None = held.find(key)
    except TypeError:  # what cannot be hashed is an error, or a dtype spelled as a list
        return call()
    if calls is None:
        calls = _Calls()
        calls.is_to_be_recorded()  # counts this one, which is not
        made = call()
        held.keep(key, calls)
        return made
    if calls.replay is not None:
        made = calls.replay(*arrays)
        if made is not None:
            return made
    if not calls.is_to_be_recorded():
        return call()
    made, calls.replay = replay.record(call, arrays, ())
    if calls.replay is not None:
        held.grew(calls.replay)
    return made
