"""im2col, col2im and kernel_matrix against the oracle, and their identities."""

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import AWKWARD, DTYPES, Case, cases, noise, small_integers, twins

import numbaconv as nbc

FORMS = [
    (layout, patches)
    for layout in ("channels_first", "channels_last")
    for patches in ("columns", "rows")
]
#: What is threaded of all that is only moved: its machine code knows no dtype, but a size.
MOVED = ("float32",)
SKEW = Case(2, 3, 1, 1, (9, 11), (3, 2), (2, 1), ((1, 0), (2, 3)), (1, 3))
VOLUME = Case(2, 2, 1, 1, (4, 5, 6), (2, 3, 2), (1, 2, 1), ((0, 1), (2, 0), (1, 1)), (2, 1, 3))
SIGNAL = Case(2, 3, 1, 1, (17,), (4,), (3,), ((2, 1),), (2,))
SAME_SIZE = Case(2, 3, 1, 1, (7, 9), (3, 5), (1, 1), ((1, 1), (2, 2)), (1, 1))
WIDE = Case(1, 2, 1, 1, (3, 2), (3, 3), (1, 1), ((4, 4), (5, 5)), (4, 5))
PLANES = Case(1, 2, 1, 1, (5, 4, 6), (3, 3, 3), (2, 1, 1), ((1, 1), (1, 1), (1, 1)), (1, 1, 1))
CASES = (SKEW, VOLUME, SIGNAL, SAME_SIZE, WIDE, PLANES)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def to_form(cols, case, layout, patches):
    """Bring the oracle's patches into another order and orientation."""
    if layout == "channels_last":
        cols = naive.patch_order_last(cols, int(np.prod(case.kernel)))
    return cols.swapaxes(1, 2) if patches == "rows" else cols


def unfolded(x, case, layout="channels_first", **keywords):
    x = naive.channels_last(x) if layout == "channels_last" else x
    return nbc.im2col(
        x, case.kernel, case.dilation, case.padding, case.stride, padding_mode=case.mode,
        layout=layout, **keywords,
    )  # fmt: skip


def folded(cols, case, layout="channels_first", **keywords):
    y = nbc.col2im(
        cols, case.size, case.kernel, case.dilation, case.padding, case.stride, layout=layout,
        **keywords,
    )  # fmt: skip
    return naive.channels_first(y) if layout == "channels_last" else y


def oracle(x, case):
    return naive.im2col(x, case.kernel, case.stride, case.padding, case.dilation, case.mode)


@pytest.mark.parametrize(("layout", "patches"), FORMS)
@pytest.mark.parametrize(("dtype", "parallel"), twins(DTYPES, MOVED), indirect=["parallel"])
def test_im2col_of_every_dtype(layout, patches, dtype, parallel, rng):
    for case in CASES:
        x = small_integers(rng, case.x_shape, dtype)
        cols = unfolded(x, case, layout, patches=patches, parallel=parallel)
        assert cols.dtype == dtype
        np.testing.assert_array_equal(cols, to_form(oracle(x, case), case, layout, patches))


@pytest.mark.parametrize(("layout", "patches"), FORMS)
@pytest.mark.parametrize(
    ("dtype", "parallel"),
    twins(["float32", "complex64", "uint8", "int16", "int64", "float16"], MOVED),
    indirect=["parallel"],
)  # fmt: skip
def test_col2im(layout, patches, dtype, parallel, rng):
    for case in CASES:
        plain = small_integers(rng, oracle(np.zeros(case.x_shape), case).shape, dtype)
        cols = to_form(plain, case, layout, patches)
        x = folded(cols, case, layout, patches=patches, parallel=parallel)
        assert x.dtype == dtype
        expected = naive.col2im(
            plain, case.size, case.kernel, case.stride, case.padding, case.dilation
        )
        np.testing.assert_array_equal(x, expected)


