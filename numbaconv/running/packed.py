"""Weights as an algorithm wants them, ready for many calls."""

from collections.abc import Callable
from typing import Any, NamedTuple

from numbaconv.kernels import workspace
from numbaconv.problem.arrays import Array


class Packed(NamedTuple):
    """Weights and bias in the form of one algorithm, and as they were given.

    Attributes
    ----------
    weight : ndarray
        As given: contiguous, in the dtype of the computation.
    bias : ndarray or None
        As given, ``(O,)``.
    address, bias_address : int
        Where the packed weights and the padded bias lie.
    alive : tuple
        What keeps that memory alive.
    space : Workspace or None
        Memory to give back after use.
    adapt : callable or None
        What makes the weights as given those of the problem, where they are not.
    """

    weight: Array
    bias: Array | None
    address: int = 0
    bias_address: int = 0
    alive: tuple[Any, ...] = ()
    space: workspace.Workspace | None = None
    adapt: Callable[[Array], Array] | None = None

    @property
    def plain_weight(self) -> Array:
        """The weights of the problem, in the layout of the forward."""
        return self.weight if self.adapt is None else self.adapt(self.weight)

    def release(self) -> None:
        """Give the memory back; the object is of no use after that."""
        if self.space is not None:
            workspace.give_back(self.space)
