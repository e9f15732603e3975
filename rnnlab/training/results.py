"""The results of a member that has stopped."""

import math
from typing import Any

import numpy as np

from rnnlab.core.nested import joined
from rnnlab.nn import models, unroll
from rnnlab.tasks.base import coverage
from rnnlab.training.checkpoints import digest
from rnnlab.training.gradient_log import features
from rnnlab.training.train import STATUS, Progress, Train, TrainState

PyTree = Any  # a data set

# the numbers that every member has beside the scores of its task
NUMBERS = ("steps", "solved_at", "diverged_at", "train_loss", "baseline", "params")


def results(train: Train, state: TrainState, last: Progress, data: PyTree) -> dict[str, object]:
    """Return the results of a member that has stopped.

    Args:
        train: its training function. state: its last state, host arrays.
        last: the progress of its last chunk, Python numbers.
        data: of its task.
    Returns:
        status ("solved", "finished", "diverged", "stopped" for lack of progress), steps, solved_at
        and diverged_at (steps; inf: never), the last scores (with ``keep_best`` those of the best
        look), where validation chooses best_step (the step of the best look; 0: none was a
        number), the task's memoryless baseline, the number of parameters and their SHA-256;
        "averaged_params" where those that are scored and stored are averages (training.ema_decay,
        or an optimizer that averages); where a test set is held out also how much of it is
        "scored", of how much
        that is "held_out", and the "scored_unit"; for a member that diverged also overflow_at_t,
        the first time step whose state is not finite in the forward pass of the batch on which it
        diverged (−1: the forward pass is finite, or the model is not one cell, one way, without an
        embedding).
    """
    setup, step = train.setup, int(state.step)
    params, score = train.chosen(state, last.score)
    status = STATUS[int(state.status)]
    before = {
        "status": status,
        "steps": step,
        "solved_at": step if status == "solved" else math.inf,
        "diverged_at": step if status == "diverged" else math.inf,
        "train_loss": last.train_loss,
    }
    after = {
        "baseline": float(setup.task.baseline(data)),
        "params": models.count_params(params),
        "sha256": digest(params),
    }
    settings = setup.settings
    if settings.chooses:
        before["best_step"] = int(state.best.step)
    if settings.optimizer.averages:
        after["averaged_params"] = True
    scored = coverage(setup.task, data, settings.eval_sample, settings.eval_batch_size)
    if scored is not None:
        after |= {"scored": scored.scored, "held_out": scored.held_out}
        after |= {"scored_unit": scored.unit}
    if status == "diverged":
        after["overflow_at_t"] = _overflow_at(train, state, data)
    return joined(before, score, after)


def _overflow_at(train: Train, state: TrainState, data: PyTree) -> int:
    cell = train.setup.cell
    if cell is None:
        return -1
    batch, start = train.window(state, data)
    ys, _ = unroll.unroll(
        cell,
        state.params["params"]["recurrent"],
        features(train.setup, batch.inputs),
        initial_state=start,
    )
    overflowed = ~np.isfinite(np.asarray(ys)).all(axis=(0, 2))
    return int(np.argmax(overflowed)) if overflowed.any() else -1
