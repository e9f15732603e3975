"""Self-contained HTML pages: of one run, of several side by side, of the set of `reproduce`.

A page is made from the files of run directories alone, so that it can be written again without the
experiment or JAX; only a comparison draws something, the learning curves. Pictures, style and
script are inside the page: it opens from a mail or a disk without a network. The page itself is
page.html.j2.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2

from rnnlab.core import json_files, metrics, run_files
from rnnlab.core.errors import UserError
from rnnlab.core.nested import flatten
from rnnlab.report import blocks, comparison_blocks
from rnnlab.report.explorer import explorer, live, of_run
from rnnlab.report.run_names import run_names
from rnnlab.report.saved_run import Picture, SavedRun, embed, load_finished, load_saved
from rnnlab.results.claims import MARKS, summary
from rnnlab.results.comparison_words import counts, expected_false, sentences
from rnnlab.results.summary import summarize
from rnnlab.results.table import Table, read_table

REPRODUCTION = "reproduce.html"


def write_report(run_dir: str | os.PathLike[str]) -> Path:
    """Write report.html of a run from its files, then digests.json, which marks a finished run.

    An older page is replaced at once.

    Args:
        run_dir: with config.json, members.jsonl, claims.json, figures.json and figures/,
            and comparison.json where it compares.

    Returns:
        the path of the page.

    Raises:
        UserError: when one of those files is missing or damaged, by its name.
    """
    run = load_saved(run_dir)
    if (run.dir / run_files.DIGESTS).is_file():
        run_files.check_drawn(run_dir, but=run_files.REPORT)
    config = flatten(run.info["config"])
    axes = blocks.axes(run.info["sweep"])
    swept = {key for _, keys, _ in axes for key in keys.split(",")}
    members = blocks.members_table(run, config)
    results = None
    source = of_run(run_dir)
    if run.members:
        declared = metrics.from_json(run.info.get("metrics", ()))
        results = blocks.results_table(summarize(Table(source.members).judged(), declared))
    headline = comparison_blocks.headline(run.comparisons, run.figures)
    shown = {name: figure for name, figure in run.figures.items() if figure is not headline}
    page = _render(
        "report",
        folder=run.dir,
        title=f"{run.name} · {counts(run.comparisons) if run.comparisons else run.summary}",
        run=run,
        headline=headline,
        comparisons=[comparison_blocks.block(c, shown) for c in run.comparisons],
        false_verdicts=expected_false(run.comparisons),
        figures=comparison_blocks.other_figures(run.comparisons, shown),
        blocks=blocks.paragraphs(run.info["description"]),
        changes=blocks.changes(run.info, config),
        samples=blocks.samples(run.members),
        seconds=blocks.duration(run.seconds),
        started=blocks.moment(run.info["started"]),
        results=results,
        explorer=explorer([source]),
        columns=members.columns,
        rows=members.rows,
        lists=members.lists,
        groups=blocks.config_groups(config, swept),
        axes=axes,
        command=blocks.command(run.info),
        full_command=blocks.full_command(run.info, config, swept),
    )
    path = run.dir / run_files.REPORT
    json_files.write_bytes(path, page)
    run_files.write_digests(run_dir)
    return path


def compare_report(run_dirs: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str]) -> Path:
    """Write one page over several finished runs: differences, claims and figures side by side.

    Args:
        run_dirs: two run directories or more.
        out: the page; its folder is made if it does not exist.

    Returns:
        the path of the page.

    Raises:
        UserError: for fewer than two runs, for one that is given twice, or when a file of a run is
            missing or broken.
    """
    if len(run_dirs) < 2:
        raise UserError(f"a comparison takes two run directories or more, got {len(run_dirs)}")
    places = [Path(run_dir).resolve() for run_dir in run_dirs]
    for run_dir, place in zip(run_dirs, places, strict=True):
        if places.count(place) > 1:
            raise UserError(f"{run_dir} is given twice: a comparison takes different runs")
    runs = [load_finished(run_dir) for run_dir in run_dirs]
    names = [run.dir.resolve().name for run in runs]
    labels = [
        name if names.count(name) == 1 else str(run_dir)
        for name, run_dir in zip(names, run_dirs, strict=True)
    ]
    config_rows = blocks.differing([_identity(run) for run in runs])
    labels = run_names(config_rows, labels)
    out = Path(out)
    page = _render(
        "compare",
        folder=out.parent,
        title=f"{len(runs)} runs compared: " + ", ".join(labels),
        runs=runs,
        labels=labels,
        started=[blocks.moment(run.info["started"]) for run in runs],
        seconds=[blocks.duration(run.seconds) for run in runs],
        config_rows=config_rows,
        environment_rows=blocks.differing([run.info["environment"] for run in runs]),
        verdict_rows=comparison_blocks.side_by_side(run.comparisons for run in runs),
        claim_rows=blocks.claim_rows(runs),
        figure_names=list(dict.fromkeys(name for run in runs for name in run.figures)),
        curves=_curves(runs, labels),
        explorer=explorer([of_run(d, label) for d, label in zip(run_dirs, labels, strict=True)]),
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    json_files.write_bytes(out, page)
    return out


def watch_page(run_dir: str | os.PathLike[str], state: Mapping[str, object]) -> bytes:
    """Return the page of a run in progress, which asks :mod:`rnnlab.report.watch` for its data.

    Args:
        run_dir: the run directory.
        state: how far it is, from :func:`rnnlab.report.watch.state`.
    """
    info = run_files.read_config(run_dir)
    name = info["experiment"] + (f":{info['arg']}" if info["arg"] else "")
    started = blocks.moment(info["started"])
    title = f"{name} · rnnlab watch"
    return _render("watch", title=title, name=name, state=state, started=started, explorer=live())


def reproduction_report(
    workdir: Path,
    runs: Mapping[str, SavedRun],
    seconds: Mapping[str, float],
    missing: Mapping[str, str],
) -> Path:
    """Write one page over a set of runs: every claim, its expected verdict and its measurement.

    Args:
        workdir: the folder of the runs, each in a directory of its name, and of the page.
        runs: the finished runs, by name.
        seconds: the time that each took, by name.
        missing: by name, why a run is missing.

    Returns:
        the path of the page, reproduce.html.
    """
    names, saved = list(runs), list(runs.values())
    verdicts = [verdict for run in saved for verdict in run.verdicts]
    page = _render(
        "reproduce",
        folder=workdir,
        title=f"rnnlab reproduce · {summary(verdicts)}",
        runs=saved,
        names=names,
        summary=summary(verdicts),
        claims=len(verdicts),
        undecided=sum(verdict.verdict == "undecided" for verdict in verdicts),
        unexpected=[
            (name, number, run.verdicts[number - 1])
            for name, run in zip(names, saved, strict=True)
            for number in run.unexpected
        ],
        counts=[[sum(v.verdict == kind for v in run.verdicts) for kind in MARKS] for run in saved],
        seconds=[blocks.duration(seconds.get(name, 0.0)) for name in names],
        total=blocks.duration(sum(seconds.get(name, 0.0) for name in names)),
        headlines=[comparison_blocks.headline(run.comparisons, run.figures) for run in saved],
        leads=[_first_paragraph(run) for run in saved],
        answered=[[sentences(c) for c in run.comparisons] for run in saved],
        false_verdicts=expected_false([c for run in saved for c in run.comparisons]),
        missing=missing,
    )
    path = workdir / REPRODUCTION
    json_files.write_bytes(path, page)
    return path


def _identity(run: SavedRun) -> Mapping[str, object]:
    """Return experiment, scale, config and axes of a run on one level."""
    axes = {
        f"sweep: {keys}" + f" (part {part})" * (part > 1): text
        for part, keys, text in blocks.axes(run.info["sweep"])
    }
    head = {key: run.info[key] for key in ("experiment", "arg")}
    return head | flatten(run.info["config"]) | axes


def _first_paragraph(run: SavedRun) -> str:
    paragraphs = blocks.paragraphs(run.info["description"])
    return paragraphs[0][1] if paragraphs else ""


def _curves(runs: Sequence[SavedRun], labels: Sequence[str]) -> Picture | None:
    """Return the runs' learning curves in one picture; None where no two share a metric."""
    from rnnlab.plotting import rendering, run_curves  # matplotlib, which a report does not need

    tables = {label: read_table(run.dir).judged() for label, run in zip(labels, runs, strict=True)}
    drawn = run_curves.draw(tables)
    if drawn is None:
        return None
    figure, caption = drawn
    files = rendering.render(figure)
    phone = embed(files.phone) if files.phone else None
    return Picture("learning_curves", caption, embed(files.png, files.svg), phone)


def _render(kind: str, **values: object) -> bytes:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"show": blocks.show, "flags": blocks.split_flags}
    template = environment.get_template("page.html.j2")
    return template.render(kind=kind, marks=MARKS, **values).encode()
