"""Encoder-decoders: the equations against loops in NumPy, greedy decoding, attention weights."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab.nn import cells, encoder_decoder, layers
from rnnlab.nn.encoder_decoder import END, EncoderDecoder, Pair
from rnnlab.nn.params import LSTMState
from tests.helpers import oracles
from tests.helpers.sequences import compiled

B, S, T, V, K, E = 3, 5, 4, 6, 5, 3
LENGTHS = np.array([5, 2, 3])


def model(attention="general", layer=None, decoder=None):
    layer = layer or layers.Bidirectional(cells.RNN(2))
    return EncoderDecoder(
        layer, decoder or cells.LSTM(4), K, V, T, embedding_size=E, attention=attention
    )


@partial(jax.jit, static_argnums=0)
def run(of, params, inputs):
    """The model's outputs, compiled once for equal models."""
    return of.apply(params, inputs, lengths=LENGTHS)[0]


def drawn(of, seed=0):
    """Random parameters that are not zero, and a pair with padding."""
    rng = np.random.default_rng(seed)
    params = oracles.drawn(lambda: of.init(jax.random.key(0), jnp.zeros((1, 1), int)), seed)
    given = np.concatenate([np.full((B, 1), K), rng.integers(0, K, (B, T - 1))], axis=1)
    return jax.device_get(params), Pair(rng.integers(0, V, (B, S)), given)


def said_by_loops(params, pair, attention):
    """Logits (B, T, K), one sequence, step and place at a time."""
    p = oracles.to_numpy(params)["params"]
    out = np.zeros((B, T, K))
    weights = np.zeros((B, T, S))
    for b in range(B):
        n = LENGTHS[b]
        xs = p["embedding"][pair.source[b, :n]]
        halves = []
        for way, own in zip((1, -1), p["recurrent"], strict=True):
            h, states = np.zeros(2), []
            for x in xs[::way]:
                h = np.tanh(h @ own.W_hh + x @ own.W_xh + own.b_h)
                states.append(h)
            halves.append(states[::way])
        hs = np.concatenate(halves, axis=1)  # (n, 4)
        ends = np.concatenate([halves[0][-1], halves[1][0]])
        state = {
            part: np.tanh(ends @ p[f"W_b{k}"] + p[f"b_b{k}"])
            for k, part in enumerate(LSTMState._fields)
        }
        for t in range(T):
            x = p["target_embedding"][int(pair.given[b, t])]
            state, _ = oracles.lstm_step(p["decoder"], state, x)
            s = state["h"]
            if attention == "general":
                scores = np.array([s @ p["W_a"] @ hs[i] for i in range(n)])
                a = np.exp(scores) / np.exp(scores).sum()
                weights[b, t, :n] = a
                c = sum(a[i] * hs[i] for i in range(n))
                s = np.tanh(np.concatenate([c, s]) @ p["W_c"] + p["b_c"])
            out[b, t] = s @ p["W_hy"] + p["b_y"]
    return out, weights


@pytest.mark.parametrize("attention", encoder_decoder.ATTENTIONS)
def test_a_model_equals_loops(attention, x64):
    of = model(attention)
    params, pair = drawn(of)
    params = jax.tree.map(lambda a: a.astype(float), params)
    said = run(of, params, pair)
    expected, _ = said_by_loops(params, pair, attention)
    assert oracles.relative_error(said.logits, expected) < 1e-12


def test_greedy_decoding_feeds_its_tokens_back(x64):
    of = model()
    params, pair = drawn(of)
    params = jax.tree.map(lambda a: 3 * a.astype(float), params)
    greedy = np.asarray(run(of, params, pair.source))
    assert (greedy == np.asarray(run(of, params, pair).greedy)).all()
    given = np.concatenate([np.full((B, 1), K), greedy[:, :-1]], axis=1)
    best = said_by_loops(params, Pair(pair.source, given), "general")[0].argmax(axis=-1)
    for b in range(B):
        over = (greedy[b] == END).argmax() + 1 if (greedy[b] == END).any() else T
        assert (greedy[b, :over] == best[b, :over]).all()
        assert (greedy[b, over:] == END).all()
    assert len({*map(tuple, greedy)}) > 1
    assert (greedy != END).any()


def test_attention_weights_equal_loops(x64):
    of = model()
    params, pair = drawn(of)
    params = jax.tree.map(lambda a: 3 * a.astype(float), params)
    said, weights = compiled(lambda p: of.weights(p, pair.source, LENGTHS), params)
    given = np.concatenate([np.full((B, 1), K), said[:, :-1]], axis=1)
    expected = said_by_loops(params, Pair(pair.source, given), "general")[1]
    assert oracles.relative_error(weights, expected) < 1e-12
    with pytest.raises(ValueError, match="'none' has no weights"):
        model("none").weights(params, pair.source, LENGTHS)


def test_padding_never_matters():
    of = model(layer=cells.GRU(4), decoder=cells.GRU(4))
    params, pair = drawn(of)
    inside = np.arange(S) < LENGTHS[:, None]
    other = Pair(np.where(inside, pair.source, (pair.source + 1) % V), pair.given)
    one, two = (run(of, params, p) for p in (pair, other))
    assert (one.logits == two.logits).all()
    assert not (pair.source == other.source).all()


def test_greedy_decoding_adds_nothing_to_the_gradient():
    of = model()
    params, pair = drawn(of)

    def said(params):
        return of.apply(params, pair, lengths=LENGTHS)[0]

    def loss(params):
        return said(params).logits.sum()

    def loops(of):
        return jax.jit(of).lower(params).compile().as_text().count(" while(")

    assert loops(said) == loops(loss) + 1 > 1  # it is said in one loop, which the loss leaves out
    grads = compiled(jax.grad(loss), params)["params"]
    assert all(
        (np.abs(leaf) > 0).any()
        for name in ("W_a", "W_c", "W_b0", "W_b1", "embedding")
        for leaf in jax.tree.leaves(grads[name])
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"attention": "dot"}, "unknown attention 'dot'"),
        ({"decoder": layers.Bidirectional(cells.RNN(2))}, "a decoder is one cell"),
    ],
)
def test_invalid_models_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        model(**options)


def test_sizes_and_inputs_are_checked():
    with pytest.raises(ValueError, match="steps must be a whole number of at least 1, got 0"):
        EncoderDecoder(cells.RNN(2), cells.RNN(2), 3, 3, 0)
    of = model()
    params, pair = drawn(of)
    with pytest.raises(ValueError, match="symbols must lie in 0 … 5, got"):
        of.apply(params, pair._replace(source=pair.source + V))
    with pytest.raises(ValueError, match="an encoder starts from its own state"):
        of.apply(params, pair, initial_state=jnp.zeros(2))
    schemed = EncoderDecoder(cells.RNN(2), cells.RNN(2), 3, 3, 2, w_a="orthogonal")
    assert (
        schemed.without_init() == EncoderDecoder(cells.RNN(2), cells.RNN(2), 3, 3, 2).without_init()
    )
