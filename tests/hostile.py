"""Hostile arguments for every public function, each call in a forked child with limits.

Run as a script (``python tests/hostile.py table``, or ``fuzz SEED COUNT``) it prints a JSON object:
how many calls there were, what came of them, and those that were neither a clear exception nor a
right answer. A child that dies by a signal, runs into the clock, or raises anything but TypeError,
ValueError and MemoryError is such a one.
"""

import collections
import inspect
import json
import os
import random
import signal
import sys
import traceback

import numpy as np

import numbaconv as nbc

# Memory that a call may take beside what there is, and seconds.
_BYTES, _SECONDS = 1 << 30, 60
_CLEAR = (TypeError, ValueError, MemoryError)

_rng = np.random.default_rng(0)


def _some(*shape, dtype="f4"):
    return _rng.integers(-4, 5, shape).astype(dtype)


def _size(ndim):
    return (9, 8, 7)[:ndim]


def bases():
    """Return the arguments of a right call of every function, by name."""
    found = {}
    for n in (1, 2, 3):
        size, ones = _size(n), (1,) * n
        x, w = _some(2, 4, *size), _some(6, 2, *(2,) * n)
        y = nbc.__dict__[f"conv{n}d"](x, w, groups=2)
        up = _some(4, 3, *(2,) * n)
        z = nbc.__dict__[f"conv_transpose{n}d"](x, up, groups=2)
        values, where = nbc.__dict__[f"max_pool{n}d"](x, 2, return_indices=True)
        found |= {
            f"conv{n}d": {"x": x, "weight": w, "groups": 2},
            f"conv{n}d_input_grad": {
                "input_shape": x.shape, "weight": w, "grad_output": y, "groups": 2},
            f"conv{n}d_weight_grad": {
                "x": x, "weight_shape": w.shape, "grad_output": y, "groups": 2},
            f"conv{n}d_backward": {"grad_output": y, "x": x, "weight": w, "groups": 2},
            f"conv_transpose{n}d": {"x": x, "weight": up, "groups": 2},
            f"conv_transpose{n}d_input_grad": {
                "input_shape": x.shape, "weight": up, "grad_output": z, "groups": 2},
            f"conv_transpose{n}d_weight_grad": {
                "x": x, "weight_shape": up.shape, "grad_output": z, "groups": 2},
            f"conv_transpose{n}d_backward": {
                "grad_output": z, "x": x, "weight": up, "groups": 2},
            f"max_pool{n}d": {"x": x, "kernel_size": 2},
            f"avg_pool{n}d": {"x": x, "kernel_size": 2},
            f"max_pool{n}d_backward": {
                "grad_output": values, "indices": where, "input_shape": x.shape},
            f"avg_pool{n}d_backward": {
                "grad_output": values, "input_shape": x.shape, "kernel_size": 2},
            f"adaptive_max_pool{n}d": {"x": x, "output_size": 2},
            f"adaptive_avg_pool{n}d": {"x": x, "output_size": 2},
            f"adaptive_avg_pool{n}d_backward": {
                "grad_output": values, "input_shape": x.shape},
            f"max_unpool{n}d": {
                "x": values, "indices": where, "kernel_size": 2, "output_size": size},
        }  # fmt: skip
        if n == 2:
            cols = nbc.im2col(x, (2, 2))
            found |= {
                "im2col": {"x": x, "kernel_size": (2, 2)},
                "col2im": {"cols": cols, "output_size": size, "kernel_size": (2, 2)},
                "kernel_matrix": {"weight": w, "groups": 2},
                "explain": {"x_shape": x.shape, "weight_shape": w.shape, "groups": 2},
                "algorithms": {"x_shape": x.shape, "weight_shape": w.shape, "groups": 2},
                "Conv2d": {"weight": w, "groups": 2},
            }
        del ones
    return found


class HugeIndex:
    def __index__(self):
        return 2**70


class FailingIndex:
    def __index__(self):
        raise ValueError("no index")


class FailingArray:
    def __array__(self, dtype=None, copy=None):
        raise ValueError("no array")


class Liar(np.ndarray):
    shape = property(lambda self: (2, 4, 1000, 1000))
    strides = property(lambda self: (1, 1, 1, 1))


