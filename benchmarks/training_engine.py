"""One engine of benchmarks.training in a process of its own: a case a line, its least time back."""

import json
import sys

import numpy as np

from benchmarks.training_cases import CASES
from numbaconv.bench.engine import THREADS, measure


def numbaconv(case, arrays):
    """Return a call of numbaconv."""
    import numbaconv as nbc

    a = arrays
    window = {"stride": case.stride, "padding": case.padding}
    if case.kind in ("input_grad", "weight_grad"):
        window["groups"] = case.groups
    if case.kind == "max, backward":
        a["i"] = nbc.max_pool2d(a["x"], case.kernel, **window, return_indices=True)[1]
    return {
        "input_grad": lambda: nbc.conv2d_input_grad(a["x"].shape, a["w"], a["g"], **window),
        "weight_grad": lambda: nbc.conv2d_weight_grad(a["x"], a["w"].shape, a["g"], **window),
        "transposed": lambda: nbc.conv_transpose2d(a["x"], a["w"], **window),
        "max": lambda: nbc.max_pool2d(a["x"], case.kernel, **window),
        "max, indices": lambda: nbc.max_pool2d(a["x"], case.kernel, **window, return_indices=True),
        "max, backward": lambda: nbc.max_pool2d_backward(a["g"], a["i"], a["x"].shape),
        "average": lambda: nbc.avg_pool2d(a["x"], case.kernel, **window),
        "average, backward": lambda: nbc.avg_pool2d_backward(
            a["g"], a["x"].shape, case.kernel, **window
        ),
    }[case.kind]


def torch(case, arrays):
    """Return a call of PyTorch."""
    import torch

    torch.set_num_threads(THREADS)
    torch.set_grad_enabled(False)
    functional, aten = torch.nn.functional, torch.ops.aten
    a = {name: torch.from_numpy(array) for name, array in arrays.items()}
    two = [[n, n] for n in (case.kernel, case.stride, case.padding)]
    if case.kind == "max, backward":
        a["i"] = functional.max_pool2d(a["x"], *two, return_indices=True)[1]

    def conv_backward(mask):
        return aten.convolution_backward(
            a["g"], a["x"], a["w"], None, two[1], two[2], [1, 1], False, [0, 0], case.groups, mask
        )

    return {
        "input_grad": lambda: conv_backward([True, False, False]),
        "weight_grad": lambda: conv_backward([False, True, False]),
        "transposed": lambda: functional.conv_transpose2d(
            a["x"], a["w"], stride=case.stride, padding=case.padding
        ),
        "max": lambda: functional.max_pool2d(a["x"], *two),
        "max, indices": lambda: functional.max_pool2d(a["x"], *two, return_indices=True),
        "max, backward": lambda: aten.max_pool2d_with_indices_backward(
            a["g"], a["x"], *two, [1, 1], False, a["i"]
        ),
        "average": lambda: functional.avg_pool2d(a["x"], *two),
        "average, backward": lambda: aten.avg_pool2d_backward(
            a["g"], a["x"], *two, False, True, None
        ),
    }[case.kind]


def main():
    make = {"numbaconv": numbaconv, "torch": torch}[sys.argv[1]]
    kept = {}
    for line in sys.stdin:
        name, seconds = json.loads(line)
        if name not in kept:
            kept.clear()
            kept[name] = make(CASES[name], CASES[name].arrays(np.random.default_rng(0)))
        print(json.dumps(measure(kept[name], seconds)), flush=True)


if __name__ == "__main__":
    main()