@given(case=cases(), form=st.sampled_from(FORMS), seed=st.integers(0, 99))
def test_random_windows(case, form, seed):
    layout, patches = form
    x = noise(np.random.default_rng(seed), case.x_shape, "float32")
    cols = unfolded(x, case, layout, patches=patches, parallel=False)
    np.testing.assert_array_equal(cols, to_form(oracle(x, case), case, layout, patches))


@given(case=cases(modes=("zeros",)), form=st.sampled_from(FORMS), seed=st.integers(0, 99))
def test_the_adjoint_is_exact(case, form, seed):
    """<im2col(x), c> == <x, col2im(c)>, in integers."""
    layout, patches = form
    rng = np.random.default_rng(seed)
    x = rng.integers(-99, 99, case.x_shape)
    form = {"patches": patches, "parallel": False}
    cols = unfolded(x, case, layout, **form)
    c = rng.integers(-99, 99, cols.shape)
    assert (cols * c).sum() == (x * folded(c, case, layout, **form)).sum()


@given(case=cases(modes=("zeros",)))
def test_folding_counts_the_overlaps(case):
    x = np.arange(1, 1 + np.prod(case.x_shape)).reshape(case.x_shape)
    one, many = (
        folded(unfolded(a, case, parallel=False), case, parallel=False)
        for a in (np.ones_like(x), x)
    )
    np.testing.assert_array_equal(many, x * one)


@given(
    case=cases(),
    seed=st.integers(0, 99),
    layout=st.sampled_from(["channels_first", "channels_last"]),
)
def test_the_product_of_the_matrices_is_the_convolution(case, seed, layout):
    rng = np.random.default_rng(seed)
    x = rng.integers(-99, 99, case.x_shape)
    weight = rng.integers(-99, 99, case.weight_shape)
    expected = case.naive(x, weight, None)
    ordered = naive.weight_channels_last(weight) if layout == "channels_last" else weight
    size = case.channels // case.groups
    per_group = case.outputs // case.groups
    for g in range(case.groups):
        block = x[:, g * size : (g + 1) * size]
        matrix = nbc.kernel_matrix(ordered, case.groups, layout=layout)
        rows = nbc.kernel_matrix(ordered, case.groups, layout=layout, patches="rows")
        if case.groups > 1:
            matrix, rows = matrix[g], rows[g]
        y = matrix @ unfolded(block, case, layout)
        np.testing.assert_array_equal(rows, matrix.T)
        y_rows = unfolded(block, case, layout, patches="rows") @ rows
        np.testing.assert_array_equal(y_rows, y.swapaxes(1, 2))
        part = expected[:, g * per_group : (g + 1) * per_group]
        np.testing.assert_array_equal(nbc.col2im(y, part.shape[2:], (1,) * case.ndim), part)


@pytest.mark.parametrize("name", AWKWARD)
@pytest.mark.parametrize(
    ("dtype", "parallel"), twins(["float32", "float16"], MOVED), indirect=["parallel"]
)
def test_awkward_arrays(name, dtype, parallel, rng):
    hold = AWKWARD[name]
    for case in (SKEW, SIGNAL, SAME_SIZE):
        for layout, patches in FORMS:
            x = noise(rng, case.x_shape, dtype)
            plain = unfolded(x, case, layout, patches=patches, parallel=parallel)
            held = unfolded(hold(x), case, layout, patches=patches, parallel=parallel)
            np.testing.assert_array_equal(held, plain)
            assert held.dtype.isnative
            back = folded(plain, case, layout, patches=patches, parallel=parallel)
            held = folded(hold(plain), case, layout, patches=patches, parallel=parallel)
            np.testing.assert_array_equal(held, back)
            if name not in ("read-only", "byte-swapped"):
                out = hold(np.full(plain.shape, np.nan, dtype))
                assert unfolded(x, case, layout, patches=patches, parallel=parallel, out=out) is out
                np.testing.assert_array_equal(out, plain)
                shape = naive.channels_last(back).shape if layout == "channels_last" else back.shape
                out = hold(np.full(shape, np.nan, dtype))
                folded(plain, case, layout, patches=patches, parallel=parallel, out=out)
                np.testing.assert_array_equal(
                    naive.channels_first(out) if layout == "channels_last" else out, back
                )


