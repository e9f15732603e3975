"""Signals that end a run: remembered when they come, obeyed where the run can stop.

Python runs a signal's handler wherever the main thread is, also inside a callback of the garbage
collector, where an exception is printed and dropped: the run would go on as if nothing had been
asked. So a signal is remembered, and :func:`check` raises: between members, between calls of a
compiled program and where a run logs.

A process that is a command (:func:`owned`) also listens in a thread, which hears signals while the
main thread compiles or computes. It ends the process where nothing waits for :func:`check`
(:func:`deferred`), and on a second signal at once. In a library (:func:`watched`), a signal that
nothing defers goes to its own handler at once, as without rnnlab.
"""

import contextlib
import math
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FrameType

Handler = Callable[[int, FrameType | None], object]

ENDING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
_SECONDS_TO_SAY = 1.0  # before a command says that it has not ended yet
_STOPPING = "stops where it can resume (interrupt again to end at once)"
_SECONDS_TO_UNWIND = 10.0  # from the exception of check() to the end of the process


class Interrupted(KeyboardInterrupt):
    """A signal asked the command to end.

    Args:
        number: the signal's.
    Attributes:
        status: the exit status that users expect, 128 + number.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number


def interrupt(number: int, frame: FrameType | None) -> None:
    """Raise :class:`Interrupted`: the handler of a command."""
    raise Interrupted(number)


class _Watch:
    """The signal received so far, and the handlers that obey signals.

    Args:
        handlers: by the signal's number.
    """

    def __init__(self, handlers: Mapping[int, Handler]) -> None:
        self.handlers = handlers
        self.before: dict[int, signal._HANDLER] = {}
        self.asked: tuple[int, FrameType | None] | None = None
        self.patience = 0.0  # seconds for which a signal waits for check()

    def take(self, number: int, frame: FrameType | None) -> None:
        """Remember a signal; a second one, and one that nothing defers, is obeyed at once."""
        again = self.asked is not None
        self.asked = number, frame
        if again or self.patience < math.inf:
            self.check()

    def check(self) -> None:
        """Obey the signal; it stays if its handler raises, for the exception may be dropped."""
        if self.asked is not None:
            number, frame = self.asked
            self.handlers[number](number, frame)
            self.asked = None


class _Command(_Watch):
    """The watch of a process of ours, with a thread that hears signals and may end the process."""

    def __init__(self, end: Callable[[int], object]) -> None:
        super().__init__(dict.fromkeys(ENDING, interrupt))
        self.farewell = "rnnlab: interrupted"
        self.ends = math.inf  # the time by which a raised signal must have ended the process
        self._end = end
        self._ear, self._mouth = socket.socketpair()
        self._mouth.setblocking(False)

    def take(self, number: int, frame: FrameType | None) -> None:
        self.asked = self.asked or (number, frame)  # and nothing is raised: the thread heard it

    def check(self) -> None:
        if self.asked is not None:
            self.ends = min(self.ends, time.monotonic() + _SECONDS_TO_UNWIND)
            super().check()

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Listen in a thread for the signals that have handlers."""
        before = signal.set_wakeup_fd(self._mouth.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._listen, daemon=True).start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            self._mouth.close()  # which ends the thread

    def _listen(self) -> None:
        first, since, said = 0, math.inf, False
        while True:
            if select.select([self._ear], [], [], 0.05 if first else None)[0]:
                numbers = self._ear.recv(64)
                if not numbers:
                    self._ear.close()
                    return
                for number in numbers:
                    # a handler that a member installed is its own affair
                    if signal.getsignal(number) != self.take:
                        continue
                    if first:
                        self._end(128 + number)
                    first, since = number, time.monotonic()
                    self.asked = self.asked or (number, None)
            now, obeyed = time.monotonic(), self.ends < math.inf
            if first and now >= (self.ends if obeyed else since + self.patience):
                if not obeyed:
                    self._say(self.farewell)
                self._end(128 + first)
            elif first and not obeyed and not said and now >= since + _SECONDS_TO_SAY:
                self._say(f"rnnlab: interrupted; {_STOPPING}")
                said = True

    def _say(self, words: str) -> None:
        with contextlib.suppress(OSError):
            # not by sys.stderr, which the main thread may hold; below the bar on a terminal
            before = "\n" if os.isatty(2) else ""
            os.write(2, f"{before}{words}\n".encode())


