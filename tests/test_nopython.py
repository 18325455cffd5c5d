"""The public functions inside jitted code: Python's results, recorded or not, and its errors."""

import functools
import inspect
import os
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from children import code, python
from numba.core.errors import TypingError
from numba.core.registry import cpu_target

import numbaconv as nbc
from numbaconv import nopython
from numbaconv.nopython import door, programs


def conv1d(x, w, b):
    return nbc.conv1d(x[:, :, 0], w[:, :, 0], b, 2, (1,), 1, 1, padding_mode="reflect")


def conv2d(x, w, b):
    return nbc.conv2d(x, w, b, padding=((1, 0), (2, 1)), stride=(1, 2), dilation=(2, 1))


def conv2d_serial(x, w, b):
    return nbc.conv2d(x, w, padding="same", parallel=False)


def conv2d_exact(x, w, b):
    return nbc.conv2d(x, w, b, padding=1, algorithm="exact")


def conv2d_reference(x, w, b):
    return nbc.conv2d(x, w, b, padding=1, algorithm="im2col")


def conv2d_fft(x, w, b):
    return nbc.conv2d(x, w, b, padding=1, algorithm="fft")


def conv2d_strided(x, w, b):
    return nbc.conv2d(x[:, :, ::2, 1:], w[::-1], b, padding=1)


def conv2d_converted(x, w, b):
    return nbc.conv2d(x, w.astype(np.float64), b, padding=1, dtype=np.float64)


def conv2d_of_one_image(x, w, b):
    return nbc.conv2d(x[0], w, b, padding=1)


def conv2d_with_groups(x, w, b):
    return nbc.conv2d(x, w[:12, :2].copy(), b[:12], padding=1, groups=2)


def conv2d_depthwise(x, w, b):
    return nbc.conv2d(x, w[:4, :1].copy(), None, padding=1, groups=4)


def conv2d_channels_last(x, w, b):
    return nbc.conv2d(x, w.reshape(3, 3, 13, 4)[:, :, :11], b[:4], padding=1,
                      layout="channels_last")  # fmt: skip


def conv2d_of_integers(x, w, b):
    return nbc.conv2d((8 * x).astype(np.int16), (8 * w).astype(np.int16), padding=1)


def conv2d_of_complex(x, w, b):
    return nbc.conv2d(x.astype(np.complex64), w.astype(np.complex64), padding=1)


def conv2d_out(x, w, b):
    out = np.empty((2, 13, 9, 11), np.float32)
    same = nbc.conv2d(x, w, b, padding=1, out=out)
    return same + out


def conv3d(x, w, b):
    return nbc.conv3d(x.reshape(2, 2, 2, 9, 11), w.reshape(26, 2, 1, 3, 3), padding=(0, 1, 1))


def conv_transpose2d(x, w, b):
    return nbc.conv_transpose2d(x, w[:4].copy(), None, 2, 1, output_size=(18, 22))


def conv_transpose1d(x, w, b):
    return nbc.conv_transpose1d(x[:, :, 0].copy(), w[:4, :, 0].copy(), padding=1)


def input_grad(x, w, b):
    grad = nbc.conv2d(x, w, padding=1)
    return nbc.conv2d_input_grad(x.shape, w, grad, padding=1)


def weight_grad(x, w, b):
    grad = nbc.conv2d(x, w, padding=1)
    return nbc.conv2d_weight_grad(x, w.shape, grad, padding=1)


def backward(x, w, b):
    grads = nbc.conv2d_backward(nbc.conv2d(x, w, padding=1), x, w, padding=1)
    return grads.input, grads.weight, grads.bias


def backward_of_some(x, w, b):
    grad = nbc.conv2d(x, w, padding=1)
    grads = nbc.conv2d_backward(grad, x, w, padding=1, needs=("weight", "bias"))
    if grads.input is not None:
        raise AssertionError
    return grads[1], grads[2]


def transposed_backward(x, w, b):
    kernels = w[:4].copy()
    y = nbc.conv_transpose2d(x, kernels, stride=2)
    grads = nbc.conv_transpose2d_backward(y, x, kernels, 2)
    return grads.input, grads.weight, grads.bias


def max_pool(x, w, b):
    return nbc.max_pool2d(x, 3, 2, 1)


def max_pool_and_back(x, w, b):
    values, indices = nbc.max_pool2d(x, 3, 2, 1, return_indices=True)
    back = nbc.max_pool2d_backward(values, indices, x.shape)
    return values, indices, back, nbc.max_unpool2d(values, indices, 3, 2, 1, output_size=(9, 11))


