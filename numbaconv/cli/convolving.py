"""What is done to images: a filter of every channel by itself, or weights that mix channels."""

import contextlib
import math
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from numbaconv.api.conv import conv1d, conv2d, conv3d
from numbaconv.cli.files import UNREADABLE
from numbaconv.filtering.planes import (
    PlaneWindow,
    Taps,
    filter_planes,
    fits,
    plain_sums,
    sums_dtype,
)
from numbaconv.filtering.rounding import rounded, unwrapped
from numbaconv.problem.arrays import Array

_CONVS = {1: conv1d, 2: conv2d, 3: conv3d}
# Bytes of results, in the type of the sums, that are formed at a time from a picture.
_BAND_BYTES = 8 << 20
# Taps of a plane from which the algorithms of `conv2d` are the faster way.
_MANY_TAPS = 121


class Convolution(Protocol):
    """What a run does to images."""

    #: Of the kernel, along the spatial axes.
    size: tuple[int, ...]

    def arrays(self, images: Array, channels_last: bool, *, parallel: bool) -> Array:
        """Return the results for a batch ``(N, C, *spatial)``, or ``(N, *spatial, C)``."""

    def picture(self, pixels: Array, *, parallel: bool) -> Array:
        """Return the result for ``(H, W, C)``, in the type of the pixels."""

    def prepare(self) -> None:
        """Have the kernels loaded that pictures of 8 bits will need."""

    def flops(self, results: Array) -> int:
        """Return how many operations the results took."""


class EveryChannel:
    """A filter that goes over every channel by itself.

    Parameters
    ----------
    taps : Taps
        The filter.
    window : PlaneWindow
        How it moves.
    name : str
        How messages call it.
    result : dtype, optional
        What the type of an array is combined with for the result's; without it results have the
        type of the array, rounded and clipped.
    dtype : dtype, optional
        Of the sums.
    """

    def __init__(
        self, taps: Taps, window: PlaneWindow, name: str, *, result: np.dtype[Any] | None = None,
        dtype: np.dtype[Any] | None = None,
    ) -> None:  # fmt: skip
        if dtype is not None and dtype not in (np.float32, np.float64):
            raise ValueError(f"--dtype of {name} must be float32 or float64, got {dtype}")
        self._taps, self._window, self._name = taps, window, name
        self._result, self._dtype = result, dtype
        self.size: tuple[int, ...] = taps.size

    def picture(self, pixels: Array, *, parallel: bool) -> Array:
        """Return the result for ``(H, W, C)``, in the type of the pixels."""
        found: Array = self._planes(pixels[None], parallel=parallel)[0]
        return found

    def prepare(self) -> None:
        """Have the kernels loaded that pictures of 8 bits will need."""
        _prepare(self, 3)

    def arrays(self, images: Array, channels_last: bool, *, parallel: bool) -> Array:
        """Return the results for a batch."""
        if images.ndim != 4:
            raise ValueError(f"INPUT must have 4 axes for {self._name}, got {images.ndim}")
        if images.dtype.kind == "c":
            raise TypeError(f"{self._name} takes real numbers, INPUT is {images.dtype}")
        if channels_last:
            return self._planes(images, parallel=parallel)
        # Planes are as they lie: every channel of every image is one, of pixels of one channel.
        planes = images.reshape(-1, *images.shape[2:], 1)
        found = self._planes(planes, parallel=parallel)
        return found.reshape(*images.shape[:2], *found.shape[1:3])

    def flops(self, results: Array) -> int:
        """Return how many operations the results took."""
        parts = [self._taps.vertical, self._taps.horizontal]
        return 2 * results.size * sum(p.size for p in parts if p is not None)

    def _planes(self, planes: Array, *, parallel: bool) -> Array:
        """Return the results for ``(planes, H, W, channels)``."""
        given = planes.dtype.newbyteorder("=")
        target = given if self._result is None else np.result_type(given, self._result)
        whole = target.kind in "iub"
        sums = self._dtype or sums_dtype(given if whole else target, self._taps)
        if target.kind in "iu" and target.itemsize == 8 and self._dtype is None and self._exact:
            return self._in_integers(planes.astype(target, copy=False), parallel=parallel)
        narrow = given.kind in "iu" and given.itemsize < 8 and target == given
        planes = np.ascontiguousarray(planes, given if narrow else sums)
        if self._in_rows(planes):
            found = filter_planes(planes, self._taps, self._window, sums, parallel=parallel)
        else:
            found = self._by_conv2d(planes, sums, parallel=parallel)
        return rounded(found, target)

    @property
    def _exact(self) -> bool:
        """Whether sums of integers are integers."""
        return self._taps.whole and not self._taps.magnitude

    def _in_rows(self, planes: Array) -> bool:
        taps = self._taps
        few = taps.horizontal is not None or math.prod(taps.vertical.shape[1:]) <= _MANY_TAPS
        width = planes.shape[2] * planes.shape[3]
        return few and fits(taps, width, self._window.dilation)

    def _in_integers(self, planes: Array, *, parallel: bool) -> Array:
        """Return sums of 64-bit integers, exact, and clipped where they leave the type."""
        about = self._by_conv2d(planes, np.dtype(np.float64), parallel=parallel)
        exact = self._by_conv2d(planes, planes.dtype, parallel=parallel)
        return unwrapped(exact, about)

    def _by_conv2d(self, planes: Array, sums: np.dtype[Any], *, parallel: bool) -> Array:
        """Return the results as `numbaconv.conv2d` forms them: for kernels of very many taps."""
        channels, kernels = planes.shape[-1], self._taps.kernels
        weight = np.tile(kernels[:, None], (channels, 1, 1, 1)).transpose(2, 3, 1, 0)
        if sums.kind in "iu":
            weight = np.rint(weight).astype(np.int64).astype(sums)
        bias = np.full(weight.shape[-1], self._taps.bias).astype(sums)
        found = conv2d(
            planes.astype(sums, copy=False), weight.astype(sums), bias, groups=channels,
            layout="channels_last", parallel=parallel, **self._window.keywords,
        )  # fmt: skip
        if not self._taps.magnitude:
            return found
        found = found.reshape(*found.shape[:3], channels, len(kernels))
        squares: Array = np.square(found).sum(axis=-1)
        return np.sqrt(squares)


