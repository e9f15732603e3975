"""BERT with its heads, as Flax linen modules: pre-training, classification, tagging.

A model is hashable and equal by value, and takes what :class:`rnnlab.training.train.Train` hands to
every model. Parameters: ``{"params": {"encoder": EncoderParams, <head>: its own}}``.

Shapes: B batch, T tokens, P places to predict, V vocabulary, H hidden, O outputs.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from rnnlab.bert.encoder import (
    ACTIVATIONS,
    Config,
    Dense,
    Init,
    Norm,
    Tokens,
    dense,
    dropout,
    encode,
    init_norm,
    init_params,
    layer_norm,
    pool,
)
from rnnlab.nn.initializers import make

Array = jax.Array


class MaskedWords(NamedTuple):
    """Of :func:`masked_word_logits`."""

    transform: Dense  # (H, H)
    norm: Norm
    b: Array  # (V,)


def masked_word_logits(
    p: MaskedWords, word: Array, h: Array, activation: str = "gelu", eps: float = 1e-12
) -> Array:
    """z = E_word LN(g(W h + b)) + b_V: (..., H) -> (..., V), with the embedding (V, H) as weights.

    Source: Devlin et al. 2019, §3.1 and the published code.
    """
    x = layer_norm(p.norm, ACTIVATIONS[activation](dense(p.transform, h)), eps)
    # as in dense: of two axes, on a CPU
    z = _plus_bias(x.reshape(-1, x.shape[-1]) @ word.T.astype(x.dtype), p.b.astype(x.dtype))
    return z.astype(p.b.dtype).reshape(*x.shape[:-1], -1)


@jax.custom_vjp
def _plus_bias(z: Array, b: Array) -> Array:
    """z + b, (N, V) and (V,): ∂/∂b as a product, for a sum of wide rows is slow on a CPU."""
    return z + b


def _plus_bias_forward(z: Array, b: Array) -> tuple[Array, None]:
    return z + b, None


def _plus_bias_backward(kept: None, d: Array) -> tuple[Array, Array]:
    del kept
    return d, jnp.matmul(jnp.ones(len(d), d.dtype), d, precision="highest")


_plus_bias.defvjp(_plus_bias_forward, _plus_bias_backward)


def next_sentence_logits(p: Dense, pooled: Array) -> Array:
    """z = W pooled + b: (B, H) -> (B, 2). Class 0: the second sentence follows the first.

    Source: Devlin et al. 2019, §3.1, with the published code's order of classes.
    """
    return dense(p, pooled).astype(p.b.dtype)


class Logits(NamedTuple):
    """What a pre-training model says."""

    words: Array  # (B, P, V), or (B, T, V) without places
    next_sentence: Array  # (B, 2)


class Noise(NamedTuple):
    """How a model's encoder looks to training."""

    dropout: float


class _Model(nn.Module):
    """What the models share."""

    config: Config
    init_scheme: Init = Init()
    start: Any = None  # a rnnlab.bert.pretrained.Start; None: drawn by init_scheme

    @property
    def layer(self) -> "Noise":
        """What training asks of a model's layer: whether it draws noise."""
        return Noise(max(self.config.dropout, self.config.attention_dropout))

    def without_init(self) -> Any:
        """The model with its schemes and start stripped: what a compiled program depends on."""
        return self.clone(init_scheme=Init(*["zeros"] * 5), start=None)

    def _encoded(self, inputs: Any, key: Array | None, deterministic: bool, **unused: Any) -> Any:
        """(tokens, parameters of the encoder, last hidden states, the seed of one more dropout)."""
        if unused.get("initial_state") is not None:
            raise ValueError("a BERT has no state to start from, got initial_state")
        if unused.get("engine", "auto") != "auto":
            raise ValueError(
                f"a BERT has no recurrence: engine must be 'auto', got {unused['engine']!r}"
            )
        if not deterministic and key is None:
            raise ValueError("deterministic=False needs a key to draw dropout from")
        tokens = inputs if isinstance(inputs, Tokens) else Tokens(inputs)
        lengths = unused.get("lengths")
        if lengths is not None:
            if tokens.mask is not None:
                raise ValueError("tokens with a mask have their lengths in it, got lengths, too")
            inside = jnp.arange(tokens.ids.shape[1]) < jnp.asarray(lengths)[:, None]
            tokens = tokens._replace(mask=inside)
        draw = self._started("encoder", init_params)
        params = self.param("encoder", draw, self.config, self.init_scheme)
        key = None if deterministic else key
        last = encode(self.config, params, tokens, key=key).last
        seed = None
        if key is not None:
            seed = jax.random.bits(jax.random.fold_in(key, 1), (2,), jnp.uint32)
        return tokens, params, last, seed

    def _started(self, part: str, draw: Any) -> Any:
        """What draws a part's first weights: the start that has them, or ``draw``."""
        if self.start is None:
            return draw

        def first(key: Array, *given: Any) -> Any:
            found = self.start.parts(self.config)
            return jax.tree.map(jnp.asarray, found[part]) if part in found else draw(key, *given)

        return first

    def _dense(self, name: str, outputs: int) -> Dense:
        draw = self._started(name, self.init_scheme.dense)
        return self.param(name, draw, "head", self.config.hidden_size, outputs)


