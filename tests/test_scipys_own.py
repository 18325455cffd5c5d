"""SciPy's own tests of the functions that we replace: what passes there passes here."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from importlib.util import find_spec
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("scipys_own.py")
SUITES = {
    "ndimage": (["scipy.ndimage.tests.test_filters"], 500),
    "signal": (
        [
            "scipy.signal.tests.test_signaltools",
            "-k",
            "TestConvolve or TestCorrelate or convolve2d",
        ],
        100,
    ),
}


def outcomes(whose, arguments, folder):
    """Return the tests that pass, and all that run."""
    report = folder / f"{whose}.xml"
    environment = os.environ | {"PYTEST_ADDOPTS": ""}
    command = [sys.executable, str(SCRIPT), whose, str(report), *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=1800
    )
    assert report.exists(), done.stdout + done.stderr
    found = {}
    for case in ET.parse(report).getroot().iter("testcase"):
        kinds = {child.tag for child in case}
        found[case.get("classname"), case.get("name")] = not kinds & {"failure", "error", "skipped"}
    return {name for name, good in found.items() if good}, set(found)


@pytest.mark.long
@pytest.mark.parametrize("name", SUITES)
def test_what_passes_there_passes_here(name, tmp_path):
    if find_spec(SUITES[name][0][0]) is None:
        pytest.skip("this SciPy comes without its tests")
    arguments, least = SUITES[name]
    theirs, _ = outcomes("theirs", arguments, tmp_path)
    ours, _ = outcomes("ours", arguments, tmp_path)
    assert len(theirs) > least
    assert theirs <= ours, sorted(theirs - ours)
