"""Transposed convolution and its gradients, against the oracle."""

from unittest import mock

import naive
import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import AWKWARD, DTYPES, noise, small_integers

import numbaconv as nbc
from numbaconv.adjoint import choice, product
from numbaconv.problem.geometry import ConvGeometry
from numbaconv.problem.options import ConvOptions

FORWARD = {1: nbc.conv_transpose1d, 2: nbc.conv_transpose2d, 3: nbc.conv_transpose3d}
BACKWARD = {
    1: nbc.conv_transpose1d_backward,
    2: nbc.conv_transpose2d_backward,
    3: nbc.conv_transpose3d_backward,
}
LAYOUTS = ("channels_first", "channels_last")

#: (x shape, weight shape, stride, padding, output_padding, dilation, groups)
CASES = [
    ((2, 4, 5, 7), (4, 3, 3, 2), (2, 1), ((1, 0), (1, 2)), (1, 0), (1, 1), 2),
    ((1, 3, 6, 9), (3, 5, 4, 4), (2, 2), ((1, 1), (1, 1)), (0, 0), (1, 1), 1),
    ((2, 17, 4, 4), (17, 33, 4, 4), (2, 2), ((1, 1), (1, 1)), (0, 0), (1, 1), 1),
    ((2, 6, 5, 20), (6, 4, 2, 2), (2, 2), ((0, 0), (0, 0)), (0, 0), (1, 1), 1),
    ((1, 5, 7, 8), (5, 1, 3, 3), (3, 2), ((2, 0), (0, 1)), (2, 1), (1, 2), 5),
    ((1, 2, 6, 5), (2, 3, 2, 3), (1, 2), ((0, 3), (4, 0)), (0, 3), (3, 4), 1),
    ((1, 3, 5, 6), (3, 2, 8, 8), (8, 8), ((0, 0), (0, 0)), (0, 0), (1, 1), 1),
    ((2, 3, 9), (3, 2, 5), (3,), ((2, 1),), (2,), (2,), 1),
    (
        (1, 2, 3, 4, 3), (2, 3, 2, 3, 2), (1, 2, 3), ((0, 1), (1, 0), (0, 0)), (0, 1, 2),
        (2, 1, 1), 1,
    ),
]  # fmt: skip


@pytest.fixture
def rng():
    return np.random.default_rng(20261124)


def in_layout(layout, x, weight, *more):
    if layout == "channels_first":
        return (x, weight, *more)
    return (
        naive.channels_last(x), naive.weight_channels_last(weight),
        *(naive.channels_last(a) for a in more),
    )  # fmt: skip


def back(layout, y):
    return naive.channels_first(y) if layout == "channels_last" else y


def outputs(weight_shape, groups):
    return weight_shape[1] * groups


@pytest.mark.parametrize("algorithm", ["im2col", "exact"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_integers_come_out_exactly(dtype, layout, algorithm, rng):
    for x_shape, weight_shape, stride, padding, extra, dilation, groups in CASES:
        x, weight = (small_integers(rng, s, dtype) for s in (x_shape, weight_shape))
        bias = small_integers(rng, (outputs(weight_shape, groups),), dtype)
        expected = naive.conv_transpose(x, weight, bias, stride, padding, extra, dilation, groups)
        a, w = in_layout(layout, x, weight)
        found = FORWARD[len(stride)](
            a, w, bias, stride, padding, extra, groups, dilation, layout=layout,
            algorithm=algorithm, parallel=False,
        )  # fmt: skip
        assert found.dtype == dtype
        np.testing.assert_array_equal(back(layout, found), expected)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "complex64", "int64"])