def avg_pool(x, w, b):
    y = nbc.avg_pool2d(x, 2, 2, ceil_mode=True)
    return y, nbc.avg_pool2d_backward(y, x.shape, (2, 2), 2, ceil_mode=True)


def avg_pool_uniform(x, w, b):
    y = nbc.avg_pool2d(x, (2, 3), 1, divisor_override=5)
    return nbc.avg_pool2d_backward(y, x.shape, (2, 3), 1, divisor_override=5)


def max_pool_last(x, w, b):
    return nbc.max_pool1d(x[0], 2, layout="channels_last")


def patches(x, w, b):
    columns = nbc.im2col(x, (3, 2), padding=1, stride=(2, 1), patches="rows")
    return columns, nbc.col2im(columns, (9, 11), (3, 2), padding=1, stride=(2, 1), patches="rows")


def product(x, w, b):
    return nbc.kernel_matrix(w), nbc.kernel_matrix(w[:12].copy(), 2), nbc.im2col(x, 3)


BODIES = [
    conv1d, conv2d, conv2d_serial, conv2d_exact, conv2d_reference, conv2d_fft, conv2d_strided,
    conv2d_converted, conv2d_of_one_image, conv2d_with_groups, conv2d_depthwise,
    conv2d_channels_last, conv2d_of_integers, conv2d_of_complex, conv2d_out, conv3d,
    conv_transpose2d, conv_transpose1d, input_grad, weight_grad, backward, backward_of_some,
    transposed_backward, max_pool, max_pool_and_back, avg_pool, avg_pool_uniform, max_pool_last,
    patches, product,
]  # fmt: skip
#: Those that leave Python alone once they have been recorded.
RECORDED = [
    conv2d, conv2d_serial, conv2d_exact, conv2d_of_one_image, conv2d_with_groups, conv2d_depthwise,
    conv2d_of_integers, conv2d_out, conv3d, max_pool, max_pool_and_back, avg_pool_uniform,
    max_pool_last, patches,
]  # fmt: skip


def arrays(seed):
    rng = np.random.default_rng(seed)
    shapes = (2, 4, 9, 11), (13, 4, 3, 3), (13,)
    return [rng.standard_normal(shape, dtype=np.float32) for shape in shapes]


@functools.cache
def compiled(body):
    return numba.njit(body)


def equal(found, expected):
    if isinstance(expected, tuple):
        return all(equal(f, e) for f, e in zip(found, expected, strict=True))
    return found.dtype == expected.dtype and np.array_equal(found, expected)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_results_are_those_of_python(body, count, parallel, threads_restored, monkeypatch):
    numba.set_num_threads(count)
    jitted = compiled(body)
    for site in programs.sites():
        site.forget()
    calls = []
    call = door.call
    monkeypatch.setattr(door, "call", lambda *args: calls.append(1) or call(*args))
    for seed in range(5):
        seen = len(calls)
        operands = arrays(seed)
        assert equal(jitted(*operands), body(*operands))
    # Each site is recorded at its second call; workqueue's threads take turns in Python.
    threads = count > 1 and parallel and body is not conv2d_serial
    if body in RECORDED and not (threads and numba.threading_layer() == "workqueue"):
        assert len(calls) == seen


def test_every_public_function_is_known():
    others = (
        "explain", "algorithms", "warmup", "memory", "release_memory", "patch_scipy",
        "unpatch_scipy",
    )  # fmt: skip
    functions = {n for n in nbc.__all__ if n.islower() and n not in others}
    assert set(nopython.FUNCTIONS) == functions


@pytest.mark.parametrize("name", nopython.FUNCTIONS)
def test_names_order_and_defaults_are_those_of_the_function(name):
    """What Numba binds arguments by, in the template that it finds for the function."""
    cpu_target.typing_context.refresh()
    kind = cpu_target.typing_context.resolve_value_type(getattr(nbc, name))
    (template,) = kind.templates
    assert template.key is getattr(nbc, name)
    bound = nopython.positional(template.key).parameters.values()
    found = inspect.signature(getattr(nbc, name)).parameters.values()
    assert [(p.name, p.default) for p in bound] == [(p.name, p.default) for p in found]


