"""Transposed convolution as small convolutions of stride 1, one for each phase of the result.

With stride s, the positions ``s * q + r`` of the result see every s-th tap of the kernel alone: for
each remainder r along each axis that is a convolution of stride 1 over the input as it is, with
those taps, flipped. No zeros are inserted, and the fast kernels of `numbaconv.routes` run it.

W. Shi et al., "Is the deconvolution layer the same as a convolutional layer?", arXiv:1609.07009,
section 2.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from numbaconv import routes
from numbaconv.adjoint.axis_phases import MOST_PHASES, AxisPhase, axis_phases
from numbaconv.adjoint.hidden import Borders
from numbaconv.adjoint.weights import Flip, Sweep
from numbaconv.kernels import recording
from numbaconv.problem.arrays import Array
from numbaconv.problem.geometry import ConvGeometry, Window, three_axes
from numbaconv.reference import adjoint
from numbaconv.routes.direct import places
from numbaconv.routes.direct import plan as direct
from numbaconv.routes.direct.panels import Panelled
from numbaconv.routes.winograd import dilated, first
from numbaconv.running import call, choice
from numbaconv.running.packed import Packed

# Cycles of a phase, whatever it does.
_CALL = 40_000.0
# Bytes of results that the phases make in turns.
_NEAR_BYTES = 1 << 22


@dataclass(frozen=True)
class Phase:
    """One small convolution: which of the input, the weights and the result it has to do with."""

    call: call.Call
    spread: direct.Plan | None  # which writes to the phase's positions, if it runs
    flip: Flip
    columns: Array | None  # where weights are a matrix that needs no flip: its rows
    source: tuple[slice, ...]
    target: tuple[slice, ...]

    @property
    def plan(self) -> Any:
        """The plan that runs."""
        return self.spread or self.call.plan

    def takes_all(self, geometry: ConvGeometry) -> bool:
        """Return whether all taps of a geometry are of this phase."""
        return self.call.geometry.window.kernel == geometry.window.kernel


class PackedPhases(NamedTuple):
    """The weights of each phase."""

    weight: Array
    bias: Array | None
    phases: list[Packed]

    def release(self) -> None:
        """Give the memory back; the object is of no use after that."""
        for packed in self.phases:
            packed.release()


class Plan:
    """The phases of a problem, each with an algorithm of its own.

    Parameters
    ----------
    geometry : ConvGeometry
        The convolution that this is the adjoint of, with padding of zeros.
    dtype : dtype
        Of all arrays.
    algorithm : str
        Asked of each phase.
    """

    def __init__(self, geometry: ConvGeometry, dtype: np.dtype[Any], algorithm: str) -> None:
        self.geometry, self.dtype = geometry, dtype
        self.place = _place(geometry, dtype.itemsize)
        # Phases take turns at few images, so that the lines which they share stay near.
        self.images = max(1, _NEAR_BYTES // max(self.place.image, 1))
        self.phases: list[Phase] = []
        self.blanks = False
        window = geometry.window
        axes = zip(
            window.size, window.output, window.kernel, window.stride, window.dilation,
            (low for low, _ in window.padding), strict=True,
        )  # fmt: skip
        along = [axis_phases(*axis) for axis in axes]
        self.borders = Borders(geometry, along)
        for parts in itertools.product(*along):
            target = tuple(
                slice(p.first, None, s) for p, s in zip(parts, window.stride, strict=True)
            )
            target = self._spatial(target)
            if all(p.kernel for p in parts):
                self.phases.append(self._phase(parts, target, algorithm))
            else:
                self.blanks = True
        self.sweeps = self._sweeps()

    def _phase(
        self, parts: tuple[AxisPhase, ...], target: tuple[slice, ...], algorithm: str
    ) -> Phase:
        geometry = self.geometry
        outputs = geometry.window.output
        source = tuple(
            slice(max(-p.low, 0), n - max(-p.high, 0)) for p, n in zip(parts, outputs, strict=True)
        )
        window = Window(
            size=tuple(s.stop - s.start for s in source),
            kernel=tuple(p.kernel for p in parts),
            stride=(1,) * len(parts),
            dilation=tuple(p.dilation for p in parts),
            padding=tuple((max(p.low, 0), max(p.high, 0)) for p in parts),
        )
        small = ConvGeometry(
            geometry.batch, geometry.out_channels, geometry.in_channels, geometry.groups, window,
            geometry.channels_last,
        )  # fmt: skip
        chosen, estimates = choice.choose(algorithm, small, self.dtype, prepared=False)
        route = routes.load(chosen)
        inner = call.Call(
            small, self.dtype, self.dtype, chosen, estimates, route.plan(small, self.dtype),
            small.output_shape, False, reads=route.READS, writes_any=route.WRITES_ANY,
        )  # fmt: skip
        spread = None
        if chosen == "direct" and max(geometry.window.stride) > 1:
            spread = direct.spread_plan(small, self.dtype, self.place)
        flip = Flip(geometry, tuple(p.taps for p in parts))
        return Phase(inner, spread, flip, self._columns(), self._spatial(source), target)

    def _columns(self) -> Array | None:
        """Return where the rows of a matrix of weights begin, the flipped kernels its columns."""
        geometry = self.geometry
        if geometry.channels_last or geometry.groups > 1 or geometry.window.taps > 1:
            return None
        row = geometry.in_channels * self.dtype.itemsize
        return np.arange(geometry.out_channels, dtype=np.int64) * row

    def _spatial(self, slices: tuple[slice, ...]) -> tuple[slice, ...]:
        """Return the index of a batched array whose spatial axes are cut so."""
        if self.geometry.channels_last:
            return (slice(None), *slices)
        return (slice(None), slice(None), *slices)

    @property
    def cost(self) -> float:
        """The estimated cycles of one core, weights' packing included."""
        estimates = (p.call.costs[p.call.algorithm] for p in self.phases)
        return sum(estimates) + _CALL * len(self.phases)

    @property
    def replayable(self) -> bool:
        """Whether all is done by launches."""
        return not self.blanks

    @property
    def pack_key(self) -> tuple[Any, ...]:
        """What the packed form of the weights depends on, beside the weights."""
        return tuple(
            (
                tuple((taps.start, taps.stop, taps.step) for taps in p.flip.taps),
                p.call.algorithm,
                p.plan.pack_key,
            )
            for p in self.phases
        )

    def pack(
        self, weight: Array, bias: Array | None, parallel: bool, *, keep: bool
    ) -> PackedPhases:
        """Return the weights of each phase, packed for its algorithm."""
        packed: dict[int, Packed] = {}
        for numbers, sweep in self.sweeps:
            packed |= zip(numbers, sweep(weight, bias, parallel, keep=keep), strict=True)
        for number, phase in enumerate(self.phases):
            if number in packed:
                continue
            if isinstance(phase.plan, first.Plan | dilated.Plan) and phase.takes_all(self.geometry):
                packed[number] = phase.plan.pack_flipped(
                    weight, bias, parallel, keep=keep, flip=phase.flip
                )
            elif phase.columns is not None and isinstance(phase.plan, direct.Plan):
                packed[number] = phase.plan.pack_columns(
                    weight, phase.columns, bias, parallel, keep=keep
                )._replace(adapt=phase.flip)
            else:
                small = phase.flip(weight, parallel)
                packed[number] = phase.plan.pack(small, bias, parallel, keep=keep)
        return PackedPhases(weight, bias, [packed[n] for n in range(len(self.phases))])

    def _sweeps(self) -> list[tuple[list[int], Sweep]]:
        """Return how phases that run directly get their weights, from one reading of them all."""
        if self.geometry.channels_last or self.geometry.window.taps == 1:
            return []
        found: dict[int, list[int]] = {}
        for number, phase in enumerate(self.phases):
            if isinstance(phase.plan, Panelled):
                found.setdefault(phase.plan.rows, []).append(number)
        sweeps = []
        for numbers in found.values():
            plans: Any = [self.phases[n].plan for n in numbers]
            taps = [self.phases[n].flip.taps for n in numbers]
            sweeps.append((numbers, Sweep(self.geometry, plans, taps)))
        return sweeps

    def run(self, x: Array, packed: Any, out: Array, parallel: bool) -> None:
        """Write the transposed convolution to `out`; weights that leak go the reference's way."""
        for n in range(0, len(x), self.images):
            images, results = x[n : n + self.images], out[n : n + self.images]
            if self.blanks:
                results[...] = _broadcast(packed.bias, self.geometry)
            for phase, weights in zip(self.phases, packed.phases, strict=True):
                source, target = images[phase.source], results[phase.target]
                if phase.spread is not None:
                    phase.spread.run(source, weights, target, parallel)
                else:
                    call.run_parts(phase.call, source, weights, target, parallel)
        if self.borders.exist and self.dtype.kind == "f" and self.borders.has_nan(out[0]):
            recording.refuse()
            # What images hold must not decide: other images would get other bits.
            if not np.isfinite(packed.weight).all():
                reference = adjoint.Plan(self.geometry, self.dtype)
                whole = reference.pack(packed.weight, packed.bias, parallel, keep=False)
                reference.run(x, whole, out, parallel)

    def workspace_nbytes(self, images: int, workers: int) -> int:
        """Return the memory that `run` borrows."""
        return max(
            (p.call.plan.workspace_nbytes(images, workers) for p in self.phases), default=0
        )  # fmt: skip


def _place(geometry: ConvGeometry, size: int) -> places.Place:
    """Return the distances in bytes between the positions of a phase, in a contiguous result."""
    image, channel, *axes = places.contiguous_strides(geometry, size)
    depth, row, column = (
        step * stride
        for step, stride in zip(axes, three_axes(geometry.window.stride, 1), strict=True)
    )
    return places.Place(image, channel, depth, row, column)


def refusal(geometry: ConvGeometry) -> str | None:
    """Return why phases cannot be chosen for a problem, or None."""
    count = math.prod(geometry.window.stride)
    if count > MOST_PHASES:
        return f"strides of {geometry.window.stride} would make {count} small convolutions"
    return None


def _broadcast(bias: Array | None, geometry: ConvGeometry) -> Any:
    """Return a bias (or zero) in a shape that fits images."""
    if bias is None or geometry.channels_last:
        return 0 if bias is None else bias
    return bias.reshape(-1, *(1,) * geometry.window.ndim)
