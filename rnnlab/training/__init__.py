"""Training: one member, and many members as one program; optimizers, checkpoints, results.

The names below are those that a training experiment needs.
"""

from rnnlab.training.runner import run
from rnnlab.training.settings import (
    Member,
    MemberSpec,
    RunOptions,
    Settings,
    Setup,
    check,
    config,
    draw_params,
    hyper_of,
    member,
    scored,
    setup_of,
    task_of,
)
from rnnlab.training.train import (
    DIVERGED,
    FINISHED,
    RUNNING,
    SOLVED,
    STATUS,
    Progress,
    Train,
    TrainState,
    make_train,
)

__all__ = [
    "DIVERGED",
    "FINISHED",
    "RUNNING",
    "SOLVED",
    "STATUS",
    "Member",
    "MemberSpec",
    "Progress",
    "RunOptions",
    "Settings",
    "Setup",
    "Train",
    "TrainState",
    "check",
    "config",
    "draw_params",
    "hyper_of",
    "make_train",
    "member",
    "run",
    "scored",
    "setup_of",
    "task_of",
]
