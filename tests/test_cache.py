"""The compilation cache: found again, never wrong, and never in the way."""

import importlib
import os
import pkgutil
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numba
import pytest
from children import ROOT, code, python
from numba.core.dispatcher import Dispatcher

import numbaconv
from numbaconv.kernels import cache, trust
from numbaconv.native import moves

CALL = """
import numpy as np, numbaconv as nbc
x = np.arange(24.0).reshape(1, 2, 3, 4)
print(nbc.max_pool2d(x, 2, 1, parallel=False).sum())
from numbaconv.pooling import loops
print(sum(loops.reduce.entry.stats.cache_hits.values()))
"""
# Kernels that differ by the helper that they call; it is a function of one argument in both.
TWINS = """
import sys
import numpy as np
from numbaconv.kernels.indexing import unpack_window
from numbaconv.kernels.jit import kernel
from numbaconv.reference.blocks import unpack_blocks
@kernel
def of_a_window(table, to):
    to[0] = unpack_window(table).low[2]
@kernel
def of_blocks(table, to):
    to[0] = unpack_blocks(table).together
to = np.zeros(1, np.int64)
for name in sys.argv[1:]:
    globals()[name].serial(np.arange(40), to)
    print(to[0])
"""
SUM = "168.0"  # of the maxima of CALL
RACER = "tests/cache_racer.py"

NATIVE = """
import numpy as np, numbaconv as nbc
from numbaconv.native import link
x, w = np.ones((1, 3, 9, 9), "f4"), np.ones((5, 3, 3, 3), "f4")
for algorithm in ("direct", "depthwise"):
    nbc.conv2d(x, w, algorithm=algorithm, parallel=False)
print(len(link._compiled), sum(native.cache_hits for native in link._compiled.values()))
"""


def entries(folder):
    return sorted(folder.glob("numbaconv-*/*.bin"))


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A cache that one call has filled, of files that are their owner's alone."""
    folder = tmp_path_factory.mktemp("original")
    assert code(CALL, NUMBA_CACHE_DIR=str(folder)).split() == [SUM, "0"]
    assert entries(folder)
    for path in entries(folder):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) & 0o022 == 0
    return folder


@pytest.fixture
def filled(original, tmp_path):
    return Path(shutil.copytree(original, tmp_path / "cache"))


def test_the_next_process_finds_it(filled):
    before = entries(filled)
    assert code(CALL, NUMBA_CACHE_DIR=str(filled)).split() == [SUM, "1"]
    assert entries(filled) == before
    assert not list(filled.rglob("*.tmp"))


def test_the_next_process_finds_native_functions(tmp_path):
    count, hits = map(int, code(NATIVE, NUMBA_CACHE_DIR=str(tmp_path)).split())
    assert count >= 5
    assert hits == 0
    before = entries(tmp_path)
    assert list(map(int, code(NATIVE, NUMBA_CACHE_DIR=str(tmp_path)).split())) == [count, count]
    assert entries(tmp_path) == before


def test_entries_of_different_processes_go_together(tmp_path):
    # With bounds checks, helpers are functions of their own, not a part of who calls them.
    settings = {"NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_BOUNDSCHECK": "1"}
    names = ["of_a_window", "of_blocks"]
    apart = [python("-c", TWINS, name, **settings).stdout for name in names]
    assert apart[0] != apart[1]
    assert python("-c", TWINS, *names, **settings).stdout == "".join(apart)


def test_no_two_compiled_functions_have_one_name():
    named = {}
    for info in pkgutil.walk_packages(numbaconv.__path__, "numbaconv."):
        if info.name.split(".")[1] not in ("cuda", "dask", "__main__"):
            for value in vars(importlib.import_module(info.name)).values():
                if isinstance(value, Dispatcher):
                    function = value.py_func
                    name = function.__module__, function.__qualname__
                    assert named.setdefault(name, function.__code__) == function.__code__, name
    assert ("numbaconv.reference.blocks", "unpack_Blocks") in named
    assert len(named) > 100
    one, other = (moves._emit(16, 4, step).__qualname__ for step in (1, 2))
    assert one != other


