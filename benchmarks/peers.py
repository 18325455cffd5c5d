"""numbaconv against other engines, layer by layer: one table and one picture.

Run as ``python -m benchmarks.peers --python PYTHON``, PYTHON being an interpreter that has the
peers (``benchmarks/requirements-peers.txt``). float32 (or the layer's own dtype), channels first,
NumPy arrays in and out, 2 threads, batch 1 and 8, weights in the cache. Each engine is a process of
its own; they take turns, layer by layer and round by round, and the figure is the least time of all
rounds. "numbaconv" has its weights prepared, as onnxruntime, openvino and ncnn have; "numbaconv
plain" and torch pack them in every call. Writes ``benchmarks/results/NAME.json`` and ``.png``.
"""

import argparse
import json

from benchmarks import engines
from benchmarks.layers import FAMILIES
from numbaconv.bench import kinds
from numbaconv.bench.compare import draw, run_layers, summary
from numbaconv.bench.engine import ENGINES


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", required=True, help="an interpreter that has the peers")
    parser.add_argument("--suite", action="append", choices=kinds.SUITES)
    parser.add_argument("--seed", type=int, default=0, help="of the suite kinds")
    parser.add_argument("--per-kind", type=int, default=3)
    parser.add_argument("--layer", action="append", help="names that contain this")
    parser.add_argument("--batch", type=int, action="append")
    parser.add_argument("--engines", default="numbaconv,numbaconv plain,torch,onnxruntime,"
                        "openvino,ncnn")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.1)
    parser.add_argument("--save", help="name of the result to write")
    options = parser.parse_args()
    suites = options.suite or [name for name in FAMILIES if name != "others"]
    sample = kinds.Sample(options.seed, options.per_kind)
    names = [layer.name for suite in suites for layer in kinds.suite(suite, sample)]
    if options.layer:
        names = [n for n in names if any(part in n for part in options.layer)]
    chosen = options.engines.split(",")
    unknown = set(chosen) - set(ENGINES)
    if unknown:
        parser.error(f"unknown engines {sorted(unknown)}; there are {', '.join(ENGINES)}")
    result = run_layers(
        names, options.batch or [1, 8], chosen, options.python, options.rounds, options.seconds
    )
    found = summary(result)
    print(json.dumps(found, indent=1))
    if options.save:
        engines.save(options.save, {"summary": found, "least milliseconds": result}, quiet=True)
        draw(result, engines.RESULTS / f"{options.save}.png")


if __name__ == "__main__":
    main()
