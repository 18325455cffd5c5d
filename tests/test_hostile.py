"""Hostile arguments: nothing but clear exceptions and right answers."""

import json
import sys

import pytest
from children import python

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks with limits on memory")


def outcome(*arguments):
    done = python("tests/hostile.py", *arguments)
    result = json.loads(done.stdout)
    assert result["failures"] == []
    assert result["raised"] + result["right"] == result["calls"]
    return result


def test_a_part_of_the_table():
    """Each argument of each function is attacked; which values come now is a matter of a prime."""
    found = outcome("table", "3", "47")
    assert found["calls"] > 350
    assert found["right"] > 50


def test_several_hostile_arguments_at_once():
    found = outcome("fuzz", "1", "400")
    assert found["calls"] == 400


@pytest.mark.long
@pytest.mark.parametrize("half", ["0", "1"])
def test_the_whole_table(half):
    """More than 19,000 calls."""
    found = outcome("table", half, "2")
    assert found["calls"] > 9000
