"""Counting, TF-IDF and n-grams beside the tools people use, on real sentences: same output, time.

    rnnlab run --config=experiments/benchmarks/speed_sparse.py

Each row of the table is a contest: both sides do the same work on the same documents, their
outputs are held against each other, then they take turns in one process, each with all cores it
can use. 100,000 sentences of the movie reviews (packages of rnnlab[data]), 10 MB of text, 1.8M
words. About 3 minutes on 2 cores with nothing else running.

Expected: bag of words and TF-IDF at least 3x as fast as scikit-learn (5x is aimed at), BM25's index
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

import ml_collections
import numpy as np
import scipy.sparse as sp

from rnnlab.core import host
from rnnlab.core.errors import unknown
from rnnlab.plotting import plots
from rnnlab.results.claims import Claim
from rnnlab.results.table import Table
from rnnlab.sparse.bag_of_words import BagOfWords
from rnnlab.sparse.bm25 import BM25
from rnnlab.sparse.language_model import NgramLanguageModel
from rnnlab.sparse.tfidf import TfIdf
from rnnlab.text import corpora
from rnnlab.text.tokenizers import Whitespace

SAME = 1e-12  # of counts and TF-IDF: the largest difference, as a share of the largest value


@dataclass(frozen=True)
class Contest:
    """The same work by two sides.

    Args:
        against: who the other side is.
        build: config -> (ours, theirs, difference): two functions without arguments, and one of
            both their results that says how far these are apart.
        bound: how many times as fast we must be; None: shown only.
        same: the difference allowed.
    """

    against: str
    build: Callable[[Any], tuple[Callable[[], Any], Callable[[], Any], Callable[[Any, Any], float]]]
    bound: float | None = None
    same: float = SAME


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """One scale only."""
    if arg not in (None, ""):
        raise ValueError(f"speed_sparse.py takes no argument, got {arg!r}")
    config = ml_collections.ConfigDict(
        {
            "seed": 0,  # of the choice of sentences
            "task": {"contest": "bag of words", "documents": 100_000},
            "run": {
                "repeats": 3,  # timed turns of each side, after one that is checked
                "seconds_per_member": 30.0,
                "seconds_per_group": 0.0,
            },
        }
    )
    return config.lock()


def get_sweep(config: Any) -> dict[Any, Any]:
    """Every contest."""
    del config
    return {"task.contest": tuple(CONTESTS)}


def check(config: Any) -> None:
    """Refuse contests that there are not, and too few documents or turns."""
    if config.task.contest not in CONTESTS:
        raise ValueError(unknown("task.contest", config.task.contest, CONTESTS))
    for name, value in (
        ("task.documents", config.task.documents),
        ("run.repeats", config.run.repeats),
    ):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


def run(config: Any, key: Any, log: Any) -> dict[str, Any]:
    """Check that both sides do the same, then time them turn and turn about."""
    del key
    contest = CONTESTS[config.task.contest]
    ours, theirs, difference = contest.build(config)
    apart = difference(ours(), theirs())
    if not apart <= contest.same:
        raise AssertionError(f"{config.task.contest}: the sides differ by {apart:.1e}")
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(config.run.repeats):
        for side, call in (("ours", ours), ("theirs", theirs)):
            start = time.perf_counter()
            call()
            seconds[side].append(time.perf_counter() - start)
    log(seconds=seconds)
    ratios = np.array(seconds["theirs"]) / np.array(seconds["ours"])
    return {
        "difference": apart,
        "ours_s": float(np.median(seconds["ours"])),
        "theirs_s": float(np.median(seconds["theirs"])),
        "ratio": float(np.median(ratios)),
        "ratio_low": float(ratios.min()),
        "ratio_high": float(ratios.max()),
    }


# ---- contests ----------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def sentences(documents: int, seed: int) -> list[str]:
    """So many sentences of the movie reviews, chosen at random."""
    found = [
        sentence
        for text in corpora.movie_reviews().texts
        for sentence in re.split(r"(?<=[.!?])\s+", text)
        if sentence.strip()
    ]
    chosen = np.random.default_rng(seed).permutation(len(found))[:documents]
    return [found[i] for i in chosen]


def apart(ours: Any, theirs: Any) -> float:
    """max|a − b| / max|b| of two sparse matrices; inf where they differ in shape or entries."""
    theirs = sp.csr_array(theirs)
    if ours.shape != theirs.shape or ours.nnz != theirs.nnz:
        return float("inf")
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def counts(share: float = 1.0, **options: Any) -> Any:
    """Counting the features of the sentences, against CountVectorizer."""

    def build(config: Any) -> Any:
        from sklearn.feature_extraction.text import CountVectorizer

        texts = sentences(config.task.documents, config.seed)
        texts = texts[: max(1, int(share * len(texts)))]
        return (
            lambda: BagOfWords(**options).fit_transform(texts),
            lambda: CountVectorizer(**options).fit_transform(texts),
            apart,
        )

    return build


def weights(config: Any) -> Any:
    """TF-IDF of the sentences, against TfidfVectorizer."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = sentences(config.task.documents, config.seed)
    return (
        lambda: TfIdf("count", "smooth", "l2").fit_transform(BagOfWords().fit_transform(texts)),
        lambda: TfidfVectorizer().fit_transform(texts),
        apart,
    )


