"""BERT's encoder: one pure function per block, its sizes and its parameters.

Layer norm comes after each sum (post-layer-norm), as published. ``W x`` in the maths is ``x @ W``
in code: kernels are (in, out). Parameters keep Q, K and V separate, so that an initialization
scheme applies to each block as its theory means it.

Shapes: B batch, T tokens, V vocabulary, H hidden, A heads, d = H/A, F feed-forward.
Source: Devlin et al. 2019 (arXiv 1810.04805); Vaswani et al. 2017 (arXiv 1706.03762).
"""

import math
from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.bert.params import Attention, Dense, Embeddings, EncoderParams, FeedForward, Layer, Norm
from rnnlab.core import validate
from rnnlab.core.errors import CONFIG_HELP, unknown
from rnnlab.nn.initializers import Scheme, float_dtype, make
from rnnlab.nn.models import check_symbols

if TYPE_CHECKING:
    from jax.typing import DTypeLike

Array = jax.Array
HostOrDevice = jax.Array | np.ndarray
ConfigGroup = Any  # an ml_collections.ConfigDict, whose keys a type checker does not know
Value = Any  # of a config: a number, a string or a bool

# name: (layers, hidden size); all have H/64 heads and F = 4H
SIZES = {
    "tiny": (2, 128),
    "mini": (4, 256),
    "small": (4, 512),
    "medium": (8, 512),
    "base": (12, 768),
}
# fields of a Config that follow from the size and from the task's vocabulary and length
_DERIVED = ("vocab_size", "hidden_size", "layers", "heads", "feed_forward_size", "max_length")
DTYPES = ("float32", "bfloat16", "float64")


def _sum_dtype(dtype: "DTypeLike") -> "DTypeLike":
    """Return the dtype of sums over values of ``dtype``."""
    return jnp.float64 if dtype == jnp.float64 else jnp.float32


def dense(p: Dense, x: Array) -> Array:
    """Return y = W x + b in the dtype of x: (..., in) -> (..., out)."""
    flat = x.reshape(-1, x.shape[-1])  # the gradient of a product of three axes is slow on a CPU
    return (flat @ p.W.astype(x.dtype) + p.b.astype(x.dtype)).reshape(*x.shape[:-1], -1)


def layer_norm(p: Norm, x: Array, eps: float = 1e-12) -> Array:
    """Return LN(x) = γ * (x − μ) / √(σ² + ε) + β, with μ and σ² over the last axis.

    Computed in float32 at least, whatever the dtype of x (..., H). σ² divides by n, not n − 1.
    Source: Ba et al. 2016 (arXiv 1607.06450), eq. 3.
    """
    wide = x.astype(_sum_dtype(x.dtype))
    scaled = jnp.asarray(_normalized(wide, eps))
    return (p.gamma.astype(wide.dtype) * scaled + p.beta.astype(wide.dtype)).astype(x.dtype)


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _normalized(x: Array, eps: float) -> Array:
    """Return n = (x − μ) r, with r = 1/√(σ² + ε)."""
    return _normalized_forward(x, eps)[0]


def _normalized_forward(x: Array, eps: float) -> tuple[Array, tuple[Array, Array]]:
    centered = x - x.mean(axis=-1, keepdims=True)
    r = jax.lax.rsqrt(jnp.square(centered).mean(axis=-1, keepdims=True) + eps)
    return centered * r, (centered * r, r)


def _normalized_backward(eps: float, saved: tuple[Array, Array], d: Array) -> tuple[Array]:
    """Return ∂L/∂x = r (d − mean(d) − n mean(d * n)), a fifth faster than autodiff on a CPU."""
    del eps
    n, r = saved
    along = (d * n).mean(axis=-1, keepdims=True)
    return (r * (d - d.mean(axis=-1, keepdims=True) - n * along),)


_normalized.defvjp(_normalized_forward, _normalized_backward)


def gelu(x: Array) -> Array:
    """Return g(x) = x Φ(x) = x/2 (1 + erf(x/√2)), Hugging Face's "gelu".

    Source: Hendrycks & Gimpel 2016 (arXiv 1606.08415), §2.
    """
    return jax.nn.gelu(x, approximate=False)


