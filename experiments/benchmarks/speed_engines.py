"""Which engine is fastest where: the measurements behind engine="auto".

    rnnlab run --config=experiments/benchmarks/speed_engines.py

Every named cell at seven shapes B x T x D x H, from a few units to 512, one sequence to 256;
forward, and forward + backward, by scan, the fused engine and, where the state has at most 16
features, Newton along time. Outputs and gradients are compared with scan's first; then the engines
take turns in one process. About 4 minutes on 2 cores with nothing else running.

On CPUs the members of a sweep are mapped one after the other (vmap's batched products are slow
there), so that a member's shape is what counts.

Measured on 2 cores: in forward + backward the fused engine is the fastest in all 28 cells, 1.0 to
4.6 times scan (Newton is 0.2 to 1.1 times scan): there is no crossover. Forward alone it is 0.66
to 2.9 times scan, and behind scan by more than a tenth in 3 of 28 cells.
"""

from collections.abc import Callable

import jax
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from rnnlab.core import validate
from rnnlab.lab import benchmark
from rnnlab.lab.config import Config, no_scale
from rnnlab.lab.sweep import Sweep
from rnnlab.nn import cells
from rnnlab.nn.engines.auto import choose
from rnnlab.plotting import keys, plots
from rnnlab.results.claims import Claim, claim
from rnnlab.results.table import Table

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
    """Return the config, of one scale."""
    no_scale(arg)
    return benchmark.layer_config(SIZES[0], repeats=31, seconds=3.0, seconds_per_member=9.0)


def get_sweep(config: Config) -> Sweep:
    """Return every cell at every size."""
    del config
    return {"cell.name": tuple(CELLS), "task.size": SIZES}


def check(config: Config) -> None:
    """Refuse a cell that not every engine runs, an invalid size, and too few turns."""
    validate.choice("cell.name", config.cell.name, CELLS)
    benchmark.parse_size(config.task.size)
    validate.whole("run.repeats", config.run.repeats, 5)


def run(config: Config, key: jax.Array, log: Callable[..., None]) -> dict[str, object]:
    """Compare the engines with scan, then time them in turns."""
    B, T, D, H = benchmark.parse_size(config.task.size)
    init = benchmark.init_of(config.cell.name, w_h="orthogonal(gain=0.9)", bias="normal(std=0.1)")
    cell = cells.by_name(config.cell.name, H, init)
    keys = jax.random.split(key, 3)
    params = cell.init_params(keys[0], D)
    xs = jax.random.normal(keys[1], (B, T, D))
    weights = jax.random.normal(keys[2], (B, T, H))
    features = H * len(cell.initial_state(params, (1,)))
    engines = [e for e in ENGINES if e != "newton" or features <= SMALL]
    chosen = choose(cells.without_init(cell))
    result: dict[str, object] = {"device": jax.devices()[0].device_kind, "auto": chosen}
    for name in PASSES:
        programs = {e: jax.jit(benchmark.passes(cell, e)[name]) for e in engines}
        calls = {e: lambda p=p: p(params, xs, weights) for e, p in programs.items()}
        expected = calls["scan"]()
        for engine, call in calls.items():
            off = benchmark.largest_difference(call(), expected)
            if not off <= SAME:
                raise AssertionError(f"{engine}, {name}: off by {off:.1e} from scan")
        ms = benchmark.turns(
            calls, repeats=config.run.repeats, seconds=config.run.seconds, least=5, pause=0.0
        )
        log(name=name, ms=ms)
        medians = {engine: float(np.median(values)) for engine, values in ms.items()}
        result |= {f"{engine}_{name}_ms": value for engine, value in medians.items()}
        result[f"{name}_best"] = min(medians, key=medians.__getitem__)
        result[f"{name}_loss"] = medians[chosen] / min(medians.values())
    return result


def figures(table: Table) -> dict[str, tuple[Figure, str]]:
    """Draw scan's time over each other engine's, one panel per pass."""
    names = [name for name in CELLS if len(table.select({"cell.name": name}))]
    sizes = list(dict.fromkeys(table.values("task.size")))
    figure, axes = plots.new_figure(1, 2, size=(11, 0.27 * len(sizes) * len(names) + 1.4))
    for ax, (which, words) in zip(axes[0], PASSES.items(), strict=True):
        ticks = []
        for y, (size, name) in enumerate((s, n) for s in sizes for n in names):
            ticks.append(f"{CELLS[name]}  {size}")
            result = table.select({"cell.name": name, "task.size": size})[0].result
            scan = result[f"scan_{which}_ms"]
            for index, engine in enumerate(ENGINES[1:]):
                if f"{engine}_{which}_ms" in result:
                    ratio = scan / result[f"{engine}_{which}_ms"]
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
            "B x T x D x H; right of the line an engine is faster than lax.scan. Medians of "
            f"interleaved runs on {table[0].result['device']}.",
        )
    }


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


def _near(statement: str, expected: str) -> Callable[..., Claim]:
    def check(table: Table, which: str, times: float, share: float) -> tuple[bool, str]:
        losses = table.each(f"{which}_loss")
        worst = table[int(np.argmax(losses))]
        words = (
            f"{(losses <= times).sum()} of {len(losses)} cells; most in "
            f"{CELLS[worst.config['cell']['name']]} {worst.config['task']['size']}: "
            f"{losses.max():.2f}x {worst.result[f'{which}_best']}"
        )
        return bool((losses <= times).mean() >= share), words

    return claim(
        statement,
        source="rnnlab",
        holds_if='time of engine="auto" at most {times:g}x the fastest engine\'s in {share:.0%} of '
        "cells",
        expected=expected,
        times=BOUND,
        share=SHARE,
    )(check)


_trains = _near('engine="auto" trains by the fastest engine, or one as fast', "holds")
_runs_forward = _near("… and runs forward by it", "refuted")


def claims(table: Table) -> list[Claim]:
    """List that the choice of "auto" costs little anywhere."""
    return [_trains(table, which="both"), _runs_forward(table, which="forward")]
