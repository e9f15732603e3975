"""The updates of :mod:`rnnlab.embeddings.losses`, block by block, compiled by XLA: any device.

A block is a number of groups of centers, each group with noise samples of its own. All groups of a
block step at once from the same parameters: each row is gathered once a group, the products are
matrix products, and the steps are added where they came from. The loop over blocks is inside the
program and the tables are donated, so that nothing of their size is copied.

A word that is often in a block would take all its steps from one place, and diverge at the full
rate; so a row's step is scaled by min(1, bound/m), m the pairs it takes part in (samples by their
weight), which leaves rare rows as they are.

Shapes: R input rows, V output rows, D dimension, N groups a block, B centers a group,
T = B + 2·window tokens in sight, S samples a group, P longest path, G rows of a bag.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.embeddings import losses
from rnnlab.embeddings.plans import Plan


class Tables(NamedTuple):
    """Parameters, and a count of pairs a row that is zero between blocks."""

    W_in: jax.Array  # (R, D)
    W_out: jax.Array  # (V, D)
    pairs_in: jax.Array  # (R,)
    pairs_out: jax.Array  # (V,)


class Rules(NamedTuple):
    """What a block does; static."""

    method: str  # skipgram, cbow, fasttext
    tree: bool  # hierarchical softmax
    window: int
    negatives: int  # K
    whole: bool  # a mean's rows take the whole gradient, see `whole_mean`
    groups: int  # N, a block
    group: int  # B, centers a group
    bound: float  # pairs a row steps for at the full rate


class Lookup(NamedTuple):
    """What a word stands for: its path in the Huffman tree, its rows as a bag."""

    nodes: jax.Array  # (V, P) int32
    signs: jax.Array  # (V, P) int8
    bags: jax.Array  # (V, G) int32
    bag_sizes: jax.Array  # (V,) int32


def tables(W_in: np.ndarray, W_out: np.ndarray) -> Tables:
    """The parameters on the device."""
    return Tables(jnp.array(W_in), jnp.array(W_out), jnp.zeros(len(W_in)), jnp.zeros(len(W_out)))


def whole_mean(rows: jax.Array, weights: jax.Array) -> jax.Array:
    """:func:`losses.masked_mean`, but the cotangent reaches every row whole, not its share of it.

    word2vec.c and fastText step this way, which is the gradient of the sum.
    """
    total = jnp.einsum("...gd,...g->...d", rows, weights)
    return total + jax.lax.stop_gradient(losses.masked_mean(rows, weights) - total)


def in_sight(left: jax.Array, right: jax.Array, window: int) -> jax.Array:
    """(B, T): 1 where token j is context of center t, at token window + t; (B,) each way."""
    B = len(left)
    away = jnp.arange(B + 2 * window)[None] - window - jnp.arange(B)[:, None]
    inside = (away >= -left[:, None]) & (away <= right[:, None]) & (away != 0)
    return inside.astype(jnp.float32)


def fill(plan: Plan, rules: Rules, capacity: int) -> tuple[Plan, int]:
    """(the plan as long as ``capacity`` centers need, centers without context at its ends; blocks).

    Token window + t of ``ids`` is center t, so that a group finds its contexts on both sides.
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
    state: Tables, plan: Plan, blocks: jax.Array, rates: jax.Array, lookup: Lookup, rules: Rules
) -> Tables:
    """Train on the first ``blocks`` blocks of a filled plan, at a rate from rates[0] to [1]."""
    N, B, w = rules.groups, rules.group, rules.window
    step = STEPS[rules.method]

    def body(i: jax.Array, state: Tables) -> Tables:
        at = i * (N * B)
        tokens = jax.lax.dynamic_slice_in_dim(plan.ids, at, N * B + 2 * w)
        tokens_NT = tokens[np.arange(N)[:, None] * B + np.arange(B + 2 * w)]
        left = jax.lax.dynamic_slice_in_dim(plan.left, at, N * B).reshape(N, B)
        right = jax.lax.dynamic_slice_in_dim(plan.right, at, N * B).reshape(N, B)
        drawn_NS = jax.lax.dynamic_slice_in_dim(plan.negatives, i * N, N)
        mask_NBT = jax.vmap(partial(in_sight, window=w))(left, right)
        behind = i.astype(rates.dtype) / blocks.astype(rates.dtype)
        rate = rates[0] + (rates[1] - rates[0]) * behind
        return step(state, rate, tokens_NT, drawn_NS, mask_NBT, lookup, rules)

    return jax.lax.fori_loop(0, blocks, body, state)


# ---- a block of each method --------------------------------------------------------------------


def _differs(words: jax.Array, drawn_NS: jax.Array) -> jax.Array:
    return (words[:, :, None] != drawn_NS[:, None, :]).astype(jnp.float32)


