"""One step at a time against whole sequences and NumPy loops; sampling against softmax."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from rnnlab import GRU, LSTM, RNN, Bidirectional, InitScheme, Stack
from rnnlab.nn import models
from rnnlab.nn.generation import generate, rollout, stream
from rnnlab.nn.layers import as_layer
from rnnlab.nn.models import LanguageModel, ManyToMany, ManyToOne
from rnnlab.nn.params import RNNParams
from tests.helpers import oracles
from tests.helpers.oracles import assert_close, drawn, to_numpy
from tests.helpers.sequences import applied, compiled

B, T, D, H, V = 3, 6, 2, 5, 7
DRAWS = 20_000


def floats(seed=3):
    return np.random.default_rng(seed).standard_normal((B, T, D))


def symbols(seed=3):
    return np.random.default_rng(seed).integers(V, size=(B, T), dtype=np.int32)


def inputs_of(model):
    return symbols() if model.symbols else floats()


def draw(model, seed=0, scale=0.9) -> Any:
    return drawn(lambda: model.init(jax.random.key(0), inputs_of(model)), seed, scale)


# ---- one step at a time ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model",
    [
        ManyToMany(RNN(H), D),
        ManyToMany(LSTM(H), D, activation="softmax"),
        ManyToMany(GRU(H, reset_after=True), D),
        ManyToMany(Stack([LSTM(H), GRU(H)], dropout=0.5), D),
        ManyToMany(GRU(H), D, symbols=V, embedding_size=4),
        LanguageModel(LSTM(H), V),
        LanguageModel(Stack([GRU(H), LSTM(H)]), V, embedding_size=H, tie=True),
    ],
    ids=["rnn", "lstm-softmax", "gru", "stack", "tagger", "one-hot", "tied"],
)
@pytest.mark.parametrize("random_start", [False, True])
def test_streaming_equals_the_whole_pass(model, random_start):
    params, inputs = draw(model, scale=0.6), inputs_of(model)
    start, step = stream(model)
    state = start(params, B, jax.random.key(1) if random_start else None)
    expected, end = applied(model, params, inputs, initial_state=state)
    ys = []
    for t in range(T):
        y, state = step(params, state, inputs[:, t])
        ys.append(y)
    assert_close((np.stack(ys, axis=1), state), (expected, end), 1e-6)


@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_a_many_to_one_model_answers_for_the_steps_read(pooling):
    model = ManyToOne(LSTM(H), 4, pooling=pooling)
    params = draw(model, scale=0.6)
    start, step = stream(model)
    state = start(params, B)
    # causal, so that all its answers are those of one program over the steps so far
    whole = compiled(lambda p: [model.apply(p, floats()[:, : t + 1])[0] for t in range(T)], params)
    for t in range(T):
        y, state = step(params, state, floats()[:, t])
        assert_close(y, whole[t], 1e-6)


# ---- against NumPy loops -----------------------------------------------------------------------


def logits_after(p, name, cell, read):
    """Logits that follow the symbols ``read`` of one sequence, all read anew."""
    state = {part: np.zeros(H) for part in cell.state_parts}
    for symbol in read:
        state, _ = oracles.STEPS[name](p["recurrent"], state, p["embedding"][symbol])
    return p["W_hy"].T @ state["h"] + p["b_y"]


CELLS = {"rnn-tanh": RNN(H), "lstm": LSTM(H), "gru": GRU(H)}


@pytest.mark.parametrize(("name", "seed"), [("rnn-tanh", 0), ("lstm", 3), ("gru", 1)])
def test_greedy_equals_a_loop(name, seed, x64):
    model = LanguageModel(CELLS[name], V, embedding_size=4)
    params = draw(model, seed, scale=2.5)
    got = generate(model, params, symbols(), steps=12, temperature=0)
    assert got.shape == (B, 12)
    assert got.dtype == jnp.int32
    p = to_numpy(params)["params"]
    for n in range(B):
        read = list(symbols()[n])
        for _ in range(12):
            read.append(int(logits_after(p, name, CELLS[name], read).argmax()))
        assert got[n].tolist() == read[T:]
    assert len(set(got.ravel().tolist())) > 2, "one symbol over and over proves little"


def test_the_whole_prompt_is_read():
    # h counts what was read: the most frequent symbol comes next, the least among equals
    model = LanguageModel(RNN(V, "identity"), V)
    eye, zero = np.eye(V, dtype=np.float32), np.zeros(V, np.float32)
    recurrent = type(draw(model)["params"]["recurrent"])(W_xh=eye, W_hh=eye, b_h=zero)
    params = {"params": {"recurrent": recurrent, "W_hy": eye, "b_y": zero}}
    prompt = np.array([[2, 1, 1, 2, 2], [3, 0, 0, 3, 3], [4, 4, 6, 6, 6]])
    got = generate(model, params, prompt, steps=3, temperature=0)
    assert got.tolist() == [[2, 2, 2], [3, 3, 3], [6, 6, 6]]


def test_one_step_and_one_symbol_of_prompt(x64):
    model = LanguageModel(LSTM(H), V, embedding_size=4)
    params = draw(model)
    got = generate(model, params, symbols()[:, :1], steps=1, temperature=0)
    p = to_numpy(params)["params"]
    for n in range(B):
        expected = logits_after(p, "lstm", LSTM(H), [int(symbols()[n, 0])]).argmax()
        assert got[n].tolist() == [expected]


def test_models_that_read_symbols_generate_alike(x64):
    language = LanguageModel(GRU(H), V, embedding_size=4)
    params = draw(language, seed=1, scale=2.5)
    expected = generate(language, params, symbols(), 9, temperature=0)
    for kind in (ManyToOne, ManyToMany):
        model = kind(GRU(H), V, symbols=V, embedding_size=4)
        np.testing.assert_array_equal(
            generate(model, params, symbols(), 9, temperature=0), expected
        )


@pytest.mark.parametrize("kind", [ManyToOne, ManyToMany])
def test_rollout_equals_a_loop(kind, x64):
    model = kind(GRU(H), D)
    params = draw(model, scale=0.6)
    got = rollout(model, params, floats(), steps=5)
    assert got.shape == (B, 5, D)
    p = to_numpy(params)["params"]
    expected = np.zeros((B, 5, D))
    for n in range(B):
        read = list(floats()[n])
        for s in range(5):
            state = {"h": np.zeros(H)}
            for x in read:
                state, _ = oracles.gru_step(p["recurrent"], state, x)
            read.append(p["W_hy"].T @ state["h"] + p["b_y"])
            expected[n, s] = read[-1]
    assert_close(got, expected, 1e-10)
    np.testing.assert_array_equal(rollout(model, params, floats(), steps=1), got[:, :1])


def test_rollout_of_a_known_recursion():
    # h_t = x_t, y_t = x_t/2: every forecast halves the last
    model = ManyToMany(RNN(1, "identity"), 1)
    one, zero = np.ones((1, 1), np.float32), np.zeros((1, 1), np.float32)
    params = {"recurrent": RNNParams(one, zero, zero[0]), "W_hy": one / 2, "b_y": zero[0]}
    got = rollout(model, {"params": params}, 8 * np.ones((1, 3, 1), np.float32), steps=4)
    assert got.ravel().tolist() == [4.0, 2.0, 1.0, 0.5]


# ---- draws -------------------------------------------------------------------------------------


def sampler(seed=0) -> tuple[Any, Any, Any]:
    """A language model, and the same prompt many times over."""
    model = LanguageModel(GRU(H), V, embedding_size=4)
    params = draw(model, seed)
    return model, params, np.tile(symbols()[:1], (DRAWS, 1))


def p_next(model, params, read, temperature=1.0):
    """softmax of the logits after ``read``, in float64."""
    steps = np.array([read], np.int32)
    logits = np.asarray(applied(model, params, steps)[0][0, -1], np.float64)
    p = np.exp((logits - logits.max()) / temperature)
    return p / p.sum()


def assert_distributed(drawn, p):
    """By a chi-square test; the keys are fixed, so that this passes for ever or never."""
    counts = np.bincount(drawn, minlength=len(p))
    assert counts[p == 0].sum() == 0
    likely = p * len(drawn) >= 5
    observed = np.append(counts[likely], counts[~likely].sum())
    expected = np.append(p[likely], p[~likely].sum()) * len(drawn)
    real = expected > 0
    assert real.sum() > 2
    assert stats.chisquare(observed[real], expected[real]).pvalue > 1e-3


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_temperature_against_softmax(temperature):
    model, params, prompt = sampler()
    drawn = generate(model, params, prompt, 1, jax.random.key(0), temperature)
    drawn, prompt = np.asarray(drawn), prompt[0].tolist()
    assert_distributed(drawn[:, 0], p_next(model, params, prompt, temperature))
    other = p_next(model, params, prompt, 1.3 * temperature)
    with pytest.raises(AssertionError):
        assert_distributed(drawn[:, 0], other)


def test_drawn_symbols_are_fed_back():
    # pairs follow p(a)·p(b | a); one key for both steps, or a wrong x_{t+1}, would show
    model, params, prompt = sampler()
    drawn = np.asarray(generate(model, params, prompt, 3, jax.random.key(1)))
    read = prompt[0].tolist()
    first = p_next(model, params, read)
    pairs = np.concatenate([first[a] * p_next(model, params, [*read, a]) for a in range(V)])
    assert_distributed(drawn[:, 0] * V + drawn[:, 1], pairs)
    a, b = divmod(int(np.bincount(drawn[:, 0] * V + drawn[:, 1]).argmax()), V)
    third = drawn[(drawn[:, 0] == a) & (drawn[:, 1] == b), 2]
    assert_distributed(third, p_next(model, params, [*read, a, b]))


@pytest.mark.parametrize("k", [1, 3, V])
def test_top_k_draws_among_the_k_best(k):
    model, params, prompt = sampler()
    drawn = np.asarray(generate(model, params, prompt, 2, jax.random.key(2), 1.7, top_k=k))
    read = prompt[0].tolist()

    def cut(p):
        best = np.sort(p)[-k]
        return np.where(p >= best, p, 0) / p[p >= best].sum()

    first = cut(p_next(model, params, read, 1.7))
    assert set(drawn[:, 0]) == set(np.flatnonzero(first))
    for a in set(drawn[:, 0]):
        then = cut(p_next(model, params, [*read, int(a)], 1.7))
        assert set(drawn[drawn[:, 0] == a, 1]) <= set(np.flatnonzero(then))
    if k > 2:
        assert_distributed(drawn[:, 0], first)


def test_top_k_of_equal_logits_is_still_k():
    model, params, prompt = sampler()
    flat = jax.tree.map(np.zeros_like, params)
    drawn = np.asarray(generate(model, flat, prompt, 1, jax.random.key(0), top_k=3))
    assert len(set(drawn[:, 0].tolist())) == 3


@pytest.mark.parametrize("options", [{"top_k": 1}, {"temperature": 2e-38}, {"temperature": 1e-6}])
def test_limits_that_are_greedy(options):
    model = LanguageModel(LSTM(H), V, embedding_size=4)
    params = draw(model, seed=2, scale=1.5)
    params["params"]["b_y"] += 50.0  # 50 / 2e-38 is infinite in float32
    greedy = generate(model, params, symbols(), 10, temperature=0)
    drawn = generate(model, params, symbols(), 10, jax.random.key(0), **options)
    np.testing.assert_array_equal(drawn, greedy)


def test_top_k_changes_nothing_where_nothing_is_drawn():
    model = LanguageModel(LSTM(H), V)
    params = draw(model)
    np.testing.assert_array_equal(
        generate(model, params, symbols(), 10, temperature=0, top_k=2),
        generate(model, params, symbols(), 10, temperature=0),
    )


def test_keys_decide():
    model = LanguageModel(LSTM(H), V)
    params = draw(model, scale=0.3)
    one, again, other = (
        np.asarray(generate(model, params, symbols(), 30, jax.random.key(k))) for k in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    # step t draws from fold_in(key, t): a longer text begins like a shorter one
    longer = np.asarray(generate(model, params, symbols(), 40, jax.random.key(0)))
    np.testing.assert_array_equal(longer[:, :30], one)


def test_draws_in_float64(x64):
    model, params, prompt = sampler()
    drawn = generate(model, params, prompt, 1, jax.random.key(0), 0.7, top_k=V - 1)
    assert drawn.dtype == jnp.int32
    p = p_next(model, params, prompt[0].tolist(), 0.7)
    p[p.argmin()] = 0
    assert_distributed(np.asarray(drawn)[:, 0], p / p.sum())


# ---- compiled ----------------------------------------------------------------------------------


TRACES = []


@dataclass(frozen=True)
class Counted:
    """A layer that counts how often a program is traced through it."""

    inner: Any

    @property
    def output_size(self):
        return self.inner.output_size

    def init(self, key, input_size):
        return self.inner.init(key, input_size)

    def initial_state(self, params, batch_shape, key=None):
        return self.inner.initial_state(params, batch_shape, key)

    def apply(self, params, xs, **options):
        TRACES.append(xs.shape)
        return self.inner.apply(params, xs, **options)


CALLS = {
    "generate": (
        LanguageModel,
        V,
        lambda model, params, n: generate(
            model, params, symbols(n), 4, jax.random.key(n), temperature=1.0 + n, top_k=2
        ),
    ),
    "greedy": (
        LanguageModel,
        V,
        lambda model, params, n: generate(model, params, symbols(n), 4, temperature=0),
    ),
    "rollout": (ManyToMany, D, lambda model, params, n: rollout(model, params, floats(n), 4)),
    "step": (
        ManyToMany,
        D,
        lambda model, params, n: stream(model).step(
            params, stream(model).start(params, B), floats(n)[:, 0]
        ),
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_compiles_once(name):
    kind, outputs, call = CALLS[name]
    schemes = [("orthogonal", "xavier_uniform"), ("identity", "normal"), ("normal", "he_normal")]
    TRACES.clear()
    for n, (w_h, w_y) in enumerate(schemes):
        net = Counted(as_layer(RNN(H, init=InitScheme(w_h=w_h))))
        model = kind(net, outputs, w_y=w_y)
        params = draw(model, seed=n)
        before = len(TRACES)
        call(model, params, n)
        traced = len(TRACES) - before
        assert traced > 0 if n == 0 else traced == 0, schemes[n]


# ---- refused -----------------------------------------------------------------------------------

BOTH = [
    Bidirectional(LSTM(H)),
    Stack([Bidirectional(LSTM(H)), GRU(H)]),
    Stack([GRU(H), Stack([Bidirectional(GRU(H))])]),
]


@pytest.mark.parametrize("net", BOTH, ids=["bi", "below", "nested"])
def test_no_future_in_real_time(net):
    message = "Bidirectional layer can't run in real time"
    with pytest.raises(ValueError, match=message):
        stream(ManyToMany(net, D))
    with pytest.raises(ValueError, match=message):
        generate(LanguageModel(net, V), {}, symbols(), 3, temperature=0)
    with pytest.raises(ValueError, match=message):
        rollout(ManyToMany(net, D), {}, floats(), 3)


WORDS = LanguageModel(as_layer(LSTM(H)), V)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"temperature": -0.5}, ValueError, "temperature must be 0 .* got -0.5"),
        ({"temperature": float("nan")}, ValueError, "temperature must be .* got nan"),
        ({"temperature": float("inf")}, ValueError, "temperature must be .* got inf"),
        ({"temperature": 1e-60}, ValueError, "temperature must be .* got 1e-60"),
        ({"top_k": V + 1}, ValueError, "top_k must be a whole number from 0 to 7, got 8"),
        ({"top_k": -1}, ValueError, "top_k must be .* got -1"),
        ({"top_k": 1.0}, ValueError, "top_k must be .* got 1.0"),
        ({"steps": 0}, ValueError, "steps must be a whole number of at least 1, got 0"),
        ({"steps": 2.5}, ValueError, "steps must be .* got 2.5"),
        ({"key": None}, ValueError, "temperature=1.0 draws at random: give a key"),
        ({"prompt": symbols()[:, :0]}, ValueError, r"at least one step, got shape \(3, 0\)"),
        ({"prompt": symbols()[0]}, ValueError, r"symbols \(batch, time\) .* got shape \(6,\)"),
        ({"prompt": symbols() + V}, ValueError, "symbols must lie in 0 … 6"),
        ({"prompt": floats()[..., 0]}, TypeError, "whole numbers, got float"),
        ({"model": ManyToMany(LSTM(H), V)}, ValueError, "over its own symbols, got symbols=0"),
        ({"model": ManyToMany(LSTM(H), D, symbols=V)}, ValueError, "symbols=7, outputs=2"),
        ({"model": LanguageModel(LSTM(H), V, activation="softmax")}, ValueError, "'softmax'"),
    ],
)
def test_generate_refuses(change, error, message):
    model = change.get("model", WORDS)
    options = {
        "model": model,
        "params": draw(model),
        "prompt": symbols(),
        "steps": 3,
        "key": jax.random.key(0),
    }
    with pytest.raises(error, match=message):
        generate(**{**options, **change})


@pytest.mark.parametrize(
    ("model", "prompt", "steps", "error", "message"),
    [
        (WORDS, symbols(), 3, ValueError, "got a model of 7 symbols: see generate"),
        (ManyToMany(LSTM(H), D), floats(), 0, ValueError, "steps must be .* got 0"),
        (ManyToMany(LSTM(H), D), floats()[:, :0], 3, ValueError, r"step, got shape \(3, 0, 2\)"),
        (ManyToMany(LSTM(H), D), floats()[0], 3, ValueError, r"features\) .* got shape \(6, 2\)"),
        (ManyToMany(LSTM(H), D), symbols(), 3, TypeError, "must be floats, got int32"),
        (ManyToMany(LSTM(H), 5), floats(), 3, ValueError, "got 5 outputs, 2 features"),
    ],
)
def test_rollout_refuses(model, prompt, steps, error, message):
    with pytest.raises(error, match=message):
        rollout(model, draw(model), prompt, steps)


def test_stream_refuses():
    start, step = stream(WORDS)
    params = draw(WORDS)
    state = start(params, B)
    with pytest.raises(ValueError, match=r"one step, symbols \(batch,\), got shape \(3, 6\)"):
        step(params, state, symbols())
    with pytest.raises(ValueError, match="symbols must lie in 0 … 6, got 7 … 7"):
        step(params, state, np.full(B, V))
    with pytest.raises(ValueError, match=r"initial_state.h must be \(2, 5\), got \(3, 5\)"):
        step(params, state, symbols()[:2, 0])
    model = ManyToMany(LSTM(H), D)
    with pytest.raises(ValueError, match=r"one step, \(batch, features\), got shape \(3, 6, 2\)"):
        stream(model).step(draw(model), None, floats())
    assert models.count_params(params) == 4 * (V * H + H * H + H) + H * V + V
