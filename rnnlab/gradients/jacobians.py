"""Jacobians of the state from step to step, the spectrum of their product, spectral radius."""

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.flatten_util import ravel_pytree
from numpy.typing import ArrayLike

from rnnlab.core.errors import unknown
from rnnlab.core.validate import whole
from rnnlab.gradients import log_svd
from rnnlab.nn import contract, unroll
from rnnlab.nn.cells import Cell
from rnnlab.nn.layers import Layer, cell_of

Array = jax.Array
PyTree = Any


# ---- the product of Jacobians ------------------------------------------------------------------


@partial(jax.jit, static_argnames=("cell",))
def _step_jacobians(cell: Cell, params: PyTree, xs: Array, state: PyTree) -> Array:
    """Return ∂s_t/∂s_{t−1}, (T, n, n), rows the new state, along one sequence xs (T, D)."""

    def body(state: PyTree, x: Array) -> tuple[PyTree, Array]:
        flat, step = flat_step(cell, params, state, x)
        return step(flat)[1], jax.jacfwd(step, has_aux=True)(flat)[0]

    return jax.lax.scan(body, state, xs)[1]


def flat_step(
    cell: Cell, params: PyTree, state: PyTree, x: Array
) -> tuple[Array, Callable[[Array], tuple[Array, PyTree]]]:
    """Return a step as a function of the state's floats side by side, (n,).

    Args:
        state, x: of one example.
    Returns:
        (the state's floats, flat ↦ (those of the new state, the new state itself)).
    """
    flat, restore = ravel_pytree(contract.floats(state))

    def step(flat: Array) -> tuple[Array, PyTree]:
        new = cell.step(params, contract.with_floats(state, restore(flat)), x)[0]
        return ravel_pytree(contract.floats(new))[0], new

    return flat, step


def step_jacobians(
    cell: Cell | Layer, params: PyTree, xs: Array, *, initial_state: PyTree = None
) -> Array:
    """Return J_t = ∂s_t/∂s_{t−1} at every step.

    Args:
        cell: a cell, or a layer of one cell.
        params: its parameters.
        xs: (B, T, D), or (T, D) for one sequence.
        initial_state: s_0; None: the cell's own.
    Returns:
        (B, T, n, n): rows are the new state's features, columns the old one's; for an LSTM
        h first, then C.

    >>> from rnnlab import LSTM
    >>> params = LSTM(4).init_params(jax.random.key(0), 3)
    >>> step_jacobians(LSTM(4), params, jax.numpy.ones((2, 5, 3))).shape
    (2, 5, 8, 8)
    """
    inner: Cell = cell_of(cell)
    params, xs, state, _ = unroll.checked(
        inner, params, xs, initial_state=initial_state, measured=True
    )
    contract.check_batched(inner, state, xs.shape[:-2], "a probe needs")
    measure = partial(_step_jacobians, inner, params)
    for _ in xs.shape[:-2]:
        measure = jax.vmap(measure)
    with jax.default_matmul_precision("highest"):
        return measure(xs, state)


def jacobian_spectrum(
    cell: Cell | Layer,
    params: PyTree,
    xs: Array,
    lags: Iterable[int],
    *,
    part: str | None = None,
    initial_state: PyTree = None,
) -> np.ndarray:
    """Return log10 of the singular values of ∂s_T/∂s_{T−k} = J_T ⋯ J_{T−k+1}.

    Accurate over any number of decades: the product is kept as U·D·T with D in logs and U, T of
    order 1 (:mod:`rnnlab.gradients.log_svd`); multiplied out, it would lose all but the top 16
    decades.

    Args:
        cell: a cell, or a layer of one cell.
        params: its parameters.
        xs: (B, T, D), or (T, D) for one sequence.
        lags: the k, whole numbers from 1 to T.
        part: "h" or "C" ("inner.h" of a nested state): only that part's block, ∂h_T/∂h_{T−k},
            other parts of s_{T−k} fixed; None: the whole state.
        initial_state: s_0; None: the cell's own.
    Returns:
        (B, len(lags), n), float64, largest first; −inf: exactly zero; NaN: overflow.
    Raises:
        ValueError: no lags, or lags out of range; an unknown part.

    >>> from rnnlab import InitScheme, RNN
    >>> cell = RNN(2, "identity", init=InitScheme(w_h="identity(gain=0.1)"))
    >>> params = cell.init_params(jax.random.key(0), input_size=1)
    >>> jacobian_spectrum(cell, params, jax.numpy.zeros((99, 1)), [99]).round(3).tolist()
    [[-99.0, -99.0]]
    """
    inner: Cell = cell_of(cell)
    xs = unroll.check_inputs(xs)
    T = xs.shape[-2]
    lags = [whole("each lag", k, 1, T) for k in lags]
    if not lags:
        raise ValueError("lags must name at least one lag, got none")
    jacobians = step_jacobians(inner, params, xs, initial_state=initial_state)
    jacobians = np.asarray(jacobians, np.float64)
    n = jacobians.shape[-1]
    block = _block(inner, params, part, n)
    flat = jacobians.reshape(math.prod(xs.shape[:-2]), T, n, n)
    values = [_spectra(J[T - max(lags) :], lags, block) for J in flat]
    return np.reshape(values, (*xs.shape[:-2], len(lags), block.shape[1]))


def _block(cell: Cell, params: PyTree, part: str | None, n: int) -> np.ndarray:
    """Return the (n, m) columns of the identity that pick ``part`` out of the flat state."""
    if part is None:
        return np.eye(n)
    state = jax.eval_shape(lambda p: contract.first_state(cell, p, ()), params)
    sizes = [math.prod(leaf.shape) for leaf in contract.floats(state)]
    names = contract.float_names(state)
    if part not in names:
        raise ValueError(unknown("state part", part, names))
    before = sum(sizes[: names.index(part)])
    return np.eye(n)[:, before : before + sizes[names.index(part)]]


def _spectra(jacobians: np.ndarray, lags: list[int], block: np.ndarray) -> np.ndarray:
    """Return (len(lags), m) from the last max(lags) Jacobians of one sequence, oldest first."""
    spectra = np.full((len(lags), block.shape[1]), np.nan)
    product = log_svd.LogProduct(block)  # P' = (J_T ⋯)': grows by J' on the left
    for k, J in enumerate(jacobians[::-1], start=1):
        if not np.isfinite(J).all():
            break  # every longer product contains this one: NaN
        product = product.then(J.T)
        for row, lag in enumerate(lags):
            if lag == k:
                spectra[row] = product.then(block.T).log10_singular_values()
    return spectra


def spectral_radius(W: ArrayLike) -> float:
    """Return ρ(W) = max |eigenvalue| of a square matrix (H, H), in float64.

    Raises:
        ValueError: no square matrix.

    >>> spectral_radius([[0.5, 3.0], [0.0, 2.0]])
    2.0
    """
    W = np.asarray(W, np.float64)
    if W.ndim != 2 or W.shape[0] != W.shape[1]:
        raise ValueError(f"spectral_radius takes a square matrix, got shape {W.shape}")
    return float(np.abs(np.linalg.eigvals(W)).max())
