"""Pools, their backward passes and unpooling, against the oracle."""

import naive
import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import AWKWARD, INTEGERS, noise, twins

import numbaconv as nbc

MAX = {1: nbc.max_pool1d, 2: nbc.max_pool2d, 3: nbc.max_pool3d}
AVG = {1: nbc.avg_pool1d, 2: nbc.avg_pool2d, 3: nbc.avg_pool3d}
MAX_BACK = {1: nbc.max_pool1d_backward, 2: nbc.max_pool2d_backward, 3: nbc.max_pool3d_backward}
AVG_BACK = {1: nbc.avg_pool1d_backward, 2: nbc.avg_pool2d_backward, 3: nbc.avg_pool3d_backward}
UNPOOL = {1: nbc.max_unpool1d, 2: nbc.max_unpool2d, 3: nbc.max_unpool3d}
LAYOUTS = ("channels_first", "channels_last")

#: (shape, kernel, stride, padding, dilation, ceil_mode)
CASES = [
    ((2, 3, 9, 11), (3, 2), (2, 1), ((1, 0), (1, 1)), (1, 1), False),
    ((2, 2, 13, 40), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), True),
    ((1, 2, 10, 37), (2, 3), (3, 4), ((1, 0), (0, 2)), (2, 1), True),
    ((2, 19, 6, 7), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1), False),
    ((1, 5, 4, 5), (2, 2), (1, 1), ((2, 1), (0, 3)), (3, 4), False),
    ((2, 3, 17), (4,), (3,), ((2, 1),), (1,), True),
    ((1, 2, 9), (2,), (1,), ((1, 0),), (1,), False),
    ((1, 2, 30), (3,), (10,), ((0, 0),), (1,), False),
    ((3, 21, 5, 7), (5, 7), (1, 1), ((0, 0), (0, 0)), (1, 1), False),
    ((1, 2, 5, 6, 7), (2, 3, 2), (1, 2, 2), ((0, 1), (2, 0), (1, 1)), (2, 1, 1), True),
]


@pytest.fixture
def rng():
    return np.random.default_rng(20261124)


def values(rng, shape, dtype):
    """Return few different values, so that there are ties, with extremes among them."""
    dtype = np.dtype(dtype)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return rng.choice(np.array([info.min, info.max, 0, 1, 2, 3], dtype), shape)
    x = rng.integers(-3, 4, shape).astype(dtype)
    return x + 1j * rng.integers(-3, 4, shape).astype(dtype) if dtype.kind == "c" else x


def in_layout(layout, *found):
    moved = [naive.channels_last(a) if layout == "channels_last" else a for a in found]
    return moved[0] if len(moved) == 1 else moved


def back(layout, a):
    return naive.channels_first(a) if layout == "channels_last" else a


def naive_avg(x, *arguments):
    if x.dtype.kind == "c":
        return naive_avg(x.real, *arguments) + 1j * naive_avg(x.imag, *arguments)
    return naive_real_avg(x, *arguments)


