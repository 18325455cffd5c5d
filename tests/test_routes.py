"""The faster routes: direct, depthwise, winograd, fft, against the oracle and each other."""

import sys

import naive
import numba
import numpy as np
import pytest
from children import python
from hypothesis import given
from hypothesis import strategies as st
from problems import (
    AWKWARD,
    CONVS,
    INTEGERS,
    MODES,
    Case,
    assert_within_bound,
    cases,
    exact,
    noise,
    small_integers,
    twins,
)

import numbaconv as nbc
from numbaconv.kernels import threads
from numbaconv.routes.direct import cut

FAST = ("direct", "depthwise", "winograd", "fft")
SUMMING = ("direct", "depthwise")
LAYOUTS = ("channels_first", "channels_last")
DTYPES = ("float32", "float64", "float16", *INTEGERS)

NONE = ((0, 0), (0, 0))
ONE = ((1, 1), (1, 1))
#: What each route must get right: odd sizes around tiles and vectors, strides, dilations, groups.
CASES = [
    Case(2, 4, 6, 2, (9, 11), (3, 2), (2, 1), ((1, 0), (2, 3)), (1, 3)),
    Case(2, 2, 3, 1, (4, 5, 6), (2, 3, 2), (1, 2, 1), ((0, 1), (2, 0), (1, 1)), (2, 1, 3)),
    Case(2, 3, 4, 1, (17,), (4,), (3,), ((2, 1),), (2,)),
    Case(3, 5, 33, 1, (7, 7), (1, 1), (1, 1), NONE, (1, 1)),
    Case(1, 3, 70, 1, (20, 23), (1, 1), (1, 1), NONE, (1, 1)),
    Case(1, 2, 15, 1, (35, 19), (3, 3), (1, 1), ONE, (1, 1)),
    Case(3, 3, 17, 1, (9, 8), (3, 3), (1, 1), ((0, 2), (3, 1)), (1, 1)),
    Case(1, 2, 5, 1, (13, 40), (5, 5), (1, 1), ((2, 2), (2, 2)), (1, 1)),
    Case(2, 2, 5, 1, (13, 40), (1, 3), (1, 1), ((0, 0), (2, 1)), (1, 1)),
    Case(2, 2, 5, 1, (33, 6), (3, 1), (1, 1), ((1, 1), (0, 0)), (1, 1)),
    Case(2, 2, 5, 1, (150,), (3,), (1,), ((1, 2),), (1,)),
    Case(2, 5, 5, 5, (14, 14), (3, 3), (1, 1), ONE, (1, 1)),
    Case(2, 5, 5, 5, (15, 30), (5, 3), (2, 2), ((2, 2), (1, 1)), (1, 1)),
    Case(1, 3, 6, 3, (30, 41), (3, 5), (1, 3), ((9, 2), (4, 5)), (1, 2)),
    Case(1, 1, 1, 1, (40, 70), (9, 11), (1, 1), ((4, 4), (5, 5)), (1, 1)),
    Case(1, 3, 1, 1, (33, 34), (5, 5), (1, 1), ((2, 2), (2, 2)), (1, 1)),
    Case(1, 2, 2, 2, (5, 9, 20), (2, 3, 3), (1, 1, 1), ((1, 0), (1, 1), (1, 1)), (1, 1, 1)),
    Case(2, 3, 5, 1, (7, 5, 6), (3, 1, 1), (2, 1, 1), ((1, 1), (0, 0), (0, 0)), (2, 1, 1)),
    Case(2, 4, 6, 2, (4, 7, 9), (1, 3, 2), (1, 2, 1), ((0, 0), (1, 1), (0, 1)), (1, 1, 1)),
]


def arrays(case, dtype, rng, draw=small_integers):
    return (
        draw(rng, case.x_shape, dtype),
        draw(rng, case.weight_shape, dtype),
        draw(rng, (case.outputs,), dtype),
    )


