"""Closed forms that simulations are held against. float64 NumPy; imports nothing of the project.

Lags k count steps back in time; "log10" results are decades.
"""

import difflib
import math
from functools import lru_cache
from typing import Any

import numpy as np

_LN10 = math.log(10.0)
_ACTIVATIONS = ("tanh", "relu", "identity", "sigmoid")


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not value >= 0:
            raise ValueError(f"{name} must be at least 0, got {value}")


def _lags(lags: Any) -> np.ndarray:
    lags = np.asarray(lags)
    if not np.issubdtype(lags.dtype, np.integer) or (lags < 0).any():
        raise ValueError(f"lags must be whole numbers of at least 0, got {lags}")
    return lags


# ---- linear recurrence -------------------------------------------------------------------------


def linear_adjoint_log10(W: Any, g: Any, lags: Any) -> np.ndarray:
    """log10 ‖δ_{T−k}‖ of the linear RNN h_t = h_{t−1} W + …: δ_{T−k} = g (Wᵀ)^k.

    Args:
        W: recurrent kernel (H, H), (in, out) as in code.
        g: δ_T = ∂L/∂h_T (..., H).
        lags: whole numbers k ≥ 0, in any order, (K,).
    Returns:
        (..., K); −inf where the adjoint is exactly zero. Renormalised each step: 1e-500 is right.
    """
    W, g, lags = np.asarray(W, np.float64), np.asarray(g, np.float64), _lags(lags)
    if W.ndim != 2 or W.shape[0] != W.shape[1] or g.shape[-1] != W.shape[0]:
        raise ValueError(f"W must be (H, H) and g (..., H), got {W.shape} and {g.shape}")
    log10, at = np.zeros(g.shape[:-1]), []
    for k in range(int(lags.max(initial=0)) + 1):
        if k:
            g = g @ W.T
        norm = np.linalg.norm(g, axis=-1)
        with np.errstate(divide="ignore"):
            log10 = log10 + np.log10(norm)
        g = g / np.where(norm == 0, 1, norm)[..., None]
        at.append(log10)
    return np.stack(at, axis=-1)[..., lags]


def scaled_orthogonal_log10(alpha: float, lags: Any) -> np.ndarray:
    """k·log10 α: what W = αQ, QᵀQ = I, keeps of a gradient over k steps, exactly.

    >>> scaled_orthogonal_log10(0.1, [1, 100]).tolist()
    [-1.0, -100.0]
    """
    if not alpha > 0:
        raise ValueError(f"alpha must be above 0, got {alpha}")
    return _lags(lags) * math.log10(alpha)


def naive_gaussian_log10(sigma_w: float, lags: Any) -> np.ndarray:
    """k·log10 σ_w: the growth of a *fresh* Gaussian W, N(0, σ_w²/H), at each of k steps.

    A recurrent network ties W over time, and at finite width W^k does not follow σ_w^k: at
    H = 128, k = 100 and σ_w = 1 it is 10^(1.2 ± 1.4). Hold such a network against
    :func:`linear_adjoint_log10` of its own W.
    """
    return scaled_orthogonal_log10(sigma_w, lags)


def sufficient_vanishing(W: Any, activation: str = "tanh") -> tuple[float, float]:
    """(γ·λ₁, its log10): the gradient shrinks at least by this factor a step if it is below 1.

    λ₁ is the largest singular value of W, γ = max|f'|: 1 for tanh, relu and identity, ¼ for the
    sigmoid. Source: Pascanu, Mikolov & Bengio 2013 (arXiv 1211.5063), §2.1.
    """
    _known(activation)
    bound = float(np.linalg.norm(np.asarray(W, np.float64), 2))
    bound *= 0.25 if activation == "sigmoid" else 1.0
    return bound, math.log10(bound) if bound > 0 else -math.inf


# ---- mean field --------------------------------------------------------------------------------


def _known(activation: str) -> None:
    if activation not in _ACTIVATIONS:
        near = difflib.get_close_matches(str(activation), _ACTIVATIONS, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"unknown activation {activation!r}{hint} (allowed: {', '.join(_ACTIVATIONS)})"
        )


