"""Closed forms, each held against a simulation or a quadrature written another way."""

import math
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, optimize, special, stats

from rnnlab import theory

ACTIVATIONS = {  # name: (f, f')
    "tanh": (np.tanh, lambda a: 4 * special.expit(2 * a) * special.expit(-2 * a)),
    "relu": (lambda a: np.maximum(a, 0), lambda a: (a > 0) * 1.0),
    "identity": (lambda a: a, np.ones_like),
    "sigmoid": (special.expit, lambda a: special.expit(a) * special.expit(-a)),
}


def gaussian(H: int, sigma_w: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, sigma_w / math.sqrt(H), (H, H))


def orthogonal(H: int, seed: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(H, H)))[0]


# ---- linear recurrence -------------------------------------------------------------------------


def test_linear_adjoint_is_the_gradient_of_the_recurrence():
    # central differences of L = g·h_T along h_t = h_{t−1} W: exact, for L is linear in h_0
    W, rng = gaussian(5, 0.9, 0), np.random.default_rng(1)
    g, k = rng.normal(size=5), 4

    def loss(h: np.ndarray) -> float:
        for _ in range(k):
            h = h @ W
        return float(g @ h)

    gradient = [(loss(e) - loss(-e)) / 2 for e in np.eye(5)]
    expected = math.log10(np.linalg.norm(gradient))
    np.testing.assert_allclose(theory.linear_adjoint_log10(W, g, [k]), [expected], rtol=1e-12)


def test_linear_adjoint_equals_explicit_powers():
    W, g = gaussian(16, 1.0, 0), np.random.default_rng(1).normal(size=(3, 2, 16))
    lags = np.array([20, 0, 7, 7])
    expected = [np.linalg.norm(g @ np.linalg.matrix_power(W, k).T, axis=-1) for k in lags]
    got = theory.linear_adjoint_log10(W, g, lags)
    assert got.shape == (3, 2, 4)
    np.testing.assert_allclose(got, np.log10(np.stack(expected, -1)), atol=1e-12)


def test_linear_adjoint_beyond_float64():
    # in exact rationals: the powers of a Jordan block at 1e-1050 and 1e+1000
    k, g = 500, [Fraction(2), Fraction(1)]
    for diagonal in (Fraction(1, 128), Fraction(100)):
        # W = [[a, 1], [0, a]]: g (Wᵀ)^k = [g₀a^k + g₁k·a^(k−1), g₁a^k]
        a = diagonal
        adjoint = [g[0] * a**k + g[1] * k * a ** (k - 1), g[1] * a**k]
        square = sum(x * x for x in adjoint)
        expected = (math.log10(square.numerator) - math.log10(square.denominator)) / 2
        W = np.array([[a, 1], [0, a]], float)
        got = theory.linear_adjoint_log10(W, np.array(g, float), [k]).item()
        assert got == pytest.approx(expected, abs=1e-9)
        assert abs(got) > 900


def test_linear_adjoint_of_tiny_and_huge_cotangents():
    W = orthogonal(4, 0)
    for decade in (-310, -200, 200, 300):
        got = theory.linear_adjoint_log10(W, np.eye(4)[0] * 10.0**decade, [0, 50])
        np.testing.assert_allclose(got, decade, atol=1e-10)


def test_linear_adjoint_is_minus_inf_only_where_exactly_zero():
    shift = np.eye(3, k=1)  # h W moves h up; the adjoint moves down and off the end
    g = np.stack([np.eye(3)[2], np.eye(3)[0], np.zeros(3), [np.nan, 1, 1], [np.inf, 1, 1]])
    got = theory.linear_adjoint_log10(shift, g, range(4))
    np.testing.assert_array_equal(got[0], [0, 0, 0, -np.inf])
    np.testing.assert_array_equal(got[1], [0] + [-np.inf] * 3)
    np.testing.assert_array_equal(got[2], [-np.inf] * 4)
    assert np.isnan(got[3:]).all()  # an overflowed forward pass has no adjoint


def test_scaled_orthogonal_is_exact():
    lags = np.arange(0, 400, 50)
    for alpha in (0.9, 1.0, 1.1):
        expected = theory.linear_adjoint_log10(alpha * orthogonal(32, 3), np.eye(32)[0], lags)
        np.testing.assert_allclose(theory.scaled_orthogonal_log10(alpha, lags), expected, atol=1e-9)
    np.testing.assert_array_equal(theory.scaled_orthogonal_log10(0, [0, 1]), [0, -np.inf])


