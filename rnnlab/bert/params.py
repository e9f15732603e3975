"""Parameters of BERT's encoder, block by block.

Shapes: V vocabulary, H hidden, F feed-forward; kernels are (in, out).
"""

from typing import NamedTuple

import jax

Array = jax.Array


class Dense(NamedTuple):
    """x ↦ W x + b."""

    W: Array  # (in, out)
    b: Array  # (out,)


class Norm(NamedTuple):
    """Parameters of :func:`layer_norm`."""

    gamma: Array  # (H,)
    beta: Array  # (H,)


class Embeddings(NamedTuple):
    """Parameters of :func:`embed`."""

    word: Array  # (V, H)
    position: Array  # (max_length, H)
    segment: Array  # (segments, H)
    norm: Norm


class Attention(NamedTuple):
    """Parameters of :func:`multi_head_attention`; each (H, H), the heads side by side."""

    query: Dense
    key: Dense
    value: Dense
    output: Dense


class FeedForward(NamedTuple):
    """Parameters of :func:`feed_forward`."""

    inner: Dense  # (H, F)
    outer: Dense  # (F, H)


class Layer(NamedTuple):
    """Parameters of :func:`encoder_layer`."""

    attention: Attention
    attention_norm: Norm
    feed_forward: FeedForward
    norm: Norm


class EncoderParams(NamedTuple):
    """Parameters of the encoder, without a pooler or any other head."""

    embeddings: Embeddings
    layers: tuple[Layer, ...]


# ---- the equations -----------------------------------------------------------------------------
