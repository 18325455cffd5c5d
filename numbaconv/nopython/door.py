"""The way from jitted code to a public function, whose arguments are rebuilt from integers."""

import ctypes
import inspect
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from numbaconv.kernels import recording
from numbaconv.nopython import FUNCTIONS, interface, programs, runtime
from numbaconv.problem.arrays import Array

_STALE = (
    "this function was compiled, and cached, with another version of numbaconv: "
    "remove its cache (the .nbi and .nbc files beside it, or in NUMBA_CACHE_DIR)"
)
# The rules of functions that are one step, which says itself whether launches are all that it does.
_RECORDABLE = ("convolution", "input_grad", "max_pool", "pool", "im2col", "col2im")


def call(description: str, place: int) -> tuple[Any, ...]:
    """Call a function whose arguments are described; return its arrays.

    Parameters
    ----------
    description : str
        JSON: the function's name, and of each argument what is known when its caller is compiled.
    place : int
        Where the block lies, all int64: the address of the site's block, which is written here, the
        addresses of arrays, and values.
    """
    site = _sites.get(description)
    if site is None:
        # Compiled code keeps its address: of two threads' sites one must win for good.
        site = _sites.setdefault(description, _Site(description))
    block = site.block.from_address(place)
    block[0] = site.programs.address
    words = tuple(block)
    arguments = site.arguments(words)
    values = words[1 + site.addresses :]
    if not site.recordable or not site.programs.wants(values):
        return site.results(arguments)
    with recording.recording() as recorder:
        results = site.results(arguments)
    site.record(values, recorder, arguments, results)
    return results


class _Site:
    """A call in somebody's jitted code."""

    def __init__(self, description: str) -> None:
        parsed = json.loads(description)
        if parsed["interface"] != interface():
            raise RuntimeError(_STALE)
        self.function: Callable[..., Any]
        self.function, rule, _ = FUNCTIONS[parsed["name"]]
        self.recordable = rule in _RECORDABLE
        # None is passed on where it is an answer: where there is no default.
        parameters = inspect.signature(self.function).parameters.values()
        required = [p.name for p in parameters if p.default is p.empty]
        self.parts: dict[str, Any] = {
            name: part
            for name, part in parsed["arguments"].items()
            if part[0] != "none" or name in required
        }
        self.kinds: list[Any] = parsed["results"]
        self.addresses = sum(part[0] == "array" for part in self.parts.values())
        values = parsed["values"]
        self.block = ctypes.c_int64 * (1 + self.addresses + values)
        self.programs = programs.Site(values)

    def arguments(self, words: tuple[int, ...]) -> dict[str, Any]:
        """Return the arguments that are not left out."""
        addresses = iter(words[1 : 1 + self.addresses])
        values = iter(words[1 + self.addresses :])
        return {n: _value(part, addresses, values) for n, part in self.parts.items()}

    def results(self, arguments: dict[str, Any]) -> tuple[Any, ...]:
        """Return the function's arrays but for `out`, contiguous as jitted code expects them."""
        found = self.function(**arguments)
        results = found if isinstance(found, tuple) else (found,)
        if "out" in arguments:
            results = results[1:]
        # What a call returns may have changed since its caller was compiled.
        if self.kinds != [None if a is None else [a.dtype.str, a.ndim] for a in results]:
            raise RuntimeError(_STALE)
        inputs = [a for a in arguments.values() if isinstance(a, np.ndarray)]
        return tuple(None if array is None else _own(array, inputs) for array in results)

    def record(
        self, values: tuple[int, ...], recorder: recording.Recorder, arguments: dict[str, Any],
        results: tuple[Any, ...],
    ) -> None:  # fmt: skip
        """Let compiled code do the same by itself next time, if it can."""
        arrays = [arguments[name] for name, part in self.parts.items() if part[0] == "array"]
        if recorder.threads:
            runtime.know_threads()
        fresh = [array for array in results if array is not None]
        arrays += fresh
        if all(array.size for array in arrays):
            inputs = 1 + self.addresses
            entries = [*range(1, inputs), *range(inputs + len(values), 10**6)]
            places = list(zip(arrays, entries, strict=False))
            self.programs.add(values, recorder, places, fresh)


_sites: dict[str, _Site] = {}


def _own(array: Array, inputs: list[Array]) -> Array:
    """Return a contiguous array that outlives the inputs, whose memory is jitted code's."""
    if any(np.may_share_memory(array, other) for other in inputs):
        return array.copy()
    return np.ascontiguousarray(array)


def _value(part: Any, addresses: Iterator[int], values: Iterator[int]) -> Any:
    """Return an argument, from the block's addresses and values."""
    kind, *rest = part
    if kind == "array":
        return _array(rest, next(addresses), values)
    if kind == "tuple":
        return tuple(_value(p, addresses, values) for p in rest[0])
    if kind == "int":
        return next(values)
    if kind == "bool":
        return bool(next(values))
    return rest[0] if rest else None


class _Memory:
    """The array interface of memory that jitted code holds."""

    def __init__(self, interface: dict[str, Any]) -> None:
        self.__array_interface__ = interface


def _array(rest: Any, address: int, values: Iterator[int]) -> Array:
    dtype, ndim, contiguous, mutable = rest
    shape = tuple(next(values) for _ in range(ndim))
    strides = None if contiguous else tuple(next(values) for _ in range(ndim))
    if 0 in shape:
        return np.empty(shape, dtype)
    return np.asarray(
        _Memory(
            {"data": (address, not mutable), "typestr": dtype, "shape": shape, "strides": strides,
             "version": 3}
        )
    )  # fmt: skip
