"""``rnnlab advise``: how to initialize a cell for given sequences, before training."""

import argparse
import csv
import io
import math
import textwrap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnlab.cli import configs
from rnnlab.cli.parsing import Commands, cache_switch, path, positive, refusing_in_one_line
from rnnlab.core import terminal
from rnnlab.core.errors import UserError

if TYPE_CHECKING:
    from rnnlab.results.advice import Advice, Row


def add(commands: Commands) -> None:
    """Add ``advise``."""
    parser = commands.add(
        "advise",
        _advise,
        usage="--config=FILE[:SCALE] [--config.KEY=VALUE] [options]",
        summary="recommend an initialization for a cell and your sequences, before training",
        description="""\
Probe the cell of an experiment's config, untrained, on a few of its sequences: for schemes of W_h,
gains and forget biases, how much of the gradient is left at a lag, the Lyapunov exponent,
saturation, units that do not respond. Print what will not train and why, and recommend a scheme, a
gain, a bias and learning rates to try. Nothing is trained; it takes about 15 seconds.""",
        dotted=True,
    )
    parser.positionals("experiment", "NAME", "the experiment, in place of --config", most=1)
    parser.value("config", "FILE[:SCALE]", "an experiment that trains", once=True)
    parser.shown("config.KEY", "VALUE", "set another value in its config, as `rnnlab run` does")
    parser.value(
        "use", "FILE", "a Python file to execute first; may be repeated", type=path, repeated=True
    )
    parser.value(
        "span",
        "N",
        "steps that the answer has to look back [to the first step of a sequence]",
        type=positive,
    )
    parser.value(
        "workdir", "DIR", "where the table and the figure go [runs/advice-NAME-CELL]", type=path
    )
    cache_switch(parser)


def _advise(options: argparse.Namespace) -> int:
    from rnnlab.core import compilation_cache, json_files

    experiment = configs.experiment_of("advise", options)
    if not experiment.trains:
        raise UserError(f"advise is for experiments that train; {experiment.file} does not")
    config: Any
    config, lists = configs.config_of(experiment, options)
    if any(lists.values()):
        raise UserError("advise takes --config.KEY=VALUE, and no --sweep, --compare or --tune")
    name = f"advice-{experiment.name}-{config.cell.name}" if "cell" in config else "advice"
    folder = Path(options.workdir or f"runs/{name}")
    if folder.is_file():
        raise UserError(f"{folder} is a file: give another --workdir=DIR")

    from rnnlab.lab import advice

    with compilation_cache.kept(options.cache):
        with refusing_in_one_line():
            cell, xs, lengths = advice.of_config(config)
            found = advice.advise(cell, xs, lengths=lengths, span=options.span)
        B, T, D = xs.shape
        print(
            f"{config.cell.name}, {config.cell.hidden_size} units, on {config.task.name}: "
            f"{B} sequences of {T} steps, {D} input{'s' * (D > 1)}; nothing was trained\n"
        )
        print("\n".join(_table(found)))
        print()
        print("\n".join(_words(found)))
        folder.mkdir(parents=True, exist_ok=True)
        json_files.write_bytes(folder / "candidates.csv", _csv(found.rows).encode())
        from rnnlab.plotting import advice_figure, rendering

        drawn = rendering.render(advice_figure.draw(found))
        json_files.write_bytes(folder / "advice.png", drawn.png)
        json_files.write_bytes(folder / "advice.svg", drawn.svg)
    print(f"\nfigure: {folder / 'advice.png'}\ntable: {folder / 'candidates.csv'}")
    return 0


def _table(found: "Advice") -> list[str]:
    """Return the best candidate of each scheme and forget bias as the lines of a table."""
    from rnnlab.results import advice

    lags = sorted(found.rows[0].kept)
    heading = ["W_h", "forget bias", *(f"left at {lag}" for lag in lags), "horizon", "λ₁", ""]
    rows = []
    for row in found.shown:
        bias = "" if math.isnan(row.forget_bias) else f"{row.forget_bias:g}"
        left = [advice.power(row.kept[lag]) for lag in lags]
        horizon = "–" if math.isinf(row.horizon) else f"{row.horizon:g}"
        name = row.scheme + (" (critical)" if row.searched else "")
        mark = "→" if row is found.best else " "
        rows.append(
            [mark + name, bias, *left, horizon, f"{row.exponent:+.3f}", _trouble(row, found.span)]
        )
    table = [[" " + heading[0], *heading[1:]], *rows]
    widths = [max(len(line[i]) for line in table) for i in range(len(heading))]
    return [
        "  ".join(text.ljust(w) for text, w in zip(line, widths, strict=True)).rstrip()
        for line in table
    ]


def _trouble(row: "Row", span: int) -> str:
    """Return why a candidate will not train in one word, "" where it will."""
    from rnnlab.results import advice

    return advice.trouble(row, span).partition(":")[0]


def _words(found: "Advice") -> list[str]:
    """Return the recommendation, and what will not train."""
    from rnnlab.results import advice

    lines = []
    if found.best is None:
        lines.append("No candidate is predicted to train.")
    else:
        init = [f'init.w_h="{found.best.scheme}"']
        if not math.isnan(found.best.forget_bias):
            init.append(f"init.forget_bias={found.best.forget_bias:g}")
        lines.append("Recommended: " + " ".join(f"--config.{part}" for part in init))
        if found.rates:
            rates = ",".join(f"{rate:g}" for rate in found.rates)
            lines.append(f"  learning rates to try: --tune.training.learning_rate={rates}")
        lines.append(f"  because {found.reason}")
    troubles = Counter(_trouble(row, found.span) for row in found.rows)
    del troubles[""]
    if troubles:
        counted = (f"{word} {count}" for word, count in troubles.most_common())
        lines.append(f"Of the others: {', '.join(counted)}")
    trust = textwrap.wrap(f"How far to trust it: {advice.TRUST}", terminal.columns())
    return [*lines, "", *trust]


def _csv(rows: "Sequence[Row]") -> str:
    records = [row.as_record() for row in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()
