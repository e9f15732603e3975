"""Mean field of gates and critical gains, against simulations and measured exponents."""

import math

import jax
import numpy as np
import pytest
from scipy import integrate, special, stats

from rnnlab import GRU, LSTM, InitScheme, gradients, theory

sigma = special.expit
H, STEPS, BATCH = 200, 60, 4


# ---- fresh weights at every step: χ and the variance --------------------------------------------


def fresh_gru(rng, h, d, g, v, b_z, b_r):
    """One step of h and of a perturbation d, both (BATCH, H), with kernels drawn anew."""
    W_z, W_r, W_h = g / math.sqrt(H) * rng.standard_normal((3, H, H))
    x_z, x_r, x_h = math.sqrt(v) * rng.standard_normal((3, BATCH, H))
    z, r = sigma(h @ W_z + x_z + b_z), sigma(h @ W_r + x_r + b_r)
    new = np.tanh((r * h) @ W_h + x_h)
    d_z, d_r = z * (1 - z) * (d @ W_z), r * (1 - r) * (d @ W_r)
    d_new = (1 - new**2) * ((d_r * h + r * d) @ W_h)
    return z * h + (1 - z) * new, z * d + d_z * (h - new) + (1 - z) * d_new


def fresh_lstm(rng, state, push, g, v, b_f):
    """One step of (h, C) and of a perturbation of both, with kernels drawn anew."""
    (h, C), (d, D) = state, push
    Ws = g / math.sqrt(H) * rng.standard_normal((4, H, H))
    xs = math.sqrt(v) * rng.standard_normal((4, BATCH, H))
    a = [h @ W + x for W, x in zip(Ws, xs, strict=True)]
    f, i, o, c = sigma(a[0] + b_f), sigma(a[1]), sigma(a[2]), np.tanh(a[3])
    d_f, d_i, d_o, d_c = (d @ W for W in Ws)
    new = f * C + i * c
    D = f * D + C * f * (1 - f) * d_f + c * i * (1 - i) * d_i + i * (1 - c**2) * d_c
    out = np.tanh(new)
    return (o * out, new), (o * (1 - out**2) * D + out * o * (1 - o) * d_o, D)


@pytest.mark.parametrize(("g", "v", "b"), [(1.5, 0.5, 0.0), (3.0, 0.2, 1.0)])
def test_gru_with_fresh_weights_has_the_variance_and_growth_of_mean_field(g, v, b):
    rng, field = np.random.default_rng(0), theory.gru_mean_field(g, v, b, 0.5)
    h, d, grown, squares = np.zeros((BATCH, H)), rng.standard_normal((BATCH, H)), [], []
    for _ in range(STEPS):
        h, d = fresh_gru(rng, h, d, g, v, b, 0.5)
        size = np.linalg.norm(d, axis=1, keepdims=True)
        d, grown, squares = d / size, [*grown, np.log(size).mean()], [*squares, np.mean(h**2)]
    # log‖d‖ per step deviates by about √(κ/2H), κ ~ 6 the kurtosis of an entry: 0.12, the mean over
    # 40 steps by 0.02 (4 sequences share the weights), and lags behind by κ/4H = 0.008
    assert np.mean(grown[20:]) == pytest.approx(math.log(field.chi) / 2, abs=2 * 0.02)
    assert np.mean(squares[20:]) == pytest.approx(field.variance, rel=0.05)


@pytest.mark.parametrize(("g", "v", "b"), [(1.5, 0.5, 1.0), (3.0, 0.2, 0.0)])
def test_lstm_with_fresh_weights_has_the_variance_and_growth_of_mean_field(g, v, b):
    rng, field = np.random.default_rng(0), theory.lstm_mean_field(g, v, b)
    zeros = np.zeros((BATCH, H))
    state, push, grown, squares = (zeros, zeros), (zeros, rng.standard_normal((BATCH, H))), [], []
    for _ in range(STEPS):
        state, push = fresh_lstm(rng, state, push, g, v, b)
        size = np.linalg.norm(np.concatenate(push, axis=1), axis=1, keepdims=True)
        push = tuple(part / size for part in push)
        grown, squares = [*grown, np.log(size).mean()], [*squares, np.mean(state[0] ** 2)]
    assert np.mean(grown[20:]) == pytest.approx(math.log(field.chi) / 2, abs=2 * 0.02)
    assert np.mean(squares[20:]) == pytest.approx(field.variance, rel=0.05)


# ---- the same weights at every step: λ_1 --------------------------------------------------------


def measured_exponent(cell, size):
    xs = np.random.default_rng(0).standard_normal((2, 120, size)).astype(np.float32)
    params = cell.init_params(jax.random.key(0), size)
    return float(gradients.lyapunov_exponents(cell, params, xs, 1, discard=40).mean())


