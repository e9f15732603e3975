"""BERT's encoder: each block one pure function; a config and its parameters made of them.

Post-layer-norm, as published. ``W x`` in the maths is ``x @ W`` in code, so that kernels are
(in, out); parameters keep Q, K and V apart, so that a scheme draws each as its theory means it.

Shapes: B batch, T tokens, V vocabulary, H hidden, A heads, d = H/A, F feed-forward.
Source: Devlin et al. 2019 (arXiv 1810.04805); Vaswani et al. 2017 (arXiv 1706.03762).
"""

import math
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnnlab.core.errors import unknown
from rnnlab.nn.initializers import Scheme, float_dtype, make
from rnnlab.nn.models import check_symbols

Array = jax.Array

# name: (layers, hidden size); heads are H/64 and F is 4H in all of them
SIZES = {
    "tiny": (2, 128),
    "mini": (4, 256),
    "small": (4, 512),
    "medium": (8, 512),
    "base": (12, 768),
}
# of a Config: what the size, the task's vocabulary and its length say
_GIVEN = ("vocab_size", "hidden_size", "layers", "heads", "feed_forward_size", "max_length")
DTYPES = ("float32", "bfloat16", "float64")


# ---- parameters --------------------------------------------------------------------------------


class Dense(NamedTuple):
    """x ↦ W x + b."""

    W: Array  # (in, out)
    b: Array  # (out,)


class Norm(NamedTuple):
    """Of :func:`layer_norm`."""

    gamma: Array  # (H,)
    beta: Array  # (H,)


class Embeddings(NamedTuple):
    """Of :func:`embed`."""

    word: Array  # (V, H)
    position: Array  # (max_length, H)
    segment: Array  # (segments, H)
    norm: Norm


class Attention(NamedTuple):
    """Of :func:`multi_head_attention`; each (H, H), the heads side by side."""

    query: Dense
    key: Dense
    value: Dense
    output: Dense


class FeedForward(NamedTuple):
    """Of :func:`feed_forward`."""

    inner: Dense  # (H, F)
    outer: Dense  # (F, H)


class Layer(NamedTuple):
    """Of :func:`encoder_layer`."""

    attention: Attention
    attention_norm: Norm
    feed_forward: FeedForward
    norm: Norm


class EncoderParams(NamedTuple):
    """The whole encoder, without a pooler or any other head."""

    embeddings: Embeddings
    layers: tuple[Layer, ...]


# ---- the equations -----------------------------------------------------------------------------


def _wide(dtype: Any) -> Any:
    """What sums are taken in."""
    return jnp.float64 if dtype == jnp.float64 else jnp.float32


def dense(p: Dense, x: Array) -> Array:
    """y = W x + b, in the dtype of x: (..., in) -> (..., out)."""
    flat = x.reshape(-1, x.shape[-1])  # the gradient of a product of three axes is slow on a CPU
    return (flat @ p.W.astype(x.dtype) + p.b.astype(x.dtype)).reshape(*x.shape[:-1], -1)


def layer_norm(p: Norm, x: Array, eps: float = 1e-12) -> Array:
    """LN(x) = γ * (x − μ) / √(σ² + ε) + β, with μ and σ² over the last axis.

    At least in float32, whatever the dtype of x (..., H); σ² is the mean square, not n − 1.
    Source: Ba et al. 2016 (arXiv 1607.06450), eq. 3.
    """
    wide = x.astype(_wide(x.dtype))
    scaled: Any = _normalized(wide, eps)
    return (p.gamma.astype(wide.dtype) * scaled + p.beta.astype(wide.dtype)).astype(x.dtype)


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _normalized(x: Array, eps: float) -> Array:
    """n = (x − μ) r, with r = 1/√(σ² + ε)."""
    return _normalized_forward(x, eps)[0]


def _normalized_forward(x: Array, eps: float) -> tuple[Array, tuple[Array, Array]]:
    centered = x - x.mean(axis=-1, keepdims=True)
    r = jax.lax.rsqrt(jnp.square(centered).mean(axis=-1, keepdims=True) + eps)
    return centered * r, (centered * r, r)


def _normalized_backward(eps: float, kept: tuple[Array, Array], d: Array) -> tuple[Array]:
    """∂L/∂x = r (d − mean(d) − n mean(d * n)): autodiff's own is a fifth slower, on a CPU."""
    del eps
    n, r = kept
    along = (d * n).mean(axis=-1, keepdims=True)
    return (r * (d - d.mean(axis=-1, keepdims=True) - n * along),)


_normalized.defvjp(_normalized_forward, _normalized_backward)


