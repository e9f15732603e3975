"""Learning curves of several runs, as `rnnlab compare` draws them: never pooled but over seeds.

A row of panels per value of the axes in which members of one run differ, a panel per metric, a line
per run.
"""

import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnlab.core.errors import Pooled
from rnnlab.core.nested import flatten
from rnnlab.plotting import plots
from rnnlab.results.table import Record, Table, words

_LOSSES = ("loss", "train_loss")  # shown first, before the tasks' own scores
_MOST_PANELS = 4
MOST_ROWS = 24  # of settings; the caption says how many more there are
_NO_SCORES = ("step", "loss", "train_loss", "grad_norm", "grad_norm_max", "learning_rate")
_TITLES = {"loss": "test loss", "train_loss": "training loss"}


def curves_of(table: Table, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a metric of all members on one grid of updates.

    Members may have logged it at different updates, or have stopped early. Between its records and
    after the last one a member keeps its value; before the first one it has NaN. The grid begins
    where at least half of the members have a value.

    Args:
        table: the members of one line, which differ in the seed.
        metric: its name in the records of metrics.jsonl.
    Returns:
        (updates (points,), values (members, points)), without members that never logged it.
    Raises:
        Pooled: (an Undecided) members that differ in an axis that is not named.
    """
    if axes := table.unnamed():
        raise Pooled(axes)
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


def settings_of(tables: Mapping[str, Table]) -> dict[str, dict[str, Table]]:
    """Return the members of every run by setting: the values of the axes that some run has.

    Args:
        tables: members by the run's name.
    Returns:
        {"cell.name=gru": {"the run's name": its members, …}, …}; one setting "" where members of
        a run differ in their seeds only.
    """
    axes = dict.fromkeys(key for table in tables.values() for key in table.unnamed())
    settings: dict[str, dict[str, Table]] = {}
    for name, table in tables.items():
        chosen = [table]
        known = [key for key in axes if any(key in flatten(m.config) for m in table)]
        for key in known:
            chosen = [group for t in chosen for group in t.group_by(key).values()]
        for members in chosen:
            text = words({key: members.criteria[key] for key in known})
            settings.setdefault(text, {})[name] = members
    return settings


def draw(tables: Mapping[str, Table]) -> tuple[Figure, str] | None:
    """Draw a panel per setting and metric with a line per run: its median and band.

    Args:
        tables: members by the run's name.
    Returns:
        the figure and its caption; None where no two runs logged the same metric during training.
    """
    metrics = metrics_of(tables)
    if not metrics:
        return None
    settings = settings_of(tables)
    shown = dict(list(settings.items())[:MOST_ROWS])
    size = (4.2 * len(metrics) + 0.8, 3.4 * len(shown))
    figure, axes = plots.new_figure(len(shown), len(metrics), size=size)
    for row, (setting, by_run) in zip(axes, shown.items(), strict=True):
        for ax, metric in zip(row, metrics, strict=True):
            _panel(ax, by_run, metric, list(tables))
        if setting:
            row[0].set_ylabel(textwrap.fill(setting.replace(", ", ",\n"), 40), fontsize=8)
    caption = f"A line per run: {plots.MEDIAN_AND_BAND} over its seeds."
    if len(settings) > 1:
        caption += " A row per setting that members of a run differ in"
        left = len(settings) - len(shown)
        caption += f"; {left} more of {len(settings)} are not drawn." if left else "."
    return figure, caption


def _panel(ax: Axes, by_run: Mapping[str, Table], metric: str, names: Sequence[str]) -> None:
    curves = {name: curves_of(table, metric) for name, table in by_run.items()}
    log_scale = spans_decades(values for _, values in curves.values())
    ends = []
    for name, (updates, values) in curves.items():
        if updates.size:
            shown = np.log10(values) if log_scale else values
            ends.append(plots.band(ax, updates, shown, name, names.index(name)))
    ax.set(xlabel="updates")
    plots.title(ax, f"{plots.LOG} of " * log_scale + _TITLES.get(metric, metric))
    plots.direct_labels(ax, ends)


def spans_decades(curves: Iterable[np.ndarray]) -> bool:
    """Whether all values are above 0 and the largest is over 100 times the smallest."""
    values = np.concatenate([curve.ravel() for curve in curves])
    values = values[np.isfinite(values)]
    return bool(values.size and values.min() > 0 and values.max() > 100 * values.min())
