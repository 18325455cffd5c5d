"""What was resolved once is remembered: options and details that are plain values."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from numbaconv.kernels import held
from numbaconv.problem.options import AdaptiveOptions, ConvOptions, PatchOptions, PoolOptions

T = TypeVar("T")

_PLAIN = (int, str, type(None))


def remembered(
    resolve: Callable[..., T],
    options: ConvOptions | PoolOptions | PatchOptions | AdaptiveOptions,
    *details: Any,
) -> T:
    """Return ``resolve(options, *details)``, from memory if the options' numbers are plain."""
    if not is_plain(options.numbers):
        return resolve(options, *details)
    key = (resolve, options, details)
    try:
        found: T | None = held.find(key)
    except TypeError:  # what cannot be hashed is an error, or a dtype spelled as a list
        return resolve(options, *details)
    if found is None:
        found = resolve(options, *details)
        held.keep(key, found)
    return found


def is_plain(numbers: tuple[Any, ...]) -> bool:
    """Return whether options can be looked up by their numbers: exact ints, strings, None, tuples.

    1.0 and True equal 1, but must be refused.
    """
    for value in numbers:  # noqa: SIM110 (all, with its generator, takes twice as long)
        if type(value) not in _PLAIN and not _is_plain(value):
            return False
    return True


def kept(function: Callable[..., T]) -> Callable[..., T]:
    """Return a function of hashable arguments whose results are kept, within the one limit."""

    @functools.wraps(function)
    def found(*arguments: Any) -> T:
        key = (function, arguments)
        value: T | None = held.find(key)
        if value is None:
            value = function(*arguments)
            held.keep(key, value)
        return value

    return found


def _is_plain(value: Any) -> bool:
    """Return whether a value is a tuple of nothing but exact ints, or of such tuples."""
    return type(value) is tuple and all(type(v) is int or _is_plain(v) for v in value)
