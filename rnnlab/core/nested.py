"""Nested dicts by dotted keys."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

from rnnlab.core.errors import UserError

Nested = Mapping[str, Any]  # values are of any type, or nested mappings


@runtime_checkable
class HasItems(Protocol):
    """A mapping, or a ConfigDict, which is no Mapping."""

    def __iter__(self) -> Iterator[str]: ...
    def items(self) -> Iterable[tuple[str, Any]]: ...


def flatten(nested: Nested, prefix: str = "") -> dict[str, Any]:
    """Return a nested dict as a flat one with dotted keys.

    >>> flatten({"cell": {"name": "gru"}, "seed": 0})
    {'cell.name': 'gru', 'seed': 0}
    """
    flat = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def with_overrides(nested: Nested, overrides: Nested) -> dict[str, Any]:
    """Return a copy of a nested dict with the values of dotted keys replaced.

    >>> with_overrides({"cell": {"name": "gru", "hidden_size": 8}}, {"cell.name": "rnn"})
    {'cell': {'name': 'rnn', 'hidden_size': 8}}
    """
    changed = dict(nested)
    for dotted, value in overrides.items():
        key, _, rest = dotted.partition(".")
        changed[key] = with_overrides(changed[key], {rest: value}) if rest else value
    return changed


def joined(*records: Mapping[str, Any]) -> dict[str, Any]:
    """Return one record of several, whose names all differ.

    Raises:
        UserError: a name that two of them have; one value would replace the other.

    >>> joined({"step": 1}, {"loss": 0.5})
    {'step': 1, 'loss': 0.5}
    """
    whole: dict[str, Any] = {}
    for record in records:
        for name in record:
            if name in whole:
                raise UserError(
                    f"{name!r} is set by the run: give your score, metric or result another name"
                )
        whole |= record
    return whole
