"""Nested dicts by dotted keys."""

from collections.abc import Mapping
from typing import Any

Nested = Mapping[str, Any]  # values are of any type, or nested mappings


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
