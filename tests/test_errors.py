"""Wrong arguments: the kind of error, the argument's name in it, at once and without allocating."""

import tracemalloc

import numpy as np
import pytest

import numbaconv as nbc

X = np.ones((2, 4, 6, 7), np.float32)
W = np.ones((6, 2, 3, 2), np.float32)
HUGE = 2**62

WRONG_VALUES = [
    ({"stride": 0}, "stride"),
    ({"stride": (1, -1)}, "stride"),
    ({"stride": HUGE}, "stride"),
    ({"stride": (1, 1, 1)}, "stride"),
    ({"stride": ()}, "stride"),
    ({"dilation": 0}, "dilation"),
    ({"dilation": HUGE}, "dilation"),
    ({"dilation": 2**31 - 1}, "kernel"),
    ({"padding": -1}, "padding"),
    ({"padding": (0, -1)}, "padding"),
    ({"padding": ((0, 0), (0, -1))}, "padding"),
    ({"padding": ((0, 0),)}, "padding"),
    ({"padding": ((0, 0, 0), (0, 0, 0))}, "padding"),
    ({"padding": HUGE}, "padding"),
    ({"padding": 2**31 - 1}, "too large to address"),
    ({"padding": "full"}, "padding"),
    ({"padding_mode": "wrap"}, "padding_mode"),
    ({"groups": 3}, "groups"),
    ({"groups": 0}, "groups"),
    ({"groups": HUGE}, "groups"),
    ({"groups": 1}, "weight"),
    ({"layout": "NCHW"}, "layout"),
    ({"algorithm": "fastest"}, "algorithm"),
    ({"bias": np.ones(5)}, "bias"),
    ({"bias": np.ones((6, 1))}, "bias"),
    ({"out": np.empty((2, 6, 4, 5), np.float32)}, "out"),
    ({"x": X[0, 0]}, "x"),
    ({"x": X[None]}, "x"),
    ({"weight": W[0]}, "weight"),
    ({"weight": np.ones((6, 2, 0, 2))}, "weight"),
    ({"weight": np.ones((6, 2, 7, 2))}, "weight does not fit x"),
    ({"x": np.ones((2, 4, 0, 7)), "padding": 3, "padding_mode": "circular"}, "padding_mode"),
]

WRONG_KINDS = [
    ({"stride": 1.0}, "stride"),
    ({"stride": "1"}, "stride"),
    ({"stride": True}, "stride"),
    ({"stride": None}, "stride"),
    ({"stride": (1, 2.0)}, "stride"),
    ({"padding": 0.5}, "padding"),
    ({"padding": None}, "padding"),
    ({"padding": ((0, 0), (0, 1.5))}, "padding"),
    ({"padding": float("nan")}, "padding"),
    ({"dilation": np.float32(1)}, "dilation"),
    ({"groups": 2.0}, "groups"),
    ({"groups": (2,)}, "groups"),
    ({"layout": None}, "layout"),
    ({"padding_mode": 0}, "padding_mode"),
    ({"algorithm": None}, "algorithm"),
    ({"parallel": 1}, "parallel"),
    ({"dtype": "float33"}, "dtype"),
    ({"dtype": bool}, "dtype"),
    ({"dtype": "\ud800"}, "dtype"),
    ({"dtype": {"names": ["a"], "formats": []}}, "dtype"),
    ({"x": X.astype(np.longdouble)}, "dtype of x"),
    ({"x": X.astype(object)}, "x must be an array of numbers"),
    ({"x": X.astype("S4")}, "x"),
    ({"x": None}, "x"),
    ({"bias": "bias"}, "bias"),
    ({"bias": np.ones(6, complex)}, "bias"),
    ({"out": [[1.0]]}, "out"),
    ({"out": np.empty((2, 6, 4, 6))}, "out"),
]


def call(changes):
    arguments = {"x": X, "weight": W, "groups": 2} | changes
    return nbc.conv2d(arguments.pop("x"), arguments.pop("weight"), **arguments)


def test_the_call_is_right_without_changes():
    assert call({}).shape == (2, 6, 4, 6)


@pytest.mark.parametrize(("changes", "name"), WRONG_VALUES)
def test_wrong_values(changes, name):
    with pytest.raises(ValueError, match=name):
        call(changes)


@pytest.mark.parametrize(("changes", "name"), WRONG_KINDS)
def test_wrong_kinds(changes, name):
    with pytest.raises(TypeError, match=name):
        call(changes)


@pytest.mark.parametrize("name", ["stride", "padding", "dilation"])
@pytest.mark.parametrize("value", [HUGE, -HUGE, 2**100, 0.5, "x", None, [], [[]]])
@pytest.mark.parametrize("function", ["conv", "im2col", "col2im"])
def test_nothing_is_allocated_first(name, value, function):
    calls = {
        "conv": lambda: call({name: value}),
        "im2col": lambda: nbc.im2col(X, 3, **{name: value}),
        "col2im": lambda: nbc.col2im(np.ones((1, 4, 4)), (3, 3), 2, **{name: value}),
    }
    tracemalloc.start()
    try:
        with pytest.raises((TypeError, ValueError), match=name):
            calls[function]()
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_what_cannot_be_allocated_is_a_memory_error():
    with pytest.raises(MemoryError):
        nbc.conv1d(np.ones((1, 1, 3)), np.ones((2**20, 1, 3)), padding=2**28)


def test_read_only_out():
    out = np.empty((2, 6, 4, 6), np.float32)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="out must be writeable"):
        call({"out": out})


def test_a_subclass_cannot_lie_about_its_shape():
    class Liar(np.ndarray):
        @property
        def shape(self):
            return (2, 6, 4, 6)

    memory = np.full(400, 7, np.float32)
    with pytest.raises(ValueError, match=r"out must have shape \(2, 6, 4, 6\), got \(1, 1, 1, 4\)"):
        call({"out": memory[:4].reshape(1, 1, 1, 4).view(Liar)})
    np.testing.assert_array_equal(memory, np.full(400, 7))


def test_out_of_a_subclass_is_returned_as_it_is():
    class Own(np.ndarray):
        pass

    out = np.zeros((2, 6, 4, 6), np.float32).view(Own)
    assert call({"out": out}) is out
    np.testing.assert_array_equal(np.asarray(out), call({}))


def test_messages_say_what_was_passed_and_expected():
    with pytest.raises(
        ValueError, match=r"weight of shape \(6, 2, 3, 2\) .* x of .* groups=1 .* = 4, got 2"
    ):
        call({"groups": 1})
    with pytest.raises(
        ValueError, match=r"axis 0 a kernel of 3 with dilation 9 spans 19, but x has 6"
    ):
        call({"dilation": 9})
    with pytest.raises(ValueError, match=r"out must have shape \(2, 6, 4, 6\), got \(2, 6, 4, 5\)"):
        call({"out": np.empty((2, 6, 4, 5), np.float32)})


def test_an_error_leaves_out_alone():
    out = np.full((2, 6, 4, 6), 7, np.float32)
    with pytest.raises(TypeError):
        call({"out": out, "stride": 1.5})
    np.testing.assert_array_equal(out, np.full(out.shape, 7))
