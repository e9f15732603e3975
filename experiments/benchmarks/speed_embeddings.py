"""Training word vectors beside gensim and the C++ fastText: words per second, and quality.

    rnnlab run --config=experiments/benchmarks/speed_embeddings.py

Movie reviews, D = 100, window 5, 5 negatives, t = 1e-4; each side trains alone in a process of its
own, in turns, ours from encoded ids with one thread and with two, gensim and fastText from a file
of words with two workers. Needs rnnlab[data,fast] and gensim; the C++ fastText takes part if the
package `fasttext` is installed. About 2 minutes on 2 cores with nothing else running, one epoch of
4,000 reviews. ":quality" times nothing and compares vectors, one thread per side: 10,000 reviews
(2.3M words), 3 epochs, 5 seeds, 15 minutes of one core; ":full" has all the reviews, 5 epochs and 5
seeds.

Bounds: skip-gram 4x and CBOW 2.5x as fast as gensim, FastText 2.5x as the C++ tool, and over 5
seeds Spearman's ρ at least gensim's − 0.01.

Quality by ":quality" (means; 17,532 words, which cover 260 of 353 and 895 of 999 pairs, 37% of the
analogies):

    method     WordSim-353 (ours, gensim)  SimLex-999    analogies
    skip-gram  0.261, 0.216                0.177, 0.164  0.042, 0.040
    CBOW       0.106, 0.115                0.105, 0.094  0.018, 0.019
    FastText   0.270, 0.277                0.170, 0.157  0.509, 0.517

FastText's quality is of the first three seeds; over five, outside this file, the mean of both sets
is 0.219, gensim's 0.221.
"""

import importlib.util
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ml_collections
import numpy as np

from rnnlab.core import validate
from rnnlab.core.errors import Undecided, UserError
from rnnlab.embeddings import corpus as corpora
from rnnlab.embeddings import evaluation, trainer
from rnnlab.embeddings.vectors import Vectors
from rnnlab.lab import benchmark
from rnnlab.lab.benchmark import Side, Timed
from rnnlab.lab.config import Config, scale, seeds
from rnnlab.lab.sweep import Sweep
from rnnlab.plotting import keys, plots
from rnnlab.results import speed
from rnnlab.results.claims import Claim, claim
from rnnlab.results.table import Member, Table
from rnnlab.text.corpora import movie_reviews

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Result = dict[str, Any]  # of a member: numbers, by side where there are several
Model = Any  # of gensim or fastText

# times as fast, at least, and as which tool
METHODS = {"skipgram": (4.0, "gensim"), "cbow": (2.5, "gensim"), "fasttext": (2.5, "fasttext")}
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
    rounds, seconds = 5, 0.5
    expected = benchmark.estimate(sides=3.3, rounds=rounds, turn=3.0, start=12.0)
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
                # in each of which every side has a turn in its process; 0: nothing is timed
                "rounds": 0 if full or quality else rounds,
                "seconds": seconds,  # for which a turn times trainings, back to back
                "seeds": SEEDS if full or quality else 1,
                "seconds_per_member": 1200.0 if full else 60.0 if quality else expected,
                "seconds_per_group": 10.0,
            },
        }
    )
    return config.lock()


def get_sweep(config: Config) -> Sweep:
    """Return methods x seeds."""
    return {"method": tuple(METHODS), "seed": seeds(config)}


def check(config: Config) -> None:
    """Refuse an unknown method, and too few rounds where something is timed."""
    validate.choice("method", config.method, METHODS)
    if config.run.rounds:
        benchmark.check(config)


def run(config: Config, key: object, log: Callable[..., object]) -> Result:
    """Train every side for the quality of its vectors, then time them."""
    del key
    if config.run.rounds:
        result = benchmark.measure(sides, config, log, prepare=prepare)
    else:
        result = {"ms": {}} | benchmark.compare(sides, config, prepare=prepare)
    reported: Any = result["reported"]
    quality = {side: by_pass[speed.ONLY] for side, by_pass in reported.items()}
    tokens = next(iter(quality.values()))["tokens"]
    words = 1e3 * tokens * config.training.epochs
    timed: Any = result["ms"]
    rates = {side: words / float(np.median(ms)) for side, ms in timed.get(speed.ONLY, {}).items()}
    return result | {"tokens": tokens, "quality": quality, "words_a_second": rates}


