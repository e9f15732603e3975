"""The model of :mod:`rnnlab.interop.portable` in linen and in nnx: weights, and scripts."""

from collections.abc import Callable, Mapping

import numpy as np

from rnnlab.interop import flax
from rnnlab.interop.portable import ADD_TRANSITIONS, CHECK, TAKE_TRANSITIONS, Parts, cell_of
from rnnlab.nn.cells import GRU, RNN
from rnnlab.nn.layers import Bidirectional, Layer
from rnnlab.nn.params import PyTree

_CELLS = {"RNN": "SimpleCell", "LSTM": "LSTMCell", "GRU": "GRUCell"}
_CELL_ACTIVATIONS = {
    "relu": "jax.nn.relu",
    "identity": "lambda a: a",
    "sigmoid": "jax.nn.sigmoid",
}
_ACTIVATIONS = {
    "identity": "{}",
    "tanh": "jax.numpy.tanh({})",
    "relu": "jax.nn.relu({})",
    "sigmoid": "jax.nn.sigmoid({})",
    "softmax": "jax.nn.softmax({})",
}
# names of a bidirectional level's two cells, and of another's one
_LINEN = ("forward_{}", "backward_{}", "cell_{}")
_NNX = ("level_{}/forward_rnn/cell", "level_{}/backward_rnn/cell", "level_{}/cell")


def nnx_lacks(parts: Parts) -> str:
    """Return why nnx does not have this model, "" if it does."""
    if any(isinstance(cell_of(level), GRU) for level in parts.levels):
        return "nnx's GRUCell has no bias b_hn (flax #5594)"
    return ""


def linen_arrays(parts: Parts, own: dict[str, PyTree]) -> dict[str, np.ndarray]:
    """Return the parameters of the linen script's model, by path; a CRF's transitions too.

    Args:
        own: ``params["params"]`` of the model.
    """
    return _arrays(parts, own, _LINEN, flax.to_linen)


def nnx_arrays(parts: Parts, own: dict[str, PyTree]) -> dict[str, np.ndarray]:
    """Return the parameters of the nnx script's model: see :func:`linen_arrays`."""
    return _arrays(parts, own, _NNX, flax.to_nnx)


def _arrays(
    parts: Parts,
    own: dict[str, PyTree],
    names: tuple[str, str, str],
    convert: Callable[[PyTree, Layer], PyTree],
) -> dict[str, np.ndarray]:
    weights: dict[str, np.ndarray] = {}
    if parts.embedding_size:
        weights["embedding/embedding"] = np.asarray(own["embedding"])
    levels = own["recurrent"] if len(parts.levels) > 1 else [own["recurrent"]]
    for index, (level, params) in enumerate(zip(parts.levels, levels, strict=True)):
        tree = convert(params, level)
        both = isinstance(level, Bidirectional)
        for name, cell in zip(
            names[:2] if both else names[2:], tree if both else [tree], strict=True
        ):
            weights |= _flat(cell, name.format(index))
    W_hy = own["embedding"].T if parts.tied else own["W_hy"]
    weights |= {"output/kernel": np.asarray(W_hy), "output/bias": np.asarray(own["b_y"])}
    if parts.crf:
        weights["transitions"] = np.asarray(own["transitions"])
    return weights


def _flat(tree: Mapping[str, Mapping[str, np.ndarray]], prefix: str) -> dict[str, np.ndarray]:
    return {
        f"{prefix}/{module}/{leaf}": array
        for module, leaves in tree.items()
        for leaf, array in leaves.items()
    }


# ---- scripts -----------------------------------------------------------------------------------


def linen_script(parts: Parts, title: str) -> str:
    """Return the script that loads the weights into a linen model and reproduces the example."""
    lines = [
        "class Model(nn.Module):",
        "    @nn.compact",
        "    def __call__(self, inputs, lengths):",
    ]
    body: list[str] = []
    if parts.embedding_size:
        size = f"{parts.symbols}, {parts.embedding_size}"
        body.append(f'x = nn.Embed({size}, name="embedding")(inputs)')
    elif parts.symbols:
        body.append(f"x = jax.nn.one_hot(inputs, {parts.symbols})")
    for index, level in enumerate(parts.levels):
        x = "x" if body else "inputs"
        body.append(f"x = {_linen_level(level, index)}({x}, seq_lengths=lengths)")
    body += _read(parts)
    output = f'nn.Dense({parts.outputs}, name="output")(x)'
    body.append(f"return {_ACTIVATIONS[parts.activation].format(output)}")
    lines += [f"        {line}" for line in body]
    call = 'Model().apply({"params": params}, example["inputs"], example["lengths"])'
    return _script(parts, title, "from flax import linen as nn", lines, "weights.npz", "", call)


