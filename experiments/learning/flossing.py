"""Gradient flossing before and during training: the delays over which a tanh RNN learns.

    rnnlab run --config=experiments/learning/flossing.py

After Engelken 2023 (arXiv 2312.17306) and its code (RainerEngelken/GradientFlossing): a stream of
random bits, to be answered at every step with the bit d steps ago, or with the exclusive or of the
bits d/2 and d steps ago. A tanh RNN is drawn as there (W_hh of a Gaussian at gain 1, W_xh and W_hy
of standard deviation 1) and trained as it is drawn; after nearly all of its Lyapunov exponents (30
of 32; 75 of 80 there) have been pushed to zero on one of the member's own sequences; and with their
squares in the loss as well. Each has a learning rate of its own, chosen on 2 seeds, and is judged
on 8 others, 16 where a pair is still open, by the updates until nine of ten answers are right.
":full" has the paper's 80 units and longer delays.

Delays and budget were chosen by runs without flossing, 2 seeds at each rate: the copy is learned
over 8 steps, over 16 by some seeds at some rates and never over 24; so is XOR over 6, 12 and 16.
About 4 minutes on 2 cores.

Expected, after the paper: flossing before training makes the RNN learn sooner, or at all, and
flossing during training too is no worse.

Found: both hold wherever an arm learns and the seeds decide. Seeds that learn, of those judged,
with no flossing, flossing first and flossing throughout: the copy over 24 steps 0 of 16, 14 of 16
and 8 of 8; XOR over 12 steps 6 of 16, 15 of 16 and 8 of 8; XOR over 16 steps 0 of 8, 0 of 8 and 8
of 8. Of the 12 claims 3 are undecided: over the shortest delays, where nearly all learn within 100
updates, and where neither arm learns. (A first run looked every 25 updates in place of 10: 8 held
and 4 were undecided. With 8 of 32 exponents, a small W_xh and delays of 24 to 64 nearly all were.)
"""

import dataclasses
import math
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

import rnnlab
from rnnlab import training
from rnnlab.core import validate
from rnnlab.lab.comparison import RATE, Comparison
from rnnlab.lab.config import Config, scale
from rnnlab.nn import losses
from rnnlab.nn.initializers import InitScheme
from rnnlab.plotting import learning_curves, plots
from rnnlab.results.claims import Claim
from rnnlab.results.comparison import Comparisons
from rnnlab.results.comparison_claims import as_good, better
from rnnlab.results.table import Table
from rnnlab.tasks.base import Batch, Goal
from rnnlab.tasks.synthetic import Synthetic, error
from rnnlab.training import runner

REPRODUCE = False  # beyond the 40 minutes of the set
TASKS = {"copy": "delayed copy", "xor": "delayed XOR"}
WITHOUT, BEFORE, DURING = "no flossing", "flossing first", "flossing throughout"

run = training.run


