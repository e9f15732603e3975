"""Fine-tuning: what pre-training is good for. A film review, good or bad, read by a BERT-Tiny.

    rnnlab run --config=experiments/bert/bert_pretraining.py --workdir=runs/pretraining
    rnnlab run --config=experiments/bert/bert_finetuning.py --config.pretrained=runs/pretraining

Sentences of Rotten Tomatoes (rnnlab[data,bert]), a fifth held out, in the pieces of the pre-trained
BERT; once with 500 labeled sentences to learn from, once with all 6,824. The same network starts
from weights at random and from those of bert_pretraining.py (its second member by default, 1,000
updates on speeches and reviews of IMDB; none of the sentences judged here is among its text), two
seeds each; beside them a regression of a bag of words by TF-IDF. ``--config.pretrained`` also takes
a folder that convert.huggingface reads (with ``--config.encoder`` of its sizes); without it there
are random weights alone, and claims that compare are undecided. ":full" reads IMDB's long reviews.

About 5 minutes on 2 cores (measured in two halves, the second resumed).

Expected: a start from pre-trained weights classifies better than one at random, with few labels and
with all; a thousand updates of a BERT-Tiny are too few to pass a bag of words.
Found: the first is refuted after a thousand updates of pre-training. With 500 labels 57.3% against
58.4 from random weights (standard error of the difference 1.7), with all 70.0% against 72.4 (1.5),
loss .586 against .571; a bag of words 61.8% and 76.7%. (Masked words cost that BERT 5.3 nats,
frequencies alone 6.6; published ones are trained a thousand times as long.) No number was chosen by
these results.
"""

import math
from functools import lru_cache
from typing import Any

import ml_collections
import numpy as np

from rnnlab import training
from rnnlab.bert import encoder, pretrained
from rnnlab.core.errors import Undecided
from rnnlab.lab import pretrained_sweep
from rnnlab.plotting import learning_curves, plots
from rnnlab.results.claims import Claim
from rnnlab.results.table import Table
from rnnlab.sparse.bag_of_words import BagOfWords
from rnnlab.sparse.tfidf import TfIdf
from rnnlab.tasks.reviews import MovieReviews
from rnnlab.training import runner

REPRODUCE = False  # it needs a run of bert_pretraining.py

FEW = 500  # labeled texts
ERRORS = 2  # standard errors of a difference that count as better
CHOICES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)  # of C, the regression's


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The default, or with "full" long reviews and a larger model."""
    if arg not in (None, "", "full"):
        raise ValueError(f"bert_finetuning.py takes no argument or :full, got {arg!r}")
    full = arg == "full"
    config = ml_collections.ConfigDict(
        {
            "seed": 0,
            "pretrained": "",  # a run of bert_pretraining.py, or a checkpoint's folder
            "task": {
                "name": "review_pieces",
                "source": "imdb" if full else "rotten_tomatoes",
                "max_length": 128 if full else 40,
                "limit": 0,  # labeled reviews; 0: all
                "held_out": "test",  # "validation" to choose numbers by
                "pieces": "",  # the sweep's, as start.path
                "vocab_size": 8192 if full else 4096,
            },
            "encoder": encoder.config(size="small" if full else "tiny", activation="gelu_tanh"),
            "init": encoder.Init.config(attention="orthogonal"),
            "start": pretrained.Start.config(member=1),
            "training": training.config(
                optimizer="adamw",
                learning_rate=1e-4 if full else 5e-4,
                schedule="linear",
                warmup_steps=100 if full else 32,
                weight_decay=0.01,
                clip_norm=1.0,
                batch_size=32,
                steps=1920 if full else 448,
                eval_every=64 if full else 32,
                eval_batch_size=5000 if full else 2000,
                stop_when_solved=False,
            ),
            "run": runner.config(
                seeds=3 if full else 2,
                few_steps=320 if full else 160,  # updates on few labels
                seconds_per_member=2000.0 if full else 30.0,
                seconds_per_group=20.0,
            ),
        }
    )
    return config.lock()


def get_sweep(config: Any) -> dict[Any, Any]:
    """Starts x labels x seeds."""
    return pretrained_sweep.axes(config, FEW)


run = runner.run


def predict(config: Any) -> dict[str, Any]:
    """What a bag of words reaches with the same labels, and how many reviews are judged."""
    task: Any = training.task_of(config)
    judged = min(config.training.eval_batch_size, len(task.split().test_texts))
    found = bag_of_words(task.source, task.test_share, task.held_out, task.limit, judged)
    return {"words_accuracy": found, "judged": judged}


@lru_cache(maxsize=4)
def bag_of_words(source: str, share: float, held_out: str, limit: int, judged: int) -> float:
    """Accuracy of a logistic regression of TF-IDF weights, C chosen on a fifth of the labels."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    split = MovieReviews(source=source, test_share=share, held_out=held_out).split()
    texts, labels = split.texts[: limit or None], split.labels[: limit or None]

    def fitted(C: float, count: int) -> Any:
        words = BagOfWords(token_pattern=r"\w+")
        model = LogisticRegression(C=C, solver="liblinear", tol=1e-3)
        return make_pipeline(words, TfIdf("log", "smooth", "l2"), model).fit(
            texts[:count], labels[:count]
        )

    cut = len(texts) * 4 // 5
    best = max(CHOICES, key=lambda C: fitted(C, cut).score(texts[cut:], labels[cut:]))
    return float(
        fitted(best, len(texts)).score(split.test_texts[:judged], split.test_labels[:judged])
    )


