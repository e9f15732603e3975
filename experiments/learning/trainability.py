"""Which tanh RNNs can be trained, predicted: accuracy over σ_w x T against mean field's 6ξ line.

    rnnlab run --config=experiments/learning/trainability.py

One of four symbols, T noisy steps, then its name: SGD has to carry it over T steps. For every T
the σ_w lie at set ratios of the predicted length 6|ξ(σ_w)|, half of them within a factor of two
of it, on the ordered (σ_w below critical) and on the chaotic side. The predictions are written to
predictions.json before anything trains. About 3 minutes on 2 cores; ":full" has H = 256,
lengths up to 272, a finer grid and 5 seeds.

Expected (Chen, Pennington & Schoenholz 2018: accuracy ends at the 6ξ line): 92 of 96 cells right,
96%, balanced 96%, where a guess of the commoner outcome gets 54%. The four that are wrong lie on
the chaotic side, just beyond the line, and train.

The 6 is the papers' rule of thumb for a budget of training, not a constant of nature. The symbol
arrives with χ^T = e^−6 of its square at T = 6ξ: on the ordered side the updates that are needed to
read it grow as χ^−T, on the chaotic side the noise, too, grows as χ^t, and drowns it after about
ξ·ln(q*/v) steps. So the rule wants a v below q*e^−6. The noise (v = 0.0009), rate and number of
updates were chosen for it with other seeds and σ_w than those of the grid.

W_hh is σ_w times an orthogonal matrix, as in Chen et al. Mean field averages over a fresh Gaussian
W at every step; a recurrent network ties W, and a tied Gaussian W does not follow σ_w^k at finite
width (for H = 128, σ_w = 1 and k = 100 the decades scatter by ±1.4), while a tied orthogonal one
does, exactly. q*, χ and ξ are the same for both.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from ml_collections import ConfigDict

from rnnlab import tasks, theory, training
from rnnlab.core.errors import Undecided
from rnnlab.lab.config import Config, scale, seeds
from rnnlab.lab.sweep import Sweep
from rnnlab.nn.initializers import InitScheme, parse
from rnnlab.plotting import keys, plots
from rnnlab.results.claims import Claim, claim
from rnnlab.results.table import Table
from rnnlab.tasks.delayed_recall import DelayedRecall
from rnnlab.training import runner

LENGTHS = (24, 34, 48, 68, 96, 136)
# log2 of 6|ξ|/T on each side of the critical σ_w; within ±1: a factor of two of the line
NEAR = (-0.75, -0.25, 0.25, 0.75)
OFF = (-2.0, -1.25, 1.25, 2.0)
Results = Mapping[str, Any]  # of a member
_BOUND = r"theory: $T = 6|\xi|$"  # of a line, for the key
SUCCESS = 0.8  # accuracy after the last update above which a network counts as trained

run = training.run


def get_config(arg: str | None = None) -> ConfigDict:
    """Return the default config, or with "full" a larger one."""
    full = scale(arg) == "full"
    config = ConfigDict(
        {
            "seed": 0,
            "task": {
                "name": "delayed_recall",
                "delay": 24,  # T
                "classes": 4,
                "noise": 0.015,
                "solved_at": 0.01,
            },
            "cell": {"name": "rnn-tanh", "hidden_size": 256 if full else 128, "layers": 1},
            "init": InitScheme.config(w_x="normal(std=1.0)", w_h="orthogonal(gain=1.0)"),
            "training": training.config(
                optimizer="sgd",
                # the read-out's gradient grows with H
                learning_rate=0.005 if full else 0.01,
                clip_norm=0.1,
                steps=300,
                eval_every=100,
            ),
            "grid": {
                "lengths": (*LENGTHS, 192, 272) if full else LENGTHS,  # values of task.delay
                # log₂ of task.delay over the 6ξ of mean field, by which gains are chosen
                "ratios": tuple((np.arange(-15, 16, 2) / 8).tolist()) if full else (*NEAR, *OFF),
            },
            "run": runner.config(
                seeds=5 if full else 3,
                seconds_per_member=6.0 if full else 0.7,
                seconds_per_group=8.0,
            ),
        }
    )
    return config.lock()


def get_sweep(config: Config) -> Sweep:
    """Return for every length the σ_w at the ratios of the predicted length, on both sides."""
    critical, v = critical_sigma(config), input_variance(config)
    return [
        {
            "task.delay": (T,),
            "init.w_h": tuple(
                f"orthogonal(gain={sigma_at(T * 2**ratio, critical, v, chaotic):.5f})"
                for chaotic in (False, True)
                for ratio in sorted(config.grid.ratios, reverse=chaotic)
            ),
            "seed": seeds(config),
        }
        for T in config.grid.lengths
    ]


def predict(config: Config) -> dict[str, object]:
    """Predict by mean field whether a member trains."""
    sigma_w, v = recurrent_gain(config), input_variance(config)
    length = theory.trainable_length(sigma_w, input_variance=v)
    return {
        "sigma_w": sigma_w,
        "input_variance": v,
        "chaotic": sigma_w > critical_sigma(config),
        "predicted_length": length,
        "predicted": config.task.delay <= length,
        "predicted_without_input": config.task.delay <= theory.trainable_length(sigma_w),
    }


def recurrent_gain(config: Config) -> float:
    """Return σ_w."""
    return float(parse(config.init.w_h)[1]["gain"])


def input_variance(config: Config) -> float:
    """Return the second moment of one entry of W_xh x_t, at the noisy steps.

    Raises:
        ValueError: a W_xh that is not normal(std=…).
    """
    name, options = parse(config.init.w_x)
    if name != "normal" or "std" not in options:
        raise ValueError(f'init.w_x must be "normal(std=…)", got {config.init.w_x!r}')
    std = options["std"]
    task = tasks.from_config(config.task)
    assert isinstance(task, DelayedRecall)
    return task.input_size * std**2 * task.input_variance


def critical_sigma(config: Config) -> float:
    """Return the σ_w at which χ = 1 under the task's noise."""
    return theory.critical_sigma_w(input_variance=input_variance(config))


