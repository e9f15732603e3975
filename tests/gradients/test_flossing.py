"""Flossing against loops in NumPy, finite differences in float64 and Adam's first step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab import LSTM, RNN, InitScheme, Stack, gradients
from tests.gradients.test_criticality import Leaky
from tests.gradients.test_driven import tanh_exponents

B, T, D, H, K = 3, 9, 2, 4, 2
LENGTHS = np.array([9, 5, 7])


def case(cell, seed=0, steps=T):
    xs = np.random.default_rng(seed).standard_normal((B, steps, D)).astype(np.float32)
    params = cell.init_params(jax.random.key(seed), D)
    drawn = np.random.default_rng(1)
    noise = jax.tree.map(lambda a: 0.2 * drawn.standard_normal(a.shape).astype(a.dtype), params)
    return jax.tree.map(jnp.add, params, noise), xs


def test_the_loss_is_the_sum_of_the_squares_of_the_exponents():
    params, xs = case(RNN(H))
    expected = np.array([tanh_exponents(params, xs[b, :n]) for b, n in enumerate(LENGTHS)])
    loss, means = gradients.flossing_loss(RNN(H), params, xs, K, lengths=LENGTHS)
    assert float(loss) == pytest.approx((expected**2).sum(axis=1).mean(), rel=1e-4)
    np.testing.assert_allclose(means, [expected.mean(axis=0)], atol=1e-5)


@pytest.mark.parametrize("cell", [RNN(H), LSTM(3), Leaky(3)], ids=lambda c: type(c).__name__)
def test_the_gradient_is_that_of_finite_differences(cell, x64):
    params, xs = case(cell)
    params, xs = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), (params, xs))
    directions = np.random.default_rng(2)
    along = jax.tree.map(lambda a: jnp.asarray(directions.standard_normal(a.shape)), params)

    @jax.jit
    def loss(size):
        moved = jax.tree.map(lambda p, d: p + size * d, params, along)
        return gradients.flossing_loss(cell, moved, xs, K, lengths=LENGTHS)[0]

    # the derivative of the loss along one random direction in all parameters
    slope, e = jax.jit(jax.grad(loss))(0.0), 1e-5
    assert float(slope) == pytest.approx(float(loss(e) - loss(-e)) / (2 * e), rel=1e-5)


def test_adam_starts_with_the_sign_of_the_gradient():
    params, xs = case(RNN(H))
    grads = jax.grad(lambda p: gradients.flossing_loss(RNN(H), p, xs, K)[0])(params)
    after = gradients.floss(RNN(H), params, xs, steps=1, k=K, learning_rate=1e-2).params
    for a, b, g in zip(*map(jax.tree.leaves, (after, params, grads)), strict=True):
        np.testing.assert_allclose(a - b, -1e-2 * np.sign(g), atol=1e-5)


@pytest.mark.parametrize("scheme", ["orthogonal(gain=0.4)", "orthogonal(gain=2.5)"])
def test_exponents_approach_zero_from_both_sides(scheme):
    params, xs = case(RNN(8, init=InitScheme(w_h=scheme)), steps=20)
    flossed = gradients.floss(RNN(8), params, xs, steps=60, k=3, learning_rate=1e-2)
    assert flossed.skipped == 0
    assert flossed.loss.shape == (61,)
    assert flossed.exponents.shape == (61, 1, 3)
    before, after = np.abs(flossed.exponents[0, 0]), np.abs(flossed.exponents[-1, 0])
    assert (after < before).all()
    assert (after**2).sum() < (before**2).sum() / 10
    again = gradients.lyapunov_exponents(RNN(8), flossed.params, xs, 3).mean(axis=0)
    np.testing.assert_allclose(flossed.exponents[-1, 0], again, atol=1e-4)


def test_all_cells_of_a_stack_are_flossed():
    stack = Stack([RNN(3), RNN(3)])
    params = stack.init(jax.random.key(0), D)
    xs = np.random.default_rng(0).standard_normal((B, T, D)).astype(np.float32)
    flossed = gradients.floss(stack, params, xs, steps=5, k=1, learning_rate=1e-2)
    assert flossed.exponents.shape == (6, 2, 1)
    for old, new in zip(jax.tree.leaves(params), jax.tree.leaves(flossed.params), strict=True):
        assert (old != new).all()


def test_where_there_is_no_direction_nothing_is_updated():
    """Dead ReLU units: J = 0, and the exponent is −inf."""
    cell = RNN(3, "relu", init=InitScheme(b="-100.0"))
    params, xs = cell.init_params(jax.random.key(0), D), np.ones((B, T, D), np.float32)
    flossed = gradients.floss(cell, params, xs, steps=2, k=1)
    assert flossed.skipped == 2
    assert np.isneginf(flossed.exponents).all()
    for old, new in zip(params[:3], flossed.params[:3], strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": -1}, "steps must be a whole number of at least 0, got -1"),
        ({"steps": 1, "k": 0}, "k must be a whole number from 1 to 3, got 0"),
        ({"steps": 1, "k": 4}, "k must be a whole number from 1 to 3, got 4"),
        ({"steps": 1, "learning_rate": 0.0}, "learning_rate must be a finite number above 0"),
        ({"steps": 1, "discard": 4}, "discard must be a whole number from 0 to 3, got 4"),
        ({"steps": 1, "lengths": np.array([5])}, r"lengths must lie in 0 … 4, got 5"),
    ],
)
def test_bad_numbers_are_refused(options, words):
    params = RNN(3).init_params(jax.random.key(0), 1)
    with pytest.raises(ValueError, match=words):
        gradients.floss(RNN(3), params, np.ones((1, 4, 1), np.float32), **options)
