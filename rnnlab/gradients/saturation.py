"""Saturation of units and gates."""

from typing import Any

import jax
import jax.numpy as jnp

from rnnlab.nn import contract, unroll
from rnnlab.nn.cells import Cell
from rnnlab.nn.layers import Layer, cell_of

Array = jax.Array
PyTree = Any

_SIGMOID_GATES = ("f", "i", "o", "z", "r")


def saturation(
    cell: Cell | Layer,
    params: PyTree,
    xs: Array,
    *,
    lengths: Array | None = None,
    initial_state: PyTree = None,
) -> dict[str, Array]:
    """Measure how far units and gates are from the flat ends of their functions, step by step.

    tanh units: mean over units of 1 − |h| (|m| of an LSTM whose h is projected, |y| of a cell
    whose state has no h). Gates, those that the step returns as f, i, o, z, r: mean of
    min(z, 1 − z). ReLU units: share with h > 0. In each, 0 means saturated: no gradient passes
    through the function.

    Args:
        cell: a cell, or a layer of one cell.
        params: its parameters.
        xs: (B, T, D).
        lengths: (B,) real steps of each sequence.
        initial_state: s_0; None: the cell's own.
    Returns:
        {"h": (B, T), and each sigmoid gate's letter: (B, T)}; NaN past a sequence's length.
    Raises:
        ValueError: a cell whose activation has no flat end ("identity"), or an unnamed one.

    >>> from rnnlab import GRU
    >>> params = GRU(4).init_params(jax.random.key(0), 3)
    >>> values = saturation(GRU(4), params, jnp.ones((2, 5, 3)))
    >>> list(values), values["z"].shape
    (['h', 'z', 'r'], (2, 5))
    """
    inner: Cell = cell_of(cell)
    # a cell without an activation of its own (LSTM, GRU, most registered ones) has tanh units
    activation = getattr(inner, "activation", "tanh")
    if activation not in ("tanh", "relu"):
        raise ValueError(
            f"saturation is defined for tanh and relu units, got activation {activation!r}"
        )
    params, xs, state, _ = unroll.checked(inner, params, xs, lengths, initial_state, measured=True)
    known = contract.check_step(inner, params, state, xs[..., 0, :]).gates
    gates = [gate for gate in _SIGMOID_GATES if gate in known]
    # h of a projection is no tanh unit; m = o*tanh(C) is
    unit = "m" if getattr(inner, "projection", None) else "h"
    taps = (unit, *gates) if unit in (*state._fields, *known) else tuple(gates)
    with jax.default_matmul_precision("highest"):
        ys, _, *tapped = unroll.unroll(
            inner, params, xs, lengths=lengths, initial_state=initial_state, taps=taps
        )
    values = {unit: ys, **(tapped[0] if tapped else {})}
    h = values.pop(unit)
    results = {"h": jnp.mean(h > 0 if activation == "relu" else 1 - jnp.abs(h), axis=-1)}
    for gate in gates:
        results[gate] = jnp.mean(jnp.minimum(values[gate], 1 - values[gate]), axis=-1)
    mask = unroll.length_mask(lengths, xs.shape[:-2], xs.shape[-2])
    if mask is None:
        return results
    return {name: jnp.where(mask, value, jnp.nan) for name, value in results.items()}