def gelu(x: Array) -> Array:
    """g(x) = x Φ(x) = x/2 (1 + erf(x/√2)): Hugging Face's "gelu".

    Source: Hendrycks & Gimpel 2016 (arXiv 1606.08415), §2.
    """
    return jax.nn.gelu(x, approximate=False)


def gelu_tanh(x: Array) -> Array:
    """g(x) = x/2 (1 + tanh(√(2/π) (x + .044715 x³))): Google's code, "gelu_new" elsewhere.

    Source: Hendrycks & Gimpel 2016, §2, the approximation.
    """
    return jax.nn.gelu(x, approximate=True)


ACTIVATIONS = {"gelu": gelu, "gelu_tanh": gelu_tanh, "relu": jax.nn.relu}


def embed(p: Embeddings, ids: Array, segments: Array | None = None, eps: float = 1e-12) -> Array:
    """h⁰_t = LN(E_word[x_t] + E_position[t] + E_segment[s_t]).

    Args:
        ids: x (B, T) whole numbers 0 … V−1; others make their token NaN.
        segments: s (B, T): which sentence of the pair; None: all the first.
    Returns:
        (B, T, H).
    Source: Devlin et al. 2019, Fig. 2.
    """
    V, T = p.word.shape[0], ids.shape[1]
    word = jnp.take(p.word, ids, axis=0, mode="clip")
    word = jnp.where(((ids >= 0) & (ids < V))[..., None], word, jnp.nan)
    if segments is None:
        segment = p.segment[0]
    else:
        # a product, not a look-up, whose gradient would be added up token by token
        chosen = jax.nn.one_hot(segments, p.segment.shape[0], dtype=p.segment.dtype)
        segment = chosen @ p.segment
    return layer_norm(p.norm, word + p.position[:T] + segment, eps)


def attention_weights(Q: Array, K: Array, mask: Array | None = None) -> Array:
    """A = softmax(Q Kᵀ / √d) over the keys that count.

    Args:
        Q, K: (..., T, d) and (..., S, d).
        mask: true where a key counts, broadcasting with (..., T, S); None: all count.
    Returns:
        (..., T, S), at least float32; rows sum to 1.
    Source: Vaswani et al. 2017, eq. 1.
    """
    wide = _wide(Q.dtype)
    scores = jnp.einsum("...td,...sd->...ts", Q, K, preferred_element_type=wide)
    scores = scores / math.sqrt(Q.shape[-1])
    if mask is not None:  # a finite number: a row without any key stays finite
        scores = jnp.where(mask, scores, jnp.finfo(wide).min)
    return jax.nn.softmax(scores, axis=-1)


def attend(A: Array, value: Array) -> Array:
    """A V: (..., T, S) and (..., S, d) -> (..., T, d), in the dtype of V.

    Source: Vaswani et al. 2017, eq. 1.
    """
    return jnp.einsum("...ts,...sd->...td", A.astype(value.dtype), value)


