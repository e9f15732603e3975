"""text_features: shares of words and mean vectors against loops, and reviews without labels."""

import numpy as np
import pytest
from scipy.sparse import csr_array

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


@pytest.mark.parametrize("count", [1, 3, 499, 501, 700, 999, 1000])
def test_unlabeled_reviews_are_evenly_spaced(monkeypatch, count):
    """Every stretch of the file gives equally many, also where more than half are taken."""
    every = [str(place) for place in range(1000)]
    monkeypatch.setattr(text_features, "imdb", lambda: every)
    places = np.array(text_features.unlabeled(count), int)
    assert len(places) == count
    assert places[0] == 0
    gaps = np.diff([*places, 1000])  # the first is as far from the last as the file goes round
    assert gaps.min() >= 1000 // count
    assert gaps.max() <= -(-1000 // count)
    counts = np.histogram(places, bins=[0, 250, 500, 750, 1000])[0]
    assert np.ptp(counts) <= 1
