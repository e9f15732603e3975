"""Good or bad, character by character: RNN, LSTM, GRU, one way and both, last state and mean.

    rnnlab run --config=experiments/language/sentiment.py
    rnnlab predict DIR --text="房间很干净，服务也好。"
    rnnlab predict DIR --stream --text="外观不错，可惜太吵"  # with --member of a network one way

17,363 Chinese reviews of hotels, books and computers (packages of rnnlab[data]), a fifth held out,
of which the first 2,000 are scored; the first 50 characters, E = H = 32 per direction, 300 updates.
The read-out is of the last step or of the mean over time; embeddings are drawn, or start from
Skip-gram vectors of the same texts, with all labels and with 1,000 (a tenth of them for
validation). Every network has a learning rate of its own, chosen by its validation accuracy on 2
seeds, and is judged by its test accuracy on 8 other seeds, on 16 where a pair is still open. Beside
them logistic regressions on whole reviews: characters, and words (jieba, rnnlab[chinese]; left out
without it). A file of your own: --config.task.path=FILE; English:
--config.task.source=rotten_tomatoes --config.task.tokenizer_name=words --config.words=words. About
5 minutes on 2 cores; ":full" has 250 characters, H = 128 and 8,000 updates.

Expected: gates help a read-out at the last step (the notes' claim 17), which is far from most of
the text, and the mean over time helps without gates (Maini et al. 2020); a network sees the order
that a bag of characters does not (claim 1); vectors help where labels are few (claim 6). A
difference of less than 1.5 points does not matter.

Found: gates help: LSTM 78.6% against 74.7 of the RNN (16 seeds), GRU 81.3 against 75.7 (8). From
75.7 the RNN gains 2.6 points [0.7 to 4.3] by reading both ways and 3.5 [1.1 to 5.6] by the mean
over time; the mean gives the LSTM 2.2 [1.0 to 3.9]. A Bi-GRU, 81.5%, and a GRU that starts from
Skip-gram, 81.6%, are equivalent to the GRU. With 1,000 labels Skip-gram's start is undecided after
16 seeds, 71.6% against 71.9. Counts of characters have 80.9%, TF-IDF of words and their pairs 85.9:
no network reaches that. Undecided: order (permuted texts cost the GRU 1.8 points), long texts.
"""

from contextlib import suppress
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from rnnlab import training
from rnnlab.core.errors import Undecided, install
from rnnlab.core.validate import choice
from rnnlab.data.splits import permuted
from rnnlab.lab import text_regressions
from rnnlab.lab.comparison import RATE, Comparison
from rnnlab.lab.config import scale
from rnnlab.lab.lines import Lines
from rnnlab.lab.text_features import data_of
from rnnlab.nn import generation, layers, models
from rnnlab.nn.initializers import InitScheme
from rnnlab.plotting import arrange, keys, plots
from rnnlab.results.claims import Claim, claim
from rnnlab.results.comparison import Comparisons
from rnnlab.results.comparison_claims import Measure, beats, better
from rnnlab.results.table import Member, Table
from rnnlab.tasks.base import Config, PyTree
from rnnlab.tasks.checks import few_of
from rnnlab.tasks.reviews import Encoded
from rnnlab.tasks.sentiment import Sentiment
from rnnlab.text import tokenizers
from rnnlab.training import runner

REPRODUCE = False  # `rnnlab reproduce` would take more than half an hour with it

Values = dict[str, object]  # of a config
CELLS = {"RNN": "rnn-tanh", "LSTM": "lstm", "GRU": "gru"}
FEW = "few labels"  # as many as run.few_labels


def _line(cell: str, pooling: str = "last", vectors: str = "", few: bool = False) -> Values:
    reading = {"task.pooling": pooling, "task.vectors": vectors, "run.few": few}
    bias = {"init.forget_bias": "1.0"} if "gru" in cell else {}  # an LSTM's is 1 anyway
    return {"cell.name": cell, **bias, **reading}


