"""Nested dicts by dotted keys."""

from collections.abc import Mapping
from typing import Any


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested dict with dotted keys.

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


def with_overrides(nested: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the nested dict in which the dotted keys have other values.

    >>> with_overrides({"cell": {"name": "gru", "hidden_size": 8}}, {"cell.name": "rnn"})
    {'cell': {'name': 'rnn', 'hidden_size': 8}}
    """
    changed = dict(nested)
    for dotted, value in overrides.items():
        key, _, rest = dotted.partition(".")
        changed[key] = with_overrides(changed[key], {rest: value}) if rest else value
    return changed