INTS = [
    0, -1, 1, 2, 3, 2**31 - 1, 2**31, 2**62, 2**63, 2**100, -(2**63), 1.0, 1.5, float("nan"),
    float("inf"), True, "1", "", None, [], (), (1,), (1, 1), (2, 1), (1, 2, 1), (1, 1, 1, 1),
    np.int64(2), np.uint8(3), np.array(2), np.array([1, 2]), np.array([1.0, 2.0]), b"1", 1j,
    object(), (1, -1), (0.5, 1), (None, 1), [[1], [2]], {1: 2}, HugeIndex(), FailingIndex(),
    range(2), np.float32(1), (2**31 - 1, 1), (2**40, 2**40),
]  # fmt: skip
PADDINGS = [
    *INTS, "same", "same_lower", "valid", "SAME", "same\0", "\ud800", ((0, 0), (0, -1)),
    ((1, 2), (0, 3)), ((1, 2),), ((1, 2), (2, 0), (0, 1)), ((0,), (0,)), ((0, 0, 0), (0, 0, 0)),
    ((2**31 - 1, 0), (0, 0)), ((0, 2**31 - 1), (2**31 - 1, 0)), ((0, 0.5), (0, 0)),
    np.ones((2, 2), int), [[0, 1], [1, 0]], ("same", "same"),
]  # fmt: skip
SHAPES = [
    None, 3, (), (1,), "2468", (2, 4, 9, 8), (2, 4, 9), (4, 9, 8), (2, 4, 9, 8, 7), (2, 4, 0, 8),
    (0, 4, 9, 8), (2, 0, 9, 8), (2, 4, -9, 8), (2.0, 4, 9, 8), (2, 4, 2**40, 2**40),
    (2**62, 2**62, 1, 1), [2, 4, 9, 8], np.array([2, 4, 9, 8]), (True, 4, 9, 8), (None,) * 4,
    (HugeIndex(),) * 4, (6, 2, 2, 2), (6, 2, 2), (6, 2, 2, 2, 2), (4, 3, 2, 2), (6, 2, 0, 2),
]  # fmt: skip
FLAGS = [None, 0, 1, 2, "yes", "", [], np.True_, np.False_, True, False, 1.0, object()]
NAMES = [
    None, 3, "", "auto", "exact", "im2col", "direct", "depthwise", "winograd", "fft", "auto ",
    "AUTO", b"auto", "\ud800", [], "zeros", "reflect", "replicate", "circular", "constant",
    "channels_first", "channels_last", "NCHW", "columns", "rows", True, 1.5, object(),
]  # fmt: skip
DTYPES = [
    None, "float33", bool, object, int, float, complex, "<f4", ">f4", "f2", "i1", "u8", "U3", "S4",
    "m8[s]", 3, 1.5, "", np.float64, np.dtype([("a", "f4")]), "longdouble", [], {}, "\ud800",
]  # fmt: skip
NEEDS = [None, "input", (), ("input",), ("bias", "weight"), ["input"], ("output",), (3,), 3,
         {"input"}, ("input", "input")]  # fmt: skip


def arrays_like(array):
    """Return hostile arrays in place of a right one."""
    ndim = array.ndim
    flip = (slice(None, None, -1),) * ndim
    memory = np.zeros(array.nbytes + 1, np.uint8)
    unaligned = memory[1:].view(array.dtype).reshape(array.shape)
    unaligned[...] = array
    frozen = array.copy()
    frozen.flags.writeable = False
    record = np.zeros(array.shape, [("a", np.int8), ("b", array.dtype)])
    record["b"] = array
    broken = array.astype("f4")
    broken.ravel()[::3] = [np.nan, np.inf, -np.inf] * (len(broken.ravel()[::3]) // 3) + [np.nan] * (
        len(broken.ravel()[::3]) % 3
    )
    empties = [np.zeros([0 if i == axis else n for i, n in enumerate(array.shape)], array.dtype)
               for axis in range(ndim)]  # fmt: skip
    huge = [np.broadcast_to(np.ones((), array.dtype), shape) for shape in (
        (1,) * (ndim - min(ndim, 2)) + (50_000,) * min(ndim, 2), (2**40, *array.shape[1:]),
        (*array.shape[:-1], 2**40), (2**20,) * ndim if ndim < 4 else (2**15,) * 4,
    ) if np.prod(shape, dtype=object) < 2**60]  # fmt: skip
    return [
        None, 1, "x", b"x", [], [[1, 2], [3]], {}, object(), FailingArray(), array.tolist(),
        array[0], array[None], array[..., :0], array[:1], array[..., :1], array[..., ::-1],
        array[flip], array.T, np.asfortranarray(array), np.repeat(array, 2, -1)[..., ::2],
        array.astype(array.dtype.newbyteorder(">")), unaligned, frozen, record["b"], record,
        broken, *empties, *huge, array.view(Liar), np.ma.masked_array(array, array > 0),
        array.astype("f8"), array.astype("f2"), array.astype("i1"), array.astype("u4"),
        array.astype("u8"), array.astype("c8"), array.astype(bool), array.astype(object),
        array.astype("U3"), array.astype("longdouble"), array.astype("m8[s]"),
        np.zeros(array.shape, "V8"), np.array(3.0), np.zeros(()), memoryview(array),
        array * np.float32(3e38) if array.dtype == np.float32 else array * 2**40,
    ]  # fmt: skip


