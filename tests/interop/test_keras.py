"""Keras' weights against Keras' own outputs, on the JAX backend."""

import os
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlab import GRU, LSTM, RNN, Bidirectional, Stack
from rnnlab.interop import keras
from rnnlab.nn.layers import as_layer
from tests.helpers.oracles import assert_close

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("KERAS_HOME", tempfile.mkdtemp())  # else it writes to the home folder
oracle = pytest.importorskip("keras")

# of Keras' own weight.numpy()
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

EXACT = 1e-6
B, T = 2, 3
MERGES = {"concat": "concat", "sum": "sum", "ave": "mean", "mul": "product"}
KINDS = {
    "SimpleRNN": (oracle.layers.SimpleRNN, RNN),
    "LSTM": (oracle.layers.LSTM, LSTM),
    "GRU": (oracle.layers.GRU, lambda H: GRU(H, reset_after=True)),
    "GRU before": (lambda H, **o: oracle.layers.GRU(H, reset_after=False, **o), GRU),
}


def model_of(kind, D, H, levels, both, merge, bias, seed):
    """Keras' layers, every number drawn, and ours."""
    build, cell = KINDS[kind]
    zero = {f"{name}_initializer": "zeros" for name in ("kernel", "recurrent")}
    inner = [build(H, return_sequences=True, use_bias=bias, **zero) for _ in range(levels)]
    net = [as_layer(cell(H))] * levels
    if both:
        inner = [oracle.layers.Bidirectional(one, merge_mode=merge) for one in inner]
        net = [Bidirectional(cell(H), merge=MERGES[merge])] * levels
    model = oracle.Sequential([oracle.Input((T, D)), *inner])
    rng = np.random.default_rng(seed)
    model.set_weights([0.5 * rng.standard_normal(w.shape) for w in model.weights])
    return model, Stack(net) if levels > 1 else net[0]


def arrays_of(model):
    return {weight.path: weight.numpy() for weight in model.weights}


def outputs(net, params, xs):
    with jax.disable_jit(), jax.default_matmul_precision("highest"):
        return net.apply(params, jnp.asarray(xs), engine="scan")[0]


def their_outputs(model, xs):
    with jax.disable_jit(), jax.default_matmul_precision("highest"):
        return np.asarray(model(xs))


def draw_inputs(D):
    return np.random.default_rng(1).standard_normal((B, T, D)).astype(np.float32)


@pytest.fixture(scope="module", autouse=True)
def _lenient():
    """Keras draws from untyped keys and mixes dtypes."""
    with jax.numpy_dtype_promotion("standard"), jax.legacy_prng_key("allow"):
        yield


@settings(max_examples=3)
@given(
    st.fixed_dictionaries(
        {
            "kind": st.sampled_from(sorted(KINDS)),
            "D": st.sampled_from([1, 3]),
            "H": st.sampled_from([1, 4]),
            "levels": st.integers(1, 2),
            "both": st.booleans(),
            "merge": st.sampled_from(sorted(MERGES)),
            "bias": st.booleans(),
            "seed": st.integers(0, 99),
        }
    )
)
def test_outputs_are_equal_and_params_come_back(of):
    model, net = model_of(**of)
    xs = draw_inputs(of["D"])
    params = keras.from_arrays(arrays_of(model), net, bias=of["bias"])
    expected = their_outputs(model, xs)
    assert_close(outputs(net, params, xs), expected, EXACT)
    # written: Keras reads them, with the same outputs; ours come back bit for bit
    arrays = keras.to_arrays(params, net, bias=of["bias"])
    model.set_weights(list(arrays.values()))
    assert_close(their_outputs(model, xs), expected, EXACT)
    back = keras.from_arrays(arrays, net, bias=of["bias"])
    jax.tree.map(np.testing.assert_array_equal, params, back)
    # the arrays that Keras holds now come back bit for bit
    jax.tree.map(np.testing.assert_array_equal, list(arrays.values()), model.get_weights())


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_kind_both_ways(kind):
    model, net = model_of(kind, 3, 4, 1, True, "concat", True, 0)
    xs = draw_inputs(3)
    params = keras.from_arrays(arrays_of(model), net)
    assert_close(outputs(net, params, xs), their_outputs(model, xs), EXACT)
    arrays = keras.to_arrays(params, net)
    assert next(iter(arrays)) == "layer_0/forward/kernel"
    if kind != "GRU":  # of whose two rows the sum is kept
        jax.tree.map(np.testing.assert_array_equal, list(arrays.values()), model.get_weights())


def test_layers_of_a_model_and_refusals():
    model, net = model_of("GRU", 3, 4, 1, True, "concat", True, 0)
    own = arrays_of(model)
    both = {**own, "dense/kernel": np.ones((8, 2), np.float32)}
    keras.from_arrays(both, net, prefix="sequential")
    with pytest.raises(ValueError, match=r"extra: dense/kernel \(8, 2\)"):
        keras.from_arrays(both, net)
    paths = list(own)
    with pytest.raises(ValueError, match=r"the forward direction expected, got .*/backward_gru"):
        keras.from_arrays({path: own[path] for path in [*paths[3:], *paths[:3]]}, net)
    with pytest.raises(ValueError, match=r"missing: \S+/backward_\S+/bias \(2, 12\)"):
        keras.from_arrays({path: own[path] for path in paths[:-1]}, net)
    with pytest.raises(ValueError, match=r"missing: \(layer 2, forward\)/kernel \(8, 12\)"):
        keras.from_arrays(own, Stack([net, net]))
    with pytest.raises(ValueError, match=r"of shape \(2, 12\), expected \(12,\): .*/bias"):
        keras.from_arrays(own, Bidirectional(GRU(4)))
    with pytest.raises(ValueError, match=r"of shape \(3, 12\), expected \(3, 16\): .*/kernel"):
        keras.from_arrays(own, Bidirectional(LSTM(4)))
    with pytest.raises(ValueError, match="Keras has no place for projection=2"):
        keras.from_arrays(own, LSTM(4, projection=2))
