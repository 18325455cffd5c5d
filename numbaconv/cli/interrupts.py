"""Ctrl-C, and SIGTERM, that cannot get lost.

Python raises KeyboardInterrupt wherever it happens to be. In a callback from compiled code, such as
LLVM's while a kernel is loaded, or in a finaliser, it is printed and forgotten. So it is also
remembered, and raised again at the next place that asks.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator


class Terminated(KeyboardInterrupt):
    """SIGTERM: an interruption, too, with another exit status."""


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], None]]:
    """Yield a function that raises KeyboardInterrupt if Ctrl-C was pressed since the start.

    SIGTERM raises `Terminated` meanwhile, if nobody else handles it.
    """
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN  # as behind nohup
    if ignored or threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    pressed: type[KeyboardInterrupt] | None = None

    def note(number: int, frame: object) -> None:
        nonlocal pressed
        pressed = Terminated if number == signal.SIGTERM else KeyboardInterrupt
        raise pressed

    def check() -> None:
        if pressed:
            raise pressed

    before = {signal.SIGINT: signal.signal(signal.SIGINT, note)}
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        before[signal.SIGTERM] = signal.signal(signal.SIGTERM, note)
    try:
        yield check
        check()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
