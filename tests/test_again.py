"""Small convolutions by the functions, which launch again what an earlier call recorded."""

import math
import threading
from unittest import mock

import naive
import numba
import numpy as np
import pytest

import numbaconv as nbc
from numbaconv.adjoint import product
from numbaconv.api import again
from numbaconv.kernels import held
from numbaconv.nopython import replay

PROBLEMS = {
    "one pixel": ((1, 8, 5, 5), (6, 8, 1, 1), {}),
    "padded": ((2, 3, 9, 7), (4, 3, 3, 2), {"padding": (1, 2), "stride": (2, 1)}),
    "depthwise": ((1, 6, 8, 9), (6, 1, 3, 3), {"groups": 6, "padding": 1}),
    "dilated": ((2, 4, 12, 11), (5, 4, 3, 3), {"dilation": (3, 2), "padding": (4, 1)}),
    "grouped": ((1, 8, 7, 6), (6, 4, 2, 3), {"groups": 2}),
}


WEIGHTS = np.random.default_rng(3).integers(-3, 4, (6, 16, 3, 3))


@pytest.fixture(autouse=True)
def _recorded_soon(monkeypatch):
    """Let the second call be recorded: the first one compiles, and fills tables."""
    monkeypatch.setattr(replay, "RECORDED", (2, 100))


def recorded():
    """Return what was recorded of functions' calls."""
    calls = [value for value in held._entries.values() if isinstance(value, again._Calls)]
    return [one.replay for one in calls if one.replay is not None]


def draw(rng, shape, dtype="float32"):
    return rng.integers(-3, 4, shape).astype(dtype)


@pytest.fixture
def rng():
    nbc.release_memory()
    return np.random.default_rng(11)


def expected_of(x, weight, bias, stride=1, padding=0, dilation=1, groups=1):
    pair = [v if isinstance(v, tuple) else (v, v) for v in (stride, padding, dilation)]
    return naive.conv(x, weight, bias, pair[0], [(p, p) for p in pair[1]], pair[2], groups)


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8", "complex64", "float16"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_other_values_in_every_call(name, dtype, with_bias, rng):
    x_shape, weight_shape, keywords = PROBLEMS[name]
    results = []
    for _ in range(5):
        x, weight = draw(rng, x_shape, dtype), draw(rng, weight_shape, dtype)
        bias = draw(rng, weight_shape[0], dtype) if with_bias else None
        y = nbc.conv2d(x, weight, bias, **keywords)
        np.testing.assert_array_equal(y, expected_of(x, weight, bias, **keywords))
        assert y.dtype == dtype
        results.append((y, y.copy()))
    for y, when_returned in results:
        np.testing.assert_array_equal(y, when_returned)
    assert bool(recorded()) == (dtype not in ("complex64", "float16", "uint8")), dtype


@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 1}])
def test_transposed_and_other_dimensions(options, rng):
    for function, x_shape, weight_shape in (
        (nbc.conv1d, (2, 3, 12), (4, 3, 3)),
        (nbc.conv3d, (1, 2, 5, 6, 4), (3, 2, 3, 3, 2)),
        (nbc.conv_transpose2d, (1, 3, 6, 5), (3, 2, 3, 3)),
    ):
        for _ in range(4):
            x, weight = draw(rng, x_shape), draw(rng, weight_shape)
            expected = function(x, weight, algorithm="im2col", **options)
            np.testing.assert_array_equal(function(x, weight, **options), expected)
    assert recorded()


def test_weights_that_are_not_finite(rng):
    x_shape, weight_shape, keywords = PROBLEMS["padded"]
    x, weight = draw(rng, x_shape), draw(rng, weight_shape)
    for value in (1, 1, 1, np.inf, 1, np.nan, 1):
        weight[1, 2, 0, 0] = value
        with np.errstate(invalid="ignore"):
            expected = nbc.conv2d(x, weight, algorithm="im2col", **keywords)
            np.testing.assert_array_equal(nbc.conv2d(x, weight, **keywords), expected)
    assert recorded()


