"""`numbaconv apply` that is interrupted, resumed, or runs out of disk; .zarr arrays."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

import numbaconv as nbc
from numbaconv.cli import main

zarr = pytest.importorskip("zarr")
posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Return a function that runs the command line in `tmp_path`."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["numbaconv", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        return stop.value.code, captured.out, captured.err

    return call


@pytest.fixture
def weights(tmp_path):
    weight = np.random.default_rng(0).standard_normal((2, 3, 3, 3)).astype("f4")
    np.savez(tmp_path / "w.npz", weight=weight)
    return weight


def images(count=10):
    return np.random.default_rng(1).standard_normal((count, 3, 16, 17)).astype("f4")


def store(path, array):
    if path.suffix == ".npy":
        np.save(path, array)
    else:
        zarr.create_array(store=str(path), data=array, chunks=(2, *array.shape[1:]))


def load(path):
    return np.load(path) if path.suffix == ".npy" else zarr.open_array(str(path), mode="r")[:]


def test_zarr_arrays(run, tmp_path, weights):
    x = images()
    store(tmp_path / "x.zarr", x)
    status, out, _ = run("apply", "x.zarr", "y.zarr", "--weights", "w.npz", "--batch", "4")
    assert status == 0
    assert "10 images" in out
    np.testing.assert_array_equal(load(tmp_path / "y.zarr"), nbc.conv2d(x, weights))
    made = zarr.open_array(str(tmp_path / "y.zarr"), mode="r")
    assert made.chunks == (2, 2, 14, 15)
    assert made.compressors == zarr.open_array(str(tmp_path / "x.zarr"), mode="r").compressors
    # Another run takes its place as a whole.
    assert run("apply", "x.zarr", "y.zarr", "--kernel", "box")[0] == 0
    assert load(tmp_path / "y.zarr").shape == x.shape
    assert {p.name for p in tmp_path.iterdir()} == {"x.zarr", "y.zarr", "w.npz"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("x.zarr", "y.npy"), "two .zarr arrays"),
        (("x.zarr", "x.zarr"), "another .zarr"),
        (("text.zarr", "y.zarr"), "cannot be read as a zarr array"),
        (("flat.zarr", "y.zarr"), "must hold one array of shape (N, C, *spatial)"),
    ],
)
def test_mistakes_with_zarr_arrays(run, tmp_path, arguments, says):
    store(tmp_path / "x.zarr", images())
    (tmp_path / "text.zarr").mkdir()
    zarr.create_array(store=str(tmp_path / "flat.zarr"), data=np.ones((3, 3)))
    status, out, err = run("apply", *arguments, "--kernel", "box")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert says in err


def fail_after(monkeypatch, count, error):
    """Let the run fail when so many batches have been convolved."""
    from numbaconv.cli import convolving

    convolve = convolving.Mixing.arrays
    done = []

    def failing(self, batch, *arguments, **keywords):
        if len(batch) > 1 or done:
            done.append(1)
            if len(done) > count:
                raise error
        return convolve(self, batch, *arguments, **keywords)

    monkeypatch.setattr(convolving.Mixing, "arrays", failing)
    return lambda: monkeypatch.setattr(convolving.Mixing, "arrays", convolve)


def fail_after_pictures(monkeypatch, count, error):
    """Let the run fail when so many images have been filtered."""
    from numbaconv.cli.pictures.work import Workers

    convolve = Workers._frame
    done = []

    def failing(self, frame):
        done.append(1)
        if len(done) > count:
            raise error
        return convolve(self, frame)

    monkeypatch.setattr(Workers, "_frame", failing)
    return lambda: monkeypatch.setattr(Workers, "_frame", convolve)


@pytest.mark.parametrize("kind", [".npy", ".zarr"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_run_goes_on_where_it_stopped(run, tmp_path, weights, monkeypatch, kind, error):
    x = images()
    source, target = tmp_path / f"x{kind}", tmp_path / f"y{kind}"
    store(source, x)
    command = ("apply", source, target, "--weights", "w.npz", "--batch", "2", "--resume")
    restore = fail_after(monkeypatch, 3, error)
    status, _, err = run(*command)
    assert status == (130 if isinstance(error, KeyboardInterrupt) else 2)
    assert not target.exists()
    note = json.loads((tmp_path / f"y{kind}.part.json").read_text())
    assert note["done"] == 6
    if isinstance(error, OSError):
        assert "No space left" in err
    restore()
    status, out, _ = run(*command, "--montage", "m.png")
    assert status == 0
    assert "4 images" in out
    assert "6 images were there already" in out
    np.testing.assert_array_equal(load(target), nbc.conv2d(x, weights))
    left = {p.name for p in tmp_path.iterdir()}
    assert left == {source.name, target.name, "w.npz", "m.png"}
    with Image.open(tmp_path / "m.png") as montage:
        assert montage.height > 10 * 200


@posix
def test_the_status_is_right_where_a_string_is_executed(tmp_path):
    """Numba executes strings while it compiles, and CPython remembers what interrupts that."""
    (tmp_path / "interrupted.py").write_text("""