def able(case, layout, dtype):
    """Return the fast algorithms that take a case."""
    x_shape, weight_shape = case.x_shape, case.weight_shape
    if layout == "channels_last":
        x_shape = (x_shape[0], *x_shape[2:], x_shape[1])
        weight_shape = (*weight_shape[2:], weight_shape[1], weight_shape[0])
    names = nbc.algorithms(
        x_shape, weight_shape, **case.window, groups=case.groups, padding_mode=case.mode,
        layout=layout, dtype=dtype,
    )  # fmt: skip
    return [name for name in names if name in FAST]


def assert_right(case, algorithm, y, x, weight, bias):
    """Compare with the oracle, by what the algorithm promises for this data."""
    if algorithm in SUMMING:
        np.testing.assert_array_equal(y, case.naive(x, weight, bias))
    else:
        assert_norm_bound(case, algorithm, y, x, weight, bias)


def assert_norm_bound(case, algorithm, y, x, weight, bias):
    """Check ``||e|| <= bound * || |x| conv |w| ||``, the bound of winograd and fft."""
    reference = exact(case, x, weight, bias)
    scale = case.naive(*(np.abs(a).astype(np.longdouble) for a in (x, weight, bias)))
    bound = 1e-13 if y.dtype in (np.float64, np.complex128) else 2e-5
    error = np.linalg.norm((y - reference).ravel().astype(np.clongdouble).view(np.longdouble))
    norm = np.linalg.norm(scale.ravel())
    if y.dtype == np.float16:
        error = max(0, error - np.linalg.norm(np.spacing(np.abs(y)).astype(float)) / 2)
    assert error <= bound * norm, (algorithm, float(error / norm))


@pytest.fixture
def rng():
    return np.random.default_rng(20261123)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("dtype", "parallel"), twins(DTYPES), indirect=["parallel"])
def test_every_route_on_every_case(dtype, layout, parallel, rng):
    ran = set()
    for case in CASES:
        x, weight, bias = arrays(case, dtype, rng)
        for algorithm in able(case, layout, dtype):
            y = case.run(x, weight, bias, layout, algorithm=algorithm, parallel=parallel)
            assert_right(case, algorithm, y, x, weight, bias)
            ran.add(algorithm)
    expected = {"direct", "depthwise"}
    if np.dtype(dtype).kind == "f":
        expected.add("fft")
        if dtype in ("float32", "float16"):
            expected.add("winograd")
    assert ran == expected


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@given(case=cases(), layout=st.sampled_from(LAYOUTS), seed=st.integers(0, 99))
def test_random_data_within_the_bound(dtype, case, layout, seed):
    x, weight, bias = arrays(case, dtype, np.random.default_rng(seed), noise)
    for algorithm in able(case, layout, dtype):
        y = case.run(x, weight, bias, layout, algorithm=algorithm, parallel=False)
        if algorithm in SUMMING:
            assert_within_bound(case, y, x, weight, bias)
        else:
            assert_norm_bound(case, algorithm, y, x, weight, bias)


@st.composite
def dense_cases(draw):
    """Draw a problem that all routes, winograd too, are made for."""
    kernel = draw(st.sampled_from([(3, 3), (3, 1), (1, 3), (5, 5), (3, 5)]))
    padding = tuple((draw(st.integers(0, 3)), draw(st.integers(0, 3))) for _ in kernel)
    size = tuple(draw(st.integers(5, 40)) for _ in kernel)
    return Case(
        draw(st.integers(1, 3)), draw(st.integers(1, 6)), draw(st.integers(1, 40)), 1, size, kernel,
        (1, 1), padding, (1, 1), draw(st.sampled_from(MODES)),
    )  # fmt: skip


