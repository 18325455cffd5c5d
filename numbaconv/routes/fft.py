"""Products of spectra: for kernels so large that no sum over their taps is fast.

Overlap-save (A. Oppenheim, R. Schafer, "Discrete-Time Signal Processing", section 8.7.3): blocks of
the padded input, each as long as SciPy's FFT likes it, are transformed, multiplied with the
conjugate spectra of the kernels, summed over the channels and transformed back; the part of a block
that does not wrap around is the result. Strides take every n-th output, dilation spreads kernels.

Rounding errors spread over a whole block, so small values beside large ones lose accuracy: it is
computed in double precision, whatever the dtype, and in double precision "auto" does not choose it.
Input that is not finite is convolved by the exact route instead.
"""

import itertools
import math
from typing import Any

import numpy as np

from numbaconv import routes
from numbaconv.kernels import held, threads
from numbaconv.problem.arrays import Array
from numbaconv.problem.formulas import dilated_size
from numbaconv.problem.geometry import ConvGeometry, Ints
from numbaconv.running.packed import Packed

#: What this route is (see `numbaconv.routes.Algorithm`).
EXACT, READS, WRITES_ANY, OWN_PADDING = False, "any", False, False
# Cycles of any call.
_CALL = 300_000.0

# A block is this many times as long as the kernel, where the input is.
_BLOCK = 4
# Elements of all spectra of the kernels: beyond, memory is the trouble.
_MOST_SPECTRA = 1 << 24


def refusal(geometry: ConvGeometry, dtype: np.dtype[Any]) -> str | None:
    """Return why this route cannot run the problem, or None."""
    if dtype.kind not in "fc":
        return f"it is not exact, so it computes in floats only, not in {dtype}"
    if geometry.patch_size == 0:
        return "there are no input channels"
    lengths = _lengths(geometry)
    spectra = geometry.out_channels * geometry.in_channels // geometry.groups
    if spectra * math.prod(lengths) > _MOST_SPECTRA:
        return "the spectra of its kernels would not fit into memory"
    return None


