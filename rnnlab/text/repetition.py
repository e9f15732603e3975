"""What a text repeats: of another text, and of itself. To measure generated text by.

Shapes: N length of the text that is searched, M samples, T symbols of each.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np


def longest_copies(text: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """The longest stretch of each sample that stands in the text word for word, in symbols.

    Stretches are numbered length by length, as long as one of a sample's is in the text: exact,
    and what they have not in common is left behind.

    Args:
        text: (N,) whole numbers from 0 on. samples: (M, T) of the same symbols.
    Returns:
        (M,) int64; 0 for a sample whose every symbol is new.
    Raises:
        ValueError: another shape, or a negative symbol.

    >>> longest_copies(np.array([1, 2, 3, 1, 2]), np.array([[3, 1, 2, 3], [4, 4, 2, 4]])).tolist()
    [3, 1]
    """
    text, samples = np.asarray(text, np.int64), np.asarray(samples, np.int64)
    if text.ndim != 1 or samples.ndim != 2 or not text.size or not samples.size:
        raise ValueError(
            f"a text (N,) and samples (M, T) wanted, got {text.shape} and {samples.shape}"
        )
    if min(text.min(), samples.min()) < 0:
        raise ValueError("symbols must be 0 or more")
    size = int(max(text.max(), samples.max())) + 1
    found = np.zeros(len(samples), np.int64)
    # stretches that begin alike have one number; both sides keep those that the other has, too
    at, number = np.arange(len(text)), np.zeros(len(text), np.int64)
    row, column = (part.ravel() for part in np.indices(samples.shape))
    own = np.zeros(samples.size, np.int64)
    for length in range(1, min(len(text), samples.shape[1]) + 1):
        inside = at + length <= len(text)
        at = at[inside]
        grams = number[inside] * size + text[at + length - 1]
        inside = column + length <= samples.shape[1]
        row, column = row[inside], column[inside]
        asked, own = np.unique(
            own[inside] * size + samples[row, column + length - 1], return_inverse=True
        )
        if not asked.size:
            break
        number = np.minimum(np.searchsorted(asked, grams), len(asked) - 1)
        same = asked[number] == grams
        at, number = at[same], number[same]
        known = np.bincount(number, minlength=len(asked))[own] > 0
        row, column, own = row[known], column[known], own[known]
        found[row] = length
    return found


def loop(symbols: Sequence[Any] | np.ndarray, rounds: int = 3) -> tuple[int, int]:
    """(p, t): from t on the sequence repeats itself every p symbols, to its end.

    p is the smallest with at least so many rounds, and t the first place from which on it holds;
    (0, T) for a sequence that ends in no loop.

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
    """The share of the n-grams of all texts together that are different from each other.

    Source: Li et al. 2016 (arXiv 1510.03055), §5.2. It falls with the size: compare equal ones.

    Raises:
        ValueError: n below 1, or no n-gram at all.

    >>> distinct([["a", "b", "a", "b"], ["a", "b"]], 2)
    0.5
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    grams = [tuple(words[i : i + n]) for words in texts for i in range(len(words) - n + 1)]
    if not grams:
        raise ValueError(f"no text has {n} tokens")
    return len(set(grams)) / len(grams)
