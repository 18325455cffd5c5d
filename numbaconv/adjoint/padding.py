"""The adjoint of padding: what padded positions have read flows back to where it was read from."""

from collections import Counter
from typing import Any

import numpy as np

from numbaconv.kernels.long_sums import Total
from numbaconv.problem.arrays import Array
from numbaconv.problem.formulas import PADDING_MODES, source_index
from numbaconv.problem.geometry import ConvGeometry
from numbaconv.running import call

# Lines that are added to one another after another; more of them with compensation.
_FEW = 64


class Plan:
    """A problem whose padding is not of zeros: another plan's result, folded image by image.

    Parameters
    ----------
    geometry : ConvGeometry
        The problem.
    inner : Call
        How the same problem is computed over an input that holds its padding.
    dtype : dtype
        Of all arrays.
    """

    replayable = False

    def __init__(self, geometry: ConvGeometry, inner: call.Call, dtype: np.dtype[Any]) -> None:
        self.geometry, self.inner, self.dtype = geometry, inner, dtype

    @property
    def pack_key(self) -> Any:
        """What the packed form of the weights depends on, beside the weights."""
        return self.inner.plan.pack_key

    def pack(self, weight: Array, bias: Array | None, parallel: bool, *, keep: bool) -> Any:
        """Return weights as the other plan wants them."""
        return self.inner.plan.pack(weight, bias, parallel, keep=keep)

    def run(self, x: Array, packed: Any, out: Array, parallel: bool) -> None:
        """Write the gradient of the unpadded input to `out`."""
        padded = np.empty((1, *self.inner.geometry.input_shape[-x.ndim + 1 :]), self.dtype)
        for n in range(len(x)):
            call.run_parts(self.inner, x[n : n + 1], packed, padded, parallel)
            out[n] = folded(padded, self.geometry)[0]

    def workspace_nbytes(self, images: int, workers: int) -> int:
        """Return the memory that `run` borrows."""
        return int(self.inner.plan.workspace_nbytes(1, workers))


def folded(padded: Array, geometry: ConvGeometry) -> Array:
    """Return a batched gradient of padded images, folded to their size axis by axis.

    Padding pads one axis after the other, so its adjoint folds one after the other.
    """
    window = geometry.window
    mode = PADDING_MODES[window.padding_mode]
    first = 1 if geometry.channels_last else 2
    for axis, (n, (low, high)) in enumerate(zip(window.size, window.padding, strict=True), first):
        lines = np.moveaxis(padded, axis, 0)
        inside = lines[low : low + n].copy() if low + high else lines
        targets = [
            (i, source_index(i - low, n, mode)) for i in (*range(low), *range(low + n, len(lines)))
        ]
        counts = Counter(target for _, target in targets)
        totals = {t: Total(inside[t]) for t, count in counts.items() if count > _FEW}
        for i, target in targets:
            if target in totals:
                totals[target].add(lines[i])
            else:
                inside[target] += lines[i]
        for target, total in totals.items():
            inside[target] = total.value
        padded = np.moveaxis(inside, 0, axis)
    return padded
