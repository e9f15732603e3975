"""Speed of counting, TF-IDF, BM25 and n-grams beside other tools, with the same output.

    rnnlab run --config=experiments/benchmarks/speed_sparse.py

Each row of the table is a contest: all sides do the same work on the same documents, their outputs
are compared, then each runs alone in a process of its own, in turns, with all cores that it can
use; searches have two threads at most. bm25s searches with numba, by one thread and by two, and its
faster way counts. 100,000 sentences of the movie reviews (packages of rnnlab[data]), 10 MB of text,
1.8M words. About 5 minutes on 2 cores with nothing else running; ":full" has the contests without
a bound too (counts of 1- and 2-grams and of characters) and starts new processes each round, 20
minutes.

Bounds: bag of words and TF-IDF 3.5x as fast as scikit-learn, BM25's index 4x and its search 1.2x
bm25s with numba, Kneser–Ney 50x nltk.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from rnnlab.core import host
from rnnlab.core.validate import choice, whole
from rnnlab.lab import benchmark
from rnnlab.lab.benchmark import Side, Timed
from rnnlab.lab.config import Config, scale
from rnnlab.plotting import plots, speed_bars
from rnnlab.plotting.speed_bars import Bar
from rnnlab.results import speed
from rnnlab.results.claims import Claim, claim
from rnnlab.results.table import Member, Table
from rnnlab.sparse.bag_of_words import BagOfWords
from rnnlab.sparse.bm25 import BM25
from rnnlab.sparse.language_model import NgramLanguageModel
from rnnlab.sparse.tfidf import TfIdf
from rnnlab.text import corpora
from rnnlab.text.tokenizers import Whitespace

Make = Callable[[Config, list[str]], Timed]  # of the sentences
SAME = 1e-12  # largest difference of counts and TF-IDF, as a share of the largest value
OURS = "rnnlab"


@dataclass(frozen=True)
class Contest:
    """The same work by several sides.

    Args:
        ours: makes our side. theirs: the other tool's ways, by name.
        packages: of the other tool.
        bound: required ratio of times, their fastest way's over ours; None: shown only.
        same: largest difference allowed.
    """

    ours: Make
    theirs: Mapping[str, Make]
    packages: tuple[str, ...]
    bound: float | None = None
    same: float = field(default=SAME, kw_only=True)


def get_config(arg: str | None = None) -> ConfigDict:
    """Return the config; with "full" every contest, in new processes each round."""
    full = scale(arg) == "full"
    rounds, seconds = 5, 3.0 if full else 0.5
    turn = 12.0 if full else 3.0
    expected = benchmark.estimate(sides=2.2, rounds=rounds, turn=turn, start=8.0)
    return ConfigDict(
        {
            "seed": 0,  # seed of the choice of sentences
            "task": {
                "contest": "bag of words",  # what all sides compute
                "documents": 100_000,  # texts that all sides read
            },
            "run": {
                "full": full,  # whether all is measured, in new processes each round
                "rounds": rounds,  # in each of which every side has a turn in its process
                "seconds": seconds,  # for which a turn times its calls, back to back
                "seconds_per_member": expected,
                "seconds_per_group": 0.0,
            },
        }
    ).lock()


def get_sweep(config: Config) -> dict[str, tuple[str, ...]]:
    """Return the contests that have a bound, or all of them."""
    names = [name for name, contest in CONTESTS.items() if config.run.full or contest.bound]
    return {"task.contest": tuple(names)}


def check(config: Config) -> None:
    """Refuse unknown contests, too few documents or rounds, and a missing package."""
    choice("task.contest", config.task.contest, CONTESTS)
    whole("task.documents", config.task.documents)
    benchmark.check(config, *CONTESTS[config.task.contest].packages)


def run(config: Config, key: object, log: Callable[..., object]) -> dict[str, object]:
    """Check that all sides have the same output, then time them."""
    del key
    return benchmark.measure(sides, config, log, prepare=prepare, renew=config.run.full)


# ---- contests ----------------------------------------------------------------------------------


def prepare(config: Config, folder: Path) -> None:
    """Write sentences of the movie reviews, chosen at random."""
    every = [
        sentence
        for text in corpora.movie_reviews().texts
        for sentence in re.split(r"(?<=[.!?])\s+", text)
        if sentence.strip()
    ]
    order = np.random.default_rng(config.seed).permutation(len(every))[: config.task.documents]
    sentences = json.dumps([every[i] for i in order])
    (folder / "sentences.json").write_text(sentences, encoding="utf-8")


def sides(config: Config, folder: Path) -> dict[str, Side]:
    """Return the sides of the config's contest."""
    contest = CONTESTS[config.task.contest]

    def made(make: Make) -> Timed:
        text = (folder / "sentences.json").read_text(encoding="utf-8")
        return make(config, json.loads(text))

    ours = {OURS: Side(partial(made, contest.ours), tolerance=contest.same)}
    return ours | {
        name: Side(
            partial(made, make),
            packages=contest.packages,
            tolerance=contest.same,
            way_of=contest.packages[0] if contest.packages else None,
        )
        for name, make in contest.theirs.items()
    }


