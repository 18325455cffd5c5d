"""Whole networks from wheels: every node against ONNX Runtime, and against the evaluator's own.

They run where onnxruntime, rapidocr_onnxruntime and nudenet are installed (`.ci/run` does it), the
last two without their dependencies.
"""

import importlib.util
from pathlib import Path

import numpy as np
import onnx
import pytest
from children import ROOT, python
from onnx import version_converter
from onnx.reference import ReferenceEvaluator

import numbaconv.onnx

SHAPES = {
    "rapidocr_onnxruntime/models/ch_PP-OCRv3_det_infer.onnx": ("x", (1, 3, 96, 160)),
    "rapidocr_onnxruntime/models/ch_PP-OCRv3_rec_infer.onnx": ("x", (2, 3, 48, 100)),
    "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx": ("x", (2, 3, 48, 192)),
    "nudenet/320n.onnx": ("images", (1, 3, 320, 320)),
}
#: The evaluator's Sigmoid works out both of its forms everywhere.
quiet = pytest.mark.filterwarnings("ignore::RuntimeWarning:onnx")


def located(path):
    package, *parts = path.split("/")
    found = importlib.util.find_spec(package)
    if found is None:
        pytest.skip(f"{package} is not installed")
    return Path(found.origin).parent.joinpath(*parts)


def model_and_feeds(path):
    """Return a model whose batch normalizations do not train, and an input."""
    model = onnx.load(located(path))
    if model.opset_import[0].version < 14:
        model = version_converter.convert_version(model, 15)
    name, shape = SHAPES[path]
    return model, {name: np.random.default_rng(0).standard_normal(shape, "float32")}


@quiet
@pytest.mark.parametrize("path", SHAPES)
def test_every_node_against_onnx_runtime(path):
    ort = pytest.importorskip("onnxruntime")
    model, feeds = model_and_feeds(path)
    del model.graph.output[:]
    for node in model.graph.node:
        if node.op_type != "Constant":
            model.graph.output.extend(
                onnx.helper.make_empty_tensor_value_info(name) for name in node.output if name
            )
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in model.graph.output]
    expected = dict(zip(names, session.run(None, feeds), strict=True))
    found = dict(zip(names, numbaconv.onnx.evaluator(model).run(None, feeds), strict=True))
    compared = 0
    for name in names:
        assert found[name].shape == expected[name].shape, name
        if expected[name].dtype == np.float32:
            largest = np.abs(expected[name]).max()
            error = np.abs(found[name] - expected[name]).max()
            assert error <= 1e-4 * max(largest, 1e-3), name
            compared += 1
    assert compared > 100


@quiet
@pytest.mark.parametrize("path", list(SHAPES)[:3])
def test_outputs_are_the_evaluators_own(path):
    model, feeds = model_and_feeds(path)
    for ours, own in zip(
        numbaconv.onnx.evaluator(model).run(None, feeds),
        ReferenceEvaluator(model).run(None, feeds),
        strict=True,
    ):
        np.testing.assert_allclose(ours, own, rtol=0, atol=1e-5)


def test_the_example_reads_a_page(tmp_path):
    for package in ("rapidocr_onnxruntime", "skimage", "matplotlib"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    out = python(str(ROOT / "examples" / "read_text.py"), str(tmp_path / "text.png")).stdout
    assert "Let us first determine markers of the coins and the\n" in out
    assert (tmp_path / "text.png").stat().st_size > 10_000
