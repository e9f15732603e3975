"""Conditional random fields over a chain of labels, on top of any tagger.

A tagger scores each label at each step independently; the field adds a score per transition from
label to label, and so scores whole sequences: the best one (:func:`viterbi`), the sum over all of
them (:func:`log_partition`). All functions take the scores of the edges (B, T, K, K).

Shapes: B batch, T time, K labels.
Source: Lafferty, McCallum & Pereira 2001; Lample et al. 2016 (arXiv 1603.01360), eqs. 1 to 3.
"""

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P
from jax.typing import ArrayLike

from rnnlab.nn import losses
from rnnlab.nn.meshes import automatic, batch_spec, varying_alike

Array = jax.Array


def edges(emissions: Array, transitions: Array) -> Array:
    """e[b, t, i, j] = y[b, t, j] + A[i, j]: the score of label j at step t after label i.

    Args:
        emissions: y (B, T, K), of each label at each step.
        transitions: A (K+1, K); its last row scores each label at the first step.
    Returns:
        (B, T, K, K); at the first step all rows i are equal.
    Raises:
        ValueError: shapes that do not fit.

    >>> edges(jnp.zeros((1, 2, 2)), jnp.array([[1.0, 2], [3, 4], [5, 6]]))[0].tolist()
    [[[5.0, 6.0], [5.0, 6.0]], [[1.0, 2.0], [3.0, 4.0]]]
    """
    K = emissions.shape[-1]
    if emissions.ndim != 3 or transitions.shape != (K + 1, K):
        raise ValueError(
            f"edges: emissions must be (B, T, K) and transitions (K+1, K), got "
            f"{emissions.shape} and {transitions.shape}"
        )
    steps = emissions.shape[1]
    if not steps:
        raise ValueError(f"edges: at least one step is needed, got emissions {emissions.shape}")
    first = jnp.broadcast_to(transitions[K:], (1, K, K))
    later = jnp.broadcast_to(transitions[:K], (steps - 1, K, K))
    return emissions[:, :, None, :] + jnp.concatenate([first, later])


def path_score(scores: Array, labels: ArrayLike, mask: ArrayLike | None = None) -> Array:
    """s(y) = Σ_t e[t, y_{t−1}, y_t], the score of a sequence of labels.

    Args:
        scores: (B, T, K, K), from :func:`edges`.
        labels: (B, T) whole numbers, 0 … K−1.
        mask: (B, T) true at the steps that count, which come first in each sequence; None: all.
    Returns:
        (B,).
    Raises:
        ValueError: shapes that do not fit.
    """
    mask = _check(scores, mask, labels)
    args = scores, jnp.asarray(labels), mask
    return automatic(_path_score, *args, out=lambda: P(*batch_spec(scores)))


def _path_score(scores: Array, labels: Array, mask: Array) -> Array:
    before = jnp.concatenate([labels[:, :1], labels[:, :-1]], axis=1)
    chosen = jnp.take_along_axis(scores, before[..., None, None], axis=2)
    each = jnp.take_along_axis(chosen, labels[..., None, None], axis=3)[..., 0, 0]
    return jnp.where(mask, each, 0).sum(axis=1)


def log_partition(scores: Array, mask: ArrayLike | None = None) -> Array:
    """log Z = log Σ_y exp s(y) over all K^T sequences, by the forward recursion.

    α_t(j) = log Σ_i exp(α_{t−1}(i) + e[t, i, j]).

    Args:
        scores: (B, T, K, K), from :func:`edges`. mask: (B, T), see :func:`path_score`.
    Returns:
        (B,).
    Raises:
        ValueError: shapes that do not fit.
    """
    mask = _check(scores, mask)
    return automatic(_log_partition, scores, mask, out=lambda: P(*batch_spec(scores)))


def _log_partition(scores: Array, mask: Array) -> Array:
    scores, mask = varying_alike((scores, mask))
    scores = jnp.where(mask[..., None, None], scores, 0)  # keeps a NaN in padding out of gradients

    def body(alpha: Array, step: tuple[Array, Array]) -> tuple[Array, None]:
        e, real = step
        new = jax.nn.logsumexp(alpha[:, :, None] + e, axis=1)
        return jnp.where(real[:, None], new, alpha), None

    inner = jnp.moveaxis(scores[:, 1:], 1, 0), mask[:, 1:].T
    alpha, _ = jax.lax.scan(body, scores[:, 0, 0], inner)
    return jnp.where(mask[:, 0], jax.nn.logsumexp(alpha, axis=-1), 0)


