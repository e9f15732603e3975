"""Comparisons of a finished run as comparison.json holds them: arms, what was tuned, verdicts.

:mod:`rnnlab.lab.comparison` runs them, :mod:`rnnlab.results.statistics` decides them.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from rnnlab.core import json_files, run_files
from rnnlab.core.errors import Undecided, UserError, unknown
from rnnlab.core.metrics import Metric, from_json, lookup
from rnnlab.results.statistics import BETTER, EQUIVALENT, UNDECIDED, WORSE
from rnnlab.results.table import Table

Value = Any  # of a config
T = TypeVar("T")

FIGURES = ("tuning", "pairs", "curves")
_OPPOSITE = {BETTER: WORSE, WORSE: BETTER, EQUIVALENT: EQUIVALENT, UNDECIDED: UNDECIDED}


@dataclass(frozen=True)
class Point:
    """One value of the tuned keys, tried for one arm.

    Args:
        values: by dotted key.
        scores: validation scores, one per tuning seed; ∞ and NaN: diverged, or never solved.
        mean: over the seeds of this value and of its neighbors, by which values are compared.
        extended: whether the value lies beyond the grid that was asked for.
    """

    values: dict[str, Value]
    scores: tuple[float, ...]
    mean: float
    extended: bool = False


@dataclass(frozen=True)
class Arm:
    """One of the things that are compared.

    Args:
        name: as the page shows it.
        overrides: the values that make it, by dotted key.
        tuned: the chosen values of the tuned keys.
        grid: every value that was tried, in rising order.
        at_edge: whether the chosen value still lies at the edge of the grid.
        validation: the score by which it was chosen; NaN where nothing is tuned.
        seeds: of the judged members.
        test: their test scores, in the order of the seeds.
        members: their numbers in members.jsonl.
        tuning_members: the numbers of the members that tuning trained.
    """

    name: str
    overrides: dict[str, Value]
    tuned: dict[str, Value]
    grid: tuple[Point, ...]
    at_edge: bool
    validation: float
    seeds: tuple[int, ...]
    test: tuple[float, ...]
    members: tuple[int, ...]
    tuning_members: tuple[int, ...] = ()


@dataclass(frozen=True)
class Pair:
    """The verdict on two arms.

    Args:
        a, b: names of the arms.
        verdict: "better", "worse", "equivalent" or "undecided": a is … than b.
        difference: the mean of a − b; where the margin is relative, and for times, the ratio a/b;
            NaN where a score is not finite.
        interval: of it.
        seeds: the number of pairs of members that it rests on.
        reason: of an undecided verdict.
        needs: the number of seeds that would probably decide it; None: unknown, or decided.
    """

    a: str
    b: str
    verdict: str
    difference: float
    interval: tuple[float, float]
    seeds: int
    reason: str = ""
    needs: int | None = None


@dataclass(frozen=True)
class ComparisonResult:
    """One comparison, decided as far as its seeds allow.

    Args:
        name: unique in its run.
        question: that it answers, without the arms: "On adding T=200".
        score: the result that is compared.
        better: "lower" or "higher".
        equivalent: δ, the difference that does not matter; of ratios where ``relative``.
        relative: whether δ is of ratios.
        times: whether scores are times to solve, which may be "never".
        reference: the arm that each other is compared with; None: all pairs.
        tune: the grid that was asked for, by dotted key.
        tuning_seeds: seeds of the tuning.
        looks: the numbers of seeds after which pairs are looked at.
        level: of each interval, such as 0.983.
        arms: in their order.
        pairs: in the order of the arms.
        metric: how the score is read, as JSON.
    """

    name: str
    question: str
    score: str
    better: str
    equivalent: float
    relative: bool
    times: bool
    reference: str | None
    tune: dict[str, tuple[Value, ...]]
    tuning_seeds: tuple[int, ...]
    looks: tuple[int, ...]
    level: float
    arms: tuple[Arm, ...]
    pairs: tuple[Pair, ...]
    metric: dict[str, str] = field(default_factory=dict)

    @property
    def how_read(self) -> Metric:
        """The unit and the word for infinity of the score."""
        return from_json([self.metric])[0] if self.metric else lookup(self.score)

    @property
    def ratios(self) -> bool:
        """Whether differences are ratios."""
        return self.relative or self.times

    @property
    def figure_names(self) -> list[str]:
        """The names that its figures may have: of the tuning, of the pairs, of learning curves."""
        return [f"{self.name}_{part}" for part in FIGURES]

    def arm(self, name: str) -> Arm:
        """Return an arm by its name.

        Raises:
            Undecided: the comparison has no such arm.
        """
        for arm in self.arms:
            if arm.name == name:
                return arm
        raise Undecided(unknown("arm", name, [arm.name for arm in self.arms]))

    def pair(self, a: str, b: str) -> Pair:
        """Return the verdict on arm a against arm b.

        Raises:
            Undecided: they were not compared.
        """
        for name in (a, b):
            self.arm(name)  # an unknown one raises
        for pair in self.pairs:
            if (pair.a, pair.b) == (a, b):
                return pair
            if (pair.a, pair.b) == (b, a):
                return turned(pair, ratios=self.ratios)
        raise Undecided(f"{a} and {b} are each compared with {self.reference} alone")

    def judged(self, table: Table, name: str) -> Table:
        """Return the judged members of an arm."""
        wanted = set(self.arm(name).members)
        return Table(member for member in table if member.index in wanted)

    def paired(self, table: Table, *names: str) -> Table:
        """Return the judged members of arms, of the seeds that all of them have.

        An arm that other pairs need too may have more seeds than another one.
        """
        arms = [self.judged(table, name) for name in names]
        seeds = set.intersection(*(set(arm.values("seed")) for arm in arms))
        return Table(m for arm in arms for m in arm if m.config["seed"] in seeds)


class Comparisons(Mapping[str, ComparisonResult]):
    """The comparisons of a run by name.

    Args:
        results: in their order.
    """

    def __init__(self, results: Iterable[ComparisonResult]) -> None:
        self._by_name = {result.name: result for result in results}

    def __contains__(self, name: object) -> bool:
        """Whether the run has a comparison of this name."""
        return name in self._by_name

    def __getitem__(self, name: str) -> ComparisonResult:
        """Return a comparison.

        Raises:
            Undecided: the run does not have it, so that a claim about it cannot be decided.
        """
        if name not in self._by_name:
            have = ", ".join(self._by_name) or "nothing"
            raise Undecided(f"it stands on the comparison {name!r}, and this run compares {have}")
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)


def turned(pair: Pair, *, ratios: bool) -> Pair:
    """Return the verdict on b against a.

    >>> turned(Pair("x", "y", "better", 0.5, (0.25, 0.8), 8), ratios=True).interval
    (1.25, 4.0)
    """
    low, high = pair.interval
    if ratios:
        difference, interval = _inverse(pair.difference), (_inverse(high), _inverse(low))
    else:
        difference, interval = -pair.difference, (-high, -low)
    return dataclasses.replace(
        pair,
        a=pair.b,
        b=pair.a,
        verdict=_OPPOSITE[pair.verdict],
        difference=difference,
        interval=interval,
    )


def _inverse(ratio: float) -> float:
    return 1 / ratio if ratio else math.inf


def as_json(results: Sequence[ComparisonResult]) -> Any:
    """Return comparison.json: the comparison, or {"comparisons": [...]} where there are several."""
    listed = [json_files.encode(dataclasses.asdict(result)) for result in results]
    return listed[0] if len(listed) == 1 else {"comparisons": listed}


def read_comparisons(run_dir: str | os.PathLike[str]) -> list[ComparisonResult]:
    """Read comparison.json of a run; [] where it compares nothing.

    Raises:
        UserError: the file is damaged.
    """
    path = Path(run_dir) / run_files.COMPARISON
    if not path.is_file():
        return []
    content: Any = json_files.read_json(path)
    try:
        return [_result(entry) for entry in content.get("comparisons", [content])]
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"{path} is no list of comparisons: {error}") from None


def _result(entry: dict[str, Any]) -> ComparisonResult:
    # texts stay as they are: an arm may have the name "inf"
    points = [[_decoded(Point, point) for point in arm["grid"]] for arm in entry["arms"]]
    arms = [
        _decoded(Arm, arm | {"grid": ()}, "name", grid=tuple(grid))
        for arm, grid in zip(entry["arms"], points, strict=True)
    ]
    pairs = [_decoded(Pair, pair, "a", "b", "verdict", "reason") for pair in entry["pairs"]]
    return _decoded(
        ComparisonResult,
        entry | {"arms": (), "pairs": ()},
        *("name", "question", "score", "better", "reference", "metric"),
        arms=tuple(arms),
        pairs=tuple(pairs),
    )


def _decoded(made: Callable[..., T], entry: Mapping[str, Any], *texts: str, **values: object) -> T:
    """Make a record of its JSON; the values of these keys are texts, or are given."""
    decoded = {k: v if k in texts else json_files.decode_config(v) for k, v in entry.items()}
    return made(**decoded | values)
