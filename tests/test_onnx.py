"""`numbaconv.onnx`: the ONNX project's own node tests as a conformance claim, and more of ours.

All cases of our operators in the installed package run through the evaluator; none is skipped.
"""

import gc
import importlib
import threading
import warnings
import weakref
from fractions import Fraction
from pathlib import Path

import ml_dtypes
import naive
import numpy as np
import onnx
import onnx.backend.test
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import numbaconv as nbc
import numbaconv.onnx
from numbaconv.onnx import convolutions

NAMES = {operator.__name__ for operator in numbaconv.onnx.OPS}
MODULES = [
    "averagepool", "col2im", "conv", "convinteger", "convtranspose", "globalaveragepool",
    "globalmaxpool", "lppool", "maxpool", "maxunpool", "qlinearconv",
]  # fmt: skip
TYPES = helper.np_dtype_to_tensor_dtype


def model_of(operator, inputs, outputs=1, version=22, constants=(), **attributes):
    """Return a model of one node; an input is an array, or None; `constants` are initializers."""
    names = ["" if a is None else f"x{i}" for i, a in enumerate(inputs)]
    node = helper.make_node(
        operator, names, [f"y{i}" for i in range(outputs)], name="layer", **attributes
    )
    fed = [
        helper.make_tensor_value_info(name, TYPES(a.dtype), a.shape)
        for i, (name, a) in enumerate(zip(names, inputs, strict=True))
        if name and i not in constants
    ]
    results = [helper.make_tensor_value_info(name, 0, None) for name in node.output]
    held = [numpy_helper.from_array(inputs[i], names[i]) for i in constants]
    graph = helper.make_graph([node], "graph", fed, results, held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)])


def run(operator, *inputs, outputs=1, version=22, **attributes):
    """Return the first output of one node, or all of them."""
    model = model_of(operator, inputs, outputs, version, **attributes)
    feeds = {f"x{i}": a for i, a in enumerate(inputs) if a is not None}
    found = numbaconv.onnx.evaluator(model).run(None, feeds)
    return found if outputs > 1 else found[0]


def _generated():
    """Yield (name, model, inputs, outputs) of the cases that the package holds as generators."""
    from onnx.backend.test.case.node import _NodeTestCases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the package's own generators
        for module in MODULES:
            importlib.import_module(f"onnx.backend.test.case.node.{module}")
    seen = set()
    for case in _NodeTestCases:
        if case.model.graph.node[0].op_type not in NAMES or case.name in seen:
            continue
        seen.add(case.name)
        for inputs, outputs in case.data_sets:
            yield case.name, case.model, inputs, outputs


def _read(file):
    return numpy_helper.to_array(onnx.load_tensor(file))


def _stored():
    """Yield the cases of single nodes that the package holds as files."""
    data = Path(onnx.backend.test.__file__).parent / "data"
    for folder in sorted(data.glob("pytorch-*/*")):
        model = onnx.load(folder / "model.onnx")
        if len(model.graph.node) != 1 or model.graph.node[0].op_type not in NAMES:
            continue
        for number, sets in enumerate(sorted(folder.glob("test_data_set_*"))):
            inputs, outputs = (
                [_read(file) for file in sorted(sets.glob(f"{of}_*.pb"))]
                for of in ("input", "output")
            )  # fmt: skip
            yield f"{folder.parent.name}/{folder.name}/{number}", model, inputs, outputs


CASES = [*_generated(), *_stored()]

#: Inputs and expected values of these are written with four digits: they need ONNX's own tolerance.
ROUNDED = ("test_averagepool_2d_ceil_last_window_starts_on_pad",)
EXACT = ("Col2Im", "ConvInteger", "QLinearConv", "MaxPool", "MaxUnpool", "GlobalMaxPool")


