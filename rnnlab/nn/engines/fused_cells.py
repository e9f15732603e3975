"""Packed equations of the named cells and their adjoints, for :mod:`rnnlab.nn.engines.fused`.

Each cell is two pure functions of one step: ``step`` makes the new state from the row
[h_{t−1}, x_t, 1] and the packed weights, ``adjoint`` takes ∂L/∂s_t back to ∂L/∂s_{t−1}. Weight
gradients come afterwards, from all steps at once (``gradients``).

Shapes: T time, D input, H hidden; ``...`` any batch axes.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple, Protocol, TypeGuard

import jax
import jax.numpy as jnp

from rnnlab.nn import activations
from rnnlab.nn.cells import (
    GRU,
    LSTM,
    RNN,
    Cell,
    GRUParams,
    HiddenState,
    LSTMParams,
    LSTMState,
    RNNParams,
)

Array = jax.Array
PyTree = Any
NamedCell = RNN | LSTM | GRU
NamedParams = RNNParams | LSTMParams | GRUParams


def sigmoid_slope(s: Array) -> Array:
    """Return σ'(a) = s(1 − s) from s = σ(a)."""
    return s * (1 - s)


def tanh_slope(y: Array) -> Array:
    """Return tanh'(a) = 1 − y² from y = tanh(a)."""
    return 1 - y * y


# f'(a) as a function of f(a), by the name of f
SLOPES: dict[str, Callable[[Array], Array]] = {
    "tanh": tanh_slope,
    "relu": lambda h: (h > 0).astype(h.dtype),
    "identity": jnp.ones_like,
    "sigmoid": sigmoid_slope,
}

_ALLOWED_FIELDS = ("hidden_size", "init", "activation", "reset_after")


def is_plain(cell: Cell) -> TypeGuard[NamedCell]:
    """Return whether a cell is exactly RNN (with a named f of SLOPES), LSTM or GRU, no options set.

    Subclasses do not count: their step may differ.

    >>> is_plain(LSTM(4)), is_plain(LSTM(4, peephole=True)), is_plain(RNN(4, jax.nn.softplus))
    (True, False, False)
    """
    if type(cell) is RNN:
        known = isinstance(cell.activation, str) and cell.activation in SLOPES
        return known and _without_options(cell)
    return (type(cell) is LSTM or type(cell) is GRU) and _without_options(cell)


def _without_options(cell: NamedCell) -> bool:
    return all(
        getattr(cell, f.name) == f.default for f in fields(cell) if f.name not in _ALLOWED_FIELDS
    )


class Equations(Protocol):
    """One step of a cell and its adjoint.

    ``row`` is [h_{t−1}, x_t, 1] (..., H+D+1). ``saved`` are the arrays (..., ·) that a step hands
    to its adjoint. The first of them are overwritten by the adjoint's ``d_pre``, one by one.
    """

    widths: ClassVar[tuple[int, ...]]  # of the saved arrays, in multiples of H
    adjoints: ClassVar[tuple[int, ...]]  # of d_pre, in multiples of H

    def pack(self, params: PyTree) -> PyTree:
        """Return the weights as the steps use them; called once, outside the loops."""
        ...

    def step(self, weights: PyTree, row: Array, state: PyTree) -> tuple[PyTree, tuple[Array, ...]]:
        """Return (s_t, saved)."""
        ...

    def adjoint(
        self, weights: PyTree, h: Array, y: Array, saved: PyTree, d: PyTree
    ) -> tuple[PyTree, tuple[Array, ...], PyTree]:
        """Return (∂L/∂s_{t−1}, d_pre, the total ∂L/∂s_t) from h = h_{t−1}, y = h_t and d.

        ``d`` is ∂L/∂s_t part by part, the other parts held fixed; in an LSTM, h_t = o_t*tanh(C_t)
        passes its own on to C_t.
        """
        ...

    def gradients(
        self, params: PyTree, rows: Array, d_pre: PyTree, saved: PyTree
    ) -> tuple[PyTree, Array]:
        """Return (∂L/∂params, ∂L/∂xs) from the rows, d_pre and saved arrays of all steps."""
        ...


# ---- gates side by side ------------------------------------------------------------------------


def _join(*parts: Array) -> Array:
    return jnp.concatenate(parts, axis=-1)


def _split(array: Array, parts: int) -> list[Array]:
    return jnp.split(array, parts, axis=-1)


