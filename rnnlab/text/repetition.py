"""Measures of generated text: copies from another text, loops, and distinct n-grams.

Shapes: N length of the text that is searched, M samples, T symbols per sample.
"""

from collections.abc import Sequence

import numpy as np

from rnnlab.core.validate import whole


def longest_copies(text: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """Return the length of the longest substring that each sample shares with the text.

    Exact: substrings get numbers, length by length, and only those that occur on both sides are
    extended.

    Args:
        text: (N,) whole numbers from 0 on.
        samples: (M, T) of the same symbols.
    Returns:
        (M,) int64, in symbols; 0 for a sample that has no symbol of the text.
    Raises:
        ValueError: another shape, or a negative symbol.

    >>> longest_copies(np.array([1, 2, 3, 1, 2]), np.array([[3, 1, 2, 3], [4, 4, 2, 4]])).tolist()
    [3, 1]
    """
    text, samples = np.asarray(text, np.int64), np.asarray(samples, np.int64)
    if text.ndim != 1 or samples.ndim != 2 or not text.size or not samples.size:
        raise ValueError(
            f"expected a text (N,) and samples (M, T), got {text.shape} and {samples.shape}"
        )
    if min(text.min(), samples.min()) < 0:
        raise ValueError("symbols must be 0 or more")
    size = int(max(text.max(), samples.max())) + 1
    longest = np.zeros(len(samples), np.int64)
    # equal substrings have one number; each side keeps the starts of those that the other has
    at, number = np.arange(len(text)), np.zeros(len(text), np.int64)
    row, column = (part.ravel() for part in np.indices(samples.shape))
    sample_number = np.zeros(samples.size, np.int64)
    for length in range(1, min(len(text), samples.shape[1]) + 1):
        inside = at + length <= len(text)
        at = at[inside]
        grams = number[inside] * size + text[at + length - 1]
        inside = column + length <= samples.shape[1]
        row, column = row[inside], column[inside]
        sample_grams, sample_number = np.unique(
            sample_number[inside] * size + samples[row, column + length - 1], return_inverse=True
        )
        if not sample_grams.size:
            break
        number = np.minimum(np.searchsorted(sample_grams, grams), len(sample_grams) - 1)
        same = sample_grams[number] == grams
        at, number = at[same], number[same]
        shared = np.bincount(number, minlength=len(sample_grams))[sample_number] > 0
        row, column, sample_number = row[shared], column[shared], sample_number[shared]
        longest[row] = length
    return longest


def loop(symbols: Sequence[object] | np.ndarray, rounds: int = 3) -> tuple[int, int]:
    """Find the loop in which a sequence ends.

    Args:
        symbols: (T,).
        rounds: repetitions that make a loop.
    Returns:
        (p, t): from place t to the end the sequence repeats every p symbols, p and t the smallest;
        (0, T) for a sequence that does not end in a loop.

    >>> loop("to be or be or be or "), loop("no loop at all")
    ((6, 2), (0, 14))
    """
    xs = np.asarray(list(symbols))
    T = len(xs)
    for p in range(1, T // rounds + 1):
        same = xs[p:] == xs[:-p]
        if same[T - rounds * p :].all():
            broken = np.flatnonzero(~same)
            return p, int(broken[-1]) + 1 if broken.size else 0
    return 0, T


def distinct(texts: Sequence[Sequence[str]], n: int) -> float:
    """Return the number of distinct n-grams over that of all n-grams of the texts together.

    It falls with the size of the texts: compare equal sizes.

    Raises:
        ValueError: n below 1, or no n-gram at all.
    Source: Li et al. 2016 (arXiv 1510.03055), §5.2.

    >>> distinct([["a", "b", "a", "b"], ["a", "b"]], 2)
    0.5
    """
    n = whole("n", n)
    grams = [tuple(words[i : i + n]) for words in texts for i in range(len(words) - n + 1)]
    if not grams:
        raise ValueError(f"no text has {n} tokens")
    return len(set(grams)) / len(grams)
