"""The table of results for a terminal: columns that fit its width, the best rows marked."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from rnnlab.core import terminal
from rnnlab.core.terminal import Paint
from rnnlab.results.summary import Spread, Summary, parts, value_words

MOST_ROWS = 20  # at the end of a run
_GAP = "  "
_STAR = " *"
_NAMED = 6  # results that a note names
_LONGEST_NOTE = 24  # characters of a text in a note


@dataclass(frozen=True)
class _Column:
    """A column: its heading's lines, and the cells as (text, style) pieces of equal widths."""

    heading: list[str]
    cells: list[list[tuple[str, str]]]

    @property
    def width(self) -> int:
        cells = (sum(terminal.width(text) for text, _ in cell) for cell in self.cells)
        return max([*cells, *map(terminal.width, self.heading)])


def format_summary(
    summary: Summary,
    title: str,
    command: str,
    *,
    width: int | None = None,
    paint: Paint = terminal.plain,
    most_rows: int | None = None,
) -> str:
    """Return the table of results as text.

    Args:
        summary: the table.
        title: the run, in words.
        command: the command that shows the whole table, for what does not fit.
        width: columns of the terminal; None: as many as it has.
        paint: colors.
        most_rows: rows to show at most; None: all.
    """
    width = width or terminal.columns()
    places = _rows_shown(summary, most_rows)
    lines = [*textwrap.wrap(f"{title}: {meaning(summary)}", width), ""]
    if len(summary.rows) == 1 and not summary.axes:
        lines += _listed(summary, width, paint)
        missing: list[str] = []
    else:
        axes = [_axis_column(summary, axis, places) for axis in summary.axes]
        results = [_result_column(summary, name, places) for name in summary.shown]
        kept = _fitting(axes, results, width)
        if kept < len(results):
            axes = [_axis_column(summary, axis, places, split=True) for axis in summary.axes]
            kept = _fitting(axes, results, width)
        missing = summary.shown[kept:]
        if kept:
            lines += _side_by_side([*axes, *results[:kept]], places, paint)
        else:
            missing = summary.shown[1:]
            lines += _stacked(summary, places, width, paint)
    notes = []
    left = len(summary.rows) - sum(place >= 0 for place in places)
    if left:
        notes.append(f"{left} more row{'s' * (left > 1)}: {command}")
    if missing:
        notes.append(
            f"not shown: {_named(missing)}; {command} --metric={','.join(missing[:2])}"
            + ",..." * (len(missing) > 2)
        )
    if summary.follow:
        notes.append(f"follows from the other axes: {', '.join(summary.follow)}")
    if same := ", ".join(f"{name} {text}" for name, text in same_words(summary)):
        notes.append(f"the same in every row: {same}")
    for note in notes:
        lines += [paint(line, "dim") for line in _wrapped(note, width)]
    return "\n".join(lines)


def meaning(summary: Summary) -> str:
    """Return how the numbers of a table are to be read, in words."""
    fewest, most = summary.seeds
    words = []
    if most > 1:
        seeds = f"{most} seeds" if fewest == most else f"{fewest} to {most} seeds"
        words.append(f"median [lowest, highest] over {seeds}")
    elif "seed" in summary.axes:
        words.append("a row per seed")
    else:
        words.append("one seed")
    if any(summary.best.values()):
        within = f" for each {' and '.join(summary.within)}" if summary.within else ""
        words.append(f"* best{within}")
    return "; ".join(words)


def _rows_shown(summary: Summary, most: int | None) -> list[int]:
    """Return places of rows, −1 for a gap: the first rows, and the best ones by the headline."""
    count = len(summary.rows)
    if most is None or count <= most:
        return list(range(count))
    best = sorted(summary.best.get(summary.shown[0], ()))
    after = [place for place in best if place >= most][:3]
    return [*range(most), -1, *after]


def _axis_column(
    summary: Summary, axis: str, places: Sequence[int], split: bool = False
) -> _Column:
    """Return the column of an axis; ``split``: with its key on two lines where that saves room."""
    texts = [value_words(summary.rows[p].values[axis]) if p >= 0 else "…" for p in places]
    heading = [axis]
    group, dot, key = axis.rpartition(".")
    if split and dot and terminal.width(axis) > max(map(terminal.width, texts)):
        heading = [f"{group}.", key]
    return _Column(heading, [[(text, "")] for text in texts])


