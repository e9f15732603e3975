"""Renderings of several figures, by two processes where a command has the cores for it.

This process renders from the first figure on, a :mod:`rnnlab.plotting.worker` from the last one,
until they meet. Any figure that the worker does not render is rendered here.
"""

import contextlib
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from threading import Thread
from typing import BinaryIO, cast

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.figure import Figure

from rnnlab.core import host, signals
from rnnlab.plotting import rendering, worker
from rnnlab.plotting.rendering import Rendering
from rnnlab.plotting.worker import Reply, Settings

_MODULE = "rnnlab.plotting.worker"


@contextlib.contextmanager
def beside() -> "Iterator[subprocess.Popen[bytes] | None]":
    """Start the worker, in time for the figures to be there when it is ready.

    Yields:
        its process, for :func:`in_order`; None: no command, one core, or it cannot be started.
    """
    process = _start() if host.cores() > 1 and signals.in_command() else None
    try:
        yield process
    finally:
        if process is not None:
            process.kill()  # it keeps nothing
            process.wait()
            with contextlib.suppress(BrokenPipeError):
                _pipe(process.stdin).close()
            _pipe(process.stdout).close()


@contextlib.contextmanager
def in_order(
    figures: Sequence[Figure], process: "subprocess.Popen[bytes] | None"
) -> Iterator[Iterator[Rendering]]:
    """Render figures as :func:`rnnlab.plotting.rendering.render` does.

    Args:
        figures: each may be cleared as soon as it is rendered.
        process: the worker's; None: this process renders alone.
    Yields:
        The renderings, in the order of the figures.
    """
    if process is None or len(figures) < 2:
        yield map(rendering.render, figures)
        return
    replies = [Future[Reply]() for _ in figures]
    # pickled before any is drawn: only this thread touches figures
    messages = [None, *map(_pickled, figures[1:])]
    exchange = Thread(
        target=_exchange, args=(process, _pickled(_settings()), messages, replies), daemon=True
    )
    exchange.start()
    try:
        yield map(_render, figures, replies)
    finally:
        process.kill()  # the thread does not wait for it any more
        exchange.join()


def _command() -> list[str]:
    """Return the worker's command."""
    return [sys.executable, "-P", *(f"-W{option}" for option in sys.warnoptions), "-m", _MODULE]


def _start() -> "subprocess.Popen[bytes] | None":
    """Start the worker; None where no process can be started."""
    path = os.pathsep.join(entry for entry in sys.path if entry)  # imports as this process does
    with contextlib.suppress(OSError):
        return subprocess.Popen(
            _command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": path, "MPLBACKEND": "agg"},  # it opens no windows
        )
    return None


def _settings() -> Settings:
    rc = {key: mpl.rcParams[key] for key in mpl.rcParams if not key.startswith("backend")}
    return rc, font_manager.fontManager.ttflist


def _pickled(thing: object) -> bytes | None:
    """Return a figure or the settings as a message; None for one with a lambda, for example."""
    try:
        return pickle.dumps(thing, pickle.HIGHEST_PROTOCOL)
    except Exception:  # whatever a method of an artist raises
        return None


def _exchange(
    process: "subprocess.Popen[bytes]",
    settings: bytes | None,
    messages: Sequence[bytes | None],
    replies: "Sequence[Future[Reply]]",
) -> None:
    """Give the worker a figure at a time, from the last one on, until all are taken."""
    to, back = _pipe(process.stdin), _pipe(process.stdout)
    if settings is None:
        return
    with contextlib.suppress(Exception):  # it has ended, or writes what cannot be read
        worker.write(to, settings)
        worker.read(back)  # until it is ready this process may take any figure
        for message, reply in zip(reversed(messages), reversed(replies), strict=True):
            if message is None:
                continue
            if not reply.set_running_or_notify_cancel():  # the other end has come here
                return
            answer: Reply = None, ""
            try:
                worker.write(to, message)
                answer = pickle.loads(worker.read(back))
            finally:
                reply.set_result(answer)


def _render(figure: Figure, reply: "Future[Reply]") -> Rendering:
    """Render a figure, or wait for its rendering where the worker has taken it."""
    if not reply.cancel():
        drawn, said = reply.result()
        if drawn is not None:
            sys.stderr.write(said)
            return drawn
    return rendering.render(figure)


def _pipe(pipe: object) -> BinaryIO:
    """Return a pipe of the worker, which has both."""
    return cast(BinaryIO, pipe)
