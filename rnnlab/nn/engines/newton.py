"""The named cells over all steps at once: Newton's method on the whole trajectory.

s_1 … s_T is the root of F_t(s) = s_t − step(s_{t−1}, x_t). Linearized around a guess, that is a
linear recurrence, which an associative scan solves in O(log T) rounds of products:

    δ_t = A_t δ_{t−1} + r_t,  r_t = step(s_{t−1}, x_t) − s_t,  δ_0 = 0;  s ← s + δ

    Newton         A_t = J_t = ∂step/∂s at s_{t−1}              (DEER)
    quasi-Newton   A_t = diag(J_t)                              (quasi-DEER): no n³ work
    damped         A_t = (1 − damping)·J_t, or of the diagonal  (scale-ELK): shorter products

The state is the guess plus corrections, so that rounding errors shrink with the corrections. Near
the root Newton squares the error in each iteration; the other methods multiply it. From a guess
that does not lead there (chaos: about T iterations), ``scan`` takes over: the result is always
scan's.

Gradients are exact whatever the iteration was: the tangent of a root solves δ_t = J_t δ_{t−1} + c_t
and its adjoint λ_{t−1} = J_tᵀ λ_t + ∂L/∂s_{t−1}, both associative scans; the parameters' gradient
is one product over all steps. Forward mode and higher derivatives work too.

Not implemented: ELK's Levenberg–Marquardt as a Kalman smoother. Sources: Lim et al. 2024 (arXiv
2309.12252), DEER; Gonzalez et al. 2024 (arXiv 2407.19115), quasi-DEER, ELK.
"""

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple, Unpack

import jax
import jax.numpy as jnp

from rnnlab.core.validate import flag, number, share, whole
from rnnlab.nn.cells import Cell
from rnnlab.nn.engines import linear_recurrence
from rnnlab.nn.engines.fused_cells import SLOPES, NamedCell, is_plain
from rnnlab.nn.engines.newton_cells import jacobians, join, split, state_of, step
from rnnlab.nn.engines.scan import RunOptions, scan
from rnnlab.nn.meshes import varying_alike

Array = jax.Array
PyTree = Any


@dataclass(frozen=True)
class Newton:
    """Options of the engine: ``unroll(..., engine=Newton(...))``; "newton" means the defaults.

    Args:
        quasi: use diag(J) for J: n instead of n³ work per step and iteration, more iterations.
        damping: d of A = (1 − d)·J, in [0, 1]. At 1 every step is recomputed from the last guess.
        tolerance: the largest error allowed, relative to the sequence's largest state.
            Without quasi and damping it bounds the last correction, after which the error is about
            its square; ε^(2/3) by default, ε the dtype's precision. Otherwise it bounds the
            remaining error, estimated from the mean rate of convergence so far; 32ε by default.
        max_iterations: after these ``scan`` takes over.
        guess: a first guess of the trajectory, of the structure of the state, leaves (T, ..., H)
            as in :class:`Trajectory`; None: zeros. No gradient passes through it.
    Raises:
        ValueError: damping outside [0, 1], a tolerance or max_iterations that is not positive.

    >>> Newton(quasi=True, damping=0.5).max_iterations
    64
    """

    quasi: bool = False
    damping: float = 0.0
    tolerance: float | None = None
    max_iterations: int = 64
    guess: PyTree = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        checked: dict[str, object] = {
            "quasi": flag("quasi", self.quasi),
            "damping": share("damping", self.damping),
            "max_iterations": whole("max_iterations", self.max_iterations),
        }
        if self.tolerance is not None:
            checked["tolerance"] = number("tolerance", self.tolerance, above=0, finite=False)
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def __call__(
        self, cell: Cell, params: PyTree, xs: Array, state: PyTree, **options: Unpack[RunOptions]
    ) -> tuple[Array, PyTree, dict[str, Array]]:
        """Run :func:`newton` with these options."""
        return newton(cell, params, xs, state, method=self, **options)

    @property
    def squares(self) -> bool:
        """Whether an iteration squares the error: pure Newton."""
        return not self.quasi and self.damping == 0


class Trajectory(NamedTuple):
    """Result of :func:`trajectory`."""

    states: PyTree  # s_1 … s_T, leaves (T, ..., H), in the order of xs
    iterations: Array  # () corrections made
    converged: Array  # () false: the states are scan's
    log_error: Array  # () natural log of the error that was compared with the tolerance


