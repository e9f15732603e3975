"""The model of :mod:`rnnlab.interop.portable` in PyTorch: its weights, and a script."""

import numpy as np

from rnnlab.interop import torch
from rnnlab.interop.portable import CHECK, Parts, cell_of
from rnnlab.nn.cells import LSTM, RNN
from rnnlab.nn.layers import Bidirectional
from rnnlab.nn.params import PyTree

_ACTIVATIONS = {
    "identity": "{}",
    "tanh": "torch.tanh({})",
    "relu": "torch.relu({})",
    "sigmoid": "torch.sigmoid({})",
    "softmax": "torch.softmax({}, -1)",
}
_WIDTH = 80  # of the modules on one line


def check(parts: Parts) -> None:
    """Refuse levels that are not alike: PyTorch stacks equal ones only.

    Raises:
        ValueError: names the difference.
    """
    torch.check_layer(parts.layer, "PyTorch")


def arrays(parts: Parts, own: dict[str, PyTree]) -> dict[str, np.ndarray]:
    """Return the state dict of the script's model.

    Args:
        own: ``params["params"]`` of the model.
    """
    state = torch.to_arrays(own["recurrent"], parts.layer, prefix="recurrent.")
    if parts.embedding_size:
        state["embedding.weight"] = np.asarray(own["embedding"])
    W_hy = np.asarray(own["embedding"]).T if parts.tied else np.asarray(own["W_hy"])
    state["output.weight"] = np.ascontiguousarray(W_hy.T)
    state["output.bias"] = np.asarray(own["b_y"])
    if parts.crf:
        state["transitions.weight"] = np.asarray(own["transitions"])
    return state


def script(parts: Parts, title: str) -> str:
    """Return the script that loads the weights and reproduces the example."""
    modules, forward = _modules(parts), _forward(parts)
    steps = "pad_packed_sequence(self.recurrent(packed)[0], True, total_length=inputs.shape[1])"
    packing = "pack_padded_sequence" + ", pad_packed_sequence" * ("PADDED" in forward)
    forward = forward.replace("PADDED", steps)
    tie = "model.output.weight = model.embedding.weight  # W_hy is the embedding\n" * parts.tied
    return f'''\
"""{title}"""

from pathlib import Path

import numpy as np
import torch
from torch.nn.utils.rnn import {packing}


class Model(torch.nn.ModuleDict):
    def forward(self, inputs, lengths):  # {_inputs(parts)}, (B,) real steps
{forward}


model = Model({modules})
{tie}files = Path(__file__).parent
weights, example = (dict(np.load(files / name)) for name in ("weights.npz", "example.npz"))
model.load_state_dict({{name: torch.tensor(array) for name, array in weights.items()}})
outputs = model(torch.tensor(example["inputs"]), torch.tensor(example["lengths"])).detach().numpy()
{CHECK}'''


def _inputs(parts: Parts) -> str:
    return "(B, T) symbols" if parts.symbols else f"(B, T, {parts.input_size})"


def _modules(parts: Parts) -> str:
    cell, both = cell_of(parts.levels[0]), isinstance(parts.levels[0], Bidirectional)
    options = [str(parts.input_size), str(cell.hidden_size)]
    if len(parts.levels) > 1:
        options.append(f"num_layers={len(parts.levels)}")
    if both:
        options.append("bidirectional=True")
    if isinstance(cell, LSTM) and cell.projection:
        options.append(f"proj_size={cell.projection}")
    if isinstance(cell, RNN) and cell.activation != "tanh":
        options.append(f'nonlinearity="{cell.activation}"')
    kind = type(cell).__name__
    features = cell.output_size * (1 + both)
    rows = {
        "embedding": f"Embedding({parts.symbols}, {parts.embedding_size})",
        "recurrent": f"{kind}({', '.join(options)}, batch_first=True)",
        "output": f"Linear({features}, {parts.outputs})",
        "transitions": f"Embedding({parts.outputs + 1}, {parts.outputs})",
    }
    if not parts.embedding_size:
        del rows["embedding"]
    if not parts.crf:
        del rows["transitions"]
    entries = [f'"{name}": torch.nn.{module}' for name, module in rows.items()]
    line = f"{{{', '.join(entries)}}}"
    if len(line) <= _WIDTH:
        return line
    return "\n".join(["{", *(f"    {entry}," for entry in entries), "}"])


def _forward(parts: Parts) -> str:
    """Return the lines of ``forward``; PADDED stands for the call with outputs at every step."""
    xs = "inputs"
    if parts.embedding_size:
        xs = "self.embedding(inputs)"
    elif parts.symbols:
        xs = f"torch.nn.functional.one_hot(inputs, {parts.symbols}).float()"
    lines = [f"packed = pack_padded_sequence({xs}, lengths, True, enforce_sorted=False)"]
    lstm = isinstance(cell_of(parts.levels[0]), LSTM)
    both = isinstance(parts.levels[-1], Bidirectional)
    if parts.reads == "last":
        state = "(h, _)" if lstm else "h"
        lines.append(f"_, {state} = self.recurrent(packed)")
        read = "torch.cat([h[-2], h[-1]], -1)" if both else "h[-1]"
    else:
        lines.append("hs, _ = PADDED")
        read = "hs" if parts.reads == "steps" else "hs.sum(1) / lengths[:, None]"
    y = _ACTIVATIONS[parts.activation].format(f"self.output({read})")
    if parts.crf:
        K = parts.outputs
        lines += [
            f"y, A = {y}[:, :, None], self.transitions.weight  # A[-1]: of the first step",
            f"return torch.cat([y[:, :1] + A[-1].expand({K}, {K}), y[:, 1:] + A[:-1]], 1)",
        ]
    else:
        lines.append(f"return {y}")
    return "\n".join(f"        {line}" for line in lines)
