"""Every scheme's moments or exact property; which block gets which scheme; names and errors."""

import contextlib
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlab import GRU, LSTM, RNN, InitScheme, register_scheme, theory
from rnnlab.nn import initializers
from rnnlab.nn.initializers import SCHEMES, GateScheme, make, parse

ROWS, COLUMNS = 300, 700  # fan_in, fan_out: far apart, so that swapping them shows
ENTRIES = ROWS * COLUMNS
SIGMAS = 5.0  # every statistical bound: right draws pass but for one key in 10⁶


def draw(scheme, shape=(ROWS, COLUMNS), seed=0, hidden_size=None):
    W = make(scheme, hidden_size)(jax.random.key(seed), shape)
    assert W.shape == shape
    assert W.dtype == jnp.float32
    return np.asarray(W, np.float64)


# ---- moments -----------------------------------------------------------------------------------

NORMAL = {  # scheme: variance
    "normal": 0.01**2,
    "normal(std=0.3)": 0.3**2,
    "standard_normal": 1.0,
    "xavier_normal": 2 / (ROWS + COLUMNS),
    "he_normal": 2 / ROWS,
    "lecun_normal": 1 / ROWS,
    "mean_field": 1 / ROWS,
    "mean_field(sigma_w=2.5)": 2.5**2 / ROWS,
    "critical": 1 / ROWS,
    "critical(activation='relu')": 2 / ROWS,
    "critical(sigma_b=0.2)": theory.critical_sigma_w(sigma_b=0.2) ** 2 / ROWS,
    "critical(input_variance=0.3)": theory.critical_sigma_w(input_variance=0.3) ** 2 / ROWS,
}
UNIFORM = {  # scheme: bound
    "uniform": 0.1,
    "uniform(bound=2.0)": 2.0,
    "torch_uniform(hidden_size=49)": 1 / 7,
    "xavier_uniform": math.sqrt(6 / (ROWS + COLUMNS)),
    "he_uniform": math.sqrt(6 / ROWS),
    "lecun_uniform": math.sqrt(3 / ROWS),
}


def assert_independent(W, variance):
    """Mean zero; and no repeated or scaled rows, whose singular values would stand out."""
    assert abs(W.mean()) < SIGMAS * math.sqrt(variance / W.size)
    m, n = W.shape
    edge = math.sqrt(variance) * (math.sqrt(m) + math.sqrt(n))  # Marchenko-Pastur
    assert np.linalg.norm(W, 2) == pytest.approx(edge, rel=0.05)


@pytest.mark.parametrize("scheme", NORMAL)
def test_normal_draws(scheme):
    W, variance = draw(scheme), NORMAL[scheme]
    # a sample variance of n normals has relative standard deviation √(2/n)
    assert W.var() == pytest.approx(variance, rel=SIGMAS * math.sqrt(2 / ENTRIES))
    z = W / math.sqrt(variance)
    assert abs((z**4).mean() - 3) < SIGMAS * math.sqrt(96 / ENTRIES)
    assert 3.9 < abs(z).max() < 6.5  # not truncated: P(max < 3.9) is e⁻²⁰
    assert_independent(W, variance)


@pytest.mark.parametrize("scheme", UNIFORM)
def test_uniform_draws(scheme):
    W, bound = draw(scheme), UNIFORM[scheme]
    variance = bound**2 / 3
    assert W.var() == pytest.approx(variance, rel=SIGMAS * math.sqrt(0.8 / ENTRIES))
    assert abs(W).max() <= bound * (1 + 1e-6)
    assert W.max() > bound * (1 - 50 / ENTRIES)
    assert W.min() < -bound * (1 - 50 / ENTRIES)
    assert_independent(W, variance)


def test_moments_are_tested_for_every_random_scheme():
    tested = {parse(scheme)[0] for scheme in (*NORMAL, *UNIFORM)}
    assert set(SCHEMES) - tested == {
        "zeros",
        "constant",
        "chrono",
        "orthogonal",
        "identity",
        "sparse",
    }


