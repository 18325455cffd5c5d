"""What filters of SciPy's names share: their arrays and arguments, or why a call is SciPy's."""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from numbaconv.api.scipys import Doors, HandedOver, Prepare, Prepared
from numbaconv.filtering import strips, sums
from numbaconv.filtering.borders import MODES
from numbaconv.problem.arrays import Array, empty

DOORS = Doors("ndimage")


def prepares(name: str) -> Callable[[Prepare], Prepare]:
    """Register what prepares calls of SciPy's function of a name, of complex arrays by parts."""

    def keep(prepare: Prepare) -> Prepare:
        @functools.wraps(prepare)
        def of_any_kind(**asked: Any) -> Prepared:
            if np.iscomplexobj(asked["input"]):
                return ByParts(name, prepare, **asked)
            return prepare(**asked)

        return DOORS.prepares(name)(of_any_kind)

    return keep


class ByParts:
    """A filter of complex numbers: of their real, and of their imaginary parts.

    Parameters
    ----------
    name : str
        Of the filter.
    prepare : callable
        What prepares a call of real arrays.
    input, output, cval
        As the caller passed them.
    **asked
        All other arguments.
    """

    def __init__(
        self, name: str, prepare: Prepare, input: Any, output: Any, cval: Any, **asked: Any
    ) -> None:
        x = np.asarray(input)
        self.result = x.dtype.newbyteorder("=")
        self.shape, self.out = x.shape, None
        if isinstance(output, np.ndarray):
            self.out, self.result = output, output.dtype
        elif output is not None:
            self.result = np.dtype(output)
        if self.out is not None and not (self.out.shape == self.shape and self.out.flags.writeable):
            raise HandedOver(f"output has shape {self.out.shape}, or is not writeable")
        if self.result not in (np.complex64, np.complex128) or name.startswith(("max", "min")):
            raise HandedOver(f"input is complex, and {name} makes {self.result} of it")
        part = np.dtype(f"f{self.result.itemsize // 2}")
        self.parts = [
            prepare(input=half, output=part, cval=beyond, **asked)
            for half, beyond in ((x.real, np.real(cval)), (x.imag, np.imag(cval)))
        ]

    def run(self, parallel: bool) -> Array:
        """Return the result."""
        real, imaginary = (part.run(parallel) for part in self.parts)
        out: Array = np.empty(self.shape, self.result) if self.out is None else self.out
        out.real, out.imag = real, imaginary
        return out


class Arrays:
    """The input of a filter, and where its result goes, as SciPy takes them.

    Parameters
    ----------
    x, output
        As the caller passed them.
    """

    def __init__(self, x: Any, output: Any) -> None:
        try:
            array = np.asarray(x)
        except Exception as error:
            raise HandedOver(f"input is no array: {error}") from None
        if array.ndim == 0 or array.size == 0:
            raise HandedOver(f"input has shape {array.shape}")
        self.shape, self.ndim = array.shape, array.ndim
        self.source = _taken(array.dtype, "input")
        self.x = array
        self.out: Array | None = None
        self.result = self.source
        if isinstance(output, np.ndarray):
            if output.shape != array.shape or not output.flags.writeable:
                raise HandedOver(f"output has shape {output.shape}, or is not writeable")
            self.out, self.result = output, _taken(output.dtype, "output")
        elif output is not None:
            try:
                dtype = np.dtype(output)
            except Exception:
                raise HandedOver(f"output is {output!r}") from None
            self.result = _taken(dtype, "output")
            if not dtype.isnative:
                self.out = np.empty(array.shape, dtype)

    def axis(self, axis: Any) -> int:
        """Return an axis, from 0 on."""
        if not isinstance(axis, int | np.integer) or not -self.ndim <= axis < self.ndim:
            raise HandedOver(f"axis is {axis!r}")
        return int(axis) % self.ndim

    def axes(self, axes: Any) -> list[int]:
        """Return the axes of a filter: all, or those of `axes`."""
        if axes is None:
            return list(range(self.ndim))
        if not isinstance(axes, int | np.integer) and not np.iterable(axes):
            raise HandedOver(f"axes are {axes!r}")
        given = [axes] if isinstance(axes, int | np.integer) else list(axes)
        found = [self.axis(axis) for axis in given]
        if len(set(found)) != len(found):
            raise HandedOver(f"axes are {axes!r}")
        return found

    def filtered(self, passes: Sequence[sums.Filter], parallel: bool) -> Array:
        """Run passes one after the other."""
        plain = self.out is not None and self._is_plain(self.out)
        target: Array = self.out if plain else empty(self.shape, self.result)  # type: ignore[assignment]
        current = self.x
        if not passes:
            target[...] = current
        for number, one in enumerate(passes):
            last = number == len(passes) - 1
            to = target if last else empty(self.shape, self.result)
            strips.run(one, current, to, parallel)
            current = to
        if self.out is None:
            return target
        if target is not self.out:
            self.out[...] = target
        return self.out

    def _is_plain(self, out: Array) -> bool:
        """Return whether kernels may write to an array while they read the input."""
        return out.dtype.isnative and out.flags.carray and not np.may_share_memory(out, self.x)


def _taken(dtype: np.dtype[Any], name: str) -> np.dtype[Any]:
    native = dtype.newbyteorder("=")
    if native.kind == "b" or not sums.takes(native):
        raise HandedOver(f"{name} is of dtype {dtype}")
    return native


