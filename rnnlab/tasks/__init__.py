"""Tasks: what recurrent networks learn, by name."""

from rnnlab.tasks.base import Batch, Goal, Task
from rnnlab.tasks.registry import TASKS, by_name, config, from_config, register_task

__all__ = ["TASKS", "Batch", "Goal", "Task", "by_name", "config", "from_config", "register_task"]
