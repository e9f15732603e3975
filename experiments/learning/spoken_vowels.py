"""Who speaks? Spoken vowels by RNN, LSTM and GRU, one way and both, whole or only in part.

    rnnlab run --config=experiments/learning/spoken_vowels.py
    rnnlab predict RUN --file=JapaneseVowels_TEST.ts

Nine men say two Japanese vowels in succession: 270 utterances to learn from and 370 held out, 12
LPC cepstrum coefficients per frame, 7 to 29 frames (Kudo et al. 1999; a package of rnnlab[data]).
H = 64 per direction, 500 updates. Every network has a learning rate of its own, chosen by its
validation accuracy on 3 seeds, and is judged by its test accuracy on 8 other seeds, on 16 where a
pair is still open. Other series: --config.task.source=BasicMotions, or .ts files by
--config.task.path=TRAIN --config.task.test_path=TEST. About 4 minutes on 2 cores; ":full" has
H = 128 and 3,000 updates.

Beside them stand answers without a network: logistic regression on each channel's mean over time
(order lost), and the nearest neighbor by dynamic time warping. One-way networks are also judged
on the first tenth, two tenths ... of each utterance: they answer in real time.

Expected, from the notes' table (a GRU for speech) and claim 18: a GRU does as well as an LSTM with
three quarters of its recurrent parameters. Published: 94.1% (Kudo et al. 1999, by hand-made
regions), 97 to 99% by convolutions beside an LSTM (Karim et al. 2019, arXiv 1801.04503).

Found: GRU (97.6%) and RNN (97.1%) are equivalent to the LSTM (97.1%); on means over time 95.7%, by
warping 95.9%. Reading both ways helps the RNN by 1.3 points [0.1 to 3.0], but not the LSTM, 0.3
[-0.6 to 0.9], nor the GRU, 0.5 [0.1 to 0.9]: within the point that counts as help. Against
expectation a Bi-GRU (98.1%) passes the 97% of convolutions, and half an utterance is not enough for
the GRU (77.6% [75.0 to 79.6], trained on whole ones). The tuning sees 27 utterances only. After 600
updates in place of 500 a Bi-LSTM was better than an LSTM, by 0.8 points [0.3 to 1.2].
"""

from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from rnnlab import training
from rnnlab.core.errors import Undecided
from rnnlab.lab.comparison import RATE, Comparison
from rnnlab.lab.config import Config, scale
from rnnlab.nn import generation, layers, models
from rnnlab.nn.initializers import InitScheme
from rnnlab.plotting import keys, plots
from rnnlab.results.claims import Claim, claim
from rnnlab.results.comparison import Comparisons
from rnnlab.results.comparison_claims import as_good, beats, better
from rnnlab.results.table import Member, Table
from rnnlab.tasks.base import RaggedBatch
from rnnlab.tasks.classification import Sequences
from rnnlab.tasks.series_classes import SeriesClasses
from rnnlab.training import runner

ONE_WAY = {"RNN": "rnn-tanh", "LSTM": "lstm", "GRU": "gru"}
LINES = {
    f"{way}{name}": f"{way.lower()}{cell}" for way in ("", "Bi-") for name, cell in ONE_WAY.items()
}
ANSWERS = {"linear": "linear, mean over time", "warping": "nearest by time warping"}
SHARES = tuple(k / 10 for k in range(1, 11))  # of an utterance, heard
TUNING_SEEDS, SEEDS = 3, (8, 16)
PAR = 0.015  # of the accuracy: about a standard error of 370 utterances
HELP = 0.01  # of the accuracy: what counts as help
KUDO = 0.941
CONVOLUTIONS = 0.97
HALF = 0.8  # the accuracy at half an utterance


