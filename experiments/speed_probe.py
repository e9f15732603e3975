"""What the adjoint probe costs beside an ordinary backward pass.

    rnnlab run --config=experiments/speed_probe.py

B = 32, H = 128, T = 200, D = 1; about a minute on 2 cores with nothing else running. Both sides
jitted, in one process, interleaved, median of several runs; the probe's last adjoint is checked
against autodiff's first. Expected: at most 1.3x jit(value_and_grad) over the parameters.
"""

import time
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from rnnlab import gradients, plots, recurrence
from rnnlab.claims import Claim
from rnnlab.initializers import InitScheme
from rnnlab.records import Table

CELLS = ("rnn-tanh", "rnn-relu", "lstm", "gru")
BOUND = 1.3


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """One scale only."""
    if arg not in (None, ""):
        raise ValueError(f"speed_probe.py takes no argument, got {arg!r}")
    config = ml_collections.ConfigDict(
        {
            "seed": 0,
            "task": {"length": 200, "batch_size": 32, "input_size": 1},
            "cell": {"name": "lstm", "hidden_size": 128},
            "run": {"repeats": 31, "seconds_per_member": 12.0, "seconds_per_group": 0.0},
        }
    )
    return config.lock()


def get_sweep(config: Any) -> dict[Any, Any]:
    """One member a cell."""
    del config
    return {"cell.name": CELLS}


def run(config: Any, key: jax.Array, log: Any) -> dict[str, Any]:
    """Time both, turn and turn about."""
    task = config.task
    key_x, key_p = jax.random.split(key)
    layer = recurrence.by_name(config.cell.name, config.cell.hidden_size, InitScheme())
    params = layer.init(key_p, task.input_size)
    xs = jax.random.normal(key_x, (task.batch_size, task.length, task.input_size))

    def loss(ys: jax.Array) -> jax.Array:
        return (ys[:, -1] ** 2).sum()

    def whole(params: Any, xs: jax.Array) -> jax.Array:
        return loss(layer.apply(params, xs)[0])

    backward = jax.jit(jax.value_and_grad(whole))
    probe = jax.jit(lambda params, xs: gradients.adjoint_norms(layer, params, xs, loss).norms["h"])
    _check(layer, params, xs, loss, np.asarray(probe(params, xs)))
    times: dict[str, list[float]] = {"value_and_grad": [], "probe": []}
    for _ in range(config.run.repeats):
        for name, call in (("value_and_grad", backward), ("probe", probe)):
            start = time.perf_counter()
            jax.block_until_ready(call(params, xs))
            times[name].append(time.perf_counter() - start)
    ratios = np.array(times["probe"]) / np.array(times["value_and_grad"])
    for name, seconds in times.items():
        log(side=name, seconds=seconds)
    return {
        "value_and_grad_ms": 1e3 * float(np.median(times["value_and_grad"])),
        "probe_ms": 1e3 * float(np.median(times["probe"])),
        "ratio": float(np.median(times["probe"]) / np.median(times["value_and_grad"])),
        "ratio_low": float(np.quantile(ratios, 0.1)),
        "ratio_high": float(np.quantile(ratios, 0.9)),
    }


def _check(layer: Any, params: Any, xs: jax.Array, loss: Any, curve: np.ndarray) -> None:
    """Raise unless the probe's curve is autodiff's, taken through added zeros at every h_t."""
    cell = layer.cell

    def perturbed(zeros: jax.Array) -> jax.Array:  # (T, B, H)
        state = cell.initial_state(params, (xs.shape[0],))
        nothing = jax.tree.map(jnp.zeros_like, state)

        def step(state: Any, inputs: Any) -> Any:
            x, zero = inputs
            state, y, _ = cell.step(params, state, x, perturb=nothing._replace(h=zero))
            return state, y

        _, ys = jax.lax.scan(step, state, (jnp.moveaxis(xs, 1, 0), zeros))
        return loss(jnp.moveaxis(ys, 0, 1))

    B, T, _ = xs.shape
    plain = jax.jit(jax.grad(perturbed))(jnp.zeros((T, B, cell.hidden_size)))
    norms = np.linalg.norm(np.asarray(plain, np.float64), axis=-1).T
    seen = norms > 1e-30  # plain float32 fades out below
    worst = np.abs(np.log10(norms[seen]) - curve[seen]).max()
    if not worst < 1e-3:
        raise AssertionError(f"the probe and autodiff differ by {worst} decades")


def figures(table: Table) -> dict[str, Any]:
    """Bars of the ratio, with the bound."""
    figure, axes = plots.new_figure(1, 1, size=(6.4, 3))
    ax = axes[0, 0]
    for y, member in enumerate(table):
        r = member.result
        ax.barh(y, r["ratio"], color=plots.COLOURS[1], height=0.6)
        ax.plot([r["ratio_low"], r["ratio_high"]], [y, y], color="black", linewidth=1)
        ax.text(0.02, y, f"{r['probe_ms']:.1f} ms / {r['value_and_grad_ms']:.1f} ms",
                color="white", va="center", fontsize=8)  # fmt: skip
    ax.axvline(BOUND, color=plots.COLOURS[2], linestyle="--")
    ax.text(BOUND, len(table) - 0.45, f" bound {BOUND}", color=plots.COLOURS[2], fontsize=8)
    ax.set_yticks(range(len(table)), [m.config["cell"]["name"] for m in table])
    ax.set(xlabel="time of the probe / time of jit(value_and_grad)", xlim=(0, 1.6))
    return {"ratio": (figure, "Medians of interleaved runs; the thin line is the 10–90% range.")}


def claims(table: Table) -> list[Claim]:
    """The bound, for every cell."""

    def cheap() -> tuple[bool, str]:
        ratios = table.stack("ratio")
        names = [member.config["cell"]["name"] for member in table]
        words = ", ".join(f"{n} {r:.2f}x" for n, r in zip(names, ratios, strict=True))
        return bool(ratios.max() <= BOUND), words

    return [
        Claim("The adjoint at every step costs about what an ordinary backward pass costs",
              "rnnlab", f"at most {BOUND}x jit(value_and_grad) for every cell", "holds", cheap),
    ]  # fmt: skip
