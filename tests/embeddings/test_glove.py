"""glove.py: the equation and AdaGrad against loops, topics found in a corpus."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab.embeddings import cooccurrence, corpus, glove
from rnnlab.embeddings.glove import Params, Settings
from rnnlab.embeddings.vectors import Vectors

V, D = 7, 4


def drawn(dtype=np.float64):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=s).astype(dtype) for s in ((V, D), (V, D), (V,), (V,))]
    rows, columns = rng.integers(0, V, (2, 30)).astype(np.int32)
    X = (rng.gamma(0.5, 40, 30)).astype(dtype)
    X[3] = X[11] = 0  # no pairs
    assert (X > 50).any()
    return Params(*arrays), rows, columns, X


def loop(params, rows, columns, X, x_max, alpha):
    """(J, its gradients) from eqs. 8 and 9, in float64."""
    W, W_c, b, b_c = params
    J, grads = 0.0, [np.zeros(p.shape) for p in params]
    for i, j, x in zip(rows, columns, X, strict=True):
        if x == 0:
            continue
        f = (x / x_max) ** alpha if x < x_max else 1.0
        difference = sum(W[i, d] * W_c[j, d] for d in range(D)) + b[i] + b_c[j] - np.log(x)
        J += f * difference**2
        for d in range(D):
            grads[0][i, d] += 2 * f * difference * W_c[j, d]
            grads[1][j, d] += 2 * f * difference * W[i, d]
        grads[2][i] += 2 * f * difference
        grads[3][j] += 2 * f * difference
    return J, grads


def test_the_loss_and_its_gradients_are_the_loops(x64):
    params, rows, columns, X = drawn()
    expected, grads = loop(params, rows, columns, X, 50.0, 0.6)
    J, found = jax.value_and_grad(glove.loss)(params, rows, columns, jnp.array(X), 50.0, 0.6)
    assert float(J) == pytest.approx(expected, rel=1e-12)
    for one, other in zip(found, grads, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-11)


def tool(params, records, eta, x_max, alpha):
    """The C tool's loop over records, float64; its accumulators begin at 1."""
    W, W_c, b, b_c = (np.array(p, np.float64) for p in params)
    G, G_c, Gb, Gb_c = (np.ones_like(p) for p in (W, W_c, b, b_c))
    for i, j, x in records.tolist():
        f = (x / x_max) ** alpha if x < x_max else 1.0
        step = eta * f * (W[i] @ W_c[j] + b[i] + b_c[j] - np.log(x))
        to_w, to_c = step * W_c[j], step * W[i]
        W[i] -= to_w / np.sqrt(G[i])
        W_c[j] -= to_c / np.sqrt(G_c[j])
        G[i] += to_w**2
        G_c[j] += to_c**2
        b[i] -= step / np.sqrt(Gb[i])
        b_c[j] -= step / np.sqrt(Gb_c[j])
        Gb[i] += step**2
        Gb_c[j] += step**2
    return W, W_c, b, b_c


def test_steps_of_one_pair_are_the_tools():
    records = np.zeros(40, cooccurrence.RECORD)
    _, rows, columns, X = drawn()
    records["row"], records["column"] = np.tile(rows, 2)[:40], np.tile(columns, 2)[:40]
    records["count"] = np.tile(X, 2)[:40] + 0.3
    state = glove.begin(jax.random.key(0), V, D)
    begun = glove.params_of(jax.tree.map(np.array, state))
    blocks = [jnp.array(records[name][:, None]) for name in ("row", "column", "count")]
    state, J = glove.step_blocks(state, *blocks, 0.1, 50.0, 0.6)
    for ours, theirs in zip(
        glove.params_of(state), tool(begun, records, 0.1, 50, 0.6), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=2e-5)
    assert float(J) > 0


