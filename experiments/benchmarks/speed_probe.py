"""Time of the norms of every step's adjoint beside an ordinary backward pass.

    rnnlab run --config=experiments/benchmarks/speed_probe.py

B = 32, H = 128, T = 200, D = 1. Norms are checked against autodiff's and gradients against each
other first; then each program runs alone in a process of its own, in turns. About 2 minutes on 2
cores with nothing else running, 10 with ":full", which starts new processes each round. Two ways to
have the norms: the probe (``adjoint_norms``: any cell, no underflow, no gradients), and
``value_grad_and_norms``, the gradients of training with the norms out of the same reverse pass.

Bounds: at most 1.3x jit(value_and_grad) over the parameters by scan for the probe, at most 1.15x
the same by the fused engine for the norms.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from rnnlab import gradients
from rnnlab.lab import benchmark, layer_passes
from rnnlab.lab.benchmark import Side, Timed
from rnnlab.lab.config import Config, scale
from rnnlab.lab.sweep import Sweep
from rnnlab.nn import cells, layers, unroll
from rnnlab.plotting import plots, speed_bars
from rnnlab.results import speed
from rnnlab.results.claims import Claim, claim
from rnnlab.results.speed import Ratio
from rnnlab.results.table import Table

PyTree = Any
Pass = Callable[[PyTree, jax.Array], PyTree]  # of parameters and inputs
CELLS = ("rnn-tanh", "rnn-relu", "lstm", "gru")
SAME = 1e-4  # max|a − b| / max|b| of the loss and the gradients
# side: (over which other, at most)
BOUNDS = {"probe": ("value_and_grad", 1.3), "norms": ("fused", 1.15)}
WORDS = {
    "probe": "adjoint_norms / value_and_grad (scan)",
    "norms": "value_grad_and_norms / value_and_grad (fused)",
}


def get_config(arg: str | None = None) -> ConfigDict:
    """Return the config; with "full" everything is measured longer, in new processes each round."""
    full = scale(arg) == "full"
    rounds, seconds = 5, 1.0 if full else 0.3
    turn = 8.0 if full else 0.5
    expected = benchmark.estimate(sides=4, rounds=rounds, turn=turn)
    config = ConfigDict(
        {
            "seed": 0,
            "task": {
                "length": 200,  # T, steps of a sequence
                "batch_size": 32,  # B, sequences in the batch
                "input_size": 1,  # D, inputs per step
            },
            "cell": {"name": "lstm", "hidden_size": 128},
            "run": {
                "full": full,  # whether all is measured, in new processes each round
                "rounds": rounds,  # in each of which every side has a turn in its process
                "seconds": seconds,  # for which a turn times its calls, back to back
                "seconds_per_member": expected,
                "seconds_per_group": 0.0,
            },
        }
    )
    return config.lock()


def get_sweep(config: Config) -> Sweep:
    """Return one member per cell."""
    del config
    return {"cell.name": CELLS}


def check(config: Config) -> None:
    """Refuse too few rounds."""
    benchmark.check(config)


def run(config: Config, key: object, log: Callable[..., object]) -> dict[str, object]:
    """Time all programs, after their norms were compared with autodiff's."""
    del key  # the sides draw by config.seed
    case = draw(config)
    every = programs(case)
    # norms are made of squares: theirs lose digits below 1e-19, plain float32 adjoints 1e-38
    for curve, floor in (
        (every["probe"](case.params, case.xs), 1e-30),
        (every["norms"](case.params, case.xs)[2], 1e-17),
    ):
        _check(case, np.asarray(curve.norms["h"]), floor)
    return benchmark.measure(sides, config, log, renew=config.run.full)


class Case(NamedTuple):
    """The inputs of every program: a cell, the layer of it, its parameters and xs (B, T, D)."""

    cell: cells.Cell
    layer: layers.Layer
    params: PyTree
    xs: jax.Array


def draw(config: Config) -> Case:
    """Draw the inputs of every program."""
    task, name = config.task, config.cell.name
    key_x, key_p = jax.random.split(jax.random.key(config.seed))
    cell = cells.by_name(name, config.cell.hidden_size, layer_passes.init_of(name))
    layer = layers.as_layer(cell)
    xs = jax.random.normal(key_x, (task.batch_size, task.length, task.input_size))
    return Case(cell, layer, layer.init(key_p, task.input_size), xs)


def loss(ys: jax.Array) -> jax.Array:
    """Return Σ over the batch and the units of the last outputs' squares."""
    return (ys[:, -1] ** 2).sum()


