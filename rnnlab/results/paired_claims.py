"""Claims that one classifier is more accurate than another on the same test examples.

For classifiers that are the same for every seed, such as a regression on counts of words: what can
vary is the test set. Networks are compared over seeds, see :mod:`rnnlab.results.comparison_claims`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rnnlab.core import validate
from rnnlab.core.errors import Undecided
from rnnlab.results.claims import Claim
from rnnlab.results.comparison_claims import share_interval
from rnnlab.results.statistics import COMPARISON_ERROR


class Paired(NamedTuple):
    """A difference of accuracies on the same n examples, first − second.

    Args:
        difference: (b − c)/n.
        low, high: of its exact interval.
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
        error: the probability that the interval misses the true difference, at most.
    Raises:
        ValueError: shapes that differ, or no examples.
    Source: McNemar 1947; Clopper & Pearson 1934.

    >>> [round(float(x), 2) for x in paired([1] * 9 + [0], [0] * 10)]
    [0.9, 0.3, 0.9, 9, 0]
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


def more_accurate(
    statement: str,
    *,
    right: Callable[[str], ArrayLike],
    answers: tuple[str, str],
    margin: float,
    source: str,
    expected: str = "holds",
) -> Claim:
    """Return the claim that the first classifier is more accurate than the second.

    By the 95% interval of :func:`paired`: it is refuted where the interval lies within ±margin or
    below 0, holds where it lies above 0 and not within ±margin, and is undecided otherwise.

    Args:
        statement: the claim, a sentence.
        right: name ↦ which of the test examples it has right (n,).
        answers: the names of both.
        margin: a difference that does not matter.
        source, expected: as :class:`~rnnlab.results.claims.Claim`'s.
    """
    first, second = answers
    holds_if = (
        f"on the same test examples the exact 95% interval of the accuracy of {first} − that of "
        f"{second} lies above 0, and not within ±{margin:g}"
    )

    def check() -> tuple[bool, str]:
        a, b = (np.asarray(right(name), bool) for name in answers)
        found = paired(a, b)
        words = (
            f"{first} {a.mean():.1%}, {second} {b.mean():.1%}, difference {found.difference:.2%} "
            f"[{found.low:.2%} to {found.high:.2%}]; right alone in {found.first} and "
            f"{found.second} of {len(a):,}"
        )
        if -margin < found.low and found.high < margin:
            return False, f"equivalent: {words}"
        if found.low <= 0 <= found.high:
            raise Undecided(words)
        return found.low > 0, words

    return Claim(statement, source, holds_if, expected, check)
