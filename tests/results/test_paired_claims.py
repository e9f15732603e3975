"""paired_claims: the exact interval against SciPy's test, and verdicts of every kind."""

import numpy as np
import pytest
from scipy import stats

from rnnlab.core.errors import Undecided
from rnnlab.results.comparison_words import percent
from rnnlab.results.paired_claims import Paired, more_accurate, paired, spread
from rnnlab.results.statistics import COMPARISON_ERROR


def answers(both, first, second, neither):
    """Which examples two classifiers have right, in a random order."""
    rows = np.array([[1, 1]] * both + [[1, 0]] * first + [[0, 1]] * second + [[0, 0]] * neither)
    return np.random.default_rng(3).permutation(rows).T.astype(bool)


@pytest.mark.parametrize(("first", "second"), [(30, 12), (12, 30), (7, 7), (1, 0), (20, 8)])
def test_the_interval_is_scipys_and_agrees_with_mcnemars_exact_test(first, second):
    a, b = answers(400, first, second, 100)
    found = paired(a, b)
    test = stats.binomtest(first, first + second, 0.5)
    ends = test.proportion_ci(0.95, method="exact")
    scale = (first + second) / len(a)
    assert found.difference == pytest.approx(a.mean() - b.mean())
    assert found.low == pytest.approx((2 * ends.low - 1) * scale)
    assert found.high == pytest.approx((2 * ends.high - 1) * scale)
    assert (found.first, found.second) == (first, second)
    assert (test.pvalue < 0.05) == (not found.low <= 0 <= found.high)


def test_equal_answers_on_a_few_examples_prove_nothing():
    equal = paired([1, 0, 1], [1, 0, 1])
    assert equal == (0, 0, 0, 0, 0)
    assert spread(equal, 3)[1] > 0.3


def test_the_spread_covers_the_true_difference():
    """The exact interval, given how many examples differ, misses in 17% here."""
    n, both = 200, np.random.default_rng(5).multinomial(200, (0.02, 0.005, 0.975), size=400)
    ends = np.array([spread(Paired(0.0, 0.0, 0.0, b, c), n) for b, c, _ in both])
    missed = (ends[:, 0] > 0.015) | (ends[:, 1] < 0.015)
    assert missed.mean() < 0.05 + 2 * (0.05 * 0.95 / 400) ** 0.5


def test_answers_that_are_no_pairs_are_refused():
    with pytest.raises(ValueError, match="second"):
        paired([1, 0], [1])
    with pytest.raises(ValueError, match="no examples"):
        paired([], [])


def claimed(first, second, margin=0.02, **options):
    given = dict(zip("ab", answers(700, first, second, 1000 - 700 - first - second), strict=True))
    return more_accurate(
        "a is better",
        right=given.__getitem__,
        answers=("a", "b"),
        margin=margin,
        source="none",
        **options,
    )


def sign(first, second, margin=0.02, **options):
    claim = claimed(first, second, margin, **options)
    try:
        return "-+"[claim.check()[0]]
    except Undecided:
        return "?"


def test_every_verdict():
    assert sign(80, 30) == "+"
    assert sign(30, 80) == "-"
    assert sign(50, 40) == "?"
    assert sign(12, 10) == "-"  # equivalent
    assert sign(15, 2, margin=0.025) == "-"  # higher by less than matters
    assert sign(15, 2, margin=0.01) == "+"


@pytest.mark.parametrize(("error", "said"), [(0.05, "95%"), (0.01, "99%"), (0.001, "99.9%")])
def test_the_level_in_words_is_that_of_the_intervals(error, said):
    claim = claimed(40, 15, margin=0.001, error=error)
    assert f" the {said} interval of the accuracy of a − that of b " in claim.threshold
    a, b = answers(700, 40, 15, 245)
    p = stats.binomtest(40, 55, 0.5).pvalue  # 0.001: between the last two levels
    assert sign(40, 15, margin=0.001, error=error) == ("+" if p < error else "?")
    scale = 55 / len(a)
    low = stats.binomtest(40, 55).proportion_ci(1 - error, method="exact").low
    assert paired(a, b, error).low == pytest.approx((2 * low - 1) * scale)


def test_the_usual_level_is_that_of_comparisons():
    assert f"the {percent(1 - COMPARISON_ERROR)} interval" in claimed(1, 2).threshold
