"""Claims on arms against answers that are not trained, decided by an interval over seeds."""

import math

import numpy as np
import pytest
from scipy import stats

from rnnlab.core.errors import Undecided
from rnnlab.results.comparison import Comparisons
from rnnlab.results.comparison_claims import beats
from rnnlab.results.table import JUDGING, Member, Table
from tests.helpers.comparisons import SCORES, arm, result

# of differences that lie evenly around their mean the interval is a t interval
AROUND = np.array([-3.0, -1.0, 1.0, 3.0, -2.0, 2.0, 0.5, -0.5])
OWN = {"a": 2.0 * np.exp(0.05 * AROUND), "b": 0.8 + 0.01 * AROUND}


def claim(scores, answer, higher=False, expected="holds"):
    """Return the claim of arms whose scores are given; the answer is a result of each member."""
    arms, members = [], []
    for name, values in scores.items():
        arms.append(arm(name, values, 0.01, first=len(members)))
        for seed, value in enumerate(values):
            found = {"error": value, "other": answer}
            members.append(Member(len(members), {"seed": seed}, {}, 0.0, found, (), JUDGING))
    return beats(
        "Arms beat it",
        table=Table(members),
        comparisons=Comparisons([result(arms, (), **SCORES)]),
        name="adding",
        arms=list(scores),
        score=lambda member: member.result["error"],
        answer=lambda member: member.result["other"],
        words=("the error", "that of a constant"),
        source="the test",
        expected=expected,
        higher=higher,
    )


def verdict(made):
    try:
        return {True: "holds", False: "refuted"}[made.check()[0]]
    except Undecided:
        return "undecided"


@pytest.mark.parametrize(("name", "higher"), [("a", False), ("b", True)])
def test_one_arm_is_decided_at_the_ends_of_a_t_interval(name, higher):
    own = OWN[name]
    scaled = own if higher else np.log(own)
    ends = stats.t.interval(0.95, 7, scaled.mean(), scaled.std(ddof=1) / math.sqrt(8))
    low, high = ends if higher else np.exp(ends)
    off = 1e-6
    found = [
        verdict(claim({name: own}, answer, higher))
        for answer in (low - off, low + off, high - off, high + off)
    ]
    order = ["holds", "undecided", "undecided", "refuted"]
    assert found == (order if higher else order[::-1])
    _, words = claim({name: own}, 0.1, higher).check()
    assert f"[{low:.3g} to {high:.3g}], learning rate 0.01, 8 seeds" in words
    assert words.endswith("that of a constant 0.1")


def test_several_arms_share_the_error_and_all_must_be_better():
    near = stats.t.interval(0.95, 7, *moments(OWN["a"]))[1]
    wide = stats.t.interval(1 - 0.05 / 2, 7, *moments(OWN["a"]))[1]
    answer = math.exp((near + wide) / 2)
    better = OWN["a"] / 2
    assert verdict(claim({"a": OWN["a"]}, answer)) == "holds"
    assert verdict(claim({"a": OWN["a"], "b": better}, answer)) == "undecided"
    assert verdict(claim({"a": OWN["a"], "b": 2 * better}, 2.5)) == "holds"
    assert verdict(claim({"a": OWN["a"] * 2, "b": better}, 2.5)) == "refuted"
    made = claim({"a": OWN["a"], "b": better}, 2.5, expected="refuted")
    assert "the 97.5% interval of the error over seeds lies below" in made.threshold
    assert "for a, b, in the comparison adding" in made.threshold
    assert made.expected == "refuted"


def moments(own):
    return np.log(own).mean(), np.log(own).std(ddof=1) / math.sqrt(len(own))


def test_equal_numbers_refute_and_a_diverged_seed_leaves_it_open():
    assert verdict(claim({"a": np.full(8, 0.5)}, 0.5)) == "refuted"
    assert verdict(claim({"a": np.full(8, 0.5)}, 0.5, higher=True)) == "refuted"
    with pytest.raises(Undecided, match="1 of 8 seeds of a have no number"):
        claim({"a": [*OWN["a"][:7], math.nan]}, 9.0).check()
    with pytest.raises(Undecided, match="there is no answer to beat"):
        claim({"a": OWN["a"]}, math.nan).check()


def test_an_error_of_zero_is_compared_by_its_difference():
    assert verdict(claim({"a": np.zeros(8)}, 0.5)) == "holds"
    assert verdict(claim({"a": np.full(8, 0.5)}, 0.0)) == "refuted"