def test_in_a_prange(threads_restored):
    @numba.njit(parallel=True)
    def each(x, w, out, pooled):
        for i in numba.prange(len(x)):
            out[i] = nbc.conv2d(x[i], w, padding=1, parallel=False)
            pooled[i] = nbc.max_pool2d(x[i], 3, 1, 1, parallel=False)

    numba.set_num_threads(2)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 3, 12, 14), dtype=np.float32)
    w = rng.standard_normal((5, 3, 3, 3), dtype=np.float32)
    expected = np.stack([nbc.conv2d(image, w, padding=1) for image in x])
    maxima = nbc.max_pool2d(x, 3, 1, 1)
    for _ in range(3):
        out, pooled = np.zeros((40, 5, 12, 14), np.float32), np.zeros_like(x)
        each(x, w, out, pooled)
        assert np.array_equal(out, expected)
        assert np.array_equal(pooled, maxima)


def test_what_was_recorded_does_not_hold_for_what_overlaps():
    @numba.njit
    def smoothed(x, w, out):
        return nbc.conv2d(x, w, padding=1, out=out)

    rng = np.random.default_rng(0)
    w = rng.standard_normal((3, 3, 3, 3), dtype=np.float32)
    for n in range(5):
        memory = rng.standard_normal((3, 3, 12, 14), dtype=np.float32)
        expected = nbc.conv2d(memory[:2], w, padding=1)
        # Apart; the same; and, of one array, parts that share an image.
        out = [np.empty_like(expected), memory[:2], memory[1:]][n % 3]
        assert np.array_equal(smoothed(memory[:2], w, out), expected)


def test_one_array_twice():
    @numba.njit
    def product(x, w):
        return nbc.conv2d(x, w)

    rng = np.random.default_rng(0)
    both = rng.standard_normal((4, 4, 3, 3), dtype=np.float32)
    for n in range(6):
        other = rng.standard_normal((4, 4, 3, 3), dtype=np.float32)
        x, w = (both, both) if n < 3 else (both, other)
        assert np.array_equal(product(x, w), nbc.conv2d(x, w))


def test_out_beside_indices():
    @numba.njit
    def pooled(x, out):
        return nbc.max_pool2d(x, 2, return_indices=True, out=out)

    rng = np.random.default_rng(0)
    for _ in range(5):
        x, out = rng.standard_normal((1, 3, 6, 8)), np.empty((1, 3, 3, 4))
        same, indices = pooled(x, out)
        assert equal((same, indices), nbc.max_pool2d(x, 2, return_indices=True))
        assert np.array_equal(out, same)


def test_what_was_recorded_does_not_hold_for_what_is_not_aligned():
    @numba.njit
    def of_bytes(x, w, c, out):
        image = x.view(np.float32).reshape(1, 1, 8, 8)
        columns = c.view(np.float32).reshape(1, 4, 9)
        target = out.view(np.float32).reshape(1, 4, 49)
        maps = nbc.conv2d(image, w, padding=1)
        nbc.im2col(image, (2, 2), out=target)
        folded = nbc.col2im(columns, (4, 4), (2, 2))
        return maps, nbc.im2col(image, (2, 2)), folded, target.copy(), nbc.max_pool2d(image, 2)

    rng = np.random.default_rng(0)
    w = rng.standard_normal((3, 1, 3, 3), dtype=np.float32)
    for start in (1, 1, 1, 1, 0, 0, 0, 0, 1, 2):
        x, c = rng.standard_normal((1, 1, 8, 8), "f4"), rng.standard_normal((1, 4, 9), "f4")
        places = [np.empty(start + n, np.uint8)[start:] for n in (256, 144, 784)]
        for place, array in zip(places, (x, c), strict=False):
            place[:] = array.reshape(-1).view(np.uint8)
        columns = nbc.im2col(x, (2, 2))
        folded = nbc.col2im(c, (4, 4), (2, 2))
        expected = nbc.conv2d(x, w, padding=1), columns, folded, columns, nbc.max_pool2d(x, 2)
        assert equal(of_bytes(places[0], w, *places[1:]), expected)


