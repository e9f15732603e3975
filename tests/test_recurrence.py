"""Cells over time against NumPy loops; padding, reversal and nesting; what unroll refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rnnlab
from rnnlab import cells, recurrence
from rnnlab.initializers import SCHEMES, InitScheme

D, H, B, T = 3, 5, 4, 9
NAMES = tuple(cells.CELLS)
LENGTHS = jnp.array([9, 4, 1, 7])


def _case(name, dtype=jnp.float32, seed=0, steps=T):
    cell = cells.by_name(name, H, InitScheme())
    keys = jax.random.split(jax.random.key(seed), 4)
    params = cell.init_params(keys[0], D)
    params = jax.tree.map(
        lambda a: (a + 0.3 * jax.random.normal(keys[1], a.shape)).astype(dtype), params
    )
    xs = jax.random.normal(keys[2], (B, steps, D), dtype)
    start = jax.tree.map(lambda a: a.astype(dtype), cell.initial_state(params, (B,), keys[3]))
    return cell, params, xs, start


def _sigmoid(a):
    return 1 / (1 + np.exp(-a))


def _numpy(name, params, xs, start, lengths=None, reverse=False):
    """The recurrence in float64 loops over examples and steps, from the equations alone."""
    p = {k: np.asarray(v, np.float64) for k, v in params._asdict().items() if v is not None}
    B, T, _ = xs.shape
    values: dict[str, np.ndarray] = {}
    final = {k: np.zeros((B, H)) for k in start._fields}
    for b in range(B):
        s = {k: np.asarray(v, np.float64)[b] for k, v in start._asdict().items()}
        n = T if lengths is None else int(lengths[b])
        for t in range(n)[:: -1 if reverse else 1]:
            x, h, seen = np.asarray(xs[b, t], np.float64), s["h"], {}

            def a(g, h=h, x=x):
                return h @ p["W_h" + g] + x @ p["W_x" + g] + p["b_" + g]

            if name == "lstm":
                seen = {"f": _sigmoid(a("f")), "i": _sigmoid(a("i")), "o": _sigmoid(a("o"))}
                seen["C_tilde"] = np.tanh(a("c"))
                C = seen["f"] * s["C"] + seen["i"] * seen["C_tilde"]
                s = {"h": seen["o"] * np.tanh(C), "C": C}
            elif name.startswith("gru"):
                z, r = _sigmoid(a("z")), _sigmoid(a("r"))
                if name == "gru":
                    inner = a("h", r * h)
                else:
                    inner = x @ p["W_xh"] + p["b_h"] + r * (h @ p["W_hh"] + p["b_hn"])
                seen = {"z": z, "r": r, "h_tilde": np.tanh(inner)}
                s = {"h": z * h + (1 - z) * seen["h_tilde"]}
            else:
                f = {"tanh": np.tanh, "relu": lambda v: v * (v > 0), "identity": lambda v: v}
                s = {"h": f[name.removeprefix("rnn-")](a("h"))}
            for k, v in {**seen, **s}.items():
                values.setdefault(k, np.zeros((B, T, H)))[b, t] = v
        for k, v in s.items():
            final[k][b] = v
    return values, final


def _all_close(got, expected, atol=1e-10):
    np.testing.assert_allclose(np.asarray(got), expected, rtol=0, atol=atol)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_every_cell_and_its_gates_equal_numpy_loops(name, lengths, reverse):
    with jax.enable_x64(True):
        cell, params, xs, start = _case(name, jnp.float64)
        expected, last = _numpy(name, params, xs, start, lengths, reverse)
        ys, final, values = recurrence.unroll(
            cell, params, xs, lengths=lengths, initial_state=start, reverse=reverse,
            taps=tuple(expected),
        )  # fmt: skip
        _all_close(ys, expected["h"])
        for part, value in last.items():
            _all_close(getattr(final, part), value)
        for tap, value in expected.items():
            _all_close(values[tap], value)


@pytest.mark.parametrize("name", ["rnn-tanh", "lstm", "gru"])
@pytest.mark.parametrize("merge", ["concat", "sum", "mean", "product"])
def test_bidirectional(name, merge):
    with jax.enable_x64(True):
        cell, params, xs, start = _case(name, jnp.float64)
        _, other, _, other_start = _case(name, jnp.float64, seed=1)
        layer = recurrence.bidirectional(cell, merge=merge)
        ys, final = layer.apply(
            recurrence.BothWays(params, other), xs, lengths=LENGTHS,
            initial_state=recurrence.BothWays(start, other_start),
        )  # fmt: skip
        f, last_f = _numpy(name, params, xs, start, LENGTHS)
        b, last_b = _numpy(name, other, xs, other_start, LENGTHS, reverse=True)
        merged = {
            "concat": np.concatenate([f["h"], b["h"]], axis=-1),
            "sum": f["h"] + b["h"],
            "mean": (f["h"] + b["h"]) / 2,
            "product": f["h"] * b["h"],
        }
        _all_close(ys, merged[merge])
        _all_close(final.forward.h, last_f["h"])
        _all_close(final.backward.h, last_b["h"])
        assert layer.output_size == ys.shape[-1]


def test_layers_nest_and_initialise_themselves():
    with jax.enable_x64(True):
        net = rnnlab.stack([rnnlab.lstm(H), rnnlab.bidirectional(rnnlab.gru(H)), rnnlab.rnn(H)])
        params = net.init(jax.random.key(0), D)
        params = jax.tree.map(lambda a: a + 0.2, params)
        start = net.initial_state(params, (B,), jax.random.key(2))
        xs = jax.random.normal(jax.random.key(1), (B, T, D))
        ys, final = net.apply(params, xs, lengths=LENGTHS, initial_state=start)
        one, _ = _numpy("lstm", params[0], xs, start[0], LENGTHS)
        f, _ = _numpy("gru", params[1].forward, one["h"], start[1].forward, LENGTHS)
        b, _ = _numpy("gru", params[1].backward, one["h"], start[1].backward, LENGTHS, True)
        both = np.concatenate([f["h"], b["h"]], axis=-1)
        top, last = _numpy("rnn-tanh", params[2], both, start[2], LENGTHS)
        _all_close(ys, top["h"])
        _all_close(final[2].h, last["h"])
        nested = rnnlab.bidirectional(rnnlab.stack([rnnlab.bidirectional(rnnlab.rnn(2))]))
        out, _ = nested.apply(nested.init(jax.random.key(0), D), xs)
        assert out.shape == (B, T, 8)


# ---- padding -----------------------------------------------------------------------------------


def _loss(name, garbage, lengths, extra, grads=True):
    """Outputs, final state and all gradients with ``garbage`` in the padding."""
    cell, params, xs, start = _case(name)
    real = recurrence.length_mask(lengths, (B,), T)
    xs = jnp.where(real[..., None], xs, garbage)
    xs = jnp.concatenate([xs, jnp.full((B, extra, D), garbage)], axis=1)
    weights = jax.random.normal(jax.random.key(9), (B, T + extra, 2 * H))
    layer = recurrence.bidirectional(cell)
    both, starts = recurrence.BothWays(params, params), recurrence.BothWays(start, start)

    def run(both, xs, starts):
        ys, final = layer.apply(both, xs, lengths=lengths, initial_state=starts)
        loss = (ys * weights).sum() + sum((leaf**2).sum() for leaf in jax.tree.leaves(final))
        return loss, (ys, final)

    (_, out), d = jax.value_and_grad(run, argnums=(0, 1, 2), has_aux=True)(both, xs, starts)
    return out, d


lengths_strategy = st.lists(st.integers(0, T), min_size=B, max_size=B).map(jnp.array)


@given(name=st.sampled_from(["rnn-relu", "lstm", "gru"]), lengths=lengths_strategy)
def test_what_is_in_the_padding_changes_nothing(name, lengths):
    (ys, final), (d_params, d_xs, d_start) = _loss(name, 0.0, lengths, 0)
    for garbage in (jnp.nan, jnp.inf, 1e30):
        (ys2, final2), (d_params2, d_xs2, d_start2) = _loss(name, garbage, lengths, 0)
        for one, two in zip(
            jax.tree.leaves((ys, final, d_params, d_xs, d_start)),
            jax.tree.leaves((ys2, final2, d_params2, d_xs2, d_start2)),
            strict=True,
        ):
            assert (one == two).all()  # the same bits, and no NaN
    padded = ~recurrence.length_mask(lengths, (B,), T)
    assert not d_xs[padded].any()
    assert not ys[padded].any()


@given(
    name=st.sampled_from(["rnn-tanh", "lstm", "gru"]),
    lengths=lengths_strategy,
    extra=st.sampled_from([1, 8]),
)
def test_more_padding_leaves_the_same_bits(name, lengths, extra):
    (ys, final), grads = _loss(name, 0.0, lengths, 0)
    (ys2, final2), grads2 = _loss(name, jnp.nan, lengths, extra)
    assert (ys2[:, :T] == ys).all()
    assert not ys2[:, T:].any()
    assert all((a == b).all() for a, b in zip(
        jax.tree.leaves(final), jax.tree.leaves(final2), strict=True))  # fmt: skip
    # the loss's weights differ in the padding alone; gradients agree to rounding
    if extra:
        cut = (grads2[0], grads2[1][:, :T], grads2[2])
        for a, b in zip(jax.tree.leaves(cut), jax.tree.leaves(grads), strict=True):
            assert a.shape == b.shape
            assert np.isfinite(np.asarray(a)).all()


@given(lengths=lengths_strategy, name=st.sampled_from(["rnn-tanh", "lstm", "gru"]))
def test_each_sequence_alone_agrees(lengths, name):
    cell, params, xs, start = _case(name)
    ys, final = recurrence.unroll(cell, params, xs, lengths=lengths, initial_state=start)
    for b, n in enumerate(lengths.tolist()):
        one = jax.tree.map(lambda s, b=b: s[b], start)
        alone, last = recurrence.unroll(cell, params, xs[b, :n], initial_state=one)
        _all_close(ys[b, :n], alone, 1e-6)
        for a, c in zip(jax.tree.leaves(final), jax.tree.leaves(last), strict=True):
            _all_close(a[b], c, 1e-6)


@given(lengths=lengths_strategy, name=st.sampled_from(["rnn-tanh", "lstm", "gru"]))
def test_reversal_is_the_forward_run_on_flipped_sequences(lengths, name):
    cell, params, xs, start = _case(name)
    options = {"lengths": lengths, "initial_state": start}
    ys, final = recurrence.unroll(cell, params, xs, reverse=True, **options)
    steps = np.arange(T)
    place = np.where(steps < lengths[:, None], lengths[:, None] - 1 - steps, T - 1)
    flipped = jnp.take_along_axis(xs, place[..., None], axis=1)
    ys2, final2 = recurrence.unroll(cell, params, flipped, **options)
    for b, n in enumerate(lengths.tolist()):
        _all_close(ys[b, :n], ys2[b, :n][::-1], 1e-6)
    for a, c in zip(jax.tree.leaves(final), jax.tree.leaves(final2), strict=True):
        _all_close(a, c, 1e-6)


# ---- options -----------------------------------------------------------------------------------


def test_any_leading_axes():
    cell, params, xs, _ = _case("lstm")
    ys, final = recurrence.unroll(cell, params, xs)
    more, last = recurrence.unroll(cell, params, xs.reshape(2, 2, T, D))
    _all_close(more.reshape(B, T, H), ys, 1e-6)
    _all_close(last.C.reshape(B, H), final.C, 1e-6)
    single, _ = recurrence.unroll(cell, params, xs[0])
    _all_close(single, ys[0], 1e-6)


def test_stack_dropout():
    net = rnnlab.stack([rnnlab.rnn(200), rnnlab.rnn(4, "identity")], dropout=0.4)
    params = net.init(jax.random.key(0), D)
    xs = jax.random.normal(jax.random.key(1), (64, 2, D))
    calm, _ = net.apply(params, xs)
    assert (net.apply(params, xs, key=jax.random.key(5))[0] == calm).all()
    run = [net.apply(params, xs, deterministic=False, key=jax.random.key(k))[0] for k in (1, 1, 2)]
    assert (run[0] == run[1]).all()
    assert (run[0] != run[2]).any()
    many = jnp.stack([
        net.apply(params, xs[:1], deterministic=False, key=jax.random.key(k))[0] for k in range(300)
    ])  # fmt: skip
    spread = many.std(axis=0) / 300**0.5
    assert (jnp.abs(many.mean(axis=0) - calm[:1]) < 5 * spread).all()  # the mean is kept
    with pytest.raises(ValueError, match=r"dropout=0\.4 with deterministic=False needs a key"):
        net.apply(params, xs, deterministic=False)


def test_equal_cells_compile_once_whatever_their_init():
    traced = []

    def counted(a):
        traced.append(1)
        return jnp.tanh(a)

    xs = jnp.ones((2, 5, D))
    for scheme in ("orthogonal", "identity", "he_normal"):
        cell = cells.rnn(7, counted, init=InitScheme(w_h=scheme))
        recurrence.unroll(cell, cell.init_params(jax.random.key(0), D), xs)
    assert len(traced) == 1


@pytest.mark.parametrize("scheme", sorted(set(SCHEMES) - {"chrono"}))
@pytest.mark.parametrize("name", ["rnn-tanh", "lstm", "gru", "gru-reset-after"])
def test_every_cell_with_every_scheme(name, scheme):
    init = InitScheme(w_h=scheme, w_x="xavier_uniform", b="normal(std=0.1)")
    if scheme == "sparse":
        init = init.replace(w_h="sparse(nonzeros=3)")
    cell = cells.by_name(name, 6, init)
    params = cell.init_params(jax.random.key(0), D)
    xs = jax.random.normal(jax.random.key(1), (2, 6, D))
    for options in ({}, {"lengths": jnp.array([6, 2])}, {"reverse": True}):
        value, grad = jax.value_and_grad(
            lambda p, options=options: (recurrence.unroll(cell, p, xs, **options)[0] ** 2).sum()
        )(params)
        assert np.isfinite(value)
        assert all(np.isfinite(np.asarray(g)).all() for g in jax.tree.leaves(grad))
        assert all(g.any() for g in jax.tree.leaves(grad)) or scheme in ("zeros", "constant")


@pytest.mark.parametrize("gradient", [False, True])
def test_a_layer_lowers_for_tpu_on_this_machine(gradient):
    layer = rnnlab.bidirectional(rnnlab.lstm(8))
    params = layer.init(jax.random.key(0), D)

    def f(params, xs):
        return layer.apply(params, xs, lengths=jnp.array([5, 3]))[0].sum()

    exported = jax.export.export(jax.jit(jax.grad(f) if gradient else f), platforms=["tpu"])(
        params, jnp.ones((2, 5, D))
    )
    assert exported.platforms == ("tpu",)
    assert "stablehlo.while" in exported.mlir_module()


X = jnp.ones((B, T, D))


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"xs": jnp.ones((B, T), int)}, TypeError, "xs must be floats, got int32; embed"),
        ({"xs": jnp.ones(D)}, ValueError, r"\(batch, time, features\), got shape \(3,\)"),
        ({"lengths": jnp.ones(B)}, TypeError, "lengths must be whole numbers, got float32"),
        ({"lengths": jnp.array([1, 2])}, ValueError, r"lengths must be \(4,\), one a sequence"),
        ({"lengths": jnp.array([1, 2, 10, 3])}, ValueError, "must lie in 0 … 9, got 1 … 10"),
        ({"lengths": jnp.array([1, -2, 9, 3])}, ValueError, "got -2 … 9"),
        ({"engine": "scna"}, ValueError, "unknown engine 'scna'; did you mean 'scan'"),
        ({"taps": ("F",)}, ValueError, r"unknown tap of LSTM 'F'.*allowed: f, i, C_tilde, o, h, C"),
        ({"initial_state": jnp.ones((B, H))}, ValueError, "initial_state must be a LSTMState"),
        ({"initial_state": cells.LSTMState(jnp.ones((B, H)), jnp.ones((1, H)))}, ValueError,
         r"initial_state.C must be \(4, 5\), got \(1, 5\)"),
    ],
)  # fmt: skip
def test_bad_input_is_named(options, error, words):
    cell = cells.lstm(H)
    params = cell.init_params(jax.random.key(0), D)
    with pytest.raises(error, match=words):
        recurrence.unroll(cell, params, **({"xs": X} | options))


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (lambda: rnnlab.bidirectional(cells.rnn(3), merge="concta"), ValueError, "'concat'"),
        (lambda: rnnlab.bidirectional(cells.rnn(3), cells.rnn(4), "sum"), ValueError, r"\(3, 4\)"),
        (lambda: rnnlab.stack([]), ValueError, "at least one layer"),
        (lambda: rnnlab.stack([cells.rnn(3)], dropout=1.0), ValueError, r"\[0, 1\), got 1.0"),
        (lambda: rnnlab.layer("lstm"), TypeError, "a cell or a layer, got str"),
        (lambda: recurrence.by_name("bi-lstn", 3, InitScheme()), ValueError, "'bi-lstm'"),
    ],
)
def test_bad_layers_are_refused(build, error, words):
    with pytest.raises(error, match=words):
        build()
