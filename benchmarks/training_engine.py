"""One engine of benchmarks.training in a process of its own: a case a line, its least time back."""

import json
import sys

import numpy as np

from benchmarks.training_cases import GRADIENTS, Case
from numbaconv.bench.engine import THREADS, measure


def numbaconv(case, arrays):
    """Return a call of numbaconv."""
    import numbaconv as nbc

    a, layer = arrays, case.layer
    n = f"{layer.ndim}d"
    window = {"stride": layer.stride, "padding": layer.padding}
    if case.kind in GRADIENTS:
        operation = getattr(nbc, f"conv{n}_{case.kind}")
        window |= {"groups": layer.groups, "dilation": layer.dilation}
        if case.kind == "input_grad":
            return lambda: operation(a["x"].shape, a["w"], a["g"], **window)
        return lambda: operation(a["x"], a["w"].shape, a["g"], **window)
    if case.kind == "transposed":
        operation = getattr(nbc, f"conv_transpose{n}")
        window |= {"groups": layer.groups, "dilation": layer.dilation}
        return lambda: operation(a["x"], a["w"], **window)
    kernel = layer.kernel
    if case.kind == "max, backward":
        a["i"] = nbc.max_pool2d(a["x"], kernel, **window, return_indices=True)[1]
    return {
        "max": lambda: nbc.max_pool2d(a["x"], kernel, **window),
        "max, indices": lambda: nbc.max_pool2d(a["x"], kernel, **window, return_indices=True),
        "max, backward": lambda: nbc.max_pool2d_backward(a["g"], a["i"], a["x"].shape),
        "average": lambda: nbc.avg_pool2d(a["x"], kernel, **window),
        "average, backward": lambda: nbc.avg_pool2d_backward(
            a["g"], a["x"].shape, kernel, **window
        ),
    }[case.kind]


def torch(case, arrays):
    """Return a call of PyTorch."""
    import torch

    torch.set_num_threads(THREADS)
    torch.set_grad_enabled(False)
    functional, aten, layer = torch.nn.functional, torch.ops.aten, case.layer
    a = {name: torch.from_numpy(array) for name, array in arrays.items()}
    kernel, stride, padding, dilation = (
        list(axes) for axes in (layer.kernel, layer.stride, layer.padding, layer.dilation)
    )
    zeros, window = [0] * layer.ndim, (kernel, stride, padding)
    if case.kind in GRADIENTS:
        mask = [case.kind == "input_grad", case.kind == "weight_grad", False]
        return lambda: aten.convolution_backward(
            a["g"], a["x"], a["w"], None, stride, padding, dilation, False, zeros, layer.groups,
            mask,
        )  # fmt: skip
    if case.kind == "transposed":
        operation = getattr(functional, f"conv_transpose{layer.ndim}d")
        return lambda: operation(a["x"], a["w"], None, stride, padding, 0, layer.groups, dilation)
    if case.kind == "max, backward":
        a["i"] = functional.max_pool2d(a["x"], *window, return_indices=True)[1]
    return {
        "max": lambda: functional.max_pool2d(a["x"], *window),
        "max, indices": lambda: functional.max_pool2d(a["x"], *window, return_indices=True),
        "max, backward": lambda: aten.max_pool2d_with_indices_backward(
            a["g"], a["x"], *window, [1, 1], False, a["i"]
        ),
        "average": lambda: functional.avg_pool2d(a["x"], *window),
        "average, backward": lambda: aten.avg_pool2d_backward(
            a["g"], a["x"], *window, False, True, None
        ),
    }[case.kind]


def main():
    make = {"numbaconv": numbaconv, "torch": torch}[sys.argv[1]]
    kept = {}
    for line in sys.stdin:
        name, seconds = json.loads(line)
        if name not in kept:
            kept.clear()
            case = Case.found(name)
            kept[name] = make(case, case.arrays(np.random.default_rng(0)))
        print(json.dumps(measure(kept[name], seconds)), flush=True)


if __name__ == "__main__":
    main()
