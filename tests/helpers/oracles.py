"""The equations again, in NumPy loops over examples and steps, in the layout of the maths.

``W·[h, x]`` here is one matrix (out, in) times one vector, as the notes write it; the library
keeps the blocks apart and transposed. Nothing here is shared with the library.

A step takes and returns a dict of vectors (h, and C for the LSTM); ``nudge`` adds to a part of the
state at the moment it is made.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

Values = dict[str, np.ndarray]


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def joined(W_h, W_x):
    """W of W·[h, x], from the library's (in, out) blocks."""
    return np.concatenate([np.asarray(W_h).T, np.asarray(W_x).T], axis=1)


def affine(W_h, W_x, b, h, x):
    return joined(W_h, W_x) @ np.concatenate([h, x]) + b


def layer_norm(a, g, b=0.0):
    mean = sum(a) / len(a)
    variance = sum((unit - mean) ** 2 for unit in a) / len(a)
    return g * (a - mean) / np.sqrt(variance + 1e-5) + b


def gate(p, letter, h, x):
    """The summed input of one gate, its two products normalized apart if ``p.norm`` says so."""
    W_h, W_x, b = (getattr(p, f"{block}{letter}") for block in ("W_h", "W_x", "b_"))
    if p.norm is None:
        return affine(W_h, W_x, b, h, x)
    gains = getattr(p.norm, letter)
    return layer_norm(W_h.T @ h, gains.h) + layer_norm(W_x.T @ x, gains.x) + b


ACTIVATIONS = {
    "tanh": np.tanh,
    "relu": lambda a: np.where(a > 0, a, 0.0),
    "identity": lambda a: a,
    "sigmoid": sigmoid,
    "softplus": lambda a: np.log1p(np.exp(a)),
}


def _nudged(value, nudge, part):
    return value + (nudge or {}).get(part, 0.0)


def rnn_step(p, state, x, nudge=None, *, activation):
    if p.g_h is None:
        a = affine(p.W_hh, p.W_xh, p.b_h, state["h"], x)
    else:
        a = layer_norm(joined(p.W_hh, p.W_xh) @ np.concatenate([state["h"], x]), p.g_h, p.b_h)
    h = ACTIVATIONS[activation](a)
    return {"h": _nudged(h, nudge, "h")}, {}


def lstm_step(p, state, x, nudge=None):
    h, C = state["h"], state["C"]
    p_f, p_i, p_o = (0.0, 0.0, 0.0) if p.peepholes is None else p.peepholes
    f = sigmoid(gate(p, "f", h, x) + p_f * C)
    i = sigmoid(gate(p, "i", h, x) + p_i * C)
    C_tilde = np.tanh(gate(p, "c", h, x))
    C = _nudged(f * C + i * C_tilde, nudge, "C")
    o = sigmoid(gate(p, "o", h, x) + p_o * C)
    m = o * np.tanh(C if p.norm is None else layer_norm(C, p.norm.g_C, p.norm.b_C))
    gates = {"f": f, "i": i, "C_tilde": C_tilde, "o": o}
    if p.W_mh is not None:
        gates, m = {**gates, "m": m}, p.W_mh.T @ m
    return {"h": _nudged(m, nudge, "h"), "C": C}, gates


def gru_step(p, state, x, nudge=None, *, reset_after=False):
    h = state["h"]
    z, r = sigmoid(gate(p, "z", h, x)), sigmoid(gate(p, "r", h, x))
    if reset_after:
        past, present = p.W_hh.T @ h, p.W_xh.T @ x
        if p.norm is not None:
            past, present = layer_norm(past, p.norm.h.h), layer_norm(present, p.norm.h.x)
        h_tilde = np.tanh(present + p.b_h + r * (past + p.b_hn))
    else:
        h_tilde = np.tanh(gate(p, "h", r * h, x))
    h = _nudged(z * h + (1 - z) * h_tilde, nudge, "h")
    return {"h": h}, {"z": z, "r": r, "h_tilde": h_tilde}


# by the library's own names for its cells; softplus stands for "any callable"
STEPS = {
    "rnn-tanh": partial(rnn_step, activation="tanh"),
    "rnn-relu": partial(rnn_step, activation="relu"),
    "rnn-identity": partial(rnn_step, activation="identity"),
    "rnn-sigmoid": partial(rnn_step, activation="sigmoid"),
    "rnn-softplus": partial(rnn_step, activation="softplus"),
    "lstm": lstm_step,
    "gru": gru_step,
    "gru-reset-after": partial(gru_step, reset_after=True),
}


class Run(NamedTuple):
    ys: np.ndarray  # (B, T, H)
    state: Values  # leaves (B, H)
    taps: Values  # (B, T, H)


def recurrence(step, p, xs, initial, *, lengths=None, reverse=False, nudges=None):
    """``step`` over xs (B, T, D) from ``initial``, leaves (B, H); padded steps give zeros.

    ``nudges``: {t: {part: vector}}, added to every example's state made at step t.
    """
    B, T, _ = xs.shape
    H = initial["h"].shape[-1]
    ys, taps, finals = np.zeros((B, T, H)), {}, []
    for n in range(B):
        state = {part: value[n] for part, value in initial.items()}
        real = range(T if lengths is None else lengths[n])
        for t in reversed(real) if reverse else real:
            state, gates = step(p, state, xs[n, t], (nudges or {}).get(t))
            ys[n, t] = state["h"]
            for name, value in {**gates, **state}.items():
                taps.setdefault(name, np.zeros((B, T, value.size)))[n, t] = value
        finals.append(state)
    state = {part: np.stack([final[part] for final in finals]) for part in initial}
    return Run(ys, state, taps)


MERGES = {
    "concat": lambda a, b: np.concatenate([a, b], axis=-1),
    "sum": lambda a, b: a + b,
    "mean": lambda a, b: 0.5 * (a + b),
    "product": lambda a, b: a * b,
}


def random_like(tree: Any, seed: int, scale: float = 0.6) -> Any:
    """The tree with every entry of every leaf drawn N(0, scale²): no zero biases, no h_0 = 0."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: jax.numpy.asarray(scale * rng.standard_normal(leaf.shape), leaf.dtype), tree
    )


def drawn(make: Callable[[], Any], seed: int = 0, scale: float = 0.6) -> Any:
    """Random values of what ``make()`` returns; only its shapes are computed, nothing compiles."""
    return random_like(jax.eval_shape(make), seed, scale)


def to_numpy(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), tree)


def relative_error(got: Any, expected: Any) -> float:
    """max|a − b| / max|b|, the project's measure of exactness."""
    got, expected = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    assert got.shape == expected.shape
    assert np.isfinite(expected).all()
    largest = np.abs(expected).max()
    assert largest > 0, "an array of zeros proves nothing"
    return float(np.abs(got - expected).max() / largest)


def assert_close(got: Any, expected: Any, bound: float) -> None:
    """Every leaf within ``bound`` by :func:`relative_error`."""
    paths, ours = zip(*jax.tree_util.tree_leaves_with_path(got), strict=True)
    for path, a, b in zip(paths, ours, jax.tree.leaves(expected), strict=True):
        error = relative_error(a, b)
        assert error <= bound, f"{jax.tree_util.keystr(path)}: off by {error:.2e}"
