"""Conditional random fields over a chain of labels, on top of any tagger.

A model scores each label at each step by itself; the field adds what one label owes to the one
before it, and reads whole sequences: the best one (:func:`viterbi`), the sum over all of them
(:func:`log_partition`). Everything is a function of the edges' scores (B, T, K, K).

Shapes: B batch, T time, K labels.
Source: Lafferty, McCallum & Pereira 2001; Lample et al. 2016 (arXiv 1603.01360), eqs. 1 to 3.
"""

from typing import Any

import jax
import jax.numpy as jnp

from rnnlab.nn import losses

Array = jax.Array


def edges(emissions: Array, transitions: Array) -> Array:
    """e[b, t, i, j] = y[b, t, j] + A[i, j]: the score of label j at step t after label i.

    Args:
        emissions: y (B, T, K), of each label at each step.
        transitions: A (K+1, K); its last row is what a label has at the first step.
    Returns:
        (B, T, K, K); at the first step all i have the same.
    Raises:
        ValueError: shapes that do not fit.

    >>> edges(jnp.zeros((1, 2, 2)), jnp.array([[1.0, 2], [3, 4], [5, 6]]))[0].tolist()
    [[[5.0, 6.0], [5.0, 6.0]], [[1.0, 2.0], [3.0, 4.0]]]
    """
    K = emissions.shape[-1]
    if emissions.ndim != 3 or transitions.shape != (K + 1, K):
        raise ValueError(
            f"edges: emissions (B, T, K) and transitions (K+1, K) wanted, got "
            f"{emissions.shape} and {transitions.shape}"
        )
    steps = emissions.shape[1]
    first = jnp.broadcast_to(transitions[K:], (1, K, K))
    later = jnp.broadcast_to(transitions[:K], (steps - 1, K, K))
    return emissions[:, :, None, :] + jnp.concatenate([first, later])


def path_score(scores: Array, labels: Any, mask: Any = None) -> Array:
    """s(y) = Σ_t e[t, y_{t−1}, y_t] (B,), the score of the labels (B, T).

    Args:
        scores: of :func:`edges`, (B, T, K, K).
        labels: (B, T) whole numbers, 0 … K−1.
        mask: (B, T) true at the steps that count: the first ones of a sequence. None: all.
    """
    mask = _check(scores, mask, labels)
    before = jnp.concatenate([labels[:, :1], labels[:, :-1]], axis=1)
    chosen = jnp.take_along_axis(scores, before[..., None, None], axis=2)
    each = jnp.take_along_axis(chosen, labels[..., None, None], axis=3)[..., 0, 0]
    return jnp.where(mask, each, 0).sum(axis=1)


def log_partition(scores: Array, mask: Any = None) -> Array:
    """log Z = log Σ_y exp s(y) (B,), over all K^T sequences, by the forward recursion.

    α_t(j) = log Σ_i exp(α_{t−1}(i) + e[t, i, j]).
    """
    mask = _check(scores, mask)
    scores = jnp.where(mask[..., None, None], scores, 0)  # a NaN in padding stays there

    def body(alpha: Array, step: tuple[Array, Array]) -> tuple[Array, None]:
        e, counts = step
        new = jax.nn.logsumexp(alpha[:, :, None] + e, axis=1)
        return jnp.where(counts[:, None], new, alpha), None

    inner = jnp.moveaxis(scores[:, 1:], 1, 0), mask[:, 1:].T
    alpha, _ = jax.lax.scan(body, scores[:, 0, 0], inner)
    return jnp.where(mask[:, 0], jax.nn.logsumexp(alpha, axis=-1), 0)


def negative_log_likelihood(
    scores: Array, targets: Any, mask: Any = None, reduction: str = "mean"
) -> Array:
    """L = −log p(targets) = log Z − s(targets), in nats.

    Args:
        scores: (B, T, K, K), of :func:`edges`.
        targets: (B, T) whole numbers, 0 … K−1.
        mask: (B, T), see :func:`path_score`.
        reduction: "mean": over the steps that count; "sum_over_time": over the batch.
    Returns:
        a scalar; 0 where nothing counts.
    Raises:
        TypeError: targets that are not whole numbers. ValueError: shapes that do not fit.

    >>> float(negative_log_likelihood(jnp.zeros((2, 3, 4, 4)), jnp.zeros((2, 3), int)) - jnp.log(4))
    0.0
    """
    targets = jnp.asarray(targets)
    if not jnp.issubdtype(targets.dtype, jnp.integer):
        raise TypeError(f"crf: targets must be whole numbers, got {targets.dtype}")
    mask = _check(scores, mask, targets)
    whole = log_partition(scores, mask) - path_score(scores, targets, mask)
    # all of a sequence's loss at its first step, for what averages over steps
    each = jnp.zeros(mask.shape, whole.dtype).at[:, 0].set(whole)
    return losses.reduce(each, mask, reduction)


def viterbi(scores: Array, mask: Any = None) -> Array:
    """argmax_y s(y): the best labels (B, T) int32; 0 where nothing counts."""
    mask = _check(scores, mask)
    scores = jnp.where(mask[..., None, None], scores, 0)
    K = scores.shape[-1]
    still = jnp.broadcast_to(jnp.arange(K), (len(scores), K))

    def ahead(best: Array, step: tuple[Array, Array]) -> tuple[Array, Array]:
        e, counts = step
        through = best[:, :, None] + e
        back = jnp.where(counts[:, None], through.argmax(axis=1), still)
        return jnp.where(counts[:, None], through.max(axis=1), best), back

    inner = jnp.moveaxis(scores[:, 1:], 1, 0), mask[:, 1:].T
    best, backs = jax.lax.scan(ahead, scores[:, 0, 0], inner)

    def behind(label: Array, back: Array) -> tuple[Array, Array]:
        earlier = jnp.take_along_axis(back, label[:, None], axis=1)[:, 0]
        return earlier, earlier

    last = best.argmax(axis=-1)
    _, path = jax.lax.scan(behind, last, backs, reverse=True)
    path = jnp.concatenate([path, last[None]]).T
    return jnp.where(mask, path, 0).astype(jnp.int32)


def _check(scores: Array, mask: Any, labels: Any = None) -> Array:
    shape = scores.shape[:2]
    if scores.ndim != 4 or scores.shape[2] != scores.shape[3] or not shape[1]:
        raise ValueError(
            f"crf: scores must be (B, T, K, K) with a step at least, got {scores.shape}"
        )
    for name, value in (("mask", mask), ("labels", labels)):
        if value is not None and jnp.shape(value) != shape:
            raise ValueError(f"crf: {name} must be {shape}, got {jnp.shape(value)}")
    return jnp.ones(shape, bool) if mask is None else jnp.asarray(mask)
