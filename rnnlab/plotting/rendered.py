"""Renderings of several figures, by two processes where a command has the cores for it.

This process renders from the first figure on, a :mod:`rnnlab.plotting.worker` from the last one,
until they meet. Any figure that the worker does not render is rendered here.
"""

import contextlib
import pickle
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from threading import Thread

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.figure import Figure

from rnnlab.core import child, host, signals
from rnnlab.plotting import rendering, worker
from rnnlab.plotting.rendering import Rendering
from rnnlab.plotting.worker import Reply, Settings

_MODULE = "rnnlab.plotting.worker"


@contextlib.contextmanager
def beside() -> Iterator[child.Child | None]:
    """Start the worker, in time for the figures to be there when it is ready.

    Yields:
        its process, for :func:`in_order`; None: no command, one core, or it cannot be started.
    """
    process = _start() if host.cores() > 1 and signals.in_command() else None
    try:
        yield process
    finally:
        if process is not None:
            child.end(process)  # it keeps nothing


@contextlib.contextmanager
def in_order(
    figures: Sequence[Figure], process: child.Child | None
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


def _arguments() -> list[str]:
    """Return what Python is started with for the worker."""
    return ["-m", _MODULE]


def _start() -> child.Child | None:
    """Start the worker; None where no process can be started."""
    with contextlib.suppress(OSError):
        # it opens no windows
        return child.start(_arguments(), {"MPLBACKEND": "agg"}, stderr=subprocess.DEVNULL)
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
    process: child.Child,
    settings: bytes | None,
    messages: Sequence[bytes | None],
    replies: "Sequence[Future[Reply]]",
) -> None:
    """Give the worker a figure at a time, from the last one on, until all are taken."""
    to, back = child.stdin(process), child.stdout(process)
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