def test_out_may_overlap_the_input(rng):
    memory = np.arange(40.0)
    x = memory[:16].reshape(1, 4, 4)
    expected = nbc.im2col(x, (2, 2))
    np.testing.assert_array_equal(nbc.im2col(x, (2, 2), out=memory[4:].reshape(4, 9)), expected)
    cols = memory[:36].reshape(4, 9)
    expected = nbc.col2im(cols, (4, 4), (2, 2))
    got = nbc.col2im(cols, (4, 4), (2, 2), out=memory[20:36].reshape(1, 4, 4))
    np.testing.assert_array_equal(got, expected)


def test_int_kernel_takes_the_axes_of_a_batched_input(rng):
    for shape in ((2, 3, 5, 6), (2, 3, 4, 5, 6)):
        x = small_integers(rng, shape, "int32")
        ndim = len(shape) - 2
        np.testing.assert_array_equal(nbc.im2col(x, 2), nbc.im2col(x, (2,) * ndim))
    with pytest.raises(ValueError, match="pass a tuple"):
        nbc.im2col(np.ones((2, 3, 5)), 2)
    assert nbc.im2col(np.ones((2, 3, 5)), (2,)).shape == (2, 6, 4)
    assert nbc.im2col(np.ones((2, 3, 5)), (2, 2)).shape == (8, 8)


def test_positional_calls_of_unfold_and_fold_move_over(rng):
    x = small_integers(rng, (2, 3, 9, 9), "float32")
    cols = nbc.im2col(x, 3, 2, 1, 2)
    np.testing.assert_array_equal(
        cols, nbc.im2col(x, kernel_size=(3, 3), dilation=2, padding=1, stride=2)
    )
    assert nbc.col2im(cols, 9, 3, 2, 1, 2).shape == x.shape
    assert nbc.col2im(cols, (9, 9), 3, 2, 1, 2).shape == x.shape


def test_unbatched(rng):
    x = small_integers(rng, SKEW.x_shape, "int32")
    cols = unfolded(x, SKEW)
    np.testing.assert_array_equal(unfolded(x[0], SKEW), cols[0])
    np.testing.assert_array_equal(folded(cols[0], SKEW), folded(cols, SKEW)[0])


def test_float16_is_summed_in_float32():
    # 2048 + 1 + 1 in float16 steps stays 2048.
    cols = np.zeros((3, 3), np.float16)
    cols[2, 0], cols[1, 1], cols[0, 2] = 2048, 1, 1
    assert nbc.col2im(cols, (1,), (3,), 1, 2)[0, 0] == 2050


def test_bits_are_moved_as_they_are():
    signalling = np.array([[0x7FA00000, 0x80000000, 0xFFC12345]], np.uint32).view(np.float32)
    cols = nbc.im2col(signalling, (2,))
    np.testing.assert_array_equal(cols.view(np.uint32)[0], signalling.view(np.uint32)[0, :2])


@pytest.mark.parametrize("patches", ["columns", "rows"])
def test_empty(patches):
    assert nbc.im2col(np.ones((0, 3, 5, 5)), 2, patches=patches).size == 0
    assert nbc.im2col(np.ones((2, 0, 5, 5)), 2, patches=patches).size == 0
    cols = np.ones((2, 0, 16)) if patches == "columns" else np.ones((2, 16, 0))
    assert nbc.col2im(cols, (5, 5), 2, patches=patches).shape == (2, 0, 5, 5)
    cols = np.ones((1, 2, 3)) if patches == "columns" else np.ones((1, 3, 2))
    assert nbc.col2im(cols, (0,), (2,), padding=2, patches=patches).shape == (1, 1, 0)


