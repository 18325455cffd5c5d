"""conv1d, conv2d, conv3d with the reference route, against the oracle."""

import contextlib
from unittest import mock

import naive
import numba
import numpy as np
import problems
import pytest
from children import code
from hypothesis import given
from hypothesis import strategies as st
from problems import (
    AWKWARD,
    CONVS,
    DTYPES,
    FLOATS,
    INTEGERS,
    LAYOUTS,
    MODES,
    Case,
    assert_within_bound,
    cases,
    layout_named,
    noise,
    small_integers,
    twins,
)

import numbaconv as nbc
from numbaconv.kernels import threads
from numbaconv.reference import forward as route

SKEW = Case(2, 4, 6, 2, (9, 11), (3, 2), (2, 1), ((1, 0), (2, 3)), (1, 3))
VOLUME = Case(2, 2, 3, 1, (4, 5, 6), (2, 3, 2), (1, 2, 1), ((0, 1), (2, 0), (1, 1)), (2, 1, 3))
SIGNAL = Case(2, 3, 4, 1, (17,), (4,), (3,), ((2, 1),), (2,))


def arrays(case, dtype, rng, bias=True, draw=small_integers):
    return (
        draw(rng, case.x_shape, dtype),
        draw(rng, case.weight_shape, dtype),
        draw(rng, (case.outputs,), dtype) if bias else None,
    )


@pytest.fixture
def rng():
    return np.random.default_rng(20261122)


@pytest.fixture(params=["im2col", "auto"])
def by_each_route(request, monkeypatch):
    """Run a test by the reference route, and by the one that "auto" chooses."""
    monkeypatch.setattr(problems, "DEFAULT", request.param)


both_routes = pytest.mark.usefixtures("by_each_route")


