"""Finds out whether padding that nobody asked for has met a weight that is not finite.

The small convolutions of `phases` read zeros beyond the input where no window reaches a result.
Zero times infinity is NaN, so an infinite weight would leak there. Each tap that meets such padding
meets it at the first or the last positions of its phase, whatever the image holds, so a look at the
borders of one image tells.
"""

import numpy as np

from numbaconv.adjoint.axis_phases import AxisPhase
from numbaconv.kernels import recording, threads
from numbaconv.problem.arrays import Array, Table
from numbaconv.problem.geometry import ConvGeometry, three_axes
from numbaconv.teams import jobs
from numbaconv.teams.jobs import team_kernel


class Borders:
    """The positions of a result that hidden padding may have reached.

    Parameters
    ----------
    geometry : ConvGeometry
        The convolution that this is the adjoint of.
    phases : list of list of AxisPhase
        Of each axis.
    """

    def __init__(self, geometry: ConvGeometry, phases: list[list[AxisPhase]]) -> None:
        window, channels = geometry.window, geometry.in_channels
        size = three_axes(window.size, 1)
        low, high = [], []
        for stride, parts in zip(window.stride, phases, strict=True):
            taken = [p for p in parts if p.kernel]
            low.append(stride if any(p.low > 0 for p in taken) else 0)
            high.append(stride if any(p.high > 0 for p in taken) else 0)
        self.exist = any(low) or any(high)
        positions = size[0] * size[1] * size[2]
        step, channel = (channels, 1) if geometry.channels_last else (1, positions)
        self.table = np.array(
            [channels, *size, channel, size[1] * size[2] * step, size[2] * step, step,
             *three_axes(tuple(low), 0), *three_axes(tuple(high), 0)], np.int64,
        )  # fmt: skip

    def has_nan(self, image: Array) -> bool:
        """Return whether there is a NaN at the borders of one contiguous image."""
        found = threads.shared_counter()
        jobs.run(_find_nan, 1, image.reshape(-1), self.table, found)
        if recording.active:
            recording.keep(check=found)
        return bool(found[0])


@team_kernel
def _find_nan(team: int, workers: int, image: Array, table: Table, found: Table) -> None:
    """Set ``found[0]`` if a border of any channel holds a NaN."""
    found[0] = 0
    for c in range(table[0]):
        for d in range(table[1]):
            d_border = d < table[8] or d >= table[1] - table[11]
            for h in range(table[2]):
                row = c * table[4] + d * table[5] + h * table[6]
                low, high = table[10], table[3] - table[13]
                if d_border or h < table[9] or h >= table[2] - table[12]:
                    low = high = table[3]
                for w in range(min(low, table[3])):
                    value = image[row + w * table[7]]
                    if value != value:
                        found[0] = 1
                for w in range(max(high, low), table[3]):
                    value = image[row + w * table[7]]
                    if value != value:
                        found[0] = 1
