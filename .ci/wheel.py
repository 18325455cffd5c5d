"""Build the distributions, check them, and run the suite against the installed wheel.

Run as ``python .ci/wheel.py [PYTEST-ARGUMENTS...]``. Leaves wheel and sdist in ``dist``. The suite
runs in an environment that holds the wheel and what it declares, in a folder without the sources.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent
LARGEST = 600_000  # bytes of the wheel: more of it than modules is a mistake


def run(*command, **options):
    """Run a command; its failure is ours."""
    print("+", *command, flush=True)
    subprocess.run([str(part) for part in command], check=True, **options)


def environment(folder):
    """Return the interpreter of a new environment."""
    venv.create(folder, with_pip=True)
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def main():
    """Build, check, install and test."""
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        tools = environment(scratch / "tools")
        run(tools, "-m", "pip", "install", "--quiet", "build", "twine")
        run(tools, "-m", "build", "--outdir", dist, ROOT)
        (wheel,) = dist.glob("*.whl")
        run(tools, "-m", "twine", "check", "--strict", *sorted(dist.iterdir()))
        size = wheel.stat().st_size
        print(f"{wheel.name}: {size} bytes")
        if size > LARGEST:
            raise SystemExit(f"the wheel is larger than {LARGEST} bytes")
        # Without extras: what `pip install numbaconv` gives.
        bare = environment(scratch / "bare")
        run(bare, "-m", "pip", "install", "--quiet", wheel)
        run(bare, "-W", "error", "-c", "import numbaconv", cwd=scratch)
        installed = environment(scratch / "installed")
        run(installed, "-m", "pip", "install", "--quiet", f"{wheel}[test]")
        for name in ("tests", "examples", "docs", "benchmarks"):
            shutil.copytree(ROOT / name, scratch / "suite" / name)
        for name in ("pyproject.toml", "README.md", "CONTRIBUTING.md", "conftest.py"):
            shutil.copy(ROOT / name, scratch / "suite" / name)
        paths = sys.argv[1:] or ["tests"]
        run(installed, "-m", "pytest", *paths, cwd=scratch / "suite")


if __name__ == "__main__":
    main()