def test_naive_gaussian_holds_for_fresh_weights():
    rng, H, k, sigma_w = np.random.default_rng(0), 256, 20, 0.7
    g = rng.normal(size=(16, H))
    start = np.log10(np.linalg.norm(g, axis=-1))
    for step in range(k):
        g = g @ gaussian(H, sigma_w, step).T
    left = np.log10(np.linalg.norm(g, axis=-1)) - start
    # log10 of a χ²_H mean has deviation .43·√(2/H)/2 a step: .085 after 20, shared in part
    assert abs(left.mean() - theory.naive_gaussian_log10(sigma_w, k)) < 0.2


def test_naive_gaussian_fails_for_tied_weights_as_its_docstring_says():
    H, k, left = 128, 100, []
    for seed in range(60):
        g = np.random.default_rng(1000 + seed).normal(size=H)
        curve = theory.linear_adjoint_log10(gaussian(H, 1.0, seed), g, [0, k])
        left.append(curve[1] - curve[0])
    assert theory.naive_gaussian_log10(1.0, k) == 0
    assert np.mean(left) == pytest.approx(1.2, abs=0.5)  # standard error .18
    assert np.std(left) == pytest.approx(1.4, abs=0.4)


def test_sufficient_vanishing_bounds_every_step():
    rng = np.random.default_rng(0)
    for name, (_, slope) in ACTIVATIONS.items():
        W = gaussian(24, 0.4, 1) * (4 if name == "sigmoid" else 1)
        bound, rate = theory.sufficient_vanishing(W, name)
        assert bound < 1
        assert rate == math.log10(bound)
        for _ in range(50):
            g = rng.normal(size=24)
            step = (g * slope(rng.normal(size=24))) @ W.T
            assert np.linalg.norm(step) <= bound * np.linalg.norm(g)
    # and is reached: along the singular vector, where the slope is largest, at a = 0
    W = gaussian(24, 0.4, 1)
    g = np.linalg.svd(W)[2][0]
    for name in ("tanh", "identity", "sigmoid"):
        step = (g * ACTIVATIONS[name][1](np.zeros(24))) @ W.T
        assert np.linalg.norm(step) == pytest.approx(theory.sufficient_vanishing(W, name)[0])
    assert theory.sufficient_vanishing(np.zeros((2, 2))) == (0, -math.inf)


# ---- mean field --------------------------------------------------------------------------------


def expectation(f, q: float) -> float:
    """∫Dz f(√q z) by adaptive quadrature."""
    root = math.sqrt(q)
    scales = [s for s in (0.01, 0.1, 1, 3, 10, 30, 100) if s / root < 38] if root else []
    points = sorted({0.0, *(sign * s / root for s in scales for sign in (-1, 1))})

    def integrand(z: float) -> float:
        return stats.norm.pdf(z) * f(root * z)

    edges = [-38, *(p for p in points if abs(p) < 38), 38]
    parts = (
        integrate.quad(integrand, a, b, epsabs=1e-18, epsrel=1e-11)[0] for a, b in pairwise(edges)
    )
    return sum(parts)


def fixed_point(sigma_w: float, drive: float, name: str) -> float:
    """q* by secants, from above: the map is concave, so they come down on the largest root."""
    f, high = ACTIVATIONS[name][0], sigma_w**2 + drive

    def excess(q: float) -> float:
        return sigma_w**2 * expectation(lambda a: f(a) ** 2, q) + drive - q

    found = optimize.root_scalar(
        excess, x0=high, x1=0.9 * high, method="secant", xtol=1e-300, rtol=1e-11
    )
    assert found.converged
    return found.root


