"""What a backward pass is asked for, and what it returns."""

from typing import Any, NamedTuple

from numbaconv.problem import arguments

NEEDS = ("input", "weight", "bias")


class Gradients(NamedTuple):
    """What a backward pass returns; None for what was not needed.

    Attributes
    ----------
    input, weight, bias : array or None
        The gradients with respect to the forward's arguments, of their shapes.
    """

    input: Any
    weight: Any
    bias: Any


def checked_needs(needs: Any) -> tuple[str, ...]:
    """Return the names of wanted gradients, all of which must be of `NEEDS`."""
    expected = f"needs must be a tuple or list of names among {NEEDS}"
    if isinstance(needs, str) or not arguments.is_sequence(needs):
        raise TypeError(f"{expected}, got {arguments.shortened(needs)}")
    for need in needs:
        if not isinstance(need, str):
            raise TypeError(f"{expected}, got {arguments.shortened(needs)}")
        if need not in NEEDS:
            raise ValueError(f"{expected}, got {arguments.shortened(needs)}")
    return tuple(needs)
