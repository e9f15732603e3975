"""The members that comparisons need, round by round, from the results so far.

Everything here is a pure function of the results: a run that was killed comes to the same rounds,
and so to the same members and verdicts. The rounds of one comparison are: the grid of the tuned
keys; the grid's extensions, if a best value lies at its edge; the judged members, up to each number
of seeds at which pairs are looked at. The comparisons of a run go through them side by side.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from rnnlab.core import metrics, validate
from rnnlab.core.errors import UserError
from rnnlab.core.metrics import VALIDATION
from rnnlab.lab.comparison import MOST_EXTENSIONS, SOLVED_AT, Overrides, Question, Value
from rnnlab.results import statistics
from rnnlab.results.comparison import Arm, ComparisonResult, Pair, Point
from rnnlab.results.table import JUDGING, TUNING, Member

Grid = dict[str, tuple[Value, ...]]
LOSS = "loss"  # which every task scores
_FALLS = 0.05  # least relative fall of the loss in the last step towards an edge, to go beyond it


class Wanted(NamedTuple):
    """A member that a comparison needs."""

    phase: str  # TUNING or JUDGING
    overrides: Overrides

    @property
    def key(self) -> Hashable:
        """Equal for equal members."""
        return _key(self.phase, self.overrides)


def _key(phase: str, overrides: Mapping[str, Value]) -> Hashable:
    return phase, frozenset(overrides.items())  # a config's values are hashable


class Finished:
    """The finished members of a run by what they were wanted for."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = {_key(m.phase, m.overrides): m for m in members}

    def __contains__(self, wanted: Wanted) -> bool:
        return wanted.key in self._members

    def __getitem__(self, wanted: Wanted) -> Member:
        return self._members[wanted.key]


def next_round(questions: Sequence[Question], members: Sequence[Member]) -> list[Wanted]:
    """Return the members that the comparisons need next; [] when all are decided.

    Args:
        questions: the comparisons. members: the finished members of the run.
    """
    finished = Finished(members)
    wanted: dict[Hashable, Wanted] = {}
    for question in questions:
        for one in _missing(question, finished):
            wanted.setdefault(one.key, one)
    return list(wanted.values())


def results(questions: Sequence[Question], members: Sequence[Member]) -> list[ComparisonResult]:
    """Return the comparisons as the finished members decide them.

    Raises:
        UserError: members that a comparison needs are not finished.
    """
    finished = Finished(members)
    return [_result(question, finished) for question in questions]


# ---- which members -----------------------------------------------------------------------------


def _missing(question: Question, finished: Finished) -> list[Wanted]:
    """Return what one comparison needs next."""
    tuned: dict[str, Overrides] = {arm: {} for arm in question.arms}
    for grid in _grids(question, finished):
        needed = [one for arm in question.arms for one in _tuning(question, arm, grid)]
        if missing := [one for one in needed if one not in finished]:
            return missing
        tuned = {arm: _best(question, arm, grid, finished)[0] for arm in question.arms}
    for look in question.rule.looks:
        arms = _judged_at(question, tuned, look, finished)
        needed = [
            one
            for arm in question.arms
            if arm in arms
            for one in _judged(question, arm, tuned[arm], look)
        ]
        if missing := [one for one in needed if one not in finished]:
            return missing
    return []


def _grids(question: Question, finished: Finished) -> Iterator[Grid]:
    """Yield the grid that was asked for, then each extension of it that is known so far."""
    grid = question.tune
    if not grid:
        return
    for extension in range(MOST_EXTENSIONS + 1):
        yield grid
        if extension == MOST_EXTENSIONS:
            return
        wider = _extended(question, grid, finished)
        if wider == grid:
            return
        grid = wider


def _extended(question: Question, grid: Grid, finished: Finished) -> Grid:
    """Return the grid with a further value beyond every edge at which an arm is best."""
    best = {arm: _best(question, arm, grid, finished)[0] for arm in question.arms}
    wider = {}
    for key, values in grid.items():
        further = question.further.get(key, ())
        chosen = [
            best[arm][key]
            for arm in question.arms
            if not further or _extends(question, arm, grid, finished, best[arm], key)
        ]
        wider[key] = values
        if values[0] in chosen:
            wider[key] = (*[value for value in further if value < values[0]][-1:], *wider[key])
        if values[-1] in chosen:
            wider[key] = (*wider[key], *[value for value in further if value > values[-1]][:1])
    return wider


