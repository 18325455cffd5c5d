"""Running sums in several slots, among which tiles or chunks of images are dealt out."""

import numpy as np

from numbaconv.kernels.long_sums import Total
from numbaconv.problem.arrays import Array


class Slots:
    """Running sums of equal shapes, and what was drained from them.

    Parameters
    ----------
    values : ndarray
        ``(slots, ...)``: the sums, which are added to in place.
    """

    def __init__(self, values: Array) -> None:
        self.values = values
        self._drained: Total | None = None

    def __len__(self) -> int:
        return len(self.values)

    def drain(self) -> None:
        """Set aside what the sums have come to, and let them begin at zero."""
        total = self._added()
        if self._drained is None:
            self._drained = Total(total.copy())
        else:
            self._drained.add(total)
        self.values[...] = 0

    def total(self) -> Array:
        """Return what all have come to: the first slot, in the order of the slots."""
        total = self._added()
        if self._drained is not None:
            self._drained.add(total)
            total[...] = self._drained.value
        return total

    def _added(self) -> Array:
        """Return the first slot, to which all others were added."""
        first: Array = self.values[0]
        with np.errstate(invalid="ignore"):  # infinities of both signs: NaN, as in the kernels
            for slot in self.values[1:]:
                first += slot
        return first
