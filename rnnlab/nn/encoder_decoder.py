"""Sequence to sequence: an encoder, a decoder, and attention between them, after Luong.

With states h_s of the encoder, s = 1 … S, and s_t of the decoder:

    s_0     = tanh(W_b e + b_b)                  e: where each direction has ended
    score   = s_tᵀ W_a h_s
    a_ts    = exp(score_ts) / Σ_s exp(score_ts)  over what is no padding
    c_t     = Σ_s a_ts h_s
    s̃_t     = tanh(W_c [c_t; s_t] + b_c)
    y_t     = W_hy s̃_t + b_y

The decoder reads the token before, START first: the right one in training, its own in use. Without
attention (``attention="none"``) y_t = W_hy s_t + b_y, and all that passes is the vector s_0.

Source: Sutskever et al. 2014 (arXiv 1409.3215); Bahdanau et al. 2015 (arXiv 1409.0473); Luong et
al. 2015 (arXiv 1508.04025), "general" scores, equations 5, 7 and 8.

Shapes: B batch, S steps of the source, T of the target, H_e, H of encoder and decoder, K tokens.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from rnnlab.core.errors import unknown
from rnnlab.nn import cells, equations, layers, models
from rnnlab.nn.initializers import Scheme, make

Array = jax.Array

ATTENTIONS = ("general", "none")
END = 0  # the token that ends a target, and fills up what is past it


class Pair(NamedTuple):
    """What is read in training."""

    source: Array  # (B, S) int32
    given: Array  # (B, T) int32: the target, a step late; START is K


class Said(NamedTuple):
    """What a model says."""

    logits: Array  # (B, T, K), each having read the right tokens before
    greedy: Array  # (B, T) int32: the most probable ones, each having read its own before


# ---- the equations -----------------------------------------------------------------------------


def attention_scores(s: Array, h: Array, W_a: Array) -> Array:
    """score_ts = s_tᵀ W_a h_s: (B, T, H), (B, S, H_e), (H, H_e) -> (B, T, S).

    Source: Luong et al. 2015, equation 8, "general".
    """
    return jnp.einsum("bth,hg,bsg->bts", s, W_a, h)


def attention_weights(scores: Array, mask: Array | None = None) -> Array:
    """a_ts = exp(score_ts) / Σ_s exp(score_ts), over the places (B, S) where the mask is true.

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
    """A source read by one layer, a target said by a cell.

    Args:
        layer: the encoder, any layer; a cell stands for a layer of it.
        decoder: a cell.
        outputs: K tokens of the target, END among them.
        symbols: V tokens of the source.
        steps: T, tokens of a target at most, END among them.
        embedding_size: E, of tokens of either side.
        attention: "general" or "none".
        w_y, b_y, w_e: schemes of the read-out and of the embeddings; w_a: of W_a, W_b and W_c.
    Raises:
        ValueError: sizes, schemes or an attention that are none; a decoder that is not one cell.

    >>> model = EncoderDecoder(cells.LSTM(4), cells.LSTM(4), outputs=5, symbols=7, steps=3)
    >>> params = model.init(jax.random.key(0), jnp.zeros((2, 6), int))
    >>> model.apply(params, jnp.ones((2, 6), int))[0].shape  # what it says, greedily
    (2, 3)
    """

    layer: Any
    decoder: Any
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
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise ValueError(
                    f"{name} must be a whole number of at least 1, got {getattr(self, name)!r}"
                )
        if self.attention not in ATTENTIONS:
            raise ValueError(unknown("attention", self.attention, ATTENTIONS))
        super().__post_init__()

    def without_init(self) -> "EncoderDecoder":
        """The model with its schemes stripped: what a compiled program depends on."""
        schemes = dict.fromkeys(("w_y", "b_y", "w_e", "w_a"), "zeros")
        layer, decoder = (cells.without_init(part) for part in (self.layer, self.decoder))
        return self.clone(layer=layer, decoder=decoder, **schemes)

    @nn.compact
    def __call__(
        self,
        inputs: Any,
        *,
        lengths: Array | None = None,
        key: Array | None = None,
        deterministic: bool = True,
        engine: str = "auto",
        initial_state: None = None,
    ) -> tuple[Any, tuple[()]]:
        """Read sources; say targets.

        Args:
            inputs: a :class:`Pair`; or sources (B, S) alone, whose targets are said greedily.
            lengths: (B,), real steps of the sources; None: S.
            key, deterministic, engine: as :func:`rnnlab.unroll`, of encoder and decoder.
            initial_state: None: an encoder starts from its own.
        Returns:
            (:class:`Said`; of sources alone tokens (B, T), END and what is past it :data:`END`;
            (): there is no state to go on from).
        Raises:
            ValueError, TypeError: as of :class:`rnnlab.nn.models.ManyToOne`.
        """
        if initial_state is not None:
            raise ValueError("an encoder starts from its own state, got initial_state")
        pair = inputs if isinstance(inputs, Pair) else None
        source = pair.source if pair else inputs
        models.check_symbols(source, self.symbols, lengths)
        options = {"deterministic": deterministic, "engine": engine}
        keys = (None, None) if key is None else jax.random.split(key)
        h, ends = self._encoded(jnp.asarray(source), lengths, key=keys[0], **options)
        mask = None
        if lengths is not None:
            mask = jnp.arange(h.shape[1]) < jnp.asarray(lengths)[:, None]
        own = self._parameters(ends, h.shape[-1])
        start = self._started(own, ends)
        greedy = self._greedy(own, start, h, mask)
        if pair is None:
            return greedy, ()
        xs = jnp.take(own["target_embedding"], pair.given, axis=0, mode="clip")
        s, _ = self.decoder.apply(own["decoder"], xs, initial_state=start, key=keys[1], **options)
        logits, weights = self._read_out(own, s, h, mask)
        if weights is not None:
            self.sow("intermediates", "attention", weights)  # for weights(), else nothing
        return Said(logits, greedy), ()

    def weights(self, params: Any, source: Array, lengths: Array) -> tuple[Array, Array]:
        """(tokens (B, T), attention weights (B, T, S)) of targets said greedily.

        Raises:
            ValueError: a model without attention.
        """
        if self.attention == "none":
            raise ValueError("attention='none' has no weights")
        said, _ = self.apply(params, source, lengths=lengths)
        start = jnp.full_like(said[:, :1], self.outputs)
        given = jnp.concatenate([start, said[:, :-1]], axis=1)
        kept: Any
        _, kept = self.apply(
            params, Pair(source, given), lengths=lengths, mutable=["intermediates"]
        )
        return said, kept["intermediates"]["attention"][-1]

    # ---- its parts ----

    def _encoded(self, source: Array, lengths: Any, **options: Any) -> tuple[Array, Array]:
        """(h (B, S, H_e), e (B, H_e))."""
        layer = models.apart(self.layer)
        recurrent = self.param("recurrent", layer.init, self.embedding_size)
        shape = (self.symbols, self.embedding_size)
        embedding = self.param("embedding", make(self.w_e, self.layer.output_size), shape)
        xs = jnp.take(embedding, source, axis=0, mode="clip")
        h, _ = layer.apply(recurrent, xs, lengths=lengths, **options)
        last = None if lengths is None else jnp.maximum(jnp.asarray(lengths, jnp.int32) - 1, 0)
        return h, models.ends(layer, h, last)

    def _parameters(self, ends: Array, H_e: int) -> dict[str, Any]:
        """The decoder's own, by name."""
        H, K, E = self.decoder.output_size, self.outputs, self.embedding_size
        own = {"decoder": self.param("decoder", self.decoder.init, E)}
        empty = self.decoder.initial_state(own["decoder"], (1,))
        shapes = {
            "target_embedding": (self.w_e, (K + 1, E)),
            "W_hy": (self.w_y, (H, K)),
            "b_y": (self.b_y, (K,)),
        }
        for place, part in enumerate(jax.tree.leaves(empty)):
            shapes[f"W_b{place}"] = (self.w_a, (ends.shape[-1], part.shape[-1]))
            shapes[f"b_b{place}"] = ("zeros", (part.shape[-1],))
        if self.attention != "none":
            shapes |= {
                "W_a": (self.w_a, (H, H_e)),
                "W_c": (self.w_a, (H_e + H, H)),
                "b_c": ("zeros", (H,)),
            }
        return own | {
            name: self.param(name, make(scheme, H), shape)
            for name, (scheme, shape) in shapes.items()
        }

    def _started(self, own: dict[str, Any], ends: Array) -> Any:
        """s_0, each part of a state (h; of an LSTM C as well) from a matrix of its own."""
        empty = self.decoder.initial_state(own["decoder"], (len(ends),))
        leaves, structure = jax.tree.flatten(empty)
        bridged = [jnp.tanh(ends @ own[f"W_b{k}"] + own[f"b_b{k}"]) for k in range(len(leaves))]
        return jax.tree.unflatten(structure, bridged)

    def _read_out(self, own: dict[str, Any], s: Array, h: Array, mask: Any) -> tuple[Array, Any]:
        """(y (B, T, K), attention weights (B, T, S) or None) of the decoder's states (B, T, H)."""
        weights = None
        if self.attention != "none":
            weights = attention_weights(attention_scores(s, h, own["W_a"]), mask)
            s = attentional_state(context(weights, h), s, own["W_c"], own["b_c"])
        return equations.output(s, own["W_hy"], own["b_y"], "identity"), weights

    def _greedy(self, own: dict[str, Any], start: Any, h: Array, mask: Any) -> Array:
        """The most probable token, again and again, each fed back; END once it was said."""
        cell, B = self.decoder.cell, len(h)

        def step(carry: tuple[Any, Array, Array], _: None) -> tuple[Any, Array]:
            state, token, over = carry
            x = jnp.take(own["target_embedding"], token, axis=0, mode="clip")
            state, s, _ = cell.step(own["decoder"], state, x)
            y, _ = self._read_out(own, s[:, None], h, mask)
            token = jnp.where(over, END, y[:, 0].argmax(axis=-1).astype(jnp.int32))
            return (state, token, over | (token == END)), token

        first = jnp.full(B, self.outputs, jnp.int32)
        _, said = jax.lax.scan(step, (start, first, jnp.zeros(B, bool)), None, length=self.steps)
        return said.T
