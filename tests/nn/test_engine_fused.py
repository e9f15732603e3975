"""The fused engine against the definition: values, gradients, their gradients, transformations."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from rnnlab import GRU, LSTM, RNN, unroll
from rnnlab.nn import activations, cells
from rnnlab.nn.engines.fused import Fused, fused, supports
from rnnlab.nn.engines.scan import scan
from rnnlab.nn.unroll import ENGINES
from tests.helpers import oracles

T, B, H = 9, 4, 5
LENGTHS = np.array([9, 4, 0, 1])

CELLS = {
    "rnn-tanh": RNN(H),
    "rnn-relu": RNN(H, "relu"),
    "rnn-identity": RNN(H, "identity"),
    "rnn-sigmoid": RNN(H, "sigmoid"),
    "lstm": LSTM(H),
    "gru": GRU(H),
    "gru-reset-after": GRU(H, reset_after=True),
}
ONE_OF_A_KIND = ["rnn-tanh", "lstm", "gru", "gru-reset-after"]

each_cell = pytest.mark.parametrize("name", CELLS)
two_kinds = pytest.mark.parametrize("name", ["lstm", "gru"])
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
def outcome(
    engine, cell, params, xs, state, mask=None, reverse=False, cotangents=None, resets=None
):
    """(ys, final state) and the gradients of params, xs and s_0 by random cotangents of both."""

    def run(params, xs, state):
        options = {} if resets is None else {"resets": resets}
        return engine(cell, params, xs, state, mask=mask, reverse=reverse, **options)[:2]

    results, pull = jax.vjp(run, params, xs, state)
    return results, pull(oracles.random_like(results, 7) if cotangents is None else cotangents)


def check(cell, args, bound, engine=fused, **options):
    got, expected = (outcome(e, cell, *args, **options) for e in (engine, scan))
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    oracles.assert_close(got, expected, bound)


# ---- the definition ----------------------------------------------------------------------------


@both_orders
@both_lengths
@each_kind
def test_equals_scan(name, lengths, reverse, x64):
    cell = CELLS[name]
    check(cell, draw(cell), 1e-10, mask=mask_of(lengths), reverse=reverse)


@both_lengths
@each_cell
def test_equals_scan_in_float32(name, lengths):
    """With one input feature, where a product with W_xh has an axis of length one."""
    cell = CELLS[name]
    check(cell, draw(cell, 1), 1e-5, mask=mask_of(lengths), reverse=lengths is not None)


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)], ids=str)
@each_kind
def test_any_batch_axes(name, batch, x64):
    cell = CELLS[name]
    mask = jnp.asarray(np.random.default_rng(3).random((T, *batch)) < 0.7)
    check(cell, draw(cell, batch=batch), 1e-10, mask=mask)


@both_lengths
@each_cell
def test_equals_differences_of_the_equations_in_numpy(name, lengths, x64):
    """A third oracle: loops in NumPy, each leaf moved a little along a direction of its own."""
    cell, reverse = CELLS[name], lengths is not None
    args = draw(cell)
    real = np.ones((T, B)) if lengths is None else np.asarray(mask_of(lengths))
    rng = np.random.default_rng(5)
    to_ys = rng.standard_normal((T, B, H)) * real[..., None]
    to_final = {part: rng.standard_normal((B, H)) for part in args[2]._fields}

    def loss(args):
        ys, final, _ = fused(cell, *args, mask=mask_of(lengths), reverse=reverse)
        return (ys * to_ys).sum() + sum((final._asdict()[k] * v).sum() for k, v in to_final.items())

    def by_hand(leaves):
        params, xs, state = jax.tree.unflatten(jax.tree.structure(args), leaves)
        run = oracles.recurrence(
            oracles.STEPS[name],
            params,
            np.moveaxis(xs, 0, 1),
            state._asdict(),
            lengths=lengths,
            reverse=reverse,
        )
        ys = np.moveaxis(run.ys, 1, 0)
        return (ys * to_ys).sum() + sum((run.state[k] * v).sum() for k, v in to_final.items())

    value, gradients = jax.jit(jax.value_and_grad(loss))(args)
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(args)]
    assert abs(value - by_hand(leaves)) < 1e-10 * abs(value)
    for place, gradient in enumerate(jax.tree.leaves(gradients)):
        direction = rng.standard_normal(gradient.shape)
        ahead, back = list(leaves), list(leaves)
        ahead[place], back[place] = (leaves[place] + e * direction for e in (1e-5, -1e-5))
        difference = (by_hand(ahead) - by_hand(back)) / 2e-5
        parts = np.asarray(gradient) * direction
        assert abs(difference - parts.sum()) < 1e-7 * np.abs(parts).sum()


@pytest.mark.parametrize("steps", [0, 1])
@each_kind
def test_few_steps(name, steps, x64):
    cell, reverse = CELLS[name], steps == 0
    args = draw(cell, steps=steps)
    got, expected = (outcome(engine, cell, *args, reverse=reverse) for engine in (fused, scan))
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@both_orders
@each_kind
def test_no_real_step(name, reverse):
    """The state stands still, its adjoint too, and nothing reaches params or inputs."""
    cell = CELLS[name]
    params, xs, state = draw(cell)
    d_final = oracles.random_like(state, 4)
    (_, final), (d_params, d_xs, d_state) = outcome(
        fused,
        cell,
        params,
        xs,
        state,
        mask_of(np.zeros(B, int)),
        reverse,
        cotangents=(jnp.zeros((T, B, H)), d_final),
    )
    for got, expected in ((final, state), (d_state, d_final)):
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_array_equal(a, b)
    for leaf in jax.tree.leaves((d_params, d_xs)):
        np.testing.assert_array_equal(leaf, 0)


def test_small_gates_keep_their_digits():
    """i = σ(−14) ≈ 1e-6, as a long chrono initialization has it."""
    cell = LSTM(H)
    params, xs, state = draw(cell)
    params = params._replace(b_i=params.b_i - 14, b_f=params.b_f + 14)
    state = jax.tree.map(jnp.zeros_like, state)
    got = fused(cell, params, xs, state)[1].C
    with jax.enable_x64(True):
        double = jax.tree.map(lambda a: jnp.asarray(np.asarray(a, np.float64)), (params, xs, state))
        expected = scan(cell, *double)[1].C
    assert oracles.relative_error(got, expected) < 1e-5


# ---- episodes ----------------------------------------------------------------------------------

RESETS = jnp.asarray(np.random.default_rng(6).random((T, B)) < 0.3).at[0, 0].set(True)


@both_orders
@both_lengths
@each_kind
def test_resets(name, lengths, reverse, x64):
    cell = CELLS[name]
    check(cell, draw(cell), 1e-10, mask=mask_of(lengths), resets=RESETS, reverse=reverse)


@both_orders
@each_kind
def test_nothing_crosses_a_reset(name, reverse, x64):
    """A loss on the later episode leaves the earlier one's inputs and s_0 exactly nothing."""
    cell, at = CELLS[name], 4
    resets = jnp.zeros((T, B), bool).at[at].set(True)
    args = draw(cell)

    def loss(xs, state):
        ys, _, _ = fused(cell, args[0], xs, state, resets=resets, reverse=reverse)
        return jnp.sin(ys[:at] if reverse else ys[at:]).sum()

    d_xs, d_state = jax.grad(loss, (0, 1))(*args[1:])
    own = d_xs[: at + 1] if reverse else d_xs[at:]  # in reverse step at itself starts afresh
    other = d_xs[at + 1 :] if reverse else d_xs[:at]
    assert (jnp.abs(own).max(axis=(1, 2)) > 0).all()
    np.testing.assert_array_equal(other, 0)
    for leaf in jax.tree.leaves(d_state):
        np.testing.assert_array_equal(leaf, 0)


