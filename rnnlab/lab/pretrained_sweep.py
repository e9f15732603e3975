"""Random weights against pre-trained ones, with few labels and with all: a sweep and its lines."""

from typing import Any

from rnnlab.results.table import Table


def axes(config: Any, few: int) -> dict[Any, Any]:
    """A sweep over starts, labels and seeds; all members read the same pieces.

    Args:
        config: with ``pretrained``, the other start beside random weights where it is not empty;
            ``task.limit`` and ``training.steps`` with all labels; ``run.few_steps``, ``run.seeds``.
        few: labels of the other half of the members.
    """
    path = config.pretrained
    return {
        ("start.path", "task.pieces"): [(start, path) for start in dict.fromkeys(("", path))],
        ("task.limit", "training.steps"): [
            (few, config.run.few_steps),
            (config.task.limit, config.training.steps),
        ],
        "seed": tuple(range(config.run.seeds)),
    }


def lines(table: Table, limit: int) -> dict[str, Table]:
    """{"random": members, "pre-trained": members} of :func:`axes` with so many labels."""
    groups = table.select({"task.limit": limit}).group_by("start.path")
    return {"pre-trained" if path else "random": groups[path] for path in sorted(groups)}
