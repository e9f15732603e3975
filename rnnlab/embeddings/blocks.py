"""The updates of :mod:`rnnlab.embeddings.losses`, block by block, compiled by XLA for any device.

A block has several groups of centers, each with its own noise samples. All groups of a block are
updated from the same parameters: each row is gathered once per group, products are matrix
products, and updates are scattered back. The loop over blocks is inside the program and the tables
are donated, so that nothing of their size is copied.

A word that occurs often in a block would take many steps from the same parameters and diverge at
the full rate. A row's step is therefore scaled by min(1, bound/m), where m is the number of its
pairs (samples by their weight); rare rows are not affected.

Shapes: R input rows, V output rows, D dimension, N groups per block, B centers per group,
T = B + 2·window tokens in sight, S samples per group, P longest path, G rows of a bag.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.embeddings import losses
from rnnlab.embeddings.plans import Plan

Array = jax.Array


class Tables(NamedTuple):
    """Parameters, and the pairs of each row in the current block, zero between blocks."""

    W_in: Array  # (R, D)
    W_out: Array  # (V, D)
    pairs_in: Array  # (R,)
    pairs_out: Array  # (V,)


class Rules(NamedTuple):
    """How a block is trained; static."""

    method: str  # skipgram, cbow, fasttext
    tree: bool  # hierarchical softmax
    window: int
    negatives: int  # K
    whole: bool  # every row of a mean takes the whole gradient, see `whole_mean`
    groups: int  # N, per block
    group: int  # B, centers per group
    bound: float  # pairs of a row up to which it takes the full rate


class Lookup(NamedTuple):
    """The path of each word in the Huffman tree, and its bag of rows."""

    nodes: Array  # (V, P) int32
    signs: Array  # (V, P) int8
    bags: Array  # (V, G) int32
    bag_sizes: Array  # (V,) int32


def tables(W_in: np.ndarray, W_out: np.ndarray) -> Tables:
    """Copy the parameters to the device."""
    return Tables(jnp.array(W_in), jnp.array(W_out), jnp.zeros(len(W_in)), jnp.zeros(len(W_out)))


def whole_mean(rows: Array, weights: Array) -> Array:
    """Return :func:`losses.masked_mean`, with the gradient of the sum.

    Every row takes the whole cotangent instead of its share, as in word2vec.c and fastText.
    """
    total = jnp.einsum("...gd,...g->...d", rows, weights)
    return total + jax.lax.stop_gradient(losses.masked_mean(rows, weights) - total)


def in_sight(left: Array, right: Array, window: int) -> Array:
    """Return (B, T), 1 where token j is context of center t, which is token window + t.

    Args:
        left, right: (B,) tokens of context on each side.
    """
    B = len(left)
    offset = jnp.arange(B + 2 * window)[None] - window - jnp.arange(B)[:, None]
    inside = (offset >= -left[:, None]) & (offset <= right[:, None]) & (offset != 0)
    return inside.astype(jnp.float32)


def fill(plan: Plan, rules: Rules, capacity: int) -> tuple[Plan, int]:
    """Pad a plan to ``capacity`` centers by centers without context, and count its blocks.

    Token window + t of ``ids`` is center t, so that a group has its contexts on both sides.

    Returns:
        the padded plan, and the number of blocks of the original one.
    """
    block, n = rules.groups * rules.group, len(plan.ids)
    centers = -(-capacity // block) * block
    ids = np.zeros(centers + 2 * rules.window, np.int32)
    ids[rules.window : rules.window + n] = plan.ids
    left, right = np.zeros((2, centers), np.int32)
    left[:n], right[:n] = plan.left, plan.right
    negatives = np.zeros((centers // rules.group, plan.negatives.shape[1]), np.int32)
    negatives[: len(plan.negatives)] = plan.negatives
    return Plan(ids, left, right, negatives), -(-n // block)


@partial(jax.jit, static_argnames="rules", donate_argnames="state")
def advance(
    state: Tables, plan: Plan, blocks: Array, rates: Array, lookup: Lookup, rules: Rules
) -> Tables:
    """Train on the first ``blocks`` blocks of a padded plan, at rates from rates[0] to rates[1]."""
    N, B, w = rules.groups, rules.group, rules.window
    step = STEPS[rules.method]

    def body(i: Array, state: Tables) -> Tables:
        at = i * (N * B)
        tokens = jax.lax.dynamic_slice_in_dim(plan.ids, at, N * B + 2 * w)
        tokens_NT = tokens[np.arange(N)[:, None] * B + np.arange(B + 2 * w)]
        left = jax.lax.dynamic_slice_in_dim(plan.left, at, N * B).reshape(N, B)
        right = jax.lax.dynamic_slice_in_dim(plan.right, at, N * B).reshape(N, B)
        drawn_NS = jax.lax.dynamic_slice_in_dim(plan.negatives, i * N, N)
        mask_NBT = jax.vmap(partial(in_sight, window=w))(left, right)
        progress = i.astype(rates.dtype) / blocks.astype(rates.dtype)
        rate = rates[0] + (rates[1] - rates[0]) * progress
        return step(state, rate, tokens_NT, drawn_NS, mask_NBT, lookup, rules)

    return jax.lax.fori_loop(0, blocks, body, state)


# ---- a block of each method --------------------------------------------------------------------


def _differs(words: Array, drawn_NS: Array) -> Array:
    return (words[:, :, None] != drawn_NS[:, None, :]).astype(jnp.float32)


def _add(
    table: Array,
    pairs: Array,
    parts: list[tuple[Array, Array, Array]],
    rate: Array,
    bound: float,
) -> tuple[Array, Array]:
    """Update W_r −= α·min(1, bound/m_r)·∂L/∂W_r. parts: (rows (…), gradients (…, D), pairs (…))."""
    rows = jnp.concatenate([r.reshape(-1) for r, _, _ in parts])
    gradients = jnp.concatenate([g.reshape(-1, g.shape[-1]) for _, g, _ in parts])
    weights = jnp.concatenate([w.reshape(-1) for _, _, w in parts])
    pairs = pairs.at[rows].add(weights)
    scale = rate * jnp.minimum(1, bound / jnp.maximum(pairs[rows], 1e-9))
    return table.at[rows].add(-scale[:, None] * gradients), pairs.at[rows].set(0)


def _skipgram(
    state: Tables,
    rate: Array,
    tokens: Array,
    drawn: Array,
    mask: Array,
    lookup: Lookup,
    rules: Rules,
) -> Tables:
    W_in, W_out, pairs_in, pairs_out = state
    centers = tokens[:, rules.window : rules.window + rules.group]
    v, seen = W_in[tokens], mask.sum(1)
    if rules.tree:
        nodes, signs = lookup.nodes[centers], lookup.signs[centers]
        g_v, g_u = _gradients(losses.skipgram_hs, (0, 1))(v, W_out[nodes], signs, mask)
        out = [(nodes, g_u, jnp.where(signs != 0, mask.sum(2)[..., None], 0))]
    else:
        differs = _differs(centers, drawn)
        loss = partial(losses.skipgram, negatives=rules.negatives)
        g_v, g_u, g_s = _gradients(loss, (0, 1, 2))(v, W_out[centers], W_out[drawn], mask, differs)
        weights = jax.vmap(partial(losses.sample_weights, negatives=rules.negatives))
        out = [(centers, g_u, mask.sum(2)), (drawn, g_s, weights(mask, differs).sum(1))]
    W_in, pairs_in = _add(W_in, pairs_in, [(tokens, g_v, seen)], rate, rules.bound)
    W_out, pairs_out = _add(W_out, pairs_out, out, rate, rules.bound)
    return Tables(W_in, W_out, pairs_in, pairs_out)


def _cbow(
    state: Tables,
    rate: Array,
    tokens: Array,
    drawn: Array,
    mask: Array,
    lookup: Lookup,
    rules: Rules,
) -> Tables:
    W_in, W_out, pairs_in, pairs_out = state
    mean = whole_mean if rules.whole else losses.masked_mean
    centers = tokens[:, rules.window : rules.window + rules.group]
    v, seen = W_in[tokens], (mask.sum(2) > 0).astype(W_in.dtype)
    if rules.tree:
        nodes, signs = lookup.nodes[centers], lookup.signs[centers]
        loss = partial(losses.cbow_hs, mean=mean)
        g_v, g_u = _gradients(loss, (0, 1))(v, W_out[nodes], signs, mask)
        out = [(nodes, g_u, jnp.where(signs != 0, seen[..., None], 0))]
    else:
        differs = _differs(centers, drawn)
        loss = partial(losses.cbow, negatives=rules.negatives, mean=mean)
        g_v, g_u, g_s = _gradients(loss, (0, 1, 2))(v, W_out[centers], W_out[drawn], mask, differs)
        weight = rules.negatives / drawn.shape[1]
        out = [(centers, g_u, seen), (drawn, g_s, weight * (differs * seen[..., None]).sum(1))]
    W_in, pairs_in = _add(W_in, pairs_in, [(tokens, g_v, mask.sum(1))], rate, rules.bound)
    W_out, pairs_out = _add(W_out, pairs_out, out, rate, rules.bound)
    return Tables(W_in, W_out, pairs_in, pairs_out)


def _fasttext(
    state: Tables,
    rate: Array,
    tokens: Array,
    drawn: Array,
    mask: Array,
    lookup: Lookup,
    rules: Rules,
) -> Tables:
    W_in, W_out, pairs_in, pairs_out = state
    centers = tokens[:, rules.window : rules.window + rules.group]
    bags = lookup.bags[centers]
    sizes = lookup.bag_sizes[centers]
    inside = (jnp.arange(bags.shape[-1]) < sizes[..., None]).astype(W_in.dtype)
    differs = _differs(tokens, drawn)
    loss = partial(
        losses.fasttext,
        negatives=rules.negatives,
        mean=whole_mean if rules.whole else losses.masked_mean,
    )
    z, u, n = W_in[bags], W_out[tokens], W_out[drawn]
    g_z, g_u, g_s = _gradients(loss, (0, 2, 3))(z, inside, u, n, mask, differs)
    weights = (rules.negatives / drawn.shape[1]) * jnp.einsum("nt,nts->ns", mask.sum(1), differs)
    used = inside * mask.sum(2)[..., None]
    W_in, pairs_in = _add(W_in, pairs_in, [(bags, g_z, used)], rate, rules.bound)
    out = [(tokens, g_u, mask.sum(1)), (drawn, g_s, weights)]
    W_out, pairs_out = _add(W_out, pairs_out, out, rate, rules.bound)
    return Tables(W_in, W_out, pairs_in, pairs_out)


def _gradients(
    loss: Callable[..., Array], wrt: tuple[int, ...]
) -> Callable[..., tuple[Array, ...]]:
    """Return a function of ∂L/∂rows for every group."""
    return jax.vmap(jax.grad(loss, argnums=wrt))


STEPS = {"skipgram": _skipgram, "cbow": _cbow, "fasttext": _fasttext}