@pytest.mark.parametrize(
    ("make", "g", "field"),
    [
        (GRU, 1.0, theory.gru_mean_field(1.0, 0.5)),
        (GRU, 2.0, theory.gru_mean_field(2.0, 0.5)),
        (LSTM, 1.0, theory.lstm_mean_field(1.0, 0.5)),
    ],
)
def test_the_exponent_of_a_cell_is_that_of_tied_weights(make, g, field):
    """Within 0.02 at H = 128: λ_1 moves by 0.01 from H = 64 to 256, and by 0.007 between seeds."""
    size = 128
    init = InitScheme(w_x=f"normal(std={math.sqrt(0.5 / size)})", w_h=f"mean_field(sigma_w={g})")
    found = measured_exponent(make(size, init=init), size)
    assert field.exponent == pytest.approx(found, abs=0.02)
    assert math.log(field.chi) / 2 < found - 0.1  # weights drawn anew lose more


# ---- at rest ------------------------------------------------------------------------------------

NOTHING = np.zeros((1, 1), np.float32)


def resting_exponent(cell, seed):
    """λ_1 at h = 0 without input: log of the spectral radius of the measured Jacobian."""
    params = cell.init_params(jax.random.key(seed), 1)
    jacobian = np.asarray(gradients.step_jacobians(cell, params, NOTHING)[0], np.float64)
    return math.log(np.abs(np.linalg.eigvals(jacobian)).max())


@pytest.mark.parametrize(
    ("make", "gain", "options"),
    [
        (GRU, theory.gru_critical_gain(0.7), {"gates": {"r": {"b": "0.7"}}, "forget_bias": "2.0"}),
        (LSTM, theory.lstm_critical_gain(), {}),
        (
            LSTM,
            theory.lstm_critical_gain(-0.5, 1.0),
            {"forget_bias": "-0.5", "gates": {"i": {"b": "1.0"}}},
        ),
    ],
)
def test_resting_cells_are_critical_at_the_critical_gain(make, gain, options):
    size = 64
    for factor in (1.0, 0.7, 1.4):
        cell = make(size, init=InitScheme(w_h=f"mean_field(sigma_w={gain * factor})", **options))
        found = np.mean([resting_exponent(cell, seed) for seed in range(3)])
        if factor == 1.0:
            # the edge of a random matrix of this size is √(1/4H) = 0.0625 wide (Rider 2003)
            assert abs(found) < 0.0625
        else:
            assert np.sign(found) == np.sign(factor - 1)


def test_the_critical_gain_of_units_that_differ_is_the_edge_of_the_spectrum():
    rng, size = np.random.default_rng(0), 300
    kept, fed_back = rng.uniform(0, 0.8, size), rng.uniform(0.2, 1, size)
    gain = theory.critical_gain(kept, fed_back)
    W = rng.standard_normal((size, size)) / math.sqrt(size)
    edge = np.linalg.eigvals(np.diag(kept) + gain * fed_back[:, None] * W).real.max()
    assert edge == pytest.approx(1, abs=0.03)
    assert theory.critical_gain(0.3, 0.0) == math.inf
    assert theory.gru_critical_gain([0.7, -0.2]) == pytest.approx(
        np.mean(sigma(np.array([0.7, -0.2])) ** 2) ** -0.5
    )


# ---- retention and bad values -------------------------------------------------------------------


def test_a_gate_s_retention_is_an_integral_over_its_preactivation():
    square, _ = integrate.quad(lambda u: sigma(u) ** 2 * stats.norm.pdf(u, 1.0, 0.9), -9, 11)
    got = theory.gate_retention_log10(1.0, [0, 1, 40], variance=0.81)
    np.testing.assert_allclose(got, np.array([0, 1, 40]) / 2 * math.log10(square), rtol=1e-9)
    same = theory.gate_retention_log10(1.0, [7], variance=1e-12)
    np.testing.assert_allclose(same, theory.gate_retention_log10(1.0, [7]), rtol=1e-9)


def test_limits_of_the_mean_field_of_gates():
    rest = theory.gru_mean_field(1.5)  # below the critical gain, 2: nothing moves
    assert rest.variance == 0
    assert rest.exponent == pytest.approx(math.log(0.5 + 0.5 * 0.5 * 1.5))
    assert theory.gru_mean_field(4.5).variance > 0
    held = theory.gru_mean_field(1.0, 0.5, update_bias=20.0)
    assert held.exponent == pytest.approx(0, abs=1e-6)
    closed = theory.lstm_mean_field(1.0, 0.5, input_bias=-30.0, output_bias=-30.0)
    f = integrate.quad(lambda u: sigma(u) ** 2 * stats.norm.pdf(u, 1.0, 0.5**0.5), -9, 11)[0]
    assert closed.chi == pytest.approx(f, rel=0.02)  # a sampled population's, of 16,384 units


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: theory.gru_mean_field(-1), "sigma_w .* got -1"),
        (lambda: theory.lstm_mean_field(1, -0.1), "input_variance .* got -0.1"),
        (lambda: theory.gate_retention_log10(1.0, [1], variance=-1), "variance .* got -1"),
        (lambda: theory.critical_gain([0.5, 1.0], 1.0), "kept must be below 1"),
        (lambda: theory.critical_gain([0.5, np.nan], 1.0), "kept must be below 1"),
        (lambda: theory.critical_gain([], []), "one per unit"),
    ],
)
def test_bad_values_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
