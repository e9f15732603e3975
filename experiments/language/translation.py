"""Sequence to sequence: spellings to sounds, by encoder and decoder, with and without attention.

    rnnlab run --config=experiments/language/translation.py
    rnnlab run --config=experiments/language/translation.py --config.task.path=PAIRS.tsv
    rnnlab predict DIR --text=gradient  # G R EY D IY AH N T

20,000 words of the CMU Pronouncing Dictionary (rnnlab[data]) of at most 16 letters and sounds, the
first 2,000 of those held out. A Bi-RNN, Bi-LSTM or Bi-GRU of H = 64 per direction reads a word, a
cell of the same kind says it, E = 64; 2,000 updates of 64 words, two seeds; Luong's attention, or
the encoder's last vector alone. Words are decoded greedily: token error is edits per sound of the
word, sequence error the share of words with any. (No corpus of translated sentences can be
installed offline; a file of your own pairs, tokens separated by blanks, is read by
--config.task.path.) About 6 minutes on 2 cores.

Expected: one vector holds a short word and not a long one, and attention mends that (Cho et al.
2014; Bahdanau et al. 2015, Fig. 2); a simple RNN's vector holds less than an LSTM's (the notes:
LSTM for translation); attention moves along the word; 20,000 words and H = 64 do not reach what is
published for the whole dictionary, 23.6% of words wrong (Yao & Zweig 2015).
Measured: all of it. Token errors with attention and without: LSTM 12.0% and 26.2%, GRU 11.8 and
25.4, RNN 13.4 and 35.7 (one sound per letter: 51.2). From words of 5 letters to those of 10 and
more the error grows by 16 points with one vector, and falls by 3 with attention, which takes nearly
all of the gates' advantage. 46% of words are wrong (one pronunciation of each counts). These
figures are of --config.task.validation_share=0: before a tenth of the training data was held out
for validation.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict
from scipy.stats import spearmanr

from rnnlab import training
from rnnlab.core.errors import Undecided
from rnnlab.lab.config import scale, seeds
from rnnlab.lab.sweep import Only, Sweep
from rnnlab.nn import layers
from rnnlab.nn.encoder_decoder import EncoderDecoder
from rnnlab.nn.initializers import InitScheme
from rnnlab.plotting import learning_curves, plots
from rnnlab.results.claims import Claim, claim
from rnnlab.results.table import Table
from rnnlab.tasks import translation
from rnnlab.tasks.base import Config, PyTree
from rnnlab.tasks.translation import Translation
from rnnlab.training import runner

REPRODUCE = False  # `rnnlab reproduce` would take more than half an hour with it

CELLS = {"Bi-RNN": "bi-rnn-tanh", "Bi-LSTM": "bi-lstm", "Bi-GRU": "bi-gru"}
WAYS = {"general": "attention", "none": "one vector"}
LENGTHS = (5, 6, 7, 8, 9, 10)  # letters: up to 5, 6, …, 10 and more
SHOWN = ("knowledge", "physician", "thoroughbred")


def get_config(arg: str | None = None) -> ConfigDict:
    """Return the default config, or with "full" that of all words."""
    full = scale(arg) == "full"
    config = ConfigDict(
        {
            "seed": 0,
            "task": {
                "name": "translation",
                "path": "",  # pairs, a tab between; empty: spellings and sounds
                "test_path": "",
                "test_share": 0.1,
                "validation_path": "",
                "validation_share": 0.1,  # of the pairs to learn from
                "limit": 0 if full else 20_000,
                "max_length": 24 if full else 16,
                "min_count": 1,
                "embedding_size": 128 if full else 64,
                "attention": "general",
                "solved_at": 0.1,  # share of targets that are wrong
            },
            "cell": layers.config("bi-lstm", 256 if full else 64),
            "init": InitScheme.config(),
            "training": training.config(
                learning_rate=2e-3 if full else 5e-3,
                schedule="linear",
                clip_norm=1.0,
                batch_size=64,
                steps=30_000 if full else 2000,
                eval_every=1000 if full else 200,
                eval_batch_size=2000,
                # of some 11,000 held out, which take longer to say than to learn from; 0: all
                eval_sample=8000 if full else 2000,
                stop_when_solved=False,
            ),
            "run": runner.config(
                seeds=3 if full else 2,
                seconds_per_member=4000.0 if full else 40.0,
                seconds_per_group=10.0,
            ),
        }
    )
    return config.lock()


def get_sweep(config: Config) -> Sweep:
    """Return the axes cells x attention x seeds; the LSTM's forget bias is 0."""
    axes = {"task.attention": tuple(WAYS), "seed": seeds(config)}
    return [
        {"cell.name": (CELLS["Bi-RNN"],), **axes},
        {"cell.name": Only((CELLS["Bi-LSTM"],)), "init.forget_bias": ("0.0",), **axes},
        {"cell.name": Only((CELLS["Bi-GRU"],)), **axes},
    ]


