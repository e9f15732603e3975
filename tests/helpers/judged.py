"""Comparisons that were never run, for tests of an experiment's claims and figures."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from ml_collections import ConfigDict

from rnnlab.core.nested import flatten, with_overrides
from rnnlab.lab.load import Experiment
from rnnlab.results import claims
from rnnlab.results.comparison import Arm, ComparisonResult, Comparisons, Pair
from rnnlab.results.table import JUDGING, Member, Table

Values = dict[str, Any]  # by config key, or by result
Verdicts = Callable[[str, str, str], str]  # (name of the comparison, arm, other arm) ↦ verdict


def compared(
    loaded: Experiment,
    describe: Callable[[Values, str], Values],
    verdicts: Verdicts = lambda name, a, b: "better",
    config: ConfigDict | None = None,
) -> tuple[Table, Comparisons]:
    """Return the judged members of an experiment's own comparisons, and their verdicts.

    Args:
        loaded: the experiment.
        describe: (a member's config by dotted key, its arm) ↦ its results.
        verdicts: on every pair.
        config: the experiment's config, changed; None: unchanged.
    """
    config = loaded.get_config() if config is None else config
    members: dict[str, Member] = {}
    results = []
    for question in loaded.get_comparisons(config):
        count, arms = question.rule.looks[0], []
        tuned = {key: values[0] for key, values in question.tune.items()}
        for name, overrides in question.arms.items():
            own = []
            for seed in question.seeds[:count]:
                given = overrides | tuned | {"seed": seed}
                nested = with_overrides(config.to_dict(), given)
                found = {"loss": 1.0} | describe(flatten(nested), name)
                member = Member(len(members), given, nested, 0.0, found, (), JUDGING)
                own.append(members.setdefault(repr(sorted(given.items())), member))
            test = tuple(member.result.get(question.score, math.nan) for member in own)
            places = tuple(member.index for member in own)
            seeds = question.seeds[:count]
            arms.append(Arm(name, overrides, tuned, (), False, math.nan, seeds, test, places))
        pairs = [
            Pair(a, b, verdicts(question.name, a, b), 1.5, (1.25, 1.75), count)
            for a, b in question.pairs
        ]
        results.append(
            ComparisonResult(
                name=question.name,
                question=question.question,
                score=question.score,
                better="higher" if question.rule.higher else "lower",
                equivalent=question.rule.margin,
                relative=question.rule.relative,
                times=question.rule.times,
                reference=question.reference,
                tune=question.tune,
                tuning_seeds=question.tuning_seeds,
                looks=question.rule.looks,
                level=1 - question.rule.level,
                arms=tuple(arms),
                pairs=tuple(pairs),
            )
        )
    return Table(members.values()), Comparisons(results)


def decided(comparisons: Comparisons, verdicts: Verdicts) -> Comparisons:
    """Return the same comparisons with other verdicts."""
    return Comparisons(
        dataclasses.replace(
            one,
            pairs=tuple(
                dataclasses.replace(pair, verdict=verdicts(one.name, pair.a, pair.b))
                for pair in one.pairs
            ),
        )
        for one in comparisons.values()
    )


def signs(loaded: Experiment, table: Table, comparisons: Comparisons) -> str:
    """Return one sign per claim, in order: + holds, - refuted, ? undecided."""
    decided = claims.decide(loaded.get_claims(table, comparisons))
    marks = {"holds": "+", "refuted": "-", "undecided": "?"}
    return "".join(marks[verdict.verdict] for verdict in decided)


def against(**lost: str) -> Callable[[str, str, str], str]:
    """Return verdicts by which every first arm is better, but in the comparisons that are named.

    >>> against(ahead_1="worse")("ahead_1", "RNN", "GRU"), against()("ahead_1", "RNN", "GRU")
    ('worse', 'better')
    """
    return lambda name, a, b: lost.get(name, "better")