@given(case=dense_cases(), layout=st.sampled_from(LAYOUTS), seed=st.integers(0, 99))
def test_dense_problems_within_the_bound(case, layout, seed):
    x, weight, bias = arrays(case, "float32", np.random.default_rng(seed), noise)
    names = able(case, layout, "float32")
    assert "winograd" in names
    for algorithm in names:
        y = case.run(x, weight, bias, layout, algorithm=algorithm, parallel=False)
        assert_norm_bound(case, algorithm, y, x, weight, bias)


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int64"])
@given(case=cases(), layout=st.sampled_from(LAYOUTS), seed=st.integers(0, 99))
def test_integers_wrap_as_numpy_does(dtype, case, layout, seed):
    x, weight, bias = arrays(case, dtype, np.random.default_rng(seed))
    for algorithm in able(case, layout, dtype):
        y = case.run(x, weight, bias, layout, algorithm=algorithm, parallel=False)
        np.testing.assert_array_equal(y, case.naive(x, weight, bias))


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_fft_of_complex_numbers(dtype, rng):
    for case in CASES[:3]:
        for layout in LAYOUTS:
            x, weight, bias = arrays(case, dtype, rng, noise)
            y = case.run(x, weight, bias, layout, algorithm="fft")
            assert y.dtype == dtype
            assert_norm_bound(case, "fft", y, x, weight, bias)


@pytest.mark.parametrize("name", AWKWARD)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_awkward_arrays_give_the_same_result(name, layout, parallel, rng):
    hold = AWKWARD[name]
    for case in CASES[:6] + CASES[11:13]:
        x, weight, bias = arrays(case, "float32", rng, noise)
        for algorithm in able(case, layout, "float32"):
            run = {"layout": layout, "algorithm": algorithm, "parallel": parallel}
            plain = case.run(x, weight, bias, **run)
            held = case.run(hold(x), hold(weight), hold(bias), **run)
            np.testing.assert_array_equal(held, plain)


@pytest.mark.parametrize("name", [n for n in AWKWARD if n not in ("read-only", "byte-swapped")])
def test_out_of_any_strides(name, rng):
    for case in CASES[:6]:
        x, weight, bias = arrays(case, "float32", rng)
        for algorithm in able(case, "channels_first", "float32"):
            shape = case.naive(x, weight, bias).shape
            out = AWKWARD[name](np.full(shape, np.nan, np.float32))
            y = case.run(x, weight, bias, algorithm=algorithm, out=out)
            assert y is out
            assert_right(case, algorithm, y, x, weight, bias)


def test_crops_are_read_in_place(rng):
    """Rows far apart, each contiguous: what slicing an image gives."""
    whole = small_integers(rng, (2, 6, 30, 33), "float32")
    x = whole[:, ::2, 3:-2, 4:-1]
    weight = small_integers(rng, (4, 3, 3, 3), "float32")
    expected = naive.conv(x, weight, None, (1, 1), ONE, (1, 1), 1, "zeros")
    last = np.moveaxis(whole, 1, -1).copy()[:, 3:-2, 4:-1, ::2], np.moveaxis(weight, (0, 1), (3, 2))
    for algorithm in ("direct", "depthwise", "winograd"):
        atol = 1e-3 if algorithm == "winograd" else 0
        y = nbc.conv2d(x, weight, padding=1, algorithm=algorithm)
        np.testing.assert_allclose(y, expected, atol=atol)
        if algorithm != "depthwise":
            y = nbc.conv2d(*last, padding=1, algorithm=algorithm, layout="channels_last")
            np.testing.assert_allclose(np.moveaxis(y, -1, 1), expected, atol=atol)


@pytest.mark.parametrize("algorithm", FAST)
def test_threads_do_not_change_a_bit(algorithm, threads_restored, monkeypatch, rng):
    monkeypatch.setattr(threads, "_SERIAL_WORK", 0)
    for case in (CASES[0], CASES[3], CASES[6], CASES[11], CASES[13]):
        for layout in LAYOUTS:
            if algorithm not in able(case, layout, "float32"):
                continue
            x, weight, bias = arrays(case, "float32", rng, noise)
            results = [case.run(x, weight, bias, layout, algorithm=algorithm, parallel=False)]
            for count in range(1, min(numba.config.NUMBA_NUM_THREADS, 4) + 1):
                numba.set_num_threads(count)
                results.append(case.run(x, weight, bias, layout, algorithm=algorithm))
            for y in results[1:]:
                np.testing.assert_array_equal(y, results[0])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("algorithm", FAST)
