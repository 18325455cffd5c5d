"""The two forms of direct convolution's tile over layers of all kinds, and which of them is chosen.

Run as ``python -m benchmarks.pixel_tiles [--seed N] [--per-kind N] [--save]``: prepared, float32, 2
threads, both layouts, batch 1 and 8; the forms take turns, and the least time of a call counts.
Prints how many times as fast tiles of pixels are, by kind, as measured and as estimated. Writes
``benchmarks/results/pixel_tiles.json``.
"""

import argparse
import math
import time

import numba
import numpy as np

from benchmarks import engines
from numbaconv.bench import kinds
from numbaconv.problem.geometry import ConvGeometry
from numbaconv.problem.options import ConvOptions
from numbaconv.routes.direct import cut, pixels
from numbaconv.routes.direct import plan as direct

KINDS = [k for k in kinds.KINDS if k not in ("depthwise", "image", "trace")]
LAYOUTS = ("channels_first", "channels_last")


def problem(layer, layout, batch):
    """Return a layer's geometry and arrays."""
    x_shape = (batch, layer.channels, *layer.size)
    w_shape = (layer.outputs, layer.channels // layer.groups, *layer.kernel)
    if layout == "channels_last":
        x_shape = (batch, *layer.size, layer.channels)
        w_shape = (*layer.kernel, layer.channels // layer.groups, layer.outputs)
    options = ConvOptions(len(layer.size), layout=layout, **layer.keywords)
    geometry = ConvGeometry.parse(options, x_shape, w_shape)
    rng = np.random.default_rng(0)
    return geometry, *(rng.standard_normal(s, dtype="f4") for s in (x_shape, w_shape))


def least(plans, x, weight, shape, rounds=4, seconds=0.03):
    """Return the least time of each plan's run, in turns."""
    ready = [(plan, plan.pack(weight, None, True, keep=True), np.empty(shape, "f4"))
             for plan in plans]  # fmt: skip
    found = [math.inf] * len(plans)
    for _ in range(rounds):
        for i, (plan, packed, out) in enumerate(ready):
            begin = time.perf_counter()
            while time.perf_counter() - begin < seconds:
                start = time.perf_counter()
                plan.run(x, packed, out, True)
                found[i] = min(found[i], time.perf_counter() - start)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--per-kind", type=int, default=2)
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    numba.set_num_threads(2)
    dtype, summary, wrong, count = np.dtype("f4"), {}, 0, 0
    for layout in LAYOUTS:
        for batch in (1, 8):
            for kind in KINDS:
                ratios = []
                for layer in kinds.draw(kinds.Sample(options.seed, options.per_kind), [kind]):
                    geometry, x, weight = problem(layer, layout, batch)
                    rows, tiles = direct.Plan(geometry, dtype), pixels.Plan(geometry, dtype)
                    slow, fast = least([rows, tiles], x, weight, geometry.output_shape)
                    estimate = cut.best_cut(rows, 1, 2)[2]
                    estimate = tiles.gain(estimate, (1, 2))
                    ratios.append(slow / fast)
                    chosen = isinstance(direct.plan(geometry, dtype), pixels.Plan)
                    loss = fast / slow if chosen else slow / fast
                    wrong, count = wrong + (loss > 1.07), count + 1
                    print(f"{layout} {batch} {layer.name:40} measured {ratios[-1]:.2f} estimated "
                          f"{estimate:.2f} chosen {chosen}", flush=True)  # fmt: skip
                mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
                summary[f"{layout}, batch {batch}, {kind}"] = round(mean, 2)
    result = {"pixels over the other form": summary, "problems": count, "chosen wrongly": wrong}
    print(summary, f"{wrong} of {count} chosen wrongly")
    if options.save:
        engines.save("pixel_tiles", result, quiet=True)


if __name__ == "__main__":
    main()
