"""PP-OCR's three networks in ONNX's evaluator: our operators, its own, and ONNX Runtime.

Run as ``python -m benchmarks.networks [--rounds N] [--save]`` where onnxruntime and, without its
dependencies, rapidocr_onnxruntime are installed. Whole networks, each engine in a process of its
own, in turns: milliseconds of a run. Then the convolutions alone, of prepared weights, beside
sessions of one node. float32, batch 1, 2 threads; least times. Writes
``benchmarks/results/networks.json``.
"""

import argparse
import importlib.util
import json
import math
import sys
from pathlib import Path
from statistics import geometric_mean

from benchmarks import engines
from numbaconv.bench import compare, networks

SHAPES = {
    "ch_PP-OCRv3_det_infer.onnx": (1, 3, 480, 640),
    "ch_PP-OCRv3_rec_infer.onnx": (1, 3, 48, 320),
    "ch_ppocr_mobile_v2.0_cls_infer.onnx": (1, 3, 48, 192),
}
#: Engines: how often a network runs at least, and what makes its run.
ENGINES = {
    "numbaconv": (9, """
import numbaconv.onnx
network = numbaconv.onnx.evaluator(model)
"""),
    "evaluator": (2, """
from onnx.reference import ReferenceEvaluator
network = ReferenceEvaluator(model)
"""),
    "onnxruntime": (9, """
import onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 2
network = onnxruntime.InferenceSession(
    model.SerializeToString(), options, providers=["CPUExecutionProvider"])
"""),
}  # fmt: skip
_BEFORE = """
import numpy as np, onnx
from onnx import version_converter
# Of a later version, whose batch normalizations the evaluator computes as the standard says.
model = version_converter.convert_version(onnx.load(sys.argv[1]), 15)
x = np.random.default_rng(0).standard_normal(json.loads(sys.argv[2])).astype("float32")
"""
_AFTER = """
np.seterr(all="ignore")
print(json.dumps(1e3 * least(lambda: network.run(None, {"x": x}), rounds=int(sys.argv[3]))))
"""


def whole(path, shape, rounds):
    """Return {engine: milliseconds} of a network."""
    found = dict.fromkeys(ENGINES, math.inf)
    for _ in range(rounds):
        for engine, (runs, source) in ENGINES.items():
            took = engines.run(
                sys.executable, _BEFORE + source + _AFTER, str(path), json.dumps(shape), str(runs)
            )
            found[engine] = min(found[engine], took)
    return {engine: round(took, 3) for engine, took in found.items()}


def convolutions(path, shape, rounds):
    """Return {engine: milliseconds} of all convolutions of a network."""
    layers = networks.convolutions(path, {"x": shape})
    chosen = ("numbaconv", "onnxruntime")
    times = compare.run_layers(
        [c.layer.name for c in layers], [1], chosen, sys.executable, rounds, 0.05, lambda _: None
    )["batch 1"]
    return {
        engine: round(sum(times[c.layer.name][engine] * len(c.nodes) for c in layers), 3)
        for engine in chosen
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    folder = Path(importlib.util.find_spec("rapidocr_onnxruntime").origin).parent / "models"
    result = {"rounds": options.rounds, "networks": {}}
    for name, shape in SHAPES.items():
        row = {
            "whole": whole(folder / name, shape, options.rounds),
            "convolutions": convolutions(folder / name, shape, options.rounds),
        }
        result["networks"][name] = row
        print(name, row)
    rows = result["networks"].values()
    result["over the evaluator"] = round(
        geometric_mean(r["whole"]["evaluator"] / r["whole"]["numbaconv"] for r in rows), 2
    )
    result["convolutions over onnxruntime"] = round(
        geometric_mean(r["convolutions"]["onnxruntime"] / r["convolutions"]["numbaconv"]
                       for r in rows), 2
    )  # fmt: skip
    print({key: value for key, value in result.items() if key != "networks"})
    if options.save:
        engines.save("networks", result, quiet=True)


if __name__ == "__main__":
    main()
