"""Parameters of layers against named arrays of other libraries: what all of their layouts share.

A layout says, for one cell, what arrays another library has and which of our blocks lie in each,
side by side along the units:

    {"weight_ih_l0": Part((("W_xi", "W_xf", "W_xc", "W_xo"),), turned=True), …}

Reading and writing follow from that. Where a library has two biases whose sum alone counts, a block
stands in two arrays: reading adds them up, writing puts all of it into the first and zeros into
the second, so that the sum is kept, and ours comes back as the same numbers.

Shapes: D input, H hidden, P projected.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from rnnlab.nn import cells
from rnnlab.nn.layers import Bidirectional, BothWays, CellLayer, Stack, as_layer
from rnnlab.nn.params import GRUParams, LSTMParams, RNNParams

PARAMS = {cells.RNN: RNNParams, cells.LSTM: LSTMParams, cells.GRU: GRUParams}


class Part(NamedTuple):
    """What one array of theirs is made of."""

    rows: tuple[tuple[str, ...], ...]  # names of our blocks; more than one row: the first axis
    turned: bool = False  # a kernel that lies (out, in)

    @property
    def blocks(self) -> tuple[str, ...]:
        """All of them, row by row."""
        return tuple(block for row in self.rows for block in row)


class Place(NamedTuple):
    """One cell of a layer."""

    level: int  # 0 at the bottom
    direction: int  # 0 forwards, 1 backwards
    cell: Any


Layout = Callable[[Place], Mapping[str, Part]]


def part(*blocks: str, turned: bool = False) -> Part:
    """An array of these blocks, side by side.

    >>> part("b_r", "b_z").rows
    (('b_r', 'b_z'),)
    """
    return Part((blocks,), turned)


# ---- layers and their cells --------------------------------------------------------------------


def places(layer: Any, theirs: str) -> list[Place]:
    """The cells of a layer, in the order that every library has: level by level, forwards first.

    Args:
        layer: a cell, a layer, a bidirectional layer, or a stack of these. theirs: a name of the
            other library, for messages.
    Raises:
        ValueError: a nesting that others do not have, a cell with options of its own.
        TypeError: no layer, or a cell of another kind.
    """
    found = []
    for level, inner in enumerate(_levels(layer)):
        sides = (inner.forward, inner.backward) if isinstance(inner, Bidirectional) else (inner,)
        for direction, side in enumerate(sides):
            if not isinstance(side, CellLayer):
                raise ValueError(
                    f"{theirs} has no {type(side).__name__} inside a "
                    f"{type(inner).__name__}: cells, bidirectional layers of two "
                    "cells, and stacks of these can be converted"
                )
            _check_cell(side.cell, theirs)
            found.append(Place(level, direction, side.cell))
    return found


def _levels(layer: Any) -> tuple[Any, ...]:
    layer = as_layer(layer)
    return layer.layers if isinstance(layer, Stack) else (layer,)


def _check_cell(cell: Any, theirs: str) -> None:
    if type(cell) not in PARAMS:
        inside = getattr(cell, "inner", None)
        hint = (
            ""
            if inside is None
            else (f"; give the cell inside, {type(inside).__name__}, whose parameters are the same")
        )
        raise TypeError(
            f"{theirs} has no {type(cell).__name__}: RNN, LSTM and GRU can be converted{hint}"
        )
    for option in ("norm", "peephole"):
        value = getattr(cell, option, None)
        if value:
            raise ValueError(
                f"{theirs} has no place for {option}={value!r} of the {type(cell).__name__}"
            )


def check_reset_after(place: Place, theirs: str) -> None:
    """Refuse a GRU whose reset gate comes before the product, where there is none such."""
    if isinstance(place.cell, cells.GRU) and not place.cell.reset_after:
        raise ValueError(
            f"{theirs} resets after the recurrent product, this GRU before it: "
            f"take gru({place.cell.hidden_size}, reset_after=True)"
        )


def check_no_projection(place: Place, theirs: str) -> None:
    """Refuse an LSTM with a projection, where there is none such."""
    size = getattr(place.cell, "projection", None)
    if size is not None:
        raise ValueError(f"{theirs} has no place for projection={size} of the LSTM")


def level_sizes(layer: Any, input_size: int) -> list[int]:
    """D of each level of a layer."""
    return [input_size, *(inner.output_size for inner in _levels(layer)[:-1])]


def _nested(layer: Any, params: list[Any]) -> Any:
    """Parameters of the places, in the nesting of the layer."""
    layer, left = as_layer(layer), iter(params)
    made = [
        BothWays(next(left), next(left)) if isinstance(inner, Bidirectional) else next(left)
        for inner in _levels(layer)
    ]
    return tuple(made) if isinstance(layer, Stack) else made[0]


def _flat(layer: Any, params: Any) -> Iterator[Any]:
    """The reverse of :func:`_nested`; a nesting of another layer is refused."""
    layer, levels = as_layer(layer), _levels(layer)
    if isinstance(layer, Stack):
        if not isinstance(params, tuple | list) or hasattr(params, "_fields"):
            raise ValueError(
                f"params of a stack of {len(levels)} must be a tuple, got {type(params).__name__}"
            )
        if len(params) != len(levels):
            raise ValueError(
                f"params of a stack of {len(levels)} must be as many, got {len(params)}"
            )
    else:
        params = (params,)
    for inner, own in zip(levels, params, strict=True):
        if not isinstance(inner, Bidirectional):
            yield own
        elif isinstance(own, BothWays):
            yield from own
        else:
            raise ValueError(
                "params of a bidirectional layer must be BothWays(forward, backward), "
                f"got {type(own).__name__}"
            )


# ---- shapes ------------------------------------------------------------------------------------


def _block_shape(block: str, cell: Any, D: int) -> tuple[int, ...]:
    H = cell.hidden_size
    if block == "W_mh":
        return H, cell.output_size
    if block.startswith("W_x"):
        return D, H
    return (cell.output_size, H) if block.startswith("W_h") else (H,)


def part_shape(own: Part, cell: Any, D: int) -> tuple[int, ...]:
    """The shape of an array of theirs, for inputs of D features."""
    *ins, units = _block_shape(own.rows[0][0], cell, D)
    units *= len(own.rows[0])
    shape = (units, *ins) if own.turned else (*ins, units)
    return shape if len(own.rows) == 1 else (len(own.rows), *shape)


def _needed(cell: Any) -> list[str]:
    """Names of a cell's blocks."""
    optional = {
        "W_mh": bool(getattr(cell, "projection", None)),
        "g_h": False,
        "b_hn": getattr(cell, "reset_after", False),
    }
    return [
        name
        for name in PARAMS[type(cell)]._fields
        if name not in ("norm", "peepholes") and optional.get(name, True)
    ]


