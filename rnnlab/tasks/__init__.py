"""What recurrent networks are fed and taught: tasks by name, and sequences to probe with."""

import importlib
from dataclasses import fields
from typing import Any

from rnnlab.errors import unknown
from rnnlab.tasks.base import Batch, Goal, Task

# the name in configs -> (module, seen from here, and class)
TASKS = {
    "adding": ("adding", "Adding"),
    "copy_memory": ("copy_memory", "CopyMemory"),
    "variable_copy": ("copy_memory", "VariableCopy"),
    "temporal_order": ("temporal_order", "TemporalOrder"),
    "parity": ("parity", "Parity"),
    "delayed_recall": ("delayed_recall", "DelayedRecall"),
    "pixel_digits": ("pixel_digits", "PixelDigits"),
    "characters": ("characters", "Characters"),
    "forecasting": ("forecasting", "Forecasting"),
    "sentence_pairs": (".bert.pretraining", "SentencePairs"),
    "movie_reviews": ("reviews", "MovieReviews"),
    "sentiment": ("sentiment", "Sentiment"),
    "tagging": ("tagging", "Tagging"),
    "translation": ("translation", "Translation"),
    "series_classes": ("series_classes", "SeriesClasses"),
    "review_pieces": (".bert.finetuning", "ReviewPieces"),
    "tag_pieces": (".bert.finetuning", "TagPieces"),
}


def by_name(name: str, **options: Any) -> Task:
    """The task a config names.

    Args:
        name: a key of ``TASKS``.
        options: the fields of its class.
    Raises:
        ValueError: an unknown name or option, the nearest named; an option out of its range.

    >>> by_name("adding", length=50).length
    50
    """
    if name not in TASKS:
        raise ValueError(unknown("task", name, TASKS))
    module, cls = TASKS[name]
    task = getattr(importlib.import_module(f".{module}", __name__), cls)
    known = [f.name for f in fields(task)]
    for option in options:
        if option not in known:
            raise ValueError(unknown(f"option of task {name!r}:", option, known))
    return task(**options)


def from_config(group: Any) -> Task:
    """The task of a config's ``task`` group: its name, and any of its class' fields.

    A field that is None is left to the task, so that one group serves a sweep over tasks.
    """
    given = {key: group[key] for key in group if key != "name" and group[key] is not None}
    return by_name(group["name"], **given)


__all__ = ["TASKS", "Batch", "Goal", "Task", "by_name", "from_config"]
