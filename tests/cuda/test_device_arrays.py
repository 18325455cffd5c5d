"""What comes in and goes out: interfaces, errors, `out`, streams, cuBLAS."""

import sys
import types

import numpy as np
import pytest
from numba.cuda.core import config
from problems import small_integers

import numbaconv as nbc
import numbaconv.cuda as nbcuda
from numbaconv.cuda import arrays, call, columns, launch

needs_simulator = pytest.mark.skipif(
    not config.ENABLE_CUDASIM, reason="replaces what the simulator keeps in NumPy arrays"
)


@pytest.fixture
def problem(rng):
    x = small_integers(rng, (2, 3, 5, 6), "float32")
    weight = small_integers(rng, (4, 3, 2, 3), "float32")
    return x, weight, nbc.conv2d(x, weight)


def test_numpy_arrays_are_refused(problem, to_device):
    x, weight, _ = problem
    with pytest.raises(TypeError, match=r"x must be .*ndarray.*numba\.cuda\.to_device\(x\)"):
        nbcuda.conv2d(x, to_device(weight))
    with pytest.raises(TypeError, match=r"to_device\(weight\)"):
        nbcuda.conv2d(to_device(x), weight)
    with pytest.raises(TypeError, match=r"to_device\(bias\)"):
        nbcuda.conv2d(to_device(x), to_device(weight), np.zeros(4))
    with pytest.raises(TypeError, match=r"to_device\(out\)"):
        nbcuda.conv2d(to_device(x), to_device(weight), out=np.zeros((2, 4, 4, 4)))


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"stride": 0}, ValueError, "stride"),
        ({"stride": 1.5}, TypeError, "stride"),
        ({"padding": -1}, ValueError, "padding"),
        ({"groups": 2}, ValueError, "groups must divide"),
        ({"layout": "NHWC"}, ValueError, "layout"),
        ({"dtype": "int32"}, TypeError, "cannot be converted"),
        ({"dtype": "longdouble"}, TypeError, "dtype"),
        ({"algorithm": "winograd"}, ValueError, "cannot run on the device"),
        ({"algorithm": "best"}, ValueError, "algorithm"),
        ({"algorithm": "depthwise"}, ValueError, "3 input channels"),
    ],
)
def test_errors_are_those_of_the_cpu(options, error, text, problem, to_device):
    x, weight, _ = problem
    with pytest.raises(error, match=text):
        nbcuda.conv2d(to_device(x), to_device(weight), **options)


def test_bias_and_out_are_checked(problem, to_device):
    x, weight, y = problem
    x, weight = to_device(x), to_device(weight)
    with pytest.raises(ValueError, match=r"bias must have shape \(4,\)"):
        nbcuda.conv2d(x, weight, to_device(np.zeros(3, "f4")))
    with pytest.raises(TypeError, match="bias of dtype complex64"):
        nbcuda.conv2d(x, weight, to_device(np.zeros(4, "c8")))
    with pytest.raises(TypeError, match="out must have dtype float32"):
        nbcuda.conv2d(x, weight, out=to_device(y.astype("f8")))
    with pytest.raises(ValueError, match="out must have shape"):
        nbcuda.conv2d(x, weight, out=to_device(y[:1].copy()))
    with pytest.raises(TypeError, match="got bool"):
        nbcuda.conv2d(
            to_device(np.ones((1, 3, 4, 4), bool)), to_device(np.ones((1, 3, 2, 2), bool))
        )


def test_strided_and_offset_arrays(problem, to_device):
    x, weight, y = problem
    wide = to_device(np.repeat(x, 2, axis=3))
    kernels = to_device(np.concatenate([weight[:1], weight]))
    out = to_device(np.full((2, 4, 8, 4), 7, "f4"))
    found = nbcuda.conv2d(wide[:, :, :, ::2], kernels[1:], out=out[:, :, 1::2])
    np.testing.assert_array_equal(out.copy_to_host()[:, :, 1::2], y)
    assert (out.copy_to_host()[:, :, ::2] == 7).all()
    assert found.shape == y.shape
    bias = to_device(np.arange(8, dtype="f4"))[::-2] if config.ENABLE_CUDASIM else None
    if bias is not None:
        found = nbcuda.conv2d(to_device(x), to_device(weight), bias).copy_to_host()
        np.testing.assert_array_equal(found, nbc.conv2d(x, weight, [7, 5, 3, 1]))


