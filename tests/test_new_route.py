"""Adding an algorithm is a file (`toy_route`) and a line (in `numbaconv.routes.MODULES`)."""

import naive
import numpy as np
import pytest

import numbaconv as nbc
from numbaconv import routes


@pytest.fixture(autouse=True)
def the_line(monkeypatch):
    nbc.release_memory()  # whatever was chosen without it
    monkeypatch.setitem(routes.MODULES, "toy", "toy_route")
    yield
    nbc.release_memory()


def test_it_is_chosen_explained_and_run():
    rng = np.random.default_rng(0)
    x, weight = rng.integers(-9, 9, (2, 3, 20)), rng.integers(-9, 9, (4, 3, 5))
    bias = rng.integers(-9, 9, 4)
    window = {"stride": 2, "padding": 3, "dilation": 2}
    assert nbc.algorithms(x.shape, weight.shape, dtype=x.dtype, **window)[-1] == "toy"
    found = nbc.explain(x.shape, weight.shape, dtype=x.dtype, **window)
    assert found.algorithm == "toy"
    assert "the cheapest" in found.reason
    expected = naive.conv(x, weight, bias, (2,), ((3, 3),), (2,), 1, "zeros")
    for algorithm in ("auto", "exact", "toy"):
        options = {**window, "algorithm": algorithm}
        np.testing.assert_array_equal(nbc.conv1d(x, weight, bias, **options), expected)
        np.testing.assert_array_equal(nbc.Conv1d(weight, bias, **options)(x), expected)
    reflected = nbc.conv1d(x, weight, bias, padding_mode="reflect", **window)
    padded = naive.conv(x, weight, bias, (2,), ((3, 3),), (2,), 1, "reflect")
    np.testing.assert_array_equal(reflected, padded)
    assert "toy" in str(found)


def test_it_may_refuse():
    with pytest.raises(ValueError, match="algorithm='toy' cannot run this problem: the toy takes"):
        nbc.conv2d(np.ones((1, 1, 4, 4)), np.ones((1, 1, 2, 2)), algorithm="toy")
    assert "toy" not in nbc.algorithms((1, 1, 4, 4), (1, 1, 2, 2))


def test_without_the_line_there_is_none(monkeypatch):
    monkeypatch.delitem(routes.MODULES, "toy")
    with pytest.raises(ValueError, match="algorithm must be one of"):
        nbc.conv1d(np.ones((1, 1, 4)), np.ones((1, 1, 2)), algorithm="toy")