run = training.run


def check(config: Config) -> None:
    """Refuse a cell that does not read both ways, as the encoders compared here do."""
    name = config.cell.name
    if not name.startswith("bi-"):
        raise ValueError(f"cell.name must begin with bi-, as bi-{name} does, got {name!r}")


# ---- measurements ------------------------------------------------------------------------------


def predict(config: Config) -> dict[str, float]:
    """Return the token error of a table with one target token per source token."""
    task = cast(Translation, training.task_of(config))
    return {"table_error": table_error(task, training.scored(config, task, task.load()))}


@lru_cache(maxsize=4)
def table_error(task: Translation, count: int) -> float:
    """Return the token error if each source token gives the commonest target token at its place.

    Token i of n stands for token ⌊i m / n⌋ of a target of m.

    Args:
        count: held-out pairs to score.
    """
    data = task.load()
    counts = np.zeros((task.input_size, task.output_size), np.int64)
    for source, n, target, m in zip(*data[:4], strict=True):
        places = (np.arange(n) * (m - 1)) // n  # END is left out
        np.add.at(counts, (source[:n], target[places]), 1)
    batch = task.test(data, jax.random.key(0), count)
    predicted = jnp.asarray(counts.argmax(axis=1))[batch.inputs.source]
    lengths = batch.mask.sum(axis=1) - 1
    edits = translation.edit_distance(predicted, batch.lengths, batch.targets, lengths)
    return float(edits.sum() / lengths.sum())


def measure(config: Config, setup: training.Setup, params: PyTree) -> dict[str, object]:
    """Return errors by length, and where attention looks while a word is said."""
    task, model = cast(Translation, setup.task), cast(EncoderDecoder, setup.model)
    data = task.load()
    batch = task.test(data, jax.random.key(0), training.scored(config, task, data))
    outputs, _ = jax.jit(model.apply)(params, batch.inputs.source, lengths=batch.lengths)
    edits, tokens = task.edits(outputs, batch)
    place = np.clip(np.asarray(batch.lengths), LENGTHS[0], LENGTHS[-1]) - LENGTHS[0]
    edits_by_length, tokens_by_length = (
        np.bincount(place, np.asarray(weights), len(LENGTHS)) for weights in (edits, tokens)
    )
    result: dict[str, object] = {
        "by_length": edits_by_length / np.maximum(tokens_by_length, 1),
        "by_length_n": tokens_by_length,
    }
    if task.attention != "none":
        weights = model.weights(params, batch.inputs.source, batch.lengths)[1]
        lengths = translation.said_length(outputs)
        result["along"] = along(np.asarray(weights), np.asarray(lengths))
        if config.seed == 0:
            result["maps"] = [look(task, model, params, text) for text in shown(task)]
    return result


def along(weights: np.ndarray, lengths: np.ndarray) -> float:
    """Return the mean rank correlation of the place looked at, Σ_s s a_ts, with t.

    Args:
        weights: a (B, T, S). lengths: (B,) tokens said; those of fewer than 3 are left out.
    Returns:
        NaN if none is left.
    """
    centers = weights @ np.arange(weights.shape[-1])
    correlations = [
        cast(float, spearmanr(np.arange(n), row[:n])[0])
        for row, n in zip(centers, lengths, strict=True)
        if n >= 3 and np.ptp(row[:n]) > 0
    ]
    return float(np.mean(correlations)) if correlations else float("nan")


def shown(task: Translation) -> list[str]:
    """Return the texts whose attention is drawn: words that fit, or a file's first held out."""
    if task.path:
        return [" ".join(source) for source, _ in task.pairs()[1][: len(SHOWN)]]
    return [word for word in SHOWN if len(word) <= task.max_length]


def look(task: Translation, model: EncoderDecoder, params: PyTree, text: str) -> dict[str, object]:
    """Return {"text", "source", "said", "weights" (said, source)} of one source, without END."""
    tokens = task.tokens(text)
    ids = jnp.asarray(task.encode(tokens))[None]
    outputs, weights = model.weights(params, ids, jnp.array([len(tokens)]))
    # without the "…" of an answer that did not end
    words = task.say(tokens, outputs[0]).split()[: int(translation.said_length(outputs)[0])]
    return {
        "text": text,
        "source": tokens,
        "said": words,
        "weights": np.asarray(weights[0, : len(words)]),
    }


