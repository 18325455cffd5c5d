"""What holds of every convolution, over random problems, in exact integers."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from problems import CONVS, cases

seeds = st.integers(0, 999)


def draw(case, seed, count):
    rng = np.random.default_rng(seed)
    xs = [rng.integers(-99, 99, case.x_shape) for _ in range(count)]
    return xs, rng.integers(-99, 99, case.weight_shape)


@given(case=cases(), seed=seeds)
def test_linear_in_the_input(case, seed):
    (a, b), weight = draw(case, seed, 2)
    together = case.run(3 * a - 2 * b, weight, None)
    apart = 3 * case.run(a, weight, None) - 2 * case.run(b, weight, None)
    np.testing.assert_array_equal(together, apart)


@given(case=cases(), seed=seeds)
def test_linear_in_the_weights(case, seed):
    (x,), weight = draw(case, seed, 1)
    other = weight[::-1].copy()
    np.testing.assert_array_equal(
        case.run(x, weight + 5 * other, None),
        case.run(x, weight, None) + 5 * case.run(x, other, None),
    )


@given(case=cases(modes=("zeros",)), seed=seeds, shift=st.integers(1, 4))
def test_shift_equivariant(case, seed, shift):
    """Zeros in front of the input put outputs of zeros (and the old borders) in front."""
    (x,), weight = draw(case, seed, 1)
    moved = np.zeros((*x.shape[:-1], x.shape[-1] + shift * case.stride[-1]), x.dtype)
    moved[..., shift * case.stride[-1] :] = x
    y = case.run(x, weight, None)
    y_moved = case.run(moved, weight, None)
    np.testing.assert_array_equal(y_moved[..., shift : shift + y.shape[-1]], y)


@given(case=cases(), seed=seeds)
def test_layouts_agree(case, seed):
    (x,), weight = draw(case, seed, 1)
    np.testing.assert_array_equal(
        case.run(x, weight, None, "channels_last"), case.run(x, weight, None, "channels_first")
    )


@given(case=cases(ndims=(2,)), seed=seeds)
def test_axes_swap(case, seed):
    (x,), weight = draw(case, seed, 1)
    y = CONVS[2](
        x.swapaxes(2, 3), weight.swapaxes(2, 3), None, case.stride[::-1], case.padding[::-1],
        case.dilation[::-1], case.groups, padding_mode=case.mode,
    )  # fmt: skip
    np.testing.assert_array_equal(y.swapaxes(2, 3), case.run(x, weight, None))


@given(case=cases(), seed=seeds)
def test_groups_are_separate_convolutions(case, seed):
    (x,), weight = draw(case, seed, 1)
    blocks = [
        CONVS[case.ndim](part, kernels, None, **case.window, padding_mode=case.mode)
        for part, kernels in zip(
            np.split(x, case.groups, axis=1), np.split(weight, case.groups), strict=True
        )
    ]
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), case.run(x, weight, None))
