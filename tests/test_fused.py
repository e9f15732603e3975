"""The fused engine against the definition: values, gradients, their gradients, transformations."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from rnnlab import cells, gru, lstm, rnn
from rnnlab.engines.fused import fused, supports
from rnnlab.engines.scan import scan
from tests import oracles

T, B, H = 9, 4, 5
LENGTHS = np.array([9, 4, 0, 1])

CELLS = {
    "rnn-tanh": rnn(H),
    "rnn-relu": rnn(H, "relu"),
    "rnn-identity": rnn(H, "identity"),
    "rnn-sigmoid": rnn(H, "sigmoid"),
    "lstm": lstm(H),
    "gru": gru(H),
    "gru-reset-after": gru(H, reset_after=True),
}
ONE_OF_A_KIND = ["rnn-tanh", "lstm", "gru", "gru-reset-after"]

each_cell = pytest.mark.parametrize("name", CELLS)
each_kind = pytest.mark.parametrize("name", ONE_OF_A_KIND)
both_orders = pytest.mark.parametrize("reverse", [False, True], ids=["", "reverse"])
both_lengths = pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "ragged"])


def mask_of(lengths):
    return None if lengths is None else jnp.arange(T)[:, None] < jnp.asarray(lengths)


def draw(cell, input_size=3, batch=(B,), steps=T, seed=0):
    """(params, xs, s_0): random, no entry zero."""
    params = cell.init_params(jax.random.key(0), input_size)
    state = cell.initial_state(params, batch)
    example = (params, jnp.zeros((steps, *batch, input_size), params[0].dtype), state)
    return oracles.random_like(example, seed)


@partial(jax.jit, static_argnames=("engine", "cell", "reverse"))
def outcome(engine, cell, params, xs, state, mask=None, reverse=False, cotangents=None):
    """(ys, final state) and the gradients of params, xs and s_0 by random cotangents of both."""

    def run(params, xs, state):
        return engine(cell, params, xs, state, mask=mask, reverse=reverse)[:2]

    results, pull = jax.vjp(run, params, xs, state)
    return results, pull(oracles.random_like(results, 7) if cotangents is None else cotangents)


def check(cell, args, bound, **options):
    got, expected = (outcome(engine, cell, *args, **options) for engine in (fused, scan))
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    oracles.assert_close(got, expected, bound)


# ---- the definition ----------------------------------------------------------------------------


@pytest.mark.parametrize("input_size", [1, 3])
@both_orders
@both_lengths
@each_cell
def test_equals_scan(name, lengths, reverse, input_size, x64):
    cell = CELLS[name]
    check(cell, draw(cell, input_size), 1e-10, mask=mask_of(lengths), reverse=reverse)


@pytest.mark.parametrize("input_size", [1, 3])
@both_lengths
@each_cell
def test_equals_scan_in_float32(name, lengths, input_size):
    cell = CELLS[name]
    check(cell, draw(cell, input_size), 1e-5, mask=mask_of(lengths), reverse=lengths is not None)


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)], ids=str)
@each_kind
def test_any_batch_axes(name, batch, x64):
    cell = CELLS[name]
    mask = jnp.asarray(np.random.default_rng(3).random((T, *batch)) < 0.7)
    check(cell, draw(cell, batch=batch), 1e-10, mask=mask)


@pytest.mark.parametrize("steps", [0, 1])
@both_orders
@each_kind
def test_few_steps(name, reverse, steps, x64):
    cell = CELLS[name]
    args = draw(cell, steps=steps)
    got, expected = (outcome(engine, cell, *args, reverse=reverse) for engine in (fused, scan))
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@both_orders
@each_cell
def test_no_real_step(name, reverse):
    """The state stands still, its adjoint too, and nothing reaches params or inputs."""
    cell = CELLS[name]
    params, xs, state = draw(cell)
    d_final = oracles.random_like(state, 4)
    (_, final), (d_params, d_xs, d_state) = outcome(
        fused, cell, params, xs, state, mask_of(np.zeros(B, int)), reverse,
        cotangents=(jnp.zeros((T, B, H)), d_final),
    )  # fmt: skip
    for got, expected in ((final, state), (d_state, d_final)):
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_array_equal(a, b)
    for leaf in jax.tree.leaves((d_params, d_xs)):
        np.testing.assert_array_equal(leaf, 0)


def test_small_gates_keep_their_digits():
    """i = σ(−14) ≈ 1e-6, as a long chrono initialisation has it."""
    cell = lstm(H)
    params, xs, state = draw(cell)
    params = params._replace(b_i=params.b_i - 14, b_f=params.b_f + 14)
    state = jax.tree.map(jnp.zeros_like, state)
    got = fused(cell, params, xs, state)[1].C
    with jax.enable_x64(True):
        double = jax.tree.map(lambda a: jnp.asarray(np.asarray(a, np.float64)), (params, xs, state))
        expected = scan(cell, *double)[1].C
    assert oracles.relative_error(got, expected) < 1e-5


# ---- second derivatives ------------------------------------------------------------------------


def penalty(engine, cell, mask, reverse, args):
    """|∂L/∂(params, xs, s_0)|², L of every output and of the final state."""

    def loss(args):
        ys, final, _ = engine(cell, *args, mask=mask, reverse=reverse)
        return (jnp.sin(3 * ys)).sum() + sum((part**2).sum() for part in final)

    return sum((leaf**2).sum() for leaf in jax.tree.leaves(jax.grad(loss)(args)))


@pytest.mark.parametrize("options", [(None, False), (LENGTHS, True)], ids=["", "ragged-reverse"])
@each_cell
def test_gradient_of_gradient(name, options, x64):
    cell, (lengths, reverse) = CELLS[name], options
    args = draw(cell)

    @partial(jax.jit, static_argnums=0)
    def second(engine):
        of_args = partial(penalty, engine, cell, mask_of(lengths), reverse)
        return jax.grad(of_args)(args)

    oracles.assert_close(second(fused), second(scan), 1e-10)


@each_kind
def test_forward_over_reverse(name, x64):
    cell = CELLS[name]
    args = draw(cell)
    directions = oracles.random_like(args, 8)

    @partial(jax.jit, static_argnums=0)
    def product(engine):
        def gradient(args):
            return jax.grad(lambda args: jnp.sin(engine(cell, *args)[0]).sum())(args)

        return jax.jvp(gradient, (args,), (directions,))[1]

    oracles.assert_close(product(fused), product(scan), 1e-10)


@each_kind
def test_forward_mode_is_refused(name):
    cell = CELLS[name]
    args = draw(cell)
    with pytest.raises(TypeError, match=r"forward-mode.*custom_vjp"):
        jax.jvp(lambda *args: fused(cell, *args)[0], args, args)


# ---- transformations ---------------------------------------------------------------------------


@pytest.mark.parametrize("mapping", ["vmap", "map"])
@both_lengths
@each_kind
def test_members(name, lengths, mapping, x64):
    """Mapped over params, inputs and states: each as alone."""
    cell = CELLS[name]
    members = [draw(cell, seed=seed) for seed in range(3)]
    together = jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)
    mask = mask_of(lengths)

    def one(member):
        return outcome(fused, cell, *member, mask=mask)

    got = jax.vmap(one)(together) if mapping == "vmap" else jax.lax.map(one, together)
    for n, member in enumerate(members):
        expected = outcome(scan, cell, *member, mask=mask)
        oracles.assert_close(jax.tree.map(lambda leaf, n=n: leaf[n], got), expected, 1e-10)


@pytest.mark.parametrize("varying", ["params", "xs"])
@both_lengths
@each_kind
def test_inside_shard_map(name, lengths, varying, x64):
    """With shard_map's types checked, whichever of the arguments vary over the mesh."""
    cell = CELLS[name]
    args = draw(cell)
    mask = mask_of(lengths)
    params = P("members") if varying == "params" else P()
    xs = P("members") if varying == "xs" else P()
    out = xs if varying == "xs" else params

    def loss(params, xs, state):
        ys, final, _ = fused(cell, params, xs, state, mask=mask)
        return (jnp.sin(ys).sum() + final.h.sum())[None]

    def total(*args):
        mesh = Mesh(np.array(jax.devices()[:1]), ("members",))
        sharded = jax.shard_map(loss, mesh=mesh, in_specs=(params, xs, P()), out_specs=out)
        return sharded(*args).sum()

    def plain(*args):
        ys, final, _ = scan(cell, *args, mask=mask)
        return jnp.sin(ys).sum() + final.h.sum()

    got, expected = (jax.jit(jax.grad(f, argnums=(0, 1, 2)))(*args) for f in (total, plain))
    oracles.assert_close(got, expected, 1e-10)


