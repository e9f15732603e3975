"""Errors, and the wording that their messages share."""

import difflib
import errno
from collections.abc import Iterable, Mapping
from typing import Any


class UserError(ValueError):
    """What was asked for cannot be done; the message is for the person who asked."""


class UnknownKey(KeyError):
    """A KeyError whose message prints as it was written, without quotes around it."""

    def __str__(self) -> str:
        return str(self.args[0])


class Undecided(Exception):
    """A claim cannot be decided from this table: the members it needs are not in it.

    Args:
        message: what is missing.
        criteria: what was selected, as in ``{"cell.name": "lstm"}``.
    """

    def __init__(self, message: str, criteria: Mapping[str, Any] | None = None):
        super().__init__(message)
        self.criteria = dict(criteria or {})


NO_SPACE = (errno.ENOSPC, errno.EDQUOT)  # the numbers of a full disk


def unknown(what: str, name: object, allowed: Iterable[str]) -> str:
    """The message for a name that is none of the allowed ones, the nearest suggested.

    >>> unknown("cell", "lstn", ["lstm", "gru"])
    "unknown cell 'lstn'; did you mean 'lstm'? (allowed: lstm, gru)"
    """
    allowed = list(allowed)
    near = difflib.get_close_matches(str(name), allowed, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown {what} {name!r}{hint} (allowed: {', '.join(allowed) or 'none'})"
