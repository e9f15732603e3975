"""BERT with its heads, as Flax linen modules: pre-training, classification, tagging.

A model is hashable and equal by value, and is called by :class:`rnnlab.training.train.Train` like
any other model. Parameters: ``{"params": {"encoder": EncoderParams, <head>: the head's}}``.

Shapes: B batch, T tokens, P places to predict, V vocabulary, H hidden, O outputs.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, Self, TypedDict, TypeVar, Unpack

import jax
import jax.numpy as jnp
from flax import linen as nn

from rnnlab.bert.encoder import (
    ACTIVATIONS,
    Config,
    Dense,
    EncoderParams,
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
PyTree = Any
Drawn = TypeVar("Drawn")  # a part's parameters


class HasParts(Protocol):
    """Weights to start from, as :class:`rnnlab.bert.pretrained.Start` has them."""

    def parts(self, config: Config) -> Mapping[str, PyTree]:
        """Return the weights of each part, for an encoder of this config."""
        ...


class MaskedWords(NamedTuple):
    """Parameters of :func:`masked_word_logits`."""

    transform: Dense  # (H, H)
    norm: Norm
    b: Array  # (V,)


def masked_word_logits(
    p: MaskedWords, word: Array, h: Array, activation: str = "gelu", eps: float = 1e-12
) -> Array:
    """Return z = E_word LN(g(W h + b)) + b_V: (..., H) -> (..., V).

    The embedding E_word (V, H) serves as output weights.

    Source: Devlin et al. 2019, §3.1 and the published code.
    """
    x = layer_norm(p.norm, ACTIVATIONS[activation](dense(p.transform, h)), eps)
    # two axes, as in dense: faster on a CPU
    z = _plus_bias(x.reshape(-1, x.shape[-1]) @ word.T.astype(x.dtype), p.b.astype(x.dtype))
    return z.astype(p.b.dtype).reshape(*x.shape[:-1], -1)


@jax.custom_vjp
def _plus_bias(z: Array, b: Array) -> Array:
    """Return z + b, (N, V) and (V,); ∂/∂b as a product: sums of wide rows are slow on a CPU."""
    return z + b


def _plus_bias_forward(z: Array, b: Array) -> tuple[Array, None]:
    return z + b, None


def _plus_bias_backward(saved: None, d: Array) -> tuple[Array, Array]:
    del saved
    return d, jnp.matmul(jnp.ones(len(d), d.dtype), d, precision="highest")


_plus_bias.defvjp(_plus_bias_forward, _plus_bias_backward)


def next_sentence_logits(p: Dense, pooled: Array) -> Array:
    """Return z = W pooled + b: (B, H) -> (B, 2). Class 0: the second sentence follows the first.

    Source: Devlin et al. 2019, §3.1, with the published code's order of classes.
    """
    return dense(p, pooled).astype(p.b.dtype)


class Logits(NamedTuple):
    """The outputs of a pre-training model."""

    words: Array  # (B, P, V), or (B, T, V) without places
    next_sentence: Array  # (B, 2)


class Noise(NamedTuple):
    """The encoder as training sees a layer: whether it draws noise."""

    dropout: float


class Options(TypedDict, total=False):
    """Arguments of every model besides its inputs."""

    lengths: Array | None  # (B,) int32, for ids without a mask
    initial_state: object  # None
    engine: str  # "auto"


class _Read(NamedTuple):
    """Tokens, and the encoder's states of them."""

    tokens: Tokens
    params: EncoderParams
    last: Array  # (B, T, H)
    seed: Array | None  # (2,) uint32, for one more dropout; None: no dropout


class Bert(nn.Module):
    """An encoder that a head reads: what all models of this module share."""

    config: Config
    init_scheme: Init = Init()
    start: HasParts | None = None  # None: weights are drawn by init_scheme

    @property
    def layer(self) -> Noise:
        """The encoder as training sees a layer: whether it draws noise."""
        return Noise(max(self.config.dropout, self.config.attention_dropout))

    def without_init(self) -> Self:
        """Strip the schemes and the start, which a compiled program does not depend on."""
        return self.clone(init_scheme=Init(*["zeros"] * 5), start=None)

    def _encoded(
        self,
        inputs: Tokens | Array,
        key: Array | None,
        deterministic: bool,
        **options: Unpack[Options],
    ) -> _Read:
        if options.get("initial_state") is not None:
            raise ValueError("a BERT has no state to start from, got initial_state")
        engine, lengths = options.get("engine", "auto"), options.get("lengths")
        if engine != "auto":
            raise ValueError(f"a BERT has no recurrence: engine must be 'auto', got {engine!r}")
        if not deterministic and key is None:
            raise ValueError("deterministic=False needs a key to draw dropout from")
        tokens = inputs if isinstance(inputs, Tokens) else Tokens(inputs)
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
        return _Read(tokens, params, last, seed)

    def _started(self, part: str, draw: Callable[..., Drawn]) -> Callable[..., Drawn]:
        """Return a function that takes a part's weights from the start, or draws them."""
        start = self.start
        if start is None:
            return draw

        def first(key: Array, *arguments: object) -> Drawn:
            parts = start.parts(self.config)
            if part in parts:
                return jax.tree.map(jnp.asarray, parts[part])
            return draw(key, *arguments)

        return first

    def _dense(self, name: str, outputs: int) -> Dense:
        draw = self._started(name, self.init_scheme.dense)
        return self.param(name, draw, "head", self.config.hidden_size, outputs)


