"""Which engine is fastest where: the measurements behind engine="auto".

    rnnlab run --config=experiments/benchmarks/speed_engines.py

RNN, LSTM and GRU at seven shapes B x T x D x H, from a few units to 512, one sequence to 256;
forward, and forward + backward, by scan, the fused engine and, where the state has at most 16
features, Newton along time. Outputs and gradients are compared with scan's first; then each engine
runs alone in a process of its own, in turns. About 5 minutes on 2 cores with nothing else running;
":full" has the GRU whose reset gate comes after the product too and starts new processes each
round, half an hour.

On CPUs the members of a sweep are mapped one after the other (vmap's batched products are slow
there), so that a member's shape is what counts.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from rnnlab.core import validate
from rnnlab.core.errors import Undecided
from rnnlab.lab import benchmark, layer_case, layer_passes
from rnnlab.lab.benchmark import Side, Timed
from rnnlab.lab.config import Config, scale
from rnnlab.lab.sweep import Sweep
from rnnlab.nn import cells
from rnnlab.nn.engines.auto import choose
from rnnlab.plotting import keys, plots
from rnnlab.results import speed
from rnnlab.results.claims import Claim, claim
from rnnlab.results.table import Member, Table

CELLS = {"rnn-tanh": "RNN", "lstm": "LSTM", "gru": "GRU", "gru-reset-after": "GRU, reset after"}
SIZES = (
    "8x10x8x8",
    "1x1000x8x16",
    "32x50x16x16",
    "256x10x32x64",
    "1x100x64x256",
    "32x100x64x128",
    "128x35x512x512",
)
ENGINES = ("scan", "fused", "newton")
SMALL = 16  # state features up to which Newton takes part: its work grows with their cube
PASSES = {"forward": "forward", "both": "forward + backward"}
SAME = 1e-5  # max|a − b| / max|b| of an array
BOUND, SHARE = 1.1, 0.9


def get_config(arg: str | None = None) -> ConfigDict:
    """Return the config; with "full" everything is measured, in new processes each round."""
    full = scale(arg) == "full"
    rounds, seconds = 5, 0.3 if full else 0.15
    turn = 6.0 if full else 0.5
    expected = benchmark.estimate(sides=2.25, rounds=rounds, turn=turn, start=4.0)
    return layer_case.layer_config(
        SIZES[0], full=full, rounds=rounds, seconds=seconds, seconds_per_member=expected
    )


def get_sweep(config: Config) -> Sweep:
    """Return RNN, LSTM and GRU, or every cell, at every size."""
    names = tuple(CELLS) if config.run.full else tuple(CELLS)[:3]
    return {"cell.name": names, "task.size": SIZES}


def check(config: Config) -> None:
    """Refuse a cell that not every engine runs, an invalid size, and too few rounds."""
    validate.choice("cell.name", config.cell.name, CELLS)
    layer_case.parse_size(config.task.size)
    benchmark.check(config)


def run(config: Config, key: object, log: Callable[..., object]) -> dict[str, object]:
    """Compare the engines with scan, then time them."""
    del key  # the sides draw by config.seed
    chosen = choose(cells.without_init(our_cell(config)))
    return {"auto": chosen} | benchmark.measure(sides, config, log, renew=config.run.full)


def our_cell(config: Config) -> cells.Cell:
    """Return the cell that is measured."""
    name, (*_, H) = config.cell.name, layer_case.parse_size(config.task.size)
    init = layer_passes.init_of(name, w_h="orthogonal(gain=0.9)", bias="normal(std=0.1)")
    return cells.by_name(name, H, init)


def sides(config: Config, folder: Path) -> dict[str, Side]:
    """Return a side per engine; Newton where the state is small."""
    del folder
    cell = our_cell(config)

    def made(engine: str) -> dict[str, Timed]:
        B, T, D, H = layer_case.parse_size(config.task.size)
        keys = jax.random.split(jax.random.key(config.seed), 3)
        arguments = (
            cell.init_params(keys[0], D),
            jax.random.normal(keys[1], (B, T, D)),
            jax.random.normal(keys[2], (B, T, H)),
        )
        return {
            name: Timed(partial(jax.jit(program), *arguments))
            for name, program in layer_passes.passes(cell, engine).items()
        }

    features = cell.hidden_size * (2 if config.cell.name == "lstm" else 1)
    engines = [e for e in ENGINES if e != "newton" or features <= SMALL]
    return {engine: Side(partial(made, engine), tolerance=SAME) for engine in engines}


def figures(table: Table) -> dict[str, tuple[Figure, str]]:
    """Draw scan's time over each other engine's, one panel per pass."""
    names = [name for name in CELLS if len(table.select({"cell.name": name}))]
    sizes = list(dict.fromkeys(table.values("task.size")))
    figure, axes = plots.new_figure(1, 2, size=(11, 0.27 * len(sizes) * len(names) + 1.4))
    for ax, (which, words) in zip(axes[0], PASSES.items(), strict=True):
        ticks = []
        for y, (size, name) in enumerate((s, n) for s in sizes for n in names):
            ticks.append(f"{CELLS[name]}  {size}")
            member = table.select({"cell.name": name, "task.size": size})[0]
            for index, engine in enumerate(ENGINES[1:]):
                if engine in member.result["ms"][which]:
                    ratio = speed.ratio(member, "scan", engine, which).value
                    ax.plot(
                        ratio,
                        y,
                        "oD"[index],
                        markersize=5,
                        color=plots.COLORS[1 + index],
                        label=engine if y == 0 else None,
                    )
        as_fast = ax.axvline(1, color="#888888", linewidth=1)
        keys.mark(as_fast, "as fast as scan", guide=True)
        ax.set(xscale="log", ylim=(len(ticks) - 0.4, -0.6), xlabel="scan's time over the engine's")
        low, high = ax.get_xlim()
        decades = [t for t in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10) if low <= t <= high]
        ax.set_xticks(decades, [f"{t:g}" for t in decades])
        ax.minorticks_off()
        ax.set_yticks(range(len(ticks)), ticks if ax is axes[0, 0] else [""] * len(ticks))
        ax.tick_params(axis="y", labelsize=7)
        plots.title(ax, words)
    axes[0, 0].legend(frameon=False, loc="lower left", fontsize=8)
    return {
        "engines": (
            figure,
            "B x T x D x H; right of the line an engine is faster than lax.scan. "
            f"{speed.conditions(list(table))}",
        )
    }


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


def best(member: Member, which: str) -> str:
    """Name the fastest engine of a member."""
    return speed.fastest(member, member.result["ms"][which], which)


def _near(statement: str, expected: str) -> Callable[..., Claim]:
    def check(table: Table, which: str, times: float, share: float) -> tuple[bool, str]:
        if speed.is_busy(busy := speed.busiest(table)):
            raise Undecided(speed.busy_words(busy))
        losses = [
            speed.ratio(member, member.result["auto"], best(member, which), which)
            for member in table
        ]
        within = np.array([ratio.high <= times for ratio in losses])
        beyond = np.array([ratio.low > times for ratio in losses])
        worst = max(range(len(losses)), key=lambda index: losses[index].value)
        member = table[worst]
        words = (
            f"{within.sum()} of {len(losses)} cells, {beyond.sum()} beyond; most in "
            f"{CELLS[member.config['cell']['name']]} {member.config['task']['size']}: "
            f"{losses[worst]} {best(member, which)}"
        )
        if within.mean() < share <= 1 - beyond.mean():
            raise Undecided(f"{words}; the intervals of the others are too long")
        return bool(within.mean() >= share), words

    return claim(
        statement,
        source="rnnlab",
        holds_if='time of engine="auto" at most {times:g}x the fastest engine\'s in {share:.0%} of '
        "cells, by 95% intervals",
        expected=expected,
        times=BOUND,
        share=SHARE,
    )(check)


_trains = _near('engine="auto" trains by the fastest engine, or one as fast', "holds")
_runs_forward = _near("… and runs forward by it", "refuted")


def claims(table: Table) -> list[Claim]:
    """List that the choice of "auto" costs little anywhere."""
    return [_trains(table, which="both"), _runs_forward(table, which="forward")]
