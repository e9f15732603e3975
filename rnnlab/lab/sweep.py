"""A sweep: many members from one config.

A sweep is a dict of axes, multiplied out in their order, or a list of such dicts, whose members
follow one another (identical ones once). An axis is a dotted key with its values; a tuple of keys
takes tuples of values, side by side:

    {"cell.name": ["rnn", "lstm"], "seed": range(5)}                        # 2 x 5 members
    {("init.w_x", "init.w_h"): [("xavier_uniform", "orthogonal"), ("normal", "normal")]}
"""

import ast
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from rnnlab.core.errors import UserError, unknown
from rnnlab.core.nested import flatten

Sweep = Mapping[Any, Any] | Sequence[Mapping[Any, Any]]
Part = dict[tuple[str, ...], list[tuple[Any, ...]]]


def flat_config(config: ConfigDict) -> dict[str, Any]:
    """The config's values by dotted key."""
    return flatten(config.to_dict())


def check_key(flat: Mapping[str, Any], key: Any, what: str = "config key") -> None:
    """Refuse a key that the config does not have.

    Raises:
        UserError: naming the nearest key, or the keys of the group that was named.
    """
    if key in flat:
        return
    group = [other for other in flat if other.startswith(f"{key}.")]
    if group:
        raise UserError(f"{what} {key!r} is a group; its keys: {', '.join(group)}")
    raise UserError(unknown(what, key, flat))


