"""A classifier and a language model against PyTorch's, by weight transfer: loss and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rnnlab import LSTM, Bidirectional
from rnnlab.interop import torch as convert
from rnnlab.nn import losses
from rnnlab.nn.models import LanguageModel, ManyToOne
from tests.helpers.oracles import assert_close
from tests.nn.test_models import OUT, RAGGED, D, E, H, T, V, floats, symbols
from tests.nn.test_parity_torch import gradients_of

torch.set_num_threads(1)


class TorchClassifier(torch.nn.Module):
    def __init__(self, both):
        super().__init__()
        self.rnn = torch.nn.LSTM(D, H, batch_first=True, bidirectional=both)
        self.out = torch.nn.Linear(H * (1 + both), OUT)

    def forward(self, xs, lengths):
        packed = pack_padded_sequence(xs, lengths, batch_first=True, enforce_sorted=False)
        _, (h, _) = self.rnn(packed)
        return self.out(torch.cat(list(h), dim=-1))


class TorchLanguageModel(torch.nn.Module):
    def __init__(self, tie):
        super().__init__()
        self.embed = torch.nn.Embedding(V, H if tie else E)
        self.rnn = torch.nn.LSTM(H if tie else E, H, batch_first=True)
        self.out = torch.nn.Linear(H, V)
        if tie:
            self.out.weight = self.embed.weight

    def forward(self, symbols, lengths):
        packed = pack_padded_sequence(
            self.embed(symbols), lengths, batch_first=True, enforce_sorted=False
        )
        ys, _ = self.rnn(packed)
        return self.out(pad_packed_sequence(ys, batch_first=True, total_length=T)[0])


def randomized(module):
    rng = np.random.default_rng(1)
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.tensor(0.4 * rng.standard_normal(weight.shape)))
    return module


def transferred(module, gradient=False):
    """Our params, or gradients, from PyTorch's module."""
    weights = dict(module.named_parameters())

    def get(name):
        w = weights[name]
        return (w.grad if gradient else w.detach()).numpy()

    inner = dict(module.rnn.named_parameters())
    arrays = {name: weight.detach() for name, weight in inner.items()}
    net = Bidirectional(LSTM(H)) if module.rnn.bidirectional else LSTM(H)
    recurrent = convert.from_arrays(gradients_of("lstm", inner) if gradient else arrays, net)
    params = {"recurrent": recurrent, "b_y": jnp.asarray(get("out.bias"))}
    if "out.weight" in weights:  # a tied one is named once, as the embedding
        params["W_hy"] = jnp.asarray(get("out.weight").T)
    if "embed.weight" in weights:
        params["embedding"] = jnp.asarray(get("embed.weight"))
    return {"params": params}


def check_parity(module, model, inputs, targets, mask=None):
    logits = module(
        torch.tensor(np.asarray(inputs)).long()
        if model.symbols
        else torch.tensor(np.asarray(inputs)),
        torch.tensor(RAGGED),
    )
    real = slice(None) if mask is None else torch.tensor(mask)
    wanted = torch.nn.functional.cross_entropy(logits[real], torch.tensor(targets).long()[real])
    wanted.backward()

    @jax.jit
    def ours(params):
        def loss(p):
            y, _ = model.apply(p, inputs, lengths=RAGGED)
            return losses.cross_entropy(y, jnp.asarray(targets), mask), y

        return jax.value_and_grad(loss, has_aux=True)(params)

    with jax.default_matmul_precision("highest"):
        (loss, y), gradients = ours(transferred(module))
    assert_close((loss, y), (wanted.item(), logits.detach().numpy()), 1e-5)
    assert_close(gradients, transferred(module, gradient=True), 1e-5)


@pytest.mark.parametrize("both", [False, True], ids=["one-way", "both-ways"])
def test_classifier_parity(both):
    net = Bidirectional(LSTM(H)) if both else LSTM(H)
    targets = np.array([0, 1, 1, 0], np.int32)
    check_parity(randomized(TorchClassifier(both)), ManyToOne(net, OUT), floats(), targets)


@pytest.mark.parametrize("tie", [False, True], ids=["apart", "tied"])
def test_language_model_parity(tie):
    model = LanguageModel(LSTM(H), V, embedding_size=H if tie else E, tie=tie)
    mask = np.arange(T) < RAGGED[:, None]
    targets = np.asarray(symbols(seed=9))
    check_parity(randomized(TorchLanguageModel(tie)), model, symbols(), targets, mask)
