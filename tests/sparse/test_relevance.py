"""Measures of rankings against loops written out, and scikit-learn."""

from functools import partial

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, ndcg_score

from rnnlab.sparse import relevance

RNG = np.random.default_rng(0)
CASES = [
    (RNG.permutation(30), {int(d): float(RNG.integers(0, 4)) for d in RNG.permutation(40)[:12]})
    for _ in range(25)
]


def ndcg_by_hand(ranked, gains, k):
    dcg = sum(gains.get(int(d), 0) / np.log2(i + 2) for i, d in enumerate(ranked[:k]))
    ideal = sum(g / np.log2(i + 2) for i, g in enumerate(sorted(gains.values())[::-1][:k]))
    return dcg / ideal


@pytest.mark.parametrize("k", [1, 3, 10, 100])
def test_ndcg_equals_scikit_learn(k):
    for ranked, gains in CASES:
        own = relevance.ndcg(ranked, gains, k)
        assert own == pytest.approx(ndcg_by_hand(ranked, gains, k))
        inside = {d: g for d, g in gains.items() if d < 30}  # scikit-learn ranks all there are
        if any(inside.values()):
            truth = np.array([[inside.get(d, 0.0) for d in range(30)]])
            scores = np.empty((1, 30))
            scores[0, ranked] = -np.arange(30)
            expected = ndcg_score(truth, scores, k=k)
            assert relevance.ndcg(ranked, inside, k) == pytest.approx(expected)


def test_average_precision_equals_a_loop():
    for ranked, gains in CASES:
        relevant = {d for d, g in gains.items() if g > 0}
        found, total = 0, 0.0
        for i, d in enumerate(ranked, start=1):
            if d in relevant:
                found += 1
                total += found / i
        assert relevance.average_precision(ranked, gains) == pytest.approx(total / len(relevant))
        inside = {d: g for d, g in gains.items() if d < 30}
        if any(inside.values()):
            truth = [inside.get(int(d), 0) > 0 for d in ranked]
            expected = average_precision_score(truth, -np.arange(30))
            assert relevance.average_precision(ranked, inside) == pytest.approx(expected)


def test_recall_and_reciprocal_rank():
    for ranked, gains in CASES:
        relevant = {d for d, g in gains.items() if g > 0}
        for k in (1, 5, 30):
            share = len(relevant & set(ranked[:k].tolist())) / len(relevant)
            assert relevance.recall(ranked, gains, k) == pytest.approx(share)
        first = next((i for i, d in enumerate(ranked, start=1) if d in relevant), np.inf)
        assert relevance.reciprocal_rank(ranked, gains) == 1 / first


def test_evaluate_leaves_out_queries_without_judgments():
    rankings = np.array([[0, 1], [1, 0], [1, 0]])
    found = relevance.evaluate(rankings, [{0: 2.0}, {}, {0: 1.0}], k=2)
    assert found["ndcg"] == pytest.approx([1, 1 / np.log2(3)])
    assert found["average_precision"].tolist() == [1, 0.5]
    assert found["recall"].tolist() == [1, 1]
    with pytest.raises(ValueError, match="no query has a relevant document"):
        relevance.evaluate(rankings, [{}, {}, {3: 0.0}])
    with pytest.raises(ValueError, match="3 rankings, but judgments of 1"):
        relevance.evaluate(rankings, [{}])


def test_nothing_relevant_scores_zero_and_bad_input_is_refused():
    assert relevance.ndcg([1, 2], {}) == relevance.average_precision([1, 2], {3: 0.0}) == 0
    for measure in (relevance.ndcg, relevance.recall, relevance.average_precision):
        with pytest.raises(ValueError, match="k must be a whole number of at least 1"):
            measure([1], {1: 1.0}, 0)
        with pytest.raises(ValueError, match="a gain must be at least 0"):
            measure([1], {1: -1.0})
        with pytest.raises(ValueError, match="occurs twice"):
            measure([1, 1], {1: 1.0})


@pytest.mark.parametrize("wrong", [-1, 0, 2.5])
def test_numbers_of_ranks_are_whole_and_at_least_1(wrong):
    ranked, gains = [0, 1, 2], {1: 1.0}
    asks = [
        ("k", partial(measure, ranked, gains, wrong))
        for measure in (
            relevance.ndcg,
            relevance.average_precision,
            relevance.recall,
            relevance.reciprocal_rank,
        )
    ]
    asks += [
        ("k", lambda: relevance.evaluate(np.array([ranked]), [gains], wrong)),
        ("depth", lambda: relevance.evaluate(np.array([ranked]), [gains], 2, wrong)),
    ]
    for name, ask in asks:
        with pytest.raises(ValueError, match=f"{name} must be a whole number of at least 1"):
            ask()


def test_documents_that_are_no_numbers_are_not_cut_to_some():
    for ranked in ([0.5, 1.5], [np.nan, 1.0], ["1", "2"]):
        with pytest.raises(ValueError, match="documents are ranked by their numbers"):
            relevance.ndcg(ranked, {1: 1.0})
    assert relevance.recall([], {1: 1.0}) == 0
