"""Layers as modules of linen, nnx and Equinox, against the layers themselves."""

import io
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax import linen, nnx, serialization

from rnnlab import GRU, LSTM, Bidirectional, Stack, Zoneout, unroll
from rnnlab.core.errors import UserError
from rnnlab.interop import equinox, flax
from rnnlab.nn.layers import as_layer
from tests.helpers.oracles import assert_close

D, EXACT = 2, 1e-6


class State(NamedTuple):
    h: jax.Array


class Params(NamedTuple):
    W: jax.Array
    U: jax.Array


@dataclass(frozen=True)
class Leaky:
    """A cell of one's own: h = (h + tanh(x W + h U)) / 2."""

    hidden_size: int

    @property
    def output_size(self):
        return self.hidden_size

    def init_params(self, key, input_size):
        one, other = jax.random.split(key)
        H = self.hidden_size
        return Params(jax.random.normal(one, (input_size, H)), jax.random.normal(other, (H, H)))

    def initial_state(self, params, batch_shape, key=None):
        return State(jnp.zeros((*batch_shape, self.hidden_size)))

    def step(self, params, state, x, *, key=None, perturb=None):
        h = (state.h + jnp.tanh(x @ params.W + state.h @ params.U)) / 2
        return State(h), h, None


LAYERS = {
    "nested": Stack([Bidirectional(LSTM(2, peephole=True)), Leaky(2)]),
    "wrapped": as_layer(Zoneout(GRU(2), 0.5)),
}
layers = pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
XS = np.random.default_rng(0).standard_normal((3, 4, D)).astype(np.float32)
LENGTHS = np.array([4, 1, 3])


def loss_of(layer, params, state=None):
    ys, _ = layer.apply(params, XS, lengths=LENGTHS, initial_state=state)
    return jnp.sum(jnp.sin(ys))


def some_state(layer, params):
    return layer.initial_state(params, (3,), jax.random.key(5))


def close(ours, expected):
    assert jax.tree.structure(ours) == jax.tree.structure(expected)
    jax.tree.map(lambda a, b: assert_close(a, b, EXACT), ours, expected)


def equal(ours, expected):
    assert jax.tree.structure(ours) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, ours, expected)


# ---- linen -------------------------------------------------------------------------------------


class Key(linen.Module):
    """Hands out the key that linen draws a parameter "recurrent" from."""

    @linen.compact
    def __call__(self, xs):
        return self.param("recurrent", lambda key: key)


@layers
def test_linen(layer):
    module = flax.Linen(layer)
    variables = module.init(jax.random.key(0), XS)
    params = variables["params"]["recurrent"]
    key = Key().init(jax.random.key(0), XS)["params"]["recurrent"]
    equal(params, layer.init(key, D))

    state = some_state(layer, params)
    returned = module.apply(
        variables, XS, lengths=LENGTHS, initial_state=state, return_state=True, engine="scan"
    )
    expected = layer.apply(params, XS, lengths=LENGTHS, initial_state=state, engine="scan")
    close(returned, expected)
    grads = jax.grad(
        lambda v: jnp.sum(jnp.sin(module.apply(v, XS, lengths=LENGTHS, initial_state=state)))
    )(variables)["params"]["recurrent"]
    close(grads, jax.grad(lambda p: loss_of(layer, p, state))(params))

    back = serialization.from_bytes(
        jax.tree.map(jnp.zeros_like, variables), serialization.to_bytes(variables)
    )
    equal(jax.tree.map(np.asarray, back), jax.tree.map(np.asarray, variables))


def test_noise_of_linen():
    layer = LAYERS["wrapped"]
    module = flax.Linen(layer)
    variables = module.init(jax.random.key(0), XS)
    params = variables["params"]["recurrent"]
    with pytest.raises(ValueError, match=r'draws noise, which needs a key: pass rngs=\{"dropout"'):
        module.apply(variables, XS, deterministic=False)
    rngs = {"dropout": jax.random.key(1)}
    noisy = module.apply(variables, XS, deterministic=False, rngs=rngs)
    key = linen.apply(lambda m: m.make_rng("dropout"), module)(variables, rngs=rngs)
    close(noisy, layer.apply(params, XS, key=key, deterministic=False)[0])
    assert np.abs(noisy - module.apply(variables, XS)).max() > 0.01
    with pytest.raises(ValueError, match=r"taps=.* with return_state=True only"):
        module.apply(variables, XS, taps=("z",))
    *_, taps = module.apply(variables, XS, taps=("z",), return_state=True)
    close(taps["z"], unroll(layer.cell, params, XS, taps=("z",))[2]["z"])


# ---- nnx ---------------------------------------------------------------------------------------


