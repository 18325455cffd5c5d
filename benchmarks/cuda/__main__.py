"""Check, then time, numbaconv.cuda over the layers of ResNet-50 and MobileNet.

Every result that is timed is checked first, against float64, within the bound of
docs/convolution.md. Times are the device's, from events behind work that keeps it waiting, so that
Python's own time is apart (``host us``); PyTorch, where it is installed with CUDA, is timed the
same way in turns, without TF32. Outputs of ours are allocated before; packing the weights is
inside. A line of JSON is written as each figure comes, to ``FOLDER/cuda.jsonl``.
"""

import argparse
import functools
import json
import sys
import time
from pathlib import Path

import numba
import numpy as np
from numba import cuda

from benchmarks.cuda import clock, operations
from numbaconv.bench.layers import BY_NAME, MOBILENET, RESNET50

LAYERS = [layer.name for layer in (*RESNET50, *MOBILENET)]


def versions(torch):
    """Return what the figures depend on."""
    import importlib.metadata as metadata

    from cuda.bindings import driver

    device = cuda.get_current_device()
    found = {"gpu": device.name if isinstance(device.name, str) else device.name.decode(),
             "multiprocessors": device.MULTIPROCESSOR_COUNT,
             "driver, CUDA": driver.cuDriverGetVersion()[1],
             "python": sys.version.split()[0], "numba": numba.__version__,
             "numpy": np.__version__, "numba-cuda": metadata.version("numba-cuda")}  # fmt: skip
    if torch:
        found |= {"torch": torch.__version__, "cudnn": torch.backends.cudnn.version()}
    return found


def measure(name, layer, batch, arrays, profiled):
    """Return the figures of one operation of one layer."""
    made = operations.operation(name, layer, batch, arrays)
    begin = time.perf_counter()
    made.ours()
    cuda.synchronize()
    first = time.perf_counter() - begin
    share = arrays.share_of_bound(made)
    entry = {"layer": layer.name, "operation": name, "batch": batch, "error over bound": share,
             "first call s": round(first, 2)}  # fmt: skip
    if not share <= (1 if made.terms else 0):
        return entry | {"wrong": True}
    taken, host = clock.seconds(made.ours)
    entry |= {"us": taken * 1e6, "host us": host * 1e6, "bytes": made.nbytes, "flops": made.flops}
    if not made.flops:
        entry["copy us"] = copies(made.nbytes) * 1e6
    if made.theirs:
        try:
            theirs, asked = clock.seconds(made.theirs)
            entry |= {"torch us": theirs * 1e6, "torch host us": asked * 1e6}
            if profiled:
                entry["torch kernels"] = operations.kernels_of(arrays.torch, made.theirs)
        except Exception as error:  # the peer's failure is not ours
            entry["torch failed"] = repr(error)[:300]
    arrays.poison(made.out)
    made.ours()
    again = arrays.share_of_bound(made)
    if not again <= (1 if made.terms else 0):
        entry |= {"wrong": True, "error over bound, again": again}
    return entry


@functools.cache
def copies(nbytes):
    """Return the seconds in which a copy reads and writes so many bytes in all."""
    source, target = (cuda.device_array(nbytes // 2, np.uint8) for _ in range(2))
    return clock.seconds(lambda: target.copy_to_device(source))[0]


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cuda", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--quick", action="store_true", help="some layers, at batch 8")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--layers", nargs="*", default=LAYERS, metavar="NAME")
    parser.add_argument("--operations", nargs="*", default=operations.NAMES, metavar="NAME")
    parser.add_argument("--profile", action="store_true", help="name PyTorch's kernels")
    parser.add_argument("--minutes", type=float, default=8, help="begin nothing after this long")
    options = parser.parse_args(arguments)
    if not cuda.is_available():
        print("no NVIDIA GPU was found", file=sys.stderr)
        raise SystemExit(2)
    names, batch = options.layers, options.batch
    if options.quick:
        names, batch = names[::4], 8
    options.out.mkdir(parents=True, exist_ok=True)
    torch = operations.import_torch()
    arrays = operations.Arrays(torch)
    ends = time.monotonic() + 60 * options.minutes
    wrong = 0
    with (options.out / "cuda.jsonl").open("a") as lines:

        def say(entry):
            lines.write(json.dumps(entry) + "\n")
            lines.flush()

        said = versions(torch) | {"date": time.strftime("%Y-%m-%d"), "batch": batch}
        said |= {"bytes/s of a copy": clock.copy_rate(), "FLOP/s": clock.fma_rate()}
        say(said)
        print(said, flush=True)
        for operation in options.operations:
            for name in names:
                if time.monotonic() > ends:
                    print("out of time", flush=True)
                    return
                entry = measure(operation, BY_NAME[name], batch, arrays, options.profile)
                say(entry)
                wrong += entry.get("wrong", False)
                print(row(entry, said), flush=True)
                if torch:
                    torch.cuda.empty_cache()
    raise SystemExit(1 if wrong else 0)


def row(entry, said):
    """Return the figures of an entry as a line."""
    head = f"{entry['operation']:11} {entry['layer']:16}"
    if "us" not in entry:
        return f"{head} WRONG {entry['error over bound']}"
    floor = max(entry["bytes"] / said["bytes/s of a copy"], entry["flops"] / said["FLOP/s"]) * 1e6
    floor = entry.get("copy us", floor)
    theirs = entry.get("torch us")
    return (
        f"{head} {entry['us']:8.1f} us, {floor / entry['us']:5.2f} of the floor, "
        f"{theirs / entry['us'] if theirs else 0:5.2f} of torch, host {entry['host us']:4.0f} us, "
        f"error {entry['error over bound']:.3f} {'WRONG' if entry.get('wrong') else ''}"
    )


if __name__ == "__main__":
    main()
