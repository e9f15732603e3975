"""Lyapunov exponents of a driven cell, by QR."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from rnnlab.core.validate import whole
from rnnlab.gradients.jacobians import flat_step
from rnnlab.nn import contract, unroll
from rnnlab.nn.cells import Cell
from rnnlab.nn.layers import Layer, cell_of

Array = jax.Array
PyTree = Any


@partial(jax.jit, static_argnames=("cell", "discard"))
def _lyapunov(
    cell: Cell, params: PyTree, xs: Array, state: PyTree, mask: Array | None, Q: Array, discard: int
) -> Array:
    def body(
        carry: tuple[PyTree, Array], inputs: tuple[Array, Array | None]
    ) -> tuple[tuple[PyTree, Array], Array]:
        (state, Q), (x, keep) = carry, inputs
        flat, step = flat_step(cell, params, state, x)
        after, push, new = jax.linearize(step, flat, has_aux=True)
        V = jax.vmap(push, in_axes=1, out_axes=1)(Q)
        V = jnp.where(jnp.isnan(after).any(), jnp.nan, V)  # relu'(NaN) = 0 would read as dying out
        if keep is not None:  # padding changes neither the state nor the frame
            new, V = jax.tree.map(partial(jnp.where, keep), (new, V), (state, Q))
        Q, R = jnp.linalg.qr(V)
        return (new, Q), jnp.log(jnp.abs(jnp.diagonal(R)))

    logs = jax.lax.scan(body, (state, Q), (xs, mask))[1][discard:]
    return jnp.mean(logs, axis=0, where=None if mask is None else mask[discard:, None])


def lyapunov_exponents(
    cell: Cell | Layer,
    params: PyTree,
    xs: Array,
    count: int | None = None,
    *,
    discard: int = 0,
    lengths: ArrayLike | None = None,
    initial_state: PyTree = None,
) -> Array:
    """Measure λ_i, the mean log growth per step of the i-th direction of a perturbation, by QR.

    V_t = J_t Q_{t−1} = Q_t R_t, λ_i = mean_t log|R_t,ii|. λ_1 > 0: perturbations grow (chaos);
    λ_1 < 0: they die out.

    Args:
        cell: a cell, or a layer of one cell.
        params: its parameters.
        xs: (B, T, D), or (T, D) for one sequence.
        count: how many exponents, from the top; None: all n.
        discard: first steps left out of the mean (the frame needs them to align).
        lengths: (B,) real steps of each sequence; None: all T.
        initial_state: s_0; None: the cell's own.
    Returns:
        (B, count), nats per step, in the order of the frame (largest first up to fluctuation). NaN:
        a sequence without a step to average. Differentiable in the parameters.
    Raises:
        ValueError: count outside 1 … n, discard outside 0 … T−1.
    Source: Benettin et al. 1980; Engelken et al. 2023 (arXiv 2006.02427) for RNNs.

    >>> from rnnlab import InitScheme, RNN
    >>> cell = RNN(4, "identity", init=InitScheme(w_h="identity(gain=2.0)"))
    >>> params = cell.init_params(jax.random.key(0), input_size=1)
    >>> round(float(lyapunov_exponents(cell, params, jnp.zeros((9, 1)), 1)[0]), 2)  # log 2
    0.69
    """
    inner: Cell = cell_of(cell)
    params, xs, state, mask = unroll.checked(
        inner, params, xs, lengths, initial_state, measured=True
    )
    *batch, T, _ = xs.shape
    contract.check_batched(inner, state, tuple(batch), "a probe needs")
    n = sum(contract.features(leaf, len(batch)) for leaf in contract.floats(state))
    count = n if count is None else whole("count", count, 1, n)
    discard = whole("discard", discard, 0, T - 1)
    # a random frame: a coordinate frame can lie in an invariant subspace of a structured kernel
    frame = jax.random.normal(jax.random.key(0), (n, count), xs.dtype)
    frame = jnp.linalg.qr(frame)[0]
    measure = partial(_lyapunov, inner, params, Q=frame, discard=discard)
    for _ in xs.shape[:-2]:
        measure = jax.vmap(measure)
    with jax.default_matmul_precision("highest"):
        return measure(xs, state, mask)
