"""Time against length, 1,000 to 100,000 steps: scan, the fused engine, and Newton along time.

    rnnlab run --config=experiments/benchmarks/speed_long.py

One sequence (B = 1, D = 4), contracting cells (W_h 0.9 times orthogonal), forward and
forward+backward (the gradient of a random weighting of the outputs by parameters and inputs). First
the engines' outputs and gradients are compared with scan's in float64; then each runs alone in a
process of its own, in turns. Memory is that of the compiled program beside its arguments and
results. About 5 minutes on 2 cores with nothing else running, for 1,000 and 10,000 steps; ":full"
has 100 and 100,000 too and starts new processes each round, an hour.

Expected of Newton on a CPU: slower than scan. An associative scan makes about 2T products of n x n
matrices a correction, n the state's features, where a step of the recurrence is a product of a
vector with one: 2n times the work, times 4 to 6 corrections, and as much again for the gradient.
Two cores give at most 2 of that back. What could make up for it is the latency of a step, and XLA's
loop on a CPU has little: 0.03 to 0.1 µs. On a GPU a step costs launches of several µs whatever n
is, and Newton has O(log T) of them.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.stages import Compiled
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from rnnlab.core import validate
from rnnlab.core.errors import Undecided
from rnnlab.lab import benchmark, layer_passes, outputs
from rnnlab.lab.benchmark import Side, Timed
from rnnlab.lab.config import Config, scale
from rnnlab.lab.sweep import Sweep
from rnnlab.nn import cells
from rnnlab.plotting import plots
from rnnlab.results import speed
from rnnlab.results.claims import Claim, claim
from rnnlab.results.speed import Ratio
from rnnlab.results.table import Table

ENGINES = {"scan": "scan", "fused": "fused", "newton": "Newton"}
PASSES = {"forward": "forward", "both": "forward + backward"}
CELLS = {"rnn-tanh": "RNN", "gru": "GRU", "lstm": "LSTM"}
SIZES = (4, 16)
LENGTHS = (100, 1_000, 10_000, 100_000)
LONG = 10_000  # steps from which Newton is to be faster
PyTree = Any
SAME = 1e-5  # max|a − b| / max|b| of an array


def get_config(arg: str | None = None) -> ConfigDict:
    """Return the config; with "full" every length, in new processes each round."""
    full = scale(arg) == "full"
    rounds, seconds = 5, 0.3 if full else 0.15
    turn = 10.0 if full else 0.6
    expected = benchmark.estimate(sides=3, rounds=rounds, turn=turn, start=6.0)
    config = ConfigDict(
        {
            "seed": 0,
            "cell": {
                "name": "rnn-tanh",
                "hidden_size": 16,
                "gain": 0.9,  # factor of the orthogonal recurrent kernels
            },
            "task": {
                "length": 1_000,  # T, steps of a sequence
                "features": 4,  # D, inputs per step
            },
            "run": {
                "full": full,  # whether all is measured, in new processes each round
                "rounds": rounds,  # in each of which every engine has a turn in its process
                "seconds": seconds,  # for which a turn times each pass, back to back
                "seconds_per_member": expected,
                "seconds_per_group": 0.0,
            },
        }
    )
    return config.lock()


def get_sweep(config: Config) -> Sweep:
    """Return cells x sizes x lengths."""
    lengths = LENGTHS if config.run.full else LENGTHS[1:3]
    return {"cell.name": tuple(CELLS), "cell.hidden_size": SIZES, "task.length": lengths}


def check(config: Config) -> None:
    """Refuse cells that not every engine runs, and too few rounds."""
    validate.choice("cell.name", config.cell.name, CELLS)
    validate.whole("task.length", config.task.length)
    benchmark.check(config)


def run(config: Config, key: object, log: Callable[..., object]) -> dict[str, object]:
    """Compare the engines with scan, then time them."""
    del key  # the sides draw by config.seed
    result = benchmark.measure(sides, config, log, prepare=prepare, renew=config.run.full)
    reported: Any = result["reported"]
    found = {
        f"{engine}_{name}_{what}": number
        for engine, by_pass in reported.items()
        for name, numbers in by_pass.items()
        for what, number in numbers.items()
    }
    return result | found | {"platform": jax.devices()[0].platform}


def prepare(config: Config, folder: Path) -> None:
    """Write the results of scan in float64, which those of all sides are compared with."""
    cell, *arguments = draw(config)
    for name in PASSES:
        expected = outputs.flatten(in_float64(cell, name, *arguments))
        outputs.save(folder / f"{name}.npz", expected)


def draw(config: Config) -> tuple[cells.Cell, PyTree, jax.Array, jax.Array]:
    """Draw a cell, its parameters, the inputs, and the weights of the outputs in the loss."""
    name, T = config.cell.name, config.task.length
    init = layer_passes.init_of(name, w_h=f"orthogonal(gain={config.cell.gain})")
    cell = cells.by_name(name, config.cell.hidden_size, init)
    key_params, key_xs, key_weights = jax.random.split(jax.random.key(config.seed), 3)
    params = cell.init_params(key_params, config.task.features)
    xs = jax.random.normal(key_xs, (1, T, config.task.features))
    return cell, params, xs, jax.random.normal(key_weights, (1, T, cell.output_size))


def sides(config: Config, folder: Path) -> dict[str, Side]:
    """Return a side per engine."""

    def made(engine: str) -> dict[str, Timed]:
        cell, *arguments = draw(config)
        calls = {}
        for name in PASSES:
            program = compiled(cell, engine, name, *arguments)
            report = partial(compared, folder, engine, name, program)
            calls[name] = Timed(partial(program, *arguments), outputs=report)
        return calls

    # each is compared with float64, not with scan, which over 100,000 steps is off by more itself
    return {engine: Side(partial(made, engine), tolerance=None) for engine in ENGINES}


def compared(
    folder: Path, engine: str, name: str, program: Compiled, output: PyTree
) -> dict[str, float]:
    """Return how far an engine's results are off those of float64, and the MiB it allocates.

    Raises:
        AssertionError: they are off by more than :data:`SAME`, which scan's alone may be.
    """
    off = outputs.largest_difference(output, outputs.load(folder / f"{name}.npz"))
    if engine != "scan" and not off <= SAME:
        raise AssertionError(f"{engine}, {name}: off by {off:.1e} from scan in float64")
    memory = program.memory_analysis()
    return {"difference": off, "mib": getattr(memory, "temp_size_in_bytes", 0) / 2**20}


def compiled(cell: cells.Cell, engine: str, name: str, *args: PyTree) -> Compiled:
    """Compile a pass of one engine for these arguments."""
    return jax.jit(layer_passes.passes(cell, engine)[name]).lower(*args).compile()


def in_float64(cell: cells.Cell, name: str, *args: PyTree) -> PyTree:
    """Return the results of scan in float64.

    A gradient is a sum over steps: of 100,000 of them the float32 sum, step by step, is off by
    2e-5.
    """
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda a: jnp.asarray(np.asarray(a, np.float64)), args)
        return jax.tree.map(np.asarray, compiled(cell, "scan", name, *wide)(*wide))


# ---- the figures -------------------------------------------------------------------------------


def figures(table: Table) -> dict[str, tuple[Figure, str]]:
    """Draw time and memory against length, one panel per cell and size."""
    conditions = speed.conditions(list(table))
    drawn = {}
    for name, words in PASSES.items():
        drawn[f"time_{name}"] = (
            _panels(table, f"{name}_ms", "ms"),
            f"Time of {words}, one sequence. Both axes are logarithmic: a line of slope 1 is the "
            f"same time for each step. {conditions}",
        )
    drawn["memory"] = (
        _panels(table, "both_mib", "MiB allocated"),
        "Memory that the compiled programs of forward + backward allocate.",
    )
    return drawn


def _panels(table: Table, quantity: str, label: str) -> Figure:
    names = [n for n in CELLS if len(table.select({"cell.name": n}))]
    sizes = sorted(set(table.values("cell.hidden_size")))
    figure, axes = plots.new_figure(
        len(sizes),
        len(names),
        size=(3.4 * len(names) + 1, 2.7 * len(sizes) + 0.4),
        share_x=True,
        share_y=True,
    )
    for column, name in enumerate(names):
        for row, size in enumerate(sizes):
            ax = axes[row, column]
            members = table.select({"cell.name": name, "cell.hidden_size": size})
            if not len(members):
                continue
            lengths = np.array([m.config["task"]["length"] for m in members])
            order = np.argsort(lengths)
            for index, (engine, words) in enumerate(ENGINES.items()):
                values = np.maximum(members.each(f"{engine}_{quantity}"), 1e-3)
                ax.plot(
                    lengths[order],
                    values[order],
                    marker="osD"[index],
                    markersize=4,
                    **plots.look(index),
                    label=words,
                )
            ax.set(xscale="log", yscale="log")
            plots.title(ax, f"{CELLS[name]}, H = {size}")
            if row == len(sizes) - 1:
                ax.set_xlabel("steps $T$")
            if column == 0:
                ax.set_ylabel(label)
    axes[0, 0].legend(frameon=False, loc="upper left", fontsize=8)
    return figure


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


def _long(table: Table, least: int, size: int | None = None) -> Table:
    """Select the members of at least so many steps, of one size or of all."""
    members = [m for m in table if m.config["task"]["length"] >= least]
    if size is not None:
        members = [m for m in members if m.config["cell"]["hidden_size"] == size]
    if not members:
        raise Undecided(f"nothing of at least {least} steps was measured")
    return Table(members)


@claim(
    "Newton along time is exact",
    source="Lim et al. 2024 (arXiv 2309.12252)",
    holds_if="outputs and gradients within {most:g} of scan's in float64, max|a − b|/max|b|, at "
    "every length",
    expected="holds",
    most=SAME,
)
def _exact(table: Table, most: float) -> tuple[bool, str]:
    worst = max(table.each(f"newton_{name}_difference").max() for name in PASSES)
    return bool(worst <= most), f"largest difference {worst:.1e} over {len(table)} members"


def _ratios(table: Table, engine: str, name: str) -> dict[str, Ratio]:
    """Return scan's time over an engine's, by cell, size and length."""
    ratios = {}
    for member in table:
        cell, T = member.config["cell"], member.config["task"]["length"]
        words = f"{name} {CELLS[cell['name']]} H = {cell['hidden_size']} T = {T:,}:"
        ratios[words] = speed.ratio(member, "scan", engine, name)
    return ratios


def _newton_faster(expected: str) -> Callable[..., Claim]:
    def check(table: Table, size: int, least: int, ratio: float) -> tuple[bool, str]:
        chosen = _long(table, least, size)
        found = _ratios(chosen, "newton", "forward") | _ratios(chosen, "newton", "both")
        return speed.at_least(found, ratio, chosen)

    return claim(
        "Newton is faster than scan over long sequences, H = {size}",
        source="Lim et al. 2024, on a GPU; on a CPU the work of the products refutes it (header)",
        holds_if="95% interval of scan's time over Newton's at or above {ratio:g} for every cell "
        "and length from T = {least:,}, forward and forward+backward",
        expected=expected,
        least=LONG,
        ratio=1,
    )(check)


@claim(
    "The fused engine's training pass is faster than scan's at these lengths",
    source="rnnlab",
    holds_if="forward+backward, every cell, H ≤ 16, T from {least:,}: 95% interval of the ratio at "
    "or above {ratio:g}",
    expected="holds",
    least=LONG,
    ratio=1,
)
def _fused_faster(table: Table, least: int, ratio: float) -> tuple[bool, str]:
    chosen = _long(table, least)
    return speed.at_least(_ratios(chosen, "fused", "both"), ratio, chosen)


def claims(table: Table) -> list[Claim]:
    """List that Newton is exact, whether it is faster, and the fused engine at any length."""
    newton_faster = _newton_faster("refuted" if table[0].result["platform"] == "cpu" else "holds")
    return [
        _exact(table),
        *(newton_faster(table, size=size) for size in SIZES),
        _fused_faster(table),
    ]
