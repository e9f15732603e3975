"""Layer normalization, projection, peepholes: NumPy loops, PyTorch, finite differences, probes."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnnlab import GRU, LSTM, RNN, InitScheme, gradients, unroll
from rnnlab.nn import affine, cells, equations
from rnnlab.nn.layers import as_layer
from rnnlab.nn.params import LSTMParams, LSTMState
from rnnlab.training.regularizers import check_omega
from tests.helpers import oracles
from tests.helpers.sequences import compiled, unrolled

B, T, D, H, P = 3, 6, 4, 5, 2
EXACT = 1e-10  # float64

LSTMS = {
    "-".join(["lstm", *(name for name in options if options[name])]): LSTM(H, **options)
    for options in (
        {"norm": norm, "projection": projection, "peephole": peephole}
        for norm, projection, peephole in itertools.product(
            (None, "layer"), (None, P), (False, True)
        )
    )
    if any(options.values())
}
CELLS = {
    "rnn-norm": RNN(H, norm="layer"),
    "relu-norm": RNN(H, "relu", norm="layer"),
    "gru-norm": GRU(H, norm="layer"),
    "gru-after-norm": GRU(H, reset_after=True, norm="layer"),
    **LSTMS,
}
STEPS = {
    "rnn-norm": functools.partial(oracles.rnn_step, activation="tanh"),
    "relu-norm": functools.partial(oracles.rnn_step, activation="relu"),
    "gru-norm": oracles.gru_step,
    "gru-after-norm": functools.partial(oracles.gru_step, reset_after=True),
    **dict.fromkeys(LSTMS, oracles.lstm_step),
}
every_cell = pytest.mark.parametrize("name", CELLS)
# each option once, alone and together, where every cell would take minutes
SOME = ("rnn-norm", "gru-after-norm", "lstm-projection", "lstm-norm-projection-peephole")
some_cells = pytest.mark.parametrize("name", SOME)


def draw(name, batch=(B,), seed=0):
    """Random params (gains, peepholes and biases too) and a random state of a cell."""
    cell = CELLS[name]
    params = oracles.drawn(lambda: cell.init_params(jax.random.key(0), D), seed)
    return params, oracles.drawn(lambda: cell.initial_state(params, batch), seed + 1)


def random(*shape, seed=5):
    return 0.9 * np.random.default_rng(seed).standard_normal(shape)


# ---- one equation at a time --------------------------------------------------------------------


def test_layer_norm(x64):
    a, g, b = random(B, T, H), random(H, seed=1), random(H, seed=2)
    for bias in (None, b):
        got = compiled(affine.layer_norm, a, g, bias)
        for index in np.ndindex(B, T):
            expected = oracles.layer_norm(a[index], g, 0.0 if bias is None else b)
            np.testing.assert_allclose(got[index], expected, rtol=1e-12)
        their = torch.nn.functional.layer_norm(
            *(torch.tensor(v) if not isinstance(v, tuple) else v for v in (a, (H,), g)),
            bias=None if bias is None else torch.tensor(bias),
        )
        oracles.assert_close(got, their.numpy(), EXACT)


def test_layer_norm_knows_neither_shift_nor_scale(x64):
    a, g = random(B, H), random(H, seed=1)
    one, other = (compiled(affine.layer_norm, seen, g) for seen in (1e3 * a + 7, 1e4 * a))
    np.testing.assert_allclose(one, other, rtol=1e-6)
    flat = np.ones((2, H))  # h_0 = 0 gives such a product

    def norm(a):
        normalized = affine.layer_norm(a, g)
        return normalized.sum(), normalized

    slope, zeros = compiled(jax.grad(norm, has_aux=True), flat)
    np.testing.assert_array_equal(zeros, 0)
    assert np.isfinite(slope).all()


def test_lstm_projection(x64):
    m, W = random(B, H), random(H, P, seed=1)
    expected = [[sum(m[n, k] * W[k, u] for k in range(H)) for u in range(P)] for n in range(B)]
    np.testing.assert_allclose(compiled(equations.lstm_projection, m, W), expected, rtol=1e-12)
    with pytest.raises(ValueError, match=r"lstm_projection: m has shape \(3, 4\).*\(5, 2\)"):
        equations.lstm_projection(m[:, :4], W)


def test_wrong_shapes_of_an_option():
    h, x, W_h, W_x, b = (np.ones(s) for s in ((2, H), (2, D), (H, H), (D, H), (H,)))
    good, bad = np.ones(H), np.ones(1)
    for name in (
        "forget_gate",
        "input_gate",
        "candidate_memory",
        "output_gate",
        "update_gate",
        "reset_gate",
    ):
        gate = getattr(equations, name)
        with pytest.raises(ValueError, match=rf"{name}: gains\.x must end in 5 .* \(1,\)"):
            gate(h, x, W_h, W_x, b, gains=affine.Gains(bad, good))
        with pytest.raises(ValueError, match=rf"{name}: gains\.h must end in 5 .* \(1,\)"):
            gate(h, x, W_h, W_x, b, gains=affine.Gains(good, bad))
    for name in ("forget_gate", "input_gate", "output_gate"):
        for wrong, pair in (("p", (bad, h)), ("C", (good, h[:, :1]))):
            with pytest.raises(ValueError, match=rf"{name}: {wrong} must end in 5 units"):
                getattr(equations, name)(h, x, W_h, W_x, b, peephole=pair)
    for b_hn in (None, good):
        with pytest.raises(ValueError, match=r"candidate_hidden: gains\.h must end in 5"):
            equations.candidate_hidden(h, h, x, W_h, W_x, b, b_hn, affine.Gains(good, bad))
    with pytest.raises(ValueError, match="rnn_hidden: g_h must end in 5"):
        equations.rnn_hidden(h, x, W_h, W_x, b, g_h=bad)
    with pytest.raises(ValueError, match=r"lstm_hidden: .*g_C"):
        equations.lstm_hidden(h, h, bad, good)
    with pytest.raises(ValueError, match=r"lstm_hidden: .*b_C"):
        equations.lstm_hidden(h, h, good, bad)
    with pytest.raises(ValueError, match="layer_norm: b must end in 5"):
        affine.layer_norm(h, good, bad)


# ---- steps and sequences against NumPy loops ---------------------------------------------------


@pytest.mark.parametrize("leading", [(), (2, 3)], ids=str)
@every_cell
def test_a_step(name, leading, x64):
    cell = CELLS[name]
    params, before = draw(name, leading)
    x = random(*leading, D)
    state, y, gates = cell.step(params, before, x)
    got = {**gates._asdict(), **state._asdict()}
    p = oracles.to_numpy(params)
    assert y.shape == (*leading, cell.output_size)
    for index in np.ndindex(leading):
        one = {part: np.asarray(value)[index] for part, value in before._asdict().items()}
        after, values = STEPS[name](p, one, x[index])
        assert set(got) == {*values, *after}
        for part, value in {**values, **after}.items():
            np.testing.assert_allclose(got[part][index], value, rtol=1e-10, err_msg=part)
        np.testing.assert_allclose(y[index], after["h"], rtol=1e-10)


@pytest.mark.parametrize(
    ("name", "reverse"), [*((name, False) for name in CELLS), *((name, True) for name in SOME[1:3])]
)
def test_over_time(name, reverse, x64):
    params, start = draw(name)
    xs, lengths = random(B, T, D), np.array([6, 0, 4])
    options = {"lengths": lengths, "reverse": reverse}
    p, s, x = oracles.to_numpy((params, start._asdict(), xs))
    run = oracles.recurrence(STEPS[name], p, x, s, **options)
    got = unrolled(CELLS[name], params, xs, initial_state=start, taps=tuple(run.taps), **options)
    ys, state, taps = got
    oracles.assert_close((ys, state._asdict(), taps), run, EXACT)


@given(
    name=st.sampled_from(SOME[1::2]),
    shape=st.sampled_from([(1, 5), (2, 1)]),  # a program for each
    data=st.data(),
)
def test_any_shape_and_lengths(name, shape, data):
    batch, steps = shape
    lengths = np.array(data.draw(st.lists(st.integers(0, steps), min_size=batch, max_size=batch)))
    with jax.enable_x64(True):
        params, start = draw(name, (batch,), seed=steps)
        xs = random(batch, steps, D, seed=batch)
        ys, state = unrolled(CELLS[name], params, xs, initial_state=start, lengths=lengths)
        p, s, x = oracles.to_numpy((params, start._asdict(), xs))
        run = oracles.recurrence(STEPS[name], p, x, s, lengths=lengths)
        np.testing.assert_allclose(ys, run.ys, rtol=1e-9, atol=1e-11)
        for part, value in run.state.items():
            np.testing.assert_allclose(getattr(state, part), value, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", ["relu-norm", *SOME[1:]])
def test_all_gradients_by_finite_differences(name, x64):
    # of the NumPy loop, so that the gradient is held against something JAX had no hand in
    cell, eps = CELLS[name], 1e-6
    params, start = draw(name)
    xs, weights = random(B, T, D), random(B, T, cell.output_size, seed=8)

    def ours(params, start, xs):
        ys, state = unroll(cell, params, xs, initial_state=start)
        return (ys * weights).sum() + sum((leaf**2).sum() for leaf in state)

    def theirs(params, start, xs):
        p, s, x = oracles.to_numpy((params, start._asdict(), xs))
        run = oracles.recurrence(STEPS[name], p, x, s)
        return (run.ys * weights).sum() + sum((leaf**2).sum() for leaf in run.state.values())

    at = (params, start, xs)
    gradient = compiled(jax.grad(ours, argnums=(0, 1, 2)), *at)
    leaves, tree = jax.tree.flatten(at)
    for k, (leaf, slope) in enumerate(zip(leaves, jax.tree.leaves(gradient), strict=True)):
        way = np.random.default_rng(k).standard_normal(leaf.shape)
        ends = [
            theirs(*tree.unflatten([*leaves[:k], leaf + s * eps * way, *leaves[k + 1 :]]))
            for s in (1, -1)
        ]
        expected = (ends[0] - ends[1]) / (2 * eps)
        got = float((slope * way).sum())
        assert got == pytest.approx(expected, rel=2e-6, abs=1e-8), f"leaf {k} of {tree}"


@pytest.mark.parametrize("when", [0, 2])
@some_cells
def test_the_cotangent_of_perturb_is_the_total_derivative(name, when, x64):
    # a nudge of C shows in h_t through tanh, the norm, the output gate's peephole, the projection
    cell, eps = CELLS[name], 1e-6
    params, start = draw(name, (1,))
    xs, weights = random(1, 4, D), random(4, cell.output_size, seed=8)

    def ours(nudge):
        state, total = start, 0.0
        for t in range(4):
            state, y, _ = cell.step(params, state, xs[:, t], perturb=nudge if t == when else None)
            total += (y[0] * weights[t]).sum()
        return total

    gradient = jax.grad(ours)(jax.tree.map(jnp.zeros_like, start))
    p, s, x = oracles.to_numpy((params, start._asdict(), xs))

    def theirs(part, vector):
        run = oracles.recurrence(STEPS[name], p, x, s, nudges={when: {part: vector}})
        return (run.ys[0] * weights).sum()

    for part, got in gradient._asdict().items():
        steps = eps * np.eye(got.shape[-1])
        expected = [(theirs(part, e) - theirs(part, -e)) / (2 * eps) for e in steps]
        assert oracles.relative_error(got[0], expected) < 1e-6, part


# ---- PyTorch -----------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
def test_a_projection_is_pytorch_s():
    lengths = [6, 1, 4]
    torch.manual_seed(0)
    their = torch.nn.LSTM(D, H, proj_size=P, batch_first=True)
    weights = {k: v.detach().numpy() for k, v in their.named_parameters()}
    blocks = {}
    for k, letter in enumerate("ifco"):
        rows = slice(k * H, (k + 1) * H)
        blocks[f"W_x{letter}"] = weights["weight_ih_l0"][rows].T
        blocks[f"W_h{letter}"] = weights["weight_hh_l0"][rows].T
        blocks[f"b_{letter}"] = weights["bias_ih_l0"][rows] + weights["bias_hh_l0"][rows]
    params = LSTMParams(**blocks, W_mh=weights["weight_hr_l0"].T)
    xs, h, C = (random(*s).astype(np.float32) for s in ((B, T, D), (B, P), (B, H)))
    g = random(B, T, P, seed=9).astype(np.float32)

    x, h_0, C_0 = (torch.tensor(a, requires_grad=True) for a in (xs, h[None], C[None]))
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, True, enforce_sorted=False)
    out, (h_T, C_T) = their(packed, (h_0, C_0))
    out, _ = torch.nn.utils.rnn.pad_packed_sequence(out, True, total_length=T)
    ((out * torch.tensor(g)).sum() + (h_T**2).sum() + C_T.sum()).backward()

    def loss(params, xs, start):
        ys, state = unroll(
            LSTM(H, projection=P),
            params,
            xs,
            initial_state=start,
            lengths=np.array(lengths),
        )
        return (ys * g).sum() + (state.h**2).sum() + state.C.sum(), (ys, state)

    start = LSTMState(h, C)
    run = jax.value_and_grad(loss, (0, 1, 2), has_aux=True)
    (_, (ys, state)), grads = compiled(run, params, xs, start)
    oracles.assert_close(ys, out.detach().numpy(), 1e-5)
    oracles.assert_close(state, (h_T[0].detach().numpy(), C_T[0].detach().numpy()), 1e-5)
    slopes = {k: v.grad.numpy() for k, v in their.named_parameters()}
    oracles.assert_close(grads[0].W_mh, slopes["weight_hr_l0"].T, 1e-5)
    for k, letter in enumerate("ifco"):
        rows = slice(k * H, (k + 1) * H)
        for block, name in (("W_x", "weight_ih_l0"), ("W_h", "weight_hh_l0")):
            got = getattr(grads[0], f"{block}{letter}")
            oracles.assert_close(got, slopes[name][rows].T, 1e-5)
        oracles.assert_close(getattr(grads[0], f"b_{letter}"), slopes["bias_hh_l0"][rows], 1e-5)
    oracles.assert_close(grads[1], x.grad.numpy(), 1e-5)
    oracles.assert_close(grads[2], (h_0.grad[0].numpy(), C_0.grad[0].numpy()), 1e-5)


# ---- where it starts ---------------------------------------------------------------------------


def test_options_are_drawn_beside_the_others():
    # an option changes no draw of a block that is there without it
    for plain, cell in (
        (RNN(H), CELLS["rnn-norm"]),
        (GRU(H), CELLS["gru-norm"]),
        (LSTM(H), CELLS["lstm-norm-peephole"]),
    ):
        bare = plain.init_params(jax.random.key(3), D)
        full = cell.init_params(jax.random.key(3), D)
        for block, value in bare._asdict().items():
            if value is not None:
                np.testing.assert_array_equal(getattr(full, block), value)


def test_where_the_options_start():
    params = CELLS["lstm-norm-projection-peephole"].init_params(jax.random.key(0), D)
    for p in params.peepholes:
        np.testing.assert_array_equal(p, np.zeros(H))
    for gains in params.norm[:4]:
        np.testing.assert_array_equal(gains, np.ones((2, H)))
    np.testing.assert_array_equal(params.norm.g_C, np.ones(H))
    np.testing.assert_array_equal(params.norm.b_C, np.zeros(H))
    assert params.W_hf.shape == (P, H)
    np.testing.assert_allclose(params.W_mh.T @ params.W_mh, np.eye(P), atol=1e-6)  # orthogonal
    assert CELLS["gru-norm"].init_params(jax.random.key(0), D).norm.h.h.shape == (H,)


def test_a_peephole_at_zero_is_an_lstm_without():
    cell, plain = LSTM(H, peephole=True), LSTM(H)
    params, bare = (c.init_params(jax.random.key(0), D) for c in (cell, plain))
    xs = random(B, T, D).astype(np.float32)

    def ours(params):
        ys = unroll(cell, params, xs)[0]
        return ys.sum(), ys

    slopes, got = compiled(jax.grad(ours, has_aux=True), params)
    slopes, expected = slopes.peepholes, unrolled(plain, bare, xs, engine="scan")[0]
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-7)
    assert all(float(abs(p).min()) > 0 for p in slopes)  # and it learns from there


def test_states_of_a_projection():
    params, _ = draw("lstm-projection")
    for key in (None, jax.random.key(0)):
        state = CELLS["lstm-projection"].initial_state(params, (7,), key)
        assert (state.h.shape, state.C.shape) == ((7, P), (7, H))
    assert as_layer(CELLS["lstm-projection"]).output_size == P


# ---- probes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SOME[1::2])  # norm, peepholes and projection are all in one
def test_adjoint_norms(name, x64):
    cell = CELLS[name]
    params, start = draw(name)
    xs, weights = random(B, T, D), random(B, T, cell.output_size, seed=8)

    def loss(ys):
        return (jnp.sin(ys) * weights).sum()

    def probe(params):
        return gradients.adjoint_norms(cell, params, xs, loss, initial_state=start)

    curve = compiled(probe, params)
    nothing = [jax.tree.map(np.zeros_like, start)] * T

    def walked(nudges):
        state, ys = start, []
        for t in range(T):
            state, y, _ = cell.step(params, state, xs[:, t], perturb=nudges[t])
            ys.append(y)
        return loss(jnp.stack(ys, axis=1))

    slopes = compiled(jax.grad(walked), nothing)
    for part in start._fields:
        expected = [np.linalg.norm(getattr(s, part), axis=-1) for s in slopes]
        np.testing.assert_allclose(
            10 ** np.asarray(curve.norms[part]), np.stack(expected, 1), rtol=1e-8
        )


@pytest.mark.parametrize("name", SOME[1::2])
def test_jacobians(name, x64):
    cell, eps = CELLS[name], 1e-6
    params, start = draw(name, (1,))
    xs = random(1, T, D)
    got = np.asarray(gradients.step_jacobians(cell, params, xs, initial_state=start))[0]
    p, sizes = oracles.to_numpy(params), [leaf.shape[-1] for leaf in start]
    flat = np.concatenate([np.asarray(leaf)[0] for leaf in start])

    def step(flat, x):
        parts = np.split(flat, np.cumsum(sizes)[:-1])
        after, _ = STEPS[name](p, dict(zip(start._fields, parts, strict=True)), np.asarray(x))
        return np.concatenate([after[part] for part in start._fields])

    product = np.eye(len(flat))
    for t in range(T):
        shifts = eps * np.eye(len(flat))
        J = np.stack(
            [(step(flat + e, xs[0, t]) - step(flat - e, xs[0, t])) / (2 * eps) for e in shifts],
            axis=1,
        )
        assert oracles.relative_error(got[t], J) < 1e-6
        product, flat = J @ product, step(flat, xs[0, t])
    values = gradients.jacobian_spectrum(cell, params, xs, [T], initial_state=start)[0, 0]
    expected = np.linalg.svd(product, compute_uv=False)
    np.testing.assert_allclose(10 ** values[:2], expected[:2], rtol=1e-4)
    lyapunov = gradients.lyapunov_exponents(cell, params, xs, 1, initial_state=start)
    assert np.isfinite(lyapunov).all()


def test_saturation_of_a_projection_looks_at_m(x64):
    name = "lstm-projection-peephole"
    params, start = draw(name)
    xs = random(B, T, D)
    got = compiled(lambda p: gradients.saturation(CELLS[name], p, xs, initial_state=start), params)
    p, s, x = oracles.to_numpy((params, start._asdict(), xs))
    taps = oracles.recurrence(oracles.lstm_step, p, x, s).taps
    assert set(got) == {"h", "f", "i", "o"}
    np.testing.assert_allclose(got["h"], (1 - abs(taps["m"])).mean(-1), rtol=1e-9)
    np.testing.assert_allclose(got["f"], np.minimum(taps["f"], 1 - taps["f"]).mean(-1), rtol=1e-9)


# ---- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RNN(H, norm="batch"), r"unknown norm 'batch'.*layer"),
        (lambda: GRU(1, norm="layer"), "hidden_size=1 always gives zero"),
        (lambda: LSTM(H, projection=0), "projection must be a whole number of at least 1, got 0"),
        (lambda: LSTM(H, projection=2.0), r"projection must be a whole number .* got 2\.0"),
        (lambda: LSTM(H, peephole="yes"), "peephole must be True or False, got 'yes'"),
        (lambda: cells.by_name("gru", H, InitScheme(), projection=2), "'projection'.*norm"),
        (lambda: cells.by_name("rnn-relu", H, InitScheme(), peephole=True), "option of cell"),
        (
            lambda: LSTM(H, InitScheme(w_h="sparse(nonzeros=2)"), projection=P).init_params(
                jax.random.key(0), D
            ),
            "square",
        ),
    ],
)
def test_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("cell", "other", "message"),
    [
        (RNN(H), RNN(H, norm="layer"), r"RNN with norm=None got params with g_h"),
        (GRU(H, norm="layer"), GRU(H), r"GRU with norm='layer' got params without norm"),
        (GRU(H), GRU(H, reset_after=True), r"reset_after=False got params with b_hn"),
        (LSTM(H, peephole=True), LSTM(H), r"peephole=True got params without peepholes"),
        (LSTM(H), LSTM(H, projection=P), r"projection=None got params with W_mh"),
        (LSTM(H), LSTM(H, norm="layer"), r"LSTM with norm=None got params with norm"),
    ],
)
def test_params_of_other_options(cell, other, message):
    params = oracles.drawn(lambda: other.init_params(jax.random.key(0), D))
    state = oracles.drawn(lambda: other.initial_state(params, ()))
    with pytest.raises(ValueError, match=message):
        cell.step(params, state, np.ones(D))
    with pytest.raises(ValueError, match="params must be"):
        unroll(cell, params, np.ones((B, T, D), np.float32))


@pytest.mark.parametrize("name", SOME[1:3])
def test_the_fused_engine_leaves_it_to_scan(name):
    cell = CELLS[name]
    params, _ = draw(name)
    xs = random(B, T, D).astype(np.float32)
    with pytest.raises(ValueError, match=r"fused.*options.*use engine 'scan'"):
        unroll(cell, params, xs, engine="fused")
    auto, scan = (unroll(cell, params, xs, engine=engine)[0] for engine in ("auto", "scan"))
    np.testing.assert_array_equal(auto, scan)


def test_omega_is_of_a_plain_network():
    check_omega(as_layer(RNN(H)))
    with pytest.raises(ValueError, match="one simple RNN"):
        check_omega(as_layer(RNN(H, norm="layer")))


def test_options_are_part_of_the_value():
    assert LSTM(H, peephole=True) == LSTM(H, peephole=True) != LSTM(H)
    assert len({*CELLS.values(), RNN(H), GRU(H), LSTM(H)}) == len(CELLS) + 3
    init = InitScheme(b="1.0")
    assert cells.without_init(LSTM(H, init, projection=P)) == LSTM(H, InitScheme(), projection=P)


# ---- where the widths decide -------------------------------------------------------------------


def test_normalized_gates_do_not_saturate_at_any_scale_of_x():
    # what the norm is for: inputs a thousand times larger leave the gates where they are
    cell, plain = LSTM(32, norm="layer"), LSTM(32)
    params, bare = (c.init_params(jax.random.key(0), D) for c in (cell, plain))
    xs = random(B, T, D).astype(np.float32)

    run = jax.jit(gradients.saturation, static_argnums=0)
    for scale in (1.0, 1e3):
        assert float(run(cell, params, scale * xs)["o"].min()) > 0.1
    assert float(run(plain, bare, 1e3 * xs)["o"].max()) < 0.05