def mode_of(mode: Any) -> str:
    """Return what lies beyond the ends."""
    if not isinstance(mode, str) or mode not in MODES:
        raise HandedOver(f"mode is {mode!r}")
    return MODES[mode]


def sequence(value: Any, count: int, name: str) -> list[Any]:
    """Return one value for each of so many axes."""
    if isinstance(value, str) or not np.iterable(value):
        return [value] * count
    found = list(value)
    if len(found) != count:
        raise HandedOver(f"{name} has {len(found)} entries, for {count} axes")
    return found


def by_axis(arrays: Arrays, axes: Any, **values: Any) -> Iterator[tuple[Any, ...]]:
    """Yield (axis, one of each of some values) for each of `axes`, which may be all."""
    chosen = arrays.axes(axes)
    each = [sequence(value, len(chosen), name) for name, value in values.items()]
    yield from zip(chosen, *each, strict=True)


def integer(value: Any, name: str) -> int:
    """Return an int."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise HandedOver(f"{name} is {value!r}")
    return int(value)


def one_sum(
    axis: int, weights: Array, mode: Any, origin: Any, *, divisor: int = 0,
    extreme: int | None = None,
) -> sums.Sum:  # fmt: skip
    """Return a sum (or an extreme) along an axis; the origin must leave a tap in the middle."""
    size, shift = len(weights), integer(origin, "origin")
    if size < 1 or not 0 <= size // 2 + shift < size:
        raise HandedOver(f"weights of {size} have the origin {origin!r}")
    return sums.Sum(axis, weights, shift, mode_of(mode), divisor, extreme)


def constant(cval: Any, modes: Sequence[str], *dtypes: np.dtype[Any]) -> float:
    """Return the constant beyond the ends, which rows of these dtypes must be able to hold."""
    try:
        value = float(cval)
    except (TypeError, ValueError):
        raise HandedOver(f"cval is {cval!r}") from None
    if "constant" not in modes:
        return 0.0
    for dtype in dtypes:
        if dtype.kind in "iu":
            info = np.iinfo(dtype)
            held = value.is_integer() and info.min <= value <= info.max
        else:
            with np.errstate(over="ignore", under="ignore"):
                held = not math.isfinite(value) or float(dtype.type(value)) == value
        if not held:
            raise HandedOver(f"cval is {cval!r}, which {dtype} does not hold")
    return value


class Separable:
    """Sums along axes, one after the other.

    Parameters
    ----------
    arrays : Arrays
        What they are over.
    asked : sequence of Sum
        In their order.
    cval
        As the caller passed it.
    """

    def __init__(self, arrays: Arrays, asked: Sequence[sums.Sum], cval: Any) -> None:
        self.arrays, self.asked = arrays, asked
        modes = [found.mode for found in asked]
        self.cval = constant(cval, modes, arrays.source, arrays.result)
        extremes = any(found.extreme is not None for found in asked)
        if extremes and arrays.result != arrays.source:
            raise HandedOver(f"output is of {arrays.result}, input of {arrays.source}")

    def run(self, parallel: bool) -> Array:
        """Return the result."""
        arrays = self.arrays
        passes = sums.separable(arrays.shape, self.asked, arrays.source, arrays.result, self.cval)
        return arrays.filtered(passes, parallel)


class Windowed:
    """A sum over windows.

    Parameters
    ----------
    arrays : Arrays
        What it is over.
    weights : ndarray of float64
        With an axis for each of the array's.
    origins, modes : sequence
        For each axis.
    cval
        As the caller passed it.
    """

    def __init__(
        self, arrays: Arrays, weights: Array, origins: Sequence[int], modes: Sequence[str],
        cval: Any,
    ) -> None:  # fmt: skip
        self.arrays = arrays
        wide = [axis for axis, n in enumerate(weights.shape) if n > 1 or origins[axis]]
        if len(wide) == 1:
            self.planned = self._one_axis(weights, wide[0], origins, modes, cval)
            return
        value = constant(cval, modes)
        first, last = (wide[0], wide[-1]) if wide else (arrays.ndim - 1, arrays.ndim - 1)
        if last - first > 2:
            raise HandedOver(f"the weights reach over {last - first + 1} axes")
        missing = 2 - (last - first)
        shape = arrays.shape
        cell = math.prod(shape[last + 1 :])
        sizes = (1,) * missing + shape[first : last + 1]
        self.planned = sums.window(
            (math.prod(shape[:first]), sizes[0], sizes[1], sizes[2] * cell), arrays.source,
            arrays.result, weights.reshape((1,) * missing + weights.shape[first : last + 1]),
            (0,) * missing + tuple(origins[first : last + 1]),
            ("reflect",) * missing + tuple(modes[first : last + 1]), value, cell,
        )  # fmt: skip
        if not sums.fits(self.planned):
            raise HandedOver("the rows of a window would take too much memory")

    def _one_axis(
        self, weights: Array, axis: int, origins: Sequence[int], modes: Sequence[str], cval: Any
    ) -> sums.Filter:
        """Return a sum along the one axis that weights extend over."""
        arrays = self.arrays
        asked = sums.Sum(axis, weights.reshape(-1), origins[axis], modes[axis], in_order=True)
        value = constant(cval, [asked.mode], arrays.source, arrays.result)
        (found,) = sums.separable(arrays.shape, [asked], arrays.source, arrays.result, value)
        return found

    def run(self, parallel: bool) -> Array:
        """Return the result."""
        return self.arrays.filtered([self.planned], parallel)