@pytest.mark.parametrize(("dtype", "parallel"), twins(DTYPES), indirect=["parallel"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_integers_come_out_exactly(dtype, layout, parallel, rng):
    for case in (SKEW, VOLUME, SIGNAL):
        x, weight, bias = arrays(case, dtype, rng)
        y = case.run(x, weight, bias, layout, algorithm="im2col", parallel=parallel)
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, case.naive(x, weight, bias))


@pytest.mark.parametrize("dtype", [*FLOATS, "float16"])
@given(case=cases(), layout=st.sampled_from(LAYOUTS), seed=st.integers(0, 99))
def test_random_data_within_the_bound(dtype, case, layout, seed):
    x, weight, bias = arrays(case, dtype, np.random.default_rng(seed), seed % 2, noise)
    y = case.run(x, weight, bias, layout, algorithm="im2col", parallel=False)
    assert_within_bound(case, y, x, weight, bias)


@pytest.mark.parametrize("dtype", ["int8", "uint64"])
@given(case=cases(), layout=st.sampled_from(LAYOUTS), seed=st.integers(0, 99))
def test_integers_wrap_as_numpy_does(dtype, case, layout, seed):
    x, weight, bias = arrays(case, dtype, np.random.default_rng(seed))
    for algorithm in ("im2col", "auto"):
        y = case.run(x, weight, bias, layout, algorithm=algorithm, parallel=False)
        np.testing.assert_array_equal(y, case.naive(x, weight, bias))


@both_routes
@pytest.mark.parametrize("name", AWKWARD)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_awkward_arrays_give_the_same_result(name, layout, parallel, rng):
    hold = AWKWARD[name]
    for case in (SKEW, SIGNAL):
        x, weight, bias = arrays(case, "float32", rng, draw=noise)
        kept = [a.copy() for a in (x, weight, bias)]
        plain = case.run(x, weight, bias, layout, parallel=parallel)
        held = case.run(hold(x), hold(weight), hold(bias), layout, parallel=parallel)
        np.testing.assert_array_equal(held, plain)
        assert held.dtype.isnative
        for a, b in zip((x, weight, bias), kept, strict=True):
            np.testing.assert_array_equal(a, b)


@both_routes
@pytest.mark.parametrize("name", [n for n in AWKWARD if n not in ("read-only", "byte-swapped")])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_out_of_any_strides(name, layout, dtype, parallel, rng):
    for case in (SKEW, VOLUME):
        x, weight, bias = arrays(case, dtype, rng)
        expected = case.naive(x, weight, bias)
        if layout != "channels_first":
            expected = naive.channels_last(expected)
            x, weight = naive.channels_last(x), naive.weight_channels_last(weight)
        out = AWKWARD[name](np.full(expected.shape, np.nan, dtype))
        with layout_named(layout) as layout_name:
            result = CONVS[case.ndim](
                x, weight, bias, **case.window, groups=case.groups, layout=layout_name, out=out,
                parallel=parallel, algorithm=problems.DEFAULT,
            )  # fmt: skip
        assert result is out
        np.testing.assert_array_equal(out, expected)


@both_routes
def test_out_may_overlap_an_input(rng):
    memory = small_integers(rng, (3, 8, 8), "float32")
    x, out = memory[None, :1], memory[None, 1:2]
    weight = small_integers(rng, (1, 1, 3, 3), "float32")
    options = {"padding": 1, "algorithm": problems.DEFAULT}
    expected = nbc.conv2d(x, weight, **options)
    np.testing.assert_array_equal(nbc.conv2d(x.copy(), weight, **options, out=out), expected)
    np.testing.assert_array_equal(nbc.conv2d(x, weight, **options, out=x), expected)
    shifted = np.zeros((1, 1, 9, 8), np.float32)
    shifted[:, :, :8] = small_integers(rng, (1, 1, 8, 8), "float32")
    expected = nbc.conv2d(shifted[:, :, :8], weight, **options)
    got = nbc.conv2d(shifted[:, :, :8], weight, **options, out=shifted[:, :, 1:])
    np.testing.assert_array_equal(got, expected)


def test_out_that_overlaps_itself(rng):
    x = small_integers(rng, (1, 1, 4, 4), "float32")
    out = np.lib.stride_tricks.as_strided(np.zeros(4, np.float32), (1, 1, 4, 4), (0, 0, 0, 4))
    nbc.conv2d(x, np.ones((1, 1, 1, 1), np.float32), out=out)
    np.testing.assert_array_equal(out[0, 0, 0], x[0, 0, 3])


@both_routes
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ["float32", "uint64"])
def test_padding_modes_of_any_width(mode, dtype, parallel, rng):
    case = Case(2, 2, 3, 1, (3, 4), (2, 3), (2, 1), ((7, 2), (0, 13)), (3, 2), mode)
    x, weight, bias = arrays(case, dtype, rng)
    for layout in LAYOUTS:
        y = case.run(x, weight, bias, layout, parallel=parallel)
        np.testing.assert_array_equal(y, case.naive(x, weight, bias))


@both_routes
@pytest.mark.parametrize("mode", MODES)
def test_padding_modes_of_a_single_input(mode, rng):
    case = Case(1, 1, 1, 1, (1, 2), (3, 3), (1, 1), ((2, 3), (3, 2)), (1, 1), mode)
    x, weight, bias = arrays(case, "float64", rng)
    np.testing.assert_array_equal(case.run(x, weight, bias), case.naive(x, weight, bias))


# TensorFlow's and ONNX's SAME at every remainder: (size, kernel, stride, dilation, low, high).
SAME = [
    (5, 3, 1, 1, 1, 1),
    (5, 2, 1, 1, 0, 1),
    (5, 3, 2, 1, 1, 1),
    (6, 3, 2, 1, 0, 1),
    (7, 4, 3, 1, 1, 2),
    (8, 2, 3, 1, 0, 0),
    (9, 3, 2, 2, 2, 2),
    (4, 1, 3, 1, 0, 0),
]


