"""Forget bias 0, 1 and chrono: how soon an LSTM learns to remember, by the delay.

    rnnlab run --config=experiments/learning/chrono.py

One of eight symbols, noise for a delay of 20 to 200 steps, then its name; after Tallec & Ollivier
2018, with their optimizer (RMSprop, no clipping), 32 units and 800 updates, each bias at its own
learning rate. About 4 minutes on 2 cores; ":full" has their tasks and their scale: LSTM-128 on
copy, variable copy and adding.

Expected: b_f = 1 learns sooner than b_f = 0 (Jozefowicz et al. 2015), chrono sooner than b_f = 1
where the delay is long and nowhere later (Tallec & Ollivier: to add over 750 steps about 7 times
sooner).

Found: all of it. Updates of b_f = 1 and of chrono, medians: 138 and 50 over 20 steps (ratio of the
times 2.3 [1.6 to 3.5]), 525 and 212 over 100, never (none of 8 seeds) and 412 over 200. Chrono
takes far higher rates, 0.03 to 0.09, than b_f = 1, 0.001 to 0.01: at one rate for both it seemed
later. With b_f = 0 two of 8 seeds learn it over 20 steps.
"""

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from rnnlab import theory, training
from rnnlab.lab.comparison import RATE, Comparison
from rnnlab.lab.config import Config, scale
from rnnlab.lab.lines import cell_in_words
from rnnlab.nn import layers
from rnnlab.nn.initializers import InitScheme, parse
from rnnlab.plotting import learning_curves, plots
from rnnlab.results.claims import Claim
from rnnlab.results.comparison import Comparisons
from rnnlab.results.comparison_claims import as_good, better
from rnnlab.results.table import Table
from rnnlab.training import runner

# (task, the option that is its span, the spans)
RECALL = ("delayed_recall", "delay", (20, 100, 200))
PAPER = (
    ("copy_memory", "delay", (500, 2000)),
    ("variable_copy", "delay", (500, 1000)),
    ("adding", "length", (200, 750)),
)
RATES = (1e-3, 3e-3, 1e-2, 3e-2)
CHRONO = "chrono"  # the arm beside those of :func:`bias`

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
                steps=50_000 if full else 800,
                batch_size=50 if full else 32,
                eval_every=500 if full else 25,
                eval_batch_size=500 if full else 250,
            ),
            "run": runner.config(
                tasks=PAPER if full else (RECALL,),  # tasks with the key of T and its values
                noise=0.1,  # standard deviation of delayed recall's noise
                seconds_per_member=19_000.0 if full else 2.5,
                seconds_per_group=20.0 if full else 8.0,
            ),
        }
    )
    return config.lock()


# ---- what is compared --------------------------------------------------------------------------


class Panel(NamedTuple):
    """A task at a span, which is a comparison.

    Args:
        task: its name. key: the option that is its span. span: steps to be bridged.
        shortest: whether it is the task's shortest span, longest: the longest.
    """

    task: str
    key: str
    span: int
    shortest: bool
    longest: bool

    @property
    def name(self) -> str:
        """The name of the comparison."""
        return f"{self.task}_{self.span}"

    @property
    def words(self) -> str:
        """The task and its span, for a sentence."""
        return f"{self.task.replace('_', ' ')} over {self.span} steps"

    @property
    def t_max(self) -> int:
        """Chrono's T_max: 3/2 of the delay, or the length."""
        return 3 * self.span // 2 if self.key == "delay" else self.span


def panels(tasks: tuple[tuple[str, str, tuple[int, ...]], ...]) -> list[Panel]:
    """Return the panels of ``run.tasks``."""
    return [
        Panel(name, key, span, span == min(spans), span == max(spans))
        for name, key, spans in tasks
        for span in spans
    ]


def bias(cell: str, value: int) -> str:
    """Return the name of the arm with a constant forget bias: b_z of a GRU, b_f of other cells."""
    return f"{'b_z' if 'gru' in cell else 'b_f'} = {value}"


