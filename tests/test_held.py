"""What outlives a call: how it is measured, and that the oldest goes first."""

import gc

import numpy as np
import pytest

import numbaconv as nbc
from numbaconv.kernels import held, workspace


@pytest.fixture(autouse=True)
def nothing_held():
    nbc.release_memory()
    yield
    nbc.release_memory()


def test_the_oldest_goes_first(monkeypatch):
    monkeypatch.setattr(held, "PLANS", 100_000)
    for n in range(30):
        held.keep(("key", n), np.zeros(1000))
    assert held.find(("key", 0)) is None
    assert held.find(("key", 29)) is not None
    kept = [n for n in range(30) if held.find(("key", n)) is not None]
    assert kept == list(range(kept[0], 30))
    assert 3 < len(kept) < 13
    assert nbc.memory().plans <= 100_000


def test_entries_of_nothing_count():
    for n in range(50_000):
        held.keep(("key", n), True)
    assert nbc.memory().plans <= held.PLANS
    assert held.find(("key", 0)) is None


def test_what_an_entry_comes_to_hold_counts(monkeypatch):
    monkeypatch.setattr(held, "PLANS", 1_000_000)
    values = [{} for _ in range(4)]
    for n, value in enumerate(values):
        held.keep(("key", n), value)
    for value in values:
        value["table"] = np.zeros(50_000)
        held.grew(value["table"])
    assert nbc.memory().plans <= 1_000_000
    assert held.find(("key", 3)) is not None


def test_arrays_are_counted_once():
    array = np.zeros(1000)
    once = held.measured(array)
    assert 8000 <= once < 9000
    assert held.measured([array, array[3:], {"a": array}]) < once + 1000


def test_one_object_for_the_same_arguments():
    class Built:
        def __init__(self, *key):
            self.key = key

    build = held.shared(Built)
    first = build(1, "a")
    assert build(1, "a") is first
    assert build(2, "a") is not first
    nbc.release_memory()
    assert build(1, "a") is first
    del first
    nbc.release_memory()
    gc.collect()
    assert build(1, "a").key == (1, "a")


def test_plans_are_forgotten():
    x, weight = np.ones((1, 3, 20, 20), "f4"), np.ones((4, 3, 3, 3), "f4")
    nbc.conv2d(x, weight)
    assert nbc.memory().plans > 0
    assert "total" not in vars(nbc.memory())
    assert nbc.memory().total >= nbc.memory().plans
    nbc.release_memory()
    assert nbc.memory().plans == 0


def test_workspaces(monkeypatch):
    monkeypatch.setattr(workspace, "_MOST_KEPT", 3)
    monkeypatch.setattr(held, "WORKSPACES", 10_000)
    spaces = [workspace.Workspace(n) for n in (3000, 4000, 2000, 5000, 20_000)]
    for space in spaces:
        workspace.give_back(space)
    assert workspace.held_nbytes() == 7000  # the two newest that fit
    assert workspace.take(1500) is spaces[2]
    assert workspace.take(2500) is spaces[3]
    assert workspace.take(100).nbytes == 100