def gelu_tanh(x: Array) -> Array:
    """Return g(x) = x/2 (1 + tanh(√(2/π) (x + 0.044715 x³))), Google's GELU ("gelu_new").

    Source: Hendrycks & Gimpel 2016, §2, the approximation.
    """
    return jax.nn.gelu(x, approximate=True)


ACTIVATIONS = {"gelu": gelu, "gelu_tanh": gelu_tanh, "relu": jax.nn.relu}


def embed(
    p: Embeddings, ids: HostOrDevice, segments: HostOrDevice | None = None, eps: float = 1e-12
) -> Array:
    """Return h⁰_t = LN(E_word[x_t] + E_position[t] + E_segment[s_t]).

    Args:
        ids: x (B, T), whole numbers 0 … V−1; the vector of any other token is NaN.
        segments: s (B, T), which sentence of the pair; None: all the first.
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
        # a product: the gradient of a look-up is summed token by token
        chosen = jax.nn.one_hot(segments, p.segment.shape[0], dtype=p.segment.dtype)
        segment = chosen @ p.segment
    return layer_norm(p.norm, word + p.position[:T] + segment, eps)


def attention_weights(Q: Array, K: Array, mask: Array | None = None) -> Array:
    """Return A = softmax(Q Kᵀ / √d) over the unmasked keys.

    Args:
        Q, K: (..., T, d) and (..., S, d).
        mask: true where a key is attended to, broadcasting with (..., T, S); None: everywhere.
    Returns:
        (..., T, S), at least float32; rows sum to 1.
    Source: Vaswani et al. 2017, eq. 1.
    """
    wide = _sum_dtype(Q.dtype)
    scores = jnp.einsum("...td,...sd->...ts", Q, K, preferred_element_type=wide)
    scores = scores / math.sqrt(Q.shape[-1])
    if mask is not None:  # a finite number, so that a row without any key stays finite
        scores = jnp.where(mask, scores, jnp.finfo(wide).min)
    return jax.nn.softmax(scores, axis=-1)


def attend(A: Array, value: Array) -> Array:
    """Return A V in the dtype of V: (..., T, S) and (..., S, d) -> (..., T, d).

    Source: Vaswani et al. 2017, eq. 1.
    """
    return jnp.einsum("...ts,...sd->...td", A.astype(value.dtype), value)


def split_heads(x: Array, heads: int) -> Array:
    """Reshape (B, T, H) to (B, A, T, d)."""
    B, T, H = x.shape
    return x.reshape(B, T, heads, H // heads).swapaxes(1, 2)


def merge_heads(x: Array) -> Array:
    """Reshape (B, A, T, d) to (B, T, H): [head_1; …; head_A]."""
    B, A, T, d = x.shape
    return x.swapaxes(1, 2).reshape(B, T, A * d)


def multi_head_attention(
    p: Attention,
    h: Array,
    mask: HostOrDevice | None,
    heads: int,
    rate: float = 0.0,
    seed: Array | None = None,
    fused: bool = False,
) -> tuple[Array, Array | None]:
    """Return MHA(h) = W_o [head_1; …; head_A] + b_o and the attention weights.

    head_i = softmax(Q_i K_iᵀ/√d) V_i, with Q = W_q h + b_q, K = W_k h + b_k, V = W_v h + b_v.

    Args:
        h: (B, T, H). mask: (B, T), true for tokens that are attended to; None: all.
        rate, seed: of :func:`dropout` on the weights; no seed: no dropout.
        fused: use ``jax.nn.dot_product_attention``, which returns no weights; ignored with dropout.
    Returns:
        (B, T, H), and A (B, A, T, T) before dropout; None if fused.
    Source: Vaswani et al. 2017, §3.2.2; dropout on the weights as in the published code.
    """
    Q, K, value = (split_heads(dense(part, h), heads) for part in p[:3])
    keys = None if mask is None else jnp.asarray(mask)[:, None, None, :]
    if fused and not (rate and seed is not None):
        Q, K, value = (part.swapaxes(1, 2) for part in (Q, K, value))  # (B, T, A, d)
        attended = jax.nn.dot_product_attention(Q, K, value, mask=keys)
        return dense(p.output, attended.reshape(h.shape)), None
    A = attention_weights(Q, K, keys)
    attended = attend(dropout(A, rate, seed), value)
    return dense(p.output, merge_heads(attended)), A


def feed_forward(p: FeedForward, h: Array, activation: str = "gelu") -> Array:
    """Return FFN(h) = W_2 g(W_1 h + b_1) + b_2 of each token: (B, T, H) -> (B, T, H).

    Source: Vaswani et al. 2017, eq. 2, with g of Devlin et al. 2019.
    """
    return dense(p.outer, ACTIVATIONS[activation](dense(p.inner, h)))


def dropout(x: Array, rate: float, seed: Array | None) -> Array:
    """Return x_i m_i / (1 − rate), where m_i is 1 with probability 1 − rate, else 0.

    m_i is a hash of (seed, i), mixed twice. On a CPU it costs a seventieth of a draw by
    ``jax.random``, which would take as long as the rest of an update of a small BERT. The hash is
    not cryptographic, which is not needed here.

    Args:
        rate: 0 … 1. seed: (2,) uint32; None: x is returned unchanged.
    Source: Srivastava et al. 2014; the mixer is "lowbias32" of Wellons' hash prospector.
    """
    if not rate or seed is None:
        return x
    i = jax.lax.iota(jnp.uint32, x.size).reshape(x.shape)
    retained = mixed(mixed(i ^ seed[0]) + seed[1]) >= jnp.uint32(round(rate * 2**32))
    return jnp.where(retained, x / (1 - rate), 0)


def mixed(x: Array) -> Array:
    """Hash uint32 numbers one to one: "lowbias32" of Wellons' hash prospector."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)