def _retrieval(config: Any) -> tuple[list[str], list[list[str]]]:
    """A fifth of the sentences, each with its five neighbors as one document; 3,000 queries."""
    texts = sentences(config.task.documents, config.seed)
    documents = [" ".join(texts[i : i + 5]) for i in range(0, len(texts), 5)]
    rng = np.random.default_rng(config.seed)
    words = [
        re.findall(r"\w+", documents[i].lower()) for i in rng.integers(0, len(documents), 3000)
    ]
    return documents, [list(rng.choice(own, 5).tolist()) for own in words if own]


def _their_index(documents: list[str]) -> Any:
    import bm25s

    tokens = bm25s.tokenize(
        documents, stopwords=[], token_pattern=r"(?u)\b\w+\b", show_progress=False
    )
    index = bm25s.BM25(method="lucene", backend="numba")
    index.index(tokens, show_progress=False)
    return index


def _apart_in_scores(ours: Any, theirs: Any) -> float:
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def indexing(config: Any) -> Any:
    """Tokenizing and indexing, against bm25s; held against each other by a query's scores."""
    documents, queries = _retrieval(config)
    return (
        lambda: BM25("lucene").fit(documents),
        lambda: _their_index(documents),
        lambda a, b: _apart_in_scores(a.scores(queries[0]), b.get_scores(queries[0])),
    )


def batch(config: Any) -> Any:
    """The ten best of every query, two threads (where two cores are), against bm25s with numba."""
    documents, queries = _retrieval(config)
    threads = min(2, host.cores())
    ours, theirs = BM25("lucene").fit(documents), _their_index(documents)
    return (
        lambda: ours.search(queries, 10, threads=threads),
        lambda: theirs.retrieve(queries, k=10, n_threads=threads, show_progress=False),
        lambda a, b: _apart_in_scores(a.scores, b.scores),
    )


def kneser_ney(config: Any) -> Any:
    """Trigrams of ten times as many words as there are sentences counted, ten scored: nltk."""
    from nltk.lm import KneserNeyInterpolated
    from nltk.lm.preprocessing import padded_everygram_pipeline

    found = sentences(config.task.documents, config.seed)
    ends = np.cumsum([len(text.split()) for text in found])
    texts = found[: int(np.searchsorted(ends, 10 * config.task.documents)) + 1]
    words = [text.split() for text in texts[:100]]
    asked = [(own[3], own[1:3]) for own in words if len(own) > 3][:10]

    def theirs() -> np.ndarray:
        model = KneserNeyInterpolated(3, discount=0.1)
        model.fit(*padded_everygram_pipeline(3, [text.split() for text in texts]))
        return np.array([model.score(word, context) for word, context in asked])

    def ours() -> np.ndarray:
        model = NgramLanguageModel(3, "kneser_ney", discount=0.1, tokenizer=Whitespace())
        model.fit(texts)
        return np.array([model.score(word, context) for word, context in asked])

    return ours, theirs, _apart_in_scores


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


def figures(table: Table) -> dict[str, Any]:
    """Times of both sides, and their ratio with the bound."""
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
    slowest = max(float(table.stack(side).max()) for side in ("theirs_s", "ours_s"))
    times.set(xlabel="seconds", xlim=(0, 1.5 * slowest))
    ratios.set(xlabel="their time / ours", xlim=(0, None))
    plots.title(times, "Medians of turns")
    plots.title(ratios, "How many times as fast")
    documents = table[0].config["task"]["documents"]
    return {
        "speed": (
            figure,
            f"The same work on {documents:,} sentences of movie reviews, the outputs equal. The "
            "thin line is the range over turns.",
        )
    }


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


def claims(table: Table) -> list[Claim]:
    """The bounds."""

    def faster(name: str, bound: float) -> Any:
        def measured() -> tuple[bool, str]:
            chosen = table.select({"task.contest": name})
            ratio = float(chosen.stack("ratio").min())
            result = chosen[0].result
            return ratio >= bound, (
                f"{ratio:.1f}x ({result['ratio_low']:.1f} to {result['ratio_high']:.1f}): "
                f"{result['ours_s']:.2f} s against {result['theirs_s']:.2f} s; outputs equal to "
                f"{result['difference']:.0e}"
            )

        return measured

    return [
        Claim(
            f"{name[0].upper()}{name[1:]}: {contest.bound:g} times as fast as {contest.against}",
            "rnnlab",
            f"median ratio of times at least {contest.bound:g}, equal outputs",
            "holds",
            faster(name, contest.bound),
        )
        for name, contest in CONTESTS.items()
        if contest.bound is not None
    ]
