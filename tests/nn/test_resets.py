"""``resets``: episodes packed into one row give what each gives alone."""

import itertools
from typing import NamedTuple

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlab import GRU, LSTM, RNN, Bidirectional, Stack, Zoneout, unroll
from rnnlab.nn import layers
from rnnlab.nn.layers import as_layer
from tests.helpers import oracles
from tests.helpers.sequences import applied, compiled, unrolled

B, T, D, H = 3, 7, 4, 5
RESETS = np.array(
    [
        [1, 0, 0, 1, 0, 0, 1],  # from the first step on; the last episode is one step
        [0, 0, 1, 1, 0, 1, 0],  # continues from initial_state; an episode of one step
        [0, 0, 0, 0, 0, 0, 0],
    ],
    bool,
)
FULL = np.full(B, T)
RAGGED = np.array([6, 7, 4])  # row 0: the reset at step 6 is padding

CELLS = {
    "rnn": RNN(H),
    "gru": GRU(H),
    "lstm": LSTM(H),
    "options": LSTM(H, norm="layer", projection=3, peephole=True),
    "zoneout": Zoneout(LSTM(H), {"h": 0.1, "C": 0.5}),
}


def random(*shape, seed=5):
    return 0.9 * np.random.default_rng(seed).standard_normal(shape)


def draw(net, batch=B):
    params = oracles.drawn(lambda: net.init(jax.random.key(0), D), 0)
    return params, oracles.drawn(lambda: net.initial_state(params, (batch,)), 1)


def own(start):
    """s_0 of one sequence where none is given: zeros."""
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape[1:]), start)


def episodes(resets, length):
    """[(first, past the last)] of one row's real steps."""
    edges = [0, *(t for t in range(1, length) if resets[t]), length]
    return [(a, b) for a, b in itertools.pairwise(edges) if b > a]


class Pieces(NamedTuple):
    """The episodes of packed rows, each as a row of its own, padded to T steps."""

    places: list[tuple[int, int, int]]  # (row, first step, past the last)
    xs: np.ndarray  # (episodes, T, D)
    lengths: np.ndarray

    def starts(self, given, own, rows):
        """s_0 of every episode: the row's where ``rows`` says so, else the cell's own."""
        return jax.tree.map(
            lambda g, o: np.stack(
                [g[n] if row else o for (n, _, _), row in zip(self.places, rows, strict=True)]
            ),
            given,
            own,
        )

    def first(self):
        """Whether each episode continues from the row's s_0, read forwards."""
        return [a == 0 and not RESETS[n, 0] for n, a, _ in self.places]

    def last(self, lengths):
        """The same, read in reverse."""
        return [b == lengths[n] for n, _, b in self.places]


def apart(xs, lengths):
    places = [(n, a, b) for n in range(B) for a, b in episodes(RESETS[n], lengths[n])]
    pieces = [np.pad(xs[n, a:b], ((0, T - b + a), (0, 0))) for n, a, b in places]
    return Pieces(places, np.stack(pieces), np.array([b - a for _, a, b in places]))