CALLS = """
import resource, sys
import numba, numpy as np, numbaconv as nbc
from numbaconv.kernels import recording, workspace
from numbaconv.nopython import door, programs
@numba.njit
def convolve(x, w):
    return nbc.conv2d(x, w, None, 1, 1, parallel=False, algorithm="direct")
x, w = np.ones((1, {channels}, 4, 4), "f4"), np.ones(({channels}, {channels}, 3, 3), "f4")
"""
LOW = """
recording._LEAST_ADDRESS = 1 << 62  # as if every address were a small number
for n in range(5):
    x = np.full(x.shape, n, x.dtype)
    assert np.array_equal(convolve(x, w), nbc.conv2d(x, w, None, 1, 1, algorithm="direct"))
print([len(site.programs) for site in programs.sites()])
"""
SHORT = """
for _ in range(3):
    convolve(x, w)
(site,) = programs.sites()
assert len(site.programs) == 1
workspace._idle.clear()
with open("/proc/self/status") as lines:
    used = next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmSize"))
resource.setrlimit(resource.RLIMIT_AS, (used + (20 << 20), used + (20 << 20)))
try:
    convolve(x, w)
except MemoryError:
    print("MemoryError")
"""


def test_nothing_is_recorded_where_addresses_look_like_sizes():
    """As in an interpreter that is loaded at a fixed low address, with its heap behind it."""
    assert code(CALLS.format(channels=8) + LOW).strip() == "[0]"


@pytest.mark.skipif(sys.platform != "linux", reason="limits and reads its own memory")
def test_memory_that_cannot_be_had_is_a_memory_error():
    assert code(CALLS.format(channels=1500) + SHORT).strip() == "MemoryError"


def test_what_is_not_finite_goes_another_way():
    """As in Python: winograd repairs images with a NaN, directly."""

    @numba.njit
    def convolve(x, w):
        return nbc.conv2d(x, w, padding=1, algorithm="winograd")

    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 16, 24, 24), dtype=np.float32)
    w = rng.standard_normal((16, 16, 3, 3), dtype=np.float32)
    for n in range(6):
        x[0, 0, 3, 3] = np.nan if n % 3 == 2 else 1
        found = convolve(x, w)
        assert np.array_equal(
            found, nbc.conv2d(x, w, padding=1, algorithm="winograd"), equal_nan=True
        )
        assert np.isnan(found).sum() == (16 * 9 if n % 3 == 2 else 0)


def test_a_repair_is_not_recorded():
    @numba.njit
    def convolve(x, w):
        return nbc.conv2d(x, w, padding=1, algorithm="winograd")

    rng = np.random.default_rng(0)
    w = rng.standard_normal((16, 16, 3, 3), dtype=np.float32)
    for n in range(5):
        x = rng.standard_normal((2, 16, 24, 24), dtype=np.float32)
        x[0, 0, 3, 3] = np.nan if n == 1 else 1  # the second call is the one to be recorded
        found = convolve(x, w)
        assert np.array_equal(
            found, nbc.conv2d(x, w, padding=1, algorithm="winograd"), equal_nan=True
        )


def test_wrong_indices_are_found_in_what_was_recorded():
    @numba.njit
    def back(grad, indices):
        return nbc.max_pool2d_backward(grad, indices, (1, 4, 4))

    grad, indices = np.ones((1, 2, 2)), np.array([[[0, 2], [8, 10]]])
    for _ in range(4):
        assert back(grad, indices).sum() == 4
    indices[0, 1, 1] = 16
    with pytest.raises(ValueError, match="indices must be from 0 to 15"):
        back(grad, indices)


