"""Claims that stand on several comparisons: they turn with the verdicts, and only with those."""

import itertools

import pytest

from rnnlab.results.claims import decide
from rnnlab.results.comparison import Comparisons, Pair
from rnnlab.results.comparison import turned as turned_pair
from rnnlab.results.comparison_claims import better_in_most, better_or_worse
from rnnlab.results.statistics import VERDICTS
from tests.helpers.comparisons import arm, result

NAMES = ("one", "two", "three")


def made(verdicts, turned=False):
    """Three comparisons of a and b, the pair given as (a, b), or as (b, a)."""
    listed = []
    for name, verdict in zip(NAMES, verdicts, strict=True):
        pair = Pair("a", "b", verdict, 0.5, (0.3, 0.8), 2)
        if turned:
            pair = turned_pair(pair, ratios=True)
        arms = [arm("a", (100.0, 120.0)), arm("b", (200.0, 240.0), first=2)]
        listed.append(result(arms, [pair], name=name))
    return Comparisons(listed)


def verdict_of(comparisons, least=2):
    one = better_in_most(
        "A beats b", comparisons=comparisons, names=NAMES, arms=("a", "b"), least=least, source="x"
    )
    (found,) = decide([one])
    return found


@pytest.mark.parametrize("turned", [False, True])
def test_it_is_decided_as_every_completion_of_the_undecided_pairs_says(turned):
    for verdicts in itertools.product(VERDICTS, repeat=3):
        completed = [
            [v if v != "undecided" else other for v, other in zip(verdicts, others, strict=True)]
            for others in itertools.product(("better", "worse"), repeat=3)
        ]
        answers = {sum(v == "better" for v in one) >= 2 for one in completed}
        expected = "undecided" if len(answers) > 1 else ("holds" if answers.pop() else "refuted")
        assert verdict_of(made(verdicts, turned)).verdict == expected, verdicts


def test_it_shows_the_evidence_of_every_comparison():
    found = verdict_of(made(("better", "worse", "equivalent")), least=1)
    assert found.verdict == "holds"
    assert found.threshold == "a is better than b in at least 1 of the comparisons one, two, three"
    assert found.measured.startswith("one: better, solves in 110 steps against 220")
    assert "; two: worse, " in found.measured


def test_a_comparison_that_the_run_lacks_leaves_it_undecided():
    comparisons = Comparisons([c for c in made(["better"] * 3).values() if c.name != "two"])
    assert verdict_of(comparisons).verdict == "undecided"


def test_pairs_better_or_worse_are_those_that_differ_and_at_most_the_open_ones_too():
    pairs = [Pair("a", "b", verdict, 1.0, (0.5, 2.0), 8) for verdict in VERDICTS]
    assert better_or_worse(pairs) == (2, 3)
    assert better_or_worse([]) == (0, 0)
