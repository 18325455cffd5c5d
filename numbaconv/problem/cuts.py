"""Where blocks of a result lie along one axis, and what of the source each of them needs.

Everything here is arithmetic of one axis; the formulas are `numbaconv.problem.formulas`'.
"""

import itertools
from dataclasses import dataclass

from numbaconv.problem.formulas import dilated_size, end_reaching, first_reaching

Ints = tuple[int, ...]


@dataclass(frozen=True)
class Sliding:
    """How a window slides along one axis.

    Parameters
    ----------
    size, kernel, stride, dilation, low, high : int
        Of the input and the kernel, and the padding.
    outputs : int
        The window's positions.
    """

    size: int
    kernel: int
    stride: int
    dilation: int
    low: int
    high: int
    outputs: int

    @property
    def span(self) -> int:
        """The input positions from a window's first tap to its last."""
        return dilated_size(self.kernel, self.dilation)


@dataclass(frozen=True)
class Cut:
    """A block of a result, and the part of the source that it is made from.

    Parameters
    ----------
    start, stop : int
        The block's positions in the result.
    first, last : int
        The positions of the source that it needs, as a slice.
    low, high : int
        The padding that makes exactly the block from them (of a transposed convolution, what is
        cut off); for gradients of pools how many positions the needed windows begin before the
        block, and end behind it.
    extra : int
        The output padding of a transposed convolution.
    """

    start: int
    stop: int
    first: int
    last: int
    low: int
    high: int
    extra: int = 0

    @property
    def length(self) -> int:
        """The number of the block's positions."""
        return self.stop - self.start


def forward(axis: Sliding, chunks: Ints) -> list[Cut]:
    """Return the blocks of the window's outputs over an input in these chunks.

    A block belongs to the chunk that holds the middle of its windows.
    """
    middle = axis.span // 2
    bounds = [-(-(edge + axis.low - middle) // axis.stride) for edge in _edges(chunks)]
    return [reading(axis, start, stop) for start, stop in _intervals(bounds, axis.outputs)]


def readings(axis: Sliding, chunks: Ints) -> list[Cut]:
    """Return the blocks of outputs in these chunks."""
    return [reading(axis, a, b) for a, b in _intervals(_edges(chunks), axis.outputs)]


def reading(axis: Sliding, start: int, stop: int) -> Cut:
    """Return the block of some outputs: the input that their windows cover."""
    begin = start * axis.stride - axis.low
    end = (stop - 1) * axis.stride - axis.low + axis.span
    first = min(max(begin, 0), axis.size)
    last = max(min(end, axis.size), first)
    if first == last:  # nothing but padding
        return Cut(start, stop, first, last, end - begin, 0)
    return Cut(start, stop, first, last, max(first - begin, 0), max(end - last, 0))


def adjoint(axis: Sliding, chunks: Ints) -> list[Cut]:
    """Return the blocks of the input, made from outputs in these chunks: a transposed convolution.

    All positions of the input are written, also those that no window reaches.
    """
    bounds = [edge * axis.stride - axis.low + axis.span // 2 for edge in _edges(chunks)]
    return [reached(axis, start, stop) for start, stop in _intervals(bounds, axis.size)]


def reached(axis: Sliding, start: int, stop: int) -> Cut:
    """Return the block of some input positions: the outputs whose windows reach them."""
    first = first_reaching(start, axis.low, axis.kernel, axis.stride, axis.dilation)
    last = end_reaching(stop - 1, axis.low, axis.stride, axis.outputs)
    # Windows with gaps between them may leave a border: a window more on that side covers it.
    first = min(first, axis.outputs - 1)
    if first * axis.stride - axis.low > start:
        first = max(first - 1, 0)
    last = max(last, first + 1)
    if (last - 1) * axis.stride - axis.low + axis.span < stop:
        last = min(last + 1, axis.outputs)
    end = (last - 1) * axis.stride - axis.low + axis.span
    low = start - (first * axis.stride - axis.low)
    return Cut(start, stop, first, last, low, max(end - stop, 0), max(stop - end, 0))


def _edges(chunks: Ints) -> list[int]:
    """Return where chunks meet."""
    return list(itertools.accumulate(chunks))[:-1]


def _intervals(bounds: list[int], length: int) -> list[tuple[int, int]]:
    """Return the intervals between bounds that are not empty (one, where there is nothing)."""
    edges = [0, *(min(max(b, 0), length) for b in bounds), length]
    found = [(a, b) for a, b in itertools.pairwise(edges) if b > a]
    return found or [(0, length)]


def even_block(total: int, most: int) -> int:
    """Return the block size, at most `most`, that cuts `total` into the fewest, even blocks."""
    blocks = -(-total // max(1, most))
    return -(-total // max(1, blocks))
