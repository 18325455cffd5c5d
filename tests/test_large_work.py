"""Work that is cut into launches: the same results, and Ctrl-C between them."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import cases, noise, small_integers

import numbaconv as nbc
from benchmarks.interrupts import CALLS, interrupted
from numbaconv.host import convolution
from numbaconv.problem.options import ConvOptions
from numbaconv.running import call, strips


@pytest.fixture(autouse=True)
def no_plans():
    """Leave no plan of a small launch to other tests."""
    yield
    nbc.release_memory()


@settings(max_examples=40)
@given(
    cases(), st.integers(1, 3000), st.sampled_from(["im2col", "exact"]),
    st.sampled_from(["float32", "float16", "int32"]), st.booleans(),
)  # fmt: skip
def test_small_launches_make_the_same(case, flops, algorithm, dtype, last):
    rng = np.random.default_rng(0)
    algorithm = "exact" if dtype == "int32" else algorithm
    arrays = [small_integers(rng, s, dtype) for s in (case.x_shape, case.weight_shape)]
    bias = small_integers(rng, (case.outputs,), dtype)
    expected = case.naive(*arrays, bias)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(call, "_MOST_FLOPS", flops)
        nbc.release_memory()
        layout = "channels_last" if last else "channels_first"
        found = case.run(*arrays, bias, layout, algorithm=algorithm)
        np.testing.assert_array_equal(found, expected)
        out = np.full_like(found, 77)
        assert case.run(*arrays, bias, algorithm=algorithm, out=out) is not None
        np.testing.assert_array_equal(out, expected)
        layer = getattr(nbc, f"Conv{case.ndim}d")(
            arrays[1], bias, case.stride, case.padding, case.dilation, case.groups,
            padding_mode=case.mode, algorithm=algorithm,
        )  # fmt: skip
        np.testing.assert_array_equal(layer(arrays[0]), expected)


def test_strips_begin_where_winograds_tiles_do(monkeypatch):
    """Then the bits are those of the whole."""
    rng = np.random.default_rng(0)
    x, weight = noise(rng, (1, 16, 90, 40), "f4"), noise(rng, (16, 16, 3, 3), "f4")
    whole = nbc.conv2d(x, weight, padding=1, algorithm="winograd")
    monkeypatch.setattr(call, "_MOST_FLOPS", 1_500_000)
    nbc.release_memory()
    count = []
    run_parts = call.run_parts
    monkeypatch.setattr(call, "run_parts", lambda *a: count.append(1) or run_parts(*a))
    np.testing.assert_array_equal(nbc.conv2d(x, weight, padding=1, algorithm="winograd"), whole)
    assert len(count) > 2


def test_which_work_is_cut():
    def resolved(x_shape, dtype="float32"):
        kind = np.dtype(dtype)
        options = ConvOptions(ndim=2, padding=1)
        return convolution.resolve(options, (x_shape, kind), ((64, 64, 3, 3), kind))

    assert not isinstance(resolved((8, 64, 224, 224)).plan, strips.Plan)
    assert isinstance(resolved((1, 64, 6000, 6000)).plan, strips.Plan)
    assert call.images_at_once(resolved((8, 64, 224, 224)).geometry, np.dtype("f4")) > 4
    assert call.images_at_once(resolved((8, 64, 224, 224)).geometry, np.dtype("c16")) == 1
    assert call.images_at_once(resolved((1, 64, 6000, 6000)).geometry, np.dtype("f4")) == 1


def test_gradients_and_transposed_convolution(monkeypatch):
    rng = np.random.default_rng(0)
    x, weight = small_integers(rng, (5, 3, 9, 8), "f4"), small_integers(rng, (4, 3, 3, 2), "f4")
    grad = small_integers(rng, (5, 4, 7, 7), "f4")
    for algorithm in ("im2col", "exact"):
        expected = nbc.conv2d_backward(grad, x, weight, algorithm=algorithm)
        up = nbc.conv_transpose2d(grad, weight, algorithm=algorithm)
        with monkeypatch.context() as patch:
            patch.setattr(call, "_MOST_FLOPS", 30_000)
            found = nbc.conv2d_backward(grad, x, weight, algorithm=algorithm)
            np.testing.assert_array_equal(
                nbc.conv_transpose2d(grad, weight, algorithm=algorithm), up
            )
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_bits_do_not_depend_on_the_threads(monkeypatch):
    rng = np.random.default_rng(0)
    x, weight = noise(rng, (2, 8, 40, 40), "f4"), noise(rng, (8, 8, 3, 3), "f4")
    monkeypatch.setattr(call, "_MOST_FLOPS", 200_000)
    nbc.release_memory()
    one = nbc.conv2d(x, weight, padding=1, parallel=False)
    np.testing.assert_array_equal(nbc.conv2d(x, weight, padding=1), one)


def assert_ctrl_c_ends_it(name):
    """Interrupt a call that would take from ten seconds to a minute; the process goes on."""
    for _ in range(4):
        _, said = interrupted(name, after=2.0)
        if said == ["interrupted", "True"]:
            return
        # While it compiles, LLVM may swallow it: the next process finds more in the cache.
    raise AssertionError(said)


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("name", CALLS)
def test_ctrl_c_in_the_largest_calls(name):
    assert_ctrl_c_ends_it(name)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("name", ["max_pool2d, a batch", "conv2d_input_grad"])
def test_ctrl_c_in_a_long_run(name):
    assert_ctrl_c_ends_it(name)
