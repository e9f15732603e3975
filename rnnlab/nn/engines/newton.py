"""The named cells over all steps at once: Newton's method on the whole trajectory.

s_1 … s_T is the root of F_t(s) = s_t − step(s_{t−1}, x_t). Linearized around a guess, that is a
linear recurrence, which an associative scan solves in O(log T) rounds of products:

    δ_t = A_t δ_{t−1} + r_t,  r_t = step(s_{t−1}, x_t) − s_t,  δ_0 = 0;  s ← s + δ

    Newton         A_t = J_t = ∂step/∂s at s_{t−1}              (DEER)
    quasi-Newton   A_t = diag(J_t)                              (quasi-DEER): no n³ work
    damped         A_t = (1 − damping)·J_t, or of the diagonal  (scale-ELK): shorter products

The state is the guess plus corrections, so that what is rounded shrinks with them. Newton squares
the error in each iteration once it is near; the others multiply it. For a guess from which it does
not get there (chaos: about T iterations), ``scan`` takes over: the result is always scan's.

Gradients are exact whatever the iteration was: the tangent of a root solves δ_t = J_t δ_{t−1} + c_t
and its adjoint λ_{t−1} = J_tᵀ λ_t + ∂L/∂s_{t−1}, both associative scans; the parameters' gradient
is one product over all steps. Forward mode and higher derivatives work too.

Not here: ELK's Levenberg–Marquardt as a Kalman smoother. Sources: Lim et al. 2024 (arXiv
2309.12252), DEER; Gonzalez et al. 2024 (arXiv 2407.19115), quasi-DEER, ELK.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnnlab.nn import cells
from rnnlab.nn.engines.fused import SLOPES
from rnnlab.nn.engines.scan import scan, select, varying_alike
from rnnlab.nn.params import HiddenState, LSTMState

Array = jax.Array


@dataclass(frozen=True)
class Newton:
    """How the engine iterates; ``unroll(..., engine=Newton(...))``, or "newton" for the defaults.

    Args:
        quasi: diag(J) in place of J: n instead of n³ work a step and iteration, more iterations.
        damping: d of A = (1 − d)·J, 0 … 1. At 1 every step is just made anew from the last guess.
        tolerance: largest error that counts as none, a share of the sequence's largest state.
            Without quasi and damping it bounds the last correction, after which the error is about
            its square; ε^(2/3) by default, ε the dtype's precision. Otherwise it bounds the error
            that is left by the mean rate of convergence so far; 32ε by default.
        max_iterations: after these ``scan`` takes over.
        guess: a first guess of the trajectory, of the structure of the state, leaves (T, ..., H)
            as :class:`Trajectory` has them; None: zeros. No gradient passes through it.
    Raises:
        ValueError: damping outside 0 … 1, a tolerance or max_iterations that is not positive.

    >>> Newton(quasi=True, damping=0.5).max_iterations
    64
    """

    quasi: bool = False
    damping: float = 0.0
    tolerance: float | None = None
    max_iterations: int = 64
    guess: Any = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.damping <= 1:
            raise ValueError(f"damping must lie in 0 … 1, got {self.damping}")
        if self.tolerance is not None and not self.tolerance > 0:
            raise ValueError(f"tolerance must be positive, got {self.tolerance}")
        if self.max_iterations < 1:
            raise ValueError(f"max_iterations must be at least 1, got {self.max_iterations}")

    def __call__(self, cell: Any, params: Any, xs: Array, state: Any, **options: Any) -> Any:
        """:func:`newton` with these options."""
        return newton(cell, params, xs, state, method=self, **options)

    @property
    def squares(self) -> bool:
        """Whether an iteration squares the error: Newton's own."""
        return not self.quasi and self.damping == 0


class Trajectory(NamedTuple):
    """What :func:`trajectory` finds."""

    states: Any  # s_1 … s_T, leaves (T, ..., H), in the order of xs
    iterations: Array  # () corrections made
    converged: Array  # () false: the states are scan's
    log_error: Array  # () natural log of the error that the tolerance was held against


# fields of a cell that the equations below know of
_KNOWN = ("hidden_size", "init", "activation", "reset_after")


