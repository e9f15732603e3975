"""Each equation against NumPy written out, its leading axes, and the shapes it refuses."""

import inspect
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab.nn import equations
from tests.helpers import oracles
from tests.helpers.oracles import affine, sigmoid

H, D, OUT = 5, 3, 4
LEADING = [(), (4,), (2, 3)]  # one example, a batch, members by batch

pytestmark = pytest.mark.usefixtures("x64")
leading_axes = pytest.mark.parametrize("leading", LEADING, ids=str)


def arrays(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [jnp.asarray(0.8 * rng.standard_normal(shape)) for shape in shapes]


def gate_arrays(leading):
    return arrays((*leading, H), (*leading, D), (H, H), (D, H), (H,))


def each(equation: Callable[..., np.ndarray], *batches):
    """The equation, one example at a time: vectors in, vectors out."""
    leading = batches[0].shape[:-1]
    rows = [equation(*(np.asarray(b)[index] for b in batches)) for index in np.ndindex(leading)]
    return np.reshape(rows, (*leading, -1))


def assert_equal(got, expected):
    assert got.dtype == jnp.float64
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-13)


def check_gate(function, f, leading):
    h, x, W_h, W_x, b = gate_arrays(leading)
    expected = each(lambda h, x: f(affine(W_h, W_x, b, h, x)), h, x)
    assert_equal(function(h, x, W_h, W_x, b), expected)


# ---- one test an equation (the README's table names them) --------------------------------------


@pytest.mark.parametrize("activation", ["tanh", "relu", "identity"])
@leading_axes
def test_rnn_hidden(leading, activation):
    check_gate(
        lambda *args: equations.rnn_hidden(*args, activation=activation),
        oracles.ACTIVATIONS[activation],
        leading,
    )


def test_rnn_hidden_with_a_callable():
    check_gate(lambda *args: equations.rnn_hidden(*args, activation=jnp.sin), np.sin, (4,))


def test_rnn_hidden_is_tanh_by_default():
    check_gate(equations.rnn_hidden, np.tanh, (4,))


@leading_axes
def test_output(leading):
    h, W, b = arrays((*leading, H), (H, OUT), (OUT,))

    def logits(h):
        return np.asarray(W).T @ h + b

    def softmax(a):
        return np.exp(a) / np.exp(a).sum()

    assert_equal(equations.output(h, W, b), each(logits, h))
    assert_equal(equations.output(h, W, b, "sigmoid"), each(lambda h: sigmoid(logits(h)), h))
    assert_equal(equations.output(h, W, b, "softmax"), each(lambda h: softmax(logits(h)), h))
    assert_equal(equations.output(h, W, b, jnp.square), each(lambda h: logits(h) ** 2, h))


@leading_axes
def test_forget_gate(leading):
    check_gate(equations.forget_gate, sigmoid, leading)


@leading_axes
def test_input_gate(leading):
    check_gate(equations.input_gate, sigmoid, leading)


@leading_axes
def test_candidate_memory(leading):
    check_gate(equations.candidate_memory, np.tanh, leading)


@leading_axes
def test_cell_state(leading):
    f, C, i, C_tilde = arrays(*4 * [(*leading, H)])
    expected = each(lambda f, C, i, C_tilde: f * C + i * C_tilde, f, C, i, C_tilde)
    assert_equal(equations.cell_state(f, C, i, C_tilde), expected)


@leading_axes
def test_output_gate(leading):
    check_gate(equations.output_gate, sigmoid, leading)


@leading_axes
def test_lstm_hidden(leading):
    o, C = arrays(*2 * [(*leading, H)])
    assert_equal(equations.lstm_hidden(o, C), each(lambda o, C: o * np.tanh(C), o, C))


@leading_axes
def test_update_gate(leading):
    check_gate(equations.update_gate, sigmoid, leading)


@leading_axes
def test_reset_gate(leading):
    check_gate(equations.reset_gate, sigmoid, leading)


@leading_axes
def test_candidate_hidden(leading):
    h, x, W_h, W_x, b = gate_arrays(leading)
    r, b_hn = arrays((*leading, H), (H,), seed=1)
    before = each(lambda r, h, x: np.tanh(affine(W_h, W_x, b, r * h, x)), r, h, x)
    assert_equal(equations.candidate_hidden(r, h, x, W_h, W_x, b), before)

    def reset_after(r, h, x):
        return np.tanh(np.asarray(W_x).T @ x + b + r * (np.asarray(W_h).T @ h + b_hn))

    after = each(reset_after, r, h, x)
    assert_equal(equations.candidate_hidden(r, h, x, W_h, W_x, b, b_hn), after)


