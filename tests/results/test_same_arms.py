"""Comparisons of an arm with itself: how often is it called better or worse than it is?

The members were trained by tests/scripts/train_pool.py. Each comparison draws other members of the
same arm for its two sides, for the tuning and for the judging, and goes through all rounds.
"""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from rnnlab.core.metrics import Metric
from rnnlab.lab import rounds
from rnnlab.lab.comparison import Question, further
from rnnlab.results.statistics import Rule
from rnnlab.results.table import Member

POOL = json.loads((Path(__file__).parent / "data/pool.json").read_text())
RATE = "training.learning_rate"
COMPARISONS, TUNING, LOOKS = 200, 3, (8, 16, 32)


def compare(score: str, rule: Rule, rng: np.random.Generator) -> list[str]:
    """Return the verdicts of one comparison of equal arms."""
    scores = np.array(POOL[score], float)  # null: never
    scores[np.isnan(scores)] = math.inf
    names = [f"arm {place}" for place in range(rule.pairs + 1)]
    asked = Question(
        name="same",
        question="An arm beside itself",
        arms={name: {"arm": name} for name in names},
        tune={RATE: tuple(POOL["rates"])},
        score=score,
        metric=Metric(score),
        rule=rule,
        reference=names[0],
        tuning_seeds=tuple(range(TUNING)),
        further={RATE: further(POOL["rates"], lambda rate: True)},
        seeds=tuple(range(TUNING, TUNING + LOOKS[-1])),
    )
    # which member of the pool is an arm's with this seed
    drawn = {name: rng.permutation(scores.shape[1]) for name in names}
    members: list[Member] = []
    while wanted := rounds.next_round([asked], members):
        for phase, values in wanted:
            place = np.argmin(np.abs(np.log(POOL["rates"]) - math.log(values[RATE])))
            value = scores[place][drawn[values["arm"]][values["seed"]]]
            # beyond the grid a rate has the scores of the edge, and is worse by a little
            beyond = 1 + 1e-9 * abs(math.log(POOL["rates"][place] / values[RATE]))
            result = {score: value * beyond, "loss": value * beyond, "sha256": ""}
            members.append(Member(len(members), dict(values), {}, 0.0, result, phase=phase))
    (result,) = rounds.results([asked], members)
    return [pair.verdict for pair in result.pairs]


@pytest.mark.parametrize(
    ("score", "rule"),
    [  # a margin so small that equivalence hides no wrong verdict
        ("solved_at", Rule(margin=1e-3, looks=LOOKS, times=True)),
        ("loss", Rule(margin=0.05, looks=LOOKS, relative=True)),
    ],
)
def test_an_arm_is_seldom_better_or_worse_than_itself(score, rule):
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(COMPARISONS):
        verdicts = compare(score, rule, rng)
        wrong += any(verdict in ("better", "worse") for verdict in verdicts)
    error = math.sqrt(0.05 * 0.95 / COMPARISONS)
    assert wrong / COMPARISONS <= 0.05 + error


def test_the_pool_tells_learning_rates_apart():
    """The tuning has something to choose: members solve sooner at some rates than at others."""
    times = np.array(POOL["solved_at"], float)
    medians = np.median(np.where(np.isnan(times), math.inf, times), axis=1)
    assert medians.max() > 1.5 * medians.min()
    assert len(np.unique(times[np.argmin(medians)])) > 3
