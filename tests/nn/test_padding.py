"""Properties of padded sequences: padding changes no bit, and each sequence is as it is alone."""

import functools

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlab import GRU, LSTM, RNN, Bidirectional, Stack
from rnnlab.nn.layers import as_layer
from tests.helpers import oracles
from tests.helpers.sequences import applied, bits, draw, flip, random

D = 3

NETS = {
    "lstm": lambda: as_layer(LSTM(4)),
    "bi-product": lambda: Bidirectional(GRU(4, reset_after=True), RNN(4, "relu"), merge="product"),
    "nested": lambda: Stack([RNN(3), Bidirectional(Stack([RNN(3)]), RNN(2, "relu"))]),
}
SIZE = 3  # sequences a batch
STEPS = 6
nets = pytest.mark.parametrize("name", NETS)
lengths_of_a_batch = st.lists(st.integers(0, STEPS), min_size=SIZE, max_size=SIZE).map(np.array)
seeds = st.integers(0, 2**16)
garbage = st.sampled_from([np.nan, np.inf, -np.inf, 3e38, 1.0])


class Case:
    """One layer's outputs and gradients, compiled once a shape; in NumPy."""

    def __init__(self, net):
        self.net = net
        apply, pull = jax.jit(self._apply, static_argnames="reverse"), jax.jit(self._pull)
        self.apply = lambda *args, **options: jax.device_get(apply(*args, **options))
        self.pull = lambda *args: jax.device_get(pull(*args))
        self.params = jax.eval_shape(lambda: net.init(jax.random.key(0), D))
        self.start = jax.eval_shape(lambda p: net.initial_state(p, (SIZE,)), self.params)

    def _apply(self, params, xs, start, lengths=None, reverse=False):
        return self.net.apply(params, xs, initial_state=start, lengths=lengths, reverse=reverse)

    def _pull(self, params, xs, start, lengths, cotangents):
        out, vjp = jax.vjp(lambda p, x, s: self._apply(p, x, s, lengths), params, xs, start)
        return out, vjp(cotangents)

    def draw(self, seed):
        """params, xs, start and cotangents of (ys, state), float32."""
        params, start, final = (
            jax.device_get(oracles.random_like(like, seed + k))
            for k, like in enumerate((self.params, self.start, self.start))
        )
        xs = random((SIZE, STEPS, D), seed).astype(np.float32)
        ys = random((SIZE, STEPS, self.net.output_size), seed + 1).astype(np.float32)
        return params, xs, start, (ys, final)


@functools.cache
def case(name):
    return Case(NETS[name]())


def padded(lengths, steps=STEPS):
    return np.arange(steps) >= lengths[:, None]


@nets
@given(lengths=lengths_of_a_batch, seed=seeds, fill=garbage)
def test_more_padding_changes_no_bit(name, lengths, seed, fill):
    net = case(name)
    params, xs, start, _ = net.draw(seed)
    ys, state = net.apply(params, xs, start, lengths)
    more = np.pad(xs, ((0, 0), (0, 5), (0, 0)), constant_values=fill)
    longer, same = net.apply(params, more, start, lengths)
    assert bits(longer[:, :STEPS]) == bits(ys)
    assert bits(same) == bits(state)
    assert not longer[:, STEPS:].any()


@nets
@given(lengths=lengths_of_a_batch, seed=seeds, fill=garbage)
def test_garbage_in_the_padding_changes_nothing(name, lengths, seed, fill):
    # neither in the inputs, nor in the cotangents of padded outputs
    net = case(name)
    params, xs, start, (g, g_state) = net.draw(seed)
    hidden = padded(lengths)[..., None]
    clean, dirty = (
        net.pull(
            params,
            np.where(hidden, np.float32(value), xs),
            start,
            lengths,
            (np.where(hidden, np.float32(value), g), g_state),
        )
        for value in (0, fill)
    )
    assert bits(clean) == bits(dirty)
    (ys, state), (d_params, d_xs, d_start) = dirty
    for leaf in jax.tree.leaves((ys, state, d_params, d_xs, d_start)):
        assert np.isfinite(leaf).all()
    np.testing.assert_array_equal(d_xs[padded(lengths)], 0)
    np.testing.assert_array_equal(ys[padded(lengths)], 0)


