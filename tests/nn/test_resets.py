"""``resets``: episodes packed into one row give what each gives alone."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlab import GRU, LSTM, RNN, Bidirectional, Stack, Zoneout, unroll
from rnnlab.nn import layers
from rnnlab.nn.layers import as_layer
from tests.helpers import oracles

B, T, D, H = 3, 7, 4, 5
RESETS = np.array(
    [
        [1, 0, 0, 1, 0, 0, 1],  # from the first step on; the last episode is one step
        [0, 0, 1, 1, 0, 1, 0],  # goes on from initial_state; an episode of one step
        [0, 0, 0, 0, 0, 0, 0],
    ],
    bool,
)
RAGGED = np.array([6, 7, 4])  # row 0: the reset at step 6 is padding

CELLS = {
    "rnn": RNN(H),
    "gru": GRU(H),
    "lstm": LSTM(H),
    "options": LSTM(H, norm="layer", projection=3, peephole=True),
    "zoneout": Zoneout(LSTM(H), {"h": 0.1, "C": 0.5}),
}


def random(*shape, seed=5):
    return jnp.asarray(0.9 * np.random.default_rng(seed).standard_normal(shape))


def draw(net, batch=B):
    params = oracles.random_like(net.init(jax.random.key(0), D), 0)
    return params, oracles.random_like(net.initial_state(params, (batch,)), 1)


def episodes(resets, length):
    """[(first, past the last)] of one row's real steps."""
    edges = [0, *(t for t in range(1, length) if resets[t]), length]
    return [(a, b) for a, b in itertools.pairwise(edges) if b > a]


def apart(cell, params, xs, start, resets, length, reverse=False):
    """(ys (T, O), final state) of one row, each episode run on its own."""
    ys, state = np.zeros((xs.shape[0], cell.output_size)), start
    pieces = episodes(resets, length)
    for a, b in reversed(pieces) if reverse else pieces:
        given = b == length if reverse else a == 0 and not resets[0]
        y, state = unroll(
            cell, params, xs[a:b], initial_state=start if given else None, reverse=reverse
        )
        ys[a:b] = y
    return ys, state


@pytest.mark.parametrize("reverse", [False, True], ids=["", "reverse"])
@pytest.mark.parametrize("lengths", [None, RAGGED], ids=["full", "ragged"])
@pytest.mark.parametrize("name", CELLS)
def test_episodes_in_a_row_are_episodes_apart(name, lengths, reverse, x64):
    cell = CELLS[name]
    params, start = draw(as_layer(cell))
    xs = random(B, T, D)
    ys, state = unroll(
        cell,
        params,
        xs,
        resets=jnp.asarray(RESETS),
        lengths=lengths,
        initial_state=start,
        reverse=reverse,
    )
    for n in range(B):
        length = T if lengths is None else lengths[n]
        one = jax.tree.map(lambda leaf, n=n: leaf[n], start)
        expected, final = apart(cell, params, xs[n], one, RESETS[n], length, reverse)
        oracles.assert_close(ys[n], expected, 1e-12)
        oracles.assert_close(jax.tree.map(lambda leaf, n=n: leaf[n], state), final, 1e-12)


@given(st.data())
def test_any_resets_and_lengths(data):
    bits = st.lists(st.booleans(), min_size=5, max_size=5)
    resets = np.array(data.draw(st.lists(bits, min_size=2, max_size=2)))
    lengths = np.array(data.draw(st.lists(st.integers(0, 5), min_size=2, max_size=2)))
    reverse = data.draw(st.booleans())
    cell = CELLS["gru"]
    with jax.enable_x64(True):
        params, start = draw(as_layer(cell), 2)
        xs = random(2, 5, D)
        ys, state = unroll(
            cell, params, xs, resets=resets, lengths=lengths, initial_state=start, reverse=reverse
        )
        p, s, x = oracles.to_numpy((params, start, xs))
        for n in range(2):
            h = s.h[n]
            order = range(lengths[n])
            for t in reversed(order) if reverse else order:
                fresh = (t + 1 < lengths[n] and resets[n, t + 1]) if reverse else resets[n, t]
                h = np.zeros(H) if fresh else h
                h = oracles.gru_step(p, {"h": h}, x[n, t])[0]["h"]
                np.testing.assert_allclose(ys[n, t], h, rtol=1e-9)
            np.testing.assert_allclose(state.h[n], h, rtol=1e-9)
            np.testing.assert_array_equal(ys[n, lengths[n] :], 0)


@pytest.mark.parametrize("reverse", [False, True], ids=["", "reverse"])
def test_no_gradient_crosses_a_reset(reverse, x64):
    cell = CELLS["lstm"]
    params, start = draw(as_layer(cell))
    xs, resets = random(B, T, D), np.zeros((B, T), bool)
    resets[:, 3] = True

    def loss(xs, start, steps):
        ys, _ = unroll(cell, params, xs, resets=resets, initial_state=start, reverse=reverse)
        return (ys[:, steps] ** 2).sum()

    first, second = slice(0, 3), slice(3, None)
    of_first, start_first = jax.grad(loss, (0, 1))(xs, start, first)
    of_second, start_second = jax.grad(loss, (0, 1))(xs, start, second)
    np.testing.assert_array_equal(of_first[:, second], 0)
    np.testing.assert_array_equal(of_second[:, first], 0)
    assert float(abs(of_first[:, first]).min()) > 0
    assert float(abs(of_second[:, second]).min()) > 0
    entered, fresh = (start_second, start_first) if reverse else (start_first, start_second)
    for leaf in jax.tree.leaves(fresh):
        np.testing.assert_array_equal(leaf, 0)
    assert all(float(abs(leaf).min()) > 0 for leaf in jax.tree.leaves(entered))


