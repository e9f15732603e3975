"""Reading a run directory."""

import dataclasses
import html
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rnnlab.core import json_files, metrics, run_files
from rnnlab.core.errors import UserError
from rnnlab.core.metrics import Metric
from rnnlab.core.nested import joined
from rnnlab.results.claims import Verdict
from rnnlab.results.claims import summary as claims_words
from rnnlab.results.comparison import ComparisonResult, read_comparisons
from rnnlab.results.comparison_words import counts, expected_false, sentences
from rnnlab.results.summary import (
    DIRECTORY,
    EXPERIMENT,
    Summary,
    parts,
    summarize,
    value_words,
)
from rnnlab.results.table import Config, Member, Record, Table, read_table, read_unfinished

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Run:
    """The contents of a run directory.

    Args:
        dir: the directory.
        config: the base config, nested.
        table: the finished members.
        claims: the verdicts; empty before the run is finished.
        figures: name -> (path of the PNG, caption); empty before the run is finished.
        info: config.json, with environment, hash and sweep.
        comparisons: the decided comparisons; empty before the run is finished.
    """

    dir: Path
    config: Config
    table: Table
    claims: list[Verdict]
    figures: dict[str, tuple[Path, str]]
    info: Record
    comparisons: list[ComparisonResult] = field(default_factory=list)

    @property
    def report(self) -> Path:
        """The path of the report, which is written last."""
        return self.dir / run_files.REPORT

    @property
    def finished(self) -> bool:
        """Whether the report has been written."""
        return run_files.is_finished(self.dir)

    @property
    def name(self) -> str:
        """The experiment's name, with its scale after a colon."""
        return self.info["experiment"] + (f":{self.info['arg']}" if self.info["arg"] else "")

    @property
    def metrics(self) -> list[Metric]:
        """How results are read, as the experiment and its tasks say; the headline first."""
        return metrics.from_json(self.info.get("metrics", ()))

    def __repr__(self) -> str:
        return f"Run({self._words()}; {self.dir})"

    def _words(self) -> str:
        done, of = len(self.table), self.info["members"]
        state = "finished" if self.finished else "not finished"
        compared = f"; {counts(self.comparisons)}" if self.comparisons else ""
        verdicts = f"; {claims_words(self.claims)}" if self.claims else ""
        return f"{self.name}: {done} of {of} members, {state}{compared}{verdicts}"

    def _repr_html_(self) -> str:
        head = f"<p>{html.escape(self._words())}</p>"
        answers = [said for result in self.comparisons for said in sentences(result)]
        head += "".join(f"<p>{said.mark} {html.escape(said.text)}</p>" for said in answers)
        if note := expected_false(self.comparisons):
            head += f"<p>{note}</p>"
        return head + (_html(self.summary()) if len(self.table.judged()) else "")

    def summary(
        self, by: Sequence[str] | None = None, names: Sequence[str] | None = None
    ) -> Summary:
        """Return the table of results: see :func:`rnnlab.results.summary.summarize`.

        Args:
            by: the axes of its rows; None: all.
            names: the results to show.
        Raises:
            UserError: no member is finished; an unknown name; an axis that ``by`` leaves out.
        """
        return summarize(self.table.judged(), self.metrics, by=by, names=names)

    def to_frame(self) -> "pd.DataFrame":
        """Return the finished members as a pandas DataFrame: see :meth:`Table.to_frame`."""
        return self.table.to_frame()

    def metrics_frame(self) -> "pd.DataFrame":
        """Return the logged metrics, one row per member and logged record.

        See :meth:`Table.metrics_frame`. Members that are still at work are included, with what they
        have logged when it is called.
        """
        if self.finished:
            return self.table.metrics_frame()
        return Table([*read_table(self.dir), *read_unfinished(self.dir)]).metrics_frame()


def _html(summary: Summary) -> str:
    """Return the table of results for a notebook."""
    names = summary.shown
    heads = [
        *summary.axes,
        *(f"{n} ({m.unit})" if (m := summary.metrics[n]).unit else n for n in names),
    ]
    lines = ["<tr>" + "".join(f"<th>{html.escape(head)}</th>" for head in heads) + "</tr>"]
    for place, row in enumerate(summary.rows):
        cells = [html.escape(value_words(value)) for value in row.values.values()]
        for name in names:
            words = parts(row.cells[name], summary.metrics[name], row.members)
            text = html.escape(" ".join(filter(None, words)))
            cells.append(f"<b>{text}</b>" if place in summary.best[name] else text)
        lines.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return f"<table>{''.join(lines)}</table>"


def load_run(run_dir: str | os.PathLike[str]) -> Run:
    """Read a run directory, finished or not.

    Raises:
        UserError: when it is no run directory, or a file in it is damaged.
    """
    run_dir = Path(run_dir)
    info = run_files.read_config(run_dir)
    table = read_table(run_dir)
    run_files.check_kept(run_dir)
    claims, captions, comparisons = [], {}, []
    if run_files.is_finished(run_dir):
        run_files.check_drawn(run_dir)
        claims, captions = read_verdicts(run_dir), run_files.read_figures(run_dir)
        comparisons = read_comparisons(run_dir)
    return Run(
        dir=run_dir,
        config=json_files.decode_config(info["config"]),
        table=table,
        claims=claims,
        figures={
            name: (run_dir / f"figures/{name}.png", caption) for name, caption in captions.items()
        },
        info=info,
        comparisons=comparisons,
    )


def side_by_side(runs: Sequence[Run]) -> Table:
    """Return the finished members of several runs as one table, numbered anew.

    Their configs have the key ``directory``, and ``experiment`` where experiments differ, so that
    members of two runs are never taken for repetitions of each other. A run without a finished
    member is refused.

    Raises:
        UserError: a run without a finished member; a config that has one of these keys.
    """
    names = [run.dir.resolve().name for run in runs]
    several = len({run.name for run in runs}) > 1
    members: list[Member] = []
    for run, name in zip(runs, names, strict=True):
        judged = run.table.judged()
        if not len(judged):
            raise UserError(f"{run.dir}: no member is finished yet: there are no results")
        place: Config = {DIRECTORY: name if names.count(name) == 1 else str(run.dir)}
        if several:
            place[EXPERIMENT] = run.name
        for member in judged:
            config = joined(place, member.config)
            members.append(dataclasses.replace(member, index=len(members), config=config))
    return Table(members)


def last_logged(run: Run) -> Table:
    """Return the unfinished members of a run with the metrics that they logged last as results."""
    return Table(
        dataclasses.replace(member, result=member.metrics[-1])
        for member in read_unfinished(run.dir)
    )


def read_verdicts(run_dir: str | os.PathLike[str]) -> list[Verdict]:
    """Read claims.json of a run.

    Raises:
        UserError: it is missing or damaged.
    """
    path = Path(run_dir) / run_files.CLAIMS
    if not path.is_file():
        raise UserError(f"{run_dir} is not a finished run: it has no {run_files.CLAIMS}")
    try:
        return [Verdict(**verdict) for verdict in json_files.read_json(path)]
    except TypeError as error:
        raise UserError(f"{path} is no list of verdicts: {error}") from None