@pytest.mark.parametrize(
    ("lengths", "reverse"), [(FULL, False), (RAGGED, True)], ids=["full", "ragged, reverse"]
)
@pytest.mark.parametrize("name", CELLS)
def test_episodes_in_a_row_are_episodes_apart(name, lengths, reverse, x64):
    cell = CELLS[name]
    params, start = draw(as_layer(cell))
    xs = random(B, T, D)
    options = {"resets": RESETS, "initial_state": start, "reverse": reverse}
    if lengths is RAGGED:
        options["lengths"] = lengths
    ys, state = unrolled(cell, params, xs, **options)
    pieces = apart(xs, lengths)
    given = pieces.last(lengths) if reverse else pieces.first()
    starts = pieces.starts(jax.device_get(start), own(start), given)
    expected, finals = unrolled(
        cell, params, pieces.xs, lengths=pieces.lengths, initial_state=starts, reverse=reverse
    )
    for k, (n, a, b) in enumerate(pieces.places):
        oracles.assert_close(ys[n, a:b], expected[k, : b - a], 1e-12)
        if (a == 0) if reverse else (b == lengths[n]):
            for got, final in zip(state, finals, strict=True):
                oracles.assert_close(got[n], final[k], 1e-12)
    for n in range(B):
        np.testing.assert_array_equal(ys[n, lengths[n] :], 0)


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
        ys, state = unrolled(
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

    def both(xs, start):
        return [jax.grad(loss, (0, 1))(xs, start, steps) for steps in (first, second)]

    (of_first, start_first), (of_second, start_second) = compiled(both, xs, start)
    np.testing.assert_array_equal(of_first[:, second], 0)
    np.testing.assert_array_equal(of_second[:, first], 0)
    assert float(abs(of_first[:, first]).min()) > 0
    assert float(abs(of_second[:, second]).min()) > 0
    entered, fresh = (start_second, start_first) if reverse else (start_first, start_second)
    for leaf in jax.tree.leaves(fresh):
        np.testing.assert_array_equal(leaf, 0)
    assert all(float(abs(leaf).min()) > 0 for leaf in jax.tree.leaves(entered))


def test_gradients_are_those_of_the_equations_in_numpy(x64):
    """Each parameter moved a little along a direction of its own, episodes run one by one."""
    cell, weights = CELLS["gru"], random(B, T, H, seed=8)
    params, start = draw(as_layer(cell))
    xs, s = random(B, T, D), np.asarray(start.h)

    def packed(params):
        ys, _ = unroll(cell, params, xs, resets=RESETS, lengths=RAGGED, initial_state=start)
        return (ys * weights).sum()

    def alone(leaves):
        p, total = jax.tree.unflatten(jax.tree.structure(params), leaves), 0.0
        for n in range(B):
            for a, b in episodes(RESETS[n], RAGGED[n]):
                h = s[n] if a == 0 and not RESETS[n, 0] else np.zeros(H)
                for t in range(a, b):
                    h = oracles.gru_step(p, {"h": h}, xs[n, t])[0]["h"]
                    total += (h * weights[n, t]).sum()
        return total

    value, gradients = compiled(jax.value_and_grad(packed), params)
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(params)]
    assert value == pytest.approx(alone(leaves), rel=1e-10)
    rng = np.random.default_rng(0)
    for place, gradient in enumerate(jax.tree.leaves(gradients)):
        direction = rng.standard_normal(gradient.shape)
        ahead, back = list(leaves), list(leaves)
        ahead[place], back[place] = (leaves[place] + e * direction for e in (1e-5, -1e-5))
        parts = np.asarray(gradient) * direction
        difference = (alone(ahead) - alone(back)) / 2e-5
        assert abs(difference - parts.sum()) < 1e-7 * np.abs(parts).sum()


def test_nothing_of_another_episode_is_seen():
    cell = CELLS["gru"]
    params, _ = draw(as_layer(cell))
    xs = random(1, T, D).astype(np.float32)
    resets = np.zeros((1, T), bool)
    resets[0, 4] = True
    dirty = xs.copy()
    dirty[:, :4] = np.nan
    clean, got = (unrolled(cell, params, x, resets=resets)[0] for x in (xs, dirty))
    np.testing.assert_array_equal(clean[:, 4:], got[:, 4:])


def test_layers_pass_resets_on(x64):
    net = Stack([Bidirectional(CELLS["gru"], merge="sum"), LSTM(H), Bidirectional(LSTM(3))])
    params, start = draw(net)
    xs = random(B, T, D)
    ys, _ = applied(net, params, xs, resets=RESETS, lengths=RAGGED, initial_state=start)
    pieces, start = apart(xs, RAGGED), jax.device_get(start)
    # a direction starts from the s_0 given only at its end of the row
    ahead = pieces.starts(start, own(start), pieces.first())
    back = pieces.starts(start, own(start), pieces.last(RAGGED))
    mixed = (
        layers.BothWays(ahead[0].forward, back[0].backward),
        ahead[1],
        layers.BothWays(ahead[2].forward, back[2].backward),
    )
    expected, _ = applied(net, params, pieces.xs, lengths=pieces.lengths, initial_state=mixed)
    for k, (n, a, b) in enumerate(pieces.places):
        oracles.assert_close(ys[n, a:b], expected[k, : b - a], 1e-12)


def test_the_first_step_s_reset_wins_over_the_initial_state(x64):
    cell = CELLS["lstm"]
    params, start = draw(as_layer(cell))
    xs, resets = random(B, T, D), np.zeros((B, T), bool)
    resets[:, 0] = True
    got = unrolled(cell, params, xs, resets=resets, initial_state=start)[0]
    oracles.assert_close(got, unrolled(cell, params, xs, engine="scan")[0], 1e-12)
    none = unrolled(cell, params, xs, resets=resets & False, initial_state=start)[0]
    oracles.assert_close(none, unrolled(cell, params, xs, initial_state=start)[0], 1e-12)


def test_resets_may_be_traced_and_leading_axes_are_any():
    cell = CELLS["gru"]
    params, _ = draw(as_layer(cell))
    xs = random(2, B, T, D).astype(np.float32)
    resets = np.stack([RESETS, ~RESETS])
    got = compiled(lambda r: unroll(cell, params, xs, resets=r)[0], resets)
    for n in range(2):
        alone = unrolled(cell, params, xs[n], resets=resets[n])[0]
        np.testing.assert_allclose(got[n], alone, rtol=1e-6, atol=1e-7)
    single = unroll(cell, params, xs[0, 0], resets=resets[0, 0])[0]  # known resets too
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
    params, _ = draw(as_layer(GRU(H)))
    with pytest.raises(error, match=message):
        unroll(GRU(H), params, np.ones((B, T, D), np.float32), **options)
