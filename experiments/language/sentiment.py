"""Good or bad, character by character: RNN, LSTM, GRU, one way and both, last state and mean.

    rnnlab run --config=experiments/language/sentiment.py
    rnnlab predict DIR --text="房间很干净，服务也好。"
    rnnlab predict DIR --member=4 --stream --text="外观不错，可惜太吵"   # a GRU reads

17,363 Chinese reviews of hotels, books and computers (packages of rnnlab[data]), a fifth held out;
the first 80 characters, E = H = 64 a direction, 900 updates, two seeds. Read at the last step or
the mean over time; embeddings drawn, or started from Skip-gram vectors of the same texts, with all
labels and with 1,000. Beside them logistic regressions on whole reviews: characters, and words
(jieba, rnnlab[chinese]; left out without it). A file of your own: --config.task.path=FILE; English:
--config.task.source=rotten_tomatoes --config.task.tokenizer_name=words --config.words=words. About
5 minutes on 2 cores; ":full" has 250 characters, H = 128 and 8,000 updates.

Expected: gates help what is read at the last step (the notes' claim 17), which is far from most of
what was said, and the mean over time helps without gates (Maini et al. 2020); a network sees the
order that a bag of characters does not (claim 1); vectors help where labels are few (claim 6).
Measured, to ±0.7 points: GRU 83.2%, LSTM 81.9, RNN 80.0; of the mean 82.5, 82.4, 81.6; both ways
82.8, 82.8, 81.1. Skip-gram's start gives 83.8 for 83.2, and with 1,000 labels 75.6 for 71.6. Counts
of the same characters have 80.9, TF-IDF of words and their pairs 85.5: no network comes to that.
Refuted: that gates help more on long texts, and that the mean helps an LSTM by a point.
"""

from dataclasses import replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from rnnlab import training
from rnnlab.core.errors import Undecided
from rnnlab.nn import generation, layers
from rnnlab.nn.initializers import InitScheme
from rnnlab.plotting import learning_curves, plots
from rnnlab.results.claims import Claim
from rnnlab.results.table import Table
from rnnlab.sparse.bag_of_words import BagOfWords
from rnnlab.sparse.tfidf import TfIdf
from rnnlab.text import tokenizers
from rnnlab.training import runner

REPRODUCE = False  # with it `rnnlab reproduce` would take more than half an hour

CELLS = {"RNN": "rnn-tanh", "LSTM": "lstm", "GRU": "gru"}
FEW = "1,000 labels"


def _line(cell: str, pooling: str = "last", vectors: str = "", few: bool = False) -> dict[str, Any]:
    biases = "" if "rnn-tanh" in cell else "1.0"
    return {
        "cell.name": cell,
        "init.forget_bias": biases,
        "task.pooling": pooling,
        "task.vectors": vectors,
        "run.few": few,
    }


