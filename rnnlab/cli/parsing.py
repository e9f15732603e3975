"""How the commands read their arguments: argparse, with the spellings that absl accepts.

``--dry_run``, ``--dry-run`` and ``-dry_run`` name one flag, a value follows "=" or a space, and
``--strict=false`` or ``--nostrict`` turns a switch off. ``run`` passes ``--config.KEY`` and
``--sweep.KEY``, whose dashes are underscores too, on to absl's config_flags. Every error is a
UserError of one line.
"""

import argparse
import contextlib
import math
import os
import re
import shutil
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from rnnlab.core.errors import UserError, nearest, unknown

_FLAG = re.compile(r"--?([A-Za-z][^=\s]*)(?:=(.*))?", re.DOTALL)
_DOTTED = re.compile(r"(no_?)?((?:config|sweep|compare|tune)\..*)")
_SWITCH_VALUES = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}

_MOST_COLUMNS = 100

Command = Callable[[argparse.Namespace], int]
Value = TypeVar("Value")


def whole(text: str) -> int:
    """Return the whole number of a flag's value.

    Raises:
        argparse.ArgumentTypeError: any other text.

    >>> whole("-1")
    -1
    """
    return _read(int, text, "a whole number")


def real(text: str) -> float:
    """Return the finite number of a flag's value.

    Raises:
        argparse.ArgumentTypeError: any other text.

    >>> real("0.5")
    0.5
    """
    number = _read(float, text, "a number")
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"expected a finite number, got {text!r}")
    return number


def count(text: str) -> int:
    """Return the whole number of a flag's value, 0 or more.

    Raises:
        argparse.ArgumentTypeError: any other text.

    >>> count("8")
    8
    """
    return _at_least(0, text)


def positive(text: str) -> int:
    """Return the whole number of a flag's value, 1 or more.

    Raises:
        argparse.ArgumentTypeError: any other text.

    >>> positive("8")
    8
    """
    return _at_least(1, text)


def _at_least(least: int, text: str) -> int:
    number = whole(text)
    if number < least:
        raise argparse.ArgumentTypeError(
            f"expected a whole number of at least {least}, got {text!r}"
        )
    return number


