"""Speed, read from the results of a benchmark: ratios of times with intervals, and verdicts.

In each round every side timed its calls in a process of its own, and their median counts. The ratio
of two sides is the geometric mean over the rounds of the ratio of their medians; its interval is
that of the mean of the logarithms (:func:`rnnlab.results.statistics.interval`) at 95%.
:mod:`rnnlab.lab.benchmark` says what a member's results hold.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnnlab.core.errors import Undecided
from rnnlab.results import statistics
from rnnlab.results.table import Member

TOO_SLOW = 2.0  # times as long as its tool's fastest way: what a way may take in the first round
MOST_BUSY = 0.1  # share of the CPU that other processes may use
ONLY = "call"  # the pass of a side that has one
_LEVEL = 0.05  # of an interval: how often it misses


class Ratio(NamedTuple):
    """A ratio of times, with its interval.

    Args:
        value: the geometric mean over rounds.
        low, high: the ends of its 95% interval.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f}x [{self.low:.2f} to {self.high:.2f}]"


# ---- one member --------------------------------------------------------------------------------


def times(member: Member, side: str, name: str = ONLY) -> NDArray[np.float64]:
    """Return the milliseconds of a side: the median of each round, or of the first one only.

    Args:
        member: of a benchmark.
        side: its name.
        name: the pass.
    Raises:
        Undecided: the side was left out.
    """
    by_side = member.result["ms"][name]
    if side not in by_side:
        reason = member.result.get("left_out", {}).get(side, "was not measured")
        raise Undecided(f"{side} {reason}")
    return np.asarray(by_side[side], np.float64)


def median(member: Member, side: str, name: str = ONLY) -> float:
    """Return the median of a side's milliseconds over the rounds.

    Raises:
        Undecided: the side was left out.
    """
    return float(np.median(times(member, side, name)))


def fastest(member: Member, sides: Iterable[str], name: str = ONLY) -> str:
    """Return the side with the shortest median time, of those that were measured in all rounds.

    Raises:
        Undecided: none of them was.
    """
    once = member.result["once"].get(name, ())
    measured = [s for s in sides if s in member.result["ms"][name] and s not in once]
    if not measured:
        raise Undecided(f"none of {', '.join(sides)} was measured")
    return min(measured, key=lambda side: median(member, side, name))


def ratio(member: Member, side: str, over: str, name: str = ONLY) -> Ratio:
    """Return the ratio of two sides' times, with its interval, over the rounds that both have.

    Args:
        member: of a benchmark.
        side, over: numerator and denominator.
        name: the pass.
    Raises:
        Undecided: one of them was left out.
    """
    a, b = times(member, side, name), times(member, over, name)
    rounds = min(len(a), len(b))
    return of_logs(np.log(a[:rounds] / b[:rounds]))


def of_logs(logs: ArrayLike) -> Ratio:
    """Return the ratio of which the rounds gave these natural logarithms, (rounds,).

    Of one round the interval has no ends.

    >>> str(of_logs(np.log([2.0, 2.0, 2.0])))
    '2.00x [2.00 to 2.00]'
    """
    logs = np.asarray(logs, np.float64)
    if len(logs) == 1:
        return Ratio(math.exp(logs[0]), 0.0, math.inf)
    mean, low, high = np.exp(statistics.interval(logs, _LEVEL))
    return Ratio(float(mean), float(low), float(high))


