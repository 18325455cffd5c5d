"""Packed weights: panels of the output channels of a block, for tiles of either form."""

from abc import ABC, abstractmethod
from collections.abc import Hashable
from typing import Any

import numpy as np

from numbaconv.kernels import workspace
from numbaconv.native.rows import copier
from numbaconv.native.transpose import transposer
from numbaconv.problem.arrays import Array, address
from numbaconv.problem.geometry import ConvGeometry
from numbaconv.routes.direct import loops, places
from numbaconv.running.packed import Packed
from numbaconv.teams import jobs


class Panelled(ABC):
    """A problem whose weights are packed: what every plan of this route is."""

    geometry: ConvGeometry
    dtype: np.dtype[Any]
    #: Bytes of an element, elements of a vector, output channels of a group and of a block.
    size: int
    lanes: int
    outputs: int
    rows: int
    #: Elements of a patch.
    k: int

    def lay_panels(self) -> None:
        """Find how many blocks and bytes there are, once the problem and its tile are known."""
        self.blocks = -(-self.outputs // self.rows)
        # A vector of slack: what copies rows may write behind the last.
        self.panel = -(-(self.rows * self.k + self.lanes) * self.size // 64) * 64
        self.no_bias = np.zeros(self.geometry.groups * self.blocks * self.rows, self.dtype)

    @abstractmethod
    def columns_of_channels_last(self) -> Array:
        """Return where the weights of each patch element begin, in the order of a panel."""

    @property
    def pack_key(self) -> Hashable:
        """The output channels of a block, and the stride between panels."""
        return self.rows, self.panel

    @property
    def packed_nbytes(self) -> int:
        """The size of packed weights."""
        return self.geometry.groups * self.blocks * self.panel

    def pack(self, weight: Array, bias: Array | None, parallel: bool, *, keep: bool) -> Packed:
        """Return weights as panels: for each block of output channels, its elements of each k."""
        if self.geometry.channels_last:
            table = self.columns_of_channels_last()
            return self.pack_columns(weight, table, bias, parallel, keep=keep)
        space = self._space(keep)
        panels = self.geometry.groups * self.blocks
        workers = jobs.team_size(panels, work=weight.size, parallel=parallel)
        jobs.run(
            loops.pack, workers, address(weight), space.address, panels, self.blocks,
            self.rows, self.outputs, self.k, self.k * self.size, self.panel, self.size,
            transposer(self.dtype),
        )  # fmt: skip
        return self.packed(space, weight, bias, parallel, keep=keep)

    def pack_columns(
        self, weight: Array, rows: Array, bias: Array | None, parallel: bool, *, keep: bool
    ) -> Packed:
        """Do the same where kernels are columns: `rows` says where each patch element's begin."""
        space = self._space(keep)
        panels = self.geometry.groups * self.blocks
        workers = jobs.team_size(panels, work=weight.size, parallel=parallel)
        jobs.run(
            loops.pack_columns, workers, address(weight), space.address, panels,
            self.blocks, self.rows, self.outputs, self.k, self.panel, self.size,
            copier(1, self.dtype), rows,
        )  # fmt: skip
        return self.packed(space, weight, bias, parallel, keep=keep)

    def _space(self, keep: bool) -> workspace.Workspace:
        nbytes = self.packed_nbytes
        return workspace.Workspace(nbytes) if keep else workspace.take(nbytes)

    def packed(
        self, space: workspace.Workspace, weight: Array, bias: Array | None, parallel: bool, *,
        keep: bool, offset: int = 0,
    ) -> Packed:  # fmt: skip
        """Return the panels that are in a workspace, from an offset on, with the bias."""
        padded = self.no_bias
        if bias is not None:
            blocks = self.blocks * self.rows
            padded = places.padded_bias(bias, self.geometry.groups, self.outputs, blocks)
        alive = (space, padded)
        released = None if keep or offset else space
        return Packed(weight, bias, space.address + offset, address(padded), alive, released)
