"""What a call on the device costs the host, with a driver that does nothing: no GPU is needed.

::

    python -m benchmarks.cuda.host

Each call has been made before with the same shapes. Least and median of some hundred, in
microseconds.
"""

import statistics
import time

import numbaconv as nbc
from benchmarks.cuda.no_driver import Array, no_driver


def main() -> None:
    """Print a line for each function."""
    x, weight, y = Array(32, 128, 28, 28), Array(128, 128, 3, 3), Array(32, 128, 28, 28)
    cols = Array(32, 1152, 784)
    calls = {
        "conv2d": lambda: nbc.conv2d(x, weight, padding=1, out=y),
        "conv2d_input_grad": lambda: nbc.conv2d_input_grad(x.shape, weight, y, padding=1, out=x),
        "conv2d_weight_grad": lambda: nbc.conv2d_weight_grad(
            x, weight.shape, y, padding=1, out=weight
        ),
        "im2col": lambda: nbc.im2col(x, (3, 3), padding=1, out=cols),
    }
    with no_driver():
        for name, call in calls.items():
            for _ in range(50):
                call()
            times = []
            for _ in range(400):
                start = time.perf_counter()
                call()
                times.append(1e6 * (time.perf_counter() - start))
            print(f"{name:20} {min(times):6.0f} {statistics.median(times):6.0f}")


if __name__ == "__main__":
    main()
