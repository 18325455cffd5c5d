"""Numbers so small that Winograd's transforms would round them to few bits."""

from typing import Any

import numpy as np

from numbaconv.kernels.jit import device
from numbaconv.native.link import load_float

#: Below this, and 24 bits above the smallest number, transforms may round more than Winograd does.
TINY = np.float32(2.0**-100)


@device
def largest(start: int, nbytes: int, least: Any) -> Any:
    """Return the largest magnitude of float32s, of which one was `least`, or one not tiny."""
    found = np.float32(least)
    for at in range(start, start + nbytes, 4):
        value = abs(load_float(at))
        if value > found:
            found = value
            if found >= TINY:
                return found
    return found


@device
def weights_are_tiny(
    weight: int, blocks: int, block_step: int, elements: int, element_step: int, nbytes: int
) -> bool:
    """Return whether transformed kernels hold nothing but tiny numbers, and not only zeros.

    Of each block and element `nbytes` are looked at; gaps follow them.
    """
    found = np.float32(0.0)
    for block in range(blocks):
        for element in range(elements):
            found = largest(weight + block * block_step + element * element_step, nbytes, found)
            if found >= TINY:
                return False
    return bool(found > np.float32(0.0))
