"""The size and index formulas, one small scalar function each.

Nothing else in the package knows them. The door calls them as they are, where ints do not overflow;
kernels call what `numbaconv.kernels.jit.device` makes of them (see `numbaconv.kernels.indexing`).
"""

#: What `source_index` does beyond the edge, as `numpy.pad` names it: constant, reflect, edge, wrap,
#: symmetric.
PADDING_MODES = {"zeros": 0, "reflect": 1, "replicate": 2, "circular": 3, "symmetric": 4}
ZEROS, REFLECT, REPLICATE, CIRCULAR, SYMMETRIC = PADDING_MODES.values()


def dilated_size(kernel: int, dilation: int) -> int:
    """Return how many input positions a dilated kernel spans."""
    return dilation * (kernel - 1) + 1


def output_size(size: int, low: int, high: int, kernel: int, stride: int, dilation: int) -> int:
    """Return the number of output positions; 0 or less when the kernel does not fit."""
    return (size + low + high - dilated_size(kernel, dilation)) // stride + 1


def same_padding(size: int, kernel: int, stride: int, dilation: int) -> int:
    """Return the total padding that makes the output ``ceil(size / stride)`` long."""
    outputs = (size + stride - 1) // stride
    return max(0, (outputs - 1) * stride + dilated_size(kernel, dilation) - size)


def transposed_size(
    size: int, low: int, high: int, kernel: int, stride: int, dilation: int, output_padding: int
) -> int:
    """Return how long the result of a transposed convolution is; 0 or less where nothing is."""
    return (
        (size - 1) * stride - low - high + dilated_size(kernel, dilation) + output_padding
    )  # fmt: skip


def first_reaching(i: int, low: int, kernel: int, stride: int, dilation: int) -> int:
    """Return the first output whose window reaches input `i` or a later one (never below 0)."""
    before = i + low - dilation * (kernel - 1)
    return 0 if before <= 0 else (before + stride - 1) // stride


def end_reaching(i: int, low: int, stride: int, outputs: int) -> int:
    """Return the end of the outputs whose window begins at or before input `i`."""
    return min((i + low) // stride + 1, outputs)


def reached_from(i: int, tap: int, stride: int, outputs: int) -> int:
    """Return the output whose window covers a padded coordinate with a tap, or -1."""
    shifted = i - tap
    if shifted < 0:
        return -1
    o = shifted if stride == 1 else shifted // stride
    return o if o < outputs and o * stride == shifted else -1


def source_index(i: int, size: int, mode: int) -> int:
    """Return which input index padded coordinate `i` reads (0 is the first input), or -1 for zero.

    Reflection and wrapping are periodic, so padding may be wider than the input.
    """
    if 0 <= i < size:
        return i
    if mode == ZEROS:
        return -1
    if mode == REPLICATE or size == 1:
        return 0 if i < 0 else size - 1
    if mode == CIRCULAR:
        return i % size
    if mode == SYMMETRIC:
        i %= 2 * size
        return i if i < size else 2 * size - 1 - i
    period = 2 * (size - 1)
    i %= period
    return i if i < size else period - i


def first_inside(shift: int, stride: int, outputs: int) -> int:
    """Return the first output o in ``[0, outputs]`` whose tap ``o * stride + shift`` is >= 0."""
    if shift >= 0:
        return 0
    return min(-shift if stride == 1 else (-shift + stride - 1) // stride, outputs)


def end_inside(shift: int, stride: int, size: int, outputs: int) -> int:
    """Return the end of the outputs whose tap ``o * stride + shift`` is below `size`."""
    left = size - shift
    if left <= 0:
        return 0
    # A division costs as much as copying a short row, so a stride of 1 goes without.
    return min(left if stride == 1 else (left + stride - 1) // stride, outputs)
