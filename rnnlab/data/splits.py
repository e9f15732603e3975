"""Which examples are held out, and the order in which the others are seen."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.core.validate import whole

_SPLIT_SEED = 0


def split_by_class(labels: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Split rows into training and held-out ones, at least one of each per class.

    Both parts are in random order, the same in every run for the same labels.

    Args:
        labels: (N,), every class at least twice.
        share: part of each class that is held out, rounded to whole rows.
    Returns:
        (training rows, held-out rows), together 0 … N−1.

    >>> [rows.tolist() for rows in split_by_class(np.array([0, 1, 0, 1, 0]), 0.3)]
    [[0, 1, 2], [3, 4]]
    """
    rng = np.random.default_rng(_SPLIT_SEED)
    train, test = [], []
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        held_out = min(max(round(share * len(rows)), 1), len(rows) - 1)
        test.append(rows[:held_out])
        train.append(rows[held_out:])
    return rng.permutation(np.concatenate(train)), rng.permutation(np.concatenate(test))


def validation_rows(labels: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Take a share of the rows to learn from as validation rows, class by class.

    ⌊share · N + ½⌋ rows, split among the classes in proportion to their sizes (what is left after
    whole rows goes to the largest remainders); at least one of each class is left to learn from.
    The same in every run for the same labels.

    Args:
        labels: (N,); all equal where there are no classes.
        share: of the rows, 0 to below 1.
    Returns:
        (rows to learn from, in order; validation rows, in random order), together 0 … N−1.

    >>> [rows.tolist() for rows in validation_rows(np.array([0, 1, 0, 1, 0, 1]), 0.3)]
    [[0, 1, 2, 3], [4, 5]]
    """
    rng = np.random.default_rng(_SPLIT_SEED)
    classes, counts = np.unique(labels, return_counts=True)
    exact = share * counts
    taken = exact.astype(int)  # below counts, as the share is below 1
    total = int(share * len(labels) + 0.5)
    for place in np.argsort(taken - exact, kind="stable"):
        if taken.sum() < total and taken[place] < counts[place] - 1:
            taken[place] += 1
    rows = [
        rng.permutation(np.flatnonzero(labels == label))[:count]
        for label, count in zip(classes, taken, strict=True)
    ]
    held = rng.permutation(np.concatenate([np.zeros(0, int), *rows]))
    return np.setdiff1d(np.arange(len(labels)), held), held


def evenly_spaced(count: int, of: int) -> np.ndarray:
    """Return ``count`` places among ``of``, evenly spaced from the first: ⌊i · of/count⌋.

    Args:
        count: 0 to ``of``.

    >>> evenly_spaced(3, 4).tolist(), evenly_spaced(0, 4).tolist()
    ([0, 1, 2], [])
    """
    whole("count", count, 0, of)
    return np.arange(count) * of // max(count, 1)


def shuffled_indices(
    key: jax.Array, n: int, position: int | jax.Array, batch_size: int
) -> jax.Array:
    """Return the examples of batch ``position`` of n examples reshuffled every epoch.

    An epoch has ⌊n / batch_size⌋ batches and no example twice; the n mod batch_size examples that
    it leaves out are others every time. Its order is the permutation of fold_in(key, epoch).

    Args:
        key: a typed key.
        position: number of the batch, from 0; may be traced.
    Returns:
        (batch_size,) int32 from 0 … n−1.
    Raises:
        ValueError: batch_size below 1 or above n.

    >>> key = jax.random.key(0)
    >>> sorted(int(i) for batch in range(3) for i in shuffled_indices(key, 6, batch, 2))
    [0, 1, 2, 3, 4, 5]
    """
    if not 1 <= batch_size <= n:
        raise ValueError(f"batch_size must be 1 to {n}, the number of examples, got {batch_size}")
    position = jnp.asarray(position, jnp.int32)
    batches = n // batch_size
    order = jax.random.permutation(jax.random.fold_in(key, position // batches), n)
    return jax.lax.dynamic_slice(order, (position % batches * batch_size,), (batch_size,))


@dataclass(frozen=True)
class Shuffled:
    """Examples in an order whose whole state is one number: :func:`shuffled_indices` of a seed.

    Args:
        n: number of examples.
        seed: of the permutations.
    Raises:
        ValueError: n below 1.

    >>> order = Shuffled(n=6, seed=0)
    >>> sorted(int(i) for position in range(3) for i in order.indices(position, batch_size=2))
    [0, 1, 2, 3, 4, 5]
    """

    n: int
    seed: int = 0

    def __post_init__(self) -> None:
        whole("n", self.n)

    def indices(self, position: int | jax.Array, batch_size: int) -> jax.Array:
        """Return the examples (batch_size,) int32 of batch ``position``."""
        return shuffled_indices(jax.random.key(self.seed), self.n, position, batch_size)


def permuted(rows: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return rows (N, T) with their first ``lengths`` (N,) symbols in random order."""
    rng = np.random.default_rng(0)
    keys = np.where(np.arange(rows.shape[1]) < lengths[:, None], rng.random(rows.shape), 2.0)
    return np.take_along_axis(rows, np.argsort(keys, axis=1, kind="stable"), axis=1)