def outs_like(result, source):
    """Return hostile values of `out`."""
    if isinstance(result, tuple):
        result = result[0]
    if not isinstance(result, np.ndarray):
        return [None, 3]
    wide = np.zeros((*result.shape[:-1], 2 * result.shape[-1]), result.dtype)
    frozen = result.copy()
    frozen.flags.writeable = False
    memory = np.zeros(result.nbytes + 1, np.uint8)
    return [
        3, "out", [[1.0]], result.tolist(), np.zeros_like(result), wide[..., ::2], wide[..., ::-2],
        np.zeros_like(result)[..., ::-1], np.zeros_like(result).T, frozen,
        result.astype(result.dtype.newbyteorder(">")), result.astype("f8"), result[:1],
        memory[1:].view(result.dtype).reshape(result.shape), np.zeros_like(result).view(Liar),
        np.broadcast_to(np.zeros((), result.dtype), result.shape),
        np.lib.stride_tricks.as_strided(memory.view(np.uint8)[: result.nbytes].view(result.dtype),
                                        result.shape, (0,) * result.ndim),
        np.ma.masked_array(np.zeros_like(result)),
        *([source.ravel()[: result.size].reshape(result.shape)]
          if isinstance(source, np.ndarray) and source.dtype == result.dtype
          and source.size >= result.size else []),
        np.empty((0,), result.dtype), None,
    ]  # fmt: skip


KINDS = {
    **dict.fromkeys(
        ("stride", "dilation", "groups", "output_padding", "kernel_size", "output_size",
         "divisor_override"), INTS),
    "padding": PADDINGS,
    **dict.fromkeys(("input_shape", "weight_shape", "x_shape"), SHAPES),
    **dict.fromkeys(
        ("parallel", "ceil_mode", "count_include_pad", "return_indices", "prepared"), FLAGS),
    **dict.fromkeys(("padding_mode", "layout", "algorithm", "patches"), NAMES),
    "dtype": DTYPES,
    "needs": NEEDS,
}  # fmt: skip


def values_of(name, argument, base, result):
    """Return hostile values of one argument of a function."""
    if argument == "out":
        return outs_like(
            result, next((v for v in base.values() if isinstance(v, np.ndarray)), None)
        )
    if argument in KINDS:
        return KINDS[argument]
    if argument == "bias":
        return [*arrays_like(_some(6)), *arrays_like(_some(3))]
    given = base.get(argument)
    if isinstance(given, np.ndarray):
        return arrays_like(given)
    raise KeyError(f"{name} has an argument {argument} that nobody attacks")


def table():
    """Yield (name, arguments) of every call of the table: one argument is hostile."""
    for name, base in bases().items():
        function = getattr(nbc, name)
        result = function(**base)
        for argument in inspect.signature(function).parameters:
            for value in values_of(name, argument, base, result):
                yield name, {**base, argument: value}


def fuzz(seed, count):
    """Yield calls with two to four hostile arguments, some of them harmless."""
    random.seed(seed)
    known = bases()
    results = {name: getattr(nbc, name)(**base) for name, base in known.items()}
    for _ in range(count):
        name = random.choice(list(known))
        base = dict(known[name])
        parameters = list(inspect.signature(getattr(nbc, name)).parameters)
        for argument in random.sample(parameters, min(len(parameters), random.randint(2, 4))):
            base[argument] = random.choice(values_of(name, argument, known[name], results[name]))
        yield name, base


