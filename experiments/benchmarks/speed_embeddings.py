"""Word vectors trained beside gensim and the C++ fastText: words a second, and how good they are.

    rnnlab run --config=experiments/benchmarks/speed_embeddings.py

Movie reviews, D = 100, window 5, 5 negatives, t = 1e-4, both sides in turn, from ids that are ready
(gensim and fastText from a file of words). Needs rnnlab[data,fast] and gensim; fastText's own tool
takes part if the package `fasttext` is there. About 2 minutes on 2 cores, one epoch of 4,000
reviews. ":quality" compares what is learned, one thread a side: 10,000 reviews (2.3M words), 3
epochs, 5 seeds, 15 minutes of one core; ":full" has all the reviews, 5 epochs and 5 seeds.

Expected: skip-gram and FastText at least twice as fast as the other side with 2 workers, CBOW as
fast, and over 5 seeds Spearman's ρ at least gensim's − .01.

Found, on 2 cores that did nothing else (words/s) and by ":quality" (means; 17,532 words, which
cover 260 of 353 and 895 of 999 pairs, 37% of the analogies):

    method     words/s: ours, gensim, C++   WordSim-353 (ours, gensim)  SimLex-999   analogies
    skip-gram           2.11M   .53M         .261, .216                  .177, .164   .042, .040
    CBOW                5.26M  1.50M         .106, .115                  .105, .094   .018, .019
    FastText             .52M   .24M  .14M   .270, .277                  .170, .157   .509, .517

So 3.9, 3.5 and 3.8 times as fast, with one thread 2.9, 1.9 and 3.7 times. FastText's quality is of
the first three seeds; over five, outside this file: the mean of both sets .219, gensim's .221.
"""

import importlib.util
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ml_collections
import numpy as np

from rnnlab.core.errors import UserError
from rnnlab.embeddings import corpus as corpora
from rnnlab.embeddings import evaluation, trainer
from rnnlab.embeddings.vectors import Vectors
from rnnlab.plotting import plots
from rnnlab.results.claims import Claim
from rnnlab.results.table import Table
from rnnlab.text.corpora import movie_reviews

