"""Probes: how much gradient reaches each time step, and why.

Every probe takes any cell, and runs under the highest matmul precision. Shapes: B batch (any
leading axes), T time, D input, H hidden, n all state features (H; 2H for an LSTM).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from rnnlab import adjoint, cells, convergence, logsvd, recurrence
from rnnlab.engines.fused import fused
from rnnlab.errors import unknown

Array = jax.Array
Loss = Callable[[Array], Array]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class AdjointCurve:
    """What :func:`adjoint_norms` measures.

    ``curve.h``, and ``curve.C`` for an LSTM (any part the cell's state has), is
    log10 ‖∂L/∂h_t‖ at index t, (B, T). −inf: exactly zero. It may be NaN where the
    forward pass overflowed.
    """

    norms: dict[str, Array]
    overflow_at: Array  # (B,) first step (0-based) whose output is not finite; −1: none

    def __getattr__(self, part: str) -> Array:
        norms = self.__dict__.get("norms", {})
        if part not in norms:
            raise AttributeError(f"the state has no part {part!r} (measured: {', '.join(norms)})")
        return norms[part]


def adjoint_norms(
    cell: Any,
    params: Any,
    xs: Array,
    loss: Loss,
    *,
    lengths: Array | None = None,
    initial_state: Any = None,
    reverse: bool = False,
    chunk: int | None = None,
) -> Any:
    """log10 ‖∂L/∂h_t‖ (and ‖∂L/∂C_t‖) for every step and example, in one backward pass.

    δ_t = (∂s_{t+1}/∂s_t)ᵀ δ_{t+1} + ∂L/∂s_t, the total derivative: every way from the state made
    at step t to the loss, its own output included. Exact where float32 underflows or overflows:
    each example's adjoint carries an exponent of its own (:mod:`rnnlab.adjoint`).

    Args:
        cell: a cell, ``layer(cell)``, or ``bidirectional`` of those.
        params: its parameters.
        xs: (B, T, D).
        loss: ys (B, T, H) ↦ scalar; outputs past a sequence's length are zero.
        lengths: (B,) real steps of each sequence.
        initial_state: s_0; None: the cell's own.
        reverse: the recurrence runs from the end to the start; index t stays the step's place.
        chunk: steps between checkpoints; None: all states where they fit 256 MiB, else √T.
    Returns:
        An :class:`AdjointCurve`; for a bidirectional layer ``BothWays`` of two. Padded steps
        are −inf: nothing is made there.
    Raises:
        TypeError: a stack of layers; probe one of its cells, the others inside ``loss``.
    Source: the recursion is Pascanu, Mikolov & Bengio 2013 (arXiv 1211.5063), eqs 3–5.

    >>> import jax
    >>> from rnnlab import InitScheme, rnn
    >>> cell = rnn(4, "identity", init=InitScheme(w_h="orthogonal(gain=0.1)"))
    >>> params = cell.init_params(jax.random.key(0), input_size=1)
    >>> xs = jax.numpy.zeros((1, 101, 1))
    >>> curve = adjoint_norms(cell, params, xs, lambda ys: ys[0, -1, 0])
    >>> round(float(curve.h[0, 0]), 2)  # α^k: 0.1 to the power of 100
    -100.0
    """
    options = {"lengths": lengths, "reverse": reverse, "chunk": chunk}
    if isinstance(cell, recurrence.Bidirectional):
        return _both_ways(cell, params, xs, loss, initial_state, options)
    run = _Probe(cell, params, xs, loss, initial_state=initial_state, **options)
    return AdjointCurve(run.backward(weights=False), run.overflow_at)


def weight_contributions(
    cell: Any,
    params: Any,
    xs: Array,
    loss: Loss,
    *,
    lengths: Array | None = None,
    initial_state: Any = None,
    reverse: bool = False,
    chunk: int | None = None,
) -> Array:
    """log10 of the norm of each step's share of ∂L/∂W_hh.

    ∂L/∂W_hh = Σ_t δ_t ∂⁺s_t/∂W_hh, ∂⁺ the immediate derivative, h_{t−1} held fixed. With the loss
    on the last step, the term at index t is the contribution of lag T−1−t.

    Args, errors: as :func:`adjoint_norms`, one cell only.
    Returns:
        (B, T), the Frobenius norm over all recurrent kernels ("W_h…") together; −inf where the
        share is exactly zero.
    Source: Pascanu, Mikolov & Bengio 2013, eqs 4–5.
    """
    run = _Probe(
        cell, params, xs, loss,
        lengths=lengths, initial_state=initial_state, reverse=reverse, chunk=chunk,
    )  # fmt: skip
    return run.backward(weights=True)["W_h"]


def value_grad_and_norms(
    cell: Any,
    params: Any,
    xs: Array,
    loss: Loss,
    *,
    lengths: Array | None = None,
    initial_state: Any = None,
    reverse: bool = False,
) -> tuple[Array, Any, AdjointCurve]:
    """The loss, ∂L/∂params and :func:`adjoint_norms` of one reverse pass, while training.

    The fused engine has ∂L/∂s_t at hand at every step; its norm costs next to nothing. In the
    floating point range of the parameters: below 1e-45 (float32; from 1e-23 on its digits go, for
    norms are made of squares) a norm is 0 and its logarithm −inf. ``adjoint_norms`` has no such
    bounds, and takes any cell.

    Args: as :func:`adjoint_norms`.
    Returns:
        (L, gradients of the structure of params, :class:`AdjointCurve`).
    Raises:
        ValueError: a cell that the fused engine does not run.

    >>> from rnnlab import lstm
    >>> cell = lstm(4)
    >>> params, xs = cell.init_params(jax.random.key(0), 3), jax.numpy.ones((2, 5, 3))
    >>> value, grads, curve = value_grad_and_norms(cell, params, xs, lambda ys: ys[:, -1].sum())
    >>> grads.W_hf.shape, curve.h.shape, curve.C.shape
    ((4, 4), (2, 5), (2, 5))
    """
    cell, xs = _the_cell(cell), recurrence.check_inputs(xs)
    recurrence.check_params(cell, params, xs)
    *batch, T, _ = xs.shape
    mask = recurrence.length_mask(lengths, tuple(batch), T)
    state = recurrence.start_state(cell, params, tuple(batch), initial_state)
    if mask is not None:
        xs = jnp.where(mask[..., None], xs, 0)
        mask = jnp.moveaxis(mask, -1, 0)
    nothing = jax.tree.map(lambda s: jnp.zeros((T, *s.shape[:-1]), s.dtype), state)

    def whole(params: Any, norms: Any) -> tuple[Array, Array]:
        ys, _, _ = fused(
            cell, params, jnp.moveaxis(xs, -2, 0), state, mask=mask, reverse=reverse, norms=norms
        )
        ys = jnp.moveaxis(ys, 0, -2)
        return loss(ys), ys

    with_ys = jax.value_and_grad(whole, (0, 1), has_aux=True)
    (value, ys), (grads, norms) = with_ys(params, nothing)
    logs = {part: jnp.log10(jnp.moveaxis(norm, 0, -1)) for part, norm in norms._asdict().items()}
    return value, grads, AdjointCurve(logs, adjoint.first_overflow(ys, reverse=reverse))


class _Probe:
    """The forward pass of one cell, ready for a backward one; batch axes flattened to B."""

    def __init__(
        self,
        cell: Any,
        params: Any,
        xs: Array,
        loss: Loss,
        *,
        lengths: Array | None,
        initial_state: Any,
        reverse: bool,
        chunk: int | None,
    ) -> None:
        cell = _the_cell(cell)
        xs = recurrence.check_inputs(xs)
        *batch, T, _ = xs.shape
        if T < 1:
            raise ValueError("a probe needs at least one step, got xs with T = 0")
        recurrence.check_params(cell, params, xs)
        mask = recurrence.length_mask(lengths, tuple(batch), T)
        state = recurrence.start_state(cell, params, tuple(batch), initial_state)

        def flat(x: Array) -> Array:
            return x.reshape(-1, *x.shape[len(batch) :])

        xs, state = flat(xs), jax.tree.map(flat, state)
        if mask is not None:
            mask = flat(mask)
            xs = jnp.where(mask[..., None], xs, 0)
        if reverse:  # the same pass over flipped time
            xs, mask = jnp.flip(xs, 1), None if mask is None else jnp.flip(mask, 1)
        chunk = adjoint.chunk_size(state, T) if chunk is None else chunk
        if chunk < 1:
            raise ValueError(f"chunk must be at least 1 step, got {chunk}")
        self.cell, self.params, self.xs, self.mask = cell, params, xs, mask
        self.chunk, self.reverse, self.batch = min(chunk, T), reverse, batch

        with jax.default_matmul_precision("highest"):
            ys, self.kept, overflow_at = adjoint.forward(cell, params, xs, mask, state, self.chunk)
            ys = jnp.flip(ys, 1) if reverse else ys
            g = jax.grad(loss)(ys.reshape(*batch, *ys.shape[1:])).reshape(ys.shape)
        del ys  # at T = 100,000 this buffer decides the peak
        if reverse:
            g = jnp.flip(g, 1)
            overflow_at = jnp.where(overflow_at < 0, -1, T - 1 - overflow_at)
        self.g = g if mask is None else jnp.where(mask[..., None], g, 0)
        self.overflow_at = overflow_at.reshape(batch)

    def backward(self, *, weights: bool) -> dict[str, Array]:
        with jax.default_matmul_precision("highest"):
            norms = adjoint.backward(
                self.cell, self.params, self.xs, self.mask, self.g, self.kept, self.chunk, weights
            )
        flip = partial(jnp.flip, axis=1) if self.reverse else lambda n: n
        return {name: flip(n).reshape(*self.batch, -1) for name, n in norms.items()}


def _the_cell(cell: Any) -> Any:
    if isinstance(cell, recurrence.CellLayer):
        return cells.without_init(cell.cell)
    if isinstance(cell, recurrence.Layer):
        raise TypeError(f"a probe takes a cell or layer(cell), got {type(cell).__name__}; "
                        "probe one cell, the others inside loss")  # fmt: skip
    return cells.without_init(cell)


def _both_ways(
    both: recurrence.Bidirectional, params: Any, xs: Array, loss: Loss, initial_state: Any,
    options: dict[str, Any],
) -> recurrence.BothWays:  # fmt: skip
    """Each direction's curve, the other's outputs held where they are."""
    starts = initial_state if initial_state is not None else (None, None)
    merge = recurrence.MERGES[both.merge]
    lengths, reverse = options["lengths"], options["reverse"]
    with jax.default_matmul_precision("highest"):
        run = {"lengths": lengths}
        ys_f = both.forward.apply(
            params.forward, xs, initial_state=starts[0], reverse=reverse, **run
        )[0]
        ys_b = both.backward.apply(
            params.backward, xs, initial_state=starts[1], reverse=not reverse, **run
        )[0]
    forward = adjoint_norms(
        both.forward, params.forward, xs, lambda ys: loss(merge(ys, ys_b)),
        initial_state=starts[0], **options,
    )  # fmt: skip
    backward = adjoint_norms(
        both.backward, params.backward, xs, lambda ys: loss(merge(ys_f, ys)),
        initial_state=starts[1], **{**options, "reverse": not reverse},
    )  # fmt: skip
    return recurrence.BothWays(forward, backward)


# ---- the product of Jacobians ------------------------------------------------------------------


@partial(jax.jit, static_argnames=("cell",))
def _step_jacobians(cell: Any, params: Any, xs: Array, state: Any) -> Array:
    """∂s_t/∂s_{t−1}, (T, n, n), rows the new state, along one sequence xs (T, D)."""
    start, restore = ravel_pytree(state)

    def step(flat: Array, x: Array) -> Array:
        return ravel_pytree(cell.step(params, restore(flat), x)[0])[0]

    def body(flat: Array, x: Array) -> tuple[Array, Array]:
        return step(flat, x), jax.jacfwd(step)(flat, x)

    return jax.lax.scan(body, start, xs)[1]


def step_jacobians(cell: Any, params: Any, xs: Array, *, initial_state: Any = None) -> Array:
    """J_t = ∂s_t/∂s_{t−1} at every step.

    Args:
        xs: (B, T, D), or (T, D) for one sequence.
    Returns:
        (B, T, n, n): rows are the new state's features, columns the old one's; for an LSTM
        h first, then C.
    """
    cell = _the_cell(cell)
    xs = recurrence.check_inputs(xs)
    recurrence.check_params(cell, params, xs)
    state = recurrence.start_state(cell, params, xs.shape[:-2], initial_state)
    one = partial(_step_jacobians, cell, params)
    for _ in xs.shape[:-2]:
        one = jax.vmap(one)
    with jax.default_matmul_precision("highest"):
        return one(xs, state)


def jacobian_spectrum(
    cell: Any,
    params: Any,
    xs: Array,
    lags: Any,
    *,
    part: str | None = None,
    initial_state: Any = None,
) -> np.ndarray:
    """log10 of the singular values of ∂s_T/∂s_{T−k} = J_T ⋯ J_{T−k+1}.

    Right over any number of decades: the product is kept as U·D·T with D in logs and U, T of
    order 1 (:mod:`rnnlab.logsvd`); multiplying it out would lose all but the top 16 decades.

    Args:
        xs: (B, T, D), or (T, D) for one sequence.
        lags: the k, whole numbers from 1 to T.
        part: "h" or "C": only that part's block, ∂h_T/∂h_{T−k}, other parts of s_{T−k} fixed;
            None: the whole state.
    Returns:
        (B, len(lags), n), float64, largest first; −inf: exactly zero; NaN: overflow.
    Raises:
        ValueError: lags out of range, an unknown part.
    """
    cell = _the_cell(cell)
    xs = recurrence.check_inputs(xs)
    T = xs.shape[-2]
    lags = [int(k) for k in lags]
    if not lags or min(lags) < 1 or max(lags) > T:
        raise ValueError(f"lags must lie in 1 … {T}, got {lags}")
    jacobians = step_jacobians(cell, params, xs, initial_state=initial_state)
    jacobians = np.asarray(jacobians, np.float64)
    n = jacobians.shape[-1]
    block = _block(cell, params, part, n)
    flat = jacobians.reshape(-1, T, n, n)
    values = np.stack([_spectra(J[T - max(lags) :], lags, block) for J in flat])
    return values.reshape(*xs.shape[:-2], len(lags), -1)


def _block(cell: Any, params: Any, part: str | None, n: int) -> np.ndarray:
    """(n, m) columns of the identity that pick ``part`` out of the flat state."""
    if part is None:
        return np.eye(n)
    state = jax.eval_shape(lambda p: cell.initial_state(p, ()), params)
    if part not in state._fields:
        raise ValueError(unknown("state part", part, state._fields))
    before = 0
    for name, leaf in state._asdict().items():
        if name == part:
            return np.eye(n)[:, before : before + leaf.size]
        before += leaf.size
    raise AssertionError("unreachable: part is one of the fields")


def _spectra(jacobians: np.ndarray, lags: list[int], block: np.ndarray) -> np.ndarray:
    """(len(lags), m) from the last max(lags) Jacobians of one sequence, oldest first."""
    out = np.full((len(lags), block.shape[1]), np.nan)
    product = logsvd.LogProduct(block)  # P' = (J_T ⋯)': grows by J' on the left
    for k, J in enumerate(jacobians[::-1], start=1):
        if not np.isfinite(J).all():
            break  # every longer product contains this one: NaN
        product = product.then(J.T)
        for row, lag in enumerate(lags):
            if lag == k:
                out[row] = product.then(block.T).log10_singular_values()
    return out


@partial(jax.jit, static_argnames=("cell", "discard"))
def _lyapunov(cell: Any, params: Any, xs: Array, state: Any, Q: Array, discard: int) -> Array:
    start, restore = ravel_pytree(state)

    def body(carry: tuple[Array, Array], x: Array) -> tuple[tuple[Array, Array], Array]:
        flat, Q = carry

        def step(flat: Array) -> Array:
            return ravel_pytree(cell.step(params, restore(flat), x)[0])[0]

        new, push = jax.linearize(step, flat)
        Q, R = jnp.linalg.qr(jax.vmap(push, in_axes=1, out_axes=1)(Q))
        return (new, Q), jnp.log(jnp.abs(jnp.diagonal(R)))

    logs = jax.lax.scan(body, (start, Q), xs)[1]
    return jnp.mean(logs[discard:], axis=0)


def lyapunov_exponents(
    cell: Any,
    params: Any,
    xs: Array,
    count: int | None = None,
    *,
    discard: int = 0,
    initial_state: Any = None,
) -> Array:
    """λ_i: mean log growth of the i-th direction of a perturbation, per step, by QR.

    V_t = J_t Q_{t−1} = Q_t R_t, λ_i = mean_t log|R_t,ii|. λ_1 > 0: explodes (chaos), < 0: dies.

    Args:
        xs: (B, T, D), or (T, D) for one sequence.
        count: how many exponents, from the top; None: all n.
        discard: first steps left out of the mean (the frame has to turn into place).
    Returns:
        (B, count), nats a step, in the order of the frame (largest first up to fluctuation).
    Raises:
        ValueError: count outside 1 … n, discard outside 0 … T−1.
    Source: Benettin et al. 1980; Engelken et al. 2023 (arXiv 2006.02427) for RNNs.
    """
    cell = _the_cell(cell)
    xs = recurrence.check_inputs(xs)
    T = xs.shape[-2]
    recurrence.check_params(cell, params, xs)
    state = recurrence.start_state(cell, params, xs.shape[:-2], initial_state)
    n = sum(leaf.shape[-1] for leaf in jax.tree.leaves(state))
    count = n if count is None else count
    if not 1 <= count <= n:
        raise ValueError(f"count must lie in 1 … {n}, the state's features, got {count}")
    if not 0 <= discard < T:
        raise ValueError(f"discard must lie in 0 … {T - 1}, got {discard}")
    # a random frame: a coordinate one can lie in an invariant subspace of a structured kernel
    frame = jax.random.normal(jax.random.key(0), (n, count), xs.dtype)
    frame = jnp.linalg.qr(frame)[0]
    one = partial(_lyapunov, cell, params, Q=frame, discard=discard)
    for _ in xs.shape[:-2]:
        one = jax.vmap(one)
    with jax.default_matmul_precision("highest"):
        return one(xs, state)


def newton_iterations(
    cell: Any,
    params: Any,
    xs: Array,
    steps: int | None = None,
    *,
    discard: int = 0,
    initial_state: Any = None,
    **options: float,
) -> np.ndarray:
    """Corrections that ``engine="newton"`` will take, by the largest Lyapunov exponent.

    Args:
        xs: (B, T, D), or (T, D); λ_1 is measured along it, so a short piece will do.
        steps: the length to foretell; None: that of xs.
        discard: as :func:`lyapunov_exponents`.
        options: tolerance, error, curvature of :func:`rnnlab.convergence.newton_iterations`,
            where the reasoning is.
    Returns:
        (B,) whole numbers.
    Raises:
        ValueError: as :func:`lyapunov_exponents`, and as the prediction for bad options.

    >>> from rnnlab import InitScheme, rnn
    >>> cell = rnn(4, init=InitScheme(w_h="orthogonal(gain=0.5)"))
    >>> params = cell.init_params(jax.random.key(0), input_size=1)
    >>> newton_iterations(cell, params, jnp.zeros((50, 1)), 10_000).item()  # λ = ln ½
    5
    """
    top = lyapunov_exponents(
        cell, params, xs, 1, discard=discard, initial_state=initial_state
    )[..., 0]  # fmt: skip
    steps = jnp.shape(xs)[-2] if steps is None else steps
    counts = [
        convergence.newton_iterations(float(exponent), steps, **options)
        for exponent in np.ravel(np.asarray(top))
    ]
    return np.reshape(np.array(counts), top.shape)


def spectral_radius(W: Any) -> float:
    """ρ(W) = max |eigenvalue| of a square matrix (H, H), in float64.

    >>> spectral_radius([[0.5, 3.0], [0.0, 2.0]])
    2.0
    """
    W = np.asarray(W, np.float64)
    if W.ndim != 2 or W.shape[0] != W.shape[1]:
        raise ValueError(f"spectral_radius takes a square matrix, got shape {W.shape}")
    return float(np.abs(np.linalg.eigvals(W)).max())


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
    cell = _the_cell(cell)
    activation = getattr(cell, "activation", "tanh")
    if activation not in ("tanh", "relu"):
        raise ValueError(f"saturation is of tanh or relu units, got activation {activation!r}")
    xs = recurrence.check_inputs(xs)
    gates = [g for g in ("f", "i", "o", "z", "r") if g in getattr(cell, "gates", ())]
    # h of a projection is no tanh unit; m = o*tanh(C) is
    unit = "m" if getattr(cell, "projection", None) else "h"
    with jax.default_matmul_precision("highest"):
        _, _, values = recurrence.unroll(
            cell, params, xs, lengths=lengths, initial_state=initial_state, taps=(unit, *gates)
        )
    h = values.pop(unit)
    out = {"h": jnp.mean(h > 0 if activation == "relu" else 1 - jnp.abs(h), axis=-1)}
    for name, z in values.items():
        out[name] = jnp.mean(jnp.minimum(z, 1 - z), axis=-1)
    mask = recurrence.length_mask(lengths, xs.shape[:-2], xs.shape[-2])
    if mask is None:
        return out
    return {name: jnp.where(mask, value, jnp.nan) for name, value in out.items()}