def naive_real_avg(x, kernel, stride, padding, dilation, ceil, include_pad, divisor):
    size = x.shape[2:]
    shares = list(
        naive.avg_shares(size, kernel, stride, padding, dilation, ceil, include_pad, divisor)
    )
    shape = [max(p[axis] for p, *_ in shares) + 1 for axis in range(len(size))]
    y = np.zeros((*x.shape[:2], *shape), x.dtype)
    for position, taps, count in shares:
        for n, c in np.ndindex(x.shape[:2]):
            if x.dtype.kind in "iu":
                total = sum(int(x[(n, c, *tap)]) for tap in taps)
                mean = abs(total) // count * (1 if total >= 0 else -1)
                y[(n, c, *position)] = np.array(mean).astype(x.dtype)
            else:
                work = np.float32 if x.dtype == np.float16 else x.dtype
                total = sum((x[(n, c, *tap)] for tap in taps), start=x.dtype.type(0)).astype(work)
                y[(n, c, *position)] = total / work(count) if work is np.float32 else total / count
    return y


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("dtype", "parallel"), twins(["float32", "float64", "float16", *INTEGERS]),
    indirect=["parallel"],
)  # fmt: skip
def test_max_pool(dtype, layout, parallel, rng):
    for shape, kernel, stride, padding, dilation, ceil in CASES:
        x = values(rng, shape, dtype)
        expected, places = naive.max_pool(x, kernel, stride, padding, dilation, ceil)
        pool = MAX[len(kernel)]
        arguments = (in_layout(layout, x), kernel, stride, padding, dilation)
        options = {"ceil_mode": ceil, "layout": layout, "parallel": parallel}
        found, indices = pool(*arguments, **options, return_indices=True)
        assert found.dtype == dtype
        assert indices.dtype == np.int64
        np.testing.assert_array_equal(back(layout, found), expected)
        np.testing.assert_array_equal(back(layout, indices), places)
        np.testing.assert_array_equal(pool(*arguments, **options), found)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("dtype", "parallel"), twins(["float32", "float64", "float16", "complex64", *INTEGERS]),
    indirect=["parallel"],
)  # fmt: skip
def test_avg_pool(dtype, layout, parallel, rng):
    for shape, kernel, stride, padding, dilation, ceil in CASES:
        x = values(rng, shape, dtype)
        if dtype.endswith("64") and x.dtype.kind in "iu":
            x //= 1000  # sums are formed in 64 bits
        for include_pad, divisor in ((True, None), (False, None), (True, 7)):
            expected = naive_avg(x, kernel, stride, padding, dilation, ceil, include_pad, divisor)
            found = AVG[len(kernel)](
                in_layout(layout, x), kernel, stride, padding, dilation=dilation, ceil_mode=ceil,
                count_include_pad=include_pad, divisor_override=divisor, layout=layout,
                parallel=parallel,
            )  # fmt: skip
            assert found.dtype == dtype
            np.testing.assert_array_equal(back(layout, found), expected)


def test_nan_and_infinity(rng):
    """The first NaN wins; minus infinity beats the padding, which is minus infinity, too."""
    x = rng.standard_normal((2, 3, 12, 33)).astype("f4")
    x[rng.random(x.shape) < 0.1] = np.nan
    x[rng.random(x.shape) < 0.2] = -np.inf
    x[0, 0, :6] = -np.inf
    for layout in LAYOUTS:
        arguments = ((3, 3), (2, 1), ((1, 1), (2, 0)), (1, 1))
        expected, places = naive.max_pool(x, *arguments, False)
        found, indices = nbc.max_pool2d(
            in_layout(layout, x), *arguments, return_indices=True, layout=layout
        )
        np.testing.assert_array_equal(back(layout, found), expected)
        np.testing.assert_array_equal(back(layout, indices), places)
        plain = nbc.max_pool2d(in_layout(layout, x), *arguments, layout=layout)
        np.testing.assert_array_equal(plain, found)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128", "float16", "int32"])
def test_max_pool_backward_and_unpool(dtype, layout, parallel, rng):
    for shape, kernel, stride, padding, dilation, ceil in CASES:
        ndim = len(kernel)
        x = values(rng, shape, "f4")
        _, places = naive.max_pool(x, kernel, stride, padding, dilation, ceil)
        grad = values(rng, places.shape, dtype) % 3 if dtype == "int32" else values(
            rng, places.shape, dtype)  # fmt: skip
        expected = np.zeros((*shape[:2], int(np.prod(shape[2:]))), dtype)
        written = expected.copy()
        for n, c in np.ndindex(shape[:2]):
            for place, g in zip(places[n, c].ravel(), grad[n, c].ravel(), strict=True):
                if place >= 0:
                    expected[n, c, place] += g
                    written[n, c, place] = g
        arrays = in_layout(layout, grad, places)
        like = in_layout(layout, np.empty(shape, np.int8))
        found = MAX_BACK[ndim](*arrays, like.shape, layout=layout, parallel=parallel)
        assert found.dtype == dtype
        np.testing.assert_array_equal(back(layout, found), expected.reshape(shape))
        if not ceil and max(dilation) == 1:
            found = UNPOOL[ndim](
                *arrays, kernel, stride, padding, output_size=like.shape, layout=layout,
                parallel=parallel,
            )  # fmt: skip
            np.testing.assert_array_equal(back(layout, found), written.reshape(shape))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "float16"])
