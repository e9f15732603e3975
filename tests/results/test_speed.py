"""speed: intervals of ratios against formulas written out, and verdicts that they decide."""

import math

import numpy as np
import pytest
from scipy import stats

from rnnlab.core.errors import Undecided
from rnnlab.results import speed
from rnnlab.results.speed import Ratio
from rnnlab.results.table import Member
from tests.helpers.benchmarks import result


def member(ms, **more):
    return Member(0, {}, {}, 0.0, result(ms, **more))


def test_a_ratio_is_of_each_round_with_students_interval():
    logs = np.array([-0.1, 0.0, 0.1, -0.05, 0.05]) + math.log(2)
    one = member({"both": {"a": (3.0 * np.exp(logs)).tolist(), "b": [3.0] * 5}})
    found = speed.ratio(one, "a", "b", "both")
    half = stats.t.ppf(0.975, 4) * logs.std(ddof=1) / math.sqrt(5)
    expected = [2.0, 2.0 * math.exp(-half), 2.0 * math.exp(half)]
    assert found == pytest.approx(expected)
    # a machine that slows both sides in a round does not change their ratio
    slowed = member({"call": {"a": [4.0, 8.0, 20.0], "b": [2.0, 4.0, 10.0]}})
    assert speed.ratio(slowed, "a", "b") == pytest.approx((2, 2, 2))


def test_the_mean_over_members_averages_their_rounds():
    rng = np.random.default_rng(0)
    pairs = [(rng.uniform(1, 2, 5), rng.uniform(1, 2, 5)) for _ in range(3)]
    found = speed.mean_ratio(pairs)
    product = 1.0
    for a, b in pairs:
        for x, y in zip(a, b, strict=True):
            product *= x / y
    assert found.value == pytest.approx(product ** (1 / 15))
    rounds = [sum(math.log(a[r] / b[r]) for a, b in pairs) / 3 for r in range(5)]
    assert found == speed.of_logs(rounds)
    assert found.low < found.value < found.high
    with pytest.raises(ValueError, match=r"as many rounds for every member, got \[3, 5\]"):
        speed.mean_ratio([*pairs, (np.ones(3), np.ones(3))])


def test_the_fastest_of_a_tools_sides_counts():
    one = member({"call": {"slow": 2.0, "spiky": [1.0, 1.0, 1.0, 9.0, 9.0], "ours": 1.5}})
    assert speed.fastest(one, ("slow", "spiky", "absent")) == "spiky"  # by its median
    with pytest.raises(Undecided, match="none of x, y was measured"):
        speed.fastest(one, ("x", "y"))
    lacking = member({"call": {"ours": 1.0}}, left_out={"keras": "needs keras"})
    with pytest.raises(Undecided, match="keras needs keras"):
        speed.ratio(lacking, "keras", "ours")


def test_a_way_that_was_measured_once_has_no_interval_and_is_never_the_fastest():
    ms = {"call": {"ours": [2.0, 3.0, 5.0], "way": [4.0, 4.0, 4.0], "slow": [9.0]}}
    one = member(ms, once={"call": ["slow"]})
    assert speed.ratio(one, "slow", "ours") == (pytest.approx(4.5), 0.0, math.inf)
    with pytest.raises(Undecided):
        speed.at_least(speed.ratio(one, "slow", "ours"), 2.0, [one])
    ms["call"]["slow"] = [0.1]  # by chance
    assert speed.fastest(one, ("way", "slow")) == "way"
    assert "medians of 3 rounds. " in speed.conditions([one])
    assert (
        "slow: measured once where it took more than 2x as long as the fastest way of the same "
        "tool in the first round."
    ) in speed.conditions([one])


def test_an_interval_decides():
    quiet = [member({"call": {"a": 1.0}})]
    above, below, across = Ratio(1.5, 1.4, 1.6), Ratio(1.2, 1.1, 1.3), Ratio(1.4, 1.2, 1.6)
    assert speed.at_least(above, 1.4, quiet) == (True, "1.50x [1.40 to 1.60]")
    assert speed.at_least(below, 1.4, quiet)[0] is False
    assert speed.at_most(below, 1.3, quiet)[0] is True
    assert speed.at_most(above, 1.3, quiet)[0] is False
    for decide in (speed.at_least, speed.at_most):
        with pytest.raises(Undecided, match=r"1\.40x \[1\.20 to 1\.60\]: .* has 1\.35 inside"):
            decide(across, 1.35, quiet)
    # of several the worst one decides
    several = {"one": above, "two": across}
    assert speed.at_least(several, 1.1, quiet) == (
        True,
        "one 1.50x [1.40 to 1.60], two 1.40x [1.20 to 1.60]",
    )
    with pytest.raises(Undecided):
        speed.at_least(several, 1.3, quiet)
    assert speed.at_least(several | {"three": below}, 1.35, quiet)[0] is False


def test_a_busy_machine_decides_nothing_and_is_said():
    members = [member({"call": {"a": 1.0}}, others_cpu=share) for share in (0.0, 0.11)]
    with pytest.raises(Undecided, match=r"other processes used 11% .* 1\.50x"):
        speed.at_least(Ratio(1.5, 1.4, 1.6), 1.0, members)
    assert "other processes used 11%" in speed.conditions(members)
    for share in (0.1, None):
        quiet = [member({"call": {"a": 1.0}}, others_cpu=share)]
        assert speed.at_least(Ratio(1.5, 1.4, 1.6), 1.0, quiet)[0]
        assert "busy" not in speed.conditions(quiet)


def test_conditions_are_said():
    one = member({"call": {"a": 1.0}}, left_out={"keras": "needs keras"}, unsteady=2)
    assert speed.conditions([one]) == (
        "Each side alone in a process of its own, in turns; medians of 5 rounds. a processor, 2 "
        "cores. keras is left out: it needs keras. 2 turns were timed before their calls were "
        "steady."
    )