def test_out_may_overlap_an_input(rng, to_device):
    x = small_integers(rng, (1, 1, 6, 6), "float32")
    weight = small_integers(rng, (1, 1, 3, 3), "float32")
    memory = to_device(x)
    found = nbcuda.conv2d(memory, to_device(weight), padding=1, out=memory)
    assert found is memory
    np.testing.assert_array_equal(memory.copy_to_host(), nbc.conv2d(x, weight, padding=1))


@needs_simulator
def test_interfaces(problem, to_device, monkeypatch):
    """Arrays of other libraries, described by the interface; the simulator's lie in host memory."""
    monkeypatch.setattr(arrays, "_interface", lambda value, name: value.described)
    x, _, _ = problem

    def described(array, **changes):
        interface = dict(array.__array_interface__, **changes)
        return types.SimpleNamespace(described=interface, array=array)

    def shapes(**changes):
        return arrays.take(described(x, **changes), "x")

    taken = shapes(strides=None)
    assert taken.strides == (90, 30, 6, 1)
    flipped = arrays.take(described(x[:, :, ::-1]), "x")
    assert flipped.strides == (90, 30, -6, 1)
    assert flipped.base == 24
    assert flipped.data.size == x.size
    np.testing.assert_array_equal(np.asarray(flipped.data._ary), x.ravel())
    with pytest.raises(ValueError, match="x must be aligned"):
        shapes(data=(x.ctypes.data + 1, False))
    with pytest.raises(ValueError, match="x must be aligned"):
        shapes(strides=(362, 120, 24, 4))
    with pytest.raises(TypeError, match="byte order"):
        shapes(typestr=">f4")
    with pytest.raises(TypeError, match="array of numbers"):
        shapes(typestr="|S4")
    with pytest.raises(ValueError, match="no mask"):
        shapes(mask=x)
    assert shapes(data=(x.ctypes.data, True)).writeable is False
    with pytest.raises(ValueError, match="read-only"):
        arrays.check_out(shapes(data=(x.ctypes.data, True)), x.shape, x.dtype)
    empty = arrays.take(described(x[:0]), "x")
    assert empty.size == 0
    assert (empty.start, empty.stop) == (0, 0)


def test_streams_wait_for_each_other(problem, monkeypatch):
    """The first stream that an array names does the work, and waits for the others."""
    order = []

    class Event:
        def __init__(self, timing):
            assert timing is False

        def record(self, stream):
            order.append(("record", stream))

        def wait(self, stream):
            order.append(("wait", stream))

    monkeypatch.setattr(launch.cuda, "event", Event)

    def on(stream):
        layout = arrays.Layout((), (), np.dtype("f4"), 0, 1)
        return arrays.DeviceArray(None, layout, 0, stream)

    assert arrays.common_stream(on(0), None) == 0
    assert order == []
    first, second = "first", "second"
    assert arrays.common_stream(on(0), on(first), on(second), on(first)) is first
    assert order == [("record", second), ("wait", first)]


@pytest.mark.parametrize(
    ("x_stream", "out_stream", "expected"),
    [
        (0, 0, []),
        ("a", "a", []),
        ("a", "b", [("record", "b"), ("wait", "a"), ("record", "a"), ("wait", "b")]),
        ("a", 0, [("record", "a"), ("wait", 0)]),
        (0, "b", []),
    ],
)
@needs_simulator
def test_the_arrays_own_streams_wait_for_the_result(
    x_stream, out_stream, expected, problem, to_device, monkeypatch
):
    order = []

    class Event:
        def __init__(self, timing):
            pass

        def record(self, stream):
            order.append(("record", stream))

        def wait(self, stream):
            order.append(("wait", stream))

    monkeypatch.setattr(launch.cuda, "event", Event)
    monkeypatch.setattr(launch, "stream_of", lambda named: named or 0)
    interface = arrays._interface
    monkeypatch.setattr(
        arrays, "_interface", lambda v, name: {**interface(v, name), "stream": streams.get(id(v))}
    )
    x, weight, y = problem
    source, out = to_device(x), to_device(np.zeros_like(y))
    streams = {id(source): x_stream, id(out): out_stream}
    nbcuda.conv2d(source, to_device(weight), out=out)
    np.testing.assert_array_equal(out.copy_to_host(), y)
    assert order == expected