@layers
def test_nnx(layer, tmp_path):
    module = flax.Recurrent(layer, D, rngs=nnx.Rngs(1, params=0))  # a stream of their own
    params = layer.init(nnx.Rngs(params=0).params(), D)
    equal(module.arrays, params)
    module.eval()
    expected, grads = jax.value_and_grad(lambda p: loss_of(layer, p))(params)

    def loss(module):
        return jnp.sum(jnp.sin(module(XS, lengths=LENGTHS)))

    optimizer = nnx.Optimizer(module, optax.sgd(1.0), wrt=nnx.Param)

    @nnx.jit
    def step(module, optimizer):
        value, grads = nnx.value_and_grad(loss)(module)
        optimizer.update(module, grads)
        return value

    close(step(module, optimizer), expected)
    close(module.arrays, jax.tree.map(jnp.subtract, params, grads))

    graph, weights, rest = nnx.split(module, nnx.Param, ...)
    assert len(jax.tree.leaves(weights)) == len(jax.tree.leaves(params))
    equal(nnx.merge(graph, weights, rest).arrays, module.arrays)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "weights", weights)
        checkpointer.wait_until_finished()
        like = jax.tree.map(jnp.zeros_like, weights)
        restored = checkpointer.restore(tmp_path / "weights", like)
    equal(nnx.merge(graph, restored, rest).arrays, module.arrays)

    state = some_state(layer, params)
    returned = module(XS, initial_state=state, return_state=True)
    close(returned, layer.apply(module.arrays, XS, initial_state=state))


def test_noise_of_nnx():
    layer = LAYERS["wrapped"]
    module, rngs = flax.Recurrent(layer, D, rngs=nnx.Rngs(0)), nnx.Rngs(0)
    rngs.params()
    key = rngs.dropout.fork()()
    noisy = nnx.jit(lambda module: module(XS))(module)
    close(noisy, layer.apply(module.arrays, XS, key=key, deterministic=False)[0])
    assert np.abs(noisy - module(XS)).max() > 0.01  # another key
    quiet = layer.apply(module.arrays, XS)[0]
    close(module(XS, deterministic=True), quiet)
    module.eval()
    close(module(XS), quiet)
    plain = flax.Recurrent(GRU(2), D, rngs=nnx.Rngs(params=0))  # needs no stream for noise
    assert set(nnx.state(plain)) == {"params"}
    with pytest.raises(ValueError, match=r"must end in input_size=2 features, got shape \(3, 4, 1"):
        module(XS[..., :1])
    with pytest.raises(TypeError, match="expected a cell or a layer, got str"):
        flax.Recurrent("lstm", D, rngs=nnx.Rngs(0))


# ---- Equinox -----------------------------------------------------------------------------------


@layers
def test_equinox(layer):
    eqx = pytest.importorskip("equinox")
    module = equinox.Recurrent(layer, D, key=jax.random.key(0))
    params = layer.init(jax.random.key(0), D)
    equal(module.params, params)
    quiet = eqx.nn.inference_mode(module)
    expected, grads = jax.value_and_grad(lambda p: loss_of(layer, p))(params)

    @eqx.filter_jit
    @eqx.filter_value_and_grad
    def loss(module):
        return jnp.sum(jnp.sin(module(XS, lengths=LENGTHS)))

    value, updates = loss(quiet)
    close(value, expected)
    close(updates.params, grads)
    stepped = eqx.apply_updates(quiet, jax.tree.map(jnp.negative, updates))
    close(stepped.params, jax.tree.map(jnp.subtract, params, grads))

    one_by_one = jax.vmap(lambda xs, n: quiet(xs, lengths=n))(XS, LENGTHS)
    close(one_by_one, quiet(XS, lengths=LENGTHS))
    file = io.BytesIO()
    eqx.tree_serialise_leaves(file, stepped)
    file.seek(0)
    equal(eqx.tree_deserialise_leaves(file, quiet).params, stepped.params)

    state = some_state(layer, params)
    returned = quiet(XS, initial_state=state, return_state=True)
    close(returned, layer.apply(params, XS, initial_state=state))


def test_noise_of_equinox():
    eqx = pytest.importorskip("equinox")
    layer, key = LAYERS["wrapped"], jax.random.key(3)
    module = equinox.Recurrent(layer, D, key=jax.random.key(0))
    with pytest.raises(ValueError, match=r"pass key=…, or equinox.nn.inference_mode\(module\)"):
        module(XS)
    noisy = module(XS, key=key)
    close(noisy, layer.apply(module.params, XS, key=key, deterministic=False)[0])
    quiet = layer.apply(module.params, XS)[0]
    assert np.abs(noisy - quiet).max() > 0.01
    close(eqx.nn.inference_mode(module)(XS, key=key), quiet)
    members = eqx.filter_vmap(lambda key: equinox.Recurrent(layer, D, key=key))
    assert members(jax.random.split(key, 5)).params.W_xz.shape == (5, D, 2)


def test_missing_equinox_is_named(monkeypatch):
    monkeypatch.setattr(equinox, "equinox", None)
    with pytest.raises(UserError, match=r"equinox is not installed: pip install -e '.\[equinox\]'"):
        equinox.Recurrent(GRU(2), D, key=jax.random.key(0))
