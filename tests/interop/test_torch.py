"""PyTorch's and cuDNN's weights against PyTorch's own outputs, and refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch as oracle
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.experimental import rnn as jax_cudnn

from rnnlab import GRU, LSTM, RNN, Bidirectional, Stack, Zoneout
from rnnlab.core.errors import UserError
from rnnlab.interop import cudnn, torch
from rnnlab.nn.layers import as_layer
from tests.helpers.oracles import assert_close

EXACT = 1e-6
B, T = 2, 3
oracle.set_num_threads(1)

KINDS = {
    "rnn-tanh": (lambda **o: oracle.nn.RNN(nonlinearity="tanh", **o), RNN),
    "rnn-relu": (lambda **o: oracle.nn.RNN(nonlinearity="relu", **o), lambda H: RNN(H, "relu")),
    "lstm": (oracle.nn.LSTM, LSTM),
    "gru": (oracle.nn.GRU, lambda H: GRU(H, reset_after=True)),
}


def net_of(cell, levels, both):
    one = Bidirectional(cell) if both else as_layer(cell)
    return Stack([one] * levels) if levels > 1 else one


def module_of(kind, D, H, levels=1, both=False, seed=0, **options):
    """PyTorch's, every number drawn, biases too."""
    module = KINDS[kind][0](
        input_size=D,
        hidden_size=H,
        num_layers=levels,
        bidirectional=both,
        batch_first=True,
        **options,
    )
    rng = np.random.default_rng(seed)
    with oracle.no_grad():
        for weight in module.parameters():
            weight.copy_(oracle.tensor(0.5 * rng.standard_normal(weight.shape)))
    return module


def outputs(net, params, xs):
    # not compiled: every example has shapes of its own
    with jax.disable_jit(), jax.default_matmul_precision("highest"):
        return np.asarray(net.apply(params, jnp.asarray(xs), engine="scan")[0])


def draw_inputs(D, seed=1):
    return np.random.default_rng(seed).standard_normal((B, T, D)).astype(np.float32)


def their_outputs(module, xs):
    with oracle.no_grad():
        return module(oracle.tensor(xs))[0].numpy()


sizes = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(sorted(KINDS)),
        "D": st.sampled_from([1, 3]),
        "H": st.sampled_from([1, 4]),
        "levels": st.integers(1, 2),
        "both": st.booleans(),
        "bias": st.booleans(),
        "seed": st.integers(0, 99),
    }
)


@settings(max_examples=12)
@given(sizes)
def test_outputs_are_equal_and_params_come_back(of):
    kind, D, H, levels, both, bias = (of[k] for k in ("kind", "D", "H", "levels", "both", "bias"))
    module = module_of(kind, D, H, levels, both, of["seed"], bias=bias)
    net, xs = net_of(KINDS[kind][1](H), levels, both), draw_inputs(D)
    params = torch.from_arrays(module.state_dict(), net, bias=bias)
    expected = their_outputs(module, xs)
    assert np.abs(outputs(net, params, xs) - expected).max() <= EXACT * np.abs(expected).max()

    # written: PyTorch reads them, with the same outputs
    arrays = torch.to_arrays(params, net, bias=bias)
    assert list(arrays) == list(module.state_dict())
    module.load_state_dict({name: oracle.tensor(array) for name, array in arrays.items()})
    assert np.abs(their_outputs(module, xs) - expected).max() <= EXACT * np.abs(expected).max()
    # and ours come back bit for bit
    jax.tree.map(np.testing.assert_array_equal, params, torch.from_arrays(arrays, net, bias=bias))

    # packed: the same arrays, kernels before biases
    weights = sorted(arrays, key=lambda name: name.startswith("bias"))
    packed = np.concatenate([arrays[name].ravel() for name in weights])
    np.testing.assert_array_equal(cudnn.to_packed(params, net, bias=bias), packed)
    jax.tree.map(
        np.testing.assert_array_equal, params, cudnn.from_packed(packed, net, D, bias=bias)
    )


