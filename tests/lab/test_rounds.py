"""The rounds of comparisons, with members whose scores are made up."""

import dataclasses
import math

import numpy as np
import pytest

from rnnlab.core.errors import UserError
from rnnlab.core.metrics import Metric
from rnnlab.lab import rounds
from rnnlab.lab.comparison import Question, further
from rnnlab.results.statistics import Rule, follow
from rnnlab.results.table import JUDGING, TUNING, Member

RATE = "training.learning_rate"


def question(name="q", arms=("a", "b"), rates=(0.01, 0.1, 1.0), reference=None, **rule):
    looks = rule.pop("looks", (4, 8))
    pairs = len(arms) - 1 if reference else len(arms) * (len(arms) - 1) // 2
    return Question(
        name=name,
        question="On paper",
        arms={arm: {"arm": arm} for arm in arms},
        tune={RATE: tuple(rates)} if rates else {},
        score="solved_at" if rule.get("times") else "score",
        metric=Metric("score"),
        rule=Rule(margin=rule.pop("margin", 0.1), pairs=pairs, looks=looks, **rule),
        reference=reference,
        further={RATE: further(rates, lambda value: True)} if rates else {},
        tuning_seeds=(0, 1) if rates else (),
        seeds=tuple(range(2, 2 + looks[-1])),
    )


def run_all(questions, score):
    """Run rounds to their end: return (members, the rounds). ``score`` takes a member's values."""
    members, seen = [], []
    while wanted := rounds.next_round(questions, members):
        seen.append(wanted)
        for phase, overrides in wanted:
            result = score(**{key.rpartition(".")[2]: v for key, v in overrides.items()})
            if not isinstance(result, dict):
                result = {"score": result, "validation_score": result, "solved_at": result}
            index = len(members)
            members.append(Member(index, dict(overrides), {}, 0.0, result, phase=phase))
        assert len(seen) < 20
    return members, seen


def bowl(best, spread=0.0):
    """Return scores that are least at a rate of its own for each arm."""

    def score(arm, learning_rate=1.0, seed=0):
        noise = spread * math.sin(7.0 * seed + ord(arm))
        return 1.0 + (math.log10(learning_rate / best[arm])) ** 2 + noise

    return score


def test_every_arm_is_tuned_on_the_same_grid_and_seeds_then_judged_on_fresh_ones():
    asked = question()
    members, seen = run_all([asked], bowl({"a": 0.1, "b": 0.1}))
    tuning = [m.overrides for m in members if m.phase == TUNING]
    assert tuning == [
        {"arm": arm, RATE: rate, "seed": seed}
        for arm in "ab"
        for rate in (0.01, 0.1, 1.0)
        for seed in (0, 1)
    ]
    judged = [m.overrides for m in members if m.phase == JUDGING]
    assert judged == [
        {"arm": arm, RATE: 0.1, "seed": seed} for arm in "ab" for seed in (2, 3, 4, 5)
    ]
    assert [len(wanted) for wanted in seen] == [12, 8]
    (result,) = rounds.results([asked], members)
    assert [arm.tuned for arm in result.arms] == [{RATE: 0.1}] * 2
    assert (result.arms[0].seeds, result.arms[0].members) == ((2, 3, 4, 5), (12, 13, 14, 15))
    (pair,) = result.pairs
    assert (pair.verdict, pair.seeds, pair.difference) == ("equivalent", 4, 0.0)


@pytest.mark.parametrize(
    ("best", "tried", "chosen", "at_edge"),
    [
        ({"a": 0.1, "b": 10.0}, (0.01, 0.1, 1.0, 10.0, 100.0), 10.0, False),
        ({"a": 0.1, "b": 1e4}, (0.01, 0.1, 1.0, 10.0, 100.0), 100.0, True),  # twice at most
        ({"a": 0.1, "b": 1e-3}, (1e-4, 1e-3, 0.01, 0.1, 1.0), 1e-3, False),
        ({"a": 1e-3, "b": 10.0}, (1e-4, 1e-3, 0.01, 0.1, 1.0, 10.0, 100.0), 10.0, False),
    ],
)
def test_a_best_value_at_an_edge_extends_the_grid_for_all_arms(best, tried, chosen, at_edge):
    asked = question()
    members, _ = run_all([asked], bowl(best))
    (result,) = rounds.results([asked], members)
    for arm in result.arms:
        assert [point.values[RATE] for point in arm.grid] == list(tried)
        assert [p.extended for p in arm.grid] == [rate not in (0.01, 0.1, 1.0) for rate in tried]
    assert result.arm("b").tuned == {RATE: chosen}
    assert result.arm("b").at_edge is at_edge
    assert len([m for m in members if m.phase == TUNING]) == 2 * 2 * len(tried)


