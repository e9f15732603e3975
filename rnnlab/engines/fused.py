"""The named cells over time with a hand-written adjoint: the engine for training on CPUs.

Forwards, one product of [h_{t−1}, x_t] with the stacked weights a step. Backwards, one reverse scan
that carries the adjoint of the state only and hands out the adjoints of the pre-activations;
gradients of weights, biases and inputs are one product each, over all steps at once. Autodiff of a
scan adds up the weights' gradient step by step instead.

Backwards is made of plain operations, so it can itself be differentiated, in either mode. Forward
mode over the recurrence itself belongs to ``scan``; JAX refuses it here, as for any custom_vjp.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from rnnlab import cells
from rnnlab.cells import HiddenState, LSTMState
from rnnlab.engines.scan import select

Array = jax.Array

# f'(a) by f(a) = h
SLOPES: dict[str, Callable[[Array], Array]] = {
    "tanh": lambda h: 1 - h * h,
    "relu": lambda h: (h > 0).astype(h.dtype),
    "identity": jnp.ones_like,
    "sigmoid": lambda h: h * (1 - h),
}


def supports(cell: Any, taps: tuple[str, ...] = (), key: Array | None = None) -> bool:
    """Whether :func:`fused` runs this: RNN (named f), LSTM or GRU, and no taps.

    Exactly these classes, for a subclass may step otherwise. They draw nothing: any key will do.

    >>> supports(cells.lstm(4)), supports(cells.lstm(4), taps=("f",))
    (True, False)
    >>> supports(cells.rnn(4, "relu")), supports(cells.rnn(4, jax.nn.softplus))
    (True, False)
    """
    del key
    if type(cell) is cells.RNN:
        known = isinstance(cell.activation, str) and cell.activation in SLOPES
    else:
        known = type(cell) in (cells.LSTM, cells.GRU)
    return known and not taps


# compiled on its own, as scan is
@partial(jax.jit, static_argnames=("cell", "reverse", "taps"))
def fused(
    cell: Any,
    params: Any,
    xs: Array,
    state: Any,
    *,
    mask: Array | None = None,
    key: Array | None = None,
    reverse: bool = False,
    taps: tuple[str, ...] = (),
) -> tuple[Array, Any, dict[str, Array]]:
    """Run ``cell`` along the first axis; arguments and results are :func:`scan`'s.

    Raises:
        ValueError: what :func:`supports` denies; parameters of the other kind of GRU.
        TypeError: from JAX, under forward-mode differentiation (jvp, jacfwd): use scan.

    >>> cell = cells.gru(4)
    >>> params = cell.init_params(jax.random.key(0), 3)
    >>> ys, state, _ = fused(cell, params, jnp.ones((5, 2, 3)), cell.initial_state(params, (2,)))
    >>> ys.shape, state.h.shape
    ((5, 2, 4), (2, 4))
    """
    if not supports(cell, taps, key):
        raise ValueError(
            f"engine 'fused' runs RNN ({', '.join(SLOPES)}), LSTM and GRU without taps, "
            f"got {cell} with taps={taps}: use engine 'scan'"
        )
    equations, weights, inputs = _prepare(cell, params, xs)
    ys, state = _run(equations, reverse, weights, inputs, state, mask)
    return ys, state, {}


# ---- any cell ----------------------------------------------------------------------------------


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _run(
    equations: Any, reverse: bool, weights: Any, inputs: Any, state: Any, mask: Array | None
) -> tuple[Array, Any]:
    """(ys, final state)."""
    return _forwards(equations, reverse, weights, inputs, state, mask)[0]


def _forwards(
    equations: Any, reverse: bool, weights: Any, inputs: Any, state: Any, mask: Array | None
) -> tuple[tuple[Array, Any], tuple[Any, ...]]:
    def body(state: Any, at: tuple[Any, Any]) -> tuple[Any, Any]:
        x, keep = at
        new, saved = equations.step(weights, state, x)
        kept = new if keep is None else select(keep, new, state)
        return kept, (new.h, state, saved)

    final, (ys, before, saved) = jax.lax.scan(body, state, (inputs, mask), reverse=reverse)
    return (ys, final), (weights, inputs, mask, before, ys, saved)


def _backwards(
    equations: Any, reverse: bool, residuals: tuple[Any, ...], cotangents: tuple[Array, Any]
) -> tuple[Any, Any, Any, None]:
    weights, inputs, mask, before, ys, saved = residuals
    d_ys, d_final = cotangents
    transposed = equations.transpose(weights)

    def body(d: Any, at: tuple[Any, ...]) -> tuple[Any, Any]:
        dy, keep, *values = at
        zero = jax.tree.map(jnp.zeros_like, d)
        d_new = d if keep is None else select(keep, d, zero)
        d_before, d_pre = equations.adjoint(transposed, *values, d_new._replace(h=d_new.h + dy))
        if keep is not None:  # where the state stood still, so does its adjoint
            d_before = jax.tree.map(jnp.add, d_before, select(keep, zero, d))
        return d_before, d_pre

    steps = (d_ys, mask, before, ys, saved)
    d_state, d_pre = jax.lax.scan(body, d_final, steps, reverse=not reverse)
    d_weights, d_inputs = equations.gradients(weights, inputs, before, saved, d_pre)
    return d_weights, d_inputs, d_state, None


_run.defvjp(_forwards, _backwards)


def _join(*parts: Array) -> Array:
    return jnp.concatenate(parts, axis=-1)


def _product(a: Array, d: Array) -> Array:
    """Σ_t a_tᵀ d_t over steps and batch: (..., I), (..., O) to (I, O)."""
    return a.reshape(-1, a.shape[-1]).T @ d.reshape(-1, d.shape[-1])


def _total(d: Array) -> Array:
    return d.sum(tuple(range(d.ndim - 1)))


class _Stacked(NamedTuple):
    """Weights of gates that see [h_{t−1}, x_t], side by side: the k-th in columns kH … (k+1)H."""

    W: Array  # (H + D, kH)
    b: Array  # (kH,)


def _stack(params: Any, blocks: tuple[tuple[str, str, str], ...]) -> _Stacked:
    """The named (W_h, W_x, b) of each gate, stacked."""
    pick = partial(getattr, params)
    columns = [jnp.concatenate([pick(W_h), pick(W_x)]) for W_h, W_x, _ in blocks]
    return _Stacked(_join(*columns), _join(*(pick(b) for *_, b in blocks)))


def _stacked_gradients(weights: _Stacked, h: Array, xs: Array, d_a: Array) -> tuple[_Stacked, Array]:
    """Of a_t = W·[h_{t−1}, x_t] + b at all t: the gradients of W, b and x by that of a."""
    H = h.shape[-1]
    return _Stacked(_product(_join(h, xs), d_a), _total(d_a)), d_a @ weights.W[H:].T


# ---- the equations and their adjoints ----------------------------------------------------------


@dataclass(frozen=True)
class _RNN:
    activation: str

    def step(self, W_hh: Array, state: HiddenState, a_x: Array) -> tuple[HiddenState, tuple[()]]:
        return HiddenState(cells.ACTIVATIONS[self.activation](state.h @ W_hh + a_x)), ()

    def transpose(self, W_hh: Array) -> Array:
        return W_hh.T

    def adjoint(self, W_T, before, h, saved, d):
        d_a = d.h * SLOPES[self.activation](h)
        return HiddenState(d_a @ W_T), d_a

    def gradients(self, W_hh, a_x, before, saved, d_a):
        return _product(before.h, d_a), d_a


@dataclass(frozen=True)
class _RNNp:
    activation: str

    def step(self, weights, state, x):
        return HiddenState(cells.ACTIVATIONS[self.activation](_join(state.h, x) @ weights.W + weights.b)), ()

    def transpose(self, weights: Array) -> Array:
        return weights.W[:weights.b.shape[0]].T

    adjoint=_RNN.adjoint

    def gradients(self, w, xs, before, saved, d_a):
        return _stacked_gradients(w, before.h, xs, d_a)


class _LSTM:
    def step(self, weights, state, x):
        H = state.h.shape[-1]
        a = _join(state.h, x) @ weights.W + weights.b
        s = jax.nn.sigmoid(a[..., : 3 * H])
        f, i, o = s[..., :H], s[..., H : 2 * H], s[..., 2 * H :]
        C_tilde = jnp.tanh(a[..., 3 * H :])
        C = f * state.C + i * C_tilde
        return LSTMState(o * jnp.tanh(C), C), (f, i, o, C_tilde)

    def transpose(self, weights):
        return weights.W[: weights.b.shape[0] // 4].T

    def adjoint(self, W_T, before, h, saved, d):
        f, i, o, C_tilde = saved
        tanh_C = jnp.tanh(f * before.C + i * C_tilde)
        d_C = d.C + d.h * o * (1 - tanh_C * tanh_C)
        d_a = _join(
            d_C * before.C * (f * (1 - f)),
            d_C * C_tilde * (i * (1 - i)),
            d.h * tanh_C * (o * (1 - o)),
            d_C * i * (1 - C_tilde * C_tilde),
        )
        return LSTMState(d_a @ W_T, d_C * f), d_a

    def gradients(self, weights, xs, before, saved, d_a):
        return _stacked_gradients(weights, before.h, xs, d_a)


class _GRU:  # before
    def step(self, weights, state, x):
        h = state.h
        H = h.shape[-1]
        gates, candidate = weights
        s = jax.nn.sigmoid(_join(h, x) @ gates.W + gates.b)
        z, r = s[..., :H], s[..., H:]
        h_tilde = jnp.tanh(_join(r * h, x) @ candidate.W + candidate.b)
        return HiddenState(z * h + (1 - z) * h_tilde), (z, r, h_tilde)

    def transpose(self, weights):
        H = weights[1].b.shape[0]
        return weights[0].W[:H].T, weights[1].W[:H].T

    def adjoint(self, W_T, before, h, saved, d):
        z, r, n = saved
        h = before.h
        d_n = d.h * (1 - z) * (1 - n * n)
        d_rh = d_n @ W_T[1]
        d_zr = _join(d.h * (h - n) * (z * (1 - z)), d_rh * h * (r * (1 - r)))
        return HiddenState(d.h * z + d_rh * r + d_zr @ W_T[0]), (d_zr, d_n)

    def gradients(self, weights, xs, before, saved, d_pre):
        d_zr, d_n = d_pre
        a, dx = _stacked_gradients(weights[0], before.h, xs, d_zr)
        b, dx2 = _stacked_gradients(weights[1], saved[1] * before.h, xs, d_n)
        return (a, b), dx + dx2


class _GRUAfterHoist:  # n's x part hoisted; W's x-rows of q are zero
    def step(self, weights, state, x):
        h = state.h
        H = h.shape[-1]
        x, a_n = x
        a = _join(h, x) @ weights.W + weights.b
        s = jax.nn.sigmoid(a[..., : 2 * H])
        z, r, q = s[..., :H], s[..., H:], a[..., 2 * H :]
        n = jnp.tanh(a_n + r * q)
        return HiddenState(z * h + (1 - z) * n), (z, r, n, q)

    def transpose(self, weights):
        H = weights.b.shape[0] // 3
        return weights.W[:H].T

    def adjoint(self, W_T, before, h, saved, d):
        z, r, n, q = saved
        h = before.h
        d_n = d.h * (1 - z) * (1 - n * n)
        d_a = _join(d.h * (h - n) * (z * (1 - z)), d_n * q * (r * (1 - r)), d_n * r)
        return HiddenState(d.h * z + d_a @ W_T), (d_a, d_n)

    def gradients(self, weights, xs, before, saved, d_pre):
        d_a, d_n = d_pre
        dw, dx = _stacked_gradients(weights, before.h, xs[0], d_a)
        return dw, (dx, d_n)


class _GRUAfterAll:  # everything of x hoisted: (T,B,2H) and (T,B,H)
    def step(self, weights, state, x):
        h = state.h
        H = h.shape[-1]
        a_x, a_n = x
        a = h @ weights[0]
        s = jax.nn.sigmoid(a[..., : 2 * H] + a_x)
        z, r, q = s[..., :H], s[..., H:], a[..., 2 * H :] + weights[1]
        n = jnp.tanh(a_n + r * q)
        return HiddenState(z * h + (1 - z) * n), (z, r, n, q)

    def transpose(self, weights):
        return weights[0].T

    adjoint = _GRUAfterHoist.adjoint

    def gradients(self, weights, xs, before, saved, d_pre):
        d_a, d_n = d_pre
        H = d_n.shape[-1]
        return (_product(before.h, d_a), _total(d_a[..., 2 * H:])), (d_a[..., :2 * H], d_n)

class _GRUAfter4:  # [h,x] @ W (H+D,4H), zero blocks
    def step(self, weights, state, x):
        h = state.h
        H = h.shape[-1]
        a = _join(h, x) @ weights.W + weights.b
        s = jax.nn.sigmoid(a[..., : 2 * H])
        z, r, q = s[..., :H], s[..., H:], a[..., 2 * H :3*H]
        n = jnp.tanh(a[..., 3*H:] + r * q)
        return HiddenState(z * h + (1 - z) * n), (z, r, n, q)

    def transpose(self, weights):
        H = weights.b.shape[0] // 4
        return weights.W[:H, :3*H].T

    adjoint = _GRUAfterHoist.adjoint

    def gradients(self, weights, xs, before, saved, d_pre):
        d_a, d_n = d_pre
        dw, dx = _stacked_gradients(weights, before.h, xs, _join(d_a, d_n))
        return dw, dx


VARIANT={}

def _prepare(cell, p, xs):
    v = VARIANT.get('v')
    if type(cell) is cells.RNN:
        if v == 'p':
            return _RNNp(cell.activation), _stack(p, (("W_hh","W_xh","b_h"),)), xs
        return _RNN(cell.activation), p.W_hh, xs @ p.W_xh + p.b_h
    if type(cell) is cells.LSTM:
        return _LSTM(), _stack(p, tuple((f"W_h{g}", f"W_x{g}", f"b_{g}") for g in "fioc")), xs
    zr = _stack(p, tuple((f"W_h{g}", f"W_x{g}", f"b_{g}") for g in "zr"))
    if not cell.reset_after:
        return _GRU(), (zr, _stack(p, (("W_hh","W_xh","b_h"),))), xs
    if v == 'all':
        return _GRUAfterAll(), (_join(p.W_hz,p.W_hr,p.W_hh), p.b_hn), (xs@_join(p.W_xz,p.W_xr)+zr.b, xs@p.W_xh+p.b_h)
    q = jnp.concatenate([p.W_hh, jnp.zeros_like(p.W_xh)])
    if v=='4':
        n = jnp.concatenate([jnp.zeros_like(p.W_hh), p.W_xh])
        return _GRUAfter4(), _Stacked(_join(zr.W, q, n), _join(zr.b, p.b_hn, p.b_h)), xs
    return _GRUAfterHoist(), _Stacked(_join(zr.W, q), _join(zr.b, p.b_hn)), (xs, xs@p.W_xh+p.b_h)