def _add(
    table: jax.Array,
    pairs: jax.Array,
    parts: list[tuple[jax.Array, jax.Array, jax.Array]],
    rate: jax.Array,
    bound: float,
) -> tuple[jax.Array, jax.Array]:
    """W_r −= α·min(1, bound/m_r)·∂L/∂W_r. parts: (rows (…), gradients (…, D), pairs (…))."""
    rows = jnp.concatenate([r.reshape(-1) for r, _, _ in parts])
    slopes = jnp.concatenate([g.reshape(-1, g.shape[-1]) for _, g, _ in parts])
    weights = jnp.concatenate([w.reshape(-1) for _, _, w in parts])
    pairs = pairs.at[rows].add(weights)
    scale = rate * jnp.minimum(1, bound / jnp.maximum(pairs[rows], 1e-9))
    return table.at[rows].add(-scale[:, None] * slopes), pairs.at[rows].set(0)


def _skipgram(
    state: Tables, rate: Any, tokens: Any, drawn: Any, mask: Any, lookup: Lookup, rules: Rules
) -> Tables:
    W_in, W_out, pairs_in, pairs_out = state
    centers = tokens[:, rules.window : rules.window + rules.group]
    v, seen = W_in[tokens], mask.sum(1)
    if rules.tree:
        nodes, signs = lookup.nodes[centers], lookup.signs[centers]
        g_v, g_u = _slopes(losses.skipgram_hs, (0, 1))(v, W_out[nodes], signs, mask)
        out = [(nodes, g_u, jnp.where(signs != 0, mask.sum(2)[..., None], 0))]
    else:
        differs = _differs(centers, drawn)
        loss = partial(losses.skipgram, negatives=rules.negatives)
        g_v, g_u, g_s = _slopes(loss, (0, 1, 2))(v, W_out[centers], W_out[drawn], mask, differs)
        weights = jax.vmap(partial(losses.sample_weights, negatives=rules.negatives))
        out = [(centers, g_u, mask.sum(2)), (drawn, g_s, weights(mask, differs).sum(1))]
    W_in, pairs_in = _add(W_in, pairs_in, [(tokens, g_v, seen)], rate, rules.bound)
    W_out, pairs_out = _add(W_out, pairs_out, out, rate, rules.bound)
    return Tables(W_in, W_out, pairs_in, pairs_out)


def _cbow(
    state: Tables, rate: Any, tokens: Any, drawn: Any, mask: Any, lookup: Lookup, rules: Rules
) -> Tables:
    W_in, W_out, pairs_in, pairs_out = state
    mean = whole_mean if rules.whole else losses.masked_mean
    centers = tokens[:, rules.window : rules.window + rules.group]
    v, seen = W_in[tokens], (mask.sum(2) > 0).astype(W_in.dtype)
    if rules.tree:
        nodes, signs = lookup.nodes[centers], lookup.signs[centers]
        loss = partial(losses.cbow_hs, mean=mean)
        g_v, g_u = _slopes(loss, (0, 1))(v, W_out[nodes], signs, mask)
        out = [(nodes, g_u, jnp.where(signs != 0, seen[..., None], 0))]
    else:
        differs = _differs(centers, drawn)
        loss = partial(losses.cbow, negatives=rules.negatives, mean=mean)
        g_v, g_u, g_s = _slopes(loss, (0, 1, 2))(v, W_out[centers], W_out[drawn], mask, differs)
        weight = rules.negatives / drawn.shape[1]
        out = [(centers, g_u, seen), (drawn, g_s, weight * (differs * seen[..., None]).sum(1))]
    W_in, pairs_in = _add(W_in, pairs_in, [(tokens, g_v, mask.sum(1))], rate, rules.bound)
    W_out, pairs_out = _add(W_out, pairs_out, out, rate, rules.bound)
    return Tables(W_in, W_out, pairs_in, pairs_out)


def _fasttext(
    state: Tables, rate: Any, tokens: Any, drawn: Any, mask: Any, lookup: Lookup, rules: Rules
) -> Tables:
    W_in, W_out, pairs_in, pairs_out = state
    centers = tokens[:, rules.window : rules.window + rules.group]
    bags = lookup.bags[centers]
    sizes = lookup.bag_sizes[centers]
    there = (jnp.arange(bags.shape[-1]) < sizes[..., None]).astype(W_in.dtype)
    differs = _differs(tokens, drawn)
    loss = partial(
        losses.fasttext,
        negatives=rules.negatives,
        mean=whole_mean if rules.whole else losses.masked_mean,
    )
    z, u, n = W_in[bags], W_out[tokens], W_out[drawn]
    g_z, g_u, g_s = _slopes(loss, (0, 2, 3))(z, there, u, n, mask, differs)
    weights = (rules.negatives / drawn.shape[1]) * jnp.einsum("nt,nts->ns", mask.sum(1), differs)
    used = there * mask.sum(2)[..., None]
    W_in, pairs_in = _add(W_in, pairs_in, [(bags, g_z, used)], rate, rules.bound)
    out = [(tokens, g_u, mask.sum(1)), (drawn, g_s, weights)]
    W_out, pairs_out = _add(W_out, pairs_out, out, rate, rules.bound)
    return Tables(W_in, W_out, pairs_in, pairs_out)


def _slopes(loss: Callable[..., jax.Array], wrt: tuple[int, ...]) -> Callable[..., Any]:
    """∂L/∂rows of every group."""
    return jax.vmap(jax.grad(loss, argnums=wrt))


STEPS = {"skipgram": _skipgram, "cbow": _cbow, "fasttext": _fasttext}