def _result_column(summary: Summary, name: str, places: Sequence[int]) -> _Column:
    """Return a column of results, in which medians and intervals stand below one another."""
    metric = summary.metrics[name]
    best = summary.best.get(name, set())
    pairs = [
        parts(summary.rows[p].cells[name], metric, summary.rows[p].members) if p >= 0 else ("", "")
        for p in places
    ]
    numeric = any(p >= 0 and isinstance(summary.rows[p].cells[name], Spread) for p in places)
    left = max(terminal.width(text) for text, _ in pairs)
    right = max(terminal.width(text) for _, text in pairs)
    cells = []
    for place, (text, interval) in zip(places, pairs, strict=True):
        gap = " " * (left - terminal.width(text))
        star = _STAR if place in best else " " * len(_STAR) * bool(best)
        space = " " * (right - terminal.width(interval))
        style = "good" if place in best else ""
        median = gap + text if numeric else text + gap
        tail = f" {interval}" if right else ""
        cells.append([(median, style), (tail, style or "dim"), (space, ""), (star, style)])
    return _Column([name, *([f"({metric.unit})"] if metric.unit else [])], cells)


def _fitting(axes: Sequence[_Column], results: Sequence[_Column], width: int) -> int:
    """Return the number of results whose columns fit beside those of the axes."""
    taken = sum(column.width + len(_GAP) for column in axes)
    for count, column in enumerate(results):
        taken += column.width + len(_GAP)
        if taken - len(_GAP) > width:
            return count
    return len(results)


def _side_by_side(columns: Sequence[_Column], places: Sequence[int], paint: Paint) -> list[str]:
    height = max(len(column.heading) for column in columns)
    lines = []
    for level in range(height):
        texts = []
        for column in columns:
            heading = [*[""] * (height - len(column.heading)), *column.heading]
            texts.append(terminal.padded(heading[level], column.width))
        lines.append(paint(_GAP.join(texts).rstrip(), "bold"))
    for place in range(len(places)):
        cells = []
        for column in columns:
            pieces = column.cells[place]
            used = sum(terminal.width(text) for text, _ in pieces)
            cells.append(_painted(pieces, paint) + " " * (column.width - used))
        lines.append(_GAP.join(cells).rstrip())
    return lines


def _painted(pieces: Sequence[tuple[str, str]], paint: Paint) -> str:
    return "".join(paint(text, style) if style else text for text, style in pieces)


def _stacked(summary: Summary, places: Sequence[int], width: int, paint: Paint) -> list[str]:
    """Return two lines or more per row, for a terminal too narrow for columns."""
    name = summary.shown[0]
    metric = summary.metrics[name]
    lines = []
    for place in places:
        if place < 0:
            lines.append("…")
            continue
        row = summary.rows[place]
        words = " ".join(f"{axis}={value_words(value)}" for axis, value in row.values.items())
        lines += _wrapped(words, width)
        cell = " ".join(filter(None, parts(row.cells[name], metric, row.members)))
        unit = f" {metric.unit}" * bool(metric.unit)
        best = place in summary.best.get(name, ())
        text = f"  {name} {cell}{unit}{_STAR * best}"
        lines.append(paint(text, "good") if best else text)
    return lines


def _listed(summary: Summary, width: int, paint: Paint) -> list[str]:
    """Return a line per result, for a table of one row."""
    row = summary.rows[0]
    names = max(terminal.width(name) for name in summary.shown)
    lines = []
    for name in summary.shown:
        metric = summary.metrics[name]
        words = [*parts(row.cells[name], metric, row.members), metric.unit]
        text = " ".join(filter(None, words))
        head = paint(terminal.padded(name, names), "bold" if name == summary.shown[0] else "")
        lines.append(f"{head}{_GAP}{terminal.cut(text, max(10, width - names - len(_GAP)))}")
    return lines


def same_words(summary: Summary) -> list[tuple[str, str]]:
    """Return (name, value with its unit) of the short results that are the same in every row."""
    words = []
    for name, cell in summary.same.items():
        if isinstance(cell, str) and len(cell) > _LONGEST_NOTE:
            continue
        metric = summary.metrics[name]
        text, _ = parts(cell, metric, 0)
        unit = "" if text == metric.infinite or metric.unit == name else metric.unit
        words.append((name, " ".join(filter(None, (text, unit)))))
    return words


def _named(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + f" and {more} more" * (more > 0)


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(
        text, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
