"""Tasks: what recurrent networks learn, by name."""

from types import ModuleType

from rnnlab.core.lazy import submodule
from rnnlab.tasks.base import Batch, Goal, Task
from rnnlab.tasks.registry import TASKS, by_name, config, from_config, register_task

__all__ = ["TASKS", "Batch", "Goal", "Task", "by_name", "config", "from_config", "register_task"]


def __getattr__(name: str) -> ModuleType:
    return submodule(__name__, name)
