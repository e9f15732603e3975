"""Gradients whose squares leave float32: trained, clipped, logged and measured as any other."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab import LSTM, gradients
from rnnlab.training import DIVERGED, FINISHED
from rnnlab.training.optimizers import Hyper, Optimizer
from rnnlab.training.regularizers import omega
from rnnlab.training.train import Train
from tests.helpers import trained

HYPER = Hyper(jnp.float32(0.01), jnp.float32(1e-3), jnp.float32(0), jnp.float32(1))
GRADIENTS = [np.random.default_rng(seed).standard_normal((3, 4)) for seed in range(2)]
GRADIENTS = [g / np.sqrt((g**2).sum() + (g[0] ** 2).sum()) for g in GRADIENTS]  # of norm 1


@dataclass(frozen=True)
class Steep(Train):
    """A training function whose gradients are multiplied by ``hyper.omega``."""

    def gradient(self, params, hyper, batch, start=None, key=None):
        loss, carry, grads = super().gradient(params, hyper, batch, start, key)
        return loss, carry, jax.tree.map(lambda g: g * hyper.omega, grads)


alike = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-7)


def test_a_finite_gradient_is_not_called_diverged():
    """Clipped, it teaches what the same gradient of an ordinary size does."""
    m = trained.member(optimizer="sgd", steps=2, eval_every=2, seed=3)
    train = Steep(m.setup)
    start, advance = train.start(m.key, m.params, m.hyper), jax.jit(train.advance)

    def trained_at(size):
        state, progress = advance(start, HYPER._replace(omega=jnp.float32(size)), ())
        return state, float(progress.grad_norm)

    usual, norm = trained_at(1.0)
    assert usual.status == FINISHED
    for size in (2.7e24 / norm, min(2e38 / norm, 2e38), 1e-30 / norm):
        state, found = trained_at(size)
        assert state.status == FINISHED
        assert found == pytest.approx(size * norm, rel=1e-4)  # a mean whose sum may overflow
        if size > 1:
            jax.tree.map(alike, state.params, usual.params)
    assert trained_at(np.inf)[0].status == DIVERGED


def test_every_optimizer_takes_huge_gradients():
    """Their directions do not depend on the gradient's scale, once eps does not count."""
    names = {"adam": jnp.inf, "lamb": jnp.inf, "rmsprop": jnp.inf}
    names |= {"sgd(momentum=0.9)": 1e-3, "adafactor": jnp.inf, "muon": jnp.inf}

    @jax.jit
    def after_two(size):
        found = {}
        for name, clip in names.items():
            params = {"W": jnp.ones((3, 4)), "b": jnp.ones(4)}
            rule = Optimizer(name).transform(HYPER._replace(clip_norm=jnp.float32(clip)))
            state = rule.init(params)
            for g in GRADIENTS:
                grads = {"W": jnp.float32(g) * size, "b": jnp.float32(g[0]) * size}
                updates, state = rule.update(grads, state, params)
                params = jax.tree.map(jnp.add, params, updates)
            found[name] = params
        return found

    usual = after_two(jnp.float32(1e4))
    for size in (1e24, 5e37):
        for name, params in after_two(jnp.float32(size)).items():
            for block, value in params.items():
                expected = usual[name][block]
                np.testing.assert_allclose(value, expected, rtol=1e-5, err_msg=f"{name} {block}")
                assert not np.array_equal(value, np.ones_like(value))


def test_omega_does_not_depend_on_the_size_of_the_gradient():
    key = jax.random.split(jax.random.key(0), 3)
    W = jax.random.normal(key[0], (3, 3)) / 2
    hs, deltas = (jax.random.normal(k, (2, 4, 3)) for k in key[1:])
    of = jax.jit(lambda size: jax.value_and_grad(omega)(W, "tanh", hs, deltas * size))
    value, grad = of(1.0)
    for size in (2.0**90, 2.0**-30):
        np.testing.assert_array_equal(of(size)[0], value)
        np.testing.assert_array_equal(of(size)[1], grad)
    assert of(2.0**-90)[0] == 0  # below the bound


def test_norms_from_the_training_pass_beside_the_wide_ones():
    cell, xs = LSTM(3), jax.random.normal(jax.random.key(1), (2, 4, 2))
    params = cell.init_params(jax.random.key(0), 2)

    @jax.jit
    def log_norms(size):
        curve = gradients.value_grad_and_norms(
            cell, params, xs, lambda ys: (ys[:, -1] * size).sum()
        )[2]
        return curve.C

    wide = gradients.adjoint_norms(cell, params, xs, lambda ys: ys[:, -1].sum()).C
    for size in (1e25, 1e-25):
        np.testing.assert_allclose(log_norms(size), wide + np.log10(size), atol=1e-4)
