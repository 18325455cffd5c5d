"""What is timed of a layer: our call, PyTorch's, and the float64 result with its bound."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import cuda

import numbaconv as nbc
import numbaconv.cuda as nbcuda

NAMES = ("forward", "input_grad", "weight_grad", "im2col", "col2im", "by im2col")
_UNIT = float(np.finfo("f4").eps) / 2


@dataclass
class Operation:
    """One function over one layer's arrays.

    Parameters
    ----------
    out : device array
        Where ours writes.
    ours, theirs : callable or None
        Without arguments; `theirs` is PyTorch's, where it has one.
    exact : callable
        Returns the float64 result, and that of the absolute values, as arrays of one library.
    terms : int
        Of a sum; 0 where elements are only moved.
    nbytes, flops : int
        That it must move, and do, at least.
    """

    out: Any
    ours: Callable[[], Any]
    theirs: Callable[[], Any] | None
    exact: Callable[[], tuple[Any, Any]]
    terms: int
    nbytes: int
    flops: int


def import_torch():
    """Return PyTorch with a CUDA device, in float32 arithmetic, or None."""
    try:
        import torch

        if not torch.cuda.is_available():
            return None
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.benchmark = True
    except Exception as error:  # the peer's failure is not ours
        print(f"PyTorch cannot be used: {error}", flush=True)
        return None
    return torch


class Arrays:
    """Makes device arrays and float64 results: by PyTorch where it is, else on the host."""

    def __init__(self, torch):
        self.torch = torch
        self._rng = np.random.default_rng(0)

    def random(self, *shape):
        if self.torch:
            return self.torch.randn(shape, device="cuda")
        return cuda.to_device(self._rng.standard_normal(shape, "f4"))

    def poisoned(self, *shape):
        if self.torch:
            return self.torch.full(shape, math.nan, device="cuda")
        return cuda.to_device(np.full(shape, np.nan, "f4"))

    def exact(self, function, *given, **options):
        """Return a function of NumPy or PyTorch over float64 twins, and over absolute values."""
        wide = [self._wide(a) for a in given]
        bare = [abs(a) if hasattr(a, "dtype") else a for a in wide]
        return function(*wide, **options), function(*bare, **options)

    def _wide(self, value):
        if self.torch and isinstance(value, self.torch.Tensor):
            return value.double()
        return value.copy_to_host().astype("f8") if hasattr(value, "copy_to_host") else value

    def share_of_bound(self, operation):
        """Return the largest error as a share of the bound of docs/convolution.md; inf for NaN."""
        exact, size = operation.exact()
        found = self._wide(operation.out)
        growth = (operation.terms + 1) * _UNIT / (1 - (operation.terms + 1) * _UNIT)
        error = abs(found - exact)
        share = error / (growth * size + 1e-300) if operation.terms else error
        worst = float(share.max())
        return worst if worst == worst else math.inf

    def poison(self, array):
        if self.torch:
            array.fill_(math.nan)
        else:
            array.copy_to_device(np.full(array.shape, np.nan, "f4"))


def operation(name, layer, batch, arrays):
    """Return an operation of a layer, over arrays of its own."""
    torch = arrays.torch
    window = {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation}
    options = {**window, "groups": layer.groups}
    taps, positions = layer.taps, math.prod(layer.output)
    terms = layer.channels // layer.groups * taps
    x = arrays.random(*layer.x_shape(batch))
    size, kernel, y_shape = layer.size, layer.kernel, layer.y_shape(batch)
    cols_shape = (batch, layer.channels * taps, positions)
    moved = {
        "x": math.prod(layer.x_shape(batch)), "w": math.prod(layer.weight_shape),
        "y": math.prod(y_shape), "cols": math.prod(cols_shape),
    }  # fmt: skip
    if name == "im2col":
        out = arrays.poisoned(*cols_shape)
        f = torch.nn.functional.unfold if torch else nbc.im2col
        return Operation(
            out,
            lambda: nbcuda.im2col(x, kernel, out=out, **window),
            (lambda: f(x, kernel, **window)) if torch else None,
            lambda: arrays.exact(f, x, kernel, **window),
            0, 4 * (moved["x"] + moved["cols"]), 0,
        )  # fmt: skip
    if name == "col2im":
        cols, out = arrays.random(*cols_shape), arrays.poisoned(*layer.x_shape(batch))
        f = torch.nn.functional.fold if torch else nbc.col2im
        return Operation(
            out,
            lambda: nbcuda.col2im(cols, size, kernel, out=out, **window),
            (lambda: f(cols, size, kernel, **window)) if torch else None,
            lambda: arrays.exact(f, cols, size, kernel, **window),
            taps, 4 * (moved["x"] + moved["cols"]), 0,
        )  # fmt: skip
    weight = arrays.random(*layer.weight_shape)
    nbytes = 4 * (moved["x"] + moved["w"] + moved["y"])
    flops = layer.flops(batch)
    if name in ("forward", "by im2col"):
        out = arrays.poisoned(*y_shape)
        f = torch.nn.functional.conv2d if torch else nbc.conv2d
        named = {"algorithm": "im2col"} if name == "by im2col" else {}
        return Operation(
            out,
            lambda: nbcuda.conv2d(x, weight, out=out, **options, **named),
            (lambda: f(x, weight, **options)) if torch else None,
            lambda: arrays.exact(f, x, weight, **options),
            terms, nbytes, flops,
        )  # fmt: skip
    grad = arrays.random(*y_shape)
    if name == "input_grad":
        shape = layer.x_shape(batch)
        out = arrays.poisoned(*shape)
        f = torch.nn.grad.conv2d_input if torch else nbc.conv2d_input_grad
        return Operation(
            out,
            lambda: nbcuda.conv2d_input_grad(shape, weight, grad, out=out, **options),
            (lambda: f(shape, weight, grad, **options)) if torch else None,
            lambda: arrays.exact(f, shape, weight, grad, **options),
            layer.outputs // layer.groups * taps, nbytes, flops,
        )  # fmt: skip
    shape = layer.weight_shape
    out = arrays.poisoned(*shape)
    f = torch.nn.grad.conv2d_weight if torch else nbc.conv2d_weight_grad
    return Operation(
        out,
        lambda: nbcuda.conv2d_weight_grad(x, shape, grad, out=out, **options),
        (lambda: f(x, shape, grad, **options)) if torch else None,
        lambda: arrays.exact(f, x, shape, grad, **options),
        batch * positions, nbytes, flops,
    )  # fmt: skip


def kernels_of(torch, call):
    """Return the names of the kernels that PyTorch launches for a call, and their microseconds."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        call()
        torch.cuda.synchronize()
    return [
        (e.key[:90], round(e.self_device_time_total, 1))
        for e in seen.key_averages()
        if e.self_device_time_total
    ]