@pytest.mark.parametrize(
    ("name", "sigma_w", "sigma_b", "input_variance"),
    [
        ("tanh", 0.7, 0, 0.05),
        ("tanh", 1.5, 0.2, 0.1),
        ("tanh", 2.0, 0, 0),
        ("tanh", 30.0, 0, 0),
        ("tanh", 0.5, 0, 1e-8),
        ("relu", 1.2, 0.1, 0.3),
        ("identity", 0.8, 0.1, 0.5),
        ("sigmoid", 6.0, 0.3, 0.2),
    ],
)
def test_mean_field_against_adaptive_quadrature(name, sigma_w, sigma_b, input_variance):
    args = (sigma_w, sigma_b, input_variance, name)
    q = fixed_point(sigma_w, sigma_b**2 + input_variance, name)
    assert theory.q_star(*args) == pytest.approx(q, rel=1e-9, abs=0)
    x = sigma_w**2 * expectation(lambda a: ACTIVATIONS[name][1](a) ** 2, q)
    assert theory.chi(*args) == pytest.approx(x, rel=1e-9)


@pytest.mark.parametrize("drive", [1e-6, 0.1, 2.5, 2.9, 10, 1e3, 1e6])
def test_quadrature_is_accurate_at_every_scale(drive):
    # σ_w → 0 leaves q* = drive, so that χ/σ_w² and (q* − drive)/σ_w² are the moments at that q
    for name in ("tanh", "sigmoid"):
        f, slope = ACTIVATIONS[name]
        got = theory.chi(1e-6, 0, drive, name) * 1e12
        assert got == pytest.approx(expectation(lambda a, s=slope: s(a) ** 2, drive), rel=1e-9)
        q = theory.q_star(1.0, 0, drive, name)
        moment = expectation(lambda a, f=f: f(a) ** 2, q)
        assert q == pytest.approx(moment + drive, rel=1e-10)


def test_q_star_near_the_transition():
    # q = σ²(q − 2q² + …): q* → ε/2 as σ² = 1 + ε, and χ = 1 + 4q*²/3
    for sigma_w in (1 + 5e-5, 1 + 5e-7, 1 + 5e-11):
        epsilon = float(Fraction(sigma_w) ** 2 - 1)  # unrounded
        assert theory.q_star(sigma_w) == pytest.approx(epsilon / 2, rel=3 * epsilon + 1e-9, abs=0)
        assert theory.chi(sigma_w) == pytest.approx(1 + epsilon**2 / 3, abs=epsilon**3 + 1e-14)
    assert theory.q_star(1.0) == theory.q_star(0.3) == 0
    assert theory.q_star(np.nextafter(1, 2)) == pytest.approx(np.spacing(1.0), rel=1e-9, abs=0)
    assert theory.q_star(0.5, 0, 1e-14) == pytest.approx(1e-14 / 0.75, rel=1e-9, abs=0)
    assert theory.q_star(0, 0.1) == pytest.approx(0.01)


def test_q_star_diverges_where_nothing_saturates():
    for name, critical in (("relu", math.sqrt(2)), ("identity", 1.0)):
        assert theory.q_star(critical + 1e-9, 0, 0.1, name) == math.inf
        assert theory.q_star(critical - 1e-3, 0, 0.1, name) < math.inf
        assert theory.chi(3.0, 0, 0.1, name) == pytest.approx((3 / critical) ** 2)
        assert theory.q_star(0.5, 0, 0, name) == 0
    assert theory.q_star(1.0, 0, 0.1, "identity") == math.inf


def simulate(name, sigma_w, sigma_b, input_variance, seed, H=1000, B=8, D=300, warm=25, lag=10):
    """(mean square preactivation, decades of ‖δ‖ over ``lag`` steps) of one wide tied RNN."""
    rng = np.random.default_rng([seed, 1])  # not W's own numbers
    f, slope = ACTIVATIONS[name]
    W = gaussian(H, sigma_w, seed)
    W_xh = rng.normal(0, math.sqrt(input_variance / D), (D, H))
    b, h, before = rng.normal(0, sigma_b, H), rng.normal(size=(B, H)), []
    for _ in range(warm + lag):
        a = h @ W + rng.normal(size=(B, D)) @ W_xh + b
        before.append(a)
        h = f(a)
    g = rng.normal(size=(B, H))
    start = np.linalg.norm(g, axis=-1)
    for a in reversed(before[-lag:]):
        g = (g * slope(a)) @ W.T
    q = np.mean(np.square(before[-lag:]))
    return q, np.log10(np.linalg.norm(g, axis=-1) / start).mean()


