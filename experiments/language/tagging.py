"""Named entities from the past alone, and from past and future: RNN, LSTM, GRU, one way and both.

    rnnlab run --config=experiments/language/tagging.py

The People's Daily of January 1998 character by character (packages of rnnlab[data]): persons,
places and organizations in 10,800 sentences to learn from, and in the first 1,000 of those held out
(for validation, 1,000 others). E = H = 32 per direction, 300 updates; a conditional random field on
top of the LSTM's. F1 is of whole entities, as conlleval counts it. Every network has a learning
rate of its own, chosen by its validation F1 on 2 seeds, and is judged by its test F1 on 8 other
seeds, on 16 where a pair is still open. CoNLL files: --config.task.path=TRAIN
--config.task.test_path=TEST. About 5 minutes on 2 cores; ":full" has all sentences and H = 256.

Expected, from the notes' claim 20: a Bi-RNN uses past and future and helps tagging entities, costs
twice, and can't run in real time. A label that depends on the next character (where a name ends,
whether it is one at all) is out of reach for a network that reads ahead only. A field adds to both
(Huang et al. 2015, on CoNLL 2003).

Found: the future helps every cell, by 22 to 25 points: F1 68.4 against 44.8 (RNN), 66.7 against
44.4 (LSTM), 68.5 against 43.1 (GRU). A field adds 11.1 points [8.8 to 12.6] to the Bi-LSTM, which
comes to 77.9, and 29.8 [28.1 to 32.2] to the LSTM, 74.2: more than reading both ways does, for the
best path through a field depends on later characters, too. A table of each character's commonest
label has 11.2. Whether gates help one way is undecided after 16 seeds: LSTM 44.2, RNN 45.6. The
best rates are 0.02 (RNN, GRU) and 0.04 (LSTM); version 1 had 0.005 for all.
"""

from functools import lru_cache, partial
from pathlib import Path
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict, FrozenConfigDict

from rnnlab import training
from rnnlab.core.errors import Undecided
from rnnlab.lab import benchmark, sweep
from rnnlab.lab.comparison import RATE, Comparison
from rnnlab.lab.config import scale
from rnnlab.lab.lines import Lines, cell_in_words
from rnnlab.nn import generation, layers, models
from rnnlab.nn.initializers import InitScheme
from rnnlab.plotting import keys, learning_curves, plots
from rnnlab.results.claims import Claim, claim
from rnnlab.results.comparison import Comparisons
from rnnlab.results.comparison_claims import beats, better
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
            **({"init.forget_bias": "1.0"} if name == "GRU" else {}),  # an LSTM's is 1 anyway
        }
        for field in ("", " + CRF")
        for name, cell in CELLS.items()
        for way in ("", "Bi-")
        if not field or name == "LSTM"
    }
)
TUNING_SEEDS, SEEDS = 2, (8, 16)
MARGIN = 0.02  # of the F1: what counts as help
TIMES = 2.0  # the F1 of a network over that of a table, at least


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
                "embedding_size": 128 if full else 32,
                "crf": False,
            },
            "cell": layers.config("lstm", 256 if full else 32),
            "init": InitScheme.config(),
            "training": training.config(
                learning_rate=2e-3 if full else 5e-3,
                schedule="linear",
                clip_norm=1.0,
                batch_size=32,
                steps=20_000 if full else 300,
                eval_every=500 if full else 100,
                eval_batch_size=1000,
                eval_sample=0 if full else 1000,  # held-out sentences to score; 0: all of them
                stop_when_solved=False,
            ),
            "run": runner.config(
                rates=(3e-4, 1e-3, 3e-3, 1e-2) if full else (1e-2, 2e-2, 4e-2),  # to tune
                turns=25,  # timed turns of each model
                seconds_per_member=3000.0 if full else 4.0,
                seconds_per_group=10.0,
            ),
        }
    )
    return config.lock()


