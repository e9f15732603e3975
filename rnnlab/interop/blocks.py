"""Conversion between parameters of layers and named arrays of other libraries.

A layout lists, for one cell, the other library's arrays and the blocks of ours that each holds,
side by side along the units:

    {"weight_ih_l0": Part((("W_xi", "W_xf", "W_xc", "W_xo"),), turned=True), …}

Reading and writing follow from it. Where a library has two biases of which only the sum matters, a
block stands in two arrays: reading adds them, writing puts the whole block into the first and zeros
into the second. So the sum is kept, and our own parameters come back bit for bit.

Shapes: D input, H hidden, P projected.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from rnnlab.nn.cells import GRU, LSTM, RNN, Cell, GRUParams, LSTMParams, RNNParams
from rnnlab.nn.layers import Bidirectional, BothWays, CellLayer, Layer, Stack, as_layer

PyTree = Any
NamedCell = RNN | LSTM | GRU
NamedParams = RNNParams | LSTMParams | GRUParams
PARAMS: dict[type, type[NamedParams]] = {RNN: RNNParams, LSTM: LSTMParams, GRU: GRUParams}


class Part(NamedTuple):
    """The blocks of ours in one array of theirs."""

    rows: tuple[tuple[str, ...], ...]  # names of our blocks; more than one row: the first axis
    turned: bool = False  # a kernel that lies (out, in)

    @property
    def blocks(self) -> tuple[str, ...]:
        """All blocks, row by row."""
        return tuple(block for row in self.rows for block in row)


class Place(NamedTuple):
    """A cell of a layer, and where it is."""

    level: int  # 0 at the bottom
    direction: int  # 0 forward, 1 backward
    cell: NamedCell


Layout = Callable[[Place], Mapping[str, Part]]


def part(*blocks: str, turned: bool = False) -> Part:
    """Return an array of these blocks, side by side.

    >>> part("b_r", "b_z").rows
    (('b_r', 'b_z'),)
    """
    return Part((blocks,), turned)


# ---- layers and their cells --------------------------------------------------------------------


def places(layer: Cell | Layer, theirs: str) -> list[Place]:
    """Return the cells of a layer in every library's order: level by level, forward first.

    Args:
        layer: a cell, a layer, a bidirectional layer, or a stack of these.
        theirs: the other library's name, for messages.
    Raises:
        ValueError: a nesting that other libraries do not have, a cell with options of its own.
        TypeError: no layer, or a cell of another kind.

    >>> [place.level for place in places(Stack([GRU(4), GRU(4)]), "PyTorch")]
    [0, 1]
    """
    every = []
    for level, inner in enumerate(_levels(layer)):
        sides = (inner.forward, inner.backward) if isinstance(inner, Bidirectional) else (inner,)
        for direction, side in enumerate(sides):
            if not isinstance(side, CellLayer):
                raise ValueError(
                    f"{theirs} has no {type(side).__name__} inside a "
                    f"{type(inner).__name__}: cells, bidirectional layers of two "
                    "cells, and stacks of these can be converted"
                )
            every.append(Place(level, direction, _checked_cell(side.cell, theirs)))
    return every


def _levels(layer: Cell | Layer) -> tuple[Layer, ...]:
    layer = as_layer(layer)
    return layer.layers if isinstance(layer, Stack) else (layer,)


def _checked_cell(cell: Cell, theirs: str) -> NamedCell:
    if type(cell) is not RNN and type(cell) is not LSTM and type(cell) is not GRU:
        inner = getattr(cell, "inner", None)  # of a wrapper
        hint = ""
        if inner is not None:
            hint = (
                f"; convert the cell inside, {type(inner).__name__}, whose parameters are the same"
            )
        raise TypeError(
            f"{theirs} has no {type(cell).__name__}: RNN, LSTM and GRU can be converted{hint}"
        )
    options: dict[str, object] = {"norm": cell.norm}
    if isinstance(cell, LSTM):
        options["peephole"] = cell.peephole
    for option, value in options.items():
        if value:
            raise ValueError(
                f"{theirs} has no place for {option}={value!r} of the {type(cell).__name__}"
            )
    return cell


def check_reset_after(place: Place, theirs: str) -> None:
    """Refuse a GRU whose reset gate comes before the product, for libraries without it."""
    if isinstance(place.cell, GRU) and not place.cell.reset_after:
        raise ValueError(
            f"{theirs} resets after the recurrent product, this GRU before it: "
            f"use GRU({place.cell.hidden_size}, reset_after=True)"
        )


def projection_of(cell: NamedCell) -> int | None:
    """Return P of an LSTM with a projection, else None.

    >>> projection_of(LSTM(4, projection=2)), projection_of(GRU(4))
    (2, None)
    """
    return cell.projection if isinstance(cell, LSTM) else None


def check_no_projection(place: Place, theirs: str) -> None:
    """Refuse an LSTM with a projection, for libraries without it."""
    size = projection_of(place.cell)
    if size is not None:
        raise ValueError(f"{theirs} has no place for projection={size} of the LSTM")


def level_sizes(layer: Cell | Layer, input_size: int) -> list[int]:
    """Return D of each level of a layer.

    >>> level_sizes(Stack([Bidirectional(LSTM(4)), GRU(3)]), 2)
    [2, 8]
    """
    return [input_size, *(inner.output_size for inner in _levels(layer)[:-1])]


def nested(layer: Cell | Layer, of_places: Iterable[PyTree]) -> PyTree:
    """Nest one value for each place as the layer is nested.

    >>> nested(Bidirectional(LSTM(4)), ["a", "b"])
    BothWays(forward='a', backward='b')
    """
    layer, values = as_layer(layer), iter(of_places)
    levels = [
        BothWays(next(values), next(values)) if isinstance(inner, Bidirectional) else next(values)
        for inner in _levels(layer)
    ]
    return tuple(levels) if isinstance(layer, Stack) else levels[0]


def _flat(layer: Cell | Layer, params: PyTree) -> Iterator[NamedParams]:
    """Yield the parameters of each place, the reverse of :func:`nested`."""
    levels = _levels(layer)
    if isinstance(as_layer(layer), Stack):
        if not isinstance(params, tuple | list) or isinstance(params, (*PARAMS.values(), BothWays)):
            raise ValueError(
                f"params of a stack of {len(levels)} must be a tuple, got {type(params).__name__}"
            )
        if len(params) != len(levels):
            raise ValueError(
                f"params of a stack of {len(levels)} layers must have {len(levels)} parts, got "
                f"{len(params)}"
            )
    else:
        params = (params,)
    for inner, level in zip(levels, params, strict=True):
        if not isinstance(inner, Bidirectional):
            yield level
        elif isinstance(level, BothWays):
            yield from level
        else:
            raise ValueError(
                "params of a bidirectional layer must be BothWays(forward, backward), "
                f"got {type(level).__name__}"
            )


# ---- shapes ------------------------------------------------------------------------------------


def _block_shape(block: str, cell: NamedCell, D: int) -> tuple[int, ...]:
    H = cell.hidden_size
    if block == "W_mh":
        return H, cell.output_size
    if block.startswith("W_x"):
        return D, H
    return (cell.output_size, H) if block.startswith("W_h") else (H,)


def part_shape(array: Part, cell: NamedCell, D: int) -> tuple[int, ...]:
    """Return the shape of an array of theirs, for inputs of D features.

    >>> part_shape(part("W_xz", "W_xr", "W_xh"), GRU(4), 2)
    (2, 12)
    """
    *ins, units = _block_shape(array.rows[0][0], cell, D)
    units *= len(array.rows[0])
    shape = (units, *ins) if array.turned else (*ins, units)
    return shape if len(array.rows) == 1 else (len(array.rows), *shape)


def _block_names(cell: NamedCell) -> list[str]:
    """Return the names of a cell's blocks."""
    optional = {
        "W_mh": projection_of(cell) is not None,
        "g_h": False,
        "b_hn": isinstance(cell, GRU) and cell.reset_after,
    }
    return [
        name
        for name in PARAMS[type(cell)]._fields
        if name not in ("norm", "peepholes") and optional.get(name, True)
    ]


