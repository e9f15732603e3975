"""Training: one member, and many members as one program; optimizers, checkpoints, results.

The names below are what a training experiment needs; each lives in a file of this package.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnnlab.training.runner import run
    from rnnlab.training.settings import (
        Member,
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
    "Progress",
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


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(importlib.import_module(f"rnnlab.training.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module 'rnnlab.training' has no attribute {name!r}")
