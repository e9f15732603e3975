"""Speed of counting, TF-IDF, BM25 and n-grams against other tools, with the same output.

    rnnlab run --config=experiments/benchmarks/speed_sparse.py

Each row of the table is a contest: both sides do the same work on the same documents, their
outputs are compared, then they take turns in one process, each with all cores that it can use.
100,000 sentences of the movie reviews (packages of rnnlab[data]), 10 MB of text, 1.8M words. About
3 minutes on 2 cores with nothing else running.

Expected: bag of words and TF-IDF at least 3x as fast as scikit-learn (the aim is 5x), BM25's index
3x and its search 1x bm25s with numba, Kneser–Ney 50x nltk. Measured on 2 cores: bag of words 4.9x,
TF-IDF 5.2x, word 1- and 2-grams 5.6x; Kneser–Ney 74x; BM25's search 1.13x (1.05 to 1.19 over nine
turns).
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.sparse as sp
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from rnnlab.core import host
from rnnlab.core.validate import choice, whole
from rnnlab.lab.config import no_scale
from rnnlab.plotting import keys, plots
from rnnlab.results.claims import Claim, claim
from rnnlab.results.table import Table
from rnnlab.sparse.analysis import CsrArray
from rnnlab.sparse.bag_of_words import BagOfWords
from rnnlab.sparse.bm25 import BM25
from rnnlab.sparse.language_model import NgramLanguageModel
from rnnlab.sparse.tfidf import TfIdf
from rnnlab.text import corpora
from rnnlab.text.tokenizers import Whitespace

Config = Any  # an ml_collections.ConfigDict, whose attributes have no types
Output = Any  # of a contest: a matrix, an index, rankings or scores
Sides = tuple[Callable[[], Output], Callable[[], Output], Callable[[Output, Output], float]]
SAME = 1e-12  # largest difference of counts and TF-IDF, as a share of the largest value


@dataclass(frozen=True)
class Contest:
    """The same work by two sides.

    Args:
        against: name of the other side.
        build: config -> (ours, theirs, difference): two functions without arguments, and one of
            both their outputs that returns their difference.
        bound: required ratio of times, theirs over ours; None: shown only.
        same: largest difference allowed.
    """

    against: str
    build: Callable[[Config], Sides]
    bound: float | None = None
    same: float = SAME


def get_config(arg: str | None = None) -> ConfigDict:
    """Return the config, which has one scale only."""
    no_scale(arg)
    return ConfigDict(
        {
            "seed": 0,  # seed of the choice of sentences
            "task": {
                "contest": "bag of words",  # what both sides compute
                "documents": 100_000,  # texts that both sides read
            },
            "run": {
                "repeats": 3,  # timed turns of each side, after a first one that is checked
                "seconds_per_member": 30.0,
                "seconds_per_group": 0.0,
            },
        }
    ).lock()


def get_sweep(config: Config) -> dict[str, tuple[str, ...]]:
    """Return every contest."""
    del config
    return {"task.contest": tuple(CONTESTS)}


def check(config: Config) -> None:
    """Refuse unknown contests, and too few documents or turns."""
    choice("task.contest", config.task.contest, CONTESTS)
    whole("task.documents", config.task.documents)
    whole("run.repeats", config.run.repeats)


def run(config: Config, key: object, log: Callable[..., object]) -> dict[str, float]:
    """Check that both sides have the same output, then time them in turns."""
    del key
    contest = CONTESTS[config.task.contest]
    ours, theirs, difference_of = contest.build(config)
    difference = difference_of(ours(), theirs())
    if not difference <= contest.same:
        raise AssertionError(f"{config.task.contest}: the sides differ by {difference:.1e}")
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(config.run.repeats):
        for side, call in (("ours", ours), ("theirs", theirs)):
            start = time.perf_counter()
            call()
            seconds[side].append(time.perf_counter() - start)
    log(seconds=seconds)
    ratios = np.array(seconds["theirs"]) / np.array(seconds["ours"])
    return {
        "difference": difference,
        "ours_s": float(np.median(seconds["ours"])),
        "theirs_s": float(np.median(seconds["theirs"])),
        "ratio": float(np.median(ratios)),
        "ratio_low": float(ratios.min()),
        "ratio_high": float(ratios.max()),
    }


# ---- contests ----------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def sentences(documents: int, seed: int) -> list[str]:
    """Return sentences of the movie reviews, chosen at random."""
    every = [
        sentence
        for text in corpora.movie_reviews().texts
        for sentence in re.split(r"(?<=[.!?])\s+", text)
        if sentence.strip()
    ]
    chosen = np.random.default_rng(seed).permutation(len(every))[:documents]
    return [every[i] for i in chosen]


def relative_difference(ours: CsrArray, theirs: CsrArray) -> float:
    """Return max|a − b| / max|b| of two matrices, inf if they differ in shape or entries."""
    theirs = sp.csr_array(theirs)
    if ours.shape != theirs.shape or ours.nnz != theirs.nnz:
        return float("inf")
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def counts(share: float = 1.0, **options: Any) -> Callable[[Config], Sides]:
    """Count the features of a share of the sentences, against CountVectorizer."""

    def build(config: Config) -> Sides:
        from sklearn.feature_extraction.text import CountVectorizer

        texts = sentences(config.task.documents, config.seed)
        texts = texts[: max(1, int(share * len(texts)))]
        return (
            lambda: BagOfWords(**options).fit_transform(texts),
            lambda: CountVectorizer(**options).fit_transform(texts),
            relative_difference,
        )

    return build


def weights(config: Config) -> Sides:
    """Compute TF-IDF of the sentences, against TfidfVectorizer."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = sentences(config.task.documents, config.seed)
    return (
        lambda: TfIdf("count", "smooth", "l2").fit_transform(BagOfWords().fit_transform(texts)),
        lambda: TfidfVectorizer().fit_transform(texts),
        relative_difference,
    )


