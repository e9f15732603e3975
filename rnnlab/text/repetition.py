"""What a text repeats: of another text, and of itself. To measure generated text by.

Shapes: N length of the text that is searched, M samples, T symbols of each.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np


def longest_copies(text: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """The longest stretch of each sample that stands in the text word for word, in symbols.

    Stretches are numbered length by length, as long as one of a sample's is in the text: exact,
    O((N + M T) log N) a length.

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
        raise ValueError(f"a text (N,) and samples (M, T) wanted, got {text.shape} and "
                         f"{samples.shape}")  # fmt: skip
    if min(text.min(), samples.min()) < 0:
        raise ValueError("symbols must be 0 or more")
    size = int(max(text.max(), samples.max())) + 1
    found = np.zeros(len(samples), np.int64)
    # the number of the stretch that begins at each place; −1: not in the text
    stretch, asked = np.zeros(len(text), np.int64), np.zeros(samples.shape, np.int64)
    for length in range(1, min(len(text), samples.shape[1]) + 1):
        grams, stretch = np.unique(stretch * size + text[length - 1 :], return_inverse=True)
        gram = np.where(asked < 0, -1, asked * size + samples[:, length - 1 :])
        place = np.minimum(np.searchsorted(grams, gram), len(grams) - 1)
        known = grams[place] == gram
        if not known.any():
            break
        found[known.any(axis=1)] = length
        stretch, asked = stretch[:-1], np.where(known, place, -1)[:, :-1]
    return found


def loop(symbols: Sequence[Any] | np.ndarray, rounds: int = 3) -> tuple[int, int]:
    """(p, t): from t on the sequence repeats itself every p symbols, to its end.

    p is the smallest with at least so many rounds, and t the first place from which on it holds;
    (0, T) for a sequence that ends in no loop.

    >>> loop("to be or be or be or "), loop("no loop at all")
    ((6, 3), (0, 14))
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
