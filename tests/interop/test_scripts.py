"""Models rebuilt by the scripts of an export: each script, run, against rnnlab's own outputs."""

import os
import tempfile
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab import GRU, LSTM, RNN, Bidirectional, Stack, VariationalDropout
from rnnlab.interop import flax_script, keras_script, portable, torch_script
from rnnlab.nn.models import LanguageModel, ManyToMany, ManyToOne
from tests.helpers.oracles import random_like

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("KERAS_HOME", tempfile.mkdtemp())  # else it writes to the home folder

GRU_AFTER = GRU(3, reset_after=True)
MODELS = {
    "last": ManyToOne(RNN(3, "sigmoid"), 2, activation="sigmoid"),
    "last both ways": ManyToOne(Stack([Bidirectional(GRU_AFTER)] * 2), 2, symbols=5),
    "mean": ManyToOne(Bidirectional(LSTM(3)), 2, symbols=5, embedding_size=4, pooling="mean"),
    "steps": ManyToMany(Stack([RNN(3, "relu")] * 2), 2, activation="softmax"),
    "crf": ManyToMany(Bidirectional(LSTM(3)), 2, symbols=5, embedding_size=4, crf=True),
    "tied": LanguageModel(VariationalDropout(GRU_AFTER, 0.5), 5, embedding_size=3, tie=True),
}
ONLY = {
    "projection": ManyToOne(Bidirectional(LSTM(3, projection=2)), 2),
    "reset before": ManyToOne(Bidirectional(GRU(3), merge="mean"), 2),
}
LENGTHS = np.array([3, 1, 2])


@lru_cache
def drawn(name):
    """A model, parameters with every number random, inputs, and rnnlab's outputs."""
    model = (MODELS | ONLY)[name]
    rng = np.random.default_rng(0)
    if model.symbols:
        inputs = rng.integers(0, 5, (3, 3))
    else:
        inputs = rng.standard_normal((3, 3, 2)).astype(np.float32)
    like = jax.eval_shape(model.init, jax.random.key(0), jnp.asarray(inputs))
    params = random_like(like, 0, 0.5)
    with jax.disable_jit(), jax.default_matmul_precision("highest"):
        outputs, _ = model.apply(params, inputs, lengths=LENGTHS, engine="scan")
    return model, params, {"inputs": inputs, "lengths": LENGTHS, "outputs": np.asarray(outputs)}


def run_script(folder, text, example, **weights):
    """Run a script beside its files; it asserts that its outputs are the expected ones."""
    np.savez(folder / "example.npz", **example)
    for name, arrays in weights.items():
        np.savez(folder / f"{name}.npz", **arrays)
    names = {"__file__": str(folder / "load.py"), "__name__": "load"}
    strict = jax.numpy_dtype_promotion("standard"), jax.legacy_prng_key("allow")
    with strict[0], strict[1], jax.disable_jit():  # each would compile for itself
        exec(compile(text, "load.py", "exec"), names)
    return names["difference"]


@pytest.mark.parametrize("name", ["last both ways", "mean", "steps", "crf", "tied", "projection"])
def test_torch(name, tmp_path):
    pytest.importorskip("torch")
    model, params, example = drawn(name)
    parts = portable.described(model, 2, "torch")
    torch_script.check(parts)
    arrays = torch_script.arrays(parts, params["params"])
    text = torch_script.script(parts, "A title")
    assert run_script(tmp_path, text, example, weights=arrays) <= 1e-6
    # the script notices other outputs
    wrong = example | {"outputs": example["outputs"] * 1.001}
    with pytest.raises(AssertionError):
        run_script(tmp_path, text, wrong, weights=arrays)


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
@pytest.mark.parametrize("name", ["last both ways", "mean", "crf", "tied", "reset before"])
def test_keras(name, tmp_path):
    pytest.importorskip("keras")
    model, params, example = drawn(name)
    parts = portable.described(model, 2, "keras")
    arrays = keras_script.arrays(parts, params["params"])
    text = keras_script.script(parts, "A title")
    assert run_script(tmp_path, text, example, weights=arrays) <= 1e-6


@pytest.mark.parametrize("name", ["last", "last both ways", "mean"])
def test_flax(name, tmp_path):
    model, params, example = drawn(name)
    parts = portable.described(model, 2, "flax")
    text = flax_script.linen_script(parts, "A title")
    arrays = flax_script.linen_arrays(parts, params["params"])
    assert run_script(tmp_path, text, example, weights=arrays) <= 1e-6
    if flax_script.nnx_lacks(parts):
        return
    text = flax_script.nnx_script(parts, "A title")
    arrays = flax_script.nnx_arrays(parts, params["params"])
    assert run_script(tmp_path, text, example, weights_nnx=arrays) <= 1e-6
