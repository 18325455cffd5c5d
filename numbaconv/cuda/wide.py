"""What long sums are added in: see `numbaconv.kernels.long_sums`."""

from typing import Any

import numpy as np

#: Terms that one thread adds one after another; every depth of a tile divides it.
MOST = 2048

_WIDER = {np.float32: np.float64, np.complex64: np.complex128}


def wider(work: Any) -> Any:
    """Return the type in which parts of sums of `work` are added: float64 for float32."""
    return _WIDER.get(work, work)