@pytest.mark.parametrize("scheme", [*NORMAL, *UNIFORM, "orthogonal", "sparse", "chrono"])
def test_a_key_is_a_draw(scheme):
    shape = {"chrono": (40,), "orthogonal": (96, 96), "sparse": (60, 60)}.get(
        scheme,
        (ROWS, COLUMNS),  # as above: already compiled
    )
    first = draw(scheme, shape, seed=1)
    np.testing.assert_array_equal(first, draw(scheme, shape, seed=1))
    assert abs(first - draw(scheme, shape, seed=2)).max() > 0.1 * abs(first).max()


@pytest.mark.parametrize("scheme", ["he_normal", "orthogonal", "sparse", "identity", "1"])
def test_dtypes(scheme, x64):
    init = make(scheme)
    assert init(jax.random.key(0), (16, 16)).dtype == jnp.float64
    assert init(jax.random.key(0), (16, 16), jnp.float32).dtype == jnp.float32


# ---- exact properties --------------------------------------------------------------------------


@pytest.mark.parametrize("gain", [1.0, 0.9, 2.0])
@pytest.mark.parametrize("shape", [(96, 96), (40, 96), (96, 40)])
def test_orthogonal(gain, shape):
    W = draw(f"orthogonal(gain={gain})", shape)
    gram = W.T @ W if shape[0] >= shape[1] else W @ W.T
    np.testing.assert_allclose(gram, gain**2 * np.eye(min(shape)), atol=1e-5 * gain**2)


def test_orthogonal_is_uniform_over_the_group():
    # over the group a trace has mean 0 and variance 1; a QR without its signs put right gives −2
    draws = jax.vmap(lambda key: make("orthogonal")(key, (8, 8)))(
        jax.random.split(jax.random.key(0), 400)
    )
    traces = np.trace(np.asarray(draws), axis1=1, axis2=2)
    assert abs(traces.mean()) < SIGMAS / 20
    assert traces.var() == pytest.approx(1, rel=SIGMAS * math.sqrt(2 / 400))


def test_identity():
    np.testing.assert_array_equal(draw("identity", (5, 5)), np.eye(5))
    np.testing.assert_array_equal(draw("identity(gain=0.5)", (3, 5)), 0.5 * np.eye(3, 5))


@pytest.mark.parametrize(
    ("nonzeros", "radius", "size", "seed"),
    [(15, 0.95, 128, 0), (15, 1.25, 15, 1), (1, 0.5, 60, 2)],
)
def test_sparse(nonzeros, radius, size, seed):
    W = draw(f"sparse(nonzeros={nonzeros}, spectral_radius={radius})", (size, size), seed)
    np.testing.assert_array_equal((W != 0).sum(axis=0), nonzeros)
    assert abs(np.linalg.eigvals(W)).max() == pytest.approx(radius, abs=1e-4)


def test_sparse_places_and_values():
    size, nonzeros = 400, 100
    W = draw(f"sparse(nonzeros={nonzeros})", (size, size))
    p = nonzeros / size
    spread = math.sqrt(size * p * (1 - p))
    counts = (W != 0).sum(axis=1)  # a row's are binomial where every place is as likely
    assert abs(counts - nonzeros).max() < SIGMAS * spread
    assert counts.std() == pytest.approx(spread, rel=SIGMAS / math.sqrt(2 * size))
    values = W[W != 0] / W[W != 0].std()
    assert abs(values.mean()) < SIGMAS / math.sqrt(values.size)
    assert abs((values**4).mean() - 3) < SIGMAS * math.sqrt(96 / values.size)


