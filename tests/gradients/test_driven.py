"""The cells of a layer and what drives them; exponents of padded sequences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab import GRU, LSTM, RNN, Bidirectional, Stack, gradients
from rnnlab.gradients.driven import driven_cells, layer_exponents, state_sizes
from tests.helpers.sequences import compiled

B, T, D, H, K = 3, 9, 2, 4, 2
LENGTHS = np.array([9, 5, 7])


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def tanh_exponents(params, xs):
    """The first K exponents of a tanh RNN along one sequence, by loops of QR in float64."""
    W_xh, W_hh, b_h = (np.asarray(a, np.float64) for a in params[:3])
    Q = np.linalg.qr(np.asarray(jax.random.normal(jax.random.key(0), (H, K)), np.float64))[0]
    h, logs = np.zeros(H), np.zeros(K)
    for x in np.asarray(xs, np.float64):
        h = np.tanh(h @ W_hh + x @ W_xh + b_h)
        Q, R = np.linalg.qr((1 - h**2)[:, None] * W_hh.T @ Q)
        logs += np.log(np.abs(np.diag(R)))
    return logs / len(xs)


@pytest.fixture(scope="module")
def tanh():
    return RNN(H).init_params(jax.random.key(1), D)


def test_exponents_of_sequences_with_padding_are_those_of_the_sequences_alone(tanh):
    xs = random(B, T, D)
    xs[1, 5:] = np.nan  # what stands in the padding has no effect
    got = gradients.lyapunov_exponents(RNN(H), tanh, xs, K, lengths=LENGTHS)
    expected = [tanh_exponents(tanh, xs[b, :n]) for b, n in enumerate(LENGTHS)]
    np.testing.assert_allclose(got, expected, atol=1e-5)
    empty = gradients.lyapunov_exponents(RNN(H), tanh, xs[:1], K, lengths=np.array([0]))
    assert np.isnan(empty).all()


def test_both_directions_and_stacks_are_driven_by_what_they_read():
    below, above = Bidirectional(RNN(3), RNN(H), merge="concat"), RNN(H)
    layer, xs = Stack([below, above]), random(B, T, D)
    params = layer.init(jax.random.key(0), D)
    found = list(driven_cells(layer, params, xs, lengths=LENGTHS))
    assert [one.cell for one in found] == [RNN(3), RNN(H), RNN(H)]
    for b, n in enumerate(LENGTHS):  # the backward direction starts at the sequence's own end
        np.testing.assert_array_equal(found[1].xs[b, :n], xs[b, :n][::-1])
    ys, _ = below.apply(params[0], xs, lengths=LENGTHS)
    np.testing.assert_allclose(found[2].xs, ys, atol=1e-6)

    def measured(params):
        return layer_exponents(layer, params, xs, K, lengths=LENGTHS)

    exponents = compiled(measured, params)
    expected = [tanh_exponents(params[1], np.asarray(ys)[b, :n]) for b, n in enumerate(LENGTHS)]
    np.testing.assert_allclose(exponents[2], expected, atol=1e-5)
    reverse = [tanh_exponents(params[0].backward, xs[b, :n][::-1]) for b, n in enumerate(LENGTHS)]
    np.testing.assert_allclose(exponents[1], reverse, atol=1e-5)


def test_sizes_of_states_come_from_shapes():
    assert state_sizes(Stack([Bidirectional(LSTM(4, projection=2)), GRU(3)]), 5) == (6, 6, 3)
    assert state_sizes(RNN(7), 1) == (7,)


def test_a_layer_whose_cells_are_not_known_is_refused():
    class Mine:
        output_size = 3
        init = initial_state = apply = lambda *_, **__: None

    with pytest.raises(TypeError, match=r"CellLayer, Bidirectional and Stack, got Mine"):
        list(driven_cells(Mine(), (), jnp.zeros((1, 2, 3))))
