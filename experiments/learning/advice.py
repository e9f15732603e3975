"""Advice before training, judged on tasks that played no part in choosing its rule.

    rnnlab run --config=experiments/learning/advice.py            tasks that are held out
    rnnlab run --config=experiments/learning/advice.py:develop    those where the rule was chosen

Five cells (tanh and ReLU RNN, LSTM, GRU, and one of this file's own, the update gate RNN of Collins
et al. 2017) on copying, the order of two symbols, digits pixel by pixel and a chaotic series; the
rule (:mod:`rnnlab.results.advice`) was chosen on adding and delayed recall. The candidates are the
defaults of PyTorch, Keras and flax, orthogonal kernels with other gains, the critical one among
them, flossed ones, N(0, 0.01), and for gated cells a forget (update) bias of 3. What the rule says
of each, drawn with other seeds, is written to predictions.json before anything trains. Each is
trained at a learning rate of its own, chosen on 2 seeds, and judged on 10 others by the updates
until the task is solved.

About 16 minutes on 2 cores.

Expected: "trains or not" at 85% balanced accuracy: refuted, as it was where the rule was chosen
(64%); the candidate that is ranked first within 10% of the best in 80% of the settings: refuted;
not worse than a framework's default in 90%: holds; candidates in the order of their gradients, and
the best learning rate within the range that is recommended: refuted.

Found, of 20 settings (a cell on a task), 14 of which any candidate solves: "trains or not" 60%
balanced, hardly better than chance (the spectral radius 56%, mean field 37%): at its own rate a
gated cell learns from nearly anywhere, and what fails (LSTM and RNN on copying, RNNs on the order)
fails from everywhere. The candidate that is ranked first is within 10% of the best in 10 of the 14,
within twice the best in all. It is better than PyTorch's default in 7 settings and worse in none,
than Keras's in 1 and none (in 6 it is Keras's), than flax's in 3 and 1; the others are undecided,
in 6 because nothing solves the task. The order is partly right (rank correlation 0.39); the best
rate is within the recommended range, a factor of 30, for 105 of 115 candidates.
"""

import dataclasses
import json
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from ml_collections import ConfigDict
from scipy import stats

import rnnlab
from rnnlab import gradients, theory, training
from rnnlab.core.errors import Undecided
from rnnlab.lab import advice as advising
from rnnlab.lab import probe_table
from rnnlab.lab.comparison import RATE, Comparison
from rnnlab.lab.config import Config, scale
from rnnlab.nn import equations
from rnnlab.nn.initializers import InitScheme, make, parse
from rnnlab.nn.params import HiddenState
from rnnlab.plotting import keys, learning_curves, plots
from rnnlab.results import advice
from rnnlab.results.claims import Claim, claim
from rnnlab.results.comparison import ComparisonResult, Comparisons
from rnnlab.results.statistics import WORSE, Rule, decide
from rnnlab.results.table import Table
from rnnlab.training import runner

PyTree = Any

REPRODUCE = False  # 16 minutes, about this project's own rule
SIMPLE, GATED = ("rnn-tanh", "rnn-relu"), ("lstm", "gru", "ugrnn")
CELLS = (*SIMPLE, *GATED)
DEVELOP: dict[str, dict[str, object]] = {
    "adding_20": {"task.name": "adding", "task.length": 20, "task.solved_at": 0.05},
    "adding_50": {"task.name": "adding", "task.length": 50, "task.solved_at": 0.05},
    "recall_20": {"task.name": "delayed_recall", "task.delay": 20, "task.solved_at": 0.05},
    "recall_50": {"task.name": "delayed_recall", "task.delay": 50, "task.solved_at": 0.05},
}
_BY_VALIDATION = {"training.keep_best": True}  # for their test sets are given, not drawn
_COPY = {"task.name": "copy_memory", "task.alphabet": 4, "task.items": 3, "task.solved_at": 0.9}
HELD_OUT: dict[str, dict[str, object]] = {  # pyright: ignore
    "copy_20": _COPY | {"task.delay": 20},
    "order_50": {"task.name": "temporal_order", "task.length": 50, "task.solved_at": 0.05},
    "digits": {"task.name": "pixel_digits", "task.solved_at": 0.7} | _BY_VALIDATION,
    "series": {"task.name": "forecasting", "task.horizon": 20, "task.solved_at": 0.05}
    | _BY_VALIDATION,
}
DEFAULTS = ("PyTorch", "Keras", "flax")
PROBED = (1_000_001, 1_000_002)  # seeds of the draws that are probed
RADIUS = (0.6, 3.0)  # spectral radii of candidates that train, as well as ":develop" tells

