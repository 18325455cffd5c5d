"""How soon Ctrl-C ends the largest calls: each public function in a child process, interrupted.

Run as ``python -m benchmarks.interrupts [--save]`` on Linux or macOS. Each call would take from ten
seconds to minutes; a second after it began the child gets SIGINT, and the time to its end is taken.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time

# Of each function a call that takes long: what is prepared, and the call, whose result takes some
# gigabytes at most. `big` costs no memory.
CALLS = {
    "conv2d, a batch": ("w = ones(64, 64, 15, 15)", "nbc.conv2d(big(100, 64, 150, 150), w)"),
    "conv2d, one image": ("w = ones(64, 64, 15, 15)", "nbc.conv2d(big(1, 64, 1500, 1500), w)"),
    "conv2d, im2col": (
        "w = ones(64, 64, 11, 11)",
        "nbc.conv2d(big(1, 64, 1500, 1500), w, algorithm='im2col')",
    ),
    "conv2d, depthwise": (
        "w = ones(1, 1, 31, 31)",
        "nbc.conv2d(big(24, 1, 3000, 3000), w, algorithm='depthwise')",
    ),
    "conv2d, fft": (
        "w = ones(4, 4, 65, 65)",
        "nbc.conv2d(big(20, 4, 1500, 1500), w, algorithm='fft')",
    ),
    "conv1d, one row": ("w = ones(64, 64, 255)", "nbc.conv1d(big(1, 64, 2_000_000), w)"),
    "conv3d": ("w = ones(32, 32, 7, 7, 7)", "nbc.conv3d(big(1, 32, 170, 170, 170), w)"),
    "layer": ("layer = nbc.Conv2d(ones(64, 64, 15, 15))", "layer(big(1, 64, 1500, 1500))"),
    "conv_transpose2d": (
        "w = ones(64, 64, 30, 30)",
        "nbc.conv_transpose2d(big(1, 64, 700, 700), w, stride=2)",
    ),
    "conv_transpose2d, im2col": (
        "w = ones(64, 64, 12, 12)",
        "nbc.conv_transpose2d(big(1, 64, 700, 700), w, stride=2, algorithm='im2col')",
    ),
    "conv2d_input_grad": (
        "w = ones(64, 64, 15, 15)",
        "nbc.conv2d_input_grad((1, 64, 1514, 1514), w, big(1, 64, 1500, 1500))",
    ),
    "conv2d_input_grad, reflect": (
        "w = ones(64, 64, 15, 15)",
        "nbc.conv2d_input_grad((1, 64, 1500, 1500), w, big(1, 64, 1500, 1500), padding=7,"
        " padding_mode='reflect')",
    ),
    "conv2d_weight_grad": (
        "",
        "nbc.conv2d_weight_grad(big(1, 64, 1514, 1514), (64, 64, 15, 15), big(1, 64, 1500, 1500))",
    ),
    "conv1d_weight_grad": (
        "",
        "nbc.conv1d_weight_grad(big(1, 64, 2_000_254), (64, 64, 255), big(1, 64, 2_000_000))",
    ),
    "conv_transpose2d_input_grad": (
        "w = ones(64, 64, 15, 15)",
        "nbc.conv_transpose2d_input_grad((1, 64, 1486, 1486), w, big(1, 64, 1500, 1500))",
    ),
    "conv_transpose2d_weight_grad": (
        "",
        "nbc.conv_transpose2d_weight_grad(big(1, 64, 1486, 1486), (64, 64, 15, 15),"
        " big(1, 64, 1500, 1500))",
    ),
    "max_pool2d, a batch": (
        "x = big(16, 16, 500, 500)", "for _ in range(999): nbc.max_pool2d(x, 51, 1)",
    ),
    "max_pool2d, one image": (
        "x = big(1, 1, 4000, 4000)", "for _ in range(999): nbc.max_pool2d(x, 101, 1)",
    ),
    "max_pool1d": ("", "nbc.max_pool1d(big(1, 1, 20_000_000), 5_000, 1)"),
    "avg_pool2d": (
        "x = big(1, 1, 4000, 4000)", "for _ in range(999): nbc.avg_pool2d(x, 101, 1)",
    ),
    "avg_pool2d_backward": (
        "",
        "nbc.avg_pool2d_backward(big(16, 16, 450, 450), (16, 16, 500, 500), 51, 1)",
    ),
    "max_pool2d_backward": (
        "i = np.random.default_rng(0).integers(0, 4_000_000, (10, 1, 2000, 2000))",
        "for _ in range(99): nbc.max_pool2d_backward(big(*i.shape), i, i.shape)",
    ),
    "im2col": (
        "",
        "for _ in range(99): nbc.im2col(big(1, 3, 1500, 1500), (9, 9), patches='rows')",
    ),
    "col2im": (
        "c = big(1, 243, 1492 * 1492)",
        "for _ in range(99): nbc.col2im(c, (1500, 1500), (9, 9))",
    ),
}  # fmt: skip
_CHILD = """
import sys
import numpy as np, numbaconv as nbc
def ones(*shape): return np.ones(shape, np.float32)
def big(*shape):
    return np.broadcast_to(np.float32(1), shape)
{prepare}
print("ready", flush=True)
try:
    {call}
    print("it ended")
except KeyboardInterrupt:
    print("interrupted", flush=True)
y = nbc.conv2d(ones(1, 2, 8, 8), ones(3, 2, 3, 3))
print(bool((y == 18).all()))
"""


def interrupted(name, after=1.0, timeout=300):
    """Return (seconds from SIGINT to the call's end, what the child said after it)."""
    prepare, call = CALLS[name]
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD.format(prepare=prepare, call=call)], env=os.environ,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    if child.stdout.readline() != "ready\n":
        raise RuntimeError(child.communicate()[1])
    time.sleep(after)
    begin = time.perf_counter()
    child.send_signal(signal.SIGINT)
    first = child.stdout.readline()
    seconds = time.perf_counter() - begin
    rest, err = child.communicate(timeout=timeout)
    return seconds, (first + rest).split() if not err else [err]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--save", action="store_true")
    parser.add_argument("--only", default="", help="calls whose name contains this")
    options = parser.parse_args()
    found = {}
    for name in CALLS:
        if options.only in name:
            interrupted(name, after=12.0)  # compiles
            seconds, said = interrupted(name, after=2.0)
            found[name] = round(seconds, 3)
            print(f"{name:32} {seconds:7.3f} s  {' '.join(said)}", flush=True)
    if options.save:
        from benchmarks import engines

        engines.save("interrupts", found)
    print(json.dumps({"slowest": max(found.values())}))


if __name__ == "__main__":
    main()
