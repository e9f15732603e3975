"""The vector of a word in its sentence: what word vectors have one of, a BERT has one of a place.

Shapes: N sentences, T tokens, H hidden.
"""

import re
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.bert import wordpiece
from rnnlab.bert.encoder import Config, EncoderParams, Tokens, encode

_AT_ONCE = 64  # sentences


class Place(NamedTuple):
    """Where a word is in a text, in characters."""

    start: int
    end: int


def find(text: str, word: str, occurrence: int = 0) -> Place:
    """The place of a whole word, in whatever case.

    Args:
        occurrence: which of them, from 0 on.
    Raises:
        ValueError: the word is not there, or not as often.

    >>> find("Banks lend; a bank lends.", "bank")
    Place(start=14, end=18)
    """
    found = list(re.finditer(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE))
    if not 0 <= occurrence < len(found):
        raise ValueError(
            f"occurrence {occurrence} of {word!r} wanted, there are {len(found)} in {text!r}"
        )
    return Place(*found[occurrence].span())


def pieces(
    tokenizer: wordpiece.Tokenizer, text: str, word: str, occurrence: int = 0
) -> tuple[int, ...]:
    """Which tokens of [CLS] text [SEP] the word is made of: their places 1 … T − 2.

    Raises:
        ValueError: as :func:`find`.

    >>> pieces(wordpiece.train(["low lower lowest"] * 9, 30), "low, the lowest", "lowest")[-1] > 2
    True
    """
    start, end = find(text, word, occurrence)
    read = tokenizer.encode(text)
    special = read.special_tokens_mask
    return tuple(
        k for k, (a, b) in enumerate(read.offsets) if not special[k] and a < end and b > start
    )


def word_vectors(
    config: Config,
    params: EncoderParams,
    tokenizer: wordpiece.Tokenizer,
    texts: Sequence[str],
    word: str | Sequence[str],
    layer: int = -1,
    others: int | None = None,
) -> np.ndarray:
    """h^l of a word in each of the texts, the mean over the word's pieces: (N, H) float32.

    Args:
        config, params, tokenizer: of an encoder: ``params["params"]["encoder"]`` of a model in
            :mod:`rnnlab.bert.heads`.
        word: one for all texts, or one a text; its first occurrence counts.
        layer: l, 0 (embeddings) … L; −1 is the last.
        others: a token that takes the place of all others but [CLS] and [SEP]: [MASK] leaves of
            the sentence its length and the word's place. None: they stay.
    Raises:
        ValueError: a text without its word, or longer than the encoder reads; no such layer; as
            many words as texts are needed.
    Source: Devlin et al. 2019, §5.3 (features of a layer); Ethayarajh 2019 (arXiv 1909.00512).
    """
    words = [word] * len(texts) if isinstance(word, str) else list(word)
    if len(words) != len(texts):
        raise ValueError(f"{len(texts)} texts need as many words, got {len(words)}")
    if not -config.layers - 1 <= layer <= config.layers:
        raise ValueError(
            f"layer must be 0 to {config.layers}, or counted from the end, got {layer}"
        )
    where = [pieces(tokenizer, *one) for one in zip(texts, words, strict=True)]
    tokens: Any = wordpiece.tokens(tokenizer, texts)
    N, T = tokens.ids.shape
    if config.max_length < T:
        raise ValueError(f"a text of {T} tokens, but max_length={config.max_length}")
    weights = np.zeros((N, T), np.float32)
    for row, own in enumerate(where):
        weights[row, list(own)] = 1 / len(own)
    if others is not None:
        special: Any = [tokenizer.token_to_id(t) for t in (wordpiece.CLS, wordpiece.SEP)]
        hidden = tokens.mask & (weights == 0) & ~np.isin(tokens.ids, special)
        tokens = tokens._replace(ids=np.where(hidden, others, tokens.ids))
    read: Any = (*tokens[:3], weights)
    out = [
        _mean(config, layer, params, *(jnp.asarray(part[k : k + _AT_ONCE]) for part in read))
        for k in range(0, N, _AT_ONCE)
    ]
    return np.concatenate([np.asarray(rows) for rows in out])


@partial(jax.jit, static_argnums=(0, 1))
def _mean(
    config: Config,
    layer: int,
    params: EncoderParams,
    ids: jax.Array,
    segments: jax.Array,
    mask: jax.Array,
    weights: jax.Array,
) -> jax.Array:
    states = encode(config, params, Tokens(ids, segments, mask), hidden=True).hidden
    return jnp.einsum("nt,nth->nh", weights, states[layer].astype(jnp.float32))