run = training.run


# ---- a cell of this file's own -----------------------------------------------------------------


class UGRNNParams(NamedTuple):
    """Kernels (D, H) and (H, H) and biases (H,) of the gate and of the candidate."""

    W_xg: jax.Array
    W_hg: jax.Array
    b_g: jax.Array
    W_xc: jax.Array
    W_hc: jax.Array
    b_c: jax.Array


@rnnlab.register_cell("ugrnn")
@dataclasses.dataclass(frozen=True)
class UGRNN:
    """The update gate RNN.

    g_t = σ(W_g [h_{t−1}, x_t] + b_g); h_t = g_t*h_{t−1} + (1−g_t)*tanh(W_c [h_{t−1}, x_t] + b_c).

    Source: Collins, Sohl-Dickstein & Sussillo 2017 (arXiv 1611.09913).
    """

    hidden_size: int
    init: InitScheme = dataclasses.field(default_factory=InitScheme)
    output_size = property(lambda self: self.hidden_size)
    keep_gate = "g"

    def init_params(self, key: jax.Array, input_size: int) -> UGRNNParams:
        """Draw the parameters; ``forget_bias`` sets b_g."""
        H, init, keys = self.hidden_size, self.init, jax.random.split(key, 6)
        gate_bias = init.b if init.forget_bias is None else init.forget_bias
        schemes = (init.w_x, init.w_h, gate_bias, init.w_x, init.w_h, init.b)
        shapes = ((input_size, H), (H, H), (H,)) * 2
        drawn = zip(schemes, keys, shapes, strict=True)
        return UGRNNParams(*(make(scheme, H)(key, shape) for scheme, key, shape in drawn))

    def initial_state(
        self, params: UGRNNParams, batch_shape: tuple[int, ...], key: jax.Array | None = None
    ) -> HiddenState:
        """Return zeros."""
        del key
        return HiddenState(jnp.zeros((*batch_shape, self.hidden_size), params.b_g.dtype))

    def step(
        self,
        params: UGRNNParams,
        state: HiddenState,
        x: jax.Array,
        *,
        key: jax.Array | None = None,
        perturb: HiddenState | None = None,
    ) -> tuple[HiddenState, jax.Array, dict[str, jax.Array]]:
        """Return (new state, output, gates)."""
        del key
        p = params
        g = jax.nn.sigmoid(state.h @ p.W_hg + x @ p.W_xg + p.b_g)
        h = g * state.h + (1 - g) * equations.rnn_hidden(state.h, x, p.W_hc, p.W_xc, p.b_c)
        h = h if perturb is None else h + perturb.h
        return HiddenState(h), h, {"g": g}


# ---- what is compared --------------------------------------------------------------------------


def get_config(arg: str | None = None) -> ConfigDict:
    """Return the config of the held-out tasks, or with "develop" of those of the development."""
    develop = scale(arg, "develop") == "develop"
    tasks = DEVELOP if develop else HELD_OUT
    given = {key for values in (*DEVELOP.values(), *HELD_OUT.values()) for key in values}
    keys = {key for key in given if key.startswith("task.")}
    config = ConfigDict(
        {
            "seed": 0,
            # None: the task's own; the members set them
            "task": {key.removeprefix("task."): None for key in sorted(keys)} | {"name": "adding"},
            "cell": {"name": "rnn-tanh", "hidden_size": 32, "layers": 1},
            "init": InitScheme.config(w_h="orthogonal"),
            "training": training.config(
                clip_norm=1.0,
                batch_size=16,
                steps=600,
                eval_every=20,
                eval_batch_size=200,
                eval_sample=200,  # of the digits; the other tasks draw as many
            ),
            "run": runner.config(
                tasks=tuple(tasks),  # those that are advised on and trained
                rates=(1e-3, 3e-3, 1e-2),  # learning rates that are tried for a simple RNN
                gated_rates=(3e-3, 1e-2, 3e-2),  # for a gated one
                tuning_seeds=2,  # seeds with which learning rates are tried
                judged_seeds=(10,),  # fresh seeds after which pairs are looked at
                seconds_per_member=0.25,
                seconds_per_group=6.0,
            ),
        }
    )
    return config.lock()


