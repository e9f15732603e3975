"""Checks of numbers, names and shapes at the boundary: one wording for all.

Every check returns the value as Python has it, or raises a ValueError that says what was got and
what is allowed. NumPy and JAX scalars count as numbers; a bool is not a number.
"""

import math
import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from rnnlab.core.errors import unknown


def whole(name: str, value: Any, least: int | None = 1, most: int | None = None) -> int:
    """Return a whole number within bounds.

    Args:
        name: what the message calls it.
        least, most: the bounds, both allowed; None: none.
    Raises:
        ValueError: no whole number, or one out of bounds.

    >>> whole("hidden_size", np.int64(8))
    8
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} must be a whole number{_bounds(least, most)}, got {value!r}")
    if (least is not None and number < least) or (most is not None and number > most):
        raise ValueError(f"{name} must be a whole number{_bounds(least, most)}, got {value!r}")
    return number


def _bounds(least: Any, most: Any) -> str:
    if least is None and most is None:
        return ""
    if most is None:
        return f" of at least {least}"
    if least is None:
        return f" of at most {most}"
    return f" from {least} to {most}"


def number(
    name: str,
    value: Any,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
    finite: bool = True,
) -> float:
    """Return a real number within bounds.

    Args:
        name: what the message calls it.
        least, most: bounds that are allowed. above, below: bounds that are not.
        finite: whether ±inf is refused; NaN always is.
    Raises:
        ValueError: no number, or one out of bounds.

    >>> number("learning_rate", 1e-3, above=0)
    0.001
    """
    within = real(value)
    if within:
        found = float(value)
        within = not math.isnan(found) and (math.isfinite(found) or not finite)
        within &= (least is None or found >= least) and (above is None or found > above)
        within &= (most is None or found <= most) and (below is None or found < below)
    if not within:
        words = [
            f"{word} {bound:g}"
            for word, bound in (
                ("at least", least),
                ("above", above),
                ("at most", most),
                ("below", below),
            )
            if bound is not None
        ]
        kind = "a finite number" if finite else "a number"
        raise ValueError(
            f"{name} must be {' '.join([kind, ' and '.join(words)]).strip()}, got {value!r}"
        )
    return float(value)


def real(value: Any) -> bool:
    """Whether a value is one real number: of Python, NumPy or JAX, and no bool.

    >>> real(np.float32(1)), real(True), real("1")
    (True, False, False)
    """
    if isinstance(value, bool | str | bytes):
        return False
    if isinstance(value, int | float):
        return True
    dtype = getattr(value, "dtype", None)
    if dtype is None or getattr(value, "shape", None) != ():
        return False
    return np.issubdtype(dtype, np.integer) or np.issubdtype(dtype, np.floating)


def rate(name: str, value: Any) -> float:
    """Return a rate of dropping, in [0, 1).

    Raises:
        ValueError: no number of that range.

    >>> rate("dropout", 0.5)
    0.5
    """
    if not real(value) or not 0 <= float(value) < 1:
        raise ValueError(f"{name} must lie in [0, 1), got {value!r}")
    return float(value)


def share(name: str, value: Any) -> float:
    """Return a share, in [0, 1].

    Raises:
        ValueError: no number of that range.

    >>> share("accuracy", 1)
    1.0
    """
    if not real(value) or not 0 <= float(value) <= 1:
        raise ValueError(f"{name} must lie in [0, 1], got {value!r}")
    return float(value)


def flag(name: str, value: Any) -> bool:
    """Return a bool.

    Raises:
        ValueError: anything else, 0 and 1 included.

    >>> flag("peephole", True)
    True
    """
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def choice(name: str, value: Any, allowed: Iterable[Any]) -> Any:
    """Return one of the allowed values.

    Raises:
        ValueError: another one; the nearest is named.

    >>> choice("merge", "sum", ("concat", "sum"))
    'sum'
    """
    allowed = list(allowed)
    if value not in allowed:
        raise ValueError(unknown(name, value, allowed))
    return value


def shape(name: str, value: Any, expected: Sequence[int | str]) -> tuple[int, ...]:
    """Return the shape of an array, whose rank and known sizes must be the expected ones.

    Args:
        name: what the message calls it.
        value: an array, or what NumPy takes for one; traced arrays as well.
        expected: a size, or a letter for any size, for each axis: ("B", "T", 3).
    Raises:
        ValueError: another rank or size.

    >>> shape("xs", np.zeros((2, 5, 3)), ("B", "T", 3))
    (2, 5, 3)
    """
    found = tuple(np.shape(value))
    fits = len(found) == len(expected) and all(
        isinstance(size, str) or size == own for size, own in zip(expected, found, strict=True)
    )
    if not fits:
        words = ", ".join(map(str, expected)) + "," * (len(expected) == 1)
        raise ValueError(f"{name} must have shape ({words}), got {found}")
    return found
