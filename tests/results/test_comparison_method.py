"""How a comparison was tuned and judged, word by word."""

import dataclasses

from rnnlab.results.comparison import Pair
from rnnlab.results.comparison_method import judging_words, tuning_words
from tests.helpers.comparisons import KEY, SCORES, arm, grid, result

PAIR = Pair("A", "B", "better", 0.25, (0.2, 0.5), 2)


def test_how_arms_were_tuned_and_judged():
    points = grid({0.01: (9.0, 9.0), 0.03: (5.0, 6.0), 0.09: (4.0, 5.0)}, extended=(0.09,))
    arms = [
        arm("A", (480.0, 470.0), 0.03, grid=points),
        arm("B", (1900.0, 2000.0), 0.01, grid=points[:2]),
    ]
    times = result(arms, [PAIR])
    assert tuning_words(times) == (
        "Every arm was tuned with the same budget over learning rate 0.003, 0.01, 0.03, on 3 seeds "
        "apart from the judged ones, by the validation score's mean over a value and its neighbors."
        " A best value at the grid's edge extended it for all arms: learning rate 0.09."
    )
    untuned = [arm(name, (480.0, 470.0)) for name in "AB"]
    assert tuning_words(result(untuned, (), tune={})) == (
        "Nothing was tuned: every arm has the values of the config."
    )
    shared = {KEY: 0.01, "training.clip_norm": 1.0}
    fixed = [dataclasses.replace(one, overrides=shared | {"arm": one.name}) for one in untuned]
    assert tuning_words(result(fixed, (), tune={})) == (
        "Nothing was tuned: every arm has learning rate 0.01, clip norm 1."
    )
    assert judging_words(times) == (
        "Judged by test scores, paired by seed, after 8, 16 and 32 fresh seeds (more only for "
        "pairs that were still undecided): better and worse are an exact sign test's, in which "
        "never counts as worst; equivalent arms solve in every seed, and the interval of the ratio "
        "of their times lies within 25%. The level is 98.3% for 1 pair at 3 looks, so that the "
        "whole comparison errs with at most 5%."
    )
    scores = judging_words(result(arms, (), **SCORES | {"looks": (8,)}))
    assert "after 8 fresh seeds: the interval of the difference lies off 0" in scores
    assert "wholly within ±0.02 for equivalent" in scores
