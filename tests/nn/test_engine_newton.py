"""The engine that is parallel in time against the definition: values, gradients, fallback."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from rnnlab import GRU, LSTM, RNN, InitScheme, gradients, unroll
from rnnlab.gradients.newton_forecast import iterations_for_exponent
from rnnlab.nn import activations, cells
from rnnlab.nn.engines import newton as module
from rnnlab.nn.engines.newton import Newton, newton, supports, trajectory
from rnnlab.nn.engines.scan import scan
from rnnlab.nn.params import HiddenState
from rnnlab.nn.unroll import ENGINES
from tests.helpers import oracles

T, B, H = 9, 4, 3
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
METHODS = {
    "newton": Newton(),
    "quasi": Newton(quasi=True),
    "damped": Newton(damping=0.4),
    "picard": Newton(damping=1.0),
}

each_cell = pytest.mark.parametrize("name", CELLS)
each_kind = pytest.mark.parametrize("name", ["rnn-tanh", "lstm", "gru", "gru-reset-after"])
ragged = pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "ragged"])


def mask_of(lengths, steps=T):
    return None if lengths is None else jnp.arange(steps)[:, None] < jnp.asarray(lengths)


def draw(cell, input_size=2, batch=(B,), steps=T, seed=0, scale=0.5):
    """(params, xs, s_0): random, no entry zero."""
    params = cell.init_params(jax.random.key(0), input_size)
    state = cell.initial_state(params, batch)
    example = (params, jnp.zeros((steps, *batch, input_size), params[0].dtype), state)
    return oracles.random_like(example, seed, scale)


def contracting(cell, params, size=0.6):
    """The same, each recurrent kernel with the spectral norm ``size``: every λ is below 0."""
    names = [name for name in params._fields if name.startswith("W_h")]
    norms = {name: jnp.linalg.norm(getattr(params, name), 2) for name in names}
    return params._replace(**{n: size * getattr(params, n) / norms[n] for n in names})


@partial(jax.jit, static_argnames=("engine", "cell", "reverse", "taps"))
def outcome(engine, cell, params, xs, state, mask=None, reverse=False, taps=()):
    """(ys, final state, taps) and the gradients of params, xs and s_0 by random cotangents."""

    def run(params, xs, state):
        return engine(cell, params, xs, state, mask=mask, reverse=reverse, taps=taps)

    results, pull = jax.vjp(run, params, xs, state)
    return results, pull(oracles.random_like(results, 7))


def check(cell, args, bound, method=None, **options):
    engine = newton if method is None else method
    got, expected = (outcome(e, cell, *args, **options) for e in (engine, scan))
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    oracles.assert_close(got, expected, bound)


# ---- the definition ----------------------------------------------------------------------------


@ragged
@each_cell
def test_equals_scan(name, lengths, x64):
    cell = CELLS[name]
    args = draw(cell)
    method = Newton(quasi=lengths is not None)
    assert trajectory(cell, *args, mask=mask_of(lengths), method=method).converged
    check(cell, args, 1e-9, method, mask=mask_of(lengths), reverse=lengths is not None)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_every_method_and_taps(name, method, x64):
    cell = CELLS[name]
    params, xs, state = draw(cell)
    args = contracting(cell, params), xs, state
    assert trajectory(cell, *args, method=METHODS[method]).converged
    taps = ("h", "f", "C") if name == "lstm" else ("z", "h_tilde", "h")
    check(cell, args, 1e-9, METHODS[method], taps=taps, mask=mask_of(LENGTHS))


@settings(max_examples=8)
@given(
    name=st.sampled_from(sorted(CELLS)),
    steps=st.sampled_from([2, 3, 13]),
    batch=st.sampled_from([(), (1,), (2, 2)]),
    hidden=st.integers(1, 4),
    double=st.booleans(),
    reverse=st.booleans(),
    seed=st.integers(0, 2**16),
    data=st.data(),
)
def test_equals_scan_whatever_the_shape(name, steps, batch, hidden, double, reverse, seed, data):
    """The project's bars, where the top Lyapunov exponent is below 0."""
    with jax.enable_x64(double):
        init = CELLS[name].init
        cell = cells.by_name(name, hidden, init)
        params, xs, state = draw(cell, 2, batch, steps, seed)
        args = contracting(cell, params), xs, state
        lengths = data.draw(
            st.none()
            | st.lists(
                st.integers(1, steps), min_size=int(np.prod(batch)), max_size=int(np.prod(batch))
            )
        )
        mask = lengths
        if lengths is not None:
            mask = jnp.arange(steps).reshape(-1, *[1] * len(batch)) < jnp.reshape(
                jnp.array(lengths), batch
            )
        check(cell, args, 1e-9 if double else 1e-5, mask=mask, reverse=reverse)


