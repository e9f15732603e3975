"""Time of the norms of every step's adjoint beside an ordinary backward pass.

    rnnlab run --config=experiments/benchmarks/speed_probe.py

B = 32, H = 128, T = 200, D = 1; about a minute on 2 cores with nothing else running. All jitted, in
one process, interleaved, median of several runs; norms are checked against autodiff's first. Two
ways to have them: the probe (``adjoint_norms``: any cell, no underflow, no gradients), and
``value_grad_and_norms``, the gradients of training with the norms out of the same reverse pass.
Expected: at most 1.3x jit(value_and_grad) over the parameters by scan for the probe, at most 1.15x
the same by the fused engine for the norms. Measured on 2 cores: 0.65 to 1.04x and
1.02 to 1.08x.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from rnnlab import gradients
from rnnlab.lab import benchmark
from rnnlab.lab.config import Config, no_scale
from rnnlab.lab.sweep import Sweep
from rnnlab.nn import cells, layers, unroll
from rnnlab.plotting import keys, plots
from rnnlab.results.claims import Claim, claim
from rnnlab.results.table import Table

PyTree = Any
Pass = Callable[[PyTree, jax.Array], PyTree]  # of parameters and inputs
CELLS = ("rnn-tanh", "rnn-relu", "lstm", "gru")
# side: (over which other, at most)
BOUNDS = {"probe": ("value_and_grad", 1.3), "norms": ("fused", 1.15)}
WORDS = {
    "probe": "adjoint_norms / value_and_grad (scan)",
    "norms": "value_grad_and_norms / value_and_grad (fused)",
}


def get_config(arg: str | None = None) -> ConfigDict:
    """Return the config, of one scale."""
    no_scale(arg)
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
                "repeats": 31,  # timed turns of each side
                "seconds_per_member": 12.0,
                "seconds_per_group": 0.0,
            },
        }
    )
    return config.lock()


def get_sweep(config: Config) -> Sweep:
    """Return one member per cell."""
    del config
    return {"cell.name": CELLS}


def run(config: Config, key: jax.Array, log: Callable[..., None]) -> dict[str, object]:
    """Time both in turns, after their norms were compared with autodiff's."""
    task = config.task
    key_x, key_p = jax.random.split(key)
    cell = cells.by_name(
        config.cell.name, config.cell.hidden_size, benchmark.init_of(config.cell.name)
    )
    layer = layers.as_layer(cell)
    params = layer.init(key_p, task.input_size)
    xs = jax.random.normal(key_x, (task.batch_size, task.length, task.input_size))

    def loss(ys: jax.Array) -> jax.Array:
        return (ys[:, -1] ** 2).sum()

    def by(engine: str) -> Pass:
        def whole(params: PyTree, xs: jax.Array) -> jax.Array:
            return loss(unroll.unroll(cell, params, xs, engine=engine)[0])

        return jax.jit(jax.value_and_grad(whole))

    def with_norms(params: PyTree, xs: jax.Array) -> PyTree:
        return gradients.value_grad_and_norms(layer, params, xs, loss)

    programs: dict[str, Pass] = {
        "value_and_grad": by("scan"),
        "probe": jax.jit(lambda params, xs: gradients.adjoint_norms(layer, params, xs, loss)),
        "fused": by("fused"),
        "norms": jax.jit(with_norms),
    }
    # norms are made of squares: theirs lose digits below 1e-19, plain float32 adjoints 1e-38
    for curve, floor in (
        (programs["probe"](params, xs), 1e-30),
        (programs["norms"](params, xs)[2], 1e-17),
    ):
        _check(cell, params, xs, loss, np.asarray(curve.norms["h"]), floor)
    calls = {name: lambda p=p: p(params, xs) for name, p in programs.items()}
    ms = benchmark.turns(calls, repeats=config.run.repeats, pause=0.0)
    result: dict[str, object] = {}
    for name, values in ms.items():
        log(side=name, ms=values)
        result[f"{name}_ms"] = float(np.median(values))
    for name, (over, _) in BOUNDS.items():
        ratios = benchmark.ratio(ms, name, over)
        for part, value in zip(("ratio", "low", "high"), ratios, strict=True):
            result[f"{name}_{part}"] = value
    return result


def _check(
    cell: cells.Cell,
    params: PyTree,
    xs: jax.Array,
    loss: Callable[[jax.Array], jax.Array],
    curve: np.ndarray,
    floor: float,
) -> None:
    """Raise unless the probe's curve is autodiff's, taken through added zeros at every h_t.

    Norms of at most ``floor`` are not compared.
    """

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


def figures(table: Table) -> dict[str, tuple[Figure, str]]:
    """Draw bars of the ratios, with their bounds."""
    figure, axes = plots.new_figure(1, 2, size=(10, 3))
    for ax, (name, (over, bound)) in zip(axes[0], BOUNDS.items(), strict=True):
        for y, member in enumerate(table):
            r = member.result
            ax.barh(y, r[f"{name}_ratio"], color=plots.COLORS[1], height=0.6)
            ax.plot([r[f"{name}_low"], r[f"{name}_high"]], [y, y], color="black", linewidth=1)
            keys.mark(ax.lines[-1], "10–90% of the runs")
            ax.text(
                0.02,
                y,
                f"{r[f'{name}_ms']:.1f} ms / {r[f'{over}_ms']:.1f} ms",
                color="white",
                va="center",
                fontsize=8,
            )
        ax.axvline(bound, color=plots.COLORS[2], linestyle="--")
        ax.text(bound, -0.45, f" bound {bound}", color=plots.COLORS[2], fontsize=8)
        ax.set_yticks(range(len(table)), [m.config["cell"]["name"] for m in table])
        ax.set(xlabel="ratio of times", xlim=(0, 1.6))
        plots.title(ax, WORDS[name])
    return {"ratio": (figure, "Medians of interleaved runs; the thin lines are 10–90% ranges.")}


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


def _cheap(statement: str, holds_if: str, side: str) -> Callable[..., Claim]:
    def check(table: Table, times: float) -> tuple[bool, str]:
        ratios = table.each(f"{side}_ratio")
        names = [member.config["cell"]["name"] for member in table]
        words = ", ".join(f"{name} {ratio:.2f}x" for name, ratio in zip(names, ratios, strict=True))
        return bool(ratios.max() <= times), words

    return claim(
        statement, source="rnnlab", holds_if=holds_if, expected="holds", times=BOUNDS[side][1]
    )(check)


_probe = _cheap(
    "The adjoint at every step costs about as much as an ordinary backward pass",
    "at most {times:g}x jit(value_and_grad) for every cell",
    "probe",
)
_norms = _cheap(
    "The norms of every step's adjoint come with the gradient of training",
    "at most {times:g}x jit(value_and_grad), both fused, for every cell",
    "norms",
)


def claims(table: Table) -> list[Claim]:
    """List the bounds, for every cell."""
    return [_probe(table), _norms(table)]