@pytest.mark.parametrize(("size", "kernel", "stride", "dilation", "low", "high"), SAME)
def test_same_padding(size, kernel, stride, dilation, low, high, rng):
    x, weight = small_integers(rng, (1, 2, size), "i8"), small_integers(rng, (3, 2, kernel), "i8")
    keywords = {"stride": stride, "dilation": dilation}
    upper = nbc.conv1d(x, weight, padding="same", **keywords)
    assert upper.shape[-1] == -(-size // stride)
    np.testing.assert_array_equal(upper, nbc.conv1d(x, weight, padding=((low, high),), **keywords))
    lower = nbc.conv1d(x, weight, padding="same_lower", **keywords)
    np.testing.assert_array_equal(lower, nbc.conv1d(x, weight, padding=((high, low),), **keywords))


def test_forms_of_padding_agree(rng):
    x, weight = small_integers(rng, (1, 2, 7, 6), "i8"), small_integers(rng, (3, 2, 3, 2), "i8")
    np.testing.assert_array_equal(
        nbc.conv2d(x, weight, padding=2), nbc.conv2d(x, weight, padding=((2, 2), (2, 2)))
    )
    np.testing.assert_array_equal(
        nbc.conv2d(x, weight, padding=[1, 0]), nbc.conv2d(x, weight, padding=((1, 1), (0, 0)))
    )
    np.testing.assert_array_equal(
        nbc.conv2d(x, weight, padding=np.array([[1, 2], [0, 3]])),
        nbc.conv2d(x, weight, padding=((1, 2), (0, 3))),
    )
    np.testing.assert_array_equal(nbc.conv2d(x, weight, padding="valid"), nbc.conv2d(x, weight))


@both_routes
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("bias", [False, True])
def test_pointwise(layout, groups, bias, parallel, rng):
    case = Case(2, 6, 9, groups, (5, 7), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1))
    for dtype in ("float32", "complex128", "uint16"):
        x, weight, offset = arrays(case, dtype, rng, bias)
        y = case.run(x, weight, offset, layout, parallel=parallel)
        np.testing.assert_array_equal(y, case.naive(x, weight, offset))
        # Contiguous in the layout itself, where the product needs no copy.
        if layout != "channels_first":
            x = naive.channels_first(np.ascontiguousarray(naive.channels_last(x)))
        y = case.run(x, weight, offset, layout, parallel=parallel)
        np.testing.assert_array_equal(y, case.naive(x, weight, offset))


@both_routes
def test_unbatched(rng):
    options = {"algorithm": problems.DEFAULT}
    for case in (SIGNAL, SKEW, VOLUME):
        x, weight, bias = arrays(case, "float32", rng)
        y = CONVS[case.ndim](x[0], weight, bias, **case.window, groups=case.groups, **options)
        np.testing.assert_array_equal(y, case.naive(x, weight, bias)[0])
        y = CONVS[case.ndim](
            naive.channels_last(x)[0], naive.weight_channels_last(weight), bias, **case.window,
            groups=case.groups, layout="channels_last", **options,
        )  # fmt: skip
        np.testing.assert_array_equal(y, naive.channels_last(case.naive(x, weight, bias))[0])


#: Blocks that divide nothing, so that small problems have many.
SMALL_BLOCKS = {
    "_LONGEST_BLOCK": 7, "_SMALL_BLOCK": 7, "_LEAST_POSITIONS": 5, "_MOST_POSITIONS": 5,
    "_LEAST_SHARED": 5, "_PRODUCT_BYTES": 80, "_SHARED_OUTPUTS": 3,
}  # fmt: skip


@contextlib.contextmanager
def small_blocks():
    """Cut positions, elements and outputs into blocks that do not divide them."""
    nbc.release_memory()  # plans remember how they are cut
    with mock.patch.multiple(route, **SMALL_BLOCKS):
        yield
    nbc.release_memory()


@given(cases(), st.sampled_from(["float32", "complex128"]), st.integers(0, 2**32 - 1))
def test_tiles_of_any_problem(case, dtype, seed):
    """Parts of rows, of kernels and of channels; taps that share what they read, or little."""
    x, weight, bias = arrays(case, dtype, np.random.default_rng(seed))
    with small_blocks():
        y = case.run(x, weight, bias, algorithm="im2col")
    np.testing.assert_array_equal(y, case.naive(x, weight, bias))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_blocked_patches_and_outputs(layout, dtype, parallel, rng):
    for case in (
        SKEW,
        VOLUME,
        SIGNAL,
        Case(3, 5, 11, 1, (7, 6), (3, 3), (1, 1), ((1, 1),) * 2, (1, 1)),
    ):
        x, weight, bias = arrays(case, dtype, rng)
        with small_blocks():
            y = case.run(x, weight, bias, layout, algorithm="im2col", parallel=parallel)
        np.testing.assert_array_equal(y, case.naive(x, weight, bias))


