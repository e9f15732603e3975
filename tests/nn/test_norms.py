"""Norms far from 1, beside float64; and bit-identical to √Σx² where its squares are in range."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rnnlab.embeddings import vectors
from rnnlab.gradients import log_svd
from rnnlab.nn import norms
from rnnlab.nn.initializers import log_spectral_radius

X = np.random.default_rng(0).standard_normal((3, 50)).astype(np.float32)
SIZES = [2.7e24, 1e37, 1e-30, 1e-35, 1.0]


@pytest.mark.parametrize("size", SIZES)
def test_norms_beside_float64(size):
    x = X * np.float32(size)
    found = jax.jit(
        lambda x: (norms.norm(x), norms.norm(x, -1), norms.global_norm([x[:1], x[1:]]))
    )(x)
    wide = np.asarray(x, np.float64)
    whole = np.linalg.norm(wide)
    for got, expected in zip(found, (whole, np.linalg.norm(wide, axis=-1), whole), strict=True):
        np.testing.assert_allclose(np.asarray(got, np.float64), expected, rtol=1e-6)


def test_digits_are_those_of_the_plain_norm():
    for size in (1.0, 1e-3, 3e8):
        x = jnp.asarray(X) * size
        plain = jax.jit(lambda x: jnp.sqrt(jnp.sum(jnp.square(x))))
        np.testing.assert_array_equal(jax.jit(norms.norm)(x), plain(x))


def test_norms_of_half_precision_and_of_what_is_not_finite():
    half = norms.norm(jnp.full(100, 1000, jnp.float16))
    assert half.dtype == jnp.float32
    assert half == 10_000  # whose squares leave float16
    assert norms.norm(jnp.array([1.0, jnp.inf])) == jnp.inf
    assert jnp.isnan(norms.norm(jnp.array([1.0, jnp.nan])))
    assert norms.norm(jnp.zeros((2, 0)), -1).tolist() == [0, 0]
    assert norms.all_finite({"a": jnp.full(9, 3e38)})
    assert not norms.all_finite({"a": jnp.array([1.0, jnp.inf])})


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("most", [1e-3, np.inf])
def test_clipping_beside_float64(size, most):
    x = X * np.float32(size)
    got = np.asarray(jax.jit(norms.clip)([x], most)[0], np.float64)
    whole = np.linalg.norm(np.asarray(x, np.float64))
    expected = x if whole < most else np.asarray(x, np.float64) / whole * most
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_clipping_is_bit_identical_to_optax():
    tree = {"a": jnp.asarray(X), "b": jnp.asarray(X[0] * 7)}
    theirs = optax.clip_by_global_norm(0.5)
    expected, _ = jax.jit(theirs.update)(tree, theirs.init(tree))
    got = jax.jit(lambda tree: norms.clip(tree, 0.5))(tree)
    jax.tree.map(np.testing.assert_array_equal, got, expected)


def test_other_norms_of_the_package():
    """The rows of word vectors, the spectral radius, columns of products of Jacobians."""
    for size in (1e30, 1e-30, 1e-38):
        rows = X * np.float32(size)
        np.testing.assert_allclose(vectors.unit(rows), vectors.unit(X), rtol=1e-5)
    np.testing.assert_array_equal(vectors.unit(np.zeros((1, 3))), np.zeros((1, 3)))
    # ‖(αI)^k‖^(1/k) = α·3^(1/2k), k = 8
    found = float(log_spectral_radius(jnp.eye(3) * jnp.float32(1e-25), 3))
    assert found == pytest.approx(np.log(1e-25) + np.log(3) / 16, rel=1e-5)
    product = log_svd.LogProduct(np.diag([1e-170, 1e-200])).then(np.diag([1e200, 1e-100]))
    np.testing.assert_allclose(product.log10_singular_values(), [30, -300], atol=1e-6)
