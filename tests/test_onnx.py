"""The ONNX project's own node tests for Conv, Col2Im and ConvInteger, as a conformance claim.

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
OPERATORS = {"Conv": "conv", "Col2Im": "col2im", "ConvInteger": "convinteger"}


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


ADAPTERS = {"Conv": _conv, "Col2Im": _col2im, "ConvInteger": _conv_integer}


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
        if [node.op_type for node in graph.node] != ["Conv"]:
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


@pytest.mark.parametrize(("name", "node", "inputs", "outputs"), CASES, ids=[c[0] for c in CASES])
def test_case(name, node, inputs, outputs):
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    inputs = [np.asarray(a) for a in inputs]
    result = ADAPTERS[node.op_type](attributes, *inputs)
    (expected,) = outputs
    assert result.dtype == expected.dtype
    assert result.shape == expected.shape
    if node.op_type == "Conv":
        # Both results are within the bound of the exact one, so they are within twice of it.
        bound = _conv(attributes, *(np.abs(a).astype(np.float64) for a in inputs))
        terms = int(np.prod(inputs[1].shape[1:])) + 1
        unit = np.finfo(expected.dtype).eps / 2
        assert (np.abs(result - expected) <= 2 * terms * unit / (1 - terms * unit) * bound).all()
    else:
        np.testing.assert_array_equal(result, expected)


def test_every_operator_has_cases():
    found = {node.op_type for _, node, _, _ in CASES}
    assert found == set(OPERATORS)
    assert any(name.startswith("pytorch-converted") for name, *_ in CASES)
    assert any(name.startswith("pytorch-operator") for name, *_ in CASES)
