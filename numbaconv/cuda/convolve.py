"""The convolution of arrays on the device: which route runs it, and the launches of each."""

from typing import Any

from numbaconv.cuda import columns, copying, depthwise, product
from numbaconv.cuda.places import Images, Weights
from numbaconv.problem.geometry import ConvGeometry

#: The reference first.
NAMES = ("im2col", "direct", "depthwise")


def choose(algorithm: str, geometry: ConvGeometry) -> str:
    """Return the algorithm that runs a problem; raise ValueError where the named one cannot."""
    group_channels = geometry.in_channels // geometry.groups
    if algorithm in ("auto", "exact"):
        return "depthwise" if group_channels == 1 and geometry.groups > 1 else "direct"
    if algorithm == "depthwise" and group_channels > 1:
        raise ValueError(
            f"algorithm='depthwise' cannot run this problem: a group has {group_channels} input "
            "channels, not 1"
        )
    return algorithm


def run(
    algorithm: str,
    geometry: ConvGeometry,
    x: Images,
    kernels: Weights,
    bias: Any,
    out: Images,
    work: Any,
    conjugated: bool = False,
) -> None:
    """Enqueue the convolution of a batch; the caller holds `numbaconv.cuda.launch.lock`.

    Parameters
    ----------
    algorithm : str
        One of `NAMES` that can run it.
    geometry : ConvGeometry
        The problem. Where a patch has no elements, the result is the bias.
    x, out : Images
        The input and the result.
    kernels : Weights
        The weights.
    bias : device array or None
        One element for each output channel.
    work : type
        Of the computation, such as ``numpy.float32``.
    conjugated : bool
        Whether the weights are taken conjugated.
    """
    if not geometry.patch_size:
        _multiply(geometry, x, kernels, bias, out, work, conjugated)
    elif algorithm == "im2col" or not _meets_padding(geometry):
        columns.forward(geometry, x, kernels, bias, out, work, conjugated)
    elif algorithm == "depthwise":
        depthwise.run(geometry, x, kernels, bias, out, work, conjugated)
    elif product.fits_mask(geometry.window):
        _multiply(geometry, x, kernels, bias, out, work, conjugated)
    else:
        inner, padded = copying.pad(geometry, x)
        _multiply(inner, padded, kernels, bias, out, work, conjugated)


def _meets_padding(geometry: ConvGeometry) -> bool:
    """Return whether the padding fits a mask, or can be about the input."""
    return product.fits_mask(geometry.window) or copying.can_pad(geometry)


def _multiply(
    geometry: ConvGeometry,
    x: Images,
    kernels: Weights,
    bias: Any,
    out: Images,
    work: Any,
    conjugated: bool,
) -> None:
    """Multiply weights by patches that are gathered meanwhile."""
    cut = product.cut(geometry, x, kernels, out, work)
    packed = product.pack(cut, geometry, x, kernels, work, conjugated)
    product.multiply_packed(cut, geometry, x, packed, bias, out, work)
