"""Training: one member, and many members as one program; optimizers, checkpoints, results.

The names below are those that a training experiment needs.
"""

from rnnlab.training.named import register_optimizer, register_schedule
from rnnlab.training.optimizers import Hyper, Optimizer
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
    STOPPED,
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
    "STOPPED",
    "Hyper",
    "Member",
    "MemberSpec",
    "Optimizer",
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
    "register_optimizer",
    "register_schedule",
    "run",
    "scored",
    "setup_of",
    "task_of",
]
