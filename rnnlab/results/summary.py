"""The results of a run in few numbers: a row per combination of the swept axes, seeds folded.

A number is the median over the seeds of a combination, beside the lowest and the highest of them.
"""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rnnlab.core.errors import UserError, unknown
from rnnlab.core.json_files import encode
from rnnlab.core.metrics import BUILT_IN, HIGHER, Metric, lookup
from rnnlab.core.nested import flatten
from rnnlab.results.table import Member, Table, Value

ABSENT = "–"  # a key that a member's config does not have
SECONDS = "seconds"
# keys of several runs beside each other
EXPERIMENT, DIRECTORY = "experiment", "directory"
_RESULT = "result."  # before a result that is named like the time of a member

# results that stand last in a table, and those that stand only in results.csv
_LAST = ("status", "solved_at", "diverged_at", "train_loss", "baseline", "ms_per_step", SECONDS)
_ASIDE = ("steps", "params", "sha256", "scored", "held_out", "scored_unit", "overflow_at_t")
_LONGEST = 24  # characters of a text in a table
_SIGNIFICANT = 4  # digits


class Spread(NamedTuple):
    """A result of the members of a row.

    Args:
        median: over the members; NaN counts as worst.
        lowest, highest: of the members; the worst of them is NaN where one is.
        members: those that have the result.
    """

    median: float
    lowest: float
    highest: float
    members: int


Cell = Spread | str | None  # numbers; texts, with how often each occurs; None: no such result


