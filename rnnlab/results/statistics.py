"""Decide between two arms of a comparison: better, worse, equivalent or undecided.

Members are paired by seed. A pair is looked at after a few numbers of seeds that are fixed
beforehand; its first decision is final. With m pairs and k looks each interval has the level
1 − 0.05/(m k) (Bonferroni), so that the probability of a wrong verdict in a comparison is at most
5%, however many of its arms are equal.

Scores are compared by an interval of their mean difference, or of the mean difference of their
logarithms where the margin is relative: a t interval, made longer on the side of the longer tail
(:func:`interval`). Times to solve, which may be infinite, are compared by the exact sign test, and
are equivalent only if both arms solve for every seed and the interval of the ratio of their times
lies within the margin.

Simulated comparisons (tests/results/test_statistics.py) of 2, 4 and 8 arms with looks at 8, 16 and
32 seeds, normal, exponential, lognormal, rounded and failing scores, hold the 5% for each kind of
wrong verdict. So does an arm of exponential scores against a nearly constant one, where the t
interval alone errs in 11%. **Limits:** lognormal scores of skewness 6.2 against a nearly constant
arm err in about 10% (t alone: 20%). A rare failure that no seed shows cannot be counted: one of
probability p is missed by 8 seeds with probability (1 − p)⁸, 17% at p = 0.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnnlab.core import validate

BETTER, WORSE, EQUIVALENT, UNDECIDED = VERDICTS = ("better", "worse", "equivalent", "undecided")
COMPARISON_ERROR = 0.05  # probability of a wrong verdict in one comparison
BAND = (0.1, 0.9)  # the outer quantiles of a band over seeds

_FAILURES = ("neither solves", "both diverge")  # of times, and of other scores
_MOST_SEEDS = 10_000  # of a forecast
_PROBABLY = 0.8  # probability that the forecast number of seeds decides
_SKEWNESS = 2.0  # times the sample's, by which an interval is corrected
_ROUNDING = 1e-9  # relative: floats closer than this count as equal

Floats = NDArray[np.float64]


def band_words(band: tuple[float, float] = BAND) -> str:
    """Return a band of quantiles in words.

    >>> band_words((0.1, 0.9)), band_words((0.025, 0.975))
    ('10–90%', '2.5–97.5%')
    """
    return "–".join(f"{100 * share:g}" for share in band) + "%"


@dataclass(frozen=True)
class Rule:
    """How the pairs of one comparison are decided.

    Args:
        margin: δ > 0: a smaller difference does not matter; of scores, or where ``relative`` or
            ``times``, of ratios: between 1/(1 + δ) and 1 + δ.
        pairs: pairs of arms that are compared.
        looks: numbers of seeds after which they are looked at.
        relative: whether scores are compared by their ratios; they must be positive then.
        higher: whether a higher score is better.
        times: whether the scores are times to solve, ∞ for never.
    Raises:
        ValueError: a number out of its range; times of which higher ones are better.
    """

    margin: float
    pairs: int = 1
    looks: tuple[int, ...] = (8, 16, 32)
    relative: bool = False
    higher: bool = False
    times: bool = False

    def __post_init__(self) -> None:
        validate.number("margin", self.margin, above=0)
        validate.whole("pairs", self.pairs, 1)
        if not self.looks:
            raise ValueError("looks must hold at least one number of seeds, such as (8, 16, 32)")
        looks = [validate.whole("looks", look, 2) for look in self.looks]
        if looks != sorted(set(looks)):
            raise ValueError(f"looks must rise, as (8, 16, 32) do, got {self.looks}")
        if self.times and self.higher:
            raise ValueError("times to solve are better when lower: drop higher or times")

    @property
    def level(self) -> float:
        """The error of one interval: 0.05/(pairs x looks)."""
        return COMPARISON_ERROR / (self.pairs * len(self.looks))

    @property
    def ratios(self) -> bool:
        """Whether logarithms of scores are compared."""
        return self.relative or self.times

    @property
    def bound(self) -> float:
        """The margin on the scale of the differences: δ, or log(1 + δ)."""
        return math.log1p(self.margin) if self.ratios else self.margin


class Decision(NamedTuple):
    """The comparison of arm a with arm b after so many seeds.

    Differences are a − b, or the logarithm of a/b where the rule compares ratios.

    Args:
        verdict: one of VERDICTS: a is … than b, or to b.
        difference: the mean; NaN where a score is not finite.
        low, high: of the interval of the mean; NaN likewise.
        seeds: that it rests on.
        reason: of an undecided verdict, else "".
    """

    verdict: str
    difference: float
    low: float
    high: float
    seeds: int
    reason: str

    @property
    def final(self) -> bool:
        """Whether more seeds are not asked for: it is decided, or most members of both fail."""
        return self.verdict != UNDECIDED or self.reason in _FAILURES


class Verdicts(NamedTuple):
    """The parts of many decisions, as arrays.

    Args:
        verdict: places in VERDICTS.
        difference, low, high: as in :class:`Decision`.
        both_fail: whether neither score is finite for most seeds.
    """

    verdict: NDArray[np.int64]
    difference: Floats
    low: Floats
    high: Floats
    both_fail: NDArray[np.bool_]


def decide(a: ArrayLike, b: ArrayLike, rule: Rule) -> Decision:
    """Decide between two arms by all seeds at hand.

    Args:
        a, b: scores (n,), paired by seed; see :func:`verdicts`.
        rule: of the comparison.
    Raises:
        ValueError: shapes that differ; fewer than 2 seeds; a ratio of scores that are not positive.
    """
    a, b = _paired(a, b, rule)
    validate.shape("a", a, ("n",))
    codes, difference, low, high, both_fail = verdicts(a, b, rule)
    verdict = VERDICTS[codes]
    reason = ""
    if verdict == UNDECIDED:
        reason = _FAILURES[not rule.times] if both_fail else "too few seeds"
    return Decision(verdict, float(difference), float(low), float(high), len(a), reason)


def verdicts(a: ArrayLike, b: ArrayLike, rule: Rule) -> Verdicts:
    """Decide between many pairs of arms at once.

    Args:
        a, b: scores (..., n), paired by seed. One that is not finite (∞ or NaN: diverged, or never
            solved) is worse than every finite one, whichever direction is better; two of them
            are a tie.
        rule: of the comparison.
    Raises:
        ValueError: as of :func:`decide`.
    """
    a, b = _paired(a, b, rule)
    if a.shape[-1] < 2:
        raise ValueError(f"a decision needs at least 2 seeds, got {a.shape[-1]}")
    finite_a, finite_b = np.isfinite(a), np.isfinite(b)
    both_fail = (~finite_a & ~finite_b).mean(-1) > 0.5
    whole = np.asarray((finite_a & finite_b).all(-1))
    x, y = np.where(whole[..., None], (a, b), 1.0)
    d = np.log(x) - np.log(y) if rule.ratios else x - y
    mean, low, high = interval(d, rule.level)
    bound = rule.bound * (1 - _ROUNDING)
    equivalent = whole & (-bound < low) & (high < bound)
    by_interval = (low > 0).astype(int) - (high < 0)
    by_seeds = _sign_test(*_counts(a, b, rule), rule.level)
    sign = np.where(whole & (not rule.times), by_interval, by_seeds)
    better = sign == (1 if rule.higher else -1)
    codes = np.select(
        [both_fail, equivalent, sign == 0, better],
        [VERDICTS.index(v) for v in (UNDECIDED, EQUIVALENT, UNDECIDED, BETTER)],
        VERDICTS.index(WORSE),
    )
    mean, low, high = (np.where(whole, value, np.nan) for value in (mean, low, high))
    return Verdicts(codes, mean, low, high, both_fail)


def follow(a: ArrayLike, b: ArrayLike, rule: Rule) -> Decision:
    """Decide between two arms at the looks of the rule; the first decision is final.

    Scores between two looks, and those after the decision, do not count.

    Args:
        a, b: scores (n,), paired by seed; see :func:`verdicts`.
        rule: of the comparison.
    Returns:
        The decision of that look, or of the last look that the scores reach; before the first look,
        undecided.
    Raises:
        ValueError: as of :func:`decide`.
    """
    a, b = _paired(a, b, rule)
    validate.shape("a", a, ("n",))
    reached = [look for look in rule.looks if look <= len(a)]
    if not reached:
        reason = f"{len(a)} of {rule.looks[0]} seeds"
        return Decision(UNDECIDED, math.nan, math.nan, math.nan, len(a), reason)
    for look in reached[:-1]:
        decision = decide(a[:look], b[:look], rule)
        if decision.verdict != UNDECIDED:
            return decision
    return decide(a[: reached[-1]], b[: reached[-1]], rule)


def _paired(a: ArrayLike, b: ArrayLike, rule: Rule) -> tuple[Floats, Floats]:
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape or a.ndim == 0:
        raise ValueError(f"scores must be paired by seed, got shapes {a.shape} and {b.shape}")
    if rule.ratios:
        for scores in (a, b):
            wrong = scores[np.isfinite(scores) & (scores <= 0)]
            if wrong.size:
                what = "times to solve" if rule.times else "scores compared by their ratio"
                raise ValueError(f"{what} must be above 0, got {wrong.flat[0]:g}")
    return a, b


# ---- intervals and tests -----------------------------------------------------------------------


def interval(d: ArrayLike, level: float) -> tuple[Floats, Floats, Floats]:
    """Return the mean of differences and the ends of an interval around it.

    d̄ ± (t + 2|g|(1 + 2t²)/(6√n)) s/√n on the side of the longer tail, d̄ ± t s/√n on the other;
    t = t_{n−1}(1 − level/2), s the standard deviation and g the skewness of the sample. The mean
    of a few skewed differences is mostly off in the direction of the shorter tail:
    g(1 + 2t²)/(6√n) is Johnson's correction of t. It is taken twice because 8 seeds show about half
    of the skewness of exponential scores (on average 1.05 of 2).

    Differences that are all equal give an interval of length 0.

    Args:
        d: differences (..., n), finite.
        level: the probability that the interval misses the mean.
    References:
        Johnson (1978), Modified t tests and confidence intervals for asymmetrical populations, JASA
        73, 536–544.
    """
    d = np.asarray(d, np.float64)
    mean, error, skewness = _moments(d)
    below, above = _lengths(skewness, d.shape[-1], level)
    return mean, mean - below * error, mean + above * error


def _moments(d: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the mean, its standard error and the skewness, corrected for its bias (G₁)."""
    n = d.shape[-1]
    mean = d.mean(-1)
    centered = d - mean[..., None]
    scale = np.where(d.max(-1) == d.min(-1), 0.0, np.abs(centered).max(-1))
    x = centered / np.where(scale > 0, scale, 1.0)[..., None]  # cubes could overflow
    squares = (x * x).mean(-1)
    cubes = (x * x * x).mean(-1)
    skewness = np.where(scale > 0, cubes / np.where(scale > 0, squares, 1.0) ** 1.5, 0.0)
    unbiased = math.sqrt(n * (n - 1)) / (n - 2) if n > 2 else 0.0
    return mean, scale * np.sqrt(squares / (n - 1)), unbiased * skewness


