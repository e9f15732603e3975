"""Members of the gradient experiments, against NumPy."""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from rnnlab import gradients
from rnnlab.lab import gradient_member
from rnnlab.nn.initializers import InitScheme
from rnnlab.nn.unroll import unroll


def _config(cell="rnn-tanh", **init):
    return ml_collections.ConfigDict(
        {
            "seed": 3,
            "task": {"name": "digits", "length": 30, "batch_size": 4, "path": ""},
            "cell": {"name": cell, "hidden_size": 6},
            "init": InitScheme.config(w_h="he_normal", b="normal(std=0.3)", **init),
        }
    )


def _draw(cell="rnn-tanh", **init):
    return gradient_member.draw(_config(cell, **init), jax.random.key(3))


def _softmax_gradient(member, last):
    logits = last @ np.asarray(member.readout.W_hy, np.float64)
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(len(p)), np.asarray(member.labels)] -= 1
    return p @ np.asarray(member.readout.W_hy, np.float64).T


def test_adjoints_by_lag_of_the_classifier_s_loss():
    member = _draw()
    p = [np.asarray(a, np.float64) for a in member.params]
    xs = np.asarray(member.xs, np.float64)
    states = [np.zeros((4, 6))]
    for t in range(30):
        states.append(np.tanh(states[-1] @ p[1] + xs[:, t] @ p[0] + p[2]))
    adjoint = _softmax_gradient(member, states[-1])
    expected = []
    for h in states[:0:-1]:  # lag 0 first
        expected.append(np.log10(np.linalg.norm(adjoint, axis=1)))
        adjoint = (adjoint * (1 - h**2)) @ p[1].T
    curves, overflowed = gradient_member.adjoints(member)
    assert overflowed == 0
    np.testing.assert_allclose(curves["h"], np.stack(expected, axis=1), atol=1e-4)


def test_both_directions_are_read_at_their_own_end():
    member = _draw("bi-rnn-tanh")
    curves, _ = gradient_member.adjoints(member)
    last = []
    for p, xs in ((member.params.forward, member.xs), (member.params.backward, member.xs[:, ::-1])):
        h = np.zeros((4, 6))
        for t in range(30):
            h = np.tanh(h @ np.asarray(p.W_hh) + np.asarray(xs)[:, t] @ np.asarray(p.W_xh) + p.b_h)
        last.append(h)
    g = _softmax_gradient(member, np.concatenate(last, axis=1))
    for part, own in (("h", g[:, :6]), ("h_back", g[:, 6:])):
        lag_0 = np.log10(np.linalg.norm(own, axis=1))
        np.testing.assert_allclose(curves[part][:, 0], lag_0, atol=1e-4)


def test_gate_path_is_the_product_of_the_last_k_forget_gates():
    member = _draw("lstm", forget_bias="1.0")
    f = np.asarray(unroll(member.cell, member.params, member.xs, taps=("f",))[2]["f"], np.float64)
    path = gradient_member.gate_path(member)
    assert path is not None
    assert (path[:, 0] == 0).all()
    np.testing.assert_allclose(path[:, 7], np.log10(f[:, -7:].prod(axis=1)), atol=1e-6)
    assert gradient_member.gate_path(_draw()) is None


def test_relative_and_median_separate_zeros_from_missing_gradients():
    curves = np.array([[1.0, -2.0], [3.0, -np.inf], [-np.inf, -np.inf], [2.0, 1.0]])
    left = gradient_member.relative(curves)
    np.testing.assert_array_equal(left, [[0, -3], [0, -np.inf], [np.nan, np.nan], [0, -1]])
    median, zero = gradient_member.median_over_batch(left)
    assert median.tolist() == [0.0, -2.0]
    assert zero.tolist() == [0.0, 0.25]


def test_input_variance_and_sigma_w_by_hand():
    member = _draw()
    W_xh, W_hh, b = (np.asarray(a, np.float64) for a in member.params[:3])
    drive = np.asarray(member.xs, np.float64) @ W_xh + b
    assert gradient_member.input_variance(member) == pytest.approx((drive**2).mean(), rel=1e-5)
    assert gradient_member.effective_sigma_w(W_hh) == pytest.approx(np.sqrt((W_hh**2).sum() / 6))


def test_lyapunov_is_the_mean_over_the_first_sequences():
    member = _draw()
    one = gradients.lyapunov_exponents(member.cell, member.params, member.xs[:2], 1)
    assert gradient_member.top_lyapunov(member, 2) == pytest.approx(float(jnp.mean(one)), rel=1e-5)


def test_critical_gains_and_flossing_are_of_the_member_s_own_sequences():
    config = _config("gru")
    config.init.w_h, config.init.floss = "mean_field(sigma_w='critical')", 2
    config.init.floss_exponents = 1
    member = gradient_member.draw(config, jax.random.key(3))
    assert member.record["critical_converged"]
    assert member.record["floss_skipped"] == 0
    exponents = gradients.lyapunov_exponents(member.cell, member.params, member.xs, 1)
    after = float(jnp.mean(jnp.square(exponents)))
    assert member.record["floss_after"] == pytest.approx(after, rel=1e-3)
    assert _draw().record == {}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cell.name": "lstn"}, "did you mean 'lstm'"),
        ({"task.name": "digit"}, "did you mean 'digits'"),
        ({"init.w_h": "orthogonl"}, "did you mean 'orthogonal'"),
        ({"init.forget_bias": "1.0"}, "no forget gate"),
        ({"init.floss": 3}, "init.floss_exponents must be at most 6"),
        (
            {"init.floss": 3, "init.floss_sequences": 99},
            "init.floss_sequences must be a whole number",
        ),
        ({"task.gaps": "fill"}, "unknown task.gaps 'fill'"),
        ({"task.name": "csv"}, "task.name='csv' needs task.path"),
        ({"task.name": "noise", "task.path": "a"}, "reads no file, got task.path='a'"),
    ],
)
def test_bad_values_are_refused_by_name(change, words):
    config = _config()
    config.update_from_flattened_dict(change)
    with pytest.raises(ValueError, match=words):
        gradient_member.check(config)