def supports(cell: Any, taps: tuple[str, ...] = (), key: Array | None = None) -> bool:
    """Whether :func:`newton` runs this: RNN (named elementwise f), LSTM or GRU.

    Exactly these classes, and without options that change the step: the Jacobians are written out.

    >>> supports(cells.LSTM(4)), supports(cells.RNN(4, jax.nn.softplus))
    (True, False)
    """
    del taps, key  # a tap is made from the states, in one go; the named cells draw nothing
    if type(cell) is cells.RNN:
        known = isinstance(cell.activation, str) and cell.activation in SLOPES
    else:
        known = type(cell) in (cells.LSTM, cells.GRU)
    return known and all(
        getattr(cell, f.name) == f.default for f in fields(cell) if f.name not in _KNOWN
    )


def newton(
    cell: Any,
    params: Any,
    xs: Array,
    state: Any,
    *,
    mask: Array | None = None,
    key: Array | None = None,
    reverse: bool = False,
    taps: tuple[str, ...] = (),
    method: Newton | None = None,
) -> tuple[Array, Any, dict[str, Array]]:
    """Run ``cell`` along the first axis; arguments and results are :func:`scan`'s.

    Memory: about 4·T·n² numbers a sequence, n the state's features (H; 2H for an LSTM), T·n with
    ``quasi``, but for the gradients, which take the whole Jacobians.

    Args:
        method: how to iterate; None: ``Newton()``.
    Raises:
        ValueError: what :func:`supports` denies; parameters of the other kind of GRU; a guess of
            another structure or shape.
        TypeError: numbers of less than 32 bits: a linear system of T steps needs more.

    >>> cell = cells.GRU(4)
    >>> params = cell.init_params(jax.random.key(0), 3)
    >>> ys, state, _ = newton(cell, params, jnp.ones((5, 2, 3)), cell.initial_state(params, (2,)))
    >>> ys.shape, state.h.shape
    ((5, 2, 4), (2, 4))
    """
    method, guess = _checked(cell, params, xs, state, taps, key, method)
    return _newton(cell, params, xs, state, mask, guess, reverse, taps, method)


def trajectory(
    cell: Any,
    params: Any,
    xs: Array,
    state: Any,
    *,
    mask: Array | None = None,
    reverse: bool = False,
    method: Newton | None = None,
) -> Trajectory:
    """The states of all steps, and how they were found; arguments are :func:`newton`'s.

    A batch is one system: it is done when its slowest sequence is. ``jax.vmap`` counts apart.

    Raises:
        ValueError, TypeError: as :func:`newton`; no steps.

    >>> cell = cells.RNN(4)
    >>> params = cell.init_params(jax.random.key(0), 3)
    >>> xs = jax.random.normal(jax.random.key(1), (100, 3))
    >>> found = trajectory(cell, params, xs, cell.initial_state(params, ()))
    >>> again = trajectory(
    ...     cell, params, xs, cell.initial_state(params, ()), method=Newton(guess=found.states)
    ... )
    >>> found.states.h.shape, bool(found.converged), int(again.iterations)
    ((100, 4), True, 1)
    """
    if xs.shape[0] == 0:
        raise ValueError(f"a trajectory needs at least one step, got xs of shape {xs.shape}")
    method, guess = _checked(cell, params, xs, state, (), None, method)
    return _trajectory(cell, params, xs, state, mask, guess, reverse, method)


def _checked(
    cell: Any, params: Any, xs: Array, state: Any, taps: Any, key: Any, method: Newton | None
) -> tuple[Newton, Any]:
    """(the method without its guess: hashable, and no stale array in a compiled program; guess)."""
    if not supports(cell, taps, key):
        raise ValueError(
            f"engine 'newton' runs RNN ({', '.join(SLOPES)}), LSTM and GRU without further "
            f"options, got {cell}: use engine 'scan'"
        )
    dtype = jnp.result_type(*jax.tree.leaves((params, state)))
    if jnp.finfo(dtype).bits < 32:
        raise TypeError(f"engine 'newton' needs at least float32, got {dtype}: use engine 'scan'")
    method = Newton() if method is None else method
    if method.guess is not None:
        wanted = jax.tree.map(lambda leaf: (xs.shape[0], *jnp.shape(leaf)), state)
        got = jax.tree.map(jnp.shape, method.guess)
        if got != wanted:
            raise ValueError(f"Newton.guess must be of shapes {wanted}, got {got}")
    return replace(method, guess=None), method.guess


