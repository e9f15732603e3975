"""Closed forms to compare simulations with. float64 NumPy; imports nothing of the project.

Lags k count steps back in time; "log10" results are decades, and −inf means exactly zero.
"""

import difflib
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

_LN10 = math.log(10.0)
_ACTIVATIONS = ("tanh", "relu", "identity", "sigmoid")
_HOMOGENEOUS = {"relu": 0.5, "identity": 1.0}  # ∫Dz φ(√q z)² = cq and ∫Dz φ'(√q z)² = c


def _not_negative(**values: float) -> None:
    for name, value in values.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} must be finite and at least 0, got {value}")


def _lags(lags: ArrayLike) -> np.ndarray:
    lags = np.asarray(lags)
    if not np.issubdtype(lags.dtype, np.integer) or (lags < 0).any():
        raise ValueError(f"lags must be whole numbers of at least 0, got {lags}")
    return lags


def _square(W: ArrayLike) -> np.ndarray:
    W = np.asarray(W, np.float64)
    if W.ndim != 2 or W.shape[0] != W.shape[1] or W.size == 0:
        raise ValueError(f"W must be (H, H), got {W.shape}")
    if not np.isfinite(W).all():
        raise ValueError("W must be finite, got inf or nan in it")
    return W


def _power_log10(base: float, exponents: np.ndarray) -> np.ndarray:
    """exponents·log10 base, with 0⁰ = 1."""
    if base == 0:
        return np.where(exponents == 0, 0.0, -np.inf)
    return exponents * math.log10(base)


# ---- linear recurrence -------------------------------------------------------------------------


def linear_adjoint_log10(W: ArrayLike, g: ArrayLike, lags: ArrayLike) -> np.ndarray:
    """log10 ‖δ_{T−k}‖ of the linear RNN h_t = h_{t−1} W + …: δ_{T−k} = g (Wᵀ)^k.

    Args:
        W: recurrent kernel (H, H), (in, out) as in code.
        g: δ_T = ∂L/∂h_T (..., H).
        lags: whole numbers k ≥ 0, in any order, (K,).
    Returns:
        (..., K); −inf where the adjoint is exactly zero, nan where g is not finite. Renormalized
        at each step, so that 1e-500 is accurate.
    Raises:
        ValueError: W that is not square and finite, shapes that do not fit, negative lags.

    >>> linear_adjoint_log10([[1e-5]], [1.0], [0, 100]).tolist()
    [0.0, -500.0]
    """
    W, g, lags = _square(W), np.asarray(g, np.float64), _lags(lags)
    if g.ndim == 0 or g.shape[-1] != W.shape[0]:
        raise ValueError(f"g must be (..., {W.shape[0]}) for W {W.shape}, got {g.shape}")
    g = np.where(np.isfinite(g).all(axis=-1, keepdims=True), g, np.nan)
    scale, log10_norms = np.zeros(g.shape[:-1]), []
    for k in range(int(lags.max(initial=0)) + 1):
        if k:
            g = g @ W.T
        largest = np.abs(g).max(axis=-1)  # not the norm: its squares underflow at 1e-162
        g = g / np.where(largest == 0, 1, largest)[..., None]
        with np.errstate(divide="ignore"):
            scale = scale + np.log10(largest)
            log10_norms.append(scale + np.log10(np.linalg.norm(g, axis=-1)))
    return np.stack(log10_norms, axis=-1)[..., lags]


def scaled_orthogonal_log10(alpha: float, lags: ArrayLike) -> np.ndarray:
    """k·log10 α: exact decades of a gradient after k steps of W = αQ, QᵀQ = I.

    >>> scaled_orthogonal_log10(0.1, [1, 100]).tolist()
    [-1.0, -100.0]
    """
    _not_negative(alpha=alpha)
    return _power_log10(alpha, _lags(lags))


def naive_gaussian_log10(sigma_w: float, lags: ArrayLike) -> np.ndarray:
    """k·log10 σ_w: the growth of ‖g‖ if each of k steps drew a *fresh* W, N(0, σ_w²/H).

    A recurrent network ties W over time, and at finite width W^k does not follow σ_w^k: at
    H = 128, k = 100 and σ_w = 1 it is 10^(1.2 ± 1.4). Compare such a network with
    :func:`linear_adjoint_log10` of its own W.
    """
    _not_negative(sigma_w=sigma_w)
    return _power_log10(sigma_w, _lags(lags))


