"""Good or bad, character by character: RNN, LSTM, GRU, one way and both, last state and mean.

    rnnlab run --config=experiments/language/sentiment.py
    rnnlab predict DIR --text="房间很干净，服务也好。"
    rnnlab predict DIR --member=4 --stream --text="外观不错，可惜太吵"   # a GRU reads

17,363 Chinese reviews of hotels, books and computers (packages of rnnlab[data]), a fifth held out;
the first 80 characters, E = H = 64 per direction, 900 updates, two seeds. The read-out is of the
last step or of the mean over time; embeddings are drawn, or start from Skip-gram vectors of the
same texts, with all labels and with 1,000 (a tenth of them for validation). Beside them logistic
regressions on whole reviews: characters, and words (jieba, rnnlab[chinese]; left out without it). A
file of your own: --config.task.path=FILE; English: --config.task.source=rotten_tomatoes
--config.task.tokenizer_name=words --config.words=words. About 5 minutes on 2 cores; ":full" has 250
characters, H = 128 and 8,000 updates.

Expected: gates help a read-out at the last step (the notes' claim 17), which is far from most of
the text, and the mean over time helps without gates (Maini et al. 2020); a network sees the order
that a bag of characters does not (claim 1); vectors help where labels are few (claim 6).
Measured, to ±0.7 points: GRU 83.2%, LSTM 81.9, RNN 80.0; of the mean 82.5, 82.4, 81.6; both ways
82.8, 82.8, 81.1. Skip-gram's start gives 83.8 for 83.2, and with 1,000 labels 75.6 for 71.6. Counts
of the same characters have 80.9, TF-IDF of words and their pairs 85.5: no network reaches that.
Refuted: that gates help more on long texts, and that the mean helps an LSTM by a point. These
figures are of --config.task.validation_share=0: before a tenth of the training data was held out
for validation.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from rnnlab import training
from rnnlab.core.errors import Undecided, install
from rnnlab.data.splits import permuted
from rnnlab.lab.config import scale, seeds
from rnnlab.lab.lines import Lines, axes_of_line
from rnnlab.lab.sweep import Sweep
from rnnlab.nn import generation, layers, models
from rnnlab.nn.initializers import InitScheme
from rnnlab.plotting import learning_curves, plots
from rnnlab.results.claims import Claim, claim
from rnnlab.results.table import Member, Table
from rnnlab.sparse.bag_of_words import BagOfWords
from rnnlab.sparse.tfidf import TfIdf
from rnnlab.tasks.base import Config, PyTree
from rnnlab.tasks.checks import few_of
from rnnlab.tasks.reviews import Encoded, Split
from rnnlab.tasks.sentiment import Sentiment
from rnnlab.text import tokenizers
from rnnlab.training import runner

REPRODUCE = False  # `rnnlab reproduce` would take more than half an hour with it

CELLS = {"RNN": "rnn-tanh", "LSTM": "lstm", "GRU": "gru"}
FEW = "few labels"  # as many as run.few_labels


def _line(
    cell: str, pooling: str = "last", vectors: str = "", few: bool = False
) -> dict[str, object]:
    return {
        "cell.name": cell,
        "init.forget_bias": "" if "rnn-tanh" in cell else "1.0",
        "task.pooling": pooling,
        "task.vectors": vectors,
        "run.few": few,
    }


LINES = Lines(
    {
        **{name: _line(cell) for name, cell in CELLS.items()},
        **{f"Bi-{name}": _line(f"bi-{cell}") for name, cell in CELLS.items()},
        **{f"{name}, mean": _line(cell, "mean") for name, cell in CELLS.items()},
        "GRU, Skip-gram": _line("gru", vectors="skipgram"),
        f"GRU, {FEW}": _line("gru", few=True),
        f"GRU, Skip-gram, {FEW}": _line("gru", vectors="skipgram", few=True),
    }
)
TURNS = ("但", "不过", "虽然", "可惜", "but", "although")  # of an opinion
SHOWN = (14, 26)  # least and most tokens of a text that is shown
C = (0.1, 0.3, 1.0, 3.0, 10.0)  # of regressions, chosen on the last fifth of their texts


def get_config(arg: str | None = None) -> ConfigDict:
    """Return the default config, or with "full" that of long reviews and a larger network."""
    full = scale(arg) == "full"
    config = ConfigDict(
        {
            "seed": 0,
            "words": "chinese",  # the tokenizer of words, of the regressions
            "task": {
                "name": "sentiment",
                "source": "chinese",
                "path": "",  # a file of texts and labels instead
                "test_path": "",
                "tokenizer_name": "characters",
                "validation_path": "",
                "validation_share": 0.1,  # of the texts to learn from
                "limit": 0,
                "max_length": 250 if full else 80,
                "min_count": 2,
                "embedding_size": 128 if full else 64,
                "vectors": "",
                "pooling": "last",
            },
            "cell": layers.config("lstm", 128 if full else 64),
            "init": InitScheme.config(w_h="orthogonal"),
            "training": training.config(
                learning_rate=2e-3,
                schedule="linear",
                clip_norm=1.0,
                batch_size=32,
                steps=8000 if full else 900,
                eval_every=400 if full else 100,
                eval_batch_size=4000,
                stop_when_solved=False,
            ),
            "run": runner.config(
                seeds=3 if full else 2,
                few=False,  # whether only few labels are used; set by the sweep
                few_labels=1000,  # labeled reviews that count as few
                few_steps=300,  # updates of the members with few labels
                seconds_per_member=1000.0 if full else 10.0,
                seconds_per_group=8.0,
            ),
        }
    )
    return config.lock()


def get_sweep(config: Config) -> Sweep:
    """Return the axes lines x seeds; members with few labels take fewer updates."""
    steps = ("training.steps", "training.eval_every")
    labels = config.run.few_labels
    if config.task.path:
        with suppress(ValueError, OSError):  # a file that cannot be read is refused with a member
            texts = cast(Sentiment, training.task_of(config)).whole().texts
            labels = few_of(labels, len(texts), "run.few_labels", "texts to learn from")
    few = {"task.limit": (labels,), steps: ((config.run.few_steps,) * 2,)}
    every = {steps: ((config.training.steps, config.training.eval_every),)}
    return [
        axes_of_line(line) | (few if line["run.few"] else every) | {"seed": seeds(config)}
        for line in LINES.values()
    ]


run = training.run


# ---- measurements ------------------------------------------------------------------------------


def measure(config: Config, setup: training.Setup, params: PyTree) -> dict[str, object]:
    """Return the accuracy, also by length and of permuted texts, and the answers in real time."""
    task = cast(Sentiment, setup.task)
    data = task.load()
    count = training.scored(config, task, data)
    batch = task.test(data, jax.random.key(0), count)
    right = _classes(setup.model, params, batch.inputs, batch.lengths) == data.test_labels[:count]
    mixed = permuted(data.test, data.test_lengths)[:count]
    mixed = _classes(setup.model, params, mixed, batch.lengths) == data.test_labels[:count]
    lengths = np.array([*map(len, tokens_of(task, task.split().test_texts[:count]))])
    edges = np.quantile(lengths, [0.25, 0.5, 0.75])
    quarter = np.searchsorted(edges, lengths)
    results = {
        "permuted": float(mixed.mean()),
        "edges": edges,
        "by_length": [
            float(right[quarter == k].mean()) if (quarter == k).any() else np.nan for k in range(4)
        ],
        "tested": len(right),
        **in_real_time(setup, params, data),
    }
    if config.run.few:
        return results
    results["counted"] = counted(replace(task, pooling="last", vectors=""), config.words)
    if results["streams"] and config.seed == 0:
        results["shown"] = shown(setup, params)  # [] if no text has a fitting length
    return results


def tokens_of(task: Sentiment, texts: list[str]) -> list[list[str]]:
    """Return the texts as the network reads them."""
    return task.tokenizer(texts).lists()


def _classes(
    model: models.Model, params: PyTree, inputs: np.ndarray | jax.Array, lengths: jax.Array
) -> np.ndarray:
    apply = jax.jit(lambda p, xs, n: model.apply(p, xs, lengths=n)[0].argmax(axis=-1))
    return np.asarray(apply(params, jnp.asarray(inputs), jnp.asarray(lengths)))


def in_real_time(setup: training.Setup, params: PyTree, data: Encoded) -> dict[str, object]:
    """Compare the answers step by step with those of a whole pass over each prefix.

    Returns:
        {"streams": whether the model runs in real time, "apart": the largest difference of a
        logit}.
    """
    model = setup.model
    try:
        start, step = generation.stream(model)
    except ValueError:
        return {"streams": False, "apart": 0.0}
    rows, T = jnp.asarray(data.test[:8]), int(min(12, data.test_lengths[:8].min()))
    step, state, apart = jax.jit(step), start(params, batch_size=len(rows)), 0.0
    whole = jax.jit(lambda p, xs, n: model.apply(p, xs, lengths=n)[0])
    for t in range(max(T, 1)):
        y, state = step(params, state, rows[:, t])
        prefix = whole(params, rows, jnp.full(len(rows), t + 1))
        apart = max(apart, float(jnp.abs(y - prefix).max()))
    return {"streams": True, "apart": apart}


def shown(setup: training.Setup, params: PyTree) -> list[dict[str, object]]:
    """Return four held-out texts in which an opinion turns, and each class's probability by step.

    Returns:
        [{"tokens": T strings, "label": the class, "p": (T, classes)}].
    """
    task = cast(Sentiment, setup.task)
    split = task.split()
    start, step = generation.stream(setup.model)
    step, results = jax.jit(step), []
    for index in examples(tokens_of(task, split.test_texts), split.test_labels):
        tokens = task.tokens(split.test_texts[index])
        state, p = start(params, batch_size=1), []
        for symbol in task.encode(tokens):
            y, state = step(params, state, jnp.asarray(symbol)[None])
            p.append(np.asarray(jax.nn.softmax(y[0])).round(4).tolist())
        label = task.classes[int(split.test_labels[index])]
        results.append({"tokens": tokens, "label": label, "p": p})
    return results


def examples(texts: list[list[str]], labels: np.ndarray) -> list[int]:
    """Return the rows of two fitting texts of each of the first two classes.

    Texts in which an opinion turns come first.
    """
    rows = []
    for label in (0, 1):
        fit = [
            i
            for i in np.flatnonzero(labels == label).tolist()
            if SHOWN[0] <= len(texts[i]) <= SHOWN[1]
        ]
        turn = [i for i in fit if any(word in "".join(texts[i]) for word in TURNS)]
        rows += [*turn, *(i for i in fit if i not in turn)][:2]
    return rows


# ---- regressions, without a network ------------------------------------------------------------


@lru_cache(maxsize=2)
def counted(task: Sentiment, words: str) -> dict[str, float]:
    """Return the accuracy of regressions on counts and TF-IDF, of characters and of words.

    Args:
        words: the name of the tokenizer of words; they are left out if it is not installed.
    """
    split, accuracy = task.split(), {}
    for name, tokenizer in (("characters", "characters"), ("words", words)):
        read = tokenizers.by_name(tokenizer, lowercase=True)
        try:
            train, test = (read(texts).lists() for texts in (split.texts, split.test_texts))
        except ValueError:  # jieba is not installed
            continue
        for kind, largest in (("counts of", 1), ("TF-IDF of", 1), ("TF-IDF of 1- and 2-grams,", 2)):
            weighted = kind != "counts of"
            accuracy[f"{kind} {name}"] = regression(train, test, split, weighted, largest)
    return accuracy


Texts = Sequence[Sequence[str]]


def regression(train: Texts, test: Texts, split: Split, weighted: bool, largest: int) -> float:
    """Return the accuracy of a logistic regression; C is the best on a fifth of its texts.

    Args:
        train, test: tokens of the texts. split: their labels.
        weighted: by TF-IDF; else counts. largest: n of the largest n-grams.
    """
    from sklearn.linear_model import LogisticRegression

    def features(fitted: Texts, others: Texts) -> tuple[PyTree, PyTree]:
        counts = BagOfWords(ngram_range=(1, largest), min_df=2)
        parts = counts.fit_transform(fitted), counts.transform(others)
        if not weighted:
            return parts
        weights = TfIdf("log", "smooth", "l2")
        return weights.fit_transform(parts[0]), weights.transform(parts[1])

    def accuracy(
        xs: PyTree, labels: np.ndarray, ys: PyTree, expected: np.ndarray, c: float
    ) -> float:
        solver = "liblinear" if len(np.unique(labels)) == 2 else "lbfgs"  # of more classes at once
        model = LogisticRegression(C=c, solver=solver, tol=1e-3, max_iter=1000)
        return float(model.fit(xs, labels).score(ys, expected))

    cut, labels = len(train) * 4 // 5, split.labels
    best = 1.0
    if len(np.unique(labels[:cut])) > 1:  # else there are too few texts to choose by
        xs, ys = features(train[:cut], train[cut:])
        best = max(C, key=lambda c: accuracy(xs, labels[:cut], ys, labels[cut:], c))
    xs, ys = features(train, test)
    return accuracy(xs, labels, ys, split.test_labels, best)


# ---- figures -----------------------------------------------------------------------------------


def regressions(table: Table) -> dict[str, float]:
    """Return the regressions' accuracy, of the first member that has it."""
    return next((m.result["counted"] for m in table if "counted" in m.result), {})


