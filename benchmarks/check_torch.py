"""Random convolutions against PyTorch: every argument, dtype and dimension of ``conv*``.

Run as ``python -m benchmarks.check_torch [--problems 1000] [--seed 0]`` in an environment that has
both. Floats are random and must lie within the sum of the two engines' error bounds
(``|y - exact| <= g * (sum |x||w| + |b|)``, see docs/accuracy.md); integers must be equal.
"""

import argparse

import numpy as np

import numbaconv as nbc

CONVS = {1: nbc.conv1d, 2: nbc.conv2d, 3: nbc.conv3d}
PADS = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}
DTYPES = [
    "float32", "float64", "complex64", "complex128", "float16",
    "int8", "int16", "int32", "int64", "uint8",
]  # fmt: skip


def draw(rng):
    """Return a random problem: shapes, and the keywords of a call."""
    ndim = int(rng.integers(1, 4))
    groups = int(rng.choice([1, 1, 2, 3]))
    kernel = rng.integers(1, 6 if ndim < 3 else 4, ndim)
    dilation = rng.integers(1, 4, ndim)
    padding = [tuple(map(int, rng.integers(0, 5, 2))) for _ in range(ndim)]
    span = dilation * (kernel - 1) + 1
    low = np.maximum(1, span - [a + b for a, b in padding])
    # PyTorch reflects and wraps by less than the input's size only.
    mode = str(rng.choice(list(PADS)))
    size = low + rng.integers(0, [0, 200, 30, 9][ndim], ndim)
    if mode != "zeros":
        size = np.maximum(size, 5)
    channels, outputs = groups * int(rng.integers(1, 20)), groups * int(rng.integers(1, 20))
    keywords = {
        "stride": tuple(map(int, rng.integers(1, 4, ndim))),
        "dilation": tuple(map(int, dilation)),
        "groups": groups,
    }
    shapes = (int(rng.integers(1, 4)), channels, *size), (outputs, channels // groups, *kernel)
    return ndim, *shapes, padding, mode, keywords


def values(rng, shape, dtype):
    dtype = np.dtype(dtype)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
    if dtype.kind == "c":
        return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)
    return rng.standard_normal(shape).astype(dtype)


def torch_result(ndim, x, weight, bias, padding, mode, keywords):
    """Run PyTorch: padding apart from the convolution, small integers wide and wrapped after."""
    import torch  # here: asv imports every module of this folder, in environments without it

    kind = x.dtype.kind
    wide = np.dtype("int64") if kind in "iu" else np.dtype("f8") if x.dtype == "f2" else x.dtype
    tensors = [None if a is None else torch.from_numpy(a.astype(wide)) for a in (x, weight, bias)]
    flat = [v for pair in reversed(padding) for v in pair]
    if kind in "iu" and mode != "zeros":
        widths = [(0, 0), (0, 0), *padding]
        numpy_mode = {"replicate": "edge", "circular": "wrap"}.get(mode, mode)
        tensors[0] = torch.from_numpy(np.pad(x.astype(wide), widths, mode=numpy_mode))
    elif kind == "c" and mode != "zeros":
        parts = [torch.nn.functional.pad(p, flat, PADS[mode]) for p in
                 (tensors[0].real.contiguous(), tensors[0].imag.contiguous())]  # fmt: skip
        tensors[0] = torch.complex(*parts)
    else:
        tensors[0] = torch.nn.functional.pad(tensors[0], flat, PADS[mode])
    return getattr(torch.nn.functional, f"conv{ndim}d")(*tensors, **keywords).numpy()


def bound(ndim, x, weight, bias, padding, mode, keywords, dtype):
    """Return the error bound of one engine computing in `dtype`."""
    absolute = [None if a is None else np.abs(a).astype(np.float64) for a in (x, weight, bias)]
    terms = int(np.prod(weight.shape[1:]))
    unit = np.finfo(np.float32 if dtype == np.float16 else dtype).eps / 2
    if np.dtype(dtype).kind == "c":
        terms = 2 * terms + 1
    growth = (terms + 1) * unit / (1 - (terms + 1) * unit)
    if np.dtype(dtype).kind == "c":
        growth *= np.sqrt(2)
    return growth * torch_result(ndim, *absolute, padding, mode, keywords)


def check(rng):
    """Run one random problem on both; return its dtype."""
    ndim, x_shape, weight_shape, padding, mode, keywords = draw(rng)
    dtype = np.dtype(str(rng.choice(DTYPES)))
    x, weight = values(rng, x_shape, dtype), values(rng, weight_shape, dtype)
    bias = values(rng, weight_shape[:1], dtype) if rng.random() < 0.5 else None
    expected = torch_result(ndim, x, weight, bias, padding, mode, keywords)
    last = rng.random() < 0.5
    ours_x, ours_weight = x, weight
    if last:
        ours_x = np.moveaxis(x, 1, -1)
        ours_weight = np.moveaxis(weight, (0, 1), (-1, -2))
        if rng.random() < 0.5:
            ours_x = np.ascontiguousarray(ours_x)
    if rng.random() < 0.3:
        ours_x = ours_x[..., ::-1].copy()[..., ::-1]
    if rng.random() < 0.2:
        ours_x = ours_x.astype(dtype.newbyteorder())
    batched = rng.random() < 0.8
    y = CONVS[ndim](
        ours_x if batched else ours_x[0], ours_weight, bias,
        padding=tuple(padding), padding_mode=mode, algorithm="im2col",
        layout="channels_last" if last else "channels_first",
        parallel=bool(rng.random() < 0.7), **keywords,
    )  # fmt: skip
    assert y.dtype == dtype
    if not batched:
        y, expected = y[None], expected[:1]
    if last:
        y = np.moveaxis(y, -1, 1)
    assert y.shape == expected.shape, (y.shape, expected.shape)
    if dtype.kind in "iu":
        np.testing.assert_array_equal(y, expected.astype(dtype))
        return str(dtype)
    allowed = bound(ndim, x, weight, bias, padding, mode, keywords, dtype)[: len(y)]
    if dtype == np.float16:  # PyTorch summed in float64
        allowed = allowed + np.spacing(np.abs(expected).astype(dtype)).astype(np.float64) / 2
    else:
        allowed = 2 * allowed
    error = np.abs(y.astype(np.result_type(dtype, np.float64)) - expected)
    assert (error <= allowed).all(), f"error {error.max()} where {allowed.min()} is allowed"
    return str(dtype)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    counts = dict.fromkeys(DTYPES, 0)
    for number in range(options.problems):
        state = rng.bit_generator.state
        try:
            counts[check(rng)] += 1
        except Exception as error:
            replay = np.random.default_rng()
            replay.bit_generator.state = state
            raise AssertionError(
                f"problem {number} of seed {options.seed}: {draw(replay)}"
            ) from error
    print(f"{options.problems} problems agree:", counts)


if __name__ == "__main__":
    main()