def arms(cell: str) -> dict[str, dict[str, object]]:
    """Return the candidates of a cell by name."""
    found: dict[str, dict[str, object]] = {
        "PyTorch": dict.fromkeys(("init.w_x", "init.w_h", "init.b"), "torch_uniform"),
        "Keras": {"init.w_x": "xavier_uniform", "init.w_h": "orthogonal"},
        "flax": {"init.w_x": "lecun_normal", "init.w_h": "orthogonal"},
        "gain 0.5": {"init.w_h": "orthogonal(gain=0.5)"},
        "gain 1.5": {"init.w_h": "orthogonal(gain=1.5)"},
        "critical": {"init.w_h": "orthogonal(gain='critical')"},
        "flossed": {"init.w_h": "orthogonal", "init.floss": 30, "init.floss_learning_rate": 0.01},
        "N(0, 0.01)": {"init.w_h": "normal(std=0.01)"},
    }
    if cell == "lstm":  # Keras adds 1 to b_f, flax nothing; PyTorch draws it as every bias
        found["Keras"]["init.forget_bias"] = "1.0"
        found["flax"]["init.forget_bias"] = "0.0"
        found["PyTorch"]["init.forget_bias"] = "torch_uniform"
    if cell in GATED:
        found["bias 3"] = {"init.w_h": "orthogonal", "init.forget_bias": "3.0"}
    return found


def title(task: str) -> str:
    """Return a task's name in words: "copy, 20 steps"."""
    name, _, steps = task.partition("_")
    return f"{name}, {steps} steps" if steps else name


def place(cell: str, task: str) -> str:
    """Return the name of the comparison of a cell's candidates on a task."""
    return f"{cell}_{task}"


def comparison(config: Config) -> list[Comparison]:
    """Return a comparison per cell and task, with PyTorch's default as the reference."""
    return [
        Comparison(
            name=place(cell, task),
            question=f"On {title(task)}, of {cell}",
            arms=arms(cell),
            tune={RATE: config.run.gated_rates if cell in GATED else config.run.rates},
            score="solved_at",
            reference=DEFAULTS[0],
            tuning_seeds=config.run.tuning_seeds,
            seeds=config.run.judged_seeds,
            fixed={"cell.name": cell} | (DEVELOP | HELD_OUT)[task],
        )
        for cell in CELLS
        for task in config.run.tasks
    ]


# ---- the advice, before training ---------------------------------------------------------------


_PROBES: dict[str, dict[str, object]] = {}  # by what they depend on: task, cell and init


def predict(config: Config) -> dict[str, object]:
    """Return what is advised of a member, before anything trains.

    Its candidate is drawn with two seeds of its own and probed on sequences of the task.
    """
    groups = {key: config[key].to_dict() for key in ("task", "cell", "init")}
    known = json.dumps(groups, sort_keys=True)
    if known not in _PROBES:
        _PROBES[known] = _probed(config)
    return dict(_PROBES[known])


def _probed(config: Config) -> dict[str, object]:
    cell, xs, lengths = advising.of_config(config)
    spec = training.MemberSpec.from_config(config)
    members = [spec.draw(jax.random.key(seed)) for seed in PROBED]
    draws = [member.params["params"]["recurrent"] for member in members]
    row = probe_table.probe(cell, draws, xs, lengths=lengths)
    given = parse(config.init.w_h)[1].get("gain", 1.0)  # of an orthogonal kernel: its columns'
    gains = [member.record.get("critical_number", given) for member in members]
    row = dataclasses.replace(
        row,
        gain=float(np.mean(gains)),
        forget_bias=0.0 if config.cell.name in GATED else math.nan,
    )
    span = xs.shape[1] - 1
    kernels = [drawn.W_hc if hasattr(drawn, "W_hc") else drawn.W_hh for drawn in draws]
    mean_field = np.mean([_by_mean_field(config.cell.name, drawn, xs, span) for drawn in draws])
    return {
        "span": span,
        "predicted": advice.trains(row, span),
        "mean_field": float(mean_field),
        "cost": advice.cost(row, span),
        "large": advice.is_large(row),
        "flossed": config.init.floss > 0,
        "left": row.curve[span],
        **{name: getattr(row, name) for name in ("horizon", "exponent", "dead", "overflowed")},
        "spectral_radius": float(np.mean([gradients.spectral_radius(W) for W in kernels])),
        "curve": list(row.curve),
        "rates": list(advice.rates(row)),
    }