def test_two_biases_become_their_sum():
    module = module_of("gru", 3, 4)
    arrays = {name: array.numpy() for name, array in module.state_dict().items()}
    net = GRU(4, reset_after=True)
    written = torch.to_arrays(torch.from_arrays(arrays, net), net)
    both = (arrays["bias_ih_l0"] + arrays["bias_hh_l0"])[:8]
    np.testing.assert_array_equal(written["bias_ih_l0"], [*both, *arrays["bias_ih_l0"][8:]])
    np.testing.assert_array_equal(written["bias_hh_l0"], [*[0] * 8, *arrays["bias_hh_l0"][8:]])
    for name in ("weight_ih_l0", "weight_hh_l0"):
        np.testing.assert_array_equal(written[name], arrays[name])


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize(("levels", "both"), [(1, False), (2, True)])
def test_projections(levels, both):
    module = module_of("lstm", 3, 5, levels, both, proj_size=2)
    net, xs = net_of(LSTM(5, projection=2), levels, both), draw_inputs(3)
    params = torch.from_arrays(module.state_dict(), net)
    assert_close(outputs(net, params, xs), their_outputs(module, xs), EXACT)
    arrays = torch.to_arrays(params, net)
    assert list(arrays) == list(module.state_dict())
    jax.tree.map(np.testing.assert_array_equal, params, torch.from_arrays(arrays, net))
    with pytest.raises(ValueError, match="cuDNN's layout here has no place for projection=2"):
        cudnn.to_packed(params, net)


@pytest.mark.parametrize(("levels", "both"), [(1, False), (2, True)])
def test_jax_reads_the_packed_weights(levels, both):
    D, H, directions = 3, 4, 1 + both
    net, xs = net_of(LSTM(H), levels, both), draw_inputs(D)
    count = jax_cudnn.get_num_params_in_lstm(D, H, levels, both)
    packed = (0.5 * np.random.default_rng(0).standard_normal(count)).astype(np.float32)
    start = jnp.zeros((levels * directions, B, H))

    def its(weights):
        with jax.default_matmul_precision("highest"):
            return jax_cudnn.lstm_ref(
                jnp.asarray(xs),
                start,
                start,
                *jax_cudnn.unpack_lstm_weights(jnp.asarray(weights), D, H, levels, both),
                jnp.full(B, T, jnp.int32),
                D,
                H,
                levels,
                0.0,
                both,
            )[0]

    params = cudnn.from_packed(packed, net, D)
    assert_close(outputs(net, params, xs), its(packed), EXACT)
    assert_close(outputs(net, params, xs), its(cudnn.to_packed(params, net)), EXACT)


def test_files_and_prefixes(tmp_path):
    pytest.importorskip("safetensors")
    from safetensors.torch import load_file, save_file

    module, net, xs = module_of("gru", 3, 4, 2, True), None, draw_inputs(3)
    net = net_of(GRU(4, reset_after=True), 2, True)
    model = {f"encoder.rnn.{name}": array for name, array in module.state_dict().items()}
    save_file({**model, "encoder.embedding.weight": oracle.ones(2, 3)}, tmp_path / "a.safetensors")
    params = torch.load(tmp_path / "a.safetensors", net, prefix="encoder.rnn.")
    assert_close(outputs(net, params, xs), their_outputs(module, xs), EXACT)
    torch.save(tmp_path / "b.safetensors", params, net)
    module.load_state_dict(load_file(tmp_path / "b.safetensors"))
    assert_close(outputs(net, params, xs), their_outputs(module, xs), EXACT)
    with pytest.raises(ValueError, match=r"extra: encoder.embedding.weight \(2, 3\)"):
        torch.load(tmp_path / "a.safetensors", net)
    with pytest.raises(UserError, match="would have to be unpickled"):
        torch.load(tmp_path / "a.pt", net)
    with pytest.raises(UserError, match=r"written to \.safetensors"):
        torch.save(tmp_path / "b.npz", params, net)


# ---- refused -----------------------------------------------------------------------------------


def lstm_arrays(**changes):
    shapes = {
        "weight_ih_l0": (16, 3),
        "weight_hh_l0": (16, 4),
        "bias_ih_l0": (16,),
        "bias_hh_l0": (16,),
    } | changes
    return {name: np.ones(s, np.float32) for name, s in shapes.items() if s is not None}


@pytest.mark.parametrize(
    ("arrays", "cell", "message"),
    [
        (lstm_arrays(bias_hh_l0=None), LSTM(4), r"missing: bias_hh_l0 \(16,\)"),
        (
            lstm_arrays(weight_hh_l0=(12, 4)),
            LSTM(4),
            r"of shape \(12, 4\), expected \(16, 4\): weight_hh_l0",
        ),
        (
            lstm_arrays(weight_ih_l0=(3, 16)),
            LSTM(4),
            r"of shape \(3, 16\), expected \(16, 16\): weight_ih_l0",
        ),
        (lstm_arrays(weight_ih_l0=(16,)), LSTM(4), r"of shape \(16,\), expected \(16, 1\)"),
        (lstm_arrays(weight_ih_l1=(16, 4)), LSTM(4), r"extra: weight_ih_l1 \(16, 4\)"),
        (lstm_arrays(), Stack([LSTM(4)] * 2), r"missing: weight_ih_l1 \(16, 4\)"),
        (lstm_arrays(), Bidirectional(LSTM(4)), r"missing: weight_ih_l0_reverse \(16, 3\)"),
        (lstm_arrays(), GRU(4, reset_after=True), r"expected \(12, 3\): weight_ih_l0"),
        (lstm_arrays(), LSTM(4, projection=2), r"missing: weight_hr_l0 \(2, 4\)"),
        (
            {n: a.astype(int) for n, a in lstm_arrays().items()},
            LSTM(4),
            "of dtype int64, expected floats: weight_ih_l0",
        ),
        ({}, LSTM(4), "missing: weight_ih_l0"),
    ],
)
def test_arrays_that_do_not_fit(arrays, cell, message):
    with pytest.raises(ValueError, match=message):
        torch.from_arrays(arrays, cell)


