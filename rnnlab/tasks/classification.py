"""The part that tasks of one class per sequence share: batches, scores, answers in words."""

from abc import abstractmethod
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.data.splits import shuffled_indices, validation_rows
from rnnlab.nn import losses
from rnnlab.tasks.base import Batch, Goal, PredictableDefaults, RaggedBatch

Array = jax.Array


class Sequences(NamedTuple):
    """Sequences padded to T, with their lengths and classes: to learn from, test, validation."""

    train: np.ndarray  # (N, T) int32 symbols, or (N, T, D) float32
    lengths: np.ndarray  # (N,) int32
    labels: np.ndarray  # (N,) int32
    test: np.ndarray  # (M, T) or (M, T, D)
    test_lengths: np.ndarray  # (M,) int32
    test_labels: np.ndarray  # (M,) int32
    validation: np.ndarray  # (K, T) or (K, T, D)
    validation_lengths: np.ndarray  # (K,) int32
    validation_labels: np.ndarray  # (K,) int32

    @classmethod
    def of(cls, *parts: np.ndarray) -> "Sequences":
        """Make a data set of (sequences, lengths, labels) of two parts, or of all three."""
        missing = (part[:0] for part in parts[: len(cls._fields) - len(parts)])
        return cls._make((*parts, *missing))

    def with_validation(self, share: float, limit: int = 0) -> "Sequences":
        """Move a share of the sequences to learn from to the validation part, if that is empty.

        Args:
            share: see :func:`rnnlab.data.splits.validation_rows`.
            limit: sequences to learn from, those of the validation part included; 0: all.
        """
        learn = [part[: limit or None] for part in self[:3]]
        if len(self.validation):
            return Sequences._make((*learn, *self[3:]))
        rows, held = validation_rows(learn[2], share)
        train, validation = ([a[chosen] for a in learn] for chosen in (rows, held))
        return Sequences._make((*train, *self[3:6], *validation))


def entropy(labels: np.ndarray) -> float:
    """Return H = −Σ_k p_k ln p_k of whole numbers (N,), in nats.

    It is the loss of the best answer that knows the frequencies and nothing else.

    >>> entropy(np.array([0, 1, 0, 1])) == float(np.log(2))
    True
    """
    p = np.bincount(labels) / len(labels)
    return float(-(p[p > 0] * np.log(p[p > 0])).sum())


def score(outputs: Array, batch: Batch | RaggedBatch) -> dict[str, Array]:
    """Return the "loss" in nats and the "accuracy" of logits (B, O)."""
    return {
        "loss": losses.cross_entropy(outputs, batch.targets, batch.mask),
        "accuracy": losses.accuracy(outputs, batch.targets, batch.mask),
    }


class Classification(PredictableDefaults):
    """A task of one class per sequence, read at its last step; base of the tasks of data sets."""

    solved_at: float

    @property
    @abstractmethod
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of their numbers."""

    @property
    def output_size(self) -> int:
        """O, classes."""
        return len(self.classes)

    @property
    def loss(self) -> str:
        """Cross-entropy."""
        return "cross_entropy"

    @property
    def many_to_one(self) -> bool:
        """One class per sequence."""
        return True

    @property
    def goal(self) -> Goal:
        """The accuracy reaches ``solved_at``."""
        return Goal("accuracy", self.solved_at, at_most=False)

    def baseline(self, data: Sequences) -> float:
        """Return H(class) of the sequences to learn from, in nats."""
        return entropy(data.labels)

    def batch(
        self, data: Sequences, key: Array, index: int | Array, batch_size: int
    ) -> RaggedBatch:
        """Return sequences in the order of :func:`rnnlab.data.splits.shuffled_indices`.

        At most as many as there are.
        """
        rows = shuffled_indices(key, len(data.train), index, min(batch_size, len(data.train)))
        return _batch(*(jnp.asarray(part)[rows] for part in data[:3]))

    def test_size(self, data: Sequences) -> int:
        """Return the number of held-out sequences."""
        return len(data.test)

    def test(self, data: Sequences, key: Array, batch_size: int) -> RaggedBatch:
        """Return the first ``batch_size`` held-out sequences, all where there are fewer."""
        return _batch(*(jnp.asarray(part[:batch_size]) for part in data[3:6]))

    def validation_size(self, data: Sequences) -> int:
        """Return the number of validation sequences."""
        return len(data.validation)

    def validation(self, data: Sequences, key: Array, batch_size: int) -> RaggedBatch:
        """Return the first ``batch_size`` validation sequences, all where there are fewer."""
        return _batch(*(jnp.asarray(part[:batch_size]) for part in data[6:]))

    def score(self, outputs: Array, batch: RaggedBatch) -> dict[str, Array]:
        """Return the "loss" in nats and the "accuracy" of logits (B, O)."""
        return score(outputs, batch)

    # ---- for predictions, see rnnlab.tasks.base.Predictable ----

    def say(self, tokens: list[str], outputs: Array) -> str:
        """Return the class and its probability, from logits (O,)."""
        del tokens
        return self.label(outputs)

    @property
    def streams(self) -> bool:
        """True: a class after every token."""
        return True

    def label(self, output: Array) -> str:
        """Return the class so far and its probability, from logits (O,)."""
        p = jax.nn.softmax(output)
        return f"{self.classes[int(p.argmax())]} {float(p.max()):.2f}"


def _batch(inputs: Array, lengths: Array, labels: Array) -> RaggedBatch:
    return RaggedBatch(inputs, labels, jnp.ones(labels.shape, bool), lengths)
