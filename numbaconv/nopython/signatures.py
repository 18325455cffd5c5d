"""What a call inside jitted code returns: the types of results, from the types of arguments.

One rule for each family of public functions. What Python's door refuses by kind, rank or spelling
is refused here when the caller is compiled, with the same words; values are left to the door.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import types
from numba.core.errors import TypingError
from numba.np import numpy_support

from numbaconv import routes
from numbaconv.problem import arguments
from numbaconv.problem.formulas import PADDING_MODES
from numbaconv.problem.parsing import NEEDS, Gradients

#: The arguments of a call by name: their types, or the defaults of those that are left out.
Bound = Mapping[str, Any]

_NAMES = {
    "layout": arguments.LAYOUTS,
    "patches": arguments.PATCHES,
    "padding": arguments.PADDINGS,
    "padding_mode": tuple(PADDING_MODES),
    "algorithm": ("auto", "exact", *routes.names()),
}
_FLAGS = ("ceil_mode", "return_indices", "count_include_pad", "parallel")
_ARRAYS = ("x", "weight", "bias", "grad_output", "indices", "cols", "out")


@dataclass(frozen=True)
class Result:
    """The arrays that a call returns, None for those that it leaves out.

    Parameters
    ----------
    arrays : tuple of (types.Array or None)
        Their types; fresh ones are contiguous.
    form : {"array", "tuple", "gradients"}
        What they are returned in.
    """

    arrays: tuple[Any, ...]
    form: str = "array"

    def type_with(self, out: Any) -> Any:
        """Return the type of what is returned, whose first array is `out` if that is not none."""
        kinds = [types.none if kind is None else kind for kind in self.arrays]
        if out is not types.none:
            kinds[0] = out
        if self.form == "array":
            return kinds[0]
        if self.form == "gradients":
            return types.NamedTuple(kinds, Gradients)
        return types.Tuple(kinds)


def check(bound: Bound) -> None:
    """Raise TypingError where an argument is of a kind that its name never takes."""
    for name, kind in bound.items():
        if not isinstance(kind, types.Type) or kind is types.none:
            continue
        if name in _ARRAYS:
            array(bound, name)
        elif name == "dtype":
            dtype_of(kind)
        elif name == "needs":
            needs(bound)
        elif isinstance(kind, types.UnicodeType | types.StringLiteral):
            _check_name(name, kind)
        elif name in _NAMES and name != "padding":
            raise TypingError(f"{name} must be a literal string, got {kind}")
        elif name in _FLAGS:
            if not isinstance(types.unliteral(kind), types.Boolean):
                raise TypingError(f"{name} must be True or False, got {kind}")
        else:
            # Adaptive pools take None for as many windows as there are elements.
            optional = name == "output_size" and "kernel_size" not in bound
            _check_ints(name, kind, kind, optional)


def _check_name(name: str, kind: Any) -> None:
    if name not in _NAMES:
        raise TypingError(f"{name} must be an int or a tuple of ints, got {kind}")
    if not isinstance(kind, types.StringLiteral):
        raise TypingError(f"{name} must be a literal string inside jitted code, got {kind}")
    try:
        arguments.choice(kind.literal_value, name, _NAMES[name])
    except ValueError as error:
        raise TypingError(str(error)) from None


def _check_ints(name: str, kind: Any, whole: Any, optional: bool) -> None:
    plain = types.unliteral(kind)
    if isinstance(plain, types.BaseTuple):
        for part in plain:
            _check_ints(name, part, whole, optional)
    elif not (isinstance(plain, types.Integer) or (optional and plain is types.none)):
        raise TypingError(f"{name} must be an int or a tuple of ints, got {whole}")


def array(bound: Bound, name: str) -> Any:
    """Return the type of an array argument."""
    kind = bound[name]
    if not isinstance(kind, types.Array):
        raise TypingError(f"{name} must be an array, got {kind}")
    if kind.dtype == types.float16:
        raise TypingError(
            f"{name} is of float16, which Numba cannot compute with: convert it to float32, or "
            "call from Python"
        )
    return kind


def literal(bound: Bound, name: str) -> Any:
    """Return the value of an argument that must be known when the caller is compiled."""
    kind = bound[name]
    if not isinstance(kind, types.Type):
        return kind
    if isinstance(kind, types.Literal):
        return kind.literal_value
    if kind is types.none:
        return None
    raise TypingError(f"{name} must be a literal inside jitted code, got {kind}")


def needs(bound: Bound) -> tuple[str, ...]:
    """Return the literal `needs` of a backward pass."""
    kind = bound["needs"]
    if not isinstance(kind, types.Type):
        return tuple(kind)
    if isinstance(kind, types.BaseTuple) and all(isinstance(k, types.StringLiteral) for k in kind):
        chosen = tuple(k.literal_value for k in kind)
        unknown = [name for name in chosen if name not in NEEDS]
        if not unknown:
            return chosen
        raise TypingError(f"needs must hold names of {NEEDS}, got {chosen}")
    raise TypingError(f"needs must be a tuple of literal strings, of {NEEDS}, got {kind}")


def dtype_of(kind: Any) -> Any:
    """Return what a caller's `dtype` stands for, or None."""
    if not isinstance(kind, types.Type):
        return kind
    if kind is types.none:
        return None
    if isinstance(kind, types.DType):
        return numpy_support.as_dtype(kind.dtype)
    if isinstance(kind, types.NumberClass):
        return numpy_support.as_dtype(kind.instance_type)
    if isinstance(kind, types.StringLiteral):
        return kind.literal_value
    raise TypingError(f"dtype must be a dtype or a literal string, got {kind}")