def test_sparse_under_jit_and_vmap():
    init = make("sparse(nonzeros=4)")
    keys = jax.random.split(jax.random.key(0), 3)
    mapped = jax.jit(jax.vmap(lambda key: init(key, (30, 30))))(keys)
    for key, W in zip(keys, mapped, strict=True):
        np.testing.assert_allclose(W, init(key, (30, 30)), rtol=1e-5)
        assert abs(np.linalg.eigvals(np.asarray(W))).max() == pytest.approx(0.95, abs=1e-4)


def test_critical_passes_its_options_on():
    options = {"sigma_b": 0.3, "input_variance": 0.2, "activation": "tanh"}
    W = initializers.critical(**options)(jax.random.key(0), (ROWS, COLUMNS))
    unit = initializers.mean_field(1.0)(jax.random.key(0), (ROWS, COLUMNS))
    np.testing.assert_allclose(W, theory.critical_sigma_w(**options) * unit, rtol=1e-5)


def test_chrono():
    n, t_max = 20_000, 50
    u = np.sort(np.exp(draw(f"chrono(t_max={t_max})", (n,))))
    assert u[0] >= 1 - 1e-5
    assert u[-1] <= (t_max - 1) * (1 + 1e-5)
    uniform = (u - 1) / (t_max - 2)  # Kolmogorov-Smirnov: exceeded with 2·e^(−2·2.5²)
    assert abs(uniform - (np.arange(n) + 0.5) / n).max() < 2.5 / math.sqrt(n)


def test_constants():
    np.testing.assert_array_equal(draw("zeros", (3,)), np.zeros(3))
    for scheme in ("constant(value=-1.5)", "-1.5", -1.5, " -15e-1 "):
        np.testing.assert_array_equal(draw(scheme, (2, 3)), np.full((2, 3), -1.5))


# ---- block by block ----------------------------------------------------------------------------

GATED = {
    "lstm": (LSTM, "fico"),
    "gru": (GRU, "zrh"),
    "gru-reset-after": (lambda H, **options: GRU(H, reset_after=True, **options), "zrh"),
}


@pytest.mark.parametrize(
    "options", [{}, {"init": InitScheme(w_h="orthogonal")}], ids=["default", "named"]
)
@pytest.mark.parametrize("name", GATED)
def test_every_gate_is_orthogonal(name, options):
    build, gates = GATED[name]
    params = build(64, **options).init_params(jax.random.key(0), input_size=3)
    blocks = [np.asarray(getattr(params, f"W_h{gate}"), np.float64) for gate in gates]
    for k, W in enumerate(blocks):
        np.testing.assert_allclose(W.T @ W, np.eye(64), atol=1e-5)
        for other in blocks[:k]:
            assert abs(W - other).max() > 0.1


@pytest.mark.parametrize("name", GATED)
def test_gates_are_drawn_apart(name):
    build, gates = GATED[name]
    init = InitScheme(w_x="normal(std=1.0)", w_h="normal(std=1.0)", b="normal(std=1.0)")
    params = build(6, init=init).init_params(jax.random.key(0), input_size=6)
    blocks = jax.tree.leaves(params)
    assert len(blocks) == 3 * len(gates) + (name == "gru-reset-after")
    firsts = {float(block.ravel()[0]) for block in blocks}
    assert len(firsts) == len(blocks), "two blocks were drawn with one key"


@pytest.mark.parametrize("build", [RNN, LSTM, GRU, lambda H, init: GRU(H, True, init)])
def test_blocks_get_their_own_scheme(build):
    forget_bias = None if build is RNN else "4.0"
    cell = build(4, init=InitScheme(w_x="2.0", w_h="3.0", b="4.0", forget_bias=forget_bias))
    for name, block in cell.init_params(jax.random.key(0), 5)._asdict().items():
        if block is not None:
            kind = name[:3] if name.startswith("W_") else "b"
            shape, value = {"W_x": ((5, 4), 2.0), "W_h": ((4, 4), 3.0), "b": ((4,), 4.0)}[kind]
            assert block.shape == shape
            np.testing.assert_array_equal(block, value, err_msg=name)