@leading_axes
def test_gru_hidden(leading):
    z, h, h_tilde = arrays(*3 * [(*leading, H)])
    expected = each(lambda z, h, h_tilde: z * h + (1 - z) * h_tilde, z, h, h_tilde)
    assert_equal(equations.gru_hidden(z, h, h_tilde), expected)


# ---- shapes ------------------------------------------------------------------------------------

AFFINE = (
    "rnn_hidden",
    "forget_gate",
    "input_gate",
    "candidate_memory",
    "output_gate",
    "update_gate",
    "reset_gate",
    "candidate_hidden",
)


EQUATIONS = (*AFFINE, "output", "cell_state", "lstm_hidden", "gru_hidden")


OPTIONS = ("activation", "gains", "peephole", "g_h", "g_C", "b_C")  # these: test_cell_options.py


def names_of(equation):
    return [
        a for a in inspect.signature(getattr(equations, equation)).parameters if a not in OPTIONS
    ]


def shape_of(argument, leading):
    if argument.startswith("W_"):
        return (H, OUT) if argument == "W_hy" else (D if argument.startswith("W_x") else H, H)
    if argument.startswith("b_"):
        return (OUT,) if argument == "b_y" else (H,)
    return (*leading, D if argument == "x" else H)


def arguments(equation, leading=()):
    """Right arguments of an equation by name, random."""
    names = names_of(equation)
    return dict(zip(names, arrays(*(shape_of(a, leading) for a in names)), strict=True))


@pytest.mark.parametrize("name", AFFINE)
def test_leading_axes_broadcast(name):
    given = arguments(name)
    h, x = arrays((2, 1, H), (3, D), seed=1)
    mixed = getattr(equations, name)(**{**given, "h": h, "x": x})
    assert mixed.shape == (2, 3, H)
    for n in range(2):
        for b in range(3):
            alone = getattr(equations, name)(**{**given, "h": h[n, 0], "x": x[b]})
            np.testing.assert_allclose(mixed[n, b], alone, rtol=1e-12)


# each argument cut to another last axis: one too long, and 1, which would broadcast
WRONG = [
    (name, argument, size) for name in EQUATIONS for argument in names_of(name) for size in (1, 7)
]


@pytest.mark.parametrize(("name", "argument", "size"), WRONG)
def test_wrong_last_axis(name, argument, size):
    given = arguments(name, (2,))
    shape = given[argument].shape
    given[argument] = jnp.ones((*shape[:-1], size))
    with pytest.raises(ValueError, match=rf"^{name}: ") as caught:
        getattr(equations, name)(**given)
    assert str(size) in str(caught.value), "says what it got"
    assert str(shape[-1]) in str(caught.value), "says what it expected"


@pytest.mark.parametrize("name", [n for n in EQUATIONS if n not in ("cell_state", "lstm_hidden")])
def test_wrong_first_axis_of_a_kernel(name):
    for argument in [a for a in arguments(name) if a.startswith("W_")]:
        given = arguments(name, (2,))
        rows, columns = given[argument].shape
        given[argument] = jnp.ones((7, columns))
        with pytest.raises(ValueError, match=rf"^{name}: .*\b7\b") as caught:
            getattr(equations, name)(**given)
        assert str(rows) in str(caught.value)


@pytest.mark.parametrize("size", [1, 7])
@pytest.mark.parametrize("argument", ["r", "h"])
def test_wrong_last_axis_with_reset_before(argument, size):
    given = arguments("candidate_hidden", (2,))
    del given["b_hn"]
    given[argument] = jnp.ones((2, size))
    with pytest.raises(ValueError, match=rf"^candidate_hidden: .*\b{size}\b"):
        equations.candidate_hidden(**given)


@pytest.mark.parametrize("name", ["forget_gate", "output"])
def test_too_few_axes(name):
    for argument in (a for a in names_of(name) if not a.startswith("b_")):
        given = arguments(name)
        given[argument] = given[argument][..., 0]
        with pytest.raises(ValueError, match=rf"^{name}: "):
            getattr(equations, name)(**given)
