"""Forget bias 0, 1 and chrono: over which delay an LSTM learns to remember.

    rnnlab run --config=experiments/learning/chrono.py

One of eight symbols, noise for a delay of 20 to 200 steps, then its name; after Tallec & Ollivier
2018, with their optimizer (RMSprop, rate 1e-3, no clipping) and 32 units. About 2 minutes on 2
cores. ":full" has their tasks and their scale: LSTM-128 on copy, variable copy and adding.

Expected (Tallec & Ollivier: chrono learns to add over 750 steps about 7 times sooner than b_f = 1):
b_f = 0 learns at no delay, b_f = 1 where the delay is short, chrono where it is long. In pilots of
one seed chrono bridged 200 steps after 1500 updates; at 20 and 50 steps b_f = 1 was sooner, for
b_i = −b_f opens the input gate of a slow unit but little. The claims were written before those.
"""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from rnnlab import theory, training
from rnnlab.core.errors import Pooled, Undecided
from rnnlab.lab.config import Config, scale, seeds
from rnnlab.lab.lines import cell_in_words
from rnnlab.lab.sweep import Sweep
from rnnlab.nn import layers
from rnnlab.nn.initializers import InitScheme, parse
from rnnlab.plotting import learning_curves, plots
from rnnlab.results.claims import Claim, claim
from rnnlab.results.table import Member, Table
from rnnlab.training import runner

# (task, the option that is its span, the spans)
RECALL = ("delayed_recall", "delay", (20, 50, 100, 200))
PAPER = (
    ("copy_memory", "delay", (500, 2000)),
    ("variable_copy", "delay", (500, 1000)),
    ("adding", "length", (200, 750)),
)
BIASES = ("0.0", "1.0")  # and chrono, whose T_max follows the span
KEY = "init.forget_bias"
Spans = Mapping[int, Table]  # the members of a task by span
PAR = 0.05  # a difference that counts, of a loss relative to the memoryless answer's

run = training.run


def get_config(arg: str | None = None) -> ConfigDict:
    """Return the default config, or with "full" the paper's tasks, lengths and number of units."""
    full = scale(arg) == "full"
    config = ConfigDict(
        {
            "seed": 0,
            # what is None is left to the task
            "task": {
                "name": "delayed_recall",
                "delay": None,
                "length": None,  # T of a task that has a length in place of a delay
                "noise": None,
            },
            "cell": layers.config("lstm", 128 if full else 32),
            "init": InitScheme.config(),
            "training": training.config(
                optimizer="rmsprop(decay=0.9)",
                learning_rate=1e-3,
                steps=50_000 if full else 2000,
                batch_size=50 if full else 32,
                eval_every=500 if full else 50,
                eval_batch_size=500 if full else 250,
            ),
            "run": runner.config(
                tasks=PAPER if full else (RECALL,),  # tasks with the key of T and its values
                noise=0.1,  # standard deviation of delayed recall's noise
                seeds=3,
                seconds_per_member=19_000.0 if full else 7.0,
                seconds_per_group=20.0 if full else 8.0,
            ),
        }
    )
    return config.lock()


def get_sweep(config: Config) -> Sweep:
    """Return tasks x delays x forget biases x seeds."""
    return [
        {
            "task.name": (name,),
            f"task.{span}": (value,),
            KEY: (*BIASES, f"chrono(t_max={_t_max(span, value)})"),
            "seed": seeds(config),
            **({"task.noise": (config.run.noise,)} if name == "delayed_recall" else {}),
        }
        for name, span, values in config.run.tasks
        for value in values
    ]


def _t_max(span: str, value: int) -> int:
    """Return chrono's T_max: 3/2 of the delay, or the length."""
    return 3 * value // 2 if span == "delay" else value


def predict(config: Config) -> dict[str, object]:
    """Predict the share that closed gates keep over the span: σ(b_f)^T, mean over units (log10)."""
    span, bias = config.task.delay or config.task.length, config.init.forget_bias
    if bias.startswith("chrono"):
        kept = np.log10(theory.chrono_retention(parse(bias)[1]["t_max"], span))
    else:
        kept = theory.gate_retention_log10(float(bias), span)
    return {"span": span, "retention_log10": float(kept)}


