"""Lyapunov exponents of a driven cell, by QR."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from rnnlab.nn import unroll
from rnnlab.nn.layers import cell_of

Array = jax.Array


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
    cell = cell_of(cell)
    xs = unroll.check_inputs(xs)
    T = xs.shape[-2]
    unroll.check_params(cell, params, xs)
    state = unroll.start_state(cell, params, xs.shape[:-2], initial_state)
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
