"""Random against pre-trained weights of a BERT, with few labels and with all.

The parts that experiments in pre-training and fine-tuning share: groups of their configs, a sweep,
a figure, and the results that claims compare.
"""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import ml_collections
import numpy as np

from rnnlab import training
from rnnlab.bert import encoder, pretrained
from rnnlab.core.errors import Undecided
from rnnlab.lab.config import Config, seeds
from rnnlab.lab.sweep import Sweep
from rnnlab.plotting import learning_curves, plots
from rnnlab.results.table import Table
from rnnlab.training import runner

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RANDOM, PRETRAINED = "random", "pre-trained"  # weights to start from


# ---- configs and the sweep ---------------------------------------------------------------------


def pretraining_task(full: bool) -> dict[str, object]:
    """Return the first keys of a pre-training's ``task`` group, at the small or large scale."""
    return {
        "name": "sentence_pairs",
        "corpus": "both",
        "limit": 0 if full else 4500,
        "length": 128 if full else 64,
        "vocab_size": 8192 if full else 4096,
    }


def pretraining_settings(full: bool, *, steps: int, eval_sample: int) -> dict[str, object]:
    """Return a pre-training's ``training`` group, at the small or large scale.

    Args:
        eval_sample: held-out pairs that are scored, all at once.
    """
    return training.config(
        optimizer="adamw",
        learning_rate=5e-4 if full else 1e-3,
        schedule="linear" if full else "constant",
        warmup_steps=2000 if full else 80,
        weight_decay=0.01,
        clip_norm=1.0,
        batch_size=256 if full else 32,
        steps=steps,
        eval_every=1000 if full else 100,
        eval_batch_size=eval_sample,
        eval_sample=eval_sample,
        stop_when_solved=False,
    )


def config(
    *,
    task: Mapping[str, object],
    training_changes: Mapping[str, object],
    few_labels: int,
    few_steps: int,
    seconds_per_member: float,
    full: bool,
) -> ml_collections.ConfigDict:
    """Return the locked config of an experiment that fine-tunes.

    Args:
        task: the ``task`` group; its ``limit`` is the number of labels, 0 for all.
        training_changes: the rate, steps and sizes of :func:`rnnlab.training.config`.
        few_labels: labels of the members that have few.
        few_steps: updates of the members with few labels.
        seconds_per_member: estimated seconds per member, for ``--dry_run``.
        full: whether this is the large scale: BERT-Small instead of BERT-Tiny, three seeds.
    """
    config = ml_collections.ConfigDict(
        {
            "seed": 0,
            "pretrained": "",  # weights: a run of bert_pretraining.py, or a checkpoint's folder
            "task": dict(task),
            "encoder": encoder.config(size="small" if full else "tiny", activation="gelu_tanh"),
            "init": encoder.Init.config(attention="orthogonal"),
            "start": pretrained.Start.config(member=1),  # orthogonal kernels, as in "init"
            "training": training.config(
                optimizer="adamw",
                schedule="linear",
                weight_decay=0.01,
                clip_norm=1.0,
                batch_size=32,
                stop_when_solved=False,
                **training_changes,
            ),
            "run": runner.config(
                seeds=3 if full else 2,
                few_labels=few_labels,
                few_steps=few_steps,
                seconds_per_member=seconds_per_member,
                seconds_per_group=20.0,
            ),
        }
    )
    return config.lock()


def axes(config: Config) -> Sweep:
    """Return a sweep over first weights, numbers of labels and seeds.

    All members read the same pieces.

    Args:
        config: as of :func:`config`. ``pretrained``, if given, is the alternative to random
            weights; ``task.limit`` and ``training.steps`` are for all labels, ``run.few_labels``
            and ``run.few_steps`` for few.
    """
    path = config.pretrained
    return {
        ("start.path", "task.pieces"): [(start, path) for start in dict.fromkeys(("", path))],
        ("task.limit", "training.steps"): [
            (config.run.few_labels, config.run.few_steps),
            (config.task.limit, config.training.steps),
        ],
        "seed": seeds(config),
    }


# ---- results -----------------------------------------------------------------------------------


def lines(table: Table, limit: int) -> dict[str, Table]:
    """Return {"random": members, "pre-trained": members} of :func:`axes` with ``limit`` labels."""
    groups = table.select({"task.limit": limit}).group_by("start.path")
    return {PRETRAINED if path else RANDOM: groups[path] for path in sorted(groups)}


def label_counts(table: Table) -> tuple[int, int]:
    """Return the smallest and the largest ``task.limit``, where 0 means all labels.

    Raises:
        Undecided: there are no members.
    """
    limits = table.values("task.limit") if len(table) else []
    if not limits:
        raise Undecided("there are no members")
    return min(limits, key=lambda n: n or math.inf), max(limits, key=lambda n: n or math.inf)


def in_words(limit: int) -> str:
    """Return a ``task.limit`` in words.

    >>> in_words(0), in_words(12_000)
    ('all labels', '12,000 labels')
    """
    return f"{limit:,} labels" if limit else "all labels"


def comparisons(table: Table) -> list[dict[str, Any]]:
    """Return the arguments of a claim that pre-trained weights are better, by number of labels.

    Returns:
        for few and for all labels: ``statement``; ``labels`` in words; ``which`` of the counts
        that :func:`label_counts` returns.
    """
    few, most = (in_words(limit) for limit in label_counts(table))
    return [
        {
            "statement": f"With {few}, a pre-trained start is better than one at random",
            "labels": few,
            "which": 0,
        },
        {"statement": f"… with {most}, too", "labels": most, "which": 1},
    ]


def means(table: Table, limit: int, metric: str) -> dict[str, float]:
    """Return the mean of a result over seeds, {"random": …, "pre-trained": …}."""
    return {
        start: float(np.mean(members.stack(metric)))
        for start, members in lines(table, limit).items()
    }


def both_means(table: Table, limit: int, metric: str) -> tuple[float, float]:
    """Return the mean of a result over seeds, from random and from pre-trained weights.

    Raises:
        Undecided: no members start from pre-trained weights.
    """
    by_start = means(table, limit, metric)
    if PRETRAINED not in by_start:
        raise Undecided("no pre-trained members: give --config.pretrained=DIR")
    return by_start[RANDOM], by_start[PRETRAINED]


def figure(
    table: Table,
    metric: str,
    examples: str,
    finish: "Callable[[Axes, Mapping[str, float]], None]",
) -> "tuple[Figure, Axes]":
    """Draw a metric against updates, one panel per number of labels.

    Args:
        metric: logged while training.
        examples: for titles, "reviews" for instance.
        finish: sets the limits of a panel and draws its baselines, from a member's results.
    Returns:
        the figure and its first panel.
    """
    limits = table.values("task.limit")
    figure, panels = plots.new_figure(1, len(limits), size=(5.2 * len(limits), 3.8), share_y=True)
    for ax, limit in zip(panels[0], limits, strict=True):
        members_by_start = lines(table, limit)
        ends = [
            learning_curves.draw(ax, members, metric, name, k)
            for k, (name, members) in enumerate(members_by_start.items())
        ]
        first = next(iter(members_by_start.values()))[0]
        ax.set(xlabel="updates", xlim=(0, first.config["training"]["steps"]))
        finish(ax, first.result)
        plots.title(ax, f"{f'{limit:,}' if limit else 'All'} labeled {examples}")
        plots.direct_labels(ax, ends)
    return figure, panels[0, 0]
