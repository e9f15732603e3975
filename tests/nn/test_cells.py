"""RNN, LSTM and GRU: limits, steps and gates against NumPy, parameters, what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab import GRU, LSTM, RNN, InitScheme
from rnnlab.nn import activations, cells, equations
from rnnlab.nn.params import HiddenState, LSTMState, RNNParams
from tests.helpers import oracles

H, D = 5, 3
LEADING = [(), (4,), (2, 3)]  # one example, a batch, members by batch

pytestmark = pytest.mark.usefixtures("x64")
leading_axes = pytest.mark.parametrize("leading", LEADING, ids=str)


def arrays(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [jnp.asarray(0.8 * rng.standard_normal(shape)) for shape in shapes]


# ---- limits ------------------------------------------------------------------------------------

OPEN, SHUT = 800.0, -800.0  # σ is exactly 1 and 0 there


def random_params(cell, seed=0):
    return oracles.drawn(lambda: cell.init_params(jax.random.key(0), D), seed)


def walk(cell, params, state, xs):
    """The states and gates of every step over xs (T, ..., D), in a Python loop."""
    history = []
    for x in xs:
        state, y, gates = cell.step(params, state, x)
        np.testing.assert_array_equal(y, state.h)
        history.append((state, gates))
    return history


GRUS = pytest.mark.parametrize("cell", [GRU(H), GRU(H, reset_after=True)], ids=["gru", "after"])


@GRUS
def test_an_open_update_gate_copies_h(cell):
    params = random_params(cell)._replace(b_z=jnp.full(H, OPEN))
    h, xs = arrays((2, H), (6, 2, D))
    for state, _ in walk(cell, params, HiddenState(h), xs):
        np.testing.assert_array_equal(state.h, h)


@GRUS
def test_a_shut_update_gate_takes_the_candidate(cell):
    params = random_params(cell)._replace(b_z=jnp.full(H, SHUT))
    h, xs = arrays((2, H), (3, 2, D))
    for state, gates in walk(cell, params, HiddenState(h), xs):
        np.testing.assert_array_equal(state.h, gates.h_tilde)


@GRUS
def test_a_shut_reset_gate_drops_the_past(cell):
    params = random_params(cell)._replace(b_r=jnp.full(H, SHUT))
    one, other, x = arrays((2, H), (2, H), (2, D))
    _, _, gates = cell.step(params, HiddenState(one), x)
    _, _, same = cell.step(params, HiddenState(other), x)
    np.testing.assert_array_equal(gates.h_tilde, same.h_tilde)
    np.testing.assert_allclose(
        gates.h_tilde, np.tanh(x @ np.asarray(params.W_xh) + params.b_h), rtol=1e-12
    )


def test_an_open_reset_gate_leaves_a_simple_network():
    cell = GRU(H)
    params = random_params(cell)._replace(b_r=jnp.full(H, OPEN), b_z=jnp.full(H, SHUT))
    h, x = arrays((2, H), (2, D))
    state, _, _ = cell.step(params, HiddenState(h), x)
    plain, _, _ = RNN(H).step(RNNParams(params.W_xh, params.W_hh, params.b_h), HiddenState(h), x)
    np.testing.assert_allclose(state.h, plain.h, rtol=1e-12)


def test_an_open_forget_gate_and_a_shut_input_gate_freeze_C():
    cell = LSTM(H)
    params = random_params(cell)._replace(b_f=jnp.full(H, OPEN), b_i=jnp.full(H, SHUT))
    h, C, xs = arrays((2, H), (2, H), (6, 2, D))
    for state, _ in walk(cell, params, LSTMState(h, C), xs):
        np.testing.assert_array_equal(state.C, C)


def test_a_shut_forget_gate_drops_C():
    cell = LSTM(H)
    params = random_params(cell)._replace(b_f=jnp.full(H, SHUT), b_i=jnp.full(H, OPEN))
    h, C, xs = arrays((2, H), (2, H), (3, 2, D))
    for state, gates in walk(cell, params, LSTMState(h, C), xs):
        np.testing.assert_array_equal(state.C, gates.C_tilde)


def test_a_shut_output_gate_shows_nothing():
    cell = LSTM(H)
    params = random_params(cell)._replace(b_o=jnp.full(H, SHUT))
    h, C, xs = arrays((2, H), (2, H), (3, 2, D))
    for state, _ in walk(cell, params, LSTMState(h, C), xs):
        np.testing.assert_array_equal(state.h, 0)
        assert abs(state.C).min() > 0


def test_a_linear_network_with_an_orthogonal_kernel_keeps_powers_of_the_gain():
    cell = RNN(H, "identity", init=InitScheme(w_h="orthogonal(gain=0.7)"))
    params = cell.init_params(jax.random.key(0), D)
    h = arrays((2, H))[0]
    history = walk(cell, params, HiddenState(h), jnp.zeros((8, 2, D)))
    for k, (state, _) in enumerate(history, start=1):
        expected = 0.7**k * np.linalg.norm(h, axis=-1)
        np.testing.assert_allclose(np.linalg.norm(state.h, axis=-1), expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_relu_has_no_slope_at_zero(dtype):
    zero = jnp.zeros((), dtype)
    assert float(jax.grad(activations.activation_function("relu"))(zero)) == 0.0
    assert float(jax.grad(activations.activation_function("relu"))(zero + 1)) == 1.0
    params = RNNParams(jnp.ones((D, H), dtype), jnp.eye(H, dtype=dtype), jnp.zeros(H, dtype))
    state = HiddenState(jnp.zeros(H, dtype))
    slope = jax.jacobian(lambda s: RNN(H, "relu").step(params, s, jnp.zeros(D, dtype))[0].h)(state)
    np.testing.assert_array_equal(slope.h, 0)


# ---- cells: steps, gates, perturb --------------------------------------------------------------


def build(name):
    if name == "rnn-softplus":
        return RNN(H, jax.nn.softplus)
    return cells.by_name(name, H, InitScheme())


def random_state(cell, params, batch_shape, seed=9):
    return oracles.drawn(lambda: cell.initial_state(params, batch_shape), seed)


def test_every_cell_has_an_oracle():
    assert set(oracles.STEPS) == {*cells.CELLS, "rnn-softplus"}


@leading_axes
@pytest.mark.parametrize("name", oracles.STEPS)
def test_a_step_hands_out_its_gates(name, leading):
    cell = build(name)
    params = random_params(cell)
    before = random_state(cell, params, leading)
    x = arrays((*leading, D))[0]
    state, y, gates = cell.step(params, before, x)
    got = {**gates._asdict(), **state._asdict()}
    p = oracles.to_numpy(params)
    for index in np.ndindex(leading):
        one = {part: np.asarray(value)[index] for part, value in before._asdict().items()}
        after, values = oracles.STEPS[name](p, one, np.asarray(x)[index])
        expected = {**values, **after}
        assert set(got) == set(expected)
        for part, value in expected.items():
            np.testing.assert_allclose(got[part][index], value, rtol=1e-12, err_msg=part)
        np.testing.assert_allclose(y[index], after["h"], rtol=1e-12)


def _nudged_loss(cell, params, state, xs, weights, when, nudge):
    total = 0.0
    for t, x in enumerate(xs):
        state, y, _ = cell.step(params, state, x, perturb=nudge if t == when else None)
        total += (y * weights[t]).sum()
    return total + sum(leaf.sum() for leaf in jax.tree.leaves(state))


@pytest.mark.parametrize("when", [0, 2, 3])
@pytest.mark.parametrize("name", oracles.STEPS)
def test_the_cotangent_of_perturb_is_the_total_derivative(name, when):
    # finite differences of the NumPy loop: C is nudged, and h = o*tanh(C) follows
    T, eps = 4, 1e-6
    cell = build(name)
    params = random_params(cell)
    state = random_state(cell, params, ())
    xs, weights = arrays((T, D), (T, H))
    nudge = jax.tree.map(jnp.zeros_like, state)
    gradient = jax.grad(lambda n: _nudged_loss(cell, params, state, xs, weights, when, n))(nudge)

    p = oracles.to_numpy(params)
    start = {part: np.asarray(value)[None] for part, value in state._asdict().items()}

    def loss(part, vector):
        run = oracles.recurrence(
            oracles.STEPS[name], p, np.asarray(xs)[None], start, nudges={when: {part: vector}}
        )
        return (run.ys[0] * weights).sum() + sum(v.sum() for v in run.state.values())

    for part in state._fields:
        expected = [(loss(part, eps * e) - loss(part, -eps * e)) / (2 * eps) for e in np.eye(H)]
        got = getattr(gradient, part)
        assert oracles.relative_error(got, expected) < 1e-7, part


@pytest.mark.parametrize("name", oracles.STEPS)
def test_perturb_adds_to_each_part_as_it_is_made(name):
    cell = build(name)
    params = random_params(cell)
    state = random_state(cell, params, (1,))
    nudge = random_state(cell, params, (1,), seed=10)
    x = arrays((1, D))[0]
    got, y, _ = cell.step(params, state, x, perturb=nudge)
    one = {part: np.asarray(value)[0] for part, value in state._asdict().items()}
    by = {part: np.asarray(value)[0] for part, value in nudge._asdict().items()}
    expected, _ = oracles.STEPS[name](oracles.to_numpy(params), one, np.asarray(x)[0], by)
    for part, value in expected.items():
        np.testing.assert_allclose(getattr(got, part)[0], value, rtol=1e-12)
    np.testing.assert_array_equal(y, got.h)


# ---- params and states -------------------------------------------------------------------------


@pytest.mark.parametrize("name", oracles.STEPS)
def test_params_have_every_block(name):
    cell = build(name)
    params = cell.init_params(jax.random.key(0), D)
    names = {block for block, value in params._asdict().items() if value is not None}
    expected = {"rnn": "h", "lst": "fico", "gru": "zrh"}[name[:3]]
    blocks = {f"{kind}{gate}" for gate in expected for kind in ("W_x", "W_h", "b_")}
    assert names == blocks | ({"b_hn"} if name == "gru-reset-after" else set())
    assert cell.output_size == H


@pytest.mark.parametrize("name", oracles.STEPS)
def test_initial_state(name):
    cell = build(name)
    params = random_params(cell)
    zero = cell.initial_state(params, (3, 2))
    assert [leaf.shape for leaf in zero] == [(3, 2, H)] * len(cell.state_parts)
    for leaf in zero:
        np.testing.assert_array_equal(leaf, 0)
    assert tuple(zero._fields) == cell.state_parts
    drawn = cell.initial_state(params, (4000,), jax.random.key(1))
    for leaf in drawn:
        n = leaf.size
        assert float(leaf.std()) == pytest.approx(0.1, rel=5 / np.sqrt(2 * n))
        assert abs(float(leaf.mean())) < 5 * 0.1 / np.sqrt(n)
    again = cell.initial_state(params, (4000,), jax.random.key(1))
    np.testing.assert_array_equal(drawn.h, again.h)
    assert len({float(leaf[0, 0]) for leaf in drawn}) == len(drawn), "h and C drawn alike"


def test_initial_states_follow_the_params_dtype():
    params = jax.tree.map(lambda a: a.astype(jnp.float32), random_params(LSTM(H)))
    for key in (None, jax.random.key(0)):
        state = LSTM(H).initial_state(params, (2,), key)
        assert {leaf.dtype for leaf in state} == {jnp.dtype(jnp.float32)}


# ---- values and refusals -----------------------------------------------------------------------


def test_cells_are_values():
    for make_one in (
        lambda: RNN(4, "relu"),
        lambda: RNN(4, jnp.tanh),
        lambda: LSTM(4, InitScheme(gates={"f": {"w_h": "identity"}})),
        lambda: GRU(4, reset_after=True),
    ):
        assert make_one() == make_one()
        assert hash(make_one()) == hash(make_one())
    different = [RNN(4), RNN(5), RNN(4, "relu"), LSTM(4), GRU(4), GRU(4, reset_after=True)]
    assert len(set(different)) == len(different)
    assert GRU(4) != GRU(4, init=InitScheme(w_h="identity"))


def test_cells_cannot_be_changed():
    with pytest.raises(AttributeError):
        LSTM(4).hidden_size = 5


def test_equal_cells_trace_once():
    traces = []

    def step(cell, params, state, x):
        traces.append(cell)
        return cell.step(params, state, x)

    compiled = jax.jit(step, static_argnames="cell")
    for seed in range(3):
        gates = {"f": {"w_h": "identity"}, "c": {"b": 0.5}}
        cell = LSTM(H, InitScheme(w_h="orthogonal(gain=0.9)", gates=gates))
        params = random_params(cell, seed)
        compiled(cell, params, random_state(cell, params, (2,)), jnp.ones((2, D)))
    assert len(traces) == 1


@pytest.mark.parametrize("make_cell", [RNN, LSTM, GRU])
@pytest.mark.parametrize("size", [0, -1, 2.0, "4", None, True], ids=repr)
def test_bad_sizes(make_cell, size):
    with pytest.raises(ValueError, match=rf"hidden_size .* got {size!r}"):
        make_cell(size)


@pytest.mark.parametrize("make_cell", [RNN, LSTM, GRU])
def test_numpy_sizes_are_whole_numbers(make_cell):
    cell = make_cell(np.int64(4))
    assert (cell, hash(cell)) == (make_cell(4), hash(make_cell(4)))
    assert type(cell.hidden_size) is int
    for block in jax.tree.leaves(cell.init_params(jax.random.key(0), np.int32(D))):
        assert block.shape in ((D, 4), (4, 4), (4,))
    assert type(LSTM(4, projection=np.int8(2)).projection) is int
    assert LSTM(4, peephole=np.True_).peephole is True
    assert GRU(4, np.True_).reset_after is True


def test_reset_after_is_a_flag():
    with pytest.raises(ValueError, match="reset_after must be True or False, got 1"):
        GRU(4, 1)


@pytest.mark.parametrize("make_cell", [RNN, LSTM, GRU])
def test_bad_input_sizes(make_cell):
    for size in (0, 2.0, None):
        with pytest.raises(ValueError, match=rf"input_size .* got {size!r}"):
            make_cell(4).init_params(jax.random.key(0), size)


@pytest.mark.parametrize("make_cell", [RNN, LSTM, GRU])
def test_a_scheme_is_no_init(make_cell):
    with pytest.raises(TypeError, match="init must be an InitScheme, got str"):
        make_cell(4, init="orthogonal")


def test_unknown_activations():
    with pytest.raises(ValueError, match=r"activation 'tahn'; did you mean 'tanh'"):
        RNN(4, "tahn")
    with pytest.raises(ValueError, match=r"activation 'softmx'; did you mean 'softmax'"):
        equations.output(jnp.ones(2), jnp.ones((2, 3)), jnp.ones(3), "softmx")
    with pytest.raises(ValueError, match="activation 3"):
        RNN(4, 3)
    assert activations.activation_function(jnp.sin) is jnp.sin


def test_reset_after_needs_its_params():
    plain, after = GRU(H), GRU(H, reset_after=True)
    for cell, params, words in (
        (after, random_params(plain), "reset_after=True got params without b_hn"),
        (plain, random_params(after), "reset_after=False got params with b_hn"),
    ):
        with pytest.raises(ValueError, match=words):
            cell.step(params, random_state(cell, params, ()), jnp.ones(D))


def test_by_name():
    assert cells.by_name("rnn-relu", 7, InitScheme()) == RNN(7, "relu")
    assert cells.by_name("gru-reset-after", 7, InitScheme()) == GRU(7, reset_after=True)
    init = InitScheme(w_h="identity")
    assert cells.by_name("lstm", 7, init) == LSTM(7, init)
    with pytest.raises(ValueError, match="cell 'lstn'; did you mean 'lstm'"):
        cells.by_name("lstn", 7, InitScheme())


def test_without_init():
    init = InitScheme(w_h="identity", forget_bias="2.0")
    assert cells.without_init(LSTM(4, init)) == LSTM(4, InitScheme())
    assert cells.without_init(RNN(4, "relu", InitScheme(b="1.0"))) == RNN(4, "relu")
    nested = (GRU(4, True, init), (LSTM(3, init),), "name")
    assert cells.without_init(nested) == (GRU(4, True), (LSTM(3, InitScheme()),), "name")


@pytest.mark.parametrize("name", oracles.STEPS)
def test_cells_keep_the_protocol(name):
    assert isinstance(build(name), cells.Cell)
