"""What is made of a run's results: figures, verdicts, tables and the report."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnlab.core import json_files, metrics, run_files
from rnnlab.core.errors import Undecided, UserError
from rnnlab.core.notices import say
from rnnlab.core.version import __version__
from rnnlab.lab import facets, recorded, repair, rounds
from rnnlab.lab.comparison import Question
from rnnlab.lab.load import Experiment
from rnnlab.results import comparison
from rnnlab.results.claims import Verdict
from rnnlab.results.comparison import ComparisonResult, Comparisons
from rnnlab.results.run_dir import Run, load_run
from rnnlab.results.summary import summarize, to_csv
from rnnlab.results.table import Table, read_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from rnnlab.core.child import Child
    from rnnlab.plotting.rendering import Rendering

Record = dict[str, Any]  # of JSON
Figures = dict[str, "tuple[Figure, str]"]  # each with its caption


def finish(experiment: Experiment, run_dir: str | os.PathLike[str]) -> None:
    """Draw the figures, decide comparisons and claims, and write the report.

    Args:
        experiment: the file.
        run_dir: of a run whose members are all finished.
    """
    from rnnlab.plotting import rendered

    with rendered.beside() as process:
        _finish(experiment, Path(run_dir), process)


def _finish(experiment: Experiment, run_dir: Path, process: Child | None) -> None:
    from rnnlab.report import page  # jinja2 loads when it is needed

    everything, info = read_table(run_dir), run_files.read_config(run_dir)
    table = everything.judged()
    results = to_csv(summarize(table, metrics.from_json(info.get("metrics", ()))))
    questions = [Question.from_json(entry) for entry in info.get("comparisons", ())]
    compared = rounds.results(questions, everything)
    try:
        figures = _figures(experiment, info, everything, compared)
        verdicts = _verdicts(experiment, info, table, compared)
    except Exception as error:
        error.add_note(f"all members are finished: `rnnlab table {run_dir}` shows their results")
        raise
    (run_dir / run_files.DIGESTS).unlink(missing_ok=True)  # until all files are the new ones
    json_files.write_bytes(run_dir / run_files.RESULTS, results.encode())
    if questions:
        json_files.write_json(run_dir / run_files.COMPARISON, comparison.as_json(compared))
    _save_figures(figures, run_dir, process)
    json_files.write_json(run_dir / run_files.CLAIMS, [dataclasses.asdict(v) for v in verdicts])
    repair.tidy(run_dir)  # before the report, which marks a finished run
    page.write_report(run_dir)


def figures_of(run_dir: str | os.PathLike[str], *, trust: bool = False) -> Figures:
    """Draw the figures of a finished run again, from its saved results.

    Args:
        run_dir: the run directory.
        trust: as of :func:`rewrite`.
    Raises:
        UserError: members that are not finished; a damaged file; the experiment's file is gone or
            has changed since the run began.
    """
    run_dir = Path(run_dir)
    info = run_files.read_config(run_dir)
    everything = read_table(run_dir)
    _check_done(run_dir, info, len(everything))
    run_files.check_kept(run_dir)
    experiment = recorded.load_recorded(run_dir, trust=trust)
    questions = [Question.from_json(entry) for entry in info.get("comparisons", ())]
    return _figures(experiment, info, everything, rounds.results(questions, everything))


def _figures(
    experiment: Experiment, info: Record, everything: Table, compared: Sequence[ComparisonResult]
) -> Figures:
    """Return the figures of a run: of its comparisons, or of its sweep."""
    if info.get("comparisons"):
        return _figures_of_comparisons(experiment, info, everything, compared)
    return _figures_of_sweep(experiment, info, everything.judged())


def _figures_of_sweep(experiment: Experiment, info: Record, table: Table) -> Figures:
    """Return the figures of a sweep.

    In place of a file's comparisons it has the default figures beside those of the file that do
    without comparisons.
    """
    if info["changes"]["comparisons"]:
        from rnnlab.plotting import default_figures

        figures = default_figures.draw(table)
        if experiment.functions.figures is not None:
            with contextlib.suppress(Undecided):
                figures |= experiment.get_figures(table)
        return figures
    axes = facets.added_axes(experiment, info, table)
    drawn_by = {} if experiment.functions.figures is None else axes  # the default draws all axes
    if drawn_by:
        say(f"{experiment.file} does not name {', '.join(axes)}: figures have a panel per value")
    figures = _drawn(experiment, lambda: facets.draw(experiment.get_figures, table, drawn_by))
    own = experiment.functions.figures is not None
    if own and experiment.trains and facets.added_names(experiment, info, table):
        from rnnlab.plotting import default_figures  # of all members, whatever their names

        figures = default_figures.draw(table) | figures
    return figures


def _figures_of_comparisons(
    experiment: Experiment, info: Record, everything: Table, compared: Sequence[ComparisonResult]
) -> Figures:
    """Return the figures of comparisons.

    Those of the experiment's file are made of its own comparisons, and left out for others.
    """
    from rnnlab.plotting import comparison_figures

    figures: Figures = {}
    for result in compared:
        figures |= comparison_figures.draw(result, everything)
    own = experiment.functions
    if info["changes"]["comparisons"]:
        if own.claims is not None or own.figures is not None:
            say(
                f"claims and figures of {experiment.file} are about its own comparisons or sweep: "
                "they are left out"
            )
    elif own.figures is not None:
        table, named = everything.judged(), Comparisons(compared)
        figures = _drawn(experiment, lambda: experiment.get_figures(table, named)) | figures
    return figures


def _verdicts(
    experiment: Experiment, info: Record, table: Table, compared: Sequence[ComparisonResult]
) -> list[Verdict]:
    """Return the verdicts of a run.

    Without a file's own comparisons no claim that stands on one is decided; with others in their
    place the file's claims are left out.
    """
    if info.get("comparisons"):
        if info["changes"]["comparisons"]:
            return []
        from rnnlab.results.claims import decide

        return decide(experiment.get_claims(table, Comparisons(compared)))
    if info["changes"]["comparisons"]:
        return facets.verdicts(experiment.get_claims, table, {})
    axes = facets.added_axes(experiment, info, table)
    return facets.verdicts(experiment.get_claims, table, axes)


def _drawn(experiment: Experiment, draw: Callable[[], Figures]) -> Figures:
    """Return an experiment's figures; none where a narrowed sweep lacks members that they show."""
    try:
        return dict(draw())
    except Undecided as reason:
        say(f"no figures: {experiment.file} cannot draw them: {reason}")
        return {}