def _by_mean_field(cell: str, drawn: PyTree, xs: jax.Array, span: int) -> float:
    """Return the decades that are left at the span by theory.

    A simple RNN: mean field at the σ_w and the input variance of the draw. A gated cell: what the
    forget (update) gate keeps by its bias alone.
    """
    if cell in SIMPLE:
        sigma_w = np.linalg.norm(drawn.W_hh) / math.sqrt(len(drawn.W_hh))
        variance = float(np.mean(np.square(np.asarray(xs @ drawn.W_xh))))
        activation = cell.removeprefix("rnn-")
        left = theory.mean_field_adjoint_log10(
            float(sigma_w), [span], input_variance=variance, activation=activation
        )
    else:
        bias = np.asarray(getattr(drawn, {"lstm": "b_f", "gru": "b_z", "ugrnn": "b_g"}[cell]))
        left = theory.gate_retention_log10(float(bias.mean()), [span], float(bias.var()))
    return float(left[0])


# ---- what came out -----------------------------------------------------------------------------


class Setting(NamedTuple):
    """A cell on a task.

    Args:
        cell, task: their names.
        result: the comparison of its candidates.
        predicted: by candidate what was written before training.
    """

    cell: str
    task: str
    result: ComparisonResult
    predicted: dict[str, dict[str, Any]]

    @property
    def times(self) -> dict[str, float]:
        """By candidate the median updates until it is solved; inf: half of the seeds never do."""
        return {arm.name: float(np.median(arm.test)) for arm in self.result.arms}

    @property
    def recommended(self) -> str | None:
        """The candidate that the rule ranks first; flossed ones are no candidates of advice."""
        able = {
            name: row
            for name, row in self.predicted.items()
            if row["predicted"] and not row["flossed"]
        }
        ranked = {name: row for name, row in able.items() if not row["large"]} or able
        return min(ranked, key=lambda name: ranked[name]["cost"], default=None)

    @property
    def best(self) -> float:
        """The median updates of the best candidate; inf: none solves it."""
        return min(self.times.values())

    @property
    def regret(self) -> float:
        """The updates of the recommended candidate over the best's; inf where there is none."""
        name = self.recommended
        return self.times[name] / self.best if name is not None else math.inf


def settings(table: Table, comparisons: Comparisons) -> list[Setting]:
    """Return the cells and tasks that a run has compared.

    Raises:
        Undecided: none.
    """
    found = []
    for cell in CELLS:
        for task in (*DEVELOP, *HELD_OUT):
            if place(cell, task) not in comparisons:
                continue
            result = comparisons[place(cell, task)]
            judged = {arm.name: result.judged(table, arm.name) for arm in result.arms}
            if all(map(len, judged.values())):
                rows = {name: dict(members[0].result) for name, members in judged.items()}
                found.append(Setting(cell, task, result, rows))
    if not found:
        raise Undecided("nothing was compared")
    return found


def solvable(table: Table, comparisons: Comparisons) -> list[Setting]:
    """Return the settings that at least one candidate solves.

    Raises:
        Undecided: none.
    """
    found = [s for s in settings(table, comparisons) if math.isfinite(s.best)]
    if not found:
        raise Undecided("no candidate solves any task")
    return found


# ---- figures -----------------------------------------------------------------------------------

_MOST = 16.0  # decades that are drawn


def figures(table: Table, comparisons: Comparisons) -> dict[str, tuple[Figure, str]]:
    """Draw how soon the recommended candidate learns, and who trains by what was predicted."""
    found = settings(table, comparisons)
    return {
        "recommended": _recommended(found, table[0].config["training"]["steps"]),
        "who_trains": _who_trains(found),
    }


def _recommended(found: list[Setting], budget: int) -> tuple[Figure, str]:
    tasks = list(dict.fromkeys(setting.task for setting in found))
    figure, axes = plots.new_figure(1, len(tasks), size=(3.4 * len(tasks), 3.6), share_y=True)
    for ax, task in zip(axes[0], tasks, strict=True):
        for setting in found:
            if setting.task == task:
                _times(ax, setting, budget)
        learning_curves.updates_axis(ax, budget)
        ax.set_xticks(range(len(CELLS)), CELLS, rotation=35, ha="right")
        ax.set(xlim=(-0.5, len(CELLS) - 0.5), ylabel="")
        plots.title(ax, title(task))
    axes[0, 0].set_ylabel("updates until solved, at its best rate")
    return figure, (
        "Updates until each task is solved, medians over the judged seeds: the candidate that the "
        "rule ranks first before training (a star), the defaults of three libraries, and the "
        "others. Above the dashed line, the budget: never, for half of the seeds or more."
    )