def _result_dtype(bound: Bound, *names: str) -> Any:
    operands = {name: numpy_support.as_dtype(array(bound, name).dtype) for name in names}
    try:
        found = arguments.result_dtype(dtype_of(bound.get("dtype")), **operands)
    except (TypeError, ValueError) as error:
        raise TypingError(str(error)) from None
    return _from_dtype(found)


def _from_dtype(dtype: np.dtype[Any]) -> Any:
    if dtype == np.float16:
        raise TypingError("results of float16 cannot be had inside jitted code, got dtype=float16")
    return numpy_support.from_dtype(dtype)


def _own_dtype(bound: Bound, name: str) -> Any:
    kind = numpy_support.as_dtype(array(bound, name).dtype)
    try:
        return _from_dtype(arguments.supported(kind, f"the dtype of {name}"))
    except TypeError as error:
        raise TypingError(str(error)) from None


def _fresh(dtype: Any, ndim: int) -> Any:
    return types.Array(dtype, ndim, "C")


def _image(bound: Bound, name: str, ndim: int) -> int:
    """Return the axes of a batched or unbatched argument with so many spatial axes."""
    found: int = array(bound, name).ndim
    if found not in (ndim + 1, ndim + 2):
        raise TypingError(
            f"{name} must have {ndim + 2} axes, with {ndim} spatial, or {ndim + 1} without the "
            f"batch, got {found}"
        )
    return found


def _exactly(bound: Bound, name: str, ndim: int) -> None:
    kind = bound[name]
    if isinstance(kind, types.Array) and kind.ndim != ndim:
        raise TypingError(f"{name} must have {ndim} axes, got {kind.ndim}")


def _length(bound: Bound, name: str) -> int | None:
    """Return the entries of a tuple, or None for an int."""
    kind = bound[name]
    if isinstance(kind, tuple | types.BaseTuple):
        return len(kind)
    return None


def _shape(bound: Bound, name: str, ndim: int) -> int:
    found = _length(bound, name)
    if found is None:
        raise TypingError(f"{name} must be a tuple of ints, got {bound[name]}")
    if found not in (ndim + 1, ndim + 2):
        raise TypingError(f"{name} must have {ndim + 2} entries, or {ndim + 1}, got {found}")
    return found


