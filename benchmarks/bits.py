"""The bits of some four hundred results over all functions, to compare before and after a change.

::

    python -m benchmarks.bits > before.txt
    python -m benchmarks.bits > after.txt && diff before.txt after.txt

A line is a problem and the hash of what it returned. Results are the same bits on the same CPU
and libraries alone.
"""

import hashlib
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

import numbaconv as nbc

_SIZES = {1: (19,), 2: (11, 14), 3: (6, 7, 9)}
_DTYPES = ("float32", "float64", "complex64", "int16", "uint8", "float16")
_WINDOWS: tuple[dict[str, Any], ...] = (
    {},
    {"stride": 2, "padding": 1},
    {"padding": "same", "dilation": 2},
    {"groups": 2, "padding": ((2, 1),)},
)


def main() -> None:
    """Print all lines."""
    for name, result in problems():
        arrays = result if isinstance(result, tuple) else (result,)
        digest = hashlib.sha256()
        for array in arrays:
            if array is not None:
                digest.update(f"{array.dtype.str} {array.shape}".encode())
                digest.update(np.ascontiguousarray(array).tobytes())
        print(f"{digest.hexdigest()[:16]}  {name}")


def problems() -> Iterator[tuple[str, Any]]:
    """Yield the name and the result of each problem."""
    for ndim in (1, 2, 3):
        for dtype in _DTYPES:
            yield from _convolutions(ndim, dtype)
        for dtype in ("float32", "int16", "uint8", "float16"):
            yield from _pools(ndim, dtype)
        for dtype in ("float32", "complex64", "uint8"):
            yield from _matrices(ndim, dtype)
    yield from _algorithms()
    yield from _layers()


def _values(shape: tuple[int, ...], dtype: str) -> Any:
    rng = np.random.default_rng([*shape, len(dtype)])
    kind = np.dtype(dtype)
    if kind.kind in "iu":
        return rng.integers(0, 100, shape).astype(kind)
    found = rng.standard_normal(shape)
    if kind.kind == "c":
        found = found + 1j * rng.standard_normal(shape)
    return found.astype(kind)


def _convolutions(ndim: int, dtype: str) -> Iterator[tuple[str, Any]]:
    size, kernel = _SIZES[ndim], (3, 2, 3)[:ndim]
    for number, options in enumerate(_WINDOWS):
        if dtype in ("float16", "int16") and number > 1:
            continue
        window = dict(options)
        if window.get("padding") == ((2, 1),):
            window["padding"] = ((2, 1),) * ndim
        groups = window.get("groups", 1)
        x, w = _values((2, 4, *size), dtype), _values((6, 4 // groups, *kernel), dtype)
        bias = _values((6,), dtype)
        label = f"{ndim}d {dtype} {options}"
        y = getattr(nbc, f"conv{ndim}d")(x, w, bias, **window)
        yield f"conv {label}", y
        yield f"conv_backward {label}", getattr(nbc, f"conv{ndim}d_backward")(y, x, w, **window)
        if window.get("padding") == "same":
            continue
        t = _values((4, 6 // groups, *kernel), dtype)
        transposed = getattr(nbc, f"conv_transpose{ndim}d")
        z = transposed(x, t, bias, **window)
        yield f"conv_transpose {label}", z
        back = getattr(nbc, f"conv_transpose{ndim}d_backward")
        yield f"conv_transpose_backward {label}", back(z, x, t, **window)


def _pools(ndim: int, dtype: str) -> Iterator[tuple[str, Any]]:
    x = _values((2, 3, *_SIZES[ndim]), dtype)

    def of(name: str) -> Any:
        return getattr(nbc, name.replace("_pool", f"_pool{ndim}d"))

    for kernel, stride, padding, ceil in ((2, None, 0, False), (3, 2, 1, True)):
        label = f"{ndim}d {dtype} {kernel} {stride} {padding} {ceil}"
        y, where = of("max_pool")(x, kernel, stride, padding, 1, ceil, True)
        yield f"max_pool {label}", (y, where)
        yield f"max_pool_backward {label}", of("max_pool_backward")(y, where, x.shape)
        mean = of("avg_pool")(x, kernel, stride, padding, ceil)
        yield f"avg_pool {label}", mean
        if x.dtype.kind == "f":
            grad = of("avg_pool_backward")(mean, x.shape, kernel, stride, padding, ceil)
            yield f"avg_pool_backward {label}", grad
    y, where = of("max_pool")(x, 2, return_indices=True)
    unpool = getattr(nbc, f"max_unpool{ndim}d")
    yield f"max_unpool {ndim}d {dtype}", unpool(y, where, 2, output_size=x.shape[2:])


def _matrices(ndim: int, dtype: str) -> Iterator[tuple[str, Any]]:
    kernel = (3, 2, 3)[:ndim]
    for layout, patches in itertools.product(
        ("channels_first", "channels_last"), ("columns", "rows")
    ):
        size = _SIZES[ndim]
        shape = (2, 3, *size) if layout == "channels_first" else (2, *size, 3)
        x = _values(shape, dtype)
        options: dict[str, Any] = {"layout": layout, "patches": patches}
        cols = nbc.im2col(x, kernel, 1, 1, 2, **options)
        yield f"im2col {ndim}d {dtype} {layout} {patches}", cols
        back = nbc.col2im(cols, size, kernel, 1, 1, 2, **options)
        yield f"col2im {ndim}d {dtype} {layout} {patches}", back


def _algorithms() -> Iterator[tuple[str, Any]]:
    x, w = _values((2, 16, 33, 40), "float32"), _values((24, 16, 3, 3), "float32")
    for layout in ("channels_first", "channels_last"):
        last = layout == "channels_last"
        a = np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if last else x
        b = np.ascontiguousarray(w.transpose(2, 3, 1, 0)) if last else w
        for mode in ("zeros", "reflect", "circular"):
            for algorithm in nbc.algorithms(a.shape, b.shape, padding=1, layout=layout):
                y = nbc.conv2d(
                    a, b, padding=1, padding_mode=mode, layout=layout, algorithm=algorithm
                )
                yield f"conv2d {layout} {mode} {algorithm}", y
    d = _values((16, 1, 5, 5), "float32")
    yield "conv2d depthwise", nbc.conv2d(x, d, padding=2, groups=16)
    yield "conv2d pointwise", nbc.conv2d(x, w[:, :, :1, :1])


def _layers() -> Iterator[tuple[str, Any]]:
    for ndim in (1, 2, 3):
        w = _values((6, 4, *(3,) * ndim), "float32")
        layer = getattr(nbc, f"Conv{ndim}d")(w, _values((6,), "float32"), padding="same")
        yield f"Conv{ndim}d", layer(_values((2, 4, *_SIZES[ndim]), "float32"))


if __name__ == "__main__":
    main()
