"""Checks of numbers, names and shapes at the boundary, with one wording for all.

Every check returns the value as a Python number, bool or tuple, or raises a ValueError that names
the value and what is allowed. NumPy and JAX scalars count as numbers; a bool does not.
"""

import contextlib
import math
import operator
from collections.abc import Iterable, Sequence
from typing import Protocol, SupportsIndex, TypeGuard, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from rnnlab.core.errors import UnknownName, unknown

T = TypeVar("T")


def whole(name: str, value: object, least: int | None = 1, most: int | None = None) -> int:
    """Return a whole number within bounds.

    Args:
        name: the name in the message.
        least, most: the bounds, both inclusive; None: no bound.
    Raises:
        ValueError: no whole number, or one out of bounds.

    >>> whole("hidden_size", np.int64(8))
    8
    """
    index = None
    if isinstance(value, SupportsIndex) and not isinstance(value, bool | np.bool_):
        with contextlib.suppress(TypeError):  # an array of several numbers
            index = operator.index(value)
    within = index is not None and (least is None or index >= least)
    if index is None or not within or (most is not None and index > most):
        raise ValueError(f"{name} must be a whole number{_bounds(least, most)}, got {value!r}")
    return index


def _bounds(least: int | None, most: int | None) -> str:
    if least is None and most is None:
        return ""
    if most is None:
        return f" of at least {least}"
    if least is None:
        return f" of at most {most}"
    return f" from {least} to {most}"


def number(
    name: str,
    value: object,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
    finite: bool = True,
) -> float:
    """Return a real number within bounds.

    Args:
        name: the name in the message.
        least, most: inclusive bounds. above, below: exclusive bounds.
        finite: whether ±inf raises an error; NaN always does.
    Raises:
        ValueError: no number, or one out of bounds.

    >>> number("learning_rate", 1e-3, above=0)
    0.001
    """
    if real(value):
        x = float(value)
        within = not math.isnan(x) and (math.isfinite(x) or not finite)
        within &= (least is None or x >= least) and (above is None or x > above)
        within &= (most is None or x <= most) and (below is None or x < below)
        if within:
            return x
    named = (("at least", least), ("above", above), ("at most", most), ("below", below))
    bounds = " and ".join(f"{words} {bound:g}" for words, bound in named if bound is not None)
    kind = "a finite number" if finite else "a number"
    raise ValueError(f"{name} must be {f'{kind} {bounds}'.strip()}, got {value!r}")


@runtime_checkable
class _HasDtype(Protocol):
    """An array, or a scalar of NumPy or JAX."""

    @property
    def dtype(self) -> np.dtype: ...
    @property
    def shape(self) -> tuple[int, ...]: ...


def real(value: object) -> TypeGuard[float]:
    """Whether a value is a single real number of Python, NumPy or JAX; a bool is not.

    >>> real(np.float32(1)), real(True), real("1")
    (True, False, False)
    """
    if isinstance(value, bool | str | bytes):
        return False
    if isinstance(value, int | float):
        return True
    if not isinstance(value, _HasDtype) or value.shape != ():
        return False
    # bfloat16 is a float that NumPy does not know
    return np.issubdtype(value.dtype, np.integer) or "float" in value.dtype.name


def rate(name: str, value: object) -> float:
    """Return a dropout rate, in [0, 1).

    Raises:
        ValueError: no number in that range.

    >>> rate("dropout", 0.5)
    0.5
    """
    if not real(value) or not 0 <= float(value) < 1:
        raise ValueError(f"{name} must lie in [0, 1), got {value!r}")
    return float(value)


def share(name: str, value: object) -> float:
    """Return a share, in [0, 1].

    Raises:
        ValueError: no number in that range.

    >>> share("accuracy", 1)
    1.0
    """
    if not real(value) or not 0 <= float(value) <= 1:
        raise ValueError(f"{name} must lie in [0, 1], got {value!r}")
    return float(value)


def seed(name: str, value: object) -> int:
    """Return a seed, in [0, 2**32).

    JAX's keys are made of 32 bits of a seed (without float64), so that 0 and 2**32 would draw the
    same numbers.

    Raises:
        ValueError: no whole number in that range.

    >>> seed("seed", 0)
    0
    """
    return whole(name, value, 0, 2**32 - 1)


def flag(name: str, value: object) -> bool:
    """Return a bool.

    Raises:
        ValueError: any other type, including 0 and 1.

    >>> flag("peephole", True)
    True
    """
    scalar = isinstance(value, _HasDtype) and value.shape == () and value.dtype == np.bool_
    if not isinstance(value, bool) and not scalar:
        raise ValueError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def choice(name: str, value: T, allowed: Iterable[T], *, listing: str = "") -> T:
    """Return one of the allowed values.

    Args:
        name: the name in the message.
        value: to check. allowed: what it may be.
        listing: the command that lists many allowed values.
    Raises:
        UnknownName: (a ValueError) another value; the nearest allowed ones are suggested.

    >>> choice("merge", "sum", ("concat", "sum"))
    'sum'
    """
    allowed = list(allowed)
    if value not in allowed:
        names = [str(other) for other in allowed]
        raise UnknownName(unknown(name, value, names, listing=listing), names)
    return value


def shape(name: str, value: ArrayLike, expected: Sequence[int | str]) -> tuple[int, ...]:
    """Return the shape of an array, whose rank and known sizes must be the expected ones.

    Args:
        name: the name in the message.
        value: an array, traced or not, or nested lists.
        expected: a size per axis, or a letter for any size: ("B", "T", 3).
    Raises:
        ValueError: another rank or size.

    >>> shape("xs", np.zeros((2, 5, 3)), ("B", "T", 3))
    (2, 5, 3)
    """
    actual = tuple(np.shape(value))
    fits = len(actual) == len(expected) and all(
        isinstance(size, str) or size == got for size, got in zip(expected, actual, strict=True)
    )
    if not fits:
        sizes = ", ".join(map(str, expected)) + "," * (len(expected) == 1)
        raise ValueError(f"{name} must have shape ({sizes}), got {actual}")
    return actual