def test_names_and_one_value_are_no_edges():
    for rates in (("adam", "sgd"), (0.1,)):
        asked = question(rates=rates)
        members, _ = run_all([asked], lambda arm, learning_rate, seed: 1.0)
        assert len([m for m in members if m.phase == TUNING]) == 4 * len(rates)


def test_seeds_are_added_for_the_arms_of_undecided_pairs_alone():
    def score(arm, learning_rate, seed):
        level = {"a": 0.0, "b": 0.05, "c": 10.0}[arm]
        return level + 0.2 * math.sin(7.0 * seed) * (arm == "b")

    asked = question(arms=("a", "b", "c"), looks=(4, 8, 16))
    members, _ = run_all([asked], score)
    (result,) = rounds.results([asked], members)
    assert {arm.name: len(arm.test) for arm in result.arms} == {"a": 16, "b": 16, "c": 4}
    assert result.pair("c", "a").verdict == "worse"
    assert result.pair("a", "c").seeds == 4
    # independently: the rule of one pair, from all its scores
    a, b = (np.array(result.arm(name).test) for name in "ab")
    assert result.pair("a", "b").verdict == follow(a, b, asked.rule).verdict


def test_a_reference_is_compared_with_each_arm():
    asked = question(arms=("a", "b", "c"), reference="b")
    members, _ = run_all([asked], bowl({"a": 0.1, "b": 0.1, "c": 1e-9}))
    (result,) = rounds.results([asked], members)
    assert [(pair.a, pair.b) for pair in result.pairs] == [("a", "b"), ("c", "b")]


def test_without_anything_to_tune_members_are_judged_at_once():
    asked = question(rates=())
    members, seen = run_all([asked], lambda arm, seed: float(ord(arm) + seed % 2))
    assert [len(wanted) for wanted in seen] == [8]
    (result,) = rounds.results([asked], members)
    assert result.arms[0].grid == ()
    assert math.isnan(result.arms[0].validation)
    assert result.pairs[0].verdict == "better"


def test_an_arm_that_never_solves_gets_the_rate_with_the_least_loss_and_is_not_judged_longer():
    def score(arm, learning_rate, seed):
        loss = (math.log10(learning_rate / 0.1)) ** 2 + 1.0
        return {"solved_at": math.inf, "loss": loss, "sha256": "0"}

    asked = question(times=True)
    members, _ = run_all([asked], score)
    (result,) = rounds.results([asked], members)
    assert [arm.tuned for arm in result.arms] == [{RATE: 0.1}] * 2
    (pair,) = result.pairs
    assert (pair.verdict, pair.reason, pair.seeds) == ("undecided", "neither solves", 4)


@pytest.mark.parametrize(
    ("losses", "tried"),
    [
        ((0.166, 0.167, 0.168), 3),  # nothing is learned at any rate
        ((0.159, 0.167, 0.168), 3),
        ((0.158, 0.167, 0.168), 4),  # 5% less: it comes nearer towards the lower rates
        ((0.168, 0.167, 0.150), 4),
        ((0.5, math.nan, math.nan), 4),  # all but the lowest rate diverge
        ((math.nan, math.nan, math.nan), 3),
    ],
)
@pytest.mark.parametrize("finds_loss", [True, False])
def test_an_arm_that_never_solves_extends_the_grid_where_its_loss_falls(losses, tried, finds_loss):
    by_rate = dict(zip((0.01, 0.1, 1.0), losses, strict=True))

    def score(arm, learning_rate, seed):
        if arm == "a":
            return {"solved_at": 100.0 * (1 + abs(math.log10(learning_rate / 0.1)))}
        loss = by_rate.get(learning_rate, 0.9)
        status = "diverged" if math.isnan(loss) else "finished"
        return {"solved_at": math.inf, "status": status} | (
            {"loss": loss, "sha256": "0"} if finds_loss else {}
        )

    asked = question(times=True)
    members, _ = run_all([asked], score)
    (result,) = rounds.results([asked], members)
    rates = {m.overrides[RATE] for m in members if m.phase == TUNING}
    assert len(rates) == (tried if finds_loss else 3)
    assert [len(arm.grid) for arm in result.arms] == [len(rates)] * 2