@pytest.mark.parametrize("steps", [0, 1])
@each_kind
def test_few_steps(name, steps, x64):
    cell = CELLS[name]
    args = draw(cell, steps=steps)
    got, expected = (outcome(engine, cell, *args, reverse=True) for engine in (newton, scan))
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@each_kind
def test_equals_differences_of_the_equations_in_numpy(name, x64):
    """A third oracle: loops in NumPy, each leaf moved a little along a direction of its own."""
    cell = CELLS[name]
    args = draw(cell)
    rng = np.random.default_rng(5)
    real = np.asarray(mask_of(LENGTHS))
    to_ys = rng.standard_normal((T, B, H)) * real[..., None]
    to_final = {part: rng.standard_normal((B, H)) for part in args[2]._fields}

    def loss(args):
        ys, final, _ = newton(cell, *args, mask=mask_of(LENGTHS), reverse=True)
        return (ys * to_ys).sum() + sum((final._asdict()[k] * v).sum() for k, v in to_final.items())

    def by_hand(leaves):
        params, xs, state = jax.tree.unflatten(jax.tree.structure(args), leaves)
        ran = oracles.recurrence(
            oracles.STEPS[name],
            params,
            np.moveaxis(xs, 0, 1),
            state._asdict(),
            lengths=LENGTHS,
            reverse=True,
        )
        of_final = sum((ran.state[k] * v).sum() for k, v in to_final.items())
        return (np.moveaxis(ran.ys, 1, 0) * to_ys).sum() + of_final

    value, gradient = jax.jit(jax.value_and_grad(loss))(args)
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(args)]
    assert abs(value - by_hand(leaves)) < 1e-10 * abs(value)
    for place, of_leaf in enumerate(jax.tree.leaves(gradient)):
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

    expected = jax.vmap(jax.jacfwd(step))(flat, xs[0])
    options = cell, params, flat[None], xs[:1], None
    oracles.assert_close(module._jacobians(*options, False)[0], expected, 1e-12)
    diagonal = jnp.diagonal(expected, axis1=1, axis2=2)
    oracles.assert_close(module._jacobians(*options, True)[0], diagonal, 1e-12)


# ---- iterations --------------------------------------------------------------------------------


def test_a_linear_cell_takes_one_correction_and_one_to_see_it(x64):
    cell = CELLS["rnn-identity"]
    params, xs, state = draw(cell)
    found = trajectory(cell, contracting(cell, params), xs, state)
    assert (int(found.iterations), bool(found.converged)) == (2, True)


@pytest.mark.parametrize("steps", [1, 2, 5, 8])
def test_steps_made_anew_are_right_one_more_each_time(steps, x64):
    """Damping 1 is s ← step(s): T corrections and one that changes nothing."""
    cell = CELLS["rnn-tanh"]
    found = trajectory(cell, *draw(cell, steps=steps), method=Newton(damping=1.0))
    assert (int(found.iterations), bool(found.converged)) == (steps + 1, True)


@each_kind
def test_warm_start(name):
    """From the very trajectory one look is enough; after a small step of the parameters, few."""
    cell = CELLS[name]
    args = draw(cell, steps=40, scale=1.0)
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


