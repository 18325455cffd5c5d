"""Conv1d, Conv2d, Conv3d, explain and algorithms."""

import concurrent.futures
import dataclasses
import pickle

import numba
import numpy as np
import pytest
from problems import CONVS, Case, noise, small_integers

import numbaconv as nbc

LAYERS = {1: nbc.Conv1d, 2: nbc.Conv2d, 3: nbc.Conv3d}
CASES = [
    Case(2, 3, 4, 1, (17,), (4,), (3,), ((2, 1),), (2,)),
    Case(2, 4, 6, 2, (9, 11), (3, 2), (2, 1), ((1, 0), (2, 3)), (1, 3)),
    Case(2, 4, 20, 1, (19, 21), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    Case(2, 2, 3, 1, (4, 5, 6), (2, 3, 2), (1, 2, 1), ((0, 1), (2, 0), (1, 1)), (2, 1, 3)),
]


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.mark.parametrize("dtype", ["float32", "int16", "complex64", "float16"])
@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
def test_a_layer_is_the_function(dtype, layout, parallel, rng):
    for case in CASES:
        x = small_integers(rng, case.x_shape, dtype)
        weight = small_integers(rng, case.weight_shape, dtype)
        bias = small_integers(rng, (case.outputs,), dtype)
        if layout == "channels_last":
            x = np.moveaxis(x, 1, -1)
            weight = np.moveaxis(weight, (0, 1), (-1, -2))
        keywords = {**case.window, "groups": case.groups, "layout": layout}
        layer = LAYERS[case.ndim](weight, bias, **keywords, algorithm="exact")
        expected = CONVS[case.ndim](x, weight, bias, **keywords, algorithm="exact")
        for _ in range(2):
            np.testing.assert_array_equal(layer(x, parallel=parallel), expected)
        np.testing.assert_array_equal(layer(x[0]), expected[0])
        out = np.empty_like(expected)
        assert layer(x, out=out) is out
        np.testing.assert_array_equal(out, expected)


def test_every_algorithm(rng):
    x, weight = noise(rng, (2, 3, 20, 22), "float32"), noise(rng, (5, 3, 3, 3), "float32")
    for name in nbc.algorithms(x.shape, weight.shape):
        layer = nbc.Conv2d(weight, algorithm=name)
        np.testing.assert_array_equal(layer(x), nbc.conv2d(x, weight, algorithm=name))
        np.testing.assert_array_equal(layer(x), layer(x))


def test_weights_are_copied_and_read_only():
    weight, bias = np.ones((2, 1, 3, 3)), np.ones(2)
    layer = nbc.Conv2d(weight, bias)
    weight[...] = bias[...] = 7
    assert layer(np.ones((1, 3, 3)))[0, 0, 0] == 10
    with pytest.raises(ValueError, match="read-only"):
        layer.weight[...] = 0
    with pytest.raises(ValueError, match="read-only"):
        layer.bias[...] = 0
    with pytest.raises(AttributeError, match="immutable"):
        layer.weight = weight
    with pytest.raises(AttributeError, match="immutable"):
        layer._options = {}


def test_arguments_are_copied():
    padding = [1, 1]
    layer = nbc.Conv2d(np.ones((1, 1, 3, 3)), padding=padding)
    padding[0] = 5
    assert layer(np.ones((1, 4, 4))).shape == (1, 4, 4)
    with pytest.raises(ValueError, match="WRITEABLE"):
        layer.weight.flags.writeable = True


def test_the_bias_is_rounded_to_each_results_dtype():
    weight, bias = np.ones((1, 1, 1, 1), np.float16), np.array([1000.1], np.float32)
    x = np.ones((1, 1, 4, 4), np.float32)
    layer = nbc.Conv2d(weight, bias)
    assert layer(x.astype(np.float16))[0, 0, 0, 0] == np.float16(1001)
    np.testing.assert_array_equal(layer(x), nbc.conv2d(x, weight, bias))


def test_pickling_leaves_packed_weights_behind(rng):
    weight = noise(rng, (64, 64, 3, 3), "float32")
    layer = nbc.Conv2d(weight, np.ones(64), padding=1, dtype="float32")
    x = noise(rng, (1, 64, 30, 30), "float32")
    expected = layer(x)
    sent = pickle.dumps(layer)
    assert len(sent) < weight.nbytes + 4096
    received = pickle.loads(sent)
    np.testing.assert_array_equal(received(x), expected)
    assert repr(received) == repr(layer)
    with pytest.raises(ValueError, match="read-only"):
        received.weight[...] = 0


def test_repr():
    layer = nbc.Conv2d(np.ones((8, 2, 3, 5)), np.ones(8), 2, "same", groups=2, algorithm="direct")
    assert repr(layer) == (
        "Conv2d(4 -> 8, kernel=3x5, stride=2, padding='same', groups=2, algorithm='direct', "
        "bias, float64)"
    )
    last = nbc.Conv1d(np.ones((3, 2, 5), "f4"), layout="channels_last", dtype="float64")
    assert repr(last) == (
        "Conv1d(2 -> 5, kernel=3, layout='channels_last', dtype=float64, float32)"
    )


def test_several_threads_share_a_layer(rng):
    layer = nbc.Conv2d(noise(rng, (40, 16, 3, 3), "float32"), padding=1)
    xs = [noise(rng, (1, 16, n, n + 3), "float32") for n in (9, 20, 33)]
    expected = [layer(x, parallel=False) for x in xs]
    fresh = pickle.loads(pickle.dumps(layer))
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda i: (i % 3, fresh(xs[i % 3])), range(60)))
    for i, y in results:
        np.testing.assert_array_equal(y, expected[i])