def test_no_room_on_the_device_is_a_memory_error(problem, to_device, monkeypatch):
    class CudaAPIError(Exception):
        code = 2

    tried = []

    def device_array(shape, dtype, stream):
        tried.append(shape)
        raise CudaAPIError

    x, weight, _ = problem
    given = to_device(x), to_device(weight)
    monkeypatch.setattr(launch.cuda, "device_array", device_array)
    with pytest.raises(MemoryError, match=r"no room on the device .*\(2, 4, 4, 4\)"):
        nbcuda.conv2d(*given)
    assert len(tried) == 2  # again, after what was kept has been let go


_FAR = 2**31 - 1


@needs_simulator
@pytest.mark.parametrize(
    ("function", "arguments", "options"),
    [
        ("conv1d", (np.arange(1.0, 6).reshape(1, 1, 5), np.ones((1, 1, 1)), None, 2**30,
                    ((0, _FAR),)), {"padding_mode": "replicate"}),
        ("conv1d", (np.arange(1.0, 6).reshape(1, 1, 5), np.ones((1, 1, 1)), None, 2**30,
                    ((0, _FAR),)), {"padding_mode": "circular"}),
        ("col2im", (np.array([[[1.0, 2, 3]]]), (5,), (1,), 1, ((_FAR, 0),), 2**30), {}),
        ("conv1d_input_grad", ((1, 1, 5), np.ones((1, 1, 1)), np.ones((1, 1, 3)), 2**30,
                               ((_FAR, 0),)), {"algorithm": "im2col"}),
        ("conv1d", (np.arange(1.0, 6).reshape(1, 1, 5), np.ones((1, 1, 4)), None, 1, "same", _FAR),
         {}),
    ],
)  # fmt: skip
def test_coordinates_far_beyond_32_bits(function, arguments, options, to_device):
    expected = getattr(nbc, function)(*arguments, **options)
    given = (to_device(a) if isinstance(a, np.ndarray) else a for a in arguments)
    found = getattr(nbcuda, function)(*given, **options).copy_to_host()
    np.testing.assert_array_equal(found, expected)


def test_depthwise_without_channels(to_device):
    x, weight = np.ones((1, 0, 5), "f4"), np.ones((2, 0, 2), "f4")
    bias = np.arange(2, dtype="f4")
    found = nbcuda.conv1d(*map(to_device, (x, weight, bias)), algorithm="depthwise")
    np.testing.assert_array_equal(found.copy_to_host(), nbc.conv1d(x, weight, bias))


def test_one_object_for_one_stream(monkeypatch):
    made = []
    monkeypatch.setattr(launch, "SIMULATED", False)
    monkeypatch.setattr(launch, "_streams", {})
    monkeypatch.setattr(launch.cuda, "external_stream", lambda p: made.append(p) or object())
    assert launch.stream_of(None) == 0
    assert launch.stream_of(16) is launch.stream_of(16)
    assert launch.stream_of(1) is not launch.stream_of(16)
    assert made == [16, 1]


def test_work_memory_is_kept_for_the_stream(monkeypatch):
    monkeypatch.setattr(launch, "_MOST_KEPT", 1 << 20)
    kind = np.dtype("f4")
    first = launch.borrow("weights", 100, kind, 0)
    assert launch.borrow("weights", 50, kind, 0) is first
    assert launch.borrow("parts", 50, kind, 0) is not first
    assert launch.borrow("weights", 200, kind, 0) is not first
    large = launch.borrow("weights", 1 << 19, kind, 0)
    assert launch.borrow("weights", 1 << 19, kind, 0) is not large
    monkeypatch.setattr(launch, "_MOST_BLOCKS", 1)
    assert launch.borrow("columns", 50, kind, 0).size == 50
    assert len(launch._kept()) == 1


