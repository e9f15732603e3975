"""Advice before training: probe a cell on sequences, recommend an initialization.

:mod:`rnnlab.results.advice` has the rule.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
from jax.typing import ArrayLike

from rnnlab.core import validate
from rnnlab.gradients import criticality, driven
from rnnlab.lab import probe_table
from rnnlab.nn import models
from rnnlab.nn.cells import Cell
from rnnlab.results.advice import Advice, rates, recommended
from rnnlab.training.layer_sequences import sequences
from rnnlab.training.settings import MemberSpec, checked_layer, draw_params

Array = jax.Array
Config = Any  # a ConfigDict, whose keys a type checker does not know

SEQUENCES = 16  # that are probed


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
        span: L, the steps over which the answer depends on the input; None: those from the last
            real step of the longest sequence to its first.
        schemes, gains, biases, seeds: the candidates: see
            :func:`rnnlab.lab.probe_table.probe_table`.
    Returns:
        An :class:`Advice`.
    Raises:
        ValueError: a span that is longer than the sequences; no candidate; as probe_table.

    >>> from rnnlab import GRU
    >>> found = advise(GRU(8), jax.random.normal(jax.random.key(0), (2, 30, 1)), biases=(0.0, 3.0))
    >>> found.best is not None and found.best.forget_bias
    3.0
    """
    xs, lengths, _ = driven.checked_sequences(xs, lengths, 0)
    if lengths is not None:
        xs = xs[:, : int(lengths[:SEQUENCES].max())]
    most = xs.shape[1] - 1
    span = most if span is None else validate.whole("span", span, 1, most)
    rows = tuple(
        probe_table.probe_table(
            cell,
            xs[:SEQUENCES],
            lengths=None if lengths is None else lengths[:SEQUENCES],
            schemes=schemes,
            gains=gains,
            biases=biases,
            seeds=seeds,
        )
    )
    if not rows:
        raise ValueError(
            "advise needs at least one scheme, gain and forget bias to choose from, got none"
        )
    best = recommended(rows, span)
    if best is None:
        return Advice(rows, span, None, (), None)
    init = criticality.init_of(cell).replace(w_h=best.scheme)
    if not math.isnan(best.forget_bias):
        init = init.replace(forget_bias=str(best.forget_bias))
    return Advice(rows, span, best, rates(best), init)


# ---- of a config -------------------------------------------------------------------------------


class Probed(NamedTuple):
    """A cell and sequences that it reads."""

    cell: Cell
    xs: Array  # (B, T, D)
    lengths: Array | None  # (B,) real steps


def of_config(config: Config) -> Probed:
    """Return the cell of a member's config, and the first sequences of its task.

    Of a layer that reads both ways it is the forward cell. Symbols are embedded as the drawn model
    does it.

    Raises:
        ValueError: a config that does not make sense, a model without a recurrent layer, or one
            with several cells.
    """
    spec = MemberSpec.from_config(config)
    spec.check_data()
    checked_layer("advise", spec.model)
    if config.cell.get("layers", 1) != 1:
        raise ValueError(
            f"advice is of one cell, and the layer has {config.cell.layers}: use "
            "--config.cell.layers=1"
        )
    key_params, key_data = jax.random.split(jax.random.key(config.seed))
    model = spec.model
    assert isinstance(model, models.Recurrent)  # for checked_layer has looked
    if spec.preparation is not None:  # a number that is searched has no draw yet
        init = spec.preparation.init.with_number(1.0)
        model = model.clone(layer=criticality.with_init(model.layer, init))
    params = draw_params(model, key_params, spec.setup.task)
    xs, lengths = sequences(spec.setup, model, params, key_data, SEQUENCES)
    first = next(driven.driven_cells(model.layer, params["params"]["recurrent"], xs))
    cell = criticality.with_init(first.cell, criticality.init_of(model.layer))
    return Probed(cell, xs, lengths)