def test_place_in_the_batch_does_not_change_a_bit(algorithm, layout, parallel, rng):
    for case in (
        Case(7, 3, 17, 1, (9, 8), (3, 3), (1, 1), ONE, (1, 1)),
        Case(9, 3, 17, 1, (21, 30), (3, 3), (1, 1), ONE, (1, 1)),
        Case(5, 16, 24, 1, (7, 7), (1, 1), (1, 1), NONE, (1, 1)),
        Case(5, 6, 6, 6, (7, 7), (3, 3), (1, 1), ONE, (1, 1)),
    ):
        if algorithm not in able(case, layout, "float32"):
            continue
        x, weight, bias = arrays(case, "float32", rng, noise)
        run = {"layout": layout, "algorithm": algorithm, "parallel": parallel}
        together = case.run(x, weight, bias, **run)
        for n in range(case.batch):
            alone = case.run(x[n : n + 1], weight, bias, **run)
            np.testing.assert_array_equal(together[n : n + 1], alone)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("algorithm", FAST)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_reaches_exactly_the_windows_that_cover_it(
    algorithm, value, layout, rng
):
    for case in (
        Case(3, 3, 5, 1, (19, 22), (3, 3), (1, 1), ONE, (1, 1)),
        Case(3, 3, 6, 3, (19, 22), (3, 3), (1, 1), ONE, (1, 1)),
    ):
        if algorithm not in able(case, layout, "float32"):
            continue
        x, weight, bias = arrays(case, "float32", rng)
        weight[weight == 0] = 1
        x[1, 2, 7, 8] = value
        y = case.run(x, weight, bias, layout, algorithm=algorithm)
        expected = case.naive(x, weight, bias)
        np.testing.assert_array_equal(np.isfinite(y), np.isfinite(expected))
        np.testing.assert_array_equal(y[1], expected[1])
        assert not np.isfinite(y).all()
        without = case.run(x[:1], weight, bias, layout, algorithm=algorithm)
        np.testing.assert_array_equal(y[:1], without)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("algorithm", FAST)
def test_infinite_weights_over_padding_are_nan(algorithm, layout, rng):
    case = Case(1, 2, 3, 1, (9, 12), (3, 3), (1, 1), ONE, (1, 1))
    if algorithm not in able(case, layout, "float32"):
        pytest.skip("one input channel a group alone")
    x, weight, bias = arrays(case, "float32", rng)
    x = np.abs(x) + 1
    weight[1, 0, 0, 0] = np.inf
    y = case.run(x, weight, bias, layout, algorithm=algorithm)
    with np.errstate(invalid="ignore"):
        expected = case.naive(x, weight, bias)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(expected))
    np.testing.assert_array_equal(np.isinf(y), np.isinf(expected))


def test_products_that_overflow_in_winograds_domain_alone(rng):
    x = np.full((1, 1, 12, 12), 1e38, np.float32)
    weight = np.zeros((1, 1, 3, 3), np.float32)
    weight[0, 0, 1, 1] = 2
    y = nbc.conv2d(x, weight, padding=1, algorithm="winograd")
    np.testing.assert_array_equal(y, 2 * x)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("algorithm", FAST)
def test_padding_modes(mode, algorithm, rng):
    for case in (
        Case(2, 2, 3, 1, (9, 14), (3, 3), (1, 1), ((4, 2), (0, 16)), (1, 1), mode),
        Case(2, 2, 2, 2, (9, 14), (3, 2), (2, 1), ((4, 2), (0, 16)), (1, 3), mode),
        Case(2, 2, 2, 2, (1, 14), (3, 3), (1, 1), ((4, 2), (0, 16)), (1, 1), mode),
    ):
        for layout in LAYOUTS:
            if algorithm in able(case, layout, "float32"):
                x, weight, bias = arrays(case, "float32", rng)
                y = case.run(x, weight, bias, layout, algorithm=algorithm)
                assert_right(case, algorithm, y, x, weight, bias)


def test_channels_that_do_not_fit_the_workspace_are_summed_in_parts(monkeypatch, parallel, rng):
    monkeypatch.setattr(cut, "SPACE_BYTES", 1 << 10)
    for case in (
        Case(2, 40, 35, 1, (9, 11), (3, 3), (1, 1), ONE, (1, 1)),
        Case(2, 40, 35, 1, (7, 7), (3, 3), (2, 2), ONE, (1, 1)),
    ):
        for layout in LAYOUTS:
            nbc.release_memory()
            x, weight, bias = arrays(case, "float32", rng)
            y = case.run(x, weight, bias, layout, algorithm="direct", parallel=parallel)
            np.testing.assert_array_equal(y, case.naive(x, weight, bias))
    nbc.release_memory()


