"""The command line: results, errors in one line, and nothing half-written."""

import contextlib
import importlib.util
import signal
import subprocess
import sys
import time

import numpy as np
import onnx.parser
import pytest
from children import ROOT, code, python
from PIL import Image
from scipy import ndimage

import numbaconv as nbc
from numbaconv.cli import convolving, files, main, streams
from numbaconv.cli.filters import FILTERS
from numbaconv.cli.pipeline import interruptible
from numbaconv.filtering.rounding import rounded

rng = np.random.default_rng(5)


def opened(path):
    """Return an image's mode and array, with the file closed."""
    with Image.open(path) as image:
        return image.mode, np.asarray(image)


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run ``numbaconv *arguments`` in an empty folder; returns (exit status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["numbaconv", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        return (exit_.value.code or 0, *capsys.readouterr())

    return call


def photographs(folder, sizes=((9, 12), (9, 12), (7, 5)), mode="RGB"):
    folder.mkdir()
    arrays = {}
    for i, size in enumerate(sizes):
        shape = (*size, 3) if mode == "RGB" else size
        arrays[f"{i}.png"] = rng.integers(0, 256, shape, dtype=np.uint8)
        Image.fromarray(arrays[f"{i}.png"]).save(folder / f"{i}.png")
    return arrays


@pytest.mark.parametrize("name", FILTERS)
def test_named_filters_on_images(run, tmp_path, name):
    inputs = photographs(tmp_path / "in")
    status, out, err = run("apply", "in", "out", "--kernel", name, "--batch", 2)
    assert status == 0, err
    assert "3 images in" in out
    assert "megapixels/s" in out
    assert "decode" in out
    filter_ = FILTERS[name]
    for file, image in inputs.items():
        _, result = opened(tmp_path / "out" / file)
        for channel in range(3):
            plane = image[..., channel].astype(np.float64)
            parts = [
                ndimage.correlate(plane, k.astype(float), mode="nearest") for k in filter_.kernels
            ]
            expected = np.sqrt(sum(p * p for p in parts)) if filter_.magnitude else parts[0]
            expected = np.clip(expected, 0, 255)
            assert np.abs(result[..., channel] - expected).max() <= 0.5 + 1e-3


def test_grey_images_stay_grey(run, tmp_path):
    inputs = photographs(tmp_path / "in", sizes=((6, 4),), mode="L")
    assert run("apply", "in", "out", "--kernel", "box", "--stride", 2)[0] == 0
    mode, result = opened(tmp_path / "out" / "0.png")
    assert mode == "L"
    expected = ndimage.correlate(
        inputs["0.png"].astype(float), np.full((3, 3), 1 / 9), mode="nearest"
    )
    assert np.abs(result - expected[1::2, 1::2]).max() <= 0.5 + 1e-3


def test_weights_on_images(run, tmp_path):
    inputs = photographs(tmp_path / "in")
    weight = rng.random((1, 3, 3, 3), dtype=np.float32) / 27
    np.savez(tmp_path / "w.npz", weight=weight, bias=np.float32([3]))
    assert run("apply", "in", "out", "--weights", "w.npz", "--padding", 1)[0] == 0
    for file, image in inputs.items():
        x = np.moveaxis(image, -1, 0).astype(np.float32)
        expected = nbc.conv2d(x, weight, np.float32([3]), padding=1)[0]
        np.testing.assert_array_equal(
            opened(tmp_path / "out" / file)[1], np.rint(expected).clip(0, 255)
        )


def test_weights_on_an_array_streamed_in_batches(run, tmp_path):
    x = rng.standard_normal((7, 3, 8, 9), dtype=np.float32)
    weight = rng.standard_normal((5, 3, 3, 2), dtype=np.float32)
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "w.npz", weight=weight)
    status, _, err = run("apply", "x.npy", "y.npy", "--weights", "w.npz", "--batch", 3)
    assert status == 0, err
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), nbc.conv2d(x, weight))
    np.save(tmp_path / "f.npy", np.asfortranarray(x))
    run("apply", "f.npy", "z.npy", "--weights", "w.npz", "--batch", 2)
    np.testing.assert_array_equal(np.load(tmp_path / "z.npy"), nbc.conv2d(x, weight))