def chaotic(steps):
    """(cell, params, xs, s_0); σ_w = 3."""
    cell = RNN(16, init=InitScheme(w_h="normal(std=0.75)"))
    params = cell.init_params(jax.random.key(300), 1)
    xs = 0.3 * jax.random.normal(jax.random.key(5), (steps, 1))
    return RNN(16), params, xs, cell.initial_state(params, (), jax.random.key(6))


def test_chaos_falls_back_to_scan(x64):
    cell, *args = chaotic(50)
    assert gradients.lyapunov_exponents(cell, args[0], args[1], 1, initial_state=args[2]) > 0.05
    method = Newton(max_iterations=12)
    found = trajectory(cell, *args, method=method)
    assert (int(found.iterations), bool(found.converged)) == (12, False)
    check(cell, args, 1e-9, method, taps=("h",))
    # with as many as there are steps it gets there by itself
    assert trajectory(cell, *args, method=Newton(max_iterations=51)).converged


def test_products_that_overflow(x64):
    """10^400 is no float64, but no state is that large, and no adjoint."""
    cell = RNN(2)
    params, xs, state = draw(cell, steps=400, batch=())
    params = params._replace(W_hh=1e3 * jnp.array([[0.0, 1.0], [-1.0, 0.0]]), b_h=params.b_h)
    args = params, xs * 1e-3, state
    found = trajectory(cell, *args, method=Newton(max_iterations=5))
    assert not found.converged
    got, expected = Newton(max_iterations=5)(cell, *args), scan(cell, *args)
    oracles.assert_close(got[:2], expected[:2], 1e-12)
    A = jnp.full((400, 1, 1), 10.0).at[-1].set(0.0)
    b = jnp.zeros((400, 1)).at[-2:].set(1.0)
    d = module._recurrence(A, b, parallel=jnp.array(True))
    np.testing.assert_array_equal(d, b)  # 0·inf is not handed on


@pytest.mark.parametrize("where", ["params", "xs"])
def test_what_is_not_finite_comes_out_as_from_scan(where):
    cell = CELLS["lstm"]
    params, xs, state = draw(cell)
    if where == "params":
        params = params._replace(W_hf=params.W_hf.at[0, 0].set(jnp.nan))
    else:
        xs = xs.at[4, 1, 0].set(jnp.nan)
    assert not trajectory(cell, params, xs, state).converged
    for a, b in zip(
        newton(cell, params, xs, state)[1], scan(cell, params, xs, state)[1], strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert np.isnan(newton(cell, params, xs, state)[1].h[1]).any()


def test_size_is_of_a_sequence_and_a_part():
    """A small h beside a large C, a small sequence beside a large one: each by its own measure."""
    states = jnp.array([[[1.0, 100.0], [0.01, 1.0]], [[0.5, 50.0], [0.01, 1.0]]])  # (T, B, parts)
    delta = jnp.zeros_like(states)
    assert module._log_size(delta, states, 2) == -jnp.inf
    for place, share in (((0, 0, 0), 1), ((0, 0, 1), 100), ((1, 1, 0), 0.01)):
        size = module._log_size(delta.at[place].set(1e-3), states, 2)
        np.testing.assert_allclose(size, np.log(1e-3 / share), rtol=1e-5)
    assert np.isnan(module._log_size(delta.at[0].set(jnp.nan), states, 2))


def test_what_is_left_is_the_tail_of_the_series():
    """Corrections of 3·q^k: after number 5, Σ_{k>5} 3·q^k."""
    q, size = 0.4, np.log(3.0)
    left = module._log_left(jnp.float32(size + 5 * np.log(q)), jnp.float32(size), jnp.int32(5))
    np.testing.assert_allclose(np.exp(left), 3 * q**6 / (1 - q), rtol=1e-5)
    assert np.isnan(module._log_left(jnp.float32(1.0), jnp.float32(0.0), jnp.int32(3)))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"damping": 1.1}, "damping must lie in 0 … 1, got 1.1"),
        ({"tolerance": 0.0}, "tolerance must be positive, got 0.0"),
        ({"max_iterations": 0}, "max_iterations must be at least 1, got 0"),
    ],
)
def test_bad_options(options, words):
    with pytest.raises(ValueError, match=words):
        Newton(**options)


