"""bert/masking.py: what is hidden, how often, and never where it must not be."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab.bert import masking

V = 1000
RNG = np.random.default_rng(0)
HIDE = jax.jit(masking.hide, static_argnums=(3, 4))  # compiled once per shape


def batch(B=600, T=40):
    ids = RNG.integers(5, V, (B, T), dtype=np.int32)
    eligible = (np.arange(T) >= 1) & (np.arange(T) < RNG.integers(3, T + 1, (B, 1)))
    eligible[:, 7] = False
    return ids, eligible


def hidden(ids, eligible, starts=None, seed=0):
    starts = None if starts is None else jnp.asarray(starts)
    return masking.Masked(
        *map(
            np.asarray,
            HIDE(jax.random.key(seed), jnp.asarray(ids), jnp.asarray(eligible), 4, (5, V), starts),
        )
    )


def chosen(masked, shape):
    where = np.zeros(shape, int)
    for row, (places, counts) in enumerate(zip(masked.positions, masked.counts, strict=True)):
        for place in places[counts]:
            where[row, place] += 1
    return where


def within(share, expected, n):
    return abs(share - expected) <= 3 * math.sqrt(expected * (1 - expected) / n)


@pytest.mark.parametrize("whole", [False, True])
def test_shares_are_within_three_standard_errors(whole):
    ids, eligible = batch()
    starts = RNG.random(ids.shape) < 0.7 if whole else None
    masked = hidden(ids, eligible, starts)
    where = chosen(masked, ids.shape)
    assert where.max() == 1
    assert not where[~eligible].any()
    n = int(where.sum())
    assert within(n / eligible.sum(), 0.15, eligible.sum())
    assert (masked.targets == np.take_along_axis(ids, masked.positions, 1)).all()
    seen = masked.ids[where == 1]
    assert within((seen == 4).mean(), 0.8, n)
    assert within((seen == ids[where == 1]).mean(), 0.1 + 0.1 / (V - 5), n)
    assert (masked.ids == ids)[where == 0].all()
    other = seen[(seen != 4) & (seen != ids[where == 1])]
    assert other.min() >= 5
    assert len(set(other)) > 0.8 * len(other) * (1 - len(other) / 2 / V)


def test_every_place_is_chosen_alike():
    ids, eligible = np.full((4000, 12), 9, np.int32), np.ones((4000, 12), bool)
    eligible[:, 0] = False
    counts = chosen(hidden(ids, eligible), ids.shape).sum(axis=0)
    assert counts[0] == 0
    assert np.abs(counts[1:] / 4000 - 0.15).max() < 4 * math.sqrt(0.15 * 0.85 / 4000)


def test_whole_words_are_hidden_whole():
    ids, eligible = batch(B=200)
    starts = RNG.random(ids.shape) < 0.6
    where = chosen(hidden(ids, eligible, starts), ids.shape)
    for row in range(len(ids)):
        word = np.cumsum(starts[row] | ~eligible[row])
        for w in np.unique(word[eligible[row]]):
            own = where[row][(word == w) & eligible[row]]
            assert own.min() == own.max()


def test_a_key_draws_the_same_and_another_key_does_not():
    ids, eligible = batch(B=8)
    a, b, c = (hidden(ids, eligible, seed=seed) for seed in (1, 1, 2))
    assert all((x == y).all() for x, y in zip(a, b, strict=True))
    assert (a.ids != c.ids).any()


@pytest.mark.parametrize("n", [1, 2, 7, 1000])
def test_shuffled_is_a_permutation(n):
    shuffle = jax.jit(masking.shuffled, static_argnums=1)
    orders = [np.asarray(shuffle(jax.random.key(s), n, jnp.arange(n))) for s in range(30)]
    for order in orders:
        assert sorted(order) == list(range(n))
    if n == 1000:
        assert len({tuple(order) for order in orders}) == 30
        r = [np.corrcoef(order, np.arange(n))[0, 1] for order in orders]
        assert np.abs(r).max() < 5 / math.sqrt(n)
        assert abs(np.mean([np.abs(np.diff(order)).mean() for order in orders]) / n - 1 / 3) < 0.01
