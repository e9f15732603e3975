"""The copy problem: symbols to be repeated after a delay, fixed or drawn."""

import math
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
class CopyMemory(Synthetic):
    """n symbols, T−1 blanks, a delimiter, n blanks; over the last n steps the symbols again.

    Symbols are uniform and independent, 0 … K−1; K is the blank and K+1 the delimiter. Inputs
    (B, T+2n, K+2) one-hot. Targets (B, T+2n): blank, and the symbols at the last n steps. All
    steps count.

    Args:
        delay: T, the steps from the last symbol to the delimiter, at least 1.
        alphabet: K, how many symbols there are, at least 2.
        items: n, how many are shown, at least 1.
        solved_at: the recall at which it counts as solved.
    Raises:
        ValueError: an option out of its range.
    Source: Arjovsky, Shah & Bengio 2016 (arXiv 1511.06464); after Hochreiter & Schmidhuber 1997.

    >>> task = CopyMemory(delay=3, alphabet=2, items=2)
    >>> batch = task.sample(jax.random.key(3), 1)
    >>> batch.inputs[0].argmax(-1).tolist(), batch.targets[0].tolist()
    ([0, 1, 2, 2, 3, 2, 2], [2, 2, 2, 2, 2, 0, 1])
    """

    delay: int = 100
    alphabet: int = 8
    items: int = 10
    solved_at: float = 0.99

    name: ClassVar[str] = "copy_memory"
    loss = "cross_entropy"
    many_to_one = False

    def __post_init__(self) -> None:
        validate.whole("delay", self.delay, 1)
        validate.whole("alphabet", self.alphabet, 2)
        validate.whole("items", self.items, 1)
        validate.number("solved_at", self.solved_at, above=0, most=1)

    @property
    def length(self) -> int:
        """T + 2n."""
        return self.delay + 2 * self.items

    @property
    def input_size(self) -> int:
        """K + 2: symbols, blank, delimiter."""
        return self.alphabet + 2

    @property
    def output_size(self) -> int:
        """K + 1: symbols, blank."""
        return self.alphabet + 1

    @property
    def goal(self) -> Goal:
        """Recall at least ``solved_at``."""
        return Goal("recall", self.solved_at, at_most=False)

    def baseline(self, data: object = ()) -> float:
        """Return n·ln K/(T + 2n): blank up to the delimiter, then a guess at each symbol."""
        return theory.copy_memory_baseline(self.delay, self.alphabet, self.items)

    def sample(self, key: Array, batch_size: int) -> Batch:
        """Return ``batch_size`` sequences with the expected symbol of each step."""
        for_shown, for_delays = jax.random.split(key)
        n, blank = self.items, jnp.int32(self.alphabet)
        shown = jax.random.randint(for_shown, (batch_size, n), 0, self.alphabet, jnp.int32)
        delays = self._delays(for_delays, batch_size)[:, None]
        step = jnp.arange(self.length, dtype=jnp.int32)[None, :]

        def put(start: Array | int) -> Array:
            """Return (B, T+2n): the symbols from step ``start`` (B, 1) on, blanks elsewhere."""
            place = step - start
            symbol = jnp.take_along_axis(
                shown, jnp.broadcast_to(place.clip(0, n - 1), (batch_size, self.length)), axis=1
            )
            return jnp.where((place >= 0) & (place < n), symbol, blank)

        inputs = jnp.where(step == n + delays - 1, blank + 1, put(0))
        one_hot = jax.nn.one_hot(inputs, self.input_size, dtype=jnp.float32)
        return Batch(one_hot, put(n + delays), step < delays + 2 * n)

    def _delays(self, key: Array, batch_size: int) -> Array:
        """Return the steps (B,) from the last symbol to the delimiter."""
        return jnp.full(batch_size, self.delay, jnp.int32)

    def score(self, outputs: Array, batch: Batch) -> dict[str, Array]:
        """Return the loss, and "recall", the share of correct symbols; outputs (B, T+2n, K+1)."""
        symbols = batch.mask & (batch.targets < self.alphabet)
        return {
            "loss": losses.cross_entropy(outputs, batch.targets, batch.mask),
            "recall": losses.accuracy(outputs, batch.targets, symbols),
        }


@dataclass(frozen=True)
class VariableCopy(CopyMemory):
    """:class:`CopyMemory` with a delay d drawn for each sequence, uniform over 1 … T.

    n symbols, d−1 blanks, a delimiter, n blanks, and blanks that do not count up to T + 2n steps:
    the mask holds for the first d + 2n. The clock no longer tells when to recall.

    Args as :class:`CopyMemory`; delay: T, the longest delay.
    Source: Tallec & Ollivier 2018 (arXiv 1804.11188).

    >>> task = VariableCopy(delay=4, alphabet=2, items=1)
    >>> batch = task.sample(jax.random.key(3), 2)
    >>> batch.inputs.argmax(-1).tolist()
    [[0, 2, 3, 2, 2, 2], [1, 3, 2, 2, 2, 2]]
    >>> batch.mask.sum(1).tolist()
    [4, 3]
    """

    name: ClassVar[str] = "variable_copy"

    def baseline(self, data: object = ()) -> float:
        """Return n·ln K/((T+1)/2 + 2n): blank up to the delimiter, then a guess at each symbol.

        That answer forgets the symbols and hears the delimiter, n steps long: the least that one
        without the symbols can have. A sequence adds n·ln K, and E[d] + 2n steps to share it;
        over a batch of B the mean is larger by a share of about Var(d)/(B·(E[d] + 2n)²).
        """
        return self.items * math.log(self.alphabet) / ((self.delay + 1) / 2 + 2 * self.items)

    def _delays(self, key: Array, batch_size: int) -> Array:
        return jax.random.randint(key, (batch_size,), 1, self.delay + 1, jnp.int32)
