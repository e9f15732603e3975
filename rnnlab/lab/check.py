"""Check users' cells, layers, schemes and tasks: the properties that rnnlab's own have."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rnnlab.core import registration
from rnnlab.core.errors import UserError
from rnnlab.core.registration import Registered
from rnnlab.lab import cell_properties, load, scheme_properties, task_properties
from rnnlab.lab.properties import Outcome, outcomes
from rnnlab.nn import cells
from rnnlab.nn.cells import Cell
from rnnlab.nn.initializers import InitScheme
from rnnlab.nn.layers import Layer
from rnnlab.tasks import registry
from rnnlab.tasks.base import Task


@dataclass(frozen=True)
class Checked:
    """The properties of one registered name, each checked."""

    registered: Registered
    outcomes: tuple[Outcome, ...]

    @property
    def passed(self) -> bool:
        """Whether no property is broken."""
        return all(outcome.passed for outcome in self.outcomes)


def check_cell(make: Callable[..., Cell | Layer]) -> list[Outcome]:
    """Check the properties of a cell or a layer.

    Args:
        make: its class, or what makes it of (hidden_size, init=…): ``check_cell(rnnlab.GRU)``.
    """

    def made(hidden_size: int, init: InitScheme) -> Cell | Layer:
        return make(hidden_size, init=init)

    try:
        properties = cell_properties.of_cell(made)
    except Exception as error:
        message = f"it cannot be made: {type(error).__name__}: {error}"
        return [Outcome("members", "broken", message)]
    return outcomes(properties)


def check_scheme(name: str) -> list[Outcome]:
    """Check the properties of an initialization scheme.

    Args:
        name: as configs write it, with options or without.

    >>> [o.name for o in check_scheme("orthogonal(gain=0.9)") if not o.passed]
    []
    """
    return outcomes(scheme_properties.of_scheme(name))


def check_task(task: Task) -> list[Outcome]:
    """Check the properties of a task; its data are read."""
    return outcomes(task_properties.of_task(task))


def check_name(kind: str, name: str) -> list[Outcome]:
    """Check what a name of a registry stands for.

    Args:
        kind: "cell", "scheme" or "task".
        name: as configs write it.
    """
    if kind == registration.CELL:
        return check_cell(cells.CELLS[name])
    if kind == registration.SCHEME:
        return check_scheme(name)
    try:
        task = registry.by_name(name)
    except Exception as error:
        message = f"it cannot be made: {type(error).__name__}: {error}"
        return [Outcome("members", "broken", message)]
    return check_task(task)


def check_files(files: Sequence[str | os.PathLike[str]]) -> list[Checked]:
    """Execute files as ``--use`` does, and check every name that they register.

    Raises:
        UserError: no such Python file, a file that registers nothing, or two that register one
            name.
    """
    registered: list[Registered] = []
    for file in files:
        before = len(registered)
        load.load_used(os.fspath(file), registered)
        if len(registered) == before:
            raise UserError(
                f"{file} registers nothing: write @rnnlab.register_cell, register_scheme or "
                "register_task above what it defines"
            )
    return [Checked(r, tuple(check_name(r.kind, r.name))) for r in registered]
