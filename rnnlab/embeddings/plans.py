"""What is drawn before a chunk is trained on: kept words, windows, noise. NumPy, by seed alone.

An engine only reads a plan, so that every engine sees the same draws, however it is run.

Shapes: T tokens of a chunk, n those of them that are kept, S samples a group of centers.
"""

from typing import NamedTuple

import numpy as np


class Plan(NamedTuple):
    """Centers t = 0 … n−1, each with context t−left[t] … t+right[t], itself left out."""

    ids: np.ndarray  # (n,) int32
    left: np.ndarray  # (n,) int32
    right: np.ndarray  # (n,) int32
    negatives: np.ndarray  # (⌈n / group⌉, S) int32: center t has row t // group


def noise_probabilities(counts: np.ndarray, power: float = 0.75) -> np.ndarray:
    """P(w) ∝ count_w^power. Source: Mikolov et al. 2013 (arXiv 1310.4546), section 2.2.

    >>> noise_probabilities(np.array([16, 1])).round(4).tolist()
    [0.8889, 0.1111]
    """
    weights = np.asarray(counts, np.float64) ** power
    return weights / weights.sum()


class Noise:
    """Words drawn from the noise distribution, a long run of them at a time.

    A run is drawn once an epoch, without bias, and read from a place that is drawn anew for each
    chunk: in memory's order, where a table would be read all over the place.

    Args:
        probabilities: (V,). size: words a run.
    """

    def __init__(self, probabilities: np.ndarray, rng: np.random.Generator, size: int) -> None:
        drawn = rng.multinomial(size, probabilities)
        table = np.repeat(np.arange(len(drawn), dtype=np.int32), drawn)
        self._run = table[rng.integers(size, size=size, dtype=np.int32)]  # half a shuffle's time

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """(count,) int32."""
        start = int(rng.integers(len(self._run)))
        return np.take(self._run, np.arange(start, start + count), mode="wrap")


def windows(
    offsets: np.ndarray, window: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(left (n,), right (n,)) int32: b ~ U{1 … window} each way, cut at the document's ends.

    Args:
        offsets: (N+1,), of the kept words of each document.
    Source: word2vec.c; arXiv 1301.3781, section 3.2.
    """
    offsets = offsets.astype(np.int32)  # as the plan's own numbers are: half the memory to go over
    n = int(offsets[-1])
    lengths = np.diff(offsets)
    at = np.arange(n, dtype=np.int32)
    b = rng.integers(1, window + 1, n, dtype=np.int32)
    left = np.minimum(b, at - np.repeat(offsets[:-1], lengths))
    right = np.minimum(b, np.repeat(offsets[1:] - np.int32(1), lengths) - at)
    return left, right


def thinned(
    ids: np.ndarray, offsets: np.ndarray, keep: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(ids (n,), offsets (N+1,)): each word kept with its probability ``keep`` (V,), float32."""
    kept = np.flatnonzero(rng.random(len(ids), dtype=np.float32) < keep[ids])
    return ids[kept], np.searchsorted(kept, offsets)
