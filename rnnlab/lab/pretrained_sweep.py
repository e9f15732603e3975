"""Random against pre-trained weights of a BERT, with few labels and with all.

The parts that experiments in pre-training and fine-tuning share: groups of their configs, the
comparisons, their claims, and a figure.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import ml_collections

from rnnlab import training
from rnnlab.bert import encoder, pretrained
from rnnlab.core.errors import Undecided
from rnnlab.lab.comparison import RATE, Comparison
from rnnlab.lab.config import Config
from rnnlab.plotting import learning_curves, plots
from rnnlab.results.claims import Claim
from rnnlab.results.comparison import Comparisons
from rnnlab.results.comparison_claims import better
from rnnlab.results.table import Table
from rnnlab.tasks.checks import few_of
from rnnlab.training import runner

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RANDOM, PRETRAINED = "random", "pre-trained"  # weights to start from
FEW, ALL = "few_labels", "all_labels"  # comparisons
TUNING_SEEDS, SEEDS = 2, (8, 16)


# ---- configs and comparisons -------------------------------------------------------------------


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
    rates: Sequence[float],
    seconds_per_member: float,
    full: bool,
) -> ml_collections.ConfigDict:
    """Return the locked config of an experiment that fine-tunes.

    Args:
        task: the ``task`` group; its ``limit`` is the number of labels, 0 for all.
        training_changes: the rate, steps and sizes of :func:`rnnlab.training.config`.
        few_labels: labels of the members that have few.
        few_steps: updates of the members with few labels.
        rates: learning rates to tune.
        seconds_per_member: estimated seconds per member, for ``--dry_run``.
        full: whether this is the large scale: BERT-Small instead of BERT-Tiny.
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
                rates=tuple(rates),  # learning rates to try, for each kind of first weights
                few_labels=few_labels,
                few_steps=few_steps,
                seconds_per_member=seconds_per_member,
                seconds_per_group=20.0,
            ),
        }
    )
    return config.lock()


def comparisons(
    config: Config,
    score: str,
    equivalent: float,
    data: str,
    examples: str,
    counted: Callable[[], int],
) -> list[Comparison]:
    """Compare random with pre-trained first weights, by number of labels.

    All members read the same pieces. Without pre-trained weights there is nothing to compare, and
    the run is one member that starts from random ones. Where ``run.few_labels`` is not fewer than
    all labels, few are a quarter of them, and a line says so.

    Args:
        config: as of :func:`config`. ``pretrained`` is the alternative to random weights;
            ``task.limit`` and ``training.steps`` are for all labels, ``run.few_labels`` and
            ``run.few_steps`` for few.
        score: by which they are compared. equivalent: a difference of it that does not matter.
        data: in words, where no file is given.
        examples: to learn from, in words, in the plural. counted: returns the number of them.
    Raises:
        ValueError: too few examples.
    """
    path = config.pretrained
    if not path:
        return []
    few, count = config.run.few_labels, None
    with suppress(ValueError, OSError):  # data that cannot be read are refused with a member
        count = counted()
    if count is not None:
        few = few_of(few, min(config.task.limit or count, count), "run.few_labels", examples)
    sizes = {
        FEW: (few, config.run.few_steps),
        ALL: (config.task.limit, config.training.steps),
    }
    return [
        Comparison(
            {
                PRETRAINED: {"start.path": path, "task.pieces": path},
                RANDOM: {"start.path": "", "task.pieces": path},
            },
            tune={RATE: config.run.rates},
            score=score,
            equivalent=equivalent,
            tuning_seeds=TUNING_SEEDS,
            seeds=SEEDS,
            question=f"On {Path(config.task.path).name or data} with {in_words(limit)}",
            name=name,
            fixed={"task.limit": limit, "training.steps": steps},
        )
        for name, (limit, steps) in sizes.items()
    ]


# ---- results -----------------------------------------------------------------------------------


def lines(table: Table, limit: int) -> dict[str, Table]:
    """Return {"random": members, "pre-trained": members} with ``limit`` labels."""
    groups = table.select({"task.limit": limit}).group_by("start.path")
    return {PRETRAINED if path else RANDOM: groups[path] for path in sorted(groups)}


def label_counts(table: Table) -> tuple[int, int]:
    """Return the numbers of labels that are compared, the fewest and the most; 0 means all.

    Raises:
        Undecided: there are no members.
    """
    if not len(table):
        raise Undecided("there are no members")
    limits = sorted(table.values("task.limit"), key=lambda n: n or math.inf)
    few = limits[0] if len(limits) > 1 else table[0].config["run"]["few_labels"]
    return few, limits[-1]


def in_words(limit: int) -> str:
    """Return a ``task.limit`` in words.

    >>> in_words(0), in_words(12_000)
    ('all labels', '12,000 labels')
    """
    return f"{limit:,} labels" if limit else "all labels"


def better_starts(
    table: Table, results: Comparisons, source: str, expected: str = "holds"
) -> list[Claim]:
    """Return the claims that pre-trained first weights are better, with few labels and with all."""
    few, most = (in_words(limit) for limit in label_counts(table))
    statements = {
        FEW: f"With {few}, a pre-trained start is better than one at random",
        ALL: f"… with {most}, too",
    }
    return [
        better(
            statement,
            comparisons=results,
            name=name,
            arms=(PRETRAINED, RANDOM),
            source=source,
            expected=expected,
        )
        for name, statement in statements.items()
    ]


def needing_weights(claims: Iterable[Claim], table: Table) -> list[Claim]:
    """Return claims that are undecided, and say what to type, without pre-trained weights."""
    if table[0].config["pretrained"]:
        return list(claims)

    def check() -> tuple[bool, str]:
        raise Undecided(
            "random first weights have nothing to be compared with: give "
            "--config.pretrained=DIR, a run of bert_pretraining.py or a folder of a checkpoint"
        )

    return [dataclasses.replace(claim, check=check) for claim in claims]


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