def encoder_layer(
    p: Layer,
    h: Array,
    mask: HostOrDevice | None,
    seeds: Array | None,
    config: "Config",
    fused: bool,
) -> tuple[Array, Array | None]:
    """Return h'' = LN(h' + FFN(h')), with h' = LN(h + MHA(h)), and the attention weights.

    Dropout applies to MHA and FFN before they are added.

    Args:
        h: (B, T, H). mask: (B, T) or None. seeds: (3, 2), of :func:`dropout`, or None.
    Returns:
        h'' (B, T, H), and the weights that :func:`multi_head_attention` returns.
    Source: Vaswani et al. 2017, §3.1 (post-layer-norm).
    """
    seed_weights, seed_attention, seed_feed_forward = (None,) * 3 if seeds is None else seeds
    attended, A = multi_head_attention(
        p.attention, h, mask, config.heads, config.attention_dropout, seed_weights, fused
    )
    attended = dropout(attended, config.dropout, seed_attention)
    h = layer_norm(p.attention_norm, h + attended, config.norm_eps)
    forwarded = feed_forward(p.feed_forward, h, config.activation)
    forwarded = dropout(forwarded, config.dropout, seed_feed_forward)
    return layer_norm(p.norm, h + forwarded, config.norm_eps), A


def pool(p: Dense, h: Array) -> Array:
    """Return tanh(W_p h_1 + b_p) of the first token, [CLS]: (B, T, H) -> (B, H).

    Source: Devlin et al. 2019, the published code's pooler.
    """
    return jnp.tanh(dense(p, h[:, 0]))


# ---- config and initialization -----------------------------------------------------------------


