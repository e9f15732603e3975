"""The engine that is parallel in time against the definition: values, gradients, fallback.

Most call :func:`outcome` with the same shapes, so that they share compiled programs.
"""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from rnnlab import GRU, LSTM, RNN, InitScheme, gradients, unroll
from rnnlab.nn import activations, cells
from rnnlab.nn.engines import linear_recurrence, newton_cells
from rnnlab.nn.engines import newton as module
from rnnlab.nn.engines.newton import Newton, newton, supports, trajectory
from rnnlab.nn.engines.scan import scan
from rnnlab.nn.params import HiddenState
from rnnlab.nn.unroll import ENGINES
from tests.helpers import oracles
from tests.helpers.sequences import arguments_like

T, B, H = 5, 4, 3
LENGTHS = np.array([5, 3, 0, 1])
MASK = np.arange(T)[:, None] < LENGTHS

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


def draw(cell, input_size=2, batch=(B,), steps=T, seed=0, scale=0.5):
    """(params, xs, s_0): random, no entry zero."""
    return oracles.random_like(arguments_like(cell, input_size, batch, steps), seed, scale)


def contracting(cell, params, size=0.6):
    """The same, each recurrent kernel with the spectral norm ``size``: every λ is below 0."""
    names = [name for name in params._fields if name.startswith("W_h")]
    kernels = {name: np.asarray(getattr(params, name)) for name in names}
    return params._replace(**{n: size * W / np.linalg.norm(W, 2) for n, W in kernels.items()})


@partial(jax.jit, static_argnames=("engine", "cell", "reverse", "taps"))
def _outcome(engine, cell, args, cotangents, mask, reverse, taps):
    def run(params, xs, state):
        return engine(cell, params, xs, state, mask=mask, reverse=reverse, taps=taps)

    results, pull = jax.vjp(run, *args)
    if cotangents is None:
        return results, pull(oracles.random_like(results, 7))
    return results, pull((*cotangents, {}))


def outcome(engine, cell, args, *, mask=None, reverse=False, taps=(), cotangents=None):
    """(ys, final state, taps) and the gradients of params, xs and s_0 by random cotangents."""
    if cotangents is None and not taps:
        _, xs, state = args
        like = jnp.zeros((*xs.shape[:-1], cell.hidden_size), state.h.dtype), state
        cotangents = oracles.random_like(like, 7)
    mask = None if mask is None else jnp.asarray(mask)
    return _outcome(engine, cell, args, cotangents, mask, reverse, taps)


def check(cell, args, bound, engine=newton, **options):
    got, expected = (outcome(e, cell, args, **options) for e in (engine, scan))
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    oracles.assert_close(got, expected, bound)


@pytest.fixture
def no_fallback(monkeypatch):
    """Where Newton's iteration does not converge, NaN instead of scan's states.

    Programs are kept by their method: give one that no test without this fixture has.
    """

    def nothing(cell, params, xs, state, *, taps=(), **options):
        nan = jnp.full((*xs.shape[:-1], cell.hidden_size), jnp.nan, state.h.dtype)
        return nan, state, dict.fromkeys(taps, nan)

    monkeypatch.setattr(module, "scan", nothing)


# ---- the definition ----------------------------------------------------------------------------

ALONE = Newton(max_iterations=63)  # with no_fallback


@each_kind
def test_equals_scan(name, no_fallback, x64):
    """Of the other activations, the Jacobians below are all that the engine has of its own."""
    cell = CELLS[name]
    check(cell, draw(cell), 1e-9, ALONE, mask=MASK, reverse=True)


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("lstm", Newton(quasi=True, max_iterations=63)),
        ("lstm", Newton(damping=0.4, max_iterations=63)),
        ("gru", Newton(damping=1.0, max_iterations=63)),
        ("gru", ALONE),
        ("gru-reset-after", Newton(quasi=True, damping=0.1, max_iterations=63)),
    ],
    ids=["quasi", "damped", "recomputed steps", "newton", "quasi and damped"],
)
def test_every_method_and_taps(name, method, no_fallback, x64):
    cell = CELLS[name]
    params, xs, state = draw(cell)
    args = contracting(cell, params), xs, state
    taps = ("h", "f", "C") if name == "lstm" else ("z", "h_tilde", "h")
    check(cell, args, 1e-9, method, taps=taps, mask=MASK)