LINES = Lines(
    {
        **{name: _line(cell) for name, cell in CELLS.items()},
        **{f"Bi-{name}": _line(f"bi-{CELLS[name]}") for name in ("RNN", "GRU")},
        **{f"{name}, mean": _line(CELLS[name], "mean") for name in ("RNN", "LSTM")},
        "GRU, Skip-gram": _line("gru", vectors="skipgram"),
        f"GRU, {FEW}": _line("gru", few=True),
        f"GRU, Skip-gram, {FEW}": _line("gru", vectors="skipgram", few=True),
    }
)
COMPARED = {  # lines by the name of their comparison, the reference the last
    "gates": ("LSTM", "GRU", "RNN"),
    "mean_RNN": ("RNN, mean", "RNN"),
    "mean_LSTM": ("LSTM, mean", "LSTM"),
    "ways_RNN": ("Bi-RNN", "RNN"),
    "ways_GRU": ("Bi-GRU", "GRU"),
    "vectors": ("GRU, Skip-gram", "GRU"),
    "vectors_few": (f"GRU, Skip-gram, {FEW}", f"GRU, {FEW}"),
}
TUNING_SEEDS, SEEDS = 2, (8, 16)
MARGIN = 0.015  # of the accuracy: what does not matter
LEARNED = 0.80  # the accuracy that counts as learned
LONGER = 0.01  # by which a lead must be larger on long texts than on short ones
ORDER = 0.02  # of the accuracy, lost in permuted texts
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
                "max_length": 250 if full else 50,
                "min_count": 2,
                "embedding_size": 128 if full else 32,
                "vectors": "",
                "pooling": "last",
            },
            "cell": layers.config("lstm", 128 if full else 32),
            "init": InitScheme.config(w_h="orthogonal"),
            "training": training.config(
                learning_rate=2e-3,
                schedule="linear",
                clip_norm=1.0,
                batch_size=32,
                steps=8000 if full else 300,
                eval_every=400 if full else 100,
                eval_batch_size=4000,
                eval_sample=0 if full else 2000,  # held-out texts to score; 0: all of them
                stop_when_solved=False,
            ),
            "run": runner.config(
                rates=(3e-4, 1e-3, 3e-3, 1e-2) if full else (1e-3, 3e-3, 1e-2, 3e-2),  # to tune
                few=False,  # whether only few labels are used; set by the comparison
                few_labels=1000,  # labeled reviews that count as few
                few_steps=150,  # updates of the members with few labels
                seconds_per_member=1000.0 if full else 2.5,
                seconds_per_group=8.0,
            ),
        }
    )
    return config.lock()


def comparison(config: Config) -> list[Comparison]:
    """Compare networks by their accuracy; those with few labels take fewer updates.

    Comparisons share the members that they have in common.
    """
    task, labels, count = config.task, config.run.few_labels, None
    with suppress(ValueError, OSError):  # data that cannot be read are refused with a member
        count = len(task_of(config).whole().texts)
    if count is not None:
        available = min(task.limit or count, count)
        labels = few_of(labels, available, "run.few_labels", "texts to learn from")
    few = {"task.limit": labels}
    few |= dict.fromkeys(("training.steps", "training.eval_every"), config.run.few_steps)
    on = f"On {data_of(task)}{'' if task.path else ' reviews'}"
    return [
        Comparison(
            {line: {**LINES[line], **(few if FEW in line else {})} for line in lines},
            tune={RATE: config.run.rates},
            score="accuracy",
            equivalent=MARGIN,
            reference=lines[-1],
            tuning_seeds=TUNING_SEEDS,
            seeds=SEEDS,
            question=f"{on} with {labels:,} labels" if FEW in lines[-1] else on,
            name=name,
        )
        for name, lines in COMPARED.items()
    ]


def of(table: Table, comparisons: Comparisons, line: str) -> Table:
    """Select the judged members of an arm; of a sweep those of a line, one per seed."""
    if comparisons:
        name = next(name for name, lines in COMPARED.items() if line in lines)
        return comparisons[name].judged(table, line)
    return LINES.members(table, line)


run = training.run


def check(config: Config) -> None:
    """Refuse an unknown tokenizer of words, and texts that the regressions cannot learn from."""
    choice("words", config.words, tokenizers.TOKENIZERS)
    if not config.run.few:
        text_regressions.check_counted(alike(task_of(config)), config.words)


def task_of(config: Config) -> Sentiment:
    """Return the task of a config."""
    return cast(Sentiment, training.task_of(config))


def alike(task: Sentiment) -> Sentiment:
    """Return a task with the same texts for all networks: what reads no network is done once."""
    return replace(task, pooling="last", vectors="")


# ---- measurements ------------------------------------------------------------------------------


