"""The ONNX project's own node tests of convolutions and pools, as a conformance claim.

A small adapter maps ONNX's attributes to our arguments. All cases of these operators in the
installed package run; none is skipped.
"""

import importlib
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnx.backend.test
import pytest
from onnx import numpy_helper

import numbaconv as nbc

CONVS = {1: nbc.conv1d, 2: nbc.conv2d, 3: nbc.conv3d}
TRANSPOSED = {1: nbc.conv_transpose1d, 2: nbc.conv_transpose2d, 3: nbc.conv_transpose3d}
MAX_POOLS = {1: nbc.max_pool1d, 2: nbc.max_pool2d, 3: nbc.max_pool3d}
AVERAGE_POOLS = {1: nbc.avg_pool1d, 2: nbc.avg_pool2d, 3: nbc.avg_pool3d}
UNPOOLS = {1: nbc.max_unpool1d, 2: nbc.max_unpool2d, 3: nbc.max_unpool3d}
OPERATORS = {
    "Conv": "conv", "Col2Im": "col2im", "ConvInteger": "convinteger",
    "ConvTranspose": "convtranspose", "MaxPool": "maxpool", "AveragePool": "averagepool",
    "MaxUnpool": "maxunpool", "GlobalMaxPool": "globalmaxpool",
    "GlobalAveragePool": "globalaveragepool",
}  # fmt: skip


def _pairs(pads):
    half = len(pads) // 2
    return tuple(zip(pads[:half], pads[half:], strict=True))


def _padding(attributes):
    auto_pad = attributes.get("auto_pad", b"NOTSET").decode()
    if auto_pad in ("NOTSET", "VALID"):
        return _pairs(attributes["pads"]) if "pads" in attributes else 0
    return {"SAME_UPPER": "same", "SAME_LOWER": "same_lower"}[auto_pad]


def _conv(attributes, x, weight, bias=None, dtype=None):
    kernel = attributes.get("kernel_shape", weight.shape[2:])
    assert tuple(kernel) == weight.shape[2:]
    return CONVS[x.ndim - 2](
        x, weight, bias,
        stride=attributes.get("strides", 1),
        padding=_padding(attributes),
        dilation=attributes.get("dilations", 1),
        groups=attributes.get("group", 1),
        dtype=dtype,
        algorithm="im2col",
    )  # fmt: skip


def _conv_integer(attributes, x, weight, x_zero=0, weight_zero=0):
    if np.ndim(weight_zero):
        weight_zero = weight_zero.reshape(-1, *(1,) * (weight.ndim - 1))
    return _conv(attributes, np.subtract(x, x_zero, dtype="i4"),
                 np.subtract(weight, weight_zero, dtype="i4"))  # fmt: skip


def _col2im(attributes, cols, image_shape, block_shape):
    return nbc.col2im(
        cols,
        tuple(image_shape.tolist()),
        tuple(block_shape.tolist()),
        dilation=attributes.get("dilations", 1),
        padding=_pairs(attributes["pads"]) if "pads" in attributes else 0,
        stride=attributes.get("strides", 1),
    )