@pytest.mark.parametrize(("name", "gate"), [(n, g) for n, (_, gs) in GATED.items() for g in gs])
def test_a_gate_of_its_own(name, gate):
    build, _ = GATED[name]
    init = InitScheme(w_x="2.0", w_h="3.0", b="4.0", forget_bias="5.0")
    own = init.replace(gates={gate: {"w_x": "6.0", "w_h": "7.0", "b": "8.0"}})
    before = build(4, init=init).init_params(jax.random.key(0), 5)._asdict()
    after = build(4, init=own).init_params(jax.random.key(0), 5)._asdict()
    changed = {f"W_x{gate}": 6.0, f"W_h{gate}": 7.0, f"b_{gate}": 8.0}
    if name == "gru-reset-after" and gate == "h":
        changed["b_hn"] = 8.0
    for block, value in after.items():
        if value is not None:
            np.testing.assert_array_equal(value, changed.get(block, before[block]), err_msg=block)


def test_part_of_a_gate_keeps_the_rest():
    init = InitScheme(w_x="2.0", w_h="3.0", b="4.0", gates={"c": {"w_h": "identity"}})
    params = LSTM(4, init=init).init_params(jax.random.key(0), 5)
    np.testing.assert_array_equal(params.W_hc, np.eye(4))
    assert float(params.W_xc[0, 0]) == 2.0
    assert float(params.b_c[0]) == 4.0


@pytest.mark.parametrize("name", GATED)
def test_forget_bias(name):
    build, gates = GATED[name]
    params = build(4, init=InitScheme(b="0.5", forget_bias="2.5")).init_params(jax.random.key(0), 3)
    for gate in gates:
        expected = 2.5 if gate == gates[0] else 0.5  # f, or z: it keeps the past
        np.testing.assert_array_equal(getattr(params, f"b_{gate}"), expected)


def test_default_forget_biases():
    assert set(LSTM(4).init_params(jax.random.key(0), 3).b_f.tolist()) == {1.0}
    # the cell's own also beside other schemes; zero is written "0.0"
    for init, b_f in ((InitScheme(b="0.5"), 1.0), (InitScheme(forget_bias="0.0"), 0.0)):
        assert set(LSTM(4, init).init_params(jax.random.key(0), 3).b_f.tolist()) == {b_f}
    assert set(GRU(4).init_params(jax.random.key(0), 3).b_z.tolist()) == {0.0}


def test_an_rnn_forgets_nothing():
    with pytest.raises(ValueError, match=r"no forget gate.*1\.0"):
        RNN(4, init=InitScheme(forget_bias=1.0))


@pytest.mark.parametrize(
    "scheme", ["chrono(t_max=50)", initializers.chrono(50)], ids=["string", "function"]
)
def test_chrono_ties_the_input_gate(scheme):
    init = InitScheme(w_h="zeros", b="0.5", forget_bias=scheme)
    params = LSTM(2000, init=init).init_params(jax.random.key(0), 1)
    b_f = np.asarray(params.b_f)
    assert b_f.min() >= -1e-6
    assert b_f.max() <= math.log(49) + 1e-5
    assert len(np.unique(b_f)) > 1000
    np.testing.assert_array_equal(params.b_i, -b_f)
    np.testing.assert_array_equal(params.b_c, 0.5)
    np.testing.assert_array_equal(params.b_o, 0.5)


def test_chrono_yields_to_gates_of_their_own():
    init = InitScheme(forget_bias="chrono", gates={"i": {"b": "-3.0"}})
    params = LSTM(5, init=init).init_params(jax.random.key(0), 1)
    np.testing.assert_array_equal(params.b_i, -3.0)
    assert float(params.b_f.max()) > 0


def test_chrono_in_a_gru():
    init = InitScheme(w_h="zeros", forget_bias="chrono(t_max=50)")
    params = GRU(2000, init=init).init_params(jax.random.key(0), 1)
    assert np.exp(np.asarray(params.b_z)).mean() == pytest.approx(25, rel=0.06)
    np.testing.assert_array_equal(params.b_r, 0.0)