@nets
@given(lengths=lengths_of_a_batch, seed=seeds)
def test_more_padding_keeps_gradients_to_rounding(name, lengths, seed):
    net = case(name)
    params, xs, start, (g, g_state) = net.draw(seed)
    _, (d_params, d_xs, d_start) = net.pull(params, xs, start, lengths, (g, g_state))
    wider = ((0, 0), (0, 5), (0, 0))
    more = [np.pad(a, wider, constant_values=np.nan) for a in (xs, g)]
    _, (p, x, s) = net.pull(params, more[0], start, lengths, (more[1], g_state))
    np.testing.assert_array_equal(x[:, STEPS:], 0)
    for a, b in zip(
        jax.tree.leaves((p, x[:, :STEPS], s)),
        jax.tree.leaves((d_params, d_xs, d_start)),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * (1e-3 + abs(b).max()))


@nets
@given(
    # each length is a shape to compile
    lengths=st.lists(st.sampled_from([0, 1]), min_size=SIZE, max_size=SIZE).map(
        lambda few: np.array([4, *few[1:]])
    ),
    seed=seeds,
)
def test_each_sequence_alone(name, lengths, seed):
    net = case(name)
    params, xs, start, (g, g_state) = net.draw(seed)
    (ys, state), (d_params, d_xs, d_start) = net.pull(params, xs, start, lengths, (g, g_state))
    total = jax.tree.map(np.zeros_like, oracles.to_numpy(params))
    for n, length in enumerate(lengths):
        one = jax.tree.map(lambda leaf, n=n: leaf[n : n + 1], (start, g_state, state, d_start))
        if not length:  # nothing is read: its state stays, and so does the adjoint of that
            assert bits(one[:2]) == bits(one[2:])
            continue
        (y, end), (d_p, d_x, d_s) = net.pull(
            params, xs[n : n + 1, :length], one[0], None, (g[n : n + 1, :length], one[1])
        )
        close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=2e-6)
        close(y[0], ys[n, :length])
        close(d_x[0], d_xs[n, :length])
        jax.tree.map(close, (end, d_s), (one[2], one[3]))
        total = jax.tree.map(np.add, total, oracles.to_numpy(d_p))
    for a, b in zip(jax.tree.leaves(d_params), jax.tree.leaves(total), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * (1e-3 + abs(b).max()))


@nets
@given(lengths=lengths_of_a_batch, seed=seeds)
def test_reverse_is_a_flip_before_and_after(name, lengths, seed):
    net = case(name)
    params, xs, start, _ = net.draw(seed)
    # whole sequences are another path through each layer, not through their nesting
    for real in (lengths,) if name == "nested" else (None, lengths):
        ys, state = net.apply(params, xs, start, real, reverse=True)
        flipped, same = net.apply(params, flip(xs, real), start, real)
        np.testing.assert_allclose(ys, flip(flipped, real), rtol=1e-6, atol=1e-6)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6), state, same
        )


@nets
@given(seed=seeds)
def test_lengths_of_nothing_and_of_everything(name, seed):
    net = case(name)
    params, xs, start, cotangents = net.draw(seed)
    full, everything = net.apply(params, xs, start), np.full(SIZE, STEPS)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6),
        net.apply(params, xs, start, everything),
        full,
    )
    nothing = np.zeros(SIZE, np.int32)
    (ys, state), (d_params, d_xs, d_start) = net.pull(params, xs, start, nothing, cotangents)
    assert not ys.any()
    assert bits(state) == bits(start)
    for leaf in jax.tree.leaves((d_params, d_xs)):
        assert not leaf.any()
    assert bits(d_start) == bits(cotangents[1])


def test_no_steps_at_all():
    net = Bidirectional(LSTM(3))
    params, start = draw(net, D, SIZE)
    ys, state = applied(net, params, np.ones((SIZE, 0, D), np.float32), initial_state=start)
    assert ys.shape == (SIZE, 0, 6)
    assert bits(state) == bits(start)
