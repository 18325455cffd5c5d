"""Coverage-guided fuzzing: ``python tests/fuzz_with_atheris.py -max_total_time=SECONDS``.

Needs the package atheris, which no extra brings. What the fuzzer draws chooses a function and, for
some of its arguments, hostile values (`hostile.py`) or drawn ints, tuples, text and small arrays.
An exception that is not TypeError, ValueError or MemoryError, a signal, or a call of over five
minutes ends the run.
"""

import contextlib
import inspect
import sys
import warnings

import atheris
import hostile
import numpy as np

import numbaconv as nbc
from numbaconv.api import conv, conv_transpose, layers, matrices
from numbaconv.problem import arguments, arrays, geometry
from numbaconv.problem import pool_geometry as pooling_geometry
from numbaconv.running import call

# What checks arguments, but no formula that kernels share: Numba compiles nothing instrumented.
for _module in (arguments, arrays, call, conv, conv_transpose, geometry, layers, matrices,
                pooling_geometry):  # fmt: skip
    for _value in list(vars(_module).values()):
        if inspect.isfunction(_value) and _value.__module__ == _module.__name__:
            atheris.instrument_func(_value)

_BASES = hostile.bases()
_NAMES = sorted(_BASES)
_DTYPES = ["f4", "f8", "i1", "u2", "i8", "c8", "f2", ">f4", "?"]
_TEXT = ["same", "valid", "zeros", "reflect", "auto", "im2col", "channels_last", "rows", ""]


def _drawn(data):
    """Return a value that the fuzzer makes up."""
    kind = data.ConsumeIntInRange(0, 6)
    if kind == 0:
        return data.ConsumeIntInRange(-3, 12)
    if kind == 1:
        return data.ConsumeInt(9)
    if kind == 2:
        return tuple(data.ConsumeIntInRange(-1, 6) for _ in range(data.ConsumeIntInRange(0, 5)))
    if kind == 3:
        return tuple(
            (data.ConsumeIntInRange(-1, 5), data.ConsumeIntInRange(-1, 5))
            for _ in range(data.ConsumeIntInRange(0, 4))
        )
    if kind == 4:
        return data.PickValueInList(_TEXT)
    if kind == 5:
        return data.ConsumeRegularFloat()
    shape = [data.ConsumeIntInRange(0, 5) for _ in range(data.ConsumeIntInRange(0, 6))]
    count = int(np.prod(shape))
    drawn = np.frombuffer(data.ConsumeBytes(count).ljust(count, b"\1"), np.int8)
    return drawn.reshape(shape).astype(data.PickValueInList(_DTYPES))


def one_call(raw):
    data = atheris.FuzzedDataProvider(raw)
    name = data.PickValueInList(_NAMES)
    function = getattr(nbc, name)
    arguments = dict(_BASES[name])
    for argument in inspect.signature(function).parameters:
        choice = data.ConsumeIntInRange(0, 5)
        if choice == 0:
            values = hostile.values_of(name, argument, _BASES[name], None)
            arguments[argument] = data.PickValueInList(values)
        elif choice == 1:
            arguments[argument] = _drawn(data)
    for value in arguments.values():
        if isinstance(value, np.ndarray) and value.size > 1 << 20:
            return  # right answers to these take minutes: hostile.py asks for them
    with contextlib.suppress(TypeError, ValueError, MemoryError):
        function(**arguments)


if __name__ == "__main__":
    import resource

    np.seterr(all="ignore")
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    atheris.Setup([*sys.argv, "-timeout=300", "-rss_limit_mb=4096"], one_call)
    atheris.Fuzz()