def programs(case: Case) -> dict[str, Pass]:
    """Return the programs, compiled at their first call."""

    def by(engine: str) -> Pass:
        def whole(params: PyTree, xs: jax.Array) -> jax.Array:
            return loss(unroll.unroll(case.cell, params, xs, engine=engine)[0])

        return jax.jit(jax.value_and_grad(whole))

    def with_norms(params: PyTree, xs: jax.Array) -> PyTree:
        return gradients.value_grad_and_norms(case.layer, params, xs, loss)

    return {
        "value_and_grad": by("scan"),
        "probe": jax.jit(lambda params, xs: gradients.adjoint_norms(case.layer, params, xs, loss)),
        "fused": by("fused"),
        "norms": jax.jit(with_norms),
    }


def sides(config: Config, folder: Path) -> dict[str, Side]:
    """Return a side per program."""
    del folder

    def made(name: str) -> Timed:
        case = draw(config)
        program = programs(case)[name]
        # the loss and the gradients; the curves of the norms are checked beforehand
        outputs = {"norms": lambda found: found[:2], "probe": lambda curve: curve.norms}
        return Timed(partial(program, case.params, case.xs), outputs=outputs.get(name))

    tolerances = dict.fromkeys(("value_and_grad", "fused", "norms"), SAME) | {"probe": None}
    return {name: Side(partial(made, name), tolerance=off) for name, off in tolerances.items()}


def _check(case: Case, curve: np.ndarray, floor: float) -> None:
    """Raise unless the probe's curve is autodiff's, taken through added zeros at every h_t.

    Norms of at most ``floor`` are not compared.
    """
    cell, _, params, xs = case

    def perturbed(zeros: jax.Array) -> jax.Array:  # (T, B, H)
        state = cell.initial_state(params, (xs.shape[0],))
        nothing = jax.tree.map(jnp.zeros_like, state)

        def step(state: PyTree, inputs: tuple[jax.Array, jax.Array]) -> tuple[PyTree, jax.Array]:
            x, zero = inputs
            state, y, _ = cell.step(params, state, x, perturb=nothing._replace(h=zero))
            return state, y

        _, ys = jax.lax.scan(step, state, (jnp.moveaxis(xs, 1, 0), zeros))
        return loss(jnp.moveaxis(ys, 0, 1))

    B, T, _ = xs.shape
    plain = jax.jit(jax.grad(perturbed))(jnp.zeros((T, B, cell.hidden_size)))
    norms = np.linalg.norm(np.asarray(plain, np.float64), axis=-1).T
    seen = norms > floor
    worst = np.abs(np.log10(norms[seen]) - curve[seen]).max()
    if not worst < 1e-3:
        raise AssertionError(f"the probe and autodiff differ by {worst} decades")


def ratios(table: Table, side: str) -> dict[str, Ratio]:
    """Return the ratio of a side's time to its other's, by cell."""
    over, _ = BOUNDS[side]
    return {m.config["cell"]["name"]: speed.ratio(m, side, over) for m in table}


def figures(table: Table) -> dict[str, tuple[Figure, str]]:
    """Draw bars of the ratios, with their bounds."""
    figure, axes = plots.new_figure(1, 2, size=(10, 1.2 + 0.5 * len(table)))
    for ax, (name, (_, bound)) in zip(axes[0], BOUNDS.items(), strict=True):
        rows = [(cell, ratio, bound) for cell, ratio in ratios(table, name).items()]
        speed_bars.ratios(ax, rows, "ratio of times")
        plots.title(ax, WORDS[name])
    return {"ratio": (figure, f"Lines are 95% intervals. {speed.conditions(list(table))}")}


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


def _cheap(statement: str, holds_if: str, side: str) -> Callable[..., Claim]:
    def check(table: Table, times: float) -> tuple[bool, str]:
        return speed.at_most(ratios(table, side), times, table)

    return claim(
        statement, source="rnnlab", holds_if=holds_if, expected="holds", times=BOUNDS[side][1]
    )(check)


_probe = _cheap(
    "The adjoint at every step costs about as much as an ordinary backward pass",
    "95% interval at or below {times:g}x jit(value_and_grad) for every cell",
    "probe",
)
_norms = _cheap(
    "The norms of every step's adjoint come with the gradient of training",
    "95% interval at or below {times:g}x jit(value_and_grad), both fused, for every cell",
    "norms",
)


def claims(table: Table) -> list[Claim]:
    """List the bounds, for every cell."""
    return [_probe(table), _norms(table)]
