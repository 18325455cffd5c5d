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
        nbc.conv1d(np.ones((1, 1, 3)), np.ones((2**12, 1, 3)), padding=2**28)


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


MASKED = np.ma.masked_array(X, X > 2)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda m: nbc.conv2d(m, W, groups=2), "x"),
        (lambda m: nbc.conv2d([m[0], m[1]], W, groups=2), "x"),
        (lambda m: nbc.conv2d(X, np.ma.masked_array(W), groups=2), "weight"),
        (lambda m: nbc.conv2d(X, W, np.ma.ones(6), groups=2), "bias"),
        (lambda m: nbc.conv2d(X, W, groups=2, out=np.ma.zeros((2, 6, 4, 6), "f4")), "out"),
        (lambda m: nbc.Conv2d(W, groups=2)(m), "x"),
        (lambda m: nbc.im2col(m, 2), "x"),
        (lambda m: nbc.col2im(np.ma.ones((4, 30)), (6, 7), (2, 2)), "cols"),
        (lambda m: nbc.kernel_matrix(np.ma.masked_array(W)), "weight"),
        (lambda m: nbc.max_pool2d(m, 2), "x"),
        (lambda m: nbc.avg_pool2d(m, 2), "x"),
        (lambda m: nbc.max_unpool2d(X, np.ma.zeros(X.shape, int), 2), "indices"),
        (lambda m: nbc.conv_transpose2d(m, np.ones((4, 1, 2, 2))), "x"),
        (lambda m: nbc.conv2d_weight_grad(X, W.shape, np.ma.ones((2, 6, 4, 6)), groups=2),
         "grad_output"),
    ],
)  # fmt: skip
def test_masked_arrays_are_refused(call, name):
    with pytest.raises(TypeError, match=rf"{name} must not be a masked array.*{name}.filled"):
        call(MASKED)


def test_dtypes_that_have_no_byte_order():
    kinds = ["?", "g", "G", "O", "S3", "U2", "M8[s]", "m8[s]", "V4", np.dtype([("a", "f4")])]
    if hasattr(np, "dtypes") and hasattr(np.dtypes, "StringDType"):
        kinds.append(np.dtypes.StringDType())
    for kind in kinds:
        with pytest.raises(TypeError, match="dtype must be float16"):
            nbc.conv2d(X, W, groups=2, dtype=kind)


@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_gradients_of_nothing(ndim, layout):
    """No images, no channels, no outputs, no positions: zeros and empty arrays, no errors."""
    last = layout == "channels_last"

    def shaped(n, c, size):
        return np.ones((n, *size, c) if last else (n, c, *size), np.float32)

    def weights(o, c):
        return np.ones((*(2,) * ndim, c, o) if last else (o, c, *(2,) * ndim), np.float32)

    conv, back = (getattr(nbc, f"conv{ndim}d{end}") for end in ("", "_backward"))
    for n, c, o in ((0, 2, 3), (2, 0, 3), (2, 2, 0), (0, 0, 0)):
        x, w = shaped(n, c, (4,) * ndim), weights(o, c)
        found = back(conv(x, w, layout=layout), x, w, layout=layout)
        assert [a.shape for a in found] == [x.shape, w.shape, (o,)]
        up, up_back = (getattr(nbc, f"conv_transpose{ndim}d{end}") for end in ("", "_backward"))
        y = up(shaped(n, o, (3,) * ndim), w, layout=layout)
        found = up_back(y, shaped(n, o, (3,) * ndim), w, layout=layout)
        assert [a.shape for a in found] == [shaped(n, o, (3,) * ndim).shape, w.shape, (c,)]
    x, w = shaped(1, 3, (0,) * ndim), weights(3, 2)
    for algorithm in ("auto", "im2col", "direct"):
        grad = shaped(1, 2, (1,) * ndim)
        found = getattr(nbc, f"conv_transpose{ndim}d_weight_grad")(
            x, w.shape, grad, layout=layout, algorithm=algorithm
        )
        assert not found.any()


def test_names_are_the_callers():
    """Each function speaks of the arguments that it has."""
    grad = np.ones((2, 6, 4, 6), np.float32)
    cases = [
        (lambda: nbc.conv2d_weight_grad(X, (6, 3, 3, 2), grad, groups=2), "weight_shape of shape"),
        (lambda: nbc.conv2d_input_grad((2, 5, 6, 7), W, grad), "does not fit input_shape"),
        (lambda: nbc.conv2d_backward(grad, X[:, :3], W), "does not fit x of shape"),
        (lambda: nbc.conv2d_backward(grad[:, :5], X, W, groups=2, needs=("bias",)),
         "grad_output must have the shape"),
        (lambda: nbc.conv2d_backward(grad, X, W, groups=2, stride=0, needs=()), "stride"),
        (lambda: nbc.explain((6, 7), (6, 4, 3, 3)), "x_shape must have 4 axes"),
        (lambda: nbc.explain((1, 4, 6, 7), (6, 5, 3, 3)), "weight_shape of shape"),
        (lambda: nbc.Conv2d(W, groups=4), "groups must divide the output channels of weight"),
        (lambda: nbc.conv2d_input_grad(X, W, grad), "input_shape must be a tuple of ints, got an "
         "array of shape"),
        (lambda: nbc.conv2d(X, W, groups=2, stride=(1, 0)), r"stride must hold .*\(1, 0\)"),
        (lambda: nbc.conv2d(X, W, groups=2, padding=(1, (1, 2))),
         r"padding must be an int.*\(1, \(1, 2\)\)"),
    ]  # fmt: skip
    for call, says in cases:
        with pytest.raises((ValueError, TypeError), match=says):
            call()


def test_explain_of_tall_images_takes_no_time_or_memory():
    nbc.explain((2, 4, 2**28, 7), (6, 4, 3, 3))
    nbc.explain((2, 4, 6, 7), (6, 4, 3, 3), padding=(2**31 - 1, 1))


def test_layers_freeze_what_they_are_given():
    layer = nbc.Conv2d(W, groups=2, stride=np.array([1, 2]), padding=[[0, 1], [1, 0]])
    np.testing.assert_array_equal(
        layer(X), nbc.conv2d(X, W, groups=2, stride=(1, 2), padding=((0, 1), (1, 0)))
    )
    own = [1, [1, 1]]
    own[1][1] = own
    with pytest.raises((ValueError, TypeError), match="stride"):
        nbc.Conv2d(W, groups=2, stride=own)
