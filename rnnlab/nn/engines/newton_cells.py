"""Steps of the named cells at all times at once, and their Jacobians written out by hand.

A state is one vector here: its parts side by side (H features; [h, C], 2H, for an LSTM).
Shapes: T time, D input, H hidden, n state features; ``...`` any batch axes.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from rnnlab.nn.cells import (
    GRU,
    LSTM,
    RNN,
    GRUGates,
    GRUParams,
    HiddenState,
    LSTMGates,
    LSTMParams,
    LSTMState,
    RNNParams,
)
from rnnlab.nn.engines.fused_cells import SLOPES, NamedCell, sigmoid_slope, tanh_slope
from rnnlab.nn.engines.scan import select

Array = jax.Array
PyTree = Any


def join(state: PyTree) -> Array:
    """Return the parts of a state side by side, (..., n)."""
    return jnp.concatenate(jax.tree.leaves(state), axis=-1)


def split(like: PyTree, flat: Array) -> PyTree:
    """Return the parts of a flat state (..., n), in the structure of ``like``."""
    leaves, structure = jax.tree.flatten(like)
    parts = jnp.split(flat, len(leaves), axis=-1)  # each is H wide in the named cells
    return jax.tree.unflatten(structure, parts)


def state_of(cell: NamedCell, flat: Array) -> PyTree:
    """Return the cell's state, HiddenState or LSTMState, from a flat one (..., n)."""
    kind = LSTMState if type(cell) is LSTM else HiddenState
    return kind(*jnp.split(flat, len(cell.state_parts), axis=-1))


def step(cell: NamedCell, params: PyTree, before: Array, xs: Array, mask: Array | None) -> Array:
    """Return s_t from s_{t−1} at all t, both (T, ..., n); s_t = s_{t−1} where the mask is false."""
    new = join(cell.step(params, state_of(cell, before), xs)[0])
    return new if mask is None else select(mask, new, before)


def jacobians(
    cell: NamedCell,
    params: PyTree,
    before: Array,
    xs: Array,
    mask: Array | None,
    diagonal: bool,
) -> Array:
    """Return J_t = ∂s_t/∂s_{t−1} at all t.

    Args:
        before: s_{t−1}, (T, ..., n).
        xs: (T, ..., D).
        mask: (T, ...); J_t is the identity where it is false. None: all steps are real.
        diagonal: return the diagonals only.
    Returns:
        (T, ..., n, n), rows the new state; (T, ..., n) with ``diagonal``.
    """
    state, products = state_of(cell, before), _Products(diagonal)
    if isinstance(cell, LSTM):
        new, _, gates = cell.step(params, state, xs)
        assert isinstance(gates, LSTMGates)  # a plain LSTM has no projection
        J = _of_lstm(params, state, new.C, gates, products)
    elif isinstance(cell, GRU):
        J = _of_gru(cell, params, state.h, cell.step(params, state, xs)[2], products)
    else:
        J = _of_rnn(cell, params, cell.step(params, state, xs)[0].h, products)
    if mask is None:
        return J
    identity = jnp.ones_like(before) if diagonal else jnp.eye(before.shape[-1], dtype=J.dtype)
    return jnp.where(mask[..., None] if diagonal else mask[..., None, None], J, identity)


@dataclass(frozen=True)
class _Products:
    """Products that Jacobians are made of, for whole matrices or for diagonals only."""

    diagonal: bool

    def rows(self, factor: Array, W: Array) -> Array:
        """Return diag(factor)·Wᵀ: units with these slopes, of a state that enters through W."""
        if self.diagonal:
            return factor * jnp.diagonal(W)
        return factor[..., :, None] * W.T

    def diag(self, factor: Array) -> Array:
        """Return the diagonal matrix of these factors."""
        if self.diagonal:
            return factor
        return factor[..., :, None] * jnp.eye(factor.shape[-1], dtype=factor.dtype)

    def scale(self, factor: Array, J: Array) -> Array:
        """Return diag(factor)·J."""
        return factor * J if self.diagonal else factor[..., :, None] * J

    def chain(self, factor: Array, W_out: Array, inner: Array, W_in: Array) -> Array:
        """Return diag(factor)·W_outᵀ·diag(inner)·W_inᵀ."""
        if self.diagonal:
            return factor * (inner @ (W_out * W_in.T))
        # (..., k, i) → (..., j, i)
        through = jnp.matmul(W_out.T, inner[..., :, None] * W_in.T, precision="highest")
        return factor[..., :, None] * through

    def blocks(self, rows: list[list[Array]]) -> Array:
        """Return a matrix of blocks."""
        if self.diagonal:
            return jnp.concatenate([row[k] for k, row in enumerate(rows)], axis=-1)
        joined = [jnp.concatenate(row, axis=-1) for row in rows]
        return jnp.concatenate(joined, axis=-2)


def _of_rnn(cell: RNN, p: RNNParams, h_new: Array, of: _Products) -> Array:
    """Return ∂h_t/∂h_{t−1} = diag(f'(a_t)) W_hh."""
    return of.rows(SLOPES[str(cell.activation)](h_new), p.W_hh)


def _of_gru(cell: GRU, p: GRUParams, h: Array, gates: GRUGates, of: _Products) -> Array:
    """Return ∂h_t/∂h_{t−1}.

    z, the path through z = σ(a), and the path through h̃ = tanh(a), whose r depends on h as well.
    """
    z, r, h_tilde = gates
    slope = (1 - z) * tanh_slope(h_tilde)
    J = of.diag(z) + of.rows((h - h_tilde) * sigmoid_slope(z), p.W_hz)
    if cell.reset_after:  # a = W_x x + b + r*q, q = W_h h + b_hn
        assert p.b_hn is not None
        q = h @ p.W_hh + p.b_hn
        return J + of.rows(slope * r, p.W_hh) + of.rows(slope * q * sigmoid_slope(r), p.W_hr)
    # a = W_h (r*h) + W_x x + b: r_i W_h[i, j], and through r
    J = J + of.chain(slope, p.W_hh, h * sigmoid_slope(r), p.W_hr)
    if of.diagonal:
        return J + slope * r * jnp.diagonal(p.W_hh)
    return J + slope[..., :, None] * p.W_hh.T * r[..., None, :]


def _of_lstm(
    p: LSTMParams, before: LSTMState, C_new: Array, gates: LSTMGates, of: _Products
) -> Array:
    """Return ∂(h_t, C_t)/∂(h_{t−1}, C_{t−1}); ∂h_t contains ∂C_t, as h_t = o*tanh(C_t)."""
    f, i, C_tilde, o = gates
    C_by_h = (
        of.rows(before.C * sigmoid_slope(f), p.W_hf)
        + of.rows(C_tilde * sigmoid_slope(i), p.W_hi)
        + of.rows(i * tanh_slope(C_tilde), p.W_hc)
    )
    tanh_C = jnp.tanh(C_new)
    h_by_C = o * tanh_slope(tanh_C)
    h_by_h = of.rows(tanh_C * sigmoid_slope(o), p.W_ho) + of.scale(h_by_C, C_by_h)
    return of.blocks([[h_by_h, of.diag(h_by_C * f)], [C_by_h, of.diag(f)]])
