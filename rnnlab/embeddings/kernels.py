"""The updates of :mod:`rnnlab.embeddings.losses`, center by center, compiled by Numba.

Needs ``rnnlab[fast]``. A center's rows are read once, all their products computed, and each row is
written once: some 12 rows for the 36 pairs of a skip-gram window. D is a compile-time constant and
a multiple of 8, so that a row fills whole vector registers. One thread processes a plan in order,
and its results are bit-identical between runs. Those of several threads on the same parameters are
not: there is no lock, as in word2vec.c and gensim.

Nothing is cached on disk, since Numba's cache is a pickle.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

LANES = 8  # float32 numbers in a 256-bit register

# tanh(y) = y·P(y²)/Q(y²) to 3e-7 for |y| ≤ 9, ±1 beyond: Eigen's rational approximation
_P = (
    -2.76076847742355e-16,
    2.00018790482477e-13,
    -8.60467152213735e-11,
    5.12229709037114e-08,
    1.48572235717979e-05,
    6.37261928875436e-04,
    4.89352455891786e-03,
)
_Q = (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03)


def available() -> bool:
    """Whether Numba is installed."""
    import importlib.util

    return importlib.util.find_spec("numba") is not None


def padded(size: int) -> int:
    """Return the columns of a table for vectors of this size, in whole registers."""
    return -(-size // LANES) * LANES


class Helpers(NamedTuple):
    """Inlined parts of the kernels, for rows of D numbers."""

    sigmoid: Callable[..., np.floating]  # σ(x)
    products: Callable[..., None]  # out[i, k] = A_i · B_k
    add_products: Callable[..., None]  # W[rows[i]] += Σ_k G[i, k] B_k
    add_rows: Callable[..., None]  # h += Σ_i W[rows[i]]


@lru_cache(maxsize=8)
def helpers(D: int) -> Helpers:
    """Compile the helpers for rows of D numbers."""
    from numba import njit

    f = np.float32
    nine, half = f(9), f(0.5)
    p0, p1, p2, p3, p4, p5, p6 = map(f, _P)
    q0, q1, q2, q3 = map(f, _Q)

    @njit(inline="always")
    def sigmoid(x):
        y = min(max(half * x, -nine), nine)
        s = y * y
        p = (((((p0 * s + p1) * s + p2) * s + p3) * s + p4) * s + p5) * s + p6
        q = ((q0 * s + q1) * s + q2) * s + q3
        return half + half * (y * p / q)

    @njit(inline="always")
    def products(A, n, B, m, out):
        """Set out[i, k] = A_i · B_k for i < n, k < m; six at a time, A_i read once."""
        for i in range(n):
            k = 0
            while k + 6 <= m:
                a0 = a1 = a2 = a3 = a4 = a5 = f(0)
                for d in range(D):
                    x = A[i, d]
                    a0 += x * B[k, d]
                    a1 += x * B[k + 1, d]
                    a2 += x * B[k + 2, d]
                    a3 += x * B[k + 3, d]
                    a4 += x * B[k + 4, d]
                    a5 += x * B[k + 5, d]
                out[i, k], out[i, k + 1], out[i, k + 2] = a0, a1, a2
                out[i, k + 3], out[i, k + 4], out[i, k + 5] = a3, a4, a5
                k += 6
            while k < m:
                a = f(0)
                for d in range(D):
                    a += A[i, d] * B[k, d]
                out[i, k] = a
                k += 1

    @njit(inline="always")
    def add_products(G, n, m, B, W, rows):
        """Add Σ_k G[i, k] B_k to W[rows[i]] for i < n, k < m."""
        for i in range(n):
            r = rows[i]
            k = 0
            while k + 6 <= m:
                g0, g1, g2 = G[i, k], G[i, k + 1], G[i, k + 2]
                g3, g4, g5 = G[i, k + 3], G[i, k + 4], G[i, k + 5]
                for d in range(D):
                    W[r, d] += (
                        g0 * B[k, d]
                        + g1 * B[k + 1, d]
                        + g2 * B[k + 2, d]
                        + g3 * B[k + 3, d]
                        + g4 * B[k + 4, d]
                        + g5 * B[k + 5, d]
                    )
                k += 6
            while k + 2 <= m:
                g0, g1 = G[i, k], G[i, k + 1]
                for d in range(D):
                    W[r, d] += g0 * B[k, d] + g1 * B[k + 1, d]
                k += 2
            if k < m:
                g0 = G[i, k]
                for d in range(D):
                    W[r, d] += g0 * B[k, d]

    @njit(inline="always")
    def add_rows(h, W, rows, first, last):
        """Add W[rows[i]] to h for first ≤ i < last; four at a time."""
        i = first
        while i + 4 <= last:
            r0, r1, r2, r3 = rows[i], rows[i + 1], rows[i + 2], rows[i + 3]
            for d in range(D):
                h[d] += W[r0, d] + W[r1, d] + W[r2, d] + W[r3, d]
            i += 4
        while i < last:
            r0 = rows[i]
            for d in range(D):
                h[d] += W[r0, d]
            i += 1

    return Helpers(sigmoid, products, add_products, add_rows)


@lru_cache(maxsize=8)
def skipgram(D: int) -> Callable[..., None]:
    """Compile an update by skip-gram for every center of a plan, in order, in place.

    ``step(W_in, W_out, ids, left, right, negatives, tree, nodes, signs, offsets, rate,
    last_rate)``: the rate decreases linearly over the plan. The gradient is that of
    ``losses.skipgram`` for a block of one center against its row of ``negatives`` (n, S), each of
    weight 1; or, with ``tree``, of ``losses.skipgram_hs`` along ``nodes[offsets[w]:…]``.

    Args:
        D: columns of both tables.
    """
    from numba import njit

    sigmoid, products, add_products, _ = helpers(D)
    f = np.float32

    @njit(fastmath=True, nogil=True)
    def step(
        W_in, W_out, ids, left, right, negatives, tree, nodes, signs, offsets, rate, last_rate
    ):
        n, S = len(ids), negatives.shape[1]
        most = S + 1
        if tree:
            for t in range(n):
                most = max(most, offsets[ids[t] + 1] - offsets[ids[t]])
        widest = 1
        for t in range(n):
            widest = max(widest, left[t] + right[t])
        X, Y = np.empty((widest, D), np.float32), np.empty((most, D), np.float32)
        G, G_T = np.empty((widest, most), np.float32), np.empty((most, widest), np.float32)
        into, outof = np.empty(widest, np.int64), np.empty(most, np.int64)
        label = np.empty(most, np.float32)
        for t in range(n):
            a = f(rate + (last_rate - rate) * t / n)
            c = ids[t]
            inputs = 0
            for j in range(t - left[t], t + right[t] + 1):
                if j != t:
                    r = ids[j]
                    into[inputs] = r
                    for d in range(D):
                        X[inputs, d] = W_in[r, d]
                    inputs += 1
            if inputs == 0:
                continue
            outputs = 0
            if tree:
                for at in range(offsets[c], offsets[c + 1]):
                    outof[outputs] = nodes[at]
                    label[outputs] = f(0.5) + f(0.5) * f(signs[at])
                    outputs += 1
            else:
                outof[0] = c
                label[0] = f(1)
                outputs = 1
                for s in range(S):
                    if negatives[t, s] != c:
                        outof[outputs] = negatives[t, s]
                        label[outputs] = f(0)
                        outputs += 1
            for k in range(outputs):
                r = outof[k]
                for d in range(D):
                    Y[k, d] = W_out[r, d]
            products(X, inputs, Y, outputs, G)
            for i in range(inputs):
                for k in range(outputs):
                    g = a * (label[k] - sigmoid(G[i, k]))
                    G[i, k] = g
                    G_T[k, i] = g
            add_products(G, inputs, outputs, Y, W_in, into)
            add_products(G_T, outputs, inputs, X, W_out, outof)

    return step


@lru_cache(maxsize=8)
def cbow(D: int) -> Callable[..., None]:
    """Compile an update by CBOW for every center of a plan, in order, in place.

    ``step(W_in, W_out, ids, left, right, negatives, K, tree, nodes, signs, offsets, whole, rate,
    last_rate)``: the gradient is that of ``losses.cbow`` or ``losses.cbow_hs`` for a block of one
    center, each of its S samples with weight K/S. With ``whole`` each row of the mean takes the
    whole ∂L/∂h instead of its share, as in word2vec.c. ``tree`` and D as in :func:`skipgram`.
    """
    from numba import njit

    sigmoid, _, _, add_rows = helpers(D)
    f = np.float32

    @njit(fastmath=True, nogil=True)
    def step(
        W_in,
        W_out,
        ids,
        left,
        right,
        negatives,
        K,
        tree,
        nodes,
        signs,
        offsets,
        whole,
        rate,
        last_rate,
    ):
        n, S = len(ids), negatives.shape[1]
        widest, most = 1, 1
        for t in range(n):
            widest = max(widest, left[t] + right[t])
            if tree:
                most = max(most, offsets[ids[t] + 1] - offsets[ids[t]])
        most = max(most, S + 1)
        h, e = np.empty(D, np.float32), np.empty(D, np.float32)
        into, outof = np.empty(widest, np.int64), np.empty(most, np.int64)
        g, label = np.empty(most, np.float32), np.empty(most, np.float32)
        weight = np.empty(most, np.float32)
        for t in range(n):
            if left[t] + right[t] == 0:
                continue
            a = f(rate + (last_rate - rate) * t / n)
            c = ids[t]
            inputs = outputs = 0
            for j in range(t - left[t], t + right[t] + 1):
                if j != t:
                    into[inputs] = ids[j]
                    inputs += 1
            if tree:
                for at in range(offsets[c], offsets[c + 1]):
                    outof[outputs], weight[outputs] = nodes[at], f(1)
                    label[outputs] = f(0.5) + f(0.5) * f(signs[at])
                    outputs += 1
            else:
                outof[0], label[0], weight[0] = c, f(1), f(1)
                outputs = 1
                for s in range(S):
                    if negatives[t, s] != c:
                        outof[outputs], label[outputs] = negatives[t, s], f(0)
                        weight[outputs] = f(K) / f(S)
                        outputs += 1

            for d in range(D):
                h[d] = f(0)
            add_rows(h, W_in, into, 0, inputs)
            share = f(1) / f(inputs)
            for d in range(D):
                h[d] *= share
                e[d] = f(0)
            k = 0
            while k + 4 <= outputs:
                r0, r1, r2, r3 = outof[k], outof[k + 1], outof[k + 2], outof[k + 3]
                a0 = a1 = a2 = a3 = f(0)
                for d in range(D):
                    x = h[d]
                    a0 += x * W_out[r0, d]
                    a1 += x * W_out[r1, d]
                    a2 += x * W_out[r2, d]
                    a3 += x * W_out[r3, d]
                g[k], g[k + 1], g[k + 2], g[k + 3] = a0, a1, a2, a3
                k += 4
            while k < outputs:
                r0 = outof[k]
                a0 = f(0)
                for d in range(D):
                    a0 += h[d] * W_out[r0, d]
                g[k] = a0
                k += 1
            for k in range(outputs):
                g[k] = a * weight[k] * (label[k] - sigmoid(g[k]))
            k = 0
            while k + 4 <= outputs:
                r0, r1, r2, r3 = outof[k], outof[k + 1], outof[k + 2], outof[k + 3]
                g0, g1, g2, g3 = g[k], g[k + 1], g[k + 2], g[k + 3]
                for d in range(D):
                    e[d] += (
                        g0 * W_out[r0, d]
                        + g1 * W_out[r1, d]
                        + g2 * W_out[r2, d]
                        + g3 * W_out[r3, d]
                    )
                k += 4
            while k < outputs:
                r0, g0 = outof[k], g[k]
                for d in range(D):
                    e[d] += g0 * W_out[r0, d]
                k += 1
            for k in range(outputs):  # after all products, since a row may occur twice
                r0, g0 = outof[k], g[k]
                for d in range(D):
                    W_out[r0, d] += g0 * h[d]
            if not whole:
                for d in range(D):
                    e[d] *= share
            for i in range(inputs):
                r0 = into[i]
                for d in range(D):
                    W_in[r0, d] += e[d]

    return step


@lru_cache(maxsize=8)
def fasttext(D: int) -> Callable[..., None]:
    """Compile an update by FastText for every pair of center and context, in order, in place.

    ``step(W_in, W_out, ids, left, right, negatives, K, bags, bag_offsets, whole, rate,
    last_rate)``: the gradient of a pair is that of ``losses.fasttext`` for one center w and one
    token in sight, against K of the center's S samples: pair p has those from p·K on, cyclically.
    The center's rows ``bags[bag_offsets[w]:…]`` all change equally, and so does their mean h, so
    each pair sees the update of the pair before it although rows are read and written once per
    center. (All pairs of a center at once, against the same samples, cost 0.02 of Spearman's ρ.)
    With ``whole`` each row takes the whole ∂L/∂h instead of its share.

    Args:
        D: columns of both tables.
    """
    from numba import njit

    sigmoid, _, _, add_rows = helpers(D)
    f = np.float32

    @njit(fastmath=True, nogil=True)
    def step(
        W_in, W_out, ids, left, right, negatives, K, bags, bag_offsets, whole, rate, last_rate
    ):
        n, S = len(ids), negatives.shape[1]
        h, e, moved = np.empty(D, np.float32), np.empty(D, np.float32), np.empty(D, np.float32)
        outof, g = np.empty(K + 1, np.int64), np.empty(K + 1, np.float32)
        for t in range(n):
            first, last = bag_offsets[ids[t]], bag_offsets[ids[t] + 1]
            if left[t] + right[t] == 0:
                continue
            a = f(rate + (last_rate - rate) * t / n)
            for d in range(D):
                h[d] = moved[d] = f(0)
            add_rows(h, W_in, bags, first, last)
            share = f(1) / f(last - first)
            for d in range(D):
                h[d] *= share
            reach = f(1) if whole else share
            sample = 0
            for j in range(t - left[t], t + right[t] + 1):
                if j == t:
                    continue
                outof[0] = ids[j]
                outputs = 1
                for _ in range(K):
                    r = negatives[t, sample]
                    sample = sample + 1 if sample + 1 < S else 0
                    if r != ids[j]:
                        outof[outputs] = r
                        outputs += 1
                k = 0
                while k + 3 <= outputs:
                    r0, r1, r2 = outof[k], outof[k + 1], outof[k + 2]
                    a0 = a1 = a2 = f(0)
                    for d in range(D):
                        x = h[d]
                        a0 += x * W_out[r0, d]
                        a1 += x * W_out[r1, d]
                        a2 += x * W_out[r2, d]
                    g[k], g[k + 1], g[k + 2] = a0, a1, a2
                    k += 3
                while k < outputs:
                    r0 = outof[k]
                    a0 = f(0)
                    for d in range(D):
                        a0 += h[d] * W_out[r0, d]
                    g[k] = a0
                    k += 1
                for d in range(D):
                    e[d] = f(0)
                for k in range(outputs):
                    label = f(1) if k == 0 else f(0)
                    g[k] = a * (label - sigmoid(g[k]))
                k = 0
                while k + 3 <= outputs:
                    r0, r1, r2 = outof[k], outof[k + 1], outof[k + 2]
                    g0, g1, g2 = g[k], g[k + 1], g[k + 2]
                    for d in range(D):
                        e[d] += g0 * W_out[r0, d] + g1 * W_out[r1, d] + g2 * W_out[r2, d]
                    k += 3
                while k < outputs:
                    r0, g0 = outof[k], g[k]
                    for d in range(D):
                        e[d] += g0 * W_out[r0, d]
                    k += 1
                for k in range(outputs):  # after all products, since a row may occur twice
                    r0, g0 = outof[k], g[k]
                    for d in range(D):
                        W_out[r0, d] += g0 * h[d]
                for d in range(D):
                    x = reach * e[d]
                    h[d] += x
                    moved[d] += x
            for i in range(first, last):
                r0 = bags[i]
                for d in range(D):
                    W_in[r0, d] += moved[d]

    return step
