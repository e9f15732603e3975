"""Newton's iterations along time, predicted from the largest Lyapunov exponent."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.core.validate import number, whole
from rnnlab.gradients.lyapunov import lyapunov_exponents
from rnnlab.nn.cells import Cell
from rnnlab.nn.layers import Layer

Array = jax.Array
PyTree = Any


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
    """Predict the number of corrections until the last is below ``tolerance``, from λ and T alone.

    From an error e, Newton's correction leaves what the linearization misses, ½f''(a)(We)² per
    unit, carried on by the products of Jacobians, e^λ per step. The missed part changes its sign
    from step to step, so squares add up. For the mean square v_t of the units' errors this is

        v^{k+1}_t = min(e^{2λ} v^{k+1}_{t−1} + κ (v^k_{t−1})², v⁰),  v_0 = 0,  v⁰_t = error²

    with κ = E[(½f'')²]·3σ_w⁴, for We is a sum, near Gaussian, and E[(We)⁴] = 3(σ_w²v)². At σ_w = 1
    and the largest curvature of tanh, κ = 4/9. The cap: states are bounded, so a correction that
    overshoots is no worse than the first guess. Correction k has the size of the error before it;
    the count is 1 + the first k with max_t v^k_t ≤ tolerance².

    Consequences. A sum of products is below 1/(1 − e^{2λ}). So once v is below the basin's
    ρ = (1 − e^{2λ})/κ, each correction squares v/ρ: about log2(log(tolerance²/ρ)/log(v⁰/ρ))
    corrections, whatever T. Outside the basin, for λ above ½log(1 − κv⁰) = −0.06, a correction
    reaches only a few steps past those already known, and this front moves along time: of order T
    corrections, more for larger λ.

    Args:
        exponent: λ, nats per step (:func:`rnnlab.gradients.lyapunov.lyapunov_exponents`).
        steps: T.
        tolerance: of the last correction; the engine's ε^(2/3), 2.4e-5 in float32.
        error: √v⁰, of a first guess of zeros: the size of the states.
        curvature: κ.
    Returns:
        The number of corrections, at most steps + 1.
    Raises:
        ValueError: steps below 1; a tolerance, error or curvature that is not positive; an
            exponent that is not finite.
    Source: the role of λ is Gonzalez et al. 2025 (arXiv 2508.16817); the recursion is ours.

    >>> [iterations_for_exponent(-0.5, T) for T in (100, 10_000)]
    [5, 5]
    >>> [iterations_for_exponent(0.1, T) for T in (100, 200, 400)]
    [26, 49, 94]
    """
    exponent, steps = number("exponent", exponent), whole("steps", steps)
    tolerance = number("tolerance", tolerance, above=0)
    error, curvature = number("error", error, above=0), number("curvature", curvature, above=0)
    growth = math.exp(2 * min(exponent, 20.0))  # beyond 20, all is at the cap after one step
    # in units of v⁰, so that float32 holds the squares of any tolerance
    scaled = (growth, curvature * error**2, max((tolerance / error) ** 2, 1e-37))
    return int(_count(jnp.array(scaled, jnp.float32), steps))


@partial(jax.jit, static_argnames="steps")
def _count(numbers: Array, steps: int) -> Array:
    growth, curvature, tolerance = numbers

    def along_time(before: Array, missed: Array) -> tuple[Array, Array]:
        v = jnp.minimum(growth * before + missed, 1)
        return v, v

    def correct(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        v, k = carry
        before = jnp.concatenate([jnp.zeros_like(v[:1]), v[:-1]])
        missed = curvature * before**2
        return jax.lax.scan(along_time, jnp.zeros_like(growth), missed)[1], k + 1

    start = (jnp.ones(steps, numbers.dtype), jnp.ones((), jnp.int32))
    return jax.lax.while_loop(lambda carry: carry[0].max() > tolerance, correct, start)[1]


def newton_iterations(
    cell: Cell | Layer,
    params: PyTree,
    xs: Array,
    steps: int | None = None,
    *,
    discard: int = 0,
    initial_state: PyTree = None,
    **options: float,
) -> np.ndarray:
    """Predict the corrections of ``engine="newton"`` from the largest Lyapunov exponent.

    Args:
        cell: a cell, or a layer of one cell.
        params: its parameters.
        xs: (B, T, D), or (T, D); λ_1 is measured along it, so a short piece will do.
        steps: the length to predict for; None: that of xs.
        discard, initial_state: as :func:`lyapunov_exponents`.
        options: tolerance, error, curvature of :func:`iterations_for_exponent`, which gives the
            reasoning.
    Returns:
        (B,) whole numbers.
    Raises:
        ValueError: as :func:`lyapunov_exponents` and :func:`iterations_for_exponent`.

    >>> from rnnlab import InitScheme, RNN
    >>> cell = RNN(4, init=InitScheme(w_h="orthogonal(gain=0.5)"))
    >>> params = cell.init_params(jax.random.key(0), input_size=1)
    >>> newton_iterations(cell, params, jnp.zeros((50, 1)), 10_000).item()  # λ = ln ½
    5
    """
    exponents = lyapunov_exponents(
        cell, params, xs, 1, discard=discard, initial_state=initial_state
    )[..., 0]
    steps = jnp.shape(xs)[-2] if steps is None else steps
    counts = [
        iterations_for_exponent(float(exponent), steps, **options)
        for exponent in np.ravel(np.asarray(exponents))
    ]
    return np.reshape(np.array(counts), exponents.shape)
