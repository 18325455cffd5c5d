"""The convolution of arrays on the device: which route runs it, and the launches of each."""

from typing import Any

from numbaconv.cuda import columns, depthwise, launch, parameters, product
from numbaconv.cuda.places import Images, Weights
from numbaconv.problem.geometry import ConvGeometry, three_axes

#: The reference first.
NAMES = ("im2col", "direct", "depthwise")

# Loops over more taps than this are not unrolled.
_UNROLLED = 49


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
    packed = product.pack(geometry, kernels, work, conjugated, out.stream)
    if algorithm == "im2col" and geometry.patch_size:
        columns.forward(geometry, x, packed, bias, out, work)
    elif algorithm == "depthwise" and geometry.patch_size:
        _run_depthwise(geometry, x, packed, bias, out, work)
    else:
        product.multiply(geometry, x, packed, bias, out, work)


def _run_depthwise(
    geometry: ConvGeometry, x: Images, packed: Any, bias: Any, out: Images, work: Any
) -> None:
    window = geometry.window
    kernel = three_axes(window.kernel, 1)
    unrolled = window.taps <= _UNROLLED
    rows = depthwise.ROWS if unrolled and _rows_meet(geometry) else 1
    strips = -(-three_axes(window.output, 1)[1] // rows)
    lines = geometry.batch * geometry.out_channels
    depth, height, width = three_axes(window.output, 1)
    count = lines * depth * strips * width
    values = {
        **product.window_values(geometry), **product.digits(0, kernel), **x.as_input,
        **out.as_output,
        "M": geometry.out_channels // geometry.groups, "N": count, "K": geometry.patch_size,
        "SPLIT_K": 0, "BLOCKS": 0, "BIASED": int(bias is not None),
    }  # fmt: skip
    index, p = parameters.pack(
        values, x.data.size, out.data.size, packed.size, lines * depth * height * width
    )
    fast = out.channel == 1 and geometry.out_channels > 1
    result, mode = out.dtype.type, product.mode_of(geometry)
    compiled = (
        depthwise.forward(index, work, result, mode, kernel, rows, fast)
        if unrolled
        else depthwise.forward_any(index, work, result, mode, fast)
    )
    compiled[(*launch.grid(count), out.stream)](
        packed, x.data, packed if bias is None else bias, out.data, p
    )


def _rows_meet(geometry: ConvGeometry) -> bool:
    """Return whether neighbouring rows of the result read the same rows of the input."""
    window = geometry.window
    axis = window.ndim - 2
    return (
        axis >= 0
        and window.stride[axis] == window.dilation[axis] == 1
        and window.kernel[axis] > 1
        and window.output[axis] > 1
    )