def test_avg_pool_backward(dtype, layout, parallel, rng):
    for shape, kernel, stride, padding, dilation, ceil in CASES:
        for include_pad, divisor in ((True, None), (False, None), (True, 4)):
            shares = list(
                naive.avg_shares(
                    shape[2:], kernel, stride, padding, dilation, ceil, include_pad, divisor
                )
            )
            counts = [max(p[axis] for p, *_ in shares) + 1 for axis in range(len(kernel))]
            grad = values(rng, (*shape[:2], *counts), dtype)
            expected = naive.avg_backward(grad, shape, shares)
            like = in_layout(layout, np.empty(shape, np.int8))
            found = AVG_BACK[len(kernel)](
                in_layout(layout, grad), like.shape, kernel, stride, padding, dilation=dilation,
                ceil_mode=ceil, count_include_pad=include_pad, divisor_override=divisor,
                layout=layout, parallel=parallel,
            )  # fmt: skip
            assert found.dtype == dtype
            unit = np.finfo(dtype).eps
            taps = int(np.prod(kernel))
            np.testing.assert_allclose(back(layout, found), expected, rtol=unit,
                                       atol=4 * taps * unit)  # fmt: skip


@given(
    seed=st.integers(0, 999), kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 4)), ceil=st.booleans(),
    size=st.tuples(st.integers(4, 20), st.integers(4, 40)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)), data=st.data(),
)  # fmt: skip
def test_random_pools(seed, kernel, stride, ceil, size, dilation, data):
    limits = [min(d * (k - 1), 3) for k, d in zip(kernel, dilation, strict=True)]
    padding = tuple(
        (data.draw(st.integers(0, m)), data.draw(st.integers(0, m))) for m in limits
    )  # fmt: skip
    if any(
        d * (k - 1) + 1 > n + low + high
        for n, k, d, (low, high) in zip(size, kernel, dilation, padding, strict=True)
    ):
        return
    x = np.random.default_rng(seed).integers(-9, 9, (1, 2, *size)).astype("f4")
    expected, places = naive.max_pool(x, kernel, stride, padding, dilation, ceil)
    found, indices = nbc.max_pool2d(
        x, kernel, stride, padding, dilation, ceil_mode=ceil, return_indices=True
    )
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(indices, places)
    mean = nbc.avg_pool2d(
        x, kernel, stride, padding, dilation=dilation, ceil_mode=ceil, count_include_pad=False
    )
    np.testing.assert_array_equal(
        mean, naive_avg(x, kernel, stride, padding, dilation, ceil, False, None)
    )
    # The backward passes are the adjoints.
    grad = np.random.default_rng(seed + 1).integers(-9, 9, found.shape).astype("f8")
    options = {"dilation": dilation, "ceil_mode": ceil}
    wide = nbc.avg_pool2d(x.astype("f8"), kernel, stride, padding, **options)
    spread = nbc.avg_pool2d_backward(grad, x.shape, kernel, stride, padding, **options)
    np.testing.assert_allclose((wide * grad).sum(), (x * spread).sum(), rtol=1e-12, atol=1e-9)
    scattered = nbc.max_pool2d_backward(grad, indices, x.shape)
    np.testing.assert_allclose((found * grad).sum(), (x * scattered).sum(), rtol=1e-12)


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_arrays(name, rng):
    awkward = AWKWARD[name]
    for layout in LAYOUTS:
        x = noise(rng, (2, 5, 9, 10), "float32")
        expected, indices = nbc.max_pool2d(x, 3, 2, 1, return_indices=True, layout=layout)
        found, places = nbc.max_pool2d(awkward(x), 3, 2, 1, return_indices=True, layout=layout)
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(places, indices)
        mean = nbc.avg_pool2d(x, 3, 2, 1, layout=layout)
        np.testing.assert_array_equal(nbc.avg_pool2d(awkward(x), 3, 2, 1, layout=layout), mean)
        flows = nbc.max_pool2d_backward(expected, indices, x.shape, layout=layout)
        np.testing.assert_array_equal(
            nbc.max_pool2d_backward(awkward(expected), awkward(indices), x.shape, layout=layout),
            flows,
        )
        spread = nbc.avg_pool2d_backward(mean, x.shape, 3, 2, 1, layout=layout)
        np.testing.assert_array_equal(
            nbc.avg_pool2d_backward(awkward(mean), x.shape, 3, 2, 1, layout=layout), spread
        )
        if name not in ("read-only", "byte-swapped"):
            out = awkward(np.full_like(expected, np.nan))
            assert nbc.max_pool2d(x, 3, 2, 1, out=out, layout=layout) is out
            np.testing.assert_array_equal(out, expected)
            assert nbc.avg_pool2d(x, 3, 2, 1, out=out, layout=layout) is out
            np.testing.assert_array_equal(out, mean)
            out = awkward(np.full_like(x, np.nan))
            nbc.max_pool2d_backward(expected, indices, x.shape, out=out, layout=layout)
            np.testing.assert_array_equal(out, flows)
            nbc.avg_pool2d_backward(mean, x.shape, 3, 2, 1, out=out, layout=layout)
            np.testing.assert_array_equal(out, spread)


