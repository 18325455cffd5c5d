"""The kernels of numbaconv.cuda: checked against float64 on the host, timed, and set beside cuDNN.

Run as ``python -m benchmarks.cuda`` on a machine with an NVIDIA GPU and ``numbaconv[cuda,bench]``.
``--torch PYTHON`` names an interpreter that has a CUDA build of PyTorch, which then times
``torch.nn.functional.conv2d`` (cuDNN) with TF32 off and on, in a process of its own. Outputs are
allocated before; packing the weights is inside the timing. A figure is the least of several medians
of CUDA events. The floor is the FLOPs over the measured rate of FMAs, or the bytes over that of a
copy, whichever takes longer. Writes ``results/cuda.json`` and ``cuda.png``.
``--check-only`` times nothing, and runs in Numba's simulator, too.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys

import numpy as np
from numba import cuda

import numbaconv as nbc
import numbaconv.cuda as nbcuda
from benchmarks import engines
from numbaconv.bench.layers import BY_NAME, MOBILENET, RESNET50

LAYERS = [layer.name for layer in (*RESNET50, *MOBILENET)]
OPERATIONS = ("forward", "im2col", "input_grad", "weight_grad")
_ROUNDS, _CALLS = 5, 10

_TORCH = """
import json, statistics, sys
import torch
def least(call):
    for _ in range(3): call()
    medians = []
    for _ in range(5):
        times = []
        for _ in range(10):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record(); call(); end.record(); end.synchronize()
            times.append(begin.elapsed_time(end) / 1e3)
        medians.append(statistics.median(times))
    return min(medians)
torch.backends.cudnn.benchmark = True
found = {}
for name, x_shape, weight_shape, keywords in json.loads(sys.argv[1]):
    x = torch.randn(x_shape, device="cuda"); w = torch.randn(weight_shape, device="cuda")
    y = torch.nn.functional.conv2d(x, w, **keywords)
    g = torch.randn_like(y)
    entry = {}
    for tf32 in (False, True):
        torch.backends.cudnn.allow_tf32 = tf32
        torch.backends.cuda.matmul.allow_tf32 = tf32
        suffix = "tf32" if tf32 else "forward"
        with torch.inference_mode():
            entry[suffix] = least(lambda: torch.nn.functional.conv2d(x, w, **keywords))
    torch.backends.cudnn.allow_tf32 = False
    entry["input_grad"] = least(
        lambda: torch.nn.grad.conv2d_input(x_shape, w, g, **keywords))
    entry["weight_grad"] = least(
        lambda: torch.nn.grad.conv2d_weight(x, weight_shape, g, **keywords))
    found[name] = entry
print(json.dumps({"torch": torch.__version__, "cudnn": torch.backends.cudnn.version(),
                  "gpu": torch.cuda.get_device_name(), "layers": found}))
