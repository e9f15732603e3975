"""Wording that error messages share, and the errors that have several names."""

import difflib
import errno
from collections.abc import Iterable

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
