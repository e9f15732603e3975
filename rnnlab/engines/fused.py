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
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from rnnlab import cells
from rnnlab.cells import HiddenState, LSTMState
from rnnlab.engines.scan import select

Array = jax.Array


def _sigmoid_slope(s: Array) -> Array:
    return s * (1 - s)


def _tanh_slope(a: Array) -> Array:
    return 1 - a * a


# f'(a) by f(a)
SLOPES: dict[str, Callable[[Array], Array]] = {
    "tanh": _tanh_slope,
    "relu": lambda h: (h > 0).astype(h.dtype),
    "identity": jnp.ones_like,
    "sigmoid": _sigmoid_slope,
}


def supports(cell: Any, taps: tuple[str, ...] = (), key: Array | None = None) -> bool:
    """Whether :func:`fused` runs this: RNN (named f), LSTM or GRU, without options or taps.

    Exactly these classes, for a subclass may step otherwise. They draw nothing: any key will do.

    >>> supports(cells.lstm(4)), supports(cells.lstm(4), taps=("f",))
    (True, False)
    >>> supports(cells.rnn(4, "relu")), supports(cells.rnn(4, jax.nn.softplus))
    (True, False)
    >>> supports(cells.lstm(4, peephole=True)), supports(cells.gru(4, norm="layer"))
    (False, False)
    """
    del key
    if type(cell) is cells.RNN:
        known = isinstance(cell.activation, str) and cell.activation in SLOPES
    else:
        known = type(cell) in (cells.LSTM, cells.GRU)
    options = any(getattr(cell, option, None) for option in cells.OPTIONS)
    return known and not options and not taps


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
            f"engine 'fused' runs RNN ({', '.join(SLOPES)}), LSTM and GRU, without wrappers, "
            f"options ({', '.join(cells.OPTIONS)}) or taps, got {cell} with taps={taps}: use "
            "engine 'scan'"
        )
    xs = xs.astype(jnp.result_type(xs, *jax.tree.leaves(params)))
    equations = _equations(cell, params)
    params, xs, state = _varying_alike((params, xs, state), mask)
    weights, inputs = equations.pack(params, xs)
    ys, state = _run(equations, reverse, weights, inputs, state, mask)
    return ys, state, {}


def _varying_alike(tree: Any, mask: Array | None) -> Any:
    """The same values, each made to vary over every mesh axis that any of them varies over.

    shard_map wants a custom_vjp's cotangents to vary just as its arguments do, and all of them
    here depend on all of these. The sum of no elements varies as its array does; XLA removes it.
    """
    dtype = jax.tree.leaves(tree)[0].dtype
    nothing = sum(leaf.ravel()[:0].sum().astype(dtype) for leaf in jax.tree.leaves((tree, mask)))
    return jax.tree.map(lambda leaf: leaf + nothing, tree)


# ---- any cell ----------------------------------------------------------------------------------


class _Equations(Protocol):
    """A cell's step and the adjoint of it. ``weights``, ``inputs``, ``saved``: any pytrees."""

    def pack(self, params: Any, xs: Array) -> tuple[Any, Any]:
        """(weights, inputs (T, ..., ·)): what is the same at every step, and what is not."""
        ...

    def step(self, weights: Any, state: Any, x: Any) -> tuple[Any, Any]:
        """(new state, what the adjoint needs besides the states)."""
        ...

    def transpose(self, weights: Any) -> Any:
        """The recurrent kernels transposed: once, not at every step."""
        ...

    def adjoint(self, transposed: Any, before: Any, h: Array, saved: Any, d: Any) -> Any:
        """(∂L/∂s_{t−1}, ∂L/∂pre-activations) by d = ∂L/∂s_t."""
        ...

    def gradients(self, weights: Any, inputs: Any, before: Any, saved: Any, d_a: Any) -> Any:
        """(∂L/∂weights, ∂L/∂inputs) by the adjoints of all steps' pre-activations."""
        ...