@lru_cache(maxsize=512)  # a plan asks for the same sweep several times
def sigma_at(length: float, critical: float, v: float, chaotic: bool) -> float:
    """Return the σ_w whose predicted length this is, above or below the critical one."""
    from scipy.optimize import brentq

    def excess(sigma_w: float) -> float:
        trainable = theory.trainable_length(sigma_w, input_variance=v)
        return float(np.log(min(trainable, 1e9) / length))

    edges = (critical * (1 + 1e-6), 100.0) if chaotic else (0.01, critical * (1 - 1e-6))
    return float(np.asarray(brentq(excess, *edges)))


# ---- cells of the map --------------------------------------------------------------------------


class Cells:
    """Members grouped by (σ_w, T): the prediction, and the median accuracy over seeds."""

    def __init__(self, table: Table) -> None:
        groups: dict[tuple[float, int], list[Results]] = {}
        for member in table:
            place = (member.result["sigma_w"], member.config["task"]["delay"])
            groups.setdefault(place, []).append(member.result)
        if not groups:
            raise Undecided("no members")
        self.sigma, self.T = (np.array(values) for values in zip(*groups, strict=True))
        firsts = [results[0] for results in groups.values()]
        self.predicted = np.array([first["predicted"] for first in firsts])
        self.without_input = np.array([first["predicted_without_input"] for first in firsts])
        self.chaotic = np.array([first["chaotic"] for first in firsts])
        self.ratio = self.T / np.array([first["predicted_length"] for first in firsts])
        self.accuracy = np.array(
            [1 - np.median([r["error"] for r in results]) for results in groups.values()]
        )
        self.trained = self.accuracy > SUCCESS
        self.input_variance = firsts[0]["input_variance"]

    @property
    def right(self) -> np.ndarray:
        """Where the prediction came true."""
        return self.predicted == self.trained

    @property
    def near(self) -> np.ndarray:
        """Within a factor of two of the predicted line."""
        return np.abs(np.log2(self.ratio)) <= 1

    def balanced(self) -> float:
        """Return the mean of the shares predicted right, of cells that trained and that did not."""
        if self.trained.all() or not self.trained.any():
            raise Undecided("balanced accuracy needs cells that trained and cells that did not")
        return float(np.mean([self.right[self.trained].mean(), self.right[~self.trained].mean()]))

    def majority(self) -> float:
        """Return the share that a guess of the commoner outcome gets right."""
        return float(max(self.trained.mean(), 1 - self.trained.mean()))

    def confusion(self) -> str:
        """Return the confusion table in words."""
        count = [
            [int((self.predicted[self.trained == t] == p).sum()) for p in (True, False)]
            for t in (True, False)
        ]
        return (
            f"of {sum(count[0])} cells that trained {count[0][0]} were predicted to, of "
            f"{sum(count[1])} that did not {count[1][1]} were predicted not to"
        )


# ---- figures -----------------------------------------------------------------------------------


