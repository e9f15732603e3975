"""Sequence to sequence: spellings to sounds, by encoder and decoder, with and without attention.

    rnnlab run --config=experiments/language/translation.py
    rnnlab run --config=experiments/language/translation.py --config.task.path=PAIRS.tsv
    rnnlab predict DIR --text=gradient  # G R EY D IY AH N T

20,000 words of the CMU Pronouncing Dictionary (rnnlab[data]) of at most 16 letters and sounds, the
first 1,000 of those held out, and 1,000 for validation. A Bi-RNN, Bi-LSTM or Bi-GRU of H = 32 per
direction reads a word, a cell of the same kind says it, E = 32; 400 updates of 64 words; Luong's
attention, or the encoder's last vector alone. Words are decoded greedily: token error is edits per
sound of the word, sequence error the share of words with any. Every network has a learning rate of
its own, chosen by its validation token error on 2 seeds, and is judged by its test token error on 8
other seeds, on 16 where a pair is still open. (No corpus of translated sentences can be installed
offline; a file of your own pairs, tokens separated by blanks, is read by --config.task.path.) About
6 minutes on 2 cores.

Expected: one vector holds a short word and not a long one, and attention mends that (Cho et al.
2014; Bahdanau et al. 2015, Fig. 2); a simple RNN's vector holds less than an LSTM's (the notes:
LSTM for translation); attention moves along the word; 20,000 words and H = 32 do not reach what is
published for the whole dictionary, 23.6% of words wrong (Yao & Zweig 2015).

Found: token errors with attention and without: LSTM 16.0% and 58.1%, RNN 22.2 and 63.0. After 400
updates one vector says words worse than one sound per letter, 52.4; version 1 had 26.2 and 35.7
after 2,000. The LSTM's vector is better than the RNN's by 4.9 points [1.3 to 7.9]. With one vector
the error grows with length by 14.1 points [9.5 to 17.6], with attention it falls by one. Against
expectation a GRU is worse than the LSTM, 17.8% against 16.0, by 1.8 points [1.2 to 2.5], each at
its own rate, 0.02 and 0.04 (beyond the grid that was asked for). 57% of words are wrong (one
pronunciation of each counts).
"""

from functools import lru_cache, partial
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict
from scipy.stats import spearmanr

from rnnlab import training
from rnnlab.core.errors import Undecided
from rnnlab.lab.comparison import RATE, Comparison
from rnnlab.lab.config import scale
from rnnlab.nn import layers
from rnnlab.nn.encoder_decoder import EncoderDecoder
from rnnlab.nn.initializers import InitScheme
from rnnlab.plotting import learning_curves, plots
from rnnlab.results.claims import Claim
from rnnlab.results.comparison import Comparisons
from rnnlab.results.comparison_claims import Measure, as_good, beats, better
from rnnlab.results.table import Member, Table
from rnnlab.tasks import translation
from rnnlab.tasks.base import Config, PyTree
from rnnlab.tasks.translation import Translation
from rnnlab.training import runner

REPRODUCE = False  # `rnnlab reproduce` would take more than half an hour with it