# ---- what is read from the members -------------------------------------------------------------


def kind(bias: str) -> str:
    """Return the name of a forget bias in figures and claims: "0", "1" or "chrono"."""
    return "chrono" if bias.startswith("chrono") else f"{float(bias):g}"


def by_task(table: Table) -> dict[str, Spans]:
    """Group the members by task, and these by span."""
    groups: dict[str, dict[int, list[Member]]] = {}
    for member in table:
        task, span = member.config["task"]["name"], int(member.result["span"])
        groups.setdefault(task, {}).setdefault(span, []).append(member)
    return {
        task: {span: Table(members) for span, members in by_span.items()}
        for task, by_span in groups.items()
    }


def by_bias(chosen: Table, bias: str) -> Table:
    """Select the members with a bias of this kind.

    Raises:
        Undecided: no such member.
        Pooled: members with several biases of this kind.
    """
    biases = [b for b in chosen.values(KEY) if kind(b) == bias]
    if not biases:
        raise Undecided(f"no member with forget bias {bias}")
    if len(biases) > 1:
        raise Pooled({KEY: biases})
    return chosen.select({KEY: biases})


# ---- figures -----------------------------------------------------------------------------------

ORDER = ("0", "1", "chrono")
LABELS = {"0": "b_f = 0", "1": "b_f = 1", "chrono": "chrono"}


def cell_of(groups: Spans) -> str:
    """Return the name of the members' cell."""
    return next(iter(groups.values()))[0].config["cell"]["name"]


def label(groups: Spans, bias: str) -> str:
    """Return the label of a forget bias: b_z of a GRU, b_f of other cells."""
    return LABELS[bias].replace("b_f", "b_z" if "gru" in cell_of(groups) else "b_f")


def figures(table: Table) -> dict[str, tuple[Figure, str]]:
    """Draw what is left to learn against the span and against updates."""
    drawn = {}
    for task, groups in by_task(table).items():
        drawn |= {f"{task}_span": _by_span(groups), f"{task}_curves": _by_update(groups)}
    return drawn


def _by_span(groups: Spans) -> tuple[Figure, str]:
    figure, axes = plots.new_figure(1, 2, size=(11, 3.8))
    (left, solved), values = axes[0], sorted(groups)
    budget = groups[values[0]][0].config["training"]["steps"]
    ends: dict[Axes, list[plots.End | None]] = {left: [], solved: []}
    for index, bias in enumerate(ORDER):
        x = [value for value in values if bias in map(kind, groups[value].values(KEY))]
        if not x:
            continue
        members = [by_bias(groups[value], bias) for value in x]
        count = min(map(len, members))  # seeds that every span has
        shares = np.stack([learning_curves.share_left(m)[1][:count, -1] for m in members], axis=1)
        at = np.stack([m.stack("solved_at")[:count] for m in members], axis=1)
        at = learning_curves.drawable(at, budget)
        for ax, y in ((left, shares), (solved, at)):
            ends[ax].append(learning_curves.band_with_points(ax, x, y, label(groups, bias), index))
    left.set(ylim=(0, 1.05), ylabel="test loss at the end / memoryless")
    plots.title(left, "What is left to be learned")
    learning_curves.updates_axis(solved, budget)
    plots.title(solved, "Time to solve")
    for ax in (left, solved):
        learning_curves.length_axis(ax, values, "steps to be bridged")
        plots.direct_labels(ax, ends[ax])
    return figure, (
        f"{cell_in_words(cell_of(groups)).split(' ', 1)[-1]} by forget bias, median and 10–90% "
        "band over seeds, after Tallec & Ollivier 2018, Figs 1–4. Left: the test loss at the end "
        "as a share of the memoryless answer's. Right: updates until the task counts as solved; "
        "the dashed line is the budget."
    )


