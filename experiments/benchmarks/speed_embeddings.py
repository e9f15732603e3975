"""Training word vectors beside gensim and the C++ fastText: words per second, and quality.

    rnnlab run --config=experiments/benchmarks/speed_embeddings.py

Movie reviews, D = 100, window 5, 5 negatives, t = 1e-4; the sides take turns, ours from encoded
ids, gensim and fastText from a file of words. Needs rnnlab[data,fast] and gensim; the C++ fastText
takes part if the package `fasttext` is installed. About 2 minutes on 2 cores, one epoch of 4,000
reviews. ":quality" compares vectors, one thread per side: 10,000 reviews (2.3M words), 3 epochs, 5
seeds, 15 minutes of one core; ":full" has all the reviews, 5 epochs and 5 seeds.

Expected: skip-gram and FastText at least twice as fast as the other side with 2 workers, CBOW as
fast, and over 5 seeds Spearman's ρ at least gensim's − 0.01.

Result, on 2 otherwise idle cores (words/s) and by ":quality" (means; 17,532 words, which cover 260
of 353 and 895 of 999 pairs, 37% of the analogies):

    method     words/s: ours, gensim, C++   WordSim-353 (ours, gensim)  SimLex-999    analogies
    skip-gram           2.11M  0.53M         0.261, 0.216                0.177, 0.164  0.042, 0.040
    CBOW                5.26M  1.50M         0.106, 0.115                0.105, 0.094  0.018, 0.019
    FastText            0.52M  0.24M  0.14M  0.270, 0.277                0.170, 0.157  0.509, 0.517

That is 3.9, 3.5 and 3.8 times as fast, with one thread 2.9, 1.9 and 3.7 times. FastText's quality
is of the first three seeds; over five, outside this file, the mean of both sets is 0.219, gensim's
0.221.
"""

import importlib.util
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import ml_collections
import numpy as np

from rnnlab.core.errors import UserError
from rnnlab.embeddings import corpus as corpora
from rnnlab.embeddings import evaluation, trainer
from rnnlab.embeddings.vectors import Vectors
from rnnlab.lab.config import Config, scale, seeds
from rnnlab.lab.sweep import Sweep
from rnnlab.plotting import keys, plots
from rnnlab.results.claims import Claim, claim
from rnnlab.results.table import Table
from rnnlab.text.corpora import movie_reviews

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Result = dict[str, Any]  # of a member: numbers, by side where there are several
Model = Any  # of gensim or fastText

METHODS = {"skipgram": 2.0, "cbow": 1.0, "fasttext": 2.0}  # times as fast, at least
NAMES = {"skipgram": "skip-gram", "cbow": "CBOW", "fasttext": "FastText"}
TOOLS = {"fasttext": "fastText (C++)"}  # labels of sides, if not their names
SETS = ("wordsim353", "simlex999")
MEASURES = {
    "wordsim353": "ρ, WordSim-353",
    "simlex999": "ρ, SimLex-999",
    "analogies": "analogies answered",
}
SEEDS = 5  # that claims of quality need


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """Return the default; with "full" the whole corpus; with "quality" 5 seeds, one thread each."""
    asked = scale(arg, "full", "quality")
    full, quality = asked == "full", asked == "quality"
    for package in ("gensim", "numba"):
        if importlib.util.find_spec(package) is None:
            raise UserError(f"speed_embeddings needs {package}: pip install {package}")
    config = ml_collections.ConfigDict(
        {
            "seed": 0,
            "method": "skipgram",  # the variant that is trained
            "text": {
                "reviews": 0 if full else 10_000 if quality else 4000,  # film reviews read; 0: all
                "min_count": 5,  # occurrences that a word needs to have a vector
            },
            "training": {
                "size": 100,  # dimensions of a vector
                "window": 5,  # words on either side that are predicted, at most
                "negatives": 5,  # drawn words per predicted one
                "sample": 1e-4,  # share of the text above which a word is thinned out; 0: none
                "epochs": 5 if full else 3 if quality else 1,  # passes over the text
                # first step size; 0.05 needs fewer epochs
                "learning_rate": 0.05 if quality else 0.025,
                "buckets": 2_000_000 if full else 200_000,  # rows that n-grams share
            },
            "run": {
                # threads of the other sides; ours also runs with one (plus one that draws)
                "workers": 1 if quality else 2,
                "repeats": 1 if full or quality else 3,  # timed trainings of each side
                "seeds": SEEDS if full or quality else 1,
                "seconds_per_member": 1200.0 if full else 60.0 if quality else 50.0,
                "seconds_per_group": 10.0,
            },
        }
    )
    return config.lock()