def test_arguments_that_nothing_else_tells_apart():
    """A site is used with many values; each has its own program."""

    @numba.njit
    def convolve(x, w, padding, stride, parallel):
        return nbc.conv2d(x, w, padding=padding, stride=stride, parallel=parallel)

    rng = np.random.default_rng(0)
    w = rng.standard_normal((5, 2, 2, 3), dtype=np.float32)
    for _ in range(4):
        for size in range(8, 20):
            x = rng.standard_normal((1, 2, size, 31 - size), dtype=np.float32)
            for padding, stride in (((0, 1), 1), ((1, 0), 1), ((1, 0), 2)):
                found = convolve(x, w, padding, stride, False)
                assert np.array_equal(found, nbc.conv2d(x, w, None, stride, padding))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (lambda x, w: nbc.conv2d(x, w, stride=0), "stride must be from 1 to 2147483647, got 0"),
        (lambda x, w: nbc.conv2d(x, w, groups=3), "groups must divide the channels of x"),
        (lambda x, w: nbc.conv2d(x[:, :, :2, :2], w), "weight does not fit x"),
        (lambda x, w: nbc.max_pool2d(x, 2, padding=2), "padding must be smaller than"),
        (lambda x, w: nbc.conv2d(x, w, algorithm="winograd", stride=2), "cannot run"),
        (lambda x, w: nbc.conv2d(x, w, out=np.empty((1, 2, 3, 4), np.float32)), "out must have sh"),
    ],
)  # fmt: skip
def test_wrong_values_are_value_errors(body, message):
    x, w, _ = arrays(0)
    with pytest.raises(ValueError, match=message) as python:
        body(x, w)
    with pytest.raises(ValueError, match=message) as jitted:
        numba.njit(body)(x, w)
    assert str(jitted.value) == str(python.value)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (lambda x, w: nbc.conv2d(x[0, 0], w), "x must have 4 axes, with 2 spatial, or 3"),
        (lambda x, w: nbc.conv2d(x, w[0]), "weight must have 4 axes, got 3"),
        (lambda x, w: nbc.conv2d(x, w, x), "bias must have 1 axes, got 4"),
        (lambda x, w: nbc.conv2d(x, 3), "weight must be an array, got"),
        (lambda x, w: nbc.conv2d(x, w, stride=1.5), "stride must be an int or a tuple of ints"),
        (lambda x, w: nbc.conv2d(x, w, stride=True), "stride must be an int or a tuple of ints"),
        (lambda x, w: nbc.conv2d(x, w, stride=None), "stride must not be None"),
        (lambda x, w: nbc.conv2d(x, w, parallel=1), "parallel must be True or False"),
        (lambda x, w: nbc.conv2d(x, w, layout="NHWC"), "layout must be one of 'channels_first'"),
        (lambda x, w: nbc.conv2d(x, w, algorithm="fast"), "algorithm must be one of 'auto'"),
        (lambda x, w: nbc.conv2d(x, w, padding="full"), "padding must be one of 'valid', 'same'"),
        (lambda x, w: nbc.conv2d(x, w, strides=1), "unexpected keyword argument 'strides'"),
        (lambda x, w: nbc.conv2d(x), "missing a required argument: 'weight'"),
        (lambda x, w: nbc.conv2d(x > 0, w > 0), "the dtype of x and weight must be float16"),
        (lambda x, w: nbc.conv2d(x * 1j, w, dtype=np.float32), "x of dtype complex"),
        (lambda x, w: nbc.conv2d(x, w, dtype="float16"), "results of float16 cannot be had"),
        (lambda x, w: nbc.conv2d(x, w, out=x.astype(np.int8)), "out must be an array of float32"),
        (lambda x, w: nbc.im2col(x[0], 3), "kernel_size must be a tuple where x has 3 axes"),
        (lambda x, w: nbc.conv2d_weight_grad(x, (3, 3), x), "weight_shape must have 4 ints"),
        (lambda x, w: nbc.conv2d_backward(x, x, w, needs=("all",)), "needs must hold names of"),
    ],
)  # fmt: skip
def test_wrong_kinds_are_typing_errors(body, message):
    x, w, _ = arrays(0)
    with pytest.raises(TypingError) as error:
        numba.njit(body)(x, w)
    assert message in str(error.value)


def test_a_layout_that_is_no_literal():
    @numba.njit
    def convolve(x, w, layout):
        return nbc.conv2d(x, w, layout=layout)

    x, w, _ = arrays(0)
    with pytest.raises(TypingError, match="layout must be a literal string"):
        convolve(x, w, "channels_first")


def test_float16_is_refused():
    with pytest.raises(TypingError, match="float16, which Numba cannot compute with"):
        numba.njit(nbc_conv2d)(np.ones((1, 1, 4, 4), np.float16), np.ones((1, 1, 2, 2), np.float16))


def nbc_conv2d(x, w):
    return nbc.conv2d(x, w)


USER_MODULE = """
import numba, numpy as np, numbaconv as nbc
@numba.njit(cache=True)
def total(x, w):
    return nbc.conv2d(x, w, padding=1).sum() + nbc.max_pool2d(x, 2).sum()
"""
USER = """
import sys, numpy as np
sys.path.insert(0, {folder!r})
import user, numbaconv as nbc
x, w = np.arange(64.0).reshape(1, 1, 8, 8), np.ones((2, 1, 3, 3))
for _ in range(4):
    assert user.total(x, w) == nbc.conv2d(x, w, padding=1).sum() + nbc.max_pool2d(x, 2).sum()
print(sum(user.total.stats.cache_hits.values()))
"""


