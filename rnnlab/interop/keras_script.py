"""The model of :mod:`rnnlab.interop.portable` in Keras 3: its weights, and a script."""

import numpy as np

from rnnlab.interop import keras
from rnnlab.interop.portable import ADD_TRANSITIONS, CHECK, TAKE_TRANSITIONS, Parts, cell_of
from rnnlab.nn.cells import GRU, RNN
from rnnlab.nn.layers import Bidirectional, Layer
from rnnlab.nn.params import PyTree

_KINDS = {"RNN": "SimpleRNN", "LSTM": "LSTM", "GRU": "GRU"}
_ACTIVATIONS = {"identity": "linear"}  # others have our names
_MERGES = {"concat": "concat", "sum": "sum", "mean": "ave", "product": "mul"}


def arrays(parts: Parts, own: dict[str, PyTree]) -> dict[str, np.ndarray]:
    """Return the weights in the order of ``model.weights``; a CRF's transitions last.

    Args:
        own: ``params["params"]`` of the model.
    """
    weights = {}
    if parts.embedding_size:
        weights["embedding/embeddings"] = np.asarray(own["embedding"])
    levels = own["recurrent"] if len(parts.levels) > 1 else [own["recurrent"]]
    for index, (level, params) in enumerate(zip(parts.levels, levels, strict=True)):
        for path, array in keras.to_arrays(params, level).items():
            weights[f"recurrent_{index}/{path.removeprefix('layer_0/')}"] = array
    W_hy = own["embedding"].T if parts.tied else own["W_hy"]
    weights |= {"output/kernel": np.asarray(W_hy), "output/bias": np.asarray(own["b_y"])}
    if parts.crf:
        weights["transitions"] = np.asarray(own["transitions"])
    return weights


def script(parts: Parts, title: str) -> str:
    """Return the script that loads the weights and reproduces the example."""
    shape = "(None,)" if parts.symbols else f"(None, {parts.input_size})"
    dtype = ', dtype="int32"' if parts.symbols else ""
    layers = "\n".join(_layers(parts))
    transitions, scores = (TAKE_TRANSITIONS, ADD_TRANSITIONS) if parts.crf else ("", "")
    return f'''\
"""{title}"""

import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")  # or "torch" or "tensorflow"
import keras
import numpy as np

inputs = keras.Input({shape}{dtype})
mask = keras.Input((None,), dtype="bool")  # true at the real steps, which come first
{layers}
model = keras.Model([inputs, mask], outputs)

files = Path(__file__).parent
weights, example = (dict(np.load(files / name)) for name in ("weights.npz", "example.npz"))
{transitions}model.set_weights(list(weights.values()))
mask = np.arange(example["inputs"].shape[1]) < example["lengths"][:, None]
outputs = np.array(keras.ops.convert_to_numpy(model([example["inputs"], mask])))
{scores}{CHECK}'''


def _layers(parts: Parts) -> list[str]:
    lines, x = [], "inputs"
    if parts.embedding_size:
        embedding = f"Embedding({parts.symbols}, {parts.embedding_size})"
        lines.append(f"x = keras.layers.{embedding}(inputs)")
        x = "x"
    elif parts.symbols:
        lines.append(f"x = keras.ops.one_hot(inputs, {parts.symbols})")
        x = "x"
    for index, level in enumerate(parts.levels):
        steps = index < len(parts.levels) - 1 or parts.reads != "last"
        lines.append(f"x = {_level(level, steps)}({x}, mask=mask)")
        x = "x"
    if parts.reads == "mean":
        count = 'keras.ops.sum(keras.ops.cast(mask, "float32"), 1, keepdims=True)'
        lines.append(f"x = keras.ops.sum(x, 1) / {count}")
    name = _ACTIVATIONS.get(parts.activation, parts.activation)
    activation = "" if name == "linear" else f', activation="{name}"'
    lines.append(f"outputs = keras.layers.Dense({parts.outputs}{activation})(x)")
    return lines


def _level(level: Layer, steps: bool) -> str:
    cell = cell_of(level)
    options = [str(cell.hidden_size)]
    if isinstance(cell, RNN) and cell.activation != "tanh":
        options.append(f'activation="{_ACTIVATIONS.get(str(cell.activation), cell.activation)}"')
    if isinstance(cell, GRU) and not cell.reset_after:
        options.append("reset_after=False")
    if steps:
        options.append("return_sequences=True, zero_output_for_mask=True")
    inner = f"keras.layers.{_KINDS[type(cell).__name__]}({', '.join(options)})"
    if not isinstance(level, Bidirectional):
        return inner
    merge = "" if level.merge == "concat" else f', merge_mode="{_MERGES[level.merge]}"'
    return f"keras.layers.Bidirectional({inner}{merge})"