def convolution(bound: Bound, ndim: int) -> Result:
    """Return what ``conv`` and ``conv_transpose`` return."""
    axes = _image(bound, "x", ndim)
    _exactly(bound, "weight", ndim + 2)
    _exactly(bound, "bias", 1)
    return Result((_fresh(_result_dtype(bound, "x", "weight"), axes),))


def input_grad(bound: Bound, ndim: int) -> Result:
    """Return what ``*_input_grad`` returns."""
    axes = _shape(bound, "input_shape", ndim)
    _image(bound, "grad_output", ndim)
    _exactly(bound, "weight", ndim + 2)
    return Result((_fresh(_result_dtype(bound, "weight", "grad_output"), axes),))


def weight_grad(bound: Bound, ndim: int) -> Result:
    """Return what ``*_weight_grad`` returns."""
    _image(bound, "x", ndim)
    _image(bound, "grad_output", ndim)
    if _length(bound, "weight_shape") != ndim + 2:
        raise TypingError(f"weight_shape must have {ndim + 2} ints, got {bound['weight_shape']}")
    return Result((_fresh(_result_dtype(bound, "x", "grad_output"), ndim + 2),))


def backward(bound: Bound, ndim: int) -> Result:
    """Return what ``*_backward`` of a convolution returns."""
    axes = _image(bound, "x", ndim)
    _image(bound, "grad_output", ndim)
    _exactly(bound, "weight", ndim + 2)
    wanted = needs(bound)
    kinds = {
        "input": lambda: _fresh(_result_dtype(bound, "weight", "grad_output"), axes),
        "weight": lambda: _fresh(_result_dtype(bound, "x", "grad_output"), ndim + 2),
        "bias": lambda: _fresh(_result_dtype(bound, "grad_output"), 1),
    }
    arrays = tuple(kinds[name]() if name in wanted else None for name in NEEDS)
    return Result(arrays, "gradients")


def max_pool(bound: Bound, ndim: int) -> Result:
    """Return what ``max_pool`` returns."""
    axes = _image(bound, "x", ndim)
    values = _fresh(_own_dtype(bound, "x"), axes)
    if literal(bound, "return_indices"):
        return Result((values, _fresh(types.int64, axes)), "tuple")
    return Result((values,))


def pool(bound: Bound, ndim: int) -> Result:
    """Return what the other pools return: an array like their first argument."""
    name = "grad_output" if "grad_output" in bound else "x"
    return Result((_fresh(_own_dtype(bound, name), _image(bound, name, ndim)),))


def im2col(bound: Bound, _: int) -> Result:
    """Return what ``im2col`` returns."""
    axes = array(bound, "x").ndim
    ndim = _length(bound, "kernel_size") or axes - 2
    if axes not in (ndim + 1, ndim + 2) or ndim not in (1, 2, 3) or axes < 3:
        raise TypingError(
            f"x must have {ndim + 2} axes, or {ndim + 1} without the batch, for a kernel_size of "
            f"{ndim}, got {axes}"
        )
    if axes == 3 and _length(bound, "kernel_size") is None:
        raise TypingError("kernel_size must be a tuple where x has 3 axes: an int is ambiguous")
    return Result((_fresh(_own_dtype(bound, "x"), 3 if axes == ndim + 2 else 2),))


def col2im(bound: Bound, _: int) -> Result:
    """Return what ``col2im`` returns."""
    ndim = _length(bound, "output_size") or _length(bound, "kernel_size") or 2
    axes = array(bound, "cols").ndim
    if axes not in (2, 3):
        raise TypingError(f"cols must have 3 axes, or 2 without the batch, got {axes}")
    return Result((_fresh(_own_dtype(bound, "cols"), ndim + axes - 1),))


def kernel_matrix(bound: Bound, _: int) -> Result:
    """Return what ``kernel_matrix`` returns, whose rank depends on `groups`."""
    dtype = _own_dtype(bound, "weight")
    return Result((_fresh(dtype, 2 if literal(bound, "groups") == 1 else 3),))