def _times(ax: Axes, setting: Setting, budget: int) -> None:
    x, times = CELLS.index(setting.cell), setting.times
    marks = dict(zip(DEFAULTS, "sD^", strict=True))
    for name, at in times.items():
        place = learning_curves.drawable(np.array([at]), budget)
        index = DEFAULTS.index(name) + 1 if name in DEFAULTS else 0
        color = plots.look(index)["color"] if index else "#999999"
        shift = (index - 2) * 0.14 if index else 0.0
        (dot,) = ax.plot(
            [x + shift], place, marks.get(name, "o"), color=color, markersize=5, alpha=0.8  # pyright: ignore
        )  # fmt: skip
        keys.mark(dot, f"{name}'s default" if index else "other candidates")
    if setting.recommended is not None:
        place = learning_curves.drawable(np.array([times[setting.recommended]]), budget)
        (star,) = ax.plot([x + 0.32], place, "*", color="#000000", markersize=12)
        keys.mark(star, "recommended")


def _who_trains(found: list[Setting]) -> tuple[Figure, str]:
    figure, axes = plots.new_figure(1, 1, size=(7.0, 3.8))
    ax = axes[0, 0]
    band = ax.axvspan(-advice.LOST, advice.GAINED, color="#009E73", alpha=0.08, linewidth=0)
    keys.mark(band, "predicted to train", guide=True)
    for index, cell in enumerate(CELLS):
        rows = [
            (setting.predicted[arm.name]["left"], float(np.isfinite(arm.test).mean()))
            for setting in found
            if setting.cell == cell
            for arm in setting.result.arms
        ]
        if not rows:
            continue
        left, share = np.array(rows).T
        shift = (index - 2) * 0.012  # so that cells do not hide each other
        ax.plot(
            np.clip(np.nan_to_num(left, nan=_MOST), -_MOST, _MOST),
            share + shift,
            "osD^v"[index],
            color=plots.look(index)["color"],
            markersize=5,
            alpha=0.6,
            markeredgewidth=0,
            label=cell,
        )
    ax.set(
        xlabel="gradient left at the span before training, decades",
        ylabel="share of seeds that solve the task",
    )
    ax.legend(fontsize=8, frameon=False)
    return figure, (
        "Every candidate on every task: the share of the judged seeds that solve it, by the "
        "gradient that is left at the task's span before training. Decades beyond "
        f"±{_MOST:g} are drawn there; a state that overflows, at the right edge."
    )


# ---- claims: thresholds and expected verdicts, fixed before the held-out tasks have been run ----


def balanced(predicted: np.ndarray, trained: np.ndarray) -> float:
    """Return the mean of the shares that are right, of what trains and of what does not."""
    if trained.all() or not trained.any():
        raise Undecided("needs candidates that train and candidates that do not")
    return float(np.mean([predicted[trained].mean(), (~predicted)[~trained].mean()]))


@claim(
    "The gradient that is kept over the span says which candidates train",
    source="rnnlab",
    holds_if="balanced accuracy at least {least:.0%}, and {by:.0%} above the spectral radius's",
    expected="refuted",
    least=0.85,
    by=0.10,
)
def who_trains(table: Table, comparisons: Comparisons, least: float, by: float) -> tuple[bool, str]:
    """Compare what was predicted with who trains, all settings together."""
    pairs = [
        (setting.predicted[name], math.isfinite(time))
        for setting in settings(table, comparisons)
        for name, time in setting.times.items()
    ]
    rows, trained = [row for row, _ in pairs], np.array([was for _, was in pairs])
    predicted = np.array([row["predicted"] for row in rows])
    radii = np.array([row["spectral_radius"] for row in rows])
    theory_left = np.array([row["mean_field"] for row in rows])
    kept = balanced(predicted, trained)
    radius = balanced((radii >= RADIUS[0]) & (radii <= RADIUS[1]), trained)
    mean_field = balanced((theory_left >= -advice.LOST) & (theory_left <= advice.GAINED), trained)
    commoner = max(trained.mean(), 1 - trained.mean())
    return kept >= least and kept >= radius + by, (
        f"balanced {kept:.0%}; by the spectral radius {radius:.0%}, by mean field "
        f"{mean_field:.0%}; {trained.sum()} of {trained.size} candidates train; right "
        f"{(predicted == trained).mean():.0%}, the commoner guess {commoner:.0%}"
    )


