"""A sweep: many members from one config.

A sweep is a dict of axes, whose product it is, or a list of such dicts, whose members follow one
another (identical members once). An axis is a dotted key with its values; a tuple of keys takes
tuples of values, one value per key:

    {"cell.name": ["rnn", "lstm"], "seed": range(5)}                        # 2 x 5 members
    {("init.w_x", "init.w_h"): [("xavier_uniform", "orthogonal"), ("normal", "normal")]}
"""

import ast
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from rnnlab.core.errors import UserError
from rnnlab.core.nested import flatten
from rnnlab.lab.key_names import check_key

Value = Any  # of a config: bool, int, float, str, None or a tuple of these
Flat = Mapping[str, Value]  # a config's values by dotted key
Key = str | tuple[str, ...]  # of an axis
Sweep = Mapping[Any, Any] | Sequence[Mapping[Any, Any]]  # as users write it, checked by parts()
Part = dict[tuple[str, ...], Sequence[tuple[Value, ...]]]


class Only(tuple[Value, ...]):
    """Values of an axis whose part of a sweep is made for them: ``--sweep`` gives it no others.

    ``{"cell.name": Only(["lstm"]), "init.forget_bias": ["0.0", "3.0"]}`` keeps its forget biases to
    the LSTM, whatever cells are asked for.
    """


class Beside(Only):
    """As :class:`Only`, but other parts take these values too when they are asked for."""


def flat_config(config: ConfigDict) -> dict[str, Value]:
    """Return the config's values by dotted key."""
    return flatten(config.to_dict())


def coerce(key: str, value: object, like: Value) -> Value:
    """Return the value as a Python value of the type that the config has.

    An int is converted to a float, a list to a tuple, a NumPy scalar to Python's. Where the config
    has None, any type is allowed.

    Args:
        key: where the value belongs, for the message.
        value: the value to convert. like: the config's value.
    Raises:
        UserError: any other type.
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
        expected = f"{type(like).__name__}, as {like!r} is" if like is not None else "a plain value"
        raise UserError(f"{key}: expected {expected}, got {value!r:.80} ({type(value).__name__})")
    return value


def _axis(
    flat: Flat, key: Key, values: object
) -> tuple[tuple[str, ...], Sequence[tuple[Value, ...]]]:
    keys = key if isinstance(key, tuple) else (key,)
    for dotted in keys:
        check_key(flat, dotted, "sweep key")
    name = ",".join(keys)
    if len(set(keys)) < len(keys):
        raise UserError(f"sweep axis {name} names a key twice: one value would hide the other")
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise UserError(f"sweep axis {name}: expected a list of values, got {values!r}")
    rows = []
    for value in values:
        row = value if isinstance(key, tuple) else (value,)
        if not isinstance(row, tuple | list) or len(row) != len(keys):
            raise UserError(f"sweep axis {name}: expected {len(keys)} values side by side, {row!r}")
        rows.append(tuple(coerce(k, v, flat[k]) for k, v in zip(keys, row, strict=True)))
    if not rows:
        raise UserError(f"sweep axis {name}: no values")
    return keys, type(values)(rows) if isinstance(values, Only) else rows


def parts(config: ConfigDict, sweep: Sweep) -> list[Part]:
    """Return the sweep as a list of parts, every key and value checked against the config.

    Args:
        config: the base config.
        sweep: a dict of axes, or a list of such dicts.

    Returns:
        a dict for each part, from an axis's keys (a tuple) to its rows of values.

    Raises:
        UserError: an unknown key, a value of another type than the config's, a key that two axes
            of a part set, or an axis without values.
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
            for dotted in keys:
                if any(dotted in earlier for earlier in axes):
                    raise UserError(f"sweep key {dotted!r} is set by two axes of one part")
            axes[keys] = rows
        checked.append(axes)
    return checked


def expand(config: ConfigDict, sweep: Sweep) -> list[dict[str, Value]]:
    """List the members of a sweep: the overrides of each, by dotted key.

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
            values = flat | overrides
            members.setdefault(repr([values[key] for key in flat]), overrides)
    return list(members.values())


def apply(config: ConfigDict, overrides: Flat) -> ConfigDict:
    """Return a locked copy of the config with the overrides in it.

    Field references are resolved first: an override changes its own key and no other.

    Raises:
        UserError: a key that the config does not have, or a value of another type.
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


