"""Named entities from the past alone, and from past and future: RNN, LSTM, GRU, one way and both.

    rnnlab run --config=experiments/language/tagging.py

The People's Daily of January 1998 character by character (packages of rnnlab[data]): persons,
places and organizations in 12,000 sentences to learn from, and in 4,628 held-out ones. E = H = 64
per direction, 1,200 updates, two seeds; a conditional random field on top of the LSTM's. F1 is of
whole entities, as conlleval counts it. CoNLL files: --config.task.path=TRAIN
--config.task.test_path=TEST. About 6 minutes on 2 cores; ":full" has all sentences and H = 256.

Expected, from the notes' claim 20: a Bi-RNN uses past and future and helps tagging entities, costs
twice, and can't run in real time. A label that depends on the next character (where a name ends,
whether it is one at all) is out of reach for a network that reads ahead only. A field adds to both
(Huang et al. 2015, on CoNLL 2003).
Measured, on the first 1,000 of the held-out sentences: Bi-RNN 77.6 against 54.5, Bi-LSTM 74.4
against 49.8, Bi-GRU 77.1 against 53.6, at 1.5 to 1.8 times the cost. With a field the LSTM reaches
77.3 one way and 82.9 both ways. A table of each character's commonest label has 11.2. That gates
help one way is refuted at this size: the simple RNN is ahead of the LSTM. These figures are of
--config.task.validation_share=0: before a tenth of the training data was held out for validation.
"""

from collections.abc import Callable
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from rnnlab import training
from rnnlab.lab import benchmark
from rnnlab.lab.config import scale, seeds
from rnnlab.lab.lines import Lines, axes_of_line
from rnnlab.lab.sweep import Sweep
from rnnlab.nn import generation, layers, models
from rnnlab.nn.initializers import InitScheme
from rnnlab.plotting import learning_curves, plots
from rnnlab.results.claims import Claim, claim
from rnnlab.results.table import Table
from rnnlab.tasks.base import Config, PyTree
from rnnlab.tasks.tagging import Tagged, Tagging
from rnnlab.training import runner

REPRODUCE = False  # `rnnlab reproduce` would take more than half an hour with it

CELLS = {"RNN": "rnn-tanh", "LSTM": "lstm", "GRU": "gru"}
LINES = Lines(
    {
        f"{way}{name}{field}": {
            "cell.name": f"{way.lower()}{cell}",
            "task.crf": bool(field),
            "init.forget_bias": "" if name == "RNN" else "1.0",
        }
        for field in ("", " + CRF")
        for name, cell in CELLS.items()
        for way in ("", "Bi-")
        if not field or name == "LSTM"
    }
)
TIMED_SEED = 0


def get_config(arg: str | None = None) -> ConfigDict:
    """Return the default config, or with "full" that of all sentences."""
    full = scale(arg) == "full"
    config = ConfigDict(
        {
            "seed": 0,
            "task": {
                "name": "tagging",
                "path": "",  # CoNLL columns; empty: the People's Daily
                "test_path": "",
                "validation_path": "",
                "validation_share": 0.1,  # of the sentences to learn from
                "limit": 0 if full else 12_000,
                "max_length": 100 if full else 60,
                "min_count": 2,
                "embedding_size": 128 if full else 64,
                "crf": False,
            },
            "cell": layers.config("lstm", 256 if full else 64),
            "init": InitScheme.config(),
            "training": training.config(
                learning_rate=2e-3 if full else 5e-3,
                schedule="linear",
                clip_norm=1.0,
                batch_size=32,
                steps=20_000 if full else 1200,
                eval_every=500 if full else 200,
                eval_batch_size=1000,
                stop_when_solved=False,
            ),
            "run": runner.config(
                seeds=3 if full else 2,
                turns=15,  # timed turns of each model
                seconds_per_member=3000.0 if full else 12.0,
                seconds_per_group=10.0,
            ),
        }
    )
    return config.lock()


def get_sweep(config: Config) -> Sweep:
    """Return the axes lines x seeds."""
    return [axes_of_line(line) | {"seed": seeds(config)} for line in LINES.values()]


run = training.run


# ---- measurements ------------------------------------------------------------------------------


