"""Which backend runs a call: that of the array which the call is about."""

import functools
import importlib
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeVar, cast

import numpy as np

from numbaconv.host import backend as host
from numbaconv.problem.arrays import Array
from numbaconv.problem.options import (
    AdaptiveOptions,
    ConvOptions,
    PatchOptions,
    PoolOptions,
    ScatterOptions,
    UnpoolOptions,
)
from numbaconv.problem.types import kind

P = ParamSpec("P")
R = TypeVar("R")

# The argument that a call is about: the first of these that its function has.
_ABOUT = ("grad_output", "x", "cols")


class Backend(Protocol):
    """What a backend does with its kind of arrays.

    Arrays, flags and shapes are as the caller passed them. What the kind has not got (pools on a
    device, `out` under Dask) is a TypeError.
    """

    def take(self, value: Any, name: str) -> Any:
        """Return an array that is of this kind, with a shape and a dtype."""

    def convolve(
        self, options: ConvOptions, x: Any, weight: Any, bias: Any, out: Any, parallel: Any
    ) -> Array:
        """Return a convolution, plain or transposed."""

    def input_grad(
        self, options: ConvOptions, input_shape: Any, weight: Any, grad_output: Any, out: Any,
        parallel: Any,
    ) -> Array:  # fmt: skip
        """Return the gradient with respect to the input."""

    def weight_grad(
        self, options: ConvOptions, x: Any, weight_shape: Any, grad_output: Any, out: Any,
        parallel: Any,
    ) -> Array:  # fmt: skip
        """Return the gradient with respect to the weights."""

    def bias_grad(self, options: ConvOptions, grad: Any) -> Array:
        """Return the gradient with respect to the bias, of an array from `take`."""

    def im2col(self, options: PatchOptions, x: Any, out: Any, parallel: Any) -> Array:
        """Return the matrix of an image's patches."""

    def col2im(self, options: PatchOptions, cols: Any, out: Any, parallel: Any) -> Array:
        """Return the image that sums a matrix of patches."""

    def max_pool(
        self, options: PoolOptions, x: Any, return_indices: Any, out: Any, parallel: Any
    ) -> Array | tuple[Array, Array]:
        """Return maxima, with their indices where wanted."""

    def max_pool_backward(
        self, options: ScatterOptions, grad_output: Any, indices: Any, out: Any, parallel: Any
    ) -> Array:
        """Return the gradient of maxima."""

    def max_unpool(
        self, options: UnpoolOptions, x: Any, indices: Any, out: Any, parallel: Any
    ) -> Array:
        """Return maxima where they were."""

    def avg_pool(self, options: PoolOptions, x: Any, out: Any, parallel: Any) -> Array:
        """Return means."""

    def avg_pool_backward(
        self, options: PoolOptions, grad_output: Any, input_shape: Any, out: Any, parallel: Any
    ) -> Array:
        """Return the gradient of means."""

    def adaptive_max_pool(
        self, options: AdaptiveOptions, x: Any, return_indices: Any, out: Any, parallel: Any
    ) -> Array | tuple[Array, Array]:
        """Return as many maxima as are wanted, with their indices where wanted."""

    def adaptive_avg_pool(self, options: AdaptiveOptions, x: Any, out: Any, parallel: Any) -> Array:
        """Return as many means as are wanted."""

    def adaptive_avg_pool_backward(
        self, options: AdaptiveOptions, grad_output: Any, input_shape: Any, out: Any, parallel: Any
    ) -> Array:
        """Return the gradient of those means."""


_HOST = cast(Backend, host)


def of(array: Any) -> Backend:
    """Return the backend of an array; others than NumPy's are imported when one of theirs comes."""
    if type(array) is np.ndarray:
        return _HOST
    found = kind(array)
    if found == "host":
        return _HOST
    package = "cuda" if found == "device" else "dask"
    return cast(Backend, importlib.import_module(f"numbaconv.{package}.backend"))


def narrowed(
    door: Callable[P, R], package: str, only: str, take: Callable[[Any, str], Any]
) -> Callable[P, R]:
    """Return a door of a package that takes arrays of one kind `only`; `take` refuses others."""
    parameters = list(inspect.signature(door).parameters)
    about = next(name for name in _ABOUT if name in parameters)
    place = parameters.index(about)

    @functools.wraps(door)
    def narrow(*args: P.args, **kwargs: P.kwargs) -> R:
        given = args[place] if place < len(args) else kwargs.get(about)
        if given is not None and kind(given) != only:
            take(given, about)
        return door(*args, **kwargs)

    narrow.__module__ = package
    return narrow
