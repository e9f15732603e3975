"""Ctrl-C and SIGTERM, deferred until a critical section is done."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Deferred:
    """The signal received so far, and the original handlers."""

    def __init__(self) -> None:
        self.handlers: dict[int, Callable[[int, FrameType | None], object]] = {}
        self.asked: tuple[int, FrameType | None] | None = None

    def take(self, number: int, frame: FrameType | None) -> None:
        """Record the first signal; pass a second one to its original handler at once."""
        if self.asked:
            self.handlers[number](number, frame)
        self.asked = number, frame

    def check(self) -> None:
        """Pass a received signal to its original handler, which may raise."""
        if self.asked:
            number, frame = self.asked
            self.handlers[number](number, frame)


@contextmanager
def deferred() -> Iterator[Deferred]:
    """Defer SIGINT and SIGTERM until :meth:`Deferred.check`, in the main thread only.

    A signal that is ignored, or that ends the process by default, is not deferred.
    """
    deferral = Deferred()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(number)
            if callable(handler):
                deferral.handlers[number] = handler
                signal.signal(number, deferral.take)
    try:
        yield deferral
    finally:
        for number, handler in deferral.handlers.items():
            signal.signal(number, handler)