def _stack(params: NamedParams, gates: str) -> Array:
    """Stack gates' blocks into (H+D+1, kH).

    One product with a row is the affine map of k gates; gate n has columns nH … (n+1)H.
    """
    return _join(
        *(
            jnp.concatenate(
                [
                    getattr(params, f"W_h{gate}"),
                    getattr(params, f"W_x{gate}"),
                    getattr(params, f"b_{gate}")[None],
                ]
            )
            for gate in gates
        )
    )


def _unstack(stacked: Array, gates: str, H: int) -> dict[str, PyTree]:
    """Split what is laid out as by :func:`_stack` into the gates' blocks, by name."""
    blocks = {}
    for gate, block in zip(gates, jnp.split(stacked, len(gates), axis=-1), strict=True):
        blocks[f"W_h{gate}"], blocks[f"W_x{gate}"] = block[:H], block[H:-1]
        blocks[f"b_{gate}"] = block[-1]
    return blocks


def _over_time(rows: Array, d_pre: Array) -> Array:
    """Return Σ_t row_tᵀ d_pre_t, summed over the batch as well."""
    return rows.reshape(-1, rows.shape[-1]).T @ d_pre.reshape(-1, d_pre.shape[-1])


def _to_inputs(params: NamedParams, gates: str, d_pre: Array) -> Array:
    return d_pre @ _join(*(getattr(params, f"W_x{gate}") for gate in gates)).T


class Packed(NamedTuple):
    """Stacked weights, and their rows that multiply h, transposed."""

    W: Array  # (H+D+1, kH)
    transposed: Array  # (kH, H)


def _packed(params: NamedParams, gates: str, H: int) -> Packed:
    W = _stack(params, gates)
    return Packed(W, W[:H].T)


# ---- the equations and their adjoints ----------------------------------------------------------


@dataclass(frozen=True)
class PackedRNN:
    """h_t = f(a), a = W·[h_{t−1}, x_t] + b."""

    activation: str
    widths: ClassVar[tuple[int, ...]] = ()  # f'(a) follows from h_t
    adjoints: ClassVar[tuple[int, ...]] = (1,)

    def pack(self, params: RNNParams) -> Packed:
        """Stack the weights."""
        return _packed(params, "h", params.W_hh.shape[0])

    def step(
        self, weights: Packed, row: Array, state: HiddenState
    ) -> tuple[HiddenState, tuple[()]]:
        """Return (h_t, nothing saved)."""
        return HiddenState(activations.ACTIVATIONS[self.activation](row @ weights.W)), ()

    def adjoint(
        self, weights: Packed, h: Array, y: Array, saved: PyTree, d: HiddenState
    ) -> tuple[HiddenState, tuple[Array], HiddenState]:
        """Return (∂L/∂h_{t−1}, ∂L/∂a, ∂L/∂h_t)."""
        d_a = d.h * SLOPES[self.activation](y)
        return HiddenState(d_a @ weights.transposed), (d_a,), d

    def gradients(
        self, params: RNNParams, rows: Array, d_pre: tuple[Array], saved: PyTree
    ) -> tuple[RNNParams, Array]:
        """Return (∂L/∂params, ∂L/∂xs)."""
        (d_a,) = d_pre
        d_W = _unstack(_over_time(rows, d_a), "h", params.W_hh.shape[0])
        return RNNParams(**d_W), _to_inputs(params, "h", d_a)


