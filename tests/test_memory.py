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


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_pools_take_no_memory_of_their_own():
    """Windows of four million taps, and rows of ten million outputs."""
    source = """
import numpy as np, numbaconv as nbc
def status(name):
    with open("/proc/self/status") as file:
        return int(next(line for line in file if line.startswith(name)).split()[1]) << 10
def peak(call):
    call()
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    before = status("VmRSS")
    call()
    return status("VmHWM") - before
x = np.ones((1, 1, 2000, 2000), np.uint8)
row = np.ones((1, 1, 10_000_000), np.float32)
out, one = np.ones_like(row[..., :-3]), np.ones((1, 1, 1, 1), np.uint8)
back = np.ones_like(row)
print(peak(lambda: nbc.max_pool2d(x, 2000, out=one)),
      peak(lambda: nbc.avg_pool1d(row, 4, 1, out=out)),
      peak(lambda: nbc.max_pool1d(row, 4, 1, out=out)),
      peak(lambda: nbc.avg_pool1d_backward(out, row.shape, 4, 1, out=back)))
"""
    found = [int(n) for n in code(source, NUMBA_NUM_THREADS=str(THREADS)).split()]
    assert max(found) <= THREADS * 16 * MIB, found


SIGNATURES = """
import sys, numpy as np, numbaconv as nbc, numba
def resident():
    with open("/proc/self/status") as file:
        return int(next(line for line in file if line.startswith("VmRSS")).split()[1]) << 10
def calls(i):
    # All kinds, small and large; the sizes are new each time, the kernels are not.
    n = 64 * i
    x = np.ones((1, 16, 40 + i, 48 + i), "f4")
    w, deep = np.ones((16, 16, 3, 3), "f4"), np.ones((16, 1, 3, 3), "f4")
    for options in ({}, {"stride": 2}, {"algorithm": "im2col"}, {"algorithm": "direct"}):
        y = nbc.conv2d(x, w, padding=1, **options)
    nbc.conv2d(x, deep, groups=16)
    nbc.conv2d(x[:, :1], np.ones((1, 1, 21, 21), "f4"), algorithm="fft")
    nbc.conv2d_backward(y, x, w, padding=1, algorithm="im2col")
    nbc.conv2d_input_grad(x.shape, w, nbc.conv2d(x, w))
    nbc.conv2d_weight_grad(x, w.shape, nbc.conv2d(x, w))
    up = nbc.conv_transpose2d(x, w, stride=2)
    nbc.conv_transpose2d_backward(up, x, w, stride=2)
    cols = nbc.im2col(x, (3, 3))
    nbc.col2im(cols, x.shape[2:], (3, 3))
    image = np.ones((1, 300 + 7 * i, 400 + 9 * i), np.uint8)
    nbc.max_pool2d(image, (290 + i, 390 + i))
    v, places = nbc.max_pool2d(x, 3, 2, return_indices=True)
    nbc.max_pool2d_backward(v, places, x.shape)
    nbc.max_unpool2d(v, places, 3, 2)
    mean = nbc.avg_pool2d(x, 3, 2)
    nbc.avg_pool2d_backward(mean, x.shape, 3, 2)
    signal, kernel = np.ones((1, 1, 100_000 + n), "f4"), np.ones((1, 1, 5000 + n), "f4")
    nbc.conv1d(signal, kernel, stride=1000, algorithm="direct")
    nbc.conv1d(signal[..., :9000 + n], np.ones((1, 1, 9), "f4"))
    nbc.max_pool1d(signal, 8000 + n, 500)
    layer(x)
    jitted(x, w)
layer = nbc.Conv2d(np.ones((16, 16, 3, 3), "f4"), padding=1)
@numba.njit
def jitted(x, w):
    return nbc.max_pool2d(nbc.conv2d(x, w), 2)
for i in range(2):
    calls(i); calls(i); calls(i)
nbc.release_memory()
before = resident()
held = 0
for i in range(2, COUNT):
    calls(i); calls(i); calls(i)
    memory = nbc.memory()
    held = max(held, memory.total)
    assert memory.total <= memory.limit, memory
print(resident() - before, held, nbc.memory().limit)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("count", [12, pytest.param(60, marks=pytest.mark.long)])
def test_what_outlives_calls_is_limited(count):
    """Some hundreds of signatures, or more than a thousand."""
    out = code(SIGNATURES.replace("COUNT", str(count)), NUMBA_NUM_THREADS="2", timeout=1500)
    grown, held, limit = map(int, out.split())
    assert held > MIB
    assert held <= limit == 64 * MIB
    # The machine code of some kernels that a size calls for, and what the allocator keeps.
    assert grown <= limit + 96 * MIB