# ---- reading -----------------------------------------------------------------------------------


def read(layer: Any, arrays: Mapping[str, Any], layout: Layout, theirs: str) -> Any:
    """Parameters of a layer from named arrays.

    A bias that no array of the layout holds is zero. D is that of the arrays.

    Args:
        layer: what the parameters are for. arrays: name -> array, nothing beside the layer's.
        layout: of each place, its names and parts. theirs: a name of the library, for messages.
    Returns:
        parameters as ``layer.init`` makes them, in the arrays' dtype (float64 becomes JAX's
        float32 unless ``jax_enable_x64`` is set).
    Raises:
        ValueError: names every array that is missing, is of no use, or has another shape or dtype.
    """
    every, wrong, made = places(layer, theirs), [], []
    parts = [layout(place) for place in every]
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    sizes = level_sizes(layer, _input_size(arrays, parts[0]))
    for place, names in zip(every, parts, strict=True):
        blocks: dict[str, list[np.ndarray]] = {}
        for name, own in names.items():
            wanted = part_shape(own, place.cell, sizes[place.level])
            if name not in arrays:
                wrong.append(f"missing: {name} {wanted}")
            elif not jnp.issubdtype(arrays[name].dtype, jnp.floating):
                wrong.append(f"of dtype {arrays[name].dtype}, expected floats: {name}")
            elif arrays[name].shape != wanted:
                wrong.append(f"of shape {arrays[name].shape}, expected {wanted}: {name}")
            else:
                for block, value in _taken_apart(own, arrays[name]):
                    blocks.setdefault(block, []).append(value)
        made.append(blocks)
    known = {name for names in parts for name in names}
    wrong += [f"extra: {name} {arrays[name].shape}" for name in arrays if name not in known]
    if wrong:
        raise ValueError(
            f"{len(wrong)} arrays do not fit {theirs} of this layer:\n  " + "\n  ".join(wrong)
        )
    return _nested(layer, [_params(p.cell, b) for p, b in zip(every, made, strict=True)])


