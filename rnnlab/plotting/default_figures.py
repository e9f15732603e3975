"""Figures of an experiment that draws none itself, made from what was swept.

Logged metrics are drawn against steps, final results against the swept numbers, or as points per
value of what is swept by name. A panel per value of every further axis: nothing is pooled but
seeds, over which lines are medians.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnlab.core.nested import flatten
from rnnlab.plotting import keys, plots, run_curves
from rnnlab.results.table import Member, Table, Value, words

MOST_COLUMNS = 4  # metrics or results; the caption names the others
_MOST_LINES = len(plots.COLORS)  # that a reader tells apart
_LAST = (  # results beside a score, and measurements of the training itself
    *("train_loss", "grad_norm", "grad_norm_max", "learning_rate", "steps", "solved_at"),
    *("diverged_at", "baseline", "params", "scored", "held_out", "overflow_at_t", "ms_per_step"),
)
_LOG_SCALE = 30  # the ratio of the swept numbers from which their axis is logarithmic


@dataclass(frozen=True)
class Axis:
    """An axis of a sweep: the keys that change together, and their values side by side."""

    keys: tuple[str, ...]
    values: tuple[tuple[Value, ...], ...]

    @property
    def name(self) -> str:
        """Its keys, with a comma between."""
        return ", ".join(self.keys)

    @property
    def numeric(self) -> bool:
        """Whether it is one key with numbers."""
        numbers = all(type(row[0]) in (int, float) for row in self.values)
        return len(self.keys) == 1 and numbers

    def label(self, row: tuple[Value, ...]) -> str:
        """Return the label of one of its values."""
        return ", ".join("none" if value in ("", None) else str(value) for value in row)

    def members(self, table: Table, row: tuple[Value, ...]) -> Table:
        """Select the members with one of its values."""
        for key, value in zip(self.keys, row, strict=True):
            table = table.select({key: [value]})  # in a list: a tuple is a value, no choice
        return table


def axes_of(table: Table) -> list[Axis]:
    """Return the axes in which the members differ, but for the seed; tied keys are one axis.

    >>> configs = [{"w_x": "a", "w_h": "b", "n": n} for n in (1, 2)] + [{"w_x": "c", "w_h": "d"}]
    >>> [axis.keys for axis in axes_of(Table(Member(0, {}, c, 0.0, {}) for c in configs))]
    [('w_x', 'w_h'), ('n',)]
    """
    flats = [flatten(member.config) for member in table]
    columns = {key: [flat.get(key) for flat in flats] for key in table.unnamed()}
    groups: list[list[str]] = []
    for key, column in columns.items():
        for group in groups:
            first = columns[group[0]]
            if len(set(zip(first, column, strict=True))) == len(set(first)) == len(set(column)):
                group.append(key)
                break
        else:
            groups.append([key])
    return [
        Axis(tuple(keys), tuple(dict.fromkeys(zip(*(columns[key] for key in keys), strict=True))))
        for keys in groups
    ]


def draw(table: Table) -> dict[str, tuple[Figure, str]]:
    """Return the figures by name, each with its caption: "metrics" and "results".

    Args:
        table: the members. Without logged metrics there is no figure "metrics"; without numbers
            among the results, or of a single member, none of "results".
    """
    figures = {}
    if names := _logged(table):
        figures["metrics"] = _metrics(table, names)
    names = _results(table)
    if names and len(table) > 1:
        figures["results"] = _final(table, names)
    return figures


def _scores(names: Sequence[str]) -> list[str]:
    """Return the names to draw: scores, or where there are none all that was measured."""
    return [name for name in names if name not in _LAST][:MOST_COLUMNS] or [*names[:MOST_COLUMNS]]


def _ordered(names: Mapping[str, object]) -> list[str]:
    first = [name for name in ("loss",) if name in names]
    last = sorted((name for name in names if name in _LAST), key=_LAST.index)
    return [*first, *(name for name in names if name not in (*first, *last)), *last]


def _logged(table: Table) -> list[str]:
    records = (record for member in table for record in member.metrics)
    names = {name: None for r in records for name in r if name != "step" and _is_number(r[name])}
    return _ordered(names)


def _results(table: Table) -> list[str]:
    names = {name: None for m in table for name in m.result if _is_number(m.result[name])}
    return _ordered(names)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _lines_first(axes: Sequence[Axis], but: Axis | None = None) -> Axis | None:
    """Choose the axis with a line per value: the first one with few values, by name if it can."""
    free = [axis for axis in axes if axis is not but]
    few = [axis for axis in free if len(axis.values) <= _MOST_LINES]
    named = [axis for axis in few if not axis.numeric]
    return next(iter([*named, *few]), None)


def _panels(table: Table, axes: Sequence[Axis]) -> Iterator[tuple[str, Table]]:
    """Yield (setting in words, members) for each combination of values that members have."""
    for rows in itertools.product(*(axis.values for axis in axes)):
        members = table
        for axis, row in zip(axes, rows, strict=True):
            members = axis.members(members, row)
        if len(members):
            setting: dict[str, Value] = {}
            for axis, row in zip(axes, rows, strict=True):
                setting |= zip(axis.keys, row, strict=True)
            yield words(setting), members


def _grid(
    table: Table, axes: Sequence[Axis], columns: Sequence[str], names: Sequence[str]
) -> tuple[Figure, list[tuple[str, Table, np.ndarray]], str]:
    """Return a figure with a row per setting, and what the caption adds.

    Args:
        table: the members. axes: a row per combination of their values.
        columns: what is drawn, a column each. names: what could be.
    """
    panels = list(_panels(table, axes))
    shown = panels[: run_curves.MOST_ROWS]
    size = (4.4 * len(columns) + 1.2, 3.3 * len(shown))
    figure, grid = plots.new_figure(len(shown), len(columns), size=size)
    for (setting, _), row in zip(shown, grid, strict=True):
        plots.title(row[0], setting)
    notes = []
    if axes:
        notes.append(f"A row per value of {' and '.join(axis.name for axis in axes)}.")
    if left := len(panels) - len(shown):
        notes.append(f"{left} more of {len(panels)} rows are not drawn.")
    if others := [name for name in names if name not in columns]:
        notes.append(f"Not drawn: {', '.join(others)}.")
    rows = [(setting, members, row) for (setting, members), row in zip(shown, grid, strict=True)]
    return figure, rows, " ".join(["", *notes])


def _metrics(table: Table, names: Sequence[str]) -> tuple[Figure, str]:
    axes = axes_of(table)
    lines = _lines_first(axes)
    drawn = names[:MOST_COLUMNS]
    figure, rows, notes = _grid(table, [axis for axis in axes if axis is not lines], drawn, names)
    for _, members, row in rows:
        groups = {"": members}
        if lines is not None:
            groups = {lines.label(v): lines.members(members, v) for v in lines.values}
        for ax, name in zip(row, drawn, strict=True):
            curves = {label: _curves(group, name) for label, group in groups.items()}
            log_scale = run_curves.spans_decades(values for _, values in curves.values())
            ends = [
                plots.band(ax, steps, np.log10(values) if log_scale else values, label, index)
                for index, (label, (steps, values)) in enumerate(curves.items())
                if steps.size
            ]
            ax.set(xlabel="step", ylabel=f"{plots.LOG} of " * log_scale + name)
            plots.direct_labels(ax, ends)
    by = f"A line per value of {lines.name}: " if lines is not None else "Shown: "
    drawn_words = f"{by}{plots.MEDIAN_AND_BAND} over seeds."
    return figure, f"Metrics logged during the run. {drawn_words}{notes}"


def _curves(members: Table, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a metric against steps; records without a step count by their place."""
    placed = [
        Member(
            m.index,
            m.overrides,
            m.config,
            m.seconds,
            m.result,
            tuple({"step": place} | record for place, record in enumerate(m.metrics)),
        )
        for m in members
    ]
    return run_curves.curves_of(Table(placed, members.criteria), name)