@both_routes
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_large_enough_for_many_tiles(dtype, layout, rng):
    case = Case(1, 24, 70, 1, (57, 43), (5, 5), (1, 1), ((2, 2), (1, 3)), (1, 1))
    x, weight, bias = arrays(case, dtype, rng, draw=noise)
    y = case.run(x, weight, bias, layout)
    # The oracle at a few outputs only: all would take minutes.
    some = Case(1, 24, 3, 1, case.size, case.kernel, case.stride, case.padding, case.dilation)
    picked = [0, 37, 69]
    assert_within_bound(some, y[:, picked], x, weight[picked], bias[picked])


@both_routes
def test_threads_do_not_change_a_bit(threads_restored, monkeypatch, rng):
    monkeypatch.setattr(threads, "_SERIAL_WORK", 0)
    case = Case(3, 16, 40, 1, (30, 31), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
    for layout in LAYOUTS:
        x, weight, bias = arrays(case, "float32", rng, draw=noise)
        results = [case.run(x, weight, bias, layout, parallel=False)]
        for count in range(1, min(numba.config.NUMBA_NUM_THREADS, 4) + 1):
            numba.set_num_threads(count)
            results.append(case.run(x, weight, bias, layout))
        for y in results[1:]:
            np.testing.assert_array_equal(y, results[0])


@both_routes
def test_place_in_the_batch_does_not_change_a_bit(rng):
    for kernel in ((3, 3), (1, 1)):
        case = Case(5, 16, 24, 1, (19, 23), kernel, (1, 1), ((0, 0), (0, 0)), (1, 1))
        x, weight, bias = arrays(case, "float32", rng, draw=noise)
        # What "auto" chooses may depend on the batch, so the algorithm is named.
        run = {"algorithm": "im2col" if problems.DEFAULT == "im2col" else "direct"}
        together = case.run(x, weight, bias, **run)
        for n in range(case.batch):
            alone = case.run(x[n : n + 1], weight, bias, **run)
            np.testing.assert_array_equal(together[n : n + 1], alone)


@both_routes
@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3)])
def test_strides_do_not_change_a_bit(layout, kernel, rng):
    """More channels than a block of elements, so that another cut of the sums would show."""
    case = Case(2, 2400 if kernel == (1, 1) else 300, 5, 1, (6, 7), kernel, (1, 1), ((0, 0),) * 2,
                (1, 1))  # fmt: skip
    x, weight, bias = arrays(case, "float32", rng, draw=noise)
    plain = case.run(x, weight, bias, layout)
    for hold in AWKWARD.values():
        np.testing.assert_array_equal(case.run(hold(x), hold(weight), bias, layout), plain)
    shape = naive.channels_last(plain).shape if layout == "channels_last" else plain.shape
    out = AWKWARD["strided"](np.zeros(shape, np.float32))
    case.run(x, weight, bias, layout, out=out)
    np.testing.assert_array_equal(
        naive.channels_first(out) if layout == "channels_last" else out, plain
    )


@both_routes
def test_one_nan_reaches_exactly_the_windows_that_cover_it(rng):
    case = SKEW
    x, weight, bias = arrays(case, "float32", rng)
    weight[weight == 0] = 1
    x[1, 2, 4, 5] = np.nan
    y = case.run(x, weight, bias)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(case.naive(x, weight, bias)))
    assert np.isnan(y).any()
    assert not np.isnan(y).all()


def test_infinite_weight_over_padding_is_nan():
    weight = np.full((1, 1, 3), np.inf)
    y = nbc.conv1d(np.ones((1, 1, 3)), weight, padding=1)
    np.testing.assert_array_equal(y, [[[np.nan, np.inf, np.nan]]])


