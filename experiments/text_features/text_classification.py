"""Text features side by side: classify film reviews by their words.

    rnnlab run --config=experiments/text_features/text_classification.py

8,530 sentences of Rotten Tomatoes (packages of rnnlab[data]), half of them good, a fifth held out.
A logistic regression, its C chosen on a fifth of the training reviews, reads bag of words, TF-IDF,
n-grams of words and characters, and the mean of a review's Word2Vec or FastText vectors (trained on
the training reviews and 1,500 of IMDB's without labels); recurrent networks read learned word
vectors. Networks and word vectors have learning rates of their own, chosen by validation accuracy
on 2 seeds, and are judged on 8 others (networks on 32 where a pair is open); sparse features, the
same for every seed, are compared on the same texts by McNemar's exact test. Two points do not
matter. About 9 minutes on 2 cores; ":full" uses IMDB's 24,904 long reviews.

Expected, from the notes: n-grams see order and bag of words does not (claim 1), at the price of
many times the dimension (claim 5); TF-IDF classifies better than counts (1.2); gated networks are
better than a simple one (claim 17); mean vectors ignore order, with a hundred dimensions (claim 6).
Found: GRU (76.6%) and LSTM (75.8%) are better than the RNN (72.5%). Undecided: a Bi-RNN (73.5%);
the LSTM against a bag of words (76.1%). Refuted, for they are equivalent: the notes' TF-IDF (76.6%)
and counts, words with 2-grams (76.7%) and words, FastText (71.3%) and Word2Vec.
"""

import re
import time
from contextlib import suppress
from fractions import Fraction
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from rnnlab.core.file_cache import read_once
from rnnlab.core.notices import left_out
from rnnlab.core.validate import choice, whole
from rnnlab.embeddings import corpus, fasttext, skipgram
from rnnlab.lab.comparison import RATE, Comparison
from rnnlab.lab.config import Config, scale
from rnnlab.lab.text_features import COMMON, PATTERN, data_of, imdb
from rnnlab.lab.text_methods import Method, averaged, bag, counted, network, vector_settings
from rnnlab.lab.text_regressions import check_regression, first_fifths, most_frequent, scaled
from rnnlab.plotting import plots, tables
from rnnlab.results.claims import Claim, claim
from rnnlab.results.comparison import Comparisons
from rnnlab.results.comparison_claims import beats, better
from rnnlab.results.paired_claims import more_accurate
from rnnlab.results.table import Table
from rnnlab.sparse.hashing import HashedNgrams
from rnnlab.sparse.tfidf import TfIdf
from rnnlab.tasks.reviews import MovieReviews, permuted

REPRODUCE = False  # left out of `rnnlab reproduce`, which it would make longer than half an hour

NGRAMS = {f"word {n}-grams": n for n in (1, 2, 3, 4)}  # of one n, for the dimension
CELLS = {"RNN": "rnn-tanh", "LSTM": "lstm", "GRU": "gru"}
CELLS |= {f"Bi-{name}": f"bi-{CELLS[name]}" for name in ("RNN", "GRU")}
VECTORS = {"Word2Vec, mean": skipgram.train, "FastText, mean": fasttext.train}
BAG, NOTES, SCALED = "bag of words", "TF-IDF, the notes'", "TF-IDF, log and l2"
PAIRS, (WORD2VEC, FASTTEXT) = "words, 2-grams", VECTORS
TUNING_SEEDS, SEEDS = 2, (8, 16, 32)
MARGIN = 0.02  # of the accuracy: two standard errors of 1,706 texts held out