def _final(table: Table, names: Sequence[str]) -> tuple[Figure, str]:
    axes = axes_of(table)
    numeric = [axis for axis in axes if axis.numeric]
    x = max(numeric, key=lambda axis: len(axis.values), default=None)
    if x is None:
        return _points(table, axes, names)
    lines = _lines_first(axes, but=x)
    rest = [axis for axis in axes if axis not in (x, lines)]
    drawn = _scores(names)
    figure, rows, notes = _grid(table, rest, drawn, names)
    for _, members, row in rows:
        groups = {"": members}
        if lines is not None:
            groups = {lines.label(v): lines.members(members, v) for v in lines.values}
        for ax, name in zip(row, drawn, strict=True):
            ends = [
                _line(ax, group, x.keys[0], name, label, index)
                for index, (label, group) in enumerate(groups.items())
            ]
            numbers = [float(row[0]) for row in x.values]
            if min(numbers) > 0 and max(numbers) >= _LOG_SCALE * min(numbers):
                ax.set_xscale("log")
            _finish(ax, members, name)
            ax.set(xlabel=x.name)
            plots.direct_labels(ax, ends)
    by = f" A line per value of {lines.name}." if lines is not None else ""
    return figure, (
        f"Results against {x.name}: a point per member, lines through the medians over seeds."
        f"{by}{notes}"
    )


