"""top_k.py: the best of dense scores against a full sort, and scores that have no order."""

import numpy as np
import pytest

from rnnlab.sparse import top_k


@pytest.mark.parametrize("k", [1, 3, 40, 41, 10**9, np.int64(5)])
def test_the_best_are_those_of_a_stable_sort(k):
    values = np.random.default_rng(0).integers(0, 9, 40).astype(np.float32)
    values[7], values[8] = np.inf, -np.inf
    assert top_k.best(values, k).tolist() == np.argsort(-values, kind="stable")[:k].tolist()


@pytest.mark.parametrize("k", [-1, 0, 2.5, True])
def test_k_is_whole_and_at_least_1(k):
    with pytest.raises(ValueError, match="k must be a whole number of at least 1"):
        top_k.best(np.arange(5.0), k)


@pytest.mark.parametrize("k", [1, 2, 5, 9])
def test_nan_has_no_place(k):
    """np.partition sorts NaN above all numbers: without a check it is the best."""
    values = np.array([1.0, 3.0, np.nan, 2.0, 0.0])
    with pytest.raises(ValueError, match="number 2 is NaN"):
        top_k.best(values, k)