def few_labels(table: Table) -> str:
    """Return the number of labels of the members with few, in words."""
    few = [m.config["task"]["limit"] for m in table if m.config["run"]["few"]]
    return f"{few[0]:,} labels" if few else FEW


def figures(table: Table) -> dict[str, tuple[Figure, str]]:
    """Draw every line's accuracy, also by updates and by length, and texts as they are read."""
    drawn = {"accuracy": _accuracy(table), "curves": _curves(table), "length": _length(table)}
    if any(m.result.get("shown") for m in table):
        drawn["reading"] = _reading(table)
    return drawn


def _accuracy(table: Table) -> tuple[Figure, str]:
    rows = {f"{name} (regression)": np.array([value]) for name, value in regressions(table).items()}
    rows |= {line: LINES.members(table, line).stack("accuracy") for line in LINES.present(table)}
    order = sorted(rows, key=lambda name: float(np.median(rows[name])))
    figure, axes = plots.new_figure(1, 1, size=(7.6, 0.28 * len(rows) + 1.0))
    ax = axes[0, 0]
    for y, name in enumerate(order):
        color = plots.COLORS[2 if FEW in name else 1 if name in LINES else 0]
        ax.plot(100 * rows[name], np.full(rows[name].size, y), "o", color=color, markersize=5)
    ax.set_yticks(np.arange(len(order)), [name.replace(FEW, few_labels(table)) for name in order])
    ax.set(xlabel="accuracy, %, held-out texts", ylim=(-0.6, len(order) - 0.4))
    deviation = 50 / np.sqrt(table[0].result["tested"])
    return figure, (
        f"Accuracy of every line, one point per seed: networks blue ({few_labels(table)}: orange), "
        f"logistic regressions on whole texts black. A point is known to ±{deviation:.1f} (one "
        "standard deviation at most)."
    )


