"""ONNX's Conv, ConvInteger, QLinearConv, ConvTranspose and Col2Im, and their layers."""

import weakref
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import numpy as np

from numbaconv.api.conv_transpose import conv_transpose1d, conv_transpose2d, conv_transpose3d
from numbaconv.api.layers import Conv1d, Conv2d, Conv3d
from numbaconv.api.matrices import col2im
from numbaconv.kernels import held
from numbaconv.onnx import node as nodes
from numbaconv.onnx.node import Attributes, Node, wide
from numbaconv.problem.arguments import halves
from numbaconv.problem.arrays import Array
from numbaconv.problem.formulas import transposed_size
from numbaconv.problem.geometry import Ints

_TRANSPOSED = (conv_transpose1d, conv_transpose2d, conv_transpose3d)


class _Convolution(Node):
    """What operators share that convolve by a prepared layer."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._layers = Layers()


def layer_options(attributes: Attributes, x: Ints, weight: Ints) -> dict[str, Any]:
    """Return the arguments of a layer."""
    ndim = nodes.spatial_axes(x)
    if len(weight) != len(x):
        raise ValueError(f"input and weights must have as many axes, got shapes {x} and {weight}")
    kernel = nodes.kernel_shape(attributes, weight)
    strides = nodes.per_axis(attributes, "strides", ndim)
    dilations = nodes.per_axis(attributes, "dilations", ndim)
    return {
        "stride": strides, "dilation": dilations, "groups": nodes.number(attributes, "group", 1),
        "padding": nodes.padding(attributes, x[2:], kernel, strides, dilations),
    }  # fmt: skip


class Conv(_Convolution):
    """``Y = conv(X, W) + B``."""

    def compute(self, attributes: dict[str, Any], *inputs: Any) -> tuple[Array, ...]:
        """Return Y."""
        x, weight, bias = (*inputs, None)[:3]
        options = layer_options(attributes, x.shape, weight.shape)
        kind = KINDS[x.ndim - 3]
        layer = self._layers.get(
            (weight, bias),
            tuple(options.values()),
            lambda: kind(wide(weight), wide(bias), **options),
        )
        return (layer(wide(x)),)


class ConvInteger(_Convolution):
    """``y = conv(x - x_zero_point, w - w_zero_point)`` in int32."""

    def compute(self, attributes: dict[str, Any], *inputs: Any) -> tuple[Array, ...]:
        """Return y."""
        x, weight, x_zero, weight_zero = (*inputs, None, None)[:4]
        return (self.sums(attributes, (x, x_zero), (weight, weight_zero)),)

    def sums(
        self, attributes: Attributes, x: tuple[Any, Any], weight: tuple[Any, Any], bias: Any = None
    ) -> Array:
        """Return the exact sums; zero points are numbers, or the weights' one an output channel."""
        (values, zero), (kernels, kernels_zero) = x, weight
        options = layer_options(attributes, values.shape, kernels.shape)
        kind = KINDS[values.ndim - 3]
        layer = self._layers.get(
            (kernels, kernels_zero, bias), tuple(options.values()),
            lambda: kind(
                _centred(kernels, kernels_zero, len(kernels)), bias, dtype=np.int32, **options
            ),
        )  # fmt: skip
        return layer(_centred(values, zero, 1))


def _centred(values: Array, zero: Array | None, outputs: int) -> Array:
    """Return integers less their zero point, in int32."""
    if zero is None:
        return values.astype(np.int32)
    if zero.size not in (1, outputs):
        raise ValueError(f"a zero point must have 1 or {outputs} elements, got shape {zero.shape}")
    aligned = zero.reshape(-1, *(1,) * (values.ndim - 1))
    return np.subtract(values, aligned, dtype=np.int32)


class QLinearConv(ConvInteger):
    """A convolution of quantized numbers, with a quantized result.

    The sums are exact in int32. They are scaled by ``x_scale * w_scale / y_scale``, which is worked
    out in float32, and the product in float64; it is rounded half to even, and then the zero point
    is added, as QuantizeLinear does.
    """

    def compute(self, attributes: dict[str, Any], *inputs: Any) -> tuple[Array, ...]:
        """Return y, of the type of its zero point."""
        x, x_scale, x_zero, weight, w_scale, w_zero, y_scale, y_zero, bias = (*inputs, None)[:9]
        sums = self.sums(attributes, (x, x_zero), (weight, w_zero), bias)
        scale = np.asarray(x_scale * w_scale / y_scale, np.float64)
        if scale.size not in (1, sums.shape[1]):
            raise ValueError(
                f"w_scale must have 1 or {sums.shape[1]} elements, got shape {w_scale.shape}"
            )
        dtype = x.dtype if y_zero is None else y_zero.dtype
        y = sums * scale.reshape(-1, *(1,) * (sums.ndim - 2))
        np.rint(y, out=y)
        if y_zero is not None:
            y += y_zero.item()
        limits = np.iinfo(dtype)
        return (np.clip(y, limits.min, limits.max, out=y).astype(dtype),)


