"""The sequences that a model's layer reads, before any training."""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from rnnlab.nn import models
from rnnlab.tasks.base import lengths_of
from rnnlab.training.regularizers import layer_inputs

if TYPE_CHECKING:
    from rnnlab.training.settings import Setup

Array = jax.Array
PyTree = Any


def sequences(
    setup: "Setup", model: models.Recurrent, params: PyTree, key: Array, count: int
) -> tuple[Array, Array | None]:
    """Return what a model's layer reads of a task's batch 0, and the real steps of each sequence.

    Args:
        setup: of the member; of truncated BPTT it is the first window.
        model, params: the model, whose embedding is applied.
        key: draws the batch. count: B, its sequences.
    Returns:
        ((B, T, D), (B,) or None).
    """
    batch = setup.task.batch(setup.task.load(), key, 0, count)
    inputs = jnp.asarray(batch.inputs)[:, : setup.window or None]
    return layer_inputs(model, params, inputs), lengths_of(batch)