def _input_size(arrays: Mapping[str, np.ndarray], parts: Mapping[str, Part]) -> int:
    """D, from the first kernel of the inputs; 1 where it is none, which is told elsewhere."""
    for name, own in parts.items():
        if own.rows[0][0].startswith("W_x"):
            shape = arrays[name].shape if name in arrays else ()
            return shape[1 if own.turned else 0] if len(shape) == 2 else 1
    raise AssertionError("a layout without a kernel of the inputs")


def _taken_apart(own: Part, array: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    for names, row in zip(own.rows, array if len(own.rows) > 1 else [array], strict=True):
        turned = row.T if own.turned else row
        yield from zip(names, np.split(turned, len(names), axis=-1), strict=True)


def _params(cell: Any, blocks: Mapping[str, list[np.ndarray]]) -> Any:
    like = next(iter(blocks.values()))[0]

    def made(name: str) -> Any:
        if name not in blocks:  # a bias without a place
            return jnp.zeros(cell.hidden_size, like.dtype)
        first, *more = blocks[name]
        if more:  # of two biases; rounded once, whatever the dtype
            first = sum(more, first.astype(np.float64)).astype(first.dtype)
        return jnp.asarray(np.ascontiguousarray(first))

    return PARAMS[type(cell)](**{name: made(name) for name in _needed(cell)})


# ---- writing -----------------------------------------------------------------------------------


def write(layer: Any, params: Any, layout: Layout, theirs: str) -> dict[str, np.ndarray]:
    """Named arrays from parameters of a layer, in the order of the layout.

    Raises:
        ValueError: parameters of another layer, a bias that is not zero and has no place.
        TypeError: parameters of another cell.
    """
    every, arrays = places(layer, theirs), {}
    held = list(_flat(layer, params))
    _check_params(held[0], every[0], None)
    sizes = level_sizes(layer, held[0][0].shape[0])
    for place, own in zip(every, held, strict=True):
        _check_params(own, place, sizes[place.level])
        blocks = {name: np.asarray(getattr(own, name)) for name in _needed(place.cell)}
        names = layout(place)
        written: set[str] = set()
        for name, its in names.items():
            arrays[name] = _put_together(its, blocks, written)
        for name in blocks.keys() - written:
            if blocks[name].any():
                raise ValueError(f"{theirs} has no place for {name}, which is not zero{_at(place)}")
    return arrays


def _at(place: Place) -> str:
    return f" (level {place.level}, {('forwards', 'backwards')[place.direction]})"


def _check_params(params: Any, place: Place, D: int | None) -> None:
    """D: None where any will do."""
    wanted = PARAMS[type(place.cell)]
    if not isinstance(params, wanted):
        raise TypeError(
            f"params must be {wanted.__name__}, got {type(params).__name__}{_at(place)}"
        )
    needed = _needed(place.cell)
    for name, value in params._asdict().items():
        if (value is not None) != (name in needed):
            has, takes = ("no", "needs") if value is None else ("a", "has no")
            raise ValueError(
                f"params hold {has} {name}, the {type(place.cell).__name__} {takes} one{_at(place)}"
            )
        if value is None:
            continue
        shape = _block_shape(name, place.cell, params[0].shape[0] if D is None else D)
        if np.shape(value) != shape:
            raise ValueError(f"params.{name} must be {shape}, got {np.shape(value)}{_at(place)}")


def _put_together(own: Part, blocks: Mapping[str, np.ndarray], written: set[str]) -> np.ndarray:
    rows = []
    for names in own.rows:
        row = np.concatenate(
            [np.zeros_like(blocks[n]) if n in written else blocks[n] for n in names], axis=-1
        )
        written.update(names)
        rows.append(row.T if own.turned else row)
    return np.ascontiguousarray(rows[0] if len(rows) == 1 else np.stack(rows))
