"""Comparisons as files hold them; a verdict seen from the other arm."""

import dataclasses
import math

import pytest

from rnnlab.core import json_files
from rnnlab.core.errors import Undecided, UserError
from rnnlab.core.metrics import Metric, as_json
from rnnlab.results import comparison
from rnnlab.results.comparison import Arm, ComparisonResult, Pair, read_comparisons, turned
from rnnlab.results.table import Member, Table
from tests.helpers.comparisons import SCORES, arm, grid, result

NAN, INF = math.nan, math.inf


def small(**more):
    """Arms that hold what JSON has no number for, and a tuple among the overrides."""
    points = grid({0.01: (300.0, INF, 250.0), 0.03: (100.0, 120.5, 90.0)}, extended=(0.03,))
    a = arm("a", (480.0, INF), 0.03, grid=points, at_edge=True, validation=103.5, first=7)
    b = arm(
        "b",
        (1900.0, 2100.0),
        0.01,
        overrides={"task.lags": (1, 2)},
        validation=4.5,
        tuning_members=(3, 4),
    )
    pair = Pair("a", "b", "undecided", 0.25, (-INF, 0.5), 2, "too few seeds", 60)
    return result((a, b), (pair,), metric=as_json([Metric("solved_at", "steps")])[0], **more)


@pytest.mark.parametrize("count", [1, 2])
def test_comparisons_come_back_from_their_file(tmp_path, count):
    results = [small(), small(name="second", reference="a", question="Ω")][:count]
    json_files.write_json(tmp_path / "comparison.json", comparison.as_json(results))
    read = read_comparisons(tmp_path)
    assert read == results
    assert read[0].how_read == Metric("solved_at", "steps")
    untuned = dataclasses.replace(results[0].arms[1], validation=NAN)
    results[0] = dataclasses.replace(results[0], arms=(results[0].arms[0], untuned))
    json_files.write_json(tmp_path / "comparison.json", comparison.as_json(results))
    assert math.isnan(read_comparisons(tmp_path)[0].arms[1].validation)


def test_a_run_that_compares_nothing_has_none(tmp_path):
    assert read_comparisons(tmp_path) == []


@pytest.mark.parametrize("content", [[1], {"comparisons": [{"name": "x"}]}, {"arms": 3}])
def test_a_damaged_file_is_named(tmp_path, content):
    json_files.write_json(tmp_path / "comparison.json", content)
    with pytest.raises(UserError, match=r"comparison\.json is no list of comparisons"):
        read_comparisons(tmp_path)


def test_a_verdict_is_turned_with_its_numbers():
    pair = Pair("a", "b", "worse", 0.3, (0.1, 0.5), 8)
    assert turned(pair, ratios=False) == Pair("b", "a", "better", -0.3, (-0.5, -0.1), 8)
    pair = Pair("a", "b", "worse", 4.0, (2.0, 8.0), 8)
    assert turned(pair, ratios=True) == Pair("b", "a", "better", 0.25, (0.125, 0.5), 8)
    assert turned(turned(pair, ratios=True), ratios=True) == pair
    open_end = Pair("a", "b", "undecided", 0.0, (0.0, INF), 8)
    assert turned(open_end, ratios=True) == Pair("b", "a", "undecided", INF, (0.0, INF), 8)


def test_a_pair_is_found_from_either_side():
    pair = Pair("a", "b", "better", -0.1, (-0.2, -0.05), 8)
    three = result([arm(n, [1.0]) for n in "abc"], [pair], reference="b", **SCORES)
    assert three.pair("a", "b") is pair
    assert three.pair("b", "a") == Pair("b", "a", "worse", 0.1, (0.05, 0.2), 8)
    with pytest.raises(Undecided, match="a and c are each compared with b alone"):
        three.pair("a", "c")
    with pytest.raises(Undecided, match="arm 'd'"):
        three.pair("a", "d")


def test_a_comparison_that_a_run_lacks_leaves_claims_undecided():
    both = comparison.Comparisons([small()])
    assert "adding" in both
    assert "copying" not in both
    with pytest.raises(Undecided, match="copying"):
        both["copying"]


def test_judged_members_are_those_of_the_arm():
    table = Table(Member(i, {}, {"seed": i}, 0.0, {}) for i in range(20))
    assert [member.index for member in small().judged(table, "a")] == [7, 8]


def test_its_figures_have_its_name():
    assert small().figure_names == ["adding_tuning", "adding_pairs", "adding_curves"]


def test_pairs_are_of_the_seeds_that_all_arms_have():
    members = [
        Member(k, {}, {"arm": arm, "seed": seed}, 0.0, {})
        for k, (arm, seed) in enumerate([("a", 1), ("a", 2), ("a", 3), ("b", 3), ("b", 2)])
    ]
    arms = tuple(
        Arm(name, {}, {}, (), False, 0.0, (), (), places)
        for name, places in (("a", (0, 1, 2)), ("b", (3, 4)))
    )
    one = ComparisonResult(
        "x", "", "loss", "lower", 0.1, False, False, None, {}, (), (2,), 0.95, arms, ()
    )
    assert [m.index for m in one.paired(Table(members), "a", "b")] == [1, 2, 3, 4]
    assert [m.index for m in one.paired(Table(members), "a")] == [0, 1, 2]