CELLS = {"Bi-RNN": "bi-rnn-tanh", "Bi-LSTM": "bi-lstm", "Bi-GRU": "bi-gru"}
WAYS = {"general": "attention", "none": "one vector"}
COMPARED = {  # (cell, attention) by the name of their comparison
    "attention_LSTM": (("Bi-LSTM", "general"), ("Bi-LSTM", "none")),
    "attention_RNN": (("Bi-RNN", "general"), ("Bi-RNN", "none")),
    "vector": (("Bi-LSTM", "none"), ("Bi-RNN", "none")),
    "gates": (("Bi-GRU", "general"), ("Bi-LSTM", "general")),
}
TUNING_SEEDS, SEEDS = 2, (8, 16)
MARGIN = 0.02  # of the token error: what does not matter
GROWTH = 0.03  # of the error with length: by how much more with one vector
SHARE = 0.5  # of the error of a table
ALONG = 0.8  # the rank correlation at which attention moves along the source
PUBLISHED = 0.236  # share of words wrong
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
                "embedding_size": 128 if full else 32,
                "attention": "general",
                "solved_at": 0.1,  # share of targets that are wrong
            },
            "cell": layers.config("bi-lstm", 256 if full else 32),
            "init": InitScheme.config(),
            "training": training.config(
                learning_rate=2e-3 if full else 5e-3,
                schedule="linear",
                clip_norm=1.0,
                batch_size=64,
                steps=30_000 if full else 400,
                eval_every=1000 if full else 200,
                eval_batch_size=1000,
                # of some 11,000 held out, which take longer to say than to learn from; 0: all
                eval_sample=8000 if full else 1000,
                stop_when_solved=False,
            ),
            "run": runner.config(
                rates=(3e-4, 1e-3, 3e-3, 1e-2) if full else (5e-3, 1e-2, 2e-2),  # to tune
                seconds_per_member=4000.0 if full else 5.0,
                seconds_per_group=10.0,
            ),
        }
    )
    return config.lock()


def comparison(config: Config) -> list[Comparison]:
    """Compare networks with attention and without by their token error.

    Comparisons share the members that they have in common.
    """
    on = f"On {Path(config.task.path).name or 'spellings and sounds'}"
    return [
        Comparison(
            {arm(*line): settings(*line) for line in lines},
            tune={RATE: config.run.rates},
            score="token_error",
            equivalent=MARGIN,
            tuning_seeds=TUNING_SEEDS,
            seeds=SEEDS,
            question=on,
            name=name,
        )
        for name, lines in COMPARED.items()
    ]


def arm(cell: str, way: str) -> str:
    """Return the name of an arm.

    >>> arm("Bi-LSTM", "none")
    'Bi-LSTM, one vector'
    """
    return f"{cell}, {WAYS[way]}"


def settings(cell: str, way: str) -> dict[str, str]:
    """Return the config of an arm; the LSTM's forget bias is 0."""
    own = {"cell.name": CELLS[cell], "task.attention": way}
    return own | ({"init.forget_bias": "0.0"} if cell == "Bi-LSTM" else {})


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
    attends = task.attention != "none"
    outputs, weights = said_of(model, params, batch.inputs.source, batch.lengths, attends)
    edits, tokens = task.edits(outputs, batch)
    place = np.clip(np.asarray(batch.lengths), LENGTHS[0], LENGTHS[-1]) - LENGTHS[0]
    edits_by_length, tokens_by_length = (
        np.bincount(place, np.asarray(weights), len(LENGTHS)) for weights in (edits, tokens)
    )
    result: dict[str, object] = {
        # NaN where no source has the length
        "by_length": edits_by_length / np.where(tokens_by_length, tokens_by_length, np.nan),
        "by_length_n": tokens_by_length,
    }
    if attends:
        lengths = translation.said_length(outputs)
        result["along"] = along(np.asarray(weights), np.asarray(lengths))
        result["maps"] = maps(task, model, params, shown(task))
    return result


@partial(jax.jit, static_argnames=("model", "attends"))  # compiled once for all seeds and rates
def said_of(
    model: EncoderDecoder, params: PyTree, source: jax.Array, lengths: jax.Array, attends: bool
) -> tuple[jax.Array, jax.Array | None]:
    """Return what is said (B, T) of sources (B, S), and the weights (B, T, S) of attention."""
    if attends:
        return model.weights(params, source, lengths)
    outputs: PyTree = model.apply(params, source, lengths=lengths)[0]
    return outputs, None


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


