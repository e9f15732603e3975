"""Gradients grow with memory though the unit stays stable: the λ-unit on white noise.

    rnnlab run --config=experiments/gradients/memory_gradients.py

One linear unit, h_t = λh_{t−1} + x_t with x_t ~ N(0, 1), and its sensitivity dh_T/dλ by automatic
differentiation after enough steps to be stationary. Seconds on 2 cores; ":full" has 16 times the
sequences.

Expected: E[h²] = 1/(1−λ²), 1.33 at λ = 0.5 and 50 at 0.99, and E[(dh/dλ)²] = (1+λ²)/(1−λ²)³, 2.96
and 2.5·10^5. Both are sums of Gaussians, so that a square divided by its mean is χ²₁ and a mean of
n squares has the relative standard error √(2/n), 2.2% by default.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from rnnlab import theory
from rnnlab.core import validate
from rnnlab.lab.config import Config, scale, seeds
from rnnlab.lab.sweep import Sweep
from rnnlab.nn.cells import RNN
from rnnlab.nn.params import RNNParams
from rnnlab.nn.unroll import unroll
from rnnlab.plotting import keys, plots
from rnnlab.results.claims import Claim, claim
from rnnlab.results.table import Table

LAMBDAS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99)
# standard errors that a mean may be off: of 33 members and two parts one is beyond by chance in 1
# of 240 runs. (A draft had 3, or 5%: a theorem would have been refuted in 1 run of 6.)
BOUND = 4
MEMORIES = 10  # steps of a sequence, in units of 1/(1−λ): the first inputs then weigh below 1e-4
PARTS = {
    "h": ("E[h²]", theory.lambda_unit_second_moment),
    "dh": ("E[(dh/dλ)²]", theory.lambda_unit_gradient_second_moment),
}


def get_config(arg: str | None = None) -> ConfigDict:
    """Return the default config, or with "full" more sequences."""
    full = scale(arg) == "full"
    config = ConfigDict(
        {
            "seed": 0,
            "unit": {"lam": 0.9},  # λ, the share of the state that a step keeps
            "task": {"sequences": 64_000 if full else 4_000},  # drawn sequences, averaged over
            "run": {
                "seeds": 3,
                "seconds_per_member": 4.0 if full else 0.25,
                "seconds_per_group": 0.0,
            },
        }
    )
    return config.lock()


def get_sweep(config: Config) -> Sweep:
    """Return λ x seeds."""
    return {"unit.lam": LAMBDAS, "seed": seeds(config)}


def check(config: Config) -> None:
    """Refuse a unit that is not stable, and a mean without a standard error."""
    validate.rate("unit.lam", config.unit.lam)
    validate.whole("task.sequences", config.task.sequences, 2)


def length(lam: float) -> int:
    """Return T, the steps until the unit is stationary."""
    return math.ceil(MEMORIES / (1 - lam))


def run(config: Config, key: jax.Array, log: Callable[..., None]) -> dict[str, object]:
    """Return means over independent sequences of h_T² and (dh_T/dλ)², and their errors."""
    del log
    lam, n = config.unit.lam, config.task.sequences
    xs = jax.random.normal(key, (n, length(lam), 1))
    h, dh = _last(jnp.float32(lam), xs)
    result: dict[str, object] = {"steps": length(lam)}
    for part, values in (("h", h), ("dh", dh)):
        squares = np.asarray(values, np.float64) ** 2
        exact = PARTS[part][1](lam)
        off = squares.mean() / exact - 1
        result |= {
            f"{part}_second_moment": squares.mean(),
            f"{part}_relative_error": off,
            f"{part}_standard_errors_off": off / math.sqrt(2 / n),
        }
    return result


@jax.jit
def _last(lam: jax.Array, xs: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return (h_T, dh_T/dλ), each (B,), of a linear RNN with one unit, by forward mode."""

    def unit(lam: jax.Array) -> jax.Array:
        one = jnp.ones((1, 1))
        params = RNNParams(W_xh=one, W_hh=lam * one, b_h=jnp.zeros(1))
        ys, _ = unroll(RNN(1, "identity"), params, xs, engine="scan")
        return ys[:, -1, 0]

    return jax.jvp(unit, (lam,), (jnp.ones_like(lam),))