def mean_ratio(pairs: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> Ratio:
    """Return the geometric mean of the ratios of several members, with its interval.

    Rounds are averaged over the members, so that the interval is of the mean and not of the spread
    of the members.

    Args:
        pairs: the times (rounds,) of both sides, of each member.
    Raises:
        ValueError: members of different numbers of rounds.
    """
    rounds = {len(a) for a, _ in pairs} | {len(b) for _, b in pairs}
    if len(rounds) != 1:
        raise ValueError(f"expected as many rounds for every member, got {sorted(rounds)}")
    return of_logs(np.mean([np.log(a / b) for a, b in pairs], axis=0))


# ---- verdicts ----------------------------------------------------------------------------------


def at_least(
    ratios: Ratio | Mapping[str, Ratio], bar: float, members: Iterable[Member]
) -> tuple[bool, str]:
    """Return whether ratios are at least so high, and the ratios in words.

    It holds if the low end of every interval is at or above the bar, and is refuted if a high end
    is below it.

    Args:
        ratios: one, or several by name.
        bar: the threshold.
        members: that they were measured for.
    Raises:
        Undecided: otherwise, and where the machine was busy.
    """
    named = {"": ratios} if isinstance(ratios, Ratio) else dict(ratios)
    holds = all(r.low >= bar for r in named.values())
    refuted = any(r.high < bar for r in named.values())
    return _decided(holds, refuted, named, bar, members)


def at_most(
    ratios: Ratio | Mapping[str, Ratio], bar: float, members: Iterable[Member]
) -> tuple[bool, str]:
    """Return whether ratios are at most so high: see :func:`at_least`."""
    named = {"": ratios} if isinstance(ratios, Ratio) else dict(ratios)
    holds = all(r.high <= bar for r in named.values())
    refuted = any(r.low > bar for r in named.values())
    return _decided(holds, refuted, named, bar, members)


def _decided(
    holds: bool,
    refuted: bool,
    named: Mapping[str, Ratio],
    bar: float,
    members: Iterable[Member],
) -> tuple[bool, str]:
    words = ", ".join(f"{name} {ratio}".strip() for name, ratio in named.items())
    busy = busiest(members)
    if is_busy(busy):
        raise Undecided(f"{busy_words(busy)}: {words}")
    if holds or refuted:
        return holds, words
    raise Undecided(f"{words}: an interval has {bar:g} inside; more rounds make it shorter")


# ---- a busy machine ----------------------------------------------------------------------------


def busiest(members: Iterable[Member]) -> float | None:
    """Return the largest share of the CPU that other processes used; None where it is unknown."""
    shares = [member.result["others_cpu"] for member in members]
    return max((share for share in shares if share is not None), default=None)


def is_busy(share: float | None) -> bool:
    """Whether other processes used more of the CPU than a benchmark allows."""
    return share is not None and share > MOST_BUSY


def busy_words(share: float | None) -> str:
    """Return how busy the machine was, as the beginning of a sentence.

    >>> busy_words(0.25)
    'the machine was busy: other processes used 25% of its CPU in a round (10% may be)'
    """
    return (
        f"the machine was busy: other processes used {share or 0:.0%} of its CPU in a round "
        f"({MOST_BUSY:.0%} may be)"
    )


def conditions(members: Sequence[Member]) -> str:
    """Return how a benchmark was measured, for the caption of a figure."""
    rounds = {max(len(ms) for ms in by.values()) for m in members for by in m.result["ms"].values()}
    words = f"Each side alone in a process of its own, in turns; medians of {_some(rounds)} rounds."
    machines = [member.result["machine"] for member in members]
    cores = sorted({machine["cores"] for machine in machines})
    names = ", ".join(dict.fromkeys(str(machine["processor"]) for machine in machines))
    words += f" {names}, {_some(cores)} core{'s' * (cores != [1])}"
    governors = dict.fromkeys(m["governor"] for m in machines if m["governor"])
    words += f", governor {', '.join(governors)}." if governors else "."
    busy = busiest(members)
    if busy is None:
        words += " What other processes used of the CPU is unknown."
    if is_busy(busy):
        sentence = busy_words(busy)
        words += f" {sentence[0].upper()}{sentence[1:]}: these times decide nothing."
    left_out = {side: why for m in members for side, why in m.result["left_out"].items()}
    words += "".join(f" {side} is left out: it {why}." for side, why in left_out.items())
    once = dict.fromkeys(
        side for m in members for sides in m.result["once"].values() for side in sides
    )
    if once:
        words += (
            f" {', '.join(once)}: measured once where it took more than {TOO_SLOW:g}x as long as "
            "the fastest way of the same tool in the first round."
        )
    unsteady = sum(member.result["unsteady"] for member in members)
    if unsteady:
        words += f" {unsteady} turns were timed before their calls were steady."
    return words


def _some(numbers: Iterable[int]) -> str:
    ordered = sorted(numbers)
    return f"{ordered[0]}" if len(ordered) == 1 else f"{ordered[0]} to {ordered[-1]}"
