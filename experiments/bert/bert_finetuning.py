"""Fine-tuning a BERT-Tiny on film reviews: random against pre-trained first weights.

    rnnlab run --config=experiments/bert/bert_pretraining.py --workdir=runs/pretraining
    rnnlab run --config=experiments/bert/bert_finetuning.py --config.pretrained=runs/pretraining

Sentences of Rotten Tomatoes (rnnlab[data,bert]), a fifth held out, in the pieces of the pre-trained
BERT; once with 500 labeled sentences for training, once with all 6,824. The same network starts
from random weights and from those of bert_pretraining.py (its second member by default, 1,000
updates on speeches and reviews of IMDB; its text has none of the sentences used here), two seeds
each. The baseline is a regression on TF-IDF weights of a bag of words. ``--config.pretrained`` also
takes a folder that rnnlab.bert.huggingface reads (with ``--config.encoder`` of its sizes). Without
it there are random weights only, and claims that compare are undecided. ":full" reads IMDB's long
reviews.

About 5 minutes on 2 cores (measured in two halves, the second resumed).

Expected: pre-trained weights give better accuracy than random ones, with few labels and with all; a
BERT-Tiny after a thousand updates of pre-training is not better than a bag of words.
Result: the first is refuted after a thousand updates of pre-training. With 500 labels 57.3% against
58.4% from random weights (standard error of the difference 1.7%), with all 70.0% against 72.4%
(1.5%), loss 0.586 against 0.571; a bag of words 61.8% and 76.7%. (That BERT's loss on masked words
is 5.3 nats, that of frequencies alone 6.6; published ones are trained a thousand times as long.) No
number was chosen by these results. These figures are of --config.task.validation_share=0: before a
tenth of the training data was held out for validation.
"""

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import ml_collections
import numpy as np

from rnnlab import training
from rnnlab.lab import pretrained_sweep
from rnnlab.lab.config import Config, scale
from rnnlab.lab.pretrained_sweep import PRETRAINED
from rnnlab.lab.sweep import Sweep
from rnnlab.plotting import learning_curves
from rnnlab.results.claims import Claim, claim
from rnnlab.results.table import Table
from rnnlab.sparse.bag_of_words import BagOfWords
from rnnlab.sparse.tfidf import TfIdf
from rnnlab.tasks.reviews import MovieReviews

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from sklearn.pipeline import Pipeline

REPRODUCE = False  # it needs a run of bert_pretraining.py

ERRORS = 2  # standard errors of a difference that count as better
CHOICES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)  # of C, the regression's


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """Return the default config, or with "full" that of long reviews and a larger model."""
    full = scale(arg) == "full"
    return pretrained_sweep.config(
        task={
            "name": "review_pieces",
            "source": "imdb" if full else "rotten_tomatoes",
            "max_length": 128 if full else 40,
            "limit": 0,  # labeled reviews; 0: all
            "path": "",  # a file of texts and labels instead
            "test_path": "",
            "validation_path": "",
            "validation_share": 0.1,  # of the reviews to learn from
            "pieces": "",  # set by the sweep, like start.path
            "vocab_size": 8192 if full else 4096,
        },
        training_changes={
            "learning_rate": 1e-4 if full else 5e-4,
            "warmup_steps": 100 if full else 32,
            "steps": 1920 if full else 448,
            "eval_every": 64 if full else 32,
            "eval_batch_size": 5000 if full else 2000,
        },
        few_labels=500,  # labeled reviews
        few_steps=320 if full else 160,
        seconds_per_member=2000.0 if full else 30.0,
        full=full,
    )


def get_sweep(config: Config) -> Sweep:
    """Return first weights x labels x seeds."""
    return pretrained_sweep.axes(config)


run = training.run


def predict(config: Config) -> dict[str, float]:
    """Return the accuracy of a bag of words with the same labels, and the reviews held out."""
    task = training.task_of(config)
    assert isinstance(task, MovieReviews)
    judged = training.scored(config, task, task.load())
    names = ("source", "path", "test_path", "validation_path", "limit")
    shared: Any = {name: getattr(task, name) for name in names}
    reviews = MovieReviews(
        test_share=task.test_share, validation_share=task.validation_share, **shared
    )
    return {"words_accuracy": bag_of_words(reviews, judged), "judged": judged}


