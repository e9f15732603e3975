"""The probes against float64, against brute force, and where float32 ends."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnnlab
from rnnlab import gradients, theory
from rnnlab.nn import cells, layers, unroll
from rnnlab.nn.initializers import InitScheme
from rnnlab.nn.params import RNNParams
from tests.helpers import oracles
from tests.helpers.sequences import compiled

D, H, B, T = 3, 6, 4, 10
KINDS = ("rnn-tanh", "lstm", "gru", "gru-reset-after")
LENGTHS = np.array([10, 4, 1, 7])


def _case(name, steps=T, dtype=np.float32):
    """Random parameters, inputs and states, none zero, and weights of a loss; in NumPy."""
    cell, rng = cells.by_name(name, H, InitScheme()), np.random.default_rng(0)
    params = jax.eval_shape(lambda: cell.init_params(jax.random.key(0), D))
    start = jax.eval_shape(lambda params: cell.initial_state(params, (B,)), params)
    params, start = jax.tree.map(
        lambda leaf: 0.4 * rng.standard_normal(leaf.shape).astype(dtype), (params, start)
    )
    xs, weights = (rng.standard_normal((B, steps, n)).astype(dtype) for n in (D, H))
    return cell, params, xs, start, weights


def _linear(W, activation="identity", w_x=0.0):
    """A simple RNN with this recurrent kernel, one input and no bias."""
    W = np.asarray(W, np.float32)
    params = RNNParams(np.full((1, len(W)), w_x, np.float32), W, 0 * W[0])
    return rnnlab.RNN(len(W), activation), params


def _orthogonal(size, gain):
    return gain * np.linalg.qr(np.random.default_rng(0).standard_normal((size, size)))[0]


def _zeros(*shape):
    return np.zeros(shape, np.float32)


def _brute_force(cell, params, xs, start, loss, lengths=None, reverse=False):
    """∂L/∂(part made at t) by autodiff through additions of zero at every step, in float64."""
    with jax.enable_x64(True):
        params, xs, start = oracles.to_numpy((params, xs, start))
        steps = xs.shape[1]

        def total(nudges):
            state, ys = start, [np.zeros((B, H))] * steps
            for t in range(steps)[:: -1 if reverse else 1]:
                nudge = jax.tree.map(lambda n, t=t: n[t], nudges)
                new, y, _ = cell.step(params, state, xs[:, t], perturb=nudge)
                keep = np.full((B, 1), True) if lengths is None else (t < lengths)[:, None]
                state = jax.tree.map(lambda n, o, k=keep: jnp.where(k, n, o), new, state)
                ys[t] = jnp.where(keep, y, 0.0)
            return loss(jnp.stack(ys, axis=1))

        nudges = jax.tree.map(lambda s: np.zeros((steps, *s.shape)), start)
        grads = jax.grad(total)(nudges)
        with np.errstate(divide="ignore"):
            return {
                part: np.log10(np.linalg.norm(np.asarray(g), axis=-1)).T
                for part, g in grads._asdict().items()
            }


FORWARD, REVERSE = {}, {"lengths": LENGTHS, "reverse": True}


@pytest.mark.parametrize(
    ("name", "options"),
    [("rnn-tanh", REVERSE), ("lstm", REVERSE), ("lstm", FORWARD), ("gru-reset-after", FORWARD)],
)
def test_adjoints_equal_float64_for_losses_at_every_step(name, options):
    cell, params, xs, start, weights = _case(name)

    def loss(ys):
        return (jnp.sin(ys) * weights.astype(ys.dtype)).sum()

    expected = _brute_force(cell, params, xs, start, loss, **options)
    chunk = 4 if options else None  # leaves a rest of 2
    curve = gradients.adjoint_norms(
        cell, params, xs, loss, initial_state=start, chunk=chunk, **options
    )
    assert (curve.overflow_at == -1).all()
    for part, want in expected.items():
        got = np.asarray(getattr(curve, part))
        assert (np.isneginf(got) == np.isneginf(want)).all()
        np.testing.assert_allclose(got[np.isfinite(want)], want[np.isfinite(want)], atol=1e-4)


@pytest.mark.parametrize(
    ("name", "options"),
    [("rnn-tanh", FORWARD), ("lstm", REVERSE), ("gru", {"lengths": LENGTHS})],
    ids=["rnn-tanh", "lstm, reverse", "gru, lengths"],
)
def test_norms_beside_the_gradient(name, options):
    """One pass by the fused engine gives the probe's norms, autodiff's value and gradient."""
    cell, params, xs, start, weights = _case(name)
    options = {**options, "initial_state": start}

    def loss(ys):
        return (jnp.sin(ys) * weights).sum()

    def by_scan(params):
        return loss(unroll.unroll(cell, params, xs, engine="scan", **options)[0])

    def by_probe(params):
        return gradients.adjoint_norms(cell, params, xs, loss, **options)

    def by_both(params):
        return gradients.value_grad_and_norms(cell, params, xs, loss, **options)

    expected = compiled(by_probe, params)
    value, grads, curve = compiled(by_both, params)
    oracles.assert_close((value, grads), compiled(jax.value_and_grad(by_scan), params), 1e-5)
    assert curve.norms.keys() == expected.norms.keys()
    np.testing.assert_array_equal(curve.overflow_at, expected.overflow_at)
    for part, want in expected.norms.items():
        assert (np.isneginf(want) == np.isneginf(curve.norms[part])).all()
        real = np.isfinite(want)
        np.testing.assert_allclose(curve.norms[part][real], want[real], atol=1e-4)


@pytest.mark.parametrize("reverse", [False, True])
def test_where_outputs_overflow(reverse):
    cell, params = _linear(1e10 * np.eye(2), w_x=1.0)
    args = 1 + _zeros(1, 9, 1), lambda ys: ys[0, 0, 0]

    def both(params):
        curve = gradients.value_grad_and_norms(cell, params, *args, reverse=reverse)[2]
        return curve, gradients.adjoint_norms(cell, params, *args, reverse=reverse)

    curve, expected = compiled(both, params)
    assert curve.overflow_at == expected.overflow_at != -1


def test_far_below_float32_as_the_theory_of_linear_networks_has_it():
    rng = np.random.default_rng(0)
    cell, params = _linear(0.01 * rng.standard_normal((128, 128)))
    g = rng.standard_normal(128).astype(np.float32)
    curve = gradients.adjoint_norms(cell, params, _zeros(1, 101, 1), lambda ys: ys[0, -1] @ g)
    W, h = np.asarray(params.W_hh, np.float64), np.asarray(curve.h)[0]
    assert h[0] - h[-1] == pytest.approx(-93.5, abs=4)
    np.testing.assert_allclose(
        h[::-1], theory.linear_adjoint_log10(W, g, np.arange(101)), atol=1e-3
    )


@pytest.mark.parametrize("gain", [1e-3, 0.9, 10.0])
def test_scaled_orthogonal_gives_exact_powers_at_any_length(gain):
    cell, params = _linear(_orthogonal(8, gain))
    curve = gradients.adjoint_norms(cell, params, _zeros(2, 1001, 1), lambda ys: ys[:, -1].sum())
    h = np.asarray(curve.h, np.float64)
    np.testing.assert_allclose(
        h[:, ::-1] - h[:, -1:],
        np.arange(1001) * np.log10(gain) * np.ones((2, 1)),
        rtol=1e-5,
        atol=1e-4,
    )


def test_loss_terms_of_any_size_enter_in_the_running_scale():
    cell, params = _linear(_orthogonal(4, 0.1))
    size = _zeros(200)
    size[[199, 120, 40]] = [1e30, 1e-30, 1e-36]
    curve = gradients.adjoint_norms(
        cell, params, _zeros(1, 200, 1), lambda ys: (ys[0, :, 0] * size).sum()
    )
    # 1e30 falls a decade a step: 10^-49 at 120, where 1e-30 takes over, 10^-110 at 40, where …
    np.testing.assert_allclose(
        np.asarray(curve.h)[0, [199, 121, 120, 41, 40, 0]],
        [30, -48, -30, -109, -36, -76],
        atol=1e-3,
    )


def test_exact_zeros_are_minus_infinity_and_later_terms_still_count():
    cell, params = _linear(np.eye(3), "relu", 1.0)
    xs = 1 + _zeros(2, 6, 1)
    xs[0, 3] = -100.0  # kills every unit of example 0 at step 3
    curve = gradients.adjoint_norms(cell, params, xs, lambda ys: (ys[:, -1] + ys[:, 1]).sum())
    h = np.asarray(curve.h)
    # nothing passes step 3; before it ∂L/∂y_1 counts alone. L sums 3 units: norm √3
    assert np.isneginf(h[0, 2])
    assert h[0, :2] == pytest.approx([np.log10(3**0.5)] * 2, abs=1e-5)
    assert h[1, 2] == pytest.approx(np.log10(3**0.5), abs=1e-5)


def test_an_overflowing_example_is_marked_and_harms_no_other():
    cell, params = _linear(10 * np.eye(3), "relu", 1.0)
    xs = np.stack([1 + _zeros(60, 1), _zeros(60, 1) - 1])
    curve = gradients.adjoint_norms(cell, params, xs, lambda ys: ys[:, -1].sum())
    # h_t = 1 + 10 + … + 10^t passes float32's 3.4e38 at t = 39
    assert curve.overflow_at.tolist() == [39, -1]
    assert np.isneginf(np.asarray(curve.h)[1, :-1]).all()


@pytest.mark.parametrize("name", KINDS)
def test_step_jacobians_by_finite_differences_in_numpy(name):
    with jax.enable_x64(True):
        cell, params, xs, start, _ = _case(name, steps=3, dtype=np.float64)
        J = np.asarray(gradients.step_jacobians(cell, params, xs, initial_state=start))
    parts = start._fields

    def step(flat, x):
        state = dict(zip(parts, np.split(flat, len(parts)), strict=True))
        new = oracles.STEPS[name](params, state, x)[0]
        return np.concatenate([new[part] for part in parts])

    for b in range(2):
        flat = np.concatenate([part[b] for part in start])
        for t in range(3):
            for j, e in enumerate(1e-6 * np.eye(flat.size)):
                difference = (step(flat + e, xs[b, t]) - step(flat - e, xs[b, t])) / 2e-6
                np.testing.assert_allclose(J[b, t, :, j], difference, atol=1e-7)
            flat = step(flat, xs[b, t])


@pytest.mark.parametrize(("name", "part"), [("gru", None), ("lstm", None), ("lstm", "h")])
def test_jacobian_spectrum_equals_svd_of_the_float64_product(name, part):
    cell, params, xs, start, _ = _case(name)
    J = np.asarray(gradients.step_jacobians(cell, params, xs, initial_state=start), np.float64)
    got = gradients.jacobian_spectrum(cell, params, xs, (1, 3, 6), part=part, initial_state=start)
    for b in range(B):
        product = np.eye(J.shape[-1])
        for k in range(1, 7):
            product = product @ J[b, T - k]
            if k in (1, 3, 6):
                block = product if part is None else product[:H, :H]
                values = np.linalg.svd(block, compute_uv=False)
                seen = values > 1e-12 * values[0]  # the rest is rounding, in NumPy's product
                row = got[b, (1, 3, 6).index(k)]
                np.testing.assert_allclose(row[seen], np.log10(values[seen]), atol=5e-3)


def test_spectrum_over_hundreds_of_decades():
    scales = np.array([10.0, 1.0, 1e-2, 1e-3, 0.0])
    cell, params = _linear(np.diag(scales))
    got = gradients.jacobian_spectrum(cell, params, _zeros(200, 1), (200,))
    np.testing.assert_allclose(got[0, :4], 200 * np.log10(scales[:4]), atol=1e-3)
    assert np.isneginf(got[0, 4])


def test_spectrum_refuses_what_is_not_there():
    cell, params, xs, *_ = _case("gru")
    for lag in (0, T + 1, 1.5):
        with pytest.raises(ValueError, match=f"each lag must be a whole number from 1 to {T}, got"):
            gradients.jacobian_spectrum(cell, params, xs, (lag,))
    with pytest.raises(ValueError, match="at least one lag, got none"):
        gradients.jacobian_spectrum(cell, params, xs, ())
    with pytest.raises(ValueError, match="unknown state part 'C'"):
        gradients.jacobian_spectrum(cell, params, xs, (1,), part="C")


def test_lyapunov_exponents_of_linear_networks():
    xs = _zeros(2, 400, 1)
    cell, params = _linear(_orthogonal(4, 0.7))
    got = gradients.lyapunov_exponents(cell, params, xs)
    np.testing.assert_allclose(np.asarray(got), np.full((2, 4), np.log(0.7)), atol=1e-4)
    cell, params = _linear([[1.2, 0.5, 0.1], [0, 0.9, 0.4], [0, 0, 0.5]])
    top = gradients.lyapunov_exponents(cell, params, xs[0], discard=100)
    np.testing.assert_allclose(np.asarray(top), np.log([1.2, 0.9, 0.5]), atol=1e-2)
    one = gradients.lyapunov_exponents(cell, params, xs[0], 1, discard=100)
    assert one.shape == (1,)
    for count, discard in ((0, 0), (4, 0), (1, 400)):
        with pytest.raises(ValueError, match=r"must be a whole number from [01] to (3|399), got"):
            gradients.lyapunov_exponents(cell, params, xs[0], count, discard=discard)


@pytest.mark.parametrize("name", ["rnn-tanh", "rnn-relu", "lstm", "gru"])
def test_saturation(name):
    cell, params, xs, start, _ = _case(name)
    options = {"lengths": LENGTHS, "initial_state": start}
    got = compiled(lambda params: gradients.saturation(cell, params, xs, **options), params)
    gates = {"lstm": ("f", "i", "o"), "gru": ("z", "r")}.get(name, ())
    assert set(got) == {"h", *gates}
    p, inputs, state = oracles.to_numpy((params, xs, start._asdict()))
    values = oracles.recurrence(oracles.STEPS[name], p, inputs, state).taps
    for b, n in enumerate(LENGTHS.tolist()):
        h = values["h"][b, :n]
        want = (h > 0).mean(-1) if name == "rnn-relu" else (1 - np.abs(h)).mean(-1)
        np.testing.assert_allclose(got["h"][b, :n], want, atol=1e-6)
        assert np.isnan(got["h"][b, n:]).all()
        for gate in gates:
            z = values[gate][b, :n]
            np.testing.assert_allclose(got[gate][b, :n], np.minimum(z, 1 - z).mean(-1), atol=1e-6)


def test_refusals():
    cell, params, xs, *_ = _case("gru")
    net = layers.Stack([cell, cell])
    with pytest.raises(TypeError, match="takes a cell or a layer of one cell"):
        gradients.adjoint_norms(net, (params, params), xs, lambda ys: ys.sum())
    with pytest.raises(ValueError, match="at least one step"):
        gradients.adjoint_norms(cell, params, xs[:, :0], lambda ys: ys.sum())
    with pytest.raises(ValueError, match="chunk must be a whole number of at least 1, got 0"):
        gradients.adjoint_norms(cell, params, xs, lambda ys: ys.sum(), chunk=0)
    curve = gradients.adjoint_norms(cell, params, xs, lambda ys: ys.sum())
    with pytest.raises(AttributeError, match=r"no part 'C' \(measured: h\)"):
        _ = curve.C
    linear = rnnlab.RNN(H, "identity")
    with pytest.raises(ValueError, match="'identity'"):
        gradients.saturation(linear, params, xs)
    with pytest.raises(ValueError, match="square matrix"):
        gradients.spectral_radius(np.ones((2, 3)))