class Pretraining(_Model):
    """Masked words and next sentence: :class:`Logits` of a pair of sentences.

    Args:
        config: sizes; see :class:`~rnnlab.bert.encoder.Config`.
        init_scheme: see :class:`~rnnlab.bert.encoder.Init`.
        start: a :class:`~rnnlab.bert.pretrained.Start`, whose encoder and pooler this one begins
        with.

    >>> model = Pretraining(Config.named("tiny", vocab_size=50))
    >>> params = model.init(jax.random.key(0), jnp.zeros((1, 1), int))
    >>> tokens = Tokens(jnp.zeros((2, 7), int), positions=jnp.array([[1, 2], [3, 3]]))
    >>> said, _ = model.apply(params, tokens)
    >>> said.words.shape, said.next_sentence.shape
    ((2, 2, 50), (2, 2))
    """

    @nn.compact
    def __call__(
        self, inputs: Any, *, key: Array | None = None, deterministic: bool = True, **unused: Any
    ) -> tuple[Logits, tuple[()]]:
        """Read pairs of sentences.

        Args:
            inputs: :class:`~rnnlab.bert.encoder.Tokens`, or ids (B, T) alone.
            key, deterministic: dropout is drawn from the key where ``deterministic=False``.
            unused: ``lengths`` (B,), for ids without a mask; ``initial_state=None`` and
                ``engine="auto"``, as every model is given.
        Returns:
            (logits, (): there is no state).
        Raises:
            ValueError, TypeError: as :func:`~rnnlab.bert.encoder.encode`; no key for noise.
        """
        tokens, params, h, _ = self._encoded(inputs, key, deterministic, **unused)
        pooled = pool(self._dense("pooler", self.config.hidden_size), h)
        next_sentence = next_sentence_logits(self._dense("next_sentence", 2), pooled)
        head = self.param("masked_words", _init_masked_words, self.config, self.init_scheme)
        if tokens.positions is not None:
            h = jnp.take_along_axis(h, tokens.positions[..., None], axis=1)
        words = masked_word_logits(
            head, params.embeddings.word, h, self.config.activation, self.config.norm_eps
        )
        return Logits(words, next_sentence), ()


def _init_masked_words(key: Array, config: Config, init: Init) -> MaskedWords:
    H, V = config.hidden_size, config.vocab_size
    key_W, key_b = jax.random.split(key)
    return MaskedWords(init.dense(key_W, "head", H, H), init_norm(H), make(init.b, H)(key_b, (V,)))


class Classifier(_Model):
    """y = W pooled + b: one answer a sentence or pair, (B, O) logits.

    Args:
        config, init_scheme, start: as :class:`Pretraining`.
        outputs: O.
    Source: Devlin et al. 2019, §4.1.

    >>> model = Classifier(Config.named("tiny", vocab_size=50), outputs=3)
    >>> params = model.init(jax.random.key(0), jnp.zeros((1, 1), int))
    >>> model.apply(params, jnp.zeros((2, 7), int))[0].shape
    (2, 3)
    """

    outputs: int = 2

    @nn.compact
    def __call__(
        self, inputs: Any, *, key: Array | None = None, deterministic: bool = True, **unused: Any
    ) -> tuple[Array, tuple[()]]:
        """(logits (B, O), ()); the rest as :class:`Pretraining`."""
        _, _, h, seed = self._encoded(inputs, key, deterministic, **unused)
        pooled = pool(self._dense("pooler", self.config.hidden_size), h)
        pooled = dropout(pooled, self.config.dropout, seed)
        read_out = self._dense("classifier", self.outputs)
        return dense(read_out, pooled).astype(read_out.b.dtype), ()


class Tagger(_Model):
    """y_t = W h_t + b: one answer a token (B, T, O), or a place of tokens.positions (B, P, O).

    Args:
        config, init_scheme, start: as :class:`Pretraining`.
        outputs: O.
    Source: Devlin et al. 2019, §5.3.

    >>> model = Tagger(Config.named("tiny", vocab_size=50), outputs=3)
    >>> params = model.init(jax.random.key(0), jnp.zeros((1, 1), int))
    >>> model.apply(params, jnp.zeros((2, 7), int))[0].shape
    (2, 7, 3)
    """

    outputs: int = 2

    @nn.compact
    def __call__(
        self, inputs: Any, *, key: Array | None = None, deterministic: bool = True, **unused: Any
    ) -> tuple[Array, tuple[()]]:
        """(logits (B, T, O) or (B, P, O), ()); the rest as :class:`Pretraining`."""
        tokens, _, h, seed = self._encoded(inputs, key, deterministic, **unused)
        if tokens.positions is not None:
            h = jnp.take_along_axis(h, tokens.positions[..., None], axis=1)
        read_out = self._dense("classifier", self.outputs)
        h = dropout(h, self.config.dropout, seed)
        return dense(read_out, h).astype(read_out.b.dtype), ()