@pytest.mark.parametrize(
    ("name", "sigma_w", "sigma_b", "input_variance", "q_tolerance", "log_tolerance"),
    # Four networks of 1000 units. The standard error of their mean q* is .6% where the activation
    # is odd, and up to 6% where its mean drives a constant along; of their decades .01 and .04.
    # Tolerances are two to four of these; 5% off in χ would be .11 decades at lag 10.
    [
        ("tanh", 0.7, 0, 0.05, 0.02, 0.04),
        ("tanh", 1.5, 0.2, 0.1, 0.02, 0.04),
        ("tanh", 3.0, 0, 0.5, 0.02, 0.04),
        ("tanh", 1.8, 0, 0, 0.02, 0.04),
        ("identity", 0.8, 0.1, 0.5, 0.02, 0.04),
        ("relu", 1.2, 0.1, 0.3, 0.12, 0.1),
        ("sigmoid", 6.0, 0.3, 0.2, 0.12, 0.1),
    ],
)
def test_mean_field_against_wide_networks(
    name, sigma_w, sigma_b, input_variance, q_tolerance, log_tolerance
):
    networks = [simulate(name, sigma_w, sigma_b, input_variance, seed) for seed in range(4)]
    q, decades = np.mean(networks, axis=0)
    assert theory.q_star(sigma_w, sigma_b, input_variance, name) == pytest.approx(
        q, rel=q_tolerance
    )
    line = theory.mean_field_adjoint_log10(sigma_w, [0, 10], sigma_b, input_variance, name)
    assert line[0] == 0
    assert line[1] == pytest.approx(decades, abs=log_tolerance)


def test_critical_sigma_w():
    assert theory.critical_sigma_w() == 1
    assert theory.critical_sigma_w(input_variance=0.05) == pytest.approx(1.33, abs=0.005)
    assert theory.critical_sigma_w(activation="relu") == pytest.approx(math.sqrt(2))
    assert theory.critical_sigma_w(activation="identity") == 1
    for name in ("tanh", "sigmoid"):
        for sigma_b, variance in ((0, 1e-12), (0.3, 0), (0.1, 0.05), (0, 1e6)):
            sigma_w = theory.critical_sigma_w(sigma_b, variance, name)
            assert theory.chi(sigma_w, sigma_b, variance, name) == pytest.approx(1, abs=1e-9)
            assert theory.chi(0.99 * sigma_w, sigma_b, variance, name) < 1
            assert theory.chi(1.01 * sigma_w, sigma_b, variance, name) > 1


def test_critical_sigma_w_by_quadrature():
    def x(sigma_w: float) -> float:
        q = fixed_point(sigma_w, 0.05, "tanh")
        return sigma_w**2 * expectation(lambda a: ACTIVATIONS["tanh"][1](a) ** 2, q)

    critical = theory.critical_sigma_w(input_variance=0.05)
    assert x(critical) == pytest.approx(1, abs=1e-8)


def test_depth_scale():
    for sigma_w in (0.5, 0.9, 2.0):
        xi = theory.depth_scale(sigma_w)
        assert (xi > 0) == (sigma_w < 1)
        # over |ξ| steps the squared norm changes by e, the norm by √e
        rate = theory.mean_field_adjoint_log10(sigma_w, 1)
        assert xi * rate == pytest.approx(-math.log10(math.e) / 2)
        assert theory.trainable_length(sigma_w) == pytest.approx(6 * abs(xi))
    assert theory.depth_scale(0.5) == pytest.approx(1 / math.log(4))
    assert theory.depth_scale(1.0) == theory.trainable_length(1.0) == math.inf
    assert theory.depth_scale(math.sqrt(2), activation="relu") == math.inf
    assert theory.depth_scale(0) == 0
    np.testing.assert_array_equal(theory.mean_field_adjoint_log10(0, [0, 1]), [0, -np.inf])


# ---- gates -------------------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [-2.0, 0.0, 1.0, 5.0])
def test_gate_retention_of_scalar_gates(bias):
    # LSTM: C = fC + i·C̃; GRU: h = zh + (1−z)h̃, gates and candidates fed by the input alone
    rng, k = np.random.default_rng(0), 30
    gate = 1 / (1 + math.exp(-bias))
    inputs = np.tanh(rng.normal(size=k))

    def lstm(C: float) -> float:
        for x in inputs:
            C = gate * C + 0.5 * x
        return C

    def gru(h: float) -> float:
        for x in inputs:
            h = gate * h + (1 - gate) * x
        return h

    for cell in (lstm, gru):  # linear in the state: the difference is the derivative
        kept = (cell(1e6) - cell(-1e6)) / 2e6
        got = 10.0 ** theory.gate_retention_log10(bias, k)
        assert got == pytest.approx(kept, rel=1e-8, abs=1e-12)


