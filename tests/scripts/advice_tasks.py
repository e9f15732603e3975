"""Train every candidate of advice on small tasks, to see whether advice before training is right.

    rnnlab run --config=tests/scripts/advice_tasks.py:develop   where the rule was chosen
    rnnlab run --config=tests/scripts/advice_tasks.py           others, held out

Five cells (tanh and ReLU RNN, LSTM, GRU, and one of this file's own, the update gate RNN of Collins
et al. 2017) on adding and delayed recall; held out: copying, the order of symbols, digits pixel by
pixel, a chaotic series. The candidates are the defaults of PyTorch, Keras and flax, orthogonal
kernels with other gains, the critical one among them, flossed ones, N(0, 0.01), and for gated cells
a forget (update) bias of 3. What :mod:`rnnlab.results.advice` says of each, drawn with other seeds,
is written to predictions.json before anything trains. Each is trained at a learning rate of its
own, chosen on 2 seeds, and judged on 8 others by the updates until the task is solved. The tuning
of ":develop" takes 12 minutes on 2 cores; the held-out tasks have not been run.
"""

import dataclasses
import json
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

import rnnlab
from rnnlab import gradients, training
from rnnlab.core.errors import Undecided
from rnnlab.lab import advice as advising
from rnnlab.lab import probe_table
from rnnlab.lab.comparison import RATE, Comparison
from rnnlab.lab.config import Config, scale
from rnnlab.nn import equations
from rnnlab.nn.initializers import InitScheme, make, parse
from rnnlab.nn.params import HiddenState
from rnnlab.results import advice
from rnnlab.results.claims import Claim, claim
from rnnlab.results.comparison import Comparisons
from rnnlab.results.statistics import WORSE
from rnnlab.results.table import Table
from rnnlab.training import runner

PyTree = Any

