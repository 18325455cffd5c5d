"""Small convolutions that are called again and again, launched as one of the calls was recorded."""

from collections.abc import Hashable
from typing import Any

import numpy as np

from numbaconv.api import backends
from numbaconv.kernels import held, recording
from numbaconv.nopython import replay
from numbaconv.problem.arrays import Array
from numbaconv.problem.options import ConvOptions
from numbaconv.running import memo

# Elements of arrays, and of results times those of weights, up to which microseconds matter.
_MOST_ELEMENTS, _MOST_PRODUCTS = 1 << 16, 1 << 27


class _Calls(replay.Calls):
    """The calls of one kind, and what was recorded of them."""

    __slots__ = ("replay",)

    def __init__(self) -> None:
        super().__init__()
        self.replay: replay.Replay | None = None


def convolve(
    options: ConvOptions, x: Any, weight: Any, bias: Any, out: Any, parallel: Any
) -> Array:  # fmt: skip
    """Return a convolution, by the backend of `x` or as it was recorded."""
    if type(x) is np.ndarray and type(weight) is np.ndarray and out is None and parallel is True:
        arrays = (x, weight) if bias is None else (x, weight, bias)
        key = _key(options, arrays)
        if key is not None:
            return _convolve(key, options, arrays, bias)
    return backends.of(x).convolve(options, x, weight, bias, out, parallel)


def _key(options: ConvOptions, arrays: tuple[Array, ...]) -> Hashable:
    """Return what a recording depends on, or None if there can be none."""
    if recording.active or not memo.is_plain(options.numbers):
        return None
    for array in arrays:
        if type(array) is not np.ndarray or not array.flags.carray or array.size > _MOST_ELEMENTS:
            return None
    return convolve, options, *[(array.shape, array.dtype) for array in arrays]


def _convolve(
    key: Hashable, options: ConvOptions, arrays: tuple[Array, ...], bias: Any
) -> Array:  # fmt: skip
    x, weight = arrays[:2]

    def run() -> Array:
        return backends.of(x).convolve(options, x, weight, bias, None, True)

    try:
        calls: _Calls | None = held.find(key)
    except TypeError:  # what cannot be hashed is an error, or a dtype spelled as a list
        return run()
    if calls is None:
        calls = _Calls()
        calls.is_to_be_recorded()  # counts this one, which is not
        y = run()
        if y.size * weight.size <= _MOST_PRODUCTS:
            held.keep(key, calls)
        return y
    if calls.replay is not None:
        made = calls.replay(*arrays)
        if made is not None:
            return made
    if not calls.is_to_be_recorded():
        return run()
    y, calls.replay = replay.record(run, arrays, ())
    if calls.replay is not None:
        held.grew(calls.replay)
    return y