LINES: dict[str, dict[str, Any]] = {
    **{name: _line(cell) for name, cell in CELLS.items()},
    **{f"Bi-{name}": _line(f"bi-{cell}") for name, cell in CELLS.items()},
    **{f"{name}, mean": _line(cell, "mean") for name, cell in CELLS.items()},
    "GRU, Skip-gram": _line("gru", vectors="skipgram"),
    f"GRU, {FEW}": _line("gru", few=True),
    f"GRU, Skip-gram, {FEW}": _line("gru", vectors="skipgram", few=True),
}
ONE_WAY = ("RNN", "LSTM", "GRU")
TURNS = ("但", "不过", "虽然", "可惜", "but", "although")  # of an opinion: shown as they are read
SHOWN = (14, 26)  # tokens of a text that is shown
C = (0.1, 0.3, 1.0, 3.0, 10.0)  # of regressions, chosen on the last fifth of what they learn from
READS = 0.80  # accuracy of a network that has learned to read an opinion
GATES, POOLED, BOTH, VECTORS, LABELS, ORDER, LONG = 0.01, 0.01, 0.01, 0.005, 0.02, 0.02, 0.01
ROUNDING = 1e-4  # of logits: one step at a time, and at once


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The default, or with "full" long reviews and a larger network."""
    if arg not in (None, "", "full"):
        raise ValueError(f"sentiment.py takes no argument or :full, got {arg!r}")
    full = arg == "full"
    config = ml_collections.ConfigDict(
        {
            "seed": 0,
            "words": "chinese",  # the tokenizer of words, of the regressions
            "task": {
                "name": "sentiment",
                "source": "chinese",
                "path": "",  # a file of texts and labels instead
                "test_path": "",
                "tokenizer_name": "characters",
                "held_out": "test",  # "validation" to choose numbers by
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
                few=False,  # few labels
                few_labels=1000,
                few_steps=300,
                seconds_per_member=1000.0 if full else 10.0,
                seconds_per_group=8.0,
            ),
        }
    )
    return config.lock()


def get_sweep(config: Any) -> list[dict[Any, Any]]:
    """Lines x seeds."""
    training = config.training
    few = {
        "task.limit": (config.run.few_labels,),
        ("training.steps", "training.eval_every"): ((config.run.few_steps,) * 2,),
    }
    every = {("training.steps", "training.eval_every"): ((training.steps, training.eval_every),)}
    return [
        {key: (value,) for key, value in own.items()}
        | (few if own["run.few"] else every)
        | {"seed": tuple(range(config.run.seeds))}
        for own in LINES.values()
    ]


run = runner.run


def measure(config: Any, setup: Any, params: Any) -> dict[str, Any]:
    """Who is right, at which length; what order is good for; what is said while it is read."""
    task, data = setup.task, setup.task.load()
    batch = task.test(data, jax.random.key(0), len(data.test))
    said = _classes(setup.model, params, batch.inputs, batch.lengths)
    mixed = _classes(setup.model, params, permuted(data.test, data.test_lengths), batch.lengths)
    right = said == data.test_labels
    lengths = np.array([len(words) for words in tokens_of(task, task.split().test_texts)])
    edges = np.quantile(lengths, [0.25, 0.5, 0.75])
    parts = np.searchsorted(edges, lengths)
    found = {
        "accuracy": float(right.mean()),
        "permuted": float((mixed == data.test_labels).mean()),
        "edges": edges,
        "by_length": [
            float(right[parts == part].mean()) if (parts == part).any() else np.nan
            for part in range(4)
        ],
        "tested": len(right),
        **in_real_time(setup, params, data),
    }
    if config.run.few:
        return found
    found["counted"] = counted(replace(task, pooling="last", vectors=""), config.words)
    if found["streams"] and config.seed == 0:
        found["shown"] = shown(setup, params)  # none, where no text has a fitting length
    return found


def permuted(rows: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Rows (N, T) with their first symbols in random order."""
    rng = np.random.default_rng(0)
    keys = np.where(np.arange(rows.shape[1]) < lengths[:, None], rng.random(rows.shape), 2.0)
    return np.take_along_axis(rows, np.argsort(keys, axis=1, kind="stable"), axis=1)


def tokens_of(task: Any, texts: list[str]) -> list[list[str]]:
    """The texts as the network reads them."""
    return task.tokenizer(texts).lists()


def _classes(model: Any, params: Any, inputs: Any, lengths: Any) -> np.ndarray:
    apply = jax.jit(lambda p, xs, n: model.apply(p, xs, lengths=n)[0].argmax(axis=-1))
    return np.asarray(apply(params, jnp.asarray(inputs), jnp.asarray(lengths)))


def in_real_time(setup: Any, params: Any, data: Any) -> dict[str, Any]:
    """Whether it streams, and by how much what it says then differs from a pass over the prefix."""
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


def shown(setup: Any, params: Any) -> list[dict[str, Any]]:
    """Four texts held out in which an opinion turns, and the probability of each class a step."""
    task, split = setup.task, setup.task.split()
    start, step = generation.stream(setup.model)
    step, found = jax.jit(step), []
    for index in examples(tokens_of(task, split.test_texts), split.test_labels):
        tokens = task.tokens(split.test_texts[index])
        state, p = start(params, batch_size=1), []
        for symbol in task.encode(tokens):
            y, state = step(params, state, jnp.asarray(symbol)[None])
            p.append(np.asarray(jax.nn.softmax(y[0])).round(4).tolist())
        label = task.classes[int(split.test_labels[index])]
        found.append({"tokens": tokens, "label": label, "p": p})
    return found


