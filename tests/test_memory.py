"""Extra memory of a convolution does not grow with the problem."""

import sys

import pytest
from children import code

import numbaconv as nbc

PEAK = """
import sys, numpy as np, numbaconv as nbc
def status(name):
    with open("/proc/self/status") as file:
        return int(next(line for line in file if line.startswith(name)).split()[1]) << 10
x_shape, w_shape, keywords = eval(sys.argv[1])
x, w = np.ones(x_shape, keywords.pop("x_dtype", "f4")), np.ones(w_shape, "f4")
out = np.ones(nbc.conv2d(x[:1], w, **keywords).shape, "f4").repeat(len(x), axis=0)
nbc.conv2d(x, w, out=out, **keywords)
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
before = status("VmRSS")
nbc.conv2d(x, w, out=out, **keywords)
print(status("VmHWM") - before)
"""

MIB = 1 << 20
THREADS = 2


def extra(x_shape, w_shape, **keywords):
    source = f"import sys; sys.argv = ['', {str((x_shape, w_shape, keywords))!r}]\n" + PEAK
    return int(code(source, NUMBA_NUM_THREADS=str(THREADS)))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("x_shape", "w_shape", "keywords"),
    [
        ((4, 64, 256, 256), (64, 64, 3, 3), {"padding": 1}),
        ((2, 512, 40, 40), (1024, 512, 3, 3), {"padding": 1}),
        ((2, 256, 256, 64), (3, 3, 64, 64), {"layout": "channels_last"}),
    ],
    ids=["wide", "deep", "channels last"],
)
def test_at_most_16_mib_a_thread_and_the_packed_weights(x_shape, w_shape, keywords):
    packed = 4
    for n in w_shape:
        packed *= n
    plan = nbc.explain(x_shape, w_shape, **keywords)
    if plan.algorithm == "winograd":
        packed *= 36 / 9  # elements of a tile for each weight
    assert extra(x_shape, w_shape, **keywords) <= THREADS * 16 * MIB + packed


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_conversions_take_one_image():
    x_shape = (16, 16, 256, 256)
    image = 4 * 16 * 256 * 256
    grown = extra(x_shape, (16, 16, 3, 3), padding=1, x_dtype=">f4")
    assert grown <= THREADS * 16 * MIB + image + MIB
    assert grown < 16 * image
