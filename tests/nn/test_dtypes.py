"""One dtype for all: mixed parameters, half precision, NumPy's numbers, lengths under jit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnnlab
from rnnlab import GRU, LSTM, RNN, InitScheme, Stack, VariationalDropout, Zoneout, gradients, unroll
from rnnlab.nn import initializers, models
from rnnlab.nn.layers import as_layer

B, T, D, H = 2, 3, 2, 4
KEY = jax.random.key(0)
XS = jax.random.normal(jax.random.key(1), (B, T, D))
HALVES = [jnp.bfloat16, jnp.float16]


def halved(params, dtype=jnp.bfloat16):
    """Kernels in half precision, biases as they are."""
    return jax.tree.map(lambda p: p.astype(dtype) if p.ndim > 1 else p, params)


@pytest.mark.parametrize(
    ("cell", "engine"),
    [
        (RNN(H), "fused"),
        (LSTM(H), "scan"),
        (LSTM(H), "newton"),
        (GRU(H), "fused_recompute"),
        (GRU(H, reset_after=True), "fused"),
    ],
    ids=["rnn", "lstm", "lstm newton", "gru", "gru reset after"],
)
def test_mixed_parameters_are_promoted(cell, engine):
    """Outputs are those of the wider dtype; each gradient has its parameter's dtype."""
    params = halved(cell.init_params(KEY, D))

    def run(params):
        ys, pull = jax.vjp(lambda p: unroll(cell, p, XS, engine=engine)[0], params)
        return ys, pull(ys)[0]

    ys, grads = jax.eval_shape(run, params)
    assert ys.dtype == jnp.float32
    assert jax.tree.map(lambda g: g.dtype, grads) == jax.tree.map(lambda p: p.dtype, params)
    if isinstance(cell, RNN):
        got = jax.jit(run)(params)
        expected = jax.jit(run)(jax.tree.map(lambda p: p.astype(jnp.float32), params))
        np.testing.assert_allclose(got[0], expected[0], rtol=1e-6)
        for ours, wide in zip(jax.tree.leaves(got[1]), jax.tree.leaves(expected[1]), strict=True):
            np.testing.assert_allclose(ours.astype(jnp.float32), wide, rtol=1e-2, atol=1e-6)


def test_mixed_parameters_in_layers_probes_and_with_narrow_inputs():
    layer = Stack([Zoneout(LSTM(H, norm="layer"), 0.1), VariationalDropout(GRU(H), 0.1)])
    params = jax.eval_shape(lambda: halved(layer.init(KEY, D)))
    options = {"key": KEY, "deterministic": False}
    narrow = XS.astype(jnp.bfloat16)
    ys, _ = jax.eval_shape(lambda p: layer.apply(p, narrow, **options), params)
    assert ys.dtype == jnp.float32
    mixed = halved(LSTM(H).init_params(KEY, D))
    _, grads, curve = jax.eval_shape(
        lambda p: gradients.value_grad_and_norms(LSTM(H), p, XS, jnp.sum), mixed
    )
    assert (grads.W_hf.dtype, grads.b_f.dtype, curve.h.dtype) == (
        jnp.bfloat16,
        jnp.float32,
        jnp.float32,
    )
    with pytest.raises(TypeError, match="xs are float32, the parameters bfloat16: cast one"):
        unroll(
            RNN(H), jax.tree.map(lambda p: p.astype(jnp.bfloat16), RNN(H).init_params(KEY, D)), XS
        )


# ---- half precision ----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", HALVES, ids=lambda dtype: dtype.__name__)
def test_matrices_are_drawn_in_half_precision(dtype):
    Q = initializers.make("orthogonal")(KEY, (8, 8), dtype)
    assert Q.dtype == dtype
    full = initializers.make("orthogonal")(KEY, (8, 8), jnp.float32)
    np.testing.assert_array_equal(Q, full.astype(dtype))
    W = initializers.make("sparse(nonzeros=3, spectral_radius=0.9)")(KEY, (8, 8), dtype)
    assert W.dtype == dtype
    assert gradients.spectral_radius(np.asarray(W, np.float64)) == pytest.approx(0.9, abs=0.02)
    for scheme in initializers.SCHEMES:
        shape = (8,) if scheme in ("chrono",) else (8, 8)
        name = f"{scheme}(nonzeros=3)" if scheme == "sparse" else scheme
        draw = initializers.make(name, hidden_size=8)
        assert (
            jax.eval_shape(lambda k, draw=draw, shape=shape: draw(k, shape, dtype), KEY).dtype
            == dtype
        )


