"""Results of a member that has stopped."""

import math
from typing import Any

import numpy as np

from rnnlab.nn import layers, models, unroll
from rnnlab.training.checkpoints import digest
from rnnlab.training.gradient_log import features
from rnnlab.training.train import STATUS, Train, TrainState


def results(train: Train, state: TrainState, told: Any, data: Any) -> dict[str, Any]:
    """What is recorded of a member that has stopped.

    Args:
        train: its training function. state: its last state, host arrays.
        told: its last :class:`~rnnlab.training.train.Progress`, Python numbers.
        data: of its task.
    Returns:
        status ("solved", "finished", "diverged"), steps, solved_at and diverged_at (steps; inf:
        never), the last scores, the task's memoryless baseline, the number of parameters and
        their SHA-256; for one that diverged overflow_at_t, the first time step whose state is not
        finite in the forward pass of the batch it diverged on (−1: the forward pass is finite, or
        the model is not one cell, one way, without an embedding).
    """
    setup, step = train.setup, int(state.step)
    status = STATUS[int(state.status)]
    found = {
        "status": status,
        "steps": step,
        "solved_at": step if status == "solved" else math.inf,
        "diverged_at": step if status == "diverged" else math.inf,
        "train_loss": told.train_loss,
        **told.score,
        "baseline": float(setup.task.baseline(data)),
        "params": models.count_params(state.params),
        "sha256": digest(state.params),
    }
    if status == "diverged":
        found["overflow_at_t"] = _overflow_at(train, state, data)
    return found


def _overflow_at(train: Train, state: TrainState, data: Any) -> int:
    model = train.setup.model
    if not isinstance(model.layer, layers.CellLayer) or getattr(model, "embedding_size", 0):
        return -1
    batch, start = train.window(state, data)
    ys, _ = unroll.unroll(
        model.layer.cell,
        state.params["params"]["recurrent"],
        features(train.setup, batch.inputs),
        initial_state=start,
    )
    lost = ~np.isfinite(np.asarray(ys)).all(axis=(0, 2))
    return int(np.argmax(lost)) if lost.any() else -1
