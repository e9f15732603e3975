"""What tasks that draw their own sequences share."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from rnnlab.nn import losses
from rnnlab.tasks.base import Batch

Array = jax.Array


@dataclass(frozen=True)
class Synthetic(ABC):
    """A task without a data set: every batch is drawn from a key."""

    symbols = False  # not annotated: of the class, no field

    @abstractmethod
    def sample(self, key: Array, batch_size: int) -> Batch:
        """``batch_size`` sequences; pure, and jittable with ``batch_size`` static."""

    def load(self) -> tuple[()]:
        """(): there is nothing to load."""
        return ()

    def batch(self, data: Any, key: Array, index: Any, batch_size: int) -> Batch:
        """The ``index``-th batch: :meth:`sample` of the key with ``index`` folded in."""
        return self.sample(jax.random.fold_in(key, index), batch_size)

    def test(self, data: Any, key: Array, batch_size: int) -> Batch:
        """Fresh sequences."""
        return self.sample(key, batch_size)


def check_whole(name: str, value: object, least: int) -> None:
    """Refuse an option that is not a whole number of at least ``least``.

    Raises:
        ValueError: what was got and what was expected.

    >>> check_whole("length", 2, least=2)
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")


def check_bound(name: str, value: float, most: float = math.inf) -> None:
    """Refuse a bound of a score that is not above 0, finite and at most ``most``.

    Raises:
        ValueError: what was got and what was expected.

    >>> check_bound("solved_at", 0.01, most=1)
    """
    if not (0 < value < math.inf and value <= most):
        limit = "finite" if most == math.inf else f"at most {most}"
        raise ValueError(f"{name} must be above 0 and {limit}, got {value!r}")


def error(logits: Array, targets: Array, mask: Array | None = None) -> Array:
    """The share of counted targets (...) that the largest of the logits (..., O) misses.

    Counted, not 1 − accuracy: in float32 that makes 1 wrong in 20 more than .05.

    >>> float(error(jnp.eye(2), jnp.array([0, 0])))
    0.5
    """
    wrong = (jnp.argmax(logits, axis=-1) != targets).astype(logits.dtype)
    return losses.reduce(wrong, mask)