# ---- figures -----------------------------------------------------------------------------------


def figures(table: Table) -> dict[str, tuple[Figure, str]]:
    """Draw learning curves, errors against length, and where attention looks."""
    drawn = {"curves": _curves(table), "length": _length(table)}
    lstm = table.select({"cell.name": CELLS["Bi-LSTM"]})
    maps = next((m.result["maps"] for m in lstm if m.result.get("maps")), [])
    maps = [example for example in maps if example["said"]]
    if maps:
        drawn["attention"] = _attention(maps, read(table), said(table))
    return drawn


def read(table: Table) -> str:
    """Return the name of a token of a source: a letter, or a token of a file's."""
    return "source token" if table[0].config["task"]["path"] else "letter"


def said(table: Table) -> str:
    """Return the name of a token of a target: a sound, or a token of a file's."""
    return "target token" if table[0].config["task"]["path"] else "sound"


def members_of(table: Table, name: str, way: str) -> Table:
    """Return the members of a cell with attention or without, one per seed."""
    return table.select({"cell.name": CELLS[name], "task.attention": way})


def _curves(table: Table) -> tuple[Figure, str]:
    figure, axes = plots.new_figure(1, 2, size=(10.4, 3.8), share_y=True)
    for ax, (way, title) in zip(axes[0], WAYS.items(), strict=True):
        ends = [
            learning_curves.draw(ax, members_of(table, name, way), "token_error", name, k)
            for k, name in enumerate(CELLS)
            if len(members_of(table, name, way))
        ]
        ax.set(xlabel="updates", xlim=(0, table[0].config["training"]["steps"]), ylim=(0, 1))
        learning_curves.baseline(
            ax, table[0].result["table_error"], f"one {said(table)} per {read(table)}"
        )
        plots.title(ax, title)
        plots.direct_labels(ax, ends)
    axes[0, 0].set_ylabel("token error, held out")
    return figure, (
        f"Edits per {said(table)}, decoded greedily, against updates; median and range over seeds. "
        f"Dotted: each {read(table)} stands for its commonest {said(table)}."
    )


def _length(table: Table) -> tuple[Figure, str]:
    figure, axes = plots.new_figure(1, len(CELLS), size=(10.4, 3.4), share_y=True)
    for ax, name in zip(axes[0], CELLS, strict=True):
        ends = [
            plots.band(ax, np.array(LENGTHS), members.stack("by_length"), title, k)
            for k, (way, title) in enumerate(WAYS.items())
            if len(members := members_of(table, name, way))
        ]
        ax.set_xticks(LENGTHS, [f"≤{LENGTHS[0]}", *map(str, LENGTHS[1:-1]), f"≥{LENGTHS[-1]}"])
        ax.set(xlabel=f"{read(table)}s", xlim=(LENGTHS[0] - 0.2, LENGTHS[-1] + 0.2))
        ax.set_ylim(bottom=0)
        plots.title(ax, name)
        plots.direct_labels(ax, ends)
    axes[0, 0].set_ylabel("token error")
    return figure, "The same errors by the source's length; median and range over seeds."


def _attention(maps: list[dict[str, Any]], read: str, said: str) -> tuple[Figure, str]:
    figure, axes = plots.new_figure(1, len(maps), size=(4.2 * len(maps), 4.0))
    for ax, example in zip(axes[0], maps, strict=True):
        ax.imshow(np.array(example["weights"]), cmap="Grays", vmin=0, vmax=1, aspect="auto")
        ax.set_xticks(np.arange(len(example["source"])), example["source"])
        ax.set_yticks(np.arange(len(example["said"])), example["said"])
        ax.set_xlabel("read")
        plots.title(ax, example["text"])
        ax.grid(visible=False)
    axes[0, 0].set_ylabel("said")
    return figure, (
        f"Where a Bi-LSTM's attention looks (black: 1) while it says a target: a row per {said}, a "
        f"column per {read}. The encoder reads both ways, so that a place knows its neighbors."
    )


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


def claims(table: Table) -> list[Claim]:
    """Return the claims: what attention and gates add where one sequence becomes another."""
    limit = table[0].config["task"]["limit"]
    bahdanau, notes = "Bahdanau et al. 2015 (arXiv 1409.0473)", "the notes, claim 22, 17"
    return [
        lower("Attention helps an LSTM", bahdanau)(
            table, line=("Bi-LSTM", "general"), base=("Bi-LSTM", "none")
        ),
        lower("Attention helps a simple RNN", bahdanau)(
            table, line=("Bi-RNN", "general"), base=("Bi-RNN", "none")
        ),
        one_vector_fails(table),
        lower("An LSTM's vector holds more than a simple RNN's", notes)(
            table, line=("Bi-LSTM", "none"), base=("Bi-RNN", "none")
        ),
        gru_equals_lstm(table),
        whole_word_counts(table, read=read(table), said=said(table)),
        attention_moves(table),
        published_error_is_reached(table, count=f"{limit:,}" if limit else "All"),
    ]


