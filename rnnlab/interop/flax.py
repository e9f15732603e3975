"""Weights of Flax's recurrent cells, linen's and nnx's, read and written.

Kernels lie (in, out), as ours do. A cell's tree, its leaves "module/kernel" and "module/bias":

    linen                             modules, and the blocks of ours that they hold
    SimpleCell                        i: W_xh, b_h; h: W_hh
    LSTMCell, OptimizedLSTMCell       ii if ig io: W_x of i f c o; hi hf hg ho: W_h, b
    GRUCell                           ir iz in: W_x, b of r z h; hr hz: W_h; hn: W_hh, b_hn

    nnx
    SimpleCell                        dense_i: W_xh, b_h; dense_h: W_hh
    LSTMCell                          as linen's, "if" written "if_"
    OptimizedLSTMCell                 dense_i: W_x of i f c o side by side; dense_h: W_h, b
    GRUCell                           dense_i: W_x, b of r z h side by side; dense_h: W_h

Flax has one bias per gate, as here: every parameter comes back bit for bit. Its GRUs are our
``GRU(H, reset_after=True)``; nnx's has no b_hn (flax #5594): reading sets it to zero, writing
refuses one that is not zero. An ``activation_fn`` leaves no trace in the weights; ``residual=True``
of a SimpleCell, and other ``gate_fn``, have no counterpart.

Where a cell's tree lies in a model's depends on the model: ``["params"]["cell"]`` of an
``nn.RNN(cell)``, ``["params"]["LSTMCell_0"]`` where a compact module makes it. Pass the cell's own
tree; for a bidirectional layer a pair (forward, backward), for a stack a sequence of these, bottom
first.

Source: flax/linen/recurrent.py and flax/nnx/nn/recurrent.py.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from rnnlab.interop import blocks
from rnnlab.interop.blocks import NamedCell, Part, Place, part
from rnnlab.nn import cells
from rnnlab.nn.cells import Cell
from rnnlab.nn.layers import Bidirectional, Layer, Stack, as_layer

PyTree = Any
_OURS = {"f": "f", "i": "i", "g": "c", "o": "o", "r": "r", "z": "z", "n": "h"}


def from_linen(trees: PyTree, layer: Cell | Layer) -> PyTree:
    """Return the parameters of a layer from those of linen's cells.

    Args:
        trees: one cell's tree; (forward, backward) of a bidirectional layer; a sequence of
            levels for a stack.
        layer: a cell, a layer, a bidirectional layer or a stack of these.
    Raises:
        ValueError: lists every array that is missing, extra or of another shape, by its place;
            another nesting; options that Flax does not have.
        TypeError: another kind of cell.

    >>> from rnnlab import RNN
    >>> tree = to_linen(RNN(4).init_params(__import__("jax").random.key(0), 3), RNN(4))
    >>> tree["i"]["kernel"].shape, from_linen(tree, RNN(4)).W_xh.shape
    ((3, 4), (3, 4))
    """
    _check(layer, "linen")
    return blocks.read(layer, _leaves_by_place(layer, trees), _layout(_linen), "linen")


def to_linen(params: PyTree, layer: Cell | Layer) -> PyTree:
    """Return trees of linen's cells, nested as :func:`from_linen` takes them.

    Raises:
        ValueError, TypeError: as :func:`from_linen`; parameters of another layer.
    """
    _check(layer, "linen")
    return _trees(layer, blocks.write(layer, params, _layout(_linen), "linen"))


def from_nnx(trees: PyTree, layer: Cell | Layer, *, optimized: bool = False) -> PyTree:
    """Return the parameters of a layer from those of nnx's cells.

    Args:
        trees: ``nnx.to_pure_dict(nnx.state(cell, nnx.Param))``, or the state itself; nested as
            :func:`from_linen` takes them.
        layer: as :func:`from_linen`.
        optimized: whether LSTMs are OptimizedLSTMCells, whose kernels are packed.
    Raises:
        ValueError, TypeError: as :func:`from_linen`.
    """
    _check(layer, "nnx")
    layout = _layout(partial(_nnx, optimized=optimized))
    return blocks.read(layer, _leaves_by_place(layer, trees), layout, "nnx")


def to_nnx(params: PyTree, layer: Cell | Layer, *, optimized: bool = False) -> PyTree:
    """Return trees of nnx's cells; ``nnx.update(cell, tree)`` takes one.

    Raises:
        ValueError, TypeError: as :func:`from_nnx`; parameters of another layer; a GRU's b_hn that
            is not zero.
    """
    _check(layer, "nnx")
    layout = _layout(partial(_nnx, optimized=optimized))
    return _trees(layer, blocks.write(layer, params, layout, "nnx"))


def _check(layer: Cell | Layer, theirs: str) -> None:
    for place in blocks.places(layer, theirs):
        blocks.check_reset_after(place, theirs)
        blocks.check_no_projection(place, theirs)


# ---- layouts -----------------------------------------------------------------------------------


def _linen(cell: NamedCell) -> dict[str, Part]:
    if isinstance(cell, cells.RNN):
        return {"i/kernel": part("W_xh"), "i/bias": part("b_h"), "h/kernel": part("W_hh")}
    lstm = isinstance(cell, cells.LSTM)
    parts = {}
    for gate in "ifgo" if lstm else "rzn":
        ours = _OURS[gate]
        parts[f"i{gate}/kernel"] = part(f"W_x{ours}")
        parts[f"h{gate}/kernel"] = part(f"W_h{ours}")
        parts[f"h{gate}/bias" if lstm else f"i{gate}/bias"] = part(f"b_{ours}")
    return parts if lstm else {**parts, "hn/bias": part("b_hn")}


def _nnx(cell: NamedCell, optimized: bool) -> dict[str, Part]:
    lstm = isinstance(cell, cells.LSTM)
    if lstm and not optimized:
        return {name.replace("if/", "if_/"): array for name, array in _linen(cell).items()}
    order = "ifco" if lstm else "rzh" if isinstance(cell, cells.GRU) else "h"
    return {
        "dense_i/kernel": part(*(f"W_x{gate}" for gate in order)),
        "dense_h/kernel": part(*(f"W_h{gate}" for gate in order)),
        "dense_h/bias" if lstm else "dense_i/bias": part(*(f"b_{gate}" for gate in order)),
    }


def _layout(parts_of_cell: Callable[[NamedCell], dict[str, Part]]) -> blocks.Layout:
    def parts_of(place: Place) -> dict[str, Part]:
        prefix = _prefix(place.level, place.direction)
        return {f"{prefix}{name}": array for name, array in parts_of_cell(place.cell).items()}

    return parts_of


def _prefix(level: int, direction: int) -> str:
    return f"level {level}, {('forward', 'backward')[direction]}: "


# ---- trees -------------------------------------------------------------------------------------


def _leaves_by_place(layer: Cell | Layer, trees: PyTree) -> dict[str, object]:
    """Return all leaves, named by level, direction and path in the cell's tree."""
    layer = as_layer(layer)
    levels = layer.layers if isinstance(layer, Stack) else (layer,)
    trees = _sequence(trees, len(levels), "a stack") if isinstance(layer, Stack) else (trees,)
    leaves: dict[str, object] = {}
    for level, (inner, of_level) in enumerate(zip(levels, trees, strict=True)):
        both = isinstance(inner, Bidirectional)
        sides = _sequence(of_level, 2, "a bidirectional layer") if both else (of_level,)
        for direction, tree in enumerate(sides):
            if not isinstance(tree, Mapping):
                raise ValueError(f"a cell's tree must be a mapping, got {type(tree).__name__}")
            leaves |= _leaves(tree, _prefix(level, direction))
    return leaves


def _sequence(trees: PyTree, count: int, whole: str) -> Sequence[PyTree]:
    if not isinstance(trees, tuple | list):
        raise ValueError(
            f"trees of {whole} must be a sequence of {count}, got {type(trees).__name__}"
        )
    if len(trees) != count:
        raise ValueError(f"trees of {whole} must be {count}, got {len(trees)}")
    return trees


def _leaves(tree: Mapping[PyTree, object], prefix: str) -> dict[str, object]:
    leaves: dict[str, object] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            leaves |= _leaves(value, f"{prefix}{name}/")
        else:
            leaves[f"{prefix}{name}"] = value
    return leaves


def _trees(layer: Cell | Layer, arrays: Mapping[str, np.ndarray]) -> PyTree:
    def tree(place: Place) -> dict[str, dict[str, np.ndarray]]:
        prefix = _prefix(place.level, place.direction)
        modules: dict[str, dict[str, np.ndarray]] = {}
        for name, array in arrays.items():
            if name.startswith(prefix):
                module, leaf = name.removeprefix(prefix).split("/")
                modules.setdefault(module, {})[leaf] = array
        return modules

    return blocks.nested(layer, map(tree, blocks.places(layer, "Flax")))
