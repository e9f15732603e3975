"""Prediction of a text by counting: an interpolated character n-gram.

Source: Witten & Bell 1991; Chen & Goodman 1999, section 2.4.
"""

import numpy as np

from rnnlab.core import validate


def ngram_probabilities(
    train: np.ndarray, test: np.ndarray, order: int, size: int | None = None
) -> np.ndarray:
    """Return p(c_t | c_{t−n+1} … c_{t−1}) of every character of ``test``, Witten–Bell.

    p(c | h) = (N(h c) + T(h) p(c | h′)) / (N(h) + T(h)), h′ being h without its oldest character,
    N the number of occurrences in ``train`` (N(h): followed by anything), T(h) the number of
    different characters that follow h, and 1 / size below the unigram. Where h does not occur,
    p(c | h′). The first characters of ``test`` have shorter contexts.

    Args:
        train, test: (N,), (M,) whole numbers 0 … size−1.
        order: n, 1 for the unigram.
        size: characters of the alphabet; None: the largest of both texts, plus 1.
    Returns:
        (M,) float64.
    Raises:
        ValueError: order below 1, an empty text, or characters outside the alphabet.

    >>> ngram_probabilities(np.array([0, 1, 0]), np.array([0, 1]), order=1).tolist()
    [0.6, 0.4]
    """
    train, test = np.asarray(train), np.asarray(test)
    order = validate.whole("order", order)
    for name, text in (("train", train), ("test", test)):
        if text.ndim != 1 or not text.size or not np.issubdtype(text.dtype, np.integer):
            raise ValueError(f"{name} must be whole numbers (N,), got {text.dtype} {text.shape}")
    low, high = min(train.min(), test.min()), max(train.max(), test.max())
    size = int(high) + 1 if size is None else size
    if low < 0 or high >= size:
        raise ValueError(f"characters must be 0 to {size - 1}, got {low} to {high}")

    train, test = train.astype(np.int64), test.astype(np.int64)
    p = np.full(len(test), 1 / size)
    # the number of each character's context; −1: a context that the training text does not have
    context, test_context = np.zeros(len(train), np.int64), np.zeros(len(test), np.int64)
    for n in range(1, order + 1):
        # context · size + character stays far below 2⁶³: contexts are numbered 0 … N−1
        grams, number, counts = np.unique(
            context * size + train[n - 1 :], return_inverse=True, return_counts=True
        )
        total = np.bincount(grams // size, weights=counts)
        follow = np.bincount(grams // size)

        gram = np.where(test_context < 0, -1, test_context * size + test[n - 1 :])
        place = np.minimum(np.searchsorted(grams, gram), len(grams) - 1)
        known = grams[place] == gram
        # the last context of the training text may be followed by nothing
        inside = (test_context >= 0) & (test_context < len(total))
        N, T = (
            np.where(inside, part[np.where(inside, test_context, 0)], 0) for part in (total, follow)
        )
        seen = N + T > 0
        shorter = p[n - 1 :]
        p[n - 1 :] = np.where(
            seen, (known * counts[place] + T * shorter) / np.where(seen, N + T, 1), shorter
        )

        context, test_context = number[:-1], np.where(known, place, -1)[:-1]
        if not len(context) or not len(test_context):  # a text shorter than the order
            break
    return p


def ngram_bits(train: np.ndarray, test: np.ndarray, order: int, size: int | None = None) -> float:
    """Return bits per character, −mean log₂ of :func:`ngram_probabilities`.

    >>> round(ngram_bits(np.arange(60) % 3, np.arange(30) % 3, order=2), 2)
    0.1
    """
    return float(-np.log2(ngram_probabilities(train, test, order, size)).mean())