def supports(cell: Cell, taps: tuple[str, ...] = (), key: Array | None = None) -> bool:
    """Return whether :func:`newton` runs this: RNN (named elementwise f), LSTM or GRU, no options.

    Exactly these classes, for their Jacobians are written out by hand.

    >>> from rnnlab import LSTM, RNN
    >>> supports(LSTM(4)), supports(RNN(4, jax.nn.softplus))
    (True, False)
    """
    del taps, key  # taps are computed from the states afterwards; the named cells draw nothing
    return is_plain(cell)


def newton(
    cell: Cell,
    params: PyTree,
    xs: Array,
    state: PyTree,
    *,
    mask: Array | None = None,
    key: Array | None = None,
    reverse: bool = False,
    taps: tuple[str, ...] = (),
    method: Newton | None = None,
) -> tuple[Array, PyTree, dict[str, Array]]:
    """Run ``cell`` along the first axis; arguments and results are :func:`scan`'s.

    Memory: about 4·T·n² numbers per sequence, n the state's features (H; 2H for an LSTM). T·n with
    ``quasi``, except for gradients, which need the whole Jacobians.

    Args:
        method: how to iterate; None: ``Newton()``.
    Raises:
        ValueError: a cell that :func:`supports` denies; parameters of the other kind of GRU; a
            guess of another structure or shape.
        TypeError: numbers of less than 32 bits: a linear system of T steps needs more.

    >>> from rnnlab import GRU
    >>> cell = GRU(4)
    >>> params = cell.init_params(jax.random.key(0), 3)
    >>> ys, state, _ = newton(cell, params, jnp.ones((5, 2, 3)), cell.initial_state(params, (2,)))
    >>> ys.shape, state.h.shape
    ((5, 2, 4), (2, 4))
    """
    del key
    cell, method, guess = _checked(cell, params, xs, state, method)
    return _newton(cell, params, xs, state, mask, guess, reverse, taps, method)