def negative_log_likelihood(
    scores: Array, targets: ArrayLike, mask: ArrayLike | None = None, reduction: str = "mean"
) -> Array:
    """L = −log p(targets) = log Z − s(targets), in nats.

    Args:
        scores: (B, T, K, K), from :func:`edges`.
        targets: (B, T) whole numbers, 0 … K−1.
        mask: (B, T), see :func:`path_score`.
        reduction: "mean": per step that counts; "sum_over_time": per sequence of the batch.
    Returns:
        a scalar; 0 if no step counts.
    Raises:
        TypeError: targets that are not whole numbers. ValueError: shapes that do not fit.

    >>> float(negative_log_likelihood(jnp.zeros((2, 3, 4, 4)), jnp.zeros((2, 3), int)) - jnp.log(4))
    0.0
    """
    targets = jnp.asarray(targets)
    if not jnp.issubdtype(targets.dtype, jnp.integer):
        raise TypeError(f"crf: targets must be whole numbers, got {targets.dtype}")
    mask = _check(scores, mask, targets)
    per_sequence = log_partition(scores, mask) - path_score(scores, targets, mask)
    # reduce() takes losses per step: a sequence's whole loss stands at its first one
    first = jnp.arange(mask.shape[1]) == 0
    per_step = jnp.where(first, per_sequence[:, None], 0)
    return losses.reduce(per_step, mask, reduction)


def viterbi(scores: Array, mask: ArrayLike | None = None) -> Array:
    """argmax_y s(y), the best sequence of labels.

    Args:
        scores: (B, T, K, K), from :func:`edges`. mask: (B, T), see :func:`path_score`.
    Returns:
        (B, T) int32; 0 where the mask is false.
    Raises:
        ValueError: shapes that do not fit.
    """
    mask = _check(scores, mask)
    return automatic(_viterbi, scores, mask, out=lambda: P(*batch_spec(scores)))


def _viterbi(scores: Array, mask: Array) -> Array:
    scores, mask = varying_alike((scores, mask))
    scores = jnp.where(mask[..., None, None], scores, 0)
    K = scores.shape[-1]
    same = jnp.broadcast_to(jnp.arange(K), (len(scores), K))

    def forward(best: Array, step: tuple[Array, Array]) -> tuple[Array, Array]:
        e, real = step
        candidates = best[:, :, None] + e
        previous = jnp.where(real[:, None], candidates.argmax(axis=1), same)
        return jnp.where(real[:, None], candidates.max(axis=1), best), previous

    inner = jnp.moveaxis(scores[:, 1:], 1, 0), mask[:, 1:].T
    best, previous = jax.lax.scan(forward, scores[:, 0, 0], inner)

    def backward(label: Array, previous: Array) -> tuple[Array, Array]:
        earlier = jnp.take_along_axis(previous, label[:, None], axis=1)[:, 0]
        return earlier, earlier

    last = best.argmax(axis=-1)
    _, path = jax.lax.scan(backward, last, previous, reverse=True)
    path = jnp.concatenate([path, last[None]]).T
    return jnp.where(mask, path, 0).astype(jnp.int32)


def _check(scores: Array, mask: ArrayLike | None, labels: ArrayLike | None = None) -> Array:
    """Check the shapes; return the mask (B, T), all true for None."""
    shape = scores.shape[:2]
    if scores.ndim != 4 or scores.shape[2] != scores.shape[3] or not shape[1]:
        raise ValueError(
            f"crf: scores must be (B, T, K, K) with at least one step, got {scores.shape}"
        )
    for name, value in (("mask", mask), ("labels", labels)):
        if value is not None and jnp.shape(value) != shape:
            raise ValueError(f"crf: {name} must be {shape}, got {jnp.shape(value)}")
    return jnp.ones(shape, bool) if mask is None else jnp.asarray(mask)