def examples(texts: list[list[str]], labels: np.ndarray) -> list[int]:
    """Two of each of the first two classes that fit and, where there are any, turn an opinion."""
    found = []
    for label in (0, 1):
        fit = [
            i
            for i in np.flatnonzero(labels == label).tolist()
            if SHOWN[0] <= len(texts[i]) <= SHOWN[1]
        ]
        turn = [i for i in fit if any(word in "".join(texts[i]) for word in TURNS)]
        found += [*turn, *(i for i in fit if i not in turn)][:2]
    return found


# ---- what needs no network ---------------------------------------------------------------------


@lru_cache(maxsize=2)
def counted(task: Any, words: str) -> dict[str, float]:
    """Accuracy of logistic regressions on counts and TF-IDF, of characters and of words."""
    split, found = task.split(), {}
    for name, tokenizer in (("characters", "characters"), ("words", words)):
        read = tokenizers.by_name(tokenizer, lowercase=True)
        try:
            learn, judge = (read(texts).lists() for texts in (split.texts, split.test_texts))
        except ValueError:  # jieba is not installed
            continue
        for how, largest in (("counts of", 1), ("TF-IDF of", 1), ("TF-IDF of 1- and 2-grams,", 2)):
            found[f"{how} {name}"] = regression(learn, judge, split, how != "counts of", largest)
    return found


def regression(learn: Any, judge: Any, split: Any, weighted: bool, largest: int) -> float:
    """The accuracy of a logistic regression whose C is the best on a fifth of what it learns."""
    from sklearn.linear_model import LogisticRegression

    def features(one: Any, other: Any) -> Any:
        counts = BagOfWords(ngram_range=(1, largest), min_df=2)
        parts = counts.fit_transform(one), counts.transform(other)
        if not weighted:
            return parts
        weights = TfIdf("log", "smooth", "l2")
        return weights.fit_transform(parts[0]), weights.transform(parts[1])

    def right(xs: Any, labels: Any, ys: Any, truth: Any, c: float) -> float:
        solver = "liblinear" if len(np.unique(labels)) == 2 else "lbfgs"  # of more classes at once
        model = LogisticRegression(C=c, solver=solver, tol=1e-3, max_iter=1000)
        return float(model.fit(xs, labels).score(ys, truth))

    cut, labels = len(learn) * 4 // 5, split.labels
    xs, ys = features(learn[:cut], learn[cut:])
    best = max(C, key=lambda c: right(xs, labels[:cut], ys, labels[cut:], c))
    xs, ys = features(learn, judge)
    return right(xs, labels, ys, split.test_labels, best)


# ---- figures -----------------------------------------------------------------------------------


def of(table: Table, line: str) -> Table:
    """The members of a line, one a seed."""
    return table.select(LINES[line])


def there(table: Table) -> list[str]:
    """The lines that a narrowed sweep still has."""
    return [line for line in LINES if len(of(table, line))]


def beside(table: Table) -> dict[str, float]:
    """The regressions' accuracy, of the first member that has it."""
    return next((m.result["counted"] for m in table if "counted" in m.result), {})


def figures(table: Table) -> dict[str, Any]:
    """Accuracy of every line, learning curves, by length, and texts as they are read."""
    found = {"accuracy": _accuracy(table), "curves": _curves(table), "length": _length(table)}
    if any(m.result.get("shown") for m in table):
        found["reading"] = _reading(table)
    return found


def _accuracy(table: Table) -> tuple[Any, str]:
    rows = {f"{name} (regression)": np.array([value]) for name, value in beside(table).items()}
    rows |= {line: of(table, line).stack("accuracy") for line in there(table)}
    order = sorted(rows, key=lambda name: float(np.median(rows[name])))
    figure, axes = plots.new_figure(1, 1, size=(7.6, 0.28 * len(rows) + 1.0))
    ax = axes[0, 0]
    for y, name in enumerate(order):
        color = plots.COLORS[2 if FEW in name else 1 if name in LINES else 0]
        ax.plot(100 * rows[name], np.full(rows[name].size, y), "o", color=color, markersize=5)
    ax.set_yticks(np.arange(len(order)), order)
    ax.set(xlabel="accuracy, %, texts held out", ylim=(-0.6, len(order) - 0.4))
    deviation = 50 / np.sqrt(table[0].result["tested"])
    return figure, (
        "Accuracy of every line, a point a seed: networks blue (with few labels orange), logistic "
        f"regressions on whole texts black. A point is known to ±{deviation:.1f} (one standard "
        "deviation at most)."
    )