@pytest.mark.parametrize(("name", "model", "inputs", "outputs"), CASES, ids=[c[0] for c in CASES])
def test_case(name, model, inputs, outputs):
    inputs = [np.asarray(a) for a in inputs]
    graph = model.graph
    constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    fed = [v.name for v in graph.input if v.name not in constants]
    feeds = dict(zip(fed, inputs, strict=True))
    network = numbaconv.onnx.evaluator(model)
    results = network.run(None, feeds)
    node = graph.node[0]
    for result, expected in zip(results, outputs, strict=True):
        assert result.dtype == expected.dtype
        assert result.shape == expected.shape
        if node.op_type in EXACT:
            np.testing.assert_array_equal(result, expected)
        elif name in ROUNDED:
            np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-7)
        elif node.op_type == "LpPool":
            # Sums and powers in float32 by the case, in float64 by us.
            np.testing.assert_allclose(result, expected, rtol=4e-6)
        else:
            # Both results are within the bound of the exact one, so they are within twice of it.
            values = [(feeds | constants)[n] for n in node.input]
            bound = run_node(node, *(np.abs(a).astype(np.float64) for a in values))
            terms = 1 + _terms(node, *values)
            unit = np.finfo(expected.dtype).eps / 2
            assert (
                np.abs(result - expected) <= 2 * terms * unit / (1 - terms * unit) * bound
            ).all()


def run_node(node, *inputs):
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return run(node.op_type, *inputs, **attributes)


def _terms(node, x, weight=None, *_):
    """Return how many products or elements a result sums at most."""
    if node.op_type == "Conv":
        return int(np.prod(weight.shape[1:]))
    if node.op_type == "ConvTranspose":
        return int(np.prod(weight.shape)) // weight.shape[1]
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return int(np.prod(attributes.get("kernel_shape", x.shape[2:])))


def test_every_operator_has_cases():
    found = {model.graph.node[0].op_type for _, model, _, _ in CASES}
    assert found == NAMES
    assert any(name.startswith("pytorch-converted") for name, *_ in CASES)
    assert any(name.startswith("pytorch-operator") for name, *_ in CASES)
    # Of a pool's outputs the indices are optional; at least some cases have them.
    assert any(len(o) == 2 for _, m, _, o in CASES if m.graph.node[0].op_type == "MaxPool")


def whole(shape, dtype="float32", low=-4, high=5, seed=0):
    return np.random.default_rng(seed).integers(low, high, shape).astype(dtype)


def direct(x, weight, bias=None, **window):
    """Return the oracle's result; what is not said of the window is its default."""
    return naive.conv(x, weight, bias, **_per_axis(x.ndim - 2, window))


def transposed(x, weight, bias=None, output_padding=0, **window):
    ndim = x.ndim - 2
    extra = (output_padding,) * ndim if isinstance(output_padding, int) else output_padding
    return naive.conv_transpose(x, weight, bias, output_padding=extra, **_per_axis(ndim, window))


def _per_axis(ndim, window):
    found = {"stride": 1, "padding": (0, 0), "dilation": 1, "groups": 1} | window
    for name in ("stride", "padding", "dilation"):
        value = found[name]
        if np.ndim(value) == (name == "padding"):
            found[name] = (value,) * ndim
    return found