def rewrite(run_dir: str | os.PathLike[str], *, trust: bool = False) -> Run:
    """Write the report of a run again, with new figures and claims from the saved results.

    If the experiment's file is gone or has changed since the run began, the saved figures and
    claims stay.

    Args:
        run_dir: the run directory.
        trust: whether the copies of the files in the directory may be executed: see
            :func:`rnnlab.lab.recorded.load_recorded`.
    Raises:
        UserError: members that are not finished; a damaged file.
    """
    from rnnlab.report import page

    run_dir = Path(run_dir)
    info = run_files.read_config(run_dir)
    _check_done(run_dir, info, len(read_table(run_dir)))
    run_files.check_kept(run_dir)
    try:
        experiment = recorded.load_recorded(run_dir, trust=trust)
    except UserError as error:
        run_files.check_drawn(run_dir, but=run_files.REPORT)
        say(f"figures and claims stay as they are: {error}")
        page.write_report(run_dir)
    else:
        before = info["environment"]["rnnlab"]
        if before != __version__:
            say(f"the run was made by rnnlab {before}; figures and claims are by {__version__}")
        finish(experiment, run_dir)
    return load_run(run_dir)


def _check_done(run_dir: Path, info: Record, done: int) -> None:
    """Refuse a run that is not finished."""
    if done < info["members"]:
        raise UserError(f"{run_dir} has {done} of {info['members']} members: {run_files.AGAIN}")
    if not run_files.is_finished(run_dir) and info.get("comparisons"):
        raise UserError(f"{run_dir} has not compared all members yet: {run_files.AGAIN}")


def _save_figures(
    figures: Mapping[str, tuple[Figure, str]], run_dir: Path, process: Child | None
) -> None:
    from rnnlab.plotting import rendered

    captions = {}
    (run_dir / "figures").mkdir(exist_ok=True)
    drawn_figures = [figure for figure, _ in figures.values()]
    with rendered.in_order(drawn_figures, process) as renderings:
        for (name, (figure, caption)), drawn in zip(figures.items(), renderings, strict=True):
            written = _write(drawn, run_dir / "figures", name)
            captions[name] = {"caption": caption, "files": written}
            figure.clear()
            if "matplotlib.pyplot" in sys.modules:  # pyplot keeps the figures that it made
                sys.modules["matplotlib.pyplot"].close(figure)
    json_files.write_json(run_dir / run_files.FIGURES, captions)


def _write(drawn: Rendering, folder: Path, name: str) -> list[str]:
    """Write the files of a figure, and return their endings."""
    files = {run_files.PNG: drawn.png, run_files.SVG: drawn.svg, run_files.CSV: drawn.csv}
    pixels = drawn.phone.startswith(drawn.png[:8])
    for ending in run_files.PHONES:
        files[ending] = drawn.phone if pixels == ending.endswith(run_files.PNG) else b""
    for ending, content in files.items():
        path = folder / f"{name}.{ending}"
        if content:
            json_files.write_bytes(path, content)
        else:  # of an earlier figure of this name
            path.unlink(missing_ok=True)
    return [ending for ending, content in files.items() if content]