def get_sweep(config: Config) -> Sweep:
    """Return methods x seeds."""
    return {"method": tuple(METHODS), "seed": seeds(config)}


def run(config: Config, key: jax.Array, log: Callable[..., None]) -> Result:
    """Time every side in turn; our side is compiled before the rounds."""
    del key
    texts = movie_reviews().texts[: config.text.reviews or None]
    corpus = corpora.of_documents(texts, min_count=config.text.min_count)
    words = corpus.tokens * config.training.epochs
    rates: dict[str, list[float]] = {}
    quality: dict[str, dict[str, float | None]] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "text"
        file.write_text("\n".join(_lines(corpus)), encoding="utf-8")
        calls = sides(config, corpus, str(file))
        _ours(config, corpora.of_documents(texts[:50], min_count=1), 1, 0)
        for repeat in range(config.run.repeats):
            for side, call in calls.items():
                seconds, vectors = call(config.seed)
                if repeat == 0:
                    quality[side] = scores(vectors)
                rates.setdefault(side, []).append(words / seconds)
                log(side=side, words_a_second=words / seconds)
    medians = {side: float(np.median(values)) for side, values in rates.items()}
    other = max(m for side, m in medians.items() if not side.startswith("rnnlab"))
    if config.method == "fasttext" and "fasttext" in medians:
        other = medians["fasttext"]  # the bar is the C++ tool's
    best = max(m for side, m in medians.items() if side.startswith("rnnlab"))
    return {
        "tokens": corpus.tokens,
        "vocabulary": len(corpus.vocabulary),
        "words_a_second": medians,
        "quality": quality,
        "ratio": best / other,
        "ratio_one_thread": medians["rnnlab, 1 thread"] / other,
    }


def _lines(corpus: corpora.Corpus) -> Iterator[str]:
    names = np.array(corpus.vocabulary.words(), object)
    part = corpus.read(0, corpus.tokens)
    for start, stop in zip(part.offsets[:-1], part.offsets[1:], strict=True):
        yield " ".join(names[part.ids[start:stop]])


def scores(vectors: Vectors) -> dict[str, float | None]:
    """Score vectors by word similarity and analogies.

    Returns:
        Spearman's ρ of each set, None if too few of its words are known, and the pairs scored;
        the share of analogies answered right, and the share whose words are known.
    """
    result: dict[str, float | None] = {}
    for name in SETS:
        try:
            similarity = evaluation.word_similarity(vectors, name)
        except ValueError:
            result[name], result[f"{name}_pairs"] = None, 0
            continue
        result[name], result[f"{name}_pairs"] = similarity.spearman, similarity.scored
    total = evaluation.analogies(vectors).total
    result["analogies"] = total.accuracy if total.asked else None
    result["analogies_coverage"] = total.coverage
    return result


# ---- the sides ---------------------------------------------------------------------------------

Side = Callable[[int], tuple[float, Vectors]]  # from a seed to seconds of training and vectors


def sides(config: Config, corpus: corpora.Corpus, file: str) -> dict[str, Side]:
    """Return the sides to time on the config's method."""
    workers = config.run.workers
    result: dict[str, Side] = {
        f"rnnlab, {n} thread{'s' if n > 1 else ''}": lambda seed, n=n: _ours(
            config, corpus, n, seed
        )
        for n in sorted({1, workers})
    }
    result["gensim"] = lambda seed: _gensim(config, file, seed)
    # with one thread the C++ tool fills only a tenth of its table of n-grams
    if config.method == "fasttext" and workers > 1 and importlib.util.find_spec("fasttext"):
        result["fasttext"] = lambda seed: _cpp(config, file)
    return result