# compiled on its own, as scan is
@partial(jax.jit, static_argnames=("cell", "reverse", "taps", "method"))
def _newton(
    cell: Any,
    params: Any,
    xs: Array,
    state: Any,
    mask: Array | None,
    guess: Any,
    reverse: bool,
    taps: tuple[str, ...],
    method: Newton,
) -> tuple[Array, Any, dict[str, Array]]:
    xs = xs.astype(jnp.result_type(xs, *jax.tree.leaves(params)))
    if xs.shape[0] == 0:  # no step, no root
        return scan(cell, params, xs, state, mask=mask, taps=taps)
    params, xs, state, mask = varying_alike((params, xs, state, mask))
    states = _trajectory(cell, params, xs, state, mask, guess, reverse, method).states
    final = jax.tree.map(lambda s: s[0 if reverse else -1], states)
    if mask is None and not taps:
        return states.h, final, {}

    def shown(before: Any, xs: Array) -> Any:
        """What steps show besides their states, all in one go."""
        return cell.step(params, before, xs)[1:]

    # the step after s_0 by itself, as in _tangents
    first, later = (slice(-1, None), slice(-1)) if reverse else (slice(1), slice(1, None))
    known = slice(1, None) if reverse else slice(-1)
    parts = [
        shown(jax.tree.map(lambda s: s[None], state), xs[first]),
        shown(jax.tree.map(lambda s: s[known], states), xs[later]),
    ]
    join = partial(jax.tree.map, lambda *a: jnp.concatenate(a))
    ys, gates = join(*(reversed(parts) if reverse else parts))
    if mask is not None:
        ys = jnp.where(mask[..., None], ys, 0)
    values = {**gates._asdict(), **states._asdict()}
    return ys, final, {tap: values[tap] for tap in taps}


@partial(jax.jit, static_argnames=("cell", "reverse", "method"))
def _trajectory(
    cell: Any,
    params: Any,
    xs: Array,
    state: Any,
    mask: Array | None,
    guess: Any,
    reverse: bool,
    method: Newton,
) -> Trajectory:
    xs = xs.astype(jnp.result_type(xs, *jax.tree.leaves(params)))
    if reverse:  # the same over flipped time
        xs, mask, guess = jax.tree.map(partial(jnp.flip, axis=0), (xs, mask, guess))
    flat, iterations, converged, log_error = _solve(
        cell, method, params, xs, _join(state), mask, None if guess is None else _join(guess)
    )
    states = _split(state, jnp.flip(flat, 0) if reverse else flat)
    return Trajectory(states, iterations.astype(jnp.int32), converged > 0, log_error)


def _before(start: Array, states: Array) -> Array:
    """s_{t−1} at all t."""
    return jnp.concatenate([start[None], states[:-1]])


def _join(state: Any) -> Array:
    """The features of all parts of a state side by side, (..., n)."""
    return jnp.concatenate(jax.tree.leaves(state), axis=-1)


def _split(like: Any, flat: Array) -> Any:
    leaves, structure = jax.tree.flatten(like)
    parts = jnp.split(flat, len(leaves), axis=-1)  # of the named cells all are H wide
    return jax.tree.unflatten(structure, parts)


# ---- the root ----------------------------------------------------------------------------------