@pytest.mark.parametrize(
    ("name", "steps", "batch", "hidden", "double", "reverse"),
    [
        ("rnn-tanh", 13, (), 4, False, True),
        ("gru", 2, (2, 2), 1, True, False),
        ("lstm", 3, (1,), 2, False, False),
        ("gru-reset-after", 13, (2, 2), 1, False, False),
    ],
)
def test_equals_scan_whatever_the_shape(name, steps, batch, hidden, double, reverse, no_fallback):
    """The project's bars, where the top Lyapunov exponent is below 0."""
    with jax.enable_x64(double):
        cell = cells.by_name(name, hidden, InitScheme())
        params, xs, state = draw(cell, 2, batch, steps, seed=2)
        args = contracting(cell, params), xs, state
        real = np.random.default_rng(1).integers(1, steps + 1, batch)
        mask = np.arange(steps).reshape(-1, *[1] * len(batch)) < real if batch else None
        check(cell, args, 1e-9 if double else 1e-5, ALONE, mask=mask, reverse=reverse)


@pytest.mark.parametrize(
    ("name", "steps"), [("gru-reset-after", 0), ("rnn-tanh", 1), ("lstm", 1)], ids=str
)
def test_no_step_and_one_step(name, steps, x64):
    cell = CELLS[name]
    args = draw(cell, steps=steps)
    got, expected = (outcome(engine, cell, args, reverse=True) for engine in (newton, scan))
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@each_kind
def test_equals_differences_of_the_equations_in_numpy(name, no_fallback, x64):
    """A third oracle: loops in NumPy, each leaf moved a little along a direction of its own."""
    cell, args = CELLS[name], draw(CELLS[name])
    rng = np.random.default_rng(5)
    to_ys = rng.standard_normal((T, B, H)) * MASK[..., None]
    to_final = type(args[2])(*(rng.standard_normal((B, H)) for _ in args[2]))

    def total(ys, final):
        return (ys * to_ys).sum() + sum((s * v).sum() for s, v in zip(final, to_final, strict=True))

    def by_hand(leaves):
        params, xs, state = jax.tree.unflatten(jax.tree.structure(args), leaves)
        run = oracles.recurrence(
            oracles.STEPS[name],
            params,
            np.moveaxis(xs, 0, 1),
            state._asdict(),
            lengths=LENGTHS,
            reverse=True,
        )
        return total(np.moveaxis(run.ys, 1, 0), [run.state[part] for part in state._fields])

    cotangents = jax.tree.map(jnp.asarray, (to_ys, to_final))
    options = {"mask": MASK, "reverse": True, "cotangents": cotangents}
    (ys, final, _), gradients = outcome(ALONE, cell, args, **options)
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(args)]
    value = by_hand(leaves)
    assert abs(total(ys, final) - value) < 1e-10 * abs(value)
    for place, of_leaf in enumerate(jax.tree.leaves(gradients)):
        direction = rng.standard_normal(of_leaf.shape)
        ahead, back = list(leaves), list(leaves)
        ahead[place], back[place] = (leaves[place] + e * direction for e in (1e-5, -1e-5))
        difference = (by_hand(ahead) - by_hand(back)) / 2e-5
        parts = np.asarray(of_leaf) * direction
        assert abs(difference - parts.sum()) < 1e-7 * np.abs(parts).sum()