def matrix(output: Any) -> dict[str, np.ndarray]:
    """Return the parts of a sparse matrix, for the comparison."""
    found = sp.csr_array(output, copy=True)
    found.sort_indices()
    parts = {"data": found.data, "indices": found.indices, "indptr": found.indptr}
    return parts | {"shape": np.array(found.shape)}


def share_of(texts: list[str], share: float) -> list[str]:
    """Return a share of the sentences."""
    return texts[: max(1, int(share * len(texts)))]


def our_counts(share: float = 1.0, **options: Any) -> Make:
    """Count the features of a share of the sentences."""

    def make(config: Config, texts: list[str]) -> Timed:
        del config
        some = share_of(texts, share)
        return Timed(lambda: BagOfWords(**options).fit_transform(some), outputs=matrix)

    return make


def sklearn_counts(share: float = 1.0, **options: Any) -> Make:
    """Count by CountVectorizer."""

    def make(config: Config, texts: list[str]) -> Timed:
        from sklearn.feature_extraction.text import CountVectorizer

        del config
        some = share_of(texts, share)
        return Timed(lambda: CountVectorizer(**options).fit_transform(some), outputs=matrix)

    return make


def our_weights(config: Config, texts: list[str]) -> Timed:
    """Compute TF-IDF of the sentences."""
    del config

    def call() -> Any:
        return TfIdf("count", "smooth", "l2").fit_transform(BagOfWords().fit_transform(texts))

    return Timed(call, outputs=matrix)


def sklearn_weights(config: Config, texts: list[str]) -> Timed:
    """Compute TF-IDF by TfidfVectorizer."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    del config
    return Timed(lambda: TfidfVectorizer().fit_transform(texts), outputs=matrix)


def retrieval(config: Config, texts: list[str]) -> tuple[list[str], list[list[str]]]:
    """Return documents of five sentences each, and 3,000 queries of five words of one document."""
    documents = [" ".join(texts[i : i + 5]) for i in range(0, len(texts), 5)]
    rng = np.random.default_rng(config.seed)
    words = [
        re.findall(r"\w+", documents[i].lower()) for i in rng.integers(0, len(documents), 3000)
    ]
    return documents, [list(rng.choice(tokens, 5).tolist()) for tokens in words if tokens]


def their_index(documents: list[str]) -> Any:  # bm25s.BM25, an optional package
    """Tokenize and index by bm25s."""
    import bm25s

    tokens = bm25s.tokenize(
        documents, stopwords=[], token_pattern=r"(?u)\b\w+\b", show_progress=False
    )
    index = bm25s.BM25(method="lucene", backend="numba")
    index.index(tokens, show_progress=False)
    return index


def our_indexing(config: Config, texts: list[str]) -> Timed:
    """Tokenize and index; compared by the scores of one query."""
    documents, queries = retrieval(config, texts)
    return Timed(
        lambda: BM25("lucene").fit(documents), outputs=lambda index: index.scores(queries[0])
    )


def their_indexing(config: Config, texts: list[str]) -> Timed:
    """Tokenize and index by bm25s; compared by the scores of one query."""
    documents, queries = retrieval(config, texts)
    return Timed(lambda: their_index(documents), outputs=lambda index: index.get_scores(queries[0]))


def our_search(config: Config, texts: list[str]) -> Timed:
    """Find the ten best of every query, with at most two threads."""
    documents, queries = retrieval(config, texts)
    index, threads = BM25("lucene").fit(documents), min(2, host.cores())
    return Timed(
        lambda: index.search(queries, 10, threads=threads), outputs=lambda found: found.scores
    )


def their_search(threads: int) -> Make:
    """Find the ten best of every query by bm25s with numba."""

    def make(config: Config, texts: list[str]) -> Timed:
        documents, queries = retrieval(config, texts)
        index = their_index(documents)
        return Timed(
            lambda: index.retrieve(queries, k=10, n_threads=threads, show_progress=False),
            outputs=lambda found: found.scores,
        )

    return make


def million(config: Config, texts: list[str]) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Return texts of ten words per sentence, and ten (word, context) to score."""
    ends = np.cumsum([len(text.split()) for text in texts])
    some = texts[: int(np.searchsorted(ends, 10 * config.task.documents)) + 1]
    words = [text.split() for text in some[:100]]
    return some, [(tokens[3], tokens[1:3]) for tokens in words if len(tokens) > 3][:10]


def our_kneser_ney(config: Config, texts: list[str]) -> Timed:
    """Count trigrams and score ten of them."""
    some, scored = million(config, texts)

    def call() -> np.ndarray:
        model = NgramLanguageModel(3, "kneser_ney", discount=0.1, tokenizer=Whitespace())
        model.fit(some)
        return np.array([model.score(word, context) for word, context in scored])

    return Timed(call)


