"""A process that renders figures for another one: ``python -m rnnlab.plotting.worker``.

It reads messages from stdin until that ends: first :data:`Settings`, answered by :data:`READY` on
stdout, then figures, each answered by a :data:`Reply`. A message is a pickle after its length.
"""

import contextlib
import io
import pickle
import signal
import struct
import sys
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontEntry

    from rnnlab.plotting.rendering import Rendering

# plain tuples: a class of this module has another name in the other process
Settings = tuple[dict[Any, Any], "list[FontEntry]"]  # rcParams but for the backend; fonts
Reply = tuple["Rendering | None", str]  # None: not rendered; the lines printed meanwhile

READY = b"ready"
_LENGTH = struct.Struct("!Q")


def write(stream: BinaryIO, message: bytes) -> None:
    """Write a message to a pipe.

    Raises:
        OSError: the other process has ended.
    """
    stream.write(_LENGTH.pack(len(message)))
    stream.write(message)
    stream.flush()


def read(stream: BinaryIO) -> bytes:
    """Wait for a message from a pipe, and return it.

    Raises:
        EOFError: the other process has ended.

    >>> pipe = io.BytesIO()
    >>> write(pipe, b"a figure")
    >>> pipe.seek(0), read(pipe)
    (0, b'a figure')
    """
    length = stream.read(_LENGTH.size)
    if len(length) == _LENGTH.size:
        message = stream.read(*_LENGTH.unpack(length))
        if len(message) == _LENGTH.unpack(length)[0]:
            return message
    raise EOFError("the other process has ended")


def main() -> None:
    """Render figures until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: the other process decides
    from rnnlab.plotting.rendering import render  # takes long, during which Ctrl-C may come

    source, sink = sys.stdin.buffer, sys.stdout.buffer
    with contextlib.suppress(EOFError, BrokenPipeError):
        _set(pickle.loads(read(source)))
        write(sink, READY)
        while True:
            write(sink, pickle.dumps(_reply(read(source), render), pickle.HIGHEST_PROTOCOL))


def _set(settings: Settings) -> None:
    """Draw as the other process does."""
    import matplotlib as mpl
    from matplotlib import font_manager

    mpl.rcParams.update(settings[0])
    font_manager.fontManager.ttflist = settings[1]


def _reply(figure: bytes, render: "Callable[[Figure], Rendering]") -> Reply:
    """Render a pickled figure; what it raises, it raises in the other process again."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            return render(pickle.loads(figure)), said.getvalue()
    except Exception:
        return None, ""


if __name__ == "__main__":
    main()