def sufficient_vanishing(W: ArrayLike, activation: str = "tanh") -> tuple[float, float]:
    """(γ·λ₁, its log10): the most that a step can multiply ‖∂L/∂h‖ by; below 1 it must vanish.

    λ₁ is the largest singular value of W, γ = max|f'|: 1 for tanh, relu and identity, ¼ for the
    sigmoid. Sufficient, not necessary: the log10 bounds the decades per step from above, and a
    gradient may also vanish where it is positive.

    Args:
        W: recurrent kernel (H, H).
        activation: "tanh", "relu", "identity" or "sigmoid".
    Source: Pascanu, Mikolov & Bengio 2013 (arXiv 1211.5063).
    """
    _known(activation)
    bound = float(np.linalg.norm(_square(W), 2)) * (0.25 if activation == "sigmoid" else 1.0)
    return bound, math.log10(bound) if bound > 0 else -math.inf


# ---- mean field --------------------------------------------------------------------------------


def _known(activation: str) -> None:
    if activation not in _ACTIVATIONS:
        near = difflib.get_close_matches(str(activation), _ACTIVATIONS, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"unknown activation {activation!r}{hint} (allowed: {', '.join(_ACTIVATIONS)})"
        )


def _tanh_moments(q: float) -> tuple[float, float]:
    """(∫Dz tanh(√q z)², ∫Dz sech(√q z)⁴), to rounding for every q.

    The trapezoid rule converges exponentially on these integrands. Gauss–Hermite quadrature does
    not resolve them as they narrow: with 64 nodes it is 9% off at q = 10.
    """
    if q == 0:
        return 0.0, 1.0
    root = math.sqrt(q)
    reach = min(12.0, 20 / root)  # where Dz or sech² is below 1e-17
    z, step = np.linspace(-reach, reach, 401, retstep=True)
    weight = step / math.sqrt(2 * math.pi) * np.exp(-(z**2) / 2)
    sech2 = np.cosh(root * z) ** -2
    # 1 − sech² cancels at small q, and truncating tanh² loses its tail at large q
    square = weight @ np.tanh(root * z) ** 2 if reach == 12 else 1 - weight @ sech2
    return float(square), float(weight @ sech2**2)


def _moments(q: float, activation: str) -> tuple[float, float]:
    """(∫Dz φ(√q z)², ∫Dz φ'(√q z)²) of tanh and sigmoid."""
    if activation == "tanh":
        return _tanh_moments(q)
    square, slope = _tanh_moments(q / 4)  # σ(a) = ½ + ½ tanh(a/2), and the cross term is odd
    return (1 + square) / 4, slope / 16


def _root(f: Callable[[float], float], low: float, high: float) -> float:
    from scipy.optimize import brentq  # slow to import, and rarely needed

    return float(np.asarray(brentq(f, low, high, xtol=1e-300, maxiter=2000)))


def q_star(
    sigma_w: float, sigma_b: float = 0.0, input_variance: float = 0.0, activation: str = "tanh"
) -> float:
    """q* = σ_w² ∫Dz φ(√q* z)² + σ_b² + v: the variance of a preactivation at the fixed point.

    For a wide network whose inputs are independent from step to step.

    Args:
        sigma_w: W_hh entries are N(0, σ_w²/H).
        sigma_b: standard deviation of the bias.
        input_variance: v, the second moment of one entry of W_xh x_t.
        activation: "tanh", "relu", "identity" or "sigmoid".
    Returns:
        q*, the stable fixed point; inf if there is none (relu for σ_w ≥ √2, identity for σ_w ≥ 1).
    Source: Poole et al. 2016 (arXiv 1606.05340); with inputs Chen, Pennington & Schoenholz 2018
    (arXiv 1806.05394).
    """
    _known(activation)
    _not_negative(sigma_w=sigma_w, sigma_b=sigma_b, input_variance=input_variance)
    drive = float(sigma_b**2 + input_variance)
    if activation in _HOMOGENEOUS:
        gain = sigma_w**2 * _HOMOGENEOUS[activation]
        return drive / (1 - gain) if gain < 1 else math.inf
    low = drive
    if activation == "tanh" and drive == 0:
        if sigma_w <= 1:
            return 0.0
        # q = 0 is unstable; the stable one is above ``least``, since tanh² x ≥ x² − ⅔x⁴
        least = (sigma_w - 1) * (sigma_w + 1) / (2 * sigma_w**2)
        if least < 1e-8:  # equal to it within the rounding of ``excess``
            return least
        low = least / 2

    def excess(q: float) -> float:
        return sigma_w**2 * _moments(q, activation)[0] + drive - q

    return _root(excess, low, sigma_w**2 + drive)  # φ² ≤ 1