"""


def least(call):
    """Return the least of several medians of the time of a call, in seconds."""
    for _ in range(3):
        call()
    medians = []
    for _ in range(_ROUNDS):
        times = []
        for _ in range(_CALLS):
            begin, end = cuda.event(), cuda.event()
            begin.record()
            call()
            end.record()
            end.synchronize()
            times.append(cuda.event_elapsed_time(begin, end) / 1e3)
        medians.append(statistics.median(times))
    return min(medians)


def calls(layer, batch):
    """Return the arguments of each operation of a layer, on the host, and its float64 twin."""
    x, weight = layer.arrays(batch)
    options = layer.keywords
    shape = (batch, layer.outputs, layer.output_size, layer.output_size)
    grad = np.random.default_rng(1).standard_normal(shape, "float32")
    window = {k: v for k, v in options.items() if k != "groups"}
    positions = batch * layer.output_size**2
    taps = layer.kernel**2
    return {
        "forward": ("conv2d", (x, weight), options, layer.channels // layer.groups * taps),
        "im2col": ("im2col", (x, (layer.kernel,) * 2), window, 0),
        "input_grad": (
            "conv2d_input_grad", (x.shape, weight, grad), options,
            layer.outputs // layer.groups * taps,
        ),
        "weight_grad": ("conv2d_weight_grad", (x, weight.shape, grad), options, positions),
    }  # fmt: skip


def on_device(arguments):
    return tuple(cuda.to_device(a) if isinstance(a, np.ndarray) else a for a in arguments)


def check(layer, batch):
    """Compare every operation, under every algorithm, with float64 on the host.

    Returns the largest error as a share of the bound of docs/convolution.md.
    """
    worst = 0.0
    for name, (function, arguments, options, terms) in calls(layer, batch).items():
        wide = tuple(a.astype("f8") if isinstance(a, np.ndarray) else a for a in arguments)
        expected = getattr(nbc, function)(*wide, **options)
        absolute = tuple(abs(a) if isinstance(a, np.ndarray) else a for a in wide)
        unit = np.finfo("f4").eps / 2
        growth = (terms + 1) * unit / (1 - (terms + 1) * unit)
        bound = growth * getattr(nbc, function)(*absolute, **options)
        for algorithm in ("im2col", "auto"):
            named = {} if name == "im2col" else {"algorithm": algorithm}
            found = getattr(nbcuda, function)(*on_device(arguments), **options, **named)
            error = abs(found.copy_to_host().astype("f8") - expected)
            if not (error <= bound).all():
                raise SystemExit(f"{layer.name}: {name} by {algorithm} is beyond its bound")
            worst = max(worst, float((error / np.maximum(bound, 1e-300)).max()))
    return worst


def times(layer, batch):
    """Return the seconds of each operation, outputs allocated before."""
    found = {}
    for name, (function, arguments, options, _) in calls(layer, batch).items():
        given = on_device(arguments)
        call = getattr(nbcuda, function)
        out = call(*given, **options)
        found[name] = least(lambda c=call, a=given, k=options, o=out: c(*a, out=o, **k))
        if name == "im2col":
            back = cuda.device_array(arguments[0].shape, np.float32)
            size, kernel = arguments[0].shape[2:], arguments[1]
            found["col2im"] = least(
                lambda o=out, b=back, s=size, k=kernel, w=options: nbcuda.col2im(
                    o, s, k, out=b, **w
                )
            )
    given = on_device(calls(layer, batch)["forward"][1])
    out = nbcuda.conv2d(*given, **layer.keywords)
    found["by im2col"] = least(
        lambda: nbcuda.conv2d(*given, out=out, algorithm="im2col", **layer.keywords)
    )
    return found


def bytes_of(layer, batch):
    """Return the bytes that each operation must move at least."""
    x, weight = math.prod(layer.x_shape(batch)), math.prod(layer.weight_shape)
    y = batch * layer.outputs * layer.output_size**2
    cols = batch * layer.channels * layer.kernel**2 * layer.output_size**2
    return {
        **dict.fromkeys(("forward", "input_grad", "weight_grad"), 4 * (x + weight + y)),
        "im2col": 4 * (x + cols), "col2im": 4 * (x + cols),
    }  # fmt: skip


def copy_rate(elements=1 << 28):
    """Return the bytes a second of a copy on the device, read and written."""
    source, target = (cuda.device_array(elements, np.float32) for _ in range(2))
    return 8 * elements / least(lambda: target.copy_to_device(source))


def fma_rate():
    """Return the float32 FLOPs a second of independent FMAs."""
    chains, rounds = 16, 4096

    @cuda.jit
    def multiply_add(out, a, b):
        sums = cuda.local.array(chains, np.float32)
        for i in range(chains):
            sums[i] = np.float32(cuda.threadIdx.x + i)
        for _ in range(rounds):
            for i in range(chains):
                sums[i] = sums[i] * a + b
        total = np.float32(0)
        for i in range(chains):
            total += sums[i]
        out[cuda.grid(1)] = total

    blocks = 8 * cuda.get_current_device().MULTIPROCESSOR_COUNT
    out = cuda.device_array(256 * blocks, np.float32)
    a, b = np.float32(1.0001), np.float32(1e-7)
    seconds = least(lambda: multiply_add[blocks, 256](out, a, b))
    return 2 * chains * rounds * 256 * blocks / seconds


def measure(names, batch, torch):
    layers = [BY_NAME[name] for name in names]
    result = {
        "gpu": str(cuda.get_current_device().name),
        "batch": batch,
        "GB/s of a copy": round(copy_rate() / 1e9),
        "TFLOP/s of FMAs": round(fma_rate() / 1e12, 1),
    }
    peers = {"layers": {}}
    if torch:
        problems = [
            (n.name, n.x_shape(batch), n.weight_shape, n.keywords) for n in layers
        ]  # fmt: skip
        done = subprocess.run(
            [torch, "-c", _TORCH, json.dumps(problems)], capture_output=True, text=True, check=True
        )
        peers = json.loads(done.stdout)
        result |= {"torch": peers["torch"], "cudnn": peers["cudnn"]}
    result["layers"] = {}
    for layer in layers:
        moved, entry = bytes_of(layer, batch), {"worst error over bound": check(layer, 2)}
        for name, seconds in times(layer, batch).items():
            floor = moved.get(name, moved["forward"]) / result["GB/s of a copy"] / 1e9
            if name not in ("im2col", "col2im"):
                floor = max(floor, layer.flops(batch) / result["TFLOP/s of FMAs"] / 1e12)
            entry[name] = {"ms": round(seconds * 1e3, 4), "of the floor": round(floor / seconds, 3)}
            cudnn = peers["layers"].get(layer.name, {}).get(name)
            if cudnn:
                entry[name]["of cuDNN"] = round(cudnn / seconds, 3)
        tf32 = peers["layers"].get(layer.name, {}).get("tf32")
        if tf32:
            entry["cuDNN with TF32, ms"] = round(tf32 * 1e3, 4)
        result["layers"][layer.name] = entry
    for name in ("forward", "input_grad", "weight_grad"):
        shares = [e[name]["of cuDNN"] for n, e in result["layers"].items()
                  if n.startswith("resnet50") and "of cuDNN" in e[name]]  # fmt: skip
        if shares:
            result[f"{name}, geomean over ResNet-50 of cuDNN"] = round(
                statistics.geometric_mean(shares), 3
            )
    return result


def draw(result, path):
    """Draw each layer's share of the floor, and of cuDNN where it was timed."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    names = list(result["layers"])
    figure, axes = plt.subplots(figsize=(9, 0.28 * len(names) + 1.5), layout="constrained")
    for measure_name, offset, colour in (("of the floor", 0.2, "C0"), ("of cuDNN", -0.2, "C1")):
        shares = [result["layers"][n]["forward"].get(measure_name) for n in names]
        if any(shares):
            places = np.arange(len(names)) + offset
            axes.barh(places, [s or 0 for s in shares], 0.38, color=colour, label=measure_name)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.axvline(1, color="k", linewidth=0.8)
    axes.set_xlabel("speed of the forward convolution, as a share")
    axes.set_title(f"numbaconv.cuda, float32, batch {result['batch']}, {result['gpu']}")
    axes.legend()
    figure.savefig(path, dpi=90)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch", metavar="PYTHON", help="an interpreter with PyTorch for CUDA")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--layers", nargs="*", default=LAYERS, metavar="NAME")
    parser.add_argument("--check-only", action="store_true")
    options = parser.parse_args(arguments)
    if not cuda.is_available():
        print("no NVIDIA GPU was found", file=sys.stderr)
        raise SystemExit(2)
    if options.check_only:
        for name in options.layers:
            print(f"{name:20} worst error over bound {check(BY_NAME[name], options.batch):.3f}")
        return
    result = measure(options.layers, options.batch, options.torch)
    engines.save("cuda", result)
    draw(result, engines.RESULTS / "cuda.png")


if __name__ == "__main__":
    main()
