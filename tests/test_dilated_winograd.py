"""Dilated convolution by winograd, phase by phase: every window, threads, what is not finite."""

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import AWKWARD, Case, noise
from test_routes import arrays, assert_norm_bound

import numbaconv as nbc
from numbaconv.routes.winograd import dilated

CASES = [
    Case(2, 5, 17, 1, (23, 14), (3, 3), (1, 1), ((2, 2), (3, 3)), (2, 3)),
    Case(3, 9, 6, 1, (31, 20), (3, 5), (1, 1), ((1, 4), (0, 7)), (4, 2)),
    Case(1, 4, 20, 1, (12, 40), (1, 3), (1, 1), ((0, 0), (9, 2)), (5, 4)),
    Case(2, 16, 3, 1, (26, 9), (5, 1), (1, 1), ((6, 6), (0, 0)), (3, 7)),
    Case(2, 3, 8, 1, (90,), (3,), (1,), ((12, 5),), (12,)),
]


@pytest.fixture
def rng():
    return np.random.default_rng(20261129)


@pytest.mark.usefixtures("threads_restored")
@pytest.mark.parametrize("case", CASES)
class TestCases:
    def test_within_the_bound(self, case, rng):
        x, weight, bias = arrays(case, "float32", rng, noise)
        found = []
        for count in (1, numba.config.NUMBA_NUM_THREADS):
            numba.set_num_threads(count)
            for parallel in (True, False):
                y = case.run(x, weight, bias, algorithm="winograd", parallel=parallel)
                assert_norm_bound(case, "winograd", y, x, weight, bias)
                found.append(y)
        for y in found[1:]:
            np.testing.assert_array_equal(y, found[0])

    def test_an_image_has_the_same_bits_in_any_batch(self, case, rng, monkeypatch):
        x, weight, bias = arrays(case, "float32", rng, noise)
        whole = case.run(x, weight, bias, algorithm="winograd")
        nbc.release_memory()
        monkeypatch.setattr(dilated, "_NEAR_BYTES", 1)  # image by image
        np.testing.assert_array_equal(case.run(x, weight, bias, algorithm="winograd"), whole)
        nbc.release_memory()

    def test_gradients(self, case, rng):
        """The input's gradient of stride 1 is such a convolution, with kernels flipped."""
        x, weight, _ = arrays(case, "float32", rng, noise)
        grad = noise(rng, case.run(x, weight, None).shape, "float32")
        function = getattr(nbc, f"conv{case.ndim}d_input_grad")
        options = {**case.window, "padding_mode": "zeros"}
        exact = function(x.shape, weight.astype("f8"), grad.astype("f8"), **options)
        found = function(x.shape, weight, grad, **options, algorithm="winograd")
        scale = np.abs(exact).max()
        assert np.abs(found - exact).max() <= 1e-4 * scale

    @pytest.mark.parametrize("value", [np.inf, np.nan])
    def test_what_is_not_finite_stays_where_it_is(self, case, value, rng):
        x, weight, bias = arrays(case, "float32", rng)
        x[0, 1].reshape(-1)[x[0, 1].size // 2] = value
        y = case.run(x, weight, bias, algorithm="winograd")
        expected = case.run(x, weight, bias, algorithm="im2col")
        np.testing.assert_array_equal(np.isfinite(y), np.isfinite(expected))
        assert not np.isfinite(expected).all()

    def test_layers_and_jitted_code(self, case, rng):
        x, weight, bias = arrays(case, "float32", rng, noise)
        expected = case.run(x, weight, bias, algorithm="winograd")
        layer = getattr(nbc, f"Conv{case.ndim}d")(weight, bias, **case.window, algorithm="winograd")
        for _ in range(3):
            np.testing.assert_array_equal(layer(x), expected)


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_arrays(name, rng):
    case, hold = CASES[0], AWKWARD[name]
    x, weight, bias = arrays(case, "float32", rng, noise)
    expected = case.run(x, weight, bias, algorithm="winograd")
    found = case.run(hold(x), weight, bias, algorithm="winograd")
    np.testing.assert_array_equal(found, expected)
    if name not in ("read-only", "byte-swapped"):
        out = hold(np.full_like(expected, np.nan))
        assert case.run(x, weight, bias, algorithm="winograd", out=out) is out
        np.testing.assert_array_equal(out, expected)


def test_jitted_code(rng):
    x, weight, _ = arrays(CASES[0], "float32", rng, noise)

    @numba.njit
    def convolved(x, weight):
        return nbc.conv2d(x, weight, padding=(2, 3), dilation=(2, 3), algorithm="winograd")

    expected = CASES[0].run(x, weight, None, algorithm="winograd")
    for _ in range(3):
        np.testing.assert_array_equal(convolved(x, weight), expected)
    assert convolved(x[:0], weight).shape == (0, *expected.shape[1:])


@st.composite
def cases(draw):
    kernel = draw(st.sampled_from([(3, 3), (3, 1), (1, 3), (5, 5), (3, 5)]))
    dilation = tuple(draw(st.integers(1, 5)) for _ in kernel)
    padding = tuple((draw(st.integers(0, 6)), draw(st.integers(0, 6))) for _ in kernel)
    size = tuple(
        draw(st.integers(d * (k - 1) + max(d, 1), d * (k - 1) + 30))
        for k, d in zip(kernel, dilation, strict=True)
    )
    return Case(
        draw(st.integers(1, 3)), draw(st.integers(1, 6)), draw(st.integers(1, 20)), 1, size, kernel,
        (1, 1), padding, dilation,
    )  # fmt: skip


@given(case=cases(), seed=st.integers(0, 99))
def test_any_window(case, seed):
    x, weight, bias = arrays(case, "float32", np.random.default_rng(seed), noise)
    y = case.run(x, weight, bias, algorithm="winograd", parallel=False)
    assert_norm_bound(case, "winograd", y, x, weight, bias)


def test_where_it_is_chosen():
    shapes = (1, 256, 28, 28), (256, 256, 3, 3)
    assert nbc.explain(*shapes, padding=2, dilation=2).algorithm == "winograd"
    far = nbc.explain((8, 160, 13, 7), (320, 160, 3, 3), padding=6, dilation=6)
    assert far.algorithm == "direct"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dilation": 2, "layout": "channels_last"}, "channels first"),
        ({"dilation": 20, "padding": 20}, "would make 400 small convolutions"),
        ({"dilation": (1, 12)}, "larger than the result"),
    ],
)
def test_what_is_refused(options, message):
    shape = (2, 9, 30, 30)
    weight = (4, 9, 3, 3)
    if "layout" in options:
        shape, weight = (2, 30, 30, 9), (3, 3, 9, 4)
    with pytest.raises(ValueError, match=message):
        nbc.conv2d(np.ones(shape, "f4"), np.ones(weight, "f4"), algorithm="winograd", **options)