def maps(
    task: Translation, model: EncoderDecoder, params: PyTree, texts: list[str]
) -> list[dict[str, object]]:
    """Return {"text", "source", "said", "weights" (said, source)} of sources, without END."""
    sources = [task.tokens(text) for text in texts]
    lengths = np.array([*map(len, sources)])
    ids = np.zeros((len(texts), max(lengths, default=1)), np.int32)
    for row, source in zip(ids, sources, strict=True):
        row[: len(source)] = task.encode(source)
    outputs, weights = said_of(model, params, jnp.asarray(ids), jnp.asarray(lengths), True)
    ends, found = np.asarray(translation.said_length(outputs)), []
    for k, (text, source) in enumerate(zip(texts, sources, strict=True)):
        # without the "…" of an answer that did not end
        words = task.say(source, outputs[k]).split()[: int(ends[k])]
        looked = np.asarray(weights)[k, : len(words), : len(source)]
        found.append({"text": text, "source": source, "said": words, "weights": looked})
    return found


# ---- figures -----------------------------------------------------------------------------------


def figures(table: Table, comparisons: Comparisons) -> dict[str, tuple[Figure, str]]:
    """Draw learning curves, errors against length, and where attention looks."""
    drawn = {"curves": _curves(table, comparisons), "length": _length(table, comparisons)}
    lstm = table.select({"cell.name": CELLS["Bi-LSTM"]})
    looked = next((m.result["maps"] for m in lstm if m.result.get("maps")), [])
    looked = [example for example in looked if example["said"]]
    if looked:
        drawn["attention"] = _attention(looked, read(table), said(table))
    return drawn


def read(table: Table) -> str:
    """Return the name of a token of a source: a letter, or a token of a file's."""
    return "source token" if table[0].config["task"]["path"] else "letter"


def said(table: Table) -> str:
    """Return the name of a token of a target: a sound, or a token of a file's."""
    return "target token" if table[0].config["task"]["path"] else "sound"


def of(table: Table, comparisons: Comparisons, cell: str, way: str) -> Table:
    """Select the judged members of an arm; of a sweep those of a line, one per seed."""
    for name, lines in COMPARED.items():
        if comparisons and (cell, way) in lines:
            return comparisons[name].judged(table, arm(cell, way))
    return table.select({"cell.name": CELLS[cell], "task.attention": way})


def _curves(table: Table, comparisons: Comparisons) -> tuple[Figure, str]:
    figure, axes = plots.new_figure(1, 2, size=(10.4, 3.8), share_y=True)
    for ax, (way, title) in zip(axes[0], WAYS.items(), strict=True):
        ends = [
            learning_curves.draw(ax, members, "token_error", name, k)
            for k, name in enumerate(CELLS)
            if len(members := of(table, comparisons, name, way))
        ]
        ax.set(xlabel="updates", xlim=(0, table[0].config["training"]["steps"]), ylim=(0, 1))
        learning_curves.baseline(
            ax, table[0].result["table_error"], f"one {said(table)} per {read(table)}"
        )
        plots.title(ax, title)
        plots.direct_labels(ax, ends)
    axes[0, 0].set_ylabel("token error, held out")
    return figure, (
        f"Edits per {said(table)}, decoded greedily, against updates; {plots.MEDIAN_AND_BAND} over "
        "seeds. "
        f"Dotted: each {read(table)} stands for its commonest {said(table)}."
    )


def _length(table: Table, comparisons: Comparisons) -> tuple[Figure, str]:
    figure, axes = plots.new_figure(1, len(CELLS), size=(10.4, 3.4), share_y=True)
    for ax, name in zip(axes[0], CELLS, strict=True):
        ends = [
            plots.band(ax, np.array(LENGTHS), members.stack("by_length"), title, k)
            for k, (way, title) in enumerate(WAYS.items())
            if len(members := of(table, comparisons, name, way))
        ]
        ax.set_xticks(LENGTHS, [f"≤{LENGTHS[0]}", *map(str, LENGTHS[1:-1]), f"≥{LENGTHS[-1]}"])
        ax.set(xlabel=f"{read(table)}s", xlim=(LENGTHS[0] - 0.2, LENGTHS[-1] + 0.2))
        ax.set_ylim(bottom=0)
        plots.title(ax, name)
        plots.direct_labels(ax, ends)
    axes[0, 0].set_ylabel("token error")
    return figure, f"The same errors by the source's length; {plots.MEDIAN_AND_BAND} over seeds."


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


