"""``rnnlab table``: the results of runs in the terminal, or as CSV."""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rnnlab.cli.parsing import Commands, names, path
from rnnlab.core.errors import UserError

if TYPE_CHECKING:
    from rnnlab.core.metrics import Metric
    from rnnlab.results.run_dir import Run
    from rnnlab.results.summary import Summary


def add(commands: Commands) -> None:
    """Add ``table``."""
    parser = commands.add(
        "table",
        _table,
        usage="DIR... [--by=KEY,KEY] [--metric=NAME,NAME] [--csv=FILE]",
        summary="show the results of runs, a row per combination of the swept axes",
        description="""\
Show the results of a run, finished or not: a row per combination of the swept axes, the median
over seeds with the lowest and the highest, the best marked. Several runs stand in one table, whose
rows are named by what differs between them.""",
    )
    parser.positionals("dirs", "DIR", "a run directory; one or more")
    parser.value(
        "by",
        "KEY,KEY",
        "the axes of the rows, --by=cell.name,seed; refused where it leaves out an axis other than "
        "the seed in which members differ [all such axes]",
        type=names,
    )
    parser.value(
        "metric",
        "NAME,NAME",
        "the results to show [the headline, then what differs between rows]",
        type=names,
    )
    parser.value("csv", "FILE", "write the table as CSV to FILE; -: print it as CSV", type=path)


def _table(options: argparse.Namespace) -> int:
    if not options.dirs:
        raise UserError("table takes a run directory or more, as in rnnlab table runs/NAME")

    from rnnlab.core import json_files
    from rnnlab.results.summary import to_csv

    title, summary = summary_of(options.dirs, options.by, options.metric)
    if options.csv is None:
        print_summary(title, summary, options.dirs)
        return 0
    text = to_csv(summary, options.metric)
    if options.csv == "-":
        print(text, end="")
        return 0
    json_files.write_bytes(Path(options.csv), text.encode())
    print(f"table: {options.csv}")
    return 0


def print_summary(title: str, summary: "Summary", dirs: Sequence[str]) -> None:
    """Print the table of results of these run directories, every row of it."""
    from rnnlab.core import terminal
    from rnnlab.results.text_table import format_summary

    command = shlex.join(["rnnlab", "table", *dirs])
    print(format_summary(summary, title, command, paint=terminal.paint()))


def summary_of(
    dirs: Sequence[str], by: Sequence[str] | None = None, names: Sequence[str] | None = None
) -> "tuple[str, Summary]":
    """Return (the runs in words, the table of their results).

    Args:
        dirs: run directories. by, names: as of :func:`rnnlab.results.summary.summarize`.
    Raises:
        UserError: no run directory; no results; an unknown name; an axis that is left out.
    """
    from rnnlab.results.run_dir import last_logged, load_run, side_by_side
    from rnnlab.results.summary import summarize

    runs = [load_run(run_dir) for run_dir in dict.fromkeys(dirs)]
    title, table = ", ".join(dict.fromkeys(run.name for run in runs)), runs[0].table.judged()
    if len(runs) > 1:
        table = side_by_side(runs)
    elif not len(table) and len(runs[0].table):
        raise UserError(f"{runs[0].dir} is still tuning: no member is judged yet")
    elif not len(table):
        table = last_logged(runs[0])
        title += " (no member is finished: the last metrics of each)"
    done, of = sum(len(run.table) for run in runs), sum(run.info["members"] for run in runs)
    if 0 < done < of:
        title += f" ({done} of {of} members are finished)"
    return title, summarize(table, _declared(runs), by=by, names=names)


def _declared(runs: "Sequence[Run]") -> "list[Metric]":
    """Return the metrics of runs; without a unit where theirs differ."""
    import dataclasses

    declared = [metric for run in runs for metric in run.metrics]
    units: dict[str, set[str]] = {}
    for metric in declared:
        units.setdefault(metric.name, set()).add(metric.unit)
    return [
        dataclasses.replace(metric, unit="" if len(units[metric.name]) > 1 else metric.unit)
        for metric in declared
    ]