def comparison(config: Config) -> list[Comparison]:
    """Compare b_f = 1 with chrono at every span, and with b_f = 0 at the shortest one."""
    key, cell = "init.forget_bias", config.cell.name
    listed = []
    for panel in panels(config.run.tasks):
        arms = {
            bias(cell, 1): {key: "1.0"},
            CHRONO: {key: f"chrono(t_max={panel.t_max})"},
        }
        if panel.shortest:  # where it has a chance; elsewhere it costs the whole budget
            arms[bias(cell, 0)] = {key: "0.0"}
        noise = {"task.noise": config.run.noise} if panel.task == "delayed_recall" else {}
        listed.append(
            Comparison(
                arms,
                tune={RATE: RATES},
                reference=bias(cell, 1),
                tuning_seeds=2,
                seeds=(8, 16, 32),
                question=f"On {panel.words}",
                name=panel.name,
                fixed={"task.name": panel.task, f"task.{panel.key}": panel.span, **noise},
            )
        )
    return listed


def predict(config: Config) -> dict[str, object]:
    """Predict the share that closed gates keep over the span: σ(b_f)^T, mean over units (log10).

    Nothing is predicted where the config leaves the span to the task, or b_f to the cell.
    """
    span, bias = config.task.delay or config.task.length, config.init.forget_bias
    if not span or not bias:
        return {}
    if bias.startswith("chrono"):
        kept = np.log10(theory.chrono_retention(parse(bias)[1]["t_max"], span))
    else:
        kept = theory.gate_retention_log10(float(bias), span)
    return {"span": span, "retention_log10": float(kept)}


# ---- figures -----------------------------------------------------------------------------------


def figures(table: Table, comparisons: Comparisons) -> dict[str, tuple[Figure, str]]:
    """Draw what is left to learn, and the updates until it is solved, against the span."""
    run_config = table[0].config["run"]
    return {
        f"{task}_span": _by_span(
            table, comparisons, [p for p in panels(run_config["tasks"]) if p.task == task]
        )
        for task, *_ in run_config["tasks"]
    }


def _by_span(table: Table, comparisons: Comparisons, task: list[Panel]) -> tuple[Figure, str]:
    first = table[0].config
    cell, budget = first["cell"]["name"], first["training"]["steps"]
    figure, axes = plots.new_figure(size=(6.4, 3.8))
    ax, ends = axes[0, 0], []
    for index, name in enumerate((bias(cell, 0), bias(cell, 1), CHRONO)):
        solved = {
            panel.span: arm.test
            for panel in sorted(task, key=lambda panel: panel.span)
            for arm in comparisons[panel.name].arms
            if arm.name == name
        }
        if not solved:
            continue
        count = min(map(len, solved.values()))  # seeds that every span has
        at = np.array([times[:count] for times in solved.values()]).T
        at = learning_curves.drawable(at, budget)
        ends.append(learning_curves.band_with_points(ax, list(solved), at, name, index))
    learning_curves.updates_axis(ax, budget)
    learning_curves.length_axis(ax, sorted(p.span for p in task), "steps to be bridged")
    plots.direct_labels(ax, ends)
    words = cell_in_words(cell).split(" ", 1)[-1]
    return figure, (
        f"Updates until {task[0].task.replace('_', ' ')} is solved, {words} by forget bias, each "
        f"at its own best learning rate: {plots.MEDIAN_AND_BAND} over seeds, after Tallec & "
        "Ollivier 2018, Figs 1–4. The dashed line is the budget."
    )


# ---- claims: expected verdicts, fixed before results -------------------------------------------


TALLEC = "Tallec & Ollivier 2018 (arXiv 1804.11188), Figs 1–4"


def claims(table: Table, comparisons: Comparisons) -> list[Claim]:
    """List what Jozefowicz et al. and Tallec & Ollivier report, for each task."""
    cell, tasks = table[0].config["cell"]["name"], table[0].config["run"]["tasks"]
    learner = cell_in_words(cell)
    listed = []
    for panel in panels(tasks):
        shared = {"comparisons": comparisons, "name": panel.name}
        one = bias(cell, 1)
        if panel.shortest:
            listed.append(
                better(
                    f"{learner[0].upper()}{learner[1:]} learns sooner with forget bias 1 than with "
                    f"0: {panel.words}",
                    arms=(one, bias(cell, 0)),
                    source="Jozefowicz, Zaremba & Sutskever 2015; Gers, Schmidhuber & Cummins 2000",
                    **shared,
                )
            )
        if panel.longest:
            listed.append(
                better(
                    f"At long delay chrono learns sooner than forget bias 1: {panel.words}",
                    arms=(CHRONO, one),
                    source=TALLEC,
                    **shared,
                )
            )
        else:
            listed.append(
                as_good(
                    f"Chrono learns no later than forget bias 1: {panel.words}",
                    arms=(CHRONO, one),
                    source=TALLEC,
                    **shared,
                )
            )
    return listed
