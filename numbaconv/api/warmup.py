"""Compiling ahead of time, so that the cache holds what later processes need."""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from numbaconv import routes
from numbaconv.kernels import threads
from numbaconv.kernels.jit import native_available
from numbaconv.native import emit, pixels
from numbaconv.problem import arguments
from numbaconv.problem.arrays import Array
from numbaconv.teams import pool

Step = tuple[str, Callable[[], Any]]
Of = Callable[[str], Any]

#: Output channels for which a register tile of each height is compiled, and what is usual.
_OUTPUTS = (*range(1, 15), 16, 24, 32, 40, 48, 56, 64, 96, 128, 192, 256)
_USUAL = (16, 24, 32, 48, 64, 128)
_WIDTH = {1: 150, 2: 20, 3: 9}


def warmup(
    *,
    dtypes: Sequence[npt.DTypeLike] = ("float32",),
    dims: Sequence[int] = (2,),
    algorithms: Sequence[str] | None = None,
    progress: bool = False,
) -> None:
    """Compile what usual calls need, for threads and without, and keep it in the cache.

    For container images, say, whose processes shall not compile. What is unusual (a register tile
    that only an odd shape needs: 0.1 seconds or less) is still compiled when it is first called.

    Parameters
    ----------
    dtypes : sequence of dtype, optional
        Of the arrays.
    dims : sequence of {1, 2, 3}, optional
        Numbers of spatial axes.
    algorithms : sequence of str, optional
        Names of algorithms of convolution; by default all, with transposed convolution, gradients,
        pools, im2col and col2im, too.
    progress : bool, optional
        Show a progress bar on stderr, which needs tqdm.

    Raises
    ------
    TypeError, ValueError
        An argument is of a wrong kind or value.
    ImportError
        A progress bar is wanted, and there is no tqdm.

    Examples
    --------
    >>> import numbaconv as nbc
    >>> nbc.warmup(dtypes=["float32"], dims=[2], algorithms=["depthwise"])
    """
    steps = list(_steps(dtypes, dims, algorithms))
    bar: Any = None
    if arguments.flag(progress, "progress"):
        from tqdm import tqdm

        bar = tqdm(total=len(steps), unit="call")
    if steps:
        pool.compile_protocol()
    with bar or contextlib.nullcontext():
        for label, call in steps:
            if bar is not None:
                bar.set_postfix_str(label, refresh=False)
            with threads.both_twins():
                call()
            if bar is not None:
                bar.update()


def _steps(dtypes: Any, dims: Any, algorithms: Any) -> Iterator[Step]:
    """Yield calls that compile, each with a word on it."""
    kinds = [arguments.supported(dtype, "dtypes") for dtype in _sequence(dtypes, "dtypes")]
    axes = [arguments.integer(n, "dims", 1, 3) for n in _sequence(dims, "dims")]
    if algorithms is None:
        names: Sequence[str] = routes.names()
    else:
        names = [
            arguments.choice(name, "algorithms", routes.names())
            for name in _sequence(algorithms, "algorithms")
        ]
    for dtype, ndim in itertools.product(kinds, axes):
        for name in names:
            yield from _convolutions(name, ndim, dtype)
        if algorithms is None:
            yield from _others(ndim, dtype)


def _sequence(value: Any, name: str) -> list[Any]:
    if isinstance(value, str) or not arguments.is_sequence(value):
        raise TypeError(f"{name} must be a sequence, got {value!r}")
    return list(value)


