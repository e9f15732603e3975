"""The flags of ``rnnlab run`` that ask for a run's comparisons, from what Python asks for.

config.json records them beside the sweep's, as ``changes.flags``; the report prints the command
with them, so that it asks for the same again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rnnlab.lab.comparison import RATE, Comparison, Question
from rnnlab.lab.sweep import Flat

Flags = dict[str, Any]  # by the flag's name; those of keys, as compare and tune, are dicts by key

RULE = ("score", "better", "equivalent", "relative", "reference", "tuning_seeds", "seeds")


def comparison_flags(
    own: Sequence[Comparison],
    asked: Sequence[Comparison],
    questions: Sequence[Question],
    config: Flat,
) -> Flags | None:
    """Return the flags that ask for comparisons; None where no flags can.

    Args:
        own: the comparisons of the experiment's file.
        asked: those of the run, in place of them. questions: the same, checked.
        config: the base config by dotted key.
    """
    changed = _changes(own, asked, questions)
    if changed is not None:
        return changed
    if len(asked) != 1:
        return None
    (one,), (question,) = asked, questions
    plain = Comparison(one.arms)
    if any(getattr(one, name) != getattr(plain, name) for name in ("name", "question", "fixed")):
        return None
    keys = [one.arms] if isinstance(one.arms, str) else list(one.arms)
    arms = list(question.arms.values())
    # arms by name, each with its values, have no flag
    if not isinstance(one.arms, str) and any(isinstance(v, Mapping) for v in one.arms.values()):
        return None
    flags: Flags = {"compare": {key: list(dict.fromkeys(arm[key] for arm in arms)) for key in keys}}
    if one.tune is not None:
        flags["tune"] = _tuned(question, one.tune)
        if not one.tune and RATE in config and RATE not in keys:  # nothing is tuned
            flags["tune"] = {RATE: [config[RATE]]}
    return flags | {
        name: _plain(getattr(one, name))
        for name in RULE
        if _plain(getattr(one, name)) != getattr(plain, name)
    }


def _plain(value: Any) -> Any:
    """Return a value with arrays and lists as tuples, which compare."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    value = value.tolist() if hasattr(value, "tolist") else value
    return tuple(value) if isinstance(value, list) else value


def _tuned(question: Question, keys: Iterable[str]) -> dict[str, list[Any]]:
    """Return the values of tuned keys; one that has a single value is one that all arms have."""
    arm = next(iter(question.arms.values()))
    return {key: list(question.tune[key]) if key in question.tune else [arm[key]] for key in keys}


def _changes(
    own: Sequence[Comparison], asked: Sequence[Comparison], questions: Sequence[Question]
) -> Flags | None:
    """Return the flags that make the file's comparisons those of the run; None where none do."""
    names = ("tune", *RULE)
    if not own or len(own) != len(asked):
        return None
    for before, after in zip(own, asked, strict=True):
        same = {name: getattr(before, name) for name in names}
        try:
            if dataclasses.replace(after, **same) != before:
                return None
        except ValueError:  # arms given as arrays
            return None
    flags: Flags = {}
    for name in names:
        before, after = ([_plain(getattr(one, name)) for one in listed] for listed in (own, asked))
        if before == after:
            continue
        if after[0] is None or any(value != after[0] for value in after):
            return None  # a flag sets one value in all of them, and cannot take one away
        flags[name] = _tuned(questions[0], after[0]) if name == "tune" else after[0]
    return flags
