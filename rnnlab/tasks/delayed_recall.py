"""Delayed recall: one symbol, then noise, then its class. It needs memory and nothing else."""

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
class DelayedRecall(Synthetic):
    """x_1 = one-hot(c), x_t ~ N(0, s²) in every entry for d more steps; c is the target.

    Inputs (B, d+1, C), noise independent over steps and entries. Targets (B,), c uniform. The
    loss of the last step has to reach back over exactly d steps.

    Args:
        delay: d, steps after the symbol, at least 1.
        classes: C, at least 2.
        noise: s, standard deviation of an entry after the first step; 0: blanks.
        solved_at: the share of wrong sequences at which it counts as solved.
    Raises:
        ValueError: an option out of its range.

    >>> task = DelayedRecall(delay=2, classes=2)
    >>> batch = task.sample(jax.random.key(0), 1)
    >>> batch.inputs.shape, batch.inputs[0, 0].tolist(), batch.targets.tolist()
    ((1, 3, 2), [0.0, 1.0], [1])
    """

    delay: int = 100
    classes: int = 8
    noise: float = 0.2
    solved_at: float = 0.01

    name: ClassVar[str] = "delayed_recall"
    loss = "cross_entropy"
    many_to_one = True

    def __post_init__(self) -> None:
        validate.whole("delay", self.delay, 1)
        validate.whole("classes", self.classes, 2)
        validate.number("noise", self.noise, least=0)
        validate.number("solved_at", self.solved_at, above=0, most=1)

    @property
    def length(self) -> int:
        """d + 1."""
        return self.delay + 1

    @property
    def input_size(self) -> int:
        """C."""
        return self.classes

    @property
    def output_size(self) -> int:
        """C."""
        return self.classes

    @property
    def input_variance(self) -> float:
        """E[x²] = s² of one entry of x_t, at the steps after the symbol.

        An entry of W_xh x_t then has the second moment C·Var(W)·s², which is what
        :func:`rnnlab.theory.q_star` calls its ``input_variance``.
        """
        return self.noise**2

    @property
    def goal(self) -> Goal:
        """Error at most ``solved_at``."""
        return Goal("error", self.solved_at)

    def baseline(self, data: object = ()) -> float:
        """Return ln C: all symbols alike."""
        return math.log(self.classes)

    def sample(self, key: Array, batch_size: int) -> Batch:
        """Return ``batch_size`` sequences with their classes."""
        for_classes, for_noise = jax.random.split(key)
        classes = jax.random.randint(for_classes, (batch_size,), 0, self.classes, jnp.int32)
        shown = jax.nn.one_hot(classes, self.classes, dtype=jnp.float32)[:, None]
        shape = (batch_size, self.delay, self.classes)
        rest = jnp.float32(self.noise) * jax.random.normal(for_noise, shape, jnp.float32)
        inputs = jnp.concatenate([shown, rest], axis=1)
        return Batch(inputs, classes, jnp.ones(batch_size, bool))

    def score(self, outputs: Array, batch: Batch) -> dict[str, Array]:
        """Return the loss, and "error", the share of wrong sequences; outputs (B, C)."""
        return {
            "loss": losses.cross_entropy(outputs, batch.targets, batch.mask),
            "error": error(outputs, batch.targets, batch.mask),
        }