def chi(
    sigma_w: float, sigma_b: float = 0.0, input_variance: float = 0.0, activation: str = "tanh"
) -> float:
    """χ = σ_w² ∫Dz φ'(√q* z)²: mean growth of ‖∂L/∂h‖² per step; it vanishes below 1.

    Args as :func:`q_star`. Source: Schoenholz et al. 2017 (arXiv 1611.01232); Chen, Pennington &
    Schoenholz 2018 (arXiv 1806.05394).
    """
    q = q_star(sigma_w, sigma_b, input_variance, activation)
    slope = _HOMOGENEOUS.get(activation) or _moments(q, activation)[1]
    return sigma_w**2 * slope


def depth_scale(
    sigma_w: float, sigma_b: float = 0.0, input_variance: float = 0.0, activation: str = "tanh"
) -> float:
    """ξ = −1/ln χ: the steps over which ‖∂L/∂h‖² falls by a factor e.

    Negative for χ > 1, where it grows by e over |ξ| steps; inf at χ = 1 (to rounding), 0 at χ = 0.
    Args as :func:`q_star`. Source: Schoenholz et al. 2017 (arXiv 1611.01232).
    """
    x = chi(sigma_w, sigma_b, input_variance, activation)
    if x == 0:
        return 0.0
    return math.inf if math.isclose(x, 1, rel_tol=1e-15) else -1 / math.log(x)


def trainable_length(
    sigma_w: float, sigma_b: float = 0.0, input_variance: float = 0.0, activation: str = "tanh"
) -> float:
    """6·|ξ| steps: about how far back such a network learns; an empirical rule.

    Args as :func:`q_star`. Source: Schoenholz et al. 2017 (arXiv 1611.01232).
    """
    return 6 * abs(depth_scale(sigma_w, sigma_b, input_variance, activation))


def critical_sigma_w(
    sigma_b: float = 0.0, input_variance: float = 0.0, activation: str = "tanh"
) -> float:
    """Return the σ_w with χ = 1: √2 for relu, 1 for identity, 1 for tanh without bias and input.

    Args as :func:`q_star`. Biases and inputs push tanh towards saturation and raise the critical
    σ_w.

    >>> round(critical_sigma_w(), 6), round(critical_sigma_w(input_variance=0.05), 2)
    (1.0, 1.33)
    """
    _known(activation)
    _not_negative(sigma_b=sigma_b, input_variance=input_variance)
    if activation in _HOMOGENEOUS:
        return 1 / math.sqrt(_HOMOGENEOUS[activation])
    if activation == "tanh" and sigma_b == 0 and input_variance == 0:
        return 1.0

    def excess(sigma_w: float) -> float:
        return chi(sigma_w, sigma_b, input_variance, activation) - 1

    high = 2.0  # χ ≤ σ_w²: no root below ½; χ ~ σ_w at large σ_w: a root exists
    while excess(high) < 0:
        high *= 2
    return _root(excess, 0.5, high)


def mean_field_adjoint_log10(
    sigma_w: float,
    lags: ArrayLike,
    sigma_b: float = 0.0,
    input_variance: float = 0.0,
    activation: str = "tanh",
) -> np.ndarray:
    """(k/2)·log10 χ: decades of ‖∂L/∂h‖ left after k steps, by mean field.

    For a wide network, k ≪ H, since W is tied over time (see :func:`naive_gaussian_log10`). Other
    args as :func:`q_star`.
    """
    return _power_log10(chi(sigma_w, sigma_b, input_variance, activation), _lags(lags) / 2)


