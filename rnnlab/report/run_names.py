"""Names of several runs beside each other: by what differs in their configs."""

from collections.abc import Sequence

from rnnlab.report import blocks
from rnnlab.results.table import Value

_LONGEST = 40  # characters of a value in a name
_SWEEP = "sweep: "  # before the keys of axes


def run_names(
    differing: Sequence[tuple[str, Sequence[Value]]], directories: Sequence[str]
) -> list[str]:
    """Return a name per run: the values of the fewest keys that tell the runs apart.

    Runs that no key tells apart are named by their directories as well.

    Args:
        differing: (key, its value in each run) of what differs, from :func:`blocks.differing`.
        directories: a name of each run's directory, all different.

    >>> run_names([("cell.name", ["gru", "gru"]), ("cell.hidden_size", [8, 64])], ["a", "b"])
    ['cell.hidden_size=8', 'cell.hidden_size=64']
    >>> run_names([], ["a", "b"])
    ['a', 'b']
    """
    rows = [(key.removeprefix(_SWEEP), [_words(value) for value in v]) for key, v in differing]
    kept: list[int] = []
    apart = 1
    while apart < len(directories):
        left = [place for place in range(len(rows)) if place not in kept]
        best = max(left, key=lambda place: _kinds(rows, [*kept, place]), default=None)
        if best is None or _kinds(rows, [*kept, best]) == apart:
            break
        kept.append(best)
        apart = _kinds(rows, kept)
    names = [
        ", ".join(f"{rows[place][0]}={rows[place][1][run]}" for place in sorted(kept))
        for run in range(len(directories))
    ]
    return [
        name if name and names.count(name) == 1 else f"{name} ({path})" if name else path
        for name, path in zip(names, directories, strict=True)
    ]


def _words(value: Value) -> str:
    text = blocks.show(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _kinds(rows: Sequence[tuple[str, Sequence[str]]], places: Sequence[int]) -> int:
    """Return how many runs these keys tell apart."""
    return len(set(zip(*(rows[place][1] for place in places), strict=True)))