def _lengths(skewness: ArrayLike, n: ArrayLike, level: float) -> tuple[Floats, Floats]:
    """Return the lengths of an interval below and above its mean, in standard errors."""
    from scipy import special  # takes 0.3 s to load

    n = np.asarray(n)
    t = special.stdtrit(n - 1, 1 - level / 2)
    longer = _SKEWNESS * np.asarray(skewness) * (1 + 2 * t * t) / (6 * np.sqrt(n))
    return t + np.maximum(-longer, 0), t + np.maximum(longer, 0)


def _counts(a: Floats, b: Floats, rule: Rule) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the seeds for which a is above b, or below it; failed ones lie at the worse end."""
    worst = -np.inf if rule.higher else np.inf
    a, b = (np.where(np.isfinite(scores), scores, worst) for scores in (a, b))
    return (a > b).sum(-1), (a < b).sum(-1)


def _sign_test(above: ArrayLike, below: ArrayLike, level: float) -> NDArray[np.int64]:
    """Return 1, −1 or 0 by the exact two-sided sign test: p = 2 P(Binomial(n, 1/2) ≤ least)."""
    from scipy import special

    above, below = np.asarray(above), np.asarray(below)
    p = 2 * special.bdtr(np.minimum(above, below), above + below, 0.5)
    return np.where(p <= level, np.sign(above - below), 0)


# ---- how many seeds ----------------------------------------------------------------------------


def seeds_needed(a: ArrayLike, b: ArrayLike, rule: Rule) -> int | None:
    """Return the number of seeds that would decide a pair with a probability of 80%.

    It takes the mean and the spread of the differences for the true ones, so that of few seeds it
    is a rough forecast. Where the sign test decides, it takes the shares of the seeds on which a
    is above and below b.

    Args:
        a, b: scores (n,) of an undecided pair, paired by seed; see :func:`verdicts`.
        rule: of the comparison.
    Returns:
        More than n; n itself if the pair is decided; None if more than 10,000 would be needed.
    Raises:
        ValueError: as of :func:`decide`.
    """
    a, b = _paired(a, b, rule)
    decision = decide(a, b, rule)
    if decision.verdict != UNDECIDED:
        return decision.seeds
    n = np.arange(len(a) + 1, _MOST_SEEDS + 1)
    whole = np.isfinite(a).all() and np.isfinite(b).all()
    decides = np.zeros(len(n), bool)
    if decision.reason not in _FAILURES and (rule.times or not whole):
        decides |= _sign_power(a, b, rule, n) >= _PROBABLY
    if whole:
        decides |= _interval_power(a, b, rule, n) >= _PROBABLY
    return int(n[decides.argmax()]) if decides.any() else None


def _interval_power(a: Floats, b: Floats, rule: Rule, n: NDArray[np.int64]) -> Floats:
    """Return the probability that an interval of n seeds decides, if the moments are true."""
    from scipy import special

    d = np.log(a) - np.log(b) if rule.ratios else a - b
    mean, error, skewness = _moments(d)
    error = error * math.sqrt(len(d)) / np.sqrt(n)
    below, above = (length * error for length in _lengths(skewness, n, rule.level))

    def between(low: Floats, high: Floats) -> Floats:
        inside = special.ndtr((high - mean) / error) - special.ndtr((low - mean) / error)
        return np.maximum(inside, 0)

    low, high = below - rule.bound, rule.bound - above  # equivalent between them
    if rule.times:
        return between(low, high)
    # neither off zero nor equivalent
    undecided = between(-above, below)
    return 1 - undecided + between(np.maximum(low, -above), np.minimum(high, below))


def _sign_power(a: Floats, b: Floats, rule: Rule, n: NDArray[np.int64]) -> Floats:
    """Return the probability that the sign test of n seeds decides, if the shares are true."""
    from scipy import special

    above, below = _counts(a, b, rule)
    if above + below == 0:
        return np.zeros(len(n))
    count = np.round(n * (above + below) / len(a)).astype(int)
    share = max(above, below) / (above + below)
    most = _most_losses(count, rule.level)
    return np.where(most < 0, 0.0, special.bdtr(np.maximum(most, 0), count, 1 - share))


def _most_losses(count: NDArray[np.int64], level: float) -> Floats:
    """Return the largest k with 2 P(Binomial(count, 1/2) ≤ k) ≤ level; −1 if there is none."""
    from scipy import special

    k = np.floor(special.bdtrik(level / 2, count, 0.5))
    k = np.where(2 * special.bdtr(np.maximum(k, 0), count, 0.5) > level, k - 1, k)
    return np.maximum(k, -1)


# ---- tuning ------------------------------------------------------------------------------------


def smoothed(
    scores: ArrayLike,
    values: Sequence[Sequence[object]] | None = None,
    *,
    higher: bool = False,
    times: bool = False,
) -> Floats:
    """Return the score of each value of a tuned grid: the mean over it and its neighbors.

    The mean over the tuning seeds comes first, then the mean over the value and its next lower and
    higher one along every axis; of times, both are geometric. At an end of an axis the missing
    neighbor is extrapolated linearly, so that an end has its own score: with a mean over the
    neighbors that exist, the middle one of three values could not win, however much better it is
    than the two others.

    A score that is not finite counts as the worst finite one of the grid, so that values beside a
    failing one stay comparable. A value itself with more failed seeds than another is not chosen,
    whatever its neighbors: its score is ∞, or −∞ where higher is better. So is the score of a value
    that failed for every seed.

    Args:
        scores: validation scores (grid axes ..., seeds), in the order of the values.
        values: one sequence per axis; only those of numbers have neighbors. None: all have.
        higher: whether a higher score is better.
        times: whether scores are times to solve.
    Returns:
        (grid axes ...).
    Raises:
        ValueError: no axis of values; times that are not positive.
    """
    own, failures = _own(scores, higher, times)
    total = own.copy()
    axes = [i for i in range(own.ndim) if values is None or _ordered(values[i])]
    for axis in axes:
        line = np.moveaxis(own, axis, 0)
        sums = 2 * line
        sums[1:-1] = line[2:] + line[:-2]
        total += np.moveaxis(sums, 0, axis)
    mean = total / (1 + 2 * len(axes))
    mean = np.exp(mean) if times else mean
    out = (failures > failures.min()) | (failures == np.shape(scores)[-1])
    return np.where(out, -np.inf if higher else np.inf, mean)


def _ordered(values: Sequence[object]) -> bool:
    """Whether the values of an axis are numbers, so that it has neighbors."""
    return all(validate.real(value) for value in values)


def best(
    scores: ArrayLike,
    values: Sequence[Sequence[object]],
    *,
    higher: bool = False,
    times: bool = False,
) -> tuple[int, ...]:
    """Return the place of the best value of a tuned grid, one index per axis.

    It is the best by :func:`smoothed`; of several, the one with the best mean of its own; of
    several of those, the one with the smallest values, on the first axis first.

    Args:
        scores: validation scores (grid axes ..., seeds).
        values: one sequence per axis; numbers must rise.
        higher, times: as of :func:`smoothed`.
    Raises:
        ValueError: as of :func:`smoothed`; values that do not fit the scores, or do not rise.

    >>> best([[2.0], [1.0], [1.0], [2.0]], [(1e-3, 3e-3, 1e-2, 3e-2)])
    (1,)
    """
    own, _ = _own(scores, higher, times)
    validate.shape("scores", own, [len(axis) for axis in values])
    for axis in values:
        numbers = [float(value) for value in axis if validate.real(value)]
        if len(numbers) == len(axis) and numbers != sorted(set(numbers)):
            raise ValueError(f"the values of a grid must rise, got {tuple(axis)}")
    smooth = smoothed(scores, values, higher=higher, times=times)
    sign = -1 if higher else 1
    smooth, own = sign * smooth.ravel(), sign * own.ravel()
    places = np.flatnonzero(np.isclose(smooth, smooth.min(), rtol=_ROUNDING, atol=0))
    places = places[np.isclose(own[places], own[places].min(), rtol=_ROUNDING, atol=0)]
    return tuple(int(i) for i in np.unravel_index(places[0], [len(axis) for axis in values]))


def _own(scores: ArrayLike, higher: bool, times: bool) -> tuple[Floats, NDArray[np.int64]]:
    """Return the mean over the seeds and the number of failed seeds of every value."""
    scores = np.asarray(scores, np.float64)
    if scores.ndim < 2 or not scores.size:
        raise ValueError(f"scores must be (grid axes ..., seeds), got shape {scores.shape}")
    finite = np.isfinite(scores)
    known = scores[finite]
    if times and (known <= 0).any():
        raise ValueError(f"times to solve must be above 0, got {known.min():g}")
    known = np.log(known) if times else known
    worst = 0.0 if not known.size else known.min() if higher else known.max()
    filled = np.full(scores.shape, worst)
    filled[finite] = known
    return filled.mean(-1), (~finite).sum(-1)
