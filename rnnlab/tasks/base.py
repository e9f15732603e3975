"""The protocols of a task: its batches, its loss and scores, and the goal that solves it.

A task is a frozen dataclass, hashable and equal by value, so that it is a static argument of a
compiled program. Synthetic tasks draw every batch. Data sets pass their arrays to the program
once (:meth:`Task.load`), however many members learn from them.

:class:`Task` is what training needs. A task may also be a :class:`HasModel`, which makes its own
model, a :class:`Predictable`, whose trained members answer for new texts, a
:class:`Restorable`, which learns more from its data than parameters, and a :class:`HasMetrics`,
which says how its scores are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from rnnlab.core.metrics import HIGHER, LOWER, Metric, lookup

# by name only: reading text and training word vectors on Numba need no JAX, which takes 110 MB
if TYPE_CHECKING:
    import numpy as np
    from flax import linen as nn
    from jax import Array

PyTree = Any
Config = Any  # an ml_collections.ConfigDict: a type checker does not know its keys


class Batch(NamedTuple):
    """Sequences and their targets."""

    inputs: Array  # (B, T, D) float32, or (B, T) int32 symbols for a model that embeds
    targets: Array  # many to one: (B,) int32 or (B, O) float32; else (B, T) or (B, T, O)
    mask: Array  # (B,) or (B, T) bool: which targets count


class RaggedBatch(NamedTuple):
    """Sequences of different lengths, padded to T; the rest as :class:`Batch`."""

    inputs: PyTree  # as of Batch, or a pytree of such arrays that the task's own model reads
    targets: Array
    mask: Array
    lengths: Array  # (B,) int32, real steps of each; the padding after them has no effect


def lengths_of(batch: Batch | RaggedBatch) -> Array | None:
    """Return the lengths (B,) of a batch's sequences; None where all have T steps."""
    return batch.lengths if isinstance(batch, RaggedBatch) else None


class Goal(NamedTuple):
    """The rule by which a task counts as solved: a metric of :meth:`Task.score`, and its bound."""

    metric: str
    bound: float
    at_most: bool = True  # False: the metric must reach the bound from below

    def reached(self, score: dict[str, Array]) -> Array:
        """Return whether the bound is met; false for NaN. Works on traced values."""
        value = score[self.metric]
        return value <= self.bound if self.at_most else value >= self.bound


@runtime_checkable
class Task(Protocol):
    """The part of a task that training needs.

    ``batch`` depends on (data, key, index) alone: the position of a run in its data is one whole
    number, and a resumed run continues at exactly the next example.

    The model is :func:`rnnlab.tasks.model.model_for_task`'s, or the task's own
    (:class:`HasModel`).
    """

    @property
    def length(self) -> int:
        """T, steps of a sequence."""
        ...

    @property
    def input_size(self) -> int:
        """D, features of a step; for symbols, the size of their alphabet."""
        ...

    @property
    def output_size(self) -> int:
        """O, outputs of the model: classes, or values to predict."""
        ...

    @property
    def symbols(self) -> bool:
        """Whether inputs are whole numbers for a model that embeds them."""
        ...

    @property
    def loss(self) -> str | Callable[..., Array]:
        """The name of the loss, "cross_entropy" or "mse", or a function with its arguments."""
        ...

    @property
    def many_to_one(self) -> bool:
        """Whether a sequence has one target, read at its last step."""
        ...

    @property
    def goal(self) -> Goal:
        """The rule by which the task counts as solved."""
        ...

    def load(self) -> PyTree:
        """Return the data set as a pytree of NumPy arrays; () if every batch is drawn."""
        ...

    def baseline(self, data: PyTree) -> float:
        """Return the loss of the best answer that remembers nothing of the sequence."""
        ...

    def batch(self, data: PyTree, key: Array, index: int | Array, batch_size: int) -> PyTree:
        """Return the ``index``-th batch to train on; pure and jittable, ``index`` may be traced.

        Returns:
            a :class:`Batch` or :class:`RaggedBatch`.
        """
        ...

    def test(self, data: PyTree, key: Array, batch_size: int) -> PyTree:
        """Return the sequences to score: fresh ones, or the first ``batch_size`` held out."""
        ...

    def score(self, outputs: PyTree, batch: PyTree) -> dict[str, Array]:
        """Return scalars that say how well ``outputs`` (B, O) or (B, T, O) answer the batch.

        Always with "loss", the masked mean of :attr:`loss`.
        """
        ...