@pytest.mark.parametrize("ndim", [1, 3])
@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
def test_signals_and_volumes(run, tmp_path, ndim, layout):
    size, kernel = (6, 5, 7)[:ndim], (3, 2, 2)[:ndim]
    last = layout == "channels_last"
    x = rng.integers(-9, 9, (3, *size, 4) if last else (3, 4, *size))
    weight = rng.integers(-9, 9, (*kernel, 2, 6) if last else (6, 2, *kernel))
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "w.npz", weight=weight)
    status, _, err = run(
        "apply", "x.npy", "y.npy", "--weights", "w.npz", "--groups", 2, "--layout", layout,
        "--padding", "same", "--montage", "m.png",
    )  # fmt: skip
    assert status == 0, err
    conv = {1: nbc.conv1d, 3: nbc.conv3d}[ndim]
    expected = conv(x, weight, groups=2, layout=layout, padding="same")
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), expected)
    assert opened(tmp_path / "m.png")[1].shape[1] > 100


def test_named_filter_on_an_array_keeps_its_type(run, tmp_path):
    for dtype in (np.uint16, np.float64, np.int8):
        x = (rng.random((2, 2, 6, 5)) * 100).astype(dtype)
        np.save(tmp_path / "x.npy", x)
        assert run("apply", "x.npy", "y.npy", "--kernel", "gaussian")[0] == 0
        y = np.load(tmp_path / "y.npy")
        assert y.dtype == dtype
        expected = ndimage.correlate(
            x.astype(float), FILTERS["gaussian"].kernels[None].astype(float), mode="nearest"
        )
        np.testing.assert_allclose(y, expected, atol=0.5 + 1e-4)


def test_montage_shows_inputs_beside_outputs(run, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    Image.new("RGB", (40, 30), (10, 200, 30)).save(folder / "green.png")
    assert run("apply", "in", "out", "--kernel", "laplacian", "--montage", "m.png")[0] == 0
    sheet = opened("m.png")[1].astype(int)
    half = sheet.shape[1] // 2
    assert (np.abs(sheet[:, :half] - [10, 200, 30]).sum(axis=2) < 6).sum() > 50_000
    assert (sheet[:, half:].sum(axis=2) == 0).sum() > 50_000  # a plain colour has no edges


def test_every_kind_of_grey_stays_grey(run, tmp_path):
    ramp = np.arange(0, 60_000, 150, dtype=np.uint16).reshape(20, 20)
    (tmp_path / "in").mkdir()
    Image.fromarray(ramp).save(tmp_path / "in" / "a.png")
    Image.fromarray(ramp).save(tmp_path / "in" / "b.tif")
    Image.fromarray(ramp.astype(np.int32)).save(tmp_path / "in" / "c.tif")
    (tmp_path / "in" / "d.pgm").write_bytes(b"P5 20 20 65535 " + ramp.astype(">u2").tobytes())
    Image.new("LA", (5, 4), (9, 200)).save(tmp_path / "in" / "e.png")
    Image.new("1", (5, 4), 1).save(tmp_path / "in" / "f.png")
    status, _, err = run("apply", "in", "out", "--kernel", "box")
    assert status == 0, err
    expected = ndimage.correlate(ramp.astype(float), np.full((3, 3), 1 / 9), mode="nearest")
    for name in ("a.png", "b.tif", "c.tif", "d.pgm"):
        assert np.abs(opened(tmp_path / "out" / name)[1] - expected).max() <= 0.51
    mode, result = opened(tmp_path / "out" / "e.png")
    assert mode == "LA"
    assert (result == [9, 200]).all()
    mode, result = opened(tmp_path / "out" / "f.png")
    assert mode == "L"
    assert (result == 255).all()


def test_a_montage_of_infinities(run, tmp_path):
    x = np.ones((1, 1, 4, 4), np.float32)
    x[0, 0, 0] = [np.inf, -np.inf, np.nan, 0]
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "w.npz", weight=np.ones((1, 1, 1, 1), np.float32))
    status, _, err = run("apply", "x.npy", "y.npy", "--weights", "w.npz", "--montage", "m.png")
    assert (status, err) == (0, "")


