"""Properties of cells, layers, schemes and tasks, checked one by one; each has a name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

PyTree = object


class Broken(Exception):
    """A property does not hold; the message says what was seen and what to change."""


class Skipped(Exception):
    """A property does not apply; the message says why."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of one property.

    Args:
        name: of the property, "gradient" for instance.
        status: "holds", "broken" or "skipped".
        message: what was checked, what to change, or why it does not apply.
    """

    name: str
    status: str
    message: str

    @property
    def passed(self) -> bool:
        """Whether it is not broken."""
        return self.status != "broken"


class Property(NamedTuple):
    """A property to check.

    Args:
        name: one or two words.
        meaning: what holds, a sentence.
        check: returns, or raises :class:`Broken`, :class:`Skipped` or whatever the checked code
            raises.
        basic: whether the properties after it make no sense where it is broken.
    """

    name: str
    meaning: str
    check: Callable[[], None]
    basic: bool = False


def outcomes(properties: Sequence[Property]) -> list[Outcome]:
    """Check properties in order; a basic one that is broken ends the list.

    >>> def broken():
    ...     raise Broken("it is 3")
    >>> [o.status for o in outcomes([Property("one", "It is 1.", broken)])]
    ['broken']
    """
    found = []
    for place, (name, meaning, check, basic) in enumerate(properties, start=1):
        try:
            check()
        except Skipped as reason:
            found.append(Outcome(name, "skipped", str(reason)))
        except Exception as error:  # whatever the checked code raises
            text = str(error) if isinstance(error, Broken) else _in_one_line(error)
            left = len(properties) - place
            if basic and left:
                text += f" (fix this first: {left} more are not checked)"
            found.append(Outcome(name, "broken", text))
            if basic:
                break
        else:
            found.append(Outcome(name, "holds", meaning))
    return found


def _in_one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    text = text if len(text) <= 300 else text[:300] + "…"
    return text if type(error) in (ValueError, TypeError) else f"{type(error).__name__}: {text}"


# ---- comparisons -------------------------------------------------------------------------------


def leaves(tree: PyTree) -> list[tuple[str, np.ndarray]]:
    """Return the leaves of a pytree by name, as NumPy arrays; keys as their data."""
    found = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        found.append((jax.tree_util.keystr(path, simple=True, separator="."), np.asarray(leaf)))
    return found


def difference(a: PyTree, b: PyTree) -> tuple[float, str]:
    """Return the largest relative difference of two pytrees, and the leaf that has it.

    max|a − b| / max(1, max|b|) per leaf; inf where shapes differ or one is not finite.
    """
    most, where = 0.0, ""
    ours, theirs = leaves(a), leaves(b)
    if [name for name, _ in ours] != [name for name, _ in theirs]:
        return float("inf"), "the structure"
    for (name, x), (_, y) in zip(ours, theirs, strict=True):
        if x.shape != y.shape:
            return float("inf"), f"{name or 'the result'}, of shape {x.shape} and {y.shape}"
        x, y = x.astype(np.float64), y.astype(np.float64)
        if not x.size or np.array_equal(x, y, equal_nan=True):
            continue
        finite = np.isfinite(x).all() and np.isfinite(y).all()
        gap = np.abs(x - y).max() / max(1.0, np.abs(y).max()) if finite else np.inf
        if gap > most:
            most, where = float(gap), name or "the result"
    return most, where


def identical(a: PyTree, b: PyTree) -> bool:
    """Return whether all leaves of two pytrees of one structure are the same bits."""
    pairs = zip(leaves(a), leaves(b), strict=True)
    return all(np.array_equal(x, y, equal_nan=True) for (_, x), (_, y) in pairs)


def expect_equal(a: PyTree, b: PyTree, what: str, most: float = 0.0) -> None:
    """Raise :class:`Broken` unless two pytrees are equal, to a relative difference.

    Args:
        a, b: the pytrees. what: the message before the difference. most: the difference allowed.
    """
    gap, where = difference(a, b)
    if not gap <= most:
        raise Broken(f"{what}: {where} differs by {gap:.1e}")


def expect_finite(tree: PyTree, what: str) -> None:
    """Raise :class:`Broken` where a leaf is not finite."""
    for name, leaf in leaves(tree):
        if not np.isfinite(leaf.astype(np.float64)).all():
            raise Broken(f"{what}: {name or 'the result'} is not finite")