def test_gradients_are_those_of_the_episodes_apart(x64):
    cell, weights = CELLS["gru"], random(B, T, H, seed=8)
    params, start = draw(as_layer(cell))
    xs = random(B, T, D)

    def packed(params):
        ys, _ = unroll(cell, params, xs, resets=RESETS, lengths=RAGGED, initial_state=start)
        return (ys * weights).sum()

    def alone(params):
        total = 0.0
        for n in range(B):
            for a, b in episodes(RESETS[n], RAGGED[n]):
                given = a == 0 and not RESETS[n, 0]
                one = jax.tree.map(lambda leaf, n=n: leaf[n], start) if given else None
                ys, _ = unroll(cell, params, xs[n, a:b], initial_state=one)
                total += (ys * weights[n, a:b]).sum()
        return total

    oracles.assert_close(jax.grad(packed)(params), jax.grad(alone)(params), 1e-10)


def test_nothing_of_another_episode_is_seen():
    cell = CELLS["gru"]
    params = cell.init_params(jax.random.key(0), D)
    xs = random(1, T, D).astype(jnp.float32)
    resets = np.zeros((1, T), bool)
    resets[0, 4] = True
    dirty = xs.at[:, :4].set(jnp.nan)
    clean, got = (unroll(cell, params, x, resets=resets)[0] for x in (xs, dirty))
    np.testing.assert_array_equal(clean[:, 4:], got[:, 4:])


@pytest.mark.parametrize("merge", ["concat", "sum"])
def test_layers_pass_them_on(merge, x64):
    net = Stack([Bidirectional(CELLS["gru"], merge=merge), LSTM(H), Bidirectional(LSTM(3))])
    params, start = draw(net)
    xs = random(B, T, D)
    ys, _ = net.apply(params, xs, resets=RESETS, lengths=RAGGED, initial_state=start)
    for n in range(B):
        for a, b in episodes(RESETS[n], RAGGED[n]):
            # what a direction starts from is given at the ends of the row, else its own
            own = jax.tree.map(lambda leaf, n=n: leaf[n], start)
            none = net.initial_state(params, ())
            ahead = own if a == 0 and not RESETS[n, 0] else none
            back = own if b == RAGGED[n] else none
            mixed = (
                layers.BothWays(ahead[0].forward, back[0].backward),
                ahead[1],
                layers.BothWays(ahead[2].forward, back[2].backward),
            )
            expected, _ = net.apply(params, xs[n, a:b], initial_state=mixed)
            oracles.assert_close(ys[n, a:b], expected, 1e-12)


def test_the_first_step_s_reset_wins_over_the_initial_state(x64):
    cell = CELLS["lstm"]
    params, start = draw(as_layer(cell))
    xs, resets = random(B, T, D), np.zeros((B, T), bool)
    resets[:, 0] = True
    got = unroll(cell, params, xs, resets=resets, initial_state=start)[0]
    oracles.assert_close(got, unroll(cell, params, xs, engine="scan")[0], 1e-12)
    none = unroll(cell, params, xs, resets=resets & False, initial_state=start)[0]
    oracles.assert_close(none, unroll(cell, params, xs, initial_state=start)[0], 1e-12)


def test_resets_may_be_traced_and_leading_axes_are_any():
    cell = CELLS["gru"]
    params = cell.init_params(jax.random.key(0), D)
    xs = random(2, B, T, D).astype(jnp.float32)
    resets = np.stack([RESETS, ~RESETS])
    got = jax.jit(lambda r: unroll(cell, params, xs, resets=r)[0])(resets)
    for n in range(2):
        alone = unroll(cell, params, xs[n], resets=resets[n])[0]
        np.testing.assert_allclose(got[n], alone, rtol=1e-6, atol=1e-7)
    single = unroll(cell, params, xs[0, 0], resets=resets[0, 0])[0]
    np.testing.assert_allclose(single, got[0, 0], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"resets": RESETS.astype(int)}, TypeError, "resets must be booleans.* got int"),
        ({"resets": RESETS[:, 1:]}, ValueError, r"resets must be \(3, 7\).* got \(3, 6\)"),
        ({"resets": RESETS[0]}, ValueError, r"resets must be \(3, 7\).* got \(7,\)"),
        ({"resets": RESETS, "engine": "newton"}, ValueError, "engine 'newton' has no resets.*scan"),
    ],
)
def test_refused(options, error, message):
    params = GRU(H).init_params(jax.random.key(0), D)
    with pytest.raises(error, match=message):
        unroll(GRU(H), params, jnp.ones((B, T, D)), **options)