def test_gradients_are_adjoints(dtype, layout, rng):
    for x_shape, weight_shape, stride, padding, extra, dilation, groups in CASES:
        x, weight = (small_integers(rng, s, dtype) % 100 if dtype == "int64" else
                     small_integers(rng, s, dtype) for s in (x_shape, weight_shape))  # fmt: skip
        a, w = in_layout(layout, x, weight)
        forward = (stride, padding, extra, groups, dilation)
        y = FORWARD[len(stride)](a, w, None, *forward, layout=layout)
        grad = small_integers(rng, y.shape, dtype)
        if dtype == "int64":
            grad %= 100
        found = BACKWARD[len(stride)](grad, a, w, *forward, layout=layout)
        assert found.input.shape == a.shape
        assert found.weight.shape == w.shape
        product = np.vdot(grad, y)
        assert np.vdot(found.input, a) == product
        assert np.vdot(found.weight, w) == product
        axes = tuple(range(y.ndim - 1)) if layout == "channels_last" else (0, *range(2, y.ndim))
        np.testing.assert_array_equal(found.bias, grad.sum(axis=axes))


@given(seed=st.integers(0, 9999), data=st.data())
def test_random_problems(seed, data):
    def draw(low, high):
        return data.draw(st.integers(low, high))

    groups = data.draw(st.sampled_from((1, 1, 2)))
    size = (draw(1, 6), draw(1, 20))
    kernel, stride = (draw(1, 4), draw(1, 4)), (draw(1, 3), draw(1, 4))
    dilation = (draw(1, 3), draw(1, 3))
    extra = tuple(draw(0, max(s, d) - 1) for s, d in zip(stride, dilation, strict=True))
    full = [
        (n - 1) * s + d * (k - 1) + 1 + p
        for n, s, d, k, p in zip(size, stride, dilation, kernel, extra, strict=True)
    ]
    padding = []
    for n in full:
        low = draw(0, min(4, n - 1))
        padding.append((low, draw(0, min(4, n - 1 - low))))
    rng = np.random.default_rng(seed)
    x = small_integers(rng, (2, 2 * groups, *size), "float32")
    weight = small_integers(rng, (2 * groups, draw(1, 3), *kernel), "float32")
    expected = naive.conv_transpose(x, weight, None, stride, padding, extra, dilation, groups)
    for algorithm in ("im2col", "exact"):
        found = nbc.conv_transpose2d(
            x, weight, None, stride, tuple(padding), extra, groups, dilation, algorithm=algorithm
        )
        np.testing.assert_array_equal(found, expected)


def test_same_padding():
    """The result is size * stride, whatever kernel and dilation."""
    rng = np.random.default_rng(0)
    for kernel, stride, dilation in ((3, 2, 1), (2, 3, 1), (1, 4, 1), (4, 1, 2), (5, 2, 3)):
        x, weight = small_integers(rng, (1, 2, 7), "f8"), small_integers(rng, (2, 3, kernel), "f8")
        total = dilation * (kernel - 1) + 1 - stride
        for mode in ("same", "same_lower"):
            small, large = max(total, 0) // 2, max(total, 0) - max(total, 0) // 2
            pair = (small, large) if mode == "same" else (large, small)
            expected = naive.conv_transpose(
                x, weight, None, (stride,), (pair,), (max(-total, 0),), (dilation,), 1
            )
            found = nbc.conv_transpose1d(
                x, weight, None, stride, mode, dilation=dilation, algorithm="exact"
            )
            assert found.shape == (1, 3, 7 * stride)
            np.testing.assert_array_equal(found, expected)


def test_output_size_picks_the_padding():
    x, weight = np.ones((1, 2, 5, 6)), np.ones((2, 3, 3, 3))
    for size in ((9, 11), (10, 12), (9, 12)):
        expected = nbc.conv_transpose2d(
            x, weight, stride=2, padding=1, output_padding=(size[0] - 9, size[1] - 11)
        )
        for given_size in (size, (1, 3, *size), (3, *size)):
            found = nbc.conv_transpose2d(x, weight, stride=2, padding=1, output_size=given_size)
            np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match=r"output_size must be from \(9, 11\) to \(10, 12\)"):
        nbc.conv_transpose2d(x, weight, stride=2, padding=1, output_size=(11, 12))