import sys
from numbaconv.cli import apply, main
def run(job):
    exec("raise KeyboardInterrupt")
apply.run = run
sys.argv = ["numbaconv", "apply", ".", "out", "--kernel", "box"]
main()
""")
    done = subprocess.run([sys.executable, "-m", "interrupted"], cwd=tmp_path, check=False,
                          capture_output=True)  # fmt: skip
    assert done.returncode == 130


def interrupted_job(run, tmp_path, monkeypatch, kind=".npy"):
    """Leave an unfinished run of six images of ten; return its command."""
    store(tmp_path / f"x{kind}", images())
    command = ("apply", f"x{kind}", f"y{kind}", "--weights", "w.npz", "--batch", "2", "--resume")
    restore = fail_after(monkeypatch, 3, KeyboardInterrupt())
    assert run(*command)[0] == 130
    restore()
    return command


def test_a_part_that_is_not_what_its_note_says(run, tmp_path, weights, monkeypatch):
    command = interrupted_job(run, tmp_path, monkeypatch)
    part = tmp_path / "y.npy.part"
    whole = part.read_bytes()
    part.write_bytes(whole[:-1])
    status, _, err = run(*command)
    assert status == 2
    assert "does not hold the 6 results" in err
    part.unlink()  # then there is nothing to go on from
    assert run(*command)[0] == 0
    np.testing.assert_array_equal(load(tmp_path / "y.npy"), nbc.conv2d(images(), weights))


@pytest.mark.parametrize("kind", [".npy", ".zarr"])
def test_another_input_is_not_gone_on_with(run, tmp_path, weights, monkeypatch, kind):
    command = interrupted_job(run, tmp_path, monkeypatch, kind)
    source = tmp_path / f"x{kind}"
    if kind == ".npy":
        np.save(source, 2 * images())
    else:
        zarr.open_array(str(source), mode="r+")[3] = 7
    status, _, err = run(*command)
    assert status == 2
    assert "contents changed since" in err


def test_a_part_of_somebody_else_is_left_alone(run, tmp_path, weights):
    store(tmp_path / "x.npy", images())
    (tmp_path / "y.npy.part").write_text("mine")
    status, _, err = run("apply", "x.npy", "y.npy", "--weights", "w.npz", "--resume")
    assert status == 2
    assert "remove it first" in err
    assert (tmp_path / "y.npy.part").read_text() == "mine"


def test_two_runs_do_not_share_a_part(run, tmp_path, weights):
    from filelock import FileLock

    store(tmp_path / "x.npy", images())
    with FileLock(tmp_path / "y.npy.part.json.lock"):
        status, _, err = run("apply", "x.npy", "y.npy", "--weights", "w.npz", "--resume")
    assert status == 2
    assert "another run with --resume is writing y.npy now" in err


def photographs(tmp_path):
    (tmp_path / "in").mkdir()
    rng = np.random.default_rng(0)
    for n in range(6):
        picture = rng.integers(0, 255, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(picture).save(tmp_path / "in" / f"{n}.png")


def test_a_folder_has_no_part(run, tmp_path):
    photographs(tmp_path)
    (tmp_path / "out.part").mkdir()
    (tmp_path / "out.part" / "mine.txt").write_text("mine")
    assert run("apply", "in", "out", "--kernel", "box", "--resume")[0] == 0
    assert len(list((tmp_path / "out").glob("*.png"))) == 6
    assert (tmp_path / "out.part" / "mine.txt").read_text() == "mine"


def test_a_folder_of_two_jobs_is_not_gone_on_with(run, tmp_path, monkeypatch):
    photographs(tmp_path)
    command = ("apply", "in", "out", "--kernel", "box", "--threads", "1")
    restore = fail_after_pictures(monkeypatch, 2, KeyboardInterrupt())
    assert run(*command, "--resume")[0] == 130
    restore()
    assert run("apply", "in", "out", "--kernel", "laplacian")[0] == 0
    status, out, _ = run(*command, "--resume")
    assert status == 0
    assert "there already" not in out


def test_without_resume_nothing_is_left(run, tmp_path, weights, monkeypatch):
    store(tmp_path / "x.zarr", images())
    fail_after(monkeypatch, 2, KeyboardInterrupt())
    assert run("apply", "x.zarr", "y.zarr", "--weights", "w.npz", "--batch", "2")[0] == 130
    assert {p.name for p in tmp_path.iterdir()} == {"x.zarr", "w.npz"}


def test_another_job_is_not_gone_on_with(run, tmp_path, weights, monkeypatch):
    store(tmp_path / "x.npy", images())
    command = ("apply", "x.npy", "y.npy", "--weights", "w.npz", "--batch", "2", "--resume")
    restore = fail_after(monkeypatch, 2, KeyboardInterrupt())
    assert run(*command)[0] == 130
    restore()
    status, _, err = run(*command, "--stride", "2")
    assert status == 2
    assert "cannot be resumed: stride changed" in err
    (tmp_path / "y.npy.part.json").write_text("{")
    status, _, err = run(*command)
    assert status == 2
    assert "no note of an unfinished run" in err
    (tmp_path / "y.npy.part.json").unlink()
    (tmp_path / "y.npy.part").unlink()
    assert run(*command)[0] == 0


def test_a_folder_of_images_goes_on(run, tmp_path, monkeypatch):
    photographs(tmp_path)
    command = ("apply", "in", "out", "--kernel", "sharpen", "--threads", "1", "--resume")
    restore = fail_after_pictures(monkeypatch, 2, KeyboardInterrupt())
    assert run(*command)[0] == 130
    stamps = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("*.png")}
    assert set(stamps) == {"0.png", "1.png"}
    restore()
    status, out, _ = run(*command)
    assert status == 0
    assert "2 images were there already" in out
    assert {p.name for p in (tmp_path / "out").iterdir()} == {f"{n}.png" for n in range(6)}
    for name, stamp in stamps.items():
        assert (tmp_path / "out" / name).stat().st_mtime_ns == stamp


def start(tmp_path, *more, ignored=False):
    """Start a long run in a process of its own; return when it has written something."""
    np.save(tmp_path / "x.npy", np.ones((600, 3, 128, 128), np.float32))
    np.savez(tmp_path / "w.npz", weight=np.ones((64, 3, 5, 5), np.float32))
    command = [sys.executable, "-m", "numbaconv", "apply", "x.npy", "y.npy", "--weights", "w.npz",
               "--batch", "1", *more]  # fmt: skip
    child = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.SIG_IGN if ignored else signal.default_int_handler
        ),
    )  # fmt: skip
    parts = lambda: [p for p in tmp_path.iterdir() if p.name.endswith(".part")]  # noqa: E731
    while child.poll() is None and not any(p.stat().st_size > 1 << 24 for p in parts()):
        time.sleep(0.01)
    return child


@posix
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_leave_no_half_written_output(tmp_path, number, status):
    child = start(tmp_path)
    child.send_signal(number)
    _, err = child.communicate(timeout=60)
    assert child.returncode == status
    assert b"Traceback" not in err
    assert {p.name for p in tmp_path.iterdir()} == {"x.npy", "w.npz"}


@posix
def test_sigterm_where_ctrl_c_is_ignored(tmp_path):
    """As behind nohup, and for what a script's shell runs in the background."""
    child = start(tmp_path, ignored=True)
    child.send_signal(signal.SIGINT)
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=60)
    assert child.returncode == 143
    assert {p.name for p in tmp_path.iterdir()} == {"x.npy", "w.npz"}


