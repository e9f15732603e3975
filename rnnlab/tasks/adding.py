"""The adding problem: the sum of two marked numbers, far apart."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp

from rnnlab import theory
from rnnlab.core import validate
from rnnlab.nn import losses
from rnnlab.tasks.base import Batch, Goal
from rnnlab.tasks.synthetic import Synthetic

Array = jax.Array


@dataclass(frozen=True)
class Adding(Synthetic):
    """y = u_i + u_j of values u_t ~ U[0, 1], i and j the two marked steps.

    Inputs (B, T, 2): [u_t, 1 if t is marked else 0]. i is uniform over the steps below ⌊T/2⌋, j
    over those from ⌊T/2⌋ on. Targets (B, 1).

    Args:
        length: T, at least 2.
        solved_at: the mean squared error at which it counts as solved.
    Raises:
        ValueError: an option out of its range.
    Variant: Hochreiter & Schmidhuber 1997 draw from [−1, 1], vary T and mark closer to the
        start; this is the form of Le et al. and of Arjovsky et al.
    Source: Hochreiter & Schmidhuber 1997; Le, Jaitly & Hinton 2015 (arXiv 1504.00941); Arjovsky,
        Shah & Bengio 2016 (arXiv 1511.06464).

    >>> task = Adding(length=50)
    >>> batch = task.sample(jax.random.key(0), 4)
    >>> batch.inputs.shape, batch.targets.shape, batch.inputs[..., 1].sum(1).tolist()
    ((4, 50, 2), (4, 1), [2.0, 2.0, 2.0, 2.0])
    """

    length: int = 100
    solved_at: float = 0.01  # a root mean square error of 0.1: a sixteenth of the baseline's 1/6

    name: ClassVar[str] = "adding"
    input_size = 2
    output_size = 1
    loss = "mse"
    many_to_one = True

    def __post_init__(self) -> None:
        validate.whole("length", self.length, 2)
        validate.number("solved_at", self.solved_at, above=0)

    @property
    def goal(self) -> Goal:
        """Loss at most ``solved_at``."""
        return Goal("loss", self.solved_at)

    def baseline(self, data: object = ()) -> float:
        """Return 1/6, of the constant answer 1.

        The figure of the literature. An answer that also looks at the last step, which is marked
        in one of T − ⌊T/2⌋ sequences, has 1/12 less in those.
        """
        return theory.adding_baseline()

    def sample(self, key: Array, batch_size: int) -> Batch:
        """Return ``batch_size`` sequences with their sums."""
        for_values, for_first, for_second = jax.random.split(key, 3)
        shape, half = (batch_size, 1), self.length // 2
        values = jax.random.uniform(for_values, (batch_size, self.length), jnp.float32)
        first = jax.random.randint(for_first, shape, 0, half, jnp.int32)
        second = jax.random.randint(for_second, shape, half, self.length, jnp.int32)
        marked = jnp.concatenate([first, second], axis=1)
        marker = jax.nn.one_hot(marked, self.length, dtype=jnp.float32).sum(axis=1)
        sums = jnp.take_along_axis(values, marked, axis=1).sum(axis=1, keepdims=True)
        return Batch(jnp.stack([values, marker], axis=-1), sums, jnp.ones(batch_size, bool))

    def score(self, outputs: Array, batch: Batch) -> dict[str, Array]:
        """Return the loss of outputs (B, 1)."""
        return {"loss": losses.mse(outputs, batch.targets, batch.mask)}