class TestErrors:
    def test_at_construction(self):
        with pytest.raises(ValueError, match="weight must have 4 axes"):
            nbc.Conv2d(np.ones((3, 3)))
        with pytest.raises(TypeError, match="array of numbers"):
            nbc.Conv2d(np.array(["a"]))
        weight = np.ones((2, 1, 3, 3))
        for keywords, error, says in (
            ({"algorithm": "nope"}, ValueError, "algorithm must be one of"),
            ({"stride": "x"}, TypeError, "stride must be an int"),
            ({"groups": 0}, ValueError, "groups must be from 1"),
            ({"padding": -1}, ValueError, "padding must be from 0"),
            ({"padding_mode": "zz"}, ValueError, "padding_mode must be one of"),
            ({"layout": 3}, TypeError, "layout must be one of"),
            ({"dtype": "O"}, TypeError, "dtype must be"),
            ({"bias": np.zeros(7)}, ValueError, "bias must have shape"),
        ):
            with pytest.raises(error, match=says):
                nbc.Conv2d(weight, **keywords)
        nbc.Conv2d(weight > 0, x_shape=(1, 1, 5, 5))
        with pytest.raises(ValueError, match="weight does not fit x_shape"):
            nbc.Conv2d(np.ones((1, 1, 3, 3)), x_shape=(1, 1, 2, 2))
        with pytest.raises(TypeError, match="x_shape must be a tuple"):
            nbc.Conv2d(np.ones((1, 1, 3, 3)), x_shape=5)
        with pytest.raises(ValueError, match="cannot run this problem"):
            nbc.Conv2d(np.ones((1, 1, 3, 3)), algorithm="winograd", x_shape=(1, 1, 5, 5))

    def test_at_the_call(self):
        layer = nbc.Conv2d(np.ones((1, 2, 3, 3)))
        with pytest.raises(ValueError, match="C/groups"):
            layer(np.ones((1, 3, 5, 5)))
        with pytest.raises(TypeError, match="parallel must be True or False"):
            layer(np.ones((1, 2, 5, 5)), parallel=1)
        with pytest.raises(ValueError, match="out must have shape"):
            layer(np.ones((1, 2, 5, 5)), out=np.ones((1, 1, 5, 5)))

    @pytest.mark.parametrize("value", [True, 1.0, np.float64(1), "1"])
    def test_what_equals_a_remembered_int_is_still_refused(self, value):
        x, weight = np.ones((1, 1, 5, 5)), np.ones((1, 1, 3, 3))
        nbc.conv2d(x, weight, stride=1, dilation=(1, 1), groups=1)
        with pytest.raises(TypeError, match="stride must be an int"):
            nbc.conv2d(x, weight, stride=value)
        with pytest.raises(TypeError, match="dilation must be an int"):
            nbc.conv2d(x, weight, dilation=(1, value))
        with pytest.raises(TypeError, match="groups must be an int"):
            nbc.conv2d(x, weight, groups=value)