@each_cell
def test_jacobians_are_the_steps_own(name, x64):
    cell = CELLS[name]
    params, xs, state = draw(cell)
    flat = oracles.random_like(ravel_pytree(state)[0].reshape(B, -1), 3)

    def step(flat, x):
        like = jax.tree.map(lambda leaf: leaf[0], state)
        new = cell.step(params, type(like)(*jnp.split(flat, len(like))), x)[0]
        return jnp.concatenate(new)

    @jax.jit
    def both(flat, xs):
        options = cell, params, flat[None], xs[:1], None
        full, diagonal = (newton_cells.jacobians(*options, kind)[0] for kind in (False, True))
        return full, diagonal, jax.vmap(jax.jacfwd(step))(flat, xs[0])

    full, diagonal, expected = both(flat, xs)
    oracles.assert_close(full, expected, 1e-12)
    oracles.assert_close(diagonal, jnp.diagonal(expected, axis1=1, axis2=2), 1e-12)


# ---- iterations --------------------------------------------------------------------------------


def test_a_linear_cell_takes_one_correction_and_one_to_see_it(x64):
    cell = CELLS["rnn-identity"]
    params, xs, state = draw(cell)
    found = trajectory(cell, contracting(cell, params), xs, state)
    assert (int(found.iterations), bool(found.converged)) == (2, True)


@pytest.mark.parametrize("steps", [1, 4])
def test_recomputed_steps_are_right_one_more_each_time(steps, x64):
    """Damping 1 is s ← step(s): T corrections and one that changes nothing."""
    cell = CELLS["rnn-tanh"]
    found = trajectory(cell, *draw(cell, steps=steps), method=Newton(damping=1.0))
    assert (int(found.iterations), bool(found.converged)) == (steps + 1, True)


def test_warm_start():
    """From the very trajectory one look is enough; after a small step of the parameters, few."""
    cell = CELLS["lstm"]
    args = draw(cell, steps=20, scale=1.0)
    found = trajectory(cell, *args)
    assert found.converged
    assert found.iterations > 3
    again = trajectory(cell, *args, method=Newton(guess=found.states))
    assert int(again.iterations) == 1
    moved = jax.tree.map(lambda p: p * 1.003, args[0])
    near = trajectory(cell, moved, *args[1:], method=Newton(guess=found.states))
    assert near.converged
    assert near.iterations < found.iterations
    engine = Newton(guess=jax.tree.map(lambda s: s + 0.1, found.states))
    got, expected = engine(cell, *args), scan(cell, *args)
    oracles.assert_close(got[:2], expected[:2], 1e-5)


def test_a_guess_of_another_shape_is_refused():
    cell = CELLS["gru"]
    guess = HiddenState(jnp.zeros((T + 1, B, H)))
    with pytest.raises(
        ValueError, match=rf"Newton.guess .*\({T}, {B}, {H}\).*\({T + 1}, {B}, {H}\)"
    ):
        newton(cell, *draw(cell), method=Newton(guess=guess))


@cache  # in float64: each of its tests is
def chaotic():
    """(cell, params, xs, s_0) of 40 steps; σ_w = 3."""
    cell = RNN(16, init=InitScheme(w_h="normal(std=0.75)"))
    params = cell.init_params(jax.random.key(300), 1)
    xs = 0.3 * jax.random.normal(jax.random.key(5), (40, 1))
    return RNN(16), params, xs, cell.initial_state(params, (), jax.random.key(6))


TEN = Newton(max_iterations=10)


def test_chaos_falls_back_to_scan(x64):
    cell, *args = chaotic()
    assert gradients.lyapunov_exponents(cell, args[0], args[1], 1, initial_state=args[2]) > 0.05
    check(cell, args, 1e-9, TEN)
    # with as many as there are steps it gets there by itself
    assert trajectory(cell, *args, method=Newton(max_iterations=41)).converged


