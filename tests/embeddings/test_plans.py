"""plans.py: draws follow their formulas, windows stay in their documents."""

import numpy as np
import pytest

from rnnlab.embeddings import plans


def rng(seed=0):
    return np.random.default_rng(seed)


def test_noise_is_the_count_to_the_three_quarters():
    counts = np.array([1000, 100, 10, 1])
    expected = [c**0.75 / sum(k**0.75 for k in counts) for c in counts]
    np.testing.assert_allclose(plans.noise_probabilities(counts), expected)
    np.testing.assert_allclose(plans.noise_probabilities(counts, 0.0), 0.25)
    drawn = plans.Noise(plans.noise_probabilities(counts), rng(), 1 << 16).draw(1 << 15, rng(1))
    assert drawn.dtype == np.int32
    shares = np.bincount(drawn, minlength=4) / len(drawn)
    sigma = np.sqrt(np.array(expected) / len(drawn))
    assert (np.abs(shares - expected) < 5 * sigma).all()


def test_noise_goes_round():
    noise = plans.Noise(np.array([0.5, 0.5]), rng(), 16)
    drawn = noise.draw(48, rng(3))
    assert (drawn[:16] == drawn[16:32]).all()
    assert 0 < drawn[:16].sum() < 16


def test_windows_stay_in_the_document():
    offsets = np.array([0, 1, 1, 4, 40_000])
    left, right = plans.windows(offsets, 3, rng())
    for t in range(5):
        first, last = (0, 0) if t == 0 else (1, 3) if t < 4 else (4, 39_999)
        assert 0 <= left[t] <= min(3, t - first)
        assert 0 <= right[t] <= min(3, last - t)
    assert left[2] >= 1  # the neighbor is always seen
    inside = slice(10, -10)
    assert (left[inside] == right[inside]).all()
    shares = np.bincount(left[inside], minlength=4) / left[inside].size
    np.testing.assert_allclose(shares, [0, 1 / 3, 1 / 3, 1 / 3], atol=0.015)


def test_thinned():
    ids = np.tile(np.array([0, 1, 2], np.int32), 10_000)
    keep = np.array([1.0, 0.0, 0.25], np.float32)
    kept, offsets = plans.thinned(ids, np.array([0, 15_000, 30_000]), keep, rng())
    counts = np.bincount(kept, minlength=3)
    assert counts[0] == 10_000
    assert counts[1] == 0
    assert counts[2] == pytest.approx(2500, abs=5 * np.sqrt(2500))
    assert offsets.tolist() == [0, int((kept[: offsets[1]] >= 0).sum()), len(kept)]
    assert (kept[: offsets[1]] == 0).sum() == 5000