def test_a_tighter_tolerance_takes_more(x64):
    cell = CELLS["gru"]
    args = draw(cell, steps=40, scale=1.0)
    counts = [
        int(trajectory(cell, *args, method=Newton(quasi=True, tolerance=t)).iterations)
        for t in (1e-3, 1e-6, 1e-12)
    ]
    assert counts == sorted(set(counts))


# ---- derivatives and transformations -----------------------------------------------------------


def loss(engine, cell, mask, args):
    ys, final, _ = engine(cell, *args, mask=mask)
    return jnp.sin(3 * ys).sum() + sum((part**2).sum() for part in final)


@each_kind
def test_second_derivatives(name, x64):
    """Reverse over reverse and forward over reverse."""
    cell = CELLS[name]
    args = draw(cell, steps=4)
    directions = oracles.random_like(args, 8)

    @partial(jax.jit, static_argnums=0)
    def second(engine):
        gradient = jax.grad(partial(loss, engine, cell, None))

        def penalty(args):
            return sum((leaf**2).sum() for leaf in jax.tree.leaves(gradient(args)))

        return jax.grad(penalty)(args), jax.jvp(gradient, (args,), (directions,))[1]

    oracles.assert_close(second(newton), second(scan), 1e-9)


@each_kind
def test_forward_mode(name, x64):
    cell = CELLS[name]
    args = draw(cell)
    directions = oracles.random_like(args, 8)
    got, expected = (
        jax.jvp(lambda *args: e(cell, *args, mask=mask_of(LENGTHS))[:2], args, directions)  # noqa: B023
        for e in (newton, scan)
    )
    oracles.assert_close(got, expected, 1e-9)


@pytest.mark.parametrize("mapping", ["vmap", "map"])
def test_members(mapping, x64):
    """Each as alone, its count too, though one of them is chaotic and falls back."""
    cell, *wild = chaotic(40)
    tame = [wild[0]._replace(W_hh=wild[0].W_hh / 20), *wild[1:]]
    members = jax.tree.map(lambda *leaves: jnp.stack(leaves), tame, wild, tame)
    method = Newton(max_iterations=10)

    def one(args):
        found = trajectory(cell, *args, method=method)
        return outcome(method, cell, *args), found.iterations, found.converged

    got, counts, converged = (
        jax.vmap(one)(members) if mapping == "vmap" else jax.lax.map(one, members)
    )
    assert converged.tolist() == [True, False, True]
    assert counts[1] == 10
    assert counts[0] == counts[2] < 10
    for n, args in enumerate((tame, wild)):
        own = jax.tree.map(lambda leaf, n=n: leaf[n], got)
        oracles.assert_close(own, outcome(scan, cell, *args), 1e-9)


@each_kind
def test_gradient_inside_shard_map(name, x64):
    """The batch over two devices, the parameters on both: their gradients are summed over them."""
    cell, mask = CELLS[name], mask_of(LENGTHS)
    args = draw(cell)

    def gradient(engine, params, xs, state, mask):
        def of(*args):
            return jnp.sin(engine(cell, *args, mask=mask)[0]).sum()

        return jax.grad(of, (0, 1, 2))(params, xs, state)

    mesh = Mesh(np.array(jax.devices()[:2]), ("batch",))
    specs = (P(), P(None, "batch"), P("batch"))
    sharded = jax.shard_map(
        partial(gradient, newton), mesh=mesh, in_specs=(*specs, P(None, "batch")), out_specs=specs
    )
    oracles.assert_close(jax.jit(sharded)(*args, mask), gradient(scan, *args, mask), 1e-9)


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
    for seed in range(3):
        newton(cell, *draw(cell, seed=seed), method=Newton(max_iterations=20))
        before = len(traces) if seed == 0 else before  # noqa: F821
    assert len(traces) == before > 0
    newton(cell, *draw(cell), method=Newton(max_iterations=21))
    assert len(traces) > before


