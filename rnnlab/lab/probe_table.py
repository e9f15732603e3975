"""Probes of untrained cells on given sequences, for every scheme, gain and forget bias.

The table that advice is made from: nothing is trained. Shapes: B batch, T time, D input, S seeds,
N candidates.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from rnnlab.core import validate
from rnnlab.gradients import adjoint, criticality, driven, lyapunov, saturation
from rnnlab.lab.gradient_member import main_part, median_over_batch, relative
from rnnlab.nn import cells, models, unroll
from rnnlab.nn.cells import Cell
from rnnlab.nn.initializers import InitScheme
from rnnlab.results.advice import Row

Array = jax.Array
PyTree = Any

SCHEMES = (
    "orthogonal(gain='critical')",
    "mean_field(sigma_w='critical')",
    "identity(gain='critical')",
    "xavier_uniform",
    "torch_uniform",
)
GAINS = (0.5, 0.8, 1.0, 1.25, 2.0)  # in units of the gain at which columns have norm 1
BIASES = (0.0, 1.0, 3.0)
LAGS = (10, 50)
_FLAT = 1e-6  # a unit whose output varies by less does not respond


def probe_table(
    cell: Cell,
    xs: Array,
    *,
    lengths: ArrayLike | None = None,
    schemes: Sequence[str] = SCHEMES,
    gains: Sequence[float] = GAINS,
    biases: Sequence[float] = BIASES,
    seeds: Sequence[int] = (0, 1),
    lags: Sequence[int] | None = None,
) -> list[Row]:
    """Measure every scheme x gain x forget bias on sequences; one compiled program for all.

    The gradient is that of g·h_T, g a random vector: of what reads the last step.

    Args:
        cell: any cell with a field ``init``, whose other schemes are kept.
        xs: (B, T, D). lengths: (B,) real steps of each sequence; None: all T.
        schemes: of W_h; one with a 'critical' number is measured at each of the gains, times the
            number at which the columns of its kernels have norm 1, and at the critical number
            (:func:`rnnlab.gradients.critical_on`) where there is one.
        gains, biases: the grids. A cell without a forget bias has no grid of it.
        seeds: of the parameters.
        lags: those of ``kept`` besides T − 1; None: 10 and 50 where T is longer.
    Returns:
        a row per candidate, in the order of schemes, biases, gains, then the critical number.
    Raises:
        ValueError: no seed, a bad scheme or number, shapes that do not fit.
    """
    xs, real, _ = driven.checked_sequences(xs, lengths, 0)
    if not seeds:
        raise ValueError("probe_table needs at least one seed, got none")
    keys = [jax.random.key(validate.seed("each seed", seed)) for seed in seeds]
    rows = []
    for init, bias, gain, searched in _candidates(cell, schemes, gains, biases, keys, xs, real):
        made = criticality.with_init(cell, init)
        drawn = [made.init_params(key, xs.shape[-1]) for key in keys]
        row = probe(cell, drawn, xs, lengths=real, lags=lags)
        rows.append(
            replace(row, scheme=str(init.w_h), forget_bias=bias, searched=searched, gain=gain)
        )
    return rows


def probe(
    cell: Cell,
    draws: Sequence[PyTree],
    xs: Array,
    *,
    lengths: ArrayLike | None = None,
    lags: Sequence[int] | None = None,
) -> Row:
    """Measure one candidate: see :func:`probe_table`.

    Args:
        draws: the cell's parameters, of each seed.
        cell, xs, lengths, lags: as of :func:`probe_table`.
    Returns:
        A row without the names of a candidate.
    Raises:
        ValueError: a lag outside 1 … T−1.
    """
    xs, real, _ = driven.checked_sequences(xs, lengths, 0)
    if real is not None:  # no step that is padding in every sequence
        xs = xs[:, : int(real.max())]
    T = xs.shape[-2]
    lags = [lag for lag in LAGS if lag < T - 1] if lags is None else lags
    asked = sorted({validate.whole("each lag", lag, 1, T - 1) for lag in lags} | {T - 1})
    ends = np.full(len(xs), T - 1) if real is None else np.maximum(np.asarray(real), 1) - 1
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *draws)
    probes = jax.device_get(_probes(cells.without_init(cell), stacked, xs, real))
    return _row(probes, asked, ends)


def _candidates(
    cell: Cell,
    schemes: Iterable[str],
    gains: Sequence[float],
    biases: Sequence[float],
    keys: Sequence[Array],
    xs: Array,
    lengths: Array | None,
) -> Iterator[tuple[InitScheme, float, float, bool]]:
    """Yield (schemes of the cell, the forget bias, the gain, whether it was searched)."""
    D = xs.shape[-1]
    own = criticality.init_of(cell)
    forgets = _forgets(cell, own, keys[0], D)
    for scheme in schemes:
        for bias in biases if forgets else (math.nan,):
            init = own.replace(w_h=scheme)
            if not math.isnan(bias):
                init = init.replace(forget_bias=str(bias))
            if not init.is_searched:
                yield init, bias, math.nan, False
                continue

            def draw(number: float, key: Array, init: InitScheme = init) -> PyTree:
                made = criticality.with_init(cell, init.with_number(number))
                return made.init_params(key, D)

            draws = [partial(draw, key=key) for key in keys]
            natural = criticality.natural_gain(draws[0])
            for gain in gains:
                yield init.with_number(_short(natural * gain)), bias, gain, False
            found = criticality.search(draws, init, cell, xs, lengths=lengths)
            if found.converged:
                gain = found.gain / natural
                yield init.with_number(_short(found.gain)), bias, gain, True


def _short(number: float) -> float:
    """Return a number with four digits, as a user writes it."""
    return float(f"{number:.4g}")


def _forgets(cell: Cell, own: InitScheme, key: Array, D: int) -> bool:
    """Return whether a forget bias reaches the parameters of a cell."""
    own = own.with_number(1.0)
    try:
        zero, one = (
            criticality.with_init(cell, own.replace(forget_bias=bias)).init_params(key, D)
            for bias in ("0.0", "1.0")
        )
    except ValueError:
        return False
    pairs = zip(jax.tree.leaves(zero), jax.tree.leaves(one), strict=True)
    return any(bool(jnp.any(a != b)) for a, b in pairs)


@partial(jax.jit, static_argnames="cell")
def _probes(cell: Cell, params: PyTree, xs: Array, lengths: Array | None) -> dict[str, Any]:
    """Return the probes of every seed, leaves (S, …)."""
    flat_ends = getattr(cell, "activation", "tanh") in ("tanh", "relu")
    g = jax.random.normal(jax.random.key(1), (cell.output_size,), xs.dtype)
    mask = unroll.length_mask(lengths, xs.shape[:-2], xs.shape[-2])
    real = None if mask is None else mask[..., None]

    def loss(ys: Array) -> Array:
        last = None if lengths is None else models.last_step(lengths, ys)
        return jnp.sum((ys[:, -1] if last is None else models.at_step(ys, last)) @ g)

    def top_exponent(params: PyTree) -> Array:
        top = lyapunov.lyapunov_exponents(cell, params, xs, 1, lengths=lengths)[..., 0]
        return driven.mean_over_sequences(top, lengths)

    def of_seed(params: PyTree) -> dict[str, Any]:
        ys, _ = unroll.unroll(cell, params, xs, lengths=lengths, engine="scan")
        curve = adjoint.adjoint_norms(cell, params, xs, loss, lengths=lengths)
        exponent, slopes = jax.value_and_grad(top_exponent)(params)
        values = saturation(cell, params, xs, lengths=lengths) if flat_ends else {}
        most = jnp.max(ys, axis=(0, 1), where=real, initial=-jnp.inf)
        least = jnp.min(ys, axis=(0, 1), where=real, initial=jnp.inf)
        return {
            "norms": {
                part: jnp.where((curve.overflow_at >= 0)[:, None], jnp.nan, norm)
                for part, norm in curve.norms.items()
            },
            "overflowed": jnp.mean((curve.overflow_at >= 0).astype(xs.dtype)),
            "exponent": exponent,
            "sensitivity": sum(jnp.abs(slope).sum() for slope in jax.tree.leaves(slopes)),
            "saturation": {name: jnp.nanmean(value) for name, value in values.items()},
            "dead": jnp.mean((most - least <= _FLAT).astype(xs.dtype)),
        }

    return jax.lax.map(of_seed, params)


def _row(probes: dict[str, Any], lags: list[int], ends: np.ndarray) -> Row:
    """Summarize the probes of all seeds.

    Args:
        ends: (B,) the last real step of each sequence.
    """
    norms = np.asarray(probes["norms"][main_part(probes["norms"])], np.float64)
    curves = np.stack([_by_lag(one, ends) for one in norms])  # (S, T)
    kept = {lag: float(curves[:, lag].mean()) for lag in lags}
    exponents = np.asarray(probes["exponent"], np.float64)
    with np.errstate(invalid="ignore"):  # NaN of values that are not finite
        spread = {lag: float(np.std(curves[:, lag])) for lag in lags}
        exponent_spread = float(exponents.std())
    return Row(
        scheme="",
        forget_bias=math.nan,
        searched=False,
        gain=math.nan,
        kept=kept,
        kept_spread=spread,
        curve=tuple(curves.mean(axis=0).tolist()),
        horizon=_horizon(curves.mean(axis=0)),
        exponent=float(exponents.mean()),
        exponent_spread=exponent_spread,
        sensitivity=float(np.mean(probes["sensitivity"])),
        saturation={name: float(np.mean(v)) for name, v in probes["saturation"].items()},
        dead=float(np.mean(probes["dead"])),
        overflowed=float(np.mean(probes["overflowed"])),
    )


def _by_lag(norms: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return the gradient relative to lag 0, (T,) by lag: the median over the sequences.

    −inf where it is exactly zero for more than half of them; NaN at a lag that none has.
    """
    steps = ends[:, None] - np.arange(norms.shape[1])
    values = np.take_along_axis(norms, np.maximum(steps, 0), axis=1)
    median, zero = median_over_batch(relative(np.where(steps >= 0, values, np.nan)))
    return np.where(zero > 0.5, -np.inf, median)


def _horizon(curve: np.ndarray) -> float:
    """Return the first lag at which a decade is lost or gained; inf: none; NaN: overflow."""
    if math.isnan(curve[0]):  # no sequence without overflow
        return math.nan
    gone = np.flatnonzero(np.abs(curve) >= 1)
    return float(gone[0]) if gone.size else math.inf
