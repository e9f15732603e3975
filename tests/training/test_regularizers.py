"""Pascanu's Ω against loops over examples and steps, δ by backpropagation through time by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab import GRU, LSTM, RNN, Bidirectional, Stack
from rnnlab.nn import activations, cells, losses
from rnnlab.nn.layers import as_layer
from rnnlab.nn.models import ManyToMany, ManyToOne
from rnnlab.nn.params import HiddenState
from rnnlab.training.regularizers import BOUND, check_omega, omega, omega_gradient
from tests.helpers import oracles

B, T, D, H, OUT = 3, 6, 2, 4, 3
EXACT = 1e-10  # float64
ACTIVATIONS = ("tanh", "sigmoid", "relu", "identity")


def slope(activation, a):
    """f'(a), from a alone."""
    if activation == "tanh":
        return 1 / np.cosh(a) ** 2
    if activation == "sigmoid":
        return np.exp(-a) / (1 + np.exp(-a)) ** 2
    return np.where(a > 0, 1.0, 0.0) if activation == "relu" else np.ones_like(a)


def by_hand(W_rec, activation, pre, deltas):
    """(Ω, ∂⁺Ω/∂W_rec): eqs 9 and 10 with squared norms, W_rec in the layout of the maths."""
    W_rec = np.asarray(W_rec)
    batch, steps, _ = pre.shape
    total, counted, gradient = 0.0, 0.0, np.zeros_like(W_rec)
    for t in range(steps - 1):
        for n in range(batch):
            later = deltas[n, t + 1]  # ∂E/∂x_{k+1}
            if later @ later < BOUND:
                continue
            slopes = slope(activation, pre[n, t])
            jacobian = W_rec @ np.diag(slopes)  # ∂x_{k+1}/∂x_k
            row = later @ jacobian
            ratio = (row @ row) / (later @ later)
            total += (ratio - 1) ** 2 / batch
            counted += 1 / batch
            for i in range(W_rec.shape[0]):
                for j in range(W_rec.shape[1]):
                    share = 2 * row[j] * slopes[j] * later[i] / (later @ later)
                    gradient[i, j] += 2 * (ratio - 1) * share / batch
    return total / counted, gradient / counted


def random(shape, seed):
    return 0.7 * np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_omega_and_its_gradient(activation, x64):
    W, pre, deltas = random((H, H), 0), random((B, T, H), 1), random((B, T, H), 2)
    deltas *= 10.0 ** np.arange(-6, T - 6)[:, None]  # gradients of very different sizes
    deltas[1, 2], deltas[2, 4] = 0.0, 1e-12  # no direction left: not counted
    expected, gradient = by_hand(W.T, activation, pre, deltas)
    args = activation, activations.ACTIVATIONS[activation](jnp.asarray(pre)), jnp.asarray(deltas)
    value, grad = jax.value_and_grad(omega)(jnp.asarray(W), *args)
    np.testing.assert_allclose(value, expected, rtol=EXACT)
    np.testing.assert_allclose(grad, gradient.T, rtol=EXACT, atol=EXACT * np.abs(gradient).max())


def test_the_bound_is_of_the_squared_norm(x64):
    """A gradient of norm 1.01e-10 counts, one of norm 0.99e-10 does not."""
    W, hs = jnp.eye(2), jnp.zeros((2, 2, 2))
    for norm, expected in ((1.01e-10, (9 + 0) / 2), (0.99e-10, 0.0)):
        deltas = jnp.zeros((2, 2, 2)).at[0, 1, 0].set(norm).at[1, 1, 1].set(1.0)
        stretched = W.at[0, 0].set(2.0)  # (2² − 1)² = 9 for the first, 0 for the second
        np.testing.assert_allclose(omega(stretched, "identity", hs, deltas), expected, rtol=EXACT)


def test_scaled_orthogonal_kernels_have_a_closed_form(x64):
    """‖δ αQ‖² = α² ‖δ‖² at every step of a linear RNN: Ω = (α² − 1)²."""
    Q = np.linalg.qr(random((H, H), 3))[0]
    hs, deltas = jnp.asarray(random((B, T, H), 4)), jnp.asarray(random((B, T, H), 5))
    for alpha in (0.5, 1.0, 1.5):
        value = omega(jnp.asarray(alpha * Q), "identity", hs, deltas)
        np.testing.assert_allclose(value, (alpha**2 - 1) ** 2, atol=EXACT)


def test_states_and_deltas_are_held_constant(x64):
    W, hs, deltas = (jnp.asarray(random(s, 6)) for s in ((H, H), (B, T, H), (B, T, H)))
    for gradient in jax.grad(omega, argnums=(2, 3))(W, "tanh", hs, deltas):
        assert not np.asarray(gradient).any()


def test_no_gradient_left_gives_zero_and_no_nan(x64):
    W, hs = jnp.asarray(random((H, H), 7)), jnp.asarray(random((B, T, H), 8))
    value, grad = jax.value_and_grad(omega)(W, "tanh", hs, jnp.zeros((B, T, H)))
    assert float(value) == 0.0
    assert not np.asarray(grad).any()


# ---- δ, out of a whole model -------------------------------------------------------------------


