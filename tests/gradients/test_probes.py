"""The probes against float64, against brute force, and where float32 ends."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnnlab
from rnnlab import gradients, theory
from rnnlab.nn import cells, layers, unroll
from rnnlab.nn.initializers import InitScheme
from tests.helpers import oracles

D, H, B, T = 3, 6, 4, 20
NAMES = tuple(cells.CELLS)
LENGTHS = jnp.array([20, 7, 1, 13])


def _case(name, steps=T, dtype=jnp.float32):
    cell = cells.by_name(name, H, InitScheme(w_h="orthogonal(gain=0.9)"))
    keys = jax.random.split(jax.random.key(0), 5)
    params = cell.init_params(keys[0], D)
    params = jax.tree.map(
        lambda a: (a + 0.1 * jax.random.normal(keys[1], a.shape)).astype(dtype), params
    )
    xs = jax.random.normal(keys[2], (B, steps, D), dtype)
    start = jax.tree.map(lambda a: a.astype(dtype), cell.initial_state(params, (B,), keys[3]))
    weights = jax.random.normal(keys[4], (B, steps, H), dtype)
    return cell, params, xs, start, weights


def _brute_force(cell, params, xs, start, loss, lengths=None, reverse=False):
    """∂L/∂(part made at t) by autodiff through additions of zero at every step, in float64."""
    with jax.enable_x64(True):
        params, xs, start = jax.tree.map(
            lambda a: jnp.asarray(np.asarray(a, np.float64)), (params, xs, start)
        )
        steps = xs.shape[1]

        def total(nudges):
            state, ys = start, [jnp.zeros((B, H))] * steps
            for t in range(steps)[:: -1 if reverse else 1]:
                nudge = jax.tree.map(lambda n, t=t: n[t], nudges)
                new, y, _ = cell.step(params, state, xs[:, t], perturb=nudge)
                keep = jnp.full((B, 1), True) if lengths is None else (t < lengths)[:, None]
                state = jax.tree.map(lambda n, o, k=keep: jnp.where(k, n, o), new, state)
                ys[t] = jnp.where(keep, y, 0.0)
            return loss(jnp.stack(ys, axis=1))

        nudges = jax.tree.map(lambda s: jnp.zeros((steps, *s.shape)), start)
        grads = jax.grad(total)(nudges)
        with np.errstate(divide="ignore"):
            return {
                part: np.log10(np.linalg.norm(np.asarray(g), axis=-1)).T
                for part, g in grads._asdict().items()
            }


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
def test_adjoints_equal_float64_for_losses_at_every_step(name, reverse, lengths):
    cell, params, xs, start, weights = _case(name)

    def loss(ys):
        return (jnp.sin(ys) * weights.astype(ys.dtype)).sum()

    expected = _brute_force(cell, params, xs, start, loss, lengths, reverse)
    for chunk in (None, 1, 6, 20):
        curve = gradients.adjoint_norms(
            cell,
            params,
            xs,
            loss,
            lengths=lengths,
            initial_state=start,
            reverse=reverse,
            chunk=chunk,
        )
        assert (curve.overflow_at == -1).all()
        for part, want in expected.items():
            got = np.asarray(getattr(curve, part))
            assert (np.isneginf(got) == np.isneginf(want)).all()
            np.testing.assert_allclose(got[np.isfinite(want)], want[np.isfinite(want)], atol=1e-4)


@pytest.mark.parametrize("name", ["rnn-tanh", "lstm", "gru"])
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
def test_norms_beside_the_gradient(name, reverse, lengths):
    """Of one pass by the fused engine: the probe's norms, autodiff's value and gradient."""
    cell, params, xs, start, weights = _case(name)
    options = {"lengths": lengths, "initial_state": start, "reverse": reverse}

    def loss(ys):
        return (jnp.sin(ys) * weights).sum()

    def whole(params):
        return loss(unroll.unroll(cell, params, xs, engine="scan", **options)[0])

    expected = gradients.adjoint_norms(cell, params, xs, loss, **options)
    value, grads, curve = jax.jit(
        lambda params: gradients.value_grad_and_norms(cell, params, xs, loss, **options)
    )(params)
    oracles.assert_close((value, grads), jax.value_and_grad(whole)(params), 1e-5)
    assert curve.norms.keys() == expected.norms.keys()
    np.testing.assert_array_equal(curve.overflow_at, expected.overflow_at)
    for part, want in expected.norms.items():
        assert (np.isneginf(want) == np.isneginf(curve.norms[part])).all()
        real = np.isfinite(want)
        np.testing.assert_allclose(curve.norms[part][real], want[real], atol=1e-4)


@pytest.mark.parametrize("reverse", [False, True])
def test_where_outputs_overflow(reverse):
    cell = rnnlab.RNN(2, "identity", init=InitScheme(w_h="identity(gain=1e10)"))
    params = cell.init_params(jax.random.key(0), 1)
    xs = jnp.ones((1, 9, 1))
    curve = gradients.value_grad_and_norms(
        cell, params, xs, lambda ys: ys[0, 0, 0], reverse=reverse
    )[2]
    expected = gradients.adjoint_norms(cell, params, xs, lambda ys: ys[0, 0, 0], reverse=reverse)
    assert curve.overflow_at == expected.overflow_at != -1


@pytest.mark.parametrize("merge", ["concat", "product"])
def test_both_directions(merge):
    cell, params, xs, start, _ = _case("lstm")
    _, other, *_ = _case("lstm")
    other = jax.tree.map(lambda a: a * 0.9, other)
    layer = layers.Bidirectional(cell, merge=merge)
    both, starts = layers.BothWays(params, other), layers.BothWays(start, start)
    ys_f, _ = unroll.unroll(cell, params, xs, initial_state=start, lengths=LENGTHS)
    ys_b, _ = unroll.unroll(cell, other, xs, initial_state=start, lengths=LENGTHS, reverse=True)
    join = layers.MERGES[merge]

    def loss(ys):
        return (ys[:, 3] ** 2).sum() + jnp.cos(ys).sum()

    curves = gradients.adjoint_norms(layer, both, xs, loss, lengths=LENGTHS, initial_state=starts)
    for curve, p, reverse, own in (
        (curves.forward, params, False, lambda ys: loss(join(ys, ys_b.astype(ys.dtype)))),
        (curves.backward, other, True, lambda ys: loss(join(ys_f.astype(ys.dtype), ys))),
    ):
        with jax.numpy_dtype_promotion("standard"):
            want = _brute_force(cell, p, xs, start, own, LENGTHS, reverse)
        for part in "hC":
            finite = np.isfinite(want[part])
            np.testing.assert_allclose(
                np.asarray(getattr(curve, part))[finite], want[part][finite], atol=1e-4
            )


@pytest.mark.parametrize("seed", range(3))
def test_far_below_float32_as_the_float64_product_has_it(seed):
    cell = rnnlab.RNN(128, "identity", init=InitScheme(w_h="normal(std=0.01)"))
    params = cell.init_params(jax.random.key(seed), 1)
    g = jax.random.normal(jax.random.key(9), (128,))
    curve = gradients.adjoint_norms(cell, params, jnp.zeros((1, 101, 1)), lambda ys: ys[0, -1] @ g)
    W, a = np.asarray(params.W_hh, np.float64), np.asarray(g, np.float64)
    for _ in range(100):  # 1e-93 is well inside float64
        a = a @ W.T
    assert curve.h[0, 0] == pytest.approx(np.log10(np.linalg.norm(a)), abs=0.01)
    assert float(curve.h[0, 0] - curve.h[0, -1]) == pytest.approx(-93.5, abs=4)
    lags = np.arange(101)
    exact = theory.linear_adjoint_log10(W, np.asarray(g), lags)
    np.testing.assert_allclose(np.asarray(curve.h[0, ::-1]), exact, atol=1e-3)


@pytest.mark.parametrize("gain", [1e-3, 0.9, 10.0])
def test_scaled_orthogonal_gives_exact_powers_at_any_length(gain):
    cell = rnnlab.RNN(8, "identity", init=InitScheme(w_h=f"orthogonal(gain={gain})"))
    params = cell.init_params(jax.random.key(0), 1)
    curve = gradients.adjoint_norms(
        cell, params, jnp.zeros((2, 1001, 1)), lambda ys: ys[:, -1].sum()
    )
    left = np.asarray(curve.h[:, ::-1] - curve.h[:, -1:], np.float64)
    np.testing.assert_allclose(
        left, np.arange(1001) * np.log10(gain) * np.ones((2, 1)), rtol=1e-5, atol=1e-4
    )


def test_loss_terms_of_any_size_enter_in_the_running_scale():
    cell = rnnlab.RNN(4, "identity", init=InitScheme(w_h="orthogonal(gain=0.1)"))
    params = cell.init_params(jax.random.key(0), 1)
    size = jnp.zeros(200).at[jnp.array([199, 120, 40])].set(jnp.array([1e30, 1e-30, 1e-36]))
    curve = gradients.adjoint_norms(
        cell, params, jnp.zeros((1, 200, 1)), lambda ys: (ys[0, :, 0] * size).sum()
    )
    # 1e30 falls a decade a step: 10^-49 at 120, where 1e-30 takes over, 10^-110 at 40, where …
    np.testing.assert_allclose(
        np.asarray(curve.h[0, jnp.array([199, 121, 120, 41, 40, 0])]),
        [30, -48, -30, -109, -36, -76],
        atol=1e-3,
    )


def test_exact_zeros_are_minus_infinity_and_later_terms_still_count():
    cell = rnnlab.RNN(3, "relu", init=InitScheme(w_h="identity", w_x="constant(value=1.0)"))
    params = cell.init_params(jax.random.key(0), 1)
    xs = jnp.ones((2, 6, 1)).at[0, 3].set(-100.0)  # kills every unit of example 0 at step 3
    curve = gradients.adjoint_norms(cell, params, xs, lambda ys: (ys[:, -1] + ys[:, 1]).sum())
    h = np.asarray(curve.h)
    # nothing passes step 3; before it ∂L/∂y_1 counts alone. L sums 3 units: norm √3
    assert np.isneginf(h[0, 2])
    assert h[0, :2] == pytest.approx([np.log10(3**0.5)] * 2, abs=1e-5)
    assert h[1, 2] == pytest.approx(np.log10(3**0.5), abs=1e-5)


def test_an_overflowing_example_is_marked_and_harms_no_other():
    cell = rnnlab.RNN(
        3, "relu", init=InitScheme(w_h="identity(gain=10.0)", w_x="constant(value=1.0)")
    )
    params = cell.init_params(jax.random.key(0), 1)
    xs = jnp.stack([jnp.ones((60, 1)), jnp.zeros((60, 1)) - 1])
    curve = gradients.adjoint_norms(cell, params, xs, lambda ys: ys[:, -1].sum())
    # h_t = 1 + 10 + … + 10^t passes float32's 3.4e38 at t = 39
    assert curve.overflow_at.tolist() == [39, -1]
    assert np.isneginf(np.asarray(curve.h)[1, :-1]).all()


@pytest.mark.parametrize("garbage", [jnp.nan, jnp.inf, 1e30])
def test_padding_changes_no_bit(garbage):
    cell, params, xs, start, _ = _case("lstm")
    options = {"lengths": LENGTHS, "initial_state": start}

    def loss(ys):
        return (ys[:, :T] ** 2).sum()

    clean = gradients.adjoint_norms(cell, params, xs, loss, **options)
    real = unroll.length_mask(LENGTHS, (B,), T)
    dirty = jnp.where(real[..., None], xs, garbage)
    more = jnp.concatenate([dirty, jnp.full((B, 5, D), garbage)], axis=1)
    for other in (dirty, more):
        curve = gradients.adjoint_norms(cell, params, other, loss, **options)
        assert (curve.h[:, :T] == clean.h).all()
        assert (curve.C[:, :T] == clean.C).all()
        assert np.isneginf(np.asarray(curve.h)[:, T:]).all()
    assert np.isneginf(np.asarray(clean.h)[~np.asarray(real)]).all()


@pytest.mark.parametrize("name", NAMES)
def test_weight_contributions(name):
    cell, params, xs, start, _ = _case(name, steps=8)

    def loss(ys):
        return (ys[:, -1] ** 2).sum() + ys[:, 2].sum()

    got = gradients.weight_contributions(cell, params, xs, loss, initial_state=start)
    with jax.enable_x64(True):
        p, x, s0 = jax.tree.map(
            lambda a: jnp.asarray(np.asarray(a, np.float64)), (params, xs, start)
        )

        def total(per_step, b):  # a copy of the parameters for each step
            state, ys = jax.tree.map(lambda s: s[b : b + 1], s0), []
            for t in range(8):
                state, y, _ = cell.step(per_step[t], state, x[b : b + 1, t])
                ys.append(y)
            return loss(jnp.stack(ys, axis=1))

        for b in range(B):
            shares = jax.grad(total)([p] * 8, b)
            for t, share in enumerate(shares):
                blocks = [v.ravel() for k, v in share._asdict().items() if k.startswith("W_h")]
                norm = np.linalg.norm(np.concatenate([np.asarray(v) for v in blocks]))
                want = np.log10(norm) if norm else -np.inf
                assert float(got[b, t]) == pytest.approx(want, abs=1e-4)


def test_it_runs_under_jit_and_compiles_once():
    traced = []

    def tanh(a):
        traced.append(1)
        return jnp.tanh(a)

    xs = jnp.ones((2, 12, D))
    counts = []
    for scheme in ("orthogonal", "identity", "he_normal"):
        cell = cells.RNN(H, tanh, init=InitScheme(w_h=scheme))
        params = cell.init_params(jax.random.key(0), D)
        eager = gradients.adjoint_norms(cell, params, xs, lambda ys: ys.sum())
        counts.append(len(traced))
    assert counts[0] == counts[-1]
    jitted = jax.jit(lambda p: gradients.adjoint_norms(cell, p, xs, lambda ys: ys.sum()))(params)
    np.testing.assert_allclose(np.asarray(jitted.h), np.asarray(eager.h), atol=1e-5)
    assert jitted.h.dtype == jnp.float32


@pytest.mark.parametrize("name", NAMES)
def test_step_jacobians_by_finite_differences(name):
    with jax.enable_x64(True):
        cell, params, xs, start, _ = _case(name, steps=3, dtype=jnp.float64)
        J = np.asarray(gradients.step_jacobians(cell, params, xs, initial_state=start))
        flat = jax.flatten_util.ravel_pytree
        for b in range(2):
            state = jax.tree.map(lambda s, b=b: s[b], start)
            for t in range(3):
                at, restore = flat(state)
                for j in range(at.size):
                    e = jnp.zeros(at.size).at[j].set(1e-6)
                    up, down = (
                        flat(cell.step(params, restore(at + d), xs[b, t])[0])[0] for d in (e, -e)
                    )
                    np.testing.assert_allclose(J[b, t, :, j], (up - down) / 2e-6, atol=1e-7)
                state = cell.step(params, state, xs[b, t])[0]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("part", [None, "h"])
def test_jacobian_spectrum_equals_svd_of_the_float64_product(name, part):
    cell, params, xs, start, _ = _case(name)
    J = np.asarray(gradients.step_jacobians(cell, params, xs, initial_state=start), np.float64)
    got = gradients.jacobian_spectrum(cell, params, xs, (1, 3, 6), part=part, initial_state=start)
    for b in range(B):
        product = np.eye(J.shape[-1])
        for k in range(1, 7):
            product = product @ J[b, T - k]
            if k in (1, 3, 6):
                block = product if part is None else product[:H, :H]
                values = np.linalg.svd(block, compute_uv=False)
                seen = values > 1e-12 * values[0]  # the rest is rounding, in NumPy's product
                row = got[b, (1, 3, 6).index(k)]
                np.testing.assert_allclose(row[seen], np.log10(values[seen]), atol=5e-3)


def test_spectrum_over_hundreds_of_decades():
    cell = rnnlab.RNN(5, "identity", init=InitScheme(w_h="zeros"))
    params = cell.init_params(jax.random.key(0), 1)
    scales = np.array([10.0, 1.0, 1e-2, 1e-3, 0.0])
    params = params._replace(W_hh=jnp.diag(jnp.array(scales, jnp.float32)))
    got = gradients.jacobian_spectrum(cell, params, jnp.zeros((200, 1)), (200,))
    np.testing.assert_allclose(got[0, :4], 200 * np.log10(scales[:4]), atol=1e-3)
    assert np.isneginf(got[0, 4])


def test_spectrum_refuses_what_is_not_there():
    cell, params, xs, *_ = _case("gru")
    with pytest.raises(ValueError, match=r"lags must lie in 1 … 20, got \[0\]"):
        gradients.jacobian_spectrum(cell, params, xs, (0,))
    with pytest.raises(ValueError, match="unknown state part 'C'"):
        gradients.jacobian_spectrum(cell, params, xs, (1,), part="C")


def test_lyapunov_exponents_of_linear_networks():
    xs = jnp.zeros((2, 400, 1))
    cell = rnnlab.RNN(4, "identity", init=InitScheme(w_h="orthogonal(gain=0.7)"))
    params = cell.init_params(jax.random.key(0), 1)
    got = gradients.lyapunov_exponents(cell, params, xs)
    np.testing.assert_allclose(np.asarray(got), np.full((2, 4), np.log(0.7)), atol=1e-4)
    W = np.array([[1.2, 0.5, 0.1], [0, 0.9, 0.4], [0, 0, 0.5]], np.float32)
    cell = rnnlab.RNN(3, "identity")
    params = cell.init_params(jax.random.key(0), 1)._replace(W_hh=jnp.asarray(W))
    top = gradients.lyapunov_exponents(cell, params, xs[0], discard=100)
    np.testing.assert_allclose(np.asarray(top), np.log([1.2, 0.9, 0.5]), atol=1e-2)
    one = gradients.lyapunov_exponents(cell, params, xs[0], 1, discard=100)
    assert one.shape == (1,)
    for count, discard in ((0, 0), (4, 0), (1, 400)):
        with pytest.raises(ValueError, match="must lie in"):
            gradients.lyapunov_exponents(cell, params, xs[0], count, discard=discard)


@pytest.mark.parametrize("name", ["rnn-tanh", "rnn-relu", "lstm", "gru"])
def test_saturation(name):
    cell, params, xs, start, _ = _case(name)
    got = gradients.saturation(cell, params, xs, lengths=LENGTHS, initial_state=start)
    gates = {"lstm": ("f", "i", "o"), "gru": ("z", "r")}.get(name, ())
    assert set(got) == {"h", *gates}
    _, _, values = unroll.unroll(cell, params, xs, initial_state=start, taps=("h", *gates))
    for b, n in enumerate(LENGTHS.tolist()):
        h = np.asarray(values["h"][b, :n])
        want = (h > 0).mean(-1) if name == "rnn-relu" else (1 - np.abs(h)).mean(-1)
        np.testing.assert_allclose(np.asarray(got["h"][b, :n]), want, atol=1e-6)
        assert np.isnan(np.asarray(got["h"][b, n:])).all()
        for gate in gates:
            z = np.asarray(values[gate][b, :n])
            np.testing.assert_allclose(
                np.asarray(got[gate][b, :n]), np.minimum(z, 1 - z).mean(-1), atol=1e-6
            )


def test_what_the_probes_refuse():
    cell, params, xs, *_ = _case("gru")
    net = layers.Stack([cell, cell])
    with pytest.raises(TypeError, match="takes a cell or layer"):
        gradients.adjoint_norms(net, net.init(jax.random.key(0), D), xs, lambda ys: ys.sum())
    with pytest.raises(ValueError, match="at least one step"):
        gradients.adjoint_norms(cell, params, xs[:, :0], lambda ys: ys.sum())
    with pytest.raises(ValueError, match="chunk must be at least 1"):
        gradients.adjoint_norms(cell, params, xs, lambda ys: ys.sum(), chunk=0)
    curve = gradients.adjoint_norms(cell, params, xs, lambda ys: ys.sum())
    with pytest.raises(AttributeError, match=r"no part 'C' \(measured: h\)"):
        _ = curve.C
    linear = rnnlab.RNN(H, "identity")
    with pytest.raises(ValueError, match="'identity'"):
        gradients.saturation(linear, linear.init_params(jax.random.key(0), D), xs)
    with pytest.raises(ValueError, match="square matrix"):
        gradients.spectral_radius(np.ones((2, 3)))


def test_any_leading_axes():
    cell, params, xs, *_ = _case("lstm")
    flat = gradients.adjoint_norms(cell, params, xs, lambda ys: (ys**2).sum())
    square = gradients.adjoint_norms(cell, params, xs.reshape(2, 2, T, D), lambda ys: (ys**2).sum())
    alone = gradients.adjoint_norms(cell, params, xs[1], lambda ys: (ys**2).sum())
    np.testing.assert_allclose(square.h.reshape(B, T), flat.h, atol=1e-5)
    np.testing.assert_allclose(alone.C, flat.C[1], atol=1e-5)