@pytest.mark.parametrize("algorithm", ["direct", "winograd", "depthwise", "fft", "im2col", "auto"])
def test_each_algorithm(algorithm, parallel, rng):
    """Every algorithm of the small convolutions, within the loosest bound among them."""
    groups = 3 if algorithm == "depthwise" else 1
    stride = (1, 1) if algorithm == "winograd" else (2, 3)
    x = noise(rng, (2, 3, 15, 14), "float32")
    weight = noise(rng, (3, 1 if groups == 3 else 4, 3, 3), "float32")
    bias = noise(rng, (outputs(weight.shape, groups),), "float32")
    found = nbc.conv_transpose2d(
        x, weight, bias, stride, 1, groups=groups, algorithm=algorithm, parallel=parallel
    )
    arguments = (stride, ((1, 1), (1, 1)), (0, 0), (1, 1), groups)
    expected = naive.conv_transpose(x.astype("f8"), weight, bias, *arguments)
    scale = naive.conv_transpose(np.abs(x).astype("f8"), np.abs(weight), np.abs(bias), *arguments)
    assert np.linalg.norm(found - expected) <= 2e-5 * np.linalg.norm(scale)


#: (kernel, stride): phases of 3 and 5 taps, which are all of a kernel or some of a longer one.
PHASES = [
    ((6, 6), (2, 2)), ((9, 9), (3, 3)), ((10, 6), (2, 2)), ((3, 6), (1, 2)), ((15, 3), (3, 1)),
    ((5, 5), (1, 1)), ((7, 5), (2, 2)),
]  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("algorithm", ["winograd", "auto"])
@pytest.mark.parametrize(("kernel", "stride"), PHASES)
def test_phases_of_a_longer_kernel(kernel, stride, algorithm, layout, rng):
    x, w = noise(rng, (2, 16, 31, 26), "f4"), noise(rng, (16, 8, *kernel), "f4")
    padding = tuple((k // 2, k // 3) for k in kernel)
    a, b = in_layout(layout, x, w)
    options = {"stride": stride, "padding": padding, "layout": layout}
    if kernel == (7, 5) and algorithm == "winograd":
        with pytest.raises(ValueError, match="cannot run"):
            nbc.conv_transpose2d(a, b, algorithm=algorithm, **options)
        return
    found = nbc.conv_transpose2d(a, b, algorithm=algorithm, **options)
    expected, scale = (
        nbc.conv_transpose2d(*pair, algorithm="im2col", **options)
        for pair in ((a.astype("f8"), b.astype("f8")), (abs(a).astype("f8"), abs(b).astype("f8")))
    )
    assert np.linalg.norm(found - expected) <= 2e-5 * np.linalg.norm(scale)
    shape = found.shape
    same = nbc.conv2d_input_grad(shape, b, a, algorithm=algorithm, **options)
    np.testing.assert_array_equal(same, found)


class TestOneProduct:
    """The overlap-add of the columns that one product makes, where it is not the cheapest."""

    @pytest.fixture(autouse=True)
    def _always(self):
        nbc.release_memory()  # plans are remembered
        with mock.patch.object(product.Columns, "cost", return_value=0.0):
            yield
        nbc.release_memory()

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_integers(self, dtype, parallel, rng):
        for x_shape, weight_shape, stride, padding, extra, dilation, groups in CASES:
            x, weight = (small_integers(rng, s, dtype) for s in (x_shape, weight_shape))
            for bias in (None, small_integers(rng, (outputs(weight_shape, groups),), dtype)):
                arguments = (stride, padding, extra, dilation, groups)
                expected = naive.conv_transpose(x, weight, bias, *arguments)
                found = FORWARD[len(stride)](
                    x, weight, bias, stride, padding, extra, groups, dilation, parallel=parallel
                )
                np.testing.assert_array_equal(found, expected)

    def test_it_runs(self):
        geometry = ConvGeometry.parse(
            ConvOptions(2, stride=2, transposed=True), (1, 4, 5, 6), (4, 3, 2, 2)
        )
        assert isinstance(choice.resolve(geometry, np.dtype("f4"), "auto").plan, product.Columns)
        last = ConvGeometry.parse(
            ConvOptions(2, stride=2, transposed=True, layout="channels_last"),
            (1, 5, 6, 4), (2, 2, 3, 4),
        )  # fmt: skip
        assert not isinstance(choice.resolve(last, np.dtype("f4"), "auto").plan, product.Columns)

    def test_many_images_and_strides(self, rng):
        """Blocks of images, an `out` of any strides, and a padding mode's gradient."""
        x, w = noise(rng, (9, 64, 700), "f4"), noise(rng, (64, 2, 64), "f4")
        out = np.zeros((9, 4, 32 * 699 + 64), "f4")[:, ::2]
        found = nbc.conv_transpose1d(x, w, stride=32, out=out)
        expected = nbc.conv_transpose1d(x, w, stride=32, algorithm="im2col")
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)
        g, k = small_integers(rng, (2, 5, 10), "f4"), small_integers(rng, (5, 3, 4), "f4")
        options = {"stride": 2, "padding": 2, "padding_mode": "reflect"}
        grads = [
            nbc.conv1d_input_grad((2, 3, 18), k, g, algorithm=name, **options)
            for name in ("auto", "im2col")
        ]
        np.testing.assert_array_equal(*grads)

    def test_jitted(self, rng):
        @numba.njit
        def transposed(x, w, b):
            return nbc.conv_transpose1d(x, w, None, 4), nbc.conv_transpose1d(x, w, b, 4)

        x, w = small_integers(rng, (2, 6, 40), "f4"), small_integers(rng, (6, 3, 9), "f4")
        b = small_integers(rng, (3,), "f4")
        for _ in range(4):
            plain, biased = transposed(x, w, b)
            expected = nbc.conv_transpose1d(x, w, None, 4, algorithm="im2col")
            np.testing.assert_array_equal(plain, expected)
            np.testing.assert_array_equal(biased, expected + b[:, None])
            x = x + 1


@pytest.mark.parametrize("algorithm", ["im2col", "direct"])
@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_arrays_give_the_same_bits(name, algorithm, rng):
    x_shape, weight_shape, stride, padding, extra, dilation, groups = CASES[0]
    x, weight = noise(rng, x_shape, "float32"), noise(rng, weight_shape, "float32")
    forward = (None, stride, padding, extra, groups, dilation)
    awkward = AWKWARD[name]
    expected = nbc.conv_transpose2d(x, weight, *forward, algorithm=algorithm)
    found = nbc.conv_transpose2d(awkward(x), awkward(weight), *forward, algorithm=algorithm)
    np.testing.assert_array_equal(found, expected)
    if name not in ("read-only", "byte-swapped"):
        out = awkward(np.full_like(expected, np.nan))
        assert nbc.conv_transpose2d(x, weight, *forward, algorithm=algorithm, out=out) is out
        np.testing.assert_array_equal(out, expected)


def test_non_finite_values_reach_their_windows_only():
    for algorithm in ("im2col", "direct", "winograd"):
        x = np.zeros((1, 8, 20, 20), "float32")
        x[0, 3, 9, 11] = np.inf
        y = nbc.conv_transpose2d(x, np.ones((8, 4, 3, 3), "f4"), padding=1, algorithm=algorithm)
        reached = np.zeros((20, 20), bool)
        reached[8:11, 10:13] = True
        np.testing.assert_array_equal(np.isinf(y), np.broadcast_to(reached, y.shape))


def test_empty_and_unbatched(rng):
    weight = noise(rng, (3, 4, 3, 2), "float32")
    bias = noise(rng, (4,), "float32")
    for algorithm in ("im2col", "auto"):
        x = np.zeros((0, 3, 5, 6), "float32")
        y = nbc.conv_transpose2d(x, weight, bias, 2, algorithm=algorithm)
        assert y.shape == (0, 4, 11, 12)
        no_channels = nbc.conv_transpose2d(
            np.zeros((2, 0, 5, 6), "f4"), weight[:0], bias, 2, algorithm=algorithm
        )
        np.testing.assert_array_equal(
            no_channels, np.broadcast_to(bias.reshape(-1, 1, 1), (2, 4, 11, 12))
        )
        assert nbc.conv_transpose2d(
            np.zeros((2, 3, 5, 6), "f4"), weight[:, :0], algorithm=algorithm
        ).shape == (2, 0, 7, 7)
        x = noise(rng, (3, 5, 6), "float32")
        one = nbc.conv_transpose2d(x, weight, bias, 2, algorithm=algorithm)
        batch = nbc.conv_transpose2d(x[None], weight, bias, 2, algorithm=algorithm)
        np.testing.assert_array_equal(one, batch[0])


def test_geometry_is_that_of_the_adjoint():
    options = ConvOptions(ndim=2, stride=(2, 1), transposed=True, output_padding=(1, 0))
    geometry = ConvGeometry.parse(options, (1, 4, 5, 7), (4, 3, 3, 2))
    assert geometry.window.size == (12, 8)
    assert geometry.window.output == (5, 7)
    assert geometry.input_shape == (1, 3, 12, 8)
    assert geometry.output_shape == (1, 4, 5, 7)


def test_errors():
    x, weight = np.zeros((1, 2, 5, 6)), np.zeros((2, 3, 3, 3))
    with pytest.raises(ValueError, match=r"output_padding must be smaller .* got 2 with stride 2"):
        nbc.conv_transpose2d(x, weight, stride=2, output_padding=2)
    with pytest.raises(ValueError, match=r"empty along spatial axis 0, where x has 5: padding=4"):
        nbc.conv_transpose2d(x, weight, padding=4)
    with pytest.raises(ValueError, match="axis 0 must be the input channels, C = 2, got 3"):
        nbc.conv_transpose2d(x, np.zeros((3, 2, 3, 3)))
    with pytest.raises(ValueError, match="groups must divide"):
        nbc.conv_transpose2d(x, weight, groups=3)
    with pytest.raises(ValueError, match=r"bias must have shape \(6,\)"):
        nbc.conv_transpose2d(x, weight, np.zeros(3), groups=2)
    with pytest.raises(ValueError, match="takes no output_padding"):
        nbc.conv_transpose2d(x, weight, stride=2, padding="same", output_padding=1)
    with pytest.raises(ValueError, match="pass it or output_padding"):
        nbc.conv_transpose2d(x, weight, stride=2, output_padding=1, output_size=12)
    with pytest.raises(ValueError, match=r"weight must have 4 axes, \(C, O/groups, \*kernel\)"):
        nbc.conv_transpose2d(x, weight[0])
    with pytest.raises(TypeError, match="stride must be an int"):
        nbc.conv_transpose2d(x, weight, stride=2.0)
    with pytest.raises(ValueError, match="too large to address"):
        nbc.conv_transpose2d(x, weight, stride=2**30)
    with pytest.raises(ValueError, match="cannot run this problem"):
        nbc.conv_transpose2d(x, weight, algorithm="winograd")
    with pytest.raises(ValueError, match="grad_output must have the shape"):
        nbc.conv_transpose2d_input_grad(x.shape, weight, np.zeros((1, 3, 7, 9)))


@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_hidden_padding_meets_no_weight(ndim, dtype, layout):
    """An infinite weight reaches the results that its tap reaches, and no others."""
    rng = np.random.default_rng(0)
    up, grad_of = (getattr(nbc, f"conv{name}{ndim}d{end}")
                   for name, end in (("_transpose", ""), ("", "_input_grad")))  # fmt: skip
    for _ in range(20):
        kernel, stride, dilation, size = (
            tuple(int(n) for n in rng.integers(low, high, ndim))
            for low, high in ((1, 5), (1, 4), (1, 3), (3, 7))
        )
        x = rng.integers(1, 3, (2, 4, *size)).astype(dtype)
        weight = rng.integers(1, 3, (4, 3, *kernel)).astype(dtype)
        weight.flat[rng.integers(0, weight.size)] = rng.choice([np.inf, -np.inf, np.nan])
        if layout == "channels_last":
            x, weight = naive.channels_last(x), naive.weight_channels_last(weight)
        options = {"stride": stride, "dilation": dilation, "layout": layout}
        expected = up(x, weight, algorithm="im2col", **options)
        shape = expected.shape
        for algorithm in ("auto", "exact", "direct"):
            y = up(x, weight, algorithm=algorithm, **options)
            np.testing.assert_array_equal(y, expected)
            y = grad_of(shape, weight, x, algorithm=algorithm, **options)
            np.testing.assert_array_equal(y, expected)


def test_images_do_not_decide_for_each_other():
    """A NaN in the first image leaves the bits of the second alone."""
    rng = np.random.default_rng(0)
    x, weight = noise(rng, (2, 8, 9, 9), "f4"), noise(rng, (8, 8, 3, 3), "f4")
    alone = nbc.conv_transpose2d(x[1:], weight)
    x[0, 0, 0, 0] = np.nan
    np.testing.assert_array_equal(nbc.conv_transpose2d(x, weight)[1:], alone)


class TestPatchesAsRows:
    """The overlap-add of patches that lie one after another, where it is not the cheapest."""

    @pytest.fixture(autouse=True)
    def _chosen(self):
        nbc.release_memory()
        with mock.patch.object(product.Runs, "cost", return_value=0.0):
            yield
        nbc.release_memory()

    @pytest.mark.parametrize("parallel", [False, True])
    @pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int8"])
    @given(
        channels=st.integers(1, 40), length=st.integers(1, 150), taps=st.integers(1, 70),
        stride=st.integers(1, 90), low=st.integers(0, 20), high=st.integers(0, 20),
        more=st.integers(0, 3), batch=st.integers(1, 3),
    )  # fmt: skip
    def test_values(self, dtype, parallel, channels, length, taps, stride, low, high, more, batch):
        rng = np.random.default_rng(length)
        x = small_integers(rng, (batch, channels, length), dtype)
        weight = small_integers(rng, (channels, 1, taps), dtype)
        bias = small_integers(rng, (1,), dtype) if more else None
        more = min(more, stride - 1)
        if (length - 1) * stride + taps + more <= low + high:
            return
        keywords = {"stride": stride, "padding": [(low, high)], "output_padding": more}
        y = nbc.conv_transpose1d(x, weight, bias, **keywords, parallel=parallel)
        expected = naive.conv_transpose(x, weight, bias, (stride,), [(low, high)], (more,), (1,), 1)
        np.testing.assert_array_equal(y, expected)

    def test_long_signals(self, rng):
        """Several pieces of a result, and several passes over the images."""
        x = small_integers(rng, (5, 66, 3000), "f4")
        weight = small_integers(rng, (66, 1, 64), "f4")
        for stride in (16, 80):
            y = nbc.conv_transpose1d(x, weight, stride=stride)
            expected = nbc.conv_transpose1d(x, weight, stride=stride, algorithm="im2col")
            np.testing.assert_array_equal(y, expected)

    @pytest.mark.parametrize("with_bias", [False, True])
    def test_jitted_code_and_the_gradient_of_a_convolution(self, with_bias, rng):
        x, weight = small_integers(rng, (2, 9, 40), "f4"), small_integers(rng, (9, 1, 30), "f4")
        bias = small_integers(rng, (1,), "f4") if with_bias else None

        @numba.njit
        def jitted(x, weight, bias):
            return nbc.conv_transpose1d(x, weight, bias, 8, 3)

        expected = nbc.conv_transpose1d(x, weight, bias, 8, 3, algorithm="im2col")
        for _ in range(4):
            np.testing.assert_array_equal(jitted(x, weight, bias), expected)
            np.testing.assert_array_equal(nbc.conv_transpose1d(x, weight, bias, 8, 3), expected)
        found = nbc.conv1d_input_grad((2, 1, 336), weight, x, 8, 3)
        np.testing.assert_array_equal(
            found, nbc.conv1d_input_grad((2, 1, 336), weight, x, 8, 3, algorithm="im2col")
        )

    def test_when(self):
        options = ConvOptions(1, stride=8)
        for x, weight in (((2, 1, 336), (9, 1, 30)), ((2, 2, 336), (9, 2, 30))):
            geometry = ConvGeometry.parse(options, x, weight)
            plan = choice.resolve(geometry, np.dtype("f4"), "auto").plan
            assert isinstance(plan, product.Runs) == (x[1] == 1)
        dilated = ConvGeometry.parse(options._replace(dilation=2), (2, 1, 336), (9, 1, 30))
        assert not isinstance(choice.resolve(dilated, np.dtype("f4"), "auto").plan, product.Runs)
