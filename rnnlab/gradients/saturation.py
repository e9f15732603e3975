"""How many units and gates are saturated."""

from typing import Any

import jax
import jax.numpy as jnp

from rnnlab.nn import unroll
from rnnlab.nn.layers import cell_of

Array = jax.Array


# ---- saturation --------------------------------------------------------------------------------


def saturation(
    cell: Any,
    params: Any,
    xs: Array,
    *,
    lengths: Array | None = None,
    initial_state: Any = None,
) -> dict[str, Array]:
    """How far units and gates are from the flat ends of their functions, step by step.

    tanh units: mean over units of 1 − |h| (|m| of an LSTM whose h is projected). Gates: mean of
    min(z, 1 − z). ReLU units: share with h > 0. In each, 0 is saturated: no gradient passes through
    the function.

    Args:
        xs: (B, T, D). lengths: (B,).
    Returns:
        {"h": (B, T), and each sigmoid gate's letter: (B, T)}; NaN past a sequence's length.
    Raises:
        ValueError: a cell whose activation has no flat end ("identity"), or an unnamed one.
    """
    cell = cell_of(cell)
    activation = getattr(cell, "activation", "tanh")
    if activation not in ("tanh", "relu"):
        raise ValueError(f"saturation is of tanh or relu units, got activation {activation!r}")
    xs = unroll.check_inputs(xs)
    gates = [g for g in ("f", "i", "o", "z", "r") if g in getattr(cell, "gates", ())]
    # h of a projection is no tanh unit; m = o*tanh(C) is
    unit = "m" if getattr(cell, "projection", None) else "h"
    with jax.default_matmul_precision("highest"):
        _, _, values = unroll.unroll(
            cell, params, xs, lengths=lengths, initial_state=initial_state, taps=(unit, *gates)
        )
    h = values.pop(unit)
    out = {"h": jnp.mean(h > 0 if activation == "relu" else 1 - jnp.abs(h), axis=-1)}
    for name, z in values.items():
        out[name] = jnp.mean(jnp.minimum(z, 1 - z), axis=-1)
    mask = unroll.length_mask(lengths, xs.shape[:-2], xs.shape[-2])
    if mask is None:
        return out
    return {name: jnp.where(mask, value, jnp.nan) for name, value in out.items()}
