"""Repeated passages, against searches written out as loops."""

import re

import numpy as np
import pytest

from rnnlab.text import repetition


@pytest.mark.parametrize("symbols", [2, 5, 40])
def test_the_longest_copies_equal_a_search(symbols):
    rng = np.random.default_rng(symbols)
    text = rng.integers(symbols, size=300)
    samples = rng.integers(symbols, size=(6, 25))
    samples[0, 3:20] = text[100:117]  # one that is long
    samples[1] = symbols + 3  # one that has nothing of it
    samples[2, 15:] = text[-10:]  # and one at both ends
    said = "".join(map(chr, text))
    for row, found in zip(samples, repetition.longest_copies(text, samples), strict=True):
        own = "".join(map(chr, row))
        expected = max(
            (j - i for i in range(25) for j in range(i + 1, 26) if own[i:j] in said), default=0
        )
        assert found == expected


def test_a_sample_that_is_all_copied():
    text = np.arange(9) % 4
    assert repetition.longest_copies(text, text[None, 2:]).tolist() == [7]
    assert repetition.longest_copies(text[:3], np.tile(text[:3], (1, 4))).tolist() == [3]


@pytest.mark.parametrize(
    ("text", "samples", "message"),
    [
        (
            np.zeros((2, 2), int),
            np.zeros((1, 2), int),
            r"expected a text \(N,\) and samples \(M, T\), got",
        ),
        (np.zeros(2, int), np.zeros(2, int), r"expected a text \(N,\) and samples \(M, T\), got"),
        (
            np.zeros(2, int),
            np.zeros((0, 2), int),
            r"expected a text \(N,\) and samples \(M, T\), got",
        ),
        (np.array([0, -1]), np.zeros((1, 2), int), "0 or more"),
    ],
)
def test_bad_texts_and_samples_are_refused(text, samples, message):
    with pytest.raises(ValueError, match=message):
        repetition.longest_copies(text, samples)


def test_loops_equal_a_pattern():
    rng = np.random.default_rng(0)
    for _ in range(60):
        head, body = ("".join(rng.choice(list("ab"), size=n)) for n in rng.integers(1, 7, size=2))
        text = head + body * int(rng.integers(1, 6)) + body[: int(rng.integers(0, len(body)))]
        for rounds in (2, 3):
            period, begin = repetition.loop(text, rounds)
            # the shortest p such that the last rounds · p symbols have period p
            expected = next(
                (
                    p
                    for p in range(1, len(text) // rounds + 1)
                    if re.search(rf"(.{{{p}}})\1{{{rounds - 1}}}$", text)
                ),
                0,
            )
            assert period == expected
            if period:
                last = range(len(text) - period)
                broken = [i + 1 for i in last if text[i] != text[i + period]]
                assert begin == max(broken, default=0)
            else:
                assert begin == len(text)


def test_distinct_equals_a_count():
    rng = np.random.default_rng(1)
    texts = [rng.choice(list("abc"), size=n).tolist() for n in (9, 1, 4, 0)]
    for n in (1, 2, 3):
        grams = ["".join(t[i : i + n]) for t in texts for i in range(len(t)) if i + n <= len(t)]
        assert repetition.distinct(texts, n) == len(set(grams)) / len(grams)
    with pytest.raises(ValueError, match="n must be a whole number of at least 1, got 0"):
        repetition.distinct(texts, 0)
    with pytest.raises(ValueError, match="no text has 10 tokens"):
        repetition.distinct(texts, 10)
