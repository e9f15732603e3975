"""Reading files once per run: many members, and many methods of a task, ask for the same data.

What was read stays as it was while a run goes on, whatever becomes of the file; the next run that
is planned in the same process reads a changed file again.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, is_dataclass
from functools import lru_cache, wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_LONGEST = 4096  # of a path; a longer string is no path
_seen: dict[str, tuple[int, int] | None] = {}  # (time of change, size) as of the last plan


def read_once(maxsize: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Cache a function that reads the files which its arguments name.

    Args:
        maxsize: results that are kept.
    Returns:
        a decorator; arguments must be hashable: strings, numbers, tuples and dataclasses of these.
    """

    def decorate(read: Callable[P, R]) -> Callable[P, R]:
        kept: Any = lru_cache(maxsize)(lambda stamps, *args, **options: read(*args, **options))

        @wraps(read)
        def call(*args: P.args, **options: P.kwargs) -> R:
            named = _strings((*args, *options.values()))
            return kept(tuple(map(_known_stamp, named)), *args, **options)

        call.__dict__["cache_clear"] = kept.cache_clear
        return call

    return decorate


def refresh() -> None:
    """Let files that have changed since be read again."""
    _seen.update({text: _stamp(text) for text in _seen})


def _known_stamp(text: str) -> tuple[int, int] | None:
    if text not in _seen:
        _seen[text] = _stamp(text)
    return _seen[text]


def _stamp(text: str) -> tuple[int, int] | None:
    try:
        found = os.stat(os.path.expanduser(text))
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size


def _strings(values: Iterable[object]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            if value and len(value) <= _LONGEST:
                yield value
        elif isinstance(value, tuple):
            yield from _strings(value)
        elif is_dataclass(value) and not isinstance(value, type):
            yield from _strings(getattr(value, f.name) for f in fields(value))