class _Found(NamedTuple):
    """All of them floats: the tangent of a whole number has no mesh axes, which shard_map wants."""

    states: Array  # (T, ..., n)
    iterations: Array
    converged: Array
    log_error: Array


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _solve(
    cell: Any, method: Newton, params: Any, xs: Array, start: Array, mask: Any, guess: Any
) -> _Found:
    """The states s_1 … s_T after start (..., n)."""
    if guess is None:
        guess = jnp.broadcast_to(start * 0, (xs.shape[0], *start.shape))
    # whatever any of these varies over in a shard_map, the states do
    leaves = (*jax.tree.leaves((params, xs)), start)
    nothing = jnp.stack([leaf.ravel()[:0].sum() for leaf in leaves]).sum()
    parts = _parts(cell)
    eps = float(jnp.finfo(guess.dtype).eps)
    tolerance = method.tolerance or (eps ** (2 / 3) if method.squares else 32 * eps)

    def correct(now: tuple[Array, ...]) -> tuple[Array, ...]:
        states, k, _, first = now
        before = _before(start, states)
        residual = _step(cell, params, before, xs, mask) - states
        A = (1 - method.damping) * _jacobians(cell, params, before, xs, mask, method.quasi)
        delta = _recurrence(A, residual)
        size = _log_size(delta, states + delta, parts)
        first = jnp.where(k == 0, size, first)
        # where products of Jacobians overflowed: the step made anew
        states = states + jnp.where(jnp.isfinite(delta), delta, residual)
        return states, k + 1, size if method.squares else _log_left(size, first, k), first

    def go_on(now: tuple[Array, ...]) -> Array:
        _, k, log_error, _ = now
        return (k < method.max_iterations) & ~(log_error <= jnp.log(tolerance))  # NaN: go on

    far = nothing + jnp.asarray(jnp.inf, guess.dtype)
    count = (nothing * 0).astype(jnp.int32)
    states, k, log_error, _ = jax.lax.while_loop(go_on, correct, (guess + nothing, count, far, far))
    converged = log_error <= jnp.log(tolerance)

    def by_scan() -> Array:
        options = {"mask": mask, "taps": cell.state_parts}
        _, _, tapped = scan(cell, params, xs, _state(cell, start), **options)
        return jnp.concatenate([tapped[part] for part in cell.state_parts], axis=-1)

    states = _unless(converged, states, by_scan)
    return _Found(states, k.astype(states.dtype), converged.astype(states.dtype), log_error)


@_solve.defjvp
def _tangents(
    cell: Any, method: Newton, primals: tuple[Any, ...], tangents: tuple[Any, ...]
) -> tuple[_Found, _Found]:
    params, xs, start, mask, _ = primals
    found = _solve(cell, method, *primals)
    before, parallel = _before(start, found.states), found.converged > 0
    d_params, d_xs, d_start = tangents[:3]

    def step(params: Any, before: Array, xs: Array) -> Array:
        return _step(cell, params, before, xs, mask)

    def first(start: Array) -> Array:
        return _step(cell, params, start[None], xs[:1], None if mask is None else mask[:1])

    # s_0 by itself: of the adjoint of all steps, with the first sliced off, XLA:CPU (jaxlib 0.10.2)
    # compiles a wrong one for the LSTM in float64, and the right one without its optimizations
    _, c = jax.jvp(lambda params, xs: step(params, before, xs), (params, xs), (d_params, d_xs))
    c = c.at[:1].add(jax.jvp(first, (start,), (d_start,))[1])

    def jacobians() -> Array:
        return _jacobians(cell, params, before, xs, mask, False)

    def product(d: Array) -> Array:
        """(I − J)d, J what a state owes to the state before it."""
        pushed = jax.jvp(partial(step, params, xs=xs), (before,), (_before(d[0] * 0, d),))[1]
        return d - pushed

    def solve(_: Any, c: Array) -> Array:
        return _recurrence(jacobians(), c, parallel=parallel)

    def solve_transposed(_: Any, g: Array) -> Array:
        later = jnp.swapaxes(jacobians()[1:], -1, -2)  # λ_t = J_{t+1}ᵀ λ_{t+1} + g_t
        A = jnp.concatenate([later, jnp.zeros_like(later[:1])]) if len(later) else None
        if A is None:
            return g
        return _recurrence(A, g, reverse=True, parallel=parallel)

    d_states = jax.lax.custom_linear_solve(product, c, solve, solve_transposed)
    still = jax.tree.map(jnp.zeros_like, found)
    return found, still._replace(states=d_states)


