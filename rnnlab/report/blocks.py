"""The parts of a page in words: values, times, axes, tables, differences, commands."""

import datetime
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rnnlab.core import run_files
from rnnlab.core.json_files import decode, decode_config
from rnnlab.report.saved_run import SavedRun
from rnnlab.results.claims import Verdict
from rnnlab.results.summary import Summary, parts, value_words
from rnnlab.results.table import PHASE, Config, Record, Value
from rnnlab.results.text_table import meaning, same_words

_ABSENT = object()  # stands for a key that a run does not have, which differs from None


def show(value: Value) -> str:
    """Return a value of a config, as Python would write it; words without quotes.

    >>> show([1, 2]), show("lstm"), show("")
    ('(1, 2)', 'lstm', "''")
    """
    if value is _ABSENT:
        return "–"
    if isinstance(value, str) and value:
        return value
    return repr(decode_config(value)) if isinstance(value, list) else repr(value)


def split_flags(text: str) -> list[str]:
    """Split a text at command-line flags: every second piece is a flag.

    >>> split_flags("set --config.seed=1 first")
    ['set ', '--config.seed=1', ' first']
    """
    return re.split(r"(--\w[\w.=-]*\w)", text)


def duration(seconds: float) -> str:
    """Return a time in words.

    >>> duration(20.5), duration(123), duration(7300)
    ('20.5 s', '2 min 3 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def moment(iso: str) -> str:
    """Return a time of day as people write it.

    >>> moment("2026-01-02T03:04:05+00:00")
    '2026-01-02 03:04 UTC'
    """
    return datetime.datetime.fromisoformat(iso).strftime("%Y-%m-%d %H:%M %Z").strip()


def paragraphs(description: str) -> list[tuple[str, str]]:
    r"""Return a docstring as ("p" | "pre", text): indented blocks are commands, the others flow.

    >>> paragraphs("One\nline.\n\n    rnnlab run")
    [('p', 'One line.'), ('pre', 'rnnlab run')]
    """
    blocks = []
    for block in re.split(r"\n\s*\n", description.strip("\n")):
        lines = [line.strip() for line in block.splitlines()]
        if block and all(line.startswith((" ", "\t")) for line in block.splitlines()):
            blocks.append(("pre", "\n".join(lines)))
        elif block:
            blocks.append(("p", " ".join(lines)))
    return blocks


def axes(sweep: Record | Sequence[Record]) -> list[tuple[int, str, str]]:
    """Return (part, keys, values in words) for every axis of the sweep."""
    parts = [sweep] if isinstance(sweep, Mapping) else sweep
    return [
        (number, keys, ", ".join(map(show, values)))
        for number, part in enumerate(parts, 1)
        for keys, values in part.items()
    ]


@dataclass(frozen=True)
class Changes:
    """The changes that a run makes to its experiment's defaults.

    Args:
        rows: (key, the default value in words, the run's value in words).
        sweep: whether its sweep is not the experiment's own.
        comparisons: whether what it compares is not the experiment's own.
        by_flags: whether flags can ask for its sweep or comparisons: Python can ask for more.
    """

    rows: list[tuple[str, str, str]]
    sweep: bool
    comparisons: bool = False
    by_flags: bool = True


def changes(info: Record, config: Config) -> Changes | None:
    """Return what a run changes of its experiment's defaults; None for nothing.

    Args:
        info: config.json.
        config: its base config by dotted key.
    """
    recorded = info.get("changes", {"config": {}, "sweep": False})
    rows = [(key, show(value), show(config[key])) for key, value in recorded["config"].items()]
    compared = bool(info.get("comparisons")) and bool(recorded.get("comparisons"))
    swept = recorded["sweep"] and not compared
    listed = isinstance(info["sweep"], Mapping) and not any("," in key for key in info["sweep"])
    by_flags = recorded.get("flags", {}) is not None or (listed and not compared)
    by_flags = by_flags or not (swept or compared)
    return Changes(rows, swept, compared, by_flags) if rows or swept or compared else None


def samples(members: Iterable[Record]) -> list[tuple[int, int, str]]:
    """Return (scored, held out, their unit) where members are scored on a part of the test set."""
    results = [member["result"] for member in members]
    found = {
        (r["scored"], r["held_out"], r["scored_unit"]): None
        for r in results
        if r.get("scored", 0) < r.get("held_out", 0)
    }
    return list(found)


@dataclass
class ConfigGroup:
    """A top-level group of a config.

    Args:
        name: of the group; "" for keys that are in none.
        rows: (key, value in words, whether the sweep sets it).
        empty: the keys that are left empty, which may be many.
    """

    name: str
    rows: list[tuple[str, str, bool]] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)


def config_groups(config: Config, swept: set[str]) -> list[ConfigGroup]:
    """Return the config by its top-level groups.

    Args:
        config: by dotted key.
        swept: the keys that the sweep sets.
    """
    groups: dict[str, ConfigGroup] = {}
    for key, value in config.items():
        head, dot, rest = key.partition(".")
        name, short = (head, rest) if dot else ("", key)
        group = groups.setdefault(name, ConfigGroup(name))
        if value == "" and key not in swept:
            group.empty.append(short)
        else:
            group.rows.append((short, show(value), key in swept))
    return sorted(groups.values(), key=lambda group: group.name != "")


# ---- members -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """A cell of the table of members.

    Args:
        text: the text it shows.
        number: the value as JavaScript's Number() reads it; None where it is a word.
        base: whether the value is the base config's, not set by the sweep.
    """

    text: str
    number: str | None
    base: bool = False


@dataclass(frozen=True)
class MembersTable:
    """The table of members.

    Args:
        columns: (name, whether all its values are numbers).
        rows: a row per member.
        lists: names of results that are lists, which it leaves out.
    """

    columns: list[tuple[str, bool]]
    rows: list[list[Cell]]
    lists: list[str]


def _cell(value: Value, base: bool = False) -> Cell:
    if value is _ABSENT:
        return Cell("", None)
    value = decode(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return Cell(show(value), None, base)
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return Cell(text, repr(value).replace("inf", "Infinity").replace("nan", "NaN"), base)


def members_table(run: SavedRun, config: Config) -> MembersTable:
    """Return the table of a run's members: overrides, results that are no lists, seconds.

    Args:
        run: the run.
        config: its base config by dotted key.
    """
    overrides = dict.fromkeys(key for member in run.members for key in member["overrides"])
    results = dict.fromkeys(key for member in run.members for key in member["result"])
    lists = [
        key
        for key in results
        if any(isinstance(member["result"].get(key), list | dict) for member in run.members)
    ]
    scalars = [key for key in results if key not in lists]
    phased = bool(run.comparisons)
    rows = [
        [
            _cell(member["member"]),
            *([_cell(run_files.phase_of(run.info, member["member"]))] if phased else []),
            *(
                _cell(member["overrides"].get(key, config.get(key)), key not in member["overrides"])
                for key in overrides
            ),
            *(_cell(member["result"].get(key, _ABSENT)) for key in scalars),
            _cell(float(member["seconds"])),
        ]
        for member in run.members
    ]
    names = ["member", *([PHASE] if phased else []), *overrides, *scalars, "seconds"]
    numeric = [
        all(row[place].number or not row[place].text for row in rows) for place in range(len(names))
    ]
    return MembersTable(
        list(zip(names, numeric if rows else [False] * len(names), strict=True)), rows, lists
    )


# ---- results -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class ResultCell:
    """A cell of the table of results.

    Args:
        text: the value of an axis, or a median.
        interval: the lowest and the highest, in words.
        best: whether it is the best median of its column.
    """

    text: str
    interval: str = ""
    best: bool = False


@dataclass(frozen=True)
class ResultsTable:
    """The table of results: see :mod:`rnnlab.results.summary`.

    Args:
        meaning: how its numbers are to be read, in words.
        columns: (name, unit).
        rows: a row per combination of the swept axes.
        same: (name, value in words) of what is the same in every row.
    """

    meaning: str
    columns: list[tuple[str, str]]
    rows: list[list[ResultCell]]
    same: list[tuple[str, str]]


def results_table(summary: Summary) -> ResultsTable:
    """Return the table of results as the page shows it."""
    columns = [(axis, "") for axis in summary.axes]
    columns += [(name, summary.metrics[name].unit) for name in summary.shown]
    rows = []
    for place, row in enumerate(summary.rows):
        cells = [ResultCell(value_words(value)) for value in row.values.values()]
        for name in summary.shown:
            text, interval = parts(row.cells[name], summary.metrics[name], row.members)
            cells.append(ResultCell(text, interval, place in summary.best[name]))
        rows.append(cells)
    return ResultsTable(meaning(summary), columns, rows, same_words(summary))


# ---- comparisons -------------------------------------------------------------------------------


def differing(columns: Sequence[Mapping[str, Value]]) -> list[tuple[str, list[Value]]]:
    """Return the keys whose values differ between the columns, with those values."""
    rows = []
    for key in dict.fromkeys(key for column in columns for key in column):
        values = [column.get(key, _ABSENT) for column in columns]
        if any(value != values[0] for value in values):
            rows.append((key, values))
    return rows


def claim_rows(runs: Iterable[SavedRun]) -> list[list[Verdict | None]]:
    """Return a row per statement, in the order of the runs: its verdict in each run, if any."""
    columns = []
    for run in runs:
        column: dict[tuple[str, str, int], Verdict] = {}
        for v in run.verdicts:
            repeats = sum((v.statement, v.source) == key[:2] for key in column)
            column[v.statement, v.source, repeats] = v
        columns.append(column)
    keys = dict.fromkeys(key for column in columns for key in column)
    return [[column.get(key) for column in columns] for key in keys]


# ---- commands ----------------------------------------------------------------------------------


def command(info: Record) -> str:
    """Return the command that runs the experiment again.

    Args:
        info: config.json.
    """
    target = info["file"] + (f":{info['arg']}" if info["arg"] else "")
    use = [f"--use={entry['file']}" for entry in info.get("files", ()) if entry["role"] == "use"]
    return shlex.join(["rnnlab", "run", *use, f"--config={target}"])


def full_command(info: Record, config: Config, swept: set[str]) -> str:
    """Return the command with every value spelled out, for a run whose values flags had changed.

    The command line cannot set a key whose value is None; what Python alone can ask for is left
    out (:attr:`Changes.by_flags`).

    Args:
        info: config.json.
        config: its base config by dotted key.
        swept: the keys that the sweep sets.
    """
    flags = [
        f"--config.{key}={value if isinstance(value, str) else repr(decode_config(value))}"
        for key, value in config.items()
        if key not in swept and value is not None
    ]
    if isinstance(info["sweep"], Mapping):
        flags += [
            f"--sweep.{key}={','.join(map(_sweep_word, values))}"
            for key, values in info["sweep"].items()
            if "," not in key
        ]
    flags += _asked_flags(info)
    return " \\\n  ".join([command(info), *map(shlex.quote, flags)])


def _asked_flags(info: Record) -> list[str]:
    """Return the flags that asked for a run's comparisons, or for the axes of a sweep of parts."""
    asked = dict(info.get("changes", {}).get("flags") or {})
    axes = asked.pop("sweep", {})
    by_key = {"sweep": {} if isinstance(info["sweep"], Mapping) else axes}
    by_key |= {group: asked.pop(group, {}) for group in ("compare", "tune")}
    flags = [
        f"--{group}.{key}={','.join(map(_sweep_word, values))}"
        for group, keys in by_key.items()
        for key, values in keys.items()
    ]
    for name, value in asked.items():
        if isinstance(value, bool):
            flags.append(f"--{name}" if value else f"--no{name}")
        elif isinstance(value, list):
            flags.append(f"--{name}={','.join(map(str, value))}")
        else:
            flags.append(f"--{name}={value if isinstance(value, str) else repr(value)}")
    return flags


def _sweep_word(value: Value) -> str:
    if not isinstance(value, str):
        return repr(decode_config(value))
    if value and not re.search(r"[\s,'\"]", value):
        return value
    return f'"{value}"' if '"' not in value else f"'{value}'"