def coerce(key: str, value: Any, like: Any) -> Any:
    """The value as a Python value of the same type as the one that the config has.

    An int is taken for a float, a list for a tuple; NumPy scalars become Python's. Where the
    config has None, any type will do.

    Raises:
        UserError: for any other type.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, list):
        value = tuple(value)
    if isinstance(value, tuple):
        kinds = {type(item) for item in like} if isinstance(like, tuple) else set()
        first = like[0] if len(kinds) == 1 else None
        value = tuple(coerce(f"{key}[{i}]", item, first) for i, item in enumerate(value))
    if type(like) is float and type(value) is int:
        return float(value)
    allowed = (bool, int, float, str, tuple, type(None)) if like is None else (type(like),)
    if type(value) not in allowed:
        wanted = f"{type(like).__name__}, as {like!r} is" if like is not None else "a plain value"
        raise UserError(f"{key}: expected {wanted}, got {value!r:.80} ({type(value).__name__})")
    return value


def _axis(flat: Mapping[str, Any], key: Any, values: Any) -> tuple[tuple[str, ...], list[Any]]:
    keys = key if isinstance(key, tuple) else (key,)
    for one in keys:
        check_key(flat, one, "sweep key")
    name = ",".join(keys)
    if isinstance(values, str | bytes | Mapping) or not hasattr(values, "__iter__"):
        raise UserError(f"sweep axis {name}: expected a list of values, got {values!r}")
    rows = []
    for value in values:
        row = value if isinstance(key, tuple) else (value,)
        if not isinstance(row, tuple | list) or len(row) != len(keys):
            raise UserError(f"sweep axis {name}: expected {len(keys)} values side by side, {row!r}")
        rows.append(tuple(coerce(k, v, flat[k]) for k, v in zip(keys, row, strict=True)))
    if not rows:
        raise UserError(f"sweep axis {name}: no values")
    return keys, rows


def parts(config: ConfigDict, sweep: Sweep) -> list[Part]:
    """The sweep as a list of parts, every key and value checked against the config.

    Args:
        config: the base config.
        sweep: a dict of axes, or a list of such dicts.

    Returns:
        a dict for each part, from the axis' keys (a tuple) to its rows of values.

    Raises:
        UserError: for an unknown key, a value of another type than the config's, a key that
            two axes of a part set, or an axis without values.
    """
    flat = flat_config(config)
    listed = [sweep] if isinstance(sweep, Mapping) else sweep
    if not isinstance(listed, Sequence) or not all(isinstance(part, Mapping) for part in listed):
        raise UserError(f"a sweep is a dict of axes or a list of such dicts, got {sweep!r:.80}")
    if not listed:
        raise UserError("a sweep is a dict of axes or a list of such dicts, got an empty list")
    checked = []
    for part in listed:
        axes: Part = {}
        for key, values in part.items():
            keys, rows = _axis(flat, key, values)
            for one in keys:
                if any(one in other for other in axes):
                    raise UserError(f"sweep key {one!r} is set by two axes of one part")
            axes[keys] = rows
        checked.append(axes)
    return checked


def expand(config: ConfigDict, sweep: Sweep) -> list[dict[str, Any]]:
    """The members of a sweep: what each sets, by dotted key.

    The first axis varies slowest. Members with the same config count once.

    Raises:
        UserError: as :func:`parts` does.

    >>> base = ConfigDict({"cell": {"name": "rnn"}, "seed": 0})
    >>> for member in expand(base, {"cell.name": ["rnn", "gru"], "seed": range(2)}):
    ...     print(member)
    {'cell.name': 'rnn', 'seed': 0}
    {'cell.name': 'rnn', 'seed': 1}
    {'cell.name': 'gru', 'seed': 0}
    {'cell.name': 'gru', 'seed': 1}
    """
    flat = flat_config(config)
    members = {}
    for part in parts(config, sweep):
        for rows in itertools.product(*part.values()):
            overrides = {
                key: value
                for keys, row in zip(part, rows, strict=True)
                for key, value in zip(keys, row, strict=True)
            }
            whole = flat | overrides
            members.setdefault(repr([whole[key] for key in flat]), overrides)
    return list(members.values())


def apply(config: ConfigDict, overrides: Mapping[str, Any]) -> ConfigDict:
    """A locked copy of the config with the overrides in it.

    Field references are resolved first: an override changes its own key and no other.

    Raises:
        UserError: for a key that the config does not have, or a value of another type.
    """
    flat = flat_config(config)
    for key in overrides:
        check_key(flat, key)
    member = config.copy_and_resolve_references()
    with member.unlocked():
        member.update_from_flattened_dict(
            {key: coerce(key, value, flat[key]) for key, value in overrides.items()}
        )
    return member.lock()


def as_json(listed: Sequence[Part]) -> list[dict[str, Any]]:
    """The parts as config.json holds them: a zipped axis has its keys joined by a comma."""
    return [
        {
            ",".join(keys): [row if len(keys) > 1 else row[0] for row in rows]
            for keys, rows in part.items()
        }
        for part in listed
    ]


def replace_axes(
    config: ConfigDict, sweep: Sweep, axes: Mapping[str, Sequence[Any]]
) -> list[dict[Any, Any]]:
    """The sweep with other values on some axes.

    Of the values given, a part of a union keeps those that its own axis lists, and takes those
    that no part lists; a part left without any is dropped. So ``cell.name=lstm`` runs the members
    that are LSTMs, and never a cell in a part that was made for another. An axis that no part has
    is added to every part, as its last axis.

    Raises:
        UserError: when the key is zipped with others, so that replacing it would unpair them.
    """
    listed: list[dict[Any, Any]] = [dict(part) for part in parts(config, sweep)]
    for key, values in axes.items():
        for part in listed:
            for keys in part:
                if key in keys and len(keys) > 1:
                    raise UserError(
                        f"sweep key {key!r} is zipped with others ({', '.join(keys)}): "
                        "change the pairs in the experiment's get_sweep"
                    )
        rows = [(value,) for value in values]
        known = [row for part in listed for row in part.get((key,), ())]
        if not any((key,) in part for part in listed):
            listed = [part | {(key,): rows} for part in listed]
            continue
        narrowed = []
        for part in listed:
            if (key,) in part:
                kept = [row for row in rows if row in part[(key,)] or row not in known]
                if not kept:
                    continue
                part[(key,)] = kept
            narrowed.append(part)
        listed = narrowed
    return listed


def parse_values(config: ConfigDict, key: str, text: str) -> list[Any]:
    """The values of ``--sweep.KEY=v1,v2``, by the type of the config's value at the key.

    A comma inside brackets or quotes does not split.

    Raises:
        UserError: for an unknown key, and for a value that cannot be read as that type.

    >>> base = ConfigDict({"init": {"w_h": "normal"}, "seed": 0})
    >>> parse_values(base, "init.w_h", "orthogonal(gain=0.9),normal(std=0.1)")
    ['orthogonal(gain=0.9)', 'normal(std=0.1)']
    """
    flat = flat_config(config)
    check_key(flat, key, "sweep key")
    return [_parse(key, word, flat[key]) for word in _split(key, text)]


def _split(key: str, text: str) -> list[str]:
    words, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        else:
            depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and not depth and not quote:
            words.append("")
        else:
            words[-1] += letter
    if depth or quote:
        raise UserError(f"--sweep.{key}={text}: a bracket or quote is not closed")
    words = [word.strip() for word in words]
    if not all(words):
        raise UserError(f"--sweep.{key}={text}: a value is missing (give v1,v2,...)")
    return words


def _parse(key: str, word: str, like: Any) -> Any:
    if isinstance(like, str):
        return word[1:-1] if len(word) > 1 and word[0] == word[-1] and word[0] in "'\"" else word
    if isinstance(like, bool):
        if word.lower() in ("true", "1", "false", "0"):
            return word.lower() in ("true", "1")
    elif isinstance(like, int | float):
        try:
            return type(like)(word)
        except ValueError:
            pass
    else:
        try:
            return coerce(key, ast.literal_eval(word), like)
        except (ValueError, SyntaxError) as error:
            if like is None:
                return word  # the config does not say what type it wants
            if isinstance(error, UserError):
                raise
    raise UserError(f"--sweep.{key}: expected {type(like).__name__}, as {like!r} is, got {word!r}")
