"""The rooms of the package: what stands in its root, and who may import from whom."""

import ast
from pathlib import Path

import pytest

import numbaconv

#: The package as it is imported, which need not be the checkout's.
PACKAGE = Path(numbaconv.__file__).parent
#: From which folders each folder's modules may import, beside its own.
FLOORS = {
    "problem": (),
    "kernels": ("problem",),
    "native": ("problem", "kernels"),
    "teams": ("problem", "kernels", "native"),
    "filtering": ("problem", "kernels", "native", "teams"),
    "pooling": ("problem", "kernels", "native", "teams", "running"),
    "routes": ("problem", "kernels", "native", "teams", "running"),
    "reference": ("problem", "kernels", "native", "running", "routes"),
    "running": ("problem", "kernels", "native", "teams", "routes"),
    "adjoint": ("problem", "kernels", "native", "teams", "running", "routes", "reference"),
    "weight_grad": ("problem", "kernels", "native", "teams", "running", "routes", "reference"),
}
FLOORS["host"] = tuple(FLOORS)
#: Who opens doors; nobody below may know of them.
ABOVE = ("api", "ndimage", "signal", "nopython", "cuda", "dask", "onnx", "cli", "bench")


def name_of(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported(tree, *, everywhere=False):
    """Yield the modules that a tree imports, at its top, or in functions, too."""
    for node in ast.walk(tree) if everywhere else statements(tree.body):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def statements(body):
    """Yield the statements of a module that run, or would for a type checker, at its import."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try):
            yield from statements(node.body + node.orelse)


def imports_of(name, **keywords):
    tree = ast.parse(MODULES[name].read_text())
    return {found for found in imported(tree, **keywords) if found in MODULES}


def folder_of(module):
    return module.split(".")[1] if "." in module else ""


def test_the_root_holds_folders():
    files = {path.name for path in PACKAGE.iterdir() if path.is_file()}
    assert files == {"__init__.py", "__main__.py", "py.typed"}
    for folder in PACKAGE.iterdir():
        if folder.is_dir() and folder.name != "__pycache__":
            first = ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))
            assert first, f"{folder.name}/__init__.py does not say what lives there"


@pytest.mark.parametrize("folder", FLOORS)
def test_nobody_imports_from_above(folder):
    allowed = {folder, *FLOORS[folder]}
    for name in MODULES:
        if folder_of(name) == folder:
            # What a function imports when it first runs counts as well: it is known of.
            for found in imports_of(name, everywhere=True):
                assert folder_of(found) not in ABOVE, f"{name} imports {found}"
            for found in imports_of(name):
                assert folder_of(found) in allowed, f"{name} imports {found}"


def test_no_inline_assembly():
    """Numba's LLVM parses none on processors other than x86: it ends the process there."""
    for path in MODULES.values():
        assert "InlineAsm" not in path.read_text(), path


def test_there_are_no_cycles():
    # Below the doors, what functions import when they run counts, too.
    graph = {name: imports_of(name, everywhere=folder_of(name) in FLOORS) for name in MODULES}
    done, path = set(), []

    def visit(name):
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name not in done:
            path.append(name)
            for found in sorted(graph[name]):
                visit(found)
            path.pop()
            done.add(name)

    for name in graph:
        visit(name)