def test_gradient_inside_shard_map(x64):
    """The batch over the mesh, the parameters everywhere: their gradients are summed over it."""
    cell = lstm(H)
    params, xs, state = draw(cell)

    def gradient(params, xs, state):
        return jax.grad(lambda *args: jnp.sin(fused(cell, *args)[0]).sum(), (0, 1, 2))(
            params, xs, state
        )

    mesh = Mesh(np.array(jax.devices()[:1]), ("batch",))
    specs = (P(), P(None, "batch"), P("batch"))
    sharded = jax.shard_map(gradient, mesh=mesh, in_specs=specs, out_specs=specs)
    expected = jax.grad(lambda *args: jnp.sin(scan(cell, *args)[0]).sum(), (0, 1, 2))(
        params, xs, state
    )
    oracles.assert_close(jax.jit(sharded)(params, xs, state), expected, 1e-10)


def test_equal_cells_compile_once(monkeypatch):
    traces = []

    def counting(a):
        traces.append(a.shape)
        return jnp.tanh(a)

    monkeypatch.setitem(cells.ACTIVATIONS, "tanh", counting)
    size = 7  # no other test's, whose programs are kept
    for seed in range(3):
        fused(rnn(size), *draw(rnn(size), seed=seed))
    assert len(traces) == 1
    fused(rnn(size), *draw(rnn(size), steps=T + 1))
    assert len(traces) == 2

    @jax.jit
    def step(*args):
        return jax.grad(lambda *args: fused(rnn(size), *args)[0].sum())(*args)

    for seed in range(3):
        step(*draw(rnn(size), batch=(2,), seed=seed))
    compiled = len(traces)
    assert compiled > 2
    step(*draw(rnn(size), batch=(2,), seed=9))
    assert len(traces) == compiled


