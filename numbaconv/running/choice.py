"""Which algorithm runs: the one that is asked for, or the one whose estimate is least.

An estimate (`cost` of each route) counts cycles of one core: vector multiply-adds at two a cycle,
elements moved, bytes of weights that come from beyond the L2 cache, and calls. It knows shapes,
dtype, layout and CPU, and never the number of threads. ``benchmarks/calibrate.py`` fits the
constants, and measures the regret (time of the chosen algorithm over that of the best).
"""

from typing import Any

import numpy as np

from numbaconv import routes
from numbaconv.problem.geometry import ConvGeometry


def choose(
    request: str, geometry: ConvGeometry, dtype: np.dtype[Any], *, prepared: bool
) -> tuple[str, dict[str, float]]:
    """Return the algorithm for a request, and the estimates of all that could run.

    Raises ValueError if the one that is asked for cannot run.
    """
    refused = routes.refusals(geometry, dtype)
    if refused.get(request) is not None:
        raise ValueError(f"algorithm={request!r} cannot run this problem: {refused[request]}")
    costs = {
        name: routes.load(name).cost(geometry, dtype, prepared=prepared)
        for name, reason in refused.items()
        if reason is None
    }
    if request in refused:
        return request, costs
    allowed = {name: costs[name] for name in costs if may_choose(request, name, dtype)}
    return min(allowed, key=allowed.__getitem__), costs


def may_choose(request: str, name: str, dtype: np.dtype[Any]) -> bool:
    """Return whether "auto" or "exact" may choose an algorithm.

    An error that is bounded by norms, as that of "fft", would make small results beside large ones
    wrong in double precision.
    """
    if routes.load(name).EXACT:
        return True
    return request == "auto" and dtype in (np.float32, np.complex64)