def test_options_that_only_equal_others(rng):
    x, weight = draw(rng, (1, 2, 8, 8)), draw(rng, (3, 2, 3, 3))
    for _ in range(3):
        nbc.conv2d(x, weight, stride=1)
    assert recorded()
    for wrong in (1.0, True):
        with pytest.raises(TypeError, match="stride"):
            nbc.conv2d(x, weight, stride=wrong)
    with pytest.raises(TypeError, match="parallel"):
        nbc.conv2d(x, weight, parallel="yes")
    np.testing.assert_array_equal(nbc.conv2d(x, weight, stride=[1, 1]), nbc.conv2d(x, weight))
    np.testing.assert_array_equal(nbc.conv2d(x, weight, dtype="f4"), nbc.conv2d(x, weight))


def test_arrays_that_go_the_long_way(rng):
    x, weight, bias = draw(rng, (1, 8, 6, 6)), draw(rng, (4, 8, 1, 1)), draw(rng, 4)
    for _ in range(3):
        expected = nbc.conv2d(x, weight, bias)
    assert recorded()
    frozen = weight.copy()
    frozen.flags.writeable = False
    for kernels in (frozen, np.asfortranarray(weight), weight[::-1][::-1], weight.tolist()):
        np.testing.assert_array_equal(nbc.conv2d(x, kernels, bias), expected)
    np.testing.assert_array_equal(nbc.conv2d(x, weight, bias.tolist()), expected)
    out = np.empty_like(expected)
    assert nbc.conv2d(x, weight, bias, out=out) is out
    np.testing.assert_array_equal(out, expected)
    same = draw(rng, (4, 4, 1, 1))
    for _ in range(4):  # one array as all three
        nbc.conv2d(same, same)


def test_threads(rng):
    x, weight = draw(rng, (4, 16, 24, 24)), draw(rng, (16, 16, 3, 3))
    expected = nbc.conv2d(x, weight, algorithm="im2col")
    before = numba.get_num_threads()
    try:
        for count in (1, before, 1, before):
            numba.set_num_threads(count)
            for _ in range(3):
                np.testing.assert_array_equal(nbc.conv2d(x, weight, algorithm="exact"), expected)
    finally:
        numba.set_num_threads(before)
    small, kernel = draw(rng, (1, 8, 6, 6)), draw(rng, (4, 8, 1, 1))
    wanted, wrong = nbc.conv2d(small, kernel), []

    def work():
        wrong.extend(1 for _ in range(300) if not np.array_equal(nbc.conv2d(small, kernel), wanted))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_memory_is_given_back(rng):
    x, weight = draw(rng, (1, 8, 6, 6)), draw(rng, (4, 8, 1, 1))
    for _ in range(3):
        expected = nbc.conv2d(x, weight)
    assert recorded()
    nbc.release_memory()
    assert not recorded()
    for _ in range(3):
        np.testing.assert_array_equal(nbc.conv2d(x, weight), expected)
    assert recorded()


@pytest.mark.parametrize(
    ("weight_shape", "stride", "dilation"),
    [((9, 6, 3, 3), 2, 1), ((9, 6, 3, 3), 1, 4), ((20, 17, 4, 4), 2, 1), ((9, 1, 5, 5), 3, 1)],
)
def test_transposed_ones_whose_weights_are_swept(weight_shape, stride, dilation, rng):
    """Phases get their weights from one reading of all: into one piece of memory, by launches."""
    keywords = {"stride": stride, "dilation": dilation}
    with mock.patch.object(product.Columns, "cost", return_value=math.inf):
        for _ in range(4):
            x, weight = draw(rng, (2, weight_shape[0], 7, 6)), draw(rng, weight_shape)
            expected = nbc.conv_transpose2d(x, weight, algorithm="im2col", **keywords)
            found = nbc.conv_transpose2d(x, weight, algorithm="exact", **keywords)
            np.testing.assert_array_equal(found, expected)
    assert recorded()
    nbc.release_memory()


def test_the_first_calls_are_not_recorded(rng, monkeypatch):
    monkeypatch.undo()
    x, weight = draw(rng, (1, 8, 6, 6)), draw(rng, (4, 8, 1, 1))
    layer = nbc.Conv2d(weight)
    for number in range(1, replay.RECORDED[0] + 2):
        nbc.conv2d(x, weight)
        layer(x)
        assert bool(recorded()) == bool(layer._replays) == (number >= replay.RECORDED[0])