@dataclass(frozen=True)
class Row:
    """The members of one combination of values.

    Args:
        values: by axis.
        members: their number.
        cells: by result.
        follow: values of the keys that follow from the axes.
    """

    values: dict[str, Value]
    members: int
    cells: dict[str, Cell]
    follow: dict[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Summary:
    """The table of results: see :func:`summarize`.

    Args:
        axes: the keys by which rows differ.
        follow: keys that differ too, each of whose values follows from those of the axes.
        rows: in the order of the members.
        metrics: every result that is a number or a text, the headline first.
        shown: names of the results to show, the most important first.
        same: results that are the same in every row, by name.
        best: by metric, the places of the rows with the best median.
        within: axes for each of whose values a best row is marked on its own, since other values
            make another task.
    """

    axes: list[str]
    follow: list[str]
    rows: list[Row]
    metrics: dict[str, Metric]
    shown: list[str]
    same: dict[str, Cell]
    best: dict[str, set[int]]
    within: list[str]

    @property
    def seeds(self) -> tuple[int, int]:
        """The fewest and the most members of a row."""
        counts = [row.members for row in self.rows] or [0]
        return min(counts), max(counts)


def summarize(
    table: Table,
    declared: Iterable[Metric] = (),
    *,
    by: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
) -> Summary:
    """Return the results of members as a table, a row per combination of the swept axes.

    Args:
        table: the members.
        declared: how their results are read, the headline first.
        by: the axes; None: every key in which members differ, except for ``seed``.
        names: the results to show; None: the headline, then what differs between the rows.
    Raises:
        UserError: no members; an unknown axis or result; members that differ in an axis which
            ``by`` leaves out.
    """
    if not len(table):
        raise UserError("no member is finished yet: there are no results")
    declared = list(declared)
    flats = [flatten(member.config) for member in table]
    axes, follow = _axes(table, flats)
    if by is not None:
        axes, follow = _checked(table, by, axes), []
    results = [_results(member.result, member.seconds) for member in table]
    found = dict.fromkeys(name for result in results for name in result)
    metrics = {name: lookup(name, declared) for name in _ordered(found, declared)}
    groups: dict[tuple[Value, ...], list[int]] = {}
    for place, flat in enumerate(flats):
        groups.setdefault(tuple(flat.get(axis, ABSENT) for axis in axes), []).append(place)
    seen = [list(dict.fromkeys(column)) for column in zip(*groups, strict=True)]

    def order(values: tuple[Value, ...]) -> list[int]:
        return [known.index(value) for known, value in zip(seen, values, strict=True)]

    rows = [
        Row(
            dict(zip(axes, values, strict=True)),
            len(places),
            {
                name: _cell([_value(results[i], metric) for i in places], metric)
                for name, metric in metrics.items()
            },
            {key: flats[places[0]].get(key, ABSENT) for key in follow},
        )
        for values, places in sorted(groups.items(), key=lambda item: order(item[0]))
    ]
    same = _same(rows, metrics) if len(rows) > 1 else {}
    shown = _shown(rows, metrics, same, declared)
    if names is not None:
        for name in names:
            if name not in metrics:
                raise UserError(_no_result(name, table, metrics))
        shown, same = list(dict.fromkeys(names)), {}
    same = {name: cell for name, cell in same.items() if name not in shown}
    within = [axis for axis in axes if axis == EXPERIMENT or axis.startswith("task.")]
    best = {name: _best(rows, name, metrics[name], within) for name in shown}
    return Summary(axes, follow, rows, metrics, shown, same, best, within)


# ---- axes --------------------------------------------------------------------------------------


def _axes(table: Table, flats: Sequence[Mapping[str, Value]]) -> tuple[list[str], list[str]]:
    """Return (the axes, keys whose values follow from those of the axes before them).

    Keys of the group ``run`` say how members are run, and are axes only where the sweep has them.
    """
    swept = dict.fromkeys(key for member in table for key in member.overrides)
    others = dict.fromkeys(key for flat in flats for key in flat)
    last = [key for key in (DIRECTORY,) if key in others]
    keys = dict.fromkeys([EXPERIMENT, *swept, *others])
    axes: list[str] = []
    follow: list[str] = []
    for key in [*(key for key in keys if key not in last), *last]:
        if key == "seed" or key not in others:
            continue
        if key.startswith("run.") and key not in swept:
            continue
        values = [flat.get(key, ABSENT) for flat in flats]
        if len(set(values)) < 2:
            continue
        places = [tuple(flat.get(axis, ABSENT) for axis in axes) for flat in flats]
        tied = len(set(zip(places, values, strict=True))) == len(set(places))
        (follow if tied else axes).append(key)
    return axes, [key for key in follow if key in swept]


def _checked(table: Table, by: Sequence[str], axes: Sequence[str]) -> list[str]:
    """Return the axes given, if rows by them pool nothing but seeds.

    Raises:
        UserError: an unknown key, or an axis that they leave out.
    """
    keys = dict.fromkeys(key for member in table for key in flatten(member.config))
    for key in by:
        if key not in keys:
            raise UserError(unknown("axis", key, axes or keys))
    places: dict[tuple[Value, ...], list[Member]] = {}
    for member in table:
        flat = flatten(member.config)
        places.setdefault(tuple(flat.get(key, ABSENT) for key in by), []).append(member)
    groups = [Table(members, named=by) for members in places.values()]
    left = {key: values for group in groups for key, values in group.unnamed().items()}
    left = {key: left[key] for key in [*axes, *left] if key in left}
    if DIRECTORY in left and len(left) > 1:
        del left[DIRECTORY]
    if left:
        key, values = next(iter(left.items()))
        listed = ", ".join(map(str, values[:6])) + ", …" * (len(values) > 6)
        missing = [key for key in axes if key in left and key not in by] or [key]
        raise UserError(
            f"members differ in {key} ({listed}), which --by does not name, and only seeds are "
            f"folded: --by={','.join([*by, *missing])}"
        )
    return list(dict.fromkeys(by))


# ---- results -----------------------------------------------------------------------------------


def _results(result: Mapping[str, Value], seconds: float) -> dict[str, Value]:
    """Return a member's results that are numbers or texts, and the time it took.

    Where no result is one, the last value of each curve stands for it: ``norms[-1]``.
    """
    own = {
        (f"{_RESULT}{name}" if name == SECONDS else name): value
        for name, value in result.items()
        if isinstance(value, bool | int | float | str)
    }
    if not own:
        curves = {name: value for name, value in result.items() if isinstance(value, list)}
        own = {
            f"{name}[-1]": curve[-1]
            for name, curve in curves.items()
            if curve and isinstance(curve[-1], int | float)
        }
    return own | ({SECONDS: seconds} if seconds else {})  # 0: the member is not finished


def _ordered(names: Iterable[str], declared: Sequence[Metric]) -> list[str]:
    """Return the names of results, declared ones first."""
    names = list(names)
    first = [metric.name for metric in declared if metric.name in names]
    last = [name for name in (*_LAST, *_ASIDE) if name in names and name not in first]
    between = [name for name in names if name not in first and name not in last]
    between.sort(key=lambda name: name not in BUILT_IN)  # known measures of quality come first
    return list(dict.fromkeys([*first, *between, *last]))


def _value(result: Mapping[str, Value], metric: Metric) -> Value:
    """Return a member's result; NaN, the worst, where it diverged: its score is of before that."""
    value = result.get(metric.name)
    diverged = metric.better and result.get("status") == "diverged"
    return math.nan if diverged and isinstance(value, int | float) else value


def _cell(values: Sequence[Value], metric: Metric) -> Cell:
    """Return the cell of a row from the values of its members, None for those that lack it."""
    given = [value for value in values if value is not None]
    if not given:
        return None
    if any(isinstance(value, bool | str) for value in given):
        counts = {str(value): 0 for value in given}
        for value in given:
            counts[str(value)] += 1
        if len(counts) == 1 and len(given) == len(values):
            return next(iter(counts))
        if len(counts) > 3 or max(map(len, counts)) > _LONGEST:
            return f"{len(counts)} different"
        return ", ".join(f"{count} {text}" for text, count in counts.items())
    broken = [value for value in given if math.isnan(value)]
    numbers = sorted(float(value) for value in given if not math.isnan(value))
    numbers = [*broken, *numbers] if metric.better == HIGHER else [*numbers, *broken]
    half = len(numbers) // 2
    middle = numbers[half] if len(numbers) % 2 else _mean(numbers[half - 1], numbers[half])
    return Spread(middle, numbers[0], numbers[-1], len(given))


def _mean(low: float, high: float) -> float:
    return low if low == high else low / 2 + high / 2  # also of two infinite numbers


def _same(rows: Sequence[Row], names: Iterable[str]) -> dict[str, Cell]:
    """Return the results with one value in all members of all rows."""
    same = {}
    for name in names:
        if name == "sha256":
            continue
        first = rows[0].cells[name]
        fixed = isinstance(first, str) or (
            isinstance(first, Spread) and first.lowest == first.highest
        )
        if fixed and all(_equal(row.cells[name], first) for row in rows):
            same[name] = first
    return same


def _equal(a: Cell, b: Cell) -> bool:
    if isinstance(a, Spread) and isinstance(b, Spread):
        return a[:3] == b[:3]
    return a == b


def _shown(
    rows: Sequence[Row],
    metrics: Mapping[str, Metric],
    same: Mapping[str, Cell],
    declared: Sequence[Metric],
) -> list[str]:
    """Return the results that a table shows by default: see :func:`summarize`."""
    headline = next((metric.name for metric in declared if metric.name in metrics), "")
    shown = []
    for name in metrics:
        cells = [row.cells[name] for row in rows]
        long = any(isinstance(cell, str) and len(cell) > _LONGEST for cell in cells)
        if name == headline or not (name in _ASIDE or name in same or long):
            shown.append(name)
    return shown or list(metrics)[:1]


def _best(rows: Sequence[Row], name: str, metric: Metric, within: Sequence[str]) -> set[int]:
    """Return the places of the rows with the best median, where there are others."""
    if not metric.better:
        return set()
    groups: dict[tuple[Value, ...], list[tuple[int, float]]] = {}
    for place, row in enumerate(rows):
        cell = row.cells[name]
        if isinstance(cell, Spread):
            group = groups.setdefault(tuple(row.values[axis] for axis in within), [])
            group.append((place, cell.median))
    best = set()
    for group in groups.values():
        numbers = [median for _, median in group if not math.isnan(median)]
        if len(group) < 2 or len({median for _, median in group}) < 2 or not numbers:
            continue
        top = max(numbers) if metric.better == HIGHER else min(numbers)
        if math.isfinite(top):
            best |= {place for place, median in group if median == top}
    return best


def _no_result(name: str, table: Table, metrics: Iterable[str]) -> str:
    if any(isinstance(member.result.get(name), list | dict) for member in table):
        return (
            f"the result {name} is a list, not a number: read it in Python with "
            "rnnlab.load_run(DIR).to_frame()"
        )
    return unknown("result", name, metrics)


# ---- words -------------------------------------------------------------------------------------


def number(value: float, metric: Metric | None = None) -> str:
    """Return a number with four significant digits; whole numbers in full.

    >>> number(0.123456), number(1500), number(float("inf"), Metric("solved_at", infinite="never"))
    ('0.1235', '1500', 'never')
    """
    if metric is not None and math.isinf(value):
        return ("-" if value < 0 else "") + metric.infinite
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    return str(value) if isinstance(value, int) else f"{value:.{_SIGNIFICANT}g}"


def parts(cell: Cell, metric: Metric, members: int) -> tuple[str, str]:
    """Return a cell in words: (the median or the text, the interval).

    >>> parts(Spread(0.5, 0.25, 1.0, 3), Metric("loss"), 3)
    ('0.5', '[0.25, 1]')
    """
    if cell is None:
        return ABSENT, ""
    if isinstance(cell, str):
        return cell, ""
    lowest, median, highest = (
        number(value, metric) for value in (cell.lowest, cell.median, cell.highest)
    )
    interval = "" if lowest == highest else f"[{lowest}, {highest}]"
    if cell.members < members:
        interval += f" ({cell.members} of {members})"
    return median, interval.strip()


def value_words(value: Value) -> str:
    """Return a config's value as a row shows it; an empty text in quotes."""
    return str(value) if value != "" else "''"


def to_csv(summary: Summary, names: Iterable[str] | None = None) -> str:
    """Return the table as CSV: a row per combination, every result that is a number or a text.

    A number has three columns: NAME, its median over seeds, NAME.lowest and NAME.highest.
    ``members`` is the number of members of a row. Numbers that are not finite are nan, inf, -inf.

    Args:
        summary: the table.
        names: the results to write; None: all.
    """
    numbers = {
        name: any(isinstance(row.cells[name], Spread) for row in summary.rows)
        for name in (summary.metrics if names is None else names)
    }
    header = [*summary.axes, *summary.follow, "members"]
    for name, numeric in numbers.items():
        header += [name, f"{name}.lowest", f"{name}.highest"] if numeric else [name]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for row in summary.rows:
        line: list[object] = [*row.values.values(), *row.follow.values(), row.members]
        for name, numeric in numbers.items():
            cell = row.cells[name]
            if isinstance(cell, Spread):
                line += [int(v) if v.is_integer() else encode(v) for v in cell[:3]]
            else:
                line += ["" if cell is None else cell, *[""] * (2 * numeric)]
        writer.writerow(line)
    return text.getvalue()
