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

from typing import Any

import ml_collections
import numpy as np

from rnnlab import theory, training
from rnnlab.core.errors import Undecided
from rnnlab.nn import layers
from rnnlab.nn.initializers import InitScheme, parse
from rnnlab.plotting import learning_curves, plots
from rnnlab.results.claims import Claim
from rnnlab.results.table import Table
from rnnlab.training import runner

# (task, the option that is its span, the spans); T_max is 3/2 of the delay, or the length
RECALL = ("delayed_recall", "delay", (20, 50, 100, 200))
PAPER = (
    ("copy_memory", "delay", (500, 2000)),
    ("variable_copy", "delay", (500, 1000)),
    ("adding", "length", (200, 750)),
)
BIASES = ("0.0", "1.0")  # and chrono, whose T_max follows the span
KEY = "init.forget_bias"
PAR = 0.05  # a difference that counts, of a loss relative to the memoryless answer's

run = runner.run


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The default, or with "full" the paper's tasks, lengths and number of units."""
    if arg not in (None, "", "full"):
        raise ValueError(f"chrono.py takes no argument or :full, got {arg!r}")
    full = arg == "full"
    config = ml_collections.ConfigDict(
        {
            "seed": 0,
            # a task has a delay or a length; what is None is left to it
            "task": {"name": "delayed_recall", "delay": None, "length": None, "noise": None},
            "cell": layers.config("lstm", 128 if full else 32),
            "init": InitScheme.config(),
            "training": training.config(
                optimizer="rmsprop",
                decay=0.9,
                learning_rate=1e-3,
                steps=50_000 if full else 2000,
                batch_size=50 if full else 32,
                eval_every=500 if full else 50,
                eval_batch_size=500 if full else 250,
            ),
            "run": runner.config(
                tasks=PAPER if full else (RECALL,),
                noise=0.1,  # of delayed recall
                seeds=3,
                seconds_per_member=19_000.0 if full else 7.0,
                seconds_per_group=20.0 if full else 8.0,
            ),
        }
    )
    return config.lock()


def get_sweep(config: Any) -> list[dict[Any, Any]]:
    """Tasks x delays x forget biases x seeds."""
    return [
        {
            "task.name": (name,),
            f"task.{span}": (value,),
            "init.forget_bias": (
                *BIASES,
                f"chrono(t_max={3 * value // 2 if span == 'delay' else value})",
            ),
            "seed": tuple(range(config.run.seeds)),
            **({"task.noise": (config.run.noise,)} if name == "delayed_recall" else {}),
        }
        for name, span, values in config.run.tasks
        for value in values
    ]


def _t_max(span: str, value: int) -> int:
    return 3 * value // 2 if span == "delay" else value


def predict(config: Any) -> dict[str, Any]:
    """What closed gates would keep over the span: σ(b_f)^T, the mean over units (log10)."""
    span, bias = config.task.delay or config.task.length, config.init.forget_bias
    if bias.startswith("chrono"):
        kept = np.log10(theory.chrono_retention(parse(bias)[1]["t_max"], span))
    else:
        kept = theory.gate_retention_log10(float(bias), span)
    return {"span": span, "retention_log10": float(kept)}


# ---- what is read from the members -------------------------------------------------------------


def kind(bias: str) -> str:
    """The forget bias as it is named in figures and claims: "0", "1" or "chrono"."""
    return "chrono" if bias.startswith("chrono") else f"{float(bias):g}"


def spans(table: Table) -> dict[tuple[str, int], Table]:
    """The members by task and span."""
    found: dict[tuple[str, int], list[Any]] = {}
    for member in table:
        place = (member.config["task"]["name"], int(member.result["span"]))
        found.setdefault(place, []).append(member)
    return {place: Table(members) for place, members in found.items()}


def by_bias(chosen: Table, bias: str) -> Table:
    """The members with a bias of this kind.

    Raises:
        Undecided: none.
    """
    own = [b for b in chosen.values("init.forget_bias") if kind(b) == bias]
    if not own:
        raise Undecided(f"no member with forget bias {bias}")
    return chosen.select({"init.forget_bias": own})


# ---- figures -----------------------------------------------------------------------------------

ORDER = ("0", "1", "chrono")
LABELS = {"0": "b_f = 0", "1": "b_f = 1", "chrono": "chrono"}


def figures(table: Table) -> dict[str, Any]:
    """What is left to learn against the span and against updates."""
    out = {}
    for task in dict.fromkeys(name for name, _ in spans(table)):
        here = {span: own for (name, span), own in spans(table).items() if name == task}
        out[f"{task}_span"], out[f"{task}_curves"] = _by_span(here), _by_update(here)
    return out


