"""text_features: shares of words and mean vectors against loops, and the choice of C."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.linear_model import LogisticRegression

from rnnlab.embeddings.vectors import Vectors
from rnnlab.lab import text_features
from rnnlab.tasks.reviews import MovieReviews


def test_the_share_of_common_words_is_that_of_their_columns():
    counts = np.zeros((2, 30), int)
    counts[:, :10] = 5
    counts[0, 10:] = 1
    features = counts.astype(float)
    features[:, :10] *= 0.2
    assert text_features.common_share(csr_array(counts), csr_array(counts)) == pytest.approx(
        100 / 120
    )
    assert text_features.common_share(csr_array(counts), csr_array(features)) == pytest.approx(
        20 / 40
    )


def test_mean_vectors_are_the_means():
    rng = np.random.default_rng(0)
    vectors = Vectors(["film", "good", "a"], rng.normal(size=(3, 5)).astype(np.float32))
    means = text_features.mean_vectors(
        vectors, ["A good, good film!", "unseen words", "", "film unseen"]
    )
    film, good, a = vectors.matrix.astype(float)
    expected = [(a + 2 * good + film) / 4, 0 * a, 0 * a, film]
    np.testing.assert_allclose(means, expected, rtol=1e-6, atol=0)


def test_unlabeled_reviews_are_others_than_those_held_out():
    split = MovieReviews().split()
    other = text_features.unlabeled(3000)
    assert len(set(other)) == 3000
    assert not set(other) & {*split.texts, *split.test_texts}
    assert text_features.unlabeled(0) == []


def test_the_best_C_is_that_of_scikit_learns_scores():
    rng = np.random.default_rng(1)
    weights = rng.normal(size=20)
    rows = rng.normal(size=(160, 20))
    labels = (rows @ weights + 2 * rng.normal(size=160) > 0).astype(int)
    scores = {
        C: LogisticRegression(C=C, solver="liblinear", tol=1e-3)
        .fit(rows[:100], labels[:100])
        .score(rows[100:], labels[100:])
        for C in text_features.CHOICES
    }
    found = text_features.best_C(csr_array(rows[:100]), csr_array(rows[100:]), labels)
    assert found == max(scores, key=scores.__getitem__)
