"""Convolution and its gradients on the device, against the oracle."""

import naive
import numpy as np
import pytest
from device_cases import CASES, ROUTES, named
from problems import DTYPES, assert_within_bound, noise, small_integers

import numbaconv.cuda as nbcuda
from numbaconv.cuda import depthwise, launch, multiply_gradients, product, tiles, weight_sums

CONVS = {n: getattr(nbcuda, f"conv{n}d") for n in (1, 2, 3)}
INPUT_GRADS = {n: getattr(nbcuda, f"conv{n}d_input_grad") for n in (1, 2, 3)}
WEIGHT_GRADS = {n: getattr(nbcuda, f"conv{n}d_weight_grad") for n in (1, 2, 3)}
BACKWARDS = {n: getattr(nbcuda, f"conv{n}d_backward") for n in (1, 2, 3)}
DEPTHWISE = [case for case in CASES if case.channels == case.groups]


def run(case, x, weight, bias, to_device, layout="channels_first", **options):
    last = layout == "channels_last"
    if last:
        x, weight = naive.channels_last(x), naive.weight_channels_last(weight)
    y = CONVS[case.ndim](
        to_device(np.ascontiguousarray(x)),
        to_device(np.ascontiguousarray(weight)),
        None if bias is None else to_device(bias),
        **case.window, groups=case.groups, padding_mode=case.mode, layout=layout, **options,
    ).copy_to_host()  # fmt: skip
    return naive.channels_first(y) if last else y


@pytest.mark.parametrize(("algorithm", "layout"), ROUTES)
@pytest.mark.parametrize("case", CASES, ids=named)
def test_small_integers_are_exact(case, algorithm, layout, rng, to_device):
    x = small_integers(rng, case.x_shape, "float32")
    weight = small_integers(rng, case.weight_shape, "float32")
    bias = small_integers(rng, (case.outputs,), "float32")
    y = run(case, x, weight, bias, to_device, layout, algorithm=algorithm)
    np.testing.assert_array_equal(y, case.naive(x, weight, bias))


@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
@pytest.mark.parametrize("unrolled", [True, False], ids=["unrolled", "any size"])
@pytest.mark.parametrize("case", DEPTHWISE, ids=named)
def test_depthwise(case, unrolled, layout, rng, to_device, monkeypatch):
    if not unrolled:
        monkeypatch.setattr(launch, "MOST_UNROLLED", 0)
    x = small_integers(rng, case.x_shape, "float32")
    weight = small_integers(rng, case.weight_shape, "float32")
    bias = small_integers(rng, (case.outputs,), "float32")
    y = run(case, x, weight, bias, to_device, layout, algorithm="depthwise")
    np.testing.assert_array_equal(y, case.naive(x, weight, bias))


