"""Names that users' files register: one set of rules for cells, schemes and tasks."""

import contextlib
import inspect
import re
from collections.abc import Callable, Container, Iterator
from typing import Any, NamedTuple, TypeVar

from rnnlab.core.errors import UserError

T = TypeVar("T")

CELL, SCHEME, TASK = "cell", "scheme", "task"  # kinds of what is registered

_WORD = r"[A-Za-z_]\w*"
_NAMES = {  # by kind: what a flag, a comma-separated sweep and a scheme's call can hold
    CELL: (rf"{_WORD}(-\w+)*", 'letters, digits, "_" and "-", as mgu or rnn-tanh are'),
    SCHEME: (
        rf"(?!(?i:nan|inf|infinity)$){_WORD}",
        'letters, digits and "_" and is no number, as scaled_identity is',
    ),
    TASK: (rf"{_WORD}(-\w+)*", 'letters, digits, "_" and "-", as copy_memory is'),
}
_PLAIN = (bool, int, float, str, tuple, type(None))  # what a config can hold


class Registered(NamedTuple):
    """A name that a file registered."""

    kind: str
    name: str
    file: str


class _Execution(NamedTuple):
    file: str
    names: list[Registered]  # of all files of one load
    begun: int  # how many of them are of files before this one


_EXECUTIONS: list[_Execution] = []


@contextlib.contextmanager
def recorded(file: str, names: list[Registered]) -> Iterator[None]:
    """Append to ``names`` what is registered meanwhile.

    Args:
        file: the file that is executed meanwhile.
        names: what the files before it have registered; one name twice raises an error.
    """
    _EXECUTIONS.append(_Execution(file, names, len(names)))
    try:
        yield
    finally:
        _EXECUTIONS.pop()


def register(kind: str, table: dict[str, T], shipped: Container[str], name: str, value: T) -> None:
    """Add a value to a table of names.

    Outside a file that is executed, as in a notebook, a registered name may be given again.

    Args:
        kind: "cell", "scheme" or "task".
        table: values by name. shipped: the names in it that come with rnnlab.
        name: as configs and flags write it. value: what it names.
    Raises:
        UserError: a name that a flag cannot hold, that comes with rnnlab, or that two files of
            one command register.
    """
    check_name(kind, name)
    if name in shipped:
        raise UserError(f"{kind} {name!r} comes with rnnlab: register yours under another name")
    if _EXECUTIONS:
        _record(_EXECUTIONS[-1], kind, name)
    table[name] = value


def check_name(kind: str, name: str) -> None:
    """Check that a name can stand in flags, in comma-separated sweeps and in a scheme's call.

    Raises:
        UserError: it cannot.
    """
    pattern, allowed = _NAMES[kind]
    if not isinstance(name, str) or not re.fullmatch(pattern, name, re.ASCII):
        raise UserError(f"the name of a {kind} is made of {allowed}; got {name!r:.80}")


def _record(execution: _Execution, kind: str, name: str) -> None:
    for place, other in enumerate(execution.names):
        if (other.kind, other.name) != (kind, name):
            continue
        again = place < execution.begun  # by a file before this one, or by this one before
        if again and other.file == execution.file:
            return
        by = f"{other.file} and {execution.file}" if again else f"{execution.file}, twice"
        raise UserError(f"{kind} {name!r} is registered by {by}: rename one")
    execution.names.append(Registered(kind, name, execution.file))


def options_of(function: Callable[..., object], given: Container[str] = ()) -> dict[str, object]:
    """Return the options of a class or function with their defaults; ``...`` where there is none.

    Args:
        given: names of the arguments that are no options.
    """
    return {
        p.name: ... if p.default is p.empty else p.default
        for p in inspect.signature(function).parameters.values()
        if p.name not in given and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    }


def plain_options(function: Callable[..., object], given: Container[str] = ()) -> dict[str, object]:
    """Return those of :func:`options_of` that a config can hold: numbers, texts, tuples, None."""
    options = options_of(function, given)
    return {name: default for name, default in options.items() if type(default) in _PLAIN}


def check_options(
    kind: str,
    name: str,
    function: Callable[..., object],
    given: Container[str] = (),
    taken: Container[str] = (),
    off: Container[str] = (),
) -> None:
    """Check that every option of what is registered has a default and a name of its own.

    Args:
        kind, name, function, given: as :func:`register` and :func:`options_of`.
        taken: keys that a config's group has anyway.
        off: keys of it that may be options, but are off unless the config sets them.
    Raises:
        UserError: no class or function; an option without a default; one whose name is taken, or
            that is on by default.
    """
    if not callable(function):
        raise UserError(
            f"{kind} {name!r} must be a {'function' if kind == SCHEME else 'class'}, "
            f"got {function!r:.80}"
        )
    for option, default in options_of(function, given).items():
        if default is ...:
            raise UserError(f"{kind} {name!r}: its option {option} needs a default value")
        if option in taken:
            raise UserError(
                f"{kind} {name!r}: its option {option} has the name of a key that every {kind} has "
                "in a config: rename it"
            )
        if option in off and default:
            raise UserError(
                f"{kind} {name!r}: its option {option} must be off by default (None, 0 or False), "
                f"as in a config; got {default!r:.80}"
            )


def decorator(
    given: Callable[..., Any] | str | None,
    add: Callable[[str, Any], None],
    default: Callable[[Any], str],
) -> Any:
    """Return what a decorator with an optional name returns.

    Args:
        given: the name, None, or the decorated object itself where the decorator has no brackets.
        add: registers an object under a name.
        default: the name of an object that is given none.
    """

    def decorate(value: T) -> T:
        add(given if isinstance(given, str) else default(value), value)
        return value

    return decorate if given is None or isinstance(given, str) else decorate(given)


def snake_case(name: str) -> str:
    """Return a class' name as configs write it.

    >>> snake_case("MGU"), snake_case("DelayedSum"), snake_case("IndRNN")
    ('mgu', 'delayed_sum', 'ind_rnn')
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
