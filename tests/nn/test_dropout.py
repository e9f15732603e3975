"""Dropout between layers, and cells that draw at every step: rates, keys, independence."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab import GRU, RNN, Bidirectional, Stack, unroll
from rnnlab.nn.layers import as_layer, draws_noise
from rnnlab.nn.params import HiddenState, NoGates, RNNParams
from tests.helpers.sequences import applied, bits, compiled, draw, random, unrolled

D = 3


def copying(units):
    """Params of a linear network that gives out what it reads."""
    same = np.eye(units, dtype=np.float32)
    return RNNParams(same, 0 * same, 0 * same[0])


def see_through(rate, units=64):
    """A stack that shows what dropout makes of its lower layer: the upper copies its input."""
    net = Stack([RNN(units), RNN(units, "identity")], dropout=rate)
    lower = as_layer(net.layers[0])
    return net, (draw(lower, D, 1)[0], copying(units)), lower


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout(rate):
    net, params, lower = see_through(rate)
    xs = random((8, 20, D)).astype(np.float32)
    whole, _ = applied(lower, params[0], xs)
    ys, _ = applied(net, params, xs, key=jax.random.key(3), deterministic=False)
    kept = ys != 0
    np.testing.assert_allclose(ys[kept], whole[kept] / (1 - rate), rtol=1e-6)
    spread = np.sqrt(rate * (1 - rate) / kept.size)
    assert abs(kept.mean() - (1 - rate)) < 5 * spread
    for axis in range(3):  # a mask for every example, step and unit
        assert (kept != np.roll(kept, 1, axis)).mean() == pytest.approx(
            2 * rate * (1 - rate), abs=10 * spread
        )


def test_dropout_keeps_the_mean():
    net, params, lower = see_through(0.3, units=8)
    xs = random((2, 3, D)).astype(np.float32)
    whole, _ = applied(lower, params[0], xs)

    def one(key):
        return net.apply(params, xs, key=key, deterministic=False)[0]

    n = 2000

    def mean_of(key):
        return jax.vmap(one)(jax.random.split(key, n)).mean(axis=0)

    mean = compiled(mean_of, jax.random.key(4))
    spread = np.abs(whole) * np.sqrt(0.3 / 0.7 / n)
    assert (np.abs(mean - whole) <= 5.5 * spread + 1e-6).all()


def test_dropout_only_when_asked():
    net, params, _ = see_through(0.5)
    plain, _, _ = see_through(0.0)
    xs = random((2, 5, D)).astype(np.float32)
    key = jax.random.key(0)
    expected = bits(applied(plain, params, xs))
    assert bits(applied(net, params, xs)) == expected
    assert bits(applied(net, params, xs, key=key)) == expected
    assert bits(applied(net, params, xs, key=key, deterministic=True)) == expected
    assert bits(applied(plain, params, xs, key=key, deterministic=False)) == expected
    assert bits(applied(plain, params, xs, deterministic=False)) == expected  # nothing to draw


def test_dropout_is_between_layers_only():
    alone = Stack([GRU(4)], dropout=0.9)
    params, _ = draw(alone, D, 2)
    xs = random((2, 5, D)).astype(np.float32)
    dropped = applied(alone, params, xs, key=jax.random.key(1), deterministic=False)
    assert bits(dropped) == bits(applied(alone, params, xs))


def test_dropout_draws_by_key():
    net, params, _ = see_through(0.5)
    xs = random((2, 5, D)).astype(np.float32)

    def run(seed):
        return bits(applied(net, params, xs, key=jax.random.key(seed), deterministic=False))

    assert run(0) == run(0)
    assert run(0) != run(1)


def test_dropout_levels_draw_apart():
    net = Stack([RNN(64, "identity")] * 3, dropout=0.5)
    ones = np.ones((1, 1, 64), np.float32)
    options = {"key": jax.random.key(0), "deterministic": False}
    ys, states = applied(net, (copying(64),) * 3, ones, **options)
    assert 5 < (ys == 4).sum() < 30  # a quarter; a half if one mask were used twice
    kept = states[1].h == 2  # by the first mask
    assert kept.sum() > 20
    assert (kept & (ys[:, 0] == 0)).sum() > 5  # by the first and not by the second


def test_padding_leaves_dropout_alone():
    # "draws a mask for every step": step t's own, however far the padding goes
    net, params, _ = see_through(0.5, units=8)
    xs = random((3, 5, D)).astype(np.float32)
    options = {"key": jax.random.key(0), "deterministic": False, "lengths": np.array([5, 2, 3])}
    ys, state = applied(net, params, xs, **options)
    more = np.pad(xs, ((0, 0), (0, 6), (0, 0)))
    longer, same = applied(net, params, more, **options)
    assert bits(longer[:, :5]) == bits(ys)
    assert bits(same) == bits(state)


@pytest.mark.parametrize(
    "net",
    [Stack([GRU(3), GRU(3)], dropout=0.5), Bidirectional(Stack([GRU(3), GRU(3)], dropout=0.5))],
    ids=["stack", "nested"],
)
def test_dropout_needs_a_key(net):
    params, _ = draw(net, D, 1)
    with pytest.raises(ValueError, match=r"dropout=0\.5.*needs a key"):
        net.apply(params, np.ones((1, 2, D), np.float32), deterministic=False)


@dataclass(frozen=True)
class Noisy:
    """A cell of one's own that draws at every step: y_t is its key's own number."""

    hidden_size: int = 2
    stochastic = True

    @property
    def output_size(self) -> int:
        return self.hidden_size

    def init_params(self, key, input_size):
        return RNNParams(jnp.ones((input_size, 2)), jnp.ones((2, 2)), jnp.zeros(2))

    def initial_state(self, params, batch_shape, key=None):
        return HiddenState(jnp.zeros((*batch_shape, 2)))

    def step(self, params, state, x, *, key=None, perturb=None) -> Any:
        noise = 0.0 if key is None else jax.random.normal(key, state.h.shape)
        h = state.h + x[..., :2] + noise
        return HiddenState(h), h, NoGates()


@pytest.mark.parametrize("reverse", [False, True])
def test_step_t_draws_from_its_own_fold(reverse):
    key, xs = jax.random.key(7), jnp.zeros((1, 4, 3))
    params = Noisy().init_params(key, 3)
    ys, _ = unrolled(Noisy(), params, xs, key=key, deterministic=False, reverse=reverse)

    def drawn(key):
        steps = [jax.random.normal(jax.random.fold_in(key, t), (1, 2)) for t in range(4)]
        return jnp.stack(steps, 1)

    draws = compiled(drawn, key)
    order = slice(None, None, -1 if reverse else 1)
    expected = np.cumsum(draws[:, order], axis=1)[:, order]
    np.testing.assert_allclose(ys, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("rate", "draws"),
    [
        (None, False),
        ("no", False),
        (len, False),
        (0.0, False),
        (0.1, True),
        (np.float32(0.1), True),
    ],
)
def test_only_a_number_above_zero_is_a_rate_of_dropout(rate, draws):
    assert draws_noise(SimpleNamespace(dropout=rate)) is draws


def test_a_stochastic_cell_needs_a_key():
    params = Noisy().init_params(None, 3)
    with pytest.raises(ValueError, match=r"Noisy.*deterministic=False needs a key"):
        unroll(Noisy(), params, jnp.zeros((1, 4, 3)), deterministic=False)
    quiet, _ = unrolled(Noisy(), params, jnp.zeros((1, 4, 3)), key=jax.random.key(0))
    np.testing.assert_array_equal(quiet, 0)