def _curves(table: Table) -> tuple[Figure, str]:
    panels = {
        "last step, one way": tuple(CELLS),
        "last step, both ways": tuple(f"Bi-{name}" for name in CELLS),
        "mean over time, one way": tuple(f"{name}, mean" for name in CELLS),
    }
    figure, axes = plots.new_figure(1, 3, size=(12, 3.4), share_y=True)
    for ax, (title, lines) in zip(axes[0], panels.items(), strict=True):
        ends = [
            learning_curves.draw(
                ax, LINES.members(table, line), "accuracy", line.split(",")[0], index
            )
            for index, line in enumerate(lines)
            if line in LINES.present(table)
        ]
        steps = max(m.config["training"]["steps"] for m in table)
        ax.set(xlabel="updates", xlim=(0, steps), ylim=(0.45, 1))
        plots.title(ax, title)
        plots.direct_labels(ax, ends)
    axes[0, 0].set_ylabel("accuracy, held-out texts")
    return figure, "Accuracy on held-out texts against updates, median and range over seeds."


def _length(table: Table) -> tuple[Figure, str]:
    lines = [line for line in ("RNN", "GRU", "Bi-GRU", "RNN, mean") if line in LINES.present(table)]
    lines = lines or LINES.present(table)[:1]
    figure, axes = plots.new_figure(1, 1, size=(6.6, 3.4))
    ax = axes[0, 0]
    ends = [
        plots.band(ax, np.arange(4), LINES.members(table, line).stack("by_length"), line, index)
        for index, line in enumerate(lines)
    ]
    a, b, c = (round(edge) for edge in table[0].result["edges"])
    ax.set_xticks(range(4), [f"to {a}", f"to {b}", f"to {c}", "longer"])
    ax.set(
        xlabel="length of the text, symbols (quarters of the texts)",
        ylabel="accuracy",
        xlim=(-0.1, 3.1),
    )
    plots.direct_labels(ax, ends)
    return figure, (
        "Accuracy against the length of a text, of which the network reads the first "
        f"{table[0].config['task']['max_length']} symbols; median and range over seeds."
    )