@dataclass(frozen=True)
class Config:
    """The sizes of an encoder and how it is computed; hashable, a static argument.

    Args:
        vocab_size: V. hidden_size: H. layers: their number. heads: A, a divisor of H.
        feed_forward_size: F. max_length: number of positions. segments: number of segment ids.
        activation: g, the function inside the feed-forward layers: "gelu", "gelu_tanh" or "relu".
        dropout: rate on h⁰ and on MHA and FFN. attention_dropout: rate on attention weights.
        norm_eps: ε of layer norm.
        dtype: the type of activations: "float32", "bfloat16" (parameters, softmax and layer norm
            stay float32) or "float64".
        remat: recompute each layer in the backward pass instead of storing its activations.
    Raises:
        ValueError: a size, rate or name out of its range.

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
        checked: dict[str, Value] = {
            f.name: validate.whole(f.name, getattr(self, f.name))
            for f in fields(self)
            if f.type is int
        }
        if self.hidden_size % self.heads:
            raise ValueError(
                f"hidden_size must be a multiple of heads={self.heads}, got {self.hidden_size}"
            )
        for name in ("dropout", "attention_dropout"):
            checked[name] = validate.rate(name, getattr(self, name))
        checked["norm_eps"] = validate.number("norm_eps", self.norm_eps, above=0)
        validate.choice("activation", self.activation, ACTIVATIONS)
        validate.choice("dtype", self.dtype, DTYPES)
        checked["remat"] = validate.flag("remat", self.remat)
        for name, value in checked.items():  # NumPy's numbers as Python's
            object.__setattr__(self, name, value)

    @classmethod
    def named(cls, name: str, **changes: Value) -> "Config":
        """Return a published size: tiny, mini, small, medium or base.

        Raises:
            ValueError: an unknown name.
        Source: Turc et al. 2019 (arXiv 1908.08962).
        """
        layers, H = SIZES[validate.choice("size", name, SIZES)]
        sizes = cls(hidden_size=H, layers=layers, heads=H // 64, feed_forward_size=4 * H)
        return replace(sizes, **changes)


@dataclass(frozen=True)
class Init:
    """The scheme of :mod:`rnnlab.nn.initializers` of each block. Layer norms start at (1, 0).

    Args:
        embedding: word, position and segment embeddings.
        attention: W_q, W_k, W_v and W_o of every layer.
        feed_forward: W_1 and W_2 of every layer.
        head: kernels of pooler, masked-word transform, next-sentence and other read-outs.
        b: every bias.
    Raises:
        ValueError: an unknown scheme.
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
    def config(**changes: str) -> dict[str, Value]:
        """Return the ``init`` group of a config, every key present; see :class:`Init`."""
        return {f.name: f.default for f in fields(Init)} | changes

    @classmethod
    def from_config(cls, group: ConfigGroup) -> "Init":
        """Read a config's ``init`` group.

        Raises:
            ValueError: an unknown key or scheme.
        """
        return cls(**_checked_keys(group, "init key", {f.name for f in fields(cls)}))

    def dense(self, key: Array, block: str, inputs: int, outputs: int) -> Dense:
        """Draw W (inputs, outputs) by the scheme of ``block``, and b."""
        key_W, key_b = jax.random.split(key)
        W = make(getattr(self, block), inputs)(key_W, (inputs, outputs))
        return Dense(W, make(self.b, inputs)(key_b, (outputs,)))


def config(**changes: Value) -> dict[str, Value]:
    """Return the ``encoder`` group of a config, every key present; see :class:`Config`.

    Args:
        size: the published size, which fixes layers, heads and units.

    >>> config(size="mini")["size"], config()["dropout"]
    ('mini', 0.1)
    """
    defaults = {f.name: f.default for f in fields(Config) if f.name not in _DERIVED}
    return {"size": "tiny"} | defaults | changes


def from_config(group: ConfigGroup, vocab_size: int, max_length: int) -> Config:
    """Make the :class:`Config` of a config's ``encoder`` group and a task's sizes.

    Args:
        group: as :func:`config` returns it.
        vocab_size, max_length: the task's V and T.
    Raises:
        ValueError: an unknown size, key or name.
    """
    values = _checked_keys(group, "encoder key", config())
    size = values.pop("size")
    return Config.named(size, vocab_size=vocab_size, max_length=max_length, **values)


def _checked_keys(group: ConfigGroup, what: str, allowed: Collection[str]) -> dict[str, Value]:
    for key in group:
        if key not in allowed:
            raise ValueError(unknown(what, key, sorted(allowed), listing=CONFIG_HELP))
    return {key: group[key] for key in group}


def init_norm(size: int) -> Norm:
    """Return γ = 1, β = 0."""
    return Norm(jnp.ones(size, float_dtype()), jnp.zeros(size, float_dtype()))


