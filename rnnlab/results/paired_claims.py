"""Claims that one classifier is more accurate than another on the same test examples.

For classifiers that are the same for every seed, such as a regression on counts of words: what can
vary is the test set. Networks are compared over seeds, see :mod:`rnnlab.results.comparison_claims`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rnnlab.core import validate
from rnnlab.core.errors import Undecided
from rnnlab.results.claims import Claim
from rnnlab.results.comparison_claims import share_interval
from rnnlab.results.comparison_words import percent
from rnnlab.results.statistics import COMPARISON_ERROR


class Paired(NamedTuple):
    """A difference of accuracies on the same n examples, first − second.

    Args:
        difference: (b − c)/n.
        low, high: of its exact interval, given how many examples differ.
        first, second: b and c, the examples that only the first or only the second has right.
    """

    difference: float
    low: float
    high: float
    first: int
    second: int


def paired(first: ArrayLike, second: ArrayLike, error: float = COMPARISON_ERROR) -> Paired:
    """Return the difference of two accuracies with its interval, given the examples that differ.

    Of b + c examples that one classifier alone has right, the first has a share p of them; the
    difference is (2p − 1)(b + c)/n, and the interval that of the exact (Clopper–Pearson) one of p.
    It leaves 0 out exactly where McNemar's exact test rejects equal accuracies.

    Args:
        first, second: whether each example is right (n,).
        error: the probability that the interval misses the true difference, at most, among test
            sets in which as many examples differ: enough to say which is ahead, not by how much.
    Raises:
        ValueError: shapes that differ, or no examples.
    Source: McNemar 1947; Clopper & Pearson 1934.

    >>> [round(float(x), 2) for x in paired([1] * 9 + [0], [0] * 10)]
    [0.9, 0.29, 0.9, 9.0, 0.0]
    """
    a, b = np.asarray(first, bool), np.asarray(second, bool)
    validate.shape("first", a, ("n",))
    validate.shape("second", b, (len(a),))
    if not len(a):
        raise ValueError("no examples to compare")
    alone, others = int((a & ~b).sum()), int((b & ~a).sum())
    differ = alone + others
    low, high = share_interval(alone, differ, error) if differ else (0.5, 0.5)
    scale = differ / len(a)
    return Paired(
        (alone - others) / len(a), (2 * low - 1) * scale, (2 * high - 1) * scale, alone, others
    )


def spread(found: Paired, n: int, error: float = COMPARISON_ERROR) -> tuple[float, float]:
    """Return an interval of the difference over all test sets of n examples.

    With half an example added to each cell of the table of both answers, d ± z s with
    d = (b − c)/(n + 2) and s² = (b + c + 1 − (b − c)²/(n + 2))/(n + 2)².

    Args:
        found: b and c.
        n: examples.
        error: the probability that the interval misses the true difference, about.
    Source: Agresti & Min 2005, Statistics in Medicine 24, 729–740.

    >>> [round(float(end), 3) for end in spread(Paired(0.0, 0.0, 0.0, 0, 0), 3)]
    [-0.392, 0.392]
    """
    from scipy import special  # takes 0.3 s to load

    differ, ahead, n = found.first + found.second + 1, found.first - found.second, n + 2
    length = special.ndtri(1 - error / 2) * math.sqrt(differ - ahead**2 / n) / n
    return ahead / n - length, ahead / n + length


def more_accurate(
    statement: str,
    *,
    right: Callable[[str], ArrayLike],
    answers: tuple[str, str],
    margin: float,
    source: str,
    expected: str = "holds",
    error: float = COMPARISON_ERROR,
) -> Claim:
    """Return the claim that the first classifier is more accurate than the second.

    It is refuted where the interval of :func:`spread` lies within ±margin, or that of
    :func:`paired` below 0; it holds where that of :func:`paired` lies above 0, and the other not
    within ±margin; it is undecided otherwise. Each has the level 1 − ``error``.

    Args:
        statement: the claim, a sentence.
        right: name ↦ which of the test examples it has right (n,).
        answers: the names of both.
        margin: a difference that does not matter.
        source, expected: as :class:`~rnnlab.results.claims.Claim`'s.
        error: the probability that an interval misses the true difference.
    """
    first, second = answers
    holds_if = (
        f"on the same test examples the {percent(1 - error)} interval of the accuracy of {first} − "
        f"that of {second} lies above 0 (McNemar's exact test), and not within ±{margin:g}"
    )

    def check() -> tuple[bool, str]:
        a, b = (np.asarray(right(name), bool) for name in answers)
        found = paired(a, b, error)
        words = (
            f"{first} {a.mean():.1%}, {second} {b.mean():.1%}, difference {found.difference:.2%} "
            f"[{found.low:.2%} to {found.high:.2%}]; right alone in {found.first} and "
            f"{found.second} of {len(a):,}"
        )
        low, high = spread(found, len(a), error)
        if -margin < low and high < margin:
            return False, f"equivalent: {words}"
        if found.low <= 0 <= found.high:
            raise Undecided(words)
        return found.low > 0, words

    return Claim(statement, source, holds_if, expected, check)