def _shown(table: Table) -> dict[str, Member]:
    """Return the members whose reading is drawn: of one-way lines, else the first that has one."""
    members = [m for m in table if m.result.get("shown")]
    lines = {line: m for line in CELLS for m in LINES.members(table, line) if m in members}
    return lines or {"the network": members[0]}


def _reading(table: Table) -> tuple[Figure, str]:
    lines = _shown(table)
    texts = next(iter(lines.values())).result["shown"]
    second = [text["label"] for m in table for text in m.result.get("shown", [])][-1]
    figure, axes = plots.new_figure(len(texts), 1, size=(9, 1.75 * len(texts)), share_y=True)
    gap = " " if any(len(token) > 2 for text in texts for token in text["tokens"]) else ""  # words
    family = plots.font_for("".join("".join(text["tokens"]) for text in texts))
    for row, (ax, text) in enumerate(zip(axes[:, 0], texts, strict=True)):
        n = len(text["tokens"])
        ends = []
        for index, (line, member) in enumerate(lines.items()):
            p = np.array(member.result["shown"][row]["p"])[:, 1]
            ax.plot(np.arange(n), p, **plots.look(index))
            ends.append(plots.End(n - 1, float(p[-1]), line, plots.COLORS[index]))
        ax.axhline(0.5, color="#777777", linewidth=0.8)
        if family:
            turned = {"fontsize": 8, "rotation": 40, "ha": "right", "rotation_mode": "anchor"}
            style = turned if gap else {"fontsize": 10}
            ax.set_xticks(np.arange(n), text["tokens"], family=family, **style)
        else:
            ax.set_xticks(np.arange(0, n, 5), np.arange(1, n + 1, 5))
        ax.set(xlim=(-0.3, n - 0.7), ylim=(0, 1))
        plots.title(ax, f"{row + 1}: {text['label']}")
        plots.direct_labels(ax, ends)
    axes[0, 0].set_ylabel(f"p({second})")
    texts_in_words = " ".join(f"{row + 1}: {gap.join(t['tokens'])}" for row, t in enumerate(texts))
    return figure, (
        f"The probability of {second} after each symbol of held-out texts, as the first "
        f"seed of each one-way network reads them. {texts_in_words}"
    )


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