def measure(config: Config, setup: training.Setup, params: PyTree) -> dict[str, float]:
    """Return the F1 without context, the effect of the future, and the cost of a gradient."""
    task = cast(Tagging, setup.task)
    data = task.load()
    results = {"lookup_f1": task.lookup(data), **future(setup.model, params, task, data)}
    name = config.cell.name
    if name.startswith("bi-") and not config.task.crf and config.seed == TIMED_SEED:
        results |= cost(config, setup, params, data)
    return results


def future(model: models.Model, params: PyTree, task: Tagging, data: Tagged) -> dict[str, float]:
    """Return how far the second half of a sentence moves the scores of its first half.

    Returns:
        {"moved": the largest change of a score, "streams": whether the model runs in real time}.
    """
    batch = task.test(data, jax.random.key(0), 64)
    half = task.length // 2
    lengths = jnp.full(len(batch.inputs), task.length, jnp.int32)
    changed = batch.inputs.at[:, half:].set(jnp.roll(batch.inputs[:, half:], 1, axis=0))
    before, after = (model.apply(params, xs, lengths=lengths)[0] for xs in (batch.inputs, changed))
    try:
        generation.stream(model)
        streams = True
    except ValueError:
        streams = False
    return {"moved": float(jnp.abs(before - after)[:, :half].max()), "streams": streams}


def cost(config: Config, setup: training.Setup, params: PyTree, data: Tagged) -> dict[str, float]:
    """Return the time of a loss and its gradient, over that of the same cell one way.

    Returns:
        {"cost": the median ratio of a turn, "cost_low", "cost_high": 10% and 90% of the turns}.
    """
    one_way: Config = ConfigDict(config.to_dict())
    one_way.cell.name = config.cell.name.removeprefix("bi-")
    member = training.member(one_way, jax.random.key(0))
    batch = setup.task.batch(data, member.key, 0, config.training.batch_size)
    calls = {}
    for name, side, drawn in (("both", setup, params), ("one", member.setup, member.params)):
        compiled = jax.jit(training.make_train(side).gradient)
        arguments = (drawn, member.hyper, batch)
        calls[name] = lambda compiled=compiled, arguments=arguments: compiled(*arguments)
    ms = benchmark.turns(calls, repeats=config.run.turns)
    ratio, low, high = benchmark.ratio(ms, "both", "one")
    return {"cost": ratio, "cost_low": low, "cost_high": high}


# ---- figures -----------------------------------------------------------------------------------


def unit(table: Table) -> str:
    """Return the name of a token: a character of the People's Daily, or a word of a file."""
    return "word" if table[0].config["task"]["path"] else "character"


def figures(table: Table) -> dict[str, tuple[Figure, str]]:
    """Draw learning curves, and the last F1 of every line."""
    return {"curves": _curves(table), "f1": _f1(table)}


def _curves(table: Table) -> tuple[Figure, str]:
    panels = {"one way": "", "both ways": "Bi-"}
    figure, axes = plots.new_figure(1, 2, size=(10.4, 3.8), share_y=True)
    for ax, (title, way) in zip(axes[0], panels.items(), strict=True):
        lines = [name for name in LINES if name.startswith("Bi-") == bool(way)]
        ends = [
            learning_curves.draw(ax, LINES.members(table, line), "f1", line, index)
            for index, line in enumerate(lines)
            if line in LINES.present(table)
        ]
        steps = table[0].config["training"]["steps"]
        ax.set(xlabel="updates", xlim=(0, 1.05 * steps), ylim=(0, 1))
        learning_curves.baseline(
            ax, table[0].result["lookup_f1"], f"each {unit(table)}'s commonest label"
        )
        plots.title(ax, title)
        plots.direct_labels(ax, ends)
    axes[0, 0].set_ylabel("F1 of entities, held-out sentences")
    return figure, (
        "F1 of whole entities against updates, median and range over seeds; dotted: the most "
        f"frequent label of each {unit(table)}, whatever is around it."
    )


def _f1(table: Table) -> tuple[Figure, str]:
    lines = LINES.present(table)
    figure, axes = plots.new_figure(1, 1, size=(7.4, 0.42 * len(lines) + 1.2))
    ax = axes[0, 0]
    for y, line in enumerate(reversed(lines)):
        scores = LINES.members(table, line).stack("f1")
        color = plots.COLORS[1 + line.startswith("Bi-")]
        ax.plot(scores, np.full(scores.size, y), "o", color=color, markersize=6)
    ax.set_yticks(np.arange(len(lines)), lines[::-1])
    ax.set(xlabel="F1 of entities, held-out sentences", ylim=(-0.6, len(lines) - 0.4))
    return figure, "The last F1 of every seed, one way and both ways."


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