# ---- the figure --------------------------------------------------------------------------------


def figures(table: Table) -> dict[str, Any]:
    """Accuracy as it is learned, with few labels and with all."""
    limits = table.values("task.limit")
    figure, axes = plots.new_figure(1, len(limits), size=(5.2 * len(limits), 3.8), share_y=True)
    for ax, limit in zip(axes[0], limits, strict=True):
        chosen = pretrained_sweep.lines(table, limit)
        ends = [
            learning_curves.draw(ax, members, "accuracy", name, k)
            for k, (name, members) in enumerate(chosen.items())
        ]
        first = next(iter(chosen.values()))[0]
        ax.set(xlabel="updates", xlim=(0, first.config["training"]["steps"]))
        words = first.result["words_accuracy"]
        low, high = ax.get_ylim()
        ax.set_ylim(min(low, 0.48), max(high, words + 0.04))
        learning_curves.baseline(ax, words, "bag of words")
        learning_curves.baseline(ax, 0.5, "chance")
        plots.title(ax, f"{limit or 'All'} labeled reviews")
        plots.direct_labels(ax, ends)
    axes[0, 0].set_ylabel("accuracy")
    caption = (
        f"{table[0].result['judged']} reviews held out; median and range over seeds. Dotted: a "
        "regression of TF-IDF weights with the same labels; a guess."
    )
    return {"accuracy": (figure, caption)}


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


def claims(table: Table) -> list[Claim]:
    """What a start from pre-trained weights is good for."""
    limits = table.values("task.limit")

    def of(limit: int, name: str = "accuracy") -> dict[str, float]:
        found = pretrained_sweep.lines(table, limit)
        if "pre-trained" not in found:
            raise Undecided("no pre-trained members: give --config.pretrained=DIR")
        return {start: float(np.mean(m.stack(name))) for start, m in found.items()}

    def error(*accuracies: float) -> float:
        """Of a difference of accuracies, as if judged apart."""
        n = table[0].result["judged"]
        return math.sqrt(sum(a * (1 - a) for a in accuracies) / n)

    def better(limit: int) -> tuple[bool, str]:
        found = of(limit)
        gain, e = found["pre-trained"] - found["random"], error(*found.values())
        return gain > ERRORS * e, (
            f"{100 * found['pre-trained']:.1f}% against {100 * found['random']:.1f}%, "
            f"standard error {100 * e:.1f}%"
        )

    def learns(limit: int) -> tuple[bool, str]:
        found = of(limit, "loss")
        return found["pre-trained"] < found["random"], (
            f"{found['pre-trained']:.3f} nats against {found['random']:.3f}"
        )

    def words(limit: int) -> tuple[bool, str]:
        found = of(limit)["pre-trained"]
        own = pretrained_sweep.lines(table, limit)["pre-trained"][0].result["words_accuracy"]
        e = error(found, own)
        return found - own > ERRORS * e, (
            f"{100 * found:.1f}% against {100 * own:.1f}%, standard error {100 * e:.1f}%"
        )

    few, most = min(limits, key=lambda n: n or math.inf), max(limits, key=lambda n: n or math.inf)
    source = "Devlin et al. 2019, §4.1 and §5.1"
    bound = f"accuracy held out above by {ERRORS} standard errors"
    return [
        Claim(
            "With few labels, a pre-trained start is better than one at random",
            source,
            f"{FEW} labels: {bound}",
            "holds",
            lambda: better(few),
        ),
        Claim(
            "… with all labels, too", source, f"all labels: {bound}", "holds", lambda: better(most)
        ),
        Claim(
            "… and its loss held out is lower",
            source,
            "all labels: at the end",
            "holds",
            lambda: learns(most),
        ),
        Claim(
            "A BERT pre-trained for a thousand updates is better than a bag of words",
            "rnnlab",
            f"all labels: {bound}",
            "refuted",
            lambda: words(most),
        ),
    ]
