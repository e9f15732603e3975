"""Columns of numbers: of tables in text (.csv, .tsv, columns between blanks), and standardization.

A table may begin with a line of names; without one, its columns are called 1, 2, …. A column of
numbers is one at least half of whose filled cells are numbers; columns of dates and words are set
aside. Where commas do not separate cells, a number may have a decimal comma.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rnnlab.core.notices import left_out
from rnnlab.core.validate import choice
from rnnlab.data.files import number, read_rows, short

GAPS = ("refuse", "drop", "interpolate")
_EMPTY = {"", "na", "n/a", "nan", "null", "none", "-", "?", "."}  # cells without a value
_NAMED = 9  # lines in a message


class Numbers(NamedTuple):
    """Columns of numbers."""

    names: tuple[str, ...]
    values: np.ndarray  # (N, D) float64, all finite


class _Column(NamedTuple):
    name: str
    values: np.ndarray  # (N,) float64, NaN where a cell is empty
    wrong: tuple[int, str] | None  # the first cell that is neither empty nor a number
    numeric: bool


class _Table(NamedTuple):
    columns: list[_Column]
    lines: np.ndarray  # (N,) the line of each row
    named: bool  # whether the first line has names

    def of_numbers(self) -> list[_Column]:
        return [column for column in self.columns if column.numeric]


# ---- reading -----------------------------------------------------------------------------------


def read_table(path: str, gaps: str = "refuse") -> Numbers:
    """Read all columns of numbers of a table; the others are set aside, which is said once.

    Args:
        path: the file.
        gaps: what to do about empty cells, see :func:`filled`.
    Raises:
        FileNotFoundError: no such file.
        ValueError: no table (:func:`rnnlab.data.files.read_rows`), no column of numbers, a cell in
            one that is neither empty nor a number, or gaps that are refused; the message names
            the line.
    """
    table = _read(path)
    chosen = table.of_numbers()
    if not chosen:
        names = ", ".join(column.name for column in table.columns)
        raise ValueError(f"{path} has no column of numbers, only {names}")
    _say_set_aside(path, table)
    for column in chosen:
        _check_cells(path, column)
    names = tuple(column.name for column in chosen)
    values = np.stack([column.values for column in chosen], axis=1)
    return Numbers(names, filled(path, names, values, table.lines, gaps))


def read_column(path: str, column: str, gaps: str = "refuse") -> np.ndarray:
    """Read one column of numbers of a table; the others may hold anything.

    Args:
        path: the file.
        column: its name, or its number where the columns have no names; may be empty if there is
            one column of numbers only.
        gaps: what to do about empty cells, see :func:`filled`.
    Returns:
        (N,) float64.
    Raises:
        FileNotFoundError: no such file.
        ValueError: as :func:`read_table`; or no such column, none named of several, or one that
            does not vary.
    """
    table = _read(path)
    chosen = [c for c in table.columns if c.name == column] if column else table.of_numbers()
    if len(chosen) != 1:
        names = "; ".join(_described(c, table.lines) for c in table.of_numbers()) or "none"
        raise ValueError(
            f"{path}: task.column must name one of its columns of numbers ({names}), got {column!r}"
        )
    if not chosen[0].numeric:
        names = ", ".join(c.name for c in table.of_numbers()) or "none"
        line, cell = chosen[0].wrong or (int(table.lines[0]), "")
        raise ValueError(
            f"{path}, line {line}: a number expected in column {column!r}, got {short(cell)} "
            f"(columns of numbers: {names})"
        )
    _check_cells(path, chosen[0])
    if not column:
        _say_set_aside(path, table)
    names = (chosen[0].name,)
    values = filled(path, names, chosen[0].values[:, None], table.lines, gaps)
    scale_of(values, names, path)  # refuses one that does not vary
    return values[:, 0]


def _read(path: str) -> _Table:
    grid = read_rows(path, ",;\t| ")
    rows, comma = grid.rows, grid.delimiter != ","
    body = [_column("", rows[1:], place, comma) for place in range(len(rows[0].cells))]
    first = [number(cell, comma) for cell in rows[0].cells]
    # without names, the first row has a number or nothing in every column of numbers
    named = len(rows) == 1 or not any(value is not None for value in first)
    named = named or any(
        column.numeric and value is None and cell.lower() not in _EMPTY
        for column, value, cell in zip(body, first, rows[0].cells, strict=True)
    )
    if named:
        names = [name or str(place) for place, name in enumerate(rows[0].cells, 1)]
        unnamed = [not name for name in rows[0].cells]
        rows = rows[1:]
    else:
        names = [str(place) for place in range(1, len(first) + 1)]
        unnamed = [False] * len(names)
    if not rows:
        raise ValueError(f"{path} has names of columns and no rows: {', '.join(names)}")
    if not named:
        body = [_column("", rows, place, comma) for place in range(len(names))]
    read = [column._replace(name=name) for column, name in zip(body, names, strict=True)]
    read = [
        # the number of the row, which pandas writes in a column without a name
        column._replace(numeric=False) if skip and (np.diff(column.values) == 1).all() else column
        for column, skip in zip(read, unnamed, strict=True)
    ]
    return _Table(read, np.array([row.line for row in rows]), named)


def _column(name: str, rows: Sequence[tuple[int, list[str]]], place: int, comma: bool) -> _Column:
    values, wrong, numbers, words = np.full(len(rows), math.nan), None, 0, 0
    for i, (line, cells) in enumerate(rows):
        cell = cells[place]
        if cell.lower() in _EMPTY:
            continue
        value = number(cell, comma)
        if value is not None and math.isfinite(value):
            values[i] = value
        else:
            wrong = wrong or (line, cell)
        numbers += value is not None
        words += value is None
    return _Column(name, values, wrong, numbers > 0 and numbers >= words)


def _check_cells(path: str, column: _Column) -> None:
    if column.wrong:
        line, cell = column.wrong
        raise ValueError(
            f"{path}, line {line}: a finite number expected in column {column.name!r}, got "
            f"{short(cell)}"
        )


def _described(column: _Column, lines: np.ndarray) -> str:
    empty = lines[np.isnan(column.values)]
    if not len(empty):
        return column.name
    return f"{column.name}: empty in {_listed('line', empty)}, see task.gaps"


def _say_set_aside(path: str, table: _Table) -> None:
    aside = [column.name for column in table.columns if not column.numeric]
    if aside:
        kept = ", ".join(column.name for column in table.of_numbers())
        left_out(f"{path}: set aside {', '.join(aside)}, not of numbers; used: {kept}")
    if not table.named:
        left_out(f"{path}: line 1 has no names, so its columns are called 1, 2, …")


# ---- gaps --------------------------------------------------------------------------------------


def filled(
    path: str,
    names: Sequence[str],
    values: np.ndarray,
    lines: np.ndarray,
    gaps: str,
    unit: str = "line",
) -> np.ndarray:
    """Return columns without gaps, or refuse them.

    Args:
        path: the file. names: of the columns.
        values: (N, D), NaN where a cell is empty.
        lines: (N,) the line of each row. unit: what these numbers count.
        gaps: "refuse"; "drop": leave out each row that has one; "interpolate": fill it linearly
            from the rows before and after, taken as equally far apart.
    Returns:
        (M, D) float64, M ≤ N; a row dropped or a cell filled is said once.
    Raises:
        ValueError: gaps that are refused, interpolation at an end, or no row that is left.

    >>> values = np.array([[1.0], [np.nan], [2.0]])
    >>> filled("a.csv", ["x"], values, np.array([2, 3, 4]), "refuse")
    Traceback (most recent call last):
    ValueError: a.csv: column 'x' is empty in line 3; set task.gaps to "interpolate" to fill it \