def test_a_users_cached_function_works_in_the_next_process(tmp_path):
    (tmp_path / "user.py").write_text(USER_MODULE)
    source = USER.format(folder=str(tmp_path))
    environment = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    assert [code(source, **environment).strip() for _ in range(2)] == ["0", "1"]


def test_a_users_cached_function_of_another_version_says_so(tmp_path):
    """It cannot be stale, as it computes nothing itself; but it must speak the same language."""
    (tmp_path / "user.py").write_text(USER_MODULE)
    source = USER.format(folder=str(tmp_path))
    environment = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    code(source, **environment)
    upgraded = "from numbaconv.nopython import door\ndoor.interface = lambda: 'another'\n" + source
    with pytest.raises(AssertionError, match="with another version of numbaconv: remove its cache"):
        code(upgraded, **environment)


def test_a_users_cached_function_notices_that_results_have_changed(tmp_path):
    (tmp_path / "user.py").write_text(USER_MODULE)
    source = USER.format(folder=str(tmp_path))
    environment = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    code(source, **environment)
    upgraded = (
        "import numbaconv\nfrom numbaconv.nopython import FUNCTIONS\n"
        "function, *rest = FUNCTIONS['conv2d']\n"
        "FUNCTIONS['conv2d'] = (lambda **k: function(**k).astype('f4'), *rest)\n" + source
    )
    with pytest.raises(AssertionError, match="with another version of numbaconv: remove its cache"):
        code(upgraded, **environment)


FORKS = """
import os, signal, sys, threading
import numba, numpy as np, numbaconv as nbc
sys.setswitchinterval(1e-5)
@numba.njit(nogil=True)
def convolve(x, w):
    return nbc.conv2d(x, w, padding=1, parallel=False)
w = np.ones((2, 1, 3, 3), "f4")
def new_shapes(first):
    for n in range(first, first + 40):
        x = np.ones((1, 1, 5, n), "f4")
        for _ in range(3):
            y = convolve(x, w)
        assert y[0, 0, 2, 2] == 9
convolve(np.ones((1, 1, 5, 5), "f4"), w)
new_shapes(5)
stop = threading.Event()
def keep_recording():
    first = 100
    while not stop.is_set():
        new_shapes(first)
        first += 40
thread = threading.Thread(target=keep_recording)
thread.start()
for n in range(5):
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        new_shapes(5000)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
stop.set()
thread.join()
print("done")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_forks_while_another_thread_records():
    assert code(FORKS).strip() == "done"


LAYERS = """
import concurrent.futures, os, sys
import numba, numpy as np, numbaconv as nbc
@numba.njit(nogil=True)
def one(x, w):
    return nbc.conv2d(x, w, padding=1)
@numba.njit(parallel=True)
def each(x, w, out):
    for i in numba.prange(len(x)):
        out[i] = nbc.conv2d(x[i], w, padding=1, parallel=False)
    return out
rng = np.random.default_rng(0)
x = rng.standard_normal((6, 8, 32, 32), dtype="f4")
w = rng.standard_normal((8, 8, 3, 3), dtype="f4")
expected = nbc.conv2d(x, w, padding=1)
close = lambda y: np.allclose(y, expected, rtol=1e-4, atol=1e-4)
good = all(close(each(x, w, np.empty_like(expected))) for _ in range(4))
with concurrent.futures.ThreadPoolExecutor(6) as pool:
    good = good and all(pool.map(lambda _: close(one(x, w)), range(60)))
if hasattr(os, "fork"):
    pid = os.fork()
    if pid == 0:
        os._exit(0 if all(close(one(x, w)) for _ in range(4)) else 3)
    good = good and os.waitpid(pid, 0)[1] == 0
print(good, numba.threading_layer())
"""


@pytest.mark.parametrize("layer", ["workqueue", "omp", "tbb"])
def test_threading_layers(layer):
    environment = {"NUMBA_THREADING_LAYER": layer, "NUMBA_NUM_THREADS": "2"}
    if layer == "tbb":
        # The wheel puts its library where the dynamic linker does not look by itself.
        environment["LD_LIBRARY_PATH"] = str(Path(sys.prefix) / "lib")
        found = python("-c", "from numba.np.ufunc import tbbpool", check=False, **environment)
        if found.returncode:
            pytest.skip("there is no TBB here")
    printed = code(LAYERS, **environment)
    # Before that, TBB may say that it could not stop its threads for the fork.
    assert printed.split()[-2:] == ["True", layer]