def _forwards(
    equations: _Equations, reverse: bool, weights: Any, inputs: Any, start: Any, mask: Array | None
) -> tuple[tuple[Array, Any], tuple[Any, ...]]:
    def body(state: Any, at: tuple[Any, Any]) -> tuple[Any, Any]:
        x, keep = at
        new, saved = equations.step(weights, state, x)
        kept = new if keep is None else select(keep, new, state)
        # without a mask the outputs are the states: one array less to write and to hold
        return kept, (new.h, kept._replace(h=None) if keep is None else kept, saved)

    final, (ys, states, saved) = jax.lax.scan(body, start, (inputs, mask), reverse=reverse)
    states = states._replace(h=ys) if mask is None else states
    before = jax.tree.map(partial(_before, reverse=reverse), start, states)
    return (ys, final), (weights, inputs, mask, before, ys, saved)


def _before(start: Array, states: Array, reverse: bool) -> Array:
    """s_{t−1} at all t; cheaper than to hand the old state out of the scan."""
    if reverse:
        return jnp.concatenate([states, start[None]])[1:]
    return jnp.concatenate([start[None], states])[:-1]


def _backwards(
    equations: _Equations, reverse: bool, residuals: tuple[Any, ...], cotangents: tuple[Array, Any]
) -> tuple[Any, Any, Any, None]:
    weights, inputs, mask, before, ys, saved = residuals
    d_ys, d_final = cotangents
    transposed = equations.transpose(weights)

    def body(d: Any, at: tuple[Any, ...]) -> tuple[Any, Any]:
        d_y, keep, before, h, saved = at
        nothing = jax.tree.map(jnp.zeros_like, d)
        new = d if keep is None else select(keep, d, nothing)
        new = new._replace(h=new.h + d_y)
        d_before, d_a = equations.adjoint(transposed, before, h, saved, new)
        if keep is not None:  # where the state stood still, its adjoint does
            d_before = jax.tree.map(jnp.add, d_before, select(keep, nothing, d))
        return d_before, d_a

    steps = (d_ys, mask, before, ys, saved)
    d_start, d_a = jax.lax.scan(body, d_final, steps, reverse=not reverse)
    d_weights, d_inputs = equations.gradients(weights, inputs, before, saved, d_a)
    return d_weights, d_inputs, d_start, None


def _results(*args: Any) -> tuple[Array, Any]:
    return _forwards(*args)[0]


_run = jax.custom_vjp(_results, nondiff_argnums=(0, 1))
_run.defvjp(_forwards, _backwards)


# ---- gates side by side ------------------------------------------------------------------------


class _Stacked(NamedTuple):
    """k gates that see [h_{t−1}, x_t]: one product for all, the n-th in columns nH … (n+1)H."""

    W: Array  # (H + D, kH)
    b: Array  # (kH,)


def _join(*parts: Array) -> Array:
    return jnp.concatenate(parts, axis=-1)


def _stack(params: Any, gates: str) -> _Stacked:
    columns = [
        jnp.concatenate([getattr(params, f"W_h{gate}"), getattr(params, f"W_x{gate}")])
        for gate in gates
    ]
    return _Stacked(_join(*columns), _join(*(getattr(params, f"b_{gate}") for gate in gates)))


def _affine(weights: _Stacked, h: Array, x: Array) -> Array:
    return _join(h, x) @ weights.W + weights.b


