"""cuDNN's packed weights, one flat array, as ``jax.experimental.rnn`` takes it.

Level by level and direction by direction (a "pseudo-layer" of cuDNN): first all kernels, then all
biases, each row by row as in PyTorch (:mod:`rnnlab.interop.torch`):

    W_ih⁰ W_hh⁰ W_ih¹ W_hh¹ …  b_ih⁰ b_hh⁰ b_ih¹ b_hh¹ …

    mode                     gates in order (linLayerID 0 1 2 3) -> ours
    RNN_TANH, RNN_RELU       one
    LSTM                     input, forget, new, output -> i f c o
    GRU                      reset, update, new -> r z h, ``reset_after=True``

Both biases are there (CUDNN_RNN_DOUBLE_BIAS), or none. Reading adds them; writing puts b into b_ih
and zeros into b_hh (b_hn for a GRU's candidate), so that the sum is kept.

Source: NVIDIA's cuDNN API reference, cudnnGetRNNWeightParams and cudnnRNNMode_t, for the order of
the gates; jax/experimental/rnn.py for that of the arrays, which holds on NVIDIA's GPUs (on AMD's
the LSTM's last two gates are swapped).
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rnnlab.core.validate import whole
from rnnlab.interop import blocks, torch
from rnnlab.nn.cells import Cell
from rnnlab.nn.layers import Layer

PyTree = Any


def from_packed(
    weights: ArrayLike, layer: Cell | Layer, input_size: int, *, bias: bool = True
) -> PyTree:
    """Return the parameters of a layer from cuDNN's flat array.

    Args:
        weights: (n,) floats.
        layer: as in :func:`rnnlab.interop.torch.from_arrays`, without projections.
        input_size: D of the first level.
        bias: whether there are biases.
    Raises:
        ValueError: another number of weights, no floats; a layer that cuDNN does not have.

    >>> from rnnlab import GRU
    >>> from_packed(np.zeros(3 * (2 * 4 + 4 * 4 + 2 * 4)), GRU(4, reset_after=True), 2).W_xz.shape
    (2, 4)
    """
    weights = np.asarray(weights)
    shapes = _shapes(layer, input_size, bias)
    count = sum(math.prod(shape) for shape in shapes.values())
    if weights.shape != (count,):
        raise ValueError(
            f"cuDNN's weights must be ({count},) for {len(shapes)} arrays of this "
            f"layer with input_size={input_size}, bias={bias}, got {weights.shape}"
        )
    arrays, start = {}, 0
    for name, shape in shapes.items():
        end = start + math.prod(shape)
        arrays[name] = weights[start:end].reshape(shape)
        start = end
    return blocks.read(layer, arrays, torch.layout("", bias), "cuDNN")


def to_packed(params: PyTree, layer: Cell | Layer, *, bias: bool = True) -> np.ndarray:
    """Return cuDNN's flat array (n,) of a layer's parameters.

    Raises:
        ValueError, TypeError: parameters of another layer, a layer that cuDNN does not have;
            with ``bias=False`` a bias that is not zero.
    """
    _check(layer)
    arrays = blocks.write(layer, params, torch.layout("", bias), "cuDNN")
    return np.concatenate([arrays[name].ravel() for name in _ordered(arrays)])


def _check(layer: Cell | Layer) -> None:
    for place in blocks.places(layer, "cuDNN"):
        blocks.check_no_projection(place, "cuDNN's layout here")
    torch.check_layer(layer, "cuDNN")


def _ordered(names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: name.startswith("bias"))  # stable: kernels, then biases


def _shapes(layer: Cell | Layer, input_size: int, bias: bool) -> dict[str, tuple[int, ...]]:
    _check(layer)
    sizes = blocks.level_sizes(layer, whole("input_size", input_size))
    layout = torch.layout("", bias)
    shapes = {
        name: blocks.part_shape(part, place.cell, sizes[place.level])
        for place in blocks.places(layer, "cuDNN")
        for name, part in layout(place).items()
    }
    return {name: shapes[name] for name in _ordered(shapes)}
