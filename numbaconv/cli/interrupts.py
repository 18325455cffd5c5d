"""Ctrl-C, and SIGTERM, that cannot get lost.

Python raises KeyboardInterrupt wherever it happens to be. In a callback from compiled code, such as
LLVM's while a kernel is loaded, or in a finaliser, it is printed and forgotten. So it is also
remembered, and raised again at the next place that asks.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator


class Terminated(KeyboardInterrupt):
    """SIGTERM: an interruption, too, with another exit status."""


class Interrupts:
    """What signals have come; the first one raises where it comes, if it is not held back."""

    def __init__(self) -> None:
        self._pressed: type[KeyboardInterrupt] | None = None
        self.held = False

    def __call__(self) -> None:
        """Raise what has come since the start."""
        if self._pressed:
            raise self._pressed

    def note(self, number: int, frame: object) -> None:
        """Handle a signal."""
        first = self._pressed is None
        if first:
            self._pressed = Terminated if number == signal.SIGTERM else KeyboardInterrupt
        if first and not self.held:  # a second one shall not break into the cleaning up
            self()


@contextlib.contextmanager
def interruptible() -> Iterator[Interrupts]:
    """Yield what raises KeyboardInterrupt when it is called, if Ctrl-C was pressed since the start.

    SIGTERM raises `Terminated` meanwhile, if nobody else handles it. While its `held` is true,
    signals are only remembered.
    """
    interrupts = Interrupts()
    before = {}
    if threading.current_thread() is threading.main_thread():
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as behind nohup
            before[signal.SIGINT] = signal.signal(signal.SIGINT, interrupts.note)
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            before[signal.SIGTERM] = signal.signal(signal.SIGTERM, interrupts.note)
    try:
        yield interrupts
        interrupts()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
