"""Ctrl-C that cannot get lost.

Python raises KeyboardInterrupt wherever it happens to be. In a callback from compiled code, such as
LLVM's while a kernel is loaded, or in a finaliser, it is printed and forgotten. So it is also
remembered, and raised again at the next place that asks.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], None]]:
    """Yield a function that raises KeyboardInterrupt if Ctrl-C was pressed since the start."""
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN  # as behind nohup
    if ignored or threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    pressed = False

    def note(number: int, frame: object) -> None:
        nonlocal pressed
        pressed = True
        raise KeyboardInterrupt

    def check() -> None:
        if pressed:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, note)
    try:
        yield check
        check()
    finally:
        signal.signal(signal.SIGINT, before)