class ConvTranspose(Node):
    """``Y = conv_transpose(X, W) + B``."""

    def compute(self, attributes: dict[str, Any], *inputs: Any) -> tuple[Array, ...]:
        """Return Y."""
        x, weight, bias = map(wide, (*inputs, None)[:3])
        ndim = nodes.spatial_axes(x.shape)
        kernel = nodes.kernel_shape(attributes, weight.shape)
        strides = nodes.per_axis(attributes, "strides", ndim)
        dilations = nodes.per_axis(attributes, "dilations", ndim)
        added = tuple(attributes.get("output_padding") or (0,) * ndim)
        natural = [
            transposed_size(n, 0, 0, k, s, d, a)
            for n, k, s, d, a in zip(x.shape[2:], kernel, strides, dilations, added, strict=True)
        ]
        auto = nodes.automatic(attributes)
        size = attributes.get("output_shape")
        if not size and auto.startswith("SAME"):
            size = [n * s for n, s in zip(x.shape[2:], strides, strict=True)]
        if size:
            if len(size) != ndim:
                raise ValueError(f"output_shape must have {ndim} numbers, got {size}")
            # The smaller half of an odd total comes first for SAME_UPPER alone.
            sides = "same" if auto == "SAME_UPPER" else "same_lower"
            totals = [max(n - m, 0) for n, m in zip(natural, size, strict=True)]
            pads = tuple(halves(total, sides) for total in totals)
        else:
            pads = nodes.padding(attributes, x.shape[2:], kernel, strides, dilations)
        y = _TRANSPOSED[ndim - 1](
            x, weight, bias, stride=strides, padding=pads, output_padding=added,
            groups=nodes.number(attributes, "group", 1), dilation=dilations,
        )  # fmt: skip
        if size and tuple(size) != y.shape[2:]:
            # More was asked for than inputs reach: nothing but the bias arrives there.
            inner, y = y, np.zeros((*y.shape[:2], *size), y.dtype)
            if bias is not None:
                y += bias.reshape(-1, *(1,) * ndim)
            corner: tuple[Any, ...] = (..., *map(slice, inner.shape[2:]))
            y[corner] = inner
        return (y,)


class Col2Im(Node):
    """Sum columns of patches where they overlap: ``(N, C * prod(block), L)`` to ``(N, C, ...)``."""

    def compute(self, attributes: dict[str, Any], *inputs: Any) -> tuple[Array, ...]:
        """Return the images."""
        columns, image_shape, block_shape = inputs
        ndim = len(image_shape)
        return (
            col2im(
                columns, tuple(image_shape.tolist()), tuple(block_shape.tolist()),
                dilation=nodes.per_axis(attributes, "dilations", ndim),
                padding=nodes.pairs(attributes, ndim),
                stride=nodes.per_axis(attributes, "strides", ndim),
            ),
        )  # fmt: skip


Layer = Conv1d | Conv2d | Conv3d
KINDS = (Conv1d, Conv2d, Conv3d)


# Layers of a node at a time: "SAME" pads by the size of the input.
_MOST = 4


class _Kept(NamedTuple):
    arrays: tuple[Any, ...]  # weak references, or None
    copies: tuple[Any, ...]  # of arrays that can be written to
    layer: Layer


class Layers:
    """The layer of a node.

    Examples
    --------
    >>> weight = np.ones((1, 1, 3), "float32")
    >>> layers = Layers()
    >>> first = layers.get((weight,), (), lambda: Conv1d(weight))
    >>> layers.get((weight,), (), lambda: Conv1d(weight)) is first
    True
    >>> weight[0, 0, 0] = 5
    >>> layers.get((weight,), (), lambda: Conv1d(weight)) is first
    False
    """

    def __init__(self) -> None:
        self._kept: dict[Hashable, _Kept] = {}

    def get(
        self, arrays: tuple[Array | None, ...], options: Hashable, make: Callable[[], Layer]
    ) -> Layer:
        """Return the layer that was made of these very arrays and options, or make it."""
        kept = self._kept.get(options)
        if kept is not None and all(map(_same, arrays, kept.arrays, kept.copies)):
            return kept.layer
        layer = make()
        held.make_room(self._kept, _MOST)
        self._kept[options] = _Kept(
            tuple(None if a is None else weakref.ref(a) for a in arrays),
            tuple(None if a is None or _is_constant(a) else a.copy() for a in arrays),
            layer,
        )
        return layer


def _same(array: Array | None, known: Any, copy: Array | None) -> bool:
    if array is None or known is None:
        return array is None and known is None
    return known() is array and (copy is None or np.array_equal(array, copy))


def _is_constant(array: Array) -> bool:
    """Return whether nobody can write to an array: an initializer is a view of bytes."""
    base: Any = array
    while isinstance(base, np.ndarray):
        if base.flags.writeable:
            return False
        base = base.base
    return isinstance(base, bytes)