def as_json(listed: Sequence[Part]) -> list[dict[str, list[Value]]]:
    """Return the parts as config.json holds them: a comma joins the keys of a zipped axis."""
    return [
        {
            ",".join(keys): [row if len(keys) > 1 else row[0] for row in rows]
            for keys, rows in part.items()
        }
        for part in listed
    ]


def replace_axes(
    config: ConfigDict, sweep: Sweep, axes: Mapping[str, Sequence[Value]]
) -> list[Part]:
    """Return the sweep with other values on some axes: every member has one of the values given.

    Each part of a union keeps those of the given values that its own axis lists, and takes those
    that no part lists; a part without values is dropped. So ``cell.name=lstm`` runs the members
    that are LSTMs, and no LSTM in a part that is made for another cell. A part that is made for
    some values (:class:`Only`) takes no others, and those of :class:`Beside` do not count as
    listed. A part that does not have the axis, whose members would keep the base config's value,
    gets it as its last one.

    Raises:
        UserError: a key that is zipped with others: replacing it would unpair them.
    """
    listed = [dict(part) for part in parts(config, sweep)]
    for key, values in axes.items():
        for part in listed:
            for keys in part:
                if key in keys and len(keys) > 1:
                    raise UserError(
                        f"sweep key {key!r} is zipped with others ({', '.join(keys)}): "
                        "change the pairs in the experiment's get_sweep"
                    )
        rows = [(value,) for value in values]
        axes_of_key = [part[(key,)] for part in listed if (key,) in part]
        known = [row for own in axes_of_key if not isinstance(own, Beside) for row in own]
        narrowed = []
        for part in listed:
            own = part.get((key,))
            free = [] if isinstance(own, Only) else [row for row in rows if row not in known]
            kept = rows if own is None else [row for row in rows if row in own or row in free]
            if kept:
                narrowed.append(part | {(key,): kept})
        listed = narrowed
    return listed


def changed_by(
    base: ConfigDict, config: ConfigDict, key: str, members: Callable[[ConfigDict], list[Flat]]
) -> bool:
    """Return whether a key of the config has an effect on any member of a sweep.

    Args:
        base: the config with its default values.
        config: the config with other values, at the key among others.
        key: the key.
        members: lists the members of a config, each by dotted key.
    """
    value, default = flat_config(config)[key], flat_config(base)[key]
    if value == default:  # then compare with a value that nobody gave
        default = _other(value)
        if default is None:
            return all(member[key] == value for member in members(config))
    try:
        others = members(apply(config, {key: default}))
    except ValueError:  # the sweep depends on it
        return True
    return others != members(config)


def _other(value: Value) -> Value:
    """Return another value of the same type; None for a tuple or None."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return f"{value}?"
    return value + 1 if isinstance(value, int | float) else None


def parse_values(config: ConfigDict, key: str, text: str, group: str = "sweep") -> list[Value]:
    """Parse the values of ``--sweep.KEY=v1,v2`` by the type of the config's value.

    A comma inside brackets or quotes does not split.

    Raises:
        UserError: an unknown key, or a value that cannot be read as that type.

    >>> base = ConfigDict({"init": {"w_h": "normal"}, "seed": 0})
    >>> parse_values(base, "init.w_h", "orthogonal(gain=0.9),normal(std=0.1)")
    ['orthogonal(gain=0.9)', 'normal(std=0.1)']
    """
    flat = flat_config(config)
    check_key(flat, key, f"{group} key")
    flag = f"--{group}.{key}"
    return [_parse(flag, word, flat[key]) for word in _split(flag, text)]


def _split(flag: str, text: str) -> list[str]:
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
        raise UserError(f"{flag}={text}: a bracket or quote is not closed")
    words = [word.strip() for word in words]
    if not all(words):
        raise UserError(f"{flag}={text}: a value is missing (give v1,v2,...)")
    return words


def _parse(flag: str, word: str, like: Value) -> Value:
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
            return coerce(flag, ast.literal_eval(word), like)
        except (ValueError, SyntaxError) as error:
            if like is None:
                return word  # the config fixes no type
            if isinstance(error, UserError):
                raise
    raise UserError(f"{flag}: expected {type(like).__name__}, as {like!r} is, got {word!r}")
