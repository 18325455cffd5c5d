"""conv2d by the im2col route against PyTorch's, layer by layer.

Run as ``python -m benchmarks.against_torch --torch PYTHON``, PYTHON being an interpreter that has
PyTorch. float32, channels first, batch 1 and 8, 2 threads, weights packed inside the call, results
allocated by it. Each engine runs in processes of its own, taking turns; the figures are GFLOP/s of
the direct convolution, the median over the rounds of each round's least time. Writes
``benchmarks/results/against_torch.json``.
"""

import argparse
import math
import statistics
import sys

from benchmarks import engines
from benchmarks.layers import NETWORKS

_ARRAYS = """
from benchmarks.layers import NETWORKS
batch = int(sys.argv[1])
times = {}
for layer in NETWORKS:
    name = layer.name
    x, weight = layer.arrays(batch)
"""
_NUMBACONV = f"""
import numbaconv as nbc
{_ARRAYS}
    times[name] = least(
        lambda: nbc.conv2d(x, weight, algorithm="im2col", **layer.keywords)
    )
print(json.dumps(times))
"""
_TORCH = f"""
import torch
torch.set_num_threads(2)
{_ARRAYS}
    x, weight = torch.from_numpy(x), torch.from_numpy(weight)
    with torch.inference_mode():
        times[name] = least(
            lambda: torch.nn.functional.conv2d(x, weight, **layer.keywords)
        )
print(json.dumps(times))
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch", metavar="PYTHON", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    result = {}
    for batch in (1, 8):
        rounds = [
            (
                engines.run(sys.executable, _NUMBACONV, str(batch)),
                engines.run(options.torch, _TORCH, str(batch)),
            )
            for _ in range(options.rounds)
        ]
        table = {}
        for layer in NETWORKS:
            name = layer.name
            rate = layer.flops(batch) / 1e9
            table[name] = {
                "im2col": round(statistics.median(rate / ours[name] for ours, _ in rounds)),
                "torch": round(statistics.median(rate / torch[name] for _, torch in rounds)),
                "ratio": round(
                    statistics.median(torch[name] / ours[name] for ours, torch in rounds), 2
                ),
            }
        result[f"batch {batch}"] = table
        for kind, grouped in (("dense", False), ("depthwise", True)):
            ratios = [
                table[layer.name]["ratio"] for layer in NETWORKS if (layer.groups > 1) == grouped
            ]
            geomean = math.exp(statistics.mean(map(math.log, ratios)))
            result[f"batch {batch}, geomean of the {kind} layers"] = round(geomean, 2)
    engines.save("against_torch", result)


if __name__ == "__main__":
    main()