def get_config(arg: str | None = None) -> ConfigDict:
    """Return the default config, or with "full" larger networks and more updates."""
    full = scale(arg) == "full"
    config = ConfigDict(
        {
            "seed": 0,
            "task": {
                "name": "series_classes",
                "source": "JapaneseVowels",
                "path": "",  # a table or .ts file of your own, in place of source
                "label_column": "",  # of a table: of classes
                "series_column": "",  # of a table with a step per row: what tells series apart
                "gaps": "refuse",  # empty cells: refuse, drop (the step), interpolate
                "test_path": "",
                "validation_path": "",
                "test_share": 0.2,
                "validation_share": 0.1,  # of the series to learn from
                "max_length": 0,
            },
            "cell": layers.config("gru", 128 if full else 64),
            "init": InitScheme.config(w_h="orthogonal"),
            "training": training.config(
                learning_rate=1e-3 if full else 3e-3,
                schedule="cosine",
                clip_norm=1.0,
                batch_size=32,
                steps=3000 if full else 500,
                eval_every=100 if full else 20,
                eval_batch_size=5000,
                stop_when_solved=False,
            ),
            "run": runner.config(
                rates=(3e-4, 1e-3, 3e-3, 1e-2) if full else (1e-3, 3e-3, 1e-2, 3e-2),  # to tune
                seconds_per_member=40.0 if full else 1.3,
                seconds_per_group=4.0,
            ),
        }
    )
    return config.lock()


def comparison(config: Config) -> list[Comparison]:
    """Compare RNN and GRU with the LSTM, and reading both ways with one way, cell by cell.

    Comparisons share the members that they have in common.
    """

    def compare(
        name: str, question: str, lines: tuple[str, ...], margin: float, reference: str
    ) -> Comparison:
        return Comparison(
            {line: setting(line) for line in lines},
            tune={RATE: config.run.rates},
            score="accuracy",
            equivalent=margin,
            reference=reference,
            tuning_seeds=TUNING_SEEDS,
            seeds=SEEDS,
            question=question,
            name=name,
        )

    task = config.task
    on = f"On {Path(task.path).name if task.path else task.source}"
    return [
        compare("cells", on, tuple(ONE_WAY), PAR, "LSTM"),
        *(compare(f"ways_{name}", on, (f"Bi-{name}", name), HELP, name) for name in ONE_WAY),
    ]


def setting(line: str) -> dict[str, str]:
    """Return the config of an arm.

    >>> setting("RNN"), setting("Bi-GRU")
    ({'cell.name': 'rnn-tanh'}, {'cell.name': 'bi-gru', 'init.forget_bias': '1.0'})
    """
    gated = {} if "RNN" in line else {"init.forget_bias": "1.0"}
    return {"cell.name": LINES[line]} | gated


run = training.run


def measure(config: Config, setup: training.Setup, params: Mapping[str, Any]) -> dict[str, object]:
    """Return the confusion of classes, accuracy by the share heard, and other answers."""
    task = setup.task
    assert isinstance(task, SeriesClasses)
    others = {f"accuracy_{name}": value for name, value in other_answers(task).items()}
    data = task.load()
    batch = task.test(data, jax.random.key(0), training.scored(config, task, data))
    assert isinstance(batch, RaggedBatch)

    def predicted(lengths: jax.Array) -> jax.Array:
        return class_of(setup.model, params, batch.inputs, lengths)

    accuracies = [
        (predicted(heard_of(batch.lengths, share)) == batch.targets).mean() for share in SHARES
    ]
    confusion = np.zeros((task.output_size,) * 2, int)
    np.add.at(confusion, (np.asarray(batch.targets), np.asarray(predicted(batch.lengths))), 1)
    try:
        generation.stream(setup.model)
        streams = True
    except ValueError:
        streams = False
    weights = params["params"]["recurrent"]
    return {
        **others,
        "early": np.array(accuracies, float),
        "confusion": confusion,
        "classes": task.classes,
        "streams": streams,
        "recurrent_parameters": sum(leaf.size for leaf in jax.tree.leaves(weights)),
    }


@partial(jax.jit, static_argnames="model")  # compiled once for all seeds and rates
def class_of(
    model: models.Model, params: Mapping[str, Any], inputs: jax.Array, lengths: jax.Array
) -> jax.Array:
    """Return the most probable class (N,) of series (N, T, D), of which so many steps are read."""
    outputs, _ = model.apply(params, inputs, lengths=lengths)
    return outputs.argmax(axis=-1)


