"""What a task is: where batches come from, what counts, and when it is solved.

A task is a frozen dataclass, hashable and equal by value, so that it is a static argument of a
compiled program. Synthetic tasks draw every batch; data sets hand their arrays to the program
once (:meth:`Task.load`), whatever the number of members that learn from them.
"""

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

# by name only: reading text and training word vectors on Numba need no JAX, which takes 110 MB
if TYPE_CHECKING:
    from jax import Array
else:
    Array = Any


class Batch(NamedTuple):
    """Sequences and what is asked about them."""

    inputs: Array  # (B, T, D) float32, or (B, T) int32 symbols for a model that embeds
    targets: Array  # many to one: (B,) int32 or (B, O) float32; else (B, T) or (B, T, O)
    mask: Array  # (B,) or (B, T) bool: which targets count


class RaggedBatch(NamedTuple):
    """Sequences of different lengths, padded to T; the rest as :class:`Batch`."""

    inputs: Array
    targets: Array
    mask: Array
    lengths: Array  # (B,) int32, real steps of each; what comes after them never matters


def lengths_of(batch: Any) -> Array | None:
    """The lengths (B,) of a batch's sequences; None where all have T steps."""
    return getattr(batch, "lengths", None)


class Goal(NamedTuple):
    """When a task counts as solved: the metric of :meth:`Task.score` and its bound."""

    metric: str
    bound: float
    at_most: bool = True  # False: the metric must reach the bound from below

    def reached(self, score: dict[str, Array]) -> Array:
        """Whether the bound is met; false for NaN. Works on traced values."""
        value = score[self.metric]
        return value <= self.bound if self.at_most else value >= self.bound


@runtime_checkable
class Task(Protocol):
    """What training needs of a task.

    One that wants another model than :func:`rnnlab.tasks.model.model_for_task` makes has
    ``model(config)``.
    ``batch`` depends on (data, key, index) alone: where a run is in its data is one whole number,
    and a run that resumes reads on at the very example.
    """

    @property
    def length(self) -> int:
        """T, steps of a sequence."""
        ...

    @property
    def input_size(self) -> int:
        """D, features of a step; for symbols, how many there are."""
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
    def loss(self) -> Any:
        """The name of the loss, "cross_entropy" or "mse", or the loss itself."""
        ...

    @property
    def many_to_one(self) -> bool:
        """Whether a sequence has one target, read at its last step."""
        ...

    @property
    def goal(self) -> Goal:
        """The rule by which the task counts as solved."""
        ...

    def load(self) -> Any:
        """The data set as a pytree of NumPy arrays; () for a task that draws its batches."""
        ...

    def baseline(self, data: Any) -> float:
        """The loss of the best answer that remembers nothing of the sequence."""
        ...

    def batch(self, data: Any, key: Array, index: Any, batch_size: int) -> Batch:
        """The ``index``-th batch to train on; pure and jittable, ``index`` may be traced."""
        ...

    def test(self, data: Any, key: Array, batch_size: int) -> Batch:
        """Sequences to be judged by: fresh ones, or the first ``batch_size`` held out."""
        ...

    def score(self, outputs: Array, batch: Batch) -> dict[str, Array]:
        """Scalars that tell how well ``outputs`` (B, O) or (B, T, O) answer the batch.

        Always with "loss", the masked mean of :attr:`loss`.
        """
        ...