def comparison(config: Config) -> list[Comparison]:
    """Compare both ways with one way, a field with none, and a gated cell with a simple one.

    Comparisons share the members that they have in common.
    """
    on = f"On the entities of {Path(config.task.path).name or 'the People’s Daily'}"

    def compare(name: str, line: str, base: str) -> Comparison:
        return Comparison(
            {arm: LINES[arm] for arm in (line, base)},
            tune={RATE: config.run.rates},
            score="f1",
            equivalent=MARGIN,
            tuning_seeds=TUNING_SEEDS,
            seeds=SEEDS,
            question=on,
            name=name,
        )

    return [
        *(compare(f"ways_{cell}", f"Bi-{cell}", cell) for cell in CELLS),
        compare("field_Bi-LSTM", "Bi-LSTM + CRF", "Bi-LSTM"),
        compare("field_LSTM", "LSTM + CRF", "LSTM"),
        compare("gates", "LSTM", "RNN"),
    ]


def of(table: Table, comparisons: Comparisons, line: str) -> Table:
    """Select the judged members of an arm; of a sweep those of a line, one per seed."""
    if comparisons:
        kind = "field" if LINES[line]["task.crf"] else "ways"
        cell = line.removesuffix(" + CRF")
        cell = cell if kind == "field" else cell.removeprefix("Bi-")
        return comparisons[f"{kind}_{cell}"].judged(table, line)
    return LINES.members(table, line)


run = training.run


# ---- measurements ------------------------------------------------------------------------------


def measure(config: Config, setup: training.Setup, params: PyTree) -> dict[str, float]:
    """Return the F1 without context, the effect of the future, and the cost of a gradient."""
    task = cast(Tagging, setup.task)
    results = {"lookup_f1": lookup(task), **future(setup.model, params, task, task.load())}
    if config.cell.name.startswith("bi-") and not config.task.crf:
        alike = {"seed": 0, RATE: 1e-3}  # what a gradient's time does not depend on
        results |= cost(FrozenConfigDict(sweep.apply(config, alike)))
    return results


@lru_cache(maxsize=4)  # the same for every member
def lookup(task: Tagging) -> float:
    """Return the F1 of each token's commonest label."""
    return task.lookup(task.load())


def future(model: models.Model, params: PyTree, task: Tagging, data: Tagged) -> dict[str, float]:
    """Return how far the second half of a sentence moves the scores of its first half.

    Returns:
        {"moved": the largest change of a score, "streams": whether the model runs in real time}.
    """
    batch = task.test(data, jax.random.key(0), 64)
    half = task.length // 2
    other = (batch.inputs[:, half:] + 1) % task.input_size  # another token at every step
    changed = batch.inputs.at[:, half:].set(other)
    before, after = (scores_of(model, params, xs) for xs in (batch.inputs, changed))
    try:
        generation.stream(model)
        streams = True
    except ValueError:
        streams = False
    moved = jnp.abs(before - after)[:, :half].max(initial=0.0)  # of one token nothing comes before
    return {"moved": float(moved), "streams": streams}


@partial(jax.jit, static_argnames="model")  # compiled once for all seeds and rates
def scores_of(model: models.Model, params: PyTree, inputs: jax.Array) -> jax.Array:
    """Return the scores (B, T, …) of sentences (B, T) that are as long as can be."""
    lengths = jnp.full(len(inputs), inputs.shape[1], jnp.int32)
    return model.apply(params, inputs, lengths=lengths)[0]


@lru_cache(maxsize=4)  # once per cell, whatever its seeds and rates
def cost(config: FrozenConfigDict) -> dict[str, float]:
    """Return {"cost": the time of a loss and its gradient, over that of the same cell one way}.

    Both take turns, and of each the fastest round counts: other work of the machine can only slow
    a round down.
    """
    both: Config = ConfigDict(config.to_dict())
    sides = {"both": both, "one": sweep.apply(both, {"cell.name": both.cell.name[len("bi-") :]})}
    calls = {}
    for name, side in sides.items():
        member = training.member(side, jax.random.key(0))
        task = member.setup.task
        batch = task.batch(task.load(), member.key, 0, side.training.batch_size)
        compiled = jax.jit(training.make_train(member.setup).gradient)
        calls[name] = partial(compiled, member.params, member.hyper, batch)
    ms = benchmark.turns(calls, repeats=both.run.turns)
    return {"cost": min(ms["both"]) / min(ms["one"])}


