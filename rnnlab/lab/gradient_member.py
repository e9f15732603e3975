"""Members of the gradient experiments: one network drawn, read out and measured.

A member is a cell with drawn parameters, a batch of sequences, and the loss of a classifier that
reads the last step: L = −Σ_B log softmax(W_hy h_T + b_y)[label]. The label belongs to the start of
the sequence, so that the gradient has to travel all the way. Results are ordered by lag k: steps
before the read-out, index t = T−1−k.
"""

import math
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from ml_collections import ConfigDict

from rnnlab import theory
from rnnlab.core.validate import choice
from rnnlab.data import sequences
from rnnlab.data.tables import GAPS
from rnnlab.gradients import adjoint, lyapunov
from rnnlab.gradients.preparation import Preparation
from rnnlab.nn import cells, contract, equations, layers, unroll
from rnnlab.nn.initializers import InitScheme, make
from rnnlab.nn.protocols import KeepsByGate
from rnnlab.results.table import Table

Array = jax.Array
PyTree = Any
Config = Any  # a ConfigDict; its values have no static types


class Readout(NamedTuple):
    """Parameters of y = W_hy h + b_y."""

    W_hy: Array  # (H, O), or (2H, O) under a bidirectional layer
    b_y: Array  # (O,)


class GradientMember(NamedTuple):
    """One drawn member."""

    layer: layers.Layer  # a layer of one cell, or a bidirectional one; inits stripped
    params: PyTree
    readout: Readout
    xs: Array  # (B, T, D)
    labels: Array  # (B,)
    record: dict[str, Any]  # results of preparing the parameters on the sequences

    @property
    def cell(self) -> cells.Cell:
        """The cell (of the forward direction), its init stripped."""
        layer = self.layer
        return layers.cell_of(layer.forward if isinstance(layer, layers.Bidirectional) else layer)

    @property
    def cell_params(self) -> PyTree:
        """The parameters of :attr:`cell`."""
        return self.params.forward if self.both_ways else self.params

    @property
    def both_ways(self) -> bool:
        """Whether the layer is bidirectional."""
        return isinstance(self.layer, layers.Bidirectional)

    @property
    def W_hh(self) -> np.ndarray | None:
        """The recurrent kernel of the candidate (the only one of a simple RNN), (H, H).

        None of a registered cell whose parameters have no square matrix of that name.
        """
        params = self.cell_params
        named = params._asdict() if contract.is_named_tuple(params) else params
        if not isinstance(named, Mapping):
            return None
        kernel = np.asarray(named.get("W_hc", named.get("W_hh", ())))
        return kernel if kernel.ndim == 2 and kernel.shape[0] == kernel.shape[1] else None


def config(
    *,
    length: int,
    batch_size: int,
    hidden_size: int,
    probes: Mapping[str, object],
    run: Mapping[str, object],
) -> ConfigDict:
    """Return the config of a gradient experiment: pixels of digits, read by a tanh RNN.

    Args:
        length: T, steps of a sequence. batch_size: B, sequences in the batch.
        hidden_size: H, units of the cell.
        probes, run: the groups of these names, the experiment's own.

    >>> config(length=8, batch_size=2, hidden_size=4, probes={}, run={}).task.name
    'digits'
    """
    made = ConfigDict(
        {
            "seed": 0,
            "task": {
                "name": "digits",  # the sequences
                "length": length,
                "batch_size": batch_size,
                "path": "",  # a table or text (.txt) of your own, in place of digits
                # what is done about empty cells of csv: refuse, drop (the row), interpolate
                "gaps": "refuse",
            },
            "cell": {"name": "rnn-tanh", "hidden_size": hidden_size},
            "init": InitScheme.config(),
            "probes": dict(probes),
            "run": dict(run),
        }
    )
    return made.lock()