def claims(table: Table) -> list[Claim]:
    """Return the claims: the notes' 20, and what gates, context and a field add."""
    future, field = "The future helps a {base} to find entities", "Huang et al. 2015"
    return [
        *(
            higher(future, "the notes, claim 20", margin=0.02)(table, line=f"Bi-{name}", base=name)
            for name in CELLS
        ),
        both_ways_cost_twice(table),
        both_ways_cannot_stream(table),
        higher(
            "A field on top helps a network that reads both ways",
            f"{field} (arXiv 1508.01991)",
            margin=0.005,
        )(table, line="Bi-LSTM + CRF", base="Bi-LSTM"),
        higher("A field on top helps a network that reads one way", field, margin=0.005)(
            table, line="LSTM + CRF", base="LSTM"
        ),
        higher(
            "Gates help a one-way network to find entities", "the notes, claim 17", margin=0.005
        )(table, line="LSTM", base="RNN"),
        context_matters(table, unit=unit(table)),
    ]


def percent(table: Table, *lines: str) -> str:
    """Return the median F1 of lines in words, in percent."""
    return ", ".join(f"{line} {100 * LINES.median(table, line, 'f1'):.1f}" for line in lines)


def higher(statement: str, source: str, margin: float) -> Callable[..., Claim]:
    """Make a claim that a line's median F1 is above that of another line, ``base``."""

    @claim(
        statement,
        source=source,
        holds_if="median F1 over seeds higher by at least {margin:g}",
        expected="holds",
        margin=margin,
    )
    def check(table: Table, line: str, base: str, margin: float) -> tuple[bool, str]:
        difference = LINES.median(table, line, "f1") - LINES.median(table, base, "f1")
        return difference >= margin, f"F1: {percent(table, line, base)}"

    return check


@claim(
    "Both ways cost twice one way",
    source="the notes, claim 20",
    holds_if="time of a loss and its gradient, side by side, {least:g} to {most:g} times that of "
    "one way, each cell",
    expected="holds",
    least=1.5,
    most=2.5,
)
def both_ways_cost_twice(table: Table, least: float, most: float) -> tuple[bool, str]:
    """Compare the cost of each bidirectional cell with that of one direction."""
    lines = {name: f"Bi-{name}" for name in CELLS if f"Bi-{name}" in LINES.present(table)}
    ratios = {name: LINES.members(table, line)[0].result["cost"] for name, line in lines.items()}
    fit = all(least <= ratio <= most for ratio in ratios.values())
    return bool(ratios) and fit, ", ".join(f"{k} {v:.2f}x" for k, v in ratios.items())


@claim(
    "A network that reads both ways can't run in real time",
    source="the notes, claim 20",
    holds_if="one way, scores of the first half of a sentence do not move when the second half "
    "changes, and the model streams; both ways they move, and streaming is refused",
    expected="holds",
)
def both_ways_cannot_stream(table: Table) -> tuple[bool, str]:
    """Check the effect of the second half of a sentence on the scores of the first."""
    one_way, both_ways = LINES.directions(table)
    streams = all(r["streams"] and r["moved"] == 0 for r in one_way)
    waits = all(not r["streams"] and r["moved"] > 0 for r in both_ways)
    moved_one, moved_both = (max(r["moved"] for r in group) for group in (one_way, both_ways))
    return streams and waits, (
        f"scores of the first half moved by the second: one way {moved_one:.1g}, both ways "
        f"up to {moved_both:.2g}"
    )


@claim(
    "Entities are in the context, not in the {unit}s",
    source="the notes, claims 20 and 22",
    holds_if="median F1 of the RNN at least {times:g} times that of each {unit}'s commonest label",
    expected="holds",
    times=2.0,
)
def context_matters(table: Table, times: float) -> tuple[bool, str]:
    """Compare the RNN with a table of each token's most frequent label."""
    lookup = table[0].result["lookup_f1"]
    holds = LINES.median(table, "RNN", "f1") >= times * lookup
    return holds, f"F1: {percent(table, 'RNN')}, table {100 * lookup:.1f}"
