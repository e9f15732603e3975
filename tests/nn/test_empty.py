"""No sequences at all: shapes, losses of zero, gradients of zero."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab import (
    GRU,
    LSTM,
    RNN,
    Bidirectional,
    Stack,
    VariationalDropout,
    Zoneout,
    gradients,
    unroll,
)
from rnnlab.nn import crf, generation, losses, models
from rnnlab.nn.encoder_decoder import EncoderDecoder, Pair
from rnnlab.nn.layers import as_layer
from rnnlab.nn.unroll import ENGINES

T, D, H = 3, 2, 2
KEY = jax.random.key(0)
XS, SYMBOLS = jnp.zeros((0, T, D)), jnp.zeros((0, T), jnp.int32)
NONE = jnp.zeros(0, jnp.int32)


@pytest.mark.parametrize("shape", [(0, T, D), (2, 0, D), (2, 0, T, D)], ids=str)
@pytest.mark.parametrize("engine", ENGINES)
def test_engines_without_sequences_or_steps(engine, shape):
    cell = LSTM(H) if shape[0] == 0 else GRU(H, reset_after=True)
    params = jax.eval_shape(lambda: cell.init_params(KEY, D))
    lengths = jnp.zeros(shape[:-2], jnp.int32)

    def loss(params, xs):
        ys, state = unroll(cell, params, xs, engine=engine, lengths=lengths)
        return ys.sum() + state.h.sum()

    grads, of_xs = jax.eval_shape(jax.grad(loss, (0, 1)), params, jnp.zeros(shape))
    assert jax.tree.map(jnp.shape, grads) == jax.tree.map(jnp.shape, params)
    assert of_xs.shape == shape


def test_newton_of_nothing_has_converged():
    params = RNN(H).init_params(KEY, D)
    ys, state = unroll(RNN(H), params, XS, engine="newton")
    assert (ys.shape, state.h.shape) == ((0, T, H), (0, H))


def test_layers_and_models_without_sequences():
    cell = VariationalDropout(Zoneout(LSTM(H), 0.1), input_rate=0.1)
    layer = Stack([as_layer(cell), Bidirectional(GRU(H))], dropout=0.1)
    for model, inputs in (
        (models.ManyToOne(layer, 3), XS),
        (models.ManyToOne(layer, 3, pooling="mean"), XS),
        (models.ManyToMany(layer, 3, crf=True), XS),
        (models.LanguageModel(RNN(H), 3, embedding_size=2), SYMBOLS),
        (EncoderDecoder(GRU(H), LSTM(H), 3, symbols=3, steps=2, embedding_size=2), SYMBOLS),
    ):
        params = jax.eval_shape(model.init, KEY, inputs[:, :1])

        def outputs(params, model=model, inputs=inputs):
            return model.apply(params, inputs, lengths=NONE, key=KEY, deterministic=False)[0]

        y = jax.eval_shape(outputs, params)
        assert y.shape[0] == 0


def test_training_pairs_and_prompts_without_sequences():
    translate = EncoderDecoder(GRU(H), LSTM(H), 3, symbols=3, steps=2, embedding_size=2)
    params, pair = (
        jax.eval_shape(translate.init, KEY, SYMBOLS[:, :1]),
        Pair(SYMBOLS, SYMBOLS[:, :2]),
    )
    said, _ = jax.eval_shape(lambda p: translate.apply(p, pair, lengths=NONE), params)
    assert said.logits.shape == (0, 2, 3)
    language = models.LanguageModel(RNN(H), 3, embedding_size=2)
    params = jax.eval_shape(language.init, KEY, SYMBOLS[:, :1])
    drawn = jax.eval_shape(lambda p: generation.generate(language, p, SYMBOLS, 2, KEY), params)
    assert drawn.shape == (0, 2)


def test_losses_of_nothing_are_zero():
    """And so are their gradients, not NaN, which 0/0 would make of them."""
    logits, scores = jnp.zeros((0, 3)), jnp.zeros((0, T, 3, 3))

    @jax.jit
    def values():
        found = [losses.accuracy(logits, NONE)]
        for reduction in losses.REDUCTIONS:
            found += [
                losses.cross_entropy(logits, NONE, reduction=reduction),
                losses.mse(XS, XS, reduction=reduction),
                crf.negative_log_likelihood(scores, SYMBOLS, reduction=reduction),
                jax.grad(lambda w, how=reduction: losses.mse(XS * w, XS, reduction=how))(1.0),
            ]
        return jnp.stack(found)

    np.testing.assert_array_equal(values(), np.zeros(9))
    assert jax.eval_shape(crf.viterbi, scores).shape == (0, T)
    assert jax.eval_shape(lambda: models.mean_over_time(jnp.zeros((0, T, H)), NONE)).shape == (0, H)
    with pytest.raises(ValueError, match=r"edges: at least one step is needed, got .*\(2, 0, 3\)"):
        crf.edges(jnp.zeros((2, 0, 3)), jnp.zeros((4, 3)))


def test_probes_without_sequences():
    cell, params = LSTM(H), LSTM(H).init_params(KEY, D)
    assert gradients.jacobian_spectrum(cell, params, XS, [1, 2]).shape == (0, 2, 2 * H)

    def probes():
        curve = gradients.adjoint_norms(cell, params, XS, jnp.sum, chunk=2)
        exponents = gradients.lyapunov_exponents(cell, params, XS)
        share = gradients.weight_contributions(cell, params, XS, jnp.sum)
        return curve.C, share, exponents, gradients.saturation(cell, params, XS)["f"]

    shapes = [leaf.shape for leaf in jax.eval_shape(probes)]
    assert shapes == [(0, T), (0, T), (0, 2 * H), (0, T)]


def test_no_features_are_refused():
    with pytest.raises(ValueError, match="input_size must be a whole number of at least 1, got 0"):
        unroll(RNN(H), RNN(H).init_params(KEY, 1), jnp.zeros((2, T, 0)))