@lru_cache(maxsize=4)
def bag_of_words(reviews: MovieReviews, judged: int) -> float:
    """Return the accuracy of a regression on TF-IDF weights, C chosen on a fifth of the labels."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    split = reviews.split()
    texts, labels = split.texts, split.labels

    def fitted(C: float, count: int) -> "Pipeline":
        words = BagOfWords(token_pattern=r"\w+")
        solver = "liblinear" if len(np.unique(labels)) == 2 else "lbfgs"
        model = LogisticRegression(C=C, solver=solver, tol=1e-3, max_iter=1000)
        return make_pipeline(words, TfIdf("log", "smooth", "l2"), model).fit(
            texts[:count], labels[:count]
        )

    cut = len(texts) * 4 // 5
    best = max(CHOICES, key=lambda C: fitted(C, cut).score(texts[cut:], labels[cut:]))
    return float(
        fitted(best, len(texts)).score(split.test_texts[:judged], split.test_labels[:judged])
    )


def figures(table: Table) -> "dict[str, tuple[Figure, str]]":
    """Draw accuracy against updates, with few labels and with all."""

    def finish(ax: "Axes", result: "Mapping[str, float]") -> None:
        low, high = ax.get_ylim()
        ax.set_ylim(min(low, 0.48), max(high, result["words_accuracy"] + 0.04))
        learning_curves.baseline(ax, result["words_accuracy"], "bag of words")
        learning_curves.baseline(ax, 0.5, "chance")

    figure, first = pretrained_sweep.figure(table, "accuracy", "reviews", finish)
    first.set_ylabel("accuracy")
    caption = (
        f"{table[0].result['judged']} reviews held out; median and range over seeds. Dotted: a "
        "regression on TF-IDF weights with the same labels; chance."
    )
    return {"accuracy": (figure, caption)}


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------

DEVLIN = "Devlin et al. 2019, §4.1 and §5.1"


@claim(
    "{statement}",
    source=DEVLIN,
    holds_if="{labels}: accuracy held out above by {errors} standard errors",
    expected="holds",
    errors=ERRORS,
)
def better_start(table: Table, which: int, errors: float) -> tuple[bool, str]:
    """Compare accuracies from pre-trained and from random weights."""
    limit = pretrained_sweep.label_counts(table)[which]
    random, started = pretrained_sweep.both_means(table, limit, "accuracy")
    return _exceeds(table, started, random, errors)


@claim(
    "… and its loss held out is lower",
    source=DEVLIN,
    holds_if="{labels}: at the end",
    expected="holds",
)
def lower_loss(table: Table) -> tuple[bool, str]:
    """Compare losses with all labels."""
    most = pretrained_sweep.label_counts(table)[1]
    random, started = pretrained_sweep.both_means(table, most, "loss")
    return started < random, f"{started:.3f} nats against {random:.3f}"


@claim(
    "The pre-trained BERT ({size}) is better than a bag of words",
    source="rnnlab",
    holds_if="{labels}: accuracy held out above by {errors} standard errors",
    expected="refuted",
    errors=ERRORS,
)
def better_than_words(table: Table, errors: float) -> tuple[bool, str]:
    """Compare accuracies of a BERT and of a bag of words."""
    most = pretrained_sweep.label_counts(table)[1]
    started = pretrained_sweep.both_means(table, most, "accuracy")[1]
    words = pretrained_sweep.lines(table, most)[PRETRAINED][0].result["words_accuracy"]
    return _exceeds(table, started, words, errors)


def _exceeds(table: Table, accuracy: float, other: float, errors: float) -> tuple[bool, str]:
    """Whether an accuracy exceeds another by ``errors`` standard errors of independent samples."""
    n = table[0].result["judged"]
    error = math.sqrt(sum(a * (1 - a) for a in (accuracy, other)) / n)
    return accuracy - other > errors * error, (
        f"{100 * accuracy:.1f}% against {100 * other:.1f}%, standard error {100 * error:.1f}%"
    )


def claims(table: Table) -> list[Claim]:
    """List the claims about pre-trained first weights."""
    most = pretrained_sweep.in_words(pretrained_sweep.label_counts(table)[1])
    return [
        *(better_start(table, **case) for case in pretrained_sweep.comparisons(table)),
        lower_loss(table, labels=most),
        better_than_words(table, labels=most, size=table[0].config["encoder"]["size"]),
    ]