def claims(table: Table) -> list[Claim]:
    """Return the claims: the notes' 1, 6, 14, 17, 20 and 22 on opinions."""
    pooling = "Maini et al. 2020 (arXiv 2005.00159)"
    gates, both_ways, vectors = (f"the notes, claim {number}" for number in (17, 20, 6))
    last = "Gates help: {line} against a simple RNN, read at the last step"
    unit = table[0].config["task"]["tokenizer_name"]
    few = f"Skip-gram vectors help with {few_labels(table)}"
    return [
        network_learns(table, unit=unit),
        higher(last, gates, margin=0.01)(table, line="LSTM", base="RNN"),
        higher(last, gates, margin=0.01)(table, line="GRU", base="RNN"),
        gates_help_on_long_texts(table),
        higher("The mean over time helps a simple RNN", pooling, margin=0.01)(
            table, line="RNN, mean", base="RNN"
        ),
        higher("The mean over time helps an LSTM", pooling, margin=0.01)(
            table, line="LSTM, mean", base="LSTM"
        ),
        higher("Both ways help a simple RNN", both_ways, margin=0.01)(
            table, line="Bi-RNN", base="RNN"
        ),
        higher("Both ways help a GRU", both_ways, margin=0.01, expected="refuted")(
            table, line="Bi-GRU", base="GRU"
        ),
        higher("Skip-gram vectors help with all labels", vectors, margin=0.005)(
            table, line="GRU, Skip-gram", base="GRU"
        ),
        higher(few, vectors, margin=0.02)(table, line=f"GRU, Skip-gram, {FEW}", base=f"GRU, {FEW}"),
        beats_characters(table, name="counts of characters", unit=unit),
        beats_words(table, name="TF-IDF of 1- and 2-grams, words", unit=unit),
        order_counts(table, unit=unit),
        streams_the_prefix(table),
    ]


def percent(table: Table, *lines: str) -> str:
    """Return the median accuracy of lines in words."""
    scores = (f"{line} {100 * LINES.median(table, line, 'accuracy'):.1f}%" for line in lines)
    return ", ".join(scores).replace(FEW, few_labels(table))