def _convolutions(name: str, ndim: int, dtype: np.dtype[Any]) -> Iterator[Step]:
    """Yield convolutions by one algorithm, those that it can run."""
    import numbaconv as nbc

    if name == "direct" and emit.supports(dtype) and native_available() is None:
        yield f"conv{ndim}d {dtype} {name} tiles of pixels", partial(pixels.compile_tiles, dtype)
    width = _WIDTH[ndim]
    conv: Any = getattr(nbc, f"conv{ndim}d")
    kernels = (9,) if name == "fft" else (1, 3, 5, 7)
    strides = (1,) if name == "fft" else (1, 2)
    for layout in arguments.LAYOUTS:
        last = layout == "channels_last"
        for kernel, stride, outputs in itertools.product(kernels, strides, _OUTPUTS):
            # Heights of tiles with the usual kernel; other kernels with one height.
            tiled = name in ("direct", "winograd") and kernel in (1, 3) and stride == 1
            if outputs != 64 and not tiled:
                continue
            depthwise = name == "depthwise"
            channels = outputs if depthwise else 3 if kernel == 7 else 16
            group = 1 if depthwise else channels
            size, taps = (width,) * ndim, (kernel,) * ndim
            x = np.zeros((2, *size, channels) if last else (2, channels, *size), dtype)
            shape = (*taps, group, outputs) if last else (outputs, group, *taps)
            options: dict[str, Any] = {
                "stride": stride, "padding": kernel // 2, "layout": layout, "algorithm": name,
                "groups": channels if depthwise else 1,
            }  # fmt: skip
            weight = np.zeros(shape, dtype)
            try:
                found = nbc.algorithms(
                    x.shape, shape, stride, kernel // 2, 1, options["groups"], layout=layout,
                    dtype=dtype,
                )  # fmt: skip
            except ValueError:
                continue
            if name in found:
                label = f"conv{ndim}d {dtype} {name} {kernel} s{stride} {outputs}"
                bias = np.zeros(outputs, dtype)
                yield label, partial(conv, x, weight, bias, **options)
                if kernel == 3 and outputs == 64:
                    # One image and few pixels: other tiles, other ways to share the work.
                    few = (8,) * ndim
                    y = np.zeros((1, *few, channels) if last else (1, channels, *few), dtype)
                    yield label, partial(conv, y, weight, bias, **options)


def _others(ndim: int, dtype: np.dtype[Any]) -> Iterator[Step]:
    """Yield calls of all other functions."""
    import numbaconv as nbc

    def of(name: str) -> Any:
        first, _, rest = name.partition("_backward")
        return getattr(nbc, f"{first}{ndim}d{'_backward' if name != first else rest}")

    width = _WIDTH[ndim]
    x = np.zeros((2, 16, *(width,) * ndim), dtype)
    for outputs, stride in itertools.product(_USUAL, (1, 2)):
        w = np.zeros((outputs, 16, *(3,) * ndim), dtype)
        yield f"conv{ndim}d_backward {dtype}", partial(_conv_and_back, of, x, w, stride)
    for kernel in (2, 4):
        k = np.zeros((16, 32, *(kernel,) * ndim), dtype)
        transposed = partial(of("conv_transpose"), x, k, stride=2, padding=kernel // 4)
        yield f"conv_transpose{ndim}d {dtype}", transposed
    yield f"col2im {dtype}", partial(_patches_and_back, x, (3,) * ndim)
    if dtype.kind == "c":
        return
    for kernel in (2, 3):
        yield f"max_pool{ndim}d {dtype}", partial(of("max_pool"), x, kernel, 2)
        yield f"max_pool{ndim}d_backward {dtype}", partial(_maximum_and_back, of, x, kernel)
        yield f"avg_pool{ndim}d {dtype}", partial(_mean_and_back, of, x, kernel)


def _conv_and_back(of: Of, x: Array, w: Array, stride: int) -> None:
    y = of("conv")(x, w, stride=stride, padding=1)
    of("conv_backward")(y, x, w, stride=stride, padding=1)


def _patches_and_back(x: Array, kernel: tuple[int, ...]) -> None:
    from numbaconv.api.matrices import col2im, im2col

    for patches in arguments.PATCHES:
        columns = im2col(x, kernel, patches=patches)
        col2im(columns, x.shape[2:], kernel, patches=patches)


def _maximum_and_back(of: Of, x: Array, kernel: int) -> None:
    values, indices = of("max_pool")(x, kernel, 2, return_indices=True)
    of("max_pool_backward")(values, indices, x.shape)


def _mean_and_back(of: Of, x: Array, kernel: int) -> None:
    y = of("avg_pool")(x, kernel, 2)
    if x.dtype.kind == "f":
        of("avg_pool_backward")(y, x.shape, kernel, 2)