class TestRefusals:
    def refused(self, algorithm, x_shape, weight_shape, dtype="float32", **keywords):
        x, weight = np.ones(x_shape, dtype), np.ones(weight_shape, dtype)
        with pytest.raises(ValueError, match=f"algorithm='{algorithm}' cannot run") as caught:
            CONVS[x.ndim - 2](x, weight, algorithm=algorithm, **keywords)
        return str(caught.value)

    def test_direct(self):
        assert "complex64" in self.refused("direct", (1, 1, 5), (1, 1, 3), "complex64")

    def test_depthwise(self):
        assert "at most 8" in self.refused("depthwise", (1, 9, 5), (1, 9, 3))
        message = self.refused("depthwise", (1, 5, 2), (3, 2, 1), layout="channels_last")
        assert "one input channel a group, got 2" in message

    def test_winograd(self):
        x, weight = (1, 2, 9, 9), (2, 2, 3, 3)
        assert "stride 1" in self.refused("winograd", x, weight, stride=2)
        assert "float64" in self.refused("winograd", x, weight, "float64")
        assert "groups=2" in self.refused("winograd", x, (2, 1, 3, 3), groups=2)
        assert "(3, 2)" in self.refused("winograd", x, (2, 2, 3, 2))
        assert "(1, 1)" in self.refused("winograd", x, (2, 2, 1, 1))
        wide = (1, 9, 9, 5000), (3, 3, 5000, 2)
        assert "at most 4096" in self.refused("winograd", *wide, layout="channels_last")
        assert "spatial axes" in self.refused("winograd", (1, 1, 5, 5, 5), (1, 1, 3, 3, 3))

    def test_fft(self):
        assert "int32" in self.refused("fft", (1, 1, 5), (1, 1, 3), "int32")

    def test_memory_that_spectra_would_need(self):
        with pytest.raises(ValueError, match="would not fit into memory"):
            nbc.explain((1, 512, 512, 512), (512, 512, 3, 3), algorithm="fft")

    def test_auto_never_refuses(self):
        assert nbc.conv1d(np.ones((1, 1, 5), "c8"), np.ones((1, 1, 3), "c8")).dtype == "c8"


@pytest.mark.skipif(sys.platform == "win32", reason="mprotect")
@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("algorithm", ["im2col", "matrices", "direct", "depthwise", "winograd"])
def test_nothing_is_read_or_written_beyond_an_array(algorithm, dtype):
    if algorithm == "winograd" and dtype != "float32":
        pytest.skip("winograd computes in float32")
    if algorithm in ("im2col", "matrices") and dtype != "float32":
        pytest.skip("nothing in its native code but the size of an element depends on the dtype")
    done = python("tests/guarded.py", algorithm, dtype, "3").stdout
    assert int(done) >= 20


@pytest.mark.skipif(sys.platform == "win32", reason="mprotect")
def test_a_read_beyond_a_guarded_array_ends_the_process():
    source = "import numpy as np; from guarded import guarded; import ctypes; " \
        "a = guarded(np.ones(3), at_end=True); print(a.sum()); " \
        "print(ctypes.string_at(a.ctypes.data, 25))"  # fmt: skip
    result = python("-c", source, check=False, PYTHONPATH="tests")
    assert result.stdout.split() == ["3.0"]
    assert result.returncode < 0


#: Instruction sets that this processor (any x86) can pretend to be.
PRETENDED = {
    "AVX2": ("+avx2,+fma,+avx,+sse4.2,+bmi,+bmi2", "(float32 or int16)"),
    "SSE": ("+sse2", "float32 and first"),  # masked loads, lane by lane, compile for minutes
}