def _by_update(groups: Spans) -> tuple[Figure, str]:
    values = sorted(groups)
    figure, axes = plots.new_figure(1, len(values), size=(3.4 * len(values), 3.4), share_y=True)
    for ax, value in zip(axes[0], values, strict=True):
        ends = []
        for index, bias in enumerate(ORDER):
            if bias in map(kind, groups[value].values(KEY)):
                steps, shares = learning_curves.share_left(by_bias(groups[value], bias))
                ends.append(plots.band(ax, steps, shares, label(groups, bias), index))
        last = groups[value][0].config["training"]["steps"]
        ax.set(xlabel="updates", xlim=(0, last), ylim=(0, 1.05))
        learning_curves.baseline(ax, 1.0, "")
        plots.title(ax, f"{value} steps")
        plots.direct_labels(ax, ends)
    axes[0, 0].set_ylabel("test loss / memoryless")
    return figure, (
        "The test loss against updates, as a share of the memoryless answer's (dotted), by steps "
        "to be bridged; median and 10–90% band over seeds. A member that has solved its task "
        "stops, with nothing left to learn."
    )


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


TALLEC = "Tallec & Ollivier 2018 (arXiv 1804.11188), Figs 1–4"
MEAN_LOSS = (
    "median over seeds of the mean test loss over the budget, relative to the memoryless answer's"
)


def _mean_left(groups: Spans, span: int, bias: str) -> float:
    return float(np.median(learning_curves.mean_left(by_bias(groups[span], bias))))


@claim(
    "{cell} learns sooner with forget bias 1 than with 0: {task} over {span} steps",
    source="Jozefowicz, Zaremba & Sutskever 2015; Gers, Schmidhuber & Cummins 2000",
    holds_if=MEAN_LOSS + ": at least {lower:g} lower",
    expected="holds",
    lower=PAR,
)
def _sooner(groups: Spans, span: int, lower: float) -> tuple[bool, str]:
    left = {bias: _mean_left(groups, span, bias) for bias in ("1", "0")}
    words = (
        f"{label(groups, bias)} {loss:.3f} ({learning_curves.solved(by_bias(groups[span], bias))})"
        for bias, loss in left.items()
    )
    return left["1"] <= left["0"] - lower, "; ".join(words)


@claim(
    "At long delay chrono learns in half the time of forget bias 1 or less: {task} over {span} "
    "steps",
    source=TALLEC,
    holds_if="median updates until solved: at most {share:g} of forget bias 1's, and at least half "
    "of the seeds solve it",
    expected="holds",
    share=0.5,
)
def _twice_as_fast(groups: Spans, span: int, share: float) -> tuple[bool, str]:
    members = {bias: by_bias(groups[span], bias) for bias in ("chrono", "1")}
    at = {bias: float(np.median(m.stack("solved_at"))) for bias, m in members.items()}
    words = (f"{label(groups, bias)}: {learning_curves.solved(m)}" for bias, m in members.items())
    holds = np.isfinite(at["chrono"]) and at["chrono"] <= share * at["1"]
    return bool(holds), "; ".join(words)


@claim(
    "Chrono is at no delay worse than forget bias 1: {task}",
    source=TALLEC,
    holds_if=MEAN_LOSS + ": at most {higher:g} higher at every delay",
    expected="holds",
    higher=PAR,
)
def _nowhere_worse(groups: Spans, higher: float) -> tuple[bool, str]:
    pairs = {
        span: (_mean_left(groups, span, "chrono"), _mean_left(groups, span, "1"))
        for span in sorted(groups)
    }
    return all(chrono <= usual + higher for chrono, usual in pairs.values()), "; ".join(
        f"{span}: {chrono:.3f} against {usual:.3f}" for span, (chrono, usual) in pairs.items()
    )


def claims(table: Table) -> list[Claim]:
    """List what Jozefowicz et al. and Tallec & Ollivier report, for each task."""
    listed = []
    for task, groups in by_task(table).items():
        words, name = task.replace("_", " "), cell_in_words(cell_of(groups))
        listed += [
            _sooner(groups, cell=f"{name[0].upper()}{name[1:]}", task=words, span=min(groups)),
            _twice_as_fast(groups, task=words, span=max(groups)),
            _nowhere_worse(groups, task=words),
        ]
    return listed