@lru_cache(maxsize=1)
def _gauss() -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of ∫Dz, even over ±12 (trapezoid: exponentially exact here)."""
    z = np.linspace(-12, 12, 4801)
    w = np.exp(-(z**2) / 2)
    return z, w / w.sum()


def _moments(q: float, activation: str) -> tuple[float, float]:
    """(∫Dz φ(√q z)², ∫Dz φ'(√q z)²)."""
    if activation == "identity":
        return q, 1.0
    if activation == "relu":
        return q / 2, 0.5
    z, w = _gauss()
    a = math.sqrt(q) * z
    if activation == "tanh":
        f = np.tanh(a)
        return float(w @ f**2), float(w @ (1 - f**2) ** 2)
    f = 0.5 * (1 + np.tanh(a / 2))
    return float(w @ f**2), float(w @ (f * (1 - f)) ** 2)


def q_star(
    sigma_w: float, sigma_b: float = 0.0, input_variance: float = 0.0, activation: str = "tanh"
) -> float:
    """q* = σ_w² ∫Dz φ(√q* z)² + σ_b² + v: the variance of a preactivation at the fixed point.

    Args:
        sigma_w: W_hh entries are N(0, σ_w²/H). sigma_b: standard deviation of the bias.
        input_variance: v, the second moment of one entry of W_xh x_t.
        activation: "tanh", "relu", "identity" or "sigmoid".
    Returns:
        q*, inf where it diverges (relu from σ_w = √2, identity from 1, unless all is zero).
    Source: Poole et al. 2016; Chen, Pennington & Schoenholz 2018 (arXiv 1806.05394), eq. 8.
    """
    _known(activation)
    _positive(sigma_w=sigma_w, sigma_b=sigma_b, input_variance=input_variance)
    drive = sigma_b**2 + input_variance
    if activation in ("identity", "relu"):
        gain = sigma_w**2 * (0.5 if activation == "relu" else 1.0)
        if drive == 0:
            return 0.0
        return drive / (1 - gain) if gain < 1 else math.inf
    if activation == "tanh" and drive == 0 and sigma_w <= 1:
        return 0.0
    from scipy.optimize import brentq

    def excess(q: float) -> float:
        return sigma_w**2 * _moments(q, activation)[0] + drive - q

    # φ² ≤ 1 bounds q from above; the stable fixed point is the largest
    return float(brentq(excess, max(drive, 1e-12), sigma_w**2 + drive + 1e-9, xtol=1e-14))


def chi(
    sigma_w: float, sigma_b: float = 0.0, input_variance: float = 0.0, activation: str = "tanh"
) -> float:
    """χ = σ_w² ∫Dz φ'(√q* z)²: mean growth of ‖∂L/∂h‖² a step. Below 1 it vanishes.

    Args as :func:`q_star`. Source: Schoenholz et al. 2017, eq. 5; Chen et al. 2018.
    """
    q = q_star(sigma_w, sigma_b, input_variance, activation)
    return sigma_w**2 * _moments(1.0 if math.isinf(q) else q, activation)[1]


def depth_scale(
    sigma_w: float, sigma_b: float = 0.0, input_variance: float = 0.0, activation: str = "tanh"
) -> float:
    """ξ = −1/ln χ, steps over which ‖∂L/∂h‖² falls by e; inf at χ = 1, negative where it grows."""
    x = chi(sigma_w, sigma_b, input_variance, activation)
    if x == 0:
        return 0.0
    return math.inf if x == 1 else -1 / math.log(x)


def trainable_length(
    sigma_w: float, sigma_b: float = 0.0, input_variance: float = 0.0, activation: str = "tanh"
) -> float:
    """6·|ξ| steps: how far back such a network learns. Source: Schoenholz et al. 2017, §6."""
    return 6 * abs(depth_scale(sigma_w, sigma_b, input_variance, activation))


def critical_sigma_w(
    sigma_b: float = 0.0, input_variance: float = 0.0, activation: str = "tanh"
) -> float:
    """The σ_w at which χ = 1.

    >>> round(critical_sigma_w(), 6), round(critical_sigma_w(input_variance=0.05), 2)
    (1.0, 1.33)
    """
    _known(activation)
    _positive(sigma_b=sigma_b, input_variance=input_variance)
    if activation in ("identity", "relu"):
        return math.sqrt(2.0) if activation == "relu" else 1.0
    if activation == "tanh" and sigma_b == 0 and input_variance == 0:
        return 1.0
    from scipy.optimize import brentq

    high = 2.0
    while chi(high, sigma_b, input_variance, activation) < 1:
        high *= 2
        if high > 1e3:
            raise ValueError(f"no σ_w below 1000 makes {activation} critical at sigma_b={sigma_b}, "
                             f"input_variance={input_variance}")  # fmt: skip
    return float(brentq(lambda s: chi(s, sigma_b, input_variance, activation) - 1, 1e-3, high))


def mean_field_adjoint_log10(
    sigma_w: float,
    lags: Any,
    sigma_b: float = 0.0,
    input_variance: float = 0.0,
    activation: str = "tanh",
) -> np.ndarray:
    """(k/2)·log10 χ: decades of gradient left after k steps, by mean field. Args: :func:`q_star`."""
    x = chi(sigma_w, sigma_b, input_variance, activation)
    lags = _lags(lags)
    if x == 0:
        return np.where(lags == 0, 0.0, -np.inf)
    return lags / 2 * math.log10(x)


# ---- gates -------------------------------------------------------------------------------------


def gate_retention_log10(forget_bias: float, lags: Any) -> np.ndarray:
    """k·log10 σ(b): what a gate with no input keeps over k steps (f of an LSTM, z of a GRU)."""
    return -_lags(lags) * np.logaddexp(0, -forget_bias) / _LN10


def chrono_retention(t_max: float, lags: Any) -> np.ndarray:
    """E σ(b)^k with b = log u, u ~ U[1, T_max−1]: mean over units of what chrono biases keep.

    At k = T_max it tends to E₂(1) = .1485 as T_max grows.
    Source: Tallec & Ollivier 2018 (arXiv 1804.11188), eq. 16; σ(log u) = u/(1+u).
    """
    if not t_max > 2:
        raise ValueError(f"t_max must be above 2 steps, got {t_max}")
    nodes, weights = np.polynomial.legendre.leggauss(2000)
    u = 1 + (t_max - 2) * (nodes + 1) / 2
    k = _lags(lags)[..., None]
    return (weights / 2 * np.exp(-k * np.log1p(1 / u))).sum(axis=-1)


# ---- task baselines ----------------------------------------------------------------------------


def copy_memory_baseline(delay: int, symbols: int = 8, length: int = 10) -> float:
    """length·ln(symbols)/(delay + 2·length): cross-entropy a step of one with no memory, nats.

    It says "blank" until the end and guesses the symbols. Source: Arjovsky et al. 2016, §4.1.

    >>> round(copy_memory_baseline(100), 6)
    0.173287
    """
    if delay < 0 or symbols < 2 or length < 1:
        raise ValueError(f"needs delay ≥ 0, symbols ≥ 2 and length ≥ 1, got {delay}, {symbols}, "
                         f"{length}")  # fmt: skip
    return length * math.log(symbols) / (delay + 2 * length)


def adding_baseline() -> float:
    """1/6: mean squared error of always saying 1 = E[u + u'], the variance of two uniforms.

    Var u = 1/12. Source: Hochreiter & Schmidhuber 1997, experiment 4; Le et al. 2015.
    """
    return 1 / 6


# ---- λ-unit ------------------------------------------------------------------------------------


def _stable(lam: float) -> None:
    if not abs(lam) < 1:
        raise ValueError(f"lam must lie in (−1, 1), got {lam}")


def lambda_unit_second_moment(lam: float) -> float:
    """E[h²] = 1/(1−λ²) of h_t = λh_{t−1} + x_t, x white noise of variance 1."""
    _stable(lam)
    return 1 / (1 - lam**2)


def lambda_unit_gradient_second_moment(lam: float) -> float:
    """E[(dh/dλ)²] = (1+λ²)/(1−λ²)³: gradients grow with memory though the unit is stable.

    Source: Zucchet & Orvieto 2024 (arXiv 2405.21064), §2.
    """
    _stable(lam)
    return (1 + lam**2) / (1 - lam**2) ** 3