MISTAKES = [
    (("apply", "missing.npy", "y.npy", "--kernel", "box"), "missing.npy"),
    (("apply", "x.npy", "y.npy"), "either --weights FILE.npz or --kernel NAME"),
    (("apply", "x.npy", "y.npy", "--kernel", "blur"), "'blur'"),
    (("apply", "x.npy", "y.npy", "--kernel", "box", "--stride", "0"), "--stride"),
    (("apply", "x.npy", "y.npy", "--kernel", "box", "--padding", "full"), "'full'"),
    (("apply", "x.npy", "y.npy", "--kernel", "box", "--padding", "-1"), "neither an int from 0 on"),
    (("apply", "x.npy", "y.npy", "--kernel", "box", "--groups", "2"), "--groups"),
    (("apply", "x.npy", "out", "--kernel", "box"), "two folders of images"),
    (("apply", "x.npy", "y.npy", "--weights", "x.npy"), "cannot be read as an .npz"),
    (("apply", "x.npy", "y.npy", "--weights", "other.npz"), "no array 'weight'"),
    (("apply", "x.npy", "y.npy", "--weights", "big.npz"), "does not fit"),
    (("apply", "x.npy", "y.npy", "--weights", "flat.npz"), "2 to 5 axes"),
    (("apply", "text.npy", "y.npy", "--kernel", "box"), "cannot be read as an .npy"),
    (("apply", "none.npy", "y.npy", "--kernel", "box"), "holds no images"),
    (("apply", "x.npy", "no/such/y.npy", "--kernel", "box"), "no/such"),
    (("apply", "empty", "out", "--kernel", "box"), "holds no images"),
    (
        ("apply", "broken", "out", "--kernel", "box", "--on-error", "stop"),
        "a.png: it cannot be read",
    ),
    (("apply", "x.npy", "y.npy", "--kernel", "box:0"), "size of box must be a number above 0"),
    (("apply", "x.npy", "y.npy", "--kernel", "emboss:3"), "emboss takes no size"),
    (("apply", "x.npy", "y.npy", "--kernel", "box", "--dtype", "int8"), "float32 or float64"),
    (("apply", "x.npy", "y.npy", "--kernel", "box", "--dtype", "f33"), "no type of NumPy"),
    (("apply", "broken", "broken", "--kernel", "box"), "another folder than INPUT"),
    (("apply", "images", "out", "--weights", "deep.npz"), "2 output channels make no image"),
    (("apply", "images", "y.npy", "--kernel", "box"), "gives a folder of images"),
    (("apply", "x.npy", "y.npy", "--weights", "zero.bytes"), "cannot be read as an .npz"),
    (("apply", "x.npy", "y.npy", "--weights", "cut.npz"), "cannot be read as an .npz"),
    (("apply", "x.npy", "y.npy", "--weights", "none.npz"), "none empty"),
    (("apply", "zero.npy", "y.npy", "--kernel", "box"), "cannot be read as an .npy"),
    (("apply", "zip.npy", "y.npy", "--kernel", "box"), "cannot be read as an .npy"),
    (("apply", "huge.npy", "y.npy", "--kernel", "box"), "cannot be read as an .npy"),
    (("apply", "dull.npy", "y.npy", "--kernel", "box"), "holds no images"),
    (("apply", "x.npy", "y.npy", "--kernel", "box", "--montage", "no/m.png"), "no/m.png"),
    (("frobnicate",), "frobnicate"),
    (("apply", "x.npy", "y.npy", "--kernel", "box", "--frob"), "--frob"),
]


