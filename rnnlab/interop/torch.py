"""Weights of PyTorch's nn.RNN, nn.LSTM and nn.GRU, read and written.

Names of level l, followed by "_reverse" for the backward direction; H units, G gates, D inputs (of
a level above the first: the outputs below, both directions side by side):

    name            shape                ours
    weight_ih_l{l}  (G·H, D)             W_x of each gate, turned to (in, out)
    weight_hh_l{l}  (G·H, H or P)        W_h of each gate, turned
    bias_ih_l{l}    (G·H,)               b of each gate …
    bias_hh_l{l}    (G·H,)               … plus this one; b_hn of a GRU's candidate
    weight_hr_l{l}  (P, H)               W_mh turned (``proj_size``)

    module   gates in order, PyTorch's letters -> ours
    nn.RNN   one
    nn.LSTM  i f g o -> i f c o
    nn.GRU   r z n -> r z h, ``reset_after=True``; z keeps the past on both sides

PyTorch has two biases where ours has one. Reading adds them (in float64, rounded once); writing
puts b into bias_ih and zeros into bias_hh: outputs and the sum are kept, the split is not. All
other arrays come back bit for bit, and so do all of our parameters. A module with ``bias=False``
has none: pass ``bias=False``, and ours are zero. ``batch_first``, dropout and the activation leave
no trace in the weights: ``RNN(H, "relu")`` is ``nonlinearity="relu"``.

Source: the PyTorch documentation of torch.nn.RNN, LSTM and GRU, "Variables"; torch/nn/modules/
rnn.py, ``RNNBase.__init__``.
"""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnlab.interop import blocks
from rnnlab.interop.array_files import read_arrays, write_arrays
from rnnlab.interop.blocks import Part, Place, part
from rnnlab.nn import cells
from rnnlab.nn.cells import Cell
from rnnlab.nn.layers import Bidirectional, Layer, Stack, as_layer

PyTree = Any

ORDER = {cells.RNN: "h", cells.LSTM: "ifco", cells.GRU: "rzh"}
ACTIVATIONS = ("tanh", "relu")


def from_arrays(
    arrays: Mapping[str, object], layer: Cell | Layer, *, prefix: str = "", bias: bool = True
) -> PyTree:
    """Return the parameters of a layer from a state dict.

    Args:
        arrays: name -> array or CPU tensor: ``module.state_dict()``.
        layer: a cell, a layer, a bidirectional layer ("concat", both cells alike) or a stack of
            these, all of one hidden size.
        prefix: of a larger model's names, "encoder.lstm." for instance; others are ignored.
        bias: whether the module has biases.
    Returns:
        parameters for ``layer.apply``.
    Raises:
        ValueError: lists every array that is missing, extra or of another shape, by name; a
            layer that PyTorch has no module for.
        TypeError: a cell that it has no module for.

    >>> from rnnlab import LSTM
    >>> arrays = to_arrays(LSTM(4).init_params(__import__("jax").random.key(0), 3), LSTM(4))
    >>> arrays["weight_ih_l0"].shape, from_arrays(arrays, LSTM(4)).W_xi.shape
    ((16, 3), (3, 4))
    """
    check_layer(layer, "PyTorch")
    chosen = {name: array for name, array in arrays.items() if name.startswith(prefix)}
    return blocks.read(layer, chosen, layout(prefix, bias), "PyTorch")


def to_arrays(
    params: PyTree, layer: Cell | Layer, *, prefix: str = "", bias: bool = True
) -> dict[str, np.ndarray]:
    """Return the state dict of a layer's parameters, in the order of ``module.state_dict()``.

    ``module.load_state_dict({k: torch.tensor(v) for k, v in arrays.items()})`` takes it.

    Args:
        params: of ``layer``.
        layer, prefix: as :func:`from_arrays`.
        bias: False for a module without biases; biases that are not zero are then refused.
    Raises:
        ValueError, TypeError: as :func:`from_arrays`; parameters of another layer.
    """
    check_layer(layer, "PyTorch")
    return blocks.write(layer, params, layout(prefix, bias), "PyTorch")