def check(config: Config) -> None:
    """Refuse an unknown cell, scheme or task, and a file that cannot be read.

    Raises:
        ValueError, FileNotFoundError: one of these.
    """
    preparation = Preparation.from_config(config.init)
    layer = layers.from_config(config.cell, preparation.init)
    cell = layer.forward if isinstance(layer, layers.Bidirectional) else layer
    contract.check_perturb(layers.cell_of(cell), "a gradient experiment")
    choice("task", config.task.name, sequences.SOURCES)
    task = config.task
    choice("task.gaps", _gaps(task), GAPS)
    if task.path or task.name == "csv":  # before anything runs
        sequences.by_name(task.name, config.seed, 1, task.length, task.path, _gaps(task))
    preparation.check(layer, 1, task.batch_size)  # a state has as many features for any input


def _gaps(task: Config) -> str:
    """Return task.gaps; an experiment that reads no table need not have the key."""
    return task.get("gaps", GAPS[0])


def draw(config: Config, key: Array) -> GradientMember:
    """Draw sequences, parameters and read-out of the member that ``config`` describes.

    Args:
        config: with the groups task (name, length, batch_size, path, gaps), cell (name,
            hidden_size, options of a registered cell) and init (:meth:`InitScheme.config`), and a
            seed, which draws the sequences.
        key: draws the parameters.
    """
    task, preparation = config.task, Preparation.from_config(config.init)
    data = sequences.by_name(
        task.name, config.seed, task.batch_size, task.length, task.path, _gaps(task)
    )
    layer = layers.from_config(config.cell, preparation.init)
    key_cell, key_readout = jax.random.split(key)
    xs, labels = jnp.asarray(data.xs), jnp.asarray(data.labels)

    def drawn(init: InitScheme) -> PyTree:
        return layers.from_config(config.cell, init).init(key_cell, xs.shape[-1])

    prepared = preparation.run(drawn, layer, xs)
    shape = (layer.output_size, data.classes)
    W_hy = make(prepared.init.w_y, config.cell.hidden_size)(key_readout, shape)
    readout = Readout(W_hy, jnp.zeros(data.classes))
    plain = cells.without_init(layer)
    return GradientMember(plain, prepared.params, readout, xs, labels, prepared.record)


def last_step_loss(
    readout: Readout, labels: Array, both_ways: bool, hidden_size: int
) -> Callable[[Array], Array]:
    """Return the loss ys (B, T, H) ↦ the summed cross-entropy of the last step.

    Summed, not averaged, so that an example's gradient does not depend on the batch. Both ways: the
    forward half of step T and the backward half of step 1, each direction's last.
    """

    def loss(ys: Array) -> Array:
        last = ys[:, -1]
        if both_ways:
            last = jnp.concatenate([last[:, :hidden_size], ys[:, 0, hidden_size:]], axis=-1)
        logits = equations.output(last, readout.W_hy, readout.b_y)
        log_p = jax.nn.log_softmax(logits)
        return -jnp.take_along_axis(log_p, labels[:, None], axis=-1).sum()

    return loss


@partial(jax.jit, static_argnames=("layer", "both_ways", "hidden_size"))
def _adjoints(
    layer: layers.Layer,
    params: PyTree,
    readout: Readout,
    xs: Array,
    labels: Array,
    both_ways: bool,
    hidden_size: int,
) -> adjoint.AdjointCurve | layers.BothWays:
    loss = last_step_loss(readout, labels, both_ways, hidden_size)
    return adjoint.adjoint_norms(layer, params, xs, loss)