def _recurrent(weights: _Stacked, gates: int) -> Array:
    """The rows of W that h meets, transposed: (kH, H)."""
    return weights.W[: weights.b.shape[0] // gates].T


def _stacked_gradients(
    weights: _Stacked, h: Array, xs: Array, d_a: Array
) -> tuple[_Stacked, Array]:
    """By d_a (T, ..., kH), of ``_affine`` at all steps: the gradients of (W, b), and of x."""
    seen, d_flat = _join(h, xs), d_a.reshape(-1, d_a.shape[-1])
    d_W = seen.reshape(-1, seen.shape[-1]).T @ d_flat
    return _Stacked(d_W, d_flat.sum(0)), d_a @ weights.W[h.shape[-1] :].T


# ---- the equations and their adjoints ----------------------------------------------------------


@dataclass(frozen=True)
class _RNN:
    """h_t = f(a), a = W·[h_{t−1}, x_t] + b."""

    activation: str

    def pack(self, params: Any, xs: Array) -> tuple[_Stacked, Array]:
        return _stack(params, "h"), xs

    def step(self, weights: _Stacked, state: HiddenState, x: Array) -> tuple[HiddenState, None]:
        f = cells.ACTIVATIONS[self.activation]
        return HiddenState(f(_affine(weights, state.h, x))), None

    def transpose(self, weights: _Stacked) -> Array:
        return _recurrent(weights, 1)

    def adjoint(
        self, transposed: Array, before: HiddenState, h: Array, saved: None, d: HiddenState
    ) -> tuple[HiddenState, Array]:
        d_a = d.h * SLOPES[self.activation](h)
        return HiddenState(d_a @ transposed), d_a

    def gradients(
        self, weights: _Stacked, inputs: Array, before: HiddenState, saved: None, d_a: Array
    ) -> tuple[_Stacked, Array]:
        return _stacked_gradients(weights, before.h, inputs, d_a)


@dataclass(frozen=True)
class _LSTM:
    """f, i, o = σ(a), C̃ = tanh(a_c), a = W·[h_{t−1}, x_t] + b; C_t and h_t as in cells.LSTM.

    σ is jax.nn.sigmoid: (1 + tanh(a/2))/2 is a little faster, but the small gates of a chrono
    initialisation would lose their last digits.
    """

    def pack(self, params: Any, xs: Array) -> tuple[_Stacked, Array]:
        return _stack(params, "fioc"), xs

    def step(
        self, weights: _Stacked, state: LSTMState, x: Array
    ) -> tuple[LSTMState, tuple[Array, ...]]:
        H = state.h.shape[-1]
        a = _affine(weights, state.h, x)
        s, C_tilde = jax.nn.sigmoid(a[..., : 3 * H]), jnp.tanh(a[..., 3 * H :])
        f, i, o = s[..., :H], s[..., H : 2 * H], s[..., 2 * H :]
        C = f * state.C + i * C_tilde
        tanh_C = jnp.tanh(C)
        return LSTMState(o * tanh_C, C), (f, i, o, C_tilde, tanh_C)

    def transpose(self, weights: _Stacked) -> Array:
        return _recurrent(weights, 4)

    def adjoint(
        self,
        transposed: Array,
        before: LSTMState,
        h: Array,
        saved: tuple[Array, ...],
        d: LSTMState,
    ) -> tuple[LSTMState, Array]:
        f, i, o, C_tilde, tanh_C = saved
        d_C = d.C + d.h * o * _tanh_slope(tanh_C)
        d_a = _join(
            d_C * before.C * _sigmoid_slope(f),
            d_C * C_tilde * _sigmoid_slope(i),
            d.h * tanh_C * _sigmoid_slope(o),
            d_C * i * _tanh_slope(C_tilde),
        )
        return LSTMState(d_a @ transposed, d_C * f), d_a

    def gradients(
        self, weights: _Stacked, inputs: Array, before: LSTMState, saved: Any, d_a: Array
    ) -> tuple[_Stacked, Array]:
        return _stacked_gradients(weights, before.h, inputs, d_a)


@dataclass(frozen=True)
class _GRU:
    """z, r = σ(W·[h_{t−1}, x_t] + b); h̃ = tanh(W_h·[r*h_{t−1}, x_t] + b_h); h_t as in cells.GRU."""

    def pack(self, params: Any, xs: Array) -> tuple[tuple[_Stacked, _Stacked], Array]:
        return (_stack(params, "zr"), _stack(params, "h")), xs

    def step(
        self, weights: tuple[_Stacked, _Stacked], state: HiddenState, x: Array
    ) -> tuple[HiddenState, tuple[Array, ...]]:
        gates, candidate = weights
        h, H = state.h, state.h.shape[-1]
        s = jax.nn.sigmoid(_affine(gates, h, x))
        z, r = s[..., :H], s[..., H:]
        # r*h is saved, not made anew: of the latter XLA:CPU (jaxlib 0.10.2) compiles, in float64,
        # wrong products with the Hessian, and right ones without its optimisations
        r_h = r * h
        h_tilde = jnp.tanh(_affine(candidate, r_h, x))
        return HiddenState(z * h + (1 - z) * h_tilde), (z, r, h_tilde, r_h)

    def transpose(self, weights: tuple[_Stacked, _Stacked]) -> tuple[Array, Array]:
        return _recurrent(weights[0], 2), _recurrent(weights[1], 1)

    def adjoint(
        self,
        transposed: tuple[Array, Array],
        before: HiddenState,
        h: Array,
        saved: tuple[Array, ...],
        d: HiddenState,
    ) -> tuple[HiddenState, tuple[Array, Array]]:
        z, r, h_tilde, _ = saved
        d_h = d.h * (1 - z) * _tanh_slope(h_tilde)
        d_rh = d_h @ transposed[1]
        d_zr = _join(
            d.h * (before.h - h_tilde) * _sigmoid_slope(z), d_rh * before.h * _sigmoid_slope(r)
        )
        return HiddenState(d.h * z + d_rh * r + d_zr @ transposed[0]), (d_zr, d_h)

    def gradients(
        self,
        weights: tuple[_Stacked, _Stacked],
        inputs: Array,
        before: HiddenState,
        saved: tuple[Array, ...],
        d_a: tuple[Array, Array],
    ) -> tuple[tuple[_Stacked, _Stacked], Array]:
        *_, r_h = saved
        d_gates, d_xs = _stacked_gradients(weights[0], before.h, inputs, d_a[0])
        d_candidate, more = _stacked_gradients(weights[1], r_h, inputs, d_a[1])
        return (d_gates, d_candidate), d_xs + more


@dataclass(frozen=True)
class _GRUResetAfter:
    """As _GRU, but h̃ = tanh(W_xh x_t + b_h + r*q), q = W_hh h_{t−1} + b_hn.

    q stands beside z and r, with no rows for x; W_xh x + b_h is made before the scan.
    """

    def pack(self, params: Any, xs: Array) -> tuple[_Stacked, tuple[Array, Array]]:
        gates = _stack(params, "zr")
        W_q = jnp.concatenate([params.W_hh, jnp.zeros_like(params.W_xh)])
        stacked = _Stacked(_join(gates.W, W_q), _join(gates.b, params.b_hn))
        return stacked, (xs, xs @ params.W_xh + params.b_h)

    def step(
        self, weights: _Stacked, state: HiddenState, x: tuple[Array, Array]
    ) -> tuple[HiddenState, tuple[Array, ...]]:
        x_t, of_x = x
        h, H = state.h, state.h.shape[-1]
        a = _affine(weights, h, x_t)
        s, q = jax.nn.sigmoid(a[..., : 2 * H]), a[..., 2 * H :]
        z, r = s[..., :H], s[..., H:]
        h_tilde = jnp.tanh(of_x + r * q)
        return HiddenState(z * h + (1 - z) * h_tilde), (z, r, h_tilde, q)

    def transpose(self, weights: _Stacked) -> Array:
        return _recurrent(weights, 3)

    def adjoint(
        self,
        transposed: Array,
        before: HiddenState,
        h: Array,
        saved: tuple[Array, ...],
        d: HiddenState,
    ) -> tuple[HiddenState, tuple[Array, Array]]:
        z, r, h_tilde, q = saved
        d_h = d.h * (1 - z) * _tanh_slope(h_tilde)
        d_a = _join(
            d.h * (before.h - h_tilde) * _sigmoid_slope(z), d_h * q * _sigmoid_slope(r), d_h * r
        )
        return HiddenState(d.h * z + d_a @ transposed), (d_a, d_h)

    def gradients(
        self,
        weights: _Stacked,
        inputs: tuple[Array, Array],
        before: HiddenState,
        saved: Any,
        d_a: tuple[Array, Array],
    ) -> tuple[_Stacked, tuple[Array, Array]]:
        d_weights, d_xs = _stacked_gradients(weights, before.h, inputs[0], d_a[0])
        return d_weights, (d_xs, d_a[1])


def _equations(cell: Any, params: Any) -> _Equations:
    if type(cell) is cells.RNN:
        return _RNN(str(cell.activation))  # supports() saw to it that this is a name
    if type(cell) is cells.LSTM:
        return _LSTM()
    if (params.b_hn is not None) != cell.reset_after:
        raise ValueError(f"a GRU with reset_after={cell.reset_after} got params "
                         f"{'with' if params.b_hn is not None else 'without'} b_hn")  # fmt: skip
    return _GRUResetAfter() if cell.reset_after else _GRU()