def _log_size(delta: Array, states: Array, parts: int) -> Array:
    """log of the largest |δ|, as a share of the largest |s| of its sequence and part of the state.

    −inf where nothing changed, NaN where something is not finite.
    """

    def largest(a: Array) -> Array:  # over steps and features: (..., parts)
        a = jnp.abs(a).reshape(*a.shape[:-1], parts, -1)
        return a.max(axis=(0, -1))

    of_delta, of_states = largest(delta), largest(states)
    logs = jnp.where(of_delta == 0, -jnp.inf, jnp.log(of_delta) - jnp.log(of_states))
    return logs.max()


def _log_left(size: Array, first: Array, k: Array) -> Array:
    """log of the error after correction k (from 0), of corrections that shrink by a factor q.

    Σ_{j≥1} q^j |δ| = |δ| q/(1 − q), log q the mean over all corrections so far; NaN: they grow.
    """
    log_q = (size - first) / jnp.maximum(k, 1).astype(size.dtype)
    left = size + log_q - jnp.log1p(-jnp.exp(log_q))
    return jnp.where(size == -jnp.inf, -jnp.inf, jnp.where(k == 0, jnp.inf, left))


def _unless(well: Array, value: Array, otherwise: Callable[[], Array]) -> Array:
    """``value`` if all is well, else ``otherwise()``.

    A loop of no or one pass: vmap makes of a cond that both sides are always computed.
    """
    return jax.lax.while_loop(
        lambda now: ~now[0], lambda now: (now[0] | True, otherwise()), (well, value)
    )[1]


# ---- linear recurrences ------------------------------------------------------------------------


def _after(first: tuple[Array, Array], then: tuple[Array, Array]) -> tuple[Array, Array]:
    """s ↦ A₂(A₁s + b₁) + b₂ as one such map; A (..., n, n), or (..., n) for diagonals."""
    (A_1, b_1), (A_2, b_2) = first, then
    if A_1.ndim == b_1.ndim:
        return A_2 * A_1, A_2 * b_1 + b_2
    product = partial(jnp.matmul, precision="highest")
    return product(A_2, A_1), product(A_2, b_1[..., None])[..., 0] + b_2


def _recurrence(
    A: Array, b: Array, *, reverse: bool = False, parallel: Array | None = None
) -> Array:
    """d_t = A_t d_{t−1} + b_t from d_0 = 0 (with reverse from the end: A_t d_{t+1}), (T, ..., n).

    ``parallel`` where given: false, or numbers that are not finite, have it solved step by step.
    Products of many A may overflow that no d does, and inf·0 is NaN.
    """
    d = jax.lax.associative_scan(_after, (A, b), reverse=reverse)[1]
    if parallel is None:
        return d

    def by_steps() -> Array:
        def body(d: Array, at: tuple[Array, Array]) -> tuple[Array, Array]:
            d = _after((at[0], d), at)[1]
            return d, d

        return jax.lax.scan(body, b[0] * 0 + A[0].sum(-1) * 0, (A, b), reverse=reverse)[1]

    return _unless(parallel & jnp.isfinite(d).all(), d, by_steps)


# ---- the cells ---------------------------------------------------------------------------------


def _parts(cell: Any) -> int:
    return len(cell.state_parts)


def _state(cell: Any, flat: Array) -> Any:
    kind = LSTMState if type(cell) is cells.LSTM else HiddenState
    return kind(*jnp.split(flat, _parts(cell), axis=-1))


def _step(cell: Any, params: Any, before: Array, xs: Array, mask: Array | None) -> Array:
    """s_t by s_{t−1} at all t, both (T, ..., n)."""
    new = _join(cell.step(params, _state(cell, before), xs)[0])
    return new if mask is None else select(mask, new, before)


def _jacobians(
    cell: Any, params: Any, before: Array, xs: Array, mask: Array | None, diagonal: bool
) -> Array:
    """∂s_t/∂s_{t−1} at all t, (T, ..., n, n), rows the new state; or its diagonal (T, ..., n)."""
    written_out = {cells.RNN: _of_rnn, cells.GRU: _of_gru, cells.LSTM: _of_lstm}[type(cell)]
    new, _, gates = cell.step(params, _state(cell, before), xs)
    J = written_out(cell, params, _state(cell, before), new, gates, _Kernels(diagonal))
    if mask is None:
        return J
    still = jnp.ones_like(before) if diagonal else jnp.eye(before.shape[-1], dtype=J.dtype)
    return jnp.where(mask[..., None] if diagonal else mask[..., None, None], J, still)


