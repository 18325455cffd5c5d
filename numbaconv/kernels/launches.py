"""How much one launch does: Python sees Ctrl-C between launches, so none takes long."""

from collections.abc import Iterator

#: Taps of pools, summed or compared, that take a thread some tenths of a second at most.
MOST_TAPS = 1 << 28
#: Elements that are moved, some nanoseconds each at worst.
MOST_MOVED = 1 << 27


def ranges(tasks: int, work: int, most: int) -> Iterator[tuple[int, int]]:
    """Yield (begin, end) of consecutive tasks that are at most so much work, but one at least.

    All but the last are as many.
    """
    step = max(1, tasks * most // max(work, 1))
    step = max(1, -(-tasks // max(1, -(-tasks // step))))
    for begin in range(0, tasks, step):
        yield begin, min(begin + step, tasks)