# ---- gates -------------------------------------------------------------------------------------


def gate_retention_log10(forget_bias: float, lags: ArrayLike, variance: float = 0.0) -> np.ndarray:
    """(k/2)·log10 E σ(u)², u ~ N(b, q): decades kept over k steps by a gate, root mean square.

    Applies to f of an LSTM (b = b_f: ∂C_T/∂C_{T−k}) and to z of a GRU (b = b_z: ∂h_T/∂h_{T−k}),
    along the path through the gate alone; a gate without input and recurrent weights has q = 0.

    Args:
        forget_bias: b. lags: whole numbers k ≥ 0.
        variance: q of the preactivation, drawn anew at every step.

    >>> round(float(gate_retention_log10(1.0, 200)), 1)
    -27.2
    """
    if not math.isfinite(forget_bias):
        raise ValueError(f"forget_bias must be finite, got {forget_bias}")
    _not_negative(variance=variance)
    if variance == 0:
        return -_lags(lags) * np.logaddexp(0, -forget_bias) / _LN10
    return _power_log10(_Gate(forget_bias, variance).square, _lags(lags) / 2)


def chrono_retention(t_max: float, lags: ArrayLike) -> np.ndarray:
    """E σ(b)^k with b = log u, u ~ U[1, T_max−1]: the mean share that chrono biases keep.

    At k = T_max it tends to E₂(1) = ∫₀¹ e^{−1/v} dv = 0.1485 as T_max grows, since
    σ(log u) = u/(1+u) and (1 + 1/u)^−T_max → e^{−T_max/u}.

    Args:
        t_max: longest dependency, in steps, above 2.
        lags: whole numbers k ≥ 0.
    Source: Tallec & Ollivier 2018 (arXiv 1804.11188).

    >>> chrono_retention(10**6, 10**6).round(4).item()
    0.1485
    """
    if not 2 < t_max < math.inf:
        raise ValueError(f"t_max must be above 2 steps and finite, got {t_max}")
    k = _lags(lags)[..., None]
    nodes, weights = np.polynomial.legendre.leggauss(200)
    width = math.log(t_max - 1)
    b = width / 2 * (nodes + 1)  # over b = log u the integrand is smooth at any t_max
    retention = np.exp(b - k * np.logaddexp(0, -b))
    return retention @ weights * (width / 2 / (t_max - 2))


# ---- mean field of gated cells -----------------------------------------------------------------

_REACH, _NODES = 12.0, 2001  # of the trapezoid rule, exact to rounding at variances to 100
_UNITS, _STEPS = 2**14, 150  # sampled memories of an LSTM, and steps until they are stationary


def _over_gaussian(f: Callable[[np.ndarray], np.ndarray], mean: float, variance: float) -> float:
    """∫Dz f(mean + √variance z), where a gate is 1/√variance wide in z."""
    nodes = _NODES * max(1, math.ceil(math.sqrt(variance) / 10))
    z, step = np.linspace(-_REACH, _REACH, nodes, retstep=True)
    weight = step / math.sqrt(2 * math.pi) * np.exp(-(z**2) / 2)
    return float(weight @ f(mean + math.sqrt(variance) * z))


def _sigmoid(a: ArrayLike) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -np.asarray(a, np.float64)))  # exact at either end


class _Gate:
    """Moments of g = σ(u), u ~ N(bias, variance)."""

    def __init__(self, bias: float, variance: float) -> None:
        self.mean = _over_gaussian(_sigmoid, bias, variance)
        self.square = _over_gaussian(lambda a: _sigmoid(a) ** 2, bias, variance)
        self.slope_square = _over_gaussian(
            lambda a: (_sigmoid(a) * _sigmoid(-a)) ** 2, bias, variance
        )
        self.spread = self.square - self.mean**2


class GatedField(NamedTuple):
    """Mean field of a gated cell at initialization.

    Args:
        variance: E[h²] at the fixed point of the map of variances, with fresh weights at each step.
        chi: χ, mean growth of ‖∂L/∂s‖² per step if each step drew fresh weights.
        exponent: λ_1 of the cell, whose weights are the same at every step; nats per step.
    """

    variance: float
    chi: float
    exponent: float


