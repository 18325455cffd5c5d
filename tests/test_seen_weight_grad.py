"""Weight gradients that leave out what lies in the padding: exact, and what is not finite."""

import numba
import numpy as np
import pytest
from problems import Case, noise
from test_gradients import LAYOUTS, arrays, weight_grad

from numbaconv.problem.geometry import ConvGeometry
from numbaconv.problem.options import ConvOptions
from numbaconv.weight_grad import direct

#: Wide dilation, large kernels on small maps, strides, groups, depths, one axis, chunks of rows,
#: and taps that see nothing at all.
CASES = [
    Case(9, 20, 33, 1, (13, 7), (3, 3), (1, 1), ((6, 6), (6, 6)), (6, 6)),
    Case(5, 32, 20, 1, (7, 9), (7, 5), (1, 1), ((3, 3), (2, 2)), (1, 1)),
    Case(3, 32, 24, 2, (9, 10), (5, 3), (2, 1), ((4, 2), (3, 1)), (1, 2)),
    Case(2, 16, 5, 1, (4, 9, 8), (3, 3, 2), (1, 2, 1), ((2, 2), (2, 1), (3, 2)), (2, 1, 3)),
    Case(3, 32, 21, 1, (40,), (21,), (1,), ((20, 20),), (2,)),
    Case(1, 128, 40, 1, (70, 40), (3, 3), (1, 1), ((18, 18), (18, 18)), (18, 18)),
    Case(2, 16, 16, 1, (3, 4), (3, 3), (1, 1), ((6, 6), (7, 6)), (5, 6)),
    Case(2, 16, 16, 1, (8, 30), (3, 3), (2, 2), ((0, 7), (9, 9)), (3, 9)),
]


def plan_of(case, dtype="f4"):
    options = ConvOptions(ndim=case.ndim, **case.window, groups=case.groups)
    return direct.plan(
        ConvGeometry.parse(options, case.x_shape, case.weight_shape), np.dtype(dtype)
    )  # fmt: skip


@pytest.fixture
def rng():
    return np.random.default_rng(20261129)


@pytest.mark.usefixtures("threads_restored")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", CASES)
class TestCases:
    @pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "int64"])
    def test_exact(self, case, dtype, layout, rng):
        x, _, grad = arrays(case, dtype, rng)
        assert len(plan_of(case).seen)
        expected = weight_grad(case, x, grad, layout, algorithm="im2col")
        for parallel in (True, False):
            found = weight_grad(case, x, grad, layout, algorithm="direct", parallel=parallel)
            np.testing.assert_array_equal(found, expected)

    def test_threads_change_no_bit(self, case, layout, rng):
        x, _, grad = arrays(case, "float32", rng, noise)
        found = []
        for count in (1, numba.config.NUMBA_NUM_THREADS):
            numba.set_num_threads(count)
            found.append(weight_grad(case, x, grad, layout))
        np.testing.assert_array_equal(*found)

    @pytest.mark.parametrize("value", [np.inf, np.nan])
    def test_gradients_that_are_not_finite(self, case, layout, value, rng):
        """Times the zeros of padding they are NaN, as for the reference."""
        x, _, grad = arrays(case, "float32", rng)
        x[x == 0] = 1
        places = [0, -1] if value is np.inf else [grad[0, 0].size // 2]
        for image, place in enumerate(places):
            grad[image % len(grad), 1].reshape(-1)[place] = value
        expected = weight_grad(case, x, grad, layout, algorithm="im2col")
        found = weight_grad(case, x, grad, layout, algorithm="direct")
        np.testing.assert_array_equal(found, expected)
        assert not np.isfinite(expected).all()


def test_what_does_not_pay_is_left_alone():
    large = Case(1, 64, 64, 1, (56, 56), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
    few = Case(1, 3, 64, 1, (9, 9), (7, 7), (1, 1), ((3, 3), (3, 3)), (1, 1))
    for case in (large, few):
        assert not len(plan_of(case).seen)
