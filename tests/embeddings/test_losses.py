"""losses.py: gradients against loops over pairs written from the equations."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab.embeddings import blocks, losses

B, W, S, D, P, G, K = 5, 2, 3, 4, 3, 6, 5
T = B + 2 * W


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def sigma(x):
    return 1 / (1 + np.exp(-x))


def drawn(rng):
    """Words in sight, samples (some of them the centers'), windows cut at random, one empty."""
    tokens = rng.integers(0, 4, T)
    samples = rng.integers(0, 4, S)
    left, right = rng.integers(0, W + 1, (2, B))
    left[2] = right[2] = 0
    mask = np.zeros((B, T))
    for t in range(B):
        for j in range(W + t - left[t], W + t + right[t] + 1):
            mask[t, j] = j != W + t
    assert mask.any()
    assert (tokens[W : W + B, None] == samples).any()
    return tokens, samples, mask


@cache
def compiled(loss, wrt, options):
    return jax.jit(jax.grad(partial(loss, **dict(options)), argnums=wrt))


def slopes(loss, wrt, *args, **options):
    return compiled(loss, wrt, tuple(options.items()))(*args)


def same(found, expected):
    for a, b in zip(found, expected, strict=True):
        assert np.abs(b).max() > 0.1
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def paths(rng):
    signs = rng.choice([-1, 1], (B, P))
    signs[0, 2] = signs[1, 1:] = 0  # shorter paths
    return rng.normal(size=(B, P, D)), signs


def test_skipgram(rng):
    tokens, samples, mask = drawn(rng)
    v, u, n = rng.normal(size=(T, D)), rng.normal(size=(B, D)), rng.normal(size=(S, D))
    g_v, g_u, g_n = np.zeros_like(v), np.zeros_like(u), np.zeros_like(n)
    for t in range(B):
        for j in range(T):
            if mask[t, j]:
                e = sigma(u[t] @ v[j]) - 1
                g_v[j] += e * u[t]
                g_u[t] += e * v[j]
                for s in range(S):
                    if samples[s] != tokens[W + t]:
                        e = K / S * sigma(n[s] @ v[j])
                        g_v[j] += e * n[s]
                        g_n[s] += e * v[j]
    differs = (tokens[W : W + B, None] != samples).astype(float)
    same(slopes(losses.skipgram, (0, 1, 2), v, u, n, mask, differs, negatives=K), (g_v, g_u, g_n))


def test_skipgram_is_mikolov_s_equation_where_nothing_is_shared(rng):
    """One center, K samples of its own, none the center: each pair of weight 1 on each sample."""
    v, u, n = rng.normal(size=(1 + 2 * W, D)), rng.normal(size=(1, D)), rng.normal(size=(K, D))
    mask = np.ones((1, 1 + 2 * W))
    mask[0, W] = 0
    total = 0.0
    for j in range(1 + 2 * W):
        if j != W:
            total -= np.log(sigma(u[0] @ v[j])) + sum(np.log(sigma(-n[k] @ v[j])) for k in range(K))
    loss = losses.skipgram(*map(jnp.asarray, (v, u, n, mask, np.ones((1, K)))), negatives=K)
    assert float(loss) == pytest.approx(total, rel=1e-12)


def test_skipgram_hs(rng):
    _, _, mask = drawn(rng)
    v, (u, signs) = rng.normal(size=(T, D)), paths(rng)
    g_v, g_u, total = np.zeros_like(v), np.zeros_like(u), 0.0
    for t in range(B):
        for j in range(T):
            for k in range(P):
                if mask[t, j] and signs[t, k]:
                    x = signs[t, k] * u[t, k] @ v[j]
                    total -= np.log(sigma(x))
                    g_v[j] -= signs[t, k] * (1 - sigma(x)) * u[t, k]
                    g_u[t, k] -= signs[t, k] * (1 - sigma(x)) * v[j]
    same(slopes(losses.skipgram_hs, (0, 1), v, u, signs, mask), (g_v, g_u))
    assert float(losses.skipgram_hs(v, jnp.asarray(u), signs, mask)) == pytest.approx(total)


@pytest.mark.parametrize("whole", [False, True])
def test_cbow(rng, whole):
    tokens, samples, mask = drawn(rng)
    v, u, n = rng.normal(size=(T, D)), rng.normal(size=(B, D)), rng.normal(size=(S, D))
    g_v, g_u, g_n = np.zeros_like(v), np.zeros_like(u), np.zeros_like(n)
    for t in range(B):
        context = np.flatnonzero(mask[t])
        if not len(context):
            continue
        h = sum(v[j] for j in context) / len(context)
        g_h = (sigma(u[t] @ h) - 1) * u[t]
        g_u[t] += (sigma(u[t] @ h) - 1) * h
        for s in range(S):
            if samples[s] != tokens[W + t]:
                e = K / S * sigma(n[s] @ h)
                g_h = g_h + e * n[s]
                g_n[s] += e * h
        for j in context:
            g_v[j] += g_h if whole else g_h / len(context)
    differs = (tokens[W : W + B, None] != samples).astype(float)
    mean = blocks.whole_mean if whole else losses.masked_mean
    found = slopes(losses.cbow, (0, 1, 2), v, u, n, mask, differs, negatives=K, mean=mean)
    same(found, (g_v, g_u, g_n))


def test_cbow_hs(rng):
    _, _, mask = drawn(rng)
    v, (u, signs) = rng.normal(size=(T, D)), paths(rng)
    g_v, g_u = np.zeros_like(v), np.zeros_like(u)
    for t in range(B):
        context = np.flatnonzero(mask[t])
        for k in range(P):
            if len(context) and signs[t, k]:
                h = sum(v[j] for j in context) / len(context)
                e = -signs[t, k] * (1 - sigma(signs[t, k] * u[t, k] @ h))
                g_u[t, k] += e * h
                for j in context:
                    g_v[j] += e * u[t, k] / len(context)
    same(slopes(losses.cbow_hs, (0, 1), v, u, signs, mask), (g_v, g_u))


@pytest.mark.parametrize("whole", [False, True])
def test_fasttext(rng, whole):
    tokens, samples, mask = drawn(rng)
    z, u, n = rng.normal(size=(B, G, D)), rng.normal(size=(T, D)), rng.normal(size=(S, D))
    sizes = rng.integers(1, G + 1, B)
    bag = (np.arange(G) < sizes[:, None]).astype(float)
    g_z, g_u, g_n = np.zeros_like(z), np.zeros_like(u), np.zeros_like(n)
    for t in range(B):
        h = sum(z[t, i] for i in range(sizes[t])) / sizes[t]
        g_h = np.zeros(D)
        for j in range(T):
            if mask[t, j]:
                e = sigma(u[j] @ h) - 1
                g_h += e * u[j]
                g_u[j] += e * h
                for s in range(S):
                    if samples[s] != tokens[j]:
                        e = K / S * sigma(n[s] @ h)
                        g_h += e * n[s]
                        g_n[s] += e * h
        for i in range(sizes[t]):
            g_z[t, i] += g_h if whole else g_h / sizes[t]
    differs = (tokens[:, None] != samples).astype(float)
    mean = blocks.whole_mean if whole else losses.masked_mean
    found = slopes(losses.fasttext, (0, 2, 3), z, bag, u, n, mask, differs, negatives=K, mean=mean)
    same(found, (g_z, g_u, g_n))


def test_the_samples_mean_gradient_is_the_unshared_one(rng):
    """Shared samples change the noise of a gradient, not its mean: S=1 and S=2K over all words."""
    v, u = rng.normal(size=(3, D)), rng.normal(size=(1, D))
    out, mask = rng.normal(size=(4, D)), np.array([[1.0, 0, 1]])

    def mean(S):
        every = np.stack(np.meshgrid(*[range(4)] * S), -1).reshape(-1, S)
        total = sum(
            slopes(losses.skipgram, (0,), v, u, out[words], mask, np.ones((1, S)), negatives=K)[0]
            for words in every
        )
        return total / len(every)

    np.testing.assert_allclose(mean(1), mean(3), rtol=1e-12)


def test_whole_mean_has_the_mean_s_value(rng):
    rows, weights = rng.normal(size=(2, G, D)), np.array([[1.0] * 3 + [0] * 3, [0] * 6])
    np.testing.assert_allclose(
        blocks.whole_mean(rows, weights), losses.masked_mean(rows, weights), atol=1e-15
    )
    assert not losses.masked_mean(rows, weights)[1].any()
