"""Weights handed to PyTorch give the same outputs, final states and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from rnnlab import cells, recurrence
from rnnlab.initializers import InitScheme

D, H, B, T = 3, 6, 4, 30
LENGTHS = [30, 11, 1, 22]
TORCH_GATES = {"lstm": "ifco", "gru-reset-after": "rzh", "rnn-tanh": "h", "rnn-relu": "h"}


def _close(got, expected):
    """max|a − b| / max|b| ≤ 1e-5: what exact means in float32."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() <= 1e-5 * np.abs(expected).max()


def _module(kind, layers, both):
    options = {"num_layers": layers, "bidirectional": both, "batch_first": True}
    if kind == "lstm":
        return torch.nn.LSTM(D, H, **options)
    if kind == "gru-reset-after":
        return torch.nn.GRU(D, H, **options)
    return torch.nn.RNN(D, H, nonlinearity=kind.removeprefix("rnn-"), **options)


def _to_torch(kind, params):
    """(weight_ih, weight_hh, bias_ih, bias_hh): gates stacked, transposed."""
    p = {name: np.asarray(v) for name, v in params._asdict().items() if v is not None}
    order = TORCH_GATES[kind]
    ih = np.concatenate([p[f"W_x{g}"] for g in order], axis=1).T
    hh = np.concatenate([p[f"W_h{g}"] for g in order], axis=1).T
    b = np.concatenate([p[f"b_{g}"] for g in order])
    b_hh = np.zeros_like(b)
    if "b_hn" in p:
        b_hh[2 * H :] = p["b_hn"]
    return ih, hh, b, b_hh


def _load(module, kind, params, suffix):
    for name, value in zip(("weight_ih", "weight_hh", "bias_ih", "bias_hh"),
                           _to_torch(kind, params), strict=True):  # fmt: skip
        getattr(module, f"{name}_{suffix}").data = torch.tensor(value)


def _cells_of(params, layers, both):
    for index in range(layers):
        one = params[index] if layers > 1 else params
        yield f"l{index}", one.forward if both else one
        if both:
            yield f"l{index}_reverse", one.backward


@pytest.mark.parametrize("kind", TORCH_GATES)
@pytest.mark.parametrize("both", [False, True], ids=["one way", "both ways"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
def test_outputs_states_and_gradients(kind, both, layers, lengths):
    cell = cells.by_name(kind, H, InitScheme(w_h="orthogonal(gain=0.8)", b="normal(std=0.5)"))
    one = recurrence.bidirectional(cell) if both else recurrence.layer(cell)
    layer = recurrence.stack([one] * layers) if layers > 1 else one
    keys = jax.random.split(jax.random.key(layers), 4)
    params = layer.init(keys[0], D)
    xs = jax.random.normal(keys[1], (B, T, D))
    start = layer.initial_state(params, (B,), keys[2])
    weights = jax.random.normal(keys[3], (B, T, layer.output_size))
    given = None if lengths is None else jnp.array(lengths)

    def loss(params, xs, start):
        ys, final = layer.apply(params, xs, lengths=given, initial_state=start)
        total = (ys * weights).sum() + sum((leaf**2).sum() for leaf in jax.tree.leaves(final))
        return total, (ys, final)

    (_, (ys, final)), grads = jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)(
        params, xs, start
    )

    module = _module(kind, layers, both)
    for suffix, p in _cells_of(params, layers, both):
        _load(module, kind, p, suffix)
    x = torch.tensor(np.asarray(xs), requires_grad=True)
    firsts = [s for _, s in _cells_of(start, layers, both)]
    h0 = torch.tensor(np.stack([np.asarray(s.h) for s in firsts]), requires_grad=True)
    states = [h0]
    if kind == "lstm":
        states.append(torch.tensor(np.stack([np.asarray(s.C) for s in firsts]), requires_grad=True))
    given_states = tuple(states) if kind == "lstm" else h0
    if lengths is None:
        out, last = module(x, given_states)
    else:
        packed = torch.nn.utils.rnn.pack_padded_sequence(
            x, torch.tensor(lengths), batch_first=True, enforce_sorted=False
        )
        out, last = module(packed, given_states)
        out, _ = torch.nn.utils.rnn.pad_packed_sequence(out, batch_first=True, total_length=T)
    lasts = last if kind == "lstm" else (last,)
    ((out * torch.tensor(np.asarray(weights))).sum() + sum((s**2).sum() for s in lasts)).backward()

    _close(ys, out.detach())
    finals = [s for _, s in _cells_of(final, layers, both)]
    for part, torch_last in zip("hC", lasts, strict=False):
        _close(np.stack([np.asarray(getattr(s, part)) for s in finals]), torch_last.detach())
    d_params, d_xs, d_start = grads
    _close(d_xs, x.grad)
    d_firsts = [s for _, s in _cells_of(d_start, layers, both)]
    for part, state in zip("hC", states, strict=False):
        _close(np.stack([np.asarray(getattr(s, part)) for s in d_firsts]), state.grad)
    for suffix, d in _cells_of(d_params, layers, both):
        ih, hh, b, b_hh = _to_torch(kind, d)
        _close(ih, getattr(module, f"weight_ih_{suffix}").grad)
        _close(hh, getattr(module, f"weight_hh_{suffix}").grad)
        _close(b, getattr(module, f"bias_ih_{suffix}").grad)
        if kind == "gru-reset-after":
            _close(b_hh[2 * H :], getattr(module, f"bias_hh_{suffix}").grad[2 * H :])