SIMPLE, GATED = ("rnn-tanh", "rnn-relu"), ("lstm", "gru", "ugrnn")
CELLS = (*SIMPLE, *GATED)
DEVELOP: dict[str, dict[str, object]] = {
    "adding_20": {"task.name": "adding", "task.length": 20, "task.solved_at": 0.05},
    "adding_50": {"task.name": "adding", "task.length": 50, "task.solved_at": 0.05},
    "recall_20": {"task.name": "delayed_recall", "task.delay": 20, "task.solved_at": 0.05},
    "recall_50": {"task.name": "delayed_recall", "task.delay": 50, "task.solved_at": 0.05},
}
_COPY = {"task.name": "copy_memory", "task.alphabet": 4, "task.items": 3, "task.solved_at": 0.9}
_BY_VALIDATION = {"training.keep_best": True}  # for their test sets are given, not drawn
_ORDER = {"task.name": "temporal_order", "task.solved_at": 0.05}
HELD_OUT: dict[str, dict[str, object]] = {
    "copy_5": _COPY | {"task.delay": 5},
    "copy_20": _COPY | {"task.delay": 20},
    "order_20": _ORDER | {"task.length": 20},
    "order_50": _ORDER | {"task.length": 50},
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


class UGRNNGates(NamedTuple):
    """The update gate g_t."""

    g: jax.Array


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
        H, init = self.hidden_size, self.init
        keys = jax.random.split(key, 6)
        gate_bias = init.b if init.forget_bias is None else init.forget_bias

        def gate(keys: jax.Array, bias: str) -> tuple[jax.Array, jax.Array, jax.Array]:
            return (
                make(init.w_x, H)(keys[0], (input_size, H)),
                make(init.w_h, H)(keys[1], (H, H)),
                make(bias, H)(keys[2], (H,)),
            )

        return UGRNNParams(*gate(keys[:3], gate_bias), *gate(keys[3:], init.b))

    def initial_state(
        self, params: UGRNNParams, batch_shape: tuple[int, ...], key: jax.Array | None = None
    ) -> HiddenState:
        """Return zeros."""
        del key
        return HiddenState(jnp.zeros((*batch_shape, 1)) * params.b_g)

    def step(
        self,
        params: UGRNNParams,
        state: HiddenState,
        x: jax.Array,
        *,
        key: jax.Array | None = None,
        perturb: HiddenState | None = None,
    ) -> tuple[HiddenState, jax.Array, UGRNNGates]:
        """Return (new state, output, gates)."""
        del key
        p = params
        g = jax.nn.sigmoid(state.h @ p.W_hg + x @ p.W_xg + p.b_g)
        candidate = equations.rnn_hidden(state.h, x, p.W_hc, p.W_xc, p.b_c)
        h = g * state.h + (1 - g) * candidate
        h = h if perturb is None else h + perturb.h
        return HiddenState(h), h, UGRNNGates(g)


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
                judged_seeds=(8,),  # fresh seeds after which pairs are looked at
                seconds_per_member=0.3,
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


def options(name: str) -> dict[str, object]:
    """Return the values of a task by its name."""
    return (DEVELOP | HELD_OUT)[name]


def place(cell: str, task: str, reference: str) -> str:
    """Return the name of the comparison of a cell's candidates with a default on a task."""
    return f"{cell}_{task}_{reference}"


def comparison(config: Config) -> list[Comparison]:
    """Return a comparison per cell, task and framework, whose default is the reference.

    The three of a cell and a task have the same members.
    """
    return [
        Comparison(
            name=place(cell, task, reference),
            question=f"On {task.replace('_', ' ')}, of {cell}",
            arms=arms(cell),
            tune={RATE: config.run.gated_rates if cell in GATED else config.run.rates},
            score="solved_at",
            reference=reference,
            tuning_seeds=config.run.tuning_seeds,
            seeds=config.run.judged_seeds,
            fixed={"cell.name": cell} | options(task),
        )
        for cell in CELLS
        for task in config.run.tasks
        for reference in DEFAULTS
    ]


# ---- the advice, before training ---------------------------------------------------------------


_PROBES: dict[str, dict[str, float]] = {}  # by what they depend on: task, cell and init


def predict(config: Config) -> dict[str, object]:
    """Return what is advised of a member, before anything trains.

    Its candidate is drawn with two seeds of its own and probed on sequences of the task.
    """
    groups = {key: config[key].to_dict() for key in ("task", "cell", "init")}
    known = json.dumps(groups, sort_keys=True)
    if known not in _PROBES:
        _PROBES[known] = _probed(config)
    return dict(_PROBES[known])


def _probed(config: Config) -> dict[str, float]:
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
    kernels = [getattr(drawn, "W_hc", None) for drawn in draws]
    if kernels[0] is None:
        kernels = [drawn.W_hh for drawn in draws]
    return {
        "span": span,
        "predicted": advice.trains(row, span),
        "cost": advice.cost(row, span),
        "large": advice.is_large(row),
        "flossed": config.init.floss > 0,
        "left": row.curve[span],
        "left_half": row.curve[span // 2],
        "horizon": row.horizon,
        "exponent": row.exponent,
        "sensitivity": row.sensitivity,
        "dead": row.dead,
        "overflowed": row.overflowed,
        "spectral_radius": float(np.mean([gradients.spectral_radius(W) for W in kernels])),
        "curve": list(row.curve),
        "lowest_rate": advice.rates(row)[0],
    }


# ---- claims: thresholds and expected verdicts, fixed before the held-out tasks have been run ----


class Setting(NamedTuple):
    """A cell on a task: by candidate the median updates (inf: never) and what was predicted."""

    cell: str
    task: str
    times: dict[str, float]
    predicted: dict[str, dict[str, Any]]

    @property
    def recommended(self) -> str:
        """The candidate that the rule ranks first; flossed ones are no candidates of advice."""
        able = {
            name: row
            for name, row in self.predicted.items()
            if row["predicted"] and not row["flossed"]
        }
        plain = {name: row for name, row in able.items() if not row["large"]}
        ranked = plain or able
        if not ranked:
            raise Undecided(f"nothing is recommended for {self.cell} on {self.task}")
        return min(ranked, key=lambda name: ranked[name]["cost"])

    @property
    def solved(self) -> bool:
        """Whether any candidate solves it."""
        return math.isfinite(min(self.times.values()))


def settings(table: Table, comparisons: Comparisons) -> list[Setting]:
    """Return the cells and tasks that a run has compared."""
    found = []
    for cell in CELLS:
        for task in (*DEVELOP, *HELD_OUT):
            if (name := place(cell, task, DEFAULTS[0])) not in comparisons:
                continue
            result = comparisons[name]
            judged = {arm.name: result.judged(table, arm.name) for arm in result.arms}
            times = {arm.name: float(np.median(arm.test)) for arm in result.arms}
            rows = {name: dict(members[0].result) for name, members in judged.items()}
            found.append(Setting(cell, task, times, rows))
    if not found:
        raise Undecided("nothing was compared")
    return found


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
        (row, math.isfinite(setting.times[name]))
        for setting in settings(table, comparisons)
        for name, row in setting.predicted.items()
    ]
    trained = np.array([was for _, was in pairs])
    kept = balanced(np.array([row["predicted"] for row, _ in pairs]), trained)
    radii = np.array([row["spectral_radius"] for row, _ in pairs])
    radius = balanced((radii >= RADIUS[0]) & (radii <= RADIUS[1]), trained)
    return kept >= least and kept >= radius + by, (
        f"balanced {kept:.0%}, by the spectral radius {radius:.0%}; {trained.sum()} of "
        f"{trained.size} candidates train"
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
    solved = [setting for setting in settings(table, comparisons) if setting.solved]
    ratios = np.array([s.times[s.recommended] / min(s.times.values()) for s in solved])
    near = ratios <= factor
    return bool(near.mean() >= share), (
        f"{near.sum()} of {near.size} settings; within twice the best in {(ratios <= 2).sum()}"
    )


@claim(
    "It is not worse than {default}'s default",
    source="rnnlab",
    holds_if="not worse, by the comparison, in at least {share:.0%} of the settings",
    expected="holds",
    share=0.9,
)
def as_good_as(
    table: Table, comparisons: Comparisons, default: str, share: float
) -> tuple[bool, str]:
    """Compare the recommended candidate with a framework's default, by the comparisons."""
    verdicts = []
    for setting in settings(table, comparisons):
        name = setting.recommended
        if name != default:
            result = comparisons[place(setting.cell, setting.task, default)]
            verdicts.append(result.pair(name, default).verdict)
    right = sum(verdict != WORSE for verdict in verdicts)
    counted = ", ".join(f"{verdicts.count(v)} {v}" for v in dict.fromkeys(verdicts))
    return right >= share * len(verdicts), f"{right} of {len(verdicts)} settings: {counted}"


def claims(table: Table, comparisons: Comparisons) -> list[Claim]:
    """List the claims about advice."""
    return [
        who_trains(table, comparisons=comparisons),
        near_the_best(table, comparisons=comparisons),
        *(as_good_as(table, comparisons=comparisons, default=default) for default in DEFAULTS),
    ]