class TestConvolution:
    @pytest.mark.parametrize("version", [1, 11, 22])
    def test_values(self, version):
        x, weight, bias = whole((2, 4, 7, 9)), whole((6, 2, 3, 2), seed=1), whole(6, seed=2)
        y = run(
            "Conv", x, weight, bias, version=version, strides=[2, 1], pads=[1, 0, 2, 3],
            dilations=[1, 2], group=2, kernel_shape=[3, 2],
        )  # fmt: skip
        expected = direct(
            x, weight, bias, stride=(2, 1), padding=((1, 2), (0, 3)), dilation=(1, 2), groups=2
        )
        np.testing.assert_array_equal(y, expected)

    @pytest.mark.parametrize(("auto_pad", "pads"), [
        ("SAME_UPPER", [0, 1, 1, 1]), ("SAME_LOWER", [1, 1, 0, 1]), ("VALID", [0, 0, 0, 0]),
        ("NOTSET", None),
    ])  # fmt: skip
    def test_auto_pad(self, auto_pad, pads):
        x, weight = whole((1, 2, 6, 8)), whole((3, 2, 3, 3), seed=1)
        y = run("Conv", x, weight, strides=[2, 1], auto_pad=auto_pad)
        explicit = {} if pads is None else {"pads": pads}
        np.testing.assert_array_equal(y, run("Conv", x, weight, strides=[2, 1], **explicit))

    @pytest.mark.parametrize("dtype", ["float16", "float64", ml_dtypes.bfloat16])
    def test_dtypes(self, dtype):
        x, weight = whole((1, 2, 5, 6), dtype), whole((3, 2, 3, 2), dtype, seed=1)
        y = run("Conv", x, weight)
        assert y.dtype == dtype
        expected = run("Conv", x.astype("float32"), weight.astype("float32"))
        np.testing.assert_array_equal(y, expected.astype(dtype))

    @pytest.mark.parametrize("shape", [(2, 3, 17), (1, 2, 4, 5, 6)])
    def test_other_dimensions(self, shape):
        x, weight = whole(shape), whole((4, shape[1], *(2,) * (len(shape) - 2)), seed=1)
        np.testing.assert_array_equal(run("Conv", x, weight), direct(x, weight))

    @pytest.mark.parametrize(
        ("shape", "wanted"), [((1, 2, 5), "pads"), ((1, 2, 3, 3, 3, 3), "axes")]
    )
    def test_errors_name_the_node(self, shape, wanted):
        weight = whole((1, 2, *(2,) * (len(shape) - 2)))
        with pytest.raises(ValueError, match=rf"node 'layer' \(Conv, output 'y0'\): .*{wanted}"):
            run("Conv", whole(shape), weight, pads=[1])

    def test_errors_of_types_name_the_node(self):
        x, weight = whole((1, 1, 3, 3), "complex64"), whole((1, 1, 2, 2), "complex64")
        x[0, 0, 0, 0] = 1j
        with pytest.raises(TypeError, match=r"node 'layer' \(MaxPool, output 'y0'\): .*complex"):
            run("MaxPool", x, kernel_shape=[2, 2])
        assert run("Conv", x, weight).dtype == "complex64"

    @pytest.mark.parametrize(("operator", "inputs", "attributes", "kind"), [
        ("ConvInteger", [whole((1, 1, 3, 3)), whole((1, 1, 2, 2), "u1", 0), np.uint8(1)], {},
         TypeError),
        ("ConvTranspose", [whole((1, 1, 3, 3)), whole((1, 1, 2, 2))],
         {"output_shape": [10**7, 10**7]}, MemoryError),
        ("Conv", [whole((1, 1, 3, 3)), whole((1, 1, 2, 2))],
         {"strides": [0, 1], "auto_pad": "SAME_UPPER"}, ValueError),
        ("Conv", [whole((1, 1, 3, 3)), whole((1, 1, 2, 2))], {"group": 0}, ValueError),
    ])  # fmt: skip
    def test_errors_of_any_kind_name_the_node(self, operator, inputs, attributes, kind):
        with pytest.raises(kind, match=rf"node 'layer' \({operator}, output 'y0'\): "):
            run(operator, *map(np.asarray, inputs), **attributes)

    def test_wrong_kernel_shape(self):
        with pytest.raises(ValueError, match="kernel_shape is"):
            run("Conv", whole((1, 1, 5, 5)), whole((1, 1, 2, 2)), kernel_shape=[3, 3])

    def test_wrong_auto_pad(self):
        with pytest.raises(ValueError, match="auto_pad must be"):
            run("Conv", whole((1, 1, 5, 5)), whole((1, 1, 2, 2)), auto_pad="SAME")


