"""Parts that the configs of experiments share: the scale and the seeds."""

from typing import Any

from rnnlab.core import validate
from rnnlab.core.errors import unknown

Config = Any  # an ml_collections.ConfigDict, whose keys a type checker does not know


def scale(arg: str | None, *names: str) -> str:
    """Return the scale after the colon of ``--config=FILE:SCALE``, "" for the default.

    Args:
        arg: the argument of ``get_config``.
        names: the scales that the experiment has besides its default; "full" if none is given.
    Raises:
        ValueError: another scale.

    >>> scale(None), scale("full")
    ('', 'full')
    """
    names = names or ("full",)
    if arg in (None, ""):
        return ""
    if arg not in names:
        raise ValueError(unknown("scale", arg, names))
    return arg


def no_scale(arg: str | None) -> None:
    """Refuse an argument of ``get_config``, for an experiment of one scale.

    Raises:
        ValueError: there is one.

    >>> no_scale("full")
    Traceback (most recent call last):
    ValueError: the experiment has one scale and takes no argument, got 'full'
    """
    if arg not in (None, ""):
        raise ValueError(f"the experiment has one scale and takes no argument, got {arg!r}")


def seeds(config: Config) -> tuple[int, ...]:
    """Return the seeds of a sweep, 0 … ``config.run.seeds`` − 1, of a ConfigDict.

    >>> from ml_collections import ConfigDict
    >>> seeds(ConfigDict({"run": {"seeds": 3}}))
    (0, 1, 2)
    """
    return tuple(range(validate.whole("run.seeds", config.run.seeds)))