def higher(
    statement: str, source: str, margin: float, expected: str = "holds"
) -> Callable[..., Claim]:
    """Make a claim that a line's median accuracy is above that of another line, ``base``."""

    @claim(
        statement,
        source=source,
        holds_if="median accuracy over seeds higher by at least {margin:g}",
        expected=expected,
        margin=margin,
    )
    def check(table: Table, line: str, base: str, margin: float) -> tuple[bool, str]:
        difference = LINES.median(table, line, "accuracy") - LINES.median(table, base, "accuracy")
        return difference >= margin, percent(table, line, base)

    return check


@claim(
    "A recurrent network learns an opinion from {unit}",
    source="the notes, claim 22",
    holds_if="median accuracy of the GRU at least {least:g}",
    expected="holds",
    least=0.80,
)
def network_learns(table: Table, least: float) -> tuple[bool, str]:
    """Check the GRU's median accuracy."""
    return LINES.median(table, "GRU", "accuracy") >= least, percent(table, "GRU")


@claim(
    "Gates help more on long texts",
    source="the notes, claim 11 and 17",
    holds_if="the GRU's lead over the RNN larger by {margin:g} on the longest quarter than on the "
    "shortest",
    expected="holds",
    margin=0.01,
)
def gates_help_on_long_texts(table: Table, margin: float) -> tuple[bool, str]:
    """Compare the GRU's lead on the shortest and on the longest quarter of the texts."""
    gru, rnn = (
        np.median(LINES.members(table, line).stack("by_length")[:, [0, 3]], axis=0)
        for line in ("GRU", "RNN")
    )
    short, long = (float(lead) for lead in gru - rnn)
    return long - short >= margin, (
        f"the GRU ahead by {100 * short:.1f} points on the shortest quarter of texts, by "
        f"{100 * long:.1f} on the longest"
    )


def beats_regression(table: Table, name: str, margin: float = 0.0) -> tuple[bool, str]:
    """Compare the best one-way cell with a regression."""
    if name not in regressions(table):
        raise Undecided(f"no regression on {name}: {install('chinese')}")
    best = max(CELLS, key=lambda line: LINES.median(table, line, "accuracy"))
    level = regressions(table)[name]
    return LINES.median(table, best, "accuracy") - level >= margin, (
        f"{percent(table, best)}, {name} {100 * level:.1f}%"
    )


beats_characters = claim(
    "A network of {unit} beats a bag of characters",
    source="the notes, claim 1",
    holds_if="the best one-way cell, read at the last step, ahead by at least {margin:g}",
    expected="holds",
    margin=0.02,
)(beats_regression)
beats_words = claim(
    "A network of {unit} beats TF-IDF of words and pairs of words",
    source="the notes, claim 22",
    holds_if="the best one-way cell, read at the last step, ahead",
    expected="refuted",
)(beats_regression)


@claim(
    "Order counts",
    source="the notes, claim 1 and 22",
    holds_if="the GRU loses at least {least:g} of accuracy when the {unit} of the held-out texts "
    "are permuted",
    expected="holds",
    least=0.02,
)
def order_counts(table: Table, least: float) -> tuple[bool, str]:
    """Compare the GRU's accuracy with that on permuted texts."""
    mixed = LINES.median(table, "GRU", "permuted")
    lost = LINES.median(table, "GRU", "accuracy") - mixed
    return lost >= least, f"{percent(table, 'GRU')}, permuted {100 * mixed:.1f}%"


@claim(
    "A network that reads one way answers at each step for the text so far",
    source="the notes, claim 14 and 20",
    holds_if="streamed scores equal those of the prefix to {rounding:g}; bidirectional networks "
    "are refused",
    expected="holds",
    closed_form=True,
    rounding=1e-4,  # of logits: one step at a time, and at once
)
def streams_the_prefix(table: Table, rounding: float) -> tuple[bool, str]:
    """Check the streamed answers one way, and the refusals both ways."""
    one_way, both_ways = LINES.directions(table)
    apart = max(result["apart"] for result in one_way)
    streams = all(r["streams"] for r in one_way) and not any(r["streams"] for r in both_ways)
    return streams and apart <= rounding, (
        f"step by step and at once at most {apart:.1g} apart; both ways refused"
    )