@pytest.mark.parametrize("batch", [(), (2, 2)], ids=str)
@pytest.mark.parametrize("engine", ["newton", Newton(quasi=True)], ids=["name", "object"])
def test_unroll(engine, batch, x64):
    """Lengths, NaN in the padding, taps, a random s_0: values and all gradients."""
    cell = CELLS["lstm"]
    params, xs, state = draw(cell, batch=batch)
    lengths = np.resize([4, 9, 0, 6], batch)
    padded = np.arange(T)[:, None] >= lengths.reshape(-1)
    xs = jnp.moveaxis(jnp.where(padded.reshape(T, *batch)[..., None], jnp.nan, xs), 0, -2)

    def run(engine, params, xs, state):
        return unroll(
            cell,
            params,
            xs,
            lengths=lengths,
            initial_state=state,
            reverse=batch != (),
            taps=("f", "C"),
            engine=engine,
        )

    def both(engine):
        results, pull = jax.vjp(partial(run, engine), params, xs, state)
        return results, pull(oracles.random_like(results, 7))

    got, expected = both(engine), both("scan")
    oracles.assert_close(got, expected, 1e-9)
    assert not np.asarray(got[1][1])[np.moveaxis(padded.reshape(T, *batch), 0, -1)].any()


def test_unroll_hands_its_options_on(monkeypatch):
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


# ---- the prediction ----------------------------------------------------------------------------


def counted_by_hand(exponent, steps, tolerance=2.4e-5, error=0.5, curvature=4 / 9):
    v, k = [error**2] * steps, 1
    while max(v) > tolerance**2:
        new, before = [], 0.0
        for t in range(steps):
            missed = curvature * (v[t - 1] if t else 0.0) ** 2
            before = min(np.exp(2 * exponent) * before + missed, error**2)
            new.append(before)
        v, k = new, k + 1
    return k


@pytest.mark.parametrize("exponent", [-2.0, -0.3, -0.04, 0.0, 0.1])
@pytest.mark.parametrize(
    "options", [{}, {"tolerance": 3.7e-11}, {"error": 0.3, "curvature": 0.8}], ids=str
)
def test_the_prediction_is_its_recursion(exponent, options):
    assert iterations_for_exponent(exponent, 60, **options) == counted_by_hand(
        exponent, 60, **options
    )


def test_limits_of_the_prediction():
    assert iterations_for_exponent(-3.0, 10) == iterations_for_exponent(-3.0, 10_000)
    assert iterations_for_exponent(50.0, 1) == 2
    for steps in (50, 100):
        counts = [iterations_for_exponent(x, steps) for x in (-1.0, -0.1, 0.0, 0.3, 2.0, 50.0)]
        assert counts == sorted(counts)
        assert counts[-1] <= steps + 1
    # in the basin each correction squares: 2^k of what is left in decades
    counts = [iterations_for_exponent(-1.0, 100, tolerance=t) for t in (1e-4, 1e-8, 1e-16)]
    assert np.diff(counts).tolist() == [1, 1]


def test_the_prediction_of_a_cell_is_that_of_its_exponent():
    cell = RNN(4, "identity", init=InitScheme(w_h="orthogonal(gain=0.7)"))
    params = cell.init_params(jax.random.key(0), 1)
    xs = jnp.zeros((2, 30, 1))
    got = gradients.newton_iterations(cell, params, xs, 500)
    assert got.tolist() == [iterations_for_exponent(np.log(0.7), 500)] * 2
    one = gradients.newton_iterations(cell, params, xs[0], tolerance=1e-2)
    assert one.shape == ()
    assert one == iterations_for_exponent(np.log(0.7), 30, tolerance=1e-2)


@pytest.mark.parametrize(
    ("args", "options", "words"),
    [
        ((0.1, 0), {}, "steps must be at least 1, got 0"),
        ((float("nan"), 3), {}, "exponent must be finite"),
        ((0.1, 3), {"tolerance": 0.0}, "must be positive"),
    ],
)
def test_bad_predictions(args, options, words):
    with pytest.raises(ValueError, match=words):
        iterations_for_exponent(*args, **options)