def test_out_may_be_the_input(rng):
    x = noise(rng, (1, 2, 6, 7), "float64")
    expected = nbc.max_pool2d(x, 3, 1, 1)
    assert nbc.max_pool2d(x, 3, 1, 1, out=x) is x
    np.testing.assert_array_equal(x, expected)


def test_unbatched_and_empty(rng):
    x = noise(rng, (3, 6, 7), "float32")
    np.testing.assert_array_equal(nbc.max_pool2d(x, 2), nbc.max_pool2d(x[None], 2)[0])
    np.testing.assert_array_equal(nbc.avg_pool2d(x, 2), nbc.avg_pool2d(x[None], 2)[0])
    assert nbc.max_pool2d(np.zeros((0, 3, 6, 7)), 2).shape == (0, 3, 3, 3)
    assert nbc.avg_pool1d(np.zeros((2, 0, 6)), 2).shape == (2, 0, 3)
    assert nbc.avg_pool2d_backward(np.zeros((0, 3, 3, 3)), (0, 3, 6, 7), 2).shape == (0, 3, 6, 7)
    empty = np.zeros((0, 3, 3, 3), int)
    assert nbc.max_pool2d_backward(empty, empty, (0, 3, 6, 7)).shape == (0, 3, 6, 7)


def test_arrays_that_end_at_a_page_without_access(rng):
    from guarded import guarded

    for layout in LAYOUTS:
        for shape in ((1, 3, 7, 19), (2, 17, 3, 5)):
            x = noise(rng, shape, "float32")
            for stride in (1, 2, 3):
                expected, places = nbc.max_pool2d(x, 3, stride, 1, return_indices=True,
                                                  layout=layout)  # fmt: skip
                for at_end in (True, False):
                    held, out = (
                        guarded(x, at_end=at_end),
                        guarded(np.zeros_like(expected), at_end=at_end),
                    )
                    _, indices = nbc.max_pool2d(held, 3, stride, 1, return_indices=True,
                                                layout=layout, out=out)  # fmt: skip
                    np.testing.assert_array_equal(out, expected)
                    np.testing.assert_array_equal(indices, places)
                    nbc.avg_pool2d(held, 3, stride, 1, layout=layout, out=out)
                    flow = guarded(np.zeros_like(x), at_end=at_end)
                    held, indices = (guarded(a, at_end=at_end) for a in (expected, places))
                    nbc.max_pool2d_backward(held, indices, x.shape, layout=layout, out=flow)