def split_heads(x: Array, heads: int) -> Array:
    """(B, T, H) -> (B, A, T, d)."""
    B, T, H = x.shape
    return x.reshape(B, T, heads, H // heads).swapaxes(1, 2)


def merge_heads(x: Array) -> Array:
    """(B, A, T, d) -> (B, T, H): [head_1; …; head_A]."""
    B, A, T, d = x.shape
    return x.swapaxes(1, 2).reshape(B, T, A * d)


def multi_head_attention(
    p: Attention,
    h: Array,
    mask: Array | None,
    heads: int,
    rate: float = 0.0,
    seed: Array | None = None,
    fused: bool = False,
) -> tuple[Array, Array | None]:
    """MHA(h) = W_o [head_1; …; head_A] + b_o, head_i = softmax(Q_i K_iᵀ/√d) V_i, Q = W_q h + b_q …

    Args:
        h: (B, T, H). mask: (B, T) true where a token counts; None: all.
        rate, seed: of :func:`dropout` on the weights; without a seed there is none.
        fused: through ``jax.nn.dot_product_attention``, which keeps no weights; not with dropout.
    Returns:
        (B, T, H), and A (B, A, T, T) as it was before dropout; None when fused.
    Source: Vaswani et al. 2017, §3.2.2; weights are dropped as in the published code.
    """
    Q, K, value = (split_heads(dense(part, h), heads) for part in p[:3])
    keys = None if mask is None else mask[:, None, None, :]
    if fused and not (rate and seed is not None):
        Q, K, value = (part.swapaxes(1, 2) for part in (Q, K, value))  # (B, T, A, d)
        mixed = jax.nn.dot_product_attention(Q, K, value, mask=keys)
        return dense(p.output, mixed.reshape(h.shape)), None
    A = attention_weights(Q, K, keys)
    mixed = attend(dropout(A, rate, seed), value)
    return dense(p.output, merge_heads(mixed)), A


def feed_forward(p: FeedForward, h: Array, activation: str = "gelu") -> Array:
    """FFN(h) = W_2 g(W_1 h + b_1) + b_2, token by token: (B, T, H) -> (B, T, H).

    Source: Vaswani et al. 2017, eq. 2, with g of Devlin et al. 2019.
    """
    return dense(p.outer, ACTIVATIONS[activation](dense(p.inner, h)))


def dropout(x: Array, rate: float, seed: Array | None) -> Array:
    """x_i m_i / (1 − rate), with m_i = 1 with probability 1 − rate, else 0.

    m_i is a hash of (seed, i), mixed twice: on a CPU that costs a seventieth of a draw by
    ``jax.random``, which would take as long as the rest of an update of a small BERT. The mixing
    is not cryptographic, and need not be here.

    Args:
        rate: 0 … 1. seed: (2,) uint32; None: x as it is.
    Source: Srivastava et al. 2014; the mixer is "lowbias32" of Wellons' hash prospector.
    """
    if not rate or seed is None:
        return x
    i = jax.lax.iota(jnp.uint32, x.size).reshape(x.shape)
    kept = mixed(mixed(i ^ seed[0]) + seed[1]) >= jnp.uint32(round(rate * 2**32))
    return jnp.where(kept, x / (1 - rate), 0)


def mixed(x: Array) -> Array:
    """A hash of uint32 numbers, one to one: "lowbias32" of Wellons' hash prospector."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)


def encoder_layer(
    p: Layer, h: Array, mask: Array | None, seeds: Array | None, config: "Config", fused: bool
) -> tuple[Array, Array | None]:
    """h' = LN(h + MHA(h)), h'' = LN(h' + FFN(h')); dropout on MHA and FFN before they are added.

    Args:
        h: (B, T, H). mask: (B, T) or None. seeds: (3, 2) of :func:`dropout`, or None.
    Returns:
        h'' (B, T, H), and the attention's weights as :func:`multi_head_attention` gives them.
    Source: Vaswani et al. 2017, §3.1 (post-layer-norm).
    """
    one = (None,) * 3 if seeds is None else tuple(seeds)
    mixed, A = multi_head_attention(
        p.attention, h, mask, config.heads, config.attention_dropout, one[0], fused
    )
    h = layer_norm(p.attention_norm, h + dropout(mixed, config.dropout, one[1]), config.norm_eps)
    wide = feed_forward(p.feed_forward, h, config.activation)
    return layer_norm(p.norm, h + dropout(wide, config.dropout, one[2]), config.norm_eps), A


def pool(p: Dense, h: Array) -> Array:
    """tanh(W_p h_1 + b_p): of the first token, [CLS]. (B, T, H) -> (B, H).

    Source: Devlin et al. 2019, the published code's pooler.
    """
    return jnp.tanh(dense(p, h[:, 0]))


# ---- config and initialization -----------------------------------------------------------------


@dataclass(frozen=True)
class Config:
    """The sizes of an encoder, and how it is computed; hashable, a static argument.

    Args:
        vocab_size: V. hidden_size: H. layers: how many. heads: A, which divides H.
        feed_forward_size: F. max_length: positions there are. segments: kinds of them.
        activation: g, "gelu", "gelu_tanh" or "relu".
        dropout: of sums' terms and of h⁰. attention_dropout: of attention's weights.
        norm_eps: ε of layer norm.
        dtype: what is computed in: "float32", "bfloat16" (parameters, softmax and layer norm
            stay float32) or "float64".
        remat: compute each layer again in the backward pass, instead of keeping its insides.
    Raises:
        ValueError: a size, a rate or a name that is none.

    >>> Config.named("mini", vocab_size=1000)
    Config(vocab_size=1000, hidden_size=256, layers=4, heads=4, feed_forward_size=1024, \
max_length=512, segments=2, activation='gelu', dropout=0.1, attention_dropout=0.1, \
norm_eps=1e-12, dtype='float32', remat=False)
    """

    vocab_size: int = 30522
    hidden_size: int = 128
    layers: int = 2
    heads: int = 2
    feed_forward_size: int = 512
    max_length: int = 512
    segments: int = 2
    activation: str = "gelu"
    dropout: float = 0.1
    attention_dropout: float = 0.1
    norm_eps: float = 1e-12
    dtype: str = "float32"
    remat: bool = False

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if f.type is int and (type(value) is not int or value < 1):
                raise ValueError(f"{f.name} must be a whole number of at least 1, got {value!r}")
        if self.hidden_size % self.heads:
            raise ValueError(
                f"hidden_size must be a multiple of heads={self.heads}, got {self.hidden_size}"
            )
        for name in ("dropout", "attention_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in [0, 1), got {getattr(self, name)}")
        if not self.norm_eps > 0:
            raise ValueError(f"norm_eps must be above 0, got {self.norm_eps}")
        for name, known in (("activation", ACTIVATIONS), ("dtype", DTYPES)):
            if getattr(self, name) not in known:
                raise ValueError(unknown(name, getattr(self, name), known))

    @classmethod
    def named(cls, name: str, **changes: Any) -> "Config":
        """A published size: tiny, mini, small, medium or base (Turc et al. 2019, 1908.08962).

        Raises:
            ValueError: an unknown name.
        """
        if name not in SIZES:
            raise ValueError(unknown("size", name, SIZES))
        layers, H = SIZES[name]
        own = cls(hidden_size=H, layers=layers, heads=H // 64, feed_forward_size=4 * H)
        return replace(own, **changes)


@dataclass(frozen=True)
class Init:
    """Which scheme of :mod:`rnnlab.nn.initializers` draws which block. Layer norms start at (1, 0).

    Args:
        embedding: word, position and segment embeddings.
        attention: W_q, W_k, W_v and W_o of every layer.
        feed_forward: W_1 and W_2 of every layer.
        head: kernels of pooler, masked-word transform, next-sentence and other read-outs.
        b: every bias.
    """

    embedding: Scheme = "normal(std=0.02)"
    attention: Scheme = "normal(std=0.02)"
    feed_forward: Scheme = "normal(std=0.02)"
    head: Scheme = "normal(std=0.02)"
    b: Scheme = "zeros"

    def __post_init__(self) -> None:
        for f in fields(self):
            try:
                make(getattr(self, f.name), 1)
            except ValueError as error:
                raise ValueError(f"init.{f.name}: {error}") from None

    @staticmethod
    def config(**changes: str) -> dict[str, Any]:
        """The ``init`` group of a config, every key present."""
        return {f.name: f.default for f in fields(Init)} | changes

    @classmethod
    def from_config(cls, group: Any) -> "Init":
        """From a config's ``init`` group.

        Raises:
            ValueError: an unknown key or scheme.
        """
        return cls(**_known(group, "init key", cls))

    def dense(self, key: Array, block: str, inputs: int, outputs: int) -> Dense:
        """W (inputs, outputs) by the scheme of ``block``, and b."""
        key_W, key_b = jax.random.split(key)
        W = make(getattr(self, block), inputs)(key_W, (inputs, outputs))
        return Dense(W, make(self.b, inputs)(key_b, (outputs,)))


def config(**changes: Any) -> dict[str, Any]:
    """The ``encoder`` group of a config, every key present; see :class:`Config`.

    >>> config(size="mini")["size"], config()["dropout"]
    ('mini', 0.1)
    """
    own = {f.name: f.default for f in fields(Config) if f.name not in _GIVEN}
    return {"size": "tiny"} | own | changes


def from_config(group: Any, vocab_size: int, max_length: int) -> Config:
    """The :class:`Config` of a config's ``encoder`` group, and of a task's vocabulary and length.

    Raises:
        ValueError: an unknown size, key or name.
    """
    given = _known(group, "encoder key", Config, {"size", *config()})
    size = given.pop("size")
    return Config.named(size, vocab_size=vocab_size, max_length=max_length, **given)


def _known(group: Any, what: str, cls: Any, allowed: Any = None) -> dict[str, Any]:
    allowed = allowed or {f.name for f in fields(cls)}
    for key in group:
        if key not in allowed:
            raise ValueError(unknown(what, key, sorted(allowed)))
    return {key: group[key] for key in group}


def init_norm(size: int) -> Norm:
    """γ = 1, β = 0."""
    return Norm(jnp.ones(size, float_dtype()), jnp.zeros(size, float_dtype()))


def init_params(key: Array, config: Config, init: Init | None = None) -> EncoderParams:
    """Draw an encoder's parameters; every block from a key of its own."""
    init = init or Init()
    H, F = config.hidden_size, config.feed_forward_size
    key_embeddings, *keys = jax.random.split(key, 1 + config.layers)
    sizes = (config.vocab_size, config.max_length, config.segments)
    word, position, segment = (
        make(init.embedding, H)(k, (size, H))
        for k, size in zip(jax.random.split(key_embeddings, 3), sizes, strict=True)
    )

    def layer(key: Array) -> Layer:
        ks = jax.random.split(key, 6)
        attention = Attention(*(init.dense(k, "attention", H, H) for k in ks[:4]))
        inner, outer = (
            init.dense(k, "feed_forward", *size)
            for k, size in zip(ks[4:], ((H, F), (F, H)), strict=True)
        )
        return Layer(attention, init_norm(H), FeedForward(inner, outer), init_norm(H))

    return EncoderParams(
        Embeddings(word, position, segment, init_norm(H)), tuple(layer(k) for k in keys)
    )


# ---- the whole encoder -------------------------------------------------------------------------


class Tokens(NamedTuple):
    """What a BERT reads. ``Tokens(ids)`` is one sentence a row, without padding."""

    ids: Array  # (B, T) int32
    segments: Array | None = None  # (B, T) int32; None: all 0
    mask: Array | None = None  # (B, T) bool, true where a token counts; None: all
    positions: Array | None = None  # (B, P) int32: where words are to be predicted; None: all


class Encoded(NamedTuple):
    """What an encoder says of its tokens."""

    last: Array  # (B, T, H)
    hidden: tuple[Array, ...]  # h⁰ … h^L, each (B, T, H); () unless asked for
    attention: tuple[Array, ...]  # A of each layer, (B, A, T, T); () unless asked for


def encode(
    config: Config,
    params: EncoderParams,
    tokens: Tokens,
    *,
    key: Array | None = None,
    hidden: bool = False,
    attention: bool = False,
) -> Encoded:
    """Contextual vectors of tokens: :func:`embed`, then ``config.layers`` times
    :func:`encoder_layer`.

    Args:
        params: as :func:`init_params` draws them, or a checkpoint's.
        tokens: see :class:`Tokens`. What a masked token holds does not change the others.
        key: for dropout; None: there is none.
        hidden, attention: whether every layer's states and weights are handed out.
    Raises:
        ValueError: shapes that do not fit, more tokens than positions, a concrete token that is
            none. TypeError: tokens that are not whole numbers.

    >>> config = Config.named("tiny", vocab_size=50)
    >>> params = init_params(jax.random.key(0), config)
    >>> said = encode(config, params, Tokens(jnp.zeros((2, 7), int)), attention=True)
    >>> said.last.shape, said.attention[0].shape
    ((2, 7, 128), (2, 2, 7, 7))
    """
    check_tokens(config, tokens)
    seeds = None
    if key is not None and (config.dropout or config.attention_dropout):
        seeds = jax.random.bits(key, (1 + 3 * config.layers, 2), jnp.uint32)
    h = embed(params.embeddings, tokens.ids, tokens.segments, config.norm_eps)
    h = dropout(h, config.dropout, None if seeds is None else seeds[0])
    h = h.astype(config.dtype)
    # XLA's own attention is the slower one on a CPU
    fused = not attention and jax.default_backend() != "cpu"

    def layer(p: Layer, h: Array, seeds: Array | None) -> tuple[Array, Array | None]:
        h, A = encoder_layer(p, h, tokens.mask, seeds, config, fused)
        return h, A if attention else None

    if config.remat:
        layer = jax.checkpoint(layer)
    states, weights = [h], []
    for k, own in enumerate(params.layers):
        h, A = layer(own, h, None if seeds is None else seeds[1 + 3 * k : 4 + 3 * k])
        states.append(h)
        weights.append(A)
    return Encoded(h, tuple(states) if hidden else (), tuple(weights) if attention else ())


def check_tokens(config: Config, tokens: Tokens) -> None:
    """Refuse tokens that an encoder of this config cannot read, as far as they are known yet.

    Raises:
        ValueError, TypeError: as :func:`encode`.
    """
    check_symbols(tokens.ids, config.vocab_size)
    shape = jnp.shape(tokens.ids)
    if shape[1] > config.max_length:
        raise ValueError(f"{shape[1]} tokens, but max_length={config.max_length}")
    for name in ("segments", "mask"):
        part = getattr(tokens, name)
        if part is not None and jnp.shape(part) != shape:
            raise ValueError(f"{name} must be {shape}, as ids, got {jnp.shape(part)}")
    if tokens.mask is not None and jnp.asarray(tokens.mask).dtype != bool:
        raise TypeError(
            f"mask must be bool, true where a token counts, got {jnp.asarray(tokens.mask).dtype}"
        )
    if tokens.positions is not None and jnp.shape(tokens.positions)[:1] != shape[:1]:
        raise ValueError(f"positions must be ({shape[0]}, P), got {jnp.shape(tokens.positions)}")
