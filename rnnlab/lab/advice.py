"""Advice before training: how to initialize a cell for given sequences, and whether it will train.

From :func:`rnnlab.lab.probe_table.probe_table`, which trains nothing. With

    k(L) = log10 ‖∂L/∂s_{T−L}‖ / ‖∂L/∂s_T‖   the decades of the gradient that are left L steps back,
    S    = ‖∂λ_1/∂θ‖₁                        nats per step that λ_1 moves by, per unit of every θ,

a candidate is predicted to train where its state stays finite and −LOST ≤ k(L) ≤ GAINED at the span
L of the task; of those the one with the smallest |k(L)| is recommended. Learning rates to try are
1, 3, 10 and 30 times 1/(T·S): at 1/(T·S) one sign step of every parameter, as Adam's first ones
are, changes what is kept over T steps by a factor e at most.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from rnnlab.core import validate
from rnnlab.core.errors import UserError
from rnnlab.gradients import criticality
from rnnlab.lab import probe_table
from rnnlab.lab.probe_table import Row
from rnnlab.nn import layers
from rnnlab.nn.cells import Cell
from rnnlab.training.regularizers import layer_inputs
from rnnlab.training.settings import MemberSpec, draw_params, lengths_of

Array = jax.Array
Config = Any  # a ConfigDict, whose keys a type checker does not know

LOST, GAINED = 6.0, 1.0  # decades over the span
DEAD = 0.9  # share of units without any response from which on nothing is learned
SEQUENCES = 16  # that are probed
_RATES = (1, 3, 10, 30)  # times 1/(T·S)


def trains(row: Row, span: int) -> bool:
    """Return whether a candidate is predicted to train on a task whose answers wait ``span`` steps.

    Args:
        row: of the candidate. span: at most T − 1.
    """
    return trouble(row, span) == ""


def trouble(row: Row, span: int) -> str:
    """Return why a candidate is predicted not to train, "" where it is."""
    left = row.curve[span]
    if row.overflowed > 0 or math.isnan(left):
        return f"explodes: the state leaves the floats in {row.overflowed:.0%} of the sequences"
    if row.dead >= DEAD:
        return f"dead: {row.dead:.0%} of the units answer nothing"
    if left < -LOST:
        much = "nothing" if math.isinf(left) else f"10^{left:.0f}"
        return f"vanishes: {much} of the gradient is left at lag {span}"
    if left > GAINED:
        return f"explodes: 10^{left:.0f} of the gradient at lag {span}"
    return ""


@dataclass(frozen=True)
class Advice:
    """What to initialize a cell with, before anything is trained.

    Args:
        rows: the probes of every candidate.
        span: L, the lag over which the gradient has to be kept.
        best: the recommended candidate; None where none is predicted to train.
        rates: learning rates to try with it, ascending; () without a recommendation.
        init: the schemes of the cell with the recommended ones; None without.
    """

    rows: tuple[Row, ...]
    span: int
    best: Row | None
    rates: tuple[float, ...]
    init: Any


def advise(
    cell: Cell,
    xs: ArrayLike,
    *,
    lengths: ArrayLike | None = None,
    span: int | None = None,
    schemes: Sequence[str] = probe_table.SCHEMES,
    gains: Sequence[float] = probe_table.GAINS,
    biases: Sequence[float] = probe_table.BIASES,
    seeds: Sequence[int] = (0, 1),
) -> Advice:
    """Recommend how to initialize a cell for sequences like these; nothing is trained.

    Args:
        cell: any cell with a field ``init``, a registered one too.
        xs: (B, T, D); the first 16 are probed. lengths: (B,) real steps; None: all T.
        span: L, the steps over which the answer depends on the input; None: T − 1.
        schemes, gains, biases, seeds: the candidates: see
            :func:`rnnlab.lab.probe_table.probe_table`.
    Returns:
        An :class:`Advice`.
    Raises:
        ValueError: a span outside 1 … T−1; as probe_table.

    >>> from rnnlab import GRU
    >>> found = advise(GRU(8), jax.random.normal(jax.random.key(0), (2, 30, 1)), biases=(0.0, 3.0))
    >>> found.best is not None and found.best.forget_bias
    3.0
    """
    xs = jnp.asarray(xs)
    _, T, _ = validate.shape("xs", xs, ("B", "T", "D"))
    span = T - 1 if span is None else validate.whole("span", span, 1, T - 1)
    rows = tuple(
        probe_table.probe_table(
            cell,
            xs[:SEQUENCES],
            lengths=None if lengths is None else jnp.asarray(lengths)[:SEQUENCES],
            schemes=schemes,
            gains=gains,
            biases=biases,
            seeds=seeds,
        )
    )
    able = [row for row in rows if trains(row, span)]
    if not able:
        return Advice(rows, span, None, (), None)
    best = min(able, key=lambda row: abs(row.curve[span]))
    init = criticality.init_of(cell).replace(w_h=best.scheme)
    if not math.isnan(best.forget_bias):
        init = init.replace(forget_bias=str(best.forget_bias))
    return Advice(rows, span, best, rates(best), init)


def rates(row: Row) -> tuple[float, ...]:
    """Return the learning rates to try with a candidate, ascending; two digits each."""
    least = 1 / (len(row.curve) * row.sensitivity)
    return tuple(float(f"{least * factor:.1e}") for factor in _RATES)