def _curves(table: Table) -> tuple[Any, str]:
    panels = {
        "last step, one way": tuple(CELLS),
        "last step, both ways": tuple(f"Bi-{name}" for name in CELLS),
        "mean over time, one way": tuple(f"{name}, mean" for name in CELLS),
    }
    figure, axes = plots.new_figure(1, 3, size=(12, 3.4), share_y=True)
    for ax, (title, lines) in zip(axes[0], panels.items(), strict=True):
        ends = [
            learning_curves.draw(ax, of(table, line), "accuracy", line.split(",")[0], index)
            for index, line in enumerate(lines)
            if line in there(table)
        ]
        steps = max(m.config["training"]["steps"] for m in table)
        ax.set(xlabel="updates", xlim=(0, steps), ylim=(0.45, 1))
        plots.title(ax, title)
        plots.direct_labels(ax, ends)
    axes[0, 0].set_ylabel("accuracy, texts held out")
    return figure, "Accuracy on texts held out against updates, median and range over seeds."


def _length(table: Table) -> tuple[Any, str]:
    lines = [line for line in ("RNN", "GRU", "Bi-GRU", "RNN, mean") if line in there(table)]
    lines = lines or there(table)[:1]
    figure, axes = plots.new_figure(1, 1, size=(6.6, 3.4))
    ax = axes[0, 0]
    ends = [
        plots.band(ax, np.arange(4), of(table, line).stack("by_length"), line, index)
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


def _reading(table: Table) -> tuple[Any, str]:
    lines = {line: m for line in ONE_WAY for m in of(table, line) if m.result.get("shown")}
    texts = next(iter(lines.values() or (m for m in table if m.result.get("shown")))).result[
        "shown"
    ]
    lines = lines or {"the network": next(m for m in table if m.result.get("shown"))}
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
            ax.set_xticks(
                np.arange(n),
                text["tokens"],
                family=family,
                **(
                    {"fontsize": 8, "rotation": 40, "ha": "right", "rotation_mode": "anchor"}
                    if gap
                    else {"fontsize": 10}
                ),
            )
        else:
            ax.set_xticks(np.arange(0, n, 5), np.arange(1, n + 1, 5))
        ax.set(xlim=(-0.3, n - 0.7), ylim=(0, 1))
        plots.title(ax, f"{row + 1}: {text['label']}")
        plots.direct_labels(ax, ends)
    axes[0, 0].set_ylabel(f"p({_second(table)})")
    said = " ".join(f"{row + 1}: {gap.join(t['tokens'])}" for row, t in enumerate(texts))
    return figure, (
        f"The probability of {_second(table)} after each symbol of texts held out, as the first "
        f"seed of each one-way network reads them. {said}"
    )


def _second(table: Table) -> str:
    labels = [t["label"] for m in table if m.result.get("shown") for t in m.result["shown"]]
    return labels[-1]


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


def claims(table: Table) -> list[Claim]:
    """The notes' 1, 6, 14, 17, 20 and 22 on opinions."""

    def median(line: str, name: str = "accuracy") -> float:
        return float(np.median(of(table, line).stack(name)))

    def words(*lines: str) -> str:
        return ", ".join(f"{line} {100 * median(line):.1f}%" for line in lines)

    def above(one: str, other: str, margin: float) -> Any:
        def check() -> tuple[bool, str]:
            return median(one) - median(other) >= margin, words(one, other)

        return check

    def reads() -> tuple[bool, str]:
        return median("GRU") >= READS, words("GRU")

    def counts(name: str, margin: float) -> Any:
        def check() -> tuple[bool, str]:
            if name not in beside(table):
                raise Undecided(f"no regression on {name}: see rnnlab[chinese]")
            best = max(CELLS, key=median)
            level = beside(table)[name]
            return median(best) - level >= margin, f"{words(best)}, {name} {100 * level:.1f}%"

        return check

    def order() -> tuple[bool, str]:
        lost = median("GRU") - median("GRU", "permuted")
        return lost >= ORDER, f"{words('GRU')}, permuted {100 * median('GRU', 'permuted'):.1f}%"

    def long() -> tuple[bool, str]:
        gaps = [
            float(
                np.median(of(table, "GRU").stack("by_length")[:, part])
                - np.median(of(table, "RNN").stack("by_length")[:, part])
            )
            for part in (0, 3)
        ]
        return gaps[1] - gaps[0] >= LONG, (
            f"the GRU ahead by {100 * gaps[0]:.1f} points on the shortest quarter of texts, by "
            f"{100 * gaps[1]:.1f} on the longest"
        )

    def real_time() -> tuple[bool, str]:
        one = [
            m.result for line in there(table) if not line.startswith("Bi-") for m in of(table, line)
        ]
        both = [
            m.result for line in there(table) if line.startswith("Bi-") for m in of(table, line)
        ]
        if not one or not both:
            raise Undecided("needs members one way and both ways")
        apart = max(result["apart"] for result in one)
        streams = all(r["streams"] for r in one) and not any(r["streams"] for r in both)
        return streams and apart <= ROUNDING, (
            f"step by step and at once at most {apart:.1g} apart; both ways refused"
        )

    notes, ahead = "the notes, claim ", "median accuracy over seeds higher by at least "
    pooling = "Maini et al. 2020 (arXiv 2005.00159)"
    return [
        Claim(
            "A recurrent network learns an opinion from characters",
            notes + "22",
            f"median accuracy of the GRU at least {READS}",
            "holds",
            reads,
        ),
        *(
            Claim(
                f"Gates help: {name} against a simple RNN, read at the last step",
                notes + "17",
                ahead + str(GATES),
                "holds",
                above(name, "RNN", GATES),
            )
            for name in ("LSTM", "GRU")
        ),
        Claim(
            "Gates help more on long texts",
            notes + "11 and 17",
            "the GRU's lead over the RNN "
            f"larger by {LONG} on the longest quarter than on the shortest",
            "holds",
            long,
        ),
        Claim(
            "The mean over time helps a simple RNN",
            pooling,
            ahead + str(POOLED),
            "holds",
            above("RNN, mean", "RNN", POOLED),
        ),
        Claim(
            "The mean over time helps an LSTM",
            pooling,
            ahead + str(POOLED),
            "holds",
            above("LSTM, mean", "LSTM", POOLED),
        ),
        Claim(
            "Both ways help a simple RNN",
            notes + "20",
            ahead + str(BOTH),
            "holds",
            above("Bi-RNN", "RNN", BOTH),
        ),
        Claim(
            "Both ways help a GRU",
            notes + "20",
            ahead + str(BOTH),
            "refuted",
            above("Bi-GRU", "GRU", BOTH),
        ),
        Claim(
            "Skip-gram vectors help with all labels",
            notes + "6",
            ahead + str(VECTORS),
            "holds",
            above("GRU, Skip-gram", "GRU", VECTORS),
        ),
        Claim(
            f"Skip-gram vectors help with {FEW}",
            notes + "6",
            ahead + str(LABELS),
            "holds",
            above(f"GRU, Skip-gram, {FEW}", f"GRU, {FEW}", LABELS),
        ),
        Claim(
            "A network beats a bag of the same characters",
            notes + "1",
            f"the best one-way cell, read at the last step, ahead by at least {ORDER}",
            "holds",
            counts("counts of characters", ORDER),
        ),
        Claim(
            "A network of characters beats TF-IDF of words and pairs of words",
            notes + "22",
            "the best one-way cell, read at the last step, ahead",
            "refuted",
            counts("TF-IDF of 1- and 2-grams, words", 0.0),
        ),
        Claim(
            "Order counts",
            notes + "1 and 22",
            f"the GRU loses at least {ORDER} of accuracy "
            "when the characters of the texts held out are permuted",
            "holds",
            order,
        ),
        Claim(
            "What reads one way says at each step what it would say of the text so far",
            notes + "14 and 20",
            f"streamed scores equal those of the prefix to {ROUNDING}; "
            "bidirectional networks are refused",
            "holds",
            real_time,
            closed_form=True,
        ),
    ]