def test_a_row_that_no_patch_covers_is_zero():
    out = np.full((1, 1, 5), np.nan)
    nbc.col2im(np.ones((1, 1, 2)), (5,), (1,), stride=3, out=out)
    np.testing.assert_array_equal(out, [[[1, 0, 0, 1, 0]]])


class TestKernelMatrix:
    def test_forms(self):
        weight = np.arange(4 * 3 * 2).reshape(4, 3, 2)
        np.testing.assert_array_equal(nbc.kernel_matrix(weight), weight.reshape(4, 6))
        np.testing.assert_array_equal(
            nbc.kernel_matrix(weight, patches="rows"), weight.reshape(4, 6).T
        )
        np.testing.assert_array_equal(nbc.kernel_matrix(weight, 2), weight.reshape(2, 2, 6))
        last = naive.weight_channels_last(weight)
        np.testing.assert_array_equal(
            nbc.kernel_matrix(last, layout="channels_last", patches="rows"), last.reshape(6, 4)
        )
        groups = nbc.kernel_matrix(last, 2, layout="channels_last", patches="rows")
        np.testing.assert_array_equal(groups[1], last.reshape(6, 4)[:, 2:])

    def test_errors(self):
        with pytest.raises(ValueError, match="weight must have at least 1 along every kernel axis"):
            nbc.kernel_matrix(np.ones((2, 1, 0)))
        with pytest.raises(ValueError, match="weight must have 3 to 5 axes"):
            nbc.kernel_matrix(np.ones((3, 3)))
        with pytest.raises(ValueError, match="groups must divide the 4 output channels, got 3"):
            nbc.kernel_matrix(np.ones((4, 3, 2)), 3)
        with pytest.raises(TypeError, match="the dtype of weight"):
            nbc.kernel_matrix(np.ones((4, 3, 2), bool))


class TestErrors:
    def test_col2im_shapes(self):
        with pytest.raises(ValueError, match=r"with L = 16 = prod\(4, 4\) patches, got 15"):
            nbc.col2im(np.ones((1, 4, 15)), (5, 5), 2)
        with pytest.raises(ValueError, match=r"multiple of prod\(kernel_size\) = 4 .* got 6"):
            nbc.col2im(np.ones((1, 6, 16)), (5, 5), 2)
        with pytest.raises(ValueError, match="cols must have 3 axes"):
            nbc.col2im(np.ones(16), (5, 5), 2)
        with pytest.raises(ValueError, match="kernel_size must be an int or one int per"):
            nbc.col2im(np.ones((1, 4, 16)), (5, 5), (2,))

    def test_what_does_not_fit_is_named(self):
        with pytest.raises(ValueError, match="spans 3, but output_size has 2"):
            nbc.col2im(np.ones((1, 9, 1)), (2, 2), 3)
        with pytest.raises(TypeError, match="kernel_size must be an int"):
            nbc.im2col(np.ones((1, 1, 3, 3)), [[1, 2], 3])

    def test_kinds(self):
        with pytest.raises(TypeError, match="the dtype of x must be float16"):
            nbc.im2col(np.ones((1, 1, 3, 3), bool), 2)
        with pytest.raises(
            TypeError, match=r"stride must be an int or one int per spatial axis .*, got 1\.5"
        ):
            nbc.im2col(np.ones((1, 1, 3, 3)), 2, stride=1.5)
        with pytest.raises(ValueError, match="patches must be one of 'columns', 'rows'"):
            nbc.im2col(np.ones((1, 1, 3, 3)), 2, patches="blocks")
        with pytest.raises(ValueError, match="kernel_size must have 1 to 3 entries"):
            nbc.im2col(np.ones((1, 1, 3, 3)), (1, 1, 1, 1))
        with pytest.raises(ValueError, match="kernel_size must be from 1"):
            nbc.im2col(np.ones((1, 1, 3, 3)), 0)