def test_times_are_compared_by_their_ratio():
    def score(arm, learning_rate, seed):
        return {"a": 100.0, "b": 400.0}[arm] * (1 + 0.1 * (seed % 2)) * (1 + learning_rate)

    asked = question(times=True, looks=(8, 16))
    members, _ = run_all([asked], score)
    (result,) = rounds.results([asked], members)
    (pair,) = result.pairs
    assert pair.verdict == "better"
    assert pair.difference == pytest.approx(0.25, rel=0.1)
    assert pair.interval[0] <= pair.difference <= pair.interval[1] < 1


def test_a_diverged_member_counts_as_worst():
    def score(arm, learning_rate, seed):
        diverged = arm == "b" and learning_rate > 0.05
        value = 1.0 if arm == "a" else 0.5
        return {
            "score": value,
            "validation_score": value,
            "status": "diverged" if diverged else "finished",
        }

    asked = question()
    members, _ = run_all([asked], score)
    (result,) = rounds.results([asked], members)
    assert result.arm("b").tuned[RATE] <= 0.01
    assert [math.isnan(s) for p in result.arm("b").grid for s in p.scores if p.values[RATE] > 0.05]


def test_several_comparisons_share_a_round():
    first, second = question("p"), question("q", arms=("a", "c"))
    members, seen = run_all([first, second], bowl({"a": 0.1, "b": 0.1, "c": 0.1}))
    # arm a is the same in both, and trained once
    assert len(seen[0]) == 3 * 3 * 2
    results = rounds.results([first, second], members)
    assert results[0].arm("a").members == results[1].arm("a").members


def test_rounds_depend_on_the_members_alone_not_on_their_order():
    asked = question()
    members, _ = run_all([asked], bowl({"a": 0.1, "b": 10.0}, spread=0.3))
    shuffled = [members[i] for i in np.random.default_rng(0).permutation(len(members))]
    assert rounds.next_round([asked], shuffled) == []
    assert rounds.results([asked], shuffled) == rounds.results([asked], members)
    lost = [m for m in members if m.index != 3]
    assert [one.overrides for one in rounds.next_round([asked], lost)] == [members[3].overrides]


def test_members_at_most_is_a_bound():
    asked = question()
    members, _ = run_all([asked], bowl({"a": 1e-9, "b": 1e9}, spread=3.0))
    assert len(members) <= asked.members_at_most


def test_a_member_without_the_score_is_named():
    with pytest.raises(UserError, match=r"member 0 has no number 'validation_score' .*it has acc"):
        run_all([question()], lambda arm, learning_rate, seed: {"acc": 1.0})


def test_a_question_is_the_same_after_json():
    for asked in (question(), question(times=True, rates=()), question(reference="a")):
        assert Question.from_json(asked.as_json()) == asked


def test_whole_numbers_have_edges_too():
    asked = dataclasses.replace(question(), tune={"cell.hidden_size": (8, 16)}, further={})
    members, _ = run_all([asked], lambda arm, hidden_size=8, seed=0: 1 / hidden_size)
    (result,) = rounds.results([asked], members)
    assert result.arms[0].tuned == {"cell.hidden_size": 16}
    assert result.arms[0].at_edge
    assert len(result.arms[0].grid) == 2


def test_a_ratio_that_no_float_holds_is_infinite():
    def score(arm, seed):
        return {2: 4e-4, 3: 4.1e-4, 4: 0.17}[seed] if arm == "a" else 0.17

    asked = question(arms=[*"abcdefgh"], rates=(), looks=(3,), relative=True)
    members, _ = run_all([asked], score)
    (result,) = rounds.results([asked], members)
    assert result.pair("a", "b").interval[1] == math.inf
    assert 0 <= result.pair("a", "b").difference < 1
