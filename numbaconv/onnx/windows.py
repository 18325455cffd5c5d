"""ONNX's attributes of windows as our arguments: pads, auto_pad, strides, dilations."""

from collections.abc import Mapping
from typing import Any

from numbaconv.problem import arguments
from numbaconv.problem.geometry import Ints

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