def trajectory(
    cell: Cell,
    params: PyTree,
    xs: Array,
    state: PyTree,
    *,
    mask: Array | None = None,
    reverse: bool = False,
    method: Newton | None = None,
) -> Trajectory:
    """Return the states of all steps and how they were found; arguments are :func:`newton`'s.

    A batch is one system: it has converged when its slowest sequence has. Under ``jax.vmap`` each
    member counts its own iterations.

    Raises:
        ValueError, TypeError: as :func:`newton`; no steps.

    >>> from rnnlab import RNN
    >>> cell = RNN(4)
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
    cell, method, guess = _checked(cell, params, xs, state, method)
    return _trajectory(cell, params, xs, state, mask, guess, reverse, method)


def _checked(
    cell: Cell, params: PyTree, xs: Array, state: PyTree, method: Newton | None
) -> tuple[NamedCell, Newton, PyTree]:
    """Return (the cell, the method without its guess, the guess), checked.

    Without its guess a method is hashable, and no stale array ends up in a compiled program.
    """
    if not is_plain(cell):
        raise ValueError(
            f"engine 'newton' runs RNN ({', '.join(SLOPES)}), LSTM and GRU without further "
            f"options, got {cell}: use engine 'scan'"
        )
    dtype = jnp.result_type(*jax.tree.leaves((params, state)))
    if jnp.finfo(dtype).bits < 32:
        raise TypeError(f"engine 'newton' needs at least float32, got {dtype}: use engine 'scan'")
    method = Newton() if method is None else method
    if method.guess is not None:
        expected = jax.tree.map(lambda leaf: (xs.shape[0], *jnp.shape(leaf)), state)
        got = jax.tree.map(jnp.shape, method.guess)
        if got != expected:
            raise ValueError(f"Newton.guess must be of shapes {expected}, got {got}")
    return cell, replace(method, guess=None), method.guess


# compiled on its own, as scan is
@partial(jax.jit, static_argnames=("cell", "reverse", "taps", "method"))
def _newton(
    cell: NamedCell,
    params: PyTree,
    xs: Array,
    state: PyTree,
    mask: Array | None,
    guess: PyTree,
    reverse: bool,
    taps: tuple[str, ...],
    method: Newton,
) -> tuple[Array, PyTree, dict[str, Array]]:
    xs = xs.astype(jnp.result_type(xs, *jax.tree.leaves(params)))
    if xs.shape[0] == 0:  # no step, no root
        return scan(cell, params, xs, state, mask=mask, taps=taps)
    params, xs, state, mask = varying_alike((params, xs, state, mask))
    states = _trajectory(cell, params, xs, state, mask, guess, reverse, method).states
    final = jax.tree.map(lambda s: s[0 if reverse else -1], states)
    if mask is None and not taps:
        return states.h, final, {}

    def outputs_and_gates(before: PyTree, xs: Array) -> tuple[Array, PyTree]:
        return cell.step(params, before, xs)[1:]

    # the step after s_0 by itself, as in _tangents
    first, later = (slice(-1, None), slice(-1)) if reverse else (slice(1), slice(1, None))
    known = slice(1, None) if reverse else slice(-1)
    parts = [
        outputs_and_gates(jax.tree.map(lambda s: s[None], state), xs[first]),
        outputs_and_gates(jax.tree.map(lambda s: s[known], states), xs[later]),
    ]
    join_steps = partial(jax.tree.map, lambda *a: jnp.concatenate(a))
    ys, gates = join_steps(*(reversed(parts) if reverse else parts))
    if mask is not None:
        ys = jnp.where(mask[..., None], ys, 0)
    values = {**gates._asdict(), **states._asdict()}
    return ys, final, {tap: values[tap] for tap in taps}


@partial(jax.jit, static_argnames=("cell", "reverse", "method"))
def _trajectory(
    cell: NamedCell,
    params: PyTree,
    xs: Array,
    state: PyTree,
    mask: Array | None,
    guess: PyTree,
    reverse: bool,
    method: Newton,
) -> Trajectory:
    xs = xs.astype(jnp.result_type(xs, *jax.tree.leaves(params)))
    if reverse:  # the same over flipped time
        xs, mask, guess = jax.tree.map(partial(jnp.flip, axis=0), (xs, mask, guess))
    flat_guess = None if guess is None else join(guess)
    flat, iterations, converged, log_error = _solve(
        cell, method, params, xs, join(state), mask, flat_guess
    )
    states = split(state, jnp.flip(flat, 0) if reverse else flat)
    return Trajectory(states, iterations.astype(jnp.int32), converged > 0, log_error)


def _before(start: Array, states: Array) -> Array:
    """Return s_{t−1} at all t."""
    return jnp.concatenate([start[None], states[:-1]])


# ---- the root ----------------------------------------------------------------------------------


class _Root(NamedTuple):
    """Result of :func:`_solve`, all floats.

    The tangent of a whole number has no mesh axes, which shard_map requires.
    """

    states: Array  # (T, ..., n)
    iterations: Array
    converged: Array
    log_error: Array


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _solve(
    cell: NamedCell,
    method: Newton,
    params: PyTree,
    xs: Array,
    start: Array,
    mask: Array | None,
    guess: Array | None,
) -> _Root:
    """Find the states s_1 … s_T after start (..., n)."""
    if guess is None:
        guess = jnp.broadcast_to(start * 0, (xs.shape[0], *start.shape))
    parts = len(cell.state_parts)
    eps = float(jnp.finfo(guess.dtype).eps)
    tolerance = method.tolerance or (eps ** (2 / 3) if method.squares else 32 * eps)

    def correct(carry: tuple[Array, ...]) -> tuple[Array, ...]:
        states, k, _, first = carry
        before = _before(start, states)
        residual = step(cell, params, before, xs, mask) - states
        A = (1 - method.damping) * jacobians(cell, params, before, xs, mask, method.quasi)
        delta = linear_recurrence.solve(A, residual)
        size = log_size(delta, states + delta, parts)
        first = jnp.where(k == 0, size, first)
        # where products of Jacobians overflowed: the step recomputed
        states = states + jnp.where(jnp.isfinite(delta), delta, residual)
        return states, k + 1, size if method.squares else log_left(size, first, k), first

    def unfinished(carry: tuple[Array, ...]) -> Array:
        _, k, log_error, _ = carry
        # a NaN error is unfinished
        return (k < method.max_iterations) & ~(log_error <= jnp.log(tolerance))

    far, count = jnp.asarray(jnp.inf, guess.dtype), jnp.zeros((), jnp.int32)
    carry, _ = varying_alike(((guess, count, far, far), (params, xs, start)))
    states, k, log_error, _ = jax.lax.while_loop(unfinished, correct, carry)
    converged = log_error <= jnp.log(tolerance)

    def by_scan() -> Array:
        taps = cell.state_parts
        _, _, tapped = scan(cell, params, xs, state_of(cell, start), mask=mask, taps=taps)
        return jnp.concatenate([tapped[part] for part in cell.state_parts], axis=-1)

    states = linear_recurrence.where_or_compute(converged, states, by_scan)
    return _Root(states, k.astype(states.dtype), converged.astype(states.dtype), log_error)


@_solve.defjvp
def _tangents(
    cell: NamedCell, method: Newton, primals: tuple[PyTree, ...], tangents: tuple[PyTree, ...]
) -> tuple[_Root, _Root]:
    params, xs, start, mask, _ = primals
    root = _solve(cell, method, *primals)
    before, parallel = _before(start, root.states), root.converged > 0
    d_params, d_xs, d_start = tangents[:3]

    def all_steps(params: PyTree, before: Array, xs: Array) -> Array:
        return step(cell, params, before, xs, mask)

    def first_step(start: Array) -> Array:
        return step(cell, params, start[None], xs[:1], None if mask is None else mask[:1])

    # s_0 by itself: of the adjoint of all steps, with the first sliced off, XLA:CPU (jaxlib 0.10.2)
    # compiles a wrong one for the LSTM in float64, and the right one without its optimizations
    _, c = jax.jvp(lambda params, xs: all_steps(params, before, xs), (params, xs), (d_params, d_xs))
    c = c.at[:1].add(jax.jvp(first_step, (start,), (d_start,))[1])

    def full_jacobians() -> Array:
        return jacobians(cell, params, before, xs, mask, False)

    def product(d: Array) -> Array:
        """Return (I − J)d, J the Jacobian of each state with respect to the one before."""
        shifted = _before(d[0] * 0, d)
        pushed = jax.jvp(partial(all_steps, params, xs=xs), (before,), (shifted,))[1]
        return d - pushed

    def solve(_: object, c: Array) -> Array:
        return linear_recurrence.solve(full_jacobians(), c, parallel=parallel)

    def solve_transposed(_: object, g: Array) -> Array:
        later = jnp.swapaxes(full_jacobians()[1:], -1, -2)  # λ_t = J_{t+1}ᵀ λ_{t+1} + g_t
        if not len(later):
            return g
        A = jnp.concatenate([later, jnp.zeros_like(later[:1])])
        return linear_recurrence.solve(A, g, reverse=True, parallel=parallel)

    d_states = jax.lax.custom_linear_solve(product, c, solve, solve_transposed)
    zeros = jax.tree.map(jnp.zeros_like, root)
    return root, zeros._replace(states=d_states)


def log_size(delta: Array, states: Array, parts: int) -> Array:
    """Return log of the largest |δ| relative to the largest |s| of its sequence and state part.

    Args:
        delta, states: (T, ..., n). parts: parts of the state, side by side in n.
    Returns:
        (): −inf where nothing changed, NaN where something is not finite.
    """

    def largest(a: Array) -> Array:  # over steps and features: (..., parts)
        a = jnp.abs(a).reshape(*a.shape[:-1], parts, a.shape[-1] // parts)
        return a.max(axis=(0, -1))

    of_delta, of_states = largest(delta), largest(states)
    logs = jnp.where(of_delta == 0, -jnp.inf, jnp.log(of_delta) - jnp.log(of_states))
    return logs.max(initial=-jnp.inf)


def log_left(size: Array, first: Array, k: Array) -> Array:
    """Return log of the error left after correction k (from 0).

    If corrections shrink by a factor q: Σ_{j≥1} q^j |δ| = |δ| q/(1 − q), log q the mean over all
    corrections so far.

    Args:
        size, first: logs of the size of correction k and of the first one.
    Returns:
        (): NaN where corrections grow.
    """
    log_q = (size - first) / jnp.maximum(k, 1).astype(size.dtype)
    left = size + log_q - jnp.log1p(-jnp.exp(log_q))
    return jnp.where(size == -jnp.inf, -jnp.inf, jnp.where(k == 0, jnp.inf, left))
