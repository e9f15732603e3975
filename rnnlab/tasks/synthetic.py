"""The part that tasks without a data set share: every batch is drawn from a key."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from rnnlab.nn import losses
from rnnlab.tasks.base import Batch, PyTree

Array = jax.Array


@dataclass(frozen=True)
class Synthetic(ABC):
    """A task without a data set: every batch is drawn from a key."""

    symbols = False  # not annotated: an attribute of the class, not a field

    @abstractmethod
    def sample(self, key: Array, batch_size: int) -> Batch:
        """Return ``batch_size`` sequences; pure, and jittable with ``batch_size`` static."""

    def load(self) -> tuple[()]:
        """Return (): there is nothing to load."""
        return ()

    def batch(self, data: PyTree, key: Array, index: int | Array, batch_size: int) -> Batch:
        """Return the ``index``-th batch: :meth:`sample` of the key with ``index`` folded in."""
        return self.sample(jax.random.fold_in(key, index), batch_size)

    def test(self, data: PyTree, key: Array, batch_size: int) -> Batch:
        """Return fresh sequences."""
        return self.sample(key, batch_size)


def error(logits: Array, targets: Array, mask: Array | None = None) -> Array:
    """Return the share of counted targets (...) that the largest of the logits (..., O) misses.

    It is counted and not 1 − accuracy, which in float32 makes 1 wrong in 20 more than 0.05.

    >>> float(error(jnp.eye(2), jnp.array([0, 0])))
    0.5
    """
    wrong = (jnp.argmax(logits, axis=-1) != targets).astype(logits.dtype)
    return losses.reduce(wrong, mask)
