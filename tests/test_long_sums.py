"""Sums of ten million terms: ones add up, and uniform data stays within the tighter bound."""

from typing import ClassVar

import numba
import numpy as np
import pytest
from problems import growth_of_error

import numbaconv as nbc

LAYOUTS = ("channels_first", "channels_last")
#: More ones than a running float32 sum can count.
MANY = 17_000_000


@pytest.fixture
def rng():
    return np.random.default_rng(20261127)


def moved(array, layout):
    return array if layout == "channels_first" else np.ascontiguousarray(np.moveaxis(array, 1, -1))


def moved_weight(weight, layout):
    if layout == "channels_first":
        return weight
    return np.ascontiguousarray(np.moveaxis(weight, (0, 1), (-1, -2)))


def assert_sum(found, exact, terms, dtype="float32"):
    """Check a sum of positive terms."""
    assert found.size
    np.testing.assert_array_less(np.abs(found - exact), exact * growth_of_error(terms, dtype))


class TestMeans:
    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize(
        ("shape", "window"), [((1, 1, 5000, 5000), (5000, 5000)), ((1, 1, MANY), (MANY,))]
    )
    def test_ones(self, shape, window, layout, parallel):
        x = moved(np.ones(shape, np.float32), layout)
        pool = getattr(nbc, f"avg_pool{len(window)}d")
        assert pool(x, window, layout=layout, parallel=parallel).item() == 1

    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "uint8"])
    @pytest.mark.parametrize("window", [(8, 8), (9, 9), (70, 50), (300, 1), (1000, 1200)])
    def test_uniform(self, window, dtype, layout, rng):
        x = rng.random((1, 2, 1000, 1200))
        x = (x * 255).astype(dtype) if dtype == "uint8" else x.astype(dtype)
        if dtype == "complex64":
            x = x + np.complex64(1j) * x[..., ::-1]
        stride = tuple(max(1, n // 7) for n in window)
        found = nbc.avg_pool2d(moved(x, layout), window, stride, layout=layout)
        found = found if layout == "channels_first" else np.moveaxis(found, -1, 1)
        wide = np.lib.stride_tricks.sliding_window_view(x, window, (2, 3))
        wide = wide[:, :, :: stride[0], :: stride[1]]
        exact = wide.mean((-1, -2), dtype=np.complex128 if dtype == "complex64" else np.float64)
        if dtype == "uint8":
            np.testing.assert_array_equal(found, np.trunc(exact))
        else:
            np.testing.assert_array_less(np.abs(found - exact), 1e-6 * np.abs(exact))

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_backward(self, layout, rng):
        """Each input sums twenty thousand windows."""
        grad = rng.random((1, 1, 20_000)).astype(np.float32)
        shape = (1, 1, 39_999) if layout == "channels_first" else (1, 39_999, 1)
        found = nbc.avg_pool1d_backward(moved(grad, layout), shape, 20_000, 1, layout=layout)
        sums = np.cumsum(grad[0, 0], dtype=np.float64)
        exact = np.concatenate([sums, sums[-1] - sums[:-1]]) / 20_000
        np.testing.assert_allclose(found.ravel(), exact, rtol=1e-6, atol=1e-9)

    def test_in_jitted_code(self):
        @numba.njit
        def pool(x):
            return nbc.avg_pool2d(x, (5000, 5000))

        x = np.ones((1, 1, 5000, 5000), np.float32)
        assert [pool(x).item() for _ in range(3)] == [1, 1, 1]


class TestConvolution:
    """One output of ten million products, and a few outputs of some thousand."""

    CASES: ClassVar = {
        "taps": ((1, 1, 4_000_000), (1, 1, 4_000_000)),
        "channels": ((1, 3_000_000, 3), (2, 3_000_000, 3)),
        "image": ((1, 2, 2100, 2200), (3, 2, 2100, 2200)),
        "pointwise": ((2, 5_000_000, 2), (1, 5_000_000, 1)),
        "some": ((1, 700, 9, 10), (20, 700, 3, 3)),
    }

    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("name", CASES)
    def test_forward(self, name, layout, rng):
        x_shape, w_shape = self.CASES[name]
        conv = getattr(nbc, f"conv{len(x_shape) - 2}d")
        terms = int(np.prod(w_shape[1:]))
        ones = np.ones(x_shape, np.float32), np.ones(w_shape, np.float32)
        some = [rng.random(shape, dtype=np.float32) for shape in (x_shape, w_shape)]
        exact = conv(*(a.astype(np.float64) for a in some), algorithm="im2col")
        for algorithm in ("im2col", "direct", "auto", "exact"):
            options = {"layout": layout, "algorithm": algorithm}
            y = conv(moved(ones[0], layout), moved_weight(ones[1], layout), **options)
            if algorithm != "auto":  # which rounds elsewhere, with winograd
                np.testing.assert_array_equal(y, np.float32(terms))
                y = conv(moved(some[0], layout), moved_weight(some[1], layout), **options)
                y = y if layout == "channels_first" else np.moveaxis(y, -1, 1)
                assert_sum(y, exact, terms)

    @pytest.mark.parametrize("dtype", ["float64", "complex64", "complex128", "int32"])
    def test_other_dtypes(self, dtype, rng):
        x, weight = rng.integers(0, 4, (1, 9000, 5)), rng.integers(0, 4, (3, 9000, 3))
        y = nbc.conv1d(x.astype(dtype), weight.astype(dtype))
        np.testing.assert_array_equal(y, nbc.conv1d(x, weight))

    def test_infinities_are_kept(self):
        """What compensates knows no rounding error of infinity."""
        x, weight = np.ones((1, 9000, 1), np.float32), np.ones((1, 9000, 1), np.float32)
        x[0, 17] = np.inf
        for algorithm in ("im2col", "direct"):
            assert nbc.conv1d(x, weight, algorithm=algorithm).item() == np.inf
        x[0, 4000] = -np.inf
        for algorithm in ("im2col", "direct"):
            assert np.isnan(nbc.conv1d(x, weight, algorithm=algorithm).item())

    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("algorithm", ["im2col", "exact"])
    @pytest.mark.parametrize(
        ("x_shape", "w_shape", "stride"),
        [((1, 5_000_000, 2), (5_000_000, 1, 1), 1), ((1, 5000, 30), (5000, 2, 3), 2),
         ((1, 1, 1300), (1, 1, 1300), 1), ((2, 5, 1100), (5, 2, 1100), 1)],
    )  # fmt: skip
    def test_transposed(self, x_shape, w_shape, stride, algorithm, layout, rng):
        some = [rng.random(shape, dtype=np.float32) for shape in (x_shape, w_shape)]
        options = {"stride": stride, "layout": layout, "algorithm": algorithm}
        wide = [a.astype(np.float64) for a in some]
        exact = nbc.conv_transpose1d(*wide, stride=stride, algorithm="exact")
        given = moved(some[0], layout), moved_weight(some[1], layout)
        y = nbc.conv_transpose1d(*given, **options)
        y = y if layout == "channels_first" else np.moveaxis(y, -1, 1)
        assert_sum(y, exact, x_shape[1] * min(x_shape[2], w_shape[2]))
        ones = [np.ones_like(a) for a in given]
        spread = np.zeros((x_shape[2] - 1) * stride + 1)
        spread[::stride] = x_shape[1]
        count = np.convolve(spread, np.ones(w_shape[2]))
        y = nbc.conv_transpose1d(*ones, **options)
        y = y if layout == "channels_first" else np.moveaxis(y, -1, 1)
        np.testing.assert_array_equal(y, np.broadcast_to(count.astype("f4"), y.shape))

    def test_padding_flows_back(self, rng):
        """Twenty thousand padded positions have read the first input."""
        weight, wide = np.ones((1, 1, 1), np.float32), 20_000
        grad = rng.random((1, 1, 2 * wide + 3)).astype(np.float32)
        for mode in ("replicate", "circular", "reflect", "symmetric"):
            found = nbc.conv1d_input_grad((1, 1, 3), weight, grad, padding=wide, padding_mode=mode)
            padded = np.pad(np.arange(3), wide, {"replicate": "edge", "circular": "wrap"}.get(
                mode, mode))  # fmt: skip
            exact = np.bincount(padded, weights=grad[0, 0].astype(np.float64))
            np.testing.assert_allclose(found[0, 0], exact, rtol=1e-6)


class TestWeightGradients:
    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("algorithm", ["im2col", "direct"])
    @pytest.mark.parametrize(
        ("x_shape", "w_shape"),
        [((1, 1, MANY), (1, 1, 1)), ((9000, 1, 44, 44), (1, 1, 1, 1)),
         ((MANY // 8, 1, 2, 4), (1, 1, 1, 1))],
    )  # fmt: skip
    def test_ones(self, x_shape, w_shape, algorithm, layout):
        x = moved(np.ones(x_shape, np.float32), layout)
        grad_of = getattr(nbc, f"conv{len(x_shape) - 2}d_weight_grad")
        found = grad_of(x, w_shape, x, layout=layout, algorithm=algorithm)
        assert found.item() == np.float32(x.size)

    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("algorithm", ["im2col", "direct"])
    def test_uniform(self, algorithm, layout, rng):
        n = 5_000_000
        x, grad = (rng.random((1, c, m)).astype(np.float32) for c, m in ((1, n + 2), (2, n)))
        shape = (2, 1, 3) if layout == "channels_first" else (3, 1, 2)
        found = nbc.conv1d_weight_grad(
            moved(x, layout), shape, moved(grad, layout), layout=layout, algorithm=algorithm
        )
        wide = x[0, 0].astype(np.float64), grad[0].astype(np.float64)
        exact = np.array([[[g @ wide[0][k : k + n] for k in range(3)]] for g in wide[1]])
        assert_sum(found, moved_weight(exact, layout), n)

    def test_transposed(self):
        x = np.ones((1, 1, MANY), np.float32)
        assert nbc.conv_transpose1d_weight_grad(x, (1, 1, 1), x).item() == MANY

    def test_sums_are_drained(self, monkeypatch, rng):
        """However few images a running sum takes, the gradient is the same."""
        from numbaconv.reference import weight_grad
        from numbaconv.weight_grad import direct

        monkeypatch.setattr(direct, "_MOST_CHUNKS", 1)
        monkeypatch.setattr(weight_grad, "_MOST_TILES", 1)
        nbc.release_memory()
        x, grad = (rng.integers(-3, 4, (n, 3, 9, 8)).astype(np.float32) for n in (70, 70))
        for algorithm in ("im2col", "direct"):
            found = nbc.conv2d_weight_grad(x, (3, 3, 1, 1), grad, algorithm=algorithm)
            exact = np.einsum("nohw,nchw->oc", grad, x)
            np.testing.assert_array_equal(found[..., 0, 0], exact)
        nbc.release_memory()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "shape", [(1, 1, MANY), (MANY, 1, 1), (MANY // 4, 1, 4), (1, 3, MANY // 2)]
)
def test_bias_gradients(shape, layout, rng):
    grad = moved(np.ones(shape, np.float32), layout)
    count = shape[0] * shape[2]
    weight = np.ones((shape[1], 1, 1) if layout == "channels_first" else (1, 1, shape[1]), "f4")
    x = moved(np.ones((shape[0], 1, shape[2]), np.float32), layout)
    bias = nbc.conv1d_backward(grad, x, weight, needs=("bias",), layout=layout).bias
    np.testing.assert_array_equal(bias, np.full(shape[1], count, np.float32))


@pytest.mark.parametrize("patches", ["columns", "rows"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_col2im(patches, dtype, rng):
    """Up to five thousand patches meet."""
    cols = rng.integers(0, 9, (1, 5000, 5100)).astype(dtype)
    given = cols if patches == "columns" else np.ascontiguousarray(cols.swapaxes(1, 2))
    found = nbc.col2im(given, (10_099,), (5000,), patches=patches)
    exact = np.zeros(10_099, np.int64)
    for tap in range(5000):
        exact[tap : tap + 5100] += cols[0, tap].astype(np.int64)
    np.testing.assert_array_equal(found[0, 0], exact)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_many_windows_with_one_maximum(dtype, layout, rng):
    grad = rng.random((2, 3, 90, 70)).astype(dtype)
    indices = rng.integers(-1, 2, grad.shape)
    exact = np.stack([np.where(indices == i, grad, 0).astype("c16").sum((2, 3)) for i in (0, 1)])
    given = moved(grad, layout), moved(indices, layout)
    shape = (2, 3, 8, 9) if layout == "channels_first" else (2, 8, 9, 3)
    found = nbc.max_pool2d_backward(*given, shape, layout=layout)
    found = found if layout == "channels_first" else np.moveaxis(found, -1, 1)
    np.testing.assert_allclose(found[..., 0, :2], np.moveaxis(exact, 0, -1), rtol=3e-7)
    assert not found[..., 1:, :].any()


def test_twenty_million_windows_with_one_maximum():
    grad = np.ones((1, 1, 20_000_000), np.float32)
    indices = np.zeros(grad.shape, np.int64)
    assert nbc.max_pool1d_backward(grad, indices, (1, 1, 5))[0, 0, 0] == 20_000_000