#: By what they are of.
CALLS = {
    "max": lambda x: nbc.max_pool2d(x, 2),
    "max and places": lambda x: nbc.max_pool2d(x, 3, 2, 1, return_indices=True),
    "mean": lambda x: nbc.avg_pool2d(x, (3, 2), 1),
    "mean of boxes": lambda x: nbc.avg_pool2d(x, 5),
    "of a signal": lambda x: nbc.avg_pool1d(x.reshape(6, -1), 4, 3),
    "mean, backward": lambda x: nbc.avg_pool2d_backward(x, (2, 3, 40, 50), 4),
    "overlapping mean, backward": lambda x: nbc.avg_pool2d_backward(x, (2, 3, 12, 14), 3, 1),
    "adaptive mean": lambda x: nbc.adaptive_avg_pool2d(x, (3, None)),
    "adaptive maximum": lambda x: nbc.adaptive_max_pool2d(x, (4, 5), return_indices=True),
    "adaptive mean, backward": lambda x: nbc.adaptive_avg_pool2d_backward(x, (2, 3, 16, 15)),
    "of weights, by rows": lambda x: nbc.conv2d_weight_grad(
        x[:, :1].copy(), (3, 1, 3, 2), np.ascontiguousarray(x[:, :, 2:, 1:])
    ),
    "of weights": lambda x: nbc.conv2d_weight_grad(
        x.reshape(1, 6, 10, 12),
        (12, 6, 3, 3),
        np.tile(x.reshape(1, 6, 10, 12), (1, 2, 1, 1)),
        padding=1,
    ),
    "of the input": lambda x: nbc.conv2d_input_grad(
        (1, 16, 10, 12), WEIGHTS.astype(x.dtype), x.reshape(1, 6, 10, 12), padding=1
    ),
}


class TestOtherFunctions:
    """Gradients and pools, which are recorded as convolutions are."""

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("name", CALLS)
    def test_other_values_in_every_call(self, name, dtype, rng):
        call = CALLS[name]
        images = [draw(rng, (2, 3, 10, 12), dtype) for _ in range(5)]
        found = [call(x) for x in images]
        assert recorded() or (name, dtype) == ("of the input", "float64")  # which goes another way
        nbc.release_memory()
        with mock.patch.object(replay, "RECORDED", ()):
            for x, made in zip(images, found, strict=True):
                for one, other in zip(_tuple(made), _tuple(call(x)), strict=True):
                    np.testing.assert_array_equal(one, other)

    def test_infinite_gradients_are_refused_then(self, rng):
        x, grad = draw(rng, (1, 12, 9, 9)), draw(rng, (1, 16, 9, 9))
        for _ in range(4):
            nbc.conv2d_weight_grad(x, (16, 12, 3, 3), grad, padding=1)
        assert recorded()
        grad[0, 3, 0, 0] = np.inf
        found = nbc.conv2d_weight_grad(x, (16, 12, 3, 3), grad, padding=1)
        expected = nbc.conv2d_weight_grad(x, (16, 12, 3, 3), grad, padding=1, algorithm="im2col")
        np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
        assert np.isnan(found[3]).any()
        assert np.isfinite(found[:3]).all()

    def test_wrong_places_are_refused_ever_after(self, rng):
        values = draw(rng, (1, 2, 3, 4))
        places = np.arange(24).reshape(1, 2, 3, 4) % 12
        for _ in range(4):
            nbc.max_pool2d_backward(values, places, (1, 2, 3, 4))
        assert recorded()
        places[0, 1, 2, 3] = 12
        with pytest.raises(ValueError, match="indices"):
            nbc.max_pool2d_backward(values, places, (1, 2, 3, 4))

    def test_what_equals_a_number_is_refused_ever_after(self, rng):
        x = draw(rng, (1, 2, 8, 8))
        for _ in range(4):
            nbc.max_pool2d(x, 2, ceil_mode=False, return_indices=True)
        assert recorded()
        for wrong in ({"ceil_mode": 0}, {"return_indices": 1}, {"stride": 2.0}):
            with pytest.raises(TypeError):
                nbc.max_pool2d(x, 2, **{"return_indices": True} | wrong)


def _tuple(made):
    return made if isinstance(made, tuple) else (made,)
