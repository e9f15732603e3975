"""The command line: ``rnnlab run | list | table | predict | export | keywords | report | …``.

A command is a function of the flags that it was given; it reads arguments and prints, and leaves
the work to the packages below. Nothing heavy is imported before a command needs it, so that
``--help`` and ``list`` answer at once.
"""

import errno
import re
import shlex
import sys
from collections.abc import Sequence

from rnnlab.cli import (
    advise,
    check,
    export,
    figure,
    new,
    predict,
    reports,
    reproduce,
    run,
    table,
    text,
    watch,
)
from rnnlab.cli.parsing import Commands, complain, wants_help
from rnnlab.core import signals, streams
from rnnlab.core.errors import NO_SPACE, UserError, unknown
from rnnlab.core.version import __version__

_RESUMABLE = ("run", "reproduce")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit status.

    0: done; 1: a verdict is unexpected or undecided under --strict, or the disk is full; 2: the
    command cannot be carried out as given; 130, 143 and 129: interrupted by Ctrl-C, by SIGTERM
    and by the end of the terminal; 141: nobody reads the output any more (``| head``).

    Args:
        argv: without the program's name; None: this process's own, which signals may then end.
    """
    streams.open_missing()
    handlers = dict.fromkeys(signals.ENDING, signals.interrupt)
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        with signals.owned() if argv is None else signals.watched(handlers):
            status = _main(args)
    except signals.Interrupted as stop:  # it came while the command ended
        status = _fail(_farewell(args), stop.status)
    streams.flush()
    return status


def _main(args: list[str]) -> int:
    try:
        return _run(args)
    except UserError as error:
        return _fail(str(error))
    except BrokenPipeError:
        if not streams.unread():
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
        interrupted = isinstance(stop, signals.Interrupted)
        return _fail(_farewell(args), stop.status if interrupted else 130)


def _run(args: list[str]) -> int:
    streams.replace_errors()
    known = commands()
    if not args or args[0] in ("--help", "-h", "-help") or args == ["help"]:
        print(known.parser.format_help(), end="", file=sys.stdout if args else sys.stderr)
        return 0 if args else 2
    if args[0] in ("--version", "-version"):
        print(f"rnnlab {__version__}")
        return 0
    if args[0] == "help":
        args = [*args[1:], "--help"]
    name, *rest = args
    if name not in known.parsers:
        return _fail(unknown("command", name, known.parsers, listing="rnnlab --help"))
    parser = known.parsers[name]
    signals.set_farewell(f"rnnlab: {_farewell(args)}")
    rest = _with_flag_files(rest)
    if wants_help(rest):
        keys = run.keys(parser, rest) if name == "run" else ""
        print(parser.format_help() + keys, end="")
        return 0
    options = parser.read(rest)
    status = options.command(options)
    sys.stdout.flush()
    return status


def _farewell(args: Sequence[str]) -> str:
    kept = f"; finished members are kept; resume with: {_command_line(args)}"
    return "interrupted" + kept * (bool(args) and args[0] in _RESUMABLE)


def commands() -> Commands:
    """Return every command with its parser."""
    found = Commands("A laboratory for recurrent networks in JAX.")
    for module in (
        run,
        new,
        check,
        predict,
        export,
        text,
        advise,
        reports,
        figure,
        watch,
        table,
        reproduce,
    ):
        module.add(found)
    return found


def _with_flag_files(args: Sequence[str]) -> list[str]:
    """Return the arguments with each --flagfile=FILE replaced by the flags in the file."""
    if not any(re.match(r"--?flagfile(=|$)", arg) for arg in args):
        return list(args)
    from absl import flags

    try:
        return flags.FlagValues().read_flags_from_files(args)
    except flags.Error as error:
        raise UserError(str(error)) from None


def _fail(message: str, status: int = 2) -> int:
    complain(message)
    if "rnnlab.training.distributed" in sys.modules:
        from rnnlab.training import distributed

        distributed.leave(status)
    return status


def _command_line(args: Sequence[str]) -> str:
    """Return the command that resumes: --rerun would throw away what has been done."""
    return shlex.join(["rnnlab", *(arg for arg in args if not re.match(r"--?rerun\b", arg))])