@pytest.mark.long
@pytest.mark.parametrize("name", PRETENDED)
def test_other_instruction_sets(name, tmp_path):
    import platform

    from numba.core.registry import cpu_target

    pretended, chosen = PRETENDED[name]
    features = str(cpu_target.target_context.codegen().magic_tuple()[2])
    if platform.machine().lower() not in ("x86_64", "amd64") or "+avx2" not in features:
        pytest.skip("not a processor with AVX2")
    result = python(
        "-m", "pytest", "-n0", "-q", "-x", "-p", "no:cacheprovider", "tests/test_routes.py",
        "-k", f"serial and every_route_on and {chosen}",
        timeout=1800, check=False, NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES=pretended,
        NUMBA_CACHE_DIR=str(tmp_path),
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]
    shown = python(
        "-c", "from numbaconv.native import isa; print(isa.host().name)",
        NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES=pretended,
    )  # fmt: skip
    assert shown.stdout.strip() == name


class TestOddProblems:
    """What a second reader found: each was wrong, slow or large once."""

    @pytest.mark.parametrize("algorithm", ["direct", "depthwise", "winograd"])
    def test_strides_of_axes_of_size_one(self, algorithm, rng):
        wide = small_integers(rng, (1, 3, 16, 64), "float32")
        tall = small_integers(rng, (2, 8, 300), "float32")[..., None]
        problems = [
            (wide[0, :, :, 0][..., None], (8, 3, 3, 3), 2),
            (wide[:, :, :, ::64], (8, 3, 3, 3), 2),
            (tall, (8, 8, 3, 3), (1, 20)),
            (small_integers(rng, (1, 9, 20000), "float32")[..., None], (16, 9, 1, 1), 0),
        ]
        for x, shape, padding in problems:
            weight = small_integers(rng, shape, "float32")
            keywords = {"padding": padding}
            if algorithm not in nbc.algorithms(x.shape, shape, **keywords):
                continue
            expected = nbc.conv2d(x, weight, algorithm="im2col", **keywords)
            y = nbc.conv2d(x, weight, algorithm=algorithm, **keywords)
            np.testing.assert_allclose(y, expected, atol=1e-3 if algorithm == "winograd" else 0)

    def test_nan_in_strided_images_under_fft(self, rng):
        weight = small_integers(rng, (4, 4, 9, 9), "float32")
        whole = small_integers(rng, (1, 4, 40, 80), "float32")
        whole[0, 1, 20, 40] = np.nan
        for x in (whole[..., ::2], whole[..., ::-1], np.asfortranarray(whole)):
            expected = nbc.conv2d(x, weight, algorithm="im2col")
            np.testing.assert_array_equal(nbc.conv2d(x, weight, algorithm="fft"), expected)

    def test_tall_kernels_on_tall_images(self, rng):
        x = small_integers(rng, (1, 4, 2149, 70), "float32")
        weight = small_integers(rng, (4, 4, 101, 1), "float32")
        expected = nbc.conv2d(x, weight, algorithm="im2col")
        np.testing.assert_array_equal(nbc.conv2d(x, weight, algorithm="direct"), expected)
        assert nbc.explain((1, 3, 2080, 2560), (8, 3, 31, 31), padding=15, algorithm="exact")

    def test_long_rows_under_winograd(self, rng):
        for x_shape, shape in (((2, 3, 3000), (5, 3, 3)), ((1, 3, 6, 1500), (5, 3, 3, 3))):
            x, weight = noise(rng, x_shape, "float32"), noise(rng, shape, "float32")
            conv = CONVS[len(shape) - 2]
            y = conv(x, weight, padding=1, algorithm="winograd")
            exactly = conv(x.astype("f8"), weight.astype("f8"), padding=1)
            assert np.linalg.norm(y - exactly) < 2e-5 * np.linalg.norm(exactly)

    def test_spans_and_paddings_far_beyond_the_input(self):
        far = {"dilation": (2**24, 1), "padding": ((2**23, 2**23), (0, 0))}
        assert "depthwise" not in nbc.algorithms((1, 1, 3, 3), (1, 1, 2, 2), **far)
        y = nbc.conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)), **far)
        np.testing.assert_array_equal(y, np.zeros_like(y))
        wide = {"stride": 2**16, "padding": 2**16, "padding_mode": "circular"}
        assert nbc.algorithms((1, 1, 3, 3), (1, 1, 3, 3), **wide) == ("im2col",)
        assert nbc.conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 3, 3)), **wide).sum() == 9 * 9
        with pytest.raises(ValueError, match="many times larger"):
            nbc.conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 3, 3)), algorithm="direct", **wide)

    def test_an_empty_batch_is_refused_like_a_full_one(self):
        x, weight = np.ones((0, 2, 5, 5), "c8"), np.ones((2, 2, 3, 3), "c8")
        with pytest.raises(ValueError, match="cannot run"):
            nbc.conv2d(x, weight, algorithm="winograd")
        assert nbc.conv2d(x.real, weight.real, algorithm="winograd").shape == (0, 2, 3, 3)
        assert nbc.conv2d(x, weight).shape == (0, 2, 3, 3)