# ---- reading -----------------------------------------------------------------------------------


def read(layer: Cell | Layer, arrays: Mapping[str, object], layout: Layout, theirs: str) -> PyTree:
    """Return the parameters of a layer from named arrays.

    A bias that no array of the layout holds is zero. D follows from the arrays.

    Args:
        layer: the layer whose parameters they become.
        arrays: name -> array, of this layer only.
        layout: gives the names and parts of each place.
        theirs: the library's name, for messages.
    Returns:
        parameters as ``layer.init`` makes them, in the arrays' dtype (float64 becomes JAX's
        float32 unless ``jax_enable_x64`` is set).
    Raises:
        ValueError: lists every array that is missing, extra, or of another shape or dtype.
    """
    every, problems, params = places(layer, theirs), [], []
    parts = [layout(place) for place in every]
    theirs_by_name = {name: np.asarray(array) for name, array in arrays.items()}
    sizes = level_sizes(layer, _input_size(theirs_by_name, parts[0]))
    for place, names in zip(every, parts, strict=True):
        blocks: dict[str, list[np.ndarray]] = {}
        for name, its_part in names.items():
            expected = part_shape(its_part, place.cell, sizes[place.level])
            array = theirs_by_name.get(name)
            if array is None:
                problems.append(f"missing: {name} {expected}")
            elif not jnp.issubdtype(array.dtype, jnp.floating):
                problems.append(f"of dtype {array.dtype}, expected floats: {name}")
            elif array.shape != expected:
                problems.append(f"of shape {array.shape}, expected {expected}: {name}")
            else:
                for block, value in _split_blocks(its_part, array):
                    blocks.setdefault(block, []).append(value)
        params.append(blocks)
    known = {name for names in parts for name in names}
    problems += [
        f"extra: {name} {array.shape}"
        for name, array in theirs_by_name.items()
        if name not in known
    ]
    if problems:
        raise ValueError(
            f"{len(problems)} arrays do not fit {theirs} of this layer:\n  " + "\n  ".join(problems)
        )
    return nested(layer, [_params(p.cell, b) for p, b in zip(every, params, strict=True)])