def nltk_kneser_ney(config: Config, texts: list[str]) -> Timed:
    """Count trigrams and score ten of them by nltk."""
    from nltk.lm import KneserNeyInterpolated
    from nltk.lm.preprocessing import padded_everygram_pipeline

    some, scored = million(config, texts)

    def call() -> np.ndarray:
        model = KneserNeyInterpolated(3, discount=0.1)
        model.fit(*padded_everygram_pipeline(3, [text.split() for text in some]))
        return np.array([model.score(word, context) for word, context in scored])

    return Timed(call)


SKLEARN, BM25S = ("sklearn",), ("bm25s", "numba")
WORD_PAIRS: dict[str, Any] = {"ngram_range": (1, 2)}
CHARACTERS: dict[str, Any] = {"analyzer": "char_wb", "ngram_range": (2, 4)}
CONTESTS: dict[str, Contest] = {
    "bag of words": Contest(our_counts(), {"scikit-learn": sklearn_counts()}, SKLEARN, 3.5),
    "TF-IDF": Contest(our_weights, {"scikit-learn": sklearn_weights}, SKLEARN, 3.5),
    "word 1- and 2-grams": Contest(
        our_counts(**WORD_PAIRS), {"scikit-learn": sklearn_counts(**WORD_PAIRS)}, SKLEARN
    ),
    "character 2- to 4-grams, a fifth of them": Contest(
        our_counts(0.2, **CHARACTERS), {"scikit-learn": sklearn_counts(0.2, **CHARACTERS)}, SKLEARN
    ),
    "BM25, tokenize and index": Contest(
        our_indexing, {"bm25s": their_indexing}, BM25S, 4.0, same=1e-5
    ),
    "BM25, ten best of 3,000 queries": Contest(
        our_search,
        {"bm25s, numba, 2 threads": their_search(2), "bm25s, numba, 1 thread": their_search(1)},
        BM25S,
        1.2,
        same=1e-5,
    ),
    "Kneser-Ney trigrams, 1M words": Contest(
        our_kneser_ney, {"nltk": nltk_kneser_ney}, ("nltk",), 50.0, same=1e-9
    ),
}


def best(member: Member) -> str:
    """Name the other tool's fastest way."""
    return speed.fastest(member, CONTESTS[member.config["task"]["contest"]].theirs)


# ---- the figure --------------------------------------------------------------------------------


def figures(table: Table) -> dict[str, tuple[Figure, str]]:
    """Draw the times of all sides, and the ratio of the fastest other way with the bound."""
    figure, axes = plots.new_figure(1, 2, size=(11, 0.8 + 0.8 * len(table)))
    rows = [(member.config["task"]["contest"], member) for member in table]

    def bars(member: Member) -> list[Bar]:
        others = CONTESTS[member.config["task"]["contest"]].theirs
        return [Bar(OURS, OURS, speed_bars.OURS)] + [
            Bar(name, name, speed_bars.OTHERS) for name in others
        ]

    speed_bars.times(axes[0, 0], rows, bars, speed.ONLY)
    compared = [
        (name, speed.ratio(member, best(member), OURS), CONTESTS[name].bound)
        for name, member in rows
    ]
    speed_bars.ratios(axes[0, 1], compared, "their time / ours")
    axes[0, 1].set_yticklabels([])
    plots.title(axes[0, 0], "Median time")
    plots.title(axes[0, 1], "Ratio of times")
    documents = table[0].config["task"]["documents"]
    return {
        "speed": (
            figure,
            f"The same work on {documents:,} sentences of movie reviews, with equal outputs. Lines "
            f"are 95% intervals. {speed.conditions(list(table))}",
        )
    }


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


@claim(
    "{name}: {bound:g} times as fast as {against}",
    source="rnnlab",
    holds_if="95% interval of the ratio of times at or above {bound:g}, equal outputs",
    expected="holds",
)
def faster(table: Table, contest: str, bound: float) -> tuple[bool, str]:
    """Measure the ratio of times in a contest."""
    members = table.select({"task.contest": contest})
    members.stack("unsteady")  # undecided if there is none
    ratios = {f"seed {m.config['seed']}": speed.ratio(m, best(m), OURS) for m in members}
    only = next(iter(ratios.values()))
    holds, words = speed.at_least(ratios if len(ratios) > 1 else only, bound, list(members))
    member = members[0]
    other = best(member)
    ours, theirs = (speed_bars.milliseconds(speed.median(member, side)) for side in (OURS, other))
    off = member.result["difference"][speed.ONLY][other]
    return holds, f"{words}: {ours} against {theirs} ({other}); outputs equal to {off:.0e}"


def claims(table: Table) -> list[Claim]:
    """List the bounds of the contests."""
    return [
        faster(
            table,
            name=f"{name[0].upper()}{name[1:]}",
            contest=name,
            against=contest.packages[0].replace("sklearn", "scikit-learn"),
            bound=contest.bound,
        )
        for name, contest in CONTESTS.items()
        if contest.bound is not None
    ]
