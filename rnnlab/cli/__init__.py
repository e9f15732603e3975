"""The command line: ``rnnlab run | list | predict | keywords | spell | report | …``.

A command is a function of the flags that it was given; it reads arguments and prints, and leaves
the work to the packages below. Nothing heavy is imported before a command needs it, so that
``--help`` and ``list`` answer at once.
"""

import contextlib
import errno
import io
import os
import re
import select
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence

from rnnlab.cli import predict, reports, reproduce, run, text
from rnnlab.cli.parsing import Commands, complain, wants_help
from rnnlab.core.errors import NO_SPACE, UserError, unknown
from rnnlab.core.version import __version__

_RESUMABLE = ("run", "reproduce")


class _Terminated(KeyboardInterrupt):
    """SIGTERM, handled like Ctrl-C."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit status.

    0: done; 1: a verdict is unexpected or undecided under --strict, or the disk is full; 2: the
    command cannot be carried out as given; 130 and 143: interrupted by Ctrl-C and by SIGTERM; 141:
    nobody reads the output any more (``| head``).
    """
    args = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # ∂ on a cp1252 pipe
    commands = _commands()
    if not args or args[0] in ("--help", "-h", "-help", "help"):
        print(commands.parser.format_help(), end="", file=sys.stdout if args else sys.stderr)
        return 0 if args else 2
    if args[0] in ("--version", "-version"):
        print(f"rnnlab {__version__}")
        return 0
    name, *rest = args
    if name not in commands.parsers:
        return _fail(unknown("command", name, commands.parsers))
    parser = commands.parsers[name]
    try:
        with _sigterm():
            rest = _with_flag_files(rest)
            if wants_help(rest):
                keys = run.keys(rest) if name == "run" else ""
                print(parser.format_help() + keys, end="")
                return 0
            options = parser.read(rest)
            status = options.command(options)
            sys.stdout.flush()
            return status
    except UserError as error:
        return _fail(str(error))
    except BrokenPipeError:
        if not _unread():
            raise
        return 141
    except OSError as error:
        if error.errno in NO_SPACE:
            return _fail(
                "no space left on the disk; finished members are kept; free some space and "
                f"resume with: {_command_line(args)}",
                1,
            )
        if error.errno in (errno.EACCES, errno.EROFS):
            return _fail(f"{error.strerror}: {error.filename}")
        raise
    except KeyboardInterrupt as stop:
        kept = f"; finished members are kept; resume with: {_command_line(args)}"
        status = 143 if isinstance(stop, _Terminated) else 130
        return _fail("interrupted" + kept * (name in _RESUMABLE), status)


def _commands() -> Commands:
    commands = Commands("A laboratory for recurrent networks in JAX.")
    for module in (run, predict, text, reports, reproduce):
        module.add(commands)
    return commands


def _with_flag_files(args: Sequence[str]) -> list[str]:
    """Return the arguments with each --flagfile=FILE replaced by the flags in the file."""
    if not any(re.match(r"--?flagfile(=|$)", arg) for arg in args):
        return list(args)
    from absl import flags

    try:
        return flags.FlagValues().read_flags_from_files(args)
    except flags.Error as error:
        raise UserError(str(error)) from None


def _unread() -> bool:
    """Whether nobody reads the output any more; the rest of it is then discarded."""
    output = sys.stdout.fileno()
    poll = select.poll()
    poll.register(output, 0)
    if not any(event & select.POLLERR for _, event in poll.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), output)  # or Python complains again when it exits
    return True


def _fail(message: str, status: int = 2) -> int:
    complain(message)
    if "rnnlab.training.distributed" in sys.modules:
        from rnnlab.training import distributed

        distributed.leave(status)
    return status


def _command_line(args: Sequence[str]) -> str:
    return shlex.join(["rnnlab", *args])


@contextlib.contextmanager
def _sigterm() -> Iterator[None]:
    """Let SIGTERM stop a run as Ctrl-C does; only the main thread can install a handler."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
