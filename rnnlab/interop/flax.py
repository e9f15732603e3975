"""Weights of Flax's recurrent cells, linen's and nnx's, read and written.

Kernels lie (in, out), as ours do. A cell's tree, its leaves "module/kernel" and "module/bias":

    linen                             modules and what they hold of ours
    SimpleCell                        i: W_xh, b_h; h: W_hh
    LSTMCell, OptimizedLSTMCell       ii if ig io: W_x of i f c o; hi hf hg ho: W_h, b
    GRUCell                           ir iz in: W_x, b of r z h; hr hz: W_h; hn: W_hh, b_hn

    nnx
    SimpleCell                        dense_i: W_xh, b_h; dense_h: W_hh
    LSTMCell                          as linen's, "if" written "if_"
    OptimizedLSTMCell                 dense_i: W_x of i f c o side by side; dense_h: W_h, b
    GRUCell                           dense_i: W_x, b of r z h side by side; dense_h: W_h

Flax has one bias a gate, as ours: every parameter comes back bit for bit. Its GRUs are our
``GRU(H, reset_after=True)``; nnx's has no b_hn (flax #5594), which is zero on reading and refused
on writing where it is not. An ``activation_fn`` leaves no trace in the weights; ``residual=True``
of a SimpleCell, and other ``gate_fn``, have no counterpart.

Where a cell's tree lies in a model's depends on the model: ``["params"]["cell"]`` of an
``nn.RNN(cell)``, ``["params"]["LSTMCell_0"]`` where a compact module makes it. Give the cell's own;
for a bidirectional layer a pair (forward, backward), for a stack a sequence of these, bottom first.

Source: flax/linen/recurrent.py and flax/nnx/nn/recurrent.py.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnlab.interop import blocks
from rnnlab.interop.blocks import Part, Place, part
from rnnlab.nn import cells
from rnnlab.nn.layers import Bidirectional, BothWays, Stack, as_layer

_OURS = {"f": "f", "i": "i", "g": "c", "o": "o", "r": "r", "z": "z", "n": "h"}


def from_linen(trees: Any, layer: Any) -> Any:
    """Parameters of a layer from those of linen's cells.

    Args:
        trees: one cell's tree; (forward, backward) of a bidirectional layer; a sequence of
            levels for a stack.
        layer: a cell, a layer, a bidirectional layer or a stack of these.
    Raises:
        ValueError: every array that is missing, too many or of another shape, by its place; another
            nesting; options that Flax does not have. TypeError: another cell.

    >>> from rnnlab import RNN
    >>> tree = to_linen(RNN(4).init_params(__import__("jax").random.key(0), 3), RNN(4))
    >>> tree["i"]["kernel"].shape, from_linen(tree, RNN(4)).W_xh.shape
    ((3, 4), (3, 4))
    """
    _check(layer, "linen")
    return blocks.read(layer, _listed(layer, trees), _layout(_linen), "linen")


def to_linen(params: Any, layer: Any) -> Any:
    """Trees of linen's cells from a layer's parameters, nested as :func:`from_linen` takes them.

    Raises:
        ValueError, TypeError: as :func:`from_linen`; parameters of another layer.
    """
    _check(layer, "linen")
    return _trees(layer, blocks.write(layer, params, _layout(_linen), "linen"))


def from_nnx(trees: Any, layer: Any, *, optimized: bool = False) -> Any:
    """Parameters of a layer from those of nnx's cells.

    Args:
        trees: ``nnx.to_pure_dict(nnx.state(cell, nnx.Param))``, or the state itself; nested as
            :func:`from_linen` takes them.
        layer: as there.
        optimized: whether LSTMs are OptimizedLSTMCells, whose kernels are packed.
    Raises:
        ValueError, TypeError: as :func:`from_linen`.
    """
    _check(layer, "nnx")
    return blocks.read(layer, _listed(layer, trees), _layout(_nnx, optimized), "nnx")


def to_nnx(params: Any, layer: Any, *, optimized: bool = False) -> Any:
    """Trees of nnx's cells; ``nnx.update(cell, tree)`` takes one.

    Raises:
        ValueError, TypeError: as :func:`from_nnx`; parameters of another layer; a GRU's b_hn that
            is not zero.
    """
    _check(layer, "nnx")
    return _trees(layer, blocks.write(layer, params, _layout(_nnx, optimized), "nnx"))


def _check(layer: Any, theirs: str) -> None:
    for place in blocks.places(layer, theirs):
        blocks.check_reset_after(place, theirs)
        blocks.check_no_projection(place, theirs)


# ---- layouts -----------------------------------------------------------------------------------


def _linen(cell: Any) -> dict[str, Part]:
    if isinstance(cell, cells.RNN):
        return {"i/kernel": part("W_xh"), "i/bias": part("b_h"), "h/kernel": part("W_hh")}
    lstm = isinstance(cell, cells.LSTM)
    parts = {}
    for gate in "ifgo" if lstm else "rzn":
        own = _OURS[gate]
        parts[f"i{gate}/kernel"] = part(f"W_x{own}")
        parts[f"h{gate}/kernel"] = part(f"W_h{own}")
        parts[f"h{gate}/bias" if lstm else f"i{gate}/bias"] = part(f"b_{own}")
    return parts if lstm else {**parts, "hn/bias": part("b_hn")}


def _nnx(cell: Any, optimized: bool) -> dict[str, Part]:
    lstm = isinstance(cell, cells.LSTM)
    if lstm and not optimized:
        return {name.replace("if/", "if_/"): own for name, own in _linen(cell).items()}
    order = "ifco" if lstm else "rzh" if isinstance(cell, cells.GRU) else "h"
    return {
        "dense_i/kernel": part(*(f"W_x{gate}" for gate in order)),
        "dense_h/kernel": part(*(f"W_h{gate}" for gate in order)),
        "dense_h/bias" if lstm else "dense_i/bias": part(*(f"b_{gate}" for gate in order)),
    }


def _layout(of_cell: Any, *options: bool) -> blocks.Layout:
    def of(place: Place) -> dict[str, Part]:
        start = _start(place.level, place.direction)
        return {f"{start}{name}": own for name, own in of_cell(place.cell, *options).items()}

    return of


def _start(level: int, direction: int) -> str:
    return f"level {level}, {('forward', 'backward')[direction]}: "


# ---- trees -------------------------------------------------------------------------------------


def _listed(layer: Any, trees: Any) -> dict[str, Any]:
    """Leaves by level, direction and place in the cell's tree."""
    layer = as_layer(layer)
    levels = layer.layers if isinstance(layer, Stack) else (layer,)
    trees = _sequence(trees, len(levels), "a stack") if isinstance(layer, Stack) else (trees,)
    leaves: dict[str, Any] = {}
    for level, (inner, own) in enumerate(zip(levels, trees, strict=True)):
        both = isinstance(inner, Bidirectional)
        sides = _sequence(own, 2, "a bidirectional layer") if both else (own,)
        for direction, tree in enumerate(sides):
            if not isinstance(tree, Mapping):
                raise ValueError(f"a cell's tree must be a mapping, got {type(tree).__name__}")
            leaves |= _leaves(tree, _start(level, direction))
    return leaves


def _sequence(trees: Any, count: int, what: str) -> Any:
    if not isinstance(trees, tuple | list):
        raise ValueError(
            f"trees of {what} must be a sequence of {count}, got {type(trees).__name__}"
        )
    if len(trees) != count:
        raise ValueError(f"trees of {what} must be {count}, got {len(trees)}")
    return trees


def _leaves(tree: Mapping[Any, Any], start: str) -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            leaves |= _leaves(value, f"{start}{name}/")
        else:
            leaves[f"{start}{name}"] = value
    return leaves


def _trees(layer: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    layer = as_layer(layer)
    levels = layer.layers if isinstance(layer, Stack) else (layer,)

    def tree(level: int, direction: int) -> dict[str, dict[str, np.ndarray]]:
        start, made = _start(level, direction), {}
        for name, array in arrays.items():
            if name.startswith(start):
                module, leaf = name.removeprefix(start).split("/")
                made.setdefault(module, {})[leaf] = array
        return made

    made = [
        BothWays(tree(level, 0), tree(level, 1))
        if isinstance(inner, Bidirectional)
        else tree(level, 0)
        for level, inner in enumerate(levels)
    ]
    return tuple(made) if isinstance(layer, Stack) else made[0]
