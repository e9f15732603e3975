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

from rnnlab import bidirectional, cells, gru, layer, lstm, rnn, stack
from rnnlab.recurrence import BothWays
from tests.oracles import assert_close

B, T, D, H = 4, 11, 3, 6
RAGGED = np.array([7, 11, 1, 4])  # unsorted, for enforce_sorted=False
EXACT = 1e-5

torch.set_num_threads(1)

# name: (PyTorch's module, ours, the gate letters in PyTorch's order)
KINDS = {
    "rnn-tanh": (lambda **o: torch.nn.RNN(nonlinearity="tanh", **o), rnn(H), "h"),
    "rnn-relu": (lambda **o: torch.nn.RNN(nonlinearity="relu", **o), rnn(H, "relu"), "h"),
    "lstm": (torch.nn.LSTM, lstm(H), "ifco"),
    "gru": (torch.nn.GRU, gru(H, reset_after=True), "rzh"),
}


def params_of(kind, get, gradient=False):
    """Our params from PyTorch's four arrays of one direction of one level.

    ``get``: "weight_ih", … ↦ array. ``gradient``: a sum of biases passes its gradient on whole.
    """
    letters = KINDS[kind][2]
    parts = {n: np.split(get(n), len(letters)) for n in ("weight_ih", "weight_hh",
                                                          "bias_ih", "bias_hh")}  # fmt: skip
    blocks = {}
    for k, letter in enumerate(letters):
        blocks[f"W_x{letter}"] = parts["weight_ih"][k].T
        blocks[f"W_h{letter}"] = parts["weight_hh"][k].T
        b_ih, b_hh = parts["bias_ih"][k], parts["bias_hh"][k]
        if kind == "gru" and letter == "h":  # the reset gate stands between them
            blocks["b_h"], blocks["b_hn"] = b_ih, b_hh
        else:
            if gradient:
                np.testing.assert_allclose(b_ih, b_hh, rtol=1e-4, atol=1e-6)
            blocks[f"b_{letter}"] = b_ih if gradient else b_ih + b_hh
    kind_of_params = {
        "lstm": cells.LSTMParams, "gru": cells.GRUParams
    }.get(kind, cells.RNNParams)  # fmt: skip
    return kind_of_params(**{name: jnp.asarray(block) for name, block in blocks.items()})


def by_layer(levels, both, one):
    """``one(level, direction)`` in the nesting of our layers."""
    made = [
        BothWays(one(level, 0), one(level, 1)) if both else one(level, 0) for level in range(levels)
    ]
    return tuple(made) if levels > 1 else made[0]


def state_of(kind, arrays, index):
    """Our state from PyTorch's (levels·directions, B, H) arrays."""
    parts = [jnp.asarray(a.detach().numpy()[index]) for a in arrays]
    return cells.LSTMState(*parts) if kind == "lstm" else cells.HiddenState(*parts)


CASES = [
    (kind, levels, both, lengths)
    for kind in KINDS
    for levels, both, lengths in [
        (1, False, None),
        (1, False, RAGGED),
        (1, True, None),
        (1, True, RAGGED),
        (2, False, None),
        (2, True, RAGGED),
    ]
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
    build, cell, _ = KINDS[kind]
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

    def transferred(gradient):
        def one(level, direction):
            suffix = f"_l{level}" + ("_reverse" if direction else "")
            return params_of(
                kind,
                lambda n: (
                    weights[n + suffix].grad if gradient else weights[n + suffix].detach()
                ).numpy(),
                gradient,
            )

        return by_layer(levels, both, one)

    def states(arrays):
        return by_layer(
            levels, both, lambda level, d: state_of(kind, arrays, level * directions + d)
        )

    # ours
    one = bidirectional(cell) if both else layer(cell)
    net = stack([one] * levels) if levels > 1 else one

    @jax.jit
    def run(params, xs, state, cotangents):
        out, pull = jax.vjp(
            lambda p, x, s: net.apply(p, x, initial_state=s, lengths=real), params, xs, state
        )
        return out, pull(cotangents)

    real = None if lengths is None else lengths
    with jax.default_matmul_precision("highest"):
        out, gradients = run(
            transferred(gradient=False),
            jnp.asarray(xs.detach().numpy()),
            states(start),
            (jnp.asarray(g_ys.numpy()), states(g_final)),
        )
    assert_close(out, (ys.detach().numpy(), states(final)), EXACT)
    expected = (
        transferred(gradient=True),
        xs.grad.numpy(),
        states([s.grad for s in start]),
    )
    assert_close(gradients, expected, EXACT)