@rnnlab.register_task("delayed_bits")
@dataclasses.dataclass(frozen=True)
class DelayedBits(Synthetic):
    """y_t = b_{t−d}, or with ``xor`` b_{t−d} ⊕ b_{t−d/2}, of fair bits b_t shown as 0 and 1.

    Inputs (B, 2d, 1). Targets (B, 2d); the first d steps do not count.

    Args:
        delay: d, at least 2; even with ``xor``.
        xor: whether two bits are combined.
        solved_at: the share of wrong answers at which it counts as solved.
    Raises:
        ValueError: an option out of its range.
    """

    delay: int = 20
    xor: bool = False
    solved_at: float = 0.1

    name: ClassVar[str] = "delayed_bits"
    input_size = 1
    output_size = 2
    loss = "cross_entropy"
    many_to_one = False

    def __post_init__(self) -> None:
        validate.whole("delay", self.delay, 2)
        validate.flag("xor", self.xor)
        validate.number("solved_at", self.solved_at, above=0, most=1)
        if self.xor and self.delay % 2:
            raise ValueError(f"delay must be even where xor is true, got {self.delay}")

    @property
    def length(self) -> int:
        """2d."""
        return 2 * self.delay

    @property
    def goal(self) -> Goal:
        """Error at most ``solved_at``."""
        return Goal("error", self.solved_at)

    def baseline(self, data: object = ()) -> float:
        """Return ln 2: an answer without memory."""
        return math.log(2)

    def sample(self, key: jax.Array, batch_size: int) -> Batch:
        """Return ``batch_size`` streams with their answers."""
        bits = jax.random.randint(key, (batch_size, self.length), 0, 2, jnp.int32)
        answers = jnp.roll(bits, self.delay, axis=1)
        if self.xor:
            answers = answers ^ jnp.roll(bits, self.delay // 2, axis=1)
        counts = jnp.broadcast_to(jnp.arange(self.length) >= self.delay, bits.shape)
        return Batch(bits.astype(jnp.float32)[..., None], answers, counts)

    def score(self, outputs: jax.Array, batch: Batch) -> dict[str, jax.Array]:
        """Return the loss, and "error", the share of wrong answers; outputs (B, 2d, 2)."""
        return {
            "loss": losses.cross_entropy(outputs, batch.targets, batch.mask),
            "error": error(outputs, batch.targets, batch.mask),
        }


# ---- what is compared --------------------------------------------------------------------------


def get_config(arg: str | None = None) -> ConfigDict:
    """Return the default config, or with "full" the paper's sizes and delays."""
    full = scale(arg) == "full"
    config = ConfigDict(
        {
            "seed": 0,
            "task": {"name": "delayed_bits", "delay": 10, "xor": False, "solved_at": 0.1},
            "cell": {"name": "rnn-tanh", "hidden_size": 80 if full else 32, "layers": 1},
            "init": InitScheme.config(
                w_x="normal(std=1.0)", w_h="mean_field(sigma_w=1.0)", w_y="normal(std=1.0)"
            ),
            "training": training.config(
                learning_rate=1e-3,
                clip_norm=0.03,
                batch_size=16,
                steps=10_000 if full else 1000,
                eval_every=100 if full else 10,
                eval_batch_size=200,
            ),
            "run": runner.config(
                copy=(20, 40, 70, 100) if full else (8, 16, 24),  # delays of the copy
                xor=(20, 40, 70, 100) if full else (6, 12, 16),  # of XOR
                floss=100,  # steps of flossing before training
                floss_rate=0.01,  # their learning rate
                exponents=75 if full else 30,  # of the state's Lyapunov exponents, from the top
                omega=0.1,  # weight of their squares during training
                seconds_per_member=120.0 if full else 3.0,
                seconds_per_group=10.0,
            ),
        }
    )
    return config.lock()


def place(task: str, delay: int) -> str:
    """Return the name of the comparison of a task at a delay."""
    return f"{task}_{delay}"


def comparison(config: Config) -> list[Comparison]:
    """Compare no flossing with flossing before training, and before and during it."""
    options = config.run
    before = {
        "init.floss": options.floss,
        "init.floss_exponents": options.exponents,
        "init.floss_learning_rate": options.floss_rate,
        "init.floss_sequences": 1,
    }
    during = {
        "training.regularizer": f"flossing(exponents={options.exponents}, sequences=1)",
        "training.omega": options.omega,
    }
    return [
        Comparison(
            {WITHOUT: {"init.floss": 0}, BEFORE: before, DURING: before | during},
            tune={RATE: (1e-3, 3e-3, 1e-2)},
            reference=BEFORE,
            tuning_seeds=2,
            seeds=(8, 16),
            question=f"In {TASKS[task]} over {delay} steps",
            name=place(task, delay),
            fixed={"task.delay": delay, "task.xor": task == "xor"},
        )
        for task in TASKS
        for delay in options[task]
    ]


# ---- figures -----------------------------------------------------------------------------------


def figures(table: Table, comparisons: Comparisons) -> dict[str, tuple[Figure, str]]:
    """Draw the share of seeds that learn a task, by its delay."""
    delays = {task: table[0].config["run"][task] for task in TASKS}
    figure, axes = plots.new_figure(1, len(TASKS), size=(4.2 * len(TASKS), 3.6), share_y=True)
    for ax, (task, title) in zip(axes[0], TASKS.items(), strict=True):
        ends = []
        for index, name in enumerate((WITHOUT, BEFORE, DURING)):
            shares = [
                float(np.isfinite(comparisons[place(task, delay)].arm(name).test).mean())
                for delay in delays[task]
            ]
            look = plots.look(index)
            ax.plot(delays[task], shares, marker="o", markersize=4, label=name, **look)
            ends.append(plots.End(delays[task][-1], shares[-1], name, look["color"]))
        learning_curves.length_axis(ax, delays[task], "delay, steps")
        ax.set(ylim=(-0.05, 1.05), ylabel="")
        plots.title(ax, title)
        plots.direct_labels(ax, ends)
    axes[0, 0].set_ylabel("share of seeds that learn it")
    return {
        "success": (
            figure,
            "The share of the judged seeds that answer nine of ten right within the budget, by the "
            "delay; each arm at its own learning rate. After Engelken 2023.",
        )
    }


# ---- claims: expected verdicts, fixed before results -------------------------------------------

ENGELKEN = "Engelken 2023 (arXiv 2312.17306)"


def claims(table: Table, comparisons: Comparisons) -> list[Claim]:
    """List what Engelken reports, at every delay."""
    delays = {task: table[0].config["run"][task] for task in TASKS}
    listed = []
    for task, title in TASKS.items():
        for delay in delays[task]:
            shared = {
                "comparisons": comparisons,
                "name": place(task, delay),
                "source": ENGELKEN,
            }
            words = f"{title} over {delay} steps"
            listed += [
                better(
                    f"Flossing before training makes an RNN learn sooner: {words}",
                    arms=(BEFORE, WITHOUT),
                    **shared,
                ),
                as_good(
                    f"Flossing during training too is no worse: {words}",
                    arms=(DURING, BEFORE),
                    **shared,
                ),
            ]
    return listed