@posix
def test_a_killed_run_goes_on(tmp_path):
    """SIGKILL: nobody can note anything any more, but a note of a second ago is there."""
    child = start(tmp_path, "--resume")
    note = tmp_path / "y.npy.part.json"
    while child.poll() is None and '"done": 0' in note.read_text():
        time.sleep(0.01)
    child.kill()
    child.communicate(timeout=60)
    assert not (tmp_path / "y.npy").exists()
    assert 0 < json.loads(note.read_text())["done"] < 600
    done = subprocess.run(
        [sys.executable, "-m", "numbaconv", "apply", "x.npy", "y.npy", "--weights", "w.npz",
         "--resume"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "were there already" in done.stdout
    y = np.load(tmp_path / "y.npy", mmap_mode="r")
    assert y.shape == (600, 64, 124, 124)
    assert (y[::7, ::9, ::11, ::13] == 75).all()


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_FSIZE stands for a full disk")
def test_a_full_disk(tmp_path):
    """A limit on the size of files stops writing halfway, as a full disk does."""
    np.save(tmp_path / "x.npy", np.ones((40, 3, 64, 64), np.float32))
    np.savez(tmp_path / "w.npz", weight=np.ones((8, 3, 3, 3), np.float32))
    source = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
import numpy as np, numbaconv as nbc
nbc.conv2d(np.ones((2, 3, 64, 64), "f4"), np.ones((8, 3, 3, 3), "f4"))
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 21, 1 << 21))
from numbaconv.cli import main
sys.argv = ["numbaconv", *sys.argv[1:]]
main()
"""
    command = ["apply", "x.npy", "y.npy", "--weights", "w.npz", "--batch", "2", "--quiet"]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    for more, left in (([], set()), (["--resume"], {"y.npy.part", "y.npy.part.json"})):
        done = subprocess.run(
            [sys.executable, "-c", source, *command, *more], cwd=tmp_path, env=environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 2, done.stderr
        assert done.stderr.count("\n") == 1
        assert "File too large" in done.stderr
        assert {p.name for p in tmp_path.iterdir()} - {"cache"} == {"x.npy", "w.npz", *left}
