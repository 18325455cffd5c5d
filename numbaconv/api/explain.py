"""explain and algorithms: which algorithm runs a problem, and why."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from numbaconv import routes
from numbaconv.host import convolution
from numbaconv.problem import arguments
from numbaconv.problem.geometry import Ints
from numbaconv.problem.options import ConvOptions
from numbaconv.problem.types import Algorithm, IntOrAxes, Layout, Padding, PaddingMode
from numbaconv.running import call, choice

_OTHER_BATCHES = (1, 8, 64)


@dataclass(frozen=True)
class Plan:
    """How a convolution is computed; printing it tells why.

    Attributes
    ----------
    output_shape : tuple of int
        Of the result.
    algorithm : str
        The one that runs.
    candidates : tuple of (str, float)
        All that could run, cheapest first, with their estimated cost in cycles of one core.
    flops : int
        Multiplications and additions of the direct convolution.
    workspace_nbytes : int
        Memory that is borrowed during a call, beside input, weights, packed weights and output.
    threads : int
        The most threads that a call would use now. The choice does not depend on them.
    reason : str
        A sentence.
    """

    output_shape: Ints
    algorithm: str
    candidates: tuple[tuple[str, float], ...]
    flops: int
    workspace_nbytes: int
    threads: int
    reason: str

    def __str__(self) -> str:
        width = max(len(name) for name in routes.names())
        lines = [
            f"{self.algorithm}: {self.reason}",
            f"  result {self.output_shape}, {self.flops / 1e6:.4g} MFLOP, workspace "
            f"{self.workspace_nbytes / 2**20:.3g} MiB, up to {self.threads} threads",
            "  estimated cost in million cycles of one core:",
        ]
        for name, cost in self.candidates:
            mark = "*" if name == self.algorithm else " "
            lines.append(f"  {mark} {name:{width}} {cost / 1e6:10.4g}")
        return "\n".join(lines)


def explain(
    x_shape: Ints,
    weight_shape: Ints,
    stride: IntOrAxes = 1,
    padding: Padding = 0,
    dilation: IntOrAxes = 1,
    groups: int = 1,
    *,
    padding_mode: PaddingMode = "zeros",
    layout: Layout = "channels_first",
    dtype: npt.DTypeLike = np.float32,
    algorithm: Algorithm = "auto",
    prepared: bool = False,
) -> Plan:
    """Say which algorithm a convolution of these shapes runs, and what it costs.

    Parameters
    ----------
    x_shape, weight_shape : tuple of int
        Shapes of the arrays; the weights' say how many spatial axes there are.
    stride, padding, dilation, groups, padding_mode, layout, algorithm
        As in `conv2d`.
    dtype : dtype, optional
        Of both arrays.
    prepared : bool, optional
        Whether the weights are prepared, as in `Conv2d`, or packed in every call. That can change
        the choice, and so can the batch size.

    Returns
    -------
    Plan
        Frozen, and readable when printed.

    Raises
    ------
    TypeError, ValueError
        As `conv2d`.

    Examples
    --------
    >>> import numbaconv as nbc
    >>> plan = nbc.explain((1, 64, 56, 56), (64, 64, 3, 3), padding=1)
    >>> plan.output_shape, plan.flops
    ((1, 64, 56, 56), 231211008)
    >>> nbc.explain((1, 64, 56, 56), (64, 64, 3, 3), algorithm="im2col").algorithm
    'im2col'
    """
    options = ConvOptions(
        ndim=_ndim(weight_shape), stride=stride, padding=padding, dilation=dilation, groups=groups,
        padding_mode=padding_mode, layout=layout, algorithm=algorithm,
    )  # fmt: skip
    found = _resolve(options, x_shape, weight_shape, dtype, prepared)
    costs = sorted(found.costs.items(), key=lambda item: item[1])
    threads = int(numba.get_num_threads())
    nbytes = 0
    if not found.empty:
        nbytes = found.plan.workspace_nbytes(found.geometry.batch, threads)
    return Plan(
        found.shape, found.algorithm, tuple(costs), found.geometry.flops, nbytes, threads,
        _reason(found, algorithm, prepared) + _other_batches(found, algorithm, prepared),
    )  # fmt: skip


def algorithms(
    x_shape: Ints,
    weight_shape: Ints,
    stride: IntOrAxes = 1,
    padding: Padding = 0,
    dilation: IntOrAxes = 1,
    groups: int = 1,
    *,
    padding_mode: PaddingMode = "zeros",
    layout: Layout = "channels_first",
    dtype: npt.DTypeLike = np.float32,
    algorithm: Algorithm = "auto",
    prepared: bool = False,
) -> tuple[str, ...]:
    """Return the names of the algorithms that can run a problem, the reference first.

    Parameters
    ----------
    x_shape, weight_shape, stride, padding, dilation, groups, padding_mode, layout, dtype, \
