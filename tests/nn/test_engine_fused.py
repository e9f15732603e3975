"""The fused engine against the definition: values, gradients, their gradients, transformations.

Most call :func:`outcome` with the same shapes, so that they share compiled programs.
"""

import re
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from rnnlab import GRU, LSTM, RNN, unroll
from rnnlab.nn import activations, cells
from rnnlab.nn.engines.fused import SMALL_BATCH, Fused, fused, supports
from rnnlab.nn.engines.scan import scan
from rnnlab.nn.unroll import ENGINES
from tests.helpers import oracles
from tests.helpers.sequences import arguments_like

T, B, D, H = 9, SMALL_BATCH, 3, 5
LENGTHS = np.array([9, 4, 0, 1, 7, 2, 9, 5])
MASK = np.arange(T)[:, None] < LENGTHS
RECOMPUTE = Fused(recompute=True)

CELLS = {
    "rnn-tanh": RNN(H),
    "rnn-relu": RNN(H, "relu"),
    "rnn-identity": RNN(H, "identity"),
    "rnn-sigmoid": RNN(H, "sigmoid"),
    "lstm": LSTM(H),
    "gru": GRU(H),
    "gru-reset-after": GRU(H, reset_after=True),
}
KINDS = ["rnn-tanh", "lstm", "gru", "gru-reset-after"]

each_cell = pytest.mark.parametrize("name", CELLS)
each_kind = pytest.mark.parametrize("name", KINDS)


def draw(cell, input_size=D, batch=(B,), steps=T, seed=0):
    """(params, xs, s_0): random, no entry zero."""
    return oracles.random_like(arguments_like(cell, input_size, batch, steps), seed)


@partial(jax.jit, static_argnames=("engine", "cell", "reverse"))
def _outcome(engine, cell, args, cotangents, mask, resets, reverse):
    def run(params, xs, state):
        options = {} if resets is None else {"resets": resets}
        return engine(cell, params, xs, state, mask=mask, reverse=reverse, **options)[:2]

    results, pull = jax.vjp(run, *args)
    return results, pull(cotangents)


def outcome(engine, cell, args, *, mask=None, resets=None, reverse=False, cotangents=None):
    """(ys, final state) and the gradients of params, xs and s_0 by random cotangents of both."""
    _, xs, state = args
    if cotangents is None:
        like = jnp.zeros((*xs.shape[:-1], cell.hidden_size), state.h.dtype), state
        cotangents = oracles.random_like(like, 7)
    return _outcome(engine, cell, args, cotangents, mask, resets, reverse)


# ---- the definition ----------------------------------------------------------------------------


class Case(NamedTuple):
    """A run: its shapes, and whether it has a mask, resets and reverse order."""

    steps: int
    batch: tuple[int, ...]
    masked: bool
    resets: bool
    reverse: bool

    def options(self):
        rng, shape = np.random.default_rng(3), (self.steps, *self.batch)
        mask = MASK if shape == MASK.shape else rng.random(shape) < 0.7
        resets = rng.random(shape) < 0.3
        by_example = resets.reshape(self.steps, -1)
        by_example[-1] = False  # so that s_0 counts in reverse,
        by_example[:3, -1] = False  # and forward in the last example,
        by_example[0, 0] = True  # but not in the first
        return {
            "mask": mask if self.masked else None,
            "resets": resets if self.resets else None,
            "reverse": self.reverse,
        }


# B examples are overwritten in place, fewer are not; chunks of √T divide 9, leave a rest of 17
CASES = {
    "plain": Case(T, (B,), masked=False, resets=False, reverse=False),
    "padded and reverse": Case(T, (B,), masked=True, resets=False, reverse=True),
    "episodes, two batch axes": Case(17, (2, 3), masked=True, resets=True, reverse=False),
    "episodes of one sequence": Case(17, (), masked=False, resets=True, reverse=True),
}
PADDED, EPISODES, SINGLE = list(CASES.values())[1:]

# what the engine does without a mask, and without a batch axis, is the same for every cell
DEFINED = [
    *((name, case) for case in list(CASES)[1:3] for name in KINDS),
    *((name, "plain") for name in ("rnn-tanh", "lstm")),
    *((name, "episodes of one sequence") for name in ("lstm", "gru-reset-after")),
]


