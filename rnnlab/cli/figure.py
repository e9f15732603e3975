"""``rnnlab figure``: a figure of a run as a file for a paper or a talk."""

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from rnnlab.cli.parsing import Commands, cache_switch, path, refusing_in_one_line
from rnnlab.core.errors import UserError, unknown

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def add(commands: Commands) -> None:
    """Add ``figure``."""
    parser = commands.add(
        "figure",
        _figure,
        usage="DIR [NAME] [--format=pdf|svg|png] [--width=3.3in] [--style=paper|talk] [--out=FILE]",
        summary="make a figure of a run for a paper or a talk",
        description="""\
Draw a figure of a finished run again, from its saved results, at a width and with text of a size
for print or for a screen. Panels that would be too narrow stand below each other. Without NAME the
figures are listed. The experiment's file is executed, if it is the one that made the run.""",
    )
    parser.positionals("dirs", "DIR", "a run directory, and the name of a figure", most=2)
    parser.value("format", "FORMAT", "pdf, svg or png [that of --out, or pdf]")
    parser.value(
        "width", "WIDTH", "such as 3.3in, 84mm or 8.4cm [paper: 3.3in; talk: 10in]", type=inches
    )
    parser.value(
        "style",
        "STYLE",
        "paper: text of 7 points or more; talk: of 14 or more [%(default)s]",
        default="paper",
    )
    parser.value("out", "FILE", "the file to write [NAME.FORMAT]", type=path)
    parser.switch(
        "trust",
        "execute the copies in DIR/used where the files themselves are gone or have changed; only "
        "for a directory whose maker you trust",
    )
    cache_switch(parser)


def inches(text: str) -> float:
    """Return a width in inches.

    Raises:
        argparse.ArgumentTypeError: any other text.

    >>> inches("3.3in"), inches("25.4mm")
    (3.3, 1.0)
    """
    found = re.fullmatch(r"([0-9]*\.?[0-9]+) ?(in|mm|cm)?", text.strip())
    if found is None:
        raise argparse.ArgumentTypeError(f"expected a width such as 3.3in or 84mm, got {text!r}")
    return float(found[1]) / {"mm": 25.4, "cm": 2.54}.get(found[2], 1.0)


def _figure(options: argparse.Namespace) -> int:
    if not 1 <= len(options.dirs) <= 2:
        raise UserError(
            "figure takes a run directory and a name, as in rnnlab figure runs/RUN NAME"
        )

    from rnnlab.core import json_files, run_files

    run_dir, *name = options.dirs
    captions = run_files.read_figures(run_dir)
    if not name:
        _list(captions)
        return 0
    if name[0] not in captions:
        raise UserError(unknown("figure", name[0], captions, listing=f"rnnlab figure {run_dir}"))

    from rnnlab.plotting import papers

    ending = Path(options.out).suffix[1:].lower() if options.out else ""
    form = options.format or ending or "pdf"
    if ending in papers.FORMATS and ending != form:
        raise UserError(f"--format={form} and --out={options.out} differ: give one of them")
    with refusing_in_one_line():
        papers.check(form, options.style, options.width)
    figure = _drawn(options, run_dir, name[0])  # a fault of the experiment's file shows its place
    with refusing_in_one_line():
        content = papers.make(figure, form, options.style, options.width)
    out = Path(options.out or f"{name[0]}.{form}")
    json_files.write_bytes(out, content)
    print(f"figure: {out}")
    return 0


def _list(captions: dict[str, str]) -> None:
    """Print the names of a run's figures with the first sentences of their captions."""
    if not captions:
        print("the run has no figures")
    width = max(map(len, captions), default=0)
    for name, caption in captions.items():
        print(f"{name:{width}}  {caption.partition('. ')[0].removesuffix('.')}")


def _drawn(options: argparse.Namespace, run_dir: str, name: str) -> "Figure":
    """Return the figure, drawn again."""
    from rnnlab.core import compilation_cache
    from rnnlab.lab.finish import figures_of

    with compilation_cache.kept(options.cache):
        figures = figures_of(run_dir, trust=options.trust)
    if name not in figures:
        raise UserError(f"{run_dir} does not draw {name} any more: write its report again first")
    return figures[name][0]
