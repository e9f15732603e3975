"""Counts of all n-grams of a text, for all orders up to n at once, by one sort.

The words of an n-gram are packed into whole numbers, which are sorted; as shorter n-grams are
beginnings of longer ones, every order is read off the same sorted array. The result is a trie in
arrays: an m-gram is a number, and its key is (number of its first m−1 words, last word).
"""

from typing import NamedTuple

import numpy as np

from rnnlab.core.validate import whole


class Level(NamedTuple):
    """Distinct m-grams of one m."""

    keys: np.ndarray  # (G,) int64, rising: number of the first m−1 words · base + last word
    counts: np.ndarray  # (G,) int64, occurrences
    continuations: np.ndarray  # (G,) int64, N₁₊(• g): distinct words before it; of m = n: zeros


class NgramCounts(NamedTuple):
    """Counts of n-grams, levels 1 … n; words are whole numbers 0 … base−2."""

    base: int
    levels: tuple[Level, ...]

    def find(self, m: int, prefix: np.ndarray, words: np.ndarray) -> np.ndarray:
        """Return the numbers of m-grams: (…) int64, −1 for one that does not occur.

        Args:
            m: their length.
            prefix: (…) numbers of their first m−1 words, −1 for none; for m = 1: 0.
            words: (…) last words.
        """
        keys = self.levels[m - 1].keys
        if not len(keys):
            return np.full(np.shape(words), -1)
        key = np.where(prefix < 0, -1, prefix * self.base + words + 1)
        place = np.minimum(np.searchsorted(keys, key), len(keys) - 1)
        return np.where(keys[place] == key, place, -1)

    def followers(self, m: int, context: int) -> slice:
        """Return the range of m-grams that continue an (m−1)-gram; for m = 1: context 0."""
        edges = np.array([context, context + 1]) * self.base
        return slice(*np.searchsorted(self.levels[m - 1].keys, edges).tolist())

    def last_words(self, m: int) -> np.ndarray:
        """Return the last word of each m-gram: (G,)."""
        return self.levels[m - 1].keys % self.base - 1

    def contexts(self, m: int) -> np.ndarray:
        """Return the number of each m-gram's first m−1 words: (G,)."""
        return self.levels[m - 1].keys // self.base


def count_ngrams(codes: np.ndarray, offsets: np.ndarray, order: int, size: int) -> NgramCounts:
    """Count the n-grams of documents; none extends over a document's end.

    Args:
        codes: (T,) whole numbers 0 … size−1, one document after the other.
        offsets: (N+1,), document i is codes[offsets[i]:offsets[i + 1]].
        order: n of the longest n-grams.
        size: of the vocabulary.
    Raises:
        ValueError: order below 1, or codes out of range.

    >>> counts = count_ngrams(np.array([0, 1, 0, 1, 1]), np.array([0, 5]), order=2, size=2)
    >>> [level.counts.tolist() for level in counts.levels]
    [[2, 3], [2, 1, 1]]
    """
    order = whole("order", order)
    if codes.size and not 0 <= codes.min() <= codes.max() < size:
        raise ValueError(f"codes must be 0 to {size - 1}, got {codes.min()} to {codes.max()}")
    bits = int(size).bit_length()  # of a word + 1; 0 marks places beyond a document's end
    columns, weights = _distinct(_windows(codes, offsets, order, bits))
    words = _unpacked(columns, order, bits)

    base, levels, rows_of = size + 1, [], []
    new = np.zeros(len(weights), bool)  # first m words other than the row before's
    number = np.zeros(len(weights), np.int64)
    for m in range(1, order + 1):
        new |= np.diff(words[m - 1], prepend=np.int64(-1)) != 0
        starts = np.flatnonzero(new)
        inside = words[m - 1][starts] > 0
        rows = starts[inside]
        sums = np.add.reduceat(weights, starts)[inside] if len(starts) else weights[:0]
        keys = number[rows] * base + words[m - 1][rows]
        levels.append(Level(keys, sums, np.zeros(len(rows), np.int64)))
        rows_of.append(rows)
        fresh = np.zeros(len(weights), np.int64)
        fresh[rows] = 1
        number = np.cumsum(fresh) - 1
    counts = NgramCounts(base, tuple(levels))
    for m in range(2, order + 1):
        _continue(counts, m, rows_of, words, columns, bits)
    return counts


def _windows(codes: np.ndarray, offsets: np.ndarray, order: int, bits: int) -> list[np.ndarray]:
    """Pack the n words at every position into as few columns of 64 bits as possible."""
    left = np.repeat(offsets[1:], np.diff(offsets)) - np.arange(len(codes))  # words to the end
    shifted = codes.astype(np.uint64) + np.uint64(1)
    columns = []
    for first in range(0, order, 64 // bits):
        packed = np.zeros(len(codes), np.uint64)
        for j in range(first, min(first + 64 // bits, order)):
            packed <<= np.uint64(bits)
            word = shifted[j:] if j else shifted
            packed[: len(word)] |= np.where(left[: len(word)] > j, word, np.uint64(0))
        columns.append(packed)
    return columns


def _distinct(columns: list[np.ndarray]) -> tuple[list[np.ndarray], np.ndarray]:
    """Return (the distinct rows in order, the occurrences of each)."""
    if len(columns) == 1:
        columns = [np.sort(columns[0])]
    else:
        by = np.lexsort(columns[::-1])
        columns = [column[by] for column in columns]
    size = len(columns[0])
    changed = np.zeros(size, bool)
    changed[:1] = True
    for column in columns:
        changed[1:] |= column[1:] != column[:-1]
    first = np.flatnonzero(changed)
    return [column[first] for column in columns], np.diff(first, append=size)


def _unpacked(columns: list[np.ndarray], order: int, bits: int) -> list[np.ndarray]:
    mask, most, words = np.uint64((1 << bits) - 1), 64 // bits, []
    for j in range(order):
        in_column = min(most, order - j // most * most)  # number of words
        shift = np.uint64(bits * (in_column - 1 - j % most))
        words.append(((columns[j // most] >> shift) & mask).astype(np.int64))
    return words


def _continue(
    counts: NgramCounts,
    m: int,
    rows_of: list[np.ndarray],
    words: list[np.ndarray],
    columns: list[np.ndarray],
    bits: int,
) -> None:
    """Fill in N₁₊(• g) of every (m−1)-gram g, the number of m-grams that end in it."""
    rows, shorter = rows_of[m - 1], counts.levels[m - 2]
    if m * bits <= 64:
        in_column = min(64 // bits, len(words))
        ends = (columns[0][rows] >> np.uint64(bits * (in_column - m))) & np.uint64(
            (1 << bits * (m - 1)) - 1
        )
        ends.sort()
        first = np.flatnonzero(np.concatenate([[True], ends[1:] != ends[:-1]])[: len(ends)])
        grams = columns[0][rows_of[m - 2]] >> np.uint64(bits * (in_column - m + 1))
        places = np.searchsorted(grams, ends[first])
        shorter.continuations[places] = np.diff(first, append=len(ends))
    else:
        number = np.zeros(len(rows), np.int64)
        for length in range(1, m):
            number = counts.find(length, number, words[length][rows] - 1)
        shorter.continuations[:] = np.bincount(number, minlength=len(shorter.keys))
