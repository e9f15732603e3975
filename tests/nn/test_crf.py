"""The field over all K^T sequences, counted one by one; gradients; padding; the tagger with it."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab.nn import cells, crf, layers, models
from tests.helpers.sequences import applied, compiled

B, T, K = 3, 4, 3
LENGTHS = np.array([4, 1, 3])
MASK = np.arange(T) < LENGTHS[:, None]
RNG = np.random.default_rng(0)
EMISSIONS, TRANSITIONS = RNG.normal(size=(B, T, K)), RNG.normal(size=(K + 1, K))
LABELS = RNG.integers(0, K, (B, T))


def score(b, labels):
    """s(y) of the first len(labels) steps of example b, as in Lample et al., eq. 1."""
    before = [K, *labels[:-1]]
    return sum(
        EMISSIONS[b, t, label] + TRANSITIONS[before[t], label] for t, label in enumerate(labels)
    )


def every(b):
    """All label sequences of example b, and their scores."""
    paths = list(itertools.product(range(K), repeat=int(LENGTHS[b])))
    return paths, np.array([score(b, path) for path in paths])


@pytest.fixture
def scores(x64):
    return compiled(crf.edges, EMISSIONS, TRANSITIONS)


def test_equals_a_sum_over_all_sequences(scores):
    padded = np.where(MASK[..., None, None], scores, np.nan)  # what padding holds never matters

    @jax.jit
    def run(given):
        return crf.log_partition(given, MASK), crf.path_score(given, LABELS, MASK)

    for given in (scores, padded):
        found = run(given)
        for b in range(B):
            expected = np.log(np.exp(every(b)[1]).sum())
            np.testing.assert_allclose(found[0][b], expected, rtol=1e-12)
            np.testing.assert_allclose(found[1][b], score(b, LABELS[b, : LENGTHS[b]]), rtol=1e-12)


def test_viterbi_finds_the_best_of_all_sequences(scores):
    found = compiled(crf.viterbi, scores, MASK)
    for b in range(B):
        paths, of = every(b)
        assert tuple(found[b, : LENGTHS[b]]) == paths[of.argmax()]
        assert not found[b, LENGTHS[b] :].any()
    alone = compiled(crf.viterbi, scores[:1])
    assert (alone == found[:1]).all()


@pytest.mark.parametrize(("reduction", "count"), [("mean", MASK.sum()), ("sum_over_time", B)])
def test_the_loss_and_its_gradient(scores, reduction, count):
    """∂L/∂e is the field's probability of an edge, less the edge that is there."""

    def loss(scores):
        return crf.negative_log_likelihood(scores, LABELS, MASK, reduction)

    value, grad = compiled(jax.value_and_grad(loss), scores)
    total, expected = 0.0, np.zeros((B, T, K, K))
    for b in range(B):
        paths, of = every(b)
        p = np.exp(of) / np.exp(of).sum()
        total -= np.log(p[paths.index(tuple(LABELS[b, : LENGTHS[b]]))])
        for path, weight in [*zip(paths, p, strict=True), (LABELS[b, : LENGTHS[b]], -1.0)]:
            for t in range(1, len(path)):
                expected[b, t, path[t - 1], path[t]] += weight
            expected[b, 0, :, path[0]] += weight / K  # all rows of the first step are one number
    np.testing.assert_allclose(value, total / count, rtol=1e-12)
    np.testing.assert_allclose(grad[:, 1:], expected[:, 1:] / count, atol=1e-14)
    np.testing.assert_allclose(grad[:, 0].sum(1), expected[:, 0].sum(1) / count, atol=1e-14)


def test_the_loss_is_zero_if_no_step_counts():
    none = np.zeros((2, 3), bool)

    def both(scores):
        loss = crf.negative_log_likelihood(scores, np.zeros((2, 3), int), none)
        return loss, crf.viterbi(scores, none)

    loss, labels = compiled(both, np.ones((2, 3, 2, 2), np.float32))
    assert loss == 0
    assert not labels.any()


def test_shapes_that_do_not_fit_are_refused():
    scores = np.zeros((2, 3, 2, 2), np.float32)
    with pytest.raises(ValueError, match=r"transitions \(K\+1, K\), got \(2, 3, 2\) and"):
        crf.edges(jnp.zeros((2, 3, 2)), jnp.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"scores must be \(B, T, K, K\) .* got \(2, 3, 2\)"):
        crf.viterbi(scores[..., 0])
    with pytest.raises(ValueError, match=r"mask must be \(2, 3\), got \(2,\)"):
        crf.log_partition(scores, np.ones(2, bool))
    with pytest.raises(TypeError, match="targets must be whole numbers, got float32"):
        crf.negative_log_likelihood(scores, jnp.zeros((2, 3)))


def test_a_tagger_with_a_field():
    """Its emissions are those of the tagger without; the field starts at zero, where it is none."""
    layer = layers.Bidirectional(cells.LSTM(4))
    model = models.ManyToMany(layer, outputs=K, crf=True)
    xs = RNG.normal(size=(B, T, 2)).astype(np.float32)
    params: Any = model.init(jax.random.key(0), xs)
    assert params["params"]["transitions"].shape == (K + 1, K)
    outputs, _ = applied(model, params, xs)
    plain = {"params": {k: v for k, v in params["params"].items() if k != "transitions"}}
    emissions, _ = applied(models.ManyToMany(layer, outputs=K), plain, xs)
    assert (outputs == emissions[:, :, None]).all()
    assert (compiled(crf.viterbi, outputs) == emissions.argmax(-1)).all()
    drawn = TRANSITIONS.astype(np.float32)
    moved = {"params": params["params"] | {"transitions": drawn}}
    expected = compiled(crf.edges, emissions, drawn)
    np.testing.assert_array_equal(applied(model, moved, xs)[0], expected)
    assert models.without_init(model).crf