def adjoints(member: GradientMember) -> tuple[dict[str, np.ndarray], int]:
    """Measure log10 ‖∂L/∂h_{T−k}‖ (B, T) by lag k, for every part of the state.

    Returns:
        {"h": …, "C": … for an LSTM, "h_back": … for the backward direction}, and the number of
        examples that overflowed in the forward pass.
    """
    curves = _adjoints(
        member.layer,
        member.params,
        member.readout,
        member.xs,
        member.labels,
        member.both_ways,
        member.cell.hidden_size,
    )
    forward = curves.forward if isinstance(curves, layers.BothWays) else curves
    # the forward direction is read at T − 1, the backward one at 0
    norms = {part: np.asarray(norm)[:, ::-1] for part, norm in forward.norms.items()}
    overflowed = np.asarray(forward.overflow_at) >= 0
    if isinstance(curves, layers.BothWays):
        norms |= {f"{part}_back": np.asarray(n) for part, n in curves.backward.norms.items()}
        overflowed |= np.asarray(curves.backward.overflow_at) >= 0
    return norms, int(overflowed.sum())


def main_part(parts: Collection[str]) -> str:
    """Return the part of the state that a cell keeps its memory in: C, or else h, or the first.

    >>> main_part(["h", "C"]), main_part(["fast.h", "slow"])
    ('C', 'fast.h')
    """
    return next((part for part in ("C", "h") if part in parts), next(iter(parts)))


def drawn_parts(result: Mapping[str, object]) -> list[str]:
    """Return the parts of the state to draw: :func:`main_part`, and its other direction.

    Args:
        result: of a member, with the share of exact zeros of every part.

    >>> drawn_parts({"h": 0, "h_zero": 0, "h_back": 0, "h_back_zero": 0, "theory": 0})
    ['h', 'h_back']
    """
    parts = [name for name in result if f"{name}_zero" in result]
    main = main_part([part for part in parts if not part.endswith("_back")])
    return [part for part in (main, f"{main}_back") if part in parts]


def last_adjoint(member: GradientMember) -> np.ndarray:
    """Return ∂L/∂h_T (B, H) in float64, from the read-out alone."""
    ys, _ = unroll.unroll(member.cell, member.cell_params, member.xs)
    loss = last_step_loss(member.readout, member.labels, False, member.cell.hidden_size)
    return np.asarray(jax.grad(loss)(ys)[:, -1], np.float64)


def relative(log10_norms: np.ndarray) -> np.ndarray:
    """Return log10 (‖∂L/∂h_{T−k}‖ / ‖∂L/∂h_T‖), (B, T): the gradient left k steps back.

    NaN for an example without any gradient at lag 0: its state has grown so large that the softmax
    is exactly right in float32, and no gradient is left to follow.
    """
    start = log10_norms[:, :1]
    silent = np.isneginf(start)
    return np.where(silent, np.nan, log10_norms - np.where(silent, 0, start))