def seed(text: str) -> int:
    """Return the seed of a flag's value: see :func:`rnnlab.core.validate.seed`.

    Raises:
        argparse.ArgumentTypeError: any other text, or a number out of range.

    >>> seed("8")
    8
    """
    from rnnlab.core import validate  # it imports NumPy, which --help does without

    try:
        return validate.seed("a seed", whole(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def path(text: str) -> str:
    """Return the path of a flag's value, with "~" as the home directory.

    A shell leaves the "~" of ``--workdir=~/runs`` as it is.

    Raises:
        argparse.ArgumentTypeError: an empty path.

    >>> path("runs/mine")
    'runs/mine'
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("expected a path, got an empty one")
    return os.path.expanduser(text)


def _read(convert: Callable[[str], Value], text: str, kind: str) -> Value:
    try:
        return convert(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected {kind}, got {text!r}") from None


def names(text: str) -> list[str]:
    """Return the names of a comma-separated list.

    >>> names("adding_problem, chrono")
    ['adding_problem', 'chrono']
    """
    return [name.strip() for name in text.split(",") if name.strip()]


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help that begins with the command and shows ``--flag=VALUE``."""

    def __init__(self, prog: str) -> None:
        columns = min(_MOST_COLUMNS, shutil.get_terminal_size().columns)
        super().__init__(prog, max_help_position=32, width=columns)

    def add_usage(self, usage, actions, groups, prefix=None) -> None:
        super().add_usage(usage, actions, groups, "" if prefix is None else prefix)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        return f"{action.option_strings[0]}={action.metavar}"

    def _format_action(self, action: argparse.Action) -> str:
        text = super()._format_action(action)
        return text.partition("\n")[2] if action.nargs == argparse.PARSER else text


class Parser(argparse.ArgumentParser):
    """A command's flags and its help.

    Args:
        dotted: whether ``--config.KEY``, ``--sweep.KEY``, ``--compare.KEY`` and ``--tune.KEY`` are
            collected, unread, in ``dotted``, and unknown flags, each with the nearest of the
            command's, in ``unknown``.
        settings: as ``argparse.ArgumentParser`` takes them.
    """

    def __init__(self, *, dotted: bool = False, **settings: Any) -> None:
        super().__init__(formatter_class=_Help, add_help=False, allow_abbrev=False, **settings)
        self._dotted = dotted
        self._arguments = self.add_argument_group("arguments")
        self._group = self.add_argument_group("options")
        self._values: dict[str, str] = {}  # flag: metavar
        self._once: list[str] = []
        self._switches: list[str] = []
        self._shown: list[str] = []
        self._most_positionals = 0.0
        self._unknown: dict[str, list[str]] = {}

    def section(self, title: str) -> None:
        """Put the flags that follow under a title of their own."""
        self._group = self.add_argument_group(title)

    def switch(self, flag: str, help: str, default: bool | None = False) -> None:
        """Add a flag that is on or off; ``default`` unless given.

        The help shows --flag, or --no_flag where it is on by default, and means what is shown.
        """
        for name, action in ((flag, "store_true"), (f"no_{flag}", "store_false")):
            shown = (action == "store_false") == (default is True)
            self._group.add_argument(
                f"--{name}",
                action=action,
                default=default,
                dest=flag,
                help=help if shown else argparse.SUPPRESS,
            )
        self._switches.append(flag)

    def value(
        self,
        flag: str,
        metavar: str,
        help: str,
        *,
        default: object = None,
        type: Callable[[str], object] = str,
        once: bool = False,
        repeated: bool = False,
    ) -> None:
        """Add a flag with a value, of which the last one given counts.

        Args:
            flag: its name, with underscores and without dashes.
            metavar: the value's name in the help.
            help: its meaning; ``%(default)s`` stands for the default.
            default: the value where the flag is not given.
            type: reads the value.
            once: whether to refuse the flag when it is given again.
            repeated: whether all values given are collected in a list.
        """
        action = "append" if repeated else "store"
        self._group.add_argument(
            f"--{flag}", metavar=metavar, help=help, default=default, type=type, action=action
        )
        self._values[flag] = metavar
        if once:
            self._once.append(flag)

    def shown(self, flag: str, metavar: str, help: str) -> None:
        """Describe flags of a pattern, which something else reads."""
        self._group.add_argument(f"--{flag}", metavar=metavar, help=help)
        self._shown.append(flag)

    def positionals(self, dest: str, metavar: str, help: str, most: float = math.inf) -> None:
        """Take arguments that are no flags, any number of them or at most so many."""
        self._arguments.add_argument(dest, nargs="*", metavar=metavar, help=help, type=path)
        self._most_positionals = most

    def read(self, args: Sequence[str]) -> argparse.Namespace:
        """Return the values of the flags; those that were not given have their defaults.

        Raises:
            UserError: an unknown flag, a value of another type, an argument that is no flag where
                none is expected.
        """
        self._unknown = {}
        flags, dotted, positionals = self._sort(args)
        self._check_positionals(positionals)
        options = self.parse_args([*flags, "--", *positionals] if positionals else flags)
        options.dotted = dotted
        options.unknown = self._unknown
        return options

    @property
    def flags(self) -> list[str]:
        """All flags, with their dashes."""
        return [f"--{flag}" for flag in (*self._values, *self._switches, *self._shown)]

    @property
    def listing(self) -> str:
        """The command that lists the flags."""
        return f"{self.prog} --help"

    def _check_positionals(self, positionals: Sequence[str]) -> None:
        for text in positionals:
            name = text.partition("=")[0].replace("-", "_")
            flag = name in self._switches or ("=" in text and name in self._values)
            key = self._dotted and _DOTTED.match(text)
            if (flag or key) and not os.path.exists(text):
                raise UserError(f"unexpected argument {text!r}; did you mean '--{text}'?")
        if len(positionals) > self._most_positionals:
            raise UserError(
                f"unexpected argument {positionals[int(self._most_positionals)]!r}: a value "
                "follows =, as in --config=FILE"
            )

    def _sort(self, args: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
        """Return (flags in argparse's spelling, dotted flags with their values, the rest)."""
        flags: list[str] = []
        dotted: list[str] = []
        positionals: list[str] = []
        queue = deque(args)
        while queue:
            arg = queue.popleft()
            match = _FLAG.fullmatch(arg)
            if arg == "--":
                positionals += queue
                break
            if match is None:
                positionals.append(arg)
                continue
            name, value = match.groups()
            flag = name.replace("-", "_")
            if self._dotted and (key := _DOTTED.fullmatch(flag)):
                negated = "no" * bool(key[1])
                dotted.append(f"--{negated}{key[2]}" + ("" if value is None else f"={value}"))
                if value is None and queue and not _FLAG.fullmatch(queue[0]):
                    dotted.append(queue.popleft())
                continue
            if flag in self._values:
                given = [option.partition("=")[0] for option in flags]
                if flag in self._once and f"--{flag}" in given:
                    raise UserError(f"--{flag} is given twice")
                if value is None and not queue:
                    raise UserError(f"--{flag} needs a value: --{flag}={self._values[flag]}")
                flags.append(f"--{flag}={queue.popleft() if value is None else value}")
            elif switched := self._switched(flag, value):
                flags.append(switched)
            elif value is None and queue and re.match(r"[\d.(\[]", queue[0]):
                queue.popleft()  # the value of an unknown flag, no experiment
        return flags, dotted, positionals

    def _switched(self, flag: str, value: str | None) -> str | None:
        """Return a switch in argparse's spelling; None for an unknown flag that is kept."""
        positive = re.sub(r"^no_?", "", flag)
        if flag in self._switches:
            on = True if value is None else _SWITCH_VALUES.get(value.lower())
            if on is None:
                raise UserError(f"--{flag}: expected true or false, got {value!r}")
            return f"--{flag}" if on else f"--no_{flag}"
        if positive in self._switches and value is None:
            return f"--no_{positive}"
        if self._dotted:  # it may mean a key of a config
            names = [name.removeprefix("--") for name in self.flags]
            self._unknown[flag] = [f"--{name}" for name in nearest(flag, names)]
            return None
        raise UserError(unknown("flag", f"--{flag}", self.flags, listing=self.listing))

    def error(self, message: str) -> NoReturn:
        """Raise argparse's message as a UserError."""
        raise UserError(message.removeprefix("argument "))


class Commands:
    """The commands of ``rnnlab``, as argparse's sub-commands."""

    def __init__(self, description: str) -> None:
        self.parser = argparse.ArgumentParser(
            "rnnlab",
            usage="rnnlab COMMAND [options]",
            description=description,
            epilog="`rnnlab COMMAND --help` shows the options of a command.",
            formatter_class=_Help,
            add_help=False,
        )
        self.parser.add_argument("--version", action="store_true", help="print the version")
        self._commands = self.parser.add_subparsers(
            title="commands", metavar="COMMAND [options]", prog="rnnlab", parser_class=Parser
        )

    def add(
        self,
        name: str,
        command: Command,
        *,
        usage: str,
        summary: str,
        description: str,
        epilog: str | None = None,
        dotted: bool = False,
    ) -> Parser:
        """Add a command and return its parser, to which the caller adds flags.

        Args:
            name: on the command line.
            command: takes the values of the flags and returns the exit status.
            usage: the arguments after the name in the first line of the help.
            summary: its line in ``rnnlab --help``.
            description, epilog: text above and below the flags.
            dotted: see :class:`Parser`.
        """
        parser = self._commands.add_parser(
            name,
            help=summary,
            usage=f"rnnlab {name} {usage}".strip(),
            description=description,
            epilog=epilog,
            dotted=dotted,
        )
        parser.set_defaults(command=command)
        return parser

    @property
    def parsers(self) -> Mapping[str, Parser]:
        """Every command's parser by the command's name."""
        return self._commands.choices


def wants_help(args: Sequence[str]) -> bool:
    """Whether --help is among the arguments.

    >>> wants_help(["DIR", "-h"]), wants_help(["--text=-h"])
    (True, False)
    """
    return any(re.fullmatch(r"-h|--?help(full|short)?", arg) for arg in args)


@contextlib.contextmanager
def refusing_in_one_line() -> Iterator[None]:
    """Turn errors about values, files and missing packages into a UserError."""
    try:
        yield
    except (ValueError, ImportError, FileNotFoundError) as error:
        raise UserError(str(error)) from None


def cache_switch(parser: Parser) -> None:
    """Add --no_cache to a command that computes: see :mod:`rnnlab.core.compilation_cache`."""
    parser.switch(
        "cache",
        "compile every program; otherwise compiled programs are kept in ~/.cache/rnnlab, and the "
        "next command loads them",
        default=True,
    )


def complain(message: str) -> None:
    """Print a message on stderr, in one line that says where it comes from."""
    with contextlib.suppress(OSError):  # nobody reads it: the exit status says it too
        print(f"rnnlab: {message}", file=sys.stderr)


def check_text_or_file(command: str, options: argparse.Namespace) -> None:
    """Check that exactly one of --text and --file was given.

    Raises:
        UserError: none of them, or both.
    """
    if (options.text is None) == (options.file is None):
        raise UserError(f"{command} needs --text=TEXT or --file=FILE, one of them")