class TestQuantized:
    def exact(self, x, x_zero, weight, weight_zero, bias=None, **window):
        weight_zero = np.reshape(weight_zero, (-1, 1, 1, 1))
        return direct(
            x.astype("int64") - int(x_zero), weight.astype("int64") - weight_zero, bias, **window
        )

    @pytest.mark.parametrize("zero", [np.uint8(3), np.array([3, 0, 255, 7], "uint8")])
    def test_conv_integer(self, zero):
        x, weight = whole((2, 3, 6, 7), "uint8", 0, 256), whole((4, 3, 3, 2), "uint8", 0, 256, 1)
        y = run("ConvInteger", x, weight, np.uint8(200), np.asarray(zero), pads=[1, 0, 1, 2])
        assert y.dtype == "int32"
        expected = self.exact(x, 200, weight, zero, padding=((1, 1), (0, 2)))
        np.testing.assert_array_equal(y, expected)
        y = run("ConvInteger", x, weight)
        np.testing.assert_array_equal(y, self.exact(x, 0, weight, 0))

    @pytest.mark.parametrize("bias", [False, True])
    @pytest.mark.parametrize("per_channel", [False, True])
    @pytest.mark.parametrize("kinds", ["uint8 int8 uint8", "int8 int8 int8", "uint8 uint8 int8"])
    def test_qlinear_conv(self, bias, per_channel, kinds):
        rng = np.random.default_rng(0)
        of_x, of_weight, of_y = map(np.dtype, kinds.split())
        x = rng.integers(2, 9, (2, 3, 6, 7)).astype(of_x)
        x[1] *= 14  # so far from zero that results saturate
        weight = rng.integers(0, 9, (4, 3, 3, 3)).astype(of_weight)
        many = (4,) if per_channel else ()
        weight_zero = rng.integers(-3 if of_weight.kind == "i" else 0, 9, many).astype(of_weight)
        # Powers of two: many quotients lie just between two numbers.
        weight_scale = (2.0 ** rng.integers(-2, 0, many)).astype("float32")
        x_zero, y_zero = of_x.type(5), of_y.type(7)
        offset = rng.integers(-99, 100, 4).astype("int32") if bias else None
        y = run(
            "QLinearConv", x, np.float32(0.5), x_zero, weight, weight_scale, weight_zero,
            np.float32(1), y_zero, offset, strides=[1, 2],
        )  # fmt: skip
        assert y.dtype == of_y
        sums = self.exact(x, 5, weight, weight_zero, offset, stride=(1, 2))
        halves = 0
        for (n, o, i, j), total in np.ndenumerate(sums):
            scale = Fraction(float(np.broadcast_to(weight_scale, 4)[o])) / 2
            quotient = int(total) * scale
            halves += quotient.denominator == 2
            limits = np.iinfo(of_y)
            assert y[n, o, i, j] == min(max(round(quotient) + 7, limits.min), limits.max)
        assert halves > 3
        assert ((y == limits.max) | (y == limits.min)).any()

    def test_wrong_zero_points(self):
        x, weight = whole((1, 1, 3, 3), "uint8", 0, 9), whole((2, 1, 2, 2), "uint8", 0, 9)
        with pytest.raises(ValueError, match="zero point must have 1 or 2 elements"):
            run("ConvInteger", x, weight, np.uint8(1), np.zeros(3, "uint8"))


class TestTransposed:
    @pytest.mark.parametrize("bias", [False, True])
    def test_values(self, bias):
        x, weight = whole((2, 4, 5, 3)), whole((4, 3, 3, 2), seed=1)
        offset = whole(6, seed=2) if bias else None
        y = run(
            "ConvTranspose", x, weight, *([offset] if bias else []), strides=[2, 3],
            pads=[1, 0, 0, 1], output_padding=[1, 0], dilations=[2, 1], group=2,
        )  # fmt: skip
        expected = transposed(
            x, weight, offset, stride=(2, 3), padding=((1, 0), (0, 1)), output_padding=(1, 0),
            dilation=(2, 1), groups=2,
        )  # fmt: skip
        np.testing.assert_array_equal(y, expected)

    @pytest.mark.parametrize(("auto_pad", "pads"), [
        # Of a total of three positions the smaller half comes first for SAME_UPPER alone.
        ("SAME_UPPER", [1, 0, 2, 0]), ("SAME_LOWER", [2, 0, 1, 0]), ("NOTSET", [2, 0, 1, 0]),
    ])  # fmt: skip
    def test_output_shape(self, auto_pad, pads):
        x, weight = whole((1, 2, 4, 3)), whole((2, 3, 4, 2), seed=1)
        y = run("ConvTranspose", x, weight, auto_pad=auto_pad, output_shape=[7, 4], strides=[2, 1])
        expected = run("ConvTranspose", x, weight, pads=pads, strides=[2, 1])
        np.testing.assert_array_equal(y, expected)

    def test_output_padding_counts_towards_the_total(self):
        x, weight = whole((1, 1, 4)), whole((1, 1, 3), seed=1)
        y = run("ConvTranspose", x, weight, output_shape=[8], output_padding=[1], strides=[2])
        # (4 - 1) * 2 + 1 + 3 - 8 = 2 are cut, one at each end.
        expected = transposed(x, weight, stride=2, padding=(1, 1), output_padding=1)
        np.testing.assert_array_equal(y, expected)

    @pytest.mark.parametrize("options", [
        {"auto_pad": "SAME_UPPER"}, {"auto_pad": "SAME_LOWER"}, {"output_shape": [12, 15]},
    ])  # fmt: skip
    def test_more_than_inputs_reach(self, options):
        x, weight, bias = whole((1, 2, 4, 5)), whole((2, 3, 2, 2), seed=1), whole(3, seed=2)
        y = run("ConvTranspose", x, weight, bias, strides=[3, 3], **options)
        natural = run("ConvTranspose", x, weight, bias, strides=[3, 3])
        assert y.shape == (1, 3, 12, 15)
        np.testing.assert_array_equal(y[:, :, :11, :14], natural)
        np.testing.assert_array_equal(y[:, :, 11], np.broadcast_to(bias[None, :, None], (1, 3, 15)))