def _ours(config: Config, corpus: corpora.Corpus, threads: int, seed: int) -> tuple[float, Vectors]:
    settings = trainer.Settings(**config.training.to_dict(), engine="numba", threads=threads)
    start = time.perf_counter()
    trained = trainer.train(config.method, corpus, settings, seed)
    return time.perf_counter() - start, Vectors.of(trained)


def _gensim(config: Config, file: str, seed: int) -> tuple[float, Vectors]:
    from gensim.models import FastText, Word2Vec

    t = config.training
    options = {
        "vector_size": t.size,
        "window": t.window,
        "negative": t.negatives,
        "sample": t.sample,
        "alpha": t.learning_rate,
        "min_count": config.text.min_count,
        "workers": config.run.workers,
        "sg": int(config.method != "cbow"),
        "seed": seed,
    }
    if config.method == "fasttext":
        options["bucket"] = t.buckets
    model: Model = (FastText if config.method == "fasttext" else Word2Vec)(**options)
    model.build_vocab(corpus_file=file)
    model.train(
        corpus_file=file,
        total_examples=model.corpus_count,
        epochs=t.epochs,
        total_words=model.corpus_total_words,
    )
    return model.total_train_time, Vectors(model.wv.index_to_key, model.wv.vectors)


def _cpp(config: Config, file: str) -> tuple[float, Vectors]:
    import fasttext  # pyright: ignore[reportMissingImports]

    t = config.training
    start = time.perf_counter()
    model: Model = fasttext.train_unsupervised(
        file,
        model="skipgram",
        dim=t.size,
        ws=t.window,
        neg=t.negatives,
        t=t.sample,
        epoch=t.epochs,
        lr=t.learning_rate,
        bucket=t.buckets,
        minCount=config.text.min_count,
        thread=config.run.workers,
        verbose=0,
    )
    seconds = time.perf_counter() - start  # including its vocabulary: the tool has one call
    words = [word for word in model.get_words() if word != "</s>"]
    return seconds, Vectors(words, np.stack([model.get_word_vector(word) for word in words]))


# ---- the figure --------------------------------------------------------------------------------


def figures(table: Table) -> "dict[str, tuple[Figure, str]]":
    """Draw words per second of every side, and the quality of its vectors by seed."""
    return {"speed": _speed(table), "quality": _quality(table)}


def _by_method(table: Table) -> dict[str, list[Result]]:
    by_method = {
        method: [m.result for m in table if m.config["method"] == method] for method in METHODS
    }
    return {method: results for method, results in by_method.items() if results}


def _speed(table: Table) -> "tuple[Figure, str]":
    methods = _by_method(table)
    figure, axes = plots.new_figure(len(methods), 1, size=(9, 0.4 + 1.7 * len(methods)))
    for ax, (method, results) in zip(axes[:, 0], methods.items(), strict=True):
        plots.title(ax, NAMES[method])
        names = list(results[0]["words_a_second"])
        for y, side in enumerate(names):
            rate = float(np.median([r["words_a_second"][side] for r in results])) / 1e6
            ax.barh(y, rate, color=_color(side), height=0.7)
            ax.text(rate, y, f" {rate:.2f}M", va="center", fontsize=8, in_layout=False)
        most = max(max(r["words_a_second"].values()) for r in results) / 1e6
        ax.set_yticks(range(len(names)), [TOOLS.get(side, side) for side in names])
        ax.set(xlim=(0, 1.15 * most), ylim=(len(names) - 0.5, -0.5))
    axes[-1, 0].set_xlabel("million words of the corpus per second, subsampled words included")
    workers = table[0].config["run"]["workers"]
    return figure, f"Training only; the other sides with {workers} workers. Medians."