def get_config(arg: str | None = None) -> ConfigDict:
    """Return the default config, or with "full" that of the long reviews."""
    full = scale(arg) == "full"
    return ConfigDict(
        {
            "seed": 0,
            "task": {
                "method": "bag of words",  # the features, and what classifies them
                "source": "imdb" if full else "rotten_tomatoes",  # the reviews
                "max_length": 250 if full else 32,  # words of a review that networks read
                "min_count": 2,  # occurrences that a word needs to be known
                "path": "",  # a file of texts and labels instead of source
                "test_path": "",  # a file of held-out texts and labels
                "validation_path": "",  # a file of validation texts, scored beside the test set
                "validation_share": 0.1,  # of the reviews to learn from, scored alike
                "limit": 0,  # training reviews; 0: all
            },
            "vectors": {  # of words, by skip-gram with and without n-grams of characters
                "size": 100,  # dimensions of a vector
                "epochs": 5,  # passes over the text
                "learning_rate": 0.05,  # first step size
                "buckets": 2_000_000 if full else 100_000,  # rows of n-grams
                "unlabeled": 0 if full else 1500,  # reviews of IMDB beside rotten_tomatoes' texts
            },
            "cell": {"hidden_size": 32, "embedding_size": 32},  # features of a word, for networks
            "training": {
                "epochs": 3 if full else 2,  # passes of a network over the reviews
                "batch_size": 32,  # reviews per update
                "learning_rate": 3e-3,  # size of an update
                "clip_norm": 1.0,  # bound on the gradient's global norm
            },
            "run": {
                "rates": (1e-3, 3e-3, 1e-2, 3e-2),  # of networks, to tune
                "vector_rates": (0.05, 0.1, 0.2),  # of word vectors, to tune
                "permutations_seed": 0,  # seed that shuffles the words of held-out reviews
                "seconds_per_member": 600.0 if full else 3.0,
                "seconds_per_group": 0.0,
            },
        }
    ).lock()


def get_sweep(config: Config) -> dict[str, tuple]:
    """Return one member per sparse feature: the same for every seed.

    N-grams that no text is long enough for are left out, and a line says so.
    """
    methods = list(COUNTED)
    with suppress(ValueError, OSError):  # data that cannot be read are refused with a member
        words = longest(task_of(config))
        short = [name for name, n in NGRAMS.items() if n > words]
        if words and short:
            left_out(f"{data_of(config.task)}: without {', '.join(short)}: no text is so long")
            methods = [name for name in methods if name not in short]
    return {"task.method": tuple(methods), "seed": (config.seed,)}


def comparison(config: Config) -> list[Comparison]:
    """Compare networks, reading both ways with one way, and word vectors, by their accuracy."""

    def compare(
        name: str, what: str, arms: tuple[str, ...], rate: str, rates: tuple, seeds: tuple
    ) -> Comparison:
        return Comparison(
            {"task.method": arms},
            tune={rate: rates},
            score="accuracy",
            equivalent=MARGIN,
            reference=arms[-1],
            tuning_seeds=TUNING_SEEDS,
            seeds=seeds,
            question=f"On {data_of(config.task)}, {what}",
            name=name,
        )

    if not (config.task.validation_share or config.task.validation_path):
        raise ValueError("rates need validation data: --config.task.validation_share=0.1")
    networks = RATE, config.run.rates, SEEDS
    return [
        compare("cells", "read one way", ("LSTM", "GRU", "RNN"), *networks),
        compare("ways", "read both ways and one way", ("Bi-RNN", "RNN"), *networks),
        compare(
            "vectors",
            "by means of word vectors",
            (FASTTEXT, WORD2VEC),
            "vectors.learning_rate",
            config.run.vector_rates,
            SEEDS[:1],
        ),
    ]


def check(config: Config) -> None:
    """Refuse an unknown method, texts that it cannot learn from, and numbers out of range."""
    method = choice("task.method", config.task.method, METHODS)
    task = task_of(config)
    least = NGRAMS.get(method, 1)
    if longest(task) < least:
        raise ValueError(f"{data_of(task)}: {method} needs a text with {least} or more words")
    if method in CELLS:
        len(task.vocabulary)  # raises where no word is frequent enough
    if method in VECTORS and task.path:
        check_words(task)
    more = 0 if task.path else config.vectors.unlabeled
    if more and config.task.source != "rotten_tomatoes":
        raise ValueError(
            f"vectors.unlabeled must be 0 for {config.task.source}, whose reviews are among those "
            f"held out; got {more}"
        )
    whole("vectors.unlabeled", more, 0, len(imdb()) if more else None)
    vector_settings(config)
    whole("training.epochs", config.training.epochs)


@read_once(4)
def longest(task: MovieReviews) -> int:
    """Return the words of the longest text that methods learn from while C is chosen.

    Raises:
        ValueError: texts that a regression cannot learn from.
    """
    split = task.split()
    check_regression(split.labels, task.classes, data_of(task))
    texts = split.texts[: first_fifths(len(split.texts))]
    return max(len(re.findall(PATTERN, text)) for text in texts)


@read_once(4)
def check_words(task: MovieReviews) -> None:
    """Check that word vectors can be learned from the texts.

    Raises:
        ValueError: too few words are frequent enough.
    """
    corpus.of_documents(task.split().texts)