@pytest.mark.parametrize("build", [RNN, LSTM, GRU, lambda H, init: GRU(H, True, init)])
def test_torch_uniform_takes_the_cells_own_size(build):
    H, D = 100, 9
    scheme = "torch_uniform"
    forget_bias = None if build is RNN else scheme
    init = InitScheme(w_x=scheme, w_h=scheme, b=scheme, forget_bias=forget_bias)
    for name, block in build(H, init=init).init_params(jax.random.key(0), D)._asdict().items():
        if block is not None:
            largest = float(abs(block).max())
            assert 0.1 * (1 - 10 / block.size) < largest <= 0.1 * (1 + 1e-6), name


def test_torch_uniform_of_another_size():
    init = InitScheme(w_h="torch_uniform(hidden_size=4)")
    assert float(abs(RNN(50, init=init).init_params(jax.random.key(0), 2).W_hh).max()) > 0.4


# ---- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        ("orthogonal", ("orthogonal", {})),
        (" orthogonal( gain = 0.9 ) ", ("orthogonal", {"gain": 0.9})),
        (
            "sparse(nonzeros=3, spectral_radius=1.1)",
            ("sparse", {"nonzeros": 3, "spectral_radius": 1.1}),
        ),
        ("critical(activation='relu')", ("critical", {"activation": "relu"})),
        ("normal(std=1e-3)", ("normal", {"std": 1e-3})),
        ("identity(gain=-1)", ("identity", {"gain": -1})),
        ("chrono()", ("chrono", {})),
        ("1", ("constant", {"value": 1.0})),
        ("-2.5e-1", ("constant", {"value": -0.25})),
    ],
)
def test_parse(scheme, expected):
    assert parse(scheme) == expected


@given(
    name=st.sampled_from(["normal", "orthogonal", "mean_field", "identity", "uniform"]),
    value=st.floats(1e-6, 1e6),
)
def test_options_reach_the_function_exactly(name, value):
    option = {"normal": "std", "mean_field": "sigma_w", "uniform": "bound"}.get(name, "gain")
    key, shape = jax.random.key(0), (3, 3)
    by_name = make(f"{name}({option}={value!r})")(key, shape)
    by_call = getattr(initializers, name)(**{option: value})(key, shape)
    np.testing.assert_array_equal(by_name, by_call)


BAD = {  # scheme: words its error must have
    "orthogonl": ["'orthogonl'", "did you mean 'orthogonal'"],
    "Orthogonal": ["'Orthogonal'", "did you mean 'orthogonal'"],
    "glorot": ["'glorot'", "`rnnlab run --config=FILE --help` lists all"],
    "orthogonal(gian=0.9)": ["'orthogonal'", "'gian'", "did you mean 'gain'"],
    "he_normal(scale=2)": ["'he_normal'", "'scale'", "none"],
    "orthogonal(0.9)": ["name(option=value)", "'orthogonal(0.9)'"],
    "orthogonal(gain=)": ["name(option=value)"],
    "orthogonal(gain=x)": ["name(option=value)"],
    "orthogonal(gain=__import__('os'))": ["name(option=value)"],
    "jax.orthogonal(gain=1.0)": ["name(option=value)"],
    "orthogonal()()": ["name(option=value)"],
    "orthogonal + 1": ["name(option=value)"],
    "": ["name(option=value)"],
    "(": ["name(option=value)"],
    "normal(std=-1)": ["std", "-1"],
    "normal(std='a')": ["normal", "'a'"],
    "uniform(bound=0)": ["bound", "above 0"],
    "uniform(bound=1e999)": ["bound", "inf"],
    "mean_field(sigma_w=-0.1)": ["sigma_w", "-0.1"],
    "critical(activation='tahn')": ["'tahn'", "did you mean 'tanh'"],
    "critical(sigma_b=-1.0)": ["sigma_b", "-1.0"],
    "chrono(t_max=2)": ["t_max", "2"],
    "sparse(nonzeros=0)": ["nonzeros", "0"],
    "sparse(spectral_radius=-1)": ["spectral_radius", "-1"],
    # accepted by name, these would only show as NaN, as another option, or at the first draw
    "nan": ["nan"],
    "inf": ["inf"],
    "constant(value=1e999)": ["value", "inf"],
    "constant(value='a')": ["value", "'a'"],
    "orthogonal(gain='a')": ["gain", "'a'"],
    "orthogonal(gain=None)": ["gain", "None"],
    "orthogonal(gain=1e999)": ["gain", "inf"],
    "identity(gain=[1])": ["gain", "[1]"],
    "sparse(nonzeros=1.5)": ["nonzeros", "1.5"],
    "chrono(t_max=1e999)": ["t_max", "inf"],
    "orthogonal(**{'gain': 2.0})": ["name(option=value)"],
    "orthogonal(gain=1.0, gain=2.0)": ["gain"],
    "torch_uniform(hidden_size=0)": ["hidden_size", "0"],
    "normal(std={[]: 1})": ["name(option=value)"],
}