def prepare(config: Config, folder: Path) -> None:
    """Write the reviews, and the words of the corpus for the other tools."""
    texts = movie_reviews().texts[: config.text.reviews or None]
    (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    corpus = corpora.of_documents(texts, min_count=config.text.min_count)
    (folder / "words").write_text("\n".join(_lines(corpus)), encoding="utf-8")


def _lines(corpus: corpora.Corpus) -> Iterator[str]:
    names = np.array(corpus.vocabulary.words(), object)
    part = corpus.read(0, corpus.tokens)
    for start, stop in zip(part.offsets[:-1], part.offsets[1:], strict=True):
        yield " ".join(names[part.ids[start:stop]])


def scores(vectors: Vectors) -> dict[str, float]:
    """Score vectors by word similarity and analogies.

    Returns:
        Spearman's ρ of each set, NaN if too few of its words are known, and the pairs scored;
        the share of analogies answered right, and the share whose words are known.
    """
    result: dict[str, float] = {}
    for name in SETS:
        try:
            similarity = evaluation.word_similarity(vectors, name)
        except ValueError:
            result[name], result[f"{name}_pairs"] = float("nan"), 0
            continue
        result[name], result[f"{name}_pairs"] = similarity.spearman, similarity.scored
    total = evaluation.analogies(vectors).total
    result["analogies"] = total.accuracy if total.asked else float("nan")
    result["analogies_coverage"] = total.coverage
    return result


# ---- the sides ---------------------------------------------------------------------------------


def sides(config: Config, folder: Path) -> dict[str, Side]:
    """Return the sides of the config's method."""
    workers = config.run.workers
    result = {
        f"rnnlab, {n} thread{'s' if n > 1 else ''}": Side(
            partial(ours, config, folder, n), packages=("numba",), tolerance=None, way_of="rnnlab"
        )
        for n in sorted({1, workers})
    }
    result["gensim"] = Side(partial(gensim, config, folder), packages=("gensim",), tolerance=None)
    # with one thread the C++ tool fills only a tenth of its table of n-grams
    if config.method == "fasttext" and workers > 1:
        result["fasttext"] = Side(
            partial(fasttext, config, folder), packages=("fasttext",), tolerance=None
        )
    return result


def ours(config: Config, folder: Path, threads: int) -> Timed:
    """Make a training of ours, from encoded ids."""
    texts = json.loads((folder / "texts.json").read_text(encoding="utf-8"))
    corpus = corpora.of_documents(texts, min_count=config.text.min_count)
    settings = trainer.Settings(**config.training.to_dict(), engine="numba", threads=threads)
    return Timed(
        lambda: trainer.train(config.method, corpus, settings, config.seed),
        outputs=lambda trained: scores(Vectors.of(trained)) | {"tokens": corpus.tokens},
    )


def gensim(config: Config, folder: Path) -> Timed:
    """Make a training of gensim's, its vocabulary not timed."""
    from gensim.models import FastText, Word2Vec

    t, file = config.training, str(folder / "words")
    options = {
        "vector_size": t.size,
        "window": t.window,
        "negative": t.negatives,
        "sample": t.sample,
        "alpha": t.learning_rate,
        "min_count": config.text.min_count,
        "workers": config.run.workers,
        "sg": int(config.method != "cbow"),
        "seed": config.seed,
    }
    if config.method == "fasttext":
        options["bucket"] = t.buckets

    def new() -> Model:
        model: Model = (FastText if config.method == "fasttext" else Word2Vec)(**options)
        model.build_vocab(corpus_file=file)
        return model

    def train(model: Model) -> Model:
        model.train(
            corpus_file=file,
            total_examples=model.corpus_count,
            epochs=t.epochs,
            total_words=model.corpus_total_words,
        )
        return model

    def quality(model: Model) -> dict[str, float]:
        vectors = Vectors(model.wv.index_to_key, model.wv.vectors)
        return scores(vectors) | {"tokens": model.corpus_total_words}

    return Timed(train, before=new, outputs=quality)


def fasttext(config: Config, folder: Path) -> Timed:
    """Make a training of the C++ tool's, its vocabulary included: the tool has one call."""
    import fasttext as library  # pyright: ignore[reportMissingImports]

    t = config.training

    def train() -> Model:
        return library.train_unsupervised(
            str(folder / "words"),
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

    def quality(model: Model) -> dict[str, float]:
        words = [word for word in model.get_words() if word != "</s>"]
        return scores(Vectors(words, np.stack([model.get_word_vector(word) for word in words])))

    return Timed(train, outputs=quality)


# ---- the figure --------------------------------------------------------------------------------


def figures(table: Table) -> "dict[str, tuple[Figure, str]]":
    """Draw words per second of every side if they were timed, and the quality of its vectors."""
    timed = {"speed": _speed(table)} if table[0].result["words_a_second"] else {}
    return timed | {"quality": _quality(table)}


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
    return figure, (
        f"Training; fastText (C++) reads and counts its words within its time, the others before "
        f"it. The other sides have {workers} workers. {speed.conditions(list(table))}"
    )


def _color(side: str) -> str:
    return plots.COLORS[1] if side.startswith("rnnlab") else "#999999"


def _quality(table: Table) -> "tuple[Figure, str]":
    rows = [(m, side, r) for m, r in _by_method(table).items() for side in r[0]["quality"]]
    labels = [f"{NAMES[method]}: {TOOLS.get(side, side)}" for method, side, _ in rows]
    figure, axes = plots.new_figure(1, len(MEASURES), size=(12, 1 + 0.32 * len(rows)))
    for ax, (name, words) in zip(axes[0], MEASURES.items(), strict=True):
        for y, (_, side, results) in enumerate(rows):
            values = [r["quality"][side][name] for r in results]
            values = [value for value in values if np.isfinite(value)]
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
    return float(np.mean([r["quality"][side][name] for r in results for name in SETS]))


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


@claim(
    "{method} trains at least {bound:g} times as fast as {against}",
    source="rnnlab",
    holds_if="95% interval of the ratio of times at or above {bound:g}",
    expected="holds",
)
def faster(table: Table, method: str, bound: float, tool: str) -> tuple[bool, str]:
    """Compare the speed of a method with that of the other tool."""
    members = table.select({"method": method})
    members.stack("tokens")  # undecided if there is none
    ratios: dict[str, speed.Ratio] = {}
    for member in members:
        if not member.result["words_a_second"]:
            raise Undecided("nothing was timed: run it without :quality and :full")
        ours = our_fastest(member)
        ratios[f"seed {member.config['seed']}, {ours}:"] = speed.ratio(member, tool, ours)
    return speed.at_least(ratios, bound, members)


def our_fastest(member: Member) -> str:
    """Name our faster side."""
    return speed.fastest(member, [s for s in member.result["quality"] if s.startswith("rnnlab")])


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
    table.select({"method": method}).stack("tokens")  # undecided if there is none
    results = _by_method(table)[method]
    rho = {side: spearman(results, side) for side in results[0]["quality"]}
    if len(results) < SEEDS:
        raise Undecided(f"{len(results)} of {SEEDS} seeds were trained")
    if not np.isfinite(list(rho.values())).all():
        raise Undecided("too few pairs have words that are known: read more reviews")
    ours = min(value for side, value in rho.items() if side.startswith("rnnlab"))
    words = ", ".join(f"{side} {value:.3f}" for side, value in rho.items())
    return ours >= rho["gensim"] - margin, f"mean ρ: {words}"


def claims(table: Table) -> list[Claim]:
    """List the claims of speed and, with enough seeds, those of quality."""
    result = [
        faster(table, method=method, bound=bound, tool=tool, against=TOOLS.get(tool, tool))
        for method, (bound, tool) in METHODS.items()
    ]
    if len(table) and table[0].config["run"]["seeds"] >= SEEDS:
        result += [as_good(table, method=method) for method in METHODS]
    return result