def task_of(config: Config) -> MovieReviews:
    """Return the task of a config."""
    return MovieReviews(**{name: value for name, value in config.task.items() if name != "method"})


def run(config: Config, key: jax.Array, log: object) -> dict[str, float]:
    """Train on the reviews, and classify those held out: as they are, and with words permuted."""
    del log
    task = task_of(config)
    split = task.split()
    shuffled = permuted(split.test_texts, config.run.permutations_seed)
    predict, costs = METHODS[config.task.method](config, task, split, key)
    start = time.perf_counter()
    predicted = predict(split.test_texts)
    seconds = time.perf_counter() - start
    accuracy = float((predicted == split.test_labels).mean())
    if split.validation_texts:
        right = predict(split.validation_texts) == split.validation_labels
        costs["validation_accuracy"] = float(right.mean())
    return costs | {
        "accuracy": accuracy,
        "right": predicted == split.test_labels,
        "chance": most_frequent(split.test_labels),
        "deviation": float(np.sqrt(accuracy * (1 - accuracy) / len(predicted))),
        "predict_us": 1e6 * seconds / len(predicted),
        "moved": float((predict(shuffled) != predicted).mean()),
    }


# ---- methods -----------------------------------------------------------------------------------

COUNTED: dict[str, Method] = {
    "bag of words": counted(bag(), common=True),
    "bag of words, 0 or 1": counted(bag(binary=True)),
    "TF-IDF, the notes'": counted(bag(), TfIdf, common=True),
    "TF-IDF, log and l2": counted(bag(), scaled, common=True),
    **{name: counted(bag(ngram_range=(n, n)), scaled) for name, n in NGRAMS.items()},
    "words, 2-grams": counted(bag(ngram_range=(1, 2)), scaled),
    "words, 2-, 3-grams": counted(bag(ngram_range=(1, 3)), scaled),
    "character 2- to 5-grams": counted(bag(analyzer="char_wb", ngram_range=(2, 5)), scaled),
    "words, 2-grams, hashed": counted(
        lambda: HashedNgrams(buckets=2**16, ngram_range=(1, 2), token_pattern=PATTERN)
    ),
}
METHODS = COUNTED | {name: averaged(train) for name, train in VECTORS.items()}
METHODS |= {name: network(cell) for name, cell in CELLS.items()}


# ---- figures -----------------------------------------------------------------------------------


def figures(table: Table, comparisons: Comparisons) -> dict[str, tuple[Figure, str]]:
    """Draw the table of methods, and dimension and accuracy against n."""
    return {"summary": _summary(table, comparisons), "ngrams": _ngrams(table)}


def median_of(table: Table, method: str, name: str) -> float:
    """Return the median over seeds of a result of a method."""
    return float(np.median(table.select({"task.method": method}).stack(name)))


def by_row(table: Table, comparisons: Comparisons) -> dict[str, Table]:
    """Return the members of each method, one per seed, by the name of its row.

    A method of two comparisons that chose other learning rates for it has a row for each.
    """
    rows: dict[str, Table] = {}
    there = table.values("task.method")
    for method in (name for name in METHODS if name in there):
        results = [r for r in comparisons.values() if method in (arm.name for arm in r.arms)]
        tuned = [result.arm(method).tuned for result in results]
        if all(values == tuned[0] for values in tuned):
            rows[method] = table.select({"task.method": method})
            continue
        for result in results:
            others = ", ".join(arm.name for arm in result.arms if arm.name != method)
            rows[f"{method}, against {others}"] = result.judged(table, method)
    return rows


COLUMNS = {  # result: (heading, format)
    "accuracy": ("accuracy", "{:.1%}"),
    "moved": ("other answer\nwords permuted", "{:.0%}"),
    "dimension": ("dimension", "{:,.0f}"),
    "per_review": ("not 0\nper text", "{:.0f}"),
    "parameters": ("parameters\nlearned", "{:,.0f}"),
    "mib": ("size, MiB", "{:.1f}"),
    "fit_s": ("training, s", "{:.2f}"),
    "predict_us": ("per text, µs", "{:.0f}"),
}