def test_errors():
    x = np.zeros((1, 2, 6, 7))
    with pytest.raises(ValueError, match=r"padding must be smaller .* got \(2, 2\)"):
        nbc.max_pool2d(x, 2, padding=2)
    with pytest.raises(ValueError, match="kernel_size does not fit x"):
        nbc.avg_pool2d(x, 8)
    with pytest.raises(TypeError, match="no maximum"):
        nbc.max_pool2d(x.astype(complex), 2)
    with pytest.raises(TypeError, match="float or complex"):
        nbc.avg_pool2d_backward(np.zeros((1, 2, 3, 3), int), x.shape, 2)
    with pytest.raises(ValueError, match="divisor_override must be an int other than 0"):
        nbc.avg_pool2d(x, 2, divisor_override=0)
    with pytest.raises(TypeError, match="ceil_mode must be True or False"):
        nbc.max_pool2d(x, 2, ceil_mode=1)
    with pytest.raises(ValueError, match="kernel_size must be an int or one int"):
        nbc.max_pool2d(x, (2, 2, 2))
    grad = np.zeros((1, 2, 3, 3))
    with pytest.raises(ValueError, match="indices must be from 0 to 41"):
        nbc.max_pool2d_backward(grad, np.full(grad.shape, 42), x.shape)
    with pytest.raises(ValueError, match="indices must be from 0 to 41"):
        nbc.max_unpool2d(grad, np.full(grad.shape, -2), 2, output_size=(6, 7))
    with pytest.raises(ValueError, match="indices must have the shape"):
        nbc.max_pool2d_backward(grad, np.zeros((1, 2, 3, 4), int), x.shape)
    with pytest.raises(TypeError, match="indices must be of an integer dtype"):
        nbc.max_pool2d_backward(grad, grad, x.shape)
    with pytest.raises(ValueError, match="output_size must be from"):
        nbc.max_unpool2d(grad, grad.astype(int), 2, output_size=(6, 9))
    with pytest.raises(ValueError, match="grad_output must have the shape"):
        nbc.avg_pool2d_backward(grad, (1, 2, 9, 9), 2)


def test_positional_arguments_are_pytorchs():
    x = np.arange(42.0).reshape(1, 1, 6, 7)
    np.testing.assert_array_equal(
        nbc.max_pool2d(x, 3, 2, 1, 1, True, False),
        nbc.max_pool2d(x, 3, stride=2, padding=1, ceil_mode=True),
    )
    mean = nbc.avg_pool2d(x, 3, 2, 1, True, False, 7)
    np.testing.assert_array_equal(
        mean,
        nbc.avg_pool2d(x, 3, stride=2, padding=1, ceil_mode=True, count_include_pad=False,
                       divisor_override=7),
    )  # fmt: skip
    np.testing.assert_array_equal(
        nbc.avg_pool2d_backward(mean, x.shape, 3, 2, 1, True, False, 7),
        nbc.avg_pool2d_backward(mean, x.shape, 3, stride=2, padding=1, ceil_mode=True,
                                count_include_pad=False, divisor_override=7),
    )  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "complex64", *INTEGERS])
@pytest.mark.parametrize("divisor", [-3, -1, 2, 100])
def test_any_divisor_but_zero(dtype, divisor):
    x = np.arange(36).reshape(1, 1, 6, 6).astype(dtype)
    total = x.reshape(3, 2, 3, 2).astype("int64" if x.dtype.kind in "iu" else dtype).sum((1, 3))
    if x.dtype.kind in "iu":
        expected = np.trunc(total / divisor).astype(np.int64)
    elif x.dtype.kind == "c":
        expected = total.real / np.float32(divisor) + np.complex64(0)
    else:
        expected = total / divisor
    found = nbc.avg_pool2d(x, 2, divisor_override=divisor)
    np.testing.assert_array_equal(found[0, 0], expected.astype(dtype))
    if x.dtype.kind in "fc":
        back = nbc.avg_pool2d_backward(found, x.shape, 2, divisor_override=divisor)
        shares = found.real / found.real.dtype.type(divisor)
        np.testing.assert_array_equal(back, shares.repeat(2, 2).repeat(2, 3))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", *INTEGERS])