def _retrieval(config: Config) -> tuple[list[str], list[list[str]]]:
    """Return documents of five sentences each, and 3,000 queries of five words of one document."""
    texts = sentences(config.task.documents, config.seed)
    documents = [" ".join(texts[i : i + 5]) for i in range(0, len(texts), 5)]
    rng = np.random.default_rng(config.seed)
    words = [
        re.findall(r"\w+", documents[i].lower()) for i in rng.integers(0, len(documents), 3000)
    ]
    return documents, [list(rng.choice(tokens, 5).tolist()) for tokens in words if tokens]


def _their_index(documents: list[str]) -> Any:  # bm25s.BM25, an optional package
    import bm25s

    tokens = bm25s.tokenize(
        documents, stopwords=[], token_pattern=r"(?u)\b\w+\b", show_progress=False
    )
    index = bm25s.BM25(method="lucene", backend="numba")
    index.index(tokens, show_progress=False)
    return index


def _difference_of_scores(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def indexing(config: Config) -> Sides:
    """Tokenize and index, against bm25s; compared by the scores of one query."""
    documents, queries = _retrieval(config)
    return (
        lambda: BM25("lucene").fit(documents),
        lambda: _their_index(documents),
        lambda a, b: _difference_of_scores(a.scores(queries[0]), b.get_scores(queries[0])),
    )


def batch(config: Config) -> Sides:
    """Find the ten best of every query, with at most two threads, against bm25s with numba."""
    documents, queries = _retrieval(config)
    threads = min(2, host.cores())
    ours, theirs = BM25("lucene").fit(documents), _their_index(documents)
    return (
        lambda: ours.search(queries, 10, threads=threads),
        lambda: theirs.retrieve(queries, k=10, n_threads=threads, show_progress=False),
        lambda a, b: _difference_of_scores(a.scores, b.scores),
    )


def kneser_ney(config: Config) -> Sides:
    """Count trigrams of ten words per sentence and score ten of them, against nltk."""
    from nltk.lm import KneserNeyInterpolated
    from nltk.lm.preprocessing import padded_everygram_pipeline

    every = sentences(config.task.documents, config.seed)
    ends = np.cumsum([len(text.split()) for text in every])
    texts = every[: int(np.searchsorted(ends, 10 * config.task.documents)) + 1]
    words = [text.split() for text in texts[:100]]
    scored = [(tokens[3], tokens[1:3]) for tokens in words if len(tokens) > 3][:10]

    def theirs() -> np.ndarray:
        model = KneserNeyInterpolated(3, discount=0.1)
        model.fit(*padded_everygram_pipeline(3, [text.split() for text in texts]))
        return np.array([model.score(word, context) for word, context in scored])

    def ours() -> np.ndarray:
        model = NgramLanguageModel(3, "kneser_ney", discount=0.1, tokenizer=Whitespace())
        model.fit(texts)
        return np.array([model.score(word, context) for word, context in scored])

    return ours, theirs, _difference_of_scores


CONTESTS: dict[str, Contest] = {
    "bag of words": Contest("scikit-learn", counts(), bound=3.0),
    "TF-IDF": Contest("scikit-learn", weights, bound=3.0),
    "word 1- and 2-grams": Contest("scikit-learn", counts(ngram_range=(1, 2))),
    "character 2- to 4-grams, a fifth of them": Contest(
        "scikit-learn", counts(0.2, analyzer="char_wb", ngram_range=(2, 4))
    ),
    "BM25, tokenize and index": Contest("bm25s", indexing, bound=3.0, same=1e-5),
    "BM25, ten best of 3,000 queries": Contest("bm25s + numba", batch, bound=1.0, same=1e-5),
    "Kneser-Ney trigrams, 1M words": Contest("nltk", kneser_ney, bound=50.0, same=1e-9),
}


# ---- the figure --------------------------------------------------------------------------------


def figures(table: Table) -> dict[str, tuple[Figure, str]]:
    """Draw the times of both sides, and their ratio with the bound."""
    figure, axes = plots.new_figure(1, 2, size=(11, 0.8 + 0.8 * len(table)))
    times, ratios = axes[0]
    names = []
    for y, member in enumerate(table):
        name, result = member.config["task"]["contest"], member.result
        contest = CONTESTS[name]
        names.append(name)
        for at, side, words, color in (
            (y + 0.2, "theirs_s", contest.against, "#999999"),
            (y - 0.2, "ours_s", "rnnlab", plots.COLORS[1]),
        ):
            times.barh(at, result[side], color=color, height=0.36)
            plots.beside(times, result[side], at, f"{result[side]:.2f} s, {words}")
        ratios.barh(y, result["ratio"], color=plots.COLORS[1], height=0.5)
        ratios.plot([result["ratio_low"], result["ratio_high"]], [y, y], color="black", linewidth=1)
        keys.mark(ratios.lines[-1], "lowest to highest turn")
        ratios.text(0.1, y, f"{result['ratio']:.1f}x", color="white", va="center", fontsize=8)
        if contest.bound is not None:
            ratios.plot(
                [contest.bound] * 2, [y - 0.4, y + 0.4], color=plots.COLORS[2], linestyle="--"
            )
            ratios.text(
                contest.bound,
                y + 0.42,
                f"bound {contest.bound:g}",
                fontsize=8,
                color=plots.COLORS[2],
                ha="center",
                va="bottom",
            )
    for ax in (times, ratios):
        ax.set_yticks(range(len(names)), names)
        ax.set(ylim=(-0.6, len(names) - 0.2))
    ratios.set_yticklabels([])
    slowest = max(float(table.each(side).max()) for side in ("theirs_s", "ours_s"))
    times.set(xlabel="seconds", xlim=(0, 1.5 * slowest))
    ratios.set(xlabel="their time / ours", xlim=(0, None))
    plots.title(times, "Median time of a turn")
    plots.title(ratios, "Ratio of times")
    documents = table[0].config["task"]["documents"]
    return {
        "speed": (
            figure,
            f"The same work on {documents:,} sentences of movie reviews, with equal outputs. The "
            "thin line is the range over turns.",
        )
    }


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


@claim(
    "{name}: {bound:g} times as fast as {against}",
    source="rnnlab",
    holds_if="median ratio of times at least {bound:g}, equal outputs",
    expected="holds",
)
def faster(table: Table, name: str, contest: str, against: str, bound: float) -> tuple[bool, str]:
    """Measure the ratio of times in a contest."""
    chosen = table.select({"task.contest": contest})
    ratio = float(chosen.each("ratio").min())
    result = chosen[0].result
    return ratio >= bound, (
        f"{ratio:.1f}x ({result['ratio_low']:.1f} to {result['ratio_high']:.1f}): "
        f"{result['ours_s']:.2f} s against {result['theirs_s']:.2f} s; outputs equal to "
        f"{result['difference']:.0e}"
    )


def claims(table: Table) -> list[Claim]:
    """List the bounds of the contests."""
    return [
        faster(
            table,
            name=f"{name[0].upper()}{name[1:]}",
            contest=name,
            against=contest.against,
            bound=contest.bound,
        )
        for name, contest in CONTESTS.items()
        if contest.bound is not None
    ]