@dataclass(frozen=True)
class PackedLSTM:
    """f, i, o = σ(a), C̃ = tanh(a_c), a = W·[h_{t−1}, x_t] + b; C_t and h_t as in cells.LSTM.

    σ is jax.nn.sigmoid: (1 + tanh(a/2))/2 is a little faster, but the small gates of a chrono
    initialization would lose their last digits.
    """

    widths: ClassVar[tuple[int, ...]] = (4, 1)  # a, C_{t−1}
    adjoints: ClassVar[tuple[int, ...]] = (4,)

    def pack(self, params: LSTMParams) -> Packed:
        """Stack the weights, gates in the order f, i, o, c."""
        return _packed(params, "fioc", params.W_hf.shape[0])

    def _gates(self, a: Array) -> tuple[Array, Array, Array, Array]:
        f, i, o, c = _split(a, 4)
        return jax.nn.sigmoid(f), jax.nn.sigmoid(i), jax.nn.sigmoid(o), jnp.tanh(c)

    def step(
        self, weights: Packed, row: Array, state: LSTMState
    ) -> tuple[LSTMState, tuple[Array, Array]]:
        """Return ((h_t, C_t), (a, C_{t−1}))."""
        a = row @ weights.W
        f, i, o, C_tilde = self._gates(a)
        C = f * state.C + i * C_tilde
        return LSTMState(o * jnp.tanh(C), C), (a, state.C)

    def adjoint(
        self, weights: Packed, h: Array, y: Array, saved: tuple[Array, Array], d: LSTMState
    ) -> tuple[LSTMState, tuple[Array], LSTMState]:
        """Return (∂L/∂(h, C)_{t−1}, ∂L/∂a, the total ∂L/∂(h, C)_t)."""
        a, C = saved
        f, i, o, C_tilde = self._gates(a)
        tanh_C = jnp.tanh(f * C + i * C_tilde)
        d_C = d.C + d.h * o * tanh_slope(tanh_C)
        d_a = _join(
            d_C * C * sigmoid_slope(f),
            d_C * C_tilde * sigmoid_slope(i),
            d.h * tanh_C * sigmoid_slope(o),
            d_C * i * tanh_slope(C_tilde),
        )
        return LSTMState(d_a @ weights.transposed, d_C * f), (d_a,), LSTMState(d.h, d_C)

    def gradients(
        self, params: LSTMParams, rows: Array, d_pre: tuple[Array], saved: PyTree
    ) -> tuple[LSTMParams, Array]:
        """Return (∂L/∂params, ∂L/∂xs)."""
        (d_a,) = d_pre
        d_W = _unstack(_over_time(rows, d_a), "fioc", params.W_hf.shape[0])
        return LSTMParams(**d_W), _to_inputs(params, "fioc", d_a)


@dataclass(frozen=True)
class PackedGRU:
    """z, r = σ(W·[h_{t−1}, x_t] + b); h̃ = tanh(W_h·[r*h_{t−1}, x_t] + b_h); h_t as in cells.GRU."""

    widths: ClassVar[tuple[int, ...]] = (2, 1, 1)  # a of z and r, a of h̃, r*h_{t−1}
    adjoints: ClassVar[tuple[int, ...]] = (2, 1)

    def pack(self, params: GRUParams) -> tuple[Packed, Packed]:
        """Stack the weights of z and r, and those of the candidate."""
        H = params.W_hh.shape[0]
        return _packed(params, "zr", H), _packed(params, "h", H)

    def step(
        self, weights: tuple[Packed, Packed], row: Array, state: HiddenState
    ) -> tuple[HiddenState, tuple[Array, Array, Array]]:
        """Return (h_t, (a of z and r, a of h̃, r*h_{t−1}))."""
        gates, candidate = weights
        h = state.h
        a = row @ gates.W
        z, r = _split(jax.nn.sigmoid(a), 2)
        r_h = r * h
        a_h = _join(r_h, row[..., h.shape[-1] :]) @ candidate.W
        return HiddenState(z * h + (1 - z) * jnp.tanh(a_h)), (a, a_h, r_h)

    def adjoint(
        self,
        weights: tuple[Packed, Packed],
        h: Array,
        y: Array,
        saved: tuple[Array, Array, Array],
        d: HiddenState,
    ) -> tuple[HiddenState, tuple[Array, Array], HiddenState]:
        """Return (∂L/∂h_{t−1}, (∂L/∂a of z and r, ∂L/∂a of h̃), ∂L/∂h_t)."""
        gates, candidate = weights
        a, a_h, _ = saved
        z, r = _split(jax.nn.sigmoid(a), 2)
        h_tilde = jnp.tanh(a_h)
        d_h = d.h * (1 - z) * tanh_slope(h_tilde)
        d_rh = d_h @ candidate.transposed
        d_zr = _join(d.h * (h - h_tilde) * sigmoid_slope(z), d_rh * h * sigmoid_slope(r))
        return HiddenState(d.h * z + d_rh * r + d_zr @ gates.transposed), (d_zr, d_h), d

    def gradients(
        self,
        params: GRUParams,
        rows: Array,
        d_pre: tuple[Array, Array],
        saved: tuple[Array, Array, Array],
    ) -> tuple[GRUParams, Array]:
        """Return (∂L/∂params, ∂L/∂xs)."""
        (d_zr, d_h), r_h, H = d_pre, saved[2], params.W_hh.shape[0]
        d_W = _unstack(_over_time(rows, d_zr), "zr", H)
        d_Wx = _over_time(rows[..., H:], d_h)
        d_xs = _to_inputs(params, "zr", d_zr) + _to_inputs(params, "h", d_h)
        d_W |= {"W_hh": _over_time(r_h, d_h), "W_xh": d_Wx[:-1], "b_h": d_Wx[-1]}
        return GRUParams(**d_W), d_xs


