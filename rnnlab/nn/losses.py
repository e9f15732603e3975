"""Masked losses over sequences, averaged or, as in the notes, summed over time.

Shapes: B batch, T time, O outputs or classes; ``...`` the leading axes of the targets, (B,) for one
target per sequence and (B, T) for one per step.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P

from rnnlab.core import validate
from rnnlab.nn.meshes import automatic, batch_spec

Array = jax.Array

REDUCTIONS = ("mean", "sum_over_time")


def cross_entropy(
    logits: Array, targets: Array, mask: Array | None = None, reduction: str = "mean"
) -> Array:
    """L = −Σ_t log softmax(logits_t)[target_t], in nats.

    Args:
        logits: (..., O).
        targets: (...) whole numbers, 0 … O−1.
        mask: (...) true where a target counts; None: everywhere.
        reduction: "mean" over the targets that count; "sum_over_time": summed over them and
            averaged over the batch (the first axis), as in L = Σ_t L_t.
    Returns:
        a scalar; 0 if no target counts.
    Raises:
        TypeError: targets that are not whole numbers.
        ValueError: shapes that do not fit, or an unknown reduction.
    Source: the notes, training: cross-entropy for classes.

    >>> float(cross_entropy(jnp.zeros((2, 4)), jnp.array([0, 3]))) == float(jnp.log(4))
    True
    """
    targets = jnp.asarray(targets)
    if not jnp.issubdtype(targets.dtype, jnp.integer):
        raise TypeError(f"cross_entropy: targets must be whole numbers, got {targets.dtype}")
    if logits.shape[:-1] != targets.shape:
        raise ValueError(
            f"cross_entropy: logits {logits.shape} need targets of shape "
            f"{logits.shape[:-1]}, got {targets.shape}"
        )
    log_p = jax.nn.log_softmax(_counted(logits, mask))

    def of_targets(log_p: Array, targets: Array) -> Array:
        return -jnp.take_along_axis(log_p, targets[..., None], axis=-1)[..., 0]

    axes = targets.ndim
    each = automatic(of_targets, log_p, targets, out=lambda: P(*batch_spec(log_p, axes)))
    return reduce(each, mask, reduction)


def mse(
    outputs: Array, targets: Array, mask: Array | None = None, reduction: str = "mean"
) -> Array:
    """L = Σ_t ‖y_t − target_t‖² / O, the mean over outputs of the squared error.

    Args:
        outputs: (..., O).
        targets: (..., O).
        mask, reduction: as in :func:`cross_entropy`.
    Returns:
        a scalar; 0 if no target counts.
    Raises:
        ValueError: shapes that do not fit, or an unknown reduction.
    Source: the notes, training: mean squared error for regression.

    >>> float(mse(jnp.ones((2, 3, 1)), jnp.zeros((2, 3, 1)), reduction="sum_over_time"))
    3.0
    """
    if outputs.shape != jnp.shape(targets):
        raise ValueError(f"mse: outputs {outputs.shape} and targets {jnp.shape(targets)} differ")
    error = _counted(outputs, mask) - _counted(jnp.asarray(targets), mask)
    return reduce(jnp.square(error).mean(-1), mask, reduction)


def _counted(values: Array, mask: Array | None) -> Array:
    """(..., O), zero where the mask is false, so that a NaN there stays out of gradients too."""
    _check_mask(mask, values.shape[:-1])
    return values if mask is None else jnp.where(mask[..., None], values, 0)


def _check_mask(mask: Array | None, shape: tuple[int, ...]) -> None:
    if mask is not None and jnp.shape(mask) != shape:
        raise ValueError(f"mask must be {shape}, as the targets, got {jnp.shape(mask)}")


def reduce(each: Array, mask: Array | None, reduction: str = "mean") -> Array:
    """Reduce the losses of all targets, (B,) or (B, T), to a scalar: see :func:`cross_entropy`."""
    validate.choice("reduction", reduction, REDUCTIONS)
    if mask is None:
        count = _at_least_one(each.size)
    else:
        _check_mask(mask, each.shape)
        each = jnp.where(mask, each, 0)
        count = jnp.maximum(mask.sum(dtype=each.dtype), 1)
    return each.sum() / (_at_least_one(each.shape[0]) if reduction == "sum_over_time" else count)


def _at_least_one(size: int) -> int:
    """Return the divisor of a sum, which is 0 where there is nothing to sum."""
    return max(size, 1) if isinstance(size, int) else size  # symbolic sizes are at least 1


LOSSES: dict[str, Callable[..., Array]] = {"cross_entropy": cross_entropy, "mse": mse}


def by_name(name: str | Callable[..., Array]) -> Callable[..., Array]:
    """Return the loss that a task or a config names; a callable is returned as it is.

    Raises:
        ValueError: an unknown name; the nearest is suggested.

    >>> by_name("mse") is mse
    True
    """
    if callable(name):
        return name
    return LOSSES[validate.choice("loss", name, LOSSES)]


def accuracy(logits: Array, targets: Array, mask: Array | None = None) -> Array:
    """Return the share of targets at which the largest logit is the target's.

    Args:
        logits: (..., O). targets: (...) whole numbers, 0 … O−1.
        mask: (...) true where a target counts; None: everywhere.
    Returns:
        a scalar in [0, 1].
    Raises:
        ValueError: shapes that do not fit.

    >>> float(accuracy(jnp.eye(2), jnp.array([0, 0])))
    0.5
    """
    if logits.shape[:-1] != jnp.shape(targets):
        raise ValueError(
            f"accuracy: logits {logits.shape} need targets of shape "
            f"{logits.shape[:-1]}, got {jnp.shape(targets)}"
        )
    correct = (jnp.argmax(logits, axis=-1) == targets).astype(logits.dtype)
    return reduce(correct, mask)