@pytest.mark.parametrize("damage", ["truncated", "empty", "flipped", "of another key"])
def test_a_damaged_entry_is_compiled_again(filled, damage):
    for path in entries(filled):
        data = bytearray(path.read_bytes())
        if damage == "truncated":
            data = data[: len(data) // 2]
        elif damage == "empty":
            data = b""
        elif damage == "flipped":
            data[-100] ^= 1
        else:
            body = b"another key" + bytes(data[cache._DIGEST_SIZE :])
            data = cache._DIGEST(body).digest() + body
        path.write_bytes(data)
    assert code(CALL, NUMBA_CACHE_DIR=str(filled)).split() == [SUM, "0"]
    assert code(CALL, NUMBA_CACHE_DIR=str(filled)).split() == [SUM, "1"]


def test_no_place_to_write(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    assert code(CALL, NUMBA_CACHE_DIR=str(blocked)).split() == [SUM, "0"]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_a_read_only_cache_is_read(filled):
    (folder,) = filled.glob("numbaconv-*")
    before = entries(filled)
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert code(CALL, NUMBA_CACHE_DIR=str(filled)).split() == [SUM, "1"]
    finally:
        folder.chmod(stat.S_IRWXU)
    assert entries(filled) == before


def test_no_home(tmp_path):
    environment = {"HOME": str(tmp_path / "missing"), "XDG_CACHE_HOME": str(tmp_path / "xdg")}
    assert code(CALL, NUMBA_CACHE_DIR="", **environment).split()[0] == SUM
    assert list((tmp_path / "xdg").rglob("*.bin"))


def test_a_user_without_a_home(tmp_path):
    source = "import platformdirs\ndef none(*_, **__): raise RuntimeError('no home')\n"
    source += "platformdirs.user_cache_dir = none\n" + CALL
    assert code(source, NUMBA_CACHE_DIR="").split() == [SUM, "0"]


def test_settings_that_change_code_have_entries_of_their_own(filled):
    checked = code(CALL, NUMBA_CACHE_DIR=str(filled), NUMBA_BOUNDSCHECK="1")
    assert checked.split() == [SUM, "0"]


def test_the_place_names_the_sources(tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    assert cache.cache_directory() == tmp_path / f"numbaconv-{cache.source_hash()}"
    kept = cache.source_hash()
    monkeypatch.setattr(cache, "_sources", lambda *_: [("formulas.py", b"edited")])
    cache.source_hash.cache_clear()
    try:
        assert cache.source_hash() != kept
    finally:
        cache.source_hash.cache_clear()


def test_every_source_is_in_the_hash():
    from importlib import resources

    named = {name for name, _ in cache._sources(resources.files("numbaconv"), "")}
    package = Path(trust.__file__).parent.parent
    on_disk = {p.relative_to(package).as_posix() for p in package.rglob("*.py")}
    assert named == on_disk
    assert "reference/gather.py" in named


@pytest.mark.long
def test_processes_that_fill_it_together(tmp_path):
    """Eight at once on an empty cache, then eight more that find it and check every result."""
    variants = [
        (dtype, layout)
        for dtype in ("float32", "float64", "int16", "int64")
        for layout in ("channels_first", "channels_last")
    ]
    found = []
    for turn in range(2):
        environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
        racers = [
            subprocess.Popen(
                [sys.executable, RACER, *variant, str(8 * turn + number)], cwd=ROOT,
                env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )
            for number, variant in enumerate(variants)
        ]  # fmt: skip
        for racer in racers:
            printed, _ = racer.communicate(timeout=600)
            assert racer.returncode == 0, printed
        found.append(entries(tmp_path))
    assert found[0] == found[1]
    assert not list(tmp_path.rglob("*.tmp"))


def test_an_unreadable_entry_is_compiled_again(filled):
    for path in entries(filled):
        path.unlink()
        path.mkdir()
    assert code(CALL, NUMBA_CACHE_DIR=str(filled)).split() == [SUM, "0"]


def test_a_cpu_with_other_features_has_entries_of_its_own(filled):
    before = entries(filled)
    other = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    assert code(CALL, NUMBA_CACHE_DIR=str(filled), **other).split() == [SUM, "0"]
    assert set(before) < set(entries(filled))
    assert code(CALL, NUMBA_CACHE_DIR=str(filled)).split() == [SUM, "1"]


class TestTrust:
    """Entries are pickles: nobody else may have written them."""

    WARNS = """
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    {call}
print(len(caught), *(str(w.message) for w in caught))
"""

    def call(self, folder):
        """Return (hits of the cache, how many warnings, what they say)."""
        indented = CALL.strip().replace("\n", "\n    ")
        out = code(self.WARNS.format(call=indented), NUMBA_CACHE_DIR=str(folder)).splitlines()
        assert out[0] == SUM
        count, _, says = out[2].partition(" ")
        return int(out[1]), int(count), says

    pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="POSIX permissions")

    def test_it_is_read_where_nobody_else_may_write(self, filled, tmp_path):
        assert self.call(filled) == (1, 0, "")
        tmp_path.chmod(0o1777)  # sticky: nobody can replace what others have put there
        link = tmp_path / "link"
        link.symlink_to(filled)
        assert self.call(link) == (1, 0, "")

    def test_others_may_write_to_an_entry(self, filled):
        for path in entries(filled):
            path.chmod(0o666)
        hits, count, says = self.call(filled)
        assert (hits, count) == (0, 1)
        assert "everybody may write to" in says
        assert ".bin" in says

    def test_others_may_write_to_a_folder_above(self, filled, tmp_path):
        tmp_path.chmod(0o777)
        hits, count, says = self.call(filled)
        assert (hits, count) == (0, 1)
        assert f"everybody may write to {tmp_path}." in says

    @pytest.mark.parametrize("place", ["own", "root", "above", "link"])
    def test_doubts_about_folders(self, filled, tmp_path, place):
        own = entries(filled)[0].parent
        assert trust.doubt_about(own) is None
        link = tmp_path / "link"
        link.symlink_to(filled)
        looked_at = link / own.name if place == "link" else own
        folder = {"own": own, "root": filled, "above": tmp_path, "link": filled}[place]
        folder.chmod(0o777)
        assert trust.doubt_about(looked_at) == f"everybody may write to {folder}"
        folder.chmod(0o1777)
        # Sticky: whoever may write to the folder of the entries may still add some.
        assert (trust.doubt_about(looked_at) is None) == (place != "own")
        folder.chmod(0o700)
        if os.geteuid() == 0:
            os.chown(folder, 12345, -1)
            assert "belongs to user number 12345" in trust.doubt_about(looked_at)

    def test_doubts_about_files(self, tmp_path):
        path = tmp_path / "entry"
        assert trust.read(path) == (None, None)
        path.write_bytes(b"contents")
        path.chmod(0o644)
        assert trust.read(path) == (b"contents", None)
        link = tmp_path / "link"
        link.symlink_to(path)
        assert trust.read(link) == (None, f"{link} is a symbolic link")
        assert trust.read(tmp_path) == (None, None)
        path.chmod(0o646)
        assert trust.read(path) == (None, f"everybody may write to {path}")

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="chown needs root")
    def test_it_is_somebody_elses(self, filled):
        for path in entries(filled):
            os.chown(path, 12345, -1)
        hits, count, says = self.call(filled)
        assert (hits, count) == (0, 1)
        assert "belongs to user number 12345" in says