class TestDtypes:
    def test_default_is_numpys(self):
        for a in DTYPES:
            for b in ("float32", "int16"):
                expected = np.result_type(a, b)
                y = nbc.conv1d(np.ones((1, 1, 3), a), np.ones((1, 1, 2), b))
                assert y.dtype == expected
                np.testing.assert_array_equal(y, np.full((1, 1, 2), 2, expected))

    @both_routes
    @pytest.mark.parametrize("x_dtype", [*INTEGERS, "bool", "float16", "float32"])
    @pytest.mark.parametrize("weight_dtype", ["uint8", "int16", "float32", "complex64"])
    def test_mixed_operands_are_converted_by_value(self, x_dtype, weight_dtype, rng):
        x = rng.integers(0, 2 if x_dtype == "bool" else 120, SKEW.x_shape).astype(x_dtype)
        if x_dtype in ("uint8", "int8", "uint16", "int16"):
            x[:, :, 0] = np.iinfo(x_dtype).max
            x[:, :, 1] = np.iinfo(x_dtype).min
        weight = rng.integers(0, 3, SKEW.weight_shape).astype(weight_dtype)
        dtype = np.result_type(x, weight)
        y = SKEW.run(x, weight, None)
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, SKEW.naive(x.astype(dtype), weight.astype(dtype), None))

    def test_conversion_to_integers_wraps_first(self):
        x = np.array([[300, -1]])
        y = nbc.conv1d(x, np.array([[[3]]]), dtype=np.uint8)
        np.testing.assert_array_equal(y, np.array([[44 * 3, 255 * 3 % 256]], np.uint8))

    @pytest.mark.parametrize("dtype", INTEGERS)
    def test_integer_extremes(self, dtype):
        info = np.iinfo(dtype)
        x = np.array([[info.min, info.max, info.max, 1, 0]], dtype)
        weight = np.array([[[info.max, info.max]]], dtype)
        expected = [
            (int(a) * info.max + int(b) * info.max) for a, b in zip(x[0], x[0][1:], strict=False)
        ]
        modulus = 1 << info.bits
        wrapped = [(v - int(info.min)) % modulus + int(info.min) for v in expected]
        np.testing.assert_array_equal(nbc.conv1d(x, weight)[0], np.array(wrapped, dtype))

    def test_float16_rounds_once(self):
        # 2048 + 1 + 1 in float16 steps stays 2048; the exact sum, rounded once, is 2050.
        x = np.array([[2048, 1, 1]], np.float16)
        assert nbc.conv1d(x, np.ones((1, 1, 3), np.float16))[0, 0] == 2050

    def test_bool_input_counts(self):
        mask = np.array([[True, False, True]])
        y = nbc.conv1d(mask, np.ones((1, 1, 2), np.float32))
        np.testing.assert_array_equal(y, [[1, 1]])

    @pytest.mark.parametrize("dtype", [bool, np.longdouble, object, "datetime64[s]", "S3", "O"])
    def test_other_results_are_refused(self, dtype):
        with pytest.raises(TypeError, match="dtype must be float16"):
            nbc.conv1d(np.ones((1, 3)), np.ones((1, 1, 2)), dtype=dtype)

    def test_lossy_conversions_are_refused(self):
        x, weight = np.ones((1, 3)), np.ones((1, 1, 2), int)
        with pytest.raises(TypeError, match="x of dtype float64 cannot be converted to int32"):
            nbc.conv1d(x, weight, dtype=np.int32)
        with pytest.raises(TypeError, match="bias of dtype float64 cannot be converted"):
            nbc.conv1d(x.astype(int), weight, np.ones(1))

    def test_bias_of_the_same_kind_is_cast(self):
        y = nbc.conv1d(np.ones((1, 3), "f4"), np.ones((1, 1, 2), "f4"), np.array([0.5]))
        assert y.dtype == np.float32
        np.testing.assert_array_equal(y, [[2.5, 2.5]])


