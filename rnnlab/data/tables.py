"""Columns of numbers: of tables in text (.csv, .tsv, columns between blanks), and standardization.

A table may begin with a line of names; without one, its columns are called 1, 2, …. A column of
numbers is one at least half of whose filled cells are numbers; columns of dates and words are set
aside. Where commas do not separate cells, a number may have a decimal comma.
"""

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from rnnlab.core.errors import unknown
from rnnlab.core.notices import left_out
from rnnlab.core.validate import choice
from rnnlab.data.files import Row, number, read_rows, short

GAPS = ("refuse", "drop", "interpolate")
# names of a column of classes, where an option names none
LABEL_NAMES = ("label", "class", "sentiment", "category", "target")
# names of a column that tells series apart, and of one of times, where an option names none
SERIES_NAMES = ("id", "series", "series_id", "sequence", "sequence_id", "sample", "case")
TIME_NAMES = ("time", "t", "step", "date", "datetime", "timestamp", "index")
# a first line that has one of these is of names, even where the others are numbers
_USUAL_NAMES = {*LABEL_NAMES, *SERIES_NAMES, *TIME_NAMES, "name", "classes", "labels"}
_USUAL_NAMES |= {"day", "weekday", "week", "month", "year", "hour", "country", "region", "station"}
_COUNTED = 3  # names 0, 1, 2, … or 1, 2, 3, …, at least so many, that are no values
_EMPTY = {"", "na", "n/a", "nan", "null", "none", "-", "?", "."}  # cells without a value
_NAMED = 9  # lines in a message


class Numbers(NamedTuple):
    """Columns of numbers."""

    names: tuple[str, ...]
    values: np.ndarray  # (N, D) float64, all finite


class Cells(NamedTuple):
    """A table in text: its columns' names, and its rows as they are written."""

    names: tuple[str, ...]  # of the first line; "1", "2", … where it has none
    rows: list[Row]
    decimal_comma: bool  # whether "0,5" is 0.5
    named: bool  # whether the first line has names
    blank: tuple[bool, ...]  # columns whose name is empty


class _Column(NamedTuple):
    name: str
    values: np.ndarray  # (N,) float64, NaN where a cell is empty
    wrong: tuple[int, str] | None  # the first cell that is neither empty nor a number
    numeric: bool


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
    return _numbers(path, read_cells(path), None, gaps)


def read_columns(
    path: str, columns: Sequence[str], gaps: str = "refuse", option: str = "task.column"
) -> Numbers:
    """Read columns of numbers of a table; the others may hold anything.

    Args:
        path: the file.
        columns: their names, or their numbers where they have no names; none: the only column of
            numbers.
        gaps: what to do about empty cells, see :func:`filled`.
        option: the key that names them, for messages.
    Raises:
        FileNotFoundError: no such file.
        ValueError: as :func:`read_table`; or no such column, or none named of several.
    """
    cells = read_cells(path)
    read = _columns(cells)
    numeric = [c.name for c in read if c.numeric]
    described = [_described(c, cells) for c in read if c.numeric]
    chosen = named_columns(path, columns, cells.names, numeric, option, described)
    for column in read:
        if column.name in chosen and not column.numeric:
            line, cell = column.wrong or (cells.rows[0].line, "")
            raise ValueError(
                f"{path}, line {line}: a number expected in column {column.name!r} ({option}), got "
                f"{short(cell)} (columns of numbers: {', '.join(numeric) or 'none'})"
            )
    return _numbers(path, cells, chosen, gaps, quiet=bool(columns))


def named_columns(
    path: str,
    asked: Sequence[str],
    names: Sequence[str],
    numeric: Sequence[str],
    option: str,
    described: Sequence[str] = (),
) -> tuple[str, ...]:
    """Return the names of the columns that an option asks for.

    Args:
        asked: what it names; nothing: the only column of numbers.
        names: of all columns. numeric: of those of numbers.
        option: the key, for messages. described: ``numeric`` as a message lists them.
    Raises:
        ValueError: an unknown name, twice the same, or none named of several.
    """
    listed = "; ".join(described or numeric) or "none"
    if not asked:
        if len(numeric) == 1:
            return tuple(numeric)
        if not numeric:
            raise ValueError(f"{path} has no column of numbers, only {', '.join(names)}")
        raise ValueError(
            f"{path}: {option} must name one of its columns of numbers ({listed}), or several with "
            f"commas between, as in --config.{option}={numeric[0]}; got ''"
        )
    for name in asked:
        if names.count(name) > 1:
            raise ValueError(f"{path} has several columns {name!r}: give them different names")
        if name not in names:
            raise ValueError(f"{path}: {unknown(f'column of {option}:', name, names)}")
    if len(set(asked)) < len(asked):
        raise ValueError(f"{path}: {option} names a column twice: {', '.join(asked)}")
    return tuple(asked)


