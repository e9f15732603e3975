"""Sequence to sequence: spellings to sounds, by encoder and decoder, with and without attention.

    rnnlab run --config=experiments/language/translation.py
    rnnlab run --config=experiments/language/translation.py --config.task.path=PAIRS.tsv   # your
    own pairs rnnlab predict DIR --text=gradient  # G R EY D IY AH N T

20,000 words of the CMU Pronouncing Dictionary (rnnlab[data]) of at most 16 letters and sounds, the
first 2,000 of those held out; a Bi-RNN, Bi-LSTM and Bi-GRU of H = 64 a direction read, a cell of
the same kind says, E = 64; 2,000 updates of 64 words, two seeds; Luong's attention, or the
encoder's last vector alone. What is judged is said greedily: token error is edits by the sounds of
the word, sequence error the share of words with any. (No corpus of translated sentences can be
installed offline; a file of pairs, tokens parted by blanks, is read by --config.task.path.)

Expected: one vector holds a short word and not a long one, and attention mends that (Cho et al.
2014; Bahdanau et al. 2015, Fig. 2); a simple RNN's vector holds less than an LSTM's (the notes:
LSTM for translation); attention moves along the word; 20,000 words and H = 64 are short of what is
published for the whole dictionary, 23.6% of words wrong (Yao & Zweig 2015).
Found: all of it. Token errors with attention and without: LSTM 12.0% and 26.2%, GRU 11.8 and 25.4,
RNN 13.4 and 35.7 (one sound a letter: 51.2). From words of 5 letters to those of 10 and more it
grows by 16 points where all passes through one vector, and falls by 3 with attention, which takes
nearly all of the gates' advantage. 46% of words are not right (one pronunciation of each counts).

About 6 minutes on 2 cores (measured with other work on them).
"""

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from scipy.stats import spearmanr

from rnnlab import training
from rnnlab.nn import layers
from rnnlab.nn.initializers import InitScheme
from rnnlab.plotting import learning_curves, plots
from rnnlab.results.claims import Claim
from rnnlab.results.table import Table
from rnnlab.tasks import translation
from rnnlab.training import runner

REPRODUCE = False  # with it `rnnlab reproduce` would take more than half an hour