@runtime_checkable
class HasMetrics(Protocol):
    """A task that says how its scores are read, where their names alone do not."""

    @property
    def metrics(self) -> Sequence[Metric]:
        """Scores of :meth:`Task.score` with their units, the headline of a table first."""
        ...


def metrics_of(task: Task) -> list[Metric]:
    """Return how a task's scores are read, its headline first.

    These are the task's own :attr:`HasMetrics.metrics`, then the metric of its goal, for which
    better is the direction of the goal.
    """
    goal = task.goal
    known = lookup(goal.metric)
    better = LOWER if goal.at_most else HIGHER
    own = list(task.metrics) if isinstance(task, HasMetrics) else []
    return [*own, Metric(goal.metric, known.unit, better, known.infinite)]


@runtime_checkable
class HasTestSet(Protocol):
    """A task with held-out sequences: :meth:`Task.test` returns the first so many of them."""

    def test_size(self, data: PyTree) -> int:
        """Return the number of held-out sequences."""
        ...


@runtime_checkable
class HasValidation(Protocol):
    """A task that holds out validation sequences: none is trained on, and none is of the test set.

    They are scored at every look, and choose what is to be chosen: the best parameters, when to
    stop, hyperparameters. The test set never does. A task that draws its sequences needs none of
    this: its validation sequences are drawn by :meth:`Task.test` with a key of their own.
    """

    def validation_size(self, data: PyTree) -> int:
        """Return the number of validation sequences (of streams: symbols); 0: none."""
        ...

    def validation(self, data: PyTree, key: Array, batch_size: int) -> PyTree:
        """Return the first ``batch_size`` validation sequences, as :meth:`Task.test` does."""
        ...


@runtime_checkable
class Streams(Protocol):
    """A task whose texts are cut into streams: the held-out one may be scored in part.

    The windows of truncated BPTT need not divide a stream, because each pass over the training
    text starts at another symbol.
    """

    def scored_of(self, data: PyTree, batch_size: int) -> tuple[int, int]:
        """Return (symbols that :meth:`Task.test` scores in so many streams, symbols held out)."""
        ...


class Coverage(NamedTuple):
    """The part of the test set that is scored."""

    scored: int
    held_out: int
    unit: str  # in words, plural


def coverage(task: Task, data: PyTree, sample: int, batch_size: int) -> Coverage | None:
    """Return how much of a task's test set is scored; None where test sequences are drawn.

    Args:
        task: the task. data: of its ``load``.
        sample: sequences to score; 0: all that are held out.
        batch_size: streams of a task that has streams.
    """
    if isinstance(task, Streams):
        return Coverage(*task.scored_of(data, batch_size), "symbols")
    if isinstance(task, HasTestSet):
        held_out = task.test_size(data)
        return Coverage(min(sample or held_out, held_out), held_out, "sequences")
    return None


def sequences_to_score(task: Task, data: PyTree, sample: int, batch_size: int) -> int:
    """Return the batch size to call :meth:`Task.test` with.

    Args:
        as :func:`coverage`.
    """
    if isinstance(task, HasTestSet):
        held_out = task.test_size(data)
        return min(sample or held_out, held_out)
    return sample or batch_size


def sequences_to_validate(task: Task, data: PyTree, sample: int, batch_size: int) -> int:
    """Return the batch size to call :meth:`HasValidation.validation` with; 0: none is held out.

    Args:
        as :func:`coverage`.
    """
    size = task.validation_size(data) if isinstance(task, HasValidation) else 0
    if not size or isinstance(task, Streams):
        return (sample or batch_size) if size else 0
    return min(sample or size, size)


def holds_out(task: Task) -> bool:
    """Return whether a task is scored on a part of its data, not on sequences that it draws."""
    return isinstance(task, HasTestSet | Streams)


@runtime_checkable
class HasModel(Protocol):
    """A task that makes its own model, in place of the one of its cell and read-out."""

    def model(self, config: Config) -> nn.Module:
        """Return the model of a member's config, with the schemes of its group ``init``."""
        ...


