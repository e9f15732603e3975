"""Tasks by name, each loaded when it is first used."""

import importlib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from rnnlab.core.errors import UnknownName, unknown
from rnnlab.tasks.base import Task

# the name in configs -> "module:class"; packages above this one add theirs with :func:`announce`
TASKS = {
    "adding": "rnnlab.tasks.adding:Adding",
    "copy_memory": "rnnlab.tasks.copy_memory:CopyMemory",
    "variable_copy": "rnnlab.tasks.copy_memory:VariableCopy",
    "temporal_order": "rnnlab.tasks.temporal_order:TemporalOrder",
    "parity": "rnnlab.tasks.parity:Parity",
    "delayed_recall": "rnnlab.tasks.delayed_recall:DelayedRecall",
    "pixel_digits": "rnnlab.tasks.pixel_digits:PixelDigits",
    "characters": "rnnlab.tasks.characters:Characters",
    "forecasting": "rnnlab.tasks.forecasting:Forecasting",
    "movie_reviews": "rnnlab.tasks.reviews:MovieReviews",
    "sentiment": "rnnlab.tasks.sentiment:Sentiment",
    "tagging": "rnnlab.tasks.tagging:Tagging",
    "translation": "rnnlab.tasks.translation:Translation",
    "series_classes": "rnnlab.tasks.series_classes:SeriesClasses",
}


def announce(name: str, home: str) -> None:
    """Make a task known by name without loading it.

    Args:
        name: as configs write it.
        home: "module:class" of a frozen dataclass after :class:`rnnlab.tasks.base.Task`.
    """
    TASKS[name] = home


def by_name(name: str, **options: object) -> Task:
    """Return the task of a name.

    Args:
        name: a key of ``TASKS``.
        options: the fields of its class.
    Raises:
        ValueError: an unknown name or option, the nearest named; an option out of its range.

    >>> by_name("adding", length=50).length
    50
    """
    if name not in TASKS:
        raise UnknownName(unknown("task", name, TASKS))
    module, _, cls = TASKS[name].partition(":")
    task = getattr(importlib.import_module(module), cls)
    known = [f.name for f in fields(task) if f.init]
    for option in options:
        if option not in known:
            raise ValueError(unknown(f"option of task {name!r}:", option, known))
    return task(**options)


def from_config(group: Mapping[str, Any]) -> Task:
    """Return the task of a config's ``task`` group: its name, and any of its class' fields.

    A field that is None has the task's default, so that one group serves a sweep over tasks.
    """
    given = {key: group[key] for key in group if key != "name" and group[key] is not None}
    return by_name(group["name"], **given)
