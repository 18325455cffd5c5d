"""The public functions inside jitted code, by the same names, arguments and results.

`register` tells Numba's compiler of them. When it meets a call, `signatures` says what it returns,
and `lowering` writes the call as a *site*: the function, its literals and the types of its
arguments are one constant string, everything else is a block of integers (addresses, shapes,
strides, values). At run time a site first looks its values up among the `programs` that were
recorded there, and runs what it finds without touching Python. Else it goes through `door`: the
same function that a Python caller gets, with the same checks, algorithms, kernels and errors, whose
launches are recorded for the next time.

So there is one set of formulas and kernels, and results are the same, bit for bit, either way.
"""

import functools
import hashlib
import inspect
import re
from collections.abc import Callable, Iterable
from importlib import resources
from typing import Any, get_args

from numba import types
from numba.core import errors
from numba.core.typing import signature
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import lower_builtin

#: What is callable from jitted code, by its name: (function, rule of `signatures`, spatial axes).
FUNCTIONS: dict[str, tuple[Callable[..., Any], str, int]] = {}

# The rules of families; the name of one of their functions has its spatial axes behind the first
# words: conv2d_input_grad.
_FAMILIES = {
    "im2col": "im2col",
    "col2im": "col2im",
    "kernel_matrix": "kernel_matrix",
    "conv": "convolution",
    "conv_input_grad": "input_grad",
    "conv_weight_grad": "weight_grad",
    "conv_backward": "backward",
    "conv_transpose": "convolution",
    "conv_transpose_input_grad": "input_grad",
    "conv_transpose_weight_grad": "weight_grad",
    "conv_transpose_backward": "backward",
    "max_pool": "max_pool",
    "max_pool_backward": "pool",
    "max_unpool": "pool",
    "avg_pool": "pool",
    "avg_pool_backward": "pool",
    "adaptive_max_pool": "max_pool",
    "adaptive_avg_pool": "pool",
    "adaptive_avg_pool_backward": "pool",
}

# Ints on which the type of a result may depend.
_LITERALS = ("groups",)


def register(functions: Iterable[Callable[..., Any]]) -> None:
    """Let jitted code call those of some functions that belong to a family."""
    for function in functions:
        family = re.sub(r"([123])d(?=_|$)", "", function.__name__)
        if family in _FAMILIES:
            axes = re.search(r"([123])d(?=_|$)", function.__name__)
            _register(function, _FAMILIES[family], int(axes[1]) if axes else 0)


def _register(function: Callable[..., Any], rule: str, ndim: int) -> None:
    """Let jitted code call a function, whose result follows a rule of `signatures`."""
    FUNCTIONS[function.__name__] = function, rule, ndim

    class Door(AbstractTemplate):  # type: ignore[misc]
        """Types a call; literals are seen as such."""

        key = function
        prefer_literal = True

        def generic(self, args: Any, kws: Any) -> Any:
            """Return the signature of a call with arguments of these types."""
            try:
                bound = positional(function).bind(*args, **kws)
            except TypeError as error:
                raise errors.TypingError(f"{function.__name__}: {error}") from None
            parameters = positional(function).parameters
            kinds = [_kind(p, bound.arguments.get(p.name)) for p in parameters.values()]
            found = result_of(function.__name__, kinds)
            out = dict(zip(parameters, kinds, strict=True)).get("out", types.none)
            return signature(found.type_with(out), *kinds).replace(pysig=positional(function))

    infer_global(function)(Door)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        from numbaconv.nopython.lowering import lower_call

        return lower_call(context, builder, function.__name__, sig, args)

    lower_builtin(function, types.VarArg(types.Any))(lower)


@functools.cache
def interface() -> str:
    """Return a hash of all that compiled callers and this package must agree on."""
    digest = hashlib.sha256()
    for item in sorted(resources.files(__name__).iterdir(), key=lambda item: item.name):
        if item.name.endswith((".py", ".pyc")):
            digest.update(item.read_bytes())
    return digest.hexdigest()[:16]


@functools.cache
def positional(function: Callable[..., Any]) -> inspect.Signature:
    """Return a function's signature without keyword-only parameters, which Numba does not know."""
    found = inspect.signature(function)
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return found.replace(parameters=[p.replace(kind=kind) for p in found.parameters.values()])


def result_of(name: str, kinds: Any) -> Any:
    """Return the `signatures.Result` of a call of the function of this name."""
    from numbaconv.nopython import signatures

    function, rule, ndim = FUNCTIONS[name]
    bound = {
        p.name: p.default if kind is types.none and p.default is not p.empty else kind
        for p, kind in zip(positional(function).parameters.values(), kinds, strict=True)
    }
    signatures.check(bound)
    found = getattr(signatures, rule)(bound, ndim)
    _check_out(bound.get("out"), found)
    return found


def _check_out(out: Any, found: Any) -> None:
    if isinstance(out, types.Array):
        expected = found.arrays[0]
        if (out.dtype, out.ndim) != (expected.dtype, expected.ndim):
            raise errors.TypingError(
                f"out must be an array of {expected.dtype} with {expected.ndim} axes, "
                f"got {out.dtype} with {out.ndim}"
            )
        if not out.mutable:
            raise errors.TypingError("out must be writeable, got a read-only array")


def _kind(parameter: inspect.Parameter, kind: Any) -> Any:
    """Return the type that an argument is passed in; what is left out is none, as its default."""
    if kind is None or isinstance(kind, types.Omitted):
        return types.none
    allowed = parameter.default is None or type(None) in get_args(parameter.annotation)
    if kind is types.none and not allowed:
        raise errors.TypingError(f"{parameter.name} must not be None")
    if isinstance(kind, types.Optional):
        raise errors.TypingError(
            f"{parameter.name} may be None or not at run time: decide it when compiled, got {kind}"
        )
    if isinstance(kind, types.IntegerLiteral) and parameter.name not in _LITERALS:
        return types.unliteral(kind)
    return kind