@pytest.mark.parametrize(("name", "case"), DEFINED)
def test_equals_scan(name, case, x64):
    """Recomputed, where a mask goes into the chunks as well, and not."""
    cell, options = CELLS[name], CASES[case].options()
    args = draw(cell, batch=CASES[case].batch, steps=CASES[case].steps)
    expected = outcome(scan, cell, args, **options)
    for engine in (fused, RECOMPUTE) if CASES[case].masked else (fused,):
        got = outcome(engine, cell, args, **options)
        assert jax.tree.structure(got) == jax.tree.structure(expected)
        oracles.assert_close(got, expected, 1e-10)


@each_kind
def test_equals_scan_in_float32(name):
    """With one input feature, where a product with W_xh has an axis of length one."""
    args, options = draw(CELLS[name], 1), PADDED.options()
    got, expected = (outcome(engine, CELLS[name], args, **options) for engine in (fused, scan))
    oracles.assert_close(got, expected, 1e-5)


@each_cell
def test_equals_differences_of_the_equations_in_numpy(name, x64):
    """A third oracle: loops in NumPy, each leaf moved a little along a direction of its own."""
    cell, args = CELLS[name], draw(CELLS[name])
    rng = np.random.default_rng(5)
    to_ys = rng.standard_normal((T, B, H)) * MASK[..., None]
    to_final = type(args[2])(*(rng.standard_normal((B, H)) for _ in args[2]))

    def total(ys, final):
        return (ys * to_ys).sum() + sum((s * v).sum() for s, v in zip(final, to_final, strict=True))

    def by_hand(leaves):
        params, xs, state = jax.tree.unflatten(jax.tree.structure(args), leaves)
        step, xs, start = oracles.STEPS[name], np.moveaxis(xs, 0, 1), state._asdict()
        run = oracles.recurrence(step, params, xs, start, lengths=LENGTHS, reverse=True)
        return total(np.moveaxis(run.ys, 1, 0), [run.state[part] for part in state._fields])

    cotangents = jax.tree.map(jnp.asarray, (to_ys, to_final))
    results, gradients = outcome(fused, cell, args, cotangents=cotangents, **PADDED.options())
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(args)]
    value = by_hand(leaves)
    assert abs(total(*results) - value) < 1e-10 * abs(value)
    for place, gradient in enumerate(jax.tree.leaves(gradients)):
        direction = rng.standard_normal(gradient.shape)
        ahead, back = list(leaves), list(leaves)
        ahead[place], back[place] = (leaves[place] + e * direction for e in (1e-5, -1e-5))
        difference = (by_hand(ahead) - by_hand(back)) / 2e-5
        parts = np.asarray(gradient) * direction
        assert abs(difference - parts.sum()) < 1e-7 * np.abs(parts).sum()


@pytest.mark.parametrize(
    ("name", "steps"), [("gru-reset-after", 0), ("rnn-tanh", 1), ("lstm", 1)], ids=str
)
def test_no_step_and_one_step(name, steps, x64):
    cell = CELLS[name]
    args = draw(cell, batch=(2,), steps=steps)
    expected = outcome(scan, cell, args, reverse=True)
    for engine in (fused, RECOMPUTE):
        got = outcome(engine, cell, args, reverse=True)
        for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
            assert a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@each_kind
def test_padding_alone_changes_nothing(name, x64):
    """The state does not change, nor its adjoint, and nothing reaches params or inputs."""
    cell, args = CELLS[name], draw(CELLS[name])
    nothing, d_final = np.zeros((T, B), bool), oracles.random_like(args[2], 4)
    (_, final), (d_params, d_xs, d_state) = outcome(
        fused, cell, args, mask=nothing, reverse=True, cotangents=(np.zeros((T, B, H)), d_final)
    )
    for got, expected in ((final, args[2]), (d_state, d_final)):
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_array_equal(a, b)
    assert not any(leaf.any() for leaf in jax.tree.leaves((d_params, d_xs)))


def test_small_gates_keep_their_digits():
    """i = σ(−14) ≈ 1e-6, as a long chrono initialization has it."""
    cell = LSTM(H)
    params, xs, state = draw(cell)
    params, xs, state = jax.device_get((params, xs, state))
    params = params._replace(b_i=params.b_i - 14, b_f=params.b_f + 14)
    state = jax.tree.map(np.zeros_like, state)
    got = fused(cell, params, xs, state)[1].C
    with jax.enable_x64(True):
        double = oracles.to_numpy((params, xs, state))
        expected = scan(cell, *double)[1].C
    assert oracles.relative_error(got, expected) < 1e-5