@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders(dtype, order, rng):
    x = values(rng, (2, 3, 6, 7), dtype)
    swapped = x.astype(x.dtype.newbyteorder(order))
    expected, places = nbc.max_pool2d(x, 2, return_indices=True)
    found, indices = nbc.max_pool2d(swapped, 2, return_indices=True)
    assert found.dtype == x.dtype
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(indices, places)
    places = places.astype(f"{order}i8")
    swapped = expected.astype(expected.dtype.newbyteorder(order))
    np.testing.assert_array_equal(
        nbc.max_unpool2d(swapped, places, 2, output_size=(6, 7)),
        nbc.max_unpool2d(expected, places, 2, output_size=(6, 7)),
    )
    with pytest.raises(TypeError, match="indices must be of an integer dtype that int64 holds"):
        nbc.max_unpool2d(expected, places.astype(f"{order}u8"), 2)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_windows_of_a_launch(layout, monkeypatch, rng):
    """However little a launch takes, and a line, the results are the same."""
    from numbaconv.kernels import threads
    from numbaconv.pooling import forward

    x = noise(rng, (3, 5, 11, 300), "float32")
    options = ((7, 9), (2, 1), (3, 4))

    def all_of_them():
        nbc.release_memory()
        y, i = nbc.max_pool2d(in_layout(layout, x), *options, return_indices=True, layout=layout)
        mean = nbc.avg_pool2d(in_layout(layout, x), *options, layout=layout)
        shape = in_layout(layout, x).shape
        back = nbc.avg_pool2d_backward(mean, shape, *options, layout=layout)
        return y, i, mean, back, nbc.max_pool2d_backward(y, i, shape, layout=layout)

    expected = all_of_them()
    monkeypatch.setattr(threads, "MOST_TAPS", 5000)
    monkeypatch.setattr(threads, "MOST_MOVED", 100)
    monkeypatch.setattr(forward, "TASK_TAPS", 4000)
    for a, b in zip(all_of_them(), expected, strict=True):
        np.testing.assert_array_equal(a, b)
    nbc.release_memory()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "float16"])
@pytest.mark.parametrize(
    ("size", "kernel"),
    [((70000,), (66000,)), ((300, 400), (290, 390)), ((9, 90, 110), (8, 85, 105))],
)
def test_windows_wider_than_the_type_can_count(size, kernel, dtype, layout):
    ndim = len(size)
    place = tuple(n // 2 for n in size)
    x = np.zeros((1, 1, *size), dtype)
    x[(0, 0, *place)] = 1
    given = in_layout(layout, x)
    once = {"stride": size, "layout": layout}
    np.testing.assert_array_equal(MAX[ndim](given, kernel, **once).ravel(), [1])
    y, indices = MAX[ndim](given, kernel, return_indices=True, **once)
    assert y.ravel() == [1]
    assert indices.ravel() == np.ravel_multi_index(place, size)
    found = MAX_BACK[ndim](y, indices, given.shape, layout=layout)
    np.testing.assert_array_equal(back(layout, found), x)
    # Constant images: means and their gradients count the taps, too.
    ones = in_layout(layout, np.ones_like(x))
    means = AVG[ndim](ones, kernel, **once)
    np.testing.assert_array_equal(means.ravel(), [1])


@pytest.mark.parametrize("dtype", ["int8", "uint16"])
def test_jitted_and_lazy_windows_wider_than_the_type_can_count(dtype):
    import dask.array as da

    import numbaconv.dask as nbdask

    @numba.njit
    def pooled(x):
        return nbc.max_pool2d(x, (290, 390), (1, 1)), nbc.avg_pool2d(x, (290, 390), (1, 1))

    x = np.ones((1, 300, 400), dtype)
    expected = np.ones((1, 11, 11), dtype)
    for _ in range(3):
        for found in pooled(x):
            np.testing.assert_array_equal(found, expected)
    lazily = da.from_array(x, (1, 100, 170))
    for pool in (nbdask.max_pool2d, nbdask.avg_pool2d):
        np.testing.assert_array_equal(pool(lazily, (290, 390), 1).compute(), expected)