# ---- figures -----------------------------------------------------------------------------------


def unit(table: Table) -> str:
    """Return the name of a token: a character of the People's Daily, or a word of a file."""
    return "word" if table[0].config["task"]["path"] else "character"


def figures(table: Table, comparisons: Comparisons) -> dict[str, tuple[Figure, str]]:
    """Draw learning curves, and the last F1 of every line."""
    return {"curves": _curves(table, comparisons), "f1": _f1(table, comparisons)}


def _curves(table: Table, comparisons: Comparisons) -> tuple[Figure, str]:
    panels = {"one way": "", "both ways": "Bi-"}
    figure, axes = plots.new_figure(1, 2, size=(10.4, 3.8), share_y=True)
    for ax, (title, way) in zip(axes[0], panels.items(), strict=True):
        lines = [name for name in LINES if name.startswith("Bi-") == bool(way)]
        ends = [
            learning_curves.draw(ax, of(table, comparisons, line), "f1", line, index)
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
        f"F1 of whole entities against updates, {plots.MEDIAN_AND_BAND} over seeds; dotted: the "
        f"most frequent label of each {unit(table)}, whatever is around it."
    )


def _f1(table: Table, comparisons: Comparisons) -> tuple[Figure, str]:
    lines = LINES.present(table)
    figure, axes = plots.new_figure(1, 1, size=(7.4, 0.42 * len(lines) + 1.2))
    ax = axes[0, 0]
    for y, line in enumerate(reversed(lines)):
        scores = of(table, comparisons, line).stack("f1")
        color = plots.COLORS[1 + line.startswith("Bi-")]
        ax.plot(scores, np.full(scores.size, y), "o", color=color, markersize=6)
        keys.mark(ax.lines[-1], "a seed")
    ax.set_yticks(np.arange(len(lines)), lines[::-1])
    ax.set(xlabel="F1 of entities, held-out sentences", ylim=(-0.6, len(lines) - 0.4))
    return figure, "The last F1 of every seed, one way and both ways."


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


HUANG = "Huang et al. 2015 (arXiv 1508.01991)"


def claims(table: Table, comparisons: Comparisons) -> list[Claim]:
    """Return the claims: the notes' 20, and what gates, context and a field add."""

    def helps(statement: str, source: str, name: str, line: str, base: str) -> Claim:
        return better(
            statement, comparisons=comparisons, name=name, arms=(line, base), source=source
        )

    return [
        *(
            helps(
                f"The future helps {cell_in_words(CELLS[cell])} to find entities",
                "the notes, claim 20",
                f"ways_{cell}",
                f"Bi-{cell}",
                cell,
            )
            for cell in CELLS
        ),
        both_ways_cost_twice(table),
        both_ways_cannot_stream(table),
        helps(
            "A field on top helps a network that reads both ways",
            HUANG,
            "field_Bi-LSTM",
            "Bi-LSTM + CRF",
            "Bi-LSTM",
        ),
        helps(
            "A field on top helps a network that reads one way",
            HUANG,
            "field_LSTM",
            "LSTM + CRF",
            "LSTM",
        ),
        helps(
            "Gates help a one-way network to find entities",
            "the notes, claim 17",
            "gates",
            "LSTM",
            "RNN",
        ),
        beats(
            f"Entities are in the context, not in the {unit(table)}s",
            table=table,
            comparisons=comparisons,
            name="ways_RNN",
            arms=["RNN"],
            score=lambda member: member.result["f1"],
            answer=lambda member: TIMES * member.result["lookup_f1"],
            words=("the F1", f"{TIMES:g} times that of each {unit(table)}'s commonest label"),
            source="the notes, claims 20 and 22",
            higher=True,
        ),
    ]


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
    if not ratios:
        raise Undecided("no network reads both ways")
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