@pytest.mark.parametrize("case", [EPISODES, SINGLE], ids=["forward", "reverse"])
@each_kind
def test_nothing_crosses_a_reset(name, case, x64):
    """A loss on the later episode leaves the earlier one's inputs and s_0 exactly nothing."""
    cell, at = CELLS[name], 4
    args = draw(cell, batch=case.batch, steps=case.steps)
    shape = (case.steps, *case.batch)
    later = slice(at) if case.reverse else slice(at, None)
    d_ys, resets = np.zeros((*shape, H)), np.zeros(shape, bool)
    d_ys[later], resets[at] = 1.0, True
    options = {
        "mask": np.ones(shape, bool) if case.masked else None,
        "resets": resets,
        "reverse": case.reverse,
        "cotangents": (d_ys, jax.tree.map(np.zeros_like, args[2])),
    }
    _, (_, d_xs, d_state) = outcome(fused, cell, args, **options)
    steps = np.arange(case.steps)
    reached = steps <= at if case.reverse else steps >= at  # step `at` starts afresh
    sizes = np.abs(np.asarray(d_xs)).reshape(case.steps, -1).max(axis=1)
    assert (sizes[reached] > 0).all()
    np.testing.assert_array_equal(sizes[~reached], 0)
    assert not any(leaf.any() for leaf in d_state)


def test_recomputing_needs_a_fraction_of_the_memory():
    """Bytes that the compiled gradient needs at T = 4,096: less than a fifth."""
    cell, steps = LSTM(32), 4096
    args = draw(cell, 1, (2,), steps)

    def memory(engine):
        def loss(params):
            return engine(cell, params, *args[1:])[1].h.sum()

        compiled = jax.jit(jax.grad(loss)).lower(args[0]).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert memory(RECOMPUTE) < memory(fused) / 5


# ---- second derivatives ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "engine", "case"),
    [
        ("lstm", fused, Case(4, (3,), masked=True, resets=False, reverse=True)),
        ("rnn-tanh", fused, Case(4, (3,), masked=False, resets=False, reverse=False)),
        ("rnn-sigmoid", RECOMPUTE, Case(5, (3,), masked=True, resets=True, reverse=False)),
    ],
    ids=["reverse", "", "recomputed"],
)
def test_second_derivatives(name, engine, case, x64):
    """Reverse over reverse, of |∂L/∂(params, xs, s_0)|², and forward over reverse."""
    cell, options = CELLS[name], case.options()
    args = draw(cell, batch=case.batch, steps=case.steps)
    directions = oracles.random_like(args, 8)

    @partial(jax.jit, static_argnums=0)
    def second(engine):
        def loss(args):
            ys, final, _ = engine(cell, *args, **options)
            return jnp.sin(3 * ys).sum() + sum((part**2).sum() for part in final)

        def penalty(args):
            return sum((leaf**2).sum() for leaf in jax.tree.leaves(jax.grad(loss)(args)))

        return jax.grad(penalty)(args), jax.jvp(jax.grad(loss), (args,), (directions,))[1]

    oracles.assert_close(second(engine), second(scan), 1e-10)


@each_kind
def test_forward_mode_is_refused(name):
    cell = CELLS[name]
    args = draw(cell)
    with pytest.raises(TypeError, match=r"forward-mode.*custom_vjp"):
        jax.jvp(lambda *args: fused(cell, *args)[0], args, args)


# ---- transformations ---------------------------------------------------------------------------


def member(args, mapped, place):
    """Return the arguments of member ``place``: its own of those mapped, else the common one."""
    return tuple(
        jax.tree.map(lambda leaf: leaf[place], part) if is_mapped else part
        for part, is_mapped in zip(args, mapped, strict=True)
    )


def several(cell, mapped, count):
    """(params, xs, s_0), a leading axis of members on those mapped."""
    members = [draw(cell, seed=seed) for seed in range(count)]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *members)
    return tuple(
        part if is_mapped else common
        for part, common, is_mapped in zip(stacked, members[0], mapped, strict=True)
    )