def test_packed_ahead(rng):
    layer = nbc.Conv2d(noise(rng, (4, 3, 3, 3), "float32"), x_shape=(1, 3, 9, 9))
    assert len(layer._packed) == 1
    layer(np.ones((1, 3, 9, 9), np.float32))
    assert len(layer._packed) == 1


class TestExplain:
    def test_a_plan_says_what_runs(self):
        plan = nbc.explain((8, 64, 56, 56), (64, 64, 3, 3), padding=1, prepared=True)
        assert plan.output_shape == (8, 64, 56, 56)
        assert plan.flops == 2 * 8 * 64 * 56 * 56 * 64 * 9
        assert plan.algorithm == plan.candidates[0][0] == "winograd"
        assert [cost for _, cost in plan.candidates] == sorted(c for _, c in plan.candidates)
        assert plan.workspace_nbytes > 0
        assert plan.threads == numba.get_num_threads()
        text = str(plan)
        assert text.startswith("winograd: the cheapest with prepared weights")
        assert all(name in text for name, _ in plan.candidates)
        with pytest.raises(dataclasses.FrozenInstanceError):
            plan.algorithm = "direct"

    def test_a_choice_that_depends_on_the_batch_says_so(self):
        plan = nbc.explain((1, 512, 7, 7), (512, 512, 3, 3), padding=1)
        many = nbc.explain((64, 512, 7, 7), (512, 512, 3, 3), padding=1)
        assert (plan.algorithm, many.algorithm) == ("direct", "winograd")
        assert "a batch of 8 would take winograd" in str(plan)
        assert "a batch of 1 would take direct" in str(many)
        assert "a batch of" not in str(nbc.explain((1, 64, 56, 56), (64, 64, 1, 1)))

    def test_exact_chooses_among_those_that_sum_every_product(self):
        plan = nbc.explain((8, 64, 56, 56), (64, 64, 3, 3), padding=1, algorithm="exact")
        assert plan.algorithm == "direct"

    def test_the_number_of_threads_does_not_change_the_choice(self, threads_restored):
        problems = [
            ((n, c, s, s), (c, c, 3, 3)) for n in (1, 8) for c in (8, 64, 300) for s in (7, 14, 56)
        ]
        chosen = []
        for threads in (1, numba.config.NUMBA_NUM_THREADS):
            numba.set_num_threads(threads)
            nbc.release_memory()
            plans = [nbc.explain(x, w, padding=1) for x, w in problems]
            chosen.append([(plan.algorithm, plan.candidates) for plan in plans])
        assert chosen[0] == chosen[1]

    def test_algorithms_are_those_that_run(self):
        for x, w, keywords in (
            ((1, 4, 9, 9), (4, 1, 3, 3), {"groups": 4}),
            ((1, 4, 9), (4, 4, 3), {"dtype": "int8"}),
            ((1, 9, 9, 4), (3, 3, 4, 2), {"layout": "channels_last", "dtype": "complex64"}),
        ):
            names = nbc.algorithms(x, w, **keywords)
            assert names[0] == "im2col"
            dtype = keywords.pop("dtype", "float32")
            for name in ("im2col", "direct", "depthwise", "winograd", "fft"):
                arrays = np.ones(x, dtype), np.ones(w, dtype)
                convolve = CONVS[len(w) - 2]
                if name in names:
                    convolve(*arrays, algorithm=name, **keywords)
                else:
                    with pytest.raises(ValueError, match="cannot run"):
                        convolve(*arrays, algorithm=name, **keywords)

    def test_errors(self):
        with pytest.raises(TypeError, match="x_shape must be a tuple of ints"):
            nbc.explain(5, (1, 1, 3, 3))
        with pytest.raises(ValueError, match="3 to 5 entries"):
            nbc.explain((1, 5), (1, 3))
        with pytest.raises(TypeError, match="prepared must be True or False"):
            nbc.explain((1, 1, 5), (1, 1, 3), prepared=1)
        with pytest.raises(TypeError, match="dtype must be"):
            nbc.explain((1, 1, 5), (1, 1, 3), dtype="O")
