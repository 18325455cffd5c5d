"""Fixtures and options that all tests share."""

import os

import numba
import pytest
from hypothesis import HealthCheck, settings

from numbaconv.kernels import threads, workspace

# A first call compiles for seconds, so no deadline; the same examples each run, so that CI is
# a fixed point. A long run draws anew with --hypothesis-seed and HYPOTHESIS_PROFILE=thorough.
settings.register_profile(
    "default", deadline=None, max_examples=60, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
settings.register_profile("thorough", settings.get_profile("default"), max_examples=2000,
                          derandomize=False)  # fmt: skip
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_addoption(parser):
    parser.addoption(
        "--serial-only", action="store_true",
        help="run every kernel as its serial twin, which bounds checks can see into",
    )  # fmt: skip


class DirtyWorkspace(workspace.Workspace):
    """A workspace full of NaN (and -1), so that what is read before it is written shows."""

    def __init__(self, nbytes):
        super().__init__(nbytes)
        self._memory[:] = 255


@pytest.fixture(autouse=True)
def dirty_workspaces(monkeypatch):
    """Let no call find zeros, or an earlier call's results, in the memory that it borrows."""
    monkeypatch.setattr(workspace, "Workspace", DirtyWorkspace)
    monkeypatch.setattr(workspace, "_MOST_KEPT", 0)
    monkeypatch.setattr(workspace, "_idle", [])


@pytest.fixture(params=[False, True], ids=["serial", "threads"])
def parallel(request, monkeypatch):
    """Whether kernels run in Numba's threads; then they do, however small the problem."""
    if request.param:
        if request.config.getoption("--serial-only"):
            pytest.skip("--serial-only")
        monkeypatch.setattr(threads, "_SERIAL_WORK", 0)
    return request.param


@pytest.fixture
def threads_restored():
    """Put Numba's number of threads back."""
    before = numba.get_num_threads()
    yield
    numba.set_num_threads(before)