CELLS = {"Bi-RNN": "bi-rnn-tanh", "Bi-LSTM": "bi-lstm", "Bi-GRU": "bi-gru"}
WAYS = {"general": "attention", "none": "one vector"}
LENGTHS = (5, 6, 7, 8, 9, 10)  # letters: up to 5, 6, …, 10 and more
SHOWN = ("knowledge", "physician", "thoroughbred")
HELP = 0.02  # of token error: what counts as better
LONG = 0.03  # of token error: by how much more a long word suffers
ALONG = 0.8  # rank correlation of what is looked at with what is said
PUBLISHED = 0.236  # of words wrong; LSTM, Yao & Zweig 2015


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The default, or with "full" all words."""
    if arg not in (None, "", "full"):
        raise ValueError(f"translation.py takes no argument or :full, got {arg!r}")
    full = arg == "full"
    config = ml_collections.ConfigDict(
        {
            "seed": 0,
            "task": {
                "name": "translation",
                "path": "",  # pairs, a tab between; empty: spellings and sounds
                "test_path": "",
                "test_share": 0.1,
                "limit": 0 if full else 20_000,
                "max_length": 24 if full else 16,
                "min_count": 1,
                "embedding_size": 128 if full else 64,
                "attention": "general",
                "solved_at": 0.1,  # of the targets that are not right
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
                eval_batch_size=8000 if full else 2000,
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


def get_sweep(config: Any) -> dict[Any, Any]:
    """Cells x attention x seeds."""
    return {
        "cell.name": tuple(CELLS.values()),
        "task.attention": tuple(WAYS),
        "seed": tuple(range(config.run.seeds)),
    }


run = runner.run


def predict(config: Any) -> dict[str, Any]:
    """The token error of a table that has a token of the target for each of the source."""
    task: Any = training.task_of(config)
    return {"table_error": table_error(task, config.training.eval_batch_size)}


@lru_cache(maxsize=4)
def table_error(task: Any, judged: int) -> float:
    """Each token of a source says the one that stands oftenest at its place, as a share of each."""
    data = task.load()
    counts = np.zeros((task.input_size, task.output_size), np.int64)
    for source, n, target, m in zip(*data[:4], strict=True):
        places = (np.arange(n) * (m - 1)) // n  # END is left out
        np.add.at(counts, (source[:n], target[places]), 1)
    batch = task.test(data, jax.random.key(0), judged)
    said = jnp.asarray(counts.argmax(axis=1))[batch.inputs.source]
    wanted = batch.mask.sum(axis=1) - 1
    edits = translation.edit_distance(said, batch.lengths, batch.targets, wanted)
    return float(edits.sum() / wanted.sum())


def measure(config: Any, setup: Any, params: Any) -> dict[str, Any]:
    """Errors by length, and where attention looks while a word is said."""
    task, model = setup.task, setup.model
    batch = task.test(task.load(), jax.random.key(0), config.training.eval_batch_size)
    said, _ = jax.jit(model.apply)(params, batch.inputs.source, lengths=batch.lengths)
    edits, wanted = task.edits(said, batch)
    place = np.clip(np.asarray(batch.lengths), LENGTHS[0], LENGTHS[-1]) - LENGTHS[0]
    sums = [np.bincount(place, np.asarray(of), len(LENGTHS)) for of in (edits, wanted)]
    result: dict[str, Any] = {"by_length": sums[0] / np.maximum(sums[1], 1), "by_length_n": sums[1]}
    if task.attention != "none":
        weights = model.weights(params, batch.inputs.source, batch.lengths)[1]
        result["along"] = along(np.asarray(weights), np.asarray(translation.said_length(said)))
        if config.seed == 0:
            result["maps"] = [look(task, model, params, text) for text in shown(task)]
    return result


def along(weights: np.ndarray, found: np.ndarray) -> float:
    """Mean rank correlation of the place looked at, Σ_s s a_ts, with t; of 3 tokens and more."""
    centers = weights @ np.arange(weights.shape[-1])
    ranks: Any = [
        spearmanr(np.arange(n), row[:n])
        for row, n in zip(centers, found, strict=True)
        if n >= 3 and np.ptp(row[:n]) > 0
    ]
    return float(np.mean([rank.statistic for rank in ranks])) if ranks else float("nan")


def shown(task: Any) -> list[str]:
    """Whose attention is drawn: words that fit, or the first sources held out of a file."""
    if task.path:
        return [" ".join(source) for source, _ in task.pairs()[1][: len(SHOWN)]]
    return [word for word in SHOWN if len(word) <= task.max_length]


def look(task: Any, model: Any, params: Any, text: str) -> dict[str, Any]:
    """{text, source, said, weights (said, source)} of one source, END left out."""
    tokens = task.tokens(text)
    ids = jnp.asarray(task.encode(tokens))[None]
    said, weights = model.weights(params, ids, jnp.array([len(tokens)]))
    words = task.say(tokens, said[0]).split()
    found = np.asarray(weights[0, : len(words)])
    return {"text": text, "source": tokens, "said": words, "weights": found}


# ---- figures -----------------------------------------------------------------------------------


def figures(table: Table) -> dict[str, Any]:
    """Learning curves, errors against length, and where attention looks."""
    found = {"curves": _curves(table), "length": _length(table)}
    of_lstm = table.select({"cell.name": CELLS["Bi-LSTM"]})
    maps = next((m.result["maps"] for m in of_lstm if m.result.get("maps")), [])
    maps = [one for one in maps if one["said"]]
    return found | ({"attention": _attention(maps)} if maps else {})


def _of(table: Table, name: str, way: str) -> Table:
    return table.select({"cell.name": CELLS[name], "task.attention": way})


def _curves(table: Table) -> tuple[Any, str]:
    figure, axes = plots.new_figure(1, 2, size=(10.4, 3.8), share_y=True)
    for ax, (way, title) in zip(axes[0], WAYS.items(), strict=True):
        ends = [
            learning_curves.draw(ax, _of(table, name, way), "token_error", name, k)
            for k, name in enumerate(CELLS)
            if len(_of(table, name, way))
        ]
        ax.set(xlabel="updates", xlim=(0, table[0].config["training"]["steps"]), ylim=(0, 1))
        learning_curves.baseline(ax, table[0].result["table_error"], "one sound a letter")
        plots.title(ax, title)
        plots.direct_labels(ax, ends)
    axes[0, 0].set_ylabel("token error, words held out")
    return figure, (
        "Edits by the sounds of the words, said greedily, against updates; median and range over "
        "seeds. Dotted: each letter says its commonest sound."
    )


def _length(table: Table) -> tuple[Any, str]:
    figure, axes = plots.new_figure(1, len(CELLS), size=(10.4, 3.4), share_y=True)
    for ax, name in zip(axes[0], CELLS, strict=True):
        ends = [
            plots.band(ax, np.array(LENGTHS), members.stack("by_length"), title, k)
            for k, (way, title) in enumerate(WAYS.items())
            if len(members := _of(table, name, way))
        ]
        ax.set_xticks(LENGTHS, [f"≤{LENGTHS[0]}", *map(str, LENGTHS[1:-1]), f"≥{LENGTHS[-1]}"])
        ax.set(xlabel="letters", xlim=(LENGTHS[0] - 0.2, LENGTHS[-1] + 0.2))
        ax.set_ylim(bottom=0)
        plots.title(ax, name)
        plots.direct_labels(ax, ends)
    axes[0, 0].set_ylabel("token error")
    return figure, "The same errors by the word's length; median and range over seeds."


def _attention(maps: list[dict[str, Any]]) -> tuple[Any, str]:
    figure, axes = plots.new_figure(1, len(maps), size=(4.2 * len(maps), 4.0))
    for ax, one in zip(axes[0], maps, strict=True):
        ax.imshow(np.array(one["weights"]), cmap="Grays", vmin=0, vmax=1, aspect="auto")
        ax.set_xticks(np.arange(len(one["source"])), one["source"])
        ax.set_yticks(np.arange(len(one["said"])), one["said"])
        ax.set_xlabel("read")
        plots.title(ax, one["text"])
        ax.grid(visible=False)
    axes[0, 0].set_ylabel("said")
    return figure, (
        "Where a Bi-LSTM's attention looks (black: 1) while it says a word: a row a sound, a "
        "column a letter. The encoder reads both ways, so that a place knows its neighbors."
    )


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


def claims(table: Table) -> list[Claim]:
    """What attention and gates are good for where one sequence becomes another."""

    def median(name: str, way: str, key: str = "token_error") -> float:
        return float(np.median(_of(table, name, way).stack(key)))

    def below(one: tuple[str, str], other: tuple[str, str]) -> Any:
        def check() -> tuple[bool, str]:
            values = [median(*line) for line in (one, other)]
            said = [
                f"{name}, {WAYS[way]} {100 * value:.1f}%"
                for (name, way), value in zip((one, other), values, strict=True)
            ]
            return values[1] - values[0] >= HELP, ", ".join(said)

        return check

    def long_words() -> tuple[bool, str]:
        grows = {}
        for way in WAYS:
            curve = np.median(_of(table, "Bi-LSTM", way).stack("by_length"), axis=0)
            grows[way] = curve[-1] - curve[0]
        return bool(grows["none"] - grows["general"] >= LONG), (
            f"from ≤{LENGTHS[0]} to ≥{LENGTHS[-1]} letters the error grows by "
            f"{100 * grows['none']:.1f} points without, {100 * grows['general']:.1f} with attention"
        )

    def equal() -> tuple[bool, str]:
        values = [median(name, "general") for name in ("Bi-LSTM", "Bi-GRU")]
        return abs(values[0] - values[1]) <= HELP, (
            f"LSTM {100 * values[0]:.1f}%, GRU {100 * values[1]:.1f}%"
        )

    def context() -> tuple[bool, str]:
        bound, found = table[0].result["table_error"] / 2, median("Bi-LSTM", "general")
        return found <= bound, f"{100 * found:.1f}%, one sound a letter {200 * bound:.1f}%"

    def moves() -> tuple[bool, str]:
        found = median("Bi-LSTM", "general", "along")
        return found >= ALONG, f"mean rank correlation {found:.2f}"

    def published() -> tuple[bool, str]:
        found = median("Bi-LSTM", "general", "sequence_error")
        return found <= PUBLISHED, f"{100 * found:.1f}% of words wrong"

    notes = "the notes, claim 22"
    margin = f"median token error lower by at least {HELP}"
    both = "Bahdanau et al. 2015 (arXiv 1409.0473)"
    return [
        Claim(
            "Attention helps an LSTM",
            both,
            margin,
            "holds",
            below(("Bi-LSTM", "general"), ("Bi-LSTM", "none")),
        ),
        Claim(
            "… and a simple RNN",
            both,
            margin,
            "holds",
            below(("Bi-RNN", "general"), ("Bi-RNN", "none")),
        ),
        Claim(
            "One vector fails on long words",
            f"{both}, Fig. 2",
            "Bi-LSTM: token error grows "
            f"from the shortest to the longest words by at least {LONG} more than with attention",
            "holds",
            long_words,
        ),
        Claim(
            "An LSTM's vector holds more than a simple RNN's",
            f"{notes}, 17",
            margin,
            "holds",
            below(("Bi-LSTM", "none"), ("Bi-RNN", "none")),
        ),
        Claim(
            "A GRU is as good as an LSTM, with attention",
            "Chung et al. 2014 (arXiv 1412.3555)",
            f"median token errors at most {HELP} apart",
            "holds",
            equal,
        ),
        Claim(
            "What is said depends on the whole word",
            notes,
            "Bi-LSTM with attention: at most half the token error of one sound a letter",
            "holds",
            context,
        ),
        Claim(
            "Attention moves along the word",
            "Toshniwal & Livescu 2016 (arXiv 1610.06540)",
            f"Bi-LSTM: mean rank correlation of the place looked at with the place said at least "
            f"{ALONG}",
            "holds",
            moves,
        ),
        Claim(
            "Twenty thousand words suffice for what is published",
            "Yao & Zweig 2015 (arXiv 1506.00196)",
            f"Bi-LSTM with attention: at most {100 * PUBLISHED:.1f}% of words wrong",
            "refuted",
            published,
        ),
    ]
