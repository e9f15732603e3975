"""Sequence to sequence: an encoder, a decoder, and attention between them, after Luong.

With states h_s of the encoder, s = 1 … S, and s_t of the decoder:

    s_0     = tanh(W_b e + b_b)                  e: the last output of each direction
    score   = s_tᵀ W_a h_s
    a_ts    = exp(score_ts) / Σ_s exp(score_ts)  over the real steps
    c_t     = Σ_s a_ts h_s
    s̃_t     = tanh(W_c [c_t; s_t] + b_c)
    y_t     = W_hy s̃_t + b_y

The decoder reads the previous token, START first: the target's in training, its own prediction in
use. Without attention (``attention="none"``) y_t = W_hy s_t + b_y, and the decoder knows the source
by s_0 only.

Source: Sutskever et al. 2014 (arXiv 1409.3215); Bahdanau et al. 2015 (arXiv 1409.0473); Luong et
al. 2015 (arXiv 1508.04025), "general" scores, equations 5, 7 and 8.

Shapes: B batch, S steps of the source, T of the target, H_e, H of encoder and decoder, K tokens.
"""

from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.sharding import PartitionSpec as P

from rnnlab.core import validate
from rnnlab.nn import cells, contract, equations, layers, models, unroll
from rnnlab.nn.initializers import Scheme, make
from rnnlab.nn.layers import Layer
from rnnlab.nn.meshes import automatic, batch_spec, take_rows, varying_alike
from rnnlab.nn.params import PyTree

Array = jax.Array

ATTENTIONS = ("general", "none")
END = 0  # the token that ends a target and fills the steps after it


class Pair(NamedTuple):
    """Inputs in training."""

    source: Array  # (B, S) int32
    given: Array  # (B, T) int32: the target, one step late; START is K


class Said(NamedTuple):
    """Outputs in training."""

    logits: Array  # (B, T, K), given the target's previous tokens
    greedy: Array  # (B, T) int32: the most probable tokens, given its own previous ones


# ---- the equations -----------------------------------------------------------------------------


def attention_scores(s: Array, h: Array, W_a: Array) -> Array:
    """score_ts = s_tᵀ W_a h_s: (B, T, H), (B, S, H_e), (H, H_e) -> (B, T, S).

    Source: Luong et al. 2015, equation 8, "general".
    """
    return jnp.einsum("bth,hg,bsg->bts", s, W_a, h)


def attention_weights(scores: Array, mask: Array | None = None) -> Array:
    """a_ts = exp(score_ts) / Σ_s exp(score_ts), over the steps s where the mask (B, S) is true.

    Source: Luong et al. 2015, equation 7.

    >>> attention_weights(jnp.zeros((1, 1, 3)), jnp.array([[True, True, False]])).tolist()
    [[[0.5, 0.5, 0.0]]]
    """
    if mask is None:
        return jax.nn.softmax(scores, axis=-1)
    return jax.nn.softmax(scores, axis=-1, where=mask[:, None])


def context(weights: Array, h: Array) -> Array:
    """c_t = Σ_s a_ts h_s: (B, T, S), (B, S, H_e) -> (B, T, H_e)."""
    return weights @ h


def attentional_state(c: Array, s: Array, W_c: Array, b_c: Array) -> Array:
    """s̃_t = tanh(W_c [c_t; s_t] + b_c): (…, H_e), (…, H), (H_e + H, H), (H,) -> (…, H).

    Source: Luong et al. 2015, equation 5.
    """
    return jnp.tanh(jnp.concatenate([c, s], axis=-1) @ W_c + b_c)


# ---- the model ---------------------------------------------------------------------------------


