"""The batch split over two CPU devices: scan's values and gradients, and what cannot be split."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from rnnlab import GRU, LSTM, RNN, Bidirectional, Stack, Zoneout, gradients, unroll
from rnnlab.nn.engines.fused import Fused, fused
from rnnlab.nn.engines.newton import Newton
from rnnlab.nn.engines.scan import scan
from rnnlab.nn.engines.split import Split
from rnnlab.nn.layers import as_layer
from tests.helpers import oracles

B, T, D, H = 4, 7, 3, 5
LENGTHS = np.array([7, 2, 0, 5], np.int32)
RESETS = np.random.default_rng(3).random((B, T)) < 0.3
PADDED = {"lengths": LENGTHS, "reverse": True}
EPISODES = {"lengths": LENGTHS, "resets": RESETS}
KEY = jax.random.key(0)


def draw(net, batch=(B,)):
    """(params, xs, s_0) of a cell or a layer: random, no entry zero."""
    layer = as_layer(net)

    def make():
        params = layer.init(KEY, D)
        return params, jnp.zeros((*batch, T, D)), layer.initial_state(params, batch)

    return oracles.drawn(make)


@partial(jax.jit, static_argnames=("net", "engine", "reverse", "deterministic"))
def outcome(net, engine, args, **options):
    """The results of a layer, and the gradients of its params, xs and s_0."""

    def run(params, xs, state):
        return as_layer(net).apply(params, xs, initial_state=state, engine=engine, **options)

    results, pull = jax.vjp(run, *args)
    return results, pull(oracles.random_like(results, 7))


def assert_equals_scan(net, engine="fused_split", batch=(B,), **options):
    args = draw(net, batch)
    got, expected = (outcome(net, name, args, **options) for name in (engine, "scan"))
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    oracles.assert_close(got, expected, 1e-5)
    return got


@pytest.mark.parametrize(
    ("cell", "options"),
    [(RNN(H, "relu"), {}), (LSTM(H), EPISODES), (GRU(H, reset_after=True), PADDED)],
    ids=["plain", "episodes", "padded and reverse"],
)
def test_equals_scan(cell, options):
    (ys, state), (d_params, d_xs, _) = assert_equals_scan(cell, **options)
    # every device has its rows, and all of the parameters' gradients
    d_b = jax.tree.leaves(d_params)[-1]
    for array, rows in ((ys, B // 2), (state.h, B // 2), (d_xs, B // 2), (d_b, H)):
        assert [shard.data.shape[0] for shard in array.addressable_shards] == [rows, rows]


def test_two_batch_axes():
    assert_equals_scan(RNN(H), batch=(2, 3))


def test_layers_with_dropout():
    """Masks of dropout are drawn for the whole batch, outside the engine."""
    net = Stack([Bidirectional(LSTM(H)), GRU(H)], dropout=0.5)
    assert_equals_scan(net, lengths=LENGTHS, key=KEY, deterministic=False)


def test_norms_are_those_of_the_adjoint_probe():
    cell = LSTM(H)
    params, xs, _ = draw(cell)
    weights = oracles.random_like(jnp.zeros((T, B, H)), 5)
    start = cell.initial_state(params, (B,))
    mask = jnp.arange(T)[:, None] < LENGTHS

    @jax.jit
    def norms(xs):
        def loss(norms):
            options = {"mask": mask, "norms": norms}
            return (Split()(cell, params, xs, start, **options)[0] * weights).sum()

        return jax.grad(loss)(jax.tree.map(lambda part: jnp.zeros((T, B)), start))

    got = norms(jnp.moveaxis(xs, 1, 0))
    by_row = jnp.moveaxis(weights, 0, 1)
    curve = gradients.adjoint_norms(
        cell, params, xs, lambda ys: (ys * by_row).sum(), lengths=LENGTHS
    )
    for part in ("h", "C"):
        oracles.assert_close(got._asdict()[part].T, 10.0 ** getattr(curve, part), 1e-5)


@pytest.mark.parametrize("engine", ["newton", Fused(recompute=True)], ids=str)
def test_other_engines_of_the_parts(engine):
    cell = GRU(H)
    params, xs, _ = draw(cell)
    run = jax.jit(partial(unroll, cell), static_argnames="engine")
    got, expected = (run(params, xs, engine=e) for e in (Split(engine), "scan"))
    oracles.assert_close(got, expected, 1e-5)


def test_taps_come_from_scan():
    cell = LSTM(H, peephole=True)
    params, xs, _ = draw(cell)
    run = jax.jit(partial(unroll, cell, taps=("f", "C")), static_argnames="engine")
    got, expected = (run(params, xs, engine=e) for e in (Split("scan"), "scan"))
    oracles.assert_close(got, expected, 1e-5)


def test_mapped_parameters():
    cell = RNN(H)
    params, xs, state = draw(cell)
    xs = jnp.moveaxis(xs[:, :2], 1, 0)
    several = jax.tree.map(lambda leaf: jnp.stack([leaf, 2 * leaf]), params)
    got = jax.jit(jax.vmap(lambda p: Split()(cell, p, xs, state)[0]))(several)
    for place, scale in enumerate((1, 2)):
        alone = jax.tree.map(lambda leaf, scale=scale: scale * leaf, params)
        oracles.assert_close(got[place], scan(cell, alone, xs, state)[0], 1e-5)


# ---- what cannot be split ----------------------------------------------------------------------


def split(cell=None, xs=None, **options):
    """Trace a run; nothing is compiled."""
    cell = cell or RNN(H)
    params, drawn, _ = draw(cell)
    options = {"engine": "fused_split"} | options

    def run(params, xs):
        return unroll(cell, params, xs, **options)

    return jax.eval_shape(run, params, drawn if xs is None else xs)


def test_one_device(monkeypatch):
    one = jax.local_devices()[:1]
    monkeypatch.setattr(jax, "local_devices", lambda: one)
    words = r'JAX has 1: call jax.config.update\("jax_num_cpu_devices", \d+\) before JAX is first'
    with pytest.raises(ValueError, match=words):
        split()


def test_a_gpu(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    with pytest.raises(ValueError, match="JAX computes on 'gpu': use engine='fused'"):
        split()


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((3, T, D), "over 2 CPU devices: its size must be a multiple of 2, got 3"),
        ((3, 2, T, D), "multiple of 2, got 3"),
        ((T, D), "without a batch axis: use engine='fused'"),
    ],
    ids=str,
)
def test_sizes(shape, words):
    with pytest.raises(ValueError, match=f"engine 'fused_split' .*{words}"):
        split(xs=jnp.ones(shape))


def test_arrays_of_another_mesh_or_device():
    cell = RNN(H)
    params, xs, state = draw(cell)
    devices, rows = jax.local_devices(), P("data")
    mesh = Mesh(np.array(devices), ("data",))
    used = "which a mesh around it uses already .* use engine='fused' there"
    shards = {"mesh": mesh, "in_specs": (P(), P(None, "data"), rows), "out_specs": P(None, "data")}
    inside = jax.shard_map(lambda *args: Split()(cell, *args)[0], **shards)
    explicit = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Explicit,))
    on_both = jax.device_put(xs, NamedSharding(explicit, rows))
    with pytest.raises(ValueError, match=used):
        split(xs=on_both)
    xs, over_time = jnp.moveaxis(xs, 1, 0), jnp.moveaxis(on_both, 1, 0)
    for run in (inside, partial(Split(), cell)):
        with pytest.raises(ValueError, match=used):
            run(params, xs if run is inside else over_time, state)
    with pytest.raises(ValueError, match=r"an array that was put on .*0: pass it uncommitted"):
        Split()(cell, params, jax.device_put(xs, devices[0]), state)
    # on the same devices they may lie in any way
    replicated = jax.device_put(xs, NamedSharding(mesh, P()))
    got, expected = (run(cell, params, replicated, state)[0] for run in (Split(), scan))
    oracles.assert_close(got, expected, 1e-5)


def test_an_unknown_batch_size():
    (b,) = jax.export.symbolic_shape("b")
    xs = jax.ShapeDtypeStruct((b, T, D), np.float32)
    with pytest.raises(ValueError, match="needs a known batch size, got b: use engine='fused'"):
        jax.export.export(jax.jit(lambda xs: split(xs=xs)))(xs)


@pytest.mark.parametrize(
    ("cell", "options", "words"),
    [
        (LSTM(H), {"taps": ("f",)}, "engine 'fused' runs .* use engine 'scan'"),
        (
            Zoneout(RNN(H), 0.5),
            {"engine": Split("scan"), "key": KEY, "deterministic": False},
            "no cell that draws noise, for every part would draw the same",
        ),
        (RNN(H), {"engine": Split("newton"), "resets": RESETS}, "'newton' has no resets"),
    ],
    ids=["taps", "noise", "resets"],
)
def test_what_the_parts_refuse(cell, options, words):
    with pytest.raises(ValueError, match=words):
        split(cell, **options)


def test_forward_mode():
    cell, (params, xs, _) = RNN(H), draw(RNN(H))
    with pytest.raises(TypeError, match=r"reverse mode only.*engine='scan'"):
        jax.jvp(lambda xs: unroll(cell, params, xs, engine="fused_split")[0], (xs,), (xs,))


def test_options():
    with pytest.raises(ValueError, match=r"engine of Split 'scam'; did you mean 'scan'"):
        Split("scam")
    with pytest.raises(ValueError, match="a Newton without a guess"):
        Split(Newton(guess=draw(RNN(H), (T, B))[2]))
    assert Split() == Split("fused")
    assert Split().run is fused
    assert hash(Split(Newton())) == hash(Split(Newton()))
