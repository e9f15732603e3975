"""The loss of each method, over the rows that a block of consecutive words uses.

v_w is a word's input vector (the result of training), u_w its output vector. A block has B center
words and T = B + 2·window tokens in sight, from ``window`` before the block to ``window`` after it;
center t is token ``window + t``. ``mask_BT[t, j]`` is 1 where token j is context of center t. As in
word2vec, pairs are (center, context):

    skip-gram   the context word's v predicts the center's u (word2vec.c's order; over a corpus
                each pair occurs in both directions)
    CBOW        the mean of the contexts' v predicts the center's u
    FastText    the mean of the center's word and n-gram rows predicts the contexts' u

A block shares its S negative samples, each with weight K/S in each pair, so that the weights of a
pair sum to K. A sample equal to the predicted word does not count. Losses are sums, not means: a
gradient step at rate α is word2vec's with all pairs of the block at once.

Shapes: B centers, T tokens in sight, S samples, D dimension, P inner nodes of the longest path,
G input rows per bag. Sources: Mikolov, Chen, Corrado & Dean 2013 (arXiv 1301.3781); Mikolov,
Sutskever, Chen, Corrado & Dean 2013 (arXiv 1310.4546), eq. 2-4; Bojanowski et al. 2017
(arXiv 1607.04606), eq. 1-2; Ji, Satish, Li & Dubey 2016 (arXiv 1604.04661) for the sharing.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

Mean = Callable[[jax.Array, jax.Array], jax.Array]


def positive_term(logits: jax.Array) -> jax.Array:
    """Return −log σ(x), elementwise, for the word to predict."""
    return jax.nn.softplus(-logits)


def negative_term(logits: jax.Array) -> jax.Array:
    """Return −log σ(−x), elementwise, for a negative sample."""
    return jax.nn.softplus(logits)


def path_term(logits: jax.Array, signs: jax.Array) -> jax.Array:
    """Return −Σ_l log σ(s_l x_l) over the last axis, the path from the Huffman tree's root.

    Args:
        logits: (..., P), u_l·h. signs: (..., P): 1 left, −1 right, 0 past the path's end.
    Source: arXiv 1310.4546, eq. 3.
    """
    terms = jax.nn.softplus(-signs.astype(logits.dtype) * logits)
    return jnp.where(signs != 0, terms, 0).sum(-1)


def masked_mean(rows: jax.Array, weights: jax.Array) -> jax.Array:
    """Return h = Σ_g w_g r_g / Σ_g w_g; zero if all weights are.

    Args:
        rows: (..., G, D). weights: (..., G), 0 or 1 for absent or present.
    Returns:
        (..., D).
    """
    total = weights.sum(-1)[..., None]
    return jnp.einsum("...gd,...g->...d", rows, weights) / jnp.maximum(total, 1)


def sample_weights(mask_BT: jax.Array, differs: jax.Array, negatives: int) -> jax.Array:
    """Return the weight of sample s in the pairs of token j, (K/S)·Σ_t mask[t, j]·[w_t ≠ n_s].

    Args:
        differs: (B, S), 1 where sample s is another word than center t. negatives: K.
    Returns:
        (T, S).
    """
    return (negatives / differs.shape[1]) * (mask_BT.T @ differs)


# ---- skip-gram ---------------------------------------------------------------------------------


def skipgram(
    v_TD: jax.Array,
    u_BD: jax.Array,
    u_SD: jax.Array,
    mask_BT: jax.Array,
    differs: jax.Array,
    negatives: int,
) -> jax.Array:
    """Return L = −Σ_{t,j} m_tj [log σ(u_t·v_j) + (K/S) Σ_s [n_s ≠ w_t] log σ(−u_s·v_j)].

    Args:
        v_TD: input rows of the tokens in sight. u_BD: output rows of the centers.
        u_SD: output rows of the samples. differs: (B, S), see :func:`sample_weights`.
        negatives: K, samples per pair.
    Source: arXiv 1310.4546, eq. 4, summed over the pairs of the block.
    """
    drawn = negative_term(v_TD @ u_SD.T) * sample_weights(mask_BT, differs, negatives)
    return (positive_term(u_BD @ v_TD.T) * mask_BT).sum() + drawn.sum()


def skipgram_hs(
    v_TD: jax.Array, u_BPD: jax.Array, signs_BP: jax.Array, mask_BT: jax.Array
) -> jax.Array:
    """Return L = −Σ_{t,j} m_tj Σ_l log σ(s_tl u_tl·v_j), hierarchical softmax.

    Args:
        u_BPD: rows of the inner nodes on each center's path. signs_BP: see :func:`path_term`.
    Source: arXiv 1310.4546, eq. 3.
    """
    logits = jnp.einsum("bpd,td->btp", u_BPD, v_TD)
    return (path_term(logits, signs_BP[:, None]) * mask_BT).sum()


# ---- CBOW --------------------------------------------------------------------------------------


def cbow(
    v_TD: jax.Array,
    u_BD: jax.Array,
    u_SD: jax.Array,
    mask_BT: jax.Array,
    differs: jax.Array,
    negatives: int,
    mean: Mean = masked_mean,
) -> jax.Array:
    """Return L = −Σ_t [log σ(u_t·h_t) + (K/S) Σ_s [n_s ≠ w_t] log σ(−u_s·h_t)].

    h_t = Σ_j m_tj v_j / Σ_j m_tj; centers without context are left out. Arguments as of
    :func:`skipgram`.
    """
    h_BD = mean(v_TD, mask_BT)
    seen = (mask_BT.sum(-1) > 0).astype(v_TD.dtype)
    drawn = negative_term(h_BD @ u_SD.T) * differs * (negatives / differs.shape[1])
    return ((positive_term((u_BD * h_BD).sum(-1)) + drawn.sum(-1)) * seen).sum()


def cbow_hs(
    v_TD: jax.Array,
    u_BPD: jax.Array,
    signs_BP: jax.Array,
    mask_BT: jax.Array,
    mean: Mean = masked_mean,
) -> jax.Array:
    """Return L = −Σ_t Σ_l log σ(s_tl u_tl·h_t), where h_t is the mean of the contexts' rows.

    Arguments as of :func:`skipgram_hs`.
    """
    h_BD = mean(v_TD, mask_BT)
    terms = path_term(jnp.einsum("bpd,bd->bp", u_BPD, h_BD), signs_BP)
    return jnp.where(mask_BT.sum(-1) > 0, terms, 0).sum()


# ---- FastText ----------------------------------------------------------------------------------


def fasttext(
    z_BGD: jax.Array,
    bag_BG: jax.Array,
    u_TD: jax.Array,
    u_SD: jax.Array,
    mask_BT: jax.Array,
    differs: jax.Array,
    negatives: int,
    mean: Mean = masked_mean,
) -> jax.Array:
    """Return L = −Σ_{t,j} m_tj [log σ(u_j·h_t) + (K/S) Σ_s [n_s ≠ w_j] log σ(−u_s·h_t)].

    h_t is the mean of z_t.

    Args:
        z_BGD: rows of each center's word and n-grams. bag_BG: 1 for a row, 0 for padding.
        u_TD: output rows of the tokens in sight. differs: (T, S), of the tokens in sight.
    Source: Bojanowski et al. 2017, section 3.2, which has a sum; the C++ tool has the mean.
    """
    h_BD = mean(z_BGD, bag_BG)
    drawn = negative_term(h_BD @ u_SD.T) * ((negatives / differs.shape[1]) * (mask_BT @ differs))
    return (positive_term(h_BD @ u_TD.T) * mask_BT).sum() + drawn.sum()