def test_products_that_overflow(x64):
    """10^390 is no float64, but no state is that large, and no adjoint."""
    cell = RNN(2)
    params, xs, state = draw(cell, steps=130, batch=())
    params = params._replace(W_hh=1e3 * jnp.array([[0.0, 1.0], [-1.0, 0.0]]))
    args = params, xs * 1e-3, state
    found = trajectory(cell, *args, method=Newton(max_iterations=5))
    assert not found.converged
    oracles.assert_close(found.states.h, scan(cell, *args)[0], 1e-12)
    A = jnp.full((130, 1, 1), 1e3).at[-1].set(0.0)
    b = jnp.zeros((130, 1)).at[-2:].set(1.0)
    d = jax.jit(linear_recurrence.solve)(A, b, parallel=jnp.array(True))
    np.testing.assert_array_equal(d, b)  # 0·inf is not handed on


@pytest.mark.parametrize("where", ["params", "xs"])
def test_non_finite_numbers_come_out_as_from_scan(where):
    cell = CELLS["lstm"]
    params, xs, state = draw(cell)
    if where == "params":
        params = params._replace(W_hf=params.W_hf.at[0, 0].set(jnp.nan))
    else:
        xs = xs.at[2, 1, 0].set(jnp.nan)
    found = trajectory(cell, params, xs, state)
    assert not found.converged
    expected = scan(cell, params, xs, state, taps=("h", "C"))[2]
    for part, states in found.states._asdict().items():
        np.testing.assert_allclose(states, expected[part], rtol=1e-6)
    assert np.isnan(found.states.h[-1, 1]).any()


def test_size_is_relative_to_a_sequence_and_a_part():
    """A small h beside a large C, a small sequence beside a large one: each by its own measure."""
    states = jnp.array([[[1.0, 100.0], [0.01, 1.0]], [[0.5, 50.0], [0.01, 1.0]]])  # (T, B, parts)
    delta = jnp.zeros_like(states)
    assert module.log_size(delta, states, 2) == -jnp.inf
    for place, share in (((0, 0, 0), 1), ((0, 0, 1), 100), ((1, 1, 0), 0.01)):
        size = module.log_size(delta.at[place].set(1e-3), states, 2)
        np.testing.assert_allclose(size, np.log(1e-3 / share), rtol=1e-5)
    assert np.isnan(module.log_size(delta.at[0].set(jnp.nan), states, 2))


def test_the_error_left_is_the_tail_of_the_series():
    """Corrections of 3·q^k: after number 5, Σ_{k>5} 3·q^k."""
    q, size = 0.4, np.log(3.0)
    left = module.log_left(jnp.float32(size + 5 * np.log(q)), jnp.float32(size), jnp.int32(5))
    np.testing.assert_allclose(np.exp(left), 3 * q**6 / (1 - q), rtol=1e-5)
    assert np.isnan(module.log_left(jnp.float32(1.0), jnp.float32(0.0), jnp.int32(3)))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"quasi": 1}, "quasi must be True or False, got 1"),
        ({"damping": 1.1}, r"damping must lie in \[0, 1\], got 1.1"),
        ({"tolerance": 0.0}, "tolerance must be a number above 0, got 0.0"),
        ({"max_iterations": 0}, "max_iterations must be a whole number of at least 1, got 0"),
    ],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        Newton(**options)


def test_options_may_be_numpy_numbers():
    plain = Newton(damping=0.5, tolerance=1e-3, max_iterations=7)
    given = Newton(damping=np.float32(0.5), tolerance=jnp.asarray(1e-3), max_iterations=np.int64(7))
    assert given.max_iterations == 7
    assert given.damping == 0.5
    assert given.tolerance == pytest.approx(1e-3)
    assert hash(given) == hash(Newton(damping=0.5, tolerance=given.tolerance, max_iterations=7))
    assert plain != given  # float32's 1e-3 is another number


def test_a_tighter_tolerance_takes_more(x64):
    cell = CELLS["gru"]
    args = draw(cell, steps=20, scale=1.0)
    counts = [
        int(trajectory(cell, *args, method=Newton(quasi=True, tolerance=t)).iterations)
        for t in (1e-3, 1e-6, 1e-12)
    ]
    assert counts == sorted(set(counts))


