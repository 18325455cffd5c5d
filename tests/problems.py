"""Random convolution problems, their reference results, and awkward arrays."""

import contextlib
from dataclasses import dataclass
from typing import Any
from unittest import mock

import naive
import numpy as np
import pytest
from hypothesis import strategies as st

import numbaconv as nbc
from numbaconv.reference import forward as route

CONVS = {1: nbc.conv1d, 2: nbc.conv2d, 3: nbc.conv3d}
FLOATS = ("float32", "float64", "complex64", "complex128")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
DTYPES = (*FLOATS, "float16", *INTEGERS)
#: Patches of channels-last arrays are rows only where a group has enough channels: tests have both.
LAYOUTS = ("channels_first", "channels_last", "channels_last, patches as rows")
MODES = ("zeros", "reflect", "replicate", "circular", "symmetric")
#: Dtypes of the threaded twins, which take their time to compile; the serial ones run them all.
THREADED = ("float32", "complex64", "int16")


def twins(dtypes, threaded=THREADED):
    """Return pairs for ``("dtype", "parallel")``: all dtypes serially, some of them in threads."""
    serial = [pytest.param(d, False, id=f"serial-{d}") for d in dtypes]
    return serial + [pytest.param(d, True, id=f"threads-{d}") for d in dtypes if d in threaded]


#: The algorithm of `Case.run` where a test names none.
DEFAULT = "auto"


@contextlib.contextmanager
def layout_named(layout):
    """Yield the name of the layout for numbaconv, with patches as rows where that is asked for."""
    name, _, rows = layout.partition(", ")
    if not rows:
        yield name
        return
    nbc.release_memory()  # plans remember how patches lie
    with mock.patch.object(route, "_LEAST_CHANNEL_RUN", 1):
        yield name
    nbc.release_memory()


@dataclass(frozen=True)
class Case:
    """A convolution in canonical form: everything per axis, batched, channels first."""

    batch: int
    channels: int
    outputs: int
    groups: int
    size: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    mode: str = "zeros"

    @property
    def ndim(self) -> int:
        return len(self.size)

    @property
    def x_shape(self):
        return (self.batch, self.channels, *self.size)

    @property
    def weight_shape(self):
        return (self.outputs, self.channels // self.groups, *self.kernel)

    @property
    def patch_size(self):
        return int(np.prod(self.weight_shape[1:]))

    @property
    def window(self) -> dict[str, Any]:
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}

    def naive(self, x, weight, bias):
        return naive.conv(
            x, weight, bias, self.stride, self.padding, self.dilation, self.groups, self.mode
        )

    def run(self, x, weight, bias, layout="channels_first", **keywords):
        """Run numbaconv in either layout; arrays and result are channels first."""
        with layout_named(layout) as name:
            if name == "channels_last":
                x, weight = naive.channels_last(x), naive.weight_channels_last(weight)
            keywords.setdefault("algorithm", DEFAULT)
            y = CONVS[self.ndim](
                x, weight, bias, self.stride, self.padding, self.dilation, self.groups,
                padding_mode=self.mode, layout=name, **keywords,
            )  # fmt: skip
        return naive.channels_first(y) if name == "channels_last" else y


@st.composite
def cases(draw, ndims=(1, 2, 3), modes=MODES, largest=(30, 9, 5)):
    """Draw a small problem, different along each axis."""
    ndim = draw(st.sampled_from(ndims))
    groups = draw(st.sampled_from((1, 1, 2, 3)))

    def per_axis(low, high):
        return tuple(draw(st.integers(low, high)) for _ in range(ndim))

    kernel = per_axis(1, 4 if ndim < 3 else 2)
    dilation = per_axis(1, 3)
    padding = tuple(zip(per_axis(0, 4), per_axis(0, 4), strict=True))
    size = tuple(
        draw(
            st.integers(
                max(1, d * (k - 1) + 1 - low - high), max(largest[ndim - 1], d * (k - 1) + 2)
            )
        )
        for k, d, (low, high) in zip(kernel, dilation, padding, strict=True)
    )
    return Case(
        batch=draw(st.integers(1, 2)),
        channels=groups * draw(st.integers(1, 3)),
        outputs=groups * draw(st.integers(1, 3)),
        groups=groups,
        size=size,
        kernel=kernel,
        stride=per_axis(1, 3),
        padding=padding,
        dilation=dilation,
        mode=draw(st.sampled_from(modes)),
    )


