"""Time against length, 100 to 100,000 steps: scan, the fused engine, and Newton along time.

    rnnlab run --config=experiments/benchmarks/speed_long.py

One sequence (B = 1, D = 4), contracting cells (W_h 0.9 times orthogonal), forward and
forward+backward (the gradient of a random weighting of the outputs by parameters and inputs). First
the engines' outputs and gradients are compared with scan's in float64; then they take turns in one
process. Memory is that of the compiled program beside its arguments and results. About 7 minutes
on 2 cores with nothing else running.

Expected of Newton on a CPU: slower than scan. An associative scan makes about 2T products of n x n
matrices a correction, n the state's features, where a step of the recurrence is a product of a
vector with one: 2n times the work, times 4 to 6 corrections, and as much again for the gradient.
Two cores give at most 2 of that back. What could make up for it is the latency of a step, and XLA's
loop on a CPU has little: 0.03 to 0.1 µs. On a GPU a step costs launches of several µs whatever n
is, and Newton has O(log T) of them.

Measured on 2 cores: Newton is exact to 1e-6 and slower than scan from T = 10,000 on (forward +
backward 0.13 to 0.58 times as fast), but for the LSTM at H = 4: 1.5 to 2.3 times. The fused engine
is ahead of both everywhere: 1.2 to 8 times scan.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.stages import Compiled
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from rnnlab.core import validate
from rnnlab.core.errors import Undecided
from rnnlab.lab import benchmark
from rnnlab.lab.config import Config, no_scale
from rnnlab.lab.sweep import Sweep
from rnnlab.nn import cells
from rnnlab.plotting import plots
from rnnlab.results.claims import Claim, claim
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
    """Return the config, of one scale."""
    no_scale(arg)
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
                "repeats": 15,  # timed turns of each engine; fewer where they take long, at least 3
                "seconds": 5.0,  # seconds after which no further turn begins
                "seconds_per_member": 16.0,
                "seconds_per_group": 0.0,
            },
        }
    )
    return config.lock()


def get_sweep(config: Config) -> Sweep:
    """Return cells x sizes x lengths."""
    del config
    return {"cell.name": tuple(CELLS), "cell.hidden_size": SIZES, "task.length": LENGTHS}


def check(config: Config) -> None:
    """Refuse cells that not every engine runs, and too few turns for a median."""
    validate.choice("cell.name", config.cell.name, CELLS)
    validate.whole("task.length", config.task.length)
    validate.whole("run.repeats", config.run.repeats, 3)


def run(config: Config, key: jax.Array, log: Callable[..., None]) -> dict[str, object]:
    """Compare the engines with scan, then time them in turns."""
    init = benchmark.init_of(config.cell.name, w_h=f"orthogonal(gain={config.cell.gain})")
    cell = cells.by_name(config.cell.name, config.cell.hidden_size, init)
    key_params, key_xs, key_weights = jax.random.split(key, 3)
    params = cell.init_params(key_params, config.task.features)
    xs = jax.random.normal(key_xs, (1, config.task.length, config.task.features))
    weights = jax.random.normal(key_weights, (1, config.task.length, cell.output_size))
    result: dict[str, object] = {
        "device": jax.devices()[0].device_kind,
        "platform": jax.devices()[0].platform,
    }
    for name in PASSES:
        programs = {e: compiled(cell, e, name, params, xs, weights) for e in ENGINES}
        expected = in_float64(cell, name, params, xs, weights)
        for engine, program in programs.items():
            off = benchmark.largest_difference(program(params, xs, weights), expected)
            if engine != "scan" and not off <= SAME:
                raise AssertionError(f"{engine}, {name}: off by {off:.1e} from scan in float64")
            memory = program.memory_analysis()
            result[f"{engine}_{name}_difference"] = off
            result[f"{engine}_{name}_mib"] = getattr(memory, "temp_size_in_bytes", 0) / 2**20
        calls = {e: lambda p=p: p(params, xs, weights) for e, p in programs.items()}
        ms = benchmark.turns(
            calls, repeats=config.run.repeats, seconds=config.run.seconds, pause=0.0
        )
        log(name=name, ms=ms)
        for engine, values in ms.items():
            result[f"{engine}_{name}_ms"] = float(np.median(values))
            ratios = benchmark.ratio(ms, "scan", engine)
            for part, value in zip(("ratio", "low", "high"), ratios, strict=True):
                result[f"{engine}_{name}_{part}"] = value
    return result


def compiled(cell: cells.Cell, engine: str, name: str, *args: PyTree) -> Compiled:
    """Compile a pass of one engine for these arguments."""
    return jax.jit(benchmark.passes(cell, engine)[name]).lower(*args).compile()


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
    device = table[0].result["device"]
    drawn = {}
    for name, words in PASSES.items():
        drawn[f"time_{name}"] = (
            _panels(table, f"{name}_ms", "ms"),
            f"Time of {words} on {device}, one sequence, medians of turns. Both axes are "
            "logarithmic: a line of slope 1 is the same time for each step.",
        )
    drawn["memory"] = (
        _panels(table, "both_mib", "MiB allocated"),
        f"Memory that the compiled programs of forward + backward allocate on {device}.",
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


def _newton_faster(expected: str) -> Callable[..., Claim]:
    def check(table: Table, size: int, least: int, ratio: float) -> tuple[bool, str]:
        lowest, words = [], []
        for name, title in PASSES.items():
            ratios = _long(table, least, size).each(f"newton_{name}_ratio")
            lowest.append(ratios.min())
            words.append(f"{title}: {ratios.min():.3g} to {ratios.max():.3g}x")
        return bool(min(lowest) > ratio), "; ".join(words)

    return claim(
        "Newton is faster than scan over long sequences, H = {size}",
        source="Lim et al. 2024, on a GPU; on a CPU the work of the products refutes it (header)",
        holds_if="scan's time over Newton's above {ratio:g} for every cell and length from "
        "T = {least:,}, forward and forward+backward",
        expected=expected,
        least=LONG,
        ratio=1,
    )(check)


@claim(
    "The fused engine's training pass is faster than scan's at these lengths",
    source="rnnlab",
    holds_if="forward+backward, every cell, H ≤ 16, T from {least:,}: ratio above {ratio:g}",
    expected="holds",
    least=LONG,
    ratio=1,
)
def _fused_faster(table: Table, least: int, ratio: float) -> tuple[bool, str]:
    ratios = _long(table, least).each("fused_both_ratio")
    return bool(ratios.min() > ratio), f"{ratios.min():.2f} to {ratios.max():.2f}x scan"


def claims(table: Table) -> list[Claim]:
    """List that Newton is exact, whether it is faster, and the fused engine at any length."""
    newton_faster = _newton_faster("refuted" if table[0].result["platform"] == "cpu" else "holds")
    return [
        _exact(table),
        *(newton_faster(table, size=size) for size in SIZES),
        _fused_faster(table),
    ]
