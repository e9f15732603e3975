"""Tasks by name, each loaded when it is first used."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from typing import Any

from rnnlab.core import registration
from rnnlab.core.errors import CONFIG_HELP, UnknownName, UserError, unknown
from rnnlab.tasks.base import Task

# the name in configs -> "module:class", or the class of a registered one; packages above this one
# add theirs with :func:`announce`
TASKS: dict[str, str | type[Task]] = {
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


_MEMBERS = (
    "length",
    "input_size",
    "output_size",
    "symbols",
    "loss",
    "many_to_one",
    "goal",
    "load",
    "baseline",
    "batch",
    "test",
    "score",
)


def register_task(name: Callable[..., Any] | str | None = None, /) -> Any:
    """Register a task, so that configs and flags can name it.

    The decorated class is a frozen dataclass after :class:`rnnlab.tasks.base.Task`. Its fields have
    defaults, and a config sets them in its group ``task``.

    Args:
        name: as configs write it; without one (``@register_task``) the class' own in snake case.
    Returns:
        the decorator, or what is decorated.
    Raises:
        UserError: a name that is taken or is no plain word; no frozen dataclass, a missing member,
            or a field without a default.

    >>> from dataclasses import dataclass
    >>> from rnnlab.tasks.adding import Adding
    >>> @register_task("long_adding")
    ... @dataclass(frozen=True)
    ... class LongAdding(Adding):
    ...     length: int = 1000
    >>> by_name("long_adding").length
    1000
    >>> del TASKS["long_adding"]
    """
    return registration.decorator(name, _add, lambda task: registration.snake_case(task.__name__))


def _add(name: str, task: type[Task]) -> None:
    registration.check_options(registration.TASK, name, task)
    frozen = is_dataclass(task) and task.__dataclass_params__.frozen  # type: ignore[attr-defined]
    if not frozen or task.__hash__ is None:
        raise UserError(
            f"task {name!r} must be hashable and equal by value: write @dataclass(frozen=True) "
            f"above class {getattr(task, '__name__', task)}"
        )
    if missing := [member for member in _MEMBERS if not hasattr(task, member)]:
        raise UserError(f"task {name!r} has no {', no '.join(missing)}")
    shipped = [other for other, home in TASKS.items() if isinstance(home, str)]
    registration.register(registration.TASK, TASKS, shipped, name, task)


def _class_of(name: str) -> type[Task]:
    if name not in TASKS:
        raise UnknownName(unknown("task", name, TASKS, listing=CONFIG_HELP), TASKS)
    home = TASKS[name]
    if not isinstance(home, str):
        return home
    module, _, cls = home.partition(":")
    task: type[Task] = getattr(importlib.import_module(module), cls)
    return task


def own_options(name: str) -> dict[str, Any]:
    """Return the options of a registered task with their defaults; {} of those of rnnlab."""
    home = TASKS.get(name)
    return {} if home is None or isinstance(home, str) else registration.plain_options(home)


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
    task = _class_of(name)
    known = registration.options_of(task)
    for option in options:
        if option not in known:
            raise ValueError(unknown(f"option of task {name!r}:", option, known))
    return task(**options)


def config(name: str, **changes: object) -> dict[str, Any]:
    """Return the ``task`` group of a config: the name, and every option of the task.

    Args:
        name: a key of ``TASKS``. changes: options with other values than their defaults.
    Raises:
        ValueError: an unknown name or option, the nearest named.

    >>> config("adding", length=50)
    {'name': 'adding', 'length': 50, 'solved_at': 0.01}
    """
    options = registration.plain_options(_class_of(name))
    for option in changes:
        if option not in options:
            raise ValueError(unknown(f"option of task {name!r}:", option, options))
    return {"name": name} | options | changes


def from_config(group: Mapping[str, Any]) -> Task:
    """Return the task of a config's ``task`` group: its name, and any of its class' fields.

    A field that is None has the task's default, so that one group serves a sweep over tasks. So
    does the default of an option that only another, registered task has.
    """
    given = {key: group[key] for key in group if key != "name" and group[key] is not None}
    if group["name"] in TASKS:
        known = registration.options_of(_class_of(group["name"]))
        others = [own_options(other) for other in TASKS]
        given = {
            key: value
            for key, value in given.items()
            if key in known or not any(key in o and o[key] == value for o in others)
        }
    return by_name(group["name"], **given)
