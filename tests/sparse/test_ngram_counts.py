"""n-gram counts against a Counter over every window."""

import itertools
from collections import Counter

import numpy as np
import pytest

from rnnlab.sparse.ngram_counts import count_ngrams


def documents(size, seed=0, count=30):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 25, count)
    codes = np.minimum(rng.geometric(min(0.5, 20 / size), lengths.sum()) - 1, size - 1)
    codes[:2] = 0, size - 1  # the first and the last number occur
    return codes, np.concatenate([[0], np.cumsum(lengths)])


def spelled(counts, m):
    """The m-grams as tuples of words, by their number."""
    grams = [()]
    for length in range(1, m + 1):
        last, contexts = counts.last_words(length), counts.contexts(length)
        grams = [(*grams[c], int(w)) for c, w in zip(contexts, last, strict=True)]
    return grams


# one column of 64 bits; several; of one word each
@pytest.mark.parametrize(("size", "order"), [(7, 1), (7, 4), (300, 5), (70_000, 5), (2**40, 3)])
def test_counts_are_those_of_every_window(size, order):
    codes, offsets = documents(size)
    counts = count_ngrams(codes, offsets, order, size)
    texts = [codes[a:b].tolist() for a, b in itertools.pairwise(offsets)]
    by_hand = {
        m: Counter(tuple(t[i : i + m]) for t in texts for i in range(len(t) - m + 1))
        for m in range(1, order + 1)
    }
    for m, level in enumerate(counts.levels, start=1):
        grams = spelled(counts, m)
        assert grams == sorted(by_hand[m])
        assert dict(zip(grams, level.counts.tolist(), strict=True)) == by_hand[m]
        before = Counter(gram[1:] for gram in by_hand.get(m + 1, ()))
        assert level.continuations.tolist() == [before[g] for g in grams]


def test_numbers_are_found():
    codes, offsets = documents(9)
    counts = count_ngrams(codes, offsets, 3, 9)
    grams = spelled(counts, 2)
    prefix = counts.find(1, np.zeros(len(grams), np.int64), np.array([g[0] for g in grams]))
    found = counts.find(2, prefix, np.array([g[1] for g in grams]))
    assert found.tolist() == list(range(len(grams)))
    missing = next((a, b) for a in range(9) for b in range(9) if (a, b) not in grams)
    prefix = counts.find(1, np.zeros(1, np.int64), np.array(missing[:1]))
    assert counts.find(2, prefix, np.array(missing[1:])).tolist() == [-1]
    assert counts.find(2, np.array([-1]), np.array([0])).tolist() == [-1]
    own = counts.followers(2, 3)
    assert [g for g in grams if g[0] == 3] == grams[own]


def test_bad_input_is_refused_and_nothing_is_counted():
    codes, offsets = documents(5)
    with pytest.raises(ValueError, match="order must be a whole number of at least 1"):
        count_ngrams(codes, offsets, 0, 5)
    with pytest.raises(ValueError, match="codes must be 0 to 3"):
        count_ngrams(codes, offsets, 2, 4)
    empty = count_ngrams(codes[:0], np.zeros(3, np.int64), 2, 5)
    assert [len(level.keys) for level in empty.levels] == [0, 0]
    assert empty.find(1, np.zeros(1, np.int64), np.array([1])).tolist() == [-1]