def backpropagated(model, params, inputs, start, targets):
    """(a (B, T, H), δ = ∂L/∂a (B, T, H)), L the mean cross-entropy of all targets."""
    p = oracles.to_numpy(params["params"])
    own, activation = p["recurrent"], model.layer.cell.activation
    W_rec, W_in, W_out = own.W_hh.T, own.W_xh.T, p["W_hy"].T
    inputs, targets = np.asarray(inputs), np.asarray(targets)
    steps = inputs.shape[1]
    pre, deltas = np.zeros((B, steps, H)), np.zeros((B, steps, H))
    for n in range(B):
        h, hs = np.asarray(start[n]), []
        for t in range(steps):
            pre[n, t] = W_rec @ h + W_in @ inputs[n, t] + own.b_h
            h = oracles.ACTIVATIONS[activation](pre[n, t])
            hs.append(h)
        later = np.zeros(H)  # δ_{t+1}
        for t in reversed(range(steps)):
            d_h = W_rec.T @ later
            if targets.ndim == 2 or t == steps - 1:
                powers = np.exp(W_out @ hs[t] + p["b_y"])
                answer = targets[n] if targets.ndim == 1 else targets[n, t]
                d_h += W_out.T @ (powers / powers.sum() - np.eye(OUT)[answer]) / targets.size
            later = deltas[n, t] = slope(activation, pre[n, t]) * d_h
    return pre, deltas


@pytest.mark.parametrize(("kind", "carried"), [(ManyToOne, False), (ManyToMany, True)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_gradient_of_a_model(activation, kind, carried, x64):
    model = kind(RNN(H, activation), OUT)
    inputs = jnp.asarray(random((B, T, D), 9))
    params = oracles.random_like(model.init(jax.random.key(0), inputs), 10)
    shape = (B,) if kind is ManyToOne else (B, T)
    targets = jnp.asarray(np.random.default_rng(11).integers(0, OUT, shape), jnp.int32)
    start = jnp.asarray(random((B, H), 12)) if carried else jnp.zeros((B, H))

    def loss(outputs):
        return losses.cross_entropy(outputs, targets, jnp.ones(shape, bool))

    state = HiddenState(start) if carried else None
    found = omega_gradient(model, params, inputs, loss, state)
    pre, deltas = backpropagated(model, params, inputs, start, targets)
    _, expected = by_hand(params["params"]["recurrent"].W_hh.T, activation, pre, deltas)
    np.testing.assert_allclose(found, expected.T, atol=EXACT * np.abs(expected).max())


@pytest.mark.parametrize("gain", [0.5, 1.5])
def test_its_minimum_keeps_the_gradient_s_norm(gain, x64):
    """Down ∂⁺Ω/∂W_hh alone, δ and h anew at every step: the ratios of the norms come to 1."""
    model = ManyToMany(RNN(H), OUT)
    inputs = jnp.asarray(random((B, T, D), 13))
    params = oracles.random_like(model.init(jax.random.key(0), inputs), 14, scale=0.05)
    recurrent = params["params"]["recurrent"]
    targets = jnp.asarray(np.random.default_rng(15).integers(0, OUT, (B, T)), jnp.int32)
    # only the last step's loss: later ones would add to δ on its way
    mask = jnp.zeros((B, T), bool).at[:, -1].set(True)

    def loss(outputs):
        return losses.cross_entropy(outputs, targets, mask)

    def with_kernel(W_hh):
        own = recurrent._replace(W_hh=W_hh)
        return {"params": {**params["params"], "recurrent": own}}

    def ratios(W_hh):
        _, deltas = backpropagated(
            model, with_kernel(W_hh), inputs, np.zeros((B, H)), targets[:, -1]
        )
        norms = np.linalg.norm(deltas, axis=-1)
        return norms[:, :-1] / norms[:, 1:]

    @jax.jit
    def step(W_hh):
        return W_hh - 0.02 * omega_gradient(model, with_kernel(W_hh), inputs, loss)

    start = W_hh = gain * jnp.linalg.qr(recurrent.W_hh)[0]
    for _ in range(300):
        W_hh = step(W_hh)
    before, after = (np.abs(np.log(ratios(W))) for W in (start, W_hh))
    assert before.mean() > 0.3
    assert after.max() < 0.1


# ---- what it is not defined for ----------------------------------------------------------------


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_one_simple_rnn_is_accepted(activation):
    check_omega(as_layer(RNN(H, activation)))


class Leaky(cells.RNN):
    """A subclass may step in another way."""


@pytest.mark.parametrize(
    "refused",
    [
        as_layer(LSTM(H)),
        as_layer(GRU(H)),
        Bidirectional(as_layer(RNN(H)), as_layer(RNN(H))),
        Stack([as_layer(RNN(H)), as_layer(RNN(H))]),
        as_layer(Leaky(H)),
    ],
    ids=["lstm", "gru", "bidirectional", "stack", "a subclass"],
)
def test_other_layers_are_refused(refused):
    with pytest.raises(ValueError, match="regularizer='omega' is defined for one simple RNN, got"):
        check_omega(refused)


def test_an_activation_without_a_name_is_refused():
    with pytest.raises(ValueError, match="unknown activation for regularizer='omega'"):
        check_omega(as_layer(RNN(H, jax.nn.softplus)))


def test_symbols_are_refused():
    model = ManyToOne(RNN(H), OUT, symbols=5)
    symbols = jnp.zeros((B, T), jnp.int32)
    params = model.init(jax.random.key(0), symbols)
    with pytest.raises(ValueError, match="regularizer='omega' reads features, not symbols"):
        omega_gradient(model, params, symbols, jnp.sum)