PARAMS, XS, ALL = (True, False, False), (False, True, False), (True, True, True)


@pytest.mark.parametrize(
    ("name", "mapping", "mapped"),
    [("lstm", "vmap", PARAMS), ("gru", "vmap", XS), ("lstm", "vmap", ALL), ("gru", "map", ALL)],
    ids=["vmap-params", "vmap-xs", "vmap-all", "map-all"],
)
def test_members_equal_single_runs(name, mapping, mapped, x64):
    """Mapped over parameters, inputs, all."""
    cell, options = CELLS[name], PADDED.options()
    args = several(cell, mapped, 3)

    def one(*args):
        return outcome(fused, cell, args, **options)

    if mapping == "vmap":
        got = jax.vmap(one, in_axes=tuple(0 if own else None for own in mapped))(*args)
    else:
        got = jax.lax.map(lambda member: one(*member), args)
    for n in range(3):
        expected = outcome(scan, cell, member(args, mapped, n), **options)
        oracles.assert_close(jax.tree.map(lambda leaf, n=n: leaf[n], got), expected, 1e-10)


@pytest.mark.parametrize(
    ("name", "mapped"),
    [("lstm", PARAMS), ("gru", XS), ("rnn-tanh", ALL)],
    ids=["params", "xs", "all"],
)
def test_inside_shard_map(name, mapped, x64):
    """With shard_map's types checked, whichever of the arguments vary over two devices."""
    cell, options = CELLS[name], PADDED.options()
    args = several(cell, mapped, 2)
    mesh = Mesh(np.array(jax.devices()[:2]), ("members",))
    specs = tuple(P("members") if is_mapped else P() for is_mapped in mapped)

    cotangents = oracles.random_like((jnp.zeros((T, B, H)), draw(cell)[2]), 7)
    of_both = jax.tree.map(lambda leaf: np.stack([leaf, leaf]), cotangents)

    def one(cotangents, *args):
        cotangents = jax.tree.map(lambda leaf: leaf[0], cotangents)
        results = outcome(fused, cell, member(args, mapped, 0), cotangents=cotangents, **options)
        return jax.tree.map(lambda leaf: leaf[None], results)

    every = P("members")
    sharded = jax.shard_map(one, mesh=mesh, in_specs=(every, *specs), out_specs=every)
    got = jax.jit(sharded)(of_both, *args)
    for n in range(2):
        expected = outcome(scan, cell, member(args, mapped, n), **options)
        # of what is common to both devices, shard_map adds up the gradients of both
        if not all(mapped):
            other = outcome(scan, cell, member(args, mapped, 1 - n), **options)
            gradients = tuple(
                own if is_mapped else jax.tree.map(jnp.add, own, of_other)
                for own, of_other, is_mapped in zip(expected[1], other[1], mapped, strict=True)
            )
            expected = expected[0], gradients
        oracles.assert_close(jax.tree.map(lambda leaf, n=n: leaf[n], got), expected, 1e-10)


@pytest.mark.parametrize("name", ["rnn-tanh", "gru-reset-after"])
def test_gradient_inside_shard_map(name, x64):
    """The batch over two devices, the parameters on both: their gradients are summed over them."""
    cell, args = CELLS[name], draw(CELLS[name])
    cotangents = oracles.random_like((jnp.zeros((T, B, H)), args[2]), 7)

    def gradients(params, xs, state, mask, cotangents):
        options = {"mask": mask, "reverse": True, "cotangents": cotangents}
        return outcome(fused, cell, (params, xs, state), **options)[1]

    mesh = Mesh(np.array(jax.devices()[:2]), ("batch",))
    of_args, over_time = (P(), P(None, "batch"), P("batch")), P(None, "batch")
    sharded = jax.shard_map(
        gradients,
        mesh=mesh,
        in_specs=(*of_args, over_time, (over_time, P("batch"))),
        out_specs=of_args,
    )
    got = jax.jit(sharded)(*args, jnp.asarray(MASK), cotangents)
    oracles.assert_close(got, outcome(scan, cell, args, **PADDED.options())[1], 1e-10)


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
    both = list(loops(jaxpr.jaxpr))
    assert len(both) == 2
    for eqn in both:
        carried = [out.aval.shape for out in eqn.outvars]
        assert all(shape in ((), (B, H)) or shape[:2] == (T, B) for shape in carried), carried


