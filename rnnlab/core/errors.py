"""Error types, and the wording that messages share."""

import difflib
import errno
from collections.abc import Iterable, Mapping


class UserError(ValueError):
    """A request that cannot be carried out; the message is written for the user."""


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


NO_SPACE = (errno.ENOSPC, errno.EDQUOT)  # errno of a full disk


def unknown(what: str, name: object, allowed: Iterable[str]) -> str:
    """Return the message for an unknown name, with the allowed ones and the nearest of them.

    >>> unknown("cell", "lstn", ["lstm", "gru"])
    "unknown cell 'lstn'; did you mean 'lstm'? (allowed: lstm, gru)"
    """
    allowed = list(allowed)
    near = difflib.get_close_matches(str(name), allowed, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown {what} {name!r}{hint} (allowed: {', '.join(allowed) or 'none'})"