class ResetAfterWeights(NamedTuple):
    """Packed weights of :class:`PackedGRUResetAfter`."""

    W_h: Array  # of z, r and q, by h (H, 3H)
    transposed: Array  # (3H, H)
    W_x: Array  # of z, r and h̃, by [x, 1] (D+1, 3H)
    b_hn: Array  # (H,)


@dataclass(frozen=True)
class PackedGRUResetAfter:
    """As :class:`PackedGRU`, but h̃ = tanh(W_xh x_t + b_h + r*q), q = W_hh h_{t−1} + b_hn.

    Two products per step, for q has no x and W_xh no h. The product with x is also taken step by
    step: taken over all steps at once, its rounding would depend on the amount of padding.
    """

    widths: ClassVar[tuple[int, ...]] = (3, 1)  # a of z and r, and q; a of h̃
    adjoints: ClassVar[tuple[int, ...]] = (3, 1)

    def pack(self, params: GRUParams) -> ResetAfterWeights:
        """Stack the weights, gates in the order z, r, h."""
        assert params.b_hn is not None  # checked by equations_of
        H = params.W_hh.shape[0]
        stacked = _stack(params, "zrh")
        return ResetAfterWeights(stacked[:H], stacked[:H].T, stacked[H:], params.b_hn)

    def step(
        self, weights: ResetAfterWeights, row: Array, state: HiddenState
    ) -> tuple[HiddenState, tuple[Array, Array]]:
        """Return (h_t, (a of z and r, and q; a of h̃))."""
        H = state.h.shape[-1]
        by_h, by_x = row[..., :H] @ weights.W_h, row[..., H:] @ weights.W_x
        a = by_h[..., : 2 * H] + by_x[..., : 2 * H]
        q = by_h[..., 2 * H :] + weights.b_hn
        z, r = _split(jax.nn.sigmoid(a), 2)
        a_h = by_x[..., 2 * H :] + r * q
        return HiddenState(z * state.h + (1 - z) * jnp.tanh(a_h)), (_join(a, q), a_h)

    def adjoint(
        self,
        weights: ResetAfterWeights,
        h: Array,
        y: Array,
        saved: tuple[Array, Array],
        d: HiddenState,
    ) -> tuple[HiddenState, tuple[Array, Array], HiddenState]:
        """Return (∂L/∂h_{t−1}, (∂L/∂(a of z and r, q), ∂L/∂a of h̃), ∂L/∂h_t)."""
        a, a_h = saved
        z, r, q = _split(a, 3)
        z, r, h_tilde = jax.nn.sigmoid(z), jax.nn.sigmoid(r), jnp.tanh(a_h)
        d_h = d.h * (1 - z) * tanh_slope(h_tilde)
        d_a = _join(d.h * (h - h_tilde) * sigmoid_slope(z), d_h * q * sigmoid_slope(r), d_h * r)
        return HiddenState(d.h * z + d_a @ weights.transposed), (d_a, d_h), d

    def gradients(
        self, params: GRUParams, rows: Array, d_pre: tuple[Array, Array], saved: PyTree
    ) -> tuple[GRUParams, Array]:
        """Return (∂L/∂params, ∂L/∂xs)."""
        (d_a, d_h), H = d_pre, params.W_hh.shape[0]
        d_zr, by_x = d_a[..., : 2 * H], rows[..., H:]
        d_Wh = _over_time(rows[..., :H], d_a)
        d_Wx = _join(_over_time(by_x, d_zr), _over_time(by_x, d_h))
        d_b = d_a[..., 2 * H :].sum(range(d_a.ndim - 1))
        d_W = _unstack(jnp.concatenate([d_Wh, d_Wx]), "zrh", H)
        d_xs = _to_inputs(params, "zr", d_zr) + _to_inputs(params, "h", d_h)
        return GRUParams(**d_W, b_hn=d_b), d_xs


def equations_of(cell: NamedCell, params: PyTree) -> Equations:
    """Return the packed equations of a plain cell.

    Raises:
        ValueError: parameters of the other kind of GRU.
    """
    if isinstance(cell, RNN):
        return PackedRNN(str(cell.activation))  # a name: is_plain checks that
    if isinstance(cell, LSTM):
        return PackedLSTM()
    if (params.b_hn is not None) != cell.reset_after:
        raise ValueError(
            f"a GRU with reset_after={cell.reset_after} got params "
            f"{'with' if params.b_hn is not None else 'without'} b_hn"
        )
    return PackedGRUResetAfter() if cell.reset_after else PackedGRU()