class TestPools:
    def test_indices_only_if_asked_for(self):
        x = whole((2, 3, 5, 6))
        values, indices = run("MaxPool", x, outputs=2, kernel_shape=[2, 2])
        np.testing.assert_array_equal(values, run("MaxPool", x, kernel_shape=[2, 2]))
        np.testing.assert_array_equal(x.ravel()[indices], values)

    def test_columns_first(self):
        x = whole((2, 3, 5, 6), low=-99, high=99)
        values, indices = run("MaxPool", x, outputs=2, kernel_shape=[2, 3], storage_order=1)
        columns = x.swapaxes(2, 3).ravel()
        np.testing.assert_array_equal(columns[indices], values)

    @pytest.mark.parametrize("auto_pad", ["VALID", "SAME_UPPER", "SAME_LOWER"])
    @pytest.mark.parametrize("ceil_mode", [0, 1])
    def test_auto_pad_rounds_by_itself(self, auto_pad, ceil_mode):
        x = whole((1, 1, 8), low=-99, high=99)
        y = run("MaxPool", x, kernel_shape=[3], strides=[2], auto_pad=auto_pad, ceil_mode=ceil_mode)
        assert y.shape == ((1, 1, 3) if auto_pad == "VALID" else (1, 1, 4))

    @pytest.mark.parametrize("p", [1, 2, 3])
    def test_norms(self, p):
        x = whole((2, 3, 7, 8), low=-9, high=10)
        y = run("LpPool", x, p=p, kernel_shape=[2, 3], strides=[2, 1], pads=[1, 0, 0, 2])
        windows = nbc.im2col(
            np.abs(x.astype("float64")) ** p, (2, 3), stride=(2, 1), padding=((1, 0), (0, 2)),
            patches="rows",
        ).reshape(*x.shape[:1], -1, 3, 6).sum(3)  # fmt: skip
        expected = windows.swapaxes(1, 2).reshape(y.shape) ** (1 / p)
        np.testing.assert_allclose(y, expected, rtol=1e-6)

    def test_norms_with_a_window_beyond_the_padding(self):
        x = whole((1, 1, 6))
        y = run("LpPool", x, p=1, kernel_shape=[3], strides=[2], ceil_mode=1)
        np.testing.assert_array_equal(
            y[0, 0], [np.abs(x[0, 0, i : i + 3]).sum() for i in (0, 2, 4)]
        )

    @pytest.mark.parametrize(
        "shape", [(2, 3, 4), (2, 3, 4, 5), (1, 2, 3, 2, 3), (1, 2, 2, 3, 2, 2)]
    )
    def test_global(self, shape):
        x = whole(shape)
        axes = tuple(range(2, len(shape)))
        np.testing.assert_array_equal(run("GlobalMaxPool", x), x.max(axes, keepdims=True))
        np.testing.assert_allclose(
            run("GlobalAveragePool", x), x.mean(axes, keepdims=True, dtype="float64"), rtol=1e-6
        )

    @pytest.mark.parametrize("operator", ["GlobalMaxPool", "GlobalAveragePool"])
    def test_global_of_no_images(self, operator):
        assert run(operator, np.zeros((0, 3, 4, 5), "float32")).shape == (0, 3, 1, 1)

    @pytest.mark.parametrize("output_shape", [None, (1, 2, 6, 9)])
    def test_unpooling(self, output_shape):
        x = whole((1, 2, 5, 8), low=1, high=99)
        values, indices = run("MaxPool", x, outputs=2, kernel_shape=[2, 2], strides=[2, 2],
                              pads=[1, 0, 0, 0])  # fmt: skip
        inputs = [values, indices]
        if output_shape is not None:
            inputs.append(np.array(output_shape))
        y = run("MaxUnpool", *inputs, kernel_shape=[2, 2], strides=[2, 2], pads=[1, 0, 0, 0])
        expected = np.zeros(x.size, "float32")
        expected[indices.ravel()] = values.ravel()
        np.testing.assert_array_equal(y[:, :, :5, :8], expected.reshape(x.shape))
        assert y.shape == (output_shape or x.shape)
        assert y.sum() == expected.sum()

    def test_unpooling_into_too_little(self):
        values, indices = whole((1, 1, 2)), np.array([[[0, 2]]])
        with pytest.raises(ValueError, match="output_shape must be at least"):
            run("MaxUnpool", values, indices, np.array([1, 1, 3]), kernel_shape=[2], strides=[2])