@pytest.mark.parametrize(
    ("name", "batch"), [*((name, batch) for name in KINDS for batch in (1, 32)), ("lstm", 2)]
)
def test_no_array_over_time_is_copied_in_a_step(name, batch):
    """Else the time grows with T²: seen in what XLA compiles, whatever the machine is doing."""
    cell, steps = CELLS[name], 97
    args = draw(cell, batch=(batch,), steps=steps)

    def loss(args, weights):
        return (fused(cell, *args)[0] * weights).sum()

    weights = np.ones((steps, batch, H), np.float32)
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


class OwnLSTM(cells.LSTM):
    """As may this one."""


@pytest.mark.parametrize(
    ("cell", "taps", "word"),
    [
        (RNN(H, jnp.tanh), (), "RNN"),
        (RNN(H, "softmax"), (), "softmax"),
        (Leaky(H), (), "Leaky"),
        (OwnLSTM(H), (), "OwnLSTM"),
        (LSTM(H), ("f",), r"'f'"),
    ],
    ids=["callable", "not elementwise", "subclass of RNN", "subclass of LSTM", "taps"],
)
def test_what_is_left_to_scan(cell, taps, word):
    assert not supports(cell, taps)
    with pytest.raises(ValueError, match=rf"engine 'fused' runs.*{word}.*use engine 'scan'"):
        fused(cell, *draw(cell), taps=taps)


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
        args = params, narrow, state
        got, expected = (outcome(engine, cell, args) for engine in (fused, scan))
    assert [a.dtype for a in jax.tree.leaves(got)] == [a.dtype for a in jax.tree.leaves(expected)]
    oracles.assert_close(got[0], expected[0], 1e-5)
    oracles.assert_close(got[1], expected[1], 1e-2)


# ---- through unroll ----------------------------------------------------------------------------


@pytest.fixture
def chosen(monkeypatch):
    """The names of the engines that were to run; none does."""
    names = []
    for name in ENGINES:

        def record(cell, params, xs, state, *, name=name, taps=(), **options):
            names.append(name)
            ys = jnp.zeros((*xs.shape[:-1], cell.hidden_size))
            return ys, state, dict.fromkeys(taps, ys)

        monkeypatch.setitem(ENGINES, name, record)
    return names


@each_cell
def test_auto_picks_fused(name, chosen):
    assert supports(CELLS[name], (), jax.random.key(0))
    params, xs, _ = draw(CELLS[name])
    unroll(CELLS[name], params, xs)
    unroll(CELLS[name], params, xs, lengths=np.full(T, 2), reverse=True)
    assert chosen == ["fused", "fused"]


@pytest.mark.parametrize(
    ("cell", "taps"),
    [(LSTM(H), ("f",)), (OwnLSTM(H), ()), (RNN(H, jnp.sin), ())],
    ids=["taps", "subclass", "callable"],
)
def test_auto_leaves_the_rest_to_scan(cell, taps, chosen, monkeypatch):
    params, xs, _ = draw(cell)
    unroll(cell, params, xs, taps=taps)
    assert chosen == ["scan"]
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"engine 'fused' runs .* use engine 'scan'"):
        unroll(cell, params, xs, taps=taps, engine="fused")


@pytest.mark.parametrize(
    ("name", "batch"), [("lstm", ()), ("gru-reset-after", (2, 2))], ids=["one sequence", "axes"]
)
def test_unroll_is_the_same_by_either_engine(name, batch, x64):
    """Lengths, NaN in the padding, a random s_0: values and all gradients."""
    cell, reverse = CELLS[name], batch != ()
    params, xs, state = draw(cell, batch=batch)
    lengths = np.resize([4, 9, 0, 6], batch)
    padded = np.arange(T)[:, None] >= lengths.reshape(-1)
    xs = np.where(padded.reshape(T, *batch)[..., None], np.nan, xs)
    xs = np.moveaxis(xs, 0, -2)

    @partial(jax.jit, static_argnums=0)
    def both(engine):
        def run(params, xs, state):
            options = {"lengths": lengths, "initial_state": state, "reverse": reverse}
            return unroll(cell, params, xs, engine=engine, **options)

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
