"""Masking: which words of a sentence are hidden and by what, drawn from a key inside the program.

Shapes: B batch, T tokens, P places to predict.
Source: Devlin et al. 2019, §3.1 and appendix A.1.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnlab.bert.encoder import mixed

Array = jax.Array

SHARE = 0.15  # of the tokens, to be chosen
MASKED, RANDOM = 0.8, 0.1  # of the chosen tokens; the rest is unchanged
_LONGEST = 8  # room for the pieces of one more word, where whole words are chosen


def shuffled(key: Array, n: int, position: Array, rounds: int = 48) -> Array:
    """Map ``position`` by a random permutation of 0 … n − 1, which is never stored.

    Swap or not: round r pairs x with k_r − x mod n, and a coin common to both decides whether they
    swap. The cost of a training step then does not depend on n; sorting n numbers would take as
    long as the update itself.

    Args:
        position: whole numbers 0 … n − 1, any shape, may be traced.
    Source: Hoang, Morris & Rogaway 2012 (CRYPTO, "An Enciphering Scheme Based on a Card Shuffle").
    """
    partners = jax.random.randint(key, (rounds,), 0, n)
    salts = jax.random.bits(jax.random.fold_in(key, 1), (rounds,), jnp.uint32)

    def swap(x: Array, drawn: tuple[Array, Array]) -> tuple[Array, None]:
        k, salt = drawn
        partner = k - x + jnp.where(x > k, n, 0)
        coin = mixed(mixed(jnp.maximum(x, partner).astype(jnp.uint32) ^ salt) + salt)
        return jnp.where(coin >> 31 == 1, partner, x), None

    return jax.lax.scan(swap, jnp.asarray(position, jnp.int32), (partners, salts))[0]


class Masked(NamedTuple):
    """A batch with some of its tokens hidden."""

    ids: Array  # (B, T) int32, the model's input
    positions: Array  # (B, P) int32, the chosen places
    targets: Array  # (B, P) int32, the original tokens there
    counts: Array  # (B, P) bool, false for unused places


def places(length: int, share: float = SHARE, whole_words: bool = False) -> int:
    """Return P, the largest number of tokens chosen among ``length``.

    >>> places(125), places(125, whole_words=True)
    (19, 26)
    """
    return min(length, math.floor(share * length) + (_LONGEST if whole_words else 1))


def choose(
    key: Array, eligible: Array, starts: Array, P: int, share: float = SHARE
) -> tuple[Array, Array]:
    """Choose random words that hold ``share`` of a sequence's eligible tokens, in expectation.

    Words are taken in random order while they fit into t = share · n tokens. The word that would
    cross t is taken with the probability that makes the expected number of tokens exactly t.

    Args:
        eligible: (B, T) bool, the tokens that may be chosen.
        starts: (B, T) bool, whether a token begins a word; true everywhere: every token is a word.
        P: from :func:`places`; a word that does not fit is left out.
    Returns:
        positions (B, P), those of a word side by side, and whether they count (B, P).
    """
    B, T = eligible.shape
    key_order, key_crossing = jax.random.split(key)
    # a token that is not eligible is a word of length 0, at the end of the order
    word = jnp.cumsum((starts | ~eligible).astype(jnp.int32), axis=1) - 1
    draws = jax.random.uniform(key_order, (B, T))
    ranking = jnp.where(eligible, jnp.take_along_axis(draws, word, axis=1), 2)
    order = jnp.argsort(ranking, axis=1, stable=True)
    word, counted = (jnp.take_along_axis(a, order, axis=1) for a in (word, eligible))
    rank = jnp.broadcast_to(jnp.arange(T), (B, T))
    new = jnp.concatenate([jnp.ones((B, 1), bool), word[:, 1:] != word[:, :-1]], axis=1)
    before = jax.lax.cummax(jnp.where(new, rank, 0), axis=1)  # tokens taken before this word
    following = jnp.where(jnp.roll(new, -1, axis=1).at[:, -1].set(True), rank + 1, T)
    after = jax.lax.cummin(following, axis=1, reverse=True)
    t = share * eligible.sum(axis=1, keepdims=True).astype(jnp.float32)
    crossing = jax.random.uniform(key_crossing, (B, T))  # one per word is used
    crossing = jnp.take_along_axis(crossing, word, axis=1) * (after - before).astype(jnp.float32)
    left = t - before.astype(jnp.float32)
    # a last word that reaches t up to rounding is taken by either test
    taken = (after.astype(jnp.float32) <= t) | (crossing < left)
    taken &= counted & (after <= P)
    return order[:, :P].astype(jnp.int32), taken[:, :P]


def hide(
    key: Array,
    ids: Array,
    eligible: Array,
    mask_id: int,
    vocab: tuple[int, int],
    starts: Array | None = None,
    share: float = SHARE,
) -> Masked:
    """Hide tokens: of those chosen, 80% become [MASK], 10% a random word, 10% are unchanged.

    Args:
        ids: (B, T). eligible: (B, T), neither special nor padding.
        mask_id: of [MASK]. vocab: (first, end) of the ids that random words are drawn from.
        starts: (B, T), whether a token begins a word, to hide whole words; None: single tokens.
        share: of the eligible tokens.
    """
    P = places(ids.shape[1], share, starts is not None)
    starts = jnp.ones_like(eligible) if starts is None else starts
    key_choice, key_fate, key_word = jax.random.split(key, 3)
    positions, counts = choose(key_choice, eligible, starts, P, share)
    targets = jnp.take_along_axis(ids, positions, axis=1)
    fate = jax.random.uniform(key_fate, positions.shape)
    random = jax.random.randint(key_word, positions.shape, *vocab, dtype=ids.dtype)
    seen = jnp.where(fate < MASKED, mask_id, jnp.where(fate < MASKED + RANDOM, random, targets))
    seen = jnp.where(counts, seen, targets).astype(ids.dtype)
    rows = jnp.arange(ids.shape[0])[:, None]
    # a row's positions are distinct
    hidden = ids.at[rows, positions].set(seen, unique_indices=True)
    return Masked(hidden, positions, targets, counts)
