"""Layers' calls that are launched again without their way through Python."""

import gc
import itertools
import os
import pickle
import threading
import weakref

import naive
import numba
import numpy as np
import pytest

import numbaconv as nbc
from numbaconv.kernels import recording
from numbaconv.nopython import replay, runtime

PROBLEMS = [
    # (kind, x, weight, options)
    ("Conv2d", (1, 8, 16, 16), (8, 8, 1, 1), {}),
    ("Conv2d", (2, 3, 9, 11), (5, 3, 3, 2), {"padding": ((1, 2), (0, 1)), "stride": (2, 1)}),
    ("Conv2d", (1, 64, 1, 1), (256, 64, 1, 1), {}),
    ("Conv2d", (1, 512, 1, 1), (128, 512, 1, 1), {}),
    ("Conv2d", (1, 6, 12, 7), (6, 1, 3, 3), {"groups": 6, "padding": 1}),
    ("Conv2d", (3, 16, 40, 40), (32, 16, 3, 3), {"padding": 1}),
    ("Conv2d", (1, 32, 30, 28), (32, 32, 3, 3), {"padding": 1, "algorithm": "winograd"}),
    ("Conv2d", (1, 4, 20, 20), (6, 4, 5, 5), {"algorithm": "im2col"}),
    ("Conv1d", (2, 3, 50), (4, 3, 5), {"dilation": 2}),
    ("Conv3d", (1, 2, 5, 6, 7), (3, 2, 2, 3, 2), {}),
]


@pytest.fixture(autouse=True)
def _recorded_soon(monkeypatch):
    """Let the second call be recorded: the first one compiles, and fills tables."""
    monkeypatch.setattr(replay, "RECORDED", (2, 100))


def layer_and_input(kind, shape, weight, options, dtype="float32"):
    rng = np.random.default_rng(1)
    bias = rng.integers(-3, 4, weight[0]).astype(dtype)
    weights = rng.integers(-3, 4, weight).astype(dtype)
    return (
        getattr(nbc, kind)(weights, bias, **options),
        rng,
        lambda: rng.integers(-3, 4, shape).astype(dtype),
    )


def replays(layer):
    return list(layer._replays.values())


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: f"{p[0]}-{p[1]}")
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_the_same_results(problem, dtype):
    if problem[3].get("algorithm") == "winograd" and dtype != "float32":
        pytest.skip("winograd computes in float32")
    layer, _, draw = layer_and_input(*problem, dtype=dtype)
    results = []
    for _ in range(5):
        x = draw()
        y = layer(x)
        np.testing.assert_array_equal(y, layer(x, parallel=False))
        assert y.flags.writeable
        results.append((y, y.copy()))
    # Each is in memory of its own, which no later call writes to.
    for y, when_returned in results:
        np.testing.assert_array_equal(y, when_returned)
    assert not any(np.may_share_memory(a[0], b[0]) for a, b in itertools.combinations(results, 2))


def test_what_is_replayed():
    for problem in PROBLEMS:
        layer, _, draw = layer_and_input(*problem)
        for _ in range(3):
            layer(draw())
        assert bool(replays(layer)) == (problem[3].get("algorithm") != "im2col"), problem


def test_against_the_oracle():
    layer, _, draw = layer_and_input(*PROBLEMS[1])
    for _ in range(4):
        x = draw()
        expected = naive.conv(x, layer.weight, layer.bias, (2, 1), ((1, 2), (0, 1)), (1, 1), 1)
        np.testing.assert_array_equal(layer(x), expected)
    assert replays(layer)


def test_other_arrays_of_the_same_shape():
    """What is not contiguous, writeable and aligned goes the long way."""
    layer, _, draw = layer_and_input(*PROBLEMS[0])
    x = draw()
    expected = layer(x)
    layer(x)
    assert replays(layer)
    wide = np.zeros((1, 8, 16, 32), "float32")
    wide[..., ::2] = x
    frozen = x.copy()
    frozen.flags.writeable = False
    odd = np.zeros(x.nbytes + 1, "u1")[1:].view("float32").reshape(x.shape)
    odd[...] = x
    swapped = x.astype(">f4")
    for other in (wide[..., ::2], frozen, odd, swapped, np.asfortranarray(x), x.tolist()):
        np.testing.assert_array_equal(layer(other), expected)
    out = np.empty_like(expected)
    assert layer(x, out=out) is out
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("index", [0, 5])
def test_numbers_of_threads(index):
    layer, _, draw = layer_and_input(*PROBLEMS[index])
    x = draw()
    expected = layer(x)
    before = numba.get_num_threads()
    try:
        for count in (1, numba.config.NUMBA_NUM_THREADS, 1):
            numba.set_num_threads(count)
            for _ in range(3):
                np.testing.assert_array_equal(layer(x), expected)
    finally:
        numba.set_num_threads(before)


def test_from_several_threads():
    layer, _, draw = layer_and_input(*PROBLEMS[0])
    inputs = [draw() for _ in range(4)]
    expected = [layer(x) for x in inputs]
    wrong = []

    def work(k):
        same = (np.array_equal(layer(inputs[k]), expected[k]) for _ in range(300))
        wrong.extend(k for good in same if not good)

    workers = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_several_shapes_and_forgotten_plans():
    layer, _, _ = layer_and_input(*PROBLEMS[0])
    for _ in range(4):
        for size in range(3, 12):
            x = np.full((1, 8, size, size + 1), size, "float32")
            np.testing.assert_array_equal(layer(x), nbc.conv2d(x, layer.weight, layer.bias))
        nbc.release_memory()


def test_copies_of_a_layer():
    layer, _, draw = layer_and_input(*PROBLEMS[0])
    x = draw()
    expected = [layer(x) for _ in range(3)].pop()
    again = pickle.loads(pickle.dumps(layer))
    del layer
    nbc.release_memory()
    for _ in range(3):
        np.testing.assert_array_equal(again(x), expected)


def test_what_is_held_of_a_layer():
    """Weights live as long as their layer, and do not count as what is held between calls."""
    weight = np.ones((256, 256, 3, 3), "float32")
    nbc.release_memory()
    before = nbc.memory().total
    gone = []
    for _ in range(3):
        layer = nbc.Conv2d(weight, padding=1)
        for _ in range(4):
            layer(np.ones((1, 256, 9, 9), "float32"))
        assert replays(layer)
        gone.append(weakref.ref(layer._packed[next(iter(layer._packed))].weight))
        assert nbc.memory().total - before < weight.nbytes
    del layer
    gc.collect()
    assert [one() for one in gone] == [None] * 3


def test_borrowed_memory_is_given_back():
    for problem in PROBLEMS[:5]:
        layer, _, draw = layer_and_input(*problem)
        for _ in range(4):
            layer(draw())
    assert runtime.held_nbytes() > 0
    nbc.release_memory()
    assert runtime.held_nbytes() == 0


def test_while_others_are_recorded():
    """A recording must not miss what a layer launches."""
    layer, _, draw = layer_and_input(*PROBLEMS[0])
    x = draw()
    for _ in range(3):
        layer(x)
    with recording.recording() as recorder:
        layer(x)
    assert recorder.launches


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("index", [0, 5])
def test_in_a_forked_child(index):
    layer, _, draw = layer_and_input(*PROBLEMS[index])
    x = draw()
    expected = [layer(x) for _ in range(3)].pop()
    child = os.fork()
    if child == 0:
        good = all(np.array_equal(layer(x), expected) for _ in range(3))
        os._exit(0 if good else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