def _extends(
    question: Question, arm: str, grid: Grid, finished: Finished, chosen: Overrides, key: str
) -> bool:
    """Return whether an arm's best value, if it is the last of its key, asks for one beyond it.

    Not where the arm solves nothing at any value and its loss at the best one is hardly less than
    at the value before it: then there is no optimum that could lie beyond.
    """
    tried = [finished[one] for one in _tuning(question, arm, grid)]
    scores = [_validation_score(member, question.score) for member in tried]
    if not question.rule.times or np.isfinite(scores).any():
        return True
    values = grid[key]
    if len(values) == 1 or not all(map(_has_loss, tried)):
        return False
    place = values.index(chosen[key])
    before = chosen | {key: values[1 if place == 0 else place - 1]}
    best, inner = (
        np.mean([_validation_score(finished[one], LOSS) for one in _tuning(question, arm, at)])
        for at in ({k: (v,) for k, v in point.items()} for point in (chosen, before))
    )
    if not np.isfinite(inner):
        return bool(np.isfinite(best))
    return bool(inner - best >= _FALLS * abs(inner))


def _points(grid: Grid) -> list[Overrides]:
    """Return every combination of values, the first key's slowest."""
    rows = itertools.product(*grid.values())
    return [dict(zip(grid, row, strict=True)) for row in rows]


def _tuning(question: Question, arm: str, grid: Grid) -> list[Wanted]:
    """Return the members that try every value of a grid for an arm."""
    return [
        Wanted(TUNING, question.arms[arm] | values | {"seed": seed})
        for values in _points(grid)
        for seed in question.tuning_seeds
    ]


def _judged(question: Question, arm: str, tuned: Overrides, seeds: int) -> list[Wanted]:
    """Return the members that judge an arm at its tuned values."""
    return [
        Wanted(JUDGING, question.arms[arm] | tuned | {"seed": seed})
        for seed in question.seeds[:seeds]
    ]


def _judged_at(
    question: Question, tuned: Mapping[str, Overrides], look: int, finished: Finished
) -> set[str]:
    """Return the arms that need as many seeds as a look has: those of pairs not decided before."""
    looks = question.rule.looks
    before = looks[: looks.index(look)]
    if not before:
        return set(question.arms)
    arms = set()
    for a, b in question.pairs:
        decision = _decision(question, (a, b), tuned, before[-1], finished)
        if decision is not None and not decision.final:
            arms |= {a, b}
    return arms


# ---- scores ------------------------------------------------------------------------------------


def _score(member: Member, name: str) -> float:
    """Return a result as a number, NaN for a member that diverged.

    Raises:
        UserError: the member has no such result, or it is no number.
    """
    if member.result.get("status") == "diverged":
        return math.inf if name == SOLVED_AT else math.nan
    value = member.result.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        have = ", ".join(sorted(member.result)) or "none"
        raise UserError(
            f"member {member.index} has no number {name!r} among its results, by which it is "
            f"{'tuned' if name.startswith(VALIDATION) else 'compared'} (it has {have})"
        )
    return float(value)


def _validation_score(member: Member, name: str) -> float:
    """Return the score that tuning goes by: the validation score.

    A time to solve has none, for validation has stopped it; nor has a member whose test sequences
    are drawn, for those of a tuning seed judge nothing.
    """
    validation = f"{VALIDATION}{name}"
    trained = "sha256" in member.result  # not by an experiment's own run
    drawn = trained and "held_out" not in member.result
    if validation not in member.result and (name == SOLVED_AT or drawn):
        return _score(member, name)
    return _score(member, validation)


def _has_loss(member: Member) -> bool:
    """Whether a member has the loss by which it is tuned where it never solves."""
    names = (LOSS, f"{VALIDATION}{LOSS}")
    return "sha256" in member.result or names[1] in member.result


def _best(
    question: Question, arm: str, grid: Grid, finished: Finished
) -> tuple[Overrides, tuple[Point, ...], float]:
    """Return (the best values of a grid for an arm, every point of the grid, the best mean)."""
    wanted = _tuning(question, arm, grid)
    scores = np.array([_validation_score(finished[one], question.score) for one in wanted])
    shape = [len(values) for values in grid.values()]
    by_point = scores.reshape(*shape, len(question.tuning_seeds))
    rule, axes = question.rule, list(grid.values())
    means = statistics.smoothed(by_point, axes, higher=rule.higher, times=rule.times)
    finds_loss = all(_has_loss(finished[one]) for one in wanted)
    if rule.times and finds_loss and not np.isfinite(by_point).any():
        # the arm never solves: it gets the rate with which it comes nearest
        losses = np.array([_validation_score(finished[one], LOSS) for one in wanted])
        place = statistics.best(losses.reshape(by_point.shape), axes)
    else:
        place = statistics.best(by_point, axes, higher=rule.higher, times=rule.times)
    values = _points(grid)
    asked = _points(question.tune)
    points = tuple(
        Point(value, tuple(map(float, row)), float(mean), value not in asked)
        for value, row, mean in zip(
            values, by_point.reshape(len(values), -1), means.reshape(-1), strict=True
        )
    )
    index = int(np.ravel_multi_index(place, tuple(shape)))
    return values[index], points, points[index].mean


