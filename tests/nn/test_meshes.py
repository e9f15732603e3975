"""Batches split over devices: types inside shard_map, explicit axes, and without jit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from rnnlab import GRU, LSTM, RNN, Bidirectional, Residual, Stack, Zoneout, unroll
from rnnlab.nn import crf, generation, losses, models
from rnnlab.nn.encoder_decoder import EncoderDecoder, Pair
from rnnlab.nn.layers import as_layer

B, T, D, H = 4, 3, 2, 2
KEY = jax.random.key(0)
XS = jax.random.normal(jax.random.key(1), (B, T, D))
SYMBOLS = jnp.array([[0, 1, 2], [2, 1, 0], [1, 1, 1], [2, 2, 0]], jnp.int32)
LENGTHS = jnp.array([3, 1, 2, 3], jnp.int32)
MASK = jnp.arange(T) < LENGTHS[:, None]

LAYERS = {
    "scan": (GRU(H), "scan"),
    "fused": (GRU(H), "fused"),
    "recompute": (RNN(H), "fused_recompute"),
    "newton": (RNN(H), "newton"),
    "zoneout": (Zoneout(LSTM(H), 0.2), "auto"),
    "layers": (Stack([Bidirectional(LSTM(H, peephole=True)), GRU(H, norm="layer")]), "auto"),
}
MODELS = {
    "last": models.ManyToOne(Bidirectional(GRU(H)), 3),
    "mean": models.ManyToOne(Stack([GRU(H), Residual(GRU(H))]), 3, pooling="mean"),
    "crf": models.ManyToMany(LSTM(H), 3, crf=True),
    "language": models.LanguageModel(RNN(H), 3, embedding_size=2),
    "translation": EncoderDecoder(GRU(H), LSTM(H), 3, symbols=3, steps=2, embedding_size=2),
}


def inputs_of(name):
    return SYMBOLS if name in ("language", "translation") else XS


def loss_of(name):
    """The summed loss of a model over a batch, so that shards add up to the whole."""
    model = MODELS[name]

    def loss(params, inputs, targets, mask, lengths):
        if name == "translation":
            said, _ = model.apply(params, Pair(inputs, targets[:, :2]), lengths=lengths)
            kept = mask[:, :2]
            return losses.cross_entropy(said.logits, targets[:, :2], kept) * kept.sum(
                dtype=jnp.float32
            )
        y, _ = model.apply(params, inputs, lengths=lengths)
        if name == "crf":
            crf.viterbi(y, mask)
            return crf.negative_log_likelihood(y, targets, mask) * mask.sum(dtype=jnp.float32)
        if y.ndim == 2:
            return losses.cross_entropy(y, targets[:, 0]) * len(y)
        return losses.cross_entropy(y, targets, mask) * mask.sum(dtype=jnp.float32)

    return loss


def split_over(mesh, tree):
    return jax.device_put(tree, NamedSharding(mesh, P("data")))


@pytest.fixture(scope="module")
def automatic():
    return Mesh(np.array(jax.devices()[:2]), ("data",))


@pytest.fixture(scope="module")
def explicit():
    return jax.make_mesh((2,), ("data",), axis_types=(AxisType.Explicit,))


# ---- shard_map ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_inside_shard_map(name, automatic):
    """The parameters on both devices, the batch split; types are checked when it is traced."""
    cell, engine = LAYERS[name]
    layer = as_layer(cell)
    params = layer.init(KEY, D)

    def loss(params, xs, lengths):
        return (layer.apply(params, xs, lengths=lengths, engine=engine)[0] ** 2).sum()

    def sharded(params, xs, lengths):
        value, grads = jax.value_and_grad(loss)(params, xs, lengths)
        return jax.lax.psum(value, "data"), grads

    specs = (P(), P("data"), P("data"))
    both = jax.shard_map(sharded, mesh=automatic, in_specs=specs, out_specs=P())
    if name != "zoneout":
        jax.eval_shape(both, params, XS, LENGTHS)
        return
    got = jax.jit(both)(params, XS, LENGTHS)
    expected = jax.jit(jax.value_and_grad(loss))(params, XS, LENGTHS)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5), got, expected)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_inside_shard_map(name, automatic):
    params = MODELS[name].init(KEY, inputs_of(name))

    def sharded(*args):
        value, grads = jax.value_and_grad(loss_of(name))(*args)
        return jax.lax.psum(value, "data"), grads

    specs = (P(), *[P("data")] * 4)
    both = jax.shard_map(sharded, mesh=automatic, in_specs=specs, out_specs=P())
    jax.eval_shape(both, params, inputs_of(name), SYMBOLS, MASK, LENGTHS)  # types are checked here


def test_generation_inside_shard_map(automatic):
    model = MODELS["language"]
    params = model.init(KEY, SYMBOLS)
    for specs in ((P(), P("data")), (P(), P())):
        sharded = jax.shard_map(
            lambda p, prompt: generation.generate(model, p, prompt, steps=3, temperature=0),
            mesh=automatic,
            in_specs=specs,
            out_specs=specs[1],
        )
        assert jax.eval_shape(sharded, params, SYMBOLS).shape == (B, 3)


# ---- explicit axes -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_on_explicit_axes(name, explicit):
    cell, engine = LAYERS[name]
    layer = as_layer(cell)
    params = layer.init(KEY, D)
    on_both = jax.device_put(params, NamedSharding(explicit, P()))

    def run(params, xs, lengths):
        ys, pull = jax.vjp(lambda p: layer.apply(p, xs, lengths=lengths, engine=engine)[0], params)
        return ys, pull(ys)[0]

    args = on_both, split_over(explicit, XS), split_over(explicit, LENGTHS)
    if name == "fused":
        got, expected = jax.jit(run)(*args), jax.jit(run)(params, XS, LENGTHS)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), got, expected
        )
        assert got[0].sharding.spec[0] == "data"
    else:
        jax.eval_shape(run, *args)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_on_explicit_axes(name, explicit):
    params = MODELS[name].init(KEY, inputs_of(name))
    on_both = jax.device_put(params, NamedSharding(explicit, P()))
    args = split_over(explicit, (inputs_of(name), SYMBOLS, MASK, LENGTHS))
    jax.eval_shape(jax.value_and_grad(loss_of(name)), on_both, *args)


def test_generation_on_explicit_axes(explicit):
    model = MODELS["language"]
    params = model.init(KEY, SYMBOLS)
    on_both = jax.device_put(params, NamedSharding(explicit, P()))
    prompt = split_over(explicit, SYMBOLS)

    def run(params, prompt):
        start, step = generation.stream(model)
        y, _ = step(params, start(params, B), prompt[:, 0])
        return y, generation.generate(model, params, prompt, 2, KEY, top_k=2)

    y, drawn = jax.eval_shape(run, on_both, prompt)
    assert (y.shape, drawn.shape) == ((B, 3), (B, 2))


# ---- without jit -------------------------------------------------------------------------------


def test_the_default_engine_without_jit():
    cell, xs = RNN(H), XS[:, :2]
    params = cell.init_params(KEY, D)

    def run(params):
        ys, pull = jax.vjp(lambda p: unroll(cell, p, xs)[0], params)
        return ys, pull(ys)[0]

    expected = jax.jit(run)(params)
    with jax.disable_jit():
        got = run(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), got, expected)
