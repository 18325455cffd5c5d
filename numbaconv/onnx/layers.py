"""Prepared layers of a node, kept for as long as its weights stay the same arrays."""

import weakref
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import numpy as np

from numbaconv.api.layers import Conv1d, Conv2d, Conv3d
from numbaconv.kernels import held
from numbaconv.problem.arrays import Array

Layer = Conv1d | Conv2d | Conv3d
KINDS = (Conv1d, Conv2d, Conv3d)


# Layers of a node at a time: "SAME" pads by the size of the input.
_MOST = 4


class _Kept(NamedTuple):
    arrays: tuple[Any, ...]  # weak references, or None
    copies: tuple[Any, ...]  # of arrays that can be written to
    layer: Layer


class Layers:
    """The layer of a node.

    Examples
    --------
    >>> weight = np.ones((1, 1, 3), "float32")
    >>> layers = Layers()
    >>> first = layers.get((weight,), (), lambda: Conv1d(weight))
    >>> layers.get((weight,), (), lambda: Conv1d(weight)) is first
    True
    >>> weight[0, 0, 0] = 5
    >>> layers.get((weight,), (), lambda: Conv1d(weight)) is first
    False
    """

    def __init__(self) -> None:
        self._kept: dict[Hashable, _Kept] = {}

    def get(
        self, arrays: tuple[Array | None, ...], options: Hashable, make: Callable[[], Layer]
    ) -> Layer:
        """Return the layer that was made of these very arrays and options, or make it."""
        kept = self._kept.get(options)
        if kept is not None and all(map(_same, arrays, kept.arrays, kept.copies)):
            return kept.layer
        layer = make()
        held.make_room(self._kept, _MOST)
        self._kept[options] = _Kept(
            tuple(None if a is None else weakref.ref(a) for a in arrays),
            tuple(None if a is None or _is_constant(a) else a.copy() for a in arrays),
            layer,
        )
        return layer


def _same(array: Array | None, known: Any, copy: Array | None) -> bool:
    if array is None or known is None:
        return array is None and known is None
    return known() is array and (copy is None or np.array_equal(array, copy))


def _is_constant(array: Array) -> bool:
    """Return whether nobody can write to an array: an initializer is a view of bytes."""
    base: Any = array
    while isinstance(base, np.ndarray):
        if base.flags.writeable:
            return False
        base = base.base
    return isinstance(base, bytes)
