"""Weights of Keras 3's SimpleRNN, LSTM, GRU and Bidirectional, read and written.

A layer's variables; kernels lie (in, out), as ours do; H units, G gates, D inputs:

    variable          shape      ours
    kernel            (D, G·H)   W_x of each gate
    recurrent_kernel  (H, G·H)   W_h of each gate
    bias              (G·H,)     b of each gate
    bias of GRU(reset_after=True), Keras' default: (2, 3·H), the input's above the recurrent's:
                                 b_z and b_r are the sums of both rows; b_h the first, b_hn the last

    layer      gates in order, Keras' letters -> ours
    SimpleRNN  one
    LSTM       i f c o -> i f c o
    GRU        z r h -> z r h; z keeps the past on both sides; ``reset_after`` as ours

Reading adds the two rows of b_z and b_r (in float64, rounded once); writing puts them into the
first row and zeros into the second. All other arrays come back bit for bit. A Bidirectional has the
variables of its forward layer, then those of its backward layer. Its ``merge_mode`` "concat",
"sum", "ave", "mul" is our "concat", "sum", "mean", "product"; like the activations
(``recurrent_activation`` must be "sigmoid") it leaves no trace in the weights.

Source: keras/src/layers/rnn/{simple_rnn,lstm,gru,bidirectional}.py, ``build`` and ``call``.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnlab.interop import blocks
from rnnlab.interop.blocks import Part, Place, part
from rnnlab.nn import cells
from rnnlab.nn.cells import Cell
from rnnlab.nn.layers import Layer

PyTree = Any
ORDER = {cells.RNN: "h", cells.LSTM: "ifco", cells.GRU: "zrh"}
VARIABLES = ("kernel", "recurrent_kernel", "bias")


def from_arrays(
    arrays: Mapping[str, object], layer: Cell | Layer, *, prefix: str = "", bias: bool = True
) -> PyTree:
    """Return the parameters of a layer from Keras' variables by their paths.

    Layers are distinguished by their paths, "lstm/lstm_cell/kernel", and taken in the order given:
    that of ``model.weights``.

    Args:
        arrays: path -> array: ``{w.path: w.numpy() for w in model.weights}``.
        layer: a cell, a layer, a bidirectional layer or a stack of these.
        prefix: of the paths to read, "sequential/lstm" for instance; others are ignored.
        bias: Keras' ``use_bias``.
    Raises:
        ValueError: lists every array that is missing, extra or of another shape, by path; the
            directions in the wrong order; options that Keras does not have.
        TypeError: another kind of cell.

    >>> from rnnlab import LSTM
    >>> cell = LSTM(4)
    >>> arrays = to_arrays(cell.init_params(__import__("jax").random.key(0), 3), cell)
    >>> {path: array.shape for path, array in arrays.items()}["layer_0/kernel"]
    (3, 16)
    >>> from_arrays(arrays, cell).W_xi.shape
    (3, 4)
    """
    chosen = {name: array for name, array in arrays.items() if name.startswith(prefix)}
    parents: dict[str, None] = {}  # an ordered set
    for path in chosen:
        parent, _, variable = path.rpartition("/")
        if variable in VARIABLES:
            parents[parent] = None
    # a Dense layer has a kernel as well, but no recurrent one
    recurrent = [p for p in parents if f"{p}/recurrent_kernel" in chosen] or list(parents)
    every = _places(layer)
    names = dict(zip(((p.level, p.direction) for p in every), recurrent, strict=False))
    both = {place.level for place in every if place.direction}
    for (level, direction), path in names.items():
        side = ("forward", "backward")[direction]
        sides = {word.split("_")[0] for word in path.split("/")} & {"forward", "backward"}
        if level in both and sides and side not in sides:
            raise ValueError(f"level {level}: the {side} direction expected, got {path}")
    return blocks.read(layer, chosen, _layout(names, bias), "Keras")


def to_arrays(params: PyTree, layer: Cell | Layer, *, bias: bool = True) -> dict[str, np.ndarray]:
    """Return Keras' variables of a layer's parameters, in the order of ``get_weights()``.

    ``model.set_weights(list(arrays.values()))`` takes them.

    Args:
        params: of ``layer``.
        layer: as :func:`from_arrays`.
        bias: Keras' ``use_bias``; False: biases that are not zero are refused.
    Returns:
        "layer_0/kernel", or "layer_0/forward/kernel", -> array, and so on.
    Raises:
        ValueError, TypeError: as :func:`from_arrays`; parameters of another layer.
    """
    every = _places(layer)
    both = {place.level for place in every if place.direction}
    names = {
        (level, direction): f"layer_{level}"
        + ("", "/forward", "/backward")[(1 + direction) * (level in both)]
        for level, direction, _ in every
    }
    return blocks.write(layer, params, _layout(names, bias), "Keras")


def _places(layer: Cell | Layer) -> list[Place]:
    every = blocks.places(layer, "Keras")
    for place in every:
        blocks.check_no_projection(place, "Keras")
    return every


def _layout(names: Mapping[tuple[int, int], str], bias: bool) -> blocks.Layout:
    def parts_of(place: Place) -> dict[str, Part]:
        order = ORDER[type(place.cell)]
        two_rows = isinstance(place.cell, cells.GRU) and place.cell.reset_after
        b = tuple(f"b_{gate}" for gate in order)
        parts = {
            "kernel": part(*(f"W_x{gate}" for gate in order)),
            "recurrent_kernel": part(*(f"W_h{gate}" for gate in order)),
        }
        if bias:
            parts["bias"] = Part((b, (*b[:-1], "b_hn"))) if two_rows else part(*b)
        # a missing layer gets a name by its place, for the message
        side = ("forward", "backward")[place.direction]
        missing = f"(layer {place.level + 1}, {side})"
        path = names.get((place.level, place.direction), missing)
        return {f"{path}/{name}" if path else name: array for name, array in parts.items()}

    return parts_of
