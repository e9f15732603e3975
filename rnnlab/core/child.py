"""Processes of this Python that read messages from stdin and answer on stdout."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import BinaryIO, cast

Child = subprocess.Popen[bytes]


def search_path() -> str:
    """Return PYTHONPATH for a process that imports as this one does."""
    return os.pathsep.join(entry for entry in sys.path if entry)


def start(arguments: Sequence[str], env: Mapping[str, str], **options: object) -> Child:
    """Start a Python, with its stdin and stdout as pipes.

    Args:
        arguments: of Python; ``-P`` and the warning options of this process come before them.
        env: variables beside those of this process.
        options: others of :class:`subprocess.Popen`.
    Raises:
        OSError: no process can be started.
    """
    warnings = [f"-W{option}" for option in sys.warnoptions]
    return subprocess.Popen(
        [sys.executable, "-P", *warnings, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": search_path()} | dict(env),
        **options,  # type: ignore[call-overload]
    )


def end(process: Child) -> None:
    """Kill a process, wait for its end, and close its pipes."""
    process.kill()
    process.wait()
    with contextlib.suppress(BrokenPipeError):  # for what it has not read
        stdin(process).close()
    stdout(process).close()


def stdin(process: Child) -> BinaryIO:
    """Return the pipe that a process reads from."""
    return cast(BinaryIO, process.stdin)


def stdout(process: Child) -> BinaryIO:
    """Return the pipe that a process writes to."""
    return cast(BinaryIO, process.stdout)