_watch: _Watch | None = None  # of the main thread


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _here() -> _Watch | None:
    return _watch if _in_main_thread() else None


@contextlib.contextmanager
def owned(end: Callable[[int], object] = os._exit) -> Iterator[None]:
    """Let signals end this process, which is a command of ours: see the module.

    A signal that is ignored stays so. When the command is over, signals end the process by
    default, also while Python tidies up.

    Args:
        end: ends the process with an exit status.
    Raises:
        Interrupted: for a signal that came while the command ended.
    """
    if _watch is not None or not _in_main_thread():
        yield
        return
    command = _Command(end)
    with command.listening(), _installed(command, ENDING):
        yield


@contextlib.contextmanager
def watched(handlers: Mapping[int, Handler] | None = None) -> Iterator[None]:
    """Remember signals, so that :func:`check` obeys those that were deferred or dropped.

    In the main thread only; within another watch that one counts.

    Args:
        handlers: by the signal's number; None: the handlers that are installed. A signal that is
            ignored, or has no handler, is left alone.
    """
    if _watch is not None or not _in_main_thread():
        yield
        return
    if handlers is None:
        installed = {number: signal.getsignal(number) for number in ENDING}
        handlers = {n: handler for n, handler in installed.items() if callable(handler)}
    with _installed(_Watch(handlers), handlers):
        yield


@contextlib.contextmanager
def _installed(watch: _Watch, numbers: Iterable[int]) -> Iterator[None]:
    """Watch these signals, except those that are ignored or handled outside of Python."""
    global _watch
    before = {number: signal.getsignal(number) for number in numbers}
    watch.before = {n: h for n, h in before.items() if h not in (signal.SIG_IGN, None)}
    _watch = watch
    try:
        for number in watch.before:
            signal.signal(number, watch.take)
        yield
        watch.check()
    finally:
        for number, handler in watch.before.items():
            signal.signal(number, signal.SIG_DFL if isinstance(watch, _Command) else handler)
        _watch = None


def check() -> None:
    """Obey a signal that has come: raise, in the main thread, if its handler does."""
    watch = _here()
    if watch is not None:
        watch.check()


def asked() -> bool:
    """Return whether a signal waits for :func:`check`."""
    watch = _here()
    return watch is not None and watch.asked is not None


def obeyed() -> None:
    """Count the signal that has come as obeyed, for a command that it ends as it should end.

    The thread that listens may hear the signal later than the handler: it is not raised again.
    """
    watch = _here()
    if watch is not None and watch.asked is not None:
        number, _ = watch.asked
        watch.handlers = {**watch.handlers, number: lambda *_: None}
        watch.asked = None


@contextlib.contextmanager
def deferred(seconds: float = math.inf) -> Iterator[None]:
    """Let signals wait for :func:`check`, or for the end of this block.

    Args:
        seconds: a command waits at most so long, then it ends where it is. Nothing can end a
            library's caller, so a signal with a limit is not deferred there.
    """
    watch = _here()
    if watch is None:
        yield
        return
    before, watch.patience = watch.patience, max(seconds, watch.patience)
    try:
        yield
        if before < math.inf:
            watch.check()
    finally:
        watch.patience = before


def in_command() -> bool:
    """Return whether the caller is the main thread of an rnnlab command.

    Elsewhere a caller may have set JAX's options for its own thread only, which new threads would
    not see.
    """
    return isinstance(_here(), _Command)


def set_farewell(words: str) -> None:
    """Set the line that a command says when a signal ends it where it is."""
    if isinstance(_watch, _Command):
        _watch.farewell = words


# ---- forked processes --------------------------------------------------------------------------
# multiprocessing ends the workers of a pool by SIGTERM, perhaps as soon as they are born

_forking = threading.local()  # .mask: the signals that the forking thread blocked before


def _before_fork() -> None:
    _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING if _watch else ())


def _after_fork() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _forking.mask)


def _after_fork_in_child() -> None:
    """Restore the handlers of before, then take the signals that have come since."""
    global _watch
    if _watch is not None:
        if isinstance(_watch, _Command):
            signal.set_wakeup_fd(-1)
        for number, handler in _watch.before.items():
            signal.signal(number, handler)
        _watch = None
    _after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child
    )
