"""Where a kernel's matrix operands lie in memory: positions, taps and elements of patches.

The functions are made for a type of index. Expressions are cast back to it at every step: Numba
computes with int32 in 64 bits, which LLVM narrows again only where the result is.
"""

import functools
from types import SimpleNamespace
from typing import Any

import numpy as np

from numbaconv.cuda.launch import device
from numbaconv.cuda.parameters import INDEX
from numbaconv.problem import formulas

OUT_D, OUT_H, OUT_W = INDEX["OUT_D"], INDEX["OUT_H"], INDEX["OUT_W"]
K_D, K_H, K_W = INDEX["K_D"], INDEX["K_H"], INDEX["K_W"]
STRIDE_D, STRIDE_H, STRIDE_W = INDEX["STRIDE_D"], INDEX["STRIDE_H"], INDEX["STRIDE_W"]
DIL_D, DIL_H, DIL_W = INDEX["DIL_D"], INDEX["DIL_H"], INDEX["DIL_W"]
LOW_D, LOW_H, LOW_W = INDEX["LOW_D"], INDEX["LOW_H"], INDEX["LOW_W"]
D, H, W = INDEX["D"], INDEX["H"], INDEX["W"]
S_C, S_D, S_H, S_W = INDEX["S_C"], INDEX["S_D"], INDEX["S_H"], INDEX["S_W"]

source_index = device(formulas.source_index)
reached_from = device(formulas.reached_from)


@functools.cache
def functions(index: Any, mode: int, axes: int = 3) -> SimpleNamespace:
    """Return the device functions of an index type and a padding mode.

    Of three spatial axes the last `axes` are of more than one element, for those functions that
    divide by prepared divisors.
    """
    narrow = index is np.int32
    unsigned = np.uint32 if narrow else np.uint64

    @device
    def quotient(a: Any, b: Any) -> Any:
        """Divide ints that are not negative, without the cases of a signed division."""
        return index(unsigned(a) // unsigned(b))

    @device
    def divide(a: Any, divisor: Any) -> Any:
        """Divide as `quotient`, by what `numbaconv.cuda.parameters.divisor` has prepared.

        T. Granlund, P. L. Montgomery, "Division by invariant integers using multiplication",
        PLDI 1994, section 4.
        """
        multiplier, shift = divisor
        if narrow:
            high = (np.uint64(unsigned(a)) * np.uint64(unsigned(multiplier))) >> np.uint64(32)
            return index(unsigned(high + np.uint64(unsigned(a))) >> unsigned(shift))
        return index(unsigned(a) // unsigned(multiplier))

    @device
    def split(i: Any, b: Any, c: Any, d: Any) -> Any:
        """Return the four digits of `i` in an array of shape (any, b, c, d)."""
        rest = quotient(i, d)
        last = index(i - rest * d)
        upper = quotient(rest, c)
        third = index(rest - upper * c)
        first = quotient(upper, b)
        return first, index(upper - first * b), third, last

    @device
    def digits(i: Any, b: Any, c: Any, d: Any, by_b: Any, by_c: Any, by_d: Any) -> Any:
        """Return the four digits of `i` as `split`, by prepared divisors."""
        rest = divide(i, by_d)
        last = index(i - rest * d)
        second = third = index(0)
        if axes > 1:
            upper = divide(rest, by_c)
            third = index(rest - upper * c)
            rest = upper
        if axes > 2:
            upper = divide(rest, by_b)
            second = index(rest - upper * b)
            rest = upper
        return rest, second, third, last

    @device
    def position(p: Any, n: Any) -> Any:
        """Return (image, od, oh, ow) of the n-th output position of the batch."""
        return split(n, p[OUT_D], p[OUT_H], p[OUT_W])

    @device
    def tap(p: Any, k: Any) -> Any:
        """Return (channel, kd, kh, kw) of the k-th element of a patch."""
        return split(k, p[K_D], p[K_H], p[K_W])

    @device
    def origin(p: Any, od: Any, oh: Any, ow: Any) -> Any:
        """Return the padded coordinates of a window's first tap."""
        return (
            index(od * p[STRIDE_D] - p[LOW_D]),
            index(oh * p[STRIDE_H] - p[LOW_H]),
            index(ow * p[STRIDE_W] - p[LOW_W]),
        )

    @device
    def spread(p: Any, kd: Any, kh: Any, kw: Any) -> Any:
        """Return how far a tap is from the window's first, along each axis."""
        return index(kd * p[DIL_D]), index(kh * p[DIL_H]), index(kw * p[DIL_W])

    @device
    def source(p: Any, d: Any, h: Any, w: Any) -> Any:
        """Return whether padded coordinates have an element, and its offset in the channel."""
        if mode == 0:
            inside = (
                unsigned(d) < unsigned(p[D])
                and unsigned(h) < unsigned(p[H])
                and unsigned(w) < unsigned(p[W])
            )
            return inside, index(d * p[S_D] + h * p[S_H] + w * p[S_W])
        d = index(source_index(d, p[D], mode))
        h = index(source_index(h, p[H], mode))
        w = index(source_index(w, p[W], mode))
        return True, index(d * p[S_D] + h * p[S_H] + w * p[S_W])

    @device
    def inside(i: Any, n: Any) -> Any:
        """Return whether a padded coordinate has an element, in this padding mode."""
        return mode != 0 or unsigned(i) < unsigned(n)

    @device
    def along(i: Any, n: Any) -> Any:
        """Return the place along its axis of the element of a padded coordinate that has one."""
        if mode == 0:
            return i
        return index(source_index(i, n, mode))

    @device
    def mask_of(first: Any, size: Any, dilation: Any, taps: Any, shift: Any) -> Any:
        """Return a bit for each tap along an axis that is outside, from bit `shift` on."""
        mask = index(0)
        for i in range(taps):
            if unsigned(first + i * dilation) >= unsigned(size):
                mask = index(mask | index(1) << (shift + i))
        return mask

    return SimpleNamespace(
        quotient=quotient, divide=divide, split=split, digits=digits, reached=reached_from,
        position=position, tap=tap, origin=origin, spread=spread, source=source,
        mask_of=mask_of, inside=inside, along=along,
    )  # fmt: skip


@functools.cache
def place_of(index: Any, channel_fast: bool, axes: int = 3) -> Any:
    """Return the device function that finds a thread's (image, channel, od, row, ow)."""
    at = functions(index, 0, axes)
    divide, digits = at.divide, at.digits

    @device
    def decode(
        i: Any, channels: Any, depth: Any, height: Any, width: Any,
        by_channels: Any, by_depth: Any, by_height: Any, by_width: Any,
    ) -> Any:  # fmt: skip
        rest, o = i, index(0)
        if channel_fast:
            rest = divide(i, by_channels)
            o = index(i - rest * channels)
        upper, od, oh, ow = digits(rest, depth, height, width, by_depth, by_height, by_width)
        if channel_fast:
            return upper, o, od, oh, ow
        image = divide(upper, by_channels)
        return image, index(upper - image * channels), od, oh, ow

    return decode


def axes_of(size: tuple[int, ...]) -> int:
    """Return how many of the last of three axes there are, up to the first of several elements."""
    depth, height, _ = size
    return 3 if depth > 1 else 2 if height > 1 else 1