@dataclass(frozen=True)
class _Kernels:
    """Products that make a Jacobian, of whole matrices or of diagonals only."""

    diagonal: bool

    def rows(self, factor: Array, W: Array) -> Array:
        """diag(factor)·Wᵀ: what units with these slopes owe to a state that enters through W."""
        if self.diagonal:
            return factor * jnp.diagonal(W)
        return factor[..., :, None] * W.T

    def own(self, factor: Array) -> Array:
        """diag(factor)."""
        if self.diagonal:
            return factor
        return factor[..., :, None] * jnp.eye(factor.shape[-1], dtype=factor.dtype)

    def scale(self, factor: Array, J: Array) -> Array:
        """diag(factor)·J."""
        return factor * J if self.diagonal else factor[..., :, None] * J

    def chain(self, factor: Array, W_out: Array, inner: Array, W_in: Array) -> Array:
        """diag(factor)·W_outᵀ·diag(inner)·W_inᵀ."""
        if self.diagonal:
            return factor * (inner @ (W_out * W_in.T))
        # (..., k, i) → (..., j, i)
        through = jnp.matmul(W_out.T, inner[..., :, None] * W_in.T, precision="highest")
        return factor[..., :, None] * through

    def blocks(self, rows: list[list[Array]]) -> Array:
        """A matrix of blocks."""
        if self.diagonal:
            return jnp.concatenate([row[k] for k, row in enumerate(rows)], axis=-1)
        joined = [jnp.concatenate(row, axis=-1) for row in rows]
        return jnp.concatenate(joined, axis=-2)


_sigmoid_slope, _tanh_slope = SLOPES["sigmoid"], SLOPES["tanh"]


def _of_rnn(cell: Any, p: Any, before: Any, new: Any, gates: Any, of: _Kernels) -> Array:
    """diag(f'(a_t)) W_hh."""
    return of.rows(SLOPES[cell.activation](new.h), p.W_hh)


def _of_gru(cell: Any, p: Any, before: Any, new: Any, gates: Any, of: _Kernels) -> Array:
    """z, the way through z = σ(a), and through h̃ = tanh(a), whose r depends on h as well."""
    z, r, h_tilde = gates
    h, slope = before.h, (1 - z) * _tanh_slope(h_tilde)
    J = of.own(z) + of.rows((h - h_tilde) * _sigmoid_slope(z), p.W_hz)
    if cell.reset_after:  # a = W_x x + b + r*q, q = W_h h + b_hn
        q = h @ p.W_hh + p.b_hn
        return J + of.rows(slope * r, p.W_hh) + of.rows(slope * q * _sigmoid_slope(r), p.W_hr)
    # a = W_h (r*h) + W_x x + b: r_i W_h[i, j], and through r
    J = J + of.chain(slope, p.W_hh, h * _sigmoid_slope(r), p.W_hr)
    if of.diagonal:
        return J + slope * r * jnp.diagonal(p.W_hh)
    return J + slope[..., :, None] * p.W_hh.T * r[..., None, :]


def _of_lstm(cell: Any, p: Any, before: Any, new: Any, gates: Any, of: _Kernels) -> Array:
    """Of (h_t, C_t) by (h_{t−1}, C_{t−1}); h_t = o*tanh(C_t) passes C_t's on."""
    f, i, C_tilde, o = gates
    C_by_h = (
        of.rows(before.C * _sigmoid_slope(f), p.W_hf)
        + of.rows(C_tilde * _sigmoid_slope(i), p.W_hi)
        + of.rows(i * _tanh_slope(C_tilde), p.W_hc)
    )
    tanh_C = jnp.tanh(new.C)
    shown = o * _tanh_slope(tanh_C)
    h_by_h = of.rows(tanh_C * _sigmoid_slope(o), p.W_ho) + of.scale(shown, C_by_h)
    return of.blocks([[h_by_h, of.own(shown * f)], [C_by_h, of.own(f)]])