def _summary(table: Table, comparisons: Comparisons) -> tuple[Figure, str]:
    members = by_row(table, comparisons)
    rows = {
        row: [form.format(np.median(of.stack(name))) for name, (_, form) in COLUMNS.items()]
        for row, of in members.items()
    }
    figure = tables.draw([heading for heading, _ in COLUMNS.values()], rows)
    deviation = 100 * max(float(np.median(of.stack("deviation"))) for of in members.values())
    chance = float(np.median(next(iter(members.values())).stack("chance")))
    return figure, (
        "Accuracy and cost of each method; medians over seeds. Accuracy on the held-out texts, "
        f"known to ±{deviation:.1f} points (one standard deviation); the most frequent class has "
        f"{chance:.1%} of them. Sparse features are read by a logistic regression, timed without "
        "the choice of C; the first network of a kind is timed with its compilation, and its "
        "dimension is that of the state that is read."
    )


def _ngrams(table: Table) -> tuple[Figure, str]:
    figure, axes = plots.new_figure(1, 2, size=(9, 3.4))
    results = {
        n: table.select({"task.method": name})[0].result
        for name, n in NGRAMS.items()
        if len(table.select({"task.method": name}))
    }
    ns = list(results)
    for ax, name, factor, label, title in (
        (axes[0, 0], "dimension", 1, "distinct n-grams", "Dimension"),
        (axes[0, 1], "accuracy", 100, "accuracy, %", "n-grams of this n alone"),
    ):
        plots.title(ax, title)
        ax.plot(ns, [factor * r[name] for r in results.values()], "o-", color=plots.COLORS[1])
        ax.set(xlabel="$n$", xticks=ns, ylabel=label)
        ax.grid(alpha=0.2)
    axes[0, 0].set_ylim(0, None)
    return figure, (
        "Word n-grams of one n, weighted by TF-IDF: the number of distinct ones in the training "
        "texts, and their accuracy on the held-out ones."
    )


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


def order(table: Table, statement: str, source: str, seen: bool, *methods: str) -> Claim:
    """Claim that some answers change with the order of words, or that none does."""

    @claim(
        statement,
        source=f"the notes, {source}",
        holds_if=("some answers change" if seen else "no answer changes")
        + " when the words of the held-out texts are permuted",
        expected="holds",
        closed_form=not seen,
    )
    def moves(table: Table) -> tuple[bool, str]:
        shares = [table.select({"task.method": m}).stack("moved") for m in methods]
        moved = max(float(np.median(one) if seen else one.max()) for one in shares)
        return (moved > 0) == seen, f"{100 * moved:.3g}% of the answers change"

    return moves(table)


@claim(
    "Bag of words is high-dimensional and sparse",
    source="the notes, claim 1",
    holds_if="at least {dimension:,} dimensions, at most {density:.0%} of entries not 0",
    expected="holds",
    dimension=5_000,
    density=0.01,
)
def wide(table: Table, dimension: int, density: float) -> tuple[bool, str]:
    """Measure the dimension and density of bag of words."""
    size, share = (median_of(table, BAG, name) for name in ("dimension", "density"))
    return size >= dimension and share <= density, (
        f"{size:,.0f} dimensions, {share:.2%} of the entries not 0"
    )


@claim(
    "Common words dominate bag of words, and TF-IDF lowers them",
    source="the notes, claim 2",
    holds_if="the share of the {words} most common words in Σ|x| at most {most:g} of that before",
    expected="holds",
    most=0.5,
)
def lowered(table: Table, most: float, words: int) -> tuple[bool, str]:
    """Measure the share of common words before and after TF-IDF."""
    before, after, scikit_learn = (
        median_of(table, name, "common_share") for name in (BAG, NOTES, "TF-IDF, log and l2")
    )
    return after <= most * before, (
        f"the {words} most common words are {before:.0%} of bag of words, {after:.0%} of the "
        f"notes' TF-IDF, {scikit_learn:.0%} of scikit-learn's"
    )


@claim(
    "The dimension grows steeply with n",
    source="the notes, claim 5",
    holds_if="at least {least:g} times as many 2-grams as words, more 3-grams than 2-grams",
    expected="holds",
    least=2.0,
)
def steep(table: Table, least: float) -> tuple[bool, str]:
    """Measure the number of distinct n-grams."""
    sizes = {n: median_of(table, name, "dimension") for name, n in NGRAMS.items()}
    measured = ", ".join(f"n = {n}: {size:,.0f}" for n, size in sizes.items())
    return sizes[2] >= least * sizes[1] and sizes[3] > sizes[2], measured