def test_gate_retention_where_float64_underflows():
    assert theory.gate_retention_log10(1.0, 200) == pytest.approx(math.log10(6.2e-28), abs=0.01)
    assert theory.gate_retention_log10(-800.0, 10) == pytest.approx(-8000 / math.log(10))
    np.testing.assert_array_equal(theory.gate_retention_log10(800.0, [0, 5]), [0, 0])


def test_chrono_retention_of_drawn_biases():
    t_max, lags = 50, np.array([0, 1, 10, 50, 200])
    b = np.log(np.random.default_rng(0).uniform(1, t_max - 1, 400_000))
    kept = np.stack([special.expit(b) ** k for k in lags])
    error = kept.std(axis=1) / math.sqrt(b.size)
    assert (
        np.abs(theory.chrono_retention(t_max, lags) - kept.mean(axis=1)) <= 4 * error + 1e-12
    ).all()


@pytest.mark.parametrize("t_max", [2.001, 3, 200, 10**5])
def test_chrono_retention_against_quadrature(t_max):
    for k in (1, 7, 200, 3 * 10**4):
        edges = [u for u in (1, 2, 10, 100, 1000, 10**4) if u < t_max - 1] + [t_max - 1]
        total = sum(
            integrate.quad(lambda u, k=k: (u / (1 + u)) ** k, a, b, epsabs=0, epsrel=1e-11)[0]
            for a, b in pairwise(edges)
        )
        expected = total / (t_max - 2)
        got = theory.chrono_retention(t_max, k)
        assert got == pytest.approx(expected, rel=1e-9, abs=1e-300)


def test_chrono_retention_tends_to_the_exponential_integral():
    limit = special.expn(2, 1)
    assert round(limit, 4) == 0.1485
    for t_max in (10**3, 10**6, 10**9):
        assert theory.chrono_retention(t_max, t_max) == pytest.approx(limit, abs=1 / t_max)


# ---- task baselines ----------------------------------------------------------------------------


def test_copy_memory_baseline_against_the_table():
    published = {100: 0.173287, 200: 0.094520, 300: 0.064983, 500: 0.039989, 2000: 0.010294}
    for delay, nats in published.items():
        assert theory.copy_memory_baseline(delay) == pytest.approx(nats, abs=5e-7)


@pytest.mark.parametrize(("delay", "symbols", "length"), [(30, 8, 10), (0, 3, 4), (7, 1, 2)])
def test_copy_memory_baseline_of_drawn_sequences(delay, symbols, length):
    # the best prediction without the inputs is how often each symbol stands at each step
    n, steps = 20_000, delay + 2 * length
    targets = np.zeros((n, steps), int)  # 0 is blank
    targets[:, -length:] = np.random.default_rng(0).integers(1, symbols + 1, (n, length))
    nats = 0.0
    for t in range(steps):
        share = np.bincount(targets[:, t], minlength=symbols + 1) / n
        nats -= np.log(share[targets[:, t]]).mean() / steps
    # the fitted shares are too good by symbols/(2n): far below the tolerance
    assert theory.copy_memory_baseline(delay, symbols, length) == pytest.approx(nats, rel=1e-3)


def test_adding_baseline_of_drawn_sequences():
    rng, n = np.random.default_rng(0), 400_000
    values, rows = rng.uniform(size=(n, 6)), np.arange(n)
    first, second = rng.integers(0, 3, n), rng.integers(3, 6, n)
    targets = values[rows, first] + values[rows, second]
    errors = {c: np.mean((targets - c) ** 2) for c in (0.9, 1.0, 1.1)}
    assert min(errors, key=errors.__getitem__) == 1.0
    # deviation of the squared error is .2: standard error 3e-4
    assert theory.adding_baseline() == pytest.approx(errors[1.0], abs=1.2e-3)


# ---- λ-unit ------------------------------------------------------------------------------------


