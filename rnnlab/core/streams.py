"""Standard streams that are closed, or that nobody reads any more."""

import contextlib
import io
import os
import select
import sys
from pathlib import Path


def open_missing() -> None:
    """Open the null device in place of standard streams that were closed (``>&-``).

    Otherwise Python has None for such a stream, and the next file that is opened takes its
    number: what a library writes to stderr would then go into that file.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it takes this number
        if getattr(sys, name) is None:
            mode = "w" if number else "r"
            null = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115
            setattr(sys, name, null)


def replace_errors() -> None:
    """Print characters that an output cannot encode as question marks (∂ on a cp1252 pipe)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def unread() -> bool:
    """Return whether nobody reads stdout or stderr; what is printed there is then discarded."""
    found = False
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # it is no file
            number = stream.fileno()
            poll = select.poll()
            poll.register(number, 0)
            if any(event & select.POLLERR for _, event in poll.poll(0)):
                _discard(number)
                found = True
    return found


def flush() -> None:
    """Write what is left to standard streams; discard it where that fails.

    Python would complain when it exits, and change the exit status to 120.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _discard(stream.fileno())


def _discard(number: int) -> None:
    """Let an output's number lead to the null device."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, number)
    os.close(null)
