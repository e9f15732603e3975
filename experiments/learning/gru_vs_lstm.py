"""GRU against LSTM against RNN over sequence lengths: what is learned, parameters, step time.

    rnnlab run --config=experiments/learning/gru_vs_lstm.py

The adding problem at T = 20, 50 and 200, H = 32, biases of 1 for what keeps the past (b_f and
b_z). Per length one comparison of the cells by the updates that they need, each with its own
learning rate; a tanh RNN takes part up to T = 50. About 4 minutes on 2 cores; ":full" has T up to
750 and H = 128 (2 to 7 days by --dry_run's estimate).

Expected, from the notes' claims 17 to 19: a GRU has 3/4 of an LSTM's recurrent parameters and a
faster step, learns short sequences as well or better, and an LSTM the very long ones; from
Jozefowicz et al. 2015: a GRU is better there, too.

Measured: the GRU is better at every length, at T = 20, 50 and 200 with 100, 140 and 190 updates
against 180, 410 and 1,480 (98 to 99% intervals of the ratio: 1.5 to 5.0, 2.3 to 4.7, 6.5 to 8.5),
both at a learning rate of 0.03: that an LSTM is better at very long dependencies is refuted by
this task. A tanh RNN solves T = 20 after 2,480 updates at 0.0033, and T = 50 for none of 8 seeds at
any of six rates from 0.0011 to 0.3. A GRU's step takes 0.8 to 0.9 of an LSTM's time, an RNN's 0.3
to 0.4. Version 1, at a learning rate of 0.003 for all, had 900 against 2900 updates at T = 200.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from rnnlab import training
from rnnlab.core.errors import Undecided
from rnnlab.lab import sweep
from rnnlab.lab.comparison import Comparison
from rnnlab.lab.config import Config, scale
from rnnlab.lab.lines import Labels
from rnnlab.lab.sweep import Sweep
from rnnlab.nn import models
from rnnlab.nn.initializers import InitScheme
from rnnlab.plotting import keys, learning_curves, plots
from rnnlab.results.claims import Claim, claim
from rnnlab.results.comparison import ComparisonResult, Comparisons
from rnnlab.results.comparison_claims import as_good, better, solves
from rnnlab.results.table import Table
from rnnlab.training import runner

CELLS = ("rnn-tanh", "gru", "lstm")
BLOCKS = {"rnn-tanh": 1, "gru": 3, "lstm": 4}  # kernels over [h, x], one per gate or candidate
# the notes' table: a positive bias for what keeps the past, b_f and b_z alike
FORGET = {"rnn-tanh": "", "gru": "1.0", "lstm": "1.0"}
TITLES = Labels({"rnn-tanh": "tanh RNN", "gru": "GRU", "lstm": "LSTM"})
RNN, GRU, LSTM = ARMS = tuple(TITLES[cell] for cell in CELLS)

run = training.run


def get_config(arg: str | None = None) -> ConfigDict:
    """Return the default config, or with "full" a larger one."""
    full = scale(arg) == "full"
    config = ConfigDict(
        {
            "seed": 0,
            "task": {"name": "adding", "length": 20, "solved_at": 0.01},
            "cell": {"name": "lstm", "hidden_size": 128 if full else 32, "layers": 1},
            "init": InitScheme.config(),
            "training": training.config(
                steps=20_000 if full else 3000,
                clip_norm=1.0,
                batch_size=32 if full else 16,
                eval_every=100 if full else 20,
                eval_batch_size=1000 if full else 200,
            ),
            "run": runner.config(
                lengths=(50, 100, 200, 400, 750) if full else (20, 50, 200),  # values of T
                # values of T at which an RNN takes part: where it fails it costs its whole budget
                rnn_lengths=(50, 100, 200) if full else (20, 50),
                # learning rates that are tried for every cell; smaller ones follow where an RNN
                # takes part, whose best one lies at the edge
                rates=(3e-4, 1e-3, 3e-3, 1e-2, 3e-2) if full else (1e-2, 3e-2, 1e-1, 3e-1),
                tuning_seeds=2,  # seeds with which learning rates are tried
                judged_seeds=(8, 16, 32),  # numbers of fresh seeds after which pairs are looked at
                timed=False,  # whether a member times steps of all cells; the sweep sets it
                repeats=51,  # timed turns of each cell
                seconds_per_member=900.0 if full else 1.0,
                seconds_per_group=12.0 if full else 5.0,
            ),
        }
    )
    return config.lock()


def comparison(config: Config) -> list[Comparison]:
    """Return a comparison of the cells per length, LSTM and RNN each against the GRU."""
    return [
        Comparison(
            name=panel(length),
            question=f"On {config.task.name.replace('_', ' ')} T={length}",
            arms={
                arm: {"cell.name": cell, "init.forget_bias": FORGET[cell]}
                for arm, cell in zip(ARMS, CELLS, strict=True)
                if arm != RNN or length in config.run.rnn_lengths
            },
            tune={"training.learning_rate": config.run.rates},
            # two pairs at three looks: 8 seeds out of 8 decide, which of three pairs they do not
            reference=GRU,
            tuning_seeds=config.run.tuning_seeds,
            seeds=config.run.judged_seeds,
            fixed={"task.length": length},
        )
        for length in config.run.lengths
    ]


def panel(length: int) -> str:
    """Return the name of the comparison at a length."""
    return f"length_{length}"


def get_sweep(config: Config) -> Sweep:
    """Return a member per length that times steps; it hardly trains."""
    return {
        "run.timed": (True,),
        "training.steps": (config.training.eval_every,),
        "cell.name": ("lstm",),
        "init.forget_bias": (FORGET["lstm"],),
        "task.length": config.run.lengths,
    }


def predict(config: Config) -> dict[str, object]:
    """Predict the parameters of the recurrent part: g·H(H + D + 1), g kernels over [h, x]."""
    task = training.task_of(config)
    H, D = config.cell.hidden_size, task.input_size
    if config.cell.name not in BLOCKS:  # of a cell of one's own: what it draws
        model = training.MemberSpec.from_config(config).setup.model
        draw = partial(training.draw_params, model, task=task)
        recurrent = jax.eval_shape(draw, jax.random.key(0))["params"]["recurrent"]
        return {"recurrent_params_predicted": models.count_params(recurrent)}
    return {"recurrent_params_predicted": BLOCKS[config.cell.name] * H * (H + D + 1)}


def measure(config: Config, setup: training.Setup, params: Mapping[str, Any]) -> dict[str, object]:
    """Count the parameters of the recurrent part; of the members for it, time steps."""
    del setup
    result: dict[str, object] = {
        "recurrent_params": models.count_params(params["params"]["recurrent"])
    }
    return result | (step_times(config) if config.run.timed else {})


def step_times(config: Config) -> dict[str, float]:
    """Return ms_<cell>, the time of one loss and gradient of each cell at this length.

    The cells take turns, and of each the fastest round counts: other work of the machine can only
    slow a round down.
    """
    calls = {}
    for name in CELLS:
        own_config = sweep.apply(config, {"cell.name": name, "init.forget_bias": FORGET[name]})
        member = training.member(own_config, jax.random.key(0))
        task, train = member.setup.task, training.make_train(member.setup)
        batch = task.batch(task.load(), member.key, 0, config.training.batch_size)
        compiled = jax.jit(train.gradient).lower(member.params, member.hyper, batch).compile()
        calls[name] = (compiled, (member.params, member.hyper, batch))
    seconds: dict[str, list[float]] = {name: [] for name in CELLS}
    for _ in range(config.run.repeats):
        for name, (compiled, arguments) in calls.items():
            start = time.perf_counter()
            jax.block_until_ready(compiled(*arguments))
            seconds[name].append(time.perf_counter() - start)
    return {f"ms_{name}": 1e3 * min(taken) for name, taken in seconds.items()}


# ---- figures -----------------------------------------------------------------------------------


def figures(table: Table, comparisons: Comparisons) -> dict[str, tuple[Figure, str]]:
    """Draw the figures of the report, each with its caption."""
    drawn = {"lengths": _lengths(table, comparisons), "parameters": _parameters(table)}
    try:
        return drawn | {"step_time": _step_time(table)}
    except Undecided:  # a narrowed sweep, in which nothing is timed
        return drawn


def _by_length(table: Table, comparisons: Comparisons) -> Iterator[tuple[int, ComparisonResult]]:
    """Yield (length, comparison) in the order of the lengths."""
    for length in sorted(table[0].config["run"]["lengths"]):
        yield length, comparisons[panel(length)]


def _lengths(table: Table, comparisons: Comparisons) -> tuple[Figure, str]:
    figure, axes = plots.new_figure(1, 1, size=(7, 3.8))
    ax, ends = axes[0, 0], []
    budget = max(member.config["training"]["steps"] for member in table)
    by_length = list(_by_length(table, comparisons))
    for index, name in enumerate(ARMS):
        look = plots.look(index)
        found = {
            length: arm for length, result in by_length for arm in result.arms if arm.name == name
        }
        medians = []
        for length, arm in found.items():
            at = learning_curves.drawable(np.array(arm.test), budget)
            beside = length * 1.03 ** (index - 1)  # points of the cells do not hide each other
            ax.plot([beside] * at.size, at, ".", color=look["color"], markersize=3, alpha=0.5)
            keys.mark(ax.lines[-1], "a seed")
            medians.append(float(np.median(at)))
        if found:
            ax.plot(list(found), medians, **look, marker="o", markersize=5)
            keys.mark(ax.lines[-1], plots.MEDIAN)
            ends.append(plots.End(max(found), medians[-1], name, look["color"]))
    learning_curves.updates_axis(ax, budget)
    ax.set_ylabel("updates until solved, at its best rate")
    learning_curves.length_axis(ax, [length for length, _ in by_length], "sequence length $T$")
    plots.direct_labels(ax, ends)
    task = table[0].config["task"]
    return figure, (
        f"{task['name'].replace('_', ' ').capitalize()}, by length and cell: updates until the "
        f"task is solved (task.solved_at={task['solved_at']:g}), each cell at the learning rate "
        "that is best at that length; a point per judged seed, lines through the medians. The "
        "dashed line is the budget."
    )


def _parameters(table: Table) -> tuple[Figure, str]:
    figure, axes = plots.new_figure(1, 1, size=(6, 2.6))
    ax = axes[0, 0]
    for y, (cell, members) in enumerate(table.group_by("cell.name").items()):
        result = members[0].result
        recurrent, rest = result["recurrent_params"], result["params"] - result["recurrent_params"]
        ax.barh(y, recurrent, color=plots.look(TITLES.place(cell, table))["color"], height=0.6)
        ax.barh(y, rest, left=recurrent, color="#bbbbbb", height=0.6)
        ax.text(result["params"], y, f"  {recurrent} + {rest}", va="center", fontsize=8)
    names = table.values("cell.name")
    ax.set_yticks(range(len(names)), [TITLES[name] for name in names])
    ax.margins(x=0.2)
    ax.set_xlabel("parameters: recurrent + read-out (gray)")
    return figure, "Parameters: g·H(H + D + 1), g = 1, 3 and 4, and the read-out, whatever T."


def _timed(table: Table) -> Table:
    """Select the members with which step times were measured."""
    members = table.select({"run.timed": True})
    if not len(members):
        raise Undecided("no member that times steps (run.timed)")
    return members


def _step_time(table: Table) -> tuple[Figure, str]:
    members = _timed(table)
    lengths = np.array([member.config["task"]["length"] for member in members])
    figure, axes = plots.new_figure(1, 2, size=(11, 3.6))
    times, ratios = axes[0]
    ends: dict[Axes, list[plots.End | None]] = {times: [], ratios: []}
    for index, cell in enumerate(CELLS):
        ms = members.each(f"ms_{cell}")[None]
        ends[times].append(plots.band(times, lengths, ms, TITLES[cell], index))
        ratio = ms / members.each("ms_lstm")
        ends[ratios].append(plots.band(ratios, lengths, ratio, TITLES[cell], index))
    ratios.set(ylim=(0, 1.4), ylabel="time / LSTM's")
    times.set(ylim=(0, None), ylabel="ms for a loss and its gradient")
    plots.title(times, "Step time")
    plots.title(ratios, "Relative to the LSTM")
    for ax in (times, ratios):
        ax.set_xlabel("sequence length $T$")
        plots.direct_labels(ax, ends[ax])
    return figure, (
        "Time of one loss and gradient, the three cells in turns in one process: the "
        "fastest round of each. Right: relative to the LSTM's."
    )


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


@claim(
    "The recurrent part of a GRU has 3/4 of an LSTM's parameters, an LSTM's is 4 times an RNN's",
    source="the notes, claim 17 and 18; closed form",
    holds_if="counted: exactly, and g·H(H + D + 1) for every member",
    expected="holds",
    closed_form=True,
)
def _parameter_ratio(table: Table) -> tuple[bool, str]:
    counted, predicted = (table.each(f"recurrent_params{end}") for end in ("", "_predicted"))
    simple, gru, lstm = (
        int(table.select({"cell.name": cell}).each("recurrent_params")[0]) for cell in CELLS
    )
    exact = bool((counted == predicted).all())
    return exact and 4 * gru == 3 * lstm and lstm == 4 * simple, (
        f"GRU/LSTM {gru}/{lstm} = {gru / lstm:g}, LSTM/RNN {lstm}/{simple} = {lstm / simple:g}"
    )


def _faster(statement: str, source: str, cell: str, than: str) -> Callable[..., Claim]:
    def check(table: Table, most: float) -> tuple[bool, str]:
        members = _timed(table)
        ratios = members.each(f"ms_{cell}") / members.each(f"ms_{than}")
        lengths = [member.config["task"]["length"] for member in members]
        words = ", ".join(f"{r:.2f} at T = {T}" for T, r in zip(lengths, ratios, strict=True))
        return bool(ratios.max() < most), words

    names = "/".join(TITLES[name] for name in (cell, than))
    return claim(
        statement,
        source=source,
        holds_if=f"ratio {names} of times below {{most:g}} at every length",
        expected="holds",
        most=1,
    )(check)


_gru_faster = _faster("A GRU's step is faster than an LSTM's", "the notes, claim 18", "gru", "lstm")
_lstm_slower = _faster(
    "An LSTM's step is slower than an RNN's", "the notes, claim 17", "rnn-tanh", "lstm"
)
_gru_slower = _faster(
    "A GRU's step is slower than an RNN's", "the notes, claim 18", "rnn-tanh", "gru"
)


# times were medians over rounds, until a first run on a loaded machine, whose verdicts were the
# same but whose ranges over rounds reached from 0.1 to 6
def claims(table: Table, comparisons: Comparisons) -> list[Claim]:
    """List the notes' claims 11 and 17 to 19, and what is published of adding and of the GRU."""
    lengths = table[0].config["run"]["lengths"]
    short, long = min(lengths), max(lengths)
    too_long = max(table[0].config["run"]["rnn_lengths"], default=long)
    at_short: dict[str, Any] = {"comparisons": comparisons, "name": panel(short)}
    at_long: dict[str, Any] = {"comparisons": comparisons, "name": panel(long)}
    learn = "the notes, claim 11, 17 and 18; Hochreiter & Schmidhuber 1997"
    return [
        _parameter_ratio(table),
        _gru_faster(table),
        _lstm_slower(table),
        _gru_slower(table),
        as_good(
            f"On short sequences (T = {short}) a GRU is on par with an LSTM",
            arms=(GRU, LSTM),
            source="the notes, claim 18; Chung et al. 2014",
            **at_short,
        ),
        better(
            f"On short sequences (T = {short}) a GRU is better than an LSTM",
            arms=(GRU, LSTM),
            source="the notes, claim 18",
            **at_short,
        ),
        better(
            f"On very long dependencies (T = {long}) an LSTM is better than a GRU",
            arms=(LSTM, GRU),
            source="the notes, claim 19",
            **at_long,
        ),
        better(
            f"A GRU is better than an LSTM where memory is needed (T = {long})",
            arms=(GRU, LSTM),
            source="Jozefowicz, Zaremba & Sutskever 2015: on every task but language modeling",
            **at_long,
        ),
        solves(
            f"An RNN learns short sequences (T = {short})",
            arm=RNN,
            source="the notes, claim 22",
            **at_short,
        ),
        solves(
            f"An RNN does not learn long dependencies (T = {too_long})",
            comparisons=comparisons,
            name=panel(too_long),
            arm=RNN,
            source="the notes, claim 11; Bengio, Simard & Frasconi 1994",
            never=True,
        ),
        solves(f"A GRU learns long dependencies (T = {long})", arm=GRU, source=learn, **at_long),
        solves(f"An LSTM learns long dependencies (T = {long})", arm=LSTM, source=learn, **at_long),
    ]