def _values(members: Table, name: str) -> np.ndarray:
    """Return a result of the members that have it and in whom it is finite."""
    numbers = [m.result[name] for m in members if _is_number(m.result.get(name))]
    return np.array([number for number in numbers if math.isfinite(number)], float)


def _line(
    ax: Axes, members: Table, key: str, name: str, label: str, index: int
) -> plots.End | None:
    groups = {float(value): _values(group, name) for value, group in members.group_by(key).items()}
    at = np.array(sorted(value for value, numbers in groups.items() if numbers.size))
    if not at.size:
        return None
    look = plots.look(index)
    for value in at:
        numbers = groups[value]
        at_value = np.full(numbers.size, value)
        (dots,) = ax.plot(at_value, numbers, "o", color=look["color"], markersize=3)
        dots.set_label(label)
        keys.mark(dots, "a member")
    medians = [float(np.median(groups[value])) for value in at]
    (line,) = ax.plot(at, medians, **look, label=f"{label}, median".removeprefix(", "))
    keys.mark(line, plots.MEDIAN)
    return plots.End(float(at[-1]), medians[-1], label, look["color"])


def _points(table: Table, axes: Sequence[Axis], names: Sequence[str]) -> tuple[Figure, str]:
    """Draw results by name: a column of points per value, a panel per value of other axes."""
    place = max(axes, key=lambda axis: len(axis.values), default=None)
    drawn = _scores(names)
    figure, rows, notes = _grid(table, [axis for axis in axes if axis is not place], drawn, names)
    for _, members, row in rows:
        groups = {"all members": members}
        if place is not None:
            groups = {place.label(v): place.members(members, v) for v in place.values}
        for ax, name in zip(row, drawn, strict=True):
            for index, group in enumerate(groups.values()):
                values, color = _values(group, name), plots.look(index)["color"]
                (dots,) = ax.plot(
                    *(np.full(values.size, index), values, "o"), color=color, markersize=4
                )
                keys.mark(dots, "a member")
                if values.size:
                    (bar,) = ax.plot(index, np.median(values), "_", color=color, markersize=18)
                    bar.set_label(plots.MEDIAN)
                    keys.mark(bar, plots.MEDIAN)
            ax.set_xticks(
                range(len(groups)), list(groups), rotation=30, ha="right", rotation_mode="anchor"
            )
            ax.set_xlim(-0.5, len(groups) - 0.5)
            _finish(ax, members, name)
    by = f" by {place.name}" if place is not None else ""
    return figure, f"Results{by}: a point per member, a bar at the median over seeds.{notes}"


def _finish(ax: Axes, members: Table, name: str) -> None:
    """Label the y axis, and say how many members have no finite value."""
    missing = len(members) - _values(members, name).size
    ax.set_ylabel(name)
    if run_curves.spans_decades([_values(members, name)]):
        ax.set_yscale("log")
    if missing:
        text = f"{missing} of {len(members)} not finite"
        ax.annotate(text, (0.02, 0.98), xycoords="axes fraction", va="top", fontsize=8)