# ---- derivatives and transformations -----------------------------------------------------------


def test_second_derivatives(x64):
    """Reverse over reverse and forward over reverse; the rules are the same for all cells."""
    cell = CELLS["rnn-tanh"]
    args = draw(cell, steps=3)
    directions = oracles.random_like(args, 8)

    @partial(jax.jit, static_argnums=0)
    def second(engine):
        def loss(args):
            ys, final, _ = engine(cell, *args)
            return jnp.sin(3 * ys).sum() + sum((part**2).sum() for part in final)

        def penalty(args):
            return sum((leaf**2).sum() for leaf in jax.tree.leaves(jax.grad(loss)(args)))

        return jax.grad(penalty)(args), jax.jvp(jax.grad(loss), (args,), (directions,))[1]

    oracles.assert_close(second(newton), second(scan), 1e-9)


@pytest.mark.parametrize("name", ["rnn-tanh", "lstm"])
def test_forward_mode(name, x64):
    cell, args = CELLS[name], draw(CELLS[name])
    directions = oracles.random_like(args, 8)

    @partial(jax.jit, static_argnums=0)
    def push(engine):
        def run(*args):
            return engine(cell, *args, mask=jnp.asarray(MASK))[:2]

        return jax.jvp(run, args, directions)

    oracles.assert_close(push(newton), push(scan), 1e-9)


@pytest.mark.parametrize("mapping", ["vmap", "map"])
def test_members_equal_single_runs(mapping, x64):
    """Though one of them is chaotic and falls back."""
    cell, *wild = chaotic()
    tame = [wild[0]._replace(W_hh=wild[0].W_hh / 20), *wild[1:]]
    members = jax.tree.map(lambda *leaves: np.stack(leaves), tame, wild, tame)
    one = partial(outcome, TEN, cell)
    got = jax.vmap(one)(members) if mapping == "vmap" else jax.lax.map(one, members)
    for n, args in enumerate((tame, wild)):
        member = jax.tree.map(lambda leaf, n=n: leaf[n], got)
        oracles.assert_close(member, outcome(scan, cell, args), 1e-9)


def test_each_member_counts_its_own_iterations(x64):
    cell, *wild = chaotic()
    tame = [wild[0]._replace(W_hh=wild[0].W_hh / 20), *wild[1:]]
    members = jax.tree.map(lambda *leaves: np.stack(leaves), tame, wild, tame)
    found = jax.vmap(lambda args: trajectory(cell, *args, method=TEN))(members)
    assert found.converged.tolist() == [True, False, True]
    assert found.iterations[1] == 10
    assert found.iterations[0] == found.iterations[2] < 10


@pytest.mark.parametrize("name", ["rnn-tanh", "lstm"])
def test_gradient_inside_shard_map(name, x64):
    """The batch over two devices, the parameters on both: their gradients are summed over them."""
    cell, args = CELLS[name], draw(CELLS[name])
    cotangents = oracles.random_like((jnp.zeros((T, B, H)), args[2]), 7)

    def gradients(params, xs, state, mask, cotangents):
        options = {"mask": mask, "reverse": True, "cotangents": cotangents}
        return outcome(newton, cell, (params, xs, state), **options)[1]

    mesh = Mesh(np.array(jax.devices()[:2]), ("batch",))
    of_args, over_time = (P(), P(None, "batch"), P("batch")), P(None, "batch")
    sharded = jax.shard_map(
        gradients,
        mesh=mesh,
        in_specs=(*of_args, over_time, (over_time, P("batch"))),
        out_specs=of_args,
    )
    got = jax.jit(sharded)(*args, jnp.asarray(MASK), cotangents)
    oracles.assert_close(got, outcome(scan, cell, args, mask=MASK, reverse=True)[1], 1e-9)


# ---- what it runs ------------------------------------------------------------------------------


class Leaky(cells.RNN):
    """A subclass may step in another way."""