def claims(table: Table, comparisons: Comparisons) -> list[Claim]:
    """Return the claims: what attention and gates add where one sequence becomes another."""
    task = table[0].config["task"]
    bahdanau, notes = "Bahdanau et al. 2015 (arXiv 1409.0473)", "the notes, claim 22, 17"
    compared = {name: tuple(arm(*line) for line in lines) for name, lines in COMPARED.items()}

    def helps(statement: str, name: str, source: str) -> Claim:
        first, second = compared[name]
        return better(
            statement, comparisons=comparisons, name=name, arms=(first, second), source=source
        )

    of_lstm: Any = {"table": table, "comparisons": comparisons, "name": "attention_LSTM"}
    attention, one_vector = compared["attention_LSTM"]

    def attentive_growth(member: Member) -> float:
        judged = comparisons["attention_LSTM"].judged(table, attention)
        (same,) = judged.select(seed=member.config["seed"])
        return growth(same) + GROWTH

    pairs = table
    if comparisons:
        pairs = comparisons["attention_LSTM"].paired(table, attention, one_vector)

    def published(member: Member) -> float:
        if task["path"]:
            raise Undecided(
                f"what is published is of the CMU dictionary, this run reads {task['path']}"
            )
        return PUBLISHED

    count, token = f"{task['limit']:,}" if task["limit"] else "All", said(table)
    gru, lstm = compared["gates"]
    return [
        helps("Attention helps an LSTM", "attention_LSTM", bahdanau),
        helps("Attention helps a simple RNN", "attention_RNN", bahdanau),
        beats(
            "One vector fails on long sources",
            arms=[one_vector],
            score=growth,
            answer=attentive_growth,
            words=(
                "the growth of the token error from the shortest sources to the longest",
                f"that with attention of the same seed, plus {GROWTH:g},",
            ),
            source=f"{bahdanau}, Fig. 2",
            higher=True,
            **of_lstm | {"table": pairs},
        ),
        helps("An LSTM's vector holds more than a simple RNN's", "vector", notes),
        as_good(
            "A GRU is as good as an LSTM, with attention",
            comparisons=comparisons,
            name="gates",
            arms=(gru, lstm),
            source="Chung et al. 2014 (arXiv 1412.3555)",
        ),
        beats(
            f"A {token} depends on the whole source",
            arms=[attention],
            score=result("token_error"),
            answer=lambda member: SHARE * member.result["table_error"],
            words=("the token error", f"{SHARE:g} times that of one {token} per {read(table)}"),
            source="the notes, claim 22",
            **of_lstm,
        ),
        beats(
            "Attention moves along the source",
            arms=[attention],
            score=result("along"),
            answer=lambda member: ALONG,
            words=("the mean rank correlation of the place looked at", "the least that counts,"),
            source="Toshniwal & Livescu 2016 (arXiv 1610.06540)",
            higher=True,
            **of_lstm,
        ),
        beats(
            f"{count} words suffice for the published error",
            arms=[attention],
            score=result("sequence_error"),
            answer=published,
            words=("the share of words wrong", "the published one,"),
            source="Yao & Zweig 2015 (arXiv 1506.00196)",
            expected="refuted",
            **of_lstm,
        ),
    ]


def result(name: str) -> Measure:
    """Return what reads a result of a member."""
    return lambda member: float(member.result[name])


def growth(member: Member) -> float:
    """Return by how much the token error is larger on the longest sources than on the shortest."""
    return float(member.result["by_length"][-1] - member.result["by_length"][0])
