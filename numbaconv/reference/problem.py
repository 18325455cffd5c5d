"""A problem ready to run: its geometry, and arrays that kernels can take as they are."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from numbaconv.problem.arrays import Array
from numbaconv.problem.geometry import ConvGeometry


@dataclass(frozen=True)
class Problem:
    """Arrays of one dtype, batched, aligned, and of any strides.

    Parameters
    ----------
    geometry : ConvGeometry
        Its ``batch`` is the caller's; `x` and `out` may hold fewer images.
    x, weight, out : ndarray
        In the geometry's layout.
    bias : ndarray or None
        ``(O,)``, contiguous and writeable.
    """

    geometry: ConvGeometry
    x: Array
    weight: Array
    bias: Array | None
    out: Array

    @property
    def images(self) -> int:
        """The number of images to run."""
        return len(self.x)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of all arrays."""
        return self.x.dtype

    @property
    def products(self) -> int:
        """The number of multiplications."""
        geometry = self.geometry
        outputs = self.images * geometry.out_channels * geometry.window.positions
        return outputs * geometry.patch_size


def neutral_bias(outputs: int, dtype: np.dtype[Any]) -> Array:
    """Return a bias that changes no sum: -0.0 keeps even the sign of a zero."""
    return np.full(outputs, -0.0 if dtype.kind in "fc" else 0, dtype)


def kernels_as_rows(geometry: ConvGeometry, weight: Array) -> Array:
    """Return weights as ``(groups, O/groups, K)``, a patch in the order channel, tap."""
    if geometry.channels_last:
        weight = np.moveaxis(weight, (-1, -2), (0, 1))
    outputs = geometry.out_channels // geometry.groups
    return weight.reshape(geometry.groups, outputs, geometry.patch_size)


def kernels_as_columns(geometry: ConvGeometry, weight: Array) -> Array:
    """Return weights of channels last as ``(groups, K, O/groups)``, in the order tap, channel."""
    outputs = geometry.out_channels // geometry.groups
    matrix = weight.reshape(geometry.patch_size, geometry.groups, outputs)
    return matrix.transpose(1, 0, 2)


def image_by_image(
    problem: Problem, dtype: np.dtype[Any], usable: Callable[[Array], bool]
) -> Iterator[Problem]:
    """Yield the problem's images one by one, in contiguous arrays of `dtype` where need be.

    An input that is not `usable` is copied first, and a result is copied out after, so that the
    extra memory does not grow with the batch.
    """
    for n in range(problem.images):
        x, out = problem.x[n : n + 1], problem.out[n : n + 1]
        target = out if usable(out) else np.empty(out.shape, dtype)
        yield replace(problem, x=x if usable(x) else np.ascontiguousarray(x, dtype), out=target)
        if target is not out:
            out[...] = target