class Mixing:
    """Weights whose results are sums over channels.

    Parameters
    ----------
    weight : ndarray
        Of 3 to 5 axes, in the layout of the arrays; of images, channels first unless `last`.
    bias : ndarray, optional
        One number an output.
    window : PlaneWindow
        How they move.
    name : str
        How messages call them.
    groups : int
        Groups of channels.
    last : bool
        Whether the weights are channels last.
    dtype : dtype, optional
        Of the sums.
    """

    def __init__(
        self, weight: Array, bias: Array | None, window: PlaneWindow, name: str, groups: int,
        *, last: bool, dtype: np.dtype[Any] | None,
    ) -> None:  # fmt: skip
        self._weight, self._bias, self._window = weight, bias, window
        self._name, self._groups, self._last, self._dtype = name, groups, last, dtype
        self.size = weight.shape[:-2] if last else weight.shape[2:]

    def arrays(self, images: Array, channels_last: bool, *, parallel: bool) -> Array:
        """Return the results for a batch."""
        self._check(images, -1 if channels_last else 1, self._weight.ndim)
        return self._run(
            images, channels_last, self._dtype, parallel=parallel, **self._window.keywords
        )

    def picture(self, pixels: Array, *, parallel: bool) -> Array:
        """Return the result for ``(H, W, C)``, a band of rows at a time."""
        if self._weight.ndim != 4:
            raise ValueError(
                f"images take weights of 2 or 4 axes, {self._name} has {self._weight.ndim}"
            )
        self._check(pixels[None], -1, 4)
        rows, columns = self.size
        window, dtype = self._window, pixels.dtype.newbyteorder("=")
        sums = self._dtype or plain_sums(dtype)
        sources = window.sources(pixels.shape[0], rows)
        outputs = window.outputs(pixels.shape[0], rows), window.outputs(pixels.shape[1], columns)
        makes = self._weight.shape[-1 if self._last else 0]
        result = np.empty((*outputs, makes), dtype)
        step = max(1, _BAND_BYTES // (outputs[1] * max(makes, pixels.shape[2]) * sums.itemsize))
        keywords = self._window.keywords | {"padding": self._beside(window, pixels.shape[1])}
        for begin in range(0, outputs[0], step):
            end = min(begin + step, outputs[0])
            first = begin * window.stride
            there = sources[first : (end - 1) * window.stride + window.dilation * (rows - 1) + 1]
            band = pixels[there.clip(0)]
            band[there < 0] = 0
            found = self._run(band[None], True, sums, parallel=parallel, **keywords)
            result[begin:end] = rounded(found[0], dtype)
        return result

    def prepare(self) -> None:
        """Have the kernels loaded that pictures of 8 bits will need."""
        _prepare(self, self._weight.shape[-2 if self._last else 1] * self._groups)

    def flops(self, results: Array) -> int:
        """Return how many operations the results took."""
        one = self._weight.shape[:-1] if self._last else self._weight.shape[1:]
        return 2 * results.size * math.prod(one)

    def _beside(self, window: PlaneWindow, width: int) -> Any:
        """Return the padding of columns alone: rows come with theirs."""
        low = window.low(width, self.size[1])
        length = window.sources(width, self.size[1]).size
        return ((0, 0), (low, max(0, length - low - width)))

    def _check(self, images: Array, axis: int, ndim: int) -> None:
        if images.ndim != ndim:
            raise ValueError(f"INPUT must have {ndim} axes for {self._name}, got {images.ndim}")
        expected = self._weight.shape[-2 if self._last else 1] * self._groups
        if images.shape[axis] != expected:
            raise ValueError(
                f"{self._name} takes {expected} channels with --groups {self._groups}, the input "
                f"has {images.shape[axis]}"
            )

    def _run(
        self, images: Array, channels_last: bool, dtype: np.dtype[Any] | None, **keywords: Any
    ) -> Array:
        weight = self._weight
        if channels_last and not self._last:
            weight = np.moveaxis(weight, (0, 1), (-1, -2))
        return _CONVS[weight.ndim - 2](
            images, weight, self._bias, groups=self._groups, dtype=dtype,
            layout="channels_last" if channels_last else "channels_first", **keywords,
        )  # fmt: skip


def _prepare(convolve: Convolution, channels: int) -> None:
    """Convolve a tiny picture; whatever is wrong with that, the pictures themselves shall tell."""
    size = min(2 * max(convolve.size) + 1, 99)
    with contextlib.suppress(ValueError, TypeError):
        convolve.picture(np.zeros((size, size, channels), np.uint8), parallel=False)


def from_weights(
    path: Path, window: PlaneWindow, groups: int, *, last: bool, images: bool,
    dtype: np.dtype[Any] | None,
) -> Convolution:  # fmt: skip
    """Return what a weights file asks for."""
    weight, bias = _load(path)
    if weight.ndim not in (2, 3, 4, 5) or weight.size == 0:
        raise ValueError(
            f"'weight' of {path} must have 2 to 5 axes, none empty, got shape {weight.shape}"
        )
    makes = weight.shape[-1 if last else 0]
    if images and weight.ndim == 4 and makes not in (1, 3, 4):
        raise ValueError(
            f"{makes} output channels make no image; for an image OUTPUT the weights must have 1 "
            "or 3 (or 4, of CMYK), else give an .npy INPUT and OUTPUT"
        )
    if weight.ndim != 2:
        return Mixing(weight, bias, window, str(path), groups, last=last, dtype=dtype)
    if groups != 1:
        raise ValueError(f"--groups goes with weights of 3 to 5 axes, {path} has 2")
    if weight.dtype.kind not in "fiub" or (bias is not None and bias.size != 1):
        raise ValueError(f"{path} must hold real weights, and one number as bias if any")
    taps = Taps(
        weight.astype(np.float64)[None], bias=0.0 if bias is None else float(bias.reshape(())),
    )  # fmt: skip
    result = None if images else weight.dtype
    return EveryChannel(taps, window, str(path), result=result, dtype=dtype)


def _load(path: Path) -> tuple[Array, Array | None]:
    """Return the arrays of a weights file."""
    try:
        with open(path, "rb") as file:
            arrays = np.load(file, allow_pickle=False)
            if not isinstance(arrays, np.lib.npyio.NpzFile):
                raise ValueError("it holds a single array")
            others = sorted(set(arrays) - {"weight", "bias"})
            if "weight" not in arrays:
                raise ValueError(f"it has no array 'weight' but {others}")
            if others:
                raise ValueError(f"it takes 'weight' and 'bias', and has {others}, too")
            return arrays["weight"], arrays.get("bias")
    except UNREADABLE as error:
        reason = "it is none, or holds Python objects" if "pickle" in str(error) else error
        raise ValueError(f"{path} cannot be read as an .npz file of weights: {reason}") from None
