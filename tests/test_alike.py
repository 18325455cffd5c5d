"""Images of one channel with channels last: the same memory, and the same bits, as with first."""

import naive
import numba
import numpy as np
import pytest
from problems import AWKWARD, small_integers

import numbaconv as nbc
from numbaconv.problem.geometry import ConvGeometry, Window
from numbaconv.running import alike

FUNCTIONS = {1: nbc.conv1d, 2: nbc.conv2d, 3: nbc.conv3d}
SIZES, KERNELS = (21, 17, 9), (3, 5, 3)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def problem(ndim, rng, dtype=np.float32):
    x = small_integers(rng, (3, *SIZES[:ndim]), dtype)
    weight = small_integers(rng, KERNELS[:ndim], dtype)
    return (
        x,
        weight,
        np.array([3], dtype),
        {"stride": (2, 1, 1)[:ndim], "padding": (1, 2, 0)[:ndim]},
    )


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("mode", ["zeros", "reflect"])
@pytest.mark.parametrize("algorithm", ["auto", "im2col", "direct", "depthwise", "fft"])
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_values(ndim, algorithm, mode, parallel, rng):
    x, weight, bias, window = problem(ndim, rng)
    keywords = {**window, "padding_mode": mode, "algorithm": algorithm, "parallel": parallel}
    convolve = FUNCTIONS[ndim]
    y = convolve(
        x[..., None], weight[..., None, None], bias, **keywords, layout="channels_last"
    )  # fmt: skip
    first = convolve(x[:, None], weight[None, None], bias, **keywords)
    np.testing.assert_array_equal(y[..., 0], first[:, 0])
    if algorithm != "fft":
        pads = [(p, p) for p in window["padding"]]
        ones = (1,) * ndim
        expected = naive.conv(
            x[:, None], weight[None, None], bias, window["stride"], pads, ones, 1, mode
        )
        np.testing.assert_array_equal(y[..., 0], expected[:, 0])


@pytest.mark.parametrize("name", sorted(AWKWARD))
def test_awkward_arrays(name, rng):
    x, weight, bias, window = problem(2, rng)
    plain = nbc.conv2d(x[:, None], weight[None, None], bias, **window)
    hold = AWKWARD[name]
    keywords = {**window, "layout": "channels_last"}
    y = nbc.conv2d(hold(x[..., None]), hold(weight[..., None, None]), hold(bias), **keywords)
    np.testing.assert_array_equal(y[..., 0], plain[:, 0])
    out = np.full((*y.shape[:-1], 3), 7, y.dtype)
    given = nbc.conv2d(x[..., None], weight[..., None, None], bias, **keywords, out=out[..., 1:2])
    np.testing.assert_array_equal(given[..., 0], plain[:, 0])
    assert (out[..., ::2] == 7).all()


@pytest.mark.parametrize("dtype", ["float64", "int32", "complex64", "float16"])
def test_dtypes(dtype, rng):
    x, weight, bias, window = problem(2, rng, np.dtype(dtype))
    y = nbc.conv2d(
        x[..., None], weight[..., None, None], bias, **window, layout="channels_last"
    )  # fmt: skip
    expected = nbc.conv2d(x[:, None], weight[None, None], bias, **window)
    np.testing.assert_array_equal(y[..., 0], expected[:, 0])


def test_layers_and_jitted_code(rng):
    x, weight, _, window = problem(2, rng)
    last, kernel = np.ascontiguousarray(x[..., None]), weight[..., None, None].copy()
    expected = nbc.conv2d(x[:, None], weight[None, None], **window)[:, 0]
    layer = nbc.Conv2d(kernel, **window, layout="channels_last")

    @numba.njit
    def jitted(x, weight):
        return nbc.conv2d(x, weight, None, (2, 1), (1, 2), layout="channels_last")

    for _ in range(4):
        np.testing.assert_array_equal(layer(last)[..., 0], expected)
        np.testing.assert_array_equal(layer(last[0])[..., 0], expected[0])
        np.testing.assert_array_equal(jitted(last, kernel)[..., 0], expected)


def test_which_problems():
    window = Window((5, 6), (3, 3), (1, 1), (1, 1), ((1, 1), (0, 0)))
    one = ConvGeometry(2, 1, 1, 1, window, True)
    assert not alike.with_channels_first(one).channels_last
    for channels, outputs, groups in ((1, 2, 1), (2, 1, 1), (2, 2, 2)):
        geometry = ConvGeometry(2, channels, outputs, groups, window, True)
        assert alike.with_channels_first(geometry) is geometry


@pytest.mark.parametrize("algorithm", ["auto", "im2col", "direct"])
@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kernel", [(1, 3, 3), (3, 1, 1), (2, 2, 2)])
def test_images_that_are_nothing_but_padding(kernel, channels, layout, algorithm):
    """Of which there are results: those of problems over fewer axes, or of another layout, too."""
    weight = np.ones((channels, channels, *kernel), np.float32)
    padding = tuple(int(k > 1) * 2 for k in kernel)
    # An axis of no elements, among those that the kernel slides along.
    size = tuple(0 if p and all(q == 0 for q in padding[:a]) else 4 for a, p in enumerate(padding))
    x = np.ones((2, channels, *size), np.float32)
    if layout == "channels_last":
        x, weight = naive.channels_last(x), naive.weight_channels_last(weight)
    bias = np.arange(3, 3 + channels, dtype=np.float32)
    y = nbc.conv3d(x, weight, bias, padding=padding, layout=layout, algorithm=algorithm)
    last = y if layout == "channels_last" else naive.channels_last(y)
    assert last.size
    np.testing.assert_array_equal(last, np.broadcast_to(bias, last.shape))
