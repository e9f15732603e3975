"""Flax's weights against linen's and nnx's own outputs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlab import GRU, LSTM, RNN, Bidirectional, Stack
from rnnlab.interop import flax
from tests.helpers.oracles import assert_close, random_like

EXACT = 1e-6
B = 3

RESET_AFTER = lambda H: GRU(H, reset_after=True)  # noqa: E731
LINEN = {"SimpleCell": RNN, "LSTMCell": LSTM, "OptimizedLSTMCell": LSTM, "GRUCell": RESET_AFTER}


def three_steps(step, carry, xs):
    ys = []
    for x in xs:
        carry, y = step(carry, x)
        ys.append(y)
    return jnp.stack(ys)


def ours(cell, params, xs):
    def step(state, x):
        state, y, _ = cell.step(params, state, x)
        return state, y

    return three_steps(step, cell.initial_state(params, (B,)), xs)


sizes = st.fixed_dictionaries(
    {
        "name": st.sampled_from(sorted(LINEN)),
        "D": st.sampled_from([1, 3]),
        "H": st.sampled_from([1, 4]),
        "seed": st.integers(0, 99),
    }
)


@settings(max_examples=4)
@given(sizes)
def test_linen(of):
    D, H, rng = of["D"], of["H"], np.random.default_rng(of["seed"])
    module, cell = getattr(linen, of["name"])(H), LINEN[of["name"]](H)
    xs = jnp.asarray(rng.standard_normal((3, B, D)), jnp.float32)
    carry = module.initialize_carry(jax.random.key(0), (B, D))
    tree = random_like(
        jax.eval_shape(module.init, jax.random.key(0), carry, xs[0])["params"], of["seed"], 0.5
    )
    params = flax.from_linen(tree, cell)
    with jax.default_matmul_precision("highest"):
        expected = three_steps(lambda c, x: module.apply({"params": tree}, c, x), carry, xs)
        assert_close(ours(cell, params, xs), expected, EXACT)
    back = flax.to_linen(params, cell)
    jax.tree.map(np.testing.assert_array_equal, back, tree)


@settings(max_examples=4)
@given(sizes)
def test_nnx(of):
    D, H, rng = of["D"], of["H"], np.random.default_rng(of["seed"])
    zeros = jax.nn.initializers.zeros
    module = getattr(nnx, of["name"])(
        D, H, rngs=nnx.Rngs(0), kernel_init=zeros, recurrent_kernel_init=zeros
    )
    cell = LINEN[of["name"]](H)
    optimized = of["name"] == "OptimizedLSTMCell"
    xs = jnp.asarray(rng.standard_normal((3, B, D)), jnp.float32)
    tree = random_like(nnx.to_pure_dict(nnx.state(module, nnx.Param)), of["seed"], 0.5)
    nnx.update(module, tree)
    params = flax.from_nnx(nnx.state(module, nnx.Param), cell, optimized=optimized)
    with jax.default_matmul_precision("highest"):
        carry = module.initialize_carry((B, D), nnx.Rngs(0))
        assert_close(ours(cell, params, xs), three_steps(module, carry, xs), EXACT)
    back = flax.to_nnx(params, cell, optimized=optimized)
    jax.tree.map(np.testing.assert_array_equal, back, tree)
    nnx.update(module, jax.tree.map(lambda a: 0 * a, tree))
    nnx.update(module, back)  # nnx takes what is written
    with jax.default_matmul_precision("highest"):
        assert_close(ours(cell, params, xs), three_steps(module, carry, xs), EXACT)


def test_layers_of_a_linen_model():
    """A stack with a bidirectional top, as linen's own nn.RNN and nn.Bidirectional run it."""

    class Model(linen.Module):
        @linen.compact
        def __call__(self, xs):
            xs = linen.RNN(linen.LSTMCell(4), name="below")(xs)
            one, other = (linen.RNN(linen.GRUCell(2, name=n)) for n in ("one", "other"))
            return linen.Bidirectional(one, other)(xs)

    rng = np.random.default_rng(0)
    xs = jnp.asarray(rng.standard_normal((B, 3, 3)), jnp.float32)
    model = Model()
    tree = random_like(jax.eval_shape(model.init, jax.random.key(0), xs)["params"], 0, 0.5)
    net = Stack([LSTM(4), Bidirectional(RESET_AFTER(2))])
    trees = [tree["LSTMCell_0"], (tree["one"], tree["other"])]
    params = flax.from_linen(trees, net)
    with jax.default_matmul_precision("highest"):
        assert_close(
            net.apply(params, xs, engine="scan")[0], model.apply({"params": tree}, xs), EXACT
        )
    back = flax.to_linen(params, net)
    jax.tree.map(np.testing.assert_array_equal, list(map(tuple_or_same, back)), trees)
    with pytest.raises(ValueError, match="trees of a stack must be 2, got 1"):
        flax.from_linen(trees[:1], net)
    with pytest.raises(ValueError, match="trees of a bidirectional layer must be a sequence of 2"):
        flax.from_linen([trees[0], trees[0]], net)
    with pytest.raises(ValueError, match="level 1, backward: hn/bias"):
        flax.from_linen([trees[0], (tree["one"], {**tree["other"], "hn": {"kernel": 0.0}})], net)


def tuple_or_same(tree):
    return tree if isinstance(tree, dict) else tuple(tree)


def test_refusals():
    key = jax.random.key(0)
    params = RESET_AFTER(4).init_params(key, 3)
    full = params._replace(b_hn=jnp.ones(4))
    flax.to_nnx(params, RESET_AFTER(4))
    with pytest.raises(ValueError, match="nnx has no place for b_hn, which is not zero"):
        flax.to_nnx(full, RESET_AFTER(4))
    with pytest.raises(ValueError, match=r"linen resets after .* use GRU\(4, reset_after=True\)"):
        flax.from_linen({}, GRU(4))
    with pytest.raises(ValueError, match="no place for projection=2"):
        flax.from_linen({}, LSTM(4, projection=2))
    packed = {"dense_i": {"kernel": np.ones((3, 16))}, "dense_h": {"kernel": np.ones((4, 16))}}
    with pytest.raises(ValueError, match=r"extra: level 0, forward: dense_i/kernel \(3, 16\)"):
        flax.from_nnx(packed, LSTM(4))
    with pytest.raises(ValueError, match=r"missing: level 0, forward: dense_h/bias \(16,\)"):
        flax.from_nnx(packed, LSTM(4), optimized=True)
    with pytest.raises(ValueError, match="a cell's tree must be a mapping, got float"):
        flax.from_linen(1.0, RNN(4))