# ---- recomputed --------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [0, 1, 7, 9, 23])
@each_kind
def test_recomputed(name, steps, x64):
    """Stretches that divide T and such that leave a rest; lengths and resets cut as xs are."""
    cell = CELLS[name]
    resets = jnp.asarray(np.random.default_rng(6).random((steps, B)) < 0.3)
    mask = jnp.arange(steps)[:, None] < jnp.asarray([steps, steps // 2, 0, 1])
    args = draw(cell, steps=steps)
    got, expected = (
        outcome(engine, cell, *args, mask=mask, resets=resets, reverse=steps % 2 == 0)
        for engine in (Fused(recompute=True), scan)
    )
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_recomputing_keeps_a_fraction():
    """Bytes set aside by the compiled gradient at T = 4,096: less than a fifth."""
    cell, steps = LSTM(32), 4096
    args = draw(cell, 1, (2,), steps)

    def memory(engine):
        def loss(params):
            return engine(cell, params, *args[1:])[1].h.sum()

        compiled = jax.jit(jax.grad(loss)).lower(args[0]).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert memory(Fused(recompute=True)) < memory(fused) / 5


@two_kinds
def test_gradient_of_gradient_recomputed(name, x64):
    cell = CELLS[name]
    args = draw(cell)

    @partial(jax.jit, static_argnums=0)
    def second(engine):
        return jax.grad(partial(penalty, engine, cell, mask_of(LENGTHS), False))(args)

    oracles.assert_close(second(Fused(recompute=True)), second(scan), 1e-10)


# ---- second derivatives ------------------------------------------------------------------------


def penalty(engine, cell, mask, reverse, args):
    """|∂L/∂(params, xs, s_0)|², L of every output and of the final state."""

    def loss(args):
        ys, final, _ = engine(cell, *args, mask=mask, reverse=reverse)
        return (jnp.sin(3 * ys)).sum() + sum((part**2).sum() for part in final)

    return sum((leaf**2).sum() for leaf in jax.tree.leaves(jax.grad(loss)(args)))


@pytest.mark.parametrize("name", ["rnn-sigmoid", *ONE_OF_A_KIND])
def test_gradient_of_gradient(name, x64):
    cell, lengths, reverse = CELLS[name], LENGTHS, True
    args = draw(cell)

    @partial(jax.jit, static_argnums=0)
    def second(engine):
        of_args = partial(penalty, engine, cell, mask_of(lengths), reverse)
        return jax.grad(of_args)(args)

    oracles.assert_close(second(fused), second(scan), 1e-10)


@both_lengths
@each_kind
def test_forward_over_reverse(name, lengths, x64):
    """The product of the Hessian with a direction."""
    cell, reverse = CELLS[name], lengths is not None
    args = draw(cell)
    directions = oracles.random_like(args, 8)

    def product(engine):
        def loss(args):
            ys, final, _ = engine(cell, *args, mask=mask_of(lengths), reverse=reverse)
            return jnp.sin(ys).sum() + sum((part**2).sum() for part in final)

        return jax.jvp(jax.grad(loss), (args,), (directions,))[1]

    got, expected = (jax.jit(product, static_argnums=0)(engine) for engine in (fused, scan))
    oracles.assert_close(got, expected, 1e-10)


@each_kind
def test_forward_mode_is_refused(name):
    cell = CELLS[name]
    args = draw(cell)
    with pytest.raises(TypeError, match=r"forward-mode.*custom_vjp"):
        jax.jvp(lambda *args: fused(cell, *args)[0], args, args)


# ---- transformations ---------------------------------------------------------------------------


def on_its_own(tree, mapped, place):
    """What member ``place`` is given: its own of what is mapped, the common one of the rest."""
    return tuple(
        jax.tree.map(lambda leaf: leaf[place], part) if own else part
        for part, own in zip(tree, mapped, strict=True)
    )


def several(cell, mapped, count):
    """(params, xs, s_0), a leading axis of members on what is mapped."""
    members = [draw(cell, seed=seed) for seed in range(count)]
    together = jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)
    return tuple(
        part if own else common
        for part, common, own in zip(together, members[0], mapped, strict=True)
    )


PARAMS, XS, ALL = (True, False, False), (False, True, False), (True, True, True)


@pytest.mark.parametrize(
    ("mapping", "mapped"),
    [("vmap", PARAMS), ("vmap", XS), ("vmap", ALL), ("map", ALL)],
    ids=["vmap-params", "vmap-xs", "vmap-all", "map-all"],
)
@two_kinds
def test_members(name, mapping, mapped, x64):
    """Mapped over parameters, inputs, all: each member as alone."""
    cell, mask = CELLS[name], mask_of(LENGTHS)
    args = several(cell, mapped, 3)

    def one(*member):
        return outcome(fused, cell, *member, mask=mask)

    if mapping == "vmap":
        got = jax.vmap(one, in_axes=tuple(0 if own else None for own in mapped))(*args)
    else:
        got = jax.lax.map(lambda member: one(*member), args)
    for n in range(3):
        expected = outcome(scan, cell, *on_its_own(args, mapped, n), mask=mask)
        oracles.assert_close(jax.tree.map(lambda leaf, n=n: leaf[n], got), expected, 1e-10)


@pytest.mark.parametrize("mapped", [PARAMS, XS, ALL], ids=["params", "xs", "all"])
@two_kinds
def test_inside_shard_map(name, mapped, x64):
    """With shard_map's types checked, whichever of the arguments vary over two devices."""
    cell, mask = CELLS[name], None if mapped == ALL else mask_of(LENGTHS)
    args = several(cell, mapped, 2)
    mesh = Mesh(np.array(jax.devices()[:2]), ("members",))
    specs = tuple(P("members") if own else P() for own in mapped)

    def loss(engine, *member):
        ys, final, _ = engine(cell, *member, mask=mask)
        return jnp.sin(ys).sum() + final.h.sum()

    def total(*args):
        def one(*args):
            return loss(fused, *on_its_own(args, mapped, 0))[None]

        return jax.shard_map(one, mesh=mesh, in_specs=specs, out_specs=P("members"))(*args).sum()

    def plain(*args):
        return sum(loss(scan, *on_its_own(args, mapped, n)) for n in range(2))

    got, expected = (jax.jit(jax.grad(f, argnums=(0, 1, 2)))(*args) for f in (total, plain))
    oracles.assert_close(got, expected, 1e-10)


@each_kind
def test_gradient_inside_shard_map(name, x64):
    """The batch over two devices, the parameters on both: their gradients are summed over them."""
    cell, mask = CELLS[name], mask_of(LENGTHS)
    args = draw(cell)

    def gradient(engine, params, xs, state, mask):
        def loss(*args):
            return jnp.sin(engine(cell, *args, mask=mask)[0]).sum()

        return jax.grad(loss, (0, 1, 2))(params, xs, state)

    mesh = Mesh(np.array(jax.devices()[:2]), ("batch",))
    specs = (P(), P(None, "batch"), P("batch"))
    sharded = jax.shard_map(
        partial(gradient, fused), mesh=mesh, in_specs=(*specs, P(None, "batch")), out_specs=specs
    )
    got = jax.jit(sharded)(*args, mask)
    oracles.assert_close(got, gradient(scan, *args, mask), 1e-10)


def test_equal_cells_compile_once(monkeypatch):
    traces = []

    def counting(a):
        traces.append(a.shape)
        return jnp.tanh(a)

    monkeypatch.setitem(activations.ACTIVATIONS, "tanh", counting)
    size = 7  # no other test's, whose programs are kept
    for seed in range(3):
        fused(RNN(size), *draw(RNN(size), seed=seed))
    assert len(traces) == 1
    fused(RNN(size), *draw(RNN(size), steps=T + 1))
    assert len(traces) == 2

    @jax.jit
    def step(*args):
        return jax.grad(lambda *args: fused(RNN(size), *args)[0].sum())(*args)

    for seed in range(3):
        step(*draw(RNN(size), batch=(2,), seed=seed))
    compiled = len(traces)
    assert compiled > 2
    step(*draw(RNN(size), batch=(2,), seed=9))
    assert len(traces) == compiled


def loops(jaxpr):
    for eqn in jaxpr.eqns:
        if eqn.primitive.name in ("scan", "while"):
            yield eqn
        else:
            for inner in jaxprs_in_params(eqn.params):
                yield from loops(inner)


@each_kind
def test_no_weight_gradient_is_added_up_in_a_loop(name):
    """It is what makes autodiff of a scan slow: the loops carry states and arrays over time."""
    cell = CELLS[name]
    args = draw(cell)
    jaxpr = jax.make_jaxpr(jax.grad(lambda args: fused(cell, *args)[0].sum()))(args)
    found = list(loops(jaxpr.jaxpr))
    assert len(found) == 2
    for eqn in found:
        carried = [out.aval.shape for out in eqn.outvars]
        assert all(shape in ((), (B, H)) or shape[:2] == (T, B) for shape in carried), carried


@pytest.mark.parametrize("batch", [1, 2, 32])
@each_kind
def test_no_array_over_time_is_copied_in_a_step(name, batch):
    """Else the time grows with T²: seen in what XLA compiles, whatever the machine is doing."""
    cell, steps = CELLS[name], 97
    args = draw(cell, batch=(batch,), steps=steps)

    def loss(args, weights):
        return (fused(cell, *args)[0] * weights).sum()

    weights = jnp.ones((steps, batch, H))
    text = jax.jit(jax.grad(loss)).lower(args, weights).compile().as_text()
    blocks = dict(re.findall(r"^%?([\w.\-]+) \(.*?\{\n(.*?)^\}", text, re.M | re.S))
    bodies = set(re.findall(r"body=%?([\w.\-]+)", text))
    assert len(bodies) == 2
    for body in bodies:
        assert f"[{steps},{batch}," in blocks[body]
        assert not re.search(rf"= \w+\[{steps},\S* copy\(", blocks[body])


# ---- what it runs ------------------------------------------------------------------------------


class Leaky(cells.RNN):
    """A subclass may step in another way."""


@pytest.mark.parametrize(
    ("cell", "taps", "word"),
    [
        (RNN(H, jnp.tanh), (), "RNN"),
        (RNN(H, "softmax"), (), "softmax"),
        (Leaky(H), (), "Leaky"),
        (LSTM(H), ("f",), r"'f'"),
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
    args = draw(GRU(H, not reset_after))
    with pytest.raises(ValueError, match=rf"reset_after={reset_after} got params .* b_hn"):
        fused(GRU(H, reset_after), *args)


def test_narrow_inputs():
    """Refused under strict promotion; else taken, and their gradient is narrow as they are."""
    cell = LSTM(H)
    params, xs, state = draw(cell)
    narrow = xs.astype(jnp.bfloat16)
    with pytest.raises(ValueError, match=r"(?i)promotion"):
        fused(cell, params, narrow, state)
    with jax.numpy_dtype_promotion("standard"):
        got, expected = (outcome(engine, cell, params, narrow, state) for engine in (fused, scan))
    assert [a.dtype for a in jax.tree.leaves(got)] == [a.dtype for a in jax.tree.leaves(expected)]
    oracles.assert_close(got[0], expected[0], 1e-5)
    oracles.assert_close(got[1], expected[1], 1e-2)


# ---- through unroll ----------------------------------------------------------------------------


class OwnLSTM(cells.LSTM):
    """An LSTM of a user's, whose step may be another."""


@pytest.fixture
def ran(monkeypatch):
    """The names of the engines that ran."""
    names = []
    for name, engine in ENGINES.items():

        def spied(*args, name=name, engine=engine, **options):
            names.append(name)
            return engine(*args, **options)

        monkeypatch.setitem(ENGINES, name, spied)
    return names


@each_cell
def test_auto_picks_it(name, ran):
    params, xs, _ = draw(CELLS[name])
    unroll(CELLS[name], params, xs)
    unroll(CELLS[name], params, xs, lengths=np.full(T, 2), reverse=True)
    assert ran == ["fused", "fused"]


@pytest.mark.parametrize(
    ("cell", "taps"),
    [(LSTM(H), ("f",)), (OwnLSTM(H), ()), (Leaky(H), ()), (RNN(H, jnp.sin), ())],
    ids=["taps", "subclass of LSTM", "subclass of RNN", "callable"],
)
def test_auto_leaves_the_rest_to_scan(cell, taps, ran):
    params, xs, _ = draw(cell)
    unroll(cell, params, xs, taps=taps)
    assert ran == ["scan"]
    with pytest.raises(ValueError, match=r"engine 'fused' runs .* use engine 'scan'"):
        unroll(cell, params, xs, taps=taps, engine="fused")


@pytest.mark.parametrize("batch", [(), (2, 2)], ids=str)
@each_kind
def test_unroll_is_the_same_by_either_engine(name, batch, x64):
    """Lengths, NaN in the padding, a random s_0: values and all gradients."""
    cell, reverse = CELLS[name], batch != ()
    params, xs, state = draw(cell, batch=batch)
    lengths = np.resize([4, 9, 0, 6], batch)
    padded = np.arange(T)[:, None] >= lengths.reshape(-1)
    xs = jnp.where(padded.reshape(T, *batch)[..., None], jnp.nan, xs)
    xs = jnp.moveaxis(xs, 0, -2)

    @partial(jax.jit, static_argnums=0)
    def both(engine):
        def run(params, xs, state):
            return unroll(
                cell,
                params,
                xs,
                lengths=lengths,
                initial_state=state,
                reverse=reverse,
                engine=engine,
            )

        results, pull = jax.vjp(run, params, xs, state)
        return results, pull(oracles.random_like(results, 7))

    got, expected = both("fused"), both("scan")
    oracles.assert_close(got, expected, 1e-10)
    assert not np.asarray(got[1][1])[np.moveaxis(padded.reshape(T, *batch), 0, -1)].any()


@pytest.mark.parametrize("engine", ["auto", "fused"])
def test_unroll_refuses_forward_mode_by_name(engine):
    cell = LSTM(H)
    params, xs, _ = draw(cell)
    with pytest.raises(TypeError, match=r"engine 'fused' .* reverse mode only.*engine='scan'"):
        jax.jacfwd(lambda params: unroll(cell, params, xs, engine=engine)[0])(params)
    tangent = jax.jvp(lambda p: unroll(cell, p, xs, engine="scan")[0], (params,), (params,))[1]
    assert np.isfinite(tangent).all()


def test_other_type_errors_pass_through_unroll(monkeypatch):
    def broken(*args, **options):
        raise TypeError("something else")

    monkeypatch.setitem(ENGINES, "fused", broken)
    params, xs, _ = draw(LSTM(H))
    with pytest.raises(TypeError, match=r"^something else$"):
        unroll(LSTM(H), params, xs)
