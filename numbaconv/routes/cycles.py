"""What the estimates of the algorithms have in common: cycles of one core, and how work is counted.

The constants were fitted by ``benchmarks/calibrate.py``.
"""

import math

from numbaconv.problem.geometry import ConvGeometry

#: Cycles of one vector multiply-add, by kind of element,
MULTIPLY = {"f4": 0.48, "f8": 0.48, "i1": 1.7, "i2": 0.85, "i4": 1.3, "i8": 4.0}
#: of a call of a register tile, of an element that is copied, of one that is transposed,
TILE = 80.0
COPY = 0.21
TRANSPOSE = 0.35
#: and of a weight that is packed.
PACK = 0.45


def weights(geometry: ConvGeometry) -> int:
    """Return how many weights there are."""
    return geometry.out_channels * geometry.patch_size


def vectors(geometry: ConvGeometry, lanes: int) -> float:
    """Return the vectors of output positions of one channel of the batch."""
    *_, width = geometry.window.output
    rows = geometry.window.positions // max(width, 1)
    flat = math.ceil(geometry.window.positions / lanes)
    return geometry.batch * min(flat * 1.02, rows * math.ceil(width / lanes))
