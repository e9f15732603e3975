"""Ctrl-C and SIGTERM, put off until what must not be torn apart is done."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Deferred:
    """Which signal has come, and what its own handler was."""

    def __init__(self) -> None:
        self.handlers: dict[int, Any] = {}
        self.asked: tuple[int, FrameType | None] | None = None

    def take(self, number: int, frame: FrameType | None) -> None:
        """Remember the signal; one that comes again is not put off."""
        if self.asked:
            self.handlers[number](number, frame)
        self.asked = number, frame

    def check(self) -> None:
        """Hand a signal that has come to its own handler, which may raise."""
        if self.asked:
            number, frame = self.asked
            self.handlers[number](number, frame)


@contextmanager
def deferred() -> Iterator[Deferred]:
    """Put SIGINT and SIGTERM off until :meth:`Deferred.check`, in the main thread alone.

    A signal that is ignored, or that would end the process at once, is left as it is.
    """
    found = Deferred()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(number)
            if callable(handler):
                found.handlers[number] = handler
                signal.signal(number, found.take)
    try:
        yield found
    finally:
        for number, handler in found.handlers.items():
            signal.signal(number, handler)
