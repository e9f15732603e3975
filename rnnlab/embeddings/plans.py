"""Random draws for a chunk of a corpus: kept words, windows and noise, in NumPy, from a seed.

An engine only reads a plan, so that the draws do not depend on the engine.

Shapes: T tokens of a chunk, n kept tokens, S samples per group of centers.
"""

from typing import NamedTuple

import numpy as np


class Plan(NamedTuple):
    """Centers t = 0 … n−1, whose context is t−left[t] … t+right[t] without t."""

    ids: np.ndarray  # (n,) int32
    left: np.ndarray  # (n,) int32
    right: np.ndarray  # (n,) int32
    negatives: np.ndarray  # (⌈n / group⌉, S) int32: center t has row t // group


def noise_probabilities(counts: np.ndarray, power: float = 0.75) -> np.ndarray:
    """Return P(w) ∝ count_w^power.

    Source: Mikolov et al. 2013 (arXiv 1310.4546), section 2.2.

    >>> noise_probabilities(np.array([16, 1])).round(4).tolist()
    [0.8889, 0.1111]
    """
    weights = np.asarray(counts, np.float64) ** power
    return weights / weights.sum()


class Noise:
    """Words drawn from the noise distribution, one long run per epoch.

    Each chunk reads the run from a random position on: sequential reads, unlike look-ups of single
    words in a table.

    Args:
        probabilities: (V,). size: words of the run.
    """

    def __init__(self, probabilities: np.ndarray, rng: np.random.Generator, size: int) -> None:
        drawn = rng.multinomial(size, probabilities)
        table = np.repeat(np.arange(len(drawn), dtype=np.int32), drawn)
        # with replacement: half the time of a shuffle
        self._run = table[rng.integers(size, size=size, dtype=np.int32)]

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Return (count,) int32."""
        start = int(rng.integers(len(self._run)))
        return np.take(self._run, np.arange(start, start + count), mode="wrap")


def windows(
    offsets: np.ndarray, window: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw b ~ U{1 … window} for each center, cut at the ends of its document.

    Args:
        offsets: (N+1,), of the kept words of each document.
    Returns:
        left and right (n,) int32.
    Source: word2vec.c; arXiv 1301.3781, section 3.2.
    """
    offsets = offsets.astype(np.int32)  # like the other arrays of a plan, to halve the memory
    n = int(offsets[-1])
    lengths = np.diff(offsets)
    position = np.arange(n, dtype=np.int32)
    b = rng.integers(1, window + 1, n, dtype=np.int32)
    left = np.minimum(b, position - np.repeat(offsets[:-1], lengths))
    right = np.minimum(b, np.repeat(offsets[1:] - np.int32(1), lengths) - position)
    return left, right


def thinned(
    ids: np.ndarray, offsets: np.ndarray, keep: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Keep each token with the probability of its word.

    Args:
        ids: (T,). offsets: (N+1,). keep: (V,) float32, the probabilities.
    Returns:
        ids (n,) and offsets (N+1,) of the kept tokens.
    """
    kept = np.flatnonzero(rng.random(len(ids), dtype=np.float32) < keep[ids])
    return ids[kept], np.searchsorted(kept, offsets)