@needs_simulator
@pytest.mark.parametrize("bias", [True, False])
def test_cublas_multiplies_where_cupy_is_installed(problem, bias, to_device, monkeypatch, rng):
    """A stand-in of CuPy's over NumPy: what is multiplied, in which shape and on which stream."""
    calls = []

    class Stream:
        def __init__(self, pointer):
            self.pointer = pointer

        def __enter__(self):
            calls.append(("stream", self.pointer))

        def __exit__(self, *_):
            return None

    def matmul(a, b, out):
        calls.append((a.shape, b.shape))
        return np.matmul(a, b, out=out)

    stand_in = types.ModuleType("cupy")
    stand_in.ndarray = type("ndarray", (), {})  # none of these arrays are CuPy's
    stand_in.asarray = lambda a: np.asarray(getattr(a, "_ary", a))
    stand_in.matmul = matmul
    Stream.null = Stream(0)
    stand_in.cuda = types.SimpleNamespace(Stream=Stream)
    monkeypatch.setitem(sys.modules, "cupy", stand_in)
    monkeypatch.setattr(columns, "find_spec", lambda name: object())
    x = small_integers(rng, (3, 4, 5, 6), "float32")
    weight = small_integers(rng, (6, 2, 2, 3), "float32")
    offsets = small_integers(rng, (6,), "float32") if bias else None
    found = nbcuda.conv2d(
        to_device(x), to_device(weight), to_device(offsets) if bias else None, groups=2,
        algorithm="im2col",
    )  # fmt: skip
    np.testing.assert_array_equal(found.copy_to_host(), nbc.conv2d(x, weight, offsets, groups=2))
    assert calls == [("stream", 0), ((2, 3, 12), (3, 2, 12, 16))]
    assert not columns.has_cublas(np.int32, 9)


def test_images_in_several_matrices(problem, to_device, monkeypatch):
    monkeypatch.setattr(columns, "_MOST_BYTES", 1)
    x, weight, y = problem
    found = nbcuda.conv2d(to_device(x), to_device(weight), algorithm="im2col")
    np.testing.assert_array_equal(found.copy_to_host(), y)
    grad = np.ones(y.shape, "f4")
    sums = nbcuda.conv2d_weight_grad(
        to_device(x), weight.shape, to_device(grad), algorithm="im2col"
    )
    np.testing.assert_array_equal(
        sums.copy_to_host(), nbc.conv2d_weight_grad(x, weight.shape, grad)
    )
    back = nbcuda.conv2d_input_grad(x.shape, to_device(weight), to_device(grad), algorithm="im2col")
    np.testing.assert_array_equal(back.copy_to_host(), nbc.conv2d_input_grad(x.shape, weight, grad))


def test_work_types():
    assert call.work_type(np.dtype("float16")) is np.float32
    assert call.work_type(np.dtype("uint8")) is np.int32
    assert call.work_type(np.dtype("uint64")) is np.int64
    assert call.work_type(np.dtype("complex64")) is np.complex64


def test_results_have_the_interface(problem, to_device):
    x, weight, _ = problem
    found = nbcuda.conv2d(to_device(x), to_device(weight))
    assert type(found) is type(to_device(x))


def test_the_benchmark_checks_every_operation():
    from benchmarks.cuda import operations
    from numbaconv.bench.layers import Layer

    arrays = operations.Arrays(None)
    for layer in (Layer("small", 2, 7, 3, 3, 2, 1), Layer("depthwise", 3, 6, 3, 3, 1, 1, 3)):
        for name in operations.NAMES:
            made = operations.operation(name, layer, 2, arrays)
            assert not arrays.share_of_bound(made) <= 1  # nothing is written yet
            made.ours()
            assert arrays.share_of_bound(made) <= (1 if made.terms else 0)
            arrays.poison(made.out)
            assert not arrays.share_of_bound(made) <= 1


conv2d = nbcuda.conv2d


def test_tensors_of_pytorch(problem, to_device, monkeypatch):
    """They name no stream: PyTorch's current one is meant, without which results were a race."""

    class Tensor:
        def __init__(self, array, requires_grad=False):
            self.array, self.requires_grad, self.device = array, requires_grad, "cuda:0"

    torch = types.ModuleType("torch")
    torch.Tensor = Tensor
    handles = [0]
    torch.cuda = types.SimpleNamespace(
        current_stream=lambda device: types.SimpleNamespace(cuda_stream=handles[-1])
    )
    monkeypatch.setitem(sys.modules, "torch", torch)
    x, weight, _ = problem
    assert arrays._stream(Tensor(x), {}) is None
    handles.append(4711)
    assert arrays._stream(Tensor(x), {}) == 4711
    assert arrays._stream(Tensor(x), {"stream": 12}) == 12
    assert arrays._stream(to_device(x), {}) is None
    with pytest.raises(TypeError, match=r"weight\.detach\(\)"):
        nbcuda.conv2d(to_device(x), Tensor(weight, requires_grad=True))