def median(table: Table, name: str, way: str, key: str = "token_error") -> float:
    """Return the median of a result over the seeds of a cell, with attention or without."""
    return float(np.median(members_of(table, name, way).stack(key)))


def lower(statement: str, source: str) -> Callable[..., Claim]:
    """Make a claim that the token error of (cell, attention) is below that of ``base``."""

    @claim(
        statement,
        source=source,
        holds_if="median token error lower by at least {margin:g}",
        expected="holds",
        margin=0.02,
    )
    def check(
        table: Table, line: tuple[str, str], base: tuple[str, str], margin: float
    ) -> tuple[bool, str]:
        errors = {(name, way): median(table, name, way) for name, way in (line, base)}
        return errors[base] - errors[line] >= margin, ", ".join(
            f"{name}, {WAYS[way]} {100 * error:.1f}%" for (name, way), error in errors.items()
        )

    return check


@claim(
    "One vector fails on long sources",
    source="Bahdanau et al. 2015 (arXiv 1409.0473), Fig. 2",
    holds_if="Bi-LSTM: token error grows from the shortest to the longest sources by at least "
    "{margin:g} more than with attention",
    expected="holds",
    margin=0.03,
)
def one_vector_fails(table: Table, margin: float) -> tuple[bool, str]:
    """Compare the growth of the error with length, with one vector and with attention."""
    growth = {}
    for way in WAYS:
        curve = np.median(members_of(table, "Bi-LSTM", way).stack("by_length"), axis=0)
        growth[way] = curve[-1] - curve[0]
    return bool(growth["none"] - growth["general"] >= margin), (
        f"from ≤{LENGTHS[0]} to ≥{LENGTHS[-1]} {read(table)}s the error grows by "
        f"{100 * growth['none']:.1f} points without, {100 * growth['general']:.1f} with attention"
    )


@claim(
    "A GRU is as good as an LSTM, with attention",
    source="Chung et al. 2014 (arXiv 1412.3555)",
    holds_if="median token errors differ by at most {margin:g}",
    expected="holds",
    margin=0.02,
)
def gru_equals_lstm(table: Table, margin: float) -> tuple[bool, str]:
    """Compare the median token errors of GRU and LSTM."""
    lstm, gru = (median(table, name, "general") for name in ("Bi-LSTM", "Bi-GRU"))
    return abs(lstm - gru) <= margin, f"LSTM {100 * lstm:.1f}%, GRU {100 * gru:.1f}%"


@claim(
    "A {said} depends on the whole source",
    source="the notes, claim 22",
    holds_if="Bi-LSTM with attention: at most {share:g} times the token error of one {said} per "
    "{read}",
    expected="holds",
    share=0.5,
)
def whole_word_counts(table: Table, read: str, said: str, share: float) -> tuple[bool, str]:
    """Compare the token error with that of a table of letters."""
    error, table_error = median(table, "Bi-LSTM", "general"), table[0].result["table_error"]
    return error <= share * table_error, (
        f"{100 * error:.1f}%, one {said} per {read} {100 * table_error:.1f}%"
    )


@claim(
    "Attention moves along the source",
    source="Toshniwal & Livescu 2016 (arXiv 1610.06540)",
    holds_if="Bi-LSTM: mean rank correlation of the place looked at with the place said at least "
    "{least:g}",
    expected="holds",
    least=0.8,
)
def attention_moves(table: Table, least: float) -> tuple[bool, str]:
    """Check the median of :func:`along`."""
    correlation = median(table, "Bi-LSTM", "general", "along")
    return correlation >= least, f"mean rank correlation {correlation:.2f}"


@claim(
    "{count} words suffice for the published error",
    source="Yao & Zweig 2015 (arXiv 1506.00196)",
    holds_if="Bi-LSTM with attention: at most {most:.1%} of words wrong",
    expected="refuted",
    most=0.236,
)
def published_error_is_reached(table: Table, most: float) -> tuple[bool, str]:
    """Compare the median sequence error with the published one."""
    if path := table[0].config["task"]["path"]:
        raise Undecided(f"what is published is of the CMU dictionary, this run reads {path}")
    error = median(table, "Bi-LSTM", "general", "sequence_error")
    return error <= most, f"{100 * error:.1f}% of words wrong"