def test_probes_measure_half_precision_in_float32():
    """A linear RNN with W = ½I: λ = log ½, the adjoint ½ᵏ, the Jacobian ½I."""
    dtype, cell = jnp.bfloat16, RNN(H, "identity", init=InitScheme(w_h="identity(gain=0.5)"))
    params = jax.tree.map(lambda p: p.astype(dtype), cell.init_params(KEY, 1))
    xs = jnp.zeros((1, 60, 1), dtype)
    exponents = gradients.lyapunov_exponents(cell, params, xs)
    assert exponents.dtype == jnp.float32
    np.testing.assert_allclose(exponents, np.log(0.5), rtol=1e-5)
    curve = gradients.adjoint_norms(cell, params, xs, lambda ys: ys[0, -1, 0])
    assert curve.h.dtype == jnp.float32
    np.testing.assert_allclose(curve.h[0], np.log10(0.5) * np.arange(59, -1, -1), atol=1e-5)
    spectrum = gradients.jacobian_spectrum(cell, params, xs, [59])
    np.testing.assert_allclose(spectrum, np.log10(0.5) * 59, atol=1e-6)


def test_other_probes_of_half_precision_are_float32():
    cell = LSTM(H)
    params = jax.tree.map(lambda p: p.astype(jnp.bfloat16), cell.init_params(KEY, D))
    xs = XS.astype(jnp.bfloat16)

    def probes():
        share = gradients.weight_contributions(cell, params, xs, jnp.sum)
        plain = gradients.value_grad_and_norms(cell, params, xs, jnp.sum)[2].norms
        both = rnnlab.Bidirectional(cell)
        curves = gradients.adjoint_norms(both, type(both.init(KEY, D))(params, params), xs, jnp.sum)
        return share, plain, curves.forward.norms, gradients.saturation(cell, params, xs)

    assert {leaf.dtype for leaf in jax.tree.leaves(jax.eval_shape(probes))} == {
        jnp.dtype("float32")
    }


# ---- NumPy's numbers ---------------------------------------------------------------------------


@pytest.mark.parametrize("eight", [np.int64(8), np.uint8(8), np.array(8), jnp.int32(8)], ids=repr)
def test_numbers_of_numpy_are_numbers(eight):
    half, yes = np.float32(0.5), np.array(True)
    cells = (
        RNN(eight),
        LSTM(eight, projection=eight, peephole=yes),
        GRU(eight, reset_after=np.True_),
        Zoneout(GRU(eight), {"h": half}),
        VariationalDropout(GRU(eight), half, np.array(0.5)),
    )
    for cell in cells:
        assert "array" not in repr(cell).lower()
        assert jax.eval_shape(lambda k, c=cell: c.init_params(k, eight), KEY)
    model = models.ManyToOne(Stack(cells, dropout=half, variational=yes), eight)
    assert type(model.outputs) is int
    initializers.make(half)(KEY, (2,))
    initializers.orthogonal(gain=jnp.bfloat16(0.5))(KEY, (2, 2))


# ---- lengths -----------------------------------------------------------------------------------


def test_traced_lengths_are_clipped_alike():
    """The mask and the count of steps: a mean over T steps is divided by T."""
    model = models.ManyToOne(RNN(H), 1, pooling="mean")
    params = model.init(KEY, XS)
    last = models.ManyToOne(GRU(H), 1)
    last_params = last.init(KEY, XS)

    @jax.jit
    def answers(lengths):
        return (
            model.apply(params, XS, lengths=lengths)[0],
            last.apply(last_params, XS, lengths=lengths)[0],
        )

    for lengths, expected in (([6, 300], [3, 3]), ([-4, 2], [0, 2])):
        for got, right in zip(
            answers(np.array(lengths, np.int32)), answers(np.array(expected, np.int32)), strict=True
        ):
            np.testing.assert_array_equal(got, right)
    whole, _ = model.apply(params, XS)
    np.testing.assert_allclose(answers(np.array([6, 300], np.int32))[0], whole, rtol=1e-6)


@pytest.mark.parametrize("lengths", [[4, 1], [-1, 2]], ids=str)
def test_known_lengths_are_refused(lengths):
    lengths, message = np.array(lengths), r"lengths must lie in 0 … 3, got"
    layer, params = as_layer(RNN(H)), RNN(H).init_params(KEY, D)
    with pytest.raises(ValueError, match=message):
        layer.apply(params, XS, lengths=lengths)
    with pytest.raises(ValueError, match=message):
        models.mean_over_time(XS, lengths)
    with pytest.raises(ValueError, match=message):
        models.last_step(lengths, XS)


def test_short_lengths_hold_long_sequences():
    ys = jnp.ones((1, 300, 1))
    mean = jax.jit(models.mean_over_time)(ys[:, :300], np.array([200], np.uint8))
    np.testing.assert_allclose(mean, 300 / 200)