@pytest.mark.parametrize("lam", [0.0, -0.6, 0.5, 0.9, 0.97])
def test_lambda_unit_against_simulation(lam):
    rng, chains = np.random.default_rng(0), 40_000
    h, s = np.zeros(chains), np.zeros(chains)
    for _ in range(max(30, round(12 / (1 - abs(lam))))):  # λ^12/(1−λ) < 1e-5: stationary
        s = lam * s + h
        h = lam * h + rng.normal(size=chains)
    # both are Gaussian, so a second moment has a relative standard error √(2/chains) = .7%
    assert theory.lambda_unit_second_moment(lam) == pytest.approx(np.mean(h**2), rel=0.03)
    got = theory.lambda_unit_gradient_second_moment(lam)
    assert got == pytest.approx(np.mean(s**2), rel=0.03)


@pytest.mark.parametrize("lam", [-0.99, 0.3, 0.999])
def test_lambda_unit_against_its_series(lam):
    k = np.arange(1, 60_000)
    power = np.float64(lam) ** (2 * k - 2)
    assert theory.lambda_unit_second_moment(lam) == pytest.approx(power.sum())
    got = theory.lambda_unit_gradient_second_moment(lam)
    assert got == pytest.approx((k.astype(float) ** 2 * power).sum())


# ---- bad values --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: theory.linear_adjoint_log10(np.ones((2, 3)), np.ones(2), [1]), r"\(2, 3\)"),
        (lambda: theory.linear_adjoint_log10(np.eye(2), np.ones(3), [1]), r"\(\.\.\., 2\).*\(3,\)"),
        (lambda: theory.linear_adjoint_log10(np.eye(2), 1.0, [1]), r"got \(\)"),
        (lambda: theory.linear_adjoint_log10(np.eye(2) * np.nan, np.ones(2), [1]), "nan"),
        (lambda: theory.linear_adjoint_log10(np.eye(2), np.ones(2), [-1]), "lags"),
        (lambda: theory.scaled_orthogonal_log10(0.9, [0.5]), "whole numbers"),
        (lambda: theory.scaled_orthogonal_log10(-1, [1]), "alpha .* got -1"),
        (lambda: theory.naive_gaussian_log10(-1, [1]), "sigma_w .* got -1"),
        (lambda: theory.sufficient_vanishing(np.ones(3)), r"\(3,\)"),
        (lambda: theory.sufficient_vanishing(np.eye(3), "softsign"), "allowed: tanh"),
        (lambda: theory.q_star(-1), "sigma_w .* got -1"),
        (lambda: theory.q_star(math.nan), "sigma_w .* got nan"),
        (lambda: theory.q_star(1, math.inf), "sigma_b .* got inf"),
        (lambda: theory.chi(1, 0, -0.1), "input_variance .* got -0.1"),
        (lambda: theory.depth_scale(1, -1), "sigma_b .* got -1"),
        (lambda: theory.trainable_length(1, activation="sigmod"), "did you mean 'sigmoid'"),
        (lambda: theory.chi(1, activation="tahn"), "unknown activation 'tahn'; .* 'tanh'"),
        (lambda: theory.critical_sigma_w(activation="rely"), "did you mean 'relu'"),
        (lambda: theory.critical_sigma_w(-1), "sigma_b .* got -1"),
        (lambda: theory.mean_field_adjoint_log10(0.9, [-2]), "lags"),
        (lambda: theory.gate_retention_log10(math.nan, [1]), "forget_bias .* got nan"),
        (lambda: theory.gate_retention_log10(1.0, [-1]), "lags"),
        (lambda: theory.chrono_retention(2, [1]), "t_max .* got 2"),
        (lambda: theory.copy_memory_baseline(-1), "delay .* got -1"),
        (lambda: theory.copy_memory_baseline(10, symbols=0), "symbols .* got 0"),
        (lambda: theory.copy_memory_baseline(10, length=0), "length .* got 0"),
        (lambda: theory.lambda_unit_second_moment(1.0), "lam .* got 1.0"),
        (lambda: theory.lambda_unit_gradient_second_moment(-1.5), "lam .* got -1.5"),
        (lambda: theory.lambda_unit_second_moment(math.nan), "lam .* got nan"),
    ],
)
def test_bad_values_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_the_module_alone_loads_numpy_only():
    code = (
        "import runpy, sys; runpy.run_path(sys.argv[1]); "
        "print([m for m in ('jax', 'scipy', 'rnnlab') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, theory.__file__], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
