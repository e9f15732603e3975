"""Comparisons as the page shows them: sentences, a table of arms, a table of pairs, figures."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rnnlab.core.metrics import HIGHER
from rnnlab.report.saved_run import Picture
from rnnlab.results import comparison_words as words
from rnnlab.results.comparison import Arm, ComparisonResult, Pair, turned
from rnnlab.results.comparison_method import judging_words, tuning_words
from rnnlab.results.comparison_words import Sentence
from rnnlab.results.statistics import UNDECIDED


@dataclass(frozen=True)
class ArmRow:
    """An arm in the table of a comparison.

    Args:
        name: of the arm.
        unbeaten: whether no other arm is better.
        tuned: the chosen values; "" where nothing is tuned.
        at_edge: whether one of them lies at the edge of the grid.
        validation: the score by which they were chosen.
        test: the median test score.
        spread: its lowest and highest.
        seeds: how many judged seeds there are, and how many of them have a finite score.
    """

    name: str
    unbeaten: bool
    tuned: str
    at_edge: bool
    validation: str
    test: str
    spread: str
    seeds: str


@dataclass(frozen=True)
class PairRow:
    """A verdict in the table of a comparison.

    Args:
        a, b: the arms.
        verdict, mark: a is … than b.
        effect: the difference or ratio; in how many seeds an arm is ahead where it is not finite.
        interval: of it.
        seeds: that it rests on.
        note: why it is undecided, and how many seeds would probably decide it.
    """

    a: str
    b: str
    verdict: str
    mark: str
    effect: str
    interval: str
    seeds: int
    note: str


@dataclass(frozen=True)
class Block:
    """A comparison on the page.

    Args:
        name: of the comparison.
        title: its question.
        sentences: its answers.
        score: what is compared.
        effect: the heading of the column of effects.
        level: of the intervals.
        times: whether scores are times to solve.
        arms, pairs: the tables.
        how: how it was tuned, and how judged.
        figures: its own, by the run.
    """

    name: str
    title: str
    sentences: list[Sentence]
    score: str
    effect: str
    level: str
    times: bool
    arms: list[ArmRow]
    pairs: list[PairRow]
    how: list[str]
    figures: list[Picture]


def block(result: ComparisonResult, figures: Mapping[str, Picture]) -> Block:
    """Return a comparison as the page shows it.

    Args:
        result: the comparison.
        figures: of the run, by name.
    """
    best = {arm.name for arm in words.unbeaten(result)} if _decided(result) else set()
    return Block(
        name=result.name,
        title=title(result),
        sentences=words.sentences(result),
        score=words.score_name(result) + words.unit(result) * (not result.times),
        effect="ratio" if result.ratios else "difference",
        level=words.percent(result.level),
        times=result.times,
        arms=[_arm(result, arm, arm.name in best) for arm in result.arms],
        pairs=[_pair(result, pair) for pair in result.pairs],
        how=[tuning_words(result), judging_words(result)],
        figures=[figures[name] for name in result.figure_names if name in figures],
    )


def title(result: ComparisonResult) -> str:
    """Return the heading of a comparison: its question, or its name in words."""
    return result.question or result.name.replace("_", " ")


@dataclass(frozen=True)
class PairInRuns:
    """The verdicts of several runs on the same two arms.

    Args:
        question: of the comparison.
        a, b: the arms.
        rows: the verdict of each run; None where a run does not compare them.
    """

    question: str
    a: str
    b: str
    rows: list[PairRow | None]

    @property
    def split(self) -> bool:
        """Whether the runs decided differently."""
        return len({row.verdict for row in self.rows if row} - {UNDECIDED}) > 1


def side_by_side(runs: Iterable[Sequence[ComparisonResult]]) -> list[PairInRuns]:
    """Return every pair that a run compares, with what each run says of it.

    A pair is the same in two runs if the name and the question of its comparison, its score and its
    two arms are.

    Args:
        runs: the comparisons of each run.
    """
    columns: list[dict[tuple[str, str, str, str, str], PairRow]] = []
    for results in runs:
        column: dict[tuple[str, str, str, str, str], PairRow] = {}
        for result in results:
            for pair in result.pairs:
                where = (result.name, title(result), result.score)
                if any((*where, pair.b, pair.a) in known for known in columns):
                    pair = turned(pair, ratios=result.ratios)
                column[(*where, pair.a, pair.b)] = _pair(result, pair)
        columns.append(column)
    keys = dict.fromkeys(key for column in columns for key in column)
    return [
        PairInRuns(question, a, b, [column.get(key) for column in columns])
        for key in keys
        for _, question, _, a, b in [key]
    ]


def headline(results: Sequence[ComparisonResult], figures: Mapping[str, Picture]) -> Picture | None:
    """Return the figure that a page shows first: the experiment's first one, or else the pairs."""
    others = other_figures(results, figures)
    pairs = [figures[f"{r.name}_pairs"] for r in results if f"{r.name}_pairs" in figures]
    return next(iter([*others, *pairs, *figures.values()]), None)


def other_figures(
    results: Sequence[ComparisonResult], figures: Mapping[str, Picture]
) -> list[Picture]:
    """Return the figures of a run that belong to none of its comparisons."""
    placed = {name for result in results for name in result.figure_names}
    return [figure for name, figure in figures.items() if name not in placed]


def _decided(result: ComparisonResult) -> bool:
    """Whether an arm is better than another."""
    return len(words.unbeaten(result)) < len(result.arms)


def _number(result: ComparisonResult, score: float) -> str:
    return words.digits(score) if math.isfinite(score) else words.failed(result)


def _arm(result: ComparisonResult, arm: Arm, unbeaten: bool) -> ArmRow:
    known = sorted(score for score in arm.test if math.isfinite(score))
    failed = len(known) < len(arm.test)
    ends = [words.digits(known[0]), words.digits(known[-1])] if known else []
    if failed and known:  # the worst of them
        ends[0 if result.better == HIGHER else 1] = words.failed(result)
    count = f"{len(known)} of {len(arm.test)}" if failed or result.times else str(len(arm.test))
    tuned = bool(arm.tuned) and not math.isnan(arm.validation)
    return ArmRow(
        name=arm.name,
        unbeaten=unbeaten,
        tuned=words.tuned_words(arm),
        at_edge=arm.at_edge,
        validation=_number(result, arm.validation) if tuned else "",
        test=_number(result, words.median(arm.test, result)),
        spread=f"[{ends[0]}, {ends[-1]}]" if len(set(ends)) > 1 else "",
        seeds=count,
    )


def _pair(result: ComparisonResult, pair: Pair) -> PairRow:
    known = math.isfinite(pair.difference) and not any(map(math.isnan, pair.interval))
    low, high = map(words.digits, pair.interval)
    return PairRow(
        a=pair.a,
        b=pair.b,
        verdict=pair.verdict,
        mark=words.MARKS[pair.verdict],
        effect=words.digits(pair.difference) if known else words.ahead_words(result, pair),
        interval=f"[{low}, {high}]" if known else "",
        seeds=pair.seeds,
        note="; ".join(words.open_words(pair)) if pair.verdict == words.UNDECIDED else "",
    )