def _tied(kept: float, fed_back: float, noise: float) -> float:
    """½ ln(m² + κ² + √(4m²κ² + V²)), λ of δ_{t+1} = m δ_t + κ η_t + noise, η = fixed W times δ.

    The noise has variance V·E[δ²] and is fresh at every step. Of δ_t ~ e^{λt} with spectrum Δ(ω),

        Δ(ω) = (κ² Δ(ω) + V ∫Δ) / |e^{λ+iω} − m|²,

    whose integral over ω gives λ. V = 0 is the spectral edge m + κ; κ = 0 is m² + V.
    """
    return math.log(kept**2 + fed_back**2 + math.hypot(2 * kept * fed_back, noise)) / 2


def gru_mean_field(
    sigma_w: float, input_variance: float = 0.0, update_bias: float = 0.0, reset_bias: float = 0.0
) -> GatedField:
    """Mean field of a GRU whose recurrent kernels are N(0, σ_w²/H), driven by white noise.

    With u_z, u_r ~ N(b, σ_w²Q + v), u_h ~ N(0, σ_w² E[r²]Q + v), h̃ = tanh(u_h):

        Q = E[z²] Q + E[(1−z)²] E[h̃²]
        χ = E[z²] + σ_w² E[z'²] E[(h−h̃)²] + σ_w² E[(1−z)²] E[h̃'²] (E[r²] + σ_w² E[r'²] Q)

    The exponent keeps what χ leaves out: W is the same at every step, so that paths through the
    same units at different times add up. E[z] and κ = σ_w E[1−z] E[h̃'] E[r] add coherently, the
    rest of χ as noise: λ = ½ ln(m² + κ² + √(4m²κ² + V²)), m = E[z], V = χ − m² − κ². Measured at
    H = 256 for σ_w ≤ 2: within 0.01; at σ_w = 3, v = 1 it is 0.04 too high, for gates that follow
    a slow state are no fresh noise.

    Args:
        sigma_w: of all three kernels.
        input_variance: v, variance of one entry of W_x x_t of each gate, independent over time.
        update_bias, reset_bias: b_z, b_r.
    Source: Q and χ after Gilboa et al. 2019 (arXiv 1901.08987); the exponent is ours.

    >>> field = gru_mean_field(0.0, update_bias=2.0)
    >>> math.isclose(field.exponent, -math.log1p(math.exp(-2)))  # h decays by σ(2) per step
    True
    """
    _not_negative(sigma_w=sigma_w, input_variance=input_variance)

    def moments(Q: float) -> tuple[_Gate, _Gate, float, float]:
        u = sigma_w**2 * Q + input_variance
        z, r = _Gate(update_bias, u), _Gate(reset_bias, u)
        return z, r, *_tanh_moments(sigma_w**2 * r.square * Q + input_variance)

    def excess(Q: float) -> float:
        z, _, square, _ = moments(Q)
        return z.square * Q + (1 - 2 * z.mean + z.square) * square - Q

    # without input Q = 0 is a fixed point, stable where the map is below the diagonal beside it
    least = 1e-12
    Q = _root(excess, least, 1.0) if excess(least) > 0 else 0.0
    z, r, square, slope_square = moments(Q)
    opened = 1 - 2 * z.mean + z.square  # E[(1 − z)²]
    slope = _over_gaussian(
        lambda a: 1 - np.tanh(a) ** 2, 0.0, sigma_w**2 * r.square * Q + input_variance
    )
    by_gates = z.slope_square * (Q + square)
    by_state = opened * slope_square * (r.square + sigma_w**2 * r.slope_square * Q)
    chi = z.square + sigma_w**2 * (by_gates + by_state)
    kappa = sigma_w * (1 - z.mean) * slope * r.mean
    return GatedField(Q, chi, _tied(z.mean, kappa, chi - z.mean**2 - kappa**2))