def _decision(
    question: Question,
    pair: tuple[str, str],
    tuned: Mapping[str, Overrides],
    seeds: int,
    finished: Finished,
) -> statistics.Decision | None:
    """Return the verdict on a pair after so many seeds, or after the fewer that decided it.

    None where the members are not finished.
    """
    a, b = ([], [])
    for scores, arm in ((a, pair[0]), (b, pair[1])):
        for one in _judged(question, arm, tuned[arm], seeds):
            if one not in finished:
                break
            scores.append(_score(finished[one], question.score))
    both = min(len(a), len(b))
    reached = [look for look in question.rule.looks if look <= both]
    if not reached:
        return None
    try:
        return statistics.follow(a[: reached[-1]], b[: reached[-1]], question.rule)
    except ValueError as error:  # ratios of scores that are 0 or negative
        raise UserError(
            f"{pair[0]} and {pair[1]}: {error}; compare differences: --norelative --equivalent=X "
            "(in Python relative=False)"
        ) from None


# ---- results -----------------------------------------------------------------------------------


def _result(question: Question, finished: Finished) -> ComparisonResult:
    if missing := _missing(question, finished):
        raise UserError(f"comparison {question.name!r} lacks {len(missing)} members")
    *_, grid = [{}, *_grids(question, finished)]
    tuned: dict[str, Overrides] = {arm: {} for arm in question.arms}
    arms = []
    for name, overrides in question.arms.items():
        points: tuple[Point, ...] = ()
        validation, tuning = math.nan, []
        if grid:
            tuned[name], points, validation = _best(question, name, grid, finished)
            tuning = [finished[one].index for one in _tuning(question, name, grid)]
        judged = [
            (seed, finished[one])
            for seed, one in zip(
                question.seeds,
                _judged(question, name, tuned[name], len(question.seeds)),
                strict=True,
            )
            if one in finished
        ]
        arms.append(
            Arm(
                name=name,
                overrides=overrides,
                tuned=tuned[name],
                grid=points,
                at_edge=any(
                    _has_edges(values) and tuned[name][key] in (values[0], values[-1])
                    for key, values in grid.items()
                ),
                validation=validation,
                seeds=tuple(seed for seed, _ in judged),
                test=tuple(_score(member, question.score) for _, member in judged),
                members=tuple(member.index for _, member in judged),
                tuning_members=tuple(tuning),
            )
        )
    rule = question.rule
    pairs = [_pair(question, pair, tuned, finished) for pair in question.pairs]
    return ComparisonResult(
        name=question.name,
        question=question.question,
        score=question.score,
        better=metrics.HIGHER if rule.higher else metrics.LOWER,
        equivalent=rule.margin,
        relative=rule.relative,
        times=rule.times,
        reference=question.reference,
        tune=question.tune,
        tuning_seeds=question.tuning_seeds,
        looks=rule.looks,
        level=1 - rule.level,
        arms=tuple(arms),
        pairs=tuple(pairs),
        metric=metrics.as_json([question.metric])[0],
    )


def _has_edges(values: Sequence[Value]) -> bool:
    """Whether a grid is of several numbers, so that it could go on; booleans are none."""
    return len(values) > 1 and all(validate.real(value) for value in values)


def _exp(logarithm: float) -> float:
    """Return e to a power, ∞ where it is too large for a float."""
    return math.inf if logarithm > 709 else math.exp(logarithm)  # NaN stays NaN


def _pair(
    question: Question,
    pair: tuple[str, str],
    tuned: Mapping[str, Overrides],
    finished: Finished,
) -> Pair:
    rule = question.rule
    decision = _decision(question, pair, tuned, rule.looks[-1], finished)
    assert decision is not None  # for no member is missing
    needs = None
    if decision.verdict == statistics.UNDECIDED:
        a, b = (
            np.array(
                [
                    _score(finished[one], question.score)
                    for one in _judged(question, arm, tuned[arm], decision.seeds)
                ]
            )
            for arm in pair
        )
        needs = statistics.seeds_needed(a, b, rule)
    ratios = rule.relative or rule.times
    numbers: Any = (decision.difference, decision.low, decision.high)
    difference, low, high = map(_exp, numbers) if ratios else numbers
    return Pair(
        a=pair[0],
        b=pair[1],
        verdict=decision.verdict,
        difference=difference,
        interval=(low, high),
        seeds=decision.seeds,
        reason=decision.reason,
        needs=needs,
    )
