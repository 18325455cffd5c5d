"""ONNX's Col2Im."""

from typing import Any

from numbaconv.api.matrices import col2im
from numbaconv.onnx import windows
from numbaconv.onnx.node import Node
from numbaconv.problem.arrays import Array


class Col2Im(Node):
    """Sum columns of patches where they overlap: ``(N, C * prod(block), L)`` to ``(N, C, ...)``."""

    def compute(self, attributes: dict[str, Any], *inputs: Any) -> tuple[Array, ...]:
        """Return the images."""
        columns, image_shape, block_shape = inputs
        ndim = len(image_shape)
        return (
            col2im(
                columns, tuple(image_shape.tolist()), tuple(block_shape.tolist()),
                dilation=windows.per_axis(attributes, "dilations", ndim),
                padding=windows.pairs(attributes, ndim),
                stride=windows.per_axis(attributes, "strides", ndim),
            ),
        )  # fmt: skip
