"""Peak extra memory of one convolution: 8x64x512x512 float32, 3x3, to 64 channels, 2 threads.

Run as ``python -m benchmarks.memory`` on Linux. The peak (VmHWM) is reset after a call that warms
up, and what the process held then (input, weights and output among it) is taken off.
"""

import sys

import numpy as np

import numbaconv as nbc


def status(name):
    """Return a field of this process's status in bytes."""
    with open("/proc/self/status") as file:
        return int(next(line for line in file if line.startswith(name)).split()[1]) << 10


def main():
    if sys.platform != "linux":
        sys.exit("needs Linux's /proc")
    x, weight = np.ones((8, 64, 512, 512), "f4"), np.ones((64, 64, 3, 3), "f4")
    out = np.ones((8, 64, 512, 512), "f4")
    nbc.conv2d(x, weight, padding=1, out=out)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    before = status("VmRSS")
    nbc.conv2d(x, weight, padding=1, out=out)
    print(f"{(status('VmHWM') - before) / 2**20:.1f} MiB beyond input, weights and output")


if __name__ == "__main__":
    main()
