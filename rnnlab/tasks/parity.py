"""Parity of a random sequence of bits."""

import math
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp

from rnnlab.core import validate
from rnnlab.nn import losses
from rnnlab.tasks.base import Batch, Goal
from rnnlab.tasks.synthetic import Synthetic, error

Array = jax.Array


@dataclass(frozen=True)
class Parity(Synthetic):
    """p_t = b_1 + … + b_t mod 2 of fair bits b_t ∈ {0, 1}, shown as ±1 (2b_t − 1).

    Inputs (B, T, 1). Targets (B,), p_T; or (B, T), p_t at every step.

    Args:
        length: T, at least 2.
        every_step: whether p_t is the target of every step; else of the last.
        solved_at: the share of wrong answers at which it counts as solved.
    Raises:
        ValueError: an option out of its range.

    >>> batch = Parity(length=5, every_step=True).sample(jax.random.key(0), 1)
    >>> batch.inputs[0, :, 0].tolist(), batch.targets[0].tolist()
    ([1.0, -1.0, -1.0, 1.0, 1.0], [1, 1, 1, 0, 1])
    """

    length: int = 100
    every_step: bool = False
    solved_at: float = 0.01

    name: ClassVar[str] = "parity"
    input_size = 1
    output_size = 2
    loss = "cross_entropy"

    def __post_init__(self) -> None:
        validate.whole("length", self.length, 2)
        validate.flag("every_step", self.every_step)
        validate.number("solved_at", self.solved_at, above=0, most=1)

    @property
    def many_to_one(self) -> bool:
        """Whether the parity of the whole sequence is the only target."""
        return not self.every_step

    @property
    def goal(self) -> Goal:
        """Error at most ``solved_at``."""
        return Goal("error", self.solved_at)

    def baseline(self, data: object = ()) -> float:
        """Return ln 2 at the end; (T−1)/T·ln 2 at every step, for p_1 = b_1 needs no memory.

        From step 2 on the current bit alone carries no information on the parity.
        """
        guessed = (self.length - 1) / self.length if self.every_step else 1.0
        return guessed * math.log(2)

    def sample(self, key: Array, batch_size: int) -> Batch:
        """Return ``batch_size`` sequences with their parities."""
        bits = jax.random.randint(key, (batch_size, self.length), 0, 2, jnp.int32)
        inputs = (2 * bits - 1).astype(jnp.float32)[..., None]
        if self.every_step:
            parities = bits.cumsum(axis=1, dtype=jnp.int32) % 2
        else:
            parities = bits.sum(axis=1, dtype=jnp.int32) % 2
        return Batch(inputs, parities, jnp.ones(parities.shape, bool))

    def score(self, outputs: Array, batch: Batch) -> dict[str, Array]:
        """Return the loss, and "error": the share of wrong answers; outputs (B, 2) or (B, T, 2)."""
        return {
            "loss": losses.cross_entropy(outputs, batch.targets, batch.mask),
            "error": error(outputs, batch.targets, batch.mask),
        }
