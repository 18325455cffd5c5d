"""ONNX's MaxPool, AveragePool, LpPool, global pools and MaxUnpool."""

import math
from typing import Any

import numpy as np

from numbaconv.api.avg_pool import avg_pool1d, avg_pool2d, avg_pool3d
from numbaconv.api.max_pool import max_pool1d, max_pool2d, max_pool3d
from numbaconv.api.max_unpool import max_unpool1d, max_unpool2d, max_unpool3d
from numbaconv.onnx import node as nodes
from numbaconv.onnx.node import Attributes, Node, wide
from numbaconv.problem.arrays import Array
from numbaconv.problem.formulas import transposed_size
from numbaconv.problem.geometry import Ints

_MAXIMA = (max_pool1d, max_pool2d, max_pool3d)
_MEANS = (avg_pool1d, avg_pool2d, avg_pool3d)
_UNPOOLS = (max_unpool1d, max_unpool2d, max_unpool3d)


def _window(attributes: Attributes, x: Ints) -> dict[str, Any]:
    """Return the arguments of a pool; `auto_pad` rounds sizes by itself."""
    ndim = nodes.spatial_axes(x)
    kernel = nodes.per_axis(attributes, "kernel_shape", ndim)
    strides = nodes.per_axis(attributes, "strides", ndim)
    dilations = nodes.per_axis(attributes, "dilations", ndim)
    return {
        "kernel_size": kernel, "stride": strides, "dilation": dilations,
        "padding": nodes.padding(attributes, x[2:], kernel, strides, dilations),
        "ceil_mode": bool(attributes.get("ceil_mode"))
        and nodes.automatic(attributes) == "NOTSET",
    }  # fmt: skip


class MaxPool(Node):
    """The largest value in each window, and where it is if a second output is asked for."""

    def compute(self, attributes: dict[str, Any], *inputs: Any) -> tuple[Array, ...]:
        """Return Y, or Y and Indices."""
        x = wide(inputs[0])
        window = _window(attributes, x.shape)
        ndim = x.ndim - 2
        if len(self.output) < 2 or not self.output[1]:
            return (_MAXIMA[ndim - 1](x, **window),)
        values, indices = _MAXIMA[ndim - 1](x, return_indices=True, **window)
        # ONNX counts over batch and channels, too, and columns first with storage_order.
        if attributes.get("storage_order"):
            places = np.unravel_index(indices, x.shape[2:])
            indices = np.ravel_multi_index(places, x.shape[2:], order="F")
        planes = np.arange(x.shape[0] * x.shape[1]).reshape(*x.shape[:2], *(1,) * ndim)
        return values, indices + planes * math.prod(x.shape[2:])


class AveragePool(Node):
    """The mean of each window."""

    def compute(self, attributes: dict[str, Any], *inputs: Any) -> tuple[Array, ...]:
        """Return Y."""
        x = wide(inputs[0])
        pool = _MEANS[nodes.spatial_axes(x.shape) - 1]
        return (
            pool(
                x, count_include_pad=bool(attributes.get("count_include_pad")),
                **_window(attributes, x.shape),
            ),
        )  # fmt: skip


class LpPool(Node):
    """The p-norm of each window, summed in float64."""

    def compute(self, attributes: dict[str, Any], *inputs: Any) -> tuple[Array, ...]:
        """Return Y."""
        x = wide(inputs[0])
        p = nodes.number(attributes, "p", 2)
        sums = _MEANS[nodes.spatial_axes(x.shape) - 1](
            np.abs(x).astype(np.float64) ** p, divisor_override=1, **_window(attributes, x.shape)
        )
        return ((sums ** (1 / p)).astype(x.dtype),)


def _over_planes(pools: Any, planes: Array) -> Array:
    """Return a pool over all that follows batch and channels, however many axes."""
    x = wide(planes)
    size = math.prod(x.shape[2:])
    y: Array = pools[0](x.reshape(*x.shape[:2], size), size)
    return y.reshape(*x.shape[:2], *(1,) * (x.ndim - 2))


class GlobalMaxPool(Node):
    """The largest value of each plane."""

    def compute(self, attributes: dict[str, Any], *inputs: Any) -> tuple[Array, ...]:
        """Return Y."""
        return (_over_planes(_MAXIMA, inputs[0]),)


class GlobalAveragePool(Node):
    """The mean of each plane."""

    def compute(self, attributes: dict[str, Any], *inputs: Any) -> tuple[Array, ...]:
        """Return Y."""
        return (_over_planes(_MEANS, inputs[0]),)


class MaxUnpool(Node):
    """Maxima where MaxPool found them, among zeros."""

    def compute(self, attributes: dict[str, Any], *inputs: Any) -> tuple[Array, ...]:
        """Return the output."""
        x, indices, output_shape = (*inputs, None)[:3]
        x = wide(x)
        ndim = nodes.spatial_axes(x.shape)
        kernel = nodes.per_axis(attributes, "kernel_shape", ndim)
        strides = nodes.per_axis(attributes, "strides", ndim)
        pads = nodes.pairs(attributes, ndim)
        size = tuple(
            transposed_size(n, low, high, k, s, 1, 0)
            for n, s, k, (low, high) in zip(x.shape[2:], strides, kernel, pads, strict=True)
        )
        # Indices count over batch and channels, too, in a result of the size that follows from
        # the window, which output_shape extends with zeros.
        y = _UNPOOLS[ndim - 1](x, indices % math.prod(size), kernel, strides, pads)
        if output_shape is None:
            return (y,)
        shape = tuple(output_shape.tolist())
        if shape[:2] != y.shape[:2] or any(n < m for n, m in zip(shape, y.shape, strict=True)):
            raise ValueError(f"output_shape must be at least {y.shape} in space, got {shape}")
        return (np.pad(y, [(0, n - m) for n, m in zip(shape, y.shape, strict=True)]),)
