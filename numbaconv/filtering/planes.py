"""From a filter and planes to the kernel: the type of the sums, and what lies at the borders."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from numbaconv.filtering.rows import Finish, RowWindow, filter_rows
from numbaconv.problem import arguments, formulas
from numbaconv.problem.arrays import Array
from numbaconv.teams import jobs

# Rows of a band that threads share, at least: each band reads its first rows again.
_LEAST_ROWS = 16
# Rings of converted rows, at most: taller and wider ones are another route's.
_RING_BYTES = 8 << 20


@dataclass(frozen=True)
class Taps:
    """M kernels that go over a plane together.

    Parameters
    ----------
    vertical : ndarray
        ``(M, KH, KW)`` float64, or the vertical factors ``(M, KH, 1)``.
    horizontal : ndarray, optional
        The horizontal factors ``(M, 1, KW)``.
    magnitude : bool
        Whether the root of the sum of the squares of the M results is the result.
    bias : float
        Added to every sum.
    """

    vertical: Array
    horizontal: Array | None = None
    magnitude: bool = False
    bias: float = 0.0

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        wide = self.vertical if self.horizontal is None else self.horizontal
        return self.vertical.shape[1], wide.shape[2]

    @property
    def whole(self) -> bool:
        """Whether all of its numbers are integers."""
        parts: list[Array] = [self.vertical, np.array(self.bias)]
        if self.horizontal is not None:
            parts.append(self.horizontal)
        return all(np.array_equal(part, np.rint(part)) for part in parts)

    @property
    def kernels(self) -> Array:
        """The M kernels, factors multiplied."""
        return self.vertical if self.horizontal is None else self.vertical * self.horizontal


@dataclass(frozen=True)
class PlaneWindow:
    """How a kernel goes over a plane: stride, dilation, what stands beyond the edges.

    Parameters
    ----------
    stride, dilation : int
        Along both axes.
    padding : int or {"same", "same_lower", "valid"}
        As in `numbaconv.conv2d`.
    padding_mode : str
        As in `numbaconv.conv2d`.
    """

    stride: int = 1
    padding: int | str = "same"
    padding_mode: str = "replicate"
    dilation: int = 1

    @property
    def keywords(self) -> dict[str, Any]:
        """The same as `numbaconv.conv2d` takes it."""
        return {
            "stride": self.stride, "padding": self.padding, "padding_mode": self.padding_mode,
            "dilation": self.dilation,
        }  # fmt: skip

    def low(self, size: int, kernel: int) -> int:
        """Return how much padding stands before an axis."""
        return self._edges(size, kernel)[0]

    def outputs(self, size: int, kernel: int) -> int:
        """Return the number of output positions along an axis of `size`."""
        found = formulas.output_size(
            size, *self._edges(size, kernel), kernel, self.stride, self.dilation
        )
        if found < 1:
            raise ValueError(
                f"a kernel of {kernel} (dilation {self.dilation}) does not fit into {size} pixels "
                f"with padding {self.padding!r}"
            )
        return found

    def sources(self, size: int, kernel: int) -> Array:
        """Return which index of an axis stands at each padded one that is read, or -1."""
        length = (self.outputs(size, kernel) - 1) * self.stride
        length += formulas.dilated_size(kernel, self.dilation)
        mode = formulas.PADDING_MODES[self.padding_mode]
        low = self.low(size, kernel)
        indices = np.arange(-low, length - low)
        for place in np.flatnonzero((indices < 0) | (indices >= size)):
            indices[place] = formulas.source_index(int(indices[place]), size, mode)
        return indices

    def centres(self, size: int, kernel: int) -> Array:
        """Return the index below the middle of each window, kept inside the axis."""
        middle = self.dilation * (kernel - 1) // 2 - self.low(size, kernel)
        places = np.arange(self.outputs(size, kernel)) * self.stride + middle
        return places.clip(0, size - 1)

    def _edges(self, size: int, kernel: int) -> tuple[int, int]:
        (edges,) = arguments.padding_pairs(
            self.padding, (size,), (kernel,), (self.stride,), (self.dilation,)
        )
        return edges


def plain_sums(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return float32 for numbers of up to 16 bits and for float32, and float64 for others."""
    return np.dtype(np.float32 if dtype.itemsize <= 2 or dtype == np.float32 else np.float64)


def sums_dtype(dtype: np.dtype[Any], taps: Taps) -> np.dtype[Any]:
    """Return the type in which planes of `dtype` are summed.

    That is the type of `plain_sums`; float64, too, where whole numbers through a whole kernel would
    not be exact in float32.
    """
    if dtype.kind in "iu" and taps.whole:
        info = np.iinfo(dtype)
        largest = np.abs(taps.kernels).sum(axis=(1, 2)).max() * max(info.max, -int(info.min))
        if largest + abs(taps.bias) >= 1 << 24:
            return np.dtype(np.float64)
    return plain_sums(dtype)


def fits(taps: Taps, width: int, dilation: int) -> bool:
    """Return whether rows of so many elements are kept in a ring that is not too large."""
    rows = formulas.dilated_size(taps.size[0], dilation)
    return rows * (width + dilation * taps.size[1]) * 8 <= _RING_BYTES


def filter_planes(
    x: Array, taps: Taps, window: PlaneWindow, sums: np.dtype[Any], *, parallel: bool
) -> Array:
    """Correlate every plane, and every channel of its pixels, with the same kernels.

    Parameters
    ----------
    x : ndarray
        ``(planes, H, W, step)``, C-contiguous, of a native integer type of at most 32 bits, or
        float32 or float64: `step` channels lie side by side.
    taps : Taps
        The kernels.
    window : PlaneWindow
        How they move.
    sums : dtype
        float32 or float64.
    parallel : bool
        Whether Numba's threads take part.

    Returns
    -------
    ndarray
        ``(planes, outputs, outputs, step)``: integers rounded and clipped, others as they are.
    """
    planes, height, width, step = x.shape
    rows, columns = taps.size
    found = window.outputs(height, rows), window.outputs(width, columns)
    y = np.empty((planes, *found, step), x.dtype)
    low = window.low(width, columns)
    across = window.sources(width, columns)
    begin, end = min(low, across.size), min(low + width, across.size)
    whole = x.dtype.kind in "iu"
    info = np.iinfo(x.dtype) if whole else None
    bounds = (info.min, info.max) if info else (0, 0)
    work = y.size * math.prod(taps.vertical.shape[1:])
    workers = jobs.team_size(planes * max(1, found[0] // _LEAST_ROWS), work=work, parallel=parallel)
    bands = 1 if workers == 1 else max(1, min(found[0] // _LEAST_ROWS, 8 * workers // planes + 1))
    horizontal = taps.horizontal
    jobs.run(
        filter_rows, workers, x.reshape(planes, height, -1), y.reshape(planes, found[0], -1),
        window.sources(height, rows), across, taps.vertical.astype(sums),
        np.zeros((0, 0, 0), sums) if horizontal is None else horizontal.astype(sums),
        horizontal is not None, sums.type(taps.bias),
        RowWindow(window.stride, window.dilation, step, begin, end, whole),
        Finish(taps.magnitude, whole, sums.type(bounds[0]), sums.type(bounds[1])), bands,
    )  # fmt: skip
    return y