class TestTinyNumbers:
    """Winograd's transforms would round numbers that have few bits left."""

    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize(("of_x", "of_weight"), [(1, 1e-41), (1e-41, 1), (1e-41, 1e20)])
    def test_they_go_another_way(self, of_x, of_weight, layout, rng):
        x = (noise(rng, (3, 16, 20, 20), "f8") * of_x).astype("f4")
        weight = (noise(rng, (16, 16, 3, 3), "f8") * of_weight).astype("f4")
        if layout == "channels_last":
            x, weight = np.moveaxis(x, 1, -1).copy(), np.moveaxis(weight, (0, 1), (3, 2)).copy()
        y, exactly = (
            nbc.conv2d(x, weight, padding=1, algorithm=name, layout=layout)
            for name in ("winograd", "direct")
        )
        np.testing.assert_array_equal(y, exactly)

    def test_one_tiny_image_among_others(self, rng):
        x, weight = noise(rng, (3, 16, 20, 20), "f4"), noise(rng, (16, 16, 3, 3), "f4")
        x[1] *= np.float32(1e-41)
        y = nbc.conv2d(x, weight, algorithm="winograd")
        for n, name in enumerate(("winograd", "direct", "winograd")):
            alone = nbc.conv2d(x[n : n + 1], weight, algorithm=name)
            np.testing.assert_array_equal(y[n : n + 1], alone)

    def test_zeros(self, rng):
        x = np.zeros((1, 16, 20, 20), "f4")
        assert not nbc.conv2d(x, noise(rng, (16, 16, 3, 3), "f4"), algorithm="winograd").any()


class TestDoublePrecision:
    def test_auto_never_takes_fft(self):
        for dtype in ("float64", "complex128"):
            shapes = (1, 1, 1000, 1000), (1, 1, 201, 201)
            plan = nbc.explain(*shapes, dtype=dtype)
            assert plan.algorithm != "fft"
            assert "algorithm='fft' would be" in plan.reason
            assert nbc.explain(*shapes, dtype=dtype, algorithm="fft").algorithm == "fft"

    def test_small_results_beside_large_ones(self, rng):
        x, weight = np.zeros((1, 1, 400)), rng.random((1, 1, 200))
        x[0, 0, ::20] = 10.0 ** np.arange(1, 81, 4)
        y = nbc.conv1d(x, weight)
        exact = [float(sum(map(np.longdouble, x[0, 0, i : i + 200] * weight[0, 0])))
                 for i in range(201)]  # fmt: skip
        np.testing.assert_allclose(y[0, 0], exact, rtol=1e-13)
        assert (nbc.conv1d(x, weight) >= 0).all()

    def test_float32_is_transformed_in_float64(self, rng):
        x, weight = rng.random((1, 1, 3000)), rng.random((1, 1, 1000))
        exact = nbc.conv1d(x, weight, algorithm="im2col")
        y = nbc.conv1d(x.astype("f4"), weight.astype("f4"), algorithm="fft")
        wide = nbc.conv1d(x.astype("f4").astype("f8"), weight.astype("f4").astype("f8"),
                          algorithm="im2col")  # fmt: skip
        np.testing.assert_allclose(y, wide, rtol=6e-8)
        assert y.shape == exact.shape
