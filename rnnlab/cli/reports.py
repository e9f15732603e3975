"""``rnnlab report``, ``compare`` and ``tensorboard``: finished runs, shown."""

import argparse
import shlex
from collections.abc import Sequence

from rnnlab.cli.parsing import Commands, cache_switch, path
from rnnlab.cli.run import print_run
from rnnlab.cli.table import print_summary, summary_of
from rnnlab.core.errors import UserError, install


def add(commands: Commands) -> None:
    """Add ``report``, ``compare`` and ``tensorboard``."""
    parser = commands.add(
        "report",
        _report,
        usage="DIR",
        summary="write the report of a finished run again",
        description="""\
Write figures, claims and report.html of a finished run again, from its saved results. The
experiment's file is executed for it if it is the one that made the run; otherwise figures and
claims stay as they are.""",
    )
    parser.positionals("dirs", "DIR", "a run directory")
    parser.switch(
        "trust",
        "execute the copies in DIR/used where the files themselves are gone or have changed; only "
        "for a directory whose maker you trust",
    )
    parser.switch("verbose", "print every row of the table, and claims with thresholds and sources")
    cache_switch(parser)
    parser = commands.add(
        "compare",
        _compare,
        usage="DIR DIR... [--out=compare.html]",
        summary="show several runs side by side on one page",
        description="""\
Print the results of several runs as one table, whose rows are named by what differs, and show the
runs side by side on one self-contained page: where their configs differ, verdicts on the pairs that
they compare, claims, learning curves in one panel, figures.""",
    )
    parser.positionals("dirs", "DIR", "a run directory; two or more")
    parser.value(
        "out", "FILE", "the page to write [%(default)s]", default="compare.html", type=path
    )
    parser = commands.add(
        "tensorboard",
        _tensorboard,
        usage="DIR [--out=FOLDER]",
        summary="write a run's metrics for TensorBoard",
        description=f"""\
Write event files of all that a run has logged so far, one TensorBoard run per member; the run may
still be at work. Needs tensorboardX: {install("tensorboard")}.""",
    )
    parser.positionals("dirs", "DIR", "a run directory")
    parser.value("out", "FOLDER", "the folder to write to [DIR/tensorboard]", type=path)


def _report(options: argparse.Namespace) -> int:
    run_dir = _single_dir("report", options)

    from rnnlab.core import compilation_cache
    from rnnlab.lab.finish import rewrite

    with compilation_cache.kept(options.cache):
        run = rewrite(run_dir, trust=options.trust)
    print_run(run, verbose=options.verbose)
    return 0


def _compare(options: argparse.Namespace) -> int:
    if len(options.dirs) < 2:
        raise UserError(f"compare takes two run directories or more, got {len(options.dirs)}")

    from rnnlab.report import page

    out = page.compare_report(options.dirs, options.out)
    print_summary(*summary_of(options.dirs), options.dirs)
    _print_answers(options.dirs)
    print(f"\ncomparison: {out}")
    return 0


def _print_answers(dirs: Sequence[str]) -> None:
    """Print what the comparisons of each run say, below the run's name."""
    from rnnlab.core import terminal
    from rnnlab.results.comparison import read_comparisons
    from rnnlab.results.comparison_words import format_comparisons

    for run_dir in dict.fromkeys(dirs):
        if results := read_comparisons(run_dir):
            print(f"\n{run_dir}\n{format_comparisons(results, paint=terminal.paint())}")


def _tensorboard(options: argparse.Namespace) -> int:
    run_dir = _single_dir("tensorboard", options)

    from rnnlab.report import tensorboard

    folder = tensorboard.write(run_dir, options.out)
    print(f"tensorboard --logdir={shlex.quote(str(folder))}")
    return 0


def _single_dir(command: str, options: argparse.Namespace) -> str:
    if len(options.dirs) != 1:
        raise UserError(f"{command} takes one run directory, got {len(options.dirs)}")
    return options.dirs[0]
