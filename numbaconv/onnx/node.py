"""What our operators share as nodes of an evaluator: errors, types, attributes of windows."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx.reference.op_run import OpRun

from numbaconv.problem import arguments
from numbaconv.problem.arrays import Array
from numbaconv.problem.geometry import Ints

# What is raised again with the node's name. NumPy has errors of its own below these.
_ERRORS = (TypeError, ValueError, MemoryError, ArithmeticError)


def wide(x: Any) -> Any:
    """Return bfloat16 and its like as float32, which they are computed in."""
    return x if x is None or x.dtype.kind != "V" else x.astype(np.float32)


class Node(OpRun):  # type: ignore[misc]
    """An operator of ONNX's standard domain."""

    op_domain = ""

    def compute(self, attributes: dict[str, Any], *inputs: Any) -> tuple[Array, ...]:
        """Return the outputs; results in float32 are rounded to what the first input was."""
        raise NotImplementedError

    def _run(self, *inputs: Any, **attributes: Any) -> tuple[Array, ...]:
        arrays = [None if x is None else np.asarray(x) for x in inputs]
        results = self.compute(attributes, *arrays)
        small = arrays[0].dtype if arrays[0] is not None else None
        if small is None or small.kind != "V":
            return results
        return tuple(y.astype(small) if y.dtype == np.float32 else y for y in results)

    def run(self, *inputs: Any, **keywords: Any) -> tuple[Array, ...]:
        """Return the outputs; errors name the node."""
        try:
            results: tuple[Array, ...] = super().run(*inputs, **keywords)
        except _ERRORS as error:
            # The evaluator puts a TypeError of its own before ours.
            cause = error.__cause__
            first = cause if isinstance(cause, TypeError | AttributeError) else error
            kind = next((k for k in _ERRORS if isinstance(first, k)), TypeError)
            node = self.onnx_node
            name = f" {node.name!r}" if node.name else ""
            output = f", output {node.output[0]!r}" if node.output else ""
            raise kind(f"node{name} ({node.op_type}{output}): {first}") from error
        return results


Attributes = Mapping[str, Any]
Pairs = tuple[tuple[int, int], ...]

#: What `auto_pad` is as our padding.
AUTOMATIC = {"VALID": "valid", "SAME_UPPER": "same", "SAME_LOWER": "same_lower"}


def spatial_axes(shape: Ints) -> int:
    """Return how many axes follow batch and channels, or raise ValueError if none computes them."""
    if not 3 <= len(shape) <= 5:
        raise ValueError(f"the input must have 1 to 3 axes after batch and channels, got {shape}")
    return len(shape) - 2


def per_axis(attributes: Attributes, name: str, ndim: int) -> Ints:
    """Return an attribute of an integer for each axis, 1 where it is missing."""
    values = attributes.get(name) or (1,) * ndim
    if len(values) != ndim or min(values) < 1:
        raise ValueError(
            f"{name} must be {ndim} positive numbers, one for each axis, got {list(values)}"
        )
    return tuple(values)


def number(attributes: Attributes, name: str, default: int) -> Any:
    """Return an attribute that is a number, or its default where it is missing."""
    value = attributes.get(name)
    return default if value is None else value


def kernel_shape(attributes: Attributes, weight: Ints) -> Ints:
    """Return the spatial shape of the weights, which `kernel_shape` must name if it is there."""
    kernel = attributes.get("kernel_shape")
    if kernel and tuple(kernel) != weight[2:]:
        raise ValueError(f"kernel_shape is {kernel}, but the weights have shape {weight}")
    return weight[2:]


def automatic(attributes: Attributes) -> str:
    """Return `auto_pad`: NOTSET, VALID, SAME_UPPER or SAME_LOWER."""
    found: str = attributes.get("auto_pad") or "NOTSET"
    if found != "NOTSET" and found not in AUTOMATIC:
        raise ValueError(f"auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER, got {found!r}")
    return found


def pairs(attributes: Attributes, ndim: int) -> Pairs:
    """Return `pads` as (low, high) for each axis."""
    pads = attributes.get("pads") or (0,) * (2 * ndim)
    if len(pads) != 2 * ndim:
        raise ValueError(f"pads must have {2 * ndim} numbers, two for each axis, got {pads}")
    return tuple(zip(pads[:ndim], pads[ndim:], strict=True))


def padding(
    attributes: Attributes, size: Ints, kernel: Ints, strides: Ints, dilations: Ints
) -> Pairs:
    """Return (low, high) for each axis, worked out where `auto_pad` says so."""
    auto = automatic(attributes)
    if auto == "NOTSET":
        return pairs(attributes, len(size))
    return arguments.padding_pairs(AUTOMATIC[auto], size, kernel, strides, dilations)
