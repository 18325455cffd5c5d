"""What a call enqueues when calls of its shapes have come before; a stand-in's driver is told."""

import gc
import itertools
import sys
import types
from unittest import mock

import numpy as np
import pytest
from device_cases import CASES, ROUTES, named
from numba.cuda.core import config
from problems import Case

import numbaconv as nbc
from benchmarks.cuda.no_driver import Array, no_driver
from numbaconv.cuda import arrays, compiled, launch, replay

if config.ENABLE_CUDASIM:
    pytest.skip("the simulator has no driver that could be replaced", allow_module_level=True)

FUNCTIONS = (
    "conv", "input_grad", "weight_grad", "conv_transpose", "transpose_input_grad",
    "transpose_weight_grad",
)  # fmt: skip


@pytest.fixture(autouse=True)
def dirty_memory():
    """Leave memory as it is: there is none."""


@pytest.fixture
def told():
    """What the driver is told."""
    found = []
    with no_driver(found):
        yield found


@pytest.fixture(autouse=True)
def one_stamp(monkeypatch):
    monkeypatch.setattr(launch, "_stamps", itertools.repeat(7))


def last(shape):
    return (shape[0], *shape[2:], shape[1])


def call_of(function, case, layout, algorithm, dtype, biased=True):
    """Return a function that makes a call of new arrays, the same in all but where they lie."""
    turned = layout == "channels_last"
    axes = zip(
        case.size, case.kernel, case.stride, case.padding, case.dilation, strict=True
    )  # fmt: skip
    size = [(n + sum(p) - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in axes]
    images = {"x": case.x_shape, "y": (case.batch, case.outputs, *size)}
    if turned:
        images = {name: last(shape) for name, shape in images.items()}
        outputs, inputs, *taps = case.weight_shape
        kernels = (*taps, inputs, outputs)
    else:
        kernels = case.weight_shape
    options = dict(
        case.window, groups=case.groups, layout=layout, algorithm=algorithm, dtype=dtype,
        padding_mode=case.mode,
    )  # fmt: skip
    name = f"conv{case.ndim}d"
    transposed = f"conv_transpose{case.ndim}d"
    if function.startswith(("conv_transpose", "transpose")):
        del options["padding_mode"]
        axes = zip(
            case.size, size, case.kernel, case.stride, case.padding, case.dilation, strict=True
        )
        options["output_padding"] = tuple(
            n - ((m - 1) * s - sum(p) + d * (k - 1) + 1) for n, m, k, s, p, d in axes
        )

    def make():
        x, y, weight = (Array(*s, dtype=dtype) for s in (images["x"], images["y"], kernels))
        bias = Array(case.outputs, dtype=dtype) if biased else None
        other = Array(case.channels, dtype=dtype) if biased else None
        results = {
            "conv": lambda: (getattr(nbc, name), (x, weight, bias), y),
            "input_grad": lambda: (getattr(nbc, f"{name}_input_grad"), (x.shape, weight, y), x),
            "weight_grad": lambda: (
                getattr(nbc, f"{name}_weight_grad"), (x, weight.shape, y), weight
            ),
            "conv_transpose": lambda: (getattr(nbc, transposed), (y, weight, other), x),
            "transpose_input_grad": lambda: (
                getattr(nbc, f"{transposed}_input_grad"), (y.shape, weight, x), y
            ),
            "transpose_weight_grad": lambda: (
                getattr(nbc, f"{transposed}_weight_grad"), (y, weight.shape, x), weight
            ),
        }  # fmt: skip
        run, given, out = results[function]()
        return lambda: run(*given, **options, out=out)

    return make


def repeated(make, told):
    """Return what a second call of the same shapes tells the driver, and what it would alone."""
    make()()
    again = make()
    told.clear()
    with mock.patch.object(
        replay.Recording, "enqueue", autospec=True, side_effect=replay.Recording.enqueue
    ) as enqueue:
        again()
    replayed = list(told)
    assert enqueue.called
    nbc.release_memory()
    told.clear()
    again()
    return replayed, list(told)


@pytest.mark.parametrize(("algorithm", "layout"), ROUTES)
@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_call_of_the_same_shapes_enqueues_the_same(case, function, algorithm, layout, told):
    if function.startswith(("conv_transpose", "transpose")) and case.mode != "zeros":
        return
    make = call_of(function, case, layout, algorithm, "f4")
    replayed, alone = repeated(make, told)
    assert replayed == alone
    assert alone


def test_all_gradients(told, monkeypatch):
    """Their results are new arrays, of which the second call's are told to be where the first's."""

    def backward():
        monkeypatch.setattr(Array, "_addresses", itertools.count(1 << 36, 1 << 30))
        told.clear()
        nbc.conv2d_backward(grad, x, weight, (2, 1))
        return list(told)

    def operands():
        return Array(2, 4, 3, 6), Array(2, 3, 8, 7), Array(4, 3, 3, 2)

    nbc.conv2d_backward(*operands(), (2, 1))
    grad, x, weight = operands()
    replayed = backward()
    nbc.release_memory()
    assert replayed == backward()


@pytest.mark.parametrize("dtype", ["f2", "f8", "c8", "i4", "u1"])
@pytest.mark.parametrize("function", ["conv", "input_grad", "weight_grad"])
def test_dtypes(function, dtype, told):
    replayed, alone = repeated(
        call_of(function, CASES[0], "channels_first", "auto", dtype, biased=dtype != "u1"), told
    )
    assert replayed == alone


@pytest.mark.parametrize("function", ["im2col", "col2im"])
def test_matrices(function, told):
    def make():
        x, cols = Array(2, 3, 7, 6), Array(2, 18, 25)
        if function == "im2col":
            return lambda: nbc.im2col(x, (3, 2), out=cols)
        return lambda: nbc.col2im(cols, (7, 6), (3, 2), out=x)

    replayed, alone = repeated(make, told)
    assert replayed == alone


def test_a_plain_copy_is_enqueued_again(told):
    def make():
        x, cols = Array(2, 3, 4, 5), Array(2, 3, 20)
        return lambda: nbc.im2col(x, 1, out=cols)

    replayed, alone = repeated(make, told)
    assert replayed == alone
    assert [step[0] for step in alone] == ["copy"]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_few_parameters_are_written_again(function, told):
    """A launch has some 40; its numbers stay as they were laid out."""
    make = call_of(function, CASES[1], "channels_first", "direct", "f4")
    make()()
    with mock.patch.object(replay.Recording, "enqueue", autospec=True) as enqueue:
        make()()
    recording = enqueue.call_args.args[0]
    for step in recording._steps:
        assert 2 <= len(step._places) + len(step._stamped) <= 6


def test_each_call_has_a_stamp_of_its_own(told, monkeypatch):
    monkeypatch.setattr(launch, "_stamps", itertools.count(1000))
    make = call_of("conv_transpose", CASES[1], "channels_first", "direct", "f4")

    def stamps(call):
        told.clear()
        call()
        watched, repaired = told[-2:]
        assert b"watch" in watched[0]
        assert b"repair" in repaired[0]
        assert watched[3][-1] == repaired[3][-1]
        return watched[3][-1]

    call = make()
    assert [stamps(c) for c in (call, call, make())] == [1000, 1001, 1002]


def replays(call):
    """Return whether a call is one that has been recorded."""
    with mock.patch.object(
        replay.Recording, "enqueue", autospec=True, side_effect=replay.Recording.enqueue
    ) as enqueue:
        call()
    return enqueue.called


def test_what_differs_is_not_the_same_call(told):
    def conv(x, weight, bias=None, **options):
        options = {"padding": 1, "out": Array(2, 4, 5, 6), **options}
        return lambda: nbc.conv2d(x, weight, bias, **options)

    x, weight, bias = Array(2, 3, 5, 6), Array(4, 3, 3, 3), Array(4)
    conv(x, weight)()
    assert replays(conv(x, weight))
    assert replays(conv(Array(2, 3, 5, 6), Array(4, 3, 3, 3)))
    last_strides = (3 * 30 * 4, 4, 6 * 3 * 4, 3 * 4)
    others = (
        conv(x, weight, bias),
        conv(Array(2, 3, 5, 6, strides=last_strides), weight),
        conv(x, weight, algorithm="im2col"),
        conv(x, weight, padding=((1, 1), (2, 0))),
        conv(x, weight, out=Array(2, 4, 5, 6, strides=(480, 120, 24, 4))),
        conv(x, weight, padding=1, dtype="f4"),
    )
    for other in others:
        assert not replays(other)
        assert replays(other)
    moved = Array(2, 3, 5, 6)
    moved.device_ctypes_pointer.value += 4  # not at a multiple of 16 bytes
    assert not replays(conv(moved, weight))
    nbc.release_memory()
    assert not replays(conv(x, weight))


def test_numbers_that_equal_others_are_checked(told):
    x, weight, y = Array(1, 1, 5, 6), Array(1, 1, 3, 3), Array(1, 1, 3, 4)
    nbc.conv2d(x, weight, stride=1, out=y)
    for wrong in (1.0, True):
        with pytest.raises(TypeError, match="stride"):
            nbc.conv2d(x, weight, stride=wrong, out=y)


def test_arguments_are_checked_when_the_shapes_have_come_before(told):
    x, weight, y = Array(1, 1, 5, 6), Array(1, 1, 3, 3), Array(1, 1, 3, 4)
    nbc.conv2d(x, weight, out=y)
    with pytest.raises(ValueError, match="out must have shape"):
        nbc.conv2d(x, weight, out=Array(1, 1, 4, 3))
    with pytest.raises(TypeError, match="out must have dtype"):
        nbc.conv2d(x, weight, out=Array(1, 1, 3, 4, dtype="f8"))
    with pytest.raises(TypeError, match="x must be of the device's byte order"):
        nbc.conv2d(Array(1, 1, 5, 6, dtype=">f4"), weight, out=y)


def test_a_result_that_overlaps_an_input(told):
    x, weight = Array(1, 1, 5, 6), Array(1, 1, 3, 3)
    nbc.conv2d(x, weight, padding=1, out=Array(1, 1, 5, 6))
    told.clear()
    nbc.conv2d(x, weight, padding=1, out=x)
    assert b"copy" in told[-1][0]  # from a new array
    assert not replays(lambda: nbc.conv2d(x, weight, padding=1, out=x))


def test_an_array_that_is_both_operands(told):
    """It is told apart from itself: another call's are two."""
    both = Array(3, 3, 5, 5)
    nbc.conv2d(both, both, padding=2, out=Array(3, 3, 5, 5))
    x, weight, y = Array(3, 3, 5, 5), Array(3, 3, 5, 5), Array(3, 3, 5, 5)
    told.clear()
    assert replays(lambda: nbc.conv2d(x, weight, padding=2, out=y))
    pointers = [a.device_ctypes_pointer.value for a in (x, weight, y)]
    packed, multiplied = told
    assert packed[3][0] == pointers[1]
    assert pointers[0] in multiplied[3]
    assert pointers[2] in multiplied[3]
    assert pointers[1] not in multiplied[3][:2]


def test_memory_that_is_let_go_is_borrowed_again(told):
    case = Case(2, 4, 6, 2, (6, 5), (3, 2), (1, 1), ((1, 0), (0, 2)), (1, 1))
    make = call_of("conv", case, "channels_first", "direct", "f4")
    make()()
    make()()
    before = told[-1][3]
    launch._kept().clear()
    gc.collect()
    make()()
    after = told[-1][3]
    assert before[0] != after[0]  # the packed weights
    assert after[0] == told[-2][3][1]  # are where they were packed to


def test_another_context_is_not_mistaken_for_it(told):
    x, weight, y = Array(1, 1, 5, 6), Array(1, 1, 3, 3), Array(1, 1, 3, 4)
    nbc.conv2d(x, weight, out=y)
    with no_driver():
        assert not replays(lambda: nbc.conv2d(x, weight, out=y))


def test_arrays_of_another_device(told, monkeypatch):
    x, weight, y = Array(1, 1, 5, 6), Array(1, 1, 3, 3), Array(1, 1, 3, 4)
    far = weight.device_ctypes_pointer.value
    monkeypatch.setattr(launch, "has_several_devices", lambda: True)
    monkeypatch.setattr(compiled, "device_of", lambda address: 1 if address == far else 0)
    with pytest.raises(ValueError, match=r"weight must lie on the current device, which is 0.* 1"):
        nbc.conv2d(x, weight, out=y)
    nbc.conv2d(x, Array(1, 1, 3, 3), out=y)
    monkeypatch.setattr(compiled, "device_of", lambda address: None)  # managed memory
    nbc.conv2d(x, weight, out=y)


def test_the_driver_is_asked_where_memory_lies(monkeypatch):
    attribute = compiled.driver.CUpointer_attribute
    answers = {
        attribute.CU_POINTER_ATTRIBUTE_IS_MANAGED: {16: 0, 32: 1},
        attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL: {16: 3, 32: 0},
    }
    driver = types.SimpleNamespace(
        CUpointer_attribute=attribute,
        cuPointerGetAttribute=lambda what, address: (0, answers[what][address]),
    )
    monkeypatch.setattr(compiled, "driver", driver)
    assert compiled.device_of(16) == 3
    assert compiled.device_of(32) is None


@pytest.mark.parametrize("library", ["cupy", "torch"])
def test_results_are_of_the_callers_kind(library, told, monkeypatch):
    """Stand-ins: an array class, and the function that makes one."""

    class Own(Array):
        requires_grad = False
        device = "cuda:0"

    made = []

    def empty(shape, dtype=None, device=None):
        own = Own(*shape, dtype=dtype)
        made.append((own, device))
        return own

    stand_in = types.ModuleType(library)
    stand_in.empty = empty
    if library == "torch":
        stand_in.Tensor, stand_in.float32, stand_in.float64 = Own, "f4", "f8"
        current = types.SimpleNamespace(cuda_stream=0)
        stand_in.cuda = types.SimpleNamespace(current_stream=lambda device: current)
    else:
        stand_in.ndarray = Own
    monkeypatch.setitem(sys.modules, library, stand_in)
    x, weight = Own(2, 3, 5, 6), Own(4, 3, 3, 3)
    for _ in range(2):
        y = nbc.conv2d(x, weight, padding=1)
        assert type(y) is Own
        assert y is made[-1][0]
        assert y.shape == (2, 4, 5, 6)
        assert y.device_ctypes_pointer.value in told[-1][3]
    assert made[-1][1] == ("cuda:0" if library == "torch" else None)
    gradients = nbc.conv2d_backward(y, x, weight, padding=1)
    assert [type(g) for g in gradients] == [Own] * 3
    assert type(nbc.conv2d(x, Array(4, 3, 3, 3))) is Own
    assert type(nbc.conv2d(Array(2, 3, 5, 6), weight)) is Array
    out = Array(2, 4, 5, 6)
    assert nbc.conv2d(x, weight, padding=1, out=out) is out
    if library == "torch":
        # A dtype that the library has not got.
        integers = nbc.conv2d(Own(1, 1, 5, 6, dtype="u2"), Own(1, 1, 3, 3, dtype="u2"))
        assert type(integers) is Array


def test_an_array_taken_twice_is_the_same_form(told):
    first, second = (arrays.take(Array(2, 3, strides=(24, 8)), "x") for _ in range(2))
    assert first.form == second.form
    assert first.form != arrays.take(Array(2, 3), "x").form
    assert (first.strides, first.base, first.stop - first.start) == ((6, 2), 0, 44)


class _Exported:
    """An array that hands itself on by DLPack alone."""

    def __init__(self, array, device=2):
        self.array, self.device, self.asked = array, device, []

    def __dlpack_device__(self):
        return self.device, 0

    def __dlpack__(self, *, stream=None, max_version=None):
        self.asked.append(stream)
        return self.array.__dlpack__()


def test_arrays_by_dlpack(told, monkeypatch):
    monkeypatch.setattr(launch, "stream_of", lambda named: 0)
    host = np.zeros((4, 3, 6, 5), "f4").transpose(0, 1, 3, 2)
    weight = _Exported(host)
    taken = arrays.take(weight, "weight")
    assert weight.asked == [1]  # waits for CUDA's default stream
    assert (taken.shape, taken.strides, taken.dtype) == ((4, 3, 5, 6), (90, 30, 1, 5), np.float32)
    assert taken.start == host.ctypes.data
    managed = _Exported(np.zeros((1, 3, 5, 6), "f4"), device=13)
    assert type(nbc.conv2d(managed, weight)) is Array
    assert any(host.ctypes.data in step[3] for step in told)
    on_host = _Exported(np.zeros((4, 3, 5, 6), "f4"), device=1)
    with pytest.raises(TypeError, match=r"weight must be .* or DLPack\), got _Exported"):
        nbc.conv2d(managed, on_host)


def test_dlpack_names_the_default_stream(monkeypatch):
    named = []
    monkeypatch.setattr(launch, "stream_of", lambda pointer: named.append(pointer) or 0)
    arrays.take(_Exported(np.zeros(3)), "x")
    assert named == [1]