class TestPreparedWeights:
    x = whole((1, 4, 9, 10))
    weight = whole((5, 4, 3, 3), seed=1)

    def made(self, monkeypatch):
        count = []
        kind = convolutions.KINDS[1]
        monkeypatch.setattr(
            "numbaconv.onnx.convolutions.KINDS",
            (None, lambda *a, **k: count.append(1) or kind(*a, **k), None),
        )
        return count

    def test_of_initializers_once(self, monkeypatch):
        count = self.made(monkeypatch)
        network = numbaconv.onnx.evaluator(
            model_of("Conv", [self.x, self.weight], constants=[1], pads=[1, 1, 1, 1])
        )
        expected = direct(self.x, self.weight, padding=(1, 1))
        for _ in range(3):
            np.testing.assert_array_equal(network.run(None, {"x0": self.x})[0], expected)
        assert len(count) == 1

    def test_of_fed_arrays_while_they_hold_the_same_numbers(self, monkeypatch):
        count = self.made(monkeypatch)
        network = numbaconv.onnx.evaluator(model_of("Conv", [self.x, self.weight]))
        weight = self.weight.copy()
        for _ in range(2):
            network.run(None, {"x0": self.x, "x1": weight})
        assert len(count) == 1
        weight[2, 1, 0, 1] += 1
        y = network.run(None, {"x0": self.x, "x1": weight})[0]
        np.testing.assert_array_equal(y, direct(self.x, weight))
        assert len(count) == 2

    def test_a_read_only_view_may_change(self):
        network = numbaconv.onnx.evaluator(model_of("Conv", [self.x, self.weight]))
        weight = self.weight.copy()
        view = weight[:]
        view.flags.writeable = False
        network.run(None, {"x0": self.x, "x1": view})
        weight += 1
        y = network.run(None, {"x0": self.x, "x1": view})[0]
        np.testing.assert_array_equal(y, direct(self.x, weight))

    def test_an_array_that_may_be_made_writeable_again(self):
        network = numbaconv.onnx.evaluator(model_of("Conv", [self.x, self.weight]))
        weight = self.weight.copy()
        weight.setflags(write=False)
        network.run(None, {"x0": self.x, "x1": weight})
        weight.setflags(write=True)
        weight += 1
        y = network.run(None, {"x0": self.x, "x1": weight})[0]
        np.testing.assert_array_equal(y, direct(self.x, weight))

    def test_of_every_size_that_comes_again(self, monkeypatch):
        """Padding by SAME depends on the size; a layer is kept for each of some."""
        count = self.made(monkeypatch)
        network = numbaconv.onnx.evaluator(
            model_of("Conv", [self.x, self.weight], constants=[1], auto_pad="SAME_LOWER",
                     strides=[2, 2])
        )  # fmt: skip
        for _ in range(3):
            for size in ((8, 9), (9, 8)):
                network.run(None, {"x0": whole((1, 4, *size))})
        assert len(count) == 2

    def test_of_bfloat16(self, monkeypatch):
        count = self.made(monkeypatch)
        weight = self.weight.astype(ml_dtypes.bfloat16)
        network = numbaconv.onnx.evaluator(
            model_of("Conv", [self.x.astype(ml_dtypes.bfloat16), weight], constants=[1])
        )
        for _ in range(3):
            y = network.run(None, {"x0": self.x.astype(ml_dtypes.bfloat16)})[0]
            expected = direct(self.x, self.weight).astype(ml_dtypes.bfloat16)
            np.testing.assert_array_equal(y, expected)
        assert len(count) == 1

    def test_arrays_are_held_weakly(self):
        network = numbaconv.onnx.evaluator(model_of("Conv", [self.x, self.weight]))
        weight = self.weight.copy()
        network.run(None, {"x0": self.x, "x1": weight})
        gone = weakref.ref(weight)
        del weight
        gc.collect()
        assert gone() is None

    def test_zero_points_count(self):
        x, weight = whole((1, 1, 4, 4), "uint8", 0, 9), whole((1, 1, 2, 2), "uint8", 0, 9)
        zeros = [np.uint8(0), np.zeros(1, "uint8")]
        network = numbaconv.onnx.evaluator(model_of("ConvInteger", [x, weight, *zeros]))
        for zero in (0, 1):
            y = network.run(None, {
                "x0": x, "x1": weight, "x2": np.uint8(0), "x3": np.full(1, zero, "uint8"),
            })[0]  # fmt: skip
            centred = weight.astype("int64") - zero
            np.testing.assert_array_equal(y, direct(x.astype("int64"), centred))

    def test_from_several_threads(self):
        network = numbaconv.onnx.evaluator(model_of("Conv", [self.x, self.weight], constants=[1]))
        expected = direct(self.x, self.weight)
        found = []

        def work():
            found.extend(network.run(None, {"x0": self.x})[0] for _ in range(20))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 80
        for y in found:
            np.testing.assert_array_equal(y, expected)


