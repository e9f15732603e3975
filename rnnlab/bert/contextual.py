"""The vector of a word in its sentence, which depends on the words around it.

Shapes: N sentences, T tokens, H hidden.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.bert import wordpiece
from rnnlab.bert.encoder import Config, EncoderParams, Tokens, encode
from rnnlab.core.validate import whole

_AT_ONCE = 64  # sentences


class Place(NamedTuple):
    """The characters of a word in a text, start … end−1."""

    start: int
    end: int


def find(text: str, word: str, occurrence: int = 0) -> Place:
    """Find a whole word, ignoring case.

    A word ends where no letter, digit or underscore follows, or where either neighbor is of a
    script without spaces between words: Chinese, Japanese, Thai, Lao, Khmer, Burmese, Tibetan and
    others. No character is separated from its combining marks.

    Args:
        occurrence: 0 for the first.
    Raises:
        ValueError: an empty word, or too few occurrences.

    >>> find("Banks lend; a bank lends.", "bank")
    Place(start=14, end=18)
    >>> find("我在银行工作", "银行")
    Place(start=2, end=4)
    """
    if not word:
        raise ValueError("the word to find is empty")
    pattern = re.compile(re.escape(word), re.IGNORECASE)
    matches: list[Place] = []
    place = 0
    while match := pattern.search(text, place):
        whole = _ends(text, match.start()) and _ends(text, match.end())
        place = match.end() if whole else match.start() + 1
        matches += [Place(*match.span())] * whole
    if not 0 <= occurrence < len(matches):
        raise ValueError(
            f"occurrence {occurrence} of {word!r} expected, there are {len(matches)} in {text!r}"
        )
    return matches[occurrence]


# how the names of characters of scripts without spaces begin
_UNSPACED = (
    "CJK",
    "IDEOGRAPHIC",
    "HIRAGANA",
    "KATAKANA",
    "HALFWIDTH KATAKANA",
    "BOPOMOFO",
    "YI ",
    "THAI",
    "LAO",
    "KHMER",
    "MYANMAR",
    "TIBETAN",
    "TAI ",
    "NEW TAI",
    "JAVANESE",
    "BALINESE",
)


def _ends(text: str, place: int) -> bool:
    """Whether a word may begin or end before the character at ``place``."""
    after = text[place : place + 1]
    if after and unicodedata.category(after).startswith("M"):  # a mark of the character before
        return False
    base = place - 1
    while base > 0 and unicodedata.category(text[base]).startswith("M"):
        base -= 1
    before = text[base] if place else ""
    sides = [side for side in (before, after) if side and (side.isalnum() or side == "_")]
    return len(sides) < 2 or any(_unspaced(side) for side in sides)


def _unspaced(character: str) -> bool:
    return unicodedata.name(character, "").startswith(_UNSPACED)


def pieces(
    tokenizer: wordpiece.Tokenizer, text: str, word: str, occurrence: int = 0
) -> tuple[int, ...]:
    """Return the positions, 1 … T − 2, of a word's tokens in [CLS] text [SEP].

    Raises:
        ValueError: as :func:`find`; or a word without a token.

    >>> pieces(wordpiece.train(["low lower lowest"] * 9, 30), "low, the lowest", "lowest")[-1] > 2
    True
    """
    start, end = find(text, word, occurrence)
    encoding = tokenizer.encode(text)
    special = encoding.special_tokens_mask
    own = tuple(
        k for k, (a, b) in enumerate(encoding.offsets) if not special[k] and a < end and b > start
    )
    if not own:
        raise ValueError(f"{word!r} has no token in {text!r}: the tokenizer leaves it out")
    return own


def word_vectors(
    config: Config,
    params: EncoderParams,
    tokenizer: wordpiece.Tokenizer,
    texts: Sequence[str],
    word: str | Sequence[str],
    layer: int = -1,
    others: int | None = None,
) -> np.ndarray:
    """Return h^l of a word in each text, the mean over the word's pieces: (N, H) float32.

    Args:
        config, params, tokenizer: of an encoder; ``params["params"]["encoder"]`` of a model in
            :mod:`rnnlab.bert.heads`.
        word: one for all texts, or one per text; its first occurrence is taken.
        layer: l, 0 (embeddings) … L; −1 is the last.
        others: a token id that replaces all tokens except the word's, [CLS] and [SEP]: with [MASK]
            only the sentence's length and the word's position remain. None: no replacement.
    Raises:
        ValueError: a text without its word, or longer than the encoder reads; a token that the
            encoder does not have, whose vector would be NaN (the tokenizer of another model); an
            unknown layer; not one word per text.
    Source: Devlin et al. 2019, §5.3 (features of a layer); Ethayarajh 2019 (arXiv 1909.00512).
    """
    words = [word] * len(texts) if isinstance(word, str) else list(word)
    if len(words) != len(texts):
        raise ValueError(f"{len(texts)} texts need as many words, got {len(words)}")
    if not -config.layers - 1 <= whole("layer", layer, None) <= config.layers:
        raise ValueError(
            f"layer must be 0 to {config.layers}, or counted from the end, got {layer}"
        )
    positions = [pieces(tokenizer, *pair) for pair in zip(texts, words, strict=True)]
    ids, segments, mask = map(np.asarray, wordpiece.tokens(tokenizer, texts)[:3])
    N, T = ids.shape
    if config.max_length < T:
        raise ValueError(f"a text of {T} tokens, but max_length={config.max_length}")
    if others is not None:
        others = whole("others", others, 0, config.vocab_size - 1)
    if ids.max(initial=0) >= config.vocab_size:
        raise ValueError(
            f"the tokenizer gives token {ids.max()}, the encoder has {config.vocab_size}: they "
            "belong to different models"
        )
    weights = np.zeros((N, T), np.float32)
    for row, columns in enumerate(positions):
        weights[row, list(columns)] = 1 / len(columns)
    if others is not None:
        special = wordpiece.special_ids(tokenizer, wordpiece.CLS, wordpiece.SEP)
        ids = np.where(mask & (weights == 0) & ~np.isin(ids, special), others, ids)
    rows = [
        _mean(
            config,
            layer,
            params,
            *(jnp.asarray(a[k : k + _AT_ONCE]) for a in (ids, segments, mask, weights)),
        )
        for k in range(0, N, _AT_ONCE)
    ]
    return np.concatenate([np.asarray(part) for part in rows])


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
