"""Labeled series from tables in text: one series per row, or one step per row.

    label,1,2,3            label,series,step,x,y
    up,0.5,0.7,0.9         up,a,1,0.5,2.0
    down,0.4,0.1,          up,a,2,0.7,2.1
                           down,b,1,0.4,1.9

On the left a row is a series of one channel; empty cells at its end are no steps, so that series
may be of different lengths. On the right the rows with one value in the column of series are the
steps of one series, in order, and each column of numbers is a channel.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnnlab.core.errors import unknown
from rnnlab.core.notices import left_out
from rnnlab.core.validate import choice
from rnnlab.data import series_files
from rnnlab.data.files import suffix
from rnnlab.data.series_files import Labeled
from rnnlab.data.tables import (
    GAPS,
    LABEL_NAMES,
    SERIES_NAMES,
    TIME_NAMES,
    Cells,
    filled,
    is_empty,
    numbers_of,
    numeric_names,
    read_cells,
)


class _Series(NamedTuple):
    values: np.ndarray  # (T, D) without gaps
    label: str


def read_labeled(
    path: str | Path, label: str = "", series: str = "", gaps: str = GAPS[0]
) -> Labeled:
    """Read the labeled series of a .ts file or of a table; either may be compressed (.gz).

    Args:
        path: a .ts file (:mod:`rnnlab.data.series_files`), or a table.
        label: of a table, the column of classes; empty: one with a name of
            :data:`rnnlab.data.tables.LABEL_NAMES`, or the only column of words.
        series: of a table with one step per row, the column that tells series apart; empty: one
            with a name of :data:`rnnlab.data.tables.SERIES_NAMES` whose values repeat; without one
            each row is a series.
        gaps: of a table, what to do about empty cells inside a series, see
            :func:`rnnlab.data.tables.filled`.
    Raises:
        FileNotFoundError: no such file.
        ValueError: a file that does not fit, or options of a table for a .ts file; the message
            names the line.
    """
    path, gaps = str(path), choice("gaps", gaps, GAPS)
    if suffix(path) == ".ts":
        columns = ("label_column", label), ("series_column", series)
        for name, value in (*columns, ("gaps", gaps)):
            if value not in ("", GAPS[0]):
                raise ValueError(f"{path}: a .ts file has no task.{name}, got {value!r}")
        return series_files.read(path)
    cells = read_cells(path)
    if twice := [name for name in cells.names if cells.names.count(name) > 1]:
        raise ValueError(f"{path} has several columns {twice[0]!r}: give them different names")
    numbers = numeric_names(cells)
    label = _label(path, cells, numbers, label, series)
    series = _tells_apart(path, cells, label, series)
    others = {label, series} - {""} | _named(cells, TIME_NAMES if series else SERIES_NAMES)
    channels = numbers_of(path, cells, [name for name in numbers if name not in others])
    if not channels:
        raise ValueError(f"{path} has no column of numbers beside {', '.join(sorted(others))}")
    aside = [name for name in cells.names if name not in {*channels, label, series}]
    if aside:
        left_out(f"{path}: set aside {', '.join(aside)}; values are of {_listed([*channels])}")
    read = (_of_steps if series else _of_rows)(path, cells, channels, gaps, label, series)
    found = list(read)
    classes = tuple(sorted({one.label for one in found}))
    if len(classes) < 2:
        raise ValueError(
            f"{path}: at least 2 classes expected in column {label!r}, got {', '.join(classes)}"
        )
    place = {name: i for i, name in enumerate(classes)}
    labels = np.array([place[one.label] for one in found], np.int32)
    return Labeled(tuple(one.values for one in found), labels, classes)


def _named(cells: Cells, names: Sequence[str]) -> set[str]:
    """Return the columns with one of the usual names, in any case."""
    return {name for name in cells.names if name.lower() in names}


def _column(cells: Cells, name: str) -> list[str]:
    place = cells.names.index(name)
    return [row.cells[place] for row in cells.rows]


def _label(path: str, cells: Cells, numbers: Sequence[str], label: str, series: str) -> str:
    """Return the column of classes."""
    if label:
        if label not in cells.names:
            what = unknown("column of task.label_column:", label, cells.names)
            raise ValueError(f"{path}: {what}")
        return label
    usual = [name for name in cells.names if name.lower() in LABEL_NAMES]
    others = {series, *numbers} | _named(cells, (*SERIES_NAMES, *TIME_NAMES))
    words = [
        name
        for name in cells.names
        if name not in others and not all(map(is_empty, _column(cells, name)))
    ]
    for found in (usual, words):
        if len(found) == 1:
            return found[0]
    raise ValueError(
        f"{path}: task.label_column must name the column of classes, one of "
        f"{_listed(cells.names)}, as in --config.task.label_column={cells.names[0]}; got ''"
    )


def _tells_apart(path: str, cells: Cells, label: str, series: str) -> str:
    """Return the column that tells series apart; empty: each row is a series."""
    if not series:
        for name in cells.names:
            if name.lower() in SERIES_NAMES and name != label:
                column = _column(cells, name)
                if len(set(column)) < len(column):
                    return name
        return ""
    if series not in cells.names:
        raise ValueError(f"{path}: {unknown('column of task.series_column:', series, cells.names)}")
    if series == label:
        raise ValueError(
            f"{path}: task.series_column and task.label_column are the same column, {label!r}"
        )
    return series


def _of_rows(
    path: str,
    cells: Cells,
    channels: dict[str, np.ndarray],
    gaps: str,
    label: str,
    series: str,
) -> Iterator[_Series]:
    """Return a series of one channel per row."""
    del series
    grid = np.stack([*channels.values()], axis=1)
    places = np.array([cells.names.index(name) + 1 for name in channels])
    for row, line, name in zip(grid, cells.rows, _column(cells, label), strict=True):
        where = f"{path}, line {line.line}"
        known = np.flatnonzero(~np.isnan(row))
        if is_empty(name):
            raise ValueError(f"{where}: the class is empty (column {label!r})")
        if not len(known):
            raise ValueError(f"{where}: a series without a value")
        own = row[: known[-1] + 1, None]
        yield _Series(filled(where, ("values",), own, places[: len(own)], gaps, "column"), name)


def _of_steps(
    path: str,
    cells: Cells,
    channels: dict[str, np.ndarray],
    gaps: str,
    label: str,
    series: str,
) -> Iterator[_Series]:
    """Return the series whose steps are rows, in the order of their first steps."""
    labels, lines = _column(cells, label), np.array([row.line for row in cells.rows])
    rows: dict[str, list[int]] = {}
    for i, name in enumerate(_column(cells, series)):
        for column, cell in ((series, name), (label, labels[i])):
            if is_empty(cell):
                raise ValueError(f"{path}, line {lines[i]}: column {column!r} is empty")
        rows.setdefault(name, []).append(i)
    grid = np.stack([*channels.values()], axis=1)
    for name, own in rows.items():
        for i in own:
            if labels[i] != labels[own[0]]:
                raise ValueError(
                    f"{path}, line {lines[i]}: class {labels[i]!r} of series {name!r}, which is "
                    f"{labels[own[0]]!r} in line {lines[own[0]]}"
                )
        yield _Series(filled(path, [*channels], grid[own], lines[own], gaps), labels[own[0]])


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) < 9 else f"{names[0]}, {names[1]}, … {names[-1]}"
