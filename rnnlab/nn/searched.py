"""Numbers of schemes that are searched on sequences: ``"orthogonal(gain='critical')"``.

Such a scheme draws nothing by itself. :func:`rnnlab.gradients.critical_on` and a config's member
search the number on sequences, and draw with it.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from rnnlab.core import calls

CRITICAL = "critical"

T = TypeVar("T")
Factories = Mapping[str, Callable[..., object]]


def numbers(factory: Callable[..., object]) -> list[str]:
    """Return the options of a scheme that are real numbers: those that can be searched.

    >>> numbers(lambda gain=1.0, kind="a", hidden_size=None: None)
    ['gain']
    """
    parameters = inspect.signature(factory).parameters
    return [name for name, option in parameters.items() if isinstance(option.default, float)]


def option(factory: Callable[..., object], options: Mapping[str, object]) -> str:
    """Return the option of a scheme that is to be searched, "" if none is.

    Raises:
        ValueError: two of them, for a search has one number; an option whose default is a whole
            number.
    """
    for name, parameter in inspect.signature(factory).parameters.items():
        if options.get(name) == CRITICAL and type(parameter.default) is int:
            raise ValueError(
                f"{name} cannot be 'critical': its default, {parameter.default}, is a whole "
                "number, and only a real number, such as 1.0, is searched"
            )
    asked = [name for name in numbers(factory) if options.get(name) == CRITICAL]
    if len(asked) > 1:
        raise ValueError(f"one number of a scheme can be 'critical', got {', '.join(asked)}")
    return next(iter(asked), "")


def with_number(scheme: object, value: float, factories: Factories) -> object:
    """Return a scheme with the number in place of 'critical'; another scheme as it is.

    >>> from rnnlab.nn.initializers import SCHEMES
    >>> with_number("orthogonal(gain='critical')", 1.5, SCHEMES)
    'orthogonal(gain=1.5)'
    """
    if not isinstance(scheme, str) or CRITICAL not in scheme:
        return scheme
    name, options = calls.parse(scheme, "a scheme is a name or name(option=value)")
    asked = option(factories[name], options) if name in factories else ""
    if not asked:
        return scheme
    given = ", ".join(f"{key}={v!r}" for key, v in {**options, asked: float(value)}.items())
    return f"{name}({given})"


def refuse(scheme: object, factories: Factories) -> None:
    """Refuse a number that is searched in the scheme of a read-out.

    Raises:
        ValueError: there is one.
    """
    if with_number(scheme, 1.0, factories) != scheme:
        raise ValueError(
            f"{scheme!r}: the read-out has no part in the recurrence, on which a number is "
            "searched: give a number"
        )


def resolved(init: T, value: float, factories: Factories) -> T:
    """Return a copy of an InitScheme with the number in place of every 'critical'.

    Every block has the same number: one search has one.

    Args:
        init: an InitScheme, or a part of one.
        value: the number.
        factories: the registry of schemes.
    """
    made: Any = init
    if isinstance(init, tuple):
        made = tuple(resolved(part, value, factories) for part in init)
    elif is_dataclass(init) and not isinstance(init, type):
        parts = {f.name: resolved(getattr(init, f.name), value, factories) for f in fields(init)}
        made = replace(init, **parts)
    elif isinstance(init, str):
        made = with_number(init, value, factories)
    return made