def figures(table: Table) -> dict[str, tuple[Figure, str]]:
    """Draw the map with the predicted line, and accuracy against T over the predicted length."""
    cells = Cells(table)
    figure, axes = plots.new_figure(1, 2, size=(13, 4.8), widths=(1.5, 1))
    _map(axes[0, 0], cells)
    _collapse(axes[0, 1], cells)
    return {
        "trainability": (
            figure,
            f"Median accuracy over seeds, and where 6ξ says that training ends: right in "
            f"{cells.right.sum()} of {cells.right.size} cells ({100 * cells.right.mean():.0f}%; "
            f"the majority guess {100 * cells.majority():.0f}%); {cells.confusion()}. Crosses: "
            f"wrong. Trained: accuracy above {SUCCESS}. Gray: "
            "within a factor of two of 6|ξ|; larger marks: longer T. After Chen, Pennington & "
            "Schoenholz 2018.",
        )
    }


def _map(ax: Axes, cells: Cells) -> None:
    colors, norm = colormaps["cividis"], Normalize(0, 1)
    lengths = np.unique(cells.T)
    rows = _edges(np.log(lengths))
    for T, low, high in zip(lengths, rows[:-1], rows[1:], strict=True):
        here = np.flatnonzero(cells.T == T)
        here = here[np.argsort(cells.sigma[here])]
        columns = _edges(np.log(cells.sigma[here]))
        for index, left, right in zip(here, columns[:-1], columns[1:], strict=True):
            x, y = np.exp(left), np.exp(low)
            ax.add_patch(
                Rectangle(
                    (x, y),
                    np.exp(right) - x,
                    np.exp(high) - y,
                    linewidth=0.3,
                    edgecolor="white",
                    facecolor=colors(norm(cells.accuracy[index])),
                    label=f"accuracy {cells.accuracy[index]:.6g}",
                )
            )
    wrong = ~cells.right
    ax.plot(
        cells.sigma[wrong],
        cells.T[wrong],
        "x",
        color=plots.COLORS[2],
        markersize=7,
        markeredgewidth=2,
    )
    if wrong.any():
        keys.mark(ax.lines[-1], "predicted wrongly")
    ax.set(
        xscale="log",
        yscale="log",
        xlim=(0.95 * cells.sigma.min(), 1.05 * cells.sigma.max()),
        ylim=np.exp(rows[[0, -1]]),
        xlabel=r"$\sigma_w$",
        ylabel="steps $T$ to be bridged",
    )
    v = cells.input_variance
    critical = theory.critical_sigma_w(input_variance=v)
    for sigma in (
        np.linspace(cells.sigma.min(), 0.9999 * critical, 400),
        np.linspace(1.0001 * critical, cells.sigma.max(), 400),
    ):
        line = [theory.trainable_length(s, input_variance=v) for s in sigma]
        ax.plot(sigma, line, color="white", linewidth=4)
        keys.mark(ax.lines[-1], "", guide=True)  # the ground of the next one
        ax.plot(sigma, line, color="black", linestyle="--", linewidth=1.8, label="6|ξ|")
        keys.mark(ax.lines[-1], _BOUND)
    ax.grid(False)
    ax.set_yticks(lengths, [str(T) for T in lengths])
    ticks = [
        s
        for s in (0.2, 0.4, 0.6, 0.8, 1, 1.5, 2, 3, 4, 6, 8)
        if cells.sigma.min() <= s <= cells.sigma.max()
    ]
    ax.set_xticks(ticks, [f"{s:g}" for s in ticks])
    ax.minorticks_off()
    plots.title(ax, rf"tanh RNN, critical at $\sigma_w$ = {critical:.2f}")
    figure = ax.get_figure(root=True)
    assert figure is not None
    bar = figure.colorbar(ScalarMappable(norm, colors), ax=ax, pad=0.02)
    bar.set_label("accuracy")
    bar.ax.axhline(SUCCESS, color="white", linewidth=2)


def _edges(centers: np.ndarray) -> np.ndarray:
    """Return edges half way between neighbors; the outer ones as far on their other side."""
    if centers.size == 1:
        return np.array([centers[0] - 0.1, centers[0] + 0.1])
    middle = (centers[:-1] + centers[1:]) / 2
    return np.concatenate([[2 * centers[0] - middle[0]], middle, [2 * centers[-1] - middle[-1]]])


