"""Each equation against NumPy written out from it; its limits; what a cell refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab import cells
from rnnlab.initializers import InitScheme
from tests.oracles import sigmoid

D, H = 3, 5
BATCHES = pytest.mark.parametrize("batch", [(), (4,), (2, 3)], ids=str)
RNG = np.random.default_rng(0)


def _draw(*shape):
    return RNG.normal(size=shape)


def _times(W, a):
    """W a of the maths, entry by entry: y_j = Σ_i W_ij a_i with kernels (in, out)."""
    out = np.zeros((*a.shape[:-1], W.shape[1]))
    for place in np.ndindex(*out.shape):
        out[place] = sum(W[i, place[-1]] * a[(*place[:-1], i)] for i in range(W.shape[0]))
    return out


def _same(got, expected):
    assert got.dtype == jnp.float64
    np.testing.assert_allclose(np.asarray(got), expected, rtol=0, atol=1e-10)


def _check_gate(name, squash, batch):
    h, x, W_h, W_x, b = _draw(*batch, H), _draw(*batch, D), _draw(H, H), _draw(D, H), _draw(H)
    expected = squash(_times(W_h, h) + _times(W_x, x) + b)
    with jax.enable_x64(True):
        _same(getattr(cells, name)(h, x, W_h, W_x, b), expected)


@BATCHES
@pytest.mark.parametrize("activation", ["tanh", "relu", "identity", jnp.sin])
def test_rnn_hidden(batch, activation):
    f = {"tanh": np.tanh, "relu": lambda a: a * (a > 0), "identity": lambda a: a}
    h, x, W_h, W_x, b = _draw(*batch, H), _draw(*batch, D), _draw(H, H), _draw(D, H), _draw(H)
    expected = f.get(activation, np.sin)(_times(W_h, h) + _times(W_x, x) + b)
    with jax.enable_x64(True):
        _same(cells.rnn_hidden(*map(jnp.asarray, (h, x, W_h, W_x, b)), activation), expected)


@BATCHES
@pytest.mark.parametrize("activation", ["identity", "softmax", "sigmoid"])
def test_output(batch, activation):
    h, W, b = _draw(*batch, H), _draw(H, 4), _draw(4)
    a = _times(W, h) + b
    e = np.exp(a)
    g = {"identity": a, "softmax": e / e.sum(-1, keepdims=True), "sigmoid": sigmoid(a)}
    with jax.enable_x64(True):
        _same(cells.output(jnp.asarray(h), W, b, activation), g[activation])


@BATCHES
def test_forget_gate(batch):
    _check_gate("forget_gate", sigmoid, batch)


@BATCHES
def test_input_gate(batch):
    _check_gate("input_gate", sigmoid, batch)


@BATCHES
def test_candidate_memory(batch):
    _check_gate("candidate_memory", np.tanh, batch)


@BATCHES
def test_output_gate(batch):
    _check_gate("output_gate", sigmoid, batch)


@BATCHES
def test_update_gate(batch):
    _check_gate("update_gate", sigmoid, batch)


@BATCHES
def test_reset_gate(batch):
    _check_gate("reset_gate", sigmoid, batch)


@BATCHES
def test_cell_state(batch):
    f, C, i, c = (_draw(*batch, H) for _ in range(4))
    with jax.enable_x64(True):
        _same(cells.cell_state(*map(jnp.asarray, (f, C, i, c))), f * C + i * c)
        frozen = cells.cell_state(
            jnp.ones_like(C), jnp.asarray(C), jnp.zeros_like(C), jnp.asarray(c)
        )
        _same(frozen, C)  # f = 1 and i = 0 freeze C


@BATCHES
def test_lstm_hidden(batch):
    o, C = _draw(*batch, H), _draw(*batch, H)
    with jax.enable_x64(True):
        _same(cells.lstm_hidden(jnp.asarray(o), jnp.asarray(C)), o * np.tanh(C))


@BATCHES
@pytest.mark.parametrize("reset_after", [False, True])
def test_candidate_hidden(batch, reset_after):
    r, h, x = sigmoid(_draw(*batch, H)), _draw(*batch, H), _draw(*batch, D)
    W_h, W_x, b, b_hn = _draw(H, H), _draw(D, H), _draw(H), _draw(H)
    if reset_after:
        expected = np.tanh(_times(W_x, x) + b + r * (_times(W_h, h) + b_hn))
    else:
        expected = np.tanh(_times(W_h, r * h) + _times(W_x, x) + b)
    with jax.enable_x64(True):
        own = (b_hn,) if reset_after else ()
        _same(cells.candidate_hidden(*map(jnp.asarray, (r, h, x, W_h, W_x, b, *own))), expected)
        if not reset_after:  # r = 0 drops the past from the candidate
            zero = cells.candidate_hidden(*map(jnp.asarray, (r * 0, h, x, W_h, W_x, b)))
            _same(zero, np.tanh(_times(W_x, x) + b))


@BATCHES
def test_gru_hidden(batch):
    z, h, c = sigmoid(_draw(*batch, H)), _draw(*batch, H), _draw(*batch, H)
    with jax.enable_x64(True):
        _same(cells.gru_hidden(*map(jnp.asarray, (z, h, c))), z * h + (1 - z) * c)
        _same(cells.gru_hidden(*map(jnp.asarray, (z * 0 + 1, h, c))), h)  # z = 1 keeps the past
        _same(cells.gru_hidden(*map(jnp.asarray, (z * 0, h, c))), c)  # z = 0 takes the candidate


def test_relu_s_slope_at_zero_is_zero():
    assert jax.grad(cells.ACTIVATIONS["relu"])(0.0) == 0.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"h": (4,)}, r"forget_gate: h has 4 features, its kernel W_h is \(5, 5\)"),
        (
            {"x": (2,)},
            r"x has 2 features and there are 5 units, so W_x must be \(2, 5\), got \(3, 5\)",
        ),
        ({"b": (4,)}, r"b must end in 5 units, got shape \(4,\)"),
    ],
)
def test_wrong_shapes_are_named(change, words):
    shapes = {"h": (H,), "x": (D,), "W_h": (H, H), "W_x": (D, H), "b": (H,)} | change
    with pytest.raises(ValueError, match=words):
        cells.forget_gate(*(jnp.ones(shape) for shape in shapes.values()))
    with pytest.raises(ValueError, match="output: h has 5 features"):
        cells.output(jnp.ones(H), jnp.ones((4, 2)), jnp.ones(2))


@pytest.mark.parametrize("name", cells.CELLS)
def test_parameter_count_does_not_depend_on_length_and_matches_the_notes(name):
    cell = cells.by_name(name, H, InitScheme())
    params = cell.init_params(jax.random.key(0), D)
    count = sum(leaf.size for leaf in jax.tree.leaves(params))
    one_gate = H * H + D * H + H
    gates = {"rnn": 1, "lstm": 4, "gru": 3}[name.split("-")[0]]
    assert count == gates * one_gate + (H if name == "gru-reset-after" else 0)


@pytest.mark.parametrize("name", cells.CELLS)
def test_random_and_zero_first_states(name):
    cell = cells.by_name(name, H, InitScheme())
    params = cell.init_params(jax.random.key(0), D)
    zero = cell.initial_state(params, (2, 3))
    drawn = cell.initial_state(params, (2, 3), jax.random.key(1))
    again = cell.initial_state(params, (2, 3), jax.random.key(1))
    for z, d, a in zip(zero, drawn, again, strict=True):
        assert z.shape == d.shape == (2, 3, H)
        assert not z.any()
        assert 0.03 < d.std() < 0.3
        assert (d == a).all()


def test_cells_are_values():
    scheme = InitScheme(w_h="identity")
    assert cells.lstm(4, init=scheme) == cells.lstm(4, init=InitScheme(w_h="identity"))
    assert hash(cells.gru(4)) == hash(cells.gru(4))
    assert cells.rnn(4) != cells.rnn(4, "relu")
    assert cells.lstm(4) != cells.lstm(4, init=scheme)
    traced = []

    def f(cell, x):
        traced.append(cell)
        return x * cell.hidden_size

    compiled = jax.jit(f, static_argnums=0)
    for _ in range(3):
        compiled(cells.lstm(4, init=InitScheme(gates={"c": {"w_h": "identity"}})), 1.0)
    assert len(traced) == 1


def test_without_init_reaches_into_nested_layers():
    from rnnlab import recurrence as r

    own = InitScheme(w_h="identity")
    nest = r.stack([cells.lstm(4, init=own), r.bidirectional(cells.gru(4, init=own))])
    plain = r.stack([cells.lstm(4, init=InitScheme()), r.bidirectional(cells.gru(4))])
    assert cells.without_init(nest) == plain


@pytest.mark.parametrize("kind", ["rnn-tanh", "lstm", "gru", "gru-reset-after"])
def test_the_cotangent_of_perturb_is_the_total_derivative(kind):
    with jax.enable_x64(True):
        cell = cells.by_name(kind, H, InitScheme())
        keys = jax.random.split(jax.random.key(0), 4)
        params = cell.init_params(keys[0], D)
        params = jax.tree.map(lambda a: a + 0.3 * jax.random.normal(keys[1], a.shape), params)
        state = cell.initial_state(params, (), keys[2])
        x = jax.random.normal(keys[3], (2, D))

        def loss(n):  # the perturbed state is used by its own output and by the next step
            s, y, _ = cell.step(params, state, x[0], perturb=n)
            s2, y2, _ = cell.step(params, s, x[1])
            return jnp.sin(y).sum() + (y2**2).sum() + s2.h.sum()

        nothing = jax.tree.map(jnp.zeros_like, state)
        got = jax.grad(loss)(nothing)
        for part in state._fields:
            for j in range(H):
                e = jnp.zeros(H).at[j].set(1e-6)
                up, down = (loss(nothing._replace(**{part: s * e})) for s in (1, -1))
                assert getattr(got, part)[j] == pytest.approx((up - down) / 2e-6, abs=1e-8)


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (lambda: cells.rnn(0), ValueError, "hidden_size must be a whole number"),
        (lambda: cells.lstm(2.5), ValueError, "hidden_size"),
        (lambda: cells.rnn(4, "tnah"), ValueError, "did you mean 'tanh'"),
        (lambda: cells.gru(4, init="orthogonal"), TypeError, "must be an InitScheme, got str"),
        (lambda: cells.rnn(4, init=InitScheme(forget_bias=1.0)), ValueError, "no forget gate"),
        (lambda: cells.by_name("lstn", 4, InitScheme()), ValueError, "did you mean 'lstm'"),
        (lambda: cells.lstm(4).init_params(jax.random.key(0), 0), ValueError, "input_size"),
    ],
)
def test_bad_cells_are_refused(build, error, words):
    with pytest.raises(error, match=words):
        build()


def test_params_of_the_other_gru_are_refused():
    cell, other = cells.gru(4), cells.gru(4, reset_after=True)
    params = cell.init_params(jax.random.key(0), D)
    with pytest.raises(ValueError, match="reset_after=True got params without b_hn"):
        other.step(params, other.initial_state(params, ()), jnp.ones(D))