@runtime_checkable
class Restorable(Protocol):
    """A task that learns more from its data than parameters: a vocabulary, labels, a scale.

    A run stores this when it begins. Whoever loads a trained member later gets the restored task:
    its sizes, its model and its answers are those of the training, whatever has become of the
    data. :class:`rnnlab.tasks.stored.Stored` has the part that such tasks share.
    """

    def stored(self) -> Mapping[str, Any]:
        """Return what is learned from the data, by name, in values that JSON holds."""
        ...

    def restored(self, stored: Mapping[str, Any]) -> Task:
        """Return the task with what :meth:`stored` returned, in place of reading its data.

        Args:
            stored: as read from JSON: tuples and arrays are lists, keys are strings.
        """
        ...


@runtime_checkable
class Predictable(Protocol):
    """A task whose trained members answer for new texts (``rnnlab predict``).

    Required: :meth:`tokens`, :meth:`encode` and :meth:`say`. All else has a default in
    :class:`PredictableDefaults`, from which such a task inherits:

    * a task whose answer is defined after every token sets :attr:`streams` and has :meth:`label`;
    * one whose outputs can be the next inputs sets :attr:`feeds_back` and has :meth:`decode`, as
      a language model does, whose drawn symbols it reads;
    * one whose model reads a limited number of tokens has :meth:`passes` and :meth:`answer`, so
      that every token of a longer text is read;
    * one that learns a vocabulary, labels or a scale from its data is also a :class:`Restorable`.
      Of a task that is not, a run records the files that its options name by their digests, and
      predictions are refused once one of them has changed.
    """

    @property
    def many_to_one(self) -> bool:
        """Whether a sequence has one output, as of :class:`Task`."""
        ...

    def tokens(self, text: str) -> list[str]:
        """Return the parts of a text that the model reads one by one.

        Raises:
            ValueError: a text that the task cannot read.
        """
        ...

    def encode(self, tokens: list[str]) -> np.ndarray:
        """Return the tokens as symbols (T,) int32, or as features (T, D) float32.

        Raises:
            ValueError: a token that the task does not know, unless it has a symbol for those.
        """
        ...

    def say(self, tokens: list[str], outputs: Array) -> str:
        """Return the answer in words.

        Args:
            outputs: (T, …), one per token; (O,) if :attr:`many_to_one`.
        """
        ...

    def passes(self, tokens: list[str]) -> list[np.ndarray]:
        """Return what the model reads of a text, pass by pass: arrays as of :meth:`encode`.

        Raises:
            ValueError: as :meth:`encode`.
        """
        ...

    def answer(self, tokens: list[str], outputs: list[Array]) -> str:
        """Return the answer in words.

        Args:
            outputs: of each of :meth:`passes`, as of :meth:`say`.
        """
        ...

    def unknown(self, tokens: list[str]) -> list[str]:
        """Return the tokens that the model reads as unknown, because it never learned them."""
        ...

    def texts(self, lines: list[str]) -> list[str]:
        """Return the texts among a file's lines, in order; a blank one is answered by ""."""
        ...

    @property
    def streams(self) -> bool:
        """Whether :meth:`label` answers after every token; False: only for the whole text."""
        ...

    def label(self, output: Array) -> str:
        """Return the answer after one token in words, from that step's output (O,)."""
        ...

    @property
    def feeds_back(self) -> bool:
        """Whether an output is the input of the next step, as in a forecast one step ahead."""
        ...

    def decode(self, values: np.ndarray) -> str:
        """Return symbols (N,), or outputs (N, O) that are fed back, as text."""
        ...


class PredictableDefaults:
    """The optional parts of :class:`Predictable`: every line is a text, nothing is streamed."""

    def passes(self: Predictable, tokens: list[str]) -> list[np.ndarray]:
        """Return all tokens, encoded, for one pass."""
        return [self.encode(tokens)]

    def answer(self: Predictable, tokens: list[str], outputs: list[Array]) -> str:
        """Return what the one pass says."""
        return self.say(tokens, outputs[0])

    def unknown(self, tokens: list[str]) -> list[str]:
        """Return none: every token is known, or refused."""
        del tokens
        return []

    def texts(self, lines: list[str]) -> list[str]:
        """Return every line."""
        return lines

    @property
    def streams(self) -> bool:
        """False: an answer needs the whole text."""
        return False

    def label(self, output: Array) -> str:
        """Refuse: there is no answer after one token.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(f"{self} answers for whole texts, not token by token")

    @property
    def feeds_back(self) -> bool:
        """False: outputs are no inputs."""
        return False

    def decode(self, values: np.ndarray) -> str:
        """Refuse: outputs are no text to continue with.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(f"{self} does not continue a text")