class TestEmpty:
    def test_no_images(self):
        y = nbc.conv2d(np.ones((0, 3, 5, 5)), np.ones((4, 3, 2, 2)))
        assert y.shape == (0, 4, 4, 4)

    def test_no_outputs(self):
        assert nbc.conv2d(np.ones((2, 3, 5, 5)), np.ones((0, 3, 2, 2))).shape == (2, 0, 4, 4)

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_no_channels_leaves_the_bias(self, layout):
        case = Case(2, 0, 3, 1, (5, 4), (2, 2), (1, 1), ((0, 0), (0, 0)), (1, 1))
        x, weight = np.ones(case.x_shape), np.ones(case.weight_shape)
        np.testing.assert_array_equal(case.run(x, weight, None, layout), np.zeros((2, 3, 4, 3)))
        y = case.run(x, weight, np.arange(3.0), layout)
        np.testing.assert_array_equal(y[1, :, 2, 1], [0, 1, 2])

    def test_an_axis_that_padding_fills(self):
        y = nbc.conv1d(np.ones((1, 2, 0)), np.ones((3, 2, 2)), np.arange(3.0), padding=2)
        np.testing.assert_array_equal(y, np.broadcast_to([[[0.0], [1], [2]]], (1, 3, 3)))


def test_lists_and_broadcast_views_are_taken():
    np.testing.assert_array_equal(nbc.conv1d([[1, 2, 3]], [[[1, 1]]]), [[3, 5]])
    x = np.broadcast_to(np.arange(5.0), (3, 2, 5))
    y = nbc.conv1d(x, np.ones((1, 2, 2)))
    np.testing.assert_array_equal(y, np.broadcast_to([2.0, 6, 10, 14], (3, 1, 4)))


def test_one_machine_code_for_all_layouts_in_memory():
    """Strides, order, writeability and the number of axes do not compile anything again."""
    source = """
import numpy as np, numbaconv as nbc
from numbaconv.routes.direct import loops
from numbaconv.reference import gather, tiles
convs = {3: nbc.conv1d, 4: nbc.conv2d, 5: nbc.conv3d}
for shape in ((2, 3, 20), (2, 3, 8, 9), (2, 3, 4, 5, 6)):
    conv = convs[len(shape)]
    x, w = np.ones(shape, "f4"), np.ones((4, 3, *(2,) * (len(shape) - 2)), "f4")
    fixed = x.copy()
    fixed.flags.writeable = False
    for held in (x, np.asfortranarray(x), x[..., ::-1], x[..., ::2], fixed, x.astype(">f4")):
        for route in ("im2col", "direct"):
            conv(held, w, parallel=False, algorithm=route)
            conv(held, w.astype("f8").astype("f4")[::-1], parallel=False, algorithm=route)
        nbc.im2col(held, (2,) * (len(shape) - 2), parallel=False)
    w.flags.writeable = False
    conv(x, w, w[:, 0].reshape(4, -1)[:, 0], parallel=False, algorithm="im2col")
# The direct route shares its machine code among dtypes and layouts, too.
for dtype in ("f8", "i1", "i4"):
    for layout in ("channels_first", "channels_last"):
        nbc.conv2d(np.ones((1, 5, 5, 5), dtype), np.ones((5, 5, 5, 5), dtype), layout=layout,
                   algorithm="direct", parallel=False)
for kernel in (
    tiles.outputs_by_positions.serial, gather.im2col_columns.serial, loops.convolve.entry
):
    print(len(kernel.signatures))
"""
    assert code(source).split() == ["1", "1", "1"]


def test_more_than_2_to_the_31_elements():
    x = np.zeros(2**31 + 100, np.int8)  # never touched but in three places
    x[0], x[2**30 + 25], x[2**31 + 50] = 3, 5, 7
    weight = np.ones((1, 1, 1), np.int8)
    y = nbc.conv1d(x[None], weight, stride=2**30 + 25)
    np.testing.assert_array_equal(y, [[3, 5, 7]])
    np.testing.assert_array_equal(nbc.im2col(x[None], (1,), stride=2**30 + 25), y)
    everywhere = np.broadcast_to(np.int8(3), (1, 1, 2**31 + 8))
    y = nbc.conv1d(everywhere, np.ones((1, 1, 2), np.int8), stride=2**29)
    np.testing.assert_array_equal(y, np.full((1, 1, 5), 6))
