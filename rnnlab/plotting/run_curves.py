"""Learning curves of several runs in one panel per metric, as `rnnlab compare` draws them."""

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
from matplotlib.figure import Figure

from rnnlab.plotting import plots
from rnnlab.results.table import Record, Table

_LOSSES = ("loss", "train_loss")  # shown first, before the tasks' own scores
_MOST_PANELS = 4
_NO_SCORES = ("step", "loss", "train_loss", "grad_norm", "grad_norm_max", "learning_rate")
_TITLES = {"loss": "test loss", "train_loss": "training loss"}


def curves_of(table: Table, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a metric of all members on one grid of updates.

    Members may have logged it at different updates, or have stopped early. Between its records and
    after the last one a member keeps its value; before the first one it has NaN. The grid begins
    where at least half of the members have a value.

    Args:
        table: the members of one run.
        metric: its name in the records of metrics.jsonl.
    Returns:
        (updates (points,), values (members, points)), without members that never logged it.
    """
    import pandas as pd

    curves = []
    for member in table:
        logged = {r["step"]: float(r[metric]) for r in member.metrics if _has_point(r, metric)}
        if logged:
            curves.append(pd.Series(logged).sort_index())
    if not curves:
        return np.array([]), np.empty((0, 0))
    updates = np.unique(np.concatenate([curve.index for curve in curves]))
    # reindex fills steps that a member lacks and leaves a NaN that it logged
    values = np.stack([curve.reindex(updates, method="ffill").to_numpy() for curve in curves])
    begun = np.sum([updates >= curve.index[0] for curve in curves], axis=0)
    shown = 2 * begun >= len(curves)
    return updates[shown], values[:, shown]


def _has_point(record: Record, metric: str) -> bool:
    return "step" in record and isinstance(record.get(metric), int | float)


def metrics_of(tables: Mapping[str, Table]) -> list[str]:
    """Return the metrics that two runs or more logged during training; at most four, losses first.

    Args:
        tables: members by the run's name.
    """
    runs = Counter(name for table in tables.values() for name in sorted(_metrics_logged(table)))
    shared = [name for name, count in runs.items() if count > 1]
    losses = [name for name in _LOSSES if name in shared]
    return [*losses, *(name for name in shared if name not in _NO_SCORES)][:_MOST_PANELS]


def _metrics_logged(table: Table) -> set[str]:
    records = (record for member in table for record in member.metrics if "train_loss" in record)
    return {name for record in records for name in record if _has_point(record, name)}


def draw(tables: Mapping[str, Table]) -> Figure | None:
    """Draw a panel per metric with a line per run: the median of its members and the 10–90% band.

    Args:
        tables: members by the run's name.
    Returns:
        the figure; None where no two runs logged the same metric during training.
    """
    metrics = metrics_of(tables)
    if not metrics:
        return None
    figure, axes = plots.new_figure(1, len(metrics), size=(4.2 * len(metrics) + 0.8, 3.4))
    for ax, metric in zip(axes[0], metrics, strict=True):
        curves = {name: curves_of(table, metric) for name, table in tables.items()}
        log_scale = _spans_decades(values for _, values in curves.values())
        ends = []
        for index, (name, (updates, values)) in enumerate(curves.items()):
            if updates.size:
                shown = np.log10(values) if log_scale else values
                ends.append(plots.band(ax, updates, shown, name, index))
        ax.set(xlabel="updates")
        plots.title(ax, "log10 of " * log_scale + _TITLES.get(metric, metric))
        plots.direct_labels(ax, ends)
    return figure


def _spans_decades(curves: Iterable[np.ndarray]) -> bool:
    """Whether all values are above 0 and the largest is over 100 times the smallest."""
    values = np.concatenate([curve.ravel() for curve in curves])
    values = values[np.isfinite(values)]
    return bool(values.size and values.min() > 0 and values.max() > 100 * values.min())