def lstm_mean_field(
    sigma_w: float,
    input_variance: float = 0.0,
    forget_bias: float = 1.0,
    input_bias: float = 0.0,
    output_bias: float = 0.0,
) -> GatedField:
    """Mean field of an LSTM whose recurrent kernels are N(0, σ_w²/H), driven by white noise.

    All preactivations are N(b, σ_w²Q + v), Q = E[h²] = E[o²] E[tanh²(C)]. C = fC + iC̃ is no
    Gaussian: a population of it is iterated to its stationary distribution, from a fixed seed, and
    with it v_C, v_h, the mean squares of a perturbation of each memory and of h:

        v_C ← f² v_C + σ_w² (C²f'² + C̃²i'² + i²C̃'²) v_h
        v_h ← E[o² sech⁴(C) v_C] + σ_w² E[tanh²(C)] E[o'²] v_h

    χ is their growth per step, to about 1%. The exponent as of :func:`gru_mean_field`, with
    m = E[f] and κ = σ_w E[i] E[C̃'] E[o] E[sech²(C)]. Measured at H = 256 with v = ½ and b_f = 1:
    within 0.002 at σ_w = 1, 0.016 too high at σ_w = 2; at σ_w = b_f = 3, v = 1 by 0.08.

    Args:
        sigma_w: of all four kernels.
        input_variance: v, variance of one entry of W_x x_t of each gate, independent over time.
        forget_bias, input_bias, output_bias: b_f, b_i, b_o.
    Source: Gilboa et al. 2019 (arXiv 1901.08987), who sample the memory too; the exponent is ours.

    >>> field = lstm_mean_field(0.0, forget_bias=1.0)
    >>> math.isclose(field.exponent, -math.log1p(math.exp(-1)))  # C decays by σ(1) per step
    True
    """
    _not_negative(sigma_w=sigma_w, input_variance=input_variance)
    rng, gain = np.random.default_rng(0), sigma_w**2
    C, v_C, v_h, Q = rng.standard_normal(_UNITS), np.ones(_UNITS), 0.0, 0.1
    kept = kappa = 0.0
    growth: list[float] = []
    for step in range(_STEPS):
        u_f, u_i, u_c, u_o = rng.standard_normal((4, _UNITS)) * math.sqrt(gain * Q + input_variance)
        f, i, o = (
            _sigmoid(bias + u)
            for bias, u in ((forget_bias, u_f), (input_bias, u_i), (output_bias, u_o))
        )
        closed, tilde = _sigmoid(-(forget_bias + u_f)), np.tanh(u_c)  # 1 − f and C̃
        if step < _STEPS // 2:  # a long memory reaches its stationary size at once
            size = np.mean(i**2) * np.mean(tilde**2) / np.mean(closed * (1 + f))
            C *= math.sqrt(size / max(np.mean(C**2), 1e-300))
        by_gates = (C * f * closed) ** 2 + (tilde * i * (1 - i)) ** 2 + (i * (1 - tilde**2)) ** 2
        C, v_C = f * C + i * tilde, f**2 * v_C + gain * by_gates * v_h
        out = np.tanh(C)
        v_h *= gain * np.mean(out**2) * np.mean((o * (1 - o)) ** 2)
        v_h += np.mean((o * (1 - out**2)) ** 2 * v_C)
        growth.append(float(np.mean(v_C) + v_h))
        v_C, v_h = v_C / growth[-1], v_h / growth[-1]
        Q = float(np.mean(o**2) * np.mean(out**2))
        slopes = np.mean(1 - tilde**2) * np.mean(1 - out**2)
        kept, kappa = float(np.mean(f)), float(sigma_w * np.mean(i) * np.mean(o) * slopes)
    chi = math.exp(np.mean(np.log(growth[_STEPS // 2 :])))
    return GatedField(Q, chi, _tied(kept, kappa, max(chi - kept**2 - kappa**2, 0.0)))


def critical_gain(kept: ArrayLike, fed_back: ArrayLike) -> float:
    """g_c = (mean_i (s_i/(1−m_i))²)^−½: the gain at which a resting network becomes chaotic.

    At h = 0 the Jacobian is diag(m) + g·diag(s)·W, W of entries N(0, 1/H): unit i keeps m_i of
    itself and takes s_i from the others. Its spectrum reaches the unit circle, at 1, where
    g² mean_i s_i²/(1−m_i)² = 1.

    Args:
        kept: m_i < 1, one per unit or one for all. fed_back: s_i likewise.
    Source: the edge of the spectrum, Ahmadian, Fumarola & Miller 2015 (arXiv 1311.4672); as a
    criterion for initializing gated cells, Fioratti, Marcaccioli & Casola 2026 (arXiv 2605.10650).

    >>> critical_gain(0.0, 1.0), critical_gain(0.5, 0.5)  # tanh; leaky tanh
    (1.0, 1.0)
    """
    m, s = np.broadcast_arrays(np.asarray(kept, np.float64), np.asarray(fed_back, np.float64))
    if not (np.isfinite(m).all() and np.isfinite(s).all() and (m < 1).all() and m.size):
        raise ValueError("kept must be below 1 and fed_back finite, one per unit or one for all")
    strength = float(np.mean((s / (1 - m)) ** 2))
    return strength**-0.5 if strength else math.inf


def gru_critical_gain(reset_bias: ArrayLike = 0.0) -> float:
    """g_c = E[σ(b_r)²]^−½ of a GRU at rest: 2 without bias, whatever b_z.

    Args:
        reset_bias: b_r, one per unit or one for all.
    Source: :func:`critical_gain` with m = z, s = (1−z) r.
    """
    return critical_gain(0.0, _sigmoid(reset_bias))


def lstm_critical_gain(
    forget_bias: ArrayLike = 1.0, input_bias: ArrayLike = 0.0, output_bias: ArrayLike = 0.0
) -> float:
    """g_c = (mean (i o/(1−f))²)^−½ of an LSTM at rest.

    Args:
        forget_bias, input_bias, output_bias: b_f, b_i, b_o, one per unit or one for all.
    Source: :func:`critical_gain` with m = f, s = i·o.

    >>> round(lstm_critical_gain(), 3), round(lstm_critical_gain(0.0), 3)
    (1.076, 2.0)
    """
    open_gates = _sigmoid(input_bias) * _sigmoid(output_bias)  # and 1 − f = σ(−b_f)
    return critical_gain(0.0, open_gates / _sigmoid(-np.asarray(forget_bias)))


# ---- task baselines ----------------------------------------------------------------------------


def copy_memory_baseline(delay: int, symbols: int = 8, length: int = 10) -> float:
    """length·ln(symbols)/(delay + 2·length): cross-entropy per step without memory, in nats.

    Such a model predicts "blank" for delay + length steps, correctly, and then guesses the symbols.

    Args:
        delay: blank steps between the symbols and their recall.
        symbols: size of the alphabet.
        length: number of symbols to recall.
    Source: Arjovsky, Shah & Bengio 2016 (arXiv 1511.06464).

    >>> round(copy_memory_baseline(100), 6)
    0.173287
    """
    for name, value, least in (("delay", delay, 0), ("symbols", symbols, 1), ("length", length, 1)):
        if not least <= value < math.inf:
            raise ValueError(f"{name} must be finite and at least {least}, got {value}")
    return length * math.log(symbols) / (delay + 2 * length)


def adding_baseline() -> float:
    """1/6: the mean squared error of the constant prediction 1.

    The target u + u', both U[0, 1] and independent, has mean 1, so this error is its variance,
    1/12 + 1/12. Source: Le, Jaitly & Hinton 2015 (arXiv 1504.00941).
    """
    return 1 / 6


# ---- λ-unit ------------------------------------------------------------------------------------


def _stable(lam: float) -> None:
    if not abs(lam) < 1:
        raise ValueError(f"lam must lie in (−1, 1), got {lam}")


def lambda_unit_second_moment(lam: float) -> float:
    """E[h²] = Σ_k λ^{2k} = 1/(1−λ²) of h_t = λh_{t−1} + x_t, x white noise of variance 1."""
    _stable(lam)
    return 1 / (1 - lam**2)


def lambda_unit_gradient_second_moment(lam: float) -> float:
    """E[(dh/dλ)²] = Σ_k k²λ^{2k−2} = (1+λ²)/(1−λ²)³ of the unit h_t = λh_{t−1} + x_t.

    x is white noise of variance 1, and dh_t/dλ = λ dh_{t−1}/dλ + h_{t−1}. It grows as (1−λ)^−3
    where E[h²] grows as (1−λ)^−1: long memory makes gradients steep although the unit is stable.
    Source: after Zucchet & Orvieto 2024 (arXiv 2405.21064).
    """
    _stable(lam)
    return (1 + lam**2) / (1 - lam**2) ** 3