def median_over_batch(curves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (median over the finite examples (T,), share of examples exactly zero (T,)).

    NaN where no example is finite. Exact zeros (−inf) are counted, never averaged.
    """
    zero = np.isneginf(curves)
    finite = np.isfinite(curves)
    masked = np.where(finite, curves, np.nan)
    median = np.full(curves.shape[1], np.nan)
    some = finite.any(axis=0)
    median[some] = np.nanmedian(masked[:, some], axis=0)
    return median, zero.mean(axis=0)


@partial(jax.jit, static_argnames=("cell", "taps"))
def _taps(cell: cells.Cell, params: PyTree, xs: Array, taps: tuple[str, ...]) -> dict[str, Array]:
    return unroll.unroll(cell, params, xs, taps=taps)[2]


def gate_path(member: GradientMember) -> np.ndarray | None:
    """Return ∏ of the gate that keeps the state (f of an LSTM, z of a GRU) over the last k steps.

    The direct path of ∂C_T/∂C_{T−k}: the share of it that passes through the gates alone. A
    registered cell names that gate as its ``keep_gate``.

    Returns:
        log10 ∏_{s=T−k+1}^{T} f_s, (B, T, H) by lag k = 0 … T−1; None for a cell without one.
    """
    if not isinstance(member.cell, KeepsByGate):
        return None
    gate = member.cell.keep_gate
    values = _taps(member.cell, member.cell_params, member.xs, (gate,))[gate]
    logs = np.log10(np.maximum(np.asarray(values, np.float64), np.finfo(np.float64).tiny))
    backwards = np.cumsum(logs[:, ::-1], axis=1)
    return np.concatenate([np.zeros_like(logs[:, :1]), backwards[:, :-1]], axis=1)


@partial(jax.jit, static_argnames=("cell", "sequences"))
def _lyapunov(cell: cells.Cell, params: PyTree, xs: Array, sequences: int) -> Array:
    return lyapunov.lyapunov_exponents(cell, params, xs[:sequences], 1)[..., 0].mean()


def top_lyapunov(member: GradientMember, sequences: int = 4) -> float:
    """Measure λ_1 in nats per step, the mean over the first few sequences."""
    return float(_lyapunov(member.cell, member.cell_params, member.xs, sequences))


def rounded(values: npt.ArrayLike) -> list[float]:
    """Return a curve as a member's results hold it: numbers to 4 decimals."""
    return np.round(np.asarray(values, np.float64), 4).tolist()


def seeds_of(members: Table) -> str:
    """Return how many seeds members have, in words."""
    count = len(members.values("seed"))
    return f"{count} seeds" if count > 1 else "one seed"


def input_variance(member: GradientMember) -> float:
    """Return the second moment of an entry of W_xh x_t + b over units and data.

    This is the input term of mean-field theory.
    """
    p = member.cell_params
    return float(jnp.mean((member.xs @ p.W_xh + p.b_h) ** 2))


def effective_sigma_w(W_hh: np.ndarray) -> float:
    """Return σ_w of the Gaussian ensemble with the same norm: ‖W‖_F / √H."""
    # in float64: squares of float32 do not leave it
    return float(np.linalg.norm(np.asarray(W_hh, np.float64)) / math.sqrt(W_hh.shape[0]))


def theory_curves(member: GradientMember, log10_norms: np.ndarray) -> dict[str, float | np.ndarray]:
    """Return what theory says of a member's gradient, in decades relative to lag 0.

    Args:
        member: the member.
        log10_norms: (B, T) of h by lag, as :func:`adjoints` gives them.
    Returns:
        {"theory": (T,) …}. A linear RNN: the powers of its own W_hh, and "theory_error", the
        largest difference of any example and lag. A cell with a ``keep_gate``: the root mean square
        of :func:`gate_path`, and its mean "log10_retention" (T,). Another RNN: mean field with its
        measured "sigma_w" and "input_variance". {} for a cell of which there is no theory.
    """
    lags = np.arange(log10_norms.shape[1])
    cell, W_hh = member.cell, member.W_hh
    activation = cell.activation if type(cell) is cells.RNN else None
    if activation == "identity" and W_hh is not None and not member.both_ways:
        g = last_adjoint(member)
        exact = relative(theory.linear_adjoint_log10(W_hh, g, lags))
        # NaN: an example without any gradient
        error = np.nanmax(np.abs(exact - relative(log10_norms)))
        return {"theory": np.median(exact, axis=0), "theory_error": float(error)}
    path = gate_path(member)
    if path is not None:
        most = path.max(axis=(0, 2), keepdims=True)  # relative to it, no square underflows
        most = np.where(np.isfinite(most), most, 0)
        retained = 10.0 ** (path - most)
        with np.errstate(divide="ignore"):  # log 0 = −inf: nothing is retained
            rms = np.log10(np.mean(retained**2, axis=(0, 2))) / 2
            mean = np.log10(retained.mean(axis=(0, 2)))
        return {"theory": most[0, :, 0] + rms, "log10_retention": most[0, :, 0] + mean}
    if not isinstance(activation, str) or W_hh is None:
        return {}
    sigma_w, variance = effective_sigma_w(W_hh), input_variance(member)
    line = theory.mean_field_adjoint_log10(
        sigma_w, lags, input_variance=variance, activation=activation
    )
    return {"theory": np.asarray(line), "sigma_w": sigma_w, "input_variance": variance}