def _collapse(ax: Axes, cells: Cells) -> None:
    """Draw all lengths on one axis: T in units of the predicted length."""
    near = ax.axvspan(0.5, 2, color="#eeeeee", zorder=0)
    keys.mark(near, "within a factor of two", guide=True)
    keys.mark(ax.axvline(1, color="black", linestyle="--", linewidth=1.8), _BOUND, guide=True)
    trained = ax.axhline(SUCCESS, color="#777777", linewidth=0.8)
    keys.mark(trained, f"trained: accuracy above {SUCCESS}", guide=True)
    for index, (chaotic, words) in enumerate(((False, "ordered"), (True, "chaotic")), start=1):
        for number, T in enumerate(np.unique(cells.T[cells.chaotic == chaotic])):
            here = np.flatnonzero((cells.chaotic == chaotic) & (cells.T == T))
            here = here[np.argsort(cells.ratio[here])]
            ax.plot(
                cells.ratio[here],
                cells.accuracy[here],
                marker="os"[chaotic],
                alpha=0.7,
                markersize=2 + number,
                linewidth=0.8,
                color=plots.look(index)["color"],
                label=f"{words} side" if number == 0 else None,
            )
    ax.set(xscale="log", ylim=(0, 1.04), xlabel=r"$T / 6|\xi|$", ylabel="accuracy")
    ax.set_xticks([0.25, 0.5, 1, 2, 4], ["¼", "½", "1", "2", "4"])
    ax.minorticks_off()
    ax.legend(frameon=False, loc="lower left")
    plots.title(ax, r"A line for each $T$, in units of $6|\xi|$")


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


SOURCE = "Chen, Pennington & Schoenholz 2018 (arXiv 1806.05394); Schoenholz et al. 2017"
TRAINED = "; trained: median accuracy over seeds above {success:g} after the last update"


class Map(NamedTuple):
    """The cells of the map, and how many cells the whole map has."""

    cells: Cells
    whole: int

    def require_whole(self) -> Cells:
        """Return the cells.

        Raises:
            Undecided: the sweep was narrowed.
        """
        if self.cells.T.size < self.whole:
            raise Undecided(
                f"the map is narrowed: {self.cells.T.size} of its {self.whole} cells are there"
            )
        return self.cells


@claim(
    "A tanh RNN is trainable over T steps if and only if T ≤ 6|ξ|, ξ = −1/ln χ",
    source=SOURCE,
    holds_if="right in at least {share:.0%} of the cells and balanced accuracy at least "
    "{balanced:.0%}, {near:.0%} of the cells within a factor of two of the line" + TRAINED,
    expected="holds",
    share=0.9,
    balanced=0.85,
    near=0.5,
    success=SUCCESS,
)
def _predicted(grid: Map, share: float, balanced: float, near: float) -> tuple[bool, str]:
    cells = grid.require_whole()
    right, mean, close = cells.right.mean(), cells.balanced(), cells.near.mean()
    return bool(right >= share and mean >= balanced and close >= near), (
        f"{cells.right.sum()} of {cells.right.size} cells right, {100 * right:.1f}%; balanced "
        f"{100 * mean:.1f}%; majority guess {100 * cells.majority():.1f}%; "
        f"{100 * close:.0f}% of the cells are near the line, of these "
        f"{100 * cells.right[cells.near].mean():.0f}% right; {cells.confusion()}"
    )


@claim(
    "The rule holds on the {side} side",
    source=SOURCE,
    holds_if="right in at least {share:.0%} of its cells" + TRAINED,
    expected="holds",
    share=0.9,
    success=SUCCESS,
)
def _side(grid: Map, side: str, share: float) -> tuple[bool, str]:
    cells = grid.require_whole()
    right = cells.right[cells.chaotic == (side == "chaotic")]
    return bool(right.mean() >= share), f"{right.sum()} of {right.size} cells right"


@claim(
    "Close to the critical σ_w every length is trainable",
    source=SOURCE,
    holds_if="every cell with 6|ξ| above {times:.1f} T trains" + TRAINED,
    expected="holds",
    times=2**1.2,
    success=SUCCESS,
)
def _critical(grid: Map, times: float) -> tuple[bool, str]:
    cells = grid.require_whole()
    trained = cells.trained[cells.ratio <= 1 / times]
    return bool(trained.all()), f"{trained.sum()} of {trained.size} cells trained"


@claim(
    "Mean field has to count the input's variance v",
    source=SOURCE,
    holds_if="more cells right than by the same rule with v = 0",
    expected="holds",
)
def _with_input(grid: Map) -> tuple[bool, str]:
    cells = grid.require_whole()
    right, without = cells.right.sum(), (cells.without_input == cells.trained).sum()
    v = cells.input_variance
    return bool(right > without), (
        f"v = {v:.4f}, critical σ_w {theory.critical_sigma_w(input_variance=v):.2f}: {right} "
        f"cells right; v = 0, critical σ_w {theory.critical_sigma_w():.2f}: {without}"
    )


def claims(table: Table) -> list[Claim]:
    """List how the prediction compares with training."""
    grid = table[0].config["grid"]
    cells = Map(Cells(table), 2 * len(grid["lengths"]) * len(grid["ratios"]))
    return [
        _predicted(cells),
        _side(cells, side="ordered"),
        _side(cells, side="chaotic"),
        _critical(cells),
        _with_input(cells),
    ]