def _conv_transpose(attributes, x, weight, bias=None):
    ndim = x.ndim - 2
    strides = attributes.get("strides", [1] * ndim)
    dilations = attributes.get("dilations", [1] * ndim)
    extra = attributes.get("output_padding", [0] * ndim)
    options = {"stride": strides, "dilation": dilations, "groups": attributes.get("group", 1)}
    if attributes.get("auto_pad", b"NOTSET").decode() in ("SAME_UPPER", "SAME_LOWER"):
        assert not any(extra)
        return TRANSPOSED[ndim](x, weight, bias, padding=_padding(attributes), **options)
    padding = _padding(attributes)
    if "output_shape" in attributes:
        # ONNX shares what is too much out between both sides, the smaller half first (unless
        # auto_pad says otherwise); what is missing is output padding.
        padding, extra = [], []
        for n, k, s, d, size in zip(
            x.shape[2:], weight.shape[2:], strides, dilations, attributes["output_shape"],
            strict=True,
        ):  # fmt: skip
            total = (n - 1) * s + d * (k - 1) + 1 - size
            padding.append((max(total, 0) - max(total, 0) // 2, max(total, 0) // 2))
            extra.append(max(-total, 0))
    return TRANSPOSED[ndim](
        x, weight, bias, padding=tuple(padding) if padding else 0, output_padding=extra, **options
    )


def _pool_window(attributes):
    kernel = attributes["kernel_shape"]
    return {
        "kernel_size": kernel,
        "stride": attributes.get("strides", [1] * len(kernel)),
        "padding": _padding(attributes),
        "dilation": attributes.get("dilations", 1),
        "ceil_mode": bool(attributes.get("ceil_mode", 0)),
    }


def _max_pool(attributes, x):
    ndim = x.ndim - 2
    values, indices = MAX_POOLS[ndim](x, return_indices=True, **_pool_window(attributes))
    # ONNX counts over batch and channels, too, and may count columns first.
    planes = np.arange(x.shape[0] * x.shape[1]).reshape(*x.shape[:2], *[1] * ndim)
    if attributes.get("storage_order", 0):
        places = np.unravel_index(indices, x.shape[2:])
        indices = np.ravel_multi_index(places, x.shape[2:], order="F")
    return values, indices + planes * int(np.prod(x.shape[2:]))


def _average_pool(attributes, x):
    return AVERAGE_POOLS[x.ndim - 2](
        x, count_include_pad=bool(attributes.get("count_include_pad", 0)),
        **_pool_window(attributes),
    )  # fmt: skip


def _max_unpool(attributes, x, indices, output_shape=None):
    ndim = x.ndim - 2
    strides = attributes.get("strides", [1] * ndim)
    sizes = zip(x.shape[2:], strides, attributes["kernel_shape"], strict=True)
    size = [(n - 1) * s + k for n, s, k in sizes]
    # ONNX's indices count over batch and channels, too, in a result of the default size, which
    # output_shape extends with zeros.
    y = UNPOOLS[ndim](x, indices % int(np.prod(size)), attributes["kernel_shape"], strides)
    if output_shape is None:
        return y
    extra = [(0, int(n) - m) for n, m in zip(output_shape, y.shape, strict=True)]
    return np.pad(y, extra)


def _global_pool(pools):
    return lambda attributes, x: pools[x.ndim - 2](x, x.shape[2:])


ADAPTERS = {
    "Conv": _conv, "Col2Im": _col2im, "ConvInteger": _conv_integer,
    "ConvTranspose": _conv_transpose, "MaxPool": _max_pool, "AveragePool": _average_pool,
    "MaxUnpool": _max_unpool, "GlobalMaxPool": _global_pool(MAX_POOLS),
    "GlobalAveragePool": _global_pool(AVERAGE_POOLS),
}  # fmt: skip


def _generated():
    """Yield (name, node, inputs, outputs) of the cases that the package holds as generators."""
    from onnx.backend.test.case.node import _NodeTestCases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the package's own generators
        for module in OPERATORS.values():
            importlib.import_module(f"onnx.backend.test.case.node.{module}")
    seen = set()
    for case in _NodeTestCases:
        node = case.model.graph.node[0]
        if node.op_type not in OPERATORS or case.name in seen:
            continue
        seen.add(case.name)
        for inputs, outputs in case.data_sets:
            yield case.name, node, inputs, outputs


def _stored():
    """Yield the cases of single nodes that the package holds as files."""
    data = Path(onnx.backend.test.__file__).parent / "data"
    for folder in sorted(data.glob("pytorch-*/*")):
        graph = onnx.load(folder / "model.onnx").graph
        if len(graph.node) != 1 or graph.node[0].op_type not in OPERATORS:
            continue
        weights = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        fed = [v.name for v in graph.input if v.name not in weights]
        for number, sets in enumerate(sorted(folder.glob("test_data_set_*"))):
            values = dict(weights)
            for i, name in enumerate(fed):
                values[name] = numpy_helper.to_array(onnx.load_tensor(sets / f"input_{i}.pb"))
            output = numpy_helper.to_array(onnx.load_tensor(sets / "output_0.pb"))
            inputs = [values[name] for name in graph.node[0].input]
            yield f"{folder.parent.name}/{folder.name}/{number}", graph.node[0], inputs, [output]


CASES = [*_generated(), *_stored()]


#: Inputs and expected values of these are written with four digits: they need ONNX's own tolerance.
ROUNDED = ("test_averagepool_2d_ceil_last_window_starts_on_pad",)
EXACT = ("Col2Im", "ConvInteger", "MaxPool", "MaxUnpool", "GlobalMaxPool")


@pytest.mark.parametrize(("name", "node", "inputs", "outputs"), CASES, ids=[c[0] for c in CASES])
def test_case(name, node, inputs, outputs):
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    inputs = [np.asarray(a) for a in inputs]
    run = ADAPTERS[node.op_type]
    results = run(attributes, *inputs)
    results = results if isinstance(results, tuple) else (results,)
    for result, expected in zip(results, outputs, strict=False):
        assert result.dtype == expected.dtype
        assert result.shape == expected.shape
        if node.op_type in EXACT:
            np.testing.assert_array_equal(result, expected)
            continue
        if name in ROUNDED:
            np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-7)
            continue
        # Both results are within the bound of the exact one, so they are within twice of it.
        bound = run(attributes, *(np.abs(a).astype(np.float64) for a in inputs))
        terms = 1 + _terms(node.op_type, attributes, *inputs)
        unit = np.finfo(expected.dtype).eps / 2
        assert (np.abs(result - expected) <= 2 * terms * unit / (1 - terms * unit) * bound).all()


def _terms(operator, attributes, x, weight=None, *_):
    """Return how many products or elements a result sums at most."""
    if operator == "Conv":
        return int(np.prod(weight.shape[1:]))
    if operator == "ConvTranspose":
        return int(np.prod(weight.shape)) // weight.shape[1]
    return int(np.prod(attributes.get("kernel_shape", x.shape[2:])))


def test_every_operator_has_cases():
    found = {node.op_type for _, node, _, _ in CASES}
    assert found == set(OPERATORS)
    assert any(name.startswith("pytorch-converted") for name, *_ in CASES)
    assert any(name.startswith("pytorch-operator") for name, *_ in CASES)
    # Of a pool's outputs the indices are optional; at least some cases have them.
    assert any(len(o) == 2 for _, node, _, o in CASES if node.op_type == "MaxPool")