@pytest.mark.parametrize("scheme", BAD)
def test_bad_names(scheme):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the words are matched below
        make(scheme, hidden_size=4)
    for words in BAD[scheme]:
        assert words in str(caught.value)


@pytest.mark.parametrize("scheme", [True, None, [1], {"gain": 1}, 1 + 2j, object])
def test_bad_types(scheme):
    if scheme is object:  # a callable is taken at its word
        assert make(scheme) is object
    else:
        with pytest.raises(ValueError, match="a scheme is"):
            make(scheme)


@settings(max_examples=200)
@given(
    st.lists(
        st.sampled_from(
            [
                *SCHEMES,
                "(",
                ")",
                "=",
                ",",
                "gain",
                "std",
                "t_max",
                "1",
                "-",
                "0",
                ".",
                "'a'",
                " ",
                "[",
                "]",
                "None",
                "*",
                "{",
                "}",
                ":",
                "e9",
                "\x00",
                "λ",
            ]
        ),
        max_size=8,
    ).map("".join)
)
def test_any_text_is_a_scheme_or_a_value_error(text):
    with contextlib.suppress(ValueError):
        assert callable(make(text, hidden_size=4))


def test_torch_uniform_needs_a_size():
    with pytest.raises(ValueError, match=r"hidden_size=128"):
        make("torch_uniform")


@pytest.mark.parametrize(
    ("scheme", "shape", "kind"),
    [
        *[(s, (4,), "a matrix") for s in ("orthogonal", "identity", "he_normal", "mean_field")],
        ("xavier_uniform", (2, 3, 4), "a matrix"),
        ("sparse(nonzeros=2)", (4, 5), "a square matrix"),
    ],
)
def test_shapes_a_scheme_cannot_draw(scheme, shape, kind):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the words are matched below
        make(scheme)(jax.random.key(0), shape)
    assert parse(scheme)[0] in str(caught.value)
    assert f"{kind}, got shape {shape}" in str(caught.value)


def test_sparse_needs_enough_units():
    with pytest.raises(ValueError, match=r"nonzeros=15.*at least 15 units, got 8"):
        RNN(8, init=InitScheme(w_h="sparse")).init_params(jax.random.key(0), 2)


@pytest.mark.parametrize("field", ["w_x", "w_h", "w_y", "b", "forget_bias"])
def test_an_error_names_its_field(field):
    with pytest.raises(ValueError, match=rf"init\.{field}: .*'orthogonal'"):
        InitScheme(**{field: "orthogonl"})


