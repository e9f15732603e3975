"""Linear recurrences d_t = A_t d_{t−1} + b_t, solved for all steps at once.

Shapes: T time, n features; ``...`` any batch axes.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

Array = jax.Array
AffineMap = tuple[Array, Array]  # (A, b): s ↦ As + b, A (..., n, n), or (..., n) for a diagonal


def solve(A: Array, b: Array, *, reverse: bool = False, parallel: Array | None = None) -> Array:
    """Solve d_t = A_t d_{t−1} + b_t from d_0 = 0, in O(log T) rounds of products.

    Products of many A may overflow where no d does, and inf·0 is NaN: with ``parallel`` given, such
    a case is solved step by step instead.

    Args:
        A: (T, ..., n, n), or (T, ..., n) for diagonals.
        b: (T, ..., n).
        reverse: solve d_t = A_t d_{t+1} + b_t from the end.
        parallel: () false: solve step by step; true: only where the result is not finite. None:
            never.
    Returns:
        (T, ..., n).

    >>> solve(jnp.full((3, 1), 2.0), jnp.ones((3, 1)))[:, 0].tolist()
    [1.0, 3.0, 7.0]
    """
    d = jax.lax.associative_scan(_compose, (A, b), reverse=reverse)[1]
    if parallel is None:
        return d

    def by_steps() -> Array:
        def body(d: Array, step: AffineMap) -> tuple[Array, Array]:
            d = _compose((step[0], d), step)[1]
            return d, d

        return jax.lax.scan(body, b[0] * 0 + A[0].sum(-1) * 0, (A, b), reverse=reverse)[1]

    return where_or_compute(parallel & jnp.isfinite(d).all(), d, by_steps)


def _compose(first: AffineMap, second: AffineMap) -> AffineMap:
    """Return s ↦ A₂(A₁s + b₁) + b₂ as one affine map."""
    (A_1, b_1), (A_2, b_2) = first, second
    if A_1.ndim == b_1.ndim:
        return A_2 * A_1, A_2 * b_1 + b_2
    product = partial(jnp.matmul, precision="highest")
    return product(A_2, A_1), product(A_2, b_1[..., None])[..., 0] + b_2


def where_or_compute(valid: Array, value: Array, otherwise: Callable[[], Array]) -> Array:
    """Return ``value`` if ``valid`` () is true, else compute ``otherwise()``.

    A loop of at most one pass: under vmap, a cond would always compute both sides.

    >>> where_or_compute(jnp.array(False), jnp.zeros(1), lambda: jnp.ones(1)).tolist()
    [1.0]
    """
    return jax.lax.while_loop(
        lambda carry: ~carry[0], lambda carry: (carry[0] | True, otherwise()), (valid, value)
    )[1]
