"""The temporal order problem: the order of the relevant symbols among distractors."""

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

_STARTS = {2: (1, 5), 3: (1, 3, 6)}  # tenths of the length


@dataclass(frozen=True)
class TemporalOrder(Synthetic):
    """class = Σ_i v_i 2^i of the symbols v_i ∈ {A = 0, B = 1} among distractors c, d, e, f.

    Symbol i is shown at one step of ⌊L/10⌋, drawn uniformly: two symbols from L/10 and L/2 on,
    three from L/10, 3L/10 and 6L/10 on, rounded down. Inputs (B, L, 6) one-hot: A, B, c, d, e, f;
    distractors are uniform. Targets (B,), the class.

    Args:
        length: L, at least 10.
        relevant: symbols whose order is asked for, 2 (four classes) or 3 (eight).
        solved_at: the share of wrong sequences at which it counts as solved.
    Raises:
        ValueError: an option out of its range.
    Variant: the positions are those of the code of Pascanu et al., whose comment puts the first
        in [1, L/10]. Hochreiter & Schmidhuber 1997 show three symbols at steps 10–20, 33–43 and
        66–76 of 100–110, between a start and an end symbol.
    Source: Pascanu, Mikolov & Bengio 2013 (arXiv 1211.5063), pascanur/trainingRNNs; after
        Hochreiter & Schmidhuber 1997.

    >>> task = TemporalOrder(length=10)
    >>> batch = task.sample(jax.random.key(3), 1)
    >>> "".join("ABcdef"[i] for i in batch.inputs[0].argmax(-1)), batch.targets.tolist()
    ('cBdfeAefdf', [1])
    """

    length: int = 100
    relevant: int = 2
    solved_at: float = 0.01  # as in Pascanu et al.

    name: ClassVar[str] = "temporal_order"
    input_size = 6
    loss = "cross_entropy"
    many_to_one = True

    def __post_init__(self) -> None:
        validate.whole("length", self.length, 10)
        validate.whole("relevant", self.relevant, 2, 3)
        validate.number("solved_at", self.solved_at, above=0, most=1)

    @property
    def output_size(self) -> int:
        """Classes: 4 or 8."""
        return 2**self.relevant

    @property
    def goal(self) -> Goal:
        """Error at most ``solved_at``."""
        return Goal("error", self.solved_at)

    def baseline(self, data: object = ()) -> float:
        """Return ln 4 or ln 8: all orders alike."""
        return math.log(self.output_size)

    def sample(self, key: Array, batch_size: int) -> Batch:
        """Return ``batch_size`` sequences with their classes."""
        for_places, for_shown, for_others = jax.random.split(key, 3)
        shape = (batch_size, self.relevant)
        starts = jnp.array([tenths * self.length // 10 for tenths in _STARTS[self.relevant]])
        within = jax.random.randint(for_places, shape, 0, self.length // 10, jnp.int32)
        shown = jax.random.randint(for_shown, shape, 0, 2, jnp.int32)
        codes = jax.random.randint(for_others, (batch_size, self.length), 2, 6, jnp.int32)
        rows = jnp.arange(batch_size)[:, None]
        codes = codes.at[rows, starts.astype(jnp.int32) + within].set(shown)
        classes = (shown << jnp.arange(self.relevant, dtype=jnp.int32)).sum(1, dtype=jnp.int32)
        inputs = jax.nn.one_hot(codes, self.input_size, dtype=jnp.float32)
        return Batch(inputs, classes, jnp.ones(batch_size, bool))

    def score(self, outputs: Array, batch: Batch) -> dict[str, Array]:
        """Return the loss, and "error", the share of wrong sequences; outputs (B, O)."""
        return {
            "loss": losses.cross_entropy(outputs, batch.targets, batch.mask),
            "error": error(outputs, batch.targets, batch.mask),
        }