class TestEvaluator:
    def test_others_operators_come_first(self):
        class Conv(numbaconv.onnx.OPS[0]):
            def compute(self, attributes, *inputs):
                return (np.float32([42]),)

        model = model_of("Conv", [whole((1, 1, 3, 3)), whole((1, 1, 2, 2))])
        feeds = {"x0": whole((1, 1, 3, 3)), "x1": whole((1, 1, 2, 2))}
        assert numbaconv.onnx.evaluator(model, new_ops=[Conv]).run(None, feeds)[0] == 42
        assert numbaconv.onnx.evaluator(model).run(None, feeds)[0].shape == (1, 1, 2, 2)
        assert ReferenceEvaluator(model, new_ops=numbaconv.onnx.OPS).run(None, feeds)

    def test_attributes_of_functions(self):
        """A node of a function takes attributes from its caller."""
        model = onnx.parser.parse_model("""
            <ir_version: 8, opset_import: ["": 17, "own": 1]>
            graph (float[1, 1, 7] x, float[1, 1, 2] w) => (float[1, 1, n] a, float[1, 1, m] b)
            { a = own.strided<step = [1]>(x, w)
              b = own.strided<step = [3]>(x, w) }
            <domain: "own", opset_import: ["": 17]>
            strided<step>(x, w) => (y) { y = Conv<strides: ints = @step>(x, w) }""")
        x, weight = whole((1, 1, 7)), whole((1, 1, 2), seed=1)
        a, b = numbaconv.onnx.evaluator(model).run(None, {"x": x, "w": weight})
        np.testing.assert_array_equal(a, direct(x, weight))
        np.testing.assert_array_equal(b, direct(x, weight, stride=3))

    def test_functions_and_subgraphs_have_our_operators(self, monkeypatch):
        count = []
        compute = numbaconv.onnx.OPS[0].compute
        monkeypatch.setattr(
            numbaconv.onnx.OPS[0], "compute", lambda *a: count.append(1) or compute(*a)
        )
        model = onnx.parser.parse_model("""
            <ir_version: 8, opset_import: ["": 17, "own": 1]>
            graph (float[1, 1, 7] x, float[1, 1, 2] w, bool c) => (float[1, 1, n] b)
            { a = own.blur(x, w)
              b = If (c) <
                then_branch = g1 () => (float[1, 1, n] y) { y = Conv(a, w) },
                else_branch = g2 () => (float[1, 1, n] z) { z = Identity(a) }
              > }
            <domain: "own", opset_import: ["": 17]>
            blur(x, w) => (y) { y = Conv(x, w) }""")
        x, weight = whole((1, 1, 7)), whole((1, 1, 2), seed=1)
        feeds = {"x": x, "w": weight, "c": np.array(True)}
        (b,) = numbaconv.onnx.evaluator(model).run(None, feeds)
        np.testing.assert_array_equal(b, direct(direct(x, weight), weight))
        assert len(count) == 2