METHODS = {"skipgram": 2.0, "cbow": 1.0, "fasttext": 2.0}  # times as fast, at least
NAMES = {"skipgram": "skip-gram", "cbow": "CBOW", "fasttext": "FastText"}
TOOLS = {"fasttext": "fastText (C++)"}  # where a side is not called by its name
SETS = ("wordsim353", "simlex999")
MEASURES = {
    "wordsim353": "ρ, WordSim-353",
    "simlex999": "ρ, SimLex-999",
    "analogies": "analogies answered",
}
LOSS = 0.01  # of Spearman's ρ, the mean of both sets
SEEDS = 5  # which a claim of quality needs


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The default; with "full" the whole corpus; with "quality" 5 seeds, one thread a side."""
    if arg not in (None, "", "full", "quality"):
        raise ValueError(f"speed_embeddings.py takes no argument, :full or :quality, got {arg!r}")
    for package in ("gensim", "numba"):
        if importlib.util.find_spec(package) is None:
            raise UserError(f"speed_embeddings needs {package}: pip install {package}")
    full, quality = arg == "full", arg == "quality"
    config = ml_collections.ConfigDict(
        {
            "seed": 0,
            "method": "skipgram",
            "text": {
                "reviews": 0 if full else 10_000 if quality else 4000,
                "min_count": 5,
            },  # 0: all
            "training": {
                "size": 100,
                "window": 5,
                "negatives": 5,
                "sample": 1e-4,
                "epochs": 5 if full else 3 if quality else 1,
                "learning_rate": 0.05 if quality else 0.025,  # .05: learns in fewer epochs
                "buckets": 2_000_000 if full else 200_000,
            },
            "run": {
                # of the other side; ours is timed with one thread (and one that draws), and these
                "workers": 1 if quality else 2,
                "repeats": 1 if full or quality else 3,
                "seeds": SEEDS if full or quality else 1,
                "seconds_per_member": 1200.0 if full else 60.0 if quality else 50.0,
                "seconds_per_group": 10.0,
            },
        }
    )
    return config.lock()


def get_sweep(config: Any) -> list[dict[Any, Any]]:
    """Methods x seeds."""
    return [{"method": tuple(METHODS), "seed": tuple(range(config.run.seeds))}]


def run(config: Any, key: Any, log: Any) -> dict[str, Any]:
    """Every side in turn; compiling is no part of the rounds."""
    del key
    texts = movie_reviews().texts[: config.text.reviews or None]
    corpus = corpora.of_documents(texts, min_count=config.text.min_count)
    words = corpus.tokens * config.training.epochs
    rates: dict[str, list[float]] = {}
    quality: dict[str, dict[str, Any]] = {}
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


def scores(vectors: Vectors) -> dict[str, Any]:
    """Spearman's ρ and pairs scored of every set, None where too few of its words are known.

    And of the analogies the share that was answered, and the share whose words are known.
    """
    out: dict[str, Any] = {}
    for name in SETS:
        try:
            result = evaluation.word_similarity(vectors, name)
        except ValueError:
            out[name], out[f"{name}_pairs"] = None, 0
            continue
        out[name], out[f"{name}_pairs"] = result.spearman, result.scored
    total = evaluation.analogies(vectors).total
    known = total.asked > 0
    out |= {"analogies": total.accuracy if known else None, "analogies_coverage": total.coverage}
    return out


# ---- the sides ---------------------------------------------------------------------------------

Side = Callable[[int], tuple[float, Vectors]]  # a seed: seconds of training, what was learned


def sides(config: Any, corpus: corpora.Corpus, file: str) -> dict[str, Side]:
    """Who is timed on this method."""
    workers = config.run.workers
    out: dict[str, Side] = {
        f"rnnlab, {n} thread{'s' if n > 1 else ''}": lambda seed, n=n: _ours(
            config, corpus, n, seed
        )
        for n in sorted({1, workers})
    }
    out["gensim"] = lambda seed: _gensim(config, file, seed)
    # with one thread the C++ tool fills a tenth of its table of n-grams only
    if config.method == "fasttext" and workers > 1 and importlib.util.find_spec("fasttext"):
        out["fasttext"] = lambda seed: _cpp(config, file)
    return out


def _ours(config: Any, corpus: corpora.Corpus, threads: int, seed: int) -> tuple[float, Vectors]:
    settings = trainer.Settings(**config.training.to_dict(), engine="numba", threads=threads)
    start = time.perf_counter()
    trained = trainer.train(config.method, corpus, settings, seed)
    return time.perf_counter() - start, Vectors.of(trained)


def _gensim(config: Any, file: str, seed: int) -> tuple[float, Vectors]:
    from gensim.models import FastText, Word2Vec

    t = config.training
    options: dict[str, Any] = {
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
    model: Any = (FastText if config.method == "fasttext" else Word2Vec)(**options)
    model.build_vocab(corpus_file=file)
    model.train(
        corpus_file=file,
        total_examples=model.corpus_count,
        epochs=t.epochs,
        total_words=model.corpus_total_words,
    )
    return model.total_train_time, Vectors(model.wv.index_to_key, model.wv.vectors)


def _cpp(config: Any, file: str) -> tuple[float, Vectors]:
    import fasttext  # pyright: ignore[reportMissingImports]

    t = config.training
    start = time.perf_counter()
    model: Any = fasttext.train_unsupervised(
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
    seconds = time.perf_counter() - start  # its vocabulary included: the tool does not part them
    words = [word for word in model.get_words() if word != "</s>"]
    return seconds, Vectors(words, np.stack([model.get_word_vector(word) for word in words]))


# ---- the figure --------------------------------------------------------------------------------


def figures(table: Table) -> dict[str, Any]:
    """Words a second of every side; how good its vectors are, seed by seed."""
    return {"speed": _speed(table), "quality": _quality(table)}


def _by_method(table: Table) -> dict[str, list[Any]]:
    found = {
        method: [m.result for m in table if m.config["method"] == method] for method in METHODS
    }
    return {method: results for method, results in found.items() if results}


def _speed(table: Table) -> tuple[Any, str]:
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
    axes[-1, 0].set_xlabel("million words of the corpus a second, words thinned out included")
    workers = table[0].config["run"]["workers"]
    return figure, f"Training alone; the others with {workers} workers. Medians."


def _color(side: str) -> str:
    return plots.COLORS[1] if side.startswith("rnnlab") else "#999999"


def _quality(table: Table) -> tuple[Any, str]:
    rows = [(m, side, r) for m, r in _by_method(table).items() for side in r[0]["quality"]]
    labels = [f"{NAMES[method]}: {TOOLS.get(side, side)}" for method, side, _ in rows]
    figure, axes = plots.new_figure(1, len(MEASURES), size=(12, 1 + 0.32 * len(rows)))
    for ax, (name, words) in zip(axes[0], MEASURES.items(), strict=True):
        for y, (_, side, results) in enumerate(rows):
            values = [r["quality"][side][name] for r in results]
            values = [value for value in values if value is not None]
            ax.plot(values, [y] * len(values), "o", color=_color(side), markersize=3, alpha=0.6)
            if values:
                ax.plot(np.mean(values), y, "|", color="black", markersize=12)
        ax.set_yticks(range(len(rows)), labels)
        ax.tick_params(labelleft=ax is axes[0, 0])
        ax.set(xlabel=words, ylim=(len(rows) - 0.5, -0.5))
    epochs, seeds = table[0].config["training"]["epochs"], table[0].config["run"]["seeds"]
    coverage = np.mean(
        [s["analogies_coverage"] for *_, r in rows for s in r[0]["quality"].values()]
    )
    return figure, (
        f"{seeds} seed{'s' if seeds > 1 else ''} (dots; bar: mean), epochs: {epochs}; of the "
        f"analogies {coverage:.0%} have only known words."
        + ("" if seeds >= SEEDS else " So short a training tells no side from another.")
    )


def spearman(results: list[Any], side: str) -> float:
    """Mean ρ over both sets and all seeds; nan where a set has no known pairs."""
    values = [r["quality"][side][name] for r in results for name in SETS]
    return float(np.mean([np.nan if value is None else value for value in values]))


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


def claims(table: Table) -> list[Claim]:
    """The bars of speed; those of quality where there are seeds enough to tell."""

    def faster(method: str) -> Any:
        def check() -> tuple[bool, str]:
            chosen = table.select({"method": method})
            ratio = float(np.median(chosen.stack("ratio")))
            one = float(np.median(chosen.stack("ratio_one_thread")))
            return ratio >= METHODS[method], f"{ratio:.2f}x, with one thread {one:.2f}x"

        return check

    def as_good(method: str) -> Any:
        def check() -> tuple[bool, str]:
            table.select({"method": method}).stack("ratio")  # undecided if there is none
            results = _by_method(table)[method]
            found = {side: spearman(results, side) for side in results[0]["quality"]}
            ours = min(value for side, value in found.items() if side.startswith("rnnlab"))
            words = ", ".join(f"{side} {value:.3f}" for side, value in found.items())
            return ours >= found["gensim"] - LOSS, f"mean ρ: {words}"

        return check

    against = {"skipgram": "gensim", "cbow": "gensim", "fasttext": "the C++ fastText, or gensim"}
    out = [
        Claim(
            f"{method} trains at least {bound:g} times as fast as {against[method]}",
            "rnnlab",
            f"words a second, median over rounds, ratio at least {bound:g}",
            "holds",
            faster(method),
        )
        for method, bound in METHODS.items()
    ]
    if len(table) and table[0].config["run"]["seeds"] >= SEEDS:
        out += [
            Claim(
                f"{method}'s vectors are as good as gensim's",
                "rnnlab",
                "Spearman's ρ, mean of "
                f"WordSim-353, SimLex-999 and {SEEDS} seeds or more, at least gensim's - {LOSS}",
                "holds",
                as_good(method),
            )
            for method in METHODS
        ]
    return out