@claim(
    "Word vectors are low-dimensional and hold most of the information in the words",
    source="the notes, claim 6",
    holds_if="each mean has at most {narrow:.0%} of the dimension of bag of words, and is above "
    "the share of the most frequent class by at least {most} of what bag of words is",
    expected="holds",
    narrow=0.02,
    most=Fraction(2, 3),
)
def low_dimensional(table: Table, narrow: float, most: Fraction) -> tuple[bool, str]:
    """Measure the dimension and accuracy of mean word vectors."""
    *sizes, largest = (median_of(table, name, "dimension") for name in (*VECTORS, BAG))
    *ours, theirs = (median_of(table, name, "accuracy") for name in (*VECTORS, BAG))
    chance = median_of(table, BAG, "chance")
    holds = max(sizes) <= narrow * largest
    holds = holds and min(ours) - chance >= float(most) * (theirs - chance)
    found = ", ".join(f"{name} {one:.1%}" for name, one in zip(VECTORS, ours, strict=True))
    return holds, (
        f"{max(sizes):,.0f} dimensions of {largest:,.0f}; {found}, {BAG} {theirs:.1%}, the most "
        f"frequent class {chance:.1%}"
    )


@claim(
    "FastText costs more than Word2Vec",
    source="the notes, claim 8",
    holds_if="training time above",
    expected="holds",
)
def slower(table: Table) -> tuple[bool, str]:
    """Measure the training times of word vectors."""
    ours, theirs = (median_of(table, name, "fit_s") for name in (FASTTEXT, WORD2VEC))
    return ours > theirs, f"FastText {ours:.1f} s, Word2Vec {theirs:.1f} s"


def claims(table: Table, comparisons: Comparisons) -> list[Claim]:
    """List the notes' claims 1, 2, 5, 6, 8, 17, 18, 20, and those on text classification (22)."""
    task: Any = ConfigDict(table[0].config["task"])
    count = f"{task.limit:,}" if task.limit else "all"
    texts = f"{count} {'texts' if task.path else 'reviews'} ({data_of(task)})"
    means = "Means of word vectors"

    def features(statement: str, source: str, a: str, b: str) -> Claim:
        def right(method: str) -> np.ndarray:
            return table.select({"task.method": method}).stack("right")[0]

        notes = f"the notes, {source}"
        return more_accurate(statement, right=right, answers=(a, b), margin=MARGIN, source=notes)

    def trained(statement: str, name: str, source: str, a: str, b: str) -> Claim:
        notes = f"the notes, {source}"
        return better(statement, comparisons=comparisons, name=name, arms=(a, b), source=notes)

    def ahead_of_words(statement: str, name: str, source: str, *arms: str) -> Claim:
        return beats(
            statement,
            table=table,
            comparisons=comparisons,
            name=name,
            arms=arms,
            score=lambda member: member.result["accuracy"],
            answer=lambda member: median_of(table, BAG, "accuracy"),
            words=("the mean accuracy", f"that of {BAG}"),
            source=f"the notes, {source}",
            expected="refuted",
            higher=True,
        )

    return [
        order(table, "Bag of words ignores order", "claim 1", False, BAG),
        wide(table),
        order(table, "N-grams keep local order", "claim 5", True, PAIRS),
        order(table, "A recurrent network reads in order", "claim 10", True, "LSTM"),
        lowered(table, words=COMMON),
        features("TF-IDF classifies better than bag of words", "1.2", NOTES, BAG),
        steep(table),
        features("Pairs of words classify better than words", "claim 5", PAIRS, SCALED),
        trained("An LSTM classifies better than a simple RNN", "cells", "claim 17", "LSTM", "RNN"),
        trained("A GRU classifies better than a simple RNN", "cells", "claim 18", "GRU", "RNN"),
        trained("Reading both ways classifies better", "ways", "claim 20", "Bi-RNN", "RNN"),
        ahead_of_words(
            f"An LSTM classifies better than bag of words, from {texts}",
            "cells",
            "claim 22",
            "LSTM",
        ),
        order(table, f"{means} ignore order", "claim 6: one vector per word", False, *VECTORS),
        low_dimensional(table),
        ahead_of_words(
            f"{means} classify better than bag of words", "vectors", "claim 6", *VECTORS
        ),
        trained(
            "FastText classifies better than Word2Vec", "vectors", "claim 8", FASTTEXT, WORD2VEC
        ),
        slower(table),
    ]