@pytest.mark.parametrize(
    ("cell", "word"),
    [(RNN(H, jnp.tanh), "RNN"), (RNN(H, "softmax"), "softmax"), (Leaky(H), "Leaky")],
    ids=["callable", "not elementwise", "subclass"],
)
def test_what_is_left_to_scan(cell, word):
    assert not supports(cell)
    args = draw(cell)
    with pytest.raises(ValueError, match=rf"engine 'newton' runs.*{word}.*use engine 'scan'"):
        newton(cell, *args)
    with pytest.raises(ValueError, match="engine 'newton' runs"):
        unroll(cell, args[0], jnp.moveaxis(args[1], 0, -2), engine="newton")


@each_cell
def test_what_is_supported(name):
    assert supports(CELLS[name])
    assert supports(cells.by_name(name, H, InitScheme(w_h="identity")), ("h",), jax.random.key(0))


def test_half_precision_is_refused():
    cell = CELLS["gru"]
    args = jax.tree.map(lambda a: a.astype(jnp.bfloat16), draw(cell))
    with pytest.raises(TypeError, match="at least float32, got bfloat16"):
        newton(cell, *args)


@pytest.mark.parametrize("reset_after", [False, True])
def test_params_of_the_other_gru_are_refused(reset_after):
    args = draw(GRU(H, not reset_after))
    with pytest.raises(ValueError, match=rf"reset_after={reset_after} got params .* b_hn"):
        newton(GRU(H, reset_after), *args)


def test_equal_methods_compile_once(monkeypatch):
    traces = []

    def counting(a):
        traces.append(a.shape)
        return jnp.tanh(a)

    monkeypatch.setitem(activations.ACTIVATIONS, "tanh", counting)
    cell = RNN(6)  # no other test's, whose programs are kept
    counts = []
    for seed in range(3):
        trajectory(cell, *draw(cell, seed=seed), method=Newton(max_iterations=20))
        counts.append(len(traces))
    assert counts[0] == counts[1] == counts[2] > 0
    trajectory(cell, *draw(cell), method=Newton(max_iterations=21))
    assert len(traces) > counts[2]


def test_unroll_is_the_same_by_either_engine(x64):
    """Lengths, NaN in the padding, taps, a random s_0: values and all gradients."""
    batch = (2, 2)
    cell = CELLS["lstm"]
    params, xs, state = draw(cell, batch=batch)
    lengths = np.resize([3, 5, 0, 4], batch)
    padded = np.arange(T)[:, None] >= lengths.reshape(-1)
    xs = np.moveaxis(np.where(padded.reshape(T, *batch)[..., None], np.nan, xs), 0, -2)

    def run(engine, params, xs, state):
        return unroll(
            cell,
            params,
            xs,
            lengths=lengths,
            initial_state=state,
            reverse=True,
            taps=("f", "C"),
            engine=engine,
        )

    @partial(jax.jit, static_argnums=0)
    def both(engine):
        results, pull = jax.vjp(partial(run, engine), params, xs, state)
        return results, pull(oracles.random_like(results, 7))

    got, expected = both(Newton(quasi=True)), both("scan")
    oracles.assert_close(got, expected, 1e-9)
    assert not np.asarray(got[1][1])[np.moveaxis(padded.reshape(T, *batch), 0, -1)].any()


def test_unroll_passes_its_options_on(monkeypatch):
    """Each of them changes what comes out, or how: none is dropped."""
    cell = CELLS["gru"]
    params, xs, _ = draw(cell)
    xs = jnp.moveaxis(xs, 0, -2)
    seen = []
    monkeypatch.setattr(
        module,
        "newton",
        lambda *args, method, **options: seen.append(method) or scan(*args, **options),
    )
    method = Newton(damping=0.3, max_iterations=7)
    unroll(cell, params, xs, engine=method)
    assert seen == [method]
    assert ENGINES["newton"] is newton
    with pytest.raises(ValueError, match="unknown engine 'newtn'; did you mean 'newton'"):
        unroll(cell, params, xs, engine="newtn")
