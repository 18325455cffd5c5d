"""Running code in fresh Python processes."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def python(*arguments, timeout=600, check=True, **environment):
    """Run ``python *arguments`` from the project's root and return the finished process."""
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    if check and result.returncode:
        raise AssertionError(f"exit status {result.returncode}\n{result.stdout}\n{result.stderr}")
    return result


def code(source, **keywords):
    """Run Python source in a fresh process, which must not complain, and return its output."""
    result = python("-W", "error", "-c", source, **keywords)
    assert result.stderr == ""
    return result.stdout