# ---- the figure --------------------------------------------------------------------------------


def figures(table: Table) -> dict[str, tuple[Figure, str]]:
    """Draw second moments against λ, over the closed forms."""
    figure, axes = plots.new_figure(1, 2, size=(11, 4.2))
    against_lam, against_memory = axes[0]
    lams = np.array([member.config["unit"]["lam"] for member in table])
    fine = np.linspace(lams.min(), lams.max(), 300)
    for index, (part, (words, exact)) in enumerate(PARTS.items(), start=1):
        line = np.array([exact(lam) for lam in fine])
        moments = table.each(f"{part}_second_moment")
        for ax, x, x_fine in (
            (against_lam, lams, fine),
            (against_memory, 1 / (1 - lams), 1 / (1 - fine)),
        ):
            color = plots.look(index)["color"]
            plots.theory_line(ax, x_fine, line, color, label=words, meaning="closed form")
            ax.plot(x, moments, "os"[index - 1], color=color, markersize=4, label=words)
            keys.mark(ax.lines[-1], "mean over sequences, one per seed")
            ax.annotate(
                words,
                (x_fine[200], line[200]),
                (-6, 8),
                textcoords="offset points",
                color=color,
                ha="right",
            )
    against_lam.set(yscale="log", xlabel=r"$\lambda$", ylabel="second moment")
    against_memory.set(xscale="log", yscale="log", xlabel=r"memory $1/(1 - \lambda)$, steps")
    plots.title(against_lam, r"$h_t = \lambda h_{t-1} + x_t$ on white noise")
    plots.title(against_memory, "Slopes 1 and 3")
    return {
        "second_moments": (
            figure,
            "The state grows with memory, its sensitivity to λ far more, though the unit is "
            "stable. Points: means over sequences, one per seed; dotted: 1/(1−λ²) and "
            "(1+λ²)/(1−λ²)³. After Zucchet & Orvieto 2024, Fig. 1.",
        )
    }


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


SOURCE = "closed form; after Zucchet & Orvieto 2024 (arXiv 2405.21064), Fig. 1"


def _agrees(part: str, statement: str) -> Callable[..., Claim]:
    def check(table: Table, errors: float) -> tuple[bool, str]:
        relative = np.abs(table.each(f"{part}_relative_error"))
        off = np.abs(table.each(f"{part}_standard_errors_off"))
        return bool(off.max() <= errors), (
            f"{np.sum(off <= errors)} of {off.size} means; largest error "
            f"{100 * relative.max():.1f}%, {off.max():.1f} standard errors"
        )

    return claim(
        statement,
        source=SOURCE,
        holds_if="every member's mean within {errors:g} standard errors, √(2/n) of it each",
        expected="holds",
        closed_form=True,
        errors=BOUND,
    )(check)


_state = _agrees("h", "On white noise E[h²] = 1/(1−λ²)")
_gradient = _agrees("dh", "On white noise E[(dh/dλ)²] = (1+λ²)/(1−λ²)³")


@claim(
    "With longer memory the gradient grows much faster than the state, though the unit is stable",
    source="Zucchet & Orvieto 2024",
    holds_if="from the shortest memory to the longest E[(dh/dλ)²] grows by more than E[h²]'s "
    "growth to the power of {power:g}",
    expected="holds",
    power=2,
)
def _grows_faster(table: Table, power: float) -> tuple[bool, str]:
    short, long = (table.select({"unit.lam": lam}) for lam in (LAMBDAS[0], LAMBDAS[-1]))
    growth = {
        part: long.stack(f"{part}_second_moment").mean()
        / short.stack(f"{part}_second_moment").mean()
        for part in PARTS
    }
    return bool(growth["dh"] > growth["h"] ** power), (
        f"from λ = {LAMBDAS[0]} to {LAMBDAS[-1]} E[h²] grows {growth['h']:.1f} times, "
        f"E[(dh/dλ)²] {growth['dh']:.3g} times"
    )


def claims(table: Table) -> list[Claim]:
    """List the two closed forms, and the paper's conclusion from them."""
    return [_state(table), _gradient(table), _grows_faster(table)]