from its neighbors, or to "drop" to leave the row out
    """
    choice("gaps", gaps, GAPS)
    empty = np.isnan(values)
    if not empty.any():
        return values
    column = int(empty.any(axis=0).argmax())
    where = _listed(unit, lines[empty[:, column]])
    rows = lines[empty.any(axis=1)]
    if gaps == "refuse":
        one = len(rows) == 1
        raise ValueError(
            f"{path}: column {names[column]!r} is empty in {where}; set task.gaps to "
            f'"interpolate" to fill {"it from its" if one else "them from their"} neighbors, or '
            f'to "drop" to leave the row{"" if one else "s"} out'
        )
    if gaps == "drop":
        kept = values[~empty.any(axis=1)]
        if not len(kept):
            raise ValueError(f"{path}: every row has an empty cell, so none is left (task.gaps)")
        left_out(
            f"{path}: left out {len(rows)} of {len(values)} rows, with empty cells: "
            f"{_listed(unit, rows)}"
        )
        return kept
    kept = values.copy()
    for d, name in enumerate(names):
        known = np.flatnonzero(~empty[:, d])
        if empty[0, d] or empty[-1, d]:
            end = lines[0] if empty[0, d] else lines[-1]
            raise ValueError(
                f"{path}, {unit} {end}: column {name!r} is empty at an end of the "
                'series, where nothing can be interpolated; set task.gaps to "drop"'
            )
        kept[:, d] = np.interp(np.arange(len(values)), known, values[known, d])
    left_out(
        f"{path}: interpolated empty cells of {len(rows)} of {len(values)} rows: "
        f"{_listed(unit, rows)}"
    )
    return kept


def _listed(unit: str, lines: np.ndarray) -> str:
    count = len(lines) if len(lines) <= _NAMED + 1 else _NAMED  # not "and 1 more"
    shown = ", ".join(map(str, lines[:count].tolist()))
    more = f" and {len(lines) - count} more" if len(lines) > count else ""
    return f"{unit}{'s' * (len(lines) > 1)} {shown}{more}"


# ---- standardization ---------------------------------------------------------------------------


class Scale(NamedTuple):
    """The scale of columns: x ↦ (x − mean) / spread."""

    mean: np.ndarray  # (D,)
    spread: np.ndarray  # (D,) the standard deviation; 1 for a column that does not vary


def scale_of(values: np.ndarray, names: Sequence[str], what: str) -> Scale:
    """Return the mean and standard deviation of columns.

    A column that does not vary keeps its place, as zeros, which is said once.

    Args:
        values: (N, D) finite. names: of the columns.
        what: the data in the message.
    Raises:
        ValueError: no column varies: there is nothing to learn.

    >>> scale_of(np.array([[1.0, -3.0], [3.0, 3.0]]), ["a", "b"], "x.csv").spread.tolist()
    [1.0, 3.0]
    >>> scale_of(np.full((3, 1), 0.1), ["level"], "x.csv")
    Traceback (most recent call last):
    ValueError: x.csv: column 'level' (0.1) does not vary: there is nothing to learn
    """
    least, most = values.min(axis=0), values.max(axis=0)
    # not by the deviation: that of three times 0.1 is 1.4e-17
    flat = least == most
    still = [f"{name!r} ({x:g})" for name, x, same in zip(names, least, flat, strict=True) if same]
    if flat.all():
        verb = "does" if len(still) == 1 else "do"
        plural = "s" * (len(still) > 1)
        raise ValueError(
            f"{what}: column{plural} {', '.join(still)} {verb} not vary: there is nothing to learn"
        )
    if still:
        left_out(f"{what}: set to 0, since it does not vary: {', '.join(still)}")
    mean = np.where(flat, least, values.mean(axis=0))
    with np.errstate(over="ignore"):
        spread = values.std(axis=0)
    if (~np.isfinite(spread) | (spread == 0) & ~flat).any():  # squares that over- or underflow
        far = np.where(flat, 1.0, np.abs(values - mean).max(axis=0))
        spread = far * ((values - mean) / far).std(axis=0)
    return Scale(mean, np.where(flat, 1.0, spread))
