"""Weights for the small convolutions of stride 1: some taps, flipped, with channels exchanged."""

import numpy as np

from numbaconv.kernels import threads, workspace
from numbaconv.native import emit
from numbaconv.native.link import call
from numbaconv.native.transpose import kernel_packer, transposer
from numbaconv.problem.arrays import Array, Table, address
from numbaconv.problem.geometry import ConvGeometry
from numbaconv.routes.direct.panels import Panelled
from numbaconv.running.packed import Packed
from numbaconv.teams import jobs
from numbaconv.teams.jobs import fork_tasks, team_kernel, team_part

# Channels whose weights are read one after the other, so that whole lines are used.
_BLOCK = 16


class Flip:
    """How the weights of a geometry become those of a small convolution.

    From contiguous ``(O, C/groups, *kernel)`` to ``(C, O/groups, *taps)``; channels last, from
    ``(*kernel, C/groups, O)`` to ``(*taps, O/groups, C)``.

    Parameters
    ----------
    geometry : ConvGeometry
        The convolution whose weights are given.
    taps : tuple of slice
        Which taps along each axis, flipped.
    """

    def __init__(self, geometry: ConvGeometry, taps: tuple[slice, ...]) -> None:
        self.geometry, self.taps = geometry, taps
        window, groups = geometry.window, geometry.groups
        self.outputs = geometry.out_channels // groups
        self.channels = geometry.in_channels // groups
        chosen = np.arange(window.taps).reshape(window.kernel)[taps]
        self.order = chosen.ravel().astype(np.int64)
        if geometry.channels_last:
            self.shape = (*chosen.shape, self.outputs, groups * self.channels)
        else:
            self.shape = (groups * self.channels, self.outputs, *chosen.shape)

    def __call__(self, weight: Array, parallel: bool = False) -> Array:
        """Return the weights of the small convolution."""
        result = np.empty(self.shape, weight.dtype)
        last, taps = self.geometry.channels_last, self.geometry.window.taps
        if emit.supports(weight.dtype) and (last or taps == 1):
            self._transpose(weight, result, parallel)
        elif weight.dtype.kind != "c" and not last:
            bits = np.dtype(f"u{weight.itemsize}")
            groups = self.geometry.groups
            tasks = groups * -(-self.channels // _BLOCK)
            workers = jobs.team_size(tasks, work=weight.size, parallel=parallel)
            jobs.run(
                _flip, workers, weight.reshape(-1).view(bits), result.reshape(-1).view(bits),
                groups, self.outputs, self.channels, taps, self.order,
            )  # fmt: skip
        else:
            self._assign(weight, result)
        return result

    def _transpose(self, weight: Array, result: Array, parallel: bool) -> None:
        """Transpose matrices, one a tap (of which there is one, unless channels are last)."""
        groups, size = self.geometry.groups, weight.itemsize
        rows, columns = self.outputs, self.channels
        row, to_row = columns, rows
        group = to_group = rows * columns
        if self.geometry.channels_last:
            rows, columns = columns, rows
            row, to_row = groups * columns, groups * rows
            group, to_group = columns, rows
        tap = rows * columns * groups * size
        count = len(self.order)
        workers = jobs.team_size(count * groups, work=weight.size, parallel=parallel)
        jobs.run(
            _transpose, workers, count * groups, groups, self.order, address(weight), tap,
            group * size, row * size, address(result), tap, to_group * size, to_row * size, rows,
            columns, transposer(weight.dtype),
        )  # fmt: skip

    def _assign(self, weight: Array, result: Array) -> None:
        """Let NumPy do it, for any dtype."""
        groups, outputs, channels = self.geometry.groups, self.outputs, self.channels
        if self.geometry.channels_last:
            chosen = weight[self.taps]
            kernel = chosen.shape[:-2]
            parts = np.moveaxis(chosen.reshape(*kernel, channels, groups, outputs), -1, -3)
            result.reshape(*kernel, outputs, groups, channels)[...] = parts.swapaxes(-1, -2)
        else:
            chosen = weight[(slice(None), slice(None), *self.taps)]
            parts = chosen.reshape(groups, outputs, channels, *chosen.shape[2:]).swapaxes(1, 2)
            result.reshape(parts.shape)[...] = parts


class Sweep:
    """Packs the panels of several direct plans from weights that are read once.

    Parameters
    ----------
    geometry : ConvGeometry
        The convolution whose weights are given, channels first.
    plans : list of Panelled
        Of small convolutions, all with as many output channels in a block.
    taps : list of tuple of slice
        Which taps along each axis each of them takes, flipped; no two share one.
    """

    def __init__(
        self, geometry: ConvGeometry, plans: list[Panelled], taps: list[tuple[slice, ...]]
    ) -> None:
        window, self.plans = geometry.window, plans
        self.groups, self.taps = geometry.groups, window.taps
        self.outputs = geometry.out_channels // geometry.groups
        self.channels = geometry.in_channels // geometry.groups
        self.rows, size = plans[0].rows, plans[0].size
        every = np.arange(window.taps).reshape(window.kernel)
        slack = np.zeros(window.taps + _BLOCK, np.int64)
        # For each tap its plan, where it begins in a panel, and how far apart kernels are there.
        self.plan_of, self.begins, self.steps = slack - 1, slack.copy(), slack.copy()
        for number, chosen in enumerate(every[t].ravel() for t in taps):
            self.plan_of[chosen] = number
            self.begins[chosen] = np.arange(chosen.size) * self.rows * size
            self.steps[chosen] = chosen.size * self.rows * size
        self.panels = np.array([plan.panel for plan in plans], np.int64)
        # All are packed into one piece of memory, behind which unused taps go.
        ends = np.cumsum([-(-plan.packed_nbytes // 64) * 64 for plan in plans])
        self.offsets = np.array([0, *ends], np.int64)
        self.native = kernel_packer(self.rows, plans[0].dtype)

    def __call__(
        self, weight: Array, bias: Array | None, parallel: bool, *, keep: bool
    ) -> list[Packed]:
        """Return the packed weights of each plan."""
        nbytes = int(self.offsets[-1]) + self.rows * weight.itemsize + 64
        space = workspace.Workspace(nbytes) if keep else workspace.take(nbytes)
        tasks = self.groups * self.plans[0].blocks
        workers = jobs.team_size(tasks, work=weight.size, parallel=parallel)
        row = self.taps * weight.itemsize
        jobs.run(
            _sweep, workers, tasks, self.plans[0].blocks, self.rows, self.outputs,
            self.channels, self.taps, row, address(weight), self.plan_of, self.begins, self.steps,
            self.panels, space.address, self.offsets, self.native,
            threads.tables(workers, len(self.begins)),
        )  # fmt: skip
        return [
            plan.packed(space, weight, bias, parallel, keep=keep, offset=int(offset))
            for plan, offset in zip(self.plans, self.offsets[:-1], strict=True)
        ]


@team_kernel
def _sweep(
    team: int, workers: int, tasks: int, blocks: int, rows: int, outputs: int, channels: int,
    taps: int, row: int, weight: int, plan_of: Table, begins: Table, steps: Table, panels: Table,
    space: int, offsets: Table, packer: int, tables: Table,
) -> None:  # fmt: skip
    """Pack block by block of the small convolutions' output channels."""
    shared = (
        blocks, rows, outputs, channels, taps, row, weight, plan_of, begins, steps, panels, space,
        offsets, packer, tables,
    )  # fmt: skip
    fork_tasks(team, workers, tasks, _sweep_block, shared)


@team_part
def _sweep_block(
    task: int, worker: int, blocks: int, rows: int, outputs: int, channels: int, taps: int,
    row: int, weight: int, plan_of: Table, begins: Table, steps: Table, panels: Table,
    space: int, offsets: Table, packer: int, tables: Table,
) -> None:  # fmt: skip
    targets = tables[worker]
    group, block = task // blocks, task % blocks
    for tap in range(taps):
        plan = plan_of[tap]
        if plan < 0:  # no result has to do with this tap
            targets[tap] = space + offsets[-1]
        else:
            targets[tap] = space + offsets[plan] + task * panels[plan] + begins[tap]
    first = group * outputs * channels + block * rows
    call(
        packer,
        (
            outputs, taps, min(rows, channels - block * rows), weight + first * row, row,
            channels * row, targets.ctypes.data, steps.ctypes.data,
        ),
    )  # fmt: skip


@team_kernel
def _transpose(
    team: int, workers: int, tasks: int, groups: int, order: Table, weight: int, tap: int,
    group: int, row: int, to: int, to_tap: int, to_group: int, to_row: int, rows: int,
    columns: int, transposer: int,
) -> None:  # fmt: skip
    """Transpose the matrix of each tap and group; distances in bytes."""
    shared = (
        groups, order, weight, tap, group, row, to, to_tap, to_group, to_row, rows, columns,
        transposer,
    )  # fmt: skip
    fork_tasks(team, workers, tasks, _transpose_matrix, shared)


@team_part
def _transpose_matrix(
    task: int, worker: int, groups: int, order: Table, weight: int, tap: int, group: int, row: int,
    to: int, to_tap: int, to_group: int, to_row: int, rows: int, columns: int, transposer: int,
) -> None:  # fmt: skip
    t, g = task // groups, task % groups
    source = weight + order[t] * tap + g * group
    target = to + t * to_tap + g * to_group
    call(transposer, (rows, rows, columns, source, row, target, to_row))


@team_kernel
def _flip(
    team: int, workers: int, weight: Array, result: Array, groups: int, outputs: int,
    channels: int, taps: int, order: Table,
) -> None:  # fmt: skip
    """Exchange the channels of ``(groups, outputs, channels, taps)``, with taps in an order."""
    blocks = (channels + _BLOCK - 1) // _BLOCK
    shared = weight, result, outputs, channels, taps, order, blocks
    fork_tasks(team, workers, groups * blocks, _flip_block, shared)


@team_part
def _flip_block(
    task: int, worker: int, weight: Array, result: Array, outputs: int, channels: int, taps: int,
    order: Table, blocks: int,
) -> None:  # fmt: skip
    count = order.size
    group = task // blocks
    c0 = task % blocks * _BLOCK
    c1 = min(c0 + _BLOCK, channels)
    for o in range(outputs):
        first = (group * outputs + o) * channels * taps
        for c in range(c0, c1):
            to = ((group * channels + c) * outputs + o) * count
            for t in range(count):
                result[to + t] = weight[first + c * taps + order[t]]
