"""``numbaconv apply`` on arrays: their types, and zarr arrays with what they say of themselves."""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import zarr
from scipy import ndimage

import numbaconv as nbc
from numbaconv.cli import main, streams
from numbaconv.cli.filters import FILTERS, named
from numbaconv.cli.zarr_files import _chunks


@pytest.fixture
def rng():
    return np.random.default_rng(17)


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run ``numbaconv apply *arguments`` in a folder of its own: (status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["numbaconv", "apply", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        return (exit_.value.code or 0, *capsys.readouterr())

    return call


def exactly(x, kernel):
    """Return the sums of whole numbers, as Python's ints have them."""
    padded = np.pad(x.astype(object), ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    height, width = x.shape[2:]
    return sum(
        int(kernel[i, j]) * padded[:, :, i : i + height, j : j + width]
        for i in range(3)
        for j in range(3)
    )


class TestTypes:
    @pytest.mark.parametrize("dtype", ["uint16", "int32", "int64", "uint64", ">i4", ">u2"])
    def test_whole_numbers_are_exact(self, run, rng, dtype):
        info = np.iinfo(dtype)
        x = rng.integers(info.min, info.max, (2, 2, 6, 7), dtype=np.dtype(dtype).newbyteorder("="))
        x[0] //= 16  # sums that stay inside the type
        np.save("x.npy", x.astype(dtype))
        for layout, given in (("channels_first", x), ("channels_last", np.moveaxis(x, 1, -1))):
            np.save("x.npy", given.astype(dtype))
            assert run("x.npy", "y.npy", "--kernel", "sharpen", "--layout", layout)[0] == 0
            y = np.load("y.npy")
            assert y.dtype == np.dtype(dtype).newbyteorder("=")
            y = np.moveaxis(y, -1, 1) if layout == "channels_last" else y
            expected = exactly(x, FILTERS["sharpen"].kernels[0]).clip(int(info.min), int(info.max))
            np.testing.assert_array_equal(y.astype(object), expected)

    def test_sums_in_the_type_that_is_asked_for(self, run, rng):
        x = rng.random((1, 1, 9, 9)).astype("f4") * 1e8
        np.save("x.npy", x)
        found = {}
        for dtype in ("float32", "float64"):
            assert run("x.npy", "y.npy", "--kernel", "gaussian", "--dtype", dtype)[0] == 0
            found[dtype] = np.load("y.npy")
            assert found[dtype].dtype == np.float32
        exact = ndimage.correlate(x.astype(float), named("gaussian").kernels[None], mode="nearest")
        np.testing.assert_array_equal(found["float64"], exact.astype("f4"))
        np.testing.assert_allclose(found["float32"], exact, rtol=1e-6)
        np.savez("w.npz", weight=rng.random((1, 1, 3, 3)).astype("f4"))
        assert run("x.npy", "y.npy", "--weights", "w.npz", "--dtype", "float64")[0] == 0
        assert np.load("y.npy").dtype == np.float64

    @pytest.mark.parametrize("dtype", ["float16", "float64"])
    def test_floats_keep_their_type(self, run, rng, dtype):
        x = rng.random((2, 3, 9, 8)).astype(dtype)
        np.save("x.npy", x)
        assert run("x.npy", "y.npy", "--kernel", "box:3")[0] == 0
        y = np.load("y.npy")
        assert y.dtype == dtype
        exact = ndimage.uniform_filter(x.astype(float), (0, 0, 3, 3), mode="nearest")
        np.testing.assert_allclose(y, exact, rtol=1e-3 if dtype == "float16" else 1e-14)

    def test_a_negative_sum_of_bools_is_false(self, run, rng):
        x = rng.random((2, 1, 9, 8)) < 0.5
        np.save("x.npy", x)
        for kernel in ("sharpen", "gaussian", "emboss"):
            assert run("x.npy", "y.npy", "--kernel", kernel)[0] == 0
            y = np.load("y.npy")
            assert y.dtype == bool
            exact = ndimage.correlate(x.astype(float), named(kernel).kernels[None], mode="nearest")
            np.testing.assert_array_equal(y, exact >= 0.5)

    def test_a_plane_of_weights_goes_over_every_channel(self, run, rng):
        weight = rng.integers(-5, 6, (3, 4)).astype("f4")
        np.savez("w.npz", weight=weight, bias=np.float32(2))
        for channels in (1, 5):
            x = rng.integers(0, 99, (3, channels, 8, 9)).astype("i2")
            np.save("x.npy", x)
            assert run("x.npy", "y.npy", "--weights", "w.npz", "--padding", "same")[0] == 0
            y = np.load("y.npy")
            assert y.dtype == np.float32
            depthwise = np.tile(weight, (channels, 1, 1, 1))
            bias = np.full(channels, 2, "f4")
            expected = nbc.conv2d(x, depthwise, bias, padding="same", groups=channels)
            np.testing.assert_array_equal(y, expected)
        for arguments, says in (
            (("--groups", 2), "goes with weights of 3 to 5 axes"),
            ((), "real"),
        ):
            if not arguments:
                np.savez("w.npz", weight=weight * 1j)
            status, _, err = run("x.npy", "y.npy", "--weights", "w.npz", *arguments)
            assert status == 2
            assert says in err

    def test_what_a_filter_cannot_take(self, run):
        np.save("x.npy", np.ones((1, 1, 4, 4), "c8"))
        status, _, err = run("x.npy", "y.npy", "--kernel", "box")
        assert status == 2
        assert "box takes real numbers, INPUT is complex64" in err
        np.save("x.npy", np.ones((1, 1, 4)))
        status, _, err = run("x.npy", "y.npy", "--kernel", "box")
        assert status == 2
        assert "INPUT must have 4 axes for box, got 3" in err


class TestSizes:
    @pytest.mark.parametrize("sigma", [0.5, 2.5, 7])
    def test_gaussians_are_scipys(self, run, rng, sigma):
        x = rng.random((1, 2, 40, 50))
        np.save("x.npy", x)
        assert run("x.npy", "y.npy", "--kernel", f"gaussian:{sigma}")[0] == 0
        expected = ndimage.gaussian_filter(x, (0, 0, sigma, sigma), mode="nearest")
        np.testing.assert_allclose(np.load("y.npy"), expected, rtol=1e-12)
        assert run("x.npy", "y.npy", "--kernel", f"sobel:{sigma}")[0] == 0
        slopes = [
            ndimage.gaussian_filter1d(
                ndimage.gaussian_filter1d(x, sigma, axis, 1, mode="nearest"), sigma, 5 - axis,
                mode="nearest",
            )
            for axis in (2, 3)
        ]  # fmt: skip
        np.testing.assert_allclose(np.load("y.npy"), np.hypot(*slopes), rtol=1e-9, atol=1e-12)

    def test_boxes_and_masks(self, run, rng):
        x = rng.random((1, 1, 30, 35))
        np.save("x.npy", x)
        assert run("x.npy", "y.npy", "--kernel", "box:9")[0] == 0
        expected = ndimage.uniform_filter(x, (0, 0, 9, 9), mode="nearest")
        np.testing.assert_allclose(np.load("y.npy"), expected, rtol=1e-12)
        smooth = ndimage.gaussian_filter(x, (0, 0, 1.5, 1.5), mode="nearest")
        assert run("x.npy", "y.npy", "--kernel", "sharpen:1.5")[0] == 0
        np.testing.assert_allclose(np.load("y.npy"), 2 * x - smooth, rtol=1e-9)
        # A plain image has no edges, whatever the size, and a wide kernel goes another way.
        np.save("x.npy", np.ones((1, 1, 30, 35)))
        for kernel in ("laplacian:1", "laplacian:4", "sobel:2"):
            assert run("x.npy", "y.npy", "--kernel", kernel)[0] == 0
            np.testing.assert_allclose(np.load("y.npy"), 0, atol=1e-12)

    @pytest.mark.parametrize(
        ("kernel", "says"),
        [
            ("gaussian:-1", "above 0"), ("gaussian:x", "above 0"), ("box:2.5", "whole number"),
            ("gaussian:1e9", "pixels wide"), ("box:99999", "at most 2001"), (":3", "no filter"),
        ],
    )  # fmt: skip
    def test_sizes_that_are_none(self, run, kernel, says):
        np.save("x.npy", np.ones((1, 1, 4, 4)))
        status, _, err = run("x.npy", "y.npy", "--kernel", kernel)
        assert status == 2
        assert says in err
        assert err.count("\n") == 1


class TestZarr:
    @pytest.mark.parametrize("version", [2, 3])
    def test_it_is_stored_as_its_source_is(self, run, rng, version):
        x = rng.integers(0, 255, (6, 3, 40, 50)).astype("u1")
        more = {"dimension_names": ("t", "c", "y", "x"), "shards": (2, 3, 40, 40)}
        if version == 2:
            more = {"chunk_key_encoding": {"name": "v2", "separator": "/"}}
        given = zarr.create_array(
            store="x.zarr", shape=x.shape, dtype=x.dtype, chunks=(2, 1, 20, 20),
            attributes={"microscope": "no. 7"}, zarr_format=version, fill_value=9, **more,
        )  # fmt: skip
        given[:] = x
        assert run("x.zarr", "y.zarr", "--kernel", "sharpen", "--batch", 3)[0] == 0
        made = zarr.open_array("y.zarr", mode="r")
        kernel = FILTERS["sharpen"].kernels[None]
        exact = ndimage.correlate(x.astype(float), kernel, mode="nearest").clip(0, 255)
        np.testing.assert_array_equal(made[:], exact)
        assert made.chunks == given.chunks
        assert made.shards == given.shards
        assert made.attrs["microscope"] == "no. 7"
        assert made.compressors == given.compressors
        assert made.fill_value == 9
        if version == 3:
            assert made.metadata.dimension_names == ("t", "c", "y", "x")
        else:
            assert made.metadata.dimension_separator == "/"

    def test_filters_travel(self, run, rng):
        import numcodecs

        x = rng.integers(0, 255, (4, 1, 10, 10)).astype("i4")
        given = zarr.create_array(
            store="x.zarr", data=x, chunks=(2, 1, 10, 10), zarr_format=2,
            filters=[numcodecs.Delta("i4")], compressors=numcodecs.Zlib(),
        )  # fmt: skip
        assert run("x.zarr", "y.zarr", "--kernel", "sharpen")[0] == 0
        assert zarr.open_array("y.zarr", mode="r").filters == given.filters

    def test_chunks(self):
        assert _chunks((1, 3, 256, 256), (9, 3, 999, 999), (9, 64, 997, 997), 4) == (
            1,
            64,
            256,
            256,
        )
        assert _chunks((1, 1, 9, 9), (9, 3, 9, 9), (9, 3, 3, 3), 1) == (1, 1, 3, 3)
        found = _chunks((64, 3, 4096, 4096), (64, 3, 4096, 4096), (64, 3, 4096, 4096), 4)
        assert np.prod(found, dtype=object) * 4 <= 1 << 28

    def test_an_array_inside_a_group_is_opened_by_what_it_is(self, run, rng):
        group = zarr.create_group("plate.zarr")
        x = rng.random((2, 1, 9, 8)).astype("f4")
        group.create_array("0", data=x)
        group.create_array("labels", data=np.ones(3))
        assert run("plate.zarr/0", "y.zarr", "--kernel", "box")[0] == 0
        assert zarr.open_array("y.zarr", mode="r").shape == x.shape
        status, _, err = run("plate.zarr", "y.zarr", "--kernel", "box")
        assert status == 2
        assert "it is a group; give one of the arrays in it" in err

    @pytest.mark.parametrize("version", [2, 3])
    def test_multiscale_images(self, run, rng, version):
        levels = [
            {"path": str(n), "coordinateTransformations": [
                {"type": "scale", "scale": [1, 1, 0.5 * 2**n, 0.25 * 2**n]},
                {"type": "translation", "translation": [0, 0, 3.0, 4.0]}]}
            for n in range(2)
        ]  # fmt: skip
        axes = [{"name": n} for n in "tcyx"]
        told = {"multiscales": [{"axes": axes, "datasets": levels, "version": "0.4"}]}
        told = {"ome": told} if version == 3 else told
        group = zarr.create_group("x.zarr", zarr_format=version, attributes=told)
        x = rng.random((2, 1, 12, 12)).astype("f4")
        group.create_array("0", data=x)
        group.create_array("1", data=x[..., ::2, ::2])
        assert run("x.zarr", "y.zarr", "--kernel", "box", "--stride", 2, "--resume")[0] == 0
        made = zarr.open_group("y.zarr", mode="r")
        found = json.loads(json.dumps(dict(made.attrs)))
        found = found["ome"] if version == 3 else found
        (image,) = found["multiscales"]
        assert image["axes"] == axes
        (level,) = image["datasets"]
        assert level["path"] == "0"
        scale, shift = level["coordinateTransformations"]
        assert scale["scale"] == [1, 1, 1.0, 0.5]
        # The first window of a stride of 2 lies around the second pixel.
        assert shift["translation"] == [0, 0, 3.5, 4.25]
        assert made["0"].shape == (2, 1, 6, 6)
        assert list(made.array_keys()) == ["0"]


class TestSummary:
    def test_where_the_time_went(self, run, rng):
        np.save("x.npy", rng.random((5, 3, 40, 50)).astype("f4"))
        status, out, err = run("x.npy", "y.npy", "--kernel", "box", "--batch", 2)
        assert (status, err) == (0, "")
        for word in ("5 images in", "megapixels/s", "MB/s read", "MB/s written", "read ",
                     "filter ", "write ", "GFLOP/s", "MiB of memory", "wrote y.npy"):  # fmt: skip
            assert word in out
        assert run("x.npy", "y.npy", "--kernel", "box", "--quiet")[1:] == ("", "")

    def test_warnings_are_ours_or_nobodys(self, run, rng, monkeypatch):
        def read(self, size, skip=0):
            warnings.warn("of a library", UserWarning, stacklevel=1)
            warnings.warn_explicit("of numbaconv", RuntimeWarning, streams.__file__, 1)
            return batches(self, size, skip)

        batches = streams.NpySource.batches
        monkeypatch.setattr(streams.NpySource, "batches", read)
        np.save("x.npy", rng.random((2, 3, 9, 9)))
        status, _, err = run("x.npy", "y.npy", "--kernel", "box")
        assert (status, err) == (0, "numbaconv: of numbaconv\n")


class TestBatches:
    def test_they_are_as_large_as_memory_allows_and_whole_chunks(self):
        class Source:
            nbytes = 10 << 20

        assert streams._batch_size(8, Source()) == 4
        assert streams._batch_size(2, Source()) == 2
        Source.nbytes = 1 << 40
        assert streams._batch_size(8, Source()) == 1

    def test_a_file_that_is_too_short(self, run, rng, monkeypatch):
        np.save("x.npy", rng.random((4, 1, 9, 9)))
        data = Path("x.npy").read_bytes()

        class Cut(streams.NpySource):
            def batches(self, size, skip=0):
                Path("x.npy").write_bytes(data[:-500])
                return super().batches(size, skip)

        monkeypatch.setattr(streams, "NpySource", Cut)
        status, _, err = run("x.npy", "y.npy", "--kernel", "box")
        assert status == 2
        assert "ends before its array does" in err
