"""``numbaconv apply`` on folders as cameras, scanners and microscopes leave them."""

import io
import logging
import os
import struct
import subprocess
import sys
import threading
import warnings
import zlib

import numpy as np
import pytest
from children import ROOT
from PIL import Image, ImageCms, ImageSequence, PngImagePlugin
from scipy import ndimage

from numbaconv.cli import main
from numbaconv.cli.filters import FILTERS
from numbaconv.cli.pictures import reading
from numbaconv.cli.pictures.metadata import orientation, turned, upright_exif, upright_xmp
from numbaconv.cli.pictures.work import Workers, _Budget

tifffile = pytest.importorskip("tifffile")
imagecodecs = pytest.importorskip("imagecodecs")

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture
def rng():
    return np.random.default_rng(16)


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run ``numbaconv apply *arguments`` in a folder of its own: (status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["numbaconv", "apply", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        return (exit_.value.code or 0, *capsys.readouterr())

    return call


def photograph(rng, size=(18, 25), channels=3):
    """Return a smooth picture with some noise, of 8 bits."""
    ramp = np.add.outer(np.arange(size[0]) * 3, np.arange(size[1]) * 2)[..., None] + 30
    return (ramp + rng.integers(0, 40, (*size, channels))).astype(np.uint8)


def filtered(pixels, name="box"):
    """Return what a filter makes of each channel, as floats."""
    kernel = FILTERS[name].kernels[0]
    planes = [
        ndimage.correlate(pixels[..., c].astype(float), kernel, mode="nearest")
        for c in range(pixels.shape[-1])
    ]
    return np.stack(planes, axis=-1)


def assert_filtered(found, pixels, name="box", step=1):
    """Check against the exact result, within its rounding."""
    assert found.shape == pixels.shape
    assert found.dtype == pixels.dtype
    assert np.abs(found - filtered(pixels, name)).max() <= 0.5 * step + 1e-2


def load(path):
    """Return an image, and what it says: `Image.info`, and EXIF or tags as ``"tags"``."""
    with Image.open(path) as image:
        image.load()
        return image.copy(), image.info | {"tags": dict(image.getexif())}


class TestFolders:
    def test_what_is_no_image_is_left_alone(self, run, tmp_path, rng):
        folder = tmp_path / "in"
        Image.fromarray(photograph(rng)).save(folder / "a.png")
        for name in ("._x.jpg", ".DS_Store", "paper.pdf", "notes.txt", "grid.h5"):
            (folder / name).write_bytes(b"%PDF")
        (folder / "album.jpg").mkdir()
        Image.fromarray(photograph(rng)).save(folder / "album.jpg" / "b.png")
        status, out, err = run("in", "out", "--kernel", "box")
        assert (status, err) == (0, "")
        assert "1 image in" in out
        assert "5 files that are no images; the folder album.jpg/ (see --recursive)" in out
        assert [p.name for p in (tmp_path / "out").iterdir()] == ["a.png"]

    def test_recursive_keeps_subfolders(self, run, tmp_path, rng):
        for name in ("a.png", "x/a.png", "x/y/b.jpg"):
            path = tmp_path / "in" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(photograph(rng)).save(path)
        (tmp_path / "in" / "empty").mkdir()
        assert run("in", "in/out", "--kernel", "box", "--recursive")[0] == 0
        found = {p.relative_to(tmp_path / "in/out").as_posix()
                 for p in (tmp_path / "in/out").rglob("*") if p.is_file()}  # fmt: skip
        assert found == {"a.png", "x/a.png", "x/y/b.jpg"}
        # What an earlier run has written into the folder is no input of the next one.
        status, out, _ = run("in", "in/out", "--kernel", "box", "--recursive")
        assert status == 0
        assert "3 images in" in out

    @pytest.mark.parametrize("threads", [1, 2])
    def test_broken_images_are_named_and_the_rest_is_done(self, run, tmp_path, rng, threads):
        folder = tmp_path / "in"
        pixels = photograph(rng, (60, 80))
        Image.fromarray(pixels).save(folder / "a.png")
        Image.fromarray(pixels).save(folder / "whole.jpg")
        data = (folder / "whole.jpg").read_bytes()
        (folder / "cut.jpg").write_bytes(data[: len(data) // 2])
        (folder / "empty.tif").touch()
        (folder / "text.png").write_text("not an image")
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "text.png").write_text("of an earlier run")
        status, out, err = run("in", "out", "--kernel", "box", "--threads", threads)
        assert status == 1
        assert "2 images in" in out
        lines = sorted(err.splitlines())
        assert len(lines) == 4
        assert lines[0] == "numbaconv: 3 of 5 images failed"
        assert lines[1].startswith(
            "numbaconv: cut.jpg: it cannot be read as an image: image file is"
        )
        assert lines[2] == "numbaconv: empty.tif: it is empty"
        assert lines[3] == "numbaconv: text.png: it cannot be read as an image"
        assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.png", "whole.jpg"]
        assert_filtered(np.asarray(load(tmp_path / "out" / "a.png")[0]), pixels)
        status, out, err = run(
            "in", "other", "--kernel", "box", "--on-error", "stop", "--threads", 1
        )
        assert (status, out) == (2, "")
        assert err.startswith("numbaconv: cut.jpg: it cannot be read as an image")
        assert err.count("\n") == 1
        # What was begun before may be there, and nothing that failed or came later.
        assert {p.name for p in (tmp_path / "other").glob("*")} <= {"a.png"}

    def test_failures_are_tried_again_by_a_resumed_run(self, run, tmp_path, rng, monkeypatch):
        pixels = photograph(rng)
        for name in ("a.png", "c.png", "d.png"):
            Image.fromarray(pixels).save(tmp_path / "in" / name)
        (tmp_path / "in" / "b.png").write_bytes(b"x" * 100)
        convolve, calls = Workers._frame, []

        def interrupted(self, frame):
            calls.append(1)
            if len(calls) == 3:
                raise KeyboardInterrupt
            return convolve(self, frame)

        monkeypatch.setattr(Workers, "_frame", interrupted)
        command = ("in", "out", "--kernel", "box", "--resume", "--threads", 1)
        assert run(*command)[0] == 130
        monkeypatch.setattr(Workers, "_frame", convolve)
        status, out, err = run(*command)
        assert status == 1
        assert "3 images were there already" in out
        assert "b.png: it cannot be read" in err
        assert {p.name for p in (tmp_path / "out").iterdir()} == {"a.png", "c.png", "d.png"}

    def test_ctrl_c_while_kernels_are_loaded(self, run, tmp_path, rng, monkeypatch):
        from numbaconv.cli import convolving

        def interrupted(self):
            raise KeyboardInterrupt

        for n in range(30):
            Image.fromarray(photograph(rng)).save(tmp_path / "in" / f"{n}.png")
        monkeypatch.setattr(convolving.EveryChannel, "prepare", interrupted)
        assert run("in", "out", "--kernel", "box")[0] == 130
        assert not [t for t in threading.enumerate() if t.name.startswith("numbaconv-")]
        assert not (tmp_path / "out").exists()

    def test_a_single_image(self, run, tmp_path, rng):
        pixels = photograph(rng)
        Image.fromarray(pixels).save(tmp_path / "in" / "a.png")
        assert run("in/a.png", "b.png", "--kernel", "box")[0] == 0
        assert_filtered(np.asarray(load(tmp_path / "b.png")[0]), pixels)
        (tmp_path / "out").mkdir()
        assert run("in/a.png", "out", "--kernel", "box")[0] == 0
        assert_filtered(np.asarray(load(tmp_path / "out" / "a.png")[0]), pixels)
        status, _, err = run("in/a.png", "in", "--kernel", "box")
        assert status == 2
        assert "OUTPUT must be another file than INPUT" in err
        status, _, err = run("in/a.png", "b.nothing", "--kernel", "box")
        assert status == 1
        assert "no extension of an image" in err

    def test_images_of_unlike_channels_by_one_file(self, run, tmp_path, rng):
        weight = rng.integers(-2, 3, (3, 2)).astype(float)
        np.savez(tmp_path / "w.npz", weight=weight / 4, bias=[7.0])
        grey, colour = photograph(rng, channels=1), photograph(rng)
        Image.fromarray(grey[..., 0]).save(tmp_path / "in" / "grey.png")
        Image.fromarray(colour).save(tmp_path / "in" / "colour.png")
        assert run("in", "out", "--weights", "w.npz")[0] == 0
        for name, pixels in (("grey", grey), ("colour", colour)):
            found = np.asarray(load(tmp_path / "out" / f"{name}.png")[0])
            found = found.reshape(*found.shape[:2], -1)
            for c in range(found.shape[-1]):
                windows = np.lib.stride_tricks.sliding_window_view(pixels[..., c], (3, 2))
                exact = np.rint((windows * weight / 4).sum(axis=(-1, -2)) + 7).clip(0, 255)
                np.testing.assert_array_equal(found[..., c], exact)

    def test_weights_that_mix_channels_in_bands(self, run, tmp_path, rng, monkeypatch):
        from numbaconv.cli import convolving

        monkeypatch.setattr(convolving, "_BAND_BYTES", 2000)
        pixels = photograph(rng, (40, 31))
        weight = rng.integers(-3, 4, (3, 3, 5, 3)).astype("f4")
        np.savez(tmp_path / "w.npz", weight=weight)
        Image.fromarray(pixels).save(tmp_path / "in" / "a.png")
        from numbaconv import conv2d

        for mode in ("zeros", "reflect", "circular"):
            for stride in (1, 3):
                window = {"padding": "same", "padding_mode": mode, "stride": stride}
                options = ("--padding", "same", "--padding-mode", mode, "--stride", stride)
                assert run("in", "out", "--weights", "w.npz", *options)[0] == 0
                expected = conv2d(np.moveaxis(pixels, -1, 0).astype("f4"), weight, **window)
                found = np.asarray(load(tmp_path / "out" / "a.png")[0])
                np.testing.assert_array_equal(np.moveaxis(found, -1, 0), expected.clip(0, 255))


class TestWhatIsKept:
    def test_profile_resolution_and_camera(self, run, tmp_path, rng):
        exif = Image.Exif()
        exif[271], exif[0x0112] = "A camera", 1
        exif.get_ifd(0x8769)[0x927C] = b"the maker's own"
        picture = Image.fromarray(photograph(rng))
        keywords = {"exif": exif.tobytes(), "icc_profile": PROFILE}
        picture.save(tmp_path / "in" / "a.jpg", dpi=(300, 200), comment=b"seaside", **keywords)
        picture.save(tmp_path / "in" / "b.webp", lossless=True, **keywords)
        picture.save(tmp_path / "in" / "c.png", dpi=(300, 300), **keywords)
        picture.save(tmp_path / "in" / "d.tif", dpi=(300, 200), icc_profile=PROFILE,
                     compression="tiff_lzw", tiffinfo={271: "A camera", 270: "words"})  # fmt: skip
        status, _, err = run("in", "out", "--kernel", "box")
        assert (status, err) == (0, "")
        for name in ("a.jpg", "b.webp", "c.png", "d.tif"):
            _, given = load(tmp_path / "in" / name)
            _, info = load(tmp_path / "out" / name)
            assert info["icc_profile"] == PROFILE
            assert info["tags"][271] == "A camera"
            assert info.get("dpi") == given.get("dpi")
            if name != "d.tif":
                assert info["exif"] == given["exif"]
        assert load(tmp_path / "out" / "a.jpg")[1]["comment"] == b"seaside"
        assert load(tmp_path / "out" / "d.tif")[1]["tags"][270] == "words"
        assert load(tmp_path / "out" / "d.tif")[1]["compression"] == "tiff_lzw"

    @pytest.mark.parametrize("how", range(1, 9))
    def test_orientation_is_applied_once(self, run, tmp_path, rng, how):
        pixels = photograph(rng)
        exif = Image.Exif()
        exif[0x0112], exif[271] = how, "A camera"
        Image.fromarray(pixels).save(tmp_path / "in" / "a.png", exif=exif, dpi=(100, 200))
        upright = Image.fromarray(pixels)
        from PIL import ImageOps

        with Image.open(tmp_path / "in" / "a.png") as image:
            upright = np.asarray(ImageOps.exif_transpose(image))
        for turn in ("out", "again"):
            source = "in" if turn == "out" else "out"
            assert run(source, turn, "--weights", one_tap(tmp_path))[0] == 0
            found, info = load(tmp_path / turn / "a.png")
            np.testing.assert_array_equal(np.asarray(found), upright)
            assert info["tags"][0x0112] == 1
            assert info["tags"][271] == "A camera"
            across, down = (200, 100) if how >= 5 else (100, 200)
            np.testing.assert_allclose(info["dpi"], (across, down), atol=0.1)

    def test_lossless_stays_lossless(self, run, tmp_path, rng):
        rgba = photograph(rng, channels=4)
        for name, options in (("a.webp", {"lossless": True, "exact": True}), ("b.webp", {}),
                              ("c.jp2", {}), ("d.png", {})):  # fmt: skip
            Image.fromarray(rgba).save(tmp_path / "in" / name, **options)
        assert run("in", "out", "--weights", one_tap(tmp_path))[0] == 0
        for name in ("a.webp", "c.jp2", "d.png"):
            np.testing.assert_array_equal(np.asarray(load(tmp_path / "out" / name)[0]), rgba)
        assert b"VP8L" in (tmp_path / "out" / "a.webp").read_bytes()
        assert b"VP8 " in (tmp_path / "out" / "b.webp").read_bytes()

    @pytest.mark.parametrize("channels", [1, 2, 3, 4])
    @pytest.mark.parametrize("kind", ["png", "tif"])
    def test_sixteen_bits_stay_sixteen(self, run, tmp_path, rng, channels, kind):
        pixels = rng.integers(0, 65536, (12, 15, channels)).astype(np.uint16)
        alpha = channels in (2, 4)
        path = tmp_path / "in" / f"a.{kind}"
        if kind == "png":
            path.write_bytes(imagecodecs.png_encode(pixels if channels > 1 else pixels[..., 0]))
        else:
            tifffile.imwrite(
                path, pixels if channels > 1 else pixels[..., 0], compression="zlib",
                photometric="rgb" if channels > 2 else "minisblack",
                extrasamples=["unassalpha"] if alpha else None, resolution=(120, 130),
                planarconfig="contig" if channels > 1 else None,
            )  # fmt: skip
        status, _, err = run("in", "out", "--kernel", "box")
        assert (status, err) == (0, "")
        result = tmp_path / "out" / f"a.{kind}"
        if kind == "png":
            found = imagecodecs.png_decode(result.read_bytes())
        else:
            with tifffile.TiffFile(result) as tiff:
                page = tiff.pages[0]
                found = page.asarray()
                assert page.compression == 8
                assert page.resolution == (120, 130)
                assert len(page.extrasamples) == alpha
        found = found.reshape(pixels.shape)
        assert found.dtype == np.uint16
        colours = channels - alpha
        assert_filtered(found[..., :colours], pixels[..., :colours])
        if alpha:
            np.testing.assert_array_equal(found[..., -1], pixels[..., -1])
            assert run("in", "bare", "--kernel", "box", "--drop-alpha")[0] == 0
            bare = tmp_path / "bare" / f"a.{kind}"
            shape = (imagecodecs.png_decode(bare.read_bytes()) if kind == "png" else
                     tifffile.imread(bare)).shape  # fmt: skip
            assert shape == ((12, 15, 3) if channels == 4 else (12, 15))

    def test_chunks_of_a_deep_png_travel(self, run, tmp_path, rng):
        pixels = rng.integers(0, 65536, (12, 15, 3)).astype(np.uint16)
        data = imagecodecs.png_encode(pixels)
        exif = Image.Exif()
        exif[0x0112], exif[271] = 6, "A camera"
        chunks = {
            b"iCCP": b"sRGB\0\0" + zlib.compress(PROFILE),
            b"pHYs": struct.pack(">IIB", 100, 200, 1),
            b"eXIf": exif.tobytes()[6:], b"tEXt": b"Comment\0seaside",
        }  # fmt: skip
        added = b"".join(
            struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d))
            for n, d in chunks.items()
        )
        (tmp_path / "in" / "a.png").write_bytes(data[:33] + added + data[33:])
        assert run("in", "out", "--weights", one_tap(tmp_path))[0] == 0
        written = (tmp_path / "out" / "a.png").read_bytes()
        np.testing.assert_array_equal(imagecodecs.png_decode(written), np.rot90(pixels, -1))
        _, info = load(tmp_path / "out" / "a.png")
        assert info["icc_profile"] == PROFILE
        assert info["tags"][271] == "A camera"
        assert info["tags"][0x0112] == 1
        assert info["Comment"] == "seaside"

    def test_alpha_is_kept_as_it_was(self, run, tmp_path, rng):
        pixels = photograph(rng, channels=4)
        Image.fromarray(pixels).save(tmp_path / "in" / "a.png")
        Image.new("P", (5, 4)).save(tmp_path / "in" / "p.png")
        assert run("in", "out", "--kernel", "box")[0] == 0
        image = load(tmp_path / "out" / "a.png")[0]
        assert image.mode == "RGBA"
        assert_filtered(np.asarray(image)[..., :3], pixels[..., :3])
        np.testing.assert_array_equal(np.asarray(image)[..., 3], pixels[..., 3])
        assert load(tmp_path / "out" / "p.png")[0].mode == "RGB"
        # Where the result is smaller, alpha is taken from the middles of the windows.
        assert run("in", "half", "--kernel", "box", "--stride", 2)[0] == 0
        half = np.asarray(load(tmp_path / "half" / "a.png")[0])
        np.testing.assert_array_equal(half[..., 3], pixels[1::2, ::2, 3])
        assert run("in", "valid", "--kernel", "box", "--padding", "valid")[0] == 0
        valid = np.asarray(load(tmp_path / "valid" / "a.png")[0])
        np.testing.assert_array_equal(valid[..., 3], pixels[1:-1, 1:-1, 3])
        assert run("in", "bare", "--kernel", "box", "--drop-alpha")[0] == 0
        assert load(tmp_path / "bare" / "a.png")[0].mode == "RGB"

    @pytest.mark.parametrize("kind", ["gif", "png", "webp", "tif"])
    def test_every_frame(self, run, tmp_path, rng, kind):
        frames = [photograph(rng, (20, 24)) for _ in range(3)]
        pictures = [Image.fromarray(f) for f in frames]
        options = {"lossless": True} if kind == "webp" else {}
        if kind != "tif":
            options |= {"duration": [40, 80, 120], "loop": 3}
        pictures[0].save(
            tmp_path / "in" / f"a.{kind}", save_all=True, append_images=pictures[1:], **options
        )
        status, _, err = run("in", "out", "--kernel", "box")
        assert (status, err) == (0, "")
        with Image.open(tmp_path / "out" / f"a.{kind}") as image:
            assert image.n_frames == 3
            found, durations = [], []
            for frame in ImageSequence.Iterator(image):
                found.append(np.asarray(frame.convert("RGB")))
                durations.append(frame.info.get("duration"))
            if kind != "tif":
                assert durations == [40, 80, 120]
                assert image.info["loop"] == 3
        for before, after in zip(frames, found, strict=True):
            if kind == "gif":  # of 256 colours
                assert np.abs(after - filtered(before)).mean() < 12
            else:
                assert_filtered(after, before)

    def test_pages_of_a_microscope(self, run, tmp_path, rng):
        pages = rng.integers(0, 65536, (5, 20, 30)).astype(np.uint16)
        tifffile.imwrite(tmp_path / "in" / "a.tif", pages, photometric="minisblack",
                         description="plate 7", compression="lzw", bigtiff=True)  # fmt: skip
        planes = rng.random((3, 20, 30)).astype("f4")
        tifffile.imwrite(tmp_path / "in" / "b.tif", planes, photometric="rgb",
                         planarconfig="separate")  # fmt: skip
        counts = rng.integers(-(2**30), 2**30, (20, 30)).astype("i4")
        tifffile.imwrite(tmp_path / "in" / "c.tif", counts)
        status, _, err = run("in", "out", "--kernel", "sharpen")
        assert (status, err) == (0, "")
        with tifffile.TiffFile(tmp_path / "out" / "a.tif") as tiff:
            assert tiff.is_bigtiff
            assert tiff.pages[0].description.startswith("plate 7")
            assert tiff.pages[4].compression == 5
            found = np.stack([page.asarray() for page in tiff.pages])
        exact = filtered(np.moveaxis(pages, 0, -1), "sharpen").clip(0, 65535)
        np.testing.assert_array_equal(np.moveaxis(found, 0, -1), exact)
        with tifffile.TiffFile(tmp_path / "out" / "b.tif") as tiff:
            assert tiff.pages[0].planarconfig == 2
            found = tiff.pages[0].asarray()
        exact = filtered(np.moveaxis(planes, 0, -1), "sharpen")
        np.testing.assert_allclose(np.moveaxis(found, 0, -1), exact, atol=1e-5)
        exact = filtered(counts[..., None], "sharpen")[..., 0].clip(-(2**31), 2**31 - 1)
        np.testing.assert_array_equal(tifffile.imread(tmp_path / "out" / "c.tif"), exact)

    def test_printers_colours(self, run, tmp_path, rng):
        cmyk = photograph(rng, channels=4)
        image = Image.frombytes("CMYK", (25, 18), cmyk.tobytes())
        image.save(tmp_path / "in" / "a.tif", icc_profile=PROFILE)
        image.save(tmp_path / "in" / "b.jpg")
        assert run("in", "out", "--kernel", "box", "--montage", "m.png")[0] == 0
        found, info = load(tmp_path / "out" / "a.tif")
        assert found.mode == "CMYK"
        assert_filtered(np.asarray(found), cmyk)
        assert info["icc_profile"] == PROFILE
        assert load(tmp_path / "out" / "b.jpg")[0].mode == "CMYK"

    def test_what_a_format_cannot_carry_is_said_once(self, run, tmp_path, rng):
        exif = Image.Exif()
        exif[271] = "A camera"
        picture = Image.fromarray(photograph(rng, channels=4))
        for name in "abc":
            picture.save(tmp_path / "in" / f"{name}.png", icc_profile=PROFILE, exif=exif)
        status, _, err = run("in/a.png", "a.bmp", "--kernel", "box")
        assert status == 0
        assert sorted(err.splitlines()) == [
            "numbaconv: a.png: a BMP file does not carry EXIF (said once)",
            "numbaconv: a.png: a BMP file does not carry an ICC profile (said once)",
        ]
        status, _, err = run("in/b.png", "b.jpg", "--kernel", "box")
        assert "a JPEG file does not carry alpha" in err
        assert load(tmp_path / "b.jpg")[1]["icc_profile"] == PROFILE
        deep = rng.integers(0, 65536, (6, 7, 3)).astype(np.uint16)
        (tmp_path / "deep.png").write_bytes(imagecodecs.png_encode(deep))
        status, _, err = run("deep.png", "deep.webp", "--kernel", "box")
        assert "a WEBP file does not carry 16 bits" in err
        assert np.asarray(load(tmp_path / "deep.webp")[0]).mean() == pytest.approx(127, abs=25)

    def test_what_stays_within_a_format_is_said(self, run, tmp_path, rng):
        pixels = rng.integers(0, 65536, (6, 7, 3)).astype(np.uint16)
        data = imagecodecs.png_encode(pixels)
        word = b"tEXtComment\0seaside"
        chunk = struct.pack(">I", len(word) - 4) + word + struct.pack(">I", zlib.crc32(word))
        (tmp_path / "deep.png").write_bytes(data[:33] + chunk + data[33:])
        (tmp_path / "bare.png").write_bytes(data)
        tifffile.imwrite(tmp_path / "deep.tif", pixels, description="plate 7")
        Image.fromarray(photograph(rng)).save(tmp_path / "words.tif", tiffinfo={270: "words"})
        for name, kind in (("deep.png", "PNG"), ("deep.tif", "TIFF"), ("words.tif", "TIFF")):
            status, _, err = run(name, "x.webp", "--kernel", "box")
            assert status == 0
            assert f"a WEBP file does not carry what a {kind} file says of itself" in err
        assert "says of itself" not in run("bare.png", "x.webp", "--kernel", "box")[2]
        assert run("deep.png", "x.png", "--kernel", "box")[::2] == (0, "")

    def test_words_of_a_png(self, run, tmp_path, rng):
        words = PngImagePlugin.PngInfo()
        words.add_text("Title", "seaside")
        words.add_itxt("Autor", "Jörg", "de", "Urheber")
        picture = Image.fromarray(photograph(rng))
        picture.save(tmp_path / "in" / "a.png", pnginfo=words)
        assert run("in", "out", "--kernel", "box")[0] == 0
        with Image.open(tmp_path / "out" / "a.png") as image:
            assert image.text["Title"] == "seaside"
            assert (image.text["Autor"], image.text["Autor"].lang) == ("Jörg", "de")

    def test_pictures_of_several_from_a_camera(self, run, tmp_path, rng):
        first, second = (Image.fromarray(photograph(rng)) for _ in range(2))
        first.save(tmp_path / "in" / "a.jpg", "MPO", save_all=True, append_images=[second])
        status, _, err = run("in", "out", "--kernel", "box")
        assert status == 0
        assert "the other images of a multi-picture file are not kept (said once)" in err
        assert load(tmp_path / "out" / "a.jpg")[0].size == first.size


def one_tap(tmp_path):
    """Write weights that change nothing."""
    np.savez(tmp_path / "one.npz", weight=np.ones((1, 1)))
    return "one.npz"


class TestLargeImages:
    def test_they_are_named_and_taken_if_asked_for(self, run, tmp_path, monkeypatch):
        monkeypatch.setattr(reading, "MOST_PIXELS", 1000)
        Image.new("L", (40, 30)).save(tmp_path / "in" / "a.png")
        deep = np.zeros((30, 40, 3), np.uint16)
        (tmp_path / "in" / "b.png").write_bytes(imagecodecs.png_encode(deep))
        tifffile.imwrite(tmp_path / "in" / "c.tif", deep)
        status, _, err = run("in", "out", "--kernel", "box")
        assert status == 1
        assert err.count("megapixels, more than 0: --large-images takes it") == 3
        assert run("in", "out", "--kernel", "box", "--large-images")[0] == 0
        assert len(list((tmp_path / "out").iterdir())) == 3

    def test_pillows_own_limit_and_warnings(self, run, tmp_path, monkeypatch):
        """No image in between is refused, or warned of, by Pillow itself."""
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
        before = logging.getLogger("tifffile").disabled
        Image.new("L", (40, 30)).save(tmp_path / "in" / "a.png")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert run("in", "out", "--kernel", "box")[::2] == (0, "")
        assert Image.MAX_IMAGE_PIXELS == 500
        assert logging.getLogger("tifffile").disabled == before

    def test_a_budget_lets_large_ones_in_alone(self):
        budget, stop, entered = _Budget(100), threading.Event(), threading.Event()
        assert budget.take(60, stop, wait=True)
        assert not budget.take(50, stop, wait=False)

        def large():
            assert budget.take(500, stop, wait=True)
            entered.set()

        thread = threading.Thread(target=large)
        thread.start()
        assert not entered.wait(0.3)
        budget.give(60)
        thread.join(10)
        assert entered.is_set()
        assert not budget.take(1, stop, wait=False)


def test_memory_is_bounded_by_bytes(tmp_path):
    """Twelve photographs of 12 megapixels, eight threads, a batch of a hundred: under 1 GiB."""
    if sys.platform != "linux":
        pytest.skip("VmHWM")
    (tmp_path / "in").mkdir()
    ramp = np.add.outer(np.arange(3000), np.arange(4000)).astype(np.uint8)
    Image.fromarray(np.dstack([ramp] * 3)).save(tmp_path / "in" / "0.jpg")
    data = (tmp_path / "in" / "0.jpg").read_bytes()
    for n in range(1, 12):
        (tmp_path / "in" / f"{n}.jpg").write_bytes(data)
    command = [sys.executable, "-m", "numbaconv", "apply", "in", "out", "--kernel", "sharpen",
               "--threads", "8", "--batch", "100"]  # fmt: skip
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    words = done.stdout.split()
    assert 100 < int(words[words.index("MiB") - 1]) < 1024
    assert len(list((tmp_path / "out").iterdir())) == 12


class TestMetadata:
    def exif(self, how, order):
        tags = [(271, 2, 4, b"abc\0"), (0x0112, 3, 1, struct.pack(order + "HH", how, 0))]
        entries = b"".join(struct.pack(order + "HHI", t, k, c) + v for t, k, c, v in tags)
        mark = b"II" if order == "<" else b"MM"
        return mark + struct.pack(order + "HIH", 42, 8, len(tags)) + entries + bytes(4)

    @pytest.mark.parametrize("order", "<>")
    @pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
    def test_orientation(self, order, prefix):
        for how in range(1, 9):
            data = prefix + self.exif(how, order)
            assert orientation(data) == how
            cleared = upright_exif(data)
            assert cleared == prefix + self.exif(1, order)
        assert orientation(prefix + self.exif(77, order)) == 1

    def test_broken_exif_is_upright(self):
        whole = self.exif(6, "<")
        for data in (
            None,
            b"",
            b"Exif\0\0",
            b"XX",
            whole[:9],
            whole[:20],
            b"II*\0\xff\xff\xff\xff",
        ):
            assert orientation(data) == 1
            if data is not None:
                assert upright_exif(data) == data

    def test_xmp_loses_its_orientation(self):
        xmp = b'<x tiff:Orientation="6" a="b"><tiff:Orientation>8</tiff:Orientation></x>'
        assert upright_xmp(xmp) == b'<x a="b"></x>'

    def test_turning(self):
        pixels = np.arange(6).reshape(2, 3)
        corners = {1: 0, 2: 2, 3: 5, 4: 3, 5: 0, 6: 3, 7: 5, 8: 2}
        for how, first in corners.items():
            found = turned(pixels, how)
            assert found[0, 0] == first
            assert found.shape == ((3, 2) if how >= 5 else (2, 3))
            assert found.flags.c_contiguous


def test_no_library_no_deep_images(run, tmp_path, rng, monkeypatch):
    deep = rng.integers(0, 65536, (6, 7, 3)).astype(np.uint16)
    stream = io.BytesIO(imagecodecs.png_encode(deep))
    (tmp_path / "in" / "a.png").write_bytes(stream.getvalue())
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    status, _, err = run("in", "out", "--kernel", "box")
    assert status == 1
    assert "a.png: it needs imagecodecs: pip install 'numbaconv[cli]'" in err
