"""Error types, and the wording that messages share."""

import errno
import string
from collections.abc import Container, Iterable, Mapping, Sequence


class UserError(ValueError):
    """A request that cannot be carried out; the message is written for the user."""


class UnknownName(ValueError):
    """A name that is not among the allowed ones; something that is not loaded may register it.

    Args:
        message: for the user.
        allowed: the names that exist.
    """

    def __init__(self, message: str, allowed: Iterable[str] = ()):
        super().__init__(message)
        self.allowed = tuple(allowed)


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


CONFIG_HELP = "rnnlab run --config=FILE --help"  # lists a config's keys with their values

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)  # errno of a full disk


_LISTED = 6  # names that a message lists in full
SUGGESTED = 3  # names that a message suggests
_COMPARED = 200  # names that difflib compares; it takes about 4 µs for each
_LONGEST = 200  # characters of a name that difflib compares
_LONGEST_EDITED = 40
_LETTERS = string.ascii_lowercase + string.digits + "-_"


def unknown(
    what: str,
    name: object,
    allowed: Iterable[str],
    *,
    listing: str = "",
    first: Sequence[str] = (),
) -> str:
    """Return the message for an unknown name, with the three nearest of the allowed ones.

    Up to six allowed names are listed. Of more, the message says how to list them where none is
    near.

    Args:
        what: the kind of the name, as in "cell".
        name: the unknown one.
        allowed: the names that exist.
        listing: the command that lists them, for more than six.
        first: allowed names to suggest before the nearest, such as what a synonym stands for.

    >>> unknown("cell", "lstn", ["lstm", "gru"])
    "unknown cell 'lstn'; did you mean 'lstm'? (allowed: lstm, gru)"
    >>> unknown("key", "x", map(str, range(40)), listing="rnnlab run --config=NAME --help")
    "unknown key 'x' (`rnnlab run --config=NAME --help` lists all 40)"
    """
    allowed = list(allowed)
    near = list(dict.fromkeys([*first, *nearest(str(name), allowed)]))[:SUGGESTED]
    message = f"unknown {what} {shown(name)}{did_you_mean(near)}"
    if len(allowed) > _LISTED and near:
        return message
    if len(allowed) > _LISTED and listing:
        return f"{message} (`{listing}` lists all {len(allowed):,})"
    return f"{message} (allowed: {listed(allowed)})"


def listed(names: Sequence[str]) -> str:
    """Return names for a message: all of up to six, the first six of more, "none" of none.

    >>> listed(["a", "b"]), listed([str(n) for n in range(100)])
    ('a, b', '0, 1, 2, 3, 4, 5 and 94 more')
    """
    more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    return (", ".join(names[:_LISTED]) or "none") + more


def did_you_mean(names: Sequence[str]) -> str:
    """Return the part of a message that suggests names, the first three; empty without any.

    >>> did_you_mean(["gru"]), did_you_mean(["gru", "lstm"])
    ("; did you mean 'gru'?", "; did you mean 'gru' or 'lstm'?")
    """
    words = [repr(name) for name in names[:SUGGESTED]]
    if not words:
        return ""
    *others, last = words
    return f"; did you mean {', '.join(others)}{' or ' * bool(others)}{last}?"


def nearest(name: str, allowed: Sequence[str], count: int = SUGGESTED) -> list[str]:
    """Return the allowed names most like a misspelled one, the nearest first, at most ``count``.

    Among more than 200 names, those one edit away come first (see :func:`one_edit_away`), then
    the most similar of the 200 that share most pairs of letters with the name: 50,000 names take
    less than 0.1 s.

    >>> nearest("lstn", ["lstm", "gru"])
    ['lstm']
    """
    if len(name) > _LONGEST:
        return []
    import difflib  # not before there is an error: every command imports this file

    edited: list[str] = []
    if len(allowed) > _COMPARED:
        edited = _most_alike(name, one_edit_away(name, set(allowed)))
        if not edited:
            allowed = _sharing_pairs(name, allowed)
    found = edited or difflib.get_close_matches(name, allowed, count)
    if not found:  # another case only
        found = [other for other in allowed if other.lower() == name.lower()]
    return found[:count]


def _most_alike(name: str, candidates: Iterable[str]) -> list[str]:
    """Return the candidates, the most similar first."""
    import difflib

    matcher = difflib.SequenceMatcher(b=name)

    def ratio(other: str) -> float:
        matcher.set_seq1(other)
        return matcher.ratio()

    return sorted(candidates, key=ratio, reverse=True)


def _sharing_pairs(name: str, allowed: Iterable[str]) -> list[str]:
    """Return the names of similar length that share most pairs of letters with ``name``."""
    pairs = {name[i : i + 2] for i in range(len(name) - 1)}
    scores: list[tuple[int, str]] = []
    for other in allowed:
        if 2 * abs(len(other) - len(name)) <= len(name) and len(other) <= _LONGEST:
            score = 0
            for pair in pairs:
                score += pair in other
            if score:
                scores.append((score, other))
    scores.sort(key=lambda item: item[0], reverse=True)
    return [other for _, other in scores[:_COMPARED]]


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
