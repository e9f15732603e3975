"""What the configs of experiments share: the scale that is asked for, and the seeds."""

from typing import Any

from rnnlab.core.errors import unknown

Config = Any  # an ml_collections.ConfigDict, whose keys a type checker does not know


def scale(arg: str | None, *names: str) -> str:
    """Return the scale that follows the colon of ``--config=FILE:SCALE``, "" for the default.

    Args:
        arg: what ``get_config`` is called with.
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


def seeds(config: Config) -> tuple[int, ...]:
    """Return the seeds of a sweep, 0 … ``config.run.seeds`` − 1."""
    return tuple(range(config.run.seeds))