def split_names(option: str, known: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the names of columns in an option, which commas separate.

    Args:
        option: the text. known: names of columns, of which one may contain a comma.

    >>> split_names("sales, temperature"), split_names("a,b", ["a,b"]), split_names("")
    (('sales', 'temperature'), ('a,b',), ())
    """
    if option in known:
        return (option,)
    return tuple(name.strip() for name in option.split(",")) if option.strip() else ()


def names_of(path: str) -> tuple[str, ...]:
    """Return the names of a table's columns, see :class:`Cells`."""
    return read_cells(path).names


def _numbers(
    path: str, cells: Cells, chosen: Sequence[str] | None, gaps: str, quiet: bool = False
) -> Numbers:
    """Return the chosen columns, or all of numbers, without gaps.

    Args:
        quiet: whether the columns were named, so that nothing need be said of the others.
    """
    read = _columns(cells)
    kept = [column for column in read if column.numeric]
    if chosen is not None:
        by_name = {column.name: column for column in read}
        kept = [by_name[name] for name in chosen]
    if not kept:
        raise ValueError(f"{path} has no column of numbers, only {', '.join(cells.names)}")
    if not quiet:
        _say_set_aside(path, cells, read)
    for column in kept:
        _check_cells(path, column)
    names = tuple(column.name for column in kept)
    values = np.stack([column.values for column in kept], axis=1)
    lines = np.array([row.line for row in cells.rows])
    return Numbers(names, filled(path, names, values, lines, gaps))


def read_cells(path: str) -> Cells:
    """Read the cells of a table in text, and find whether its first line has names.

    Without names, the first row has a number or nothing in every column of numbers. Names may be
    numbers, such as years, beside a usual name of a column of words ("label", "day"), or where
    they count 0, 1, 2, … or 1, 2, 3, … beside a word; not where that word occurs again below.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no table (:func:`rnnlab.data.files.read_rows`), or names and no rows.
    """
    grid = read_rows(path, ",;\t| ")
    rows, comma = grid.rows, grid.delimiter != ","
    first = [number(cell, comma) for cell in rows[0].cells]
    named = len(rows) == 1 or not any(value is not None for value in first)
    named = named or any(
        value is None and cell.lower() not in _EMPTY and _column("", rows[1:], place, comma).numeric
        for place, (value, cell) in enumerate(zip(first, rows[0].cells, strict=True))
    )
    named = named or _numbers_are_names(rows, first)
    places = [str(place) for place in range(1, len(first) + 1)]
    if not named:
        return Cells(tuple(places), rows, comma, False, (False,) * len(places))
    blank = tuple(not name for name in rows[0].cells)
    names = tuple(
        name or (f"column {place}" if place in rows[0].cells else place)
        for name, place in zip(rows[0].cells, places, strict=True)
    )
    if len(rows) == 1:
        raise ValueError(f"{path} has names of columns and no rows: {', '.join(names)}")
    return Cells(names, rows[1:], comma, True, blank)


def _numbers_are_names(rows: Sequence[Row], first: Sequence[float | None]) -> bool:
    """Return whether numbers of a first line are names, see :func:`read_cells`.

    Args:
        first: the numbers of the line's cells, None where a cell is none.
    """
    words = [
        cell
        for place, (value, cell) in enumerate(zip(first, rows[0].cells, strict=True))
        if value is None
        and not is_empty(cell)
        and not any(row.cells[place] == cell for row in rows[1:])
    ]
    counted = [cell for value, cell in zip(first, rows[0].cells, strict=True) if value is not None]
    in_order = len(counted) >= _COUNTED and any(
        counted == [str(start + i) for i in range(len(counted))] for start in (0, 1)
    )
    return bool(words) and (in_order or any(word.lower() in _USUAL_NAMES for word in words))


def _columns(cells: Cells) -> list[_Column]:
    read = []
    for place, (name, blank) in enumerate(zip(cells.names, cells.blank, strict=True)):
        column = _column(name, cells.rows, place, cells.decimal_comma)
        if blank and (np.diff(column.values) == 1).all():
            # the number of the row, which pandas writes in a column without a name
            column = column._replace(numeric=False)
        read.append(column)
    return read


def numeric_names(cells: Cells) -> tuple[str, ...]:
    """Return the names of a table's columns of numbers."""
    return tuple(column.name for column in _columns(cells) if column.numeric)


def numbers_of(path: str, cells: Cells, names: Collection[str]) -> dict[str, np.ndarray]:
    """Return columns of numbers of a table, (N,) each, NaN where a cell is empty.

    Args:
        names: of columns, all different.
    Raises:
        ValueError: a cell that is neither empty nor a number.
    """
    chosen = [column for column in _columns(cells) if column.name in names]
    for column in chosen:
        _check_cells(path, column)
    return {column.name: column.values for column in chosen}


def _column(name: str, rows: Sequence[Row], place: int, comma: bool) -> _Column:
    values, wrong, numbers, words = np.full(len(rows), math.nan), None, 0, 0
    for i, (line, cells) in enumerate(rows):
        cell = cells[place]
        if is_empty(cell):
            continue
        value = number(cell, comma)
        if value is not None and math.isfinite(value):
            values[i] = value
        else:
            wrong = wrong or (line, cell)
        numbers += value is not None
        words += value is None
    return _Column(name, values, wrong, numbers > 0 and numbers >= words)


def is_empty(cell: str) -> bool:
    """Return whether a cell holds no value: nothing, or one of the usual words for it.

    >>> is_empty(""), is_empty("NA"), is_empty("0")
    (True, True, False)
    """
    return cell.lower() in _EMPTY


def _check_cells(path: str, column: _Column) -> None:
    if column.wrong:
        line, cell = column.wrong
        raise ValueError(
            f"{path}, line {line}: a finite number expected in column {column.name!r}, got "
            f"{short(cell)}"
        )


def _described(column: _Column, cells: Cells) -> str:
    empty = np.array([row.line for row in cells.rows])[np.isnan(column.values)]
    if not len(empty):
        return column.name
    return f"{column.name}: empty in {_listed('line', empty)}, see task.gaps"


def _say_set_aside(path: str, cells: Cells, read: Sequence[_Column]) -> None:
    aside = [column.name for column in read if not column.numeric]
    if aside:
        kept = ", ".join(column.name for column in read if column.numeric)
        left_out(f"{path}: set aside {', '.join(aside)}, not of numbers; used: {kept}")
    if not cells.named:
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
