"""Read-outs against NumPy loops; padding, schemes, compilation, checks."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab import GRU, LSTM, RNN, Bidirectional, InitScheme, Stack
from rnnlab.nn import cells, losses, models
from rnnlab.nn.layers import CellLayer, as_layer
from rnnlab.nn.models import LanguageModel, ManyToMany, ManyToOne
from rnnlab.nn.params import GRUParams
from rnnlab.nn.unroll import ENGINES
from rnnlab.tasks.model import model_for_task
from tests.helpers import oracles
from tests.helpers.oracles import assert_close, drawn, to_numpy

B, T, D, H, OUT, V, E = 4, 7, 3, 5, 2, 6, 4
RAGGED = np.array([7, 1, 4, 6])
EXACT = 1e-10  # float64


def floats(seed=3, batch=B, time=T, features=D):
    return jnp.asarray(np.random.default_rng(seed).standard_normal((batch, time, features)))


def symbols(seed=3, batch=B, time=T):
    return jnp.asarray(np.random.default_rng(seed).integers(V, size=(batch, time)), jnp.int32)


def inputs_of(model):
    return symbols() if model.symbols else floats()


def draw(model, seed=0) -> Any:
    """Parameters without a single zero."""
    return drawn(lambda: model.init(jax.random.key(0), inputs_of(model)), seed)


# ---- a second definition, in NumPy -------------------------------------------------------------

NAMES = {
    GRU(H, reset_after=True): "gru-reset-after",
    LSTM(H): "lstm",
    GRU(H): "gru",
    RNN(H): "rnn-tanh",
    RNN(H, "relu"): "rnn-relu",
}


def run_cell(cell, p, xs, backwards):
    """h_t (t, H) of one sequence xs (t, D) from h_0 = 0."""
    zero = {part: np.zeros((1, H)) for part in cell.state_parts}
    run = oracles.recurrence(oracles.STEPS[NAMES[cell]], p, xs[None], zero, reverse=backwards)
    return run.ys[0]


def every_step(net, p, xs, backwards=False):
    if isinstance(net, CellLayer):
        return run_cell(net.cell, p, xs, backwards)
    if isinstance(net, Bidirectional):
        return oracles.MERGES[net.merge](
            every_step(net.forward, p.forward, xs, backwards),
            every_step(net.backward, p.backward, xs, not backwards),
        )
    for inner, q in zip(net.layers, p, strict=True):
        xs = every_step(inner, q, xs, backwards)
    return xs


def final(net, p, xs, backwards=False):
    """The last output of each direction, merged."""
    if isinstance(net, CellLayer):
        return run_cell(net.cell, p, xs, backwards)[0 if backwards else -1]
    if isinstance(net, Bidirectional):
        return oracles.MERGES[net.merge](
            final(net.forward, p.forward, xs, backwards),
            final(net.backward, p.backward, xs, not backwards),
        )
    for inner, q in zip(net.layers[:-1], p[:-1], strict=True):
        xs = every_step(inner, q, xs, backwards)
    return final(net.layers[-1], p[-1], xs, backwards)


def softmax(a):
    e = np.exp(a - a.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


G: Any = {"identity": lambda a: a, "softmax": softmax, "sigmoid": oracles.sigmoid}


def answers(model: Any, variables, inputs, lengths=None):
    """y of every sequence in turn; y_t at every step of it where the model answers there."""
    p = to_numpy(variables)["params"]
    inputs = np.asarray(inputs)
    out = []
    for n in range(len(inputs)):
        xs = inputs[n, : None if lengths is None else lengths[n]]
        if model.symbols:
            xs = p["embedding"][xs] if model.embedding_size else np.eye(model.symbols)[xs]
        W = p["embedding"].T if getattr(model, "tie", False) else p["W_hy"]
        read = final if isinstance(model, ManyToOne) else every_step
        h = read(model.layer, p["recurrent"], xs)
        out.append(G[str(model.activation)](np.einsum("...h,ho->...o", h, W) + p["b_y"]))
    return out


NETS = {
    **{name: as_layer(cell) for cell, name in NAMES.items()},
    **{f"bi-{merge}": Bidirectional(LSTM(H), GRU(H), merge) for merge in oracles.MERGES},
    "stack": Stack([LSTM(H), GRU(H)]),
    "stack-under-mean": Stack([GRU(H), Bidirectional(LSTM(H), RNN(H), merge="mean")]),
    "stack-of-bi": Stack([Bidirectional(GRU(H), merge="mean"), Bidirectional(LSTM(H), RNN(H))]),
    "bi-below": Stack([Bidirectional(GRU(H)), LSTM(H)]),
    "bi-of-stacks": Bidirectional(Stack([GRU(H), LSTM(H)]), RNN(H), "product"),
    "bi-of-bi": Bidirectional(Bidirectional(GRU(H), merge="sum"), RNN(H), "concat"),
}


# every net with padding; whole sequences take another path through the read-out, not the cells
@pytest.mark.parametrize("kind", [ManyToOne, ManyToMany])
@pytest.mark.parametrize(
    ("name", "lengths"),
    [*((name, RAGGED) for name in NETS), ("lstm", None), ("bi-sum", None), ("bi-of-stacks", None)],
    ids=[*(f"{name}-ragged" for name in NETS), "lstm-whole", "bi-sum-whole", "bi-of-stacks-whole"],
)
def test_answers(name, kind, lengths, x64):
    model = kind(NETS[name], OUT)
    params = draw(model)
    got, _ = model.apply(params, floats(), lengths=lengths)
    for n, expected in enumerate(answers(model, params, floats(), lengths)):
        ours = got[n] if kind is ManyToOne else got[n, : len(expected)]
        assert_close(ours, expected, EXACT)


@pytest.mark.parametrize(
    "lengths", [None, RAGGED, np.array([0, 1, 7, 3])], ids=["whole", "ragged", "one-empty"]
)
@pytest.mark.parametrize("name", ["lstm", "bi-sum", "bi-concat"])
def test_the_mean_over_time(name, lengths, x64):
    """y = W_hy (1/T) Σ h_t + b_y over the real steps alone, whatever the padding."""
    net = as_layer(LSTM(H)) if name == "lstm" else NETS[name]
    model = ManyToOne(net, OUT, pooling="mean")
    params, xs = draw(model), floats()
    got, _ = model.apply(params, xs, lengths=lengths)
    p = to_numpy(params)["params"]
    for n in range(B):
        own = np.asarray(xs[n])[: None if lengths is None else lengths[n]]
        width = model.layer.output_size
        h = every_step(net, p["recurrent"], own).mean(axis=0) if len(own) else np.zeros(width)
        assert_close(got[n], h @ p["W_hy"] + p["b_y"], EXACT)


@pytest.mark.parametrize("activation", G)
@pytest.mark.parametrize("kind", [ManyToOne, ManyToMany])
def test_activation(kind, activation, x64):
    model = kind(LSTM(H), OUT, activation=activation)
    params = draw(model)
    got, _ = model.apply(params, floats())
    assert_close(got, np.stack(answers(model, params, floats())), EXACT)


LANGUAGE = {
    "one-hot": LanguageModel(LSTM(H), V),
    "embedding": LanguageModel(GRU(H), V, embedding_size=E),
    "tied": LanguageModel(LSTM(H), V, embedding_size=H, tie=True),
    "tied-stack": LanguageModel(Stack([GRU(H), LSTM(H)]), V, embedding_size=H, tie=True),
    "tagger": ManyToMany(Bidirectional(LSTM(H)), OUT, symbols=V, embedding_size=E),
    "classifier": ManyToOne(Bidirectional(GRU(H)), OUT, symbols=V, embedding_size=E),
    "classifier-one-hot": ManyToOne(GRU(H), OUT, symbols=V),
}


@pytest.mark.parametrize(
    ("name", "lengths"),
    [*((name, RAGGED) for name in LANGUAGE), ("one-hot", None), ("classifier", None)],
    ids=[*(f"{name}-ragged" for name in LANGUAGE), "one-hot-whole", "classifier-whole"],
)
def test_symbols(name, lengths, x64):
    model = LANGUAGE[name]
    params = draw(model)
    got, _ = model.apply(params, symbols(), lengths=lengths)
    for n, expected in enumerate(answers(model, params, symbols(), lengths)):
        ours = got[n] if isinstance(model, ManyToOne) else got[n, : len(expected)]
        assert_close(ours, expected, EXACT)


def test_a_tied_embedding_learns_from_both_ends(x64):
    tied = LanguageModel(LSTM(H), V, embedding_size=H, tie=True)
    free = LanguageModel(LSTM(H), V, embedding_size=H)
    params = draw(tied)
    apart = {"params": {**params["params"], "W_hy": params["params"]["embedding"].T}}
    targets = symbols(seed=8)

    def gradient(model, params):
        def loss(p):
            return losses.cross_entropy(model.apply(p, symbols())[0], targets)

        return jax.grad(loss)(params)["params"]

    one, two = gradient(tied, params), gradient(free, apart)
    assert_close(one["embedding"], two["embedding"] + two["W_hy"].T, EXACT)


def test_embedding_equals_one_hot_times_embedding(x64):
    model = LANGUAGE["embedding"]
    params = draw(model)["params"]
    inner = ManyToMany(model.layer, V)
    rest = {k: v for k, v in params.items() if k != "embedding"}
    expected, _ = inner.apply({"params": rest}, params["embedding"][symbols()])
    assert_close(model.apply({"params": params}, symbols())[0], expected, EXACT)


# ---- padding -----------------------------------------------------------------------------------


def padding(inputs, value):
    past = np.arange(T) >= RAGGED[:, None]
    return jnp.where(past.reshape(B, T, *[1] * (inputs.ndim - 2)), value, inputs)


PADDED = {
    "one-bi": ManyToOne(Bidirectional(GRU(H), merge="sum"), OUT),
    "many": ManyToMany(Stack([Bidirectional(LSTM(H)), GRU(H)]), OUT),
    **LANGUAGE,
}


# traced symbols are checked otherwise than known ones: both, for each way to embed them
@pytest.mark.parametrize(
    ("name", "jit"),
    [(name, False) for name in ("one-bi", "one-hot", "tied-stack", "tagger")]
    + [(name, True) for name in ("many", "embedding", "tied", "classifier", "classifier-one-hot")],
)
def test_padding_changes_nothing(name, jit):
    model = PADDED[name]
    params, lengths = draw(model), jnp.asarray(RAGGED)
    bad = [-1, V, 2**31 - 1] if model.symbols else [jnp.nan, jnp.inf]

    def outcome(params, inputs):
        def loss(p):
            y, state = model.apply(p, inputs, lengths=lengths)
            return jnp.square(y).sum(), (y, state)

        return jax.value_and_grad(loss, has_aux=True)(params)

    def forward(params, inputs):
        return model.apply(params, inputs, lengths=lengths)

    run = jax.jit(outcome) if jit else forward
    clean = run(params, inputs_of(model))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(clean))
    for value in bad:
        dirty = run(params, padding(inputs_of(model), value))
        jax.tree.map(np.testing.assert_array_equal, dirty, clean)


def test_past_the_end_only_the_bias_is_left():
    model = ManyToMany(LSTM(H), OUT, activation="softmax")
    params = draw(model)
    y, _ = model.apply(params, floats(), lengths=RAGGED)
    expected = softmax(np.asarray(params["params"]["b_y"]))
    assert_close(y[1, 1:], np.broadcast_to(expected, (T - 1, OUT)), 1e-6)


def test_no_real_steps_read_zero():
    for net in (LSTM(H), Bidirectional(GRU(H))):
        model = ManyToOne(net, OUT)
        params = draw(model)
        y, _ = model.apply(params, floats(), lengths=np.array([0, 7, 0, 2]))
        b = params["params"]["b_y"]
        np.testing.assert_array_equal(y[jnp.array([0, 2])], jnp.stack([b, b]))
        assert (y[1] != b).all()


def test_only_the_last_step_is_read_out():
    for net in (LSTM(H), Bidirectional(LSTM(H), merge="mean")):
        text = {}
        for kind in (ManyToOne, ManyToMany):
            model = kind(net, OUT)
            params = draw(model)
            text[kind] = str(jax.make_jaxpr(model.apply)(params, floats()))
        assert f"f32[{B},{T},{OUT}]" in text[ManyToMany]
        assert f"f32[{B},{T},{OUT}]" not in text[ManyToOne]
        assert f"f32[{B},{OUT}]" in text[ManyToOne]


# ---- parameters --------------------------------------------------------------------------------


def shapes(params):
    return {name: jax.tree.map(jnp.shape, value) for name, value in params["params"].items()}


def test_layout():
    net = as_layer(GRU(H))
    like = jax.tree.map(jnp.shape, net.init(jax.random.key(0), D))
    params = ManyToOne(net, OUT).init(jax.random.key(0), floats())
    assert shapes(params) == {"recurrent": like, "W_hy": (H, OUT), "b_y": (OUT,)}
    assert set(params) == {"params"}
    assert isinstance(params["params"]["recurrent"], GRUParams)

    params = LanguageModel(net, V, embedding_size=D).init(jax.random.key(0), symbols())
    assert shapes(params) == {"recurrent": like, "W_hy": (H, V), "b_y": (V,), "embedding": (V, D)}
    one_hot: Any = LanguageModel(net, V).init(jax.random.key(0), symbols())["params"]
    assert one_hot["recurrent"].W_xz.shape == (V, H)
    assert "embedding" not in one_hot


def test_schemes_draw_their_own_blocks():
    cell = RNN(H, init=InitScheme(w_h="identity", w_y="7"))
    model = LanguageModel(cell, V, E, w_y="torch_uniform", b_y="1.5", w_e="constant(value=0.25)")
    params: Any = model.init(jax.random.key(0), symbols())["params"]
    np.testing.assert_array_equal(params["recurrent"].W_hh, np.eye(H))
    np.testing.assert_array_equal(params["b_y"], np.full(V, 1.5))
    np.testing.assert_array_equal(params["embedding"], np.full((V, E), 0.25))
    bound = 1 / np.sqrt(H)
    assert 0.8 * bound < np.abs(params["W_hy"]).max() <= bound
    other: Any = model.init(jax.random.key(1), symbols())["params"]
    assert (other["W_hy"] != params["W_hy"]).any()


def test_a_scheme_changes_only_its_own_block():
    key, xs = jax.random.key(0), floats()
    one: Any = ManyToOne(LSTM(H), OUT, w_y="he_normal").init(key, xs)["params"]
    two: Any = ManyToOne(LSTM(H), OUT, w_y="xavier_uniform").init(key, xs)["params"]
    assert (one["W_hy"] != two["W_hy"]).any()
    jax.tree.map(np.testing.assert_array_equal, one["recurrent"], two["recurrent"])


def test_count_params():
    model = LanguageModel(LSTM(H), V, E)
    expected = 4 * (E * H + H * H + H) + H * V + V + V * E
    assert models.count_params(draw(model)) == expected
    assert models.count_params(jax.eval_shape(model.init, jax.random.key(0), symbols())) == expected


def test_initial_state():
    model = ManyToOne(Stack([LSTM(H), GRU(H)]), OUT)
    params = draw(model)
    zero = models.initial_state(model, params, 3)
    assert jax.tree.map(jnp.shape, zero) == jax.tree.map(
        jnp.shape, model.layer.initial_state(params["params"]["recurrent"], (3,))
    )
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(zero))
    random = models.initial_state(model, params, 3, jax.random.key(0))
    assert all((leaf != 0).all() for leaf in jax.tree.leaves(random))
    with pytest.raises(ValueError, match="batch_size must be a whole number of at least 1, got 0"):
        models.initial_state(model, params, 0)


def test_a_state_carries_on(x64):
    for model in (ManyToOne(LSTM(H), OUT), ManyToMany(GRU(H), OUT), LANGUAGE["embedding"]):
        params, inputs = draw(model), inputs_of(model)
        whole, end = model.apply(params, inputs)
        _, state = model.apply(params, inputs[:, :3])
        rest, state = model.apply(params, inputs[:, 3:], initial_state=state)
        expected = whole if isinstance(model, ManyToOne) else whole[:, 3:]
        assert_close((rest, state), (expected, end), EXACT)
        assert float(jnp.abs(model.apply(params, inputs[:, 3:])[0] - rest).max()) > 1e-3


def test_members_stacked_equal_members_alone():
    model = ManyToOne(LSTM(H), OUT)
    members = jax.vmap(lambda k: model.init(k, floats()))(jax.random.split(jax.random.key(0), 3))
    together = jax.vmap(lambda p: model.apply(p, floats())[0])(members)
    for n in range(3):
        alone = model.apply(jax.tree.map(lambda leaf, n=n: leaf[n], members), floats())[0]
        assert_close(together[n], alone, 1e-5)


# ---- options reach the layer -------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ManyToOne, ManyToMany, LanguageModel])
def test_options_reach_the_layer(kind, monkeypatch):
    net = Stack([LSTM(H), GRU(H)], dropout=0.5)
    model = kind(net, V)
    params, inputs = draw(model), inputs_of(model)
    plain = model.apply(params, inputs)[0]
    with pytest.raises(ValueError, match=r"dropout=0.5 with deterministic=False needs a key"):
        model.apply(params, inputs, deterministic=False)
    noisy = [
        model.apply(params, inputs, deterministic=False, key=jax.random.key(k))[0]
        for k in (0, 0, 1)
    ]
    np.testing.assert_array_equal(noisy[0], noisy[1])
    assert (noisy[0] != noisy[2]).any()
    assert (noisy[0] != plain).any()
    ran = []
    for name, engine in ENGINES.items():

        def spied(*args, name=name, engine=engine, **options):
            ran.append(name)
            return engine(*args, **options)

        monkeypatch.setitem(ENGINES, name, spied)
    for name in ("scan", "fused"):
        ran.clear()
        assert_close(model.apply(params, inputs, engine=name)[0], plain, 1e-6)
        assert ran == [name, name]  # one run a layer of the stack
    with pytest.raises(ValueError, match="unknown engine 'scam'; did you mean 'scan'"):
        model.apply(params, inputs, engine="scam")


# ---- a static argument -------------------------------------------------------------------------


def test_equal_by_value():
    for kind in (ManyToOne, ManyToMany, LanguageModel):
        a, b = kind(LSTM(H), V), kind(as_layer(LSTM(H)), V)
        assert a == b
        assert hash(a) == hash(b)
        assert a != kind(LSTM(H), V + 1)
        assert a != kind(GRU(H), V)
        assert a != kind(LSTM(H), V, w_y="he_normal")


@pytest.mark.parametrize("kind", [ManyToOne, ManyToMany, LanguageModel])
def test_a_sweep_of_schemes_compiles_once(kind):
    traces = []

    def f(model, params, inputs):
        traces.append(model)
        return model.apply(params, inputs)[0]

    run = jax.jit(f, static_argnums=0)
    ys = []
    for w_h, w_y in [("orthogonal", "xavier_uniform"), ("identity", "normal"), ("normal", "2.0")]:
        net = Bidirectional(LSTM(H, init=InitScheme(w_h=w_h)), GRU(H, init=InitScheme(w_x=w_y)))
        model = kind(net, V, w_y=w_y, b_y=w_y.replace("xavier_uniform", "zeros"), w_e=w_y)
        params = model.init(jax.random.key(0), inputs_of(model))
        ys.append(run(models.without_init(model), params, inputs_of(model)))
        np.testing.assert_allclose(ys[-1], model.apply(params, inputs_of(model))[0], rtol=2e-5)
    assert len(traces) == 1
    assert len({y.tobytes() for y in map(np.asarray, ys)}) == 3


@pytest.mark.parametrize("kind", [ManyToOne, ManyToMany, LanguageModel])
def test_models_keep_the_protocol_and_take_numpy_sizes(kind):
    model = kind(LSTM(H), np.int64(V), embedding_size=np.int32(0))
    assert isinstance(model, models.Model)
    assert model == kind(LSTM(H), V)
    assert type(model.outputs) is int


def test_without_init_keeps_everything_else():
    model = LanguageModel(
        Stack([LSTM(H), GRU(H, reset_after=True)], dropout=0.2), V, H, True, activation="softmax"
    )
    bare = models.without_init(model)
    assert (bare.symbols, bare.embedding_size, bare.tie, bare.activation) == (V, H, True, "softmax")
    assert bare.layer == cells.without_init(model.layer)
    assert models.without_init(bare) == bare


# ---- by task -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    many_to_one: bool
    symbols: bool
    input_size: int = 5
    output_size: int = 5


def test_for_task():
    init = InitScheme(w_y="he_normal", b="3.0")

    def made(**asked) -> Any:
        task: Any = Asked(**asked)
        return model_for_task(task, LSTM(H), init, embedding_size=E if asked["symbols"] else 0)

    assert made(many_to_one=True, symbols=False, output_size=OUT) == ManyToOne(
        LSTM(H), OUT, w_y="he_normal"
    )
    assert made(many_to_one=False, symbols=False) == ManyToMany(LSTM(H), 5, w_y="he_normal")
    assert made(many_to_one=False, symbols=True) == LanguageModel(LSTM(H), 5, E, w_y="he_normal")
    assert made(many_to_one=False, symbols=True, output_size=OUT) == ManyToMany(
        LSTM(H), OUT, w_y="he_normal", symbols=5, embedding_size=E
    )
    assert made(many_to_one=True, symbols=True) == ManyToOne(
        LSTM(H), 5, w_y="he_normal", symbols=5, embedding_size=E
    )


# ---- refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: ManyToOne(3, OUT), TypeError, "expected a cell or a layer, got int"),
        (lambda: ManyToOne(LSTM(H), 0), ValueError, "outputs must be a whole number of at least 1"),
        (lambda: ManyToMany(LSTM(H), "2"), ValueError, "outputs must be .* got '2'"),  # type: ignore
        (lambda: ManyToMany(LSTM(H), True), ValueError, "outputs must be .* got True"),
        (lambda: LanguageModel(LSTM(H), 0), ValueError, "symbols must be .* at least 1, got 0"),
        (lambda: ManyToOne(LSTM(H), OUT, symbols=-1), ValueError, "symbols must be .* got -1"),
        (lambda: LanguageModel(LSTM(H), V, -1), ValueError, "embedding_size must be .* got -1"),
        (lambda: ManyToOne(LSTM(H), OUT, embedding_size=4), ValueError, "set symbols"),
        (lambda: ManyToOne(LSTM(H), OUT, "xavier"), ValueError, "w_y: unknown scheme 'xavier'"),
        (lambda: ManyToMany(LSTM(H), OUT, b_y="zero"), ValueError, "b_y: .*did you mean 'zeros'"),
        (lambda: LanguageModel(LSTM(H), V, w_e="n("), ValueError, "w_e: a scheme is"),
        (lambda: ManyToOne(LSTM(H), OUT, activation="tan"), ValueError, "did you mean 'tanh'"),
        (lambda: ManyToOne(LSTM(H), OUT, pooling="max"), ValueError, "unknown pooling 'max'"),
        (lambda: LanguageModel(LSTM(H), V, tie=True), ValueError, f"= {H}, .* got 0"),
        (lambda: LanguageModel(LSTM(H), V, E, True), ValueError, f"= {H}, .* got {E}"),
    ],
)
def test_bad_models(build, error, message):
    with pytest.raises(error, match=message):
        build()


FLOATS, WORDS = ManyToOne(LSTM(H), OUT), LanguageModel(LSTM(H), V)


@pytest.mark.parametrize(
    ("model", "inputs", "options", "error", "message"),
    [
        (FLOATS, jnp.ones((T, D)), {}, ValueError, r"time, features\), got shape \(7, 3\)"),
        (FLOATS, jnp.ones((1, B, T, D)), {}, ValueError, r"got shape \(1, 4, 7, 3\)"),
        (FLOATS, jnp.ones((B, 0, D)), {}, ValueError, r"at least one step, got shape \(4, 0, 3\)"),
        (FLOATS, symbols(), {}, TypeError, "xs must be floats, got int32; embed or one-hot"),
        (
            FLOATS,
            jnp.ones((B, T, D + 1)),
            {},
            ValueError,
            r"params.W_xf must be \(4, 5\) for x of 4 features, got \(3, 5\)",
        ),
        (FLOATS, floats(), {"lengths": RAGGED[:2]}, ValueError, r"lengths must be \(4,\)"),
        (FLOATS, floats(), {"lengths": RAGGED + 1}, ValueError, "lie in 0 … 7, got 2 … 8"),
        (FLOATS, floats(), {"lengths": RAGGED * 1.0}, TypeError, "whole numbers, got float"),
        (FLOATS, floats(), {"initial_state": 3}, ValueError, "initial_state must be a LSTMState"),
        (WORDS, floats(), {}, TypeError, "inputs must be symbols, whole numbers, got float"),
        (WORDS, [[0.5]], {}, TypeError, "inputs must be symbols, whole numbers, got float"),
        (WORDS, symbols()[0], {}, ValueError, r"symbols \(batch, time\), got shape \(7,\)"),
        (WORDS, symbols()[:, :0], {}, ValueError, "at least one step"),
        (WORDS, symbols().at[1, 3].set(V), {}, ValueError, "must lie in 0 … 5, got . … 6"),
        (WORDS, symbols().at[1, 0].set(-1), {"lengths": RAGGED}, ValueError, "got -1 … 5"),
        (WORDS, symbols(), {"lengths": RAGGED[:2]}, ValueError, r"lengths must be \(4,\)"),
    ],
)
def test_bad_inputs(model, inputs, options, error, message):
    params = draw(model)
    with pytest.raises(error, match=message):
        model.apply(params, inputs, **options)


def test_an_unknown_symbol_inside_a_program_is_not_a_number():
    for model in (WORDS, LANGUAGE["embedding"], LANGUAGE["tied"]):
        run = jax.jit(lambda p, s, model=model: model.apply(p, s)[0])
        for bad in (-1, V):
            y = run(draw(model), symbols().at[1, 3].set(bad))
            assert np.isnan(y[1, 3:]).all()
            assert np.isfinite(y[1, :3]).all()
            assert np.isfinite(y[jnp.array([0, 2, 3])]).all()


@pytest.mark.parametrize("name", ["recurrent", "W_hy", "b_y", "embedding"])
def test_bad_params(name):
    model = LANGUAGE["embedding"]
    params = draw(model)["params"]
    missing = {k: v for k, v in params.items() if k != name}
    with pytest.raises(ValueError, match=f"params must hold '{name}', got "):
        model.apply({"params": missing}, symbols())
    if name == "recurrent":
        other: Any = LSTM(H).init_params(jax.random.key(0), E)
        message = "params must be GRUParams.* got LSTMParams"
    else:
        other = params[name][..., :1]
        message = rf"params\['{name}'\] must be \(.*{V if name != 'embedding' else E},?\), got "
    with pytest.raises(ValueError, match=message):
        model.apply({"params": {**params, name: other}}, symbols())