class EncoderDecoder(nn.Module):
    """An encoder layer that reads a source, and a decoder cell that predicts a target.

    Args:
        layer: the encoder, a layer or a cell.
        decoder: a cell.
        outputs: K tokens of the target, END included.
        symbols: V tokens of the source.
        steps: T, the most tokens of a target, END included.
        embedding_size: E, of source and target tokens.
        attention: "general" or "none".
        w_y, b_y, w_e: schemes of the read-out and of the embeddings. w_a: of W_a, W_b and W_c.
    Raises:
        ValueError: an invalid size, scheme or attention; a decoder that is not one cell.
        TypeError: ``layer`` is neither a layer nor a cell.

    >>> model = EncoderDecoder(cells.LSTM(4), cells.LSTM(4), outputs=5, symbols=7, steps=3)
    >>> params = model.init(jax.random.key(0), jnp.zeros((2, 6), int))
    >>> model.apply(params, jnp.ones((2, 6), int))[0].shape  # greedy predictions
    (2, 3)
    """

    layer: Layer
    decoder: Layer
    outputs: int
    symbols: int
    steps: int
    embedding_size: int = 64
    attention: str = "general"
    w_y: Scheme = "xavier_uniform"
    b_y: Scheme = "zeros"
    w_e: Scheme = "uniform(bound=0.1)"
    w_a: Scheme = "xavier_uniform"

    def __post_init__(self) -> None:
        self.layer = layers.as_layer(self.layer)
        self.decoder = layers.as_layer(self.decoder)
        if not isinstance(self.decoder, layers.CellLayer):
            raise ValueError(f"a decoder is one cell, one way, got {self.decoder}")
        for name in ("outputs", "symbols", "steps", "embedding_size"):
            setattr(self, name, validate.whole(name, getattr(self, name)))
        validate.choice("attention", self.attention, ATTENTIONS)
        super().__post_init__()

    def without_init(self) -> Self:
        """Return the model with default schemes: everything that a compiled program depends on."""
        schemes = dict.fromkeys(("w_y", "b_y", "w_e", "w_a"), "zeros")
        layer, decoder = (cells.without_init(part) for part in (self.layer, self.decoder))
        return self.clone(layer=layer, decoder=decoder, **schemes)

    @nn.compact
    def __call__(
        self,
        inputs: Pair | Array,
        *,
        lengths: Array | None = None,
        key: Array | None = None,
        deterministic: bool = True,
        engine: str = "auto",
        initial_state: None = None,
    ) -> tuple[Said | Array, tuple[()]]:
        """Read sources and predict targets.

        Args:
            inputs: a :class:`Pair`; or sources (B, S) alone, whose targets are predicted greedily.
            lengths: (B,), real steps of the sources; None: S.
            key, deterministic, engine: as :func:`rnnlab.unroll`, for encoder and decoder.
            initial_state: must be None: an encoder starts from its own state.
        Returns:
            (:class:`Said`; for sources alone tokens (B, T), :data:`END` from the first END on,
            (): there is no final state).
        Raises:
            ValueError: shapes that do not fit, a known symbol out of range, an initial_state.
            TypeError: sources that are not whole numbers.
        """
        if initial_state is not None:
            raise ValueError("an encoder starts from its own state, got initial_state")
        source = inputs.source if isinstance(inputs, Pair) else inputs
        models.check_symbols(source, self.symbols, lengths)
        options = {"deterministic": deterministic, "engine": engine}
        keys = (None, None) if key is None else jax.random.split(key)
        h, ends = self._encoded(jnp.asarray(source), lengths, key=keys[0], **options)
        mask = unroll.length_mask(lengths, h.shape[:1], h.shape[1])
        p = self._decoder_params(ends, h.shape[-1])
        start = self._first_state(p, ends)
        greedy = self._greedy(p, start, h, mask)
        if not isinstance(inputs, Pair):
            return greedy, ()
        xs = take_rows(p["target_embedding"], inputs.given)
        s, _ = self.decoder.apply(p["decoder"], xs, initial_state=start, key=keys[1], **options)
        logits, weights = self._read_out(p, s, h, mask)
        if weights is not None:
            self.sow("intermediates", "attention", weights)  # stored for weights() only
        return Said(logits, greedy), ()

    def weights(self, params: PyTree, source: Array, lengths: Array) -> tuple[Array, Array]:
        """Return the greedy predictions (B, T) and their attention weights (B, T, S).

        Raises:
            ValueError: a model without attention.
        """
        if self.attention == "none":
            raise ValueError("attention='none' has no weights")
        tokens: PyTree
        tokens, _ = self.apply(params, source, lengths=lengths)
        start = jnp.full_like(tokens[:, :1], self.outputs)
        given = jnp.concatenate([start, tokens[:, :-1]], axis=1)
        variables: PyTree
        _, variables = self.apply(
            params, Pair(source, given), lengths=lengths, mutable=["intermediates"]
        )
        return tokens, variables["intermediates"]["attention"][-1]

    # ---- parts of the forward pass ----

    def _encoded(self, source: Array, lengths: Array | None, **options: Any) -> tuple[Array, Array]:
        """(h (B, S, H_e), e (B, H_e))."""
        layer = models.apart(self.layer)
        recurrent = self.param("recurrent", layer.init, self.embedding_size)
        shape = (self.symbols, self.embedding_size)
        embedding = self.param("embedding", make(self.w_e, self.layer.output_size), shape)
        xs = take_rows(embedding, source)
        h, _ = layer.apply(recurrent, xs, lengths=lengths, **options)
        last = None if lengths is None else models.last_step(lengths, h)
        return h, models.ends(layer, h, last)

    def _decoder_params(self, ends: Array, H_e: int) -> dict[str, PyTree]:
        """Parameters of the decoder, the attention and the read-out, by name."""
        H, K, E = self.decoder.output_size, self.outputs, self.embedding_size
        decoder = {"decoder": self.param("decoder", self.decoder.init, E)}
        empty = self.decoder.initial_state(decoder["decoder"], (1,))
        shapes = {
            "target_embedding": (self.w_e, (K + 1, E)),
            "W_hy": (self.w_y, (H, K)),
            "b_y": (self.b_y, (K,)),
        }
        for place, part in enumerate(contract.floats(empty)):
            n = contract.features(part, 1)
            shapes[f"W_b{place}"] = (self.w_a, (ends.shape[-1], n))
            shapes[f"b_b{place}"] = ("zeros", (n,))
        if self.attention != "none":
            shapes |= {
                "W_a": (self.w_a, (H, H_e)),
                "W_c": (self.w_a, (H_e + H, H)),
                "b_c": ("zeros", (H,)),
            }
        return decoder | {
            name: self.param(name, make(scheme, H), shape)
            for name, (scheme, shape) in shapes.items()
        }

    def _first_state(self, p: dict[str, PyTree], ends: Array) -> PyTree:
        """s_0, with a separate W_b and b_b for each part of the state (h, and C of an LSTM).

        Parts that are no floats, such as a step counter, are the decoder's own.
        """
        empty = self.decoder.initial_state(p["decoder"], (len(ends),))
        bridged = [
            jnp.tanh(ends @ p[f"W_b{k}"] + p[f"b_b{k}"]).reshape(part.shape)
            for k, part in enumerate(contract.floats(empty))
        ]
        return contract.with_floats(empty, bridged)

    def _read_out(
        self, p: dict[str, PyTree], s: Array, h: Array, mask: Array | None
    ) -> tuple[Array, Array | None]:
        """(y (B, T, K), attention weights (B, T, S) or None) of the decoder's states (B, T, H)."""
        weights = None
        if self.attention != "none":
            weights = attention_weights(attention_scores(s, h, p["W_a"]), mask)
            s = attentional_state(context(weights, h), s, p["W_c"], p["b_c"])
        return equations.output(s, p["W_hy"], p["b_y"], "identity"), weights

    def _greedy(self, p: dict[str, PyTree], start: PyTree, h: Array, mask: Array | None) -> Array:
        """Predict the most probable token step by step, feeding it back; END after the first."""
        batch = batch_spec(h)
        return automatic(self._greedily, p, start, h, mask, out=lambda: P(*batch))

    def _greedily(self, p: dict[str, PyTree], start: PyTree, h: Array, mask: Array | None) -> Array:
        assert isinstance(self.decoder, layers.CellLayer)  # checked by __post_init__
        cell, B = self.decoder.cell, len(h)
        decoder, _ = unroll.promoted(p["decoder"], p["target_embedding"])
        x = jax.ShapeDtypeStruct((B, self.embedding_size), p["target_embedding"].dtype)
        contract.check_step(cell, decoder, start, x)

        def step(
            carry: tuple[PyTree, Array, Array], _: None
        ) -> tuple[tuple[PyTree, Array, Array], Array]:
            state, token, ended = carry
            x = jnp.take(p["target_embedding"], token, axis=0, mode="clip")
            state, s, _ = cell.step(decoder, state, x)
            y = self._read_out(p, s[:, None], h, mask)[0]
            token = jnp.where(ended, END, y[:, 0].argmax(axis=-1).astype(jnp.int32))
            return (state, token, ended | (token == END)), token

        carry = (start, jnp.full(B, self.outputs, jnp.int32), jnp.zeros(B, bool))
        carry, _ = varying_alike((carry, (p, h, mask)))
        _, tokens = jax.lax.scan(step, carry, None, length=self.steps)
        return tokens.T
