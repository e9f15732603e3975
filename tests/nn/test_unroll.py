"""Cells and layers over time against NumPy loops; checks, compilation, export."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab import GRU, LSTM, RNN, Bidirectional, InitScheme, Stack
from rnnlab import unroll as unroll_
from rnnlab.nn import cells, layers
from rnnlab.nn.initializers import SCHEMES
from rnnlab.nn.layers import MERGES, BothWays, CellLayer, as_layer
from rnnlab.nn.params import HiddenState, LSTMState
from tests.helpers import oracles
from tests.helpers.sequences import bits, draw, flip, random

B, T, D, H = 4, 12, 3, 5
RAGGED = np.array([12, 1, 0, 7])
EXACT = 1e-10  # float64


def build(name, hidden_size=H):
    if name == "rnn-softplus":
        return RNN(hidden_size, jax.nn.softplus)
    return cells.by_name(name, hidden_size, InitScheme())


def name_of(cell):
    bare = cells.without_init(cell)
    return next(name for name in oracles.STEPS if build(name, cell.hidden_size) == bare)


# ---- a second definition: layers in NumPy ------------------------------------------------------


def reference(net, params, xs, start, lengths=None):
    """(ys, final states) of any nesting, forwards; backwards is a flip before and after."""
    if isinstance(net, CellLayer):
        run = oracles.recurrence(
            oracles.STEPS[name_of(net.cell)], params, xs, start._asdict(), lengths=lengths
        )
        return run.ys, type(start)(**run.state)
    if isinstance(net, Bidirectional):
        ahead, end = reference(net.forward, params.forward, xs, start.forward, lengths)
        flipped = flip(xs, lengths)
        back, begin = reference(net.backward, params.backward, flipped, start.backward, lengths)
        return oracles.MERGES[net.merge](ahead, flip(back, lengths)), BothWays(end, begin)
    assert isinstance(net, Stack)
    states = []
    for inner, p, s in zip(net.layers, params, start, strict=True):
        xs, state = reference(inner, p, xs, s, lengths)
        states.append(state)
    return xs, tuple(states)


def check_layer(net, lengths=None, reverse=False):
    params, start = draw(net, D, B)
    xs = random((B, T, D))
    ys, state = net.apply(params, xs, initial_state=start, lengths=lengths, reverse=reverse)
    p, s, x = oracles.to_numpy((params, start, xs))
    if reverse:
        expected, final = reference(net, p, flip(x, lengths), s, lengths)
        expected = flip(expected, lengths)
    else:
        expected, final = reference(net, p, x, s, lengths)
    assert ys.shape == (B, T, net.output_size)
    assert jax.tree.structure(state) == jax.tree.structure(start)
    oracles.assert_close((ys, state), (expected, final), EXACT)
    if lengths is not None:
        padded = np.arange(T) >= lengths[:, None]
        np.testing.assert_array_equal(np.asarray(ys)[padded], 0)


both_orders = pytest.mark.parametrize("reverse", [False, True], ids=["", "reverse"])
both_lengths = pytest.mark.parametrize("lengths", [None, RAGGED], ids=["full", "ragged"])


# masks and order belong to the loop over time: all four for one cell, the hardest for the others
@pytest.mark.parametrize(
    ("name", "reverse", "lengths"),
    [
        *((name, True, RAGGED) for name in oracles.STEPS),
        *(("lstm", reverse, None) for reverse in (False, True)),
        ("lstm", False, RAGGED),
    ],
    ids=[*oracles.STEPS, "lstm-full", "lstm-full-reverse", "lstm-ragged"],
)
def test_cells_over_time(name, reverse, lengths, x64):
    cell = build(name)
    params, start = draw(as_layer(cell), D, B)
    xs = random((B, T, D))
    options = {"initial_state": start, "lengths": lengths, "reverse": reverse}
    p, s, x = oracles.to_numpy((params, start._asdict(), xs))
    run = oracles.recurrence(oracles.STEPS[name], p, x, s, lengths=lengths, reverse=reverse)
    # every state and gate as a tap: as many as the oracle knows
    ys, state, taps = unroll_(cell, params, xs, taps=tuple(run.taps), **options)
    oracles.assert_close((ys, state._asdict(), taps), run, EXACT)


@pytest.mark.parametrize("leading", [(), (2,), (2, 3)], ids=str)
def test_any_number_of_leading_axes(leading, x64):
    cell = LSTM(H)
    params, _ = draw(as_layer(cell), D, B)
    xs, lengths = random((*leading, T, D)), np.full(leading, 7)
    start = oracles.random_like(cell.initial_state(params, leading), 3)
    ys, state = unroll_(cell, params, xs, lengths=lengths, initial_state=start)
    flat = jax.tree.map(lambda a: np.reshape(a, (-1, H)), start._asdict())
    run = oracles.recurrence(
        oracles.lstm_step,
        oracles.to_numpy(params),
        np.reshape(xs, (-1, T, D)),
        flat,
        lengths=lengths.ravel(),
    )
    assert ys.shape == (*leading, T, H)
    oracles.assert_close(ys, run.ys.reshape(ys.shape), EXACT)
    for part, value in run.state.items():
        oracles.assert_close(getattr(state, part), value.reshape((*leading, H)), EXACT)


def test_the_first_state_is_zero_by_default(x64):
    cell = LSTM(H)
    params, _ = draw(as_layer(cell), D, B)
    xs = random((B, T, D))
    zeros = {part: np.zeros((B, H)) for part in "hC"}
    run = oracles.recurrence(oracles.lstm_step, oracles.to_numpy(params), np.asarray(xs), zeros)
    oracles.assert_close(unroll_(cell, params, xs)[0], run.ys, EXACT)


# ---- layers ------------------------------------------------------------------------------------


@both_lengths
@both_orders
@pytest.mark.parametrize("merge", MERGES)
def test_bidirectional(merge, reverse, lengths, x64):
    check_layer(Bidirectional(LSTM(H), GRU(H), merge=merge), lengths, reverse)


@pytest.mark.parametrize("name", ["rnn-relu", "rnn-softplus", "gru-reset-after"])
def test_any_cell_both_ways(name, x64):
    check_layer(Bidirectional(build(name)), RAGGED)


@pytest.mark.parametrize("name", ["rnn-softplus", "lstm", "gru-reset-after"])
def test_any_cell_in_a_stack(name, x64):
    check_layer(Stack([build(name, 4), build(name)]), RAGGED)


NESTED = {
    "stack of everything": lambda: Stack(
        [GRU(4), Bidirectional(LSTM(3), RNN(2, "relu")), Stack([GRU(4, True), RNN(H)])]
    ),
    "bidirectional of stacks of bidirectional": lambda: Bidirectional(
        Stack([Bidirectional(GRU(3)), LSTM(H)]),
        Stack([Bidirectional(RNN(3), LSTM(3), merge="mean"), GRU(H)]),
        merge="product",
    ),
}


@pytest.mark.parametrize(
    ("reverse", "lengths"), [(False, None), (True, RAGGED)], ids=["full", "ragged-reverse"]
)
@pytest.mark.parametrize("name", NESTED)
def test_nested_layers(name, reverse, lengths, x64):
    check_layer(NESTED[name](), lengths, reverse)


def test_backward_starts_at_each_sequence_s_own_end(x64):
    net = Bidirectional(GRU(H))
    params, start = draw(net, D, B)
    xs, lengths = random((B, T, D)), np.array([12, 1, 3, 7])
    ys, state = net.apply(params, xs, initial_state=start, lengths=lengths)
    cell = GRU(H)
    for n, length in enumerate(lengths):
        first, _, _ = cell.step(
            params.backward, HiddenState(start.backward.h[n]), xs[n, length - 1]
        )
        np.testing.assert_allclose(ys[n, length - 1, H:], first.h, rtol=1e-12)
        np.testing.assert_allclose(ys[n, 0, H:], state.backward.h[n], rtol=1e-12)
        np.testing.assert_allclose(ys[n, length - 1, :H], state.forward.h[n], rtol=1e-12)


def test_directions_and_levels_are_drawn_apart():
    net = Stack([Bidirectional(LSTM(4)), Bidirectional(LSTM(8))])
    params = net.init(jax.random.key(0), 8)  # every kernel of one kind (8, ·): comparable
    firsts = [p.W_xi[0, 0] for pair in params for p in pair]
    assert len({float(first) for first in firsts}) == 4
    states = net.initial_state(params, (2,), jax.random.key(1))
    firsts = [leaf[0, 0] for leaf in jax.tree.leaves(states)]
    assert len({float(first) for first in firsts}) == 8
    # one layer's draw does not depend on what stands on it
    shorter = Stack([Bidirectional(LSTM(4)), Bidirectional(GRU(4))])
    assert shorter.init(jax.random.key(0), 8)[0].forward.W_xi.shape == (8, 4)


def test_taps_of_layers(x64):
    net = Stack([Bidirectional(LSTM(3)), LSTM(H)])
    params, start = draw(net, D, B)
    xs = random((B, T, D))
    ys, _, (below, above) = net.apply(
        params, xs, initial_state=start, lengths=RAGGED, taps=("C", "f")
    )
    p, s, x = oracles.to_numpy((params, start, xs))
    step = oracles.lstm_step
    ahead = oracles.recurrence(step, p[0].forward, x, s[0].forward._asdict(), lengths=RAGGED)
    back = oracles.recurrence(
        step, p[0].backward, x, s[0].backward._asdict(), lengths=RAGGED, reverse=True
    )
    top = oracles.recurrence(
        step, p[1], np.concatenate([ahead.ys, back.ys], -1), s[1]._asdict(), lengths=RAGGED
    )
    for got, run in ((below.forward, ahead), (below.backward, back), (above, top)):
        assert set(got) == {"C", "f"}
        oracles.assert_close(got, {tap: run.taps[tap] for tap in ("C", "f")}, EXACT)
    oracles.assert_close(ys, top.ys, EXACT)


def test_output_sizes():
    assert as_layer(LSTM(4)).output_size == 4
    assert Bidirectional(LSTM(4), GRU(3)).output_size == 7
    assert Bidirectional(LSTM(4), GRU(4), merge="sum").output_size == 4
    assert Stack([LSTM(4), Bidirectional(GRU(3))]).output_size == 6


def test_layers_are_values():
    def make():
        return Stack([Bidirectional(LSTM(3), merge="sum"), RNN(4, "relu")], dropout=0.1)

    assert make() == make()
    assert hash(make()) == hash(make())
    assert make() != Stack([Bidirectional(LSTM(3)), RNN(4, "relu")], dropout=0.1)
    assert as_layer(as_layer(GRU(3))) == as_layer(GRU(3))
    assert isinstance(make(), layers.Layer)
    assert not isinstance(GRU(3), layers.Layer)


@pytest.mark.parametrize("name", layers.names())
def test_by_name(name):
    init = InitScheme(w_h="identity")
    cell = cells.by_name(name.removeprefix("bi-"), 4, init)
    expected = Bidirectional(cell) if name.startswith("bi-") else as_layer(cell)
    assert layers.by_name(name, 4, init) == expected


# ---- cells x schemes x {mask, reverse} ---------------------------------------------------------


@functools.cache
def _loss_and_gradient(cell, reverse):
    # cells come without their init, so that every scheme runs through one compilation
    def loss(params, xs, lengths):
        ys, _ = unroll_(cell, params, xs, lengths=lengths, reverse=reverse)
        return (ys * jnp.cos(jnp.arange(ys.size, dtype=ys.dtype).reshape(ys.shape))).sum(), ys

    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", cells.CELLS)
def test_cells_and_schemes(name, scheme):
    size = 16  # D = H, so that schemes of square matrices draw both kernels
    of_biases = scheme in ("zeros", "constant", "chrono")
    init = InitScheme(
        w_x="lecun_normal" if of_biases else scheme,
        w_h="lecun_normal" if of_biases else scheme,
        b=scheme if of_biases else "normal(std=0.5)",
    )
    cell = cells.by_name(name, size, init)
    params = cell.init_params(jax.random.key(0), size)
    xs = random((2, 4, size)).astype(jnp.float32)
    for lengths, reverse in ((np.array([4, 4]), False), (np.array([4, 2]), True)):
        run = _loss_and_gradient(cells.without_init(cell), reverse)
        (loss, ys), (d_params, d_xs) = run(params, xs, lengths)
        assert ys.shape == (2, 4, size)
        assert jax.tree.structure(d_params) == jax.tree.structure(params)
        for leaf in jax.tree.leaves((loss, ys, d_params, d_xs)):
            assert np.isfinite(leaf).all()
        for block, value in d_params._asdict().items():
            if value is not None:
                assert np.asarray(value).any(), f"no gradient reaches {block}"


# ---- what is refused ---------------------------------------------------------------------------

CELL = LSTM(4)
PARAMS = CELL.init_params(jax.random.key(0), D)
XS = np.ones((2, 5, D), np.float32)
PAIR = np.ones((2, 4), np.float32)

REFUSED = {  # what is wrong: (options, the error, words in it)
    "float lengths": ({"lengths": [1.0, 2.0]}, TypeError, ["lengths", "whole", "float"]),
    "bool lengths": ({"lengths": [True, False]}, TypeError, ["lengths", "whole", "bool"]),
    "too many lengths": ({"lengths": [1, 2, 3]}, ValueError, ["lengths", "(2,)", "(3,)"]),
    "one length": ({"lengths": 3}, ValueError, ["lengths", "(2,)", "()"]),
    "a column of lengths": ({"lengths": [[1], [2]]}, ValueError, ["lengths", "(2,)", "(2, 1)"]),
    "a length above T": ({"lengths": [1, 6]}, ValueError, ["lengths", "0 … 5", "1 … 6"]),
    "a negative length": ({"lengths": [-1, 2]}, ValueError, ["lengths", "0 … 5", "-1 … 2"]),
    "integer xs": ({"xs": np.ones((2, 5, D), np.int32)}, TypeError, ["xs", "floats", "int32"]),
    "complex xs": ({"xs": np.ones((2, 5, D), np.complex64)}, TypeError, ["xs", "complex64"]),
    "xs of one axis": ({"xs": np.ones(3, np.float32)}, ValueError, ["xs", "(3,)"]),
    "wrong features": ({"xs": np.ones((2, 5, 7), np.float32)}, ValueError, ["x ", "7", "(3, 4)"]),
    "unknown engine": ({"engine": "scna"}, ValueError, ["engine", "'scna'", "'scan'"]),
    "unknown tap": ({"taps": ("C_tild",)}, ValueError, ["LSTM", "'C_tild'", "'C_tilde'"]),
    "another cell's tap": ({"taps": ("C", "z")}, ValueError, ["LSTM", "'z'", "f, i, C_tilde"]),
    "a tap's bare name": ({"taps": "C_tilde"}, TypeError, ["taps", "'C_tilde'"]),
    "a plain tuple": ({"initial_state": (PAIR, PAIR)}, ValueError, ["LSTMState", "tuple"]),
    "an array": ({"initial_state": PAIR}, ValueError, ["initial_state", "LSTMState"]),
    "another cell's state": (
        {"initial_state": HiddenState(PAIR)},
        ValueError,
        ["LSTMState", "HiddenState"],
    ),
    "a state of the wrong batch": (
        {"initial_state": LSTMState(PAIR, PAIR[:1])},
        ValueError,
        ["C", "(2, 4)", "(1, 4)"],
    ),
    "a state without a batch": (
        {"initial_state": LSTMState(PAIR[0], PAIR[0])},
        ValueError,
        ["h", "(2, 4)", "(4,)"],
    ),
    "an unknown option": ({"lengthz": [1, 2]}, TypeError, ["lengthz"]),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what):
    options, error, words = REFUSED[what]
    options = dict(options)
    with pytest.raises(error) as caught:
        unroll_(CELL, PARAMS, options.pop("xs", XS), **options)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int32, np.int64, np.uint16, list])
def test_any_whole_numbers_are_lengths(kind):
    lengths = [3, 5] if kind is list else np.array([3, 5], kind)
    ys, _ = unroll_(CELL, PARAMS, XS, lengths=lengths)
    assert bits(ys) == bits(unroll_(CELL, PARAMS, XS, lengths=jnp.array([3, 5]))[0])


@pytest.mark.parametrize("kind", [np.array, jnp.array, list])
def test_lengths_may_be_constants_of_a_compiled_function(kind):
    lengths = kind([3, 5])

    @jax.jit
    def run(params):
        return unroll_(CELL, params, XS, lengths=lengths)

    assert bits(run(PARAMS)) == bits(unroll_(CELL, PARAMS, XS, lengths=[3, 5]))
    beyond = kind([3, 6])
    with pytest.raises(ValueError, match="0 … 5"):
        jax.jit(lambda params: unroll_(CELL, params, XS, lengths=beyond))(PARAMS)


def test_small_integers_count_long_sequences():
    xs = random((1, 300, D)).astype(jnp.float32)
    ys, _ = unroll_(CELL, PARAMS, xs, lengths=np.array([200], np.uint8))
    assert np.asarray(ys[0, 199]).all()
    assert not np.asarray(ys[0, 200:]).any()


def test_params_of_another_cell_are_refused():
    others = GRU(4).init_params(jax.random.key(0), D)
    for cell, params in ((CELL, others), (GRU(4), PARAMS), (RNN(4), PARAMS)):
        with pytest.raises((TypeError, ValueError), match=rf"{type(params).__name__}"):
            unroll_(cell, params, XS)


def test_params_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"7.*4|4.*7"):
        unroll_(LSTM(7), PARAMS, XS)


def test_mixed_dtypes_are_refused_by_name():
    half = jax.tree.map(lambda a: a.astype(jnp.bfloat16), PARAMS)
    with jax.numpy_dtype_promotion("standard"), pytest.raises(TypeError, match=r"xs.*float32"):
        unroll_(CELL, half, XS)


def test_bad_layers():
    with pytest.raises(ValueError, match="merge 'cat'; did you mean 'concat'"):
        Bidirectional(LSTM(4), merge="cat")
    with pytest.raises(ValueError, match=r"merge='sum'.*\(4, 3\)"):
        Bidirectional(LSTM(4), LSTM(3), merge="sum")
    with pytest.raises(ValueError, match="at least one layer"):
        Stack([])
    for rate in (1.0, -0.1, float("nan")):
        with pytest.raises(ValueError, match=rf"dropout.*got {rate}"):
            Stack([LSTM(4)], dropout=rate)
    for wrong in ("lstm", LSTM, None, 3):
        with pytest.raises(TypeError, match=f"a cell or a layer, got {type(wrong).__name__}"):
            as_layer(wrong)
    with pytest.raises(ValueError, match="cell 'bi-lsmt'; did you mean 'bi-lstm'"):
        layers.by_name("bi-lsmt", 4, InitScheme())


LAYERED = {
    "one state too few": (lambda p, s: {"params": p, "initial_state": s[:1]}, "initial_state"),
    "one state alone": (lambda p, s: {"params": p, "initial_state": s[1]}, "initial_state"),
    "no pair": (
        lambda p, s: {"params": p, "initial_state": (HiddenState(PAIR), s[1])},
        "initial_state",
    ),
    "one level too few": (lambda p, s: {"params": p[:1]}, "params"),
}


@pytest.mark.parametrize("what", LAYERED)
def test_states_and_params_of_other_layers_are_refused(what):
    net = Stack([Bidirectional(GRU(4)), LSTM(4)])
    params = net.init(jax.random.key(0), D)
    options, name = LAYERED[what]
    options = options(params, net.initial_state(params, (2,)))
    with pytest.raises((TypeError, ValueError), match=name):
        net.apply(options.pop("params"), XS, **options)


# ---- compilation and export --------------------------------------------------------------------


def counting():
    """An activation that counts how often it is traced."""

    def activation(a):
        activation.traces += 1
        return jnp.tanh(a)

    activation.traces = 0
    return activation


def test_equal_cells_compile_once():
    activation = counting()
    for seed, scheme in enumerate(["orthogonal", "identity", "normal(std=0.3)"]):
        cell = RNN(4, activation, init=InitScheme(w_h=scheme))  # another init, one program
        params = cell.init_params(jax.random.key(seed), D)
        unroll_(cell, params, random((2, 6, D), seed).astype(jnp.float32))
    first = activation.traces
    unroll_(cell, params, jnp.ones((2, 6, D)), lengths=[1, 2])
    assert activation.traces > first
    unroll_(cell, params, jnp.ones((2, 7, D)), lengths=[1, 2])
    masked = activation.traces
    unroll_(cell, params, jnp.zeros((2, 7, D)), lengths=[7, 0])
    assert activation.traces == masked
    once = counting()
    cell = RNN(4, once)
    unroll_(cell, cell.init_params(jax.random.key(0), D), jnp.ones((2, 6, D)))
    assert first == once.traces, "two more equal cells were traced again"


def test_layers_are_static_arguments():
    traces = []

    def apply(net, params, xs):
        traces.append(net)
        return net.apply(params, xs)[0]

    compiled = jax.jit(apply, static_argnames="net")
    for seed in range(3):
        net = Stack([Bidirectional(LSTM(3)), GRU(4)])
        params = net.init(jax.random.key(seed), D)
        compiled(net, params, jnp.ones((2, 6, D)))
    assert len(traces) == 1


def test_jit_agrees_with_eager():
    net = Bidirectional(LSTM(4))
    params, start = draw(net, D, 2)
    xs, lengths = random((2, 6, D)).astype(jnp.float32), jnp.array([6, 2])
    eager = net.apply(params, xs, lengths=lengths, initial_state=start)
    jitted = jax.jit(lambda *a: net.apply(a[0], a[1], lengths=a[2], initial_state=a[3]))(
        params, xs, lengths, start
    )
    for a, b in zip(jax.tree.leaves(jitted), jax.tree.leaves(eager), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


def test_vmap_over_members_agrees_with_each():
    net = as_layer(GRU(4))
    members = [draw(net, D, 2, seed)[0] for seed in range(3)]
    xs, lengths = random((2, 6, D)).astype(jnp.float32), np.array([6, 2])
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)
    together, _ = jax.vmap(lambda p: net.apply(p, xs, lengths=lengths))(stacked)
    for member, ys in zip(members, together, strict=True):
        np.testing.assert_allclose(ys, net.apply(member, xs, lengths=lengths)[0], atol=1e-6)


@pytest.mark.parametrize("gradient", [False, True], ids=["apply", "gradient"])
def test_exports_for_tpu(gradient):
    net = Bidirectional(LSTM(4))
    params = net.init(jax.random.key(0), D)

    def apply(params, xs, lengths):
        return net.apply(params, xs, lengths=lengths)

    def loss(params, xs, lengths):
        return apply(params, xs, lengths)[0].sum()

    fn = jax.grad(loss, argnums=(0, 1)) if gradient else apply
    exported = jax.export.export(jax.jit(fn), platforms=["tpu"])(
        params, jnp.ones((2, 6, D)), jnp.array([6, 2])
    )
    assert exported.platforms == ("tpu",)
    assert "stablehlo.while" in exported.mlir_module()