def small_integers(rng, shape, dtype):
    """Return integers whose products sum exactly in any dtype but the integers, which wrap."""
    dtype = np.dtype(dtype)
    if dtype.kind == "c":
        real, imaginary = rng.integers(-3, 4, (2, *shape))
        return (real + 1j * imaginary).astype(dtype)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
    return rng.integers(-3, 4, shape).astype(dtype)


def noise(rng, shape, dtype):
    dtype = np.dtype(dtype)
    if dtype.kind == "c":
        return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)
    return rng.standard_normal(shape).astype(dtype)


def growth_of_error(terms, dtype):
    """Return the g of the bound: of long sums no more terms count than of their parts."""
    dtype = np.dtype(dtype)
    sums = np.dtype("float32") if dtype == np.float16 else dtype
    unit = np.finfo(sums).eps / 2
    terms = min(terms, 4096 + np.log2(terms))
    if dtype.kind == "c":
        terms = 2 * terms + 1
    growth = (terms + 1) * unit / (1 - (terms + 1) * unit)
    return growth * np.sqrt(2) if dtype.kind == "c" else growth


def error_bound(case, x, weight, bias, dtype):
    """Return the bound on |y - exact| of semantics: g * (sum |x||w| + |b|), elementwise."""
    growth = growth_of_error(case.patch_size, dtype)
    absolute = [None if a is None else np.abs(a).astype(np.float64) for a in (x, weight, bias)]
    return growth * case.naive(*absolute)


def exact(case, x, weight, bias):
    """Return the convolution in a higher precision than the arrays'."""
    wide = np.clongdouble if x.dtype.kind == "c" else np.longdouble
    return case.naive(*(None if a is None else a.astype(wide) for a in (x, weight, bias)))


def assert_within_bound(case, y, x, weight, bias):
    reference = exact(case, x, weight, bias)
    bound = error_bound(case, x, weight, bias, y.dtype)
    if y.dtype == np.float16:
        bound = bound + np.spacing(np.abs(reference).astype(np.float16)).astype(np.float64) / 2
    wide = np.clongdouble if y.dtype.kind == "c" else np.longdouble
    error = np.abs(y.astype(wide) - reference)
    worst = np.max(error - bound, initial=-1.0)
    assert worst <= 0, f"error {error.max()} beyond the bound by {worst}"


def _unaligned(a):
    memory = np.empty(a.nbytes + 1, np.uint8)
    view = memory[1:].view(a.dtype).reshape(a.shape)
    view[...] = a
    return view


def _read_only(a):
    b = a.copy()
    b.flags.writeable = False
    return b


def _strided(a):
    b = np.zeros([2 * n for n in a.shape], a.dtype)
    view = b[tuple(slice(0, 2 * n, 2) for n in a.shape)]
    view[...] = a
    return view


def _negative(a):
    flip = (slice(None, None, -1),) * a.ndim
    return a[flip].copy()[flip]


def _field(a):
    record = np.zeros(a.shape, [("before", np.int8), ("value", a.dtype)])
    record["value"] = a
    return record["value"]


#: Ways to hold the same values in memory; each takes an array and returns an equal one.
AWKWARD = {
    "contiguous": np.ascontiguousarray,
    "fortran": np.asfortranarray,
    "strided": _strided,
    "negative": _negative,
    "offset": lambda a: np.concatenate([np.zeros(7, a.dtype), a.ravel()])[7:].reshape(a.shape),
    "unaligned": _unaligned,
    "field of a record": _field,
    "read-only": _read_only,
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()),
}
