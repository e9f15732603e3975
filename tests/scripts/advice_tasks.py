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
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

import rnnlab
from rnnlab import gradients, training
from rnnlab.lab import advice as advising
from rnnlab.lab import probe_table
from rnnlab.lab.comparison import RATE, Comparison
from rnnlab.lab.config import Config, scale
from rnnlab.nn import equations
from rnnlab.nn.initializers import InitScheme, make
from rnnlab.nn.params import HiddenState
from rnnlab.results import advice
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
PROBED = (1_000_001, 1_000_002)  # seeds of the draws that are probed

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


def place(cell: str, task: str) -> str:
    """Return the name of the comparison of a cell on a task."""
    return f"{cell}_{task}"


def comparison(config: Config) -> list[Comparison]:
    """Return a comparison per cell and task."""
    return [
        Comparison(
            name=place(cell, task),
            question=f"On {task.replace('_', ' ')}, of {cell}",
            arms=arms(cell),
            tune={RATE: config.run.gated_rates if cell in GATED else config.run.rates},
            score="solved_at",
            reference="PyTorch",
            tuning_seeds=config.run.tuning_seeds,
            seeds=config.run.judged_seeds,
            fixed={"cell.name": cell} | options(task),
        )
        for cell in CELLS
        for task in config.run.tasks
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
    draws = [spec.draw(jax.random.key(seed)).params["params"]["recurrent"] for seed in PROBED]
    row = probe_table.probe(cell, draws, xs, lengths=lengths)
    span = xs.shape[1] - 1
    kernels = [getattr(drawn, "W_hc", None) for drawn in draws]
    if kernels[0] is None:
        kernels = [drawn.W_hh for drawn in draws]
    return {
        "span": span,
        "predicted": advice.trains(row, span),
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