def nnx_script(parts: Parts, title: str) -> str:
    """Return the script that loads the weights into an nnx model and reproduces the example."""
    init: list[str] = []
    call: list[str] = []
    if parts.embedding_size:
        size = f"{parts.symbols}, {parts.embedding_size}"
        init.append(f"self.embedding = nnx.Embed({size}, rngs=rngs)")
        call.append("x = self.embedding(inputs)")
    elif parts.symbols:
        call.append(f"x = jax.nn.one_hot(inputs, {parts.symbols})")
    size = parts.input_size
    for index, level in enumerate(parts.levels):
        x = "x" if call else "inputs"
        init.append(f"self.level_{index} = {_nnx_level(level, size)}")
        call.append(f"x = self.level_{index}({x}, seq_lengths=lengths)")
        size = level.output_size
    init.append(f"self.output = nnx.Linear({size}, {parts.outputs}, rngs=rngs)")
    call += _read(parts)
    call.append(f"return {_ACTIVATIONS[parts.activation].format('self.output(x)')}")
    lines = ["class Model(nnx.Module):", "    def __init__(self, rngs):"]
    lines += [f"        {line}" for line in init]
    lines += ["", "    def __call__(self, inputs, lengths):"]
    lines += [f"        {line}" for line in call]
    load = "model = Model(nnx.Rngs(0))\nnnx.update(model, params)\n"
    run = 'model(jax.numpy.asarray(example["inputs"]), jax.numpy.asarray(example["lengths"]))'
    return _script(parts, title, "from flax import nnx", lines, "weights_nnx.npz", load, run)


def _script(
    parts: Parts, title: str, import_line: str, model: list[str], file: str, load: str, call: str
) -> str:
    transitions, scores = (TAKE_TRANSITIONS, ADD_TRANSITIONS) if parts.crf else ("", "")
    definition = "\n".join(model)
    return f'''\
"""{title}"""

from pathlib import Path

import jax
import numpy as np
{import_line}
from flax.traverse_util import unflatten_dict


{definition}


files = Path(__file__).parent
weights, example = (dict(np.load(files / name)) for name in ("{file}", "example.npz"))
{transitions}params = unflatten_dict(weights, sep="/")
{load}with jax.default_matmul_precision("highest"):
    outputs = np.array({call})
{scores}{CHECK}'''


def _linen_level(level: Layer, index: int) -> str:
    kind, activation = _kind(level)

    def rnn(name: str) -> str:
        return f'nn.RNN(nn.{kind}{activation}, name="{name.format(index)}"))'

    if not isinstance(level, Bidirectional):
        return rnn(_LINEN[2])
    return f"nn.Bidirectional({rnn(_LINEN[0])}, {rnn(_LINEN[1])})"


def _nnx_level(level: Layer, input_size: int) -> str:
    kind, activation = _kind(level)
    rnn = f"nnx.RNN(nnx.{kind.replace('(', f'({input_size}, ')}{activation}, rngs=rngs))"
    return f"nnx.Bidirectional({rnn}, {rnn})" if isinstance(level, Bidirectional) else rnn


def _kind(level: Layer) -> tuple[str, str]:
    """Return the call that makes a level's cell, open at its end, and its activation."""
    cell = cell_of(level)
    activation = ""
    if isinstance(cell, RNN) and cell.activation != "tanh":
        activation = f", activation_fn={_CELL_ACTIVATIONS[str(cell.activation)]}"
    return f"{_CELLS[type(cell).__name__]}({cell.hidden_size}", activation


def _read(parts: Parts) -> list[str]:
    """Return the lines that turn outputs of every step, x, into what the read-out reads."""
    if parts.reads == "last":
        last = "[jax.numpy.arange(len(x)), lengths - 1]"
        top = parts.levels[-1]
        if not isinstance(top, Bidirectional):
            return [f"x = x{last}"]
        H = top.forward.output_size  # the backward direction ends at the first step
        ends = f"x[..., :{H}]{last}, x[:, 0, {H}:]"
        return [f"x = jax.numpy.concatenate([{ends}], -1)"]
    lines = [
        "real = jax.numpy.arange(x.shape[1]) < lengths[:, None]",
        "x = jax.numpy.where(real[..., None], x, 0)",
    ]
    return lines + ["x = x.sum(1) / lengths[:, None]"] * (parts.reads == "mean")