@pytest.mark.filterwarnings("ignore:overflow encountered")  # the simulator's ints are NumPy's
@pytest.mark.parametrize("algorithm", ["im2col", "direct", "depthwise"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(dtype, algorithm, rng, to_device):
    case = DEPTHWISE[1] if algorithm == "depthwise" else CASES[0]
    draw = noise if np.dtype(dtype).kind in "fc" else small_integers
    x, weight = draw(rng, case.x_shape, dtype), draw(rng, case.weight_shape, dtype)
    bias = draw(rng, (case.outputs,), dtype)
    y = run(case, x, weight, bias, to_device, algorithm=algorithm)
    assert y.dtype == dtype
    if np.dtype(dtype).kind in "fc":
        assert_within_bound(case, y, x, weight, bias)
    else:
        np.testing.assert_array_equal(y, case.naive(x, weight, bias))


def test_mixed_dtypes(rng, to_device):
    case = CASES[1]
    x = small_integers(rng, case.x_shape, "float32")
    weight = small_integers(rng, case.weight_shape, "int16") % 5
    y = run(case, x, weight, None, to_device, dtype="float64")
    assert y.dtype == np.float64
    np.testing.assert_array_equal(y, case.naive(x, weight.astype("float64"), None))


#: Every tile that a GPU gets.
TILES = [
    ("float32", tiles.Tile(128, 128, 8, 8, 8)),
    ("float32", tiles.Tile(64, 128, 8, 8, 8)),
    ("float32", tiles.Tile(32, 128, 8, 4, 8)),
    ("int32", tiles.Tile(64, 64, 8, 4, 4)),
    ("float64", tiles.Tile(64, 64, 8, 4, 4)),
    ("complex128", tiles.Tile(32, 32, 8, 2, 2)),
]


@pytest.mark.filterwarnings("ignore:overflow encountered")  # the simulator's ints are NumPy's
@pytest.mark.parametrize(("dtype", "tile"), TILES)
def test_tiles_of_a_gpu(dtype, tile, rng, to_device, monkeypatch):
    monkeypatch.setattr(tiles, "pick", lambda *_: tile)
    case = CASES[0]
    x = small_integers(rng, case.x_shape, dtype)
    weight = small_integers(rng, case.weight_shape, dtype)
    y = run(case, x, weight, None, to_device, algorithm="direct")
    np.testing.assert_array_equal(y, case.naive(x, weight, None))


def test_tiles_are_those_of_a_gpu(monkeypatch):
    monkeypatch.setattr(tiles, "SIMULATED", False)
    for dtype, expected in (("float32", 3), ("int32", 2), ("float64", 1), ("complex128", 1)):
        found = {tiles.pick(rows, np.dtype(dtype).type) for rows in (8, 64, 128, 512)}
        assert len(found) == expected
        size = 16 if dtype == "complex128" else np.dtype(dtype).itemsize
        for tile in found:
            assert tile in [t for d, t in TILES if np.dtype(d).itemsize == size]


def test_sums_in_parts(rng, to_device, monkeypatch):
    monkeypatch.setattr(product, "splits", lambda *_: 3)
    case = CASES[0]
    x = small_integers(rng, case.x_shape, "float32")
    weight = small_integers(rng, case.weight_shape, "float32")
    bias = small_integers(rng, (case.outputs,), "float32")
    y = run(case, x, weight, bias, to_device, algorithm="direct")
    np.testing.assert_array_equal(y, case.naive(x, weight, bias))


def test_large_indices(rng, to_device, monkeypatch):
    monkeypatch.setattr("numbaconv.cuda.parameters.NARROW", 0)
    case = CASES[1]
    x = small_integers(rng, case.x_shape, "float32")
    weight = small_integers(rng, case.weight_shape, "float32")
    for algorithm in ("im2col", "direct"):
        y = run(case, x, weight, None, to_device, algorithm=algorithm)
        np.testing.assert_array_equal(y, case.naive(x, weight, None))


def test_unbatched(rng, to_device):
    x = small_integers(rng, (3, 5, 6), "float32")
    weight = small_integers(rng, (2, 3, 2, 3), "float32")
    y = nbcuda.conv2d(to_device(x), to_device(weight)).copy_to_host()
    expected = naive.conv(x[None], weight, None, (1, 1), ((0, 0),) * 2, (1, 1), 1)[0]
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize(
    ("x_shape", "weight_shape"),
    [((0, 2, 4, 4), (3, 2, 2, 2)), ((2, 0, 4, 4), (3, 0, 2, 2)), ((2, 2, 4, 4), (0, 2, 2, 2))],
    ids=["no image", "no channel", "no output"],
)
def test_empty(x_shape, weight_shape, rng, to_device):
    x, weight = np.ones(x_shape, "float32"), np.ones(weight_shape, "float32")
    bias = np.arange(weight_shape[0], dtype="float32")
    for algorithm in ("im2col", "direct"):
        y = nbcuda.conv2d(to_device(x), to_device(weight), to_device(bias), algorithm=algorithm)
        y = y.copy_to_host()
        expected = np.broadcast_to(bias[:, None, None], (x_shape[0], weight_shape[0], 3, 3))
        np.testing.assert_array_equal(y, expected if x_shape[1] == 0 else y * 0)
        assert y.shape == expected.shape
        grad = to_device(np.ones(y.shape, "float32"))
        sums = nbcuda.conv2d_weight_grad(to_device(x), weight_shape, grad, algorithm=algorithm)
        assert sums.copy_to_host().shape == weight_shape
        if x_shape[0] == 0:
            assert not sums.copy_to_host().any()
        back = nbcuda.conv2d_input_grad(x_shape, to_device(weight), grad, algorithm=algorithm)
        assert back.copy_to_host().shape == x_shape
        if weight_shape[0] == 0:
            assert not back.copy_to_host().any()


def test_nan_reaches_what_its_window_covers(rng, to_device):
    case = CASES[0]
    x = noise(rng, case.x_shape, "float32")
    x[1, 2, 3, 1] = np.nan
    weight = noise(rng, case.weight_shape, "float32")
    for algorithm in ("im2col", "direct"):
        y = run(case, x, weight, None, to_device, algorithm=algorithm)
        np.testing.assert_array_equal(np.isnan(y), np.isnan(case.naive(x, weight, None)))


@pytest.mark.parametrize(("algorithm", "layout"), ROUTES)
@pytest.mark.parametrize("case", CASES, ids=named)
def test_gradients(case, algorithm, layout, rng, to_device):
    x = small_integers(rng, case.x_shape, "float32")
    weight = small_integers(rng, case.weight_shape, "float32")
    grad = small_integers(rng, case.naive(x, weight, None).shape, "float32")
    window = (case.stride, case.padding, case.dilation, case.groups, case.mode)
    expected = (
        naive.input_grad(case.x_shape, weight, grad, *window),
        naive.weight_grad(x, case.weight_shape, grad, *window),
        grad.sum(axis=(0, *range(2, grad.ndim))),
    )
    last = layout == "channels_last"
    arrays = (grad, x, weight)
    if last:
        arrays = (*map(naive.channels_last, arrays[:2]), naive.weight_channels_last(weight))
    found = BACKWARDS[case.ndim](
        *(to_device(np.ascontiguousarray(a)) for a in arrays), **case.window, groups=case.groups,
        padding_mode=case.mode, layout=layout, algorithm=algorithm,
    )  # fmt: skip
    found_input, found_weight, found_bias = (a.copy_to_host() for a in found)
    if last:
        found_input = naive.channels_first(found_input)
        expected = (expected[0], naive.weight_channels_last(expected[1]), expected[2])
    np.testing.assert_array_equal(found_input, expected[0])
    np.testing.assert_array_equal(found_weight, expected[1])
    np.testing.assert_array_equal(found_bias, expected[2])


@pytest.mark.parametrize("dtype", ["float16", "float64", "complex64", "complex128", "int64"])
def test_gradients_of_dtypes(dtype, rng, to_device):
    case = CASES[1]
    x = small_integers(rng, case.x_shape, dtype if dtype != "int64" else "int8").astype(dtype)
    weight = small_integers(rng, case.weight_shape, "float32").astype(dtype)
    grad = small_integers(rng, case.naive(x, weight, None).shape, "float32").astype(dtype)
    window = (case.stride, case.padding, case.dilation, case.groups)
    if np.dtype(dtype).kind == "c":
        grad = (grad * (2 - 1j)).astype(dtype)
    for algorithm in ("im2col", "direct"):
        found = nbcuda.conv2d_backward(
            *map(to_device, (grad, x, weight)), **case.window, algorithm=algorithm
        )
        back = naive.input_grad(case.x_shape, weight.conj(), grad, *window)
        sums = naive.weight_grad(x.conj(), case.weight_shape, grad, *window)
        np.testing.assert_array_equal(found.input.copy_to_host(), back)
        np.testing.assert_array_equal(found.weight.copy_to_host(), sums)


@pytest.mark.filterwarnings("ignore:overflow encountered")  # the simulator's ints are NumPy's
@pytest.mark.parametrize(
    ("dtype", "tile"),
    [
        ("float32", tiles.Tile(128, 128, 8, 8, 8)),
        ("float32", tiles.Tile(128, 64, 8, 8, 4)),
        ("float32", tiles.Tile(64, 128, 8, 8, 4)),
        ("float32", tiles.Tile(32, 64, 8, 4, 4)),
        ("float32", tiles.Tile(32, 32, 8, 4, 4)),
        *TILES[3:],
    ],
)
def test_weight_tiles_of_a_gpu(dtype, tile, rng, to_device, monkeypatch):
    monkeypatch.setattr(tiles, "pick_for_weights", lambda *_: tile)
    # Enough rows and columns that tiles are not mostly empty.
    shape = (64, 24, 3, 2)
    x = small_integers(rng, (1, 24, 4, 3), dtype)
    grad = small_integers(rng, (1, 64, 2, 2), dtype)
    found = nbcuda.conv2d_weight_grad(to_device(x), shape, to_device(grad)).copy_to_host()
    expected = naive.weight_grad(x.conj(), shape, grad, (1, 1), ((0, 0),) * 2, (1, 1), 1)
    np.testing.assert_array_equal(found, expected)


def test_only_what_is_needed(rng, to_device):
    x, weight = np.ones((1, 2, 3, 3), "f4"), np.ones((2, 2, 2, 2), "f4")
    grad = to_device(np.ones((1, 2, 2, 2), "f4"))
    found = nbcuda.conv2d_backward(grad, to_device(x), to_device(weight), needs=("bias",))
    assert found.input is None
    assert found.weight is None
    np.testing.assert_array_equal(found.bias.copy_to_host(), [4, 4])
    with pytest.raises(ValueError, match="needs"):
        nbcuda.conv2d_backward(grad, to_device(x), to_device(weight), needs=("output",))


@pytest.mark.filterwarnings("ignore:overflow encountered")  # the simulator's ints are NumPy's
@pytest.mark.parametrize("dtype", ["float32", "complex64", "int32"])
def test_long_sums(dtype, rng, to_device, monkeypatch):
    """Sums are long already of eight terms: parts are kept apart, and nothing is lost."""
    for module in (multiply_gradients, product, weight_sums, depthwise):
        monkeypatch.setattr(module, "MOST", 8)
    # No room for parts: a thread adds all terms, the parts of its sum in a wider type.
    monkeypatch.setattr(weight_sums, "_MOST_BYTES", 0)
    for build in (multiply_gradients.weight_sums, depthwise.forward_any):
        build.cache_clear()
    monkeypatch.setattr(launch, "MOST_UNROLLED", 0)
    try:
        for case in (CASES[0], CASES[2], DEPTHWISE[0]):
            x = small_integers(rng, case.x_shape, dtype)
            weight = small_integers(rng, case.weight_shape, dtype)
            for algorithm in ("im2col", "direct", "depthwise"):
                if algorithm == "depthwise" and case.channels > case.groups:
                    continue
                y = run(case, x, weight, None, to_device, algorithm=algorithm)
                np.testing.assert_array_equal(y, case.naive(x, weight, None))
            grad = small_integers(rng, y.shape, dtype)
            found = WEIGHT_GRADS[case.ndim](
                to_device(x), case.weight_shape, to_device(grad), groups=case.groups, **case.window
            )
            expected = naive.weight_grad(
                np.conj(x), case.weight_shape, grad, case.stride, case.padding, case.dilation,
                case.groups,
            )  # fmt: skip
            np.testing.assert_array_equal(found.copy_to_host(), expected)
    finally:
        for build in (multiply_gradients.weight_sums, depthwise.forward_any):
            build.cache_clear()
