"""How many corrections Newton's method along time takes, from the largest Lyapunov exponent."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.gradients.lyapunov import lyapunov_exponents

Array = jax.Array


# 3·(½ max|tanh''|)² = 3·(2/(3√3))² = 4/9
CURVATURE = 4 / 9


def iterations_for_exponent(
    exponent: float,
    steps: int,
    *,
    tolerance: float = 2.4e-5,
    error: float = 0.5,
    curvature: float = CURVATURE,
) -> int:
    """Corrections until the last one is below ``tolerance``, foretold from λ and T alone.

    Of an error e, Newton's correction leaves what the linearization misses, ½f''(a)(We)² a unit,
    carried on by the products of Jacobians, e^λ a step. What is missed has either sign, from step
    to step: squares add up. For the mean square v_t of the units' errors that is

        v^{k+1}_t = min(e^{2λ} v^{k+1}_{t−1} + κ (v^k_{t−1})², v⁰),  v_0 = 0,  v⁰_t = error²

    with κ = E[(½f'')²]·3σ_w⁴, for We is a sum, near Gaussian, and E[(We)⁴] = 3(σ_w²v)². At σ_w = 1
    and the largest curvature of tanh κ = 4/9. The cap: states are bounded, so a correction that
    overshoots is no worse than the first guess. Correction k has the size of the error before it;
    the count is 1 + the first k with max_t v^k_t ≤ tolerance².

    What follows. A sum of products is below 1/(1 − e^{2λ}), so that from v⁰ below the basin's
    ρ = (1 − e^{2λ})/κ on, v/ρ is squared by each correction: log2(log(tolerance²/ρ)/log(v⁰/ρ)) or
    so of them, whatever T. Beyond ρ, for λ above ½log(1 − κv⁰) = −.06, only the steps near the
    start are in reach of what is known, and a front moves along time by a few steps a correction:
    of order T corrections, the more the larger λ.

    Args:
        exponent: λ, nats a step (:func:`rnnlab.gradients.lyapunov.lyapunov_exponents`).
        steps: T.
        tolerance: of the last correction; the engine's ε^(2/3), 2.4e-5 in float32.
        error: √v⁰, of a first guess of zeros: the size of the states.
        curvature: κ.
    Returns:
        The count of corrections, at most steps + 1.
    Raises:
        ValueError: steps below 1; a tolerance, error or curvature that is not positive; an
            exponent that is not finite.
    Source: the role of λ is Gonzalez et al. 2025 (arXiv 2508.16817); the recursion is ours.

    >>> [iterations_for_exponent(-0.5, T) for T in (100, 10_000)]
    [5, 5]
    >>> [iterations_for_exponent(0.1, T) for T in (100, 200, 400)]
    [26, 49, 94]
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    if not (tolerance > 0 and error > 0 and curvature > 0):
        raise ValueError(
            "tolerance, error and curvature must be positive, got "
            f"{tolerance}, {error}, {curvature}"
        )
    if not math.isfinite(exponent):
        raise ValueError(f"exponent must be finite, got {exponent}")
    growth = math.exp(2 * min(exponent, 20.0))  # beyond, all is at the cap after a step
    # in units of v⁰, so that float32 holds the squares of any tolerance
    numbers = (growth, curvature * error**2, max((tolerance / error) ** 2, 1e-37))
    return int(_count(jnp.array(numbers, jnp.float32), steps))


@partial(jax.jit, static_argnames="steps")
def _count(numbers: jax.Array, steps: int) -> jax.Array:
    growth, curvature, tolerance = numbers

    def along(before: jax.Array, missed: jax.Array) -> tuple[jax.Array, jax.Array]:
        now = jnp.minimum(growth * before + missed, 1)
        return now, now

    def correct(now: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        v, k = now
        before = jnp.concatenate([jnp.zeros_like(v[:1]), v[:-1]])
        return jax.lax.scan(along, jnp.zeros_like(growth), curvature * before**2)[1], k + 1

    start = (jnp.ones(steps, numbers.dtype), jnp.ones((), jnp.int32))
    return jax.lax.while_loop(lambda now: now[0].max() > tolerance, correct, start)[1]


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
        options: tolerance, error, curvature of
        :func:`rnnlab.gradients.newton_forecast.iterations_for_exponent`,
            where the reasoning is.
    Returns:
        (B,) whole numbers.
    Raises:
        ValueError: as :func:`lyapunov_exponents`, and as the prediction for bad options.

    >>> from rnnlab import InitScheme, RNN
    >>> cell = RNN(4, init=InitScheme(w_h="orthogonal(gain=0.5)"))
    >>> params = cell.init_params(jax.random.key(0), input_size=1)
    >>> newton_iterations(cell, params, jnp.zeros((50, 1)), 10_000).item()  # λ = ln ½
    5
    """
    top = lyapunov_exponents(cell, params, xs, 1, discard=discard, initial_state=initial_state)[
        ..., 0
    ]
    steps = jnp.shape(xs)[-2] if steps is None else steps
    counts = [
        iterations_for_exponent(float(exponent), steps, **options)
        for exponent in np.ravel(np.asarray(top))
    ]
    return np.reshape(np.array(counts), top.shape)
