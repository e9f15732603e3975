"""Training: one member, and many members as one program; optimizers, checkpoints, results.

The names below are those that a training experiment needs, imported from this package's files
when they are first used.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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

_HOME = {
    "runner": ["run"],
    "settings": [
        "Member",
        "MemberSpec",
        "RunOptions",
        "Settings",
        "Setup",
        "check",
        "config",
        "draw_params",
        "hyper_of",
        "member",
        "setup_of",
        "task_of",
    ],
    "train": [
        "DIVERGED",
        "FINISHED",
        "RUNNING",
        "SOLVED",
        "STATUS",
        "Progress",
        "Train",
        "TrainState",
        "make_train",
    ],
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}
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
    "setup_of",
    "task_of",
]


def __getattr__(name: str) -> object:
    if name in _MODULE_OF:
        return getattr(importlib.import_module(f"rnnlab.training.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module 'rnnlab.training' has no attribute {name!r}")