def judge(name, arguments):
    """Make a call; return what came of it: "raised", "right", or a text that says what is wrong."""
    function = getattr(nbc, name)
    copies = {k: v.copy() if type(v) is np.ndarray and v.size < 1 << 20 else v
              for k, v in arguments.items()}  # fmt: skip
    try:
        found = function(**arguments)
    except _CLEAR as error:
        return "raised" if str(error) or isinstance(error, MemoryError) else "a silent exception"
    for key, copy in copies.items():
        if key != "out" and type(copy) is np.ndarray and copy is not arguments[key]:
            out = arguments.get("out")
            if isinstance(out, np.ndarray) and np.may_share_memory(out, arguments[key]):
                continue
            if copy.tobytes() != arguments[key].tobytes():
                return f"{key} was changed"
    if any(isinstance(v, np.ndarray) and v.size > 1 << 20 for v in arguments.values()):
        return "right"
    out = arguments.get("out")
    if isinstance(out, np.ndarray) and out.size > 1 and not any(np.asarray(out).strides):
        return "right"  # all elements are one, which holds the last that was written
    plain = {k: _plain(v) for k, v in copies.items() if k not in ("out", "parallel")}
    if "algorithm" in plain:
        plain["algorithm"] = "im2col"
    expected = function(**plain, **({} if name in _NO_PARALLEL else {"parallel": False}))
    return "right" if _same(found, expected) else f"{found!r} instead of {expected!r}"[:500]


_NO_PARALLEL = ("kernel_matrix", "explain", "algorithms", "Conv2d")


def _plain(value):
    """Return an argument as nobody could object to it."""
    if isinstance(value, np.ndarray) and value.ndim and value.dtype.kind in "biufc":
        return np.array(value, value.dtype.newbyteorder("="), subok=False)
    return value


def _same(found, expected):
    if isinstance(found, tuple) and not isinstance(found, str):
        return len(found) == len(expected) and all(map(_same, found, expected))
    if not isinstance(found, np.ndarray):
        return type(found) is type(expected)
    found = np.asarray(found)
    if found.shape != expected.shape or found.dtype.newbyteorder("=") != expected.dtype:
        return False
    if found.dtype.kind not in "fc":
        return bool((found == expected).all())
    # Sums of infinities of both signs, and overflow, may come out as NaN or infinity by the order.
    finite = np.isfinite(expected) & np.isfinite(found)
    scale = np.abs(expected[finite]).max(initial=1.0)
    tolerance = 2e-2 if found.dtype == np.float16 else 1e-4
    return bool((np.abs(found[finite] - expected[finite]) <= tolerance * scale).all())


def in_child(name, arguments):
    """Judge a call in a forked child with limits."""
    import resource

    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        said = "?"
        try:
            with open("/proc/self/statm") as file:
                used = int(file.read().split()[0]) * os.sysconf("SC_PAGESIZE")
            resource.setrlimit(resource.RLIMIT_AS, (used + _BYTES, used + _BYTES))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            signal.alarm(_SECONDS)
            said = judge(name, arguments)
        except BaseException as error:
            said = f"{type(error).__name__}: {error} {traceback.format_exc(limit=-3)}"
        os.write(write, said.encode(errors="replace")[:4000])
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read().decode()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return f"killed by signal {os.WTERMSIG(status)}"
    return said


def main(kind, *numbers):
    np.seterr(all="ignore")
    counts, failures = collections.Counter(), []
    calls = table() if kind == "table" else fuzz(*map(int, numbers))
    share = (0, 1) if kind != "table" or not numbers else tuple(map(int, numbers))
    for number, (name, arguments) in enumerate(calls):
        if kind == "table" and number % share[1] != share[0]:
            continue
        said = in_child(name, arguments)
        counts["calls"] += 1
        if said in ("raised", "right"):
            counts[said] += 1
        else:
            base = bases_once()[name]
            changed = {k: repr(v)[:120] for k, v in arguments.items() if v is not base.get(k)}
            failures.append([name, changed, said])
    print(json.dumps({**counts, "failures": failures}))


_bases = {}


def bases_once():
    if not _bases:
        _bases.update(bases())
    return _bases


if __name__ == "__main__":
    import warnings

    warnings.simplefilter("ignore")  # NumPy's, of conversions; and of forks
    main(*sys.argv[1:])
