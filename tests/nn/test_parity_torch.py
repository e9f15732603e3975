"""PyTorch's nn.RNN, nn.LSTM and nn.GRU by weight transfer: outputs, final states, gradients.

float32 on both sides; max|a − b|/max|b| ≤ 1e-5 for every array. PyTorch keeps two biases a gate;
where only their sum matters, ours is the sum and its gradient is that of either.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rnnlab import GRU, LSTM, RNN, Bidirectional, Stack
from rnnlab.interop import torch as convert
from rnnlab.nn.layers import BothWays, as_layer
from rnnlab.nn.params import HiddenState, LSTMState
from tests.helpers.oracles import assert_close

B, T, D, H = 4, 11, 3, 6
RAGGED = np.array([7, 11, 1, 4])  # unsorted, for enforce_sorted=False
EXACT = 1e-5

torch.set_num_threads(1)

# name: (PyTorch's module, ours)
KINDS = {
    "rnn-tanh": (lambda **o: torch.nn.RNN(nonlinearity="tanh", **o), RNN(H)),
    "rnn-relu": (lambda **o: torch.nn.RNN(nonlinearity="relu", **o), RNN(H, "relu")),
    "lstm": (torch.nn.LSTM, LSTM(H)),
    "gru": (torch.nn.GRU, GRU(H, reset_after=True)),
}


def gradients_of(kind, weights):
    """Arrays that the converter turns into our gradient: a sum passes its own on whole.

    PyTorch must give both biases the same; where they are added up, only one of them counts.
    """
    arrays = {name: weight.grad.numpy().copy() for name, weight in weights.items()}
    added = 2 * H if kind == "gru" else None  # of a GRU the candidate's stand apart
    for name in arrays:
        if name.startswith("bias_hh"):
            other = arrays[name.replace("hh", "ih")]
            np.testing.assert_allclose(arrays[name][:added], other[:added], rtol=1e-4, atol=1e-6)
            arrays[name][:added] = 0
    return arrays


def by_layer(levels, both, one):
    """``one(level, direction)`` in the nesting of our layers."""
    made = [
        BothWays(one(level, 0), one(level, 1)) if both else one(level, 0) for level in range(levels)
    ]
    return tuple(made) if levels > 1 else made[0]


def state_of(kind, arrays, index):
    """Our state from PyTorch's (levels·directions, B, H) arrays."""
    parts = [jnp.asarray(a.detach().numpy()[index]) for a in arrays]
    return LSTMState(*parts) if kind == "lstm" else HiddenState(*parts)


NESTINGS = [
    (1, False, None),
    (1, False, RAGGED),
    (1, True, None),
    (1, True, RAGGED),
    (2, False, None),
    (2, True, RAGGED),
]
# every nesting for one cell; for the others the simplest and the one of all at once
CASES = [
    (kind, *nesting)
    for kind in KINDS
    for nesting in (NESTINGS if kind == "lstm" else NESTINGS[1::4])
]


@pytest.mark.parametrize(
    ("kind", "levels", "both", "lengths"),
    CASES,
    ids=[
        f"{kind}-{levels}{'-both' if both else ''}{'' if lengths is None else '-ragged'}"
        for kind, levels, both, lengths in CASES
    ],
)
def test_parity(kind, levels, both, lengths):
    rng = np.random.default_rng(0)
    directions = 1 + both

    def normal(*shape):
        return torch.tensor(rng.standard_normal(shape), dtype=torch.float32)

    # PyTorch's side
    build, cell = KINDS[kind]
    module = build(
        input_size=D, hidden_size=H, num_layers=levels, bidirectional=both, batch_first=True
    )
    with torch.no_grad():
        for weight in module.parameters():  # nothing zero, nothing chaotic
            weight.copy_(0.35 * normal(*weight.shape))
    xs = normal(B, T, D).requires_grad_()
    start = [normal(levels * directions, B, H) for _ in range(2 if kind == "lstm" else 1)]
    for s in start:
        s.mul_(0.5).requires_grad_()
    hidden = tuple(start) if kind == "lstm" else start[0]
    if lengths is None:
        ys, final = module(xs, hidden)
    else:
        packed = pack_padded_sequence(
            xs, torch.tensor(lengths), batch_first=True, enforce_sorted=False
        )
        ys, final = module(packed, hidden)
        ys, _ = pad_packed_sequence(ys, batch_first=True, total_length=T)
    final = final if kind == "lstm" else (final,)
    g_ys, g_final = normal(*ys.shape), [normal(*f.shape) for f in final]
    torch.autograd.backward([ys, *final], [g_ys, *g_final])
    weights = dict(module.named_parameters())

    def states(arrays):
        return by_layer(
            levels, both, lambda level, d: state_of(kind, arrays, level * directions + d)
        )

    # ours
    one = Bidirectional(cell) if both else as_layer(cell)
    net = Stack([one] * levels) if levels > 1 else one

    @jax.jit
    def run(params, xs, state, cotangents):
        out, pull = jax.vjp(
            lambda p, x, s: net.apply(p, x, initial_state=s, lengths=real), params, xs, state
        )
        return out, pull(cotangents)

    real = None if lengths is None else lengths
    with jax.default_matmul_precision("highest"):
        out, gradients = run(
            convert.from_arrays(module.state_dict(), net),
            jnp.asarray(xs.detach().numpy()),
            states(start),
            (jnp.asarray(g_ys.numpy()), states(g_final)),
        )
    assert_close(out, (ys.detach().numpy(), states(final)), EXACT)
    expected = (
        convert.from_arrays(gradients_of(kind, weights), net),
        xs.grad.numpy(),
        states([s.grad for s in start]),
    )
    assert_close(gradients, expected, EXACT)