class Pretraining(Bert):
    """Masked words and next sentence: :class:`Logits` of a pair of sentences.

    Args:
        config: sizes; see :class:`~rnnlab.bert.encoder.Config`.
        init_scheme: see :class:`~rnnlab.bert.encoder.Init`.
        start: a :class:`~rnnlab.bert.pretrained.Start` whose encoder and pooler are the first
            weights; None: all are drawn.

    >>> model = Pretraining(Config.named("tiny", vocab_size=50))
    >>> params = model.init(jax.random.key(0), jnp.zeros((1, 1), int))
    >>> tokens = Tokens(jnp.zeros((2, 7), int), positions=jnp.array([[1, 2], [3, 3]]))
    >>> logits, _ = model.apply(params, tokens)
    >>> logits.words.shape, logits.next_sentence.shape
    ((2, 2, 50), (2, 2))
    """

    @nn.compact
    def __call__(
        self,
        inputs: Tokens | Array,
        *,
        key: Array | None = None,
        deterministic: bool = True,
        **options: Unpack[Options],
    ) -> tuple[Logits, tuple[()]]:
        """Read pairs of sentences.

        Args:
            inputs: :class:`~rnnlab.bert.encoder.Tokens`, or ids (B, T) alone.
            key, deterministic: dropout is drawn from the key if ``deterministic=False``.
            options: ``lengths`` (B,), for ids without a mask; ``initial_state=None`` and
                ``engine="auto"``, which every model is given.
        Returns:
            (logits, ()): a BERT has no state.
        Raises:
            ValueError, TypeError: as :func:`~rnnlab.bert.encoder.encode`; noise without a key.
        """
        tokens, params, h, _ = self._encoded(inputs, key, deterministic, **options)
        pooled = pool(self._dense("pooler", self.config.hidden_size), h)
        next_sentence = next_sentence_logits(self._dense("next_sentence", 2), pooled)
        head = self.param("masked_words", _init_masked_words, self.config, self.init_scheme)
        h = _at_positions(h, tokens)
        words = masked_word_logits(
            head, params.embeddings.word, h, self.config.activation, self.config.norm_eps
        )
        return Logits(words, next_sentence), ()


def _at_positions(h: Array, tokens: Tokens) -> Array:
    """Return the states (B, P, H) at the positions of the tokens; all of h (B, T, H) without."""
    if tokens.positions is None:
        return h
    return jnp.take_along_axis(h, jnp.asarray(tokens.positions)[..., None], axis=1)


def _init_masked_words(key: Array, config: Config, init: Init) -> MaskedWords:
    H, V = config.hidden_size, config.vocab_size
    key_W, key_b = jax.random.split(key)
    return MaskedWords(init.dense(key_W, "head", H, H), init_norm(H), make(init.b, H)(key_b, (V,)))


class Classifier(Bert):
    """One answer per sentence or pair: logits y = W pooled + b, (B, O).

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
        self,
        inputs: Tokens | Array,
        *,
        key: Array | None = None,
        deterministic: bool = True,
        **options: Unpack[Options],
    ) -> tuple[Array, tuple[()]]:
        """Return (logits (B, O), ()); arguments as of :class:`Pretraining`."""
        _, _, h, seed = self._encoded(inputs, key, deterministic, **options)
        pooled = pool(self._dense("pooler", self.config.hidden_size), h)
        pooled = dropout(pooled, self.config.dropout, seed)
        readout = self._dense("classifier", self.outputs)
        return dense(readout, pooled).astype(readout.b.dtype), ()


class Tagger(Bert):
    """One answer per token: logits y_t = W h_t + b, (B, T, O), or (B, P, O) at tokens.positions.

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
        self,
        inputs: Tokens | Array,
        *,
        key: Array | None = None,
        deterministic: bool = True,
        **options: Unpack[Options],
    ) -> tuple[Array, tuple[()]]:
        """Return (logits (B, T, O) or (B, P, O), ()); arguments as of :class:`Pretraining`."""
        tokens, _, h, seed = self._encoded(inputs, key, deterministic, **options)
        h = _at_positions(h, tokens)
        readout = self._dense("classifier", self.outputs)
        h = dropout(h, self.config.dropout, seed)
        return dense(readout, h).astype(readout.b.dtype), ()


def architecture(parts: Mapping[str, PyTree]) -> str:
    """Return the name of Hugging Face's model with these parts."""
    if "classifier" in parts:
        kind = "Sequence" if "pooler" in parts else "Token"
        return f"BertFor{kind}Classification"
    if "masked_words" in parts:
        return "BertForPreTraining" if "next_sentence" in parts else "BertForMaskedLM"
    return "BertForNextSentencePrediction" if "next_sentence" in parts else "BertModel"