def _color(side: str) -> str:
    return plots.COLORS[1] if side.startswith("rnnlab") else "#999999"


def _quality(table: Table) -> "tuple[Figure, str]":
    rows = [(m, side, r) for m, r in _by_method(table).items() for side in r[0]["quality"]]
    labels = [f"{NAMES[method]}: {TOOLS.get(side, side)}" for method, side, _ in rows]
    figure, axes = plots.new_figure(1, len(MEASURES), size=(12, 1 + 0.32 * len(rows)))
    for ax, (name, words) in zip(axes[0], MEASURES.items(), strict=True):
        for y, (_, side, results) in enumerate(rows):
            values = [r["quality"][side][name] for r in results]
            values = [value for value in values if value is not None]
            ax.plot(values, [y] * len(values), "o", color=_color(side), markersize=3, alpha=0.6)
            keys.mark(ax.lines[-1], "a seed")
            if values:
                ax.plot(np.mean(values), y, "|", color="black", markersize=12)
                keys.mark(ax.lines[-1], "mean")
        ax.set_yticks(range(len(rows)), labels)
        ax.tick_params(labelleft=ax is axes[0, 0])
        ax.set(xlabel=words, ylim=(len(rows) - 0.5, -0.5))
    epochs, count = table[0].config["training"]["epochs"], table[0].config["run"]["seeds"]
    coverage = np.mean(
        [s["analogies_coverage"] for *_, r in rows for s in r[0]["quality"].values()]
    )
    return figure, (
        f"{count} seed{'s' if count > 1 else ''} (dots; bar: mean), epochs: {epochs}; of the "
        f"analogies {coverage:.0%} have only known words."
        + ("" if count >= SEEDS else " Training is too short to compare the sides.")
    )


def spearman(results: Sequence[Result], side: str) -> float:
    """Return the mean ρ over both sets and all seeds; NaN if a set has no known pairs."""
    values = [r["quality"][side][name] for r in results for name in SETS]
    return float(np.mean([np.nan if value is None else value for value in values]))


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


AGAINST = {"skipgram": "gensim", "cbow": "gensim", "fasttext": "the C++ fastText, or gensim"}


@claim(
    "{method} trains at least {bound:g} times as fast as {against}",
    source="rnnlab",
    holds_if="words per second, median over rounds, ratio at least {bound:g}",
    expected="holds",
)
def faster(table: Table, method: str, bound: float) -> tuple[bool, str]:
    """Compare the speed of a method with that of the other side."""
    chosen = table.select({"method": method})
    ratio = float(np.median(chosen.stack("ratio")))
    one = float(np.median(chosen.stack("ratio_one_thread")))
    return ratio >= bound, f"{ratio:.2f}x, with one thread {one:.2f}x"


@claim(
    "{method}'s vectors are as good as gensim's",
    source="rnnlab",
    holds_if="Spearman's ρ, mean of WordSim-353, SimLex-999 and {seeds} seeds or more, at least "
    "gensim's - {margin}",
    expected="holds",
    seeds=SEEDS,
    margin=0.01,
)
def as_good(table: Table, method: str, margin: float) -> tuple[bool, str]:
    """Compare Spearman's ρ of a method with that of gensim."""
    table.select({"method": method}).stack("ratio")  # undecided if there is none
    results = _by_method(table)[method]
    rho = {side: spearman(results, side) for side in results[0]["quality"]}
    ours = min(value for side, value in rho.items() if side.startswith("rnnlab"))
    words = ", ".join(f"{side} {value:.3f}" for side, value in rho.items())
    return ours >= rho["gensim"] - margin, f"mean ρ: {words}"


def claims(table: Table) -> list[Claim]:
    """List the claims of speed and, with enough seeds, those of quality."""
    result = [
        faster(table, method=method, bound=bound, against=AGAINST[method])
        for method, bound in METHODS.items()
    ]
    if len(table) and table[0].config["run"]["seeds"] >= SEEDS:
        result += [as_good(table, method=method) for method in METHODS]
    return result