algorithm, prepared
        As in `explain`.

    Returns
    -------
    tuple of str
        Each can be passed as ``algorithm``.

    Raises
    ------
    TypeError, ValueError
        As `conv2d`.

    Examples
    --------
    >>> import numbaconv as nbc
    >>> nbc.algorithms((1, 3, 8, 8), (2, 3, 3, 3), dtype="complex64")
    ('im2col', 'fft')
    """
    options = ConvOptions(
        ndim=_ndim(weight_shape), stride=stride, padding=padding, dilation=dilation, groups=groups,
        padding_mode=padding_mode, layout=layout, algorithm=algorithm,
    )  # fmt: skip
    found = _resolve(options, x_shape, weight_shape, dtype, prepared)
    return tuple(name for name in routes.names() if name in found.costs)


def _resolve(
    options: ConvOptions, x_shape: Any, weight_shape: Any, dtype: Any, prepared: Any
) -> call.Call:
    shape = arguments.shape(x_shape, "x_shape")
    weights = arguments.shape(weight_shape, "weight_shape")
    kind = arguments.supported(dtype, "dtype")
    return convolution.resolve(
        options, (shape, kind), (weights, kind),
        prepared=arguments.flag(prepared, "prepared"), names=("x_shape", "weight_shape"),
    )  # fmt: skip


def _ndim(weight_shape: Any) -> int:
    """Return the number of spatial axes that weights of this shape have."""
    weights = arguments.shape(weight_shape, "weight_shape")
    if not 3 <= len(weights) <= 5:
        raise ValueError(f"weight_shape must have 3 to 5 entries, got {weights}")
    return len(weights) - 2


def _other_batches(found: call.Call, request: str, prepared: bool) -> str:
    """Say whether the choice depends on the size of the batch."""
    if request not in ("auto", "exact") or found.empty:
        return ""
    for batch in _OTHER_BATCHES:
        geometry = dataclasses.replace(found.geometry, batch=batch)
        other, _ = choice.choose(request, geometry, found.work, prepared=prepared)
        if other != found.algorithm:
            return f" (a batch of {batch} would take {other})"
    return ""


def _reason(found: call.Call, request: str, prepared: bool) -> str:
    """Say in words why this algorithm runs."""
    if request not in ("auto", "exact"):
        return "it was asked for"
    others = sorted(
        cost
        for name, cost in found.costs.items()
        if name != found.algorithm and choice.may_choose(request, name, found.work)
    )
    weights = "with prepared weights" if prepared else "with weights packed in the call"
    if not others:
        only = (
            "nothing else can" if len(found.costs) == 1 else f"no other that {request!r} takes can"
        )
        return f"{only} run this problem {weights}{_faster_fft(found, request)}"
    ratio = others[0] / found.costs[found.algorithm]
    among = "" if request == "auto" else " of those that sum every product"
    return (
        f"the cheapest{among} {weights}, {ratio:.2g} times cheaper than the next"
        f"{_faster_fft(found, request)}"
    )


def _faster_fft(found: call.Call, request: str) -> str:
    """Say where an FFT would cost less, which is not chosen because of how it rounds."""
    cost = found.costs.get("fft", math.inf)
    if cost >= found.costs[found.algorithm] or choice.may_choose(request, "fft", found.work):
        return ""
    return (
        f"; algorithm='fft' would be {found.costs[found.algorithm] / cost:.2g} times cheaper, but "
        "its error is bounded by norms alone: small results beside large ones may be wrong"
    )
