"""Claims about training that stand on a comparison, and take its verdict.

Each function makes a :class:`rnnlab.results.claims.Claim` for the list of ``claims(table,
comparisons)``. A pair that is undecided leaves its claim undecided.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from rnnlab.core.errors import Undecided
from rnnlab.results.claims import Claim
from rnnlab.results.comparison import ComparisonResult, Comparisons, Pair
from rnnlab.results.comparison_words import (
    digits,
    evidence,
    median,
    percent,
    score_words,
    tuned_words,
)
from rnnlab.results.statistics import (
    BETTER,
    COMPARISON_ERROR,
    EQUIVALENT,
    UNDECIDED,
    WORSE,
    interval,
)
from rnnlab.results.table import Member, Table

Measure = Callable[[Member], float]  # a number of a judged member


def better(
    statement: str,
    *,
    comparisons: Comparisons,
    name: str,
    arms: tuple[str, str],
    source: str,
    expected: str = "holds",
) -> Claim:
    """Return the claim that the first arm is better than the second.

    It holds where the verdict is "better"; "equivalent" and "worse" refute it.

    Args:
        statement: the claim, a sentence.
        comparisons: of the run. name: of the comparison.
        arms: their names.
        source, expected: as :class:`~rnnlab.results.claims.Claim`'s.
    """
    holds_if = f"{arms[0]} is better than {arms[1]} in the comparison {name}"
    return _claim(statement, comparisons, name, arms, source, expected, holds_if, (BETTER,))


def as_good(
    statement: str,
    *,
    comparisons: Comparisons,
    name: str,
    arms: tuple[str, str],
    source: str,
    expected: str = "holds",
) -> Claim:
    """Return the claim that the first arm is as good as the second.

    It holds where the verdict is "equivalent" or "better"; "worse" refutes it.

    Args:
        as of :func:`better`.
    """
    holds_if = f"{arms[0]} is equivalent to {arms[1]}, or better, in the comparison {name}"
    return _claim(
        statement,
        comparisons,
        name,
        arms,
        source,
        expected,
        holds_if,
        (BETTER, EQUIVALENT),
    )


def equivalent(
    statement: str,
    *,
    comparisons: Comparisons,
    name: str,
    arms: tuple[str, str],
    source: str,
    expected: str = "holds",
) -> Claim:
    """Return the claim that two arms are equivalent; "better" and "worse" refute it.

    Args:
        as of :func:`better`.
    """
    holds_if = f"{arms[0]} and {arms[1]} are equivalent in the comparison {name}"
    return _claim(statement, comparisons, name, arms, source, expected, holds_if, (EQUIVALENT,))


def better_in_most(
    statement: str,
    *,
    comparisons: Comparisons,
    names: Sequence[str],
    arms: tuple[str, str],
    least: int,
    source: str,
    expected: str = "holds",
) -> Claim:
    """Return the claim that the first arm is better in at least so many of several comparisons.

    It is undecided while undecided pairs could turn it.

    Args:
        names: of the comparisons. least: how many of them.
        statement, comparisons, arms, source, expected: as of :func:`better`.
    """
    holds_if = (
        f"{arms[0]} is better than {arms[1]} in at least {least} of the comparisons "
        f"{', '.join(names)}"
    )

    def check() -> tuple[bool, str]:
        pairs = [(comparisons[name], comparisons[name].pair(*arms)) for name in names]
        found = [pair.verdict for _, pair in pairs]
        words = "; ".join(
            f"{name}: {pair.verdict}, {evidence(result, pair)}"
            for name, (result, pair) in zip(names, pairs, strict=True)
        )
        won = found.count(BETTER)
        if won < least <= won + found.count(UNDECIDED):
            raise Undecided(words)
        return won >= least, words

    return Claim(statement, source, holds_if, expected, check)


def better_or_worse(pairs: Iterable[Pair]) -> tuple[int, int]:
    """Return how many pairs are better or worse: at least, and if all undecided ones were."""
    found = [pair.verdict for pair in pairs]
    least = found.count(BETTER) + found.count(WORSE)
    return least, least + found.count(UNDECIDED)


def _claim(
    statement: str,
    comparisons: Comparisons,
    name: str,
    arms: tuple[str, str],
    source: str,
    expected: str,
    holds_if: str,
    verdicts: tuple[str, ...],
) -> Claim:
    def check() -> tuple[bool, str]:
        result = comparisons[name]
        pair = result.pair(*arms)
        if pair.verdict == UNDECIDED:
            raise Undecided(evidence(result, pair))
        return pair.verdict in verdicts, f"{_said(pair)}: {evidence(result, pair)}"

    return Claim(statement, source, holds_if, expected, check)


def _said(pair: Pair) -> str:
    """Return the verdict in words, as a measurement begins."""
    link = "to" if pair.verdict == EQUIVALENT else "than"
    return f"{pair.a} is {pair.verdict} {link} {pair.b}"


def solves(
    statement: str,
    *,
    comparisons: Comparisons,
    name: str,
    arm: str,
    source: str,
    expected: str = "holds",
    never: bool = False,
) -> Claim:
    """Return the claim that an arm solves its task for more than half of all seeds.

    It is decided by the exact (Clopper–Pearson) interval of the share of judged seeds that are
    solved, at the tuned values, of level 1 − :data:`~rnnlab.results.statistics.COMPARISON_ERROR`:
    wholly above a half it holds, wholly below it is refuted.

    Args:
        statement, comparisons, name, source, expected: as of :func:`better`.
        arm: its name.
        never: whether the claim is that it does not solve it: for less than half of all seeds.
    """
    verb = "does not solve" if never else "solves"
    holds_if = (
        f"{arm} {verb} the task for more than half of all seeds: the exact "
        f"{percent(1 - COMPARISON_ERROR)} interval of the share that solve lies "
        f"{'below' if never else 'above'} 0.5, in the comparison {name}"
    )

    def check() -> tuple[bool, str]:
        result = comparisons[name]
        words, low, high = _solved(result, arm)
        if low <= 0.5 <= high:
            raise Undecided(words)
        return (high < 0.5) == never, words

    return Claim(statement, source, holds_if, expected, check)


def _solved(result: ComparisonResult, name: str) -> tuple[str, float, float]:
    """Return (how many judged seeds an arm solves, in words; the interval of the share)."""
    arm = result.arm(name)
    solved, of = sum(map(np.isfinite, arm.test)), len(arm.test)
    low, high = share_interval(int(solved), of)
    chosen = f", {tuned_words(arm)}" if arm.tuned else ""
    typical = score_words(result, median(arm.test, result))
    return (
        f"{solved} of {of} seeds solve, share [{digits(low)} to {digits(high)}], median "
        f"{typical}{chosen}",
        low,
        high,
    )


def beats(
    statement: str,
    *,
    table: Table,
    comparisons: Comparisons,
    name: str,
    arms: Sequence[str],
    score: Measure,
    answer: Measure,
    words: tuple[str, str],
    source: str,
    expected: str = "holds",
    higher: bool = False,
) -> Claim:
    """Return the claim that each of some arms does better than an answer that is not trained.

    The answer is a number that every judged member has, such as the error of a linear regression,
    or a constant. The claim is decided by intervals over the judged seeds, at the tuned values: of
    the mean of score − answer, or where lower is better of log(score/answer). Their level is
    1 − 0.05/arms. It holds where all of them lie on the better side of zero, and is refuted where
    one lies on the other.

    Args:
        statement, comparisons, name, source, expected: as of :func:`better`.
        table: the judged members.
        arms: their names.
        score, answer: of a member; above 0 where lower is better.
        words: both in words: ("the error", "that of a linear regression").
        higher: whether a higher score is better.
    """
    level = COMPARISON_ERROR / len(arms)
    holds_if = (
        f"the {percent(1 - level)} interval of {words[0]} over seeds lies "
        f"{'above' if higher else 'below'} {words[1]}, for {', '.join(arms)}, in the comparison "
        f"{name}"
    )

    def check() -> tuple[bool, str]:
        result = comparisons[name]
        found = [
            _against(result, arm, result.judged(table, arm), score, answer, level, higher)
            for arm in arms
        ]
        measured = f"{', '.join(one.words for one in found)}; {words[1]} {digits(found[0].answer)}"
        if all(one.side > 0 for one in found):
            return True, measured
        if any(one.side < 0 for one in found):
            return False, measured
        raise Undecided(measured)

    return Claim(statement, source, holds_if, expected, check)


class _Against(NamedTuple):
    """An arm against an answer that is not trained."""

    side: int  # 1: better, −1: not better, 0: undecided
    answer: float  # the mean over seeds
    words: str  # the arm's own mean, interval and tuned values


def _against(
    result: ComparisonResult,
    name: str,
    members: Table,
    score: Measure,
    answer: Measure,
    level: float,
    higher: bool,
) -> _Against:
    gone = [m for m in members if m.result.get("status") == "diverged"]
    if gone:
        raise Undecided(f"{len(gone)} of {len(members)} seeds of {name} diverged")
    own, other = (np.array([of(member) for member in members], float) for of in (score, answer))
    if lost := int((~np.isfinite(own)).sum()):
        raise Undecided(f"{lost} of {len(own)} seeds of {name} have no number to judge by")
    if lost := int((~np.isfinite(other)).sum()):
        raise Undecided(f"for {lost} of {len(other)} seeds of {name} there is no answer to beat")
    # an error of 0 has no ratio
    ratios = not higher and bool((own > 0).all() and (other > 0).all())
    scale, back = (np.log, math.exp) if ratios else (np.asarray, float)
    _, low, high = interval(scale(own) - scale(other), level)
    if not higher:
        low, high = -high, -low
    mean, *ends = (digits(back(value)) for value in interval(scale(own), level))
    parts = [f"{name} {mean} [{ends[0]} to {ends[1]}]", tuned_words(result.arm(name))]
    words = ", ".join(filter(None, [*parts, f"{len(own)} seeds"]))
    return _Against(int(low > 0) - int(high <= 0), float(other.mean()), words)


def share_interval(count: int, of: int, error: float = COMPARISON_ERROR) -> tuple[float, float]:
    """Return the exact interval of a probability, from how often something happened.

    Clopper & Pearson 1934: the ends are quantiles of Beta distributions.

    Args:
        count: how often. of: among how many.
        error: the probability that the interval misses the true one, at most.

    >>> [round(end, 3) for end in share_interval(8, 8)]
    [0.631, 1.0]
    """
    from scipy import special  # takes 0.3 s to load

    low = special.betaincinv(count, of - count + 1, error / 2) if count else 0.0
    high = special.betaincinv(count + 1, of - count, 1 - error / 2) if count < of else 1.0
    return float(low), float(high)