@pytest.mark.parametrize(("arguments", "says"), MISTAKES)
def test_a_mistake_is_one_line_and_status_2(run, tmp_path, arguments, says):
    np.save(tmp_path / "x.npy", np.ones((2, 1, 4, 4), np.float32))
    np.save(tmp_path / "none.npy", np.ones((0, 1, 4, 4), np.float32))
    np.save(tmp_path / "dull.npy", np.ones((2, 0, 4, 4), np.float32))
    (tmp_path / "text.npy").write_text("not an array")
    (tmp_path / "zero.bytes").touch()
    (tmp_path / "zero.npy").touch()
    (tmp_path / "zip.npy").write_bytes(b"PK\x03\x04 no archive")
    header = {"descr": "<f4", "fortran_order": False, "shape": (10**22, 3, 4, 4)}
    with open(tmp_path / "huge.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
    np.savez(tmp_path / "none.npz", weight=np.ones((0, 3, 3, 3)))
    np.savez(tmp_path / "whole.npz", weight=np.ones((1, 1, 3, 3)))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:200])
    np.savez(tmp_path / "other.npz", kernel=np.ones(3))
    np.savez(tmp_path / "big.npz", weight=np.ones((1, 1, 9, 9)))
    np.savez(tmp_path / "flat.npz", weight=np.ones(3))
    np.savez(tmp_path / "deep.npz", weight=np.ones((2, 3, 3, 3)))
    (tmp_path / "empty").mkdir()
    photographs(tmp_path / "images")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_text("not an image")
    before = {p.name for p in tmp_path.rglob("*")}
    status, out, err = run(*arguments)
    assert status == 2
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("numbaconv: ")
    assert says in err
    assert {p.name for p in tmp_path.rglob("*")} - before <= {"out"}


