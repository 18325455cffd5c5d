"""What the algorithms of the weight gradient offer."""

from typing import Any, Protocol

from numbaconv.problem.arrays import Array


class Plan(Protocol):
    """A problem as one algorithm runs it."""

    #: How many images are converted at a time, where they must be; launches take so many, or
    #: several times as many.
    images_at_once: int
    #: After how many images, such a multiple, sums are to be drained.
    images_a_sum: int

    def readable(self, array: Array) -> bool:
        """Return whether an aligned array of the plan's dtype is read where it is."""

    def start(self, images: int) -> Any:
        """Return sums of nothing, for so many images in all."""

    def add(self, sums: Any, x: Array, grad: Array, first: int, parallel: bool) -> None:
        """Add what some images come to, of which the first since sums were empty is `first`."""

    def drain(self, sums: Any) -> None:
        """Set aside what the sums have come to: so many terms are added one after another."""

    def finish(self, sums: Any, out: Array, parallel: bool) -> None:
        """Write the gradient to `out`, in the caller's layout."""