def init_params(key: Array, config: Config, init: Init | None = None) -> EncoderParams:
    """Draw an encoder's parameters, each block from a key of its own."""
    init = init or Init()
    H, F = config.hidden_size, config.feed_forward_size
    key_embeddings, *keys = jax.random.split(key, 1 + config.layers)
    sizes = (config.vocab_size, config.max_length, config.segments)
    word, position, segment = (
        make(init.embedding, H)(k, (size, H))
        for k, size in zip(jax.random.split(key_embeddings, 3), sizes, strict=True)
    )

    def layer(key: Array) -> Layer:
        keys = jax.random.split(key, 6)
        attention = Attention(*(init.dense(k, "attention", H, H) for k in keys[:4]))
        inner, outer = (
            init.dense(k, "feed_forward", *size)
            for k, size in zip(keys[4:], ((H, F), (F, H)), strict=True)
        )
        return Layer(attention, init_norm(H), FeedForward(inner, outer), init_norm(H))

    return EncoderParams(
        Embeddings(word, position, segment, init_norm(H)), tuple(layer(k) for k in keys)
    )


# ---- the whole encoder -------------------------------------------------------------------------


class Tokens(NamedTuple):
    """The input of a BERT. ``Tokens(ids)`` is one sentence per row, without padding."""

    ids: HostOrDevice  # (B, T) int32
    segments: HostOrDevice | None = None  # (B, T) int32; None: all 0
    mask: HostOrDevice | None = None  # (B, T) bool, false for padding; None: no padding
    positions: HostOrDevice | None = None  # (B, P) int32, the tokens to predict; None: all


class Encoded(NamedTuple):
    """The output of :func:`encode`."""

    last: Array  # (B, T, H)
    hidden: tuple[Array, ...]  # h⁰ … h^L, each (B, T, H); () unless requested
    attention: tuple[Array, ...]  # A of each layer, (B, A, T, T); () unless requested


def encode(
    config: Config,
    params: EncoderParams,
    tokens: Tokens,
    *,
    key: Array | None = None,
    hidden: bool = False,
    attention: bool = False,
) -> Encoded:
    """Compute contextual vectors: :func:`embed`, then :func:`encoder_layer` for each layer.

    Args:
        params: from :func:`init_params` or a checkpoint.
        tokens: see :class:`Tokens`. The ids of padding do not affect other tokens.
        key: for dropout; None: no dropout.
        hidden, attention: whether to return every layer's states and attention weights.
    Raises:
        ValueError: shapes that do not fit, more tokens than positions, or a concrete id outside
            the vocabulary. TypeError: ids that are not whole numbers.

    >>> config = Config.named("tiny", vocab_size=50)
    >>> params = init_params(jax.random.key(0), config)
    >>> encoded = encode(config, params, Tokens(jnp.zeros((2, 7), int)), attention=True)
    >>> encoded.last.shape, encoded.attention[0].shape
    ((2, 7, 128), (2, 2, 7, 7))
    """
    check_tokens(config, tokens)
    seeds = None
    if key is not None and (config.dropout or config.attention_dropout):
        seeds = jax.random.bits(key, (1 + 3 * config.layers, 2), jnp.uint32)
    h = embed(params.embeddings, tokens.ids, tokens.segments, config.norm_eps)
    h = dropout(h, config.dropout, None if seeds is None else seeds[0])
    h = h.astype(config.dtype)
    # on a CPU XLA's fused attention is slower
    fused = not attention and jax.default_backend() != "cpu"

    def layer(p: Layer, h: Array, seeds: Array | None) -> tuple[Array, Array | None]:
        h, A = encoder_layer(p, h, tokens.mask, seeds, config, fused)
        return h, A if attention else None

    if config.remat:
        layer = jax.checkpoint(layer)
    states, weights = [h], []
    for k, p in enumerate(params.layers):
        h, A = layer(p, h, None if seeds is None else seeds[1 + 3 * k : 4 + 3 * k])
        states.append(h)
        weights.append(A)
    return Encoded(h, tuple(states) if hidden else (), tuple(weights) if attention else ())


def check_tokens(config: Config, tokens: Tokens) -> None:
    """Refuse tokens that an encoder of this config cannot read; traced ids are checked by shape.

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
            raise ValueError(f"{name} must be {shape}, like ids, got {jnp.shape(part)}")
    if tokens.mask is not None and jnp.asarray(tokens.mask).dtype != bool:
        raise TypeError(
            f"mask must be bool, false for padding, got {jnp.asarray(tokens.mask).dtype}"
        )
    if tokens.positions is not None and jnp.shape(tokens.positions)[:1] != shape[:1]:
        raise ValueError(f"positions must be ({shape[0]}, P), got {jnp.shape(tokens.positions)}")