# cuDNN's layout has no place for any projection
PROJECTION = "PyTorch has projections smaller than hidden_size=|cuDNN.* no place for projection="


@pytest.mark.parametrize(
    ("net", "error", "message"),
    [
        (GRU(4), ValueError, "resets after the recurrent product.*reset_after=True"),
        (RNN(4, "identity"), ValueError, "tanh and of relu, got activation='identity'"),
        (LSTM(4, norm="layer"), ValueError, "no place for norm='layer' of the LSTM"),
        (LSTM(4, peephole=True), ValueError, "no place for peephole=True"),
        (LSTM(4, projection=4), ValueError, PROJECTION),
        (LSTM(3, projection=5), ValueError, PROJECTION),
        (Zoneout(LSTM(4), 0.1), TypeError, "no Zoneout.*convert the cell inside, LSTM"),
        (Stack([LSTM(4), LSTM(3)]), ValueError, "one hidden_size in all levels.*3, 4"),
        (Stack([LSTM(4), RNN(4)]), ValueError, "one kind of cell.*LSTM, RNN"),
        (Stack([RNN(4), RNN(4, "relu")]), ValueError, "one activation.*relu, tanh"),
        (Stack([LSTM(4), Bidirectional(LSTM(4))]), ValueError, "all levels bidirectional or none"),
        (Bidirectional(LSTM(4), merge="sum"), ValueError, "by 'concat', got 'sum'"),
        (Stack([Stack([LSTM(4)])]), ValueError, "no Stack inside a Stack"),
    ],
)
def test_layers_that_pytorch_does_not_have(net, error, message):
    with pytest.raises(error, match=message):
        torch.from_arrays(lstm_arrays(), net)
    with pytest.raises(error, match=message.replace("PyTorch", "cuDNN")):
        cudnn.from_packed(np.zeros(1), net, 3)


def test_params_that_do_not_fit():
    key, net = jax.random.key(0), Stack([LSTM(4), LSTM(4)])
    params = net.init(key, 3)
    for wrong, error, message in [
        (params[0], ValueError, "stack of 2 must be a tuple, got LSTMParams"),
        (params[:1], ValueError, "stack of 2 layers must have 2 parts, got 1"),
        (
            (params[1], RNN(4).init_params(key, 4)),
            TypeError,
            r"LSTMParams, got RNNParams \(level 1, forward",
        ),
        ((params[0], params[0]), ValueError, r"W_xf must be \(4, 4\), got \(3, 4\) \(level 1"),
        (
            (params[0], LSTM(4, peephole=True).init_params(key, 4)),
            ValueError,
            "params have peepholes, which this LSTM does not have",
        ),
        (
            (params[0]._replace(W_hc=jnp.ones((4, 3))), params[1]),
            ValueError,
            r"W_hc must be \(4, 4\), got \(4, 3\)",
        ),
    ]:
        with pytest.raises(error, match=message):
            torch.to_arrays(wrong, net)
    with pytest.raises(ValueError, match=r"BothWays\(forward, backward\), got LSTMParams"):
        torch.to_arrays(params[0], Bidirectional(LSTM(4)))
    with pytest.raises(ValueError, match=r"no place for b_f, which is not zero \(level 0"):
        torch.to_arrays(params, net, bias=False)  # b_f = 1
    with pytest.raises(ValueError, match="params lack b_hn, which this GRU needs"):
        torch.to_arrays(GRU(4).init_params(key, 3), GRU(4, reset_after=True))


def test_packed_weights_of_another_size():
    with pytest.raises(ValueError, match=r"must be \(144,\) for 4 arrays.*got \(100,\)"):
        cudnn.from_packed(np.zeros(100), LSTM(4), 3)
    with pytest.raises(ValueError, match="input_size must be a whole number of at least 1, got 0"):
        cudnn.from_packed(np.zeros(144), LSTM(4), 0)
    assert cudnn.from_packed(np.zeros(144, np.float32), LSTM(4), np.int64(3)).W_xi.shape == (3, 4)