def load(
    path: str | os.PathLike[str], layer: Cell | Layer, *, prefix: str = "", bias: bool = True
) -> PyTree:
    """Read :func:`from_arrays` from a ``.safetensors`` (or ``.npz``) file; .pt files are pickles.

    Raises:
        UserError: another kind of file.
        ValueError, TypeError: as :func:`from_arrays`.
    """
    return from_arrays(read_arrays(path), layer, prefix=prefix, bias=bias)


def save(
    path: str | os.PathLike[str],
    params: PyTree,
    layer: Cell | Layer,
    *,
    prefix: str = "",
    bias: bool = True,
) -> None:
    """Write :func:`to_arrays` to a ``.safetensors`` file.

    Raises:
        UserError: another kind of file.
        ValueError, TypeError: as :func:`to_arrays`.
    """
    write_arrays(path, to_arrays(params, layer, prefix=prefix, bias=bias))


def check_layer(layer: Cell | Layer, theirs: str) -> None:
    """Refuse anything but a stack of equal levels: PyTorch and cuDNN have nothing else.

    Raises:
        ValueError, TypeError: names the difference.
    """
    every = blocks.places(layer, theirs)
    for place in every:
        blocks.check_reset_after(place, theirs)
        size = blocks.projection_of(place.cell)
        if size is not None and size >= place.cell.hidden_size:
            raise ValueError(
                f"{theirs} has projections smaller than hidden_size={place.cell.hidden_size}, got "
                f"projection={size}"
            )
        if isinstance(place.cell, cells.RNN) and place.cell.activation not in ACTIVATIONS:
            raise ValueError(
                f"{theirs} has RNNs of tanh and of relu, got activation={place.cell.activation!r}"
            )
    activations = {place.cell.activation for place in every if isinstance(place.cell, cells.RNN)}
    for aspect, values in (
        ("kind of cell", {type(place.cell).__name__ for place in every}),
        ("hidden_size", {place.cell.hidden_size for place in every}),
        ("projection", {blocks.projection_of(place.cell) for place in every}),
        ("activation", activations),
    ):
        if len(values) > 1:
            raise ValueError(
                f"{theirs} has one {aspect} in all levels and directions, got "
                f"{', '.join(sorted(map(str, values)))}"
            )
    layer = as_layer(layer)
    levels = layer.layers if isinstance(layer, Stack) else (layer,)
    if len({isinstance(inner, Bidirectional) for inner in levels}) > 1:
        raise ValueError(f"{theirs} has all levels bidirectional or none, got some")
    for inner in levels:
        if isinstance(inner, Bidirectional) and inner.merge != "concat":
            raise ValueError(f"{theirs} merges directions by 'concat', got {inner.merge!r}")


def layout(prefix: str, bias: bool) -> blocks.Layout:
    """Return PyTorch's layout.

    Args:
        prefix: of every name.
        bias: whether the module has biases.
    """

    def parts_of(place: Place) -> dict[str, Part]:
        cell, order = place.cell, ORDER[type(place.cell)]
        end = f"_l{place.level}" + ("_reverse" if place.direction else "")
        b = [f"b_{gate}" for gate in order]
        parts = {
            "weight_ih": part(*(f"W_x{gate}" for gate in order), turned=True),
            "weight_hh": part(*(f"W_h{gate}" for gate in order), turned=True),
        }
        if bias:
            parts["bias_ih"] = part(*b)
            gru = isinstance(cell, cells.GRU)
            parts["bias_hh"] = part(*b[:-1], "b_hn") if gru else part(*b)
        if blocks.projection_of(cell) is not None:
            parts["weight_hr"] = part("W_mh", turned=True)
        return {f"{prefix}{name}{end}": array for name, array in parts.items()}

    return parts_of