def scans(jaxpr):
    for eqn in jaxpr.eqns:
        if eqn.primitive.name == "scan":
            yield eqn
        else:
            for inner in jax.core.jaxprs_in_params(eqn.params):
                yield from scans(inner)


@each_kind
def test_the_adjoint_carries_states_only(name):
    """Weights' gradients added up in the carry are what makes autodiff of a scan slow."""
    cell = CELLS[name]
    args = draw(cell)
    jaxpr = jax.make_jaxpr(jax.grad(lambda args: fused(cell, *args)[0].sum()))(args)
    found = list(scans(jaxpr.jaxpr))
    assert len(found) == 2
    assert [eqn.params["num_carry"] for eqn in found] == [len(cell.state_parts)] * 2


# ---- what it runs ------------------------------------------------------------------------------


class Leaky(cells.RNN):
    """A subclass may step in another way."""


@pytest.mark.parametrize(
    ("cell", "taps", "word"),
    [
        (rnn(H, jnp.tanh), (), "RNN"),
        (rnn(H, "softmax"), (), "softmax"),
        (Leaky(H), (), "Leaky"),
        (lstm(H), ("f",), r"'f'"),
    ],
    ids=["callable", "not elementwise", "subclass", "taps"],
)
def test_what_is_left_to_scan(cell, taps, word):
    assert not supports(cell, taps)
    with pytest.raises(ValueError, match=rf"engine 'fused' runs.*{word}.*use engine 'scan'"):
        fused(cell, *draw(cell), taps=taps)


@each_cell
def test_what_is_supported(name):
    assert supports(CELLS[name])
    assert supports(CELLS[name], (), jax.random.key(0))


@pytest.mark.parametrize("reset_after", [False, True])
def test_params_of_the_other_gru_are_refused(reset_after):
    args = draw(gru(H, not reset_after))
    with pytest.raises(ValueError, match=rf"reset_after={reset_after} got params .* b_hn"):
        fused(gru(H, reset_after), *args)


def test_narrow_inputs():
    """Refused under strict promotion; else taken, and their gradient is narrow as they are."""
    cell = lstm(H)
    params, xs, state = draw(cell)
    narrow = xs.astype(jnp.bfloat16)
    with pytest.raises(TypeError, match=r"(?i)promotion"):
        fused(cell, params, narrow, state)
    with jax.numpy_dtype_promotion("standard"):
        got, expected = (outcome(engine, cell, params, narrow, state) for engine in (fused, scan))
    assert [a.dtype for a in jax.tree.leaves(got)] == [a.dtype for a in jax.tree.leaves(expected)]
    oracles.assert_close(got[0], expected[0], 1e-5)
    oracles.assert_close(got[1], expected[1], 1e-2)