@pytest.mark.parametrize(
    ("gates", "words"),
    [
        ({"q": {"w_h": "identity"}}, ["lstm", "'q'", "f, i, c, o"]),
        ({"f": {"w_z": "identity"}}, ["init.gates.f", "'w_z'", "did you mean 'w_x'"]),
        ({"f": {"w_h": "identiy"}}, ["init.gates.f", "did you mean 'identity'"]),
        ({"f": "identity"}, ["init.gates.f", "'identity'"]),
        ({"f": None}, ["init.gates.f", "None"]),
        ("f", ["init.gates", "'f'"]),
        ([("f", {"b": "1.0"}), ("f", {"b": "2.0"})], ["init.gates", "'f'"]),
    ],
)
def test_bad_gates(gates, words):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the words are matched below
        LSTM(4, init=InitScheme(gates=gates))
    for word in words:
        assert word in str(caught.value)


def test_gates_of_another_cell_are_refused():
    for build, letter in ((RNN, "f"), (GRU, "c"), (LSTM, "z")):
        with pytest.raises(ValueError, match=f"'{letter}'"):
            build(4, init=InitScheme(gates={letter: {"w_h": "identity"}}))


# ---- values ------------------------------------------------------------------------------------


def test_schemes_are_values():
    first = InitScheme(w_h="identity", gates={"f": {"b": "1.0"}, "c": {"w_h": "zeros"}})
    # the order of the dict, and a dict or a GateScheme, make no difference
    second = InitScheme(w_h="identity", gates={"c": GateScheme(w_h="zeros"), "f": {"b": "1.0"}})
    assert first == second
    assert hash(first) == hash(second)
    assert first != first.replace(w_h="orthogonal")
    assert len({first, second, InitScheme()}) == 2


def test_register_scheme():
    @register_scheme
    def two_by_name(value=2.0, hidden_size=None):
        return lambda key, shape, dtype=jnp.float32: jnp.full(shape, value * hidden_size, dtype)

    params = RNN(4, init=InitScheme(b="two_by_name(value=3.0)")).init_params(jax.random.key(0), 2)
    np.testing.assert_array_equal(params.b_h, 12.0)
    with pytest.raises(ValueError, match="did you mean 'two_by_name'"):
        make("two_by_nam")
    with pytest.raises(ValueError, match="did you mean 'value'"):
        make("two_by_name(valu=1)")


def test_functions_are_schemes():
    def init(key, shape, dtype=jnp.float32):
        return jnp.full(shape, 3.0, dtype)

    params = GRU(4, init=InitScheme(w_x=init, gates={"r": {"b": init}})).init_params(
        jax.random.key(0), 2
    )
    np.testing.assert_array_equal(params.W_xz, 3.0)
    np.testing.assert_array_equal(params.b_r, 3.0)
    assert make(init) is init


# ---- configs -----------------------------------------------------------------------------------


def test_config_round_trip():
    group = InitScheme.config(w_h="identity", forget_bias="2.0")
    group["gates"]["c"]["w_h"] = "zeros"
    expected = InitScheme(w_h="identity", forget_bias="2.0", gates={"c": {"w_h": "zeros"}})
    assert InitScheme.from_config(group) == expected
    assert InitScheme.from_config(InitScheme.config()) == InitScheme()


def test_config_has_every_key():
    group = InitScheme.config()
    flossing = {"floss", "floss_exponents", "floss_learning_rate", "floss_sequences"}
    assert set(group) == {"w_x", "w_h", "w_y", "b", "forget_bias", "gates"} | flossing
    assert set(group["gates"]) == set("ficozrh")
    assert all(set(gate) == {"w_x", "w_h", "b"} for gate in group["gates"].values())


def test_unknown_config_keys():
    with pytest.raises(ValueError, match=r"'w_hh'; did you mean 'w_h'"):
        InitScheme.from_config({"w_hh": "identity"})
    with pytest.raises(ValueError, match=r"init\.gates\.f.*'w_hh'; did you mean 'w_h'"):
        InitScheme.from_config({"gates": {"f": {"w_hh": "identity"}}})