def heard_of(lengths: jax.typing.ArrayLike, share: float) -> jax.Array:
    """Return the frames of a share of each utterance, rounded up: at least one.

    >>> heard_of(jnp.array([7, 20]), 0.3).tolist()
    [3, 6]
    """
    return jnp.maximum(1, jnp.ceil(share * jnp.asarray(lengths, jnp.float32) - 1e-4)).astype(
        jnp.int32
    )


# ---- answers without a network -----------------------------------------------------------------


@lru_cache(maxsize=4)  # the same for every member
def other_answers(task: SeriesClasses) -> dict[str, float]:
    """Return the accuracy of logistic regression on means, and of the nearest series by warping."""
    from sklearn.linear_model import LogisticRegression

    data = task.load()
    learn, judge = means(data.train, data.lengths), means(data.test, data.test_lengths)
    linear = LogisticRegression(max_iter=5000).fit(learn, data.labels).predict(judge)
    answers = {"linear": linear, "warping": nearest(data)}
    return {name: float((labels == data.test_labels).mean()) for name, labels in answers.items()}


def means(rows: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the mean over its own steps (N, D) of each padded series (N, T, D)."""
    return rows.sum(axis=1) / lengths[:, None]


def nearest(data: Sequences) -> np.ndarray:
    """Return the labels (M,) of the training series that are nearest to those held out."""
    labels = []
    for i in range(0, len(data.test), 32):  # as many as the memory holds
        xs, lengths = data.test[i : i + 32], data.test_lengths[i : i + 32]
        labels.append(warped(xs, lengths, data.train, data.lengths).argmin(axis=1))
    return data.labels[np.concatenate(labels)]


def warped(
    xs: np.ndarray, x_lengths: np.ndarray, ys: np.ndarray, y_lengths: np.ndarray
) -> np.ndarray:
    """Return distances by dynamic time warping.

    D_ij = ‖x_i − y_j‖² + min(D_{i−1,j}, D_{i,j−1}, D_{i−1,j−1}).

    Args:
        xs: (N, T, D). ys: (M, S, D). x_lengths (N,), y_lengths (M,): frames of each.
    Returns:
        (N, M): D at the last frames of both.
    Source: Sakoe & Chiba 1978, all channels together.
    """
    N, M, T, S = len(xs), len(ys), xs.shape[1], ys.shape[1]
    cost = np.empty((T, S, N, M), np.float32)
    for i in range(T):
        for j in range(S):
            x, y = xs[:, i], ys[:, j]
            products = x @ y.T
            cost[i, j] = (x**2).sum(-1)[:, None] + (y**2).sum(-1) - 2 * products
    total = np.full((T + 1, S + 1, N, M), np.inf, np.float32)
    total[0, 0] = 0
    for i in range(T):
        for j in range(S):
            before = np.minimum(np.minimum(total[i, j + 1], total[i + 1, j]), total[i, j])
            total[i + 1, j + 1] = cost[i, j] + before
    rows, columns = np.arange(N)[:, None], np.arange(M)
    return total[np.asarray(x_lengths)[:, None], np.asarray(y_lengths), rows, columns]


def of(table: Table, comparisons: Comparisons, line: str) -> Table:
    """Select the judged members of an arm; of a sweep those of a line, one per seed."""
    if comparisons:
        return comparisons[compared_in(line)].judged(table, line)
    return table.select({"cell.name": LINES.get(line, line.replace("Bi-", "bi-", 1))})


def compared_in(line: str) -> str:
    """Return the name of the comparison that judges an arm.

    >>> compared_in("GRU"), compared_in("Bi-GRU")
    ('cells', 'ways_GRU')
    """
    return f"ways_{line.removeprefix('Bi-')}" if line.startswith("Bi-") else "cells"


def vowels(table: Table) -> bool:
    """Return whether the members learned from the spoken vowels, not from other series."""
    task = table[0].config["task"]
    return task["source"] == "JapaneseVowels" and not task["path"]


def there(table: Table) -> list[str]:
    """Return the lines that a narrowed sweep still has."""
    others = [name for name in table.values("cell.name") if name not in LINES.values()]
    own = [name.replace("bi-", "Bi-", 1) if name.startswith("bi-") else name for name in others]
    lines = {line: LINES.get(line, line.replace("Bi-", "bi-", 1)) for line in [*LINES, *own]}
    return [line for line, cell in lines.items() if len(table.select({"cell.name": cell}))]


# ---- figures -----------------------------------------------------------------------------------


def figures(table: Table, comparisons: Comparisons) -> dict[str, tuple[Figure, str]]:
    """Draw accuracies, accuracy by the share heard, and the confusion."""
    drawn = {"accuracy": _accuracy(table, comparisons)}
    if any(not line.startswith("Bi-") for line in there(table)):
        drawn["early"] = _early(table, comparisons)
    return drawn | {"confusion": _confusion(table, comparisons)}


def _accuracy(table: Table, comparisons: Comparisons) -> tuple[Figure, str]:
    rows = {text: table.each(f"accuracy_{name}")[:1] for name, text in ANSWERS.items()}
    rows |= {line: of(table, comparisons, line).stack("accuracy") for line in there(table)}
    figure, axes = plots.new_figure(1, 1, size=(7.4, 0.36 * len(rows) + 1.2))
    ax = axes[0, 0]
    for y, (name, values) in enumerate(rows.items()):
        kind = 0 if name in ANSWERS.values() else 1 + name.startswith("Bi-")
        ax.plot(100 * values, np.full(len(values), y), "o", color=plots.COLORS[kind], alpha=0.6)
        keys.mark(ax.lines[-1], "a seed")
        ax.plot(100 * np.median(values), y, "|", color=plots.COLORS[kind], markersize=16)
        keys.mark(ax.lines[-1], plots.MEDIAN)
    if vowels(table):
        ax.axvline(100 * KUDO, color="#777777", linewidth=0.8, linestyle="--")
        ax.annotate(
            "Kudo et al. 1999",
            (100 * KUDO, len(rows) - 0.45),
            (3, 0),
            fontsize=8,
            textcoords="offset points",
            va="bottom",
            color="#555555",
        )
    ax.set_yticks(range(len(rows)), rows)
    ax.set(ylim=(len(rows) - 0.2, -0.6), xlabel="correct, % of the held-out series")
    return (
        figure,
        "The accuracy of every judged seed, and their median (bar), beside other answers.",
    )


def _early(table: Table, comparisons: Comparisons) -> tuple[Figure, str]:
    figure, axes = plots.new_figure(1, 1, size=(7.2, 3.8))
    ax = axes[0, 0]
    lines = [line for line in there(table) if not line.startswith("Bi-")]
    ends = [
        plots.band(
            ax, 100 * np.array(SHARES), of(table, comparisons, line).stack("early"), line, index
        )
        for index, line in enumerate(lines)
    ]
    ax.set(
        xlabel="of each series heard, %",
        ylabel="accuracy, held-out series",
        xlim=(0, 100),
        ylim=(0, 1.02),
    )
    plots.direct_labels(ax, ends)
    return figure, (
        "In real time: accuracy of the answer after so much of each series, by the networks that "
        "read one way, which were trained on whole series only: "
        f"{plots.MEDIAN_AND_BAND} over seeds."
    )


def _confusion(table: Table, comparisons: Comparisons) -> tuple[Figure, str]:
    line = "GRU" if "GRU" in there(table) else there(table)[0]
    counts = of(table, comparisons, line).stack("confusion").sum(axis=0)
    shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = len(counts)
    figure, axes = plots.new_figure(1, 1, size=(0.45 * size + 2.2, 0.45 * size + 1.2))
    ax = axes[0, 0]
    ax.grid(False)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    for (i, j), share in np.ndenumerate(shares):
        if counts[i, j]:
            text = f"{share:.0f}" if share >= 1 else "<1"
            ax.text(
                j,
                i,
                text,
                ha="center",
                va="center",
                fontsize=8,
                color="white" if share > 50 else "black",
            )
    names = of(table, comparisons, line)[0].result[
        "classes"
    ]  # of the training: data may have changed since
    ax.set_xticks(range(size), names)
    ax.set_yticks(range(size), names)
    ax.set(xlabel=f"predicted by the {line}", ylabel="true class")
    return figure, f"The {line}'s predictions for each class, % of its series, all seeds together."


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


NOTES = "the notes, claims 18 and 22"


def claims(table: Table, comparisons: Comparisons) -> list[Claim]:
    """List the notes' claims 18, 20 and 22 for speech, and published figures."""

    def on_par(statement: str, line: str, source: str) -> Claim:
        return as_good(
            statement, comparisons=comparisons, name="cells", arms=(line, "LSTM"), source=source
        )

    def gru_beats(statement: str, answer: str, source: str) -> Claim:
        return beats(
            statement,
            table=table,
            comparisons=comparisons,
            name="cells",
            arms=["GRU"],
            score=lambda member: member.result["accuracy"],
            answer=lambda member: member.result[f"accuracy_{answer}"],
            words=("the mean accuracy", f"that of {ANSWERS[answer]}"),
            source=source,
            higher=True,
        )

    return [
        on_par("A GRU knows the class as well as an LSTM", "GRU", NOTES),
        _parameters(table, comparisons=comparisons),
        on_par("A simple RNN is enough for sequences so short", "RNN", "the notes, claim 22"),
        gru_beats("A GRU does better than the mean over time", "linear", "the notes, claim 22"),
        gru_beats(
            "A GRU does better than the nearest neighbor by time warping",
            "warping",
            "Sakoe & Chiba 1978",
        ),
        _reaches(
            "A GRU does better than regions made by hand",
            table,
            comparisons,
            "GRU",
            KUDO,
            "Kudo et al. 1999: 94.1%",
        ),
        _reaches(
            "A Bi-GRU does better than convolutions beside an LSTM at their least",
            table,
            comparisons,
            "Bi-GRU",
            CONVOLUTIONS,
            "Karim et al. 2019: 97 to 99%",
            "refuted",
        ),
        *(
            better(
                f"Reading both ways helps {in_words}",
                comparisons=comparisons,
                name=f"ways_{name}",
                arms=(f"Bi-{name}", name),
                source="the notes, claim 20",
            )
            for name, in_words in {"RNN": "an RNN", "LSTM": "an LSTM", "GRU": "a GRU"}.items()
        ),
        beats(
            f"Half of a series is enough for a GRU to be right in {HALF:.0%}",
            table=table,
            comparisons=comparisons,
            name="cells",
            arms=["GRU"],
            score=lambda member: member.result["early"][SHARES.index(0.5)],
            answer=lambda member: HALF,
            words=("the mean accuracy, half heard,", "the least"),
            source="early classification; the notes, claim 14",
            higher=True,
        ),
        _in_real_time(table, comparisons=comparisons),
    ]


@claim(
    "… with three quarters of its recurrent parameters",
    source="the notes, claim 18",
    holds_if="exactly",
    expected="holds",
    closed_form=True,
)
def _parameters(table: Table, comparisons: Comparisons) -> tuple[bool, str]:
    gru, lstm = (
        of(table, comparisons, line).each("recurrent_parameters")[0] for line in ("GRU", "LSTM")
    )
    return 4 * gru == 3 * lstm, f"{gru:.0f} of {lstm:.0f}"


def _reaches(
    statement: str,
    table: Table,
    comparisons: Comparisons,
    line: str,
    least: float,
    source: str,
    expected: str = "holds",
) -> Claim:
    def score(member: Member) -> float:
        if not vowels(table):
            raise Undecided("what is published is of the spoken vowels, not of this run's series")
        return member.result["accuracy"]

    return beats(
        statement,
        table=table,
        comparisons=comparisons,
        name=compared_in(line),
        arms=[line],
        score=score,
        answer=lambda member: least,
        words=("the mean accuracy", "the published one"),
        source=source,
        expected=expected,
        higher=True,
    )


@claim(
    "One-way networks answer in real time, the others can't",
    source="the notes, claim 20",
    holds_if="streams exactly one way",
    expected="holds",
)
def _in_real_time(table: Table, comparisons: Comparisons) -> tuple[bool, str]:
    if len(there(table)) < len(LINES):
        raise Undecided("needs members one way and both ways")
    streams = {line: of(table, comparisons, line).each("streams") for line in there(table)}
    good = all((s == (not line.startswith("Bi-"))).all() for line, s in streams.items())
    return good, ", ".join(line for line, s in streams.items() if s.all()) + " stream"