def test_an_output_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "y.npy"
    target.write_text("old")

    def fail_halfway():
        with files.replaced(target) as file:
            file.write(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        fail_halfway()
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["y.npy"]
    with files.replaced(target) as file:
        file.write(b"whole")
    assert target.read_text() == "whole"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_is_130_and_leaves_nothing(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((400, 3, 128, 128), np.float32))
    np.savez(tmp_path / "w.npz", weight=np.ones((64, 3, 5, 5), np.float32))
    command = [sys.executable, "-m", "numbaconv", "apply", "x.npy", "y.npy", "--weights", "w.npz",
               "--batch", "1"]  # fmt: skip
    # A suite that runs in the background of a shell has Ctrl-C ignored, and its children, too.
    child = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    while not list(tmp_path.glob(".numbaconv-*")) and child.poll() is None:
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert b"Traceback" not in err
    assert {p.name for p in tmp_path.iterdir()} == {"x.npy", "w.npz"}


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_ctrl_c_that_something_swallows_is_not_lost(tmp_path, run, monkeypatch):
    """As compiled code does whose callback is interrupted."""
    convolve = convolving.Mixing.arrays

    def swallow(self, *arguments, **keywords):
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        return convolve(self, *arguments, **keywords)

    monkeypatch.setattr(convolving.Mixing, "arrays", swallow)
    np.save(tmp_path / "x.npy", np.ones((4, 3, 8, 8), np.float32))
    np.savez(tmp_path / "w.npz", weight=np.ones((2, 3, 3, 3), np.float32))
    monkeypatch.setattr(streams, "interruptible", with_ctrl_c)
    status, _, _ = run("apply", tmp_path / "x.npy", tmp_path / "y.npy", "--weights",
                       tmp_path / "w.npz", "--batch", "1")  # fmt: skip
    assert status == 130
    assert {p.name for p in tmp_path.iterdir()} == {"x.npy", "w.npz"}


@contextlib.contextmanager
def with_ctrl_c():
    """Let Ctrl-C work as where a person presses it, and check that it is put back."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with interruptible() as check:
            yield check
    finally:
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        signal.signal(signal.SIGINT, before)


def test_larger_than_memory(tmp_path):
    """With 256 MiB of memory to spare, a file of 1 GiB is convolved."""
    source = """
import resource, sys
import numpy as np
from numbaconv.cli import main
np.lib.format.open_memmap("x.npy", "w+", "f4", (256, 16, 256, 256)).flush()  # sparse: 1 GiB
import numbaconv as nbc
np.savez("w.npz", weight=np.ones((1, 16, 3, 3), "f4"), bias=np.float32([7]))
nbc.conv2d(np.ones((2, 16, 256, 256), "f4"), np.ones((1, 16, 3, 3), "f4"))
with open("/proc/self/status") as status:
    used = int(next(line for line in status if line.startswith("VmData")).split()[1]) << 10
resource.setrlimit(resource.RLIMIT_DATA, (used + (256 << 20), used + (256 << 20)))
sys.argv = ["numbaconv", "apply", "x.npy", "y.npy", "--weights", "w.npz", "--quiet"]
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
y = np.load("y.npy", mmap_mode="r")
print(y.shape, float(y[255, 0, 0, 0]), float(y[0, 0, 200, 100]))
"""
    if sys.platform != "linux":
        pytest.skip("RLIMIT_DATA")
    script = f"import os; os.chdir({str(tmp_path)!r})\n" + source
    assert code(script).strip() == "(256, 1, 254, 254) 7.0 7.0"


def test_alone_it_prints_help(run):
    status, out, _ = run()
    assert status == 0
    assert "apply" in out


def test_info(run):
    status, out, _ = run("info")
    assert status == 0
    for fact in (
        "numbaconv",
        "numba",
        "numpy",
        "CPU",
        "threading layer",
        "BLAS",
        "cache",
        "memory",
        "GPU",
        "threads of our own",
        "this process may use",
    ):
        assert fact in out


class TestBench:
    def test_a_row_a_layer_and_a_summary(self, run):
        status, out, _ = run("bench", "--layer", "others.tiny", "--batch", "2", "--rounds", "1")
        assert status == 0
        assert out.startswith("others.tiny            b2 | numbaconv ")
        assert "numbaconv plain" in out

    def test_ratios_and_their_picture(self, tmp_path):
        compare = pytest.importorskip("numbaconv.bench.compare")
        times = {"numbaconv": 1.0, "numbaconv plain": 1.5, "torch": 2.0}
        result = {"batch 1": {"resnet50.2a": times, "mobilenet.dw1": times}}
        assert compare.ratios(times) == {"best peer": 2.0, "plain": 1.33}
        found = compare.summary(result)
        assert found["batch 1, networks, best peer"]["geomean"] == 2.0
        assert found["batch 1, resnet50, plain"]["layers"] == 1
        pytest.importorskip("matplotlib")
        compare.draw(result, tmp_path / "bars.png")
        assert opened(tmp_path / "bars.png")[1].shape[1] > 300

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["--layer", "nonsense"], "no layer has such a name"),
            (["--suite", "vgg19", "--picture", "a.png"], "it needs --against"),
            (["--against", "torch", "--picture", "a.txt"], "takes a .png or an .svg"),
            (["--suite", "nothing"], "nothing"),
            (["--layer", "others.tiny", "--against", "ncnn", "--batch", "1"], "ncnn failed on"),
        ],
    )
    def test_mistakes(self, run, arguments, says):
        if "ncnn" in arguments and importlib.util.find_spec("ncnn"):
            pytest.skip("ncnn is installed")
        status, _, err = run("bench", *arguments)
        assert status == 2
        assert says in err
        assert "Traceback" not in err

    @pytest.mark.skipif(sys.platform == "win32", reason="POSIX")
    def test_an_interpreter_that_ends_at_once(self, run):
        arguments = ("--layer", "others.tiny", "--against", "torch", "--python", "/bin/true")
        status, _, err = run("bench", *arguments)
        assert status == 2
        assert "torch failed on others.tiny" in err


class TestNetworks:
    @pytest.fixture
    def model(self, tmp_path):
        """A network of two equal convolutions and one with a pad more at one end."""
        found = onnx.parser.parse_model("""
            <ir_version: 8, opset_import: ["": 17]>
            graph (float[n, 4, 16, 12] x, float[4, 4, 3, 3] w) => (float[n, 4, h, v] y)
            { a = Conv<pads = [1, 1, 1, 1]>(x, w)
              b = Conv<pads = [1, 1, 1, 1]>(a, w)
              y = Conv<strides = [2, 2], auto_pad = "SAME_UPPER">(b, w) }""")
        onnx.save(found, tmp_path / "network.onnx")
        return tmp_path / "network.onnx"

    def test_a_row_a_layer_and_their_sum(self, run, model):
        arguments = ("--shape", "x=2,4,16,12", "--rounds", 1)
        status, out, _ = run("bench", "--onnx", model, *arguments)
        assert status == 0
        heads, same, strided, together, *_ = out.splitlines()
        assert heads.split()[:3] == ["layer", "nodes", "numbaconv"]
        assert heads.split()[-1] == "algorithm"
        assert same.split()[:2] == ["conv.4@16x12-4.3x3s1x1p1x1", "2"]
        assert same.split()[-1] in nbc.algorithms((2, 4, 16, 12), (4, 4, 3, 3), padding=1)
        assert strided.split()[:2] == ["conv.4@16x12-4.3x3s2x2p0-1x0-1", "1"]
        assert together.split()[:2] == ["together", "3"]

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            ([], "input 'x' has the open shape ['n', 4, 16, 12]: give it by --shape"),
            (["--shape", "z=1,4,16,12"], "the network has no input 'z', but x, w"),
            (["--shape", "1,4,16,12"], "--shape takes NAME=N,C,H,W, got '1,4,16,12'"),
            (["--shape", "x=1,3,16,12"], "channels"),
            (["--layer", "a"], "--onnx goes with"),
        ],
    )
    def test_mistakes(self, run, model, arguments, says):
        status, _, err = run("bench", "--onnx", model, *arguments)
        assert status == 2
        assert says in err
        assert "Traceback" not in err

    def test_what_is_no_network(self, run, tmp_path):
        (tmp_path / "text.onnx").write_text("nothing")
        status, _, err = run("bench", "--onnx", tmp_path / "text.onnx")
        assert status == 2
        assert "Traceback" not in err

    def test_shapes_without_a_network(self, run):
        status, _, err = run("bench", "--shape", "x=1")
        assert status == 2
        assert "--shape goes with --onnx MODEL" in err


def test_module_and_script_are_the_same():
    assert "apply" in python("-m", "numbaconv", "--help").stdout
    assert python("-m", "numbaconv", "apply", "--help").stdout.startswith("Usage:")


def test_without_the_extra_it_says_what_to_install():
    hidden = "import sys; sys.modules['click'] = None\nfrom numbaconv.cli import main\nmain()"
    result = python("-c", hidden, check=False)
    assert result.returncode == 2
    assert (
        result.stderr == "numbaconv: the command line needs click: pip install 'numbaconv[cli]'\n"
    )


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "uint64"])
def test_clipping_reaches_exactly_the_bounds(dtype):
    info = np.iinfo(dtype)
    values = np.array([-np.inf, info.min, 0.4, 1.5, info.max, np.inf])
    expected = [info.min, info.min, 0, 2, info.max, info.max]
    np.testing.assert_array_equal(rounded(values, np.dtype(dtype)), np.array(expected, dtype))


def test_the_example_copies_photographs(tmp_path):
    python(str(ROOT / "examples" / "photographs.py"), str(tmp_path / "p"))
    assert sorted(p.name for p in (tmp_path / "p").iterdir()) == ["china.jpg", "flower.jpg"]