class Plan:
    """Everything that follows from geometry and dtype.

    Parameters
    ----------
    geometry : ConvGeometry
        The problem; its batch does not matter.
    dtype : dtype
        A float or complex one.
    """

    replayable = False

    def __init__(self, geometry: ConvGeometry, dtype: np.dtype[Any]) -> None:
        self.geometry, self.dtype = geometry, dtype
        self.work = np.dtype(np.complex128 if dtype.kind == "c" else np.float64)
        window = geometry.window
        self.spans = tuple(
            dilated_size(k, d) for k, d in zip(window.kernel, window.dilation, strict=True)
        )
        self.dense = tuple(
            (o - 1) * s + 1 for o, s in zip(window.output, window.stride, strict=True)
        )
        self.block = tuple(map(_fast_length, _lengths(geometry)))
        self.valid = tuple(b - k + 1 for b, k in zip(self.block, self.spans, strict=True))
        self.blocks = math.prod(-(-o // v) for o, v in zip(self.dense, self.valid, strict=True))

    @property
    def pack_key(self) -> Ints:
        """The length of a block."""
        return self.block

    def pack(self, weight: Array, bias: Array | None, parallel: bool, *, keep: bool) -> Packed:
        """Return the kernels' conjugate spectra, ``(groups, O/groups, C/groups, *frequencies)``."""
        geometry = self.geometry
        kernels = np.moveaxis(weight, (-1, -2), (0, 1)) if geometry.channels_last else weight
        spread = np.zeros((*kernels.shape[:2], *self.spans), self.work)
        steps: list[Any] = [slice(None, None, d) for d in geometry.window.dilation]
        spread[(..., *steps)] = kernels
        # conj(F(conj w)) is the spectrum of the reversed kernel, for complex kernels too.
        spectra = self._transform(spread.conj(), parallel).conj()
        shape = (geometry.groups, geometry.out_channels // geometry.groups, *spectra.shape[1:])
        return Packed(weight, bias, alive=(spectra.reshape(shape),))

    def run(self, x: Array, packed: Packed, out: Array, parallel: bool) -> None:
        """Write the convolution to `out`, image by image."""
        exact = None
        for image, target in zip(x, out, strict=True):
            if np.isfinite(image).all():
                self._convolve(image, packed, target, parallel)
                if np.isfinite(target).all():
                    continue
            if exact is None:
                name = "direct" if routes.load("direct").refusal(
                    self.geometry, self.dtype
                ) is None else "im2col"  # fmt: skip
                exact = routes.load(name).plan(self.geometry, self.dtype)
                panels = exact.pack(packed.weight, packed.bias, parallel, keep=False)
            exact.run(np.ascontiguousarray(image[None]), panels, target[None], parallel)
        if exact is not None:
            panels.release()

    def _convolve(self, image: Array, packed: Packed, target: Array, parallel: bool) -> None:
        geometry = self.geometry
        if geometry.channels_last:
            image, target = np.moveaxis(image, -1, 0), np.moveaxis(target, -1, 0)
        bias = 0 if packed.bias is None else packed.bias.reshape(-1, *(1,) * geometry.window.ndim)
        spectra = packed.alive[0]
        groups = geometry.groups
        for first in itertools.product(
            *(range(0, o, v) for o, v in zip(self.dense, self.valid, strict=True))
        ):
            spectrum = self._transform(self._block(image, first), parallel)
            spectrum = spectrum.reshape(groups, -1, *spectrum.shape[1:])
            product = np.einsum("goc...,gc...->go...", spectra, spectrum)
            dense = self._transform_back(product.reshape(-1, *product.shape[2:]), parallel)
            # Outputs of this block: those whose dense position lies in its valid part.
            to: list[Any] = []
            taken: list[Any] = []
            for i, v, s, o in zip(
                first, self.valid, geometry.window.stride, geometry.window.output, strict=True
            ):
                low, high = -(-i // s), min(-(-(i + v) // s), o)
                to.append(slice(low, high))
                taken.append(slice(low * s - i, max((high - 1) * s - i + 1, 0), s))
            target[(..., *to)] = dense[(..., *taken)] + bias

    def _block(self, image: Array, first: Ints) -> Array:
        """Return the padded input from dense position `first` on, as long as a block."""
        block = np.zeros((len(image), *self.block), self.work)
        to: list[Any] = []
        taken: list[Any] = []
        for i, b, n, (low, _) in zip(
            first, self.block, image.shape[1:], self.geometry.window.padding, strict=True
        ):
            begin, end = max(i - low, 0), min(i - low + b, n)
            taken.append(slice(begin, max(begin, end)))
            to.append(slice(begin - (i - low), max(begin, end) - (i - low)))
        block[(..., *to)] = image[(..., *taken)]
        return block

    def _transform(self, array: Array, parallel: bool) -> Array:
        import scipy.fft

        axes = tuple(range(-len(self.block), 0))
        function = scipy.fft.fftn if self.dtype.kind == "c" else scipy.fft.rfftn
        return np.asarray(function(array, self.block, axes, workers=_workers(parallel)))

    def _transform_back(self, spectrum: Array, parallel: bool) -> Array:
        import scipy.fft

        axes = tuple(range(-len(self.block), 0))
        function = scipy.fft.ifftn if self.dtype.kind == "c" else scipy.fft.irfftn
        return np.asarray(function(spectrum, self.block, axes, workers=_workers(parallel)))

    def workspace_nbytes(self, images: int, workers: int) -> int:
        """Return the memory of a block, its spectra and its products."""
        channels = self.geometry.in_channels + self.geometry.out_channels
        return 2 * channels * math.prod(self.block) * self.work.itemsize


def _lengths(geometry: ConvGeometry) -> Ints:
    """Return the least lengths of a block."""
    window = geometry.window
    return tuple(
        min((o - 1) * s + dilated_size(k, d), max(_BLOCK * dilated_size(k, d), 64))
        for o, s, k, d in zip(
            window.output, window.stride, window.kernel, window.dilation, strict=True
        )
    )


def _workers(parallel: bool) -> int:
    return threads.thread_count() if parallel else 1


def _fast_length(n: int) -> int:
    """Return the least length from n on that has no prime factor above 5."""
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 1


@held.shared
def plan(geometry: ConvGeometry, dtype: np.dtype[Any]) -> Plan:
    """Return the plan of a problem."""
    return Plan(geometry, dtype)


def cost(geometry: ConvGeometry, dtype: np.dtype[Any], *, prepared: bool) -> float:
    """Return the estimated cycles of one core; `prepared` leaves the packing of weights out."""
    this = plan(geometry, dtype)
    points = math.prod(this.block)
    transform = points * math.log2(points) * 4.0
    blocks = geometry.batch * this.blocks
    products = points * geometry.out_channels * geometry.in_channels / geometry.groups * 2.5
    total = blocks * ((geometry.in_channels + geometry.out_channels) * transform + products)
    pairs = geometry.out_channels * geometry.in_channels / geometry.groups
    return float(_CALL + (total if prepared else total + pairs * transform))
