"""Error types, and the wording that messages share."""

import difflib
import errno
import string
from collections.abc import Container, Iterable, Mapping, Sequence


class UserError(ValueError):
    """A request that cannot be carried out; the message is written for the user."""


class UnknownName(ValueError):
    """A name that is not among the allowed ones; something that is not loaded may register it."""


class UnknownKey(KeyError):
    """A KeyError whose message prints without quotes around it."""

    def __str__(self) -> str:
        return str(self.args[0])


class Undecided(Exception):
    """A claim cannot be decided: the table lacks the members that it needs.

    Args:
        message: the missing members.
        criteria: the selection that found none, as in ``{"cell.name": "lstm"}``.
    """

    def __init__(self, message: str, criteria: Mapping[str, object] | None = None):
        super().__init__(message)
        self.criteria = dict(criteria or {})


class Pooled(Undecided):
    """Members differ in an axis that is not named: one number of all of them would pool it.

    Args:
        axes: the distinct values of each such config key, in order.
    """

    def __init__(self, axes: Mapping[str, Sequence[object]]):
        self.axes = {key: list(values) for key, values in axes.items()}
        listed = " and ".join(
            f"{key} ({', '.join(map(str, values))})" for key, values in self.axes.items()
        )
        key, values = next(iter(self.axes.items()))
        super().__init__(
            f"members differ in {listed}, which is not named here: select one value "
            f"(--sweep.{key}={values[0]}), group by it, or pool it on purpose with over({key!r})"
        )


NO_SPACE = (errno.ENOSPC, errno.EDQUOT)  # errno of a full disk


_COMPARED = 200  # names that difflib compares; it takes about 4 µs for each
_LISTED = 100  # names in a message
_LONGEST = 200  # characters of a name that difflib compares
_LONGEST_EDITED = 40
_LETTERS = string.ascii_lowercase + string.digits + "-_"


def unknown(what: str, name: object, allowed: Iterable[str]) -> str:
    """Return the message for an unknown name, with the allowed ones and the nearest of them.

    Of many allowed names the first are listed, and the nearest is one edit away (see
    :func:`one_edit_away`), so that the message costs little however many there are.

    >>> unknown("cell", "lstn", ["lstm", "gru"])
    "unknown cell 'lstn'; did you mean 'lstm'? (allowed: lstm, gru)"
    """
    allowed = list(allowed)
    listed = ", ".join(allowed[:_LISTED]) or "none"
    more = len(allowed) - _LISTED
    rest = f" and {more:,} more" if more > 0 else ""
    hint = did_you_mean(nearest(str(name), allowed))
    return f"unknown {what} {shown(name)}{hint} (allowed: {listed}{rest})"


def did_you_mean(name: str | None) -> str:
    """Return the part of a message that suggests a name; empty for None.

    >>> did_you_mean("gru")
    "; did you mean 'gru'?"
    """
    return "" if name is None else f"; did you mean {name!r}?"


def nearest(name: str, allowed: Sequence[str]) -> str | None:
    """Return the allowed name most like a misspelled one, or None.

    >>> nearest("lstn", ["lstm", "gru"])
    'lstm'
    """
    if len(allowed) > _COMPARED:
        return next(iter(one_edit_away(name, set(allowed))), None)
    if len(name) > _LONGEST:
        return None
    return next(iter(difflib.get_close_matches(name, allowed, 1)), None)


def one_edit_away(name: str, known: Container[str]) -> list[str]:
    """Return the known names that are one edit, or another case, away from a name.

    An edit deletes, swaps with its neighbor, replaces or inserts a character: lower-case ASCII
    letters, digits, "-", "_" and the name's own. The time depends on the name's length only, 0.2 ms
    for a word of 8 letters; difflib over a vocabulary of 50,000 words takes 0.2 s.

    >>> one_edit_away("kings", {"king", "queen", "kinds"})
    ['king', 'kinds']
    """
    return [candidate for candidate in edits(name) if candidate in known]


def edits(name: str) -> list[str]:
    """Return the distinct names of :func:`one_edit_away`; none of a name of over 40 characters."""
    if len(name) > _LONGEST_EDITED:
        return []
    cuts = [(name[:i], name[i:]) for i in range(len(name) + 1)]
    letters = "".join(dict.fromkeys(name + _LETTERS))
    candidates = [name.lower(), name.upper(), name.capitalize()]
    candidates += [a + b[1:] for a, b in cuts if b]
    candidates += [a + b[1] + b[0] + b[2:] for a, b in cuts if len(b) > 1]
    candidates += [a + c + b[1:] for a, b in cuts if b for c in letters]
    candidates += [a + c + b for a, b in cuts for c in letters]
    return [candidate for candidate in dict.fromkeys(candidates) if candidate != name]


def shown(value: object, most: int = 200) -> str:
    """Return ``repr(value)``, cut to ``most`` characters.

    >>> shown("abc" * 10, 8)
    "'abcabca…"
    """
    text = repr(value)
    return text if len(text) <= most else text[:most] + "…"


def install(extra: str) -> str:
    """Return the command that installs one of the optional dependencies of pyproject.toml.

    >>> install("bert")
    "pip install -e '.[bert]' in rnnlab's folder"
    """
    return f"pip install -e '.[{extra}]' in rnnlab's folder"
