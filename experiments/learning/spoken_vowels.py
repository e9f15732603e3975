"""Who speaks? Spoken vowels by RNN, LSTM and GRU, one way and both, whole or only in part.

    rnnlab run --config=experiments/learning/spoken_vowels.py
    rnnlab predict RUN --file=JapaneseVowels_TEST.ts

Nine men say two Japanese vowels in succession: 270 utterances to learn from and 370 held out, 12
LPC cepstrum coefficients per frame, 7 to 29 frames (Kudo et al. 1999; a package of rnnlab[data]).
H = 64 per direction, 600 updates, five seeds. Other series: --config.task.source=BasicMotions, or
.ts files by --config.task.path=TRAIN --config.task.test_path=TEST. ":full" has H = 128, 3,000
updates and ten seeds.

Beside them stand answers without a network: logistic regression on each channel's mean over time
(order lost), and the nearest neighbor by dynamic time warping. One-way networks are also judged
on the first tenth, two tenths ... of each utterance: they answer in real time.

Expected, from the notes' table (a GRU for speech) and claim 18: a GRU does as well as an LSTM with
three quarters of its recurrent parameters. Published: 94.1% (Kudo et al. 1999, by hand-made
regions), 97 to 99% by convolutions beside an LSTM (Karim et al. 2019, arXiv 1801.04503).

Measured, in 2 minutes on 2 cores: as expected; GRU 97.6%, RNN 96.8%, LSTM 96.5%, Bi-RNN 98.4%,
Bi-LSTM and Bi-GRU 98.1%; on means over time 95.7%, by warping 95.9%. Against expectation, a Bi-GRU
reaches 97%, and half an utterance is not enough (GRU 74.9%, trained on whole ones). Reading both
ways helps RNN and LSTM by 1.6 points, the GRU by 0.5. Rate, size and updates were the first tried,
on a fifth of the utterances to learn from. These figures are of --config.task.validation_share=0:
before a tenth of the training data was held out for validation.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from rnnlab import training
from rnnlab.core.errors import Undecided
from rnnlab.lab.config import Config, scale, seeds
from rnnlab.lab.sweep import Only, Sweep
from rnnlab.nn import generation, layers
from rnnlab.nn.initializers import InitScheme
from rnnlab.plotting import learning_curves, plots
from rnnlab.results.claims import Claim, claim
from rnnlab.results.table import Table
from rnnlab.tasks.base import RaggedBatch
from rnnlab.tasks.classification import Sequences
from rnnlab.tasks.series_classes import SeriesClasses
from rnnlab.training import runner

REPRODUCE = False  # the set of `rnnlab reproduce` is full

ONE_WAY = {"RNN": "rnn-tanh", "LSTM": "lstm", "GRU": "gru"}
LINES = {
    f"{way}{name}": f"{way.lower()}{cell}" for way in ("", "Bi-") for name, cell in ONE_WAY.items()
}
ANSWERS = {"linear": "linear, mean over time", "warping": "nearest by time warping"}
SHARES = tuple(k / 10 for k in range(1, 11))  # of an utterance, heard
PAR = 0.015  # of the accuracy: about a standard error of 370 utterances
HELP = 0.01  # of the accuracy: what counts as help
KUDO = 0.941
CONVOLUTIONS = 0.97
HALF = 0.8  # the accuracy at half an utterance


def get_config(arg: str | None = None) -> ConfigDict:
    """Return the default config, or with "full" larger networks and more seeds."""
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
                steps=3000 if full else 600,
                eval_every=100 if full else 20,
                eval_batch_size=5000,
                stop_when_solved=False,
            ),
            "run": runner.config(
                seeds=10 if full else 5,
                seconds_per_member=40.0 if full else 2.5,
                seconds_per_group=4.0,
            ),
        }
    )
    return config.lock()


def get_sweep(config: Config) -> Sweep:
    """Return cells one way and both ways x seeds."""
    return [
        {
            # a cell that is not named takes part as the RNN does
            "cell.name": (cell,) if line == "RNN" else Only((cell,)),
            "init.forget_bias": ("" if "RNN" in line else "1.0",),
            "seed": seeds(config),
        }
        for line, cell in LINES.items()
    ]


run = training.run


def measure(config: Config, setup: training.Setup, params: Mapping[str, Any]) -> dict[str, object]:
    """Return the confusion of classes, accuracy by the share heard, and other answers."""
    task = setup.task
    assert isinstance(task, SeriesClasses)
    others = {f"accuracy_{name}": value for name, value in other_answers(task).items()}
    data = task.load()
    batch = task.test(data, jax.random.key(0), training.scored(config, task, data))
    assert isinstance(batch, RaggedBatch)

    @jax.jit
    def predicted(lengths: jax.Array) -> jax.Array:
        outputs, _ = setup.model.apply(params, batch.inputs, lengths=lengths)
        return outputs.argmax(axis=-1)

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


def of(table: Table, line: str) -> Table:
    """Select the members of a line, one per seed."""
    return table.select({"cell.name": LINES.get(line, line.replace("Bi-", "bi-", 1))})


def vowels(table: Table) -> bool:
    """Return whether the members learned from the spoken vowels, not from other series."""
    task = table[0].config["task"]
    return task["source"] == "JapaneseVowels" and not task["path"]


def there(table: Table) -> list[str]:
    """Return the lines that a narrowed sweep still has."""
    others = [name for name in table.values("cell.name") if name not in LINES.values()]
    own = [name.replace("bi-", "Bi-", 1) if name.startswith("bi-") else name for name in others]
    return [line for line in [*LINES, *own] if len(of(table, line))]


# ---- figures -----------------------------------------------------------------------------------


def figures(table: Table) -> dict[str, tuple[Figure, str]]:
    """Draw accuracies, learning curves, accuracy by the share heard, and the confusion."""
    drawn = {"accuracy": _accuracy(table), "curves": _curves(table)}
    if any(not line.startswith("Bi-") for line in there(table)):
        drawn["early"] = _early(table)
    return drawn | {"confusion": _confusion(table)}


def _accuracy(table: Table) -> tuple[Figure, str]:
    rows = {text: table.each(f"accuracy_{name}")[:1] for name, text in ANSWERS.items()}
    rows |= {line: of(table, line).stack("accuracy") for line in there(table)}
    figure, axes = plots.new_figure(1, 1, size=(7.4, 0.36 * len(rows) + 1.2))
    ax = axes[0, 0]
    for y, (name, values) in enumerate(rows.items()):
        kind = 0 if name in ANSWERS.values() else 1 + name.startswith("Bi-")
        ax.plot(100 * values, np.full(len(values), y), "o", color=plots.COLORS[kind], alpha=0.6)
        ax.plot(100 * np.median(values), y, "|", color=plots.COLORS[kind], markersize=16)
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
    return figure, "The last accuracy of every seed, and their median (bar), beside other answers."


def _curves(table: Table) -> tuple[Figure, str]:
    figure, axes = plots.new_figure(1, 2, size=(10.4, 3.8), share_y=True)
    linear, settings = table.each("accuracy_linear")[0], table[0].config["training"]
    curves = [
        learning_curves.learning_curves(of(table, line), "accuracy")[1] for line in there(table)
    ]
    floor = np.floor(20 * min(linear, *(values.min() for values in curves))) / 20
    for ax, (title, way) in zip(axes[0], {"one way": "", "both ways": "Bi-"}.items(), strict=True):
        lines = dict.fromkeys([*LINES, *there(table)])
        names = [line for line in lines if line.startswith("Bi-") == bool(way)]
        ends = [
            learning_curves.draw(ax, of(table, line), "accuracy", line, index)
            for index, line in enumerate(names)
            if line in there(table)
        ]
        ticks = [settings["eval_every"] * k for k in (1, 2, 5, 10, 30, 100)]
        learning_curves.length_axis(
            ax, [tick for tick in ticks if tick <= settings["steps"]], "updates"
        )
        ax.set(xlim=(settings["eval_every"], settings["steps"]), ylim=(floor, 1))
        plots.theory_line(ax, np.array(ax.get_xlim()), np.full(2, linear))
        ends.append(plots.End(settings["steps"], linear, ANSWERS["linear"], plots.COLORS[0]))
        plots.title(ax, title)
        plots.direct_labels(ax, ends)
    axes[0, 0].set_ylabel("accuracy, held-out series")
    return figure, (
        "Accuracy against updates, median and 10–90% of seeds; dotted: logistic regression on the "
        "mean of each channel over time."
    )


def _early(table: Table) -> tuple[Figure, str]:
    figure, axes = plots.new_figure(1, 1, size=(7.2, 3.8))
    ax = axes[0, 0]
    lines = [line for line in there(table) if not line.startswith("Bi-")]
    ends = [
        plots.band(ax, 100 * np.array(SHARES), of(table, line).stack("early"), line, index)
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
        "read one way, which were trained on whole series only. Median and 10–90% of seeds."
    )


def _confusion(table: Table) -> tuple[Figure, str]:
    line = "GRU" if "GRU" in there(table) else there(table)[0]
    counts = of(table, line).stack("confusion").sum(axis=0)
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
    names = of(table, line)[0].result["classes"]  # of the training: data may have changed since
    ax.set_xticks(range(size), names)
    ax.set_yticks(range(size), names)
    ax.set(xlabel=f"predicted by the {line}", ylabel="true class")
    return figure, f"The {line}'s predictions for each class, % of its series, all seeds together."


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


NOTES = "the notes, claims 18 and 22"
ACCURACY = "median accuracy over seeds "


def _median(table: Table, line: str) -> float:
    return float(np.median(of(table, line).stack("accuracy")))


def _words(table: Table, *lines: str) -> str:
    return ", ".join(f"{line} {100 * _median(table, line):.1f}%" for line in lines)


def _as_good_as_lstm(statement: str, source: str) -> Callable[..., Claim]:
    def check(table: Table, line: str, par: float) -> tuple[bool, str]:
        good = _median(table, line) >= _median(table, "LSTM") - par
        return good, _words(table, line, "LSTM")

    return claim(
        statement,
        source=source,
        holds_if=ACCURACY + "at least the LSTM's − {par:g}",
        expected="holds",
        par=PAR,
    )(check)


_gru_as_good = _as_good_as_lstm("A GRU knows the class as well as an LSTM", NOTES)
_rnn_as_good = _as_good_as_lstm(
    "A simple RNN is enough for sequences so short", "the notes, claim 22"
)


@claim(
    "… with three quarters of its recurrent parameters",
    source="the notes, claim 18",
    holds_if="exactly",
    expected="holds",
    closed_form=True,
)
def _parameters(table: Table) -> tuple[bool, str]:
    gru, lstm = (of(table, line).stack("recurrent_parameters")[0] for line in ("GRU", "LSTM"))
    return 4 * gru == 3 * lstm, f"{gru:.0f} of {lstm:.0f}"


def _gru_beats(statement: str, source: str, better_than: str) -> Callable[..., Claim]:
    def check(table: Table, answer: str) -> tuple[bool, str]:
        other = float(table.each(f"accuracy_{answer}")[0])
        words = f"{_words(table, 'GRU')}, {ANSWERS[answer]} {100 * other:.1f}%"
        return _median(table, "GRU") > other, words

    return claim(
        statement, source=source, holds_if=ACCURACY + f"above {better_than}", expected="holds"
    )(check)


_beats_linear = _gru_beats(
    "A GRU does better than the mean over time",
    "the notes, claim 22",
    "logistic regression's on each channel's mean",
)
_beats_warping = _gru_beats(
    "A GRU does better than the nearest neighbor by time warping",
    "Sakoe & Chiba 1978",
    "that neighbor's",
)


def _reaches(statement: str, source: str, expected: str, least: float) -> Callable[..., Claim]:
    def check(table: Table, line: str, least: float) -> tuple[bool, str]:
        if not vowels(table):
            raise Undecided("what is published is of the spoken vowels, not of this run's series")
        return _median(table, line) >= least, _words(table, line)

    return claim(
        statement,
        source=source,
        holds_if=ACCURACY + "at least {least:g}",
        expected=expected,
        least=least,
    )(check)


_like_kudo = _reaches(
    "A GRU does as well as regions made by hand", "Kudo et al. 1999: 94.1%", "holds", KUDO
)
_like_convolutions = _reaches(
    "A Bi-GRU reaches the accuracy of convolutions beside an LSTM",
    "Karim et al. 2019: 97 to 99%",
    "refuted",
    CONVOLUTIONS,
)


@claim(
    "Reading both ways helps",
    source="the notes, claim 20",
    holds_if=ACCURACY + "higher by at least {more:g}, each cell",
    expected="refuted",
    more=HELP,
)
def _both_ways(table: Table, more: float) -> tuple[bool, str]:
    gains = [_median(table, f"Bi-{name}") - _median(table, name) for name in ONE_WAY]
    return all(gain >= more for gain in gains), _words(table, *LINES)


@claim(
    "Half of a series is enough to tell its class",
    source="early classification; the notes, claim 14",
    holds_if=ACCURACY + "of the GRU at least {least:g}, half heard",
    expected="holds",
    least=HALF,
)
def _early_enough(table: Table, least: float) -> tuple[bool, str]:
    heard = np.median(of(table, "GRU").stack("early"), axis=0)
    half = float(heard[SHARES.index(0.5)])
    return half >= least, f"half heard {100 * half:.1f}%, all {100 * heard[-1]:.1f}%"


@claim(
    "One-way networks answer in real time, the others can't",
    source="the notes, claim 20",
    holds_if="streams exactly one way",
    expected="holds",
)
def _in_real_time(table: Table) -> tuple[bool, str]:
    streams = {line: of(table, line).stack("streams") for line in there(table)}
    if len(streams) < len(LINES):
        raise Undecided("needs members one way and both ways")
    good = all((s == (not line.startswith("Bi-"))).all() for line, s in streams.items())
    return good, ", ".join(line for line, s in streams.items() if s.all()) + " stream"


def claims(table: Table) -> list[Claim]:
    """List the notes' claims 18, 20 and 22 for speech, and published figures."""
    return [
        _gru_as_good(table, line="GRU"),
        _parameters(table),
        _rnn_as_good(table, line="RNN"),
        _beats_linear(table, answer="linear"),
        _beats_warping(table, answer="warping"),
        _like_kudo(table, line="GRU"),
        _like_convolutions(table, line="Bi-GRU"),
        _both_ways(table),
        _early_enough(table),
        _in_real_time(table),
    ]