@claim(
    "The candidate that is recommended learns about as soon as the best one",
    source="rnnlab",
    holds_if="at most {factor:g} times the updates of the best candidate, in at least {share:.0%} "
    "of the settings that any solves",
    expected="refuted",
    factor=1.1,
    share=0.8,
)
def near_the_best(
    table: Table, comparisons: Comparisons, factor: float, share: float
) -> tuple[bool, str]:
    """Compare the recommended candidate with the best."""
    ratios = np.array([setting.regret for setting in solvable(table, comparisons)])
    near = ratios <= factor
    return bool(near.mean() >= share), (
        f"{near.sum()} of {near.size} settings; within twice the best in {(ratios <= 2).sum()}"
    )


@claim(
    "Candidates learn in the order of the gradient that they keep",
    source="rnnlab",
    holds_if="the median over the settings of the rank correlation (Spearman) of the rule's cost "
    "with the updates is at least {least:g}",
    expected="refuted",
    least=0.5,
)
def order(table: Table, comparisons: Comparisons, least: float) -> tuple[bool, str]:
    """Compare the order by the rule with the order by updates."""
    found = []
    for setting in solvable(table, comparisons):
        costs = [setting.predicted[name]["cost"] for name in setting.times]
        times = list(setting.times.values())
        if len(set(costs)) > 1 and len(set(times)) > 1:
            found.append(float(stats.spearmanr(costs, times).statistic))  # pyright: ignore
    if not found:
        raise Undecided("no setting has candidates that differ")
    median = float(np.median(found))
    return median >= least, (
        f"median {median:.2f} over {len(found)} settings, from {min(found):.2f} to {max(found):.2f}"
    )


@claim(
    "The best learning rate lies among those that are recommended",
    source="rnnlab",
    holds_if="between the least and the greatest for at least {share:.0%} of the candidates that "
    "train",
    expected="refuted",
    share=0.8,
)
def rates_fit(table: Table, comparisons: Comparisons, share: float) -> tuple[bool, str]:
    """Compare the tuned learning rate with the recommended ones."""
    inside = []
    for setting in settings(table, comparisons):
        for arm in setting.result.arms:
            rates = setting.predicted[arm.name]["rates"]
            if math.isfinite(setting.times[arm.name]) and rates:
                inside.append(rates[0] <= arm.tuned[RATE] <= rates[-1])
    if not inside:
        raise Undecided("no candidate trains")
    return bool(np.mean(inside) >= share), f"{sum(inside)} of {len(inside)} candidates"


@claim(
    "It is not worse than {default}'s default",
    source="rnnlab",
    holds_if="not worse in at least {share:.0%} of the settings, by an exact sign test of the "
    "updates on the judged seeds at 5% / {pairs}",
    expected="holds",
    share=0.9,
    pairs=len(DEFAULTS),
)
def as_good_as(
    table: Table, comparisons: Comparisons, default: str, share: float, pairs: int
) -> tuple[bool, str]:
    """Compare the recommended candidate with a framework's default.

    Which candidate that is was written before training, so that each setting has one pair per
    framework.
    """
    verdicts: list[str] = []
    for setting in settings(table, comparisons):
        name = setting.recommended
        if name is None:
            verdicts.append("without a recommendation")
        elif name == default:
            verdicts.append("the same")
        else:
            a, b = (setting.result.arm(arm).test for arm in (name, default))
            rule = Rule(margin=0.25, pairs=pairs, looks=(len(a),), times=True)
            verdicts.append(decide(a, b, rule).verdict)
    right = sum(verdict != WORSE for verdict in verdicts)
    counted = ", ".join(f"{verdicts.count(v)} {v}" for v in dict.fromkeys(verdicts))
    return right >= share * len(verdicts), f"{right} of {len(verdicts)} settings: {counted}"


def claims(table: Table, comparisons: Comparisons) -> list[Claim]:
    """List the claims about advice."""
    return [
        who_trains(table, comparisons=comparisons),
        near_the_best(table, comparisons=comparisons),
        order(table, comparisons=comparisons),
        rates_fit(table, comparisons=comparisons),
        *(as_good_as(table, comparisons=comparisons, default=default) for default in DEFAULTS),
    ]
