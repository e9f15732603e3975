"""Cells, tasks and config that the experiments on initialization schemes share."""

from collections.abc import Mapping

import ml_collections

from rnnlab import training
from rnnlab.lab.lines import Labels
from rnnlab.training import runner

SIMPLE, GATED = ("rnn-tanh", "rnn-relu"), ("lstm", "gru")
CELLS = (*SIMPLE, *GATED)
TASKS = ("adding", "delayed_recall", "pixel_digits")
TITLES = Labels({"rnn-tanh": "tanh RNN", "rnn-relu": "ReLU RNN", "lstm": "LSTM", "gru": "GRU"})


def config(
    *,
    init: Mapping[str, object],
    training_changes: Mapping[str, object],
    run: Mapping[str, object],
    full: bool,
) -> ml_collections.ConfigDict:
    """Return the locked config of an experiment that trains several cells on several tasks.

    Args:
        init: the group ``init``.
        training_changes: the rate and steps of :func:`rnnlab.training.config`.
        run: keys of the group ``run`` that the experiment has beside the shared ones.
        full: whether this is the large scale: H = 128 instead of 32.
    """
    config = ml_collections.ConfigDict(
        {
            "seed": 0,
            # None: the task's own; the members set them
            "task": {
                "name": "adding",
                "length": None,
                "delay": None,
                "source": None,
                "solved_at": None,
            },
            "cell": {"name": "rnn-tanh", "hidden_size": 128 if full else 32, "layers": 1},
            "init": dict(init),
            "training": training.config(
                clip_norm=1.0,
                batch_size=32 if full else 16,
                eval_batch_size=1000 if full else 200,
                eval_sample=1000 if full else 200,  # of the digits; the other tasks draw as many
                **training_changes,
            ),
            # updates before which the gradient is measured; 0: before the first
            "probes": {"at": (0,)},
            "run": runner.config(
                scale="full" if full else "small",  # scale of the tasks: small or full
                seconds_per_member=450.0 if full else 0.25,
                **run,
            ),
        }
    )
    return config.lock()


def task_options(scale: str, task: str, delay: int) -> dict[str, object]:
    """Return the size of a task and when it counts as solved, by dotted key.

    Args:
        scale: "small" or "full".
        task: one of TASKS.
        delay: of delayed recall at the small scale.
    """
    full = scale == "full"
    if task == "adding":
        # at T = 50 no tanh RNN leaves the baseline in the small budgets, whatever its scheme
        return {"task.length": 200 if full else 20, "task.solved_at": 0.01 if full else 0.05}
    if task == "delayed_recall":
        return {"task.delay": 100 if full else delay, "task.solved_at": 0.01 if full else 0.05}
    return {
        "task.source": "mnist" if full else "digits",
        "task.solved_at": 0.9 if full else 0.7,
    }