def measure(config: Config, setup: training.Setup, params: PyTree) -> dict[str, object]:
    """Return the accuracy by length and of permuted texts, and the answers in real time."""
    task = cast(Sentiment, setup.task)
    data = task.load()
    count = training.scored(config, task, data)
    batch = task.test(data, jax.random.key(0), count)
    labels = data.test_labels[:count]

    def right(texts: np.ndarray | jax.Array) -> np.ndarray:
        outputs = scores_of(setup.model, params, texts, batch.lengths)
        return np.asarray(outputs).argmax(axis=-1) == labels

    hits, mixed = right(batch.inputs), right(permuted(data.test, data.test_lengths)[:count])
    edges, quarter = quarters(task, count)
    by_length = [
        float(hits[quarter == k].mean()) if (quarter == k).any() else np.nan for k in range(4)
    ]
    results = {"permuted": mixed.mean().item(), "edges": edges, "by_length": by_length}
    results |= {"tested": len(hits), **in_real_time(setup, params, data)}
    if config.run.few:
        return results
    results["counted"] = text_regressions.counted(alike(task), config.words, count, C)
    if results["streams"]:
        results["shown"] = shown(setup, params)  # [] if no text has a fitting length
    return results


@lru_cache(maxsize=8)  # the same for all members of a task
def quarters(task: Sentiment, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the quartiles of the held-out texts' lengths, and the quarter of each text."""
    lengths = np.array([*map(len, tokens_of(task, task.split().test_texts[:count]))])
    edges = np.quantile(lengths, [0.25, 0.5, 0.75])
    return edges, np.searchsorted(edges, lengths)


def tokens_of(task: Sentiment, texts: list[str]) -> list[list[str]]:
    """Return the texts as the network reads them."""
    return task.tokenizer(texts).lists()


@partial(jax.jit, static_argnames="model")  # compiled once for all seeds and rates
def scores_of(
    model: models.Model, params: PyTree, inputs: jax.typing.ArrayLike, lengths: jax.typing.ArrayLike
) -> jax.Array:
    """Return the logits (N, classes) of texts (N, T)."""
    return model.apply(params, inputs, lengths=lengths)[0]


@lru_cache(maxsize=8)  # so that a step is compiled once for all seeds and rates
def stream(model: models.Model) -> tuple[Any, Any]:
    """Return how a model starts and steps in real time.

    Raises:
        ValueError: it reads both ways.
    """
    start, step = generation.stream(model)
    return start, jax.jit(step)


def in_real_time(setup: training.Setup, params: PyTree, data: Encoded) -> dict[str, object]:
    """Compare the answers step by step with those of a whole pass over each prefix.

    Returns:
        {"streams": whether the model runs in real time, "apart": the largest difference of a
        logit}.
    """
    try:
        start, step = stream(setup.model)
    except ValueError:
        return {"streams": False, "apart": 0.0}
    rows, T = jnp.asarray(data.test[:8]), int(min(12, data.test_lengths[:8].min()))
    state, apart = start(params, batch_size=len(rows)), 0.0
    for t in range(max(T, 1)):
        y, state = step(params, state, rows[:, t])
        whole = scores_of(setup.model, params, rows, np.full(len(rows), t + 1))
        apart = max(apart, float(jnp.abs(y - whole).max()))
    return {"streams": True, "apart": apart}


def shown(setup: training.Setup, params: PyTree) -> list[dict[str, object]]:
    """Return four held-out texts in which an opinion turns, and each class's probability by step.

    Returns:
        [{"tokens": T strings, "label": the class, "p": (T, classes), "classes": their names}].
    """
    task = cast(Sentiment, setup.task)
    split = task.split()
    start, step = stream(setup.model)
    results = []
    for index in examples(task):
        tokens = task.tokens(split.test_texts[index])
        state, p = start(params, batch_size=1), []
        for symbol in task.encode(tokens):
            y, state = step(params, state, jnp.asarray(symbol)[None])
            p.append(np.asarray(jax.nn.softmax(y[0])).round(4).tolist())
        label = task.classes[int(split.test_labels[index])]
        results.append({"tokens": tokens, "label": label, "p": p, "classes": list(task.classes)})
    return results


@lru_cache(maxsize=8)  # the same for all members of a task
def examples(task: Sentiment) -> list[int]:
    """Return the rows of two held-out texts of each of the first two classes, of fitting length.

    Texts in which an opinion turns come first.
    """
    split, rows = task.split(), []
    texts = tokens_of(task, split.test_texts)
    for label in (0, 1):
        of_class = np.flatnonzero(split.test_labels == label).tolist()
        fit = [i for i in of_class if SHOWN[0] <= len(texts[i]) <= SHOWN[1]]
        turn = [i for i in fit if any(word in "".join(texts[i]) for word in TURNS)]
        rows += [*turn, *(i for i in fit if i not in turn)][:2]
    return rows


# ---- figures -----------------------------------------------------------------------------------


def regressions(table: Table) -> dict[str, float]:
    """Return the regressions' accuracy, of the first member that has it."""
    return next((m.result["counted"] for m in table if "counted" in m.result), {})


def few_labels(table: Table) -> str:
    """Return the number of labels of the members with few, in words."""
    few = [m.config["task"]["limit"] for m in table if m.config["run"]["few"]]
    return f"{few[0]:,} labels" if few else FEW


def figures(table: Table, comparisons: Comparisons) -> dict[str, tuple[Figure, str]]:
    """Draw every line's accuracy, also by length, and texts as they are read."""
    drawn = {
        "accuracy": _accuracy(table, comparisons),
        "length": _length(table, comparisons),
    }
    if any(m.result.get("shown") for m in table):
        drawn["reading"] = _reading(table)
    return drawn


def _accuracy(table: Table, comparisons: Comparisons) -> tuple[Figure, str]:
    rows = {f"{name} (regression)": np.array([value]) for name, value in regressions(table).items()}
    rows |= {line: of(table, comparisons, line).stack("accuracy") for line in LINES.present(table)}
    order = sorted(rows, key=lambda name: float(np.median(rows[name])))
    figure, axes = plots.new_figure(1, 1, size=(7.6, 0.28 * len(rows) + 1.0))
    ax = axes[0, 0]
    for y, name in enumerate(order):
        color = plots.COLORS[2 if FEW in name else 1 if name in LINES else 0]
        ax.plot(100 * rows[name], np.full(rows[name].size, y), "o", color=color, markersize=5)
        keys.mark(ax.lines[-1], "a seed")
    ax.set_yticks(np.arange(len(order)), [name.replace(FEW, few_labels(table)) for name in order])
    ax.set(xlabel="accuracy, %, held-out texts", ylim=(-0.6, len(order) - 0.4))
    deviation = 50 / np.sqrt(table[0].result["tested"])
    return figure, (
        f"Accuracy of every line, one point per seed: networks blue ({few_labels(table)}: orange), "
        f"logistic regressions on whole texts black. A point is known to ±{deviation:.1f} (one "
        "standard deviation at most)."
    )


def _length(table: Table, comparisons: Comparisons) -> tuple[Figure, str]:
    lines = [line for line in ("RNN", "GRU", "Bi-GRU", "RNN, mean") if line in LINES.present(table)]
    lines = lines or LINES.present(table)[:1]
    figure, axes = plots.new_figure(1, 1, size=(6.6, 3.4))
    ax = axes[0, 0]
    ends = [
        plots.band(ax, np.arange(4), of(table, comparisons, line).stack("by_length"), line, index)
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
        f"{table[0].config['task']['max_length']} symbols; {plots.MEDIAN_AND_BAND} over seeds."
    )


def _shown(table: Table) -> dict[str, Member]:
    """Return the members whose reading is drawn: of one-way lines, else the first that has one."""
    lines = {line: LINES.members(table, line)[0] for line in CELLS if line in LINES.present(table)}
    return lines or {"the network": next(m for m in table if m.result.get("shown"))}


def _reading(table: Table) -> tuple[Figure, str]:
    lines = _shown(table)
    texts = next(iter(lines.values())).result["shown"]
    classes = texts[0]["classes"]
    drawn = 1  # the place of the class whose probability is drawn
    figure, axes = plots.new_figure(len(texts), 1, size=(9, 1.75 * len(texts)), share_y=True)
    arrange.keep_width(figure)  # a word below every point
    gap = " " if any(len(token) > 2 for text in texts for token in text["tokens"]) else ""  # words
    family = plots.font_for("".join("".join(text["tokens"]) for text in texts))
    for row, (ax, text) in enumerate(zip(axes[:, 0], texts, strict=True)):
        n = len(text["tokens"])
        ends = []
        for index, (line, member) in enumerate(lines.items()):
            p = np.array(member.result["shown"][row]["p"])[:, drawn]
            ax.plot(np.arange(n), p, **plots.look(index))
            ends.append(plots.End(n - 1, float(p[-1]), line, plots.COLORS[index]))
        if len(classes) == 2:  # from here on the answer is the other class
            even = ax.axhline(0.5, color="#777777", linewidth=0.8)
            keys.mark(even, "either class", guide=True)
        if family:
            turned = {"fontsize": 8, "rotation": 40, "ha": "right", "rotation_mode": "anchor"}
            style = turned if gap else {"fontsize": 10}
            ax.set_xticks(np.arange(n), text["tokens"], family=family, **style)
        else:
            ax.set_xticks(np.arange(0, n, 5), np.arange(1, n + 1, 5))
        ax.set(xlim=(-0.3, n - 0.7), ylim=(0, 1))
        plots.title(ax, f"{row + 1}: {text['label']}")
        plots.direct_labels(ax, ends)
    axes[0, 0].set_ylabel(f"p({classes[drawn]})")
    texts_in_words = " ".join(f"{row + 1}: {gap.join(t['tokens'])}" for row, t in enumerate(texts))
    return figure, (
        f"The probability of {classes[drawn]} after each symbol of held-out texts, as the first "
        f"seed of each one-way network reads them. {texts_in_words}"
    )


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


def claims(table: Table, comparisons: Comparisons) -> list[Claim]:
    """Return the claims: the notes' 1, 6, 14, 17, 20 and 22 on opinions."""
    maini = "Maini et al. 2020 (arXiv 2005.00159)"
    gates, both_ways, vectors = (f"the notes, claim {number}" for number in (17, 20, 6))
    unit = table[0].config["task"]["tokenizer_name"]
    last = "Gates help: {} against a simple RNN, read at the last step"

    def helps(statement: str, name: str, arm: str, source: str, expected: str = "holds") -> Claim:
        arms = arm, COMPARED[name][-1]
        of_arms = {"comparisons": comparisons, "name": name, "arms": arms, "source": source}
        return better(statement, expected=expected, **of_arms)

    of_gru: Any = {"table": table, "comparisons": comparisons, "name": "gates", "arms": ["GRU"]}
    of_gru |= {"higher": True}
    both = comparisons["gates"].paired(table, "GRU", "RNN") if comparisons else table

    def gru(
        statement: str, answer: Measure, words: str, source: str, expected: str = "holds"
    ) -> Claim:
        own = {"score": lambda member: member.result["accuracy"], "answer": answer}
        own |= {"words": ("the accuracy", words), "source": source, "expected": expected}
        return beats(statement, **own, **of_gru)

    def rnn_gains(member: Member) -> float:
        (same,) = comparisons["gates"].judged(table, "RNN").select(seed=member.config["seed"])
        return gain(same) + LONGER

    return [
        gru(
            f"A recurrent network learns an opinion from {unit}",
            lambda member: LEARNED,
            "what counts as learned,",
            "the notes, claim 22",
        ),
        helps(last.format("LSTM"), "gates", "LSTM", gates),
        helps(last.format("GRU"), "gates", "GRU", gates),
        beats(
            "Gates help more on long texts",
            score=gain,
            answer=rnn_gains,
            words=(
                "the accuracy on the longest quarter less that on the shortest",
                f"the RNN's of the same seed, plus {LONGER:g},",
            ),
            source="the notes, claim 11 and 17",
            **of_gru | {"table": both},
        ),
        helps("The mean over time helps a simple RNN", "mean_RNN", "RNN, mean", maini),
        helps("The mean over time helps an LSTM", "mean_LSTM", "LSTM, mean", maini),
        helps("Both ways help a simple RNN", "ways_RNN", "Bi-RNN", both_ways),
        helps("Both ways help a GRU", "ways_GRU", "Bi-GRU", both_ways, expected="refuted"),
        helps("Skip-gram vectors help with all labels", "vectors", "GRU, Skip-gram", vectors),
        helps(
            f"Skip-gram vectors help with {few_labels(table)}",
            "vectors_few",
            f"GRU, Skip-gram, {FEW}",
            vectors,
        ),
        gru(
            f"A network of {unit} beats a bag of characters",
            lambda member: counted_of(member, "counts of characters"),
            "that of a regression on counts of characters",
            "the notes, claim 1",
        ),
        gru(
            f"A network of {unit} beats TF-IDF of words and pairs of words",
            lambda member: counted_of(member, "TF-IDF of 1- and 2-grams, words"),
            "that of a regression on TF-IDF of words and pairs",
            "the notes, claim 22",
            expected="refuted",
        ),
        gru(
            "Order counts",
            lambda member: member.result["permuted"] + ORDER,
            f"that on texts whose {unit} are permuted, plus {ORDER:g},",
            "the notes, claim 1 and 22",
        ),
        streams_the_prefix(table),
    ]


def gain(member: Member) -> float:
    """Return how much more accurate a member is on the longest texts than on the shortest."""
    return float(member.result["by_length"][3] - member.result["by_length"][0])


def counted_of(member: Member, name: str) -> float:
    """Return the accuracy of a regression.

    Raises:
        Undecided: jieba is not installed.
    """
    if name not in member.result["counted"]:
        raise Undecided(f"no regression on {name}: {install('chinese')}")
    return member.result["counted"][name]


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