def test_pairs_of_a_block_see_the_same_parameters():
    _, rows, columns, X = drawn(np.float32)
    state = glove.begin(jax.random.key(0), V, D)
    begun = jax.tree.map(np.array, state)
    params = glove.params_of(begun)
    J, grads = loop(params, rows, columns, X, 50, 0.6)
    state, total = glove.step_blocks(state, rows[None], columns[None], X[None], 0.1, 50.0, 0.6)
    assert float(total) == pytest.approx(J, rel=1e-5)
    for new, old, g in zip(glove.params_of(state), params, grads, strict=True):
        np.testing.assert_allclose(new, old - 0.05 * g, atol=1e-5)  # all accumulators are 1


def texts(n=400, seed=0):
    """Two topics of eight words; one word in ten is of the other one."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(n):
        topic = rng.integers(2)
        other = rng.random(12) < 0.1
        out.append(
            [f"{'ab'[topic ^ o]}{k}" for o, k in zip(other, rng.integers(8, size=12), strict=True)]
        )
    return out


def test_training_finds_topics_and_repeats_itself():
    c = corpus.of_documents(texts(), min_count=1)
    losses = []
    settings = Settings(size=8, window=4, epochs=15, block=16)
    trained = glove.train(c, settings, seed=3, watch=lambda p: losses.append(p.loss))
    assert len(losses) == 15
    assert losses[-1] < 0.5 * losses[0]
    assert trained.output.shape == trained.matrix.shape == (16, 8)
    v = Vectors.of(trained)
    for word in v.words:
        near = [w for w, _ in v.neighbors(word, top=7)]
        assert {w[0] for w in near} == {word[0]}
    again = glove.train(c, settings, seed=3)
    np.testing.assert_array_equal(again.matrix, trained.matrix)
    other = glove.train(c, settings, seed=4)
    assert np.abs(other.matrix - trained.matrix).max() > 1e-3


def test_a_word_s_vector_is_the_sum_of_its_two():
    text = corpus.of_documents(["a b c a b c a b c"] * 9)
    found = glove.train(text, Settings(size=D, epochs=1, learning_rate=1e-9), seed=3)
    first = glove.params_of(glove.begin(jax.random.key(3), 3, D))
    np.testing.assert_allclose(found.matrix, first[0] + first[1], atol=1e-7)
    np.testing.assert_allclose(found.output, first[1], atol=1e-7)
    assert np.abs(first[1]).min() > 1e-5


def test_every_record_is_trained_on_once_an_epoch(monkeypatch):
    rng = np.random.default_rng(0)
    c = corpus.of_documents([[f"w{n}" for n in rng.integers(200, size=900)]], min_count=1)
    counts = cooccurrence.count(c, 3, memory=48_000)
    assert len(counts.shards) > 1
    seen = []
    step = glove.step_blocks

    def watched(state, rows, columns, X, *rest):
        seen.extend(zip(rows[X > 0].tolist(), columns[X > 0].tolist(), strict=True))
        return step(state, rows, columns, X, *rest)

    monkeypatch.setattr(glove, "step_blocks", watched)
    glove.train(c, Settings(size=2, epochs=2, block=16), counts=counts)
    first, second = seen[: len(seen) // 2], seen[len(seen) // 2 :]
    assert len(first) == len(set(first)) == counts.records
    assert set(first) == set(second)
    assert first != second  # another order
    assert first != sorted(first)


def test_what_does_not_fit_is_said():
    for name, value in (("size", 0), ("block", 0), ("x_max", 0.0), ("learning_rate", -1.0)):
        with pytest.raises(ValueError, match=rf"{name} must be .*, got {value}"):
            Settings(**{name: value})
    c = corpus.of_documents(["a b c"], min_count=1)
    counts = cooccurrence.count(corpus.of_documents(["a b"], min_count=1))
    with pytest.raises(ValueError, match="counts of 2 words, but a vocabulary of 3"):
        glove.train(c, counts=counts)
    with pytest.raises(FloatingPointError, match="a learning_rate below 1e"):
        glove.train(c, Settings(size=4, learning_rate=1e20, epochs=9))