def _input_size(arrays: Mapping[str, np.ndarray], parts: Mapping[str, Part]) -> int:
    """Return D from the first input kernel; 1 where it is no matrix, which is reported later."""
    for name, array in parts.items():
        if array.rows[0][0].startswith("W_x"):
            shape = arrays[name].shape if name in arrays else ()
            return shape[1 if array.turned else 0] if len(shape) == 2 else 1
    raise AssertionError("a layout without an input kernel")


def _split_blocks(its_part: Part, array: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    rows = array if len(its_part.rows) > 1 else [array]
    for names, row in zip(its_part.rows, rows, strict=True):
        turned = row.T if its_part.turned else row
        yield from zip(names, np.split(turned, len(names), axis=-1), strict=True)


def _params(cell: NamedCell, blocks: Mapping[str, list[np.ndarray]]) -> NamedParams:
    dtype = next(iter(blocks.values()))[0].dtype

    def block(name: str) -> PyTree:
        if name not in blocks:  # a bias that their arrays do not hold
            return jnp.zeros(cell.hidden_size, dtype)
        first, *more = blocks[name]
        if more:  # of two biases; rounded once, whatever the dtype
            first = sum(more, first.astype(np.float64)).astype(first.dtype)
        return jnp.asarray(np.ascontiguousarray(first))

    return PARAMS[type(cell)](**{name: block(name) for name in _block_names(cell)})


# ---- writing -----------------------------------------------------------------------------------


def write(
    layer: Cell | Layer, params: PyTree, layout: Layout, theirs: str
) -> dict[str, np.ndarray]:
    """Return named arrays of a layer's parameters, in the order of the layout.

    Raises:
        ValueError: parameters of another layer, a bias that is not zero and has no place.
        TypeError: parameters of another cell.
    """
    every, arrays = places(layer, theirs), {}
    params_of_places = list(_flat(layer, params))
    _check_params(params_of_places[0], every[0], None)
    sizes = level_sizes(layer, params_of_places[0][0].shape[0])
    for place, place_params in zip(every, params_of_places, strict=True):
        _check_params(place_params, place, sizes[place.level])
        blocks = {
            name: np.asarray(getattr(place_params, name)) for name in _block_names(place.cell)
        }
        written: set[str] = set()
        for name, its_part in layout(place).items():
            arrays[name] = _join_blocks(its_part, blocks, written)
        for name in blocks.keys() - written:
            if blocks[name].any():
                raise ValueError(f"{theirs} has no place for {name}, which is not zero{_at(place)}")
    return arrays


def _at(place: Place) -> str:
    return f" (level {place.level}, {('forward', 'backward')[place.direction]})"


def _check_params(params: object, place: Place, D: int | None) -> None:
    """Refuse parameters that do not fit the place; D None: any input size."""
    kind, cell_name = PARAMS[type(place.cell)], type(place.cell).__name__
    if not isinstance(params, kind):
        raise TypeError(f"params must be {kind.__name__}, got {type(params).__name__}{_at(place)}")
    names = _block_names(place.cell)
    for name, value in params._asdict().items():
        if (value is not None) != (name in names):
            raise ValueError(
                f"params {'lack' if value is None else 'have'} {name}, which this {cell_name} "
                f"{'needs' if value is None else 'does not have'}{_at(place)}"
            )
        if value is None:
            continue
        shape = _block_shape(name, place.cell, params[0].shape[0] if D is None else D)
        if np.shape(value) != shape:
            raise ValueError(f"params.{name} must be {shape}, got {np.shape(value)}{_at(place)}")


def _join_blocks(its_part: Part, blocks: Mapping[str, np.ndarray], written: set[str]) -> np.ndarray:
    """Return one array of theirs; a block written before is zero in it. Updates ``written``."""
    rows = []
    for names in its_part.rows:
        row = np.concatenate(
            [np.zeros_like(blocks[n]) if n in written else blocks[n] for n in names], axis=-1
        )
        written.update(names)
        rows.append(row.T if its_part.turned else row)
    return np.ascontiguousarray(rows[0] if len(rows) == 1 else np.stack(rows))
