"""What a release says of itself, in one voice."""

import re
import tomllib
from pathlib import Path

import pytest

import numbaconv as nbc

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_one_version():
    citation = ROOT / "CITATION.cff"
    if citation.exists():  # it is no part of what an installed wheel is tested with
        (cited,) = re.findall(r"^version: (.+)$", citation.read_text(), re.MULTILINE)
        assert cited == PROJECT["version"]
    assert nbc.__version__ == PROJECT["version"]


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    """Links to files of the repository, and to pages."""
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text()):
        if target.startswith("gallery/"):
            name = target.removeprefix("gallery/")
            assert (ROOT / "examples" / "gallery" / f"{name}.py").exists(), target
        elif (page.parent / target).suffix:
            assert (page.parent / target).exists(), target


def test_commands_are_on_pages_whose_commands_are_run():
    """`.ci/run` runs every block of shell commands of these pages, each in a fresh environment."""
    run = {"README.md": 3, "benchmarks/README.md": 1, "docs/onnx.md": 1}
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("benchmarks/*.md")]
    fences = re.compile(r"^```(?:sh|shell|bash|console)\s*$", re.MULTILINE)
    found = {p.relative_to(ROOT).as_posix(): len(fences.findall(p.read_text())) for p in pages}
    assert {page: count for page, count in found.items() if count} == run


def test_every_function_is_in_the_reference():
    reference = (ROOT / "docs" / "reference.md").read_text()
    listed = set(re.findall(r"^   ([\w.]+)$", reference, re.MULTILINE))
    types = {"Algorithm", "IntOrAxes", "Layout", "Padding", "PaddingMode", "Patches"}
    assert set(nbc.__all__) - types <= listed
    for door in ("ndimage", "signal", "onnx"):
        module = __import__(f"numbaconv.{door}", fromlist=["__all__"])
        assert {f"{door}.{name}" for name in module.__all__} <= listed
