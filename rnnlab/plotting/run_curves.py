"""Learning curves of several runs over each other: what `rnnlab compare` draws."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnlab.plotting import plots
from rnnlab.results.table import Table

_FIRST = ("loss", "train_loss")  # shown first; then the tasks' own scores
_MOST = 4  # panels
_APART = ("step", "train_loss", "grad_norm", "grad_norm_max", "learning_rate")
_NAMES = {"loss": "test loss", "train_loss": "training loss"}


def curves_of(table: Table, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """(updates (looks,), values (members, looks)) of a metric, from when half the members told it.

    Between and after its own looks a member keeps its last value, before the first it has NaN:
    those that looked at other updates, or stopped early, still make one line.
    """
    told = [
        {r["step"]: float(r[metric]) for r in member.metrics if _tells(r, metric)}
        for member in table
    ]
    told = [looks for looks in told if looks]
    steps = np.array(sorted({step for looks in told for step in looks}))
    values = np.full((len(told), steps.size), np.nan)
    for row, looks in zip(values, told, strict=True):
        at = np.array(sorted(looks))
        last = np.searchsorted(at, steps, side="right") - 1
        known = np.array([looks[step] for step in at])
        row[last >= 0] = known[last[last >= 0]]
    begun = 2 * sum(steps >= min(looks) for looks in told) >= len(told)
    return steps[begun], values[:, begun]


def _tells(record: Mapping[str, Any], metric: str) -> bool:
    return "step" in record and isinstance(record.get(metric), int | float)


def metrics_of(tables: Mapping[str, Table]) -> list[str]:
    """The metrics that two runs or more told while they learned; at most four, losses first."""
    seen: dict[str, int] = {}
    for table in tables.values():
        names = {
            name
            for member in table
            for record in member.metrics
            if "train_loss" in record
            for name in record
            if _tells(record, name)
        }
        for name in sorted(names):
            seen[name] = seen.get(name, 0) + 1
    shared = [name for name, runs in seen.items() if runs > 1]
    scores = [name for name in shared if name not in _APART and name != "loss"]
    return [*(name for name in _FIRST if name in shared), *scores][:_MOST]


def draw(tables: Mapping[str, Table]) -> Any | None:
    """A panel a metric, a line a run: the median over its members, with the 10–90% band.

    Args:
        tables: members by the run's name.
    Returns:
        the figure; None where no two runs told the same metric while they learned.
    """
    metrics = metrics_of(tables)
    if not metrics:
        return None
    figure, axes = plots.new_figure(1, len(metrics), size=(4.2 * len(metrics) + 0.8, 3.4))
    for ax, metric in zip(axes[0], metrics, strict=True):
        curves = {name: curves_of(table, metric) for name, table in tables.items()}
        decades = _wide([values for _, values in curves.values()])
        ends = []
        for index, (name, (steps, values)) in enumerate(curves.items()):
            if steps.size:
                shown = np.log10(values) if decades else values
                ends.append(plots.band(ax, steps, shown, name, index))
        ax.set(xlabel="updates")
        plots.title(ax, "log10 of " * decades + _NAMES.get(metric, metric))
        plots.direct_labels(ax, ends)
    return figure


def _wide(curves: list[np.ndarray]) -> bool:
    """Whether values, all above 0, differ so much that powers of ten show them better."""
    values = np.concatenate([c.ravel() for c in curves])
    values = values[np.isfinite(values)]
    return bool(values.size and values.min() > 0 and values.max() > 100 * values.min())