def _by_span(here: dict[int, Table]) -> tuple[Any, str]:
    figure, axes = plots.new_figure(1, 2, size=(11, 3.8))
    (left, solved), values = axes[0], sorted(here)
    budget = here[values[0]][0].config["training"]["steps"]
    ends: dict[Any, list[Any]] = {left: [], solved: []}
    for index, bias in enumerate(ORDER):
        own = [value for value in values if bias in map(kind, here[value].values(KEY))]
        if not own:
            continue
        chosen = [by_bias(here[value], bias) for value in own]
        count = min(map(len, chosen))  # seeds that every span has
        shares = np.stack([learning_curves.share_left(c)[1][:count, -1] for c in chosen], axis=1)
        at = np.stack([c.stack("solved_at")[:count] for c in chosen], axis=1)
        at = learning_curves.drawable(at, budget)
        for ax, found in ((left, shares), (solved, at)):
            ends[ax].append(learning_curves.band_with_points(ax, own, found, LABELS[bias], index))
    left.set(ylim=(0, 1.05), ylabel="test loss at the end / memoryless")
    plots.title(left, "What is left to be learned")
    learning_curves.updates_axis(solved, budget)
    plots.title(solved, "Time to solve")
    for ax in (left, solved):
        learning_curves.length_axis(ax, values, "steps to be bridged")
        plots.direct_labels(ax, ends[ax])
    return figure, (
        "LSTM by forget bias, median and 10–90% band over seeds, after Tallec & Ollivier 2018, "
        "Figs 1–4. Left: the test loss at the end as a share of the memoryless answer's. Right: "
        "updates until the task counts as solved; the dashed line is the budget."
    )


def _by_update(here: dict[int, Table]) -> tuple[Any, str]:
    values = sorted(here)
    figure, axes = plots.new_figure(1, len(values), size=(3.4 * len(values), 3.4), share_y=True)
    for ax, value in zip(axes[0], values, strict=True):
        ends = []
        for index, bias in enumerate(ORDER):
            if bias in map(kind, here[value].values(KEY)):
                found = learning_curves.share_left(by_bias(here[value], bias))
                ends.append(plots.band(ax, *found, LABELS[bias], index))
        last = here[value][0].config["training"]["steps"]
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


def claims(table: Table) -> list[Claim]:
    """What Jozefowicz et al. and Tallec & Ollivier report, for each task."""
    places = spans(table)
    return [
        claim
        for task in dict.fromkeys(name for name, _ in places)
        for claim in _claims_of(task, {s: own for (name, s), own in places.items() if name == task})
    ]


def _claims_of(task: str, here: dict[int, Table]) -> list[Claim]:
    short, long = min(here), max(here)
    name = task.replace("_", " ")

    def left(span: int, bias: str) -> float:
        return float(np.median(learning_curves.mean_left(by_bias(here[span], bias))))

    def sooner(better: str, worse: str, span: int) -> Any:
        def check() -> tuple[bool, str]:
            found = {bias: left(span, bias) for bias in (better, worse)}
            words = (
                f"{LABELS[b]} {x:.3f} ({learning_curves.solved(by_bias(here[span], b))})"
                for b, x in found.items()
            )
            return found[better] <= found[worse] - PAR, "; ".join(words)

        return check

    def twice() -> tuple[bool, str]:
        chosen = {bias: by_bias(here[long], bias) for bias in ("chrono", "1")}
        at = {bias: float(np.median(own.stack("solved_at"))) for bias, own in chosen.items()}
        return bool(np.isfinite(at["chrono"]) and at["chrono"] <= at["1"] / 2), "; ".join(
            f"{LABELS[bias]}: {learning_curves.solved(own)}" for bias, own in chosen.items()
        )

    def nowhere_worse() -> tuple[bool, str]:
        pairs = {span: (left(span, "chrono"), left(span, "1")) for span in sorted(here)}
        return all(c <= one + PAR for c, one in pairs.values()), "; ".join(
            f"{span}: {c:.3f} against {one:.3f}" for span, (c, one) in pairs.items()
        )

    budget = "median over seeds of the mean test loss over the budget, relative to the memoryless"
    tallec = "Tallec & Ollivier 2018 (arXiv 1804.11188), Figs 1–4"
    return [
        Claim(
            f"An LSTM learns sooner with forget bias 1 than with 0: {name} over {short} steps",
            "Jozefowicz, Zaremba & Sutskever 2015; Gers, Schmidhuber & Cummins 2000",
            f"{budget}: at least {PAR} lower",
            "holds",
            sooner("1", "0", short),
        ),
        Claim(
            f"At long delay chrono learns in half the time of forget bias 1 or less: {name} over "
            f"{long} steps",
            tallec,
            "median updates until solved: at most half, and at least half of the seeds solve it",
            "holds",
            twice,
        ),
        Claim(
            f"Chrono is at no delay worse than forget bias 1: {name}",
            tallec,
            f"{budget}: at most {PAR} higher at every delay",
            "holds",
            nowhere_worse,
        ),
    ]
