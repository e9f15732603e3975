"""Gains at which a cell neither forgets nor explodes on given sequences.

Shapes: B batch, T time, D input, S seeds.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import lru_cache, partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from rnnlab.core import validate
from rnnlab.gradients.driven import checked_sequences, layer_exponents, mean_over_sequences
from rnnlab.nn import cells, initializers
from rnnlab.nn.cells import Cell
from rnnlab.nn.initializers import InitScheme
from rnnlab.nn.layers import Layer, as_layer
from rnnlab.nn.searched import CRITICAL, numbers

Array = jax.Array
PyTree = Any
Draw = Callable[[float], PyTree]  # number ↦ parameters
T = TypeVar("T")

TOLERANCE = 0.002  # nats per step
_BIASES = (-10.0, 10.0)  # where a bias is searched
_OCTAVES = 5  # below and above the natural gain, where a gain is searched
_STEEP = 5.0  # |λ| is cut there for the root search, which cannot use infinite values


@dataclass(frozen=True)
class Critical:
    """The number of a scheme at which the top Lyapunov exponent is closest to 0 from below.

    Args:
        gain: the number; where a bias is searched, the bias. Where ``converged`` is False, the best
            of those tried.
        exponent: λ_1 at it, nats per step, the mean over the seeds; it differs from 0 by at most
            the tolerance, from below, where ``converged``.
        spread: standard deviation of λ_1 over the seeds.
        error: standard error of λ_1 over the sequences: so much it differs on others of the kind.
        converged: False: no number of the range has such an exponent.
        searched: the range, (lowest, highest).
        tried: the numbers at which λ_1 was measured, ascending.
        exponents: λ_1 at each of them, the mean over the seeds.
        init: the schemes with the number in its place, to build the cell with.
    """

    gain: float
    exponent: float
    spread: float
    error: float
    converged: bool
    searched: tuple[float, float]
    tried: tuple[float, ...]
    exponents: tuple[float, ...]
    init: InitScheme


def critical_on(
    scheme: str,
    cell: Cell,
    xs: Array,
    *,
    seeds: Sequence[int] = (0, 1, 2, 3),
    low: float | None = None,
    high: float | None = None,
    tolerance: float = TOLERANCE,
    discard: int = 0,
    lengths: ArrayLike | None = None,
) -> Critical:
    """Search the gain of a scheme of W_h at which λ_1 on these sequences is just below 0.

    λ_1(g) = mean over seeds and sequences of the top exponent of
    :func:`~rnnlab.gradients.lyapunov.lyapunov_exponents`. The range is divided into intervals of a
    factor 2 (a bias: of 2); in the first one over which λ_1 changes its sign, Brent's method finds
    the root. All measurements run one compiled program, of which the number is an argument.

    A scheme without a gain is drawn as it is, and the bias of the gate that keeps the state (b_f of
    an LSTM, b_z of a GRU: ``init.forget_bias``) is searched in its place.

    Args:
        scheme: of the recurrent kernels; "orthogonal" is short for "orthogonal(gain='critical')",
            and so with normal (std), uniform (bound), mean_field (sigma_w), sparse
            (spectral_radius) and a registered scheme with one real number that its draws are
            proportional to.
        cell: any cell with a field ``init``, an :class:`~rnnlab.nn.initializers.InitScheme`: its
            other blocks are kept. A wrapper around such a cell too.
        xs: (B, T, D).
        seeds: of the parameters that are drawn.
        low, high: the range; None: a factor 32 below and above the gain at which the columns of
            the kernels have norm 1, and −10 … 10 of a bias.
        tolerance: the most that λ_1 may lie below 0, nats per step.
        discard, lengths: as :func:`~rnnlab.gradients.lyapunov.lyapunov_exponents`.
    Returns:
        A :class:`Critical`; its ``converged`` says whether there is such a gain.
    Raises:
        ValueError: a cell that has no init or draws nothing from it; a scheme without a gain for a
            cell without a forget bias; draws that are not proportional to the gain; a bad range.

    >>> from rnnlab import RNN
    >>> xs = 0.1 * jax.random.normal(jax.random.key(0), (4, 30, 1))
    >>> found = critical_on("orthogonal", RNN(8), xs, seeds=(0,))
    >>> found.converged, 1 < found.gain < 1.2, found.init.w_h == f"orthogonal(gain={found.gain})"
    (True, True, True)
    """
    init = _asked(scheme, cell)
    if not seeds:
        raise ValueError("critical_on needs at least one seed, got none")
    keys = [jax.random.key(validate.seed("each seed", seed)) for seed in seeds]
    D = checked_sequences(xs, lengths, discard)[0].shape[-1]

    def draw(number: float, key: Array) -> PyTree:
        return with_init(cell, init.with_number(number)).init_params(key, D)

    draws = [partial(draw, key=key) for key in keys]
    return search(
        draws,
        init,
        cell,
        xs,
        low=low,
        high=high,
        tolerance=tolerance,
        discard=discard,
        lengths=lengths,
    )


def _asked(scheme: str, cell: Cell) -> InitScheme:
    """Return the schemes of the cell with the number to search."""
    found = init_of(cell)
    name, options = initializers.parse(str(scheme))
    if CRITICAL in options.values():
        return found.replace(w_h=scheme)
    free = [option for option in numbers(initializers.SCHEMES[name]) if option not in options]
    if len(free) > 1:
        raise ValueError(
            f"scheme {scheme!r} has several numbers: write {CRITICAL!r} for one of "
            f"{', '.join(free)}, and a value for the others"
        )
    if free:
        given = ", ".join(f"{key}={value!r}" for key, value in options.items())
        return found.replace(w_h=f"{name}({given}{', ' * bool(given)}{free[0]}={CRITICAL!r})")
    init = found.replace(w_h=scheme, forget_bias=f"constant(value={CRITICAL!r})")
    try:
        with_init(cell, init)
    except ValueError as error:
        raise ValueError(
            f"scheme {scheme!r} has no number to search, and {type(cell).__name__} has no forget "
            f"bias: search that of another scheme, such as 'orthogonal' ({error})"
        ) from None
    return init


def init_of(cell: Cell | Layer) -> InitScheme:
    """Return the schemes of a cell, or of the cell that it wraps.

    Raises:
        ValueError: it has no field ``init``.
    """
    found = _find_init(cell)
    if found is None:
        raise ValueError(
            f"a cell with a field init, an InitScheme, is needed: {type(cell).__name__} has none"
        )
    return found


def _find_init(value: object) -> InitScheme | None:
    if isinstance(value, InitScheme):
        return value
    if not is_dataclass(value) or isinstance(value, type):
        return None
    found = (_find_init(getattr(value, f.name)) for f in fields(value))
    return next((init for init in found if init is not None), None)


def with_init(value: T, init: InitScheme) -> T:
    """Return a copy of a cell, of a wrapper around one or of a layer, with these schemes."""
    made: Any = value
    if isinstance(value, InitScheme):
        made = init
    elif isinstance(value, tuple):
        made = tuple(with_init(inner, init) for inner in value)
    elif is_dataclass(value) and not isinstance(value, type):
        parts = {f.name: with_init(getattr(value, f.name), init) for f in fields(value)}
        made = replace(value, **parts)
    return made


# ---- the search --------------------------------------------------------------------------------


def search(
    draws: Sequence[Draw],
    init: InitScheme,
    layer: Cell | Layer,
    xs: Array,
    *,
    low: float | None = None,
    high: float | None = None,
    tolerance: float = TOLERANCE,
    discard: int = 0,
    lengths: ArrayLike | None = None,
) -> Critical:
    """Search the number at which the top exponent of drawn layers is closest to 0 from below.

    Args:
        draws: one function per seed, which draws the layer's parameters with a number.
        init: the schemes in which the number stands for 'critical'.
        layer: a cell, or a layer of cells; its exponent is the largest of its cells'.
        xs, low, high, tolerance, discard, lengths: as of :func:`critical_on`.
    Raises:
        ValueError: as :func:`critical_on`.
    """
    tolerance = validate.number("tolerance", tolerance, above=0)
    xs, steps, discard = checked_sequences(xs, lengths, discard)
    # parameters are affine in the number, p(g) = p(1) + (g − 1)·(p(2) − p(1)): no scheme has to
    # take a traced number, and one program serves every scheme of a cell
    ones, slopes = zip(*map(_line, draws), strict=True)
    least, most, points = _range(_natural_gain(slopes[0]), low, high)
    plain = cells.without_init(as_layer(layer))
    lines = [jax.tree.map(lambda *leaves: jnp.stack(leaves), *side) for side in (ones, slopes)]
    there = np.ones(len(xs), bool) if steps is None else np.asarray(steps) > discard
    measured: dict[float, np.ndarray] = {}

    def exponent(number: float) -> float:
        if number not in measured:
            found = _exponents(plain, *lines, number, xs, steps, discard)
            measured[number] = np.asarray(found, np.float64)[:, there]
        mean = float(measured[number].mean())
        return math.inf if math.isnan(mean) else mean  # the state has overflowed

    _approach(exponent, points, tolerance)
    tried = sorted(measured)
    below = [number for number in tried if exponent(number) <= 0]
    middle = points[len(points) // 2]  # of equal ones the nearest to the natural gain
    gain = min(below or tried, key=lambda number: (abs(exponent(number)), abs(number - middle)))
    by_seed, by_sequence = measured[gain].mean(axis=1), measured[gain].mean(axis=0)
    with np.errstate(invalid="ignore"):  # NaN where no number has a finite exponent
        spread, B = by_seed.std(), by_sequence.size
        error = by_sequence.std(ddof=1) / math.sqrt(B) if B > 1 else math.nan
    return Critical(
        gain=gain,
        exponent=exponent(gain),
        spread=float(spread),
        error=float(error),
        converged=-tolerance <= exponent(gain) <= 0,
        searched=(least, most),
        tried=tuple(tried),
        exponents=tuple(map(exponent, tried)),
        init=init.with_number(gain),
    )


@lru_cache(maxsize=256)
def check(layer: Layer, init: InitScheme, input_size: int) -> None:
    """Check that a layer's draws are proportional to the number that is searched.

    Raises:
        ValueError: they are not, or do not depend on it.
    """

    def draw(number: float) -> PyTree:
        return with_init(layer, init.with_number(number)).init(jax.random.key(0), input_size)

    _line(draw)


def _line(draw: Draw) -> tuple[PyTree, PyTree]:
    """Return (p(1), p(2) − p(1)) of parameters p(g) that are affine in g.

    Raises:
        ValueError: they are not, or do not depend on it.
    """
    one, two, four = (draw(number) for number in (1.0, 2.0, 4.0))
    slope = jax.tree.map(jnp.subtract, two, one)
    gap = jax.tree.map(lambda a, b, d: a + 3 * b - d, one, slope, four)
    size, miss = (
        max(float(jnp.max(jnp.abs(leaf), initial=0)) for leaf in jax.tree.leaves(tree))
        for tree in (slope, gap)
    )
    if size == 0:
        raise ValueError("the number that is 'critical' does not reach the cell's parameters")
    if miss > 1e-4 * size:
        raise ValueError(
            "the draws of the scheme are not proportional to the number that is 'critical': "
            "a gain multiplies what is drawn"
        )
    return one, slope


def natural_gain(draw: Draw) -> float:
    """Return the gain at which the columns of the kernels that it scales have norm 1, on average.

    Args:
        draw: gain ↦ parameters.
    Returns:
        0 where it scales no kernel.
    Raises:
        ValueError: the draws are not proportional to the gain.
    """
    return _natural_gain(_line(draw)[1])


def _natural_gain(slope: PyTree) -> float:
    kernels = [leaf for leaf in jax.tree.leaves(slope) if leaf.ndim >= 2 and bool(jnp.any(leaf))]
    if not kernels:
        return 0.0
    columns = sum(leaf.shape[-1] for leaf in kernels)
    return math.sqrt(columns / sum(float(jnp.sum(jnp.square(leaf))) for leaf in kernels))


def _range(
    natural: float, low: float | None, high: float | None
) -> tuple[float, float, list[float]]:
    """Return (lowest, highest, points between), ascending."""
    bounds = (natural / 2**_OCTAVES, natural * 2**_OCTAVES) if natural else _BIASES
    above = 0.0 if natural else None
    least = validate.number("low", bounds[0] if low is None else low, above=above)
    most = validate.number("high", bounds[1] if high is None else high, above=least)
    count = math.ceil(math.log2(most / least) if natural else (most - least) / 2)
    spaced = np.geomspace if natural else np.linspace
    return least, most, [float(x) for x in spaced(least, most, count + 1)]


def _approach(exponent: Callable[[float], float], points: list[float], tolerance: float) -> None:
    """Measure λ_1 at numbers that close in on −tolerance/2, from the lowest on."""
    from scipy import optimize  # slow to import

    def aim(number: float) -> float:
        return float(np.clip(exponent(number) + tolerance / 2, -_STEEP, _STEEP))

    close = min(1e-5, tolerance / 10)
    values: list[float] = []
    for point in points:
        values.append(aim(point))
        if len(values) > 1 and values[-2] * values[-1] <= 0:
            a, b = points[len(values) - 2], point
            optimize.brentq(aim, a, b, xtol=close * max(abs(a), abs(b)), maxiter=40)
            return
    # a peak between two points may still reach 0
    best = int(np.argmax(values)) if max(values) < 0 else int(np.argmin(values))
    around = points[max(best - 1, 0)], points[min(best + 1, len(points) - 1)]
    sign = -1 if max(values) < 0 else 1
    peak = optimize.minimize_scalar(
        lambda number: sign * aim(float(number)),
        bounds=around,
        method="bounded",
        options={"maxiter": 12},
    ).x
    for a, b in ((around[0], float(peak)), (float(peak), around[1])):
        if aim(a) * aim(b) < 0:
            optimize.brentq(aim, a, b, xtol=close * max(abs(a), abs(b)), maxiter=40)
            return


@partial(jax.jit, static_argnames=("layer", "discard"))
def _exponents(
    layer: Layer,
    base: PyTree,
    slope: PyTree,
    number: ArrayLike,
    xs: Array,
    lengths: Array | None,
    discard: int,
) -> Array:
    """Return λ_1 for every seed and sequence, (S, B), of the cell with the largest mean."""

    def of_seed(line: tuple[PyTree, PyTree]) -> Array:
        one, rise = line
        params = jax.tree.map(lambda a, b: a + (number - 1) * b, one, rise)
        found = layer_exponents(layer, params, xs, 1, discard=discard, lengths=lengths)
        tops = jnp.stack([cell[..., 0] for cell in found])
        means = jnp.stack([mean_over_sequences(cell[..., 0], lengths, discard) for cell in found])
        return tops[jnp.argmax(means)]

    return jax.lax.map(of_seed, (base, slope))
